/*
 * fdc.c - the 82077AA floppy controller with two drives
 *
 * The guest gives a command byte by byte, the controller carries it out, one
 * sector after the other, and has up to seven bytes of result. Data go through
 * DMA channel 2, whose terminal count ends a command; or, when the guest has
 * said so, byte by byte through the same port, where only the last sector of
 * the track ends it (which the result calls an error, as on hardware).
 *
 * An image is a disk without gaps: its size says what was formatted. The
 * drive must be read at that density's data rate, else no address mark is
 * found; this is how guests tell disks apart.
 *
 * Spec     [82077AA] Intel 290166; [RBIL] PORTS.LST 3F0 to 3F7
 * Missing  scan commands (they find nothing), XDF and other mixed formats, FM,
 *          status registers A and B, which AT machines leave out; time that
 *          motors and steps take
 * Lock     chip
 */
#include "chip/fdc_priv.h"

#include <string.h>

/* ---- interrupts ----------------------------------------------------------------------- */

void fdc_raise(struct fdc *f)
{
	f->irq = 1;
	irq_set(&f->conf.irq, (f->dor & DOR_IRQ) != 0);
}

void fdc_drop(struct fdc *f)
{
	f->irq = 0;
	irq_set(&f->conf.irq, false);
}

/* ---- results -------------------------------------------------------------------------- */

void fdc_give(struct fdc *f, const uint8_t *bytes, unsigned n)
{
	if (n > 0)
		memcpy(f->result, bytes, n);
	f->nr_result = (uint8_t)n;
	f->at_result = 0;
	f->nr_cmd = 0;
	f->phase = n == 0 ? PHASE_COMMAND : PHASE_RESULT;
	if (n == 0 && f->untold)
		timer_arm(f->timer, clock_now_ns(f->clock) + SOON_NS);
}

/* What the data commands end with. */
void fdc_end_data(struct fdc *f)
{
	const uint8_t bytes[7] = {
		(uint8_t)(f->st0 | f->head << 2 | f->unit), f->st1, f->st2, f->c, f->h, f->r, f->n,
	};

	f->what = 0;
	fdc_give(f, bytes, sizeof(bytes));
	fdc_raise(f);
}

void fdc_fail(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
	f->st0 |= ST0_ABNORMAL | st0;
	f->st1 |= st1;
	f->st2 |= st2;
	fdc_end_data(f);
}

/* ---- commands ------------------------------------------------------------------------- */

static void begin_data(struct fdc *f, uint8_t what)
{
	const struct blk *b;

	f->what = what;
	f->unit = f->cmd[1] & 3;
	f->head = f->cmd[1] >> 2 & 1;
	f->c = f->cmd[2];
	f->h = f->cmd[3];
	f->r = f->cmd[4];
	f->n = f->cmd[5];
	f->end = f->cmd[6];
	f->left = what == DO_VERIFY && (f->cmd[1] & 0x80) != 0 ? f->cmd[8] : 0;
	f->st0 = f->st1 = f->st2 = f->over = 0;
	b = fdc_media_of(f, f->unit);
	if ((f->config[0] & CONFIG_IMPLIED_SEEK) != 0)
		f->cylinder[f->unit] = f->c;
	if (what == DO_WRITE && b != NULL && b->read_only)
		fdc_fail(f, 0, ST1_READ_ONLY, 0);
	else
		fdc_sector_begin(f);
}

static void begin_format(struct fdc *f)
{
	const struct blk *b;

	f->what = DO_FORMAT;
	f->unit = f->cmd[1] & 3;
	f->head = f->cmd[1] >> 2 & 1;
	f->left = f->cmd[3];
	f->c = f->h = f->r = 0;
	f->n = f->cmd[2];
	f->st0 = f->st1 = f->st2 = f->over = 0;
	b = fdc_media_of(f, f->unit);
	if (b != NULL && b->read_only)
		fdc_fail(f, 0, ST1_READ_ONLY, 0);
	else
		fdc_sector_begin(f);
}

