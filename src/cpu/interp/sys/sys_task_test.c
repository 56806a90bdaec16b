/* sys_task_test.c - hardware task switches, 32 and 16 bits */
#include "cpu/interp/sys/sys_test.h"

#define NEW_TR ITEST_GDT_FREE			/* 0x58 */
#define NEW_TSS 0x23000
#define GATE (ITEST_GDT_FREE + 8)		/* 0x60 */
#define TR16 (ITEST_GDT_FREE + 0x10)		/* 0x68 */
#define TSS16 0x24000
#define LDT (ITEST_GDT_FREE + 0x18)		/* 0x70 */
#define STEP(t, code) (ITEST_CODE_IS(t, code), itest_step(t))

enum { EIP = 0x20, EFLAGS = 0x24, EAX = 0x28, ESP = 0x38, ES = 0x48, CS = 0x4c, SS = 0x50, DS = 0x54,
       FS = 0x58, GS = 0x5c, LDTR = 0x60, TRAP = 0x64 };

static void put_new_task(struct itest *t)
{
	put_desc(t, NEW_TR, mk_desc(NEW_TSS, 103, 0x89, 0));
	put_desc(t, GATE, mk_gate(NEW_TR, 0, 0xe5, 0));
	put_desc(t, TR16, mk_desc(TSS16, 43, 0x81, 0));
	for (unsigned i = 0; i < 104; i += 4)
		put32(t, NEW_TSS + i, 0);
	put32(t, NEW_TSS + EIP, 0x45678);
	put32(t, NEW_TSS + EFLAGS, X86_IF | X86_CF);
	for (unsigned i = 0; i < 8; i++)
		put32(t, NEW_TSS + EAX + i * 4, 0xa0000000 + i);
	put32(t, NEW_TSS + ESP, 0x66000);
	put16(t, NEW_TSS + CS, ITEST_CODE32);
	put16(t, NEW_TSS + SS, ITEST_DATA32);
	put16(t, NEW_TSS + DS, ITEST_DATA32);
	put16(t, NEW_TSS + ES, ITEST_USER_DATA);
	t->c->gpr[CPU_RAX] = 0x11111111;
	t->c->gpr[CPU_RDI] = 0x77777777;
	rflags_set(t, X86_OF);
	t->c->dr7 = 0x4ff;
}

static void jump_to_a_tss(void **state)
{
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x45678);
	CHECK_EQ(t.c->rflags, 2 | X86_IF | X86_CF);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0xa0000000);
	CHECK_EQ(t.c->gpr[CPU_RDI], 0xa0000007);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x66000);
	CHECK_EQ(t.c->seg[CPU_ES].sel, ITEST_USER_DATA);
	CHECK_EQ(t.c->seg[CPU_DS].attr, 0xc093);
	CHECK_EQ(t.c->seg[CPU_FS].attr, CPU_SEG_UNUSABLE);
	CHECK_EQ(t.c->seg[CPU_TR].sel, NEW_TR);
	CHECK_EQ(t.c->seg[CPU_TR].attr, 0x8b);
	CHECK(t.c->cr0 & X86_CR0_TS);
	CHECK_EQ(t.c->dr7, 0x4aa);			/* local breakpoints are off */
	/* The old task was saved and is free. */
	CHECK_EQ(get32(&t, ITEST_TSS + EIP), ITEST_CODE + sizeof(jmp));
	CHECK_EQ(get32(&t, ITEST_TSS + EFLAGS), 2 | X86_OF);
	CHECK_EQ(get32(&t, ITEST_TSS + EAX), 0x11111111);
	CHECK_EQ(get32(&t, ITEST_TSS + EAX + 28), 0x77777777);
	CHECK_EQ(get16(&t, ITEST_TSS + CS), ITEST_CODE32);
	CHECK_EQ(get_desc(&t, ITEST_TR) >> 40 & 0xff, 0x89);
	CHECK_EQ(get_desc(&t, NEW_TR) >> 40 & 0xff, 0x8b);
	itest_close(&t);
}

