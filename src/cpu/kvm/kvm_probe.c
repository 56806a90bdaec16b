/*
 * kvm_probe.c - whether this host's KVM really runs a guest
 *
 * A /dev/kvm that opens proves little: there are nested ones that fail at the
 * first instruction, and software ones that run toys.  So the probe is a toy
 * and a real one: sixteen-bit code from the first kilobytes, then 64-bit code
 * with paging that uses a port, a register in memory, one of Hyper-V's MSRs
 * and a hypercall, in a machine with memory past 4 GiB.  What goes wrong is
 * said in words, since the engine is then left out.
 *
 * Lock     the watchdog thread only kicks
 */
#include "cpu/kvm/kvm_priv.h"
#include "spec/x86.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CODE 0x1000u
#define TABLES 0x10000u
#define RESULT_PORT 0x50u
#define TOY_RESULT 0x1234u
#define MMIO_GPA UINT64_C(0xfed00010)
#define HIGH_GPA (4 * GIB)
#define SECONDS 3

extern const uint8_t kvm_probe_toy[], kvm_probe_toy_end[];
extern const uint8_t kvm_probe_real[], kvm_probe_real_end[];

__asm__(".pushsection .rodata\n"
	".code16\n"
	"kvm_probe_toy:\n"
	"	mov $0x1233, %ax\n"
	"	inc %ax\n"
	"	out %ax, $0x50\n"
	"	hlt\n"
	"kvm_probe_toy_end:\n"
	".code64\n"
	"kvm_probe_real:\n"
	"	mov $0x40000000, %ecx\n"	/* an MSR of Hyper-V's */
	"	rdmsr\n"
	"	mov %eax, %ebx\n"
	"	movabs $0xfed00010, %rsi\n"	/* a register in memory */
	"	add (%rsi), %ebx\n"
	"	mov $0x5c, %ecx\n"		/* a hypercall; the result is in RAX */
	"	out %al, $0xea\n"
	"	add %eax, %ebx\n"
	"	mov %ebx, %eax\n"
	"	out %eax, $0x50\n"
	"	hlt\n"
	"kvm_probe_real_end:\n"
	".popsection\n");

/* What the real guest adds up. */
#define MSR_VALUE 0x100u
#define MMIO_VALUE 0x20u
#define CALL_VALUE 0x3u

struct probe {
	struct gmem *mem;
	struct cpu_shared *vm;
	struct cpu *cpu;
	uint64_t result;
	bool done;
	pthread_mutex_t lock;		/* over done */
	pthread_cond_t is_done;
};

static uint64_t probe_io_read(void *self, uint16_t port, unsigned width)
{
	(void)self, (void)port, (void)width;
	return 0;
}

static void probe_io_write(void *self, uint16_t port, unsigned width, uint64_t val)
{
	struct probe *p = self;

	(void)width;
	if (port == RESULT_PORT)
		p->result = val;
}

static uint64_t probe_mmio_read(void *self, uint64_t gpa, unsigned width)
{
	(void)self, (void)width;
	return gpa == MMIO_GPA ? MMIO_VALUE : 0;
}

static void probe_mmio_write(void *self, uint64_t gpa, unsigned width, uint64_t val)
{
	(void)self, (void)gpa, (void)width, (void)val;
}

static void probe_cpuid(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	(void)self, (void)leaf, (void)sub, (void)r;
}

static int probe_msr_read(void *self, uint32_t msr, uint64_t *ret_val)
{
	(void)self;
	*ret_val = MSR_VALUE;
	return msr == 0x40000000 ? 0 : -ENOENT;
}

static int probe_msr_write(void *self, uint32_t msr, uint64_t val)
{
	(void)self, (void)msr, (void)val;
	return -ENOENT;
}

static int probe_hypercall(void *self, struct cpu_hypercall *h)
{
	(void)self;
	h->gpr[CPU_RAX] = h->long_mode && h->gpr[CPU_RCX] == 0x5c ? CALL_VALUE : 0;
	return 0;
}

static int probe_irq_take(void *self)
{
	(void)self;
	return -1;
}

static bool probe_irq_ready(void *self)
{
	(void)self;
	return false;
}

static uint8_t probe_tpr_get(void *self)
{
	(void)self;
	return 0;
}

static void probe_tpr_set(void *self, uint8_t cr8)
{
	(void)self, (void)cr8;
}

static const struct cpu_client probe_client = {
	.io_read = probe_io_read,
	.io_write = probe_io_write,
	.mmio_read = probe_mmio_read,
	.mmio_write = probe_mmio_write,
	.cpuid = probe_cpuid,
	.msr_read = probe_msr_read,
	.msr_write = probe_msr_write,
	.hypercall = probe_hypercall,
	.irq_take = probe_irq_take,
	.irq_ready = probe_irq_ready,
	.tpr_get = probe_tpr_get,
	.tpr_set = probe_tpr_set,
};

