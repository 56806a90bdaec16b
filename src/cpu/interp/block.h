/*
 * block.h - cached runs of decoded instructions
 */
#ifndef CPU_INTERP_BLOCK_H
#define CPU_INTERP_BLOCK_H

#include "cpu/interp/decode.h"
#include "cpu/interp/mem_priv.h"

#define BLOCK_MAX_INSNS 40u

/* The page (or second page) a block was decoded from. */
struct block_src {
	_Atomic uint32_t *state;
	const uint8_t *hva;		/* of the block's first byte there */
	uint32_t word;			/* of *state, when the copy was known to be right */
	uint32_t bytes;
};

struct interp_block {
	uint64_t key;			/* gpa << 2 | decode_mode; or BLOCK_DEAD */
	struct block_src src;
	uint16_t nr, bytes;
	uint8_t end;			/* END_* of the last instruction */
	uint8_t next_link;
	bool crossing;			/* one instruction that goes on in the next page: src2 */
	struct interp_block *link[2];	/* where it went before: a guess, checked by key */
	struct interp_block *hash_next;	/* up to here one cache line */
	struct block_src src2;		/* [crossing] */
	uint64_t gpa2;
	const uint8_t *copy;		/* source bytes, for comparison */
	struct insn insn[];
};

#define BLOCK_DEAD UINT64_MAX

static inline enum decode_mode block_mode(const struct interp *c)
{
	return c->code64 ? DECODE_64 : c->code32 ? DECODE_32 : DECODE_16;
}

static inline uint64_t block_key(uint64_t gpa, enum decode_mode mode)
{
	return gpa << 2 | mode;
}

/* Whether the bytes are still those decoded, as far as the state word tells. */
static inline bool block_fresh(const struct interp_block *b)
{
	return atomic_load_explicit(b->src.state, memory_order_acquire) == b->src.word;
}

struct interp_cache *interp_cache_new(const struct cpu_model *model);
void interp_cache_free(struct interp_cache *k);
void interp_cache_flush(struct interp_cache *k);
const struct decoder *interp_cache_decoder(const struct interp_cache *k);
/* Changes when all blocks were dropped: pointers from before are dead. */
uint64_t interp_cache_epoch(const struct interp_cache *k);

uint64_t interp_cache_made(const struct interp_cache *k);	/* blocks decoded so far */

/* The block at c->rip, decoded if need be; raises what the fetch raises. */
struct interp_block *interp_block_at(struct interp *c);
/*
 * The same without decoding or raising: NULL unless cached and fresh.  KEY is
 * of a guest address that C may execute.
 */
struct interp_block *interp_block_cached(struct interp *c, uint64_t key);

#endif
