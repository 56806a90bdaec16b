/*
 * netboot.c - an image to boot from the network with, and the ROM that starts it
 *
 * The image is a file in the format of a Linux kernel: a real-mode part, with
 * a header that we complete as any loader does, and the rest, which goes to 1
 * MiB.  The ROM (netrom.S) gets the ids of the adapter, where the two parts
 * are to be had and how long they are, and its two checksums.
 *
 * Spec     Linux Documentation/x86/boot.rst, protocol 2.03 and later
 * Lock     none
 */
#include "fw/fw.h"

#include <stdlib.h>
#include <string.h>

#define IMAGE_MAX (16 * MIB)
#define SETUP_MAX (32 * KIB)
#define SETUP_GPA 0x10000u
#define REST_GPA 0x100000u
#define HEAP_END 0xe000u

enum { SETUP_SECTS = 0x1f1, BOOT_FLAG = 0x1fe, MAGIC = 0x202, VERSION = 0x206, LOADER = 0x210,
       LOADFLAGS = 0x211, HEAP_END_PTR = 0x224, CMD_LINE_PTR = 0x228, HEADER_END = 0x22c };
enum { LOADED_HIGH = 1, CAN_USE_HEAP = 0x80, LOADER_UNKNOWN = 0xff };
enum { ROM_PCIR = 0x18, ROM_PNP = 0x1a, PCIR_VENDOR = 4, PCIR_DEVICE = 6, PCIR_LEN = 0x18, PNP_SUM = 9,
       PNP_LEN = 32, ROM_SUM = 6 };
enum { DMA_READ = 2, DMA_SELECT = 8 };

extern const uint8_t fw_netrom_begin[], fw_netrom_end[];

static int check_image(const char *path, struct fw_netboot *b, struct err *err)
{
	const uint8_t *h = b->image;
	unsigned sects;

	if (b->len < HEADER_END || ld16(h + BOOT_FLAG) != 0xaa55 || memcmp(h + MAGIC, "HdrS", 4) != 0 ||
	    ld16(h + VERSION) < 0x0203 || (h[LOADFLAGS] & LOADED_HIGH) == 0)
		return err_set(err, -EINVAL, "%s: expected an image in the format of a Linux kernel, such as "
			       "ipxe.lkrn", path);
	sects = h[SETUP_SECTS] == 0 ? 4 : h[SETUP_SECTS];
	b->setup_len = (sects + 1u) * 512u;
	if (b->setup_len > SETUP_MAX || b->setup_len >= b->len)
		return err_set(err, -EINVAL, "%s: %zu bytes, of which %u are its real-mode part: it is cut off",
			       path, b->len, b->setup_len);
	return 0;
}

static void complete_header(uint8_t *h)
{
	h[LOADER] = LOADER_UNKNOWN;
	h[LOADFLAGS] |= CAN_USE_HEAP;
	st16(h + HEAP_END_PTR, HEAP_END - 0x200);
	st32(h + CMD_LINE_PTR, 0);
}

static void put_be32(uint8_t *p, uint32_t val)
{
	st32(p, __builtin_bswap32(val));
}

static void put_request(uint8_t *p, uint16_t key, uint32_t len, uint32_t gpa)
{
	put_be32(p, (uint32_t)key << 16 | DMA_SELECT | DMA_READ);
	put_be32(p + 4, len);
	put_be32(p + 8, 0);
	put_be32(p + 12, gpa);
}

static uint8_t missing_to_zero(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)-sum;
}

static void make_rom(struct fw_netboot *b, const struct fw_netboot_conf *conf)
{
	uint8_t *rom = b->rom, *pcir, *pnp;

	BUG_IF(fw_netrom_end - fw_netrom_begin != FW_NETROM_LEN);
	memcpy(rom, fw_netrom_begin, FW_NETROM_LEN);
	pcir = rom + ld16(rom + ROM_PCIR);
	pnp = rom + ld16(rom + ROM_PNP);
	st16(pcir + PCIR_VENDOR, conf->vendor);
	st16(pcir + PCIR_DEVICE, conf->device);
	put_request(pnp + PNP_LEN, conf->setup_key, b->setup_len, SETUP_GPA);
	put_request(pnp + PNP_LEN + 16, conf->rest_key, (uint32_t)(b->len - b->setup_len), REST_GPA);
	pnp[PNP_SUM] = 0;
	pnp[PNP_SUM] = missing_to_zero(pnp, PNP_LEN);
	rom[ROM_SUM] = 0;
	rom[ROM_SUM] = missing_to_zero(rom, FW_NETROM_LEN);
}

int fw_netboot_read(const char *path, const struct fw_netboot_conf *conf, struct fw_netboot *ret_b,
		    struct err *err)
{
	struct fw_netboot b = { 0 };
	int rc = fw_read_file(path, IMAGE_MAX, &b.image, &b.len, err);

	if (rc == 0)
		rc = check_image(path, &b, err);
	if (rc < 0) {
		free(b.image);
		return rc;
	}
	complete_header(b.image);
	make_rom(&b, conf);
	*ret_b = b;
	return 0;
}
