/*
 * fdc_io.c - sectors of a floppy: where they are, and their way
 *
 * The host's disk answers on any thread, so as in ide_io.c its answer only
 * arms the timer, and the timer's callback goes on. A request cannot be called
 * back: one that nobody wants any more (a reset) is stale, and the next command
 * waits for it.
 *
 * Spec     [82077AA] Intel 290166 6.1
 * Lock     chip; struct fdc_io: rc, done
 */
#include "chip/fdc_priv.h"

#include <string.h>

static const struct format formats[] = {
	{ 2949120, 80, 2, 36, RATE_1000, 5 },
	{ 1474560, 80, 2, 18, RATE_500, 4 },
	{ 1720320, 80, 2, 21, RATE_500, 4 },	/* DMF */
	{ 737280, 80, 2, 9, RATE_250, 4 },
	{ 1228800, 80, 2, 15, RATE_500, 2 },
	{ 368640, 40, 2, 9, RATE_300 | RATE_250, 2 },
	{ 327680, 40, 2, 8, RATE_300 | RATE_250, 2 },
	{ 184320, 40, 1, 9, RATE_300 | RATE_250, 2 },
	{ 163840, 40, 1, 8, RATE_300 | RATE_250, 2 },
};

const struct format *fdc_format_of(uint64_t bytes)
{
	for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
		if (formats[i].bytes == bytes)
			return &formats[i];
	return NULL;
}

uint8_t fdc_drive_of(uint64_t bytes)
{
	const struct format *f = fdc_format_of(bytes);

	return f == NULL ? 0 : f->drive;
}

struct blk *fdc_media_of(const struct fdc *f, unsigned unit)
{
	return unit < ARRAY_LEN(f->media) ? f->media[unit] : NULL;
}

/* ---- one sector after the other ------------------------------------------------------- */

static void answered(struct blk_req *req, int rc)
{
	struct fdc *f = req->ctx;

	f->io.rc = rc;
	atomic_store_explicit(&f->io.done, true, memory_order_release);
	timer_arm(f->timer, 0);
}

static void submit(struct fdc *f, enum blk_op op, uint64_t off)
{
	struct fdc_io *io = &f->io;

	BUG_IF(io->busy);
	io->iov = (struct iovec){ f->buf, SECTOR };
	io->req = (struct blk_req){
		.op = op, .fua = op == BLK_WRITE, .off = off, .len = SECTOR, .iov = &io->iov,
		.nr_iov = 1, .done = answered, .ctx = f,
	};
	atomic_store_explicit(&io->done, false, memory_order_relaxed);
	io->busy = true;
	io->stale = false;
	blk_submit(fdc_media_of(f, f->unit), &io->req);
}

bool fdc_readable(const struct fdc *f, const struct format **ret_format)
{
	const struct blk *b = fdc_media_of(f, f->unit);

	*ret_format = b == NULL ? NULL : fdc_format_of(b->size);
	return *ret_format != NULL && ((*ret_format)->rates >> f->rate & 1) != 0;
}

/* The byte of the image at which the command's sector begins; false: the result says why not. */
static bool locate(struct fdc *f, uint64_t *ret_off)
{
	const struct format *m;

	if (!fdc_readable(f, &m)) {
		fdc_fail(f, 0, ST1_MISSING, 0);
		return false;
	}
	if (f->c != f->cylinder[f->unit]) {
		fdc_fail(f, 0, ST1_NO_DATA, ST2_WRONG_CYLINDER);
		return false;
	}
	if (f->c >= m->cylinders || f->h >= m->heads || f->h != f->head || f->r == 0 ||
	    f->r > m->sectors || f->n != 2) {
		fdc_fail(f, 0, ST1_NO_DATA, 0);
		return false;
	}
	*ret_off = (((uint64_t)f->c * m->heads + f->h) * m->sectors + f->r - 1) * SECTOR;
	return true;
}

static bool by_dma(const struct fdc *f)
{
	return (f->specify[1] & 1) == 0;
}

/* To the next sector; false: that was the last one of the track, or of the cylinder. */
static bool advance(struct fdc *f)
{
	if (f->r != f->end) {
		f->r++;
		return true;
	}
	f->r = 1;
	if ((f->cmd[0] & CMD_MT) != 0 && f->h == 0) {
		f->h = f->head = 1;
		return true;
	}
	if ((f->cmd[0] & CMD_MT) != 0)
		f->h = f->head = 0;
	f->c++;
	return false;
}

