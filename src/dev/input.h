/*
 * input.h - keys and pointers, from people to the machine's devices
 *
 * A viewer (VNC, the control socket) calls input_key and input_pointer; a
 * keyboard or mouse says with input_attach that it wants them.  Where there
 * are several, the one that came last has them: the synthetic keyboard, once
 * the guest's driver is there, before the one of the i8042.
 *
 * A key is its make code of scan code set 1, with E0 before it where the key
 * has that prefix: 0x1e is A, 0xe01d the right Ctrl; Pause is 0xe11d.
 *
 * The functions of a sink are called with no lock of a machine held and may
 * take the chip lock.  Attach and detach without the chip lock.
 */
#ifndef DEV_INPUT_H
#define DEV_INPUT_H

#include "base/base.h"

#define INPUT_E0 0xe000u
#define INPUT_PAUSE 0xe11du

enum { INPUT_LEFT = 1, INPUT_RIGHT = 2, INPUT_MIDDLE = 4, INPUT_SIDE = 8, INPUT_EXTRA = 16 };

/* One event has both ways of saying where; the device takes the one it knows. */
struct input_motion {
	uint16_t x, y;			/* 0 to 32767 from the picture's left and upper edge */
	int dx, dy;			/* pixels since the last event, right and down */
	int wheel;			/* notches, away from the user is positive */
	unsigned buttons;		/* of INPUT_LEFT... that are down */
};

struct input_sink {
	void (*key)(void *dev, unsigned key, bool down);		/* NULL: no keyboard */
	/* Keys that fit now; NULL: always some.  Who types slows down to it. */
	unsigned (*room)(void *dev);
	void (*pointer)(void *dev, const struct input_motion *m);	/* NULL: no pointer */
	void *dev;
};

#define INPUT_MAX_SINKS 8
struct input;

MUST_CHECK int input_new(struct input **ret_in);
void input_free(struct input *in);
/* S is borrowed until it is detached; -ENOSPC. */
MUST_CHECK int input_attach(struct input *in, const struct input_sink *s);
/* When it returns no function of S is running.  Keys that were down stay so for S. */
void input_detach(struct input *in, const struct input_sink *s);

/* Any thread.  True for a key that exists: 01 to 7F, with E0 or without, and Pause. */
bool input_is_key(unsigned key);
void input_key(struct input *in, unsigned key, bool down);
void input_pointer(struct input *in, const struct input_motion *m);
/* Keys that the keyboard takes now; 0 also where there is none. */
unsigned input_room(struct input *in);
bool input_has_keyboard(struct input *in);
bool input_has_pointer(struct input *in);
/* Lets go of every key and button that is down. */
void input_release(struct input *in);

#endif
