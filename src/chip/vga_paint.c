/*
 * vga_paint.c - brings the picture up to date
 *
 * A viewer's thread comes here, at its own pace.  It takes a copy of the
 * registers, of the map of written pages and, in the modes of the register
 * machine, of the four planes under the chip lock; the rest happens without.
 * Linear frame buffers are read line by line while the guest writes: a line
 * may be half old, as on a monitor, and its page is dirty again then.  Where the
 * guest writes unseen (conf.vram), lines are compared with a copy of what was
 * painted: 1 ms for a picture of 1920 by 1080, and only while somebody looks.
 *
 * Lock     the picture's (disp.h) around all, the chip lock around the copy
 */
#include "chip/vga_priv.h"

#include "base/le.h"

#include <stdlib.h>
#include <string.h>

#define OFF_WIDTH 640u			/* what is shown of a display that is off */
#define OFF_HEIGHT 480u
#define MAX_PAGES (VGA_BAR_LEN / VGA_PAGE)

struct vga_shot {
	struct vga_regs r;
	uint64_t dirty[MAX_PAGES / 64];
	uint32_t color[256];
	uint8_t planes[VGA_PLANES_LEN];
	bool cursor_on, blink_on;	/* as painted */
	uint8_t bytes[DISP_MAX_WIDTH * 4];
	uint8_t *painted;		/* [owned] of video memory, where writes are unseen */
	uint32_t line[DISP_MAX_WIDTH];
};

/* One fetch of each byte. */
static void vram_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
	for (; n > 0 && (uintptr_t)src % 8 != 0; n--)
		*dst++ = vram_get(src++);
	for (; n >= 8; n -= 8, src += 8, dst += 8)
		st64(dst, __atomic_load_n((const uint64_t *)(const void *)src, __ATOMIC_RELAXED));
	for (; n > 0; n--)
		*dst++ = vram_get(src++);
}

static uint32_t rgb(uint32_t r, uint32_t g, uint32_t b)
{
	return r << 16 | g << 8 | b;
}

static void colors(struct vga_shot *s)
{
	bool wide = (s->r.dispi[DISPI_ENABLE] & DISPI_DAC8) != 0;

	for (unsigned i = 0; i < 256; i++) {
		const uint8_t *c = s->r.dac[i & s->r.dac_mask];
		uint32_t part[3];

		for (unsigned k = 0; k < 3; k++)
			part[k] = wide ? c[k] : (uint32_t)(c[k] << 2 | c[k] >> 4);
		s->color[i] = rgb(part[0], part[1], part[2]);
	}
}

/* ---- linear modes -------------------------------------------------------------- */

static uint32_t widen(uint32_t val, unsigned bits)
{
	return val << (8 - bits) | val >> (2 * bits - 8);
}

static uint32_t pixel(const struct vga_shot *s, const uint8_t *p)
{
	uint32_t v;

	switch (s->r.dispi[DISPI_BPP]) {
	case 8:
		return s->color[p[0]];
	case 15:
		v = ld16(p);
		return rgb(widen(v >> 10 & 31, 5), widen(v >> 5 & 31, 5), widen(v & 31, 5));
	case 16:
		v = ld16(p);
		return rgb(widen(v >> 11, 5), widen(v >> 5 & 63, 6), widen(v & 31, 5));
	default:
		return rgb(p[2], p[1], p[0]);
	}
}

static bool written(const struct vga_shot *s, uint32_t off, uint32_t n)
{
	for (uint32_t page = off / VGA_PAGE; page <= (off + n - 1) / VGA_PAGE; page++)
		if ((s->dirty[page / 64] >> page % 64 & 1) != 0)
			return true;
	return false;
}

/* From the copy, which it makes the same. */
static bool differs(struct vga_shot *s, uint32_t off, uint32_t n)
{
	if (memcmp(s->painted + off, s->bytes, n) == 0)
		return false;
	memcpy(s->painted + off, s->bytes, n);
	return true;
}

static void paint_linear(struct vga *v, struct vga_shot *s, struct disp *d, bool all)
{
	const uint16_t *reg = s->r.dispi;
	uint32_t size = (reg[DISPI_BPP] + 7u) / 8, step = vga_dispi_line(&s->r);
	uint32_t width = reg[DISPI_XRES], n = width * size;
	uint64_t at = (uint64_t)reg[DISPI_Y] * step + reg[DISPI_X] * size;

	if (disp_size(d, width, reg[DISPI_YRES]))
		all = true;
	for (uint32_t y = 0; y < reg[DISPI_YRES]; y++, at += step) {
		uint32_t off = (uint32_t)at;

		if (at + n > v->conf.vram_len)		/* turn_on and set_virtual see to that */
			return;
		if (!all && s->painted == NULL && !written(s, off, n))
			continue;
		vram_copy(s->bytes, v->vram + off, n);
		if (s->painted != NULL && !differs(s, off, n) && !all)
			continue;
		for (uint32_t x = 0; x < width; x++)
			s->line[x] = pixel(s, s->bytes + x * size);
		disp_line(d, 0, y, s->line, width);
	}
}

