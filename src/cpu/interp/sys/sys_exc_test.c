/* sys_exc_test.c - interrupts and exceptions in every mode, faults on the way */
#include "cpu/interp/sys/sys_test.h"

#define HANDLER(v) (ITEST_HANDLERS + (v) * 16)

/* ---- real mode --------------------------------------------------------------------------------- */

static void real_int_pushes_three_words(void **state)
{
	/* int 0x21; nop; hlt */
	static const uint8_t code[] = { 0xcd, 0x21, 0x90, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	t.c->rflags = 2 | X86_IF | X86_TF | X86_AC | X86_CF;
	t.c->gpr[CPU_RSP] = 0xffff8000;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x3000);
	CHECK_EQ(t.c->rip, 0x210);
	CHECK_EQ(t.c->rflags, 2 | X86_CF);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0xffff7ffa);
	CHECK_EQ(get16(&t, 0x57ffa), 2);		/* IP after INT */
	CHECK_EQ(get16(&t, 0x57ffc), 0x4000);
	CHECK_EQ(get16(&t, 0x57ffe), 2 | X86_IF | X86_TF | X86_CF);
	itest_close(&t);
}

static void real_fault_has_no_error_code(void **state)
{
	/* mov eax, [0xfffe]; hlt */
	static const uint8_t code[] = { 0x66, 0xa1, 0xfe, 0xff, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_GP);
	CHECK_EQ((uint16_t)t.c->gpr[CPU_RSP], 0x7ffa);
	CHECK_EQ(get16(&t, 0x57ffa), 0);		/* at the instruction */
	itest_close(&t);
}

static void real_short_idt_shuts_down(void **state)
{
	/* int 0x21; hlt */
	static const uint8_t code[] = { 0xcd, 0x21, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	t.c->idt.limit = 0x21 * 4 + 2;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_GP);
	t.c->idt.limit = 0;
	ITEST_CODE_IS(&t, code);
	seg_set_real(t.c, CPU_CS, 0x4000);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_SHUTDOWN);
	itest_close(&t);
}

static void real_handler_beyond_the_limit(void **state)
{
	/* int 0x21 */
	static const uint8_t code[] = { 0xcd, 0x21 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	t.c->seg[CPU_CS].limit = 0x20f;
	CHECK_EQ(RUN(&t, code), X86_GP);
	CHECK_EQ(t.c->rip, 0);
	t.c->seg[CPU_CS].limit = 0x210;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	itest_close(&t);
}

/* ---- protected mode ------------------------------------------------------------------------------ */

static void protected_same_ring(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	rflags_set(&t, X86_IF | X86_NT | X86_TF);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rip, HANDLER(0x80));
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK - 12);
	CHECK_EQ(get32(&t, ITEST_STACK - 4), 2 | X86_IF | X86_NT | X86_TF);
	CHECK_EQ(get32(&t, ITEST_STACK - 8), ITEST_CODE32);
	CHECK_EQ(get32(&t, ITEST_STACK - 12), ITEST_CODE + 2);
	CHECK_EQ(t.c->rflags, 2);			/* interrupt gate */
	/* A trap gate leaves IF. */
	put_idt32(&t, 0x80, mk_gate(ITEST_CODE32, HANDLER(0x80), 0xef, 0));
	rflags_set(&t, X86_IF);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rflags, 2 | X86_IF);
	itest_close(&t);
}

static void protected_inner_ring(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put_desc(&t, ITEST_DATA32, 0x00cf92000000ffff);	/* not accessed yet */
	put_desc(&t, ITEST_CODE32, 0x00cf9a000000ffff);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->seg[CPU_CS].sel, ITEST_CODE32);
	CHECK_EQ(t.c->seg[CPU_SS].sel, ITEST_DATA32);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK0 - 20);
	CHECK_EQ(get32(&t, ITEST_STACK0 - 4), ITEST_USER_DATA);
	CHECK_EQ(get32(&t, ITEST_STACK0 - 8), ITEST_STACK);
	CHECK_EQ(get32(&t, ITEST_STACK0 - 16), ITEST_USER32);
	CHECK_EQ(get32(&t, ITEST_STACK0 - 20), ITEST_CODE + 2);
	CHECK_EQ(get_desc(&t, ITEST_DATA32) >> 40 & 0xff, 0x93);
	CHECK_EQ(get_desc(&t, ITEST_CODE32) >> 40 & 0xff, 0x9b);
	CHECK_EQ(t.c->seg[CPU_DS].sel, ITEST_USER_DATA);	/* data segments stay */
	itest_close(&t);
}

