/*
 * judge_native.c - one instruction on the host's own processor
 *
 * A page below 2 GiB holds the registers to load and the registers found after
 * it, so that all sixteen can be moved with absolute addresses; the way out
 * is copied there too, since a jump from the sandbox reaches it.  The instruction is
 * followed by that jump.  Anything else ends in a signal, whose frame has
 * all of the state: the handler copies it and returns to the way out.
 *
 * Unused bytes of the code pages are INT3, so that a branch to anywhere in
 * them is a trap that tells where.
 *
 * Lock     none: one thread, one sandbox at one address
 */
#include "base/err.h"
#include "base/le.h"
#include "cpu/judge/judge.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define GATE_BASE 0x200000
#define GATE_CODE 0x1000		/* offset of the way out */
#define GATE_CODE32 0x1800		/* ...of 32-bit code */
#define CS_64 0x33			/* Linux's selectors */
#define CS_32 0x23
#define CS_LDT 0x07
#define DS_ANY 0x2b
#define GATE_BYTES 0x2000
#define ALIAS_BASE UINT64_C(0x300000)	/* the code pages once more, to write to */
#define GS_BASE UINT64_C(0x12340)
#define CODE_BYTES (2 * PAGE_SIZE)
#ifndef FP_XSTATE_MAGIC1
#define FP_XSTATE_MAGIC1 0x46505853u	/* of Linux's asm/sigcontext.h */
#endif

/* The offsets below are spelt again in the assembler text. */
struct gate {
	uint64_t in[16];		/* 0x000 */
	uint64_t in_flags;		/* 0x080 */
	uint64_t entry;			/* 0x088 */
	uint64_t host_sp;		/* 0x090 */
	uint64_t out_flags;		/* 0x098 */
	uint64_t flags_host;		/* 0x0a0 */
	uint32_t mxcsr_host;		/* 0x0a8 */
	uint32_t xstate;		/* 0x0ac: components to move; 0: FXSAVE */
	uint32_t far_entry;		/* 0x0b0 */
	uint16_t far_cs;
	uint16_t pad2;
	uint64_t pad3[9];
	uint64_t out[16];		/* 0x100 */
	uint8_t pad4[0x280];
	uint8_t fx_in[1024];		/* 0x400: FX_BYTES of the XSAVE layout */
	uint8_t fx_out[1024];		/* 0x800 */
};

_Static_assert(offsetof(struct gate, host_sp) == 0x90, "see the assembler text");
_Static_assert(offsetof(struct gate, mxcsr_host) == 0xa8, "see the assembler text");
_Static_assert(offsetof(struct gate, far_entry) == 0xb0, "see the assembler text");
_Static_assert(offsetof(struct gate, out) == 0x100, "see the assembler text");
_Static_assert(offsetof(struct gate, xstate) == 0xac, "see the assembler text");
_Static_assert(offsetof(struct gate, fx_in) == 0x400, "see the assembler text");
_Static_assert(offsetof(struct gate, fx_out) == 0x800, "see the assembler text");
_Static_assert(FX_BYTES <= 1024, "XSAVE area");

void judge_enter(void);
extern const char judge_leave[], judge_caught[], judge_far[], judge_leave_end[];

