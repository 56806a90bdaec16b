/*
 * int_muldiv.c - MUL, IMUL, DIV, IDIV
 *
 * Only CF and OF of a multiplication are defined; the other flags stay as they
 * were, and a division changes none.  A quotient that does not fit is #DE like
 * a zero divisor, with nothing written.
 *
 * Spec     [SDM 2] MUL, IMUL, DIV, IDIV
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

typedef unsigned __int128 u128;
typedef __int128 i128;

INLINE uint64_t operand(struct interp *c, const struct insn *in, unsigned sz)
{
	return in->mem ? mem_get(c, in, sz) : reg_get(c, in->reg, sz);
}

INLINE void mul_flags(struct interp *c, bool over)
{
	flags_put(c, X86_CF | X86_OF, over ? X86_CF | X86_OF : 0);
}

/* A double-width product into rDX:rAX, or AX. */
INLINE void put_wide(struct interp *c, unsigned sz, uint64_t lo, uint64_t hi)
{
	if (sz == 1) {
		reg_set(c, CPU_RAX, 2, (lo & 0xff) | (hi & 0xff) << 8);
		return;
	}
	reg_set(c, CPU_RAX, sz, lo);
	reg_set(c, CPU_RDX, sz, hi);
}

INLINE void mul(struct interp *c, const struct insn *in, unsigned sz)
{
	u128 p = (u128)operand(c, in, sz) * reg_get(c, CPU_RAX, sz);
	uint64_t hi = (uint64_t)(p >> sz * 8) & size_mask(sz);

	put_wide(c, sz, (uint64_t)p, hi);
	mul_flags(c, hi != 0);
}

INLINE void imul1(struct interp *c, const struct insn *in, unsigned sz)
{
	i128 p = (i128)sign_extend(operand(c, in, sz), sz) *
		 sign_extend(reg_get(c, CPU_RAX, sz), sz);

	put_wide(c, sz, (uint64_t)p, (uint64_t)((u128)p >> sz * 8));
	mul_flags(c, p != sign_extend((uint64_t)p, sz));
}

INLINE void imul_into(struct interp *c, const struct insn *in, unsigned sz, uint64_t a, uint64_t b)
{
	i128 p = (i128)sign_extend(a, sz) * sign_extend(b, sz);

	reg_set(c, in->reg, sz, (uint64_t)p);
	mul_flags(c, p != sign_extend((uint64_t)p, sz));
}

/* IMUL r, r/m: rm is the second operand. */
INLINE void imul2(struct interp *c, const struct insn *in, unsigned sz)
{
	imul_into(c, in, sz, c->gpr[in->reg],
		  in->mem ? mem_get(c, in, sz) : c->gpr[in->rm]);
}

INLINE void imul3(struct interp *c, const struct insn *in, unsigned sz)
{
	imul_into(c, in, sz, in->mem ? mem_get(c, in, sz) : c->gpr[in->rm], in->imm);
}

/* The host's DIV, which must not fault: the caller has seen HI < D. */
INLINE uint64_t host_div(uint64_t hi, uint64_t lo, uint64_t d, uint64_t *ret_rem)
{
	uint64_t q, r;

	__asm__("divq %[d_]" : "=a" (q), "=d" (r) : [d_] "r" (d), "a" (lo), "d" (hi) : "cc");
	*ret_rem = r;
	return q;
}

/* Quotient and remainder in place: AL and AH, or rAX and rDX. */
INLINE void put_quotient(struct interp *c, unsigned sz, uint64_t q, uint64_t r)
{
	put_wide(c, sz, q, r);
}

INLINE void divide(struct interp *c, const struct insn *in, unsigned sz)
{
	uint64_t d = operand(c, in, sz), q, r;

	if (sz == 8) {
		if (c->gpr[CPU_RDX] >= d)	/* zero divisors too */
			interp_raise(c, X86_DE);
		q = host_div(c->gpr[CPU_RDX], c->gpr[CPU_RAX], d, &r);
	} else {
		uint64_t n = sz == 1 ? reg_get(c, CPU_RAX, 2) :
			     reg_get(c, CPU_RDX, sz) << sz * 8 | reg_get(c, CPU_RAX, sz);

		if (d == 0 || n / d > size_mask(sz))
			interp_raise(c, X86_DE);
		q = n / d;
		r = n % d;
	}
	put_quotient(c, sz, q, r);
}

