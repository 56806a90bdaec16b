/*
 * piix4.c - the PIIX4 ISA bridge: PCI interrupts to ISA ones, and resets
 *
 * PCI function 00:07.0. The four PCI interrupt lines go where registers 60 to
 * 63 say, each to one of the sixteen ISA interrupts or nowhere. A byte written
 * to port B2 is a request to the system's management code, which this machine
 * does not have: the board is told instead.
 *
 * Two kinds of reset. Port CF9 with its bit 1 resets the machine; without it, port 92,
 * the keyboard controller and a shutdown only send the processors to the BIOS,
 * which looks into CMOS memory for where to go: so 286 programs left protected
 * mode. Devices and memory stay as they are.
 *
 * Line A20 is one, with a switch in port 92 and one in the keyboard controller:
 * it stands as it was moved last, and both show it. (On Intel's own boards it
 * passes when either is on; but BIOSes of our kind move one and ask one.) A
 * reset of the processor opens it, or there would be no BIOS to go to.
 *
 * An x87 error, with CR0.NE clear: FERR# raises interrupt 13, whose handler
 * writes port F0; from then until FERR# goes IGNNE# lets the x87 go on. The
 * register that switches this off (4E bit 5) is not asked, as SeaBIOS forgets it.
 *
 * Spec     [PIIX4] Intel 290562 4.1, 4.2; reference/machines.md 2.2
 * Missing  port F1; SERIRQ, distributed DMA, the decode enables (every device
 *          of the board is always decoded)
 * Lock     chip
 */
#include "chip/chips.h"

#include "dev/pci.h"

#include <string.h>

#define NR_IRQ 16u
#define NR_PIRQ 4u
#define PIRQRC 0x60u
#define PIRQ_OFF 0x80u
#define ROUTABLE 0xdef8u		/* 3 to 7, 9 to 12, 14, 15 */
#define GENCFG 0xb0u

enum { RC_HARD = 2, RC_CPU = 4, RC_FULL = 8 };	/* CF9 */
enum { P92_INIT = 1, P92_A20 = 2 };

struct piix4 {
	struct piix4_conf conf;		/* [const] */
	struct pci_func pci;
	uint8_t pirq[NR_PIRQ];		/* levels of the PCI lines; derived: the bus drives them */
	uint16_t isa;			/* levels that we drive; derived */
	uint8_t reset_control, port92, apmc, apms;
	bool a20;
	bool ferr, irq13, ignne;	/* the lines */
};

static void config_written(void *self, unsigned off, unsigned width);

static const struct pci_reg regs[] = {
	{ .off = 0x4c, .width = 1, .reset = 0x4d, .writable = 0xff },
	{ .off = 0x4e, .width = 2, .reset = 0x0003, .writable = 0x07ff },
	{ .off = PIRQRC, .width = 4, .reset = 0x80808080, .writable = 0x8f8f8f8f },
	{ .off = 0x64, .width = 1, .reset = 0x10, .writable = 0xff },
	{ .off = 0x69, .width = 1, .reset = 0x02, .writable = 0xfe },
	{ .off = 0x6a, .width = 2, .writable = 0x80de },
	{ .off = 0x76, .width = 2, .reset = 0x0404, .writable = 0x8f8f },
	{ .off = 0x80, .width = 1, .writable = 0x7f },
	{ .off = 0x82, .width = 1, .writable = 0x0f },
	{ .off = 0x90, .width = 2, .writable = 0xffff },
	{ .off = 0x92, .width = 4, .writable = 0xffc0ffc0 },
	{ .off = GENCFG, .width = 4, .writable = 0xffffffff },
	{ .off = 0xcb, .width = 1, .reset = 0x21, .writable = 0x3d },
	{ 0 },
};

static const struct pci_desc desc = {
	.vendor = 0x8086, .device = 0x7110, .subsystem_vendor = 0x1414,
	.class = 0x060100, .revision = 3, .header_type = 0x80,
	.command = 0x0007, .command_mask = 0x0108, .status = 0x0200,
	.regs = regs, .written = config_written,
};

/* ---- interrupts ----------------------------------------------------------------------- */

static void route(struct piix4 *p)
{
	uint16_t now = 0, changed;

	for (unsigned i = 0; i < NR_PIRQ; i++) {
		uint8_t to = p->pci.cfg[PIRQRC + i];

		if (p->pirq[i] && (to & PIRQ_OFF) == 0)
			now |= (uint16_t)(1u << (to & 15));
	}
	now &= ROUTABLE;
	changed = now ^ p->isa;
	p->isa = now;
	for (unsigned i = 0; i < NR_IRQ; i++)
		if ((changed >> i & 1) != 0)
			irq_set(&p->conf.isa[i], (now >> i & 1) != 0);
}

void piix4_pirq(void *self, unsigned pin, bool level)
{
	struct piix4 *p = self;

	BUG_IF(pin >= NR_PIRQ);
	p->pirq[pin] = level;
	route(p);
}

static void config_written(void *self, unsigned off, unsigned width)
{
	if (off < PIRQRC + NR_PIRQ && off + width > PIRQRC)
		route(self);
}

static uint64_t cf9_read(void *self, uint32_t off, unsigned width)
{
	(void)width;
	return off == 1 ? ((struct piix4 *)self)->reset_control : 0xff;
}

/* ---- lines of the processors ----------------------------------------------------------- */