__asm__(
"	.text\n"
"	.globl judge_enter, judge_leave, judge_caught, judge_far, judge_leave_end\n"
"	.hidden judge_enter, judge_leave, judge_caught, judge_far, judge_leave_end\n"
"	.type judge_enter, @function\n"
"judge_enter:\n"
"	pushq %rbx\n	pushq %rbp\n	pushq %r12\n	pushq %r13\n	pushq %r14\n	pushq %r15\n"
"	movq %rsp, 0x200090\n"
"	movl 0x2000ac, %eax\n"
"	xorl %edx, %edx\n"
"	testl %eax, %eax\n"
"	jz 1f\n"
"	xrstor64 0x200400\n"
"	jmp 2f\n"
"1:	fxrstor64 0x200400\n"
"2:\n"
"	pushq 0x200080\n"
"	popfq\n"
"	movq 0x200000, %rax\n	movq 0x200008, %rcx\n"
"	movq 0x200010, %rdx\n	movq 0x200018, %rbx\n"
"	movq 0x200020, %rsp\n	movq 0x200028, %rbp\n"
"	movq 0x200030, %rsi\n	movq 0x200038, %rdi\n"
"	movq 0x200040, %r8\n	movq 0x200048, %r9\n"
"	movq 0x200050, %r10\n	movq 0x200058, %r11\n"
"	movq 0x200060, %r12\n	movq 0x200068, %r13\n"
"	movq 0x200070, %r14\n	movq 0x200078, %r15\n"
"	jmp *0x200088\n"
/* From here on copied to GATE_CODE: nothing relative to RIP may leave it. */
"judge_leave:\n"
"	movq %rax, 0x200100\n	movq %rcx, 0x200108\n"
"	movq %rdx, 0x200110\n	movq %rbx, 0x200118\n"
"	movq %rsp, 0x200120\n	movq %rbp, 0x200128\n"
"	movq %rsi, 0x200130\n	movq %rdi, 0x200138\n"
"	movq %r8, 0x200140\n	movq %r9, 0x200148\n"
"	movq %r10, 0x200150\n	movq %r11, 0x200158\n"
"	movq %r12, 0x200160\n	movq %r13, 0x200168\n"
"	movq %r14, 0x200170\n	movq %r15, 0x200178\n"
"	movq 0x200090, %rsp\n"
"	pushfq\n"
"	popq 0x200098\n"
"	movl 0x2000ac, %eax\n"
"	xorl %edx, %edx\n"
"	testl %eax, %eax\n"
"	jz 1f\n"
"	xsave64 0x200800\n"
"	vzeroupper\n"
"	jmp 2f\n"
"1:	fxsave64 0x200800\n"
"2:\n"
"judge_caught:\n"
"	pushq 0x2000a0\n"
"	popfq\n"
"	fninit\n"
"	ldmxcsr 0x2000a8\n"
"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n	popq %rbp\n	popq %rbx\n"
"	ret\n"
"judge_far:\n"
"	ljmpl *0x2000b0\n"
"judge_leave_end:\n"
"	.size judge_enter, . - judge_enter\n");

static struct gate *gate(void)
{
	return (struct gate *)GATE_BASE;
}

/* A signal handler can be handed nothing: what it fills is found here. */
static struct outcome *volatile caught;

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
static struct sigaction before[ARRAY_LEN(signals)];

/* ---- faults ----------------------------------------------------------------------------- */

/* Linux says in reserved bytes whether the frame has more; what is initial may be junk. */
static void copy_fx(const ucontext_t *u, uint8_t *fx)
{
	const uint8_t *p = (const uint8_t *)u->uc_mcontext.fpregs;

	memcpy(fx, p, LEGACY_BYTES);
	memset(fx + LEGACY_BYTES, 0, FX_BYTES - LEGACY_BYTES);
	if (ld32(p + 464) == FP_XSTATE_MAGIC1 && (ld64(p + 512) & 4))
		memcpy(fx + FX_YMM, p + FX_YMM, FX_BYTES - FX_YMM);
}

static void copy_context(const ucontext_t *u, struct outcome *o)
{
	static const int order[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};
	const greg_t *g = u->uc_mcontext.gregs;

	for (unsigned i = 0; i < 16; i++)
		o->s.gpr[i] = (uint64_t)g[order[i]];
	o->s.rip = (uint64_t)g[REG_RIP];
	o->s.rflags = (uint64_t)g[REG_EFL];
	copy_fx(u, o->s.fx);
	o->vector = (int)g[REG_TRAPNO];
	o->code = (uint32_t)g[REG_ERR];
	o->cr2 = o->vector == X86_PAGE ? (uint64_t)g[REG_CR2] : 0;
}

