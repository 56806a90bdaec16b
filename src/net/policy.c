/*
 * policy.c - what each port lets in and out
 *
 * The order: is it a frame of this port at all (VLAN, address), is it what
 * it may say (guards), do the lists allow it, is there bandwidth.  Counters
 * of rules and meters move only when the frame has gone, because one that
 * nobody had room for comes again.
 *
 * Where a port takes less than all would send to it, a rate or one with no room,
 * it is asked last whose turn it is; see share.c.
 *
 * Sending above the maximum waits at the sender, which paces whatever makes
 * the traffic; what comes in above it is dropped, as waiting would stop the
 * other traffic of its senders.
 *
 * Lock     the switch's, for reading; meters under their port's
 */
#include "net/vswitch_priv.h"

#define RESUME_NS (200 * NS_PER_SEC / 1000000)
#define BURST_MIN (2 * (uint64_t)NET_FRAME_MAX)	/* bytes; two of the longest frames */

static void rate_init(struct meter *m, uint64_t bps, uint64_t now)
{
	uint64_t rate = min_u64(bps / 8 + (bps % 8 != 0), METER_RATE_MAX);

	/* What 20 ms make, so that a wake-up later than planned costs nothing, and TCP keeps going. */
	meter_init(m, rate, max_u64(rate / 50, BURST_MIN), now);
}

/* What P takes in bytes a second, when that is known. */
static uint64_t rate_of(const struct vport *p)
{
	uint64_t bps = p->policy.max_in_bps != 0 ? p->policy.max_in_bps : UINT64_MAX;

	if (p->capacity_bps != 0)
		bps = min_u64(bps, p->capacity_bps);
	return bps == UINT64_MAX ? 0 : max_u64(bps / 8, 1);
}

void policy_start(struct vport *p, uint64_t now)
{
	const struct share_conf c = {
		.rate = rate_of(p),
		.absolute = p->sw->bandwidth == BANDWIDTH_ABSOLUTE,
		.default_weight = p->sw->default_weight,
	};

	if (p->share != NULL)
		share_start(p->share, &c, now);
	rate_init(&p->out, p->policy.max_out_bps, now);
	rate_init(&p->in, p->policy.max_in_bps, now);
	meter_init(&p->storm, p->policy.storm_limit, p->policy.storm_limit / 8 + 1, now);
}

static bool may_spoof(const struct vport *p)
{
	return p->role == PORT_UPLINK || p->policy.mac_spoofing;
}

enum drop policy_in(struct hop *h)
{
	static const uint8_t reserved[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };
	const struct vport *from = h->from;
	const struct packet *p = &h->p;
	enum drop why;

	if (mac_is_group(pkt_mac_src(p)))
		return DROP_BAD;
	/* [802.1Q] table 8-1: pause, spanning tree, LLDP; they end at the next bridge. */
	if (memcmp(pkt_mac_dst(p), reserved, 5) == 0 && pkt_mac_dst(p)[5] < 16)
		return DROP_RESERVED;
	h->vid = vlan_in(&from->policy.vlan, p->flags & FRAME_TAGGED, p->tci);
	if (h->vid == VLAN_DROP)
		return DROP_VLAN;
	/* Behind one tag another: where the first is taken off, the next bridge would go by the second. */
	if ((p->what & PKT_TAGS) && from->policy.vlan.mode != VLAN_TRUNK)
		return DROP_VLAN;
	h->fid = h->sw->fid[h->vid];
	if (!may_spoof(from) && !mac_eq(pkt_mac_src(p), from->port.mac))
		return DROP_MAC_SPOOF;
	why = guard_judge(&from->policy.guard, p);
	if (why != DROP_NOT)
		return why;
	if (from->acl == NULL)
		return DROP_NOT;
	if (p->what & PKT_OPAQUE)
		return DROP_OPAQUE;
	if (!acl_judge(from->acl, ACL_OUT, p, h->now, &h->hits_out)) {
		acl_count(from->acl, &h->hits_out, p->len);
		return DROP_ACL_OUT;
	}
	return DROP_NOT;
}

enum drop policy_out(struct hop *h, struct vport *to, bool *ret_tagged)
{
	const struct packet *p = &h->p;
	uint64_t wait = 0;

