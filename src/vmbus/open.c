/*
 * open.c - opening, moving and closing channels
 *
 * The control thread decides, the channel's worker acts, and the control
 * thread waits for it: so a GpadlTorndown that follows a close is true.
 *
 * The guest must not be interrupted for a channel before it was told that the
 * channel is open; what a device sends from its open() waits in the ring.
 *
 * Spec     OpenChannel, CloseChannel, ModifyChannel, reserved channels
 * Lock     control thread; chan.open also under vmbus.lock
 */
#include "vmbus/chan_priv.h"

#include <stdlib.h>

static void chan_close_task(void *arg)
{
	struct chan *c = arg;
	struct chan_out *o = &c->out;

	chan_stop(c);
	pthread_mutex_lock(&o->lock);
	while (o->first != NULL) {
		struct comp *q = o->first;

		o->first = q->next;
		free(q);
	}
	o->last = &o->first;
	o->want_room = false;
	o->wanting = false;
	ring_out_fini(&o->ring);
	pthread_mutex_unlock(&o->lock);
	ring_in_fini(&c->in);
	pkt_buf_fini(&c->buf);
	atomic_store(&c->broken, false);
}

static bool chan_clear_open(struct chan *c)
{
	bool was;

	pthread_mutex_lock(&c->bus->lock);
	was = c->open;
	c->open = false;
	pthread_mutex_unlock(&c->bus->lock);
	return was;
}

/* The flag goes first: from then on no new sub-channel can appear. */
void chan_close(struct chan *c)
{
	struct vmbus *b = c->bus;
	bool was = chan_clear_open(c);

	for (uint32_t i = 1; c->index == 0 && i < NR_RELIDS; i++) {
		struct chan *sub = b->chans[i];

		if (sub != NULL && sub->dev == c->dev && sub->index != 0 && chan_clear_open(sub))
			vworker_run(sub->worker, chan_close_task, sub);
	}
	if (was)
		vworker_run(c->worker, chan_close_task, c);
	c->reserved = false;
}

static void chan_fail_task(void *arg)
{
	chan_fail(arg);
}

void chan_fail_now(struct chan *c)
{
	vworker_run(c->worker, chan_fail_task, c);
}

static void send_open_result(struct vmbus *b, uint32_t relid, uint32_t open_id, uint32_t status)
{
	struct vmbus_open_result r = {
		.hdr.type = le32_of(VMBUS_OPEN_RESULT),
		.relid = le32_of(relid),
		.open_id = le32_of(open_id),
		.status = le32_of(status),
	};

	control_send(b, &r, sizeof(r));
}

/* Both rings, or neither. */
static int chan_map(struct chan *c, struct chan_open *o)
{
	uint32_t max = c->dev->ops->max_packet;
	int rc = pkt_buf_init(&c->buf, max != 0 ? (uint32_t)align_up(max, 8) : DEFAULT_MAX_PACKET);

	if (rc < 0)
		return rc;
	rc = ring_out_init(&c->out.ring, o->out);
	if (rc == 0)
		rc = ring_in_init(&c->in, o->in);
	if (rc < 0) {
		c->out.ring = (struct ring_out){ 0 };
		pkt_buf_fini(&c->buf);
		return rc;
	}
	o->in = o->out = NULL;
	return 0;
}

static void chan_open_task(void *arg)
{
	struct chan_open *o = arg;
	struct chan *c = o->chan;
	const struct chan_ops *ops = c->dev->ops;

	pthread_mutex_lock(&c->out.lock);
	o->rc = chan_map(c, o);
	if (o->rc == 0) {
		c->out.shut = false;
		c->out.muted = true;
		c->out.vp = o->vp;
		c->out.sint = o->sint;
		c->out.int_page = o->int_page;
		c->out.legacy = o->int_page != 0;
	}
	pthread_mutex_unlock(&c->out.lock);
	if (o->rc < 0)
		return;
	atomic_store(&c->target_vp, o->vp);
	c->paused = false;
	atomic_store(&c->go, false);
	c->running = true;
	c->worker->chans[c->relid] = c;
	if (ops->open != NULL)
		o->rc = ops->open(c->dev->self, c);
	if (o->rc < 0) {
		c->running = false;	/* what did not open is not closed */
		c->worker->chans[c->relid] = NULL;
		chan_close_task(c);
		return;
	}
	if (o->reply)
		send_open_result(c->bus, c->relid, o->open_id, NTSTATUS_SUCCESS);
	pthread_mutex_lock(&c->out.lock);
	c->out.muted = false;
	if (!c->out.shut && ring_out_pending(&c->out.ring) > 0)
		chan_interrupt(c);
	pthread_mutex_unlock(&c->out.lock);
	vworker_kick(c->worker, c->relid);
}

