/*
 * sys_far.c - far JMP, CALL and RET
 *
 * One selector can name a code segment, a call gate, a task gate or a TSS, and
 * each has its own rules.  A call gate to an inner ring changes the stack and
 * (outside long mode) copies parameters to it; in long mode SS becomes null and
 * parameters are gone.
 *
 * The stack is read with the privilege the instruction runs with, and the
 * inner one is written with that of the ring it belongs to.
 *
 * Spec     [SDM 2] JMP, CALL, RET; [SDM 3] 5.8
 * Missing  REX.W far pointers are 64 bits wide, as Intel has it; AMD reads 32
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#include <string.h>

void far_check_offset(struct interp *c, const struct desc *cs, uint64_t off)
{
	bool ok = desc_code64(c, cs) ? sys_canonical(c, off) : off <= desc_limit(cs);

	if (!ok)
		sys_fault(c, X86_GP, 0);
}

void far_set_cs(struct interp *c, uint16_t sel, unsigned cpl, const struct desc *d)
{
	c->seg[CPU_CS] = desc_seg((uint16_t)((sel & 0xfffc) | cpl), d);
}

/* ---- target -------------------------------------------------------------------------------- */

static uint64_t target_read(struct interp *c, const struct insn *in, uint16_t *ret_sel)
{
	uint8_t g_ptr[10] = { 0 };
	uint64_t off = 0;

	if (!in->mem) {			/* ptr16:16 or ptr16:32 */
		*ret_sel = (uint16_t)(in->imm >> 32);
		return (uint32_t)in->imm;
	}
	interp_load_n(c, in->seg, insn_ea(c, in), g_ptr, in->osz + 2u);
	host_move(&off, g_ptr, in->osz);
	host_move(ret_sel, g_ptr + in->osz, 2);
	return off;
}

/* Rules of a code segment named by a JMP or CALL directly. */
static void check_direct(struct interp *c, uint16_t sel, struct desc *d)
{
	unsigned dpl = desc_dpl(d);

	if (desc_ec(d) ? dpl > c->cpl : (rpl_of(sel) > c->cpl || dpl != c->cpl))
		sys_fault(c, X86_GP, sel);
	if (interp_long(c) && desc_l(d) && desc_db(d))
		sys_fault(c, X86_GP, sel);
	if (!desc_p(d))
		sys_fault(c, X86_NP, sel);
}

struct call_gate {
	unsigned size;			/* of the words it pushes */
	unsigned params;
	uint16_t sel;
	uint64_t off;
	struct desc cs;
};

/* D is the gate that SEL names; reads and checks gate and code segment. */
static void gate_open(struct interp *c, uint16_t sel, const struct desc *d, bool jump,
		      struct call_gate *ret_g)
{
	unsigned dpl;

	*ret_g = (struct call_gate){
		.size = desc_type(d) == DT_CALL16 ? 2 : 4,
		.params = d->hi & 31,
		.sel = (uint16_t)(d->lo >> 16),
		.off = (d->lo & 0xffff) | (d->hi & 0xffff0000),
	};
	if (ret_g->size == 2)
		ret_g->off &= 0xffff;
	if (interp_long(c)) {
		/* The upper half's checks come before P is looked at. */
		ret_g->off |= desc_base_high(c, sel, X86_GP, d);
		ret_g->size = 8;
		ret_g->params = 0;
	}
	if (!desc_p(d))
		sys_fault(c, X86_NP, sel);
	if (sel_null(ret_g->sel))
		interp_gp(c);
	desc_need(c, ret_g->sel, X86_GP, &ret_g->cs);
	dpl = desc_dpl(&ret_g->cs);
	if (!desc_code(&ret_g->cs) || dpl > c->cpl)
		sys_fault(c, X86_GP, ret_g->sel);
	if (jump && !desc_ec(&ret_g->cs) && dpl != c->cpl)
		sys_fault(c, X86_GP, ret_g->sel);
	if (interp_long(c) && (!desc_l(&ret_g->cs) || desc_db(&ret_g->cs)))
		sys_fault(c, X86_GP, ret_g->sel);
	if (!desc_p(&ret_g->cs))
		sys_fault(c, X86_NP, ret_g->sel);
}

/* A system descriptor as target: the privilege rule of all of them, and which are allowed. */
static void check_system(struct interp *c, uint16_t sel, const struct desc *d)
{
	unsigned type = desc_type(d);
	bool ok = type == DT_CALL32;

	if (!interp_long(c))
		ok |= type == DT_CALL16 || type == DT_TASK_GATE || type == DT_TSS16 ||
		      type == DT_TSS32;
	if (desc_s(d) || !ok)
		sys_fault(c, X86_GP, sel);
	if (desc_dpl(d) < c->cpl || desc_dpl(d) < rpl_of(sel))
		sys_fault(c, X86_GP, sel);
}

