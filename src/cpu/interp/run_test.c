/* run_test.c - the run loop: blocks, events, interrupts, faults of fetches, debug traps */
#include "base/test.h"
#include "cpu/interp/itest.h"

#include <pthread.h>

#define IRQ 0x40

static enum cpu_exit go(struct itest *t, uint64_t rip)
{
	t->c->rip = rip;
	t->c->halted = 0;
	return itest_go(t, 1000000);
}

/* In a 64-bit handler without error code: where it will return to. */
static uint64_t frame_rip(struct itest *t, unsigned error_bytes)
{
	return itest_get64(t, t->c->gpr[CPU_RSP] + error_bytes);
}

/* ---- what the board wires to the processor ------------------------------------------- */

/* Line 20 as it is when switched off: data, code and page tables 1 MiB up are those below. */
static void test_a20(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x8b, 0x06,		/* mov rax, [rsi] */
		0x48, 0x89, 0x1e, 0xf4,		/* mov [rsi], rbx; hlt */
	};
	static const uint8_t low[] = { 0x90, 0xb0, 0x11, 0xf4 }, high[] = { 0x90, 0xb0, 0x22, 0xf4 };
	const uint64_t up = ITEST_DATA + MIB;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	t.c->gpr[CPU_RSI] = up;
	t.c->gpr[CPU_RBX] = 3;
	itest_put64(&t, ITEST_DATA, 1);
	itest_put64(&t, up, 2);
	CHECK_EQ(go(&t, ITEST_CODE), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	t.engine->a20(t.cpu, false);
	CHECK_EQ(go(&t, ITEST_CODE), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	CHECK_EQ(itest_get64(&t, ITEST_DATA), 3);
	itest_put(&t, ITEST_DATA + 0x100, low, sizeof(low));
	itest_put(&t, up + 0x100, high, sizeof(high));
	CHECK_EQ(go(&t, up + 0x100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, 0x11);
	t.engine->a20(t.cpu, true);
	CHECK_EQ(go(&t, up + 0x100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, 0x22);
	/* A table that lies above is walked below; without paging it is the same. */
	t.c->cr3 = ITEST_PML4 + MIB;
	t.engine->a20(t.cpu, false);
	CHECK_EQ(go(&t, up + 0x100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, 0x11);
	itest_mode(&t, ITEST_32);
	CHECK_EQ(go(&t, up + 0x100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, 0x11);
	itest_close(&t);
}

static enum cpu_ferr ferr_answer;
static unsigned ferrs, ferr_ends;

static enum cpu_ferr on_ferr(void *self, bool error)
{
	(void)self;
	*(error ? &ferrs : &ferr_ends) += 1;
	return ferr_answer;
}

/* With CR0.NE clear: an interrupt from outside, and the way on that IGNNE# opens. */
static void test_ferr(void **state)
{
	static const uint8_t code[] = {
		0xdb, 0xe3, 0xd9, 0x2e,		/* fninit; fldcw [esi] */
		0xd9, 0xe8, 0xd9, 0xee,		/* fld1; fldz */
		0xde, 0xf9,			/* fdivp: division by zero */
		0x90,
		0xd9, 0xe8,			/* 11: fld1, which meets the error */
		0xdf, 0xe0,			/* fnstsw ax */
		0xdb, 0xe2,			/* fnclex */
		0x9b, 0xf4,			/* fwait; hlt */
	};
	uint32_t eip;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.client.ferr = on_ferr;
	ferr_answer = CPU_FERR_WAIT;
	ferrs = ferr_ends = 0;
	ITEST_CODE_IS(&t, code);
	itest_put64(&t, ITEST_DATA, 0x37b);
	t.c->gpr[CPU_RSI] = ITEST_DATA;
	t.c->rflags |= X86_IF;
	t.c->cr0 &= ~(uint64_t)(X86_CR0_NE | X86_CR0_TS | X86_CR0_EM);
	CHECK_EQ(go(&t, ITEST_CODE), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + 11);
	CHECK_EQ(ferrs, 1);
	t.irq = 0x75;
	t.c->irq_wait = 1;
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), 0x75);
	itest_get(&t, t.c->gpr[CPU_RSP], &eip, 4);
	CHECK_EQ(eip, ITEST_CODE + 11);
	ferr_answer = CPU_FERR_IGNORE;
	CHECK_EQ(go(&t, ITEST_CODE + 11), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + sizeof(code));
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xffff, 0xa884);
	CHECK_EQ(ferr_ends, 1);
	/* With NE set, or where nobody listens, it is an exception. */
	t.c->cr0 |= X86_CR0_NE;
	CHECK_EQ(go(&t, ITEST_CODE), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_MF);
	CHECK_EQ(ferr_ends, 1);
	itest_close(&t);
}

/* ---- blocks -------------------------------------------------------------------------- */

/* mov ecx, 1000; 1: add rax, rcx; dec ecx; jnz 1b; hlt */
static const uint8_t sum_loop[] = {
	0xb9, 0xe8, 0x03, 0, 0, 0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9, 0xf4,
};

UNUSED static void test_loop(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, sum_loop);
	CHECK_EQ(itest_go(&t, UINT64_MAX), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 500500);
	CHECK_EQ(t.c->rip, ITEST_CODE + sizeof(sum_loop));
	CHECK_EQ(t.c->retired, 1 + 3 * 1000 + 1);
	itest_close(&t);
}

/* REP within a block that goes on, with more steps than one. */
static void test_rep(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0x17,			/* 1: mov [rdi], rdx */
		0x48, 0x8d, 0x7e, 0x40,			/* lea rdi, [rsi+0x40] */
		0xb9, 5, 0, 0, 0, 0xf3, 0xab,		/* mov ecx, 5; rep stosd */
		0xb9, 3, 0, 0, 0, 0xf3, 0x48, 0xa5,	/* mov ecx, 3; rep movsq */
		0x83, 0xeb, 1, 0x75, 0xe6,		/* sub ebx, 1; jnz 1b */
		0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = 0x11223344;
	t.c->gpr[CPU_RBX] = 4;
	t.c->gpr[CPU_RDX] = 7;
	t.c->gpr[CPU_RSI] = t.c->gpr[CPU_RDI] = ITEST_DATA;
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 10000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RCX], 0);
	CHECK_EQ(t.c->gpr[CPU_RSI], ITEST_DATA + 4 * 24);
	CHECK_EQ(t.c->gpr[CPU_RDI], ITEST_DATA + 3 * 24 + 0x40 + 20 + 24);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(itest_get64(&t, ITEST_DATA + 3 * 24 + 0x40 + 8 * i), UINT64_C(0x1122334411223344));
	itest_close(&t);
}

