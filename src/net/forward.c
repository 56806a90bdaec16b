/*
 * forward.c - how a frame gets from one port to others
 *
 * A frame that its only receiver has no room for goes back to its sender,
 * who waits for resume.  That must not become a way to stop the sender's
 * other traffic, so the time is limited in two ways (see HOLD_ONE_NS); after
 * it such frames are dropped, as a wire would.
 *
 * A receiver may call port_room between its "no room" and our note that the
 * sender waits; room_seq tells, and we offer the frame once more.
 *
 * Missing  minimum bandwidth (weights, reservations), teams of uplinks; a
 *          large send that is cut and meets a full receiver half-way loses
 *          its tail (TCP sends it again)
 * Lock     the switch's for reading around everything; owners' functions are
 *          called under it, and no other lock of ours
 */
#include "dev/clock.h"
#include "net/offload.h"
#include "net/vswitch_priv.h"

#define OFFERS 3		/* of one frame, when port_room comes in between */

struct delivery {
	struct vport *to;
	uint64_t nr, bytes;
};

/* The frame ends at the port it came from. */
static void drop_here(struct hop *h, enum drop why)
{
	vport_drop(h->from, why);
	h->dropped = true;
}

static int deliver_emit(void *arg, const struct net_frame *f)
{
	struct delivery *d = arg;
	int rc = d->to->client->deliver(d->to->dev, f);

	if (rc == -EAGAIN)
		return rc;
	d->nr++;
	d->bytes += f->len;
	return 0;
}

static void wake_at(struct vswitch *sw, uint64_t ns)
{
	pthread_mutex_lock(&sw->wake_lock);
	if (ns < sw->wake_ns) {
		sw->wake_ns = ns;
		timer_arm(sw->timer, ns);
	}
	pthread_mutex_unlock(&sw->wake_lock);
}

static void resume_waiting(struct vswitch *sw)
{
	for (unsigned i = 0; i < sw->nr; i++) {
		struct vport *p = sw->ports[i];

		if (p != NULL && p->client != NULL && atomic_exchange(&p->waiting, false))
			p->client->resume(p->dev);
	}
}

void forward_wake(void *arg)
{
	struct vswitch *sw = arg;

	pthread_mutex_lock(&sw->wake_lock);
	sw->wake_ns = TIMER_NEVER;
	pthread_mutex_unlock(&sw->wake_lock);
	pthread_rwlock_rdlock(&sw->lock);
	resume_waiting(sw);
	pthread_rwlock_unlock(&sw->lock);
}

/* How long TO was full in the window that NOW is in. */
static uint64_t held_in_window(struct vport *to, uint64_t now)
{
	if (now - to->window_ns >= HOLD_WINDOW_NS) {
		to->window_ns = now;
		to->held_ns = 0;
	}
	return to->held_ns;
}

static void has_room(struct vport *to, uint64_t now)
{
	uint64_t since;

	if (atomic_load(&to->full_since) == 0)
		return;
	since = atomic_exchange(&to->full_since, 0);
	pthread_mutex_lock(&to->lock);
	held_in_window(to, now);
	if (since != 0 && now > since)
		to->held_ns += min_u64(now - since, HOLD_ONE_NS);
	pthread_mutex_unlock(&to->lock);
}

/* TO has no room: may the sender wait for it?  Then that is noted. */
static bool may_hold(struct hop *h, struct vport *to)
{
	uint64_t now = max_u64(h->now, 1), since = 0, held;

	if (atomic_compare_exchange_strong(&to->full_since, &since, now))
		since = now;
	pthread_mutex_lock(&to->lock);
	held = held_in_window(to, h->now);
	pthread_mutex_unlock(&to->lock);
	if (now >= since + HOLD_ONE_NS || held >= HOLD_SHARE_NS)
		return false;
	atomic_store(&h->from->waiting, true);
	wake_at(h->sw, since + HOLD_ONE_NS);
	return true;
}

static void count_delivery(struct hop *h, const struct delivery *d)
{
	struct vport *to = d->to;

	if (d->nr == 0)
		return;
	h->touched[to->index / 64] |= UINT64_C(1) << to->index % 64;
	atomic_fetch_add_explicit(&to->received, d->nr, memory_order_relaxed);
	atomic_fetch_add_explicit(&to->received_bytes, d->bytes, memory_order_relaxed);
}

/* Is TO there for frames from H at all? */
static bool reachable(const struct hop *h, const struct vport *to)
{
	return to != NULL && to != h->from && to->client != NULL && to->up;
}

/* As offload_fit, to one port, with H's VLAN as tag or without. */
static int give(struct hop *h, struct vport *to, bool tagged, struct delivery *d)
{
	uint32_t flags = h->p.flags;
	uint16_t tci = h->p.tci;
	int rc;

	h->p.flags = tagged ? flags | FRAME_TAGGED : flags & ~(uint32_t)FRAME_TAGGED;
	h->p.tci = (uint16_t)((flags & FRAME_TAGGED ? tci & 0xf000 : 0) | h->vid);
	*d = (struct delivery){ .to = to };
	rc = offload_fit(&h->p, &to->caps, deliver_emit, d);
	h->p.flags = flags;
	h->p.tci = tci;
	count_delivery(h, d);
	return rc;
}

/* A copy for all that listen, besides what is for themselves; who has no room misses it. */
static void mirror(struct hop *h)
{
	for (unsigned i = 0; i < h->sw->nr; i++) {
		struct vport *to = h->sw->ports[i];
		struct delivery d;

		if (reachable(h, to) && to->policy.mirror == MIRROR_DESTINATION &&
		    give(h, to, h->vid != 0, &d) < 0)
			vport_drop(to, DROP_NO_ROOM);
	}
}

