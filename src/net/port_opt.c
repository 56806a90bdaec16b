/*
 * port_opt.c - what may be said of a port of a switch, in words
 *
 * One row for each word.  Whatever is wrong, the sentence begins with the
 * word as it was found.
 *
 * Lock     none; usable from any thread
 */
#include "net/port_opt.h"
#include "net/acl_opt.h"
#include "net/words.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORM_MAX 100000000u

struct port_word {
	const char *name;
	const char *expects;
	bool bare;			/* may stand without a value, which is then "on" */
	bool (*take)(struct port_opt *o, char *val);
};

void port_opt_fini(struct port_opt *o)
{
	free(o->rules);
	*o = (struct port_opt){ 0 };
}

static bool vlan_id(const char *s, uint16_t min, uint16_t *ret_id)
{
	uint64_t n;

	if (!words_number(s, min, VLAN_MAX, &n))
		return false;
	*ret_id = (uint16_t)n;
	return true;
}

/* 5+10-20, in place. */
static bool vlan_list(char *list, struct vlan_conf *v)
{
	for (char *part; (part = strsep(&list, "+")) != NULL;) {
		char *first = strsep(&part, "-");
		uint16_t lo, hi;

		if (!vlan_id(first, 1, &lo))
			return false;
		hi = lo;
		if (part != NULL && !vlan_id(part, lo, &hi))
			return false;
		for (uint16_t id = lo; id <= hi; id++)
			vlan_allow(v, id);
	}
	return true;
}

static bool take_spoof(struct port_opt *o, char *v)
{
	return words_on(v, &o->policy.mac_spoofing);
}

static bool take_vlan(struct port_opt *o, char *v)
{
	struct vlan_conf c = { .mode = VLAN_ACCESS };

	if (!vlan_id(v, 0, &c.id))
		return false;
	o->policy.vlan = c;
	return true;
}

static bool take_trunk(struct port_opt *o, char *v)
{
	struct vlan_conf c = { .mode = VLAN_TRUNK };

	if (!vlan_list(v, &c))
		return false;
	o->policy.vlan = c;
	return true;
}

static bool take_native(struct port_opt *o, char *v)
{
	return o->policy.vlan.mode == VLAN_TRUNK && vlan_id(v, 0, &o->policy.vlan.native);
}

static bool take_pvlan(struct port_opt *o, char *v)
{
	static const struct { const char *name; enum vlan_mode mode; } modes[] = {
		{ "isolated", VLAN_ISOLATED }, { "community", VLAN_COMMUNITY },
		{ "promiscuous", VLAN_PROMISCUOUS },
	};
	char *mode = strsep(&v, ":"), *primary = strsep(&v, ":");
	struct vlan_conf c = { 0 };

	if (primary == NULL || v == NULL || !vlan_id(primary, 1, &c.primary))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (strcmp(mode, modes[i].name) != 0)
			continue;
		c.mode = modes[i].mode;
		if (c.mode == VLAN_PROMISCUOUS ? !vlan_list(v, &c) : !vlan_id(v, 1, &c.id))
			return false;
		if (vlan_check(&c, NULL) < 0)
			return false;
		o->policy.vlan = c;
		return true;
	}
	return false;
}

static bool take_dhcp(struct port_opt *o, char *v)
{
	return words_on(v, &o->policy.guard.dhcp);
}

static bool take_router(struct port_opt *o, char *v)
{
	return words_on(v, &o->policy.guard.router);
}

static bool take_addr(struct port_opt *o, char *v)
{
	struct guard_conf g = o->policy.guard;

	g.nr_addr = 0;
	g.addr = true;
	if (!words_on(v, &g.addr)) {
		for (char *part; (part = strsep(&v, "+")) != NULL; g.nr_addr++) {
			struct guard_addr *a = &g.addrs[g.nr_addr];

			if (g.nr_addr == GUARD_ADDRS || !words_prefix(part, &a->family, a->addr, &a->prefix))
				return false;
		}
	}
	o->policy.guard = g;
	return true;
}

static bool take_mirror(struct port_opt *o, char *v)
{
	static const char *const names[] = {
		[MIRROR_NONE] = "none", [MIRROR_SOURCE] = "source", [MIRROR_DESTINATION] = "destination",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(v, names[i]) == 0) {
			o->policy.mirror = (enum port_mirror)i;
			return true;
		}
	return false;
}

