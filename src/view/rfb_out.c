/*
 * rfb_out.c - updates, and the bytes that wait for the client
 *
 * An update is made only when the one before has gone out, so a slow client
 * gets fewer of them and never more memory.  All that changed since the last
 * goes into one.
 *
 * The client's picture has the size it was told.  One that cannot be told of a
 * new size sees as much as fits, and black around it.
 *
 * Lock     the picture's while an update is made
 */
#include "view/rfb_priv.h"

#include "base/le.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RECTS 64
#define KEEP_OUT (1u << 20)		/* a larger buffer is given back once it is empty */

/* ---- bytes --------------------------------------------------------------------- */

void rfb_end(struct rfb *s, const char *why)
{
	if (s->over)
		return;
	s->over = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

uint8_t *rfb_reserve(struct rfb *s, size_t n)
{
	size_t want = s->out_n + n, cap = s->out_cap;
	uint8_t *out;

	if (want > RFB_MAX_OUT) {
		rfb_end(s, "more waits for it than is kept");
		return NULL;
	}
	if (want > cap) {
		cap = max_u64(4096, max_u64(want, cap * 2));
		out = realloc(s->out, cap);
		if (out == NULL) {
			rfb_end(s, "no memory for it");
			return NULL;
		}
		s->out = out;
		s->out_cap = cap;
	}
	out = s->out + s->out_n;
	s->out_n += n;
	return out;
}

/* Of the N bytes reserved last, the last N are none. */
void rfb_trim(struct rfb *s, size_t n)
{
	s->out_n -= n;
}

void rfb_put(struct rfb *s, const void *buf, size_t n)
{
	uint8_t *p = rfb_reserve(s, n);

	if (p != NULL)
		memcpy(p, buf, n);
}

void rfb_put8(struct rfb *s, uint8_t val)
{
	rfb_put(s, &val, 1);
}

void rfb_put16(struct rfb *s, uint16_t val)
{
	be16 v = be16_of(val);

	rfb_put(s, v.b, 2);
}

void rfb_put32(struct rfb *s, uint32_t val)
{
	be32 v = be32_of(val);

	rfb_put(s, v.b, 4);
}

size_t rfb_pending(const struct rfb *s, const uint8_t **ret_buf)
{
	*ret_buf = s->out + s->out_at;
	return s->out_n - s->out_at;
}

void rfb_sent(struct rfb *s, size_t n)
{
	s->out_at += n;
	if (s->out_at < s->out_n)
		return;
	s->out_at = s->out_n = 0;
	if (s->out_cap > KEEP_OUT) {
		free(s->out);
		s->out = NULL;
		s->out_cap = 0;
	}
}

/* ---- updates ------------------------------------------------------------------- */

bool rfb_asks(const struct rfb *s)
{
	return s->state == RFB_RUN && s->asked && !s->over && s->out_n == 0;
}

void rfb_row(const struct disp_view *v, uint32_t x, uint32_t y, uint32_t n, uint32_t *ret_px)
{
	uint32_t have = 0;

	if (y < v->height && x < v->width) {
		have = (uint32_t)min_u64(n, v->width - x);
		memcpy(ret_px, v->pixels + (size_t)y * v->stride + x, have * sizeof(*ret_px));
	}
	memset(ret_px + have, 0, (n - have) * sizeof(*ret_px));
}

static void rect_header(struct rfb *s, const struct disp_rect *r, int32_t encoding)
{
	rfb_put16(s, (uint16_t)r->x);
	rfb_put16(s, (uint16_t)r->y);
	rfb_put16(s, (uint16_t)r->w);
	rfb_put16(s, (uint16_t)r->h);
	rfb_put32(s, (uint32_t)encoding);
}

static void send_raw(struct rfb *s, const struct disp_view *v, const struct disp_rect *r)
{
	uint32_t px[DISP_MAX_WIDTH];

	for (uint32_t y = r->y; y < r->y + r->h; y++) {
		uint8_t *p = rfb_reserve(s, (size_t)r->w * s->format.bytes);

		if (p == NULL)
			return;
		rfb_row(v, r->x, y, r->w, px);
		for (uint32_t x = 0; x < r->w; x++)
			p += rfb_store(&s->format, p, rfb_pixel(&s->format, px[x]), false);
	}
}

/* What the client can see of it; false: nothing. */
static bool clip(const struct rfb *s, struct disp_rect *r)
{
	if (r->x >= s->width || r->y >= s->height)
		return false;
	r->w = (uint32_t)min_u64(r->w, s->width - r->x);
	r->h = (uint32_t)min_u64(r->h, s->height - r->y);
	return true;
}

/* M is what the client moves itself, before all else; NULL: nothing. */
static void send_rects(struct rfb *s, const struct disp_view *v, const struct disp_rect *rects,
		       size_t nr, const struct rfb_move *m, bool tell_keys)
{
	rfb_put8(s, 0);			/* FramebufferUpdate */
	rfb_put8(s, 0);
	rfb_put16(s, (uint16_t)(nr + tell_keys + (m != NULL)));
	if (tell_keys)
		rect_header(s, &(struct disp_rect){ 0 }, ENC_QEMU_KEYS);
	if (m != NULL) {
		rect_header(s, &(struct disp_rect){ 0, m->first, v->width, m->n }, ENC_COPY);
		rfb_put16(s, 0);
		rfb_put16(s, (uint16_t)m->from);
	}
	for (size_t i = 0; i < nr && !s->over; i++) {
		rect_header(s, &rects[i], s->zrle ? ENC_ZRLE : ENC_RAW);
		if (s->zrle)
			rfb_zrle(s, v, &rects[i]);
		else
			send_raw(s, v, &rects[i]);
	}
}

/* A message of its own; all of the new picture comes with the next one. */
static void send_size(struct rfb *s, const struct disp_view *v)
{
	const struct disp_rect r = { 0, 0, v->width, v->height };

	rfb_put8(s, 0);
	rfb_put8(s, 0);
	rfb_put16(s, 1);
	rect_header(s, &r, ENC_DESKTOP_SIZE);
	s->width = v->width;
	s->height = v->height;
	s->seen = 0;
	s->whole = true;
	s->asked = false;
}

static void update(struct rfb *s, const struct disp_view *v)
{
	struct disp_rect rects[MAX_RECTS], rest[2 * MAX_RECTS];
	bool tell = s->qemu_keys && !s->keys_told, whole = s->whole || s->seen == 0;
	size_t nr, keep = 0;
	struct rfb_move m;

	if (s->resize && (v->width != s->width || v->height != s->height)) {
		send_size(s, v);
		return;
	}
	if (whole) {
		rects[0] = (struct disp_rect){ 0, 0, s->width, s->height };
		nr = 1;
	} else {
		nr = disp_changed(s->conf->disp, s->seen, rects, MAX_RECTS);
		/* A new size that the client was not told: all it has. */
		if (nr == 1 && rects[0].w == v->width && rects[0].h == v->height)
			rects[0] = (struct disp_rect){ 0, 0, s->width, s->height };
	}
	for (size_t i = 0; i < nr; i++)
		if (clip(s, &rects[i]))
			rects[keep++] = rects[i];
	s->seen = v->seq;
	if (keep == 0 && !tell)
		return;
	if (s->copies && rfb_scroll(s, v, rects, keep, !whole, &m))
		send_rects(s, v, rest, rfb_without(rects, keep, &m, rest), &m, tell);
	else
		send_rects(s, v, rects, keep, NULL, tell);
	s->keys_told = s->keys_told || tell;
	s->asked = s->whole = false;
}

void rfb_update(struct rfb *s)
{
	struct disp_view v;

	if (!rfb_asks(s))
		return;
	disp_open(s->conf->disp, &v);
	update(s, &v);
	disp_close(s->conf->disp);
}
