/*
 * int_alu_test.c - every 8-bit operation on every operand, against the host
 *
 * The reference runs the host's instruction between POPFQ and PUSHFQ, which the
 * handlers do not use, so a mistake in how they gather flags shows.  Wider
 * operations are judge's; here they only have to exist in every form.
 */
#include "cpu/interp/int/int_test.h"

#define REF_BINARY(op) \
	static uint8_t ref_##op(uint8_t d, uint8_t s, uint64_t *flags) \
	{ \
		uint64_t f = *flags; \
		__asm__ volatile("pushq %[f]\n\tpopfq\n\t" #op "b %[s], %[d]\n\tpushfq\n\tpopq %[f]" \
			: [d] "+r" (d), [f] "+r" (f) : [s] "r" (s) : "cc", "memory"); \
		*flags = f & X86_ARITH; \
		return d; \
	}
REF_BINARY(add) REF_BINARY(or) REF_BINARY(adc) REF_BINARY(sbb)
REF_BINARY(and) REF_BINARY(sub) REF_BINARY(xor) REF_BINARY(cmp) REF_BINARY(test)

#define REF_SHIFT(op) \
	static uint8_t ref_##op(uint8_t d, uint8_t n, uint64_t *flags) \
	{ \
		uint64_t f = *flags; \
		__asm__ volatile("pushq %[f]\n\tpopfq\n\t" #op "b %%cl, %[d]\n\tpushfq\n\tpopq %[f]" \
			: [d] "+r" (d), [f] "+r" (f) : "c" (n) : "cc", "memory"); \
		*flags = f & X86_ARITH; \
		return d; \
	}
REF_SHIFT(rol) REF_SHIFT(ror) REF_SHIFT(rcl) REF_SHIFT(rcr)
REF_SHIFT(shl) REF_SHIFT(shr) REF_SHIFT(sar)

#define REF_UNARY(op) \
	static uint8_t ref_##op(uint8_t d, uint8_t s, uint64_t *flags) \
	{ \
		uint64_t f = *flags; \
		(void)s; \
		__asm__ volatile("pushq %[f]\n\tpopfq\n\t" #op "b %[d]\n\tpushfq\n\tpopq %[f]" \
			: [d] "+r" (d), [f] "+r" (f) : : "cc", "memory"); \
		*flags = f & X86_ARITH; \
		return d; \
	}
REF_UNARY(inc) REF_UNARY(dec) REF_UNARY(neg) REF_UNARY(not)

typedef uint8_t ref_fn(uint8_t d, uint8_t s, uint64_t *flags);

struct op8 {
	const char *name;
	ref_fn *ref;
	uint8_t bytes[2];	/* on AL, with BL or CL */
	unsigned sources;
	uint64_t undefined;
};

static const struct op8 ops[] = {
	{ "add", ref_add, { 0x00, 0xd8 }, 256, 0 },
	{ "or", ref_or, { 0x08, 0xd8 }, 256, X86_AF },
	{ "adc", ref_adc, { 0x10, 0xd8 }, 256, 0 },
	{ "sbb", ref_sbb, { 0x18, 0xd8 }, 256, 0 },
	{ "and", ref_and, { 0x20, 0xd8 }, 256, X86_AF },
	{ "sub", ref_sub, { 0x28, 0xd8 }, 256, 0 },
	{ "xor", ref_xor, { 0x30, 0xd8 }, 256, X86_AF },
	{ "cmp", ref_cmp, { 0x38, 0xd8 }, 256, 0 },
	{ "test", ref_test, { 0x84, 0xd8 }, 256, X86_AF },
	{ "inc", ref_inc, { 0xfe, 0xc0 }, 1, 0 },
	{ "dec", ref_dec, { 0xfe, 0xc8 }, 1, 0 },
	{ "neg", ref_neg, { 0xf6, 0xd8 }, 1, 0 },
	{ "not", ref_not, { 0xf6, 0xd0 }, 1, 0 },
	/* AF of shifts and OF of more than one bit are not defined. */
	{ "rol", ref_rol, { 0xd2, 0xc0 }, 32, X86_OF },
	{ "ror", ref_ror, { 0xd2, 0xc8 }, 32, X86_OF },
	{ "rcl", ref_rcl, { 0xd2, 0xd0 }, 32, X86_OF },
	{ "rcr", ref_rcr, { 0xd2, 0xd8 }, 32, X86_OF },
	{ "shl", ref_shl, { 0xd2, 0xe0 }, 9, X86_OF | X86_AF },
	{ "shr", ref_shr, { 0xd2, 0xe8 }, 9, X86_OF | X86_AF },
	{ "sar", ref_sar, { 0xd2, 0xf8 }, 32, X86_OF | X86_AF },
};

