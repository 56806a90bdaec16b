/*
 * bt_test.c - what only the translator can get wrong
 */
#include "cpu/bt/bt.h"
#include "cpu/interp/itest.h"

#include "base/test.h"

#include <string.h>

static const uint8_t pattern[16] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
};

/*
 * RSP is any number, and the host is interrupted with it: not every host can go back
 * to one that is not canonical.
 */
static void wild_rsp(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x87, 0xe3,		/* xchg rsp, rbx */
		0xff, 0xc9,			/* 1: dec ecx */
		0x8b, 0x06,			/* mov eax, [rsi] */
		0x0f, 0x10, 0x06,		/* movups xmm0, [rsi] */
		0x75, 0xf7,			/* jnz 1b */
		0xf7, 0xf1,			/* div ecx */
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_user(&t);
	t.c->cr4 |= X86_CR4_OSFXSR;
	t.c->gpr[CPU_RBX] = UINT64_C(0x6112003700509289);
	t.c->gpr[CPU_RCX] = 40000000;
	t.c->gpr[CPU_RDX] = 0x1234;
	t.c->gpr[CPU_RSI] = ITEST_DATA;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DE);
	CHECK_EQ(t.c->gpr[CPU_RCX], 0);
	CHECK_EQ(t.c->gpr[CPU_RDX], 0x1234);
	CHECK_EQ(itest_get64(&t, t.c->gpr[CPU_RSP]), ITEST_CODE + sizeof(code) - 2);
	CHECK_EQ(itest_get64(&t, t.c->gpr[CPU_RSP] + 24), UINT64_C(0x6112003700509289));
	itest_close(&t);
}

/* F3 90 is PAUSE, and with REX.B it is not. */
static void xchg_r8_after_f3(void **state)
{
	static const uint8_t code[] = { 0xf3, 0x49, 0x90, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = 1;
	t.c->gpr[CPU_R8] = 2;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	CHECK_EQ(t.c->gpr[CPU_R8], 1);
	itest_close(&t);
}

/* CPUID's gate is reached by three ways: each puts back once what changed places. */
static void cpuid_among_r14(void **state)
{
	static const uint8_t code[] = {
		0xb8, 7, 0, 0, 0,		/* 1: mov eax, 7 */
		0x89, 0xe9,			/* mov ecx, ebp */
		0x0f, 0xa2,			/* cpuid */
		0x49, 0xff, 0xc6, 0x49, 0xff, 0xc6, 0x49, 0xff, 0xc6, 0x49, 0xff, 0xc6,	/* inc r14 */
		0x49, 0xff, 0xc6, 0x49, 0xff, 0xc6, 0x49, 0xff, 0xc6, 0x49, 0xff, 0xc6,
		0xff, 0xcd,			/* dec ebp */
		0x75, 0xdb,			/* jnz 1b */
		0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned g = CPU_RSI; g < CPU_R14; g++)
		t.c->gpr[g] = 0x100 + g;
	t.c->gpr[CPU_RBP] = 10;
	t.c->gpr[CPU_R14] = 0;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_R14], 80);
	for (unsigned g = CPU_RSI; g < CPU_R14; g++)
		CHECK_EQ(t.c->gpr[g], 0x100 + g);
	itest_close(&t);
}

/* Runs CODE between a load of XMM0 and its store: whatever it calls must leave XMM0 alone. */
static void keeps_xmm0(struct itest *t, const uint8_t *code, size_t n)
{
	/* movdqu xmm0, [rsi] ... movdqu [rsi+16], xmm0; hlt */
	static const uint8_t load[] = { 0xf3, 0x0f, 0x6f, 0x06 };
	static const uint8_t store[] = { 0xf3, 0x0f, 0x7f, 0x46, 0x10, 0xf4 };
	uint8_t all[64], got[16];

	memcpy(all, load, sizeof(load));
	memcpy(all + sizeof(load), code, n);
	memcpy(all + sizeof(load) + n, store, sizeof(store));
	t->c->cr4 |= X86_CR4_OSFXSR;
	itest_put(t, ITEST_DATA, pattern, sizeof(pattern));
	t->c->gpr[CPU_RSI] = ITEST_DATA;
	for (unsigned i = 0; i < 3; i++) {
		itest_code(t, all, sizeof(load) + n + sizeof(store));
		CHECK_EQ(itest_go(t, 1000), CPU_EXIT_HLT);
		itest_get(t, ITEST_DATA + 16, got, sizeof(got));
		CHECK_MEM(got, pattern, sizeof(got));
	}
}

