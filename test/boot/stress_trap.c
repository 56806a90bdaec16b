/*
 * stress_trap.c - faults, traps and single steps, and what their frames say
 */
#define _GNU_SOURCE
#include "stress.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define MAGIC UINT64_C(0x1badb002c0ffee11)

static greg_t *gregs(void *context)
{
	return ((ucontext_t *)context)->uc_mcontext.gregs;
}

static void catch(int sig, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO };

	sigaction(sig, &sa, NULL);
}

/* ---- page faults ------------------------------------------------------------------------ */

#define REGION 32u

static struct {
	uint8_t *region;
	volatile unsigned faults;
	volatile greg_t code, rbx, rdi;
	volatile uint64_t next;		/* where it goes on, 0 = again */
} pf;

static void on_segv(int sig, siginfo_t *info, void *context)
{
	uint8_t *at = info->si_addr;
	greg_t *g = gregs(context);

	(void)sig;
	pf.faults++;
	pf.code = g[REG_ERR], pf.rbx = g[REG_RBX], pf.rdi = g[REG_RDI];
	if (pf.next != 0) {
		g[REG_RIP] = (greg_t)pf.next;
		pf.next = 0;
		return;
	}
	if (at < pf.region || at >= pf.region + REGION * PAGE)
		die("a fault at %p, code 0x%llx, rip 0x%llx", at, (unsigned long long)pf.code,
		    (unsigned long long)g[REG_RIP]);
	if ((uint64_t)g[REG_CR2] != (uint64_t)(uintptr_t)at)
		die("CR2 and si_addr differ");
	at -= (uintptr_t)at % PAGE;
	if (mprotect(at, PAGE, PROT_READ | PROT_WRITE) != 0)
		die("mprotect: %d", errno);
}

static void protect(int prot)
{
	pf.faults = 0;
	CHECK(mprotect(pf.region, REGION * PAGE, prot) == 0);
}

/* A REP that faults on every page, and goes on where it was. */
static void string_faults(void)
{
	uint64_t n = REGION * PAGE - 3;
	uint8_t *p = pf.region + 1, v = (uint8_t)rnd();

	protect(PROT_NONE);
	__asm__ volatile("rep stosb" : "+D" (p), "+c" (n) : "a" (v) : "memory");
	CHECK(n == 0 && p == pf.region + REGION * PAGE - 2);
	CHECK(pf.faults == REGION && pf.code == 6);
	for (uint32_t i = 1; i < REGION * PAGE - 2; i++)
		if (pf.region[i] != v)
			die("byte %u is %u, not %u", i, pf.region[i], v);
}

/* Words, a few on two pages; the instruction that faults is made once. */
static void store_faults(void)
{
	uint64_t rbx, count = 0;

	protect(PROT_READ);
	for (uint32_t at = 0; at + 8 < REGION * PAGE; at += 100 + (uint32_t)below(8)) {
		uint8_t *p = pf.region + at;
		uint64_t was;
		unsigned before = pf.faults;

		memcpy(&was, p, 8);
		rbx = MAGIC;
		__asm__ volatile("lock xaddq %[v], (%[p])"
				 : [v] "+b" (rbx) : [p] "r" (p) : "memory", "cc");
		CHECK(rbx == was);
		memcpy(&rbx, p, 8);
		CHECK(rbx == was + MAGIC);
		if (pf.faults != before) {
			CHECK((pf.code & ~(greg_t)1) == 6 && (uint64_t)pf.rbx == MAGIC);
			count++;
		}
	}
	CHECK(pf.faults == REGION && count > 0);
}

/* What is no page fault: alignment, and an address that is none. */
static void general_faults(void)
{
	extern const char after_align[], after_wild[];

	pf.next = (uint64_t)(uintptr_t)after_align;
	pf.faults = 0;
	__asm__ volatile("movaps (%[p]), %%xmm3\n\tud2\n.globl after_align\nafter_align:"
			 : : [p] "D" (pf.region + 8), "b" (MAGIC) : "xmm3", "memory");
	CHECK(pf.faults == 1 && pf.code == 0 && (uint64_t)pf.rbx == MAGIC);
	CHECK((uint64_t)pf.rdi == (uint64_t)(uintptr_t)(pf.region + 8));
	pf.next = (uint64_t)(uintptr_t)after_wild;
	__asm__ volatile("movq (%[p]), %%rax\n\tud2\n.globl after_wild\nafter_wild:"
			 : : [p] "D" (UINT64_C(0x0123456789abcdef)), "b" (~MAGIC) : "rax", "memory");
	CHECK(pf.faults == 2 && pf.code == 0 && (uint64_t)pf.rbx == ~MAGIC);
}

