/*
 * nat_large.c - TCP to the guests in pieces as large as the library makes them
 *
 * A segment of 64 KiB costs the library, the switch and a guest that takes
 * large receives hardly more than one of 1460 bytes.  The library makes them
 * if its MTU is large and the guest says that it takes them; so the segment
 * size in a guest's SYN is raised on the way to the library, and what comes
 * back is marked as a large send of the size that the guest did name, to be
 * cut by whoever needs that.  (Of a connection that takes time to come about,
 * libslirp 4.7 forgets what the guest named, so the cut is needed anyway.)
 *
 * The size is remembered by the guest's Ethernet address, as it says how large
 * the guest's frames may be; the last SYN counts.
 *
 * The library's MTU is everybody's, so UDP and ICMP of more than 1500 bytes
 * come in one piece, too, and are cut to fragments here.
 *
 * Spec     [RFC9293] 3.7.1 maximum segment size; [RFC791] 3.2 fragmentation;
 *          [RFC1624] for a checksum changed in place
 * Missing  a size of its own for a connection that names less than its guest's
 *          others; IPv6 datagrams of more than 1500 bytes are dropped
 * Lock     none, the NAT's thread
 */
#include "net/nat_priv.h"
#include "net/sum.h"

#include <string.h>

#define MTU 1500u
#define IP_HLEN 20u
#define IP6_HLEN 40u
#define TCP_HLEN 20u
#define MSS_MIN 216u			/* less makes more headers than data; nobody asks for it */
#define MSS_NONE4 536u			/* of a SYN that names none */
#define MSS_NONE6 1220u

/* Where TCP begins in a frame of either family without more headers between; 0 = it is not TCP. */
static uint32_t tcp_at(const uint8_t *f, uint32_t len)
{
	uint32_t at = 0;

	if (len < ETH_HLEN + IP6_HLEN)
		return 0;
	if (ldbe16(f + 12) == ETH_IP4 && f[ETH_HLEN + 9] == IP_TCP)
		at = ETH_HLEN + (f[ETH_HLEN] & 15) * 4u;
	if (ldbe16(f + 12) == ETH_IP6 && f[ETH_HLEN + 6] == IP_TCP)
		at = ETH_HLEN + IP6_HLEN;
	return at >= ETH_HLEN + IP_HLEN && at + TCP_HLEN <= len ? at : 0;
}

/* The option's value, 2 bytes, in the TCP header at H of N bytes; NULL without. */
static uint8_t *mss_option(uint8_t *h, uint32_t n)
{
	uint32_t end = (h[12] >> 4) * 4u, at = TCP_HLEN;

	if (end > n)
		return NULL;
	while (at + 4 <= end && h[at] != 0) {
		if (h[at] == 2)
			return h[at + 1] == 4 ? h + at + 2 : NULL;
		if (h[at] != 1 && h[at + 1] < 2)
			return NULL;
		at += h[at] == 1 ? 1 : h[at + 1];
	}
	return NULL;
}

/* The entry of a guest; a new one takes the place of the oldest. */
static struct nat_guest *guest_of(struct nat_guests *gs, const uint8_t mac[6], bool make)
{
	struct nat_guest *g;

	for (unsigned i = 0; i < NAT_GUESTS; i++)
		if (gs->g[i].mss4 != 0 && memcmp(gs->g[i].mac, mac, 6) == 0)
			return &gs->g[i];
	if (!make)
		return NULL;
	g = &gs->g[gs->next++ % NAT_GUESTS];
	*g = (struct nat_guest){ .mss4 = MTU - IP_HLEN - TCP_HLEN, .mss6 = MTU - IP6_HLEN - TCP_HLEN };
	memcpy(g->mac, mac, 6);
	return g;
}

