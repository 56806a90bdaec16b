#include "base/test.h"

#include "net/craft.h"
#include "net/guard.c"

#define A UINT64_C(0x00155d000001)
#define B UINT64_C(0x00155d000002)

static struct craft c;
static struct guard_conf g;

static enum drop judge(void)
{
	struct net_frame f = craft_frame(&c, 0);
	struct packet p;

	CHECK(pkt_parse(&p, &f, false));
	return guard_judge(&g, &p);
}

static void udp(unsigned family, uint16_t sport, uint16_t dport)
{
	craft_eth(&c, B, A, family == 4 ? ETH_IP4 : ETH_IP6);
	if (family == 4)
		craft_ip4(&c, 0x0a000001, 0xffffffff, IP_UDP);
	else
		craft_ip6(&c, 1, 2, IP_UDP);
	craft_udp(&c, sport, dport);
	craft_bytes(&c, NULL, 300);
	craft_done(&c);
}

static void icmp6(uint8_t type, const char *rest, uint32_t n)
{
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, IP_ICMP6);
	craft_icmp(&c, type, 0);
	craft_bytes(&c, rest, n);
	craft_done(&c);
}

static void nothing_is_guarded_by_default(void **s)
{
	(void)s;
	g = (struct guard_conf){ 0 };
	udp(4, 67, 68);
	CHECK_EQ(judge(), DROP_NOT);
	icmp6(134, "12345678", 8);
	CHECK_EQ(judge(), DROP_NOT);
	c.n = 40;
	CHECK_EQ(judge(), DROP_NOT);		/* cut off, but there is nothing to judge */
}

static void dhcp_servers_are_silent_and_clients_are_not(void **s)
{
	static const struct { unsigned family; uint16_t sport, dport; enum drop why; } row[] = {
		{ 4, 68, 67, DROP_NOT }, { 4, 67, 68, DROP_DHCP_GUARD }, { 4, 67, 67, DROP_DHCP_GUARD },
		{ 4, 999, 68, DROP_DHCP_GUARD }, { 4, 999, 67, DROP_NOT }, { 4, 53, 53, DROP_NOT },
		{ 4, 547, 546, DROP_NOT },
		{ 6, 546, 547, DROP_NOT }, { 6, 547, 546, DROP_DHCP_GUARD }, { 6, 999, 546, DROP_DHCP_GUARD },
		{ 6, 547, 999, DROP_DHCP_GUARD }, { 6, 67, 68, DROP_NOT },
	};

	(void)s;
	g = (struct guard_conf){ .dhcp = true };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		udp(row[i].family, row[i].sport, row[i].dport);
		CHECK_EQ(judge(), row[i].why);
		craft_tag(&c, 0x8100, 0);	/* behind tags too */
		CHECK_EQ(judge(), row[i].why);
	}
	udp(4, 67, 68);
	c.b[23] = IP_TCP;			/* the same ports are nobody's business in TCP */
	c.b[46] = 0x50;
	CHECK_EQ(judge(), DROP_NOT);
	/* The ports in a second fragment: what cannot be read does not pass. */
	udp(4, 67, 68);
	c.b[20] = 0x20;
	c.n = 14 + 20 + 7;
	c.b[17] = 27;
	CHECK_EQ(judge(), DROP_OPAQUE);
}

static void routers_are_silent(void **s)
{
	(void)s;
	g = (struct guard_conf){ .router = true };
	for (int type = 0; type < 256; type++) {
		icmp6((uint8_t)type, "12345678901234567890", 20);
		CHECK_EQ(judge(), type == 134 || type == 137 ? DROP_ROUTER_GUARD : DROP_NOT);
		craft_eth(&c, B, A, ETH_IP4);
		craft_ip4(&c, 1, 2, IP_ICMP);
		craft_icmp(&c, (uint8_t)type, 0);
		craft_done(&c);
		CHECK_EQ(judge(), type == 5 || type == 9 ? DROP_ROUTER_GUARD : DROP_NOT);
	}
	/* Behind extension headers; in fragments; behind more headers than we follow. */
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, 60);
	for (unsigned i = 0; i < 7; i++)
		craft_ip6_ext(&c, 60);
	craft_ip6_ext(&c, IP_ICMP6);
	craft_icmp(&c, 134, 0);
	craft_done(&c);
	CHECK_EQ(judge(), DROP_ROUTER_GUARD);
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, 60);
	for (unsigned i = 0; i < 8; i++)
		craft_ip6_ext(&c, 60);
	craft_ip6_ext(&c, IP_ICMP6);
	craft_icmp(&c, 134, 0);
	craft_done(&c);
	CHECK_EQ(judge(), DROP_OPAQUE);
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, 44);
	craft_ip6_ext(&c, IP_ICMP6);
	c.b[56] = 0;
	c.b[57] = 1;				/* first of several fragments */
	craft_icmp(&c, 133, 0);
	craft_done(&c);
	CHECK_EQ(judge(), DROP_OPAQUE);
}

static void arp_is_for_ones_own_address(void **s)
{
	(void)s;
	g = (struct guard_conf){ .addr = true };
	craft_arp(&c, UINT64_C(0xffffffffffff), A, 1, 0x0a000001, 0x0a000002);
	CHECK_EQ(judge(), DROP_NOT);
	c.b[14 + 13]++;				/* another hardware address inside */
	CHECK_EQ(judge(), DROP_ADDR_SPOOF);
	g.nr_addr = 1;
	g.addrs[0] = (struct guard_addr){ 4, 30, { 10, 0, 0, 4 } };
	for (uint32_t i = 0; i < 16; i++) {
		craft_arp(&c, B, A, 2, 0x0a000000 + i, 1);
		CHECK_EQ(judge(), i / 4 == 1 ? DROP_NOT : DROP_ADDR_SPOOF);
	}
	craft_arp(&c, UINT64_C(0xffffffffffff), A, 1, 0, 0x0a000009);	/* a probe */
	CHECK_EQ(judge(), DROP_NOT);
	c.b[14 + 1] = 6;			/* another hardware type */
	CHECK_EQ(judge(), DROP_OPAQUE);
	udp(4, 1, 2);				/* is not ARP */
	CHECK_EQ(judge(), DROP_NOT);
}

