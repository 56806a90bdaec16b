/*
 * rfb_events.c - keys and the pointer of one client
 *
 * Keys come as what they mean (keysyms), or, from a client that knows how, as
 * what they are (QEMU's extended key events).  Of the first kind Shift is
 * added where the client does not hold it and the character needs it, as a
 * viewer with another layout sends '!' without it.
 *
 * A client that goes lets go of what it held.
 *
 * Lock     none of ours; input.h's
 */
#include "view/rfb_priv.h"
#include "view/keys.h"

#include <string.h>

#define KEY_RSHIFT 0x36u
#define QEMU_PAUSE 0xc6u
enum { VNC_LEFT = 1, VNC_MIDDLE = 2, VNC_RIGHT = 4, VNC_WHEEL_UP = 8, VNC_WHEEL_DOWN = 16 };

static unsigned key_bit(unsigned key)
{
	return key == INPUT_PAUSE ? 0 : (key & 0x7f) | (key >= INPUT_E0 ? 0x80 : 0);
}

static bool holds(const struct rfb *s, unsigned key)
{
	return (s->down[key_bit(key) / 8] >> key_bit(key) % 8 & 1) != 0;
}

static void send(struct rfb *s, unsigned key, bool down)
{
	unsigned bit = key_bit(key);

	if (!input_is_key(key))
		return;
	if (down)
		s->down[bit / 8] |= (uint8_t)(1u << bit % 8);
	else
		s->down[bit / 8] &= (uint8_t)~(1u << bit % 8);
	input_key(s->conf->input, key, down);
}

void rfb_key(struct rfb *s, uint32_t sym, bool down)
{
	struct key_stroke k;
	bool lend;

	if (!keys_of_keysym(sym, &k))
		return;
	lend = down && k.shift && !holds(s, KEYS_SHIFT) && !holds(s, KEY_RSHIFT);
	if (lend)
		input_key(s->conf->input, KEYS_SHIFT, true);
	send(s, k.key, down);
	if (lend)
		input_key(s->conf->input, KEYS_SHIFT, false);
}

/* The make code; keys with E0 before it have bit 7. */
void rfb_qemu_key(struct rfb *s, uint32_t code, bool down)
{
	if (code == QEMU_PAUSE)
		send(s, INPUT_PAUSE, down);
	else if (code < 0x100)
		send(s, (code & 0x80) != 0 ? INPUT_E0 | (code & 0x7f) : code, down);
}

static uint16_t scaled(uint32_t at, uint32_t size)
{
	if (size <= 1)
		return 0;
	return (uint16_t)(min_u64(at, size - 1) * 32767 / (size - 1));
}

void rfb_pointer(struct rfb *s, uint8_t buttons, uint32_t x, uint32_t y)
{
	struct input_motion m = { .x = scaled(x, s->width), .y = scaled(y, s->height) };

	x = (uint32_t)min_u64(x, s->width - 1);
	y = (uint32_t)min_u64(y, s->height - 1);
	m.dx = (int)x - (int)s->x;
	m.dy = (int)y - (int)s->y;
	m.buttons = ((buttons & VNC_LEFT) != 0 ? INPUT_LEFT : 0) |
		    ((buttons & VNC_MIDDLE) != 0 ? INPUT_MIDDLE : 0) |
		    ((buttons & VNC_RIGHT) != 0 ? INPUT_RIGHT : 0);
	/* The wheel is buttons that are pressed and let go. */
	if ((buttons & VNC_WHEEL_UP) != 0 && (s->buttons & VNC_WHEEL_UP) == 0)
		m.wheel = 1;
	if ((buttons & VNC_WHEEL_DOWN) != 0 && (s->buttons & VNC_WHEEL_DOWN) == 0)
		m.wheel = -1;
	s->buttons = buttons;
	s->x = x;
	s->y = y;
	input_pointer(s->conf->input, &m);
}

void rfb_let_go(struct rfb *s)
{
	for (unsigned bit = 0; bit < 256; bit++)
		if ((s->down[bit / 8] >> bit % 8 & 1) != 0)
			send(s, bit == 0 ? INPUT_PAUSE : (bit & 0x7f) |
			     (bit >= 0x80 ? INPUT_E0 : 0), false);
	if (s->buttons != 0)
		rfb_pointer(s, 0, s->x, s->y);
}