/* Seeks and recalibrations end with an interrupt, whose reason is asked for. */
static void seek_to(struct fdc *f, uint8_t cylinder, uint8_t st0)
{
	unsigned unit = f->cmd[1] & 3;

	f->cylinder[unit] = cylinder;
	f->pending[unit] = (uint8_t)(st0 | (f->cmd[1] & 4) | unit);
	if (unit < ARRAY_LEN(f->changed) && f->media[unit] != NULL)
		f->changed[unit] = 0;
	f->untold = true;
	fdc_give(f, NULL, 0);
}

static void do_sense_interrupt(struct fdc *f)
{
	fdc_drop(f);
	for (unsigned i = 0; i < NR_UNITS; i++)
		if (f->pending[i] != 0) {
			const uint8_t bytes[2] = { f->pending[i], f->cylinder[i] };

			f->pending[i] = 0;
			fdc_give(f, bytes, 2);
			return;
		}
	fdc_give(f, (const uint8_t[]){ ST0_INVALID }, 1);
}

static void do_sense_drive(struct fdc *f)
{
	unsigned unit = f->cmd[1] & 3;
	const struct blk *b = fdc_media_of(f, unit);
	uint8_t st3 = (uint8_t)(0x28 | (f->cmd[1] & 7));

	if (b != NULL && b->read_only)
		st3 |= 0x40;
	if (f->cylinder[unit] == 0)
		st3 |= 0x10;
	fdc_give(f, &st3, 1);
}

/* The next address mark that passes: of sector 1, as good as any. */
static void do_read_id(struct fdc *f)
{
	const struct format *m;

	f->unit = f->cmd[1] & 3;
	f->head = f->cmd[1] >> 2 & 1;
	f->c = f->cylinder[f->unit];
	f->h = f->head;
	f->r = 1;
	f->n = 2;
	f->st0 = f->st1 = f->st2 = 0;
	if (!fdc_readable(f, &m) || f->c >= m->cylinders || f->h >= m->heads)
		fdc_fail(f, 0, ST1_MISSING, 0);
	else
		fdc_end_data(f);
}

static void do_dump_registers(struct fdc *f)
{
	const uint8_t bytes[10] = {
		f->cylinder[0], f->cylinder[1], f->cylinder[2], f->cylinder[3], f->specify[0],
		f->specify[1], f->end, (uint8_t)(f->locked << 7 | (f->perpendicular & 0x7f)),
		f->config[0], f->config[1],
	};

	fdc_give(f, bytes, sizeof(bytes));
}

/* How many bytes each command has; 0: there is no such command. */
static unsigned length_of(uint8_t first)
{
	static const uint8_t length[32] = {
		[0x02] = 9, [0x03] = 3, [0x04] = 2, [0x05] = 9, [0x06] = 9, [0x07] = 2,
		[0x08] = 1, [0x09] = 9, [0x0a] = 2, [0x0c] = 9, [0x0d] = 6, [0x0e] = 1,
		[0x0f] = 3, [0x10] = 1, [0x11] = 9, [0x12] = 2, [0x13] = 4, [0x14] = 1,
		[0x16] = 9, [0x18] = 1, [0x19] = 9, [0x1d] = 9,
	};

	return length[first & CMD_MASK];
}

static void do_small(struct fdc *f)
{
	switch (f->cmd[0] & CMD_MASK) {
	case 0x03:
		memcpy(f->specify, f->cmd + 1, 2);
		fdc_give(f, NULL, 0);
		break;
	case 0x10:			/* version: a 82077 */
		fdc_give(f, (const uint8_t[]){ 0x90 }, 1);
		break;
	case 0x12:
		f->perpendicular = f->cmd[1];
		fdc_give(f, NULL, 0);
		break;
	case 0x13:
		memcpy(f->config, f->cmd + 2, 2);
		fdc_give(f, NULL, 0);
		break;
	case 0x14:
		f->locked = f->cmd[0] >> 7;
		fdc_give(f, (const uint8_t[]){ (uint8_t)(f->locked << 4) }, 1);
		break;
	default:			/* 18: part id */
		fdc_give(f, (const uint8_t[]){ 0x41 }, 1);
	}
}

