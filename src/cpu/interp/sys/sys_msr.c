/*
 * sys_msr.c - model-specific registers of the processor itself
 *
 * The local APIC's and Hyper-V's registers belong to the client, and so does
 * all we do not know: it is asked last, and what it does not know is #GP(0).
 * Guests probe by reading and catching the fault, so #GP is an answer.
 *
 * The TSC is the host's plus an offset.  TSC_ADJUST is a view of that offset:
 * writing either register moves both.
 *
 * Spec     [SDM 4] 2.1 architectural MSRs; [SDM 3] 11.11 MTRR, 11.12 PAT,
 *          17.17.3 TSC_ADJUST; [SDM 3] 4.1.4 canonical checks
 * Missing  thermal, performance and debug-store registers; LBR and BTF;
 *          of AMD's own, all but the counters, which stand still
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#define MSR_PLATFORM_ID 0x17u
#define MSR_SPEC_CTRL 0x48u
#define MSR_PRED_CMD 0x49u
#define SPEC_CTRL_BHI_DIS_S (1u << 10)
#define MSR_UCODE_REV 0x8bu
#define MSR_PKRS 0x6e1u
#define MSR_MTRRCAP 0xfeu
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_MCG_CAP 0x179u
#define MSR_MCG_STATUS 0x17au
#define MSR_DEBUGCTL 0x1d9u
#define MSR_MTRR_PHYS 0x200u	/* .. 0x20f: base and mask of eight */
#define MSR_MTRR_DEF 0x2ffu

#define MSR_AMD_PERF 0xc0010000u	/* .. 7: controls of four counters, then the counters */

#define NR_VAR 8u
#define MTRRCAP_VALUE (NR_VAR | 1u << 8 | 1u << 10)	/* fixed ranges, write-combining */
/*
 * MISC_ENABLE: fast strings, TM1, EIST, MONITOR, xTPR are kept and mean nothing;
 * sys.h has those that do.  BTS and PEBS say "unavailable".
 */
#define MISC_FREE (1u << 0 | 1u << 3 | 1u << 16 | 1u << 18 | 1u << 23 | \
		   MISC_LIMIT_CPUID | MISC_XD_DISABLE)
#define MISC_FIXED (1u << 11 | 1u << 12)

enum msr_answer { MSR_OK, MSR_UNKNOWN, MSR_REFUSED };

static const uint32_t fixed_msrs[11] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static int fixed_index(uint32_t msr)
{
	for (unsigned i = 0; i < ARRAY_LEN(fixed_msrs); i++)
		if (fixed_msrs[i] == msr)
			return (int)i;
	return -1;
}

/* Each byte a memory type out of the set TYPES. */
static bool types_ok(uint64_t v, uint32_t types)
{
	for (unsigned i = 0; i < 8; i++, v >>= 8)
		if ((v & 0xff) > 7 || !(types >> (v & 0xff) & 1))
			return false;
	return true;
}

#define MTRR_TYPES 0x73u	/* UC, WC, WT, WP, WB */
#define PAT_TYPES 0xf3u		/* and UC- */

/* ---- MTRR ------------------------------------------------------------------------------------- */

static enum msr_answer mtrr_read(struct interp *c, uint32_t msr, uint64_t *ret_val)
{
	int i = fixed_index(msr);

	if (!sys_has(c, FEAT_MTRR))
		return MSR_UNKNOWN;
	if (msr == MSR_MTRRCAP)
		*ret_val = MTRRCAP_VALUE;
	else if (msr == MSR_MTRR_DEF)
		*ret_val = c->mtrr_def;
	else if (i >= 0)
		*ret_val = c->mtrr_fixed[i];
	else if (msr - MSR_MTRR_PHYS < 2 * NR_VAR)
		*ret_val = c->mtrr_var[msr - MSR_MTRR_PHYS];
	else
		return MSR_UNKNOWN;
	return MSR_OK;
}

static enum msr_answer mtrr_write(struct interp *c, uint32_t msr, uint64_t v)
{
	int i = fixed_index(msr);

