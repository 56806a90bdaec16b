/*
 * switch_def.c - what a shared switch is: its parts, checked, and as JSON
 *
 * A key that we do not know is refused: it would be a policy that somebody
 * relies on and nobody enforces.
 *
 * Lock     none; usable from any thread
 */
#include "net/switch_def.h"
#include "net/nat.h"
#include "net/switch_priv.h"
#include "net/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
	[VSWITCH_PRIVATE] = "private", [VSWITCH_INTERNAL] = "internal",
	[VSWITCH_EXTERNAL] = "external", [VSWITCH_NAT] = "nat",
};

int switch_name_take(const char *text, char *ret_name, struct err *err)
{
	if (!words_name(text, SWITCH_NAME_MAX))
		return err_set(err, -EINVAL, "switch '%.60s': expected a name of letters, digits, '.', '_' and '-', "
			       "at most %u", text, SWITCH_NAME_MAX - 1);
	strcpy(ret_name, text);
	return 0;
}

const char *switch_kind_name(enum vswitch_kind kind)
{
	return kinds[kind];
}

int switch_kind_parse(const char *text, enum vswitch_kind *ret_kind, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], text) == 0) {
			*ret_kind = (enum vswitch_kind)i;
			return 0;
		}
	return err_set(err, -EINVAL, "kind '%.40s': expected private, internal, external or nat", text);
}

/* ---- how ports share, and uplinks ------------------------------------------- */

static const char *const modes[] = {
	[BANDWIDTH_NONE] = "none", [BANDWIDTH_WEIGHT] = "weight", [BANDWIDTH_ABSOLUTE] = "absolute",
};
static const char *const teams[] = { [TEAM_PORT] = "port", [TEAM_DYNAMIC] = "dynamic" };

int switch_def_bandwidth(struct switch_def *d, const char *text, struct err *err)
{
	size_t n = strcspn(text, ",");
	const char *rest = text + n;
	enum vswitch_bandwidth mode = BANDWIDTH_DEFAULT;
	uint64_t v = 0;
	bool good = true;

	for (size_t i = BANDWIDTH_NONE; i < ARRAY_LEN(modes); i++)
		if (strlen(modes[i]) == n && memcmp(modes[i], text, n) == 0)
			mode = (enum vswitch_bandwidth)i;
	if (strncmp(rest, ",default=", 9) == 0)
		good = mode == BANDWIDTH_WEIGHT ? words_number(rest + 9, 1, 100, &v) :
		       mode == BANDWIDTH_ABSOLUTE && words_rate(rest + 9, &v);
	else if (*rest != '\0')
		good = false;
	if (mode == BANDWIDTH_DEFAULT || !good)
		return err_set(err, -EINVAL, "bandwidth '%.60s': expected weight[,default=N], N from 1 to 100, "
			       "absolute[,default=RATE] or none", text);
	d->bandwidth = mode;
	d->default_weight = mode == BANDWIDTH_WEIGHT ? (uint32_t)v : 0;
	d->default_bps = mode == BANDWIDTH_ABSOLUTE ? v : 0;
	return 0;
}

void switch_def_bandwidth_text(const struct switch_def *d, char buf[SWITCH_BANDWIDTH_MAX])
{
	const char *mode = d->bandwidth == BANDWIDTH_DEFAULT ? "" : modes[d->bandwidth];
	unsigned long long v = d->bandwidth == BANDWIDTH_ABSOLUTE ? d->default_bps : d->default_weight;

	if (v != 0)
		snprintf(buf, SWITCH_BANDWIDTH_MAX, "%s,default=%llu", mode, v);
	else
		snprintf(buf, SWITCH_BANDWIDTH_MAX, "%s", mode);
}

int switch_def_team(struct switch_def *d, const char *text, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(teams); i++)
		if (strcmp(teams[i], text) == 0) {
			d->team = (enum vswitch_team)i;
			return 0;
		}
	return err_set(err, -EINVAL, "team '%.40s': expected port or dynamic", text);
}

const char *switch_team_name(enum vswitch_team team)
{
	return teams[team];
}

