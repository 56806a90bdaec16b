/*
 * kvm.c - the engine that runs guests on the host's own processor
 *
 * KVM runs the instructions; everything a guest can talk to stays ours: no
 * interrupt controller and no Hyper-V in the kernel, so the same LAPIC and
 * the same hypervisor interface serve every engine.  Interrupts go in one at
 * a time when KVM says it can take one, and HLT comes back to us.
 *
 * Another thread gets a vCPU's attention by setting a bit in events, then
 * immediate_exit, then sending a signal: whichever of the three places the
 * vCPU is in (about to enter, entering, in the guest), one of them stops it.
 * A vCPU leaves run only through KVM_RUN, which first finishes the instruction
 * whose I/O it was doing: registers are whole whenever they can be looked at.
 *
 * Spec     Linux Documentation/virt/kvm/api.rst
 * Missing  moving an interrupt that KVM accepted and has not delivered
 * Lock     none: events and in_guest are atomic, the rest is the vCPU's thread's
 */
#include "cpu/kvm/kvm_priv.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Its handler does nothing; that it came is enough. */
static int wake_signal(void)
{
	return SIGRTMIN + 4;
}

static void on_wake(int sig)
{
	(void)sig;
}

static int install_wake(struct err *err)
{
	struct sigaction sa = { .sa_handler = on_wake, .sa_flags = SA_RESTART };

	sigemptyset(&sa.sa_mask);
	if (sigaction(wake_signal(), &sa, NULL) < 0)
		return err_set(err, -errno, "kvm: cannot set up the wake-up signal: %s",
			       strerror(errno));
	return 0;
}

/* ---- other threads ------------------------------------------------------------ */

static void wake(struct kvm_cpu *c, uint32_t event)
{
	int tid;

	atomic_fetch_or(&c->events, event);
	tid = atomic_load(&c->in_guest);
	if (tid == 0)
		return;			/* it looks at events before it enters */
	__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_tgkill, getpid(), tid, wake_signal());
}

static void engine_kick(struct cpu *cpu)
{
	wake(KVM_CPU_OF(cpu), EVENT_KICK);
}

static void engine_notify(struct cpu *cpu)
{
	wake(KVM_CPU_OF(cpu), EVENT_LOOK);
}

static void engine_nmi(struct cpu *cpu)
{
	wake(KVM_CPU_OF(cpu), EVENT_NMI);
}

/*
 * The caller may reuse the memory behind old translations as soon as this
 * returns, so it waits until the vCPU has left its guest.  It flushes before
 * it enters again, and no vCPU waits here while it is in its own guest: two
 * that flush each other do not deadlock.
 */
static void engine_tlb_flush(struct cpu *cpu)
{
	struct kvm_cpu *c = KVM_CPU_OF(cpu);

	wake(c, EVENT_FLUSH);
	while ((atomic_load(&c->events) & EVENT_FLUSH) != 0 && atomic_load(&c->in_guest) != 0)
		sched_yield();
}

/* ---- the vCPU's thread ---------------------------------------------------------- */

static bool interrupts_on(struct kvm_cpu *c)
{
	struct kvm_regs r;

	if (!c->stale)
		return c->run->if_flag != 0;
	return ioctl(c->fd, KVM_GET_REGS, &r) == 0 && (r.rflags & 0x200) != 0;
}

static bool irq_waits(struct kvm_cpu *c)
{
	return c->vector >= 0 || c->conf.client->irq_ready(c->conf.self);
}

/* Whether HLT is over. */
static bool wakes(struct kvm_cpu *c)
{
	return (atomic_load(&c->events) & EVENT_NMI) != 0 || (irq_waits(c) && interrupts_on(c));
}

/* Hands KVM an interrupt if it can take one, or asks to be told when it can. */
static void offer_irq(struct kvm_cpu *c)
{
	struct kvm_interrupt irq;

	c->run->request_interrupt_window = 0;
	if (!irq_waits(c))
		return;
	if (!c->stale && c->run->ready_for_interrupt_injection) {
		if (c->vector < 0)
			c->vector = c->conf.client->irq_take(c->conf.self);
		irq.irq = (uint32_t)c->vector;
		if (c->vector >= 0 && ioctl(c->fd, KVM_INTERRUPT, &irq) == 0)
			c->vector = -1;
		c->run->ready_for_interrupt_injection = 0;	/* one for each entry */
		if (!irq_waits(c))
			return;
	}
	c->run->request_interrupt_window = 1;
}

