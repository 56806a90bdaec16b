/*
 * interp.h - inside the interpreter: the register file, one decoded
 * instruction, and how handlers reach memory and raise exceptions
 *
 * For files of cpu/interp only.
 *
 * Rules every handler keeps:
 *  - A handler does all its loads and all its permission checks before it
 *    changes anything the guest can see; then it commits.  interp_raise does
 *    not return (it jumps to the run loop), so an exception is precise by
 *    construction: c->rip still points at the instruction.
 *  - c->next_rip holds the address after the instruction when the handler is
 *    entered; branches change it.  The loop stores it to c->rip afterwards.
 *  - Guest bytes are loaded once into a local.
 */
#ifndef CPU_INTERP_INTERP_H
#define CPU_INTERP_INTERP_H

#include "base/base.h"
#include "cpu/cpu.h"
#include "cpu/x86/model.h"
#include "mem/gmem_cpu.h"
#include "spec/x86.h"

#include <Zydis/Zydis.h>
#include <setjmp.h>
#include <stdatomic.h>

struct interp;
struct insn;
struct interp_tlb;		/* tlb.c */
struct interp_cache;		/* block.c */
struct interp_debug;		/* debug.c */

typedef void insn_fn(struct interp *c, const struct insn *in);

#define REG_NONE 16		/* c->gpr[16] is always zero: no base, no index */
#define REG_NEXT_RIP 17		/* base of a RIP-relative operand; EA adds c->next_rip */

/*
 * One decoded instruction.  What the binder of a family leaves here is all
 * that a handler may look at.  Unused fields are zero.
 */
struct insn {
	insn_fn *fn;
	uint64_t imm;		/* immediate, sign-extended to 64 bits; branches: displacement */
	int64_t disp;
	uint8_t len;		/* bytes of the instruction */
	uint8_t osz;		/* operand size in bytes: 1, 2, 4, 8 (bigger for SSE) */
	uint8_t asz;		/* address size in bytes: 2, 4, 8 */
	uint8_t mem;		/* 1: the r/m operand is memory */
	uint8_t reg;		/* GPR, segment, control or vector register of ModRM.reg */
	uint8_t rm;		/* register of ModRM.rm when !mem (or opcode register) */
	uint8_t base, index;	/* GPR, REG_NONE or REG_NEXT_RIP */
	uint8_t scale;		/* shift: 0..3 */
	uint8_t seg;		/* enum cpu_sreg of the memory operand */
	uint8_t rep;		/* 0, 0xf2 or 0xf3 */
	uint8_t lock;
	/*
	 * Last of its block: branches, serialising, IF or mode changes.  Every
	 * handler that writes c->next_rip needs it; decode.c sets it for all
	 * branches, REP strings and the system instructions by itself.
	 */
	uint8_t ends;
	uint8_t cond;		/* low nibble of Jcc, SETcc, CMOVcc */
	uint8_t op[4];		/* free for the family: opcode byte, map, variant */
	uint16_t mnemonic;	/* ZydisMnemonic, for traces */
	/*
	 * 8-bit registers: index 0..15 is the low byte; 0x14..0x17 is AH, CH,
	 * DH, BH (legacy high bytes).
	 */
};

enum { EVENT_KICK = 1, EVENT_IRQ = 2, EVENT_NMI = 4, EVENT_FLUSH = 8, EVENT_TRACE = 16,
       EVENT_CODE = 32 /* code was written: the translator looks into the log */,
       EVENT_NMI_2ND = 64 /* another before the first was seen */ };

