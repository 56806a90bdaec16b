/*
 * fpu_state_test.c - FXSAVE, XSAVE and MXCSR images against the host
 */
#include "cpu/interp/fpu/fpu_host.h"

#define HEADER 512u

static const uint8_t fxsave32[] = { 0x0f, 0xae, 0x07 }, fxsave64[] = { 0x48, 0x0f, 0xae, 0x07 };
static const uint8_t fxrstor32[] = { 0x0f, 0xae, 0x0f }, fxrstor64[] = { 0x48, 0x0f, 0xae, 0x0f };
static const uint8_t xsave32[] = { 0x0f, 0xae, 0x27 }, xsave64[] = { 0x48, 0x0f, 0xae, 0x27 };
static const uint8_t xrstor32[] = { 0x0f, 0xae, 0x2f }, xrstor64[] = { 0x48, 0x0f, 0xae, 0x2f };
static const uint8_t xsaveopt32[] = { 0x0f, 0xae, 0x37 }, xsaveopt64[] = { 0x48, 0x0f, 0xae, 0x37 };

struct form {
	const uint8_t *bytes;
	unsigned n;
};

#define FORM(b) { b, sizeof(b) }

static struct world in_interp(const struct world *before, const struct form *f)
{
	struct world w = *before;
	struct insn in;
	struct zin z;

	CHECK(host_bind(f->bytes, f->n, &in, &z));
	host_interp_run(&w, &in);
	return w;
}

/* With an error pending every host keeps the pointers, so images can be compared whole. */
static void rnd_state(struct world *w)
{
	rnd_world(w);
	w->fx.fcw &= 0xfffe;
	w->fx.fsw |= 1;
	w->fx.fop = (uint16_t)(rnd() & 0x7ff);
	w->fx.fip = rnd() & UINT64_C(0x7fffffffffff);
	w->fx.fdp = rnd() & UINT64_C(0x7fffffffffff);
	x87_summary(&w->fx);
	w->gpr[CPU_RDI] = (uint64_t)(uintptr_t)host.mem;
	w->gpr[CPU_RAX] = 3;
	w->gpr[CPU_RDX] = 0;
}

static void compare(const struct world *before, const struct form *f)
{
	struct world h = *before, i = in_interp(before, f);
	uint64_t at = before->gpr[CPU_RDI] - (uint64_t)(uintptr_t)host.mem + 28;
	const char *diff;
	uint32_t mask;

	host_native_run(&h, f->bytes, f->n);
	/* MXCSR_MASK is the model's, not the host's; a saved one says so, an untouched one is. */
	memcpy(&mask, i.mem + at, 4);
	if (h.fault == NO_FAULT && memcmp(i.mem + at, before->mem + at, 4)) {
		CHECK_EQ(mask, 0xffff);
		memcpy(i.mem + at, h.mem + at, 4);
	}
	diff = world_differs(&h, &i);
	if (diff)
		fprintf(stderr, "%02x %02x %02x: %s\n", f->bytes[0], f->bytes[1], f->bytes[2], diff);
	CHECK(diff == NULL);
	if (i.fault == NO_FAULT && (h.fx.fsw & FSW_ES)) {
		CHECK_EQ(h.fx.fop, i.fx.fop);
		CHECK_EQ(h.fx.fip, i.fx.fip);
		CHECK_EQ(h.fx.fdp, i.fx.fdp);
	}
}

static void test_save(void **state)
{
	static const struct form forms[] = {
		FORM(fxsave32), FORM(fxsave64), FORM(xsave32), FORM(xsave64), FORM(xsaveopt32),
		FORM(xsaveopt64),
	};
	struct world w;

	(void)state;
	host_reset_interp();
	for (unsigned k = 0; k < 300; k++) {
		rnd_state(&w);
		w.gpr[CPU_RAX] = rnd() & 3;
		if (chance(8))
			w.gpr[CPU_RDI] += rnd() % 64;	/* 16 and 64 are demanded */
		for (size_t f = 0; f < ARRAY_LEN(forms); f++)
			compare(&w, &forms[f]);
	}
}

static void test_restore(void **state)
{
	static const struct form forms[] = {
		FORM(fxrstor32), FORM(fxrstor64), FORM(xrstor32), FORM(xrstor64),
	};
	struct world w, image;

	(void)state;
	host_reset_interp();
	for (unsigned k = 0; k < 300; k++) {
		rnd_state(&w);
		rnd_state(&image);
		image.fx.fop |= (uint16_t)(rnd() & 0xf800);
		image.fx.fcw = (uint16_t)(rnd() & 0xfffe);
		image.fx.fsw = (uint16_t)(rnd() | 1);
		if (chance(8))
			image.fx.mxcsr |= 1u << 16;
		memcpy(w.mem, &image.fx, sizeof(image.fx));
		memset(w.mem + HEADER, 0, 64);
		w.mem[HEADER] = (uint8_t)(rnd() & 3);
		if (chance(8))
			w.mem[HEADER + 1 + rnd() % 23] ^= 0x80;	/* byte 0: more on the host */
		if (w.mem[HEADER + 15] == 0x80)
			w.mem[HEADER + 15] = 1;	/* the compacted form: the host may know it */
		w.gpr[CPU_RAX] = rnd() & 3;
		if (chance(8))
			w.gpr[CPU_RDI] += rnd() % 64 | 1;
		for (size_t f = 0; f < ARRAY_LEN(forms); f++)
			compare(&w, &forms[f]);
	}
}

