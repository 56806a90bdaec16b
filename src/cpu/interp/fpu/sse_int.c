/*
 * sse_int.c - vector instructions on XMM registers that know no MXCSR:
 * integers, logic, shuffles
 *
 * The odd truth: a memory operand is always 16 bytes and aligned, except where
 * the instruction reads only part of a register; the widening moves read 8, 4
 * or 2 bytes and do not care about alignment.
 *
 * Spec     [SDM 2] by name; 2.4 exception classes 4, 5
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

/* ---- shared handlers -------------------------------------------------------------------- */

void xop_rr(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);

	sse_gate(c);
	f->xmm[in->reg] = XOP(in)(f->xmm[in->reg], f->xmm[in->rm]);
}

void xop_m16(struct interp *c, const struct insn *in)
{
	__m128i s;

	sse_gate(c);
	s = load_x16(c, in);
	fx(c)->xmm[in->reg] = XOP(in)(fx(c)->xmm[in->reg], s);
}

void xop_m8(struct interp *c, const struct insn *in)
{
	__m128i s;

	sse_gate(c);
	s = load_x(c, in, 8);
	fx(c)->xmm[in->reg] = XOP(in)(fx(c)->xmm[in->reg], s);
}

void xop_m4(struct interp *c, const struct insn *in)
{
	__m128i s;

	sse_gate(c);
	s = load_x(c, in, 4);
	fx(c)->xmm[in->reg] = XOP(in)(fx(c)->xmm[in->reg], s);
}

void xop_m2(struct interp *c, const struct insn *in)
{
	__m128i s;

	sse_gate(c);
	s = load_x(c, in, 2);
	fx(c)->xmm[in->reg] = XOP(in)(fx(c)->xmm[in->reg], s);
}

/* ---- the hot ones, without a thunk ------------------------------------------------------ */

#define HOT(X) \
	X(PXOR, _mm_xor_si128(d, s)) X(XORPS, _mm_xor_si128(d, s)) X(XORPD, _mm_xor_si128(d, s)) \
	X(POR, _mm_or_si128(d, s)) X(ORPS, _mm_or_si128(d, s)) X(ORPD, _mm_or_si128(d, s)) \
	X(PAND, _mm_and_si128(d, s)) X(ANDPS, _mm_and_si128(d, s)) X(ANDPD, _mm_and_si128(d, s)) \
	X(PANDN, _mm_andnot_si128(d, s)) X(ANDNPS, _mm_andnot_si128(d, s)) \
	X(ANDNPD, _mm_andnot_si128(d, s)) X(PCMPEQB, _mm_cmpeq_epi8(d, s)) \
	X(PCMPEQW, _mm_cmpeq_epi16(d, s)) X(PCMPEQD, _mm_cmpeq_epi32(d, s)) \
	X(PCMPGTB, _mm_cmpgt_epi8(d, s)) X(PMINUB, _mm_min_epu8(d, s)) \
	X(PADDB, _mm_add_epi8(d, s)) X(PADDD, _mm_add_epi32(d, s)) X(PADDQ, _mm_add_epi64(d, s)) \
	X(PSUBB, _mm_sub_epi8(d, s)) X(PSUBD, _mm_sub_epi32(d, s)) X(PSUBQ, _mm_sub_epi64(d, s)) \
	X(PUNPCKLBW, _mm_unpacklo_epi8(d, s)) X(PUNPCKLWD, _mm_unpacklo_epi16(d, s)) \
	X(PUNPCKLDQ, _mm_unpacklo_epi32(d, s)) X(PUNPCKLQDQ, _mm_unpacklo_epi64(d, s)) \
	X(PUNPCKHQDQ, _mm_unpackhi_epi64(d, s))

#define HOT_FN(INS, EXPR) \
	static void hot_##INS##_rr(struct interp *c, const struct insn *in) \
	{ \
		struct fxsave *f = fx(c); \
		__m128i d = f->xmm[in->reg], s = f->xmm[in->rm]; \
		sse_gate(c); \
		f->xmm[in->reg] = EXPR; \
	} \
	static void hot_##INS##_m16(struct interp *c, const struct insn *in) \
	{ \
		__m128i d, s; \
		sse_gate(c); \
		s = load_x16(c, in); \
		d = fx(c)->xmm[in->reg]; \
		fx(c)->xmm[in->reg] = EXPR; \
	}
HOT(HOT_FN)

static bool bind_hot(const struct zin *z, bool mem, struct insn *out)
{
	switch (z->i.mnemonic) {
#define CASE(INS, EXPR) \
	case ZYDIS_MNEMONIC_##INS: \
		out->fn = mem ? hot_##INS##_m16 : hot_##INS##_rr; \
		return true;
	HOT(CASE)
#undef CASE
	default:
		return false;
	}
}

