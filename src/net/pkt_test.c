#include "base/test.h"

#include "base/le.h"
#include "net/craft.h"
#include "net/pkt.c"

#define A 0x00155d000001
#define B 0x00155d000002

static struct craft c;
static struct packet p;

static bool parse(uint32_t flags)
{
	struct net_frame f = craft_frame(&c, flags);

	f.mss = 1000;
	return pkt_parse(&p, &f, false);
}

static void finds_udp_in_ip4(void **s)
{
	(void)s;
	craft_udp4(&c, B, A, 10);
	CHECK(parse(0));
	CHECK_EQ(p.what, PKT_IP4 | PKT_L4);
	CHECK_EQ(p.l3_at, 14);
	CHECK_EQ(p.l4_at, 34);
	CHECK_EQ(p.hdr_len, 42);
	CHECK_EQ(p.sport, 1000);
	CHECK_EQ(p.dport, 2000);
	CHECK_EQ(p.proto, IP_UDP);
	CHECK_EQ(p.ip_end, 52);
	CHECK_EQ(p.src[3], 1);
	CHECK_EQ(pkt_wire_len(&p), 52);
}

static void finds_tcp_behind_tags_and_extension_headers(void **s)
{
	(void)s;
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, 60);
	craft_ip6_ext(&c, 60);
	craft_ip6_ext(&c, IP_TCP);
	craft_tcp(&c, 5, 6, 2);
	craft_done(&c);
	CHECK(parse(0));
	CHECK_EQ(p.what, PKT_IP6 | PKT_L4);
	CHECK_EQ(p.dport, 6);
	CHECK_EQ(p.l4_at, 14 + 40 + 16);
	craft_tag(&c, ETH_TAG, 0);
	craft_tag(&c, ETH_STAG, 5);
	craft_tag(&c, ETH_TAG, 0x2007);
	CHECK(parse(0));
	CHECK_EQ(p.tci, 0x2007);
	CHECK_EQ(p.flags, FRAME_TAGGED);
	CHECK_EQ(p.what, PKT_IP6 | PKT_L4 | PKT_TAGS);
	CHECK_EQ(p.len, c.n - 4);
	CHECK_EQ(p.dport, 6);
	craft_tag(&c, ETH_STAG, 5);		/* the outermost stays, so three are inside */
	CHECK(parse(0));
	CHECK_EQ(p.what, PKT_OPAQUE | PKT_TAGS);
}

/* IEEE 802.3: a length, an LLC header, perhaps with the Ethernet type behind it. */
static void what_hides_behind_llc_is_opaque(void **s)
{
	static const struct { uint16_t type; uint8_t llc[8]; bool opaque; } row[] = {
		{ 38, { 0xaa, 0xaa, 3, 0, 0, 0, 8, 0 }, true }, { 38, { 0xaa, 0xaa, 3, 0, 0, 0xf8, 0x86, 0xdd }, true },
		{ 38, { 0xab, 0xaa, 3, 0, 0, 0, 0x81, 0 }, true }, { 9999, { 0xaa, 0xaa, 3, 0, 0, 0, 8, 0 }, false },
		{ 0x5ff, { 0xaa, 0xaa, 3, 0, 0, 0, 8, 6 }, true }, { 0, { 6, 6, 3 }, true },
		{ 38, { 0x42, 0x42, 3 }, false }, { 38, { 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0 }, false },
		{ 38, { 0xf0, 0xf0, 3 }, false },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		craft_eth(&c, B, A, row[i].type);
		craft_bytes(&c, row[i].llc, 8);
		craft_bytes(&c, NULL, 38);
		CHECK(parse(0));
		CHECK_EQ(p.what, row[i].opaque ? PKT_OPAQUE : 0);
	}
	craft_eth(&c, B, A, 38);
	craft_bytes(&c, row[0].llc, 7);			/* cut off where it would say what it is */
	CHECK(parse(0));
	CHECK_EQ(p.what, PKT_OPAQUE);
}

/* Cut a good packet at every length: it never is taken for whole, nor read beyond. */
static void a_packet_that_is_cut_off_is_opaque(void **s)
{
	uint32_t n;

	(void)s;
	craft_udp4(&c, B, A, 0);
	n = c.n;
	for (c.n = 0; c.n < ETH_HLEN; c.n++)
		CHECK(!parse(0));
	for (; c.n < n; c.n++) {
		CHECK(parse(0));
		CHECK(p.what & PKT_OPAQUE);
	}
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, 60);
	craft_ip6_ext(&c, IP_TCP);
	craft_tcp(&c, 5, 6, 2);
	craft_done(&c);
	n = c.n;
	for (c.n = ETH_HLEN; c.n < n; c.n++) {
		CHECK(parse(0));
		CHECK(p.what & PKT_OPAQUE);
	}
	craft_arp(&c, B, A, 1, 1, 2);
	CHECK(parse(0) && p.what == PKT_ARP);
	c.n = ETH_HLEN + 27;
	CHECK(parse(0) && p.what == PKT_OPAQUE);
}

static void contradictions_are_opaque(void **s)
{
	static const struct { uint32_t at; uint8_t v; } row[] = {
		{ 14, 0x44 }, { 14, 0x65 }, { 14, 0x4f },	/* header length, version, beyond the end */
		{ 17, 19 }, { 16, 0xff },			/* total length */
		{ 46, 0x40 }, { 46, 0xf0 },			/* TCP's header length */
		{ 21, 1 },					/* offset 8: inside the TCP header */
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		craft_eth(&c, B, A, ETH_IP4);
		craft_ip4(&c, 1, 2, IP_TCP);
		craft_tcp(&c, 1, 2, 0);
		craft_bytes(&c, NULL, 4);
		craft_done(&c);
		CHECK(parse(0) && p.what == (PKT_IP4 | PKT_L4));
		c.b[row[i].at] = row[i].v;
		CHECK(parse(0));
		CHECK(p.what & PKT_OPAQUE);
		CHECK(!(p.what & PKT_L4));
	}
}

