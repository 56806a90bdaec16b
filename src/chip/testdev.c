/*
 * testdev.c - what test programs expect of the machine under them
 *
 * kvm-unit-tests were written for QEMU's test devices: an exit code at port
 * F4, a word at E0 that remembers, "drop this page" at E4 (nothing here maps
 * pages, so nothing to drop), 24 interrupt lines at 2000, 64 KiB at FF000000
 * that are registers but behave like memory, the numbers of processors and
 * bytes through a selector at 510, and at 3000 a way to raise a synthetic
 * interrupt source or to connect one to a hypercall.  Only with
 * --test-devices: a real guest must not be able to end its machine so.
 *
 * Spec     reference/cpu.md 4.1
 * Lock     chip
 */
#include "chip/chips.h"

#include <string.h>

#define IORAM_BASE UINT64_C(0xff000000)
#define IORAM_LEN 0x10000u

struct testdev {
	struct testdev_conf conf;	/* [const] */
	uint8_t latch[4];
	uint16_t cfg_key;
	uint32_t cfg_at;		/* bytes read of it */
	uint8_t ioram[IORAM_LEN];
};

static uint64_t ones_read(void *self, uint32_t off, unsigned width)
{
	(void)self, (void)off, (void)width;
	return UINT64_MAX;
}

static void exit_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct testdev *t = self;

	(void)width;
	if (off == 0 && t->conf.exit != NULL)
		t->conf.exit(t->conf.arg, (uint32_t)val);
}

static uint64_t latch_read(void *self, uint32_t off, unsigned width)
{
	const struct testdev *t = self;
	uint32_t val = 0;

	memcpy(&val, t->latch + off, width);
	return val;
}

static void latch_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct testdev *t = self;

	memcpy(t->latch + off, &val, width);
}

static void drop_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)self, (void)off, (void)width, (void)val;
}

static void line_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct testdev *t = self;

	(void)width;
	irq_set(&t->conf.lines[off], val != 0);
}

enum { CFG_MEMORY = 3, CFG_CPUS = 5, CFG_MAX_CPUS = 0xf };

static uint64_t cfg_value(const struct testdev *t)
{
	switch (t->cfg_key) {
	case CFG_MEMORY:
		return t->conf.memory;
	case CFG_CPUS:
	case CFG_MAX_CPUS:
		return t->conf.cpus;
	default:
		return 0;
	}
}

static void cfg_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct testdev *t = self;

	if (off != 0 || width != 2)
		return;
	t->cfg_key = (uint16_t)val;
	t->cfg_at = 0;
}

static uint64_t cfg_read(void *self, uint32_t off, unsigned width)
{
	struct testdev *t = self;

	if (off != 1 || width != 1)
		return UINT64_MAX;
	if (t->cfg_at >= 8)		/* past the end reads as zero */
		return 0;
	return cfg_value(t) >> 8 * t->cfg_at++ & 0xff;
}

/* The word: connection 31:24, what to do 23:16, processor 15:8, source 7:0. */
static void synic_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	const struct testdev *t = self;

	(void)off, (void)width;
	if (t->conf.synic != NULL)
		t->conf.synic(t->conf.arg, (enum testdev_synic)(val >> 16 & 0xff),
			      (uint8_t)(val >> 8), (uint8_t)val, (uint8_t)(val >> 24));
}

static uint64_t ioram_read(void *self, uint32_t off, unsigned width)
{
	const struct testdev *t = self;
	uint64_t val = 0;

	memcpy(&val, t->ioram + off, width);
	return val;
}

static void ioram_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct testdev *t = self;

	memcpy(t->ioram + off, &val, width);
}

#define UP_TO_4 (IO_W1 | IO_W2 | IO_W4)

static const struct testdev_window {
	bool mmio;
	uint64_t base, len;
	struct io_ops io;
} windows[] = {
	{ false, 0xf4, 4, { UP_TO_4, ones_read, exit_write } },
	{ false, 0xe0, 4, { UP_TO_4, latch_read, latch_write } },
	{ false, 0xe4, 4, { UP_TO_4, ones_read, drop_write } },
	{ false, 0x510, 2, { IO_W1 | IO_W2, cfg_read, cfg_write } },
	{ false, 0x2000, 24, { IO_W1, ones_read, line_write } },
	{ false, 0x3000, 4, { IO_W4, ones_read, synic_write } },
	{ true, IORAM_BASE, IORAM_LEN, { UP_TO_4 | IO_W8, ioram_read, ioram_write } },
};

static void testdev_reset(void *self)
{
	struct testdev *t = self;

	memset(t->latch, 0, sizeof(t->latch));
	memset(t->ioram, 0, sizeof(t->ioram));
	t->cfg_key = 0;
	t->cfg_at = 0;
	for (unsigned i = 0; i < ARRAY_LEN(t->conf.lines); i++)
		irq_set(&t->conf.lines[i], false);
}

static int testdev_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct testdev *t = self;
	int rc = 0;

	memcpy(&t->conf, conf, sizeof(t->conf));
	for (unsigned i = 0; i < ARRAY_LEN(windows) && rc == 0; i++)
		rc = bus_add(windows[i].mmio ? env->mmio : env->pio, env->name, windows[i].base,
			     windows[i].len, &windows[i].io, t, err);
	return rc;
}

static const struct state_field testdev_state[] = {
	STATE(1, struct testdev, latch),
	STATE(2, struct testdev, ioram),
	STATE(3, struct testdev, cfg_key),
	STATE(4, struct testdev, cfg_at),
	{ 0 },
};

const struct dev_ops testdev_dev = {
	.name = "testdev",
	.size = sizeof(struct testdev),
	.state = testdev_state,
	.init = testdev_init,
	.reset = testdev_reset,
};
