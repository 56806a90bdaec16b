/*
 * offer.c - which devices exist, and what the guest knows of them
 *
 * A relid is the guest's name for a channel, and the number of its event flag.
 * Once the guest has seen one it is not given to another channel until the
 * guest has released it, or its session has ended: some guests (Microsoft's
 * firmware) never release, they leave.
 *
 * A device that is removed is not silent at once.  Linux's drivers wait without
 * a timeout for the completion of what they have sent, and for the answers of
 * their setup, before they close the channel; so whoever is behind it goes on
 * answering until then, for as long as the host has patience.  A guest that
 * takes no message hears nothing, and holds up nobody.
 *
 * Spec     OfferChannel, AllOffersDelivered, Rescind, RelIdReleased
 * Lock     vmbus.lock
 */
#include "vmbus/vmbus_priv.h"

#include <stdlib.h>

static int relid_alloc(struct vmbus *b, uint32_t *ret_relid)
{
	for (uint32_t i = 1; i < NR_RELIDS; i++) {
		if (b->chans[i] != NULL)
			continue;
		*ret_relid = i;
		return 0;
	}
	return -ENOSPC;
}

/* Adds a channel to its device; the guest hears of it by offer_send. */
static int offer_add(struct vdev *d, unsigned index, struct chan **ret_c)
{
	struct vmbus *b = d->bus;
	struct chan *c;
	uint32_t relid;
	int rc = relid_alloc(b, &relid);

	if (rc < 0)
		return rc;
	rc = chan_new(d, relid, index, &c);
	if (rc < 0)
		return rc;
	b->chans[relid] = c;
	d->nr_chans++;
	atomic_store(&b->owner[relid], (uint8_t)(c->worker->index + 1));
	*ret_c = c;
	return 0;
}

static void offer_drop(struct chan *c)
{
	struct vmbus *b = c->bus;

	BUG_IF(c->open);
	b->chans[c->relid] = NULL;
	atomic_store(&b->owner[c->relid], 0);
	if (--c->dev->nr_chans == 0) {
		pthread_cond_broadcast(&b->released);
		if (c->dev->gone)
			free(c->dev);
	}
	chan_free(c);
}

static struct vmbus_offer offer_message(const struct chan *c)
{
	const struct vdev *d = c->dev;
	struct vmbus_offer o = {
		.hdr.type = le32_of(VMBUS_OFFER_CHANNEL),
		.type = d->ops->type,
		.instance = d->instance,
		.flags = le16_of(d->ops->offer_flags),
		.mmio_mb = le16_of(d->ops->mmio_mb),
		.sub_index = le16_of((uint16_t)c->index),
		.relid = le32_of(c->relid),
		.monitor_id = 0xff,
		.dedicated = le16_of(c->bus->ses.version >= VMBUS_V1_1),
		.connection_id = le32_of(VMBUS_CONN_CHANNEL + c->relid),
	};

	memcpy(o.user, d->user, sizeof(o.user));
	return o;
}

static int offer_send(struct chan *c, bool ours)
{
	struct vmbus *b = c->bus;
	struct vmbus_offer o = offer_message(c);
	int rc = msgq_push(b, b->ses.vp, b->ses.sint, &o, sizeof(o), ours);

	if (rc == 0)
		c->known = true;
	return rc;
}

struct chan *offer_find(struct vmbus *b, uint32_t relid)
{
	struct chan *c = relid < NR_RELIDS ? b->chans[relid] : NULL;

	return c != NULL && c->known ? c : NULL;
}

/* In relid order, and nothing may come between the first and the last: iPXE. */
void offer_on_request(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_hdr end = { .type = le32_of(VMBUS_ALL_OFFERS_DELIVERED) };

	(void)m;
	(void)n;
	if (b->ses.offered) {
		log_guest(&b->limit, "vmbus", "offers requested twice in one session");
		return;
	}
	pthread_mutex_lock(&b->lock);
	b->ses.offered = true;
	for (uint32_t i = 1; i < NR_RELIDS; i++)
		if (b->chans[i] != NULL && !b->chans[i]->known)
			BUG_IF(offer_send(b->chans[i], true) < 0);
	control_send(b, &end, sizeof(end));
	pthread_mutex_unlock(&b->lock);
}