/* Splits the ring GPADL at page DOWN; copies, so its teardown cannot hurt. */
static int chan_ring_views(struct chan *c, uint32_t id, uint32_t g_down, struct chan_open *o)
{
	struct vmbus *b = c->bus;
	struct gpadl *p;
	size_t pages;
	int rc = -EINVAL;

	pthread_mutex_lock(&b->lock);
	p = gpadl_find_ready(b, id, c->relid);
	if (p == NULL)
		goto out;
	pages = gview_size(p->view) / PAGE_SIZE;
	if (g_down < 2 || g_down > pages || pages - g_down < 2)
		goto out;
	rc = gview_sub(p->view, 0, g_down, &o->in);
	if (rc < 0)
		goto out;
	rc = gview_sub(p->view, g_down, pages - g_down, &o->out);
	if (rc < 0)
		gview_free(o->in);
out:
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static int chan_do_open(struct chan *c, struct chan_open *o, uint32_t gpadl, uint32_t g_down)
{
	struct vmbus *b = c->bus;
	int rc;

	if (o->vp >= b->nr_vps && o->vp != VMBUS_NO_VP)
		return -EINVAL;
	rc = chan_ring_views(c, gpadl, g_down, o);
	if (rc < 0)
		return rc;
	o->chan = c;
	/* Before the worker: the device may offer sub-channels at once. */
	pthread_mutex_lock(&b->lock);
	c->open = true;
	pthread_mutex_unlock(&b->lock);
	c->gpadl = gpadl;
	vworker_run(c->worker, chan_open_task, o);
	if (o->rc == 0)
		return 0;
	chan_clear_open(c);
	gview_free(o->in);
	gview_free(o->out);
	return o->rc;
}

void chan_on_open(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_open g;
	struct chan_open o = { .reply = true };
	struct chan *c;
	int rc = -EINVAL;

	(void)n;
	memcpy(&g, m, sizeof(g));
	pthread_mutex_lock(&b->lock);
	c = offer_find(b, le32_get(g.relid));
	pthread_mutex_unlock(&b->lock);
	if (c != NULL && c->rescinded)
		return;			/* the rescind is on its way to the guest */
	o.open_id = le32_get(g.open_id);
	o.sint = b->ses.sint;
	if (b->ses.version >= VMBUS_V2_4)
		o.vp = le32_get(g.target_vp);
	else
		o.int_page = b->ses.int_page;
	if (c != NULL && !c->open)
		rc = chan_do_open(c, &o, le32_get(g.gpadl), le32_get(g.downstream_page));
	if (rc == 0)
		return;
	log_guest(&b->limit, "vmbus", "channel %u could not be opened: %d", le32_get(g.relid), rc);
	send_open_result(b, le32_get(g.relid), o.open_id, NTSTATUS_UNSUCCESSFUL);
}

void chan_on_close(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_relid_msg g;
	struct chan *c;

	(void)n;
	memcpy(&g, m, sizeof(g));
	pthread_mutex_lock(&b->lock);
	c = offer_find(b, le32_get(g.relid));
	pthread_mutex_unlock(&b->lock);
	if (c == NULL || !c->open)
		return;
	chan_close(c);
	/* A device that opens again asks for its sub-channels again. */
	if (c->index == 0)
		offer_rescind_subs(b, c->dev);
}

/*
 * Under the new processor's lock no interrupt can go to the old one any more;
 * one goes to the new one in case the last went astray.
 */
void chan_on_modify(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_modify_response r = { .hdr.type = le32_of(VMBUS_MODIFY_CHANNEL_RESPONSE) };
	struct vmbus_modify g;
	struct chan *c;
	uint32_t vp;
	bool ok;

	(void)n;
	memcpy(&g, m, sizeof(g));
	vp = le32_get(g.target_vp);
	pthread_mutex_lock(&b->lock);
	c = offer_find(b, le32_get(g.relid));
	pthread_mutex_unlock(&b->lock);
	ok = c != NULL && c->open && (vp < b->nr_vps || vp == VMBUS_NO_VP);
	if (ok) {
		pthread_mutex_lock(&c->out.lock);
		c->out.vp = vp;
		atomic_store(&c->target_vp, vp);
		if (!c->out.shut && ring_out_pending(&c->out.ring) > 0)
			chan_interrupt(c);
		pthread_mutex_unlock(&c->out.lock);
	}
	if (!session_at_least(b, VMBUS_V5_3))
		return;
	r.relid = g.relid;
	r.status = le32_of(ok ? NTSTATUS_SUCCESS : NTSTATUS_UNSUCCESSFUL);
	control_send(b, &r, sizeof(r));
}

/*
 * The crash path of Windows: the dump driver takes the boot disk's channel
 * over, with rings of its own made beforehand, and hears no answer.
 */
void chan_on_open_reserved(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_open_reserved g;
	struct chan_open o = { 0 };
	struct chan *c;
	int rc = -EINVAL;

	(void)n;
	memcpy(&g, m, sizeof(g));
	pthread_mutex_lock(&b->lock);
	c = offer_find(b, le32_get(g.relid));
	pthread_mutex_unlock(&b->lock);
	o.vp = le32_get(g.target_vp);
	o.sint = le32_get(g.target_sint);
	if (c != NULL && !c->rescinded && o.sint != 0 && o.sint < 16) {
		chan_close(c);
		rc = chan_do_open(c, &o, le32_get(g.gpadl), le32_get(g.downstream_page));
		c->reserved = rc == 0;
	}
	if (rc < 0)
		log_guest(&b->limit, "vmbus", "reserved channel %u could not be opened: %d",
			  le32_get(g.relid), rc);
}

void chan_on_close_reserved(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_relid_msg r = { .hdr.type = le32_of(VMBUS_CLOSE_RESERVED_RESPONSE) };
	struct vmbus_close_reserved g;
	uint32_t vp, sint;
	struct chan *c;

	(void)n;
	memcpy(&g, m, sizeof(g));
	vp = le32_get(g.target_vp);
	sint = le32_get(g.target_sint);
	pthread_mutex_lock(&b->lock);
	c = offer_find(b, le32_get(g.relid));
	pthread_mutex_unlock(&b->lock);
	if (c != NULL && c->reserved)
		chan_close(c);
	if (vp >= b->nr_vps || sint == 0 || sint > 15) {
		log_guest(&b->limit, "vmbus", "reserved close for an impossible VP or SINT");
		return;
	}
	r.relid = g.relid;
	BUG_IF(msgq_push(b, vp, sint, &r, sizeof(r), true) < 0);
}
