/*
 * fpu_host.h - for tests: the same instruction on the host and in the interpreter
 *
 * The bytes are copied to an executable page and run on the processor with all
 * registers loaded; then decoded and run by the handlers with the same
 * registers.  Guest linear addresses are host addresses, so memory operands
 * are the same bytes.  Faults arrive as signals whose frame tells the vector.
 *
 * Not compared: FOP, FIP, FDP, which some hosts keep only for errors.
 */
#ifndef CPU_INTERP_FPU_FPU_HOST_H
#define CPU_INTERP_FPU_FPU_HOST_H

#include "base/test.h"

#include "cpu/interp/decode.h"
#include "cpu/interp/fpu/fpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define NO_FAULT 255
#define MEM_BYTES 4096u

struct world {
	_Alignas(64) struct fxsave fx;
	uint64_t gpr[16];		/* RSP is not used */
	uint64_t rflags;
	unsigned fault;			/* vector or NO_FAULT */
	uint8_t mem[MEM_BYTES];		/* contents of host.mem */
};

struct host {
	uint8_t *code;			/* a page */
	uint8_t *mem;			/* a page, then one without any access */
	struct interp *c;
	struct interp_tlb *tlb;
	_Atomic uint32_t state;
	ZydisDecoder dec;
	sigjmp_buf out;
	struct world *now;
	uint64_t rnd;
};

static struct host host;

/* What the assembly below loads and stores. */
struct native {
	_Alignas(64) struct fxsave fx;
	uint64_t gpr[16];
	uint64_t rflags;
	uint64_t rsp;
	const void *code;
};

THUNK_HIDDEN extern struct native host_native;
_Alignas(64) struct native host_native;
THUNK_HIDDEN void host_enter(void);
THUNK_HIDDEN void host_leave(void);

_Static_assert(offsetof(struct native, gpr) == 512, "known to the assembly");

#define G(n) "512+8*" #n "+host_native(%rip)"
__asm__(".pushsection .text\n"
	"host_enter:\n\t"
	"pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"movq %rsp, 648+host_native(%rip)\n\t"
	"fxrstor64 host_native(%rip)\n\t"
	"pushq 640+host_native(%rip)\n\tpopfq\n\t"
	"movq " G(0) ", %rax\n\tmovq " G(1) ", %rcx\n\tmovq " G(2) ", %rdx\n\t"
	"movq " G(3) ", %rbx\n\tmovq " G(5) ", %rbp\n\tmovq " G(6) ", %rsi\n\t"
	"movq " G(7) ", %rdi\n\tmovq " G(8) ", %r8\n\tmovq " G(9) ", %r9\n\t"
	"movq " G(10) ", %r10\n\tmovq " G(11) ", %r11\n\tmovq " G(12) ", %r12\n\t"
	"movq " G(13) ", %r13\n\tmovq " G(14) ", %r14\n\tmovq " G(15) ", %r15\n\t"
	"jmp *656+host_native(%rip)\n"
	"host_leave:\n\t"
	"fxsave64 host_native(%rip)\n\t"
	"movq %rax, " G(0) "\n\tmovq %rcx, " G(1) "\n\tmovq %rdx, " G(2) "\n\t"
	"movq %rbx, " G(3) "\n\tmovq %rbp, " G(5) "\n\tmovq %rsi, " G(6) "\n\t"
	"movq %rdi, " G(7) "\n\tmovq %r8, " G(8) "\n\tmovq %r9, " G(9) "\n\t"
	"movq %r10, " G(10) "\n\tmovq %r11, " G(11) "\n\tmovq %r12, " G(12) "\n\t"
	"movq %r13, " G(13) "\n\tmovq %r14, " G(14) "\n\tmovq %r15, " G(15) "\n\t"
	"pushfq\n\tpopq 640+host_native(%rip)\n\t"
	"fninit\n\tpushq $0x1f80\n\tldmxcsr (%rsp)\n\tcld\n\t"
	"movq 648+host_native(%rip), %rsp\n\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\tret\n"
	".popsection");
#undef G

/* ---- random state ------------------------------------------------------------------------ */

static uint64_t rnd(void)
{
	host.rnd ^= host.rnd << 13;
	host.rnd ^= host.rnd >> 7;
	host.rnd ^= host.rnd << 17;
	return host.rnd * UINT64_C(0x2545f4914f6cdd1d);
}