void offer_rescind(struct chan *c)
{
	struct vmbus_relid_msg r = {
		.hdr.type = le32_of(VMBUS_RESCIND_OFFER),
		.relid = le32_of(c->relid),
	};

	if (!c->known) {
		offer_drop(c);
		return;
	}
	if (c->rescinded)
		return;
	c->rescinded = true;
	if (c->dev->removing && msgq_free_slots(c->bus) < MSGQ_HOST)
		log_guest(&c->bus->limit, "vmbus", "the guest takes no messages, nor this one: channel %u "
			  "is rescinded", c->relid);
	else
		control_send(c->bus, &r, sizeof(r));
}

void offer_rescind_subs(struct vmbus *b, struct vdev *d)
{
	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 1; i < NR_RELIDS; i++) {
		struct chan *c = b->chans[i];

		if (c != NULL && c->dev == d && c->index != 0)
			offer_rescind(c);
	}
	pthread_mutex_unlock(&b->lock);
}

void offer_forget(struct vmbus *b)
{
	for (uint32_t i = 1; i < NR_RELIDS; i++) {
		struct chan *c = b->chans[i];

		if (c == NULL)
			continue;
		c->known = false;
		if (c->index != 0 || c->rescinded)
			offer_drop(c);
	}
}

void offer_on_released(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_relid_msg g;
	struct chan *c;

	(void)n;
	memcpy(&g, m, sizeof(g));
	pthread_mutex_lock(&b->lock);
	c = offer_find(b, le32_get(g.relid));
	pthread_mutex_unlock(&b->lock);
	if (c == NULL || !c->rescinded) {
		log_guest(&b->limit, "vmbus", "channel %u released without need",
			  le32_get(g.relid));
		return;
	}
	chan_close(c);			/* only a confused guest left it open */
	gpadl_drop(b, c->relid);
	pthread_mutex_lock(&b->lock);
	offer_drop(c);
	pthread_mutex_unlock(&b->lock);
}

/* The host's side: devices come and go. */

struct offer_job {
	struct vdev *dev;
	int rc;
};

static void offer_add_job(void *arg)
{
	struct offer_job *job = arg;
	struct vmbus *b = job->dev->bus;
	struct chan *c = NULL;

	pthread_mutex_lock(&b->lock);
	job->rc = msgq_free_slots(b) < MSGQ_HOST ? -EBUSY : offer_add(job->dev, 0, &c);
	if (job->rc == 0 && b->ses.connected && b->ses.offered)
		BUG_IF(offer_send(c, true) < 0);
	pthread_mutex_unlock(&b->lock);
}

int vdev_offer(struct vmbus *b, const struct chan_ops *ops, void *self, const struct guid *instance,
	       const uint8_t *user, struct vdev **ret_d, struct err *err)
{
	struct vdev *d = new0(struct vdev);
	struct offer_job job = { .dev = d };

	if (d == NULL)
		return err_set(err, -ENOMEM, "%s: no memory for a channel", ops->name);
	d->bus = b;
	d->ops = ops;
	d->self = self;
	d->instance = *instance;
	if (user != NULL)
		memcpy(d->user, user, sizeof(d->user));
	control_run(b, offer_add_job, &job);
	if (job.rc < 0) {
		free(d);
		return err_set(err, job.rc, "%s: %s", ops->name, job.rc == -EBUSY ?
			       "the guest takes no messages" : "the bus has no channel left");
	}
	*ret_d = d;
	return 0;
}

