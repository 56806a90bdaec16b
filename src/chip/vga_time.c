/*
 * vga_time.c - where the beam is
 *
 * Nothing runs for it: the place follows from the device's clock and the
 * CRTC's totals, so a guest that counts frames by the retrace bit, or that
 * waits for one edge of it, sees the rate its own mode has.
 *
 * In extended modes the CRTC's timing is not what is shown; there it is 60
 * frames a second with a twentieth of each for the retrace.
 *
 * Spec     [VGA] CRT controller, input status register 1
 * Lock     chip
 */
#include "chip/vga_priv.h"

#define CLOCK0_HZ 25175000u
#define CLOCK1_HZ 28322000u

struct timing {
	uint64_t frame_ns;
	uint32_t lines, shown, sync, sync_end;	/* lines from the top */
	uint32_t chars, chars_shown;		/* of a line */
};

static uint32_t with_overflow(const struct vga_regs *r, unsigned reg, unsigned bit8, unsigned bit9)
{
	uint8_t o = r->crtc[CRTC_OVERFLOW];

	return r->crtc[reg] | (o >> bit8 & 1u) << 8 | (o >> bit9 & 1u) << 9;
}

static void vga_timing(const struct vga_regs *r, struct timing *t)
{
	uint64_t hz = (r->misc & MISC_CLOCK) == 0x04 ? CLOCK1_HZ : CLOCK0_HZ;
	uint8_t clocking = r->seq[SEQ_CLOCKING];
	uint64_t dots = (clocking & CLOCKING_8DOT) != 0 ? 8 : 9;

	if ((clocking & CLOCKING_HALF) != 0)
		dots *= 2;
	t->chars = r->crtc[CRTC_HTOTAL] + 5u;
	t->chars_shown = r->crtc[CRTC_HDISP_END] + 1u;
	t->lines = with_overflow(r, CRTC_VTOTAL, 0, 5) + 2;
	t->shown = with_overflow(r, CRTC_VDISP_END, 1, 6) + 1;
	t->sync = with_overflow(r, CRTC_VSYNC_START, 2, 7);
	/* It ends where the low four bits are as told; 16 lines when that is at once. */
	t->sync_end = t->sync + 1 + ((r->crtc[CRTC_VSYNC_END] - t->sync - 1u) & 15);
	t->frame_ns = dots * t->chars * t->lines * NS_PER_SEC / hz;
}

static void fixed_timing(const struct vga_regs *r, struct timing *t)
{
	t->shown = r->dispi[DISPI_YRES];
	t->lines = t->shown + t->shown / 20 + 3;
	t->sync = t->shown + 1;
	t->sync_end = t->lines;
	t->chars = 100;
	t->chars_shown = 80;
	t->frame_ns = NS_PER_SEC / 60;
}

void vga_beam_at(const struct vga_regs *r, uint64_t now_ns, struct vga_beam *ret_b)
{
	struct timing t;
	uint64_t in_frame, where;
	uint32_t line, at;

	if (vga_extended(r))
		fixed_timing(r, &t);
	else
		vga_timing(r, &t);
	if (t.sync >= t.lines) {	/* there is always one, or guests wait for ever */
		t.sync = t.lines - 1;
		t.sync_end = t.lines;
	}
	in_frame = now_ns % t.frame_ns;
	where = in_frame * t.lines * t.chars / t.frame_ns;
	line = (uint32_t)(where / t.chars);
	at = (uint32_t)(where % t.chars);
	ret_b->frame = now_ns / t.frame_ns;
	ret_b->vsync = line >= t.sync && line < t.sync_end;
	ret_b->blank = line >= t.shown || at >= t.chars_shown || ret_b->vsync;
}
