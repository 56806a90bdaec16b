/*
 * Small guests on the real KVM: what they do to ports, memory, MSRs and
 * interrupts must reach us, and what we give them must reach them.  Exit
 * status 77, which the build counts as skipped, where there is no /dev/kvm.
 */
#include "base/le.h"
#include "base/test.h"
#include "cpu/kvm/kvm_priv.h"
#include "spec/x86.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CODE 0x1000u
#define GDT 0x5000u
#define IDT 0x6000u
#define DATA 0x8000u
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

static void note(struct tiny *t, char what, uint64_t addr, uint64_t val, unsigned width)
{
	if (t->nr < NR_LOG)
		t->log[t->nr++] = (struct access){ what, addr, val, width };
}

static uint64_t t_io_read(void *self, uint16_t port, unsigned width)
{
	struct tiny *t = self;

	note(t, 'i', port, 0, width);
	return t->answer;
}

static void t_io_write(void *self, uint16_t port, unsigned width, uint64_t val)
{
	note(self, 'o', port, val, width);
}

static uint64_t t_mmio_read(void *self, uint64_t gpa, unsigned width)
{
	struct tiny *t = self;

	note(t, 'r', gpa, 0, width);
	return t->answer;
}

static void t_mmio_write(void *self, uint64_t gpa, unsigned width, uint64_t val)
{
	note(self, 'w', gpa, val, width);
}

static void t_cpuid(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	(void)self, (void)sub;
	if (leaf == 0x40000000)
		r[0] = 0x40000001;
	if (leaf == 0x40000001)
		r[0] = 0x31237648;
	if (leaf == 1)
		r[2] |= 1u << 31;
}

static int t_msr_read(void *self, uint32_t msr, uint64_t *ret_val)
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

static int t_msr_write(void *self, uint32_t msr, uint64_t val)
{
	note(self, 'W', msr, val, 8);
	return msr == 0x4f0 ? -ENOENT : 0;
}

static int t_hypercall(void *self, struct cpu_hypercall *h)
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

static int t_irq_take(void *self)
{
	return atomic_exchange(&((struct tiny *)self)->irq, -1);
}

static bool t_irq_ready(void *self)
{
	struct tiny *t = self;
	int irq = atomic_load(&t->irq);

	return irq >= 0 && irq >> 4 > atomic_load(&t->tpr);
}

static uint8_t t_tpr_get(void *self)
{
	return atomic_load(&((struct tiny *)self)->tpr);
}

static void t_tpr_set(void *self, uint8_t cr8)
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

static int setup(void **state)
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

static int teardown(void **state)
{
	struct tiny *t = *state;

	cpu_engine_kvm.destroy(t->cpu[0]);
	cpu_engine_kvm.destroy(t->cpu[1]);
	kvm_shared_free(t->vm);
	gmem_free(t->mem);
	free(t);
	return 0;
}

static void load(struct tiny *t, uint64_t at, const uint8_t *code, size_t n)
{
	CHECK_EQ(gmem_write(t->mem, at, code, n), 0);
}

static struct cpu_regs regs_of(struct tiny *t)
{
	struct cpu_regs r;

	t->cpu[0]->engine->get_regs(t->cpu[0], &r);
	return r;
}

static void set_regs(struct tiny *t, unsigned cpu, const struct cpu_regs *r)
{
	struct err err = { "" };

	if (t->cpu[cpu]->engine->set_regs(t->cpu[cpu], r, &err) != 0)
		fail_msg("%s", err.msg);
}

static void start_real(struct tiny *t)
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
static void gate(struct tiny *t, unsigned vector, uint32_t off)
{
	uint8_t g[16] = { 0 };

	st16(g, (uint16_t)off);
	st16(g + 2, 8);
	g[5] = 0x8e;
	st16(g + 6, (uint16_t)(off >> 16));
	load(t, IDT + vector * 16, g, sizeof(g));
}

static struct cpu_regs long_regs(struct tiny *t)
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

static void start_long(struct tiny *t)
{
	struct cpu_regs r = long_regs(t);

	set_regs(t, 0, &r);
}

