/*
 * judge.h - inside the judge: one case, its state, who makes and runs it
 *
 * A case is one instruction, or up to a dozen with branches among them, in user
 * mode, 64-bit or compatibility mode, with all registers and the memory around
 * it.  It runs on the host's processor and on a candidate, one of our engines;
 * what they leave must be the same.  Guest linear addresses are host addresses:
 * the sandbox is mapped at the same place in both.
 */
#ifndef CPU_JUDGE_JUDGE_H
#define CPU_JUDGE_JUDGE_H

#include "base/base.h"
#include "cpu/interp/decode.h"

/* ---- the sandbox ------------------------------------------------------------------------ */

#define BOX_BASE UINT64_C(0x500000)

enum box_kind { BOX_NONE, BOX_CODE, BOX_RW, BOX_RO };

/* Pages from BOX_BASE on, so that every border between kinds exists. */
#define BOX_PAGES 11u
extern const uint8_t box_kinds[BOX_PAGES];

static inline uint64_t box_page(unsigned n)
{
	return BOX_BASE + n * PAGE_SIZE;
}

/* ---- state ------------------------------------------------------------------------------ */

#define LEGACY_BYTES 512u
#define FX_YMM 576u		/* upper halves of YMM */
#define FX_BYTES 832u		/* XSAVE's standard form; the header is not looked at */
#define SEQ_INSNS 12u
#define CASE_BYTES (SEQ_INSNS * INSN_MAX_BYTES)
#define WAY_OUT 5u		/* bytes of the jump behind the instruction */
#define NO_FAULT (-1)

struct state {
	uint64_t gpr[16], rip, rflags;
	_Alignas(64) uint8_t fx[FX_BYTES];
};

struct outcome {
	struct state s;
	int vector;		/* or NO_FAULT */
	uint32_t code;		/* error code, where the vector has one */
	uint64_t cr2;		/* of a page fault */
};

struct rng {
	uint64_t s;
};

uint64_t rng_next(struct rng *r);
/* 0 .. n - 1 */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return (uint64_t)((unsigned __int128)rng_next(r) * n >> 64);
}
/* True in PERCENT of calls. */
static inline bool rng_chance(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}

/* ---- cases (judge_gen.c, judge_state.c) ---------------------------------------------------- */

struct gcase {
	const struct family *family;
	enum decode_mode mode;	/* DECODE_64, or DECODE_32 in compatibility mode */
	uint8_t bytes[CASE_BYTES];
	unsigned len;
	bool seq;		/* several instructions, as a block; z is of the last */
	uint64_t at;		/* linear address of its first byte */
	bool rep;		/* may have to be stepped more than once */
	bool branch;
	bool broken;		/* no instruction; z is of the one it was made from */
	uint8_t anchor;		/* [seq] memory is near this register and the one 8 above */
	bool loop;		/* [seq] RCX counts */
	struct zin z;
};

struct family {
	const char *name;
	const char *what;
};
extern const struct family families[];
extern const unsigned nr_families;

struct gen {
	const struct decoder *d;
	bool host[ZYDIS_ISA_SET_MAX_VALUE + 1];	/* what the host has */
};

void gen_open(struct gen *n, const struct decoder *d);
/* A random instruction of family F (NULL: any), in either mode, and where it stands. */
void gen_insn(struct rng *r, const struct gen *n, const struct family *f, struct gcase *ret_g);
/*
 * Registers for it, operands mostly inside the sandbox.  *ret_target: where a
 * branch is to go that loads its target from memory.
 */
void gen_state(struct rng *r, const struct gcase *g, uint64_t gs_base, struct state *ret_s,
	       uint64_t *ret_target);
/* Linear address of memory operand N in state S. */
uint64_t case_address(const struct gcase *g, const struct state *s, unsigned n, uint64_t gs_base);
/* New contents for N bytes; biased to numbers at edges. */
void gen_bytes(struct rng *r, void *dst, size_t n);

/* ---- what need not agree (judge_mask.c) ---------------------------------------------------- */

/* RFLAGS bits that the manuals define after G from state S, which FAULTED or did not. */
uint64_t mask_flags(const struct gcase *g, const struct state *s, bool faulted);
/*
 * Flags that nobody can have seen when the instruction at RIP faults: it would have
 * written them itself, or others do after it before they are used.
 */
uint64_t mask_dead_flags(const struct decoder *d, const struct gcase *g, uint64_t rip);
/* Whether the result itself is undefined: no comparison at all. */
bool mask_case(const struct gcase *g, const struct state *s);
/* Whether x87 and SSE state after a fault is each processor's own affair. */
bool mask_fault_fx(const struct gcase *g);
/* Whether the instruction may leave a flag undefined, but for AF; or C1 of x87. */
bool mask_undefined(const struct gcase *g);
/* Clears what is not compared in an XSAVE image. */
void mask_fx(const struct gcase *g, uint8_t fx[FX_BYTES]);

/* ---- who runs it ------------------------------------------------------------------------- */

/* Host: maps the sandbox.  -errno with *err filled. */
MUST_CHECK int native_open(struct err *err);
/* Catches its faults; after the candidate is there, which may want some of them. */
MUST_CHECK int native_catch(struct err *err);
void native_run(const struct gcase *g, const struct state *in, struct outcome *ret_o);
bool native_has_32(void);	/* whether the host lets us run 32-bit code */
void native_put_code(uint64_t lin, const void *src, unsigned n);
/* The jump from behind the instruction to the way out, WAY_OUT bytes. */
void native_way_out(const struct gcase *g, uint8_t *dst);
uint64_t native_way_out_at(const struct gcase *g);	/* where that goes */
uint64_t native_gs_base(void);

/* One of our engines, in a small machine. */
struct candidate {
	const char *name;
	const char *what;
	const struct cpu_engine *engine;
	bool steps;		/* single instructions are stepped, not run as blocks */
	bool translates;	/* has the faults that doc/design/translator.md knows */
};
extern const struct candidate candidates[];
extern const unsigned nr_candidates;

struct guest;
struct guest *guest_open(const struct candidate *c);
void guest_close(struct guest *j);
void guest_run(struct guest *j, const struct gcase *g, const struct state *in,
	       struct outcome *ret_o);
uint8_t *guest_at(struct guest *j, uint64_t lin);	/* in the sandbox */
/* As code: what was decoded from there before is forgotten. */
void guest_put_code(struct guest *j, uint64_t lin, const void *src, unsigned n);
const struct decoder *guest_decoder(struct guest *j);

#endif
