/*
 * judge_gen.c - random instructions
 *
 * Bytes from a row, then the decoder says whether they are an instruction of
 * the model and how long it is.  Displacements that name an address by themselves
 * are patched to point into the sandbox, branch targets to where INT3 waits or
 * nothing is mapped.
 *
 * Not made: a near branch with an operand-size prefix (Intel ignores it, AMD
 * truncates RIP), and REP BSF (the host has TZCNT, the model does not).
 *
 * Lock     none
 */
#include "cpu/judge/judge_rows.h"

#include <string.h>

/* splitmix64 */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->s += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

struct out {
	uint8_t b[48];
	unsigned n;
};

static void put(struct out *o, unsigned byte)
{
	o->b[o->n++] = (uint8_t)byte;
}

/* Bits that are stored inverted are ones where they are not used. */
static void put_vex(struct rng *r, const struct row *row, enum decode_mode mode, uint8_t mandatory,
		    struct out *o)
{
	unsigned pp = mandatory == 0x66 ? 1 : mandatory == 0xf3 ? 2 : mandatory == 0xf2 ? 3 : 0;
	unsigned rxb = mode == DECODE_64 ? (unsigned)rng_below(r, 8) : 7;
	unsigned vvvv = rng_chance(r, 40) ? 15 : (unsigned)rng_below(r, 16);
	unsigned w = rng_chance(r, 40) ? 0x80 : 0, l = rng_chance(r, 50) ? 4 : 0;
	unsigned low;

	if (mode != DECODE_64)
		vvvv |= 8;
	low = w | vvvv << 3 | l | pp;
	if (row->map == MAP_VEX_0F && rng_chance(r, 50)) {
		put(o, 0xc5);
		put(o, (low & 0x7f) | (rxb & 4) << 5);
		return;
	}
	put(o, 0xc4);
	put(o, rxb << 5 | (row->map - MAP_VEX_0F + 1u));
	put(o, low);
}

static void put_prefixes(struct rng *r, const struct row *row, enum decode_mode mode, struct out *o)
{
	/* Never FS: what lies there is the C library's. */
	static const uint8_t segs[] = { 0x26, 0x2e, 0x36, 0x3e, 0x65, 0x65 };
	static const uint8_t sse[] = { 0, 0x66, 0xf2, 0xf3 };
	uint8_t mandatory = 0;

	/* GS is a null selector in compatibility mode. */
	if (rng_chance(r, 5))
		put(o, segs[rng_below(r, mode == DECODE_64 ? 6 : 4)]);
	if (rng_chance(r, 6))
		put(o, 0x67);
	if ((row->flags & ROW_LOCK) && rng_chance(r, 25))
		put(o, 0xf0);
	switch (row->prefix) {
	case PRE_ANY:
		if (rng_chance(r, 4))
			put(o, rng_chance(r, 50) ? 0xf2 : 0xf3);
		if (rng_chance(r, 18))
			put(o, 0x66);
		break;
	case PRE_REP:
		if (rng_chance(r, 70))
			put(o, rng_chance(r, 40) ? 0xf2 : 0xf3);
		if (rng_chance(r, 18))
			put(o, 0x66);
		break;
	case PRE_66: mandatory = 0x66; break;
	case PRE_F2: mandatory = 0xf2; break;
	case PRE_F3: mandatory = 0xf3; break;
	case PRE_SSE: mandatory = sse[rng_below(r, 4)]; break;
	}
	if (row->map >= MAP_VEX_0F) {
		put_vex(r, row, mode, mandatory, o);
		return;
	}
	/* CRC32, POPCNT and the like take an operand size beside their own prefix. */
	if ((row->family == FAM_V2 || row->family == FAM_BMI) && rng_chance(r, 20))
		put(o, 0x66);
	if (mandatory)
		put(o, mandatory);
	if (mode == DECODE_64 && rng_chance(r, 50))
		put(o, 0x40 | (unsigned)rng_below(r, 16));
}

static void put_opcode(struct rng *r, const struct row *row, struct out *o)
{
	if (row->map >= MAP_0F && row->map <= MAP_0F3A)
		put(o, 0x0f);
	if (row->map == MAP_0F38)
		put(o, 0x38);
	if (row->map == MAP_0F3A)
		put(o, 0x3a);
	put(o, row->lo + (unsigned)rng_below(r, row->hi - row->lo + 1u));
}

