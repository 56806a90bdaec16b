/*
 * vswitch.c - a switch and its ports: making, changing, taking away
 *
 * Lock     sw->lock for writing around every change
 */
#include "net/vswitch.h"
#include "base/err.h"
#include "dev/clock.h"
#include "net/vswitch_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_MACS 4096u
#define DEFAULT_AGE_NS (300 * NS_PER_SEC)
#define DEFAULT_BPS UINT64_C(10000000000)

static const char *const drop_names[DROP_NR] = {
	[DROP_NOT] = "passed",
	[DROP_BAD] = "malformed",
	[DROP_LINK] = "link-down",
	[DROP_RESERVED] = "reserved-address",
	[DROP_VLAN] = "vlan",
	[DROP_MAC_SPOOF] = "mac-spoofing",
	[DROP_OPAQUE] = "headers-unclear",
	[DROP_DHCP_GUARD] = "dhcp-guard",
	[DROP_ROUTER_GUARD] = "router-guard",
	[DROP_ADDR_SPOOF] = "address-spoofing",
	[DROP_STORM] = "storm-limit",
	[DROP_ACL_OUT] = "acl-out",
	[DROP_NOWHERE] = "no-destination",
	[DROP_OWN] = "own-frame",
	[DROP_MEMBER] = "other-member",
	[DROP_ACL_IN] = "acl-in",
	[DROP_RATE_IN] = "bandwidth-in",
	[DROP_NO_ROOM] = "no-room",
	[DROP_TOO_LONG] = "too-long",
};

const char *vswitch_drop_name(enum drop why)
{
	return (unsigned)why < DROP_NR ? drop_names[why] : "?";
}

/* How its senders share, if the words fit each other. */
static int take_bandwidth(struct vswitch *sw, const struct vswitch_conf *conf, struct err *err)
{
	sw->bandwidth = conf->bandwidth != BANDWIDTH_DEFAULT ? conf->bandwidth : BANDWIDTH_WEIGHT;
	if ((unsigned)conf->bandwidth > BANDWIDTH_ABSOLUTE || (unsigned)conf->team > TEAM_DYNAMIC)
		return err_set(err, -EINVAL, "bandwidth mode or team mode is not known");
	if (conf->default_weight > 100 || (conf->default_weight != 0 && sw->bandwidth != BANDWIDTH_WEIGHT))
		return err_set(err, -EINVAL, "a default weight is from 1 to 100, on a switch with weights");
	if (conf->default_bps != 0 && sw->bandwidth != BANDWIDTH_ABSOLUTE)
		return err_set(err, -EINVAL, "a default reservation needs a switch with reservations");
	sw->default_weight = conf->default_weight != 0 ? conf->default_weight : 1;
	if (sw->bandwidth == BANDWIDTH_ABSOLUTE)
		sw->default_weight = (uint32_t)min_u64((conf->default_bps + 999) / 1000, UINT32_MAX / 2);
	sw->team_mode = conf->team;
	return 0;
}

int vswitch_new(const struct vswitch_conf *conf, struct clock *c, struct vswitch **ret_sw,
		struct err *err)
{
	uint32_t max = conf->max_macs ? conf->max_macs : DEFAULT_MACS;
	uint64_t age = conf->age_ns ? conf->age_ns : DEFAULT_AGE_NS;
	struct vswitch *sw = new0(struct vswitch);
	pthread_rwlockattr_t attr;
	int rc;

