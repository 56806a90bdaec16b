/*
 * regs.c - a register file as GDB numbers it
 *
 * One row a register, in the order of target.xml, which is made from the same
 * rows.  Features org.gnu.gdb.i386.* and their names are GDB's; the last one is
 * ours, for what a kernel's debugger wants and GDB has no name for.
 *
 * XSAVE state whose bit in XSTATE_BV is clear has its initial values whatever
 * the bytes say; they are written out before one of them is changed.
 *
 * A selector is only the visible part: the hidden one stays, as nothing loads it.
 *
 * Spec     [GDB] appendix G.5.5 i386 features; [SDM 1] 10.5.1, 13.4 XSAVE layout
 * Lock     none, constant
 */
#include "gdb/regs.h"

#include "base/le.h"

#include <stdio.h>
#include <string.h>

enum { HOW_PLAIN, HOW_TAG, HOW_MXCSR, HOW_FIXED };
enum { X87 = 1, SSE = 2, AVX = 4 };

#define XSTATE_BV 512u			/* offset in the XSAVE area */
#define AVX_OFF 576u
#define XS(off) (offsetof(struct cpu_regs, xsave) + (off))

#define ROW(name, type, bytes, field) \
	{ name, type, offsetof(struct cpu_regs, field), \
	  sizeof(((struct cpu_regs *)0)->field), bytes, 0, HOW_PLAIN }
#define FIXED(name, type, bytes, field) \
	{ name, type, offsetof(struct cpu_regs, field), \
	  sizeof(((struct cpu_regs *)0)->field), bytes, 0, HOW_FIXED }
#define R64(name, field) ROW(name, "int64", 8, field)
#define SEL(name, s) ROW(name, "int32", 4, seg[s].sel)
#define ST(i) { "st" #i, "i387_ext", XS(32 + 16 * i), 10, 10, X87, HOW_PLAIN }
#define FC(name, off, held, how) { name, "int", XS(off), held, 4, X87, how }
#define XMM(i) { "xmm" #i, "vec128", XS(160 + 16 * i), 16, 16, SSE, HOW_PLAIN }
#define YMMH(i) { "ymm" #i "h", "uint128", XS(AVX_OFF + 16 * i), 16, 16, AVX, HOW_PLAIN }
#define SIXTEEN(X) X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), \
	X(12), X(13), X(14), X(15)

static const struct gdb_reg core[] = {
	R64("rax", gpr[CPU_RAX]), R64("rbx", gpr[CPU_RBX]), R64("rcx", gpr[CPU_RCX]),
	R64("rdx", gpr[CPU_RDX]), R64("rsi", gpr[CPU_RSI]), R64("rdi", gpr[CPU_RDI]),
	ROW("rbp", "data_ptr", 8, gpr[CPU_RBP]), ROW("rsp", "data_ptr", 8, gpr[CPU_RSP]),
	R64("r8", gpr[8]), R64("r9", gpr[9]), R64("r10", gpr[10]), R64("r11", gpr[11]),
	R64("r12", gpr[12]), R64("r13", gpr[13]), R64("r14", gpr[14]), R64("r15", gpr[15]),
	ROW("rip", "code_ptr", 8, rip), ROW("eflags", "eflags", 4, rflags),
	SEL("cs", CPU_CS), SEL("ss", CPU_SS), SEL("ds", CPU_DS), SEL("es", CPU_ES),
	SEL("fs", CPU_FS), SEL("gs", CPU_GS),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FC("fctrl", 0, 2, HOW_PLAIN), FC("fstat", 2, 2, HOW_PLAIN), FC("ftag", 4, 1, HOW_TAG),
	FC("fiseg", 12, 4, HOW_PLAIN), FC("fioff", 8, 4, HOW_PLAIN),
	FC("foseg", 20, 4, HOW_PLAIN), FC("fooff", 16, 4, HOW_PLAIN), FC("fop", 6, 2, HOW_PLAIN),
};

