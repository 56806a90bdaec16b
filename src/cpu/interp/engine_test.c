/* engine_test.c - what other threads may ask of a running processor */
#include "base/test.h"
#include "cpu/interp/itest.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#define OLD_PAGE 0x200000u
#define NEW_PAGE 0x300000u

static void *runner(void *arg)
{
	struct itest *t = arg;

	cpu_run(t->cpu);
	return NULL;
}

/* Waits until the guest went N times round its loop. */
static void rounds(struct itest *t, uint64_t n)
{
	uint64_t from = itest_get64(t, ITEST_DATA + 8);

	while (itest_get64(t, ITEST_DATA + 8) < from + n)
		sched_yield();
}

/*
 * The guest gathers what it reads at OLD_PAGE, for ever and in long blocks.
 * Each round remaps, flushes, and then writes a mark where the old mapping
 * led: a guest that still reads it kept a translation past the flush.
 */
static void no_translation_outlives_a_flush(void **state)
{
	/* 1: or ecx, [rsi] (32 times); mov [rdi], ecx; inc qword [rdx]; jmp 1b */
	uint8_t code[32 * 2 + 7];
	pthread_t thread;
	struct itest t;

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		memcpy(code + 2 * i, "\x0b\x0e", 2);
	memcpy(code + 64, "\x89\x0f\x48\xff\x02\xeb\xb9", 7);
	itest_open(&t, ITEST_64);
	itest_code(&t, code, sizeof(code));
	t.c->gpr[CPU_RCX] = 0;
	t.c->gpr[CPU_RSI] = OLD_PAGE;
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	t.c->gpr[CPU_RDX] = ITEST_DATA + 8;
	CHECK_EQ(pthread_create(&thread, NULL, runner, &t), 0);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t from = i & 1 ? NEW_PAGE : OLD_PAGE, to = i & 1 ? OLD_PAGE : NEW_PAGE;
		uint32_t seen;

		CHECK_EQ(gmem_store32(t.mem, to, 0), 0);
		CHECK_EQ(gmem_store32(t.mem, itest_pte(OLD_PAGE), (uint32_t)to | 7), 0);
		t.cpu->engine->tlb_flush(t.cpu);
		CHECK_EQ(gmem_store32(t.mem, from, i + 1), 0);
		rounds(&t, 2);
		CHECK_EQ(gmem_load32(t.mem, ITEST_DATA, &seen), 0);
		CHECK_EQ(seen, 0);
	}
	cpu_kick(t.cpu);
	pthread_join(thread, NULL);
	itest_close(&t);
}

static void a_processor_that_stands_is_flushed_at_once(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.cpu->engine->tlb_flush(t.cpu);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_translation_outlives_a_flush),
		cmocka_unit_test(a_processor_that_stands_is_flushed_at_once),
	};

	return cmocka_run_group_tests_name("interp_engine", tests, NULL, NULL);
}
