/*
 * adapters.c - genvisor net list, add, remove, set: the adapters of a running machine
 *
 * Lock     none, one thread
 */
#include "ctl/ask.h"
#include "ctl/verbs.h"

#include <string.h>
#include <unistd.h>

#define LOOK_US 50000u
#define LOOKS 600u			/* longer than the machine's own patience with its guest */

static const struct opt list_opts[] = {
	ASK_CONTROL_OPT, { "json", NULL, "for programs", ask_set_flag }, { 0 },
};
static const struct opt add_opts[] = { ASK_CONTROL_OPT, { 0 } };
static const struct opt remove_opts[] = {
	ASK_CONTROL_OPT, { "no-wait", NULL, "do not wait until the guest has let go of it", ask_set_flag }, { 0 },
};

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "" : s;
}

static bool is(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* ---- list ------------------------------------------------------------------- */

static void print_adapter(const json_t *a)
{
	printf("%-6s %s  %s%s%s%s\n", text(a, "name"), text(a, "mac"), text(a, "net"),
	       is(a, "leaving") ? "leaving" : is(a, "legacy") ? ", legacy" : is(a, "in-use") ? ", in use" : ", not in use",
	       !is(a, "cable") ? ", link=down" : "",
	       is(a, "cable") && !is(a, "link") && !is(a, "leaving") ? ", nothing at the other end" : "");
}

static int list_run(int argc, char **argv)
{
	struct ask a = { 0 };
	json_t *json = NULL, *adapters, *one;
	const char *rest[1];
	struct err err;
	size_t i;
	int nr, rc = opt_parse(&verb_net_list, &a, argc, argv, rest, 0, &nr, &err);

	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	rc = ask_machine(&a, json_pack("{s:s}", "do", "net-list"), &json, NULL, &err);
	if (rc < 0)
		return opt_fail(EXIT_FAILED, &err);
	adapters = json_object_get(json, "adapters");
	if (a.flag) {
		json_object_del(json, "ok");
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		json_array_foreach(adapters, i, one)
			print_adapter(one);
	}
	json_decref(json);
	return EXIT_OK;
}

/* ---- add -------------------------------------------------------------------- */

static int add_run(int argc, char **argv)
{
	struct ask a = { 0 };
	json_t *json = NULL, *one;
	const char *rest[1];
	struct err err;
	int nr, status = ask_parse(&verb_net_add, &a, argc, argv, rest, 1, &nr, "a network, as after --net of run");

	if (status >= 0)
		return status;
	if (ask_machine(&a, json_pack("{s:s, s:s}", "do", "net-add", "net", rest[0]), &json, NULL, &err) < 0)
		return opt_fail(EXIT_FAILED, &err);
	one = json_object_get(json, "adapter");
	printf("%s %s\n", text(one, "name"), text(one, "mac"));
	json_decref(json);
	return EXIT_OK;
}

/* ---- remove ----------------------------------------------------------------- */

static bool is_it(const json_t *row, const char *adapter)
{
	return strcmp(text(row, "name"), adapter) == 0 || strcasecmp(text(row, "mac"), adapter) == 0;
}

/* 1: it is leaving still. */
static int is_leaving(const struct ask *a, const char *adapter, struct err *err)
{
	json_t *json = NULL, *one;
	int rc = ask_machine(a, json_pack("{s:s}", "do", "net-list"), &json, NULL, err);
	size_t i;

	if (rc < 0)
		return rc;
	json_array_foreach(json_object_get(json, "adapters"), i, one)
		rc |= is(one, "leaving") && is_it(one, adapter);
	json_decref(json);
	return rc;
}

static int remove_run(int argc, char **argv)
{
	struct ask a = { 0 };
	json_t *json = NULL;
	const char *rest[1];
	struct err err;
	int nr, rc, status = ask_parse(&verb_net_remove, &a, argc, argv, rest, 1, &nr, "an adapter, as net list has it");

	if (status >= 0)
		return status;
	rc = ask_machine(&a, json_pack("{s:s, s:s}", "do", "net-remove", "adapter", rest[0]), &json, NULL, &err);
	if (rc == 0)
		json_decref(json);
	for (unsigned i = 0; rc == 0 && !a.flag && i < LOOKS; i++) {
		rc = is_leaving(&a, rest[0], &err);
		if (rc <= 0)
			break;
		rc = 0;
		usleep(LOOK_US);
	}
	return rc < 0 ? opt_fail(EXIT_FAILED, &err) : EXIT_OK;
}

/* ---- set -------------------------------------------------------------------- */

#define WORDS_MAX 8

static int set_run(int argc, char **argv)
{
	struct ask a = { 0 };
	const char *rest[WORDS_MAX];
	struct err err;
	int nr, status = ask_parse(&verb_net_set, &a, argc, argv, rest, WORDS_MAX, &nr, "an adapter, as net list has it");

	if (status >= 0)
		return status;
	if (nr < 2) {
		err_fill(&err, "net set: expected link=up, link=down or a network after %s", rest[0]);
		return opt_fail(EXIT_USAGE, &err);
	}
	for (int i = 1; i < nr; i++) {
		bool link = strncmp(rest[i], "link=", 5) == 0;
		json_t *json = NULL;

		if (ask_machine(&a, json_pack("{s:s, s:s, s:s}", "do", "net-set", "adapter", rest[0], link ? "link" : "net",
					      rest[i] + (link ? 5 : 0)), &json, NULL, &err) < 0)
			return opt_fail(EXIT_FAILED, &err);
		json_decref(json);
	}
	return EXIT_OK;
}

const struct verb verb_net_list = {
	.name = "net list", .args = "", .summary = "the network adapters of a running machine",
	.opts = list_opts, .run = list_run,
};
const struct verb verb_net_add = {
	.name = "net add", .args = "NETWORK", .summary = "put a network adapter into a running machine",
	.text = "NETWORK is what run takes after --net: nat, switch=lan,vlan=5, and so on.  Prints the\n"
		"adapter's name and address.\n",
	.opts = add_opts, .run = add_run,
};
const struct verb verb_net_remove = {
	.name = "net remove", .args = "ADAPTER", .summary = "take a network adapter out of a running machine",
	.text = "ADAPTER is a name or an address of net list's.  The guest is asked to let go of it, and\n"
		"after ten seconds the adapter is gone all the same.\n",
	.opts = remove_opts, .run = remove_run,
};
const struct verb verb_net_set = {
	.name = "net set", .args = "ADAPTER link=up|link=down|NETWORK...",
	.summary = "pull an adapter's cable, put it back, or plug it in elsewhere",
	.text = "NETWORK is what run takes after --net, without mac= and capture=.\n",
	.opts = add_opts, .run = set_run,
};
