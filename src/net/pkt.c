/*
 * pkt.c - the headers of one frame, copied once and understood
 *
 * A frame that a receiver may read differently from us is the way around
 * every policy, so whatever is cut off, contradicts itself or nests deeper
 * than we follow is marked opaque, and ports with a policy on content refuse
 * it.  Tags further in are skipped, because receivers skip them.  IP and ARP
 * behind LLC (IEEE 802.3 with a length instead of a type) are opaque, as some
 * receivers take them: that was a way around such policies in many switches.
 *
 * Spec     [802.1Q] 9, [RFC 791], [RFC 8200] 4, [RFC 9293], [RFC 768],
 *          [RFC 826], [RFC 1858] and [RFC 7112] on small fragments
 * Missing  tunnels (what is inside is payload)
 * Lock     none
 */
#include "net/pkt.h"
#include "base/le.h"
#include "net/sum.h"

#define TAG_LEN 4u
#define ETH_TYPES 0x0600u	/* below it is a length, or nothing */
#define MAX_INNER_TAGS 2
#define MAX_EXT_HDRS 8
#define FRAME_ALL (FRAME_TAGGED | FRAME_SUM_IP | FRAME_SUM_L4 | FRAME_SUM_OK | FRAME_LSO)

static void pkt_opaque(struct packet *p)
{
	p->what |= PKT_OPAQUE;
}

/* The headers of L4 that are no longer than what the IP packet and our copy hold. */
static void parse_l4(struct packet *p, uint32_t at)
{
	uint32_t end = (uint32_t)min_u64(p->n, p->ip_end), n;
	const uint8_t *l4 = p->h + at;

	if (p->what & PKT_LATER)
		return;
	switch (p->proto) {
	case IP_TCP: n = 20; break;
	case IP_UDP: n = 8; break;
	case IP_ICMP: case IP_ICMP6: n = 4; break;
	default: return;
	}
	if (at > end || n > end - at)
		return pkt_opaque(p);
	if (p->proto == IP_TCP) {
		n = (l4[12] >> 4) * 4u;
		if (n < 20 || n > end - at)
			return pkt_opaque(p);
	}
	if (p->proto == IP_TCP || p->proto == IP_UDP) {
		p->sport = ldbe16(l4);
		p->dport = ldbe16(l4 + 2);
	} else {
		p->sport = l4[0];
		p->dport = l4[1];
	}
	p->l4_at = (uint16_t)at;
	p->hdr_len = (uint16_t)(at + n);
	p->what |= PKT_L4;
}

static void parse_ip4(struct packet *p)
{
	const uint8_t *ip = p->h + p->l3_at;
	uint32_t room = p->n - p->l3_at, ihl, total, frag;

	if (room < 20 || ip[0] >> 4 != 4)
		return pkt_opaque(p);
	ihl = (ip[0] & 15) * 4u;
	total = ldbe16(ip + 2);
	if (p->flags & FRAME_LSO)
		total = p->len - p->l3_at;
	if (ihl < 20 || ihl > room || total < ihl || total > p->len - p->l3_at)
		return pkt_opaque(p);
	frag = ldbe16(ip + 6);
	p->what |= PKT_IP4;
	if (frag & 0x3fff)
		p->what |= PKT_FRAG;
	if (frag & 0x1fff)
		p->what |= PKT_LATER;
	p->proto = ip[9];
	p->ttl = ip[8];
	p->src = ip + 12;
	p->dst = ip + 16;
	p->ip_end = p->l3_at + total;
	/* A fragment so early that it changes the header another one carried. */
	if ((frag & 0x1fff) == 1 && p->proto == IP_TCP)
		return pkt_opaque(p);
	parse_l4(p, p->l3_at + ihl);
}