static void do_seek(struct fdc *f)
{
	uint8_t now = f->cylinder[f->cmd[1] & 3], by = f->cmd[2];

	if ((f->cmd[0] & 0x80) == 0)
		seek_to(f, by, ST0_SEEK);
	else if ((f->cmd[0] & 0x40) != 0)	/* relative: up, or down */
		seek_to(f, (uint8_t)min_u64(now + by, 0xff), ST0_SEEK);
	else
		seek_to(f, now > by ? (uint8_t)(now - by) : 0, ST0_SEEK);
}

static void command(struct fdc *f)
{
	switch (f->cmd[0] & CMD_MASK) {
	case 0x02:			/* a whole track is its sectors in order */
		f->cmd[4] = 1;
		begin_data(f, DO_READ);
		break;
	case 0x06:
	case 0x0c:
		begin_data(f, DO_READ);
		break;
	case 0x05:
	case 0x09:
		begin_data(f, DO_WRITE);
		break;
	case 0x11:			/* scans find nothing */
	case 0x19:
	case 0x1d:
	case 0x16:
		begin_data(f, DO_VERIFY);
		break;
	case 0x0d:
		begin_format(f);
		break;
	case 0x04:
		do_sense_drive(f);
		break;
	case 0x07:
		seek_to(f, 0, (uint8_t)(ST0_SEEK | (f->cmd[1] & 3) / 2 << 4 |
					((f->cmd[1] & 3) / 2 != 0 ? ST0_ABNORMAL : 0)));
		break;
	case 0x08:
		do_sense_interrupt(f);
		break;
	case 0x0a:
		do_read_id(f);
		break;
	case 0x0e:
		do_dump_registers(f);
		break;
	case 0x0f:
		do_seek(f);
		break;
	default:
		do_small(f);
	}
}

/* ---- registers ------------------------------------------------------------------------ */

static uint8_t msr_read(const struct fdc *f)
{
	switch (f->phase) {
	case PHASE_COMMAND:
		return MSR_RQM | (f->nr_cmd != 0 ? MSR_BUSY : 0);
	case PHASE_FIFO:
		return MSR_RQM | MSR_NO_DMA | MSR_BUSY | (f->what == DO_READ ? MSR_TO_HOST : 0);
	case PHASE_RESULT:
		return MSR_RQM | MSR_TO_HOST | MSR_BUSY;
	default:
		return MSR_BUSY;
	}
}

static uint8_t fifo_read(struct fdc *f)
{
	uint8_t val;

	if (f->phase == PHASE_FIFO && f->what == DO_READ) {
		val = f->buf[f->at++];
		if (f->at < SECTOR)
			return val;
		f->at = 0;
		fdc_drop(f);
		fdc_sector_end(f);
		return val;
	}
	if (f->phase != PHASE_RESULT)
		return 0xff;
	fdc_drop(f);
	val = f->result[f->at_result++];
	if (f->at_result == f->nr_result)
		fdc_give(f, NULL, 0);
	return val;
}

static void fifo_write(struct fdc *f, uint8_t val)
{
	unsigned want;

	if (f->phase == PHASE_FIFO && f->what == DO_WRITE) {
		f->buf[f->at++] = val;
		if (f->at < SECTOR)
			return;
		fdc_drop(f);
		f->at = 0;
		fdc_write_again(f);
		return;
	}
	if (f->phase != PHASE_COMMAND)
		return;
	want = length_of(f->nr_cmd == 0 ? val : f->cmd[0]);
	if (want == 0) {
		fdc_give(f, (const uint8_t[]){ ST0_INVALID }, 1);
		return;
	}
	f->cmd[f->nr_cmd++] = val;
	if (f->nr_cmd == want)
		command(f);
}

/* Everything stops; what the host's disk still has is forgotten when it comes. */
static void soft_reset(struct fdc *f)
{
	f->io.stale = f->io.busy;
	f->io.again = AGAIN_NOTHING;
	f->what = f->due = 0;
	memset(f->pending, 0, sizeof(f->pending));
	f->untold = false;
	if (!f->locked)
		memset(f->config, 0, sizeof(f->config));
	fdc_give(f, NULL, 0);
	fdc_drop(f);
}

