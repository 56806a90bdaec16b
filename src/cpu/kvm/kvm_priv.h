/*
 * kvm_priv.h - inside the KVM engine
 */
#ifndef CPU_KVM_KVM_PRIV_H
#define CPU_KVM_KVM_PRIV_H

#include "base/base.h"
#include "cpu/cpu.h"
#include "cpu/x86/model.h"

#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

/*
 * The hypercall port: below 0x100, so that "out imm8, al" reaches it without
 * touching a register, and in no machine's chipset.
 */
#define KVM_HYPERCALL_PORT 0xeau

#define KVM_MAX_CPUID 256u

/* What struct cpu_shared is to this engine. */
struct kvm_vm {
	int kvm_fd, fd;
	size_t run_size;		/* of a vCPU's mapped struct kvm_run */
	struct gmem *mem;		/* borrowed */
	struct kvm_cpuid2 *supported;	/* what this host's KVM can give a guest */
};

/* Why a vCPU should look up from its guest. */
enum { EVENT_KICK = 1, EVENT_LOOK = 2, EVENT_NMI = 4, EVENT_FLUSH = 8 };

struct kvm_cpu {
	struct cpu cpu;			/* first: the contract */
	struct cpu_conf conf;		/* [const] */
	const struct cpu_model *model;	/* [const] */
	struct kvm_vm *vm;		/* [const] */
	int fd;				/* [const] */
	struct kvm_run *run;		/* [const] shared with the kernel */
	_Atomic uint32_t events;
	_Atomic int in_guest;		/* the thread's id while it may be in guest code */
	/* The rest is the vCPU's own thread's. */
	int thread;			/* the one whose signals we unblocked */
	int vector;			/* taken from the client, not yet in KVM; or -1 */
	bool cpuid_done;
	bool halted;
	bool stale;			/* run->if_flag and its like are of another state */
	uint8_t cr8;			/* as KVM and we agreed last */
	bool woken;			/* HLT has just ended: the step may take the interrupt */
	struct cpu_debug debug;		/* as KVM has it */
	struct cpu_debug_stop stop;
	char error[160];
};

#define KVM_CPU_OF(cpu_ptr) CONTAINER_OF(cpu_ptr, struct kvm_cpu, cpu)

/* kvm_vm.c */
MUST_CHECK int kvm_open(struct kvm_vm *vm, struct err *err);	/* /dev/kvm, checked */
void kvm_close(struct kvm_vm *vm);
MUST_CHECK int kvm_shared_new(struct gmem *m, unsigned nr_cpus, struct cpu_shared **ret_s,
			      struct err *err);
void kvm_shared_free(struct cpu_shared *s);

/* kvm_cpuid.c: once, before the vCPU first runs or gets registers */
MUST_CHECK int kvm_set_cpuid(struct kvm_cpu *c, struct err *err);

/* kvm_regs.c */
void kvm_get_regs(struct cpu *cpu, struct cpu_regs *r);
MUST_CHECK int kvm_set_regs(struct cpu *cpu, const struct cpu_regs *r, struct err *err);
void kvm_reset(struct cpu *cpu, bool init);
MUST_CHECK int kvm_set_tsc_offset(struct kvm_cpu *c, uint64_t offset);
void kvm_flush(struct kvm_cpu *c);

/* kvm_exit.c: answers one exit; false: *ret_exit ends the run */
bool kvm_exit(struct kvm_cpu *c, enum cpu_exit *ret_exit);
PRINTF(2, 3) enum cpu_exit kvm_broken(struct kvm_cpu *c, const char *fmt, ...);

/* kvm_debug.c */
MUST_CHECK int kvm_debug(struct cpu *cpu, const struct cpu_debug *d);
void kvm_debug_stop(struct cpu *cpu, struct cpu_debug_stop *ret_s);
enum cpu_exit kvm_exit_debug(struct kvm_cpu *c);

/* kvm_probe.c */
int kvm_probe(struct err *err);
/*
 * 64-bit mode with the first and the fourth GiB mapped one to one, page tables
 * in [0x10000, 0x14000) of M, a stack below 0x10000, interrupts off.
 */
MUST_CHECK int kvm_tiny_long_mode(struct gmem *m, struct cpu_regs *r);

#endif
