/*
 * boot_priv.h - what the kernel loaders share
 */
#ifndef FW_BOOT_PRIV_H
#define FW_BOOT_PRIV_H

#include "fw/fw.h"

/* A host file, whole, in memory. */
struct blob {
	const char *path;	/* [borrowed] for messages */
	uint8_t *data;
	size_t n;
};

/* At most LIMIT bytes; a message that names the file otherwise. */
MUST_CHECK int blob_read(const char *path, uint64_t limit, struct blob *ret_b, struct err *err);
void blob_free(struct blob *b);

/*
 * Highest address A, page aligned, with [A, A + n) in one RAM entry of the
 * map and A + n <= TOP; 0 = none.
 */
uint64_t boot_place_high(const struct fw_boot_conf *c, uint64_t n, uint64_t floor, uint64_t top);

MUST_CHECK int boot_linux(struct gmem *m, const struct fw_boot_conf *c, const struct blob *kernel,
			  struct cpu_regs *regs, struct err *err);
MUST_CHECK int boot_multiboot(struct gmem *m, const struct fw_boot_conf *c,
			      const struct blob *kernel, struct cpu_regs *regs, struct err *err);
bool boot_is_linux(const struct blob *kernel);
bool boot_is_multiboot(const struct blob *kernel);

/* Low memory that the loaders use for what they hand over; below the first 640 KiB. */
#define BOOT_GDT 0x1000u
#define BOOT_PAGES 0x2000u	/* PML4, PDPT, four PDs */
#define BOOT_PARAMS 0x8000u	/* zero page, or multiboot information and its strings */
#define BOOT_CMDLINE 0x10000u
#define BOOT_CMDLINE_MAX 0x8000u

#endif