	if (!vlan_out(&to->policy.vlan, h->vid, ret_tagged) || (!*ret_tagged && (p->what & PKT_TAGS)))
		return DROP_VLAN;
	if (to->acl != NULL) {
		if (p->what & PKT_OPAQUE)
			return DROP_OPAQUE;
		if (!acl_judge(to->acl, ACL_IN, p, h->now, &h->hits_in)) {
			acl_count(to->acl, &h->hits_in, p->len);
			return DROP_ACL_IN;
		}
	}
	if (to->policy.max_in_bps != 0 && to->share == NULL) {
		pthread_mutex_lock(&to->lock);
		wait = meter_wait_ns(&to->in, pkt_wire_len(p), h->now);
		pthread_mutex_unlock(&to->lock);
	}
	return wait == 0 ? DROP_NOT : DROP_RATE_IN;
}

static uint32_t weight_of(const struct vport *from)
{
	if (from->sw->bandwidth == BANDWIDTH_WEIGHT)
		return from->policy.min_weight;
	return (uint32_t)min_u64((from->policy.min_bps + 999) / 1000, UINT32_MAX / 2);
}

enum drop policy_turn(struct hop *h, struct vport *to, uint64_t *ret_wait)
{
	bool rate;

	if (to->share == NULL || share_is_idle(to->share, h->now))
		return DROP_NOT;
	pthread_mutex_lock(&to->lock);
	rate = share_has_rate(to->share);
	*ret_wait = share_wait_ns(to->share, h->from->index, weight_of(h->from), pkt_wire_len(&h->p), h->now);
	pthread_mutex_unlock(&to->lock);
	if (*ret_wait == 0)
		return DROP_NOT;
	return rate ? DROP_RATE_IN : DROP_NO_ROOM;
}

void policy_full(struct hop *h, struct vport *to)
{
	if (to->share == NULL)
		return;
	pthread_mutex_lock(&to->lock);
	share_full(to->share, h->now);
	pthread_mutex_unlock(&to->lock);
}

enum drop policy_storm(struct hop *h)
{
	struct vport *from = h->from;
	uint64_t wait;

	if (from->policy.storm_limit == 0)
		return DROP_NOT;
	pthread_mutex_lock(&from->lock);
	wait = meter_wait_ns(&from->storm, 1, h->now);
	if (wait == 0)
		meter_charge(&from->storm, 1);
	pthread_mutex_unlock(&from->lock);
	return wait == 0 ? DROP_NOT : DROP_STORM;
}

void policy_storm_back(struct hop *h)
{
	if (h->from->policy.storm_limit == 0)
		return;
	pthread_mutex_lock(&h->from->lock);
	meter_give_back(&h->from->storm, 1);
	pthread_mutex_unlock(&h->from->lock);
}

uint64_t policy_rate(struct hop *h)
{
	struct vport *from = h->from;
	uint64_t wait, cost = pkt_wire_len(&h->p);

	if (from->policy.max_out_bps == 0)
		return 0;
	pthread_mutex_lock(&from->lock);
	wait = meter_wait_ns(&from->out, cost, h->now);
	if (wait == 0)
		meter_charge(&from->out, cost);
	pthread_mutex_unlock(&from->lock);
	/* Some frames at once: the bucket holds what comes in meanwhile, and each wake-up costs. */
	return wait == 0 ? 0 : max_u64(wait, RESUME_NS);
}

void policy_rate_back(struct hop *h)
{
	struct vport *from = h->from;

	if (from->policy.max_out_bps == 0)
		return;
	pthread_mutex_lock(&from->lock);
	meter_give_back(&from->out, pkt_wire_len(&h->p));
	pthread_mutex_unlock(&from->lock);
}

void policy_sent(struct hop *h)
{
	if (h->from->acl != NULL)
		acl_count(h->from->acl, &h->hits_out, h->p.len);
}

void policy_received(struct hop *h, struct vport *to, uint64_t bytes)
{
	if (to->acl != NULL)
		acl_count(to->acl, &h->hits_in, h->p.len);
	if (to->share != NULL ? share_is_idle(to->share, h->now) : to->policy.max_in_bps == 0)
		return;
	pthread_mutex_lock(&to->lock);
	if (to->share != NULL)		/* one that went as a large send, for what it will be */
		share_charge(to->share, h->from->index, weight_of(h->from),
			     bytes >= h->p.len ? pkt_wire_len(&h->p) : bytes, h->now);
	else
		meter_charge(&to->in, bytes);
	pthread_mutex_unlock(&to->lock);
}
