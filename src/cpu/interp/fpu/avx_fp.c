/*
 * avx_fp.c - vector floating point with a VEX prefix, FMA and half precision
 *
 * As sse_fp.c, in pieces of 16 bytes where a guest has unmasked exceptions.
 *
 * The odd truth: VROUND and VCMP look at their own immediate, VCVTPS2PH at its
 * own rounding, and that one never flushes to zero whatever MXCSR says.
 *
 * Spec     [SDM 1] 14.5 FMA, 14.4 half precision; [SDM 2] by name
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

static uint64_t call(const struct insn *in, struct vregs *v)
{
	return avx_call((const void *)(uintptr_t)in->imm, v);
}

static unsigned pieces(const struct insn *in)
{
	return in->cond & AVX_L ? 2 : 1;
}

static struct fp_what what(const struct insn *in)
{
	return (struct fp_what){ (enum fp_kind)in->op[3], (enum fp_op)in->op[2] };
}

/* ---- two sources, or one ---------------------------------------------------------------- */

/* The unmasked dot product raises what it raises before anything is computed. */
static void dot(struct interp *c, const struct insn *in, const struct vregs *v, struct fp_what *w)
{
	if (w->op != FP_DP || fp_all_masked(c))
		return;
	fp_dot_unmasked(c, w->kind == FP_PD, in->op[1], pieces(in), v->a, v->b);
	w->op = FP_OTHER;
}

static __attribute__((noinline)) void fp_slow(struct interp *c, const struct insn *in,
					      struct vregs *v)
{
	struct fp_what w = what(in);
	struct fp_lanes l = { pieces(in), v->a, v->b, NULL, v->d };
	__m128i half[2];

	dot(c, in, v, &w);
	fp_begin(c);
	call(in, v);
	if (w.kind == FP_PS_LOW) {	/* two results of a piece side by side */
		half[0] = v->d[0];
		half[1] = _mm_srli_si128(v->d[0], 8);
		l.r = half;
	}
	fp_end(c, w, &l);
	avx_put(c, in->reg, v->d);
}

static inline void fp_run(struct interp *c, const struct insn *in, struct vregs *v)
{
	if (fp_quick(c)) {
		call(in, v);
		if (fp_nothing_new(c)) {
			avx_put(c, in->reg, v->d);
			return;
		}
	}
	fp_slow(c, in, v);
}

void avx_fp_r(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_get(c, in->op[0], v.a);
	avx_get(c, in->rm, v.b);
	fp_run(c, in, &v);
}

void avx_fp_m(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_load(c, in, v.b);
	avx_get(c, in->op[0], v.a);
	fp_run(c, in, &v);
}

/* ---- FMA: 132 is D * B + A, 213 is A * D + B, 231 is A * B + D ----------------------------- */

static __attribute__((noinline)) void fma_slow(struct interp *c, const struct insn *in,
					       struct vregs *v)
{
	struct fp_lanes l = { pieces(in), v->a, v->b, NULL, v->d };
	__m128i old[2];

	avx_get(c, in->reg, v->d);
	avx_get(c, in->reg, old);
	switch (in->cond >> AVX_FORM_SHIFT) {
	case 1:
		l.d = old;
		l.t = v->a;
		break;
	case 2:
		l.s = old;
		l.t = v->b;
		break;
	default:
		l.t = old;
		break;
	}
	fp_begin(c);
	call(in, v);
	fp_end(c, what(in), &l);
	avx_put(c, in->reg, v->d);
}

static inline void fma_run(struct interp *c, const struct insn *in, struct vregs *v)
{
	if (fp_quick(c)) {
		avx_get(c, in->reg, v->d);
		call(in, v);
		if (fp_nothing_new(c)) {
			avx_put(c, in->reg, v->d);
			return;
		}
	}
	fma_slow(c, in, v);
}

void avx_fma_r(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_get(c, in->op[0], v.a);
	avx_get(c, in->rm, v.b);
	fma_run(c, in, &v);
}