static void segv_round(void)
{
	catch(SIGSEGV, on_segv);
	catch(SIGBUS, on_segv);		/* as some kernels say for alignment */
	pf.region = mmap(NULL, REGION * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pf.region != MAP_FAILED);
	for (unsigned i = 0; i < 10; i++) {
		string_faults();
		store_faults();
		general_faults();
	}
	munmap(pf.region, REGION * PAGE);
}

/* ---- SIGFPE ----------------------------------------------------------------------------- */

static struct {
	volatile unsigned faults;
	volatile int code;
	volatile uint64_t rip;
	volatile greg_t rax, rdx;
	volatile uint64_t next;
} fpe;

static void on_fpe(int sig, siginfo_t *info, void *context)
{
	greg_t *g = gregs(context);
	fpregset_t f = ((ucontext_t *)context)->uc_mcontext.fpregs;

	(void)sig;
	fpe.faults++;
	fpe.code = info->si_code;
	fpe.rip = (uint64_t)g[REG_RIP];
	fpe.rax = g[REG_RAX], fpe.rdx = g[REG_RDX];
	g[REG_RIP] = (greg_t)fpe.next;
	f->mxcsr = 0x1f80;
	f->cwd = 0x37f;
	f->swd &= 0x7f00;
}

extern const char div_at[], div_next[], idiv_at[], idiv_next[], sse_at[], sse_next[], x87_next[];

static void fpe_once(uint64_t v)
{
	uint32_t mxcsr = 0x1f80 & ~0x200u;
	uint16_t cw = 0x37f & ~4u;
	float one[4] __attribute__((aligned(16))) = { 1, 2, 3, 4 };

	fpe.faults = 0;
	fpe.next = (uint64_t)(uintptr_t)div_next;
	__asm__ volatile(".globl div_at, div_next\ndiv_at: divq %%rcx\n\tud2\ndiv_next:"
			 : : "a" (v), "d" (v ^ 5), "c" (UINT64_C(0)) : "cc", "memory");
	CHECK(fpe.faults == 1 && fpe.code == FPE_INTDIV && fpe.rip == (uint64_t)(uintptr_t)div_at);
	CHECK((uint64_t)fpe.rax == v && (uint64_t)fpe.rdx == (v ^ 5));
	fpe.next = (uint64_t)(uintptr_t)idiv_next;
	__asm__ volatile(".globl idiv_at, idiv_next\nidiv_at: idivl %%ecx\n\tud2\nidiv_next:"
			 : : "a" (0x80000000u), "d" (0xffffffffu), "c" (0xffffffffu) : "cc", "memory");
	CHECK(fpe.faults == 2 && fpe.code == FPE_INTDIV && fpe.rip == (uint64_t)(uintptr_t)idiv_at);
	fpe.next = (uint64_t)(uintptr_t)sse_next;
	__asm__ volatile("ldmxcsr %[m]\n\txorps %%xmm1, %%xmm1\n\tmovaps %[one], %%xmm0\n\t"
			 ".globl sse_at, sse_next\nsse_at: divps %%xmm1, %%xmm0\n\tud2\nsse_next:\n\t"
			 "movaps %%xmm0, %[one]"
			 : [one] "+m" (one) : [m] "m" (mxcsr) : "xmm0", "xmm1", "memory");
	CHECK(fpe.faults == 3 && fpe.code == FPE_FLTDIV && fpe.rip == (uint64_t)(uintptr_t)sse_at);
	CHECK(one[0] == 1 && one[3] == 4);
	fpe.next = (uint64_t)(uintptr_t)x87_next;
	__asm__ volatile("fninit\n\tfldcw %[cw]\n\tfldz\n\tfld1\n\tfdivp\n\tfwait\n\tud2\n"
			 ".globl x87_next\nx87_next: fninit"
			 : : [cw] "m" (cw) : "memory", "st", "st(1)");
	CHECK(fpe.faults == 4 && fpe.code == FPE_FLTDIV);
}

static void fpe_round(void)
{
	catch(SIGFPE, on_fpe);
	for (unsigned i = 0; i < 500; i++)
		fpe_once(rnd());
}

/* ---- a program to be stepped -------------------------------------------------------------- */

/*
 * RDI rounds of a generator, with jumps by its bits, calls, the stack, memory and REP;
 * RAX is what is left.  RSI: 64 bytes to work in.
 */
uint64_t program(uint64_t rounds, uint64_t *work);
extern const char program_end[];