/* ---- one row per instruction ------------------------------------------------------------ */

#define OPS16(X) \
	X(PADDW) X(PSUBW) X(PADDSB) X(PADDSW) X(PADDUSB) X(PADDUSW) X(PSUBSB) X(PSUBSW) \
	X(PSUBUSB) X(PSUBUSW) X(PMULLW) X(PMULHW) X(PMULHUW) X(PMULUDQ) X(PMADDWD) X(PAVGB) \
	X(PAVGW) X(PMINSW) X(PMAXUB) X(PMAXSW) X(PSADBW) X(PCMPGTW) X(PCMPGTD) X(PACKSSWB) \
	X(PACKSSDW) X(PACKUSWB) X(PUNPCKHBW) X(PUNPCKHWD) X(PUNPCKHDQ) \
	X(UNPCKLPS) X(UNPCKLPD) X(UNPCKHPS) X(UNPCKHPD) \
	X(PHADDW) X(PHADDD) X(PHADDSW) X(PHSUBW) X(PHSUBD) X(PHSUBSW) X(PMADDUBSW) X(PMULHRSW) \
	X(PSHUFB) X(PSIGNB) X(PSIGNW) X(PSIGND) X(PABSB) X(PABSW) X(PABSD) \
	X(PCMPEQQ) X(PCMPGTQ) X(PACKUSDW) X(PMINSB) X(PMINSD) X(PMINUW) X(PMINUD) X(PMAXSB) \
	X(PMAXSD) X(PMAXUW) X(PMAXUD) X(PMULLD) X(PMULDQ) X(PHMINPOSUW) \
	X(MOVSHDUP) X(MOVSLDUP) \
	X(AESENC) X(AESENCLAST) X(AESDEC) X(AESDECLAST) X(AESIMC)

/* Shifts have a third form, by an immediate count. */
#define SHIFTS(X) \
	X(PSLLW) X(PSLLD) X(PSLLQ) X(PSRLW) X(PSRLD) X(PSRLQ) X(PSRAW) X(PSRAD)

#define OPS_PART(X) \
	X(PMOVSXBW, xop_m8) X(PMOVSXBD, xop_m4) X(PMOVSXBQ, xop_m2) X(PMOVSXWD, xop_m8) \
	X(PMOVSXWQ, xop_m4) X(PMOVSXDQ, xop_m8) X(PMOVZXBW, xop_m8) X(PMOVZXBD, xop_m4) \
	X(PMOVZXBQ, xop_m2) X(PMOVZXWD, xop_m8) X(PMOVZXWQ, xop_m4) X(PMOVZXDQ, xop_m8) \
	X(MOVDDUP, xop_m8)

#define THUNK_ROW(INS) THUNK_X(INS);
OPS16(THUNK_ROW)
SHIFTS(THUNK_ROW)
#define THUNK_PART(INS, FN) THUNK_X(INS);
OPS_PART(THUNK_PART)

/* The count of an immediate shift is put where a register's would be. */
static void shift_imm(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);

	sse_gate(c);
	f->xmm[in->reg] = XOP(in)(f->xmm[in->reg], _mm_cvtsi32_si128(in->op[0]));
}

static bool bind_shift(const struct zin *z, const struct forms *f, struct insn *out)
{
	switch (z->i.mnemonic) {
#define CASE(INS) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_x_##INS); \
		break;
	SHIFTS(CASE)
#undef CASE
	default:
		return false;
	}
	if (f->op[1] == OP_IMM) {
		out->op[0] = f->imm;
		out->fn = shift_imm;
	} else {
		out->fn = out->mem ? xop_m16 : xop_rr;
	}
	return true;
}

bool bind_int_x(const struct zin *z, const struct forms *f, struct insn *out)
{
	if (f->op[0] != OP_X)
		return false;
	if (bind_shift(z, f, out))
		return true;
	if (f->op[1] != OP_X && f->op[1] != OP_MEM)
		return false;
	if (bind_hot(z, out->mem, out))
		return true;
	switch (z->i.mnemonic) {
#define CASE(INS) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_x_##INS); \
		out->fn = out->mem ? xop_m16 : xop_rr; \
		return true;
	OPS16(CASE)
#undef CASE
#define CASE(INS, FN) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_x_##INS); \
		out->fn = out->mem ? FN : xop_rr; \
		return true;
	OPS_PART(CASE)
#undef CASE
	default:
		return false;
	}
}