void piix4_set_a20(void *self, bool on)
{
	struct piix4 *p = self;
	bool was = p->a20;

	p->a20 = on;
	if (on != was && p->conf.a20 != NULL)
		p->conf.a20(p->conf.arg, on);
}

bool piix4_a20(const void *self)
{
	return ((const struct piix4 *)self)->a20;
}

void piix4_init_processors(void *self)
{
	struct piix4 *p = self;

	piix4_set_a20(p, true);
	p->conf.init(p->conf.arg);
}

static void set_irq13(struct piix4 *p, bool level)
{
	p->irq13 = level;
	irq_set(&p->conf.isa[13], level);
}

bool piix4_ferr(void *self, bool error)
{
	struct piix4 *p = self;
	bool was = p->ferr;

	p->ferr = error;
	if (!error)
		p->ignne = false;
	else if (!was)
		set_irq13(p, true);
	return p->ignne;
}

static uint64_t f0_read(void *self, uint32_t off, unsigned width)
{
	(void)self, (void)off, (void)width;
	return 0xff;
}

static void f0_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct piix4 *p = self;

	(void)width, (void)val;
	if (off != 0)
		return;
	set_irq13(p, false);
	p->ignne = p->ferr;
}

/* ---- ports ---------------------------------------------------------------------------- */

/* The reset comes as the processor's bit rises. */
static void cf9_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct piix4 *p = self;
	uint8_t was = p->reset_control;

	(void)width;
	if (off != 1)
		return;
	p->reset_control = val & (RC_HARD | RC_CPU | RC_FULL);
	if ((val & RC_CPU) == 0 || (was & RC_CPU) != 0)
		return;
	if ((val & RC_HARD) != 0)
		p->conf.reset(p->conf.arg);
	else
		piix4_init_processors(p);
}

static uint64_t port92_read(void *self, uint32_t off, unsigned width)
{
	const struct piix4 *p = self;

	(void)off, (void)width;
	return (uint64_t)(p->port92 | (p->a20 ? P92_A20 : 0));
}

static void port92_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct piix4 *p = self;
	uint8_t was = p->port92;

	(void)off, (void)width;
	p->port92 = val & P92_INIT;
	piix4_set_a20(p, (val & P92_A20) != 0);
	if ((p->port92 & P92_INIT) != 0 && (was & P92_INIT) == 0)
		piix4_init_processors(p);
}

static uint64_t apm_read(void *self, uint32_t off, unsigned width)
{
	const struct piix4 *p = self;

	(void)width;
	return off == 0 ? p->apmc : p->apms;
}

static void apm_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct piix4 *p = self;

	(void)width;
	if (off == 1) {
		p->apms = (uint8_t)val;
		return;
	}
	if (p->conf.apm != NULL)
		p->conf.apm(p->conf.arg, p->apmc, (uint8_t)val);
	p->apmc = (uint8_t)val;
}

static const struct io_ops cf9_io = { IO_W1, cf9_read, cf9_write };
static const struct io_ops port92_io = { IO_W1, port92_read, port92_write };
static const struct io_ops f0_io = { IO_W1, f0_read, f0_write };
static const struct io_ops apm_io = { IO_W1, apm_read, apm_write };

/* The PCI functions take their interrupts back themselves. */
static void piix4_reset(void *self)
{
	struct piix4 *p = self;

	p->reset_control = p->port92 = p->apmc = p->apms = 0;
	piix4_set_a20(p, true);
	p->ferr = p->ignne = false;
	set_irq13(p, false);
	pci_reset(&p->pci);
	route(p);
}

static int piix4_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct piix4 *p = self;
	int rc;

	memcpy(&p->conf, conf, sizeof(p->conf));
	rc = bus_add(env->pio, env->name, 0x92, 1, &port92_io, p, err);
	if (rc == 0)
		rc = bus_add(env->pio, env->name, 0xf0, 2, &f0_io, p, err);
	if (rc == 0)
		rc = bus_add(env->pio, env->name, 0xb2, 2, &apm_io, p, err);
	if (rc == 0)
		rc = pci_add(env->pci, p->conf.devfn, &desc, env, p, &p->pci, err);
	if (rc == 0)
		pci_byte_port(env->pci, &cf9_io, p);
	return rc;
}

static int piix4_loaded(void *self, struct err *err)
{
	struct piix4 *p = self;
	int rc;

	if ((p->reset_control & ~(RC_HARD | RC_CPU | RC_FULL)) != 0 ||
	    (p->port92 & ~P92_INIT) != 0 || (p->ignne && !p->ferr))
		return err_set(err, -EBADMSG, "piix4: registers that cannot be");
	rc = pci_loaded(&p->pci, err);
	if (rc < 0)
		return rc;
	if (p->conf.a20 != NULL)
		p->conf.a20(p->conf.arg, p->a20);
	set_irq13(p, p->irq13);
	route(p);
	return 0;
}

static const struct state_field piix4_state[] = {
	PCI_STATE(1, struct piix4, pci),
	STATE(3, struct piix4, reset_control), STATE(4, struct piix4, port92),
	STATE(5, struct piix4, apmc), STATE(6, struct piix4, apms),
	STATE(7, struct piix4, a20), STATE(8, struct piix4, ferr),
	STATE(9, struct piix4, irq13), STATE(10, struct piix4, ignne),
	{ 0 },
};

const struct dev_ops piix4_dev = {
	.name = "piix4",
	.size = sizeof(struct piix4),
	.state = piix4_state,
	.init = piix4_init,
	.reset = piix4_reset,
	.loaded = piix4_loaded,
};
