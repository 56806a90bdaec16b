/*
 * forward.c - how a frame gets from one port to others
 *
 * A frame that its only receiver has no room for goes back to its sender,
 * who waits for resume.  (Its thread does not: it has its answer at once.)
 * That must not become a way to stop the sender's other traffic, so the time
 * is limited for each receiver and, as several may work together, for each
 * sender (see HOLD_ONE_NS); after it such frames are dropped, as a wire would.
 *
 * A frame for an uplink with a speed waits for its turn there as it does for
 * the sender's own maximum, however long that is.
 *
 * A receiver may call port_room between its "no room" and our note that the
 * sender waits; room_seq tells, and we offer the frame once more.
 *
 * Missing  a large send that is cut and meets a full receiver half-way loses
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

/* What is left at NOW of the time in a window; [lock]. */
static uint64_t hold_left(struct held *w, uint64_t now)
{
	if (now >= w->window_ns + HOLD_WINDOW_NS)
		*w = (struct held){ .window_ns = now };
	return w->ns < HOLD_SHARE_NS ? HOLD_SHARE_NS - w->ns : 0;
}

/* Ends what *SINCE says began, in P's account W. */
static void hold_ends(struct vport *p, _Atomic uint64_t *since, struct held *w, uint64_t now)
{
	uint64_t began;

	if (atomic_load_explicit(since, memory_order_relaxed) == 0)
		return;
	began = atomic_exchange(since, 0);
	pthread_mutex_lock(&p->lock);
	(void)hold_left(w, now);
	if (began != 0 && now > began)
		w->ns += min_u64(now - began, HOLD_ONE_NS);
	pthread_mutex_unlock(&p->lock);
}

static void has_room(struct vport *to, uint64_t now)
{
	hold_ends(to, &to->full_since, &to->was_full, now);
}

/* When that began which begins NOW, if it did not before. */
static uint64_t began_at(_Atomic uint64_t *since, uint64_t now)
{
	uint64_t began = 0, at = max_u64(now, 1);

	return atomic_compare_exchange_strong(since, &began, at) ? at : began;
}

/* It begins, or began before; and how long it may last from then on. */
static void hold_begins(struct vport *p, _Atomic uint64_t *since, struct held *w, uint64_t now, uint64_t *ret_end)
{
	uint64_t began = began_at(since, now);

	pthread_mutex_lock(&p->lock);
	*ret_end = began + min_u64(hold_left(w, now), HOLD_ONE_NS);
	pthread_mutex_unlock(&p->lock);
}

/*
 * How long who waits harms nobody else: for ever between a machine and its own way out,
 * for less between two machines, who could wait for each other; 0 where there are more.
 */
static uint64_t alone_ns(const struct vswitch *sw)
{
	unsigned nr = 0, adapters = 0;

	for (unsigned i = 0; i < sw->nr; i++) {
		if (sw->ports[i] == NULL || sw->ports[i]->client == NULL)
			continue;
		nr++;
		adapters += sw->ports[i]->role == PORT_ADAPTER;
	}
	if (nr != 2)
		return 0;
	return adapters == 2 ? HOLD_PAIR_NS : UINT64_MAX;
}

/* TO has no room: may the sender wait for it?  Then that is noted; it is woken when WAIT is over at the latest. */
static bool may_hold(struct hop *h, struct vport *to, uint64_t wait)
{
	struct vport *from = h->from;
	uint64_t alone = alone_ns(h->sw), began, end, own_end;

	if (alone != 0) {
		began = began_at(&to->full_since, h->now);
		if (max_u64(h->now, began) - began >= alone)
			return false;
		atomic_store(&from->waiting, true);
		wake_at(h->sw, h->now + min_u64(wait, HOLD_ONE_NS));
		return true;
	}
	hold_begins(to, &to->full_since, &to->was_full, h->now, &end);
	if (h->now >= end)
		return false;
	hold_begins(from, &from->waits_since, &from->has_waited, h->now, &own_end);
	if (h->now >= own_end) {
		hold_ends(from, &from->waits_since, &from->has_waited, h->now);
		return false;
	}
	atomic_store(&from->waiting, true);
	wake_at(h->sw, min_u64(min_u64(end, own_end), h->now + wait));
	return true;
}

static void count_delivery(struct hop *h, const struct delivery *d)
{
	struct vport *to = d->to;

	if (d->nr == 0)
		return;
	port_set_add(&h->touched, to->index);
	h->delivered = true;
	atomic_fetch_add_explicit(&to->received, d->nr, memory_order_relaxed);
	atomic_fetch_add_explicit(&to->received_bytes, d->bytes, memory_order_relaxed);
}

/* Is TO there for frames from H at all? */
static bool reachable(const struct hop *h, const struct vport *to)
{
	return to != NULL && to != h->from && to->client != NULL && to->up && to->carrier;
}

