/*
 * ide_xfer.c - sectors between the medium, the channel's buffer and the host
 *
 * A command's blocks go through the buffer in pieces of up to 64 KiB.  At the
 * data port the guest sees a piece in blocks of its own size (a sector, a
 * block of READ MULTIPLE, what a packet's byte count allows), an interrupt for
 * each; the piece saves the trips to the host's disk, not the interrupts.
 * The bus master carries a piece in one go.
 *
 * A piece that cannot be read is read once more in the smallest bites, so that
 * the good sectors before the bad one arrive and the error names the bad one.
 *
 * Spec     [ATA-8] PIO data-in, PIO data-out, DMA, PACKET protocols
 * Missing  after a failed write, which of the piece's sectors it was
 * Lock     chip
 */
#include "chip/ide_priv.h"

uint32_t ide_unit_bytes(const struct ide_chan *c)
{
	return c->drive[c->unit].dvd ? IDE_CD_BLOCK : IDE_SECTOR;
}

static bool is_dvd(const struct ide_chan *c)
{
	return c->drive[c->unit].dvd;
}

static uint32_t piece_blocks(const struct ide_chan *c)
{
	uint32_t bytes = ide_unit_bytes(c), n = IDE_BUF / bytes;

	if (c->single)
		n = !c->dma && !is_dvd(c) && c->job == JOB_READ ? c->block / bytes : 1;
	return (uint32_t)min_u64(n, c->left);
}

/* The command has done all it had to do. */
static void finish(struct ide_chan *c)
{
	/* A disk says nothing more when the host has taken the last block. */
	bool quiet = !is_dvd(c) && c->phase == PHASE_PIO_IN;
	bool sectors = !is_dvd(c) && c->job != JOB_REPLY && c->job != JOB_TAKE &&
		       c->job != JOB_FLUSH;

	if (sectors)
		ide_ata_show_lba(c, c->lba - 1, 0);
	ide_done(c);
	if (is_dvd(c))
		ide_active(c)->nsect = ATAPI_COD | ATAPI_IO;
	if (!quiet)
		ide_raise(c);
}

/* A block at the data port. */
static void present(struct ide_chan *c, bool irq)
{
	bool in = c->job == JOB_REPLY || c->job == JOB_READ;

	c->phase = in ? PHASE_PIO_IN : PHASE_PIO_OUT;
	c->end = (uint32_t)min_u64(c->at + c->block, c->len);
	if (is_dvd(c))
		ide_atapi_show_block(c, c->end - c->at);
	else if (c->job == JOB_READ || c->job == JOB_WRITE)
		ide_ata_show_lba(c, c->lba + c->at / IDE_SECTOR, c->left - c->at / IDE_SECTOR);
	if (irq)
		ide_raise(c);
}

/* The buffer is to be emptied, or filled. */
static void ready(struct ide_chan *c, bool irq)
{
	if (!c->dma) {
		present(c, irq);
		return;
	}
	c->phase = PHASE_DMA;
	c->end = c->len;
	ide_bm_run(c);
}

void ide_piece_again(struct ide_chan *c)
{
	uint32_t bytes = ide_unit_bytes(c);

	if (is_dvd(c) && !ide_atapi_medium(ide_active(c)))
		ide_atapi_fail(c, SENSE_NOT_PRESENT);
	else if (c->job == JOB_FLUSH)
		ide_io_start(c, BLK_FLUSH, 0, 0, false);
	else
		ide_io_start(c, c->job == JOB_WRITE ? BLK_WRITE : BLK_READ, c->lba * bytes, c->len,
			     c->job == JOB_WRITE && (c->fua || !ide_active(c)->wcache));
}

static void next_piece(struct ide_chan *c, bool irq)
{
	c->at = c->end = 0;
	if (c->left == 0) {
		finish(c);
		return;
	}
	c->len = piece_blocks(c) * ide_unit_bytes(c);
	if (c->job == JOB_WRITE)
		ready(c, irq);
	else
		ide_piece_again(c);
}

static void piece_done(struct ide_chan *c)
{
	c->lba += c->len / ide_unit_bytes(c);
	c->left -= c->len / ide_unit_bytes(c);
	next_piece(c, true);
}

void ide_reply(struct ide_chan *c, uint32_t n)
{
	c->job = JOB_REPLY;
	c->at = 0;
	c->len = n;
	if (n == 0)
		finish(c);
	else
		ready(c, true);
}

void ide_take(struct ide_chan *c, enum ide_job job, uint32_t n)
{
	c->job = (uint8_t)job;
	c->at = 0;
	c->len = n;
	if (job == JOB_PACKET) {	/* always through the data port, of one block */
		c->phase = PHASE_PIO_OUT;
		c->end = n;
	} else {
		ready(c, is_dvd(c));
	}
}

void ide_start(struct ide_chan *c, enum ide_job job)
{
	c->job = (uint8_t)job;
	c->single = false;
	if (job == JOB_FLUSH)
		ide_piece_again(c);
	else
		next_piece(c, false);
}

