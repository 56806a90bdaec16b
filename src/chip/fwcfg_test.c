/* What a BIOS talks to: configuration, debug port, Super-I/O. */
#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/fwcfg.c"

static const struct fwcfg_item items[] = {
	{ 0x05, NULL, "\2\0", 2 },
	{ 0x20, "etc/e820", "0123456789", 10 },
	{ 0x23, "bootorder", "HALT", 5 },
};

static void setup(struct rig *r)
{
	rig_init(r);
	rig_pci(r);
	rig_put(r, &fwcfg_dev, &(struct fwcfg_conf){ items, ARRAY_LEN(items) });
}

static void expect(struct rig *r, uint16_t key, const char *bytes, size_t n)
{
	rig_out(r, 0x510, 2, key);
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(rig_in(r, 0x511, 1), (uint8_t)bytes[i]);
}

static void items_are_read_byte_by_byte(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	expect(&r, 0, "QEMU", 5);
	expect(&r, 1, "\3\0\0\0", 4);
	expect(&r, 5, "\2\0\0\0", 4);		/* zeros behind the end */
	expect(&r, 0x20, "0123456789\0", 12);
	expect(&r, 0x0d, "\0\0\0\0\0\0\0\0", 8);	/* no such item */
	expect(&r, 0x19, "\0\0\0\2\0\0\0\012\0\040\0\0etc/e820\0", 22);
	rig_fini(&r);
}

/* A request in memory at 1000; what the device left in its control word. */
static uint32_t dma_do(struct rig *r, uint32_t control, uint32_t n, uint64_t to)
{
	uint8_t req[16];

	put_be32(req, control);
	put_be32(req + 4, n);
	put_be32(req + 8, (uint32_t)(to >> 32));
	put_be32(req + 12, (uint32_t)to);
	CHECK_EQ(gmem_write(r->mem, 0x1000, req, sizeof(req)), 0);
	rig_out(r, 0x518, 4, __builtin_bswap32(0x1000));
	CHECK_EQ(gmem_read(r->mem, 0x1000, req, 4), 0);
	return get_be32(req);
}

static void in_memory(struct rig *r, uint64_t gpa, const char *bytes, size_t n)
{
	uint8_t buf[32];

	CHECK_EQ(gmem_read(r->mem, gpa, buf, n), 0);
	CHECK_MEM(buf, bytes, n);
}

static void the_device_copies_into_memory(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	CHECK_EQ(bus_read(r.pio, 0x514, 8), 0x47464320554d4551);
	CHECK_EQ(dma_do(&r, 0x20 << 16 | DMA_SELECT | DMA_READ, 4, 0x2000), 0);
	in_memory(&r, 0x2000, "0123\0", 5);
	CHECK_EQ(dma_do(&r, DMA_SKIP, 2, 0), 0);
	CHECK_EQ(dma_do(&r, DMA_READ, 8, 0x3000), 0);
	in_memory(&r, 0x3000, "6789\0\0\0\0", 8);
	CHECK_EQ(dma_do(&r, DMA_WRITE, 4, 0x2000), DMA_ERROR);
	rig_fini(&r);
}

/* A length or an address out of the guest's mouth costs a constant. */
static void hostile_requests_end(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	CHECK_EQ(dma_do(&r, 0x20 << 16 | DMA_SELECT | DMA_READ, UINT32_MAX, 0x2000), DMA_ERROR);
	in_memory(&r, 0x2000, "0123456789\0", 11);
	CHECK_EQ(dma_do(&r, 0x20 << 16 | DMA_SELECT | DMA_READ, 4, UINT64_MAX - 1), DMA_ERROR);
	CHECK_EQ(dma_do(&r, 0x20 << 16 | DMA_SELECT | DMA_READ, 4, 0x1000), 0);	/* itself */
	CHECK_EQ(dma_do(&r, DMA_SKIP, UINT32_MAX, 0), 0);
	CHECK_EQ(dma_do(&r, DMA_SKIP, UINT32_MAX, 0), 0);
	CHECK_EQ(dma_do(&r, DMA_READ, 1, 0x2000), 0);
	in_memory(&r, 0x2000, "\0", 1);
	rig_out(&r, 0x514, 4, 0xffffffff);		/* a request where no memory is */
	rig_out(&r, 0x518, 4, 0xffffffff);
	rig_fini(&r);
}

