/*
 * gates.c - between C and translated code
 *
 * Made at the beginning of the code cache, so that translated code reaches them
 * with short jumps.  A gate puts the guest's registers and flags where C finds
 * them, calls, and goes where C says; C gets the FPU as the guest left it and is
 * compiled without.
 *
 * Lock     none
 */
#include "cpu/bt/xl.h"

/* PUSHFQ; POP reg */
static void get_flags(struct bt *b, struct em *e)
{
	struct mop flags = m_abs(&b->c.rflags);

	e8(e, 0x9c);
	e8(e, 0x58);				/* pop rax */
	e_alu_imm(e, false, 4, H_RAX, (int32_t)BT_FLAGS);
	e_rm(e, false, 0x8b, H_RCX, flags);
	e_alu_imm(e, false, 4, H_RCX, ~(int32_t)BT_FLAGS);
	e_rr(e, false, 0x09, H_RAX, H_RCX);	/* or */
	e_rm(e, false, 0x89, H_RCX, flags);
}

/* OF by an addition that overflows, the rest by SAHF; RAX and R15 are destroyed. */
static void put_flags(struct bt *b, struct em *e)
{
	e_rm(e, false, 0x8b, H_RAX, m_abs(&b->c.rflags));
	e_rr(e, false, 0x89, H_RAX, H_R15);
	e8(e, 0x41), e8(e, 0xc1), e8(e, 0xef), e8(e, 11);	/* shr r15d, 11 */
	e_alu_imm(e, false, 4, H_R15, 1);
	e8(e, 0x41), e8(e, 0x80), e8(e, 0xc7), e8(e, 0x7f);	/* add r15b, 0x7f */
	e8(e, 0x88), e8(e, 0xc4);				/* mov ah, al */
	e8(e, 0x9e);						/* sahf */
}

/* A signal's handler has taken care of RSP: see fault.c. */
static void spill(struct bt *b, struct em *e, bool rsp)
{
	for (unsigned g = 0; g < 14; g++)
		if (g != CPU_RSP || rsp)
			e_store(e, m_abs(&b->c.gpr[g]), xl_home(g));
	if (rsp)
		e_load(e, H_RSP, m_abs(&b->host_rsp));
	get_flags(b, e);
}

/* Then on to the address in RCX. */
static void reload_and_go(struct bt *b, struct em *e)
{
	put_flags(b, e);
	for (unsigned g = 0; g < 14; g++)
		e_load(e, xl_home(g), m_abs(&b->c.gpr[g]));
	e_load(e, T1, m_abs(&b->delta));
	e8(e, 0xff), e8(e, 0xe1);				/* jmp rcx */
}

static const int8_t kept[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 };

static void push_pop(struct em *e, unsigned op, int reg)
{
	if (reg >= 8)
		e8(e, 0x41);
	e8(e, op | ((unsigned)reg & 7));
}

static void make_enter(struct bt *b, struct em *e)
{
	b->enter = em_rx(e);
	for (unsigned i = 0; i < ARRAY_LEN(kept); i++)
		push_pop(e, 0x50, kept[i]);
	e_store(e, m_abs(&b->host_rsp), H_RSP);
	e_mov(e, H_RCX, H_RDI);
	reload_and_go(b, e);
}

/* Calls *FN(b, T1) and goes to its answer, or back out of bt_enter. */
static uint8_t *make_gate(struct bt *b, struct em *e, void *const *fn, bool rsp)
{
	uint8_t *at = em_rx(e), *out;

	spill(b, e, rsp);
	e_alu_imm(e, true, 4, H_RSP, -16);
	e_imm(e, H_RDI, (uint64_t)(uintptr_t)b);
	e_mov(e, H_RSI, T1);
	e_rm(e, false, 0xff, 2, m_abs(fn));			/* call */
	e_rr(e, true, 0x85, H_RAX, H_RAX);			/* test */
	out = e_jcc(e, CC_Z);
	e_mov(e, H_RCX, H_RAX);
	reload_and_go(b, e);
	em_patch(out, e->delta, em_rx(e));
	e_load(e, H_RSP, m_abs(&b->host_rsp));
	for (unsigned i = ARRAY_LEN(kept); i-- > 0;)
		push_pop(e, 0x58, kept[i]);
	e8(e, 0xc3);
	return at;
}

void bt_gates_make(struct bt *b)
{
	struct em e = { b->code_rw + b->hot_used, b->code_rw + b->code_size / 2, b->code_delta, -1 };

	b->fn_gate = (void *)bt_gate;
	b->fn_fault = (void *)bt_fault;
	make_enter(b, &e);
	b->gate = make_gate(b, &e, &b->fn_gate, true);
	b->gate_fault = make_gate(b, &e, &b->fn_fault, false);
	b->gate_resume = em_rx(&e);
	e_load(&e, H_RSP, m_abs(&b->c.gpr[CPU_RSP]));
	e_rm(&e, false, 0xff, 4, m_abs(&b->fault_pc));		/* jmp */
	b->miss_site = (struct bt_site){ .kind = SITE_INDIRECT };
	b->gate_miss = em_rx(&e);
	e_store(&e, m_abs(&b->c.rip), T0);
	b->gate_miss_rip = em_rx(&e);
	e_imm(&e, T1, (uint64_t)(uintptr_t)&b->miss_site);
	e_jmp_to(&e, b->gate);
	b->hot_used = align_up((size_t)(e.p - b->code_rw), 64);
}

void bt_enter(struct bt *b, uint8_t *target)
{
	void (*enter)(uint8_t *) = (void (*)(uint8_t *))(void *)b->enter;

	enter(target);
}