	if (sw == NULL)
		return err_set(err, -ENOMEM, "no memory for a switch");
	rc = take_bandwidth(sw, conf, err);
	if (rc < 0)
		goto out_free;
	sw->kind = conf->kind;
	sw->clock = c;
	sw->wake_ns = TIMER_NEVER;
	for (uint16_t vid = 0; vid <= VLAN_MAX; vid++)
		sw->fid[vid] = vid;
	rc = fdb_new(max, max / 4 ? max / 4 : 1, age, &sw->fdb);
	if (rc < 0) {
		err_fill(err, "no table for %u addresses", max);
		goto out_free;
	}
	rc = timer_new(c, forward_wake, sw, &sw->timer);
	if (rc < 0) {
		err_fill(err, "no timer for a switch");
		goto out_fdb;
	}
	pthread_mutex_init(&sw->wake_lock, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&sw->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	*ret_sw = sw;
	return 0;
out_fdb:
	fdb_free(sw->fdb);
out_free:
	free(sw);
	return rc;
}

void vswitch_free(struct vswitch *sw)
{
	if (sw == NULL)
		return;
	for (unsigned i = 0; i < VSWITCH_PORTS; i++)
		BUG_IF(sw->ports[i] != NULL);
	timer_free(sw->timer);
	pthread_rwlock_destroy(&sw->lock);
	pthread_mutex_destroy(&sw->wake_lock);
	fdb_free(sw->fdb);
	free(sw);
}

static void call_link(struct vport *p)
{
	pthread_rwlock_rdlock(&p->sw->lock);
	if (p->client != NULL && p->client->link != NULL)
		p->client->link(p->dev, p->up, p->bps);
	pthread_rwlock_unlock(&p->sw->lock);
}

/*
 * Without the lock: a guest says this as often as it likes, and a writer stops everybody.
 * A frame that meets it half-way is completed by some old and some new values, which is
 * no worse than having come a moment earlier.
 */
static void vport_set_caps(struct port *port, const struct port_caps *caps)
{
	struct vport *p = vport_of(port);

	atomic_store_explicit(&p->takes, caps->flags, memory_order_relaxed);
	atomic_store_explicit(&p->max_frame, caps->max_frame, memory_order_relaxed);
	atomic_store_explicit(&p->max_lso, caps->max_lso, memory_order_relaxed);
}

static void vport_bind(struct port *port, const struct port_client *client, void *dev,
		       const struct port_caps *caps)
{
	struct vport *p = vport_of(port);
	struct port_set moved = { 0 };

	pthread_rwlock_wrlock(&p->sw->lock);
	p->client = client;
	p->dev = dev;
	p->carrier = true;
	vport_set_caps(port, caps != NULL ? caps : &(struct port_caps){ 0 });
	atomic_store(&p->full_since, 0);
	atomic_store(&p->waits_since, 0);
	atomic_store(&p->waiting, false);
	team_update(p->sw, &moved);
	pthread_rwlock_unlock(&p->sw->lock);
	call_link(p);
	forward_announce(p->sw, &moved);
}

/* The owner's wire, or the switch's own of this port. */
static void set_wire(struct vport *p, bool *wire, bool up)
{
	struct port_set moved = { 0 };

	pthread_rwlock_wrlock(&p->sw->lock);
	*wire = up;
	team_update(p->sw, &moved);
	pthread_rwlock_unlock(&p->sw->lock);
	forward_announce(p->sw, &moved);
}

static void vport_carrier(struct port *port, bool there)
{
	struct vport *p = vport_of(port);

	set_wire(p, &p->carrier, there);
}

static bool vport_may_spoof(const struct port *port)
{
	return atomic_load(&((const struct vport *)port)->spoof);
}

static const struct port_ops vport_ops = {
	.send = forward_send,
	.room = forward_room,
	.bind = vport_bind,
	.set_caps = vport_set_caps,
	.carrier = vport_carrier,
	.may_spoof = vport_may_spoof,
};

/* Secondary VLANs share the filtering database of their primary. */
static void rebuild_fids(struct vswitch *sw)
{
	for (uint16_t vid = 0; vid <= VLAN_MAX; vid++)
		sw->fid[vid] = vid;
	for (unsigned i = 0; i < sw->nr; i++) {
		const struct vlan_conf *v = sw->ports[i] ? &sw->ports[i]->policy.vlan : NULL;

		if (v == NULL)
			continue;
		if (v->mode == VLAN_ISOLATED || v->mode == VLAN_COMMUNITY)
			sw->fid[v->id] = v->primary;
		for (uint16_t vid = 1; v->mode == VLAN_PROMISCUOUS && vid <= VLAN_MAX; vid++)
			if (vlan_allows(v, vid))
				sw->fid[vid] = v->primary;
	}
}

static int add_known(struct vport *p)
{
	const struct vlan_conf *v = &p->policy.vlan;

	if (p->role == PORT_UPLINK)
		return 0;
	switch (v->mode) {
	case VLAN_ACCESS: return fdb_add_known(p->sw->fdb, p->port.mac, v->id, p->index);
	case VLAN_TRUNK: return fdb_add_known(p->sw->fdb, p->port.mac, FDB_ANY, p->index);
	default: return fdb_add_known(p->sw->fdb, p->port.mac, v->primary, p->index);
	}
}

static int known_failed(int rc, const struct port *p, struct err *err)
{
	const uint8_t *m = p->mac;

	if (rc == -EEXIST)
		return err_set(err, rc, "port %s: address %02x-%02x-%02x-%02x-%02x-%02x is another port's",
			       p->name, m[0], m[1], m[2], m[3], m[4], m[5]);
	return err_set(err, rc, "port %s: no room for its address", p->name);
}

/* What a port starts with: an uplink's zero means every VLAN, the untagged one without tag. */
static struct port_policy filled_policy(const struct vport *p, const struct port_policy *policy)
{
	struct port_policy r = *policy;

