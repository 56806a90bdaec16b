/*
 * sse_move.c - vector moves between registers and memory
 *
 * The hottest vector code of a guest is its memcpy and strlen, so these do
 * without thunks.  The non-temporal stores are plain stores: the hint is for a
 * cache, and guest memory is ordinary host memory.
 *
 * The odd truth: MOVQ has five encodings and MOVD as many forms again, all
 * one name, so the forms are told apart by the kinds of their operands.
 *
 * Spec     [SDM 2] MOVAPS ... MOVUPS, [SDM 2] 2.4 for which of them demand alignment
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

/* ---- 16 bytes --------------------------------------------------------------------------- */

static void mov_x_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = fx(c)->xmm[in->rm];
}

static void mov_x_m16a(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = load_x16(c, in);
}

static void mov_x_m16u(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = load_x16u(c, in);
}

static void mov_m16a_x(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);

	sse_gate(c);
	fpu_align(c, in, ea, 16);
	store_x16(c, in, ea, fx(c)->xmm[in->reg]);
}

static void mov_m16u_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	store_x16(c, in, insn_ea(c, in), fx(c)->xmm[in->reg]);
}

/* ---- 4 or 8 bytes (osz), the rest of the register cleared ------------------------------- */

static void mov_x_mem8(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = load_x(c, in, 8);
}

static void mov_x_mem4(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = load_x(c, in, 4);
}

static uint64_t low64(struct interp *c, unsigned r)
{
	return (uint64_t)_mm_cvtsi128_si64(fx(c)->xmm[r]);
}

static uint64_t high64(struct interp *c, unsigned r)
{
	return (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(fx(c)->xmm[r], 8));
}

static void mov_mem_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), in->osz, low64(c, in->reg));
}

static void movq_x_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = _mm_move_epi64(fx(c)->xmm[in->rm]);
}

static void mov_x_g(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	fx(c)->xmm[in->reg] = _mm_cvtsi64_si128((long long)reg_get(c, in->rm, in->osz));
}

static void mov_g_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	reg_set(c, in->reg, in->osz, low64(c, in->rm));
}

/* ---- parts of a register ---------------------------------------------------------------- */

static void movss_x_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	memcpy(&fx(c)->xmm[in->reg], &fx(c)->xmm[in->rm], 4);
}

static void movsd_x_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	memcpy(&fx(c)->xmm[in->reg], &fx(c)->xmm[in->rm], 8);
}

static void set_half(struct interp *c, unsigned r, unsigned half, uint64_t v)
{
	memcpy((char *)&fx(c)->xmm[r] + 8 * half, &v, 8);
}

static void movhlps(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	set_half(c, in->reg, 0, high64(c, in->rm));
}

static void movlhps(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	set_half(c, in->reg, 1, low64(c, in->rm));
}

static void movl_x_m(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	set_half(c, in->reg, 0, interp_load(c, in->seg, insn_ea(c, in), 8));
}

static void movh_x_m(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	set_half(c, in->reg, 1, interp_load(c, in->seg, insn_ea(c, in), 8));
}

static void movh_m_x(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), 8, high64(c, in->reg));
}

/* A general register, whatever CR0 says: it only has an SSE2 name. */
static void movnti(struct interp *c, const struct insn *in)
{
	interp_store(c, in->seg, insn_ea(c, in), in->osz, reg_get(c, in->reg, in->osz));
}

/* ---- MMX -------------------------------------------------------------------------------- */

static void mov_mm_mm(struct interp *c, const struct insn *in)
{
	mmx_gate(c);
	mmx_enter(c);
	mm_set(c, in->reg, mm_get(c, in->rm));
}

static void mov_mm_mem(struct interp *c, const struct insn *in)
{
	uint64_t v;

	mmx_gate(c);
	v = interp_load(c, in->seg, insn_ea(c, in), in->osz);
	mmx_enter(c);
	mm_set(c, in->reg, v);
}

/* The register is read by its physical number: TOP may not be 0 yet. */
static void mov_mem_mm(struct interp *c, const struct insn *in)
{
	unsigned top = (fx(c)->fsw & FSW_TOP) >> FSW_TOP_SHIFT;

	mmx_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), in->osz, mm_get(c, (in->reg - top) & 7));
	mmx_enter(c);
}

static void mov_mm_g(struct interp *c, const struct insn *in)
{
	mmx_gate(c);
	mmx_enter(c);
	mm_set(c, in->reg, reg_get(c, in->rm, in->osz));
}

static void mov_g_mm(struct interp *c, const struct insn *in)
{
	mmx_gate(c);
	mmx_enter(c);
	reg_set(c, in->reg, in->osz, mm_get(c, in->rm));
}

static void movq2dq(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	mmx_gate(c);
	mmx_enter(c);
	fx(c)->xmm[in->reg] = _mm_cvtsi64_si128((long long)mm_get(c, in->rm));
}

static void movdq2q(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	mmx_gate(c);
	mmx_enter(c);
	mm_set(c, in->reg, low64(c, in->rm));
}

/* ---- binding ---------------------------------------------------------------------------- */

struct move {
	ZydisMnemonic mnemonic;
	uint8_t pair;
	uint8_t size;		/* of in->osz; 0: 4, or 8 with REX.W */
	insn_fn *fn;
};

