/*
 * switch.c - genvisor switch new, list, set, port, remove, run
 *
 * What is changed here counts at once in a switch that runs, where it can;
 * where not, a line says so.
 *
 * Lock     one thread; the folder of definitions around reading and writing
 */
#include "ctl/verbs.h"

#include "net/link_msg.h"
#include "net/switchd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct switch_opts {
	const char *kind, *host, *nat, *policy, *bandwidth, *team, *speed;
	const char *uplinks[SWITCH_UPLINKS];
	unsigned nr_uplinks;
	bool json, clear, foreground;
};

static int set_kind(void *into, const char *val, struct err *err)
{
	enum vswitch_kind kind;
	int rc = switch_kind_parse(val, &kind, err);

	((struct switch_opts *)into)->kind = val;
	return rc < 0 ? err_prefix(err, rc, "--kind") : 0;
}

static int set_host(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct switch_opts *)into)->host = val;
	return 0;
}

static int set_uplink(void *into, const char *val, struct err *err)
{
	struct switch_opts *o = into;

	if (o->nr_uplinks == SWITCH_UPLINKS)
		return err_set(err, -E2BIG, "--uplink: at most %u", SWITCH_UPLINKS);
	o->uplinks[o->nr_uplinks++] = val;
	return 0;
}

static int set_nat(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct switch_opts *)into)->nat = val;
	return 0;
}

static int set_bandwidth(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct switch_opts *)into)->bandwidth = val;
	return 0;
}

static int set_team(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct switch_opts *)into)->team = val;
	return 0;
}

static int set_speed(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct switch_opts *)into)->speed = val;
	return 0;
}

static int set_policy(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct switch_opts *)into)->policy = val;
	return 0;
}

static int set_json(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct switch_opts *)into)->json = true;
	return 0;
}

static int set_clear(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct switch_opts *)into)->clear = true;
	return 0;
}

static int set_foreground(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct switch_opts *)into)->foreground = true;
	return 0;
}

#define OPT_HOST { "host", "TAP", "tap interface that is the host's port (internal, external)", set_host }
#define OPT_UPLINK { "uplink", "TAP", "tap interface that leads out (external); may be repeated", set_uplink }
#define OPT_SPEED { "uplink-speed", "RATE", "what each uplink takes, as 1G (default: not known)", set_speed }
#define OPT_TEAM { "team", "port|dynamic", "several uplinks: by port (default), or each flow by one", set_team }
#define OPT_BANDWIDTH { "bandwidth", "MODE", "how ports share: weight[,default=N] (default),\n" \
					     "absolute[,default=RATE], none", set_bandwidth }
#define OPT_NAT { "nat", "WORDS", "as after --net nat, for kind nat: net=CIDR,hostfwd=...", set_nat }
#define OPT_POLICY { "policy", "WORDS", "of adapters that say nothing themselves, as with --net:\n" \
					"vlan=5,dhcp-guard,acl=deny in tcp local-port 22", set_policy }

static const struct opt new_opts[] = {
	{ "kind", "KIND", "private (default), internal, external or nat", set_kind },
	OPT_HOST, OPT_UPLINK, OPT_SPEED, OPT_TEAM, OPT_BANDWIDTH, OPT_NAT, OPT_POLICY, { 0 },
};
static const struct opt set_opts[] = {
	OPT_HOST, OPT_UPLINK, OPT_SPEED, OPT_TEAM, OPT_BANDWIDTH, OPT_NAT, OPT_POLICY, { 0 },
};
static const struct opt list_opts[] = {
	{ "json", NULL, "for programs", set_json },
	{ 0 },
};
static const struct opt port_opts[] = {
	{ "clear", NULL, "say nothing of this port any more", set_clear },
	{ 0 },
};
static const struct opt no_opts[] = { { 0 } };
static const struct opt run_opts[] = {
	{ "foreground", NULL, "stay on this terminal, until ended", set_foreground },
	{ 0 },
};

/*
 * Options and between MIN and MAX words of ARGV.  False: *RET_STATUS is how the verb ends.
 * WHAT names the word that is missing.
 */
