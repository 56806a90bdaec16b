/*
 * sse_cvt.c - floating point to and from general and MMX registers, and
 * comparisons that set RFLAGS; the forms with a VEX prefix too
 *
 * The odd truth: CVTPI2PS and CVTPI2PD with a memory operand leave the x87
 * alone, with an MMX register they turn it into MMX state.  The manual grants
 * that to CVTPI2PD only; processors do it for both.  The x87 has become MMX
 * state even if the conversion then raises #XM.
 *
 * Spec     [SDM 2] by name, [SDM 3] 12.4 (MMX state in the x87)
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

/* ---- thunks of other shapes -------------------------------------------------------------- */

typedef __m128i from_g_fn(__m128i d, uint64_t s);
typedef uint64_t to_g_fn(__m128i s);
typedef uint64_t flags_fn(__m128i d, __m128i s);

#define OPS_FROM_G(X) \
	X(CVTSI2SS, 4, CVTSI2SSL, "%edi") X(CVTSI2SS, 8, CVTSI2SSQ, "%rdi") \
	X(CVTSI2SD, 4, CVTSI2SDL, "%edi") X(CVTSI2SD, 8, CVTSI2SDQ, "%rdi")

#define OPS_TO_G(X) \
	X(CVTSS2SI, 4, "%eax") X(CVTSS2SI, 8, "%rax") X(CVTTSS2SI, 4, "%eax") \
	X(CVTTSS2SI, 8, "%rax") X(CVTSD2SI, 4, "%eax") X(CVTSD2SI, 8, "%rax") \
	X(CVTTSD2SI, 4, "%eax") X(CVTTSD2SI, 8, "%rax")

#define OPS_FLAGS(X) X(COMISS, 4) X(UCOMISS, 4) X(COMISD, 8) X(UCOMISD, 8)

#define OPS_FROM_MM(X) X(CVTPI2PS) X(CVTPI2PD)

#define OPS_TO_MM(X) X(CVTPS2PI, 8) X(CVTTPS2PI, 8) X(CVTPD2PI, 16) X(CVTTPD2PI, 16)

