/*
 * ide_chan.c - one IDE cable: registers, which drive is meant, interrupt, resets
 *
 * Both drives hear every write to the command block; only the one that the
 * device register names does the command.  Where it is not there, device 0
 * answers for device 1 with its own registers and a status of 0 (a packet
 * device with zeros throughout), and a cable without drives reads 7F.
 *
 * While a drive is busy or wants data, the command block cannot be written;
 * a reset is the way out of a command that hangs.  A reset waits for the
 * host's disk where that is at work, and the guest sees "busy" meanwhile.
 *
 * Spec     [ATA-8] task file, device 0 only, software reset; [ATA-7] 6.16 signatures
 * Missing  drive select during a command; SLEEP is a standby that any command ends
 * Lock     chip
 */
#include "chip/ide_priv.h"

static struct ide_drive *selected(struct ide_chan *c)
{
	return &c->drive[(c->device & ATA_DEV_1) != 0];
}

static uint8_t status_of(const struct ide_chan *c, const struct ide_drive *d)
{
	if (c->phase == PHASE_RESET)
		return ATA_BSY;
	if (c->phase == PHASE_IDLE || d->unit != c->unit)
		return d->status;
	return c->phase == PHASE_IO ? ATA_BSY | ATA_DRDY | ATA_DSC : ATA_DRDY | ATA_DSC | ATA_DRQ;
}

uint8_t ide_alt_status(const struct ide_chan *c)
{
	const struct ide_drive *d = &c->drive[(c->device & ATA_DEV_1) != 0];

	if (d->present)
		return status_of(c, d);
	/* Device 0 alone says "nothing" for device 1; nobody at all is a weak pull-down on DD7. */
	return d->unit == 1 && c->drive[0].present ? 0 : 0x7f;
}

void ide_irq_update(struct ide_chan *c)
{
	const struct ide_drive *d = selected(c);
	bool level = d->present && d->irq && (c->control & ATA_NIEN) == 0 &&
		     c->phase != PHASE_RESET;

	if (level && !c->line)
		c->bm_status |= BM_INT;
	c->line = level;
	irq_set(&c->irq, level);
}

void ide_raise(struct ide_chan *c)
{
	ide_active(c)->irq = true;
	ide_irq_update(c);
}

static void end(struct ide_chan *c)
{
	c->phase = PHASE_IDLE;
	c->job = JOB_NONE;
	c->dma = c->ext = c->fua = c->single = false;
	c->left = c->at = c->len = c->end = 0;
}

void ide_done(struct ide_chan *c)
{
	struct ide_drive *d = ide_active(c);

	end(c);
	d->status = ATA_DRDY | ATA_DSC;
	d->error = 0;
}

void ide_fail(struct ide_chan *c, uint8_t error)
{
	struct ide_drive *d = ide_active(c);

	end(c);
	d->status = ATA_DRDY | ATA_DSC | ATA_ERR;
	d->error = error;
	ide_raise(c);
}

/* ---- resets ---------------------------------------------------------------- */

static void signature(struct ide_drive *d)
{
	d->nsect = d->lbal = 1;
	d->lbam = d->dvd ? 0x14 : 0;
	d->lbah = d->dvd ? 0xeb : 0;
	d->error = ATA_DIAG_OK;
	d->status = d->dvd ? 0 : ATA_DRDY | ATA_DSC;
	d->irq = false;
}

static void drive_reset(struct ide_drive *d)
{
	signature(d);
	if (!d->keep)
		ide_ata_modes(d);
	d->standby = false;
	if (d->dvd)
		ide_atapi_reset(d);
}

/* Gives up what the channel does; true: it stands still, false: the disk still works on it. */
static bool give_up(struct ide_chan *c)
{
	ide_io_drop(c);
	end(c);
	if (!c->io.busy)
		return true;
	c->phase = PHASE_RESET;
	return false;
}

void ide_reset_ended(struct ide_chan *c)
{
	if ((c->control & ATA_SRST) != 0)
		return;			/* the guest holds the line */
	end(c);
	for (unsigned i = 0; i < 2; i++) {
		if (c->one_unit && i == c->unit)
			signature(&c->drive[i]);
		else if (!c->one_unit)
			drive_reset(&c->drive[i]);
	}
	c->one_unit = false;
	ide_irq_update(c);
}