static bool take_args(const struct verb *v, struct switch_opts *o, int argc, char **argv, const char **rest, int min,
		      int max, const char *what, int *ret_status)
{
	struct err err;
	int nr = 0, rc = opt_parse(v, o, argc, argv, rest, max, &nr, &err);

	if (rc == 0 && nr < min)
		rc = err_set(&err, -EINVAL, "%s: %s? usage: genvisor %s %s", v->name, what, v->name, v->args);
	for (int i = nr; rc == 0 && i < max; i++)
		rest[i] = NULL;
	*ret_status = rc > 0 ? EXIT_OK : rc < 0 ? opt_fail(EXIT_USAGE, &err) : EXIT_OK;
	return rc == 0;
}

static int copy_tap(const char *val, char *ret_name, const char *what, struct err *err)
{
	char text[64];
	int rc;

	snprintf(text, sizeof(text), "tap=%.50s", val);
	rc = tap_parse(text, ret_name, err);
	return rc < 0 ? err_prefix(err, rc, what) : 0;
}

static int copy_text(const char *val, const char *before, char **ret_text, struct err *err)
{
	free(*ret_text);
	if (asprintf(ret_text, "%s%s", before, val) < 0) {
		*ret_text = NULL;
		return err_set(err, -ENOMEM, "no memory");
	}
	return 0;
}

/* What was said in options, into D. */
static int apply(const struct switch_opts *o, struct switch_def *d, struct err *err)
{
	int rc = 0;

	if (o->kind != NULL)
		rc = switch_kind_parse(o->kind, &d->kind, err);
	if (rc == 0 && o->host != NULL)
		rc = copy_tap(o->host, d->host, "--host", err);
	for (unsigned i = 0; i < o->nr_uplinks && rc == 0; i++)
		rc = copy_tap(o->uplinks[i], d->uplinks[i], "--uplink", err);
	if (o->nr_uplinks != 0)
		d->nr_uplinks = o->nr_uplinks;
	if (rc == 0 && o->nat != NULL)
		rc = copy_text(o->nat, *o->nat != '\0' ? "nat," : "nat", &d->nat, err);
	if (rc == 0 && o->policy != NULL)
		rc = copy_text(o->policy, "", &d->policy, err);
	if (rc == 0 && o->bandwidth != NULL)
		rc = switch_def_bandwidth(d, o->bandwidth, err);
	if (rc == 0 && o->team != NULL)
		rc = switch_def_team(d, o->team, err);
	if (rc == 0 && o->speed != NULL)
		rc = switch_def_speed(d, o->speed, err);
	return rc < 0 ? rc : switch_def_check(d, err);
}

/* Asks the switch, if it runs.  1: it does not. */
static int tell(const char *name, const char *what, json_t **ret_answer, struct err *err)
{
	json_t *ask = json_pack("{s:s}", "do", what), *msg = NULL;
	int sock = switch_connect(name, err), rc;

	if (sock < 0) {
		json_decref(ask);
		return sock == -ENOENT ? 1 : sock;
	}
	rc = ask == NULL ? -ENOMEM : link_limits(sock);
	if (rc == 0)
		rc = link_send(sock, ask, -1);
	if (rc == 0)
		rc = link_recv(sock, &msg, NULL);
	json_decref(ask);
	close(sock);
	if (rc < 0)
		return err_set(err, rc, "switch %s does not answer: %s", name, strerror(-rc));
	if (*link_text(msg, "error") != '\0') {
		rc = err_set(err, -EREMOTEIO, "%s", link_text(msg, "error"));
		json_decref(msg);
		return rc;
	}
	*ret_answer = msg;
	return 0;
}

/* The definition has changed. */
static int tell_reload(const char *name, struct err *err)
{
	json_t *msg;
	int rc = tell(name, "reload", &msg, err);

	if (rc != 0)
		return rc > 0 ? 0 : rc;
	if (*link_text(msg, "later") != '\0')
		printf("switch %s runs: %s\n", name, link_text(msg, "later"));
	json_decref(msg);
	return 0;
}

static int new_run(int argc, char **argv)
{
	struct switch_opts o = { 0 };
	struct switch_def d;
	const char *rest[1];
	struct err err;
	int status, rc;

	if (!take_args(&verb_switch_new, &o, argc, argv, rest, 1, 1, "which name", &status))
		return status;
	rc = switch_def_init(&d, rest[0], &err);
	if (rc < 0)
		return opt_fail(EXIT_USAGE, &err);
	rc = apply(&o, &d, &err);
	if (rc == 0)
		rc = switch_def_save(&d, true, &err);
	switch_def_fini(&d);
	return rc < 0 ? opt_fail(EXIT_USAGE, &err) : EXIT_OK;
}

