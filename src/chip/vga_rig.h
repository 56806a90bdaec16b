/*
 * vga_rig.h - a VGA on a bench, with the modes of IBM's BIOS as register tables
 */
#ifndef CHIP_VGA_RIG_H
#define CHIP_VGA_RIG_H

#include "chip/chip_rig.h"
#include "chip/vga.h"
#include "dev/pci.h"

#define FRAME_AT 0xf8000000u
#define VGA_DEVFN PCI_DEVFN(8, 0)

struct vga_rig {
	struct rig r;
	struct disp *disp;
	struct pci_bus *pci;
	struct disp_view view;
	uint64_t seen;
};

static inline void vga_open_conf(struct vga_rig *v, struct vga_conf conf)
{
	struct dev_env env;
	void *bus;

	memset(v, 0, sizeof(*v));
	rig_init(&v->r);
	BUG_IF(disp_new(&v->disp) < 0);
	env = v->r.env;
	env.name = "pci";
	BUG_IF(dev_new(&pci_dev, &env, &(struct pci_conf){ .port = 0xcf8 }, &bus, NULL) < 0);
	v->pci = bus;
	v->r.env.pci = bus;
	conf.devfn = VGA_DEVFN;
	conf.disp = v->disp;
	rig_put(&v->r, &vga_dev, &conf);
}

static inline void vga_open(struct vga_rig *v, uint32_t vram_len, const void *rom, size_t rom_len)
{
	vga_open_conf(v, (struct vga_conf){ .vram_len = vram_len, .rom = rom, .rom_len = rom_len });
}

static inline void vga_close(struct vga_rig *v)
{
	dev_free(&vga_dev, v->r.dev);
	v->r.dev = NULL;
	dev_free(&pci_dev, v->pci);
	disp_free(v->disp);
	rig_fini(&v->r);
}

static inline void out8(struct vga_rig *v, uint16_t port, uint8_t val)
{
	rig_out(&v->r, port, 1, val);
}

static inline uint8_t in8(struct vga_rig *v, uint16_t port)
{
	return (uint8_t)rig_in(&v->r, port, 1);
}

/* An index and its data at once, as programs do it. */
static inline void out_pair(struct vga_rig *v, uint16_t port, uint8_t index, uint8_t val)
{
	rig_out(&v->r, port, 2, (uint32_t)val << 8 | index);
}

static inline void dispi(struct vga_rig *v, uint16_t index, uint16_t val)
{
	rig_out(&v->r, 0x1ce, 2, index);
	rig_out(&v->r, 0x1cf, 2, val);
}

static inline uint16_t dispi_in(struct vga_rig *v, uint16_t index)
{
	rig_out(&v->r, 0x1ce, 2, index);
	return (uint16_t)rig_in(&v->r, 0x1cf, 2);
}

static inline void poke8(struct vga_rig *v, uint32_t addr, uint8_t val)
{
	bus_write(v->r.mmio, addr, 1, val);
}

static inline uint8_t peek8(struct vga_rig *v, uint32_t addr)
{
	return (uint8_t)bus_read(v->r.mmio, addr, 1);
}

struct vga_mode {
	uint8_t misc, seq[5], crtc[25], gc[9], ac[21];
};

static const struct vga_mode mode_03 = {		/* 80x25, 9x16 dots */
	0x67, { 3, 0, 3, 0, 2 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0,
	  0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff },
	{ 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f,
	  8, 0 },
};

static const struct vga_mode mode_04 = {		/* 320x200, 4 colors of the CGA */
	0x63, { 3, 9, 3, 0, 2 },
	{ 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0,
	  0x9c, 0x8e, 0x8f, 0x14, 0, 0x96, 0xb9, 0xa2, 0xff },
	{ 0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff },
	{ 0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 1, 0, 3,
	  0, 0 },
};

static const struct vga_mode mode_12 = {		/* 640x480, 16 colors */
	0xe3, { 3, 1, 0x0f, 0, 6 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0,
	  0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 0x04, 0xe3, 0xff },
	{ 0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff },
	{ 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 1, 0, 0x0f,
	  0, 0 },
};

static const struct vga_mode mode_13 = {		/* 320x200, 256 colors */
	0x63, { 3, 1, 0x0f, 0, 0x0e },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0,
	  0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff },
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 0x0f, 0, 0 },
};

static inline void set_ac(struct vga_rig *v, uint8_t index, uint8_t val)
{
	(void)in8(v, 0x3da);
	out8(v, 0x3c0, index);
	out8(v, 0x3c0, val);
	out8(v, 0x3c0, 0x20);		/* the screen is on */
}

/* What entry I of the DAC is after set_mode: all 256 differ. */
static inline uint32_t entry_rgb(uint32_t i)
{
	uint32_t r = i & 0x3f, g = i >> 2 & 0x3f, b = i >> 6;

	return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 | (b << 2 | b >> 4);
}

static inline void set_mode(struct vga_rig *v, const struct vga_mode *m)
{
	out8(v, 0x3c2, m->misc);
	for (uint8_t i = 0; i < 5; i++)
		out_pair(v, 0x3c4, i, m->seq[i]);
	out_pair(v, 0x3d4, 0x11, 0);
	for (uint8_t i = 0; i < 25; i++)
		out_pair(v, 0x3d4, i, m->crtc[i]);
	for (uint8_t i = 0; i < 9; i++)
		out_pair(v, 0x3ce, i, m->gc[i]);
	for (uint8_t i = 0; i < 21; i++)
		set_ac(v, i, m->ac[i]);
	out8(v, 0x3c6, 0xff);
	out8(v, 0x3c8, 0);
	for (unsigned i = 0; i < 256; i++) {
		out8(v, 0x3c9, i & 0x3f);
		out8(v, 0x3c9, i >> 2 & 0x3f);
		out8(v, 0x3c9, (uint8_t)(i >> 6));
	}
}

/* A font by its way in: plane 2, sequential; back to mode 3 after. */
static inline void load_glyph(struct vga_rig *v, unsigned font, uint8_t ch, const uint8_t rows[16])
{
	out_pair(v, 0x3c4, 2, 4);
	out_pair(v, 0x3c4, 4, 7);
	out_pair(v, 0x3ce, 5, 0);
	out_pair(v, 0x3ce, 6, 4);
	for (unsigned i = 0; i < 16; i++)
		poke8(v, 0xa0000 + font * 0x4000 + ch * 32u + i, rows[i]);
	out_pair(v, 0x3c4, 2, 3);
	out_pair(v, 0x3c4, 4, 2);
	out_pair(v, 0x3ce, 5, 0x10);
	out_pair(v, 0x3ce, 6, 0x0e);
}

static inline void put_char(struct vga_rig *v, unsigned cell, uint8_t ch, uint8_t attr)
{
	bus_write(v->r.mmio, 0xb8000 + cell * 2, 2, (uint64_t)attr << 8 | ch);
}

/* The picture as it is now; nobody paints until the next look. */
static inline void look(struct vga_rig *v)
{
	v->seen = v->view.seq;
	disp_open(v->disp, &v->view);
	disp_close(v->disp);
}

static inline uint32_t dot(const struct vga_rig *v, uint32_t x, uint32_t y)
{
	return v->view.pixels[(size_t)y * v->view.stride + x];
}

static inline size_t changed(struct vga_rig *v, struct disp_rect *rects, size_t max)
{
	size_t n;

	v->seen = v->view.seq;
	disp_open(v->disp, &v->view);
	n = disp_changed(v->disp, v->seen, rects, max);
	disp_close(v->disp);
	return n;
}

#endif
