/*
 * nat_dest.c - where a guest may not go
 *
 * The library connects to the address that a packet names, on the host, so a
 * packet for 127.0.0.1 would reach what listens on the host's loopback, and
 * so would one for 0.0.0.0, which Linux takes for the same.  No router passes
 * such packets on, and nobody sends one by accident.
 *
 * The addresses of the guests' own network lead to loopback, too, when the
 * library makes a socket for them.  Unless that is wanted, new connections to
 * them are refused here and datagrams dropped.  (The library's own switch for
 * this would also stop the answers of a guest to whom a UDP port of the host is
 * forwarded: to it the asking process of this host is the gateway.  So who asked
 * is remembered, and only that port gets answers.)  DHCP and the name server
 * are the library's and stay.
 *
 * Spec     [RFC1122] 3.2.1.3 (a) and (g); [RFC4291] 2.5.2 to 2.5.5;
 *          [RFC9293] 3.5.2 for the refusal
 * Lock     none, the NAT's thread
 */
#include "net/nat_priv.h"
#include "net/sum.h"

#include <string.h>

#define IP_HLEN 20u
#define IP6_HLEN 40u
#define TCP_HLEN 20u
#define ASKED_NS (300 * NS_PER_SEC)	/* an answer may take so long */

enum { TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

/* Who a packet is for, as far as that matters here. */
struct dest {
	bool v6;
	uint8_t proto;
	const uint8_t *ip, *addr;
	const uint8_t *l4;		/* n bytes of it */
	uint32_t n;
};

/* "This host", and loopback. */
static bool host4(const uint8_t *a)
{
	return a[0] == 0 || a[0] == 127;
}

/* The same in IPv6: :: and ::1, and IPv4 addresses written as IPv6 ones, whichever they are. */
static bool host6(const uint8_t *a)
{
	static const uint8_t zero[10];

	return memcmp(a, zero, sizeof(zero)) == 0 && (ldbe16(a + 10) == 0 || ldbe16(a + 10) == UINT16_MAX);
}

/* Of the guests' network or their wire, or for everybody on it: the library makes loopback of some. */
static bool in_house(const struct nat *n, const struct dest *d)
{
	if (d->v6)
		return memcmp(d->addr, n->gateway6, 8) == 0 || d->addr[0] == 0xff ||
		       (d->addr[0] == 0xfe && (d->addr[1] & 0xc0) == 0x80);
	return ((ldbe32(d->addr) ^ ldbe32(n->gateway4)) & n->mask) == 0 || ldbe32(d->addr) == UINT32_MAX;
}

static bool is_nameserver(const struct nat *n, const struct dest *d)
{
	unsigned at = d->v6 ? 15 : 3, host = d->v6 ? n->gateway6[at] : n->gateway4[at];

	return memcmp(d->addr, d->v6 ? n->gateway6 : n->gateway4, at) == 0 &&
	       d->addr[at] == host - NAT_GATEWAY + NAT_NAMESERVER && d->n >= 4 && ldbe16(d->l4 + 2) == 53;
}

/* Did a process of the host ask from the port that D answers to, by way of the port it answers from? */
static bool was_asked(const struct nat *n, const struct dest *d)
{
	for (unsigned i = 0; i < NAT_ASKED; i++) {
		const struct nat_asked *a = &n->asked[i];

		if (a->when_ns != 0 && a->v6 == d->v6 && a->host == ldbe16(d->l4 + 2) &&
		    a->guest == ldbe16(d->l4) && nat_now(n) - a->when_ns < ASKED_NS)
			return true;
	}
	return false;
}

static bool udp_allowed(const struct nat *n, const struct dest *d)
{
	unsigned port = d->n >= 8 ? ldbe16(d->l4 + 2) : 0;

	/* DHCP, TFTP and DHCPv6 are answered in the house. */
	if (port == 67 || port == 69 || port == 547)
		return true;
	return d->n >= 8 && d->addr[0] != 0xff && was_asked(n, d);
}

/* An end of what the SYN in FRAME would begin. */
static void refuse(struct nat *n, const uint8_t *frame, const struct dest *d)
{
	uint32_t ip_len = d->v6 ? IP6_HLEN : IP_HLEN, alen = d->v6 ? 16 : 4;
	uint8_t b[ETH_HLEN + IP6_HLEN + TCP_HLEN] = { 0 }, *ip = b + ETH_HLEN, *tcp = ip + ip_len;
	uint8_t *addrs = tcp - 2 * alen;

	if (frame[0] & 1 || frame[6] & 1)
		return;
	memcpy(b, frame + 6, 6);
	memcpy(b + 6, frame, 6);
	memcpy(b + 12, frame + 12, 2);
	if (d->v6) {
		ip[0] = 0x60;
		stbe16(ip + 4, TCP_HLEN);
		ip[6] = IP_TCP;
		ip[7] = 64;
	} else {
		ip[0] = 0x45;
		stbe16(ip + 2, IP_HLEN + TCP_HLEN);
		ip[8] = 64;
		ip[9] = IP_TCP;
	}
	memcpy(addrs, d->addr, alen);
	memcpy(addrs + alen, d->addr - alen, alen);
	if (!d->v6)
		sum_ip4_write(ip);
	memcpy(tcp, d->l4 + 2, 2);
	memcpy(tcp + 2, d->l4, 2);
	stbe32(tcp + 8, ldbe32(d->l4 + 4) + 1);
	tcp[12] = 0x50;
	tcp[13] = TCP_RST | TCP_ACK;
	st16(tcp + 16, ~sum_fold(sum_bytes((uint64_t)(TCP_HLEN + IP_TCP) << 8, addrs, 2 * alen + TCP_HLEN, false)) &
		       UINT16_MAX);
	nat_out_put(n, b, ETH_HLEN + ip_len + TCP_HLEN);
}

static bool house_allowed(struct nat *n, const uint8_t *frame, const struct dest *d)
{
	switch (d->proto) {
	case IP_TCP:
		if (d->n >= TCP_HLEN && (d->l4[13] & (TCP_SYN | TCP_ACK)) != TCP_SYN)
			return true;	/* of a connection that there is, or the library says that there is none */
		if (is_nameserver(n, d))
			return true;
		if (d->n >= TCP_HLEN)
			refuse(n, frame, d);
		return false;
	case IP_UDP:
		return is_nameserver(n, d) || udp_allowed(n, d);
	default:
		return true;			/* pings, which it answers itself */
	}
}

bool nat_dest_allowed(struct nat *n, const uint8_t *frame, uint32_t len)
{
	struct dest d = { .ip = frame + ETH_HLEN };
	uint32_t hlen = IP6_HLEN;

	if (ldbe16(frame + 12) == ETH_IP4 && len >= ETH_HLEN + IP_HLEN) {
		d.addr = d.ip + 16;
		d.proto = d.ip[9];
		hlen = (d.ip[0] & 15) * 4u;
		if (hlen < IP_HLEN || hlen > len - ETH_HLEN || host4(d.addr))
			return false;
	} else if (ldbe16(frame + 12) == ETH_IP6 && len >= ETH_HLEN + IP6_HLEN) {
		d.v6 = true;
		d.addr = d.ip + 24;
		d.proto = d.ip[6];
		if (host6(d.addr))
			return false;
	} else {
		return ldbe16(frame + 12) == ETH_ARP;
	}
	d.l4 = d.ip + hlen;
	d.n = len - ETH_HLEN - hlen;
	return n->host_loopback || !in_house(n, &d) || house_allowed(n, frame, &d);
}

static bool is_forwarded(const struct nat *n, uint16_t port)
{
	for (unsigned i = 0; i < n->nr_udp_fwd; i++)
		if (n->udp_fwd[i] == port)
			return true;
	return false;
}

/* Where WHO is remembered, or may be: the place that is oldest. */
static struct nat_asked *asked_place(struct nat *n, const struct nat_asked *who)
{
	struct nat_asked *old = &n->asked[0];

	for (unsigned i = 0; i < NAT_ASKED; i++) {
		struct nat_asked *a = &n->asked[i];

		if (a->v6 == who->v6 && a->host == who->host && a->guest == who->guest)
			return a;
		if (a->when_ns < old->when_ns)
			old = a;
	}
	return old;
}

void nat_dest_out(struct nat *n, const uint8_t *frame, uint32_t len)
{
	bool v6 = ldbe16(frame + 12) == ETH_IP6;
	const uint8_t *ip = frame + ETH_HLEN, *udp = ip + (v6 ? IP6_HLEN : IP_HLEN);
	struct nat_asked who = { .v6 = v6, .when_ns = nat_now(n) };

	if (n->nr_udp_fwd == 0 || len < (uint32_t)(udp + 8 - frame) || (v6 ? ip[6] : ip[9]) != IP_UDP ||
	    memcmp(v6 ? ip + 8 : ip + 12, v6 ? n->gateway6 : n->gateway4, v6 ? 16 : 4) != 0)
		return;
	who.host = ldbe16(udp);
	who.guest = ldbe16(udp + 2);
	if (is_forwarded(n, who.guest))
		*asked_place(n, &who) = who;
}
