/*
 * capture.c - a port in front of a port, that writes down what passes
 *
 * Only what was taken is written: a frame that found no room comes again and
 * would be there twice.  A frame's time is that of the call, so that an
 * answer is never older than what it answers, even where it is written first.
 *
 * Lock     capture.lock for reading around every use of the file, for writing
 *          around its change; none while there is no file.  The owner's half
 *          is set while nothing passes (port.h says so of bind)
 */
#include "net/capture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct capture {
	struct port port;		/* the owner's */
	struct port *inner;		/* [const, borrowed] the switch's */
	pthread_rwlock_t lock;
	_Atomic(struct pcapng *) file;	/* [lock, borrowed] NULL: nothing is written */
	int interface;			/* [lock] */
	const struct port_client *client;
	void *dev;
};

static bool is_on(struct capture *c)
{
	return atomic_load_explicit(&c->file, memory_order_relaxed) != NULL;
}

static void put(struct capture *c, uint64_t when, enum pcapng_dir dir, const struct net_frame *f, unsigned nr)
{
	struct pcapng *file;

	pthread_rwlock_rdlock(&c->lock);
	file = atomic_load(&c->file);
	for (unsigned i = 0; i < nr && file != NULL; i++)
		pcapng_put(file, c->interface, when, dir, &f[i]);
	pthread_rwlock_unlock(&c->lock);
}

static unsigned capture_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	struct capture *c = CONTAINER_OF(p, struct capture, port);
	uint64_t now;

	if (!is_on(c))
		return port_send(c->inner, f, nr);
	now = pcapng_now();
	nr = port_send(c->inner, f, nr);
	put(c, now, PCAPNG_OUT, f, nr);
	return nr;
}

static void capture_room(struct port *p)
{
	port_room(CONTAINER_OF(p, struct capture, port)->inner);
}

static int capture_deliver(void *dev, const struct net_frame *f)
{
	struct capture *c = dev;
	uint64_t now;
	int rc;

	if (!is_on(c))
		return c->client->deliver(c->dev, f);
	now = pcapng_now();
	rc = c->client->deliver(c->dev, f);
	if (rc == 0)
		put(c, now, PCAPNG_IN, f, 1);
	return rc;
}

static void capture_deliver_end(void *dev)
{
	const struct capture *c = dev;

	if (c->client->deliver_end != NULL)
		c->client->deliver_end(c->dev);
}

static void capture_resume(void *dev)
{
	const struct capture *c = dev;

	c->client->resume(c->dev);
}

static void capture_link(void *dev, bool up, uint64_t bps)
{
	const struct capture *c = dev;

	if (c->client->link != NULL)
		c->client->link(c->dev, up, bps);
}

static const struct port_client capture_client = {
	.deliver = capture_deliver,
	.deliver_end = capture_deliver_end,
	.resume = capture_resume,
	.link = capture_link,
};

static void capture_bind(struct port *p, const struct port_client *client, void *dev,
			 const struct port_caps *caps)
{
	struct capture *c = CONTAINER_OF(p, struct capture, port);

	port_bind(c->inner, NULL, NULL, NULL);		/* nobody looks at client from here on */
	c->client = client;
	c->dev = dev;
	if (client != NULL)
		port_bind(c->inner, &capture_client, c, caps);
}

static void capture_set_caps(struct port *p, const struct port_caps *caps)
{
	port_set_caps(CONTAINER_OF(p, struct capture, port)->inner, caps);
}

static void capture_carrier(struct port *p, bool there)
{
	port_carrier(CONTAINER_OF(p, struct capture, port)->inner, there);
}

static bool capture_may_spoof(const struct port *p)
{
	return port_may_spoof(((const struct capture *)p)->inner);
}

static const struct port_ops capture_ops = {
	.carrier = capture_carrier,
	.may_spoof = capture_may_spoof,
	.send = capture_send,
	.room = capture_room,
	.bind = capture_bind,
	.set_caps = capture_set_caps,
};

int capture_set(struct capture *c, struct pcapng *file, struct err *err)
{
	int interface = file != NULL ? pcapng_interface(file, c->port.name, c->port.mac) : 0;

	if (interface < 0)
		return err_set(err, interface, "capture: at most %u ports in one file", PCAPNG_IFS);
	pthread_rwlock_wrlock(&c->lock);
	atomic_store(&c->file, file);
	c->interface = interface;
	pthread_rwlock_unlock(&c->lock);
	return 0;
}

int capture_new(struct port *p, struct pcapng *file, struct capture **ret_c, struct err *err)
{
	struct capture *c = new0(struct capture);
	int rc;

	if (c == NULL)
		return err_set(err, -ENOMEM, "capture: no memory");
	pthread_rwlock_init(&c->lock, NULL);
	c->port = *p;
	c->port.ops = &capture_ops;
	c->inner = p;
	rc = capture_set(c, file, err);
	if (rc < 0)
		capture_free(c);
	else
		*ret_c = c;
	return rc;
}

struct port *capture_port(struct capture *c)
{
	return &c->port;
}

void capture_free(struct capture *c)
{
	if (c == NULL)
		return;
	pthread_rwlock_destroy(&c->lock);
	free(c);
}
