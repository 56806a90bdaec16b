#include "base/test.h"
#include "view/keys.c"

#include "dev/input.h"

static void every_ascii_character_has_a_key(void **state)
{
	bool taken[2][128] = { { false } };
	struct key_stroke s;

	(void)state;
	for (uint32_t ch = 0x20; ch < 0x7f; ch++) {
		CHECK(keys_of_char(ch, &s));
		CHECK(input_is_key(s.key) && s.key < 0x80);
		CHECK(!taken[s.shift][s.key]);
		taken[s.shift][s.key] = true;
	}
	CHECK(!keys_of_char(0x7f, &s));
	CHECK(!keys_of_char(0xe4, &s));
	CHECK(!keys_of_char(0, &s));
	CHECK(keys_of_char('\n', &s) && s.key == 0x1c);
	/* a few that one knows by heart */
	CHECK(keys_of_char('a', &s) && s.key == 0x1e && !s.shift);
	CHECK(keys_of_char('Z', &s) && s.key == 0x2c && s.shift);
	CHECK(keys_of_char('0', &s) && s.key == 0x0b);
	CHECK(keys_of_char('|', &s) && s.key == 0x2b && s.shift);
	CHECK(keys_of_char('/', &s) && s.key == 0x35);
}

static void keysyms(void **state)
{
	struct key_stroke s;

	(void)state;
	CHECK(keys_of_keysym('A', &s) && s.key == 0x1e && s.shift);
	CHECK(keys_of_keysym(0xff0d, &s) && s.key == 0x1c);
	CHECK(keys_of_keysym(0xffff, &s) && s.key == 0xe053);
	CHECK(keys_of_keysym(0xff13, &s) && s.key == INPUT_PAUSE);
	CHECK(!keys_of_keysym(0, &s));
	CHECK(!keys_of_keysym(10, &s));
	CHECK(!keys_of_keysym(0x1000041, &s));
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		CHECK(input_is_key(named[i].key));
}

static void expect(const char *text, int n, unsigned a, unsigned b, unsigned c)
{
	unsigned k[KEYS_MAX_CHORD] = { 0 };

	CHECK_EQ(keys_parse(text, k, NULL), n);
	CHECK_EQ(k[0], a);
	CHECK_EQ(k[1], b);
	CHECK_EQ(k[2], c);
}

static void names(void **state)
{
	unsigned k[KEYS_MAX_CHORD];
	struct err err;

	(void)state;
	expect("ctrl-alt-delete", 3, 0x1d, 0x38, 0xe053);
	expect("F2", 1, 0x3c, 0, 0);
	expect("ctrl--", 2, 0x1d, 0x0c, 0);
	expect("-", 1, 0x0c, 0, 0);
	expect("kp--a", 2, 0x4a, 0x1e, 0);
	expect("ctrl-A", 3, 0x1d, 0x2a, 0x1e);
	CHECK_EQ(keys_parse("ctrl-nosuch", k, &err), -EINVAL);
	CHECK(strstr(err.msg, "\"nosuch\"") != NULL);
	CHECK_EQ(keys_parse("", k, NULL), -EINVAL);
	CHECK_EQ(keys_parse("a-", k, NULL), -EINVAL);
	CHECK_EQ(keys_parse("a-b-c-d-e-f-g-h-i", k, NULL), -EINVAL);
	CHECK_EQ(keys_parse("a-b-c-d-e-f-g-H", k, NULL), -EINVAL);
	CHECK_EQ(keys_parse("a-b-c-d-e-f-g-h", k, NULL), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ascii_character_has_a_key),
		cmocka_unit_test(keysyms),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