static void put_modrm(struct rng *r, const struct row *row, int rm, struct out *o)
{
	bool reg_form = rng_chance(r, 40);
	unsigned mod = (reg_form && !(row->flags & ROW_MEM_ONLY)) || (row->flags & ROW_REG_ONLY) ?
		       3 : (unsigned)rng_below(r, 3);
	unsigned reg;

	do {
		reg = (unsigned)rng_below(r, 8);
	} while (!(row->regs >> reg & 1));
	put(o, mod << 6 | reg << 3 |
	       (rm < 0 || mod == 3 ? (unsigned)rng_below(r, 8) : (unsigned)rm));
}

const struct row *gen_row(struct rng *r, const struct family *f)
{
	for (;;) {
		const struct row *row = &rows[rng_below(r, nr_rows)];

		if (&families[row->family] == f)
			return row;
	}
}

/* ---- patches ---------------------------------------------------------------------------- */

static void patch(struct gcase *g, unsigned off, unsigned bytes, uint64_t v)
{
	memcpy(g->bytes + off, &v, bytes);
}

/* An address in or at the borders of what is mapped for data. */
static uint64_t data_address(struct rng *r)
{
	static const uint8_t borders[] = { 4, 5, 5, 6, 7, 8, 9, 9, 10 };
	uint64_t page = rng_chance(r, 50) ? 4 : 8;

	if (rng_chance(r, 12))
		return box_page(borders[rng_below(r, sizeof(borders))]) - rng_below(r, 40);
	return box_page((unsigned)page) + (rng_below(r, 2 * PAGE_SIZE - 1024) & ~UINT64_C(15)) +
	       (rng_chance(r, 40) ? rng_below(r, 16) : 0);
}

