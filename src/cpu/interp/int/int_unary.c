/*
 * int_unary.c - INC, DEC, NEG, NOT
 *
 * INC and DEC keep CF, NOT keeps all flags.
 *
 * Spec     [SDM 2] the four instructions
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#define HOST_REG(op, sz, d, ax) do { \
	switch (sz) { \
	case 1: \
		__asm__(#op "b %b[d_]\n\t" HOST_FLAGS : [d_] "+r" (d), "=a" (ax) : : "cc"); \
		break; \
	case 2: \
		__asm__(#op "w %w[d_]\n\t" HOST_FLAGS : [d_] "+r" (d), "=a" (ax) : : "cc"); \
		break; \
	case 4: \
		__asm__(#op "l %k[d_]\n\t" HOST_FLAGS : [d_] "+r" (d), "=a" (ax) : : "cc"); \
		break; \
	default: \
		__asm__(#op "q %q[d_]\n\t" HOST_FLAGS : [d_] "+r" (d), "=a" (ax) : : "cc"); \
		break; \
	} \
} while (0)

#define HOST_MEM(pre, op, sz, p, ax) do { \
	switch (sz) { \
	case 1: \
		__asm__ volatile(pre #op "b (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p) : "cc", "memory"); \
		break; \
	case 2: \
		__asm__ volatile(pre #op "w (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p) : "cc", "memory"); \
		break; \
	case 4: \
		__asm__ volatile(pre #op "l (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p) : "cc", "memory"); \
		break; \
	default: \
		__asm__ volatile(pre #op "q (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p) : "cc", "memory"); \
		break; \
	} \
} while (0)

INLINE void unary_flags(struct interp *c, unsigned op, uint32_t ax)
{
	if (op == UN_NEG)
		flags_arith(c, ax);
	else if (op != UN_NOT)
		flags_put(c, X86_ARITH & ~X86_CF, flags_of_host(ax));
}

INLINE void unary_reg(struct interp *c, const struct insn *in, unsigned op, unsigned sz)
{
	uint64_t d = sz == 1 ? reg_get(c, in->reg, 1) : c->gpr[in->reg];
	uint32_t ax = 0;

	switch (op) {
	case UN_INC: HOST_REG(inc, sz, d, ax); break;
	case UN_DEC: HOST_REG(dec, sz, d, ax); break;
	case UN_NEG: HOST_REG(neg, sz, d, ax); break;
	case UN_NOT: HOST_REG(not, sz, d, ax); break;
	}
	if (sz == 1)
		reg_set(c, in->reg, 1, d);
	else
		c->gpr[in->reg] = d;
	unary_flags(c, op, ax);
}

INLINE void unary_mem(struct interp *c, const struct insn *in, unsigned op, unsigned sz, bool lock)
{
	struct rmw m;
	uint32_t ax = 0;

	mem_begin(c, in, &m, sz, lock);
#define CASE(op) \
	do { \
		if (lock) \
			HOST_MEM("lock ", op, sz, m.p, ax); \
		else \
			HOST_MEM("", op, sz, m.p, ax); \
	} while (0)
	switch (op) {
	case UN_INC: CASE(inc); break;
	case UN_DEC: CASE(dec); break;
	case UN_NEG: CASE(neg); break;
	case UN_NOT: CASE(not); break;
	}
#undef CASE
	interp_rmw_end(c, &m);
	unary_flags(c, op, ax);
}

#define HANDLER(name, call) \
	static void name(struct interp *c, const struct insn *in) { call; }
#define HANDLERS(op, sz) \
	HANDLER(op##_r_##sz, unary_reg(c, in, op, sz)) \
	HANDLER(op##_m_##sz, unary_mem(c, in, op, sz, false)) \
	HANDLER(op##_lm_##sz, unary_mem(c, in, op, sz, true))
#define ALL_SIZES(op) HANDLERS(op, 1) HANDLERS(op, 2) HANDLERS(op, 4) HANDLERS(op, 8)

ALL_SIZES(UN_INC)
ALL_SIZES(UN_DEC)
ALL_SIZES(UN_NEG)
ALL_SIZES(UN_NOT)

enum { U_REG, U_MEM, U_LOCKED, U_FORMS };

#define FNS(op, sz) { op##_r_##sz, op##_m_##sz, op##_lm_##sz }
#define FNS_OF(op) [op] = { FNS(op, 1), FNS(op, 2), FNS(op, 4), FNS(op, 8) }

static insn_fn *const unary_fns[UN_NR][4][U_FORMS] = {
	FNS_OF(UN_INC), FNS_OF(UN_DEC), FNS_OF(UN_NEG), FNS_OF(UN_NOT),
};

bool int_bind_unary(const struct zin *z, struct insn *out, unsigned op)
{
	enum form form = int_form(z, out);
	unsigned u = U_REG;

	if (form != FORM_R && form != FORM_M)
		return false;
	if (form == FORM_M)
		u = out->lock ? U_LOCKED : U_MEM;
	out->fn = unary_fns[op][int_log2(out->osz)][u];
	return true;
}
