#include "base/test.h"

#include "base/base.c"

static void crc32c_is_castagnoli(void **s)
{
	(void)s;
	CHECK_EQ(base_crc32c(0, "123456789", 9), 0xe3069283u);
	CHECK_EQ(~crc32c_bits(~0u, (const uint8_t *)"123456789", 9), 0xe3069283u);
}

static void crc32c_chains(void **s)
{
	(void)s;
	CHECK_EQ(base_crc32c(base_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
}

static void guid_prints_as_microsoft_writes_it(void **s)
{
	static const struct guid g = GUID_INIT(0xba6163d9, 0x04a1, 0x4d29,
					       0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f);
	char text[GUID_TEXT_LEN + 1];

	(void)s;
	guid_format(&g, text);
	CHECK_STR(text, "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f");
}

static void the_nth_allocation_fails(void **s)
{
	void *a, *b;

	(void)s;
	base_fail_alloc(2);
	a = base_new0(8);
	b = base_new0(8);
	CHECK(a != NULL);
	CHECK(b == NULL);
	free(a);
}

static void errors_truncate_and_take_a_prefix(void **s)
{
	struct err e;

	(void)s;
	CHECK_EQ(err_set(&e, -EINVAL, "found %d, expected %d", 1, 2), -EINVAL);
	CHECK_EQ(err_prefix(&e, -EIO, "a.vhdx"), -EIO);
	CHECK_STR(e.msg, "a.vhdx: found 1, expected 2");
	CHECK_EQ(err_set(NULL, -EIO, "nobody reads"), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_is_castagnoli),
		cmocka_unit_test(crc32c_chains),
		cmocka_unit_test(guid_prints_as_microsoft_writes_it),
		cmocka_unit_test(the_nth_allocation_fails),
		cmocka_unit_test(errors_truncate_and_take_a_prefix),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