/* Reads NAME, lets CHANGE at it, writes it, tells who runs. */
static int edit(const char *name, int (*change)(const void *arg, struct switch_def *d, struct err *err),
		const void *arg)
{
	struct switch_def d;
	struct err err;
	int lock, rc = switch_def_lock(&lock, &err);

	if (rc < 0)
		return opt_fail(EXIT_USAGE, &err);
	rc = switch_def_load(name, &d, &err);
	if (rc == 0) {
		rc = change(arg, &d, &err);
		if (rc == 0)
			rc = switch_def_save(&d, false, &err);
		switch_def_fini(&d);
	}
	close(lock);
	if (rc < 0)
		return opt_fail(EXIT_USAGE, &err);
	rc = tell_reload(name, &err);
	return rc < 0 ? opt_fail(EXIT_FAILED, &err) : EXIT_OK;
}

static int change_set(const void *arg, struct switch_def *d, struct err *err)
{
	return apply(arg, d, err);
}

static int set_run(int argc, char **argv)
{
	struct switch_opts o = { 0 };
	const char *rest[1];
	int status;

	if (!take_args(&verb_switch_set, &o, argc, argv, rest, 1, 1, "which switch", &status))
		return status;
	return edit(rest[0], change_set, &o);
}

struct port_change {
	const char *port, *words;	/* words NULL: clear */
};

static int change_port(const void *arg, struct switch_def *d, struct err *err)
{
	const struct port_change *c = arg;
	int rc = switch_def_port(d, c->port, c->words, err);

	return rc < 0 ? rc : switch_def_check(d, err);
}

static int port_run(int argc, char **argv)
{
	struct switch_opts o = { 0 };
	const char *rest[3];
	struct port_change c;
	struct err err;
	int status;

	if (!take_args(&verb_switch_port, &o, argc, argv, rest, 2, 3, "which switch and port", &status))
		return status;
	if (o.clear == (rest[2] != NULL)) {
		err_fill(&err, "switch port: expected words, as vlan=5,dhcp-guard, or --clear");
		return opt_fail(EXIT_USAGE, &err);
	}
	c = (struct port_change){ rest[1], rest[2] };
	return edit(rest[0], change_port, &c);
}

static int remove_run(int argc, char **argv)
{
	struct switch_opts o = { 0 };
	const char *rest[1];
	json_t *msg;
	struct err err;
	int status, rc;

	if (!take_args(&verb_switch_remove, &o, argc, argv, rest, 1, 1, "which switch", &status))
		return status;
	rc = switch_name_take(rest[0], (char[SWITCH_NAME_MAX]){ 0 }, &err);
	if (rc == 0)
		rc = tell(rest[0], "stop", &msg, &err);
	if (rc == 0)
		json_decref(msg);
	if (rc >= 0)
		rc = switch_def_remove(rest[0], &err);
	return rc < 0 ? opt_fail(EXIT_USAGE, &err) : EXIT_OK;
}

/* ---- list ------------------------------------------------------------------- */

struct listing {
	json_t *all;			/* NULL: lines */
	unsigned nr;
	bool bad;			/* one of them could not be read */
};

static bool is_running(const char *name)
{
	int sock = switch_connect(name, NULL);

	if (sock >= 0)
		close(sock);
	return sock >= 0;
}

static void list_json(struct listing *l, const struct switch_def *d)
{
	json_t *one = json_pack("{s:s, s:s, s:b, s:s, s:s, s:s}", "name", d->name, "kind", switch_kind_name(d->kind),
				"running", is_running(d->name), "host", d->host, "nat", d->nat != NULL ? d->nat : "",
				"policy", d->policy);
	json_t *uplinks = json_array(), *ports = json_object();
	char text[SWITCH_BANDWIDTH_MAX];

	for (unsigned i = 0; i < d->nr_uplinks; i++)
		json_array_append_new(uplinks, json_string(d->uplinks[i]));
	for (unsigned i = 0; i < d->nr_ports; i++)
		json_object_set_new(ports, d->ports[i].name, json_string(d->ports[i].words));
	switch_def_bandwidth_text(d, text);
	json_object_set_new(one, "uplinks", uplinks);
	json_object_set_new(one, "uplink-speed", json_integer((json_int_t)d->uplink_bps));
	json_object_set_new(one, "team", json_string(switch_team_name(d->team)));
	json_object_set_new(one, "bandwidth", json_string(text[0] != '\0' ? text : "weight"));
	json_object_set_new(one, "ports", ports);
	json_array_append_new(l->all, one);
}

