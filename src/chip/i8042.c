/*
 * i8042.c - the keyboard controller of a PC, with keyboard and mouse
 *
 * One byte at a time: what a device or the controller itself has to say waits
 * in the output buffer (port 60, status in port 64) until the guest reads it,
 * then the next byte follows. Status bit 5 tells the mouse's from the others.
 * The output port has two lines of the machine itself: the processors' reset,
 * and A20, which port 92 moves too and which shows here as it stands.
 *
 * Spec     [IBM PS/2] keyboard and auxiliary device controller
 * Missing  password commands, the controller's RAM but for its first byte;
 *          transmit errors
 * Lock     chip
 */
#include "chip/chips.h"
#include "chip/ps2.h"
#include "dev/input.h"

#include <limits.h>
#include <string.h>

enum { ST_FULL = 1, ST_SYSTEM = 4, ST_COMMAND = 8, ST_UNLOCKED = 0x10, ST_AUX = 0x20 };
enum { CB_KBD_INT = 1, CB_AUX_INT = 2, CB_SYSTEM = 4, CB_KBD_OFF = 0x10, CB_AUX_OFF = 0x20,
       CB_TRANSLATE = 0x40 };
/* OP_A20 is in output_port as it was last written; what it shows is the board's. */
enum { OP_NO_RESET = 1, OP_A20 = 2, OP_KBD = 0x10, OP_AUX = 0x20, OP_CABLES = 0xc0 };

struct i8042 {
	struct i8042_conf conf;		/* [const] */
	pthread_mutex_t *lock;		/* [const] */
	struct input_sink sink;		/* [const] */
	uint8_t command_byte, output_port;
	uint8_t expects;		/* the command whose parameter comes at port 60 */
	uint8_t was_command;		/* the last write went to port 64 */
	uint8_t full, aux, data;	/* output buffer; whether it is the mouse's */
	uint8_t broke;			/* a break prefix was swallowed by the translation */
	struct ps2_queue own;		/* the controller's answers */
	struct ps2_kbd kbd;
	struct ps2_mouse mouse;
};

static void drive(const struct i8042 *k)
{
	irq_set(&k->conf.kbd_irq, k->full && !k->aux && (k->command_byte & CB_KBD_INT));
	irq_set(&k->conf.aux_irq, k->full && k->aux && (k->command_byte & CB_AUX_INT));
}

static void fill(struct i8042 *k, uint8_t byte, bool aux)
{
	k->full = 1;
	k->aux = aux;
	k->data = byte;
}

/* A byte of set 2 to one of set 1.  False: nothing comes of it yet. */
static bool translate(struct i8042 *k, uint8_t *byte)
{
	if ((k->command_byte & CB_TRANSLATE) == 0)
		return true;
	if (*byte == 0xf0) {
		k->broke = 1;
		return false;
	}
	*byte = (uint8_t)(ps2_set1_of(*byte) | (k->broke ? 0x80 : 0));
	k->broke = 0;
	return true;
}

/* The next byte, if the buffer is free. */
static void next(struct i8042 *k)
{
	uint8_t byte;

	if (!k->full && ps2_take(&k->own, &byte))
		fill(k, byte, false);
	while (!k->full && (k->command_byte & CB_KBD_OFF) == 0 && ps2_take(&k->kbd.out, &byte))
		if (translate(k, &byte))
			fill(k, byte, false);
	if (!k->full && (k->command_byte & CB_AUX_OFF) == 0 && ps2_take(&k->mouse.out, &byte)) {
		fill(k, byte, true);
		ps2_mouse_report(&k->mouse);
	}
	drive(k);
}

static void answer(struct i8042 *k, uint8_t byte)
{
	k->own.first = 0;		/* an answer that nobody fetched is lost */
	k->own.nr = 1;
	k->own.byte[0] = byte;
}

static void set_output_port(struct i8042 *k, uint8_t val)
{
	k->output_port = val & (OP_NO_RESET | OP_A20);
	if (k->conf.a20 != NULL)
		k->conf.a20(k->conf.arg, (val & OP_A20) != 0);
	if ((val & OP_NO_RESET) == 0)
		k->conf.init(k->conf.arg);
}

