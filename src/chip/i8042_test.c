#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/i8042.c"

struct bench {
	struct rig r;
	struct input *input;
	bool kbd, aux, a20;
	unsigned kbd_edges, resets;
};

static void on_kbd(void *self, unsigned pin, bool level)
{
	struct bench *b = self;

	(void)pin;
	b->kbd_edges += level && !b->kbd;
	b->kbd = level;
}

static void on_aux(void *self, unsigned pin, bool level)
{
	(void)pin;
	((struct bench *)self)->aux = level;
}

static void on_reset(void *arg) { ((struct bench *)arg)->resets++; }
static bool a20_is(void *arg) { return ((struct bench *)arg)->a20; }
static void on_a20(void *arg, bool on) { ((struct bench *)arg)->a20 = on; }

static void setup(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	CHECK_EQ(input_new(&b->input), 0);
	rig_put(&b->r, &i8042_dev, &(struct i8042_conf){
		.port = 0x60, .kbd_irq = { on_kbd, b, 1 }, .aux_irq = { on_aux, b, 12 },
		.input = b->input, .init = on_reset, .a20 = on_a20, .a20_is = a20_is, .arg = b,
	});
}

static void teardown(struct bench *b)
{
	dev_free(&i8042_dev, b->r.dev);
	b->r.dev = NULL;
	input_free(b->input);
	rig_fini(&b->r);
}

static void command_out(struct bench *b, uint8_t val) { rig_out(&b->r, 0x64, 1, val); }
static void data_out(struct bench *b, uint8_t val) { rig_out(&b->r, 0x60, 1, val); }
static uint8_t status(struct bench *b) { return (uint8_t)rig_in(&b->r, 0x64, 1); }
static uint8_t data_in(struct bench *b) { return (uint8_t)rig_in(&b->r, 0x60, 1); }

/* Every byte that waits, and whose it is. */
static void expect(struct bench *b, const void *bytes, size_t n, bool aux)
{
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(status(b) & (ST_FULL | ST_AUX), ST_FULL | (aux ? ST_AUX : 0));
		CHECK_EQ(data_in(b), ((const uint8_t *)bytes)[i]);
	}
	CHECK_EQ(status(b) & ST_FULL, 0);
}
#define EXPECT(b, aux, ...) \
	expect((b), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), aux)

/* As a BIOS or a kernel begins. */
static void open_both(struct bench *b, uint8_t command_byte)
{
	command_out(b, 0xaa);
	EXPECT(b, false, 0x55);
	command_out(b, 0x60);
	data_out(b, command_byte);
	command_out(b, 0x20);
	EXPECT(b, false, command_byte);
}

static void it_passes_its_tests(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	CHECK_EQ(status(&b), ST_UNLOCKED);
	open_both(&b, 0x47);
	CHECK_EQ(status(&b), ST_UNLOCKED | ST_SYSTEM | ST_COMMAND);
	command_out(&b, 0xab);
	EXPECT(&b, false, 0);
	command_out(&b, 0xa9);
	EXPECT(&b, false, 0);
	command_out(&b, 0xc0);
	EXPECT(&b, false, 0x80);
	data_out(&b, 0xff);
	EXPECT(&b, false, 0xfa, 0xaa);
	data_out(&b, 0xf2);			/* AB 83, translated */
	EXPECT(&b, false, 0xfa, 0xab, 0x41);
	data_out(&b, 0xee);
	EXPECT(&b, false, 0xee);
	data_out(&b, 0xf0);			/* which set? */
	data_out(&b, 0);
	EXPECT(&b, false, 0xfa, 0xfa, 0x41);	/* 2, translated */
	data_out(&b, 0xed);
	data_out(&b, 7);
	EXPECT(&b, false, 0xfa, 0xfa);
	data_out(&b, 0x12);
	EXPECT(&b, false, 0xfe);
	teardown(&b);
}