/* As offload_fit, to one port, with H's VLAN as tag or without. */
static int give(struct hop *h, struct vport *to, bool tagged, struct delivery *d)
{
	const struct port_caps caps = {
		.flags = atomic_load_explicit(&to->takes, memory_order_relaxed),
		.max_frame = atomic_load_explicit(&to->max_frame, memory_order_relaxed),
		.max_lso = atomic_load_explicit(&to->max_lso, memory_order_relaxed),
	};
	const uint8_t *lent = team_lent_mac(h, to);
	uint32_t flags = h->p.flags;
	uint16_t tci = h->p.tci;
	uint8_t own[6];
	int rc;

	h->p.flags = tagged ? flags | FRAME_TAGGED : flags & ~(uint32_t)FRAME_TAGGED;
	h->p.tci = (uint16_t)((flags & FRAME_TAGGED ? tci & 0xf000 : 0) | h->vid);
	*d = (struct delivery){ .to = to };
	memcpy(own, h->p.h + 6, 6);
	if (lent != NULL)
		memcpy(h->p.h + 6, lent, 6);
	rc = offload_fit(&h->p, &caps, deliver_emit, d);
	memcpy(h->p.h + 6, own, 6);
	h->p.flags = flags;
	h->p.tci = tci;
	count_delivery(h, d);
	if (lent == NULL && d->nr != 0)
		team_sent(h, to);
	return rc;
}

/* RC of give is why TO misses a frame. */
static void drop_given(struct vport *to, int rc)
{
	vport_drop(to, rc == -EMSGSIZE ? DROP_TOO_LONG : DROP_NO_ROOM);
}

/* A copy for all that listen, besides what is for themselves; who has no room misses it. */
static void mirror(struct hop *h)
{
	for (unsigned i = 0; i < h->sw->nr; i++) {
		struct vport *to = h->sw->ports[i];
		struct delivery d;
		int rc;

		if (!reachable(h, to) || to->policy.mirror != MIRROR_DESTINATION)
			continue;
		rc = give(h, to, h->vid != 0, &d);
		if (rc < 0)
			drop_given(to, rc);
	}
}

/* Offers H's frame to TO, again if there is room suddenly.  *HOLD: the sender may wait; and then, whether it is to. */
static int offer(struct hop *h, struct vport *to, bool tagged, bool *hold, struct delivery *d)
{
	int rc = 0;

	for (unsigned i = 0; i < OFFERS; i++) {
		uint32_t seq = atomic_load(&to->room_seq);

		rc = give(h, to, tagged, d);
		if (rc != -EAGAIN)
			break;
		policy_full(h, to);
		*hold = *hold && may_hold(h, to, HOLD_ONE_NS);
		if (!*hold || atomic_load(&to->room_seq) == seq)
			break;
	}
	return rc;
}

/* H's frame to one port, or a reason.  False: the sender is to keep it (only with HOLD). */
static bool deliver_to(struct hop *h, struct vport *to, bool tagged, bool hold)
{
	struct delivery d;
	int rc = offer(h, to, tagged, &hold, &d);

	if (rc == -EAGAIN && hold)
		return false;
	if (rc == 0)
		has_room(to, h->now);
	else
		drop_given(to, rc);
	if (d.nr == 0)
		return true;
	policy_received(h, to, d.bytes);
	h->mirror |= to->policy.mirror == MIRROR_SOURCE;
	return true;
}

/* It is not H's turn at TO, for that reason.  True: the sender is to keep the frame. */
static bool wait_turn(struct hop *h, struct vport *to, enum drop why, uint64_t wait)
{
	if (why == DROP_RATE_IN && to->role == PORT_UPLINK) {
		atomic_store(&h->from->waiting, true);
		wake_at(h->sw, h->now + wait);
		return true;
	}
	return why == DROP_NO_ROOM && may_hold(h, to, wait);
}

/* To a port that it is for; with HOLD the sender may be asked to keep it, and that is false. */
static bool pass_to(struct hop *h, struct vport *to, bool tagged, bool hold)
{
	uint64_t wait = 0;
	enum drop why = policy_turn(h, to, &wait);

	if (why == DROP_NOT)
		return deliver_to(h, to, tagged, hold);
	if (hold && wait_turn(h, to, why, wait))
		return false;
	vport_drop(to, why);
	return true;
}

/* Is TO one that this flood is for?  An unknown address may be behind uplinks and those that may spoof. */
static bool floods_to(const struct hop *h, const struct vport *to, bool unknown, const struct vport *uplink)
{
	if (!reachable(h, to) || (to->role == PORT_UPLINK && to != uplink))
		return false;
	return !unknown || to->role == PORT_UPLINK || to->policy.mac_spoofing;
}