/* One extension header at AT: its length, 0 when HDR is none, or beyond END. */
static uint32_t ext_len(struct packet *p, uint8_t hdr, uint32_t at, uint32_t end)
{
	const uint8_t *e = p->h + at;

	switch (hdr) {
	case 0: case 43: case 60: case 135: case 139: case 140:
		return end - at < 8 ? end + 1 : (e[1] + 1u) * 8;
	case 51:
		return end - at < 8 ? end + 1 : (e[1] + 2u) * 4;
	case 44:
		if (end - at < 8)
			return end + 1;
		if (ldbe16(e + 2) & 0xfff9)
			p->what |= PKT_FRAG;
		if (ldbe16(e + 2) & 0xfff8)
			p->what |= PKT_LATER;
		return 8;
	default:
		return 0;
	}
}

static void parse_ip6(struct packet *p)
{
	const uint8_t *ip = p->h + p->l3_at;
	uint32_t at = p->l3_at + 40u, end, plen, n;
	uint8_t hdr;

	if (p->n < at || ip[0] >> 4 != 6)
		return pkt_opaque(p);
	plen = ldbe16(ip + 4);
	if (p->flags & FRAME_LSO)
		plen = p->len - at;
	if (plen > p->len - at)
		return pkt_opaque(p);
	p->what |= PKT_IP6;
	p->ttl = ip[7];
	p->src = ip + 8;
	p->dst = ip + 24;
	p->ip_end = at + plen;
	end = (uint32_t)min_u64(p->n, p->ip_end);
	hdr = ip[6];
	for (unsigned i = 0; !(p->what & PKT_LATER) && (n = ext_len(p, hdr, at, end)) != 0; i++) {
		if (i == MAX_EXT_HDRS || n > end - at)
			return pkt_opaque(p);
		hdr = p->h[at];
		at += n;
	}
	p->proto = hdr;
	parse_l4(p, at);
}

/* May somebody see IP, ARP or a tag behind the LLC header at AT? */
static bool llc_hides(const struct packet *p, uint32_t at)
{
	static const uint8_t plain[3], tunnel[3] = { 0x00, 0x00, 0xf8 };	/* organizations: [RFC1042], [802.1H] */
	const uint8_t *llc = p->h + at;
	uint32_t n = p->n - at;

	if (n < 3 || (llc[0] & 0xfe) == 0x06)		/* cut off, or the point of access for IP */
		return true;
	if ((llc[0] & 0xfe) != 0xaa || (llc[1] & 0xfe) != 0xaa)
		return false;
	return n < 8 || memcmp(llc + 3, plain, 3) == 0 || memcmp(llc + 3, tunnel, 3) == 0;
}

static void parse_l3(struct packet *p)
{
	uint32_t at = ETH_HLEN;

	p->type = ldbe16(p->h + 12);
	if (p->type == ETH_TAG || p->type == ETH_STAG)
		p->what |= PKT_TAGS;
	for (unsigned i = 0; p->type == ETH_TAG || p->type == ETH_STAG; i++) {
		if (i == MAX_INNER_TAGS || p->n - at < TAG_LEN)
			return pkt_opaque(p);
		p->type = ldbe16(p->h + at + 2);
		at += TAG_LEN;
	}
	p->l3_at = (uint16_t)at;
	if (p->type < ETH_TYPES && llc_hides(p, at))
		return pkt_opaque(p);
	if (p->type == ETH_IP4)
		return parse_ip4(p);
	if (p->type == ETH_IP6)
		return parse_ip6(p);
	if (p->type == ETH_ARP) {
		static const uint8_t ether_ip4[6] = { 0, 1, 8, 0, 6, 4 };

		if (p->n - at < 28 || memcmp(p->h + at, ether_ip4, 6) != 0)
			return pkt_opaque(p);
		p->what |= PKT_ARP;
	}
}

