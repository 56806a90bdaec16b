/*
 * bus.h - ports and memory-mapped registers
 *
 * The bus guarantees: off + width <= len; width is one the window declared;
 * values are zero-extended host integers; unclaimed reads are all ones; the
 * chip lock is held around every handler.  A too-wide access is split into
 * declared ones, a too-narrow read is extracted from a wider one, a too-narrow
 * write is dropped and counted (registers have side effects).
 * Register handlers return no error: there is nobody to return it to.
 */
#ifndef DEV_BUS_H
#define DEV_BUS_H

#include "base/base.h"
#include "base/err.h"

#include <pthread.h>

enum { IO_W1 = 1, IO_W2 = 2, IO_W4 = 4, IO_W8 = 8 };

struct io_ops {				/* one window of registers */
	unsigned widths;		/* of IO_W1 | IO_W2 | IO_W4 | IO_W8 */
	uint64_t (*read)(void *self, uint32_t off, unsigned width);
	void (*write)(void *self, uint32_t off, unsigned width, uint64_t val);
};

struct bus;

/* LOCK is the chip lock, shared by all buses of a machine; borrowed. */
MUST_CHECK int bus_new(const char *name, pthread_mutex_t *lock, struct bus **ret_b);
void bus_free(struct bus *b);
/* -EBUSY with both names when the window overlaps one that exists.  NAME is borrowed. */
MUST_CHECK int bus_add(struct bus *b, const char *name, uint64_t base, uint64_t len,
		       const struct io_ops *ops, void *self, struct err *err);
/*
 * A window that the guest moves (a BAR, a base register): nowhere until the
 * first bus_window_move, which wants the chip lock held and never fails.  Where
 * it would overlap, a fixed window wins, then the movable one that is older;
 * the loser answers again as soon as the place is free.  The bus owns it.
 */
struct bus_window;
MUST_CHECK int bus_window_new(struct bus *b, const char *name, uint64_t len,
			      const struct io_ops *ops, void *self,
			      struct bus_window **ret_w, struct err *err);
void bus_window_move(struct bus_window *w, uint64_t base, bool on);
uint64_t bus_read(struct bus *b, uint64_t addr, unsigned width);
void bus_write(struct bus *b, uint64_t addr, unsigned width, uint64_t val);
/* Whether some window holds ADDR. */
bool bus_claims(struct bus *b, uint64_t addr);
/* Writes dropped so far because they were narrower than their register. */
uint64_t bus_dropped(struct bus *b);

#endif
