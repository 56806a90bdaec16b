/*
 * disp.h - the picture between a display adapter and whoever looks at it
 *
 * 32 bits a pixel, 0x00RRGGBB, rows one after the other, a row is STRIDE
 * pixels.  Nothing is painted that nobody looks at: a viewer opens the
 * picture, which makes the adapter paint what has changed, reads, and closes
 * it.  The picture remembers when each tile of it last changed, so that every
 * viewer finds its own dirty rectangles by the number it saw last.
 *
 * Who locks what: the picture has one lock, held from disp_open to disp_close
 * and so around paint, which may take the chip lock inside.  An adapter never
 * calls in here but from paint, and needs no lock of the picture anywhere else.
 * Attach and detach without the chip lock.
 *
 * A second adapter (synthetic video, once the guest's driver is there) takes
 * over when it attaches and gives back when it detaches.
 */
#ifndef DEV_DISP_H
#define DEV_DISP_H

#include "base/base.h"

#define DISP_MAX_WIDTH 2560u
#define DISP_MAX_HEIGHT 1600u
#define DISP_TILE_W 64u			/* what dirty rectangles are made of */
#define DISP_TILE_H 16u
#define DISP_MAX_ADAPTERS 4

struct disp;

struct disp_rect {
	uint32_t x, y, w, h;
};

/* ---- the adapter's side ---- */

struct disp_adapter {
	/*
	 * disp_size, then disp_line for what may have changed since the last
	 * call; for ALL, everything.
	 */
	void (*paint)(void *self, struct disp *d, bool all);
	void *self;
};

MUST_CHECK int disp_new(struct disp **ret_d);
void disp_free(struct disp *d);
/* A is borrowed until it is detached; -ENOSPC. */
MUST_CHECK int disp_attach(struct disp *d, const struct disp_adapter *a);
/* When it returns paint is not running and never will. */
void disp_detach(struct disp *d, const struct disp_adapter *a);

/*
 * Only from paint.  Sizes are brought into 1 to the maximum; true when this
 * one is new: the picture is black, and everything is to be painted.
 */
bool disp_size(struct disp *d, uint32_t width, uint32_t height);
/*
 * Only from paint.  N pixels from (x, y) on; what lies outside is ignored.
 * Pixels that are there already do not make anything dirty.
 */
void disp_line(struct disp *d, uint32_t x, uint32_t y, const uint32_t *px, uint32_t n);

/* ---- the viewer's side; any thread ---- */

struct disp_view {
	uint32_t width, height, stride;	/* pixels */
	const uint32_t *pixels;
	uint64_t seq;			/* of what is in it now, never 0 */
};

/* Brings the picture up to date; it stands still until disp_close. */
void disp_open(struct disp *d, struct disp_view *ret_v);
void disp_close(struct disp *d);
/*
 * While open: what changed after SINCE, as at most MAX rectangles (at least 1)
 * that do not overlap.  0 = everything; so it is after a change of size, which
 * the viewer sees by itself.
 */
size_t disp_changed(struct disp *d, uint64_t since, struct disp_rect *ret_rects, size_t max);

#endif