static void protected_16_bit_gate(void **state)
{
	/* int 0x81; hlt */
	static const uint8_t code[] = { 0xcd, 0x81, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_idt32(&t, 0x81, mk_gate(ITEST_CODE16, 0xdead1234, 0x86, 0));
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x1234);
	CHECK_EQ(t.c->code32, 0);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK - 6);
	CHECK_EQ(get16(&t, ITEST_STACK - 6), (ITEST_CODE + 2) & 0xffff);
	CHECK_EQ(get16(&t, ITEST_STACK - 4), ITEST_CODE32);
	itest_close(&t);
}

static void gate_checks(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;
	uint64_t at = HANDLER(0x80);

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put_idt32(&t, 0x80, mk_gate(ITEST_CODE32, (uint32_t)at, 0x8e, 0));	/* DPL 0 */
	CHECK_FAULT(&t, code, X86_GP, 0x80 * 8 + 2);
	put_idt32(&t, 0x80, mk_gate(ITEST_CODE32, (uint32_t)at, 0x6e, 0));	/* not present */
	CHECK_FAULT(&t, code, X86_NP, 0x80 * 8 + 2);
	put_idt32(&t, 0x80, mk_gate(ITEST_CODE32, (uint32_t)at, 0xec, 0));	/* a call gate */
	CHECK_FAULT(&t, code, X86_GP, 0x80 * 8 + 2);
	put_idt32(&t, 0x80, mk_gate(0, (uint32_t)at, 0xee, 0));
	CHECK_FAULT(&t, code, X86_GP, 0);
	put_idt32(&t, 0x80, mk_gate(ITEST_DATA32, (uint32_t)at, 0xee, 0));
	CHECK_FAULT(&t, code, X86_GP, ITEST_DATA32);
	put_idt32(&t, 0x80, mk_gate(0x1000, (uint32_t)at, 0xee, 0));		/* beyond the GDT */
	CHECK_FAULT(&t, code, X86_GP, 0x1000);
	put_desc(&t, ITEST_GDT_FREE, mk_desc(0, 0xfffff, 0x1b, 0xc));
	put_idt32(&t, 0x80, mk_gate(ITEST_GDT_FREE, (uint32_t)at, 0xee, 0));
	CHECK_FAULT(&t, code, X86_NP, ITEST_GDT_FREE);
	put_desc(&t, ITEST_GDT_FREE, mk_desc(0, 0xff, 0x9b, 0x4));
	CHECK_FAULT(&t, code, X86_GP, 0);			/* offset beyond the limit */
	t.c->idt.limit = 0x80 * 8 + 6;
	CHECK_FAULT(&t, code, X86_GP, 0x80 * 8 + 2);
	itest_close(&t);
}

static void inner_stack_checks(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put16(&t, ITEST_TSS + 8, 0);
	put_desc(&t, 0, 0x00cf93000000ffff);			/* null all the same */
	CHECK_FAULT(&t, code, X86_TS, 0);
	put16(&t, ITEST_TSS + 8, ITEST_DATA32 | 1);		/* RPL is not 0 */
	CHECK_FAULT(&t, code, X86_TS, ITEST_DATA32);
	put16(&t, ITEST_TSS + 8, ITEST_CODE32);
	CHECK_FAULT(&t, code, X86_TS, ITEST_CODE32);
	put_desc(&t, ITEST_GDT_FREE, mk_desc(0, 0xfffff, 0x13, 0xc));
	put16(&t, ITEST_TSS + 8, ITEST_GDT_FREE);
	CHECK_FAULT(&t, code, X86_SS, ITEST_GDT_FREE);
	/* Room for four doublewords only. */
	put_desc(&t, ITEST_GDT_FREE, mk_desc(0, 0xffff, 0x93, 4));
	put32(&t, ITEST_TSS + 4, 16);
	CHECK_FAULT(&t, code, X86_SS, ITEST_GDT_FREE);
	t.c->seg[CPU_TR].limit = 8;
	CHECK_FAULT(&t, code, X86_TS, ITEST_TR);
	/* The stacks of a 16-bit TSS are elsewhere. */
	t.c->seg[CPU_TR].attr = 0x83;
	t.c->seg[CPU_TR].limit = 5;
	put16(&t, ITEST_TSS + 2, 0x4000);
	put16(&t, ITEST_TSS + 4, ITEST_DATA32);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x4000 - 20);
	CHECK_EQ(t.c->seg[CPU_SS].sel, ITEST_DATA32);
	user32(&t);
	t.c->seg[CPU_TR].limit = 4;
	CHECK_FAULT(&t, code, X86_TS, ITEST_TR);
	itest_close(&t);
}