static void test_mxcsr(void **state)
{
	static const uint8_t ldmxcsr[] = { 0x0f, 0xae, 0x17 }, stmxcsr[] = { 0x0f, 0xae, 0x1f };
	static const struct form ld = FORM(ldmxcsr), st = FORM(stmxcsr);
	struct world w, r;

	(void)state;
	host_reset_interp();
	for (unsigned k = 0; k < 100; k++) {
		rnd_state(&w);
		memcpy(w.mem, &(uint32_t){ (uint32_t)rnd() & (chance(2) ? 0xffff : 0x1ffff) }, 4);
		compare(&w, &ld);
		r = in_interp(&w, &st);
		CHECK_MEM(r.mem, &w.fx.mxcsr, 4);
	}
}

/* Components in their initial state: not in XSTATE_BV, and XSAVEOPT leaves their bytes. */
static void test_init_optimisation(void **state)
{
	static const struct form opt = FORM(xsaveopt64), rst = FORM(xrstor64), plain = FORM(xsave64);
	struct world w, r;

	(void)state;
	host_reset_interp();
	rnd_state(&w);
	memset(w.mem, 0, MEM_BYTES);
	r = in_interp(&w, &rst);		/* an all-zero area: initial state, but MXCSR from memory */
	CHECK_EQ(r.fault, NO_FAULT);
	CHECK_EQ(r.fx.fcw, 0x37f);
	CHECK_EQ(r.fx.fsw, 0);
	CHECK_EQ(r.fx.ftw, 0);
	CHECK_EQ(r.fx.mxcsr, 0);
	CHECK_EQ(_mm_movemask_epi8(_mm_cmpeq_epi8(r.fx.xmm[15], _mm_setzero_si128())), 0xffff);
	memset(r.mem, 0x77, MEM_BYTES);
	w = in_interp(&r, &opt);
	CHECK_EQ(w.mem[0], 0x77);
	CHECK_EQ(w.mem[160], 0x77);
	CHECK_EQ(w.mem[HEADER], 0x74);		/* bits not asked for are kept */
	CHECK_EQ(w.mem[HEADER + 8], 0x77);
	r.fx.xmm[3] = _mm_set1_epi8(1);
	w = in_interp(&r, &opt);
	CHECK_EQ(w.mem[0], 0x77);
	CHECK_EQ(w.mem[160], 0);
	CHECK_EQ(w.mem[HEADER], 0x76);
	w = in_interp(&r, &plain);
	CHECK_EQ(w.mem[0], 0x7f);		/* stored all the same */
	CHECK_EQ(w.mem[HEADER], 0x76);
}

/* Eight registers outside 64-bit mode; the others keep their bytes and values. */
static void test_legacy_mode(void **state)
{
	static const struct form save = FORM(fxsave32), rstor = FORM(fxrstor32);
	struct world w, r;

	(void)state;
	host_reset_interp();
	host.c->code64 = 0;
	host.c->code32 = 1;
	host.c->flat = 1;
	rnd_state(&w);
	memset(w.mem, 0x77, MEM_BYTES);
	r = in_interp(&w, &save);
	CHECK_EQ(r.fault, NO_FAULT);
	CHECK_MEM(r.mem + 160, w.fx.xmm, 128);
	for (unsigned k = 288; k < 512; k++)
		CHECK_EQ(r.mem[k], 0x77);
	memset(r.fx.xmm, 0x11, sizeof(r.fx.xmm));
	r = in_interp(&r, &rstor);
	CHECK_MEM(r.fx.xmm, w.fx.xmm, 128);
	CHECK_EQ(((const uint8_t *)r.fx.xmm)[128], 0x11);
}

static void test_osxsave(void **state)
{
	static const struct form forms[] = { FORM(xsave64), FORM(xrstor64), FORM(xsaveopt64) };
	struct world w;

	(void)state;
	host_reset_interp();
	host.c->cr4 &= ~X86_CR4_OSXSAVE;
	host.c->cr0 |= X86_CR0_TS;
	rnd_state(&w);
	for (size_t k = 0; k < ARRAY_LEN(forms); k++)
		CHECK_EQ(in_interp(&w, &forms[k]).fault, X86_UD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_save),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_mxcsr),
		cmocka_unit_test(test_init_optimisation),
		cmocka_unit_test(test_legacy_mode),
		cmocka_unit_test(test_osxsave),
	};
	int r;

	host_open();
	r = cmocka_run_group_tests_name("fpu-state", tests, NULL, NULL);
	host_close();
	return r;
}
