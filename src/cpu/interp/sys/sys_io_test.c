/* sys_io_test.c - port I/O and its rights, PUSHF and POPF, CLI and STI */
#include "cpu/interp/sys/sys_test.h"

#define STEP(t, code) (ITEST_CODE_IS(t, code), itest_step(t))
#define OK(t, code) CHECK_EQ(STEP(t, code), ITEST_HLT)

static void widths(void **state)
{
	/* in al, 0x80; hlt */
	static const uint8_t in8[] = { 0xe4, 0x80, 0xf4 };
	/* in ax, dx; hlt */
	static const uint8_t in16[] = { 0x66, 0xed, 0xf4 };
	/* in eax, dx; hlt */
	static const uint8_t in32[] = { 0xed, 0xf4 };
	/* out 0x81, eax; out dx, al; hlt */
	static const uint8_t out32[] = { 0xe7, 0x81, 0xee, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.io_in = 0xaabbccdd;
	t.c->gpr[CPU_RAX] = UINT64_MAX;
	t.c->gpr[CPU_RDX] = 0xfff01234;
	CHECK_EQ(RUN(&t, in8), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], UINT64_C(0xffffffffffffffdd));
	CHECK_EQ(t.io[0].addr, 0x80);
	CHECK_EQ(t.io[0].width, 1);
	CHECK_EQ(RUN(&t, in16), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], UINT64_C(0xffffffffffffccdd));
	CHECK_EQ(t.io[1].addr, 0x1234);
	CHECK_EQ(RUN(&t, in32), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0xaabbccdd);
	CHECK_EQ(RUN(&t, out32), ITEST_HLT);
	CHECK_EQ(t.nr_io, 5);
	CHECK_EQ(t.io[3].addr, 0x81);
	CHECK_EQ(t.io[3].width, 4);
	CHECK_EQ(t.io[3].val, 0xaabbccdd);
	CHECK_EQ(t.io[4].val, 0xdd);
	CHECK(t.io[4].write);
	itest_close(&t);
}

static void strings(void **state)
{
	/* rep insd; hlt */
	static const uint8_t insd[] = { 0xf3, 0x6d, 0xf4 };
	/* std; rep outsb; hlt */
	static const uint8_t outsb[] = { 0xfd, 0xf3, 0x6e, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.io_in = 0x11223344;
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	t.c->gpr[CPU_RCX] = 1000;
	t.c->gpr[CPU_RDX] = 0x1f0;
	ITEST_CODE_IS(&t, insd);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RCX], 0);
	CHECK_EQ(t.c->gpr[CPU_RDI], ITEST_DATA + 4000);
	CHECK_EQ(get32(&t, ITEST_DATA), 0x11223344);
	CHECK_EQ(get32(&t, ITEST_DATA + 3996), 0x11223344);
	CHECK_EQ(get32(&t, ITEST_DATA + 4000), 0);
	t.nr_io = 0;
	itest_put(&t, ITEST_DATA, "abc", 3);
	t.c->gpr[CPU_RSI] = ITEST_DATA + 2;
	t.c->gpr[CPU_RCX] = 3;
	CHECK_EQ(RUN(&t, outsb), ITEST_HLT);
	CHECK_EQ(t.nr_io, 3);
	CHECK_EQ(t.io[0].val, 'c');
	CHECK_EQ(t.io[2].val, 'a');
	CHECK_EQ(t.c->gpr[CPU_RSI], ITEST_DATA - 1);
	t.c->gpr[CPU_RCX] = 0;
	CHECK_EQ(RUN(&t, outsb), ITEST_HLT);
	CHECK_EQ(t.nr_io, 3);
	itest_close(&t);
}

/* A long REP lets interrupts in. */
static void rep_is_bounded(void **state)
{
	/* rep insb; hlt */
	static const uint8_t ins[] = { 0xf3, 0x6c, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	t.c->gpr[CPU_RCX] = 100000;
	ITEST_CODE_IS(&t, ins);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE);
	CHECK(t.c->gpr[CPU_RCX] > 90000);
	CHECK(t.c->gpr[CPU_RCX] < 100000);
	CHECK_EQ(t.c->gpr[CPU_RDI] + t.c->gpr[CPU_RCX], ITEST_DATA + 100000);
	itest_close(&t);
}

