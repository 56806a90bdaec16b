/*
 * sse_fp.c - vector floating point that obeys MXCSR
 *
 * The host adds and multiplies with the guest's rounding, DAZ and FZ, all
 * exceptions masked, and its sticky flags tell what happened.  Only when the
 * guest has unmasked something is more needed: sse_unmask.c.
 *
 * The odd truth: RCPPS and RSQRTPS are approximations whose last bits are the
 * host's own, and differ between vendors.
 *
 * Spec     [SDM 1] 10.2.3 (MXCSR), 11.5.2 (flags), [SDM 2] by name
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

/* ---- handlers: op[0] and op[1] are struct fp_what, op[2] the immediate ------------------- */

/* The rest of fp_apply: a flag to record, a control to set, an exception to raise. */
static __attribute__((noinline)) void fp_slow(struct interp *c, const struct insn *in, __m128i s)
{
	struct fp_what w = { (enum fp_kind)in->op[0], (enum fp_op)in->op[1] };
	__m128i d = fx(c)->xmm[in->reg], r;

	if (w.op == FP_DP && !fp_all_masked(c)) {
		fp_dot_unmasked(c, w.kind == FP_PD, in->op[2], 1, &d, &s);
		w.op = FP_OTHER;
	}
	fp_begin(c);
	r = XOP(in)(d, s);
	fp_end(c, w, &(struct fp_lanes){ 1, &d, &s, NULL, &r });
	fx(c)->xmm[in->reg] = r;
}

static inline void fp_apply(struct interp *c, const struct insn *in, __m128i s)
{
	__m128i r;

	if (fp_quick(c)) {
		r = XOP(in)(fx(c)->xmm[in->reg], s);
		if (fp_nothing_new(c)) {
			fx(c)->xmm[in->reg] = r;
			return;
		}
	}
	fp_slow(c, in, s);
}

static void fp_rr(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fp_apply(c, in, fx(c)->xmm[in->rm]);
}

static void fp_m16(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fp_apply(c, in, load_x16(c, in));
}

static void fp_m8(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fp_apply(c, in, load_x(c, in, 8));
}

static void fp_m4(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fp_apply(c, in, load_x(c, in, 4));
}

/* ---- one row per instruction: what a memory operand is, what the result is --------------- */

