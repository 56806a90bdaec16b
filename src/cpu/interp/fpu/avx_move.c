/*
 * avx_move.c - vector moves, elements and masks with a VEX prefix
 *
 * The odd truth: alignment matters only to the moves with an A in their name
 * and to the non-temporal ones; and VZEROUPPER outside 64-bit mode leaves
 * registers 8 to 15 alone, which nobody there can see.
 *
 * Spec     [SDM 2] by name; 2.4 exception classes 1, 4, 5, 8
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

/* ---- whole registers: osz is 16 or 32 ------------------------------------------------------- */

static void mov_v_v(struct interp *c, const struct insn *in)
{
	__m128i v[2];

	avx_gate(c);
	avx_get(c, in->rm, v);
	if (!(in->cond & AVX_L))
		v[1] = _mm_setzero_si128();
	avx_put(c, in->reg, v);
}

static void mov_v_m(struct interp *c, const struct insn *in)
{
	__m128i v[2];

	avx_gate(c);
	avx_load(c, in, v);
	avx_put(c, in->reg, v);
}

static void mova_v_m(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	fpu_align(c, in, insn_ea(c, in), in->osz);
	mov_v_m(c, in);
}

static void mov_m_v(struct interp *c, const struct insn *in)
{
	__m128i v[2];

	avx_gate(c);
	avx_get(c, in->reg, v);
	interp_store_n(c, in->seg, insn_ea(c, in), v, in->osz);
}

static void mova_m_v(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	fpu_align(c, in, insn_ea(c, in), in->osz);
	mov_m_v(c, in);
}

static void broadcast128(struct interp *c, const struct insn *in)
{
	__m128i v[2];

	avx_gate(c);
	v[0] = v[1] = load_x16u(c, in);
	avx_put(c, in->reg, v);
}

/* ---- 4 or 8 bytes (osz), the rest of the register cleared ------------------------------------ */

static uint64_t low64(struct interp *c, unsigned r)
{
	return (uint64_t)_mm_cvtsi128_si64(fx(c)->xmm[r]);
}

static uint64_t high64(struct interp *c, unsigned r)
{
	return (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(fx(c)->xmm[r], 8));
}

static __m128i pair(uint64_t low, uint64_t high)
{
	return _mm_set_epi64x((long long)high, (long long)low);
}

static void mov_m_low(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), in->osz, low64(c, in->reg));
}

static void mov_m_high(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), 8, high64(c, in->reg));
}

static void movq_v_v(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	avx_put128(c, in->reg, _mm_move_epi64(fx(c)->xmm[in->rm]));
}

static void mov_v_g(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	avx_put128(c, in->reg, pair(reg_get(c, in->rm, in->osz), 0));
}

static void mov_g_v(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	reg_set(c, in->rm, in->osz, low64(c, in->reg));
}

/* ---- part of a register, the rest from the first source (op[0]) ------------------------------ */

static void movss(struct interp *c, const struct insn *in)
{
	__m128i v;

	avx_gate(c);
	v = fx(c)->xmm[in->op[0]];
	memcpy(&v, &fx(c)->xmm[in->rm], 4);
	avx_put128(c, in->reg, v);
}

static void movsd(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	avx_put128(c, in->reg, pair(low64(c, in->rm), high64(c, in->op[0])));
}

static void movl_v_m(struct interp *c, const struct insn *in)
{
	uint64_t v;

	avx_gate(c);
	v = interp_load(c, in->seg, insn_ea(c, in), 8);
	avx_put128(c, in->reg, pair(v, high64(c, in->op[0])));
}

static void movh_v_m(struct interp *c, const struct insn *in)
{
	uint64_t v;

	avx_gate(c);
	v = interp_load(c, in->seg, insn_ea(c, in), 8);
	avx_put128(c, in->reg, pair(low64(c, in->op[0]), v));
}

/* ---- elements: op[1] is the index ------------------------------------------------------------ */

static uint64_t elem_get(const void *v, unsigned size, unsigned index)
{
	uint64_t r = 0;

	memcpy(&r, (const char *)v + size * index, size);
	return r;
}

static void pextr_g(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	reg_set(c, in->rm, in->osz == 8 ? 8 : 4,
		elem_get(&fx(c)->xmm[in->reg], in->osz, in->op[1]));
}

static void pextr_m(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), in->osz,
		     elem_get(&fx(c)->xmm[in->reg], in->osz, in->op[1]));
}

static void pinsr(struct interp *c, const struct insn *in)
{
	uint64_t e;
	__m128i v;

	avx_gate(c);
	e = in->mem ? interp_load(c, in->seg, insn_ea(c, in), in->osz) : c->gpr[in->rm];
	v = fx(c)->xmm[in->op[0]];
	memcpy((char *)&v + in->osz * in->op[1], &e, in->osz);
	avx_put128(c, in->reg, v);
}

/* ---- masks and flags: thunks that answer in RAX ---------------------------------------------- */

