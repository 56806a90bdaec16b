/*
 * input.c - hands keys and pointer events to whom they belong
 *
 * Lock     in->lock, outside of the chip lock
 */
#include "dev/input.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NR_KEYS 257u			/* plain, E0, Pause */

struct input {
	pthread_mutex_t lock;
	const struct input_sink *sink[INPUT_MAX_SINKS];	/* [lock] oldest first */
	unsigned nr;
	bool down[NR_KEYS];		/* [lock] */
	struct input_motion last;	/* [lock] */
};

int input_new(struct input **ret_in)
{
	struct input *in = new0(struct input);

	if (in == NULL)
		return -ENOMEM;
	pthread_mutex_init(&in->lock, NULL);
	*ret_in = in;
	return 0;
}

void input_free(struct input *in)
{
	if (in == NULL)
		return;
	pthread_mutex_destroy(&in->lock);
	free(in);
}

int input_attach(struct input *in, const struct input_sink *s)
{
	int rc = -ENOSPC;

	pthread_mutex_lock(&in->lock);
	if (in->nr < INPUT_MAX_SINKS) {
		in->sink[in->nr++] = s;
		rc = 0;
	}
	pthread_mutex_unlock(&in->lock);
	return rc;
}

void input_detach(struct input *in, const struct input_sink *s)
{
	unsigned keep = 0;

	pthread_mutex_lock(&in->lock);
	for (unsigned i = 0; i < in->nr; i++)
		if (in->sink[i] != s)
			in->sink[keep++] = in->sink[i];
	in->nr = keep;
	pthread_mutex_unlock(&in->lock);
}

bool input_is_key(unsigned key)
{
	unsigned low = key & 0xff;

	return key == INPUT_PAUSE ||
	       ((key == low || key == (INPUT_E0 | low)) && low >= 1 && low <= 0x7f);
}

static unsigned slot_of(unsigned key)
{
	return key == INPUT_PAUSE ? NR_KEYS - 1 : (key & 0x7f) | (key >= INPUT_E0 ? 0x80 : 0);
}

static unsigned key_of(unsigned slot)
{
	if (slot == NR_KEYS - 1)
		return INPUT_PAUSE;
	return (slot & 0x7f) | (slot >= 0x80 ? INPUT_E0 : 0);
}

/* Caller holds the lock. */
static const struct input_sink *keyboard(const struct input *in)
{
	for (unsigned i = in->nr; i-- > 0;)
		if (in->sink[i]->key != NULL)
			return in->sink[i];
	return NULL;
}

static const struct input_sink *pointer(const struct input *in)
{
	for (unsigned i = in->nr; i-- > 0;)
		if (in->sink[i]->pointer != NULL)
			return in->sink[i];
	return NULL;
}

static void send_key(struct input *in, unsigned key, bool down)
{
	const struct input_sink *s = keyboard(in);

	/* A key that is down may come again (it repeats), one that is up does not go up. */
	if (!down && !in->down[slot_of(key)])
		return;
	in->down[slot_of(key)] = down;
	if (s != NULL)
		s->key(s->dev, key, down);
}

void input_key(struct input *in, unsigned key, bool down)
{
	if (!input_is_key(key))
		return;
	pthread_mutex_lock(&in->lock);
	send_key(in, key, down);
	pthread_mutex_unlock(&in->lock);
}

static void send_pointer(struct input *in, const struct input_motion *m)
{
	const struct input_sink *s = pointer(in);

	in->last = *m;
	if (s != NULL)
		s->pointer(s->dev, m);
}

void input_pointer(struct input *in, const struct input_motion *m)
{
	pthread_mutex_lock(&in->lock);
	send_pointer(in, m);
	pthread_mutex_unlock(&in->lock);
}

unsigned input_room(struct input *in)
{
	const struct input_sink *s;
	unsigned n = 0;

	pthread_mutex_lock(&in->lock);
	s = keyboard(in);
	if (s != NULL)
		n = s->room == NULL ? 16 : s->room(s->dev);
	pthread_mutex_unlock(&in->lock);
	return n;
}

bool input_has_keyboard(struct input *in)
{
	bool has;

	pthread_mutex_lock(&in->lock);
	has = keyboard(in) != NULL;
	pthread_mutex_unlock(&in->lock);
	return has;
}

bool input_has_pointer(struct input *in)
{
	bool has;

	pthread_mutex_lock(&in->lock);
	has = pointer(in) != NULL;
	pthread_mutex_unlock(&in->lock);
	return has;
}

void input_release(struct input *in)
{
	struct input_motion m;

	pthread_mutex_lock(&in->lock);
	for (unsigned i = 0; i < NR_KEYS; i++)
		if (in->down[i])
			send_key(in, key_of(i), false);
	m = in->last;
	m.dx = m.dy = m.wheel = 0;
	if (m.buttons != 0) {
		m.buttons = 0;
		send_pointer(in, &m);
	}
	pthread_mutex_unlock(&in->lock);
}