static void expand_down_stack(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put16(&t, ITEST_TSS + 8, ITEST_GDT_FREE);
	put_desc(&t, ITEST_GDT_FREE, mk_desc(0, ITEST_STACK0 - 21, 0x97, 4));
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	user32(&t);
	put_desc(&t, ITEST_GDT_FREE, mk_desc(0, ITEST_STACK0 - 20, 0x97, 4));
	CHECK_FAULT(&t, code, X86_SS, ITEST_GDT_FREE);
	itest_close(&t);
}

static void ext_bit_for_events_from_outside(void **state)
{
	/* sti; nop; nop; nop; hlt */
	static const uint8_t code[] = { 0xfb, 0x90, 0x90, 0x90, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_idt32(&t, 0x40, mk_gate(ITEST_CODE32, HANDLER(0x40), 0x0e, 0));	/* not present */
	t.irq = 0x40;
	t.cpu->engine->notify(t.cpu);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_NP);
	CHECK_EQ(get32(&t, t.c->gpr[CPU_RSP]), 0x40 * 8 + 2 + 1);
	itest_close(&t);
}

/* ---- 64-bit mode ---------------------------------------------------------------------------------- */

static void long_frame(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RSP] = ITEST_STACK - 3;		/* the frame is aligned */
	rflags_set(&t, X86_IF);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rip, HANDLER(0x80));
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK - 16 - 40);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 16 - 8), ITEST_DATA32);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 16 - 16), ITEST_STACK - 3);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 16 - 24), 2 | X86_IF);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 16 - 32), ITEST_CODE64);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 16 - 40), ITEST_CODE + 2);
	CHECK_EQ(t.c->seg[CPU_SS].sel, ITEST_DATA32);
	CHECK_EQ(t.c->rflags, 2);
	itest_close(&t);
}

static void long_from_user(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_user(&t);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK0 - 40);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0);
	CHECK(t.c->seg[CPU_SS].attr & CPU_SEG_UNUSABLE);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 8), ITEST_USER_DATA);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 32), ITEST_USER64);
	itest_close(&t);
}

static void long_ist(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put_idt_long(&t, 0x80, mk_gate(ITEST_CODE64, HANDLER(0x80), 0xee, 1), 0);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_IST1 - 40);
	CHECK_EQ(t.c->seg[CPU_SS].sel, ITEST_DATA32);	/* same ring: SS stays */
	/* IST 7 lies in the TSS as well, but the limit says no. */
	put_idt_long(&t, 0x80, mk_gate(ITEST_CODE64, HANDLER(0x80), 0xee, 7), 0);
	t.c->seg[CPU_TR].limit = 0x5a;
	t.c->gpr[CPU_RSP] = ITEST_STACK;
	CHECK_FAULT(&t, code, X86_TS, ITEST_TR);
	itest_close(&t);
}

static void long_gate_checks(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put_idt_long(&t, 0x80, mk_gate(ITEST_CODE32, HANDLER(0x80), 0xee, 0), 0);
	CHECK_FAULT(&t, code, X86_GP, ITEST_CODE32);	/* not 64-bit code */
	put_idt_long(&t, 0x80, mk_gate(ITEST_CODE64, HANDLER(0x80), 0xe6, 0), 0);
	CHECK_FAULT(&t, code, X86_GP, 0x80 * 8 + 2);	/* a 16-bit gate */
	put_idt_long(&t, 0x80, mk_gate(ITEST_TR, 0, 0xe5, 0), 0);
	CHECK_FAULT(&t, code, X86_GP, 0x80 * 8 + 2);	/* a task gate */
	put_idt_long(&t, 0x80, mk_gate(ITEST_CODE64, 0, 0xee, 0), 0x8000);
	CHECK_FAULT(&t, code, X86_GP, 0);		/* handler not canonical */
	t.c->gpr[CPU_RSP] = UINT64_C(0x800000001000);
	put_idt_long(&t, 0x80, mk_gate(ITEST_CODE64, HANDLER(0x80), 0xee, 0), 0);
	CHECK_FAULT(&t, code, X86_SS, 0);
	itest_user(&t);
	itest_put64(&t, ITEST_TSS + 4, UINT64_C(1) << 47);
	CHECK_FAULT(&t, code, X86_SS, 0);
	itest_close(&t);
}