static char said[400];

static void note_line(void *arg, const char *text)
{
	(void)arg;
	strncat(said, text, sizeof(said) - strlen(said) - 1);
	strncat(said, "|", sizeof(said) - strlen(said) - 1);
}

static void lines_come_out_clean(void **s)
{
	struct rig r;

	(void)s;
	rig_init(&r);
	rig_put(&r, &biosdbg_dev, &(struct biosdbg_conf){ note_line, NULL });
	CHECK_EQ(rig_in(&r, 0x402, 1), 0xe9);
	for (const char *p = "one\r\n\n\033[2Jtwo\x80\nlast"; *p != '\0'; p++)
		rig_out(&r, 0x402, 1, (uint8_t)*p);
	CHECK_STR(said, "one|.[2Jtwo.|");
	said[0] = '\0';
	for (unsigned i = 0; i < 200; i++)
		rig_out(&r, 0x402, 1, 'x');
	CHECK_EQ(strlen(said), 161);
	biosdbg_dev.reset(r.dev);		/* what was begun is said */
	CHECK_EQ(strlen(said), 161 + 44 + 1);
	rig_fini(&r);
}

static void the_super_io_chip_tells_who_it_is(void **s)
{
	struct rig r;

	(void)s;
	rig_init(&r);
	rig_put(&r, &superio_dev, &(struct superio_conf){ { 0x3f0, 0x370 } });
	rig_out(&r, 0x370, 1, 0x20);
	CHECK_EQ(rig_in(&r, 0x371, 1), 0xff);	/* closed */
	rig_out(&r, 0x370, 1, 0x87);
	rig_out(&r, 0x370, 1, 0x01);		/* not twice */
	rig_out(&r, 0x370, 1, 0x87);
	CHECK_EQ(rig_in(&r, 0x371, 1), 0xff);
	rig_out(&r, 0x370, 1, 0x87);
	rig_out(&r, 0x370, 1, 0x20);
	CHECK_EQ(rig_in(&r, 0x371, 1), 0x97);
	rig_out(&r, 0x371, 1, 0);		/* for ever */
	CHECK_EQ(rig_in(&r, 0x371, 1), 0x97);
	rig_out(&r, 0x370, 1, 0x21);
	CHECK_EQ(rig_in(&r, 0x3f1, 1), 0x71);	/* by either pair */
	rig_out(&r, 0x370, 1, 7);
	rig_out(&r, 0x371, 1, 2);		/* first serial port */
	rig_out(&r, 0x370, 1, 0x61);
	CHECK_EQ(rig_in(&r, 0x371, 1), 0xf8);
	rig_out(&r, 0x370, 1, 7);
	rig_out(&r, 0x371, 1, 0xff);		/* no such device */
	rig_out(&r, 0x370, 1, 0x61);
	CHECK_EQ(rig_in(&r, 0x371, 1), 0xff);
	rig_out(&r, 0x371, 1, 1);
	rig_out(&r, 0x370, 1, 0xaa);
	CHECK_EQ(rig_in(&r, 0x371, 1), 0xff);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_read_byte_by_byte),
		cmocka_unit_test(the_device_copies_into_memory),
		cmocka_unit_test(hostile_requests_end),
		cmocka_unit_test(lines_come_out_clean),
		cmocka_unit_test(the_super_io_chip_tells_who_it_is),
	};

	return cmocka_run_group_tests_name("fwcfg", tests, NULL, NULL);
}