/* A TSS or a task gate: the old task goes on after this instruction. */
static void far_task(struct interp *c, uint16_t sel, const struct desc *d, enum task_src src)
{
	struct desc tss;

	if (desc_type(d) == DT_TASK_GATE) {
		if (!desc_p(d))
			sys_fault(c, X86_NP, sel);
		sel = (uint16_t)(d->lo >> 16);
	}
	sys_task_check(c, sel, &tss);
	sys_task_switch(c, sel, &tss, src, c->next_rip);
	if (c->rip > c->seg[CPU_CS].limit)
		interp_gp(c);
	sys_task_debug(c);
}

/* ---- JMP ----------------------------------------------------------------------------------- */

static void land(struct interp *c, uint16_t sel, unsigned cpl, struct desc *cs, uint64_t off)
{
	far_set_cs(c, sel, cpl, cs);
	c->next_rip = off;
	interp_mode_changed(c);
}

static void jmp_real(struct interp *c, uint16_t sel, uint64_t off)
{
	if (off > c->seg[CPU_CS].limit)
		interp_gp(c);
	if (interp_v86(c))
		seg_set_v86(c, CPU_CS, sel);
	else
		seg_set_real(c, CPU_CS, sel);
	c->next_rip = off;
	interp_mode_changed(c);
}

void sys_jmp_far(struct interp *c, const struct insn *in)
{
	struct call_gate g;
	struct desc d;
	uint16_t sel;
	uint64_t off = target_read(c, in, &sel);

	if (interp_real(c) || interp_v86(c)) {
		jmp_real(c, sel, off);
		return;
	}
	if (sel_null(sel))
		interp_gp(c);
	desc_need(c, sel, X86_GP, &d);
	if (desc_code(&d)) {
		check_direct(c, sel, &d);
		far_check_offset(c, &d, off);
		desc_mark_accessed(c, &d);
		land(c, sel, c->cpl, &d, off);
		return;
	}
	check_system(c, sel, &d);
	if (desc_type(&d) != DT_CALL16 && desc_type(&d) != DT_CALL32) {
		far_task(c, sel, &d, TASK_JMP);
		return;
	}
	gate_open(c, sel, &d, true, &g);
	far_check_offset(c, &g.cs, g.off);
	desc_mark_accessed(c, &g.cs);
	land(c, g.sel, c->cpl, &g.cs, g.off);
}

/* ---- CALL ---------------------------------------------------------------------------------- */

static void push_return(struct interp *c, struct stk *s, unsigned size)
{
	stk_push(c, s, size, c->seg[CPU_CS].sel);
	stk_push(c, s, size, c->next_rip);
}

static void call_real(struct interp *c, const struct insn *in, uint16_t sel, uint64_t off)
{
	struct stk s;

	if (off > c->seg[CPU_CS].limit)
		interp_gp(c);
	stk_present(c, &s);
	push_return(c, &s, in->osz);
	stk_commit(c, &s, false);
	jmp_real(c, sel, off);
}

static void call_inner(struct interp *c, struct call_gate *g)
{
	unsigned cpl = desc_dpl(&g->cs);
	uint64_t g_param[31];
	struct stk s;

	stk_inner(c, cpl, 0, &s);
	for (unsigned i = 0; i < g->params; i++)
		g_param[i] = stk_peek(c, i * g->size, g->size);
	far_check_offset(c, &g->cs, g->off);
	stk_push(c, &s, g->size, c->seg[CPU_SS].sel);
	stk_push(c, &s, g->size, c->gpr[CPU_RSP]);
	for (unsigned i = g->params; i-- > 0;)
		stk_push(c, &s, g->size, g_param[i]);
	push_return(c, &s, g->size);
	desc_mark_accessed(c, &g->cs);
	stk_mark_accessed(c, &s);
	stk_commit(c, &s, true);
	land(c, g->sel, cpl, &g->cs, g->off);
}

static void call_gate(struct interp *c, uint16_t sel, const struct desc *d)
{
	struct call_gate g;
	struct stk s;

	gate_open(c, sel, d, false, &g);
	if (!desc_ec(&g.cs) && desc_dpl(&g.cs) < c->cpl) {
		call_inner(c, &g);
		return;
	}
	stk_present(c, &s);
	if (interp_long(c)) {
		s.mask = UINT64_MAX;
		s.flat64 = true;
	}
	far_check_offset(c, &g.cs, g.off);
	push_return(c, &s, g.size);
	desc_mark_accessed(c, &g.cs);
	stk_commit(c, &s, false);
	land(c, g.sel, c->cpl, &g.cs, g.off);
}

void sys_call_far(struct interp *c, const struct insn *in)
{
	struct desc d;
	struct stk s;
	uint16_t sel;
	uint64_t off = target_read(c, in, &sel);

	if (interp_real(c) || interp_v86(c)) {
		call_real(c, in, sel, off);
		return;
	}
	if (sel_null(sel))
		interp_gp(c);
	desc_need(c, sel, X86_GP, &d);
	if (!desc_code(&d)) {
		check_system(c, sel, &d);
		if (desc_type(&d) == DT_CALL16 || desc_type(&d) == DT_CALL32)
			call_gate(c, sel, &d);
		else
			far_task(c, sel, &d, TASK_CALL);
		return;
	}
	check_direct(c, sel, &d);
	far_check_offset(c, &d, off);
	stk_present(c, &s);
	push_return(c, &s, in->osz);
	desc_mark_accessed(c, &d);
	stk_commit(c, &s, false);
	land(c, sel, c->cpl, &d, off);
}

