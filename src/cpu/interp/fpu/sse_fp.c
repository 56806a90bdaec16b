/*
 * sse_fp.c - vector floating point that obeys MXCSR
 *
 * The host adds and multiplies with the guest's rounding, DAZ and FZ, all
 * exceptions masked, and its sticky flags tell what happened.  Only when the
 * guest has unmasked something is more needed: which flags a processor would
 * have left behind when it stopped.
 *
 * The odd truth: an unmasked invalid, denormal or divide error in one element
 * stops the instruction before any element is computed, so overflow, underflow
 * and precision of the others never show.  And underflow changes its meaning:
 * masked it needs a tiny and inexact result, unmasked a tiny one is enough,
 * while FZ only counts when it is masked.
 *
 * RCPPS and RSQRTPS are approximations whose last bits are the host's own.
 *
 * Spec     [SDM 1] 11.5.2 and 11.5.3 (flags), 10.2.3 (MXCSR), [SDM 2] by name
 * Missing  an exact tiny intermediate of DPPS and DPPD is not seen as an unmasked
 *          underflow, only a tiny result
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

/* ---- MXCSR with something unmasked ------------------------------------------------------ */

static uint32_t unmasked(uint32_t mxcsr)
{
	return ~(mxcsr >> MXCSR_MASK_SHIFT) & FPU_FLAGS;
}

void fp_begin_unmasked(struct interp *c)
{
	uint32_t g = fx(c)->mxcsr, h = (g & MXCSR_CONTROL) | MXCSR_MASKS;

	if (unmasked(g) & FL_UE)
		h &= ~MXCSR_FZ;
	host_set_mxcsr(h);
}

static bool tiny_single(uint32_t v)
{
	return !(v & 0x7f800000u) && (v & 0x007fffffu);
}

static bool tiny_double(uint64_t v)
{
	return !(v & UINT64_C(0x7ff0000000000000)) && (v & UINT64_C(0x000fffffffffffff));
}

static bool tiny(enum fp_kind kind, __m128i r)
{
	unsigned nr32 = kind == FP_PS ? 4 : kind == FP_PS_LOW ? 2 : kind == FP_SS ? 1 : 0;
	unsigned nr64 = kind == FP_PD ? 2 : kind == FP_SD ? 1 : 0;
	uint32_t v32[4];
	uint64_t v64[2];

	memcpy(v32, &r, sizeof(r));
	memcpy(v64, &r, sizeof(r));
	for (unsigned k = 0; k < nr32; k++)
		if (tiny_single(v32[k]))
			return true;
	for (unsigned k = 0; k < nr64; k++)
		if (tiny_double(v64[k]))
			return true;
	return false;
}

void fp_end_unmasked(struct interp *c, enum fp_kind kind, __m128i result)
{
	const uint32_t before = FL_IE | FL_DE | FL_ZE;
	uint32_t g = fx(c)->mxcsr, um = unmasked(g), f = host_mxcsr() & FPU_FLAGS;

	host_set_mxcsr(MXCSR_DEFAULT);
	if ((um & FL_UE) && tiny(kind, result))
		f |= FL_UE;
	if (f & um & before)
		f &= before;
	fx(c)->mxcsr = g | f;
	if (!(f & um))
		return;
	if (!(c->cr4 & X86_CR4_OSXMMEXCPT))
		interp_ud(c);
	interp_raise(c, X86_XM);
}

/* ---- handlers: op[0] holds the kind of the result ---------------------------------------- */