/* H's frame to one port, or a reason.  False: the sender is to keep it (only with HOLD). */
static bool deliver_to(struct hop *h, struct vport *to, bool tagged, bool hold)
{
	struct delivery d;
	int rc = 0;

	for (unsigned i = 0; i < OFFERS; i++) {
		uint32_t seq = atomic_load(&to->room_seq);

		rc = give(h, to, tagged, &d);
		if (rc != -EAGAIN || !hold)
			break;
		hold = may_hold(h, to);
		if (!hold || atomic_load(&to->room_seq) == seq)
			break;
	}
	if (rc == -EAGAIN && hold)
		return false;
	if (rc == 0)
		has_room(to, h->now);
	else
		vport_drop(to, rc == -EMSGSIZE ? DROP_TOO_LONG : DROP_NO_ROOM);
	if (d.nr == 0)
		return true;
	policy_received(h, to, d.bytes);
	h->mirror |= to->policy.mirror == MIRROR_SOURCE;
	return true;
}

/* To all in its VLAN or, for an unknown address, to all that may have it behind them. */
static void flood(struct hop *h, bool unknown)
{
	bool any = !unknown;

	for (unsigned i = 0; i < h->sw->nr; i++) {
		struct vport *to = h->sw->ports[i];
		enum drop why;
		bool tagged;

		if (!reachable(h, to) ||
		    (unknown && to->role != PORT_UPLINK && !to->policy.mac_spoofing))
			continue;
		why = policy_out(h, to, &tagged);
		any |= why != DROP_VLAN;
		if (why == DROP_NOT)
			deliver_to(h, to, tagged, false);
		else if (why != DROP_VLAN)	/* a broadcast is not for other VLANs */
			vport_drop(to, why);
	}
	if (!any)
		drop_here(h, DROP_NOWHERE);
}

/* To the one port that has the destination.  False: the sender is to keep it. */
static bool unicast(struct hop *h, uint16_t index)
{
	struct vport *to = h->sw->ports[index];
	enum drop why;
	bool tagged;

	if (!reachable(h, to)) {
		drop_here(h, DROP_NOWHERE);
		return true;
	}
	why = policy_out(h, to, &tagged);
	if (why == DROP_NOT)
		return deliver_to(h, to, tagged, true);
	if (why == DROP_VLAN)
		drop_here(h, why);
	else
		vport_drop(to, why);
	return true;
}

/* To whom it is for.  False: the sender is to keep it. */
static bool route(struct hop *h)
{
	bool group = mac_is_group(pkt_mac_dst(&h->p));
	uint16_t index = FDB_NONE;
	enum drop why;

	if (!group)
		index = fdb_find(h->sw->fdb, pkt_mac_dst(&h->p), h->fid, h->now);
	if (index != FDB_NONE)
		return unicast(h, index);
	why = policy_storm(h);
	if (why != DROP_NOT)
		drop_here(h, why);
	else
		flood(h, !group);
	return true;
}

/* One frame; false: not taken. */
static bool send_one(struct hop *h, const struct net_frame *f)
{
	struct vport *from = h->from;
	enum drop why;
	uint64_t wait;

	if (!pkt_parse(&h->p, f, from->role != PORT_ADAPTER)) {
		vport_drop(from, DROP_BAD);
		return true;
	}
	why = from->up ? policy_in(h) : DROP_LINK;
	if (why != DROP_NOT) {
		vport_drop(from, why);
		return true;
	}
	wait = policy_rate(h);
	if (wait != 0) {
		atomic_store(&from->waiting, true);
		wake_at(h->sw, h->now + wait);
		return false;
	}
	fdb_learn(h->sw->fdb, pkt_mac_src(&h->p), h->fid, from->index, h->now);
	h->mirror = from->policy.mirror == MIRROR_SOURCE;
	h->dropped = false;
	if (!route(h)) {
		policy_rate_back(h);
		return false;
	}
	if (h->dropped) {
		policy_rate_back(h);
		return true;
	}
	if (h->mirror)
		mirror(h);
	policy_sent(h);
	atomic_fetch_add_explicit(&from->sent, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&from->sent_bytes, f->len, memory_order_relaxed);
	return true;
}

unsigned forward_send(struct port *port, const struct net_frame *f, unsigned nr)
{
	struct vport *from = vport_of(port);
	struct vswitch *sw = from->sw;
	unsigned taken = 0;
	struct hop h;

	h.sw = sw;
	h.from = from;
	memset(h.touched, 0, sizeof(h.touched));
	pthread_rwlock_rdlock(&sw->lock);
	h.now = clock_now_ns(sw->clock);
	while (taken < nr && send_one(&h, &f[taken]))
		taken++;
	for (unsigned i = 0; i < ARRAY_LEN(h.touched); i++)
		for (uint64_t left = h.touched[i]; left != 0; left &= left - 1) {
			struct vport *to = sw->ports[i * 64 + (unsigned)__builtin_ctzll(left)];

			if (to->client->deliver_end != NULL)
				to->client->deliver_end(to->dev);
		}
	pthread_rwlock_unlock(&sw->lock);
	return taken;
}

void forward_room(struct port *port)
{
	struct vport *p = vport_of(port);
	struct vswitch *sw = p->sw;

	atomic_fetch_add(&p->room_seq, 1);
	pthread_rwlock_rdlock(&sw->lock);
	has_room(p, clock_now_ns(sw->clock));
	resume_waiting(sw);
	pthread_rwlock_unlock(&sw->lock);
}
