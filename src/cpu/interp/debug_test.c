/* debug_test.c - a debugger's points and steps, and a guest that sees none of them */
#include "base/test.h"
#include "cpu/interp/debug.h"
#include "cpu/interp/itest.h"

#include <stdlib.h>
#include <string.h>

static struct cpu_debug want;

static void set(struct itest *t)
{
	CHECK_EQ(t->cpu->engine->debug(t->cpu, &want), 0);
}

static void point(struct itest *t, uint64_t lin, uint32_t len, uint32_t on)
{
	want.point[want.nr++] = (struct cpu_debug_point){ lin, len, on };
	set(t);
}

static void begin(struct itest *t, const uint8_t *code, size_t n)
{
	memset(&want, 0, sizeof(want));
	itest_open(t, ITEST_64);
	itest_code(t, code, n);
	t->c->gpr[CPU_RSI] = ITEST_DATA;
}

static struct cpu_debug_stop stopped(struct itest *t)
{
	struct cpu_debug_stop s;

	CHECK_EQ(cpu_run(t->cpu), CPU_EXIT_DEBUG);
	t->cpu->engine->debug_stop(t->cpu, &s);
	return s;
}

static void step(struct itest *t, uint64_t rip)
{
	want.step = true;
	set(t);
	want.step = false;
	CHECK_EQ(stopped(t).why, CPU_STOP_STEP);
	CHECK_EQ(t->c->rip, rip);
}

#define BEGIN(t, ...) \
	do { \
		static const uint8_t code_[] = { __VA_ARGS__ }; \
		begin(t, code_, sizeof(code_)); \
	} while (0)

/* ---- execution -------------------------------------------------------------------------- */

/* In a loop, and in a block that was decoded and linked before the point came. */
static void a_breakpoint_stops_before_its_instruction_every_time(void **state)
{
	struct cpu_debug_stop s;
	struct itest t;

	(void)state;
	/* 1: inc eax; inc ebx; dec ecx; jnz 1b; hlt */
	BEGIN(&t, 0xff, 0xc0, 0xff, 0xc3, 0xff, 0xc9, 0x75, 0xf8, 0xf4);
	t.c->gpr[CPU_RCX] = 1000;
	itest_go(&t, 300);
	CHECK(t.c->gpr[CPU_RAX] > 2);
	t.c->rip = ITEST_CODE;
	t.c->gpr[CPU_RAX] = t.c->gpr[CPU_RBX] = 0;
	t.c->gpr[CPU_RCX] = 3;
	point(&t, ITEST_CODE + 2, 1, CPU_DEBUG_EXEC);
	for (unsigned i = 1; i <= 3; i++) {
		s = stopped(&t);
		CHECK_EQ(s.why, CPU_STOP_BREAK);
		CHECK_EQ(s.lin, ITEST_CODE + 2);
		CHECK_EQ(t.c->rip, ITEST_CODE + 2);
		CHECK_EQ(t.c->gpr[CPU_RAX], i);
		CHECK_EQ(t.c->gpr[CPU_RBX], i - 1);
		/* Not moved on: the same again, and nothing has run. */
		CHECK_EQ(stopped(&t).why, CPU_STOP_BREAK);
		CHECK_EQ(t.c->gpr[CPU_RBX], i - 1);
		want.nr = 0;
		step(&t, ITEST_CODE + 4);
		point(&t, ITEST_CODE + 2, 1, CPU_DEBUG_EXEC);
	}
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RBX], 3);
	itest_close(&t);
}

/* The instruction at the page's end goes on in the next, and both have points. */
static void breakpoints_on_both_pages_of_an_instruction(void **state)
{
	struct itest t;

	(void)state;
	BEGIN(&t, 0xf4);
	/* mov eax, 0x11223344 across 0x42000; inc eax; hlt */
	itest_put(&t, 0x41ffe, (const uint8_t[]){ 0xb8, 0x44, 0x33, 0x22, 0x11, 0xff, 0xc0, 0xf4 }, 8);
	t.c->rip = 0x41ffe;
	point(&t, 0x41ffe, 1, CPU_DEBUG_EXEC);
	point(&t, 0x42003, 1, CPU_DEBUG_EXEC);
	CHECK_EQ(stopped(&t).lin, 0x41ffe);
	want.point[0].lin = 0x41ff0;
	set(&t);
	CHECK_EQ(stopped(&t).lin, 0x42003);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x11223344);
	want.nr = 0;
	set(&t);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x11223345);
	itest_close(&t);
}