static const struct gdb_reg sse[] = {
	SIXTEEN(XMM), { "mxcsr", "mxcsr", XS(24), 4, 4, SSE, HOW_MXCSR },
};

static const struct gdb_reg segments[] = {
	R64("fs_base", seg[CPU_FS].base), R64("gs_base", seg[CPU_GS].base),
};

static const struct gdb_reg avx[] = { SIXTEEN(YMMH) };

static const struct gdb_reg system_regs[] = {
	ROW("cr0", "cr0", 8, cr0), R64("cr2", cr2), R64("cr3", cr3), ROW("cr4", "cr4", 8, cr4),
	R64("cr8", cr8), ROW("efer", "efer", 8, efer), FIXED("xcr0", "int64", 8, xcr0),
	R64("k_gs_base", kernel_gs_base),
	R64("cs_base", seg[CPU_CS].base), R64("ss_base", seg[CPU_SS].base),
	R64("ds_base", seg[CPU_DS].base), R64("es_base", seg[CPU_ES].base),
	R64("gdt_base", gdt.base), ROW("gdt_limit", "int32", 4, gdt.limit),
	R64("idt_base", idt.base), ROW("idt_limit", "int32", 4, idt.limit),
	SEL("ldtr", CPU_LDTR), R64("ldtr_base", seg[CPU_LDTR].base),
	SEL("tr", CPU_TR), R64("tr_base", seg[CPU_TR].base),
	R64("dr0", dr[0]), R64("dr1", dr[1]), R64("dr2", dr[2]), R64("dr3", dr[3]),
	R64("dr6", dr6), R64("dr7", dr7),
	FIXED("star", "int64", 8, star), FIXED("lstar", "int64", 8, lstar),
	FIXED("cstar", "int64", 8, cstar), FIXED("sfmask", "int64", 8, sfmask),
	FIXED("sysenter_cs", "int64", 8, sysenter_cs),
	FIXED("sysenter_esp", "int64", 8, sysenter_esp),
	FIXED("sysenter_eip", "int64", 8, sysenter_eip), FIXED("tsc_aux", "int64", 8, tsc_aux),
	FIXED("pat", "int64", 8, pat), FIXED("apic_base", "int64", 8, apic_base),
};

/* ---- types, in words of target.xml ------------------------------------------- */

struct bit {
	const char *name;
	unsigned at;
};

static const struct bit eflags_bits[] = {
	{ "CF", 0 }, { "", 1 }, { "PF", 2 }, { "AF", 4 }, { "ZF", 6 }, { "SF", 7 }, { "TF", 8 },
	{ "IF", 9 }, { "DF", 10 }, { "OF", 11 }, { "NT", 14 }, { "RF", 16 }, { "VM", 17 },
	{ "AC", 18 }, { "VIF", 19 }, { "VIP", 20 }, { "ID", 21 },
};
static const struct bit mxcsr_bits[] = {
	{ "IE", 0 }, { "DE", 1 }, { "ZE", 2 }, { "OE", 3 }, { "UE", 4 }, { "PE", 5 },
	{ "DAZ", 6 }, { "IM", 7 }, { "DM", 8 }, { "ZM", 9 }, { "OM", 10 }, { "UM", 11 },
	{ "PM", 12 }, { "FZ", 15 },
};
static const struct bit cr0_bits[] = {
	{ "PE", 0 }, { "MP", 1 }, { "EM", 2 }, { "TS", 3 }, { "ET", 4 }, { "NE", 5 }, { "WP", 16 },
	{ "AM", 18 }, { "NW", 29 }, { "CD", 30 }, { "PG", 31 },
};
static const struct bit cr4_bits[] = {
	{ "VME", 0 }, { "PVI", 1 }, { "TSD", 2 }, { "DE", 3 }, { "PSE", 4 }, { "PAE", 5 },
	{ "MCE", 6 }, { "PGE", 7 }, { "PCE", 8 }, { "OSFXSR", 9 }, { "OSXMMEXCPT", 10 },
	{ "UMIP", 11 }, { "LA57", 12 }, { "FSGSBASE", 16 }, { "PCIDE", 17 }, { "OSXSAVE", 18 },
	{ "SMEP", 20 }, { "SMAP", 21 },
};
static const struct bit efer_bits[] = { { "SCE", 0 }, { "LME", 8 }, { "LMA", 10 }, { "NXE", 11 } };

