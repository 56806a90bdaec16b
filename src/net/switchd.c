/*
 * switchd.c - a switch that several machines share, as it lives in its process
 *
 * Requests besides those of netctl.h:
 *
 *	{"do": "port", "name", "mac", "words"}	an adapter of another process: switch_link.c
 *	{"do": "reload"}			its definition has changed: policies count from now
 *						on; {"ok": true, "later": what does not}
 *	{"do": "stop"}				if it has no ports of adapters: {"ok": true}
 *
 * Lock     switchd.lock around its definition
 */
#include "net/switchd.h"
#include "base/log.h"
#include "dev/clock.h"
#include "net/counters.h"
#include "net/link_priv.h"
#include "net/nat.h"
#include "net/netctl.h"
#include "net/switch_link.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAYS (1 + SWITCH_UPLINKS)

struct way {				/* to the host, or out */
	struct port *port;
	struct nat *nat;
	struct tap *tap;
};

struct switchd {
	char name[SWITCH_NAME_MAX];	/* [const] */
	pthread_mutex_t lock;
	struct switch_def *began;	/* [const] owned; its ways were opened by this */
	struct switch_def *def;		/* [lock] owned or BEGAN; the roster looks at it */
	struct clock *clock;		/* [const] */
	struct roster *roster;		/* [const] */
	struct netctl *ctl;		/* [const] */
	struct way ways[WAYS];		/* [const] */
	unsigned nr_ways;
	atomic_uint links;		/* ports of other processes */
};

