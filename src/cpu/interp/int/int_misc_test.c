/*
 * int_misc_test.c - bit strings, atomics between processors, and what only
 * 16 and 32-bit code has
 */
#include "cpu/interp/int/int_test.h"

#include <pthread.h>

static void test_bit_strings(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RBX] = ITEST_DATA + 0x1000;
	c->gpr[CPU_RCX] = -(uint64_t)0x3fff;		/* bit 1 of the byte 0x800 below */
	CHECK_EQ(STEP(&t, 0xf0, 0x48, 0x0f, 0xab, 0x0b), ITEST_HLT);	/* lock bts [rbx], rcx */
	CHECK_EQ(itest_get64(&t, ITEST_DATA + 0x800), 2);
	CHECK(!(c->rflags & X86_CF));
	CHECK_EQ(STEP(&t, 0x48, 0x0f, 0xa3, 0x0b), ITEST_HLT);		/* bt */
	CHECK(c->rflags & X86_CF);
	CHECK_EQ(STEP(&t, 0x48, 0x0f, 0xbb, 0x0b), ITEST_HLT);		/* btc */
	CHECK_EQ(itest_get64(&t, ITEST_DATA + 0x800), 0);
	/* An immediate stays inside the operand. */
	CHECK_EQ(STEP(&t, 0x0f, 0xba, 0x2b, 0x45), ITEST_HLT);		/* bts dword [rbx], 69 */
	CHECK_EQ(itest_get64(&t, ITEST_DATA + 0x1000), 1u << 5);
	/* F3 before BSF is not TZCNT here: the destination of a zero source stays. */
	c->gpr[CPU_RAX] = 99;
	c->gpr[CPU_RDX] = 0;
	CHECK_EQ(STEP(&t, 0xf3, 0x48, 0x0f, 0xbc, 0xc2), ITEST_HLT);
	CHECK_EQ(c->gpr[CPU_RAX], 99);
	CHECK(c->rflags & X86_ZF);
	itest_close(&t);
}

static void test_cmpxchg(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	c->gpr[CPU_RDI] = ITEST_DATA + 8;
	CHECK_EQ(STEP(&t, 0xf0, 0x48, 0x0f, 0xc7, 0x0f), X86_GP);	/* cmpxchg16b, misaligned */
	c->gpr[CPU_RDI] = ITEST_DATA;
	itest_put64(&t, ITEST_DATA, 1);
	itest_put64(&t, ITEST_DATA + 8, 2);
	c->gpr[CPU_RBX] = 3;
	c->gpr[CPU_RCX] = 4;
	CHECK_EQ(STEP(&t, 0xf0, 0x48, 0x0f, 0xc7, 0x0f), ITEST_HLT);
	CHECK(!(c->rflags & X86_ZF));
	CHECK_EQ(c->gpr[CPU_RAX], 1);
	CHECK_EQ(c->gpr[CPU_RDX], 2);
	CHECK_EQ(STEP(&t, 0xf0, 0x48, 0x0f, 0xc7, 0x0f), ITEST_HLT);
	CHECK(c->rflags & X86_ZF);
	CHECK_EQ(itest_get64(&t, ITEST_DATA), 3);
	CHECK_EQ(itest_get64(&t, ITEST_DATA + 8), 4);
	/* Across two pages, which no host instruction can do at once. */
	c->gpr[CPU_RDI] = ITEST_DATA + 0xffc;
	c->gpr[CPU_RAX] = 0;
	c->gpr[CPU_RCX] = UINT64_C(0x1111111122222222);
	CHECK_EQ(STEP(&t, 0xf0, 0x48, 0x0f, 0xb1, 0x0f), ITEST_HLT);
	CHECK_EQ(itest_get64(&t, ITEST_DATA + 0xffc), UINT64_C(0x1111111122222222));
	/* LOCK of a register is no instruction. */
	CHECK_EQ(STEP(&t, 0xf0, 0x01, 0xc8), X86_UD);
	itest_close(&t);
}

/* XCHG with a device: one read, one write. */
static void test_device_rmw(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_64);
	c = t.c;
	t.mmio_in = 0x55;
	c->gpr[CPU_RBX] = ITEST_MMIO + 0x10;
	c->gpr[CPU_RAX] = 0x77;
	CHECK_EQ(STEP(&t, 0x87, 0x03), ITEST_HLT);			/* xchg [rbx], eax */
	CHECK_EQ(c->gpr[CPU_RAX], 0x55);
	CHECK_EQ(t.nr_mmio, 2);
	CHECK(!t.mmio[0].write && t.mmio[1].write);
	CHECK_EQ(t.mmio[1].val, 0x77);
	CHECK_EQ(t.mmio[1].width, 4);
	itest_close(&t);
}