#define MASKS(X) X(VPMOVMSKB) X(VMOVMSKPS) X(VMOVMSKPD)
#define TESTS(X) X(VPTEST) X(VTESTPS) X(VTESTPD)

#define ROW(I) AVX_TH(I, v1, "%xmm2, %eax"); AVX_TH(I, v2, "%ymm2, %eax");
MASKS(ROW)
#undef ROW
/* DEST is YMM1 here. */
#define ROW(I) \
	AVX_TH(I, v1, "%xmm2, %xmm1\n\tpushfq\n\tpopq %rax"); \
	AVX_TH(I, v2, "%ymm2, %ymm1\n\tpushfq\n\tpopq %rax");
TESTS(ROW)
#undef ROW

static void movmsk(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	avx_get(c, in->rm, v.b);
	c->gpr[in->reg] = avx_call((const void *)(uintptr_t)in->imm, &v);
}

static void test(struct interp *c, const struct insn *in)
{
	struct vregs v;

	avx_gate(c);
	if (in->mem)
		avx_load(c, in, v.b);
	else
		avx_get(c, in->rm, v.b);
	avx_get(c, in->reg, v.a);
	c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) |
		    (avx_call((const void *)(uintptr_t)in->imm, &v) & X86_ARITH);
}

/* ---- control ----------------------------------------------------------------------------- */

static void zero_upper(struct interp *c, const struct insn *in)
{
	(void)in;
	avx_gate(c);
	memset(ymmh(c), 0, c->code64 ? 256 : 128);
}

static void zero_all(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	memset(fx(c)->xmm, 0, c->code64 ? 256 : 128);
	zero_upper(c, in);
}

static void ldmxcsr(struct interp *c, const struct insn *in)
{
	uint32_t v;

	avx_gate(c);
	v = (uint32_t)interp_load(c, in->seg, insn_ea(c, in), 4);
	if (v & ~MXCSR_WRITABLE)
		interp_gp(c);
	fx(c)->mxcsr = v;
}

static void stmxcsr(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), 4, fx(c)->mxcsr);
}

/* ---- binding ---------------------------------------------------------------------------- */

struct move {
	ZydisMnemonic mnemonic;
	uint8_t size;		/* of an element; 0: of the memory operand or vector */
	insn_fn *load, *store, *reg;
};

#define WHOLE(NAME, LOAD, STORE) { ZYDIS_MNEMONIC_##NAME, 0, LOAD, STORE, mov_v_v }
#define ELEM(NAME, SIZE) { ZYDIS_MNEMONIC_##NAME, SIZE, pinsr, pextr_m, pextr_g }

static const struct move moves[] = {
	WHOLE(VMOVDQU, mov_v_m, mov_m_v), WHOLE(VMOVDQA, mova_v_m, mova_m_v),
	WHOLE(VMOVUPS, mov_v_m, mov_m_v), WHOLE(VMOVAPS, mova_v_m, mova_m_v),
	WHOLE(VMOVUPD, mov_v_m, mov_m_v), WHOLE(VMOVAPD, mova_v_m, mova_m_v),
	{ ZYDIS_MNEMONIC_VLDDQU, 0, mov_v_m, NULL, NULL },
	{ ZYDIS_MNEMONIC_VMOVNTDQA, 0, mova_v_m, NULL, NULL },
	{ ZYDIS_MNEMONIC_VMOVNTDQ, 0, NULL, mova_m_v, NULL },
	{ ZYDIS_MNEMONIC_VMOVNTPS, 0, NULL, mova_m_v, NULL },
	{ ZYDIS_MNEMONIC_VMOVNTPD, 0, NULL, mova_m_v, NULL },
	{ ZYDIS_MNEMONIC_VBROADCASTF128, 0, broadcast128, NULL, NULL },
	{ ZYDIS_MNEMONIC_VBROADCASTI128, 0, broadcast128, NULL, NULL },
	{ ZYDIS_MNEMONIC_VMOVSS, 4, mov_v_m, mov_m_low, movss },
	{ ZYDIS_MNEMONIC_VMOVSD, 8, mov_v_m, mov_m_low, movsd },
	{ ZYDIS_MNEMONIC_VMOVLPS, 8, movl_v_m, mov_m_low, NULL },
	{ ZYDIS_MNEMONIC_VMOVLPD, 8, movl_v_m, mov_m_low, NULL },
	{ ZYDIS_MNEMONIC_VMOVHPS, 8, movh_v_m, mov_m_high, NULL },
	{ ZYDIS_MNEMONIC_VMOVHPD, 8, movh_v_m, mov_m_high, NULL },
	/* VMOVD and VMOVQ: the register form is bind_movq's. */
	{ ZYDIS_MNEMONIC_VMOVD, 4, mov_v_m, mov_m_low, mov_v_g },
	{ ZYDIS_MNEMONIC_VMOVQ, 8, mov_v_m, mov_m_low, mov_v_g },
	ELEM(VPEXTRB, 1), ELEM(VPEXTRW, 2), ELEM(VPEXTRD, 4), ELEM(VPEXTRQ, 8), ELEM(VEXTRACTPS, 4),
	{ ZYDIS_MNEMONIC_VPINSRB, 1, pinsr, NULL, pinsr },
	{ ZYDIS_MNEMONIC_VPINSRW, 2, pinsr, NULL, pinsr },
	{ ZYDIS_MNEMONIC_VPINSRD, 4, pinsr, NULL, pinsr },
	{ ZYDIS_MNEMONIC_VPINSRQ, 8, pinsr, NULL, pinsr },
	{ ZYDIS_MNEMONIC_VLDMXCSR, 4, ldmxcsr, NULL, NULL },
	{ ZYDIS_MNEMONIC_VSTMXCSR, 4, NULL, stmxcsr, NULL },
	{ ZYDIS_MNEMONIC_VZEROUPPER, 0, NULL, NULL, zero_upper },
	{ ZYDIS_MNEMONIC_VZEROALL, 0, NULL, NULL, zero_all },
};

