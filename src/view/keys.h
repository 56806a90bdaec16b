/*
 * keys.h - from what people say to the keys of a PC's keyboard (dev/input.h)
 *
 * Characters are those of a US keyboard: the guest's layout decides what its
 * keys mean, and no one outside can know it.
 */
#ifndef VIEW_KEYS_H
#define VIEW_KEYS_H

#include "base/err.h"

#define KEYS_SHIFT 0x2au		/* the left one */
#define KEYS_MAX_CHORD 8

struct key_stroke {
	unsigned key;
	bool shift;
};

/* A character that the keyboard has; "\n" is Enter, "\t" Tab. */
bool keys_of_char(uint32_t ch, struct key_stroke *ret_s);
/* A keysym of X11, as VNC sends them. */
bool keys_of_keysym(uint32_t sym, struct key_stroke *ret_s);
/*
 * "ctrl-alt-delete", "f2", "shift-a", "-": keys held one after the other.
 * How many, or -EINVAL with the word that is no key.
 */
MUST_CHECK int keys_parse(const char *text, unsigned ret_keys[KEYS_MAX_CHORD], struct err *err);

#endif
