#include "base/test.h"

#include "mem/gmem_cpu.h"

#include <string.h>

#define SHADOW 0xc0000u
#define SHADOW_LEN 0x40000u
#define ROM 0xfffc0000u

static const struct gmem_range ranges[] = {
	{ 0, 0xa0000 }, { 0xc0000, 0x140000 }, { ROM, 0x40000 },
};
enum { RW = GMEM_SHADOW_READ | GMEM_SHADOW_WRITE };

static struct gmem *setup(void)
{
	struct gmem *m;
	uint8_t rom[256];

	CHECK_EQ(gmem_new(ranges, ARRAY_LEN(ranges), &m, NULL), 0);
	gmem_rom_new(m, ROM);
	CHECK_EQ(gmem_shadow_new(m, SHADOW, SHADOW_LEN, NULL), 0);
	memset(rom, 0x5a, sizeof(rom));
	CHECK_EQ(gmem_rom_fill(m, ROM + 0x30000, rom, sizeof(rom)), 0);
	return m;
}

static uint8_t byte(struct gmem *m, uint64_t gpa)
{
	uint8_t b;

	CHECK_EQ(gmem_read(m, gpa, &b, 1), 0);
	return b;
}

static uint32_t word(struct gmem *m, uint64_t gpa)
{
	struct gmem_page page;

	CHECK(gmem_page_of(m, gpa, &page));
	return *page.state;
}

static void rom_is_read_and_never_written(void **s)
{
	struct gmem *m = setup();
	struct iovec iov[1];
	uint64_t pfn = ROM >> PAGE_SHIFT;
	struct gview *v;
	uint32_t old;
	int nr = 0;

	(void)s;
	CHECK_EQ(gmem_size(m), 0x1e0000);
	CHECK_EQ(byte(m, ROM + 0x300ff), 0x5a);
	CHECK_EQ(byte(m, ROM + 0x30100), 0);
	CHECK(!gmem_is_ram(m, ROM, 1));
	CHECK(word(m, ROM) & GMEM_READ_ONLY);
	CHECK_EQ(gmem_write(m, ROM, "x", 1), -EFAULT);
	CHECK_EQ(gmem_zero(m, ROM + 0x30000, 1), -EFAULT);
	CHECK_EQ(gmem_store32(m, ROM, 1), -EFAULT);
	CHECK_EQ(gmem_or32(m, ROM, 1, &old), -EFAULT);
	CHECK_EQ(gmem_and32(m, ROM, 1, &old), -EFAULT);
	CHECK_EQ(gmem_pin(m, ROM, 4096, false, iov, &nr, 1), -EFAULT);
	CHECK_EQ(gview_new(m, &pfn, 1, &v), -EFAULT);
	CHECK_EQ(gmem_rom_fill(m, 0x1000, "x", 1), -EFAULT);
	CHECK_EQ(gmem_rom_fill(m, ROM + 0x3ffff, "xy", 2), -EFAULT);
	gmem_clear(m);
	CHECK_EQ(byte(m, ROM + 0x30000), 0x5a);
	gmem_free(m);
}

