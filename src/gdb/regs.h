/*
 * regs.h - a register file as GDB numbers it
 */
#ifndef GDB_REGS_H
#define GDB_REGS_H

#include "cpu/cpu.h"

#define GDB_REG_BYTES 16u		/* of the widest */

struct gdb_reg {
	const char *name, *type;
	uint16_t off;			/* in struct cpu_regs */
	uint8_t held, bytes;		/* how wide there, and on the wire */
	uint8_t xstate;			/* bit of XSTATE_BV it belongs to, 0 = none */
	uint8_t how;			/* HOW_* in regs.c */
};

unsigned gdb_nr_regs(void);
const struct gdb_reg *gdb_reg(unsigned nr);	/* nr < gdb_nr_regs() */
/* The register's bytes in R, little-endian. */
void gdb_reg_get(const struct gdb_reg *d, const struct cpu_regs *r, uint8_t dst[GDB_REG_BYTES]);
/* -EPERM: read only; -EINVAL: the guest has no such state. */
MUST_CHECK int gdb_reg_set(const struct gdb_reg *d, struct cpu_regs *r, const uint8_t *src);
/* Bytes [off, off + n) of target.xml; how many there are, less than N at its end. */
size_t gdb_target_xml(uint64_t off, char *dst, size_t n);

#endif
