/*
 * sys.h - inside the system family: descriptors, frames, and what the files
 * of this folder ask of each other
 *
 * For files of cpu/interp/sys only.
 */
#ifndef CPU_INTERP_SYS_SYS_H
#define CPU_INTERP_SYS_SYS_H

#include "cpu/interp/interp.h"

/* Types of system descriptors; S is 0.  [SDM 3] table 3-2. */
enum {
	DT_TSS16 = 1, DT_LDT = 2, DT_TSS16_BUSY = 3, DT_CALL16 = 4, DT_TASK_GATE = 5,
	DT_INT16 = 6, DT_TRAP16 = 7, DT_TSS32 = 9, DT_TSS32_BUSY = 11, DT_CALL32 = 12,
	DT_INT32 = 14, DT_TRAP32 = 15,
	DT_BUSY = 2,			/* the bit between an available and a busy TSS */
};

enum {		/* struct cpu_seg.attr */
	SEG_TYPE = 0xf, SEG_S = 0x10, SEG_DPL = 0x60, SEG_P = 0x80, SEG_L = 0x2000,
	SEG_DB = 0x4000, SEG_G = 0x8000, SEG_KEPT = 0xf0ff,
	SEG_REAL = 0x93,		/* what real mode makes of any segment */
	SEG_V86 = 0xf3,
};

/* The two doublewords of a descriptor and where they lie. */
struct desc {
	uint64_t lin;
	uint32_t lo, hi;
};

static inline unsigned desc_type(const struct desc *d) { return d->hi >> 8 & 0xf; }
static inline bool desc_s(const struct desc *d) { return (d->hi & 0x1000) != 0; }
static inline unsigned desc_dpl(const struct desc *d) { return d->hi >> 13 & 3; }
static inline bool desc_p(const struct desc *d) { return (d->hi & 0x8000) != 0; }
static inline bool desc_code(const struct desc *d) { return (d->hi & 0x1800) == 0x1800; }
static inline bool desc_data(const struct desc *d) { return (d->hi & 0x1800) == 0x1000; }
/* Code: conforming.  Data: expand-down. */
static inline bool desc_ec(const struct desc *d) { return (d->hi & 0x400) != 0; }
/* Code: readable.  Data: writable. */
static inline bool desc_rw(const struct desc *d) { return (d->hi & 0x200) != 0; }
static inline bool desc_l(const struct desc *d) { return (d->hi & 1u << 21) != 0; }
static inline bool desc_db(const struct desc *d) { return (d->hi & 1u << 22) != 0; }

static inline uint32_t desc_base(const struct desc *d)
{
	return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}

static inline uint32_t desc_limit(const struct desc *d)
{
	uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

	return d->hi & 1u << 23 ? limit << 12 | 0xfff : limit;
}

static inline struct cpu_seg desc_seg(uint16_t sel, const struct desc *d)
{
	return (struct cpu_seg){
		.sel = sel, .attr = d->hi >> 8 & SEG_KEPT,
		.limit = desc_limit(d), .base = desc_base(d),
	};
}

static inline unsigned rpl_of(uint16_t sel) { return sel & 3; }
static inline bool sel_null(uint16_t sel) { return (sel & 0xfffc) == 0; }
static inline unsigned sys_iopl(const struct interp *c) { return c->rflags >> 12 & 3; }

static inline bool sys_canonical(const struct interp *c, uint64_t v)
{
	unsigned shift = c->cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(v << shift) >> shift) == v;
}

/* A code segment that will run as 64-bit code. */
static inline bool desc_code64(const struct interp *c, const struct desc *d)
{
	return interp_long(c) && desc_l(d);
}

/* ---- sys_desc.c ------------------------------------------------------------------------- */

/*
 * An exception whose error code names a selector; EXT is added while an
 * event from outside is being delivered.  SEL 0 gives #xx(EXT).
 */
NORETURN void sys_fault(struct interp *c, unsigned vector, uint16_t sel);
/* False: the selector points outside its table.  #PF on the way is raised. */
bool desc_fetch(struct interp *c, uint16_t sel, struct desc *ret_d);
/* The same or #vector(sel). */
void desc_need(struct interp *c, uint16_t sel, unsigned vector, struct desc *ret_d);
/* Upper half of a 16-byte system descriptor; checks the room and its type field. */
uint64_t desc_base_high(struct interp *c, uint16_t sel, unsigned vector, const struct desc *d);
void desc_mark_accessed(struct interp *c, struct desc *d);
/* Atomically changes the descriptor's type byte in memory; the old byte. */
uint8_t desc_or_type(struct interp *c, const struct desc *d, uint8_t bits);
uint8_t desc_and_type(struct interp *c, const struct desc *d, uint8_t bits);
/* Raises what a change of the type byte would raise. */
void desc_probe_type(struct interp *c, const struct desc *d);

