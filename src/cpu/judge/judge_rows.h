/*
 * judge_rows.h - a row of opcodes for the generator
 */
#ifndef CPU_JUDGE_JUDGE_ROWS_H
#define CPU_JUDGE_JUDGE_ROWS_H

#include "cpu/judge/judge.h"

enum {
	FAM_ALU, FAM_UNARY, FAM_SHIFT, FAM_MULDIV, FAM_BIT, FAM_V2, FAM_ATOMIC, FAM_MOV,
	FAM_COND, FAM_FLAG, FAM_HINT, FAM_STACK, FAM_BRANCH, FAM_STRING, FAM_LEGACY, FAM_SEQ,
	FAM_X87, FAM_X87ENV,
	FAM_MMX, FAM_SSE, FAM_SSEINT, FAM_SSE3, FAM_SSE4,
	FAM_CRYPTO, FAM_AVX, FAM_AVXINT, FAM_FMA, FAM_AVXMEM, FAM_BMI, FAM_NR,
};

enum { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX_0F, MAP_VEX_0F38, MAP_VEX_0F3A };

enum {
	PRE_ANY,	/* any of the legacy prefixes, at random */
	PRE_NONE,	/* neither 66, F2 nor F3: they select other instructions */
	PRE_66, PRE_F2, PRE_F3,
	PRE_SSE,	/* one of none, 66, F2, F3: an instruction each */
	PRE_REP,	/* F2 or F3 more often than not */
};

enum {
	ROW_MODRM = 1, ROW_LOCK = 2, ROW_REG_ONLY = 4,
	ROW_32 = 8,	/* not in 64-bit mode */
	ROW_MEM_ONLY = 16,
};

struct row {
	uint8_t family, map, prefix, lo, hi;
	uint8_t regs;		/* a bit for each value of ModRM.reg allowed */
	uint8_t flags;
};

/* A random row of F; and an instruction of ROW, near register RM (-1: any) where it uses memory. */
const struct row *gen_row(struct rng *r, const struct family *f);
bool gen_try(struct rng *r, const struct gen *n, const struct row *row, int rm, struct gcase *g);
/* judge_seq.c */
void gen_sequence(struct rng *r, const struct gen *gen, struct gcase *ret_g);
void seq_state(struct rng *r, const struct gcase *g, struct state *s);

extern const struct row rows[];
extern const unsigned nr_rows;

#endif