static void fault_image_has_rf(void **state)
{
	/* ud2 */
	static const uint8_t code[] = { 0x0f, 0x0b };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_UD);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 24), 2 | X86_RF);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 40), ITEST_CODE);
	itest_close(&t);
}

static void page_fault_pushes_its_code(void **state)
{
	/* mov eax, 0x200000; mov byte [rax], 1; hlt */
	static const uint8_t code[] = { 0xb8, 0, 0, 0x20, 0, 0xc6, 0, 1, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, itest_pte(0x200000), 0);
	itest_user(&t);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_PAGE);
	CHECK_EQ(t.c->cr2, 0x200000);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK0 - 48);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 48), X86_PF_W | X86_PF_U);
	itest_close(&t);
}

/* ---- v8086 ------------------------------------------------------------------------------------------ */

static void v86_to_ring_0(void **state)
{
	/* int 0x80; hlt */
	static const uint8_t code[] = { 0xcd, 0x80, 0xf4 };
	struct itest t;
	uint64_t sp = ITEST_STACK0;

	(void)state;
	itest_open(&t, ITEST_32);
	v86(&t, 3);
	seg_set_v86(t.c, CPU_GS, 0x1111);
	seg_set_v86(t.c, CPU_FS, 0x2222);
	seg_set_v86(t.c, CPU_DS, 0x3333);
	ITEST_CODE_IS(&t, code);
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rip, HANDLER(0x80));
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->gpr[CPU_RSP], sp - 36);
	CHECK_EQ(get32(&t, sp - 4), 0x1111);
	CHECK_EQ(get32(&t, sp - 8), 0x2222);
	CHECK_EQ(get32(&t, sp - 12), 0x3333);
	CHECK_EQ(get32(&t, sp - 16), 0x8000);		/* ES */
	CHECK_EQ(get32(&t, sp - 20), 0x5000);		/* SS */
	CHECK_EQ(get32(&t, sp - 24), 0x8000);		/* ESP */
	CHECK_EQ(get32(&t, sp - 28), 2 | X86_VM | X86_IOPL);
	CHECK_EQ(get32(&t, sp - 32), 0x4000);
	CHECK_EQ(get32(&t, sp - 36), 2);
	for (unsigned s = CPU_ES; s <= CPU_GS; s++)
		if (s != CPU_CS && s != CPU_SS)
			CHECK_EQ(t.c->seg[s].attr, CPU_SEG_UNUSABLE);
	CHECK_EQ(t.c->rflags, 2 | X86_IOPL);
	itest_close(&t);
}

static void v86_int_obeys_iopl(void **state)
{
	/* int 0x80 */
	static const uint8_t code[] = { 0xcd, 0x80 };
	/* int3 */
	static const uint8_t int3[] = { 0xcc };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	v86(&t, 2);
	CHECK_EQ(RUN_V86(&t, code), X86_GP);
	CHECK_EQ(t.c->exc_code, 0);
	/* INT3 asks the gate only. */
	ITEST_CODE_IS(&t, int3);
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rip, HANDLER(3));
	/* A handler in another ring than 0 cannot take over. */
	put_desc(&t, ITEST_GDT_FREE, mk_desc(0, 0xfffff, 0xbb, 0xc));
	put_idt32(&t, 3, mk_gate(ITEST_GDT_FREE, HANDLER(3), 0xee, 0));
	v86(&t, 2);
	CHECK_EQ(RUN_V86(&t, int3), X86_GP);
	CHECK_EQ(t.c->exc_code, ITEST_GDT_FREE);
	itest_close(&t);
}

/* ---- double and triple faults --------------------------------------------------------------------- */

