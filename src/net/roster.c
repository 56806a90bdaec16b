/*
 * roster.c - a switch and its ports as people know them
 *
 * Lock     roster.lock around the list of ports and their words; inside it
 *          those of the switch and of captures, and what an owner needs to
 *          count.  No owner calls in here with such a lock.
 */
#include "net/roster.h"
#include "net/acl_opt.h"
#include "net/capture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRS_MAX 4096u
#define ADDRS_EACH 256u			/* of one message */

struct entry {
	struct entry *next;
	struct port *inner;		/* [const] the switch's */
	struct capture *capture;	/* [const] owned; the owner's half */
	enum port_role role;		/* [const] */
	char *words;			/* [const] owned; the owner's */
	struct port_opt now;		/* [lock] what counts */
	struct pcapng *file;		/* [lock] of the capture that it is in */
	const char *kind;		/* [lock] of the owner, with count */
	roster_counters *count;		/* [lock] NULL: it does not count */
	void *owner;			/* [lock] */
};

struct roster {
	char name[SWITCH_NAME_MAX];	/* [const] */
	enum vswitch_kind kind;		/* [const] */
	struct vswitch *sw;		/* [const] owned */
	pthread_mutex_t lock;
	struct entry *first;		/* [lock] */
	const struct switch_def *def;	/* [lock] borrowed; NULL: none */
	struct pcapng *all;		/* [lock] later ports go there too */
};

int roster_new(const char *name, const struct vswitch_conf *conf, struct clock *c, struct roster **ret_r,
	       struct err *err)
{
	struct roster *r = new0(struct roster);
	int rc;

	if (r == NULL)
		return err_set(err, -ENOMEM, "no memory for a switch");
	rc = vswitch_new(conf, c, &r->sw, err);
	if (rc < 0) {
		free(r);
		return rc;
	}
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->kind = conf->kind;
	pthread_mutex_init(&r->lock, NULL);
	*ret_r = r;
	return 0;
}

