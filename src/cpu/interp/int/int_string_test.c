/* int_string_test.c - REP across pages, faults, devices, events, overlap */
#include "cpu/interp/int/int_test.h"

#include <stdlib.h>
#include <string.h>

#define SRC_AT (ITEST_DATA + 0x10000)
#define DST_AT (ITEST_DATA + 0x20000)

static void put_pattern(struct itest *t, uint64_t at, size_t n)
{
	uint8_t *buf = malloc(n);

	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)(i * 7 + i / 251);
	itest_put(t, at, buf, n);
	free(buf);
}

static void check_copy(struct itest *t, uint64_t dst, uint64_t src, size_t n)
{
	uint8_t *a = malloc(n), *b = malloc(n);

	itest_get(t, dst, a, n);
	itest_get(t, src, b, n);
	CHECK_MEM(a, b, n);
	free(a);
	free(b);
}

static void strings(struct interp *c, uint64_t src, uint64_t dst, uint64_t count)
{
	c->gpr[CPU_RSI] = src;
	c->gpr[CPU_RDI] = dst;
	c->gpr[CPU_RCX] = count;
}

static void test_rep_movs_of_all_sizes(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	put_pattern(&t, SRC_AT, 0x8000);
	strings(c, SRC_AT + 3, DST_AT + 0xffe, 0x5001);
	CHECK_EQ(RUN(&t, 0xf3, 0xa4), ITEST_HLT);			/* rep movsb */
	check_copy(&t, DST_AT + 0xffe, SRC_AT + 3, 0x5001);
	CHECK_EQ(c->gpr[CPU_RCX], 0);
	CHECK_EQ(c->gpr[CPU_RSI], SRC_AT + 3 + 0x5001);
	CHECK_EQ(c->gpr[CPU_RDI], DST_AT + 0xffe + 0x5001);
	/* Elements that straddle pages on either side. */
	strings(c, SRC_AT + 5, DST_AT + 0x10003, 0x801);
	CHECK_EQ(RUN(&t, 0xf3, 0x48, 0xa5), ITEST_HLT);			/* rep movsq */
	check_copy(&t, DST_AT + 0x10003, SRC_AT + 5, 0x801 * 8);
	/* Backwards. */
	strings(c, SRC_AT + 0x2000, DST_AT + 0x2000, 0x901);
	c->rflags |= X86_DF;
	itest_put64(&t, DST_AT + 0x2000, 0);
	CHECK_EQ(RUN(&t, 0xf3, 0x66, 0xa5), ITEST_HLT);			/* rep movsw */
	check_copy(&t, DST_AT + 0x2000 - 0x900 * 2, SRC_AT + 0x2000 - 0x900 * 2, 0x901 * 2);
	CHECK_EQ(c->gpr[CPU_RDI], DST_AT + 0x2000 - 0x901 * 2);
	itest_close(&t);
}

/* A destination a few bytes ahead of its source: the bytes between repeat. */
static void test_overlap_repeats(void **state)
{
	uint8_t want[5000], got[5000];
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned ahead = 1; ahead < 80; ahead += 13) {
		put_pattern(&t, SRC_AT, sizeof(want));
		itest_get(&t, SRC_AT, want, sizeof(want));
		for (unsigned i = 0; i + ahead < sizeof(want); i++)
			want[i + ahead] = want[i];
		strings(t.c, SRC_AT, SRC_AT + ahead, sizeof(want) - ahead);
		CHECK_EQ(RUN(&t, 0xf3, 0xa4), ITEST_HLT);
		itest_get(&t, SRC_AT, got, sizeof(got));
		CHECK_MEM(got, want, sizeof(want));
	}
	itest_close(&t);
}

