/*
 * fpu_mem_test.c - operands in guest memory: faults, pages, segments, modes
 */
#include "base/test.h"

#include "cpu/interp/fpu/fpu.h"
#include "cpu/interp/itest.h"

#define PAGE1 (ITEST_DATA + 0x1000u)	/* the second page of our data */

/* Instructions on [RDI], or on [EDI], [DI]. */
static const uint8_t movups_store[] = { 0x0f, 0x11, 0x07 }, movups_load[] = { 0x0f, 0x10, 0x07 };
static const uint8_t movaps_load[] = { 0x0f, 0x28, 0x07 }, movaps_store[] = { 0x0f, 0x29, 0x07 };
static const uint8_t addps_m[] = { 0x0f, 0x58, 0x07 }, fxsave64[] = { 0x48, 0x0f, 0xae, 0x07 };
static const uint8_t xsave64[] = { 0x48, 0x0f, 0xae, 0x27 }, fnsave[] = { 0xdd, 0x37 };
static const uint8_t fstp_m80[] = { 0xdb, 0x3f }, fld_m80[] = { 0xdb, 0x2f };
static const uint8_t movq_mm[] = { 0x0f, 0x7f, 0x07 };

/* A register file that shows any change. */
static void some_state(struct interp *c)
{
	struct fxsave *f = fx(c);

	f->fcw = 0x37f;
	f->fsw = 3 << FSW_TOP_SHIFT;
	f->ftw = 0xff;
	f->fop = 0x123;
	f->fip = 0x456;
	f->fdp = 0x789;
	f->mxcsr = MXCSR_DEFAULT;
	for (unsigned k = 0; k < 8; k++) {
		memset(f->st[k], (int)(0x80 + k), 10);
		memset(f->st[k] + 8, 0x3f, 2);
	}
	for (unsigned k = 0; k < 16; k++)
		f->xmm[k] = _mm_set1_epi8((char)(0x10 + k));
	c->cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
	c->xcr0 = 3;
	c->gpr[CPU_RAX] = 3;
	c->gpr[CPU_RDX] = 0;
	c->cr0 |= X86_CR0_WP;
	interp_mode_changed(c);
}

static void set_pte(struct itest *t, uint64_t lin, uint64_t flags)
{
	itest_put64(t, itest_pte(lin), lin | flags);
	interp_tlb_flush(t->c, true);
}

struct row {
	const uint8_t *code;
	unsigned n, size, align;
};

#define ROW(code, size, align) { code, sizeof(code), size, align }

/* Half of the operand on a page that refuses: #PF there, and nothing changed. */
static void crosses(struct itest *t, const struct row *r, uint64_t pte)
{
	uint64_t at = PAGE1 - align_up(r->size / 2, r->align ? r->align : 1);
	uint8_t before[1024], after[1024];
	struct fxsave f;

	itest_again(t, ITEST_64);
	some_state(t->c);
	for (unsigned k = 0; k < sizeof(before); k++)
		before[k] = (uint8_t)(k ^ 0xa5);
	itest_put(t, PAGE1 - 512, before, sizeof(before));
	set_pte(t, PAGE1, pte);
	t->c->gpr[CPU_RDI] = at;
	f = *fx(t->c);
	itest_code(t, r->code, r->n);
	CHECK_EQ(itest_run(t, 1), X86_PAGE);
	CHECK_EQ(t->c->cr2, PAGE1);
	CHECK_MEM(&f, fx(t->c), sizeof(f));
	itest_get(t, PAGE1 - 512, after, sizeof(after));
	CHECK_MEM(before, after, sizeof(before));
	set_pte(t, PAGE1, X86_PTE_P | X86_PTE_W | X86_PTE_U);
	CHECK_EQ(itest_run(t, 1), ITEST_LONG);
}

static void test_crossing(void **state)
{
	static const struct row stores[] = {
		ROW(movups_store, 16, 0), ROW(fxsave64, 512, 16), ROW(xsave64, 576, 64),
		ROW(fnsave, 108, 0), ROW(fstp_m80, 10, 0), ROW(movq_mm, 8, 0),
	};
	static const struct row loads[] = { ROW(movups_load, 16, 0), ROW(fld_m80, 10, 0) };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (size_t k = 0; k < ARRAY_LEN(stores); k++) {
		crosses(&t, &stores[k], 0);
		crosses(&t, &stores[k], X86_PTE_P | X86_PTE_U);	/* read-only */
	}
	for (size_t k = 0; k < ARRAY_LEN(loads); k++)
		crosses(&t, &loads[k], 0);
	itest_close(&t);
}

/* Misaligned counts before not present; and it is the linear address that counts. */
static void test_alignment(void **state)
{
	static const struct row rows[] = {
		ROW(movaps_load, 16, 16), ROW(movaps_store, 16, 16), ROW(addps_m, 16, 16),
		ROW(fxsave64, 512, 16), ROW(xsave64, 576, 64),
	};
	static const uint8_t movaps_fs[] = { 0x64, 0x0f, 0x28, 0x07 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		some_state(t.c);
		set_pte(&t, PAGE1, 0);
		t.c->gpr[CPU_RDI] = PAGE1 + 8;
		itest_code(&t, rows[k].code, rows[k].n);
		CHECK_EQ(itest_run(&t, 1), X86_GP);
		CHECK_EQ(t.c->exc_code, 0);
	}
	set_pte(&t, PAGE1, X86_PTE_P | X86_PTE_W | X86_PTE_U);
	t.c->seg[CPU_FS].base = 8;
	ITEST_CODE_IS(&t, movaps_fs);
	t.c->gpr[CPU_RDI] = PAGE1;
	CHECK_EQ(itest_run(&t, 1), X86_GP);
	t.c->gpr[CPU_RDI] = PAGE1 + 8;
	CHECK_EQ(itest_run(&t, 1), ITEST_LONG);
	itest_close(&t);
}

