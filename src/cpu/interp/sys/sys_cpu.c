/*
 * sys_cpu.c - CPUID, clocks, HLT, hypercalls, and small system instructions
 *
 * Spec     [SDM 2] CPUID, RDTSC, XGETBV, SWAPGS, CLAC; [TLFS] 3.7 hypercall
 *          legal modes: protected mode at CPL 0, all others #UD
 *          Instructions that the model lacks never get here: decode.c sees to it.
 * Missing  performance counters: RDPMC has none; MONITOR and MWAIT are #UD
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

/* ---- the model ----------------------------------------------------------------------------------- */

bool sys_has(const struct interp *c, uint64_t feat)
{
	uint32_t r[4];

	cpu_model_cpuid(c->model, (uint32_t)(feat >> 32), 0, r);
	return r[feat >> 8 & 3] >> (feat & 31) & 1;
}

bool sys_is_intel(const struct interp *c)
{
	uint32_t r[4];

	cpu_model_cpuid(c->model, 0, 0, r);
	return r[1] == 0x756e6547;	/* "Genu" */
}

/* ---- CPUID ---------------------------------------------------------------------------------------- */

/* Bytes of an XSAVE area with the components in MASK. */
static uint32_t xsave_size(const struct interp *c, uint64_t mask, bool compact)
{
	uint32_t size = 512 + 64, r[4];

	for (uint32_t i = 2; i < 63; i++) {
		if (!(mask >> i & 1))
			continue;
		cpu_model_cpuid(c->model, 0xd, i, r);
		if (compact)
			size = (r[2] & 2 ? (size + 63) & ~63u : size) + r[0];
		else if (r[1] + r[0] > size)
			size = r[1] + r[0];
	}
	return size;
}

/* What depends on the registers of now. */
static void cpuid_dynamic(const struct interp *c, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	if (leaf == 0 && (c->misc_enable & MISC_LIMIT_CPUID)) {
		r[0] = 2;
	} else if (leaf == 0x80000001 && (c->misc_enable & MISC_XD_DISABLE)) {
		r[3] &= ~(1u << 20);
	} else if (leaf == 1) {
		r[2] &= ~(1u << 27);
		if (c->cr4 & X86_CR4_OSXSAVE)
			r[2] |= 1u << 27;
	} else if (leaf == 7 && sub == 0 && (c->cr4 & X86_CR4_PKE)) {
		r[2] |= 1u << 4;	/* OSPKE */
	} else if (leaf == 0xd && sub == 0 && r[0]) {
		r[1] = xsave_size(c, c->xcr0, false);
	} else if (leaf == 0xd && sub == 1 && (r[0] & 2)) {
		r[1] = xsave_size(c, c->xcr0, true);
	}
}

void sys_cpuid(struct interp *c, const struct insn *in)
{
	uint32_t leaf = (uint32_t)c->gpr[CPU_RAX], sub = (uint32_t)c->gpr[CPU_RCX], r[4];

	(void)in;
	cpu_model_cpuid(c->model, leaf, sub, r);
	cpuid_dynamic(c, leaf, sub, r);
	interp_client(c)->cpuid(c->conf.self, leaf, sub, r);
	c->gpr[CPU_RAX] = r[0];
	c->gpr[CPU_RBX] = r[1];
	c->gpr[CPU_RCX] = r[2];
	c->gpr[CPU_RDX] = r[3];
}

/* ---- HLT, hypercalls ------------------------------------------------------------------------------ */

void sys_hlt(struct interp *c, const struct insn *in)
{
	(void)in;
	sys_need_cpl0(c);
	c->halted = 1;
}

/* VMCALL and VMMCALL.  XMM0..5 lie at byte 160 of the FXSAVE image. */
void sys_vmcall(struct interp *c, const struct insn *in)
{
	struct cpu_hypercall h = {
		.gpr = c->gpr,
		.xmm = (uint8_t (*)[16])(void *)(c->xsave + 160),
		.long_mode = c->code64,
	};
	int rc;

	(void)in;
	if (interp_real(c) || c->cpl != 0)
		interp_ud(c);
	atomic_store(&c->running, 0);
	rc = interp_client(c)->hypercall(c->conf.self, &h);
	atomic_store(&c->running, 1);
	if (rc < 0)
		interp_ud(c);
}

void sys_undefined(struct interp *c, const struct insn *in)
{
	(void)in;
	interp_ud(c);
}