	r.acl = NULL;
	if (p->role == PORT_UPLINK && r.vlan.mode == VLAN_ACCESS && r.vlan.id == 0) {
		r.vlan.mode = VLAN_TRUNK;
		for (uint16_t vid = 1; vid <= VLAN_MAX; vid++)
			vlan_allow(&r.vlan, vid);
	}
	return r;
}

static int check_conf(struct vswitch *sw, const struct port_conf *conf, struct err *err)
{
	static const uint8_t zero[6];
	static const struct { unsigned hosts, uplinks; const char *name; } may[] = {
		[VSWITCH_PRIVATE] = { 0, 0, "a private" },
		[VSWITCH_INTERNAL] = { 1, 0, "an internal" },
		[VSWITCH_EXTERNAL] = { 1, TEAM_MAX, "an external" },
		[VSWITCH_NAT] = { 1, 0, "a NAT" },
	};
	unsigned hosts = conf->role == PORT_HOST, uplinks = conf->role == PORT_UPLINK;

	for (unsigned i = 0; i < sw->nr; i++)
		if (sw->ports[i] != NULL) {
			hosts += sw->ports[i]->role == PORT_HOST;
			uplinks += sw->ports[i]->role == PORT_UPLINK;
		}
	if (hosts > may[sw->kind].hosts)
		return err_set(err, -EINVAL, "%s switch has %u ports for the host", may[sw->kind].name,
			       may[sw->kind].hosts);
	if (uplinks > may[sw->kind].uplinks)
		return err_set(err, -EINVAL, "%s switch has at most %u uplinks", may[sw->kind].name,
			       may[sw->kind].uplinks);
	if (mac_is_group(conf->mac) || (conf->role != PORT_UPLINK && mac_eq(conf->mac, zero)))
		return err_set(err, -EINVAL, "port %s needs the address of one station", conf->name);
	return 0;
}

/* With P, which may be there already, may more be reserved than the uplinks take together? */
static int check_reserved(const struct vswitch *sw, const struct vport *p, struct err *err)
{
	uint64_t want = (uint64_t)sw->default_weight * 1000 + p->policy.min_bps, have = p->capacity_bps;
	bool unknown = p->role == PORT_UPLINK && p->capacity_bps == 0;

	for (unsigned i = 0; i < sw->nr; i++) {
		const struct vport *o = sw->ports[i];

		if (o == NULL || o == p)
			continue;
		want += o->policy.min_bps;
		have += o->capacity_bps;
		unknown |= o->role == PORT_UPLINK && o->capacity_bps == 0;
	}
	if (sw->bandwidth != BANDWIDTH_ABSOLUTE || unknown || have == 0 || want <= have)
		return 0;
	return err_set(err, -ERANGE, "port %s: %llu bits a second would be reserved, the uplinks have %llu",
		       p->port.name, (unsigned long long)want, (unsigned long long)have);
}

/* A slot of the team for an uplink; there is one, as check_conf has counted. */
static void join_team(struct vswitch *sw, struct vport *p)
{
	if (p->role != PORT_UPLINK)
		return;
	while (sw->team[p->slot] != NULL)
		p->slot++;
	BUG_IF(p->slot >= TEAM_MAX);
	sw->team[p->slot] = p;
	sw->nr_team++;
}

static int attach(struct vswitch *sw, struct vport *p, const struct port_conf *conf, struct err *err)
{
	struct port_set moved = { 0 };
	unsigned i = 0;
	int rc = check_conf(sw, conf, err);

	if (rc == 0)
		rc = check_reserved(sw, p, err);
	if (rc < 0)
		return rc;
	while (i < VSWITCH_PORTS && sw->ports[i] != NULL)
		i++;
	if (i == VSWITCH_PORTS)
		return err_set(err, -ENOSPC, "a switch has at most %u ports", VSWITCH_PORTS);
	p->index = (uint16_t)i;
	rc = add_known(p);
	if (rc < 0)
		return known_failed(rc, &p->port, err);
	sw->ports[i] = p;
	sw->nr = (unsigned)max_u64(sw->nr, i + 1);
	rebuild_fids(sw);
	join_team(sw, p);
	team_update(sw, &moved);	/* which moves nobody: an uplink without an owner has no link yet */
	return 0;
}

static int check_minimum(const struct vswitch *sw, const struct port_policy *policy, struct err *err)
{
	static const char *const words[] = {
		[BANDWIDTH_NONE] = "none", [BANDWIDTH_WEIGHT] = "weights", [BANDWIDTH_ABSOLUTE] = "reservations",
	};

	if (policy->min_weight > 100)
		return err_set(err, -EINVAL, "a minimum weight of %u: from 1 to 100 is expected", policy->min_weight);
	if ((policy->min_weight != 0 && sw->bandwidth != BANDWIDTH_WEIGHT) ||
	    (policy->min_bps != 0 && sw->bandwidth != BANDWIDTH_ABSOLUTE))
		return err_set(err, -EINVAL, "a minimum by %s: the switch has %s",
			       policy->min_weight != 0 ? "weight" : "reservation", words[sw->bandwidth]);
	return 0;
}

static int check_policy(const struct vswitch *sw, const struct port_policy *policy, struct err *err)
{
	int rc = vlan_check(&policy->vlan, err);

	if (rc == 0)
		rc = check_minimum(sw, policy, err);

	if (rc == 0)
		rc = guard_check(&policy->guard, err);
	if (rc == 0 && (unsigned)policy->mirror > MIRROR_DESTINATION)
		rc = err_set(err, -EINVAL, "mirror mode %u is not known", policy->mirror);
	return rc;
}

static void vport_destroy(struct vport *p)
{
	acl_free(p->acl);
	share_free(p->share);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* The parts of a new port that can be had or not. */
static int vport_start(struct vport *p, const struct port_conf *conf, struct err *err)
{
	int rc = p->sw->bandwidth == BANDWIDTH_NONE ? 0 : share_new(&p->share);

	if (rc < 0)
		return err_set(err, rc, "no memory for port %s", conf->name);
	policy_start(p, clock_now_ns(p->sw->clock));
	rc = acl_new(conf->policy.acl, conf->policy.nr_acl, &p->acl, err);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&p->sw->lock);
	rc = attach(p->sw, p, conf, err);
	pthread_rwlock_unlock(&p->sw->lock);
	return rc;
}

int vswitch_port(struct vswitch *sw, const struct port_conf *conf, struct port **ret_p,
		 struct err *err)
{
	struct vport *p;
	int rc = check_policy(sw, &conf->policy, err);