static void double_and_triple_fault(void **state)
{
	/* mov eax, 0x8; mov ss, ax */
	static const uint8_t gp[] = { 0xb8, 8, 0, 0, 0, 0x8e, 0xd0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put_idt_long(&t, X86_GP, 0, 0);
	ITEST_CODE_IS(&t, gp);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DFLT);
	CHECK_EQ(itest_get64(&t, t.c->gpr[CPU_RSP]), 0);
	CHECK_EQ(itest_get64(&t, t.c->gpr[CPU_RSP] + 8), ITEST_CODE + 5);
	put_idt_long(&t, X86_DFLT, 0, 0);
	ITEST_CODE_IS(&t, gp);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_SHUTDOWN);
	itest_close(&t);
}

static void page_fault_of_a_page_fault(void **state)
{
	/* mov eax, [0x300000] */
	static const uint8_t code[] = { 0x8b, 4, 0x25, 0, 0, 0x30, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, itest_pte(0x300000), 0);
	itest_put64(&t, itest_pte(ITEST_STACK - 8), 0);
	put_idt_long(&t, X86_DFLT, mk_gate(ITEST_CODE64, HANDLER(X86_DFLT), 0x8e, 1), 0);
	interp_tlb_flush(t.c, true);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DFLT);
	CHECK_EQ(t.c->cr2, ITEST_STACK - 8);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_IST1 - 48);
	itest_close(&t);
}

/* A contributory exception, then a page fault: one after the other. */
static void page_fault_after_gp_is_served(void **state)
{
	/* mov eax, 0x8; mov ss, ax */
	static const uint8_t gp[] = { 0xb8, 8, 0, 0, 0, 0x8e, 0xd0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, itest_pte(ITEST_STACK - 8), 0);
	put_idt_long(&t, X86_PAGE, mk_gate(ITEST_CODE64, HANDLER(X86_PAGE), 0x8e, 1), 0);
	interp_tlb_flush(t.c, true);
	ITEST_CODE_IS(&t, gp);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_PAGE);
	CHECK_EQ(itest_get64(&t, ITEST_IST1 - 48), X86_PF_W);
	CHECK_EQ(itest_get64(&t, ITEST_IST1 - 40), ITEST_CODE + 5);
	itest_close(&t);
}

/* ---- NMI, INT1, INTO, INT3 -------------------------------------------------------------------------- */

UNUSED static void nmi_is_masked_until_iret(void **state)
{
	/* nop; hlt */
	static const uint8_t code[] = { 0x90, 0xf4 };
	/* inc rbx; nop; iretq */
	static const uint8_t handler[] = { 0x48, 0xff, 0xc3, 0x90, 0x48, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put(&t, HANDLER(X86_NMI), handler, sizeof(handler));
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(interp_deliver(t.c, X86_NMI, DELIVER_NMI, false, 0), 0);
	CHECK_EQ(t.c->nmi_masked, 1);
	t.cpu->engine->nmi(t.cpu);
	CHECK_EQ(itest_go(&t, 2), CPU_EXIT_KICK);
	CHECK_EQ(t.c->gpr[CPU_RBX], 1);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 2);			/* the second one after IRETQ */
	CHECK_EQ(t.c->nmi_masked, 0);
	itest_close(&t);
}

static void int1_needs_no_dpl(void **state)
{
	/* db 0xf1 */
	static const uint8_t code[] = { 0xf1 };
	/* int3 */
	static const uint8_t int3[] = { 0xcc };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put_idt_long(&t, 1, mk_gate(ITEST_CODE64, HANDLER(1), 0x8e, 0), 0);
	put_idt_long(&t, 3, mk_gate(ITEST_CODE64, HANDLER(3), 0x8e, 0), 0);
	itest_user(&t);
	t.c->dr6 = 0xffff0ff0;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->rip, HANDLER(1));
	CHECK_EQ(t.c->dr6, 0xffff0ff0);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 40), ITEST_CODE + 1);
	itest_user(&t);
	CHECK_FAULT(&t, int3, X86_GP, 3 * 8 + 2);
	/* And it counts as an event from outside. */
	put_idt_long(&t, 1, mk_gate(ITEST_CODE64, HANDLER(1), 0x0e, 0), 0);
	CHECK_FAULT(&t, code, X86_NP, 1 * 8 + 2 + 1);
	put_idt_long(&t, 3, mk_gate(ITEST_CODE64, HANDLER(3), 0x6e, 0), 0);
	CHECK_FAULT(&t, int3, X86_NP, 3 * 8 + 2);
	itest_close(&t);
}

