/*
 * scan.h - a run of guest instructions, understood
 */
#ifndef CPU_BT_SCAN_H
#define CPU_BT_SCAN_H

#include "cpu/bt/bt.h"

enum scan_class {
	SCAN_COPY,		/* the host runs it, with other registers and addresses */
	SCAN_NOP,
	SCAN_JCC, SCAN_JMP, SCAN_CALL, SCAN_JMP_IND, SCAN_CALL_IND, SCAN_RET,
	SCAN_PUSH, SCAN_POP, SCAN_LEAVE,
	SCAN_REP,		/* STOS or MOVS: rep.c */
	SCAN_SYS,		/* code of our own: system.c */
	SCAN_INTERP,		/* its handler runs it */
};

enum scan_role { ROLE_NONE, ROLE_GPR, ROLE_OTHER };

/* A register field of the encoding. */
struct scan_reg {
	uint8_t role;		/* ROLE_GPR: N is a guest register that lives elsewhere */
	uint8_t n;
	bool hi;		/* bits 8 to 15 of it */
	bool in, out;		/* must be there before, has changed after */
};

struct scan_mem {
	uint8_t on;		/* 0 none, 1 an access, 2 LEA: the address only, 3 REP */
	uint16_t size;		/* bytes, 1..32; of a whole group more */
	bool write;
	int8_t base, index;	/* guest registers, H_NONE */
	uint8_t scale;
	int8_t seg;		/* CPU_FS, CPU_GS or -1: base 0 */
	bool a32;		/* 32-bit addressing */
	bool fixed;		/* no register: DISP is the linear address */
	int64_t disp;
	int8_t group;		/* group.c: answered for by that check; or -1 */
	int16_t from;		/* bytes behind the first of the group */
};

struct scan_insn {
	uint8_t cls;
	uint8_t len;
	uint16_t off;		/* from the block's beginning */
	uint64_t next;		/* linear address behind it */
	struct insn in;		/* for its handler */
	uint16_t f_read, f_kill;	/* arithmetic flags: used, overwritten for certain */
	uint16_t f_undef;	/* left undefined */
	uint16_t live;		/* flags someone may use, before the instruction */
	bool fp;
	bool fpu_handler;	/* its handler uses FPU state */
	/* encoding */
	bool vex, lock, p66, rexw, vexl, force_rex, has_modrm;
	uint8_t rep;		/* 0xf2, 0xf3: part of the opcode */
	uint8_t map;		/* 0 one byte, 1 0F, 2 0F38, 3 0F3A */
	uint8_t opcode, modrm, pp;
	uint8_t imm_len;
	const uint8_t *imm;
	struct scan_reg reg, rm, vvvv, oreg;
	bool hi8;		/* AH, CH, DH or BH: no REX allowed */
	bool bits;		/* BT and the like: MEM is the first word of a string of bits */
	bool rcx_in, rcx_out;	/* an operand that is not encoded */
	struct scan_mem mem;
	struct scan_mem stk;	/* the stack slot that is pushed or popped */
	uint16_t gpr_out;	/* guest registers that change, a bit each [SCAN_COPY] */
	uint64_t target;	/* of a direct branch */
	uint8_t cond;
	int64_t imm_val;	/* of PUSH imm, RET imm */
};

/* One check for accesses at known distances, before instruction AT. */
struct scan_group {
	struct scan_mem all;
	uint8_t at;
};

/* An encoding without its displacement and immediate, and what it means: memo.c. */
#define SCAN_KEY 16u
#define SCAN_MEMOS 8192u

struct scan_memo {
	uint8_t key[SCAN_KEY];
	struct scan_insn insn;
};

struct scan {
	struct scan_group group[BT_MAX_GROUPS];
	unsigned nr_groups;
	struct scan_insn insn[BT_MAX_INSNS];
	unsigned nr, bytes;
	bool fp, unrolled;
	/* Bytes behind the last are read, not used. */
	uint8_t copy[BT_MAX_BYTES + INSN_MAX_BYTES], behind[INSN_MAX_BYTES + 8];
	struct scan_memo memo[SCAN_MEMOS];
};

/*
 * Decodes from LIN, whose page's bytes are at HVA, up to the end of the page or
 * the first instruction that always leaves.  nr = 0: the first crosses the page;
 * then the same with HVA2, the bytes of the next page, goes on into that.
 * UNROLL: a loop from LIN to LIN is taken several times over.
 */
void scan_block(const struct decoder *d, uint64_t lin, const uint8_t *hva, const uint8_t *hva2,
		unsigned mode, bool unroll, struct scan *ret_s);

/* What was remembered of the instruction at B, which lies at LIN: true, and all but off. */
bool scan_recall(struct scan *s, const uint8_t *b, unsigned room, uint64_t lin, unsigned mode,
		 struct scan_insn *ret_i);
/* Z and I are what decoding it gave. */
void scan_remember(struct scan *s, const uint8_t *b, unsigned room, unsigned mode,
		   const struct zin *z, const struct scan_insn *i);

/*
 * S ends with a branch back to its beginning.  When it is a short loop that uses memory:
 * true, and S has the rounds one behind the other, each but the last with a branch out.
 */
bool scan_unroll(struct scan *s);

/* ---- operands, and the classes that are not copies (scan_flow.c) --------------------- */

/* The number of a general register; one operand in memory: false, only its handler can. */
uint8_t scan_gpr(ZydisRegister r);
bool scan_memory(const struct zin *z, const ZydisDecodedOperand *op, struct scan_insn *s);

/* True: S has the class, and all that belongs to it. */
bool scan_branch(const struct zin *z, struct scan_insn *s);
bool scan_stack(const struct zin *z, struct scan_insn *s);
bool scan_rep(const struct zin *z, unsigned mode, struct scan_insn *s);
bool scan_system(unsigned mode, struct scan_insn *s);

/* Whether two scratch registers are enough, with the guest registers IN_MEMORY (bits) there. */
bool scan_fits(const struct scan_insn *s, unsigned in_memory);

/*
 * Lock step: instructions that use flags which the manual leaves undefined, and
 * random numbers, go to their handlers: two processors may differ there.
 */
void scan_undefined(struct scan *s);
/* Finds groups among the accesses, or says there are none. */
void scan_groups(struct scan *s);
void scan_no_groups(struct scan *s);

#endif
