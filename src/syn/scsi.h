/*
 * scsi.h - a synthetic SCSI controller (storvsc) on VMBus
 */
#ifndef SYN_SCSI_H
#define SYN_SCSI_H

#include "dev/blk.h"
#include "vmbus/vmbus.h"

#define SCSI_MAX_LUNS 64

struct scsi;

/*
 * With IDE it is the accelerator of one disk on the emulated IDE controller: the
 * same protocol under another interface, LUN 0 alone, no sub-channels.  A guest
 * that knows it leaves the emulated disk alone; both lead to the same backend.
 */
struct scsi_conf {
	struct guid instance;
	unsigned nr_vps;		/* bounds the sub-channels */
	bool ide;
	uint8_t path, target;		/* of the IDE disk: its channel, and 0 or 1 on it */
};
/* What Hyper-V calls the accelerator of that disk. */
struct guid scsi_ide_instance(uint8_t path, uint8_t target);

MUST_CHECK int scsi_new(struct vmbus *bus, const struct scsi_conf *conf, struct scsi **ret_s, struct err *err);
/* Attaches a backend as LUN 0..63; the controller borrows it.  -EBUSY when taken.  Hot add when running. */
MUST_CHECK int scsi_attach(struct scsi *s, unsigned lun, struct blk *b, struct err *err);
/* On return nothing uses the backend any more; waits for its I/O.  -ENOENT when there is none. */
MUST_CHECK int scsi_detach(struct scsi *s, unsigned lun);
/*
 * The machine pauses for trouble (host disk full, EIO) when a write fails and
 * hold is set: requests that failed with -ENOSPC or -EIO are kept, not
 * answered, until scsi_retry.  TROUBLE may be called on any thread, and more
 * than once.  A reset or close by the guest gives up what is held.
 */
void scsi_hold_on_trouble(struct scsi *s, bool hold, void (*trouble)(void *arg, int rc), void *arg);
void scsi_retry(struct scsi *s);
/* After vmbus_reset, or the guest must let go of it first.  The disks stay the caller's. */
void scsi_free(struct scsi *s);

#endif
