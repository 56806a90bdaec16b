/*
 * sys_exc.c - exceptions, interrupts, and how they reach their handlers
 *
 * A handler that finds a fault jumps to the run loop; the loop calls
 * interp_deliver.  A fault met on the way jumps back into interp_deliver,
 * which decides whether it follows, doubles, or shuts the processor down.
 *
 * INT n and its kin run the same path from inside their handler: a fault there
 * is the instruction's own, needs no combining, and has EXT clear.
 *
 * Spec     [SDM 3] chapter 6; 6.15 table 6-5 double faults; 6.14 64-bit mode;
 *          17.3.1.1 RF; [SDM 3] 20.3 v8086
 * Missing  VME (CR4.VME cannot be set), the #AC storm of an endless delivery
 *          ends in shutdown after a few rounds
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#define MAX_ROUNDS 16

struct event {
	unsigned vector;
	enum deliver_kind kind;
	bool has_code;
	uint32_t code;
	uint64_t ret_rip;
};

struct gate {
	unsigned type, dpl, ist;
	bool present;
	uint16_t sel;
	uint64_t off;
};

NORETURN void interp_raise(struct interp *c, unsigned vector)
{
	c->exc_vector = (uint8_t)vector;
	c->exc_has_code = false;
	c->exc_code = 0;
	longjmp(*c->unwind, 1);
}

NORETURN void interp_raise_code(struct interp *c, unsigned vector, uint32_t code)
{
	c->exc_vector = (uint8_t)vector;
	c->exc_has_code = true;
	c->exc_code = code;
	longjmp(*c->unwind, 1);
}

NORETURN void interp_page_fault(struct interp *c, uint64_t lin, uint32_t code)
{
	c->cr2 = lin;
	interp_raise_code(c, X86_PAGE, code);
}

void interp_debug_trap(struct interp *c, uint64_t dr6_bits)
{
	/* B0..B3 tell of this exception only; the other bits stay until cleared. */
	c->dr6 = (c->dr6 & ~UINT64_C(0xf)) | dr6_bits;
	interp_raise(c, X86_DB);
}

/* ---- reading the IDT --------------------------------------------------------------------- */

static NORETURN void idt_fault(struct interp *c, const struct event *e, unsigned vector)
{
	interp_raise_code(c, vector, e->vector * 8 + 2 + (c->in_delivery && c->delivery_ext));
}

static void gate_read(struct interp *c, const struct event *e, struct gate *ret_g)
{
	unsigned size = interp_long(c) ? 16 : 8;
	uint64_t lin = c->idt.base + e->vector * size, g_lo, g_hi = 0;

	if (e->vector * size + size - 1 > c->idt.limit)
		idt_fault(c, e, X86_GP);
	if (size == 16)
		g_hi = interp_sys_load(c, lin + 8, 8);
	else
		lin = (uint32_t)lin;
	g_lo = interp_sys_load(c, lin, 8);
	*ret_g = (struct gate){
		.type = g_lo >> 40 & 0x1f,	/* with S, which must be 0 */
		.dpl = g_lo >> 45 & 3,
		.ist = size == 16 ? g_lo >> 32 & 7 : 0,
		.present = g_lo >> 47 & 1,
		.sel = (uint16_t)(g_lo >> 16),
		.off = (g_lo & 0xffff) | (g_lo >> 32 & 0xffff0000) | (g_hi & 0xffffffff) << 32,
	};
	if (size == 8 && ret_g->type < DT_INT32)
		ret_g->off &= 0xffff;
}

static void gate_check(struct interp *c, const struct event *e, const struct gate *g)
{
	bool ok = g->type == DT_INT32 || g->type == DT_TRAP32;

	if (!interp_long(c))
		ok |= g->type == DT_INT16 || g->type == DT_TRAP16 || g->type == DT_TASK_GATE;
	if (!ok)
		idt_fault(c, e, X86_GP);
	if (e->kind == DELIVER_SOFT_INT && g->dpl < c->cpl)
		idt_fault(c, e, X86_GP);
	if (!g->present)
		idt_fault(c, e, X86_NP);
}

/* ---- the frame ---------------------------------------------------------------------------- */

/* The image of RFLAGS to push: faults set RF so that IRET steps over a breakpoint. */
static uint64_t pushed_flags(const struct interp *c, const struct event *e)
{
	bool fault = e->kind == DELIVER_EXC && e->vector != X86_DB && e->vector != X86_BP &&
		     e->vector != X86_EXC_OF;

	return c->rflags | (fault ? X86_RF : 0);
}

