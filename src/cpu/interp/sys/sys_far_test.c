/* sys_far_test.c - far JMP, CALL and RET in every mode */
#include "cpu/interp/sys/sys_test.h"

#define GATE ITEST_GDT_FREE			/* 0x58; 16 bytes in long mode */
#define CONFORMING (ITEST_GDT_FREE + 0x10)	/* 0x68, ring 0 */
#define OTHER (ITEST_GDT_FREE + 0x18)		/* 0x70 */

/* ---- real mode, v8086 ---------------------------------------------------------------------------- */

static void real_jump_call_return(void **state)
{
	/* jmp 0x1234:0x5678 */
	static const uint8_t jmp[] = { 0xea, 0x78, 0x56, 0x34, 0x12 };
	/* call 0x1234:0x5678 */
	static const uint8_t call[] = { 0x9a, 0x78, 0x56, 0x34, 0x12 };
	/* call dword 0x1234:0x5678 */
	static const uint8_t call32[] = { 0x66, 0x9a, 0x78, 0x56, 0, 0, 0x34, 0x12 };
	/* jmp dword 0x1234:0x15678 */
	static const uint8_t big[] = { 0x66, 0xea, 0x78, 0x56, 1, 0, 0x34, 0x12 };
	/* retf 6 */
	static const uint8_t ret[] = { 0xca, 6, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x1234);
	CHECK_EQ(t.c->seg[CPU_CS].base, 0x12340);
	CHECK_EQ(t.c->rip, 0x5678);
	itest_mode(&t, ITEST_16);
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x7ffc);
	CHECK_EQ(get32(&t, 0x57ffc), 0x40000000 | sizeof(call));
	seg_set_real(t.c, CPU_CS, 0x4000);
	put32(&t, 0x57ffc, 0x43210042);
	CHECK_EQ(STEP(&t, ret), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0x4321);
	CHECK_EQ(t.c->rip, 0x42);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x8006);
	itest_mode(&t, ITEST_16);
	CHECK_EQ(STEP(&t, call32), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x7ff8);
	CHECK_EQ(get32(&t, 0x57ff8), sizeof(call32));
	itest_mode(&t, ITEST_16);
	CHECK_EQ(STEP(&t, big), X86_GP);
	itest_close(&t);
}

static void real_jump_keeps_limit(void **state)
{
	/* jmp 0x1234:0x5678 */
	static const uint8_t jmp[] = { 0xea, 0x78, 0x56, 0x34, 0x12 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	t.c->seg[CPU_CS].limit = UINT32_MAX;
	t.c->seg[CPU_CS].attr |= SEG_G;
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_CS].limit, UINT32_MAX);
	itest_close(&t);
}

/* ---- JMP and CALL to code ------------------------------------------------------------------------- */

static void jump_to_code(void **state)
{
	/* jmp 0x70:0x1234 */
	static const uint8_t jmp[] = { 0xea, 0x34, 0x12, 0, 0, 0x70, 0 };
	/* jmp 0x73:0x1234 */
	static const uint8_t jmp3[] = { 0xea, 0x34, 0x12, 0, 0, 0x73, 0 };
	/* jmp 0x3:0x1234 */
	static const uint8_t null[] = { 0xea, 0x34, 0x12, 0, 0, 3, 0 };
	/* jmp 0x100:0x1234 */
	static const uint8_t outside[] = { 0xea, 0x34, 0x12, 0, 0, 0, 1 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_desc(&t, OTHER, mk_desc(0x1000, 0xffff, 0x9a, 4));
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_CS].base, 0x1000);
	CHECK_EQ(t.c->rip, 0x1234);
	CHECK_EQ(get_desc(&t, OTHER) >> 40 & 0xff, 0x9b);
	itest_mode(&t, ITEST_32);
	CHECK_FAULT(&t, null, X86_GP, 0);
	CHECK_FAULT(&t, outside, X86_GP, 0x100);
	CHECK_FAULT(&t, jmp3, X86_GP, OTHER);			/* RPL > CPL */
	put_desc(&t, OTHER, mk_desc(0, 0xffff, 0xfa, 4));	/* DPL 3 from ring 0 */
	CHECK_FAULT(&t, jmp, X86_GP, OTHER);
	put_desc(&t, OTHER, mk_desc(0, 0xffff, 0x1a, 4));
	CHECK_FAULT(&t, jmp, X86_NP, OTHER);
	put_desc(&t, OTHER, mk_desc(0, 0x1233, 0x9a, 4));
	CHECK_FAULT(&t, jmp, X86_GP, 0);
	put_desc(&t, OTHER, mk_desc(0, 0xffff, 0x92, 4));
	CHECK_FAULT(&t, jmp, X86_GP, OTHER);
	put_desc(&t, OTHER, mk_desc(0, 0xffff, 0x82, 0));	/* an LDT */
	CHECK_FAULT(&t, jmp, X86_GP, OTHER);
	itest_close(&t);
}