static void call_nests_and_iret_returns(void **state)
{
	/* call 0x60:0; hlt */
	static const uint8_t call[] = { 0x9a, 0, 0, 0, 0, 0x60, 0, 0xf4 };
	/* mov eax, 0x5555; iretd */
	static const uint8_t task[] = { 0xb8, 0x55, 0x55, 0, 0, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	itest_put(&t, 0x45678, task, sizeof(task));
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_TR].sel, NEW_TR);
	CHECK(t.c->rflags & X86_NT);
	CHECK_EQ(get16(&t, NEW_TSS), ITEST_TR);		/* the link back */
	CHECK_EQ(get_desc(&t, ITEST_TR) >> 40 & 0xff, 0x8b);	/* still busy */
	CHECK_EQ(itest_run(&t, 100), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_TR].sel, ITEST_TR);
	CHECK_EQ(t.c->rip, ITEST_CODE + sizeof(call));
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x11111111);
	CHECK(!(t.c->rflags & X86_NT));
	CHECK_EQ(get_desc(&t, NEW_TR) >> 40 & 0xff, 0x89);
	CHECK_EQ(get32(&t, NEW_TSS + EAX), 0x5555);
	CHECK(!(get32(&t, NEW_TSS + EFLAGS) & X86_NT));
	itest_close(&t);
}

static void double_fault_through_a_task_gate(void **state)
{
	/* mov eax, 0x18; mov ss, ax */
	static const uint8_t gp[] = { 0xb8, 0x18, 0, 0, 0, 0x8e, 0xd0 };
	/* hlt */
	static const uint8_t hlt[] = { 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	put_idt32(&t, X86_GP, 0);
	put_idt32(&t, X86_DFLT, mk_gate(NEW_TR, 0, 0x85, 0));
	itest_put(&t, 0x45678, hlt, sizeof(hlt));
	put32(&t, NEW_TSS + EFLAGS, 0);
	ITEST_CODE_IS(&t, gp);
	CHECK_EQ(itest_go(&t, 100), CPU_EXIT_HLT);
	CHECK_EQ(t.c->rip, 0x45679);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x66000 - 4);		/* the error code */
	CHECK_EQ(get32(&t, 0x66000 - 4), 0);
	CHECK_EQ(get32(&t, ITEST_TSS + EIP), ITEST_CODE + 5);
	CHECK_EQ(get16(&t, NEW_TSS), ITEST_TR);
	itest_close(&t);
}

static void checks_before_the_switch(void **state)
{
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	/* call 0x60:0 */
	static const uint8_t gate[] = { 0x9a, 0, 0, 0, 0, 0x60, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 103, 0x8b, 0));
	CHECK_FAULT(&t, jmp, X86_GP, NEW_TR);			/* busy */
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 103, 0x09, 0));
	CHECK_FAULT(&t, jmp, X86_NP, NEW_TR);
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 102, 0x89, 0));
	CHECK_FAULT(&t, jmp, X86_TS, NEW_TR);
	put_desc(&t, GATE, mk_gate(NEW_TR, 0, 0x65, 0));
	CHECK_FAULT(&t, gate, X86_NP, GATE);
	put_desc(&t, GATE, mk_gate(ITEST_DATA32, 0, 0xe5, 0));
	CHECK_FAULT(&t, gate, X86_GP, ITEST_DATA32);
	put_desc(&t, GATE, mk_gate(NEW_TR | 4, 0, 0xe5, 0));	/* in an LDT */
	t.c->seg[CPU_LDTR] = (struct cpu_seg){ LDT, 0x82, 0xff, ITEST_GDT };
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 103, 0x89, 0));
	CHECK_FAULT(&t, gate, X86_GP, NEW_TR | 4);
	t.c->seg[CPU_TR].limit = 102;				/* nowhere to save to */
	CHECK_FAULT(&t, jmp, X86_TS, ITEST_TR);
	t.c->seg[CPU_TR].limit = 103;
	CHECK_EQ(t.c->seg[CPU_TR].sel, ITEST_TR);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x11111111);
	CHECK_EQ(t.c->rip, ITEST_CODE);
	user32(&t);
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 103, 0x89, 0));	/* DPL 0 */
	CHECK_FAULT(&t, jmp, X86_GP, NEW_TR);
	itest_close(&t);
}

