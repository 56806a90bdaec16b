/*
 * rfb_scroll.c - finds what only moved up or down
 *
 * Of each line that the client has a number is kept, 64 bits of all its
 * pixels. Lines of the new picture that are known by a number of their own
 * vote for how far they moved; the longest stretch that moved as most say goes
 * as CopyRect. Equal numbers are taken for equal lines: that two others meet
 * by chance does not happen, and a guest that contrives it spoils its own
 * picture in its own viewer.
 *
 * Missing  moves to the side, windows narrower than the picture
 * Lock     the picture's
 */
#include "view/rfb_priv.h"

#include <stdlib.h>
#include <string.h>

#define MIN_LINES 32u			/* a shorter stretch is not worth it */
#define SLOTS 4096u			/* more than twice the lines; a power of two */
#define NONE 0xffffu

struct lines {				/* where the client has each line; NONE: twice, or nowhere */
	uint64_t key[SLOTS];
	uint16_t at[SLOTS];
	bool used[SLOTS];
};

_Static_assert(SLOTS > 2 * DISP_MAX_HEIGHT && DISP_MAX_HEIGHT < NONE, "they fit");

static uint64_t number_of(const uint32_t *px, uint32_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15u ^ n;

	for (uint32_t i = 0; i < n; i++) {
		h = (h ^ px[i]) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h;
}

static unsigned slot_of(const struct lines *t, uint64_t key)
{
	unsigned i = (unsigned)key & (SLOTS - 1);

	while (t->used[i] && t->key[i] != key)
		i = (i + 1) & (SLOTS - 1);
	return i;
}

static void learn(struct lines *t, const uint64_t *old, uint32_t height)
{
	memset(t->used, 0, sizeof(t->used));
	for (uint32_t y = 0; y < height; y++) {
		unsigned i = slot_of(t, old[y]);

		t->at[i] = t->used[i] ? NONE : (uint16_t)y;
		t->key[i] = old[y];
		t->used[i] = true;
	}
}

/* How far most lines moved, up is positive; 0: too few say the same. */
static int vote(const struct lines *t, const uint64_t *now, uint32_t height)
{
	uint16_t votes[2 * DISP_MAX_HEIGHT] = { 0 };
	int best = 0;

	for (uint32_t y = 0; y < height; y++) {
		unsigned i = slot_of(t, now[y]);

		if (t->used[i] && t->at[i] != NONE && t->at[i] != y)
			votes[t->at[i] - y + DISP_MAX_HEIGHT]++;
	}
	for (int d = 0; d < (int)ARRAY_LEN(votes); d++)
		if (votes[d] > votes[best])
			best = d;
	return votes[best] < MIN_LINES / 4 ? 0 : best - (int)DISP_MAX_HEIGHT;
}

/* The longest run of lines y that the client has at y + D. */
static uint32_t longest(const uint64_t *old, const uint64_t *now, uint32_t height, int d,
			uint32_t *ret_first)
{
	uint32_t most = 0, run = 0;

	for (int y = 0; y < (int)height; y++) {
		bool same = y + d >= 0 && y + d < (int)height && now[y] == old[y + d];

		run = same ? run + 1 : 0;
		if (run > most) {
			most = run;
			*ret_first = (uint32_t)y + 1 - run;
		}
	}
	return most;
}

bool rfb_scroll(struct rfb *s, const struct disp_view *v, const struct disp_rect *rects, size_t nr,
		bool search, struct rfb_move *ret_m)
{
	uint64_t now[DISP_MAX_HEIGHT];
	uint32_t first = 0, n = 0;
	bool all = nr == 1 && rects[0].w == v->width && rects[0].h == v->height;
	struct lines t;
	int d = 0;

	if (v->width != s->width || v->height != s->height) {
		s->lines_known = false;
		return false;
	}
	if (s->lines == NULL)
		s->lines = new_array(uint64_t, DISP_MAX_HEIGHT);
	if (s->lines == NULL)
		return false;
	memcpy(now, s->lines, v->height * sizeof(*now));
	for (size_t i = 0; i < nr; i++)
		for (uint32_t y = rects[i].y; y < rects[i].y + rects[i].h; y++)
			now[y] = number_of(v->pixels + (size_t)y * v->stride, v->width);
	if (search && s->lines_known) {
		learn(&t, s->lines, v->height);
		d = vote(&t, now, v->height);
	}
	if (d != 0)
		n = longest(s->lines, now, v->height, d, &first);
	memcpy(s->lines, now, v->height * sizeof(*now));
	s->lines_known = s->lines_known || all;
	*ret_m = (struct rfb_move){ first, n, (uint32_t)((int)first + d) };
	return n >= MIN_LINES;
}

size_t rfb_without(const struct disp_rect *rects, size_t nr, const struct rfb_move *m,
		   struct disp_rect *ret_rects)
{
	uint32_t m_end = m->first + m->n;
	size_t n = 0;

	for (size_t i = 0; i < nr; i++) {
		struct disp_rect r = rects[i];
		uint32_t end = r.y + r.h;

		if (r.y < m->first)
			ret_rects[n++] = (struct disp_rect){
				r.x, r.y, r.w, (uint32_t)min_u64(end, m->first) - r.y };
		if (end > m_end) {
			r.y = (uint32_t)max_u64(r.y, m_end);
			r.h = end - r.y;
			ret_rects[n++] = r;
		}
	}
	return n;
}