int switch_def_speed(struct switch_def *d, const char *text, struct err *err)
{
	return words_rate(text, &d->uplink_bps) ? 0 :
	       err_set(err, -EINVAL, "uplink-speed '%.40s': expected bits a second, as 100M or 1G, or 0", text);
}

struct vswitch_conf switch_def_conf(const struct switch_def *d)
{
	return (struct vswitch_conf){
		.kind = d->kind, .bandwidth = d->bandwidth, .default_weight = d->default_weight,
		.default_bps = d->default_bps, .team = d->team,
	};
}

int switch_def_init(struct switch_def *d, const char *name, struct err *err)
{
	*d = (struct switch_def){ .policy = strdup(""), .ports = new_array(struct switch_port_def, VSWITCH_PORTS) };
	if (d->policy != NULL && d->ports != NULL && switch_name_take(name, d->name, err) == 0)
		return 0;
	if (d->policy == NULL || d->ports == NULL)
		err_fill(err, "no memory");
	switch_def_fini(d);
	return -EINVAL;
}

void switch_def_fini(struct switch_def *d)
{
	for (unsigned i = 0; i < d->nr_ports; i++)
		free(d->ports[i].words);
	free(d->ports);
	free(d->policy);
	free(d->nat);
	*d = (struct switch_def){ 0 };
}

static int check_tap(const char *name, struct err *err)
{
	char text[64], out[TAP_NAME_MAX + 1];

	snprintf(text, sizeof(text), "tap=%s", name);
	return tap_parse(text, out, err);
}

/* What the kind has to have, and may not have. */
static int check_kind(struct switch_def *d, struct err *err)
{
	const char *kind = kinds[d->kind];
	struct nat_conf *nat;
	int rc;

	if (d->host[0] != '\0' && d->kind != VSWITCH_INTERNAL && d->kind != VSWITCH_EXTERNAL)
		return err_set(err, -EINVAL, "%s: a port of the host belongs to kinds internal and external, not %s", d->name,
			       kind);
	if (d->nr_uplinks != 0 && d->kind != VSWITCH_EXTERNAL)
		return err_set(err, -EINVAL, "%s: uplinks belong to kind external, not %s", d->name, kind);
	if (d->nr_uplinks == 0 && d->kind == VSWITCH_EXTERNAL)
		return err_set(err, -EINVAL, "%s: an external switch needs an uplink, a tap interface", d->name);
	if (d->kind != VSWITCH_EXTERNAL && (d->uplink_bps != 0 || d->team != TEAM_PORT))
		return err_set(err, -EINVAL, "%s: a team and the speed of uplinks belong to kind external, not %s", d->name,
			       kind);
	if (d->host[0] == '\0' && d->kind == VSWITCH_INTERNAL)
		return err_set(err, -EINVAL, "%s: an internal switch needs a tap interface as the host's port", d->name);
	if (d->kind != VSWITCH_NAT)
		return d->nat == NULL ? 0 :
		       err_set(err, -EINVAL, "%s: NAT belongs to kind nat, not %s", d->name, kind);
	if (d->nat == NULL && (d->nat = strdup("nat")) == NULL)
		return err_set(err, -ENOMEM, "no memory");
	nat = new0(struct nat_conf);
	if (nat == NULL)
		return err_set(err, -ENOMEM, "no memory");
	rc = nat_parse(d->nat, nat, err);
	free(nat);
	return rc;
}

static int check_words(const char *what, const char *words, struct err *err)
{
	struct port_opt o = { 0 };
	int rc = port_opt_parse(&o, words, err);

	if (rc == 0)
		rc = port_opt_check(&o, err);
	port_opt_fini(&o);
	return rc < 0 ? err_prefix(err, rc, what) : 0;
}

int switch_def_check(struct switch_def *d, struct err *err)
{
	int rc = d->host[0] != '\0' ? check_tap(d->host, err) : 0;

	for (unsigned i = 0; i < d->nr_uplinks && rc == 0; i++)
		rc = check_tap(d->uplinks[i], err);
	if (rc == 0)
		rc = check_kind(d, err);
	if (rc == 0)
		rc = check_words("policy", d->policy, err);
	for (unsigned i = 0; i < d->nr_ports && rc == 0; i++)
		rc = check_words(d->ports[i].name, d->ports[i].words, err);
	return rc;
}