/* Faults of a translator's code are its own affair. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
		if (signals[i] != sig || !(before[i].sa_flags & SA_SIGINFO))
			continue;
		before[i].sa_sigaction(sig, info, context);
		return;
	}
	signal(sig, SIG_DFL);		/* the judge itself is broken */
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	struct outcome *o = caught;

	/* The kernel leaves AC as the instruction had it; compilers do not align. */
	__asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq" : : "i" (~X86_AC) : "memory", "cc");
	if (!o) {
		pass_on(sig, info, context);
		return;
	}
	copy_context(u, o);
	u->uc_mcontext.gregs[REG_RIP] = GATE_BASE + GATE_CODE + (judge_caught - judge_leave);
	u->uc_mcontext.gregs[REG_RSP] = (greg_t)gate()->host_sp;
	u->uc_mcontext.gregs[REG_EFL] = 0x202;
	u->uc_mcontext.gregs[REG_CSGSFS] = (u->uc_mcontext.gregs[REG_CSGSFS] & ~0xffffLL) | CS_64;
}

int native_catch(struct err *err)
{
	struct sigaction sa = {
		.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	stack_t alt = { .ss_size = 256 * KIB };

	alt.ss_sp = base_new0(alt.ss_size);
	if (!alt.ss_sp || sigaltstack(&alt, NULL) < 0)
		return err_set(err, -ENOMEM, "no stack for signals");
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		if (sigaction(signals[i], &sa, &before[i]) < 0)
			return err_set(err, -errno, "signal %d cannot be caught", signals[i]);
	return 0;
}

/* ---- memory ----------------------------------------------------------------------------- */

static int map_at(uint64_t addr, size_t n, int fd, int prot, struct err *err)
{
	int flags = (fd < 0 ? MAP_ANONYMOUS | MAP_PRIVATE : MAP_SHARED) | MAP_POPULATE;
	void *p = mmap((void *)addr, n, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

	if (p != (void *)addr)
		return err_set(err, -EEXIST, "the sandbox's place at 0x%llx is taken",
			       (unsigned long long)addr);
	return 0;
}

/*
 * Code is written through a second mapping of the same pages: an instruction
 * must not be able to write over what comes after it.
 */
static int map_code(struct err *err)
{
	int fd = memfd_create("judge", MFD_CLOEXEC);
	int rc;

	if (fd < 0 || ftruncate(fd, CODE_BYTES) < 0)
		return err_set(err, -errno, "no memory for code");
	rc = map_at(BOX_BASE, CODE_BYTES, fd, PROT_READ | PROT_EXEC, err);
	if (rc == 0)
		rc = map_at(ALIAS_BASE, CODE_BYTES, fd, PROT_READ | PROT_WRITE, err);
	close(fd);
	if (rc == 0)
		memset((void *)ALIAS_BASE, 0xcc, CODE_BYTES);
	return rc;
}

static int map_box(struct err *err)
{
	static const int prot[] = {
		[BOX_NONE] = PROT_NONE, [BOX_RW] = PROT_READ | PROT_WRITE, [BOX_RO] = PROT_READ,
	};
	int rc = map_code(err);

	for (unsigned i = 0; i < BOX_PAGES && rc == 0; i++) {
		if (box_kinds[i] == BOX_CODE)
			continue;
		rc = map_at(box_page(i), PAGE_SIZE, -1, PROT_READ | PROT_WRITE, err);
		if (rc < 0)
			break;
		memset((void *)box_page(i), 0, PAGE_SIZE);
		if (mprotect((void *)box_page(i), PAGE_SIZE, prot[box_kinds[i]]) < 0)
			return err_set(err, -errno, "the sandbox cannot be protected");
	}
	return rc;
}

void native_put_code(uint64_t lin, const void *src, unsigned n)
{
	memcpy((void *)(lin - BOX_BASE + ALIAS_BASE), src, n);
}

static bool has_selector(uint32_t sel)
{
	uint32_t rights;
	bool found;

	__asm__ volatile("larl %[sel], %[rights]"
		: "=@ccz" (found), [rights] "=r" (rights) : [sel] "r" (sel));
	return found;
}

/*
 * A code segment of 32 bits.  Kernels that run no 32-bit programs have none in
 * their GDT, but may let us make one in an LDT; some virtual machines take the
 * call and have no LDT all the same.  0: none.
 */
static uint16_t code_selector_32(void)
{
	struct user_desc d = {
		.limit = 0xfffff, .seg_32bit = 1, .contents = MODIFY_LDT_CONTENTS_CODE,
		.limit_in_pages = 1,
	};

	if (has_selector(CS_32))
		return CS_32;
	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)) != 0 || !has_selector(CS_LDT))
		return 0;
	return CS_LDT;
}

