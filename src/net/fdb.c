/*
 * fdb.c - which address is behind which port
 *
 * Learned addresses live in sets of four, chosen by a keyed hash: a full set
 * gives up its oldest entry, so a flood of addresses costs constant time and
 * memory.  A port at its limit reuses only entries of its own.  The key is
 * random, so that nobody can aim at the set of a victim, and in a full set a
 * port replaces its own entries before those of others.
 *
 * Spec     [802.1Q] 8.8: filtering database, ageing 300 s
 * Lock     its own, a leaf, for learned addresses.  Known ones need none, as they
 *          change only while nobody looks: between adapters, whatever one of them
 *          does, no frame waits for another here
 */
#include "net/fdb.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define MAX_PORTS 256
#define MAX_KNOWN 1024
/* An entry seen again within this time is not written again. */
#define REFRESH_NS (NS_PER_SEC)

struct entry {
	uint64_t key;			/* MAC and fid; 0 = empty */
	uint64_t seen_ns;
	uint16_t port;
};

struct fdb {
	pthread_mutex_t lock;
	uint64_t secret;		/* [const] */
	uint64_t age_ns;		/* [const] */
	uint32_t nr_sets, per_port;	/* [const] */
	uint32_t nr, nr_known;
	uint32_t nr_of[MAX_PORTS];
	struct entry known[MAX_KNOWN];	/* sorted by key */
	struct entry sets[];
};

/* Never 0 for a valid source: a fid of 0 counts as 1, FDB_ANY stays the highest. */
static uint64_t key_of(const uint8_t mac[6], uint16_t fid)
{
	uint64_t k = 0;

	for (unsigned i = 0; i < 6; i++)
		k = k << 8 | mac[i];
	return k << 16 | (fid == FDB_ANY ? FDB_ANY : fid + 1u);
}

static struct entry *set_of(struct fdb *f, uint64_t key)
{
	uint64_t h = (key ^ f->secret) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93) | 1;
	return &f->sets[(h >> 40 & (f->nr_sets - 1)) * WAYS];
}

int fdb_new(uint32_t max, uint32_t per_port, uint64_t age_ns, struct fdb **ret_f)
{
	uint32_t sets = 1;
	struct fdb *f;

	if (max == 0 || max > 1 << 20 || per_port == 0)
		return -EINVAL;
	while (sets * WAYS < max)
		sets *= 2;
	f = base_new0(sizeof(*f) + sets * WAYS * sizeof(struct entry));
	if (f == NULL)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	base_random(&f->secret, sizeof(f->secret));
	f->nr_sets = sets;
	f->per_port = per_port;
	f->age_ns = age_ns;
	*ret_f = f;
	return 0;
}