void roster_free(struct roster *r)
{
	if (r == NULL)
		return;
	BUG_IF(r->first != NULL);
	vswitch_free(r->sw);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* [lock] What counts for a port of that name and those words. */
static int policy_of(struct roster *r, const char *name, const char *words, enum port_role role,
		     struct port_opt *ret_o, struct err *err)
{
	struct port_opt o = { 0 };
	int rc;

	if (r->def != NULL) {
		/* A guard that is meant for adapters must not stop the gateway's own DHCP. */
		rc = switch_def_policy(r->def, name, role == PORT_ADAPTER ? words : NULL, &o, err);
	} else {
		rc = port_opt_parse(&o, words, err);
		if (rc == 0)
			rc = port_opt_check(&o, err);
	}
	if (rc < 0) {
		port_opt_fini(&o);
		return rc;
	}
	/* The host speaks for a NAT's gateway and its helpers, or for what is behind its tap. */
	o.policy.mac_spoofing |= role == PORT_HOST;
	*ret_o = o;
	return 0;
}

static struct entry *find(struct roster *r, const char *name)
{
	struct entry *e = r->first;

	while (e != NULL && strcmp(e->inner->name, name) != 0)
		e = e->next;
	return e;
}

static void entry_free(struct entry *e)
{
	capture_free(e->capture);
	vswitch_port_free(e->inner);
	port_opt_fini(&e->now);
	free(e->words);
	free(e);
}

/* [lock] Fills E in; on an error some of it. */
static int entry_make(struct roster *r, struct entry *e, const struct roster_port *conf, struct err *err)
{
	struct port_conf pc = { .name = conf->name, .role = conf->role, .bps = conf->bps };
	int rc;

	if (find(r, conf->name) != NULL)
		return err_set(err, -EEXIST, "port %s is there already", conf->name);
	e->role = conf->role;
	e->words = strdup(conf->words);
	if (e->words == NULL)
		return err_set(err, -ENOMEM, "no memory");
	rc = policy_of(r, conf->name, conf->words, conf->role, &e->now, err);
	if (rc < 0)
		return rc;
	memcpy(pc.mac, conf->mac, 6);
	pc.policy = e->now.policy;
	rc = vswitch_port(r->sw, &pc, &e->inner, err);
	if (rc == 0)
		rc = capture_new(e->inner, NULL, &e->capture, err);
	/* A file that is full of ports misses this one; the port is there all the same. */
	if (rc == 0 && r->all != NULL && capture_set(e->capture, r->all, NULL) == 0)
		e->file = r->all;
	return rc;
}

int roster_port(struct roster *r, const struct roster_port *conf, struct port **ret_p, struct err *err)
{
	struct entry *e = new0(struct entry), **at;
	int rc;

	if (e == NULL)
		return err_set(err, -ENOMEM, "no memory for port %s", conf->name);
	pthread_mutex_lock(&r->lock);
	rc = entry_make(r, e, conf, err);
	if (rc < 0) {
		entry_free(e);
	} else {
		for (at = &r->first; *at != NULL;)
			at = &(*at)->next;
		*at = e;
		*ret_p = capture_port(e->capture);
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

/* [lock] Where the entry of P hangs. */
static struct entry **entry_of(struct roster *r, const struct port *p)
{
	struct entry **at = &r->first;

	while (*at != NULL && capture_port((*at)->capture) != p)
		at = &(*at)->next;
	BUG_IF(*at == NULL);
	return at;
}

void roster_count(struct roster *r, struct port *p, const char *kind, roster_counters *fn, void *owner)
{
	struct entry *e;

	pthread_mutex_lock(&r->lock);
	e = *entry_of(r, p);
	e->kind = kind;
	e->count = fn;
	e->owner = owner;
	pthread_mutex_unlock(&r->lock);
}

void roster_port_free(struct roster *r, struct port *p)
{
	struct entry **at, *e;

	if (p == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	at = entry_of(r, p);
	e = *at;
	*at = e->next;
	pthread_mutex_unlock(&r->lock);
	entry_free(e);
}

/* [lock] */
static int apply(struct roster *r, struct entry *e, struct err *err)
{
	struct port_opt o;
	int rc = policy_of(r, e->inner->name, e->words, e->role, &o, err);

	if (rc == 0)
		rc = vswitch_set_policy(e->inner, &o.policy, err);
	else
		return rc;
	if (rc < 0) {
		port_opt_fini(&o);
		return rc;
	}
	port_opt_fini(&e->now);
	e->now = o;
	return 0;
}

int roster_define(struct roster *r, const struct switch_def *d, struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	r->def = d;
	for (struct entry *e = r->first; e != NULL; e = e->next) {
		struct err one = { "" };
		int this = apply(r, e, &one);

		if (this < 0 && rc == 0)	/* the others get what is theirs all the same */
			rc = err_set(err, this, "port %s keeps its policy: %s", e->inner->name, one.msg);
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

/* ---- to be looked at -------------------------------------------------------- */

static void format_mac(const uint8_t *m, char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static json_t *drops_json(const struct port_stats *st)
{
	json_t *drops = json_object();

	for (int i = 1; i < DROP_NR; i++)
		if (st->drops[i] != 0)
			json_object_set_new(drops, vswitch_drop_name((enum drop)i), json_integer((json_int_t)st->drops[i]));
	return drops;
}

static void add_owner(json_t *port, const struct entry *e)
{
	json_t *counts = e->count(e->owner);

	if (counts != NULL && json_object_set_new(counts, "kind", json_string(e->kind)) == 0)
		json_object_set(port, "owner", counts);
	json_decref(counts);
}

static json_t *port_json(const struct roster *r, const struct entry *e)
{
	static const char *const roles[] = { "adapter", "host", "uplink" };
	char *policy = port_policy_format(&e->now.policy), mac[18];
	struct port_stats st;
	json_t *msg;

	vswitch_port_stats(e->inner, &st);
	format_mac(e->inner->mac, mac);
	msg = json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:o}}", "port", "switch", r->name,
			"name", e->inner->name, "role", roles[e->role], "mac", e->role == PORT_UPLINK ? "" : mac,
			"policy", policy != NULL ? policy : "", "captured", e->file != NULL,
			"sent", (json_int_t)st.sent, "sent_bytes", (json_int_t)st.sent_bytes,
			"received", (json_int_t)st.received, "received_bytes", (json_int_t)st.received_bytes,
			"drops", drops_json(&st));
	free(policy);
	if (e->count != NULL)
		add_owner(json_object_get(msg, "port"), e);
	return msg;
}

static int show_rules(const struct entry *e, roster_emit *emit, void *arg)
{
	int rc = 0;

	for (unsigned i = 0; i < e->now.policy.nr_acl && rc >= 0; i++) {
		char text[ACL_TEXT_MAX];
		uint64_t frames, bytes;

		acl_format(&e->now.rules[i], text);
		vswitch_acl_counters(e->inner, i, &frames, &bytes);
		rc = emit(arg, json_pack("{s:{s:s, s:s, s:I, s:I}}", "rule", "port", e->inner->name, "rule", text,
					 "frames", (json_int_t)frames, "bytes", (json_int_t)bytes));
	}
	return rc;
}

static json_t *addr_json(const struct vswitch_addr *a)
{
	char mac[18];

	format_mac(a->mac, mac);
	if (a->vlan > VLAN_MAX)
		return json_pack("{s:s, s:s}", "mac", mac, "port", a->port);
	return json_pack("{s:s, s:s, s:i, s:I}", "mac", mac, "port", a->port, "vlan", a->vlan,
			 "age", (json_int_t)(a->age_ns / NS_PER_SEC));
}

static int show_learned(struct roster *r, roster_emit *emit, void *arg)
{
	struct vswitch_addr *list = new_array(struct vswitch_addr, ADDRS_MAX);
	uint32_t nr = list != NULL ? vswitch_addresses(r->sw, list, ADDRS_MAX) : 0;
	json_t *some = json_array();
	int rc = 0;

	for (uint32_t i = 0; i < nr && rc >= 0; i++) {
		if (!list[i].known)
			json_array_append_new(some, addr_json(&list[i]));
		if (json_array_size(some) == ADDRS_EACH) {
			rc = emit(arg, json_pack("{s:o}", "learned", some));
			some = json_array();
		}
	}
	if (rc >= 0 && json_array_size(some) != 0)
		rc = emit(arg, json_pack("{s:O}", "learned", some));
	json_decref(some);
	free(list);
	return rc;
}

/*
 * The list must not change under us, so a slow listener would hold up machines that
 * come and go: all is gathered first and told after.
 */
struct tale {
	json_t *all;
};

static int gather(void *arg, json_t *msg)
{
	struct tale *t = arg;

	return msg == NULL || json_array_append_new(t->all, msg) < 0 ? -ENOMEM : 0;
}

static int gather_all(struct roster *r, struct tale *t)
{
	int rc = 0, ports = 0;

	pthread_mutex_lock(&r->lock);
	for (struct entry *e = r->first; e != NULL; e = e->next)
		ports++;
	rc = gather(t, json_pack("{s:{s:s, s:s, s:i, s:i}}", "switch", "name", r->name, "kind",
				 switch_kind_name(r->kind), "process", (int)getpid(), "ports", ports));
	for (struct entry *e = r->first; e != NULL && rc >= 0; e = e->next) {
		rc = gather(t, port_json(r, e));
		if (rc >= 0)
			rc = show_rules(e, gather, t);
	}
	pthread_mutex_unlock(&r->lock);
	return rc < 0 ? rc : show_learned(r, gather, t);
}

int roster_show(struct roster *r, roster_emit *emit, void *arg)
{
	struct tale t = { json_array() };
	int rc = gather_all(r, &t);

	for (size_t i = 0; i < json_array_size(t.all) && rc >= 0; i++)
		rc = emit(arg, json_incref(json_array_get(t.all, i)));
	json_decref(t.all);
	return rc;
}

/* ---- to be written down ----------------------------------------------------- */

/* [lock] */
static int capture_entry(struct entry *e, struct pcapng *file, struct err *err)
{
	int rc;

	if (e->file != NULL)
		return err_set(err, -EBUSY, "port %s is being captured already", e->inner->name);
	rc = capture_set(e->capture, file, err);
	if (rc == 0)
		e->file = file;
	return rc;
}

int roster_capture(struct roster *r, const char *name, struct pcapng *file, struct err *err)
{
	int rc = 0, nr = 0;

	pthread_mutex_lock(&r->lock);
	if (name == NULL && r->all != NULL)
		rc = err_set(err, -EBUSY, "switch %s is being captured already", r->name);
	if (name != NULL && find(r, name) == NULL)
		rc = err_set(err, -ENOENT, "switch %s has no port %s", r->name, name);
	for (struct entry *e = r->first; e != NULL && rc == 0; e = e->next) {
		if (name != NULL && strcmp(e->inner->name, name) != 0)
			continue;
		rc = capture_entry(e, file, err);
		nr++;
	}
	if (rc == 0 && name == NULL)
		r->all = file;
	pthread_mutex_unlock(&r->lock);
	if (rc < 0)
		roster_capture_end(r, file);
	return rc < 0 ? rc : nr;
}

void roster_capture_end(struct roster *r, struct pcapng *file)
{
	pthread_mutex_lock(&r->lock);
	if (r->all == file)
		r->all = NULL;
	for (struct entry *e = r->first; e != NULL; e = e->next)
		if (e->file == file && capture_set(e->capture, NULL, NULL) == 0)
			e->file = NULL;
	pthread_mutex_unlock(&r->lock);
}
