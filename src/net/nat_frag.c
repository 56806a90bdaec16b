/*
 * nat_frag.c - puts IPv4 fragments together before the library sees them
 *
 * libslirp 4.7 follows pointers into a guest's bytes when fragments overlap
 * (test/corpus/nat/overlap did that), so it gets no fragments at all: whole
 * datagrams only, built here from a pool that does not grow.
 *
 * A datagram is kept as its bytes and one bit for each 8 of them.  Fragments
 * that overlap, contradict each other about the end, or pass the longest
 * datagram lose the whole of it; nobody makes such by accident.  Header
 * options are dropped.  The oldest makes room for a new one.
 *
 * Spec     [RFC791] 3.2 fragmentation and reassembly; [RFC5722] 4 for overlaps
 * Missing  an ICMP message when the time is over
 * Lock     none, the NAT's thread
 */
#include "net/nat_priv.h"
#include "net/sum.h"

#include <stdlib.h>
#include <string.h>

#define POOL 16u
#define LIFE_NS (30 * NS_PER_SEC)	/* [RFC1122] 3.3.2 says 60 to 120 s; a guest is near */
#define IP_HLEN 20u
#define DATA_MAX (UINT16_MAX - IP_HLEN)
#define UNITS (DATA_MAX / 8 + 1)

struct datagram {
	uint64_t born_ns;		/* 0 = free */
	uint8_t key[11];		/* addresses, protocol, identification */
	bool first;			/* the headers are there */
	uint32_t end;			/* of the data; 0 = not known yet */
	uint32_t have;			/* units */
	uint64_t units[(UNITS + 63) / 64];
	uint8_t b[ETH_HLEN + IP_HLEN + DATA_MAX + 8];
};

struct nat_frags {
	struct datagram d[POOL];
};

struct nat_frags *nat_frags_new(void)
{
	return new0(struct nat_frags);
}

void nat_frags_free(struct nat_frags *fs)
{
	free(fs);
}

/* All that is read of a fragment's header, checked. */
struct frag {
	const uint8_t *frame, *ip, *data;
	uint32_t off, n;
	bool more;
};

bool nat_is_frag(const uint8_t *frame, uint32_t len)
{
	/* Anything but "don't fragment", as the library has it. */
	return len >= ETH_HLEN + IP_HLEN && ldbe16(frame + 12) == ETH_IP4 &&
	       ldbe16(frame + ETH_HLEN + 6) & 0xbfff;
}

static bool parse(const uint8_t *frame, uint32_t len, struct frag *ret_f)
{
	const uint8_t *ip = frame + ETH_HLEN;
	uint32_t hlen = (ip[0] & 15) * 4u, total = ldbe16(ip + 2), word = ldbe16(ip + 6);
	struct frag f = { .frame = frame, .ip = ip };

	len -= ETH_HLEN;
	if (ip[0] >> 4 != 4 || hlen < IP_HLEN || hlen >= total || total > len || word & 0x8000 ||
	    sum_fold(sum_bytes(0, ip, hlen, false)) != UINT16_MAX)
		return false;
	f.data = ip + hlen;
	f.n = total - hlen;
	f.off = (word & 0x1fff) * 8;
	f.more = word & 0x2000;
	if (f.off + f.n > DATA_MAX || (f.more && f.n % 8 != 0))
		return false;
	*ret_f = f;
	return true;
}

static void key_of(const struct frag *f, uint8_t key[11])
{
	memcpy(key, f->ip + 12, 8);
	key[8] = f->ip[9];
	memcpy(key + 9, f->ip + 4, 2);
}

/* The datagram this belongs to, begun if need be. */
static struct datagram *find(struct nat_frags *fs, const struct frag *f, uint64_t now)
{
	struct datagram *old = &fs->d[0];
	uint8_t key[11];

	key_of(f, key);
	for (struct datagram *d = fs->d; d < fs->d + POOL; d++) {
		if (d->born_ns != 0 && now - d->born_ns > LIFE_NS)
			d->born_ns = 0;
		if (d->born_ns != 0 && memcmp(d->key, key, sizeof(key)) == 0)
			return d;
		if (d->born_ns < old->born_ns)
			old = d;
	}
	memset(old, 0, offsetof(struct datagram, b));
	memcpy(old->key, key, sizeof(key));
	old->born_ns = now | 1;
	return old;
}

/* False: it does not fit what is there. */
static bool add(struct datagram *d, const struct frag *f)
{
	uint32_t last = (f->off + f->n + 7) / 8, end = f->off + f->n;

	if (d->end != 0 && (end > d->end || (!f->more && end != d->end)))
		return false;
	for (uint32_t u = f->off / 8; u < last; u++)
		if (d->units[u / 64] & UINT64_C(1) << u % 64)
			return false;
	if (!f->more) {
		/* What came before must lie within the end. */
		for (uint32_t u = last; u < UNITS; u++)
			if (d->units[u / 64] & UINT64_C(1) << u % 64)
				return false;
		d->end = end;
	}
	for (uint32_t u = f->off / 8; u < last; u++)
		d->units[u / 64] |= UINT64_C(1) << u % 64;
	d->have += last - f->off / 8;
	memcpy(d->b + ETH_HLEN + IP_HLEN + f->off, f->data, f->n);
	if (f->off == 0) {
		d->first = true;
		memcpy(d->b, f->frame, ETH_HLEN + IP_HLEN);
	}
	return true;
}

/* The header of one whole datagram without options. */
static uint32_t finish(struct datagram *d)
{
	uint8_t *ip = d->b + ETH_HLEN;
	uint32_t total = IP_HLEN + d->end;

	ip[0] = 0x45;
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	ip[6] = ip[7] = 0;
	sum_ip4_write(ip);
	d->born_ns = 0;
	return ETH_HLEN + total;
}

uint8_t *nat_frag(struct nat_frags *fs, const uint8_t *frame, uint32_t *len, uint64_t now)
{
	struct datagram *d;
	struct frag f;

	if (!parse(frame, *len, &f))
		return NULL;
	d = find(fs, &f, now);
	if (!add(d, &f)) {
		d->born_ns = 0;
		return NULL;
	}
	if (!d->first || d->end == 0 || d->have != (d->end + 7) / 8)
		return NULL;
	*len = finish(d);
	return d->b;
}
