/*
 * cpu.h - the engine contract
 *
 * An engine runs one virtual processor at a time, on the thread that calls
 * cpu_run.  Three engines stand behind this header: translate, interpret and
 * kvm.  None of them knows Hyper-V or any device: what they cannot
 * answer themselves goes to the cpu_client, on the vCPU's own thread.
 *
 * Threads  cpu_run, cpu_get_regs, cpu_set_regs: the vCPU's own thread, or any
 *          thread while it is not in cpu_run.  cpu_kick, cpu_notify, cpu_nmi,
 *          cpu_tlb_flush, tlb_flush_soon: any thread at any moment.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "base/base.h"
#include "base/err.h"
#include "mem/gmem.h"

enum cpu_gpr {
	CPU_RAX, CPU_RCX, CPU_RDX, CPU_RBX, CPU_RSP, CPU_RBP, CPU_RSI, CPU_RDI,
	CPU_R8, CPU_R9, CPU_R10, CPU_R11, CPU_R12, CPU_R13, CPU_R14, CPU_R15,
};

enum cpu_sreg { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_LDTR, CPU_TR, CPU_NR_SREG };

/*
 * A segment register with its hidden part.  attr is the descriptor's high
 * doubleword bits 8..23 shifted down by 8: type 3:0, S 4, DPL 6:5, P 7,
 * AVL 12, L 13, D/B 14, G 15; bit 16 = unusable (a null selector).
 * limit is in bytes, already scaled.
 */
struct cpu_seg {
	uint16_t sel;
	uint32_t attr, limit;
	uint64_t base;
};

#define CPU_SEG_UNUSABLE 0x10000u

struct cpu_table {
	uint64_t base;
	uint16_t limit;
};

#define CPU_XSAVE_BYTES 1088	/* legacy 512, header 64, AVX 256, room */

struct cpu_regs {
	uint64_t gpr[16];
	uint64_t rip, rflags;
	struct cpu_seg seg[CPU_NR_SREG];
	struct cpu_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	uint64_t dr[4], dr6, dr7;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, apic_base, tsc_offset;
	/* MSRs 3B, 1A0, 48; zero where the engine's processor does not have them */
	uint64_t tsc_adjust, misc_enable, spec_ctrl;
	uint32_t pkru, pkrs;		/* rights of protection keys: users' pages, the system's */
	/* [SDM 3] 12.11: default type; 64K, 16K x 2, 4K x 8 fixed; base and mask of 8 ranges */
	uint64_t mtrr_def, mtrr_fixed[11], mtrr_var[16];
	bool halted;			/* in HLT */
	bool shadow_sti, shadow_mov_ss;	/* interrupt shadow, one instruction */
	bool nmi_masked, nmi_pending;
	_Alignas(64) uint8_t xsave[CPU_XSAVE_BYTES];	/* standard (not compacted) form, XSTATE_BV set */
};

enum cpu_exit {
	CPU_EXIT_KICK,		/* cpu_kick was called */
	CPU_EXIT_HLT,		/* halted with nothing deliverable; run again after cpu_notify */
	CPU_EXIT_SHUTDOWN,	/* triple fault */
	CPU_EXIT_ERROR,		/* the engine itself failed; cpu_error says why */
	CPU_EXIT_DEBUG,		/* stopped for the debugger; debug_stop says why */
};

/* ---- a debugger beside the guest ----------------------------------------------------- */

#define CPU_DEBUG_MAX 64u		/* points */
#define CPU_DEBUG_LEN 4096u		/* bytes of a point */

enum { CPU_DEBUG_EXEC = 1, CPU_DEBUG_READ = 2, CPU_DEBUG_WRITE = 4 };

/* Stop before the instruction at linear address LIN, or after one that touches [lin, lin + len). */
struct cpu_debug_point {
	uint64_t lin;
	uint32_t len;			/* 1..CPU_DEBUG_LEN; of CPU_DEBUG_EXEC: 1 */
	uint32_t on;			/* CPU_DEBUG_EXEC, or READ | WRITE */
};

struct cpu_debug {
	struct cpu_debug_point point[CPU_DEBUG_MAX];
	unsigned nr;
	/*
	 * Stop after one instruction, for which interrupts are held back; when it
	 * raises, at the handler.  A halted processor waits for an interrupt and
	 * stops at the handler.  The next stop for whatever reason ends it.
	 */
	bool step;
};

