/*
 * sys_stack.c - stacks that are being switched to, and the present one
 *
 * An interrupt or a call gate writes its frame to a stack that is not SS:RSP
 * yet, and must write all of it before anything changes.  So a frame is built
 * on a struct stk, with the limit rules and the privilege of the ring that
 * will own it, and becomes SS:RSP at the very end.
 *
 * Spec     [SDM 3] 5.8.5 stack switching, 6.12.1, 6.14.4 64-bit stack switch,
 *          7.2.1 and 7.7 TSS layouts
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

void stk_present(const struct interp *c, struct stk *ret_s)
{
	*ret_s = (struct stk){
		.ss = c->seg[CPU_SS],
		.sp = c->gpr[CPU_RSP],
		.mask = c->stack_size == 8 ? UINT64_MAX :
			c->stack_size == 4 ? UINT32_MAX : UINT16_MAX,
		.pl = c->cpl,
		.flat64 = c->code64,
	};
}

static uint64_t stk_linear(struct interp *c, const struct stk *s, uint64_t off, unsigned size)
{
	uint64_t last = off + size - 1;
	bool ok;

	if (s->flat64) {
		if (!sys_canonical(c, off) || !sys_canonical(c, last))
			sys_fault(c, X86_SS, s->err);
		return off;
	}
	if ((s->ss.attr & (SEG_S | 0xc)) == (SEG_S | 4))	/* expand-down data */
		ok = off > s->ss.limit && last <= (s->ss.attr & SEG_DB ? UINT32_MAX : UINT16_MAX);
	else
		ok = last <= s->ss.limit;
	if (!ok || s->ss.attr & CPU_SEG_UNUSABLE)
		sys_fault(c, X86_SS, s->err);
	return (uint32_t)(s->ss.base + off);
}

void stk_push(struct interp *c, struct stk *s, unsigned size, uint64_t v)
{
	uint64_t off = (s->sp - size) & s->mask;

	interp_lin_store(c, stk_linear(c, s, off, size), size, v, s->pl);
	s->sp = (s->sp & ~s->mask) | off;
}

static void stk_inner64(struct interp *c, unsigned pl, unsigned ist, struct stk *s)
{
	uint32_t at = ist ? 36 + (ist - 1) * 8 : 4 + pl * 8;

	if (at + 7 > c->seg[CPU_TR].limit)
		sys_fault(c, X86_TS, c->seg[CPU_TR].sel);
	*s = (struct stk){
		.ss = { .sel = (uint16_t)pl, .attr = CPU_SEG_UNUSABLE | pl << 5 },
		.sp = interp_sys_load(c, c->seg[CPU_TR].base + at, 8),
		.mask = UINT64_MAX,
		.pl = pl,
		.flat64 = true,
	};
	if (!sys_canonical(c, s->sp))
		sys_fault(c, X86_SS, 0);
}

void stk_inner(struct interp *c, unsigned pl, unsigned ist, struct stk *ret_s)
{
	const struct cpu_seg *tr = &c->seg[CPU_TR];
	uint32_t at, sp;
	struct desc d;
	uint16_t ss;

	if (interp_long(c)) {
		stk_inner64(c, pl, ist, ret_s);
		return;
	}
	if ((tr->attr & SEG_TYPE) == DT_TSS32_BUSY) {
		at = 4 + pl * 8;
		if (at + 5 > tr->limit)
			sys_fault(c, X86_TS, tr->sel);
		sp = (uint32_t)interp_sys_load(c, (uint32_t)(tr->base + at), 4);
		ss = (uint16_t)interp_sys_load(c, (uint32_t)(tr->base + at + 4), 2);
	} else {
		at = 2 + pl * 4;
		if (at + 3 > tr->limit)
			sys_fault(c, X86_TS, tr->sel);
		sp = (uint32_t)interp_sys_load(c, (uint32_t)(tr->base + at), 2);
		ss = (uint16_t)interp_sys_load(c, (uint32_t)(tr->base + at + 2), 2);
	}
	seg_check_stack(c, ss, X86_TS, pl, &d);
	*ret_s = (struct stk){
		.ss = desc_seg(ss, &d),
		.sp = sp,
		.mask = desc_db(&d) ? UINT32_MAX : UINT16_MAX,
		.pl = pl,
		.err = ss,
		.fresh = true,
		.desc = d,
	};
}

void stk_mark_accessed(struct interp *c, struct stk *s)
{
	if (!s->fresh)
		return;
	desc_mark_accessed(c, &s->desc);
	s->ss.attr |= 1;
}

uint64_t stk_peek(struct interp *c, unsigned off, unsigned size)
{
	uint64_t at = c->gpr[CPU_RSP] + off;

	if (c->stack_size == 2)
		at = (uint16_t)at;
	else if (c->stack_size == 4)
		at = (uint32_t)at;
	return interp_load(c, CPU_SS, at, size);
}

void stk_drop(struct interp *c, uint64_t n)
{
	reg_set(c, CPU_RSP, c->stack_size, c->gpr[CPU_RSP] + n);
}

void stk_commit(struct interp *c, const struct stk *s, bool new_ss)
{
	if (new_ss)
		c->seg[CPU_SS] = s->ss;
	c->gpr[CPU_RSP] = s->sp;
}