struct interp {
	struct cpu cpu;			/* first: the contract */
	/* hot */
	uint64_t gpr[18];
	uint64_t rip, next_rip;
	uint64_t rflags;		/* always complete, bit 1 set */
	uint8_t stop;			/* leave the block after this instruction */
	uint8_t cpl;			/* 0..3; 3 in v8086, 0 in real mode */
	uint8_t code64, code32;		/* CS.L in long mode; CS.D (and not code64) */
	uint8_t stack_size;		/* bytes of the stack pointer: 2, 4 or 8 */
	uint8_t shadow;			/* interrupt shadow: SHADOW_STI, SHADOW_MOV_SS */
	uint8_t flat;			/* DS, ES, SS, CS base 0, limit 4G, writable: no checks */
	uint8_t slow;			/* a breakpoint or trace is on: one instruction at a time */
	uint8_t irq_wait;		/* the client may have an interrupt: ask when IF allows */
	/*
	 * Set by an engine that does not check after each store whether it hit code:
	 * pages with code are never writable in the TLB, and stay pages with code
	 * until that engine says otherwise.
	 */
	uint8_t code_guard;
	uint8_t nmi_wait;		/* NMIs to be delivered when not masked: one in service, one latched */
	_Alignas(8) _Atomic uint32_t events;	/* EVENT_* */
	/*
	 * The translator's: FPU state is in xsave, not in the host's registers.
	 * Behind events, so that one compare sees both.
	 */
	uint32_t fp_parked;
	/*
	 * Called before anything that may use vector registers: the client, the
	 * decoder.  sys, int and memory are compiled not to.
	 */
	void (*leaving)(struct interp *c);
	/* [lock step] Told of each page before it is written; and devices are out of bounds. */
	void (*save_page)(struct interp *c, uint8_t *hva);
	/* Counts what made the mapping of [0] pages that are not global, [1] all pages doubtful. */
	uint64_t flush_seq[2];
	/* Counts what may change the answers of CPUID: writes to MSRs, CR4, XCR0. */
	uint32_t cpuid_seq;
	/* INVLPG: that of one 4-KiB page is. */
	void (*page_gone)(struct interp *c, uint64_t lin);
	/*
	 * In guest code or in what it called; 0 too while a hypercall is served,
	 * so that two processors that flush one another do not wait for ever.
	 */
	_Atomic uint8_t running;
	_Atomic uint64_t code_seen;	/* [translator] gmem's log of written code is read up to here */
	_Atomic uint32_t *code_state;	/* of the page the running block lies on */
	_Atomic uint64_t gpa_off;	/* bits of addresses that do not leave the processor: A20 */
	uint8_t ferr;			/* an x87 error was reported by FERR#: steps, until it is gone */
	uint16_t fsw_kept;		/* flags that IGNNE# made the present instruction not see */
	struct cpu_seg seg[CPU_NR_SREG];
	struct cpu_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
	uint64_t dr[4], dr6, dr7;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, apic_base, tsc_offset, tsc_adjust, misc_enable, spec_ctrl;
	uint32_t pkru, pkrs;
	uint64_t mtrr_def, mtrr_fixed[11], mtrr_var[16];
	uint8_t halted, nmi_masked;
	uint8_t in_delivery;		/* an event is being delivered: vector + 1 */
	uint8_t delivery_ext;		/* ...and it came from outside (EXT bit) */
	jmp_buf *unwind;		/* of the run loop */
	uint8_t exc_vector;		/* set by interp_raise */
	bool exc_has_code;
	uint32_t exc_code;
	uint64_t retired;
	struct interp_block *block;	/* running; tells how much of it retired */
	struct interp_tlb *tlb;		/* [owned] */
	struct interp_cache *cache;	/* [owned] */
	uint64_t debug_seen[5];		/* DR7, DR0..3 that slow and watch were made from */
	uint8_t watch;			/* data breakpoints enabled, a bit each; WATCH_DEBUGGER */
	uint8_t watch_hit;		/* of the present instruction, as in DR6 */
	struct interp_debug *debugger;	/* [owned] what a debugger stops for; NULL: nothing */
	bool shared_locked;		/* holds the machine-wide lock */
	char error[160];		/* why CPU_EXIT_ERROR */
	struct cpu_conf conf;
	const struct cpu_model *model;
	/* SSE, x87 and AVX state in the FXSAVE/XSAVE standard layout */
	_Alignas(64) uint8_t xsave[CPU_XSAVE_BYTES];
};

enum { SHADOW_STI = 1, SHADOW_MOV_SS = 2 };

#define WATCH_DEBUGGER 0x10u	/* in watch, beside DR0..3 */

static inline const struct cpu_client *interp_client(struct interp *c)
{
	if (c->leaving != NULL)
		c->leaving(c);
	return c->conf.client;
}

#define INTERP_OF(cpu_ptr) CONTAINER_OF(cpu_ptr, struct interp, cpu)

/* ---- binders: decode.c asks each in turn; true = in->fn and operands are set --------- */

