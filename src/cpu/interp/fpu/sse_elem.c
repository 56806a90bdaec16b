/*
 * sse_elem.c - elements of vectors and general registers, masks, flags
 *
 * PEXTR*, PINSR*, EXTRACTPS, *MOVMSK*, PTEST, MASKMOVDQU and MASKMOVQ, on
 * XMM and on MMX registers.
 *
 * The odd truth: MASKMOV with an all-zero mask touches no memory here, so it
 * cannot fault; the manual leaves that to the processor.  Otherwise only the
 * bytes from the first to the last selected one must be writable.
 *
 * Spec     [SDM 2] by name; MASKMOVDQU for its fault rule
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

static uint64_t elem_get(const void *v, unsigned size, unsigned index)
{
	uint64_t r = 0;

	memcpy(&r, (const char *)v + size * index, size);
	return r;
}

static void elem_set(void *v, unsigned size, unsigned index, uint64_t val)
{
	memcpy((char *)v + size * index, &val, size);
}

/* osz: size of the element; op[0]: its index. */
static void pextr_g(struct interp *c, const struct insn *in)
{
	uint64_t v;

	sse_gate(c);
	v = elem_get(&fx(c)->xmm[in->rm], in->osz, in->op[0]);
	reg_set(c, in->reg, in->osz == 8 ? 8 : 4, v);
}

static void pextr_mem(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), in->osz,
		     elem_get(&fx(c)->xmm[in->reg], in->osz, in->op[0]));
}

static void pinsr_g(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	elem_set(&fx(c)->xmm[in->reg], in->osz, in->op[0], c->gpr[in->rm]);
}

static void pinsr_mem(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	elem_set(&fx(c)->xmm[in->reg], in->osz, in->op[0],
		 interp_load(c, in->seg, insn_ea(c, in), in->osz));
}

static void pextrw_mm(struct interp *c, const struct insn *in)
{
	mmx_gate(c);
	mmx_enter(c);
	reg_set(c, in->reg, 4, elem_get(fx(c)->st[in->rm], 2, in->op[0]));
}

static void pinsrw_mm_g(struct interp *c, const struct insn *in)
{
	uint64_t v;

	mmx_gate(c);
	mmx_enter(c);
	v = mm_get(c, in->reg);
	elem_set(&v, 2, in->op[0], c->gpr[in->rm]);
	mm_set(c, in->reg, v);
}

static void pinsrw_mm_mem(struct interp *c, const struct insn *in)
{
	uint64_t v, w;

	mmx_gate(c);
	w = interp_load(c, in->seg, insn_ea(c, in), 2);
	mmx_enter(c);
	v = mm_get(c, in->reg);
	elem_set(&v, 2, in->op[0], w);
	mm_set(c, in->reg, v);
}

/* ---- masks ------------------------------------------------------------------------------ */

static void pmovmskb_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	c->gpr[in->reg] = (uint32_t)_mm_movemask_epi8(fx(c)->xmm[in->rm]);
}

static void movmskps(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	c->gpr[in->reg] = (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(fx(c)->xmm[in->rm]));
}

static void movmskpd(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	c->gpr[in->reg] = (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(fx(c)->xmm[in->rm]));
}

static void pmovmskb_mm(struct interp *c, const struct insn *in)
{
	mmx_gate(c);
	mmx_enter(c);
	c->gpr[in->reg] = (uint32_t)_mm_movemask_epi8(
		_mm_cvtsi64_si128((long long)mm_get(c, in->rm)));
}

/* N bytes of V to [DS:rDI], those whose mask byte has its top bit. */
static void maskmov(struct interp *c, const struct insn *in, const uint8_t *v, const uint8_t *mask,
		    unsigned n)
{
	uint64_t ea = insn_ea(c, in);
	unsigned first = n, end = 0;

	for (unsigned k = 0; k < n; k++) {
		if (mask[k] & 0x80) {
			first = first < k ? first : k;
			end = k + 1;
		}
	}
	if (end == 0)
		return;
	interp_probe_write(c, in->seg, ea + first, end - first);
	for (unsigned k = first; k < end; k++)
		if (mask[k] & 0x80)
			interp_store(c, in->seg, ea + k, 1, v[k]);
}

static void maskmovdqu(struct interp *c, const struct insn *in)
{
	__m128i v[2];

	sse_gate(c);
	v[0] = fx(c)->xmm[in->reg];
	v[1] = fx(c)->xmm[in->rm];
	maskmov(c, in, (const uint8_t *)&v[0], (const uint8_t *)&v[1], 16);
}

static void vmaskmovdqu(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	maskmov(c, in, (const uint8_t *)&fx(c)->xmm[in->reg], (const uint8_t *)&fx(c)->xmm[in->rm],
		16);
}

