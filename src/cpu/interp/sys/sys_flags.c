/*
 * sys_flags.c - PUSHF, POPF, CLI, STI
 *
 * POPF never faults on flags it may not change: it leaves them as they are,
 * which is what made x86 hard to virtualise.
 *
 * Spec     [SDM 2] PUSHF, POPF tables 4-15..4-18, CLI, STI
 * Missing  VME and PVI: CR4 refuses them
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

static void need_v86_iopl(struct interp *c)
{
	if (interp_v86(c) && sys_iopl(c) < 3)
		interp_gp(c);
}

void sys_pushf(struct interp *c, const struct insn *in)
{
	need_v86_iopl(c);
	interp_push(c, in->osz, c->rflags & ~(uint64_t)(X86_VM | X86_RF));
}

void sys_popf(struct interp *c, const struct insn *in)
{
	uint64_t mask = X86_ARITH | X86_TF | X86_DF | X86_NT, g_flags;

	need_v86_iopl(c);
	g_flags = interp_pop(c, in->osz);
	if (in->osz != 2)
		mask |= X86_AC | X86_ID;
	if (c->cpl == 0)
		mask |= X86_IOPL;
	if (c->cpl <= sys_iopl(c))
		mask |= X86_IF;
	c->rflags = ((c->rflags & ~(mask | X86_RF)) | (g_flags & mask)) | 2;
}

static void need_iopl(struct interp *c)
{
	if (interp_protected(c) && c->cpl > sys_iopl(c))
		interp_gp(c);
}

void sys_cli(struct interp *c, const struct insn *in)
{
	(void)in;
	need_iopl(c);
	c->rflags &= ~(uint64_t)X86_IF;
}

void sys_sti(struct interp *c, const struct insn *in)
{
	(void)in;
	need_iopl(c);
	if (!(c->rflags & X86_IF))
		c->shadow |= SHADOW_STI;
	c->rflags |= X86_IF;
}
