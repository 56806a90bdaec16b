/*
 * pci.c - the PCI bus of a Generation 1 machine
 *
 * The guest names a register in CF8 (bit 31 enable, bus, slot, function,
 * register) and reads or writes it in CFC to CFF, by byte, word or dword.
 * Only a dword at CF8 is the address; bytes there belong to others (CF9 is the
 * reset control).  Where no function is, reads are ones and writes vanish:
 * this is how guests find what is there.
 *
 * What a guest may change is a mask of bits per byte, so a device's rules are
 * a table and nothing it writes can reach a fixed bit.  To learn the size of
 * a BAR it writes ones and reads back; with decoding on, the window follows
 * even there, as in hardware.
 *
 * Spec     [PCI 2.1] 3.2.2.3 mechanism #1, 6.1 to 6.2.5, 2.2.6 interrupts
 * Missing  other buses (bridges), capabilities with behaviour, parity errors
 * Lock     chip
 */
#include "dev/pci.h"

#include "base/le.h"

#include <string.h>

#define CFG_ENABLE (UINT32_C(1) << 31)
#define NR_FUNCS 256u
#define NR_PIRQ 4u
#define IO_SPACE 0x10000u
#define BAR_IO 1u
#define BAR_PREFETCH 8u
#define ROM_ENABLE 1u
#define OWN_REGS 0x40u			/* from here on the device's own */

struct pci_bus {
	struct pci_conf conf;		/* [const] */
	struct pci_func *func[NR_FUNCS];	/* [const] after the board is built; borrowed */
	const struct io_ops *byte_ops;	/* [const] of CF8 to CFB, bytes */
	void *byte_self;
	uint32_t address;		/* CF8 */
	unsigned raised[NR_PIRQ];	/* how many functions pull the line; derived */
};

/* ---- interrupts --------------------------------------------------------------------- */

static void drive(struct pci_func *f)
{
	bool level = f->intx && (ld16(f->cfg + PCI_COMMAND) & PCI_COMMAND_INTX_OFF) == 0;
	unsigned line;

	if (f->desc->int_pin == 0 || level == f->driven)
		return;
	f->driven = level;
	line = (unsigned)((f->devfn >> 3) + 3 + f->desc->int_pin - 1) % NR_PIRQ;
	f->bus->raised[line] += level ? 1u : -1u;
	irq_set(&f->bus->conf.pirq[line], f->bus->raised[line] != 0);
}

void pci_irq(struct pci_func *f, bool level)
{
	f->intx = level;
	drive(f);
}

/* ---- base address registers --------------------------------------------------------- */

static unsigned bar_reg(unsigned bar)
{
	return bar == PCI_BAR_ROM ? PCI_ROM : PCI_BAR0 + 4 * bar;
}

static bool bar_is_on(const struct pci_func *f, unsigned bar, uint32_t val)
{
	uint16_t command = ld16(f->cfg + PCI_COMMAND);

	if (f->desc->bar[bar].kind == PCI_BAR_IO)
		return (command & PCI_COMMAND_IO) != 0 && val < IO_SPACE;
	return (command & PCI_COMMAND_MEMORY) != 0 &&
	       (bar != PCI_BAR_ROM || (val & ROM_ENABLE) != 0);
}

/* Puts every window where the registers say.  A base of 0 is nowhere. */
static void settle(struct pci_func *f)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &f->desc->bar[i];
		uint32_t val = ld32(f->cfg + bar_reg(i)), base = val & ~(bar->len - 1);
		bool on = bar->kind != PCI_BAR_NONE && base != 0 && bar_is_on(f, i, val);

		if (bar->kind == PCI_BAR_NONE || (on == f->on[i] && base == f->base[i]))
			continue;
		if (on || f->on[i]) {
			if (f->win[i] != NULL)
				bus_window_move(f->win[i], base, on);
			if (f->desc->moved != NULL)
				f->desc->moved(f->self, i, base, on);
		}
		f->base[i] = base;
		f->on[i] = on;
	}
}