static void device_reset(struct ide_chan *c)
{
	c->unit = selected(c)->unit;
	c->one_unit = true;
	if (give_up(c))
		ide_reset_ended(c);
}

void ide_control_write(struct ide_chan *c, uint8_t val)
{
	bool was = (c->control & ATA_SRST) != 0;

	c->control = val & (ATA_NIEN | ATA_SRST | ATA_HOB);
	if (!was && (val & ATA_SRST) != 0) {
		(void)give_up(c);
		c->phase = PHASE_RESET;
		c->one_unit = false;
		c->device = 0;
	} else if (was && (val & ATA_SRST) == 0 && !c->io.busy) {
		ide_reset_ended(c);
	}
	ide_irq_update(c);
}

void ide_power_on(struct ide_chan *c)
{
	c->control = c->device = 0;
	for (unsigned i = 0; i < 2; i++) {
		c->drive[i].keep = false;
		c->drive[i].feature = 0;
	}
	c->one_unit = false;
	ide_bm_reset(c);
	if (give_up(c))
		ide_reset_ended(c);
	ide_irq_update(c);
}

/* ---- commands -------------------------------------------------------------- */

/* For both drives, whoever is selected; device 0 speaks for both. */
static void diagnostic(struct ide_chan *c)
{
	for (unsigned i = 0; i < 2; i++)
		signature(&c->drive[i]);
	c->device = 0;
	c->unit = 0;
	ide_raise(c);
}

static void command(struct ide_chan *c, uint8_t val)
{
	struct ide_drive *d = selected(c);

	d->irq = false;
	ide_irq_update(c);
	if (d->present && d->dvd && val == ATA_DEVICE_RESET && c->phase != PHASE_RESET) {
		device_reset(c);
		return;
	}
	if (c->phase != PHASE_IDLE)
		return;
	if (val == ATA_DIAGNOSTIC) {
		diagnostic(c);
		return;
	}
	if (!d->present)
		return;
	end(c);
	c->unit = d->unit;
	c->command = val;
	d->error = 0;
	if (d->dvd)
		ide_atapi_command(c);
	else
		ide_ata_command(c);
}

/* ---- registers ------------------------------------------------------------- */

static uint8_t half(const struct ide_chan *c, uint16_t v)
{
	return (uint8_t)((c->control & ATA_HOB) != 0 ? v >> 8 : v);
}

uint8_t ide_reg_read(struct ide_chan *c, unsigned reg)
{
	struct ide_drive *d = selected(c);

	if (reg == ATA_STATUS) {
		uint8_t val = ide_alt_status(c);

		d->irq = false;
		ide_irq_update(c);
		return val;
	}
	if (!d->present && d->unit == 1 && c->drive[0].present) {
		if (c->drive[0].dvd)
			return 0;
		d = &c->drive[0];
	}
	if (!d->present)
		return 0x7f;
	switch (reg) {
	case ATA_ERROR:
		return d->error;
	case ATA_NSECT:
		return half(c, d->nsect);
	case ATA_LBAL:
		return half(c, d->lbal);
	case ATA_LBAM:
		return half(c, d->lbam);
	case ATA_LBAH:
		return half(c, d->lbah);
	default:
		return c->device | ATA_DEV_ONES;
	}
}

static void push(uint16_t *v, uint8_t val)
{
	*v = (uint16_t)(*v << 8 | val);
}

static void drive_write(struct ide_drive *d, unsigned reg, uint8_t val)
{
	switch (reg) {
	case ATA_FEATURE:
		d->feature = val;
		break;
	case ATA_NSECT:
		push(&d->nsect, val);
		break;
	case ATA_LBAL:
		push(&d->lbal, val);
		break;
	case ATA_LBAM:
		push(&d->lbam, val);
		break;
	case ATA_LBAH:
		push(&d->lbah, val);
		break;
	}
}

void ide_reg_write(struct ide_chan *c, unsigned reg, uint8_t val)
{
	c->control &= (uint8_t)~ATA_HOB;
	if (reg == ATA_COMMAND) {
		command(c, val);
		return;
	}
	if (c->phase == PHASE_RESET || (status_of(c, selected(c)) & (ATA_BSY | ATA_DRQ)) != 0)
		return;
	if (reg == ATA_DEVICE)
		c->device = val;
	for (unsigned i = 0; i < 2; i++)
		drive_write(&c->drive[i], reg, val);
	ide_irq_update(c);
}
