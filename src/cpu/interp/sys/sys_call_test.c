/* sys_call_test.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT, and moves of FS and GS bases */
#include "cpu/interp/sys/sys_test.h"

#define STEP(t, code) (ITEST_CODE_IS(t, code), itest_step(t))
#define OK(t, code) CHECK_EQ(STEP(t, code), ITEST_HLT)

static const uint8_t syscall_[] = { 0x0f, 0x05 };
static const uint8_t sysret32[] = { 0x0f, 0x07 };
static const uint8_t sysret64[] = { 0x48, 0x0f, 0x07 };
static const uint8_t sysenter[] = { 0x0f, 0x34 };
static const uint8_t sysexit32[] = { 0x0f, 0x35 };
static const uint8_t sysexit64[] = { 0x48, 0x0f, 0x35 };

static void open_star(struct itest *t)
{
	itest_open(t, ITEST_64);
	t->c->star = UINT64_C(0x0023000800000000);
	t->c->lstar = UINT64_C(0xffffffff81000000);
	t->c->cstar = UINT64_C(0xffffffff82000000);
	t->c->sfmask = X86_IF | X86_TF | X86_AC;
}

static void syscall_enters_the_kernel(void **state)
{
	struct itest t;

	(void)state;
	open_star(&t);
	itest_user(&t);
	rflags_set(&t, X86_IF | X86_CF | X86_AC);
	OK(&t, syscall_);
	CHECK_EQ(t.c->rip, UINT64_C(0xffffffff81000000));
	CHECK_EQ(t.c->gpr[CPU_RCX], ITEST_CODE + 2);
	CHECK_EQ(t.c->gpr[CPU_R11], 2 | X86_IF | X86_CF | X86_AC);
	CHECK_EQ(t.c->rflags, 2 | X86_CF);
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->code64, 1);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x08);
	CHECK_EQ(t.c->seg[CPU_CS].attr, 0xa09b);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0x10);
	CHECK_EQ(t.c->seg[CPU_SS].attr, 0xc093);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK);
	itest_close(&t);
}

static void syscall_needs_sce_and_64_bits(void **state)
{
	struct itest t;

	(void)state;
	open_star(&t);
	t.c->efer &= ~(uint64_t)X86_EFER_SCE;
	CHECK_UD(&t, syscall_);
	CHECK_UD(&t, sysret64);
	/* The model is an Intel: no SYSCALL in compatibility mode. */
	t.c->efer |= X86_EFER_SCE;
	t.c->seg[CPU_CS].attr = 0xc09b;
	interp_mode_changed(t.c);
	CHECK_UD(&t, syscall_);
	itest_close(&t);
}

/* AMD has it, by CSTAR into 64-bit code. */
static void syscall_in_compatibility_mode_on_amd(void **state)
{
	struct itest t;

	(void)state;
	itest_open_as(&t, ITEST_64, &ITEST_ENGINE, "x86-64-v2-amd");
	t.c->star = UINT64_C(0x0023000800000000);
	t.c->cstar = UINT64_C(0xffffffff82000000);
	t.c->sfmask = X86_IF;
	itest_user(&t);
	t.c->seg[CPU_CS].attr = 0xc0fb;
	interp_mode_changed(t.c);
	rflags_set(&t, X86_IF | X86_CF);
	OK(&t, syscall_);
	CHECK_EQ(t.c->rip, UINT64_C(0xffffffff82000000));
	CHECK_EQ(t.c->gpr[CPU_RCX], ITEST_CODE + 2);
	CHECK_EQ(t.c->gpr[CPU_R11], 2 | X86_IF | X86_CF);
	CHECK_EQ(t.c->rflags, 2 | X86_CF);
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->code64, 1);
	/* and SYSENTER has no 64-bit mode there */
	t.c->sysenter_cs = 8;
	CHECK_UD(&t, sysenter);
	CHECK_UD(&t, sysexit64);
	itest_close(&t);
}

static void sysret_leaves_it(void **state)
{
	struct itest t;

	(void)state;
	open_star(&t);
	t.c->gpr[CPU_RCX] = 0x12345;
	t.c->gpr[CPU_R11] = 0xffffffff & ~X86_TF;
	OK(&t, sysret64);
	CHECK_EQ(t.c->rip, 0x12345);
	CHECK_EQ(t.c->rflags, 0x3c7ed7 & ~X86_RF);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x33);
	CHECK_EQ(t.c->seg[CPU_CS].attr, 0xa0fb);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0x2b);
	CHECK_EQ(t.c->seg[CPU_SS].attr, 0xc0f3);
	itest_mode(&t, ITEST_64);
	t.c->star = UINT64_C(0x0023000800000000);
	t.c->gpr[CPU_RCX] = UINT64_C(0x1234567890);
	t.c->gpr[CPU_R11] = 2;
	OK(&t, sysret32);
	CHECK_EQ(t.c->rip, 0x34567890);
	CHECK_EQ(t.c->code64, 0);
	CHECK_EQ(t.c->code32, 1);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x23);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0x2b);
	itest_close(&t);
}

static void sysret_with_tf_traps_at_once(void **state)
{
	struct itest t;

	(void)state;
	open_star(&t);
	t.c->gpr[CPU_RCX] = 0x12345;
	t.c->gpr[CPU_R11] = 2 | X86_TF | X86_CF;
	CHECK_EQ(STEP(&t, sysret64), X86_DB);
	CHECK_EQ(t.c->rip, 0x12345);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x33);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->rflags, 2 | X86_TF | X86_CF);
	CHECK(t.c->dr6 & 1u << 14);
	itest_close(&t);
}