/* ---- one function's configuration space ---------------------------------------------- */

static void fixed(struct pci_func *f, unsigned off, unsigned width, uint32_t reset,
		  uint32_t writable, uint32_t w1c)
{
	for (unsigned i = 0; i < width; i++) {
		f->cfg[off + i] = (uint8_t)(reset >> 8 * i);
		f->mask[off + i] = (uint8_t)(writable >> 8 * i);
		f->w1c[off + i] = (uint8_t)(w1c >> 8 * i);
	}
}

static void fill_bars(struct pci_func *f)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &f->desc->bar[i];
		uint32_t mask = ~(bar->len - 1);

		if (bar->kind == PCI_BAR_NONE)
			continue;
		if (i == PCI_BAR_ROM)
			fixed(f, PCI_ROM, 4, 0, mask | ROM_ENABLE, 0);
		else if (bar->kind == PCI_BAR_IO)
			fixed(f, bar_reg(i), 4, BAR_IO, mask, 0);
		else
			fixed(f, bar_reg(i), 4, bar->kind == PCI_BAR_PREFETCH ? BAR_PREFETCH : 0,
			      mask, 0);
	}
}

/* Registers and masks as after power-on. */
static void fill(struct pci_func *f)
{
	const struct pci_desc *d = f->desc;

	memset(f->cfg, 0, sizeof(f->cfg));
	memset(f->mask, 0, sizeof(f->mask));
	memset(f->w1c, 0, sizeof(f->w1c));
	fixed(f, PCI_VENDOR, 2, d->vendor, 0, 0);
	fixed(f, PCI_DEVICE, 2, d->device, 0, 0);
	fixed(f, PCI_COMMAND, 2, d->command, d->command_mask, 0);
	fixed(f, PCI_STATUS, 2, d->status, 0, PCI_STATUS_ERRORS);
	fixed(f, PCI_REVISION, 4, d->class << 8 | d->revision, 0, 0);
	fixed(f, PCI_HEADER_TYPE, 1, d->header_type, 0, 0);
	fixed(f, PCI_SUBSYSTEM_VENDOR, 2, d->subsystem_vendor, 0, 0);
	fixed(f, PCI_SUBSYSTEM, 2, d->subsystem, 0, 0);
	if (d->int_pin != 0)
		fixed(f, PCI_INT_LINE, 2, (uint32_t)d->int_pin << 8, 0xff, 0);
	fill_bars(f);
	for (const struct pci_reg *r = d->regs; r != NULL && r->width != 0; r++)
		fixed(f, r->off, r->width, r->reset, r->writable, r->w1c);
}

/* Fixed bits from the description, the guest's from CFG.  False: CFG's fixed bits differ. */
static bool refill(struct pci_func *f, const uint8_t cfg[PCI_CFG_LEN], unsigned *ret_off)
{
	bool same = true;

	fill(f);
	for (unsigned i = 0; i < PCI_CFG_LEN; i++) {
		uint8_t open = (uint8_t)(f->mask[i] | f->w1c[i]);

		if (((cfg[i] ^ f->cfg[i]) & ~open) != 0 && i < OWN_REGS && same) {
			*ret_off = i;
			same = false;
		}
		f->cfg[i] = i >= OWN_REGS ? cfg[i] :
			    (uint8_t)((f->cfg[i] & ~open) | (cfg[i] & open));
	}
	return same;
}

void pci_become(struct pci_func *f, const struct pci_desc *desc)
{
	uint8_t cfg[PCI_CFG_LEN];
	unsigned off;

	for (unsigned i = 0; i < PCI_NR_BARS; i++)
		BUG_IF(desc->bar[i].kind != f->desc->bar[i].kind ||
		       desc->bar[i].len != f->desc->bar[i].len);
	memcpy(cfg, f->cfg, sizeof(cfg));
	f->desc = desc;
	(void)refill(f, cfg, &off);
	settle(f);
	drive(f);
}

