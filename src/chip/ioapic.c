/*
 * ioapic.c - the I/O APIC: 24 lines to messages for local APICs
 *
 * An edge is a message when the line rises.  A level is a message while the
 * line is high, but only one at a time: the remote IRR bit stays until the
 * local APIC reports the end of that vector, and if the line is still high
 * then, the message goes out again.
 *
 * Two odd truths.  Version 0x11 has no EOI register, so Linux ends a stuck
 * level by turning the entry to edge and back, which clears remote IRR.  And
 * polarity is ignored: irq_set(true) means asserted, whatever the wire does.
 *
 * Spec     [82093AA] 3; [HV#1] extended destination: RTE bits 55:49 are bits
 *          14:8 of the destination
 * Missing  ExtINT and SMI delivery
 * Lock     chip
 */
#include "chip/chips.h"

#include "chip/lapic.h"

#define NR_PINS 24
#define WINDOW_LEN 0x20u		/* what Hyper-V decodes */
#define VERSION_VALUE ((NR_PINS - 1) << 16 | 0x11u)

#define RTE_VECTOR 0xffu
#define RTE_LOGICAL 0x800u
#define RTE_REMOTE_IRR 0x4000u
#define RTE_LEVEL 0x8000u
#define RTE_MASKED 0x10000u
#define RTE_LOW_BITS UINT64_C(0x1afff)	/* writable; not 12 and 14 */
#define RTE_HIGH_BITS (UINT64_C(0xfffe) << 48)

struct ioapic {
	struct lapic_set *lapics;	/* [const] */
	uint8_t select;
	uint32_t id;			/* register 0, bits 27:24 */
	uint32_t lines;			/* levels as the devices drive them */
	uint64_t rte[NR_PINS];
};

static bool is_level(uint64_t rte)
{
	unsigned mode = rte >> 8 & 7;

	return (rte & RTE_LEVEL) != 0 && mode <= 1;	/* fixed, lowest priority */
}

static void ioapic_send(struct ioapic *io, unsigned pin)
{
	uint64_t rte = io->rte[pin];
	uint32_t dest = (uint32_t)(rte >> 56 | (rte >> 49 & 0x7f) << 8);
	bool level = is_level(rte), accepted;

	accepted = lapic_deliver(io->lapics, dest, (rte & RTE_LOGICAL) != 0, rte >> 8 & 7,
				 rte & RTE_VECTOR, level);
	if (level && accepted)
		io->rte[pin] |= RTE_REMOTE_IRR;
}

/* Sends what a level entry owes. */
static void ioapic_level(struct ioapic *io, unsigned pin)
{
	uint64_t rte = io->rte[pin];

	if (is_level(rte) && (io->lines >> pin & 1) != 0 &&
	    (rte & (RTE_MASKED | RTE_REMOTE_IRR)) == 0)
		ioapic_send(io, pin);
}

void ioapic_pin(void *self, unsigned pin, bool level)
{
	struct ioapic *io = self;
	bool was;

	BUG_IF(pin >= NR_PINS);
	was = (io->lines >> pin & 1) != 0;
	if (level)
		io->lines |= 1u << pin;
	else
		io->lines &= ~(1u << pin);
	if (is_level(io->rte[pin]))
		ioapic_level(io, pin);
	else if (level && !was && (io->rte[pin] & RTE_MASKED) == 0)
		ioapic_send(io, pin);
}

void ioapic_eoi(void *self, uint8_t vector)
{
	struct ioapic *io = self;

	for (unsigned pin = 0; pin < NR_PINS; pin++) {
		if ((io->rte[pin] & RTE_REMOTE_IRR) == 0 || (io->rte[pin] & RTE_VECTOR) != vector)
			continue;
		io->rte[pin] &= ~(uint64_t)RTE_REMOTE_IRR;
		ioapic_level(io, pin);
	}
}

static uint32_t reg_read(const struct ioapic *io, uint8_t reg)
{
	unsigned pin = (reg - 0x10u) / 2;

	switch (reg) {
	case 0:
	case 2:		/* arbitration: the same number */
		return io->id;
	case 1:
		return VERSION_VALUE;
	}
	if (reg < 0x10 || pin >= NR_PINS)
		return 0;
	return (uint32_t)(io->rte[pin] >> (reg & 1) * 32);
}

static void reg_write(struct ioapic *io, uint8_t reg, uint32_t val)
{
	unsigned pin = (reg - 0x10u) / 2;
	uint64_t rte;

	if (reg == 0)
		io->id = val & 0x0f000000;
	if (reg < 0x10 || pin >= NR_PINS)
		return;
	rte = io->rte[pin];
	if ((reg & 1) != 0)
		rte = (rte & UINT32_MAX) | ((uint64_t)val << 32 & RTE_HIGH_BITS);
	else
		rte = (rte & ~RTE_LOW_BITS) | (val & RTE_LOW_BITS);
	if (!is_level(rte))
		rte &= ~(uint64_t)RTE_REMOTE_IRR;
	io->rte[pin] = rte;
	ioapic_level(io, pin);
}

static uint64_t ioapic_read(void *self, uint32_t off, unsigned width)
{
	const struct ioapic *io = self;
	uint32_t val = 0;

	(void)width;	/* the bus cuts */
	if (off < 0x4)
		val = io->select;
	else if (off >= 0x10 && off < 0x14)
		val = reg_read(io, io->select);
	return val >> (off & 3) * 8;
}

/* Some systems select by a byte; data is always written whole. */
static void ioapic_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct ioapic *io = self;

	if (off == 0)
		io->select = (uint8_t)val;
	else if (off == 0x10 && width == 4)
		reg_write(io, io->select, (uint32_t)val);
}

static const struct io_ops ioapic_io = {
	.widths = IO_W1 | IO_W2 | IO_W4,
	.read = ioapic_read,
	.write = ioapic_write,
};

static void ioapic_reset(void *self)
{
	struct ioapic *io = self;

	io->select = 0;
	io->id = 0;
	for (unsigned pin = 0; pin < NR_PINS; pin++)
		io->rte[pin] = RTE_MASKED;
}

static int ioapic_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	const struct ioapic_conf *c = conf;
	struct ioapic *io = self;

	io->lapics = c->lapics;
	return bus_add(env->mmio, env->name, c->base, WINDOW_LEN, &ioapic_io, io, err);
}

static int ioapic_loaded(void *self, struct err *err)
{
	const struct ioapic *io = self;
	const uint64_t known = RTE_LOW_BITS | RTE_HIGH_BITS | RTE_REMOTE_IRR;

	for (unsigned pin = 0; pin < NR_PINS; pin++)
		if ((io->rte[pin] & ~known) != 0 ||
		    ((io->rte[pin] & RTE_REMOTE_IRR) != 0 && !is_level(io->rte[pin])))
			return err_set(err, -EBADMSG, "ioapic: entry %u is impossible: %#llx", pin,
				       (unsigned long long)io->rte[pin]);
	if ((io->id & ~0x0f000000u) != 0 || io->lines >> NR_PINS != 0)
		return err_set(err, -EBADMSG, "ioapic: identity or lines are impossible");
	return 0;
}

static const struct state_field ioapic_state[] = {
	STATE(1, struct ioapic, select),
	STATE(2, struct ioapic, id),
	STATE(3, struct ioapic, lines),
	STATE(4, struct ioapic, rte),
	{ 0 },
};

const struct dev_ops ioapic_dev = {
	.name = "ioapic",
	.size = sizeof(struct ioapic),
	.state = ioapic_state,
	.init = ioapic_init,
	.reset = ioapic_reset,
	.loaded = ioapic_loaded,
};
