/*
 * kvm_debug.c - a debugger's points and steps by the processor's own means
 *
 * KVM lends DR0..3 and the trap flag: four points, of lengths that a debug
 * register has, and no way to see reads alone.  INT3 in guest memory would
 * give more of them, and the guest could see it.
 *
 * Spec     Linux Documentation/virt/kvm/api.rst, KVM_SET_GUEST_DEBUG; [SDM 3] 17.2.4
 * Missing  the guest's own DR0..7 are without effect while a debugger has points or
 *          steps; a step that ends HLT stops where KVM first can
 * Lock     none: the vCPU's thread, or any while it does not run
 */
#include "cpu/kvm/kvm_priv.h"

#include <string.h>

#define DR6_BS (1u << 14)

/* The four bits of DR7 for a point; -1: no debug register can do it. */
static int rw_len(const struct cpu_debug_point *p)
{
	static const int8_t len[9] = { -1, 0, 1, -1, 3, -1, -1, -1, 2 };

	if (p->on == CPU_DEBUG_EXEC)
		return 0;
	if (p->on == CPU_DEBUG_READ || (p->on & CPU_DEBUG_EXEC) || p->len > 8 ||
	    len[p->len] < 0 || p->lin % p->len != 0)
		return -1;
	return (p->on == CPU_DEBUG_WRITE ? 1 : 3) | len[p->len] << 2;
}

int kvm_debug(struct cpu *cpu, const struct cpu_debug *d)
{
	struct kvm_cpu *c = KVM_CPU_OF(cpu);
	struct kvm_guest_debug g = { .control = 0 };
	uint64_t dr7 = 0x400;
	unsigned nr = d == NULL ? 0 : d->nr;

	if (nr > 4)
		return -ENOSPC;
	for (unsigned i = 0; i < nr; i++) {
		int bits = rw_len(&d->point[i]);

		if (bits < 0)
			return -EOPNOTSUPP;
		g.arch.debugreg[i] = d->point[i].lin;
		dr7 |= UINT64_C(2) << 2 * i | (uint64_t)bits << (16 + 4 * i);
	}
	g.arch.debugreg[7] = dr7;
	if (nr > 0)
		g.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	if (d != NULL && d->step)
		g.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (ioctl(c->fd, KVM_SET_GUEST_DEBUG, &g) < 0)
		return errno == ENOTTY || errno == EINVAL ? -EOPNOTSUPP : -errno;
	c->debug = d == NULL ? (struct cpu_debug){ .nr = 0 } : *d;
	return 0;
}

void kvm_debug_stop(struct cpu *cpu, struct cpu_debug_stop *ret_s)
{
	*ret_s = KVM_CPU_OF(cpu)->stop;
}

enum cpu_exit kvm_exit_debug(struct kvm_cpu *c)
{
	uint64_t dr6 = c->run->debug.arch.dr6;
	struct cpu_debug d = c->debug;

	c->stop = (struct cpu_debug_stop){ CPU_STOP_STEP, 0, 0 };
	for (unsigned i = 0; i < c->debug.nr; i++) {
		const struct cpu_debug_point *p = &c->debug.point[i];

		if ((dr6 >> i & 1) == 0 || ((dr6 & DR6_BS) && p->on == CPU_DEBUG_EXEC))
			continue;
		c->stop.why = p->on == CPU_DEBUG_EXEC ? CPU_STOP_BREAK : CPU_STOP_WATCH;
		c->stop.on = p->on;
		c->stop.lin = p->lin;
		break;
	}
	d.step = false;
	if (c->debug.step && kvm_debug(&c->cpu, &d) < 0)
		return kvm_broken(c, "kvm: processor %u goes on stepping", c->conf.index);
	return CPU_EXIT_DEBUG;
}
