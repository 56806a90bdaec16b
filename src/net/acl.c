/*
 * acl.c - extended access control lists of a port
 *
 * Later fragments carry no ports.  A rule that denies ports meets them, one
 * that allows ports does not, so fragments pass only where whole packets to
 * any port would.
 *
 * Connections live in sets of four under a keyed hash; a full set gives up
 * the one that was idle longest.  Any packet that a stateful rule allows
 * opens one; there is no look at TCP's flags.
 *
 * Missing  ICMP errors that belong to a TCP or UDP connection need a rule;
 *          a closed TCP connection stays open here until it has been idle
 * Lock     its own for connections, a leaf; counters are atomic
 */
#include "net/acl.h"
#include "base/err.h"
#include "net/guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WAYS 4
#define SETS 1024
#define IDLE_S 300u

struct key {
	uint8_t local[16], remote[16];
	uint16_t lport, rport;
	uint8_t proto, v6;
	uint8_t dir;			/* of the rule that opened it */
	uint8_t pad;
};

struct flow {
	struct key key;
	uint64_t until_ns;		/* 0 = empty */
	uint64_t idle_ns;
};

struct rule {
	struct acl_rule r;
	uint16_t given;			/* its number at acl_new */
	_Atomic uint64_t frames, bytes;
};

struct acl {
	pthread_mutex_t lock;
	uint64_t secret;		/* [const] */
	struct flow *flows;		/* [lock] NULL: no rule is stateful */
	unsigned nr;			/* [const] */
	uint16_t at[ACL_RULES];		/* [const] number at acl_new -> place */
	struct rule rules[];		/* by weight */
};

/* A packet from the port's point of view. */
struct view {
	const struct packet *p;
	unsigned dir;
	const uint8_t *local, *remote, *remote_mac;
	uint16_t lport, rport;
	bool ports;			/* they are there */
};

static int check_rule(const struct acl_rule *r, unsigned i, struct err *err)
{
	unsigned bits = r->what == ACL_IP4 ? 32 : r->what == ACL_IP6 ? 128 : 0;
	bool ports = r->local_lo | r->local_hi | r->remote_lo | r->remote_hi;

	if ((unsigned)r->action > ACL_METER || (unsigned)r->what > ACL_IP6 ||
	    r->dirs == 0 || r->dirs > (ACL_OUT | ACL_IN))
		return err_set(err, -EINVAL, "rule %u: action or direction is not known", i);
	if (r->local_bits > bits || r->remote_bits > bits)
		return err_set(err, -EINVAL, "rule %u: an address needs its family, and no more bits than it has", i);
	if (r->what == ACL_EVERY && (r->proto != 0 || ports || r->stateful))
		return err_set(err, -EINVAL, "rule %u: protocol, ports and state are IP's only", i);
	if (ports && r->proto != IP_TCP && r->proto != IP_UDP)
		return err_set(err, -EINVAL, "rule %u: only TCP and UDP have ports", i);
	if (r->local_lo > r->local_hi || r->remote_lo > r->remote_hi)
		return err_set(err, -EINVAL, "rule %u: a range of ports goes upwards", i);
	if (r->stateful && (r->action != ACL_ALLOW || r->dirs == (ACL_OUT | ACL_IN)))
		return err_set(err, -EINVAL, "rule %u: only what allows one direction is stateful", i);
	return 0;
}

static int by_weight(const void *va, const void *vb)
{
	const struct rule *a = va, *b = vb;

	if (a->r.weight != b->r.weight)
		return a->r.weight > b->r.weight ? -1 : 1;
	return a->given < b->given ? -1 : 1;
}

static int check_all(const struct acl_rule *rules, unsigned nr, bool *ret_stateful, struct err *err)
{
	unsigned meters = 0;
	bool stateful = false;

	if (nr > ACL_RULES)
		return err_set(err, -E2BIG, "a port has at most %u rules", ACL_RULES);
	for (unsigned i = 0; i < nr; i++) {
		int rc = check_rule(&rules[i], i + 1, err);

		if (rc < 0)
			return rc;
		meters += rules[i].action == ACL_METER;
		stateful |= rules[i].stateful;
	}
	if (meters > ACL_METERS)
		return err_set(err, -E2BIG, "a port has at most %u rules that meter", ACL_METERS);
	*ret_stateful = stateful;
	return 0;
}

