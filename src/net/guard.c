/*
 * guard.c - stations that claim to be what they are not
 *
 * A DHCP client takes an answer by its destination port, whatever the source
 * port says, so either of them gives a server away.  Neighbour discovery in
 * fragments is refused as receivers must, and what cannot be judged is
 * refused because a receiver might see more in it.
 *
 * Spec     [RFC 2131] 4.1, [RFC 8415] 7.2, [RFC 4861] 4, [RFC 6105] RA guard,
 *          [RFC 6980] no fragments, [RFC 7113], [RFC 826], [RFC 5227] probes
 * Missing  learning addresses from DHCP answers; IP source addresses of
 *          other packets are not looked at (an ACL can do that); a router that
 *          redirects, on a port whose addresses are guarded
 * Lock     none
 */
#include "net/guard.h"
#include "base/err.h"

#define MAX_ND_OPTIONS 8

enum {
	ICMP_REDIRECT = 5,
	ICMP_ROUTER_ADVERT = 9,
	ND_FIRST = 133,
	ND_ROUTER_SOLICIT = ND_FIRST,
	ND_ROUTER_ADVERT = 134,
	ND_NEIGHBOR_SOLICIT = 135,
	ND_NEIGHBOR_ADVERT = 136,
	ND_REDIRECT = 137,
	ND_OPT_SOURCE = 1,
	ND_OPT_TARGET = 2,
};

int guard_check(const struct guard_conf *g, struct err *err)
{
	if (g->nr_addr > GUARD_ADDRS)
		return err_set(err, -EINVAL, "a port has at most %u guarded addresses", GUARD_ADDRS);
	for (unsigned i = 0; i < g->nr_addr; i++) {
		const struct guard_addr *a = &g->addrs[i];

		if ((a->family != 4 && a->family != 6) || a->prefix > (a->family == 4 ? 32 : 128))
			return err_set(err, -EINVAL, "guarded address %u is neither IPv4 nor IPv6", i + 1);
	}
	return 0;
}

bool addr_in_prefix(const uint8_t *addr, const uint8_t *net, unsigned prefix)
{
	unsigned whole = prefix / 8, bits = prefix % 8;

	if (memcmp(addr, net, whole) != 0)
		return false;
	return bits == 0 || (addr[whole] ^ net[whole]) >> (8 - bits) == 0;
}

/* Is it one of the port's, or none at all (all zeros)? */
static bool is_own(const struct guard_conf *g, unsigned family, const uint8_t *addr)
{
	static const uint8_t zero[16];

	if (g->nr_addr == 0 || memcmp(addr, zero, family == 4 ? 4 : 16) == 0)
		return true;
	for (unsigned i = 0; i < g->nr_addr; i++)
		if (g->addrs[i].family == family &&
		    addr_in_prefix(addr, g->addrs[i].addr, g->addrs[i].prefix))
			return true;
	return false;
}

static enum drop judge_arp(const struct guard_conf *g, const struct packet *p)
{
	const uint8_t *arp = p->h + p->l3_at;

	return mac_eq(arp + 8, pkt_mac_src(p)) && is_own(g, 4, arp + 14) ? DROP_NOT : DROP_ADDR_SPOOF;
}

/* The options from AT on: hardware addresses in them are the sender's own. */
static enum drop judge_nd_options(const struct packet *p, uint32_t at)
{
	for (unsigned i = 0; at < p->ip_end; i++) {
		const uint8_t *o = p->h + at;

		if (i == MAX_ND_OPTIONS || p->ip_end > p->n || p->ip_end - at < 8 || o[1] == 0 ||
		    o[1] * 8u > p->ip_end - at)
			return DROP_OPAQUE;
		if ((o[0] == ND_OPT_SOURCE || o[0] == ND_OPT_TARGET) &&
		    (o[1] != 1 || !mac_eq(o + 2, pkt_mac_src(p))))
			return DROP_ADDR_SPOOF;
		at += o[1] * 8u;
	}
	return DROP_NOT;
}

static enum drop judge_nd(const struct guard_conf *g, const struct packet *p)
{
	static const uint8_t fixed_len[] = {	/* before the options */
		[ND_ROUTER_SOLICIT - ND_FIRST] = 8, [ND_ROUTER_ADVERT - ND_FIRST] = 16,
		[ND_NEIGHBOR_SOLICIT - ND_FIRST] = 24, [ND_NEIGHBOR_ADVERT - ND_FIRST] = 24,
		[ND_REDIRECT - ND_FIRST] = 40,
	};
	uint32_t fixed = fixed_len[p->sport - ND_FIRST];

	if (p->ip_end - p->l4_at < fixed || p->l4_at + fixed > p->n)
		return DROP_OPAQUE;
	/* All speak for their source address, who advertises itself for the target, too. */
	if (!is_own(g, 6, p->src) ||
	    (p->sport == ND_NEIGHBOR_ADVERT && !is_own(g, 6, p->h + p->l4_at + 8)))
		return DROP_ADDR_SPOOF;
	return judge_nd_options(p, p->l4_at + fixed);
}

static enum drop judge_icmp6(const struct guard_conf *g, const struct packet *p)
{
	if (p->sport < ND_ROUTER_SOLICIT || p->sport > ND_REDIRECT)
		return DROP_NOT;
	if (g->router && (p->sport == ND_ROUTER_ADVERT || p->sport == ND_REDIRECT))
		return DROP_ROUTER_GUARD;
	if (p->what & PKT_FRAG)
		return g->router || g->addr ? DROP_OPAQUE : DROP_NOT;
	return g->addr ? judge_nd(g, p) : DROP_NOT;
}

enum drop guard_judge(const struct guard_conf *g, const struct packet *p)
{
	bool v4 = p->what & PKT_IP4;

	if (!g->dhcp && !g->router && !g->addr)
		return DROP_NOT;
	if (p->what & PKT_OPAQUE)
		return DROP_OPAQUE;
	if ((p->what & PKT_ARP) && g->addr)
		return judge_arp(g, p);
	if (!(p->what & PKT_L4))
		return DROP_NOT;
	if (g->dhcp && p->proto == IP_UDP && (v4 ? p->sport == 67 || p->dport == 68 :
						   p->sport == 547 || p->dport == 546))
		return DROP_DHCP_GUARD;
	if (g->router && v4 && p->proto == IP_ICMP &&
	    (p->sport == ICMP_REDIRECT || p->sport == ICMP_ROUTER_ADVERT))
		return DROP_ROUTER_GUARD;
	if (!v4 && p->proto == IP_ICMP6)
		return judge_icmp6(g, p);
	return DROP_NOT;
}
