/*
 * dec21140.c - Digital's 21140A, the "legacy network adapter" of Generation 1
 *
 * The one adapter that a guest without Hyper-V's drivers, and a PXE ROM, can
 * use.  Sixteen registers eight bytes apart, in a window of ports and in one
 * of memory; all else is in two lists of descriptors in memory, which the chip
 * walks by itself (dec21140_tx.c, dec21140_rx.c).  The serial ROM with the
 * machine's address hangs on four pins of CSR9, the PHY on four others
 * (dec21140_serial.c).
 *
 * A write to a register never waits for the network: it arms a timer for
 * "now", and that timer's callback, which holds no lock, walks the transmit
 * list and talks to the switch.
 *
 * The summary bits of CSR5 are the OR of what is enabled in CSR7, at any time.
 *
 * Spec     [21140A] Hardware Reference Manual, EC-QN7NF-TE, 3 registers; revision
 *          and subsystem from the INF of the driver that comes with Windows Vista
 * Missing  big-endian buffers (CSR0 BLE); the boot ROM's pins (CSR9, CSR10): it is
 *          read by its BAR; early receive and transmit interrupts; sleep and snooze
 * Lock     chip
 */
#include "chip/dec21140_priv.h"

#include "mem/gmem.h"

#include <string.h>

#define BAR_LEN 128u
#define WORK_MAX 128u			/* descriptors and frames of one kick; then others' timers */
#define CSR5_ONES 0xfc000000u
#define CSR7_ONES 0xfffe0000u
#define CSR8_ONES 0xe0000000u
#define CSR9_ONES 0xfff00000u
#define CSR9_KEPT (0x0007ffffu & ~(uint32_t)CSR9_DO)
#define CSR11_ONES 0xfffe0000u
#define CSR12_ONES 0xfffffe00u

static const uint32_t csr_reset[16] = {
	[0] = 0xfe000000, [1] = 0xffffffff, [2] = 0xffffffff, [5] = CSR5_ONES, [6] = 0x32000040,
	[7] = CSR7_ONES, [8] = CSR8_ONES, [9] = 0x000483f7, [10] = 0xffffffff, [11] = CSR11_ONES,
	[13] = 0xffffffff, [14] = 0xffffffff, [15] = 0xfffffe00,
};

/* ---- interrupts -------------------------------------------------------------------- */

static void update_irq(struct dec21140 *d)
{
	uint32_t on = d->csr[5] & d->csr[7];

	d->csr[5] &= ~(uint32_t)(CSR5_NIS | CSR5_AIS);
	if ((on & CSR5_NORMAL) != 0)
		d->csr[5] |= CSR5_NIS;
	if ((on & CSR5_ABNORMAL) != 0)
		d->csr[5] |= CSR5_AIS;
	pci_irq(&d->pci, (d->csr[5] & d->csr[7] & (CSR5_NIS | CSR5_AIS)) != 0);
}

void dec_event(struct dec21140 *d, uint32_t csr5)
{
	d->csr[5] |= csr5;
	update_irq(d);
}

/* ---- memory ------------------------------------------------------------------------ */

bool dec_can_master(const struct dec21140 *d)
{
	return !d->dead && pci_is_master(&d->pci);
}

void dec_bus_error(struct dec21140 *d)
{
	d->dead = true;
	dec_set_state(d, CSR5_EB_SHIFT, EB_MASTER_ABORT);
	dec_event(d, CSR5_FBE);
}

static uint32_t swapped(const struct dec21140 *d, uint32_t val)
{
	return (d->csr[0] & CSR0_DBO) != 0 ? __builtin_bswap32(val) : val;
}

/* The owner's word first, then what it made valid. */
bool dec_fetch(struct dec21140 *d, uint32_t at, struct dec_desc *ret_g)
{
	uint32_t status;
	uint8_t g[12];

	if (gmem_load32(d->mem, at, &status) < 0 ||
	    gmem_read(d->mem, (uint64_t)at + 4, g, sizeof(g)) < 0) {
		dec_bus_error(d);
		return false;
	}
	ret_g->status = swapped(d, status);
	ret_g->control = swapped(d, ld32(g));
	ret_g->addr[0] = swapped(d, ld32(g + 4));
	ret_g->addr[1] = swapped(d, ld32(g + 8));
	return true;
}