int acl_new(const struct acl_rule *rules, unsigned nr, struct acl **ret_a, struct err *err)
{
	bool stateful;
	struct acl *a;
	int rc = check_all(rules, nr, &stateful, err);

	if (rc < 0)
		return rc;
	if (nr == 0) {
		*ret_a = NULL;
		return 0;
	}
	a = base_new0(sizeof(*a) + nr * sizeof(struct rule));
	if (a == NULL)
		return err_set(err, -ENOMEM, "no memory for %u rules", nr);
	if (stateful) {
		a->flows = new_array(struct flow, SETS * WAYS);
		if (a->flows == NULL) {
			free(a);
			return err_set(err, -ENOMEM, "no memory for connections");
		}
	}
	pthread_mutex_init(&a->lock, NULL);
	base_random(&a->secret, sizeof(a->secret));
	a->nr = nr;
	for (unsigned i = 0; i < nr; i++) {
		a->rules[i].r = rules[i];
		a->rules[i].given = (uint16_t)i;
	}
	qsort(a->rules, nr, sizeof(a->rules[0]), by_weight);
	for (unsigned i = 0; i < nr; i++)
		a->at[a->rules[i].given] = (uint16_t)i;
	*ret_a = a;
	return 0;
}

void acl_free(struct acl *a)
{
	if (a == NULL)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a->flows);
	free(a);
}

static void view_of(struct view *v, const struct packet *p, unsigned dir)
{
	bool out = dir == ACL_OUT;

	v->p = p;
	v->dir = dir;
	v->local = out ? p->src : p->dst;
	v->remote = out ? p->dst : p->src;
	v->remote_mac = out ? pkt_mac_dst(p) : pkt_mac_src(p);
	v->ports = (p->what & PKT_L4) && (p->proto == IP_TCP || p->proto == IP_UDP);
	v->lport = !v->ports ? 0 : out ? p->sport : p->dport;
	v->rport = !v->ports ? 0 : out ? p->dport : p->sport;
}

static bool ports_match(const struct acl_rule *r, const struct view *v)
{
	if ((r->local_lo | r->local_hi | r->remote_lo | r->remote_hi) == 0)
		return true;
	if (!v->ports)
		return r->action == ACL_DENY;
	if ((r->local_lo | r->local_hi) != 0 && (v->lport < r->local_lo || v->lport > r->local_hi))
		return false;
	return (r->remote_lo | r->remote_hi) == 0 ||
	       (v->rport >= r->remote_lo && v->rport <= r->remote_hi);
}

static bool rule_matches(const struct acl_rule *r, const struct view *v)
{
	static const uint16_t family[] = {
		[ACL_IP] = PKT_IP, [ACL_IP4] = PKT_IP4, [ACL_IP6] = PKT_IP6,
	};

	if (!(r->dirs & v->dir))
		return false;
	if (r->by_mac && !mac_eq(r->remote_mac, v->remote_mac))
		return false;
	if (r->what == ACL_EVERY)
		return true;
	if (!(v->p->what & family[r->what]) || (r->proto != 0 && r->proto != v->p->proto))
		return false;
	return addr_in_prefix(v->local, r->local, r->local_bits) &&
	       addr_in_prefix(v->remote, r->remote, r->remote_bits) && ports_match(r, v);
}

static struct flow *set_of(struct acl *a, const struct key *k)
{
	uint64_t h = a->secret, w;