int kvm_tiny_long_mode(struct gmem *m, struct cpu_regs *r)
{
	const struct cpu_seg data = { .sel = 0x10, .attr = 0xc093, .limit = UINT32_MAX };
	const uint64_t flags = X86_PTE_P | X86_PTE_W;
	uint64_t table[512] = { 0 };
	int rc;

	table[0] = (TABLES + 0x1000) | flags;
	rc = gmem_write(m, TABLES, table, sizeof(table));
	table[0] = (TABLES + 0x2000) | flags;
	table[3] = (TABLES + 0x3000) | flags;
	if (rc == 0)
		rc = gmem_write(m, TABLES + 0x1000, table, sizeof(table));
	for (unsigned gib = 0; rc == 0 && gib <= 3; gib += 3) {
		for (unsigned i = 0; i < 512; i++)
			table[i] = (gib * GIB + i * 2 * MIB) | flags | X86_PTE_PS;
		rc = gmem_write(m, TABLES + (gib == 0 ? 0x2000 : 0x3000), table, sizeof(table));
	}
	for (unsigned i = 0; i < CPU_LDTR; i++)
		r->seg[i] = data;
	r->seg[CPU_CS] = (struct cpu_seg){ .sel = 8, .attr = 0xa09b, .limit = UINT32_MAX };
	r->seg[CPU_LDTR].attr = CPU_SEG_UNUSABLE;
	r->seg[CPU_TR] = (struct cpu_seg){ .attr = 0x8b, .limit = 0x67 };
	r->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	r->cr3 = TABLES;
	r->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	r->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
	r->gpr[CPU_RSP] = TABLES;
	r->rflags = 2;
	return rc;
}

/* Ends a guest that does not end by itself. */
static void *watchdog(void *arg)
{
	struct probe *p = arg;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SECONDS;
	pthread_mutex_lock(&p->lock);
	while (!p->done)
		if (pthread_cond_timedwait(&p->is_done, &p->lock, &until) != 0)
			break;
	if (!p->done)
		cpu_kick(p->cpu);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static enum cpu_exit run_watched(struct probe *p)
{
	enum cpu_exit exit = CPU_EXIT_ERROR;
	pthread_t thread;

	p->done = false;
	p->result = 0;
	if (pthread_create(&thread, NULL, watchdog, p) != 0)
		return exit;
	exit = cpu_run(p->cpu);
	pthread_mutex_lock(&p->lock);
	p->done = true;
	pthread_cond_signal(&p->is_done);
	pthread_mutex_unlock(&p->lock);
	pthread_join(thread, NULL);
	return exit;
}

static int verdict(struct probe *p, const char *what, uint64_t want, struct err *err)
{
	enum cpu_exit exit = run_watched(p);

	if (exit == CPU_EXIT_KICK)
		return err_set(err, -ENOTSUP, "kvm: %s hangs on this host's KVM", what);
	if (exit == CPU_EXIT_SHUTDOWN)
		return err_set(err, -ENOTSUP, "kvm: %s crashes on this host's KVM", what);
	if (exit != CPU_EXIT_HLT)
		return err_set(err, -ENOTSUP, "kvm: %s does not run on this host's KVM: %s", what,
			       p->cpu->engine->error(p->cpu));
	if (p->result != want)
		return err_set(err, -ENOTSUP, "kvm: %s gives 0x%llx on this host's KVM, expected 0x%llx",
			       what, (unsigned long long)p->result, (unsigned long long)want);
	return 0;
}

static int run_toy(struct probe *p, struct err *err)
{
	struct cpu_regs r;
	int rc = gmem_write(p->mem, CODE, kvm_probe_toy,
			    (size_t)(kvm_probe_toy_end - kvm_probe_toy));

	if (rc < 0)
		return rc;
	p->cpu->engine->reset(p->cpu, false);
	p->cpu->engine->get_regs(p->cpu, &r);
	r.seg[CPU_CS].sel = 0;
	r.seg[CPU_CS].base = 0;
	r.rip = CODE;
	rc = p->cpu->engine->set_regs(p->cpu, &r, err);
	return rc < 0 ? rc : verdict(p, "real mode code", TOY_RESULT, err);
}

static int run_real(struct probe *p, struct err *err)
{
	struct cpu_regs r;
	int rc = gmem_write(p->mem, HIGH_GPA, "high", 4);

	if (rc == 0)
		rc = gmem_write(p->mem, CODE, kvm_probe_real,
				(size_t)(kvm_probe_real_end - kvm_probe_real));
	if (rc < 0)
		return rc;
	p->cpu->engine->reset(p->cpu, false);
	p->cpu->engine->get_regs(p->cpu, &r);
	rc = kvm_tiny_long_mode(p->mem, &r);
	r.rip = CODE;
	if (rc == 0)
		rc = p->cpu->engine->set_regs(p->cpu, &r, err);
	return rc < 0 ? rc : verdict(p, "64-bit code (no more than a toy runs?)",
				     MSR_VALUE + MMIO_VALUE + CALL_VALUE, err);
}

static int probe_run(struct probe *p, struct err *err)
{
	static const struct gmem_range ranges[] = { { 0, GIB }, { HIGH_GPA, GIB } };
	struct cpu_conf conf = {
		.client = &probe_client,
		.self = p,
		.model = "x86-64-v2",
	};
	int rc = gmem_new(ranges, ARRAY_LEN(ranges), &p->mem, err);

	if (rc == 0)
		rc = kvm_shared_new(p->mem, 1, &p->vm, err);
	if (rc < 0)
		return rc;
	conf.mem = p->mem;
	conf.shared = p->vm;
	conf.tsc_hz = cpu_host_tsc_hz();
	rc = cpu_engine_kvm.create(&conf, &p->cpu, err);
	if (rc == 0)
		rc = run_toy(p, err);
	if (rc == 0)
		rc = run_real(p, err);
	return rc;
}

int kvm_probe(struct err *err)
{
	struct probe p = { .lock = PTHREAD_MUTEX_INITIALIZER, .is_done = PTHREAD_COND_INITIALIZER };
	int rc = probe_run(&p, err);

	cpu_engine_kvm.destroy(p.cpu);
	kvm_shared_free(p.vm);
	gmem_free(p.mem);
	return rc;
}
