/* run_test.c - the run loop: blocks, events, interrupts, single steps, breakpoints */
#include "base/test.h"
#include "cpu/interp/itest.h"

/* mov ecx, 1000; 1: add rax, rcx; dec ecx; jnz 1b; hlt */
static const uint8_t sum_loop[] = {
	0xb9, 0xe8, 0x03, 0, 0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, 0xf4,
};

static void test_loop(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, sum_loop);
	CHECK_EQ(itest_go(&t, UINT64_MAX), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 500500);
	CHECK_EQ(t.c->rip, ITEST_CODE + sizeof(sum_loop));
	CHECK_EQ(t.c->retired, 1 + 3 * 1000 + 1);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loop),
	};

	return cmocka_run_group_tests_name("interp_run", tests, NULL, NULL);
}
