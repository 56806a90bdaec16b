/* sys_key_test.c - protection keys: the rights, who loads them, what they forbid */
#include "cpu/interp/sys/sys_test.h"

#define PKE_MSR 0x6e1u
#define KEY(n) ((uint64_t)(n) << 59)
#define AREA (ITEST_DATA + 0x4000)

static const uint8_t rdpkru[] = { 0x0f, 0x01, 0xee };
static const uint8_t wrpkru[] = { 0x0f, 0x01, 0xef };
static const uint8_t load[] = { 0x48, 0x8b, 0x07 };		/* mov rax, [rdi] */
static const uint8_t store[] = { 0x48, 0x89, 0x07 };		/* mov [rdi], rax */

static void open_pk(struct itest *t)
{
	if (!cpu_model_host_ok(cpu_model_find("x86-64-v3-pk")))
		skip();
	itest_open_as(t, ITEST_64, &ITEST_ENGINE, "x86-64-v3-pk");
	t->c->cr4 |= X86_CR4_PKE | X86_CR4_PKS | X86_CR4_OSXSAVE;
	t->c->xcr0 = 0x207;
	t->c->gpr[CPU_RCX] = t->c->gpr[CPU_RDX] = 0;
	t->c->gpr[CPU_RDI] = ITEST_DATA;
}

static int step(struct itest *t, const uint8_t *code, size_t n)
{
	itest_code(t, code, n);
	return itest_step(t);
}

#define ONE(t, code) step(t, code, sizeof(code))

static void set_pkru(struct itest *t, uint32_t v)
{
	t->c->gpr[CPU_RAX] = v;
	t->c->gpr[CPU_RCX] = t->c->gpr[CPU_RDX] = 0;
	CHECK_EQ(ONE(t, wrpkru), ITEST_HLT);
}

static void set_pkrs(struct itest *t, uint32_t v)
{
	static const uint8_t wrmsr[] = { 0x0f, 0x30 };

	t->c->gpr[CPU_RAX] = v;
	t->c->gpr[CPU_RDX] = 0;
	t->c->gpr[CPU_RCX] = PKE_MSR;
	CHECK_EQ(ONE(t, wrmsr), ITEST_HLT);
}

/* The data page has KEY 2, and is the users' or the system's. */
static void page(struct itest *t, bool user)
{
	uint64_t pte = itest_get64(t, itest_pte(ITEST_DATA));

	pte = (pte & ~(KEY(15) | X86_PTE_U)) | KEY(2) | (user ? X86_PTE_U : 0);
	itest_put64(t, itest_pte(ITEST_DATA), pte);
	interp_tlb_flush(t->c, true);
}

static void pkru_is_read_and_written(void **state)
{
	struct itest t;

	(void)state;
	open_pk(&t);
	set_pkru(&t, 0x5554aaa0);
	t.c->gpr[CPU_RAX] = t.c->gpr[CPU_RDX] = UINT64_MAX;
	CHECK_EQ(ONE(&t, rdpkru), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x5554aaa0);
	CHECK_EQ(t.c->gpr[CPU_RDX], 0);
	t.c->gpr[CPU_RCX] = 1;
	CHECK_FAULT(&t, rdpkru, X86_GP, 0);
	CHECK_FAULT(&t, wrpkru, X86_GP, 0);
	t.c->gpr[CPU_RCX] = 0;
	t.c->gpr[CPU_RDX] = 1;
	CHECK_FAULT(&t, wrpkru, X86_GP, 0);
	t.c->gpr[CPU_RDX] = 0;
	t.c->cr4 &= ~(uint64_t)X86_CR4_PKE;
	CHECK_UD(&t, rdpkru);
	CHECK_UD(&t, wrpkru);
	itest_close(&t);
	itest_open(&t, ITEST_64);			/* a model without keys */
	CHECK_UD(&t, rdpkru);
	itest_close(&t);
}

/* The first access makes a TLB entry; new rights count all the same. */
static void keys_of_users_pages(void **state)
{
	struct itest t;

	(void)state;
	open_pk(&t);
	page(&t, true);
	CHECK_EQ(ONE(&t, store), ITEST_HLT);
	set_pkru(&t, 0x20);				/* key 2: no writes */
	CHECK_EQ(ONE(&t, load), ITEST_HLT);
	t.c->cr0 &= ~(uint64_t)X86_CR0_WP;
	interp_tlb_flush(t.c, true);
	CHECK_EQ(ONE(&t, store), ITEST_HLT);
	t.c->cr0 |= X86_CR0_WP;
	interp_tlb_flush(t.c, true);
	CHECK_EQ(ONE(&t, load), ITEST_HLT);
	CHECK_FAULT(&t, store, X86_PAGE, X86_PF_P | X86_PF_W | X86_PF_PK);
	set_pkru(&t, 0x10);				/* no access */
	CHECK_FAULT(&t, load, X86_PAGE, X86_PF_P | X86_PF_PK);
	itest_user(&t);
	CHECK_FAULT(&t, load, X86_PAGE, X86_PF_P | X86_PF_U | X86_PF_PK);
	set_pkru(&t, 0xffffffcf);			/* every key but 2 */
	CHECK_EQ(ONE(&t, store), ITEST_HLT);
	itest_close(&t);
}