/* The same bytes in every mode; they mean the same apart from the REX prefix. */
static void test_modes(void **state)
{
	static const uint8_t code16[] = {
		0x66, 0xb9, 0xe8, 0x03, 0, 0, 0x01, 0xc8, 0x49, 0x75, 0xfb, 0xf4,
	};
	static const uint8_t code32[] = {
		0xb9, 0xe8, 0x03, 0, 0, 0x01, 0xc8, 0x49, 0x75, 0xfb, 0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	ITEST_CODE_IS(&t, code32);
	CHECK_EQ(itest_go(&t, 10000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 500500);
	itest_mode(&t, ITEST_16);
	ITEST_CODE_IS(&t, code16);
	CHECK_EQ(itest_go(&t, 10000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 500500 & 0xffff);
	/* the same address as 32-bit code is another block */
	itest_mode(&t, ITEST_32);
	ITEST_CODE_IS(&t, code32);
	CHECK_EQ(itest_go(&t, 10000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 500500);
	itest_close(&t);
}

/* Traced, it is slow and the same. */
static void test_trace(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, sum_loop);
	atomic_fetch_or(&t.c->events, EVENT_TRACE);
	CHECK_EQ(itest_go(&t, UINT64_MAX), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 500500);
	CHECK_EQ(t.c->retired, 1 + 3 * 1000 + 1);
	itest_close(&t);
}

/* A fault in the middle of a block is precise, and counted so. */
UNUSED static void test_fault(void **state)
{
	/* inc eax; inc eax; mov [0xfff00000], ebx (not present); inc eax; hlt */
	static const uint8_t code[] = {
		0xff, 0xc0, 0xff, 0xc0, 0x89, 0x1c, 0x25, 0, 0, 0xf0, 0x7f, 0xff, 0xc0, 0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_PAGE);
	CHECK_EQ(t.c->cr2, 0x7ff00000);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	CHECK_EQ(t.c->retired, 2 + 1);
	CHECK_EQ(frame_rip(&t, 8), ITEST_CODE + 4);
	CHECK_EQ(frame_rip(&t, 0), X86_PF_W);
	itest_close(&t);
}

UNUSED static void test_bounded(void **state)
{
	static const uint8_t spin[] = { 0xeb, 0xfe };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, spin);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_KICK);
	CHECK_EQ(t.c->retired, 1000);
	itest_close(&t);
}

static void test_shutdown(void **state)
{
	static const uint8_t ud[] = { 0x0f, 0x0b };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->idt.limit = 0;
	ITEST_CODE_IS(&t, ud);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_SHUTDOWN);
	itest_close(&t);
}

