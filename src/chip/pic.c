/*
 * pic.c - the pair of 8259A interrupt controllers of a PC
 *
 * Sixteen lines into one wire, which ends at LINT0 of the boot processor.
 * Nobody knows the vector until the processor acknowledges: then the
 * controller gives what is the most urgent at that moment, or, when the request
 * has gone meanwhile, its "spurious" line 7.
 *
 * A Generation 2 machine has none.  Test programs do, for they may run without
 * a local APIC; registers are then as a BIOS leaves them.
 *
 * A request by an edge is kept when the line falls again before the
 * acknowledge, which an 8259A would answer as spurious; virtual devices pulse.
 *
 * Spec     [8259A] Intel 231468; ELCR of [PIIX4] 4.2.8
 * Missing  buffered mode, and 8080 mode (ICW4 bit 0): calls, not vectors
 * Lock     chip
 */
#include "chip/chips.h"

#include <string.h>

#define CASCADE 2u			/* the first one's line from the second */

enum { ICW1_NEEDS_ICW4 = 1, ICW1_SINGLE = 2, ICW1_INIT = 0x10 };
enum { ICW4_AUTO_EOI = 2, ICW4_NESTED = 0x10 };
enum { OCW3_RIS = 1, OCW3_RR = 2, OCW3_POLL = 4, OCW3 = 8, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };

/* Of each controller one byte; all saved. */
struct pic {
	struct pic_conf conf;		/* [const] */
	uint8_t lines[2];		/* levels as the devices drive them */
	uint8_t edges[2];		/* requests by an edge that wait */
	uint8_t imr[2], isr[2];
	uint8_t level[2];		/* ELCR */
	uint8_t base[2];		/* vector of line 0 */
	uint8_t lowest[2];		/* line of the lowest priority */
	uint8_t icw1[2], icw4[2];
	uint8_t expects[2];		/* the next ICW at the odd port: 2, 3, 4; 0 = the mask */
	uint8_t read_isr[2], poll[2], special_mask[2], rotate[2];
};

static const struct irq *wire(const struct pic *p) { return &p->conf.intr; }

/* ---- priorities --------------------------------------------------------------------- */

/* How far LINE is from the highest priority. */
static unsigned rank(const struct pic *p, unsigned n, unsigned line)
{
	return (line - p->lowest[n] - 1) & 7;
}

/* The most urgent line of SET, or -1. */
static int first_of(const struct pic *p, unsigned n, uint8_t set)
{
	int best = -1;

	for (unsigned line = 0; line < 8; line++)
		if ((set >> line & 1) != 0 &&
		    (best < 0 || rank(p, n, line) < rank(p, n, (unsigned)best)))
			best = (int)line;
	return best;
}

static int pending(const struct pic *p, unsigned n);

static uint8_t requests(const struct pic *p, unsigned n)
{
	uint8_t irr = (uint8_t)(p->edges[n] | (p->lines[n] & p->level[n]));

	if (n == 1)
		return irr;
	irr &= (uint8_t)~(1u << CASCADE);
	return (uint8_t)(irr | (pending(p, 1) >= 0 ? 1u << CASCADE : 0));
}

/* The line controller N would answer with, or -1. */
static int pending(const struct pic *p, unsigned n)
{
	int line = first_of(p, n, requests(p, n) & (uint8_t)~p->imr[n]), busy;
	uint8_t isr = p->isr[n];

	/* Special mask: what is masked blocks nobody.  Nested: the cascade does not. */
	if (p->special_mask[n] != 0)
		isr &= (uint8_t)~p->imr[n];
	if (n == 0 && (p->icw4[0] & ICW4_NESTED) != 0)
		isr &= (uint8_t)~(1u << CASCADE);
	busy = first_of(p, n, isr);
	if (line < 0 || (busy >= 0 && rank(p, n, (unsigned)busy) <= rank(p, n, (unsigned)line)))
		return -1;
	return line;
}

static void drive(struct pic *p)
{
	irq_set(wire(p), pending(p, 0) >= 0);
}