static void fp_apply(struct interp *c, const struct insn *in, __m128i s)
{
	__m128i r;

	fp_begin(c);
	r = XOP(in)(fx(c)->xmm[in->reg], s);
	fp_end(c, (enum fp_kind)in->op[0], r);
	fx(c)->xmm[in->reg] = r;
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
	X(ADDPS, fp_m16, FP_PS) X(SUBPS, fp_m16, FP_PS) X(MULPS, fp_m16, FP_PS) \
	X(DIVPS, fp_m16, FP_PS) X(ADDSUBPS, fp_m16, FP_PS) X(HADDPS, fp_m16, FP_PS) \
	X(HSUBPS, fp_m16, FP_PS) X(SQRTPS, fp_m16, FP_NONE) X(MINPS, fp_m16, FP_NONE) \
	X(MAXPS, fp_m16, FP_NONE) X(RCPPS, fp_m16, FP_NONE) X(RSQRTPS, fp_m16, FP_NONE) \
	X(ADDPD, fp_m16, FP_PD) X(SUBPD, fp_m16, FP_PD) X(MULPD, fp_m16, FP_PD) \
	X(DIVPD, fp_m16, FP_PD) X(ADDSUBPD, fp_m16, FP_PD) X(HADDPD, fp_m16, FP_PD) \
	X(HSUBPD, fp_m16, FP_PD) X(SQRTPD, fp_m16, FP_NONE) X(MINPD, fp_m16, FP_NONE) \
	X(MAXPD, fp_m16, FP_NONE) \
	X(ADDSS, fp_m4, FP_SS) X(SUBSS, fp_m4, FP_SS) X(MULSS, fp_m4, FP_SS) \
	X(DIVSS, fp_m4, FP_SS) X(SQRTSS, fp_m4, FP_NONE) X(MINSS, fp_m4, FP_NONE) \
	X(MAXSS, fp_m4, FP_NONE) X(RCPSS, fp_m4, FP_NONE) X(RSQRTSS, fp_m4, FP_NONE) \
	X(ADDSD, fp_m8, FP_SD) X(SUBSD, fp_m8, FP_SD) X(MULSD, fp_m8, FP_SD) \
	X(DIVSD, fp_m8, FP_SD) X(SQRTSD, fp_m8, FP_NONE) X(MINSD, fp_m8, FP_NONE) \
	X(MAXSD, fp_m8, FP_NONE) \
	X(CVTDQ2PS, fp_m16, FP_NONE) X(CVTPS2DQ, fp_m16, FP_NONE) X(CVTTPS2DQ, fp_m16, FP_NONE) \
	X(CVTPD2DQ, fp_m16, FP_NONE) X(CVTTPD2DQ, fp_m16, FP_NONE) X(CVTDQ2PD, fp_m8, FP_NONE) \
	X(CVTPS2PD, fp_m8, FP_NONE) X(CVTPD2PS, fp_m16, FP_PS_LOW) X(CVTSS2SD, fp_m4, FP_NONE) \
	X(CVTSD2SS, fp_m8, FP_SS)

#define OPS_FP_IMM(X) \
	X(CMPPS, 8, fp_m16, FP_NONE) X(CMPPD, 8, fp_m16, FP_NONE) X(CMPSS, 8, fp_m4, FP_NONE) \
	X(CMPSD, 8, fp_m8, FP_NONE) X(ROUNDPS, 256, fp_m16, FP_NONE) \
	X(ROUNDPD, 256, fp_m16, FP_NONE) X(ROUNDSS, 256, fp_m4, FP_NONE) \
	X(ROUNDSD, 256, fp_m8, FP_NONE) X(DPPS, 256, fp_m16, FP_PS) X(DPPD, 256, fp_m16, FP_PD)

#define ROW(INS, MEM, KIND) THUNK_X(INS);
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
#define CASE(INS, MEM, KIND) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_x_##INS); \
		out->op[0] = KIND; \
		out->fn = out->mem ? MEM : fp_rr; \
		return true;
	OPS_FP(CASE)
#undef CASE
#define CASE(INS, NR, MEM, KIND) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_xi_##INS + 8 * (f->imm & (NR - 1))); \
		out->op[0] = KIND; \
		out->fn = out->mem ? MEM : fp_rr; \
		return true;
	OPS_FP_IMM(CASE)
#undef CASE
	default:
		return false;
	}
}
