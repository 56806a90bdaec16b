/*
 * sys_iret.c - IRET
 *
 * The way back from every kind of interrupt: the same ring, an outer one,
 * v8086, another task.  64-bit mode always takes SS:RSP from the frame, other
 * modes only when the ring changes.
 *
 * NMIs are let in again as soon as an IRET begins, also when it faults.
 *
 * Spec     [SDM 2] IRET; [SDM 3] 6.7.1, 6.14.3, 20.2.2
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#define FLAGS_ANY (X86_ARITH | X86_TF | X86_DF | X86_NT)
#define FLAGS_WIDE (X86_RF | X86_AC | X86_ID)

struct frame {
	uint64_t ip, flags;
	uint16_t cs;
};

static void frame_peek(struct interp *c, unsigned size, struct frame *ret_f)
{
	ret_f->ip = stk_peek(c, 0, size);
	ret_f->cs = (uint16_t)stk_peek(c, size, 2);
	ret_f->flags = stk_peek(c, size * 2, size);
}

/* Flags that an IRET executed now may change. */
static uint64_t flags_mask(const struct interp *c, unsigned size)
{
	uint64_t mask = FLAGS_ANY;

	if (size != 2)
		mask |= FLAGS_WIDE;
	if (c->cpl <= sys_iopl(c))
		mask |= X86_IF;
	if (c->cpl == 0) {
		mask |= X86_IOPL;
		if (size != 2)
			mask |= X86_VIF | X86_VIP;
	}
	return mask;
}

static void set_flags(struct interp *c, uint64_t flags, uint64_t mask)
{
	c->rflags = (c->rflags & ~mask) | (flags & mask) | 2;
}

static void iret_real(struct interp *c, const struct insn *in)
{
	uint64_t mask = FLAGS_ANY | X86_IF;
	struct frame g;

	if (interp_v86(c)) {
		if (sys_iopl(c) < 3)
			interp_gp(c);
	} else {
		mask |= X86_IOPL;
	}
	if (in->osz != 2)
		mask |= FLAGS_WIDE;
	frame_peek(c, in->osz, &g);
	if (g.ip > c->seg[CPU_CS].limit)
		interp_gp(c);
	stk_drop(c, in->osz * 3u);
	if (interp_v86(c))
		seg_set_v86(c, CPU_CS, g.cs);
	else
		seg_set_real(c, CPU_CS, g.cs);
	set_flags(c, g.flags, mask);
	c->next_rip = g.ip;
	interp_mode_changed(c);
}

static void iret_to_v86(struct interp *c, const struct frame *g)
{
	static const uint8_t order[] = { CPU_SS, CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	uint32_t g_esp = (uint32_t)stk_peek(c, 12, 4);
	uint16_t g_sel[ARRAY_LEN(order)];

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		g_sel[i] = (uint16_t)stk_peek(c, 16 + i * 4, 2);
	if (g->ip > 0xffff)
		interp_gp(c);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		seg_set_v86(c, order[i], g_sel[i]);
	seg_set_v86(c, CPU_CS, g->cs);
	c->gpr[CPU_RSP] = g_esp;
	set_flags(c, g->flags, flags_mask(c, 4) | X86_VM);
	c->next_rip = g->ip;
	interp_mode_changed(c);
}

static void iret_task(struct interp *c)
{
	const struct cpu_seg *tr = &c->seg[CPU_TR];
	uint16_t g_link = (uint16_t)interp_sys_load(c, (uint32_t)tr->base, 2);
	struct desc d;
	unsigned type;

	if (g_link & 4)
		sys_fault(c, X86_TS, g_link);
	desc_need(c, g_link, X86_TS, &d);
	type = desc_type(&d);
	if (desc_s(&d) || (type != DT_TSS16_BUSY && type != DT_TSS32_BUSY))
		sys_fault(c, X86_TS, g_link);
	if (!desc_p(&d))
		sys_fault(c, X86_NP, g_link);
	sys_task_switch(c, g_link, &d, TASK_IRET, c->next_rip);
	if (c->rip > c->seg[CPU_CS].limit)
		interp_gp(c);
	sys_task_debug(c);
}

static void iret_prot(struct interp *c, const struct insn *in)
{
	unsigned n = in->osz, pl;
	uint64_t mask, g_sp = 0;
	struct desc cs, ss;
	uint16_t g_ss = 0;
	bool stack, has_ss = false;
	struct frame g;

	frame_peek(c, n, &g);
	if ((g.flags & X86_VM) && n == 4 && c->cpl == 0 && !interp_long(c)) {
		iret_to_v86(c, &g);
		return;
	}
	far_check_return(c, g.cs, &cs);
	pl = rpl_of(g.cs);
	stack = c->code64 || pl != c->cpl;
	if (stack) {
		g_sp = stk_peek(c, n * 3, n);
		g_ss = (uint16_t)stk_peek(c, n * 4, 2);
		has_ss = far_check_return_ss(c, g_ss, pl, desc_code64(c, &cs), &ss);
	}
	far_check_offset(c, &cs, g.ip);
	desc_mark_accessed(c, &cs);
	if (has_ss)
		desc_mark_accessed(c, &ss);

	mask = flags_mask(c, n);
	if (!stack)
		stk_drop(c, n * 3);
	far_set_cs(c, g.cs, pl, &cs);
	if (stack)
		far_to_outer(c, g_ss, has_ss ? &ss : NULL, g_sp, pl);
	set_flags(c, g.flags, mask);
	c->next_rip = g.ip;
	interp_mode_changed(c);
}

void sys_iret(struct interp *c, const struct insn *in)
{
	c->nmi_masked = 0;
	if (interp_real(c) || interp_v86(c)) {
		iret_real(c, in);
		return;
	}
	if (c->rflags & X86_NT) {
		if (interp_long(c))
			interp_gp(c);
		iret_task(c);
		return;
	}
	iret_prot(c, in);
}
