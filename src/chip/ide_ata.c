/*
 * ide_ata.c - the commands of a disk
 *
 * One row per opcode; no row is "command aborted", which is also the answer of
 * a disk without a security feature set, host protected area, queues or
 * downloadable microcode to those commands.
 *
 * Spec     [ATA-8] 7; [ATA-3] for CHS, RECALIBRATE, SEEK, INITIALIZE DEVICE PARAMETERS
 * Missing  DATA SET MANAGEMENT (trim), READ LOG EXT, self-tests of SMART
 * Lock     chip
 */
#include "chip/ide_priv.h"

struct ata_row {
	void (*run)(struct ide_chan *c);
	uint8_t job;			/* enum ide_job of those that touch sectors */
	bool ext, dma, multi, fua;
};
static const struct ata_row rows[256];

static void abort_command(struct ide_chan *c)
{
	ide_fail(c, ATA_ABRT);
}

static void succeed(struct ide_chan *c)
{
	ide_done(c);
	ide_raise(c);
}

/* ---- addresses ------------------------------------------------------------- */

static uint64_t address_ext(const struct ide_drive *d)
{
	return (uint64_t)(d->lbal & 0xff) | (uint64_t)(d->lbam & 0xff) << 8 |
	       (uint64_t)(d->lbah & 0xff) << 16 | (uint64_t)(d->lbal >> 8) << 24 |
	       (uint64_t)(d->lbam >> 8) << 32 | (uint64_t)(d->lbah >> 8) << 40;
}

/* False: there is no such address. */
static bool address(const struct ide_chan *c, const struct ide_drive *d, uint64_t *ret_lba,
		    uint64_t *ret_limit)
{
	uint32_t lbal = d->lbal & 0xff, cyl = (d->lbam & 0xff) | (uint32_t)(d->lbah & 0xff) << 8;
	uint32_t head = c->device & 0xf;

	*ret_limit = ide_sectors(d);
	if (c->ext) {
		*ret_lba = address_ext(d);
		return (c->device & ATA_DEV_LBA) != 0;
	}
	*ret_limit = min_u64(*ret_limit, IDE_LBA28);
	if ((c->device & ATA_DEV_LBA) != 0) {
		*ret_lba = lbal | cyl << 8 | head << 24;
		return true;
	}
	if (lbal == 0 || lbal > d->spt || head >= d->heads || cyl >= ide_cylinders(d))
		return false;
	*ret_lba = ((uint64_t)cyl * d->heads + head) * d->spt + lbal - 1;
	return true;
}

static void put_half(uint16_t *reg, uint64_t low, uint64_t high)
{
	*reg = (uint16_t)((low & 0xff) | (high & 0xff) << 8);
}

/* Where the command is, for the guest that looks after an error. */
void ide_ata_show_lba(struct ide_chan *c, uint64_t lba, uint32_t left)
{
	struct ide_drive *d = ide_active(c);
	uint32_t track, cyl;

	d->nsect = (uint16_t)(c->ext ? left : left & 0xff);
	if (c->ext) {
		put_half(&d->lbal, lba, lba >> 24);
		put_half(&d->lbam, lba >> 8, lba >> 32);
		put_half(&d->lbah, lba >> 16, lba >> 40);
		return;
	}
	if ((c->device & ATA_DEV_LBA) != 0) {
		d->lbal = (uint8_t)lba;
		d->lbam = (uint8_t)(lba >> 8);
		d->lbah = (uint8_t)(lba >> 16);
		c->device = (uint8_t)((c->device & 0xf0) | (lba >> 24 & 0xf));
		return;
	}
	track = (uint32_t)(lba / d->spt);
	cyl = track / d->heads;
	d->lbal = (uint16_t)(lba % d->spt + 1);
	d->lbam = (uint8_t)cyl;
	d->lbah = (uint8_t)(cyl >> 8);
	c->device = (uint8_t)((c->device & 0xf0) | track % d->heads);
}

/* ---- sectors --------------------------------------------------------------- */

static void run_sectors(struct ide_chan *c)
{
	const struct ata_row *row = &rows[c->command];
	struct ide_drive *d = ide_active(c);
	uint64_t limit;

	c->ext = row->ext;
	c->dma = row->dma;
	c->fua = row->fua;
	if ((row->multi && d->multi == 0) || (row->job == JOB_WRITE && d->blk->read_only)) {
		abort_command(c);
		return;
	}
	c->left = row->ext ? d->nsect : d->nsect & 0xff;
	if (c->left == 0)
		c->left = row->ext ? 65536 : 256;
	if (!address(c, d, &c->lba, &limit) || c->lba >= limit || c->left > limit - c->lba) {
		ide_fail(c, ATA_IDNF);
		return;
	}
	d->standby = false;
	c->block = row->multi ? d->multi * IDE_SECTOR : IDE_SECTOR;
	ide_start(c, row->job);
}

