/*
 * sys_chaos_test.c - random descriptors, gates, task states and selectors
 *
 * What no test thinks of: system instructions in every mode while the tables
 * they read are noise that looks like descriptors.  Nothing may hang or abort,
 * and after every program the registers must be such as a processor can hold,
 * with nothing stale among what is derived from them.
 */
#include "cpu/interp/sys/sys_test.h"

#define PROGRAMS 1500u
#define STEPS 60u

static uint64_t seed;

static uint64_t rnd(void)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
	return (unsigned)(rnd() % n);
}

static uint16_t rnd_sel(void)
{
	unsigned r = below(16);

	if (r == 0)
		return (uint16_t)rnd();
	if (r == 1)
		return (uint16_t)below(4);
	return (uint16_t)(below(0x20) << 3 | (below(6) == 0 ? 4 : 0) | (below(2) ? 0 : below(4)));
}

/* Bases and offsets that mostly lead somewhere. */
static uint32_t rnd_addr(void)
{
	static const uint32_t at[] = { 0, ITEST_CODE, ITEST_DATA, ITEST_TSS, ITEST_STACK - 64,
				       ITEST_GDT, 0xfffffff0, ITEST_RAM - 4 };

	return below(8) ? at[below(ARRAY_LEN(at))] : (uint32_t)rnd();
}

static uint64_t rnd_desc(void)
{
	unsigned dpl = below(4) ? (below(2) ? 0 : 3) : below(4);
	unsigned access = (below(8) ? 0x80 : 0) | dpl << 5 | below(32);
	uint32_t limit = below(3) ? 0xfffff : below(0x200);

	if (below(4) == 0)
		return mk_gate(rnd_sel(), rnd_addr(), (access & 0xe0) | below(16), below(32));
	return mk_desc(below(2) ? 0 : rnd_addr(), limit, access, below(16));
}

static void noise(struct itest *t)
{
	for (unsigned sel = ITEST_GDT_FREE; sel < 0x100; sel += 8)
		put_desc(t, (uint16_t)sel, rnd_desc());
	for (unsigned i = 0; i < 32; i++)
		itest_put64(t, 0x26000 + i * 8, rnd_desc());
	for (unsigned i = 0; i < 40; i++)
		if (below(3) == 0)
			itest_put64(t, ITEST_IDT + i * 8, below(2) ? rnd_desc() :
				    mk_gate(rnd_sel(), rnd_addr(), 0x80 | below(0x80), below(8)));
	for (unsigned i = 0; i < 104; i += 4)
		put32(t, 0x27000 + i, below(2) ? rnd_addr() : rnd_sel());
	for (unsigned i = 0; i < 256; i += 8)
		itest_put64(t, ITEST_DATA + i, rnd_addr() | (uint64_t)rnd_sel() << below(48));
	for (unsigned i = 0; i < 128; i += 4)
		put32(t, ITEST_STACK - 64 + i, below(2) ? rnd_addr() : rnd_sel());
}

static void rnd_seg(struct itest *t, enum cpu_sreg s, unsigned cpl)
{
	if (below(4) == 0)
		seg_set_null(t->c, s, (uint16_t)cpl);
	else if (below(3) == 0)
		t->c->seg[s] = (struct cpu_seg){ rnd_sel(), 0x90 | 3 << 5 | below(4), below(2) ?
						 UINT32_MAX : 0xffff, rnd_addr() };
}

static void rnd_regs(struct itest *t)
{
	struct interp *c = t->c;

	for (unsigned i = 0; i < 16; i++)
		if (i != CPU_RSP)
			c->gpr[i] = below(2) ? rnd_sel() : rnd_addr();
	if (below(2))
		c->seg[CPU_LDTR] = (struct cpu_seg){ ITEST_GDT_FREE, 0x82, 0xff, 0x26000 };
	else
		seg_set_null(c, CPU_LDTR, 0);
	if (below(2))
		c->seg[CPU_TR] = (struct cpu_seg){ ITEST_TR, below(4) ? 0x8b : 0x83,
						   below(4) ? 0x67 : below(0x70), 0x27000 };
	if (interp_protected(c) && !interp_v86(c))
		for (unsigned s = CPU_ES; s <= CPU_GS; s++)
			if (s != CPU_CS && s != CPU_SS)
				rnd_seg(t, s, c->cpl);
	c->rflags |= (rnd() & (X86_ARITH | X86_IF | X86_DF | X86_NT | X86_AC | X86_ID)) |
		     (below(4) ? 0 : X86_IOPL) | (below(8) ? 0 : X86_TF);
	c->efer |= below(2) ? X86_EFER_SCE : 0;
	c->cr4 |= rnd() & (X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_DE | X86_CR4_TSD);
	c->star = rnd();
	c->sysenter_cs = rnd_sel();
	c->lstar = c->sysenter_eip = rnd_addr();
	interp_mode_changed(c);
}