static void conforming_code_keeps_the_ring(void **state)
{
	/* call 0x68:0x40000 */
	static const uint8_t call[] = { 0x9a, 0, 0, 4, 0, 0x68, 0 };
	/* jmp 0x70:0x1234 */
	static const uint8_t jmp[] = { 0xea, 0x34, 0x12, 0, 0, 0x70, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put_desc(&t, CONFORMING, mk_desc(0, 0xfffff, 0x9e, 0xc));
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->seg[CPU_CS].sel, CONFORMING | 3);
	CHECK_EQ(get32(&t, ITEST_STACK - 4), ITEST_USER32);
	/* Conforming code of an outer ring is not for us. */
	itest_mode(&t, ITEST_32);
	put_desc(&t, OTHER, mk_desc(0, 0xfffff, 0xfe, 0xc));
	CHECK_FAULT(&t, jmp, X86_GP, OTHER);
	itest_close(&t);
}

static void far_pointer_in_memory(void **state)
{
	/* jmp far dword [0x80000] */
	static const uint8_t jmp[] = { 0xff, 0x2c, 0x25, 0, 0, 8, 0 };
	/* o64 jmp far [0x80000] */
	static const uint8_t jmp64[] = { 0x48, 0xff, 0x2c, 0x25, 0, 0, 8, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, ITEST_DATA, 0x12345678 | (uint64_t)ITEST_CODE32 << 32);
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->code64, 0);
	CHECK_EQ(t.c->code32, 1);
	CHECK_EQ(t.c->rip, 0x12345678);
	itest_mode(&t, ITEST_64);
	itest_put64(&t, ITEST_DATA, UINT64_C(0xffff800000000000));
	itest_put64(&t, ITEST_DATA + 8, ITEST_CODE64);
	CHECK_EQ(STEP(&t, jmp64), ITEST_HLT);
	CHECK_EQ(t.c->rip, UINT64_C(0xffff800000000000));
	itest_mode(&t, ITEST_64);
	itest_put64(&t, ITEST_DATA, UINT64_C(0x800000000000));
	CHECK_FAULT(&t, jmp64, X86_GP, 0);
	put_desc(&t, OTHER, 0x00ef9b000000ffff);		/* L and D */
	itest_put64(&t, ITEST_DATA + 8, OTHER);
	CHECK_FAULT(&t, jmp64, X86_GP, OTHER);
	itest_close(&t);
}

/* ---- call gates ------------------------------------------------------------------------------------- */

static void call_gate_to_inner_ring(void **state)
{
	/* call 0x5b:0xdeadbeef */
	static const uint8_t call[] = { 0x9a, 0xef, 0xbe, 0xad, 0xde, 0x5b, 0 };
	struct itest t;
	uint64_t sp = ITEST_STACK0;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put_desc(&t, GATE, mk_gate(ITEST_CODE32, 0x40100, 0xec, 3));
	FRAME(&t, 4, 0x11, 0x22, 0x33);
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x40100);
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->gpr[CPU_RSP], sp - 28);
	CHECK_EQ(get32(&t, sp - 4), ITEST_USER_DATA);
	CHECK_EQ(get32(&t, sp - 8), ITEST_STACK - 12);
	CHECK_EQ(get32(&t, sp - 12), 0x11);
	CHECK_EQ(get32(&t, sp - 16), 0x22);
	CHECK_EQ(get32(&t, sp - 20), 0x33);
	CHECK_EQ(get32(&t, sp - 24), ITEST_USER32);
	CHECK_EQ(get32(&t, sp - 28), ITEST_CODE + sizeof(call));
	itest_close(&t);
}