void ide_carried(struct ide_chan *c)
{
	if (c->job == JOB_PACKET)
		ide_atapi_packet(c);
	else if (c->at < c->len)
		present(c, true);
	else if (c->job == JOB_READ)
		piece_done(c);
	else if (c->job == JOB_WRITE)
		ide_piece_again(c);
	else if (c->job == JOB_TAKE && is_dvd(c))
		ide_atapi_taken(c);
	else if (c->job == JOB_TAKE)
		ide_ata_taken(c);
	else
		finish(c);
}

static void failed(struct ide_chan *c, int rc)
{
	bool reading = c->job == JOB_READ || c->job == JOB_VERIFY;
	uint32_t n;

	if (reading && !c->single) {
		c->single = true;
		n = piece_blocks(c) * ide_unit_bytes(c);
		if (n < c->len) {
			c->len = n;
			ide_piece_again(c);
			return;
		}
	}
	if (is_dvd(c)) {
		ide_atapi_fail(c, SENSE_READ_ERROR);
		return;
	}
	if (c->job != JOB_FLUSH)
		ide_ata_show_lba(c, c->lba, c->left);
	ide_fail(c, rc == -EINVAL ? ATA_IDNF : reading ? ATA_UNC : ATA_ABRT);
}

void ide_io_ended(struct ide_chan *c, int rc)
{
	if (rc < 0)
		failed(c, rc);
	else if (c->job == JOB_FLUSH)
		finish(c);
	else if (c->job == JOB_READ)
		ready(c, true);
	else
		piece_done(c);
}

/* ---- the data port --------------------------------------------------------- */

static bool port_is_open(const struct ide_chan *c, enum ide_phase phase)
{
	return c->phase == phase && c->unit == ((c->device & ATA_DEV_1) != 0);
}

static uint16_t word_in(struct ide_chan *c)
{
	uint16_t val;

	if (!port_is_open(c, PHASE_PIO_IN))
		return 0xffff;
	val = c->buf[c->at];
	if (c->at + 1 < c->end)
		val |= (uint16_t)(c->buf[c->at + 1] << 8);
	c->at = (uint32_t)min_u64(c->at + 2, c->end);
	if (c->at == c->end)
		ide_carried(c);
	return val;
}

static void word_out(struct ide_chan *c, uint16_t val)
{
	if (!port_is_open(c, PHASE_PIO_OUT))
		return;
	c->buf[c->at] = (uint8_t)val;
	if (c->at + 1 < c->end)
		c->buf[c->at + 1] = (uint8_t)(val >> 8);
	c->at = (uint32_t)min_u64(c->at + 2, c->end);
	if (c->at == c->end)
		ide_carried(c);
}

/* The port is 16 bits wide; a byte costs a whole word, as some boot loaders know. */
uint32_t ide_data_read(struct ide_chan *c, unsigned width)
{
	uint32_t val = word_in(c);

	if (width == 4)
		val |= (uint32_t)word_in(c) << 16;
	return width == 1 ? val & 0xff : val;
}

void ide_data_write(struct ide_chan *c, unsigned width, uint32_t val)
{
	word_out(c, (uint16_t)val);
	if (width == 4)
		word_out(c, (uint16_t)(val >> 16));
}

/* ---- a loaded state -------------------------------------------------------- */

static bool range_is_sane(const struct ide_chan *c)
{
	const struct blk *b = c->drive[c->unit].blk;
	uint32_t bytes = ide_unit_bytes(c);
	uint64_t blocks = b == NULL ? 0 : b->size / bytes;

	return c->left > 0 && c->lba <= blocks && c->left <= blocks - c->lba &&
	       c->len > 0 && c->len % bytes == 0 && c->len / bytes <= c->left;
}

bool ide_piece_is_sane(const struct ide_chan *c)
{
	const struct ide_drive *d = &c->drive[c->unit & 1];
	bool sectors = c->job >= JOB_READ, port = c->phase == PHASE_PIO_IN ||
						  c->phase == PHASE_PIO_OUT;

	if (c->unit > 1 || c->phase > PHASE_RESET || c->job > JOB_FLUSH)
		return false;
	if (c->at > c->end || c->end > c->len || c->len > IDE_BUF)
		return false;
	if (c->phase == PHASE_IDLE || c->phase == PHASE_RESET)
		return c->job == JOB_NONE;
	if (!d->present || c->job == JOB_NONE)
		return false;
	if (c->job == JOB_FLUSH)
		return !d->dvd && c->phase == PHASE_IO;
	if (c->block < 2 || c->block > IDE_BUF || (c->block & 1))
		return false;
	if (sectors && !range_is_sane(c))
		return false;
	if (d->dvd ? c->job == JOB_WRITE || c->job == JOB_VERIFY : c->job == JOB_PACKET)
		return false;
	if (c->phase == PHASE_IO)
		return sectors;
	/* Something is being carried: which way, and is anything left of it? */
	if (c->at == c->end || c->job == JOB_VERIFY || (port && c->dma))
		return false;
	if (port && (c->phase == PHASE_PIO_IN) != (c->job == JOB_REPLY || c->job == JOB_READ))
		return false;
	if (c->job == JOB_PACKET && (c->len != sizeof(c->cdb) || c->end != c->len || !port))
		return false;
	return port || (c->dma && c->end == c->len);
}