static void run_seek(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);
	uint64_t lba, limit;

	if (address(c, d, &lba, &limit) && lba < limit)
		succeed(c);
	else
		ide_fail(c, ATA_IDNF);
}

static void run_recalibrate(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	d->lbam = d->lbah = 0;		/* cylinder 0 */
	succeed(c);
}

static void run_flush(struct ide_chan *c)
{
	ide_start(c, JOB_FLUSH);
}

/* ---- modes ----------------------------------------------------------------- */

static void run_identify(struct ide_chan *c)
{
	ide_identify(ide_active(c), c->buf);
	c->block = IDE_SECTOR;
	ide_reply(c, IDE_SECTOR);
}

static void run_set_multiple(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);
	uint8_t n = (uint8_t)d->nsect;

	if (n > IDE_MULTI || (n & (n - 1)) != 0) {
		d->multi = 0;
		abort_command(c);
		return;
	}
	d->multi = n;
	succeed(c);
}

static void run_init_params(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	if ((d->nsect & 0xff) == 0) {
		abort_command(c);
		return;
	}
	d->spt = (uint8_t)d->nsect;
	d->heads = (uint8_t)((c->device & 0xf) + 1);
	succeed(c);
}

static void run_set_features(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	switch (d->feature) {
	case ATA_SF_WCACHE_ON:
		d->wcache = true;
		break;
	case ATA_SF_WCACHE_OFF:		/* and what was cached goes out */
		d->wcache = false;
		run_flush(c);
		return;
	case ATA_SF_MODE:
		if (!ide_set_transfer_mode(d, (uint8_t)d->nsect)) {
			abort_command(c);
			return;
		}
		break;
	case ATA_SF_LOOK_ON:
	case ATA_SF_LOOK_OFF:
		d->look_ahead = d->feature == ATA_SF_LOOK_ON;
		break;
	case ATA_SF_KEEP:
	case ATA_SF_REVERT:
		d->keep = d->feature == ATA_SF_KEEP;
		break;
	default:
		abort_command(c);
		return;
	}
	succeed(c);
}

static void run_standby(struct ide_chan *c)
{
	ide_active(c)->standby = true;
	run_flush(c);			/* what is cached must not be left behind */
}

static void run_idle(struct ide_chan *c)
{
	ide_active(c)->standby = false;
	succeed(c);
}

static void run_check_power(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	d->nsect = d->standby ? 0x00 : 0xff;
	succeed(c);
}

/* ---- buffer ---------------------------------------------------------------- */

static void run_read_buffer(struct ide_chan *c)
{
	c->block = IDE_SECTOR;
	ide_reply(c, IDE_SECTOR);
}

static void run_write_buffer(struct ide_chan *c)
{
	c->block = IDE_SECTOR;
	ide_take(c, JOB_TAKE, IDE_SECTOR);
}

void ide_ata_taken(struct ide_chan *c)
{
	succeed(c);			/* it is in the buffer, for READ BUFFER */
}

/* ---- SMART ----------------------------------------------------------------- */

/* Revision 16, and not one attribute: nothing of this disk wears out. */
static void smart_data(struct ide_chan *c)
{
	uint8_t sum = 0;

	memset(c->buf, 0, IDE_SECTOR);
	st16(c->buf, 0x0010);
	if (ide_active(c)->feature == SMART_READ_DATA)
		st16(c->buf + 368, 0x0003);	/* attributes are saved */
	for (unsigned i = 0; i < IDE_SECTOR - 1; i++)
		sum = (uint8_t)(sum + c->buf[i]);
	c->buf[IDE_SECTOR - 1] = (uint8_t)-sum;
	c->block = IDE_SECTOR;
	ide_reply(c, IDE_SECTOR);
}

static void run_smart(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	if ((d->lbam & 0xff) != 0x4f || (d->lbah & 0xff) != 0xc2 ||
	    (!d->smart && d->feature != SMART_ENABLE)) {
		abort_command(c);
		return;
	}
	switch (d->feature) {
	case SMART_READ_DATA:
	case SMART_READ_THRESHOLDS:
		smart_data(c);
		break;
	case SMART_ENABLE:
	case SMART_DISABLE:
		d->smart = d->feature == SMART_ENABLE;
		succeed(c);
		break;
	case SMART_AUTOSAVE:
	case SMART_STATUS:		/* 4F and C2 stay: no threshold is exceeded */
		succeed(c);
		break;
	default:
		abort_command(c);
		break;
	}
}

