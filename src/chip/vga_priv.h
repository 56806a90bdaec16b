/*
 * vga_priv.h - what the files of the VGA share
 *
 * Video memory is four planes of 64 KiB, interleaved: byte A of plane P is
 * vram[4 * A + P].  The extended modes see the same bytes one after another.
 */
#ifndef CHIP_VGA_PRIV_H
#define CHIP_VGA_PRIV_H

#include "chip/vga.h"
#include "dev/pci.h"

#include <stdatomic.h>

#define VGA_PLANES_LEN (4u << 16)	/* bytes: what the register machine reaches */
#define VGA_PAGE 4096u			/* grain of the dirty map */

enum { SEQ_RESET = 0, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONT, SEQ_MEMORY, VGA_NR_SEQ };
enum { CLOCKING_8DOT = 0x01, CLOCKING_HALF = 0x08, CLOCKING_OFF = 0x20 };
enum { MEMORY_SEQUENTIAL = 0x04, MEMORY_CHAIN4 = 0x08 };

enum { CRTC_HTOTAL = 0, CRTC_HDISP_END = 1, CRTC_VTOTAL = 6, CRTC_OVERFLOW = 7,
       CRTC_PRESET_ROW = 8, CRTC_MAX_SCAN = 9, CRTC_CURSOR_START = 0x0a, CRTC_CURSOR_END = 0x0b,
       CRTC_START_HIGH = 0x0c, CRTC_START_LOW = 0x0d, CRTC_CURSOR_HIGH = 0x0e,
       CRTC_CURSOR_LOW = 0x0f, CRTC_VSYNC_START = 0x10, CRTC_VSYNC_END = 0x11,
       CRTC_VDISP_END = 0x12, CRTC_OFFSET = 0x13, CRTC_UNDERLINE = 0x14, CRTC_VBLANK_START = 0x15,
       CRTC_MODE = 0x17, CRTC_LINE_COMPARE = 0x18, VGA_NR_CRTC };
enum { OVERFLOW_LINE_COMPARE = 0x10 };
enum { MAX_SCAN_ROWS = 0x1f, MAX_SCAN_LINE_COMPARE = 0x40, MAX_SCAN_DOUBLE = 0x80 };
enum { CURSOR_START_OFF = 0x20 };
enum { VSYNC_END_PROTECT = 0x80 };
enum { UNDERLINE_ROW = 0x1f, UNDERLINE_COUNT4 = 0x20, UNDERLINE_DWORD = 0x40 };
enum { MODE_NOT_CGA = 0x01, MODE_NOT_HERCULES = 0x02, MODE_COUNT2 = 0x08, MODE_WRAP_A15 = 0x20,
       MODE_BYTE = 0x40 };

enum { GC_SET_RESET = 0, GC_ENABLE_SET_RESET, GC_COMPARE, GC_ROTATE, GC_READ_MAP, GC_MODE,
       GC_MISC, GC_DONT_CARE, GC_BIT_MASK, VGA_NR_GC };
enum { GC_MODE_WRITE = 0x03, GC_MODE_COMPARE = 0x08, GC_MODE_ODD_EVEN = 0x10,
       GC_MODE_INTERLEAVE = 0x20, GC_MODE_256 = 0x40 };
enum { GC_MISC_GRAPHICS = 0x01, GC_MISC_CHAIN = 0x02 };

enum { AC_MODE = 0x10, AC_OVERSCAN, AC_PLANES, AC_PAN, AC_SELECT, VGA_NR_AC };
enum { AC_INDEX_ON = 0x20 };
enum { AC_MODE_9TH_DOT = 0x04, AC_MODE_BLINK = 0x08, AC_MODE_PAN_TOP = 0x20,
       AC_MODE_WIDE = 0x40, AC_MODE_SELECT = 0x80 };

enum { MISC_COLOR = 0x01, MISC_RAM = 0x02, MISC_CLOCK = 0x0c };

enum { DISPI_ID = 0, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_ENABLE, DISPI_BANK,
       DISPI_VIRT_WIDTH, DISPI_VIRT_HEIGHT, DISPI_X, DISPI_Y, DISPI_MEMORY, VGA_NR_DISPI };
enum { DISPI_ENABLED = 0x01, DISPI_GETCAPS = 0x02, DISPI_DAC8 = 0x20, DISPI_LFB = 0x40,
       DISPI_NOCLEAR = 0x80 };

