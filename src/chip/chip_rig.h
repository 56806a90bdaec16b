/*
 * chip_rig.h - a bench to put a chip on, for its tests and the fuzzer
 *
 * Buses, a clock that moves by hand, one wire that remembers its level.
 */
#ifndef CHIP_CHIP_RIG_H
#define CHIP_CHIP_RIG_H

#include "chip/chips.h"
#include "chip/lapic.h"
#include "dev/pci.h"
#include "mem/gmem.h"

#include <stdlib.h>
#include <string.h>

struct rig {
	pthread_mutex_t lock;
	struct clock *clock;
	struct bus *pio, *mmio;
	struct gmem *mem;		/* NULL before rig_pci, as the bus is */
	void *pci;
	struct dev_env env;
	const struct dev_ops *ops;
	void *dev;
	bool level;			/* of the wire */
	unsigned rises;
};

static inline void rig_wire(void *self, unsigned pin, bool level)
{
	struct rig *r = self;

	(void)pin;
	if (level && !r->level)
		r->rises++;
	r->level = level;
}

static inline struct irq rig_irq(struct rig *r)
{
	return (struct irq){ .set = rig_wire, .self = r };
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	BUG_IF(clock_new_manual(&r->clock) < 0);
	BUG_IF(bus_new("pio", &r->lock, &r->pio) < 0);
	BUG_IF(bus_new("mmio", &r->lock, &r->mmio) < 0);
	r->env = (struct dev_env){ .name = "dut", .pio = r->pio, .mmio = r->mmio,
				   .clock = r->clock, .lock = &r->lock };
}

#define RIG_RAM (1 * MIB)

/* A PCI bus at CF8, and RAM for those who master it. */
static inline void rig_pci(struct rig *r)
{
	const struct gmem_range ram = { 0, RIG_RAM };

	BUG_IF(gmem_new(&ram, 1, &r->mem, NULL) < 0);
	r->env.mem = r->mem;
	BUG_IF(dev_new(&pci_dev, &r->env, &(struct pci_conf){ .port = 0xcf8 }, &r->pci, NULL) < 0);
	r->env.pci = r->pci;
}

static inline void rig_put(struct rig *r, const struct dev_ops *ops, const void *conf)
{
	r->ops = ops;
	BUG_IF(dev_new(ops, &r->env, conf, &r->dev, NULL) < 0);
}

static inline void rig_fini(struct rig *r)
{
	if (r->dev != NULL)
		dev_free(r->ops, r->dev);
	if (r->pci != NULL)
		dev_free(&pci_dev, r->pci);
	gmem_free(r->mem);
	bus_free(r->pio);
	bus_free(r->mmio);
	clock_free(r->clock);
	pthread_mutex_destroy(&r->lock);
}

static inline uint32_t rig_in(struct rig *r, uint16_t port, unsigned width)
{
	return (uint32_t)bus_read(r->pio, port, width);
}

static inline void rig_out(struct rig *r, uint16_t port, unsigned width, uint32_t val)
{
	bus_write(r->pio, port, width, val);
}

#endif
