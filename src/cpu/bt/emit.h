/*
 * emit.h - bytes of x86-64 instructions
 *
 * Only what the translator says itself; guest instructions are copied with
 * other registers (copy.c).  Everything the code refers to lies below 2 GiB, so
 * an absolute address is a 32-bit displacement and a pointer a 32-bit immediate.
 */
#ifndef CPU_BT_EMIT_H
#define CPU_BT_EMIT_H

#include "base/base.h"

enum {
	H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI,
	H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14, H_R15,
	H_NONE = -1,
};

/*
 * A cursor in the writable view of the code cache; RX = P + DELTA is where it will run.
 * R15_HOLDS is for who wants to know whether R15 is still what it was: whatever names
 * it as an operand here, other than in an address, sets -1.
 */
struct em {
	uint8_t *p, *end;
	intptr_t delta;
	int r15_holds;
};

struct mop {			/* a memory operand of the host */
	int base, index;	/* H_NONE */
	unsigned scale;
	int32_t disp;
};

static inline uint8_t *em_rx(const struct em *e)
{
	return e->p + e->delta;
}

static inline void e8(struct em *e, unsigned v) { *e->p++ = (uint8_t)v; }

static inline void e32(struct em *e, uint32_t v)
{
	__builtin_memcpy(e->p, &v, 4);
	e->p += 4;
}

static inline void e64(struct em *e, uint64_t v)
{
	__builtin_memcpy(e->p, &v, 8);
	e->p += 8;
}

static inline struct mop m_abs(const void *p)
{
	return (struct mop){ H_NONE, H_NONE, 0, (int32_t)(intptr_t)p };
}

static inline struct mop m_at(int base, int32_t disp)
{
	return (struct mop){ base, H_NONE, 0, disp };
}

static inline struct mop m_sum(int base, int index, int32_t disp)
{
	return (struct mop){ base, index, 0, disp };
}

/* REX bits of a memory operand: X and B. */
static inline unsigned m_rex(struct mop m)
{
	return (m.index >= 8 ? 2u : 0) | (m.base >= 8 ? 1u : 0);
}

/* ModRM, SIB and displacement; REG is 0..7 or a register. */
static inline void e_modrm_mem(struct em *e, unsigned reg, struct mop m)
{
	unsigned mod = m.base == H_NONE ? 0 : m.disp == 0 && (m.base & 7) != 5 ? 0 :
		       m.disp == (int8_t)m.disp ? 1 : 2;

	if (m.base != H_NONE && m.index == H_NONE && (m.base & 7) != 4) {
		e8(e, mod << 6 | (reg & 7) << 3 | ((unsigned)m.base & 7));
	} else {
		e8(e, mod << 6 | (reg & 7) << 3 | 4);
		e8(e, m.scale << 6 | (m.index == H_NONE ? 4u : (unsigned)m.index & 7) << 3 |
		      (m.base == H_NONE ? 5u : (unsigned)m.base & 7));
	}
	if (m.base == H_NONE || mod == 2)
		e32(e, (uint32_t)m.disp);
	else if (mod == 1)
		e8(e, (unsigned)m.disp);
}

static inline void e_names(struct em *e, int reg)
{
	if (reg == H_R15)
		e->r15_holds = -1;
}

/* One-byte opcodes only. */
static inline void e_rm(struct em *e, bool w, unsigned op, int reg, struct mop m)
{
	unsigned rex = (w ? 8u : 0) | (reg >= 8 ? 4u : 0) | m_rex(m);

	e_names(e, reg);
	if (rex)
		e8(e, 0x40 | rex);
	e8(e, op);
	e_modrm_mem(e, (unsigned)reg, m);
}

static inline void e_rr(struct em *e, bool w, unsigned op, int reg, int rm)
{
	unsigned rex = (w ? 8u : 0) | (reg >= 8 ? 4u : 0) | (rm >= 8 ? 1u : 0);

	e_names(e, reg);
	e_names(e, rm);
	if (rex)
		e8(e, 0x40 | rex);
	e8(e, op);
	e8(e, 0xc0u | ((unsigned)reg & 7) << 3 | ((unsigned)rm & 7));
}

static inline void e_load(struct em *e, int reg, struct mop m) { e_rm(e, true, 0x8b, reg, m); }
static inline void e_store(struct em *e, struct mop m, int reg) { e_rm(e, true, 0x89, reg, m); }
static inline void e_lea32(struct em *e, int reg, struct mop m) { e_rm(e, false, 0x8d, reg, m); }
static inline void e_mov(struct em *e, int dst, int src) { e_rr(e, true, 0x89, src, dst); }

static inline void e_lea(struct em *e, int reg, struct mop m)
{
	if (m.index == H_NONE && m.disp == 0 && m.base != H_NONE)
		e_mov(e, reg, m.base);
	else
		e_rm(e, true, 0x8d, reg, m);
}

/* The shortest move of a constant; flags stay. */
static inline void e_imm(struct em *e, int reg, uint64_t v)
{
	unsigned b = reg >= 8 ? 1u : 0;

	e_names(e, reg);
	if (v == (uint32_t)v) {
		if (b)
			e8(e, 0x41);
		e8(e, 0xb8 | ((unsigned)reg & 7));
		e32(e, (uint32_t)v);
	} else if (v == (uint64_t)(int64_t)(int32_t)v) {
		e8(e, 0x48 | b);
		e8(e, 0xc7);
		e8(e, 0xc0 | ((unsigned)reg & 7));
		e32(e, (uint32_t)v);
	} else {
		e8(e, 0x48 | b);
		e8(e, 0xb8 | ((unsigned)reg & 7));
		e64(e, v);
	}
}