/* ---- clocks ---------------------------------------------------------------------------------------- */

static void put_edx_eax(struct interp *c, uint64_t v)
{
	c->gpr[CPU_RAX] = (uint32_t)v;
	c->gpr[CPU_RDX] = v >> 32;
}

void sys_rdtsc(struct interp *c, const struct insn *in)
{
	(void)in;
	if ((c->cr4 & X86_CR4_TSD) && c->cpl != 0)
		interp_gp(c);
	put_edx_eax(c, sys_tsc(c));
}

void sys_rdtscp(struct interp *c, const struct insn *in)
{
	sys_rdtsc(c, in);
	c->gpr[CPU_RCX] = (uint32_t)c->tsc_aux;
}

void sys_rdpid(struct interp *c, const struct insn *in)
{
	reg_set(c, in->rm, c->code64 ? 8 : 4, c->tsc_aux);
}

/* Every counter number is out of range. */
void sys_rdpmc(struct interp *c, const struct insn *in)
{
	(void)in;
	interp_gp(c);
}

/* ---- extended control registers --------------------------------------------------------------------- */

/* XGETBV of 1 asks which components are in use; a processor may say all that can be. */
static bool has_xinuse(const struct interp *c)
{
	uint32_t r[4];

	cpu_model_cpuid(c->model, 0xd, 1, r);
	return r[0] & 4;
}

void sys_xgetbv(struct interp *c, const struct insn *in)
{
	(void)in;
	if (!(c->cr4 & X86_CR4_OSXSAVE))
		interp_ud(c);
	if ((uint32_t)c->gpr[CPU_RCX] > (has_xinuse(c) ? 1u : 0u))
		interp_gp(c);
	put_edx_eax(c, c->xcr0);
}

void sys_xsetbv(struct interp *c, const struct insn *in)
{
	uint64_t v = (uint32_t)c->gpr[CPU_RAX] | c->gpr[CPU_RDX] << 32;

	(void)in;
	if (!(c->cr4 & X86_CR4_OSXSAVE))
		interp_ud(c);
	sys_need_cpl0(c);
	if ((uint32_t)c->gpr[CPU_RCX] != 0 || !(v & 1) || (v & ~cpu_model_xcr0(c->model)))
		interp_gp(c);
	if ((v & 4) && !(v & 2))	/* AVX stands on SSE */
		interp_gp(c);
	c->xcr0 = v;
	c->cpuid_seq++;
}

/* ---- bases of FS and GS: 64-bit mode only, else they do not decode ------------------------------------ */

static void need_fsgsbase(struct interp *c)
{
	if (!(c->cr4 & X86_CR4_FSGSBASE))
		interp_ud(c);
}

static void write_base(struct interp *c, const struct insn *in, enum cpu_sreg s)
{
	uint64_t v = reg_get(c, in->rm, in->osz);

	need_fsgsbase(c);
	if (!sys_canonical(c, v))
		interp_gp(c);
	c->seg[s].base = v;
}

void sys_rdfsbase(struct interp *c, const struct insn *in)
{
	need_fsgsbase(c);
	reg_set(c, in->rm, in->osz, c->seg[CPU_FS].base);
}

void sys_rdgsbase(struct interp *c, const struct insn *in)
{
	need_fsgsbase(c);
	reg_set(c, in->rm, in->osz, c->seg[CPU_GS].base);
}

void sys_wrfsbase(struct interp *c, const struct insn *in)
{
	write_base(c, in, CPU_FS);
}

void sys_wrgsbase(struct interp *c, const struct insn *in)
{
	write_base(c, in, CPU_GS);
}

void sys_swapgs(struct interp *c, const struct insn *in)
{
	uint64_t base = c->seg[CPU_GS].base;

	(void)in;
	sys_need_cpl0(c);
	c->seg[CPU_GS].base = c->kernel_gs_base;
	c->kernel_gs_base = base;
}

/* ---- SMAP --------------------------------------------------------------------------------------------- */

void sys_clac(struct interp *c, const struct insn *in)
{
	(void)in;
	if (c->cpl != 0)
		interp_ud(c);
	c->rflags &= ~(uint64_t)X86_AC;
}

void sys_stac(struct interp *c, const struct insn *in)
{
	(void)in;
	if (c->cpl != 0)
		interp_ud(c);
	c->rflags |= X86_AC;
}

void sys_serialize(struct interp *c, const struct insn *in)
{
	(void)c, (void)in;
}