/* ---- fetches ------------------------------------------------------------------------- */

static void test_fetch_fault(void **state)
{
	static const uint8_t nop2[] = { 0x66, 0x90 }, mov[] = { 0xb8, 1, 2, 3, 4, 0xf4 };
	const uint64_t end = ITEST_CODE + 0x1000;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, itest_pte(end), end | X86_PTE_P | X86_PTE_W | X86_PTE_NX);
	/* an instruction that just fits runs; the next faults at its own address */
	itest_put(&t, end - 2, nop2, 2);
	CHECK_EQ(go(&t, end - 2), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_PAGE);
	CHECK_EQ(t.c->cr2, end);
	CHECK_EQ(frame_rip(&t, 8), end);
	CHECK_EQ(frame_rip(&t, 0), X86_PF_P | X86_PF_I);
	/* one that goes on in the forbidden page faults there, with RIP at its start */
	itest_put(&t, end - 2, mov, 6);
	CHECK_EQ(go(&t, end - 2), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_PAGE);
	CHECK_EQ(t.c->cr2, end);
	CHECK_EQ(frame_rip(&t, 8), end - 2);
	/* an undefined opcode that is complete needs no second page */
	itest_put(&t, end - 2, "\x0f\x0b", 2);
	CHECK_EQ(go(&t, end - 2), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_UD);
	/* nobody executes a device */
	CHECK_EQ(go(&t, ITEST_MMIO), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_UD);
	CHECK_EQ(t.nr_mmio, 0);
	/* and nothing lies in the non-canonical hole */
	CHECK_EQ(go(&t, UINT64_C(1) << 47), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_GP);
	itest_close(&t);
}

/* The code segment's limit, also where a cached block is longer than what is left. */
static void test_limit(void **state)
{
	static const uint8_t nops[] = { 0x90, 0x90, 0x90, 0x90, 0xb0, 7, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	ITEST_CODE_IS(&t, nops);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 7);
	t.c->seg[CPU_CS].limit = ITEST_CODE + 4;	/* the MOV is half outside */
	interp_mode_changed(t.c);
	t.c->rip = ITEST_CODE;
	t.c->halted = 0;
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(itest_step(&t), X86_GP);
	CHECK_EQ(t.c->rip, ITEST_CODE + 4);
	t.c->rip = ITEST_CODE;
	t.c->gpr[CPU_RAX] = 0;
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_GP);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0);
	/* real mode does not wrap at 64 KiB: #GP there */
	itest_mode(&t, ITEST_16);
	itest_put(&t, 0x4ffff, "\x90", 1);
	CHECK_EQ(go(&t, 0xffff), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_GP);
	itest_close(&t);
}

