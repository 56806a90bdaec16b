/*
 * string_test.c - what the translator does itself of strings: REP, bits
 */
#include "cpu/bt/bt.h"
#include "cpu/interp/itest.h"

#include "base/test.h"

#include <string.h>

static const uint8_t pattern[16] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
};

#define REP_PAGES 6u

/* What lies side by side does not in memory. */
static uint64_t rep_gpa(unsigned page)
{
	return ITEST_DATA + (page & 1 ? page : page + 7) * PAGE_SIZE;
}

/* REP from a loop: on a page, to its end, over it, none, downward where source and target meet. */
static void rep_on_pages(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0xd9,		/* 1: mov rcx, rbx */
		0x48, 0x89, 0xef,		/* mov rdi, rbp */
		0x4c, 0x89, 0xc6,		/* mov rsi, r8 */
		0xf3, 0x48, 0xab,		/* rep ... */
		0x41, 0x83, 0xe9, 1,		/* sub r9d, 1 */
		0x75, 0xee,			/* jnz 1b */
		0xf4,
	};
	static const struct { uint8_t rex, op; unsigned size; bool movs; } kinds[] = {
		{ 0x40, 0xaa, 1, false }, { 0x40, 0xab, 4, false }, { 0x48, 0xab, 8, false },
		{ 0x40, 0xa4, 1, true }, { 0x40, 0xa5, 4, true }, { 0x48, 0xa5, 8, true },
	};
	static const struct { uint64_t to, from, bytes; } runs[] = {
		{ 0x3100, 0x1100, 64 }, { 0x3100, 0x1100, 0 }, { 0x3000, 0x1000, 4096 },
		{ 0x3ff8, 0x1ff8, 8 }, { 0x3ff8, 0x1100, 16 }, { 0x3100, 0x1ff8, 16 },
		{ 0x3108, 0x3100, 256 }, { 0x3100, 0x3108, 256 }, { 0x3f00, 0x1800, 0x1400 },
		{ 0x3ff4, 0x1100, 64 }, { 0x3100, 0x1ffc, 64 }, { 0x3003, 0x0005, 0x2008 },
	};
	static uint8_t want[REP_PAGES * PAGE_SIZE], got[sizeof(want)];
	uint8_t bytes[sizeof(code)];
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned p = 0; p < REP_PAGES; p++)
		itest_put64(&t, itest_pte(ITEST_DATA + p * PAGE_SIZE), rep_gpa(p) | 0x67);
	interp_tlb_flush(t.c, true);
	memcpy(bytes, code, sizeof(code));
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
		for (unsigned r = 0; r < ARRAY_LEN(runs); r++) {
			unsigned n = (unsigned)runs[r].bytes;

			bytes[10] = kinds[k].rex;
			bytes[11] = kinds[k].op;
			for (unsigned i = 0; i < sizeof(want); i++)
				want[i] = (uint8_t)(i * 7 + i / 256);
			for (unsigned p = 0; p < REP_PAGES; p++)
				itest_put(&t, rep_gpa(p), want + p * PAGE_SIZE, PAGE_SIZE);
			for (unsigned round = 0; round < 5; round++)
				for (unsigned i = 0; i < n; i += kinds[k].size)
					if (kinds[k].movs)
						memmove(want + runs[r].to + i, want + runs[r].from + i, kinds[k].size);
					else
						memcpy(want + runs[r].to + i, pattern, kinds[k].size);
			memcpy(&t.c->gpr[CPU_RAX], pattern, 8);
			t.c->gpr[CPU_RBX] = n / kinds[k].size;
			t.c->gpr[CPU_RBP] = ITEST_DATA + runs[r].to;
			t.c->gpr[CPU_R8] = ITEST_DATA + runs[r].from;
			t.c->gpr[CPU_R9] = 5;
			itest_code(&t, bytes, sizeof(bytes));
			CHECK_EQ(itest_go(&t, 100000), CPU_EXIT_HLT);
			for (unsigned p = 0; p < REP_PAGES; p++)
				itest_get(&t, rep_gpa(p), got + p * PAGE_SIZE, PAGE_SIZE);
			CHECK_MEM(got, want, sizeof(got));
			CHECK_EQ(t.c->gpr[CPU_RCX], 0);
			CHECK_EQ(t.c->gpr[CPU_RDI], ITEST_DATA + runs[r].to + n);
			CHECK_EQ(t.c->gpr[CPU_RSI], ITEST_DATA + runs[r].from + (kinds[k].movs ? n : 0));
		}
	itest_close(&t);
}

/* Who comes after a REP finds the flags of before it, whoever ran it. */
static void rep_and_flags(void **state)
{
	static const uint16_t flags = X86_CF | X86_PF | X86_AF | X86_ZF | X86_SF | X86_OF;
	uint8_t code[] = { 0xf3, 0x48, 0xa5, 0xf4 };	/* rep movsq; hlt */
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned f = 0; f < 0x1000; f++)
		for (unsigned run = 0; run < 4 && (f & ~flags) == 0; run++) {
			itest_again(&t, ITEST_64);
			code[2] = run & 1 ? 0xa5 : 0xab;
			t.c->rflags = f | 2;
			t.c->gpr[CPU_RAX] = UINT64_C(0x8180838485868788);
			t.c->gpr[CPU_RCX] = 300;
			t.c->gpr[CPU_RSI] = ITEST_DATA + (run & 2 ? 0x14 : 0x1000);
			t.c->gpr[CPU_RDI] = ITEST_DATA + 0x4100;
			ITEST_CODE_IS(&t, code);
			CHECK_EQ(itest_go(&t, 10000), CPU_EXIT_HLT);
			CHECK_EQ(t.c->rflags & flags, f);
			CHECK_EQ(t.c->gpr[CPU_RCX], 0);
			CHECK_EQ(t.c->gpr[CPU_RAX], UINT64_C(0x8180838485868788));
		}
	itest_close(&t);
}

