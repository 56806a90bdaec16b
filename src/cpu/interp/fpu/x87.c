/*
 * x87.c - the stack machine: arithmetic, loads, stores
 *
 * The host's own x87 computes.  The guest's image is loaded, a stub that is
 * the very instruction runs, the image is taken back.  The image is in 64-bit
 * FXSAVE form with the guest's control word, unmasked exceptions and all: an
 * x87 error only becomes one at the next waiting instruction, and the stub is
 * followed by FXSAVE and FNINIT, which do not wait.  So results of unmasked
 * errors are exact, and the host process never sees one.  What must never
 * happen is a stub that starts with an error pending: x87_wait comes first.
 *
 * The odd truth: an unmasked error of a store leaves memory as it was, and
 * nothing in the state says whether it did.  So the store is done twice, over
 * different bytes: what is the same after both was written.
 *
 * The instruction and data pointers are the guest's and kept by hand.
 *
 * That way costs two long microcoded instructions; the usual cases go a quicker
 * one (x87_quick.c) and come here when they turn out not to be usual.
 *
 * Spec     [SDM 1] 8; 8.1.8 (pointers), 8.1.9 (opcode), 8.7 (exceptions)
 * Missing  FCS and FDS are zero, as on processors that deprecate them
 *          (CPUID.7.0:EBX bit 13)
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

/* 8 opcodes times 64 register forms, 4 bytes each; 8 times 8 memory forms on (%rdi). */
__asm__(THUNK_SECTION
	"th_x87_reg:\n\t.set fpu_op, 0xd8\n\t.rept 8\n\t.set fpu_modrm, 0xc0\n\t.rept 64\n\t"
	".byte fpu_op, fpu_modrm, 0xc3, 0x90\n\t.set fpu_modrm, fpu_modrm + 1\n\t.endr\n\t"
	".set fpu_op, fpu_op + 1\n\t.endr\n"
	"th_x87_mem:\n\t.set fpu_op, 0xd8\n\t.rept 8\n\t.set fpu_modrm, 0x07\n\t.rept 8\n\t"
	".byte fpu_op, fpu_modrm, 0xc3, 0x90\n\t.set fpu_modrm, fpu_modrm + 8\n\t.endr\n\t"
	".set fpu_op, fpu_op + 1\n\t.endr\n\t.popsection");
THUNK_HIDDEN extern const char th_x87_reg[];
THUNK_HIDDEN extern const char th_x87_mem[];

/*
 * Loads IN, sets the flags FCMOV looks at from *FLAGS, calls STUB with RDI =
 * MEM, saves to OUT and the flags FCOMI left to *FLAGS.  The host's x87 is
 * left initialised, its MXCSR as it was.
 */
__asm__(THUNK_SECTION
	"th_x87_exec:\n\t"
	"stmxcsr -8(%rsp)\n\t"
	"fxrstor64 (%rdi)\n\t"
	"ldmxcsr -8(%rsp)\n\t"
	"movq %rcx, %rdi\n\t"
	"movzbl (%r8), %eax\n\t"
	"shll $8, %eax\n\t"
	"sahf\n\t"
	"call *%rdx\n\t"
	"pushfq\n\t"
	"popq (%r8)\n\t"
	"fxsave64 (%rsi)\n\t"
	"fninit\n\t"
	"ret\n\t.popsection");
THUNK_HIDDEN void th_x87_exec(const struct fxsave *in, struct fxsave *out, uint64_t stub, void *mem,
			      uint64_t *flags);

struct x87_run {
	_Alignas(16) struct fxsave after;
	uint64_t flags;
};

static void x87_run(struct interp *c, const struct insn *in, struct x87_run *r, void *mem)
{
	r->flags = c->rflags;
	fx(c)->mxcsr &= MXCSR_WRITABLE;		/* FXRSTOR would refuse */
	th_x87_exec(fx(c), &r->after, in->imm, mem, &r->flags);
}

/* 64-bit mode keeps 64 bits; real mode keeps the linear address, for want of selectors. */
static uint64_t x87_pointer(const struct interp *c, unsigned s, uint64_t off)
{
	if (c->code64)
		return off;
	return (uint32_t)(interp_real(c) || interp_v86(c) ? c->seg[s].base + off : off);
}