void pci_reset(struct pci_func *f)
{
	fill(f);
	f->intx = false;
	settle(f);
	drive(f);
}

bool pci_is_master(const struct pci_func *f)
{
	return (ld16(f->cfg + PCI_COMMAND) & PCI_COMMAND_MASTER) != 0;
}

static void check_desc(const struct pci_desc *d)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &d->bar[i];

		if (bar->kind == PCI_BAR_NONE)
			continue;
		BUG_IF(bar->len < (bar->kind == PCI_BAR_IO ? 4 : 16));
		BUG_IF(bar->kind == PCI_BAR_IO && (bar->len > 256 || i == PCI_BAR_ROM));
		BUG_IF((bar->len & (bar->len - 1)) != 0);
		BUG_IF(i == PCI_BAR_ROM && bar->len < 2048);
	}
	for (const struct pci_reg *r = d->regs; r != NULL && r->width != 0; r++)
		BUG_IF(r->width > 4 || r->off > PCI_CFG_LEN - r->width);
}

int pci_add(struct pci_bus *b, uint8_t devfn, const struct pci_desc *desc,
	    const struct dev_env *env, void *self, struct pci_func *f, struct err *err)
{
	check_desc(desc);
	if (b->func[devfn] != NULL)
		return err_set(err, -EBUSY, "PCI 00:%02x.%u is taken", devfn >> 3, devfn & 7u);
	f->desc = desc;
	f->bus = b;
	f->self = self;
	f->devfn = devfn;
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &desc->bar[i];
		int rc;

		if (bar->kind == PCI_BAR_NONE || bar->ops == NULL)
			continue;
		rc = bus_window_new(bar->kind == PCI_BAR_IO ? env->pio : env->mmio, env->name,
				    bar->len, bar->ops, self, &f->win[i], err);
		if (rc < 0)
			return rc;
	}
	fill(f);
	b->func[devfn] = f;
	return 0;
}

int pci_loaded(struct pci_func *f, struct err *err)
{
	uint8_t cfg[PCI_CFG_LEN];
	unsigned off;

	memcpy(cfg, f->cfg, sizeof(cfg));
	if (!refill(f, cfg, &off))
		return err_set(err, -EBADMSG, "PCI 00:%02x.%u: register %02x is %02x, which "
			       "cannot be", f->devfn >> 3, f->devfn & 7u, off, cfg[off]);
	settle(f);
	drive(f);
	return 0;
}

/* ---- accesses ------------------------------------------------------------------------ */

uint32_t pci_cfg_read(struct pci_bus *b, uint8_t devfn, unsigned off, unsigned width)
{
	const struct pci_func *f = b->func[devfn];
	uint32_t val = 0;

	for (unsigned i = 0; i < width; i++) {
		uint8_t byte = f != NULL && off + i < PCI_CFG_LEN ? f->cfg[off + i] : 0xff;

		/* The bit came with the switch: [PCI 2.3] 6.2.3. */
		if (f != NULL && off + i == PCI_STATUS && f->intx &&
		    (f->desc->command_mask & PCI_COMMAND_INTX_OFF) != 0)
			byte |= PCI_STATUS_INTX;
		val |= (uint32_t)byte << 8 * i;
	}
	return val;
}

void pci_cfg_write(struct pci_bus *b, uint8_t devfn, unsigned off, unsigned width, uint32_t val)
{
	struct pci_func *f = b->func[devfn];

	if (f == NULL || off >= PCI_CFG_LEN)
		return;
	width = (unsigned)min_u64(width, PCI_CFG_LEN - off);
	for (unsigned i = 0; i < width; i++) {
		uint8_t byte = (uint8_t)(val >> 8 * i), mask = f->mask[off + i];

		f->cfg[off + i] = (uint8_t)((f->cfg[off + i] & ~mask) | (byte & mask));
		f->cfg[off + i] &= (uint8_t)~(byte & f->w1c[off + i]);
	}
	settle(f);
	drive(f);
	if (f->desc->written != NULL)
		f->desc->written(f->self, off, width);
}

