/*
 * int_shift.c - shifts and rotates, SHLD and SHRD
 *
 * A masked count of zero leaves every flag as it was, yet a 32-bit destination
 * is still zero-extended.  OF for counts other than one, and everything of a
 * 16-bit SHLD by more than 16, is what the host does; AF, undefined, is left
 * at zero by the shifts.  Rotates touch CF and OF only; RCL and RCR by a
 * multiple of their width in bits plus one change nothing at all.
 *
 * Spec     [SDM 2] SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#define HOST_BY_CL(op, sz, d, n, ax) do { \
	switch (sz) { \
	case 1: \
		__asm__("bt $0, %k[f_]\n\t" #op "b %%cl, %b[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : "c" (n), [f_] "r" (rflags) : "cc"); \
		break; \
	case 2: \
		__asm__("bt $0, %k[f_]\n\t" #op "w %%cl, %w[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : "c" (n), [f_] "r" (rflags) : "cc"); \
		break; \
	case 4: \
		__asm__("bt $0, %k[f_]\n\t" #op "l %%cl, %k[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : "c" (n), [f_] "r" (rflags) : "cc"); \
		break; \
	default: \
		__asm__("bt $0, %k[f_]\n\t" #op "q %%cl, %q[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : "c" (n), [f_] "r" (rflags) : "cc"); \
		break; \
	} \
} while (0)

INLINE uint64_t host_shift(unsigned op, unsigned sz, uint64_t d, unsigned n, uint64_t rflags,
			   uint32_t *ret_ax)
{
	uint32_t ax = 0;

	switch (op) {
	case SH_ROL: HOST_BY_CL(rol, sz, d, n, ax); break;
	case SH_ROR: HOST_BY_CL(ror, sz, d, n, ax); break;
	case SH_RCL: HOST_BY_CL(rcl, sz, d, n, ax); break;
	case SH_RCR: HOST_BY_CL(rcr, sz, d, n, ax); break;
	case SH_SHL: HOST_BY_CL(shl, sz, d, n, ax); break;
	case SH_SHR: HOST_BY_CL(shr, sz, d, n, ax); break;
	case SH_SAR: HOST_BY_CL(sar, sz, d, n, ax); break;
	}
	*ret_ax = ax;
	return d;
}

INLINE unsigned shift_count(unsigned sz, uint64_t n)
{
	return (unsigned)n & (sz == 8 ? 63 : 31);
}

/* Whether a masked count N leaves all flags alone. */
INLINE bool shift_idle(unsigned op, unsigned sz, unsigned n)
{
	if ((op == SH_RCL || op == SH_RCR) && sz < 4)
		return n % (sz * 8 + 1) == 0;
	return n == 0;
}

INLINE void shift_flags(struct interp *c, unsigned op, uint32_t ax)
{
	uint64_t f = flags_of_host(ax) & ~(uint64_t)X86_AF;

	if (op <= SH_RCR)
		flags_put(c, X86_CF | X86_OF, f);
	else
		flags_put(c, X86_ARITH, f);
}

INLINE void shift_reg(struct interp *c, const struct insn *in, unsigned op, unsigned sz,
		      uint64_t cnt)
{
	unsigned n = shift_count(sz, cnt);
	uint64_t d = sz == 1 ? reg_get(c, in->reg, 1) : c->gpr[in->reg];
	uint32_t ax;

	d = host_shift(op, sz, d, n, c->rflags, &ax);
	if (sz == 1)
		reg_set(c, in->reg, 1, d);
	else
		c->gpr[in->reg] = d;
	if (!shift_idle(op, sz, n))
		shift_flags(c, op, ax);
}

INLINE void shift_mem(struct interp *c, const struct insn *in, unsigned op, unsigned sz,
		      uint64_t cnt)
{
	unsigned n = shift_count(sz, cnt);
	struct rmw m;
	uint64_t d;
	uint32_t ax;

	mem_begin(c, in, &m, sz, false);
	d = host_load(m.p, sz);
	d = host_shift(op, sz, d, n, c->rflags, &ax);
	host_store(m.p, sz, d);
	interp_rmw_end(c, &m);
	if (!shift_idle(op, sz, n))
		shift_flags(c, op, ax);
}