/* Runs to the HLT that ends a program. */
static void run_to_hlt(struct tiny *t)
{
	enum cpu_exit exit = cpu_run(t->cpu[0]);

	if (exit == CPU_EXIT_ERROR)
		fail_msg("%s", t->cpu[0]->engine->error(t->cpu[0]));
	CHECK_EQ(exit, CPU_EXIT_HLT);
}

static void check_log(struct tiny *t, unsigned i, char what, uint64_t addr, uint64_t val, unsigned width)
{
	CHECK(i < t->nr);
	CHECK_EQ(t->log[i].what, what);
	CHECK_EQ(t->log[i].addr, addr);
	CHECK_EQ(t->log[i].val, val);
	CHECK_EQ(t->log[i].width, width);
}

/* ---- the guests ----------------------------------------------------------------- */

GUEST(g_ports, 16,
	"mov $0x1234, %ax\n"
	"out %al, $0x10\n"
	"mov $0x3f8, %dx\n"
	"out %ax, %dx\n"
	"inl %dx, %eax\n"
	"mov %eax, 0x8000\n"
	"mov $0x8000, %si\n"
	"mov $4, %cx\n"
	"cld\n"
	"rep outsb\n"
	"hlt\n");

static void ports_in_real_mode(void **state)
{
	struct tiny *t = *state;
	uint32_t got;

	LOAD(t, CODE, g_ports);
	start_real(t);
	t->answer = 0xcafe1234;
	run_to_hlt(t);
	CHECK_EQ(t->nr, 7);
	check_log(t, 0, 'o', 0x10, 0x34, 1);
	check_log(t, 1, 'o', 0x3f8, 0x1234, 2);
	check_log(t, 2, 'i', 0x3f8, 0, 4);
	check_log(t, 3, 'o', 0x3f8, 0x34, 1);
	check_log(t, 6, 'o', 0x3f8, 0xca, 1);
	CHECK_EQ(gmem_load32(t->mem, 0x8000, &got), 0);
	CHECK_EQ(got, 0xcafe1234);
	CHECK_EQ(regs_of(t).rip, CODE + (uint64_t)(g_ports_end - g_ports));
}

GUEST(g_mmio, 32,
	"mov $0xfee00000, %esi\n"
	"movl $0x11223344, (%esi)\n"
	"movw $0x5566, 2(%esi)\n"
	"movb $0x77, 1(%esi)\n"
	"mov 8(%esi), %eax\n"
	"mov %eax, 0x8000\n"
	"movzbl 3(%esi), %eax\n"
	"mov %eax, 0x8004\n"
	"hlt\n");

static void memory_in_protected_mode(void **state)
{
	const struct cpu_seg data = { .sel = 0x10, .attr = 0xc093, .limit = UINT32_MAX };
	struct tiny *t = *state;
	struct cpu_regs r;
	uint32_t got;

	LOAD(t, CODE, g_mmio);
	start_real(t);
	r = regs_of(t);
	r.cr0 |= X86_CR0_PE;
	for (unsigned i = 0; i < CPU_LDTR; i++)
		r.seg[i] = data;
	r.seg[CPU_CS] = (struct cpu_seg){ .sel = 8, .attr = 0xc09b, .limit = UINT32_MAX };
	set_regs(t, 0, &r);
	t->answer = 0x99aabbcc;
	run_to_hlt(t);
	CHECK_EQ(t->nr, 5);
	check_log(t, 0, 'w', 0xfee00000, 0x11223344, 4);
	check_log(t, 1, 'w', 0xfee00002, 0x5566, 2);
	check_log(t, 2, 'w', 0xfee00001, 0x77, 1);
	check_log(t, 3, 'r', 0xfee00008, 0, 4);
	check_log(t, 4, 'r', 0xfee00003, 0, 1);
	CHECK_EQ(gmem_load32(t->mem, 0x8000, &got), 0);
	CHECK_EQ(got, 0x99aabbcc);
	CHECK_EQ(gmem_load32(t->mem, 0x8004, &got), 0);
	CHECK_EQ(got, 0xcc);
}

