/*
 * rfb_zrle.c - rectangles as ZRLE
 *
 * A rectangle is cut into tiles of 64 by 64, each in the shortest of: one
 * color; up to 16 colors of a palette, 1, 2 or 4 bits a pixel; runs of equal
 * pixels; plain pixels.  All goes through one zlib stream for the life of the
 * session, flushed after each rectangle.
 *
 * Spec     [RFC 6143] 7.7.6
 * Missing  runs of palette entries (tile type 130 and up)
 * Lock     none
 */
#include "view/rfb_priv.h"

#include "base/le.h"

#include <string.h>

#define TILE 64u
#define MAX_PALETTE 16u
#define TILE_BYTES (1 + TILE * TILE * 4)	/* no tile is longer: its plain form */

enum { TILE_PLAIN = 0, TILE_SOLID = 1, TILE_RUNS = 128 };

struct tile {
	uint32_t px[TILE * TILE];	/* as the client wants them */
	uint32_t n, w, h;
	uint32_t palette[MAX_PALETTE];
	unsigned colors;		/* MAX_PALETTE + 1: more */
	uint8_t index[TILE * TILE];
	uint32_t run_bytes;		/* as runs, CPIXELs counted with 4 bytes */
};

static void read_tile(const struct rfb *s, const struct disp_view *v, uint32_t x, uint32_t y,
		      struct tile *t)
{
	t->n = t->w * t->h;
	for (uint32_t row = 0; row < t->h; row++) {
		uint32_t *px = t->px + row * t->w;

		rfb_row(v, x, y + row, t->w, px);
		for (uint32_t i = 0; i < t->w; i++)
			px[i] = rfb_pixel(&s->format, px[i]);
	}
}

/* Which color of the palette; a new one gets a place. */
static unsigned place(struct tile *t, uint32_t px)
{
	unsigned i = 0;

	while (i < t->colors && t->palette[i] != px)
		i++;
	if (i < MAX_PALETTE && i == t->colors)
		t->palette[t->colors++] = px;
	return i;
}

static void study(struct tile *t)
{
	uint32_t run = 0;

	t->colors = 0;
	t->run_bytes = 0;
	for (uint32_t i = 0; i < t->n; i += run) {
		for (run = 1; i + run < t->n && t->px[i + run] == t->px[i]; run++)
			;
		t->run_bytes += 4 + (run - 1) / 255 + 1;
		if (t->colors <= MAX_PALETTE) {
			unsigned c = place(t, t->px[i]);

			if (c == MAX_PALETTE)
				t->colors = MAX_PALETTE + 1;
			else
				memset(t->index + i, (int)c, run);
		}
	}
}

static unsigned index_bits(unsigned colors)
{
	return colors <= 2 ? 1 : colors <= 4 ? 2 : 4;
}

/* Rows begin with a new byte. */
static uint8_t *write_palette(const struct rfb *s, const struct tile *t, uint8_t *p)
{
	unsigned bits = index_bits(t->colors);

	*p++ = (uint8_t)t->colors;
	for (unsigned i = 0; i < t->colors; i++)
		p += rfb_store(&s->format, p, t->palette[i], true);
	for (uint32_t y = 0; y < t->h; y++) {
		const uint8_t *row = t->index + y * t->w;
		unsigned byte = 0, have = 0;

		for (uint32_t x = 0; x < t->w; x++) {
			byte = byte << bits | row[x];
			have += bits;
			if (have == 8) {
				*p++ = (uint8_t)byte;
				byte = have = 0;
			}
		}
		if (have > 0)
			*p++ = (uint8_t)(byte << (8 - have));
	}
	return p;
}

static uint8_t *write_runs(const struct rfb *s, const struct tile *t, uint8_t *p)
{
	uint32_t run;

	*p++ = TILE_RUNS;
	for (uint32_t i = 0; i < t->n; i += run) {
		uint32_t left;

		for (run = 1; i + run < t->n && t->px[i + run] == t->px[i]; run++)
			;
		p += rfb_store(&s->format, p, t->px[i], true);
		for (left = run - 1; left >= 255; left -= 255)
			*p++ = 255;
		*p++ = (uint8_t)left;
	}
	return p;
}

static size_t write_tile(const struct rfb *s, const struct tile *t, uint8_t *buf)
{
	uint8_t *p = buf;

	if (t->colors == 1) {
		*p++ = TILE_SOLID;
		p += rfb_store(&s->format, p, t->palette[0], true);
	} else if (t->colors <= MAX_PALETTE) {
		p = write_palette(s, t, p);
	} else if (t->run_bytes < t->n * s->format.bytes / 2) {
		p = write_runs(s, t, p);
	} else {
		*p++ = TILE_PLAIN;
		for (uint32_t i = 0; i < t->n; i++)
			p += rfb_store(&s->format, p, t->px[i], true);
	}
	BUG_IF((size_t)(p - buf) > TILE_BYTES);
	return (size_t)(p - buf);
}

/* Everything deflate has for us; FLUSH at a rectangle's end. */
static void squeeze(struct rfb *s, const uint8_t *buf, size_t n, int flush)
{
	s->z.next_in = (Bytef *)(uintptr_t)buf;
	s->z.avail_in = (uInt)n;
	do {
		uint8_t *p = rfb_reserve(s, TILE_BYTES);

		if (p == NULL)
			return;
		s->z.next_out = p;
		s->z.avail_out = TILE_BYTES;
		if (deflate(&s->z, flush) == Z_STREAM_ERROR) {
			rfb_end(s, "zlib does not go on");
			return;
		}
		rfb_trim(s, s->z.avail_out);
	} while (s->z.avail_out == 0);
}

void rfb_zrle(struct rfb *s, const struct disp_view *v, const struct disp_rect *r)
{
	size_t length_at = s->out_n;
	uint8_t buf[TILE_BYTES];
	struct tile t;
	be32 n;

	if (!s->z_open && deflateInit(&s->z, 3) != Z_OK) {
		rfb_end(s, "no memory for zlib");
		return;
	}
	s->z_open = true;
	rfb_put32(s, 0);
	for (uint32_t y = 0; y < r->h && !s->over; y += TILE)
		for (uint32_t x = 0; x < r->w && !s->over; x += TILE) {
			t.w = (uint32_t)min_u64(TILE, r->w - x);
			t.h = (uint32_t)min_u64(TILE, r->h - y);
			read_tile(s, v, r->x + x, r->y + y, &t);
			study(&t);
			squeeze(s, buf, write_tile(s, &t, buf), Z_NO_FLUSH);
		}
	squeeze(s, buf, 0, Z_SYNC_FLUSH);
	if (s->over)
		return;
	n = be32_of((uint32_t)(s->out_n - length_at - 4));
	memcpy(s->out + length_at, n.b, 4);
}
