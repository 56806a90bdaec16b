/*
 * ps2.c - the keyboard and the mouse at the ends of an i8042's two cables
 *
 * The keyboard speaks scan code set 2, and the controller translates to set 1
 * unless told not to. The mouse is a plain one, until a driver sets its sample
 * rate to 200, 100, 80: then it has a wheel.
 *
 * Spec     [IBM PS/2] keyboard and mouse; the wheel as Microsoft's IntelliMouse
 * Missing  sets 1 and 3, five buttons, typematic repeat (whoever holds the key
 *          sends it again)
 * Lock     chip
 */
#include "chip/ps2.h"

#include "dev/input.h"

#include <string.h>

enum { ACK = 0xfa, RESEND = 0xfe, TEST_PASSED = 0xaa, BREAK = 0xf0, EXTENDED = 0xe0 };

static void put(struct ps2_queue *q, uint8_t byte)
{
	if (q->nr == PS2_QUEUE)
		return;
	q->byte[(q->first + q->nr) % PS2_QUEUE] = byte;
	q->nr++;
}

static bool room(const struct ps2_queue *q, unsigned n)
{
	return PS2_QUEUE - q->nr >= n;
}

bool ps2_take(struct ps2_queue *q, uint8_t *ret_byte)
{
	if (q->nr == 0)
		return false;
	*ret_byte = q->byte[q->first];
	q->first = (uint8_t)((q->first + 1) % PS2_QUEUE);
	q->nr--;
	return true;
}

/* ---- keyboard ------------------------------------------------------------------------- */

/* By set 2 code; from 80 on the same, but for the two that have their own line. */
static const uint8_t set1[0x80] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t ps2_set1_of(uint8_t set2)
{
	if (set2 < ARRAY_LEN(set1))
		return set1[set2];
	return set2 == 0x83 ? 0x41 : set2 == 0x84 ? 0x54 : set2;	/* F7, SysRq */
}

static uint8_t set2_of(uint8_t code)
{
	if (code == 0x41)
		return 0x83;
	for (unsigned i = 0; i < ARRAY_LEN(set1); i++)
		if (set1[i] == code)
			return (uint8_t)i;
	return 0;
}

static void kbd_defaults(struct ps2_kbd *k)
{
	k->leds = 0;
	k->rate = 0x2b;			/* 10.9 a second after half a second */
	k->command = 0;
	k->out = (struct ps2_queue){ 0 };
}

void ps2_kbd_reset(struct ps2_kbd *k)
{
	kbd_defaults(k);
	k->scanning = 1;
	k->last = 0;
}

/* Pause has no break code: it says all at once. */
static void put_pause(struct ps2_kbd *k)
{
	static const uint8_t bytes[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };

	for (unsigned i = 0; i < sizeof(bytes) && room(&k->out, sizeof(bytes) - i); i++)
		put(&k->out, bytes[i]);
}

unsigned ps2_kbd_room(const struct ps2_kbd *k)
{
	return k->scanning ? (PS2_QUEUE - k->out.nr) / 8u : 0;
}

void ps2_kbd_key(struct ps2_kbd *k, unsigned key, bool down)
{
	uint8_t set2 = set2_of(key & 0x7f);

	if (!k->scanning || set2 == 0 || !room(&k->out, 3))
		return;
	if (key == INPUT_PAUSE) {
		if (down)
			put_pause(k);
		return;
	}
	if ((key & INPUT_E0) == INPUT_E0)
		put(&k->out, EXTENDED);
	if (!down)
		put(&k->out, BREAK);
	put(&k->out, set2);
	k->last = set2;
}

static void kbd_parameter(struct ps2_kbd *k, uint8_t byte)
{
	uint8_t command = k->command;

	k->command = 0;
	put(&k->out, ACK);
	if (command == 0xed)
		k->leds = byte & 7;
	else if (command == 0xf3)
		k->rate = byte & 0x7f;
	else if (byte == 0)		/* F0: which set? */
		put(&k->out, 2);
}

void ps2_kbd_write(struct ps2_kbd *k, uint8_t byte)
{
	if (k->command != 0 && byte < 0xed) {
		kbd_parameter(k, byte);
		return;
	}
	k->command = 0;
	switch (byte) {
	case 0xed:			/* lights */
	case 0xf0:			/* scan code set */
	case 0xf3:			/* typematic */
		k->command = byte;
		put(&k->out, ACK);
		break;
	case 0xee:			/* echo */
		put(&k->out, byte);
		break;
	case 0xf2:			/* identify: a keyboard with 101 keys */
		put(&k->out, ACK);
		put(&k->out, 0xab);
		put(&k->out, 0x83);
		break;
	case 0xf4:
	case 0xf5:
	case 0xf6:
		kbd_defaults(k);
		k->scanning = byte != 0xf5;
		put(&k->out, ACK);
		break;
	case 0xf7:			/* of set 3 */
	case 0xf8:
	case 0xf9:
	case 0xfa:
		put(&k->out, ACK);
		break;
	case 0xfe:
		put(&k->out, k->last);
		break;
	case 0xff:
		ps2_kbd_reset(k);
		put(&k->out, ACK);
		put(&k->out, TEST_PASSED);
		break;
	default:
		put(&k->out, RESEND);
	}
}

/* ---- mouse ---------------------------------------------------------------------------- */

