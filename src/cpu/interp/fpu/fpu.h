/*
 * fpu.h - inside the floating-point and vector family
 *
 * For files of cpu/interp/fpu only.
 *
 * The host is an x86-64 too, so its own units compute: every instruction has a
 * thunk, a few bytes of assembly that are the very instruction with its
 * operands in host registers.  A thunk has the C calling convention, so the
 * handlers around it only fetch, call and commit.  The binder leaves the
 * thunk's address in in->imm; an immediate operand has already chosen one of
 * up to 256 thunks by then.
 */
#ifndef CPU_INTERP_FPU_FPU_H
#define CPU_INTERP_FPU_FPU_H

#include "cpu/interp/interp.h"

#include <emmintrin.h>
#include <string.h>

/* [SDM 1] table 10-2, the 64-bit layout; the state lives in it all the time. */
struct fxsave {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved1;		/* one bit a register, by physical number: 1 = not empty */
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];		/* ST(0) first, so where TOP says; MMX: the same, with TOP 0 */
	__m128i xmm[16];
	uint8_t reserved2[96];
};

_Static_assert(sizeof(struct fxsave) == 512, "[SDM 1] table 10-2");
_Static_assert(offsetof(struct fxsave, st) == 32, "[SDM 1] table 10-2");
_Static_assert(offsetof(struct fxsave, xmm) == 160, "[SDM 1] table 10-2");

#define FSW_ES 0x0080u
#define FSW_B 0x8000u
#define FSW_C1 0x0200u
#define FSW_CODES 0x4700u
#define FSW_TOP 0x3800u
#define FSW_TOP_SHIFT 11
#define FCW_WRITABLE 0x1f3fu		/* bit 6 reads as one, the others as zero */
#define FCW_ONE 0x0040u
#define FPU_FLAGS 0x3fu			/* IE DE ZE OE UE PE, in FSW, FCW and MXCSR */

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_MASKS 0x1f80u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_FZ 0x8000u
#define MXCSR_CONTROL 0xe040u		/* FZ, RC, DAZ */
/* Other bits only come from registers set from outside, and must not reach the host. */
#define MXCSR_WRITABLE 0xffffu
enum { FL_IE = 1, FL_DE = 2, FL_ZE = 4, FL_OE = 8, FL_UE = 16, FL_PE = 32 };

static inline struct fxsave *fx(struct interp *c)
{
	return (struct fxsave *)(void *)c->xsave;
}

/* ---- may this class of instruction run?  [SDM 3] table 2-2, 13.1 ------------------------ */

NORETURN void sse_refuse(struct interp *c);
void mmx_refuse(struct interp *c);
/* An error is pending: raises, freezes, or hides it from this instruction. */
void x87_report(struct interp *c);

static inline void sse_gate(struct interp *c)
{
	if (unlikely((c->cr0 & (X86_CR0_EM | X86_CR0_TS)) | (~c->cr4 & X86_CR4_OSFXSR)))
		sse_refuse(c);
}

static inline bool x87_pending(struct interp *c)
{
	return fx(c)->fsw & ~fx(c)->fcw & FPU_FLAGS;
}

/* MMX and the SSE instructions on MMX registers: #UD, #NM, #MF in this order. */
static inline void mmx_gate(struct interp *c)
{
	if (unlikely((c->cr0 & (X86_CR0_EM | X86_CR0_TS)) || x87_pending(c)))
		mmx_refuse(c);
}

static inline void x87_gate(struct interp *c)
{
	if (unlikely(c->cr0 & (X86_CR0_EM | X86_CR0_TS)))
		interp_raise(c, X86_NM);
}

static inline void x87_wait(struct interp *c)
{
	if (unlikely(x87_pending(c)))
		x87_report(c);
}

/* ---- operands --------------------------------------------------------------------------- */

/* Linear address without checks: for alignment only. */
static inline uint64_t fpu_linear(const struct interp *c, const struct insn *in, uint64_t ea)
{
	if (c->code64 && in->seg != CPU_FS && in->seg != CPU_GS)
		return ea;
	return ea + c->seg[in->seg].base;
}

static inline void fpu_align(struct interp *c, const struct insn *in, uint64_t ea, unsigned to)
{
	if (unlikely(fpu_linear(c, in, ea) & (to - 1)))
		interp_gp(c);
}

static inline __m128i load_x16u(struct interp *c, const struct insn *in)
{
	__m128i v;

	interp_load_n(c, in->seg, insn_ea(c, in), &v, sizeof(v));
	return v;
}

static inline __m128i load_x16(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	__m128i v;

	fpu_align(c, in, ea, 16);
	interp_load_n(c, in->seg, ea, &v, sizeof(v));
	return v;
}

/* 1, 2, 4 or 8 bytes, the rest zero. */
static inline __m128i load_x(struct interp *c, const struct insn *in, unsigned size)
{
	return _mm_cvtsi64_si128((long long)interp_load(c, in->seg, insn_ea(c, in), size));
}