/* ND's target 2001:db8::N with a hardware address option of type OPT. */
static void nd(uint8_t type, uint8_t n, uint8_t opt, uint64_t mac)
{
	uint8_t b[24] = { 0x20, 0x01, 0x0d, 0xb8, [15] = n, [16] = opt, [17] = 1 };

	for (unsigned i = 0; i < 6; i++)
		b[18 + i] = (uint8_t)(mac >> (40 - 8 * i));
	icmp6(type, (const char *)b, 24);
}

static void nd_is_for_ones_own_address(void **s)
{
	(void)s;
	g = (struct guard_conf){ .addr = true };
	nd(136, 7, 2, A);
	CHECK_EQ(judge(), DROP_NOT);
	nd(136, 7, 2, B);
	CHECK_EQ(judge(), DROP_ADDR_SPOOF);
	nd(135, 7, 1, B);
	CHECK_EQ(judge(), DROP_ADDR_SPOOF);
	nd(135, 7, 99, B);			/* an option that carries no address */
	CHECK_EQ(judge(), DROP_NOT);
	g.nr_addr = 1;
	g.addrs[0] = (struct guard_addr){ 6, 128, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	nd(136, 1, 2, A);
	CHECK_EQ(judge(), DROP_NOT);
	nd(136, 2, 2, A);
	CHECK_EQ(judge(), DROP_ADDR_SPOOF);
	nd(135, 2, 1, A);			/* it asks for another's, from its own */
	CHECK_EQ(judge(), DROP_NOT);
	c.b[14 + 8 + 15] = 5;
	CHECK_EQ(judge(), DROP_ADDR_SPOOF);
	memset(c.b + 14 + 8, 0, 16);		/* duplicate address detection */
	CHECK_EQ(judge(), DROP_NOT);
	nd(136, 1, 2, A);
	c.b[14 + 40 + 25] = 0;			/* an option of no length */
	CHECK_EQ(judge(), DROP_OPAQUE);
	c.b[14 + 40 + 25] = 2;			/* one beyond the end */
	CHECK_EQ(judge(), DROP_OPAQUE);
	icmp6(136, "12345678", 8);		/* no target */
	CHECK_EQ(judge(), DROP_OPAQUE);
	icmp6(128, "12345678", 8);		/* ping */
	CHECK_EQ(judge(), DROP_NOT);
}

/* Routers, where only addresses are guarded: they, too, say where somebody is. */
static void router_messages_do_not_name_other_stations(void **s)
{
	uint8_t ra[16] = { 64, 0, 0x07, 0x08, [8] = 1, 1 }, redirect[48] = { [40 - 8] = 0 };
	const uint64_t macs[] = { A, B };

	(void)s;
	for (unsigned k = 0; k < 2; k++) {
		g = (struct guard_conf){ .addr = true };
		for (unsigned i = 0; i < 6; i++)
			ra[10 + i] = (uint8_t)(macs[k] >> (40 - 8 * i));
		icmp6(134, (const char *)ra + 0, 16);
		/* craft_icmp makes 8 bytes of header: the option begins 8 bytes further on. */
		CHECK_EQ(judge(), k == 0 ? DROP_NOT : DROP_ADDR_SPOOF);
		redirect[32] = 2;
		redirect[33] = 1;
		for (unsigned i = 0; i < 6; i++)
			redirect[34 + i] = (uint8_t)(macs[k] >> (40 - 8 * i));
		icmp6(137, (const char *)redirect, 40);
		CHECK_EQ(judge(), k == 0 ? DROP_NOT : DROP_ADDR_SPOOF);
		g.nr_addr = 1;
		g.addrs[0] = (struct guard_addr){ 6, 128, { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 } };
		CHECK_EQ(judge(), DROP_ADDR_SPOOF);	/* from an address that is another's */
		g.addrs[0].addr[15] = 1;
		CHECK_EQ(judge(), k == 0 ? DROP_NOT : DROP_ADDR_SPOOF);
	}
	icmp6(134, "12345678", 7);		/* cut off */
	CHECK_EQ(judge(), DROP_OPAQUE);
}

static void prefixes_count_bits(void **s)
{
	static const uint8_t a[4] = { 10, 0, 0xff, 1 }, b[4] = { 10, 0, 0xf0, 1 };

	(void)s;
	for (unsigned n = 0; n <= 32; n++)
		CHECK_EQ(addr_in_prefix(a, b, n), n <= 20);
	g = (struct guard_conf){ .nr_addr = GUARD_ADDRS + 1 };
	CHECK_EQ(guard_check(&g, NULL), -EINVAL);
	g = (struct guard_conf){ .nr_addr = 1, .addrs[0] = { 4, 33, { 0 } } };
	CHECK_EQ(guard_check(&g, NULL), -EINVAL);
	g.addrs[0].family = 6;
	CHECK_EQ(guard_check(&g, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_guarded_by_default),
		cmocka_unit_test(dhcp_servers_are_silent_and_clients_are_not),
		cmocka_unit_test(routers_are_silent),
		cmocka_unit_test(arp_is_for_ones_own_address),
		cmocka_unit_test(nd_is_for_ones_own_address),
		cmocka_unit_test(router_messages_do_not_name_other_stations),
		cmocka_unit_test(prefixes_count_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