static void start(struct itest *t)
{
	unsigned mode = below(6);

	itest_again(t, mode < 2 ? ITEST_64 : mode < 5 ? ITEST_32 : ITEST_16);
	noise(t);
	if (mode == 1)
		itest_user(t);
	else if (mode == 3)
		user32(t);
	else if (mode == 4)
		v86(t, below(4));
	rnd_regs(t);
}

/* ---- programs -------------------------------------------------------------------------------------- */

struct form {
	uint8_t b[4];
	uint8_t n;
	enum { NOTHING, MODRM, MODRM_REG, IMM8, FAR, IMM16 } more;
	uint8_t reg;			/* ModRM.reg + 1; 0 = any */
};

static const struct form forms[] = {
	{ { 0xff }, 1, MODRM, 6 }, { { 0xff }, 1, MODRM, 4 }, { { 0xea }, 1, FAR, 0 },
	{ { 0x9a }, 1, FAR, 0 }, { { 0xcb }, 1, NOTHING, 0 }, { { 0xca }, 1, IMM16, 0 },
	{ { 0xcf }, 1, NOTHING, 0 }, { { 0x48, 0xcf }, 2, NOTHING, 0 },
	{ { 0x48, 0xcb }, 2, NOTHING, 0 }, { { 0xcd }, 1, IMM8, 0 }, { { 0xcc }, 1, NOTHING, 0 },
	{ { 0xf1 }, 1, NOTHING, 0 }, { { 0xce }, 1, NOTHING, 0 }, { { 0x8e }, 1, MODRM, 0 },
	{ { 0x8c }, 1, MODRM, 0 }, { { 0x1f }, 1, NOTHING, 0 }, { { 0x17 }, 1, NOTHING, 0 },
	{ { 0x16 }, 1, NOTHING, 0 }, { { 0x0f, 0xa1 }, 2, NOTHING, 0 },
	{ { 0x0f, 0xb2 }, 2, MODRM, 0 }, { { 0x0f, 0xb4 }, 2, MODRM, 0 },
	{ { 0x0f, 0x00 }, 2, MODRM, 0 }, { { 0x0f, 0x01 }, 2, MODRM, 0 },
	{ { 0x0f, 0x02 }, 2, MODRM, 0 }, { { 0x0f, 0x03 }, 2, MODRM, 0 },
	{ { 0x0f, 0x20 }, 2, MODRM_REG, 0 }, { { 0x0f, 0x22 }, 2, MODRM_REG, 0 },
	{ { 0x0f, 0x21 }, 2, MODRM_REG, 0 }, { { 0x0f, 0x23 }, 2, MODRM_REG, 0 },
	{ { 0x0f, 0x05 }, 2, NOTHING, 0 }, { { 0x0f, 0x07 }, 2, NOTHING, 0 },
	{ { 0x48, 0x0f, 0x07 }, 3, NOTHING, 0 }, { { 0x0f, 0x34 }, 2, NOTHING, 0 },
	{ { 0x0f, 0x35 }, 2, NOTHING, 0 }, { { 0x0f, 0x30 }, 2, NOTHING, 0 },
	{ { 0x0f, 0x32 }, 2, NOTHING, 0 }, { { 0x0f, 0xa2 }, 2, NOTHING, 0 },
	{ { 0x9c }, 1, NOTHING, 0 }, { { 0x9d }, 1, NOTHING, 0 }, { { 0xfa }, 1, NOTHING, 0 },
	{ { 0xfb }, 1, NOTHING, 0 }, { { 0xec }, 1, NOTHING, 0 }, { { 0xef }, 1, NOTHING, 0 },
	{ { 0xf3, 0x6d }, 2, NOTHING, 0 }, { { 0xf3, 0x6e }, 2, NOTHING, 0 },
	{ { 0x63 }, 1, MODRM, 0 }, { { 0x58 }, 1, NOTHING, 0 }, { { 0x50 }, 1, NOTHING, 0 },
};

