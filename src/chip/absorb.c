/*
 * absorb.c - ports of hardware that is not there
 *
 * A Generation 2 machine has no PIC, PIT or PCI, but guests knock: they mask
 * the PIC that may be there, and write POST codes.  Nobody answers, and
 * nobody need log it.
 *
 * Lock     chip
 */
#include "chip/chips.h"

struct absorb {
	char nothing;
};

static uint64_t absorb_read(void *self, uint32_t off, unsigned width)
{
	(void)self, (void)off, (void)width;
	return UINT64_MAX;
}

static void absorb_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)self, (void)off, (void)width, (void)val;
}

static const struct io_ops absorb_io = {
	.widths = IO_W1 | IO_W2 | IO_W4,
	.read = absorb_read,
	.write = absorb_write,
};

static int absorb_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	const struct absorb_conf *c = conf;
	int rc = 0;

	for (unsigned i = 0; i < c->nr && rc == 0; i++)
		rc = bus_add(env->pio, env->name, c->ranges[i].port, c->ranges[i].len,
			     &absorb_io, self, err);
	return rc;
}

const struct dev_ops absorb_dev = {
	.name = "absorb",
	.size = sizeof(struct absorb),
	.init = absorb_init,
};
