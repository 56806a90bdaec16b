/*
 * bios.c - the Generation 1 machine's BIOS, and all that it asks of the host
 *
 * The BIOS is a file (SeaBIOS from Debian's package unless another is given) and
 * is ROM below 4 GiB. What it must know about the machine it reads from the
 * configuration device (chip/fwcfg.c): the memory map, how many processors,
 * what to boot from, where its tables are. ACPI tables lie in RAM at the top
 * of what is below 4 GiB, ready for use; only their root goes through the
 * BIOS, which has to copy it to where guests look.
 *
 * CMOS memory says the same to those who ask there, as on a PC.
 *
 * Spec     reference/firmware.md 5.1; SeaBIOS src/fw/paravirt.c for what it reads;
 *          [RBIL] CMOS.LST for the bytes of CMOS memory
 * Missing  NUMA
 * Lock     none; constant once the machine is built, tables are made while
 *          no vCPU runs
 */
#include "vm/vm_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEABIOS "/usr/share/seabios/bios-256k.bin"
#define SEAVGABIOS "/usr/share/seabios/vgabios-stdvga.bin"
#define IPXE "/usr/lib/ipxe/ipxe.lkrn"
#define MAX_BIOS (256 * KIB)
#define MAX_ITEMS 40u
#define BIOS_ZONE (BIOS_TABLES_LEN + MIB)	/* at the end of RAM: tables, and what SeaBIOS keeps */
#define MAX_ORDER 512u
#define LINUX_ROM "genroms/linuxboot.bin"
#define KEY_UUID 0x02u
#define KEY_MEMORY 0x03u
#define KEY_NOGRAPHIC 0x04u
#define KEY_NR_CPUS 0x05u
#define KEY_BOOT_MENU 0x0eu
#define KEY_MAX_CPUS 0x0fu
#define KEY_NET_REST 0x8011u		/* not those of a kernel of the host, which may be there too */
#define KEY_NET_SETUP 0x8018u
#define KEY_IRQ0_OVERRIDE 0x8002u

struct e820_row {
	le64 gpa, len;
	le32 type;
};
_Static_assert(sizeof(struct e820_row) == 20, "as SeaBIOS reads it");

#define LOADER_ALLOCATE 1u
#define LOADER_FSEG 2u

struct loader_row {			/* romfile_loader: where a file goes */
	le32 command;
	char file[56];
	le32 align;
	uint8_t zone;
	uint8_t rsvd0[63];
};
_Static_assert(sizeof(struct loader_row) == 128, "as SeaBIOS reads it");

struct bios {
	uint8_t *rom, *vga_rom;		/* [owned] */
	size_t rom_len, vga_rom_len;
	struct fw_netboot net;		/* image NULL: nothing to boot from the network */
	uint8_t cmos[RTC_NR_CMOS];
	struct e820_row e820[VM_MAX_MAP];
	le64 memory, forever, sercon;
	le16 nr_cpus, menu;
	char boot_order[MAX_ORDER];
	size_t boot_order_len;
	uint8_t irq0_override;
	struct acpi_rsdp rsdp;		/* made with the tables */
	struct loader_row loader;
	struct fw_smbios_files smbios;
	struct fw_linux16 linux16;	/* [owned] of conf.kernel */
	le32 linux_num[8];		/* its parts' places and sizes */
	struct fwcfg_item item[MAX_ITEMS];
	unsigned nr_items;
};

/* ---- files ---------------------------------------------------------------------------- */

static int read_rom(struct bios *b, const char *path, struct err *err)
{
	int rc = fw_read_file(path == NULL ? SEABIOS : path, MAX_BIOS, &b->rom, &b->rom_len, err);

	if (rc == -ENOENT && path == NULL)
		return err_set(err, rc, "generation 1: no BIOS at " SEABIOS
			       "; install the package seabios, or give --firmware FILE");
	if (rc < 0)
		return rc;
	if (b->rom_len < 64 * KIB || (b->rom_len & (b->rom_len - 1)) != 0)
		return err_set(err, -EINVAL, "%s: %zu bytes, expected a BIOS of 64, 128 or 256 KiB",
			       path == NULL ? SEABIOS : path, b->rom_len);
	return 0;
}

static int read_vga_rom(struct bios *b, struct err *err)
{
	int rc = fw_read_file(SEAVGABIOS, VGA_ROM_LEN, &b->vga_rom, &b->vga_rom_len, err);

	if (rc == -ENOENT)
		return err_set(err, rc, "generation 1: no VGA BIOS at " SEAVGABIOS
			       "; install the package seabios, or say --vga off");
	return rc;
}

