/*
 * sys_table.c - descriptor-table registers, and questions about descriptors
 *
 * LAR, LSL, VERR and VERW never fault on the selector: they answer with ZF.
 *
 * Spec     [SDM 2] LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR, LAR, LSL, VERR,
 *          VERW, ARPL; [SDM 3] 2.5 UMIP
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#include <string.h>

static void need_protected(struct interp *c)
{
	if (interp_real(c) || interp_v86(c))
		interp_ud(c);
}

static void check_umip(struct interp *c)
{
	if ((c->cr4 & X86_CR4_UMIP) && c->cpl > 0)
		interp_gp(c);
}

/* The 16-bit r/m operand. */
static uint16_t rm16(struct interp *c, const struct insn *in)
{
	return (uint16_t)(in->mem ? interp_load(c, in->seg, insn_ea(c, in), 2) : c->gpr[in->rm]);
}

static void rm16_set(struct interp *c, const struct insn *in, uint16_t v)
{
	if (in->mem)
		interp_store(c, in->seg, insn_ea(c, in), 2, v);
	else
		reg_set(c, in->rm, in->osz, v);
}

/* ---- GDTR, IDTR ------------------------------------------------------------------------------------ */

static struct cpu_table table_read(struct interp *c, const struct insn *in)
{
	unsigned width = c->code64 ? 8 : 4;
	struct cpu_table t = { 0 };
	uint8_t g_ptr[10];

	sys_need_cpl0(c);
	interp_load_n(c, in->seg, insn_ea(c, in), g_ptr, 2 + width);
	host_move(&t.limit, g_ptr, 2);
	host_move(&t.base, g_ptr + 2, width);
	if (!c->code64 && in->osz == 2)
		t.base &= 0xffffff;
	if (!sys_canonical(c, t.base))
		interp_gp(c);
	return t;
}

static void table_write(struct interp *c, const struct insn *in, const struct cpu_table *t)
{
	unsigned width = c->code64 ? 8 : 4;
	uint8_t ptr[10];

	check_umip(c);
	host_move(ptr, &t->limit, 2);
	host_move(ptr + 2, &t->base, 8);
	interp_store_n(c, in->seg, insn_ea(c, in), ptr, 2 + width);
}

void sys_lgdt(struct interp *c, const struct insn *in)
{
	c->gdt = table_read(c, in);
}

void sys_lidt(struct interp *c, const struct insn *in)
{
	c->idt = table_read(c, in);
}

void sys_sgdt(struct interp *c, const struct insn *in)
{
	table_write(c, in, &c->gdt);
}

void sys_sidt(struct interp *c, const struct insn *in)
{
	table_write(c, in, &c->idt);
}

/* ---- LDTR, TR ----------------------------------------------------------------------------------------- */

/* A system segment with its 64-bit base in long mode. */
static struct cpu_seg system_seg(struct interp *c, uint16_t sel, const struct desc *d)
{
	struct cpu_seg s = desc_seg(sel, d);

	if (interp_long(c)) {
		s.base |= desc_base_high(c, sel, X86_GP, d);
		if (!sys_canonical(c, s.base))
			sys_fault(c, X86_GP, sel);
	}
	return s;
}

void sys_lldt(struct interp *c, const struct insn *in)
{
	struct cpu_seg s;
	struct desc d;
	uint16_t sel;

	need_protected(c);
	sys_need_cpl0(c);
	sel = rm16(c, in);
	if (sel_null(sel)) {
		seg_set_null(c, CPU_LDTR, sel);
		return;
	}
	if (sel & 4)
		sys_fault(c, X86_GP, sel);
	desc_need(c, sel, X86_GP, &d);
	if (desc_s(&d) || desc_type(&d) != DT_LDT)
		sys_fault(c, X86_GP, sel);
	if (!desc_p(&d))
		sys_fault(c, X86_NP, sel);
	s = system_seg(c, sel, &d);
	c->seg[CPU_LDTR] = s;
}

