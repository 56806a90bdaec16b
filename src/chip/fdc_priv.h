/*
 * fdc_priv.h - inside the floppy controller
 *
 * fdc.c has registers and commands, fdc_io.c moves sectors.
 */
#ifndef CHIP_FDC_PRIV_H
#define CHIP_FDC_PRIV_H

#include "chip/chips.h"
#include "chip/fdc.h"

#include <stdatomic.h>

#define DMA_CH 2u
#define SECTOR 512u
#define NR_UNITS 4u			/* of which two can be there */
#define SOON_NS 100000u			/* what a command without data takes */

enum { DOR_SELECT = 3, DOR_NO_RESET = 4, DOR_IRQ = 8 };
enum { MSR_RQM = 0x80, MSR_TO_HOST = 0x40, MSR_NO_DMA = 0x20, MSR_BUSY = 0x10 };
enum { CMD_MT = 0x80, CMD_MASK = 0x1f };
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_SEEK = 0x20, ST0_POLL = 0xc0,
       ST0_NOT_READY = 0x08 };
enum { ST1_MISSING = 0x01, ST1_READ_ONLY = 0x02, ST1_NO_DATA = 0x04, ST1_CRC = 0x20,
       ST1_END = 0x80 };
enum { ST2_WRONG_CYLINDER = 0x10 };
enum { CONFIG_IMPLIED_SEEK = 0x40 };
enum phase { PHASE_COMMAND, PHASE_EXEC, PHASE_FIFO, PHASE_RESULT };
enum { AGAIN_NOTHING, AGAIN_BEGIN, AGAIN_WRITE };
enum { DO_READ = 1, DO_WRITE, DO_VERIFY, DO_FORMAT };

struct format {
	uint32_t bytes;
	uint8_t cylinders, heads, sectors, rates;	/* rates: bits of CCR's four values */
	uint8_t drive;			/* as in CMOS memory */
};

#define RATE_500 1u
#define RATE_300 2u
#define RATE_250 4u
#define RATE_1000 8u

struct fdc_io {
	struct blk_req req;
	struct iovec iov;
	bool busy;			/* submitted, and we have not seen its end */
	/* Nobody wants it any more; what is to be done when it has come: AGAIN_... */
	bool stale;
	uint8_t again;
	int rc;
	atomic_bool done;		/* set by any thread */
};

struct fdc {
	struct fdc_conf conf;		/* [const] */
	struct clock *clock;		/* [const] */
	pthread_mutex_t *lock;		/* [const] */
	struct timer *timer;		/* [owned] */
	struct blk *media[2];		/* borrowed; NULL: no disk in the drive */
	struct fdc_io io;
	uint8_t dor, tdr, rate;
	uint8_t changed[2];		/* disk change line */
	uint8_t phase, irq;
	uint8_t cmd[9], nr_cmd;
	uint8_t result[10], nr_result, at_result;
	uint8_t cylinder[NR_UNITS];	/* where the heads are believed to be */
	uint8_t pending[NR_UNITS];	/* ST0 that SENSE INTERRUPT will tell; 0 = none */
	bool untold;			/* there was no interrupt yet for what is pending */
	uint8_t specify[2], config[3], locked, perpendicular;
	/* The command that runs. */
	uint8_t what, unit, head, c, h, r, n, end, left;
	uint8_t st0, st1, st2, over;	/* over: the terminal count came */
	uint8_t due;			/* the sector is not begun: something is under way */
	uint8_t buf[SECTOR];
	uint16_t at;			/* bytes of it that went through the port */
};

/* NULL: no floppy has that size. */
const struct format *fdc_format_of(uint64_t bytes);
/* The disk in UNIT, or NULL. */
struct blk *fdc_media_of(const struct fdc *f, unsigned unit);
/* Whether the disk is there and turns at a speed at which it can be read. */
bool fdc_readable(const struct fdc *f, const struct format **ret_format);

void fdc_raise(struct fdc *f);
void fdc_drop(struct fdc *f);
/* The result, and the end of the command. */
void fdc_give(struct fdc *f, const uint8_t *bytes, unsigned n);
/* What the data commands end with; the second adds why it went wrong. */
void fdc_end_data(struct fdc *f);
void fdc_fail(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2);

/* The sector that the command is at: from its start; it went through the port; it is in buf. */
void fdc_sector_begin(struct fdc *f);
void fdc_sector_end(struct fdc *f);
void fdc_write_again(struct fdc *f);
void fdc_came_in(struct fdc *f);	/* the host's disk has answered */
void fdc_resume(struct fdc *f);		/* of a state that was loaded */

#endif
