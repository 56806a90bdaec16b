/*
 * avx.h - inside the vector family: instructions with a VEX prefix
 *
 * For files of cpu/interp/fpu only.
 *
 * As with SSE the host's own instruction computes, in a thunk on fixed
 * registers: YMM0 is the destination, YMM1 the first source (VEX.vvvv), YMM2
 * the second (ModRM.rm, or memory), YMM3 the third.  Thunks are called through
 * avx_call, which moves these four and leaves no upper half behind.  So the
 * code around them needs no AVX, and a host without it is never asked.
 *
 * In a bound struct insn: reg is the destination, op[0] the first source, rm
 * the second, op[1] the third (or an immediate), osz the bytes of a memory
 * operand, cond is AVX_L and, of FMA, the order of the operands.
 */
#ifndef CPU_INTERP_FPU_AVX_H
#define CPU_INTERP_FPU_AVX_H

#include "cpu/interp/fpu/fpu.h"

struct vregs {
	_Alignas(32) __m128i d[2], a[2], b[2], c[2];
};

/* Runs THUNK; what it leaves in YMM0 is v->d, in RAX the answer. */
THUNK_HIDDEN uint64_t avx_call(const void *thunk, struct vregs *v);

#define AVX_L 1u		/* VEX.L: 256 bits */
#define AVX_FORM_SHIFT 1	/* FMA: 1 for 132, 2 for 213, 3 for 231 */

#define XSAVE_YMM 576u

_Static_assert(XSAVE_YMM + 256 <= CPU_XSAVE_BYTES, "room for the upper halves");

/* Upper halves of the YMM registers, [SDM 1] 13.5.3. */
static inline __m128i *ymmh(struct interp *c)
{
	return (__m128i *)(void *)(c->xsave + XSAVE_YMM);
}

NORETURN void avx_refuse(struct interp *c);

/* [SDM 2] 2.4: #UD where XCR0, CR4 or the mode forbid VEX vectors, then #NM. */
static inline void avx_gate(struct interp *c)
{
	if (unlikely((c->cr0 & (X86_CR0_TS | X86_CR0_PE)) != X86_CR0_PE ||
		     (~c->cr4 & X86_CR4_OSXSAVE) || (~c->xcr0 & 6) || (c->rflags & X86_VM)))
		avx_refuse(c);
}

static inline void avx_get(struct interp *c, unsigned r, __m128i v[2])
{
	v[0] = fx(c)->xmm[r];
	v[1] = ymmh(c)[r];
}

static inline void avx_put(struct interp *c, unsigned r, const __m128i v[2])
{
	fx(c)->xmm[r] = v[0];
	ymmh(c)[r] = v[1];
}

/* What a VEX.128 instruction leaves. */
static inline void avx_put128(struct interp *c, unsigned r, __m128i v)
{
	fx(c)->xmm[r] = v;
	ymmh(c)[r] = _mm_setzero_si128();
}

/* The memory operand of osz bytes, the rest zero.  Never needs alignment. */
static inline void avx_load(struct interp *c, const struct insn *in, __m128i v[2])
{
	v[1] = _mm_setzero_si128();
	if (in->osz <= 8)
		v[0] = load_x(c, in, in->osz);
	else
		interp_load_n(c, in->seg, insn_ea(c, in), v, in->osz);
}

/* ---- binding ---------------------------------------------------------------------------- */

/* A mnemonic's thunks for 128 and 256 bits; NULL: no such form. */
struct avx_row {
	const char *thunk[2];
	uint8_t shape;
	uint8_t imm_mask;	/* the immediate chooses one of imm_mask + 1 thunks */
	uint8_t kind, op;	/* struct fp_what */
	uint8_t form;		/* of FMA */
};

enum avx_shape {
	AVX_NONE, AVX_INT, AVX_INT4, AVX_EXTRACT,
	AVX_FP, AVX_FP_HALF, AVX_FMA,
};

/* Fills OUT by ROW; false: no such form. */
bool avx_bind_row(const struct zin *z, const struct avx_row *row, struct insn *out);
/* True in *ret_imm where the last operand is an immediate: then its value. */
uint8_t avx_imm(const struct zin *z, bool *ret_has);

bool bind_avx_int(const struct zin *z, struct insn *out);
bool bind_avx_fp(const struct zin *z, struct insn *out);
bool bind_avx_move(const struct zin *z, struct insn *out);
bool bind_avx_mem(const struct zin *z, struct insn *out);
bool bind_avx_cvt(const struct zin *z, struct insn *out);
bool bind_avx_str(const struct zin *z, struct insn *out);
bool bind_avx_elem(const struct zin *z, struct insn *out);

/* Handlers of the shapes, by register and memory forms. */
insn_fn avx_fp_r, avx_fp_m, avx_fma_r, avx_fma_m, avx_half_r, avx_half_m;

#define AVX_TH(INS, W, OPERANDS) \
	__asm__(THUNK_SECTION "th_" #W "_" #INS ": " #INS " " OPERANDS "\n\tret\n\t.popsection"); \
	THUNK_HIDDEN extern const char th_##W##_##INS[]

#define AVX_THI(INS, W, NR, OPERANDS) \
	__asm__(THUNK_SECTION "th_" #W "_" #INS ":\n\t.set fpu_imm, 0\n\t.rept " #NR \
		"\n\t.balign 8\n\t" #INS " $fpu_imm, " OPERANDS "\n\tret\n\t" \
		".set fpu_imm, fpu_imm + 1\n\t.endr\n\t.popsection"); \
	THUNK_HIDDEN extern const char th_##W##_##INS[]

#define AVX_IMM_BYTES 8u	/* of a thunk with an immediate */

#endif