/* A device is not read when its data has nowhere to go. */
static void ins_faults_before_the_port(void **state)
{
	/* rep insw */
	static const uint8_t ins[] = { 0xf3, 0x66, 0x6d };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, itest_pte(0x301000), 0x301000 | X86_PTE_P);
	interp_tlb_flush(t.c, true);
	t.c->gpr[CPU_RDI] = 0x300ffc;
	t.c->gpr[CPU_RCX] = 10;
	CHECK_FAULT(&t, ins, X86_PAGE, X86_PF_P | X86_PF_W);
	CHECK_EQ(t.nr_io, 2);
	CHECK_EQ(t.c->gpr[CPU_RCX], 8);
	CHECK_EQ(t.c->gpr[CPU_RDI], 0x301000);
	CHECK_EQ(t.c->cr2, 0x301000);
	itest_close(&t);
}

static void address_size_of_strings(void **state)
{
	/* a16 rep insb; hlt */
	static const uint8_t ins[] = { 0xf3, 0x67, 0x6c, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.io_in = 0x5a;
	t.c->gpr[CPU_RDI] = 0x1234ffff;
	t.c->gpr[CPU_RCX] = 0x99990002;
	CHECK_EQ(RUN(&t, ins), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RDI], 0x12340001);
	CHECK_EQ(t.c->gpr[CPU_RCX], 0x99990000);
	CHECK_EQ(get16(&t, 0xffff) & 0xff, 0x5a);
	itest_close(&t);
}

/* A source can be in ES, by a prefix; a destination is there always. */
static void es_for_the_source_of_strings(void **state)
{
	/* es lodsb; es outsb; es movsb; es xlat; hlt */
	static const uint8_t code[] = { 0x26, 0xac, 0x26, 0x6e, 0x26, 0xa4, 0x26, 0xd7, 0xf4 };
	/* lodsb; outsb; movsb; xlat; hlt */
	static const uint8_t plain[] = { 0xac, 0x6e, 0xa4, 0xd7, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	itest_put(&t, 0x80010, "\x01" "bc", 3);
	itest_put(&t, 0x80101, "d", 1);
	itest_put(&t, 0x81010, "\x02" "BC", 3);
	itest_put(&t, 0x81102, "D", 1);
	t.c->seg[CPU_ES].sel = 0x8100;
	t.c->seg[CPU_ES].base = 0x81000;
	for (unsigned i = 0; i < 2; i++) {
		t.nr_io = 0;
		t.c->gpr[CPU_RSI] = 0x10;
		t.c->gpr[CPU_RDI] = 0x40;
		t.c->gpr[CPU_RBX] = 0x100;
		CHECK_EQ(i == 0 ? RUN(&t, code) : RUN(&t, plain), ITEST_HLT);
		CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, i == 0 ? 'D' : 'd');
		CHECK_EQ(t.io[0].val, i == 0 ? 'B' : 'b');
		CHECK_EQ(get32(&t, 0x81040) & 0xff, i == 0 ? 'C' : 'c');
		CHECK_EQ(get32(&t, 0x80040), 0);
	}
	itest_close(&t);
}

static void bitmap(void **state)
{
	/* in al, dx */
	static const uint8_t in8[] = { 0xec };
	/* in eax, dx */
	static const uint8_t in32[] = { 0xed };
	/* outsb */
	static const uint8_t outs[] = { 0x6e };
	/* out dx, al */
	static const uint8_t out8[] = { 0xee };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	rflags_set(&t, 2 << 12);
	t.c->seg[CPU_TR].limit = 0x68 + 32;			/* ports 0..255 */
	for (unsigned i = 0; i < 36; i += 4)
		put32(&t, ITEST_TSS + 0x68 + i, 0xffffffff);
	put32(&t, ITEST_TSS + 0x68, 0xffffff00 | 1u << 3);	/* 0..7 but 3 */
	t.c->gpr[CPU_RDX] = 4;
	OK(&t, in8);
	OK(&t, in32);
	t.c->gpr[CPU_RDX] = 3;
	CHECK_FAULT(&t, in8, X86_GP, 0);
	t.c->gpr[CPU_RDX] = 0;
	CHECK_FAULT(&t, in32, X86_GP, 0);			/* meets 3 */
	t.c->gpr[CPU_RDX] = 3;
	CHECK_FAULT(&t, outs, X86_GP, 0);
	CHECK_FAULT(&t, out8, X86_GP, 0);
	t.c->gpr[CPU_RDX] = 5;
	CHECK_FAULT(&t, in32, X86_GP, 0);			/* 8 is closed */
	put32(&t, ITEST_TSS + 0x68 + 31, 0);
	t.c->gpr[CPU_RDX] = 255;
	OK(&t, in8);
	t.c->gpr[CPU_RDX] = 256;
	CHECK_FAULT(&t, in8, X86_GP, 0);			/* beyond the limit */
	t.c->gpr[CPU_RDX] = 4;
	t.c->seg[CPU_TR].attr = 0x83;				/* a 16-bit TSS has no map */
	CHECK_FAULT(&t, in8, X86_GP, 0);
	rflags_set(&t, X86_IOPL);
	OK(&t, in8);
	itest_close(&t);
}

