/*
 * ps2.h - a keyboard and a mouse, as the controller sees them: a byte each way
 *
 * For i8042.c.  All-zero structs are not valid: reset first.
 */
#ifndef CHIP_PS2_H
#define CHIP_PS2_H

#include "base/base.h"

#define PS2_QUEUE 32u

struct ps2_queue {
	uint8_t byte[PS2_QUEUE];
	uint8_t first, nr;
};

struct ps2_kbd {
	struct ps2_queue out;
	uint8_t command;		/* waits for its parameter; 0 = none */
	uint8_t scanning, leds, rate, last;
};

struct ps2_mouse {
	struct ps2_queue out;
	uint8_t command;
	uint8_t reporting, remote, wrap, scaling, resolution, rate, id, buttons;
	uint8_t last;			/* buttons as of the last packet */
	uint8_t magic[2];		/* the two sample rates set before the last */
	int16_t dx, dy, dz;		/* moved since the last packet */
};

bool ps2_take(struct ps2_queue *q, uint8_t *ret_byte);

void ps2_kbd_reset(struct ps2_kbd *k);
void ps2_kbd_write(struct ps2_kbd *k, uint8_t byte);
/* A key as dev/input.h names it; lost when nobody reads.  And how many more fit. */
void ps2_kbd_key(struct ps2_kbd *k, unsigned key, bool down);
unsigned ps2_kbd_room(const struct ps2_kbd *k);
uint8_t ps2_set1_of(uint8_t set2);	/* what a translating controller makes of it */

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte);
/* Right, up and the wheel towards the user are positive; buttons: left, right, middle. */
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, uint8_t buttons);
/* Tells what has not been told for want of room. */
void ps2_mouse_report(struct ps2_mouse *m);

/* Nothing that a stranger's file could break. */
bool ps2_kbd_possible(const struct ps2_kbd *k);
bool ps2_mouse_possible(const struct ps2_mouse *m);

#endif