/* Two linear pages that are one page of memory overlap too. */
static void test_overlap_through_an_alias(void **state)
{
	uint8_t want[256], got[256];
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put_pattern(&t, SRC_AT, sizeof(want));
	itest_get(&t, SRC_AT, want, sizeof(want));
	for (unsigned i = 0; i + 40 < sizeof(want); i++)
		want[i + 40] = want[i];
	itest_put64(&t, itest_pte(DST_AT), SRC_AT | X86_PTE_P | X86_PTE_W);
	interp_tlb_flush(t.c, true);
	strings(t.c, SRC_AT, DST_AT + 40, sizeof(want) - 40);
	CHECK_EQ(RUN(&t, 0xf3, 0xa4), ITEST_HLT);
	itest_get(&t, SRC_AT, got, sizeof(got));
	CHECK_MEM(got, want, sizeof(want));
	itest_close(&t);
}

static void test_rep_stos(void **state)
{
	struct itest t;
	struct interp *c;
	uint32_t v[0x900];

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RAX] = UINT64_C(0x1122334455667788);
	strings(c, 0, DST_AT + 2, 0x8ff);
	CHECK_EQ(RUN(&t, 0xf3, 0xab), ITEST_HLT);			/* rep stosd */
	itest_get(&t, DST_AT + 2, v, sizeof(v));
	for (unsigned i = 0; i < 0x8ff; i++)
		CHECK_EQ(v[i], 0x55667788);
	CHECK_EQ(v[0x8ff], 0);
	CHECK_EQ(c->gpr[CPU_RDI], DST_AT + 2 + 0x8ff * 4);
	/* Zero times: nothing, not even a fault. */
	strings(c, UINT64_C(1) << 60, UINT64_C(1) << 60, 0);
	CHECK_EQ(RUN(&t, 0xf3, 0xaa), ITEST_HLT);
	itest_close(&t);
}

/* The page in the middle is missing: the registers say how far it got. */
static void test_fault_in_the_middle(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	put_pattern(&t, SRC_AT, 0x4000);
	itest_put64(&t, itest_pte(DST_AT + 0x2000), 0);
	interp_tlb_flush(c, true);
	strings(c, SRC_AT, DST_AT + 4, 0x800);
	CHECK_EQ(RUN(&t, 0xf3, 0x48, 0xa5), X86_PAGE);
	/* The element that straddles the border has not been stored in part. */
	CHECK_EQ(c->cr2, DST_AT + 0x2000);
	CHECK_EQ(c->gpr[CPU_RCX], 0x800 - 0x1ffc / 8);
	CHECK_EQ(c->gpr[CPU_RDI], DST_AT + 4 + 0x1ff8);
	CHECK_EQ(c->gpr[CPU_RSI], SRC_AT + 0x1ff8);
	CHECK_EQ(c->rip, ITEST_CODE);
	CHECK_EQ(itest_get64(&t, DST_AT + 4 + 0x1ff8) & 0xffffffff, 0);
	/* Mended, it goes on where it was. */
	itest_put64(&t, itest_pte(DST_AT + 0x2000), (DST_AT + 0x2000) | X86_PTE_P | X86_PTE_W);
	interp_tlb_flush(c, true);
	CHECK_EQ(itest_run(&t, 1000), ITEST_HLT);
	check_copy(&t, DST_AT + 4, SRC_AT, 0x4000);
	itest_close(&t);
}

/* Registers of a device see accesses of the element's size, in order. */
static void test_devices_by_element(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	put_pattern(&t, SRC_AT, 64);
	strings(c, SRC_AT, ITEST_MMIO + 8, 12);
	CHECK_EQ(RUN(&t, 0xf3, 0x66, 0xa5), ITEST_HLT);			/* rep movsw */
	CHECK_EQ(t.nr_mmio, 12);
	for (unsigned i = 0; i < 12; i++) {
		CHECK_EQ(t.mmio[i].addr, ITEST_MMIO + 8 + i * 2);
		CHECK_EQ(t.mmio[i].width, 2);
		CHECK_EQ(t.mmio[i].val, itest_get64(&t, SRC_AT + i * 2) & 0xffff);
	}
	itest_close(&t);
}