/* Bits of a string in memory: in its first word, behind and before it; other flags than CF stay. */
static void bits_in_memory(void **state)
{
	static const uint8_t ops[] = { 0xa3, 0xab, 0xb3, 0xbb };	/* bt, bts, btr, btc */
	static const int64_t bits[] = { 0, 31, 32, 63, 64, 100, -1, -64, 5000, -5000, 0x7f00000003 };
	uint8_t code[] = {
		0x48, 0x8b, 0x4f, 8,			/* mov rcx, [rdi+8]: a group with... */
		0xf0, 0x48, 0x0f, 0xab, 0x37,		/* (lock) bt? [rdi], rsi */
		0x48, 0x8b, 0x57, 16,			/* mov rdx, [rdi+16]: ...this one */
		0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned n = 0; n < ARRAY_LEN(ops) * ARRAY_LEN(bits) * 4; n++) {
		unsigned op = n % 4, wide = n / 4 % 2, set = n / 8 % 2;
		int64_t bit = bits[n / 16], at = wide ? bit : (int32_t)bit;
		uint64_t byte = ITEST_DATA + 0x2000 + (uint64_t)(at >> 3), was = set ? ~UINT64_C(0) : 0, is;

		itest_again(&t, ITEST_64);
		if (at > 100000)
			continue;
		code[4] = op == 0 ? 0x3e : 0xf0;
		code[5] = wide ? 0x48 : 0x40;
		code[7] = ops[op];
		t.c->gpr[CPU_RDI] = ITEST_DATA + 0x2000;
		t.c->gpr[CPU_RSI] = (uint64_t)bit;
		t.c->rflags = 2 | X86_ZF | (set ? 0 : X86_CF);
		itest_put64(&t, ITEST_DATA + 0x2008, 11);
		itest_put64(&t, ITEST_DATA + 0x2010, 22);
		itest_put64(&t, byte & ~UINT64_C(7), was);
		ITEST_CODE_IS(&t, code);
		CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
		is = was;
		if (op != 0)
			is = op == 1 || (op == 3 && !set) ? is | UINT64_C(1) << (at & 63) :
							    is & ~(UINT64_C(1) << (at & 63));
		CHECK_EQ(itest_get64(&t, byte & ~UINT64_C(7)), is);
		CHECK_EQ(t.c->rflags & (X86_CF | X86_ZF), X86_ZF | (set ? X86_CF : 0));
		CHECK_EQ(t.c->gpr[CPU_RDX], 22);
	}
	itest_close(&t);
}

/* The direction changes among instructions that follow each other. */
static void direction_changes(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0x07,				/* 1: mov [rdi], rax */
		0xb9, 3, 0, 0, 0, 0xfd, 0xf3, 0x48, 0xab,	/* mov ecx, 3; std; rep stosq */
		0xfc, 0x48, 0x83, 0xc7, 0x18,			/* cld; add rdi, 24 */
		0x83, 0xeb, 1, 0x75, 0xea, 0xf4,		/* sub ebx, 1; jnz 1b; hlt */
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = 7;
	t.c->gpr[CPU_RBX] = 4;
	t.c->gpr[CPU_RDI] = ITEST_DATA + 0x100;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RDI], ITEST_DATA + 0x100);
	CHECK_EQ(t.c->rflags & X86_DF, 0);
	for (int i = -3; i <= 1; i++)
		CHECK_EQ(itest_get64(&t, ITEST_DATA + 0x100 + (uint64_t)(i * 8)), i > -3 && i < 1 ? 7 : 0);
	itest_close(&t);
}

/* A count whose bytes wrap to few is what it is. */
static void rep_of_many(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0x07,			/* mov [rdi], rax */
		0x48, 0x89, 0xd9,			/* mov rcx, rbx */
		0x31, 0xd2, 0xf3, 0x48, 0xab, 0x31, 0xd2, 0xf4,	/* rep stosq; xor edx, edx */
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned shift = 61; shift < 64; shift++) {
		itest_again(&t, ITEST_64);
		t.c->gpr[CPU_RDI] = ITEST_DATA;
		t.c->gpr[CPU_RBX] = UINT64_C(1) << shift;
		ITEST_CODE_IS(&t, code);
		(void)itest_go(&t, 10000);
		CHECK_EQ(t.c->gpr[CPU_RCX] >> 60 != 0, 1);	/* still at it, or stopped by a fault */
	}
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rep_on_pages),
		cmocka_unit_test(rep_and_flags),
		cmocka_unit_test(bits_in_memory),
		cmocka_unit_test(direction_changes),
		cmocka_unit_test(rep_of_many),
	};

	return cmocka_run_group_tests_name("bt_string", tests, NULL, NULL);
}
