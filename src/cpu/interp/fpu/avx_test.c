/*
 * avx_test.c - what the judge cannot ask the host: switched-off AVX, other
 * modes, XSAVE's layouts, a gather that goes on, registers set from outside
 *
 * What instructions compute is the judge's business.
 */
#include "base/test.h"

#include "base/le.h"
#include "cpu/interp/fpu/avx.h"
#include "cpu/interp/itest.h"

enum { DATA = ITEST_DATA, AREA = ITEST_DATA + 0x1000, HOLE = ITEST_DATA + 0x4000 };

static void open_v3(struct itest *t, enum itest_mode mode)
{
	if (!cpu_model_host_ok(cpu_model_find("x86-64-v3")))
		skip();		/* no such instructions to run */
	itest_open_as(t, mode, &cpu_engine_interpret, "x86-64-v3");
	t->c->xcr0 = 7;
}

/* Runs one instruction from the start again: what was raised, or ITEST_HLT. */
static int step(struct itest *t, const uint8_t *code, size_t n)
{
	itest_code(t, code, n);
	return itest_step(t);
}

#define STEP(t, ...) step(t, (const uint8_t[]){ __VA_ARGS__ }, \
			  sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define VPADDB(t) STEP(t, 0xc5, 0xf1, 0xfc, 0xc2)		/* xmm0 = xmm1 + xmm2 */
#define ANDN(t) STEP(t, 0xc4, 0xe2, 0x70, 0xf2, 0xc2)		/* eax = ~ecx & edx */

static void fill(struct interp *c, unsigned r, uint8_t v)
{
	memset(&fx(c)->xmm[r], v, 16);
	memset(&ymmh(c)[r], v + 1, 16);
}

static bool is(const __m128i *v, uint8_t byte)
{
	uint8_t want[16];

	memset(want, byte, sizeof(want));
	return memcmp(v, want, sizeof(want)) == 0;
}

static void test_gates(void **state)
{
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	CHECK_EQ(VPADDB(&t), ITEST_HLT);
	t.c->cr0 |= X86_CR0_EM;			/* AVX does not care */
	CHECK_EQ(VPADDB(&t), ITEST_HLT);
	t.c->cr0 = (t.c->cr0 & ~(uint64_t)X86_CR0_EM) | X86_CR0_TS;
	CHECK_EQ(VPADDB(&t), X86_NM);
	t.c->xcr0 = 3;
	CHECK_EQ(VPADDB(&t), X86_UD);		/* before #NM */
	CHECK_EQ(ANDN(&t), ITEST_HLT);
	t.c->xcr0 = 7;
	t.c->cr4 &= ~(uint64_t)X86_CR4_OSXSAVE;
	CHECK_EQ(VPADDB(&t), X86_UD);
	CHECK_EQ(ANDN(&t), ITEST_HLT);
	itest_close(&t);
}

/* In real mode C4 and C5 with a register are LES and LDS of one: undefined. */
static void test_real_mode(void **state)
{
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_16);
	t.c->cr4 |= X86_CR4_OSXSAVE;
	CHECK_EQ(VPADDB(&t), X86_UD);
	CHECK_EQ(ANDN(&t), X86_UD);
	itest_close(&t);
}

static void test_model_2(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(VPADDB(&t), X86_UD);
	CHECK_EQ(ANDN(&t), X86_UD);
	CHECK_EQ(STEP(&t, 0x0f, 0xc7, 0xf0), X86_UD);			/* rdrand */
	t.c->gpr[CPU_RCX] = 0;
	t.c->gpr[CPU_RAX] = 7;
	CHECK_EQ(STEP(&t, 0xf3, 0x0f, 0xbc, 0xc1), ITEST_HLT);		/* not TZCNT: BSF */
	CHECK_EQ(t.c->gpr[CPU_RAX], 7);
	CHECK(t.c->rflags & X86_ZF);
	itest_close(&t);
}

