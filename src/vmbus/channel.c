/*
 * channel.c - an open channel: reading, writing, signalling
 *
 * The reading side and the device's callbacks belong to the channel's worker.
 * The writing side is shared by every thread that completes I/O, under
 * out.lock.  A ring that makes no sense kills the channel, not the process:
 * the device is closed at once and the channel stays deaf until the guest
 * closes and opens it again.
 *
 * Spec     VMBus ring signalling; event flags from 2.4, interrupt page before
 * Lock     out.lock for the writing side, else [worker]
 */
#include "vmbus/chan_priv.h"

#include <stdlib.h>

#define POLL_BUDGET 64			/* packets before another channel's turn */
#define LINGER_NS 15000u		/* how long the end of a ring is watched before we say what is done */

int chan_new(struct vdev *d, uint32_t relid, unsigned index, struct chan **ret_c)
{
	struct chan *c = new0(struct chan);

	if (c == NULL)
		return -ENOMEM;
	c->dev = d;
	c->bus = d->bus;
	c->relid = relid;
	c->index = index;
	c->worker = &d->bus->workers[relid % d->bus->nr_workers];
	c->out.shut = true;
	c->out.last = &c->out.first;
	pthread_mutex_init(&c->out.lock, NULL);
	*ret_c = c;
	return 0;
}

void chan_free(struct chan *c)
{
	pthread_mutex_destroy(&c->out.lock);
	free(c);
}

unsigned chan_index(const struct chan *c)
{
	return c->index;
}

unsigned chan_target_vp(const struct chan *c)
{
	return atomic_load(&c->target_vp);
}

struct gmem *chan_mem(const struct chan *c)
{
	return c->bus->mem;
}

/* Writing; all under out.lock. */

void chan_interrupt(struct chan *c)
{
	struct chan_out *o = &c->out;
	struct vmbus *b = c->bus;
	uint32_t old;

	if (o->muted || o->vp == VMBUS_NO_VP)
		return;
	if (!o->legacy) {
		b->port->event(b->self, o->vp, o->sint, c->relid);
		return;
	}
	/* The page was RAM when the session began, and RAM does not go away. */
	if (gmem_or32(b->mem, o->int_page + c->relid / 32 * 4, 1u << (c->relid % 32), &old) == 0)
		b->port->event(b->self, o->vp, o->sint, 0);
}

static void chan_break(struct chan *c)
{
	c->out.shut = true;
	atomic_store(&c->broken, true);
	vworker_kick(c->worker, c->relid);
}

/* 0, -EAGAIN, or -EPIPE with the channel broken. */
static int chan_put(struct chan *c, const struct pkt *p)
{
	struct chan_out *o = &c->out;
	bool signal = false;
	int rc = ring_out_put(&o->ring, p, &signal);

	if (rc == 0 && (signal || o->owed)) {
		o->owed = o->soon;
		if (!o->owed)
			chan_interrupt(c);
	}
	if (rc == 0 || rc == -EAGAIN)
		return rc;
	chan_break(c);
	return -EPIPE;
}

static int chan_want(struct chan_out *o, uint32_t n)
{
	o->wanting = true;
	return ring_out_want(&o->ring, n);
}

static int chan_unwant(struct chan_out *o)
{
	if (!o->wanting)
		return 0;
	o->wanting = false;
	return ring_out_unwant(&o->ring);
}

/*
 * No room: leaves word in the ring and looks once more, for the guest may
 * have read everything in between and would not look at the word again.
 */
static int chan_put_or_want(struct chan *c, const struct pkt *p)
{
	struct chan_out *o = &c->out;
	int rc = chan_put(c, p);

	if (rc != -EAGAIN)
		return rc;
	if (chan_want(o, p->len) < 0) {
		chan_break(c);
		return -EPIPE;
	}
	rc = chan_put(c, p);
	if (rc == 0 && o->first == NULL && !o->want_room && chan_unwant(o) < 0)
		chan_break(c);
	return rc;
}