/* Writes NEW into the option at MSS of the TCP header at H, whose checksum stays as right as it was. */
static void replace(uint8_t *h, uint8_t *mss, unsigned new)
{
	unsigned old = ldbe16(mss);

	stbe16(mss, new);
	/* ~(~sum + ~old + new), in words as they are when the option lies at an odd byte. */
	if ((mss - h) & 1) {
		old = __builtin_bswap16((uint16_t)old);
		new = __builtin_bswap16((uint16_t)new);
	}
	stbe16(h + 16, ~sum_fold((~ldbe16(h + 16) & 0xffff) + (~old & 0xffff) + new) & 0xffffu);
}

void nat_mss_in(struct nat_guests *gs, uint8_t *frame, uint32_t len)
{
	uint32_t at = tcp_at(frame, len), headers;
	bool v4 = at != 0 && ldbe16(frame + 12) == ETH_IP4;
	unsigned named = v4 ? MSS_NONE4 : MSS_NONE6;
	struct nat_guest *g;
	uint8_t *mss;

	if (at == 0 || !(frame[at + 13] & 2))
		return;
	headers = at - ETH_HLEN + TCP_HLEN;
	mss = mss_option(frame + at, len - at);
	if (mss != NULL) {
		named = (unsigned)min_u64(max_u64(ldbe16(mss), MSS_MIN), NET_MTU_MAX - headers);
		replace(frame + at, mss, NAT_MTU - headers);
	}
	g = guest_of(gs, frame + 6, true);
	*(v4 ? &g->mss4 : &g->mss6) = (uint16_t)named;
}

bool nat_large(struct nat_guests *gs, const uint8_t *frame, uint32_t len, struct net_frame *f)
{
	uint32_t at = tcp_at(frame, len), hlen;
	const struct nat_guest *g;
	unsigned mss;
	bool v4;

	if (at == 0)
		return false;
	v4 = ldbe16(frame + 12) == ETH_IP4;
	hlen = at + (frame[at + 12] >> 4) * 4u;
	g = guest_of(gs, frame, false);
	mss = MTU - (at - ETH_HLEN) - TCP_HLEN;
	if (g != NULL)
		mss = v4 ? g->mss4 : g->mss6;
	if (hlen > len || len - hlen <= mss)
		return false;
	f->flags = FRAME_SUM_TCP | (v4 ? FRAME_LSO4 | FRAME_SUM_IP : FRAME_LSO6);
	f->l4_at = (uint16_t)at;
	f->mss = (uint16_t)mss;
	return true;
}

bool nat_fits(const uint8_t *frame, uint32_t len)
{
	return len <= ETH_HLEN + MTU || tcp_at(frame, len) != 0;
}

bool nat_fragment(struct nat *n, const uint8_t *frame, uint32_t len)
{
	uint8_t b[ETH_HLEN + MTU], *ip = b + ETH_HLEN;
	uint32_t hlen, data, step, m;

	if (len < ETH_HLEN + IP_HLEN || ldbe16(frame + 12) != ETH_IP4)
		return false;
	hlen = (frame[ETH_HLEN] & 15) * 4u;
	if (hlen != IP_HLEN || nat_is_frag(frame, len) || ldbe16(frame + ETH_HLEN + 2) > len - ETH_HLEN ||
	    ldbe16(frame + ETH_HLEN + 2) < hlen)
		return false;
	data = ldbe16(frame + ETH_HLEN + 2) - hlen;
	step = (MTU - IP_HLEN) & ~7u;
	for (uint32_t at = 0; at < data; at += m) {
		m = (uint32_t)min_u64(step, data - at);
		memcpy(b, frame, ETH_HLEN + IP_HLEN);
		memcpy(ip + IP_HLEN, frame + ETH_HLEN + IP_HLEN + at, m);
		stbe16(ip + 2, IP_HLEN + m);
		stbe16(ip + 6, at / 8 | (at + m < data ? 0x2000 : 0));
		sum_ip4_write(ip);
		nat_out_put(n, b, ETH_HLEN + IP_HLEN + m);
	}
	return true;
}