struct vga_regs {
	uint8_t misc, feature;
	uint8_t seq_index, crtc_index, gc_index, ac_index;
	uint8_t ac_data;		/* 1: the next write to 3C0 is data */
	uint8_t seq[VGA_NR_SEQ], crtc[VGA_NR_CRTC], gc[VGA_NR_GC], ac[VGA_NR_AC];
	uint8_t latch[4];
	uint8_t dac_mask, dac_reading, dac_index, dac_step, dac_latch[3];
	uint8_t dac[256][3];
	uint16_t dispi_index, dispi[VGA_NR_DISPI];
};

struct vga {
	struct vga_conf conf;		/* [const] */
	struct clock *clock;		/* [const] */
	pthread_mutex_t *lock;		/* [const] the chip lock */
	uint8_t *vram;			/* [const]; its bytes are read without the lock */
	uint8_t *own_vram;		/* [owned] NULL: it is conf.vram */
	uint8_t *rom;			/* [owned] [const] VGA_ROM_LEN, or NULL */
	struct pci_func pci;
	struct vga_regs r;		/* [chip] */
	bool regs_changed;		/* [chip] since the last paint: what the picture depends on */
	bool dirty_any;			/* [chip] some bit of dirty is set */
	uint64_t *dirty;		/* [owned] [chip] a bit for each page of vram */
	struct disp_adapter adapter;	/* [const] */
	/* The painter's own: the picture's lock. */
	struct vga_shot *shot;		/* [owned] */
};

/* Who paints reads video memory while the guest writes it. */
static inline uint8_t vram_get(const uint8_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void vram_put(uint8_t *p, uint8_t val)
{
	__atomic_store_n(p, val, __ATOMIC_RELAXED);
}

static inline void vga_dirty(struct vga *v, uint32_t off)
{
	v->dirty[off / VGA_PAGE / 64] |= UINT64_C(1) << (off / VGA_PAGE % 64);
	v->dirty_any = true;
}

static inline bool vga_extended(const struct vga_regs *r)
{
	return (r->dispi[DISPI_ENABLE] & DISPI_ENABLED) != 0;
}

/* An extended mode whose memory is one byte after the other. */
static inline bool vga_packed(const struct vga_regs *r)
{
	return vga_extended(r) && r->dispi[DISPI_BPP] >= 8;
}

/* vga_regs.c: ports 3B0 to 3DF */
void vga_regs_reset(struct vga_regs *r);
extern const struct io_ops vga_port_io;

/* vga_dispi.c: ports 1CE, 1CF (and 1D0) */
void vga_dispi_reset(struct vga *v);
/* Makes what a stranger's state says possible; false: it cannot be. */
MUST_CHECK bool vga_dispi_ok(const struct vga *v);
uint32_t vga_dispi_line(const struct vga_regs *r);	/* bytes from one line to the next */
extern const struct io_ops vga_dispi_io;

/* vga_mem.c: A0000 to BFFFF, and the frame buffer BAR */
extern const struct io_ops vga_window_io, vga_frame_io;

/* vga_time.c */
struct vga_beam {
	bool blank, vsync;
	uint64_t frame;			/* number since the clock began */
};
void vga_beam_at(const struct vga_regs *r, uint64_t now_ns, struct vga_beam *ret_b);

/* vga_scan.c: pure; registers and planes to dots of one line */
struct vga_frame {			/* what a whole frame needs, worked out once */
	const struct vga_regs *r;
	const uint8_t *planes;		/* VGA_PLANES_LEN, interleaved */
	const uint32_t *color;		/* of the 256 DAC entries */
	uint8_t index16[16], index256[16];	/* attribute to DAC index, or half of one */
	uint32_t dots, lines;		/* the picture's size */
	uint32_t chars;			/* that are fetched for a line */
	uint32_t char_dots;		/* 8 or 9 */
	uint32_t repeat;		/* 2: half the dot clock */
	bool cursor_on, blink_on;	/* the phases */
	/* Extended mode of four planes: sequential bytes, whatever the CRTC says; step 0: none. */
	uint32_t linear_start, linear_step;
};
void vga_frame_begin(struct vga_frame *f, const struct vga_regs *r, const uint8_t *planes,
		     const uint32_t *color, uint64_t frame);
uint32_t vga_frame_address(const struct vga_regs *r, uint32_t counter, uint32_t row);
/*
 * Calls LINE with each line of the frame, from top to bottom; a line has
 * f->dots pixels.
 */
void vga_frame_draw(const struct vga_frame *f,
		    void (*line)(void *arg, uint32_t y, const uint32_t *px), void *arg);

/* vga_text.c: one line of text, BUF has room for chars * 9 dots */
void vga_text_line(const struct vga_frame *f, uint32_t counter, uint32_t row, uint32_t *buf);

/* vga_paint.c */
MUST_CHECK int vga_paint_init(struct vga *v);
void vga_paint_fini(struct vga *v);

#endif
