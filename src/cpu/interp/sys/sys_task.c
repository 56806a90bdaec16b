/*
 * sys_task.c - hardware task switches
 *
 * Nobody switches tasks this way any more, but a 32-bit kernel's double fault
 * goes through a task gate, and so does whatever an old guest brings along.
 *
 * There is a point of no return: before it a fault leaves the old task
 * untouched, after it a fault belongs to the new task and saves the new
 * task's registers.  Everything that can be checked early is.
 *
 * Spec     [SDM 3] 7.2, 7.3 task switching, table 7-1 and 7-2; 17.3.1.5 T bit
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#define NR_SEGS 6
#define TASK_FLAGS (X86_ARITH | X86_TF | X86_IF | X86_DF | X86_IOPL | X86_NT | X86_RF | X86_VM | \
		    X86_AC | X86_VIF | X86_VIP | X86_ID)

/* Offsets in a TSS; the two layouts. */
struct tss_map {
	unsigned size, word;
	uint8_t cr3, ip, flags, gpr, seg, nr_seg, ldt, trap;
};

static const struct tss_map tss32 = { 104, 4, 0x1c, 0x20, 0x24, 0x28, 0x48, 6, 0x60, 0x64 };
static const struct tss_map tss16 = { 44, 2, 0, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a, 0 };

struct task {
	uint32_t cr3, ip, flags, gpr[8];
	uint16_t seg[NR_SEGS], ldt;
};

static const struct tss_map *map_of(unsigned type)
{
	return type >= DT_TSS32 ? &tss32 : &tss16;
}

void sys_task_check(struct interp *c, uint16_t sel, struct desc *ret_d)
{
	unsigned type;

	if (sel & 4 || sel_null(sel))
		sys_fault(c, X86_GP, sel);
	desc_need(c, sel, X86_GP, ret_d);
	type = desc_type(ret_d);
	if (desc_s(ret_d) || (type != DT_TSS16 && type != DT_TSS32))
		sys_fault(c, X86_GP, sel);
	if (!desc_p(ret_d))
		sys_fault(c, X86_NP, sel);
}

static uint32_t get(struct interp *c, uint64_t base, unsigned at, unsigned size)
{
	return (uint32_t)interp_sys_load(c, (uint32_t)(base + at), size);
}

static void put(struct interp *c, uint64_t base, unsigned at, unsigned size, uint64_t v)
{
	interp_sys_store(c, (uint32_t)(base + at), size, v);
}

static void task_read(struct interp *c, const struct tss_map *m, uint64_t base, struct task *ret_t)
{
	*ret_t = (struct task){ 0 };
	ret_t->cr3 = m->cr3 ? get(c, base, m->cr3, 4) : 0;
	ret_t->ip = get(c, base, m->ip, m->word);
	ret_t->flags = get(c, base, m->flags, m->word);
	for (unsigned i = 0; i < 8; i++)
		ret_t->gpr[i] = get(c, base, m->gpr + i * m->word, m->word);
	for (unsigned i = 0; i < m->nr_seg; i++)
		ret_t->seg[i] = (uint16_t)get(c, base, m->seg + i * m->word, 2);
	ret_t->ldt = (uint16_t)get(c, base, m->ldt, 2);
}

/* Both ends of the part that is going to be written, so that no #PF comes later. */
static void task_probe_write(struct interp *c, const struct tss_map *m, uint64_t base)
{
	unsigned first = m->ip, last = m->seg + (m->nr_seg - 1u) * m->word;

	put(c, base, first, m->word, get(c, base, first, m->word));
	put(c, base, last, 2, get(c, base, last, 2));
}

static void task_save(struct interp *c, const struct tss_map *m, uint64_t base, uint64_t rip,
		      uint64_t flags)
{
	put(c, base, m->ip, m->word, rip);
	put(c, base, m->flags, m->word, flags);
	for (unsigned i = 0; i < 8; i++)
		put(c, base, m->gpr + i * m->word, m->word, c->gpr[i]);
	for (unsigned i = 0; i < m->nr_seg; i++)
		put(c, base, m->seg + i * m->word, 2, c->seg[i].sel);
}

/* ---- after the point of no return ------------------------------------------------------------ */

static void load_ldt(struct interp *c, uint16_t sel)
{
	struct desc d;

	seg_set_null(c, CPU_LDTR, sel);
	if (sel_null(sel))
		return;
	if (sel & 4)
		sys_fault(c, X86_TS, sel);
	desc_need(c, sel, X86_TS, &d);
	if (desc_s(&d) || desc_type(&d) != DT_LDT || !desc_p(&d))
		sys_fault(c, X86_TS, sel);
	c->seg[CPU_LDTR] = desc_seg(sel, &d);
}