#define TURNS 20000u

static void *second_processor(void *arg)
{
	struct itest *t = arg;

	itest_go(t, UINT64_MAX);
	return NULL;
}

/*
 * Two processors, each: lock inc [rbx]; lock xadd [rbx+8], 3; cmpxchg loop on
 * [rbx+16], 5.  Nothing may be lost.
 */
static void test_two_processors(void **state)
{
	static const uint8_t code[] = {
		0xf0, 0x48, 0xff, 0x03,			/* l: lock inc qword [rbx] */
		0xba, 3, 0, 0, 0,			/* mov edx, 3 */
		0xf0, 0x48, 0x0f, 0xc1, 0x53, 0x08,	/* lock xadd [rbx+8], rdx */
		0x48, 0x8b, 0x43, 0x10,			/* mov rax, [rbx+16] */
		0x48, 0x8d, 0x50, 0x05,			/* m: lea rdx, [rax+5] */
		0xf0, 0x48, 0x0f, 0xb1, 0x53, 0x10,	/* lock cmpxchg [rbx+16], rdx */
		0x75, 0xf4,				/* jnz m */
		0x48, 0xff, 0xc9,			/* dec rcx */
		0x75, 0xdc,				/* jnz l */
		0xf4,
	};
	struct itest a, b;
	pthread_t th;

	(void)state;
	itest_open(&a, ITEST_64);
	itest_open_second(&b, &a);
	ITEST_CODE_IS(&a, code);
	b.c->rip = ITEST_CODE;
	a.c->gpr[CPU_RBX] = b.c->gpr[CPU_RBX] = ITEST_DATA;
	a.c->gpr[CPU_RCX] = b.c->gpr[CPU_RCX] = TURNS;
	CHECK_EQ(pthread_create(&th, NULL, second_processor, &b), 0);
	itest_go(&a, UINT64_MAX);
	pthread_join(th, NULL);
	CHECK(a.c->halted && b.c->halted);
	CHECK_EQ(itest_get64(&a, ITEST_DATA), 2 * TURNS);
	CHECK_EQ(itest_get64(&a, ITEST_DATA + 8), 2 * TURNS * 3);
	CHECK_EQ(itest_get64(&a, ITEST_DATA + 16), 2 * TURNS * 5);
	itest_close(&b);
	itest_close(&a);
}

/* Packed addition and subtraction of all two-digit numbers. */
static void test_decimal(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_32);
	c = t.c;
	for (unsigned a = 0; a < 100; a += 3) {
		for (unsigned b = 0; b < 100; b += 7) {
			unsigned sum = a + b, diff = (a + 100 - b) % 100;

			c->gpr[CPU_RAX] = a / 10 << 4 | a % 10;
			c->gpr[CPU_RBX] = b / 10 << 4 | b % 10;
			CHECK_EQ(RUN(&t, 0x00, 0xd8, 0x27), ITEST_HLT);	/* add al, bl; daa */
			CHECK_EQ(c->gpr[CPU_RAX] & 0xff, sum % 100 / 10 << 4 | sum % 10);
			CHECK_EQ(c->rflags & X86_CF, sum > 99);
			c->gpr[CPU_RAX] = a / 10 << 4 | a % 10;
			CHECK_EQ(RUN(&t, 0x28, 0xd8, 0x2f), ITEST_HLT);	/* sub al, bl; das */
			CHECK_EQ(c->gpr[CPU_RAX] & 0xff, diff / 10 << 4 | diff % 10);
			CHECK_EQ(c->rflags & X86_CF, a < b);
		}
	}
	c->gpr[CPU_RAX] = 0x0105 + 9;
	c->rflags = 2;
	CHECK_EQ(STEP(&t, 0x37), ITEST_HLT);				/* aaa: 15 + 9 */
	CHECK_EQ(c->gpr[CPU_RAX], 0x0204);
	c->rflags = 2 | X86_AF;
	c->gpr[CPU_RAX] = 0x02fc;
	CHECK_EQ(STEP(&t, 0x3f), ITEST_HLT);				/* aas */
	CHECK_EQ(c->gpr[CPU_RAX], 0x0106);
	c->gpr[CPU_RAX] = 63;
	CHECK_EQ(STEP(&t, 0xd4, 10), ITEST_HLT);			/* aam */
	CHECK_EQ(c->gpr[CPU_RAX], 0x0603);
	CHECK_EQ(STEP(&t, 0xd5, 10), ITEST_HLT);			/* aad */
	CHECK_EQ(c->gpr[CPU_RAX], 63);
	CHECK_EQ(STEP(&t, 0xd4, 0), X86_DE);
	c->rflags = 2 | X86_CF;
	CHECK_EQ(STEP(&t, 0xd6), ITEST_HLT);				/* salc */
	CHECK_EQ(c->gpr[CPU_RAX] & 0xff, 0xff);
	itest_close(&t);
}