static void keys_of_the_systems_pages(void **state)
{
	struct itest t;

	(void)state;
	open_pk(&t);
	page(&t, false);
	set_pkru(&t, 0x30);				/* says nothing of them */
	CHECK_EQ(ONE(&t, store), ITEST_HLT);
	set_pkrs(&t, 0x20);
	CHECK_EQ(ONE(&t, load), ITEST_HLT);
	CHECK_FAULT(&t, store, X86_PAGE, X86_PF_P | X86_PF_W | X86_PF_PK);
	set_pkrs(&t, 0x10);
	CHECK_FAULT(&t, load, X86_PAGE, X86_PF_P | X86_PF_PK);
	page(&t, true);
	set_pkru(&t, 0);
	CHECK_EQ(ONE(&t, store), ITEST_HLT);
	itest_close(&t);
}

/* Component 9, at 2688 or behind what precedes it. */
static void xsave_has_pkru(void **state)
{
	static const uint8_t xsave[] = { 0x48, 0x0f, 0xae, 0x27 };
	static const uint8_t xsavec[] = { 0x48, 0x0f, 0xc7, 0x27 };
	static const uint8_t xrstor[] = { 0x48, 0x0f, 0xae, 0x2f };
	static const uint8_t *const saves[] = { xsave, xsavec };
	static const unsigned at[] = { 2688, 576 };
	struct itest t;

	(void)state;
	open_pk(&t);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < 4096; k += 8)
			itest_put64(&t, AREA + k, 0);
		set_pkru(&t, 0x1234);
		t.c->gpr[CPU_RDI] = AREA;
		t.c->gpr[CPU_RAX] = 0x200;
		CHECK_EQ(step(&t, saves[i], 4), ITEST_HLT);
		CHECK_EQ(itest_get64(&t, AREA + 512), 0x200);
		CHECK_EQ(itest_get64(&t, AREA + at[i]), 0x1234);
		t.c->pkru = 0;
		CHECK_EQ(ONE(&t, xrstor), ITEST_HLT);
		CHECK_EQ(t.c->pkru, 0x1234);
		itest_put64(&t, AREA + 512, 0);		/* in its initial state */
		CHECK_EQ(ONE(&t, xrstor), ITEST_HLT);
		CHECK_EQ(t.c->pkru, 0);
		CHECK_EQ(step(&t, saves[i], 4), ITEST_HLT);
		CHECK_EQ(itest_get64(&t, AREA + 512), 0);
	}
	/* rights that XRSTOR brings count at once */
	page(&t, true);
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	CHECK_EQ(ONE(&t, load), ITEST_HLT);
	itest_put64(&t, AREA + 512, 0x200);
	itest_put64(&t, AREA + 576, 0x10);
	t.c->gpr[CPU_RDI] = AREA;
	t.c->gpr[CPU_RAX] = 0x200;
	CHECK_EQ(ONE(&t, xrstor), ITEST_HLT);
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	CHECK_FAULT(&t, load, X86_PAGE, X86_PF_P | X86_PF_PK);
	itest_close(&t);
}

static void cpuid_tells(void **state)
{
	static const uint8_t cpuid[] = { 0x0f, 0xa2 };
	struct itest t;

	(void)state;
	open_pk(&t);
	t.c->gpr[CPU_RAX] = 7;
	t.c->gpr[CPU_RCX] = 0;
	CHECK_EQ(ONE(&t, cpuid), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RCX] & 0x80000018, 0x80000018);
	t.c->gpr[CPU_RAX] = 0xd;
	t.c->gpr[CPU_RCX] = 0;
	CHECK_EQ(ONE(&t, cpuid), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 2696);
	t.c->gpr[CPU_RAX] = 0xd;
	t.c->gpr[CPU_RCX] = 1;
	CHECK_EQ(ONE(&t, cpuid), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 576 + 256 + 8);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pkru_is_read_and_written),
		cmocka_unit_test(keys_of_users_pages),
		cmocka_unit_test(keys_of_the_systems_pages),
		cmocka_unit_test(xsave_has_pkru),
		cmocka_unit_test(cpuid_tells),
	};

	return cmocka_run_group_tests_name("sys_key", tests, NULL, NULL);
}
