/*
 * loop_test.c - loops that are taken several rounds at once
 *
 * Everywhere a round may end otherwise than expected: at the last one, at the end
 * of a page, by an exception, by a store to the loop itself.
 */
#include "cpu/bt/bt.h"
#include "cpu/interp/itest.h"

#include "base/test.h"

#include <string.h>

#define PAGES 6u
#define BYTES (PAGES * PAGE_SIZE)
#define ROUNDS 2500u		/* of everything: enough for a loop to become hot */

/* What lies side by side does not in memory. */
static uint64_t loop_gpa(unsigned page)
{
	return ITEST_DATA + (page & 1 ? page : page + 7) * PAGE_SIZE;
}

static void loop_open(struct itest *t)
{
	itest_open(t, ITEST_64);
	t->c->cr4 |= X86_CR4_OSFXSR;
	for (unsigned p = 0; p < PAGES; p++)
		itest_put64(t, itest_pte(ITEST_DATA + p * PAGE_SIZE), loop_gpa(p) | 0x67);
	interp_tlb_flush(t->c, true);
}

static void put_all(struct itest *t, const uint8_t *from)
{
	for (unsigned p = 0; p < PAGES; p++)
		itest_put(t, loop_gpa(p), from + p * PAGE_SIZE, PAGE_SIZE);
}

static void get_all(struct itest *t, uint8_t *to)
{
	struct gmem_page page;

	for (unsigned p = 0; p < PAGES; p++) {
		CHECK(gmem_page_of(t->mem, loop_gpa(p), &page));
		memcpy(to + p * PAGE_SIZE, page.hva, PAGE_SIZE);
	}
}

static void fill(uint8_t *b)
{
	for (unsigned i = 0; i < BYTES; i++)
		b[i] = (uint8_t)(i * 7 + (i >> 8) * 13);
}

/* To, from and from of the kinds below, and how many rounds. */
static const struct { unsigned to, a, b, n; } places[] = {
	{ 0x3000, 0x0000, 0x1000, 256 }, { 0x3008, 0x0010, 0x1020, 300 }, { 0x3ff8, 0x0ff0, 0x1fe0, 3 },
	{ 0x3100, 0x0100, 0x1100, 1 }, { 0x3100, 0x0100, 0x1100, 2 }, { 0x3100, 0x0100, 0x1100, 7 },
	{ 0x3100, 0x0100, 0x1100, 8 }, { 0x3100, 0x0100, 0x1100, 9 }, { 0x3fe0, 0x0100, 0x1100, 17 },
	{ 0x3100, 0x0fe1, 0x1100, 17 }, { 0x3100, 0x0100, 0x1ff1, 16 }, { 0x2f03, 0x0f05, 0x1f07, 64 },
	{ 0x3110, 0x3100, 0x3120, 90 }, { 0x3100, 0x3110, 0x30f0, 90 }, { 0x3100, 0x3100, 0x3100, 90 },
};

/* Runs CODE, which goes from place to place by what the registers say. */
static void go(struct itest *t, unsigned p, unsigned step, uint64_t index)
{
	static const uint8_t where[] = { CPU_RDI, CPU_RSI, CPU_RDX };
	const unsigned at[] = { places[p].to, places[p].a, places[p].b };

	for (unsigned i = 0; i < ARRAY_LEN(where); i++)
		t->c->gpr[where[i]] = ITEST_DATA + at[i] - index;
	t->c->gpr[CPU_RBX] = index + (uint64_t)places[p].n * step;
	t->c->gpr[CPU_RAX] = t->c->gpr[CPU_R15] = index;
	t->c->rip = ITEST_CODE;
	t->c->halted = 0;
	CHECK_EQ(itest_go(t, 100000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(t), -1);
}

struct kind {
	const uint8_t *code;
	size_t n;
	unsigned step;
	uint64_t index;			/* the registers begin there */
	void (*model)(uint8_t *to, const uint8_t *a, const uint8_t *b);
};

static void add_16(uint8_t *to, const uint8_t *a, const uint8_t *b)
{
	uint8_t x[16], y[16];

	memcpy(x, a, 16), memcpy(y, b, 16);
	for (unsigned i = 0; i < 16; i++)
		to[i] = (uint8_t)(x[i] + y[i]);
}

static void xor_into_4(uint8_t *to, const uint8_t *a, const uint8_t *b)
{
	uint8_t x[4];

	(void)b;
	memcpy(x, a, 4);
	for (unsigned i = 0; i < 4; i++)
		to[i] ^= x[i];
}

static const uint8_t add_code[] = {
	0xf3, 0x0f, 0x6f, 0x04, 0x06,		/* 1: movdqu xmm0, [rsi+rax] */
	0xf3, 0x0f, 0x6f, 0x0c, 0x02,		/* movdqu xmm1, [rdx+rax] */
	0x66, 0x0f, 0xfc, 0xc1,			/* paddb xmm0, xmm1 */
	0xf3, 0x0f, 0x7f, 0x04, 0x07,		/* movdqu [rdi+rax], xmm0 */
	0x48, 0x83, 0xc0, 16,			/* add rax, 16 */
	0x48, 0x39, 0xd8,			/* cmp rax, rbx */
	0x75, 0xe4,				/* jne 1b */
	0xf4,
};
static const uint8_t xor_code[] = {
	0x46, 0x8b, 0x14, 0xbe,			/* 1: mov r10d, [rsi+r15*4] */
	0x46, 0x31, 0x14, 0xbf,			/* xor [rdi+r15*4], r10d */
	0x49, 0xff, 0xc7,			/* inc r15 */
	0x4c, 0x39, 0xfb,			/* cmp rbx, r15 */
	0x75, 0xf0,				/* jne 1b */
	0xf4,
};

static void every_place(void **state)
{
	static const struct kind kinds[] = {
		{ add_code, sizeof(add_code), 16, 0, add_16 },
		{ add_code, sizeof(add_code), 16, UINT64_C(0xffffffff80000010), add_16 },
		{ xor_code, sizeof(xor_code), 1, 0, xor_into_4 },
	};
	static uint8_t want[BYTES], got[BYTES];
	struct itest t;

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		unsigned size = kinds[k].step == 1 ? 4 : kinds[k].step;

		loop_open(&t);
		itest_code(&t, kinds[k].code, kinds[k].n);
		fill(want);
		put_all(&t, want);
		for (unsigned r = 0, p = 0; r < ROUNDS; r++, p = (p + 1) % ARRAY_LEN(places)) {
			for (unsigned i = 0; i < places[p].n; i++)
				kinds[k].model(want + places[p].to + i * size, want + places[p].a + i * size,
					       want + places[p].b + i * size);
			go(&t, p, kinds[k].step, kinds[k].index);
		}
		get_all(&t, got);
		CHECK_EQ(memcmp(got, want, BYTES), 0);
		itest_close(&t);
	}
}