#define OPS_FP(X) \
	X(ADDPS, fp_m16, FP_PS, FP_ADD) X(SUBPS, fp_m16, FP_PS, FP_SUB) \
	X(MULPS, fp_m16, FP_PS, FP_MUL) \
	X(DIVPS, fp_m16, FP_PS, FP_DIV) X(ADDSUBPS, fp_m16, FP_PS, FP_ADDSUB) \
	X(HADDPS, fp_m16, FP_PS, FP_HADD) X(HSUBPS, fp_m16, FP_PS, FP_HSUB) \
	X(SQRTPS, fp_m16, FP_NONE, FP_OTHER) X(MINPS, fp_m16, FP_NONE, FP_OTHER) \
	X(MAXPS, fp_m16, FP_NONE, FP_OTHER) X(RCPPS, fp_m16, FP_NONE, FP_OTHER) \
	X(RSQRTPS, fp_m16, FP_NONE, FP_OTHER) X(ADDPD, fp_m16, FP_PD, FP_ADD) \
	X(SUBPD, fp_m16, FP_PD, FP_SUB) X(MULPD, fp_m16, FP_PD, FP_MUL) \
	X(DIVPD, fp_m16, FP_PD, FP_DIV) X(ADDSUBPD, fp_m16, FP_PD, FP_ADDSUB) \
	X(HADDPD, fp_m16, FP_PD, FP_HADD) X(HSUBPD, fp_m16, FP_PD, FP_HSUB) \
	X(SQRTPD, fp_m16, FP_NONE, FP_OTHER) X(MINPD, fp_m16, FP_NONE, FP_OTHER) \
	X(MAXPD, fp_m16, FP_NONE, FP_OTHER) X(ADDSS, fp_m4, FP_SS, FP_ADD) \
	X(SUBSS, fp_m4, FP_SS, FP_SUB) X(MULSS, fp_m4, FP_SS, FP_MUL) \
	X(DIVSS, fp_m4, FP_SS, FP_DIV) X(SQRTSS, fp_m4, FP_NONE, FP_OTHER) \
	X(MINSS, fp_m4, FP_NONE, FP_OTHER) X(MAXSS, fp_m4, FP_NONE, FP_OTHER) \
	X(RCPSS, fp_m4, FP_NONE, FP_OTHER) X(RSQRTSS, fp_m4, FP_NONE, FP_OTHER) \
	X(ADDSD, fp_m8, FP_SD, FP_ADD) X(SUBSD, fp_m8, FP_SD, FP_SUB) \
	X(MULSD, fp_m8, FP_SD, FP_MUL) X(DIVSD, fp_m8, FP_SD, FP_DIV) \
	X(SQRTSD, fp_m8, FP_NONE, FP_OTHER) X(MINSD, fp_m8, FP_NONE, FP_OTHER) \
	X(MAXSD, fp_m8, FP_NONE, FP_OTHER) X(CVTDQ2PS, fp_m16, FP_NONE, FP_OTHER) \
	X(CVTPS2DQ, fp_m16, FP_NONE, FP_OTHER) X(CVTTPS2DQ, fp_m16, FP_NONE, FP_OTHER) \
	X(CVTPD2DQ, fp_m16, FP_NONE, FP_OTHER) X(CVTTPD2DQ, fp_m16, FP_NONE, FP_OTHER) \
	X(CVTDQ2PD, fp_m8, FP_NONE, FP_OTHER) X(CVTPS2PD, fp_m8, FP_NONE, FP_OTHER) \
	X(CVTPD2PS, fp_m16, FP_PS_LOW, FP_NARROW) X(CVTSS2SD, fp_m4, FP_NONE, FP_OTHER) \
	X(CVTSD2SS, fp_m8, FP_SS, FP_NARROW)

#define OPS_FP_IMM(X) \
	X(CMPPS, 8, fp_m16, FP_NONE) X(CMPPD, 8, fp_m16, FP_NONE) X(CMPSS, 8, fp_m4, FP_NONE) \
	X(CMPSD, 8, fp_m8, FP_NONE) X(ROUNDPS, 256, fp_m16, FP_NONE) \
	X(ROUNDPD, 256, fp_m16, FP_NONE) X(ROUNDSS, 256, fp_m4, FP_NONE) \
	X(ROUNDSD, 256, fp_m8, FP_NONE) X(DPPS, 256, fp_m16, FP_PS) X(DPPD, 256, fp_m16, FP_PD)

#define ROW(INS, MEM, KIND, OP) THUNK_X(INS);
OPS_FP(ROW)
#undef ROW
#define ROW(INS, NR, MEM, KIND) THUNK_XI(INS, NR, "%xmm1, %xmm0");
OPS_FP_IMM(ROW)
#undef ROW

bool bind_fp(const struct zin *z, const struct forms *f, struct insn *out)
{
	if (f->op[0] != OP_X || (f->op[1] != OP_X && f->op[1] != OP_MEM))
		return false;
	switch (z->i.mnemonic) {
#define CASE(INS, MEM, KIND, OP) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_x_##INS); \
		out->op[0] = KIND; \
		out->op[1] = OP; \
		out->fn = out->mem ? MEM : fp_rr; \
		return true;
	OPS_FP(CASE)
#undef CASE
#define CASE(INS, NR, MEM, KIND) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_xi_##INS + 8 * (f->imm & (NR - 1))); \
		out->op[0] = KIND; \
		out->op[1] = KIND == FP_NONE ? FP_OTHER : FP_DP; \
		out->op[2] = f->imm; \
		out->fn = out->mem ? MEM : fp_rr; \
		return true;
	OPS_FP_IMM(CASE)
#undef CASE
	default:
		return false;
	}
}
