/*
 * vga_mem.c - the processor's way to video memory
 *
 * A byte written at A0000 to BFFFF goes through the graphics controller: the
 * write mode makes four bytes of it, the bit mask mixes them with what the
 * last read left in the latches, the map mask says which planes take theirs.
 * How the address becomes one of a plane depends on three ways to chain
 * planes:
 *
 *  - sequential: the address is the plane's, all planes are meant
 *  - odd/even (text, CGA): A0 chooses planes 0 and 2 or 1 and 3, and the
 *    plane's own A0 is zero (A16 in the 128 KiB window)
 *  - chain-4 (256 colors): A1 and A0 choose the plane, and the plane's own
 *    are A15 and A14, just as the CRTC counts in doublewords
 *
 * In extended modes of a byte a pixel or more the window is 64 KiB of linear
 * memory, chosen by the bank register, and no controller in between.
 *
 * Spec     [VGA] graphics controller, sequencer
 * Lock     chip
 */
#include "chip/vga_priv.h"

struct plane_at {
	uint32_t off;			/* in the plane */
	uint8_t planes;			/* that are meant, a bit each */
};

/* Offset into the window that is decoded now; false: not ours. */
static bool in_window(const struct vga_regs *r, uint32_t off, uint32_t *ret_off)
{
	static const struct { uint32_t base, len; } map[4] = {
		{ 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 },
	};
	unsigned m = r->gc[GC_MISC] >> 2 & 3;

	if ((r->misc & MISC_RAM) == 0 || off - map[m].base >= map[m].len)
		return false;
	*ret_off = off - map[m].base;
	return true;
}

static struct plane_at locate(const struct vga_regs *r, uint32_t a, bool odd_even)
{
	if ((r->seq[SEQ_MEMORY] & MEMORY_CHAIN4) != 0)
		return (struct plane_at){ (a & 0xfffc) | (a >> 14 & 3), (uint8_t)(1u << (a & 3)) };
	if (odd_even)
		return (struct plane_at){ (a & 0xfffe) | (a >> 16 & 1), (a & 1) != 0 ? 0x0a : 0x05 };
	return (struct plane_at){ a & 0xffff, 0x0f };
}

/* ---- reading ------------------------------------------------------------------- */

/* A bit is one where all planes that matter have the color. */
static uint8_t color_compare(const struct vga_regs *r)
{
	uint8_t differs = 0;

	for (unsigned p = 0; p < 4; p++)
		if ((r->gc[GC_DONT_CARE] >> p & 1) != 0)
			differs |= r->latch[p] ^ ((r->gc[GC_COMPARE] >> p & 1) != 0 ? 0xff : 0);
	return (uint8_t)~differs;
}

static uint8_t planes_read(struct vga *v, uint32_t a)
{
	struct vga_regs *r = &v->r;
	bool odd_even = (r->gc[GC_MODE] & GC_MODE_ODD_EVEN) != 0;
	struct plane_at at = locate(r, a, odd_even);
	unsigned plane = r->gc[GC_READ_MAP];

	for (unsigned p = 0; p < 4; p++)
		r->latch[p] = vram_get(&v->vram[4 * at.off + p]);
	if ((r->gc[GC_MODE] & GC_MODE_COMPARE) != 0)
		return color_compare(r);
	if ((r->seq[SEQ_MEMORY] & MEMORY_CHAIN4) != 0)
		plane = a & 3;
	else if (odd_even)
		plane = (plane & 2) | (a & 1);
	return r->latch[plane];
}

/* ---- writing ------------------------------------------------------------------- */

static uint8_t spread(uint8_t bits, unsigned plane)
{
	return (bits >> plane & 1) != 0 ? 0xff : 0;
}

static uint8_t rotate(uint8_t val, unsigned n)
{
	return (uint8_t)(val >> n | val << (8 - n));
}

static uint8_t combine(uint8_t function, uint8_t val, uint8_t latch)
{
	switch (function) {
	case 1:
		return val & latch;
	case 2:
		return val | latch;
	case 3:
		return val ^ latch;
	default:
		return val;
	}
}