/* Once round: into the guest and out again.  0 or -errno of KVM_RUN. */
static int enter(struct kvm_cpu *c)
{
	struct kvm_run *run = c->run;
	bool held = c->debug.step && !c->woken;		/* interrupts, for a debugger's step */
	int rc;

	c->woken = false;
	atomic_fetch_and(&c->events, ~(uint32_t)EVENT_LOOK);
	if (!held && (atomic_fetch_and(&c->events, ~(uint32_t)EVENT_NMI) & EVENT_NMI) != 0)
		ioctl(c->fd, KVM_NMI);
	run->cr8 = c->cr8 = c->conf.client->tpr_get(c->conf.self);
	if (!held && (atomic_load(&c->events) & (EVENT_KICK | EVENT_FLUSH)) == 0)
		offer_irq(c);

	atomic_store(&c->in_guest, c->thread);
	__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if ((atomic_load(&c->events) & ~(held ? (uint32_t)EVENT_NMI : 0)) != 0) {
		/* Only to finish what the last exit began. */
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		atomic_store(&c->in_guest, 0);
	}
	rc = ioctl(c->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	atomic_store(&c->in_guest, 0);
	c->stale = false;
	if (run->cr8 != c->cr8)
		c->conf.client->tpr_set(c->conf.self, (uint8_t)run->cr8);
	return rc;
}

static void adopt_thread(struct kvm_cpu *c)
{
	int tid = (int)syscall(SYS_gettid);
	sigset_t set;

	if (c->thread == tid)
		return;
	sigemptyset(&set);
	sigaddset(&set, wake_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	c->thread = tid;
}

static bool take_kick(struct kvm_cpu *c)
{
	return (atomic_fetch_and(&c->events, ~(uint32_t)EVENT_KICK) & EVENT_KICK) != 0;
}

static enum cpu_exit engine_run(struct cpu *cpu)
{
	struct kvm_cpu *c = KVM_CPU_OF(cpu);
	enum cpu_exit exit;
	struct err err;
	int rc;

	adopt_thread(c);
	if (!c->cpuid_done && kvm_set_cpuid(c, &err) < 0)
		return kvm_broken(c, "%s", err.msg);
	for (;;) {
		if (c->halted) {
			if (take_kick(c))
				return CPU_EXIT_KICK;
			if (!wakes(c))
				return CPU_EXIT_HLT;
			c->halted = false;
			c->woken = true;
		}
		rc = enter(c);
		if (rc == -EINTR) {
			if ((atomic_load(&c->events) & EVENT_FLUSH) != 0)
				kvm_flush(c);
			if (take_kick(c))
				return CPU_EXIT_KICK;
		} else if (rc < 0) {
			return kvm_broken(c, "kvm: processor %u does not run: %s", c->conf.index,
					  strerror(-rc));
		} else if (!kvm_exit(c, &exit)) {
			return exit;
		}
	}
}

/* ---- life ------------------------------------------------------------------------- */

static void engine_destroy(struct cpu *cpu)
{
	struct kvm_cpu *c;

	if (cpu == NULL)
		return;
	c = KVM_CPU_OF(cpu);
	if (c->run != NULL)
		munmap(c->run, c->vm->run_size);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static int engine_create(const struct cpu_conf *conf, struct cpu **ret_c, struct err *err)
{
	const struct cpu_model *model = cpu_model_find(conf->model);
	struct kvm_vm *vm = (struct kvm_vm *)conf->shared;
	struct kvm_cpu *c;
	void *run;
	int rc;

	BUG_IF(vm == NULL);
	if (model == NULL)
		return err_set(err, -EINVAL, "processor model \"%s\" is not known", conf->model);
	c = new0(struct kvm_cpu);
	if (c == NULL)
		return err_set(err, -ENOMEM, "kvm: no memory for processor %u", conf->index);
	c->cpu.engine = &cpu_engine_kvm;
	c->conf = *conf;
	c->model = model;
	c->vm = vm;
	c->vector = -1;
	c->stale = true;
	c->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)conf->index);
	run = c->fd < 0 ? MAP_FAILED :
	      mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	rc = run == MAP_FAILED ? -errno : 0;
	if (rc == 0) {
		c->run = run;
		rc = kvm_set_tsc_offset(c, 0);
	}
	if (rc < 0) {
		engine_destroy(&c->cpu);
		return err_set(err, rc, "kvm: cannot create processor %u: %s", conf->index,
			       strerror(-rc));
	}
	rc = install_wake(err);
	if (rc < 0) {
		engine_destroy(&c->cpu);
		return rc;
	}
	*ret_c = &c->cpu;
	return 0;
}

static uint64_t engine_retired(struct cpu *cpu)
{
	(void)cpu;
	return 0;
}

static const char *engine_error(struct cpu *cpu)
{
	return KVM_CPU_OF(cpu)->error;
}

const struct cpu_engine cpu_engine_kvm = {
	.name = "kvm",
	.summary = "the host's processor runs the guest, by Linux KVM",
	.probe = kvm_probe,
	.shared_new = kvm_shared_new,
	.shared_free = kvm_shared_free,
	.create = engine_create,
	.destroy = engine_destroy,
	.run = engine_run,
	.kick = engine_kick,
	.notify = engine_notify,
	.nmi = engine_nmi,
	.tlb_flush = engine_tlb_flush,
	.reset = kvm_reset,
	.get_regs = kvm_get_regs,
	.set_regs = kvm_set_regs,
	.retired = engine_retired,
	.error = engine_error,
	.debug = kvm_debug,
	.debug_stop = kvm_debug_stop,
	.hypercall_port = KVM_HYPERCALL_PORT,
};
