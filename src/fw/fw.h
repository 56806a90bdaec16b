/*
 * fw.h - the host side of firmware: tables and loaders
 *
 * Writes ACPI, SMBIOS and a kernel straight into guest memory.  Every address
 * comes from the board.
 */
#ifndef FW_FW_H
#define FW_FW_H

#include "base/err.h"
#include "base/le.h"
#include "cpu/cpu.h"
#include "mem/gmem.h"

struct fw_acpi_conf {
	unsigned nr_cpus;
	uint64_t rsdp_gpa;		/* 0xe0000..0xfffff, 16-byte aligned; tables follow it */
	uint64_t limit_gpa;		/* end of the room for tables */
	uint64_t mmio_low, mmio_low_len, mmio_high, mmio_high_len;
	bool com1, com2;
	bool floppy, no_vga;		/* Generation 1 */
	uint32_t lapic_gpa, ioapic_gpa;
	uint16_t pm_base;		/* PM block, 0x400 */
	struct guid generation_id;	/* stored in the first bytes of a page after the tables */
};
/* Generation 2 tables: RSDP, XSDT, FADT, DSDT, FACS, MADT, WAET.  *ret_end = first free byte. */
MUST_CHECK int fw_acpi_gen2(struct gmem *m, const struct fw_acpi_conf *conf, uint64_t *ret_end,
			    struct err *err);

/* Generation 1, the same but for what the board and its BIOS are. */
MUST_CHECK int fw_acpi_gen1(struct gmem *m, const struct fw_acpi_conf *conf, uint64_t *ret_end,
			    struct err *err);

struct fw_smbios_conf {
	uint64_t gpa, limit_gpa;	/* entry point (_SM3_), in 0xf0000..0xfffff */
	struct guid uuid;
	unsigned nr_cpus;
	uint64_t memory;
	const char *serial;
};
MUST_CHECK int fw_smbios(struct gmem *m, const struct fw_smbios_conf *conf, struct err *err);

/* For a BIOS that places them itself: SMBIOS 2.8, the anchor without an address. */
#define FW_SMBIOS_MAX 4096u
struct fw_smbios_files {
	uint8_t anchor[31];
	uint8_t tables[FW_SMBIOS_MAX];
	uint32_t len;			/* of tables */
};
void fw_smbios_gen1(const struct fw_smbios_conf *conf, struct fw_smbios_files *ret_f);

/* A kernel for a BIOS: parts, where each goes, and the option ROM that brings them there. */
#define FW_LINUXROM_LEN 1024u
struct fw_part {
	uint32_t gpa;
	const void *data;
	uint32_t len;
};
struct fw_linux16 {
	struct fw_part setup, kernel, cmdline, initrd;	/* cmdline is the caller's text */
	uint8_t rom[FW_LINUXROM_LEN];
	uint8_t *setup_bytes, *initrd_bytes;		/* [owned] */
};
/* Nothing above TOP.  One sentence in *err; fini in any case. */
MUST_CHECK int fw_linux16(const char *kernel, const char *initrd, const char *cmdline, uint64_t top,
			  struct fw_linux16 *ret_l, struct err *err);
void fw_linux16_fini(struct fw_linux16 *l);

/* A whole file of at most LIMIT bytes; free *ret_data. */
MUST_CHECK int fw_read_file(const char *path, uint64_t limit, uint8_t **ret_data, size_t *ret_n,
			    struct err *err);

/*
 * An image to boot from the network with (iPXE), in two parts that the ROM asks the
 * configuration device for.
 */
#define FW_NETROM_LEN 512u
struct fw_netboot_conf {
	uint16_t vendor, device;	/* of the adapter whose ROM it is */
	uint16_t setup_key, rest_key;	/* of the two parts */
};
struct fw_netboot {
	uint8_t *image;			/* free it */
	size_t len;
	uint32_t setup_len;		/* the first part's */
	uint8_t rom[FW_NETROM_LEN];
};
MUST_CHECK int fw_netboot_read(const char *path, const struct fw_netboot_conf *conf,
			       struct fw_netboot *ret_b, struct err *err);

enum fw_e820 { FW_E820_RAM = 1, FW_E820_RESERVED = 2, FW_E820_ACPI = 3 };

struct fw_mem {
	uint64_t gpa, len;
	enum fw_e820 type;
};

struct fw_boot_conf {
	const char *kernel, *initrd, *cmdline;	/* initrd, cmdline may be NULL */
	/* multiboot modules "path args", NULL-terminated; may be NULL */
	const char *const *modules;
	const struct fw_mem *map;
	size_t nr_map;
	uint64_t rsdp_gpa;
};
/*
 * Loads a bzImage by the 64-bit boot protocol, or a multiboot 1 ELF, and sets
 * *regs to enter it (from reset values).  Found by content.
 */
MUST_CHECK int fw_boot(struct gmem *m, const struct fw_boot_conf *conf, struct cpu_regs *regs,
		       struct err *err);

#endif