/* After the point of no return a fault is the new task's. */
static void faults_in_the_new_task(void **state)
{
	static const struct {
		unsigned at;
		uint16_t sel;
		unsigned vector;
	} rows[] = {
		{ LDTR, 0xc, X86_TS }, { CS, 0x78, X86_NP }, { CS, 0, X86_TS }, { CS, ITEST_DATA32, X86_TS }, { SS, 0, X86_TS },
		{ SS, ITEST_USER_DATA, X86_TS }, { DS, 0x80, X86_TS }, { GS, 0x78, X86_NP },
		{ LDTR, ITEST_DATA32, X86_TS }, { CS, ITEST_USER32 & 0xfff8, X86_TS },
	};
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	struct itest t;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		itest_open(&t, ITEST_32);
		put_new_task(&t);
		put_desc(&t, 0x78, mk_desc(0, 0xfffff, rows[i].at == CS ? 0x1b : 0x13, 0xc));
		put_desc(&t, 0, 0x00cf9b000000ffff);	/* null all the same */
		put16(&t, NEW_TSS + rows[i].at, rows[i].sel);
		CHECK_EQ(STEP(&t, jmp), (int)rows[i].vector);
		CHECK_EQ(t.c->exc_code, rows[i].sel & 0xfffc);
		CHECK_EQ(t.c->seg[CPU_TR].sel, NEW_TR);
		CHECK_EQ(t.c->rip, 0x45678);
		CHECK_EQ(t.c->gpr[CPU_RAX], 0xa0000000);
		CHECK_EQ(t.c->seg[CPU_DS].sel, get16(&t, NEW_TSS + DS));
		itest_close(&t);
	}
}

static void segments_are_marked_accessed(void **state)
{
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	put_desc(&t, ITEST_CODE32, 0x00cf9a000000ffff);
	put_desc(&t, ITEST_DATA32, 0x00cf92000000ffff);
	put_desc(&t, ITEST_USER_DATA, 0x00cff2000000ffff);
	t.c->seg[CPU_LDTR] = (struct cpu_seg){ LDT, 0x82, 0xff, 0x25000 };
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(get_desc(&t, ITEST_CODE32) >> 40 & 0xff, 0x9b);
	CHECK_EQ(get_desc(&t, ITEST_DATA32) >> 40 & 0xff, 0x93);
	CHECK_EQ(get_desc(&t, ITEST_USER_DATA) >> 40 & 0xff, 0xf3);
	CHECK_EQ(t.c->seg[CPU_LDTR].attr, CPU_SEG_UNUSABLE);
	itest_close(&t);
}

/* Each task has its own page directory. */
static void page_tables_are_switched(void **state)
{
	/* mov eax, [0x500000]; jmp 0x58:0 */
	static const uint8_t read[] = { 0xa1, 0, 0, 0x50, 0, 0xea, 0, 0, 0, 0, 0x58, 0 };
	/* mov eax, [0x500000]; hlt */
	static const uint8_t task[] = { 0xa1, 0, 0, 0x50, 0, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	for (uint32_t i = 0; i < 1024; i++) {		/* pages of 4 MiB */
		put32(&t, 0x90000 + i * 4, i << 22 | 0x83);
		put32(&t, 0x91000 + i * 4, i == 1 ? 0x83 : i << 22 | 0x83);
	}
	put32(&t, 0x500000, 0x11111111);
	put32(&t, 0x100000, 0x22222222);
	t.c->cr3 = 0x90000;
	t.c->cr0 |= X86_CR0_PG;
	interp_mode_changed(t.c);
	interp_tlb_flush(t.c, true);
	put32(&t, NEW_TSS + 0x1c, 0x91000);
	itest_put(&t, 0x45678, task, sizeof(task));
	ITEST_CODE_IS(&t, read);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x11111111);
	CHECK_EQ(itest_run(&t, 10), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x22222222);
	CHECK_EQ(t.c->cr3, 0x91000);
	itest_close(&t);
}