static void keys_arrive_in_either_set(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	open_both(&b, 0x45);			/* translate, interrupt */
	b.kbd_edges = 0;
	input_key(b.input, 0x1e, true);		/* A */
	input_key(b.input, 0x1e, false);
	CHECK(b.kbd);
	EXPECT(&b, false, 0x1e, 0x9e);
	CHECK(!b.kbd);
	CHECK_EQ(b.kbd_edges, 2);
	input_key(b.input, INPUT_E0 | 0x48, true);	/* up */
	input_key(b.input, INPUT_E0 | 0x48, false);
	EXPECT(&b, false, 0xe0, 0x48, 0xe0, 0xc8);
	input_key(b.input, 0x41, true);		/* F7, which has the one high code */
	EXPECT(&b, false, 0x41);
	input_key(b.input, INPUT_PAUSE, true);
	EXPECT(&b, false, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	command_out(&b, 0x60);
	data_out(&b, 0x05);			/* as it comes */
	input_key(b.input, 0x1e, true);
	input_key(b.input, 0x1e, false);
	EXPECT(&b, false, 0x1c, 0xf0, 0x1c);
	/* Held back, then lost when there is no end to it. */
	command_out(&b, 0xad);
	for (unsigned i = 0; i < 40; i++) {
		input_key(b.input, 0x1e, true);
		input_key(b.input, 0x1e, false);
	}
	CHECK_EQ(status(&b) & ST_FULL, 0);
	CHECK_EQ(input_room(b.input), 0);
	command_out(&b, 0xae);
	for (unsigned i = 0; i < PS2_QUEUE - 2; i++)
		(void)data_in(&b);
	data_out(&b, 0xf5);			/* and silence */
	while (status(&b) & ST_FULL)
		(void)data_in(&b);
	input_key(b.input, 0x1e, true);
	CHECK_EQ(status(&b) & ST_FULL, 0);
	teardown(&b);
}

static void mouse_out(struct bench *b, uint8_t val)
{
	command_out(b, 0xd4);
	data_out(b, val);
}

static void the_mouse_moves(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	open_both(&b, 0x47);
	mouse_out(&b, 0xff);
	CHECK(b.aux);
	EXPECT(&b, true, 0xfa, 0xaa, 0x00);
	CHECK(!b.aux);
	input_pointer(b.input, &(struct input_motion){ .dx = 5 });
	CHECK_EQ(status(&b) & ST_FULL, 0);	/* not switched on */
	mouse_out(&b, 0xf6);
	mouse_out(&b, 0xf4);
	EXPECT(&b, true, 0xfa, 0xfa);
	/* Right and down; PS/2 counts up. */
	input_pointer(b.input, &(struct input_motion){ .dx = 3, .dy = 2, .buttons = INPUT_LEFT });
	EXPECT(&b, true, 0x29, 3, 0xfe);
	input_pointer(b.input, &(struct input_motion){ .dx = -300 });
	EXPECT(&b, true, 0x18, 0x01, 0, 0x18, 0xd3, 0);
	input_pointer(b.input, &(struct input_motion){ .dy = INT_MIN, .wheel = INT_MIN });
	CHECK_EQ(data_in(&b), 0x08);		/* up, and far */
	CHECK_EQ(data_in(&b), 0);
	CHECK_EQ(data_in(&b), 0xff);
	while (status(&b) & ST_FULL)
		(void)data_in(&b);
	mouse_out(&b, 0xf5);
	EXPECT(&b, true, 0xfa);
	mouse_out(&b, 0xf4);
	EXPECT(&b, true, 0xfa);
	/* 200, 100, 80: there is a wheel. */
	for (unsigned i = 0; i < 3; i++) {
		mouse_out(&b, 0xf3);
		mouse_out(&b, (const uint8_t[]){ 200, 100, 80 }[i]);
		EXPECT(&b, true, 0xfa, 0xfa);
	}
	mouse_out(&b, 0xf2);
	EXPECT(&b, true, 0xfa, 3);
	input_pointer(b.input, &(struct input_motion){ .wheel = 1 });
	EXPECT(&b, true, 0x08, 0, 0, 0xff);
	mouse_out(&b, 0xe9);
	EXPECT(&b, true, 0xfa, 0x20, 2, 80);
	mouse_out(&b, 0xf0);			/* remote: only when asked */
	EXPECT(&b, true, 0xfa);
	input_pointer(b.input, &(struct input_motion){ .dx = 1 });
	CHECK_EQ(status(&b) & ST_FULL, 0);
	mouse_out(&b, 0xeb);
	EXPECT(&b, true, 0xfa, 0x08, 1, 0, 0);
	mouse_out(&b, 0xee);			/* wrap: an echo */
	mouse_out(&b, 0x77);
	EXPECT(&b, true, 0xfa, 0x77);
	mouse_out(&b, 0xec);
	EXPECT(&b, true, 0xfa);
	mouse_out(&b, 0x01);
	EXPECT(&b, true, 0xfe);
	teardown(&b);
}

/* What a guest that does not read for a while has missed is told when it reads again. */
static void a_release_is_not_lost(void **s)
{
	struct bench b;
	uint8_t first = 0;
	unsigned n = 0;

	(void)s;
	setup(&b);
	open_both(&b, 0x47);
	mouse_out(&b, 0xf4);
	EXPECT(&b, true, 0xfa);
	for (unsigned i = 0; i < 40; i++)
		input_pointer(b.input, &(struct input_motion){ .dx = 1, .buttons = INPUT_LEFT });
	input_pointer(b.input, &(struct input_motion){ 0 });
	for (; (status(&b) & ST_FULL) != 0; n++) {
		uint8_t byte = data_in(&b);

		if (n % 3 == 0)
			first = byte;
	}
	CHECK_EQ(n % 3, 0);
	CHECK_EQ(first, 8);
	teardown(&b);
}

static void the_output_port_has_reset_and_a20(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	b.a20 = true;
	command_out(&b, 0xd0);
	EXPECT(&b, false, OP_CABLES | OP_A20 | OP_NO_RESET);
	b.a20 = false;				/* by port 92 */
	command_out(&b, 0xd0);
	EXPECT(&b, false, OP_CABLES | OP_NO_RESET);
	command_out(&b, 0xd1);
	data_out(&b, 0xdf);
	CHECK(b.a20);
	command_out(&b, 0xdd);
	CHECK(!b.a20);
	command_out(&b, 0xdf);
	CHECK(b.a20);
	command_out(&b, 0xd1);
	data_out(&b, 0xdd);
	CHECK(!b.a20);
	command_out(&b, 0xd1);
	data_out(&b, 0xdf);
	CHECK(b.a20);
	CHECK_EQ(b.resets, 0);
	command_out(&b, 0xfe);
	CHECK_EQ(b.resets, 1);
	command_out(&b, 0xff);			/* pulses nothing */
	CHECK_EQ(b.resets, 1);
	command_out(&b, 0xd2);			/* as if a device had sent it */
	data_out(&b, 0x42);
	EXPECT(&b, false, 0x42);
	command_out(&b, 0xd3);
	data_out(&b, 0x43);
	EXPECT(&b, true, 0x43);
	teardown(&b);
}

static void impossible_states_are_refused(void **s)
{
	struct i8042 *k;
	struct bench b;

	(void)s;
	setup(&b);
	k = b.r.dev;
	k->kbd.out.nr = PS2_QUEUE + 1;
	CHECK_EQ(i8042_loaded(k, NULL), -EBADMSG);
	k->kbd.out.nr = 0;
	k->mouse.id = 9;
	CHECK_EQ(i8042_loaded(k, NULL), -EBADMSG);
	k->mouse.id = 3;
	CHECK_EQ(i8042_loaded(k, NULL), 0);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_passes_its_tests),
		cmocka_unit_test(keys_arrive_in_either_set),
		cmocka_unit_test(the_mouse_moves),
		cmocka_unit_test(a_release_is_not_lost),
		cmocka_unit_test(the_output_port_has_reset_and_a20),
		cmocka_unit_test(impossible_states_are_refused),
	};

	return cmocka_run_group_tests_name("i8042", tests, NULL, NULL);
}