static void deliver_real(struct interp *c, const struct event *e)
{
	uint32_t g_far;
	struct stk s;

	if (e->vector * 4 + 3 > c->idt.limit)
		idt_fault(c, e, X86_GP);
	g_far = (uint32_t)interp_sys_load(c, (uint32_t)(c->idt.base + e->vector * 4), 4);
	if ((g_far & 0xffff) > c->seg[CPU_CS].limit)
		sys_fault(c, X86_GP, 0);
	stk_present(c, &s);
	stk_push(c, &s, 2, pushed_flags(c, e));
	stk_push(c, &s, 2, c->seg[CPU_CS].sel);
	stk_push(c, &s, 2, e->ret_rip);

	stk_commit(c, &s, false);
	seg_set_real(c, CPU_CS, (uint16_t)(g_far >> 16));
	c->rip = g_far & 0xffff;
	c->rflags &= ~(uint64_t)(X86_IF | X86_TF | X86_AC | X86_RF);
}

/* Code segment of a gate, checked; the ring the handler runs in. */
static unsigned gate_target(struct interp *c, const struct gate *g, struct desc *ret_d)
{
	unsigned dpl;

	if (sel_null(g->sel))
		sys_fault(c, X86_GP, 0);
	desc_need(c, g->sel, X86_GP, ret_d);
	dpl = desc_dpl(ret_d);
	if (!desc_code(ret_d) || dpl > c->cpl)
		sys_fault(c, X86_GP, g->sel);
	if (interp_long(c) && (!desc_l(ret_d) || desc_db(ret_d)))
		sys_fault(c, X86_GP, g->sel);
	if (!desc_p(ret_d))
		sys_fault(c, X86_NP, g->sel);
	/* From v8086 there is only one way: to ring 0. */
	if (interp_v86(c) && (desc_ec(ret_d) || dpl != 0))
		sys_fault(c, X86_GP, g->sel);
	return desc_ec(ret_d) ? c->cpl : dpl;
}

static void push_frame(struct interp *c, const struct event *e, const struct gate *g,
		       struct stk *s, bool with_stack)
{
	unsigned size = interp_long(c) ? 8 : g->type < DT_INT32 ? 2 : 4;

	if (interp_v86(c)) {
		stk_push(c, s, size, c->seg[CPU_GS].sel);
		stk_push(c, s, size, c->seg[CPU_FS].sel);
		stk_push(c, s, size, c->seg[CPU_DS].sel);
		stk_push(c, s, size, c->seg[CPU_ES].sel);
	}
	if (with_stack) {
		stk_push(c, s, size, c->seg[CPU_SS].sel);
		stk_push(c, s, size, c->gpr[CPU_RSP]);
	}
	stk_push(c, s, size, pushed_flags(c, e));
	stk_push(c, s, size, c->seg[CPU_CS].sel);
	stk_push(c, s, size, e->ret_rip);
	if (e->has_code)
		stk_push(c, s, size, e->code);
}

static void deliver_gate(struct interp *c, const struct event *e, const struct gate *g)
{
	bool inner, v86 = interp_v86(c);
	struct desc cs;
	struct stk s;
	unsigned cpl = gate_target(c, g, &cs);

	inner = cpl < c->cpl;
	if (inner || g->ist) {
		stk_inner(c, cpl, g->ist, &s);
	} else {
		stk_present(c, &s);
		if (interp_long(c)) {		/* maybe from compatibility mode */
			s.mask = UINT64_MAX;
			s.flat64 = true;
		}
	}
	far_check_offset(c, &cs, g->off);
	if (interp_long(c))
		s.sp &= ~UINT64_C(15);
	push_frame(c, e, g, &s, inner || interp_long(c));
	desc_mark_accessed(c, &cs);
	stk_mark_accessed(c, &s);

	c->rflags &= ~(uint64_t)(X86_TF | X86_VM | X86_RF | X86_NT);
	if (g->type == DT_INT16 || g->type == DT_INT32)
		c->rflags &= ~(uint64_t)X86_IF;
	if (v86) {
		seg_set_null(c, CPU_GS, 0);
		seg_set_null(c, CPU_FS, 0);
		seg_set_null(c, CPU_DS, 0);
		seg_set_null(c, CPU_ES, 0);
	}
	stk_commit(c, &s, inner);
	far_set_cs(c, g->sel, cpl, &cs);
	c->rip = g->off;
}

static void deliver_task(struct interp *c, const struct event *e, const struct gate *g)
{
	struct desc d;
	struct stk s;
	bool wide;

	sys_task_check(c, g->sel, &d);
	wide = desc_type(&d) >= DT_TSS32;
	sys_task_switch(c, g->sel, &d, TASK_INT, e->ret_rip);
	if (e->has_code) {
		stk_present(c, &s);
		stk_push(c, &s, wide ? 4 : 2, e->code);
		stk_commit(c, &s, false);
	}
	if (c->rip > c->seg[CPU_CS].limit)
		sys_fault(c, X86_GP, 0);
	sys_task_debug(c);
}