/* add or and cmp xor with a 32-bit immediate: /EXT of opcode 81 */
static inline void e_alu_imm(struct em *e, bool w, unsigned ext, int reg, int32_t v)
{
	unsigned rex = (w ? 8u : 0) | (reg >= 8 ? 1u : 0);

	e_names(e, reg);
	if (rex)
		e8(e, 0x40 | rex);
	e8(e, v == (int8_t)v ? 0x83 : 0x81);
	e8(e, 0xc0u | ext << 3 | ((unsigned)reg & 7));
	if (v == (int8_t)v)
		e8(e, (unsigned)v);
	else
		e32(e, (uint32_t)v);
}

/* cmp [m], imm */
static inline void e_cmp_mem_imm(struct em *e, bool w, struct mop m, int32_t v)
{
	e_rm(e, w, v == (int8_t)v ? 0x83 : 0x81, 7, m);
	if (v == (int8_t)v)
		e8(e, (unsigned)v);
	else
		e32(e, (uint32_t)v);
}

/* mov qword [m], sign-extended imm32 */
static inline void e_store_imm(struct em *e, struct mop m, int32_t v)
{
	e_rm(e, true, 0xc7, 0, m);
	e32(e, (uint32_t)v);
}

/* Three-byte VEX, map 0F38 (2) or 0F3A (3), W1, L0: RORX, PEXT, SHRX. */
static inline void e_vex(struct em *e, unsigned map, unsigned pp, unsigned op, int reg, int vvvv,
			 struct mop m)
{
	e_names(e, reg);
	e8(e, 0xc4);
	e8(e, ((reg >= 8 ? 0u : 0x80) | (m.index >= 8 ? 0u : 0x40) | (m.base >= 8 ? 0u : 0x20)) | map);
	e8(e, 0x80u | (~(unsigned)vvvv & 15) << 3 | pp);
	e8(e, op);
	e_modrm_mem(e, (unsigned)reg, m);
}

static inline void e_rorx(struct em *e, int dst, int src, unsigned n)
{
	e_names(e, dst);
	e8(e, 0xc4);
	e8(e, (dst >= 8 ? 0u : 0x80) | 0x40 | (src >= 8 ? 0u : 0x20) | 3);
	e8(e, 0x80 | 15u << 3 | 3);
	e8(e, 0xf0);
	e8(e, 0xc0u | ((unsigned)dst & 7) << 3 | ((unsigned)src & 7));
	e8(e, n);
}

static inline void e_pext(struct em *e, int dst, int src, struct mop mask)
{
	e_vex(e, 2, 2, 0xf5, dst, src, mask);
}

static inline void e_not(struct em *e, int reg)
{
	e_names(e, reg);
	e8(e, 0x48 | (reg >= 8 ? 1u : 0));
	e8(e, 0xf7);
	e8(e, 0xd0 | ((unsigned)reg & 7));
}

static inline void e_shr(struct em *e, int reg, unsigned n)
{
	e_names(e, reg);
	e8(e, 0x48 | (reg >= 8 ? 1u : 0));
	e8(e, 0xc1);
	e8(e, 0xe8u | ((unsigned)reg & 7));
	e8(e, n);
}

static inline void e_cmov(struct em *e, unsigned cond, int dst, int src)
{
	e_names(e, dst);
	e8(e, 0x48 | (dst >= 8 ? 4u : 0) | (src >= 8 ? 1u : 0));
	e8(e, 0x0f);
	e8(e, 0x40 | cond);
	e8(e, 0xc0u | ((unsigned)dst & 7) << 3 | ((unsigned)src & 7));
}

/* The 32-bit displacement at P (writable view) of a jump or call now leads to TARGET (RX). */
static inline void em_patch(uint8_t *p, intptr_t delta, const uint8_t *target)
{
	int32_t rel = (int32_t)(target - (p + delta + 4));

	__atomic_store_n((int32_t *)(void *)p, rel, __ATOMIC_RELAXED);
}

/* jmp, jcc: return where the displacement is. */
static inline uint8_t *e_jmp(struct em *e)
{
	e8(e, 0xe9);
	e32(e, 0);
	return e->p - 4;
}

static inline uint8_t *e_jcc(struct em *e, unsigned cond)
{
	e8(e, 0x0f);
	e8(e, 0x80 | cond);
	e32(e, 0);
	return e->p - 4;
}

static inline void e_jmp_to(struct em *e, const uint8_t *target)
{
	em_patch(e_jmp(e), e->delta, target);
}

/* Jumps on RCX that leave the flags alone: by JRCXZ, which is short, around a long one. */
static inline uint8_t *e_jmp_unless_rcx_zero(struct em *e)
{
	e8(e, 0xe3);
	e8(e, 5);
	return e_jmp(e);
}

static inline uint8_t *e_jmp_if_rcx_zero(struct em *e)
{
	e8(e, 0xe3);
	e8(e, 2);
	e8(e, 0xeb);
	e8(e, 5);
	return e_jmp(e);
}

#define CC_C 2u
#define CC_Z 4u
#define CC_NZ 5u
#define CC_A 7u

/* One less in the 32-bit word at M, and a jump when that makes zero.  QUIET: RCX goes, flags stay. */
static inline uint8_t *e_count_down(struct em *e, struct mop m, bool quiet)
{
	if (!quiet) {
		e_rm(e, false, 0x83, 5, m);		/* sub dword, 1 */
		e8(e, 1);
		return e_jcc(e, CC_Z);
	}
	e_rm(e, false, 0x8b, H_RCX, m);
	e_lea32(e, H_RCX, m_at(H_RCX, -1));
	e_rm(e, false, 0x89, H_RCX, m);
	return e_jmp_if_rcx_zero(e);
}

#endif