static void offer_remove_job(void *arg)
{
	struct vdev *d = arg;
	struct vmbus *b = d->bus;

	pthread_mutex_lock(&b->lock);
	d->removing = true;
	/* Sub-channels have the higher relids as a rule, and go first. */
	for (uint32_t i = NR_RELIDS - 1; i > 0; i--)
		if (b->chans[i] != NULL && b->chans[i]->dev == d)
			offer_rescind(b->chans[i]);
	pthread_mutex_unlock(&b->lock);
}

struct offer_leave {
	struct vdev *dev;
	bool released;			/* nothing is left: it is still the caller's to free */
};

/* What its channels were lent is ours no more; what is left of them has nobody behind it. */
static void offer_abandon_job(void *arg)
{
	static const struct chan_ops nobody = { .name = "removed" };
	struct offer_leave *leave = arg;
	struct vdev *d = leave->dev;
	struct vmbus *b = d->bus;

	for (uint32_t i = 1; i < NR_RELIDS; i++) {
		struct chan *c = b->chans[i];

		if (c == NULL || c->dev != d)
			continue;
		chan_close(c);
		gpadl_drop(b, i);
	}
	pthread_mutex_lock(&b->lock);
	leave->released = d->nr_chans == 0;
	d->ops = &nobody;
	d->self = NULL;
	d->gone = true;
	pthread_mutex_unlock(&b->lock);
}

/* True: it has lost its last channel. */
static bool offer_wait_released(struct vdev *d, uint64_t patience_ns)
{
	uint64_t at = base_monotonic_ns() + patience_ns;
	struct timespec until = { (time_t)(at / NS_PER_SEC), (long)(at % NS_PER_SEC) };
	struct vmbus *b = d->bus;
	bool released;
	int rc = 0;

	pthread_mutex_lock(&b->lock);
	while (d->nr_chans != 0 && patience_ns != 0 && rc == 0)
		rc = pthread_cond_timedwait(&b->released, &b->lock, &until);
	released = d->nr_chans == 0;
	pthread_mutex_unlock(&b->lock);
	return released;
}

bool vdev_remove(struct vdev *d, uint64_t patience_ns)
{
	struct offer_leave leave = { .dev = d };

	if (d == NULL)
		return true;
	control_run(d->bus, offer_remove_job, d);
	if (!offer_wait_released(d, patience_ns))
		control_run(d->bus, offer_abandon_job, &leave);
	else
		leave.released = true;
	if (leave.released)
		free(d);
	return leave.released;
}

/* Live sub-channels of D; the next index follows them. */
static unsigned offer_count_subs(struct vmbus *b, const struct vdev *d)
{
	unsigned nr = 0;

	for (uint32_t i = 1; i < NR_RELIDS; i++) {
		const struct chan *c = b->chans[i];

		nr += c != NULL && c->dev == d && c->index != 0 && !c->rescinded;
	}
	return nr;
}

static int offer_subs_locked(struct chan *primary, unsigned n)
{
	struct vdev *d = primary->dev;
	struct vmbus *b = d->bus;
	unsigned have = offer_count_subs(b, d);
	struct chan *c;
	int rc = 0;

	if (!b->ses.connected || !primary->open || primary->rescinded || d->removing)
		return -EPIPE;
	if (n > d->ops->max_sub || have > d->ops->max_sub - n)
		return -EINVAL;
	/* Rescinded ones that the guest never released still cost us. */
	if (d->nr_chans + n > 2 * d->ops->max_sub + 1)
		return -ENOSPC;
	for (unsigned i = 0; i < n && rc == 0; i++) {
		rc = offer_add(d, have + i + 1, &c);
		if (rc < 0)
			break;
		rc = offer_send(c, false);
		if (rc < 0)
			offer_drop(c);
	}
	return rc;
}

int chan_offer_subs(struct chan *c, unsigned n)
{
	struct vmbus *b = c->bus;
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = c->index == 0 ? offer_subs_locked(c, n) : -EINVAL;
	pthread_mutex_unlock(&b->lock);
	return rc;
}