bool dec_close(struct dec21140 *d, uint32_t at, uint32_t status)
{
	if (gmem_store32(d->mem, at, swapped(d, status & ~DES_OWN)) == 0)
		return true;
	dec_bus_error(d);
	return false;
}

uint32_t dec_next(const struct dec21140 *d, uint32_t base, uint32_t at, const struct dec_desc *g)
{
	if ((g->control & DES1_END_OF_RING) != 0)
		return base;
	if ((g->control & DES1_CHAINED) != 0)
		return g->addr[1] & ~3u;
	return at + 16 + CSR0_DSL(d->csr[0]) * 4;
}

/* ---- work -------------------------------------------------------------------------- */

void dec_kick(struct dec21140 *d, uint64_t at_ns)
{
	if (at_ns >= d->kick_at)
		return;
	d->kick_at = at_ns;
	timer_arm(d->kick, at_ns);
}

static void kick_fire(void *self)
{
	struct dec21140 *d = self;
	unsigned n = 0;
	bool room;

	pthread_mutex_lock(d->lock);
	d->kick_at = TIMER_NEVER;
	while (n < WORK_MAX && dec_tx_work(d))
		n++;
	if (n == WORK_MAX)
		dec_kick(d, 0);
	room = dec_rx_room(d);
	pthread_mutex_unlock(d->lock);
	if (room && d->port != NULL)
		port_room(d->port);
}

/* ---- the general purpose timer, CSR11 ------------------------------------------------ */

/* Of its clock, which is the medium's. */
static uint64_t timer_period(const struct dec21140 *d)
{
	if ((d->csr[6] & CSR6_PS) == 0)
		return 204800;
	return (d->csr[6] & CSR6_TTM) != 0 ? 819200 : 81920;
}

static void timer_set(struct dec21140 *d, uint32_t val)
{
	uint32_t count = val & 0xffff;

	d->csr[11] = CSR11_ONES | (val & (CSR11_CON | 0xffffu));
	d->timer_end = count == 0 ? 0 : clock_now_ns(d->clock) + count * timer_period(d);
	timer_arm(d->tick, count == 0 ? TIMER_NEVER : d->timer_end);
}

static uint32_t timer_get(const struct dec21140 *d)
{
	uint64_t now = clock_now_ns(d->clock), left = 0;

	if (d->timer_end > now)
		left = (d->timer_end - now + timer_period(d) - 1) / timer_period(d);
	return (d->csr[11] & ~0xffffu) | (uint32_t)min_u64(left, 0xffff);
}

static void tick_fire(void *self)
{
	struct dec21140 *d = self;

	pthread_mutex_lock(d->lock);
	if (d->timer_end != 0 && d->timer_end <= clock_now_ns(d->clock)) {
		if ((d->csr[11] & CSR11_CON) != 0)
			timer_set(d, d->csr[11]);
		else
			d->timer_end = 0;
		dec_event(d, CSR5_GTE);
	}
	pthread_mutex_unlock(d->lock);
}

/* ---- registers --------------------------------------------------------------------- */

static void registers_reset(struct dec21140 *d)
{
	memcpy(d->csr, csr_reset, sizeof(d->csr));
	memset(d->perfect, 0, sizeof(d->perfect));
	memset(d->hash, 0, sizeof(d->hash));
	d->dead = false;
	timer_set(d, 0);
	dec_tx_reset(d);
	dec_rx_reset(d);
	update_irq(d);
}