static bool is_shift(const struct op8 *o)
{
	return o->bytes[0] == 0xd2;
}

/* All flags on, or all off, before: what must be kept is kept. */
static unsigned wrong_results(struct itest *t, const struct op8 *o, uint64_t before)
{
	struct insn in = test_insn(t, o->bytes, 2);
	struct interp *c = t->c;
	unsigned wrong = 0;

	for (unsigned d = 0; d < 256; d++) {
		for (unsigned s = 0; s < o->sources; s++) {
			uint64_t f = before, mask = X86_ARITH & ~o->undefined;
			uint8_t r = o->ref((uint8_t)d, (uint8_t)s, &f);

			if (is_shift(o) && s == 1)
				mask |= X86_OF;
			if (is_shift(o) && s == 0)
				mask = X86_ARITH;
			c->gpr[CPU_RAX] = UINT64_C(0x1122334455667700) | d;
			c->gpr[CPU_RBX] = c->gpr[CPU_RCX] = UINT64_C(0xaabbccddeeff1100) | s;
			c->rflags = 2 | before;
			in.fn(c, &in);
			wrong += c->gpr[CPU_RAX] != (UINT64_C(0x1122334455667700) | r);
			wrong += ((c->rflags ^ f) & mask) != 0;
		}
	}
	return wrong;
}

static void test_8_bits_exhaustively(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
		unsigned wrong = wrong_results(&t, &ops[i], 0) +
				 wrong_results(&t, &ops[i], X86_ARITH);

		if (wrong != 0)
			print_error("%s: %u wrong\n", ops[i].name, wrong);
		CHECK_EQ(wrong, 0);
	}
	itest_close(&t);
}

/* ADD in every size and form: 2 + 3, and what must stay of the register. */
static void test_sizes_and_forms(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RBX] = ITEST_DATA;
	itest_put64(&t, ITEST_DATA, UINT64_C(0xffffffffffffff02));
	CHECK_EQ(STEP(&t, 0x80, 0x03, 0x03), ITEST_HLT);		/* add byte [rbx], 3 */
	CHECK_EQ(itest_get64(&t, ITEST_DATA), UINT64_C(0xffffffffffffff05));
	c->gpr[CPU_RCX] = 1;
	CHECK_EQ(STEP(&t, 0x66, 0x01, 0x0b), ITEST_HLT);		/* add [rbx], cx */
	CHECK_EQ(itest_get64(&t, ITEST_DATA), UINT64_C(0xffffffffffffff06));
	CHECK_EQ(STEP(&t, 0xf0, 0x01, 0x4b, 0x04), ITEST_HLT);		/* lock add [rbx+4], ecx */
	CHECK_EQ(itest_get64(&t, ITEST_DATA), UINT64_C(0x00000000ffffff06));
	CHECK_EQ(c->rflags & X86_ARITH, X86_CF | X86_PF | X86_AF | X86_ZF);
	c->gpr[CPU_RAX] = UINT64_MAX;
	CHECK_EQ(STEP(&t, 0x66, 0x03, 0x03), ITEST_HLT);		/* add ax, [rbx] */
	CHECK_EQ(c->gpr[CPU_RAX], UINT64_C(0xffffffffffffff05));
	CHECK_EQ(STEP(&t, 0x03, 0x03), ITEST_HLT);			/* add eax, [rbx] */
	CHECK_EQ(c->gpr[CPU_RAX], 0xfffffe0b);
	CHECK_EQ(STEP(&t, 0x48, 0x05, 0, 0, 0, 0x80), ITEST_HLT);	/* add rax, imm32 */
	CHECK_EQ(c->gpr[CPU_RAX], 0x7ffffe0b);
	c->gpr[CPU_RAX] = 0x12ff;
	CHECK_EQ(STEP(&t, 0x80, 0xc4, 0x01), ITEST_HLT);		/* add ah, 1 */
	CHECK_EQ(c->gpr[CPU_RAX], 0x13ff);
	itest_close(&t);
}

