/*
 * piix4_ide.c - function 1 of the 82371AB: the IDE controller as the bus sees it
 *
 * Two channels at the ports where IBM put them (1F0 and 3F6, 170 and 376), and
 * the bus master's sixteen ports at BAR 4.  The legacy ports answer while the
 * channel's timing register has its decode bit and the command register allows
 * I/O.  Timings themselves are kept and mean nothing here.
 *
 * Spec     [82371AB] 4.1 PCI configuration, 4.2; machines.md 2.2 for the values after reset
 * Missing  Hyper-V's "enlightened INT13" ports 1E0 and 160, which only its own BIOS knows
 * Lock     chip
 */
#include "chip/ide_priv.h"

enum { IDETIM = 0x40, SIDETIM = 0x44, SDMA_CNT = 0x48, SDMA_TIM = 0x4a };
#define IDETIM_DECODE 0x8000u
#define BM_LEN 16u

static const struct { uint16_t block, control; } ports[2] = {
	{ 0x1f0, 0x3f6 }, { 0x170, 0x376 },
};

/* ---- windows --------------------------------------------------------------- */

/* A wide access to anything but the data port is as many of one byte. */
static uint64_t block_read(void *self, uint32_t off, unsigned width)
{
	struct ide_chan *c = self;
	uint64_t val = 0;

	if (off == ATA_DATA)
		return ide_data_read(c, width);
	for (unsigned i = 0; i < width; i++)
		val |= (uint64_t)ide_reg_read(c, off + i) << i * 8;
	return val;
}

static void block_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct ide_chan *c = self;

	if (off == ATA_DATA) {
		ide_data_write(c, width, (uint32_t)val);
		return;
	}
	for (unsigned i = 0; i < width; i++)
		ide_reg_write(c, off + i, (uint8_t)(val >> i * 8));
}

static uint64_t control_read(void *self, uint32_t off, unsigned width)
{
	(void)off, (void)width;
	return ide_alt_status(self);
}

static void control_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)off, (void)width;
	ide_control_write(self, (uint8_t)val);
}

static uint64_t bm_read(void *self, uint32_t off, unsigned width)
{
	struct ide *d = self;
	uint64_t val = 0;

	for (unsigned i = 0; i < width; i++)
		val |= (uint64_t)ide_bm_read(&d->chan[(off + i) / 8], (off + i) % 8) << i * 8;
	return val;
}

static void bm_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct ide *d = self;

	for (unsigned i = 0; i < width; i++)
		ide_bm_write(&d->chan[(off + i) / 8], (off + i) % 8, (uint8_t)(val >> i * 8));
}

static const struct io_ops block_io = {
	.widths = IO_W1 | IO_W2 | IO_W4, .read = block_read, .write = block_write,
};
static const struct io_ops control_io = {
	.widths = IO_W1, .read = control_read, .write = control_write,
};
static const struct io_ops bm_io = {
	.widths = IO_W1 | IO_W2 | IO_W4, .read = bm_read, .write = bm_write,
};

/* ---- configuration --------------------------------------------------------- */

/* Where the legacy ports answer; and a bus master that may go on, does. */
static void settle(struct ide *d)
{
	bool io = (ld16(d->pci.cfg + PCI_COMMAND) & PCI_COMMAND_IO) != 0;

	for (unsigned i = 0; i < 2; i++) {
		bool on = io && (ld16(d->pci.cfg + IDETIM + 2 * i) & IDETIM_DECODE) != 0;

		bus_window_move(d->chan[i].block_win, ports[i].block, on);
		bus_window_move(d->chan[i].control_win, ports[i].control, on);
		ide_bm_run(&d->chan[i]);
	}
}

static void config_written(void *self, unsigned off, unsigned width)
{
	(void)off, (void)width;
	settle(self);
}

static const struct pci_reg regs[] = {
	{ IDETIM, 4, 0x80008000, 0xf3fff3ff, 0 },
	{ SIDETIM, 1, 0, 0xff, 0 },
	{ SDMA_CNT, 1, 0, 0x0f, 0 },
	{ SDMA_TIM, 2, 0, 0x3333, 0 },
	{ 0xf8, 4, 0x00000f30, 0, 0 },	/* the maker's own number */
	{ 0 },
};