	if (!sys_has(c, FEAT_MTRR))
		return MSR_UNKNOWN;
	if (msr == MSR_MTRRCAP)
		return MSR_REFUSED;
	if (msr == MSR_MTRR_DEF) {
		if (v & ~UINT64_C(0xcff) || !types_ok(v & 0xff, MTRR_TYPES))
			return MSR_REFUSED;
		c->mtrr_def = v;
	} else if (i >= 0) {
		if (!types_ok(v, MTRR_TYPES))
			return MSR_REFUSED;
		c->mtrr_fixed[i] = v;
	} else if (msr - MSR_MTRR_PHYS < 2 * NR_VAR) {
		bool mask = msr & 1;

		if (v >> cpu_model_phys_bits(c->model) || (v & (mask ? 0x7ff : 0xf00)))
			return MSR_REFUSED;
		if (!mask && !types_ok(v & 0xff, MTRR_TYPES))
			return MSR_REFUSED;
		c->mtrr_var[msr - MSR_MTRR_PHYS] = v;
	} else {
		return MSR_UNKNOWN;
	}
	return MSR_OK;
}

/*
 * AMD has four counters that CPUID does not announce, so guests touch them
 * unasked.  These never count, whatever is written.
 */
static bool is_amd_counter(const struct interp *c, uint32_t msr)
{
	return msr - MSR_AMD_PERF < 8 && !sys_is_intel(c);
}

/* ---- reads -------------------------------------------------------------------------------------- */

/* What only some models have. */
static enum msr_answer model_read(struct interp *c, uint32_t msr, uint64_t *ret_val)
{
	switch (msr) {
	case X86_MSR_TSC_ADJUST:
		*ret_val = c->tsc_adjust;
		return sys_has(c, FEAT_TSC_ADJUST) ? MSR_OK : MSR_UNKNOWN;
	case X86_MSR_TSC_AUX:
		*ret_val = c->tsc_aux;
		return sys_has(c, FEAT_RDTSCP) || sys_has(c, FEAT_RDPID) ? MSR_OK : MSR_UNKNOWN;
	case MSR_MCG_CAP:		/* no banks */
	case MSR_MCG_STATUS:
		*ret_val = 0;
		return sys_has(c, FEAT_MCA) ? MSR_OK : MSR_UNKNOWN;
	case X86_MSR_MISC_ENABLE:
		*ret_val = c->misc_enable | MISC_FIXED;
		return sys_is_intel(c) ? MSR_OK : MSR_UNKNOWN;
	case MSR_PLATFORM_ID:
	case MSR_DEBUGCTL:
		*ret_val = 0;
		return sys_is_intel(c) ? MSR_OK : MSR_UNKNOWN;
	case MSR_UCODE_REV:
		*ret_val = cpu_model_microcode(c->model);
		return MSR_OK;
	case MSR_SPEC_CTRL:
		*ret_val = c->spec_ctrl;
		return sys_has(c, FEAT_SPEC_CTRL) ? MSR_OK : MSR_UNKNOWN;
	case MSR_PKRS:
		*ret_val = c->pkrs;
		return sys_has(c, FEAT_PKS) ? MSR_OK : MSR_UNKNOWN;
	case MSR_ARCH_CAPABILITIES:
		*ret_val = cpu_model_arch_capabilities(c->model);
		return sys_has(c, FEAT_ARCH_CAP) ? MSR_OK : MSR_UNKNOWN;
	default:
		if (is_amd_counter(c, msr)) {
			*ret_val = 0;
			return MSR_OK;
		}
		return mtrr_read(c, msr, ret_val);
	}
}