static void mouse_defaults(struct ps2_mouse *m)
{
	m->reporting = m->remote = m->scaling = 0;
	m->rate = 100;
	m->resolution = 2;
	m->dx = m->dy = m->dz = 0;
	m->command = 0;
	m->out = (struct ps2_queue){ 0 };
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	memset(m, 0, sizeof(*m));
	mouse_defaults(m);
}

static int clamp(int v, int most)
{
	return v > most ? most : v < -most ? -most : v;
}

/* What moved, 255 steps at a time; the rest goes with the next packet. */
static void put_packet(struct ps2_mouse *m)
{
	int dx = clamp(m->dx, 255), dy = clamp(m->dy, 255), dz = clamp(m->dz, 7);

	put(&m->out, (uint8_t)((dy < 0 ? 0x20 : 0) | (dx < 0 ? 0x10 : 0) | 8 | m->buttons));
	put(&m->out, (uint8_t)dx);
	put(&m->out, (uint8_t)dy);
	if (m->id == 3)
		put(&m->out, (uint8_t)dz);
	m->dx = (int16_t)(m->dx - dx);
	m->dy = (int16_t)(m->dy - dy);
	m->dz = (int16_t)(m->dz - dz);
	m->last = m->buttons;
}

void ps2_mouse_report(struct ps2_mouse *m)
{
	if (!m->reporting || m->remote || m->wrap)
		return;
	while ((m->buttons != m->last || m->dx != 0 || m->dy != 0 || (m->dz != 0 && m->id == 3)) &&
	       room(&m->out, 8))
		put_packet(m);
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, uint8_t buttons)
{
	m->buttons = buttons & 7;
	m->dx = (int16_t)clamp(m->dx + clamp(dx, 10000), 10000);
	m->dy = (int16_t)clamp(m->dy + clamp(dy, 10000), 10000);
	m->dz = (int16_t)clamp(m->dz + clamp(dz, 10000), 10000);
	ps2_mouse_report(m);
}

static void mouse_parameter(struct ps2_mouse *m, uint8_t byte)
{
	if (m->command == 0xe8) {
		m->resolution = byte & 3;
	} else {
		if (m->magic[0] == 200 && m->magic[1] == 100 && byte == 80)
			m->id = 3;
		m->magic[0] = m->magic[1];
		m->magic[1] = m->rate = byte;
	}
	m->command = 0;
	put(&m->out, ACK);
}

static void put_status(struct ps2_mouse *m)
{
	put(&m->out, (uint8_t)(m->remote << 6 | m->reporting << 5 | m->scaling << 4 |
			       (m->buttons & 1) << 2 | (m->buttons & 4) >> 1 |
			       (m->buttons & 2) >> 1));
	put(&m->out, m->resolution);
	put(&m->out, m->rate);
}

static void mouse_command(struct ps2_mouse *m, uint8_t byte)
{
	put(&m->out, ACK);
	switch (byte) {
	case 0xe6:
	case 0xe7:
		m->scaling = byte & 1;
		break;
	case 0xe8:
	case 0xf3:
		m->command = byte;
		break;
	case 0xe9:
		put_status(m);
		break;
	case 0xea:
	case 0xf0:
		m->remote = byte == 0xf0;
		break;
	case 0xeb:
		put_packet(m);
		break;
	case 0xec:
	case 0xee:
		m->wrap = byte == 0xee;
		break;
	case 0xf2:
		put(&m->out, m->id);
		break;
	case 0xf4:
	case 0xf5:
		m->reporting = byte == 0xf4;
		m->dx = m->dy = m->dz = 0;
		m->last = m->buttons;
		break;
	}
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte)
{
	if (m->wrap && byte != 0xff && byte != 0xec) {
		put(&m->out, byte);
		return;
	}
	if (m->command != 0) {
		mouse_parameter(m, byte);
		return;
	}
	/* A command ends a packet that nobody has fetched. */
	m->out = (struct ps2_queue){ 0 };
	switch (byte) {
	case 0xf6:
		mouse_defaults(m);
		put(&m->out, ACK);
		break;
	case 0xff:
		ps2_mouse_reset(m);
		put(&m->out, ACK);
		put(&m->out, TEST_PASSED);
		put(&m->out, 0);
		break;
	case 0xe6: case 0xe7: case 0xe8: case 0xe9: case 0xea: case 0xeb: case 0xec: case 0xee:
	case 0xf0: case 0xf2: case 0xf3: case 0xf4: case 0xf5:
		mouse_command(m, byte);
		break;
	default:
		put(&m->out, RESEND);
	}
}

/* ---- strangers ------------------------------------------------------------------------ */

static bool queue_possible(const struct ps2_queue *q)
{
	return q->first < PS2_QUEUE && q->nr <= PS2_QUEUE;
}

bool ps2_kbd_possible(const struct ps2_kbd *k)
{
	return queue_possible(&k->out) && k->scanning <= 1 && k->leds <= 7 && k->rate <= 0x7f;
}

bool ps2_mouse_possible(const struct ps2_mouse *m)
{
	return queue_possible(&m->out) && (m->reporting | m->remote | m->wrap | m->scaling) <= 1 &&
	       m->resolution <= 3 && (m->id == 0 || m->id == 3) && (m->buttons | m->last) <= 7 &&
	       clamp(m->dx, 10000) == m->dx && clamp(m->dy, 10000) == m->dy &&
	       clamp(m->dz, 10000) == m->dz;
}
