/*
 * superio.c - the configuration registers of a W83977 Super-I/O chip
 *
 * The chip that carries the serial ports, the floppy controller and the
 * keyboard controller of the board. 87 twice to its index port opens the
 * configuration, AA closes it; in between the index and data port reach global
 * registers and those of the chosen logical device. Closed, both are ports of
 * the floppy controller that AT-compatible ones leave empty.
 *
 * What a guest writes is kept and reads back; the devices stay where the board
 * has put them.
 *
 * Spec     Winbond W83977TF/ATF 8; reference/machines.md 2.2
 * Missing  any effect
 * Lock     chip
 */
#include "chip/chips.h"

#include <string.h>

#define NR_DEV 12u
#define FIRST_OWN 0x30u			/* below: global registers */

enum { KEY = 0x87, LOCK = 0xaa, REG_LDN = 0x07, REG_ID = 0x20, REG_REVISION = 0x21 };
enum { CLOSED, HALF_OPEN, OPEN };

struct superio {
	struct superio_conf conf;	/* [const] */
	uint8_t state, index;
	uint8_t global[FIRST_OWN];
	uint8_t dev[NR_DEV][256 - FIRST_OWN];
};

static uint8_t *reg(struct superio *s, uint8_t index)
{
	if (index < FIRST_OWN)
		return &s->global[index];
	if (s->global[REG_LDN] >= NR_DEV)
		return NULL;
	return &s->dev[s->global[REG_LDN]][index - FIRST_OWN];
}

static uint64_t superio_read(void *self, uint32_t off, unsigned width)
{
	struct superio *s = self;
	const uint8_t *r = reg(s, s->index);

	(void)width;
	if (s->state != OPEN || off == 0 || r == NULL)
		return 0xff;
	return *r;
}

static void superio_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct superio *s = self;
	uint8_t *r = reg(s, s->index);

	(void)width;
	if (off == 0) {
		if (s->state != OPEN)
			s->state = val != KEY ? CLOSED : s->state == CLOSED ? HALF_OPEN : OPEN;
		else if (val == LOCK)
			s->state = CLOSED;
		else
			s->index = (uint8_t)val;
		return;
	}
	if (s->state == OPEN && r != NULL && s->index != REG_ID && s->index != REG_REVISION)
		*r = (uint8_t)val;
}

static const struct io_ops superio_io = { IO_W1, superio_read, superio_write };

/* Where a device answers and on which interrupt, for who reads it. */
static void place(struct superio *s, unsigned ldn, uint16_t port, uint8_t irq, uint8_t dma)
{
	uint8_t *d = s->dev[ldn];

	d[0] = 1;			/* on */
	d[0x60 - FIRST_OWN] = (uint8_t)(port >> 8);
	d[0x61 - FIRST_OWN] = (uint8_t)port;
	d[0x70 - FIRST_OWN] = irq;
	d[0x74 - FIRST_OWN] = dma;
}

static void superio_reset(void *self)
{
	struct superio *s = self;

	s->state = CLOSED;
	s->index = 0;
	memset(s->global, 0, sizeof(s->global));
	memset(s->dev, 0, sizeof(s->dev));
	s->global[REG_ID] = 0x97;
	s->global[REG_REVISION] = 0x71;
	s->global[0x22] = 0xff;
	place(s, 0, 0x3f0, 6, 2);
	place(s, 2, 0x3f8, 4, 4);
	place(s, 3, 0x2f8, 3, 4);
	place(s, 5, 0x60, 1, 4);
	s->dev[5][0x63 - FIRST_OWN] = 0x64;
	s->dev[5][0x72 - FIRST_OWN] = 12;
}

static int superio_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct superio *s = self;
	int rc = 0;

	s->conf = *(const struct superio_conf *)conf;
	for (unsigned i = 0; i < ARRAY_LEN(s->conf.port) && rc == 0; i++)
		rc = bus_add(env->pio, env->name, s->conf.port[i], 2, &superio_io, s, err);
	return rc;
}

static int superio_loaded(void *self, struct err *err)
{
	const struct superio *s = self;

	if (s->state > OPEN)
		return err_set(err, -EBADMSG, "superio: neither open nor closed");
	return 0;
}

static const struct state_field superio_state[] = {
	STATE(1, struct superio, state), STATE(2, struct superio, index),
	STATE(3, struct superio, global), STATE(4, struct superio, dev),
	{ 0 },
};

const struct dev_ops superio_dev = {
	.name = "superio",
	.size = sizeof(struct superio),
	.state = superio_state,
	.init = superio_init,
	.reset = superio_reset,
	.loaded = superio_loaded,
};
