/*
 * segment.c - a port in front of a port, that cuts large sends and keeps its place
 *
 * A switch cuts a large send for a receiver that takes none, and loses what is
 * left of it when the receiver has no more room: it cannot give back a part of
 * a frame.  With an adapter of a hundred buffers that is rare; with one of
 * four, as a boot ROM makes it, every large send would lose its end, and TCP
 * wait for a time-out each time.
 *
 * So this port takes large sends for the owner.  While one is under way it is
 * kept here whole, with the number of segments that the owner has had; nothing
 * else is taken meanwhile, and port_room of the owner goes on with it.  What
 * was cut already is cut again to get there: a few microseconds for a boot ROM.
 *
 * Lock     segmenter.lock, around the owner's deliver too; the owner calls
 *          port_room without a lock that deliver takes (port.h)
 */
#include "net/segment.h"
#include "net/offload.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct segmenter {
	struct port port;		/* the owner's */
	struct port *inner;		/* [const, borrowed] the switch's */
	const struct port_client *client;	/* set while nothing passes, so the next two */
	void *dev;
	pthread_mutex_t lock;
	struct port_caps caps;		/* [lock] the owner's */
	struct packet packet;		/* [lock] what passes */
	uint32_t seen, done;		/* [lock] segments of it: made this time, taken so far */
	bool kept;			/* [lock] BUF holds a frame of which DONE segments are taken */
	bool refused;			/* [lock] the switch waits for port_room */
	struct net_frame frame;		/* [lock] with KEPT, and for a while without */
	struct iovec iov;
	uint8_t buf[NET_LSO_MAX];
};

static int emit(void *arg, const struct net_frame *f)
{
	struct segmenter *s = arg;
	int rc;

	if (s->seen++ < s->done)
		return 0;
	rc = s->client->deliver(s->dev, f);
	if (rc == 0)
		s->done++;
	return rc;
}

/* What is left of F.  False: the owner has no room for the rest. */
static bool pass(struct segmenter *s, const struct net_frame *f)
{
	int rc;

	if (!pkt_parse(&s->packet, f, true))
		return true;
	s->seen = 0;
	rc = offload_fit(&s->packet, &s->caps, emit, s);
	return rc != -EAGAIN && rc != -ENOBUFS;
}

/* F in one piece, which is ours.  False: longer than any frame is. */
static bool copy(struct segmenter *s, const struct net_frame *f)
{
	if (f->len > sizeof(s->buf) || !frame_copy(f, 0, s->buf, f->len))
		return false;
	s->iov = (struct iovec){ s->buf, f->len };
	s->frame = *f;
	s->frame.iov = &s->iov;
	s->frame.nr_iov = 1;
	return true;
}

/* A frame of the switch.  -EAGAIN: nothing of it was taken. */
static int begin(struct segmenter *s, const struct net_frame *f)
{
	bool whole = f->nr_iov > NET_IOV_MAX;	/* more pieces than a sender may give */

	s->done = 0;
	if (whole && !copy(s, f))
		return 0;
	if (pass(s, whole ? &s->frame : f))
		return 0;
	if (s->done == 0)
		return -EAGAIN;
	s->kept = whole || copy(s, f);		/* it is ours now */
	return 0;
}

static int seg_deliver(void *dev, const struct net_frame *f)
{
	struct segmenter *s = dev;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = s->kept ? -EAGAIN : begin(s, f);
	s->refused |= rc == -EAGAIN;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void seg_room(struct port *p)
{
	struct segmenter *s = CONTAINER_OF(p, struct segmenter, port);
	bool tell;

	pthread_mutex_lock(&s->lock);
	if (s->kept && pass(s, &s->frame))
		s->kept = false;
	tell = !s->kept && s->refused;
	s->refused &= !tell;
	pthread_mutex_unlock(&s->lock);
	if (tell)
		port_room(s->inner);
}

static unsigned seg_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	return port_send(CONTAINER_OF(p, struct segmenter, port)->inner, f, nr);
}

static void seg_deliver_end(void *dev)
{
	const struct segmenter *s = dev;

	if (s->client->deliver_end != NULL)
		s->client->deliver_end(s->dev);
}

static void seg_resume(void *dev)
{
	const struct segmenter *s = dev;

	s->client->resume(s->dev);
}

static void seg_link(void *dev, bool up, uint64_t bps)
{
	const struct segmenter *s = dev;

	if (s->client->link != NULL)
		s->client->link(s->dev, up, bps);
}

static const struct port_client seg_client = {
	.deliver = seg_deliver,
	.deliver_end = seg_deliver_end,
	.resume = seg_resume,
	.link = seg_link,
};

/* The owner's, and all that is completed here. */
static struct port_caps wider(const struct port_caps *caps)
{
	struct port_caps c = *caps;

	c.flags |= PORT_TAKES_TAG | PORT_TAKES_SUM | PORT_TAKES_LSO4 | PORT_TAKES_LSO6;
	c.max_lso = NET_LSO_MAX;
	return c;
}

static void seg_set_caps(struct port *p, const struct port_caps *caps)
{
	struct segmenter *s = CONTAINER_OF(p, struct segmenter, port);
	struct port_caps c = wider(caps);

	pthread_mutex_lock(&s->lock);
	s->caps = *caps;
	pthread_mutex_unlock(&s->lock);
	port_set_caps(s->inner, &c);
}

static void seg_bind(struct port *p, const struct port_client *client, void *dev,
		     const struct port_caps *caps)
{
	struct segmenter *s = CONTAINER_OF(p, struct segmenter, port);
	struct port_caps c;

	port_bind(s->inner, NULL, NULL, NULL);		/* nobody looks at client from here on */
	s->client = client;
	s->dev = dev;
	s->kept = s->refused = false;
	if (client == NULL)
		return;
	s->caps = *caps;
	c = wider(caps);
	port_bind(s->inner, &seg_client, s, &c);
}

static void seg_carrier(struct port *p, bool there)
{
	port_carrier(CONTAINER_OF(p, struct segmenter, port)->inner, there);
}

static bool seg_may_spoof(const struct port *p)
{
	return port_may_spoof(((const struct segmenter *)p)->inner);
}

static const struct port_ops seg_ops = {
	.send = seg_send,
	.room = seg_room,
	.bind = seg_bind,
	.set_caps = seg_set_caps,
	.carrier = seg_carrier,
	.may_spoof = seg_may_spoof,
};

int segmenter_new(struct port *p, struct segmenter **ret_s, struct err *err)
{
	struct segmenter *s = new0(struct segmenter);

	if (s == NULL)
		return err_set(err, -ENOMEM, "no memory for a port");
	s->port = *p;
	s->port.ops = &seg_ops;
	s->inner = p;
	pthread_mutex_init(&s->lock, NULL);
	*ret_s = s;
	return 0;
}

struct port *segmenter_port(struct segmenter *s)
{
	return &s->port;
}

void segmenter_free(struct segmenter *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}