int chan_send(struct chan *c, uint16_t type, uint64_t id, bool want_comp, const void *body,
	      uint32_t n)
{
	struct pkt p = { .type = type, .flags = want_comp, .id = id, .data = body, .len = n };
	struct chan_out *o = &c->out;
	int rc = -EPIPE;

	pthread_mutex_lock(&o->lock);
	if (!o->shut && !ring_out_can_hold(&o->ring, n))
		rc = -EMSGSIZE;
	else if (!o->shut)
		rc = o->first != NULL ? -EAGAIN : chan_put_or_want(c, &p);
	if (rc == -EAGAIN) {
		o->want_room = true;
		o->want_len = n;
		vworker_kick(c->worker, c->relid);
	}
	pthread_mutex_unlock(&o->lock);
	return rc;
}

static bool chan_queue(struct chan_out *o, uint64_t id, const void *body, uint32_t n)
{
	struct comp *q = base_new0(sizeof(*q) + n);

	if (q == NULL)
		return false;
	q->id = id;
	q->len = n;
	memcpy(q->body, body, n);
	*o->last = q;
	o->last = &q->next;
	return true;
}

static void complete(struct chan *c, uint64_t id, const void *body, uint32_t n, bool soon)
{
	struct pkt p = { .type = VMPKT_COMP, .id = id, .data = body, .len = n };
	struct chan_out *o = &c->out;
	int rc;

	pthread_mutex_lock(&o->lock);
	o->soon = soon;
	if (!o->shut && !ring_out_can_hold(&o->ring, n))
		chan_break(c);
	if (!o->shut) {
		rc = o->first != NULL ? -EAGAIN : chan_put_or_want(c, &p);
		if (rc == -EAGAIN) {
			if (chan_queue(o, id, body, n))
				vworker_kick(c->worker, c->relid);
			else
				chan_break(c);
		}
	}
	o->soon = false;
	pthread_mutex_unlock(&o->lock);
}

void chan_complete(struct chan *c, uint64_t id, const void *body, uint32_t n)
{
	complete(c, id, body, n, false);
}

void chan_complete_soon(struct chan *c, uint64_t id, const void *body, uint32_t n)
{
	complete(c, id, body, n, true);
}

/* Sends waiting completions; on return *ret_room says that a sender may try. */
static int chan_flush(struct chan *c, bool *ret_room)
{
	struct chan_out *o = &c->out;
	int rc = 0;

	*ret_room = false;
	while (o->first != NULL) {
		struct comp *q = o->first;
		struct pkt p = { .type = VMPKT_COMP, .id = q->id, .data = q->body, .len = q->len };

		rc = chan_put_or_want(c, &p);
		if (rc < 0)
			return rc == -EAGAIN ? 0 : rc;
		o->first = q->next;
		if (o->first == NULL)
			o->last = &o->first;
		free(q);
	}
	if (o->want_room) {
		rc = ring_out_has_room(&o->ring, o->want_len);
		if (rc == 0) {
			rc = chan_want(o, o->want_len);
			if (rc == 0)
				rc = ring_out_has_room(&o->ring, o->want_len);
		}
		if (rc <= 0)
			return rc;
		o->want_room = false;
		*ret_room = true;
	}
	return chan_unwant(o);
}

/* Reading; on the worker. */

static void chan_set_blocked(struct chan *c, bool blocked)
{
	if (blocked && !c->blocked)
		c->worker->nr_blocked++;
	else if (!blocked && c->blocked)
		c->worker->nr_blocked--;
	c->blocked = blocked;
}

void chan_stop(struct chan *c)
{
	const struct chan_ops *ops = c->dev->ops;

	pthread_mutex_lock(&c->out.lock);
	c->out.shut = true;
	c->out.owed = false;
	pthread_mutex_unlock(&c->out.lock);
	chan_set_blocked(c, false);
	if (!c->running)
		return;
	c->running = false;
	c->worker->chans[c->relid] = NULL;
	if (ops->close != NULL)
		ops->close(c->dev->self, c);
}

void chan_fail(struct chan *c)
{
	if (!c->running)
		return;
	log_guest(&c->limit, c->dev->ops->name, "channel %u: the guest broke its rings", c->relid);
	chan_stop(c);
}

static bool chan_backlog(struct chan *c)
{
	bool backlog;

	pthread_mutex_lock(&c->out.lock);
	backlog = c->out.first != NULL;
	pthread_mutex_unlock(&c->out.lock);
	return backlog;
}