/* Displacements small enough that no base chosen for them leaves the low 4 GiB. */
static void patch_disp(struct rng *r, struct gcase *g)
{
	const struct ZydisDecodedInstructionRaw_ *raw = &g->z.i.raw;
	const ZydisDecodedOperandMem *mem = NULL;
	unsigned size = raw->disp.size / 8u;
	uint64_t v;

	for (unsigned i = 0; i < g->z.i.operand_count && !mem; i++)
		if (g->z.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			mem = &g->z.op[i].mem;
	if (size < 4 || !mem)
		return;
	v = data_address(r);
	if (mem->segment == ZYDIS_REGISTER_GS)
		v -= native_gs_base();
	if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
		v -= g->at + g->len;
	else if (mem->base != ZYDIS_REGISTER_NONE)
		v = rng_next(r) % 0x20000 - 0x10000;
	patch(g, raw->disp.offset, size, v);
}

/* Where a relative branch may go: traps in the code pages, or nothing. */
static uint64_t branch_target(struct rng *r, const struct gcase *g)
{
	for (;;) {
		uint64_t t = rng_chance(r, 92) ? BOX_BASE + rng_below(r, 2 * PAGE_SIZE) :
			     rng_chance(r, 50) ? box_page(2) + rng_below(r, 64) :
			     box_page(4) + rng_below(r, PAGE_SIZE);

		if (t < g->at || t >= g->at + g->len + 16)
			return t;
	}
}

static bool patch_branch(struct rng *r, struct gcase *g)
{
	const struct ZydisDecodedInstructionRawImm_ *imm = &g->z.i.raw.imm[0];
	uint64_t end = g->at + g->len;
	int64_t d;

	if (!imm->is_relative)
		return true;
	if (imm->size == 8) {
		do {
			d = (int8_t)rng_next(r);
		} while (d >= -(int64_t)g->len && d < 16);
	} else {
		d = (int64_t)(branch_target(r, g) - end);
	}
	patch(g, imm->offset, imm->size / 8u, (uint64_t)d);
	return true;
}

/* ---- choice ----------------------------------------------------------------------------- */

static bool has_prefix(const ZydisDecodedInstruction *i, uint8_t p)
{
	for (unsigned n = 0; n < i->raw.prefix_count; n++)
		if (i->raw.prefixes[n].value == p)
			return true;
	return false;
}

static bool is_branch(const ZydisDecodedInstruction *i)
{
	return i->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE ||
	       i->meta.category == ZYDIS_CATEGORY_RET;
}

static bool wanted(const struct gen *n, const struct gcase *g)
{
	const struct decoder *d = n->d;
	const ZydisDecodedInstruction *i = &g->z.i;

	if (!n->host[i->meta.isa_set] || !cpu_model_isa(d->model, i->meta.isa_set))
		return false;
	if (g->mode == DECODE_64 && is_branch(i) && has_prefix(i, 0x66))
		return false;
	if ((i->mnemonic == ZYDIS_MNEMONIC_BSF || i->mnemonic == ZYDIS_MNEMONIC_BSR) &&
	    has_prefix(i, 0xf3) && !cpu_model_isa(d->model, ZYDIS_ISA_SET_BMI1))
		return false;
	/* PREFETCHW of a register: #UD on AMD, a NOP on Intel. */
	if (i->opcode_map == ZYDIS_OPCODE_MAP_0F && i->opcode == 0x0d && i->raw.modrm.mod == 3)
		return false;
	/* Intel says that it reads two bytes, AMD reads four. */
	if (i->mnemonic == ZYDIS_MNEMONIC_MOVSXD && i->operand_width == 16 && i->raw.modrm.mod != 3)
		return false;
	return true;
}

/* In the middle of a page, or so that it ends in, or goes on to, the next one. */
static uint64_t place(struct rng *r, unsigned len)
{
	if (rng_chance(r, 88))
		return BOX_BASE + 0x800 + rng_below(r, 64);
	return box_page(rng_chance(r, 70) ? 1 : 2) - rng_below(r, len + 8u);
}

static bool decode(const struct gen *n, struct gcase *g)
{
	return ZYAN_SUCCESS(decode_zydis(n->d, g->mode, g->bytes, INSN_MAX_BYTES, &g->z));
}

/*
 * Encodings that are none: a bit of the VEX prefix is turned, and what is left
 * is no instruction.  Should the host think otherwise, its operands are those
 * of the one it was.
 */
static void break_vex(struct rng *r, const struct gen *n, struct gcase *g)
{
	struct gcase b = *g;
	unsigned at = 0;

	/* Before a page that is missing either fault may come first; and AMD knows these with W 0. */
	if (g->at + INSN_MAX_BYTES > box_page(2) || g->z.i.mnemonic == ZYDIS_MNEMONIC_VPERMQ ||
	    g->z.i.mnemonic == ZYDIS_MNEMONIC_VPERMPD)
		return;
	while (b.bytes[at] != 0xc4 && b.bytes[at] != 0xc5)
		at++;
	at += b.bytes[at] == 0xc4 ? 2 : 1;
	b.bytes[at] ^= (uint8_t)(1u << rng_below(r, b.bytes[at - 1] == 0xc5 ? 7 : 8));
	if (decode_zydis(n->d, g->mode, b.bytes, INSN_MAX_BYTES, &b.z) !=
	    ZYDIS_STATUS_DECODING_ERROR)
		return;
	memcpy(g->bytes, b.bytes, sizeof(g->bytes));
	g->broken = true;
}

bool gen_try(struct rng *r, const struct gen *n, const struct row *row, int rm, struct gcase *g)
{
	struct out o = { .n = 0 };

	g->mode = (row->flags & ROW_32) || rng_chance(r, 20) ? DECODE_32 : DECODE_64;
	if (g->mode == DECODE_32 && !native_has_32())
		return false;
	put_prefixes(r, row, g->mode, &o);
	put_opcode(r, row, &o);
	if (row->flags & ROW_MODRM)
		put_modrm(r, row, rm, &o);
	while (o.n < INSN_MAX_BYTES)
		put(&o, (unsigned)rng_next(r) & 0xff);
	memcpy(g->bytes, o.b, INSN_MAX_BYTES);
	if (!decode(n, g) || !wanted(n, g))
		return false;
	g->len = g->z.i.length;
	g->at = place(r, g->len);
	g->family = &families[row->family];
	g->branch = is_branch(&g->z.i);
	g->rep = row->family == FAM_STRING;
	g->broken = false;
	patch_disp(r, g);
	if ((g->branch && !patch_branch(r, g)) || !decode(n, g))
		return false;
	if (row->map >= MAP_VEX_0F && rng_chance(r, 3))
		break_vex(r, n, g);
	return true;
}

/* CPUID is slow where it traps, so it is asked once. */
void gen_open(struct gen *n, const struct decoder *d)
{
	n->d = d;
	for (unsigned i = 0; i <= ZYDIS_ISA_SET_MAX_VALUE; i++)
		n->host[i] = cpu_host_isa(i);
}

void gen_insn(struct rng *r, const struct gen *n, const struct family *f, struct gcase *ret_g)
{
	const struct family *want;

	do {
		/* Any family: each as often as any other, however many rows it has. */
		want = f ? f : &families[rng_below(r, nr_families)];
	} while (want == &families[FAM_LEGACY] && !f && !native_has_32());
	ret_g->seq = false;
	if (want == &families[FAM_SEQ])
		gen_sequence(r, n, ret_g);
	else
		while (!gen_try(r, n, gen_row(r, want), -1, ret_g))
			;
}