/* ---- RET ----------------------------------------------------------------------------------- */

void far_check_return(struct interp *c, uint16_t sel, struct desc *ret_d)
{
	unsigned rpl = rpl_of(sel);

	if (sel_null(sel))
		interp_gp(c);
	desc_need(c, sel, X86_GP, ret_d);
	if (!desc_code(ret_d) || rpl < c->cpl)
		sys_fault(c, X86_GP, sel);
	if (desc_ec(ret_d) ? desc_dpl(ret_d) > rpl : desc_dpl(ret_d) != rpl)
		sys_fault(c, X86_GP, sel);
	if (interp_long(c) && desc_l(ret_d) && desc_db(ret_d))
		sys_fault(c, X86_GP, sel);
	if (!desc_p(ret_d))
		sys_fault(c, X86_NP, sel);
}

bool far_check_return_ss(struct interp *c, uint16_t ss, unsigned pl, bool code64,
			 struct desc *ret_d)
{
	if (sel_null(ss) && code64 && pl != 3 && rpl_of(ss) == pl)
		return false;
	seg_check_stack(c, ss, X86_GP, pl, ret_d);
	return true;
}

/*
 * What ring PL may not touch must not stay loaded when the processor gets
 * there.  The base stays behind, and 64-bit code goes on using that of FS and GS.
 */
static void drop_inner_data(struct interp *c, unsigned pl)
{
	static const uint8_t regs[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };

	for (unsigned i = 0; i < ARRAY_LEN(regs); i++) {
		struct cpu_seg *s = &c->seg[regs[i]];
		bool conforming = (s->attr & 0xc) == 0xc;

		if (s->attr & CPU_SEG_UNUSABLE || conforming || (s->attr >> 5 & 3) >= pl)
			continue;
		s->sel = 0;
		s->attr = CPU_SEG_UNUSABLE;
	}
}

void far_to_outer(struct interp *c, uint16_t ss, const struct desc *d, uint64_t sp, unsigned pl)
{
	if (d) {
		c->seg[CPU_SS] = desc_seg(ss, d);
	} else {
		seg_set_null(c, CPU_SS, ss);
		c->seg[CPU_SS].attr |= pl << 5;
	}
	/* CS is loaded: a 16-bit stack keeps the upper half of ESP, as hardware does. */
	if (interp_long(c) && c->seg[CPU_CS].attr & SEG_L)
		c->gpr[CPU_RSP] = sp;
	else
		reg_set(c, CPU_RSP, d && desc_db(d) ? 4 : 2, sp);
	if (pl != c->cpl)
		drop_inner_data(c, pl);
}

static void ret_real(struct interp *c, const struct insn *in)
{
	uint64_t g_ip = stk_peek(c, 0, in->osz);
	uint16_t g_cs = (uint16_t)stk_peek(c, in->osz, 2);

	if (g_ip > c->seg[CPU_CS].limit)
		interp_gp(c);
	stk_drop(c, in->osz * 2u + (uint16_t)in->imm);
	jmp_real(c, g_cs, g_ip);
}

void sys_ret_far(struct interp *c, const struct insn *in)
{
	unsigned n = in->osz, imm = (uint16_t)in->imm, pl;
	uint64_t g_ip, g_sp;
	struct desc cs, ss;
	uint16_t g_cs, g_ss;
	bool has_ss;

	if (interp_real(c) || interp_v86(c)) {
		ret_real(c, in);
		return;
	}
	g_ip = stk_peek(c, 0, n);
	g_cs = (uint16_t)stk_peek(c, n, 2);
	far_check_return(c, g_cs, &cs);
	pl = rpl_of(g_cs);
	if (pl == c->cpl) {
		far_check_offset(c, &cs, g_ip);
		desc_mark_accessed(c, &cs);
		stk_drop(c, n * 2 + imm);
		land(c, g_cs, pl, &cs, g_ip);
		return;
	}
	g_sp = stk_peek(c, n * 2 + imm, n);
	g_ss = (uint16_t)stk_peek(c, n * 3 + imm, 2);
	has_ss = far_check_return_ss(c, g_ss, pl, desc_code64(c, &cs), &ss);
	far_check_offset(c, &cs, g_ip);
	desc_mark_accessed(c, &cs);
	if (has_ss)
		desc_mark_accessed(c, &ss);
	far_set_cs(c, g_cs, pl, &cs);
	far_to_outer(c, g_ss, has_ss ? &ss : NULL, g_sp, pl);
	c->next_rip = g_ip;
	interp_mode_changed(c);
	stk_drop(c, imm);		/* the parameters lie on the outer stack too */
}