void avx_fma_m(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_load(c, in, v.b);
	avx_get(c, in->op[0], v.a);
	fma_run(c, in, &v);
}

/* ---- VCVTPS2PH: from a register to a register or memory ------------------------------------ */

static void half(struct interp *c, const struct insn *in, struct vregs *v)
{
	struct fp_lanes l = { pieces(in), v->b, v->b, NULL, v->d };
	__m128i piece[2];

	avx_get(c, in->rm, v->b);
	if (fp_quick(c)) {
		call(in, v);
		if (fp_nothing_new(c))
			return;
	}
	fp_begin(c);
	call(in, v);
	piece[0] = v->d[0];
	piece[1] = _mm_srli_si128(v->d[0], 8);
	l.r = piece;
	fp_end(c, what(in), &l);
}

void avx_half_r(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	half(c, in, &v);
	avx_put(c, in->reg, v.d);
}

/* A store that faults leaves no flags behind. */
void avx_half_m(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	struct vregs v;

	avx_gate(c);
	interp_probe_write(c, in->seg, ea, in->osz);
	half(c, in, &v);
	interp_store_n(c, in->seg, ea, v.d, in->osz);
}

/* ---- one row per instruction ------------------------------------------------------------ */

#define FP3(X) \
	X(VADDPS, FP_PS, FP_ADD) X(VADDPD, FP_PD, FP_ADD) X(VSUBPS, FP_PS, FP_SUB) \
	X(VSUBPD, FP_PD, FP_SUB) X(VMULPS, FP_PS, FP_MUL) X(VMULPD, FP_PD, FP_MUL) \
	X(VDIVPS, FP_PS, FP_DIV) X(VDIVPD, FP_PD, FP_DIV) X(VADDSUBPS, FP_PS, FP_ADDSUB) \
	X(VADDSUBPD, FP_PD, FP_ADDSUB) X(VHADDPS, FP_PS, FP_HADD) X(VHADDPD, FP_PD, FP_HADD) \
	X(VHSUBPS, FP_PS, FP_HSUB) X(VHSUBPD, FP_PD, FP_HSUB) X(VMINPS, FP_NONE, FP_OTHER) \
	X(VMINPD, FP_NONE, FP_OTHER) X(VMAXPS, FP_NONE, FP_OTHER) X(VMAXPD, FP_NONE, FP_OTHER)
#define FP3_128(X) \
	X(VADDSS, FP_SS, FP_ADD) X(VADDSD, FP_SD, FP_ADD) X(VSUBSS, FP_SS, FP_SUB) \
	X(VSUBSD, FP_SD, FP_SUB) X(VMULSS, FP_SS, FP_MUL) X(VMULSD, FP_SD, FP_MUL) \
	X(VDIVSS, FP_SS, FP_DIV) X(VDIVSD, FP_SD, FP_DIV) X(VMINSS, FP_NONE, FP_OTHER) \
	X(VMINSD, FP_NONE, FP_OTHER) X(VMAXSS, FP_NONE, FP_OTHER) X(VMAXSD, FP_NONE, FP_OTHER) \
	X(VSQRTSS, FP_NONE, FP_OTHER) X(VSQRTSD, FP_NONE, FP_OTHER) X(VRCPSS, FP_NONE, FP_OTHER) \
	X(VRSQRTSS, FP_NONE, FP_OTHER) X(VCVTSS2SD, FP_NONE, FP_OTHER) \
	X(VCVTSD2SS, FP_SS, FP_NARROW)
#define FP2(X) \
	X(VSQRTPS, FP_NONE, FP_OTHER) X(VSQRTPD, FP_NONE, FP_OTHER) X(VRCPPS, FP_NONE, FP_OTHER) \
	X(VRSQRTPS, FP_NONE, FP_OTHER) X(VCVTDQ2PS, FP_NONE, FP_OTHER) \
	X(VCVTPS2DQ, FP_NONE, FP_OTHER) X(VCVTTPS2DQ, FP_NONE, FP_OTHER)