#define M16(NAME, LOAD, STORE) \
	{ ZYDIS_MNEMONIC_##NAME, PAIR(OP_X, OP_X), 16, mov_x_x }, \
	{ ZYDIS_MNEMONIC_##NAME, PAIR(OP_X, OP_MEM), 16, LOAD }, \
	{ ZYDIS_MNEMONIC_##NAME, PAIR(OP_MEM, OP_X), 16, STORE }

static const struct move moves[] = {
	M16(MOVAPS, mov_x_m16a, mov_m16a_x),
	M16(MOVAPD, mov_x_m16a, mov_m16a_x),
	M16(MOVDQA, mov_x_m16a, mov_m16a_x),
	M16(MOVUPS, mov_x_m16u, mov_m16u_x),
	M16(MOVUPD, mov_x_m16u, mov_m16u_x),
	M16(MOVDQU, mov_x_m16u, mov_m16u_x),
	{ ZYDIS_MNEMONIC_LDDQU, PAIR(OP_X, OP_MEM), 16, mov_x_m16u },
	{ ZYDIS_MNEMONIC_MOVNTDQA, PAIR(OP_X, OP_MEM), 16, mov_x_m16a },
	{ ZYDIS_MNEMONIC_MOVNTPS, PAIR(OP_MEM, OP_X), 16, mov_m16a_x },
	{ ZYDIS_MNEMONIC_MOVNTPD, PAIR(OP_MEM, OP_X), 16, mov_m16a_x },
	{ ZYDIS_MNEMONIC_MOVNTDQ, PAIR(OP_MEM, OP_X), 16, mov_m16a_x },

	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_X, OP_G), 4, mov_x_g },
	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_X, OP_MEM), 4, mov_x_mem4 },
	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_G, OP_X), 4, mov_g_x },
	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_MEM, OP_X), 4, mov_mem_x },
	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_M, OP_G), 4, mov_mm_g },
	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_M, OP_MEM), 4, mov_mm_mem },
	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_G, OP_M), 4, mov_g_mm },
	{ ZYDIS_MNEMONIC_MOVD, PAIR(OP_MEM, OP_M), 4, mov_mem_mm },

	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_X, OP_X), 8, movq_x_x },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_X, OP_G), 8, mov_x_g },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_X, OP_MEM), 8, mov_x_mem8 },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_G, OP_X), 8, mov_g_x },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_MEM, OP_X), 8, mov_mem_x },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_M, OP_M), 8, mov_mm_mm },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_M, OP_G), 8, mov_mm_g },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_M, OP_MEM), 8, mov_mm_mem },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_G, OP_M), 8, mov_g_mm },
	{ ZYDIS_MNEMONIC_MOVQ, PAIR(OP_MEM, OP_M), 8, mov_mem_mm },
	{ ZYDIS_MNEMONIC_MOVNTQ, PAIR(OP_MEM, OP_M), 8, mov_mem_mm },
	{ ZYDIS_MNEMONIC_MOVQ2DQ, PAIR(OP_X, OP_M), 8, movq2dq },
	{ ZYDIS_MNEMONIC_MOVDQ2Q, PAIR(OP_M, OP_X), 8, movdq2q },

	{ ZYDIS_MNEMONIC_MOVSS, PAIR(OP_X, OP_X), 4, movss_x_x },
	{ ZYDIS_MNEMONIC_MOVSS, PAIR(OP_X, OP_MEM), 4, mov_x_mem4 },
	{ ZYDIS_MNEMONIC_MOVSS, PAIR(OP_MEM, OP_X), 4, mov_mem_x },
	{ ZYDIS_MNEMONIC_MOVSD, PAIR(OP_X, OP_X), 8, movsd_x_x },
	{ ZYDIS_MNEMONIC_MOVSD, PAIR(OP_X, OP_MEM), 8, mov_x_mem8 },
	{ ZYDIS_MNEMONIC_MOVSD, PAIR(OP_MEM, OP_X), 8, mov_mem_x },
	{ ZYDIS_MNEMONIC_MOVHLPS, PAIR(OP_X, OP_X), 8, movhlps },
	{ ZYDIS_MNEMONIC_MOVLHPS, PAIR(OP_X, OP_X), 8, movlhps },
	{ ZYDIS_MNEMONIC_MOVLPS, PAIR(OP_X, OP_MEM), 8, movl_x_m },
	{ ZYDIS_MNEMONIC_MOVLPD, PAIR(OP_X, OP_MEM), 8, movl_x_m },
	{ ZYDIS_MNEMONIC_MOVLPS, PAIR(OP_MEM, OP_X), 8, mov_mem_x },
	{ ZYDIS_MNEMONIC_MOVLPD, PAIR(OP_MEM, OP_X), 8, mov_mem_x },
	{ ZYDIS_MNEMONIC_MOVHPS, PAIR(OP_X, OP_MEM), 8, movh_x_m },
	{ ZYDIS_MNEMONIC_MOVHPD, PAIR(OP_X, OP_MEM), 8, movh_x_m },
	{ ZYDIS_MNEMONIC_MOVHPS, PAIR(OP_MEM, OP_X), 8, movh_m_x },
	{ ZYDIS_MNEMONIC_MOVHPD, PAIR(OP_MEM, OP_X), 8, movh_m_x },
	{ ZYDIS_MNEMONIC_MOVNTI, PAIR(OP_MEM, OP_G), 0, movnti },
};

bool bind_move(const struct zin *z, const struct forms *f, struct insn *out)
{
	for (size_t k = 0; k < ARRAY_LEN(moves); k++) {
		const struct move *m = &moves[k];

		if (m->mnemonic != z->i.mnemonic || m->pair != f->pair)
			continue;
		out->osz = m->size ? m->size : f->wide ? 8 : 4;
		out->fn = m->fn;
		return true;
	}
	return false;
}
