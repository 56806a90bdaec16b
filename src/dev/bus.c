/*
 * bus.c - finds the window of an address and cuts the access to its widths
 *
 * Windows are sorted by base and never overlap, so a look-up is a binary
 * search.  An access that leaves a window goes on in the next one, byte by
 * byte where nobody answers.
 *
 * Windows that the guest moves are kept beside and put among the others anew
 * whenever one of them moves: they are few and move rarely, and so the result
 * depends only on where they are, not on the way there.
 *
 * Lock     the chip lock, around the search too: it guards the windows
 */
#include "dev/bus.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

struct window {
	const char *name;
	uint64_t base, len;
	const struct io_ops *ops;
	void *self;
	bool moves;
};

struct bus_window {
	struct bus *bus;
	struct window w;
	bool on;
	struct bus_window *next;	/* younger */
};

struct bus {
	const char *name;
	pthread_mutex_t *lock;		/* [borrowed] the chip lock */
	struct window *win;		/* [lock] [owned] sorted by base */
	size_t nr, cap;			/* cap has room for all that move, too */
	struct bus_window *movable;	/* [lock] [owned] the oldest */
	size_t nr_movable;
	uint64_t dropped;		/* [lock] writes narrower than their register */
	struct log_limit limit;
};

int bus_new(const char *name, pthread_mutex_t *lock, struct bus **ret_b)
{
	struct bus *b = new0(struct bus);

	if (b == NULL)
		return -ENOMEM;
	b->name = name;
	b->lock = lock;
	*ret_b = b;
	return 0;
}

void bus_free(struct bus *b)
{
	if (b == NULL)
		return;
	while (b->movable != NULL) {
		struct bus_window *w = b->movable;

		b->movable = w->next;
		free(w);
	}
	free(b->win);
	free(b);
}