/* Signed 128 by 64 on magnitudes; the signs are put back afterwards. */
INLINE void idiv8(struct interp *c, uint64_t d)
{
	bool neg_n = (int64_t)c->gpr[CPU_RDX] < 0, neg_d = (int64_t)d < 0;
	u128 n = (u128)c->gpr[CPU_RDX] << 64 | c->gpr[CPU_RAX];
	uint64_t q, r, limit;

	if (neg_n)
		n = -n;
	if (neg_d)
		d = -d;
	if ((uint64_t)(n >> 64) >= d)
		interp_raise(c, X86_DE);
	q = host_div((uint64_t)(n >> 64), (uint64_t)n, d, &r);
	limit = INT64_MAX + (uint64_t)(neg_n != neg_d);
	if (q > limit)
		interp_raise(c, X86_DE);
	put_quotient(c, 8, neg_n != neg_d ? -q : q, neg_n ? -r : r);
}

INLINE void idivide(struct interp *c, const struct insn *in, unsigned sz)
{
	uint64_t raw = operand(c, in, sz);
	int64_t d, n, q;

	if (sz == 8) {
		idiv8(c, raw);
		return;
	}
	d = sign_extend(raw, sz);
	if (sz == 1)
		n = sign_extend(reg_get(c, CPU_RAX, 2), 2);
	else
		n = sign_extend(reg_get(c, CPU_RDX, sz) << sz * 8 | reg_get(c, CPU_RAX, sz),
				sz * 2);
	/* INT64_MIN / -1 would trap here too; as a quotient of 4 bytes it cannot fit. */
	if (d == 0 || (d == -1 && n == INT64_MIN))
		interp_raise(c, X86_DE);
	q = n / d;
	if (q != sign_extend((uint64_t)q, sz))
		interp_raise(c, X86_DE);
	put_quotient(c, sz, (uint64_t)q, (uint64_t)(n % d));
}

#define HANDLER(op, sz) \
	static void op##_##sz(struct interp *c, const struct insn *in) { op(c, in, sz); }
#define ALL_SIZES(op) HANDLER(op, 1) HANDLER(op, 2) HANDLER(op, 4) HANDLER(op, 8)

ALL_SIZES(mul)
ALL_SIZES(imul1)
ALL_SIZES(divide)
ALL_SIZES(idivide)
HANDLER(imul2, 2) HANDLER(imul2, 4) HANDLER(imul2, 8)
HANDLER(imul3, 2) HANDLER(imul3, 4) HANDLER(imul3, 8)

#define FNS(op) { op##_1, op##_2, op##_4, op##_8 }

static insn_fn *const one_operand[4][4] = {
	[MD_MUL] = FNS(mul), [MD_IMUL] = FNS(imul1), [MD_DIV] = FNS(divide), [MD_IDIV] = FNS(idivide),
};
static insn_fn *const imul_two[4] = { NULL, imul2_2, imul2_4, imul2_8 };
static insn_fn *const imul_three[4] = { NULL, imul3_2, imul3_4, imul3_8 };

/*
 * The one-operand forms have AL or rAX as further visible operands in some
 * rows of the decoder's tables, so the opcode tells: F6 and F7 are those.
 */
bool int_bind_muldiv(const struct zin *z, struct insn *out, unsigned op)
{
	enum form form = int_form(z, out);
	insn_fn *const *fns;

	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
	    (z->i.opcode == 0xf6 || z->i.opcode == 0xf7)) {
		fns = one_operand[op];
	} else if (form == FORM_RR || form == FORM_RM) {
		fns = imul_two;
		if (z->i.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {	/* 69, 6B */
			fns = imul_three;
			out->imm = z->op[2].imm.value.u;
		}
	} else {
		return false;
	}
	out->fn = fns[int_log2(out->osz)];
	return out->fn != NULL;
}