static void mode_write(struct dec21140 *d, uint32_t val)
{
	uint32_t was = d->csr[6];

	d->csr[6] = (val & ~(uint32_t)CSR6_FILTER) | (was & CSR6_FILTER) | CSR6_MBO;
	if ((was & ~val & CSR6_ST) != 0)
		dec_tx_stop(d);
	if ((was & ~val & CSR6_SR) != 0)
		dec_rx_stop(d);
	if ((~was & val & CSR6_ST) != 0)
		dec_tx_start(d);
	if ((~was & val & CSR6_SR) != 0)
		dec_rx_start(d);
}

static void serial_write(struct dec21140 *d, uint32_t val)
{
	d->csr[9] = val & CSR9_KEPT;
	dec_srom_pins(&d->srom, (val & CSR9_SR) != 0 && (val & CSR9_CS) != 0, (val & CSR9_SK) != 0,
		      (val & CSR9_DI) != 0);
	dec_mii_pins(&d->mii, (val & CSR9_MDC) != 0, (val & CSR9_MDO) != 0, (val & CSR9_MII) != 0);
}

/* Eight pins, some of which the guest drives; the others are pulled up. */
static void pins_write(struct dec21140 *d, uint32_t val)
{
	uint32_t data = d->csr[12] & 0xff, drives = d->csr[12] >> 16 & 0xff;

	if ((val & CSR12_GPC) != 0)
		drives = val & 0xff;
	else
		data = val & 0xff;
	d->csr[12] = drives << 16 | data;
}

static uint32_t pins_read(const struct dec21140 *d)
{
	uint32_t drives = d->csr[12] >> 16 & 0xff;

	return CSR12_ONES | (d->csr[12] & drives) | (~drives & 0xff);
}

static uint64_t csr_read(void *self, uint32_t off, unsigned width)
{
	struct dec21140 *d = self;
	uint32_t val;

	(void)width;
	if ((off & 7) != 0)
		return 0;
	switch (off / 8) {
	case 8:			/* counters start again when they are read */
		val = d->csr[8];
		d->csr[8] = CSR8_ONES;
		return val;
	case 9:
		return CSR9_ONES | d->csr[9] | (d->srom.out ? CSR9_DO : 0u) |
		       (d->mii.out ? CSR9_MDI : 0u);
	case 11:
		return timer_get(d);
	case 12:
		return pins_read(d);
	default:
		return d->csr[off / 8];
	}
}

static void csr_write(void *self, uint32_t off, unsigned width, uint64_t val64)
{
	struct dec21140 *d = self;
	uint32_t val = (uint32_t)val64;

	(void)width;
	if ((off & 7) != 0)
		return;
	switch (off / 8) {
	case 0:
		if ((val & CSR0_SWR) != 0)
			registers_reset(d);
		d->csr[0] = val | csr_reset[0];
		break;
	case 1:
		dec_tx_poll(d);
		break;
	case 2:
		dec_rx_poll(d);
		break;
	case 3:
		d->csr[3] = d->rx_at = val & ~3u;
		break;
	case 4:
		d->csr[4] = d->tx_at = val & ~3u;
		break;
	case 5:
		d->csr[5] &= ~(val & (CSR5_NORMAL | CSR5_ABNORMAL));
		update_irq(d);
		break;
	case 6:
		mode_write(d, val);
		break;
	case 7:
		d->csr[7] = val | CSR7_ONES;
		update_irq(d);
		/* The end of a driver's round: there may be room for what waits. */
		if (d->rx_refused)
			dec_kick(d, 0);
		break;
	case 8:
		break;
	case 9:
		serial_write(d, val);
		break;
	case 11:
		timer_set(d, val);
		break;
	case 12:
		pins_write(d, val);
		break;
	default:
		d->csr[off / 8] = val;
		break;
	}
}

static const struct io_ops csr_io = { IO_W4, csr_read, csr_write };

static uint64_t rom_read(void *self, uint32_t off, unsigned width)
{
	const struct dec21140 *d = self;
	uint64_t val = 0;

	for (unsigned i = 0; i < width; i++)
		val |= (uint64_t)(off + i < d->conf.rom_len ? d->conf.rom[off + i] : 0xff) << 8 * i;
	return val;
}

static void rom_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)self, (void)off, (void)width, (void)val;
}

