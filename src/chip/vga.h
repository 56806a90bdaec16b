/*
 * vga.h - the display adapter of the Generation 1 machine
 */
#ifndef CHIP_VGA_H
#define CHIP_VGA_H

#include "dev/dev.h"
#include "dev/disp.h"

#define VGA_BAR_LEN (64u << 20)		/* Hyper-V's frame buffer window */
#define VGA_ROM_LEN (64u << 10)
#define VGA_VRAM_LEN (16u << 20)	/* what a board asks for */

struct vga_conf {
	uint8_t devfn;			/* 00:08.0 on Hyper-V */
	uint32_t vram_len;		/* a power of two, 256 KiB to VGA_BAR_LEN */
	/*
	 * Memory of the guest that shows at BAR 0's usual place, so that writes
	 * there are not seen here; borrowed.  NULL: the device has its own.
	 */
	uint8_t *vram;
	struct disp *disp;		/* who looks; NULL: nobody.  Outlives the device */
	const void *rom;		/* a VGA BIOS for PCI, copied by init; NULL: none */
	size_t rom_len;			/* 512 to VGA_ROM_LEN */
};
extern const struct dev_ops vga_dev;

/*
 * Video memory is memory, not a register: whoever saves the machine saves it
 * beside guest RAM, with the machine standing still; after loading it call
 * vga_vram_changed.
 */
uint8_t *vga_vram(void *self, uint32_t *ret_len);
void vga_vram_changed(void *self);	/* chip lock held */

#endif