struct flags {
	const char *id;
	unsigned bytes;
	const struct bit *bits;
	size_t nr;
};

static const struct flags core_flags[] = {
	{ "eflags", 4, eflags_bits, ARRAY_LEN(eflags_bits) }, { 0 },
};
static const struct flags sse_flags[] = {
	{ "mxcsr", 4, mxcsr_bits, ARRAY_LEN(mxcsr_bits) }, { 0 },
};
static const struct flags system_flags[] = {
	{ "cr0", 8, cr0_bits, ARRAY_LEN(cr0_bits) }, { "cr4", 8, cr4_bits, ARRAY_LEN(cr4_bits) },
	{ "efer", 8, efer_bits, ARRAY_LEN(efer_bits) }, { 0 },
};
static const struct flags no_flags[] = { { 0 } };

#define VECTOR(id, type, count) \
	"<vector id=\"" id "\" type=\"" type "\" count=\"" count "\"/>\n"

static const char sse_types[] =
	VECTOR("v4f", "ieee_single", "4") VECTOR("v2d", "ieee_double", "2")
	VECTOR("v16i8", "int8", "16") VECTOR("v8i16", "int16", "8") VECTOR("v4i32", "int32", "4")
	VECTOR("v2i64", "int64", "2")
	"<union id=\"vec128\">\n"
	"<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>\n"
	"<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>\n"
	"<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>\n"
	"<field name=\"uint128\" type=\"uint128\"/>\n</union>\n";

struct feature {
	const char *name, *types;
	const struct flags *flags;
	const struct gdb_reg *regs;
	unsigned nr;
	const char *group;		/* NULL: GDB's own for the type */
};

static const struct feature features[] = {
	{ "org.gnu.gdb.i386.core", "", core_flags, core, ARRAY_LEN(core), NULL },
	{ "org.gnu.gdb.i386.sse", sse_types, sse_flags, sse, ARRAY_LEN(sse), NULL },
	{ "org.gnu.gdb.i386.segments", "", no_flags, segments, ARRAY_LEN(segments), NULL },
	{ "org.gnu.gdb.i386.avx", "", no_flags, avx, ARRAY_LEN(avx), NULL },
	{ "org.genvisor.x86.system", "", system_flags, system_regs, ARRAY_LEN(system_regs),
	  "system" },
};

/* ---- target.xml -------------------------------------------------------------- */

/* Keeps [from, from + n) of all that is put in. */
struct window {
	uint64_t at, from;
	char *dst;
	size_t n, fill;
};

static void put(struct window *w, const char *text)
{
	for (; *text != '\0'; text++, w->at++)
		if (w->at >= w->from && w->fill < w->n)
			w->dst[w->fill++] = *text;
}

static void put_flags(struct window *w, const struct flags *f)
{
	char line[96];

	snprintf(line, sizeof(line), "<flags id=\"%s\" size=\"%u\">\n", f->id, f->bytes);
	put(w, line);
	for (size_t i = 0; i < f->nr; i++) {
		snprintf(line, sizeof(line), "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n",
			 f->bits[i].name, f->bits[i].at, f->bits[i].at);
		put(w, line);
	}
	put(w, "</flags>\n");
}

static void put_feature(struct window *w, const struct feature *f)
{
	char line[128];

	snprintf(line, sizeof(line), "<feature name=\"%s\">\n", f->name);
	put(w, line);
	put(w, f->types);
	for (const struct flags *g = f->flags; g->id != NULL; g++)
		put_flags(w, g);
	for (unsigned i = 0; i < f->nr; i++) {
		snprintf(line, sizeof(line), "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"%s%s%s/>\n",
			 f->regs[i].name, f->regs[i].bytes * 8u, f->regs[i].type,
			 f->group != NULL ? " group=\"" : "", f->group != NULL ? f->group : "",
			 f->group != NULL ? "\"" : "");
		put(w, line);
	}
	put(w, "</feature>\n");
}