int switch_def_port(struct switch_def *d, const char *port, const char *words, struct err *err)
{
	char *copy;
	unsigned i = 0;

	if (!words_name(port, PORT_NAME_MAX))
		return err_set(err, -EINVAL, "port '%.60s': expected a name of letters, digits, '.', '_' and '-', "
			       "at most %u", port, PORT_NAME_MAX - 1);
	while (i < d->nr_ports && strcmp(d->ports[i].name, port) != 0)
		i++;
	if (words == NULL) {
		if (i == d->nr_ports)
			return err_set(err, -ENOENT, "%s: nothing is said of port %s", d->name, port);
		free(d->ports[i].words);
		d->ports[i] = d->ports[--d->nr_ports];
		return 0;
	}
	if (i == VSWITCH_PORTS)
		return err_set(err, -E2BIG, "%s: at most %u ports", d->name, VSWITCH_PORTS);
	copy = strdup(words);
	if (copy == NULL)
		return err_set(err, -ENOMEM, "no memory");
	strcpy(d->ports[i].name, port);
	free(d->ports[i].words);
	d->ports[i].words = copy;
	d->nr_ports += i == d->nr_ports;
	return 0;
}

int switch_def_policy(const struct switch_def *d, const char *port, const char *words, struct port_opt *ret_o,
		      struct err *err)
{
	struct port_opt o = { 0 };
	int rc = words != NULL ? port_opt_parse(&o, d->policy, err) : 0;

	if (rc == 0 && words != NULL)
		rc = port_opt_parse(&o, words, err);
	for (unsigned i = 0; i < d->nr_ports && rc == 0; i++)
		if (strcmp(d->ports[i].name, port) == 0)
			rc = port_opt_parse(&o, d->ports[i].words, err);
	if (rc == 0)
		rc = port_opt_check(&o, err);
	if (rc < 0)
		port_opt_fini(&o);
	else
		*ret_o = o;
	return rc;
}

/* ---- as JSON ---------------------------------------------------------------- */

static int wrong(struct err *err, const char *key, const char *expected)
{
	return err_set(err, -EINVAL, "\"%.60s\": expected %s", key, expected);
}

static int read_text(const char *key, const json_t *v, char **ret_text, struct err *err)
{
	char *copy;

	if (!json_is_string(v))
		return wrong(err, key, "a string");
	copy = strdup(json_string_value(v));
	if (copy == NULL)
		return err_set(err, -ENOMEM, "no memory");
	free(*ret_text);
	*ret_text = copy;
	return 0;
}

static int read_tap(const char *key, const json_t *v, char *ret_name, struct err *err)
{
	if (!json_is_string(v) || json_string_length(v) > TAP_NAME_MAX)
		return wrong(err, key, "the name of a tap interface");
	strcpy(ret_name, json_string_value(v));
	return 0;
}

static int read_uplinks(struct switch_def *d, const json_t *v, struct err *err)
{
	int rc = json_is_array(v) && json_array_size(v) <= SWITCH_UPLINKS ? 0 :
		 wrong(err, "uplinks", "a list of at most 8 tap interfaces");

	for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
		rc = read_tap("uplinks", json_array_get(v, i), d->uplinks[d->nr_uplinks++], err);
	return rc;
}