/* The function and register that port CF8 + OFF, OFF from 4, leads to.  False: none. */
static bool selected(const struct pci_bus *b, uint32_t off, uint8_t *ret_devfn, unsigned *ret_reg)
{
	*ret_devfn = (uint8_t)(b->address >> 8);
	*ret_reg = (b->address & 0xfc) + (off & 3);
	return (b->address & CFG_ENABLE) != 0 && (b->address >> 16 & 0xff) == 0;
}

/* WIDTH bytes at OFF of the eight ports, none of them the address as a whole. */
static uint64_t part_read(struct pci_bus *b, uint32_t off, unsigned width)
{
	unsigned reg;
	uint8_t devfn;

	if (off >= 4)
		return selected(b, off, &devfn, &reg) ? pci_cfg_read(b, devfn, reg, width) :
		       UINT64_MAX;
	return b->byte_ops != NULL ? b->byte_ops->read(b->byte_self, off, width) : UINT64_MAX;
}

static void part_write(struct pci_bus *b, uint32_t off, unsigned width, uint64_t val)
{
	unsigned reg;
	uint8_t devfn;

	if (off < 4) {
		if (b->byte_ops != NULL)
			b->byte_ops->write(b->byte_self, off, width, val);
	} else if (selected(b, off, &devfn, &reg)) {
		pci_cfg_write(b, devfn, reg, width, (uint32_t)val);
	}
}

/* Within the data register; anything else goes byte by byte. */
static bool is_whole(uint32_t off, unsigned width)
{
	return off >= 4 && (off & 3) + width <= 4;
}

static uint64_t ports_read(void *self, uint32_t off, unsigned width)
{
	struct pci_bus *b = self;
	uint64_t val = 0;

	if (off == 0 && width == 4)
		return b->address;
	if (is_whole(off, width))
		return part_read(b, off, width);
	for (unsigned i = 0; i < width; i++)
		val |= (part_read(b, off + i, 1) & 0xff) << 8 * i;
	return val;
}

static void ports_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct pci_bus *b = self;

	if (off == 0 && width == 4) {
		b->address = (uint32_t)val & (CFG_ENABLE | 0xfffffc);
	} else if (is_whole(off, width)) {
		part_write(b, off, width, val);
	} else {
		for (unsigned i = 0; i < width; i++)
			part_write(b, off + i, 1, val >> 8 * i & 0xff);
	}
}

static const struct io_ops ports_io = {
	.widths = IO_W1 | IO_W2 | IO_W4,
	.read = ports_read,
	.write = ports_write,
};

void pci_byte_port(struct pci_bus *b, const struct io_ops *ops, void *self)
{
	b->byte_ops = ops;
	b->byte_self = self;
}

/* Functions reset themselves: each is a device of the board. */
static void pci_bus_reset(void *self)
{
	struct pci_bus *b = self;

	b->address = 0;
}

static int pci_bus_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct pci_bus *b = self;

	b->conf = *(const struct pci_conf *)conf;
	return bus_add(env->pio, env->name, b->conf.port, 8, &ports_io, b, err);
}

static int pci_bus_loaded(void *self, struct err *err)
{
	const struct pci_bus *b = self;

	if ((b->address & ~(CFG_ENABLE | 0xfffffc)) != 0)
		return err_set(err, -EBADMSG, "pci: an address that cannot be");
	return 0;
}

static const struct state_field pci_bus_state[] = {
	STATE(1, struct pci_bus, address),
	{ 0 },
};

const struct dev_ops pci_dev = {
	.name = "pci",
	.size = sizeof(struct pci_bus),
	.state = pci_bus_state,
	.init = pci_bus_init,
	.reset = pci_bus_reset,
	.loaded = pci_bus_loaded,
};
