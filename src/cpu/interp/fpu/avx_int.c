/*
 * avx_int.c - vectors with a VEX prefix that know no MXCSR, and the machinery
 * all of them share
 *
 * The odd truth: a 128-bit form clears the upper half of its destination, so
 * a thunk's YMM0 is always the whole of it; and no operand in memory needs to
 * be aligned, but for the moves that say so by name.
 *
 * Spec     [SDM 2] by name; 2.3 (VEX), 2.4 exception classes 4, 6
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

__asm__(THUNK_SECTION
	".globl avx_call\n\t.hidden avx_call\n\t"
	"avx_call: vmovdqa (%rsi), %ymm0\n\tvmovdqa 32(%rsi), %ymm1\n\tvmovdqa 64(%rsi), %ymm2\n\t"
	"vmovdqa 96(%rsi), %ymm3\n\tcall *%rdi\n\tvmovdqa %ymm0, (%rsi)\n\tvzeroupper\n\tret\n\t"
	".popsection");

NORETURN void avx_refuse(struct interp *c)
{
	if (!interp_protected(c) || interp_v86(c) || !(c->cr4 & X86_CR4_OSXSAVE) ||
	    (c->xcr0 & 6) != 6)
		interp_ud(c);
	interp_raise(c, X86_NM);
}

/* ---- handlers --------------------------------------------------------------------------- */

static inline void finish(struct interp *c, const struct insn *in, struct vregs *v)
{
	avx_call((const void *)(uintptr_t)in->imm, v);
	avx_put(c, in->reg, v->d);
}

static void op_r(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_get(c, in->op[0], v.a);
	avx_get(c, in->rm, v.b);
	finish(c, in, &v);
}

static void op_m(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_load(c, in, v.b);
	avx_get(c, in->op[0], v.a);
	finish(c, in, &v);
}

static void op4_r(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_get(c, in->op[0], v.a);
	avx_get(c, in->rm, v.b);
	avx_get(c, in->op[1], v.c);
	finish(c, in, &v);
}

static void op4_m(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_load(c, in, v.b);
	avx_get(c, in->op[0], v.a);
	avx_get(c, in->op[1], v.c);
	finish(c, in, &v);
}

/* To memory, 16 bytes; to a register it is like the others. */
static void extract_m(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_get(c, in->rm, v.b);
	avx_call((const void *)(uintptr_t)in->imm, &v);
	store_x16(c, in, insn_ea(c, in), v.d[0]);
}

/* ---- the hot ones, without a thunk ------------------------------------------------------ */

#define HOT(X) \
	X(VPXOR, _mm_xor_si128) X(VXORPS, _mm_xor_si128) X(VXORPD, _mm_xor_si128) \
	X(VPOR, _mm_or_si128) X(VPAND, _mm_and_si128) X(VPANDN, _mm_andnot_si128) \
	X(VPCMPEQB, _mm_cmpeq_epi8) X(VPMINUB, _mm_min_epu8)

#define HOT_FN(INS, OP) \
	static void hot_##INS##_r(struct interp *c, const struct insn *in) \
	{ \
		__m128i a[2], b[2]; \
		avx_gate(c); \
		avx_get(c, in->op[0], a); \
		avx_get(c, in->rm, b); \
		a[0] = OP(a[0], b[0]); \
		a[1] = in->cond & AVX_L ? OP(a[1], b[1]) : _mm_setzero_si128(); \
		avx_put(c, in->reg, a); \
	} \
	static void hot_##INS##_m(struct interp *c, const struct insn *in) \
	{ \
		__m128i a[2], b[2]; \
		avx_gate(c); \
		avx_load(c, in, b); \
		avx_get(c, in->op[0], a); \
		a[0] = OP(a[0], b[0]); \
		a[1] = in->cond & AVX_L ? OP(a[1], b[1]) : _mm_setzero_si128(); \
		avx_put(c, in->reg, a); \
	}
HOT(HOT_FN)

static void bind_hot(const struct zin *z, struct insn *out)
{
	switch (z->i.mnemonic) {
#define CASE(INS, OP) \
	case ZYDIS_MNEMONIC_##INS: \
		out->fn = out->mem ? hot_##INS##_m : hot_##INS##_r; \
		break;
	HOT(CASE)
#undef CASE
	default:
		break;
	}
}

/* ---- one row per instruction ------------------------------------------------------------ */