static const struct pci_desc desc = {
	.vendor = 0x8086, .device = 0x7111, .revision = 1, .class = 0x010180,
	.command_mask = PCI_COMMAND_IO | PCI_COMMAND_MASTER, .status = 0x0280,
	.bar = { [4] = { PCI_BAR_IO, BM_LEN, &bm_io } },
	.regs = regs,
	.written = config_written,
};

/* ---- the device ------------------------------------------------------------ */

static int check_unit(unsigned chan, unsigned unit, const struct ide_unit *u, struct err *err)
{
	const struct blk *b = u->blk;
	uint32_t want = u->dvd ? IDE_CD_BLOCK : IDE_SECTOR;

	if (b == NULL)
		return 0;
	if (b->logical != want)
		return err_set(err, -EINVAL, "IDE %u:%u: the image has sectors of %u bytes, "
			       "expected %u", chan, unit, b->logical, want);
	if (b->size < want || b->size / want > UINT64_C(1) << 48)
		return err_set(err, -EINVAL, "IDE %u:%u: the image has %llu bytes, expected one "
			       "sector to 2^48", chan, unit, (unsigned long long)b->size);
	return 0;
}

static int chan_init(struct ide *d, unsigned i, const struct dev_env *env, struct err *err)
{
	struct ide_chan *c = &d->chan[i];
	int rc = 0;

	c->ide = d;
	c->irq = d->conf.irq[i];
	atomic_init(&c->io.done, false);
	for (unsigned k = 0; k < 2 && rc == 0; k++) {
		const struct ide_unit *u = &d->conf.unit[i][k];

		c->drive[k] = (struct ide_drive){
			.present = u->dvd || u->blk != NULL, .dvd = u->dvd, .unit = (uint8_t)k,
			.chan = (uint8_t)i, .blk = u->blk,
		};
		rc = check_unit(i, k, u, err);
	}
	if (rc == 0)
		rc = bus_window_new(env->pio, env->name, 8, &block_io, c, &c->block_win, err);
	if (rc == 0)
		rc = bus_window_new(env->pio, env->name, 1, &control_io, c, &c->control_win, err);
	if (rc < 0)
		return rc;
	rc = timer_new(d->clock, ide_io_fire, c, &c->timer);
	return rc < 0 ? err_set(err, rc, "no timer") : 0;
}

static void timers_free(struct ide *d)
{
	for (unsigned i = 0; i < 2; i++)
		timer_free(d->chan[i].timer);
}

static int ide_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct ide *d = self;
	int rc = 0;

	d->conf = *(const struct ide_conf *)conf;
	d->clock = env->clock;
	d->lock = env->lock;
	d->mem = env->mem;
	for (unsigned i = 0; i < 2 && rc == 0; i++)
		rc = chan_init(d, i, env, err);
	if (rc == 0)
		rc = pci_add(env->pci, d->conf.devfn, &desc, env, d, &d->pci, err);
	if (rc < 0)
		timers_free(d);
	return rc;
}

static void ide_reset(void *self)
{
	struct ide *d = self;

	pci_reset(&d->pci);
	for (unsigned i = 0; i < 2; i++)
		ide_power_on(&d->chan[i]);
	settle(d);
}

/* Without the chip lock. */
static void ide_stop(void *self)
{
	struct ide *d = self;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k < 2; k++)
			if (d->chan[i].drive[k].blk != NULL)
				blk_drain(d->chan[i].drive[k].blk);
}

static void ide_fini(void *self)
{
	ide_stop(self);
	timers_free(self);
}

/* ---- saved state ----------------------------------------------------------- */

#define DRIVE_STATE(tag, d) \
	STATE((tag), struct ide, d.nsect), STATE((tag) + 1, struct ide, d.lbal), \
	STATE((tag) + 2, struct ide, d.lbam), STATE((tag) + 3, struct ide, d.lbah), \
	STATE((tag) + 4, struct ide, d.feature), STATE((tag) + 5, struct ide, d.error), \
	STATE((tag) + 6, struct ide, d.status), STATE((tag) + 7, struct ide, d.irq), \
	STATE((tag) + 8, struct ide, d.multi), STATE((tag) + 9, struct ide, d.mode), \
	STATE((tag) + 10, struct ide, d.heads), STATE((tag) + 11, struct ide, d.spt), \
	STATE((tag) + 12, struct ide, d.wcache), STATE((tag) + 13, struct ide, d.look_ahead), \
	STATE((tag) + 14, struct ide, d.smart), STATE((tag) + 15, struct ide, d.keep), \
	STATE((tag) + 16, struct ide, d.standby), STATE((tag) + 17, struct ide, d.sense), \
	STATE((tag) + 18, struct ide, d.attention), STATE((tag) + 19, struct ide, d.ejected), \
	STATE((tag) + 20, struct ide, d.locked), STATE((tag) + 21, struct ide, d.event)