/* Without the image the adapter is one to use, and none to boot from. */
static int read_net_rom(struct bios *b, struct err *err)
{
	const struct fw_netboot_conf conf = {
		.vendor = 0x1011, .device = 0x0009, .setup_key = KEY_NET_SETUP, .rest_key = KEY_NET_REST,
	};
	int rc = fw_netboot_read(IPXE, &conf, &b->net, err);

	if (rc != -ENOENT)
		return rc;
	log_warn("bios", "no " IPXE ": nothing boots from the network; install the package ipxe");
	return 0;
}

int bios_open(struct vm *vm, struct err *err)
{
	struct bios *b;
	int rc;

	if (vm->board->generation != 1)
		return 0;
	b = vm->bios = new0(struct bios);
	if (b == NULL)
		return err_set(err, -ENOMEM, "no memory for a BIOS");
	rc = read_rom(b, vm->conf.firmware, err);
	if (rc == 0 && !vm->conf.no_vga)
		rc = read_vga_rom(b, err);
	if (rc == 0 && vm->nr_legacy > 0)
		rc = read_net_rom(b, err);
	if (rc == 0 && vm->conf.kernel != NULL)
		rc = fw_linux16(vm->conf.kernel, vm->conf.initrd, vm->conf.append,
				min_u64(vm->conf.memory, vm->board->mmio_low) - BIOS_ZONE,
				&b->linux16, err);
	return rc;
}

void bios_close(struct vm *vm)
{
	if (vm->bios == NULL)
		return;
	fw_linux16_fini(&vm->bios->linux16);
	free(vm->bios->rom);
	free(vm->bios->vga_rom);
	free(vm->bios->net.image);
	free(vm->bios);
	vm->bios = NULL;
}

uint64_t bios_len(const struct vm *vm) { return vm->bios->rom_len; }
const void *bios_bytes(const struct vm *vm) { return vm->bios->rom; }
const void *bios_vga_rom(const struct vm *vm) { return vm->bios->vga_rom; }
size_t bios_vga_rom_len(const struct vm *vm) { return vm->bios->vga_rom_len; }

const uint8_t *bios_net_rom(const struct vm *vm)
{
	return vm->bios->net.image != NULL ? vm->bios->net.rom : NULL;
}

/* ---- CMOS memory ---------------------------------------------------------------------- */

static void cmos_memory(uint8_t *c, const struct vm *vm)
{
	uint64_t low = min_u64(vm->conf.memory, vm->board->mmio_low) - BIOS_TABLES_LEN;
	uint64_t above_1m = min_u64((low - MIB) / KIB, 0xffff), high = 0;

	if (vm->conf.memory > vm->board->mmio_low)
		high = (vm->conf.memory - vm->board->mmio_low) / (64 * KIB);
	st16(c + 0x15, 640);
	st16(c + 0x17, (uint16_t)above_1m);
	st16(c + 0x30, (uint16_t)above_1m);
	if (low > 16 * MIB)
		st16(c + 0x34, (uint16_t)min_u64((low - 16 * MIB) / (64 * KIB), 0xffff));
	c[0x5b] = (uint8_t)high;
	c[0x5c] = (uint8_t)(high >> 8);
	c[0x5d] = (uint8_t)(high >> 16);
}

/* All four kinds: those that were asked for, then the others as Hyper-V has them. */
static void whole_order(const struct vm *vm, uint8_t ret_order[VM_MAX_BOOT])
{
	static const uint8_t hyperv[VM_MAX_BOOT] = {
		VM_BOOT_CD, VM_BOOT_IDE, VM_BOOT_NET, VM_BOOT_FLOPPY,
	};
	unsigned nr = 0;

	while (nr < VM_MAX_BOOT && vm->conf.boot_order[nr] != 0) {
		ret_order[nr] = vm->conf.boot_order[nr];
		nr++;
	}
	for (unsigned i = 0; i < VM_MAX_BOOT && nr < VM_MAX_BOOT; i++)
		if (memchr(ret_order, hyperv[i], nr) == NULL)
			ret_order[nr++] = hyperv[i];
}

/*
 * Three kinds of devices in three nibbles, for who reads them instead of our
 * file; the fourth comes last. Bit 0 of the first byte: a floppy boots without
 * the signature that a disk must have.
 */
static void cmos_boot_order(uint8_t *c, const struct vm *vm)
{
	uint8_t order[VM_MAX_BOOT];

	whole_order(vm, order);
	c[0x3d] = (uint8_t)(order[1] << 4 | order[0]);
	c[0x38] = (uint8_t)(order[2] << 4 | 1);
}

