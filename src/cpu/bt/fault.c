/*
 * fault.c - exceptions of the host in translated code
 *
 * A copied DIV by zero, a misaligned MOVAPS, an unmasked SSE exception: the host
 * raises what the guest's processor would have raised, as a signal.  The handler
 * only leads the thread into a gate; there the interpreter runs the instruction
 * and raises the exception in the guest.  A signal from anywhere else goes to
 * whoever had it before.
 *
 * Host RSP is the guest's in translated code.  So the handlers have a stack of
 * their own, which the kernel disarms while it is in use: else a guest that
 * guesses its address could have the kernel take RSP for a place on it.
 *
 * Lock     the previous handlers are written once, before the first vCPU runs
 */
#include "cpu/bt/bt.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)	/* Linux 4.7; not every libc has it */
#endif

static const int signals[] = { SIGFPE, SIGSEGV, SIGBUS, SIGILL };

/* Which translator runs on this thread; what was there before us. */
static _Thread_local struct bt *running;
static struct sigaction before[ARRAY_LEN(signals)];

static void pass_on(int sig, siginfo_t *info, void *context)
{
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		if (signals[i] != sig)
			continue;
		if (before[i].sa_flags & SA_SIGINFO) {
			before[i].sa_sigaction(sig, info, context);
			return;
		}
		if (before[i].sa_handler != SIG_DFL && before[i].sa_handler != SIG_IGN) {
			before[i].sa_handler(sig);
			return;
		}
	}
	/* As if we were not here: the instruction faults again and ends the process. */
	(void)signal(sig, SIG_DFL);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	struct bt *b = running;
	uint64_t pc = (uint64_t)u->uc_mcontext.gregs[REG_RIP], rip;

	if (b == NULL || bt_find_pc(b, (const uint8_t *)(uintptr_t)pc, &rip) == NULL) {
		pass_on(sig, info, context);
		return;
	}
	b->fault_pc = pc;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)b->gate_fault;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void install(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &sa, &before[i]);
}

void bt_signals_install(void)
{
	(void)pthread_once(&once, install);
}

/* What would be handled on the stack it interrupts may not come while that is the guest's. */
static void block_others(void)
{
	struct sigaction sa;
	sigset_t set;

	sigemptyset(&set);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL &&
		    sa.sa_handler != SIG_IGN && !(sa.sa_flags & SA_ONSTACK))
			sigaddset(&set, sig);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigdelset(&set, signals[i]);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void bt_signals_enter(struct bt *b)
{
	static _Thread_local bool blocked;
	stack_t alt = {
		.ss_sp = b->signal_stack, .ss_size = BT_SIGNAL_STACK,
		.ss_flags = (int)SS_AUTODISARM,
	};

	if (!blocked)
		block_others();
	blocked = true;
	if (sigaltstack(&alt, &b->signal_before) < 0) {	/* Linux before 4.7 */
		alt.ss_flags = 0;
		(void)sigaltstack(&alt, &b->signal_before);
	}
	running = b;
}

void bt_signals_leave(struct bt *b)
{
	running = NULL;
	(void)sigaltstack(&b->signal_before, NULL);
}