/* With another processor a store to a page with code goes by its handler. */
static void store_to_code_keeps_vectors(void **state)
{
	static const uint8_t code[] = { 0x48, 0x89, 0x07 };	/* mov [rdi], rax */
	struct itest t, other;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_open_second(&other, &t);
	t.c->gpr[CPU_RDI] = ITEST_CODE + 0x800;
	keeps_xmm0(&t, code, sizeof(code));
	itest_close(&other);
	itest_close(&t);
}

/*
 * A page that is only written becomes data, but not while another processor may be in
 * the middle of code it has of that page.
 */
static void cools_down_together(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0x07,		/* 1: mov [rdi], rax */
		0xff, 0xc9,			/* dec ecx */
		0x75, 0xf9,			/* jnz 1b */
		0xf4,
	};
	static const uint8_t ret = 0xc3, call[] = { 0xff, 0xd3, 0xf4 };
	struct gmem_page page;
	struct itest t, other;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_open_second(&other, &t);
	CHECK(gmem_page_of(t.mem, ITEST_DATA, &page));
	itest_put(&t, ITEST_DATA, &ret, 1);
	other.c->gpr[CPU_RBX] = ITEST_DATA;
	ITEST_CODE_IS(&other, call);
	CHECK_EQ(itest_go(&other, 1000), CPU_EXIT_HLT);
	CHECK(atomic_load(page.state) & GMEM_HAS_CODE);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&other.c->running, i == 0);
		t.c->gpr[CPU_RDI] = ITEST_DATA + 0x800;
		t.c->gpr[CPU_RCX] = 500;
		itest_code(&t, code, sizeof(code));
		CHECK_EQ(itest_go(&t, 100000), CPU_EXIT_HLT);
		CHECK_EQ(atomic_load(page.state) & GMEM_HAS_CODE, i == 0 ? GMEM_HAS_CODE : 0);
	}
	other.c->gpr[CPU_RBX] = ITEST_DATA;
	ITEST_CODE_IS(&other, call);
	CHECK_EQ(itest_go(&other, 1000), CPU_EXIT_HLT);
	CHECK(atomic_load(page.state) & GMEM_HAS_CODE);
	itest_close(&other);
	itest_close(&t);
}

/* What is remembered of a page goes while somebody may still write there unseen. */
static void kept_only_when_all_is_seen(void **state)
{
	static const uint8_t ret = 0xc3, call[] = { 0xff, 0xd3, 0xf4 };
	struct gmem_page page;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK(gmem_page_of(t.mem, ITEST_DATA, &page));
	itest_put(&t, ITEST_DATA, &ret, 1);
	t.c->gpr[CPU_RBX] = ITEST_DATA;
	ITEST_CODE_IS(&t, call);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t killed = BT_OF(t.c)->stats.invalidated;

		if (i == 1)
			atomic_fetch_or(page.state, GMEM_WRITE_CACHED);
		gmem_code_notify(t.mem, page.state);
		t.c->rip = ITEST_CODE;
		t.c->halted = 0;
		CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
		CHECK_EQ(BT_OF(t.c)->stats.invalidated - killed, i);
	}
	itest_close(&t);
}

/* A register far from the one it was made of: the difference is no displacement. */
static void far_from_its_base(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x8d, 0x98, 1, 0, 0, 0x80,	/* lea rbx, [rax-0x7fffffff] */
		0x48, 0x8b, 0x8b, 0x10, 0, 0, 0x80,	/* mov rcx, [rbx-0x7ffffff0] */
		0x48, 0x8b, 0x93, 0x18, 0, 0, 0x80,	/* mov rdx, [rbx-0x7fffffe8] */
		0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	/* 4 GiB higher the same memory once more. */
	itest_put64(&t, ITEST_PML4 + 0x1000 + 4 * 8, 0x700000 | 0x67);
	itest_put64(&t, 0x700000, 0xe7);
	itest_put64(&t, ITEST_DATA, 1);
	itest_put64(&t, ITEST_DATA + 8, 2);
	t.c->gpr[CPU_RAX] = ITEST_DATA + UINT64_C(0xffffffef);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RCX], 1);
	CHECK_EQ(t.c->gpr[CPU_RDX], 2);
	CHECK_EQ(BT_OF(t.c)->stats.faults, 0);
	itest_close(&t);
}