static enum msr_answer msr_read(struct interp *c, uint32_t msr, uint64_t *ret_val)
{
	switch (msr) {
	case X86_MSR_TSC:
		*ret_val = sys_tsc(c);
		break;
	case X86_MSR_SYSENTER_CS:
		*ret_val = c->sysenter_cs;
		break;
	case X86_MSR_SYSENTER_ESP:
		*ret_val = c->sysenter_esp;
		break;
	case X86_MSR_SYSENTER_EIP:
		*ret_val = c->sysenter_eip;
		break;
	case X86_MSR_PAT:
		*ret_val = c->pat;
		break;
	case X86_MSR_EFER:
		*ret_val = c->efer;
		break;
	case X86_MSR_STAR:
		*ret_val = c->star;
		break;
	case X86_MSR_LSTAR:
		*ret_val = c->lstar;
		break;
	case X86_MSR_CSTAR:
		*ret_val = c->cstar;
		break;
	case X86_MSR_SFMASK:
		*ret_val = c->sfmask;
		break;
	case X86_MSR_FS_BASE:
		*ret_val = c->seg[CPU_FS].base;
		break;
	case X86_MSR_GS_BASE:
		*ret_val = c->seg[CPU_GS].base;
		break;
	case X86_MSR_KERNEL_GS_BASE:
		*ret_val = c->kernel_gs_base;
		break;
	default:
		return model_read(c, msr, ret_val);
	}
	return MSR_OK;
}

/* ---- writes ------------------------------------------------------------------------------------- */

static enum msr_answer set_canonical(const struct interp *c, uint64_t *field, uint64_t v)
{
	if (!sys_canonical(c, v))
		return MSR_REFUSED;
	*field = v;
	return MSR_OK;
}

static enum msr_answer set_u32(uint64_t *field, uint64_t v)
{
	if (v >> 32)
		return MSR_REFUSED;
	*field = v;
	return MSR_OK;
}

static enum msr_answer write_misc_enable(struct interp *c, uint64_t v)
{
	if (!sys_is_intel(c))
		return MSR_UNKNOWN;
	if (v & ~(MISC_FREE | MISC_FIXED | 1u << 7))
		return MSR_REFUSED;
	c->misc_enable = v & MISC_FREE;
	return MSR_OK;
}

static bool has_bhi_ctrl(const struct interp *c)
{
	uint32_t r[4];

	cpu_model_cpuid(c->model, 7, 2, r);
	return r[3] >> 4 & 1;
}

/* Nothing here speculates; the registers only keep what is legal in them. */
static enum msr_answer write_spec(struct interp *c, uint32_t msr, uint64_t v)
{
	uint64_t allowed = 1;			/* IBRS; or IBPB */

	if (!sys_has(c, FEAT_SPEC_CTRL))
		return MSR_UNKNOWN;
	if (msr == MSR_SPEC_CTRL && sys_has(c, FEAT_STIBP))
		allowed |= 2;
	if (msr == MSR_SPEC_CTRL && sys_has(c, FEAT_SSBD))
		allowed |= 4;
	if (msr == MSR_SPEC_CTRL && has_bhi_ctrl(c))
		allowed |= SPEC_CTRL_BHI_DIS_S;
	if (v & ~allowed)
		return MSR_REFUSED;
	if (msr == MSR_SPEC_CTRL)
		c->spec_ctrl = v;
	return MSR_OK;
}

static enum msr_answer model_write(struct interp *c, uint32_t msr, uint64_t v)
{
	switch (msr) {
	case X86_MSR_TSC_ADJUST:
		if (!sys_has(c, FEAT_TSC_ADJUST))
			return MSR_UNKNOWN;
		c->tsc_offset += v - c->tsc_adjust;
		c->tsc_adjust = v;
		return MSR_OK;
	case X86_MSR_TSC_AUX:
		if (!sys_has(c, FEAT_RDTSCP) && !sys_has(c, FEAT_RDPID))
			return MSR_UNKNOWN;
		return set_u32(&c->tsc_aux, v);
	case MSR_MCG_STATUS:
		return !sys_has(c, FEAT_MCA) ? MSR_UNKNOWN : v ? MSR_REFUSED : MSR_OK;
	case X86_MSR_MISC_ENABLE:
		return write_misc_enable(c, v);
	case MSR_DEBUGCTL:
		return !sys_is_intel(c) ? MSR_UNKNOWN : v ? MSR_REFUSED : MSR_OK;
	case MSR_SPEC_CTRL:
	case MSR_PRED_CMD:
		return write_spec(c, msr, v);
	case MSR_PKRS:
		if (!sys_has(c, FEAT_PKS) || v >> 32)
			return MSR_REFUSED;
		interp_set_keys(c, false, (uint32_t)v);
		return MSR_OK;
	case MSR_ARCH_CAPABILITIES:
		return MSR_REFUSED;
	case MSR_UCODE_REV:		/* the guest's way to ask for the revision */
		return v ? MSR_REFUSED : MSR_OK;
	default:
		return is_amd_counter(c, msr) ? MSR_OK : mtrr_write(c, msr, v);
	}
}

