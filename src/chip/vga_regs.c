/*
 * vga_regs.c - the ports 3B0 to 3DF
 *
 * Five blocks, each an index and a data register, and the DAC with its three
 * writes to a color.  Bits that do not exist read as zero.  The CRTC's ports
 * and the status register lie at 3Bx or 3Dx, as the miscellaneous output
 * register says; at the other place nobody answers.
 *
 * Palette registers are written whether or not the screen is on: real VGAs
 * differ, and no program relies on the write being lost.
 *
 * Spec     [VGA] IBM PS/2 Hardware Interface Technical Reference, Video
 *          Subsystem; [SVGA] VESA
 * Missing  the vertical interrupt (3C2 bit 7), the video status multiplexer
 *          (3DA bits 4 and 5), light pen
 * Lock     chip
 */
#include "chip/vga_priv.h"

#include <string.h>

#define PORT_BASE 0x3b0u

static const uint8_t seq_mask[VGA_NR_SEQ] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t gc_mask[VGA_NR_GC] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const uint8_t ac_mask[VGA_NR_AC] = {
	0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
	0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
};

void vga_regs_reset(struct vga_regs *r)
{
	memset(r, 0, sizeof(*r));
	r->dac_mask = 0xff;
	/* Sequential memory and dots of no size: a black picture until firmware comes. */
	r->seq[SEQ_CLOCKING] = CLOCKING_OFF;
}

/* ---- sequencer, graphics controller, CRTC -------------------------------------- */

static void seq_write(struct vga *v, uint8_t val)
{
	if (v->r.seq_index < VGA_NR_SEQ)
		v->r.seq[v->r.seq_index] = val & seq_mask[v->r.seq_index];
}

static void gc_write(struct vga *v, uint8_t val)
{
	if (v->r.gc_index < VGA_NR_GC)
		v->r.gc[v->r.gc_index] = val & gc_mask[v->r.gc_index];
}

/* Bit 7 of the end of vertical retrace protects 0 to 7, a bit of the line compare excepted. */
static void crtc_write(struct vga *v, uint8_t val)
{
	uint8_t *reg, i = v->r.crtc_index;

	if (i >= VGA_NR_CRTC)
		return;
	reg = &v->r.crtc[i];
	if (i <= CRTC_OVERFLOW && (v->r.crtc[CRTC_VSYNC_END] & VSYNC_END_PROTECT) != 0) {
		if (i == CRTC_OVERFLOW)
			*reg = (uint8_t)((*reg & ~OVERFLOW_LINE_COMPARE) |
					 (val & OVERFLOW_LINE_COMPARE));
		return;
	}
	*reg = val;
}

/* ---- attribute controller ------------------------------------------------------ */

static void ac_write(struct vga *v, uint8_t val)
{
	struct vga_regs *r = &v->r;
	uint8_t i = r->ac_index & 0x1f;

	if (r->ac_data == 0)
		r->ac_index = val & 0x3f;
	else if (i < VGA_NR_AC)
		r->ac[i] = val & ac_mask[i];
	r->ac_data ^= 1;
}

static uint8_t ac_read(const struct vga *v)
{
	uint8_t i = v->r.ac_index & 0x1f;

	return i < VGA_NR_AC ? v->r.ac[i] : 0;
}

/* ---- DAC ----------------------------------------------------------------------- */

/* Six bits, until the extension says eight. */
static uint8_t dac_bits(const struct vga *v)
{
	return (v->r.dispi[DISPI_ENABLE] & DISPI_DAC8) != 0 ? 0xff : 0x3f;
}

static void dac_start(struct vga *v, uint8_t index, bool reading)
{
	v->r.dac_index = index;
	v->r.dac_reading = reading;
	v->r.dac_step = 0;
}

/* A color changes with its third byte. */
static void dac_write(struct vga *v, uint8_t val)
{
	struct vga_regs *r = &v->r;

	r->dac_latch[r->dac_step++] = val & dac_bits(v);
	if (r->dac_step == 3) {
		memcpy(r->dac[r->dac_index++], r->dac_latch, 3);
		r->dac_step = 0;
	}
}