static void load_cs(struct interp *c, uint16_t sel)
{
	struct desc d;

	if (sel_null(sel))
		sys_fault(c, X86_TS, 0);
	desc_need(c, sel, X86_TS, &d);
	if (!desc_code(&d) ||
	    (desc_ec(&d) ? desc_dpl(&d) > rpl_of(sel) : desc_dpl(&d) != rpl_of(sel)))
		sys_fault(c, X86_TS, sel);
	if (!desc_p(&d))
		sys_fault(c, X86_NP, sel);
	desc_mark_accessed(c, &d);
	c->seg[CPU_CS] = desc_seg(sel, &d);
}

static void load_segs(struct interp *c, const struct task *t)
{
	static const uint8_t data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	unsigned cpl = rpl_of(t->seg[CPU_CS]);
	struct desc d;

	load_ldt(c, t->ldt);
	if (interp_v86(c)) {
		for (unsigned i = 0; i < NR_SEGS; i++)
			seg_set_v86(c, i, t->seg[i]);
		interp_mode_changed(c);
		return;
	}
	load_cs(c, t->seg[CPU_CS]);
	interp_mode_changed(c);
	seg_check_stack(c, t->seg[CPU_SS], X86_TS, cpl, &d);
	desc_mark_accessed(c, &d);
	c->seg[CPU_SS] = desc_seg(t->seg[CPU_SS], &d);
	interp_mode_changed(c);
	for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
		if (!seg_check_data(c, t->seg[data[i]], X86_TS, cpl, &d))
			continue;
		desc_mark_accessed(c, &d);
		c->seg[data[i]] = desc_seg(t->seg[data[i]], &d);
	}
}

static void task_load(struct interp *c, const struct tss_map *m, const struct task *t)
{
	unsigned cpl = t->flags & X86_VM ? 3 : rpl_of(t->seg[CPU_CS]);

	if (m == &tss32 && (c->cr0 & X86_CR0_PG) && c->cr3 != t->cr3) {
		c->cr3 = t->cr3;
		interp_tlb_flush(c, false);
	}
	c->rip = c->next_rip = t->ip;
	c->rflags = (t->flags & TASK_FLAGS) | 2;
	for (unsigned i = 0; i < 8; i++)
		c->gpr[i] = m == &tss32 ? t->gpr[i] : (c->gpr[i] & 0xffff0000) | t->gpr[i];
	/* Selectors first, all of them unusable: a fault from here on saves these. */
	for (unsigned i = 0; i < NR_SEGS; i++)
		seg_set_null(c, i, t->seg[i]);
	c->seg[CPU_SS].attr |= cpl << 5;
	interp_mode_changed(c);
	load_segs(c, t);
}

void sys_task_switch(struct interp *c, uint16_t sel, struct desc *d, enum task_src src,
		     uint64_t ret_rip)
{
	const struct tss_map *old = map_of(c->seg[CPU_TR].attr & SEG_TYPE);
	const struct tss_map *new = map_of(desc_type(d));
	uint64_t old_base = c->seg[CPU_TR].base, flags = c->rflags;
	uint16_t old_sel = c->seg[CPU_TR].sel;
	struct desc old_d;
	struct task t;

	if (desc_limit(d) < new->size - 1)
		sys_fault(c, X86_TS, sel);
	if (c->seg[CPU_TR].limit < old->size - 1)
		sys_fault(c, X86_TS, old_sel);
	task_read(c, new, desc_base(d), &t);
	if (new == &tss32 && (c->cr0 & X86_CR0_PG) && (c->cr4 & X86_CR4_PAE))
		sys_check_pdptes(c, t.cr3);
	task_probe_write(c, old, old_base);
	desc_need(c, old_sel, X86_TS, &old_d);
	desc_probe_type(c, &old_d);
	desc_probe_type(c, d);
	if (src == TASK_CALL || src == TASK_INT)
		put(c, desc_base(d), 0, 2, old_sel);

	/* The point of no return. */
	if (src == TASK_IRET)
		flags &= ~(uint64_t)X86_NT;
	if (src == TASK_JMP || src == TASK_IRET)
		(void)desc_and_type(c, &old_d, (uint8_t)~DT_BUSY);
	task_save(c, old, old_base, ret_rip, flags);
	if (src != TASK_IRET)
		(void)desc_or_type(c, d, DT_BUSY);
	if (src == TASK_CALL || src == TASK_INT)
		t.flags |= X86_NT;
	c->seg[CPU_TR] = desc_seg(sel, d);
	c->seg[CPU_TR].attr |= DT_BUSY;
	c->cr0 |= X86_CR0_TS;
	c->dr7 &= ~UINT64_C(0x155);		/* local breakpoints are the old task's */
	c->stop = 1;
	task_load(c, new, &t);
}

void sys_task_debug(struct interp *c)
{
	const struct cpu_seg *tr = &c->seg[CPU_TR];

	if (map_of(tr->attr & SEG_TYPE) == &tss32 && (get(c, tr->base, tss32.trap, 2) & 1))
		interp_debug_trap(c, 0x8000);	/* BT */
}