const uint8_t *bios_cmos(const struct vm *vm)
{
	uint8_t *c = vm->bios->cmos;
	uint16_t sum = 0;

	cmos_memory(c, vm);
	c[0x10] = floppy_drives(vm);
	cmos_boot_order(c, vm);
	c[0x14] = (c[0x10] & 15 ? 0x41 : 0x01) | 0x06 | (vm->conf.no_vga ? 0x30 : 0);	/* floppies, coprocessor, mouse; display */
	c[0x5f] = (uint8_t)(vm->conf.cpus - 1);
	for (unsigned i = 0x10; i < 0x2e; i++)
		sum = (uint16_t)(sum + c[i]);
	c[0x2e] = (uint8_t)(sum >> 8);
	c[0x2f] = (uint8_t)sum;
	return c;
}

/* ---- what the BIOS reads -------------------------------------------------------------- */

static void put(struct bios *b, uint16_t key, const char *name, const void *data, size_t len)
{
	BUG_IF(b->nr_items == MAX_ITEMS);
	b->item[b->nr_items++] = (struct fwcfg_item){ key, name, data, (uint32_t)len };
}

static void put_file(struct bios *b, const char *name, const void *data, size_t len)
{
	put(b, (uint16_t)(FWCFG_FILE_KEY + b->nr_items), name, data, len);
}

static void put_map(struct bios *b, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_map; i++)
		b->e820[i] = (struct e820_row){ le64_of(vm->map[i].gpa), le64_of(vm->map[i].len),
						le32_of((uint32_t)vm->map[i].type) };
	put_file(b, "etc/e820", b->e820, vm->nr_map * sizeof(b->e820[0]));
}

static void put_tables(struct bios *b)
{
	b->loader = (struct loader_row){
		.command = le32_of(LOADER_ALLOCATE), .file = "etc/acpi/rsdp",
		.align = le32_of(16), .zone = LOADER_FSEG,
	};
	put_file(b, "etc/acpi/rsdp", &b->rsdp, sizeof(b->rsdp));
	put_file(b, "etc/table-loader", &b->loader, sizeof(b->loader));
	put_file(b, "etc/smbios/smbios-anchor", b->smbios.anchor, sizeof(b->smbios.anchor));
	put_file(b, "etc/smbios/smbios-tables", b->smbios.tables, b->smbios.len);
}

/* ---- what to boot from ---------------------------------------------------------------- */

/* A PCI function's path, and a drive's on it; NULL: it has none. */
static void order_line(struct bios *b, const char *bus, unsigned at, const char *drive, unsigned k)
{
	char *end = b->boot_order + b->boot_order_len;
	size_t room = sizeof(b->boot_order) - b->boot_order_len;
	int n = drive == NULL ? snprintf(end, room, "/pci@i0cf8/%s%x\n", bus, at)
			      : snprintf(end, room, "/pci@i0cf8/%s%x%s%x\n", bus, at, drive, k);

	BUG_IF(n < 0 || (size_t)n >= room);
	b->boot_order_len += (size_t)n;
}

static void order_ide(struct bios *b, const struct ide_conf *c, bool dvd)
{
	for (unsigned i = 0; i < 4; i++)
		if (c->unit[i / 2][i % 2].dvd == dvd && (dvd || c->unit[i / 2][i % 2].blk != NULL))
			order_line(b, "ide@7,1/drive@", i / 2, "/disk@", i % 2);
}

/*
 * The devices one by one, by the paths that SeaBIOS gives them, and its word for
 * the end.  Without that it goes on to kinds of which this machine has none.
 * Network adapters sit from slot 10 on, those that there are; a path that leads
 * nowhere does no harm.
 */
static void put_boot_order(struct bios *b, struct vm *vm)
{
	struct ide_conf ide = { 0 };
	uint8_t order[VM_MAX_BOOT];

	storage_ide_conf(vm, &ide);
	whole_order(vm, order);
	if (vm->conf.kernel != NULL) {
		static const char rom[] = "/rom@" LINUX_ROM "\n";

		memcpy(b->boot_order, rom, sizeof(rom) - 1);
		b->boot_order_len = sizeof(rom) - 1;
	}
	for (unsigned i = 0; i < VM_MAX_BOOT; i++)
		switch (order[i]) {
		case VM_BOOT_FLOPPY:
			for (unsigned k = 0; k < 2; k++)
				if (floppy_drives(vm) & (k == 0 ? 0xf0 : 0x0f))
					order_line(b, "isa@", 7, "/fdc@03f0/floppy@", k);
			break;
		case VM_BOOT_NET:
			for (unsigned k = 0; k < 4; k++)
				order_line(b, "ethernet@", 10 + k, NULL, 0);
			break;
		default:
			order_ide(b, &ide, order[i] == VM_BOOT_CD);
		}
	BUG_IF(sizeof(b->boot_order) - b->boot_order_len < sizeof("HALT"));
	memcpy(b->boot_order + b->boot_order_len, "HALT", sizeof("HALT"));
	put_file(b, "bootorder", b->boot_order, b->boot_order_len + sizeof("HALT"));
}