void sys_ltr(struct interp *c, const struct insn *in)
{
	struct cpu_seg s;
	struct desc d;
	uint16_t sel;
	bool ok;

	need_protected(c);
	sys_need_cpl0(c);
	sel = rm16(c, in);
	if (sel_null(sel) || (sel & 4))
		sys_fault(c, X86_GP, sel);
	desc_need(c, sel, X86_GP, &d);
	ok = desc_type(&d) == DT_TSS32 || (desc_type(&d) == DT_TSS16 && !interp_long(c));
	if (desc_s(&d) || !ok)
		sys_fault(c, X86_GP, sel);
	if (!desc_p(&d))
		sys_fault(c, X86_NP, sel);
	s = system_seg(c, sel, &d);
	/* Another processor may have taken it between the look and the lock. */
	if (desc_or_type(c, &d, DT_BUSY) & DT_BUSY)
		sys_fault(c, X86_GP, sel);
	s.attr |= DT_BUSY;
	c->seg[CPU_TR] = s;
}

void sys_sldt(struct interp *c, const struct insn *in)
{
	need_protected(c);
	check_umip(c);
	rm16_set(c, in, c->seg[CPU_LDTR].sel);
}

void sys_str(struct interp *c, const struct insn *in)
{
	need_protected(c);
	check_umip(c);
	rm16_set(c, in, c->seg[CPU_TR].sel);
}

/* ---- LAR, LSL, VERR, VERW, ARPL ---------------------------------------------------------------------- */

static void set_zf(struct interp *c, bool on)
{
	c->rflags = (c->rflags & ~(uint64_t)X86_ZF) | (on ? X86_ZF : 0);
}

/* Whether code at CPL may name the segment at all. */
static bool visible(const struct interp *c, uint16_t sel, const struct desc *d)
{
	if (desc_code(d) && desc_ec(d))
		return true;
	return desc_dpl(d) >= c->cpl && desc_dpl(d) >= rpl_of(sel);
}

/* Types of system descriptors that LAR and LSL answer for. */
static bool system_type_ok(const struct interp *c, unsigned type, bool lar)
{
	uint32_t lsl_types = 1u << DT_LDT | 1u << DT_TSS32 | 1u << DT_TSS32_BUSY;
	uint32_t types = lsl_types;

	if (!interp_long(c))
		types |= 1u << DT_TSS16 | 1u << DT_TSS16_BUSY;
	if (lar) {
		types |= 1u << DT_CALL32;
		if (!interp_long(c))
			types |= 1u << DT_CALL16 | 1u << DT_TASK_GATE;
	}
	return types >> type & 1;
}

static bool describe(struct interp *c, uint16_t sel, bool lar, struct desc *d)
{
	if (sel_null(sel) || !desc_fetch(c, sel, d))
		return false;
	if (!desc_s(d) && !system_type_ok(c, desc_type(d), lar))
		return false;
	return visible(c, sel, d);
}

void sys_lar(struct interp *c, const struct insn *in)
{
	struct desc d;
	bool ok;

	need_protected(c);
	ok = describe(c, rm16(c, in), true, &d);
	if (ok)
		reg_set(c, in->reg, in->osz, d.hi & 0x00ffff00);
	set_zf(c, ok);
}

void sys_lsl(struct interp *c, const struct insn *in)
{
	struct desc d;
	bool ok;

	need_protected(c);
	ok = describe(c, rm16(c, in), false, &d);
	if (ok)
		reg_set(c, in->reg, in->osz, desc_limit(&d));
	set_zf(c, ok);
}

static bool verify(struct interp *c, uint16_t sel, bool write)
{
	struct desc d;

	if (sel_null(sel) || !desc_fetch(c, sel, &d) || !desc_s(&d) || !visible(c, sel, &d))
		return false;
	if (write)
		return desc_data(&d) && desc_rw(&d);
	return desc_data(&d) || desc_rw(&d);
}

void sys_verr(struct interp *c, const struct insn *in)
{
	need_protected(c);
	set_zf(c, verify(c, rm16(c, in), false));
}

void sys_verw(struct interp *c, const struct insn *in)
{
	need_protected(c);
	set_zf(c, verify(c, rm16(c, in), true));
}

void sys_arpl(struct interp *c, const struct insn *in)
{
	uint16_t sel, rpl;

	need_protected(c);
	rpl = c->gpr[in->reg] & 3;
	sel = rm16(c, in);
	/* Processors write, and check that they may, only what changes; the manual leaves it open. */
	if (rpl_of(sel) >= rpl) {
		set_zf(c, false);
		return;
	}
	sel = (uint16_t)((sel & 0xfffc) | rpl);
	if (in->mem)
		interp_store(c, in->seg, insn_ea(c, in), 2, sel);
	else
		reg_set(c, in->rm, 2, sel);
	set_zf(c, true);
}
