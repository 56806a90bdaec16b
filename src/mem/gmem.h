/*
 * gmem.h - the guest's physical memory
 *
 * The only way to touch guest RAM.  No function here hands out a pointer to
 * bytes we interpret, so no caller can read the same guest byte twice by
 * accident.  Payload we merely move may be pinned (gmem_pin).
 *
 * Every call checks the whole range, refuses arithmetic that wraps, and makes
 * translated code of written pages stale.  Safe from any thread.  0 or
 * -EFAULT; on -EFAULT nothing was copied.  An empty range is never wrong; a
 * misaligned word always is.
 */
#ifndef MEM_GMEM_H
#define MEM_GMEM_H

#include "base/base.h"
#include "base/err.h"

#include <sys/uio.h>

struct gmem;
struct gview;			/* a list of guest pages seen as one range (a GPADL) */

#define GMEM_MAX_RANGES 8

struct gmem_range {
	uint64_t gpa, len;	/* bytes, both multiples of 4096, ascending, no overlap */
};

/*
 * RAM of zeros: one private mapping that nobody can shrink, on large host
 * pages where the host has them.  -EINVAL, -ENOMEM with *err filled.
 */
MUST_CHECK int gmem_new(const struct gmem_range *ranges, size_t nr,
			struct gmem **ret_m, struct err *err);
void gmem_free(struct gmem *m);
size_t gmem_ranges(const struct gmem *m, const struct gmem_range **ret_ranges);
uint64_t gmem_size(const struct gmem *m);		/* bytes of RAM */
/* Memory that is there to read and write for ever: neither ROM nor shadow. */
bool gmem_is_ram(const struct gmem *m, uint64_t gpa, uint64_t len);
/* All RAM back to zeros, ROM and what shows ROM unchanged; no vCPU may run. */
void gmem_clear(struct gmem *m);

MUST_CHECK int gmem_read(struct gmem *m, uint64_t gpa, void *dst, size_t n);
MUST_CHECK int gmem_write(struct gmem *m, uint64_t gpa, const void *src, size_t n);
MUST_CHECK int gmem_zero(struct gmem *m, uint64_t gpa, size_t n);

/*
 * -EFAULT too where the page is read only at present, for everything that
 * writes.  Payload in shadow RAM is none to pin.
 */

/* Naturally aligned and single-copy atomic (acquire, release): words the guest changes under us. */
MUST_CHECK int gmem_load32(struct gmem *m, uint64_t gpa, uint32_t *ret_val);
MUST_CHECK int gmem_store32(struct gmem *m, uint64_t gpa, uint32_t val);
/* Sequentially consistent OR and AND; *ret_old is the word before. */
MUST_CHECK int gmem_or32(struct gmem *m, uint64_t gpa, uint32_t bits, uint32_t *ret_old);
MUST_CHECK int gmem_and32(struct gmem *m, uint64_t gpa, uint32_t bits, uint32_t *ret_old);

/*
 * Payload lent to preadv, pwritev or io_uring: appends the host ranges of
 * [gpa, gpa + n) to iov[*nr..max); a piece that goes on where the last entry
 * ends makes that entry longer instead.  With WRITE the pages are going to be
 * written by the host: call gmem_unpin_written with the same range when that
 * is done, so that translated code goes stale.
 * -EFAULT not RAM, -ENOSPC too many pieces (nothing appended).
 */
MUST_CHECK int gmem_pin(struct gmem *m, uint64_t gpa, size_t n, bool write,
			struct iovec *iov, int *nr, int max);
void gmem_unpin_written(struct gmem *m, uint64_t gpa, size_t n);

/*
 * The range that begins at GPA is ROM from now on: the guest reads and runs it,
 * only gmem_rom_fill writes it.  Before anything runs.
 */
void gmem_rom_new(struct gmem *m, uint64_t gpa);
/* -EFAULT where there is no ROM. */
MUST_CHECK int gmem_rom_fill(struct gmem *m, uint64_t gpa, const void *src, size_t n);

/*
 * Shadow RAM: one range of whole pages, each of which is RAM (READ | WRITE, as
 * from the beginning), read-only RAM (READ), or shows ROM, with writes lost (0)
 * or taken by the RAM beneath (WRITE).
 */
enum { GMEM_SHADOW_READ = 1, GMEM_SHADOW_WRITE = 2 };
#define GMEM_SHADOW_MAX (256 * KIB)
#define GMEM_NO_ROM UINT64_MAX		/* instead of a ROM: reads are ones */

/* Once, before anything runs; [gpa, gpa + len) is RAM. */
MUST_CHECK int gmem_shadow_new(struct gmem *m, uint64_t gpa, uint64_t len, struct err *err);
/*
 * The bytes from ROM_GPA on show where RAM does not.  True: something changed, and
 * every engine must look at its rights again (cpu_engine.tlb_flush_soon).
 */
bool gmem_shadow_set(struct gmem *m, uint64_t gpa, uint64_t len, unsigned how, uint64_t rom_gpa);
/* A store to a page that takes none, which came out as one to a device. */
void gmem_shadow_write(struct gmem *m, uint64_t gpa, const void *src, size_t n);

/*
 * The same calls by offset into a list of pages.  Building the view checks
 * every page once; after that only the offset can be wrong.
 */
MUST_CHECK int gview_new(struct gmem *m, const uint64_t *pfns, size_t nr, struct gview **ret_view);
/* Pages [first, first + nr) of V, as a view of its own; V may be freed before it. */
MUST_CHECK int gview_sub(const struct gview *v, size_t first, size_t nr, struct gview **ret_view);
void gview_free(struct gview *v);
size_t gview_size(const struct gview *v);		/* bytes */
MUST_CHECK int gview_read(const struct gview *v, size_t off, void *dst, size_t n);
MUST_CHECK int gview_write(const struct gview *v, size_t off, const void *src, size_t n);
MUST_CHECK int gview_load32(const struct gview *v, size_t off, uint32_t *ret_val);
MUST_CHECK int gview_store32(const struct gview *v, size_t off, uint32_t val);

#endif