static void fragments_have_ports_only_in_the_first(void **s)
{
	(void)s;
	craft_udp4(&c, B, A, 100);
	c.b[20] = 0x20;
	CHECK(parse(0));
	CHECK_EQ(p.what, PKT_IP4 | PKT_FRAG | PKT_L4);
	c.b[21] = 0x10;
	CHECK(parse(0));
	CHECK_EQ(p.what, PKT_IP4 | PKT_FRAG | PKT_LATER);
	CHECK_EQ(p.dport, 0);
	CHECK(!parse(FRAME_SUM_UDP));
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, 44);
	craft_ip6_ext(&c, IP_UDP);
	c.b[c.l4 - 6] = 0x05;			/* the 8 bytes are now a fragment header */
	craft_udp(&c, 1, 2);
	CHECK_EQ(c.l4, 62);
	craft_done(&c);
	CHECK(parse(0));
	CHECK_EQ(p.what, PKT_IP6 | PKT_FRAG | PKT_LATER);
	CHECK_EQ(p.proto, IP_UDP);
}

static void claims_must_fit_the_headers(void **s)
{
	struct net_frame f;

	(void)s;
	craft_udp4(&c, B, A, 2000);
	CHECK(parse(FRAME_SUM_UDP));
	CHECK(parse(FRAME_SUM_UDP | FRAME_SUM_IP));
	CHECK(!parse(FRAME_SUM_TCP));
	CHECK(!parse(FRAME_SUM_UDP | FRAME_SUM_TCP));
	CHECK(!parse(FRAME_LSO4));
	f = craft_frame(&c, FRAME_SUM_UDP);
	f.l4_at++;
	CHECK(!pkt_parse(&p, &f, false));
	f.l4_at = 0;
	CHECK(!pkt_parse(&p, &f, false));
	craft_eth(&c, B, A, ETH_IP6);
	craft_ip6(&c, 1, 2, IP_TCP);
	craft_tcp(&c, 1, 2, 0);
	craft_bytes(&c, NULL, 3000);
	CHECK(parse(FRAME_LSO6 | FRAME_SUM_TCP));
	CHECK_EQ(ldbe16(p.h + 18), 3020);
	CHECK_EQ(pkt_wire_len(&p), 3 * 74 + 3000);
	CHECK(!parse(FRAME_LSO4 | FRAME_SUM_TCP));
	CHECK(!parse(FRAME_LSO4 | FRAME_LSO6));
	CHECK(!parse(FRAME_SUM_IP));
	f = craft_frame(&c, FRAME_LSO6);
	for (f.mss = 0; f.mss < PKT_MSS_MIN; f.mss++)
		CHECK(!pkt_parse(&p, &f, false));
	c.n -= 2500;				/* a large send of one segment is none */
	CHECK(parse(FRAME_LSO6));
	CHECK_EQ(p.flags, FRAME_SUM_TCP);
}

static void no_guest_vouches_for_its_own_checksums(void **s)
{
	struct net_frame f;

	(void)s;
	craft_udp4(&c, B, A, 20);
	CHECK(parse(FRAME_SUM_OK));
	CHECK_EQ(p.flags, 0);
	f = craft_frame(&c, FRAME_SUM_OK);
	CHECK(pkt_parse(&p, &f, true));
	CHECK_EQ(p.flags, FRAME_SUM_OK);
	f.flags |= FRAME_SUM_UDP;
	CHECK(pkt_parse(&p, &f, true));
	CHECK_EQ(p.flags, FRAME_SUM_UDP);
}

static void sizes_have_limits(void **s)
{
	struct iovec many[NET_IOV_MAX + 1];
	struct net_frame f;

	(void)s;
	craft_eth(&c, B, A, ETH_IP4);
	craft_ip4(&c, 1, 2, IP_TCP);
	craft_tcp(&c, 1, 2, 0);
	craft_bytes(&c, NULL, NET_FRAME_MAX - 54);
	craft_done(&c);
	CHECK(parse(0));
	craft_bytes(&c, NULL, 1);
	CHECK(!parse(0));
	CHECK(parse(FRAME_LSO4));
	craft_bytes(&c, NULL, NET_LSO_MAX - c.n);
	CHECK(parse(FRAME_LSO4));
	craft_bytes(&c, NULL, 1);
	CHECK(!parse(FRAME_LSO4));
	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct iovec){ c.b + i, 1 };
	f = (struct net_frame){ .iov = many, .nr_iov = NET_IOV_MAX, .len = NET_IOV_MAX };
	CHECK(pkt_parse(&p, &f, false));
	f.nr_iov = f.len = NET_IOV_MAX + 1;
	CHECK(!pkt_parse(&p, &f, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_udp_in_ip4),
		cmocka_unit_test(finds_tcp_behind_tags_and_extension_headers),
		cmocka_unit_test(what_hides_behind_llc_is_opaque),
		cmocka_unit_test(a_packet_that_is_cut_off_is_opaque),
		cmocka_unit_test(contradictions_are_opaque),
		cmocka_unit_test(fragments_have_ports_only_in_the_first),
		cmocka_unit_test(claims_must_fit_the_headers),
		cmocka_unit_test(no_guest_vouches_for_its_own_checksums),
		cmocka_unit_test(sizes_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
