/*
 * int_mov.c - MOV, MOVZX, MOVSX, MOVSXD, CMOVcc, SETcc, LEA, XLAT, MOVNTI
 *
 * MOV with segment, control and debug registers belongs to sys/.  CMOVcc loads
 * its source whether or not the condition holds, and a 32-bit one clears the
 * upper half either way.
 *
 * Spec     [SDM 2] the instructions named
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#define HANDLER(name, body) \
	static void name(struct interp *c, const struct insn *in) { body; }
#define MOV_SIZE(sz) \
	HANDLER(mov_rr_##sz, reg_set(c, in->reg, sz, reg_get(c, in->rm, sz))) \
	HANDLER(mov_ri_##sz, reg_set(c, in->reg, sz, in->imm)) \
	HANDLER(mov_rm_##sz, reg_set(c, in->reg, sz, mem_get(c, in, sz))) \
	HANDLER(mov_mr_##sz, mem_set(c, in, sz, reg_get(c, in->rm, sz))) \
	HANDLER(mov_mi_##sz, mem_set(c, in, sz, in->imm))
MOV_SIZE(1)
MOV_SIZE(2)
MOV_SIZE(4)
MOV_SIZE(8)

#define MOV_FNS(sz) { \
	[FORM_RR] = mov_rr_##sz, [FORM_RI] = mov_ri_##sz, [FORM_RM] = mov_rm_##sz, \
	[FORM_MR] = mov_mr_##sz, [FORM_MI] = mov_mi_##sz }
static insn_fn *const mov_fns[4][FORM_MI + 1] = { MOV_FNS(1), MOV_FNS(2), MOV_FNS(4), MOV_FNS(8) };

/* ---- widening: destination size by source size ------------------------------------------- */

