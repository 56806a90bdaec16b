/*
 * vga_dispi.c - extended modes by two ports
 *
 * The interface of Bochs's display, which SeaVGABIOS drives: 1CE holds the
 * index of a 16-bit register, 1CF (and 1D0, for who cannot do words at odd
 * ports) the register.  Size and depth can be changed only while the mode is
 * off; turning it on clears the picture unless told not to.
 *
 * What a register cannot be it does not become: a depth that does not exist is
 * ignored, sizes and offsets are brought into what video memory holds.
 *
 * Spec     [VBE-DISPI] the Bochs VBE extension, versions B0C0 to B0C5; names and
 *          meaning as in SeaBIOS's vgasrc/bochsvga.h
 * Missing  EDID (version B0C5's MMIO), which SeaVGABIOS's standard build does
 *          not ask for
 * Lock     chip
 */
#include "chip/vga_priv.h"

#include <string.h>

#define ID_FIRST 0xb0c0u
#define ID_LAST 0xb0c5u
#define MAX_BPP 32u

void vga_dispi_reset(struct vga *v)
{
	memset(v->r.dispi, 0, sizeof(v->r.dispi));
	v->r.dispi_index = 0;
	v->r.dispi[DISPI_ID] = ID_LAST;
	v->r.dispi[DISPI_XRES] = 640;
	v->r.dispi[DISPI_YRES] = 480;
	v->r.dispi[DISPI_BPP] = 8;
}