/* The page is read-only from some round on: all before it is done, nothing of it is. */
static void a_fault_in_between(void **state)
{
	static uint8_t got[BYTES], want[BYTES];
	struct itest t;

	(void)state;
	loop_open(&t);
	itest_code(&t, add_code, sizeof(add_code));
	for (unsigned r = 0; r < 60; r++)
		for (unsigned p = 0; p < ARRAY_LEN(places); p++)
			go(&t, p, 16, 0);
	itest_put64(&t, itest_pte(ITEST_DATA + 4 * PAGE_SIZE), loop_gpa(4) | 0x64);
	interp_tlb_flush(t.c, true);
	fill(want);
	put_all(&t, want);
	for (unsigned i = 0; i < 5; i++)
		add_16(want + 0x3fb0 + i * 16, want + i * 16, want + 0x1000 + i * 16);
	t.c->gpr[CPU_RDI] = ITEST_DATA + 0x3fb0;
	t.c->gpr[CPU_RSI] = ITEST_DATA;
	t.c->gpr[CPU_RDX] = ITEST_DATA + 0x1000;
	t.c->gpr[CPU_RAX] = 0;
	t.c->gpr[CPU_RBX] = 512;
	t.c->rip = ITEST_CODE;
	t.c->halted = 0;
	CHECK_EQ(itest_go(&t, 100000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_PAGE);
	CHECK_EQ(t.c->cr2, ITEST_DATA + 0x4000);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x50);
	get_all(&t, got);
	CHECK_EQ(memcmp(got, want, BYTES), 0);
	itest_close(&t);
}

/* It copies bytes; when onto itself, a round makes INC R8 a DEC before it comes there. */
static void a_loop_that_changes_itself(void **state)
{
	static const uint8_t code[] = {
		0x42, 0x8a, 0x04, 0x26,		/* 1: mov al, [rsi+r12] */
		0x42, 0x88, 0x04, 0x27,		/* mov [rdi+r12], al */
		0x49, 0xff, 0xc0,		/* inc r8 */
		0x49, 0xff, 0xc4,		/* inc r12 */
		0x49, 0x39, 0xdc,		/* cmp r12, rbx */
		0x75, 0xed,			/* jne 1b */
		0xf4,
	};
	static const uint8_t dec = 0xc8;
	struct itest t;

	(void)state;
	loop_open(&t);
	itest_code(&t, code, sizeof(code));
	itest_put(&t, loop_gpa(0), code, sizeof(code));
	itest_put(&t, loop_gpa(0) + 10, &dec, 1);
	for (unsigned r = 0; r < ROUNDS; r++) {
		bool itself = r % 500 == 499;

		t.c->gpr[CPU_RSI] = ITEST_DATA;
		t.c->gpr[CPU_RDI] = itself ? ITEST_CODE : ITEST_DATA + 0x3000;
		t.c->gpr[CPU_R8] = t.c->gpr[CPU_R12] = 0;
		t.c->gpr[CPU_RBX] = sizeof(code);
		t.c->rip = ITEST_CODE;
		t.c->halted = 0;
		CHECK_EQ(itest_go(&t, 100000), CPU_EXIT_HLT);
		CHECK_EQ(t.c->gpr[CPU_R8], itself ? 10 - (sizeof(code) - 10) : sizeof(code));
		if (itself)
			itest_code(&t, code, sizeof(code));
	}
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_place),
		cmocka_unit_test(a_fault_in_between),
		cmocka_unit_test(a_loop_that_changes_itself),
	};

	return cmocka_run_group_tests_name("bt_loop", tests, NULL, NULL);
}