/* op[0..1]: the opcode. */
void x87_note(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);

	f->fop = (uint16_t)((in->op[0] & 7) << 8 | in->op[1]);
	f->fip = x87_pointer(c, CPU_CS, c->rip);
	if (in->mem)
		f->fdp = x87_pointer(c, in->seg, insn_ea(c, in));
}

static void x87_commit(struct interp *c, const struct insn *in, const struct x87_run *r)
{
	struct fxsave *f = fx(c);

	f->fsw = r->after.fsw;
	f->ftw = r->after.ftw;
	memcpy(f->st, r->after.st, sizeof(f->st));
	x87_note(c, in);
}

void x87_reg(struct interp *c, const struct insn *in)
{
	struct x87_run r;

	x87_gate(c);
	x87_wait(c);
	x87_run(c, in, &r, NULL);
	x87_commit(c, in, &r);
}

/*
 * FCOMI and kin: ZF, PF, CF by the comparison; OF, SF, AF clear.  C1 is clear,
 * as the manual has it; some hosts leave it alone.
 */
void x87_compare(struct interp *c, const struct insn *in)
{
	struct x87_run r;

	x87_gate(c);
	x87_wait(c);
	x87_run(c, in, &r, NULL);
	r.after.fsw &= (uint16_t)~FSW_C1;
	x87_commit(c, in, &r);
	c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) | (r.flags & X86_ARITH);
}

/* osz: bytes of the memory operand. */
void x87_fetch(struct interp *c, const struct insn *in, uint8_t buf[16])
{
	uint64_t ea = insn_ea(c, in), v;

	if (in->osz == 10) {
		interp_load_n(c, in->seg, ea, buf, 10);
		return;
	}
	v = interp_load(c, in->seg, ea, in->osz);
	memcpy(buf, &v, 8);
}

void x87_put(struct interp *c, const struct insn *in, const uint8_t buf[16])
{
	uint64_t ea = insn_ea(c, in), v;

	if (in->osz == 10) {
		interp_store_n(c, in->seg, ea, buf, 10);
		return;
	}
	memcpy(&v, buf, 8);
	interp_store(c, in->seg, ea, in->osz, v);
}

/* The operand has been loaded; nothing is pending. */
void x87_load_full(struct interp *c, const struct insn *in, uint8_t buf[16])
{
	struct x87_run r;

	x87_run(c, in, &r, buf);
	x87_commit(c, in, &r);
}

static void x87_load(struct interp *c, const struct insn *in)
{
	uint8_t buf[16] = { 0 };

	x87_gate(c);
	x87_wait(c);
	x87_fetch(c, in, buf);
	x87_load_full(c, in, buf);
}

static bool x87_error(const struct x87_run *r)
{
	return r->after.fsw & FSW_ES;
}

void x87_store(struct interp *c, const struct insn *in)
{
	uint8_t buf[16] = { 0 }, again[16];
	bool written = true;
	struct x87_run r;

	x87_gate(c);
	x87_wait(c);
	x87_run(c, in, &r, buf);
	if (unlikely(x87_error(&r))) {
		memset(again, 0xff, sizeof(again));
		x87_run(c, in, &r, again);
		written = memcmp(buf, again, in->osz) == 0;
	}
	if (written)
		x87_put(c, in, buf);
	else
		interp_probe_write(c, in->seg, insn_ea(c, in), in->osz);
	x87_commit(c, in, &r);
}

/* ---- binding ----------------------------------------------------------------------------- */

/* Sizes of memory operands; bit 7: a store; 0: not of this file. */
#define ST 0x80
static const uint8_t mem_forms[8][8] = {
	[0] = { 4, 4, 4, 4, 4, 4, 4, 4 },		/* FADD m32 ... */
	[1] = { 4, 0, 4 | ST, 4 | ST },			/* FLD, FST, FSTP m32; control */
	[2] = { 4, 4, 4, 4, 4, 4, 4, 4 },		/* FIADD m32 ... */
	[3] = { 4, 4 | ST, 4 | ST, 4 | ST, 0, 10, 0, 10 | ST },
	[4] = { 8, 8, 8, 8, 8, 8, 8, 8 },		/* FADD m64 ... */
	[5] = { 8, 8 | ST, 8 | ST, 8 | ST },
	[6] = { 2, 2, 2, 2, 2, 2, 2, 2 },		/* FIADD m16 ... */
	[7] = { 2, 2 | ST, 2 | ST, 2 | ST, 10, 8, 10 | ST, 8 | ST },
};

