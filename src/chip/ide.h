/*
 * ide.h - the IDE controller of the Generation 1 machine: two channels, four devices
 */
#ifndef CHIP_IDE_H
#define CHIP_IDE_H

#include "dev/blk.h"
#include "dev/dev.h"

struct ide_unit {
	bool dvd;
	struct blk *blk;		/* borrowed; NULL: no disk, or a DVD drive without a disc */
};

struct ide_conf {
	uint8_t devfn;			/* PCI_DEVFN(7, 1) */
	struct irq irq[2];		/* 14 and 15 */
	struct ide_unit unit[2][2];	/* [channel][device] */
	/*
	 * The host's disk is full or broken: the request is kept for ide_retry, and
	 * the guest waits.  Chip lock held: only note it.  NULL: the guest is told.
	 */
	void (*trouble)(void *arg, int rc);
	void *arg;
};
extern const struct dev_ops ide_dev;

/* All with the chip lock held. */

/* Does again what failed and was kept. */
void ide_retry(void *self);
/* Closes the tray over B, borrowed.  -ENODEV no DVD drive, -EBUSY a disc is in it, -EINVAL no disc. */
MUST_CHECK int ide_insert(void *self, unsigned chan, unsigned unit, struct blk *b);
/*
 * Takes the disc out.  -EBUSY while the guest holds the tray locked, which FORCE
 * ignores; then the guest is only told that somebody wants it.  The disc may have
 * requests in flight: blk_drain it, without the lock, before it is closed.
 */
MUST_CHECK int ide_eject(void *self, unsigned chan, unsigned unit, bool force);

#endif
