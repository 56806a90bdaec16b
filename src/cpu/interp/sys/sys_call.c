/*
 * sys_call.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT
 *
 * Fast system calls load CS and SS with fixed attributes and never look at the
 * descriptors.  The vendors differ: Intel has SYSCALL in 64-bit mode only and
 * SYSENTER everywhere, AMD the other way round; and SYSRET to a non-canonical
 * address faults in the kernel on Intel, in the user on AMD.
 *
 * Spec     [SDM 2] SYSCALL, SYSRET, SYSENTER, SYSEXIT; [APM 3] the same
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#define ATTR_CODE 0x809b	/* G, P, S, execute-read accessed */
#define ATTR_DATA 0xc093	/* G, B, P, S, read-write accessed */
#define ATTR_CODE64 (ATTR_CODE | SEG_L)
#define ATTR_CODE32 (ATTR_CODE | SEG_DB)
#define ATTR_USER SEG_DPL
#define SYSRET_FLAGS UINT64_C(0x3c7fd7)

static void enter(struct interp *c, uint16_t cs, bool code64, unsigned cpl)
{
	uint32_t dpl = cpl == 3 ? ATTR_USER : 0;

	seg_set_flat(c, CPU_CS, (uint16_t)((cs & 0xfffc) | cpl),
		     (code64 ? ATTR_CODE64 : ATTR_CODE32) | dpl);
}

static void stack(struct interp *c, uint16_t ss, unsigned cpl)
{
	uint32_t dpl = cpl == 3 ? ATTR_USER : 0;

	seg_set_flat(c, CPU_SS, (uint16_t)((ss & 0xfffc) | cpl), ATTR_DATA | dpl);
	interp_mode_changed(c);
}

static void syscall_legacy(struct interp *c)
{
	uint16_t cs = (uint16_t)(c->star >> 32);

	c->gpr[CPU_RCX] = (uint32_t)c->next_rip;
	c->next_rip = (uint32_t)c->star;
	c->rflags &= ~(uint64_t)(X86_VM | X86_IF | X86_RF);
	enter(c, cs, false, 0);
	stack(c, (uint16_t)((cs & 0xfffc) + 8), 0);
}

void sys_syscall(struct interp *c, const struct insn *in)
{
	uint16_t cs = (uint16_t)(c->star >> 32);

	(void)in;
	if (!(c->efer & X86_EFER_SCE) || interp_real(c) || (!c->code64 && sys_is_intel(c)))
		interp_ud(c);
	if (!interp_long(c)) {
		syscall_legacy(c);
		return;
	}
	c->gpr[CPU_RCX] = c->next_rip;
	c->gpr[CPU_R11] = c->rflags & ~(uint64_t)X86_RF;
	c->next_rip = c->code64 ? c->lstar : c->cstar;
	c->rflags = (c->rflags & ~(c->sfmask | X86_RF)) | 2;
	enter(c, cs, true, 0);
	stack(c, (uint16_t)((cs & 0xfffc) + 8), 0);
}

/* TF out of R11 traps at once, before the user's first instruction; from IRET it waits. */
void sys_sysret(struct interp *c, const struct insn *in)
{
	uint16_t base = (uint16_t)(c->star >> 48);
	bool wide = in->osz == 8;

	if (!(c->efer & X86_EFER_SCE) || interp_real(c) || (!c->code64 && sys_is_intel(c)))
		interp_ud(c);
	sys_need_cpl0(c);
	if (wide && !sys_canonical(c, c->gpr[CPU_RCX]) && sys_is_intel(c))
		interp_gp(c);
	c->next_rip = wide ? c->gpr[CPU_RCX] : (uint32_t)c->gpr[CPU_RCX];
	if (interp_long(c))
		c->rflags = (c->gpr[CPU_R11] & SYSRET_FLAGS & ~(uint64_t)X86_RF) | 2;
	else
		c->rflags |= X86_IF;
	enter(c, (uint16_t)(base + (wide ? 16 : 0)), wide, 3);
	stack(c, (uint16_t)(base + 8), 3);
	if (c->rflags & X86_TF) {
		c->rip = c->next_rip;
		interp_debug_trap(c, 0x4000);	/* BS */
	}
}

void sys_sysenter(struct interp *c, const struct insn *in)
{
	bool lm = interp_long(c);

	(void)in;
	if (!sys_has(c, FEAT_SEP) || (lm && !sys_is_intel(c)))
		interp_ud(c);
	if (interp_real(c) || sel_null((uint16_t)c->sysenter_cs))
		interp_gp(c);
	c->rflags &= ~(uint64_t)(X86_VM | X86_IF | X86_RF);
	c->gpr[CPU_RSP] = lm ? c->sysenter_esp : (uint32_t)c->sysenter_esp;
	c->next_rip = lm ? c->sysenter_eip : (uint32_t)c->sysenter_eip;
	enter(c, (uint16_t)c->sysenter_cs, lm, 0);
	stack(c, (uint16_t)((c->sysenter_cs & 0xfffc) + 8), 0);
}

void sys_sysexit(struct interp *c, const struct insn *in)
{
	bool wide = in->osz == 8;
	uint16_t cs = (uint16_t)(c->sysenter_cs + (wide ? 32 : 16));

	if (!sys_has(c, FEAT_SEP) || (interp_long(c) && !sys_is_intel(c)))
		interp_ud(c);
	if (interp_real(c) || c->cpl != 0 || sel_null((uint16_t)c->sysenter_cs))
		interp_gp(c);
	if (wide && (!sys_canonical(c, c->gpr[CPU_RCX]) || !sys_canonical(c, c->gpr[CPU_RDX])))
		interp_gp(c);
	c->gpr[CPU_RSP] = wide ? c->gpr[CPU_RCX] : (uint32_t)c->gpr[CPU_RCX];
	c->next_rip = wide ? c->gpr[CPU_RDX] : (uint32_t)c->gpr[CPU_RDX];
	enter(c, cs, wide, 3);
	stack(c, (uint16_t)(cs + 8), 3);
}
