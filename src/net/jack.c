/*
 * jack.c - where an adapter's cable goes in
 *
 * What is sent when nothing is plugged in is taken and lost, as by any wire
 * that ends nowhere.  A sender waits for whoever plugs, and he for no more than
 * the port_send that has begun; what arrives waits for nobody, as a port is let
 * go of (bind) before anything changes.
 *
 * Who was told to wait for resume, or owes port_room, hears of neither from a
 * port that is gone: so resume is called whenever something changes.
 *
 * Lock     jack.lock for reading around every use of the port, for writing
 *          around its change; the owner's functions never take it.  A leaf
 *          for the question that may be asked under any lock
 */
#include "net/jack.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jack {
	struct port port;		/* the owner's */
	pthread_rwlock_t lock;
	struct port *plugged;		/* [lock and leaf to write, borrowed] NULL: nothing */
	pthread_mutex_t leaf;		/* for who holds a lock of the owner's */
	bool out;			/* [lock] */
	bool bound;			/* [lock] the client is bound to plugged */
	const struct port_client *client;	/* [lock] NULL: no owner */
	void *dev;			/* [lock] */
	struct port_caps caps;		/* [lock] */
	atomic_bool up;
};

static struct jack *jack_of(struct port *p)
{
	return CONTAINER_OF(p, struct jack, port);
}

/* ---- what the switch says ------------------------------------------------------- */

static int jack_deliver(void *dev, const struct net_frame *f)
{
	const struct jack *j = dev;

	return j->client->deliver(j->dev, f);
}

static void jack_deliver_end(void *dev)
{
	const struct jack *j = dev;

	if (j->client->deliver_end != NULL)
		j->client->deliver_end(j->dev);
}

static void jack_resume(void *dev)
{
	const struct jack *j = dev;

	j->client->resume(j->dev);
}

static void jack_link(void *dev, bool up, uint64_t bps)
{
	struct jack *j = dev;

	atomic_store(&j->up, up);
	if (j->client->link != NULL)
		j->client->link(j->dev, up, bps);
}

/* The client changes only while this is bound nowhere. */
static const struct port_client jack_client = {
	.deliver = jack_deliver,
	.deliver_end = jack_deliver_end,
	.resume = jack_resume,
	.link = jack_link,
};

/* ---- what the owner says -------------------------------------------------------- */

static unsigned jack_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	struct jack *j = jack_of(p);

	pthread_rwlock_rdlock(&j->lock);
	if (j->bound)
		nr = port_send(j->plugged, f, nr);
	pthread_rwlock_unlock(&j->lock);
	return nr;
}

static void jack_room(struct port *p)
{
	struct jack *j = jack_of(p);

	pthread_rwlock_rdlock(&j->lock);
	if (j->bound)
		port_room(j->plugged);
	pthread_rwlock_unlock(&j->lock);
}

static void jack_carrier(struct port *p, bool there)
{
	struct jack *j = jack_of(p);

	pthread_rwlock_rdlock(&j->lock);
	if (j->bound)
		port_carrier(j->plugged, there);
	pthread_rwlock_unlock(&j->lock);
}

static void jack_set_caps(struct port *p, const struct port_caps *caps)
{
	struct jack *j = jack_of(p);

	pthread_rwlock_wrlock(&j->lock);
	j->caps = *caps;
	if (j->bound)
		port_set_caps(j->plugged, caps);
	pthread_rwlock_unlock(&j->lock);
}

/* For writing, and so the next one. */
static void let_go(struct jack *j)
{
	if (j->bound)
		port_bind(j->plugged, NULL, NULL, NULL);
	j->bound = false;
	if (j->client != NULL) {
		jack_link(j, false, 0);
		j->client->resume(j->dev);
	}
}

static void take_hold(struct jack *j)
{
	j->bound = j->client != NULL && j->plugged != NULL && !j->out;
	if (j->bound) {
		port_bind(j->plugged, &jack_client, j, &j->caps);
		j->client->resume(j->dev);
	}
}

static void jack_bind(struct port *p, const struct port_client *client, void *dev, const struct port_caps *caps)
{
	struct jack *j = jack_of(p);

	pthread_rwlock_wrlock(&j->lock);
	if (j->bound)
		port_bind(j->plugged, NULL, NULL, NULL);
	j->bound = false;
	j->client = client;
	j->dev = dev;
	if (caps != NULL)
		j->caps = *caps;
	if (client != NULL)
		jack_link(j, false, 0);
	take_hold(j);
	pthread_rwlock_unlock(&j->lock);
}

static bool jack_may_spoof(const struct port *p)
{
	struct jack *j = jack_of((struct port *)(uintptr_t)p);
	bool may;

	pthread_mutex_lock(&j->leaf);
	may = j->plugged != NULL && port_may_spoof(j->plugged);
	pthread_mutex_unlock(&j->leaf);
	return may;
}

static const struct port_ops jack_ops = {
	.send = jack_send, .room = jack_room, .bind = jack_bind, .set_caps = jack_set_caps,
	.carrier = jack_carrier, .may_spoof = jack_may_spoof,
};

/* ---- who plugs ------------------------------------------------------------------ */

void jack_plug(struct jack *j, struct port *p)
{
	pthread_rwlock_wrlock(&j->lock);
	let_go(j);
	pthread_mutex_lock(&j->leaf);
	j->plugged = p;
	pthread_mutex_unlock(&j->leaf);
	take_hold(j);
	pthread_rwlock_unlock(&j->lock);
}

void jack_cable(struct jack *j, bool in)
{
	pthread_rwlock_wrlock(&j->lock);
	if (j->out == in) {
		let_go(j);
		j->out = !in;
		take_hold(j);
	}
	pthread_rwlock_unlock(&j->lock);
}

bool jack_is_up(struct jack *j)
{
	return atomic_load(&j->up);
}

int jack_new(const uint8_t mac[6], const char *name, struct jack **ret_j)
{
	struct jack *j = new0(struct jack);
	pthread_rwlockattr_t attr;

	if (j == NULL)
		return -ENOMEM;
	/* A guest that never stops sending does not keep its cable from being pulled. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&j->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&j->leaf, NULL);
	j->port.ops = &jack_ops;
	memcpy(j->port.mac, mac, 6);
	snprintf(j->port.name, sizeof(j->port.name), "%s", name);
	*ret_j = j;
	return 0;
}

void jack_free(struct jack *j)
{
	if (j == NULL)
		return;
	BUG_IF(j->client != NULL || j->plugged != NULL);
	pthread_rwlock_destroy(&j->lock);
	pthread_mutex_destroy(&j->leaf);
	free(j);
}

struct port *jack_port(struct jack *j)
{
	return &j->port;
}
