/*
 * kvm_regs.c - the register file in and out of KVM
 *
 * KVM keeps it in eight drawers.  TPR and the APIC base are the board's: KVM
 * holds a copy of the first and a fiction of the second, an enabled APIC that
 * it does not have, so that CPUID says there is one.
 *
 * Spec     Linux Documentation/virt/kvm/api.rst; [SDM 3] table 9-1 reset and INIT
 * Lock     none: the vCPU's thread, or any while it does not run
 */
#include "base/le.h"
#include "base/log.h"
#include "cpu/kvm/kvm_priv.h"
#include "spec/x86.h"

#include <string.h>

#define NR_MSRS 38u
#define RFLAGS_VALID 0x3f7fd5u

/* struct kvm_msrs with room. */
struct msr_list {
	__u32 nmsrs, pad;
	struct kvm_msr_entry e[NR_MSRS];
};
_Static_assert(offsetof(struct msr_list, e) == offsetof(struct kvm_msrs, entries), "the same");

struct msr_row {
	uint32_t msr, count;
	size_t off;			/* in struct cpu_regs */
};

#define ROW(msr, count, field) { msr, count, offsetof(struct cpu_regs, field) }

static const struct msr_row msr_rows[] = {
	ROW(X86_MSR_STAR, 1, star), ROW(X86_MSR_LSTAR, 1, lstar), ROW(X86_MSR_CSTAR, 1, cstar),
	ROW(X86_MSR_SFMASK, 1, sfmask), ROW(X86_MSR_KERNEL_GS_BASE, 1, kernel_gs_base),
	ROW(X86_MSR_SYSENTER_CS, 1, sysenter_cs), ROW(X86_MSR_SYSENTER_ESP, 1, sysenter_esp),
	ROW(X86_MSR_SYSENTER_EIP, 1, sysenter_eip), ROW(X86_MSR_PAT, 1, pat),
	/* MTRRs: KVM keeps them for the guest, and hardly looks. */
	ROW(0x250, 1, mtrr_fixed[0]), ROW(0x258, 2, mtrr_fixed[1]), ROW(0x268, 8, mtrr_fixed[3]),
	ROW(0x200, 16, mtrr_var), ROW(0x2ff, 1, mtrr_def),
	/* Last: a host without RDTSCP refuses it, and those before are in by then. */
	ROW(X86_MSR_TSC_AUX, 1, tsc_aux),
};

static struct cpu_seg seg_from(const struct kvm_segment *s)
{
	return (struct cpu_seg){
		.sel = s->selector,
		.base = s->base,
		.limit = s->limit,
		.attr = (uint32_t)(s->type & 15) | (uint32_t)s->s << 4 | (uint32_t)s->dpl << 5 |
			(uint32_t)s->present << 7 | (uint32_t)s->avl << 12 | (uint32_t)s->l << 13 |
			(uint32_t)s->db << 14 | (uint32_t)s->g << 15 |
			(s->unusable ? CPU_SEG_UNUSABLE : 0),
	};
}

static struct kvm_segment seg_to(const struct cpu_seg *s)
{
	bool unusable = (s->attr & CPU_SEG_UNUSABLE) != 0;

	return (struct kvm_segment){
		.selector = s->sel,
		.base = s->base,
		.limit = s->limit,
		.type = s->attr & 15,
		.s = s->attr >> 4 & 1,
		.dpl = s->attr >> 5 & 3,
		.present = !unusable && (s->attr >> 7 & 1) != 0,
		.avl = s->attr >> 12 & 1,
		.l = s->attr >> 13 & 1,
		.db = s->attr >> 14 & 1,
		.g = s->attr >> 15 & 1,
		.unusable = unusable,
	};
}

/* Pointers into kvm_sregs in the order of enum cpu_sreg. */
static void seg_order(struct kvm_sregs *s, struct kvm_segment *order[CPU_NR_SREG])
{
	order[CPU_ES] = &s->es;
	order[CPU_CS] = &s->cs;
	order[CPU_SS] = &s->ss;
	order[CPU_DS] = &s->ds;
	order[CPU_FS] = &s->fs;
	order[CPU_GS] = &s->gs;
	order[CPU_LDTR] = &s->ldt;
	order[CPU_TR] = &s->tr;
}