/* What VAL becomes for plane P. */
static uint8_t through(const struct vga_regs *r, uint8_t val, unsigned p)
{
	uint8_t turned = rotate(val, r->gc[GC_ROTATE] & 7), function = r->gc[GC_ROTATE] >> 3;
	uint8_t mask = r->gc[GC_BIT_MASK], latch = r->latch[p], out;

	switch (r->gc[GC_MODE] & GC_MODE_WRITE) {
	case 1:			/* what was read last */
		return latch;
	case 2:			/* a color */
		out = spread(val, p);
		break;
	case 3:			/* a mask for the color of set/reset */
		out = spread(r->gc[GC_SET_RESET], p);
		mask &= turned;
		break;
	default:
		out = (r->gc[GC_ENABLE_SET_RESET] >> p & 1) != 0 ?
		      spread(r->gc[GC_SET_RESET], p) : turned;
	}
	out = combine(function, out, latch);
	return (uint8_t)((out & mask) | (latch & ~mask));
}

static void planes_write(struct vga *v, uint32_t a, uint8_t val)
{
	struct vga_regs *r = &v->r;
	bool odd_even = (r->seq[SEQ_MEMORY] & MEMORY_SEQUENTIAL) == 0;
	struct plane_at at = locate(r, a, odd_even);
	uint8_t planes = at.planes & r->seq[SEQ_MAP_MASK];

	for (unsigned p = 0; p < 4; p++)
		if ((planes >> p & 1) != 0)
			vram_put(&v->vram[4 * at.off + p], through(r, val, p));
	vga_dirty(v, 4 * at.off);
}

/* ---- the window at A0000 ------------------------------------------------------- */

static uint32_t banked(const struct vga *v, uint32_t off)
{
	return ((uint32_t)v->r.dispi[DISPI_BANK] << 16 | (off & 0xffff)) & (v->conf.vram_len - 1);
}

static uint8_t window_get(struct vga *v, uint32_t off)
{
	if (!in_window(&v->r, off, &off))
		return 0xff;
	return vga_packed(&v->r) ? vram_get(&v->vram[banked(v, off)]) : planes_read(v, off);
}

static void window_put(struct vga *v, uint32_t off, uint8_t val)
{
	if (!in_window(&v->r, off, &off))
		return;
	if (vga_packed(&v->r)) {
		vram_put(&v->vram[banked(v, off)], val);
		vga_dirty(v, banked(v, off));
	} else {
		planes_write(v, off, val);
	}
}

/* Wide accesses are as many narrow ones, each with its own latches. */
static uint64_t window_read(void *self, uint32_t off, unsigned width)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < width; i++)
		val |= (uint64_t)window_get(self, off + i) << 8 * i;
	return val;
}

static void window_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	for (unsigned i = 0; i < width; i++)
		window_put(self, off + i, (uint8_t)(val >> 8 * i));
}

const struct io_ops vga_window_io = {
	.widths = IO_W1 | IO_W2 | IO_W4 | IO_W8,
	.read = window_read,
	.write = window_write,
};

/* ---- the frame buffer BAR ------------------------------------------------------ */

static uint64_t frame_read(void *self, uint32_t off, unsigned width)
{
	const struct vga *v = self;
	uint64_t val = 0;

	for (unsigned i = 0; i < width; i++)
		val |= (uint64_t)(off + i < v->conf.vram_len ? vram_get(&v->vram[off + i]) : 0xff)
		       << 8 * i;
	return val;
}

static void frame_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct vga *v = self;

	if (off >= v->conf.vram_len)
		return;
	for (unsigned i = 0; i < width && off + i < v->conf.vram_len; i++)
		vram_put(&v->vram[off + i], (uint8_t)(val >> 8 * i));
	vga_dirty(v, off);
	vga_dirty(v, (uint32_t)min_u64(off + width, v->conf.vram_len) - 1);
}

const struct io_ops vga_frame_io = {
	.widths = IO_W1 | IO_W2 | IO_W4 | IO_W8,
	.read = frame_read,
	.write = frame_write,
};