/* One controller's acknowledge; the line, 7 when it has nothing any more. */
static unsigned acknowledge(struct pic *p, unsigned n)
{
	int line = pending(p, n);
	uint8_t bit;

	if (line < 0)
		return 7;
	bit = (uint8_t)(1u << line);
	p->edges[n] &= (uint8_t)~bit;
	if ((p->icw4[n] & ICW4_AUTO_EOI) == 0)
		p->isr[n] |= bit;
	else if (p->rotate[n] != 0)
		p->lowest[n] = (uint8_t)line;
	return (unsigned)line;
}

uint8_t pic_ack(void *self)
{
	struct pic *p = self;
	bool cascaded = pending(p, 0) == CASCADE;
	unsigned n = cascaded ? 1 : 0, line = acknowledge(p, 0);

	if (cascaded)
		line = acknowledge(p, 1);
	drive(p);
	return (uint8_t)(p->base[n] + line);
}

void pic_pin(void *self, unsigned pin, bool level)
{
	struct pic *p = self;
	unsigned n = pin / 8;
	uint8_t bit = (uint8_t)(1u << pin % 8);

	BUG_IF(pin >= 16);
	if (pin == CASCADE)		/* the cascade is inside */
		return;
	if (level && (p->lines[n] & bit) == 0 && (p->level[n] & bit) == 0)
		p->edges[n] |= bit;
	p->lines[n] = (uint8_t)(level ? p->lines[n] | bit : p->lines[n] & ~bit);
	drive(p);
}

/* ---- commands ----------------------------------------------------------------------- */

static void write_icw1(struct pic *p, unsigned n, uint8_t val)
{
	p->icw1[n] = val;
	p->icw4[n] = 0;
	p->edges[n] = p->imr[n] = p->isr[n] = 0;
	p->lowest[n] = 7;
	p->read_isr[n] = p->poll[n] = p->special_mask[n] = p->rotate[n] = 0;
	p->expects[n] = 2;
}

/* The top three bits: rotate, this line only, end of interrupt. */
static void write_ocw2(struct pic *p, unsigned n, uint8_t val)
{
	bool rotate = (val & 0x80) != 0, given = (val & 0x40) != 0, eoi = (val & 0x20) != 0;
	uint8_t isr = p->isr[n];
	int line = val & 7;

	if (!eoi && !given) {
		p->rotate[n] = rotate;
		return;
	}
	if (!eoi && !rotate)		/* no operation */
		return;
	if (p->special_mask[n] != 0)
		isr &= (uint8_t)~p->imr[n];
	if (!given)
		line = first_of(p, n, isr);
	if (line < 0)
		return;
	if (eoi)
		p->isr[n] &= (uint8_t)~(1u << line);
	if (rotate)
		p->lowest[n] = (uint8_t)line;
}

static void write_ocw3(struct pic *p, unsigned n, uint8_t val)
{
	if ((val & OCW3_ESMM) != 0)
		p->special_mask[n] = (val & OCW3_SMM) != 0;
	p->poll[n] = (val & OCW3_POLL) != 0;
	if ((val & OCW3_RR) != 0)
		p->read_isr[n] = (val & OCW3_RIS) != 0;
}

static void write_odd(struct pic *p, unsigned n, uint8_t val)
{
	switch (p->expects[n]) {
	case 2:
		p->base[n] = val & 0xf8;
		p->expects[n] = (p->icw1[n] & ICW1_SINGLE) == 0 ? 3 :
				(p->icw1[n] & ICW1_NEEDS_ICW4) != 0 ? 4 : 0;
		break;
	case 3:		/* how the two are wired, which is fixed */
		p->expects[n] = (p->icw1[n] & ICW1_NEEDS_ICW4) != 0 ? 4 : 0;
		break;
	case 4:
		p->icw4[n] = val;
		p->expects[n] = 0;
		break;
	default:
		p->imr[n] = val;
	}
}

