/*
 * vga_scan.c - from registers and planes to the dots that a monitor gets
 *
 * The picture is what the monitor shows: a mode of 320 by 200 has 640 by 400
 * dots, for the VGA doubles them.  One address counter walks through video
 * memory, a step a character; where it ends up in a plane depends on the byte,
 * word or doubleword mode and on the two bits that the row within a character
 * may replace (CGA, Hercules).  At the line of the line compare register it
 * starts again at 0: the split screen.
 *
 * Spec     [VGA] CRT controller, graphics controller mode, attribute controller
 * Missing  the vertical counters at half speed (CRTC mode bit 2), blinking in
 *          graphics modes, overscan (the border is not part of the picture)
 * Lock     none: pure
 */
#include "chip/vga_priv.h"

#include <string.h>

#define MAX_FETCH (DISP_MAX_WIDTH / 8 + 1)

struct walk {
	uint32_t counter, row, pan;
	bool again;			/* the second line of a doubled one comes */
};

uint32_t vga_frame_address(const struct vga_regs *r, uint32_t c, uint32_t row)
{
	uint8_t mode = r->crtc[CRTC_MODE];
	uint32_t a = c;

	if ((r->crtc[CRTC_UNDERLINE] & UNDERLINE_DWORD) != 0)
		a = c << 2 | (c >> 12 & 3);
	else if ((mode & MODE_BYTE) == 0)
		a = c << 1 | (c >> ((mode & MODE_WRAP_A15) != 0 ? 15 : 13) & 1);
	if ((mode & MODE_NOT_CGA) == 0)
		a = (a & ~0x2000u) | (row & 1) << 13;
	if ((mode & MODE_NOT_HERCULES) == 0)
		a = (a & ~0x4000u) | (row >> 1 & 1) << 14;
	return a & 0xffff;
}

/* ---- a frame ------------------------------------------------------------------- */

static void attribute_tables(struct vga_frame *f)
{
	const uint8_t *ac = f->r->ac;

	for (unsigned i = 0; i < 16; i++) {
		uint8_t c = ac[i & ac[AC_PLANES]];

		f->index256[i] = c & 15;
		if ((ac[AC_MODE] & AC_MODE_SELECT) != 0)
			c = (uint8_t)((c & 15) | (ac[AC_SELECT] & 3) << 4);
		f->index16[i] = (uint8_t)((c & 0x3f) | (ac[AC_SELECT] & 0x0c) << 4);
	}
}

static bool is_graphics(const struct vga_regs *r)
{
	return (r->gc[GC_MISC] & GC_MISC_GRAPHICS) != 0;
}

void vga_frame_begin(struct vga_frame *f, const struct vga_regs *r, const uint8_t *planes,
		     const uint32_t *color, uint64_t frame)
{
	bool nine = !is_graphics(r) && (r->seq[SEQ_CLOCKING] & CLOCKING_8DOT) == 0;
	uint8_t o = r->crtc[CRTC_OVERFLOW];

	*f = (struct vga_frame){
		.r = r, .planes = planes, .color = color, .char_dots = nine ? 9 : 8,
		.repeat = (r->seq[SEQ_CLOCKING] & CLOCKING_HALF) != 0 ? 2 : 1,
		.cursor_on = (frame >> 3 & 1) == 0, .blink_on = (frame >> 4 & 1) == 0,
		.chars = r->crtc[CRTC_HDISP_END] + 1u,
		.lines = (r->crtc[CRTC_VDISP_END] | (o >> 1 & 1u) << 8 | (o >> 6 & 1u) << 9) + 1u,
	};
	f->chars = (uint32_t)min_u64(f->chars, DISP_MAX_WIDTH / (f->char_dots * f->repeat));
	f->dots = f->chars * f->char_dots * f->repeat;
	attribute_tables(f);
}

/* ---- graphics lines ------------------------------------------------------------ */

/* Eight dots, a bit of each plane. */
static void planar_dots(const struct vga_frame *f, const uint8_t *cell, uint32_t *out)
{
	for (unsigned bit = 8; bit-- > 0;)
		*out++ = f->color[f->index16[(cell[0] >> bit & 1) | (cell[1] >> bit & 1) << 1 |
					     (cell[2] >> bit & 1) << 2 |
					     (cell[3] >> bit & 1) << 3]];
}

/* CGA's way: two neighbouring bits of plane 0, then of plane 1; above them planes 2 and 3. */
static void interleaved_dots(const struct vga_frame *f, const uint8_t *cell, uint32_t *out)
{
	for (unsigned p = 0; p < 2; p++)
		for (unsigned at = 8; at > 0; at -= 2)
			*out++ = f->color[f->index16[(cell[p] >> (at - 2) & 3) |
						     (cell[p + 2] >> (at - 2) & 3) << 2]];
}