/* ---- the register machine ------------------------------------------------------ */

static void put_line(void *arg, uint32_t y, const uint32_t *px)
{
	struct disp *d = arg;

	disp_line(d, 0, y, px, DISP_MAX_WIDTH);		/* as wide as the picture is */
}

static void paint_off(struct vga_shot *s, struct disp *d, uint32_t width, uint32_t height)
{
	for (uint32_t x = 0; x < DISP_MAX_WIDTH; x++)
		s->line[x] = 0;
	disp_size(d, width, height);
	for (uint32_t y = 0; y < height; y++)
		disp_line(d, 0, y, s->line, DISP_MAX_WIDTH);
}

static void paint_planes(struct vga_shot *s, struct disp *d, uint64_t frame)
{
	const uint16_t *reg = s->r.dispi;
	struct vga_frame f;

	vga_frame_begin(&f, &s->r, s->planes, s->color, frame);
	if (vga_extended(&s->r)) {
		f.chars = reg[DISPI_XRES] / 8u;
		f.dots = reg[DISPI_XRES];
		f.lines = reg[DISPI_YRES];
		f.char_dots = 8;
		f.repeat = 1;
		f.linear_step = reg[DISPI_VIRT_WIDTH] / 8u;
		f.linear_start = reg[DISPI_Y] * f.linear_step + reg[DISPI_X] / 8u;
	}
	if (f.lines < 16 || f.dots < 64) {	/* nobody has set a mode */
		paint_off(s, d, OFF_WIDTH, OFF_HEIGHT);
		return;
	}
	if ((s->r.ac_index & AC_INDEX_ON) == 0 || (s->r.seq[SEQ_CLOCKING] & CLOCKING_OFF) != 0) {
		paint_off(s, d, f.dots, f.lines);
		return;
	}
	disp_size(d, f.dots, f.lines);
	vga_frame_draw(&f, put_line, d);
}

/* ---- both ---------------------------------------------------------------------- */

/* Chip lock held: takes what is needed, and whether any of it is new. */
static bool take_shot(struct vga *v, struct vga_shot *s, bool all, uint64_t *ret_frame)
{
	struct vga_beam b;
	bool fresh = all || v->regs_changed || v->dirty_any, cursor, blink;
	uint32_t words = (v->conf.vram_len / VGA_PAGE + 63) / 64;

	if (s->painted != NULL && vga_packed(&v->r))
		fresh = true;
	vga_beam_at(&v->r, clock_now_ns(v->clock), &b);
	*ret_frame = b.frame;
	cursor = (b.frame >> 3 & 1) == 0;
	blink = (b.frame >> 4 & 1) == 0;
	if (!vga_extended(&v->r) && (v->r.gc[GC_MISC] & GC_MISC_GRAPHICS) == 0)
		fresh = fresh || cursor != s->cursor_on || blink != s->blink_on;
	if (!fresh)
		return false;
	s->cursor_on = cursor;
	s->blink_on = blink;
	s->r = v->r;
	for (uint32_t i = 0; i < words; i++) {
		s->dirty[i] = v->dirty[i];
		v->dirty[i] = 0;
	}
	v->regs_changed = v->dirty_any = false;
	if (!vga_packed(&v->r))
		vram_copy(s->planes, v->vram, VGA_PLANES_LEN);
	return true;
}

static void vga_paint(void *self, struct disp *d, bool all)
{
	struct vga *v = self;
	struct vga_shot *s = v->shot;
	uint64_t frame;
	bool fresh;

	pthread_mutex_lock(v->lock);
	all = all || v->regs_changed;
	fresh = take_shot(v, s, all, &frame);
	pthread_mutex_unlock(v->lock);
	if (!fresh)
		return;
	colors(s);
	if (vga_packed(&s->r))
		paint_linear(v, s, d, all);
	else
		paint_planes(s, d, frame);
}

int vga_paint_init(struct vga *v)
{
	v->adapter = (struct disp_adapter){ vga_paint, v };
	if (v->conf.disp == NULL)
		return 0;
	v->shot = new0(struct vga_shot);
	if (v->shot == NULL)
		return -ENOMEM;
	if (v->conf.vram != NULL) {
		v->shot->painted = new_array(uint8_t, v->conf.vram_len);
		if (v->shot->painted == NULL)
			return -ENOMEM;
	}
	return disp_attach(v->conf.disp, &v->adapter);
}

void vga_paint_fini(struct vga *v)
{
	if (v->shot == NULL)
		return;
	disp_detach(v->conf.disp, &v->adapter);
	free(v->shot->painted);
	free(v->shot);
}
