/* int_stack_test.c - stacks and near branches in all modes */
#include "cpu/interp/int/int_test.h"

static void test_push_pop_64(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RSP] = ITEST_STACK;
	CHECK_EQ(STEP(&t, 0x54), ITEST_HLT);				/* push rsp: the old one */
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 8), ITEST_STACK);
	CHECK_EQ(STEP(&t, 0x5c), ITEST_HLT);				/* pop rsp: the loaded one */
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK);
	CHECK_EQ(STEP(&t, 0x6a, 0xff), ITEST_HLT);			/* push -1 */
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 8), UINT64_MAX);
	CHECK_EQ(STEP(&t, 0x66, 0x68, 0x34, 0x12), ITEST_HLT);		/* push word 0x1234 */
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK - 10);
	CHECK_EQ(STEP(&t, 0x66, 0x5b), ITEST_HLT);			/* pop bx */
	CHECK_EQ(c->gpr[CPU_RBX], 0x1234);
	/* pop [rsp + 8] goes by the new RSP. */
	itest_put64(&t, ITEST_STACK - 8, 0x77);
	CHECK_EQ(STEP(&t, 0x8f, 0x44, 0x24, 0x08), ITEST_HLT);
	CHECK_EQ(itest_get64(&t, ITEST_STACK + 8), 0x77);
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK);
	itest_close(&t);
}

static void test_faults_leave_the_pointer(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RSP] = UINT64_C(0x0000900000000000);
	CHECK_EQ(STEP(&t, 0x50), X86_SS);				/* push, not canonical */
	CHECK_EQ(STEP(&t, 0xe8, 0, 0, 0, 0), X86_SS);
	CHECK_EQ(STEP(&t, 0xc3), X86_SS);
	c->gpr[CPU_RBP] = UINT64_C(0x0000900000000000);
	CHECK_EQ(STEP(&t, 0xc9), X86_SS);				/* leave */
	CHECK_EQ(c->gpr[CPU_RSP], UINT64_C(0x0000900000000000));
	/* A POP whose store faults has not popped. */
	c->gpr[CPU_RSP] = ITEST_STACK;
	c->gpr[CPU_RBX] = UINT64_C(0x0000900000000000);
	CHECK_EQ(STEP(&t, 0x8f, 0x03), X86_GP);
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK);
	itest_close(&t);
}

static void test_enter_leave(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RSP] = ITEST_STACK;
	c->gpr[CPU_RBP] = ITEST_STACK + 0x100;
	itest_put64(&t, ITEST_STACK + 0xf8, 0xaaaa);	/* the display of the outer frame */
	CHECK_EQ(STEP(&t, 0xc8, 0x20, 0x00, 0x02), ITEST_HLT);		/* enter 32, 2 */
	CHECK_EQ(c->gpr[CPU_RBP], ITEST_STACK - 8);
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK - 24 - 32);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 8), ITEST_STACK + 0x100);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 16), 0xaaaa);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 24), ITEST_STACK - 8);
	CHECK_EQ(STEP(&t, 0xc9), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK);
	CHECK_EQ(c->gpr[CPU_RBP], ITEST_STACK + 0x100);
	/* 32 bits on a stack of 16: the frame is pushed with ESP's upper half. */
	itest_mode(&t, ITEST_32);
	c->seg[CPU_SS].attr &= ~0x4000u;
	interp_mode_changed(c);
	c->gpr[CPU_RSP] = 0x50100;
	c->gpr[CPU_RBP] = 0x60000;
	CHECK_EQ(STEP(&t, 0xc8, 0x04, 0x00, 0x01), ITEST_HLT);		/* enter 4, 1 */
	CHECK_EQ(itest_get64(&t, 0xf8), UINT64_C(0x60000000500fc));
	CHECK_EQ(c->gpr[CPU_RBP], 0x600fc);
	CHECK_EQ(c->gpr[CPU_RSP], 0x500f4);
	itest_close(&t);
}

static void test_pusha_popa(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_32);
	c = t.c;
	for (unsigned i = 0; i < 8; i++)
		c->gpr[i] = 0x100 + i;
	c->gpr[CPU_RSP] = ITEST_STACK;
	CHECK_EQ(STEP(&t, 0x60), ITEST_HLT);				/* pushad */
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK - 32);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 8), UINT64_C(0x0000010000000101));	/* EAX, ECX */
	CHECK_EQ((uint32_t)itest_get64(&t, ITEST_STACK - 20), ITEST_STACK);	/* ESP as it was */
	for (unsigned i = 0; i < 8; i++)
		if (i != CPU_RSP)
			c->gpr[i] = 0;
	CHECK_EQ(STEP(&t, 0x61), ITEST_HLT);				/* popad */
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(c->gpr[i], i == CPU_RSP ? ITEST_STACK : 0x100 + i);
	itest_close(&t);
}