static void call_gate_and_back(void **state)
{
	/* push 1; push 2; call 0x5b:0; hlt */
	static const uint8_t call[] = { 0x6a, 1, 0x6a, 2, 0x9a, 0, 0, 0, 0, 0x5b, 0, 0xf4 };
	/* mov eax, [esp + 8]; mov ebx, [esp + 12]; retf 8 */
	static const uint8_t body[] = {
		0x8b, 0x44, 0x24, 8, 0x8b, 0x5c, 0x24, 0x0c, 0xca, 8, 0,
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put_desc(&t, GATE, mk_gate(ITEST_CODE32, 0x41000, 0xec, 2));
	itest_put(&t, 0x41000, body, sizeof(body));
	t.c->seg[CPU_ES] = (struct cpu_seg){ ITEST_DATA32, 0xc093, UINT32_MAX, 0 };
	CHECK_EQ(RUN(&t, call), X86_GP);			/* HLT in ring 3 */
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	CHECK_EQ(t.c->gpr[CPU_RBX], 1);
	CHECK_EQ(t.c->cpl, 3);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK);
	CHECK_EQ(t.c->seg[CPU_ES].attr, CPU_SEG_UNUSABLE);	/* ring 0's, dropped */
	CHECK_EQ(t.c->seg[CPU_ES].sel, 0);
	CHECK_EQ(t.c->seg[CPU_DS].sel, ITEST_USER_DATA);
	itest_close(&t);
}

static void call_gate_of_16_bits(void **state)
{
	/* call 0x5b:0 */
	static const uint8_t call[] = { 0x9a, 0, 0, 0, 0, 0x5b, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put_desc(&t, GATE, mk_gate(ITEST_CODE16, 0x99991234, 0xe4, 1));
	FRAME(&t, 2, 0x77, 0x88);
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x1234);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK0 - 10);
	CHECK_EQ(get16(&t, ITEST_STACK0 - 6), 0x88);
	CHECK_EQ(get16(&t, ITEST_STACK0 - 8), ITEST_USER32);
	itest_close(&t);
}

static void call_gate_checks(void **state)
{
	/* call 0x5b:0 */
	static const uint8_t call[] = { 0x9a, 0, 0, 0, 0, 0x5b, 0 };
	/* jmp 0x5b:0 */
	static const uint8_t jmp[] = { 0xea, 0, 0, 0, 0, 0x5b, 0 };
	/* call 0x58:0 */
	static const uint8_t call_rpl0[] = { 0x9a, 0, 0, 0, 0, 0x58, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	user32(&t);
	put_desc(&t, GATE, mk_gate(ITEST_CODE32, 0x40100, 0xcc, 0));	/* DPL 2 */
	CHECK_FAULT(&t, call_rpl0, X86_GP, GATE);
	put_desc(&t, GATE, mk_gate(ITEST_CODE32, 0x40100, 0x6c, 0));
	CHECK_FAULT(&t, call, X86_NP, GATE);
	put_desc(&t, GATE, mk_gate(0, 0x40100, 0xec, 0));
	CHECK_FAULT(&t, call, X86_GP, 0);
	put_desc(&t, GATE, mk_gate(ITEST_DATA32, 0x40100, 0xec, 0));
	CHECK_FAULT(&t, call, X86_GP, ITEST_DATA32);
	/* JMP never goes to an inner ring. */
	put_desc(&t, GATE, mk_gate(ITEST_CODE32, 0x40100, 0xec, 0));
	CHECK_FAULT(&t, jmp, X86_GP, ITEST_CODE32);
	put_desc(&t, GATE, mk_gate(ITEST_USER32, 0x40100, 0xec, 0));
	CHECK_EQ(STEP(&t, jmp), ITEST_HLT);
	CHECK_EQ(t.c->rip, 0x40100);
	CHECK_EQ(t.c->cpl, 3);
	itest_close(&t);
}

static void call_gate_in_long_mode(void **state)
{
	/* call far dword [0x80000] */
	static const uint8_t call[] = { 0xff, 0x1c, 0x25, 0, 0, 8, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_user(&t);
	itest_put64(&t, ITEST_DATA, (uint64_t)(GATE | 3) << 32);
	put_desc(&t, GATE, mk_gate(ITEST_CODE64, 0x40100, 0xec, 5));
	put_desc(&t, GATE + 8, 0xffff8000);
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK_EQ(t.c->rip, UINT64_C(0xffff800000040100));
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->seg[CPU_SS].sel, 0);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK0 - 32);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 8), ITEST_USER_DATA);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 16), ITEST_STACK);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 24), ITEST_USER64);
	CHECK_EQ(itest_get64(&t, ITEST_STACK0 - 32), ITEST_CODE + sizeof(call));
	itest_user(&t);
	put_desc(&t, GATE + 8, UINT64_C(0x9b0000000000));	/* the upper half has a type */
	CHECK_FAULT(&t, call, X86_GP, GATE);
	put_desc(&t, GATE + 8, 0);
	put_desc(&t, GATE, mk_gate(ITEST_CODE32, 0x40100, 0xec, 0));
	CHECK_FAULT(&t, call, X86_GP, ITEST_CODE32);		/* only to 64-bit code */
	put_desc(&t, GATE, mk_gate(ITEST_CODE64, 0x40100, 0xe4, 0));
	CHECK_FAULT(&t, call, X86_GP, GATE);			/* no 16-bit gates */
	itest_close(&t);
}