static void maskmovq(struct interp *c, const struct insn *in)
{
	unsigned top = (fx(c)->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
	uint64_t v[2];

	mmx_gate(c);
	v[0] = mm_get(c, (in->reg - top) & 7);
	v[1] = mm_get(c, (in->rm - top) & 7);
	maskmov(c, in, (const uint8_t *)&v[0], (const uint8_t *)&v[1], 8);
	mmx_enter(c);
}

/* The memory operand is hidden: [rDI], DS unless overridden. */
static void bind_rdi(const struct zin *z, struct insn *out)
{
	out->base = CPU_RDI;
	out->index = REG_NONE;
	out->scale = 0;
	out->disp = 0;
	out->seg = CPU_DS;
	for (unsigned k = 0; k < z->i.operand_count; k++) {
		if (z->op[k].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		switch (z->op[k].mem.segment) {
		case ZYDIS_REGISTER_ES:
			out->seg = CPU_ES;
			break;
		case ZYDIS_REGISTER_CS:
			out->seg = CPU_CS;
			break;
		case ZYDIS_REGISTER_SS:
			out->seg = CPU_SS;
			break;
		case ZYDIS_REGISTER_FS:
			out->seg = CPU_FS;
			break;
		case ZYDIS_REGISTER_GS:
			out->seg = CPU_GS;
			break;
		default:
			break;
		}
	}
}

/* ---- PTEST ------------------------------------------------------------------------------ */

static void ptest(struct interp *c, const struct insn *in, __m128i s)
{
	__m128i d = fx(c)->xmm[in->reg], zero = _mm_setzero_si128();
	bool no_and = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(d, s), zero)) == 0xffff;
	bool no_andn = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_andnot_si128(d, s), zero)) == 0xffff;

	c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) | (no_and ? X86_ZF : 0) |
		    (no_andn ? X86_CF : 0);
}

static void ptest_rr(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	ptest(c, in, fx(c)->xmm[in->rm]);
}

static void ptest_m16(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	ptest(c, in, load_x16(c, in));
}

/* ---- binding ---------------------------------------------------------------------------- */

static bool bind_xg(const struct forms *f, struct insn *out, unsigned size)
{
	out->osz = (uint8_t)size;
	out->op[0] = (uint8_t)(f->imm & (16 / size - 1));
	switch (f->pair) {
	case PAIR(OP_G, OP_X):
		out->fn = pextr_g;
		return true;
	case PAIR(OP_MEM, OP_X):
		out->fn = pextr_mem;
		return true;
	case PAIR(OP_X, OP_G):
		out->fn = pinsr_g;
		return true;
	case PAIR(OP_X, OP_MEM):
		out->fn = pinsr_mem;
		return true;
	default:
		return false;
	}
}

static bool bind_word_mm(const struct forms *f, struct insn *out)
{
	out->op[0] = f->imm & 3;
	switch (f->pair) {
	case PAIR(OP_G, OP_M):
		out->fn = pextrw_mm;
		return true;
	case PAIR(OP_M, OP_G):
		out->fn = pinsrw_mm_g;
		return true;
	case PAIR(OP_M, OP_MEM):
		out->fn = pinsrw_mm_mem;
		return true;
	default:
		return false;
	}
}

bool bind_elem(const struct zin *z, const struct forms *f, struct insn *out)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_PEXTRB:
	case ZYDIS_MNEMONIC_PINSRB:
		return bind_xg(f, out, 1);
	case ZYDIS_MNEMONIC_PEXTRW:
	case ZYDIS_MNEMONIC_PINSRW:
		if (f->op[0] == OP_M || f->op[1] == OP_M)
			return bind_word_mm(f, out);
		return bind_xg(f, out, 2);
	case ZYDIS_MNEMONIC_PEXTRD:
	case ZYDIS_MNEMONIC_PINSRD:
	case ZYDIS_MNEMONIC_EXTRACTPS:
		return bind_xg(f, out, 4);
	case ZYDIS_MNEMONIC_PEXTRQ:
	case ZYDIS_MNEMONIC_PINSRQ:
		return bind_xg(f, out, 8);
	case ZYDIS_MNEMONIC_PMOVMSKB:
		out->fn = f->op[1] == OP_M ? pmovmskb_mm : pmovmskb_x;
		return true;
	case ZYDIS_MNEMONIC_MOVMSKPS:
		out->fn = movmskps;
		return true;
	case ZYDIS_MNEMONIC_MOVMSKPD:
		out->fn = movmskpd;
		return true;
	case ZYDIS_MNEMONIC_PTEST:
		out->fn = out->mem ? ptest_m16 : ptest_rr;
		return true;
	case ZYDIS_MNEMONIC_MASKMOVDQU:
		bind_rdi(z, out);
		out->fn = maskmovdqu;
		return true;
	case ZYDIS_MNEMONIC_MASKMOVQ:
		bind_rdi(z, out);
		out->fn = maskmovq;
		return true;
	default:
		return false;
	}
}

bool bind_avx_elem(const struct zin *z, struct insn *out)
{
	if (z->i.mnemonic != ZYDIS_MNEMONIC_VMASKMOVDQU)
		return false;
	bind_rdi(z, out);
	out->reg = (uint8_t)(ZydisRegisterGetId(z->op[0].reg.value) & 15);
	out->rm = (uint8_t)(ZydisRegisterGetId(z->op[1].reg.value) & 15);
	out->fn = vmaskmovdqu;
	return true;
}
