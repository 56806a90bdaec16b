/*
 * int_alu.c - ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST
 *
 * Half of what a guest runs.  The host has the very same instructions, so each
 * handler runs the host's on the guest's values and takes the flags with LAHF
 * and SETO; even the flags that the manual leaves undefined (AF after AND)
 * come out as this processor leaves them.  Sixteen to 64-bit register operands
 * are computed in the 64-bit container: the host's own merge and
 * zero-extension rules then apply.
 *
 * LOCK forms run the host's LOCK form on the guest's RAM.
 *
 * Spec     [SDM 2] the nine instructions
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#define LOAD_CARRY "bt $0, %k[f_]\n\t"

#define HOST_REG(pre, op, sz, d, s, ax) do { \
	switch (sz) { \
	case 1: \
		__asm__(pre #op "b %b[s_], %b[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : [s_] "r" (s), [f_] "r" (rflags) : "cc"); \
		break; \
	case 2: \
		__asm__(pre #op "w %w[s_], %w[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : [s_] "r" (s), [f_] "r" (rflags) : "cc"); \
		break; \
	case 4: \
		__asm__(pre #op "l %k[s_], %k[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : [s_] "r" (s), [f_] "r" (rflags) : "cc"); \
		break; \
	default: \
		__asm__(pre #op "q %q[s_], %q[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : [s_] "r" (s), [f_] "r" (rflags) : "cc"); \
		break; \
	} \
} while (0)

/* The low SZ bytes of the result are meaningful, the rest as in a register. */
INLINE uint64_t host_alu(unsigned op, unsigned sz, uint64_t d, uint64_t s, uint64_t rflags,
			 uint32_t *ret_ax)
{
	uint32_t ax = 0;

	switch (op) {
	case ALU_ADD: HOST_REG("", add, sz, d, s, ax); break;
	case ALU_OR: HOST_REG("", or, sz, d, s, ax); break;
	case ALU_ADC: HOST_REG(LOAD_CARRY, adc, sz, d, s, ax); break;
	case ALU_SBB: HOST_REG(LOAD_CARRY, sbb, sz, d, s, ax); break;
	case ALU_AND: HOST_REG("", and, sz, d, s, ax); break;
	case ALU_SUB: HOST_REG("", sub, sz, d, s, ax); break;
	case ALU_XOR: HOST_REG("", xor, sz, d, s, ax); break;
	case ALU_CMP: HOST_REG("", cmp, sz, d, s, ax); break;
	case ALU_TEST: HOST_REG("", test, sz, d, s, ax); break;
	}
	*ret_ax = ax;
	return d;
}

#define HOST_MEM(pre, op, sz, p, s, ax) do { \
	switch (sz) { \
	case 1: \
		__asm__ volatile(LOAD_CARRY pre #op "b %b[s_], (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p), [s_] "r" (s), [f_] "r" (rflags) \
			: "cc", "memory"); \
		break; \
	case 2: \
		__asm__ volatile(LOAD_CARRY pre #op "w %w[s_], (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p), [s_] "r" (s), [f_] "r" (rflags) \
			: "cc", "memory"); \
		break; \
	case 4: \
		__asm__ volatile(LOAD_CARRY pre #op "l %k[s_], (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p), [s_] "r" (s), [f_] "r" (rflags) \
			: "cc", "memory"); \
		break; \
	default: \
		__asm__ volatile(LOAD_CARRY pre #op "q %q[s_], (%[p_])\n\t" HOST_FLAGS \
			: "=a" (ax) : [p_] "r" (p), [s_] "r" (s), [f_] "r" (rflags) \
			: "cc", "memory"); \
		break; \
	} \
} while (0)

/* The same on memory, as one host instruction. */
INLINE uint32_t host_alu_mem(unsigned op, unsigned sz, bool lock, void *p, uint64_t s,
			     uint64_t rflags)
{
	uint32_t ax = 0;

#define CASE(op) \
	do { \
		if (lock) \
			HOST_MEM("lock ", op, sz, p, s, ax); \
		else \
			HOST_MEM("", op, sz, p, s, ax); \
	} while (0)
	switch (op) {
	case ALU_ADD: CASE(add); break;
	case ALU_OR: CASE(or); break;
	case ALU_ADC: CASE(adc); break;
	case ALU_SBB: CASE(sbb); break;
	case ALU_AND: CASE(and); break;
	case ALU_SUB: CASE(sub); break;
	case ALU_XOR: CASE(xor); break;
	}
#undef CASE
	return ax;
}

INLINE bool alu_writes(unsigned op)
{
	return op != ALU_CMP && op != ALU_TEST;
}