static void pic_write(struct pic *p, unsigned n, uint32_t off, uint8_t val)
{
	if (off == 1)
		write_odd(p, n, val);
	else if ((val & ICW1_INIT) != 0)
		write_icw1(p, n, val);
	else if ((val & OCW3) != 0)
		write_ocw3(p, n, val);
	else
		write_ocw2(p, n, val);
	drive(p);
}

static uint8_t pic_read(struct pic *p, unsigned n, uint32_t off)
{
	if (p->poll[n] != 0) {		/* an acknowledge by hand */
		bool any = pending(p, n) >= 0;
		unsigned line = acknowledge(p, n);

		p->poll[n] = 0;
		drive(p);
		return (uint8_t)(any ? 0x80 | line : 0);
	}
	if (off == 1)
		return p->imr[n];
	return p->read_isr[n] != 0 ? p->isr[n] : requests(p, n);
}

/* ---- ports -------------------------------------------------------------------------- */

static uint64_t first_read(void *self, uint32_t off, unsigned width)
{
	(void)width;
	return pic_read(self, 0, off);
}

static void first_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)width;
	pic_write(self, 0, off, (uint8_t)val);
}

static uint64_t second_read(void *self, uint32_t off, unsigned width)
{
	(void)width;
	return pic_read(self, 1, off);
}

static void second_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)width;
	pic_write(self, 1, off, (uint8_t)val);
}

static uint64_t elcr_read(void *self, uint32_t off, unsigned width)
{
	const struct pic *p = self;

	(void)width;
	return p->level[off];
}

/* Timer, keyboard, cascade, clock and coprocessor are edges for ever. */
static void elcr_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct pic *p = self;

	(void)width;
	p->level[off] = (uint8_t)val & (off == 0 ? 0xf8 : 0xde);
	p->edges[off] &= (uint8_t)~p->level[off];
	drive(p);
}

static const struct {
	uint16_t port;
	struct io_ops io;
} windows[] = {
	{ 0x20, { IO_W1, first_read, first_write } },
	{ 0xa0, { IO_W1, second_read, second_write } },
	{ 0x4d0, { IO_W1, elcr_read, elcr_write } },
};

static void pic_reset(void *self)
{
	struct pic *p = self;

	for (unsigned n = 0; n < 2; n++) {
		write_icw1(p, n, ICW1_INIT | ICW1_NEEDS_ICW4);
		p->expects[n] = 0;
		p->level[n] = 0;
		p->base[n] = p->conf.base[n] & 0xf8;
		p->imr[n] = p->conf.mask[n];
	}
	drive(p);
}

static int pic_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct pic *p = self;
	int rc = 0;

	memcpy(&p->conf, conf, sizeof(p->conf));
	for (unsigned i = 0; i < ARRAY_LEN(windows) && rc == 0; i++)
		rc = bus_add(env->pio, env->name, windows[i].port, 2, &windows[i].io, p, err);
	return rc;
}

/* A stranger's file: lines are numbers below 8, and the wire follows. */
static int pic_loaded(void *self, struct err *err)
{
	struct pic *p = self;

	for (unsigned n = 0; n < 2; n++)
		if (p->lowest[n] > 7 || p->expects[n] > 4)
			return err_set(err, -EBADMSG, "pic: registers that cannot be");
	drive(p);
	return 0;
}

static const struct state_field pic_state[] = {
	STATE(1, struct pic, lines), STATE(2, struct pic, edges), STATE(3, struct pic, imr),
	STATE(4, struct pic, isr), STATE(5, struct pic, level), STATE(6, struct pic, base),
	STATE(7, struct pic, lowest), STATE(8, struct pic, icw1), STATE(9, struct pic, icw4),
	STATE(10, struct pic, expects), STATE(11, struct pic, read_isr),
	STATE(12, struct pic, poll), STATE(13, struct pic, special_mask),
	STATE(14, struct pic, rotate),
	{ 0 },
};

const struct dev_ops pic_dev = {
	.name = "pic",
	.size = sizeof(struct pic),
	.state = pic_state,
	.init = pic_init,
	.reset = pic_reset,
	.loaded = pic_loaded,
};