__asm__(
"	.text\n"
"	.globl program, program_end\n"
"	.type program, @function\n"
"program:\n"
"	pushq %rbx\n"
"	movq %rsi, %r8\n"
"	movq %rdi, %r9\n"
"	movabsq $0x9e3779b97f4a7c15, %rbx\n"
"	movq %rbx, %rax\n"
"1:	imulq $0x5851f42d, %rax, %rax\n"
"	addq %rbx, %rax\n"
"	testl $0x10000, %eax\n"
"	jz 2f\n"
"	rolq $13, %rax\n"
"	xorq %rax, 8(%r8)\n"
"	jmp 3f\n"
"2:	pushq %rax\n"
"	call 5f\n"
"	popq %rdx\n"
"	addq %rdx, %rax\n"
"3:	movq %rax, (%r8)\n"
"	movq %r8, %rsi\n"
"	leaq 16(%r8), %rdi\n"
"	movl %eax, %ecx\n"
"	andl $7, %ecx\n"
"	rep movsb\n"
"	movzbl 17(%r8), %edx\n"
"	addq %rdx, %rax\n"
"	cmovsq %rbx, %rdx\n"
"	setc %cl\n"
"	lock xaddq %rdx, 24(%r8)\n"
"	decq %r9\n"
"	jnz 1b\n"
"	popq %rbx\n"
"program_end:\n"
"	ret\n"
"5:	xorq 24(%r8), %rax\n"
"	ret\n"
"	.size program, . - program\n");

struct trace {
	uint64_t hash, steps;
};

static void trace_add(struct trace *t, uint64_t rip)
{
	t->hash = (t->hash ^ rip) * UINT64_C(0x100000001b3);
	t->steps++;
}

static struct {
	volatile bool on;
	struct trace t;
} tf;

static void on_step(int sig, siginfo_t *info, void *context)
{
	greg_t *g = gregs(context);

	(void)sig;
	if (info->si_code != TRAP_TRACE && info->si_code != TRAP_BRKPT)
		die("a trap of code %d at 0x%llx", info->si_code, (unsigned long long)g[REG_RIP]);
	if ((uint64_t)g[REG_RIP] == (uint64_t)(uintptr_t)program)
		tf.on = true;
	if (tf.on)
		trace_add(&tf.t, (uint64_t)g[REG_RIP]);
	if ((uint64_t)g[REG_RIP] == (uint64_t)(uintptr_t)program_end) {
		tf.on = false;
		g[REG_EFL] &= ~0x100;
	}
}

static void work_new(uint64_t work[8], uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		work[i] = v * (i + 1);
}

/* By EFLAGS.TF, in the process itself. */
static uint64_t by_tf(uint64_t rounds, uint64_t v, struct trace *ret_t)
{
	uint64_t work[8], rax = rounds;
	void *to = work;

	work_new(work, v);
	tf.t = (struct trace){ 0, 0 };
	tf.on = false;
	__asm__ volatile("subq $128, %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tcall program\n\taddq $128, %%rsp"
			 : "+D" (rax), "+S" (to) : : "rax", "rcx", "rdx", "r8", "r9", "memory", "cc");
	__asm__ volatile("" : : : "memory");
	CHECK(!tf.on);
	*ret_t = tf.t;
	return work[0] ^ work[1] ^ work[2] ^ work[3];
}

static uint64_t plainly(uint64_t rounds, uint64_t v)
{
	uint64_t work[8];

	work_new(work, v);
	(void)program(rounds, work);
	return work[0] ^ work[1] ^ work[2] ^ work[3];
}

/* By another process. */
static void by_ptrace(uint64_t rounds, uint64_t v, uint64_t want, struct trace *ret_t)
{
	struct user_regs_struct r;
	bool on = false;
	int status;
	pid_t p = fork();

	*ret_t = (struct trace){ 0, 0 };
	CHECK(p >= 0);
	if (p == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(plainly(rounds, v) == want ? 0 : 1);
	}
	CHECK(waitpid(p, &status, 0) == p && WIFSTOPPED(status));
	for (;;) {
		CHECK(ptrace(PTRACE_SINGLESTEP, p, NULL, NULL) == 0);
		CHECK(waitpid(p, &status, 0) == p);
		if (WIFEXITED(status))
			break;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			die("stepped into status 0x%x", status);
		CHECK(ptrace(PTRACE_GETREGS, p, NULL, &r) == 0);
		on |= r.rip == (uint64_t)(uintptr_t)program;
		if (on)
			trace_add(ret_t, r.rip);
		if (on && r.rip == (uint64_t)(uintptr_t)program_end)
			CHECK(ptrace(PTRACE_CONT, p, NULL, NULL) == 0 && waitpid(p, &status, 0) == p);
		if (WIFEXITED(status))
			break;
	}
	CHECK(WEXITSTATUS(status) == 0);
}

