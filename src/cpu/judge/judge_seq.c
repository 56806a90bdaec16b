/*
 * judge_seq.c - random sequences: what runs as blocks must be right as blocks
 *
 * Two to twelve instructions: registers, flags and vectors handed on, memory
 * near two registers that none of them writes, pushes and pops, short forward
 * jumps, and sometimes a LOOP back that RCX bounds.  A fault in the middle must
 * show what came before it and nothing after.
 *
 * Left out is what leaves a flag undefined (but AF, which nobody here looks
 * at): the next instruction could make a register of it.
 *
 * Lock     none
 */
#include "cpu/judge/judge_rows.h"

#include <string.h>

#define LOOP_MAX 6u		/* rounds */

static const uint8_t from[] = {
	FAM_ALU, FAM_ALU, FAM_ALU, FAM_UNARY, FAM_V2, FAM_ATOMIC, FAM_MOV, FAM_MOV, FAM_MOV,
	FAM_COND, FAM_COND, FAM_FLAG, FAM_STACK, FAM_STACK, FAM_BMI, FAM_SSE, FAM_SSEINT, FAM_SSE3,
	FAM_SSE4, FAM_AVX, FAM_AVXINT, FAM_FMA, FAM_CRYPTO, FAM_X87, FAM_MMX,
};

struct part {
	uint8_t bytes[INSN_MAX_BYTES];
	unsigned len, at;
	int to;			/* index of the part a branch goes to, or -1 */
};

/* ---- what may stand in a sequence ---------------------------------------------------------- */

static int gpr_id(ZydisRegister r)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);

	return wide >= ZYDIS_REGISTER_RAX && wide <= ZYDIS_REGISTER_R15 ?
	       (int)(wide - ZYDIS_REGISTER_RAX) : -1;
}

static bool unfit(const struct gcase *g)
{
	switch (g->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_LAHF:
	case ZYDIS_MNEMONIC_XLAT:
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
	case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_SHA1RNDS4:
	case ZYDIS_MNEMONIC_SHA1NEXTE:
	case ZYDIS_MNEMONIC_SHA1MSG1:
	case ZYDIS_MNEMONIC_SHA1MSG2:
	case ZYDIS_MNEMONIC_SHA256RNDS2:
	case ZYDIS_MNEMONIC_SHA256MSG1:
	case ZYDIS_MNEMONIC_SHA256MSG2:
		return true;
	default:
		return g->mode != DECODE_64 || g->branch || g->rep || mask_undefined(g);
	}
}

/* Memory is near an anchor (ANCHOR, or the register eight above), absolute, or the stack. */
static bool fits_memory(const ZydisDecodedOperandMem *m, const struct gcase *g, int anchor)
{
	if (m->type == ZYDIS_MEMOP_TYPE_AGEN)
		return true;
	if (m->type != ZYDIS_MEMOP_TYPE_MEM || m->segment == ZYDIS_REGISTER_GS)
		return false;
	if (g->family == &families[FAM_STACK] && m->base == ZYDIS_REGISTER_RSP &&
	    !m->disp.has_displacement)
		return true;
	if (g->z.i.address_width != 64 || m->index != ZYDIS_REGISTER_NONE)
		return false;
	return m->base == ZYDIS_REGISTER_NONE || (gpr_id(m->base) & 7) == anchor;
}

/* Writes a register that the sequence needs as it is: RSP is for PUSH and POP alone. */
static bool spoils(const struct gcase *g, const ZydisDecodedOperand *op, int anchor, bool loop)
{
	bool pushes = g->family == &families[FAM_STACK] &&
		      op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
	int r = gpr_id(op->reg.value);

	return r >= 0 && ((r & 7) == anchor || (loop && r == CPU_RCX) ||
			  (r == CPU_RSP && !pushes));
}

static bool fits(const struct gcase *g, int anchor, bool loop)
{
	if (unfit(g))
		return false;
	for (unsigned i = 0; i < g->z.i.operand_count; i++) {
		const ZydisDecodedOperand *op = &g->z.op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !fits_memory(&op->mem, g, anchor))
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) && spoils(g, op, anchor, loop))
			return false;
	}
	return true;
}

/* ---- parts --------------------------------------------------------------------------------- */