static void gpr_get(const struct kvm_regs *k, uint64_t g[16])
{
	const uint64_t all[16] = { k->rax, k->rcx, k->rdx, k->rbx, k->rsp, k->rbp, k->rsi, k->rdi,
				   k->r8, k->r9, k->r10, k->r11, k->r12, k->r13, k->r14, k->r15 };

	memcpy(g, all, sizeof(all));
}

static struct kvm_regs gpr_set(const struct cpu_regs *r)
{
	const uint64_t *g = r->gpr;

	return (struct kvm_regs){
		.rax = g[CPU_RAX], .rcx = g[CPU_RCX], .rdx = g[CPU_RDX], .rbx = g[CPU_RBX],
		.rsp = g[CPU_RSP], .rbp = g[CPU_RBP], .rsi = g[CPU_RSI], .rdi = g[CPU_RDI],
		.r8 = g[8], .r9 = g[9], .r10 = g[10], .r11 = g[11],
		.r12 = g[12], .r13 = g[13], .r14 = g[14], .r15 = g[15],
		.rip = r->rip, .rflags = (r->rflags & RFLAGS_VALID) | 2,
	};
}

/* ---- TSC -------------------------------------------------------------------------- */

static struct kvm_device_attr tsc_attr(uint64_t *offset)
{
	return (struct kvm_device_attr){
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};
}

int kvm_set_tsc_offset(struct kvm_cpu *c, uint64_t offset)
{
	struct kvm_device_attr attr = tsc_attr(&offset);
	struct msr_list m = { .nmsrs = 1 };

	if (ioctl(c->fd, KVM_SET_DEVICE_ATTR, &attr) == 0)
		return 0;
	/* Hosts before Linux 5.16: near enough, by the value now. */
	m.e[0] = (struct kvm_msr_entry){ .index = X86_MSR_TSC, .data = cpu_host_tsc() + offset };
	return ioctl(c->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -EIO;
}

static uint64_t get_tsc_offset(struct kvm_cpu *c)
{
	uint64_t offset = 0;
	struct kvm_device_attr attr = tsc_attr(&offset);
	struct msr_list m = { .nmsrs = 1, .e[0].index = X86_MSR_TSC };

	if (ioctl(c->fd, KVM_GET_DEVICE_ATTR, &attr) == 0)
		return offset;
	return ioctl(c->fd, KVM_GET_MSRS, &m) == 1 ? m.e[0].data - cpu_host_tsc() : 0;
}

/* ---- out -------------------------------------------------------------------------- */

static int get_sregs(struct kvm_cpu *c, struct cpu_regs *r)
{
	struct kvm_segment *order[CPU_NR_SREG];
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_SREGS, &s) < 0)
		return -errno;
	seg_order(&s, order);
	for (unsigned i = 0; i < CPU_NR_SREG; i++)
		r->seg[i] = seg_from(order[i]);
	r->gdt = (struct cpu_table){ s.gdt.base, s.gdt.limit };
	r->idt = (struct cpu_table){ s.idt.base, s.idt.limit };
	r->cr0 = s.cr0;
	r->cr2 = s.cr2;
	r->cr3 = s.cr3;
	r->cr4 = s.cr4;
	r->efer = s.efer;
	return 0;
}

/* Copies the list to the registers, or the registers to the list. */
static void walk_msrs(struct msr_list *m, struct cpu_regs *r, bool to_regs)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(msr_rows); i++) {
		for (uint32_t k = 0; k < msr_rows[i].count; k++, n++) {
			char *field = (char *)r + msr_rows[i].off + k * sizeof(uint64_t);

			BUG_IF(n >= NR_MSRS);
			m->e[n].index = msr_rows[i].msr + k;
			if (to_regs)
				memcpy(field, &m->e[n].data, sizeof(uint64_t));
			else
				memcpy(&m->e[n].data, field, sizeof(uint64_t));
		}
	}
	BUG_IF(n != NR_MSRS);
}

/* What a host's KVM may not know, or not let this model have: one by one, and no error. */
static const struct {
	uint32_t msr;
	size_t off;
} optional_msrs[] = {
	{ X86_MSR_TSC_ADJUST, offsetof(struct cpu_regs, tsc_adjust) },
	{ X86_MSR_MISC_ENABLE, offsetof(struct cpu_regs, misc_enable) },
	{ 0x48, offsetof(struct cpu_regs, spec_ctrl) },
};

