/*
 * net.c - genvisor net show, switch capture
 *
 * Both ask processes that run: those of shared switches (NAME) and machines
 * (+PID), which listen in the meeting place of net/places.h.
 *
 * Lock     one thread
 */
#include "ctl/verbs.h"

#include "net/link_msg.h"
#include "net/places.h"
#include "net/switch_def.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct net_opts {
	bool json;
	uint64_t machine;		/* its process; 0: not said */
};

static int set_json(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct net_opts *)into)->json = true;
	return 0;
}

static int set_machine(void *into, const char *val, struct err *err)
{
	struct net_opts *o = into;
	int rc = opt_number(val, INT32_MAX, &o->machine, err);

	if (rc == 0 && o->machine == 0)
		rc = err_set(err, -EINVAL, "0: expected the process of a machine");
	return rc < 0 ? err_prefix(err, rc, "--machine") : 0;
}

static const struct opt show_opts[] = {
	{ "machine", "PID", "the switches of this machine's process", set_machine },
	{ "json", NULL, "for programs", set_json },
	{ 0 },
};
static const struct opt capture_opts[] = {
	{ "machine", "PID", "all switches of this machine's process instead of NAME", set_machine },
	{ 0 },
};

/* Connects to NAME and sends ASK (taken), with FD unless it is -1. */
static int ask_of(const struct place *p, const char *name, json_t *ask, int fd, struct err *err)
{
	int sock = place_connect(p, name, err), rc;

	if (sock < 0) {
		json_decref(ask);
		return sock;
	}
	rc = ask == NULL ? -ENOMEM : link_limits(sock);
	if (rc == 0)
		rc = link_send(sock, ask, fd);
	json_decref(ask);
	if (rc == 0)
		return sock;
	close(sock);
	return err_set(err, rc, "%s does not answer: %s", name, strerror(-rc));
}

/* ---- gathering -------------------------------------------------------------- */

/* One message of roster_show's tale into the tree: the last switch, its last port. */
static bool add(json_t *switches, json_t *msg)
{
	json_t *sw = json_array_get(switches, json_array_size(switches) - 1), *part, *ports, *port;

	part = json_object_get(msg, "switch");
	if (part != NULL) {
		json_object_set_new(part, "ports", json_array());
		json_object_set_new(part, "learned", json_array());
		return json_array_append(switches, part) == 0;
	}
	ports = json_object_get(sw, "ports");
	part = json_object_get(msg, "port");
	if (part != NULL) {
		json_object_set_new(part, "rules", json_array());
		return json_array_append(ports, part) == 0;
	}
	part = json_object_get(msg, "rule");
	if (part != NULL) {
		port = json_array_get(ports, json_array_size(ports) - 1);
		json_object_del(part, "port");
		return json_array_append(json_object_get(port, "rules"), part) == 0;
	}
	part = json_object_get(msg, "learned");
	return part != NULL && json_array_extend(json_object_get(sw, "learned"), part) == 0;
}

/* All that NAME tells into the list. */
static int gather(const struct place *p, const char *name, json_t *switches, struct err *err)
{
	int sock = ask_of(p, name, json_pack("{s:s}", "do", "show"), -1, err), rc = 0;
	json_t *msg;
	bool end = false;

	if (sock < 0)
		return sock;
	while (rc == 0 && !end) {
		rc = link_recv(sock, &msg, NULL);
		if (rc < 0)
			break;
		end = json_is_true(json_object_get(msg, "end"));
		if (!end && !add(switches, msg))
			rc = -EPROTO;
		json_decref(msg);
	}
	close(sock);
	return rc < 0 ? err_set(err, rc, "%s does not answer: %s", name, strerror(-rc)) : 0;
}

struct sweep {
	const struct place *place;
	json_t *switches;
	bool bad;
};

/* What was left behind by a machine that was killed is taken away here. */
static int gather_one(void *arg, const char *name)
{
	struct sweep *s = arg;
	struct err err;
	size_t before = json_array_size(s->switches);
	int rc = gather(s->place, name, s->switches, &err);

	if (rc == -ENOENT && name[0] == '+')
		place_unlisten(s->place, name);
	if (rc < 0 && rc != -ENOENT) {
		opt_fail(EXIT_FAILED, &err);
		s->bad = true;
	}
	for (size_t i = before; i < json_array_size(s->switches) && name[0] == '+'; i++)
		json_object_set_new(json_array_get(s->switches, i), "machine", json_integer(atoll(name + 1)));
	return 0;
}