static void step_round(void)
{
	struct trace a, b;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t rounds = 20 + below(60), v = rnd(), want = plainly(rounds, v);

		catch(SIGTRAP, on_step);
		CHECK(by_tf(rounds, v, &a) == want);
		signal(SIGTRAP, SIG_DFL);
		by_ptrace(rounds, v, want, &b);
		if (a.steps != b.steps || a.hash != b.hash)
			die("%llu rounds: %llu steps by TF, %llu by ptrace", (unsigned long long)rounds,
			    (unsigned long long)a.steps, (unsigned long long)b.steps);
		/* A round has 17 to 19 instructions, and a trap for each byte that is moved. */
		CHECK(a.steps > rounds * 17 && a.steps < rounds * 32);
	}
}

/* ---- INT3 and its kin, and debug registers -------------------------------------------------- */

static struct {
	volatile unsigned traps;
	volatile int code;
	volatile uint64_t rip;
} bp;

static void on_bp(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	bp.traps++;
	bp.code = info->si_code;
	bp.rip = (uint64_t)gregs(context)[REG_RIP];
}

extern const char int3_next[], int_3_next[], icebp_next[];

static void breakpoints(void)
{
	catch(SIGTRAP, on_bp);
	bp.traps = 0;
	for (unsigned i = 1; i <= 100; i++) {
		__asm__ volatile(".globl int3_next\n\tint3\nint3_next:" : : : "memory");
		CHECK(bp.traps == i * 3 - 2 && bp.rip == (uint64_t)(uintptr_t)int3_next);
		__asm__ volatile(".globl int_3_next\n\t.byte 0xcd, 3\nint_3_next:" : : : "memory");
		CHECK(bp.traps == i * 3 - 1 && bp.rip == (uint64_t)(uintptr_t)int_3_next);
		__asm__ volatile(".globl icebp_next\n\t.byte 0xf1\nicebp_next:" : : : "memory");
		CHECK(bp.traps == i * 3 && bp.rip == (uint64_t)(uintptr_t)icebp_next);
	}
}

#define WATCHED 20u

static volatile uint32_t watched[4];

static void write_watched(void)
{
	for (uint32_t i = 0; i < WATCHED; i++) {
		watched[0] = i;
		watched[1] = i;		/* this one */
		watched[2] = watched[1];
	}
}

/* DR0 stops at writes to four bytes and nowhere else; DR1 at the program's entry. */
static void watchpoints(void)
{
	unsigned long at = (unsigned long)(uintptr_t)&watched[1], entry = (unsigned long)(uintptr_t)program;
	struct user_regs_struct r;
	unsigned writes = 0, entries = 0;
	int status;
	pid_t p = fork();

	CHECK(p >= 0);
	if (p == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		write_watched();
		_exit(plainly(3, 1) == plainly(3, 1) ? 0 : 1);
	}
	CHECK(waitpid(p, &status, 0) == p && WIFSTOPPED(status));
	/* Not every host has them; a guest of ours has. */
	if (ptrace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[0]), at) != 0 ||
	    ptrace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[1]), entry) != 0 ||
	    ptrace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[7]), 0xd0005ul) != 0)
		die("no debug registers: %d", errno);
	for (;;) {
		long dr6;

		CHECK(ptrace(PTRACE_CONT, p, NULL, NULL) == 0 && waitpid(p, &status, 0) == p);
		if (WIFEXITED(status))
			break;
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		CHECK(ptrace(PTRACE_GETREGS, p, NULL, &r) == 0);
		dr6 = ptrace(PTRACE_PEEKUSER, p, offsetof(struct user, u_debugreg[6]), NULL);
		writes += (dr6 & 1) != 0;
		entries += (dr6 & 2) != 0 && r.rip == entry;
		CHECK(ptrace(PTRACE_POKEUSER, p, offsetof(struct user, u_debugreg[6]), 0ul) == 0);
	}
	if (WEXITSTATUS(status) != 0 || writes != WATCHED || entries != 2)
		die("%u writes and %u entries were seen, status 0x%x", writes, entries, status);
}

static void trap_round(void)
{
	breakpoints();
	signal(SIGTRAP, SIG_DFL);
	for (unsigned i = 0; i < 5; i++)
		watchpoints();
}

const struct worker trap_workers[] = {
	{ "segv", segv_round }, { "fpe", fpe_round }, { "step", step_round }, { "trap", trap_round },
	{ NULL, NULL },
};