/* A sector has been dealt with. */
void fdc_sector_end(struct fdc *f)
{
	bool more = advance(f);

	if (f->over)
		fdc_end_data(f);
	else if (!more)
		fdc_fail(f, 0, ST1_END, 0);
	else
		fdc_sector_begin(f);
}

static void fifo_begin(struct fdc *f)
{
	f->phase = PHASE_FIFO;
	f->at = 0;
	fdc_raise(f);
}

/* The bytes of the next sector to be written: now, or as the guest brings them. */
static void write_begin(struct fdc *f, uint64_t off)
{
	bool tc = false;
	size_t n;

	if (!by_dma(f)) {
		fifo_begin(f);
		return;
	}
	memset(f->buf, 0, SECTOR);		/* what is missing after the terminal count */
	n = dma_from_memory(f->conf.dma, DMA_CH, f->buf, SECTOR, &tc);
	f->over = tc || n < SECTOR;
	if (n == 0) {				/* nobody brings anything */
		fdc_fail(f, 0, ST1_END, 0);
		return;
	}
	submit(f, BLK_WRITE, off);
}

/* Four bytes a sector come from memory; the sector they name is filled. */
static void format_next(struct fdc *f)
{
	uint8_t id[4];
	uint64_t off;
	bool tc = false;

	if (f->left == 0) {
		fdc_end_data(f);
		return;
	}
	f->left--;
	if (!by_dma(f) || dma_from_memory(f->conf.dma, DMA_CH, id, 4, &tc) < 4) {
		fdc_fail(f, 0, ST1_END, 0);
		return;
	}
	f->c = id[0];
	f->h = id[1];
	f->r = id[2];
	f->n = id[3];
	f->over = tc;
	if (!locate(f, &off))
		return;
	memset(f->buf, f->cmd[5], SECTOR);
	submit(f, BLK_WRITE, off);
}

void fdc_sector_begin(struct fdc *f)
{
	uint64_t off;

	f->phase = PHASE_EXEC;
	f->due = f->io.busy;
	if (f->due) {			/* what a reset left behind */
		f->io.again = AGAIN_BEGIN;
		return;
	}
	if (f->what == DO_FORMAT) {
		format_next(f);
		return;
	}
	if (!locate(f, &off))
		return;
	if (f->what != DO_WRITE) {
		submit(f, BLK_READ, off);
		return;
	}
	write_begin(f, off);
}

static void read_ended(struct fdc *f)
{
	bool tc = false;

	if (f->what == DO_VERIFY) {
		f->over = f->left != 0 && --f->left == 0;
		fdc_sector_end(f);
	} else if (!by_dma(f)) {
		fifo_begin(f);
	} else {
		(void)dma_to_memory(f->conf.dma, DMA_CH, f->buf, SECTOR, &tc);
		f->over = tc || !dma_ready(f->conf.dma, DMA_CH, true);
		fdc_sector_end(f);
	}
}

/* The sector that is in buf. */
void fdc_write_again(struct fdc *f)
{
	uint64_t off;

	f->phase = PHASE_EXEC;
	if (locate(f, &off))
		submit(f, BLK_WRITE, off);
}

void fdc_came_in(struct fdc *f)
{
	uint8_t again = f->io.again;

	f->io.busy = false;
	f->io.again = AGAIN_NOTHING;
	if (f->io.stale) {
		f->io.stale = false;
		if (again == AGAIN_BEGIN)
			fdc_sector_begin(f);
		else if (again == AGAIN_WRITE)
			fdc_write_again(f);
		return;
	}
	if (f->io.rc == -EROFS)
		fdc_fail(f, 0, ST1_READ_ONLY, 0);
	else if (f->io.rc < 0)
		fdc_fail(f, 0, ST1_CRC, 0);
	else if (f->what == DO_FORMAT)
		format_next(f);
	else if (f->what == DO_WRITE)
		fdc_sector_end(f);
	else
		read_ended(f);
}

/* The sector once more; what the guest gave for it is in buf. */
void fdc_resume(struct fdc *f)
{
	bool write = !f->due && (f->what == DO_WRITE || f->what == DO_FORMAT);

	if (f->io.busy)
		f->io.again = write ? AGAIN_WRITE : AGAIN_BEGIN;
	else if (write)
		fdc_write_again(f);
	else
		fdc_sector_begin(f);
}