/* Register destination, whatever the source was. */
INLINE void alu_reg(struct interp *c, const struct insn *in, unsigned op, unsigned sz, uint64_t s)
{
	uint64_t d = sz == 1 ? reg_get(c, in->reg, 1) : c->gpr[in->reg];
	uint32_t ax;

	d = host_alu(op, sz, d, s, c->rflags, &ax);
	if (alu_writes(op)) {
		if (sz == 1)
			reg_set(c, in->reg, 1, d);
		else
			c->gpr[in->reg] = d;
	}
	flags_arith(c, ax);
}

/* Memory destination. */
INLINE void alu_mem(struct interp *c, const struct insn *in, unsigned op, unsigned sz, uint64_t s,
		    bool lock)
{
	uint32_t ax;

	if (alu_writes(op)) {
		struct rmw m;

		mem_begin(c, in, &m, sz, lock);
		ax = host_alu_mem(op, sz, lock, m.p, s, c->rflags);
		interp_rmw_end(c, &m);
	} else {
		host_alu(op, sz, mem_get(c, in, sz), s, c->rflags, &ax);
	}
	flags_arith(c, ax);
}

INLINE uint64_t alu_src(const struct interp *c, const struct insn *in, unsigned sz)
{
	return sz == 1 ? reg_get(c, in->rm, 1) : c->gpr[in->rm];
}

#define HANDLER(name, call) \
	static void name(struct interp *c, const struct insn *in) { call; }
#define HANDLERS(op, sz) \
	HANDLER(op##_rr_##sz, alu_reg(c, in, op, sz, alu_src(c, in, sz))) \
	HANDLER(op##_ri_##sz, alu_reg(c, in, op, sz, in->imm)) \
	HANDLER(op##_rm_##sz, alu_reg(c, in, op, sz, mem_get(c, in, sz))) \
	HANDLER(op##_mr_##sz, alu_mem(c, in, op, sz, alu_src(c, in, sz), false)) \
	HANDLER(op##_mi_##sz, alu_mem(c, in, op, sz, in->imm, false)) \
	HANDLER(op##_lmr_##sz, alu_mem(c, in, op, sz, alu_src(c, in, sz), true)) \
	HANDLER(op##_lmi_##sz, alu_mem(c, in, op, sz, in->imm, true))
#define ALL_SIZES(op) HANDLERS(op, 1) HANDLERS(op, 2) HANDLERS(op, 4) HANDLERS(op, 8)

ALL_SIZES(ALU_ADD)
ALL_SIZES(ALU_OR)
ALL_SIZES(ALU_ADC)
ALL_SIZES(ALU_SBB)
ALL_SIZES(ALU_AND)
ALL_SIZES(ALU_SUB)
ALL_SIZES(ALU_XOR)
ALL_SIZES(ALU_CMP)
ALL_SIZES(ALU_TEST)

/* The idiom that clears a register; no source, flags known. */
static void xor_self_4(struct interp *c, const struct insn *in)
{
	c->gpr[in->reg] = 0;
	flags_put(c, X86_ARITH, X86_ZF | X86_PF);
}

enum { LOCKED_MR = FORM_MI + 1, LOCKED_MI, FORMS };

#define FNS(op, sz) { \
	[FORM_RR] = op##_rr_##sz, [FORM_RI] = op##_ri_##sz, [FORM_RM] = op##_rm_##sz, \
	[FORM_MR] = op##_mr_##sz, [FORM_MI] = op##_mi_##sz, \
	[LOCKED_MR] = op##_lmr_##sz, [LOCKED_MI] = op##_lmi_##sz }
#define FNS_OF(op) [op] = { FNS(op, 1), FNS(op, 2), FNS(op, 4), FNS(op, 8) }

static insn_fn *const alu_fns[ALU_NR][4][FORMS] = {
	FNS_OF(ALU_ADD), FNS_OF(ALU_OR), FNS_OF(ALU_ADC), FNS_OF(ALU_SBB), FNS_OF(ALU_AND),
	FNS_OF(ALU_SUB), FNS_OF(ALU_XOR), FNS_OF(ALU_CMP), FNS_OF(ALU_TEST),
};

bool int_bind_alu(const struct zin *z, struct insn *out, unsigned op)
{
	unsigned form = int_form(z, out);

	if (form > FORM_MI)
		return false;
	if (op == ALU_XOR && form == FORM_RR && out->osz >= 4 && out->reg == out->rm) {
		out->fn = xor_self_4;
		return true;
	}
	if (out->lock)
		form = form == FORM_MR ? LOCKED_MR : LOCKED_MI;
	out->fn = alu_fns[op][int_log2(out->osz)][form];
	return true;
}
