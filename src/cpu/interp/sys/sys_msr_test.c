/* sys_msr_test.c - model-specific registers, TSC, CPUID, hypercalls */
#include "cpu/interp/sys/sys_test.h"

static const uint8_t rdmsr[] = { 0x0f, 0x32 };
static const uint8_t wrmsr[] = { 0x0f, 0x30 };

static int wr(struct itest *t, uint32_t msr, uint64_t v)
{
	t->c->gpr[CPU_RCX] = msr;
	t->c->gpr[CPU_RAX] = v;
	t->c->gpr[CPU_RDX] = v >> 32;
	ITEST_CODE_IS(t, wrmsr);
	return itest_step(t);
}

static int rd(struct itest *t, uint32_t msr, uint64_t *ret_val)
{
	int rc;

	t->c->gpr[CPU_RCX] = msr;
	t->c->gpr[CPU_RAX] = t->c->gpr[CPU_RDX] = UINT64_MAX;
	ITEST_CODE_IS(t, rdmsr);
	rc = itest_step(t);
	if (rc == ITEST_HLT)
		CHECK_EQ((t->c->gpr[CPU_RAX] | t->c->gpr[CPU_RDX]) >> 32, 0);
	*ret_val = t->c->gpr[CPU_RAX] | t->c->gpr[CPU_RDX] << 32;
	return rc;
}

#define BAD UINT64_C(0x0000800000000000)
#define GOOD UINT64_C(0xffff812345678000)

static void values_are_kept_or_refused(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t val;
		bool ok;
	} rows[] = {
		{ X86_MSR_SYSENTER_CS, 0x1234, true },
		{ X86_MSR_SYSENTER_ESP, GOOD, true },
		{ X86_MSR_SYSENTER_ESP, BAD, false },
		{ X86_MSR_SYSENTER_EIP, GOOD, true },
		{ X86_MSR_SYSENTER_EIP, BAD, false },
		{ X86_MSR_STAR, UINT64_MAX, true },
		{ X86_MSR_LSTAR, GOOD, true },
		{ X86_MSR_LSTAR, BAD, false },
		{ X86_MSR_CSTAR, GOOD, true },
		{ X86_MSR_CSTAR, BAD, false },
		{ X86_MSR_SFMASK, 0xffffffff, true },
		{ X86_MSR_SFMASK, UINT64_C(1) << 32, false },
		{ X86_MSR_FS_BASE, GOOD, true },
		{ X86_MSR_FS_BASE, BAD, false },
		{ X86_MSR_GS_BASE, GOOD, true },
		{ X86_MSR_GS_BASE, BAD, false },
		{ X86_MSR_KERNEL_GS_BASE, GOOD, true },
		{ X86_MSR_KERNEL_GS_BASE, BAD, false },
		{ X86_MSR_TSC_AUX, 0x12345678, true },
		{ X86_MSR_TSC_AUX, UINT64_C(1) << 32, false },
		{ X86_MSR_PAT, UINT64_C(0x0001040506070007), true },
		{ X86_MSR_PAT, 2, false },
		{ X86_MSR_PAT, UINT64_C(3) << 56, false },
		{ X86_MSR_PAT, 8, false },
		{ X86_MSR_MISC_ENABLE, UINT64_C(0x400c51809), true },
		{ X86_MSR_MISC_ENABLE, UINT64_C(1) << 35, false },
		{ 0xfe, 0x508, false },
		{ 0x2ff, 0xc06, true },
		{ 0x2ff, 0xc02, false },
		{ 0x2ff, 0x1c06, false },
		{ 0x250, UINT64_C(0x0606060606060606), true },
		{ 0x250, UINT64_C(0x0706060606060606), false },
		{ 0x26f, UINT64_C(0x0001040506000106), true },
		{ 0x200, UINT64_C(0x200080000006), true },
		{ 0x200, UINT64_C(0x400080000006), false },
		{ 0x200, 0x80000106, false },
		{ 0x200, 0x80000002, false },
		{ 0x20f, UINT64_C(0x3fff80000800), true },
		{ 0x20f, 0x80000400, false },
		{ 0x210, 0, false },
		{ 0x48, 1, true },
		{ 0x48, 0x400, true },
		{ 0x48, 0x10, false },
		{ 0x10a, 0, false },
		{ 0x179, 0, false },
		{ 0x40000000, 0x1122334455667788, true },	/* the client's */
		{ 0x12345678, 0, false },
	};
	struct itest t;
	uint64_t v;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t old = 0;
		bool readable = rd(&t, rows[i].msr, &old) == ITEST_HLT;

		CHECK_EQ(wr(&t, rows[i].msr, rows[i].val), rows[i].ok ? ITEST_HLT : X86_GP);
		if (!rows[i].ok)
			CHECK_EQ(t.c->exc_code, 0);
		if (!readable)
			continue;
		CHECK_EQ(rd(&t, rows[i].msr, &v), ITEST_HLT);
		CHECK_EQ(v, rows[i].ok ? rows[i].val : old);
	}
	itest_close(&t);
}

