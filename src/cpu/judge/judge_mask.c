/*
 * judge_mask.c - what two processors may disagree on
 *
 * Flags that the manuals call undefined, a few undefined results, and the
 * parts of the FXSAVE image that are instruction pointers or reserved.  What is
 * not in these tables must agree to the bit.
 *
 * Spec     [SDM 1] appendix A flags; [SDM 2] each instruction; [APM 3]
 * Lock     none
 */
#include "cpu/judge/judge.h"

#include <string.h>

#define F_COMPARED (X86_ARITH | X86_DF | X86_AC | X86_ID | X86_NT)

static unsigned operand_bits(const struct gcase *g)
{
	return g->z.op[0].size;
}

/* The masked count of a shift: CL, an immediate, or the one of D0 and D1. */
static unsigned shift_count(const struct gcase *g, const struct state *s, unsigned op)
{
	unsigned n = g->z.op[op].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ?
		     (unsigned)g->z.op[op].imm.value.u : (unsigned)s->gpr[CPU_RCX];

	return n & (operand_bits(g) == 64 ? 63 : 31);
}

static uint64_t undefined_shift(const struct gcase *g, const struct state *s)
{
	unsigned n = shift_count(g, s, 1);

	if (n == 0)
		return 0;
	return X86_AF | (n > 1 ? X86_OF : 0) | (n > operand_bits(g) ? X86_CF : 0);
}

static uint64_t undefined_shiftd(const struct gcase *g, const struct state *s)
{
	unsigned n = shift_count(g, s, 2);

	if (n == 0)
		return 0;
	return n > operand_bits(g) ? X86_ARITH : X86_AF | (n > 1 ? X86_OF : 0u);
}

static uint64_t undefined_flags(const struct gcase *g, const struct state *s)
{
	switch (g->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_TEST:
		return X86_AF;
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
		return undefined_shift(g, s);
	case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR:
	case ZYDIS_MNEMONIC_RCL:
	case ZYDIS_MNEMONIC_RCR:
		return shift_count(g, s, 1) > 1 ? X86_OF : 0;
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		return undefined_shiftd(g, s);
	case ZYDIS_MNEMONIC_MUL:
	case ZYDIS_MNEMONIC_IMUL:
		return X86_SF | X86_ZF | X86_AF | X86_PF;
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		return X86_ARITH;
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return X86_OF | X86_SF | X86_AF | X86_PF;
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
		return X86_CF | X86_OF | X86_SF | X86_AF | X86_PF;
	case ZYDIS_MNEMONIC_ANDN:
	case ZYDIS_MNEMONIC_BLSI:
	case ZYDIS_MNEMONIC_BLSMSK:
	case ZYDIS_MNEMONIC_BLSR:
	case ZYDIS_MNEMONIC_BZHI:
		return X86_AF | X86_PF;
	case ZYDIS_MNEMONIC_BEXTR:
		return X86_SF | X86_AF | X86_PF;
	case ZYDIS_MNEMONIC_TZCNT:
	case ZYDIS_MNEMONIC_LZCNT:
		return X86_OF | X86_SF | X86_AF | X86_PF;
	case ZYDIS_MNEMONIC_DAA:
	case ZYDIS_MNEMONIC_DAS:
		return X86_OF;
	case ZYDIS_MNEMONIC_AAA:
	case ZYDIS_MNEMONIC_AAS:
		return X86_OF | X86_SF | X86_ZF | X86_PF;
	case ZYDIS_MNEMONIC_AAM:
	case ZYDIS_MNEMONIC_AAD:
		return X86_OF | X86_AF | X86_CF;
	default:
		return 0;
	}
}

/*
 * A fault leaves even undefined flags alone, with one exception: Intel gives a
 * REP CMPS or SCAS its first flags back, AMD leaves those of the last element.
 */
uint64_t mask_flags(const struct gcase *g, const struct state *s, bool faulted)
{
	if (g->seq)
		return F_COMPARED & ~(uint64_t)X86_AF;
	if (!faulted)
		return F_COMPARED & ~undefined_flags(g, s);
	return g->rep ? F_COMPARED & ~(uint64_t)X86_ARITH : F_COMPARED;
}