/* A kick is seen inside a long REP, which then is where it was. */
static void test_event_interrupts(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	strings(c, SRC_AT, DST_AT, 0x40000);
	atomic_fetch_or(&c->events, EVENT_KICK);
	CHECK_EQ(STEP(&t, 0xf3, 0xa4), ITEST_HLT);
	CHECK_EQ(c->rip, ITEST_CODE);
	CHECK(c->gpr[CPU_RCX] != 0 && c->gpr[CPU_RCX] < 0x40000);
	CHECK_EQ(c->gpr[CPU_RSI] - SRC_AT, 0x40000 - c->gpr[CPU_RCX]);
	/* Without one it comes back now and then all the same. */
	atomic_store(&c->events, 0);
	strings(c, SRC_AT, DST_AT, 0x100000);
	CHECK_EQ(STEP(&t, 0xf3, 0xa4), ITEST_HLT);
	CHECK_EQ(c->rip, ITEST_CODE);
	/* And with TF after each element. */
	strings(c, SRC_AT, DST_AT, 100);
	c->rflags |= X86_TF;
	CHECK_EQ(STEP(&t, 0xf3, 0xa4), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RCX], 99);
	itest_close(&t);
}

static void test_compares(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	itest_put(&t, SRC_AT, "genvisor, a monitor", 20);
	itest_put(&t, DST_AT, "genvisor; a monitor", 20);
	strings(c, SRC_AT, DST_AT, 20);
	CHECK_EQ(RUN(&t, 0xf3, 0xa6), ITEST_HLT);			/* repe cmpsb */
	CHECK_EQ(c->gpr[CPU_RCX], 11);
	CHECK_EQ(c->rflags & (X86_ZF | X86_CF), X86_CF);		/* ',' < ';' */
	strings(c, 0, SRC_AT, UINT64_MAX);
	c->gpr[CPU_RAX] = 0;
	CHECK_EQ(RUN(&t, 0xf2, 0xae), ITEST_HLT);			/* repne scasb: strlen */
	CHECK_EQ(~c->gpr[CPU_RCX] - 1, 19);
	CHECK(c->rflags & X86_ZF);
	c->gpr[CPU_RSI] = SRC_AT;
	CHECK_EQ(STEP(&t, 0xac), ITEST_HLT);				/* lodsb */
	CHECK_EQ(c->gpr[CPU_RAX], 'g');
	itest_close(&t);
}

/* Real mode: 16-bit registers wrap, segments add, a prefix replaces DS only. */
static void test_real_mode_wraps(void **state)
{
	struct itest t;
	struct interp *c;
	uint8_t b[3];

	(void)state;
	itest_open(&t, ITEST_16);
	c = t.c;
	itest_put(&t, 0x8fffe, "ab", 2);		/* DS:FFFE, and DS:0000 */
	itest_put(&t, 0x80000, "c", 1);
	strings(c, 0xabcdfffe, 0x12340100, 0x5678ffff0003);
	CHECK_EQ(RUN(&t, 0xf3, 0xa4), ITEST_HLT);
	itest_get(&t, 0x80100, b, 3);
	CHECK_MEM(b, "abc", 3);
	CHECK_EQ(c->gpr[CPU_RSI], 0xabcd0001);
	CHECK_EQ(c->gpr[CPU_RDI], 0x12340103);
	CHECK_EQ(c->gpr[CPU_RCX], 0x5678ffff0000);
	/* SS: as the source's segment. */
	itest_put(&t, 0x50010, "z", 1);
	strings(c, 0x10, 0x200, 1);
	CHECK_EQ(STEP(&t, 0x36, 0xa4), ITEST_HLT);
	itest_get(&t, 0x80200, b, 1);
	CHECK_EQ(b[0], 'z');
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rep_movs_of_all_sizes),
		cmocka_unit_test(test_overlap_repeats),
		cmocka_unit_test(test_overlap_through_an_alias),
		cmocka_unit_test(test_rep_stos),
		cmocka_unit_test(test_fault_in_the_middle),
		cmocka_unit_test(test_devices_by_element),
		cmocka_unit_test(test_event_interrupts),
		cmocka_unit_test(test_compares),
		cmocka_unit_test(test_real_mode_wraps),
	};

	return cmocka_run_group_tests_name("int_string", tests, NULL, NULL);
}