/* ---- RETF -------------------------------------------------------------------------------------------- */

static void retf_checks(void **state)
{
	/* retf */
	static const uint8_t ret[] = { 0xcb };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	FRAME(&t, 4, 0, 0x1234);
	CHECK_FAULT(&t, ret, X86_GP, 0);
	FRAME(&t, 4, ITEST_DATA32, 0x1234);
	CHECK_FAULT(&t, ret, X86_GP, ITEST_DATA32);
	FRAME(&t, 4, ITEST_USER32 & 0xfff8, 0x1234);		/* RPL 0, DPL 3 */
	CHECK_FAULT(&t, ret, X86_GP, ITEST_USER32 & 0xfff8);
	FRAME(&t, 4, ITEST_DATA32, ITEST_STACK, ITEST_USER32, 0x1234);
	CHECK_FAULT(&t, ret, X86_GP, ITEST_DATA32);		/* SS of ring 0 for ring 3 */
	FRAME(&t, 4, 0, ITEST_STACK, ITEST_USER32, 0x1234);
	CHECK_FAULT(&t, ret, X86_GP, 0);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK - 16);
	CHECK_EQ(t.c->cpl, 0);
	user32(&t);
	FRAME(&t, 4, ITEST_CODE32, 0x1234);			/* inwards */
	CHECK_FAULT(&t, ret, X86_GP, ITEST_CODE32);
	itest_close(&t);
}

/* Hardware keeps the upper half of ESP when the new stack has 16 bits. */
static void retf_to_16_bit_stack(void **state)
{
	/* retf */
	static const uint8_t ret[] = { 0xcb };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_desc(&t, OTHER, mk_desc(0, 0xffff, 0xf3, 0));
	FRAME(&t, 4, OTHER | 3, 0x12345678, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, ret), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RSP], (ITEST_STACK & 0xffff0000) | 0x5678);
	CHECK_EQ(t.c->stack_size, 2);
	itest_close(&t);
}

/* The first entry of the GDT is nobody's, whatever a guest keeps there. */
static void null_is_null(void **state)
{
	/* jmp 0:0x1234 */
	static const uint8_t jmp[] = { 0xea, 0x34, 0x12, 0, 0, 0, 0 };
	/* call 0:0x1234 */
	static const uint8_t call[] = { 0x9a, 0x34, 0x12, 0, 0, 0, 0 };
	/* call 0x5b:0 */
	static const uint8_t gate[] = { 0x9a, 0, 0, 0, 0, 0x5b, 0 };
	/* jmp 0x5b:0 */
	static const uint8_t jgate[] = { 0xea, 0, 0, 0, 0, 0x5b, 0 };
	/* retf */
	static const uint8_t ret[] = { 0xcb };
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_desc(&t, 0, 0x00cf9b000000ffff);
	put_desc(&t, GATE, mk_gate(0, 0x40100, 0xec, 0));
	CHECK_FAULT(&t, jmp, X86_GP, 0);
	CHECK_FAULT(&t, call, X86_GP, 0);
	CHECK_FAULT(&t, gate, X86_GP, 0);
	CHECK_FAULT(&t, jgate, X86_GP, 0);
	FRAME(&t, 4, 2, 0, 0x1234);
	CHECK_FAULT(&t, ret, X86_GP, 0);
	CHECK_FAULT(&t, iretd, X86_GP, 0);
	put_idt32(&t, 0x80, mk_gate(0, 0x40100, 0xee, 0));
	CHECK_EQ(interp_deliver(t.c, 0x80, DELIVER_EXTERNAL, false, 0), 0);
	CHECK_EQ(t.c->rip, ITEST_HANDLERS + X86_GP * 16);	/* #GP(EXT) instead */
	CHECK_EQ(get32(&t, t.c->gpr[CPU_RSP]), 1);
	itest_close(&t);
}