static bool take_storm(struct port_opt *o, char *v)
{
	uint64_t n;

	if (!words_number(v, 0, STORM_MAX, &n))
		return false;
	o->policy.storm_limit = (uint32_t)n;
	return true;
}

static bool take_max_out(struct port_opt *o, char *v)
{
	return words_rate(v, &o->policy.max_out_bps);
}

static bool take_max_in(struct port_opt *o, char *v)
{
	return words_rate(v, &o->policy.max_in_bps);
}

static bool take_min_weight(struct port_opt *o, char *v)
{
	uint64_t n;

	if (!words_number(v, 0, 100, &n))
		return false;
	o->policy.min_weight = (uint32_t)n;
	return true;
}

static bool take_min_out(struct port_opt *o, char *v)
{
	return words_rate(v, &o->policy.min_bps);
}

static const struct port_word port_words[] = {
	{ "spoof", "on or off", false, take_spoof },
	{ "vlan", "a VLAN id, 1 to 4094, or 0 for the untagged network", false, take_vlan },
	{ "trunk", "VLAN ids and ranges with + between them, as 5+10-20", false, take_trunk },
	{ "native", "a VLAN id, behind trunk=", false, take_native },
	{ "pvlan", "isolated:PRIMARY:ID, community:PRIMARY:ID or promiscuous:PRIMARY:LIST, of different ids",
	  false, take_pvlan },
	{ "dhcp-guard", "on or off", true, take_dhcp },
	{ "router-guard", "on or off", true, take_router },
	{ "addr-guard", "on, off, or at most 16 of ADDRESS[/BITS] with + between them", true, take_addr },
	{ "mirror", "source, destination or none", false, take_mirror },
	{ "storm", "frames a second", false, take_storm },
	{ "max-out", "bits a second, as 100M or 1G", false, take_max_out },
	{ "max-in", "bits a second, as 100M or 1G", false, take_max_in },
	{ "min-weight", "a weight from 1 to 100, or 0 for none", false, take_min_weight },
	{ "min-out", "bits a second, as 100M or 1G", false, take_min_out },
};

static int add_rule(struct port_opt *o, const char *text, struct err *err)
{
	struct acl_rule r, *rules;
	unsigned room = o->room ? o->room * 2 : 8;
	int rc;

	if (strcmp(text, "none") == 0) {
		o->policy.nr_acl = 0;
		return 0;
	}
	rc = acl_parse(text, &r, err);
	if (rc < 0)
		return err_prefix(err, rc, "acl");
	if (o->policy.nr_acl == ACL_RULES)
		return err_set(err, -E2BIG, "acl=: at most %u rules", ACL_RULES);
	if (o->policy.nr_acl == o->room) {
		rules = new_array(struct acl_rule, room);
		if (rules == NULL)
			return err_set(err, -ENOMEM, "acl=: no memory");
		memcpy(rules, o->rules != NULL ? o->rules : rules, o->policy.nr_acl * sizeof(*rules));
		free(o->rules);
		o->rules = rules;
		o->room = room;
	}
	o->rules[o->policy.nr_acl++] = r;
	o->policy.acl = o->rules;
	return 0;
}

static const struct port_word *find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(port_words); i++)
		if (strlen(port_words[i].name) == n && memcmp(port_words[i].name, name, n) == 0)
			return &port_words[i];
	return NULL;
}

int port_opt_word(struct port_opt *o, const char *word, struct err *err)
{
	size_t n = strcspn(word, "=");
	const struct port_word *w = find(word, n);
	char *val;
	bool good;

	if (strncmp(word, "acl=", 4) == 0)
		return add_rule(o, word + 4, err);
	if (w == NULL)
		return -ENOENT;
	if (word[n] == '\0' && !w->bare)
		return err_set(err, -EINVAL, "%s: expected %s=, then %s", w->name, w->name, w->expects);
	val = strdup(word[n] == '\0' ? "on" : word + n + 1);
	if (val == NULL)
		return err_set(err, -ENOMEM, "%s: no memory", w->name);
	good = w->take(o, val);
	free(val);
	return good ? 0 : err_set(err, -EINVAL, "'%.120s': expected %s", word, w->expects);
}