static uint8_t dac_read(struct vga *v)
{
	struct vga_regs *r = &v->r;
	uint8_t val = r->dac[r->dac_index][r->dac_step++];

	if (r->dac_step == 3) {
		r->dac_index++;
		r->dac_step = 0;
	}
	return val & dac_bits(v);
}

/* ---- ports --------------------------------------------------------------------- */

/* 3DA: where the beam is; and the next write to 3C0 is an index. */
static uint8_t status_read(struct vga *v)
{
	struct vga_beam b;

	vga_beam_at(&v->r, clock_now_ns(v->clock), &b);
	v->r.ac_data = 0;
	return (uint8_t)((b.blank ? 0x01 : 0) | (b.vsync ? 0x08 : 0));
}

/* PORT as if the CRTC were at 3Dx; 0: it is at the other place. */
static unsigned port_of(const struct vga *v, uint32_t off)
{
	unsigned port = PORT_BASE + off;
	bool color = (v->r.misc & MISC_COLOR) != 0;

	if (port < 0x3c0)
		return color ? 0 : port + 0x20;
	return port >= 0x3d0 && !color ? 0 : port;
}

static uint64_t port_read(void *self, uint32_t off, unsigned width)
{
	struct vga *v = self;
	const struct vga_regs *r = &v->r;

	(void)width;
	switch (port_of(v, off)) {
	case 0x3c0:
		return r->ac_index;
	case 0x3c1:
		return ac_read(v);
	case 0x3c2:		/* input status 0: a color monitor answers */
		return 0x10;
	case 0x3c3:		/* enabled */
		return 0x01;
	case 0x3c4:
		return r->seq_index;
	case 0x3c5:
		return r->seq_index < VGA_NR_SEQ ? r->seq[r->seq_index] : 0;
	case 0x3c6:
		return r->dac_mask;
	case 0x3c7:
		return r->dac_reading ? 3 : 0;
	case 0x3c8:
		return r->dac_index;
	case 0x3c9:
		return dac_read(v);
	case 0x3ca:
		return r->feature;
	case 0x3cc:
		return r->misc;
	case 0x3ce:
		return r->gc_index;
	case 0x3cf:
		return r->gc_index < VGA_NR_GC ? r->gc[r->gc_index] : 0;
	case 0x3d4:
		return r->crtc_index;
	case 0x3d5:
		return r->crtc_index < VGA_NR_CRTC ? r->crtc[r->crtc_index] : 0;
	case 0x3da:
		return status_read(v);
	}
	return 0xff;
}

static void port_write(void *self, uint32_t off, unsigned width, uint64_t val64)
{
	struct vga *v = self;
	struct vga_regs *r = &v->r;
	uint8_t val = (uint8_t)val64;

	(void)width;
	v->regs_changed = true;
	switch (port_of(v, off)) {
	case 0x3c0:
		ac_write(v, val);
		break;
	case 0x3c2:
		r->misc = val & 0xef;
		break;
	case 0x3c4:
		r->seq_index = val & 0x07;
		break;
	case 0x3c5:
		seq_write(v, val);
		break;
	case 0x3c6:
		r->dac_mask = val;
		break;
	case 0x3c7:
		dac_start(v, val, true);
		break;
	case 0x3c8:
		dac_start(v, val, false);
		break;
	case 0x3c9:
		dac_write(v, val);
		break;
	case 0x3ce:
		r->gc_index = val & 0x0f;
		break;
	case 0x3cf:
		gc_write(v, val);
		break;
	case 0x3d4:
		r->crtc_index = val & 0x3f;
		break;
	case 0x3d5:
		crtc_write(v, val);
		break;
	case 0x3da:
		r->feature = val & 0x0b;
		break;
	}
}

const struct io_ops vga_port_io = {
	.widths = IO_W1,
	.read = port_read,
	.write = port_write,
};