static void limits_of_targets(void **state)
{
	/* call 0x70:0x1234 */
	static const uint8_t call[] = { 0x9a, 0x34, 0x12, 0, 0, 0x70, 0 };
	/* call 0x58:0 */
	static const uint8_t gate[] = { 0x9a, 0, 0, 0, 0, 0x58, 0 };
	/* jmp 0x58:0 */
	static const uint8_t jgate[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	/* retf */
	static const uint8_t ret[] = { 0xcb };
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	/* call dword 0x1234:0x10000 */
	static const uint8_t call16[] = { 0x66, 0x9a, 0, 0, 1, 0, 0x34, 0x12 };
	/* o32 retf */
	static const uint8_t ret16[] = { 0x66, 0xcb };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_desc(&t, OTHER, mk_desc(0, 0x1233, 0x9a, 4));
	put_desc(&t, GATE, mk_gate(OTHER, 0x1234, 0x8c, 0));
	CHECK_FAULT(&t, call, X86_GP, 0);
	CHECK_FAULT(&t, gate, X86_GP, 0);
	CHECK_FAULT(&t, jgate, X86_GP, 0);
	FRAME(&t, 4, 2, OTHER, 0x1234);
	CHECK_FAULT(&t, ret, X86_GP, 0);
	CHECK_FAULT(&t, iretd, X86_GP, 0);
	CHECK_EQ(get_desc(&t, OTHER) >> 40 & 0xff, 0x9a);	/* untouched */
	put_desc(&t, OTHER, mk_desc(0, 0x1233, 0xfa, 4));
	FRAME(&t, 4, ITEST_USER_DATA, ITEST_STACK, OTHER | 3, 0x1234);
	CHECK_FAULT(&t, ret, X86_GP, 0);
	FRAME(&t, 4, ITEST_USER_DATA, ITEST_STACK, 2, OTHER | 3, 0x1234);
	CHECK_FAULT(&t, iretd, X86_GP, 0);
	/* A gate to an inner ring. */
	user32(&t);
	put_desc(&t, OTHER, mk_desc(0, 0x1233, 0x9a, 4));
	put_desc(&t, GATE, mk_gate(OTHER, 0x1234, 0xec, 0));
	CHECK_FAULT(&t, gate, X86_GP, 0);
	CHECK_EQ(t.c->cpl, 3);
	itest_mode(&t, ITEST_16);
	CHECK_EQ(STEP(&t, call16), X86_GP);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0x8000);
	t.c->gpr[CPU_RSP] = 0x7ff8;
	put32(&t, 0x57ff8, 0x10000);
	CHECK_EQ(STEP(&t, ret16), X86_GP);
	itest_close(&t);
}