static void test_upper_halves(void **state)
{
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	for (unsigned r = 0; r < 16; r++)
		fill(t.c, r, (uint8_t)(r * 3));
	CHECK_EQ(VPADDB(&t), ITEST_HLT);
	CHECK(is(&fx(t.c)->xmm[0], 9));
	CHECK(is(&ymmh(t.c)[0], 0));
	CHECK_EQ(STEP(&t, 0x66, 0x0f, 0xfc, 0xca), ITEST_HLT);		/* paddb xmm1, xmm2 */
	CHECK(is(&ymmh(t.c)[1], 4));
	CHECK_EQ(STEP(&t, 0xc5, 0xf5, 0xfc, 0xc2), ITEST_HLT);		/* 256 bits */
	CHECK(is(&ymmh(t.c)[0], 11));
	CHECK_EQ(STEP(&t, 0xc5, 0xf8, 0x77), ITEST_HLT);		/* vzeroupper */
	CHECK(is(&ymmh(t.c)[15], 0));
	CHECK(is(&fx(t.c)->xmm[15], 45));
	CHECK_EQ(STEP(&t, 0xc5, 0xfc, 0x77), ITEST_HLT);		/* vzeroall */
	CHECK(is(&fx(t.c)->xmm[15], 0));
	itest_close(&t);
}

static void test_alignment(void **state)
{
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	t.c->gpr[CPU_RDI] = DATA + 16;
	CHECK_EQ(STEP(&t, 0xc5, 0xfc, 0x28, 0x07), X86_GP);		/* vmovaps ymm0, [rdi] */
	CHECK_EQ(STEP(&t, 0xc5, 0xf8, 0x28, 0x07), ITEST_HLT);		/* of 16 bytes */
	CHECK_EQ(STEP(&t, 0xc5, 0xfd, 0xe7, 0x07), X86_GP);		/* vmovntdq [rdi], ymm0 */
	t.c->gpr[CPU_RDI] = DATA + 1;
	CHECK_EQ(STEP(&t, 0xc5, 0xfc, 0x10, 0x07), ITEST_HLT);		/* vmovups */
	CHECK_EQ(STEP(&t, 0xc5, 0xf5, 0xfc, 0x07), ITEST_HLT);		/* vpaddb from there */
	itest_close(&t);
}

/* The third of four doublewords is where no page is. */
static void test_gather_goes_on(void **state)
{
	static const uint8_t gather[] = { 0xc4, 0xe2, 0x69, 0x90, 0x04, 0x0f };
	static const uint32_t index[4] = { 0, 8, HOLE - DATA, 4 };
	uint32_t v[4], mask[4];
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	for (uint32_t i = 0; i < 4; i++)
		itest_put(&t, DATA + 4 * i, &(uint32_t){ 100 + i }, 4);
	itest_put(&t, HOLE, &(uint32_t){ 200 }, 4);
	itest_put64(&t, itest_pte(HOLE), 0);
	interp_tlb_flush(t.c, true);
	t.c->gpr[CPU_RDI] = DATA;
	/* vpgatherdd xmm0, [rdi + xmm1], xmm2 */
	memcpy(&fx(t.c)->xmm[1], index, sizeof(index));
	fill(t.c, 0, 7);
	fill(t.c, 2, 0xff);
	CHECK_EQ(step(&t, gather, sizeof(gather)), X86_PAGE);
	CHECK_EQ(t.c->cr2, HOLE);
	memcpy(v, &fx(t.c)->xmm[0], sizeof(v));
	memcpy(mask, &fx(t.c)->xmm[2], sizeof(mask));
	CHECK_EQ(v[0], 100);
	CHECK_EQ(v[1], 102);
	CHECK_EQ(v[2], 0x07070707);
	CHECK_EQ(mask[0] | mask[1], 0);
	CHECK_EQ(mask[2] & mask[3], UINT32_MAX);
	itest_put64(&t, itest_pte(HOLE), HOLE | X86_PTE_P | X86_PTE_W | X86_PTE_U);
	itest_put(&t, DATA, &(uint32_t){ 999 }, 4);			/* not read again */
	CHECK_EQ(step(&t, gather, sizeof(gather)), ITEST_HLT);
	memcpy(v, &fx(t.c)->xmm[0], sizeof(v));
	CHECK_EQ(v[0], 100);
	CHECK_EQ(v[2], 200);
	CHECK_EQ(v[3], 101);
	CHECK(is(&fx(t.c)->xmm[2], 0) && is(&ymmh(t.c)[2], 0) && is(&ymmh(t.c)[0], 0));
	itest_close(&t);
}