#define FP2_WIDEN(X) \
	X(VCVTDQ2PD, FP_NONE, FP_OTHER) X(VCVTPS2PD, FP_NONE, FP_OTHER) \
	X(VCVTPH2PS, FP_NONE, FP_OTHER)
#define FP2_NARROW(X) \
	X(VCVTPD2DQ, FP_NONE, FP_OTHER) X(VCVTTPD2DQ, FP_NONE, FP_OTHER) \
	X(VCVTPD2PS, FP_PS_LOW, FP_NARROW)
#define FP3_IMM(X) \
	X(VCMPPS, 32, FP_NONE, FP_OTHER) X(VCMPPD, 32, FP_NONE, FP_OTHER) \
	X(VDPPS, 256, FP_PS, FP_DP)
#define FP3_IMM_128(X) \
	X(VCMPSS, 32, FP_NONE, FP_OTHER) X(VCMPSD, 32, FP_NONE, FP_OTHER) \
	X(VROUNDSS, 256, FP_NONE, FP_OTHER) X(VROUNDSD, 256, FP_NONE, FP_OTHER) \
	X(VDPPD, 256, FP_PD, FP_DP)
#define FP2_IMM(X) X(VROUNDPS, 256, FP_NONE, FP_OTHER) X(VROUNDPD, 256, FP_NONE, FP_OTHER)
#define FP_TO_HALF(X) X(VCVTPS2PH, 256, FP_HALF, FP_OTHER)

