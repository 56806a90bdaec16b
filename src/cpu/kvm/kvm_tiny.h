/*
 * kvm_tiny.h - tiny machines on the real KVM, for its tests
 *
 * Everything a guest does is noted, and everything it reads is t->answer.
 * kvm_tiny_skip says why where there is no KVM; 77 is "skipped" to the build.
 */
#ifndef CPU_KVM_KVM_TINY_H
#define CPU_KVM_KVM_TINY_H

#include "base/le.h"
#include "base/test.h"
#include "cpu/kvm/kvm_priv.h"
#include "spec/x86.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CODE 0x1000u
#define GDT 0x5000u
#define IDT 0x6000u
#define NR_LOG 64u

/* A guest program; its bytes are name[] to name_end. */
#define GUEST(name, bits, text) \
	extern const uint8_t name[], name##_end[]; \
	__asm__(".pushsection .rodata\n.code" #bits "\n" #name ":\n" text \
		#name "_end:\n.code64\n.popsection\n")
#define LOAD(t, at, name) load(t, at, name, (size_t)(name##_end - name))

struct access {
	char what;			/* o, i, w, r, R, W: port, memory, MSR */
	uint64_t addr, val;
	unsigned width;
};

struct tiny {
	struct gmem *mem;
	struct cpu_shared *vm;
	struct cpu *cpu[2];
	struct access log[NR_LOG];
	unsigned nr;
	uint64_t answer;		/* to every read */
	_Atomic int irq;		/* the vector that waits, or -1 */
	_Atomic uint8_t tpr;
	struct cpu_hypercall call;
	uint64_t call_gpr[16];
	uint8_t call_xmm[6][16];
	unsigned nr_calls;
};

static inline void note(struct tiny *t, char what, uint64_t addr, uint64_t val, unsigned width)
{
	if (t->nr < NR_LOG)
		t->log[t->nr++] = (struct access){ what, addr, val, width };
}

static inline uint64_t t_io_read(void *self, uint16_t port, unsigned width)
{
	struct tiny *t = self;

	note(t, 'i', port, 0, width);
	return t->answer;
}

static inline void t_io_write(void *self, uint16_t port, unsigned width, uint64_t val)
{
	note(self, 'o', port, val, width);
}

static inline uint64_t t_mmio_read(void *self, uint64_t gpa, unsigned width)
{
	struct tiny *t = self;

	note(t, 'r', gpa, 0, width);
	return t->answer;
}

static inline void t_mmio_write(void *self, uint64_t gpa, unsigned width, uint64_t val)
{
	note(self, 'w', gpa, val, width);
}

static inline void t_cpuid(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	(void)self, (void)sub;
	if (leaf == 0x40000000)
		r[0] = 0x40000001;
	if (leaf == 0x40000001)
		r[0] = 0x31237648;
	if (leaf == 1)
		r[2] |= 1u << 31;
}

static inline int t_msr_read(void *self, uint32_t msr, uint64_t *ret_val)
{
	struct tiny *t = self;

	if (msr == X86_MSR_APIC_BASE) {
		*ret_val = 0xfee00900;
		return 0;
	}
	note(t, 'R', msr, 0, 8);
	*ret_val = t->answer;
	return msr == 0x4f0 ? -ENOENT : 0;
}

static inline int t_msr_write(void *self, uint32_t msr, uint64_t val)
{
	note(self, 'W', msr, val, 8);
	return msr == 0x4f0 ? -ENOENT : 0;
}

static inline int t_hypercall(void *self, struct cpu_hypercall *h)
{
	struct tiny *t = self;

	t->nr_calls++;
	t->call.long_mode = h->long_mode;
	memcpy(t->call_gpr, h->gpr, sizeof(t->call_gpr));
	memcpy(t->call_xmm, h->xmm, sizeof(t->call_xmm));
	h->gpr[CPU_RAX] = 0x77;
	h->gpr[CPU_RDX] += 1;
	h->xmm[1][0] ^= 0xff;
	return 0;
}

static inline int t_irq_take(void *self)
{
	return atomic_exchange(&((struct tiny *)self)->irq, -1);
}

static inline bool t_irq_ready(void *self)
{
	struct tiny *t = self;
	int irq = atomic_load(&t->irq);

	return irq >= 0 && irq >> 4 > atomic_load(&t->tpr);
}

static inline uint8_t t_tpr_get(void *self)
{
	return atomic_load(&((struct tiny *)self)->tpr);
}

static inline void t_tpr_set(void *self, uint8_t cr8)
{
	atomic_store(&((struct tiny *)self)->tpr, cr8);
}

static const struct cpu_client t_client = {
	.io_read = t_io_read, .io_write = t_io_write,
	.mmio_read = t_mmio_read, .mmio_write = t_mmio_write,
	.cpuid = t_cpuid,
	.msr_read = t_msr_read, .msr_write = t_msr_write,
	.hypercall = t_hypercall,
	.irq_take = t_irq_take, .irq_ready = t_irq_ready,
	.tpr_get = t_tpr_get, .tpr_set = t_tpr_set,
};

static inline int setup(void **state)
{
	static const struct gmem_range ram = { 0, 16 * MIB };
	struct tiny *t = new0(struct tiny);
	struct cpu_conf conf = { .client = &t_client, .self = t, .model = "x86-64-v2" };
	struct err err = { "" };
	int rc;

	t->irq = -1;
	rc = gmem_new(&ram, 1, &t->mem, &err);
	if (rc == 0)
		rc = kvm_shared_new(t->mem, 2, &t->vm, &err);
	conf.mem = t->mem;
	conf.shared = t->vm;
	for (conf.index = 0; rc == 0 && conf.index < 2; conf.index++)
		rc = cpu_engine_kvm.create(&conf, &t->cpu[conf.index], &err);
	if (rc < 0)
		print_error("%s\n", err.msg);
	*state = t;
	return rc;
}

static inline int teardown(void **state)
{
	struct tiny *t = *state;

	cpu_engine_kvm.destroy(t->cpu[0]);
	cpu_engine_kvm.destroy(t->cpu[1]);
	kvm_shared_free(t->vm);
	gmem_free(t->mem);
	free(t);
	return 0;
}

static inline void load(struct tiny *t, uint64_t at, const uint8_t *code, size_t n)
{
	CHECK_EQ(gmem_write(t->mem, at, code, n), 0);
}

static inline struct cpu_regs regs_of(struct tiny *t)
{
	struct cpu_regs r;

	t->cpu[0]->engine->get_regs(t->cpu[0], &r);
	return r;
}

static inline void set_regs(struct tiny *t, unsigned cpu, const struct cpu_regs *r)
{
	struct err err = { "" };

	if (t->cpu[cpu]->engine->set_regs(t->cpu[cpu], r, &err) != 0)
		fail_msg("%s", err.msg);
}

static inline void start_real(struct tiny *t)
{
	struct cpu_regs r;

	t->cpu[0]->engine->reset(t->cpu[0], false);
	r = regs_of(t);
	r.seg[CPU_CS].sel = 0;
	r.seg[CPU_CS].base = 0;
	r.rip = CODE;
	r.gpr[CPU_RSP] = 0x7000;
	set_regs(t, 0, &r);
}

/* Gate of VECTOR to 64-bit code at OFF (below 4 GiB). */
static inline void gate(struct tiny *t, unsigned vector, uint32_t off)
{
	uint8_t g[16] = { 0 };

	st16(g, (uint16_t)off);
	st16(g + 2, 8);
	g[5] = 0x8e;
	st16(g + 6, (uint16_t)(off >> 16));
	load(t, IDT + vector * 16, g, sizeof(g));
}

static inline struct cpu_regs long_regs(struct tiny *t)
{
	static const uint64_t gdt[3] = { 0, UINT64_C(0x00af9b000000ffff), UINT64_C(0x00cf93000000ffff) };
	struct cpu_regs r;

	t->cpu[0]->engine->reset(t->cpu[0], false);
	r = regs_of(t);
	CHECK_EQ(kvm_tiny_long_mode(t->mem, &r), 0);
	load(t, GDT, (const uint8_t *)gdt, sizeof(gdt));
	r.gdt = (struct cpu_table){ GDT, sizeof(gdt) - 1 };
	r.idt = (struct cpu_table){ IDT, 0xfff };
	r.rip = CODE;
	return r;
}

static inline void start_long(struct tiny *t)
{
	struct cpu_regs r = long_regs(t);

	set_regs(t, 0, &r);
}

/* Runs to the HLT that ends a program. */
static inline void run_to_hlt(struct tiny *t)
{
	enum cpu_exit exit = cpu_run(t->cpu[0]);

	if (exit == CPU_EXIT_ERROR)
		fail_msg("%s", t->cpu[0]->engine->error(t->cpu[0]));
	CHECK_EQ(exit, CPU_EXIT_HLT);
}

static inline void check_log(struct tiny *t, unsigned i, char what, uint64_t addr, uint64_t val, unsigned width)
{
	CHECK(i < t->nr);
	CHECK_EQ(t->log[i].what, what);
	CHECK_EQ(t->log[i].addr, addr);
	CHECK_EQ(t->log[i].val, val);
	CHECK_EQ(t->log[i].width, width);
}

#define KVM_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* 0: go on; else main's answer. */
static inline int kvm_tiny_skip(void)
{
	struct err err = { "" };
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (kvm_probe(&err) == 0)	/* it must say so too */
		return 1;
	printf("skipped, since there is no KVM here: %s\n", err.msg);
	return 77;
}

#endif