/* Leaves the handler's address in rip and next_rip, or raises. */
static void deliver_event(struct interp *c, const struct event *e)
{
	struct gate g;

	if (interp_real(c)) {
		deliver_real(c, e);
	} else {
		gate_read(c, e, &g);
		gate_check(c, e, &g);
		if (g.type == DT_TASK_GATE)
			deliver_task(c, e, &g);
		else
			deliver_gate(c, e, &g);
	}
	if (e->vector == X86_DB && e->kind != DELIVER_SOFT_INT)
		c->dr7 &= ~UINT64_C(0x2000);	/* GD: the handler may look */
	c->next_rip = c->rip;
	c->stop = 1;
	interp_mode_changed(c);
}

/* ---- events of the run loop ---------------------------------------------------------------- */

static bool try_event(struct interp *c, const struct event *e)
{
	jmp_buf here, *const outer = c->unwind;

	c->unwind = &here;
	if (setjmp(here) == 0) {
		deliver_event(c, e);
		c->unwind = outer;
		return true;
	}
	c->unwind = outer;
	return false;
}

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum fault_class class_of(unsigned vector)
{
	switch (vector) {
	case X86_DE:
	case X86_TS:
	case X86_NP:
	case X86_SS:
	case X86_GP:
		return CONTRIBUTORY;
	case X86_PAGE:
		return PAGE_FAULT;
	default:
		return BENIGN;
	}
}

/* The event to deliver after E met the exception in c->exc_*; false = shutdown. */
static bool next_event(const struct interp *c, struct event *e)
{
	enum fault_class first = e->kind == DELIVER_EXC ? class_of(e->vector) : BENIGN;
	enum fault_class second = class_of(c->exc_vector);
	bool doubles = (first == CONTRIBUTORY && second == CONTRIBUTORY) ||
		       (first == PAGE_FAULT && second != BENIGN);

	if (e->kind == DELIVER_EXC && e->vector == X86_DFLT && second != BENIGN)
		return false;
	if (doubles)
		*e = (struct event){ .vector = X86_DFLT, .has_code = true };
	else
		*e = (struct event){
			.vector = c->exc_vector, .has_code = c->exc_has_code, .code = c->exc_code,
		};
	e->kind = DELIVER_EXC;
	return true;
}

int interp_deliver(struct interp *c, unsigned vector, enum deliver_kind kind, bool has_code,
		   uint32_t code)
{
	struct event e = { vector, kind, has_code, code, 0 };

	c->halted = 0;
	c->shadow = 0;
	if (kind == DELIVER_NMI)
		c->nmi_masked = 1;
	for (unsigned round = 0; round < MAX_ROUNDS; round++) {
		c->in_delivery = (uint8_t)(e.vector + 1);
		c->delivery_ext = e.kind != DELIVER_SOFT_INT;
		/* After a task switch a fault belongs to the new task. */
		e.ret_rip = c->rip;
		if (try_event(c, &e)) {
			c->in_delivery = 0;
			return 0;
		}
		if (!next_event(c, &e))
			break;
	}
	c->in_delivery = 0;
	return -1;
}

/* ---- INT n, INT3, INTO, INT1 ---------------------------------------------------------------- */

void sys_soft_int(struct interp *c, unsigned vector, enum deliver_kind kind)
{
	struct event e = { vector, kind, false, 0, c->next_rip };

	/* INT1 is told apart from software interrupts: no DPL check, EXT set. */
	c->in_delivery = (uint8_t)(vector + 1);
	c->delivery_ext = kind != DELIVER_SOFT_INT;
	deliver_event(c, &e);
	c->in_delivery = 0;
}

void sys_int(struct interp *c, const struct insn *in)
{
	if (interp_v86(c) && sys_iopl(c) < 3)
		interp_gp(c);
	sys_soft_int(c, (uint8_t)in->imm, DELIVER_SOFT_INT);
}

void sys_int3(struct interp *c, const struct insn *in)
{
	(void)in;
	sys_soft_int(c, X86_BP, DELIVER_SOFT_INT);
}

void sys_into(struct interp *c, const struct insn *in)
{
	(void)in;
	if (c->rflags & X86_OF)
		sys_soft_int(c, X86_EXC_OF, DELIVER_SOFT_INT);
}

void sys_int1(struct interp *c, const struct insn *in)
{
	(void)in;
	/* A data breakpoint that MOV SS held back is the same exception, not a second one. */
	if (c->watch_hit) {
		c->dr6 = (c->dr6 & ~UINT64_C(0xf)) | c->watch_hit;
		c->watch_hit = 0;
	}
	sys_soft_int(c, X86_DB, DELIVER_ICEBP);
}