static void constants(void **state)
{
	struct itest t;
	uint64_t v;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(rd(&t, 0xfe, &v), ITEST_HLT);
	CHECK_EQ(v, 0x508);
	CHECK_EQ(rd(&t, 0x10a, &v), ITEST_HLT);
	CHECK_EQ(v, cpu_model_arch_capabilities(t.c->model));
	CHECK_EQ(rd(&t, 0x8b, &v), ITEST_HLT);
	CHECK_EQ(v, cpu_model_microcode(t.c->model));
	CHECK_EQ(rd(&t, 0x179, &v), ITEST_HLT);
	CHECK_EQ(v, 0);
	CHECK_EQ(rd(&t, X86_MSR_APIC_BASE, &v), ITEST_HLT);
	CHECK_EQ(v, 0xfee00900);
	CHECK_EQ(rd(&t, 0x802, &v), X86_GP);		/* this client has no x2APIC */
	CHECK_EQ(rd(&t, 0x49, &v), X86_GP);		/* write-only */
	CHECK_EQ(wr(&t, 0x49, 1), ITEST_HLT);
	itest_user(&t);
	CHECK_EQ(rd(&t, 0xfe, &v), X86_GP);
	CHECK_EQ(wr(&t, X86_MSR_STAR, 0), X86_GP);
	itest_close(&t);
}

static void base_registers_are_the_segments(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(wr(&t, X86_MSR_FS_BASE, GOOD), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_FS].base, GOOD);
	CHECK_EQ(t.c->seg[CPU_GS].base, 0);
	itest_close(&t);
}

static uint64_t tsc_now(struct itest *t)
{
	/* rdtsc; hlt */
	static const uint8_t rdtsc[] = { 0x0f, 0x31, 0xf4 };

	CHECK_EQ(RUN(t, rdtsc), ITEST_HLT);
	return t->c->gpr[CPU_RAX] | t->c->gpr[CPU_RDX] << 32;
}

#define NEAR(a, b) CHECK((a) - (b) < (UINT64_C(1) << 36))	/* some ten seconds */

static void tsc_and_its_adjustment(void **state)
{
	struct itest t;
	uint64_t a, v;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->tsc_offset = -cpu_host_tsc();
	NEAR(tsc_now(&t), 0);
	CHECK_EQ(wr(&t, X86_MSR_TSC, UINT64_C(1) << 50), ITEST_HLT);
	a = tsc_now(&t);
	NEAR(a, UINT64_C(1) << 50);
	CHECK_EQ(rd(&t, X86_MSR_TSC_ADJUST, &v), ITEST_HLT);
	CHECK(v <= UINT64_C(1) << 50);			/* the jump, less what had passed */
	NEAR(UINT64_C(1) << 50, v);
	CHECK_EQ(wr(&t, X86_MSR_TSC_ADJUST, v + (UINT64_C(1) << 55)), ITEST_HLT);
	NEAR(tsc_now(&t), a + (UINT64_C(1) << 55));
	CHECK_EQ(rd(&t, X86_MSR_TSC_ADJUST, &a), ITEST_HLT);
	CHECK_EQ(a, v + (UINT64_C(1) << 55));
	CHECK_EQ(wr(&t, X86_MSR_TSC_ADJUST, 0), ITEST_HLT);
	NEAR(tsc_now(&t), 0);
	itest_close(&t);
}