/* ---- interrupts ---------------------------------------------------------------------- */

static void raise_irq(struct itest *t)
{
	t->irq = IRQ;
	cpu_notify(t->cpu);
}

/* Not while IF is clear; after STI only behind the next instruction. */
static void test_sti(void **state)
{
	/* mov al, 1; sti; mov al, 2; mov al, 3; hlt */
	static const uint8_t code[] = { 0xb0, 1, 0xfb, 0xb0, 2, 0xb0, 3, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	raise_irq(&t);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), IRQ);
	CHECK_EQ(t.irqs_taken, 1);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE + 5);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	CHECK_EQ(t.c->rflags & X86_IF, 0);
	itest_close(&t);
}

static void test_mov_ss(void **state)
{
	/* mov eax, ss; (event) mov ss, eax; mov al, 2; mov al, 3; hlt */
	static const uint8_t code[] = { 0x8e, 0xd0, 0xb0, 2, 0xb0, 3, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	t.c->gpr[CPU_RAX] = ITEST_DATA32;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	t.c->rflags |= X86_IF;
	raise_irq(&t);
	CHECK_EQ(t.c->shadow, SHADOW_MOV_SS);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), IRQ);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE + 4);
	itest_close(&t);
}

static void test_hlt(void **state)
{
	/* sti; hlt; mov al, 9; cli; hlt */
	static const uint8_t code[] = { 0xfb, 0xf4, 0xb0, 9, 0xfa, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + 2);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);	/* nothing came */
	CHECK_EQ(t.c->rip, ITEST_CODE + 2);
	raise_irq(&t);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), IRQ);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE + 2);
	itest_put(&t, ITEST_HANDLERS + IRQ * 16, "\x48\xcf", 2);	/* iretq */
	CHECK_EQ(go(&t, ITEST_HANDLERS + IRQ * 16), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 9);
	/* halted with IF clear: only an NMI wakes it */
	raise_irq(&t);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + 6);
	CHECK_EQ(t.irqs_taken, 1);
	itest_close(&t);
}

/* The handler that was entered runs IRET, and what waits is delivered on top of its HLT. */
static void test_two_nmis(void **state)
{
	static const uint8_t code[] = { 0x90, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	itest_put(&t, ITEST_HANDLERS + X86_NMI * 16, "\x48\xff\xc3\x48\xcf", 5);	/* INC RBX; IRETQ */
	t.c->gpr[CPU_RBX] = 0;
	for (unsigned i = 0; i < 3; i++)	/* more than two are two */
		t.cpu->engine->nmi(t.cpu);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 2);
	/* One in service: only one more can wait. */
	t.c->nmi_masked = 1;
	t.c->halted = 0;
	for (unsigned i = 0; i < 3; i++)
		t.cpu->engine->nmi(t.cpu);
	t.c->rip = ITEST_CODE;
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 2);
	t.c->nmi_masked = 0;
	t.c->halted = 0;
	t.c->rip = ITEST_CODE;
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 3);
	itest_close(&t);
}

static void test_nmi(void **state)
{
	static const uint8_t code[] = { 0x90, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	t.cpu->engine->nmi(t.cpu);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_NMI);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE);
	/* a second one waits for IRET */
	t.cpu->engine->nmi(t.cpu);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, ITEST_HANDLERS + X86_NMI * 16 + 1);
	itest_put(&t, ITEST_HANDLERS + 64, "\x48\xcf", 2);
	t.c->rip = ITEST_HANDLERS + 64;
	t.c->halted = 0;
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_NMI);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE);
	itest_close(&t);
}

static void *kick_later(void *arg)
{
	struct itest *t = arg;

	while (__atomic_load_n(&t->c->retired, __ATOMIC_RELAXED) < 1000)
		;
	cpu_kick(t->cpu);
	return NULL;
}