/* vmaskmovps [rdi], ymm1, ymm2: what the mask leaves out may lie where nothing is. */
static void test_maskmov(void **state)
{
	static const uint8_t store[] = { 0xc4, 0xe2, 0x75, 0x2e, 0x17 };
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	itest_put64(&t, itest_pte(HOLE), 0);
	interp_tlb_flush(t.c, true);
	t.c->gpr[CPU_RDI] = HOLE - 16;
	fill(t.c, 1, 0xff);						/* upper half: 0 */
	fill(t.c, 2, 0x33);
	CHECK_EQ(step(&t, store, sizeof(store)), ITEST_HLT);
	CHECK_EQ(itest_get64(&t, HOLE - 8), UINT64_C(0x3333333333333333));
	fill(t.c, 1, 0xf0);
	fill(t.c, 2, 0x44);
	CHECK_EQ(step(&t, store, sizeof(store)), X86_PAGE);
	CHECK_EQ(itest_get64(&t, HOLE - 8), UINT64_C(0x3333333333333333));
	itest_close(&t);
}

/* ---- XSAVE ------------------------------------------------------------------------------ */

#define XSAVE(t) STEP(t, 0x48, 0x0f, 0xae, 0x27)
#define XSAVEC(t) STEP(t, 0x48, 0x0f, 0xc7, 0x27)
#define XRSTOR(t) STEP(t, 0x48, 0x0f, 0xae, 0x2f)

static void want(struct itest *t, uint64_t components)
{
	t->c->gpr[CPU_RDI] = AREA;
	t->c->gpr[CPU_RAX] = components;
	t->c->gpr[CPU_RDX] = 0;
}

static void test_xsave(void **state)
{
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	STEP(&t, 0xdb, 0xe3);						/* fninit */
	fill(t.c, 15, 0x50);
	want(&t, 7);
	CHECK_EQ(XSAVE(&t), ITEST_HLT);
	CHECK_EQ(itest_get64(&t, AREA + 512), 6);
	CHECK_EQ(itest_get64(&t, AREA + 520), 0);
	CHECK_EQ(itest_get64(&t, AREA + 576 + 15 * 16), UINT64_C(0x5151515151515151));
	fill(t.c, 15, 1);
	itest_put64(&t, AREA + 512, 2);					/* AVX: initial */
	CHECK_EQ(XRSTOR(&t), ITEST_HLT);
	CHECK(is(&fx(t.c)->xmm[15], 0x50));
	CHECK(is(&ymmh(t.c)[15], 0));
	fill(t.c, 15, 0x70);
	want(&t, 2);							/* AVX is not asked for */
	CHECK_EQ(XRSTOR(&t), ITEST_HLT);
	CHECK(is(&ymmh(t.c)[15], 0x71));
	itest_put64(&t, AREA + 512, 8);					/* no such component */
	CHECK_EQ(XRSTOR(&t), X86_GP);
	t.c->xcr0 = 3;
	itest_put64(&t, AREA + 512, 4);
	CHECK_EQ(XRSTOR(&t), X86_GP);
	itest_close(&t);
}

static void test_xsavec(void **state)
{
	const uint64_t compacted = UINT64_C(1) << 63;
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	STEP(&t, 0xdb, 0xe3);
	memset(fx(t.c)->xmm, 0, 256);
	fill(t.c, 3, 0x60);
	memset(&fx(t.c)->xmm[3], 0, 16);
	want(&t, 6);
	itest_put64(&t, AREA + 512, 1);
	CHECK_EQ(XSAVEC(&t), ITEST_HLT);
	CHECK_EQ(itest_get64(&t, AREA + 512), 4);		/* SSE is initial */
	CHECK_EQ(itest_get64(&t, AREA + 520), compacted | 6);
	CHECK_EQ(itest_get64(&t, AREA + 576 + 3 * 16), UINT64_C(0x6161616161616161));
	fx(t.c)->mxcsr = 0x1fa0;					/* now it is not */
	CHECK_EQ(XSAVEC(&t), ITEST_HLT);
	CHECK_EQ(itest_get64(&t, AREA + 512), 6);
	CHECK_EQ(itest_get64(&t, AREA + 24) & 0xffff, 0x1fa0);
	itest_put64(&t, AREA + 512, 4);
	CHECK_EQ(XRSTOR(&t), ITEST_HLT);
	CHECK_EQ(fx(t.c)->mxcsr, 0x1f80);
	CHECK(is(&ymmh(t.c)[3], 0x61));
	itest_put64(&t, AREA + 512, 1);				/* not in the compacted form */
	CHECK_EQ(XRSTOR(&t), X86_GP);
	itest_put64(&t, AREA + 512, 0);
	itest_put64(&t, AREA + 528, 1);					/* reserved */
	CHECK_EQ(XRSTOR(&t), X86_GP);
	itest_put64(&t, AREA + 528, 0);
	itest_put64(&t, AREA + 520, compacted | 14);
	CHECK_EQ(XRSTOR(&t), X86_GP);
	itest_close(&t);
}

