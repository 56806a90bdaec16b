/*
 * ide_priv.h - what the files of the IDE controller share
 *
 * A channel runs one command at a time, of one of its two drives.  What the
 * command still has to do is its job; what it waits for at the moment is its
 * phase:
 *
 *	IDLE		for a command
 *	PIO_IN		for the host to read a block at the data port
 *	PIO_OUT		for the host to write one
 *	DMA		for the bus master to carry the buffer
 *	IO		for the host's disk
 *	RESET		for the host's disk, to answer what a reset gave up
 *
 * Sectors go through the channel's buffer, a piece of up to 64 KiB at a time.
 * So a command that is given up leaves nothing behind in the guest's memory,
 * and what the guest sees at the data port is what was read.
 *
 * All under the chip lock, but the two fields of struct ide_io that say so.
 */
#ifndef CHIP_IDE_PRIV_H
#define CHIP_IDE_PRIV_H

#include "base/le.h"
#include "chip/ide.h"
#include "dev/pci.h"
#include "spec/ata.h"
#include "spec/scsi.h"

#include <stdatomic.h>
#include <string.h>

#define IDE_BUF 65536u			/* a block of READ MULTIPLE: 128 sectors */
#define IDE_MULTI 128u
#define IDE_SECTOR 512u
#define IDE_CD_BLOCK 2048u
#define IDE_LBA28 0x0fffffffu		/* sectors that 28 bits reach */

enum ide_phase { PHASE_IDLE, PHASE_PIO_IN, PHASE_PIO_OUT, PHASE_DMA, PHASE_IO, PHASE_RESET };

enum ide_job {
	JOB_NONE,
	JOB_REPLY,			/* the buffer goes to the host */
	JOB_TAKE,			/* the host fills the buffer, then ide_*_taken */
	JOB_PACKET,			/* the same with the 12 bytes of a packet */
	JOB_READ, JOB_WRITE, JOB_VERIFY, JOB_FLUSH,
};

struct ide_drive {
	bool present, dvd;		/* [const] */
	uint8_t unit;			/* [const] 0 or 1 on its channel */
	uint8_t chan;			/* [const] for the firmware's revision */
	struct blk *blk;		/* borrowed */
	/* The task file; the high half is what was written before. */
	uint16_t nsect, lbal, lbam, lbah;
	uint8_t feature;
	uint8_t error;
	uint8_t status;			/* while idle */
	bool irq;			/* it asks for an interrupt */
	/* Modes; SET FEATURES and friends. */
	uint8_t multi;			/* sectors of a block, 0 = off */
	uint8_t mode;			/* of transfers, as in SET FEATURES: 22 = multiword DMA 2 */
	uint8_t heads, spt;		/* of INITIALIZE DEVICE PARAMETERS */
	bool wcache, look_ahead, smart, keep, standby;
	/* DVD drives. */
	uint32_t sense;			/* enum scsi_sense of the last packet */
	uint32_t attention;		/* the same, untold */
	bool ejected;			/* by the guest: tray open */
	bool locked;			/* PREVENT MEDIUM REMOVAL */
	uint8_t event;			/* enum mmc_event, untold */
};

struct ide_io {				/* the channel's request of the host's disk */
	struct blk_req req;
	struct iovec iov;
	bool busy;			/* submitted, and we have not seen its end */
	bool stale;			/* nobody wants its result */
	bool held;			/* failed, waits for ide_retry */
	atomic_bool done;		/* set by any thread */
	int rc;				/* any thread, before DONE */
};

struct ide_chan {
	struct ide *ide;		/* [const] */
	struct irq irq;			/* [const] */
	struct bus_window *block_win, *control_win;	/* [const] */
	struct timer *timer;		/* [owned] [const] the disk's answer, under the chip lock */
	struct ide_drive drive[2];
	uint8_t device;			/* the device register: which of them is meant */
	uint8_t control;		/* enum ata_control */
	bool line;			/* of the interrupt; derived */

	uint8_t phase, job;		/* enum ide_phase, enum ide_job */
	uint8_t unit;			/* whose command it is */
	uint8_t command;
	bool dma, ext, fua;
	bool single;			/* a piece failed: find the sector */
	bool one_unit;			/* PHASE_RESET is DEVICE RESET's, of UNIT alone */
	uint64_t lba;			/* of the piece in the buffer, in blocks of the medium */
	uint32_t left;			/* blocks, this piece's too */
	uint32_t block;			/* bytes of a block at the data port; 2 to IDE_BUF, even */
	uint32_t at, len, end;		/* in the buffer: next byte, last piece, this block */
	uint8_t cdb[12];
	struct ide_io io;

