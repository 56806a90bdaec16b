/*
 * gmem_cpu.h - guest RAM as the engines in cpu/ see it
 *
 * The one exception to "no pointers": an engine fills its TLB from here.
 * Each page of RAM has a state word: bit 0 says that some engine holds
 * decoded code of the page, the bits from 4 on count the writes since.  Whoever
 * stores to a page whose bit 0 is set adds GMEM_GEN_STEP (gmem_page_written),
 * after the store; whoever decodes sets bit 0, reads the word, then the bytes,
 * and later trusts its copy only while the word is unchanged.
 */
#ifndef MEM_GMEM_CPU_H
#define MEM_GMEM_CPU_H

#include "mem/gmem.h"

#include <stdatomic.h>

#define GMEM_HAS_CODE 1u
#define GMEM_WRITE_CACHED 2u	/* some TLB may hold a right to write without a look here */
#define GMEM_COOLING 4u		/* all shall forget its code; whoever decodes it again clears this */
#define GMEM_READ_ONLY 8u	/* a store is none to this page: treat it as one to a device */
#define GMEM_GEN_STEP 16u

struct gmem_page {
	uint8_t *hva;			/* of the first byte of the page */
	_Atomic uint32_t *state;
};

/* False where GPA is not RAM. */
bool gmem_page_of(struct gmem *m, uint64_t gpa, struct gmem_page *ret_page);

/*
 * Before decoding a page: sets bit 0 and returns the word to compare with
 * later.  The first time for a page it also makes every other thread's stores
 * so far visible (membarrier), because gmem_page_written has no fence: a store
 * still in a store buffer, whose thread saw no code here, is then in the bytes.
 */
uint32_t gmem_page_decoding(_Atomic uint32_t *state);

/*
 * A translator does not look at the words at every block.  It is told: BITS are
 * ORed into *WORD whenever a page with code was written, and the pages since a
 * sequence number are read from a log.  Before the vCPUs run.
 */
MUST_CHECK int gmem_code_listen(struct gmem *m, _Atomic uint32_t *word, uint32_t bits);
void gmem_code_unlisten(struct gmem *m, const _Atomic uint32_t *word);
unsigned gmem_code_listeners(const struct gmem *m);
uint64_t gmem_code_seq(const struct gmem *m);
/* The page state written as number SEQ; NULL when the log has overwritten it: look at all pages. */
_Atomic uint32_t *gmem_code_log(struct gmem *m, uint64_t seq);
/* The listeners and the log, whatever the state word says. */
void gmem_code_notify(struct gmem *m, _Atomic uint32_t *state);
/*
 * A page with code that is only written any more: the first call asks all listeners
 * to forget its code, a later one makes it data, once HAVE_SEEN says that all have
 * read the log up to SEQ, unless it was decoded again meanwhile.
 */
void gmem_code_cool(struct gmem *m, _Atomic uint32_t *state,
		    bool (*have_seen)(void *self, uint64_t seq), void *self);
/*
 * Whether blocks of the page are to be forgotten, whatever its bytes say: also while
 * somebody who decodes it still waits for the last right to write without a look.
 */
static inline bool gmem_code_gone(const _Atomic uint32_t *state)
{
	return (atomic_load(state) & (GMEM_HAS_CODE | GMEM_COOLING | GMEM_WRITE_CACHED)) !=
	       GMEM_HAS_CODE;
}
/* The slow half of gmem_page_written. */
void gmem_code_written(struct gmem *m, _Atomic uint32_t *state);

/*
 * Which 64-byte pieces of the page hold decoded code; only bits of pages with
 * GMEM_HAS_CODE mean anything.  A store that misses them all is no write to code.
 */
_Atomic uint64_t *gmem_code_pieces(struct gmem *m, const _Atomic uint32_t *state);

static inline uint64_t gmem_pieces_mask(uint64_t off, uint64_t n)
{
	unsigned first = (unsigned)(off >> 6 & 63), last = (unsigned)((off + n - 1) >> 6 & 63);

	return (~UINT64_C(0) << first) & (~UINT64_C(0) >> (63 - last));
}

/* The nth RAM range as one host mapping, for engines that map RAM whole. */
uint8_t *gmem_range_hva(struct gmem *m, size_t nth);

static inline void gmem_page_written(struct gmem *m, _Atomic uint32_t *state)
{
	if (unlikely(atomic_load_explicit(state, memory_order_relaxed) & GMEM_HAS_CODE))
		gmem_code_written(m, state);
}

#endif