static inline void store_x16(struct interp *c, const struct insn *in, uint64_t ea, __m128i v)
{
	interp_store_n(c, in->seg, ea, &v, sizeof(v));
}

/* ---- the x87 registers as MMX registers (mmx.c) ----------------------------------------- */

/* TOP becomes 0 with the registers where they were: the image is by ST number. */
void x87_rotate(struct interp *c, unsigned new_top);

static inline void mmx_enter(struct interp *c)
{
	struct fxsave *f = fx(c);

	if (unlikely(f->fsw & FSW_TOP))
		x87_rotate(c, 0);
	f->ftw = 0xff;
}

static inline uint64_t mm_get(struct interp *c, unsigned r)
{
	uint64_t v;

	memcpy(&v, fx(c)->st[r], 8);
	return v;
}

static inline void mm_set(struct interp *c, unsigned r, uint64_t v)
{
	memcpy(fx(c)->st[r], &v, 8);
	memset(fx(c)->st[r] + 8, 0xff, 2);
}

/* ---- MXCSR (sse_fp.c, sse_unmask.c) ----------------------------------------------------- */

static inline uint32_t host_mxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v) : : "memory");
	return v;
}

static inline void host_set_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v) : "memory");
}

/* What may overflow or underflow: the elements of the result, and how they came about. */
enum fp_kind { FP_NONE, FP_PS, FP_SS, FP_PD, FP_SD, FP_PS_LOW, FP_HALF };
enum fp_op {
	FP_OTHER, FP_ADD, FP_SUB, FP_ADDSUB, FP_HADD, FP_HSUB, FP_MUL, FP_DIV, FP_NARROW, FP_DP,
	/* a product and a third operand: D * S + T and its signs */
	FP_FMADD, FP_FMSUB, FP_FNMADD, FP_FNMSUB, FP_FMADDSUB, FP_FMSUBADD,
};

struct fp_what {
	enum fp_kind kind;
	enum fp_op op;
};

/* Operands and result, in N pieces of 16 bytes; T only of FP_FM*. */
struct fp_lanes {
	unsigned n;
	const __m128i *d, *s, *t, *r;
};

void fp_begin_unmasked(struct interp *c);
void fp_end_unmasked(struct interp *c, struct fp_what w, const struct fp_lanes *l);
/* Raises what a dot product by IMM of N pieces raises. */
void fp_dot_unmasked(struct interp *c, bool dbl, uint8_t imm, unsigned n, const __m128i *d,
		     const __m128i *s);

static inline bool fp_all_masked(struct interp *c)
{
	return (fx(c)->mxcsr & MXCSR_MASKS) == MXCSR_MASKS;
}

/*
 * The quick way.  With the guest's controls at their defaults the host's are
 * the same; only the sticky flags of the host are not the guest's.  So the
 * instruction simply runs, and if afterwards the host shows no flag that the
 * guest does not have already, nothing happened.  Else, or if the flag was an
 * old one of the host's own, it runs again between fp_begin and fp_end.
 */
static inline bool fp_quick(struct interp *c)
{
	return likely((fx(c)->mxcsr & (MXCSR_MASKS | MXCSR_CONTROL)) == MXCSR_MASKS);
}

static inline bool fp_nothing_new(struct interp *c)
{
	return likely(!(host_mxcsr() & ~fx(c)->mxcsr));
}

/*
 * Between fp_begin and fp_end the host computes by the guest's MXCSR, all
 * exceptions masked.  No handler raises anything in between.
 */
static inline void fp_begin(struct interp *c)
{
	if (unlikely(!fp_all_masked(c)))
		fp_begin_unmasked(c);
	else
		host_set_mxcsr(fx(c)->mxcsr & MXCSR_WRITABLE);
}

/* Merges the flags; raises what the guest did not mask.  Call before anything is committed. */
static inline void fp_end(struct interp *c, struct fp_what w, const struct fp_lanes *l)
{
	uint32_t g = fx(c)->mxcsr;

	if (unlikely(!fp_all_masked(c))) {
		fp_end_unmasked(c, w, l);
		return;
	}
	fx(c)->mxcsr = g | (host_mxcsr() & FPU_FLAGS);
	if (unlikely(g & MXCSR_CONTROL))
		host_set_mxcsr(MXCSR_DEFAULT);
}

/* For what neither overflows nor underflows. */
static inline void fp_end_plain(struct interp *c)
{
	static const struct fp_lanes none;

	fp_end(c, (struct fp_what){ FP_NONE, FP_OTHER }, &none);
}

/* R = CALL, a call of a thunk that neither overflows nor underflows. */
#define FP_RUN(c, r, call) \
	do { \
		if (fp_quick(c)) { \
			(r) = (call); \
			if (fp_nothing_new(c)) \
				break; \
		} \
		fp_begin(c); \
		(r) = (call); \
		fp_end_plain(c); \
	} while (0)