/* Only the bytes from the first to the last selected one need a page. */
static void test_maskmov(void **state)
{
	static const uint8_t maskmovdqu[] = { 0x66, 0x0f, 0xf7, 0xca };	/* xmm1 by xmm2 */
	struct itest t;
	uint8_t b[16];

	(void)state;
	itest_open(&t, ITEST_64);
	some_state(t.c);
	set_pte(&t, PAGE1, 0);
	itest_put64(&t, PAGE1 - 8, 0);
	t.c->gpr[CPU_RDI] = PAGE1 - 8;
	fx(t.c)->xmm[2] = _mm_set_epi64x(0x7f7f7f7f7f7f7f7f, (long long)0x8000008000000080);
	ITEST_CODE_IS(&t, maskmovdqu);
	CHECK_EQ(itest_run(&t, 1), ITEST_LONG);
	itest_get(&t, PAGE1 - 8, b, 8);
	CHECK_MEM(b, ((uint8_t[]){ 0x11, 0, 0, 0, 0x11, 0, 0, 0x11 }), 8);
	fx(t.c)->xmm[2] = _mm_set_epi64x(0x80, 0x80);
	itest_put64(&t, PAGE1 - 8, 0);
	ITEST_CODE_IS(&t, maskmovdqu);
	CHECK_EQ(itest_run(&t, 1), X86_PAGE);
	CHECK_EQ(itest_get64(&t, PAGE1 - 8), 0);
	itest_close(&t);
}

/* A device register must be read once, however the x87 gets on with the value. */
static void test_mmio(void **state)
{
	static const uint8_t fadd_m32[] = { 0xd8, 0x07 }, fild_m64[] = { 0xdf, 0x2f };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	some_state(t.c);
	t.c->gpr[CPU_RDI] = ITEST_MMIO;
	t.mmio_in = 0x3eaaaaab;
	ITEST_CODE_IS(&t, fadd_m32);		/* inexact: the quick way gives up */
	CHECK_EQ(itest_run(&t, 1), ITEST_LONG);
	CHECK_EQ(t.nr_mmio, 1);
	CHECK_EQ(t.mmio[0].width, 4);
	CHECK(fx(t.c)->fsw & FL_PE);
	ITEST_CODE_IS(&t, fild_m64);		/* overflow of the stack */
	CHECK_EQ(itest_run(&t, 1), ITEST_LONG);
	CHECK_EQ(t.nr_mmio, 2);
	CHECK_EQ(fx(t.c)->fsw & 0x41, 0x41);
	itest_close(&t);
}

/* Real mode: the environment's pointers are linear, 20 bits of them in 16-bit form. */
static void test_real_mode(void **state)
{
	static const uint8_t code[] = { 0xd8, 0x05, 0xd9, 0x35 };	/* fadd m32 [di]; fnstenv [di] */
	uint16_t env[7];
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	some_state(t.c);
	t.c->gpr[CPU_RDI] = 0x40;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_run(&t, 2), ITEST_LONG);
	itest_get(&t, ITEST_DATA + 0x40, env, sizeof(env));
	CHECK_EQ(env[0], 0x37f);
	CHECK_EQ(env[3], ITEST_CODE & 0xffff);
	CHECK_EQ(env[4], (ITEST_CODE >> 16) << 12 | 0x005);
	CHECK_EQ(env[5], (ITEST_DATA + 0x40) & 0xffff);
	CHECK_EQ(env[6], (ITEST_DATA + 0x40) >> 16 << 12);
	itest_close(&t);
}

/* Protected mode, 32 bits: FNSTENV's layout, eight registers of FXSAVE, MMX by number. */
static void test_protected_32(void **state)
{
	static const uint8_t code[] = {
		0xd9, 0xe8,			/* fld1 */
		0xd9, 0x37,			/* fnstenv [edi] */
		0x0f, 0x6e, 0xf8,		/* movd mm7, eax */
		0x0f, 0xae, 0x47, 0x40,		/* fxsave [edi+64] */
	};
	uint8_t image[512];
	uint32_t env[7];
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	some_state(t.c);
	fx(t.c)->ftw = 0;
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	t.c->gpr[CPU_RAX] = 0x12345678;
	memset(image, 0x77, sizeof(image));
	itest_put(&t, ITEST_DATA + 64, image, sizeof(image));
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_run(&t, 4), ITEST_LONG);
	itest_get(&t, ITEST_DATA, env, sizeof(env));
	CHECK_EQ(env[1], 0xffff0000u | 2 << FSW_TOP_SHIFT);
	CHECK_EQ(env[2], 0xffffffcfu);		/* register 2 valid */
	CHECK_EQ(env[3], ITEST_CODE);
	CHECK_EQ(env[4], 0x1e8u << 16);
	itest_get(&t, ITEST_DATA + 64, image, sizeof(image));
	CHECK_EQ(image[4], 0xff);
	CHECK_MEM(image + 32 + 7 * 16, "\x78\x56\x34\x12\0\0\0\0\xff\xff", 10);
	CHECK_EQ(image[160 + 7 * 16], 0x17);
	CHECK_EQ(image[160 + 8 * 16], 0x77);
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_maskmov),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_real_mode),
		cmocka_unit_test(test_protected_32),
	};

	return cmocka_run_group_tests_name("fpu-mem", tests, NULL, NULL);
}
