/* block_test.c - the cache of decoded code: self-modifying and cross-modifying code */
#include "cpu/interp/block.c"

#include "base/test.h"
#include "cpu/interp/itest.h"

#include <pthread.h>

static void put(struct itest *t, uint64_t at, const void *code, size_t n)
{
	itest_put(t, at, code, n);
}

static void go(struct itest *t, uint64_t rip)
{
	t->c->rip = rip;
	t->c->halted = 0;
	CHECK_EQ(itest_go(t, 100000), CPU_EXIT_HLT);
}

/* A store to the next instruction, in the same block. */
static void test_next(void **state)
{
	/* mov byte [rip + 1], bl; mov al, 0; hlt */
	static const uint8_t code[] = { 0x88, 0x1d, 1, 0, 0, 0, 0xb0, 0, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, ITEST_CODE, code, sizeof(code));
	for (unsigned i = 1; i < 300; i++) {
		t.c->gpr[CPU_RBX] = i & 0xff;
		t.c->gpr[CPU_RAX] = 0;
		go(&t, ITEST_CODE);
		CHECK_EQ(t.c->gpr[CPU_RAX], i & 0xff);
	}
	itest_close(&t);
}

/* The same through another linear address of the page. */
static void test_alias(void **state)
{
	/* mov [rsi], bl; mov al, 0; hlt */
	static const uint8_t code[] = { 0x88, 0x1e, 0xb0, 0, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, ITEST_CODE, code, sizeof(code));
	itest_put64(&t, itest_pte(0x300000), ITEST_CODE | 7);
	t.c->gpr[CPU_RSI] = 0x300003;
	for (unsigned i = 1; i < 50; i++) {
		t.c->gpr[CPU_RBX] = i;
		go(&t, ITEST_CODE);
		CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, i);
	}
	itest_close(&t);
}

/* mov eax, imm32 whose last bytes lie on the next page; hlt */
static void test_crossing(void **state)
{
	static const uint8_t code[] = { 0xb8, 0x11, 0x22, 0x33, 0x44, 0xf4 };
	const uint64_t at = ITEST_CODE + 0xffe;
	const uint8_t b = 0x55;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, at, code, sizeof(code));
	go(&t, at);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x44332211);
	CHECK_EQ(t.c->rip, at + 6);
	itest_put(&t, at + 4, &b, 1);			/* second page */
	go(&t, at);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x55332211);
	itest_put(&t, at + 1, &b, 1);			/* first page */
	go(&t, at);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x55332255);
	/* another page takes the place of the second */
	put(&t, 0x300000, "\xaa\xbb\xcc\xf4", 4);
	itest_put64(&t, itest_pte(ITEST_CODE + 0x1000), 0x300000 | 7);
	interp_tlb_flush(t.c, true);
	go(&t, at);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0xccbbaa55);
	itest_close(&t);
}

/* The host's writes (DMA) count as well, and so does the length of an instruction. */
static void test_dma(void **state)
{
	static const uint8_t one[] = { 0xb0, 1, 0xf4 }, two[] = { 0x66, 0xb8, 2, 3, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, ITEST_CODE, one, sizeof(one));
	go(&t, ITEST_CODE);
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	put(&t, ITEST_CODE, two, sizeof(two));
	go(&t, ITEST_CODE);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x302);
	itest_close(&t);
}

/* Bytes that were no instruction become one by a change behind the first byte. */
static void test_invalid(void **state)
{
	static const uint8_t bad[] = { 0x0f, 0x04, 0xf4 }, good[] = { 0x0f, 0x31, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, ITEST_CODE, bad, sizeof(bad));
	go(&t, ITEST_CODE);
	CHECK_EQ(itest_caught(&t), X86_UD);
	put(&t, ITEST_CODE, good, sizeof(good));
	go(&t, ITEST_CODE);
	CHECK_EQ(itest_caught(&t), -1);
	CHECK_EQ(t.c->rip, ITEST_CODE + 3);
	itest_close(&t);
}

/* Data beside code: stores leave the block, but nothing is decoded again. */
static void test_beside(void **state)
{
	/* mov ecx, 500; 1: inc dword [rip + 0x100]; dec ecx; jnz 1b; hlt */
	static const uint8_t code[] = {
		0xb9, 0xf4, 1, 0, 0, 0xff, 0x05, 0, 1, 0, 0, 0xff, 0xc9, 0x75, 0xf6, 0xf4,
	};
	struct itest t;
	size_t used;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, ITEST_CODE, code, sizeof(code));
	go(&t, ITEST_CODE);
	CHECK_EQ(itest_get64(&t, ITEST_CODE + 11 + 0x100), 500);
	used = t.c->cache->used;
	go(&t, ITEST_CODE);
	CHECK_EQ(itest_get64(&t, ITEST_CODE + 11 + 0x100), 1000);
	CHECK_EQ(t.c->cache->used, used);
	itest_close(&t);
}