/* ---- the table ------------------------------------------------------------- */

static const struct ata_row rows[256] = {
	[ATA_READ] = { .run = run_sectors, .job = JOB_READ },
	[ATA_READ_NO_RETRY] = { .run = run_sectors, .job = JOB_READ },
	[ATA_READ_EXT] = { .run = run_sectors, .job = JOB_READ, .ext = true },
	[ATA_READ_MULTIPLE] = { .run = run_sectors, .job = JOB_READ, .multi = true },
	[ATA_READ_MULTIPLE_EXT] = { .run = run_sectors, .job = JOB_READ, .ext = true, .multi = true },
	[ATA_READ_DMA] = { .run = run_sectors, .job = JOB_READ, .dma = true },
	[ATA_READ_DMA_NO_RETRY] = { .run = run_sectors, .job = JOB_READ, .dma = true },
	[ATA_READ_DMA_EXT] = { .run = run_sectors, .job = JOB_READ, .ext = true, .dma = true },
	[ATA_WRITE] = { .run = run_sectors, .job = JOB_WRITE },
	[ATA_WRITE_NO_RETRY] = { .run = run_sectors, .job = JOB_WRITE },
	[ATA_WRITE_EXT] = { .run = run_sectors, .job = JOB_WRITE, .ext = true },
	[ATA_WRITE_MULTIPLE] = { .run = run_sectors, .job = JOB_WRITE, .multi = true },
	[ATA_WRITE_MULTIPLE_EXT] = { .run = run_sectors, .job = JOB_WRITE, .ext = true, .multi = true },
	[ATA_WRITE_MULTIPLE_FUA_EXT] = { .run = run_sectors, .job = JOB_WRITE, .ext = true,
					 .multi = true, .fua = true },
	[ATA_WRITE_DMA] = { .run = run_sectors, .job = JOB_WRITE, .dma = true },
	[ATA_WRITE_DMA_NO_RETRY] = { .run = run_sectors, .job = JOB_WRITE, .dma = true },
	[ATA_WRITE_DMA_EXT] = { .run = run_sectors, .job = JOB_WRITE, .ext = true, .dma = true },
	[ATA_WRITE_DMA_FUA_EXT] = { .run = run_sectors, .job = JOB_WRITE, .ext = true, .dma = true,
				    .fua = true },
	[ATA_VERIFY] = { .run = run_sectors, .job = JOB_VERIFY },
	[ATA_VERIFY_NO_RETRY] = { .run = run_sectors, .job = JOB_VERIFY },
	[ATA_VERIFY_EXT] = { .run = run_sectors, .job = JOB_VERIFY, .ext = true },
	[ATA_RECALIBRATE ... ATA_RECALIBRATE + 15] = { .run = run_recalibrate },
	[ATA_SEEK ... ATA_SEEK + 15] = { .run = run_seek },
	[ATA_INIT_PARAMS] = { .run = run_init_params },
	[ATA_SET_MULTIPLE] = { .run = run_set_multiple },
	[ATA_SET_FEATURES] = { .run = run_set_features },
	[ATA_IDENTIFY] = { .run = run_identify },
	[ATA_FLUSH] = { .run = run_flush },
	[ATA_FLUSH_EXT] = { .run = run_flush },
	[ATA_READ_BUFFER] = { .run = run_read_buffer },
	[ATA_WRITE_BUFFER] = { .run = run_write_buffer },
	[ATA_SMART] = { .run = run_smart },
	[ATA_STANDBY_NOW] = { .run = run_standby },
	[ATA_IDLE_NOW] = { .run = run_idle },
	[ATA_STANDBY] = { .run = run_standby },
	[ATA_IDLE] = { .run = run_idle },
	[ATA_CHECK_POWER] = { .run = run_check_power },
	[ATA_SLEEP] = { .run = run_standby },
	/* The same six, where ATA-1 had them. */
	[ATA_STANDBY_NOW_OLD] = { .run = run_standby },
	[ATA_STANDBY_NOW_OLD + 1] = { .run = run_idle },
	[ATA_STANDBY_NOW_OLD + 2] = { .run = run_standby },
	[ATA_STANDBY_NOW_OLD + 3] = { .run = run_idle },
	[ATA_STANDBY_NOW_OLD + 4] = { .run = run_check_power },
	[ATA_STANDBY_NOW_OLD + 5] = { .run = run_standby },
};

void ide_ata_command(struct ide_chan *c)
{
	const struct ata_row *row = &rows[c->command];

	if (row->run != NULL)
		row->run(c);
	else
		abort_command(c);
}