/* ---- thunks ----------------------------------------------------------------------------- */

typedef __m128i xop_fn(__m128i d, __m128i s);
typedef uint64_t mop_fn(uint64_t d, uint64_t s);

#define THUNK_SECTION ".pushsection .text.fpu_thunks,\"ax\",@progbits\n\t.balign 16\n"
#define THUNK_HIDDEN __attribute__((visibility("hidden")))

/* xmm0 = INS(xmm0, xmm1).  Assemblers do not mind capitals. */
#define THUNK_X(INS) \
	__asm__(THUNK_SECTION "th_x_" #INS ": " #INS " %xmm1, %xmm0\n\tret\n\t.popsection"); \
	THUNK_HIDDEN __m128i th_x_##INS(__m128i d, __m128i s)

/* The same on MMX registers; the host's x87 is left empty. */
#define THUNK_M(INS) \
	__asm__(THUNK_SECTION "th_m_" #INS ": movq %rdi, %mm0\n\tmovq %rsi, %mm1\n\t" \
		#INS " %mm1, %mm0\n\tmovq %mm0, %rax\n\temms\n\tret\n\t.popsection"); \
	THUNK_HIDDEN uint64_t th_m_##INS(uint64_t d, uint64_t s)

/* NR thunks of 8 bytes each: th_xi_INS + 8 * immediate. */
#define THUNK_XI(INS, NR, OPERANDS) \
	__asm__(THUNK_SECTION "th_xi_" #INS ":\n\t.set fpu_imm, 0\n\t.rept " #NR "\n\t.balign 8\n\t" \
		#INS " $fpu_imm, " OPERANDS "\n\tret\n\t.set fpu_imm, fpu_imm + 1\n\t.endr\n\t" \
		".popsection"); \
	THUNK_HIDDEN extern const char th_xi_##INS[]

#define THUNK_MI(INS, NR) \
	__asm__(THUNK_SECTION "th_mi_" #INS ":\n\t.set fpu_imm, 0\n\t.rept " #NR "\n\t.balign 32\n\t" \
		"movq %rdi, %mm0\n\tmovq %rsi, %mm1\n\t" #INS " $fpu_imm, %mm1, %mm0\n\t" \
		"movq %mm0, %rax\n\temms\n\tret\n\t.set fpu_imm, fpu_imm + 1\n\t.endr\n\t" \
		".popsection"); \
	THUNK_HIDDEN extern const char th_mi_##INS[]

static inline void set_thunk(struct insn *out, const void *p)
{
	out->imm = (uintptr_t)p;
}

#define XOP(in) ((xop_fn *)(uintptr_t)(in)->imm)
#define MOP(in) ((mop_fn *)(uintptr_t)(in)->imm)

/* ---- binders ---------------------------------------------------------------------------- */

/* The kinds of the first two operands, as a pair to switch on. */
enum opnd { OP_NONE, OP_X, OP_M, OP_G, OP_MEM, OP_IMM };
#define PAIR(a, b) ((a) * 8 + (b))

struct forms {
	enum opnd op[3];
	unsigned pair;
	uint8_t imm;		/* the 8-bit immediate, or 0 */
	bool wide;		/* REX.W */
};

bool bind_move(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_int_x(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_imm_x(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_elem(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_fp(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_cvt(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_str(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_mmx(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_sha(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_state(const struct zin *z, const struct forms *f, struct insn *out);
bool bind_x87(const struct zin *z, struct insn *out);

/* Shared handlers: destination XMM reg; source XMM rm, or memory of the size in the name. */
insn_fn xop_rr, xop_m16, xop_m8, xop_m4, xop_m2;

/* x87.c: the full way, for every instruction; and what the quick way needs. */
insn_fn x87_reg, x87_compare, x87_store;
void x87_load_full(struct interp *c, const struct insn *in, uint8_t buf[16]);
void x87_fetch(struct interp *c, const struct insn *in, uint8_t buf[16]);
void x87_put(struct interp *c, const struct insn *in, const uint8_t buf[16]);
/* Keeps FOP, FIP and FDP. */
void x87_note(struct interp *c, const struct insn *in);
uint64_t x87_reg_stub(unsigned opcode, unsigned modrm);
uint64_t x87_mem_stub(unsigned opcode, unsigned reg);

/* x87_quick.c: put a quicker handler in OUT where there is one. */
void x87_quicken_reg(struct insn *out, unsigned op, unsigned modrm);
void x87_quicken_mem(struct insn *out, unsigned op, unsigned reg);

/* x87 control (x87_env.c) */
bool bind_x87_env(const struct zin *z, struct insn *out);
/* Sets ES and B by the flags and masks. */
void x87_summary(struct fxsave *f);
void x87_init_state(struct fxsave *f);

#endif
