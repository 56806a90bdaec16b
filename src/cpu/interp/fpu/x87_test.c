/*
 * x87_test.c - every x87 instruction against the host, pointers, environments
 */
#include "cpu/interp/fpu/fpu_host.h"

#define NR_TRIES 40u

/* Where the host keeps pointers or layouts we fill by hand. */
static bool by_hand(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_FNSTENV || m == ZYDIS_MNEMONIC_FNSAVE;
}

/* C1 after them: the manual says clear, some hosts leave it alone. */
static bool compares_flags(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_FCOMI || m == ZYDIS_MNEMONIC_FCOMIP ||
	       m == ZYDIS_MNEMONIC_FUCOMI || m == ZYDIS_MNEMONIC_FUCOMIP;
}

static unsigned encode(uint8_t opcode, uint8_t modrm, bool word, uint8_t *b)
{
	unsigned n = 0;

	if (word)
		b[n++] = 0x66;
	b[n++] = opcode;
	b[n++] = modrm;
	return n;
}

enum { ALL_MASKED, SOME_UNMASKED, PENDING };

static void rnd_memory(struct world *w, unsigned at)
{
	unsigned n = MEM_BYTES - at < 10 ? MEM_BYTES - at : 10;
	uint8_t b[16] = { 0 };

	switch (rnd() % 4) {
	case 0:
		rnd_extended(b);
		break;
	case 1:
		memcpy(b, &(uint64_t){ rnd_double() }, 8);
		break;
	case 2:
		memcpy(b, &(uint32_t){ rnd_single() }, 4);
		break;
	default:
		memcpy(b, &(uint64_t){ rnd() & UINT64_C(0x9999999999999999) }, 8);
		break;
	}
	if (chance(4))
		b[9] &= 0x80;		/* a packed decimal that may be valid */
	memcpy(w->mem + at, b, n);
}

/* Now and then an operand of SIZE bytes ends with the page. */
static void rnd_x87(struct world *w, int kind, unsigned size)
{
	unsigned at = chance(8) ? MEM_BYTES - size : (unsigned)(rnd() & 63);

	rnd_world(w);
	w->gpr[CPU_RDI] = (uint64_t)(uintptr_t)host.mem + at;
	rnd_memory(w, at);
	if (kind == ALL_MASKED)
		return;
	/* Only unmask what is not flagged already; or, for PENDING, what is. */
	w->fx.fcw = (uint16_t)((w->fx.fcw & ~FPU_FLAGS) | (rnd() & FPU_FLAGS));
	if (kind == SOME_UNMASKED)
		w->fx.fcw |= w->fx.fsw & FPU_FLAGS;
	else
		w->fx.fsw |= 1;
	w->fx.fcw |= FCW_ONE;
	if (kind == PENDING)
		w->fx.fcw &= 0xfffe;
	x87_summary(&w->fx);
}

static bool try_x87(uint8_t opcode, uint8_t modrm, bool word, int kind, unsigned *nr)
{
	uint8_t b[16] = { 0 };
	unsigned n = encode(opcode, modrm, word, b);
	struct world before, h, i;
	const char *diff;
	struct insn in;
	struct zin z;

	if (!host_bind(b, n, &in, &z) || by_hand(z.i.mnemonic))
		return true;
	rnd_x87(&before, kind, in.osz);
	h = i = before;
	host_native_run(&h, b, n);
	if (h.fault == X86_PAGE)
		return true;	/* an environment: there is no page table here to fault by */
	host_interp_run(&i, &in);
	(*nr)++;
	if (compares_flags(z.i.mnemonic) && h.fault == NO_FAULT) {
		CHECK(!(i.fx.fsw & FSW_C1));
		h.fx.fsw &= (uint16_t)~FSW_C1;
	}
	diff = world_differs(&h, &i);
	if (diff)
		host_print(diff, b, n, &z);
	return diff == NULL;
}

static unsigned sweep(int kind, unsigned *nr)
{
	unsigned bad = 0;

	host_reset_interp();
	for (unsigned op = 0xd8; op < 0xe0; op++) {
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			unsigned tries = modrm < 0xc0 ? NR_TRIES * 4 : NR_TRIES;
			bool same = true;

			if (modrm < 0xc0 && (modrm & 0xc7) != 7)
				continue;	/* memory: [RDI] only */
			for (unsigned t = 0; t < tries && same; t++)
				same = try_x87((uint8_t)op, (uint8_t)modrm, chance(8), kind, nr);
			bad += !same;
		}
	}
	return bad;
}