static void get_optional_msrs(struct kvm_cpu *c, struct cpu_regs *r)
{
	for (size_t i = 0; i < ARRAY_LEN(optional_msrs); i++) {
		struct msr_list m = { .nmsrs = 1, .e[0].index = optional_msrs[i].msr };

		if (ioctl(c->fd, KVM_GET_MSRS, &m) == 1)
			memcpy((char *)r + optional_msrs[i].off, &m.e[0].data, sizeof(uint64_t));
	}
}

static void set_optional_msrs(struct kvm_cpu *c, const struct cpu_regs *r)
{
	for (size_t i = 0; i < ARRAY_LEN(optional_msrs); i++) {
		struct msr_list m = { .nmsrs = 1, .e[0].index = optional_msrs[i].msr };

		memcpy(&m.e[0].data, (const char *)r + optional_msrs[i].off, sizeof(uint64_t));
		if (ioctl(c->fd, KVM_SET_MSRS, &m) != 1)
			log_debug("kvm", "processor %u does not take MSR %#x", c->conf.index,
				  optional_msrs[i].msr);
	}
}

static int get_msrs(struct kvm_cpu *c, struct cpu_regs *r)
{
	struct msr_list m = { .nmsrs = NR_MSRS };

	walk_msrs(&m, r, false);		/* for the numbers */
	if (ioctl(c->fd, KVM_GET_MSRS, &m) < (int)NR_MSRS - 1)
		return -EIO;
	walk_msrs(&m, r, true);
	get_optional_msrs(c, r);
	return 0;
}

static int get_fpu(struct kvm_cpu *c, struct cpu_regs *r)
{
	struct kvm_xcrs xcrs;
	struct kvm_xsave x;

	if (ioctl(c->fd, KVM_GET_XCRS, &xcrs) < 0 || ioctl(c->fd, KVM_GET_XSAVE, &x) < 0)
		return -errno;
	for (uint32_t i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (xcrs.xcrs[i].xcr == 0)
			r->xcr0 = xcrs.xcrs[i].value;
	memcpy(r->xsave, x.region, sizeof(r->xsave));
	return 0;
}

static int get_events(struct kvm_cpu *c, struct cpu_regs *r)
{
	struct kvm_debugregs d;
	struct kvm_vcpu_events e;

	if (ioctl(c->fd, KVM_GET_DEBUGREGS, &d) < 0 || ioctl(c->fd, KVM_GET_VCPU_EVENTS, &e) < 0)
		return -errno;
	for (unsigned i = 0; i < 4; i++)
		r->dr[i] = d.db[i];
	r->dr6 = d.dr6;
	r->dr7 = d.dr7;
	/* AMD has one shadow for both; KVM then says both. */
	r->shadow_sti = (e.interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0;
	r->shadow_mov_ss = e.interrupt.shadow == KVM_X86_SHADOW_INT_MOV_SS;
	r->nmi_masked = e.nmi.masked;
	r->nmi_pending = e.nmi.pending || e.nmi.injected ||
			 (atomic_load(&c->events) & EVENT_NMI) != 0;
	return 0;
}

void kvm_get_regs(struct cpu *cpu, struct cpu_regs *r)
{
	struct kvm_cpu *c = KVM_CPU_OF(cpu);
	struct kvm_regs k;
	int rc;

	memset(r, 0, sizeof(*r));
	rc = ioctl(c->fd, KVM_GET_REGS, &k) < 0 ? -errno : 0;
	if (rc == 0) {
		gpr_get(&k, r->gpr);
		r->rip = k.rip;
		r->rflags = k.rflags;
		rc = get_sregs(c, r);
	}
	if (rc == 0)
		rc = get_msrs(c, r);
	if (rc == 0)
		rc = get_fpu(c, r);
	if (rc == 0)
		rc = get_events(c, r);
	r->tsc_offset = get_tsc_offset(c);
	r->halted = c->halted;
	r->cr8 = c->conf.client->tpr_get(c->conf.self);
	if (c->conf.client->msr_read(c->conf.self, X86_MSR_APIC_BASE, &r->apic_base) < 0)
		r->apic_base = 0;
	if (rc < 0)
		log_err("kvm", "processor %u does not show its registers: %s", c->conf.index,
			strerror(-rc));
}

/* ---- in --------------------------------------------------------------------------- */

static int set_sregs(struct kvm_cpu *c, const struct cpu_regs *r)
{
	struct kvm_segment *order[CPU_NR_SREG];
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_SREGS, &s) < 0)	/* for its apic_base */
		return -errno;
	seg_order(&s, order);
	for (unsigned i = 0; i < CPU_NR_SREG; i++)
		*order[i] = seg_to(&r->seg[i]);
	s.gdt = (struct kvm_dtable){ .base = r->gdt.base, .limit = r->gdt.limit };
	s.idt = (struct kvm_dtable){ .base = r->idt.base, .limit = r->idt.limit };
	s.cr0 = r->cr0;
	s.cr2 = r->cr2;
	s.cr3 = r->cr3;
	s.cr4 = r->cr4;
	s.cr8 = r->cr8;
	s.efer = r->efer;
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	return ioctl(c->fd, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

static int set_msrs(struct kvm_cpu *c, const struct cpu_regs *r)
{
	struct msr_list m = { .nmsrs = NR_MSRS };
	struct cpu_regs copy = *r;

	walk_msrs(&m, &copy, false);
	if (ioctl(c->fd, KVM_SET_MSRS, &m) < (int)NR_MSRS - 1)
		return -EINVAL;
	set_optional_msrs(c, r);
	return 0;
}

static int set_fpu(struct kvm_cpu *c, const struct cpu_regs *r)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = r->xcr0 } };
	struct kvm_xsave x;

	memset(&x, 0, sizeof(x));
	memcpy(x.region, r->xsave, sizeof(r->xsave));
	return ioctl(c->fd, KVM_SET_XCRS, &xcrs) < 0 || ioctl(c->fd, KVM_SET_XSAVE, &x) < 0 ?
	       -errno : 0;
}

