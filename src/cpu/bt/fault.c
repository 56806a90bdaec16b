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
 * Kernels that are guests themselves, without the processor's help, may be unable
 * to go back to a program whose RSP is not canonical: after any interrupt it gets a
 * #GP instead, wherever it was, or #UD where they try to emulate it.  So the handlers
 * leave with an RSP of ours, and such a fault ends in a gate that goes on where it came.
 *
 * Lock     the previous handlers are written once, before the first vCPU runs
 */
#include "cpu/bt/xl.h"

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

static bool in_cache(const struct bt *b, const uint8_t *pc)
{
	const uint8_t *rx = b->code_rw + b->code_delta;

	return pc >= rx && pc < rx + b->code_size;
}

/* Whether the host's instruction at PC uses memory by a register: only then it can raise #GP. */
static bool may_raise(const uint8_t *pc)
{
	ZydisDecoder d;
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, pc, INSN_MAX_BYTES, &i, op)))
		return true;
	for (unsigned n = 0; n < i.operand_count; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    op[n].mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
		    op[n].mem.base != ZYDIS_REGISTER_NONE)
			return true;
	return false;
}

/*
 * The host could not go back to guest RSP.  An instruction that may raise #GP itself is
 * not asked again: it has done nothing yet, so its handler does no harm.
 */
static bool refused(const struct bt *b, const mcontext_t *m, bool in_block)
{
	const uint8_t *pc = (const uint8_t *)(uintptr_t)m->gregs[REG_RIP];
	greg_t vector = m->gregs[REG_TRAPNO];

	return (vector == X86_GP || vector == X86_UD) && !lin_canonical((uint64_t)m->gregs[REG_RSP]) &&
	       in_cache(b, pc) && (!in_block || !may_raise(pc));
}

/* The registers of a block in which the host raised, as they are between blocks. */
static void undo_swaps(struct bt *b, const struct bt_block *k, uint64_t pc, mcontext_t *m)
{
	static const uint8_t order[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};

	if (k->nr_swaps == 0 || pc < (uint64_t)(uintptr_t)k->body_swapped)
		return;
	for (unsigned i = 0; i < k->nr_swaps; i++) {
		greg_t *r = &m->gregs[order[xl_home(k->swap[i].gives)]];

		b->c.gpr[k->swap[i].in] = (uint64_t)*r;
		*r = (greg_t)b->c.gpr[k->swap[i].gives];
	}
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
	struct bt *b = running;
	uint64_t pc = (uint64_t)m->gregs[REG_RIP], rip;
	const struct bt_block *k = NULL;
	bool again = false;

	if (b != NULL) {
		k = bt_find_pc(b, (const uint8_t *)(uintptr_t)pc, &rip);
		again = refused(b, m, k != NULL);
	}
	if (k == NULL && !again) {
		pass_on(sig, info, context);
		return;
	}
	b->fault_pc = pc;
	if (!again)
		undo_swaps(b, k, pc, m);
	b->c.gpr[CPU_RSP] = (uint64_t)m->gregs[REG_RSP];
	m->gregs[REG_RSP] = (greg_t)b->host_rsp;
	m->gregs[REG_RIP] = (greg_t)(uintptr_t)(again ? b->gate_resume : b->gate_fault);
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
