/*
 * ide_atapi.c - a DVD drive: packets
 *
 * A packet of 12 bytes comes through the data port; its data goes as the
 * PACKET command said, through the port in blocks that the host's byte count
 * allows or by the bus master.  There is no automatic sense: a failure leaves
 * sense that REQUEST SENSE fetches once.  A reset and a new disc each cause one
 * unit attention.
 *
 * What a guest asks about the medium is answered by dev/mmc.c, which the
 * synthetic DVD drive shares.
 *
 * Spec     [SFF-8020i] and [ATA-8] PACKET protocol; [MMC-6]; [SPC-3] INQUIRY, REQUEST SENSE
 * Missing  audio, READ DVD STRUCTURE, READ CD of anything but user data; overlap
 * Lock     chip
 */
#include "chip/ide_priv.h"

#include "dev/mmc.h"

#define BYTE_COUNT_MAX 0xfffeu

bool ide_atapi_medium(const struct ide_drive *d)
{
	return d->blk != NULL && !d->ejected;
}

static uint32_t blocks_of(const struct ide_drive *d)
{
	return d->blk == NULL ? 0 : (uint32_t)min_u64(d->blk->size / IDE_CD_BLOCK, UINT32_MAX);
}

/* ---- the end of a packet --------------------------------------------------- */

static void good(struct ide_chan *c)
{
	ide_done(c);
	ide_active(c)->nsect = ATAPI_COD | ATAPI_IO;
	ide_raise(c);
}

void ide_atapi_fail(struct ide_chan *c, enum scsi_sense sense)
{
	struct ide_drive *d = ide_active(c);
	uint8_t key = (uint8_t)((uint32_t)sense >> 16);

	d->sense = sense;
	d->nsect = ATAPI_COD | ATAPI_IO;
	ide_fail(c, (uint8_t)(key << 4 | (key == 5 ? ATA_ABRT : 0)));
}

/* N bytes in the buffer, of which the host wants ALLOC. */
static void reply(struct ide_chan *c, uint32_t n, uint32_t alloc)
{
	ide_reply(c, (uint32_t)min_u64(n, alloc));
}

void ide_atapi_show_block(struct ide_chan *c, uint32_t n)
{
	struct ide_drive *d = ide_active(c);

	d->nsect = c->job == JOB_TAKE ? 0 : ATAPI_IO;
	d->lbam = (uint8_t)n;
	d->lbah = (uint8_t)(n >> 8);
}

/* ---- packets --------------------------------------------------------------- */

static void sense_fill(uint8_t *b, uint32_t sense)
{
	memset(b, 0, SCSI_SENSE_LEN);
	b[0] = 0x70;
	b[2] = (uint8_t)(sense >> 16);
	b[7] = SCSI_SENSE_LEN - 8;
	b[12] = (uint8_t)(sense >> 8);
	b[13] = (uint8_t)sense;
}

static void do_test_unit_ready(struct ide_chan *c)
{
	good(c);
}

static void do_request_sense(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	if (d->sense == SENSE_NONE) {
		d->sense = d->attention;
		d->attention = SENSE_NONE;
	}
	if (d->sense == SENSE_NONE && !ide_atapi_medium(d))
		d->sense = SENSE_NOT_PRESENT;
	sense_fill(c->buf, d->sense);
	d->sense = SENSE_NONE;
	reply(c, SCSI_SENSE_LEN, c->cdb[4]);
}

static void do_inquiry(struct ide_chan *c)
{
	uint8_t *b = c->buf;

	if ((c->cdb[1] & 1) != 0 || c->cdb[2] != 0) {
		ide_atapi_fail(c, SENSE_BAD_CDB);
		return;
	}
	memset(b, 0, 36);
	b[0] = SCSI_TYPE_DVD;
	b[1] = 0x80;			/* removable */
	b[2] = 5;			/* SPC-3 */
	b[3] = 2;			/* response format */
	b[4] = 36 - 5;
	memcpy(b + 8, "Msft    Virtual CD/ROM  1.0 ", 28);
	reply(c, 36, ldbe16(c->cdb + 3));
}

static void do_start_stop(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);
	bool loej = c->cdb[4] & 2, start = c->cdb[4] & 1;

	if ((c->cdb[4] >> 4) != 0 || !loej || d->ejected == !start) {
		good(c);
		return;
	}
	if (d->locked && !start) {
		ide_atapi_fail(c, SENSE_REMOVAL_PREVENTED);
		return;
	}
	d->ejected = !start;
	if (start && d->blk != NULL) {
		d->attention = SENSE_MEDIUM_CHANGED;
		d->event = MMC_NEW_MEDIA;
	} else if (d->blk != NULL) {
		d->event = MMC_MEDIA_GONE;
	}
	good(c);
}