	if (rc < 0)
		return rc;
	p = new0(struct vport);
	if (p == NULL)
		return err_set(err, -ENOMEM, "no memory for port %s", conf->name);
	pthread_mutex_init(&p->lock, NULL);
	p->port.ops = &vport_ops;
	memcpy(p->port.mac, conf->mac, 6);
	snprintf(p->port.name, sizeof(p->port.name), "%s", conf->name);
	p->sw = sw;
	p->role = conf->role;
	p->bps = conf->bps ? conf->bps : DEFAULT_BPS;
	p->capacity_bps = conf->role == PORT_UPLINK ? conf->bps : 0;
	p->up = p->carrier = true;
	p->home = p->member = TEAM_NONE;
	p->policy = filled_policy(p, &conf->policy);
	atomic_store(&p->spoof, conf->policy.mac_spoofing);
	rc = vport_start(p, conf, err);
	if (rc < 0) {
		vport_destroy(p);
		return rc;
	}
	*ret_p = &p->port;
	return 0;
}

void vswitch_port_free(struct port *port)
{
	struct port_set moved = { 0 };
	struct vswitch *sw;
	struct vport *p;

	if (port == NULL)
		return;
	p = vport_of(port);
	sw = p->sw;
	pthread_rwlock_wrlock(&sw->lock);
	sw->ports[p->index] = NULL;
	if (p->role == PORT_UPLINK) {
		sw->team[p->slot] = NULL;
		sw->nr_team--;
	}
	fdb_drop_port(sw->fdb, p->index);
	rebuild_fids(sw);
	team_update(sw, &moved);
	pthread_rwlock_unlock(&sw->lock);
	forward_announce(sw, &moved);
	vport_destroy(p);
}

/* Changes P's VLAN and what hangs on it; on an error nothing. */
static int move_policy(struct vport *p, const struct port_policy *policy, struct err *err)
{
	struct port_policy old = p->policy;
	int rc;

	p->policy = filled_policy(p, policy);
	rc = check_reserved(p->sw, p, err);
	if (rc < 0) {
		p->policy = old;
		return rc;
	}
	fdb_drop_port(p->sw->fdb, p->index);
	rc = add_known(p);
	if (rc < 0) {
		known_failed(rc, &p->port, err);
		p->policy = old;
		BUG_IF(add_known(p) < 0);	/* its place was free a moment ago */
		return rc;
	}
	rebuild_fids(p->sw);
	policy_start(p, clock_now_ns(p->sw->clock));
	return 0;
}

int vswitch_set_policy(struct port *port, const struct port_policy *policy, struct err *err)
{
	struct vport *p = vport_of(port);
	struct acl *acl = NULL, *old;
	int rc = check_policy(p->sw, policy, err);

	if (rc == 0)
		rc = acl_new(policy->acl, policy->nr_acl, &acl, err);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&p->sw->lock);
	rc = move_policy(p, policy, err);
	old = rc < 0 ? acl : p->acl;
	if (rc == 0)
		p->acl = acl;
	pthread_rwlock_unlock(&p->sw->lock);
	acl_free(old);
	/* An owner elsewhere is told with its link. */
	if (rc == 0 && atomic_exchange(&p->spoof, policy->mac_spoofing) != policy->mac_spoofing)
		call_link(p);
	return rc;
}

