/*
 * net_rss.c - receive side scaling: which frame goes to which channel
 *
 * The guest gives a key and a table; a frame's addresses and ports, hashed
 * with the key, choose an entry, and that names a channel.  So one flow stays
 * on one channel, in order.
 *
 * Spec     Toeplitz hash as NDIS defines it
 * Missing  hashes over UDP ports and over IPv6 extension headers
 * Lock     nic.lock
 */
#include "syn/net_priv.h"

#define MAX_INPUT 36u			/* two IPv6 addresses, two ports */

_Static_assert(ARRAY_LEN(((struct nic_rss *)0)->lut) == MAX_INPUT, "a table a byte");
_Static_assert(NDIS_RSS_KEY == MAX_INPUT + 4, "the key's window ends with it");

void nic_rss_reset(struct nic *n)
{
	n->rss.on = false;
	n->rss.nr_table = 1;
	n->rss.table[0] = 0;
	n->rss.hash = 0;
}

/* 32 bits of the key from bit AT on. */
static uint32_t window(const uint8_t *key, unsigned at)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 5; i++)
		v = v << 8 | (at / 8 + i < NDIS_RSS_KEY ? key[at / 8 + i] : 0);
	return (uint32_t)(v >> (8 - at % 8));
}

/*
 * What each byte of input adds: that of the byte without its lowest bit, and that bit's.
 * Who delivers frames waits meanwhile, so it must not take long, however often it is asked for.
 */
static void fill_lut(struct nic_rss *r)
{
	for (unsigned i = 0; i < MAX_INPUT; i++) {
		uint32_t of_bit[8];

		for (unsigned bit = 0; bit < 8; bit++)
			of_bit[bit] = window(r->key, i * 8 + 7 - bit);
		r->lut[i][0] = 0;
		for (unsigned b = 1; b < 256; b++)
			r->lut[i][b] = r->lut[i][b & (b - 1)] ^ of_bit[__builtin_ctz(b)];
	}
}

/* SIZE bytes at OFF: all of them in a buffer of TOTAL? */
static bool inside(uint32_t off, uint32_t size, uint32_t total)
{
	return off <= total && size <= total - off;
}

static uint32_t take_table(struct nic *n, const uint8_t *in, uint32_t len,
			   const struct ndis_rss_params *g)
{
	uint32_t bytes = le16_get(g->table_len), off = le32_get(g->table_off), nr = bytes / 4;

	if (bytes % 4 != 0 || nr == 0 || nr > NDIS_RSS_TABLE || (nr & (nr - 1)) != 0 ||
	    !inside(off, bytes, len))
		return NDIS_INVALID_DATA;
	for (uint32_t i = 0; i < nr; i++)
		if (ld32(in + off + 4 * i) > n->max_sub)
			return NDIS_INVALID_DATA;
	for (uint32_t i = 0; i < nr; i++)
		n->rss.table[i] = (uint8_t)ld32(in + off + 4 * i);
	n->rss.nr_table = nr;
	return NDIS_SUCCESS;
}

static uint32_t take_key(struct nic *n, const uint8_t *in, uint32_t len,
			 const struct ndis_rss_params *g)
{
	uint32_t off = le32_get(g->key_off);

	if (le16_get(g->key_len) != NDIS_RSS_KEY || !inside(off, NDIS_RSS_KEY, len))
		return NDIS_INVALID_DATA;
	memcpy(n->rss.key, in + off, NDIS_RSS_KEY);
	fill_lut(&n->rss);
	return NDIS_SUCCESS;
}

uint32_t nic_rss_set(struct nic *n, const uint8_t *in, uint32_t len)
{
	struct ndis_rss_params g;
	uint32_t flags, status = NDIS_SUCCESS;

	if (len < sizeof(g))
		return NDIS_INVALID_LENGTH;
	memcpy(&g, in, sizeof(g));
	flags = le16_get(g.flags);
	if (flags & NDIS_RSS_DISABLE || (!(flags & NDIS_RSS_SAME_HASH) && le32_get(g.hash) == 0)) {
		n->rss.on = false;
		return NDIS_SUCCESS;
	}
	if (!(flags & NDIS_RSS_SAME_HASH))
		n->rss.hash = le32_get(g.hash);
	if (!(n->rss.hash & NDIS_HASH_TOEPLITZ))
		return NDIS_INVALID_DATA;
	if (!(flags & NDIS_RSS_SAME_TABLE))
		status = take_table(n, in, len, &g);
	if (status == NDIS_SUCCESS && !(flags & NDIS_RSS_SAME_KEY))
		status = take_key(n, in, len, &g);
	if (status == NDIS_SUCCESS)
		n->rss.on = true;
	return status;
}

static uint32_t toeplitz(const struct nic_rss *r, const uint8_t *in, uint32_t len)
{
	uint32_t h = 0;

	for (uint32_t i = 0; i < len; i++)
		h ^= r->lut[i][in[i]];
	return h;
}

bool nic_rss_hash(const struct nic *n, const uint8_t *hdr, uint32_t len, uint32_t *ret_hash)
{
	const struct nic_rss *r = &n->rss;
	uint32_t l4, addrs, want, with_ports;
	uint8_t in[MAX_INPUT], proto;

	*ret_hash = 0;
	if (!r->on || len < ETH_HLEN + 20)
		return false;
	if (hdr[12] == 0x08 && hdr[13] == 0x00) {
		bool fragment = ((hdr[20] & 0x3f) | hdr[21]) != 0;

		l4 = ETH_HLEN + (hdr[14] & 15u) * 4;
		proto = fragment ? 0 : hdr[23];
		memcpy(in, hdr + 26, 8);
		addrs = 8;
		want = NDIS_HASH_IPV4;
		with_ports = NDIS_HASH_TCP_IPV4;
	} else if (hdr[12] == 0x86 && hdr[13] == 0xdd && len >= ETH_HLEN + 40) {
		l4 = ETH_HLEN + 40;
		proto = hdr[20];
		memcpy(in, hdr + 22, 32);
		addrs = 32;
		want = NDIS_HASH_IPV6;
		with_ports = NDIS_HASH_TCP_IPV6;
	} else {
		return false;
	}
	if (proto == 6 && r->hash & with_ports && inside(l4, 4, len)) {
		memcpy(in + addrs, hdr + l4, 4);
		addrs += 4;
	} else if (!(r->hash & want)) {
		return false;
	}
	*ret_hash = toeplitz(r, in, addrs);
	return true;
}