UNUSED static void test_kick(void **state)
{
	static const uint8_t spin[] = { 0xeb, 0xfe };
	struct itest t;
	pthread_t th;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, spin);
	cpu_kick(t.cpu);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_KICK);	/* also when it was not running */
	CHECK_EQ(t.c->retired, 0);
#ifndef INTERP_TSAN
	CHECK_EQ(pthread_create(&th, NULL, kick_later, &t), 0);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_KICK);
	pthread_join(th, NULL);
	CHECK_EQ(t.c->rip, ITEST_CODE);
#else
	(void)th, (void)kick_later;
#endif
	itest_close(&t);
}

UNUSED static void test_remote_flush(void **state)
{
	static const uint8_t code[] = { 0x8b, 0x06, 0xf4 };	/* mov eax, [rsi]; hlt */
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	itest_put64(&t, 0x200000, 1);
	itest_put64(&t, 0x300000, 2);
	t.c->gpr[CPU_RSI] = 0x200000;
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	itest_put64(&t, itest_pte(0x200000), 0x300000 | 7);
	CHECK_EQ(go(&t, ITEST_CODE), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	t.cpu->engine->tlb_flush(t.cpu);
	CHECK_EQ(go(&t, ITEST_CODE), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	itest_close(&t);
}

/* ---- debug traps --------------------------------------------------------------------- */

static void test_single_step(void **state)
{
	/* pushf; or dword [rsp], 0x100; popf; mov al, 1; mov al, 2; hlt */
	static const uint8_t code[] = {
		0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0xb0, 1, 0xb0, 2, 0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DB);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE + 11);
	CHECK_EQ(t.c->dr6 & 0x4000, 0x4000);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xff, 1);
	CHECK_EQ(t.c->rflags & X86_TF, 0);
	itest_close(&t);
}

static void test_code_breakpoint(void **state)
{
	static const uint8_t code[] = { 0xb0, 1, 0xb0, 2, 0xb0, 3, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	t.c->dr[1] = ITEST_CODE + 2;
	t.c->dr7 = 0x400 | 1 << 2;
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DB);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE + 2);	/* before it */
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	CHECK_EQ(t.c->dr6 & 0xf, 2);
	/* RF in the image: IRET goes on past it */
	CHECK(itest_get64(&t, t.c->gpr[CPU_RSP] + 16) & X86_RF);
	itest_put(&t, ITEST_HANDLERS + 16, "\x48\xcf", 2);
	CHECK_EQ(go(&t, ITEST_HANDLERS + 16), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + 7);
	CHECK_EQ(t.c->gpr[CPU_RAX], 3);
	CHECK_EQ(t.c->rflags & X86_RF, 0);
	itest_close(&t);
}

static void test_data_breakpoint(void **state)
{
	/* mov [rsi], al; mov bl, [rsi + 1]; mov [rsi + 1], al; mov cl, 1; hlt */
	static const uint8_t code[] = {
		0x88, 0x06, 0x8a, 0x5e, 1, 0x88, 0x46, 1, 0xb1, 1, 0xf4,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	ITEST_CODE_IS(&t, code);
	t.c->gpr[CPU_RSI] = 0x200000;
	interp_store(t.c, CPU_DS, 0x200000, 8, 0);	/* cached before the breakpoint came */
	t.c->gpr[CPU_RAX] = 0x77;
	t.c->dr[0] = 0x200001;
	t.c->dr7 = 0x400 | 1 | 1 << 16;			/* one byte, writes */
	CHECK_EQ(itest_go(&t, 1000), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_DB);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE + 8);	/* after it */
	CHECK_EQ(itest_get64(&t, 0x200000), 0x7777);
	CHECK_EQ(t.c->dr6 & 0xf, 1);
	/* reads and writes */
	t.c->dr6 = 0;
	t.c->dr7 = 0x400 | 1 | 3 << 16;
	CHECK_EQ(go(&t, ITEST_CODE), CPU_EXIT_HLT);
	CHECK_EQ(frame_rip(&t, 0), ITEST_CODE + 5);
	itest_close(&t);
}