GUEST(g_msrs, 64,
	"mov $0x40000073, %ecx\n"
	"mov $0x5001, %eax\n"
	"mov $0x1, %edx\n"
	"wrmsr\n"
	"mov $0x40000020, %ecx\n"
	"rdmsr\n"
	"mov %eax, 0x8000\n"
	"mov %edx, 0x8004\n"
	"mov $0x6e0, %ecx\n"
	"wrmsr\n"
	"mov $0x80b, %ecx\n"		/* x2APIC EOI */
	"xor %eax, %eax\n"
	"xor %edx, %edx\n"
	"wrmsr\n"
	"mov $0xc0000102, %ecx\n"	/* the processor's own */
	"mov $0x1000, %eax\n"
	"wrmsr\n"
	"mov $0x4f0, %ecx\n"		/* nobody's: #GP */
	"rdmsr\n"
	"ud2\n");

GUEST(g_out_hlt, 64, "mov $0xaa, %al\n" "out %al, $0x10\n" "hlt\n");

static void msrs(void **state)
{
	struct tiny *t = *state;
	uint64_t got;

	LOAD(t, CODE, g_msrs);
	LOAD(t, CODE + 0x800, g_out_hlt);
	start_long(t);
	gate(t, X86_GP, CODE + 0x800);
	t->answer = UINT64_C(0x123456789abcdef0);
	run_to_hlt(t);
	CHECK_EQ(t->nr, 6);
	check_log(t, 0, 'W', 0x40000073, UINT64_C(0x100005001), 8);
	check_log(t, 1, 'R', 0x40000020, 0, 8);
	check_log(t, 2, 'W', 0x6e0, t->answer, 8);
	check_log(t, 3, 'W', 0x80b, 0, 8);
	check_log(t, 4, 'R', 0x4f0, 0, 8);
	check_log(t, 5, 'o', 0x10, 0xaa, 1);	/* the #GP handler */
	CHECK_EQ(gmem_read(t->mem, 0x8000, &got, 8), 0);
	CHECK_EQ(got, t->answer);
	CHECK_EQ(regs_of(t).kernel_gs_base, 0x1000);
}

GUEST(g_call, 64,
	"mov $0x1111, %ecx\n"
	"mov $0x2222, %edx\n"
	"mov $0x3333, %r8d\n"
	"movq %rdx, %xmm1\n"
	"out %al, $0xea\n"
	"movq %xmm1, %rbx\n"
	"hlt\n");

static void hypercalls_by_port(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r;

	CHECK_EQ(cpu_engine_kvm.hypercall_port, 0xea);
	LOAD(t, CODE, g_call);
	start_long(t);
	run_to_hlt(t);
	CHECK_EQ(t->nr_calls, 1);
	CHECK_EQ(t->nr, 0);
	CHECK(t->call.long_mode);
	CHECK_EQ(t->call_gpr[CPU_RCX], 0x1111);
	CHECK_EQ(t->call_gpr[CPU_RDX], 0x2222);
	CHECK_EQ(t->call_gpr[CPU_R8], 0x3333);
	CHECK_EQ(ld64(t->call_xmm[1]), 0x2222);
	r = regs_of(t);
	CHECK_EQ(r.gpr[CPU_RAX], 0x77);
	CHECK_EQ(r.gpr[CPU_RDX], 0x2223);
	CHECK_EQ(r.gpr[CPU_RBX], 0x2222 ^ 0xff);
	CHECK_EQ(r.rip, CODE + (uint64_t)(g_call_end - g_call));
}

static void hypercalls_only_from_the_kernel(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r;

	LOAD(t, CODE, g_call);
	start_real(t);			/* real mode, same bytes up to the OUT matter little */
	r = regs_of(t);
	r.rip = CODE + 0x20;
	load(t, CODE + 0x20, (const uint8_t[]){ 0xe6, 0xea, 0xf4 }, 3);
	set_regs(t, 0, &r);
	run_to_hlt(t);
	CHECK_EQ(t->nr_calls, 0);
}

