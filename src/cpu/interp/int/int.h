/*
 * int.h - inside the general-purpose family: flags, operands, binders
 *
 * In a bound struct insn of this family `reg` is the register of the first
 * (destination) operand and `rm` that of the second, whichever of them ModRM
 * held where; `osz` is the size of the operation in bytes.
 *
 * For files of cpu/interp/int only.
 */
#ifndef CPU_INTERP_INT_INT_H
#define CPU_INTERP_INT_INT_H

#include "cpu/interp/interp.h"

#define INLINE static inline __attribute__((always_inline))

/* ---- flags ------------------------------------------------------------------------------ */

/* Ends an asm statement whose "=a" output is then what flags_of_host takes. */
#define HOST_FLAGS "lahf\n\tseto %%al"

INLINE uint64_t flags_of_host(uint32_t ax)
{
	return (ax >> 8 & (X86_CF | X86_PF | X86_AF | X86_ZF | X86_SF)) |
	       (uint64_t)(ax & 1) << 11;
}

INLINE void flags_put(struct interp *c, uint64_t mask, uint64_t val)
{
	c->rflags = (c->rflags & ~mask) | (val & mask);
}

INLINE void flags_arith(struct interp *c, uint32_t ax)
{
	c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) | flags_of_host(ax);
}

/* The condition of Jcc, SETcc and CMOVcc; CC is the opcode's low nibble. */
INLINE bool flags_cond(uint64_t f, unsigned cc)
{
	bool lt = ((f >> 7) ^ (f >> 11)) & 1;
	bool r;

	switch (cc >> 1) {
	case 0: r = f & X86_OF; break;
	case 1: r = f & X86_CF; break;
	case 2: r = f & X86_ZF; break;
	case 3: r = f & (X86_CF | X86_ZF); break;
	case 4: r = f & X86_SF; break;
	case 5: r = f & X86_PF; break;
	case 6: r = lt; break;
	default: r = lt || (f & X86_ZF); break;
	}
	return r != (cc & 1);
}

/* ---- operands --------------------------------------------------------------------------- */

INLINE uint64_t size_mask(unsigned size)
{
	return size == 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
}

INLINE int64_t sign_extend(uint64_t v, unsigned size)
{
	unsigned sh = 64 - size * 8;

	return (int64_t)(v << sh) >> sh;
}

INLINE uint64_t mem_get(struct interp *c, const struct insn *in, unsigned size)
{
	return interp_load(c, (enum cpu_sreg)in->seg, insn_ea(c, in), size);
}

INLINE void mem_set(struct interp *c, const struct insn *in, unsigned size, uint64_t v)
{
	interp_store(c, (enum cpu_sreg)in->seg, insn_ea(c, in), size, v);
}

INLINE void mem_begin(struct interp *c, const struct insn *in, struct rmw *m, unsigned size,
		      bool lock)
{
	interp_rmw_begin(c, m, (enum cpu_sreg)in->seg, insn_ea(c, in), size, lock);
}

/* The stack pointer plus N, as wide as the stack is. */
INLINE uint64_t sp_add(const struct interp *c, uint64_t n)
{
	return (c->gpr[CPU_RSP] + n) & interp_sp_mask(c);
}

INLINE void sp_set(struct interp *c, uint64_t v)
{
	if (likely(c->stack_size == 8))
		c->gpr[CPU_RSP] = v;
	else
		reg_set(c, CPU_RSP, c->stack_size, v);
}

/* ---- binding (int_bind.c) --------------------------------------------------------------- */

/* The shape of the first two visible operands. */
enum form {
	FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI,
	FORM_R, FORM_M, FORM_I, FORM_NONE,
	FORM_OTHER,		/* segment, control or vector registers: not ours */
};

/* Fills reg, rm, imm and the memory operand; osz is the first operand's size. */
enum form int_form(const struct zin *z, struct insn *out);
/* 0..15, 0x14..0x17 for AH..BH, or -1: not a general register. */
int int_gpr(const ZydisDecodedOperand *op);
/* The last of the prefixes F2 and F3, or 0. */
uint8_t int_rep(const struct zin *z);
/* 0, 1, 2, 3 for 1, 2, 4, 8 bytes. */
unsigned int_log2(unsigned size);

/* Each binds one row of the table; ARG is the row's.  True when out->fn is set. */
typedef bool int_bind_fn(const struct zin *z, struct insn *out, unsigned arg);

enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST, ALU_NR };
int_bind_fn int_bind_alu;
enum { UN_INC, UN_DEC, UN_NEG, UN_NOT, UN_NR };
int_bind_fn int_bind_unary;
enum { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR, SH_NR };
int_bind_fn int_bind_shift;
enum { SHD_SHLD, SHD_SHRD };
int_bind_fn int_bind_shiftd;
enum { MD_MUL, MD_IMUL, MD_DIV, MD_IDIV };
int_bind_fn int_bind_muldiv;
enum { BT_BT, BT_BTS, BT_BTR, BT_BTC, BT_NR };
int_bind_fn int_bind_bt;
enum { SCAN_BSF, SCAN_BSR, SCAN_POPCNT, SCAN_BSWAP, SCAN_CRC32 };
int_bind_fn int_bind_scan;
/* Up to BMI_SARX with a VEX prefix. */
enum { BMI_ANDN, BMI_BEXTR, BMI_BLSI, BMI_BLSMSK, BMI_BLSR, BMI_BZHI, BMI_MULX, BMI_PDEP, BMI_PEXT,
       BMI_RORX, BMI_SHLX, BMI_SHRX, BMI_SARX,
       BMI_TZCNT, BMI_LZCNT, BMI_ADCX, BMI_ADOX, BMI_RDRAND, BMI_MOVBE };
int_bind_fn int_bind_bmi;
enum { AT_XCHG, AT_XADD, AT_CMPXCHG, AT_CMPXCHG8B, AT_CMPXCHG16B };
int_bind_fn int_bind_atomic;
/* REX.B makes of PAUSE (F3 90) what it makes of NOP (90). */
void int_bind_xchg_r8(const struct zin *z, struct insn *out);
enum { MV_MOV, MV_MOVZX, MV_MOVSX, MV_LEA, MV_XLAT, MV_CMOV, MV_SETCC, MV_MOVNTI };
int_bind_fn int_bind_mov;
enum { CV_CBW, CV_CWDE, CV_CDQE, CV_CWD, CV_CDQ, CV_CQO, CV_LAHF, CV_SAHF, CV_CLC, CV_STC,
       CV_CMC, CV_CLD, CV_STD, CV_SALC, CV_NOP, CV_PAUSE, CV_MFENCE, CV_LFENCE, CV_SFENCE,
       CV_CLFLUSH, CV_UD, CV_BOUND };
int_bind_fn int_bind_misc;
enum { ST_PUSH, ST_POP, ST_PUSHA, ST_POPA, ST_ENTER, ST_LEAVE };
int_bind_fn int_bind_stack;
enum { BR_JMP, BR_CALL, BR_RET, BR_JCC, BR_LOOPNE, BR_LOOPE, BR_LOOP, BR_JCXZ };
int_bind_fn int_bind_branch;
enum { STR_MOVS, STR_STOS, STR_LODS, STR_CMPS, STR_SCAS };
int_bind_fn int_bind_string;
enum { BCD_DAA, BCD_DAS, BCD_AAA, BCD_AAS, BCD_AAM, BCD_AAD };
int_bind_fn int_bind_bcd;

#endif
