/* sys_iret_test.c - IRET, from every mode to every mode */
#include "cpu/interp/sys/sys_test.h"

static void iret_real(void **state)
{
	/* iret */
	static const uint8_t iret[] = { 0xcf };
	/* iretd */
	static const uint8_t iretd[] = { 0x66, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	put32(&t, 0x57ff0, 0x12345678);
	put16(&t, 0x57ff4, 0xffff);
	t.c->gpr[CPU_RSP] = 0x7ff0;
	t.c->rflags = 2 | X86_AC;
	CHECK_EQ(STEP(&t, iret), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x5678);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x1234);
	CHECK_EQ(t.c->rflags, (0x7fd7 | X86_AC));
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x7ff6);
	itest_mode(&t, ITEST_16);
	t.c->gpr[CPU_RSP] = 0x7ff0;
	put32(&t, 0x57ff0, 0x10000);				/* beyond the limit */
	CHECK_EQ(STEP(&t, iretd), X86_GP);
	put32(&t, 0x57ff0, 0x100);
	put32(&t, 0x57ff4, 0x4321);
	put32(&t, 0x57ff8, 0xffffffff);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK_EQ(t.c->rflags, 0x257fd7);
	itest_close(&t);
}

static void iret_same_ring_flags(void **state)
{
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	/* iretw */
	static const uint8_t iret[] = { 0x66, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	FRAME(&t, 4, 0x3d7fd7, ITEST_CODE32, 0x1234);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x1234);
	CHECK_EQ(t.c->rflags, 0x3d7fd7);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK);
	/* Ring 3 may not touch IOPL, IF, VIF, VIP, VM. */
	user32(&t);
	rflags_set(&t, 0);
	FRAME(&t, 4, 0x3f7fd7, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK_EQ(t.c->rflags, 0x254dd7);
	/* ...except IF when IOPL is 3. */
	rflags_set(&t, X86_IOPL);
	FRAME(&t, 4, X86_IF, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK_EQ(t.c->rflags, 2 | X86_IOPL | X86_IF);
	/* 16 bits leave the upper half. */
	rflags_set(&t, X86_AC);
	FRAME(&t, 2, X86_CF, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, iret), ITEST_HLT);
	CHECK_EQ(t.c->rflags, 2 | X86_AC | X86_CF);
	itest_close(&t);
}

static void iret_to_outer_ring(void **state)
{
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	seg_set_null(t.c, CPU_FS, 0);
	FRAME(&t, 4, ITEST_USER_DATA, 0x55550, X86_IF | X86_IOPL, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x55550);
	CHECK_EQ(t.c->rflags, 2 | X86_IF | X86_IOPL);
	CHECK_EQ(t.c->seg[CPU_DS].attr, CPU_SEG_UNUSABLE);
	CHECK_EQ(t.c->seg[CPU_GS].attr, CPU_SEG_UNUSABLE);
	itest_close(&t);
}

static void iret_to_v86(void **state)
{
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	FRAME(&t, 4, 0x6666, 0x5555, 0x4444, 0x3333, 0x2222, 0x1110, X86_VM | X86_IF, 0x4321,
	      0x9876);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->rip, 0x9876);
	CHECK_EQ(t.c->rflags, 2 | X86_VM | X86_IF);
	CHECK_EQ(t.c->seg[CPU_CS].base, 0x43210);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x1110);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0x2222);
	CHECK_EQ(t.c->seg[CPU_ES].sel, 0x3333);
	CHECK_EQ(t.c->seg[CPU_DS].sel, 0x4444);
	CHECK_EQ(t.c->seg[CPU_FS].sel, 0x5555);
	CHECK_EQ(t.c->seg[CPU_GS].sel, 0x6666);
	CHECK_EQ(t.c->seg[CPU_GS].attr, SEG_V86);
	CHECK_EQ(t.c->code32, 0);
	CHECK_EQ(t.c->stack_size, 2);
	itest_close(&t);
}

static void iret_to_v86_checks_eip(void **state)
{
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	FRAME(&t, 4, 0, 0, 0, 0, 0, 0, X86_VM, 0, 0x10000);
	CHECK_FAULT(&t, iretd, X86_GP, 0);
	CHECK_EQ(t.c->rflags, 2);
	itest_close(&t);
}