static void handlers_keep_vectors(void **state)
{
	static const uint8_t wrmsr[] = { 0x0f, 0x30 };
	static const uint8_t rdmsr[] = { 0x0f, 0x32 };
	static const uint8_t cpuid[] = { 0x0f, 0xa2 };
	static const uint8_t movs[] = { 0xf3, 0xa4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RCX] = 0x2ff;			/* IA32_MTRR_DEF_TYPE: asks the model */
	keeps_xmm0(&t, wrmsr, sizeof(wrmsr));
	keeps_xmm0(&t, rdmsr, sizeof(rdmsr));
	t.c->gpr[CPU_RAX] = 0;
	keeps_xmm0(&t, cpuid, sizeof(cpuid));
	t.c->gpr[CPU_RCX] = 0;
	t.c->gpr[CPU_RDI] = ITEST_DATA + 0x100;
	keeps_xmm0(&t, movs, sizeof(movs));
	itest_close(&t);
}

/*
 * CALL and PUSH with an operand in memory look at two pages, the operand's first: what
 * was known of the stack's since earlier pushes must be found again.
 */
static void stack_after_operand(void **state)
{
	static const uint8_t call[] = {
		0x53, 0x55,			/* push rbx; push rbp */
		0xff, 0x50, 0x08,		/* call [rax+8] */
	};
	static const uint8_t push[] = {
		0x53, 0x55,
		0xff, 0x70, 0x08,		/* push [rax+8] */
		0xf4,
	};
	static const uint8_t hlt = 0xf4;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put(&t, ITEST_CODE + 0x100, &hlt, 1);
	itest_put64(&t, ITEST_DATA + 8, ITEST_CODE + 0x100);
	for (unsigned i = 0; i < 2; i++) {
		t.c->gpr[CPU_RAX] = ITEST_DATA;
		t.c->gpr[CPU_RSP] = ITEST_STACK;
		BT_OF(t.c)->group[0] = BT_OF(t.c)->group[1] = UINT64_C(1) << 60;
		itest_code(&t, i ? push : call, i ? sizeof(push) : sizeof(call));
		CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
		CHECK_EQ(itest_get64(&t, ITEST_STACK - 24),
			 i ? ITEST_CODE + 0x100 : ITEST_CODE + sizeof(call));
		CHECK_EQ(BT_OF(t.c)->stats.faults, 0);
	}
	itest_close(&t);
}

/*
 * Two pages by one register: who goes on by an earlier answer finds that one, and not what
 * another has put into a slot they share.  Cold first, then hot.
 */
static void two_pages_of_the_stack(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0x44, 0x24, 0x08,			/* 1: mov [rsp+8], rax */
		0x48, 0x89, 0x9c, 0x24, 0x10, 0xe0, 0xff, 0xff,	/* mov [rsp-0x1ff0], rbx */
		0x48, 0x89, 0x9c, 0x24, 0x18, 0xe0, 0xff, 0xff,	/* mov [rsp-0x1fe8], rbx */
		0x48, 0x89, 0x44, 0x24, 0x10,			/* mov [rsp+16], rax */
		0x48, 0xff, 0xc0, 0x48, 0xff, 0xc3,		/* inc rax; inc rbx */
		0xff, 0xc9,					/* dec ecx */
		0x75, 0xdc,					/* jnz 1b */
		0xf4,
	};
	const uint64_t high = ITEST_DATA + 0x3100, low = high - 0x1ff0, gpa = low + 0x4000;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, itest_pte(low), (gpa & ~PAGE_MASK) | 0x67);
	interp_tlb_flush(t.c, true);
	for (unsigned i = 0; i < 8 || (BT_OF(t.c)->stats.heated == 0 && i < 10000); i++) {
		t.c->gpr[CPU_RSP] = high;
		t.c->gpr[CPU_RAX] = 1 + i;
		t.c->gpr[CPU_RBX] = UINT64_C(1) << 40;
		t.c->gpr[CPU_RCX] = BT_HEAT_RUNS - 1;
		ITEST_CODE_IS(&t, code);
		CHECK_EQ(itest_go(&t, 1000000), CPU_EXIT_HLT);
		CHECK_EQ(itest_get64(&t, high + 8), BT_HEAT_RUNS - 1 + i);
		CHECK_EQ(itest_get64(&t, high + 16), BT_HEAT_RUNS - 1 + i);
		CHECK_EQ(itest_get64(&t, gpa), (UINT64_C(1) << 40) + BT_HEAT_RUNS - 2);
		CHECK_EQ(itest_get64(&t, gpa + 8), (UINT64_C(1) << 40) + BT_HEAT_RUNS - 2);
	}
	CHECK_EQ(BT_OF(t.c)->stats.heated, 1);
	itest_close(&t);
}