GUEST(g_cpuid, 64,
	"mov $0x40000001, %eax\n" "cpuid\n" "mov %eax, 0x8000\n"
	"mov $1, %eax\n" "cpuid\n" "mov %ecx, 0x8004\n" "mov %edx, 0x8008\n"
	"xor %eax, %eax\n" "cpuid\n" "mov %ebx, 0x800c\n"
	"hlt\n");

static void cpuid_is_the_models_and_the_boards(void **state)
{
	uint32_t got[4], want[4];
	struct tiny *t = *state;

	LOAD(t, CODE, g_cpuid);
	start_long(t);
	run_to_hlt(t);
	CHECK_EQ(gmem_read(t->mem, 0x8000, got, sizeof(got)), 0);
	CHECK_EQ(got[0], 0x31237648);
	CHECK_EQ(got[1] >> 31, 1);
	cpu_model_cpuid(cpu_model_find("x86-64-v2"), 1, 0, want);
	CHECK_EQ(got[1] & ~want[2] & ~(1u << 31 | 1u << 27), 0);	/* nothing more */
	CHECK_EQ(got[2] & ~want[3], 0);
	CHECK_EQ(got[1] >> 21 & 1, want[2] >> 21 & 1);			/* x2APIC is ours */
	CHECK_EQ(got[2] >> 9 & 1, 1);					/* and so is the APIC */
	cpu_model_cpuid(cpu_model_find("x86-64-v2"), 0, 0, want);
	CHECK_EQ(got[3], want[1]);
}

/* Counts interrupts at 0x8000. */
GUEST(g_count, 64, "lock incl 0x8000\n" "iretq\n");
GUEST(g_window, 64,
	"mov $0x20, %al\n"
	"out %al, $0x10\n"		/* the interrupt comes here, IF is 0 */
	"mov $1000, %ecx\n"
	"1: dec %ecx\n"
	"jnz 1b\n"
	"mov 0x8000, %eax\n"
	"out %eax, $0x11\n"
	"sti\n"
	"nop\n"
	"nop\n"
	"cli\n"
	"mov 0x8000, %eax\n"
	"out %eax, $0x12\n"
	"hlt\n");

static void interrupts_wait_for_their_window(void **state)
{
	struct tiny *t = *state;

	LOAD(t, CODE, g_window);
	LOAD(t, CODE + 0x800, g_count);
	start_long(t);
	gate(t, 0x40, CODE + 0x800);
	t->irq = 0x40;
	run_to_hlt(t);
	CHECK_EQ(t->nr, 3);
	check_log(t, 1, 'o', 0x11, 0, 4);
	check_log(t, 2, 'o', 0x12, 1, 4);
	CHECK_EQ(t->irq, -1);
}

GUEST(g_sleep, 64, "1: sti\n" "hlt\n" "cli\n" "mov 0x8000, %eax\n" "out %eax, $0x11\n" "jmp 1b\n");

static void hlt_ends_with_an_interrupt(void **state)
{
	struct tiny *t = *state;

	LOAD(t, CODE, g_sleep);
	LOAD(t, CODE + 0x800, g_count);
	start_long(t);
	gate(t, 0x40, CODE + 0x800);
	run_to_hlt(t);
	CHECK(regs_of(t).halted);
	run_to_hlt(t);			/* nothing came: still */
	CHECK_EQ(t->nr, 0);
	for (unsigned i = 1; i <= 100; i++) {
		t->irq = 0x40;
		t->nr = 0;
		run_to_hlt(t);
		CHECK_EQ(t->nr, 1);
		check_log(t, 0, 'o', 0x11, i, 4);
	}
}

GUEST(g_tpr, 64,
	"mov $5, %eax\n"
	"mov %rax, %cr8\n"
	"out %al, $0x10\n"
	"sti\n"
	"nop\n"
	"nop\n"
	"cli\n"
	"mov 0x8000, %eax\n"
	"out %eax, $0x11\n"
	"sti\n"
	"mov $3, %eax\n"
	"mov %rax, %cr8\n"
	"nop\n"
	"cli\n"
	"mov 0x8000, %eax\n"
	"out %eax, $0x12\n"
	"mov %cr8, %rax\n"
	"out %eax, $0x13\n"
	"hlt\n");