/*
 * One bit per register form C0..FF that exists.  Our own list, not Zydis's:
 * an encoding the host does not know must not reach it.
 */
#define FORMS(from, nr) ((~UINT64_C(0) >> (64 - (nr))) << ((from) - 0xc0))
static const uint64_t reg_forms[8] = {
	[0] = ~UINT64_C(0),
	/* D8..DF: FSTP that does not mind an empty register; no other encoding does that */
	[1] = FORMS(0xc0, 17) | FORMS(0xd8, 8) | FORMS(0xe0, 2) | FORMS(0xe4, 2) |
	      FORMS(0xe8, 7) | FORMS(0xf0, 16),
	[2] = FORMS(0xc0, 32) | FORMS(0xe9, 1),
	[3] = FORMS(0xc0, 32) | FORMS(0xe8, 16),
	[4] = ~UINT64_C(0),				/* D0..DF: aliases of D8 */
	[5] = FORMS(0xc0, 48),				/* C8..CF: FXCH again */
	[6] = FORMS(0xc0, 24) | FORMS(0xd9, 1) | FORMS(0xe0, 32),	/* D0..D7: FCOMP again */
	[7] = FORMS(0xc0, 32) | FORMS(0xe8, 16),	/* FFREEP, FXCH, FSTP, FSTP */
};

/*
 * Encodings the manual reserves and every processor runs as another one.  The
 * host gets the documented one; FOP keeps what the guest wrote.
 */
static void documented(unsigned *op, unsigned *modrm)
{
	static const struct {
		uint8_t op, reg, as_op, as_reg;
	} aliases[] = {
		{ 4, 2, 0, 2 }, { 4, 3, 0, 3 },		/* FCOM, FCOMP */
		{ 5, 1, 1, 1 },				/* FXCH */
		{ 6, 2, 0, 3 },				/* FCOMP */
		{ 7, 1, 1, 1 },				/* FXCH */
		{ 7, 2, 5, 3 }, { 7, 3, 5, 3 },		/* FSTP */
	};

	for (size_t k = 0; k < ARRAY_LEN(aliases); k++) {
		if (aliases[k].op != *op || aliases[k].reg != (*modrm >> 3 & 7))
			continue;
		*op = aliases[k].as_op;
		*modrm = 0xc0u | (unsigned)aliases[k].as_reg << 3 | (*modrm & 7);
		return;
	}
}

static bool is_compare(unsigned op, unsigned modrm)
{
	return (op == 3 || op == 7) && modrm >= 0xe8 && modrm < 0xf8;
}

/* A stub for another file: register form, or memory form with reg of ModRM. */
uint64_t x87_reg_stub(unsigned opcode, unsigned modrm)
{
	return (uintptr_t)(th_x87_reg + 4 * ((opcode & 7) * 64 + (modrm & 63)));
}

uint64_t x87_mem_stub(unsigned opcode, unsigned reg)
{
	return (uintptr_t)(th_x87_mem + 4 * ((opcode & 7) * 8 + reg));
}

bool bind_x87(const struct zin *z, struct insn *out)
{
	unsigned op = z->i.opcode & 7u, reg = z->i.raw.modrm.reg;
	unsigned modrm = (unsigned)(z->i.raw.modrm.mod << 6 | reg << 3 | z->i.raw.modrm.rm);

	out->op[0] = z->i.opcode;
	out->op[1] = (uint8_t)modrm;
	if (z->i.raw.modrm.mod == 3) {
		if (!(reg_forms[op] >> (modrm - 0xc0) & 1))
			return false;
		documented(&op, &modrm);
		out->imm = x87_reg_stub(op, modrm);
		out->fn = is_compare(op, modrm) ? x87_compare : x87_reg;
		x87_quicken_reg(out, op, modrm);
		return true;
	}
	if (mem_forms[op][reg] == 0)
		return false;
	out->imm = x87_mem_stub(op, reg);
	out->osz = mem_forms[op][reg] & 0x7f;
	out->fn = mem_forms[op][reg] & ST ? x87_store : x87_load;
	x87_quicken_mem(out, op, reg);
	return true;
}