/* mov eax/ecx, a number that the next instruction may like */
static unsigned put_number(uint8_t *p)
{
	static const uint32_t likely_numbers[] = {
		0, 1, 3, 0x20, 0x100, 0x500, 0x80000011, 0x60000010, 0x11, 0x10, X86_MSR_EFER,
		X86_MSR_STAR, X86_MSR_PAT, X86_MSR_FS_BASE, X86_MSR_SYSENTER_CS, ITEST_PML4, 0x3b,
	};
	uint32_t v = below(3) ? likely_numbers[below(ARRAY_LEN(likely_numbers))] : rnd_sel();

	p[0] = below(2) ? 0xb8 : 0xb9;
	st32(p + 1, v);
	return 5;
}

static unsigned put_form(uint8_t *p)
{
	const struct form *f = &forms[below(ARRAY_LEN(forms))];
	unsigned n = 0;

	if (below(6) == 0)
		p[n++] = 0x66;
	memcpy(p + n, f->b, f->n);
	n += f->n;
	switch (f->more) {
	case MODRM:
	case MODRM_REG: {
		unsigned mod = f->more == MODRM_REG || below(2) ? 3 : 0;
		unsigned reg = f->reg ? f->reg - 1u : below(8), rm = below(8);

		p[n++] = (uint8_t)(mod << 6 | reg << 3 | rm);
		st32(p + n, rnd_addr());	/* SIB, displacement, or more code */
		n += mod == 0 && (rm == 4 || rm == 5) ? 4 : 0;
		break;
	}
	case IMM8:
		p[n++] = (uint8_t)below(64);
		break;
	case IMM16:
		st16(p + n, (uint16_t)below(64));
		n += 2;
		break;
	case FAR:
		st32(p + n, rnd_addr());
		st16(p + n + 4, rnd_sel());
		n += 6;
		break;
	default:
		break;
	}
	return n;
}

static void put_program(struct itest *t)
{
	uint8_t code[160];
	unsigned n = 0;

	while (n < 128)
		n += below(4) ? put_form(code + n) : put_number(code + n);
	itest_code(t, code, n);
	if (interp_v86(t->c))
		t->c->rip = 0;
}

/* ---- what must hold --------------------------------------------------------------------------------- */

static void check_registers(struct interp *c)
{
	uint8_t cpl = c->cpl, code64 = c->code64, code32 = c->code32, stack = c->stack_size,
		flat = c->flat;

	CHECK_EQ(c->gpr[REG_NONE], 0);
	CHECK_EQ(c->rflags & ~UINT64_C(0x3f7fd5), 2);
	CHECK_EQ(c->in_delivery, 0);
	CHECK(!(c->cr0 & X86_CR0_PG) || (c->cr0 & X86_CR0_PE));
	CHECK_EQ(interp_long(c), (c->efer & X86_EFER_LME) && (c->cr0 & X86_CR0_PG));
	CHECK(!interp_long(c) || (c->cr4 & X86_CR4_PAE));
	CHECK(!interp_long(c) || !interp_v86(c));
	CHECK(sys_canonical(c, c->seg[CPU_FS].base));
	CHECK(sys_canonical(c, c->gdt.base));
	if (interp_protected(c) && !interp_v86(c) && !(c->seg[CPU_SS].attr & CPU_SEG_UNUSABLE))
		CHECK_EQ(c->seg[CPU_SS].sel & 3, c->cpl);
	interp_mode_changed(c);
	CHECK_EQ(c->cpl, cpl);
	CHECK_EQ(c->code64, code64);
	CHECK_EQ(c->code32, code32);
	CHECK_EQ(c->stack_size, stack);
	CHECK_EQ(c->flat, flat);
}

static void chaos(void **state)
{
	unsigned shutdowns = 0, halts = 0;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < PROGRAMS; i++) {
		enum cpu_exit exit;

		seed = i;
		start(&t);
		put_program(&t);
		t.irq = below(2) ? (int)below(64) : -1;
		cpu_notify(t.cpu);
		exit = itest_go(&t, STEPS);
		shutdowns += exit == CPU_EXIT_SHUTDOWN;
		halts += exit == CPU_EXIT_HLT;
		check_registers(t.c);
	}
	/* The noise is meant to be neither all fatal nor all harmless. */
	CHECK(shutdowns > PROGRAMS / 50);
	CHECK(halts > PROGRAMS / 50);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(chaos),
	};

	return cmocka_run_group_tests_name("sys_chaos", tests, NULL, NULL);
}