static void priority_holds_interrupts_back(void **state)
{
	struct tiny *t = *state;

	LOAD(t, CODE, g_tpr);
	LOAD(t, CODE + 0x800, g_count);
	start_long(t);
	gate(t, 0x50, CODE + 0x800);
	t->irq = 0x50;
	run_to_hlt(t);
	check_log(t, 1, 'o', 0x11, 0, 4);
	check_log(t, 2, 'o', 0x12, 1, 4);
	check_log(t, 3, 'o', 0x13, 3, 4);
	CHECK_EQ(t->tpr, 3);
}

/* ---- from other threads ----------------------------------------------------------- */

GUEST(g_spin, 64, "movl $1, 0x8010\n" "sti\n" "1: pause\n" "jmp 1b\n");
GUEST(g_done, 64, "mov $0xdd, %al\n" "out %al, $0x10\n" "cli\n" "hlt\n");

struct helper {
	struct tiny *t;
	void (*act)(struct tiny *t);
	pthread_t thread;
};

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

static void wait_for_guest(struct tiny *t)
{
	uint32_t on = 0;

	while (on == 0) {
		CHECK_EQ(gmem_load32(t->mem, 0x8010, &on), 0);
		sleep_ms(1);
	}
	sleep_ms(5);
}

static void *helper_main(void *arg)
{
	struct helper *h = arg;

	wait_for_guest(h->t);
	h->act(h->t);
	return NULL;
}

static enum cpu_exit run_while(struct tiny *t, void (*act)(struct tiny *t))
{
	struct helper h = { .t = t, .act = act };
	enum cpu_exit exit;

	CHECK_EQ(pthread_create(&h.thread, NULL, helper_main, &h), 0);
	exit = cpu_run(t->cpu[0]);
	pthread_join(h.thread, NULL);
	return exit;
}

static void start_spin(struct tiny *t)
{
	LOAD(t, CODE, g_spin);
	LOAD(t, CODE + 0x800, g_done);
	start_long(t);
	gate(t, 0x40, CODE + 0x800);
	gate(t, X86_NMI, CODE + 0x800);
}

static void act_kick(struct tiny *t) { cpu_kick(t->cpu[0]); }
static void act_nmi(struct tiny *t) { t->cpu[0]->engine->nmi(t->cpu[0]); }

static void act_irq(struct tiny *t)
{
	atomic_store(&t->irq, 0x40);
	cpu_notify(t->cpu[0]);
}

static void a_kick_ends_a_loop(void **state)
{
	struct tiny *t = *state;

	start_spin(t);
	CHECK_EQ(run_while(t, act_kick), CPU_EXIT_KICK);
	CHECK(regs_of(t).rip > CODE);
	cpu_kick(t->cpu[0]);			/* before it runs counts too, once */
	CHECK_EQ(cpu_run(t->cpu[0]), CPU_EXIT_KICK);
	CHECK_EQ(run_while(t, act_kick), CPU_EXIT_KICK);
	CHECK_EQ(t->nr, 0);
}

static void a_notify_is_no_exit(void **state)
{
	struct tiny *t = *state;

	start_spin(t);
	CHECK_EQ(run_while(t, act_irq), CPU_EXIT_HLT);
	check_log(t, 0, 'o', 0x10, 0xdd, 1);
}

static void an_nmi_gets_through(void **state)
{
	struct tiny *t = *state;

	start_spin(t);
	CHECK_EQ(run_while(t, act_nmi), CPU_EXIT_HLT);
	check_log(t, 0, 'o', 0x10, 0xdd, 1);
	CHECK(regs_of(t).nmi_masked);		/* no IRET yet */
}

