/* kvm_debug_test.c - a debugger's points and steps; only where KVM works */
#include "cpu/kvm/kvm_tiny.h"

GUEST(g_loop, 64, "1: incl 0x8000\n" "mov 0x8004, %eax\n" "nop\n" "jmp 1b\n");

static struct cpu_debug want;

static struct cpu_debug_stop stopped(struct tiny *t)
{
	struct cpu *c = t->cpu[0];
	struct cpu_debug_stop s;

	CHECK_EQ(c->engine->debug(c, &want), 0);
	CHECK_EQ(cpu_run(c), CPU_EXIT_DEBUG);
	c->engine->debug_stop(c, &s);
	return s;
}

static void points_and_steps(void **state)
{
	struct tiny *t = *state;
	struct cpu *c = t->cpu[0];

	LOAD(t, CODE, g_loop);
	start_long(t);
	want = (struct cpu_debug){ .nr = 1, .point = { { CODE + 14, 1, CPU_DEBUG_EXEC } } };
	CHECK_EQ(stopped(t).why, CPU_STOP_BREAK);
	CHECK_EQ(regs_of(t).rip, CODE + 14);
	want.nr = 0;
	want.step = true;
	CHECK_EQ(stopped(t).why, CPU_STOP_STEP);
	CHECK_EQ(regs_of(t).rip, CODE + 15);
	CHECK_EQ(regs_of(t).rflags & 0x100, 0);
	want = (struct cpu_debug){ .nr = 1, .point = { { 0x8000, 4, CPU_DEBUG_WRITE } } };
	CHECK_EQ(stopped(t).why, CPU_STOP_WATCH);
	CHECK_EQ(regs_of(t).rip, CODE + 7);
	want.point[0] = (struct cpu_debug_point){ 0x8004, 4, CPU_DEBUG_READ | CPU_DEBUG_WRITE };
	CHECK_EQ(stopped(t).lin, 0x8004);
	want.point[0].on = CPU_DEBUG_READ;
	CHECK_EQ(c->engine->debug(c, &want), -EOPNOTSUPP);
	want.point[0] = (struct cpu_debug_point){ 0x8001, 4, CPU_DEBUG_WRITE };
	CHECK_EQ(c->engine->debug(c, &want), -EOPNOTSUPP);
	want.nr = 5;
	CHECK_EQ(c->engine->debug(c, &want), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KVM_TEST(points_and_steps),
	};
	int skip = kvm_tiny_skip();

	return skip != 0 ? skip : cmocka_run_group_tests_name("kvm-debug", tests, NULL, NULL);
}
