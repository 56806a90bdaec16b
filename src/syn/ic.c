/*
 * ic.c - the framework under the integration services
 *
 * The odd truth: the guest answers in the request's own buffer, so a request
 * must be as long as the longest answer, and the answer comes as a new
 * in-band packet, not as a VMBus completion.
 *
 * Spec     hyperv-interface.md F.3, E.6 (pipe header)
 * Lock     ic.lock (leaf) for chan, agreed, waiting, id
 */
#include "syn/ic.h"

#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIPE_DATA 1u
#define OFFER_FLAGS 0x0011		/* enumerate, named pipe */
#define PIPE_MODE_MESSAGE 4u
#define NEGOTIATE 0u

enum { FLAG_TRANSACTION = 1, FLAG_REQUEST = 2, FLAG_RESPONSE = 4 };

struct ic_packet {
	le32 pipe_type, pipe_bytes;
	le16 framework_major, framework_minor;
	le16 type;
	le16 message_major, message_minor;
	le16 body_bytes;
	le32 status;
	uint8_t transaction, flags;
	le16 rsvd0;
};
_Static_assert(sizeof(struct ic_packet) == 28, "as on the wire");

struct ic_negotiate {
	le16 nr_framework, nr_message;
	le32 rsvd0;
	struct {
		le16 major, minor;
	} version[2 + 8];		/* frameworks first */
};

static const struct ic_version frameworks[] = { { 1, 0 }, { 3, 0 } };

struct ic {
	const struct ic_service *service;	/* [const] */
	const struct ic_client *client;		/* [const] */
	void *self;				/* [const] */
	struct chan_ops ops;			/* [const] */
	struct vdev *vdev;			/* [const] */
	pthread_mutex_t lock;
	struct chan *chan;			/* [lock] open, or NULL */
	struct ic_version framework, agreed;	/* [lock] zero: not yet */
	bool waiting;				/* [lock] an answer is due */
	uint8_t id;				/* [lock] of the last request */
	struct log_limit limit;			/* worker */
};

/* Caller holds the lock. */
static int send_locked(struct ic *ic, uint16_t type, const void *body, size_t n)
{
	uint8_t buf[sizeof(struct ic_packet) + IC_MAX_BODY] = { 0 };
	struct ic_packet p = {
		.pipe_type = le32_of(PIPE_DATA),
		.pipe_bytes = le32_of((uint32_t)(sizeof(p) - 8 + n)),
		.framework_major = le16_of(ic->framework.major),
		.framework_minor = le16_of(ic->framework.minor),
		.type = le16_of(type),
		.message_major = le16_of(ic->agreed.major),
		.message_minor = le16_of(ic->agreed.minor),
		.body_bytes = le16_of((uint16_t)n),
		.flags = FLAG_TRANSACTION | FLAG_REQUEST,
	};
	int rc;

	BUG_IF(n > IC_MAX_BODY);
	p.transaction = ++ic->id;
	memcpy(buf, &p, sizeof(p));
	memcpy(buf + sizeof(p), body, n);
	rc = chan_send(ic->chan, VMPKT_INBAND, 0, false, buf, (uint32_t)(sizeof(p) + n));
	ic->waiting = rc == 0;
	return rc;
}

static int negotiate(struct ic *ic)
{
	struct ic_negotiate g = {
		.nr_framework = le16_of(ARRAY_LEN(frameworks)),
		.nr_message = le16_of((uint16_t)ic->service->nr_versions),
	};
	unsigned at = 0;

	BUG_IF(ic->service->nr_versions > 8);
	for (unsigned i = 0; i < ARRAY_LEN(frameworks); i++, at++) {
		g.version[at].major = le16_of(frameworks[i].major);
		g.version[at].minor = le16_of(frameworks[i].minor);
	}
	for (unsigned i = 0; i < ic->service->nr_versions; i++, at++) {
		g.version[at].major = le16_of(ic->service->versions[i].major);
		g.version[at].minor = le16_of(ic->service->versions[i].minor);
	}
	return send_locked(ic, NEGOTIATE, &g, 8 + at * 4);
}

static int ic_open(void *self, struct chan *c)
{
	struct ic *ic = self;
	int rc;

	pthread_mutex_lock(&ic->lock);
	ic->chan = c;
	ic->framework = ic->agreed = (struct ic_version){ 0, 0 };
	rc = negotiate(ic);
	if (rc < 0)
		ic->chan = NULL;
	pthread_mutex_unlock(&ic->lock);
	return rc;
}

