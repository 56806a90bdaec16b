/*
 * netboot_test.c - the image and the ROM that a BIOS boots from the network with
 */
#include "base/test.h"

#include "fw/netboot.c"		/* the file under test, statics and all */

#include <stdio.h>
#include <unistd.h>

static uint8_t image[20000];
static const struct fw_netboot_conf conf = { 0x1011, 0x0009, 0x18, 0x11 };
static struct fw_netboot b;
static struct err err;

/* N bytes of the image, read back through a file. */
static int read_image(size_t n)
{
	char path[] = "/tmp/netboot_test.XXXXXX";
	int fd = mkstemp(path), rc;

	CHECK(fd >= 0 && write(fd, image, n) == (ssize_t)n);
	close(fd);
	rc = fw_netboot_read(path, &conf, &b, &err);
	unlink(path);
	return rc;
}

static void good_image(void)
{
	memset(image, 0xa5, sizeof(image));
	image[SETUP_SECTS] = 5;
	st16(image + BOOT_FLAG, 0xaa55);
	memcpy(image + MAGIC, "HdrS", 4);
	st16(image + VERSION, 0x207);
	image[LOADFLAGS] = LOADED_HIGH;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n-- > 0)
		s = (uint8_t)(s + *p++);
	return s;
}

static uint32_t big(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void an_image_is_made_ready(void **s)
{
	(void)s;
	good_image();
	CHECK_EQ(read_image(sizeof(image)), 0);
	CHECK_EQ(b.len, sizeof(image));
	CHECK_EQ(b.setup_len, 6 * 512);
	CHECK_EQ(b.image[LOADER], 0xff);
	CHECK_EQ(b.image[LOADFLAGS], LOADED_HIGH | CAN_USE_HEAP);
	CHECK_EQ(ld32(b.image + CMD_LINE_PTR), 0);
	CHECK_MEM(b.image + HEADER_END, image + HEADER_END, sizeof(image) - HEADER_END);
	free(b.image);
	image[SETUP_SECTS] = 0;		/* means four */
	CHECK_EQ(read_image(sizeof(image)), 0);
	CHECK_EQ(b.setup_len, 5 * 512);
	free(b.image);
}

/* As SeaBIOS looks at it. */
static void the_rom_is_one(void **s)
{
	const uint8_t *pcir, *pnp, *req;

	(void)s;
	good_image();
	CHECK_EQ(read_image(sizeof(image)), 0);
	CHECK_EQ(ld16(b.rom), 0xaa55);
	CHECK_EQ(b.rom[2] * 512u, FW_NETROM_LEN);
	CHECK_EQ(b.rom[3], 0xcb);
	CHECK_EQ(sum(b.rom, FW_NETROM_LEN), 0);
	pcir = b.rom + ld16(b.rom + 0x18);
	CHECK_MEM(pcir, "PCIR", 4);
	CHECK_EQ(ld32(pcir + 4), 0x00091011);
	CHECK_EQ(ld16(pcir + 10), 0x18);
	CHECK_EQ(pcir[15], 2);		/* network */
	CHECK_EQ(ld16(pcir + 16), 1);
	CHECK_EQ(pcir[20], 0);
	CHECK_EQ(pcir[21], 0x80);
	pnp = b.rom + ld16(b.rom + 0x1a);
	CHECK_MEM(pnp, "$PnP", 4);
	CHECK_EQ(pnp[5] * 16, PNP_LEN);
	CHECK_EQ(sum(pnp, PNP_LEN), 0);
	CHECK_STR((const char *)b.rom + ld16(pnp + 16), "Legacy network adapter");
	CHECK(ld16(pnp + 26) > PCIR_LEN && ld16(pnp + 26) < FW_NETROM_LEN);
	req = pnp + PNP_LEN;
	CHECK_EQ(big(req), 0x0018000a);
	CHECK_EQ(big(req + 4), 6 * 512);
	CHECK_EQ(big(req + 12), 0x10000);
	CHECK_EQ(big(req + 16), 0x0011000a);
	CHECK_EQ(big(req + 20), sizeof(image) - 6 * 512);
	CHECK_EQ(big(req + 28), 0x100000);
	free(b.image);
}

static void what_is_no_image_is_refused(void **s)
{
	(void)s;
	good_image();
	CHECK_EQ(read_image(HEADER_END - 1), -EINVAL);
	CHECK(strstr(err.msg, "such as ipxe.lkrn") != NULL);
	image[MAGIC] = 'h';
	CHECK_EQ(read_image(sizeof(image)), -EINVAL);
	good_image();
	image[LOADFLAGS] = 0;
	CHECK_EQ(read_image(sizeof(image)), -EINVAL);
	good_image();
	st16(image + VERSION, 0x0202);
	CHECK_EQ(read_image(sizeof(image)), -EINVAL);
	good_image();
	image[SETUP_SECTS] = 200;
	CHECK_EQ(read_image(sizeof(image)), -EINVAL);
	CHECK(strstr(err.msg, "it is cut off") != NULL);
	good_image();
	CHECK_EQ(read_image(6 * 512), -EINVAL);
	CHECK_EQ(fw_netboot_read("/nonexistent/x", &conf, &b, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_is_made_ready),
		cmocka_unit_test(the_rom_is_one),
		cmocka_unit_test(what_is_no_image_is_refused),
	};

	return cmocka_run_group_tests_name("netboot", tests, NULL, NULL);
}