/* Many at once, so that a lost wake-up shows as a hang. */
static void *storm(void *arg)
{
	struct tiny *t = arg;

	for (unsigned i = 0; i < 300; i++) {
		atomic_store(&t->irq, 0x40);
		cpu_notify(t->cpu[0]);
		while (atomic_load(&t->irq) >= 0)
			sched_yield();
	}
	cpu_kick(t->cpu[0]);
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	struct tiny *t = *state;
	pthread_t thread;
	uint32_t n;

	LOAD(t, CODE, g_spin);
	LOAD(t, CODE + 0x800, g_count);
	start_long(t);
	gate(t, 0x40, CODE + 0x800);
	CHECK_EQ(pthread_create(&thread, NULL, storm, t), 0);
	CHECK_EQ(cpu_run(t->cpu[0]), CPU_EXIT_KICK);
	pthread_join(thread, NULL);
	CHECK_EQ(gmem_load32(t->mem, 0x8000, &n), 0);
	CHECK(n >= 299 && n <= 300);		/* the last may be in KVM's hands */
}

/* Reads 0x200000 for ever, until it finds something else there. */
GUEST(g_watch, 64,
	"mov 0x200000, %ebx\n"
	"movl $1, 0x8010\n"
	"1: mov 0x200000, %eax\n"
	"cmp %eax, %ebx\n"
	"je 1b\n"
	"out %eax, $0x10\n"
	"hlt\n");

static void act_remap(struct tiny *t)
{
	const uint64_t pde = 0x400000 | X86_PTE_P | X86_PTE_W | X86_PTE_PS;

	CHECK_EQ(gmem_write(t->mem, 0x12000 + 8, &pde, 8), 0);
	t->cpu[0]->engine->tlb_flush(t->cpu[0]);
}

static void flush_drops_old_translations(void **state)
{
	struct tiny *t = *state;

	LOAD(t, CODE, g_watch);
	CHECK_EQ(gmem_store32(t->mem, 0x400000, 0xbeef), 0);
	start_long(t);
	CHECK_EQ(run_while(t, act_remap), CPU_EXIT_HLT);
	check_log(t, 0, 'o', 0x10, 0xbeef, 4);
	CHECK_EQ(regs_of(t).cr4 & X86_CR4_PGE, 0);	/* as it was */
}

/* ---- state ------------------------------------------------------------------------ */