/* Out of reset the controller finds four drives ready, and tells so. */
static void leave_reset(struct fdc *f)
{
	for (unsigned i = 0; i < NR_UNITS; i++)
		f->pending[i] = (uint8_t)(ST0_POLL | i);
	f->untold = true;
	timer_arm(f->timer, clock_now_ns(f->clock) + SOON_NS);
}

static void dor_write(struct fdc *f, uint8_t val)
{
	bool was = (f->dor & DOR_NO_RESET) != 0, now = (val & DOR_NO_RESET) != 0;

	f->dor = val;
	if (was && !now)
		soft_reset(f);
	else if (!was && now)
		leave_reset(f);
	irq_set(&f->conf.irq, f->irq && (val & DOR_IRQ) != 0);
}

/* Of the drive that is selected; one that is not there pulls nothing. */
static uint8_t dir_read(const struct fdc *f)
{
	unsigned unit = f->dor & DOR_SELECT;

	return unit < ARRAY_LEN(f->changed) && (f->dor >> (4 + unit) & 1) != 0 &&
	       f->changed[unit] ? 0x80 : 0;
}

static uint64_t fdc_read(void *self, uint32_t off, unsigned width)
{
	struct fdc *f = self;

	(void)width;
	switch (off) {
	case 0:
		return f->dor;
	case 1:
		return f->tdr;
	case 2:
		return msr_read(f);
	default:
		return fifo_read(f);
	}
}

static void fdc_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct fdc *f = self;

	(void)width;
	switch (off) {
	case 0:
		dor_write(f, (uint8_t)val);
		break;
	case 1:
		f->tdr = val & 3;
		break;
	case 2:				/* data rate select; bit 7 resets by itself */
		f->rate = val & 3;
		if ((val & 0x80) != 0) {
			soft_reset(f);
			leave_reset(f);
		}
		break;
	default:
		if ((f->dor & DOR_NO_RESET) != 0)
			fifo_write(f, (uint8_t)val);
	}
}

static uint64_t dir_port_read(void *self, uint32_t off, unsigned width)
{
	(void)off, (void)width;
	return dir_read(self);
}

static void ccr_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)off, (void)width;
	((struct fdc *)self)->rate = val & 3;
}

static const struct io_ops fdc_io = { IO_W1, fdc_read, fdc_write };
static const struct io_ops dir_io = { IO_W1, dir_port_read, ccr_write };

/* ---- the board's side ----------------------------------------------------------------- */

/* One interrupt for all that is pending; in the middle of a command it waits for its end. */
static void tell(struct fdc *f)
{
	if (!f->untold || f->phase != PHASE_COMMAND || f->nr_cmd != 0)
		return;
	f->untold = false;
	for (unsigned i = 0; i < NR_UNITS; i++)
		if (f->pending[i] != 0) {
			fdc_raise(f);
			break;
		}
}

static void fdc_fire(void *arg)
{
	struct fdc *f = arg;

	pthread_mutex_lock(f->lock);
	if (f->io.busy && atomic_load_explicit(&f->io.done, memory_order_acquire))
		fdc_came_in(f);
	tell(f);
	pthread_mutex_unlock(f->lock);
}

int fdc_change(void *self, unsigned unit, struct blk *b)
{
	struct fdc *f = self;

	if (unit >= ARRAY_LEN(f->media))
		return -ENODEV;
	if (b != NULL && fdc_format_of(b->size) == NULL)
		return -EINVAL;
	if (f->io.busy && f->unit == unit)
		return -EBUSY;
	f->media[unit] = b;
	f->changed[unit] = 1;
	return 0;
}