void vswitch_acl_counters(struct port *port, unsigned i, uint64_t *ret_frames, uint64_t *ret_bytes)
{
	struct vport *p = vport_of(port);

	*ret_frames = *ret_bytes = 0;
	pthread_rwlock_rdlock(&p->sw->lock);
	if (i < p->policy.nr_acl)
		acl_counters(p->acl, i, ret_frames, ret_bytes);
	pthread_rwlock_unlock(&p->sw->lock);
}

void vswitch_set_link(struct port *port, bool up)
{
	struct vport *p = vport_of(port);

	set_wire(p, &p->up, up);
	call_link(p);
}

void vswitch_port_stats(struct port *port, struct port_stats *ret_st)
{
	struct vport *p = vport_of(port);

	ret_st->sent = atomic_load(&p->sent);
	ret_st->sent_bytes = atomic_load(&p->sent_bytes);
	ret_st->received = atomic_load(&p->received);
	ret_st->received_bytes = atomic_load(&p->received_bytes);
	for (unsigned i = 0; i < DROP_NR; i++)
		ret_st->drops[i] = atomic_load(&p->drops[i]);
}

uint32_t vswitch_addresses(struct vswitch *sw, struct vswitch_addr *ret_list, uint32_t max)
{
	struct fdb_seen *seen = new_array(struct fdb_seen, max);
	uint32_t nr, n = 0;

	if (seen == NULL)
		return 0;
	pthread_rwlock_rdlock(&sw->lock);
	nr = fdb_list(sw->fdb, clock_now_ns(sw->clock), seen, max);
	for (uint32_t i = 0; i < nr; i++) {
		const struct vport *p = sw->ports[seen[i].port];
		struct vswitch_addr *a = &ret_list[n];

		if (p == NULL)
			continue;
		*a = (struct vswitch_addr){ .vlan = seen[i].fid, .known = seen[i].known, .age_ns = seen[i].age_ns };
		memcpy(a->mac, seen[i].mac, 6);
		memcpy(a->port, p->port.name, sizeof(a->port));
		n++;
	}
	pthread_rwlock_unlock(&sw->lock);
	free(seen);
	return n;
}