static void points_are_linear_in_real_mode(void **state)
{
	static const uint8_t code[] = { 0x40, 0x43, 0xf4 };	/* inc ax; inc bx; hlt */
	struct itest t;

	(void)state;
	memset(&want, 0, sizeof(want));
	itest_open(&t, ITEST_16);
	ITEST_CODE_IS(&t, code);
	point(&t, t.c->seg[CPU_CS].base + t.c->rip + 1, 1, CPU_DEBUG_EXEC);
	CHECK_EQ(stopped(&t).why, CPU_STOP_BREAK);
	CHECK_EQ((uint16_t)t.c->gpr[CPU_RAX], 1);
	CHECK_EQ((uint16_t)t.c->gpr[CPU_RBX], 0);
	itest_close(&t);
}

/* ---- data ------------------------------------------------------------------------------- */

static void a_watchpoint_stops_after_the_access(void **state)
{
	struct cpu_debug_stop s;
	struct itest t;

	(void)state;
	/* mov eax, [rsi]; mov [rsi + 4], eax; inc dword [rsi + 7]; nop; hlt */
	BEGIN(&t, 0x8b, 0x06, 0x89, 0x46, 0x04, 0xff, 0x46, 0x07, 0x90, 0xf4);
	point(&t, ITEST_DATA + 5, 1, CPU_DEBUG_WRITE);
	point(&t, ITEST_DATA + 10, 1, CPU_DEBUG_READ);
	point(&t, ITEST_DATA + 3, 1, CPU_DEBUG_READ | CPU_DEBUG_WRITE);
	s = stopped(&t);
	CHECK_EQ(s.why, CPU_STOP_WATCH);
	CHECK_EQ(s.lin, ITEST_DATA + 3);
	CHECK_EQ(s.on, CPU_DEBUG_READ | CPU_DEBUG_WRITE);
	CHECK_EQ(t.c->rip, ITEST_CODE + 2);
	s = stopped(&t);
	CHECK_EQ(s.lin, ITEST_DATA + 5);
	CHECK_EQ(t.c->rip, ITEST_CODE + 5);
	s = stopped(&t);		/* an increment reads too */
	CHECK_EQ(s.lin, ITEST_DATA + 10);
	CHECK_EQ(s.on, CPU_DEBUG_READ);
	CHECK_EQ(t.c->rip, ITEST_CODE + 8);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
	itest_close(&t);
}

/* REP stops after the element that hit; the rest of the page is seen as well as the first. */
static void a_string_instruction_stops_at_the_element(void **state)
{
	struct itest t;

	(void)state;
	BEGIN(&t, 0xf3, 0xaa, 0xf4);		/* rep stosb; hlt */
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	t.c->gpr[CPU_RCX] = 8192;
	point(&t, ITEST_DATA + 5000, 1, CPU_DEBUG_WRITE);
	CHECK_EQ(stopped(&t).why, CPU_STOP_WATCH);
	CHECK_EQ(t.c->gpr[CPU_RDI], ITEST_DATA + 5001);
	CHECK_EQ(t.c->rip, ITEST_CODE);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
	CHECK_EQ(t.c->gpr[CPU_RDI], ITEST_DATA + 8192);
	itest_close(&t);
}

static void a_long_point_covers_its_last_page_and_no_more(void **state)
{
	struct itest t;

	(void)state;
	/* mov al, [rsi]; mov al, [rdi]; hlt */
	BEGIN(&t, 0x8a, 0x06, 0x8a, 0x07, 0xf4);
	point(&t, ITEST_DATA + 0xf00, CPU_DEBUG_LEN, CPU_DEBUG_READ);
	t.c->gpr[CPU_RSI] = ITEST_DATA + 0x1eff;
	t.c->gpr[CPU_RDI] = ITEST_DATA + 0x1f00;
	CHECK_EQ(stopped(&t).why, CPU_STOP_WATCH);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
	itest_close(&t);
}

/* What an exception undid was not touched; what its delivery pushed was. */
static void a_fault_forgets_and_its_delivery_is_seen(void **state)
{
	struct cpu_debug_stop s;
	struct itest t;

	(void)state;
	BEGIN(&t, 0xff, 0x36, 0xf4);		/* push qword [rsi]; hlt */
	t.c->gpr[CPU_RSP] = UINT64_C(1) << 40;	/* not mapped */
	point(&t, ITEST_DATA, 8, CPU_DEBUG_READ);
	itest_put64(&t, ITEST_IDT + 14 * 16 + 0, itest_get64(&t, ITEST_IDT + 14 * 16) |
		    UINT64_C(1) << 32);		/* IST1 */
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
	CHECK_EQ(itest_caught(&t), X86_PAGE);
	t.c->halted = 0;
	t.c->rip = ITEST_CODE;
	t.c->gpr[CPU_RSP] = UINT64_C(1) << 40;
	point(&t, ITEST_IST1 - 8, 8, CPU_DEBUG_WRITE);
	s = stopped(&t);
	CHECK_EQ(s.lin, ITEST_IST1 - 8);
	CHECK_EQ(t.c->rip, ITEST_HANDLERS + 14 * 16);
	itest_close(&t);
}