static void registers_come_back(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs in = long_regs(t), out;

	for (unsigned i = 0; i < 16; i++)
		in.gpr[i] = UINT64_C(0x0101010101010101) * (i + 1);
	in.rip = UINT64_C(0xffff800000001234);
	in.rflags = 0x202 | X86_CF | X86_DF;
	in.cr2 = UINT64_C(0xdeadbeef000);
	in.seg[CPU_FS].base = UINT64_C(0x7f0012345678);
	in.seg[CPU_GS].base = UINT64_C(0xffff888000000000);
	in.star = UINT64_C(0x0023001000000000);
	in.lstar = UINT64_C(0xffffffff81000000);
	in.cstar = UINT64_C(0xffffffff81001000);
	in.sfmask = 0x47700;
	in.kernel_gs_base = UINT64_C(0xffff888100000000);
	in.sysenter_cs = 0x10;
	in.sysenter_esp = 0x1000;
	in.sysenter_eip = 0x2000;
	in.pat = UINT64_C(0x0407050600070106);
	in.mtrr_def = 0xc06;
	in.mtrr_fixed[0] = in.mtrr_fixed[10] = UINT64_C(0x0606060606060606);
	in.mtrr_var[0] = 0x80000006;
	in.mtrr_var[1] = UINT64_C(0xffc0000800);
	in.dr[0] = 0x1000;
	in.dr[3] = 0x4000;
	in.dr7 = 0x401;
	in.xcr0 = 3;
	in.tsc_offset = (uint64_t)-5000000000;
	in.cr8 = 7;
	in.nmi_masked = true;
	in.shadow_sti = true;
	st16(in.xsave, 0x37f);
	in.xsave[4] = 0;
	for (unsigned i = 160; i < 416; i++)
		in.xsave[i] = (uint8_t)i;
	st64(in.xsave + 512, 3);
	set_regs(t, 0, &in);
	out = regs_of(t);
	CHECK_MEM(out.gpr, in.gpr, sizeof(in.gpr));
	CHECK_EQ(out.rip, in.rip);
	CHECK_EQ(out.rflags, in.rflags);
	CHECK_EQ(out.cr0, in.cr0);
	CHECK_EQ(out.cr2, in.cr2);
	CHECK_EQ(out.cr3, in.cr3);
	CHECK_EQ(out.cr4, in.cr4);
	CHECK_EQ(out.cr8, 7);
	CHECK_EQ(out.efer, in.efer);
	for (unsigned i = 0; i < CPU_LDTR; i++) {
		CHECK_EQ(out.seg[i].sel, in.seg[i].sel);
		CHECK_EQ(out.seg[i].base, in.seg[i].base);
		CHECK_EQ(out.seg[i].limit, in.seg[i].limit);
		CHECK_EQ(out.seg[i].attr, in.seg[i].attr);
	}
	CHECK_EQ(out.gdt.base, GDT);
	CHECK_EQ(out.idt.limit, 0xfff);
	CHECK_MEM(&out.star, &in.star, offsetof(struct cpu_regs, tsc_aux) - offsetof(struct cpu_regs, star));
	CHECK_EQ(out.sysenter_cs, 0x10);
	CHECK_EQ(out.sysenter_esp, 0x1000);
	CHECK_EQ(out.sysenter_eip, 0x2000);
	CHECK_EQ(out.pat, in.pat);
	CHECK_EQ(out.mtrr_def, in.mtrr_def);
	CHECK_MEM(out.mtrr_fixed, in.mtrr_fixed, sizeof(in.mtrr_fixed));
	CHECK_MEM(out.mtrr_var, in.mtrr_var, sizeof(in.mtrr_var));
	CHECK_EQ(out.dr[3], 0x4000);
	CHECK_EQ(out.dr7, 0x401);
	CHECK_EQ(out.xcr0, 3);
	CHECK_EQ(out.tsc_offset, in.tsc_offset);
	CHECK(out.nmi_masked && out.shadow_sti && !out.shadow_mov_ss && !out.halted);
	CHECK_MEM(out.xsave + 160, in.xsave + 160, 256);
	CHECK_EQ(ld16(out.xsave), 0x37f);
	CHECK_EQ(out.apic_base, 0xfee00900);
}

static void impossible_registers_are_refused(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t), bad;
	struct err err;

	bad = r;
	bad.xcr0 = 2;
	CHECK_EQ(t->cpu[0]->engine->set_regs(t->cpu[0], &bad, &err), -EINVAL);
	bad = r;
	bad.cr8 = 16;
	CHECK_EQ(t->cpu[0]->engine->set_regs(t->cpu[0], &bad, &err), -EINVAL);
	bad = r;
	bad.cr4 = 1u << 31;
	CHECK_EQ(t->cpu[0]->engine->set_regs(t->cpu[0], &bad, &err), -EINVAL);
	CHECK(strlen(err.msg) > 10);
}

static void reset_and_init(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);

	r.lstar = 0x1234;
	r.xcr0 = 3;
	set_regs(t, 0, &r);
	t->cpu[0]->engine->reset(t->cpu[0], true);	/* INIT keeps some */
	r = regs_of(t);
	CHECK_EQ(r.lstar, 0x1234);
	CHECK_EQ(r.xcr0, 3);
	CHECK_EQ(r.cr0 & (X86_CR0_PG | X86_CR0_PE), 0);
	t->cpu[0]->engine->reset(t->cpu[0], false);	/* power-on keeps none */
	r = regs_of(t);
	CHECK_EQ(r.lstar, 0);
	CHECK_EQ(r.xcr0, 1);
	CHECK_EQ(r.rip, 0xfff0);
	CHECK_EQ(r.seg[CPU_CS].sel, 0xf000);
	CHECK_EQ(r.seg[CPU_CS].base, 0xffff0000);
	CHECK_EQ(r.efer, 0);
	CHECK_EQ(r.cr0, 0x60000010);
	CHECK_EQ(r.rflags, 2);
	CHECK_EQ(r.pat, X86_PAT_RESET);
	CHECK_EQ(r.gpr[CPU_RDX], 0x206c2);
}

