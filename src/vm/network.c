/*
 * network.c - what the machine's adapters are plugged into
 *
 * "private" is one switch of the machine's own for all adapters that say so:
 * nobody else is on it.  "nat" and "tap=NAME" are a switch each, with the
 * adapter on one side and the way out on the other.  "switch=NAME" is a port
 * of a switch in another process.
 *
 * In the meeting place (net/places.h) the machine is +PID, where "genvisor net
 * show --machine" finds its own switches.  A machine that cannot have that runs
 * all the same.
 *
 * Lock     network.lock
 */
#include "vm/network.h"

#include "base/log.h"
#include "net/counters.h"
#include "net/switchd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- being asked ------------------------------------------------------------ */

static void *answer(void *arg)
{
	struct network *n = arg;

	netctl_run(n->ctl, 0, -1);
	return NULL;
}

static void answer_begin(struct network *n)
{
	struct netctl_conf conf = { .rosters = n->shown, .nr = n->nr_shown };
	struct err err = { "" };

	snprintf(n->name, sizeof(n->name), "+%d", (int)getpid());
	if (place_runtime(&n->place, &err) < 0)
		goto out;
	conf.listen = place_listen(&n->place, n->name, &err);
	if (conf.listen >= 0 && netctl_new(&conf, &n->ctl, &err) == 0) {
		if (pthread_create(&n->thread, NULL, answer, n) == 0)
			return;
		err_fill(&err, "no thread");
		netctl_free(n->ctl);
		n->ctl = NULL;
	}
	place_close(&n->place);
out:
	log_info("net", "nobody can ask about this machine's switches: %s", err.msg);
}

void network_answer_end(struct network *n)
{
	if (n->ctl == NULL)
		return;
	place_unlisten(&n->place, n->name);
	netctl_stop(n->ctl);
	pthread_join(n->thread, NULL);
	netctl_free(n->ctl);
	n->ctl = NULL;
	place_close(&n->place);
}

/* One that is not shown works as well. */
static void show(struct network *n, struct roster *r)
{
	if (n->nr_shown == ARRAY_LEN(n->shown))
		return;
	n->shown[n->nr_shown++] = r;
	if (n->ctl == NULL)
		answer_begin(n);
	else
		(void)!netctl_add(n->ctl, r);
}

static void hide(struct network *n, struct roster *r)
{
	if (n->ctl != NULL)
		netctl_remove(n->ctl, r);
	for (unsigned i = 0; i < n->nr_shown; i++)
		if (n->shown[i] == r)
			n->shown[i--] = n->shown[--n->nr_shown];
}

/* ---- switches of this process ----------------------------------------------- */

/* The switch that O wants, made if it must be. */
static int own_switch(struct network *n, struct plug *p, const struct adapter *a, const struct net_opt *o,
		      struct err *err)
{
	static const enum vswitch_kind kinds[] = {
		[NET_PRIVATE] = VSWITCH_PRIVATE, [NET_NAT] = VSWITCH_NAT, [NET_TAP] = VSWITCH_EXTERNAL,
	};
	const bool private = o->kind == NET_PRIVATE;
	char name[16];
	int rc = 0;

	if (private)
		strcpy(name, "private");
	else
		snprintf(name, sizeof(name), "%s%u", o->kind == NET_NAT ? "nat" : "tap", a->id);
	p->roster = private ? n->private_switch : NULL;
	if (p->roster == NULL) {
		rc = roster_new(name, &(struct vswitch_conf){ .kind = kinds[o->kind] }, n->vm->clock, &p->roster, err);
		if (rc < 0)
			return rc;
		show(n, p->roster);
	}
	if (private) {
		n->private_switch = p->roster;
		n->nr_private++;
	}
	return 0;
}

static void own_switch_free(struct network *n, struct roster *r)
{
	if (r == n->private_switch) {
		if (--n->nr_private != 0)
			return;
		n->private_switch = NULL;
	}
	hide(n, r);
	roster_free(r);
}