/*
 * To all in its VLAN or, for an unknown address, to all that may have it behind them; the
 * uplink first, for which alone an unknown one waits.  False: the sender is to keep it.
 */
static bool flood(struct hop *h, bool unknown)
{
	struct vport *uplink = team_out(h);
	bool any = !unknown, copy = false, tagged;

	if (uplink != NULL && floods_to(h, uplink, unknown, uplink) &&
	    policy_out(h, uplink, &tagged) == DROP_NOT) {
		any = true;
		if (!pass_to(h, uplink, tagged, unknown))
			return false;
	}
	for (unsigned i = 0; i < h->sw->nr; i++) {
		struct vport *to = h->sw->ports[i];
		enum drop why;

		if (to == uplink || !floods_to(h, to, unknown, uplink))
			continue;
		why = policy_out(h, to, &tagged);
		any |= why != DROP_VLAN;
		if (why == DROP_NOT && !team_reaches(h, to))
			copy = true;
		else if (why == DROP_NOT)
			(void)pass_to(h, to, tagged, false);
		else if (why != DROP_VLAN)	/* a broadcast is not for other VLANs */
			vport_drop(to, why);
	}
	if (!any)
		drop_here(h, DROP_NOWHERE);
	else if (copy && !h->delivered)
		drop_here(h, DROP_MEMBER);
	return true;
}

/* To the one port that has the destination.  False: the sender is to keep it. */
static bool unicast(struct hop *h, uint16_t index)
{
	struct vport *to = h->sw->ports[index];
	enum drop why;
	bool tagged;

	if (to != NULL && to->role == PORT_UPLINK)
		to = team_out(h);
	if (!reachable(h, to)) {
		drop_here(h, DROP_NOWHERE);
		return true;
	}
	if (!team_reaches(h, to)) {
		drop_here(h, DROP_MEMBER);
		return true;
	}
	why = policy_out(h, to, &tagged);
	if (why == DROP_NOT)
		return pass_to(h, to, tagged, true);
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
	else if (!flood(h, !group)) {
		policy_storm_back(h);
		return false;
	}
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
	why = from->up && from->carrier ? policy_in(h) : DROP_LINK;
	if (why == DROP_NOT)
		why = team_in(h);
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
	fdb_learn(h->sw->fdb, pkt_mac_src(&h->p), h->fid, team_learn_as(from), h->now);
	h->mirror = from->policy.mirror == MIRROR_SOURCE;
	h->dropped = h->delivered = false;
	if (!route(h)) {
		policy_rate_back(h);
		return false;
	}
	hold_ends(from, &from->waits_since, &from->has_waited, h->now);
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

static void deliveries_end(struct hop *h)
{
	for (unsigned i = 0; port_set_next(&h->touched, &i); i++) {
		struct vport *to = h->sw->ports[i];

		if (to->client->deliver_end != NULL)
			to->client->deliver_end(to->dev);
	}
}

unsigned forward_send(struct port *port, const struct net_frame *f, unsigned nr)
{
	struct vport *from = vport_of(port);
	struct vswitch *sw = from->sw;
	unsigned taken = 0;
	struct hop h;

	h.sw = sw;
	h.from = from;
	h.touched = (struct port_set){ 0 };
	pthread_rwlock_rdlock(&sw->lock);
	h.now = clock_now_ns(sw->clock);
	while (taken < nr && send_one(&h, &f[taken]))
		taken++;
	deliveries_end(&h);
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

/* P says by its member where it is; nobody waits for room. */
static void announce(struct vswitch *sw, struct vport *p)
{
	uint8_t b[60];
	struct iovec iov = { b, team_announcement(p, b) };
	struct net_frame f = { .iov = &iov, .nr_iov = 1, .len = (uint32_t)iov.iov_len };
	struct hop h = { .sw = sw, .from = p, .now = clock_now_ns(sw->clock) };
	struct delivery d;
	bool tagged;

	h.vid = vlan_in(&p->policy.vlan, false, 0);
	if (p->member == TEAM_NONE || !reachable(&h, sw->team[p->member]) || h.vid == VLAN_DROP ||
	    !pkt_parse(&h.p, &f, true) || !vlan_out(&sw->team[p->member]->policy.vlan, h.vid, &tagged))
		return;
	(void)give(&h, sw->team[p->member], tagged, &d);
	deliveries_end(&h);
}

void forward_announce(struct vswitch *sw, const struct port_set *moved)
{
	pthread_rwlock_rdlock(&sw->lock);
	for (unsigned i = 0; port_set_next(moved, &i); i++)
		if (sw->ports[i] != NULL)
			announce(sw, sw->ports[i]);
	pthread_rwlock_unlock(&sw->lock);
}