enum cpu_stop { CPU_STOP_NONE, CPU_STOP_STEP, CPU_STOP_BREAK, CPU_STOP_WATCH };

struct cpu_debug_stop {
	enum cpu_stop why;
	uint32_t on;			/* WATCH: of the point that was hit */
	uint64_t lin;			/* BREAK, WATCH: of the point */
};

/* ---- what ran, and how much ---------------------------------------------------------- */

/* About to run: a block, or an instruction. */
struct cpu_trace_row {
	uint64_t rip;
	uint16_t cs;
	uint8_t bits, cpl;		/* 16, 32 or 64 */
	uint16_t nr, bytes;		/* instructions; bytes of them */
	const char *text;		/* the instruction in words; NULL: a block */
};

struct cpu_trace {
	bool insns;			/* a row an instruction, else a block */
	/* SELF is that of cpu_conf; the vCPU's own thread. */
	void (*row)(void *self, const struct cpu_trace_row *r);
};

/* A row of --stats. */
struct cpu_counter {
	const char *name;		/* constant; words with '-' between them */
	uint64_t val;
};

#define CPU_COUNTER_MAX 64u		/* no engine has more */

/* Registers of a VMCALL or VMMCALL; the client edits gpr, the engine writes it back. */
struct cpu_hypercall {
	uint64_t *gpr;		/* [16], live */
	uint8_t (*xmm)[16];	/* [6], live */
	bool long_mode;		/* EFER.LMA and CS.L */
};

/* Raise #MF, for the wire leads nowhere; wait for an interrupt; go on as if nothing was (IGNNE#). */
enum cpu_ferr { CPU_FERR_RAISE, CPU_FERR_WAIT, CPU_FERR_IGNORE };

struct cpu_client {
	uint64_t (*io_read)(void *self, uint16_t port, unsigned width);
	void (*io_write)(void *self, uint16_t port, unsigned width, uint64_t val);
	uint64_t (*mmio_read)(void *self, uint64_t gpa, unsigned width);
	void (*mmio_write)(void *self, uint64_t gpa, unsigned width, uint64_t val);
	/*
	 * r = EAX, EBX, ECX, EDX with the model's answer; edited in place.  Answers change
	 * with an MSR write of the same processor only, but for leaf 0x80000007.
	 */
	void (*cpuid)(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4]);
	/* MSRs that are not the processor's own (LAPIC, Hyper-V, MTRR storage is the engine's). */
	int (*msr_read)(void *self, uint32_t msr, uint64_t *ret_val);	/* 0 or -ENOENT: #GP(0) */
	int (*msr_write)(void *self, uint32_t msr, uint64_t val);
	int (*hypercall)(void *self, struct cpu_hypercall *h);	/* 0, or -ENOSYS: #UD */
	/* An external interrupt can be taken now: its vector (acknowledged), or -1. */
	int (*irq_take)(void *self);
	/* Whether irq_take would return a vector; cheap, any moment. */
	bool (*irq_ready)(void *self);
	uint8_t (*tpr_get)(void *self);		/* CR8: task priority class 0..15 */
	void (*tpr_set)(void *self, uint8_t cr8);
	/*
	 * With CR0.NE clear: an x87 error is met (FERR#), or has gone.  What the
	 * instruction that met it does; NULL: #MF.
	 */
	enum cpu_ferr (*ferr)(void *self, bool error);
};

struct cpu_conf {
	unsigned index;			/* 0 = the boot processor */
	struct gmem *mem;		/* borrowed */
	const struct cpu_client *client;
	void *self;			/* the client's */
	const char *model;		/* "x86-64-v2" */
	bool lockstep;			/* [translate] compare each block with the interpreter */
	uint64_t translate_cache;	/* [translate] bytes for translated code; 0: what fits */
	uint64_t tsc_hz;		/* guest TSC = host TSC + offset; this is the host's rate */
	/*
	 * Shared by all vCPUs of a machine: the interpreter takes it for atomic
	 * accesses that no host instruction can make (page-crossing LOCK).
	 */
	struct cpu_shared *shared;
	const struct cpu_trace *trace;	/* NULL: none; only for an engine that traces */
};