#define WIDEN(d, s) \
	HANDLER(movzx_r_##d##_##s, reg_set(c, in->reg, d, reg_get(c, in->rm, s))) \
	HANDLER(movzx_m_##d##_##s, reg_set(c, in->reg, d, mem_get(c, in, s))) \
	HANDLER(movsx_r_##d##_##s, \
		reg_set(c, in->reg, d, (uint64_t)sign_extend(reg_get(c, in->rm, s), s))) \
	HANDLER(movsx_m_##d##_##s, \
		reg_set(c, in->reg, d, (uint64_t)sign_extend(mem_get(c, in, s), s)))
WIDEN(2, 1) WIDEN(2, 2) WIDEN(4, 1) WIDEN(4, 2) WIDEN(4, 4) WIDEN(8, 1) WIDEN(8, 2) WIDEN(8, 4)

#define WIDEN_FNS(d, s) \
	[d / 2 - d / 8][s / 2] = { { movzx_r_##d##_##s, movzx_m_##d##_##s }, \
				   { movsx_r_##d##_##s, movsx_m_##d##_##s } }
/* [log2 of the destination][log2 of the source][signed][memory] */
static insn_fn *const widen_fns[4][3][2][2] = {
	WIDEN_FNS(2, 1), WIDEN_FNS(2, 2), WIDEN_FNS(4, 1), WIDEN_FNS(4, 2), WIDEN_FNS(4, 4),
	WIDEN_FNS(8, 1), WIDEN_FNS(8, 2), WIDEN_FNS(8, 4),
};

/* ---- LEA, XLAT --------------------------------------------------------------------------- */

HANDLER(lea_2, reg_set(c, in->reg, 2, insn_ea(c, in)))
HANDLER(lea_4, reg_set(c, in->reg, 4, insn_ea(c, in)))
HANDLER(lea_8, c->gpr[in->reg] = insn_ea(c, in))
/* 64-bit address and register, base only: the compiler's ADD of three operands. */
HANDLER(lea_8_base, c->gpr[in->reg] = c->gpr[in->base] + (uint64_t)in->disp)

static void xlat(struct interp *c, const struct insn *in)
{
	uint64_t off = (c->gpr[CPU_RBX] + (uint8_t)c->gpr[CPU_RAX]) & size_mask(in->asz);

	reg_set(c, CPU_RAX, 1, interp_load(c, (enum cpu_sreg)in->seg, off, 1));
}

/* ---- conditions -------------------------------------------------------------------------- */

INLINE void cmov(struct interp *c, const struct insn *in, unsigned sz)
{
	uint64_t v = in->mem ? mem_get(c, in, sz) : c->gpr[in->rm];

	if (!flags_cond(c->rflags, in->cond))
		v = c->gpr[in->reg];
	reg_set(c, in->reg, sz, v);
}

HANDLER(cmov_2, cmov(c, in, 2))
HANDLER(cmov_4, cmov(c, in, 4))
HANDLER(cmov_8, cmov(c, in, 8))
HANDLER(setcc_r, reg_set(c, in->reg, 1, flags_cond(c->rflags, in->cond)))
HANDLER(setcc_m, mem_set(c, in, 1, flags_cond(c->rflags, in->cond)))

static bool bind_mov(const struct zin *z, struct insn *out)
{
	enum form form = int_form(z, out);

	if (form > FORM_MI)
		return false;
	out->fn = mov_fns[int_log2(out->osz)][form];
	return true;
}

static bool bind_widen(const struct zin *z, struct insn *out, bool is_signed)
{
	enum form form = int_form(z, out);
	unsigned from;

	if (form != FORM_RR && form != FORM_RM)
		return false;
	/* MOVSXD of 16 bits moves 16, though the decoder names a doubleword. */
	from = (unsigned)min_u64(z->op[1].size / 8u, out->osz);
	out->fn = widen_fns[int_log2(out->osz)][int_log2(from)][is_signed][out->mem];
	return out->fn != NULL;
}

static bool bind_lea(const struct zin *z, struct insn *out)
{
	static insn_fn *const fns[4] = { NULL, lea_2, lea_4, lea_8 };

	/* The decoder calls the second operand memory, of a kind that is never touched. */
	if (int_form(z, out) != FORM_RM)
		return false;
	out->fn = fns[int_log2(out->osz)];
	if (out->osz == 8 && out->asz == 8 && out->index == REG_NONE && out->base < REG_NONE)
		out->fn = lea_8_base;
	return out->fn != NULL;
}

static bool bind_cond(const struct zin *z, struct insn *out, bool set)
{
	static insn_fn *const fns[4] = { NULL, cmov_2, cmov_4, cmov_8 };
	enum form form = int_form(z, out);

	out->cond = z->i.opcode & 15;
	if (set) {
		out->fn = form == FORM_R ? setcc_r : setcc_m;
		return form == FORM_R || form == FORM_M;
	}
	out->fn = fns[int_log2(out->osz)];
	return (form == FORM_RR || form == FORM_RM) && out->fn;
}

static bool bind_xlat(const struct zin *z, struct insn *out)
{
	/* Its memory operand is implied: only the segment can be named. */
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		ZydisRegister r = z->op[i].mem.segment;

		if (z->op[i].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		out->seg = (uint8_t)(r - ZYDIS_REGISTER_ES);
		out->fn = xlat;
		return r >= ZYDIS_REGISTER_ES && r <= ZYDIS_REGISTER_GS;
	}
	return false;
}

bool int_bind_mov(const struct zin *z, struct insn *out, unsigned op)
{
	switch (op) {
	case MV_MOV: return bind_mov(z, out);
	case MV_MOVZX: return bind_widen(z, out, false);
	case MV_MOVSX: return bind_widen(z, out, true);
	case MV_LEA: return bind_lea(z, out);
	case MV_XLAT: return bind_xlat(z, out);
	case MV_CMOV: return bind_cond(z, out, false);
	case MV_SETCC: return bind_cond(z, out, true);
	default: return bind_mov(z, out);	/* MOVNTI: a store like any other */
	}
}
