/*
 * typist.c - text and chords as key events
 *
 * A keyboard's queue holds few bytes, and a guest that starts takes none: the
 * typist waits until there is room.  Keys are held for a moment, as a person
 * does, for firmware polls.
 *
 * Lock     none: the control socket's thread
 */
#include "ctl/typist.h"

#include "view/keys.h"

#include <string.h>

#define STEP_NS (8 * NS_PER_SEC / 1000)
#define PATIENCE_NS (10 * NS_PER_SEC)
#define ROOM 4u				/* keys of an event, with Shift and prefixes */

bool typist_busy(const struct typist *t)
{
	return t->at < t->nr;
}

static void begin(struct typist *t)
{
	t->nr = t->at = 0;
	t->next_ns = t->stuck_ns = 0;
}

static void add(struct typist *t, unsigned key, bool down)
{
	t->event[t->nr].key = (uint16_t)key;
	t->event[t->nr].down = down;
	t->nr++;
}

static int ready(const struct typist *t, struct err *err)
{
	if (t->input == NULL || !input_has_keyboard(t->input))
		return err_set(err, -ENODEV, "this machine has no keyboard");
	return 0;
}

int typist_text(struct typist *t, const char *text, struct err *err)
{
	int rc = ready(t, err);

	if (rc < 0)
		return rc;
	if (strlen(text) > TYPIST_MAX_TEXT)
		return err_set(err, -E2BIG, "%zu characters, at most %u at once", strlen(text),
			       TYPIST_MAX_TEXT);
	begin(t);
	for (const char *p = text; *p != '\0'; p++) {
		struct key_stroke s;

		if (!keys_of_char((uint8_t)*p, &s)) {
			t->nr = 0;
			return err_set(err, -EINVAL, "character %zu, byte %02x, is not on a US "
				       "keyboard", (size_t)(p - text) + 1, (uint8_t)*p);
		}
		if (s.shift)
			add(t, KEYS_SHIFT, true);
		add(t, s.key, true);
		add(t, s.key, false);
		if (s.shift)
			add(t, KEYS_SHIFT, false);
	}
	return 0;
}

static int add_chord(struct typist *t, const char *chord, struct err *err)
{
	unsigned keys[KEYS_MAX_CHORD];
	int n = keys_parse(chord, keys, err);

	if (n < 0)
		return n;
	if (t->nr + 2 * (size_t)n > TYPIST_MAX_EVENTS)
		return err_set(err, -E2BIG, "too many keys at once");
	for (int i = 0; i < n; i++)
		add(t, keys[i], true);
	for (int i = n; i-- > 0;)
		add(t, keys[i], false);
	return 0;
}

int typist_keys(struct typist *t, const char *keys, struct err *err)
{
	int rc = ready(t, err);

	if (rc < 0)
		return rc;
	begin(t);
	for (const char *p = keys; rc == 0; p++) {
		size_t n = strcspn(p, " ");
		char chord[128];

		if (n >= sizeof(chord))
			rc = err_set(err, -EINVAL, "\"%.40s...\" is no key", p);
		if (rc == 0) {
			memcpy(chord, p, n);
			chord[n] = '\0';
			rc = add_chord(t, chord, err);
		}
		p += n;
		if (*p == '\0')
			break;
	}
	if (rc < 0)
		t->nr = 0;
	return rc;
}

uint64_t typist_step(struct typist *t, uint64_t now, int *ret_rc)
{
	*ret_rc = 0;
	if (!typist_busy(t))
		return 0;
	if (now < t->next_ns)
		return t->next_ns;
	t->next_ns = now + STEP_NS;
	if (input_room(t->input) >= ROOM) {
		t->stuck_ns = 0;
		input_key(t->input, t->event[t->at].key, t->event[t->at].down != 0);
		t->at++;
		return typist_busy(t) ? t->next_ns : 0;
	}
	if (t->stuck_ns == 0)
		t->stuck_ns = now;
	if (now - t->stuck_ns < PATIENCE_NS)
		return t->next_ns;
	/* What is down goes up again as soon as it can. */
	input_release(t->input);
	t->at = t->nr = 0;
	*ret_rc = -ETIMEDOUT;
	return 0;
}