/* Copies the headers; the outermost tag goes from the bytes to its place. */
static bool take_bytes(struct packet *p, const struct net_frame *f)
{
	bool in_bytes = false;
	uint8_t l2[ETH_HLEN + TAG_LEN];
	uint32_t skip = 0;

	if (f->len < ETH_HLEN || f->len > NET_LSO_MAX + TAG_LEN || f->nr_iov > NET_IOV_MAX)
		return false;
	if (f->len >= sizeof(l2) && !(f->flags & FRAME_TAGGED)) {
		if (!frame_copy(f, 0, l2, sizeof(l2)))
			return false;
		in_bytes = ldbe16(l2 + 12) == ETH_TAG;
	}
	p->flags = f->flags & FRAME_ALL;
	p->tci = f->tci;
	if (in_bytes) {
		skip = TAG_LEN;
		p->tci = ldbe16(l2 + 14);
		p->flags |= FRAME_TAGGED;
	}
	p->len = f->len - skip;
	p->n = (uint32_t)min_u64(p->len, PKT_HDR_MAX);
	if (!frame_copy(f, skip, p->h, p->n))
		return false;
	if (in_bytes)
		memcpy(p->h, l2, 12);
	p->nr_rest = frame_slice(f, p->n + skip, p->rest);
	return true;
}

/* Do its flags fit its headers?  Then the fields that belong to them get their values. */
static bool check_claims(struct packet *p, const struct net_frame *f)
{
	uint32_t l4_at = f->l4_at - (f->len - p->len), l4_len;
	bool tcp = p->flags & FRAME_SUM_TCP;

	if ((p->flags & FRAME_SUM_IP) && (p->what & (PKT_IP4 | PKT_OPAQUE)) != PKT_IP4)
		return false;
	if (!(p->flags & FRAME_SUM_L4))
		return true;
	if ((p->what & (PKT_L4 | PKT_FRAG | PKT_OPAQUE)) != PKT_L4 || p->l4_at != l4_at ||
	    p->proto != (tcp ? IP_TCP : IP_UDP) || (tcp && (p->flags & FRAME_SUM_UDP)))
		return false;
	l4_len = p->ip_end - p->l4_at;
	st16(p->h + p->l4_at + (tcp ? 16 : 6), sum_fold(sum_pseudo(p, l4_len)));
	return true;
}

/* A large send is TCP over the family it says, and ends where the frame ends. */
static bool check_lso(struct packet *p, const struct net_frame *f)
{
	uint16_t family = p->flags & FRAME_LSO4 ? PKT_IP4 : PKT_IP6;
	be16 n;

	if ((p->flags & FRAME_LSO) == FRAME_LSO || !(p->what & family) || f->mss < PKT_MSS_MIN ||
	    p->len - p->l3_at > 65535)
		return false;
	p->flags |= FRAME_SUM_TCP | (family == PKT_IP4 ? FRAME_SUM_IP : 0);
	p->mss = f->mss;
	n = be16_of((uint16_t)(p->len - p->l3_at - (family == PKT_IP4 ? 0 : 40)));
	memcpy(p->h + p->l3_at + (family == PKT_IP4 ? 2 : 4), n.b, 2);
	return true;
}

bool pkt_parse(struct packet *p, const struct net_frame *f, bool trusted)
{
	memset(p, 0, offsetof(struct packet, h));
	if (!take_bytes(p, f))
		return false;
	if (!(p->flags & FRAME_LSO) && p->len > NET_FRAME_MAX)
		return false;
	parse_l3(p);
	if ((p->flags & FRAME_LSO) && !check_lso(p, f))
		return false;
	if (!trusted || (p->flags & (FRAME_SUM_IP | FRAME_SUM_L4)))
		p->flags &= ~(uint32_t)FRAME_SUM_OK;
	if (!check_claims(p, f))
		return false;
	if ((p->flags & FRAME_LSO) && p->len - p->hdr_len <= p->mss)
		p->flags &= ~(uint32_t)FRAME_LSO;
	return p->len <= NET_FRAME_MAX || (p->flags & FRAME_LSO);
}

uint64_t pkt_wire_len(const struct packet *p)
{
	uint64_t data = p->len - p->hdr_len;

	if (!(p->flags & FRAME_LSO))
		return p->len;
	return data + (data + p->mss - 1) / p->mss * p->hdr_len;
}