static void entry_beyond_the_limit(void **state)
{
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	/* iretd */
	static const uint8_t task[] = { 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	put32(&t, NEW_TSS + EIP, 0x10000);
	put16(&t, NEW_TSS + CS, ITEST_CODE16);
	CHECK_EQ(STEP(&t, jmp), X86_GP);
	CHECK_EQ(t.c->exc_code, 0);
	CHECK_EQ(t.c->seg[CPU_TR].sel, NEW_TR);
	itest_mode(&t, ITEST_32);
	put_new_task(&t);
	put32(&t, NEW_TSS + EIP, 0x10000);
	put16(&t, NEW_TSS + CS, ITEST_CODE16);
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 103, 0x8b, 0));
	put16(&t, ITEST_TSS, NEW_TR);
	rflags_set(&t, X86_NT);
	CHECK_EQ(STEP(&t, task), X86_GP);			/* through the link */
	CHECK_EQ(t.c->seg[CPU_TR].sel, NEW_TR);
	CHECK_EQ(t.c->exc_code, 0);
	/* From an event: #GP(EXT), of the new task. */
	itest_mode(&t, ITEST_32);
	put_desc(&t, ITEST_TR, mk_desc(ITEST_TSS, 103, 0x8b, 0));
	put_new_task(&t);
	put32(&t, NEW_TSS + EIP, 0x10000);
	put16(&t, NEW_TSS + CS, ITEST_CODE16);
	put_idt32(&t, 0x40, mk_gate(NEW_TR, 0, 0x85, 0));
	CHECK_EQ(interp_deliver(t.c, 0x40, DELIVER_EXTERNAL, false, 0), 0);
	CHECK_EQ(t.c->rip, ITEST_HANDLERS + X86_GP * 16);
	CHECK_EQ(t.c->seg[CPU_TR].sel, NEW_TR);
	CHECK_EQ(get32(&t, t.c->gpr[CPU_RSP]), 1);
	CHECK_EQ(get32(&t, t.c->gpr[CPU_RSP] + 4), 0x10000);
	itest_close(&t);
}

/* The link of a task that nobody called is no task. */
static void iret_checks_the_link(void **state)
{
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	rflags_set(&t, X86_NT);
	put16(&t, ITEST_TSS, NEW_TR);				/* available, not busy */
	CHECK_FAULT(&t, iretd, X86_TS, NEW_TR);
	put16(&t, ITEST_TSS, NEW_TR | 4);
	CHECK_FAULT(&t, iretd, X86_TS, NEW_TR | 4);
	put16(&t, ITEST_TSS, 0x1000);
	CHECK_FAULT(&t, iretd, X86_TS, 0x1000);
	put16(&t, ITEST_TSS, NEW_TR);
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 103, 0x0b, 0));
	CHECK_FAULT(&t, iretd, X86_NP, NEW_TR);
	CHECK_EQ(t.c->seg[CPU_TR].sel, ITEST_TR);
	itest_close(&t);
}

static void to_ring_3_with_an_ldt(void **state)
{
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	put_desc(&t, LDT, mk_desc(0x25000, 0xf, 0x82, 0));
	itest_put64(&t, 0x25008, mk_desc(0x1000, 0xfffff, 0xf2, 0xc));
	put16(&t, NEW_TSS + LDTR, LDT);
	put16(&t, NEW_TSS + CS, ITEST_USER32);
	put16(&t, NEW_TSS + SS, 0xf);			/* entry 1 of the LDT, RPL 3 */
	put16(&t, NEW_TSS + DS, 0xf);
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->seg[CPU_SS].base, 0x1000);
	CHECK_EQ(t.c->seg[CPU_LDTR].base, 0x25000);
	CHECK_EQ(itest_get64(&t, 0x25008) >> 40 & 0xff, 0xf3);
	itest_close(&t);
}