/* Index of the first window that begins above ADDR. */
static size_t first_above(const struct bus *b, uint64_t addr)
{
	size_t lo = 0, hi = b->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->win[mid].base > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static const struct window *window_at(const struct bus *b, uint64_t addr)
{
	size_t i = first_above(b, addr);
	const struct window *w;

	if (i == 0)
		return NULL;
	w = &b->win[i - 1];
	return addr - w->base < w->len ? w : NULL;
}

/* Room for one window more, fixed or not. */
static int reserve(struct bus *b, struct err *err)
{
	size_t cap = b->cap ? b->cap * 2 : 16;
	struct window *win;

	/* More than needed while some of the movable ones are among the NR. */
	if (b->nr + b->nr_movable < b->cap)
		return 0;
	win = new_array(struct window, cap);
	if (win == NULL)
		return err_set(err, -ENOMEM, "%s: out of memory", b->name);
	if (b->nr > 0)
		memcpy(win, b->win, b->nr * sizeof(*win));
	free(b->win);
	b->win = win;
	b->cap = cap;
	return 0;
}

/* The window that W would overlap, or NULL. */
static const struct window *clash_with(const struct bus *b, const struct window *w)
{
	size_t i = first_above(b, w->base);
	const struct window *clash = window_at(b, w->base);

	if (clash == NULL && i < b->nr && b->win[i].base - w->base < w->len)
		clash = &b->win[i];
	return clash;
}

static void insert(struct bus *b, const struct window *w)
{
	size_t i = first_above(b, w->base);

	BUG_IF(b->nr == b->cap);
	memmove(b->win + i + 1, b->win + i, (b->nr - i) * sizeof(*b->win));
	b->win[i] = *w;
	b->nr++;
}

static void lift_movable(struct bus *b)
{
	size_t nr = 0;

	for (size_t i = 0; i < b->nr; i++)
		if (!b->win[i].moves)
			b->win[nr++] = b->win[i];
	b->nr = nr;
}

/* Those that move, oldest first, wherever nobody else is. */
static void settle_movable(struct bus *b)
{
	for (struct bus_window *m = b->movable; m != NULL; m = m->next)
		if (m->on && m->w.base + (m->w.len - 1) >= m->w.base &&
		    clash_with(b, &m->w) == NULL)
			insert(b, &m->w);
}

static int insert_fixed(struct bus *b, const struct window *w, struct err *err)
{
	const struct window *clash = clash_with(b, w);

	if (clash != NULL)
		return err_set(err, -EBUSY, "%s: %s at %#llx overlaps %s at %#llx", b->name,
			       w->name, (unsigned long long)w->base,
			       clash->name, (unsigned long long)clash->base);
	insert(b, w);
	return 0;
}

static int check_len(const struct bus *b, const char *name, uint64_t base, uint64_t len,
		     struct err *err)
{
	if (len == 0 || len > UINT32_MAX || base + (len - 1) < base)
		return err_set(err, -EINVAL, "%s: %s at %#llx has an impossible length %#llx",
			       b->name, name, (unsigned long long)base, (unsigned long long)len);
	return 0;
}

int bus_add(struct bus *b, const char *name, uint64_t base, uint64_t len,
	    const struct io_ops *ops, void *self, struct err *err)
{
	struct window w = { name, base, len, ops, self, false };
	int rc;

	BUG_IF(ops->widths == 0 || (ops->widths & ~15u) != 0 || name == NULL);
	rc = check_len(b, name, base, len, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(b->lock);
	rc = reserve(b, err);
	if (rc == 0) {
		lift_movable(b);
		rc = insert_fixed(b, &w, err);
		settle_movable(b);
	}
	pthread_mutex_unlock(b->lock);
	return rc;
}

int bus_window_new(struct bus *b, const char *name, uint64_t len, const struct io_ops *ops,
		   void *self, struct bus_window **ret_w, struct err *err)
{
	struct bus_window *w, **end;
	int rc;

	BUG_IF(ops->widths == 0 || (ops->widths & ~15u) != 0 || name == NULL);
	rc = check_len(b, name, 0, len, err);
	if (rc < 0)
		return rc;
	w = new0(struct bus_window);
	if (w == NULL)
		return err_set(err, -ENOMEM, "%s: out of memory", b->name);
	w->bus = b;
	w->w = (struct window){ name, 0, len, ops, self, true };
	pthread_mutex_lock(b->lock);
	rc = reserve(b, err);
	if (rc == 0) {
		for (end = &b->movable; *end != NULL; end = &(*end)->next)
			;
		*end = w;
		b->nr_movable++;
	}
	pthread_mutex_unlock(b->lock);
	if (rc < 0)
		free(w);
	else
		*ret_w = w;
	return rc;
}

void bus_window_move(struct bus_window *w, uint64_t base, bool on)
{
	if (w->on == on && (!on || w->w.base == base))
		return;
	w->w.base = base;
	w->on = on;
	lift_movable(w->bus);
	settle_movable(w->bus);
}

bool bus_claims(struct bus *b, uint64_t addr)
{
	bool yes;

	pthread_mutex_lock(b->lock);
	yes = window_at(b, addr) != NULL;
	pthread_mutex_unlock(b->lock);
	return yes;
}

uint64_t bus_dropped(struct bus *b)
{
	uint64_t n;

	pthread_mutex_lock(b->lock);
	n = b->dropped;
	pthread_mutex_unlock(b->lock);
	return n;
}

static uint64_t ones(unsigned width)
{
	return width >= 8 ? UINT64_MAX : (UINT64_C(1) << width * 8) - 1;
}

/* The widest declared width that fits in N bytes, or 0. */
static unsigned fitting(unsigned widths, unsigned n)
{
	for (unsigned w = 8; w > 0; w /= 2)
		if (w <= n && (widths & w) != 0)
			return w;
	return 0;
}

/* The naturally aligned register of the narrowest width above N that holds OFF, or 0. */
static unsigned holding(const struct window *w, uint32_t off, unsigned n)
{
	for (unsigned width = 2; width <= 8; width *= 2)
		if (width > n && (w->ops->widths & width) != 0 &&
		    (off & ~(width - 1)) + UINT64_C(1) * width <= w->len)
			return width;
	return 0;
}

/* Reads up to N bytes at OFF; returns how many. */
static unsigned window_read(const struct window *w, uint32_t off, unsigned n, uint64_t *ret_val)
{
	unsigned width = fitting(w->ops->widths, n), at;

	if (width != 0) {
		*ret_val = w->ops->read(w->self, off, width) & ones(width);
		return width;
	}
	width = holding(w, off, n);
	if (width == 0) {
		*ret_val = 0xff;
		return 1;
	}
	at = off & (width - 1);
	n = (unsigned)min_u64(n, width - at);
	*ret_val = w->ops->read(w->self, off - at, width) >> at * 8 & ones(n);
	return n;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned width)
{
	uint64_t val = 0;

	BUG_IF(width == 0 || width > 8 || (width & (width - 1)) != 0);
	pthread_mutex_lock(b->lock);
	for (unsigned at = 0; at < width;) {
		const struct window *w = window_at(b, addr + at);
		uint64_t part = 0xff, left;
		unsigned n = 1;

		if (w != NULL) {
			left = w->len - (addr + at - w->base);
			n = window_read(w, (uint32_t)(addr + at - w->base),
					(unsigned)min_u64(width - at, left), &part);
		}
		val |= part << at * 8;
		at += n;
	}
	pthread_mutex_unlock(b->lock);
	return val;
}

/* Writes up to N bytes at OFF; returns how many, or 0: too narrow for any register. */
static unsigned window_write(const struct window *w, uint32_t off, unsigned n, uint64_t val)
{
	unsigned width = fitting(w->ops->widths, n);

	if (width != 0)
		w->ops->write(w->self, off, width, val & ones(width));
	return width;
}

void bus_write(struct bus *b, uint64_t addr, unsigned width, uint64_t val)
{
	BUG_IF(width == 0 || width > 8 || (width & (width - 1)) != 0);
	pthread_mutex_lock(b->lock);
	for (unsigned at = 0; at < width;) {
		const struct window *w = window_at(b, addr + at);
		unsigned n = 1;

		if (w != NULL) {
			uint64_t left = w->len - (addr + at - w->base);

			n = (unsigned)min_u64(width - at, left);
			n = window_write(w, (uint32_t)(addr + at - w->base), n, val >> at * 8);
			if (n == 0) {
				b->dropped++;
				log_guest(&b->limit, b->name,
					  "%s: dropped a write of %u bytes at %#llx",
					  w->name, width, (unsigned long long)addr);
				break;
			}
		}
		at += n;
	}
	pthread_mutex_unlock(b->lock);
}
