/*
 * stress_code.c - code that is written while it runs, by itself and by others
 *
 * What a processor promises, with the serialisation it asks for: [SDM 3] 9.1.3.
 */
#define _GNU_SOURCE
#include "stress.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define READERS 3u

typedef uint32_t (*code_fn)(uint32_t);

static uint8_t *code_new(unsigned pages)
{
	uint8_t *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static uint32_t call(const uint8_t *at, uint32_t v)
{
	return ((code_fn)(uintptr_t)at)(v);
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static void serialize(void)
{
	uint32_t a = 0, b, c, d;

	__asm__ volatile("cpuid" : "+a" (a), "=b" (b), "=c" (c), "=d" (d) : : "memory");
}

/* ---- by itself ------------------------------------------------------------------------- */

#define OPS 24u

/* mov eax, edi; then ADD, XOR, SUB eax, imm32; ret */
static void selfmod_function(uint8_t *p)
{
	static const uint8_t op[3] = { 0x05, 0x35, 0x2d };
	uint32_t imm[OPS], which[OPS], want, v;

	p[0] = 0x89, p[1] = 0xf8;
	for (unsigned i = 0; i < OPS; i++) {
		which[i] = (uint32_t)below(3), imm[i] = (uint32_t)rnd();
		p[2 + i * 5] = op[which[i]];
		put32(p + 3 + i * 5, imm[i]);
	}
	p[2 + OPS * 5] = 0xc3;
	for (unsigned n = 0; n < 400; n++) {
		unsigned k = (unsigned)below(OPS);

		if (n & 1) {
			which[k] = (which[k] + 1) % 3;
			p[2 + k * 5] = op[which[k]];
		} else {
			imm[k] = (uint32_t)rnd();
			put32(p + 3 + k * 5, imm[k]);
		}
		want = v = (uint32_t)rnd();
		for (unsigned i = 0; i < OPS; i++)
			want = which[i] == 0 ? want + imm[i] : which[i] == 1 ? want ^ imm[i] : want - imm[i];
		CHECK(call(p, v) == want);
	}
}

/* An instruction writes the one behind it. */
static void selfmod_next(uint8_t *p)
{
	static const uint8_t text[] = {
		0x89, 0x3d, 1, 0, 0, 0,		/* mov [rip+1], edi: the immediate of */
		0xb8, 0, 0, 0, 0,		/* mov eax, imm32 */
		0xc3,
	};

	memcpy(p, text, sizeof(text));
	for (unsigned n = 0; n < 400; n++) {
		uint32_t v = (uint32_t)rnd();

		if (call(p, v) != v)
			die("an instruction at %p did not write the next, round %u", (void *)p, n);
	}
}

static void selfmod_round(void)
{
	uint8_t *p = code_new(2);

	for (unsigned n = 0; n < 10; n++) {
		/* In a page, and across two. */
		selfmod_function(p + below(PAGE - 256));
		selfmod_function(p + PAGE - 1 - below(100));
		selfmod_next(p + below(PAGE - 32));
		selfmod_next(p + PAGE - 1 - below(12));
	}
	munmap(p, 2 * PAGE);
}

/* ---- by another processor --------------------------------------------------------------- */

static struct {
	uint8_t *at;
	_Atomic uint32_t seq;
	_Atomic bool over;
	_Atomic uint64_t traps;
	void (*write)(uint32_t v);
	uint32_t last;
} x;

/* What is returned was there between the two looks at SEQ. */
static void *execute(void *index)
{
	uint32_t sum = 0;

	(void)index;
	while (!x.over) {
		uint32_t before = x.seq, v, after;

		serialize();
		v = call(x.at, 0);
		after = x.seq;
		if (v < before || v > after + 1)
			die("code of before: %u, between %u and %u", v, before, after + 1);
		sum += v;
	}
	return (void *)(uintptr_t)sum;
}

static void *write_or_execute(void *index)
{
	if (index != NULL)
		return execute(index);
	for (uint32_t v = 1; v <= x.last; v++) {
		x.write(v);
		x.seq = v;
		if (v % 64 == 0)
			usleep(100);
	}
	x.over = true;
	return NULL;
}

static void cross(uint8_t *at, void (*write)(uint32_t), uint32_t last)
{
	at[0] = 0xb8;			/* mov eax, imm32; ret */
	put32(at + 1, 0);
	at[5] = 0xc3;
	x.at = at;
	x.seq = 0;
	x.over = false;
	x.write = write;
	x.last = last;
	threads(1 + READERS, write_or_execute);
}

/* The immediate is aligned: one store, all of it or nothing. */
static void write_aligned(uint32_t v)
{
	__atomic_store_n((uint32_t *)(uintptr_t)(x.at + 1), v, __ATOMIC_RELEASE);
}

static void sync_cores(void)
{
	CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0);
}

/* As kernels patch themselves: INT3, the tail, the first byte. */
static void write_by_int3(uint32_t v)
{
	__atomic_store_n(x.at, 0xcc, __ATOMIC_RELEASE);
	sync_cores();
	for (unsigned i = 0; i < 4; i++)
		__atomic_store_n(x.at + 1 + i, (uint8_t)(v >> i * 8), __ATOMIC_RELAXED);
	sync_cores();
	__atomic_store_n(x.at, 0xb8, __ATOMIC_RELEASE);
	sync_cores();
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	(void)sig, (void)info;
	if ((uint64_t)u->uc_mcontext.gregs[REG_RIP] != (uint64_t)(uintptr_t)x.at + 1)
		die("a trap at 0x%llx", (unsigned long long)u->uc_mcontext.gregs[REG_RIP]);
	u->uc_mcontext.gregs[REG_RIP]--;
	x.traps++;
}

/* The page at AT is another one: code changes with the mapping alone. */
static uint8_t *pages;

static void write_mapping(uint32_t v)
{
	uint8_t *p = pages + (v & 1) * PAGE, *at = (uint8_t *)((uintptr_t)x.at & ~(uintptr_t)(PAGE - 1));

	put32(p + (x.at - at) + 1, v);
	/* mremap with old size 0 maps the same pages once more. */
	CHECK(mremap(p, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
}

static void crossmod_round(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	uint8_t *p = code_new(2), *at;

	CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0);
	sigaction(SIGTRAP, &sa, NULL);
	cross(p + (below(PAGE - 64) & ~63u) + 3, write_aligned, 4000);
	cross(p + PAGE - 5 + below(4), write_by_int3, 300);
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED);
	at = p + below(PAGE - 16);
	for (unsigned i = 0; i < 2; i++) {
		pages[i * PAGE + (size_t)(at - p)] = 0xb8;
		pages[i * PAGE + (size_t)(at - p) + 5] = 0xc3;
	}
	cross(at, write_mapping, 600);
	munmap(pages, 2 * PAGE);
	munmap(p, 2 * PAGE);
}

/* ---- data beside code -------------------------------------------------------------------- */

#define ADDS 30000u

static uint8_t *mixed;

static void *beside(void *index)
{
	unsigned me = (unsigned)(uintptr_t)index;
	_Atomic uint32_t *shared = (_Atomic uint32_t *)(uintptr_t)(mixed + 64);
	volatile uint32_t *own = (volatile uint32_t *)(uintptr_t)(mixed + 128 + me * 4);

	for (uint32_t i = 0; i < ADDS; i++) {
		++*shared;
		*own = *own + 1;
		/* mov eax, edi; add eax, imm32; ret: in the same line as the counters */
		if (i % 16 == 0)
			CHECK(call(mixed + 72, i) == i + 0x1234);
	}
	return NULL;
}

static void beside_round(void)
{
	static const uint8_t text[] = { 0x89, 0xf8, 0x05, 0x34, 0x12, 0, 0, 0xc3 };
	uint32_t v;

	mixed = code_new(1);
	memcpy(mixed + 72, text, sizeof(text));
	threads(4, beside);
	memcpy(&v, mixed + 64, 4);
	CHECK(v == 4 * ADDS);
	for (unsigned i = 0; i < 4; i++) {
		memcpy(&v, mixed + 128 + i * 4, 4);
		CHECK(v == ADDS);
	}
	munmap(mixed, PAGE);
}

const struct worker code_workers[] = {
	{ "selfmod", selfmod_round }, { "crossmod", crossmod_round }, { "beside", beside_round },
	{ NULL, NULL },
};
