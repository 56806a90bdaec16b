/*
 * vga_text.c - one line of dots of a line of characters
 *
 * Plane 0 holds the characters, plane 1 their attributes, plane 2 the shapes:
 * eight fonts of 256 characters with 32 rows each, of which the sequencer
 * chooses two, for characters whose attribute bit 3 is clear or set.
 *
 * Spec     [VGA] attribute controller, character map select
 * Lock     none: pure
 */
#include "chip/vga_priv.h"

enum { ATTR_BLINK = 0x80, ATTR_FONT = 0x08, ATTR_UNDERLINE_MASK = 0x07, ATTR_UNDERLINE = 0x01 };

/* Where in plane 2 the font of an attribute begins. */
static uint32_t font_at(const struct vga_regs *r, uint8_t attr)
{
	uint8_t s = r->seq[SEQ_FONT];
	unsigned low = s & 3u, high = s >> 4 & 1u;

	if ((attr & ATTR_FONT) != 0) {
		low = s >> 2 & 3u;
		high = s >> 5 & 1u;
	}
	return low * 0x4000 + high * 0x2000;
}

static bool is_cursor(const struct vga_frame *f, uint32_t counter, uint32_t row)
{
	const struct vga_regs *r = f->r;
	uint32_t at = (uint32_t)r->crtc[CRTC_CURSOR_HIGH] << 8 | r->crtc[CRTC_CURSOR_LOW];

	at += r->crtc[CRTC_CURSOR_END] >> 5 & 3;	/* skew */
	return f->cursor_on && (counter & 0xffff) == (at & 0xffff) &&
	       (r->crtc[CRTC_CURSOR_START] & CURSOR_START_OFF) == 0 &&
	       row >= (r->crtc[CRTC_CURSOR_START] & 0x1fu) &&
	       row <= (r->crtc[CRTC_CURSOR_END] & 0x1fu);
}

/* Eight or nine bits, the leftmost dot is the highest. */
static uint32_t shape(const struct vga_frame *f, uint32_t counter, uint32_t row, uint8_t ch,
		      uint8_t attr)
{
	const struct vga_regs *r = f->r;
	uint32_t glyph = f->planes[4 * (font_at(r, attr) + ch * 32u + row) + 2];
	uint32_t ones = (1u << f->char_dots) - 1;
	bool blinks = (r->ac[AC_MODE] & AC_MODE_BLINK) != 0 && (attr & ATTR_BLINK) != 0;

	if (f->char_dots == 9) {
		bool joined = (r->ac[AC_MODE] & AC_MODE_9TH_DOT) != 0 && (ch & 0xe0) == 0xc0;

		glyph = glyph << 1 | (joined ? glyph & 1 : 0);
	}
	if ((attr & ATTR_UNDERLINE_MASK) == ATTR_UNDERLINE &&
	    row == (r->crtc[CRTC_UNDERLINE] & UNDERLINE_ROW))
		glyph = ones;
	if (blinks && !f->blink_on)
		glyph = 0;
	return is_cursor(f, counter, row) ? ones : glyph;
}

void vga_text_line(const struct vga_frame *f, uint32_t counter, uint32_t row, uint32_t *buf)
{
	const struct vga_regs *r = f->r;
	bool blinking = (r->ac[AC_MODE] & AC_MODE_BLINK) != 0;

	for (uint32_t i = 0; i <= f->chars; i++, counter++) {
		const uint8_t *cell = &f->planes[4 * vga_frame_address(r, counter, row)];
		uint8_t attr = cell[1], back = attr >> 4;
		uint32_t dots = shape(f, counter, row, cell[0], attr), fg, bg;

		if (blinking)
			back &= 7;
		fg = f->color[f->index16[attr & 15]];
		bg = f->color[f->index16[back]];
		for (uint32_t n = f->char_dots; n-- > 0;)
			*buf++ = (dots >> n & 1) != 0 ? fg : bg;
	}
}
