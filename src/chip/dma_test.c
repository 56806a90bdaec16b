#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/dma.c"

static void setup(struct rig *r)
{
	rig_init(r);
	rig_pci(r);
	rig_put(r, &dma_dev, NULL);
}

/* Channel 2, as a floppy controller's. */
static void program(struct rig *r, uint8_t mode, uint32_t gpa, uint16_t count)
{
	rig_out(r, 0x0a, 1, 4 | 2);
	rig_out(r, 0x0c, 1, 0);
	rig_out(r, 0x04, 1, gpa & 0xff);
	rig_out(r, 0x04, 1, gpa >> 8 & 0xff);
	rig_out(r, 0x81, 1, gpa >> 16);
	rig_out(r, 0x05, 1, count & 0xff);
	rig_out(r, 0x05, 1, count >> 8);
	rig_out(r, 0x0b, 1, mode | 2);
	rig_out(r, 0x0a, 1, 2);
}

static void bytes_go_where_the_guest_said(void **s)
{
	uint8_t buf[16];
	struct rig r;
	bool tc;

	(void)s;
	setup(&r);
	CHECK(!dma_ready(r.dev, 2, true));
	program(&r, 0x44, 0x12340, 9);
	CHECK(dma_ready(r.dev, 2, true));
	CHECK(!dma_ready(r.dev, 2, false));
	CHECK_EQ(dma_to_memory(r.dev, 2, "0123", 4, &tc), 4);
	CHECK(!tc);
	rig_out(&r, 0x0c, 1, 0);
	CHECK_EQ(rig_in(&r, 0x04, 1), 0x44);		/* where it stands */
	CHECK_EQ(rig_in(&r, 0x04, 1), 0x23);
	CHECK_EQ(rig_in(&r, 0x05, 1), 5);
	CHECK_EQ(rig_in(&r, 0x05, 1), 0);
	CHECK_EQ(dma_to_memory(r.dev, 2, "456789abcdef", 12, &tc), 6);
	CHECK(tc);
	CHECK_EQ(gmem_read(r.mem, 0x12340, buf, 12), 0);
	CHECK_MEM(buf, "0123456789\0\0", 12);
	CHECK(!dma_ready(r.dev, 2, true));		/* masked at its end */
	CHECK_EQ(rig_in(&r, 0x08, 1), 0x04);
	CHECK_EQ(rig_in(&r, 0x08, 1), 0x00);		/* reading clears it */
	rig_fini(&r);
}

static void memory_is_read_again_and_again(void **s)
{
	uint8_t buf[8];
	struct rig r;
	bool tc;

	(void)s;
	setup(&r);
	CHECK_EQ(gmem_write(r.mem, 0x5000, "abcd", 4), 0);
	program(&r, 0x58, 0x5000, 3);			/* auto-initialize */
	CHECK_EQ(dma_from_memory(r.dev, 2, buf, 8, &tc), 4);
	CHECK(tc);
	CHECK_EQ(dma_from_memory(r.dev, 2, buf + 4, 2, &tc), 2);
	CHECK_MEM(buf, "abcdab", 6);
	program(&r, 0x68, 0x5003, 3);			/* downwards */
	CHECK_EQ(dma_from_memory(r.dev, 2, buf, 8, &tc), 4);
	CHECK_MEM(buf, "dcba", 4);
	program(&r, 0x40, 0x5000, 3);			/* verify: it only counts */
	CHECK(dma_ready(r.dev, 2, true));
	CHECK_EQ(dma_to_memory(r.dev, 2, "zzzz", 4, &tc), 4);
	CHECK(tc);
	CHECK_EQ(gmem_read(r.mem, 0x5000, buf, 4), 0);
	CHECK_MEM(buf, "abcd", 4);
	rig_fini(&r);
}

/* A transfer stays in its 64 KiB, and where no memory is nothing breaks. */
static void addresses_wrap_within_their_page(void **s)
{
	uint8_t buf[4];
	struct rig r;
	bool tc;

	(void)s;
	setup(&r);
	program(&r, 0x44, 0x1fffe, 3);
	CHECK_EQ(dma_to_memory(r.dev, 2, "wxyz", 4, &tc), 4);
	CHECK_EQ(gmem_read(r.mem, 0x1fffe, buf, 2), 0);
	CHECK_MEM(buf, "wx", 2);
	CHECK_EQ(gmem_read(r.mem, 0x10000, buf, 2), 0);
	CHECK_MEM(buf, "yz", 2);
	program(&r, 0x48, 0xff0000, 3);
	CHECK_EQ(dma_from_memory(r.dev, 2, buf, 4, &tc), 4);
	CHECK_MEM(buf, "\377\377\377\377", 4);
	rig_fini(&r);
}

/* The second controller counts words, in pages of 128 KiB. */
static void words(void **s)
{
	uint8_t buf[6];
	struct rig r;
	bool tc;

	(void)s;
	setup(&r);
	rig_out(&r, 0xd8, 1, 0);
	rig_out(&r, 0xc4, 1, 0x00);			/* channel 5: 0x3_0200 / 2 */
	rig_out(&r, 0xc4, 1, 0x81);
	rig_out(&r, 0x8b, 1, 0x03);			/* bit 0 is not used */
	rig_out(&r, 0xc6, 1, 2);
	rig_out(&r, 0xc6, 1, 0);
	rig_out(&r, 0xd6, 1, 0x44 | 1);
	rig_out(&r, 0xd4, 1, 1);
	CHECK_EQ(dma_to_memory(r.dev, 5, "012345678", 9, &tc), 6);
	CHECK(tc);
	CHECK_EQ(gmem_read(r.mem, 0x30200, buf, 6), 0);
	CHECK_MEM(buf, "012345", 6);
	rig_fini(&r);
}

/* What BIOSes and POST cards do with the rest. */
static void registers_keep_what_they_are_given(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	for (uint16_t port = 0x80; port < 0x90; port++)
		rig_out(&r, port, 1, port ^ 0x5a);
	for (uint16_t port = 0x80; port < 0x90; port++)
		CHECK_EQ(rig_in(&r, port, 1), port ^ 0x5a);
	CHECK_EQ(rig_in(&r, 0x0f, 1), 0xff);		/* all masked */
	rig_out(&r, 0x0e, 1, 0);
	CHECK_EQ(rig_in(&r, 0x0f, 1), 0xf0);
	rig_out(&r, 0x0d, 1, 0);			/* master clear */
	CHECK_EQ(rig_in(&r, 0x0f, 1), 0xff);
	rig_out(&r, 0x08, 1, COMMAND_OFF);
	program(&r, 0x44, 0, 0);
	CHECK(!dma_ready(r.dev, 2, true));
	((struct dma *)r.dev)->mask[1] = 0x10;
	CHECK_EQ(dma_loaded(r.dev, NULL), -EBADMSG);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_where_the_guest_said),
		cmocka_unit_test(memory_is_read_again_and_again),
		cmocka_unit_test(addresses_wrap_within_their_page),
		cmocka_unit_test(words),
		cmocka_unit_test(registers_keep_what_they_are_given),
	};

	return cmocka_run_group_tests_name("dma", tests, NULL, NULL);
}