static uint8_t output_port(const struct i8042 *k)
{
	bool a20 = k->conf.a20_is == NULL ? (k->output_port & OP_A20) != 0
					  : k->conf.a20_is(k->conf.arg);

	return (uint8_t)(OP_CABLES | (k->output_port & OP_NO_RESET) | (a20 ? OP_A20 : 0) |
			 (k->full && !k->aux ? OP_KBD : 0) |
			 (k->full && k->aux ? OP_AUX : 0));
}

static void self_test(struct i8042 *k)
{
	k->command_byte = (uint8_t)((k->command_byte & CB_TRANSLATE) | CB_SYSTEM | CB_KBD_OFF |
				    CB_AUX_OFF);
	k->full = 0;
	answer(k, 0x55);
}

static void command(struct i8042 *k, uint8_t val)
{
	k->was_command = 1;
	k->expects = 0;
	switch (val) {
	case 0x20:
		answer(k, k->command_byte);
		break;
	case 0x60:
	case 0xd1:
	case 0xd2:
	case 0xd3:
	case 0xd4:
		k->expects = val;
		break;
	case 0xa7:
		k->command_byte |= CB_AUX_OFF;
		break;
	case 0xa8:
		k->command_byte &= (uint8_t)~CB_AUX_OFF;
		break;
	case 0xa9:			/* test of the mouse's cable */
	case 0xab:			/* and of the keyboard's: no error */
		answer(k, 0);
		break;
	case 0xaa:
		self_test(k);
		break;
	case 0xad:
		k->command_byte |= CB_KBD_OFF;
		break;
	case 0xae:
		k->command_byte &= (uint8_t)~CB_KBD_OFF;
		break;
	case 0xc0:			/* input port: not locked */
		answer(k, 0x80);
		break;
	case 0xd0:
		answer(k, output_port(k));
		break;
	case 0xdd:			/* A20 off, on: without a detour by port 60 */
	case 0xdf:
		set_output_port(k, (uint8_t)((k->output_port & OP_NO_RESET) |
					     (val & OP_A20)));
		break;
	case 0xe0:
		answer(k, 0);
		break;
	default:
		if (val >= 0xf0 && (val & 1) == 0)	/* pulses bit 0 low */
			k->conf.init(k->conf.arg);
	}
	next(k);
}

static void data_write(struct i8042 *k, uint8_t val)
{
	uint8_t expects = k->expects;

	k->was_command = 0;
	k->expects = 0;
	switch (expects) {
	case 0x60:
		k->command_byte = val;
		break;
	case 0xd1:
		set_output_port(k, val);
		break;
	case 0xd2:			/* as if the keyboard had sent it */
		fill(k, val, false);
		break;
	case 0xd3:
		fill(k, val, true);
		break;
	case 0xd4:
		k->command_byte &= (uint8_t)~CB_AUX_OFF;
		ps2_mouse_write(&k->mouse, val);
		break;
	default:
		k->command_byte &= (uint8_t)~CB_KBD_OFF;
		ps2_kbd_write(&k->kbd, val);
	}
	next(k);
}

static uint64_t data_read(void *self, uint32_t off, unsigned width)
{
	struct i8042 *k = self;
	uint8_t val = k->data;

	(void)off, (void)width;
	k->full = 0;
	drive(k);			/* each byte is an edge of its own */
	next(k);
	return val;
}

static uint64_t status_read(void *self, uint32_t off, unsigned width)
{
	const struct i8042 *k = self;

	(void)off, (void)width;
	return (uint64_t)(ST_UNLOCKED | (k->full ? ST_FULL : 0) |
			  (k->full && k->aux ? ST_AUX : 0) |
			  (k->command_byte & CB_SYSTEM ? ST_SYSTEM : 0) |
			  (k->was_command ? ST_COMMAND : 0));
}

static void port60_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)off, (void)width;
	data_write(self, (uint8_t)val);
}

static void port64_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)off, (void)width;
	command(self, (uint8_t)val);
}

static const struct io_ops port60_io = { IO_W1, data_read, port60_write };
static const struct io_ops port64_io = { IO_W1, status_read, port64_write };

/* ---- keys and pointers from people ---------------------------------------------------- */

static void on_key(void *self, unsigned key, bool down)
{
	struct i8042 *k = self;

	pthread_mutex_lock(k->lock);
	ps2_kbd_key(&k->kbd, key, down);
	next(k);
	pthread_mutex_unlock(k->lock);
}

