/*
 * flow.c - branches, calls, returns and the stack
 *
 * A direct branch is a jump to a stub until it first runs; then it is patched to
 * lead into the other block.  An indirect one reads the address of a block from
 * a table by the low bits of the target, and the block compares the rest.
 *
 * Lock     none
 */
#include "cpu/bt/xl.h"

static void add_rsp(struct xl *x, int32_t n)
{
	e_lea(&x->e, H_RSP, m_at(H_RSP, n));
}

/* Checks the slot that is pushed to or popped from. */
static struct bt_site *check_stack(struct xl *x, const struct scan_insn *i)
{
	return xl_check(x, i, &i->stk, i->live != 0);
}

/* T0 or another register goes to the slot that was checked. */
static void store_push(struct xl *x, int reg)
{
	e_store(&x->e, m_sum(H_RSP, T1, -8), reg);
	add_rsp(x, -8);
}

static void push_const(struct xl *x, uint64_t v)
{
	if (v == (uint64_t)(int64_t)(int32_t)v) {
		e_store_imm(&x->e, m_sum(H_RSP, T1, -8), (int32_t)v);
		add_rsp(x, -8);
	} else {
		e_imm(&x->e, T0, v);
		store_push(x, T0);
	}
}

static void load_mem(struct xl *x, const struct scan_insn *i, int reg)
{
	struct mop m;

	(void)xl_check(x, i, &i->mem, i->live != 0);
	m = xl_operand(x, &i->mem);
	e_load(&x->e, reg, m);
}

static void flow_push(struct xl *x, const struct scan_insn *i)
{
	struct bt_site *site;
	int h;

	if (i->mem.on) {
		load_mem(x, i, T0);
		e_store(&x->e, m_abs(&x->b->tmp), T0);
		site = check_stack(x, i);
		e_load(&x->e, T0, m_abs(&x->b->tmp));
		store_push(x, T0);
	} else if (i->oreg.role == ROLE_GPR) {
		site = check_stack(x, i);
		h = xl_host(x, i->oreg.n);
		if (h == H_NONE)
			e_load(&x->e, h = T0, xl_slot(x, i->oreg.n));
		store_push(x, h);
	} else {
		site = check_stack(x, i);
		push_const(x, (uint64_t)i->imm_val);
	}
	site->after = em_rx(&x->e);
}

static void flow_pop(struct xl *x, const struct scan_insn *i)
{
	struct bt_site *site = check_stack(x, i);
	int h = xl_host(x, i->oreg.n);

	e_load(&x->e, h == H_NONE ? T0 : h, m_sum(H_RSP, T1, 0));
	if (h == H_NONE)
		e_store(&x->e, xl_slot(x, i->oreg.n), T0);
	if (i->oreg.n != CPU_RSP)
		add_rsp(x, 8);
	site->after = em_rx(&x->e);
}

static void flow_leave(struct xl *x, const struct scan_insn *i)
{
	struct bt_site *site = xl_check(x, i, &i->stk, i->live != 0);

	e_lea(&x->e, H_RSP, m_at(H_RBP, 8));
	e_load(&x->e, H_RBP, m_sum(H_RBP, T1, 0));
	site->after = em_rx(&x->e);
}

/* ---- leaving ------------------------------------------------------------------------- */

struct bt_site *xl_exit(struct xl *x, uint8_t *patch, uint64_t target, const struct scan_insn *i)
{
	struct bt_site *s = xl_site(x, SITE_LINK, i);

	s->rip = target;
	s->len = i->next <= target;	/* forward */
	s->patch = patch;
	s->next = x->blk->out;
	x->blk->out = s;
	s->to_mode = (uint8_t)x->mode;
	xl_stub(x, patch, s, NULL);
	return s;
}

/* To the address in T0. */
static void leave_indirect(struct xl *x, const struct scan_insn *i)
{
	struct em *e = &x->e;
	uint8_t **jumps = bt_jumps(x->b, x->mode);

	xl_swap_out(x, e);
	if (jumps != NULL) {
		e8(e, 0x44), e8(e, 0x0f), e8(e, 0xb7), e8(e, 0xf9);	/* movzx r15d, cx */
		e_rm(e, false, 0xff, 4, (struct mop){ H_NONE, T1, 3,
						      (int32_t)(intptr_t)jumps });
		return;
	}
	e_store(e, m_abs(&x->b->c.rip), T0);
	xl_stub(x, e_jmp(e), xl_site(x, SITE_INDIRECT, i), NULL);
}

static void flow_ret(struct xl *x, const struct scan_insn *i)
{
	(void)check_stack(x, i);
	e_load(&x->e, T0, m_sum(H_RSP, T1, 0));
	add_rsp(x, (int32_t)(8 + i->imm_val));
	leave_indirect(x, i);
}

/* The target of an indirect branch to T0. */
static void load_target(struct xl *x, const struct scan_insn *i)
{
	int h;

	if (i->mem.on) {
		load_mem(x, i, T0);
		return;
	}
	h = xl_host(x, i->rm.n);
	if (h == H_NONE)
		e_load(&x->e, T0, xl_slot(x, i->rm.n));
	else
		e_mov(&x->e, T0, h);
}

static void flow_call(struct xl *x, const struct scan_insn *i)
{
	if (i->cls == SCAN_CALL_IND) {
		load_target(x, i);
		e_store(&x->e, m_abs(&x->b->tmp), T0);
	}
	(void)check_stack(x, i);
	push_const(x, i->next);
	if (i->cls == SCAN_CALL) {
		xl_exit(x, e_jmp(&x->e), i->target, i);
		return;
	}
	e_load(&x->e, T0, m_abs(&x->b->tmp));
	leave_indirect(x, i);
}

void xl_flow(struct xl *x, const struct scan_insn *i)
{
	switch (i->cls) {
	case SCAN_JCC:
		xl_exit(x, e_jcc(&x->e, i->cond), i->target, i);
		break;
	case SCAN_JMP:
		xl_exit(x, e_jmp(&x->e), i->target, i);
		break;
	case SCAN_CALL:
	case SCAN_CALL_IND:
		flow_call(x, i);
		break;
	case SCAN_JMP_IND:
		load_target(x, i);
		leave_indirect(x, i);
		break;
	case SCAN_RET:
		flow_ret(x, i);
		break;
	case SCAN_PUSH:
		flow_push(x, i);
		break;
	case SCAN_POP:
		flow_pop(x, i);
		break;
	default:
		flow_leave(x, i);
	}
}