#define CHAN_STATE(tag, c) \
	STATE((tag), struct ide, c.device), STATE((tag) + 1, struct ide, c.control), \
	STATE((tag) + 2, struct ide, c.phase), STATE((tag) + 3, struct ide, c.job), \
	STATE((tag) + 4, struct ide, c.unit), STATE((tag) + 5, struct ide, c.command), \
	STATE((tag) + 6, struct ide, c.dma), STATE((tag) + 7, struct ide, c.ext), \
	STATE((tag) + 8, struct ide, c.fua), STATE((tag) + 9, struct ide, c.single), \
	STATE((tag) + 10, struct ide, c.one_unit), STATE((tag) + 11, struct ide, c.lba), \
	STATE((tag) + 12, struct ide, c.left), STATE((tag) + 13, struct ide, c.block), \
	STATE((tag) + 14, struct ide, c.at), STATE((tag) + 15, struct ide, c.len), \
	STATE((tag) + 16, struct ide, c.end), STATE((tag) + 17, struct ide, c.cdb), \
	STATE((tag) + 18, struct ide, c.bm_command), STATE((tag) + 19, struct ide, c.bm_status), \
	STATE((tag) + 20, struct ide, c.bm_table), STATE((tag) + 21, struct ide, c.bm_next), \
	STATE((tag) + 22, struct ide, c.bm_addr), STATE((tag) + 23, struct ide, c.bm_left), \
	STATE((tag) + 24, struct ide, c.bm_last), STATE((tag) + 25, struct ide, c.buf), \
	DRIVE_STATE((tag) + 40, c.drive[0]), DRIVE_STATE((tag) + 70, c.drive[1])

static const struct state_field ide_state[] = {
	PCI_STATE(1, struct ide, pci),
	CHAN_STATE(100, chan[0]),
	CHAN_STATE(200, chan[1]),
	{ 0 },
};

static bool drive_is_sane(struct ide_drive *d)
{
	uint8_t mode = d->mode;

	return ide_set_transfer_mode(d, mode) && d->mode == mode &&
	       d->multi <= IDE_MULTI && (d->multi & (d->multi - 1)) == 0 &&
	       d->heads >= 1 && d->heads <= 16 && d->spt >= 1 &&
	       (d->status & (ATA_BSY | ATA_DRQ)) == 0 &&
	       d->sense <= 0xffffff && d->attention <= 0xffffff && d->event <= 3;
}

static bool chan_is_sane(struct ide_chan *c)
{
	return (c->control & ~(ATA_NIEN | ATA_SRST | ATA_HOB)) == 0 &&
	       (c->bm_command & ~(BM_START | BM_TO_MEMORY)) == 0 &&
	       (c->bm_status & ~(BM_ACTIVE | BM_ERROR | BM_INT | BM_CAPABLE)) == 0 &&
	       (c->bm_table & 3) == 0 && c->bm_left <= 0x10000 &&
	       ((c->control & ATA_SRST) == 0 || c->phase == PHASE_RESET) &&
	       drive_is_sane(&c->drive[0]) && drive_is_sane(&c->drive[1]) &&
	       ide_piece_is_sane(c);
}

static int ide_loaded(void *self, struct err *err)
{
	struct ide *d = self;
	int rc = pci_loaded(&d->pci, err);

	for (unsigned i = 0; i < 2 && rc == 0; i++)
		if (!chan_is_sane(&d->chan[i]))
			rc = err_set(err, -EBADMSG, "ide: channel %u cannot be in that state", i);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < 2; i++) {
		struct ide_chan *c = &d->chan[i];
		uint8_t bm = c->bm_status;

		c->line = false;
		ide_irq_update(c);
		c->bm_status = bm;	/* the line is only told again */
		ide_io_resume(c);
	}
	settle(d);
	return 0;
}

const struct dev_ops ide_dev = {
	.name = "ide",
	.size = sizeof(struct ide),
	.state = ide_state,
	.init = ide_init,
	.reset = ide_reset,
	.stop = ide_stop,
	.loaded = ide_loaded,
	.fini = ide_fini,
};