/* A pixel of two dots for each plane's byte; or, not widened, its two halves. */
static void byte_dots(const struct vga_frame *f, const uint8_t *cell, uint32_t *out)
{
	bool wide = (f->r->ac[AC_MODE] & AC_MODE_WIDE) != 0;

	for (unsigned p = 0; p < 4; p++, out += 2) {
		uint8_t high = cell[p] >> 4, low = cell[p] & 15;

		if (wide) {
			out[0] = out[1] = f->color[f->index256[high] << 4 | f->index256[low]];
		} else {
			out[0] = f->color[f->index16[high]];
			out[1] = f->color[f->index16[low]];
		}
	}
}

static void graphics_line(const struct vga_frame *f, uint32_t counter, uint32_t row, uint32_t *buf)
{
	const struct vga_regs *r = f->r;
	unsigned slow = (r->crtc[CRTC_UNDERLINE] & UNDERLINE_COUNT4) != 0 ? 2 :
			(r->crtc[CRTC_MODE] & MODE_COUNT2) != 0 ? 1 : 0;
	uint8_t mode = r->gc[GC_MODE];

	for (uint32_t i = 0; i <= f->chars; i++, buf += 8) {
		uint32_t c = counter + (i >> slow);
		const uint8_t *cell = &f->planes[4 * (f->linear_step != 0 ? c & 0xffff :
						      vga_frame_address(r, c, row))];

		if ((mode & GC_MODE_256) != 0 && f->linear_step == 0)
			byte_dots(f, cell, buf);
		else if ((mode & GC_MODE_INTERLEAVE) != 0 && f->linear_step == 0)
			interleaved_dots(f, cell, buf);
		else
			planar_dots(f, cell, buf);
	}
}

/* ---- the whole ----------------------------------------------------------------- */

/* Dots that the picture is shifted to the left. */
static uint32_t panning(const struct vga_frame *f)
{
	uint8_t pan = f->r->ac[AC_PAN];

	if (f->char_dots == 9)
		return pan >= 8 ? 0 : pan + 1u;
	if ((f->r->ac[AC_MODE] & AC_MODE_WIDE) != 0)
		return pan & 6;
	return pan & 7;
}

static void walk_begin(const struct vga_frame *f, struct walk *w)
{
	const uint8_t *crtc = f->r->crtc;

	*w = (struct walk){
		.counter = ((uint32_t)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW]) +
			   (crtc[CRTC_PRESET_ROW] >> 5 & 3),
		.row = crtc[CRTC_PRESET_ROW] & 0x1f,
		.pan = panning(f),
	};
}

static uint32_t line_compare(const struct vga_regs *r)
{
	return r->crtc[CRTC_LINE_COMPARE] |
	       ((r->crtc[CRTC_OVERFLOW] & OVERFLOW_LINE_COMPARE) != 0 ? 0x100u : 0) |
	       ((r->crtc[CRTC_MAX_SCAN] & MAX_SCAN_LINE_COMPARE) != 0 ? 0x200u : 0);
}

static void next_line(const struct vga_frame *f, struct walk *w, uint32_t y)
{
	const struct vga_regs *r = f->r;
	uint8_t max_scan = r->crtc[CRTC_MAX_SCAN];

	if (y == line_compare(r)) {
		w->counter = w->row = 0;
		w->again = false;
		if ((r->ac[AC_MODE] & AC_MODE_PAN_TOP) != 0)
			w->pan = 0;
		return;
	}
	if ((max_scan & MAX_SCAN_DOUBLE) != 0) {
		w->again = !w->again;
		if (w->again)
			return;
	}
	if (w->row == (max_scan & MAX_SCAN_ROWS)) {
		w->row = 0;
		w->counter += r->crtc[CRTC_OFFSET] * 2u;
	} else {
		w->row = (w->row + 1) & 0x1f;
	}
}

static void draw_line(const struct vga_frame *f, const struct walk *w, uint32_t *out)
{
	uint32_t buf[MAX_FETCH * 9];
	const uint32_t *from = buf + w->pan;

	if (is_graphics(f->r) || f->linear_step != 0)
		graphics_line(f, w->counter, w->row, buf);
	else
		vga_text_line(f, w->counter, w->row, buf);
	if (f->repeat == 1) {
		memcpy(out, from, f->dots * sizeof(*out));
		return;
	}
	for (uint32_t i = 0; i < f->dots; i++)
		out[i] = from[i / 2];
}

static void draw_linear(const struct vga_frame *f,
			  void (*line)(void *arg, uint32_t y, const uint32_t *px), void *arg)
{
	struct walk w = { .counter = f->linear_start, .pan = 0 };
	uint32_t out[DISP_MAX_WIDTH];

	for (uint32_t y = 0; y < f->lines; y++, w.counter += f->linear_step) {
		draw_line(f, &w, out);
		line(arg, y, out);
	}
}

void vga_frame_draw(const struct vga_frame *f,
		    void (*line)(void *arg, uint32_t y, const uint32_t *px), void *arg)
{
	uint32_t out[DISP_MAX_WIDTH];
	struct walk w;

	if (f->linear_step != 0) {
		draw_linear(f, line, arg);
		return;
	}
	walk_begin(f, &w);
	for (uint32_t y = 0; y < f->lines; y++) {
		if (!w.again)		/* else it is the line before once more */
			draw_line(f, &w, out);
		line(arg, y, out);
		next_line(f, &w, y);
	}
}