static void do_prevent_allow(struct ide_chan *c)
{
	ide_active(c)->locked = c->cdb[4] & 1;
	good(c);
}

static void do_read_capacity(struct ide_chan *c)
{
	stbe32(c->buf, blocks_of(ide_active(c)) - 1);
	stbe32(c->buf + 4, IDE_CD_BLOCK);
	reply(c, 8, 8);
}

static void read_blocks(struct ide_chan *c, uint32_t lba, uint32_t nr)
{
	uint32_t blocks = blocks_of(ide_active(c));

	if (lba > blocks || nr > blocks - lba) {
		ide_atapi_fail(c, SENSE_LBA_RANGE);
		return;
	}
	if (nr == 0) {
		good(c);
		return;
	}
	c->lba = lba;
	c->left = nr;
	ide_start(c, JOB_READ);
}

static void do_read(struct ide_chan *c)
{
	read_blocks(c, ldbe32(c->cdb + 2),
		    c->cdb[0] == SCSI_READ_12 ? ldbe32(c->cdb + 6) : ldbe16(c->cdb + 7));
}

/* Sectors of mode 1, of which the user data is all we have. */
static void do_read_cd(struct ide_chan *c)
{
	uint8_t type = c->cdb[1] >> 2 & 7, what = c->cdb[9] & 0xf8;
	uint32_t nr = ldbe32(c->cdb + 5) & 0xffffff;

	if ((type != 0 && type != 2) || (c->cdb[10] & 7) != 0 || (what != 0x10 && what != 0))
		ide_atapi_fail(c, SENSE_BAD_CDB);
	else
		read_blocks(c, ldbe32(c->cdb + 2), what == 0 ? 0 : nr);
}

static void do_seek(struct ide_chan *c)
{
	if (ldbe32(c->cdb + 2) >= blocks_of(ide_active(c)))
		ide_atapi_fail(c, SENSE_LBA_RANGE);
	else
		good(c);
}

static void do_mechanism_status(struct ide_chan *c)
{
	memset(c->buf, 0, 8);
	c->buf[1] = ide_active(c)->ejected ? 0x10 : 0;
	reply(c, 8, ldbe16(c->cdb + 8));
}

static void do_set_speed(struct ide_chan *c)
{
	good(c);			/* as fast as ever */
}

/* ---- mode pages ------------------------------------------------------------ */

static const struct page {
	uint8_t code, len;
	const uint8_t *bytes;
} pages[] = {
	{ 0x01, 6, (const uint8_t[6]){ 0, 5 } },	/* error recovery: 5 tries */
	{ 0x2a, MMC_PAGE_2A_LEN, mmc_page_2a },
};

static uint32_t build_pages(uint8_t *b, uint8_t code, bool changeable)
{
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (code != 0x3f && code != pages[i].code)
			continue;
		b[n] = pages[i].code;
		b[n + 1] = pages[i].len;
		memset(b + n + 2, 0, pages[i].len);
		if (!changeable)
			memcpy(b + n + 2, pages[i].bytes, pages[i].len);
		n += 2u + pages[i].len;
	}
	return n;
}

#define MODE_HEAD 8u

static void do_mode_sense(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);
	uint8_t pc = c->cdb[2] >> 6, code = c->cdb[2] & 0x3f;
	uint32_t n;

	if (pc == 3) {
		ide_atapi_fail(c, SENSE_NO_SAVED);
		return;
	}
	memset(c->buf, 0, MODE_HEAD);
	n = build_pages(c->buf + MODE_HEAD, code, pc == 1);
	if (n == 0) {
		ide_atapi_fail(c, SENSE_BAD_CDB);
		return;
	}
	c->buf[1] = (uint8_t)(n + MODE_HEAD - 2);
	/* The medium type of [SFF-8020i]: tray open, none, data of 120 mm. */
	c->buf[2] = d->ejected ? 0x71 : d->blk == NULL ? 0x70 : 0x01;
	reply(c, n + MODE_HEAD, ldbe16(c->cdb + 7));
}

static void do_mode_select(struct ide_chan *c)
{
	uint32_t n = ldbe16(c->cdb + 7);

	if ((c->cdb[1] & 1) != 0)
		ide_atapi_fail(c, SENSE_BAD_CDB);
	else if (n == 0)
		good(c);
	else if (n < MODE_HEAD || n > 256)
		ide_atapi_fail(c, SENSE_PARAM_LIST_LENGTH);
	else
		ide_take(c, JOB_TAKE, n);
}