static void sysret_checks(void **state)
{
	struct itest t;

	(void)state;
	open_star(&t);
	t.c->gpr[CPU_RCX] = UINT64_C(0x800000000000);
	CHECK_FAULT(&t, sysret64, X86_GP, 0);
	CHECK_EQ(t.c->cpl, 0);
	itest_user(&t);
	t.c->gpr[CPU_RCX] = 0;
	CHECK_FAULT(&t, sysret64, X86_GP, 0);
	itest_close(&t);
}

static void sysenter_and_sysexit(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->sysenter_cs = 8;
	t.c->sysenter_esp = UINT64_C(0xffff800000001000);
	t.c->sysenter_eip = UINT64_C(0xffff800000002000);
	itest_user(&t);
	rflags_set(&t, X86_IF | X86_CF);
	OK(&t, sysenter);
	CHECK_EQ(t.c->rip, UINT64_C(0xffff800000002000));
	CHECK_EQ(t.c->gpr[CPU_RSP], UINT64_C(0xffff800000001000));
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->code64, 1);
	CHECK_EQ(t.c->rflags, 2 | X86_CF);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0x10);
	t.c->gpr[CPU_RDX] = 0x1234;
	t.c->gpr[CPU_RCX] = 0x5678;
	OK(&t, sysexit64);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 8 + 32 + 3);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 8 + 40 + 3);
	CHECK_EQ(t.c->rip, 0x1234);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x5678);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_FAULT(&t, sysexit64, X86_GP, 0);			/* only from ring 0 */
	itest_mode(&t, ITEST_64);
	CHECK_FAULT(&t, sysenter, X86_GP, 0);			/* SYSENTER_CS is null */
	t.c->sysenter_cs = 8;
	t.c->gpr[CPU_RDX] = UINT64_C(0x800000000000);
	CHECK_FAULT(&t, sysexit64, X86_GP, 0);
	itest_close(&t);
}

static void sysenter_in_32_bit_mode(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->sysenter_cs = ITEST_CODE32;
	t.c->sysenter_esp = 0x11223344;
	t.c->sysenter_eip = 0x41000;
	user32(&t);
	OK(&t, sysenter);
	CHECK_EQ(t.c->rip, 0x41000);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x11223344);
	CHECK_EQ(t.c->code32, 1);
	CHECK_EQ(t.c->cpl, 0);
	t.c->gpr[CPU_RDX] = 0x1234;
	OK(&t, sysexit32);
	CHECK_EQ(t.c->seg[CPU_CS].sel, ITEST_CODE32 + 16 + 3);
	CHECK_EQ(t.c->seg[CPU_SS].sel, ITEST_CODE32 + 24 + 3);
	itest_mode(&t, ITEST_16);
	t.c->sysenter_cs = 8;
	CHECK_EQ(STEP(&t, sysenter), X86_GP);
	itest_close(&t);
}

static void bases(void **state)
{
	/* wrfsbase rax; rdfsbase rbx; wrgsbase eax; rdgsbase rcx; hlt */
	static const uint8_t wr[] = {
		0xf3, 0x48, 0x0f, 0xae, 0xd0, 0xf3, 0x48, 0x0f, 0xae, 0xc3, 0xf3, 0x0f, 0xae,
		0xd8, 0xf3, 0x48, 0x0f, 0xae, 0xc9, 0xf4,
	};
	/* swapgs; hlt */
	static const uint8_t swap[] = { 0x0f, 1, 0xf8, 0xf4 };
	/* rdfsbase rax */
	static const uint8_t rdfs[] = { 0xf3, 0x48, 0x0f, 0xae, 0xc0 };
	/* rdgsbase rax */
	static const uint8_t rdgs[] = { 0xf3, 0x48, 0x0f, 0xae, 0xc8 };
	/* wrgsbase rax */
	static const uint8_t wrgs[] = { 0xf3, 0x48, 0x0f, 0xae, 0xd8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = UINT64_C(0xffff812345678abc);
	CHECK_UD(&t, wr);					/* CR4.FSGSBASE is off */
	CHECK_UD(&t, rdfs);
	CHECK_UD(&t, rdgs);
	CHECK_UD(&t, wrgs);
	t.c->cr4 |= X86_CR4_FSGSBASE;
	CHECK_EQ(RUN(&t, wr), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], UINT64_C(0xffff812345678abc));
	CHECK_EQ(t.c->gpr[CPU_RCX], 0x45678abc);
	t.c->kernel_gs_base = 0x99;
	CHECK_EQ(RUN(&t, swap), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_GS].base, 0x99);
	CHECK_EQ(t.c->kernel_gs_base, 0x45678abc);
	t.c->gpr[CPU_RAX] = UINT64_C(0x800000000000);
	CHECK_FAULT(&t, wr, X86_GP, 0);
	CHECK_EQ(t.c->rip, ITEST_CODE);
	CHECK_FAULT(&t, wrgs, X86_GP, 0);
	itest_user(&t);
	CHECK_FAULT(&t, swap, X86_GP, 0);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(syscall_enters_the_kernel),
		cmocka_unit_test(syscall_needs_sce_and_64_bits),
		cmocka_unit_test(syscall_in_compatibility_mode_on_amd),
		cmocka_unit_test(sysret_leaves_it),
		cmocka_unit_test(sysret_with_tf_traps_at_once),
		cmocka_unit_test(sysret_checks),
		cmocka_unit_test(sysenter_and_sysexit),
		cmocka_unit_test(sysenter_in_32_bit_mode),
		cmocka_unit_test(bases),
	};

	return cmocka_run_group_tests_name("sys_call", tests, NULL, NULL);
}