/* A displacement of 32 bits beside a register stays in the neighbourhood. */
static void tame(struct rng *r, struct gcase *g)
{
	const struct ZydisDecodedInstructionRaw_ *raw = &g->z.i.raw;
	int32_t d = (int32_t)rng_below(r, 2048) - 1024;

	for (unsigned i = 0; i < g->z.i.operand_count; i++)
		if (g->z.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    gpr_id(g->z.op[i].mem.base) >= 0 && raw->disp.size == 32)
			memcpy(g->bytes + raw->disp.offset, &d, sizeof(d));
}

static void gen_plain(struct rng *r, const struct gen *gen, int anchor, bool loop, struct gcase *g,
		      struct part *p)
{
	do {
		while (!gen_try(r, gen, gen_row(r, &families[from[rng_below(r, sizeof(from))]]),
				anchor, g))
			;
	} while (g->broken || !fits(g, anchor, loop));
	tame(r, g);
	memcpy(p->bytes, g->bytes, sizeof(p->bytes));
	p->len = g->len;
	p->to = -1;
}

static void put_branch(struct part *p, uint8_t opcode, unsigned to)
{
	p->bytes[0] = opcode;
	p->len = 2;
	p->to = (int)to;
}

/* Lays the parts out one behind the other, branches with their distances. */
static void join(struct part *p, unsigned n, struct gcase *g)
{
	unsigned len = 0;

	for (unsigned i = 0; i < n; i++) {
		p[i].at = len;
		len += p[i].len;
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned to = p[i].to < 0 ? 0 : (unsigned)p[i].to < n ? p[p[i].to].at : len;

		if (p[i].to >= 0)
			p[i].bytes[1] = (uint8_t)(to - p[i].at - 2);
		memcpy(g->bytes + p[i].at, p[i].bytes, p[i].len);
	}
	g->len = len;
}

void gen_sequence(struct rng *r, const struct gen *gen, struct gcase *ret_g)
{
	static const uint8_t anchors[] = { CPU_RBX, CPU_RSI, CPU_RDI };
	unsigned n = 2 + (unsigned)rng_below(r, SEQ_INSNS - 1);
	struct part p[SEQ_INSNS];

	ret_g->anchor = anchors[rng_below(r, sizeof(anchors))];
	ret_g->loop = rng_chance(r, 30);
	for (unsigned i = 0; i < n; i++) {
		/* At most 127 bytes ahead or back: eight instructions. */
		unsigned ahead = i + 1 + (unsigned)rng_below(r, min_u64(n - i, 8));
		unsigned back = i - (unsigned)rng_below(r, min_u64(i, 7) + 1);

		if (ret_g->loop && i == n - 1)
			put_branch(&p[i], (uint8_t)(0xe0 + rng_below(r, 3)), back);
		else if (rng_chance(r, 15))
			put_branch(&p[i], rng_chance(r, 85) ?
				   (uint8_t)(0x70 + rng_below(r, 16)) : 0xeb, ahead);
		else
			gen_plain(r, gen, ret_g->anchor, ret_g->loop, ret_g, &p[i]);
	}
	join(p, n, ret_g);
	ret_g->mode = DECODE_64;
	ret_g->seq = true;
	ret_g->branch = ret_g->rep = ret_g->broken = false;
	ret_g->family = &families[FAM_SEQ];
	/* Now and then across the border of two pages that are both there. */
	ret_g->at = BOX_BASE + 0x800 + rng_below(r, 64);
	if (rng_chance(r, 12))
		ret_g->at = box_page(1) - rng_below(r, ret_g->len);
}

void seq_state(struct rng *r, const struct gcase *g, struct state *s)
{
	unsigned hi = g->anchor + 8u;

	s->gpr[g->anchor] = box_page(4) + 2048 + rng_below(r, PAGE_SIZE);
	s->gpr[hi] = box_page(8) + 2048 + rng_below(r, PAGE_SIZE);
	for (unsigned k = 0; k < 2; k++) {
		uint64_t *a = &s->gpr[k ? hi : g->anchor];

		if (rng_chance(r, 80))
			*a &= ~UINT64_C(63);
		if (rng_chance(r, 8))
			*a = box_page(rng_chance(r, 50) ? 6 : 10) - rng_below(r, 256);
	}
	if (g->loop)
		s->gpr[CPU_RCX] = 1 + rng_below(r, LOOP_MAX);
}
