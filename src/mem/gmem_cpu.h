/*
 * gmem_cpu.h - guest RAM as the engines in cpu/ see it
 *
 * The one exception to "no pointers": an engine fills its TLB from here.
 * Each page of RAM has a state word: bit 0 says that some engine holds
 * decoded code of the page, the bits above count the writes since.  Whoever
 * stores to a page whose bit 0 is set adds GMEM_GEN_STEP (gmem_page_written),
 * after the store; whoever decodes sets bit 0, reads the word, then the bytes,
 * and later trusts its copy only while the word is unchanged.
 */
#ifndef MEM_GMEM_CPU_H
#define MEM_GMEM_CPU_H

#include "mem/gmem.h"

#include <stdatomic.h>

#define GMEM_HAS_CODE 1u
#define GMEM_GEN_STEP 2u

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

/* The nth RAM range as one host mapping, for engines that map RAM whole. */
uint8_t *gmem_range_hva(struct gmem *m, size_t nth);

static inline void gmem_page_written(_Atomic uint32_t *state)
{
	if (unlikely(atomic_load_explicit(state, memory_order_relaxed) & GMEM_HAS_CODE))
		atomic_fetch_add(state, GMEM_GEN_STEP);
}

#endif