/* ---- printing --------------------------------------------------------------- */

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

/* What is not 0, behind its kind. */
static void print_counters(const char *indent, json_t *counts)
{
	const char *name, *before = " ";
	json_t *n;

	printf("%s%s", indent, link_text(counts, "kind"));
	json_object_foreach(counts, name, n) {
		if (json_integer_value(n) == 0)
			continue;
		printf("%s%s %lld", before, name, (long long)json_integer_value(n));
		before = ", ";
	}
	putchar('\n');
}

static void print_port(json_t *port)
{
	json_t *owner = json_object_get(port, "owner");
	const char *why, *before = "    dropped ";
	json_t *n, *rule;
	size_t i;

	printf("  %-20s %-8s %-17s  sent %lld (%lld bytes)  received %lld (%lld bytes)\n", link_text(port, "name"),
	       link_text(port, "role"), link_text(port, "mac"), number(port, "sent"), number(port, "sent_bytes"),
	       number(port, "received"), number(port, "received_bytes"));
	if (*link_text(port, "policy") != '\0')
		printf("    policy %s\n", link_text(port, "policy"));
	json_array_foreach(json_object_get(port, "rules"), i, rule)
		printf("    acl %s: %lld frames, %lld bytes\n", link_text(rule, "rule"), number(rule, "frames"),
		       number(rule, "bytes"));
	json_object_foreach(json_object_get(port, "drops"), why, n) {
		printf("%s%s %lld", before, why, (long long)json_integer_value(n));
		before = ", ";
	}
	if (*before == ',')
		putchar('\n');
	if (owner != NULL)
		print_counters("    ", owner);
}

static void print_switch(json_t *sw)
{
	json_t *one;
	size_t i;

	printf("switch %s (%s", link_text(sw, "name"), link_text(sw, "kind"));
	if (json_object_get(sw, "machine") != NULL)
		printf(", of machine %lld", number(sw, "machine"));
	printf(")\n");
	json_array_foreach(json_object_get(sw, "ports"), i, one)
		print_port(one);
	json_array_foreach(json_object_get(sw, "learned"), i, one)
		printf("  learned %s at %s, VLAN %lld, %lld s ago\n", link_text(one, "mac"), link_text(one, "port"),
		       number(one, "vlan"), number(one, "age"));
}