static int plug_in(struct network *n, struct plug *p, const struct adapter *a, const struct net_opt *o,
		   struct err *err)
{
	struct roster_port port = { .role = PORT_ADAPTER, .words = o->words };
	int rc = own_switch(n, p, a, o, err);

	port.name = o->port[0] != '\0' ? o->port : a->name;
	memcpy(port.mac, a->mac, 6);
	if (rc == 0)
		rc = roster_port(p->roster, &port, &p->plugged, err);
	if (rc == 0)
		p->port = p->plugged;
	return rc;
}

static int way_out(struct plug *p, const struct net_opt *o, struct err *err)
{
	const struct roster_port host = { .name = "nat", .role = PORT_HOST, .words = "",
					  .mac = { 0x52, 0x55, 0x00, 0x00, 0x00, 0x01 } };
	const struct roster_port uplink = { .name = "tap", .role = PORT_UPLINK, .words = "" };
	int rc;

	if (o->kind == NET_PRIVATE)
		return 0;
	rc = roster_port(p->roster, o->kind == NET_NAT ? &host : &uplink, &p->way, err);
	if (rc < 0)
		return rc;
	rc = o->kind == NET_NAT ? nat_new(&o->nat, p->way, &p->nat, err) : tap_new(o->tap, p->way, &p->tap, err);
	if (rc == 0 && o->kind == NET_NAT)
		roster_count(p->roster, p->way, "nat", counters_nat, p->nat);
	else if (rc == 0)
		roster_count(p->roster, p->way, "tap", counters_tap, p->tap);
	return rc;
}

/* ---- a switch elsewhere ----------------------------------------------------- */

/* Without a name its port is called after the address. */
static int link_up(struct plug *p, const struct adapter *a, const struct net_opt *o, struct err *err)
{
	struct link_port_conf conf = { .sw = o->sw, .words = o->words, .reach = switch_reach };
	const uint8_t *mac = a->mac;
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "%02x%02x%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	conf.port = o->port[0] != '\0' ? o->port : name;
	memcpy(conf.mac, mac, 6);
	rc = link_port_new(&conf, &p->link, err);
	if (rc == 0)
		p->port = link_port_port(p->link);
	return rc;
}

/* ---- a plug ----------------------------------------------------------------- */

static void put_name(struct plug *p, const struct net_opt *o)
{
	switch (o->kind) {
	case NET_PRIVATE:
		snprintf(p->net, sizeof(p->net), "private");
		break;
	case NET_NAT:
		snprintf(p->net, sizeof(p->net), "nat");
		break;
	case NET_TAP:
		snprintf(p->net, sizeof(p->net), "tap=%s", o->tap);
		break;
	case NET_SWITCH:
		snprintf(p->net, sizeof(p->net), "switch=%s", o->sw);
		break;
	}
}

int plug_make(struct network *n, const struct adapter *a, const struct net_opt *o, struct plug *ret_p,
	      struct err *err)
{
	int rc;

	*ret_p = (struct plug){ 0 };
	put_name(ret_p, o);
	if (o->kind == NET_SWITCH) {
		rc = link_up(ret_p, a, o, err);
	} else {
		rc = plug_in(n, ret_p, a, o, err);
		if (rc == 0)
			rc = way_out(ret_p, o, err);
	}
	if (rc < 0)
		plug_free(n, ret_p);
	return rc;
}

void plug_free(struct network *n, struct plug *p)
{
	if (p->way != NULL)
		roster_count(p->roster, p->way, NULL, NULL, NULL);
	if (p->nat != NULL)
		nat_free(p->nat);
	if (p->tap != NULL)
		tap_free(p->tap);
	link_port_free(p->link);
	if (p->roster != NULL) {
		roster_port_free(p->roster, p->way);
		roster_port_free(p->roster, p->plugged);
		own_switch_free(n, p->roster);
	}
	*p = (struct plug){ 0 };
}