	/* The bus master. */
	uint8_t bm_command, bm_status;
	uint32_t bm_table;		/* as written */
	uint32_t bm_next;		/* the entry to be read next */
	uint32_t bm_addr, bm_left;	/* the present region */
	bool bm_last;			/* it is the last one */

	uint8_t buf[IDE_BUF];
};

struct ide {
	struct ide_conf conf;		/* [const] */
	struct clock *clock;		/* [const] */
	pthread_mutex_t *lock;		/* [const] */
	struct gmem *mem;		/* [const] */
	struct pci_func pci;
	struct ide_chan chan[2];
};

/* Registers, interrupt, resets: ide_chan.c */
uint8_t ide_reg_read(struct ide_chan *c, unsigned reg);
void ide_reg_write(struct ide_chan *c, unsigned reg, uint8_t val);
uint8_t ide_alt_status(const struct ide_chan *c);
void ide_control_write(struct ide_chan *c, uint8_t val);
void ide_irq_update(struct ide_chan *c);
void ide_raise(struct ide_chan *c);	/* the command's drive asks for an interrupt */
void ide_power_on(struct ide_chan *c);
void ide_reset_ended(struct ide_chan *c);	/* the disk answered what a reset waited for */

static inline struct ide_drive *ide_active(struct ide_chan *c)
{
	return &c->drive[c->unit];
}

/* The end of a command: ide_chan.c */
void ide_done(struct ide_chan *c);	/* no error */
void ide_fail(struct ide_chan *c, uint8_t error);

/* Blocks and pieces: ide_xfer.c */
void ide_reply(struct ide_chan *c, uint32_t n);		/* N bytes of the buffer for the host */
void ide_take(struct ide_chan *c, enum ide_job job, uint32_t n);
void ide_start(struct ide_chan *c, enum ide_job job);	/* lba, left, dma, block are set */
void ide_carried(struct ide_chan *c);	/* AT has reached END: at the port, or by the bus master */
uint32_t ide_data_read(struct ide_chan *c, unsigned width);
void ide_data_write(struct ide_chan *c, unsigned width, uint32_t val);
uint32_t ide_unit_bytes(const struct ide_chan *c);	/* bytes of a block of the medium */
bool ide_piece_is_sane(const struct ide_chan *c);	/* of a loaded state */

/* The host's disk: ide_io.c */
void ide_io_start(struct ide_chan *c, enum blk_op op, uint64_t off, uint32_t len, bool fua);
void ide_io_fire(void *chan);		/* its timer */
void ide_io_drop(struct ide_chan *c);	/* nobody wants the result any more */
void ide_io_ended(struct ide_chan *c, int rc);	/* ide_xfer.c: what is to be done then */
void ide_io_resume(struct ide_chan *c);	/* after a load: ask again */
void ide_piece_again(struct ide_chan *c);	/* ide_xfer.c: the request of PHASE_IO */

/* Disks: ide_ata.c, ide_ident.c */
void ide_ata_command(struct ide_chan *c);
void ide_ata_taken(struct ide_chan *c);
void ide_ata_modes(struct ide_drive *d);	/* as after power-on */
void ide_ata_show_lba(struct ide_chan *c, uint64_t lba, uint32_t left);
void ide_identify(const struct ide_drive *d, uint8_t b[IDE_SECTOR]);
uint32_t ide_cylinders(const struct ide_drive *d);	/* of the translation in use */
uint64_t ide_sectors(const struct ide_drive *d);
bool ide_set_transfer_mode(struct ide_drive *d, uint8_t mode);

/* DVD drives: ide_atapi.c */
void ide_atapi_command(struct ide_chan *c);
void ide_atapi_packet(struct ide_chan *c);	/* the packet is in the buffer */
void ide_atapi_taken(struct ide_chan *c);
void ide_atapi_fail(struct ide_chan *c, enum scsi_sense sense);
void ide_atapi_reset(struct ide_drive *d);
bool ide_atapi_medium(const struct ide_drive *d);
void ide_atapi_show_block(struct ide_chan *c, uint32_t n);	/* byte count and reason */

/* ide_bm.c */
uint8_t ide_bm_read(const struct ide_chan *c, unsigned off);
void ide_bm_write(struct ide_chan *c, unsigned off, uint8_t val);
void ide_bm_run(struct ide_chan *c);	/* carries what can be carried */
void ide_bm_reset(struct ide_chan *c);

#endif
