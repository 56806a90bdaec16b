#include "base/test.h"
#include "ctl/typist.c"

struct dev {
	unsigned keys[64], nr, room;
};

static void on_key(void *self, unsigned key, bool down)
{
	struct dev *d = self;

	if (d->nr < ARRAY_LEN(d->keys))
		d->keys[d->nr++] = key | (down ? 0x10000 : 0);
}

static unsigned on_room(void *self) { return ((struct dev *)self)->room; }

static struct dev dev;
static const struct input_sink sink = { on_key, on_room, NULL, &dev };
static struct typist t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	dev = (struct dev){ .room = 16 };
	if (input_new(&t.input) < 0)
		return -1;
	return input_attach(t.input, &sink);
}

static int tear_down(void **state)
{
	(void)state;
	input_free(t.input);
	return 0;
}

/* Steps until it is done or TIMES are over; the time that has passed then. */
static uint64_t run(unsigned times, int *ret_rc)
{
	uint64_t now = 1000, next = 1;

	while (times-- > 0 && next != 0) {
		next = typist_step(&t, now, ret_rc);
		if (next != 0)
			now = next;
	}
	return now;
}

static void text_with_shift(void **state)
{
	static const unsigned want[] = { 0x1001e, 0x1e, 0x1002a, 0x10030, 0x30, 0x2a, 0x1001c, 0x1c };
	int rc;

	(void)state;
	CHECK_EQ(typist_text(&t, "aB\n", NULL), 0);
	CHECK(run(100, &rc) >= 7 * STEP_NS);
	CHECK_EQ(rc, 0);
	CHECK(!typist_busy(&t));
	CHECK_EQ(dev.nr, ARRAY_LEN(want));
	CHECK_MEM(dev.keys, want, sizeof(want));
}

static void chords_follow_each_other(void **state)
{
	static const unsigned want[] = { 0x1001d, 0x10038, 0x1e053, 0xe053, 0x38, 0x1d, 0x1003b, 0x3b };
	int rc;

	(void)state;
	CHECK_EQ(typist_keys(&t, "ctrl-alt-delete f1", NULL), 0);
	run(100, &rc);
	CHECK_EQ(dev.nr, ARRAY_LEN(want));
	CHECK_MEM(dev.keys, want, sizeof(want));
}

static void it_waits_for_room_but_not_for_ever(void **state)
{
	int rc;

	(void)state;
	CHECK_EQ(typist_text(&t, "ab", NULL), 0);
	(void)typist_step(&t, 0, &rc);		/* a is down */
	dev.room = 3;
	CHECK(run(100, &rc) > 0);
	CHECK_EQ(dev.nr, 1);
	CHECK(typist_busy(&t));
	CHECK(run(10000, &rc) >= PATIENCE_NS);
	CHECK_EQ(rc, -ETIMEDOUT);
	CHECK(!typist_busy(&t));
	CHECK_EQ(dev.nr, 2);			/* and up */
	CHECK_EQ(dev.keys[1], 0x1e);
}

static void what_cannot_be_typed(void **state)
{
	static char lots[TYPIST_MAX_TEXT + 2];
	struct err err;

	(void)state;
	CHECK_EQ(typist_text(&t, "gr\xc3\xbc" "n", &err), -EINVAL);
	CHECK_STR(err.msg, "character 3, byte c3, is not on a US keyboard");
	CHECK(!typist_busy(&t));
	memset(lots, 'x', TYPIST_MAX_TEXT);
	CHECK_EQ(typist_text(&t, lots, &err), 0);
	lots[TYPIST_MAX_TEXT] = 'x';
	CHECK_EQ(typist_text(&t, lots, &err), -E2BIG);
	CHECK_EQ(typist_keys(&t, "a  b", &err), -EINVAL);
	CHECK_EQ(typist_keys(&t, lots, &err), -EINVAL);
	CHECK(!typist_busy(&t));
	input_detach(t.input, &sink);
	CHECK_EQ(typist_text(&t, "a", &err), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_with_shift, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chords_follow_each_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_waits_for_room_but_not_for_ever, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_typed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
