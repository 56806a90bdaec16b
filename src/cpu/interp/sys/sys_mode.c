/*
 * sys_mode.c - reset, and what follows from the mode bits
 *
 * The privilege level is that of SS, as the processor itself keeps it: CS says
 * something else in conforming segments and nothing at all in real mode.
 *
 * Spec     [SDM 3] 9.1 initialization, table 9-1 power-up, reset and INIT
 * Missing  CR8 and the APIC base proper are the client's to reset
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#include <string.h>

static bool flat_data(const struct cpu_seg *s)
{
	uint32_t must = SEG_P | SEG_S | 2;

	return s->base == 0 && s->limit == UINT32_MAX && (s->attr & must) == must &&
	       !(s->attr & (CPU_SEG_UNUSABLE | 0xc));
}

/* Everything of CS may be read; writes through CS are not flat's business to allow. */
static bool flat_code(const struct cpu_seg *s)
{
	uint32_t must = SEG_P | SEG_S | 0xa;

	return s->base == 0 && s->limit == UINT32_MAX && (s->attr & must) == must &&
	       !(s->attr & CPU_SEG_UNUSABLE);
}

void interp_mode_changed(struct interp *c)
{
	const struct cpu_seg *cs = &c->seg[CPU_CS], *ss = &c->seg[CPU_SS];

	if (interp_real(c))
		c->cpl = 0;
	else if (interp_v86(c))
		c->cpl = 3;
	else
		c->cpl = ss->attr >> 5 & 3;
	c->code64 = interp_long(c) && (cs->attr & SEG_L);
	c->code32 = !c->code64 && (cs->attr & SEG_DB);
	c->stack_size = c->code64 ? 8 : ss->attr & SEG_DB ? 4 : 2;
	c->flat = !c->code64 && interp_protected(c) && !interp_v86(c) && flat_code(cs) &&
		  flat_data(ss) && flat_data(&c->seg[CPU_DS]) && flat_data(&c->seg[CPU_ES]);
}

static void reset_segs(struct interp *c)
{
	for (unsigned i = 0; i < CPU_LDTR; i++)
		c->seg[i] = (struct cpu_seg){ .attr = SEG_REAL, .limit = 0xffff };
	c->seg[CPU_CS].sel = 0xf000;
	c->seg[CPU_CS].base = 0xffff0000;
	c->seg[CPU_LDTR] = (struct cpu_seg){ .attr = SEG_P | DT_LDT, .limit = 0xffff };
	c->seg[CPU_TR] = (struct cpu_seg){ .attr = SEG_P | DT_TSS32_BUSY, .limit = 0xffff };
	c->gdt = c->idt = (struct cpu_table){ 0, 0xffff };
}

/* What INIT leaves alone and power-on does not. */
static void reset_power_on(struct interp *c)
{
	c->cr0 = X86_CR0_CD | X86_CR0_NW;
	c->xcr0 = 1;
	c->star = c->lstar = c->cstar = c->sfmask = 0;
	c->kernel_gs_base = c->tsc_aux = 0;
	c->sysenter_cs = c->sysenter_esp = c->sysenter_eip = 0;
	c->pat = X86_PAT_RESET;
	c->apic_base = 0xfee00800 | (c->conf.index == 0 ? 0x100 : 0);
	c->tsc_adjust = 0;
	c->misc_enable = 1;		/* fast strings */
	c->spec_ctrl = 0;
	c->pkru = c->pkrs = 0;
	c->mtrr_def = 0;
	memset(c->mtrr_fixed, 0, sizeof(c->mtrr_fixed));
	memset(c->mtrr_var, 0, sizeof(c->mtrr_var));
	memset(c->xsave, 0, sizeof(c->xsave));
	c->xsave[0] = 0x40;		/* FCW: no exception masked */
	c->xsave[4] = 0xff;		/* FTW 5555: all valid, zero */
	c->xsave[24] = 0x80;		/* MXCSR 1f80 */
	c->xsave[25] = 0x1f;
	c->xsave[512] = cpu_model_xcr0(c->model) & 7;	/* XSTATE_BV: all are there */
}

void interp_reset(struct interp *c, bool init)
{
	uint32_t id[4];

	if (!init)
		reset_power_on(c);
	c->cpuid_seq++;
	memset(c->gpr, 0, sizeof(c->gpr));
	cpu_model_cpuid(c->model, 1, 0, id);
	c->gpr[CPU_RDX] = id[0];
	c->rip = c->next_rip = 0xfff0;
	c->rflags = 2;
	reset_segs(c);
	c->cr0 = (c->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
	c->cr2 = c->cr3 = c->cr4 = c->efer = 0;
	memset(c->dr, 0, sizeof(c->dr));
	c->dr6 = 0xffff0ff0;
	c->dr7 = 0x400;
	c->shadow = c->halted = c->nmi_masked = c->in_delivery = 0;
	c->stop = 1;
	interp_tlb_flush(c, true);
	interp_mode_changed(c);
}