/* Flags that an instruction is sure to write: not a shift, whose count may be zero. */
static uint64_t written_flags(const struct zin *z)
{
	const ZydisAccessedFlags *f = z->i.cpu_flags;

	if (f == NULL)
		return 0;
	if (z->i.meta.category == ZYDIS_CATEGORY_SHIFT ||
	    z->i.meta.category == ZYDIS_CATEGORY_ROTATE)
		for (unsigned i = 0; i < z->i.operand_count; i++)
			if (z->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER ?
			    z->op[i].reg.value == ZYDIS_REGISTER_CL :
			    z->op[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
			    (z->op[i].imm.value.u & 31) == 0)
				return 0;
	return (f->modified | f->set_0 | f->set_1 | f->undefined) & X86_ARITH;
}

/* Not one that only leads to the next instruction. */
static bool leaves(const struct zin *z)
{
	bool near = z->i.opcode >> 4 == 7 || z->i.opcode == 0xeb;	/* Jcc, JMP rel8 */

	return z->i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
	       !(near && z->i.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
		 z->i.raw.imm[0].value.u == 0);
}

/*
 * Straight on from RIP as far as no branch is: there, and behind the case, all flags may
 * be used.
 */
uint64_t mask_dead_flags(const struct decoder *d, const struct gcase *g, uint64_t rip)
{
	uint64_t open = X86_ARITH, dead = 0;
	unsigned at = (unsigned)(rip - g->at);
	struct zin z;

	for (; rip >= g->at && at < g->len && open != 0; at += z.i.length) {
		if (!ZYAN_SUCCESS(decode_zydis(d, g->mode, g->bytes + at, g->len - at, &z)) ||
		    leaves(&z))
			break;
		if (z.i.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE && z.i.cpu_flags != NULL)
			open &= ~(uint64_t)z.i.cpu_flags->tested;
		dead |= open & written_flags(&z);
		open &= ~dead;
	}
	return dead;
}

/* A bit offset that is an address too leads anywhere. */
static bool roams(const struct gcase *g)
{
	const ZydisDecodedOperand *op = g->z.op;

	return op[0].type == ZYDIS_OPERAND_TYPE_MEMORY && op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       (ZydisRegisterGetId(op[1].reg.value) == ZydisRegisterGetId(op[0].mem.base) ||
		ZydisRegisterGetId(op[1].reg.value) == ZydisRegisterGetId(op[0].mem.index));
}

/* SHA of an operand in memory that is not aligned: #GP on Intel, AMD takes it. */
static bool unaligned_sha(const struct gcase *g, const struct state *s)
{
	return g->z.i.meta.isa_set == ZYDIS_ISA_SET_SHA &&
	       g->z.op[1].type == ZYDIS_OPERAND_TYPE_MEMORY && (case_address(g, s, 1, 0) % 16);
}

bool mask_case(const struct gcase *g, const struct state *s)
{
	if (g->seq)
		return false;
	if (unaligned_sha(g, s))
		return true;
	switch (g->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		return shift_count(g, s, 2) > operand_bits(g);
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return roams(g);
	case ZYDIS_MNEMONIC_UD1:	/* does it have a ModRM to fetch? AMD: no */
		return g->at + g->len > box_page(2);
	case ZYDIS_MNEMONIC_CALL:	/* which is first, a bad target or a bad stack? */
		return g->z.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       g->z.op[0].reg.value == ZYDIS_REGISTER_RSP;
	case ZYDIS_MNEMONIC_BSWAP:
		return operand_bits(g) == 16;
	default:
		return false;
	}
}

/* Some turn to MMX before they look at the address. */
bool mask_fault_fx(const struct gcase *g)
{
	return g->z.i.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;
}

/* FCOMI clears C1, says Intel; AMD leaves it. */
static bool any_c1(const struct gcase *g)
{
	switch (g->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_FCOMI:
	case ZYDIS_MNEMONIC_FCOMIP:
	case ZYDIS_MNEMONIC_FUCOMI:
	case ZYDIS_MNEMONIC_FUCOMIP:
		return true;
	default:
		return false;
	}
}

/* Whether a shift's count is such that more is undefined depends on the state: any may. */
bool mask_undefined(const struct gcase *g)
{
	static const struct state s;

	return (undefined_flags(g, &s) & ~(uint64_t)X86_AF) || any_c1(g);
}

void mask_fx(const struct gcase *g, uint8_t fx[FX_BYTES])
{
	if (any_c1(g))
		fx[3] &= (uint8_t)~2u;
	fx[5] = 0;
	memset(fx + 6, 0, 18);		/* FOP, FIP, FDP */
	memset(fx + 28, 0, 4);		/* MXCSR_MASK */
	for (unsigned i = 0; i < 8; i++)
		memset(fx + 32 + i * 16 + 10, 0, 6);
	memset(fx + 416, 0, FX_YMM - 416);
}