/* MODE SELECT's parameters: nothing can be changed, what is may be said again. */
void ide_atapi_taken(struct ide_chan *c)
{
	uint32_t at = MODE_HEAD, n = c->len;
	uint8_t ours[64];

	if (ldbe16(c->buf + 6) != 0) {
		ide_atapi_fail(c, SENSE_BAD_PARAM);
		return;
	}
	while (at < n) {
		uint8_t code = c->buf[at] & 0x3f;
		uint32_t len = code == 0x3f ? 0 : build_pages(ours, code, false);

		if (len == 0 || len > n - at || memcmp(c->buf + at + 1, ours + 1, len - 1) != 0) {
			ide_atapi_fail(c, len > n - at ? SENSE_PARAM_LIST_LENGTH : SENSE_BAD_PARAM);
			return;
		}
		at += len;
	}
	good(c);
}

/* ---- what is shared with the synthetic drive ------------------------------- */

typedef enum scsi_sense mmc_fn(const struct mmc_state *s, const uint8_t *cdb, struct mmc_reply *r);

static void answer(struct ide_chan *c, mmc_fn *fn)
{
	const struct ide_drive *d = ide_active(c);
	const struct mmc_state s = {
		.medium = ide_atapi_medium(d), .tray_open = d->ejected, .atapi = true,
		.event = d->event, .blocks = blocks_of(d),
	};
	struct mmc_reply r;
	enum scsi_sense sense = fn(&s, c->cdb, &r);

	if (sense != SENSE_NONE) {
		ide_atapi_fail(c, sense);
		return;
	}
	memcpy(c->buf, r.b, r.n);
	reply(c, r.n, r.alloc);
}

static void do_read_toc(struct ide_chan *c) { answer(c, mmc_read_toc); }
static void do_get_configuration(struct ide_chan *c) { answer(c, mmc_get_configuration); }
static void do_read_disc_info(struct ide_chan *c) { answer(c, mmc_read_disc_info); }
static void do_read_track_info(struct ide_chan *c) { answer(c, mmc_read_track_info); }

static void do_get_event_status(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);
	bool told = (c->cdb[1] & 1) != 0 && (c->cdb[4] & 0x10) != 0 && ldbe16(c->cdb + 7) > 4;

	answer(c, mmc_get_event_status);
	if (told)
		d->event = MMC_NO_CHANGE;
}

/* ---- the table ------------------------------------------------------------- */

static const struct packet_row {
	void (*run)(struct ide_chan *c);
	bool medium;			/* needs one */
	bool quiet;			/* goes before a unit attention */
} packets[256] = {
	[SCSI_TEST_UNIT_READY] = { .run = do_test_unit_ready, .medium = true },
	[SCSI_REQUEST_SENSE] = { .run = do_request_sense, .quiet = true },
	[SCSI_INQUIRY] = { .run = do_inquiry, .quiet = true },
	[SCSI_START_STOP_UNIT] = { .run = do_start_stop },
	[SCSI_PREVENT_ALLOW] = { .run = do_prevent_allow },
	[SCSI_READ_CAPACITY_10] = { .run = do_read_capacity, .medium = true },
	[SCSI_READ_10] = { .run = do_read, .medium = true },
	[SCSI_SEEK_10] = { .run = do_seek, .medium = true },
	[SCSI_READ_TOC] = { .run = do_read_toc, .medium = true },
	[SCSI_GET_CONFIGURATION] = { .run = do_get_configuration, .quiet = true },
	[SCSI_GET_EVENT_STATUS] = { .run = do_get_event_status, .quiet = true },
	[SCSI_READ_DISC_INFO] = { .run = do_read_disc_info, .medium = true },
	[SCSI_READ_TRACK_INFO] = { .run = do_read_track_info, .medium = true },
	[SCSI_MODE_SELECT_10] = { .run = do_mode_select },
	[SCSI_MODE_SENSE_10] = { .run = do_mode_sense },
	[SCSI_READ_12] = { .run = do_read, .medium = true },
	[SCSI_SET_CD_SPEED] = { .run = do_set_speed },
	[SCSI_MECHANISM_STATUS] = { .run = do_mechanism_status },
	[SCSI_READ_CD] = { .run = do_read_cd, .medium = true },
};