static void to_v86(void **state)
{
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	put32(&t, NEW_TSS + EIP, 0x5678);
	put32(&t, NEW_TSS + EFLAGS, X86_VM);
	put16(&t, NEW_TSS + CS, 0x1234);
	put16(&t, NEW_TSS + GS, 0x4321);
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->seg[CPU_CS].base, 0x12340);
	CHECK_EQ(t.c->seg[CPU_GS].base, 0x43210);
	CHECK_EQ(t.c->seg[CPU_GS].attr, SEG_V86);
	itest_close(&t);
}

static void to_16_bits_and_back(void **state)
{
	/* call 0x68:0; hlt */
	static const uint8_t call[] = { 0x9a, 0, 0, 0, 0, 0x68, 0, 0xf4 };
	/* mov bx, 0x99; iret */
	static const uint8_t task[] = { 0xbb, 0x99, 0, 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	for (unsigned i = 0; i < 44; i += 2)
		put16(&t, TSS16 + i, 0);
	put16(&t, TSS16 + 0x0e, 0x6000);			/* IP */
	put16(&t, TSS16 + 0x12, 0xbeef);			/* AX */
	put16(&t, TSS16 + 0x24, ITEST_CODE16);
	put16(&t, TSS16 + 0x26, ITEST_DATA16);
	put16(&t, TSS16 + 0x28, ITEST_DATA16);
	itest_put(&t, 0x6000, task, sizeof(task));
	t.c->gpr[CPU_RBX] = 0x12345678;
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x6000);
	CHECK_EQ(t.c->rflags, 2 | X86_NT);
	CHECK_EQ(t.c->gpr[CPU_RAX] & 0xffff, 0xbeef);
	CHECK_EQ(t.c->seg[CPU_DS].sel, ITEST_DATA16);
	CHECK_EQ(get32(&t, ITEST_TSS + EAX + 12), 0x12345678);
	CHECK_EQ(itest_run(&t, 100), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_TR].sel, ITEST_TR);
	CHECK_EQ(t.c->gpr[CPU_RBX], 0x12345678);
	CHECK_EQ(get16(&t, TSS16 + 0x18), 0x99);		/* BX of the 16-bit task */
	CHECK_EQ(get16(&t, TSS16 + 0x0e), 0x6000 + sizeof(task));
	CHECK_EQ(get_desc(&t, TR16) >> 40 & 0xff, 0x81);
	itest_close(&t);
}

static void trap_bit_raises_debug(void **state)
{
	/* jmp 0x58:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_new_task(&t);
	put16(&t, NEW_TSS + TRAP, 1);
	CHECK_EQ(STEP(&t, jmp), X86_DB);
	CHECK_EQ(t.c->rip, 0x45678);
	CHECK_EQ(t.c->dr6, 0xffff8ff0);
	itest_close(&t);
}

static void long_mode_has_no_tasks(void **state)
{
	/* jmp far dword [0x80000] */
	static const uint8_t jmp[] = { 0xff, 0x2c, 0x25, 0, 0, 8, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put_desc(&t, NEW_TR, mk_desc(NEW_TSS, 103, 0x89, 0));
	itest_put64(&t, ITEST_DATA, (uint64_t)NEW_TR << 32);
	CHECK_FAULT(&t, jmp, X86_GP, NEW_TR);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(jump_to_a_tss),
		cmocka_unit_test(call_nests_and_iret_returns),
		cmocka_unit_test(double_fault_through_a_task_gate),
		cmocka_unit_test(checks_before_the_switch),
		cmocka_unit_test(faults_in_the_new_task),
		cmocka_unit_test(segments_are_marked_accessed),
		cmocka_unit_test(page_tables_are_switched),
		cmocka_unit_test(entry_beyond_the_limit),
		cmocka_unit_test(iret_checks_the_link),
		cmocka_unit_test(to_ring_3_with_an_ldt),
		cmocka_unit_test(to_v86),
		cmocka_unit_test(to_16_bits_and_back),
		cmocka_unit_test(trap_bit_raises_debug),
		cmocka_unit_test(long_mode_has_no_tasks),
	};

	return cmocka_run_group_tests_name("sys_task", tests, NULL, NULL);
}