static int set_events(struct kvm_cpu *c, const struct cpu_regs *r)
{
	struct kvm_debugregs d = { .dr6 = r->dr6, .dr7 = r->dr7 };
	struct kvm_vcpu_events e = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
		.interrupt.shadow = (uint8_t)((r->shadow_sti ? KVM_X86_SHADOW_INT_STI : 0) |
					      (r->shadow_mov_ss ? KVM_X86_SHADOW_INT_MOV_SS : 0)),
		.nmi = { .pending = r->nmi_pending, .masked = r->nmi_masked },
	};

	for (unsigned i = 0; i < 4; i++)
		d.db[i] = r->dr[i];
	return ioctl(c->fd, KVM_SET_DEBUGREGS, &d) < 0 ||
	       ioctl(c->fd, KVM_SET_VCPU_EVENTS, &e) < 0 ? -errno : 0;
}

int kvm_set_regs(struct cpu *cpu, const struct cpu_regs *r, struct err *err)
{
	struct kvm_cpu *c = KVM_CPU_OF(cpu);
	struct kvm_regs k = gpr_set(r);
	const char *what = "control and segment registers";
	int rc = 0;

	/* Which bits are reserved follows from CPUID. */
	if (!c->cpuid_done)
		rc = kvm_set_cpuid(c, err);
	if (rc < 0)
		return rc;
	if (r->cr8 > 15 || (r->xcr0 & ~cpu_model_xcr0(c->model)) != 0 || (r->xcr0 & 1) == 0)
		return err_set(err, -EINVAL, "registers of processor %u: CR8 or XCR0 out of range",
			       c->conf.index);
	rc = set_sregs(c, r);
	if (rc == 0) {
		what = "general registers";
		rc = ioctl(c->fd, KVM_SET_REGS, &k) < 0 ? -errno : 0;
	}
	if (rc == 0) {
		what = "MSRs";
		rc = set_msrs(c, r);
	}
	if (rc == 0) {
		what = "XCR0 and floating point";
		rc = set_fpu(c, r);
	}
	if (rc == 0) {
		what = "debug registers and events";
		rc = set_events(c, r);
	}
	if (rc == 0) {
		what = "TSC";
		rc = kvm_set_tsc_offset(c, r->tsc_offset);
	}
	if (rc < 0)
		return err_set(err, rc, "kvm: refuses the %s of processor %u: %s", what, c->conf.index,
			       strerror(-rc));
	c->conf.client->tpr_set(c->conf.self, (uint8_t)r->cr8);
	atomic_fetch_and(&c->events, ~(uint32_t)EVENT_NMI);
	c->halted = r->halted;
	c->stale = true;
	return 0;
}

