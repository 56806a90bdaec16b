/*
 * cost_test.c - what must not go through gates again and again
 *
 * Speed cannot be tested by a clock on a busy machine, but what costs it can be
 * counted.
 */
#include "cpu/bt/bt.h"
#include "cpu/interp/itest.h"

#include "base/test.h"

static const struct bt_stats *stats(const struct itest *t)
{
	return &BT_OF(t->c)->stats;
}

/* call rbx, a hundred times; a RET is at RBX. */
static void call_often(struct itest *t)
{
	static const uint8_t loop[] = {
		0xb9, 100, 0, 0, 0,		/* mov ecx, 100 */
		0xff, 0xd3,			/* call rbx */
		0xff, 0xc9,			/* dec ecx */
		0x75, 0xfa,			/* jnz */
		0xf4,
	};
	static const uint8_t ret = 0xc3;

	itest_put(t, ITEST_CODE + 0x100, &ret, 1);
	t->c->gpr[CPU_RBX] = ITEST_CODE + 0x100;
	ITEST_CODE_IS(t, loop);
	CHECK_EQ(itest_go(t, 10000), CPU_EXIT_HLT);
}

/* Whatever the FPU's mode is: that of a kernel which unpacks itself, or after CLTS. */
static void indirect_branches_in_every_mode(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t before = stats(&t)->indirect_misses;

		t.c->cr4 = (t.c->cr4 & ~(uint64_t)X86_CR4_OSFXSR) | (i ? X86_CR4_OSFXSR : 0);
		t.c->cr0 = (t.c->cr0 & ~(uint64_t)X86_CR0_TS) | (i == 2 ? X86_CR0_TS : 0);
		call_often(&t);
		CHECK(stats(&t)->indirect_misses - before < 10);
	}
	itest_close(&t);
}

/* INVLPG of pages without code, a hundred times between calls to another page. */
static void invlpg_of_data(void **state)
{
	static const uint8_t loop[] = {
		0xb9, 100, 0, 0, 0,		/* mov ecx, 100 */
		0x0f, 0x01, 0x3f,		/* invlpg [rdi] */
		0x8b, 0x06,			/* mov eax, [rsi] */
		0xff, 0xd3,			/* call rbx */
		0xff, 0xc9,			/* dec ecx */
		0x75, 0xf5,			/* jnz */
		0xf4,
	};
	static const uint8_t ret = 0xc3;
	static const uint64_t at[] = {
		ITEST_DATA, ITEST_CODE + 0x1000 + 16 * MIB, ITEST_DATA + 6 * MIB + GIB,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	/* RSI lies in a large page, whose pieces INVLPG must find. */
	itest_put64(&t, ITEST_PML4 + 0x2000 + 3 * 8, 6 * MIB | 0xe7);
	itest_put(&t, ITEST_CODE + 0x1000, &ret, 1);
	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		uint64_t checks = stats(&t)->far_checks, flushes = t.c->tlb->flushes;

		t.c->gpr[CPU_RBX] = ITEST_CODE + 0x1000;
		t.c->gpr[CPU_RSI] = ITEST_DATA + 6 * MIB;
		t.c->gpr[CPU_RDI] = at[i];
		ITEST_CODE_IS(&t, loop);
		CHECK_EQ(itest_go(&t, 10000), CPU_EXIT_HLT);
		CHECK(stats(&t)->far_checks - checks < 10);
		CHECK_EQ(t.c->tlb->flushes, flushes);
	}
	itest_close(&t);
}

static unsigned asked;

static void count_cpuid(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	(void)self, (void)sub;
	r[1] = leaf + ++asked;
}

/* One CPUID in a loop: the client is asked when something that decides has changed. */
static void cpuid_is_kept(void **state)
{
	static const uint8_t loop[] = {
		0x41, 0x0f, 0x22, 0xe0,		/* mov cr4, r8 */
		0x41, 0xb9, 100, 0, 0, 0,	/* mov r9d, 100 */
		0x44, 0x89, 0xd0,		/* mov eax, r10d */
		0x31, 0xc9,			/* xor ecx, ecx */
		0xf9,				/* stc */
		0x0f, 0xa2,			/* cpuid */
		0x73, 0x05,			/* jnc: to hlt */
		0x41, 0xff, 0xc9,		/* dec r9d */
		0x75, 0xf1,			/* jnz */
		0xf4,
	};
	struct itest t;
	uint64_t cr4;

	(void)state;
	itest_open_as(&t, ITEST_64, &cpu_engine_translate, "x86-64-v3");
	t.client.cpuid = count_cpuid;
	cr4 = t.c->cr4;
	asked = 0;
	for (unsigned i = 0; i < 6; i++) {
		uint32_t leaf = i / 2 % 2;

		t.c->gpr[CPU_R8] = i % 2 ? cr4 | X86_CR4_OSXSAVE : cr4 & ~(uint64_t)X86_CR4_OSXSAVE;
		t.c->gpr[CPU_R10] = leaf;
		ITEST_CODE_IS(&t, loop);
		CHECK_EQ(itest_go(&t, 10000), CPU_EXIT_HLT);
		CHECK_EQ(t.c->gpr[CPU_R9], 0);
		/* The way in is another block, and the loop's is translated again when it is hot. */
		CHECK_EQ(asked, 2 * (i + 1) + BT_OF(t.c)->stats.heated);
		CHECK_EQ(t.c->gpr[CPU_RBX], leaf + asked);
		if (leaf == 1)
			CHECK_EQ(t.c->gpr[CPU_RCX] >> 27 & 1, i % 2);
	}
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(indirect_branches_in_every_mode),
		cmocka_unit_test(invlpg_of_data),
		cmocka_unit_test(cpuid_is_kept),
	};

	return cmocka_run_group_tests_name("bt_cost", tests, NULL, NULL);
}