static void test_masked(void **state)
{
	unsigned nr = 0;

	(void)state;
	CHECK_EQ(sweep(ALL_MASKED, &nr), 0);
	CHECK(nr > 18000);
}

static void test_unmasked(void **state)
{
	unsigned nr = 0;

	(void)state;
	CHECK_EQ(sweep(SOME_UNMASKED, &nr), 0);
	CHECK(nr > 18000);
}

/* Waiting instructions raise #MF, the others do not look. */
static void test_pending(void **state)
{
	unsigned nr = 0;

	(void)state;
	CHECK_EQ(sweep(PENDING, &nr), 0);
	CHECK(nr > 18000);
}

static struct world run_bytes(const struct world *before, const uint8_t *b, unsigned n)
{
	struct world w = *before;
	struct insn in;
	struct zin z;

	CHECK(host_bind(b, n, &in, &z));
	host_interp_run(&w, &in);
	return w;
}

static void test_pointers(void **state)
{
	static const uint8_t fadd_m64[] = { 0xdc, 0x07 }, fld1[] = { 0xd9, 0xe8 };
	static const uint8_t fldcw[] = { 0xd9, 0x2f }, fninit[] = { 0xdb, 0xe3 };
	struct world a, b;

	(void)state;
	host_reset_interp();
	rnd_x87(&a, ALL_MASKED, 8);
	a = run_bytes(&a, fadd_m64, 2);
	CHECK_EQ(a.fx.fop, 0x407);
	CHECK_EQ(a.fx.fip, (uint64_t)(uintptr_t)host.code);
	CHECK_EQ(a.fx.fdp, a.gpr[CPU_RDI]);
	b = run_bytes(&a, fld1, 2);
	CHECK_EQ(b.fx.fop, 0x1e8);
	CHECK_EQ(b.fx.fdp, a.fx.fdp);
	b = run_bytes(&a, fldcw, 2);		/* control: no trace */
	CHECK_EQ(b.fx.fop, a.fx.fop);
	CHECK_EQ(b.fx.fip, a.fx.fip);
	b = run_bytes(&a, fninit, 2);
	CHECK_EQ(b.fx.fop, 0);
	CHECK_EQ(b.fx.fip, 0);
	CHECK_EQ(b.fx.fdp, 0);
}

/* Layouts are compared with the host's; its pointers are those it was given. */
static void env_same(const uint8_t *b, unsigned n, unsigned bytes, bool pointers)
{
	struct world before, h, i;

	rnd_x87(&before, PENDING, 8);	/* with an error every host keeps pointers */
	before.gpr[CPU_RDI] = (uint64_t)(uintptr_t)host.mem;
	before.fx.fop = 0x5a5;
	before.fx.fip = UINT64_C(0x00007f0012345678);
	before.fx.fdp = UINT64_C(0x00007e00fedcba98);
	h = before;
	host_native_run(&h, b, n);
	i = run_bytes(&before, b, n);
	CHECK_EQ(h.fault, NO_FAULT);
	CHECK_EQ(i.fault, NO_FAULT);
	if (!pointers)
		memset(h.mem + 12, 0, 16), memset(i.mem + 12, 0, 16);
	CHECK_MEM(h.mem, i.mem, bytes);
	CHECK(world_differs(&h, &i) == NULL);
}

static void test_environment(void **state)
{
	static const uint8_t fnstenv[] = { 0xd9, 0x37 }, fnstenv16[] = { 0x66, 0xd9, 0x37 };
	static const uint8_t fnsave[] = { 0xdd, 0x37 }, fnsave16[] = { 0x66, 0xdd, 0x37 };

	(void)state;
	host_reset_interp();
	for (unsigned k = 0; k < 200; k++) {
		env_same(fnstenv, 2, 28, true);
		env_same(fnstenv16, 3, 14, true);
		env_same(fnsave, 2, 108, true);
		env_same(fnsave16, 3, 94, true);
	}
}