/* ---- reset ------------------------------------------------------------------------ */

static void reset_segs(struct cpu_regs *r)
{
	for (unsigned i = 0; i < CPU_LDTR; i++)
		r->seg[i] = (struct cpu_seg){ .attr = 0x93, .limit = 0xffff };
	r->seg[CPU_CS].sel = 0xf000;
	r->seg[CPU_CS].base = 0xffff0000;
	r->seg[CPU_CS].attr = 0x9b;
	r->seg[CPU_LDTR] = (struct cpu_seg){ .attr = 0x82, .limit = 0xffff };
	r->seg[CPU_TR] = (struct cpu_seg){ .attr = 0x8b, .limit = 0xffff };
	r->gdt = r->idt = (struct cpu_table){ 0, 0xffff };
}

/* What INIT leaves alone and power-on does not. */
static void reset_power_on(struct cpu_regs *r)
{
	r->cr0 = X86_CR0_CD | X86_CR0_NW;
	r->xcr0 = 1;
	r->star = r->lstar = r->cstar = r->sfmask = 0;
	r->kernel_gs_base = r->tsc_aux = 0;
	r->sysenter_cs = r->sysenter_esp = r->sysenter_eip = 0;
	r->pat = X86_PAT_RESET;
	r->tsc_adjust = r->spec_ctrl = 0;
	r->misc_enable = 1;			/* fast strings */
	r->mtrr_def = 0;
	memset(r->mtrr_fixed, 0, sizeof(r->mtrr_fixed));
	memset(r->mtrr_var, 0, sizeof(r->mtrr_var));
	memset(r->xsave, 0, sizeof(r->xsave));
	st16(r->xsave, 0x0040);			/* FCW */
	st16(r->xsave + 4, 0xff);		/* FTW 5555: all valid, zero */
	st32(r->xsave + 24, 0x1f80);		/* MXCSR */
	st64(r->xsave + 512, 3);		/* XSTATE_BV: x87, SSE */
}

void kvm_reset(struct cpu *cpu, bool init)
{
	struct kvm_cpu *c = KVM_CPU_OF(cpu);
	struct cpu_regs r;
	struct err err;
	uint32_t id[4];

	kvm_get_regs(cpu, &r);
	if (!init)
		reset_power_on(&r);
	memset(r.gpr, 0, sizeof(r.gpr));
	cpu_model_cpuid(c->model, 1, 0, id);
	r.gpr[CPU_RDX] = id[0];
	r.rip = 0xfff0;
	r.rflags = 2;
	reset_segs(&r);
	r.cr0 = (r.cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
	r.cr2 = r.cr3 = r.cr4 = r.efer = 0;
	memset(r.dr, 0, sizeof(r.dr));
	r.dr6 = 0xffff0ff0;
	r.dr7 = 0x400;
	r.halted = r.shadow_sti = r.shadow_mov_ss = r.nmi_masked = r.nmi_pending = false;
	c->vector = -1;
	if (kvm_set_regs(cpu, &r, &err) < 0)
		log_err("kvm", "cannot reset processor %u: %s", c->conf.index, err.msg);
}

/*
 * KVM has no call for it, but turning CR4.PGE over does it: on AMD at once,
 * on Intel by building the guest's translations anew.
 */
void kvm_flush(struct kvm_cpu *c)
{
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_SREGS, &s) == 0) {
		s.cr4 ^= X86_CR4_PGE;
		ioctl(c->fd, KVM_SET_SREGS, &s);
		s.cr4 ^= X86_CR4_PGE;
		ioctl(c->fd, KVM_SET_SREGS, &s);
	}
	atomic_fetch_and(&c->events, ~(uint32_t)EVENT_FLUSH);
}
