/*
 * dec21140.h - the legacy network adapter of a Generation 1 machine
 */
#ifndef CHIP_DEC21140_H
#define CHIP_DEC21140_H

#include "dev/dev.h"

struct port;

struct dec21140_conf {
	uint8_t devfn;
	const uint8_t *rom;		/* [borrowed] option ROM, NULL: none */
	uint32_t rom_len;
};
extern const struct dev_ops dec21140_dev;

#define DEC21140_ROM_MAX 0x40000u	/* what its ROM BAR decodes */

/*
 * Without the chip lock and while no vCPU runs: its cable leads to PORT, whose
 * address is the adapter's own from now on.  NULL: pulled out; when this
 * returns PORT hears no more of it.
 */
void dec21140_plug(void *self, struct port *port);

#endif