struct zin {			/* what Zydis found */
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* int_*.c: general-purpose, branches, strings */
bool bind_int(const struct zin *z, struct insn *out);
/* sys_*.c: everything privileged, far, flags, I/O, CPUID */
bool bind_sys(const struct zin *z, struct insn *out);
/* fpu_*.c: x87, MMX, SSE, FXSAVE, XSAVE, MXCSR */
bool bind_fpu(const struct zin *z, struct insn *out);
/*
 * Fills len, osz, asz, mem, base, index, scale, disp, seg, rep, lock, reg, rm
 * and imm as ModRM has them.
 */
void decode_common(const struct zin *z, struct insn *out);

/* ---- exceptions (sys_exc.c) ---------------------------------------------------------- */

/* Jumps to the run loop, which delivers.  The _code form carries an error code. */
NORETURN void interp_raise(struct interp *c, unsigned vector);
#define INTERP_FREEZE 0xffu	/* no vector: waits for an interrupt before this instruction */
NORETURN void interp_raise_code(struct interp *c, unsigned vector, uint32_t code);
static inline NORETURN void interp_gp(struct interp *c) { interp_raise_code(c, X86_GP, 0); }
static inline NORETURN void interp_ud(struct interp *c) { interp_raise(c, X86_UD); }
NORETURN void interp_page_fault(struct interp *c, uint64_t lin, uint32_t code);	/* sets CR2 */

enum deliver_kind { DELIVER_EXC, DELIVER_SOFT_INT, DELIVER_ICEBP, DELIVER_EXTERNAL, DELIVER_NMI };
/*
 * Delivers VECTOR through the IDT (or IVT) of the present mode: stack switch,
 * IST, gates, task gates, v8086.  Faults met on the way combine to double
 * and triple fault.  0, or -1 for a triple fault (shutdown).  c->rip is the return
 * address to push.  Called by the run loop only, outside any handler.
 */
MUST_CHECK int interp_deliver(struct interp *c, unsigned vector, enum deliver_kind kind,
			      bool has_code, uint32_t code);
/* After each instruction when TF or a breakpoint asks: raises #DB as a trap. */
void interp_debug_trap(struct interp *c, uint64_t dr6_bits);

/* ---- mode (sys_mode.c) --------------------------------------------------------------- */

/*
 * After any change of CR0, CR4, EFER, a segment register or RFLAGS.VM:
 * recompute cpl, code64, code32, stack_size, flat.
 */
void interp_mode_changed(struct interp *c);
void interp_reset(struct interp *c, bool init);
/* Loads a segment register with all checks of MOV/POP Sreg (not CS). */
void interp_load_seg(struct interp *c, enum cpu_sreg s, uint16_t sel);

static inline bool interp_long(const struct interp *c) { return (c->efer & X86_EFER_LMA) != 0; }
static inline bool interp_protected(const struct interp *c) { return (c->cr0 & X86_CR0_PE) != 0; }
static inline bool interp_v86(const struct interp *c) { return (c->rflags & X86_VM) != 0; }
static inline bool interp_real(const struct interp *c) { return !interp_protected(c); }

/* Loads PKRU or, when not, PKRS; what the TLB knows by the old rights goes. */
void interp_set_keys(struct interp *c, bool user, uint32_t v);
/* While FERR# is out, after each instruction: flags come back, and FERR# goes with the error. */
void interp_ferr_settle(struct interp *c);
/* After xsave came from outside (fpu/fpu_state.c): what XSTATE_BV leaves out is initial. */
void interp_xsave_loaded(struct interp *c);

/* ---- memory (tlb.c, walk.c, memory.c) ------------------------------------------------ */

enum access { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXEC = 2 };

/*
 * Segment + offset to linear address with limit, type and canonical checks
 * for N bytes; raises #GP or #SS.
 */
uint64_t interp_linear(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned n, enum access a);

/* By segment and offset, at the present privilege.  SIZE 1, 2, 4 or 8; zero-extended. */
static inline uint64_t interp_load(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size);
static inline void interp_store(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size,
				uint64_t val);
/* Any length up to 4096 (10, 16, 28, 108, 512 ...); both pages are checked before a byte moves. */
static inline void interp_load_n(struct interp *c, enum cpu_sreg s, uint64_t off, void *dst,
				 unsigned n);
static inline void interp_store_n(struct interp *c, enum cpu_sreg s, uint64_t off, const void *src,
				  unsigned n);
/*
 * For string instructions: a host pointer to [off, off + N), when that lies
 * on one page of RAM and nothing watches it; else NULL, and the caller goes
 * element by element.  Never raises: where an access would, the answer is
 * NULL.  Valid until the next access by any other function here.  After
 * writing, interp_span_written (with *ret_state).
 */
void *interp_span(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned n, enum access a,
		  _Atomic uint32_t **ret_state);
static inline void interp_span_written(struct interp *c, _Atomic uint32_t *state);
/* Raises what a store of N bytes would raise, and stores nothing. */
void interp_probe_write(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned n);

/*
 * By linear address with supervisor rights whatever CPL is: descriptor
 * tables, TSS, IDT, stacks of inner rings.
 */
uint64_t interp_sys_load(struct interp *c, uint64_t lin, unsigned size);
void interp_sys_store(struct interp *c, uint64_t lin, unsigned size, uint64_t val);
/* By linear address with the rights of privilege PL (0..2 supervisor, 3 user). */
uint64_t interp_lin_load(struct interp *c, uint64_t lin, unsigned size, unsigned pl);
void interp_lin_store(struct interp *c, uint64_t lin, unsigned size, uint64_t val, unsigned pl);

/*
 * Read-modify-write of SIZE 1, 2, 4, 8 or 16 bytes.  begin checks write rights
 * and returns a host pointer: to guest RAM itself where one host instruction
 * can do the access atomically, else to a local copy that end writes back
 * (MMIO, page crossing; with LOCK under the machine-wide lock).  Use host
 * LOCK instructions on the pointer when in->lock or XCHG.
 */
struct rmw {
	void *p;
	uint64_t lin, gpa[2];
	uint8_t *hva[2];
	_Atomic uint32_t *state[2];
	unsigned size, first;		/* bytes on the first page */
	bool copied, locked;
	_Alignas(16) uint8_t buf[16];
};
static inline void interp_rmw_begin(struct interp *c, struct rmw *m, enum cpu_sreg s, uint64_t off,
				    unsigned size, bool lock);
static inline void interp_rmw_end(struct interp *c, struct rmw *m);

/* TLB: after CR0/CR3/CR4/EFER writes, INVLPG.  Drops the virtual-address jump cache too. */
void interp_tlb_flush(struct interp *c, bool global_too);
void interp_tlb_invlpg(struct interp *c, uint64_t lin);

/* Page walk without side effects on anything but A/D bits; for INVLPG-free uses and tests. */
struct walk {
	uint64_t gpa;
	uint64_t page_size;
	bool writable, user, global, nx, dirty;
};
/* 0; or 1 and the page-fault error code, with P, W, U, RSVD, I as the manual says. */
MUST_CHECK int interp_walk(struct interp *c, uint64_t lin, enum access a, bool user,
			   struct walk *ret_w, uint32_t *ret_code);

/* ---- helpers for handlers ------------------------------------------------------------ */

/* Offset part of the memory operand, wrapped to the address size. */
static inline uint64_t insn_ea(const struct interp *c, const struct insn *in)
{
	uint64_t ea = (in->base == REG_NEXT_RIP ? c->next_rip : c->gpr[in->base]) +
		      (c->gpr[in->index] << in->scale) + (uint64_t)in->disp;

	if (likely(in->asz == 8))
		return ea;
	return in->asz == 4 ? (uint32_t)ea : (uint16_t)ea;
}

static inline uint64_t reg_get(const struct interp *c, unsigned r, unsigned size)
{
	switch (size) {
	case 1:
		return r & 0x10 ? (uint8_t)(c->gpr[r & 3] >> 8) : (uint8_t)c->gpr[r];
	case 2:
		return (uint16_t)c->gpr[r];
	case 4:
		return (uint32_t)c->gpr[r];
	default:
		return c->gpr[r];
	}
}

/* 32-bit writes clear the upper half, 8 and 16-bit ones keep the rest. */
static inline void reg_set(struct interp *c, unsigned r, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		if (r & 0x10)
			c->gpr[r & 3] = (c->gpr[r & 3] & ~UINT64_C(0xff00)) | (v & 0xff) << 8;
		else
			c->gpr[r] = (c->gpr[r] & ~UINT64_C(0xff)) | (v & 0xff);
		break;
	case 2:
		c->gpr[r] = (c->gpr[r] & ~UINT64_C(0xffff)) | (v & 0xffff);
		break;
	case 4:
		c->gpr[r] = (uint32_t)v;
		break;
	default:
		c->gpr[r] = v;
	}
}

/* Push and pop with the present stack size; raise #SS, #PF before RSP moves. */
static inline void interp_push(struct interp *c, unsigned size, uint64_t v);
static inline uint64_t interp_pop(struct interp *c, unsigned size);

#include "cpu/interp/interp_mem.h"

#endif