static bool chance(unsigned one_in)
{
	return rnd() >> 33 < (UINT64_C(1) << 31) / one_in;
}

static uint32_t rnd_single(void)
{
	static const uint32_t edge[] = {
		0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0x7f800001, 0xffc12345, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x80000001, 0x4f000000,
		0x3f000000, 0x3fc00000, 0x5f000000, 0x20000000, 0x00400000,
	};

	if (chance(2))
		return edge[rnd() % ARRAY_LEN(edge)];
	return chance(2) ? (uint32_t)rnd() : (uint32_t)(rnd() & 0x83ffffff) | 0x3c000000;
}

static uint64_t rnd_double(void)
{
	static const uint64_t edge[] = {
		0, UINT64_C(1) << 63, UINT64_C(0x3ff0000000000000), UINT64_C(0xbff8000000000000),
		UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000), UINT64_C(0x7ff8000000000000),
		UINT64_C(0x7ff0000000000001), 1, UINT64_C(0x000fffffffffffff),
		UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff), UINT64_C(0x41e0000000000000),
		UINT64_C(0x43e0000000000000), UINT64_C(0x36a0000000000000), UINT64_C(0x47efffffffffffff),
		UINT64_C(0x2000000000000000), UINT64_C(0x3810000000000000),
	};

	if (chance(2))
		return edge[rnd() % ARRAY_LEN(edge)];
	return chance(2) ? rnd() : (rnd() & UINT64_C(0x803fffffffffffff)) | UINT64_C(0x3fc0000000000000);
}

static void rnd_vector(void *dst)
{
	uint64_t v[2] = { rnd(), rnd() };

	switch (rnd() % 4) {
	case 0:
		v[0] = rnd_double();
		v[1] = rnd_double();
		break;
	case 1:
		v[0] = (uint64_t)rnd_single() << 32 | rnd_single();
		v[1] = (uint64_t)rnd_single() << 32 | rnd_single();
		break;
	case 2:
		v[0] &= UINT64_C(0x000f00ff00ff00ff);
		break;
	default:
		break;
	}
	memcpy(dst, v, sizeof(v));
}

static void rnd_extended(uint8_t st[16])
{
	static const uint16_t exps[] = { 0, 0x7fff, 0x3fff, 0xbfff, 0x8000, 0xffff, 1, 0x7ffe, 0x403e };
	static const uint64_t mants[] = {
		0, UINT64_C(1) << 63, ~UINT64_C(0), 1, UINT64_C(3) << 62, UINT64_C(1) << 62,
		(UINT64_C(1) << 63) | 1,
	};
	uint64_t m = chance(2) ? mants[rnd() % ARRAY_LEN(mants)] : rnd() | UINT64_C(1) << 63;
	uint16_t e = chance(2) ? exps[rnd() % ARRAY_LEN(exps)] :
				 (uint16_t)((rnd() & 0x803f) + 0x3fe0);

	if (chance(20))
		m = rnd();
	memset(st, 0, 16);
	memcpy(st, &m, 8);
	memcpy(st + 8, &e, 2);
}

/* No x87 error pending; what is unmasked is up to the caller. */
static void rnd_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->fx.fcw = (uint16_t)((rnd() & 0x0f00) | 0x7f);
	w->fx.fsw = (uint16_t)(rnd() & 0x7f3f & ~(chance(2) ? 0x3800u : 0));
	w->fx.ftw = chance(2) ? 0xff : (uint8_t)rnd();
	w->fx.mxcsr = MXCSR_DEFAULT | (uint32_t)(rnd() & FPU_FLAGS);
	if (chance(3))
		w->fx.mxcsr |= (uint32_t)rnd() & MXCSR_CONTROL;
	w->fx.mxcsr_mask = MXCSR_WRITABLE;
	for (unsigned k = 0; k < 8; k++)
		rnd_extended(w->fx.st[k]);
	for (unsigned k = 0; k < 16; k++)
		rnd_vector(&w->fx.xmm[k]);
	for (unsigned k = 0; k < 16; k++)
		w->gpr[k] = chance(3) ? rnd() : (chance(3) ? rnd() << 32 : 0) | rnd() % 40;
	for (unsigned k = 0; k < MEM_BYTES; k += 16)
		if (k < 704 || k >= MEM_BYTES - 32)
			rnd_vector(w->mem + k);
	w->rflags = 2 | (rnd() & X86_ARITH);
	w->fault = NO_FAULT;
}