static void print_all(json_t *switches, bool json)
{
	json_t *sw, *whole;
	size_t i;

	if (json) {
		whole = json_pack("{s:O}", "switches", switches);
		json_dumpf(whole, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(whole);
		return;
	}
	json_array_foreach(switches, i, sw)
		print_switch(sw);
}

/* ---- show ------------------------------------------------------------------- */

static int show(const struct net_opts *o, const char *name, json_t *switches, bool *ret_bad, struct err *err)
{
	struct sweep s = { .switches = switches };
	char machine[24];
	struct place p;
	int rc = place_runtime(&p, err);

	if (rc < 0)
		return rc;
	s.place = &p;
	snprintf(machine, sizeof(machine), "+%llu", (unsigned long long)o->machine);
	if (name != NULL)
		rc = gather(&p, name, switches, err);
	else if (o->machine != 0)
		rc = gather(&p, machine, switches, err);
	else
		rc = place_each(&p, gather_one, &s, err);
	if (rc == -ENOENT && name != NULL)
		err_fill(err, "switch %s does not run", name);
	else if (rc == -ENOENT)
		err_fill(err, "no machine %llu with a switch of its own", (unsigned long long)o->machine);
	place_close(&p);
	*ret_bad = s.bad;
	return rc;
}

static int show_run(int argc, char **argv)
{
	struct net_opts o = { 0 };
	const char *rest[1];
	json_t *switches;
	struct err err;
	bool bad = false;
	int nr, rc = opt_parse(&verb_net_show, &o, argc, argv, rest, 1, &nr, &err);

	if (rc == 0 && nr == 1 && o.machine != 0)
		rc = err_set(&err, -EINVAL, "net show: a switch or --machine, not both");
	if (rc == 0 && nr == 1)
		rc = switch_name_take(rest[0], (char[SWITCH_NAME_MAX]){ 0 }, &err);
	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	switches = json_array();
	rc = show(&o, nr == 1 ? rest[0] : NULL, switches, &bad, &err);
	if (rc == 0)
		print_all(switches, o.json);
	json_decref(switches);
	return rc < 0 ? opt_fail(EXIT_USAGE, &err) : bad ? EXIT_FAILED : EXIT_OK;
}

/* ---- capture ---------------------------------------------------------------- */

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Until a signal, or the switch is gone; then what it says of the file. */
static int follow(int sock, const char *file, struct err *err)
{
	struct pollfd p[2] = { { .fd = signals(), .events = POLLIN }, { .fd = sock, .events = POLLIN } };
	json_t *msg;
	int rc = link_recv(sock, &msg, NULL);

	if (rc < 0)
		return err_set(err, rc, "the switch does not answer: %s", strerror(-rc));
	if (*link_text(msg, "error") != '\0') {
		rc = err_set(err, -EREMOTEIO, "%s", link_text(msg, "error"));
		json_decref(msg);
		return rc;
	}
	fprintf(stderr, "genvisor: %lld ports into %s; end with Ctrl-C\n", number(msg, "ports"), file);
	json_decref(msg);
	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	shutdown(sock, SHUT_WR);
	rc = link_recv(sock, &msg, NULL);
	if (rc < 0)
		return err_set(err, rc, "the switch is gone; %s has what came before", file);
	fprintf(stderr, "genvisor: %lld frames, %lld lost\n", number(msg, "frames"), number(msg, "lost"));
	if (*link_text(msg, "error") != '\0')
		rc = err_set(err, -EIO, "%s: %s", file, link_text(msg, "error"));
	json_decref(msg);
	return rc;
}

static int capture(const char *name, const char *port, const char *file, struct err *err)
{
	json_t *ask = json_pack("{s:s, s:s}", "do", "capture", "port", port != NULL ? port : "");
	struct place p;
	int fd, sock, rc = place_runtime(&p, err);

	if (rc < 0) {
		json_decref(ask);
		return rc;
	}
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0) {
		rc = err_set(err, -errno, "%s: %s", file, strerror(errno));
		json_decref(ask);
		place_close(&p);
		return rc;
	}
	sock = ask_of(&p, name, ask, fd, err);
	close(fd);
	place_close(&p);
	if (sock == -ENOENT)
		return err_set(err, sock, "%s%s does not run", name[0] == '+' ? "machine " : "switch ",
			       name + (name[0] == '+'));
	if (sock < 0)
		return sock;
	rc = follow(sock, file, err);
	close(sock);
	return rc;
}

static int capture_run(int argc, char **argv)
{
	struct net_opts o = { 0 };
	char machine[24];
	const char *rest[3], *name = machine;
	struct err err;
	int nr, rc = opt_parse(&verb_switch_capture, &o, argc, argv, rest, 3, &nr, &err), first;

	snprintf(machine, sizeof(machine), "+%llu", (unsigned long long)o.machine);
	first = o.machine == 0;
	if (rc == 0 && (nr < first + 1 || nr > first + 2))
		rc = err_set(&err, -EINVAL, "switch capture: usage: genvisor switch capture %s",
			     verb_switch_capture.args);
	if (rc == 0 && first) {
		name = rest[0];
		rc = switch_name_take(name, (char[SWITCH_NAME_MAX]){ 0 }, &err);
	}
	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	rc = capture(name, nr == first + 2 ? rest[first] : NULL, rest[nr - 1], &err);
	return rc < 0 ? opt_fail(EXIT_FAILED, &err) : EXIT_OK;
}

const struct verb verb_net_show = {
	.name = "net show", .args = "[SWITCH]", .summary = "ports, counters and addresses of switches that run",
	.text = "Without SWITCH and --machine: of all shared switches and all machines of this user.\n",
	.opts = show_opts, .run = show_run,
};
const struct verb verb_switch_capture = {
	.name = "switch capture", .args = "NAME [PORT] FILE.pcapng",
	.summary = "write down what passes a switch, or one port of it",
	.text = "Goes on until Ctrl-C, and holds up nobody.\n", .opts = capture_opts, .run = capture_run,
};