/* The offset is added to both halves, whether flags are in use or not. */
static void rdtsc_has_the_offset(void **state)
{
	static const uint8_t dead[] = { 0x0f, 0x31, 0x31, 0xdb, 0xf4 };		/* xor ebx, ebx */
	static const uint8_t live[] = { 0xf9, 0x0f, 0x31, 0x83, 0xd3, 0, 0xf4 };	/* stc; adc ebx, 0 */
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t offset = (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15), before, got;

		itest_again(&t, ITEST_64);
		t.c->tsc_offset = offset;
		t.c->gpr[CPU_RBX] = 0;
		itest_code(&t, i & 1 ? live : dead, i & 1 ? sizeof(live) : sizeof(dead));
		before = cpu_host_tsc() + offset;
		CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
		got = t.c->gpr[CPU_RDX] << 32 | t.c->gpr[CPU_RAX];
		CHECK_EQ(t.c->gpr[CPU_RAX] >> 32 | t.c->gpr[CPU_RDX] >> 32, 0);
		CHECK(got - before <= cpu_host_tsc() + offset - before);
		CHECK_EQ(t.c->gpr[CPU_RBX], i & 1);
	}
	itest_close(&t);
}

/* The page that is called leads elsewhere after INVLPG, whether it is a piece of a large one or not. */
static void invlpg_of_code(void **state)
{
	static const uint8_t twice[] = {
		0xff, 0xd3, 0x89, 0xc5,		/* call rbx; mov ebp, eax */
		0x4c, 0x89, 0x0e,		/* mov [rsi], r9 */
		0x0f, 0x01, 0x3f,		/* invlpg [rdi] */
		0xff, 0xd3, 0xf4,		/* call rbx */
	};
	static const uint8_t one[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, two[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned large = 0; large < 2; large++)
		for (unsigned i = 0; i < 3; i++) {
			uint64_t lin = large ? 6 * MIB + 0x3000 : ITEST_DATA + 0x3000;
			uint64_t other = large ? 4 * MIB + 0x3000 : ITEST_DATA + 0x4000;

			itest_again(&t, ITEST_64);
			if (large)
				itest_put64(&t, ITEST_PML4 + 0x2000 + 3 * 8, 6 * MIB | 0xe7);
			interp_tlb_flush(t.c, true);
			itest_put(&t, lin, one, sizeof(one));
			itest_put(&t, other, two, sizeof(two));
			t.c->gpr[CPU_RBX] = lin;
			t.c->gpr[CPU_RSI] = large ? ITEST_PML4 + 0x2000 + 3 * 8 : itest_pte(lin);
			t.c->gpr[CPU_R9] = large ? 4 * MIB | 0xe7 : other | 0x67;
			t.c->gpr[CPU_RDI] = large ? lin + 0x10000 : lin;
			ITEST_CODE_IS(&t, twice);
			CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
			CHECK_EQ(t.c->gpr[CPU_RBP], 1);
			CHECK_EQ(t.c->gpr[CPU_RAX], 2);
		}
	itest_close(&t);
}

#define ENTERED (ITEST_DATA + 0x3000)

static uint8_t byte_of(uint64_t gpa)
{
	return (uint8_t)(gpa * 37 + (gpa >> PAGE_SHIFT) * 11);
}

static uint64_t entered_gpa(uint64_t lin)
{
	return lin >= ENTERED && lin < ENTERED + PAGE_SIZE ? lin + 0x3000 : lin;
}

/*
 * A place that was on one page, and then begins below it and ends on it: with flags in
 * use and without, small operands and large ones, one access and a group.
 */
static void page_is_entered_from_below(void **state)
{
	static const uint8_t plain[] = { 0x48, 0x8b, 0x03, 0x01, 0xd2, 0xf4 };	/* mov rax,[rbx]; add edx,edx */
	static const uint8_t quiet[] = { 0x48, 0x8b, 0x03, 0xf4 };
	static const uint8_t wide[] = { 0x0f, 0x10, 0x03, 0x66, 0x48, 0x0f, 0x7e, 0xc0, 0xf4 };
	static const uint8_t group[] = { 0x48, 0x8b, 0x4b, 0x08, 0x48, 0x8b, 0x03, 0xf4 };
	static const struct { const uint8_t *code; size_t n; } code[] = {
		{ plain, sizeof(plain) }, { quiet, sizeof(quiet) }, { wide, sizeof(wide) },
		{ group, sizeof(group) },
	};
	static const int at[] = { 0x20, -3, 0x20, 0x21, -7, 0x40, -15, 0xff8, 0xff9, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	/* Pages that are no neighbours on the host. */
	itest_put64(&t, itest_pte(ENTERED), (ENTERED + 0x3000) | 0x67);
	for (uint64_t gpa = ENTERED - 0x1000; gpa < ENTERED + 0x4000; gpa += 8) {
		uint64_t v = 0;

		for (unsigned k = 8; k-- > 0;)
			v = v << 8 | byte_of(gpa + k);
		itest_put64(&t, gpa, v);
	}
	for (unsigned c = 0; c < ARRAY_LEN(code); c++)
		for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
			uint64_t lin = ENTERED + (uint64_t)(int64_t)at[i], want = 0;

			for (unsigned k = 8; k-- > 0;)
				want = want << 8 | byte_of(entered_gpa(lin + k));
			if (i == 0)
				itest_code(&t, code[c].code, code[c].n);
			t.c->rip = ITEST_CODE;
			t.c->halted = 0;
			t.c->gpr[CPU_RBX] = lin;
			CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
			CHECK_EQ(t.c->gpr[CPU_RAX], want);
		}
	itest_close(&t);
}

struct swapped {
	uint64_t r14, r15, sum;		/* after the loop; SUM: R14 of all rounds */
};

/*
 * CODE goes round 300 times, RCX counting down, and divides by it: each time it adds 3
 * to R14, does TIMES what stands below and stores to one of two pages by RSI; at the end
 * it adds the 11 at RBX to R14.
 */
static struct swapped swap_run(struct itest *t, const uint8_t *code, size_t n, unsigned times)
{
	struct swapped r = { .r14 = 5, .r15 = 7 };

	itest_put64(t, ITEST_DATA + 0x1000, 11);
	t->c->gpr[CPU_RAX] = 3;
	t->c->gpr[CPU_RCX] = 300;
	t->c->gpr[CPU_R14] = r.r14;
	t->c->gpr[CPU_R15] = r.r15;
	t->c->gpr[CPU_RBX] = ITEST_DATA + 0x1000;
	t->c->gpr[CPU_RSI] = ITEST_DATA + 0x1f80;
	for (unsigned i = 0; i < 300; i++) {
		r.r14 += 3;
		for (unsigned k = 0; k < times; k++) {
			r.r15 ^= r.r14;
			r.r14 += r.r15;
			r.r15 *= r.r14;
		}
		r.sum += r.r14;
	}
	itest_code(t, code, n);
	CHECK_EQ(itest_go(t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(t), X86_DE);
	CHECK_EQ(t->c->gpr[CPU_R14], r.r14 + 11);
	return r;
}

/*
 * R14 and R15 change places with registers that the block does not name: these are
 * what they were after a loop, a store that goes by its handler, and a host fault.
 */
static void registers_change_places(void **state)
{
	static const uint8_t code[] = {
		/* 1: add r14,rax; xor r15,r14; add r14,r15; imul r15,r14; movzx edx,r14b */
		/* mov [rsi+rdx],r15b; dec ecx; jnz 1b */
		/* add r14,[rbx]; mov r15,r14; add r15,r14; div ecx */
		0x49, 0x01, 0xc6, 0x4d, 0x31, 0xf7, 0x4d, 0x01, 0xfe, 0x4d, 0x0f, 0xaf,
		0xfe, 0x41, 0x0f, 0xb6, 0xd6, 0x44, 0x88, 0x3c, 0x16, 0xff, 0xc9, 0x75,
		0xe7, 0x4c, 0x03, 0x33, 0x4d, 0x89, 0xf7, 0x4d, 0x01, 0xf7, 0xf7, 0xf1,
	};
	uint64_t other[16];
	struct swapped r;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned g = CPU_RDI; g < 14; g++)
		t.c->gpr[g] = other[g] = UINT64_C(0x0123456789abcd00) + g;
	r = swap_run(&t, code, sizeof(code), 1);
	CHECK_EQ(t.c->gpr[CPU_R15], 2 * (r.r14 + 11));
	for (unsigned g = CPU_RDI; g < 14; g++)
		CHECK_EQ(t.c->gpr[g], other[g]);
	CHECK(BT_OF(t.c)->stats.faults == 1);
	itest_close(&t);
}

/* The same where every register is named: the one that gives way is used in memory. */
static void registers_change_places_with_users(void **state)
{
	static const uint8_t code[] = {
		/* 1: add r14,rax; xor r15,r14; add r14,r15; imul r15,r14; movzx edx,r14b */
		/* mov [rsi+rdx],r15b; the three in the middle twice more */
		/* lea rdi,[rdi+1], and so rbp r8 r10 r12 r13; add r9,r14; mov r11,[rbx] */
		/* dec ecx; jnz 1b; add r14,[rbx]; div ecx */
		0x49, 0x01, 0xc6, 0x4d, 0x31, 0xf7, 0x4d, 0x01, 0xfe, 0x4d, 0x0f, 0xaf,
		0xfe, 0x41, 0x0f, 0xb6, 0xd6, 0x44, 0x88, 0x3c, 0x16, 0x4d, 0x31, 0xf7,
		0x4d, 0x01, 0xfe, 0x4d, 0x0f, 0xaf, 0xfe, 0x4d, 0x31, 0xf7, 0x4d, 0x01,
		0xfe, 0x4d, 0x0f, 0xaf, 0xfe, 0x48, 0x8d, 0x7f, 0x01, 0x48, 0x8d, 0x6d,
		0x01, 0x4d, 0x8d, 0x40, 0x01, 0x4d, 0x01, 0xf1, 0x4d, 0x8d, 0x52, 0x01,
		0x4c, 0x8b, 0x1b, 0x4d, 0x8d, 0x64, 0x24, 0x01, 0x4d, 0x8d, 0x6d, 0x01,
		0xff, 0xc9, 0x75, 0xb4, 0x4c, 0x03, 0x33, 0xf7, 0xf1,
	};
	static const uint8_t counted[] = { CPU_RDI, CPU_RBP, CPU_R8, CPU_R10, CPU_R12, CPU_R13 };
	struct swapped r;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < ARRAY_LEN(counted); i++)
		t.c->gpr[counted[i]] = counted[i];
	t.c->gpr[CPU_R9] = 9;
	r = swap_run(&t, code, sizeof(code), 3);
	CHECK_EQ(t.c->gpr[CPU_R15], r.r15);
	CHECK_EQ(t.c->gpr[CPU_R9], 9 + r.sum);
	CHECK_EQ(t.c->gpr[CPU_R11], 11);
	for (unsigned i = 0; i < ARRAY_LEN(counted); i++)
		CHECK_EQ(t.c->gpr[counted[i]], counted[i] + 300);
	itest_close(&t);
}

static void host_faults(void **state)
{
	wild_rsp(state);
	registers_change_places(state);
	registers_change_places_with_users(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: the next ones run with cmocka's own handlers of signals. */
		cmocka_unit_test(host_faults),
		cmocka_unit_test(xchg_r8_after_f3),
		cmocka_unit_test(cpuid_among_r14),
		cmocka_unit_test(store_to_code_keeps_vectors),
		cmocka_unit_test(cools_down_together),
		cmocka_unit_test(kept_only_when_all_is_seen),
		cmocka_unit_test(far_from_its_base),
		cmocka_unit_test(handlers_keep_vectors),
		cmocka_unit_test(stack_after_operand),
		cmocka_unit_test(two_pages_of_the_stack),
		cmocka_unit_test(rdtsc_has_the_offset),
		cmocka_unit_test(invlpg_of_code),
		cmocka_unit_test(page_is_entered_from_below),
	};

	return cmocka_run_group_tests_name("bt", tests, NULL, NULL);
}