static void port_breakpoints(void **state)
{
	/* out 0x41, al; nop; hlt */
	static const uint8_t out[] = { 0xe6, 0x41, 0x90, 0xf4 };
	/* rep insb; hlt */
	static const uint8_t ins[] = { 0xf3, 0x6c, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->dr[1] = 0x40;
	t.c->dr7 = 0x400 | 1u << 2 | 6u << 20;			/* 1: I/O, two ports */
	ITEST_CODE_IS(&t, out);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), -1);				/* CR4.DE is off */
	t.c->cr4 |= X86_CR4_DE;
	ITEST_CODE_IS(&t, out);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DB);
	CHECK_EQ(t.c->dr6, 0xffff0ff2);
	CHECK_EQ(itest_get64(&t, t.c->gpr[CPU_RSP]), ITEST_CODE + 2);
	CHECK_EQ(t.nr_io, 2);
	/* After each element of a REP, with RF for the rest of it. */
	itest_mode(&t, ITEST_64);
	t.c->cr4 |= X86_CR4_DE;
	t.c->dr[1] = 0x40;
	t.c->dr7 = 0x400 | 1u << 2 | 6u << 20;
	t.c->gpr[CPU_RDX] = 0x40;
	t.c->gpr[CPU_RCX] = 3;
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	ITEST_CODE_IS(&t, ins);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DB);
	CHECK_EQ(t.c->gpr[CPU_RCX], 2);
	CHECK_EQ(itest_get64(&t, t.c->gpr[CPU_RSP]), ITEST_CODE);
	CHECK_EQ(itest_get64(&t, t.c->gpr[CPU_RSP] + 16), 2 | X86_RF);
	t.c->dr[1] = 0x42;
	ITEST_CODE_IS(&t, out);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), -1);
	itest_close(&t);
}

/* v8086 asks the bitmap whatever IOPL is. */
static void bitmap_in_v86(void **state)
{
	/* in al, 0x10 */
	static const uint8_t in8[] = { 0xe4, 0x10 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->seg[CPU_TR].limit = 0x68 + 32;
	put32(&t, ITEST_TSS + 0x68, 0xffffffff);
	v86(&t, 3);
	CHECK_EQ(RUN_V86(&t, in8), X86_GP);
	put32(&t, ITEST_TSS + 0x68, 0);
	ITEST_CODE_IS(&t, in8);
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	itest_close(&t);
}

/* ---- flags --------------------------------------------------------------------------------------------- */

static void pushf_hides_rf_and_vm(void **state)
{
	/* pushfq; hlt */
	static const uint8_t pushf[] = { 0x9c, 0xf4 };
	/* pushfd */
	static const uint8_t pushfd[] = { 0x66, 0x9c };
	/* popfd */
	static const uint8_t popfd[] = { 0x66, 0x9d };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	rflags_set(&t, X86_RF | X86_CF | X86_ID);
	CHECK_EQ(RUN(&t, pushf), ITEST_HLT);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 8), 2 | X86_CF | X86_ID);
	itest_mode(&t, ITEST_32);
	v86(&t, 3);
	ITEST_CODE_IS(&t, pushfd);
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(get32(&t, 0x57ffc), 2 | X86_IOPL);
	v86(&t, 2);
	CHECK_EQ(RUN_V86(&t, pushfd), X86_GP);
	CHECK_EQ(RUN_V86(&t, popfd), X86_GP);
	itest_close(&t);
}