/* Real mode: linear pointers cut in two. */
static void test_environment_real(void **state)
{
	static const uint8_t fnstenv[] = { 0xd9, 0x37 }, fnstenv16[] = { 0x66, 0xd9, 0x37 };
	static const uint8_t fldenv[] = { 0xd9, 0x27 }, fldenv16[] = { 0x66, 0xd9, 0x27 };
	struct world a, b, w;
	uint16_t v16[7];
	uint32_t v32[7];

	(void)state;
	rnd_x87(&a, ALL_MASKED, 8);
	a.gpr[CPU_RDI] = (uint64_t)(uintptr_t)host.mem;
	a.fx.fop = 0x2a5;
	a.fx.fip = 0xf1234;
	a.fx.fdp = 0xabcde;
	host_reset_interp();
	host.c->cr0 &= ~X86_CR0_PE;
	w = run_bytes(&a, fnstenv16, 3);
	memcpy(v16, w.mem, 14);
	CHECK_EQ(v16[3], 0x1234);
	CHECK_EQ(v16[4], 0xf2a5);
	CHECK_EQ(v16[5], 0xbcde);
	CHECK_EQ(v16[6], 0xa000);
	b = a;
	b.fx.fip = b.fx.fdp = b.fx.fop = 0;
	memcpy(b.mem, w.mem, 14);
	b = run_bytes(&b, fldenv16, 3);
	CHECK_EQ(b.fx.fip, a.fx.fip);
	CHECK_EQ(b.fx.fdp, a.fx.fdp);
	CHECK_EQ(b.fx.fop, a.fx.fop);

	a.fx.fip = 0x87651234;
	w = run_bytes(&a, fnstenv, 2);
	memcpy(v32, w.mem, 28);
	CHECK_EQ(v32[3], 0xffff1234);
	CHECK_EQ(v32[4], 0x087652a5);
	CHECK_EQ(v32[5], 0xffffbcde);
	CHECK_EQ(v32[6], 0x0000a000);
	b = a;
	b.fx.fip = b.fx.fop = 0;
	memcpy(b.mem, w.mem, 28);
	b = run_bytes(&b, fldenv, 2);
	CHECK_EQ(b.fx.fip, a.fx.fip);
	CHECK_EQ(b.fx.fop, a.fx.fop);
}

/* A store that stops at an unmasked error leaves memory alone. */
static void test_store_stops(void **state)
{
	static const uint8_t fstp_m32[] = { 0xd9, 0x1f };
	struct world a, w;

	(void)state;
	host_reset_interp();
	rnd_world(&a);
	a.gpr[CPU_RDI] = (uint64_t)(uintptr_t)host.mem;
	memset(a.mem, 0x5a, 16);
	a.fx.fsw = 0;
	a.fx.ftw = 0xff;
	a.fx.fcw = 0x037f & ~FL_OE;
	memset(a.fx.st[0], 0xff, 8);
	a.fx.st[0][8] = 0xfe;
	a.fx.st[0][9] = 0x7f;		/* too big for single */
	w = run_bytes(&a, fstp_m32, 2);
	CHECK_EQ(w.fault, NO_FAULT);
	CHECK(w.fx.fsw & FSW_ES);
	CHECK_MEM(w.mem, a.mem, 16);
	CHECK_EQ(w.fx.ftw, 0xff);	/* not popped */
	a.fx.fcw |= FL_OE;
	w = run_bytes(&a, fstp_m32, 2);
	CHECK(memcmp(w.mem, a.mem, 4) != 0);
	CHECK_EQ(w.fx.ftw, 0xfe);
}

static void test_fwait(void **state)
{
	static const uint8_t fwait[] = { 0x9b };
	struct world a, w;

	(void)state;
	host_reset_interp();
	rnd_x87(&a, PENDING, 8);
	w = run_bytes(&a, fwait, 1);
	CHECK_EQ(w.fault, X86_MF);
	a.fx.fcw |= FPU_FLAGS;
	x87_summary(&a.fx);
	w = run_bytes(&a, fwait, 1);
	CHECK_EQ(w.fault, NO_FAULT);
	host.c->cr0 = (host.c->cr0 | X86_CR0_TS) & ~X86_CR0_MP;
	w = run_bytes(&a, fwait, 1);
	CHECK_EQ(w.fault, NO_FAULT);
	host.c->cr0 |= X86_CR0_MP;
	w = run_bytes(&a, fwait, 1);
	CHECK_EQ(w.fault, X86_NM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masked),
		cmocka_unit_test(test_unmasked),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_environment_real),
		cmocka_unit_test(test_store_stops),
		cmocka_unit_test(test_fwait),
	};
	int r;

	host_open();
	r = cmocka_run_group_tests_name("x87", tests, NULL, NULL);
	host_close();
	return r;
}