static void iret_in_v86(void **state)
{
	/* iret */
	static const uint8_t iret[] = { 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	v86(&t, 3);
	put32(&t, 0x57ffa, 0x12345678);
	put16(&t, 0x57ffe, X86_IF | X86_CF);
	t.c->gpr[CPU_RSP] = 0x7ffa;
	ITEST_CODE_IS(&t, iret);
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x1234);
	CHECK_EQ(t.c->rflags, 2 | X86_VM | X86_IF | X86_CF | X86_IOPL);
	v86(&t, 2);
	CHECK_EQ(RUN_V86(&t, iret), X86_GP);
	CHECK_EQ(t.c->rip, 0);
	itest_close(&t);
}

static void iretq_always_pops_the_stack(void **state)
{
	/* iretq */
	static const uint8_t iretq[] = { 0x48, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	FRAME(&t, 8, ITEST_DATA32, 0x54321, 2 | X86_CF, ITEST_CODE64, 0x1234);
	CHECK_EQ(STEP(&t, iretq), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x54321);
	CHECK_EQ(t.c->rflags, 2 | X86_CF);
	CHECK_EQ(t.c->cpl, 0);
	/* A null SS is good in 64-bit mode, but not in ring 3 or for 32-bit code. */
	FRAME(&t, 8, 0, 0x54321, 2, ITEST_CODE64, 0x1234);
	CHECK_EQ(STEP(&t, iretq), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0);
	FRAME(&t, 8, 3, 0x54321, 2, ITEST_USER64, 0x1234);
	CHECK_FAULT(&t, iretq, X86_GP, 0);
	FRAME(&t, 8, 0, 0x54321, 2, ITEST_CODE32, 0x1234);
	CHECK_FAULT(&t, iretq, X86_GP, 0);
	FRAME(&t, 8, ITEST_DATA32, 0x54321, 2, ITEST_CODE64, UINT64_C(1) << 47);
	CHECK_FAULT(&t, iretq, X86_GP, 0);
	itest_close(&t);
}

static void iretq_to_user(void **state)
{
	/* iretq */
	static const uint8_t iretq[] = { 0x48, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->seg[CPU_GS].base = 0x12340;		/* dropped, but the base stays */
	FRAME(&t, 8, ITEST_USER_DATA, 0x54320, 2 | X86_IF, ITEST_USER64, 0x1234);
	CHECK_EQ(STEP(&t, iretq), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->code64, 1);
	CHECK_EQ(t.c->seg[CPU_GS].sel, 0);
	CHECK_EQ(t.c->seg[CPU_GS].attr, CPU_SEG_UNUSABLE);
	CHECK_EQ(t.c->seg[CPU_GS].base, 0x12340);
	itest_mode(&t, ITEST_64);
	FRAME(&t, 8, ITEST_USER_DATA, UINT64_C(0xabc00054320), 2, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, iretq), ITEST_HLT);
	CHECK_EQ(t.c->code64, 0);
	CHECK_EQ(t.c->code32, 1);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x54320 | 0x0);
	itest_mode(&t, ITEST_64);
	rflags_set(&t, X86_NT);
	FRAME(&t, 8, ITEST_DATA32, 0x54320, 2, ITEST_CODE64, 0x1234);
	CHECK_FAULT(&t, iretq, X86_GP, 0);		/* no tasks in long mode */
	itest_close(&t);
}

/* A frame of the user's own is read with the user's rights. */
static void user_frame_is_read_as_user(void **state)
{
	/* o64 retf */
	static const uint8_t ret[] = { 0x48, 0xcb };
	/* iretq */
	static const uint8_t iretq[] = { 0x48, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_user(&t);
	itest_put64(&t, itest_pte(ITEST_STACK - 8), (ITEST_STACK - 0x1000) | X86_PTE_P | X86_PTE_W);
	interp_tlb_flush(t.c, true);
	FRAME(&t, 8, ITEST_USER_DATA, 0x54320, 2, ITEST_USER64, 0x1234);
	CHECK_FAULT(&t, ret, X86_PAGE, X86_PF_P | X86_PF_U);
	CHECK_FAULT(&t, iretq, X86_PAGE, X86_PF_P | X86_PF_U);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(iret_real),
		cmocka_unit_test(iret_same_ring_flags),
		cmocka_unit_test(iret_to_outer_ring),
		cmocka_unit_test(iret_to_v86),
		cmocka_unit_test(iret_to_v86_checks_eip),
		cmocka_unit_test(iret_in_v86),
		cmocka_unit_test(iretq_always_pops_the_stack),
		cmocka_unit_test(iretq_to_user),
		cmocka_unit_test(user_frame_is_read_as_user),
	};

	return cmocka_run_group_tests_name("sys_iret", tests, NULL, NULL);
}