/* A 16-bit stack wraps inside its segment, and only SP moves. */
static void test_16_bit_stack(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_16);
	c = t.c;
	c->gpr[CPU_RSP] = 0x12340000;
	c->gpr[CPU_RAX] = 0xbeef;
	CHECK_EQ(STEP(&t, 0x50), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RSP], 0x1234fffe);
	CHECK_EQ(itest_get64(&t, 0x5fffe) & 0xffff, 0xbeef);
	CHECK_EQ(STEP(&t, 0x59), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RCX], 0xbeef);
	CHECK_EQ(c->gpr[CPU_RSP], 0x12340000);
	itest_close(&t);
}

static void test_targets_are_checked(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RAX] = UINT64_C(0x0000800000000000);
	CHECK_EQ(STEP(&t, 0xff, 0xe0), X86_GP);				/* jmp rax */
	CHECK_EQ(STEP(&t, 0xff, 0xd0), X86_GP);				/* call rax pushes nothing */
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK);
	itest_put64(&t, ITEST_STACK, UINT64_C(0x0000800000000000));
	CHECK_EQ(STEP(&t, 0xc3), X86_GP);
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK);
	itest_close(&t);

	itest_open(&t, ITEST_32);
	c = t.c;
	c->seg[CPU_CS].limit = ITEST_CODE + 0xfff;
	interp_mode_changed(c);
	CHECK_EQ(STEP(&t, 0xe9, 0xfa, 0x0f, 0, 0), ITEST_HLT);		/* to the last byte */
	CHECK_EQ(c->rip, ITEST_CODE + 0xfff);
	CHECK_EQ(STEP(&t, 0xe9, 0xfb, 0x0f, 0, 0), X86_GP);		/* one beyond */
	c->gpr[CPU_RCX] = 5;
	CHECK_EQ(STEP(&t, 0x66, 0xe2, 0x10), ITEST_HLT);		/* 16 bits: loop wraps IP */
	CHECK_EQ(c->rip, (ITEST_CODE + 0x13) & 0xffff);
	CHECK_EQ(c->gpr[CPU_RCX], 4);
	itest_close(&t);
}

static void test_calls_and_loops(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	/* mov ecx, 5; l: call f; loop l; hlt; f: add eax, ecx; ret 8 after a push */
	CHECK_EQ(RUN(&t, 0xb9, 5, 0, 0, 0, 0x51, 0xe8, 3, 0, 0, 0, 0xe2, 0xf8, 0xf4,
		     0x01, 0xc8, 0xc2, 8, 0), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RAX], 15);
	CHECK_EQ(c->gpr[CPU_RSP], ITEST_STACK);
	/* With a 32-bit address size LOOP counts ECX, and clears the rest. */
	c->gpr[CPU_RCX] = UINT64_C(0x700000001);
	CHECK_EQ(STEP(&t, 0x67, 0xe2, 0x10), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RCX], 0);
	CHECK_EQ(c->rip, ITEST_CODE + 3);
	c->gpr[CPU_RCX] = UINT64_C(0x700000000);
	CHECK_EQ(STEP(&t, 0x67, 0xe3, 0x10), ITEST_HLT);		/* jecxz */
	CHECK_EQ(c->rip, ITEST_CODE + 0x13);
	itest_close(&t);
}

/* Each condition and its opposite, for all sixteen values of CF, ZF, SF, OF, and PF. */
static void test_conditions(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned n = 0; n < 32; n++) {
		bool cf = n & 1, zf = n & 2, sf = n & 4, of = n & 8, pf = n & 16;
		const bool want[8] = { of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of };

		for (unsigned cc = 0; cc < 16; cc++) {
			uint8_t set[] = { 0x0f, (uint8_t)(0x90 | cc), 0xc0 };
			struct insn in = test_insn(&t, set, 3);

			t.c->rflags = 2 | (cf ? X86_CF : 0) | (zf ? X86_ZF : 0) | (sf ? X86_SF : 0) |
				      (of ? X86_OF : 0) | (pf ? X86_PF : 0);
			in.fn(t.c, &in);
			CHECK_EQ(t.c->gpr[CPU_RAX], want[cc / 2] != (cc & 1));
		}
	}
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_pop_64),
		cmocka_unit_test(test_faults_leave_the_pointer),
		cmocka_unit_test(test_enter_leave),
		cmocka_unit_test(test_pusha_popa),
		cmocka_unit_test(test_16_bit_stack),
		cmocka_unit_test(test_targets_are_checked),
		cmocka_unit_test(test_calls_and_loops),
		cmocka_unit_test(test_conditions),
	};

	return cmocka_run_group_tests_name("int_stack", tests, NULL, NULL);
}
