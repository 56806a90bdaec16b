/*
 * capture.c - a port in front of a port, that writes down what passes
 *
 * Only what was taken is written: a frame that found no room comes again and
 * would be there twice.  A frame's time is that of the call, so that an
 * answer is never older than what it answers, even where it is written first.
 *
 * Lock     none; the owner's half is set while nothing passes (port.h says so
 *          of bind), the file has its own
 */
#include "net/capture.h"

#include <stdlib.h>
#include <string.h>

struct capture {
	struct port port;		/* the owner's */
	struct port *inner;		/* [const, borrowed] the switch's */
	struct pcapng *file;		/* [const, borrowed] */
	int interface;			/* [const] */
	const struct port_client *client;
	void *dev;
};

static unsigned capture_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	struct capture *c = CONTAINER_OF(p, struct capture, port);
	uint64_t now = pcapng_now();

	nr = port_send(c->inner, f, nr);
	for (unsigned i = 0; i < nr; i++)
		pcapng_put(c->file, c->interface, now, PCAPNG_OUT, &f[i]);
	return nr;
}

static void capture_room(struct port *p)
{
	port_room(CONTAINER_OF(p, struct capture, port)->inner);
}

static int capture_deliver(void *dev, const struct net_frame *f)
{
	struct capture *c = dev;
	uint64_t now = pcapng_now();
	int rc = c->client->deliver(c->dev, f);

	if (rc == 0)
		pcapng_put(c->file, c->interface, now, PCAPNG_IN, f);
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

static const struct port_ops capture_ops = {
	.carrier = capture_carrier,
	.send = capture_send,
	.room = capture_room,
	.bind = capture_bind,
	.set_caps = capture_set_caps,
};

int capture_new(struct port *p, struct pcapng *file, struct capture **ret_c, struct err *err)
{
	struct capture *c = new0(struct capture);

	if (c == NULL)
		return err_set(err, -ENOMEM, "capture: no memory");
	c->interface = pcapng_interface(file, p->name, p->mac);
	if (c->interface < 0) {
		int rc = c->interface;

		free(c);
		return err_set(err, rc, "capture: at most %u ports in one file", PCAPNG_IFS);
	}
	c->port = *p;
	c->port.ops = &capture_ops;
	c->inner = p;
	c->file = file;
	*ret_c = c;
	return 0;
}

struct port *capture_port(struct capture *c)
{
	return &c->port;
}

void capture_free(struct capture *c)
{
	free(c);
}
