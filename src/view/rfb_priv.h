/*
 * rfb_priv.h - what the files of the session share
 */
#ifndef VIEW_RFB_PRIV_H
#define VIEW_RFB_PRIV_H

#include "view/rfb.h"

enum { ENC_RAW = 0, ENC_COPY = 1, ENC_ZRLE = 16, ENC_DESKTOP_SIZE = -223, ENC_QEMU_KEYS = -258 };

/* rfb_out.c: bytes to the client; when there is no room the session is over */
void rfb_put(struct rfb *s, const void *buf, size_t n);
void rfb_put8(struct rfb *s, uint8_t val);
void rfb_put16(struct rfb *s, uint16_t val);
void rfb_put32(struct rfb *s, uint32_t val);
/* N bytes to fill in, or NULL; how many became of them is told by rfb_trim. */
uint8_t *rfb_reserve(struct rfb *s, size_t n);
void rfb_trim(struct rfb *s, size_t n);
void rfb_end(struct rfb *s, const char *why);

/* rfb_format.c */
void rfb_format_default(struct rfb_format *f);
/* The 16 bytes of the protocol's PIXEL_FORMAT; false: nobody can draw that. */
MUST_CHECK bool rfb_format_set(struct rfb_format *f, const uint8_t p[16]);
static inline uint32_t rfb_pixel(const struct rfb_format *f, uint32_t rgb)
{
	return f->part[0][rgb >> 16 & 0xff] | f->part[1][rgb >> 8 & 0xff] | f->part[2][rgb & 0xff];
}
/* Stores a pixel (or, COMPACT, a CPIXEL) at P; its length. */
unsigned rfb_store(const struct rfb_format *f, uint8_t *p, uint32_t val, bool compact);

/* rfb_zrle.c: a rectangle's data, with its length before it */
void rfb_zrle(struct rfb *s, const struct disp_view *v, const struct disp_rect *r);

/* rfb_scroll.c */
struct rfb_move {
	uint32_t first, n, from;	/* lines [first, first + n) are those from FROM on */
};
/*
 * Takes note of what the client will have once RECTS are sent; whether, SEARCH,
 * a part of it is only moved.
 */
bool rfb_scroll(struct rfb *s, const struct disp_view *v, const struct disp_rect *rects, size_t nr,
		bool search, struct rfb_move *ret_m);
/* What of RECTS is not in the lines that moved; there may be twice as many. */
size_t rfb_without(const struct disp_rect *rects, size_t nr, const struct rfb_move *m,
		   struct disp_rect *ret_rects);

/* The picture's row Y from X on, N pixels; black where the client's is larger. */
void rfb_row(const struct disp_view *v, uint32_t x, uint32_t y, uint32_t n, uint32_t *ret_px);

/* rfb_events.c */
void rfb_key(struct rfb *s, uint32_t sym, bool down);
void rfb_qemu_key(struct rfb *s, uint32_t code, bool down);
void rfb_pointer(struct rfb *s, uint8_t buttons, uint32_t x, uint32_t y);
void rfb_let_go(struct rfb *s);

#endif
