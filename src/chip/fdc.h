/*
 * fdc.h - the floppy controller of the Generation 1 machine: two drives
 */
#ifndef CHIP_FDC_H
#define CHIP_FDC_H

#include "dev/blk.h"
#include "dev/dev.h"

#define FDC_SIZES "160, 180, 320, 360 or 720 KiB, 1.2, 1.44 or 2.88 MB, or DMF's 1,680 KiB"

struct fdc_conf {
	uint16_t port;			/* 0x3f0, of which it takes 2 to 5, and 7 */
	struct irq irq;
	void *dma;			/* dma_dev's; channel 2 */
	struct blk *media[2];		/* borrowed, of a size that is a format; NULL: empty drive */
};
extern const struct dev_ops fdc_dev;

/* The drive for an image of BYTES, as CMOS memory numbers it; 0: no floppy has that size. */
uint8_t fdc_drive_of(uint64_t bytes);
/*
 * Chip lock held: another disk, borrowed, or none.  -ENODEV, -EINVAL the size,
 * -EBUSY it is just being read or written.
 */
MUST_CHECK int fdc_change(void *self, unsigned unit, struct blk *b);

#endif