/* A read-only page: the fault comes before registers or flags change. */
static void test_fault_before_commit(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	itest_put64(&t, itest_pte(ITEST_DATA), ITEST_DATA | X86_PTE_P);
	interp_tlb_flush(c, true);
	c->gpr[CPU_RBX] = ITEST_DATA;
	c->gpr[CPU_RCX] = 7;
	c->rflags = 2 | X86_CF;
	CHECK_EQ(STEP(&t, 0x48, 0x11, 0x0b), X86_PAGE);			/* adc [rbx], rcx */
	CHECK_EQ(c->exc_code, X86_PF_P | X86_PF_W);
	CHECK_EQ(c->cr2, ITEST_DATA);
	CHECK_EQ(STEP(&t, 0x48, 0x0f, 0xc1, 0x0b), X86_PAGE);		/* xadd */
	CHECK_EQ(STEP(&t, 0x48, 0x87, 0x0b), X86_PAGE);			/* xchg */
	CHECK_EQ(STEP(&t, 0x48, 0x0f, 0xb1, 0x0b), X86_PAGE);		/* cmpxchg that would fail */
	CHECK_EQ(STEP(&t, 0xd1, 0x23), X86_PAGE);			/* shl */
	CHECK_EQ(STEP(&t, 0x0f, 0xab, 0x0b), X86_PAGE);			/* bts */
	CHECK_EQ(STEP(&t, 0x48, 0x39, 0x0b), ITEST_HLT);		/* cmp only reads */
	CHECK_EQ(c->gpr[CPU_RCX], 7);
	itest_close(&t);
}

/* 8-bit multiplication and division, all of them. */
static void test_mul_div(void **state)
{
	static const uint8_t mul[] = { 0xf6, 0xe3 }, imul[] = { 0xf6, 0xeb }, div[] = { 0xf6, 0xf3 };
	struct insn m, i, d;
	unsigned wrong = 0;
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	m = test_insn(&t, mul, 2);
	i = test_insn(&t, imul, 2);
	d = test_insn(&t, div, 2);
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			int s = (int8_t)a * (int8_t)b;

			c->gpr[CPU_RAX] = a;
			c->gpr[CPU_RBX] = b;
			m.fn(c, &m);
			wrong += c->gpr[CPU_RAX] != a * b;
			wrong += !!(c->rflags & X86_CF) != (a * b > 0xff);
			if (b != 0) {
				d.fn(c, &d);
				wrong += c->gpr[CPU_RAX] != a;
			}
			c->gpr[CPU_RAX] = a;
			i.fn(c, &i);
			wrong += (uint16_t)c->gpr[CPU_RAX] != (uint16_t)s;
			wrong += !!(c->rflags & X86_OF) != (s != (int8_t)s);
		}
	}
	CHECK_EQ(wrong, 0);
	itest_close(&t);
}

/* Quotients that do not fit, at both ends. */
static void test_divide_errors(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RDX] = 5;
	c->gpr[CPU_RBX] = 5;
	CHECK_EQ(STEP(&t, 0x48, 0xf7, 0xf3), X86_DE);			/* div rbx: 5 * 2^64 / 5 */
	c->gpr[CPU_RBX] = 0;
	CHECK_EQ(STEP(&t, 0xf7, 0xf3), X86_DE);				/* div ebx */
	c->gpr[CPU_RDX] = UINT64_MAX;
	c->gpr[CPU_RAX] = UINT64_C(1) << 63;
	c->gpr[CPU_RBX] = UINT64_MAX;
	CHECK_EQ(STEP(&t, 0x48, 0xf7, 0xfb), X86_DE);			/* idiv: INT64_MIN / -1 */
	c->gpr[CPU_RDX] = 0xffffffff;
	c->gpr[CPU_RAX] = 0x80000000;
	CHECK_EQ(STEP(&t, 0xf7, 0xfb), X86_DE);
	CHECK_EQ(c->gpr[CPU_RAX], 0x80000000);
	c->gpr[CPU_RBX] = 1;
	CHECK_EQ(STEP(&t, 0xf7, 0xfb), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RAX], 0x80000000);
	CHECK_EQ(c->gpr[CPU_RDX], 0);
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_8_bits_exhaustively),
		cmocka_unit_test(test_sizes_and_forms),
		cmocka_unit_test(test_fault_before_commit),
		cmocka_unit_test(test_mul_div),
		cmocka_unit_test(test_divide_errors),
	};

	return cmocka_run_group_tests_name("int_alu", tests, NULL, NULL);
}
