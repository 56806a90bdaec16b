/*
 * typist.h - keys one after the other, no faster than the guest takes them
 */
#ifndef CTL_TYPIST_H
#define CTL_TYPIST_H

#include "base/err.h"
#include "dev/input.h"

#define TYPIST_MAX_TEXT 4096u		/* characters */
#define TYPIST_MAX_EVENTS (TYPIST_MAX_TEXT * 4)

struct typist {
	struct input *input;
	struct { uint16_t key, down; } event[TYPIST_MAX_EVENTS];
	size_t nr, at;			/* at == nr: nothing to do */
	uint64_t next_ns;		/* not before */
	uint64_t stuck_ns;		/* since when the keyboard has no room; 0: it has */
};

bool typist_busy(const struct typist *t);
/* Begins with the characters of TEXT; -EINVAL, -E2BIG, -ENODEV with *err. */
MUST_CHECK int typist_text(struct typist *t, const char *text, struct err *err);
/* Begins with chords of view/keys.h, divided by spaces. */
MUST_CHECK int typist_keys(struct typist *t, const char *keys, struct err *err);
/*
 * Does what is due.  When to come again; 0: it is done, or *ret_rc says that
 * the guest took no key for ten seconds (-ETIMEDOUT).
 */
uint64_t typist_step(struct typist *t, uint64_t now_ns, int *ret_rc);

#endif