static void a_page_shows_rom_or_ram(void **s)
{
	struct gmem *m = setup();
	uint64_t pfn = 0xf0000 >> PAGE_SHIFT;
	struct gview *v;

	(void)s;
	CHECK_EQ(gmem_write(m, 0xf0000, "ram!", 4), 0);
	CHECK(!gmem_is_ram(m, 0xf0000, 1));	/* it may be gone soon */
	CHECK(!gmem_is_ram(m, 0xbffff, 2));
	CHECK(gmem_is_ram(m, 0x100000, 4096));
	CHECK_EQ(gview_new(m, &pfn, 1, &v), -EFAULT);

	CHECK(gmem_shadow_set(m, 0xf0000, 0x10000, 0, ROM + 0x30000));
	CHECK(!gmem_shadow_set(m, 0xf0000, 0x10000, 0, ROM + 0x30000));
	CHECK_EQ(byte(m, 0xf0000), 0x5a);
	CHECK_EQ(byte(m, 0xf0100), 0);
	CHECK_EQ(byte(m, 0xeffff), 0);
	CHECK(word(m, 0xf0000) & GMEM_READ_ONLY);
	CHECK(!(word(m, 0xef000) & GMEM_READ_ONLY));
	CHECK_EQ(gmem_write(m, 0xf0000, "no", 2), -EFAULT);
	CHECK_EQ(gmem_write(m, 0xeffff, "no", 2), -EFAULT);
	CHECK_EQ(byte(m, 0xeffff), 0);			/* nothing of it */
	gmem_shadow_write(m, 0xf0000, "no", 2);		/* lost */

	CHECK(gmem_shadow_set(m, 0xf0000, 0x4000, GMEM_SHADOW_WRITE, ROM + 0x30000));
	gmem_shadow_write(m, 0xf0001, "AM", 2);		/* RAM beneath takes it */
	CHECK_EQ(byte(m, 0xf0001), 0x5a);

	CHECK(gmem_shadow_set(m, 0xf0000, 0x4000, GMEM_SHADOW_READ, GMEM_NO_ROM));
	CHECK_EQ(byte(m, 0xf0000), 'r');
	CHECK_EQ(byte(m, 0xf0001), 'A');
	CHECK_EQ(byte(m, 0xf0003), '!');
	gmem_shadow_write(m, 0xf0000, "x", 1);
	CHECK_EQ(byte(m, 0xf0000), 'r');

	CHECK(gmem_shadow_set(m, 0xf0000, 0x10000, RW, GMEM_NO_ROM));
	gmem_shadow_write(m, 0xf0000, "R", 1);		/* a store that met the switch */
	CHECK_EQ(byte(m, 0xf0000), 'R');
	CHECK_EQ(gmem_write(m, 0xf0000, "w", 1), 0);
	CHECK(gmem_shadow_set(m, 0xc0000, 0x20000, 0, GMEM_NO_ROM));
	CHECK_EQ(byte(m, 0xd1234), 0xff);
	gmem_shadow_write(m, 0xbfff0, "0123456789abcdef!", 17);	/* beyond it: lost */
	gmem_free(m);
}

static void clear_forgets_ram_and_not_what_is_on_show(void **s)
{
	struct gmem *m = setup();

	(void)s;
	CHECK_EQ(gmem_write(m, 0xf0000, "ram!", 4), 0);
	CHECK_EQ(gmem_write(m, 0xe0000, "ram!", 4), 0);
	CHECK_EQ(gmem_write(m, 0x9ffff, "x", 1), 0);
	CHECK_EQ(gmem_write(m, 0x100000, "x", 1), 0);
	(void)gmem_shadow_set(m, 0xf0000, 0x10000, 0, ROM + 0x30000);
	gmem_clear(m);
	CHECK_EQ(byte(m, 0xf0000), 0x5a);
	CHECK_EQ(byte(m, 0xe0000), 0);
	CHECK_EQ(byte(m, 0x9ffff), 0);
	CHECK_EQ(byte(m, 0x100000), 0);
	(void)gmem_shadow_set(m, 0xf0000, 0x10000, RW, GMEM_NO_ROM);
	CHECK_EQ(byte(m, 0xf0000), 0);
	gmem_free(m);
}

/* Whoever holds decoded code of the page learns that it changed. */
static void a_switch_is_a_write_to_code(void **s)
{
	struct gmem *m = setup();
	struct gmem_page page;
	uint32_t was;

	(void)s;
	CHECK(gmem_page_of(m, 0xf0000, &page));
	was = gmem_page_decoding(page.state);
	(void)gmem_shadow_set(m, 0xf0000, 0x1000, 0, ROM + 0x30000);
	CHECK_EQ(*page.state & ~GMEM_READ_ONLY, was + GMEM_GEN_STEP);
	CHECK_EQ(page.hva[0], 0x5a);
	gmem_free(m);
}

static void no_room_beneath_is_an_error(void **s)
{
	struct gmem *m;
	struct err err;

	(void)s;
	CHECK_EQ(gmem_new(ranges, ARRAY_LEN(ranges), &m, NULL), 0);
	base_fail_alloc(1);
	CHECK_EQ(gmem_shadow_new(m, SHADOW, SHADOW_LEN, &err), -ENOMEM);
	base_fail_alloc(0);
	gmem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rom_is_read_and_never_written),
		cmocka_unit_test(a_page_shows_rom_or_ram),
		cmocka_unit_test(clear_forgets_ram_and_not_what_is_on_show),
		cmocka_unit_test(a_switch_is_a_write_to_code),
		cmocka_unit_test(no_room_beneath_is_an_error),
	};

	return cmocka_run_group_tests_name("gmem_shadow", tests, NULL, NULL);
}