static void list_line(const struct switch_def *d, bool first)
{
	char text[SWITCH_BANDWIDTH_MAX];

	if (first)
		printf("%-20s %-9s %-8s %s\n", "NAME", "KIND", "RUNNING", "ON IT");
	printf("%-20s %-9s %-8s", d->name, switch_kind_name(d->kind), is_running(d->name) ? "yes" : "no");
	if (d->host[0] != '\0')
		printf(" host %s", d->host);
	for (unsigned i = 0; i < d->nr_uplinks; i++)
		printf(" uplink %s", d->uplinks[i]);
	if (d->uplink_bps != 0)
		printf(" uplink-speed %llu", (unsigned long long)d->uplink_bps);
	if (d->team != TEAM_PORT)
		printf(" team %s", switch_team_name(d->team));
	switch_def_bandwidth_text(d, text);
	if (text[0] != '\0')
		printf(" bandwidth %s", text);
	if (d->nat != NULL)
		printf(" %s", d->nat);
	if (d->policy[0] != '\0')
		printf(" policy %s", d->policy);
	putchar('\n');
	for (unsigned i = 0; i < d->nr_ports; i++)
		printf("  port %-18s %s\n", d->ports[i].name, d->ports[i].words);
}

static int list_one(void *arg, const char *name)
{
	struct listing *l = arg;
	struct switch_def d;
	struct err err;

	if (switch_def_load(name, &d, &err) < 0) {
		l->bad = true;
		opt_fail(EXIT_FAILED, &err);
		return 0;
	}
	if (l->all != NULL)
		list_json(l, &d);
	else
		list_line(&d, l->nr == 0);
	l->nr++;
	switch_def_fini(&d);
	return 0;
}

static int list_run(int argc, char **argv)
{
	struct switch_opts o = { 0 };
	struct listing l = { 0 };
	const char *rest[1];
	struct err err;
	int status, rc;

	if (!take_args(&verb_switch_list, &o, argc, argv, rest, 0, 0, "", &status))
		return status;
	l.all = o.json ? json_array() : NULL;
	rc = switch_def_each(list_one, &l, &err);
	if (rc == 0 && l.all != NULL) {
		json_dumpf(l.all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(l.all);
	return rc < 0 ? opt_fail(EXIT_USAGE, &err) : l.bad ? EXIT_FAILED : EXIT_OK;
}

/* ---- the switch's own process ------------------------------------------------ */

static int run_run(int argc, char **argv)
{
	struct switch_opts o = { 0 };
	const char *rest[1];
	struct err err;
	int status, rc;

	if (!take_args(&verb_switch_run, &o, argc, argv, rest, 1, 1, "which switch", &status))
		return status;
	/* Who starts us may have left files open that are not ours to keep: a disk's lock, a pipe's end. */
	closefrom(STDERR_FILENO + 1);
	rc = switch_become(rest[0], !o.foreground, &err);
	return rc < 0 ? opt_fail(EXIT_FAILED, &err) : EXIT_OK;
}

const struct verb verb_switch_new = {
	.name = "switch new", .args = "NAME", .summary = "define a switch that machines share",
	.text = "Machines plug in with --net switch=NAME; the first one starts it.\n",
	.opts = new_opts, .run = new_run,
};
const struct verb verb_switch_list = {
	.name = "switch list", .args = "", .summary = "list the switches that are defined", .opts = list_opts,
	.run = list_run,
};
const struct verb verb_switch_set = {
	.name = "switch set", .args = "NAME", .summary = "change a switch; policies count at once",
	.text = "An option replaces what the switch had of it, --uplink all uplinks.\n", .opts = set_opts, .run = set_run,
};
const struct verb verb_switch_port = {
	.name = "switch port", .args = "NAME PORT [WORDS]", .summary = "say what a port of that name is held to",
	.text = "The words count after those of the machine that has the port, which cannot\n"
		"change them: genvisor switch port lan web vlan=5,max-out=100M\n",
	.opts = port_opts, .run = port_run,
};
const struct verb verb_switch_remove = {
	.name = "switch remove", .args = "NAME", .summary = "forget a switch that no machine uses", .opts = no_opts,
	.run = remove_run,
};
const struct verb verb_switch_run = {
	.name = "switch run", .args = "NAME", .summary = "be the process of a switch; others start it",
	.opts = run_opts, .run = run_run, .hidden = true,
};