static void targets_are_marked_accessed(void **state)
{
	/* call 0x70:0x1234 */
	static const uint8_t call[] = { 0x9a, 0x34, 0x12, 0, 0, 0x70, 0 };
	/* call 0x5b:0 */
	static const uint8_t gate[] = { 0x9a, 0, 0, 0, 0, 0x5b, 0 };
	/* jmp 0x58:0 */
	static const uint8_t jgate[] = { 0xea, 0, 0, 0, 0, 0x58, 0 };
	/* retf */
	static const uint8_t ret[] = { 0xcb };
	/* iretd */
	static const uint8_t iretd[] = { 0xcf };
	struct itest t;

#define ACCESSED(sel) (get_desc(&t, sel) >> 40 & 1)
#define FORGET(sel) put_desc(&t, sel, get_desc(&t, sel) & ~(UINT64_C(1) << 40))
	(void)state;
	itest_open(&t, ITEST_32);
	put_desc(&t, OTHER, mk_desc(0, 0xfffff, 0x9a, 0xc));
	put_desc(&t, GATE, mk_gate(OTHER, 0x1234, 0xec, 0));
	CHECK_EQ(STEP(&t, call), ITEST_HLT);
	CHECK(ACCESSED(OTHER));
	FORGET(OTHER);
	CHECK_EQ(STEP(&t, jgate), ITEST_HLT);
	CHECK(ACCESSED(OTHER));
	FORGET(OTHER);
	CHECK_EQ(STEP(&t, gate), ITEST_HLT);			/* same ring */
	CHECK(ACCESSED(OTHER));
	FORGET(OTHER);
	FRAME(&t, 4, OTHER, 0x1234);
	CHECK_EQ(STEP(&t, ret), ITEST_HLT);
	CHECK(ACCESSED(OTHER));
	FORGET(OTHER);
	FRAME(&t, 4, 2, OTHER, 0x1234);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK(ACCESSED(OTHER));
	FORGET(OTHER);
	FORGET(ITEST_DATA32);
	user32(&t);
	CHECK_EQ(STEP(&t, gate), ITEST_HLT);			/* inner ring */
	CHECK(ACCESSED(OTHER));
	CHECK(ACCESSED(ITEST_DATA32));
	FORGET(ITEST_USER32);
	FORGET(ITEST_USER_DATA);
	FRAME(&t, 4, ITEST_USER_DATA, ITEST_STACK, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, ret), ITEST_HLT);
	CHECK(ACCESSED(ITEST_USER32));
	CHECK(ACCESSED(ITEST_USER_DATA));
	itest_mode(&t, ITEST_32);
	FORGET(ITEST_USER32);
	FORGET(ITEST_USER_DATA);
	FRAME(&t, 4, ITEST_USER_DATA, ITEST_STACK, 2, ITEST_USER32, 0x1234);
	CHECK_EQ(STEP(&t, iretd), ITEST_HLT);
	CHECK(ACCESSED(ITEST_USER32));
	CHECK(ACCESSED(ITEST_USER_DATA));
	itest_close(&t);
}

static void absent_targets(void **state)
{
	/* call 0x58:0 */
	static const uint8_t gate[] = { 0x9a, 0, 0, 0, 0, 0x58, 0 };
	/* retf */
	static const uint8_t ret[] = { 0xcb };
	/* o64 retf */
	static const uint8_t retq[] = { 0x48, 0xcb };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	put_desc(&t, OTHER, mk_desc(0, 0xfffff, 0x1a, 0xc));
	put_desc(&t, GATE, mk_gate(OTHER, 0x1234, 0x8c, 0));
	CHECK_FAULT(&t, gate, X86_NP, OTHER);
	FRAME(&t, 4, OTHER, 0x1234);
	CHECK_FAULT(&t, ret, X86_NP, OTHER);
	itest_mode(&t, ITEST_64);
	put_desc(&t, OTHER, 0x00ef9b000000ffff);		/* L and D */
	FRAME(&t, 8, OTHER, 0x1234);
	CHECK_FAULT(&t, retq, X86_GP, OTHER);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_jump_call_return),
		cmocka_unit_test(real_jump_keeps_limit),
		cmocka_unit_test(jump_to_code),
		cmocka_unit_test(conforming_code_keeps_the_ring),
		cmocka_unit_test(far_pointer_in_memory),
		cmocka_unit_test(call_gate_to_inner_ring),
		cmocka_unit_test(call_gate_and_back),
		cmocka_unit_test(call_gate_of_16_bits),
		cmocka_unit_test(call_gate_checks),
		cmocka_unit_test(call_gate_in_long_mode),
		cmocka_unit_test(retf_checks),
		cmocka_unit_test(retf_to_16_bit_stack),
		cmocka_unit_test(null_is_null),
		cmocka_unit_test(limits_of_targets),
		cmocka_unit_test(targets_are_marked_accessed),
		cmocka_unit_test(absent_targets),
	};

	return cmocka_run_group_tests_name("sys_far", tests, NULL, NULL);
}
