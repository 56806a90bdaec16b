/*
 * stats.c - what a machine's processors were busy with
 *
 * Rows come from the engine (whatever it counts, summed over all vCPUs), from
 * why its run returned, and from what it asked the board.  The last are counted
 * by a client of their own that stands before the real one, so a machine whose
 * numbers nobody wants does not count.
 *
 * Lock     none: a vCPU's thread counts for itself; read when all have ended
 */
#include "vm/vm_priv.h"

static const char *const stat_names[VM_NR_STATS] = {
	[STAT_KICK] = "exits-kick", [STAT_HLT] = "exits-halt", [STAT_DEBUG] = "exits-debug",
	[STAT_IO_READ] = "port-reads", [STAT_IO_WRITE] = "port-writes",
	[STAT_MMIO_READ] = "mmio-reads", [STAT_MMIO_WRITE] = "mmio-writes",
	[STAT_CPUID] = "cpuid", [STAT_MSR_READ] = "msr-reads", [STAT_MSR_WRITE] = "msr-writes",
	[STAT_HYPERCALL] = "hypercalls", [STAT_IRQ] = "interrupts",
};

static void count(void *self, enum vm_stat what)
{
	((struct vcpu *)self)->stat[what]++;
}

static uint64_t io_read(void *self, uint16_t port, unsigned width)
{
	count(self, STAT_IO_READ);
	return vm_cpu_client.io_read(self, port, width);
}

static void io_write(void *self, uint16_t port, unsigned width, uint64_t val)
{
	count(self, STAT_IO_WRITE);
	vm_cpu_client.io_write(self, port, width, val);
}

static uint64_t mmio_read(void *self, uint64_t gpa, unsigned width)
{
	count(self, STAT_MMIO_READ);
	return vm_cpu_client.mmio_read(self, gpa, width);
}

static void mmio_write(void *self, uint64_t gpa, unsigned width, uint64_t val)
{
	count(self, STAT_MMIO_WRITE);
	vm_cpu_client.mmio_write(self, gpa, width, val);
}

static void cpuid(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	count(self, STAT_CPUID);
	vm_cpu_client.cpuid(self, leaf, sub, r);
}

static int msr_read(void *self, uint32_t msr, uint64_t *ret_val)
{
	count(self, STAT_MSR_READ);
	return vm_cpu_client.msr_read(self, msr, ret_val);
}

static int msr_write(void *self, uint32_t msr, uint64_t val)
{
	count(self, STAT_MSR_WRITE);
	return vm_cpu_client.msr_write(self, msr, val);
}

static int hypercall(void *self, struct cpu_hypercall *h)
{
	count(self, STAT_HYPERCALL);
	return vm_cpu_client.hypercall(self, h);
}

static int irq_take(void *self)
{
	int v = vm_cpu_client.irq_take(self);

	if (v >= 0)
		count(self, STAT_IRQ);
	return v;
}

static bool irq_ready(void *self) { return vm_cpu_client.irq_ready(self); }
static enum cpu_ferr ferr(void *self, bool error) { return vm_cpu_client.ferr(self, error); }
static uint8_t tpr_get(void *self) { return vm_cpu_client.tpr_get(self); }
static void tpr_set(void *self, uint8_t cr8) { vm_cpu_client.tpr_set(self, cr8); }

const struct cpu_client vm_stats_client = {
	.io_read = io_read, .io_write = io_write, .mmio_read = mmio_read, .mmio_write = mmio_write,
	.cpuid = cpuid, .msr_read = msr_read, .msr_write = msr_write, .hypercall = hypercall,
	.irq_take = irq_take, .irq_ready = irq_ready, .ferr = ferr,
	.tpr_get = tpr_get, .tpr_set = tpr_set,
};

void stats_exit(struct vcpu *v, enum cpu_exit exit)
{
	if (exit == CPU_EXIT_KICK)
		count(v, STAT_KICK);
	else if (exit == CPU_EXIT_HLT)
		count(v, STAT_HLT);
	else if (exit == CPU_EXIT_DEBUG)
		count(v, STAT_DEBUG);
}

/* One engine, so each vCPU gives the same names in the same order. */
static size_t engine_rows(const struct vm *vm, struct vm_counter *ret_rows, size_t max)
{
	struct cpu_counter rows[CPU_COUNTER_MAX];
	size_t nr = 0;

	for (unsigned i = 0; vm->engine->counters != NULL && i < vm->conf.cpus; i++) {
		nr = vm->engine->counters(vm->vcpus[i].cpu, rows, min_u64(max, CPU_COUNTER_MAX));
		for (size_t j = 0; j < nr; j++) {
			if (i == 0)
				ret_rows[j] = (struct vm_counter){ rows[j].name, 0 };
			ret_rows[j].val += rows[j].val;
		}
	}
	return nr;
}

size_t vm_counters(const struct vm *vm, struct vm_counter *ret_rows, size_t max)
{
	size_t n = engine_rows(vm, ret_rows, max);

	for (unsigned s = 0; s < VM_NR_STATS && n < max; s++) {
		ret_rows[n] = (struct vm_counter){ stat_names[s], 0 };
		for (unsigned i = 0; i < vm->conf.cpus; i++)
			ret_rows[n].val += vm->vcpus[i].stat[s];
		n++;
	}
	return n;
}