struct cpu;
struct cpu_shared;

struct cpu_engine {
	const char *name;		/* "interpret", "kvm" */
	const char *summary;
	/* 0 when this host can run it; else -errno and the reason in *err. */
	int (*probe)(struct err *err);
	/* Once per machine, before the vCPUs. */
	int (*shared_new)(struct gmem *m, unsigned nr_cpus, struct cpu_shared **ret_s, struct err *err);
	void (*shared_free)(struct cpu_shared *s);
	int (*create)(const struct cpu_conf *conf, struct cpu **ret_c, struct err *err);
	void (*destroy)(struct cpu *c);
	enum cpu_exit (*run)(struct cpu *c);
	void (*kick)(struct cpu *c);	/* run returns CPU_EXIT_KICK soon, also if it was not running */
	void (*notify)(struct cpu *c);	/* irq_ready may have changed: look again soon, no exit */
	void (*nmi)(struct cpu *c);
	/*
	 * All translations; when it returns the processor uses none of the old
	 * ones.  Not from inside its own run, but for a hypercall's.
	 */
	void (*tlb_flush)(struct cpu *c);
	/*
	 * The same without waiting, from inside its own run too: that processor
	 * flushes before its next instruction, others within moments.  For pages
	 * that became read only.  NULL: the engine knows no such pages.
	 */
	void (*tlb_flush_soon)(struct cpu *c);
	/*
	 * Whether address line 20 leaves the processor, or is always 0.  As
	 * tlb_flush_soon.  NULL: it always does.
	 */
	void (*a20)(struct cpu *c, bool on);
	void (*reset)(struct cpu *c, bool init);	/* power-on, or INIT (FPU, MTRR kept) */
	void (*get_regs)(struct cpu *c, struct cpu_regs *ret_r);
	int (*set_regs)(struct cpu *c, const struct cpu_regs *r, struct err *err);
	/* counters for --stats and bench: instructions retired; 0 = not counted */
	uint64_t (*retired)(struct cpu *c);
	const char *(*error)(struct cpu *c);
	bool traces;			/* heeds cpu_conf.trace */
	/*
	 * Everything a debugger wants to stop for, from the next run on; NULL:
	 * nothing any more.  Called as set_regs is.  The guest does not see it:
	 * its memory, TF and DR0..7 are its own.  -ENOSPC, -EOPNOTSUPP: more
	 * than this engine can, and nothing changed.
	 */
	int (*debug)(struct cpu *c, const struct cpu_debug *d);
	/* Why the last run gave CPU_EXIT_DEBUG. */
	void (*debug_stop)(struct cpu *c, struct cpu_debug_stop *ret_s);
	/* Its counters so far, by any thread; how many of the MAX rows were filled.  NULL: none. */
	size_t (*counters)(struct cpu *c, struct cpu_counter *ret_rows, size_t max);
	/*
	 * 0: VMCALL and VMMCALL reach the client.  Else the host keeps them to
	 * itself, and OUT of AL to this port is the hypercall instead: it is
	 * what the hypercall page must do.
	 */
	uint8_t hypercall_port;
};

struct cpu {			/* first member of every engine's own struct */
	const struct cpu_engine *engine;
};

extern const struct cpu_engine cpu_engine_translate;
extern const struct cpu_engine cpu_engine_interpret;
extern const struct cpu_engine cpu_engine_kvm;

/* NULL ends the list; best first. */
const struct cpu_engine *const *cpu_engines(void);

static inline enum cpu_exit cpu_run(struct cpu *c) { return c->engine->run(c); }
static inline void cpu_kick(struct cpu *c) { c->engine->kick(c); }
static inline void cpu_notify(struct cpu *c) { c->engine->notify(c); }

/*
 * Where the page tables of R lead from LIN, whatever the rights; no A or D bit
 * changes and no device is touched.  0 or -EFAULT.
 */
MUST_CHECK int cpu_lookup(const struct cpu_regs *r, struct gmem *m, uint64_t lin,
			  uint64_t *ret_gpa);

/* Host TSC rate in Hz (measured once) and the raw counter. */
uint64_t cpu_host_tsc_hz(void);
static inline uint64_t cpu_host_tsc(void) { return __builtin_ia32_rdtsc(); }

#endif