/* Two sources; both widths. */
#define INT3(X) \
	X(VANDNPD) X(VANDNPS) X(VANDPD) X(VANDPS) X(VORPD) X(VORPS) X(VXORPD) X(VXORPS) \
	X(VPACKSSDW) X(VPACKSSWB) X(VPACKUSDW) X(VPACKUSWB) X(VPADDB) X(VPADDD) X(VPADDQ) \
	X(VPADDSB) X(VPADDSW) X(VPADDUSB) X(VPADDUSW) X(VPADDW) X(VPAND) X(VPANDN) X(VPAVGB) \
	X(VPAVGW) X(VPCMPEQB) X(VPCMPEQD) X(VPCMPEQQ) X(VPCMPEQW) X(VPCMPGTB) X(VPCMPGTD) \
	X(VPCMPGTQ) X(VPCMPGTW) X(VPHADDD) X(VPHADDSW) X(VPHADDW) X(VPHSUBD) X(VPHSUBSW) \
	X(VPHSUBW) X(VPMADDUBSW) X(VPMADDWD) X(VPMAXSB) X(VPMAXSD) X(VPMAXSW) X(VPMAXUB) \
	X(VPMAXUD) X(VPMAXUW) X(VPMINSB) X(VPMINSD) X(VPMINSW) X(VPMINUB) X(VPMINUD) X(VPMINUW) \
	X(VPMULDQ) X(VPMULHRSW) X(VPMULHUW) X(VPMULHW) X(VPMULLD) X(VPMULLW) X(VPMULUDQ) X(VPOR) \
	X(VPSADBW) X(VPSHUFB) X(VPSIGNB) X(VPSIGND) X(VPSIGNW) X(VPSUBB) X(VPSUBD) X(VPSUBQ) \
	X(VPSUBSB) X(VPSUBSW) X(VPSUBUSB) X(VPSUBUSW) X(VPSUBW) X(VPUNPCKHBW) X(VPUNPCKHDQ) \
	X(VPUNPCKHQDQ) X(VPUNPCKHWD) X(VPUNPCKLBW) X(VPUNPCKLDQ) X(VPUNPCKLQDQ) X(VPUNPCKLWD) \
	X(VPXOR) X(VUNPCKHPD) X(VUNPCKHPS) X(VUNPCKLPD) X(VUNPCKLPS) X(VPSLLVD) X(VPSLLVQ) \
	X(VPSRAVD) X(VPSRLVD) X(VPSRLVQ) X(VPERMILPS) X(VPERMILPD)
#define INT3_128(X) X(VAESENC) X(VAESENCLAST) X(VAESDEC) X(VAESDECLAST) X(VMOVHLPS) X(VMOVLHPS)
#define INT3_256(X) X(VPERMD) X(VPERMPS)
/* The count is always in an XMM register. */
#define SHIFT(X) \
	X(VPSLLW) X(VPSLLD) X(VPSLLQ) X(VPSRLW) X(VPSRLD) X(VPSRLQ) X(VPSRAW) X(VPSRAD)
/* One source. */
#define INT2(X) X(VMOVSHDUP) X(VMOVSLDUP) X(VMOVDDUP) X(VPABSB) X(VPABSW) X(VPABSD)
#define INT2_128(X) X(VPHMINPOSUW) X(VAESIMC)
/* One source, an XMM register whatever the destination. */
#define WIDEN(X) \
	X(VPMOVSXBW) X(VPMOVSXBD) X(VPMOVSXBQ) X(VPMOVSXWD) X(VPMOVSXWQ) X(VPMOVSXDQ) \
	X(VPMOVZXBW) X(VPMOVZXBD) X(VPMOVZXBQ) X(VPMOVZXWD) X(VPMOVZXWQ) X(VPMOVZXDQ) \
	X(VPBROADCASTB) X(VPBROADCASTW) X(VPBROADCASTD) X(VPBROADCASTQ) X(VBROADCASTSS)
#define WIDEN_256(X) X(VBROADCASTSD)
/* With an immediate. */
#define IMM3(X) \
	X(VPBLENDD) X(VBLENDPD) X(VBLENDPS) X(VMPSADBW) X(VPALIGNR) X(VPBLENDW) X(VSHUFPD) \
	X(VSHUFPS)