static void test_xgetbv(void **state)
{
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	t.c->gpr[CPU_RCX] = 1;
	CHECK_EQ(STEP(&t, 0x0f, 0x01, 0xd0), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 7);
	t.c->gpr[CPU_RCX] = 2;
	CHECK_EQ(STEP(&t, 0x0f, 0x01, 0xd0), X86_GP);
	itest_close(&t);
}

/* What XSTATE_BV leaves out is initial; what comes back says that all is there. */
static void test_set_regs(void **state)
{
	struct cpu_regs *r;
	struct itest t;
	struct err err;

	(void)state;
	open_v3(&t, ITEST_64);
	r = new0(struct cpu_regs);
	CHECK(r != NULL);
	cpu_engine_interpret.get_regs(t.cpu, r);
	CHECK_EQ(ld64(r->xsave + 512), 7);
	memset(r->xsave, 0x11, 512);
	memset(r->xsave + 576, 0x11, 256);
	st64(r->xsave + 512, 0);
	CHECK_EQ(cpu_engine_interpret.set_regs(t.cpu, r, &err), 0);
	CHECK_EQ(fx(t.c)->fcw, 0x37f);
	CHECK_EQ(fx(t.c)->mxcsr, 0x1f80);
	CHECK(is(&fx(t.c)->xmm[0], 0) && is(&ymmh(t.c)[0], 0));
	st64(r->xsave + 512, 4);
	CHECK_EQ(cpu_engine_interpret.set_regs(t.cpu, r, &err), 0);
	CHECK(is(&fx(t.c)->xmm[0], 0) && is(&ymmh(t.c)[0], 0x11));
	cpu_engine_interpret.get_regs(t.cpu, r);
	CHECK_EQ(ld64(r->xsave + 512), 7);
	itest_close(&t);
	free(r);
}

static void test_random(void **state)
{
	uint64_t seen[2];
	struct itest t;

	(void)state;
	open_v3(&t, ITEST_64);
	for (unsigned k = 0; k < 2; k++) {
		t.c->rflags |= X86_ARITH;
		CHECK_EQ(k ? STEP(&t, 0x48, 0x0f, 0xc7, 0xf8) : STEP(&t, 0x48, 0x0f, 0xc7, 0xf0),
			 ITEST_HLT);
		CHECK_EQ(t.c->rflags & X86_ARITH, X86_CF);
		seen[k] = t.c->gpr[CPU_RAX];
	}
	CHECK(seen[0] != seen[1]);
	t.c->gpr[CPU_RAX] = UINT64_C(0x1111111111110000);
	CHECK_EQ(STEP(&t, 0x66, 0x0f, 0xc7, 0xf0), ITEST_HLT);		/* rdrand ax */
	CHECK_EQ(t.c->gpr[CPU_RAX] >> 16, UINT64_C(0x111111111111));
	t.c->tsc_aux = 5;
	CHECK_EQ(STEP(&t, 0xf3, 0x0f, 0xc7, 0xf8), ITEST_HLT);		/* rdpid rax */
	CHECK_EQ(t.c->gpr[CPU_RAX], 5);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gates),
		cmocka_unit_test(test_real_mode),
		cmocka_unit_test(test_model_2),
		cmocka_unit_test(test_upper_halves),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_gather_goes_on),
		cmocka_unit_test(test_maskmov),
		cmocka_unit_test(test_xsave),
		cmocka_unit_test(test_xsavec),
		cmocka_unit_test(test_xgetbv),
		cmocka_unit_test(test_set_regs),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("avx", tests, NULL, NULL);
}