/* ---- on the host ------------------------------------------------------------------------- */

static void host_signal(int sig, siginfo_t *si, void *ctx)
{
	const ucontext_t *u = ctx;
	const greg_t *g = u->uc_mcontext.gregs;
	static const int order[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};

	(void)sig;
	(void)si;
	if (host.now == NULL || (uint64_t)g[REG_RIP] - (uint64_t)host.code >= PAGE_SIZE) {
		signal(sig, SIG_DFL);
		return;
	}
	host.now->fault = (unsigned)g[REG_TRAPNO];
	memcpy(&host.now->fx, u->uc_mcontext.fpregs, sizeof(host.now->fx));
	for (unsigned k = 0; k < 16; k++)
		host.now->gpr[k] = (uint64_t)g[order[k]];
	host.now->rflags = (uint64_t)g[REG_EFL];
	siglongjmp(host.out, 1);
}

/* In every test again: cmocka puts its own in place. */
static void host_catch(void)
{
	struct sigaction sa = { .sa_sigaction = host_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
}

/* SEED in the environment asks for other random cases. */
static void host_open(void)
{
	const char *seed = getenv("SEED");
	int all = PROT_READ | PROT_WRITE | PROT_EXEC;

	host.rnd = UINT64_C(0x9e3779b97f4a7c15) + (seed ? strtoull(seed, NULL, 0) : 0);
	host.code = mmap(NULL, PAGE_SIZE, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Low, so that 32-bit code can point there too. */
	host.mem = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK(host.code != MAP_FAILED && host.mem != MAP_FAILED);
	CHECK_EQ(mprotect(host.mem + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	host.c = aligned_alloc(64, align_up(sizeof(*host.c), 64));
	host.tlb = calloc(1, sizeof(*host.tlb));
	CHECK(host.c != NULL && host.tlb != NULL);
	CHECK(ZYAN_SUCCESS(ZydisDecoderInit(&host.dec, ZYDIS_MACHINE_MODE_LONG_64,
					    ZYDIS_STACK_WIDTH_64)));
}

static void host_close(void)
{
	munmap(host.code, PAGE_SIZE);
	munmap(host.mem, 2 * PAGE_SIZE);
	free(host.c);
	free(host.tlb);
}

static void host_native_run(struct world *w, const uint8_t *bytes, unsigned n)
{
	uint8_t *p = host.code;
	const void *leave = (const void *)(uintptr_t)host_leave;

	memcpy(p, bytes, n);
	p += n;
	memcpy(p, "\xff\x25\0\0\0\0", 6);		/* jmp *0(%rip) */
	memcpy(p + 6, &leave, 8);
	memcpy(host.mem, w->mem, MEM_BYTES);
	host_native.fx = w->fx;
	memcpy(host_native.gpr, w->gpr, sizeof(w->gpr));
	host_native.rflags = w->rflags;
	host_native.code = host.code;
	host.now = w;
	if (sigsetjmp(host.out, 1) == 0) {	/* 1: a sanitizer blocks signals in handlers */
		host_enter();
		w->fx = host_native.fx;
		memcpy(w->gpr, host_native.gpr, sizeof(w->gpr));
		w->rflags = host_native.rflags;
		w->fault = NO_FAULT;
	}
	host.now = NULL;
	memcpy(w->mem, host.mem, MEM_BYTES);
}

/* ---- in the interpreter ------------------------------------------------------------------ */

static void host_fill_tlb(struct interp *c)
{
	uint64_t lin = (uint64_t)(uintptr_t)host.mem;

	c->tlb = host.tlb;
	for (unsigned s = 0; s < NR_SETS; s++) {
		struct tlb_entry *e = tlb_slot(c, s, lin);

		for (unsigned k = 0; k < TLB_SLOTS; k++)
			host.tlb->data[s][k].rtag = host.tlb->data[s][k].wtag = TLB_NONE;
		*e = (struct tlb_entry){ .rtag = lin, .wtag = lin, .add = 0, .state = &host.state };
	}
}

/* A processor in 64-bit mode at privilege 0 with everything switched on. */
static void host_reset_interp(void)
{
	struct interp *c = host.c;

	host_catch();
	memset(c, 0, sizeof(*c));
	host_fill_tlb(c);
	c->code64 = 1;
	c->stack_size = 8;
	c->cr0 = X86_CR0_PE | X86_CR0_NE | X86_CR0_MP | X86_CR0_PG;
	c->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
	c->efer = X86_EFER_LMA | X86_EFER_LME;
	c->xcr0 = 3;
	for (unsigned k = 0; k < CPU_NR_SREG; k++)
		c->seg[k] = (struct cpu_seg){ .attr = 0xc093, .limit = UINT32_MAX };
}

static bool host_bind(const uint8_t *bytes, unsigned n, struct insn *ret_in, struct zin *ret_z)
{
	memset(ret_in, 0, sizeof(*ret_in));
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&host.dec, bytes, n, &ret_z->i, ret_z->op)))
		return false;
	decode_common(ret_z, ret_in);
	return bind_fpu(ret_z, ret_in);
}

static void host_interp_run(struct world *w, const struct insn *in)
{
	struct interp *c = host.c;
	jmp_buf unwind;

	memcpy(host.mem, w->mem, MEM_BYTES);
	memcpy(c->xsave, &w->fx, sizeof(w->fx));
	memcpy(c->gpr, w->gpr, sizeof(w->gpr));
	c->rflags = w->rflags;
	c->rip = (uint64_t)(uintptr_t)host.code;
	c->next_rip = c->rip + in->len;
	c->unwind = &unwind;
	w->fault = NO_FAULT;
	if (setjmp(unwind) == 0)
		in->fn(c, in);
	else
		w->fault = c->exc_vector;
	memcpy(&w->fx, c->xsave, sizeof(w->fx));
	memcpy(w->gpr, c->gpr, sizeof(w->gpr));
	w->rflags = c->rflags;
	memcpy(w->mem, host.mem, MEM_BYTES);
}

/* ---- comparison -------------------------------------------------------------------------- */

static const char *world_differs(const struct world *a, const struct world *b)
{
	static char what[64];

	if (a->fault != b->fault)
		return snprintf(what, sizeof(what), "fault %u, %u", a->fault, b->fault), what;
	if (a->fx.mxcsr != b->fx.mxcsr)
		return snprintf(what, sizeof(what), "MXCSR %x, %x", a->fx.mxcsr, b->fx.mxcsr), what;
	if (a->fx.fcw != b->fx.fcw)
		return snprintf(what, sizeof(what), "FCW %x, %x", a->fx.fcw, b->fx.fcw), what;
	if (a->fx.fsw != b->fx.fsw)
		return snprintf(what, sizeof(what), "FSW %x, %x", a->fx.fsw, b->fx.fsw), what;
	if (a->fx.ftw != b->fx.ftw)
		return snprintf(what, sizeof(what), "FTW %x, %x", a->fx.ftw, b->fx.ftw), what;
	for (unsigned k = 0; k < 8; k++)
		if (memcmp(a->fx.st[k], b->fx.st[k], 10))
			return snprintf(what, sizeof(what), "ST%u", k), what;
	for (unsigned k = 0; k < 16; k++)
		if (memcmp(&a->fx.xmm[k], &b->fx.xmm[k], 16))
			return snprintf(what, sizeof(what), "XMM%u", k), what;
	for (unsigned k = 0; k < 16; k++)
		if (k != CPU_RSP && a->gpr[k] != b->gpr[k])
			return snprintf(what, sizeof(what), "GPR%u %llx, %llx", k, (long long)a->gpr[k],
					(long long)b->gpr[k]), what;
	if ((a->rflags ^ b->rflags) & (X86_ARITH | X86_DF))
		return snprintf(what, sizeof(what), "RFLAGS %llx, %llx", (long long)a->rflags,
				(long long)b->rflags), what;
	for (unsigned k = 0; k < MEM_BYTES; k++)
		if (a->mem[k] != b->mem[k])
			return snprintf(what, sizeof(what), "byte %u: %02x, %02x", k, a->mem[k],
					b->mem[k]), what;
	return NULL;
}

static inline void host_print(const char *what, const uint8_t *bytes, unsigned n,
			      const struct zin *z)
{
	fprintf(stderr, "%s:", ZydisMnemonicGetString(z->i.mnemonic));
	for (unsigned k = 0; k < n; k++)
		fprintf(stderr, " %02x", bytes[k]);
	fprintf(stderr, ": host and interpreter differ: %s\n", what);
}

#endif