/* ---- registers ----------------------------------------------------------------------- */

static void test_regs(void **state)
{
	struct cpu_regs r, again;
	struct itest t;
	struct err err;

	(void)state;
	itest_open(&t, ITEST_64);
	t.tpr = 5;
	t.c->gpr[CPU_R15] = 0x1515;
	t.c->shadow = SHADOW_STI;
	t.c->tsc_adjust = 3;
	t.c->misc_enable = 1u << 18;
	t.c->spec_ctrl = 1;
	t.cpu->engine->nmi(t.cpu);
	t.cpu->engine->get_regs(t.cpu, &r);
	CHECK_EQ(r.cr8, 5);
	CHECK(r.shadow_sti && r.nmi_pending && !r.halted);
	itest_mode(&t, ITEST_16);
	t.tpr = 0;
	t.c->tsc_adjust = t.c->misc_enable = t.c->spec_ctrl = 0;
	CHECK_EQ(t.cpu->engine->set_regs(t.cpu, &r, &err), 0);
	CHECK_EQ(t.c->tsc_adjust, 3);
	CHECK_EQ(t.c->misc_enable, 1u << 18);
	CHECK_EQ(t.c->spec_ctrl, 1);
	CHECK_EQ(t.tpr, 5);
	CHECK(t.c->code64);
	t.cpu->engine->get_regs(t.cpu, &again);
	CHECK_MEM(&r, &again, sizeof(r));
	r.efer &= ~(uint64_t)X86_EFER_LMA;
	CHECK_EQ(t.cpu->engine->set_regs(t.cpu, &r, &err), -EINVAL);
	r = again;
	r.xcr0 = 7;
	CHECK_EQ(t.cpu->engine->set_regs(t.cpu, &r, &err), -EINVAL);
	itest_close(&t);
}

static void test_create_fails(void **state)
{
	struct cpu_conf conf = { .model = "x86-64-v9" };
	struct cpu *cpu;
	struct err err;
	struct itest t;

	(void)state;
	CHECK_EQ(cpu_engine_interpret.create(&conf, &cpu, &err), -EINVAL);
	itest_open(&t, ITEST_64);
	conf = t.c->conf;
	for (unsigned n = 1; n <= 4; n++) {
		base_fail_alloc(n);
		CHECK_EQ(cpu_engine_interpret.create(&conf, &cpu, &err), -ENOMEM);
	}
	base_fail_alloc(0);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#ifndef ITEST_TRANSLATE	/* bounded, or counts instructions, or looks at blocks */
		cmocka_unit_test(test_loop),
#endif
		cmocka_unit_test(test_rep),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_a20),
		cmocka_unit_test(test_ferr),
		cmocka_unit_test(test_trace),
#ifndef ITEST_TRANSLATE	/* bounded, or counts instructions, or looks at blocks */
		cmocka_unit_test(test_fault),
#endif
#ifndef ITEST_TRANSLATE	/* bounded, or counts instructions, or looks at blocks */
		cmocka_unit_test(test_bounded),
#endif
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_fetch_fault),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_sti),
		cmocka_unit_test(test_mov_ss),
		cmocka_unit_test(test_hlt),
		cmocka_unit_test(test_nmi),
		cmocka_unit_test(test_two_nmis),
#ifndef ITEST_TRANSLATE	/* bounded, or counts instructions, or looks at blocks */
		cmocka_unit_test(test_kick),
#endif
#ifndef ITEST_LOCK	/* stale translations */
		cmocka_unit_test(test_remote_flush),
#endif
		cmocka_unit_test(test_single_step),
		cmocka_unit_test(test_code_breakpoint),
		cmocka_unit_test(test_data_breakpoint),
		cmocka_unit_test(test_regs),
		cmocka_unit_test(test_create_fails),
	};

	return cmocka_run_group_tests_name("interp_run", tests, NULL, NULL);
}