static const struct io_ops rom_io = {
	IO_W1 | IO_W2 | IO_W4 | IO_W8, rom_read, rom_write,
};

/* ---- on the bus -------------------------------------------------------------------- */

/* It may be a bus master now. */
static void config_written(void *self, unsigned off, unsigned width)
{
	struct dec21140 *d = self;

	(void)width;
	if (off <= PCI_COMMAND)
		dec_kick(d, 0);
}

static const struct pci_reg regs[] = {
	{ 0x0c, 2, 0, 0xffff, 0 },		/* cache line, latency timer */
	{ 0x3e, 2, 0x2814, 0, 0 },		/* wishes: MIN_GNT, MAX_LAT */
	{ 0x40, 4, 0, 0xc000ff00, 0 },		/* sleep and snooze, and a byte for the driver */
	{ 0 },
};

static const struct pci_desc desc = {
	.vendor = 0x1011, .device = 0x0009, .revision = 0x20, .class = 0x020000,
	.subsystem_vendor = 0x0a00, .subsystem = 0x2114, .int_pin = 1,
	.command_mask = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | 0x0140,
	.status = 0x0280,			/* medium DEVSEL, fast back-to-back */
	.bar = {
		[0] = { PCI_BAR_IO, BAR_LEN, &csr_io },
		[1] = { PCI_BAR_MEM, BAR_LEN, &csr_io },
		[PCI_BAR_ROM] = { PCI_BAR_MEM, DEC21140_ROM_MAX, &rom_io },
	},
	.regs = regs,
	.written = config_written,
};

/* ---- the device -------------------------------------------------------------------- */

uint32_t dec_crc(const struct dec21140 *d, const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++)
		crc = crc >> 8 ^ d->crc_table[(crc ^ p[i]) & 0xff];
	return crc;
}

static void crc_init(struct dec21140 *d)
{
	for (uint32_t i = 0; i < ARRAY_LEN(d->crc_table); i++) {
		uint32_t crc = i;

		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		d->crc_table[i] = crc;
	}
}

void dec21140_plug(void *self, struct port *port)
{
	const struct port_caps caps = { .max_frame = 1514 };
	struct dec21140 *d = self;

	if (d->port != NULL)
		port_bind(d->port, NULL, NULL, NULL);
	d->port = port;
	if (port == NULL)
		return;
	dec_srom_fill(d, port->mac);
	port_bind(port, &dec_port_client, d, &caps);
}

static void dec21140_reset(void *self)
{
	struct dec21140 *d = self;
	bool link = d->mii.link;

	pci_reset(&d->pci);
	dec_mii_reset(&d->mii);
	d->mii.link = link;
	d->srom.phase = 0;
	d->srom.cs = d->srom.sk = d->srom.writable = false;
	d->srom.out = true;
	registers_reset(d);
}

static int dec21140_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct dec21140 *d = self;
	int rc;

	d->conf = *(const struct dec21140_conf *)conf;
	d->mem = env->mem;
	d->clock = env->clock;
	d->lock = env->lock;
	d->kick_at = TIMER_NEVER;
	if (d->conf.rom == NULL)
		d->conf.rom_len = 0;
	if (d->conf.rom_len > DEC21140_ROM_MAX)
		return err_set(err, -EFBIG, "an option ROM of %u bytes, at most %u", d->conf.rom_len,
			       DEC21140_ROM_MAX);
	crc_init(d);
	dec_srom_fill(d, (const uint8_t[6]){ 0x00, 0x15, 0x5d, 0, 0, 0 });
	rc = timer_new(d->clock, kick_fire, d, &d->kick);
	if (rc == 0)
		rc = timer_new(d->clock, tick_fire, d, &d->tick);
	if (rc < 0)
		err_fill(err, "no timer");
	else
		rc = pci_add(env->pci, d->conf.devfn, &desc, env, d, &d->pci, err);
	if (rc < 0) {
		timer_free(d->kick);
		timer_free(d->tick);
	}
	return rc;
}

