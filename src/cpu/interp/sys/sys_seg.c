/*
 * sys_seg.c - loading and storing segment registers
 *
 * Real mode changes base and selector only and keeps the limit: the "unreal"
 * mode that boot loaders live on.  v8086 makes the whole hidden part.  In
 * protected mode a null selector is fine in DS, ES, FS and GS until used, in
 * SS never, except in 64-bit mode below ring 3 where the kernel itself runs
 * with one.
 *
 * Spec     [SDM 2] MOV, POP, LDS; [SDM 3] 5.6, 5.7, 3.4.4.1, 20.1.1
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

bool seg_check_data(struct interp *c, uint16_t sel, unsigned vector, unsigned pl,
		    struct desc *ret_d)
{
	unsigned dpl;

	if (sel_null(sel))
		return false;
	desc_need(c, sel, vector, ret_d);
	if (!desc_s(ret_d) || (desc_code(ret_d) && !desc_rw(ret_d)))
		sys_fault(c, vector, sel);
	dpl = desc_dpl(ret_d);
	if (!(desc_code(ret_d) && desc_ec(ret_d)) && (rpl_of(sel) > dpl || pl > dpl))
		sys_fault(c, vector, sel);
	if (!desc_p(ret_d))
		sys_fault(c, X86_NP, sel);
	return true;
}

void seg_check_stack(struct interp *c, uint16_t sel, unsigned vector, unsigned pl,
		     struct desc *ret_d)
{
	if (sel_null(sel))
		sys_fault(c, vector, 0);
	desc_need(c, sel, vector, ret_d);
	if (rpl_of(sel) != pl || !desc_data(ret_d) || !desc_rw(ret_d) || desc_dpl(ret_d) != pl)
		sys_fault(c, vector, sel);
	if (!desc_p(ret_d))
		sys_fault(c, X86_SS, sel);
}

void seg_set_null(struct interp *c, enum cpu_sreg s, uint16_t sel)
{
	c->seg[s] = (struct cpu_seg){ .sel = sel, .attr = CPU_SEG_UNUSABLE };
}

void seg_set_real(struct interp *c, enum cpu_sreg s, uint16_t sel)
{
	struct cpu_seg *seg = &c->seg[s];

	if (seg->attr & CPU_SEG_UNUSABLE)
		*seg = (struct cpu_seg){ .limit = 0xffff };
	seg->attr = (seg->attr & (SEG_DB | SEG_G)) | SEG_REAL;
	seg->sel = sel;
	seg->base = (uint32_t)sel << 4;
}

void seg_set_v86(struct interp *c, enum cpu_sreg s, uint16_t sel)
{
	c->seg[s] = (struct cpu_seg){
		.sel = sel, .attr = SEG_V86, .limit = 0xffff, .base = (uint32_t)sel << 4,
	};
}

void seg_set_flat(struct interp *c, enum cpu_sreg s, uint16_t sel, uint32_t attr)
{
	c->seg[s] = (struct cpu_seg){ .sel = sel, .attr = attr, .limit = UINT32_MAX };
}

/* SS := null is legal in 64-bit mode below ring 3, with RPL = CPL. */
static void load_null_ss(struct interp *c, uint16_t sel)
{
	if (!c->code64 || c->cpl == 3 || rpl_of(sel) != c->cpl)
		interp_gp(c);
	seg_set_null(c, CPU_SS, sel);
	c->seg[CPU_SS].attr |= (uint32_t)c->cpl << 5;
}

void interp_load_seg(struct interp *c, enum cpu_sreg s, uint16_t sel)
{
	struct desc d;

	if (interp_real(c)) {
		seg_set_real(c, s, sel);
	} else if (interp_v86(c)) {
		seg_set_v86(c, s, sel);
	} else if (s == CPU_SS && sel_null(sel)) {
		load_null_ss(c, sel);
	} else if (s == CPU_SS) {
		seg_check_stack(c, sel, X86_GP, c->cpl, &d);
		desc_mark_accessed(c, &d);
		c->seg[s] = desc_seg(sel, &d);
	} else if (!seg_check_data(c, sel, X86_GP, c->cpl, &d)) {
		seg_set_null(c, s, sel);
	} else {
		desc_mark_accessed(c, &d);
		c->seg[s] = desc_seg(sel, &d);
	}
	interp_mode_changed(c);
}

/* ---- instructions --------------------------------------------------------------------------- */

void sys_mov_from_sreg(struct interp *c, const struct insn *in)
{
	uint16_t sel = c->seg[in->reg].sel;

	if (in->mem)
		interp_store(c, in->seg, insn_ea(c, in), 2, sel);
	else
		reg_set(c, in->rm, in->osz, sel);
}

void sys_mov_to_sreg(struct interp *c, const struct insn *in)
{
	uint16_t sel = (uint16_t)(in->mem ? interp_load(c, in->seg, insn_ea(c, in), 2) :
				  c->gpr[in->rm]);

	interp_load_seg(c, in->reg, sel);
	if (in->reg == CPU_SS)
		c->shadow |= SHADOW_MOV_SS;
}

void sys_push_sreg(struct interp *c, const struct insn *in)
{
	interp_push(c, in->osz, c->seg[in->reg].sel);
}

void sys_pop_sreg(struct interp *c, const struct insn *in)
{
	uint16_t sel = (uint16_t)stk_peek(c, 0, 2);
	unsigned stack = c->stack_size;

	interp_load_seg(c, in->reg, sel);
	/* The width of the stack that was popped, not of the one just loaded. */
	reg_set(c, CPU_RSP, stack, c->gpr[CPU_RSP] + in->osz);
	if (in->reg == CPU_SS)
		c->shadow |= SHADOW_MOV_SS;
}

/* LDS, LES, LSS, LFS, LGS: op[0] is the segment register. */
void sys_lfp(struct interp *c, const struct insn *in)
{
	uint8_t g_ptr[10] = { 0 };
	uint64_t off = 0;
	uint16_t sel;

	interp_load_n(c, in->seg, insn_ea(c, in), g_ptr, in->osz + 2u);
	host_move(&off, g_ptr, in->osz);
	host_move(&sel, g_ptr + in->osz, 2);
	interp_load_seg(c, in->op[0], sel);
	reg_set(c, in->reg, in->osz, off);
}