/* JMP 0x33:judge_leave.  In compatibility mode DS and ES count, so they are loaded. */
static void put_way_out_32(void)
{
	uint8_t *p = (uint8_t *)GATE_BASE + GATE_CODE32;
	uint32_t to = GATE_BASE + GATE_CODE;

	p[0] = 0xea;
	memcpy(p + 1, &to, 4);
	memcpy(p + 5, &(uint16_t){ CS_64 }, 2);
	gate()->far_cs = code_selector_32();
	__asm__ volatile("movw %0, %%ds\n\tmovw %0, %%es" : : "r" ((uint16_t)DS_ANY));
}

int native_open(struct err *err)
{
	int rc = map_at(GATE_BASE, GATE_BYTES, -1, PROT_READ | PROT_WRITE | PROT_EXEC, err);

	if (rc == 0)
		rc = map_box(err);
	if (rc < 0)
		return rc;
	memcpy((uint8_t *)GATE_BASE + GATE_CODE, judge_leave,
	       (size_t)(judge_leave_end - judge_leave));
	put_way_out_32();
	gate()->flags_host = 0x202;
	gate()->mxcsr_host = 0x1f80;
	gate()->xstate = cpu_host_isa(ZYDIS_ISA_SET_AVX) ? 7 : 0;
	return 0;
}

uint64_t native_way_out_at(const struct gcase *g)
{
	return GATE_BASE + (g->mode == DECODE_32 ? GATE_CODE32 : GATE_CODE);
}

bool native_has_32(void)
{
	return gate()->far_cs != 0;
}

void native_way_out(const struct gcase *g, uint8_t *dst)
{
	uint32_t rel = (uint32_t)(native_way_out_at(g) - (g->at + g->len + WAY_OUT));

	dst[0] = 0xe9;
	memcpy(dst + 1, &rel, sizeof(rel));
}

/* FS is the C library's, GS nobody's: ours then, if the kernel allows. */
uint64_t native_gs_base(void)
{
	uint64_t base = 0;

	syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	return base;
}

/* ---- running ---------------------------------------------------------------------------- */

void native_run(const struct gcase *g, const struct state *in, struct outcome *ret_o)
{
	struct gate *t = gate();

	memcpy(t->in, in->gpr, sizeof(t->in));
	t->in_flags = in->rflags;
	t->entry = in->rip;
	if (g->mode == DECODE_32) {
		t->entry = (uint64_t)(GATE_BASE + GATE_CODE + (judge_far - judge_leave));
		t->far_entry = (uint32_t)in->rip;
	}
	memcpy(t->fx_in, in->fx, FX_BYTES);
	memset(t->fx_in + LEGACY_BYTES, 0, FX_YMM - LEGACY_BYTES);
	st64(t->fx_in + LEGACY_BYTES, t->xstate);	/* XSTATE_BV */
	ret_o->vector = NO_FAULT;
	ret_o->code = 0;
	ret_o->cr2 = 0;
	caught = ret_o;
	judge_enter();
	caught = NULL;
	if (ret_o->vector != NO_FAULT)
		return;
	memcpy(ret_o->s.gpr, t->out, sizeof(t->out));
	ret_o->s.rflags = t->out_flags;
	ret_o->s.rip = g->at + g->len;
	memcpy(ret_o->s.fx, t->fx_out, FX_BYTES);
}