GUEST(g_crash, 64, "ud2\n");

static void a_triple_fault_is_a_shutdown(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);

	LOAD(t, CODE, g_crash);
	r.idt.limit = 0;
	set_regs(t, 0, &r);
	CHECK_EQ(cpu_run(t->cpu[0]), CPU_EXIT_SHUTDOWN);
	t->cpu[0]->engine->reset(t->cpu[0], false);	/* and there is life after */
	ports_in_real_mode(state);
}

GUEST(g_tsc, 64, "rdtsc\n" "mov %eax, 0x8000\n" "mov %edx, 0x8004\n" "hlt\n");

static void the_tsc_is_the_hosts_plus_offset(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);
	uint64_t before, got;

	LOAD(t, CODE, g_tsc);
	r.tsc_offset = UINT64_C(1) << 50;
	set_regs(t, 0, &r);
	before = cpu_host_tsc();
	run_to_hlt(t);
	CHECK_EQ(gmem_read(t->mem, 0x8000, &got, 8), 0);
	CHECK(got - r.tsc_offset >= before);
	CHECK(got - r.tsc_offset <= cpu_host_tsc());
}

GUEST(g_pair, 64,
	"mov $100000, %ecx\n"
	"1: lock incl 0x8020\n"
	"dec %ecx\n"
	"jnz 1b\n"
	"hlt\n");

static void *second_main(void *arg)
{
	struct tiny *t = arg;

	return cpu_run(t->cpu[1]) == CPU_EXIT_HLT ? t : NULL;
}

static void two_processors_share_memory(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);
	pthread_t thread;
	uint32_t n;
	void *ok;

	LOAD(t, CODE, g_pair);
	set_regs(t, 0, &r);
	t->cpu[1]->engine->reset(t->cpu[1], false);
	r.gpr[CPU_RSP] -= 0x1000;
	set_regs(t, 1, &r);
	CHECK_EQ(pthread_create(&thread, NULL, second_main, t), 0);
	run_to_hlt(t);
	pthread_join(thread, &ok);
	CHECK(ok != NULL);
	CHECK_EQ(gmem_load32(t->mem, 0x8020, &n), 0);
	CHECK_EQ(n, 200000);
}

static void the_probe_says_yes(void **state)
{
	struct err err = { "" };

	(void)state;
	if (kvm_probe(&err) != 0)
		fail_msg("%s", err.msg);
}

#define KVM_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_probe_says_yes),
		KVM_TEST(ports_in_real_mode),
		KVM_TEST(memory_in_protected_mode),
		KVM_TEST(msrs),
		KVM_TEST(hypercalls_by_port),
		KVM_TEST(hypercalls_only_from_the_kernel),
		KVM_TEST(cpuid_is_the_models_and_the_boards),
		KVM_TEST(interrupts_wait_for_their_window),
		KVM_TEST(hlt_ends_with_an_interrupt),
		KVM_TEST(priority_holds_interrupts_back),
		KVM_TEST(a_kick_ends_a_loop),
		KVM_TEST(a_notify_is_no_exit),
		KVM_TEST(an_nmi_gets_through),
		KVM_TEST(no_wake_up_is_lost),
		KVM_TEST(flush_drops_old_translations),
		KVM_TEST(registers_come_back),
		KVM_TEST(impossible_registers_are_refused),
		KVM_TEST(reset_and_init),
		KVM_TEST(a_triple_fault_is_a_shutdown),
		KVM_TEST(the_tsc_is_the_hosts_plus_offset),
		KVM_TEST(two_processors_share_memory),
	};
	struct err err = { "" };
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		int rc = kvm_probe(&err);	/* which must say so too */

		printf("skipped, since there is no KVM here: %s\n", err.msg);
		return rc < 0 ? 77 : 1;
	}
	close(fd);
	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