#define HANDLER(name, call) \
	static void name(struct interp *c, const struct insn *in) { call; }
#define HANDLERS(op, sz) \
	HANDLER(op##_ri_##sz, shift_reg(c, in, op, sz, in->imm)) \
	HANDLER(op##_rc_##sz, shift_reg(c, in, op, sz, c->gpr[CPU_RCX])) \
	HANDLER(op##_mi_##sz, shift_mem(c, in, op, sz, in->imm)) \
	HANDLER(op##_mc_##sz, shift_mem(c, in, op, sz, c->gpr[CPU_RCX]))
#define ALL_SIZES(op) HANDLERS(op, 1) HANDLERS(op, 2) HANDLERS(op, 4) HANDLERS(op, 8)

ALL_SIZES(SH_ROL)
ALL_SIZES(SH_ROR)
ALL_SIZES(SH_RCL)
ALL_SIZES(SH_RCR)
ALL_SIZES(SH_SHL)
ALL_SIZES(SH_SHR)
ALL_SIZES(SH_SAR)

#define FNS(op, sz) { \
	[FORM_RI] = op##_ri_##sz, [FORM_RR] = op##_rc_##sz, \
	[FORM_MI] = op##_mi_##sz, [FORM_MR] = op##_mc_##sz }
#define FNS_OF(op) [op] = { FNS(op, 1), FNS(op, 2), FNS(op, 4), FNS(op, 8) }

static insn_fn *const shift_fns[SH_NR][4][FORM_MI + 1] = {
	FNS_OF(SH_ROL), FNS_OF(SH_ROR), FNS_OF(SH_RCL), FNS_OF(SH_RCR),
	FNS_OF(SH_SHL), FNS_OF(SH_SHR), FNS_OF(SH_SAR),
};

bool int_bind_shift(const struct zin *z, struct insn *out, unsigned op)
{
	enum form form = int_form(z, out);

	if (form > FORM_MI || form == FORM_RM)
		return false;
	out->fn = shift_fns[op][int_log2(out->osz)][form];
	return true;
}

/* ---- SHLD, SHRD ------------------------------------------------------------------------- */

#define HOST_DOUBLE(op, sz, d, s, n, ax) do { \
	switch (sz) { \
	case 2: \
		__asm__(#op "w %%cl, %w[s_], %w[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : [s_] "r" (s), "c" (n) : "cc"); \
		break; \
	case 4: \
		__asm__(#op "l %%cl, %k[s_], %k[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : [s_] "r" (s), "c" (n) : "cc"); \
		break; \
	default: \
		__asm__(#op "q %%cl, %q[s_], %q[d_]\n\t" HOST_FLAGS \
			: [d_] "+r" (d), "=a" (ax) : [s_] "r" (s), "c" (n) : "cc"); \
		break; \
	} \
} while (0)

/* op[0]: SHLD or SHRD; op[1]: the count is CL, else imm. */
static void shiftd(struct interp *c, const struct insn *in)
{
	unsigned sz = in->osz, n = shift_count(sz, in->op[1] ? c->gpr[CPU_RCX] : in->imm);
	uint64_t d = 0, s = c->gpr[in->rm];
	struct rmw m;
	uint32_t ax;

	if (in->mem) {
		mem_begin(c, in, &m, sz, false);
		d = host_load(m.p, sz);
	} else {
		d = c->gpr[in->reg];
	}
	if (in->op[0] == SHD_SHLD)
		HOST_DOUBLE(shld, sz, d, s, n, ax);
	else
		HOST_DOUBLE(shrd, sz, d, s, n, ax);
	if (in->mem) {
		host_store(m.p, sz, d);
		interp_rmw_end(c, &m);
	} else {
		c->gpr[in->reg] = d;
	}
	if (n != 0)
		shift_flags(c, SH_SHL, ax);
}

bool int_bind_shiftd(const struct zin *z, struct insn *out, unsigned op)
{
	enum form form = int_form(z, out);

	if (form != FORM_RR && form != FORM_MR)
		return false;
	out->op[0] = (uint8_t)op;
	out->op[1] = z->op[2].type == ZYDIS_OPERAND_TYPE_REGISTER;
	if (!out->op[1])
		out->imm = z->op[2].imm.value.u;
	out->fn = shiftd;
	return true;
}
