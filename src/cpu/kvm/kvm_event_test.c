/* Interrupts, and whatever else comes to a vCPU from outside. */
#include "cpu/kvm/kvm_tiny.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

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

/*
 * Where every exit flushes by itself (a host that emulates SVM does), this
 * shows no more than that the vCPU was made to exit.
 */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		KVM_TEST(interrupts_wait_for_their_window),
		KVM_TEST(hlt_ends_with_an_interrupt),
		KVM_TEST(priority_holds_interrupts_back),
		KVM_TEST(a_kick_ends_a_loop),
		KVM_TEST(a_notify_is_no_exit),
		KVM_TEST(an_nmi_gets_through),
		KVM_TEST(no_wake_up_is_lost),
		KVM_TEST(flush_drops_old_translations),
	};
	int skip = kvm_tiny_skip();

	return skip != 0 ? skip : cmocka_run_group_tests_name("kvm-event", tests, NULL, NULL);
}