void ide_atapi_packet(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);
	const struct packet_row *row;

	memcpy(c->cdb, c->buf, sizeof(c->cdb));
	row = &packets[c->cdb[0]];
	c->dma = (d->feature & 1) != 0;
	if (c->cdb[0] != SCSI_REQUEST_SENSE)
		d->sense = SENSE_NONE;
	if (d->attention != SENSE_NONE && !row->quiet) {
		ide_atapi_fail(c, (enum scsi_sense)d->attention);
		d->attention = SENSE_NONE;
	} else if (row->run == NULL) {
		ide_atapi_fail(c, SENSE_BAD_OPCODE);
	} else if (row->medium && !ide_atapi_medium(d)) {
		ide_atapi_fail(c, SENSE_NOT_PRESENT);
	} else {
		row->run(c);
	}
}

/* ---- ATA commands of a packet device --------------------------------------- */

static void packet_command(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);
	uint32_t count = (d->lbam & 0xff) | (uint32_t)(d->lbah & 0xff) << 8;

	if ((d->feature & ~1u) != 0) {		/* overlap, and a direction we do not need */
		ide_fail(c, ATA_ABRT);
		return;
	}
	count &= BYTE_COUNT_MAX;
	c->block = count == 0 ? BYTE_COUNT_MAX : count;
	d->nsect = ATAPI_COD;
	ide_take(c, JOB_PACKET, sizeof(c->cdb));
}

static void succeed(struct ide_chan *c)
{
	ide_done(c);
	ide_raise(c);
}

void ide_atapi_command(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	switch (c->command) {
	case ATA_PACKET:
		packet_command(c);
		return;
	case ATA_IDENTIFY_PACKET:
		ide_identify(d, c->buf);
		c->block = IDE_SECTOR;
		ide_reply(c, IDE_SECTOR);
		return;
	case ATA_IDENTIFY:			/* "look again what I am" */
	case ATA_READ:
		d->nsect = d->lbal = 1;
		d->lbam = 0x14;
		d->lbah = 0xeb;
		break;
	case ATA_SET_FEATURES:
		if (d->feature == ATA_SF_KEEP || d->feature == ATA_SF_REVERT)
			d->keep = d->feature == ATA_SF_KEEP;
		else if (d->feature != ATA_SF_MODE ||
			 !ide_set_transfer_mode(d, (uint8_t)d->nsect))
			break;
		succeed(c);
		return;
	case ATA_CHECK_POWER:
		d->nsect = d->standby ? 0x00 : 0xff;
		succeed(c);
		return;
	case ATA_STANDBY_NOW:
	case ATA_SLEEP:
	case ATA_IDLE_NOW:
		d->standby = c->command != ATA_IDLE_NOW;
		succeed(c);
		return;
	}
	ide_fail(c, ATA_ABRT);
}

void ide_atapi_reset(struct ide_drive *d)
{
	d->sense = SENSE_NONE;
	d->attention = SENSE_POWER_ON;
	d->locked = false;
}

/* ---- the host's side ------------------------------------------------------- */

static struct ide_drive *dvd_of(struct ide *ide, unsigned chan, unsigned unit)
{
	if (chan > 1 || unit > 1 || !ide->chan[chan].drive[unit].dvd)
		return NULL;
	return &ide->chan[chan].drive[unit];
}

int ide_insert(void *self, unsigned chan, unsigned unit, struct blk *b)
{
	struct ide_drive *d = dvd_of(self, chan, unit);

	if (d == NULL)
		return -ENODEV;
	if (d->blk != NULL)
		return -EBUSY;
	if (b->logical != IDE_CD_BLOCK || b->size < IDE_CD_BLOCK)
		return -EINVAL;
	d->blk = b;
	d->ejected = false;
	d->attention = SENSE_MEDIUM_CHANGED;
	d->event = MMC_NEW_MEDIA;
	return 0;
}

int ide_eject(void *self, unsigned chan, unsigned unit, bool force)
{
	struct ide *ide = self;
	struct ide_drive *d = dvd_of(ide, chan, unit);
	struct ide_chan *c;

	if (d == NULL)
		return -ENODEV;
	if (d->locked && !force) {
		d->event = MMC_EJECT_REQUEST;
		return -EBUSY;
	}
	d->blk = NULL;
	d->ejected = false;		/* the tray closed, and empty */
	d->event = MMC_MEDIA_GONE;
	c = &ide->chan[chan];
	if (c->io.held && c->unit == unit) {
		c->io.held = false;
		ide_atapi_fail(c, SENSE_NOT_PRESENT);
	}
	return 0;
}