	for (size_t i = 0; i < sizeof(*k); i += 8) {
		memcpy(&w, (const uint8_t *)k + i, 8);
		h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return &a->flows[(h >> 20 & (SETS - 1)) * WAYS];
}
_Static_assert(sizeof(struct key) == 40, "hashed and compared as it lies, without padding");

/* The connection V belongs to, opened in direction DIR; false: V has none (a later fragment). */
static bool key_of(const struct view *v, unsigned dir, struct key *ret_k)
{
	size_t n = v->p->what & PKT_IP6 ? 16 : 4;

	if (!(v->p->what & PKT_IP) || (v->p->what & PKT_LATER))
		return false;
	memset(ret_k, 0, sizeof(*ret_k));
	memcpy(ret_k->local, v->local, n);
	memcpy(ret_k->remote, v->remote, n);
	ret_k->lport = v->lport;
	ret_k->rport = v->rport;
	ret_k->proto = v->p->proto;
	ret_k->v6 = n == 16;
	ret_k->dir = (uint8_t)dir;
	return true;
}

/* K's own place in its set, else the one that ends first (an empty one has ended). */
static struct flow *flow_place(struct acl *a, const struct key *k)
{
	struct flow *set = set_of(a, k), *best = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].until_ns != 0 && memcmp(&set[i].key, k, sizeof(*k)) == 0)
			return &set[i];
		if (set[i].until_ns < best->until_ns)
			best = &set[i];
	}
	return best;
}

static void flow_open(struct acl *a, const struct view *v, uint32_t idle_s, uint64_t now)
{
	uint64_t idle = (idle_s ? idle_s : IDLE_S) * NS_PER_SEC;
	struct key k;

	if (!key_of(v, v->dir, &k))
		return;
	pthread_mutex_lock(&a->lock);
	*flow_place(a, &k) = (struct flow){ .key = k, .until_ns = now + idle, .idle_ns = idle };
	pthread_mutex_unlock(&a->lock);
}

/* Is V an answer in a connection that the other direction opened? */
static bool flow_answers(struct acl *a, const struct view *v, uint64_t now)
{
	struct flow *f;
	struct key k;
	bool found;

	if (a->flows == NULL || !key_of(v, v->dir ^ (ACL_OUT | ACL_IN), &k))
		return false;
	pthread_mutex_lock(&a->lock);
	f = flow_place(a, &k);
	found = f->until_ns != 0 && f->until_ns >= now && memcmp(&f->key, &k, sizeof(k)) == 0;
	if (found)
		f->until_ns = now + f->idle_ns;
	pthread_mutex_unlock(&a->lock);
	return found;
}

bool acl_judge(struct acl *a, unsigned dir, const struct packet *p, uint64_t now_ns,
	       struct acl_hits *ret_hits)
{
	struct view v;

	ret_hits->nr = 0;
	if (a == NULL)
		return true;
	view_of(&v, p, dir);
	for (unsigned i = 0; i < a->nr; i++) {
		const struct acl_rule *r = &a->rules[i].r;

		if (!rule_matches(r, &v))
			continue;
		if (r->action == ACL_DENY && flow_answers(a, &v, now_ns))
			return true;
		ret_hits->rule[ret_hits->nr++] = (uint16_t)i;
		if (r->action == ACL_DENY)
			return false;
		if (r->action == ACL_ALLOW) {
			if (r->stateful)
				flow_open(a, &v, r->idle_s, now_ns);
			return true;
		}
	}
	return true;
}

void acl_count(struct acl *a, const struct acl_hits *hits, uint64_t bytes)
{
	for (unsigned i = 0; a != NULL && i < hits->nr; i++) {
		struct rule *r = &a->rules[hits->rule[i]];

		atomic_fetch_add_explicit(&r->frames, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&r->bytes, bytes, memory_order_relaxed);
	}
}

void acl_counters(const struct acl *a, unsigned i, uint64_t *ret_frames, uint64_t *ret_bytes)
{
	const struct rule *r = &a->rules[a->at[i]];

	*ret_frames = atomic_load_explicit(&r->frames, memory_order_relaxed);
	*ret_bytes = atomic_load_explicit(&r->bytes, memory_order_relaxed);
}
