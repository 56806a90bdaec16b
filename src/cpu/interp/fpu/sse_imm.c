/*
 * sse_imm.c - vector instructions steered by an immediate byte
 *
 * An immediate is part of the opcode, so each value has its own thunk: 256 of
 * them, 8 bytes each, and the binder picks one.
 *
 * Spec     [SDM 2] by name
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

#define OPS_IMM(X) \
	X(PSHUFD) X(PSHUFHW) X(PSHUFLW) X(SHUFPS) X(SHUFPD) X(PALIGNR) X(BLENDPS) X(BLENDPD) \
	X(PBLENDW) X(MPSADBW) X(PCLMULQDQ) X(AESKEYGENASSIST)

#define ROW(INS) THUNK_XI(INS, 256, "%xmm1, %xmm0");
OPS_IMM(ROW)
#undef ROW

THUNK_XI(INSERTPS, 256, "%xmm1, %xmm0");
THUNK_XI(PSLLDQ, 256, "%xmm0");
THUNK_XI(PSRLDQ, 256, "%xmm0");

/* The mask is XMM0 by definition: a first argument; then source, destination. */
typedef __m128i blendv_fn(__m128i mask, __m128i s, __m128i d);

#define OPS_BLENDV(X) X(PBLENDVB) X(BLENDVPS) X(BLENDVPD)

#define ROW(INS) \
	__asm__(THUNK_SECTION "th_bv_" #INS ": " #INS " %xmm0, %xmm1, %xmm2\n\t" \
		"movdqa %xmm2, %xmm0\n\tret\n\t.popsection"); \
	THUNK_HIDDEN __m128i th_bv_##INS(__m128i mask, __m128i s, __m128i d);
OPS_BLENDV(ROW)
#undef ROW

static void blendv_rr(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	blendv_fn *fn = (blendv_fn *)(uintptr_t)in->imm;

	sse_gate(c);
	f->xmm[in->reg] = fn(f->xmm[0], f->xmm[in->rm], f->xmm[in->reg]);
}

static void blendv_m16(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	blendv_fn *fn = (blendv_fn *)(uintptr_t)in->imm;
	__m128i s;

	sse_gate(c);
	s = load_x16(c, in);
	f->xmm[in->reg] = fn(f->xmm[0], s, f->xmm[in->reg]);
}

static bool bind_blendv(const struct zin *z, struct insn *out)
{
	switch (z->i.mnemonic) {
#define CASE(INS) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_bv_##INS); \
		break;
	OPS_BLENDV(CASE)
#undef CASE
	default:
		return false;
	}
	out->fn = out->mem ? blendv_m16 : blendv_rr;
	return true;
}

static bool bind_odd(const struct zin *z, const struct forms *f, struct insn *out)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_INSERTPS:
		/* From memory there is one element to choose from. */
		set_thunk(out, th_xi_INSERTPS + 8 * (out->mem ? f->imm & 0x3f : f->imm));
		out->fn = out->mem ? xop_m4 : xop_rr;
		return true;
	case ZYDIS_MNEMONIC_PSLLDQ:
		set_thunk(out, th_xi_PSLLDQ + 8 * f->imm);
		break;
	case ZYDIS_MNEMONIC_PSRLDQ:
		set_thunk(out, th_xi_PSRLDQ + 8 * f->imm);
		break;
	default:
		return false;
	}
	out->rm = out->reg;
	out->fn = xop_rr;
	return true;
}

bool bind_imm_x(const struct zin *z, const struct forms *f, struct insn *out)
{
	if (f->op[0] != OP_X)
		return false;
	if (bind_odd(z, f, out))
		return true;
	if (f->op[1] != OP_X && f->op[1] != OP_MEM)
		return false;
	switch (z->i.mnemonic) {
#define CASE(INS) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_xi_##INS + 8 * f->imm); \
		break;
	OPS_IMM(CASE)
#undef CASE
	default:
		return bind_blendv(z, out);
	}
	out->fn = out->mem ? xop_m16 : xop_rr;
	return true;
}