static int read_ports(struct switch_def *d, json_t *v, struct err *err)
{
	const char *name;
	json_t *words;
	int rc;

	if (!json_is_object(v))
		return wrong(err, "ports", "an object of names and words");
	json_object_foreach(v, name, words) {
		if (!json_is_string(words))
			return wrong(err, name, "a string");
		rc = switch_def_port(d, name, json_string_value(words), err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_nat(struct switch_def *d, const json_t *v, struct err *err)
{
	char *words = NULL;
	int rc = read_text("nat", v, &words, err);

	if (rc == 0) {
		free(d->nat);
		if (asprintf(&d->nat, "nat%s%s", *words != '\0' ? "," : "", words) < 0) {
			d->nat = NULL;
			rc = err_set(err, -ENOMEM, "no memory");
		}
	}
	free(words);
	return rc;
}

static int read_sharing(struct switch_def *d, const char *key, const json_t *v, struct err *err)
{
	const char *text = json_string_value(v);

	if (text == NULL)
		return wrong(err, key, "a string");
	if (strcmp(key, "bandwidth") == 0)
		return switch_def_bandwidth(d, text, err);
	return strcmp(key, "team") == 0 ? switch_def_team(d, text, err) : switch_def_speed(d, text, err);
}

static int read_key(struct switch_def *d, const char *key, json_t *v, struct err *err)
{
	if (strcmp(key, "kind") == 0)
		return json_is_string(v) ? switch_kind_parse(json_string_value(v), &d->kind, err) :
		       wrong(err, key, "a string");
	if (strcmp(key, "host") == 0)
		return read_tap(key, v, d->host, err);
	if (strcmp(key, "uplinks") == 0)
		return read_uplinks(d, v, err);
	if (strcmp(key, "nat") == 0)
		return read_nat(d, v, err);
	if (strcmp(key, "policy") == 0)
		return read_text(key, v, &d->policy, err);
	if (strcmp(key, "ports") == 0)
		return read_ports(d, v, err);
	if (strcmp(key, "bandwidth") == 0 || strcmp(key, "team") == 0 || strcmp(key, "uplink-speed") == 0)
		return read_sharing(d, key, v, err);
	return err_set(err, -EINVAL, "\"%.60s\" is not known: expected kind, host, uplinks, uplink-speed, team, "
		       "bandwidth, nat, policy or ports", key);
}

static int read_all(struct switch_def *d, json_t *root, struct err *err)
{
	const char *key;
	json_t *v;
	int rc = 0;

	if (!json_is_object(root))
		return err_set(err, -EINVAL, "expected an object");
	if (json_object_get(root, "kind") == NULL)
		return wrong(err, "kind", "to be there");
	json_object_foreach(root, key, v) {
		rc = read_key(d, key, v, err);
		if (rc < 0)
			return rc;
	}
	return switch_def_check(d, err);
}

int switch_def_read(const char *name, const void *text, size_t n, const char *where, struct switch_def *ret_d,
		    struct err *err)
{
	json_error_t je;
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &je);
	struct switch_def d;
	int rc;

	if (root == NULL)
		return err_set(err, -EINVAL, "%s: line %d: %.120s", where, je.line, je.text);
	rc = switch_def_init(&d, name, err);
	if (rc == 0) {
		rc = read_all(&d, root, err);
		if (rc < 0) {
			switch_def_fini(&d);
			err_prefix(err, rc, where);
		} else {
			*ret_d = d;
		}
	}
	json_decref(root);
	return rc;
}

static void set_sharing(const struct switch_def *d, json_t *root)
{
	char text[SWITCH_BANDWIDTH_MAX];

	switch_def_bandwidth_text(d, text);
	if (text[0] != '\0')
		json_object_set_new(root, "bandwidth", json_string(text));
	if (d->team != TEAM_PORT)
		json_object_set_new(root, "team", json_string(teams[d->team]));
	if (d->uplink_bps != 0)
		json_object_set_new(root, "uplink-speed", json_sprintf("%llu", (unsigned long long)d->uplink_bps));
}

json_t *switch_def_json(const struct switch_def *d)
{
	json_t *root = json_pack("{s:s}", "kind", kinds[d->kind]), *list;

	if (root == NULL)
		return NULL;
	if (d->host[0] != '\0')
		json_object_set_new(root, "host", json_string(d->host));
	if (d->nr_uplinks != 0) {
		list = json_array();
		for (unsigned i = 0; i < d->nr_uplinks; i++)
			json_array_append_new(list, json_string(d->uplinks[i]));
		json_object_set_new(root, "uplinks", list);
	}
	set_sharing(d, root);
	if (d->nat != NULL && d->nat[3] == ',')
		json_object_set_new(root, "nat", json_string(d->nat + 4));
	if (d->policy[0] != '\0')
		json_object_set_new(root, "policy", json_string(d->policy));
	if (d->nr_ports != 0) {
		list = json_object();
		for (unsigned i = 0; i < d->nr_ports; i++)
			json_object_set_new(list, d->ports[i].name, json_string(d->ports[i].words));
		json_object_set_new(root, "ports", list);
	}
	return root;
}
