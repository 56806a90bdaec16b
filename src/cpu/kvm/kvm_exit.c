/*
 * kvm_exit.c - what a guest did that its processor could not finish alone
 *
 * Spec     Linux Documentation/virt/kvm/api.rst, 5. The kvm_run structure
 * Missing  #UD for a hypercall the client does not want: it is ignored
 * Lock     none: the vCPU's thread
 */
#include "cpu/kvm/kvm_priv.h"
#include "spec/x86.h"

#include <stdio.h>
#include <string.h>

enum cpu_exit kvm_broken(struct kvm_cpu *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	return CPU_EXIT_ERROR;
}

/*
 * A hypercall is OUT of AL to our port, from the kernel of a guest in
 * protected mode.  KVM steps over the OUT when the vCPU runs on; it does not
 * look at the registers we change meanwhile.
 */
static void hypercall(struct kvm_cpu *c)
{
	/* As in enum cpu_gpr, by which the client knows them. */
	__u64 *order[16];
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_fpu fpu, before;
	uint64_t gpr[16];
	struct cpu_hypercall h = { .gpr = gpr };

	if (ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0 || ioctl(c->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(c->fd, KVM_GET_FPU, &fpu) < 0)
		return;
	if ((sregs.cr0 & X86_CR0_PE) == 0 || sregs.ss.dpl != 0 || (regs.rflags & X86_VM) != 0)
		return;
	memcpy(order, (__u64 *[16]){ &regs.rax, &regs.rcx, &regs.rdx, &regs.rbx, &regs.rsp, &regs.rbp,
				     &regs.rsi, &regs.rdi, &regs.r8, &regs.r9, &regs.r10, &regs.r11,
				     &regs.r12, &regs.r13, &regs.r14, &regs.r15 }, sizeof(order));
	for (unsigned i = 0; i < 16; i++)
		gpr[i] = *order[i];
	h.xmm = fpu.xmm;
	h.long_mode = (sregs.efer & X86_EFER_LMA) != 0 && sregs.cs.l;
	before = fpu;
	if (c->conf.client->hypercall(c->conf.self, &h) < 0)
		return;
	for (unsigned i = 0; i < 16; i++)
		*order[i] = gpr[i];
	if (ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return;
	if (memcmp(fpu.xmm, before.xmm, 6 * 16) != 0 && ioctl(c->fd, KVM_SET_FPU, &fpu) < 0)
		return;
}

static void exit_io(struct kvm_cpu *c)
{
	const struct cpu_client *client = c->conf.client;
	struct kvm_run *run = c->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint8_t size = run->io.size;
	uint64_t val;

	if (run->io.port == KVM_HYPERCALL_PORT && run->io.direction == KVM_EXIT_IO_OUT) {
		if (size == 1 && run->io.count == 1)
			hypercall(c);
		return;
	}
	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		val = 0;
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&val, data, size);
			client->io_write(c->conf.self, run->io.port, size, val);
		} else {
			val = client->io_read(c->conf.self, run->io.port, size);
			memcpy(data, &val, size);
		}
	}
}

/* The widest natural access at ADDR that fits in LEN: KVM also hands out three bytes of a word. */
static unsigned piece(uint64_t addr, unsigned len)
{
	unsigned w = 8;

	while (w > len || addr % w != 0)
		w /= 2;
	return len == 1 || len == 2 || len == 4 || len == 8 ? len : w;
}

static void exit_mmio(struct kvm_cpu *c)
{
	const struct cpu_client *client = c->conf.client;
	struct kvm_run *run = c->run;
	uint64_t gpa = run->mmio.phys_addr, val;
	unsigned at = 0, w;

	while (at < run->mmio.len && at < sizeof(run->mmio.data)) {
		w = piece(gpa + at, run->mmio.len - at);
		val = 0;
		if (run->mmio.is_write) {
			memcpy(&val, run->mmio.data + at, w);
			client->mmio_write(c->conf.self, gpa + at, w, val);
		} else {
			val = client->mmio_read(c->conf.self, gpa + at, w);
			memcpy(run->mmio.data + at, &val, w);
		}
		at += w;
	}
}

static void exit_msr(struct kvm_cpu *c)
{
	const struct cpu_client *client = c->conf.client;
	struct kvm_run *run = c->run;
	uint64_t val = 0;
	int rc;

	if (run->exit_reason == KVM_EXIT_X86_RDMSR) {
		rc = client->msr_read(c->conf.self, run->msr.index, &val);
		run->msr.data = val;
	} else {
		rc = client->msr_write(c->conf.self, run->msr.index, run->msr.data);
	}
	run->msr.error = rc < 0;
}

static enum cpu_exit internal_error(struct kvm_cpu *c)
{
	struct kvm_regs r = { .rip = 0 };

	if (ioctl(c->fd, KVM_GET_REGS, &r) < 0)
		r.rip = 0;
	return kvm_broken(c, "kvm: processor %u stopped at RIP 0x%llx: %s (%u)", c->conf.index,
			  (unsigned long long)r.rip,
			  c->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ?
			  "KVM cannot emulate an instruction" : "an error inside KVM",
			  c->run->internal.suberror);
}

bool kvm_exit(struct kvm_cpu *c, enum cpu_exit *ret_exit)
{
	struct kvm_run *run = c->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(c);
		return true;
	case KVM_EXIT_MMIO:
		exit_mmio(c);
		return true;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		exit_msr(c);
		return true;
	case KVM_EXIT_HLT:
		c->halted = true;
		return true;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_INTR:
		return true;
	case KVM_EXIT_DEBUG:
		*ret_exit = kvm_exit_debug(c);
		return false;
	case KVM_EXIT_SHUTDOWN:
		*ret_exit = CPU_EXIT_SHUTDOWN;
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		*ret_exit = kvm_broken(c, "kvm: the processor refuses to enter guest %u (reason 0x%llx)",
				       c->conf.index, (unsigned long long)
				       run->fail_entry.hardware_entry_failure_reason);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		*ret_exit = internal_error(c);
		return false;
	default:
		*ret_exit = kvm_broken(c, "kvm: processor %u stopped for reason %u, which we do not know",
				       c->conf.index, run->exit_reason);
		return false;
	}
}