/* ---- a stack that is not (yet) SS:RSP: sys_stack.c -------------------------------------- */

struct stk {
	struct cpu_seg ss;
	uint64_t sp, mask;
	unsigned pl;
	uint16_t err;		/* selector in the error code of #SS */
	bool flat64;
	bool fresh;		/* [from a TSS outside long mode] desc is SS's, A not set yet */
	struct desc desc;
};

void stk_present(const struct interp *c, struct stk *ret_s);
void stk_push(struct interp *c, struct stk *s, unsigned size, uint64_t v);
/* The stack of inner ring PL from the TSS, with all checks; IST only in long mode. */
void stk_inner(struct interp *c, unsigned pl, unsigned ist, struct stk *ret_s);
/* Reads N bytes above the top of the present stack; pops nothing. */
uint64_t stk_peek(struct interp *c, unsigned off, unsigned size);
/* Moves the present stack pointer up. */
void stk_drop(struct interp *c, uint64_t n);
/* The last thing about the new stack that can fault: the accessed bit. */
void stk_mark_accessed(struct interp *c, struct stk *s);
void stk_commit(struct interp *c, const struct stk *s, bool new_ss);

/* ---- segments: sys_seg.c ---------------------------------------------------------------- */

/* False for a null selector.  PL is the privilege the segment will be used with. */
bool seg_check_data(struct interp *c, uint16_t sel, unsigned vector, unsigned pl,
		    struct desc *ret_d);
void seg_check_stack(struct interp *c, uint16_t sel, unsigned vector, unsigned pl,
		     struct desc *ret_d);
void seg_set_null(struct interp *c, enum cpu_sreg s, uint16_t sel);
void seg_set_real(struct interp *c, enum cpu_sreg s, uint16_t sel);
void seg_set_v86(struct interp *c, enum cpu_sreg s, uint16_t sel);
/* A flat segment as SYSCALL and SYSENTER make it. */
void seg_set_flat(struct interp *c, enum cpu_sreg s, uint16_t sel, uint32_t attr);

/* ---- far transfers: sys_far.c, sys_task.c, sys_exc.c ------------------------------------ */

/* #GP(0) unless OFF lies in the code segment. */
void far_check_offset(struct interp *c, const struct desc *cs, uint64_t off);
void far_set_cs(struct interp *c, uint16_t sel, unsigned cpl, const struct desc *d);
/* Target of a return to RPL of SEL, not more privileged than CPL. */
void far_check_return(struct interp *c, uint16_t sel, struct desc *ret_d);
/* SS of a return to an outer ring or (64-bit IRET) the same; false = allowed null. */
bool far_check_return_ss(struct interp *c, uint16_t ss, unsigned pl, bool code64,
			 struct desc *ret_d);
/* Loads the outer stack and drops data segments the outer ring may not hold. */
void far_to_outer(struct interp *c, uint16_t ss, const struct desc *d, uint64_t sp, unsigned pl);

enum task_src { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };
/* D is a checked TSS descriptor.  Sets rip and next_rip. */
void sys_task_switch(struct interp *c, uint16_t sel, struct desc *d, enum task_src src,
		     uint64_t ret_rip);
/* Fetches and checks the TSS of a task gate, a far JMP or CALL. */
void sys_task_check(struct interp *c, uint16_t sel, struct desc *ret_d);
/* Raises #DB when the TSS just entered has its T bit set. */
void sys_task_debug(struct interp *c);

/* A software interrupt from inside its handler: next_rip is the address to push. */
void sys_soft_int(struct interp *c, unsigned vector, enum deliver_kind kind);

/* ---- modes and registers ---------------------------------------------------------------- */

/* PAE paging is or comes on: #GP(0) when the PDPTEs at CR3 have reserved bits. */
void sys_check_pdptes(struct interp *c, uint64_t cr3);
void sys_write_efer(struct interp *c, uint64_t v);
void sys_write_cr0(struct interp *c, uint64_t v);
/* #GP(0) unless CPL is 0 (and not v8086). */
static inline void sys_need_cpl0(struct interp *c)
{
	if (c->cpl != 0)
		interp_gp(c);
}