static void tsc_rights(void **state)
{
	/* rdtscp; hlt */
	static const uint8_t rdtscp[] = { 0x0f, 1, 0xf9, 0xf4 };
	/* rdtsc */
	static const uint8_t rdtsc[] = { 0x0f, 0x31 };
	/* rdpmc */
	static const uint8_t rdpmc[] = { 0x0f, 0x33 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->tsc_aux = 0x77;
	CHECK_EQ(RUN(&t, rdtscp), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RCX], 0x77);
	CHECK_FAULT(&t, rdpmc, X86_GP, 0);
	t.c->cr4 |= X86_CR4_TSD;
	CHECK_EQ(RUN(&t, rdtscp), ITEST_HLT);
	itest_user(&t);
	CHECK_FAULT(&t, rdtsc, X86_GP, 0);
	CHECK_FAULT(&t, rdtscp, X86_GP, 0);
	itest_close(&t);
}

static void cpuid_follows_cr4_and_xcr0(void **state)
{
	/* cpuid; hlt */
	static const uint8_t cpuid[] = { 0x0f, 0xa2, 0xf4 };
	/* xsetbv; xgetbv; hlt */
	static const uint8_t xsetbv[] = { 0x0f, 1, 0xd1, 0x0f, 1, 0xd0, 0xf4 };
	/* xgetbv */
	static const uint8_t xgetbv[] = { 0x0f, 1, 0xd0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = 1;
	CHECK_EQ(RUN(&t, cpuid), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x206c2);
	CHECK(t.c->gpr[CPU_RCX] & 1u << 27);
	t.c->cr4 &= ~(uint64_t)X86_CR4_OSXSAVE;
	t.c->gpr[CPU_RAX] = 1;
	CHECK_EQ(RUN(&t, cpuid), ITEST_HLT);
	CHECK(!(t.c->gpr[CPU_RCX] & 1u << 27));
	CHECK_UD(&t, xsetbv);
	t.c->cr4 |= X86_CR4_OSXSAVE;
	t.c->gpr[CPU_RAX] = 3;
	t.c->gpr[CPU_RCX] = t.c->gpr[CPU_RDX] = 0;
	CHECK_EQ(RUN(&t, xsetbv), ITEST_HLT);
	CHECK_EQ(t.c->xcr0, 3);
	CHECK_EQ(t.c->gpr[CPU_RAX], 3);
	t.c->gpr[CPU_RAX] = 2;				/* x87 cannot be off */
	CHECK_FAULT(&t, xsetbv, X86_GP, 0);
	t.c->gpr[CPU_RAX] = 7;				/* the model has no AVX */
	CHECK_FAULT(&t, xsetbv, X86_GP, 0);
	t.c->gpr[CPU_RAX] = 3;
	t.c->gpr[CPU_RCX] = 1;
	CHECK_FAULT(&t, xsetbv, X86_GP, 0);
	ITEST_CODE_IS(&t, xgetbv);
	CHECK_EQ(itest_step(&t), X86_GP);		/* ECX 1 is not offered */
	t.c->gpr[CPU_RCX] = 0;
	itest_user(&t);
	CHECK_FAULT(&t, xsetbv, X86_GP, 0);
	CHECK_EQ(t.c->rip, ITEST_CODE);
	ITEST_CODE_IS(&t, xgetbv);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	t.c->cr4 &= ~(uint64_t)X86_CR4_OSXSAVE;
	CHECK_UD(&t, xgetbv);
	t.c->gpr[CPU_RAX] = 0xd;
	ITEST_CODE_IS(&t, cpuid);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 576);
	itest_close(&t);
}