static unsigned key_room(void *self)
{
	struct i8042 *k = self;
	unsigned n;

	pthread_mutex_lock(k->lock);
	n = ps2_kbd_room(&k->kbd);
	pthread_mutex_unlock(k->lock);
	return n;
}

/* Any number may come; the least has no negative. */
static int negated(int v)
{
	return v < -INT_MAX ? INT_MAX : -v;
}

static void on_pointer(void *self, const struct input_motion *m)
{
	struct i8042 *k = self;

	pthread_mutex_lock(k->lock);
	ps2_mouse_move(&k->mouse, m->dx, negated(m->dy), negated(m->wheel), (uint8_t)(m->buttons & 7));
	next(k);
	pthread_mutex_unlock(k->lock);
}

static void i8042_reset(void *self)
{
	struct i8042 *k = self;

	ps2_kbd_reset(&k->kbd);
	ps2_mouse_reset(&k->mouse);
	k->own = (struct ps2_queue){ 0 };
	k->command_byte = CB_KBD_OFF | CB_AUX_OFF | CB_TRANSLATE;
	k->expects = k->was_command = k->full = k->aux = k->broke = 0;
	k->output_port = OP_NO_RESET | OP_A20;
	drive(k);
}

static int i8042_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct i8042 *k = self;
	int rc;

	k->conf = *(const struct i8042_conf *)conf;
	k->lock = env->lock;
	k->sink = (struct input_sink){ on_key, key_room, on_pointer, k };
	rc = bus_add(env->pio, env->name, k->conf.port, 1, &port60_io, k, err);
	if (rc == 0)
		rc = bus_add(env->pio, env->name, k->conf.port + 4u, 1, &port64_io, k, err);
	if (rc == 0 && k->conf.input != NULL) {
		rc = input_attach(k->conf.input, &k->sink);
		if (rc < 0)
			return err_set(err, rc, "no more keyboards");
	}
	return rc;
}

static void i8042_fini(void *self)
{
	struct i8042 *k = self;

	if (k->conf.input != NULL)
		input_detach(k->conf.input, &k->sink);
}

static int i8042_loaded(void *self, struct err *err)
{
	struct i8042 *k = self;

	if ((k->was_command | k->full | k->aux | k->broke) > 1 || k->own.first >= PS2_QUEUE ||
	    k->own.nr > PS2_QUEUE || (k->output_port & ~(OP_NO_RESET | OP_A20)) != 0 ||
	    !ps2_kbd_possible(&k->kbd) || !ps2_mouse_possible(&k->mouse))
		return err_set(err, -EBADMSG, "i8042: registers that cannot be");
	drive(k);
	return 0;
}

#define FIELD(tag, member) STATE(tag, struct i8042, member)
static const struct state_field i8042_state[] = {
	FIELD(1, command_byte), FIELD(2, output_port), FIELD(3, expects), FIELD(4, was_command),
	FIELD(5, full), FIELD(6, aux), FIELD(7, data), FIELD(8, broke), FIELD(9, own.byte),
	FIELD(10, own.first), FIELD(11, own.nr),
	FIELD(16, kbd.out.byte), FIELD(17, kbd.out.first), FIELD(18, kbd.out.nr),
	FIELD(19, kbd.command), FIELD(20, kbd.scanning), FIELD(21, kbd.leds), FIELD(22, kbd.rate),
	FIELD(23, kbd.last),
	FIELD(32, mouse.out.byte), FIELD(33, mouse.out.first), FIELD(34, mouse.out.nr),
	FIELD(35, mouse.command), FIELD(36, mouse.reporting), FIELD(37, mouse.remote),
	FIELD(38, mouse.wrap), FIELD(39, mouse.scaling), FIELD(40, mouse.resolution),
	FIELD(41, mouse.rate), FIELD(42, mouse.id), FIELD(43, mouse.buttons),
	FIELD(44, mouse.last), FIELD(45, mouse.magic), FIELD(46, mouse.dx), FIELD(47, mouse.dy),
	FIELD(48, mouse.dz),
	{ 0 },
};

const struct dev_ops i8042_dev = {
	.name = "i8042",
	.size = sizeof(struct i8042),
	.state = i8042_state,
	.init = i8042_init,
	.reset = i8042_reset,
	.loaded = i8042_loaded,
	.fini = i8042_fini,
};