static void free_def(struct switch_def *def)
{
	if (def != NULL)
		switch_def_fini(def);
	free(def);
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Ways are opened when the switch starts, and stay. */
static bool same_ways(const struct switch_def *a, const struct switch_def *b)
{
	return a->kind == b->kind && strcmp(a->host, b->host) == 0 && a->nr_uplinks == b->nr_uplinks &&
	       a->uplink_bps == b->uplink_bps && a->team == b->team && a->bandwidth == b->bandwidth &&
	       a->default_weight == b->default_weight && a->default_bps == b->default_bps &&
	       memcmp(a->uplinks, b->uplinks, sizeof(a->uplinks)) == 0 && same_text(a->nat, b->nat);
}

/* [lock] What is written now; *RET_SAME: the ways are as it says. */
static int take_definition(struct switchd *d, bool *ret_same, struct err *err)
{
	struct switch_def *now = new0(struct switch_def);
	int rc = now != NULL ? switch_def_load(d->name, now, err) : -ENOMEM;

	if (rc < 0) {
		free(now);
		return rc;
	}
	*ret_same = same_ways(d->began, now);
	rc = roster_define(d->roster, now, err);
	if (d->def != d->began)
		free_def(d->def);
	d->def = now;
	return rc;
}

static void reload(struct switchd *d, int sock)
{
	struct err err = { "no memory" };
	bool same = false;
	json_t *msg;
	int rc;

	/* Of two that are told to at once, who reads later counts. */
	pthread_mutex_lock(&d->lock);
	rc = take_definition(d, &same, &err);
	pthread_mutex_unlock(&d->lock);
	if (rc < 0)
		return netctl_refuse(sock, err.msg);
	msg = json_pack("{s:b, s:s}", "ok", 1, "later", same ? "" :
			"kind, uplinks and their use, bandwidth mode, host port and NAT change when the switch "
			"starts the next time");
	if (msg != NULL)
		(void)!link_send(sock, msg, -1);
	json_decref(msg);
}

static void stop(struct switchd *d, int sock)
{
	unsigned nr = atomic_load(&d->links);
	char why[96];
	json_t *msg;

	if (nr != 0) {
		snprintf(why, sizeof(why), "switch %s is in use by %u adapter%s", d->name, nr, nr == 1 ? "" : "s");
		return netctl_refuse(sock, why);
	}
	msg = json_pack("{s:b}", "ok", 1);
	if (msg != NULL)
		(void)!link_send(sock, msg, -1);
	json_decref(msg);
	netctl_stop(d->ctl);
}

static bool other(void *arg, int sock, const json_t *ask)
{
	const char *what = link_text(ask, "do");
	struct switchd *d = arg;

	if (strcmp(what, "port") == 0) {
		atomic_fetch_add(&d->links, 1);
		switch_link_serve(d->roster, sock, ask);
		atomic_fetch_sub(&d->links, 1);
	} else if (strcmp(what, "reload") == 0) {
		reload(d, sock);
	} else if (strcmp(what, "stop") == 0) {
		stop(d, sock);
	} else {
		return false;
	}
	return true;
}

/* ---- ways ------------------------------------------------------------------- */

static int open_tap(struct switchd *d, const char *tap, enum port_role role, const char *name, struct err *err)
{
	struct roster_port conf = {
		.name = name, .role = role, .words = "", .bps = role == PORT_UPLINK ? d->def->uplink_bps : 0,
	};
	struct way *w = &d->ways[d->nr_ways++];
	int rc;

	/*
	 * The host's is only to have one that is nobody's: what is behind the tap speaks for
	 * itself.  A member of a dynamic team lends its own.
	 */
	if (role == PORT_HOST || d->def->team == TEAM_DYNAMIC) {
		base_random(conf.mac, sizeof(conf.mac));
		conf.mac[0] = 0x02;
	}
	rc = roster_port(d->roster, &conf, &w->port, err);
	if (rc == 0)
		rc = tap_new(tap, w->port, &w->tap, err);
	if (rc == 0)
		roster_count(d->roster, w->port, "tap", counters_tap, w->tap);
	return rc;
}

static int open_nat(struct switchd *d, struct err *err)
{
	const struct roster_port conf = {
		.name = "nat", .role = PORT_HOST, .mac = { 0x52, 0x55, 0x00, 0x00, 0x00, 0x01 }, .words = "",
	};
	struct way *w = &d->ways[d->nr_ways++];
	struct nat_conf *nat = new0(struct nat_conf);
	int rc;

	if (nat == NULL)
		return err_set(err, -ENOMEM, "no memory");
	rc = nat_parse(d->def->nat, nat, err);
	if (rc == 0)
		rc = roster_port(d->roster, &conf, &w->port, err);
	if (rc == 0)
		rc = nat_new(nat, w->port, &w->nat, err);
	if (rc == 0)
		roster_count(d->roster, w->port, "nat", counters_nat, w->nat);
	free(nat);
	return rc;
}

static int open_ways(struct switchd *d, struct err *err)
{
	const struct switch_def *def = d->def;
	int rc = 0;

	if (def->kind == VSWITCH_NAT)
		return open_nat(d, err);
	if (def->host[0] != '\0')
		rc = open_tap(d, def->host, PORT_HOST, "host", err);
	for (unsigned i = 0; i < def->nr_uplinks && rc == 0; i++) {
		char name[24];

		snprintf(name, sizeof(name), "uplink%u", i);
		rc = open_tap(d, def->uplinks[i], PORT_UPLINK, name, err);
	}
	return rc;
}

/* ---- the whole -------------------------------------------------------------- */

static int open_all(struct switchd *d, int *listen, struct err *err)
{
	const struct vswitch_conf sw = switch_def_conf(d->def);
	struct netctl_conf conf = { .rosters = &d->roster, .nr = 1, .other = other, .arg = d };
	int rc = clock_new(&d->clock);

	if (rc < 0)
		return err_set(err, rc, "no clock for a switch");
	rc = roster_new(d->name, &sw, d->clock, &d->roster, err);
	if (rc == 0)
		rc = roster_define(d->roster, d->def, err);
	if (rc == 0)
		rc = open_ways(d, err);
	if (rc < 0)
		return rc;
	conf.listen = *listen;
	*listen = -1;
	return netctl_new(&conf, &d->ctl, err);
}

int switchd_new(struct switch_def *take, int listen, struct switchd **ret_d, struct err *err)
{
	struct switchd *d = new0(struct switchd);
	int rc;

	if (d != NULL)
		d->def = d->began = new0(struct switch_def);
	if (d == NULL || d->def == NULL) {
		close(listen);
		switch_def_fini(take);
		free(d);
		return err_set(err, -ENOMEM, "no memory for a switch");
	}
	pthread_mutex_init(&d->lock, NULL);
	*d->def = *take;
	*take = (struct switch_def){ 0 };
	strcpy(d->name, d->def->name);
	rc = open_all(d, &listen, err);
	if (listen >= 0)
		close(listen);
	if (rc < 0)
		switchd_free(d);
	else
		*ret_d = d;
	return rc;
}

void switchd_run(struct switchd *d, uint64_t idle_ns, int quit)
{
	netctl_run(d->ctl, idle_ns, quit);
}

void switchd_stop(struct switchd *d)
{
	netctl_stop(d->ctl);
}

void switchd_free(struct switchd *d)
{
	if (d == NULL)
		return;
	netctl_free(d->ctl);
	for (unsigned i = 0; i < d->nr_ways; i++) {
		if (d->ways[i].nat != NULL)
			nat_free(d->ways[i].nat);
		tap_free(d->ways[i].tap);
		roster_port_free(d->roster, d->ways[i].port);
	}
	roster_free(d->roster);
	if (d->clock != NULL)
		clock_free(d->clock);
	if (d->def != d->began)
		free_def(d->def);
	free_def(d->began);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