/* A page that was code and is only written now stops costing; and is code again when run. */
UNUSED static void test_retired_page(void **state)
{
	static const uint8_t code[] = { 0xb0, 1, 0xf4 };
	/* mov ecx, 200; 1: mov [rsi], rcx; dec ecx; jnz 1b; hlt */
	static const uint8_t writer[] = {
		0xb9, 200, 0, 0, 0, 0x48, 0x89, 0x0e, 0xff, 0xc9, 0x75, 0xf9, 0xf4,
	};
	struct gmem_page page;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, 0x200000, code, sizeof(code));
	put(&t, ITEST_CODE, writer, sizeof(writer));
	CHECK(gmem_page_of(t.mem, 0x200000, &page));
	go(&t, 0x200000);
	CHECK(*page.state & GMEM_HAS_CODE);
	t.c->gpr[CPU_RSI] = 0x200800;
	go(&t, ITEST_CODE);
	CHECK(!(*page.state & GMEM_HAS_CODE));
	put(&t, 0x200001, "\x07", 1);		/* unseen by the word's rule: no code here now */
	go(&t, 0x200000);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, 7);
	CHECK(*page.state & GMEM_HAS_CODE);
	put(&t, 0x200001, "\x08", 1);
	go(&t, 0x200000);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, 8);
	itest_close(&t);
}

/* The arena is full: all blocks go, and the program does not notice. */
UNUSED static void test_full(void **state)
{
	static const uint8_t code[] = { 0xb0, 1, 0xeb, 0xfc };	/* 1: mov al, 1; jmp 1b */
	uint64_t epoch;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put(&t, ITEST_CODE, code, sizeof(code));
	put(&t, ITEST_CODE + 2, "\xf4", 1);
	epoch = t.c->cache->epoch;
	t.c->cache->used = ARENA_BYTES - WORST_BLOCK - 64;
	for (unsigned i = 0; i < 40; i++) {
		put(&t, ITEST_CODE + 16 * i, code, 2);
		put(&t, ITEST_CODE + 16 * i + 2, "\xf4", 1);
		go(&t, ITEST_CODE + 16 * i);
		CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	}
	CHECK_EQ(t.c->cache->epoch, epoch + 1);
	CHECK(t.c->cache->used < ARENA_BYTES / 2);
	itest_close(&t);
}

/* ---- another processor patches ------------------------------------------------------- */

/* The writer counts down in the imm32 of the other's MOV, and waits for each echo. */
static const uint8_t patcher[] = {
	0xb9, 0xd0, 7, 0, 0,		/* mov ecx, 2000 */
	0x89, 0x0e,			/* 1: mov [rsi], ecx */
	0xf3, 0x90,			/* 2: pause */
	0x39, 0x0f,			/* cmp [rdi], ecx */
	0x75, 0xfa,			/* jne 2b */
	0xff, 0xc9,			/* dec ecx */
	0x75, 0xf4,			/* jnz 1b */
	0xf4,
};
/* 1: mov eax, imm32; mov [rdi], eax; cmp eax, 1; jne 1b; hlt */
static const uint8_t patched[] = {
	0xb8, 0, 0, 0, 0, 0x89, 0x07, 0x83, 0xf8, 1, 0x75, 0xf4, 0xf4,
};

static void *run_second(void *arg)
{
	struct itest *t = arg;

	(void)itest_go(t, UINT64_MAX);
	return NULL;
}

UNUSED static void test_threads(void **state)
{
	struct itest a, b;
	pthread_t th;

	(void)state;
	itest_open(&a, ITEST_64);
	itest_open_second(&b, &a);
	put(&a, ITEST_CODE, patched, sizeof(patched));
	put(&a, 0x50000, patcher, sizeof(patcher));
	a.c->rip = ITEST_CODE;
	b.c->rip = 0x50000;
	b.c->gpr[CPU_RSI] = ITEST_CODE + 1;
	a.c->gpr[CPU_RDI] = b.c->gpr[CPU_RDI] = ITEST_DATA;
	CHECK_EQ(pthread_create(&th, NULL, run_second, &b), 0);
	CHECK_EQ(itest_go(&a, UINT64_MAX), CPU_EXIT_HLT);
	pthread_join(th, NULL);
	CHECK(b.c->halted);
	CHECK_EQ(b.c->gpr[CPU_RCX], 0);
	CHECK_EQ(a.c->gpr[CPU_RAX], 1);
	itest_close(&b);
	itest_close(&a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_dma),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_beside),
#ifndef ITEST_TRANSLATE	/* bounded, or counts instructions, or looks at blocks */
		cmocka_unit_test(test_retired_page),
#endif
#ifndef ITEST_TRANSLATE	/* bounded, or counts instructions, or looks at blocks */
		cmocka_unit_test(test_full),
#endif
#ifndef ITEST_LOCK	/* two processors */
		cmocka_unit_test(test_threads),
#endif
	};

	return cmocka_run_group_tests_name("interp_block", tests, NULL, NULL);
}