static void misc_enable_hides_things(void **state)
{
	/* cpuid; hlt */
	static const uint8_t cpuid[] = { 0x0f, 0xa2, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(wr(&t, X86_MSR_MISC_ENABLE, UINT64_C(1) << 34 | 1u << 22), ITEST_HLT);
	t.c->gpr[CPU_RAX] = 0x80000001;
	CHECK_EQ(RUN(&t, cpuid), ITEST_HLT);
	CHECK(!(t.c->gpr[CPU_RDX] & 1u << 20));
	t.c->gpr[CPU_RAX] = 0;
	CHECK_EQ(RUN(&t, cpuid), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	t.c->efer &= ~(uint64_t)X86_EFER_NXE;
	CHECK_EQ(wr(&t, X86_MSR_EFER, t.c->efer | X86_EFER_NXE), X86_GP);
	CHECK_EQ(wr(&t, X86_MSR_MISC_ENABLE, 1), ITEST_HLT);
	CHECK_EQ(wr(&t, X86_MSR_EFER, t.c->efer | X86_EFER_NXE), ITEST_HLT);
	itest_close(&t);
}

static void hypercalls(void **state)
{
	/* vmcall; vmmcall; hlt */
	static const uint8_t vmcall[] = { 0x0f, 1, 0xc1, 0x0f, 1, 0xd9, 0xf4 };
	/* vmcall */
	static const uint8_t real[] = { 0x0f, 1, 0xc1 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(RUN(&t, vmcall), ITEST_HLT);
	CHECK_EQ(t.hypercalls, 2);
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);			/* long mode */
	t.hypercall_rc = -ENOSYS;
	CHECK_UD(&t, vmcall);
	t.hypercalls = 0;
	t.hypercall_rc = 0;
	itest_user(&t);
	CHECK_UD(&t, vmcall);
	itest_mode(&t, ITEST_16);
	CHECK_UD(&t, real);
	CHECK_EQ(t.hypercalls, 0);
	itest_close(&t);
}

static void what_is_not_there(void **state)
{
	/* monitor */
	static const uint8_t monitor[] = { 0x0f, 1, 0xc8 };
	/* rsm */
	static const uint8_t rsm[] = { 0x0f, 0xaa };
	/* vmxoff */
	static const uint8_t vmxoff[] = { 0x0f, 1, 0xc4 };
	/* invpcid rax, [rax] */
	static const uint8_t invpcid[] = { 0x66, 0x48, 0x0f, 0x38, 0x82, 0 };
	/* stac */
	static const uint8_t stac[] = { 0x0f, 1, 0xcb };
	/* clac */
	static const uint8_t clac[] = { 0x0f, 1, 0xca };
	/* db 0x0f, 0x20, 0xc8 */
	static const uint8_t cr1[] = { 0x0f, 0x20, 0xc8 };
	/* db 0x8e, 0xc8 */
	static const uint8_t mov_cs[] = { 0x8e, 0xc8 };
	/* hlt */
	static const uint8_t hlt[] = { 0xf4 };
	/* wbinvd */
	static const uint8_t wbinvd[] = { 0x0f, 9 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_UD(&t, monitor);
	CHECK_UD(&t, rsm);
	CHECK_UD(&t, vmxoff);
	CHECK_UD(&t, invpcid);
	CHECK_UD(&t, cr1);
	CHECK_UD(&t, mov_cs);
	ITEST_CODE_IS(&t, stac);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rflags, 2 | X86_AC);
	ITEST_CODE_IS(&t, clac);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rflags, 2);
	itest_user(&t);
	CHECK_UD(&t, stac);
	CHECK_UD(&t, clac);
	CHECK_FAULT(&t, hlt, X86_GP, 0);
	CHECK_FAULT(&t, wbinvd, X86_GP, 0);
	itest_close(&t);
}

/* The counters of AMD's that no CPUID bit announces; its speculation controls are elsewhere. */
static void what_amd_has(void **state)
{
	struct itest t;
	uint64_t v;

	(void)state;
	itest_open_as(&t, ITEST_64, &ITEST_ENGINE, "x86-64-v2-amd");
	for (uint32_t msr = 0xc0010000; msr < 0xc0010008; msr++) {
		CHECK_EQ(wr(&t, msr, UINT64_MAX), ITEST_HLT);
		CHECK_EQ(rd(&t, msr, &v), ITEST_HLT);
		CHECK_EQ(v, 0);
	}
	CHECK_EQ(rd(&t, 0xc0010008, &v), X86_GP);
	CHECK_EQ(rd(&t, 0x48, &v), X86_GP);
	CHECK_EQ(rd(&t, X86_MSR_MISC_ENABLE, &v), X86_GP);
	itest_close(&t);
	itest_open(&t, ITEST_64);
	CHECK_EQ(rd(&t, 0xc0010000, &v), X86_GP);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_kept_or_refused),
		cmocka_unit_test(constants),
		cmocka_unit_test(base_registers_are_the_segments),
		cmocka_unit_test(tsc_and_its_adjustment),
		cmocka_unit_test(tsc_rights),
		cmocka_unit_test(cpuid_follows_cr4_and_xcr0),
		cmocka_unit_test(misc_enable_hides_things),
		cmocka_unit_test(hypercalls),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(what_amd_has),
	};

	return cmocka_run_group_tests_name("sys_msr", tests, NULL, NULL);
}