static void fdc_reset(void *self)
{
	struct fdc *f = self;

	f->dor = f->tdr = 0;
	f->rate = 2;
	f->locked = f->perpendicular = 0;
	memset(f->specify, 0, sizeof(f->specify));
	memset(f->cylinder, 0, sizeof(f->cylinder));
	for (unsigned i = 0; i < ARRAY_LEN(f->changed); i++)
		f->changed[i] = 1;
	f->end = 0;
	soft_reset(f);
}

static int fdc_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct fdc *f = self;
	int rc;

	f->conf = *(const struct fdc_conf *)conf;
	f->clock = env->clock;
	f->lock = env->lock;
	memcpy(f->media, f->conf.media, sizeof(f->media));
	rc = timer_new(f->clock, fdc_fire, f, &f->timer);
	if (rc < 0)
		return err_set(err, rc, "no timer");
	rc = bus_add(env->pio, env->name, f->conf.port + 2u, 4, &fdc_io, f, err);
	if (rc == 0)
		rc = bus_add(env->pio, env->name, f->conf.port + 7u, 1, &dir_io, f, err);
	if (rc < 0)
		timer_free(f->timer);
	return rc;
}

static void fdc_stop(void *self)
{
	struct fdc *f = self;

	for (unsigned i = 0; i < ARRAY_LEN(f->media); i++)
		if (f->media[i] != NULL)
			blk_drain(f->media[i]);
}

static void fdc_fini(void *self)
{
	fdc_stop(self);
	timer_free(((struct fdc *)self)->timer);
}

static int fdc_loaded(void *self, struct err *err)
{
	struct fdc *f = self;
	bool data = f->phase == PHASE_EXEC || f->phase == PHASE_FIFO;

	if (f->phase > PHASE_RESULT || f->irq > 1 || f->rate > 3 || f->locked > 1 ||
	    f->nr_cmd > sizeof(f->cmd) || f->nr_result > sizeof(f->result) ||
	    (f->phase == PHASE_RESULT && f->at_result >= f->nr_result) ||
	    (f->phase == PHASE_COMMAND && f->nr_cmd != 0 && f->nr_cmd >= length_of(f->cmd[0])) ||
	    f->what > DO_FORMAT || f->due > 1 || f->unit >= NR_UNITS || f->head > 1 || f->at >= SECTOR ||
	    data != (f->what != 0) || (f->phase == PHASE_FIFO && f->what > DO_WRITE))
		return err_set(err, -EBADMSG, "fdc: registers that cannot be");
	irq_set(&f->conf.irq, f->irq && (f->dor & DOR_IRQ) != 0);
	f->io.stale = f->io.busy;
	f->io.again = AGAIN_NOTHING;
	if (f->phase == PHASE_EXEC)
		fdc_resume(f);
	f->untold = true;		/* perhaps; what is pending is told again */
	timer_arm(f->timer, clock_now_ns(f->clock) + SOON_NS);
	return 0;
}

#define FIELD(tag, member) STATE(tag, struct fdc, member)
static const struct state_field fdc_state[] = {
	FIELD(1, dor), FIELD(2, tdr), FIELD(3, rate), FIELD(4, changed), FIELD(5, phase),
	FIELD(6, irq), FIELD(7, cmd), FIELD(8, nr_cmd), FIELD(9, result), FIELD(10, nr_result),
	FIELD(11, at_result), FIELD(12, cylinder), FIELD(13, pending), FIELD(14, specify),
	FIELD(15, config), FIELD(16, locked), FIELD(17, perpendicular), FIELD(18, what),
	FIELD(19, unit), FIELD(20, head), FIELD(21, c), FIELD(22, h), FIELD(23, r), FIELD(24, n),
	FIELD(25, end), FIELD(26, left), FIELD(27, st0), FIELD(28, st1), FIELD(29, st2),
	FIELD(30, over), FIELD(31, buf), FIELD(32, at), FIELD(33, due),
	{ 0 },
};

const struct dev_ops fdc_dev = {
	.name = "fdc",
	.size = sizeof(struct fdc),
	.state = fdc_state,
	.init = fdc_init,
	.reset = fdc_reset,
	.stop = fdc_stop,
	.loaded = fdc_loaded,
	.fini = fdc_fini,
};