void fdb_free(struct fdb *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Where KEY is among the known, or would be. */
static uint32_t known_at(const struct fdb *f, uint64_t key)
{
	uint32_t lo = 0, hi = f->nr_known;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (f->known[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *known_find(struct fdb *f, uint64_t key)
{
	uint32_t i = known_at(f, key);

	return i < f->nr_known && f->known[i].key == key ? &f->known[i] : NULL;
}

/* Of one address, the entry that VLAN sees. */
static struct entry *known_seen(struct fdb *f, const uint8_t mac[6], uint16_t fid)
{
	struct entry *e = known_find(f, key_of(mac, fid));

	return e != NULL ? e : known_find(f, key_of(mac, FDB_ANY));
}

static void unlearn(struct fdb *f, struct entry *e)
{
	f->nr--;
	f->nr_of[e->port]--;
	*e = (struct entry){ 0 };
}

/* A known address was learned before elsewhere, perhaps: forget that. */
static void unlearn_mac(struct fdb *f, const uint8_t mac[6])
{
	uint64_t m = key_of(mac, 0) >> 16;

	for (uint32_t i = 0; i < f->nr_sets * WAYS; i++)
		if (f->sets[i].key != 0 && f->sets[i].key >> 16 == m)
			unlearn(f, &f->sets[i]);
}

int fdb_add_known(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint16_t port)
{
	uint64_t key = key_of(mac, fid);
	uint32_t i;
	int rc = 0;

	BUG_IF(port >= MAX_PORTS);
	pthread_mutex_lock(&f->lock);
	i = known_at(f, fid == FDB_ANY ? key_of(mac, 0) : key);
	/* The same address, in the same VLAN or, for one that is in all, in any. */
	if (known_seen(f, mac, fid) != NULL ||
	    (i < f->nr_known && f->known[i].key >> 16 == key >> 16 && fid == FDB_ANY))
		rc = -EEXIST;
	else if (f->nr_known == MAX_KNOWN)
		rc = -ENOSPC;
	if (rc == 0) {
		i = known_at(f, key);
		memmove(&f->known[i + 1], &f->known[i], (f->nr_known - i) * sizeof(f->known[0]));
		f->known[i] = (struct entry){ .key = key, .port = port };
		f->nr_known++;
		unlearn_mac(f, mac);
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

void fdb_drop_port(struct fdb *f, uint16_t port)
{
	uint32_t n = 0;

	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < f->nr_known; i++)
		if (f->known[i].port != port)
			f->known[n++] = f->known[i];
	f->nr_known = n;
	for (uint32_t i = 0; i < f->nr_sets * WAYS; i++)
		if (f->sets[i].key != 0 && f->sets[i].port == port)
			unlearn(f, &f->sets[i]);
	pthread_mutex_unlock(&f->lock);
}

/* Is E a better place than BEST for an address of PORT: empty, else its own, else older? */
static bool better_place(const struct entry *e, const struct entry *best, uint16_t port)
{
	if (best == NULL || best->key == 0 || e->key == 0)
		return best == NULL || best->key != 0;
	if ((e->port == port) != (best->port == port))
		return e->port == port;
	return e->seen_ns < best->seen_ns;
}

/* Where KEY is or may go; NULL: PORT has its share already, and none of it here. */
static struct entry *place_for(struct fdb *f, uint64_t key, uint16_t port, uint64_t now_ns)
{
	struct entry *set = set_of(f, key), *best = NULL;
	bool full = f->nr_of[port] >= f->per_port;

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	for (unsigned i = 0; i < WAYS; i++) {
		struct entry *e = &set[i];

		if (e->key != 0 && now_ns > e->seen_ns + f->age_ns)
			unlearn(f, e);
		if (full && (e->key == 0 || e->port != port))
			continue;
		if (better_place(e, best, port))
			best = e;
	}
	return best;
}

void fdb_learn(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint16_t port, uint64_t now_ns)
{
	uint64_t key = key_of(mac, fid);
	struct entry *e;

	BUG_IF(port >= MAX_PORTS);
	if (known_seen(f, mac, fid) != NULL)
		return;
	pthread_mutex_lock(&f->lock);
	e = place_for(f, key, port, now_ns);
	if (e == NULL || (e->key == key && e->port == port && now_ns < e->seen_ns + REFRESH_NS))
		goto out;
	if (e->key == key && e->port != port && f->nr_of[port] >= f->per_port)
		goto out;
	if (e->key != 0)
		unlearn(f, e);
	*e = (struct entry){ .key = key, .seen_ns = now_ns, .port = port };
	f->nr++;
	f->nr_of[port]++;
out:
	pthread_mutex_unlock(&f->lock);
}

uint16_t fdb_find(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint64_t now_ns)
{
	return fdb_find_recent(f, mac, fid, f->age_ns, now_ns);
}

uint16_t fdb_find_recent(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint64_t within_ns, uint64_t now_ns)
{
	const struct entry *set, *e = known_seen(f, mac, fid);
	uint64_t key = key_of(mac, fid);
	uint16_t port = FDB_NONE;

	if (e != NULL)
		return e->port;
	pthread_mutex_lock(&f->lock);
	set = set_of(f, key);
	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].key == key && now_ns <= set[i].seen_ns + within_ns)
			port = set[i].port;
	pthread_mutex_unlock(&f->lock);
	return port;
}

uint32_t fdb_count(struct fdb *f)
{
	uint32_t n;

	pthread_mutex_lock(&f->lock);
	n = f->nr;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static struct fdb_seen seen_of(const struct entry *e, bool known, uint64_t now_ns)
{
	struct fdb_seen s = { .port = e->port, .known = known };

	for (unsigned i = 0; i < 6; i++)
		s.mac[i] = (uint8_t)(e->key >> (56 - 8 * i));
	s.fid = (uint16_t)e->key == FDB_ANY ? FDB_ANY : (uint16_t)(e->key - 1);
	s.age_ns = known || now_ns < e->seen_ns ? 0 : now_ns - e->seen_ns;
	return s;
}

uint32_t fdb_list(struct fdb *f, uint64_t now_ns, struct fdb_seen *ret_list, uint32_t max)
{
	uint32_t n = 0;

	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < f->nr_known && n < max; i++)
		ret_list[n++] = seen_of(&f->known[i], true, now_ns);
	for (uint32_t i = 0; i < f->nr_sets * WAYS && n < max; i++)
		if (f->sets[i].key != 0 && now_ns <= f->sets[i].seen_ns + f->age_ns)
			ret_list[n++] = seen_of(&f->sets[i], false, now_ns);
	pthread_mutex_unlock(&f->lock);
	return n;
}