/* ---- steps ------------------------------------------------------------------------------ */

static void a_step_is_one_instruction(void **state)
{
	struct itest t;

	(void)state;
	/* mov ss, eax; nop; rep lodsb (rcx 2); ud2; hlt */
	BEGIN(&t, 0x8e, 0xd0, 0x90, 0xf3, 0xac, 0x0f, 0x0b, 0xf4);
	t.c->gpr[CPU_RAX] = ITEST_DATA32;
	t.c->gpr[CPU_RCX] = 2;
	step(&t, ITEST_CODE + 2);
	step(&t, ITEST_CODE + 3);
	step(&t, ITEST_CODE + 3);		/* an element */
	CHECK_EQ(t.c->gpr[CPU_RCX], 1);
	step(&t, ITEST_CODE + 5);
	step(&t, ITEST_HANDLERS + X86_UD * 16);
	step(&t, ITEST_HANDLERS + X86_UD * 16 + 1);	/* over HLT: halted */
	CHECK(t.c->halted);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);	/* the step was one */
	itest_close(&t);
}

static void interrupts_wait_for_the_step_and_end_a_halt(void **state)
{
	struct itest t;

	(void)state;
	BEGIN(&t, 0x90, 0x90, 0xf4, 0x90);	/* nop; nop; hlt; nop */
	t.c->rflags |= X86_IF;
	t.irq = 0x40;
	t.c->irq_wait = 1;
	step(&t, ITEST_CODE + 1);
	step(&t, ITEST_CODE + 2);
	CHECK_EQ(t.irqs_taken, 0);
	step(&t, ITEST_CODE + 3);		/* HLT itself */
	CHECK_EQ(t.irqs_taken, 0);
	step(&t, ITEST_HANDLERS + 0x40 * 16);
	CHECK_EQ(t.irqs_taken, 1);
	itest_close(&t);
}

/* A kick in the middle: the step is still asked for. */
static void a_kick_does_not_eat_the_step(void **state)
{
	struct itest t;

	(void)state;
	BEGIN(&t, 0x90, 0x90, 0xf4);
	want.step = true;
	set(&t);
	cpu_kick(t.cpu);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_KICK);
	CHECK_EQ(t.c->rip, ITEST_CODE);
	CHECK_EQ(stopped(&t).why, CPU_STOP_STEP);
	CHECK_EQ(t.c->rip, ITEST_CODE + 1);
	CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
	itest_close(&t);
}

/* ---- the guest -------------------------------------------------------------------------- */

/* PUSHF, its own TF and its own DR0 work as if nobody looked. */
static void the_guest_does_not_see_it(void **state)
{
	uint64_t plain[4];
	struct itest t;

	(void)state;
	for (unsigned debugged = 0; debugged < 3; debugged++) {
		/* pushf; pop rax; mov edx, dr7; mov dr0, rsi; mov ecx, 0x30002; mov dr7, rcx; mov [rsi], al */
		BEGIN(&t, 0x9c, 0x58, 0x0f, 0x21, 0xfa, 0x0f, 0x23, 0xc6, 0xb9, 0x02, 0x00, 0x03, 0x00,
		      0x0f, 0x23, 0xf9, 0x88, 0x06, 0x90, 0xf4);
		point(&t, ITEST_DATA + 8, 8, CPU_DEBUG_WRITE | CPU_DEBUG_READ);
		point(&t, ITEST_CODE + 5, 1, CPU_DEBUG_EXEC);
		if (debugged == 0)
			CHECK_EQ(t.cpu->engine->debug(t.cpu, NULL), 0);
		if (debugged == 1) {
			CHECK_EQ(stopped(&t).why, CPU_STOP_BREAK);
			want.nr = 1;
			set(&t);
		}
		for (unsigned i = 0; debugged == 2 && i < 7; i++) {
			want.nr = 1;
			want.step = true;
			set(&t);
			CHECK_EQ(stopped(&t).why, CPU_STOP_STEP);
		}
		CHECK_EQ(cpu_run(t.cpu), CPU_EXIT_HLT);
		CHECK_EQ(itest_caught(&t), X86_DB);
		if (debugged == 0)
			memcpy(plain, (uint64_t[]){ t.c->gpr[CPU_RAX], t.c->gpr[CPU_RDX], t.c->dr6,
						    t.c->dr7 }, sizeof(plain));
		CHECK_EQ(t.c->gpr[CPU_RAX], plain[0]);
		CHECK_EQ(t.c->gpr[CPU_RDX], plain[1]);
		CHECK_EQ(t.c->dr6, plain[2]);
		CHECK_EQ(t.c->dr7, plain[3]);
		itest_close(&t);
	}
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
	struct cpu_debug_stop s;
	struct itest t;

	(void)state;
	BEGIN(&t, 0x90, 0x90, 0xf4);
	point(&t, ITEST_CODE + 1, 1, CPU_DEBUG_EXEC);
	want.point[1] = (struct cpu_debug_point){ 0, 0, CPU_DEBUG_READ };
	want.nr = 2;
	CHECK_EQ(t.cpu->engine->debug(t.cpu, &want), -EINVAL);
	want.point[1] = (struct cpu_debug_point){ 0, CPU_DEBUG_LEN + 1, CPU_DEBUG_READ };
	CHECK_EQ(t.cpu->engine->debug(t.cpu, &want), -EINVAL);
	want.point[1] = (struct cpu_debug_point){ 0, 1, 0 };
	CHECK_EQ(t.cpu->engine->debug(t.cpu, &want), -EINVAL);
	want.nr = CPU_DEBUG_MAX + 1;
	CHECK_EQ(t.cpu->engine->debug(t.cpu, &want), -EINVAL);
	s = stopped(&t);
	CHECK_EQ(s.lin, ITEST_CODE + 1);
	/* INIT and reset leave the debugger's points. */
	t.cpu->engine->reset(t.cpu, true);
	itest_mode(&t, ITEST_64);
	t.c->rip = ITEST_CODE;
	CHECK_EQ(stopped(&t).lin, ITEST_CODE + 1);
	itest_close(&t);
}