#define IMM3_128(X) X(VPCLMULQDQ) X(VINSERTPS)
#define IMM3_256(X) X(VPERM2F128) X(VPERM2I128)
#define INSERT(X) X(VINSERTF128) X(VINSERTI128)
#define EXTRACT(X) X(VEXTRACTF128) X(VEXTRACTI128)
#define IMM2(X) X(VPSHUFD) X(VPSHUFHW) X(VPSHUFLW) X(VPSLLDQ) X(VPSRLDQ)
#define IMM2_128(X) X(VAESKEYGENASSIST)
#define IMM2_256(X) X(VPERMQ) X(VPERMPD)
/* Two forms: with an immediate, and above. */
#define IMM2_TOO(X) SHIFT(X) X(VPERMILPS) X(VPERMILPD)
#define BLENDV(X) X(VBLENDVPD) X(VBLENDVPS) X(VPBLENDVB)

#define ROW(I) AVX_TH(I, v1, "%xmm2, %xmm1, %xmm0"); AVX_TH(I, v2, "%ymm2, %ymm1, %ymm0");
INT3(ROW)
#undef ROW
#define ROW(I) AVX_TH(I, v1, "%xmm2, %xmm1, %xmm0");
INT3_128(ROW)
#undef ROW
#define ROW(I) AVX_TH(I, v2, "%ymm2, %ymm1, %ymm0");
INT3_256(ROW)
#undef ROW
#define ROW(I) AVX_TH(I, v1, "%xmm2, %xmm1, %xmm0"); AVX_TH(I, v2, "%xmm2, %ymm1, %ymm0");
SHIFT(ROW)
#undef ROW
#define ROW(I) AVX_TH(I, v1, "%xmm2, %xmm0"); AVX_TH(I, v2, "%ymm2, %ymm0");
INT2(ROW)
#undef ROW
#define ROW(I) AVX_TH(I, v1, "%xmm2, %xmm0");
INT2_128(ROW)
#undef ROW
#define ROW(I) AVX_TH(I, v1, "%xmm2, %xmm0"); AVX_TH(I, v2, "%xmm2, %ymm0");
WIDEN(ROW)
#undef ROW
#define ROW(I) AVX_TH(I, v2, "%xmm2, %ymm0");
WIDEN_256(ROW)
#undef ROW
#define ROW(I) \
	AVX_THI(I, i1, 256, "%xmm2, %xmm1, %xmm0"); AVX_THI(I, i2, 256, "%ymm2, %ymm1, %ymm0");
IMM3(ROW)
#undef ROW
#define ROW(I) AVX_THI(I, i1, 256, "%xmm2, %xmm1, %xmm0");
IMM3_128(ROW)
#undef ROW
#define ROW(I) AVX_THI(I, i2, 256, "%ymm2, %ymm1, %ymm0");
IMM3_256(ROW)
#undef ROW
#define ROW(I) AVX_THI(I, i2, 256, "%xmm2, %ymm1, %ymm0");
INSERT(ROW)
#undef ROW
#define ROW(I) AVX_THI(I, i2, 256, "%ymm2, %xmm0");
EXTRACT(ROW)
#undef ROW
#define ROW(I) AVX_THI(I, i1, 256, "%xmm2, %xmm0"); AVX_THI(I, i2, 256, "%ymm2, %ymm0");
IMM2(ROW)
IMM2_TOO(ROW)
#undef ROW
#define ROW(I) AVX_THI(I, i1, 256, "%xmm2, %xmm0");
IMM2_128(ROW)
#undef ROW
#define ROW(I) AVX_THI(I, i2, 256, "%ymm2, %ymm0");
IMM2_256(ROW)
#undef ROW
#define ROW(I) \
	AVX_TH(I, v1, "%xmm3, %xmm2, %xmm1, %xmm0"); AVX_TH(I, v2, "%ymm3, %ymm2, %ymm1, %ymm0");
BLENDV(ROW)
#undef ROW

#define PLAIN(I) [ZYDIS_MNEMONIC_##I] = { .thunk = { th_v1_##I, th_v2_##I }, .shape = AVX_INT },
#define PLAIN_128(I) [ZYDIS_MNEMONIC_##I] = { .thunk = { th_v1_##I, NULL }, .shape = AVX_INT },
#define PLAIN_256(I) [ZYDIS_MNEMONIC_##I] = { .thunk = { NULL, th_v2_##I }, .shape = AVX_INT },
#define FOUR(I) [ZYDIS_MNEMONIC_##I] = { .thunk = { th_v1_##I, th_v2_##I }, .shape = AVX_INT4 },