static void popf_by_privilege(void **state)
{
	static const struct {
		unsigned cpl, size;
		uint64_t old, want;
	} rows[] = {
		{ 0, 4, 2, 0x247fd7 },
		{ 0, 4, 2 | X86_VIP | X86_VIF, 0x3c7fd7 },
		{ 0, 2, 2 | X86_AC, 0x47fd7 },
		{ 3, 4, 2, 0x244dd7 },
		{ 3, 4, 2 | X86_IOPL, 0x247fd7 },
		{ 3, 4, 2 | X86_IF, 0x244fd7 },
		{ 3, 4, 2 | 2 << 12, 0x246dd7 },
	};
	/* popfd */
	static const uint8_t popfd[] = { 0x9d };
	/* popfw */
	static const uint8_t popf[] = { 0x66, 0x9d };
	struct itest t;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		itest_open(&t, ITEST_32);
		if (rows[i].cpl == 3)
			user32(&t);
		t.c->gpr[CPU_RSP] = ITEST_STACK - 16;
		put32(&t, ITEST_STACK - 16, 0xffffffff);
		t.c->rflags = rows[i].old;
		if (rows[i].size == 4)
			OK(&t, popfd);
		else
			OK(&t, popf);
		CHECK_EQ(t.c->rflags, rows[i].want);
		CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK - 16 + rows[i].size);
		itest_close(&t);
	}
}

static void cli_and_sti(void **state)
{
	/* sti */
	static const uint8_t sti[] = { 0xfb };
	/* cli */
	static const uint8_t cli[] = { 0xfa };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	OK(&t, sti);
	CHECK_EQ(t.c->rflags, 2 | X86_IF);
	CHECK_EQ(t.c->shadow, SHADOW_STI);
	t.c->shadow = 0;
	OK(&t, sti);
	CHECK_EQ(t.c->shadow, 0);			/* was on already */
	OK(&t, cli);
	CHECK_EQ(t.c->rflags, 2);
	user32(&t);
	CHECK_FAULT(&t, cli, X86_GP, 0);
	CHECK_FAULT(&t, sti, X86_GP, 0);
	rflags_set(&t, X86_IOPL);
	OK(&t, sti);
	v86(&t, 2);
	CHECK_EQ(RUN_V86(&t, cli), X86_GP);
	itest_mode(&t, ITEST_16);
	OK(&t, sti);
	CHECK_EQ(t.c->rflags, 2 | X86_IF);
	itest_close(&t);
}

/* No interrupt between STI and the next instruction. */
static void sti_shadow(void **state)
{
	/* sti; inc ebx; inc ebx; cli; hlt */
	static const uint8_t code[] = { 0xfb, 0xff, 0xc3, 0xff, 0xc3, 0xfa, 0xf4 };
	/* mov ecx, ebx; iretq */
	static const uint8_t handler[] = { 0x89, 0xd9, 0x48, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put(&t, ITEST_HANDLERS + 0x60 * 16, handler, sizeof(handler));
	t.irq = 0x60;
	t.cpu->engine->notify(t.cpu);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(t.irqs_taken, 1);
	CHECK_EQ(t.c->gpr[CPU_RCX], 1);
	CHECK_EQ(t.c->gpr[CPU_RBX], 2);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(widths),
		cmocka_unit_test(strings),
		cmocka_unit_test(rep_is_bounded),
		cmocka_unit_test(ins_faults_before_the_port),
		cmocka_unit_test(address_size_of_strings),
		cmocka_unit_test(es_for_the_source_of_strings),
		cmocka_unit_test(bitmap),
		cmocka_unit_test(bitmap_in_v86),
		cmocka_unit_test(port_breakpoints),
		cmocka_unit_test(pushf_hides_rf_and_vm),
		cmocka_unit_test(popf_by_privilege),
		cmocka_unit_test(cli_and_sti),
		cmocka_unit_test(sti_shadow),
	};

	return cmocka_run_group_tests_name("sys_io", tests, NULL, NULL);
}
