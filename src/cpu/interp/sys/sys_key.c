/*
 * sys_key.c - protection keys: RDPKRU, WRPKRU, and the rights they hold
 *
 * Four bits of a page's entry choose two bits of PKRU (users' pages) or of the
 * MSR PKRS (the system's), which take away all access or writes.  The page
 * walk looks at them, and a TLB entry knows the rights of when it was made: so
 * new rights cost a flush, and the same again nothing.
 *
 * Spec     [SDM 3] 4.6.2; [SDM 2] RDPKRU, WRPKRU
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

void interp_set_keys(struct interp *c, bool user, uint32_t v)
{
	uint32_t *keys = user ? &c->pkru : &c->pkrs;

	if (*keys == v)
		return;
	*keys = v;
	if (c->cr4 & (user ? X86_CR4_PKE : X86_CR4_PKS))
		interp_tlb_flush(c, true);
}

static void check(struct interp *c)
{
	if (!(c->cr4 & X86_CR4_PKE))
		interp_ud(c);
	if ((uint32_t)c->gpr[CPU_RCX] != 0)
		interp_gp(c);
}

void sys_rdpkru(struct interp *c, const struct insn *in)
{
	(void)in;
	check(c);
	c->gpr[CPU_RAX] = c->pkru;
	c->gpr[CPU_RDX] = 0;
}

void sys_wrpkru(struct interp *c, const struct insn *in)
{
	(void)in;
	check(c);
	if ((uint32_t)c->gpr[CPU_RDX] != 0)
		interp_gp(c);
	interp_set_keys(c, true, (uint32_t)c->gpr[CPU_RAX]);
}