static bool is_depth(uint32_t bpp)
{
	return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

static uint32_t line_of(uint32_t width, uint32_t bpp)
{
	return bpp == 4 ? width / 8 * 4 : width * ((bpp + 7) / 8);
}

uint32_t vga_dispi_line(const struct vga_regs *r)
{
	return line_of(r->dispi[DISPI_VIRT_WIDTH], r->dispi[DISPI_BPP]);
}

/* Bytes that a mode of this depth can use: four planes end at 256 KiB. */
static uint32_t memory_for(const struct vga *v, uint32_t bpp)
{
	return bpp == 4 ? VGA_PLANES_LEN : v->conf.vram_len;
}

/* The virtual picture: not narrower than the visible one, and it fits. */
static void set_virtual(struct vga *v, uint32_t width)
{
	uint16_t *d = v->r.dispi;
	uint32_t bpp = d[DISPI_BPP], lines;

	width = (uint32_t)max_u64(width, d[DISPI_XRES]);
	if (line_of(width, bpp) == 0 ||
	    line_of(width, bpp) * (uint64_t)d[DISPI_YRES] > memory_for(v, bpp))
		width = d[DISPI_XRES];
	lines = memory_for(v, bpp) / line_of(width, bpp);
	d[DISPI_VIRT_WIDTH] = (uint16_t)width;
	d[DISPI_VIRT_HEIGHT] = (uint16_t)min_u64(lines, UINT16_MAX);
	/* What is shown stays inside. */
	d[DISPI_X] = (uint16_t)min_u64(d[DISPI_X], width - d[DISPI_XRES]);
	d[DISPI_Y] = (uint16_t)min_u64(d[DISPI_Y], d[DISPI_VIRT_HEIGHT] - d[DISPI_YRES]);
}

/* Lines are multiples of four bytes long. */
static void clear_picture(struct vga *v)
{
	uint32_t n = vga_dispi_line(&v->r) * v->r.dispi[DISPI_YRES];

	for (uint32_t i = 0; i < n; i += 4)
		__atomic_store_n((uint32_t *)(void *)(v->vram + i), 0, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < n; i += VGA_PAGE)
		vga_dirty(v, i);
}

/* A size that exceeds video memory loses lines. */
static void turn_on(struct vga *v, uint16_t val)
{
	uint16_t *d = v->r.dispi;
	uint32_t bpp = d[DISPI_BPP];
	uint64_t most = memory_for(v, bpp) / line_of(d[DISPI_XRES], bpp);

	d[DISPI_YRES] = (uint16_t)min_u64(d[DISPI_YRES], most);
	d[DISPI_X] = d[DISPI_Y] = d[DISPI_BANK] = 0;
	set_virtual(v, d[DISPI_XRES]);
	if ((val & DISPI_NOCLEAR) == 0)
		clear_picture(v);
}

static void enable_write(struct vga *v, uint16_t val)
{
	uint16_t *d = v->r.dispi, old = d[DISPI_ENABLE];

	val &= DISPI_ENABLED | DISPI_GETCAPS | DISPI_DAC8 | DISPI_LFB | DISPI_NOCLEAR;
	if ((val & DISPI_ENABLED) != 0 && (old & DISPI_ENABLED) == 0)
		turn_on(v, val);
	/* Colors keep their looks when the DAC changes its width. */
	for (unsigned i = 0; i < 256 * 3 && ((old ^ val) & DISPI_DAC8) != 0; i++) {
		uint8_t *c = &v->r.dac[i / 3][i % 3];

		*c = (uint8_t)((val & DISPI_DAC8) != 0 ? *c << 2 | *c >> 4 : *c >> 2);
	}
	d[DISPI_ENABLE] = val;
}

static void size_write(struct vga *v, unsigned i, uint16_t val)
{
	uint16_t *d = v->r.dispi;

	if ((d[DISPI_ENABLE] & DISPI_ENABLED) != 0)
		return;
	if (i == DISPI_BPP && is_depth(val))
		d[i] = val;
	else if (i == DISPI_BPP && val == 0)
		d[i] = 8;
	else if (i == DISPI_XRES && val >= 8 && val <= DISP_MAX_WIDTH)
		d[i] = val & 0xfff8;
	else if (i == DISPI_YRES && val >= 1 && val <= DISP_MAX_HEIGHT)
		d[i] = val;
}

static void dispi_set(struct vga *v, uint16_t val)
{
	uint16_t *d = v->r.dispi;
	unsigned i = v->r.dispi_index;

	if (i != DISPI_BANK)		/* which the picture does not depend on */
		v->regs_changed = true;
	switch (i) {
	case DISPI_ID:
		if (val >= ID_FIRST && val <= ID_LAST)
			d[i] = val;
		break;
	case DISPI_XRES:
	case DISPI_YRES:
	case DISPI_BPP:
		size_write(v, i, val);
		break;
	case DISPI_ENABLE:
		enable_write(v, val);
		break;
	case DISPI_BANK:
		if (val < v->conf.vram_len >> 16)
			d[i] = val;
		break;
	case DISPI_VIRT_WIDTH:
		if ((d[DISPI_ENABLE] & DISPI_ENABLED) != 0)
			set_virtual(v, val & 0xfff8u);
		break;
	case DISPI_X:
		d[i] = (uint16_t)min_u64(val, d[DISPI_VIRT_WIDTH] - min_u64(d[DISPI_XRES],
					 d[DISPI_VIRT_WIDTH]));
		break;
	case DISPI_Y:
		d[i] = (uint16_t)min_u64(val, d[DISPI_VIRT_HEIGHT] - min_u64(d[DISPI_YRES],
					 d[DISPI_VIRT_HEIGHT]));
		break;
	}
}

static uint16_t dispi_get(const struct vga *v)
{
	const uint16_t *d = v->r.dispi;
	bool caps = (d[DISPI_ENABLE] & DISPI_GETCAPS) != 0;
	unsigned i = v->r.dispi_index;

	if (i == DISPI_MEMORY)
		return (uint16_t)(v->conf.vram_len >> 16);
	if (i >= VGA_NR_DISPI)
		return 0;
	if (caps && i == DISPI_XRES)
		return DISP_MAX_WIDTH;
	if (caps && i == DISPI_YRES)
		return DISP_MAX_HEIGHT;
	if (caps && i == DISPI_BPP)
		return MAX_BPP;
	return d[i];
}

bool vga_dispi_ok(const struct vga *v)
{
	const uint16_t *d = v->r.dispi;
	uint32_t line = vga_dispi_line(&v->r);

	if (d[DISPI_ID] < ID_FIRST || d[DISPI_ID] > ID_LAST || !is_depth(d[DISPI_BPP]) ||
	    d[DISPI_XRES] < 8 || d[DISPI_XRES] > DISP_MAX_WIDTH || d[DISPI_XRES] % 8 != 0 ||
	    d[DISPI_YRES] < 1 || d[DISPI_YRES] > DISP_MAX_HEIGHT ||
	    d[DISPI_BANK] >= v->conf.vram_len >> 16)
		return false;
	if ((d[DISPI_ENABLE] & DISPI_ENABLED) == 0)
		return true;
	return d[DISPI_VIRT_WIDTH] >= d[DISPI_XRES] &&
	       d[DISPI_X] <= d[DISPI_VIRT_WIDTH] - d[DISPI_XRES] &&
	       d[DISPI_Y] + d[DISPI_YRES] <= d[DISPI_VIRT_HEIGHT] &&
	       (uint64_t)d[DISPI_VIRT_HEIGHT] * line <= memory_for(v, d[DISPI_BPP]);
}

static uint64_t dispi_read(void *self, uint32_t off, unsigned width)
{
	const struct vga *v = self;

	(void)width;
	return off == 0 ? v->r.dispi_index : dispi_get(v);
}

static void dispi_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct vga *v = self;

	(void)width;
	if (off == 0)
		v->r.dispi_index = (uint16_t)val;
	else
		dispi_set(v, (uint16_t)val);
}

const struct io_ops vga_dispi_io = {
	.widths = IO_W2,
	.read = dispi_read,
	.write = dispi_write,
};
