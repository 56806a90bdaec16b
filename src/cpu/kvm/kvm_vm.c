/*
 * kvm_vm.c - /dev/kvm, and one virtual machine of it
 *
 * Guest RAM is given to KVM whole, a slot for each range; everything else is
 * an exit.  MSRs that belong to the board (Hyper-V's, the APIC base, the TSC
 * deadline) are filtered so that they come to us, as do those KVM has never
 * heard of, and the x2APIC's, which KVM refuses without an APIC of its own.
 *
 * Spec     Linux Documentation/virt/kvm/api.rst
 * Lock     none
 */
#include "cpu/kvm/kvm_priv.h"
#include "mem/gmem_cpu.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Three pages that Intel's real mode needs somewhere below 4 GiB, out of everybody's way. */
#define IDENTITY_MAP 0xfeffc000u
#define TSS_PAGES 0xfeffd000u

struct cap {
	unsigned cap;
	const char *what;
};

static const struct cap needed[] = {
	{ KVM_CAP_USER_MEMORY, "memory from user space" },
	{ KVM_CAP_SET_TSS_ADDR, "a place for its task state" },
	{ KVM_CAP_EXT_CPUID, "a CPUID of our choice" },
	{ KVM_CAP_VCPU_EVENTS, "pending events as state" },
	{ KVM_CAP_DEBUGREGS, "debug registers as state" },
	{ KVM_CAP_XSAVE, "extended registers as state" },
	{ KVM_CAP_XCRS, "XCR0 as state" },
	{ KVM_CAP_USER_NMI, "NMIs from user space" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exits" },
	{ KVM_CAP_X86_USER_SPACE_MSR, "MSR exits to user space" },
	{ KVM_CAP_X86_MSR_FILTER, "an MSR filter" },
};

static int load_supported(struct kvm_vm *vm, struct err *err)
{
	size_t size = sizeof(*vm->supported) + KVM_MAX_CPUID * sizeof(struct kvm_cpuid_entry2);

	vm->supported = base_new0(size);
	if (vm->supported == NULL)
		return err_set(err, -ENOMEM, "kvm: out of memory");
	vm->supported->nent = KVM_MAX_CPUID;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, vm->supported) < 0)
		return err_set(err, -errno, "kvm: does not say which processor features it has: %s",
			       strerror(errno));
	return 0;
}

int kvm_open(struct kvm_vm *vm, struct err *err)
{
	int version, size;

	*vm = (struct kvm_vm){ .fd = -1 };
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return err_set(err, -errno, "kvm: cannot open /dev/kvm: %s", strerror(errno));
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return err_set(err, -ENOTSUP, "kvm: /dev/kvm speaks version %d, expected %d",
			       version, KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, (unsigned long)needed[i].cap) <= 0)
			return err_set(err, -ENOTSUP, "kvm: this host's KVM lacks %s (capability %u)",
				       needed[i].what, needed[i].cap);
	size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		return err_set(err, -ENOTSUP, "kvm: a processor's shared page is %d bytes, expected %zu",
			       size, sizeof(struct kvm_run));
	vm->run_size = (size_t)size;
	return load_supported(vm, err);
}

void kvm_close(struct kvm_vm *vm)
{
	free(vm->supported);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
}

static int add_memory(struct kvm_vm *vm, struct err *err)
{
	const struct gmem_range *ranges;
	size_t nr = gmem_ranges(vm->mem, &ranges);

	for (size_t i = 0; i < nr; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = (uint32_t)i,
			.guest_phys_addr = ranges[i].gpa,
			.memory_size = ranges[i].len,
			.userspace_addr = (uintptr_t)gmem_range_hva(vm->mem, i),
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return err_set(err, -errno, "kvm: does not take %llu MiB of memory at 0x%llx: %s",
				       (unsigned long long)(ranges[i].len / MIB),
				       (unsigned long long)ranges[i].gpa, strerror(errno));
	}
	return 0;
}

/* A set bit in the bitmap lets KVM have the MSR; these have none. */
static int route_msrs(struct kvm_vm *vm, struct err *err)
{
	uint8_t none[0x200 / 8] = { 0 };
	const uint32_t both = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = {
			{ both, 0x200, 0x40000000, none },	/* Hyper-V's */
			{ both, 1, 0x1b, none },		/* APIC base */
			{ both, 1, 0x6e0, none },		/* TSC deadline */
		},
	};
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN |
			  KVM_MSR_EXIT_REASON_INVAL },
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap) < 0 ||
	    ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter) < 0)
		return err_set(err, -errno, "kvm: does not let us serve Hyper-V's MSRs: %s",
			       strerror(errno));
	return 0;
}

static int vm_init(struct kvm_vm *vm, unsigned nr_cpus, struct err *err)
{
	uint64_t identity = IDENTITY_MAP;
	int max, rc;

	rc = kvm_open(vm, err);
	if (rc < 0)
		return rc;
	max = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_MAX_VCPUS);
	if (max > 0 && nr_cpus > (unsigned)max)
		return err_set(err, -EINVAL, "kvm: %u processors, this host allows %d", nr_cpus, max);
	do
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0UL);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return err_set(err, -errno, "kvm: cannot create a machine: %s", strerror(errno));
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_PAGES) < 0)
		return err_set(err, -errno, "kvm: cannot place its own pages: %s", strerror(errno));
	return route_msrs(vm, err);
}

int kvm_shared_new(struct gmem *m, unsigned nr_cpus, struct cpu_shared **ret_s, struct err *err)
{
	struct kvm_vm *vm = new0(struct kvm_vm);
	int rc;

	if (vm == NULL)
		return err_set(err, -ENOMEM, "kvm: out of memory");
	rc = vm_init(vm, nr_cpus, err);
	vm->mem = m;
	if (rc == 0)
		rc = add_memory(vm, err);
	if (rc < 0) {
		kvm_close(vm);
		free(vm);
		return rc;
	}
	*ret_s = (struct cpu_shared *)vm;
	return 0;
}

void kvm_shared_free(struct cpu_shared *s)
{
	struct kvm_vm *vm = (struct kvm_vm *)s;

	if (vm == NULL)
		return;
	kvm_close(vm);
	free(vm);
}