/* A kernel's parts, each by its bytes, its place and its size, and the ROM that asks for them. */
static void put_linux(struct bios *b)
{
	const struct {
		const struct fw_part *part;
		uint16_t data, gpa, len;
	} rows[] = {
		{ &b->linux16.setup, 0x18, 0x16, 0x17 },
		{ &b->linux16.kernel, 0x11, 0x07, 0x08 },
		{ &b->linux16.cmdline, 0x15, 0x13, 0x14 },
		{ &b->linux16.initrd, 0x12, 0x0a, 0x0b },
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		le32 *num = b->linux_num + 2 * i;

		num[0] = le32_of(rows[i].part->gpa);
		num[1] = le32_of(rows[i].part->len);
		put(b, rows[i].data, NULL, rows[i].part->data, rows[i].part->len);
		put(b, rows[i].gpa, NULL, &num[0], sizeof(num[0]));
		put(b, rows[i].len, NULL, &num[1], sizeof(num[1]));
	}
	put_file(b, LINUX_ROM, b->linux16.rom, sizeof(b->linux16.rom));
}

static void put_boot(struct bios *b, struct vm *vm)
{
	if (vm->conf.kernel != NULL)
		put_linux(b);
	put_boot_order(b, vm);
	b->forever = le64_of(0xffffffff);
	b->menu = le16_of(vm->conf.boot_menu);
	put(b, KEY_BOOT_MENU, NULL, &b->menu, sizeof(b->menu));
	if (b->net.image != NULL) {
		put(b, KEY_NET_SETUP, NULL, b->net.image, b->net.setup_len);
		put(b, KEY_NET_REST, NULL, b->net.image + b->net.setup_len, b->net.len - b->net.setup_len);
	}
	/* A machine that finds nothing to boot says so and waits, instead of trying for ever. */
	put_file(b, "etc/boot-fail-wait", &b->forever, 4);
	if (vm->conf.no_vga && vm->conf.com1 != NULL) {
		b->sercon = le64_of(0x3f8);
		put_file(b, "etc/sercon-port", &b->sercon, sizeof(b->sercon));
	}
}

const struct fwcfg_item *bios_items(struct vm *vm, unsigned *ret_nr)
{
	struct bios *b = vm->bios;
	char serial[GUID_TEXT_LEN + 1];
	struct fw_smbios_conf smbios;

	tables_smbios_conf(vm, &smbios, serial);
	fw_smbios_gen1(&smbios, &b->smbios);
	b->nr_cpus = le16_of((uint16_t)vm->conf.cpus);
	b->memory = le64_of(vm->conf.memory);
	b->irq0_override = 1;
	put(b, KEY_UUID, NULL, &vm->uuid, sizeof(vm->uuid));
	put(b, KEY_MEMORY, NULL, &b->memory, sizeof(b->memory));
	put(b, KEY_NR_CPUS, NULL, &b->nr_cpus, sizeof(b->nr_cpus));
	put(b, KEY_MAX_CPUS, NULL, &b->nr_cpus, sizeof(b->nr_cpus));
	put(b, KEY_IRQ0_OVERRIDE, NULL, &b->irq0_override, 1);
	put_map(b, vm);
	put_tables(b);
	put_boot(b, vm);
	*ret_nr = b->nr_items;
	return b->item;
}

/* ---- tables --------------------------------------------------------------------------- */

int bios_load(struct vm *vm, struct err *err)
{
	const struct board *b = vm->board;
	const uint64_t low = min_u64(vm->conf.memory, b->mmio_low);
	struct fw_acpi_conf acpi;
	uint64_t end;
	int rc;

	tables_conf(vm, &acpi);
	acpi.rsdp_gpa = low - BIOS_TABLES_LEN;
	acpi.limit_gpa = low;
	rc = fw_acpi_gen1(vm->mem, &acpi, &end, err);
	if (rc < 0)
		return rc;
	BUG_IF(gmem_read(vm->mem, acpi.rsdp_gpa, &vm->bios->rsdp, sizeof(vm->bios->rsdp)) < 0);
	return 0;
}