/* ---- cpu_lookup ------------------------------------------------------------------------- */

static uint64_t random_entry(void)
{
	uint64_t v = ((uint64_t)rand() % (ITEST_RAM >> 12)) << 12 | (rand() & 0x7f) | 1;

	if (rand() % 8 == 0)
		v &= ~UINT64_C(1);
	if (rand() % 4 == 0)
		v = (v & ~UINT64_C(0x1fe000)) | X86_PTE_PS;
	return v;
}

/* Wherever the interpreter's walk leads, without A and D bits of its own. */
static void lookup_agrees_with_the_walk(void **state)
{
	static const struct {
		uint64_t cr0, cr4, efer;
	} modes[] = {
		{ X86_CR0_PE, 0, 0 },
		{ X86_CR0_PE | X86_CR0_PG, 0, 0 },
		{ X86_CR0_PE | X86_CR0_PG, X86_CR4_PSE, 0 },
		{ X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, 0 },
		{ X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, X86_EFER_LME | X86_EFER_LMA },
	};
	unsigned found = 0;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	srand(1);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned mode = (unsigned)rand() % ARRAY_LEN(modes);
		uint64_t lin = (uint64_t)rand() << 31 ^ (uint64_t)rand(), gpa = 0;
		struct cpu_regs r = { 0 };
		struct walk w;
		uint32_t code;
		int rc;

		for (unsigned j = 0; i == 0 && j < ITEST_RAM / 8; j++)
			itest_put64(&t, j * 8, random_entry());
		lin = (uint64_t)((int64_t)(lin << 16) >> 16);
		if (mode != 4)
			lin = (uint32_t)lin;
		t.c->cr0 = r.cr0 = modes[mode].cr0;
		t.c->cr4 = r.cr4 = modes[mode].cr4;
		t.c->efer = r.efer = modes[mode].efer;
		t.c->cr3 = r.cr3 = (uint64_t)rand() % (ITEST_RAM >> 12) << 12;
		rc = cpu_lookup(&r, t.mem, lin, &gpa);
		if (interp_walk(t.c, lin, ACCESS_READ, false, &w, &code) != 0) {
			CHECK(rc == -EFAULT || (code & X86_PF_RSVD));
			continue;
		}
		CHECK_EQ(rc, 0);
		CHECK_EQ(gpa, w.gpa);
		found++;
	}
	CHECK(found > 20000);
	itest_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_breakpoint_stops_before_its_instruction_every_time),
		cmocka_unit_test(breakpoints_on_both_pages_of_an_instruction),
		cmocka_unit_test(points_are_linear_in_real_mode),
		cmocka_unit_test(a_watchpoint_stops_after_the_access),
		cmocka_unit_test(a_string_instruction_stops_at_the_element),
		cmocka_unit_test(a_long_point_covers_its_last_page_and_no_more),
		cmocka_unit_test(a_fault_forgets_and_its_delivery_is_seen),
		cmocka_unit_test(a_step_is_one_instruction),
		cmocka_unit_test(interrupts_wait_for_the_step_and_end_a_halt),
		cmocka_unit_test(a_kick_does_not_eat_the_step),
		cmocka_unit_test(the_guest_does_not_see_it),
		cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
		cmocka_unit_test(lookup_agrees_with_the_walk),
	};

	return cmocka_run_group_tests_name("interp_debug", tests, NULL, NULL);
}