static void int1_takes_a_held_back_breakpoint(void **state)
{
	/* mov ss, [0x80000]; db 0xf1; hlt */
	static const uint8_t code[] = { 0x8e, 0x14, 0x25, 0, 0, 8, 0, 0xf1, 0xf4 };
	/* inc ebx; iretq */
	static const uint8_t handler[] = { 0xff, 0xc3, 0x48, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put(&t, HANDLER(1), handler, sizeof(handler));
	put16(&t, ITEST_DATA, ITEST_DATA32);
	t.c->dr[1] = ITEST_DATA;
	t.c->dr7 = 0x00f0040a;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), -1);
	CHECK_EQ(t.c->gpr[CPU_RBX], 1);
	CHECK_EQ(t.c->dr6, 0xffff0ff2);
	itest_close(&t);
}

static void into_asks_of(void **state)
{
	/* into; hlt */
	static const uint8_t code[] = { 0xce, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	CHECK_EQ(RUN(&t, code), ITEST_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + 2);
	rflags_set(&t, X86_OF);
	CHECK_EQ(RUN(&t, code), ITEST_HLT);
	CHECK_EQ(itest_caught(&t), X86_EXC_OF);
	CHECK_EQ(get32(&t, ITEST_STACK - 12), ITEST_CODE + 1);
	itest_close(&t);
}

static void gd_guards_debug_registers(void **state)
{
	/* mov rax, dr0; hlt */
	static const uint8_t code[] = { 0x0f, 0x21, 0xc0, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->dr7 = 0x2400;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DB);
	CHECK_EQ(t.c->dr6, 0xffff2ff0);
	CHECK_EQ(t.c->dr7, 0x400);			/* the handler may look */
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 40), ITEST_CODE);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 24), 2 | X86_RF);
	itest_close(&t);
}

static void halt_ends_with_an_interrupt(void **state)
{
	/* sti; hlt; mov ebx, 7; cli; hlt */
	static const uint8_t code[] = { 0xfb, 0xf4, 0xbb, 7, 0, 0, 0, 0xfa, 0xf4 };
	/* inc ecx; iretq */
	static const uint8_t handler[] = { 0xff, 0xc1, 0x48, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put(&t, HANDLER(0x50), handler, sizeof(handler));
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + 2);
	t.irq = 0x50;
	t.cpu->engine->notify(t.cpu);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RCX], 1);
	CHECK_EQ(t.c->gpr[CPU_RBX], 7);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_int_pushes_three_words),
		cmocka_unit_test(real_fault_has_no_error_code),
		cmocka_unit_test(real_short_idt_shuts_down),
		cmocka_unit_test(real_handler_beyond_the_limit),
		cmocka_unit_test(protected_same_ring),
		cmocka_unit_test(protected_inner_ring),
		cmocka_unit_test(protected_16_bit_gate),
		cmocka_unit_test(gate_checks),
		cmocka_unit_test(inner_stack_checks),
		cmocka_unit_test(expand_down_stack),
		cmocka_unit_test(ext_bit_for_events_from_outside),
		cmocka_unit_test(long_frame),
		cmocka_unit_test(long_from_user),
		cmocka_unit_test(long_ist),
		cmocka_unit_test(long_gate_checks),
		cmocka_unit_test(fault_image_has_rf),
		cmocka_unit_test(page_fault_pushes_its_code),
		cmocka_unit_test(v86_to_ring_0),
		cmocka_unit_test(v86_int_obeys_iopl),
		cmocka_unit_test(double_and_triple_fault),
		cmocka_unit_test(page_fault_of_a_page_fault),
		cmocka_unit_test(page_fault_after_gp_is_served),
#ifndef ITEST_TRANSLATE	/* bounded, or counts instructions, or looks at blocks */
		cmocka_unit_test(nmi_is_masked_until_iret),
#endif
		cmocka_unit_test(int1_needs_no_dpl),
		cmocka_unit_test(int1_takes_a_held_back_breakpoint),
		cmocka_unit_test(into_asks_of),
		cmocka_unit_test(gd_guards_debug_registers),
		cmocka_unit_test(halt_ends_with_an_interrupt),
	};

	return cmocka_run_group_tests_name("sys_exc", tests, NULL, NULL);
}