int port_opt_parse(struct port_opt *o, const char *words, struct err *err)
{
	char *copy = strdup(words), *rest = copy, *word;
	int rc = 0;

	if (copy == NULL)
		return err_set(err, -ENOMEM, "no memory");
	if (*words == '\0')
		rest = NULL;
	while (rc == 0 && (word = words_next(&rest)) != NULL) {
		rc = port_opt_word(o, word, err);
		if (rc == -ENOENT)
			rc = err_set(err, -EINVAL, "'%.60s': expected spoof=, vlan=, trunk=, native=, pvlan=, dhcp-guard, "
				     "router-guard, addr-guard, mirror=, storm=, max-out=, max-in=, min-weight=, min-out= or acl=", word);
	}
	free(copy);
	return rc;
}

int port_opt_check(const struct port_opt *o, struct err *err)
{
	struct acl *acl = NULL;
	int rc = vlan_check(&o->policy.vlan, err);

	if (rc == 0)
		rc = guard_check(&o->policy.guard, err);
	if (rc == 0 && o->policy.min_weight != 0 && o->policy.min_bps != 0)
		rc = err_set(err, -EINVAL, "min-weight= and min-out= belong to switches of different bandwidth modes");
	if (rc == 0)
		rc = acl_new(o->rules, o->policy.nr_acl, &acl, err);
	if (rc == 0)
		acl_free(acl);
	return rc;
}

/* ---- back to words ---------------------------------------------------------- */

/* Ids and ranges of C's list. */
static void print_list(FILE *f, const struct vlan_conf *c)
{
	const char *before = "";

	for (uint16_t id = 1; id <= VLAN_MAX; id++) {
		uint16_t last = id;

		if (!vlan_allows(c, id))
			continue;
		while (last < VLAN_MAX && vlan_allows(c, (uint16_t)(last + 1)))
			last++;
		fprintf(f, last > id ? "%s%u-%u" : "%s%u", before, id, last);
		before = "+";
		id = last;
	}
}

static void print_vlan(FILE *f, const struct vlan_conf *c)
{
	switch (c->mode) {
	case VLAN_ACCESS:
		if (c->id != 0)
			fprintf(f, ",vlan=%u", c->id);
		return;
	case VLAN_TRUNK:
		fprintf(f, ",trunk=");
		print_list(f, c);
		if (c->native != 0)
			fprintf(f, ",native=%u", c->native);
		return;
	case VLAN_ISOLATED:
	case VLAN_COMMUNITY:
		fprintf(f, ",pvlan=%s:%u:%u", c->mode == VLAN_ISOLATED ? "isolated" : "community", c->primary, c->id);
		return;
	case VLAN_PROMISCUOUS:
		fprintf(f, ",pvlan=promiscuous:%u:", c->primary);
		print_list(f, c);
		return;
	}
}

static void print_guard(FILE *f, const struct guard_conf *g)
{
	fputs(g->dhcp ? ",dhcp-guard=on" : "", f);
	fputs(g->router ? ",router-guard=on" : "", f);
	if (g->addr && g->nr_addr == 0)
		fputs(",addr-guard=on", f);
	for (unsigned i = 0; g->addr && i < g->nr_addr; i++) {
		const struct guard_addr *a = &g->addrs[i];
		char text[INET6_ADDRSTRLEN];

		if (inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, text, sizeof(text)) != NULL)
			fprintf(f, "%s%s/%u", i == 0 ? ",addr-guard=" : "+", text, a->prefix);
	}
}

char *port_policy_format(const struct port_policy *p)
{
	static const char *const mirrors[] = { "", ",mirror=source", ",mirror=destination" };
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (f == NULL)
		return NULL;
	fputs(p->mac_spoofing ? ",spoof=on" : "", f);
	print_vlan(f, &p->vlan);
	print_guard(f, &p->guard);
	fputs(mirrors[p->mirror], f);
	if (p->storm_limit != 0)
		fprintf(f, ",storm=%u", p->storm_limit);
	if (p->max_out_bps != 0)
		fprintf(f, ",max-out=%llu", (unsigned long long)p->max_out_bps);
	if (p->max_in_bps != 0)
		fprintf(f, ",max-in=%llu", (unsigned long long)p->max_in_bps);
	if (p->min_weight != 0)
		fprintf(f, ",min-weight=%u", p->min_weight);
	if (p->min_bps != 0)
		fprintf(f, ",min-out=%llu", (unsigned long long)p->min_bps);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	if (text[0] == ',')
		memmove(text, text + 1, strlen(text));
	return text;
}