size_t gdb_target_xml(uint64_t off, char *dst, size_t n)
{
	struct window w = { .from = off, .dst = dst, .n = n };

	put(&w, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
		"<target version=\"1.0\">\n<architecture>i386:x86-64</architecture>\n");
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		put_feature(&w, &features[i]);
	put(&w, "</target>\n");
	return w.fill;
}

/* ---- registers --------------------------------------------------------------- */

unsigned gdb_nr_regs(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		n += features[i].nr;
	return n;
}

const struct gdb_reg *gdb_reg(unsigned nr)
{
	const struct feature *f = features;

	for (; nr >= f->nr; f++)
		nr -= f->nr;
	return &f->regs[nr];
}

/* [SDM 1] 8.1.7, 10.5.1.1: FXSAVE keeps one bit of the two a register has. */
static uint16_t full_tag(const struct cpu_regs *r)
{
	unsigned top = r->xsave[3] >> 3 & 7, tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *st = r->xsave + 32 + 16 * ((i - top) & 7);
		unsigned exp = ld16(st + 8) & 0x7fff, tag = 3;

		if (r->xsave[4] >> i & 1)
			tag = exp == 0x7fff || (exp == 0 && ld64(st) != 0) ? 2 :
			      exp == 0 ? 1 : st[7] >> 7 ? 0 : 2;
		tags |= tag << 2 * i;
	}
	return (uint16_t)tags;
}

static uint8_t short_tag(uint16_t full)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < 8; i++)
		bits |= (unsigned)((full >> 2 * i & 3) != 3) << i;
	return (uint8_t)bits;
}

static bool has_state(const struct cpu_regs *r, unsigned bit)
{
	return bit == 0 || (ld64(r->xsave + XSTATE_BV) & bit) != 0;
}

/* The bytes of component BIT as if it had never been touched. */
static void make_initial(struct cpu_regs *r, unsigned bit)
{
	switch (bit) {
	case X87:
		memset(r->xsave, 0, 24);
		memset(r->xsave + 32, 0, 128);
		st16(r->xsave, 0x37f);
		break;
	case SSE:
		memset(r->xsave + 160, 0, 256);
		break;
	default:
		memset(r->xsave + AVX_OFF, 0, 256);
	}
	st64(r->xsave + XSTATE_BV, ld64(r->xsave + XSTATE_BV) | bit);
}

void gdb_reg_get(const struct gdb_reg *d, const struct cpu_regs *r, uint8_t dst[GDB_REG_BYTES])
{
	struct cpu_regs fresh;

	memset(dst, 0, GDB_REG_BYTES);
	if (d->how != HOW_MXCSR && !has_state(r, d->xstate)) {
		fresh = *r;
		make_initial(&fresh, d->xstate);
		gdb_reg_get(d, &fresh, dst);
	} else if (d->how == HOW_TAG) {
		st16(dst, full_tag(r));
	} else {
		memcpy(dst, (const uint8_t *)r + d->off, min_u64(d->held, d->bytes));
	}
}

int gdb_reg_set(const struct gdb_reg *d, struct cpu_regs *r, const uint8_t *src)
{
	uint8_t *at = (uint8_t *)r + d->off;

	if (d->how == HOW_FIXED)
		return -EPERM;
	if (d->xstate & ~r->xcr0 & AVX)
		return -EINVAL;
	if (!has_state(r, d->xstate))
		make_initial(r, d->xstate);
	if (d->how == HOW_TAG) {
		*at = short_tag(ld16(src));
	} else if (d->how == HOW_MXCSR) {
		st32(at, ld32(src) & 0xffff);	/* the rest no processor lets anybody set */
	} else {
		memset(at, 0, d->held);
		memcpy(at, src, min_u64(d->held, d->bytes));
	}
	return 0;
}