static void dec21140_fini(void *self)
{
	struct dec21140 *d = self;

	dec21140_plug(d, NULL);
	timer_free(d->kick);
	timer_free(d->tick);
}

/* ---- saved state ------------------------------------------------------------------- */

static const struct state_field dec21140_state[] = {
	PCI_STATE(1, struct dec21140, pci),
	STATE(10, struct dec21140, csr), STATE(11, struct dec21140, dead),
	STATE(12, struct dec21140, perfect), STATE(13, struct dec21140, hash),
	STATE(14, struct dec21140, timer_end),
	STATE(20, struct dec21140, tx_at), STATE(21, struct dec21140, tx_len),
	STATE(22, struct dec21140, tx_first), STATE(23, struct dec21140, tx_last),
	STATE(24, struct dec21140, tx_last_at), STATE(25, struct dec21140, tx_open),
	STATE(26, struct dec21140, tx_long), STATE(27, struct dec21140, tx_ready),
	STATE(28, struct dec21140, tx_buf),
	STATE(30, struct dec21140, rx_at),
	STATE(40, struct dec21140, srom.word), STATE(41, struct dec21140, srom.shift),
	STATE(42, struct dec21140, srom.count), STATE(43, struct dec21140, srom.phase),
	STATE(44, struct dec21140, srom.command), STATE(45, struct dec21140, srom.cs),
	STATE(46, struct dec21140, srom.sk), STATE(47, struct dec21140, srom.out),
	STATE(48, struct dec21140, srom.writable),
	STATE(60, struct dec21140, mii.reg), STATE(61, struct dec21140, mii.shift),
	STATE(62, struct dec21140, mii.count), STATE(63, struct dec21140, mii.phase),
	STATE(64, struct dec21140, mii.command_reg), STATE(65, struct dec21140, mii.mdc),
	STATE(66, struct dec21140, mii.out), STATE(67, struct dec21140, mii.mine),
	STATE(68, struct dec21140, mii.link_lost),
	{ 0 },
};

static bool states_are_sane(const struct dec21140 *d)
{
	uint32_t rs = dec_state(d, CSR5_RS_SHIFT), ts = dec_state(d, CSR5_TS_SHIFT);
	bool sr = (d->csr[6] & CSR6_SR) != 0, st = (d->csr[6] & CSR6_ST) != 0;

	/* A frame on its way may outlive ST. */
	return (sr ? rs == RS_WAITING || rs == RS_SUSPENDED : rs == RS_STOPPED) &&
	       (ts == TS_STOPPED || ts == TS_RUNNING || ts == TS_SUSPENDED) &&
	       (st || ts == TS_STOPPED || d->tx_ready);
}

static int dec21140_loaded(void *self, struct err *err)
{
	struct dec21140 *d = self;
	uint64_t now = clock_now_ns(d->clock);
	int rc = pci_loaded(&d->pci, err);

	if (rc < 0)
		return rc;
	if (!states_are_sane(d) || d->tx_len > sizeof(d->tx_buf) || (d->tx_ready && d->tx_open) ||
	    ((d->tx_at | d->rx_at | d->tx_last_at) & 3) != 0 ||
	    (d->timer_end != 0 && (d->csr[11] & 0xffff) == 0) ||
	    (d->timer_end > now && d->timer_end - now > 0x10000ull * 819200) ||
	    !dec_serial_is_sane(d))
		return err_set(err, -EBADMSG, "dec21140: a state that cannot be");
	d->tx_held = false;
	d->rx_dry_ns = TIMER_NEVER;
	timer_arm(d->tick, d->timer_end == 0 ? TIMER_NEVER : d->timer_end);
	update_irq(d);
	dec_kick(d, 0);
	return 0;
}

const struct dev_ops dec21140_dev = {
	.name = "dec21140",
	.size = sizeof(struct dec21140),
	.state = dec21140_state,
	.init = dec21140_init,
	.reset = dec21140_reset,
	.loaded = dec21140_loaded,
	.fini = dec21140_fini,
};
