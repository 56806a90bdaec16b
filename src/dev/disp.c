/*
 * disp.c - a picture in tiles, each with the number of its last change
 *
 * Lock     d->lock, outside of the chip lock
 */
#include "dev/disp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TILES_X (DISP_MAX_WIDTH / DISP_TILE_W)
#define TILES_Y (DISP_MAX_HEIGHT / DISP_TILE_H)

_Static_assert(DISP_MAX_WIDTH % DISP_TILE_W == 0 && DISP_MAX_HEIGHT % DISP_TILE_H == 0,
	       "whole tiles");

struct disp {
	pthread_mutex_t lock;		/* of everything below */
	const struct disp_adapter *adapter[DISP_MAX_ADAPTERS];	/* oldest first */
	unsigned nr;
	bool all;			/* another adapter than last time, or the first time */
	uint32_t width, height;
	uint64_t seq;			/* one more with each opening */
	uint64_t sized;			/* when the size was last new */
	uint64_t tile[TILES_Y][TILES_X];
	uint32_t *pixels;		/* [owned] of the largest picture; untouched pages cost nothing */
};

int disp_new(struct disp **ret_d)
{
	struct disp *d = new0(struct disp);

	if (d == NULL)
		return -ENOMEM;
	d->pixels = new_array(uint32_t, (size_t)DISP_MAX_WIDTH * DISP_MAX_HEIGHT);
	if (d->pixels == NULL) {
		free(d);
		return -ENOMEM;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->width = 640;
	d->height = 480;
	d->all = true;
	*ret_d = d;
	return 0;
}

void disp_free(struct disp *d)
{
	if (d == NULL)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d->pixels);
	free(d);
}

int disp_attach(struct disp *d, const struct disp_adapter *a)
{
	int rc = -ENOSPC;

	pthread_mutex_lock(&d->lock);
	if (d->nr < DISP_MAX_ADAPTERS) {
		d->adapter[d->nr++] = a;
		d->all = true;
		rc = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

void disp_detach(struct disp *d, const struct disp_adapter *a)
{
	unsigned keep = 0;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < d->nr; i++)
		if (d->adapter[i] != a)
			d->adapter[keep++] = d->adapter[i];
	d->nr = keep;
	d->all = true;
	pthread_mutex_unlock(&d->lock);
}

bool disp_size(struct disp *d, uint32_t width, uint32_t height)
{
	width = (uint32_t)max_u64(1, min_u64(width, DISP_MAX_WIDTH));
	height = (uint32_t)max_u64(1, min_u64(height, DISP_MAX_HEIGHT));
	if (width == d->width && height == d->height)
		return false;
	d->width = width;
	d->height = height;
	d->sized = d->seq;
	for (uint32_t y = 0; y < height; y++)
		memset(d->pixels + (size_t)y * DISP_MAX_WIDTH, 0, width * sizeof(*d->pixels));
	return true;
}

void disp_line(struct disp *d, uint32_t x, uint32_t y, const uint32_t *px, uint32_t n)
{
	uint32_t *row;

	if (y >= d->height || x >= d->width)
		return;
	n = (uint32_t)min_u64(n, d->width - x);
	row = d->pixels + (size_t)y * DISP_MAX_WIDTH;
	while (n > 0) {
		uint32_t part = (uint32_t)min_u64(n, DISP_TILE_W - x % DISP_TILE_W);

		if (memcmp(row + x, px, part * sizeof(*px)) != 0) {
			memcpy(row + x, px, part * sizeof(*px));
			d->tile[y / DISP_TILE_H][x / DISP_TILE_W] = d->seq;
		}
		x += part;
		px += part;
		n -= part;
	}
}

void disp_open(struct disp *d, struct disp_view *ret_v)
{
	bool all;

	pthread_mutex_lock(&d->lock);
	d->seq++;
	all = d->all;
	d->all = false;
	if (d->nr > 0) {
		d->adapter[d->nr - 1]->paint(d->adapter[d->nr - 1]->self, d, all);
	} else if (all) {
		disp_size(d, 640, 480);
		for (uint32_t y = 0; y < d->height; y++)
			memset(d->pixels + (size_t)y * DISP_MAX_WIDTH, 0,
			       d->width * sizeof(*d->pixels));
		d->sized = d->seq;
	}
	*ret_v = (struct disp_view){
		.width = d->width, .height = d->height, .stride = DISP_MAX_WIDTH,
		.pixels = d->pixels, .seq = d->seq,
	};
}

void disp_close(struct disp *d)
{
	pthread_mutex_unlock(&d->lock);
}

/* Tiles [first, end) of a row of tiles, as pixels within the picture. */
static struct disp_rect rect_of(const struct disp *d, uint32_t first, uint32_t end, uint32_t ty)
{
	uint32_t x = first * DISP_TILE_W, y = ty * DISP_TILE_H;

	return (struct disp_rect){
		x, y, (uint32_t)min_u64(end * DISP_TILE_W, d->width) - x,
		(uint32_t)min_u64((ty + 1) * DISP_TILE_H, d->height) - y,
	};
}

/* The rectangle above R of the same columns grows by R; false: there is none. */
static bool grow(struct disp_rect *rects, size_t nr, const struct disp_rect *r)
{
	for (size_t i = nr; i-- > 0;)
		if (rects[i].x == r->x && rects[i].w == r->w && rects[i].y + rects[i].h == r->y) {
			rects[i].h += r->h;
			return true;
		}
	return false;
}

/* All of A and B. */
static void join(struct disp_rect *a, const struct disp_rect *b)
{
	uint32_t right = (uint32_t)max_u64(a->x + a->w, b->x + b->w);
	uint32_t low = (uint32_t)max_u64(a->y + a->h, b->y + b->h);

	a->x = (uint32_t)min_u64(a->x, b->x);
	a->y = (uint32_t)min_u64(a->y, b->y);
	a->w = right - a->x;
	a->h = low - a->y;
}

/* One more; once there are too many, it is one that holds them all. */
static size_t add(struct disp_rect *rects, size_t nr, size_t max, bool *crowded,
		  const struct disp_rect *r)
{
	if (*crowded) {
		join(&rects[0], r);
		return 1;
	}
	if (grow(rects, nr, r))
		return nr;
	if (nr < max) {
		rects[nr] = *r;
		return nr + 1;
	}
	*crowded = true;
	for (size_t i = 1; i < nr; i++)
		join(&rects[0], &rects[i]);
	join(&rects[0], r);
	return 1;
}

size_t disp_changed(struct disp *d, uint64_t since, struct disp_rect *ret_rects, size_t max)
{
	uint32_t tx = (d->width + DISP_TILE_W - 1) / DISP_TILE_W;
	uint32_t ty = (d->height + DISP_TILE_H - 1) / DISP_TILE_H;
	bool crowded = false;
	size_t nr = 0;

	BUG_IF(max == 0);
	if (since == 0 || d->sized > since) {
		ret_rects[0] = (struct disp_rect){ 0, 0, d->width, d->height };
		return 1;
	}
	for (uint32_t y = 0; y < ty; y++) {
		for (uint32_t x = 0, end; x < tx; x = end + 1) {
			struct disp_rect r;

			for (end = x; end < tx && d->tile[y][end] > since; end++)
				;
			if (end == x)
				continue;
			r = rect_of(d, x, end, y);
			nr = add(ret_rects, nr, max, &crowded, &r);
		}
	}
	return nr;
}
