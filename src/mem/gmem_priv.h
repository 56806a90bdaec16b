/*
 * gmem_priv.h - what gmem.c, gmem_copy.c and gmem_view.c share
 */
#ifndef MEM_GMEM_PRIV_H
#define MEM_GMEM_PRIV_H

#include "base/le.h"
#include "mem/gmem.h"
#include "mem/gmem_cpu.h"

#include <pthread.h>

#define GMEM_CODE_LOG 1024u
#define GMEM_COOLING_PAGES 64u
#define GMEM_LISTENERS 256u

/* gmem_shadow.c; LEN 0: there is none. */
struct gmem_shadow {
	uint64_t gpa, len;			/* [const] */
	uint8_t *hidden;			/* [owned] RAM of the pages that show ROM */
	uint8_t how[GMEM_SHADOW_MAX / PAGE_SIZE];	/* GMEM_SHADOW_* */
};

/* A page with GMEM_COOLING: the log must have been read up to SEQ. */
struct gmem_cooling {
	const _Atomic uint32_t *state;
	uint64_t seq;
};

struct gmem {
	size_t nr;				/* all [const] after gmem_new */
	struct gmem_range range[GMEM_MAX_RANGES];
	bool rom[GMEM_MAX_RANGES];
	uint8_t *hva[GMEM_MAX_RANGES];		/* of each range's first byte */
	size_t first_page[GMEM_MAX_RANGES];	/* index into state[] */
	uint64_t size;
	bool guarded;				/* [const] there is ROM or shadow RAM */
	struct gmem_shadow shadow;
	void *map;				/* [owned] all RAM, then state[] */
	size_t map_len;
	_Atomic uint32_t *state;		/* a word per page, behind RAM in map; [atomic] */
	size_t nr_pages;
	_Atomic uint64_t *pieces;		/* a word per page, behind state[]; [atomic] */
	/* The log of writes to code: sequence number << 32 | page index; [atomic] */
	_Atomic uint64_t code_seq, code_log[GMEM_CODE_LOG];
	pthread_mutex_t listen_lock;		/* for adding, removing and cooling[] */
	struct gmem_cooling cooling[GMEM_COOLING_PAGES];
	_Atomic uint32_t *listener[GMEM_LISTENERS];
	_Atomic size_t nr_listeners;
	uint32_t listener_bits;			/* the same for all */
};

/* Host memory behind the beginning of a range of guest addresses. */
struct gmem_run {
	uint8_t *hva;
	_Atomic uint32_t *state;		/* of the page that hva lies in */
	size_t n;				/* bytes */
	bool rom;
};

/* The part of [gpa, gpa + n), n > 0, that lies in one mapping; n = 0 when GPA is not RAM. */
struct gmem_run gmem_run_at(const struct gmem *m, uint64_t gpa, size_t n);

/*
 * One fetch of each byte, whatever the compiler thinks; naturally aligned 1,
 * 2, 4 and 8 are single-copy atomic.  The guest may write meanwhile.
 */
void gmem_copy_in(void *dst, const uint8_t *hva, size_t n);
void gmem_copy_out(uint8_t *hva, const void *src, size_t n);

/* Whether [gpa, gpa + len) is memory, whatever its kind; and whether it takes writes now. */
bool gmem_is_backed(const struct gmem *m, uint64_t gpa, uint64_t len);
bool gmem_takes_writes(const struct gmem *m, uint64_t gpa, uint64_t len);
void gmem_shadow_clear(struct gmem *m);

/* After a store to N bytes at HVA, whose page has state word STATE. */
void gmem_mark(struct gmem *m, const uint8_t *hva, _Atomic uint32_t *state, size_t n);

#endif