static void test_bound(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_32);
	c = t.c;
	itest_put64(&t, ITEST_DATA, UINT64_C(0x00000005fffffffe));	/* -2 .. 5 */
	c->gpr[CPU_RBX] = ITEST_DATA;
	c->gpr[CPU_RAX] = 0xffffffff;
	CHECK_EQ(STEP(&t, 0x62, 0x03), ITEST_HLT);
	c->gpr[CPU_RAX] = 5;
	CHECK_EQ(STEP(&t, 0x62, 0x03), ITEST_HLT);
	c->gpr[CPU_RAX] = 6;
	CHECK_EQ(STEP(&t, 0x62, 0x03), X86_BR);
	c->gpr[CPU_RAX] = 0x80000000;
	CHECK_EQ(STEP(&t, 0x62, 0x03), X86_BR);
	itest_close(&t);
}

/* 16-bit addressing: BX + SI wraps at 64 KiB; BP goes by SS; XLAT, LEA. */
static void test_16_bit_addresses(void **state)
{
	struct itest t;
	struct interp *c;

	(void)state;
	itest_open(&t, ITEST_16);
	c = t.c;
	itest_put64(&t, 0x80010, 0xabcd);
	c->gpr[CPU_RBX] = 0xfff0;
	c->gpr[CPU_RSI] = 0x0020;
	CHECK_EQ(STEP(&t, 0x8b, 0x00), ITEST_HLT);			/* mov ax, [bx+si] */
	CHECK_EQ(c->gpr[CPU_RAX], 0xabcd);
	CHECK_EQ(STEP(&t, 0x8d, 0x00), ITEST_HLT);			/* lea ax, [bx+si] */
	CHECK_EQ(c->gpr[CPU_RAX], 0x0010);
	itest_put64(&t, 0x50040, 0x1234);
	c->gpr[CPU_RBP] = 0x40;
	CHECK_EQ(STEP(&t, 0x8b, 0x46, 0x00), ITEST_HLT);		/* mov ax, [bp] */
	CHECK_EQ(c->gpr[CPU_RAX], 0x1234);
	c->gpr[CPU_RBX] = 0xffff;
	c->gpr[CPU_RAX] = 0x11;
	CHECK_EQ(STEP(&t, 0xd7), ITEST_HLT);				/* xlat */
	CHECK_EQ(c->gpr[CPU_RAX], 0xcd);
	/* The last word of the segment is there, one byte further is not. */
	c->gpr[CPU_RBX] = 0xffff;
	c->gpr[CPU_RSI] = 0;
	CHECK_EQ(STEP(&t, 0x8b, 0x00), X86_GP);
	itest_close(&t);
}

static void test_undefined_opcodes(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(STEP(&t, 0x0f, 0x0b), X86_UD);
	CHECK_EQ(STEP(&t, 0x0f, 0xb9, 0xc0), X86_UD);
	CHECK_EQ(STEP(&t, 0x0f, 0xff, 0xc0), X86_UD);
	/* Not of the model: MOVBE, ANDN, RDRAND. */
	CHECK_EQ(STEP(&t, 0x0f, 0x38, 0xf0, 0x03), X86_UD);
	CHECK_EQ(STEP(&t, 0xc4, 0xe2, 0x60, 0xf2, 0xc1), X86_UD);
	CHECK_EQ(STEP(&t, 0x0f, 0xc7, 0xf0), X86_UD);
	/* Hints of later extensions are NOPs: ENDBR64, RDSSPQ, CLDEMOTE. */
	t.c->gpr[CPU_RAX] = 5;
	CHECK_EQ(RUN(&t, 0xf3, 0x0f, 0x1e, 0xfa, 0xf3, 0x48, 0x0f, 0x1e, 0xc8, 0x0f, 0x1c, 0x00,
		     0xf3, 0x90, 0x0f, 0xae, 0xf0), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 5);
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bit_strings),
		cmocka_unit_test(test_cmpxchg),
		cmocka_unit_test(test_device_rmw),
		cmocka_unit_test(test_two_processors),
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_16_bit_addresses),
		cmocka_unit_test(test_undefined_opcodes),
	};

	return cmocka_run_group_tests_name("int_misc", tests, NULL, NULL);
}