static const struct avx_row rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	INT3(PLAIN) INT3_128(PLAIN_128) INT3_256(PLAIN_256) SHIFT(PLAIN) INT2(PLAIN)
	INT2_128(PLAIN_128) WIDEN(PLAIN) WIDEN_256(PLAIN_256) BLENDV(FOUR)
};

#define WITH(I) \
	[ZYDIS_MNEMONIC_##I] = { { th_i1_##I, th_i2_##I }, AVX_INT, .imm_mask = 255 },
#define WITH_128(I) [ZYDIS_MNEMONIC_##I] = { { th_i1_##I, NULL }, AVX_INT, .imm_mask = 255 },
#define WITH_256(I) [ZYDIS_MNEMONIC_##I] = { { NULL, th_i2_##I }, AVX_INT, .imm_mask = 255 },
#define OUT_OF(I) [ZYDIS_MNEMONIC_##I] = { { NULL, th_i2_##I }, AVX_EXTRACT, .imm_mask = 255 },

static const struct avx_row imm_rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	IMM3(WITH) IMM3_128(WITH_128) IMM3_256(WITH_256) INSERT(WITH_256) EXTRACT(OUT_OF)
	IMM2(WITH) IMM2_128(WITH_128) IMM2_256(WITH_256) IMM2_TOO(WITH)
};

/* ---- binding ---------------------------------------------------------------------------- */

uint8_t avx_imm(const struct zin *z, bool *ret_has)
{
	unsigned n = z->i.operand_count_visible;

	*ret_has = n > 0 && z->op[n - 1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	return *ret_has ? (uint8_t)z->op[n - 1].imm.value.u : 0;
}

static void find_operand(const ZydisDecodedOperand *o, bool first, bool extract, struct insn *out)
{
	uint8_t n;

	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		out->osz = (uint8_t)(o->size / 8);
		return;
	}
	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return;
	n = (uint8_t)(ZydisRegisterGetId(o->reg.value) & 15);
	if (first)
		out->reg = n;
	else if (o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
		out->op[0] = n;
	else if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM || extract)
		out->rm = n;
	else if (o->encoding == ZYDIS_OPERAND_ENCODING_IS4)
		out->op[1] = n;
}

bool avx_bind_row(const struct zin *z, const struct avx_row *row, struct insn *out)
{
	static insn_fn *const fns[][2] = {
		[AVX_INT] = { op_r, op_m },
		[AVX_INT4] = { op4_r, op4_m },
		[AVX_EXTRACT] = { op_r, extract_m },
		[AVX_FP] = { avx_fp_r, avx_fp_m },
		[AVX_FP_HALF] = { avx_half_r, avx_half_m },
		[AVX_FMA] = { avx_fma_r, avx_fma_m },
	};
	bool wide = z->i.raw.vex.L, has_imm, extract = row->shape == AVX_EXTRACT ||
						       row->shape == AVX_FP_HALF;
	uint8_t imm = avx_imm(z, &has_imm);
	const char *thunk;

	/* Scalars have no 256-bit form and do not look at VEX.L. */
	if (wide && !row->thunk[1] && z->op[0].size == 128)
		wide = false;
	thunk = row->thunk[wide];
	if (row->shape == AVX_NONE || !thunk)
		return false;
	for (unsigned k = 0; k < z->i.operand_count_visible; k++)
		find_operand(&z->op[k], k == 0, extract, out);
	out->cond = (uint8_t)((wide ? AVX_L : 0) | (unsigned)row->form << AVX_FORM_SHIFT);
	out->op[2] = row->op;
	out->op[3] = row->kind;
	if (row->imm_mask) {
		out->op[1] = imm;
		thunk += AVX_IMM_BYTES * (imm & row->imm_mask);
	}
	set_thunk(out, thunk);
	out->fn = fns[row->shape][out->mem];
	return true;
}

/* From memory there is one element to choose from. */
static void amend_insertps(const struct zin *z, struct insn *out)
{
	if (z->i.mnemonic == ZYDIS_MNEMONIC_VINSERTPS && out->mem)
		set_thunk(out, th_i1_VINSERTPS + AVX_IMM_BYTES * (out->op[1] & 0x3fu));
}

bool bind_avx_int(const struct zin *z, struct insn *out)
{
	bool has_imm;

	(void)avx_imm(z, &has_imm);
	if (!avx_bind_row(z, has_imm ? &imm_rows[z->i.mnemonic] : &rows[z->i.mnemonic], out))
		return false;
	bind_hot(z, out);
	amend_insertps(z, out);
	return true;
}