/* The three orders of operands. */
#define ORDERS(X, NAME, TYPE, KIND, OP) \
	X(NAME##132##TYPE, KIND, OP, 1) X(NAME##213##TYPE, KIND, OP, 2) \
	X(NAME##231##TYPE, KIND, OP, 3)
#define FMA(X) \
	ORDERS(X, VFMADD, PS, FP_PS, FP_FMADD) ORDERS(X, VFMADD, PD, FP_PD, FP_FMADD) \
	ORDERS(X, VFMSUB, PS, FP_PS, FP_FMSUB) ORDERS(X, VFMSUB, PD, FP_PD, FP_FMSUB) \
	ORDERS(X, VFNMADD, PS, FP_PS, FP_FNMADD) ORDERS(X, VFNMADD, PD, FP_PD, FP_FNMADD) \
	ORDERS(X, VFNMSUB, PS, FP_PS, FP_FNMSUB) ORDERS(X, VFNMSUB, PD, FP_PD, FP_FNMSUB) \
	ORDERS(X, VFMADDSUB, PS, FP_PS, FP_FMADDSUB) ORDERS(X, VFMADDSUB, PD, FP_PD, FP_FMADDSUB) \
	ORDERS(X, VFMSUBADD, PS, FP_PS, FP_FMSUBADD) ORDERS(X, VFMSUBADD, PD, FP_PD, FP_FMSUBADD)
#define FMA_128(X) \
	ORDERS(X, VFMADD, SS, FP_SS, FP_FMADD) ORDERS(X, VFMADD, SD, FP_SD, FP_FMADD) \
	ORDERS(X, VFMSUB, SS, FP_SS, FP_FMSUB) ORDERS(X, VFMSUB, SD, FP_SD, FP_FMSUB) \
	ORDERS(X, VFNMADD, SS, FP_SS, FP_FNMADD) ORDERS(X, VFNMADD, SD, FP_SD, FP_FNMADD) \
	ORDERS(X, VFNMSUB, SS, FP_SS, FP_FNMSUB) ORDERS(X, VFNMSUB, SD, FP_SD, FP_FNMSUB)

#define ROW(I, KIND, OP) \
	AVX_TH(I, v1, "%xmm2, %xmm1, %xmm0"); AVX_TH(I, v2, "%ymm2, %ymm1, %ymm0");
FP3(ROW)
#undef ROW
#define ROW(I, KIND, OP) AVX_TH(I, v1, "%xmm2, %xmm1, %xmm0");
FP3_128(ROW)
#undef ROW
#define ROW(I, KIND, OP) AVX_TH(I, v1, "%xmm2, %xmm0"); AVX_TH(I, v2, "%ymm2, %ymm0");
FP2(ROW)
#undef ROW
#define ROW(I, KIND, OP) AVX_TH(I, v1, "%xmm2, %xmm0"); AVX_TH(I, v2, "%xmm2, %ymm0");
FP2_WIDEN(ROW)
#undef ROW
#define ROW(I, KIND, OP) AVX_TH(I, v1, "%xmm2, %xmm0"); AVX_TH(I, v2, "%ymm2, %xmm0");
FP2_NARROW(ROW)
#undef ROW
#define ROW(I, NR, KIND, OP) \
	AVX_THI(I, i1, NR, "%xmm2, %xmm1, %xmm0"); AVX_THI(I, i2, NR, "%ymm2, %ymm1, %ymm0");
FP3_IMM(ROW)
#undef ROW
#define ROW(I, NR, KIND, OP) AVX_THI(I, i1, NR, "%xmm2, %xmm1, %xmm0");
FP3_IMM_128(ROW)
#undef ROW
#define ROW(I, NR, KIND, OP) \
	AVX_THI(I, i1, NR, "%xmm2, %xmm0"); AVX_THI(I, i2, NR, "%ymm2, %ymm0");
FP2_IMM(ROW)
#undef ROW
#define ROW(I, NR, KIND, OP) \
	AVX_THI(I, i1, NR, "%xmm2, %xmm0"); AVX_THI(I, i2, NR, "%ymm2, %xmm0");
FP_TO_HALF(ROW)
#undef ROW
#define ROW(I, KIND, OP, FORM) \
	AVX_TH(I, v1, "%xmm2, %xmm1, %xmm0"); AVX_TH(I, v2, "%ymm2, %ymm1, %ymm0");
FMA(ROW)
#undef ROW
#define ROW(I, KIND, OP, FORM) AVX_TH(I, v1, "%xmm2, %xmm1, %xmm0");
FMA_128(ROW)
#undef ROW

#define BOTH(I, KIND, OP) \
	[ZYDIS_MNEMONIC_##I] = { { th_v1_##I, th_v2_##I }, AVX_FP, .kind = KIND, .op = OP },
#define ONE(I, KIND, OP) \
	[ZYDIS_MNEMONIC_##I] = { { th_v1_##I, NULL }, AVX_FP, .kind = KIND, .op = OP },
#define IMM(I, NR, KIND, OP) \
	[ZYDIS_MNEMONIC_##I] = { { th_i1_##I, th_i2_##I }, AVX_FP, (NR) - 1, KIND, OP, 0 },
#define IMM_ONE(I, NR, KIND, OP) \
	[ZYDIS_MNEMONIC_##I] = { { th_i1_##I, NULL }, AVX_FP, (NR) - 1, KIND, OP, 0 },
#define TO_HALF(I, NR, KIND, OP) \
	[ZYDIS_MNEMONIC_##I] = { { th_i1_##I, th_i2_##I }, AVX_FP_HALF, (NR) - 1, KIND, OP, 0 },
#define MULADD(I, KIND, OP, FORM) \
	[ZYDIS_MNEMONIC_##I] = { { th_v1_##I, th_v2_##I }, AVX_FMA, 0, KIND, OP, FORM },
#define MULADD_ONE(I, KIND, OP, FORM) \
	[ZYDIS_MNEMONIC_##I] = { { th_v1_##I, NULL }, AVX_FMA, 0, KIND, OP, FORM },

static const struct avx_row rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	FP3(BOTH) FP3_128(ONE) FP2(BOTH) FP2_WIDEN(BOTH) FP2_NARROW(BOTH)
	FP3_IMM(IMM) FP3_IMM_128(IMM_ONE) FP2_IMM(IMM) FP_TO_HALF(TO_HALF)
	FMA(MULADD) FMA_128(MULADD_ONE)
};

bool bind_avx_fp(const struct zin *z, struct insn *out)
{
	return avx_bind_row(z, &rows[z->i.mnemonic], out);
}