static bool is_class(const ZydisDecodedOperand *o, ZydisRegisterClass a, ZydisRegisterClass b)
{
	ZydisRegisterClass k = o->type == ZYDIS_OPERAND_TYPE_REGISTER ?
			       ZydisRegisterGetClass(o->reg.value) : ZYDIS_REGCLASS_INVALID;

	return k == a || k == b;
}

/*
 * reg is the vector that ModRM.reg names, rm what ModRM.rm does, op[0] the one
 * of VEX.vvvv; but moves have two encodings, and then reg is the destination.
 */
static void find_registers(const struct zin *z, struct insn *out)
{
	bool to_rm = z->op[0].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
		     is_class(&z->op[0], ZYDIS_REGCLASS_XMM, ZYDIS_REGCLASS_YMM);

	for (unsigned k = 0; k < z->i.operand_count_visible; k++) {
		const ZydisDecodedOperand *o = &z->op[k];
		uint8_t n;

		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		n = (uint8_t)(ZydisRegisterGetId(o->reg.value) & 15);
		if (o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
			out->op[0] = n;
		else if ((o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG) != to_rm)
			out->reg = n;
		else
			out->rm = n;
	}
}

static void bind_movq(const struct zin *z, struct insn *out)
{
	if (z->i.mnemonic != ZYDIS_MNEMONIC_VMOVD && z->i.mnemonic != ZYDIS_MNEMONIC_VMOVQ)
		return;
	if (is_class(&z->op[0], ZYDIS_REGCLASS_GPR32, ZYDIS_REGCLASS_GPR64))
		out->fn = mov_g_v;
	else if (!is_class(&z->op[1], ZYDIS_REGCLASS_GPR32, ZYDIS_REGCLASS_GPR64))
		out->fn = movq_v_v;
}

static bool bind_one(const struct zin *z, const struct move *m, struct insn *out)
{
	bool has_imm, store = z->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
	uint8_t imm = avx_imm(z, &has_imm);

	out->fn = !out->mem ? m->reg : store && m->store ? m->store : m->load;
	if (!out->fn)
		return false;
	out->cond = z->i.raw.vex.L ? AVX_L : 0;
	out->osz = m->size ? m->size : z->i.raw.vex.L ? 32 : 16;
	if (has_imm)
		out->op[1] = (uint8_t)(imm & (16 / out->osz - 1));
	find_registers(z, out);
	/* VPEXTRW has an old form with its operands the other way. */
	if (z->i.mnemonic == ZYDIS_MNEMONIC_VPEXTRW && z->i.opcode_map == ZYDIS_OPCODE_MAP_0F) {
		uint8_t g = out->reg;

		out->reg = out->rm;
		out->rm = g;
	}
	if (!out->mem)
		bind_movq(z, out);
	return true;
}

static bool bind_answer(const struct zin *z, struct insn *out)
{
	bool wide = z->i.raw.vex.L;

	switch (z->i.mnemonic) {
#define CASE(I) \
	case ZYDIS_MNEMONIC_##I: \
		set_thunk(out, wide ? th_v2_##I : th_v1_##I); \
		out->fn = movmsk; \
		break;
	MASKS(CASE)
#undef CASE
#define CASE(I) \
	case ZYDIS_MNEMONIC_##I: \
		set_thunk(out, wide ? th_v2_##I : th_v1_##I); \
		out->fn = test; \
		break;
	TESTS(CASE)
#undef CASE
	default:
		return false;
	}
	out->osz = wide ? 32 : 16;
	find_registers(z, out);
	return true;
}

bool bind_avx_move(const struct zin *z, struct insn *out)
{
	for (size_t k = 0; k < ARRAY_LEN(moves); k++)
		if (moves[k].mnemonic == z->i.mnemonic)
			return bind_one(z, &moves[k], out);
	return bind_answer(z, out);
}