bool sys_is_intel(const struct interp *c);

/* MISC_ENABLE: CPUID ends at leaf 2; the model's NX is hidden. */
#define MISC_LIMIT_CPUID (UINT64_C(1) << 22)
#define MISC_XD_DISABLE (UINT64_C(1) << 34)

/* A CPUID feature bit of the model: leaf, register 0..3, bit. */
#define FEAT(leaf, reg, bit) ((uint64_t)(uint32_t)(leaf) << 32 | (reg) << 8 | (bit))
#define FEAT_DE FEAT(1, 3, 2)
#define FEAT_PSE FEAT(1, 3, 3)
#define FEAT_TSC FEAT(1, 3, 4)
#define FEAT_PAE FEAT(1, 3, 6)
#define FEAT_MCE FEAT(1, 3, 7)
#define FEAT_SEP FEAT(1, 3, 11)
#define FEAT_MTRR FEAT(1, 3, 12)
#define FEAT_PGE FEAT(1, 3, 13)
#define FEAT_MCA FEAT(1, 3, 14)
#define FEAT_PAT FEAT(1, 3, 16)
#define FEAT_FXSR FEAT(1, 3, 24)
#define FEAT_SSE FEAT(1, 3, 25)
#define FEAT_PCID FEAT(1, 2, 17)
#define FEAT_XSAVE FEAT(1, 2, 26)
#define FEAT_FSGSBASE FEAT(7, 1, 0)
#define FEAT_TSC_ADJUST FEAT(7, 1, 1)
#define FEAT_SMEP FEAT(7, 1, 7)
#define FEAT_SMAP FEAT(7, 1, 20)
#define FEAT_UMIP FEAT(7, 2, 2)
#define FEAT_PKU FEAT(7, 2, 3)
#define FEAT_PKS FEAT(7, 2, 31)
#define FEAT_LA57 FEAT(7, 2, 16)
#define FEAT_RDPID FEAT(7, 2, 22)
#define FEAT_SPEC_CTRL FEAT(7, 3, 26)
#define FEAT_STIBP FEAT(7, 3, 27)
#define FEAT_SSBD FEAT(7, 3, 31)
#define FEAT_ARCH_CAP FEAT(7, 3, 29)
#define FEAT_SYSCALL FEAT(0x80000001, 3, 11)
#define FEAT_NX FEAT(0x80000001, 3, 20)
#define FEAT_RDTSCP FEAT(0x80000001, 3, 27)
#define FEAT_LM FEAT(0x80000001, 3, 29)
bool sys_has(const struct interp *c, uint64_t feat);

static inline uint64_t sys_tsc(const struct interp *c) { return cpu_host_tsc() + c->tsc_offset; }

/* ---- handlers, named in the table of sys_bind.c ----------------------------------------- */

insn_fn sys_mov_from_cr, sys_mov_to_cr, sys_mov_from_dr, sys_mov_to_dr, sys_lmsw, sys_smsw,
	sys_clts, sys_invlpg, sys_invpcid, sys_wbinvd;
insn_fn sys_rdmsr, sys_wrmsr;
insn_fn sys_rdpkru, sys_wrpkru;
insn_fn sys_clac, sys_stac, sys_xgetbv, sys_xsetbv, sys_rdfsbase, sys_rdgsbase, sys_wrfsbase,
	sys_wrgsbase, sys_swapgs, sys_rdtsc, sys_rdtscp, sys_rdpmc, sys_rdpid, sys_cpuid, sys_hlt,
	sys_vmcall, sys_undefined, sys_serialize;
insn_fn sys_syscall, sys_sysret, sys_sysenter, sys_sysexit;
insn_fn sys_mov_from_sreg, sys_mov_to_sreg, sys_push_sreg, sys_pop_sreg, sys_lfp;
insn_fn sys_lgdt, sys_lidt, sys_sgdt, sys_sidt, sys_lldt, sys_ltr, sys_sldt, sys_str, sys_lar,
	sys_lsl, sys_verr, sys_verw, sys_arpl;
insn_fn sys_jmp_far, sys_call_far, sys_ret_far, sys_iret, sys_int, sys_int3, sys_int1, sys_into;
insn_fn sys_pushf, sys_popf, sys_cli, sys_sti;
insn_fn sys_in, sys_out, sys_ins, sys_outs;

#endif
