/*
 * vswitch.c - a switch and its ports: making, changing, taking away
 *
 * Missing  embedded teaming, minimum bandwidth, capture files; a process of
 *          its own for switches that several machines share
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
	[DROP_ACL_IN] = "acl-in",
	[DROP_RATE_IN] = "bandwidth-in",
	[DROP_NO_ROOM] = "no-room",
	[DROP_TOO_LONG] = "too-long",
};

const char *vswitch_drop_name(enum drop why)
{
	return (unsigned)why < DROP_NR ? drop_names[why] : "?";
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

static void vport_bind(struct port *port, const struct port_client *client, void *dev,
		       const struct port_caps *caps)
{
	struct vport *p = vport_of(port);

	pthread_rwlock_wrlock(&p->sw->lock);
	p->client = client;
	p->dev = dev;
	p->caps = caps != NULL ? *caps : (struct port_caps){ 0 };
	atomic_store(&p->full_since, 0);
	atomic_store(&p->waiting, false);
	pthread_rwlock_unlock(&p->sw->lock);
	call_link(p);
}

static void vport_set_caps(struct port *port, const struct port_caps *caps)
{
	struct vport *p = vport_of(port);

	pthread_rwlock_wrlock(&p->sw->lock);
	p->caps = *caps;
	pthread_rwlock_unlock(&p->sw->lock);
}

static const struct port_ops vport_ops = {
	.send = forward_send,
	.room = forward_room,
	.bind = vport_bind,
	.set_caps = vport_set_caps,
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
		[VSWITCH_EXTERNAL] = { 1, 1, "an external" },
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
		return err_set(err, -EINVAL, "%s switch has %u uplinks", may[sw->kind].name,
			       may[sw->kind].uplinks);
	if (conf->role != PORT_UPLINK && (mac_is_group(conf->mac) || mac_eq(conf->mac, zero)))
		return err_set(err, -EINVAL, "port %s needs the address of one station", conf->name);
	return 0;
}

static int attach(struct vswitch *sw, struct vport *p, const struct port_conf *conf, struct err *err)
{
	unsigned i = 0;
	int rc = check_conf(sw, conf, err);

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
	return 0;
}

static int check_policy(const struct port_policy *policy, struct err *err)
{
	int rc = vlan_check(&policy->vlan, err);

	if (rc == 0)
		rc = guard_check(&policy->guard, err);
	if (rc == 0 && (unsigned)policy->mirror > MIRROR_DESTINATION)
		rc = err_set(err, -EINVAL, "mirror mode %u is not known", policy->mirror);
	return rc;
}

static void vport_destroy(struct vport *p)
{
	acl_free(p->acl);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int vswitch_port(struct vswitch *sw, const struct port_conf *conf, struct port **ret_p,
		 struct err *err)
{
	struct vport *p;
	int rc = check_policy(&conf->policy, err);

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
	p->up = true;
	p->policy = filled_policy(p, &conf->policy);
	policy_start(p, clock_now_ns(sw->clock));
	rc = acl_new(conf->policy.acl, conf->policy.nr_acl, &p->acl, err);
	if (rc < 0)
		goto out_free;
	pthread_rwlock_wrlock(&sw->lock);
	rc = attach(sw, p, conf, err);
	pthread_rwlock_unlock(&sw->lock);
	if (rc < 0)
		goto out_free;
	*ret_p = &p->port;
	return 0;
out_free:
	vport_destroy(p);
	return rc;
}

void vswitch_port_free(struct port *port)
{
	struct vswitch *sw;
	struct vport *p;

	if (port == NULL)
		return;
	p = vport_of(port);
	sw = p->sw;
	pthread_rwlock_wrlock(&sw->lock);
	sw->ports[p->index] = NULL;
	fdb_drop_port(sw->fdb, p->index);
	rebuild_fids(sw);
	pthread_rwlock_unlock(&sw->lock);
	vport_destroy(p);
}

/* Changes P's VLAN and what hangs on it; on an error nothing. */
static int move_policy(struct vport *p, const struct port_policy *policy, struct err *err)
{
	struct port_policy old = p->policy;
	int rc;

	p->policy = filled_policy(p, policy);
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
	int rc = check_policy(policy, err);

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

	pthread_rwlock_wrlock(&p->sw->lock);
	p->up = up;
	pthread_rwlock_unlock(&p->sw->lock);
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