static void write_tsc(struct interp *c, uint64_t v)
{
	uint64_t delta = v - sys_tsc(c);

	c->tsc_offset += delta;
	c->tsc_adjust += delta;
}

static enum msr_answer msr_write(struct interp *c, uint32_t msr, uint64_t v)
{
	switch (msr) {
	case X86_MSR_TSC:
		write_tsc(c, v);
		return MSR_OK;
	case X86_MSR_SYSENTER_CS:
		c->sysenter_cs = (uint32_t)v;
		return MSR_OK;
	case X86_MSR_SYSENTER_ESP:
		return set_canonical(c, &c->sysenter_esp, v);
	case X86_MSR_SYSENTER_EIP:
		return set_canonical(c, &c->sysenter_eip, v);
	case X86_MSR_PAT:
		if (!types_ok(v, PAT_TYPES))
			return MSR_REFUSED;
		c->pat = v;
		return MSR_OK;
	case X86_MSR_EFER:
		sys_write_efer(c, v);
		return MSR_OK;
	case X86_MSR_STAR:
		c->star = v;
		return MSR_OK;
	case X86_MSR_LSTAR:
		return set_canonical(c, &c->lstar, v);
	case X86_MSR_CSTAR:
		return set_canonical(c, &c->cstar, v);
	case X86_MSR_SFMASK:
		return set_u32(&c->sfmask, v);
	case X86_MSR_FS_BASE:
		return set_canonical(c, &c->seg[CPU_FS].base, v);
	case X86_MSR_GS_BASE:
		return set_canonical(c, &c->seg[CPU_GS].base, v);
	case X86_MSR_KERNEL_GS_BASE:
		return set_canonical(c, &c->kernel_gs_base, v);
	default:
		return model_write(c, msr, v);
	}
}

/* ---- instructions ------------------------------------------------------------------------------- */

void sys_rdmsr(struct interp *c, const struct insn *in)
{
	uint32_t msr = (uint32_t)c->gpr[CPU_RCX];
	enum msr_answer a;
	uint64_t v = 0;

	(void)in;
	sys_need_cpl0(c);
	a = msr_read(c, msr, &v);
	if (a == MSR_UNKNOWN && interp_client(c)->msr_read(c->conf.self, msr, &v) == 0)
		a = MSR_OK;
	if (a == MSR_UNKNOWN && msr == X86_MSR_APIC_BASE) {	/* a client without an APIC */
		v = c->apic_base;
		a = MSR_OK;
	}
	if (a != MSR_OK)
		interp_gp(c);
	c->gpr[CPU_RAX] = (uint32_t)v;
	c->gpr[CPU_RDX] = v >> 32;
}

void sys_wrmsr(struct interp *c, const struct insn *in)
{
	uint32_t msr = (uint32_t)c->gpr[CPU_RCX];
	uint64_t v = (uint32_t)c->gpr[CPU_RAX] | c->gpr[CPU_RDX] << 32;
	enum msr_answer a;

	(void)in;
	sys_need_cpl0(c);
	c->cpuid_seq++;
	a = msr_write(c, msr, v);
	if (a == MSR_UNKNOWN && interp_client(c)->msr_write(c->conf.self, msr, v) == 0) {
		a = MSR_OK;
		if (msr == X86_MSR_APIC_BASE)
			c->apic_base = v;
	}
	if (a != MSR_OK)
		interp_gp(c);
}