#define ROW(INS, SIZE, HOST, REG) \
	__asm__(THUNK_SECTION "th_g_" #HOST ": " #HOST " " REG ", %xmm0\n\tret\n\t.popsection"); \
	THUNK_HIDDEN __m128i th_g_##HOST(__m128i d, uint64_t s);
OPS_FROM_G(ROW)
#undef ROW
#define ROW(INS, SIZE, REG) \
	__asm__(THUNK_SECTION "th_g_" #INS #SIZE ": " #INS " %xmm0, " REG "\n\tret\n\t.popsection"); \
	THUNK_HIDDEN uint64_t th_g_##INS##SIZE(__m128i s);
OPS_TO_G(ROW)
#undef ROW
#define ROW(INS, SIZE) \
	__asm__(THUNK_SECTION "th_f_" #INS ": " #INS " %xmm1, %xmm0\n\tlahf\n\t" \
		"movzbl %ah, %eax\n\tret\n\t.popsection"); \
	THUNK_HIDDEN uint64_t th_f_##INS(__m128i d, __m128i s);
OPS_FLAGS(ROW)
#undef ROW
#define ROW(INS) \
	__asm__(THUNK_SECTION "th_mm_" #INS ": movq %rdi, %mm0\n\t" #INS " %mm0, %xmm0\n\t" \
		"emms\n\tret\n\t.popsection"); \
	THUNK_HIDDEN __m128i th_mm_##INS(__m128i d, uint64_t s);
OPS_FROM_MM(ROW)
#undef ROW
#define ROW(INS, SIZE) \
	__asm__(THUNK_SECTION "th_mm_" #INS ": " #INS " %xmm0, %mm0\n\tmovq %mm0, %rax\n\t" \
		"emms\n\tret\n\t.popsection"); \
	THUNK_HIDDEN uint64_t th_mm_##INS(__m128i s);
OPS_TO_MM(ROW)
#undef ROW

/* ---- general registers ------------------------------------------------------------------- */

/* op[1]: the register whose other elements go with the result. */
static inline __m128i from_g_result(struct interp *c, const struct insn *in)
{
	from_g_fn *fn = (from_g_fn *)(uintptr_t)in->imm;
	uint64_t s;
	__m128i r;

	s = in->mem ? interp_load(c, in->seg, insn_ea(c, in), in->osz) :
		      reg_get(c, in->rm, in->osz);
	FP_RUN(c, r, fn(fx(c)->xmm[in->op[1]], s));
	return r;
}

static void from_g(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = from_g_result(c, in);
}

static void avx_from_g(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	avx_put128(c, in->reg, from_g_result(c, in));
}

/* osz: of the general register; op[0]: bytes of a memory source. */
static inline void to_g_any(struct interp *c, const struct insn *in)
{
	to_g_fn *fn = (to_g_fn *)(uintptr_t)in->imm;
	uint64_t r;
	__m128i s;

	s = in->mem ? load_x(c, in, in->op[0]) : fx(c)->xmm[in->rm];
	FP_RUN(c, r, fn(s));
	reg_set(c, in->reg, in->osz, r);
}

static void to_g(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	to_g_any(c, in);
}

static void avx_to_g(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	to_g_any(c, in);
}

static inline void compare_any(struct interp *c, const struct insn *in)
{
	flags_fn *fn = (flags_fn *)(uintptr_t)in->imm;
	uint64_t r;
	__m128i s;

	s = in->mem ? load_x(c, in, in->op[0]) : fx(c)->xmm[in->rm];
	FP_RUN(c, r, fn(fx(c)->xmm[in->reg], s));
	c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) | (r & (X86_ZF | X86_PF | X86_CF));
}

static void compare(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	compare_any(c, in);
}

static void avx_compare(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	compare_any(c, in);
}

/* ---- MMX registers ----------------------------------------------------------------------- */

static void from_mm(struct interp *c, const struct insn *in)
{
	from_g_fn *fn = (from_g_fn *)(uintptr_t)in->imm;
	uint64_t s;
	__m128i r;

	sse_gate(c);
	if (in->mem) {
		s = interp_load(c, in->seg, insn_ea(c, in), 8);
	} else {
		mmx_gate(c);
		mmx_enter(c);
		s = mm_get(c, in->rm);
	}
	FP_RUN(c, r, fn(fx(c)->xmm[in->reg], s));
	fx(c)->xmm[in->reg] = r;
}

static void to_mm(struct interp *c, const struct insn *in)
{
	to_g_fn *fn = (to_g_fn *)(uintptr_t)in->imm;
	uint64_t r;
	__m128i s;

	sse_gate(c);
	mmx_gate(c);
	if (in->mem)
		s = in->op[0] == 16 ? load_x16(c, in) : load_x(c, in, 8);
	else
		s = fx(c)->xmm[in->rm];
	mmx_enter(c);
	FP_RUN(c, r, fn(s));
	mm_set(c, in->reg, r);
}

/* ---- binding ----------------------------------------------------------------------------- */

static bool bind_general(const struct zin *z, const struct forms *f, struct insn *out)
{
	unsigned size = f->wide ? 8 : 4;

	switch ((unsigned)z->i.mnemonic * 16 + size) {
#define CASE(INS, SIZE, HOST, REG) \
	case ZYDIS_MNEMONIC_##INS * 16 + SIZE: \
		set_thunk(out, th_g_##HOST); \
		out->fn = from_g; \
		out->op[1] = out->reg; \
		break;
	OPS_FROM_G(CASE)
#undef CASE
#define CASE(INS, SIZE, REG) \
	case ZYDIS_MNEMONIC_##INS * 16 + SIZE: \
		set_thunk(out, th_g_##INS##SIZE); \
		out->fn = to_g; \
		break;
	OPS_TO_G(CASE)
#undef CASE
	default:
		return false;
	}
	out->osz = (uint8_t)size;
	/* The scalar's own size: the name says SS or SD. */
	out->op[0] = z->i.mnemonic == ZYDIS_MNEMONIC_CVTSS2SI ||
		     z->i.mnemonic == ZYDIS_MNEMONIC_CVTTSS2SI ? 4 : 8;
	return true;
}

bool bind_cvt(const struct zin *z, const struct forms *f, struct insn *out)
{
	switch (z->i.mnemonic) {
#define CASE(INS, SIZE) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_f_##INS); \
		out->op[0] = SIZE; \
		out->fn = compare; \
		return true;
	OPS_FLAGS(CASE)
#undef CASE
#define CASE(INS) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_mm_##INS); \
		out->fn = from_mm; \
		return true;
	OPS_FROM_MM(CASE)
#undef CASE
#define CASE(INS, SIZE) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_mm_##INS); \
		out->op[0] = SIZE; \
		out->fn = to_mm; \
		return true;
	OPS_TO_MM(CASE)
#undef CASE
	default:
		return bind_general(z, f, out);
	}
}

/* ---- with a VEX prefix ------------------------------------------------------------------- */

#define AS_SSE(X) \
	X(VCVTSI2SS, CVTSI2SS) X(VCVTSI2SD, CVTSI2SD) X(VCVTSS2SI, CVTSS2SI) \
	X(VCVTTSS2SI, CVTTSS2SI) X(VCVTSD2SI, CVTSD2SI) X(VCVTTSD2SI, CVTTSD2SI) \
	X(VCOMISS, COMISS) X(VCOMISD, COMISD) X(VUCOMISS, UCOMISS) X(VUCOMISD, UCOMISD)

static uint8_t number(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER ?
	       (uint8_t)(ZydisRegisterGetId(o->reg.value) & 15) : 0;
}

static insn_fn *vex_of(insn_fn *fn)
{
	return fn == from_g ? avx_from_g : fn == to_g ? avx_to_g : avx_compare;
}

/* The thunks are the same: scalars in XMM registers, whose upper parts we see to. */
bool bind_avx_cvt(const struct zin *z, struct insn *out)
{
	unsigned last = z->i.operand_count_visible - 1u, g;
	struct zin as = *z;
	struct forms f = { 0 };

	switch (z->i.mnemonic) {
#define CASE(VEX, SSE) \
	case ZYDIS_MNEMONIC_##VEX: \
		as.i.mnemonic = ZYDIS_MNEMONIC_##SSE; \
		break;
	AS_SSE(CASE)
#undef CASE
	default:
		return false;
	}
	g = last == 2 ? 2 : 0;		/* VCVTSI2Sx has three operands, its source last */
	f.wide = z->op[g].size == 64;
	if (!bind_cvt(&as, &f, out))
		return false;
	out->fn = vex_of(out->fn);
	out->reg = number(&z->op[0]);
	out->rm = number(&z->op[last]);
	if (last == 2)
		out->op[1] = number(&z->op[1]);
	return true;
}
