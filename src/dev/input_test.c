#include "base/test.h"
#include "dev/input.c"

struct dev {
	unsigned keys[64];
	unsigned nr, room;
	struct input_motion m;
};

static void on_key(void *self, unsigned key, bool down)
{
	struct dev *d = self;

	if (d->nr < ARRAY_LEN(d->keys))
		d->keys[d->nr++] = key | (down ? 0x10000 : 0);
}

static unsigned on_room(void *self) { return ((struct dev *)self)->room; }
static void on_move(void *self, const struct input_motion *m) { ((struct dev *)self)->m = *m; }

static void test_the_last_one_has_them(void **state)
{
	struct dev d = { .room = 3 }, e = { .room = 5 };
	const struct input_sink ps2 = { on_key, on_room, on_move, &d };
	const struct input_sink mouse = { NULL, NULL, on_move, &e };
	struct input *in = NULL;

	(void)state;
	CHECK_EQ(input_new(&in), 0);
	CHECK_EQ(input_room(in), 0);
	CHECK(!input_has_keyboard(in));
	input_key(in, 0x1e, true);	/* to nobody */
	input_key(in, 0x1e, false);
	CHECK_EQ(input_attach(in, &ps2), 0);
	CHECK_EQ(input_attach(in, &mouse), 0);
	input_key(in, 0x1f, true);
	input_pointer(in, &(struct input_motion){ .x = 7, .buttons = INPUT_LEFT });
	CHECK_EQ(d.nr, 1);
	CHECK_EQ(d.keys[0], 0x1001f);
	CHECK_EQ(d.m.x, 0);
	CHECK_EQ(e.m.x, 7);
	CHECK_EQ(input_room(in), 3);
	input_detach(in, &mouse);
	input_pointer(in, &(struct input_motion){ .x = 8 });
	CHECK_EQ(d.m.x, 8);
	input_free(in);
}

static void test_release_lets_go_of_what_is_down(void **state)
{
	struct dev d = { .room = 3 };
	const struct input_sink s = { on_key, NULL, on_move, &d };
	struct input *in = NULL;

	(void)state;
	CHECK_EQ(input_new(&in), 0);
	CHECK_EQ(input_attach(in, &s), 0);
	input_key(in, 0x1d, true);
	input_key(in, INPUT_E0 | 0x1d, true);
	input_key(in, INPUT_PAUSE, true);
	input_key(in, 0x02, false);	/* was never down */
	input_pointer(in, &(struct input_motion){ .dx = 5, .buttons = INPUT_RIGHT });
	CHECK_EQ(d.nr, 3);
	input_release(in);
	CHECK_EQ(d.nr, 6);
	CHECK_EQ(d.keys[3], 0x1d);
	CHECK_EQ(d.keys[4], 0xe01d);
	CHECK_EQ(d.keys[5], INPUT_PAUSE);
	CHECK_EQ(d.m.buttons, 0);
	CHECK_EQ(d.m.dx, 0);
	input_release(in);
	CHECK_EQ(d.nr, 6);
	input_free(in);
}

static void test_what_is_no_key(void **state)
{
	static const unsigned no[] = { 0, 0x80, 0xff, 0x100, 0xe000, 0xe080, 0xe100, 0xe11e, 0x10001 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(no); i++)
		CHECK(!input_is_key(no[i]));
	for (unsigned slot = 1; slot < NR_KEYS; slot++)
		if (slot != 0x80) {
			CHECK(input_is_key(key_of(slot)));
			CHECK_EQ(slot_of(key_of(slot)), slot);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_one_has_them),
		cmocka_unit_test(test_release_lets_go_of_what_is_down),
		cmocka_unit_test(test_what_is_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