static void ic_close(void *self, struct chan *c)
{
	struct ic *ic = self;

	(void)c;
	pthread_mutex_lock(&ic->lock);
	ic->chan = NULL;
	ic->waiting = false;
	ic->framework = ic->agreed = (struct ic_version){ 0, 0 };
	pthread_mutex_unlock(&ic->lock);
	if (ic->client->closed != NULL)
		ic->client->closed(ic->self);
}

static bool offered(const struct ic_version *list, unsigned nr, struct ic_version v)
{
	for (unsigned i = 0; i < nr; i++)
		if (list[i].major == v.major && list[i].minor == v.minor)
			return true;
	return false;
}

/* The guest chose versions; only one that we offered counts. */
static void negotiated(struct ic *ic, const uint8_t *g_body, size_t n)
{
	struct ic_version f, m;

	if (n < 16 || ld16(g_body) != 1 || ld16(g_body + 2) != 1)
		goto none;
	f = (struct ic_version){ ld16(g_body + 8), ld16(g_body + 10) };
	m = (struct ic_version){ ld16(g_body + 12), ld16(g_body + 14) };
	if (!offered(frameworks, ARRAY_LEN(frameworks), f) ||
	    !offered(ic->service->versions, ic->service->nr_versions, m))
		goto none;
	pthread_mutex_lock(&ic->lock);
	ic->framework = f;
	ic->agreed = m;
	pthread_mutex_unlock(&ic->lock);
	if (ic->client->ready != NULL)
		ic->client->ready(ic->self);
	return;
none:
	log_guest(&ic->limit, ic->service->name, "the guest takes none of the versions offered");
}

static void ic_receive(void *self, struct chan *c, const struct pkt *pkt)
{
	struct ic *ic = self;
	struct ic_packet g;
	const uint8_t *body = pkt->data + sizeof(g);
	size_t n;
	bool mine;

	(void)c;
	if (pkt->type != VMPKT_INBAND || pkt->len < sizeof(g))
		return;
	memcpy(&g, pkt->data, sizeof(g));
	n = le16_get(g.body_bytes);
	if (n > pkt->len - sizeof(g) || (g.flags & FLAG_RESPONSE) == 0) {
		log_guest(&ic->limit, ic->service->name,
			  "an answer of %u bytes that says it has %zu", pkt->len, n);
		return;
	}
	pthread_mutex_lock(&ic->lock);
	mine = ic->waiting && g.transaction == ic->id;
	if (mine)
		ic->waiting = false;
	pthread_mutex_unlock(&ic->lock);
	if (!mine)
		return;
	if (le16_get(g.type) == NEGOTIATE)
		negotiated(ic, body, n);
	else if (le16_get(g.type) == ic->service->message && ic->client->answer != NULL)
		ic->client->answer(ic->self, body, n, le32_get(g.status));
}

int ic_send(struct ic *ic, const void *body, size_t n)
{
	int rc = -ENOTCONN;

	pthread_mutex_lock(&ic->lock);
	if (ic->chan != NULL && ic->agreed.major != 0)
		rc = ic->waiting ? -EBUSY : send_locked(ic, ic->service->message, body, n);
	pthread_mutex_unlock(&ic->lock);
	return rc;
}

struct ic_version ic_agreed(struct ic *ic)
{
	struct ic_version v;

	pthread_mutex_lock(&ic->lock);
	v = ic->agreed;
	pthread_mutex_unlock(&ic->lock);
	return v;
}

int ic_new(struct vmbus *bus, const struct ic_service *service, const struct ic_client *client,
	   void *self, struct ic **ret_ic, struct err *err)
{
	const uint8_t user[120] = { PIPE_MODE_MESSAGE };
	struct ic *ic = new0(struct ic);
	int rc;

	if (ic == NULL)
		return err_set(err, -ENOMEM, "no memory for the %s service", service->name);
	ic->service = service;
	ic->client = client;
	ic->self = self;
	ic->ops = (struct chan_ops){
		.name = service->name, .type = service->type, .offer_flags = OFFER_FLAGS,
		.open = ic_open, .packet = ic_receive, .close = ic_close,
	};
	pthread_mutex_init(&ic->lock, NULL);
	rc = vdev_offer(bus, &ic->ops, ic, &service->instance, user, &ic->vdev, err);
	if (rc < 0) {
		pthread_mutex_destroy(&ic->lock);
		free(ic);
		return rc;
	}
	*ret_ic = ic;
	return 0;
}

void ic_free(struct ic *ic)
{
	if (ic == NULL)
		return;
	(void)vdev_remove(ic->vdev, 0);
	pthread_mutex_destroy(&ic->lock);
	free(ic);
}