static bool pkt_is_known(uint16_t type)
{
	switch (type) {
	case VMPKT_INBAND:
	case VMPKT_XFER_PAGES:
	case VMPKT_GPA_DIRECT:
	case VMPKT_CANCEL:
	case VMPKT_COMP:
		return true;
	default:
		return false;		/* additional data, batches: ignored by every host */
	}
}

static bool chan_owes(struct chan *c)
{
	bool owed;

	pthread_mutex_lock(&c->out.lock);
	owed = c->out.owed;
	pthread_mutex_unlock(&c->out.lock);
	return owed;
}

static void chan_pay(struct chan *c)
{
	pthread_mutex_lock(&c->out.lock);
	if (c->out.owed && !c->out.shut)
		chan_interrupt(c);
	c->out.owed = false;
	pthread_mutex_unlock(&c->out.lock);
}

/* The ring is empty, and the guest writes without a signal: true when it did so in a while. */
static bool chan_linger(struct chan *c)
{
	uint64_t end = base_monotonic_ns() + LINGER_NS;

	do {
		if (ring_in_ready(&c->in) != 0)
			return true;
		__builtin_ia32_pause();
	} while (!vworker_has_signal(c->worker) && base_monotonic_ns() < end);
	return false;
}

/* Reads until empty, or until it is another channel's turn (1). */
static int chan_read_some(struct chan *c)
{
	int rc = ring_in_mask(&c->in, true);

	for (unsigned i = 0; rc == 0; i++) {
		bool signal = false;
		struct pkt p;

		if (c->paused)
			return 0;	/* deaf: chan_go looks by itself */
		if (i == POLL_BUDGET || chan_backlog(c)) {
			rc = ring_in_mask(&c->in, false);
			return rc < 0 ? rc : i == POLL_BUDGET;
		}
		rc = ring_in_next(&c->in, &c->buf, &p, &signal);
		if (rc == -EAGAIN) {
			rc = 0;
			if (chan_owes(c) && chan_linger(c))
				continue;
			chan_pay(c);
			/* Open the ears first, look once more then: or a packet sleeps. */
			rc = ring_in_mask(&c->in, false);
			if (rc == 0)
				rc = ring_in_ready(&c->in);
			if (rc <= 0)
				return rc;
			rc = ring_in_mask(&c->in, true);
			continue;
		}
		if (rc < 0)
			return rc;
		if (signal) {
			pthread_mutex_lock(&c->out.lock);
			chan_interrupt(c);
			pthread_mutex_unlock(&c->out.lock);
		}
		if (pkt_is_known(p.type))
			c->dev->ops->packet(c->dev->self, c, &p);
		if (atomic_load(&c->broken))
			return -EPROTO;
	}
	return rc;
}

static int chan_read(struct chan *c)
{
	int rc = chan_read_some(c);

	if (chan_owes(c))
		chan_pay(c);
	return rc;
}

void chan_pause(struct chan *c)
{
	c->paused = true;
}

void chan_go(struct chan *c)
{
	if (!atomic_exchange(&c->go, true))
		vworker_kick(c->worker, c->relid);
}

static void chan_resume(struct chan *c)
{
	if (!atomic_load(&c->go))
		return;
	atomic_store(&c->go, false);	/* before the call: a later one is another */
	c->paused = false;
	if (c->dev->ops->go != NULL)
		c->dev->ops->go(c->dev->self, c);
}

void chan_poll(struct chan *c)
{
	bool room = false, waits;
	int rc;

	if (!c->running)
		return;
	pthread_mutex_lock(&c->out.lock);
	rc = c->out.shut ? -EPROTO : chan_flush(c, &room);
	pthread_mutex_unlock(&c->out.lock);
	if (rc == 0 && room && c->dev->ops->room != NULL)
		c->dev->ops->room(c->dev->self, c);
	if (rc == 0)
		chan_resume(c);
	if (rc == 0 && !chan_backlog(c))
		rc = chan_read(c);
	else
		chan_pay(c);
	if (rc < 0 || atomic_load(&c->broken)) {
		chan_fail(c);
		return;
	}
	if (rc > 0)			/* more to read: come back after the others */
		vworker_kick(c->worker, c->relid);
	pthread_mutex_lock(&c->out.lock);
	waits = c->out.first != NULL || c->out.want_room;
	pthread_mutex_unlock(&c->out.lock);
	chan_set_blocked(c, waits);
}
