#include "base/test.h"

#include "ctl/opt.c"

struct into {
	char val[64];
	bool flag;
};

static int set_val(void *into, const char *val, struct err *err)
{
	if (strcmp(val, "bad") == 0)
		return err_set(err, -EINVAL, "bad it is");
	snprintf(((struct into *)into)->val, 64, "%s", val);
	return 0;
}

static int set_flag(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct into *)into)->flag = true;
	return 0;
}

static const struct opt opts[] = {
	{ "value", "TEXT", "a value", set_val }, { "flag", NULL, "a flag", set_flag },
	{ "maybe", "[=WORD]", "a word or none", set_val }, { 0 },
};
static const struct verb v = { .name = "try", .args = "", .summary = "", .opts = opts };

static int parse(struct into *into, const char **rest, int max, int *nr, struct err *e,
		 const char *words)
{
	char buf[256], *argv[16];
	int argc = 0;

	snprintf(buf, sizeof(buf), "%s", words);
	for (char *w = strtok(buf, " "); w != NULL; w = strtok(NULL, " "))
		argv[argc++] = w;
	return opt_parse(&v, into, argc, argv, rest, max, nr, e);
}

static void both_spellings_of_a_value(void **s)
{
	struct into in = { .val = "" };
	const char *rest[2];
	struct err e;
	int nr;

	(void)s;
	CHECK_EQ(parse(&in, rest, 2, &nr, &e, "--value one --flag file"), 0);
	CHECK_STR(in.val, "one");
	CHECK(in.flag);
	CHECK_EQ(nr, 1);
	CHECK_EQ(parse(&in, rest, 2, &nr, &e, "--maybe file"), 0);
	CHECK_STR(in.val, "");
	CHECK_EQ(nr, 1);
	CHECK_EQ(parse(&in, rest, 2, &nr, &e, "--maybe=yes"), 0);
	CHECK_STR(in.val, "yes");
	CHECK_EQ(parse(&in, rest, 2, &nr, &e, "--value=a=b"), 0);
	CHECK_STR(in.val, "a=b");
	CHECK_EQ(parse(&in, rest, 0, &nr, &e, "--value= "), 0);
	CHECK_STR(in.val, "");
}

static void what_is_wrong_is_said(void **s)
{
	static const struct {
		const char *words, *says;
	} rows[] = {
		{ "--valeu x", "did you mean --value" }, { "--other", "lists them" },
		{ "--value", "expected TEXT after it" }, { "--flag=1", "takes no value" },
		{ "a b", "one argument too many" }, { "-v", "two dashes" },
		{ "--value bad", "bad it is" },
	};
	const char *rest[1];
	struct into in;
	struct err e;
	int nr;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK(parse(&in, rest, 1, &nr, &e, rows[i].words) < 0);
		if (strstr(e.msg, rows[i].says) == NULL)
			fail_msg("\"%s\" gives \"%s\"", rows[i].words, e.msg);
	}
}

static void sizes(void **s)
{
	static const struct {
		const char *text;
		uint64_t val;
		int rc;
	} rows[] = {
		{ "512", 512, 0 }, { "4k", 4096, 0 }, { "1G", GIB, 0 }, { "2MiB", 2 * MIB, 0 },
		{ "12T", UINT64_C(12) << 40, 0 }, { "", 0, -EINVAL }, { "-1", 0, -EINVAL },
		{ "1X", 0, -EINVAL },
		{ "1Gx", 0, -EINVAL }, { "99999999999T", 0, -ERANGE },
		{ "99999999999999999999999", 0, -ERANGE },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t val = 0;

		CHECK_EQ(opt_size(rows[i].text, &val, NULL), rows[i].rc);
		CHECK_EQ(val, rows[i].val);
	}
}

static void numbers(void **s)
{
	static const struct {
		const char *text;
		uint64_t val;
		int rc;
	} rows[] = {
		{ "0", 0, 0 }, { "010", 10, 0 }, { "08", 8, 0 }, { "0x10", 16, 0 },
		{ "1024", 1024, 0 },
		{ "1025", 0, -ERANGE }, { "0x", 0, -EINVAL }, { "", 0, -EINVAL },
		{ " 1", 0, -EINVAL },
		{ "-1", 0, -EINVAL }, { "1a", 0, -EINVAL }, { "99999999999999999999", 0, -ERANGE },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t val = 0;

		CHECK_EQ(opt_number(rows[i].text, 1024, &val, NULL), rows[i].rc);
		CHECK_EQ(val, rows[i].val);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_spellings_of_a_value),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(sizes),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
