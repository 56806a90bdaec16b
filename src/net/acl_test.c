#include "base/test.h"

#include "net/craft.h"
#include "net/acl.c"

#define A UINT64_C(0x00155d000001)	/* the port's side; 10.0.0.1, 2001:db8::1 */
#define B UINT64_C(0x00155d000002)	/* remote; 10.0.0.2, 2001:db8::2 */

static struct craft c;
static struct acl_hits hits;

static bool judge(struct acl *a, unsigned dir, uint64_t now)
{
	struct net_frame f = craft_frame(&c, 0);
	struct packet p;
	bool pass;

	CHECK(pkt_parse(&p, &f, false));
	pass = acl_judge(a, dir, &p, now, &hits);
	acl_count(a, &hits, p.len);
	return pass;
}

/* A packet in direction DIR; the ports as local and remote. */
static void packet(unsigned dir, unsigned family, uint8_t proto, uint16_t lport, uint16_t rport)
{
	bool out = dir == ACL_OUT;

	craft_eth(&c, out ? B : A, out ? A : B, family == 4 ? ETH_IP4 : ETH_IP6);
	if (family == 4)
		craft_ip4(&c, out ? 0x0a000001 : 0x0a000002, out ? 0x0a000002 : 0x0a000001, proto);
	else
		craft_ip6(&c, out ? 1 : 2, out ? 2 : 1, proto);
	if (proto == IP_TCP)
		craft_tcp(&c, out ? lport : rport, out ? rport : lport, 2);
	else if (proto == IP_UDP)
		craft_udp(&c, out ? lport : rport, out ? rport : lport);
	else
		craft_icmp(&c, 8, 0);
	craft_bytes(&c, NULL, 20);
	craft_done(&c);
}

static struct acl *acl_of(const struct acl_rule *r, unsigned nr)
{
	struct acl *a = NULL;
	struct err err;
	int rc = acl_new(r, nr, &a, &err);

	if (rc != 0)
		print_error("%s\n", err.msg);
	CHECK_EQ(rc, 0);
	return a;
}

/* One rule that denies: the packet that fits it is stopped, the one that differs in one thing passes. */
static void stops(struct acl_rule r, bool stop, unsigned dir, unsigned family, uint8_t proto,
		  uint16_t lport, uint16_t rport)
{
	struct acl *a;

	r.action = ACL_DENY;
	a = acl_of(&r, 1);
	packet(dir, family, proto, lport, rport);
	CHECK_EQ(!judge(a, dir, 0), stop);
	CHECK_EQ(hits.nr, stop);
	acl_free(a);
}

#define BOTH (ACL_OUT | ACL_IN)

static void every_dimension_stops_what_it_says(void **s)
{
	struct acl_rule r;

	(void)s;
	r = (struct acl_rule){ .dirs = ACL_OUT };
	stops(r, true, ACL_OUT, 4, IP_TCP, 1, 2);
	stops(r, false, ACL_IN, 4, IP_TCP, 1, 2);
	r.dirs = ACL_IN;
	stops(r, false, ACL_OUT, 4, IP_TCP, 1, 2);
	stops(r, true, ACL_IN, 4, IP_TCP, 1, 2);
	r = (struct acl_rule){ .dirs = BOTH, .what = ACL_IP4 };
	stops(r, true, ACL_IN, 4, IP_TCP, 1, 2);
	stops(r, false, ACL_IN, 6, IP_TCP, 1, 2);
	r.what = ACL_IP6;
	stops(r, false, ACL_IN, 4, IP_TCP, 1, 2);
	stops(r, true, ACL_IN, 6, IP_TCP, 1, 2);
	r.what = ACL_IP;
	stops(r, true, ACL_IN, 4, IP_TCP, 1, 2);
	stops(r, true, ACL_IN, 6, IP_TCP, 1, 2);
	r.proto = IP_UDP;
	stops(r, true, ACL_IN, 4, IP_UDP, 1, 2);
	stops(r, false, ACL_IN, 4, IP_TCP, 1, 2);
	stops(r, false, ACL_IN, 4, IP_ICMP, 0, 0);
	r.proto = IP_ICMP;
	stops(r, true, ACL_IN, 4, IP_ICMP, 0, 0);
	r.proto = IP_TCP;
	r.local_lo = 80;
	r.local_hi = 90;
	for (unsigned dir = ACL_OUT; dir <= ACL_IN; dir++)
		for (uint16_t port = 78; port < 93; port++) {
			stops(r, port >= 80 && port <= 90, dir, 4, IP_TCP, port, 5);
			stops(r, false, dir, 4, IP_TCP, 5, port);
			stops(r, false, dir, 4, IP_UDP, port, 5);
		}
	r.local_lo = r.local_hi = 0;
	r.remote_lo = r.remote_hi = 443;
	for (unsigned dir = ACL_OUT; dir <= ACL_IN; dir++) {
		stops(r, true, dir, 6, IP_TCP, 5, 443);
		stops(r, false, dir, 6, IP_TCP, 443, 5);
		stops(r, false, dir, 6, IP_TCP, 5, 442);
	}
}

static void addresses_count_by_prefix_on_their_side(void **s)
{
	struct acl_rule r = { .dirs = BOTH, .what = ACL_IP4, .remote = { 10, 0, 0, 3 } };

	(void)s;
	for (unsigned dir = ACL_OUT; dir <= ACL_IN; dir++) {
		for (r.remote_bits = 24; r.remote_bits <= 32; r.remote_bits++)
			stops(r, r.remote_bits < 32, dir, 4, IP_TCP, 1, 2);	/* 10.0.0.2 */
		r.remote[3] = 2;
		r.remote_bits = 32;
		stops(r, true, dir, 4, IP_TCP, 1, 2);
		r.remote[3] = 1;				/* the local one's */
		stops(r, false, dir, 4, IP_TCP, 1, 2);
		r.remote[3] = 3;
	}
	r = (struct acl_rule){ .dirs = BOTH, .what = ACL_IP6, .local_bits = 128,
			       .local = { 0x20, 1, 0x0d, 0xb8, [15] = 1 } };
	stops(r, true, ACL_OUT, 6, IP_TCP, 1, 2);
	stops(r, true, ACL_IN, 6, IP_TCP, 1, 2);
	r.local[15] = 2;
	stops(r, false, ACL_OUT, 6, IP_TCP, 1, 2);
	stops(r, false, ACL_IN, 6, IP_TCP, 1, 2);
	r = (struct acl_rule){ .dirs = BOTH, .by_mac = true, .remote_mac = { 0, 0x15, 0x5d, 0, 0, 2 } };
	stops(r, true, ACL_OUT, 4, IP_TCP, 1, 2);
	stops(r, true, ACL_IN, 6, IP_UDP, 1, 2);
	r.remote_mac[5] = 1;
	stops(r, false, ACL_OUT, 4, IP_TCP, 1, 2);
	stops(r, false, ACL_IN, 4, IP_TCP, 1, 2);
}

static void the_heaviest_decides(void **s)
{
	struct acl_rule r[] = {
		{ .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP, .weight = 1 },
		{ .action = ACL_ALLOW, .dirs = BOTH, .what = ACL_IP4, .weight = 10 },
		{ .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP4, .proto = IP_UDP, .weight = 20 },
		{ .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP4, .weight = 10 },	/* later: never met */
	};
	struct acl *a = acl_of(r, 4);
	uint64_t frames, bytes;

	(void)s;
	packet(ACL_IN, 4, IP_TCP, 1, 2);
	CHECK(judge(a, ACL_IN, 0));
	CHECK(judge(a, ACL_IN, 0));
	packet(ACL_IN, 4, IP_UDP, 1, 2);
	CHECK(!judge(a, ACL_IN, 0));
	packet(ACL_IN, 6, IP_TCP, 1, 2);
	CHECK(!judge(a, ACL_IN, 0));
	craft_arp(&c, A, B, 1, 1, 2);		/* no rule of IP knows it */
	CHECK(judge(a, ACL_IN, 0));
	acl_counters(a, 1, &frames, &bytes);
	CHECK_EQ(frames, 2);
	CHECK_EQ(bytes, 2 * 74);
	acl_counters(a, 2, &frames, &bytes);
	CHECK_EQ(frames, 1);
	acl_counters(a, 0, &frames, &bytes);
	CHECK_EQ(frames, 1);
	acl_counters(a, 3, &frames, &bytes);
	CHECK_EQ(frames, 0);
	acl_free(a);
}

static void meters_count_and_look_on(void **s)
{
	struct acl_rule r[] = {
		{ .action = ACL_METER, .dirs = BOTH, .weight = 9 },
		{ .action = ACL_METER, .dirs = ACL_IN, .what = ACL_IP4, .proto = IP_UDP, .weight = 8 },
		{ .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP4, .proto = IP_UDP, .weight = 7 },
		{ .action = ACL_METER, .dirs = BOTH, .weight = 6 },
	};
	static const unsigned want[] = { 3, 1, 2, 1 };
	struct acl *a = acl_of(r, 4);
	uint64_t frames, bytes;

	(void)s;
	packet(ACL_IN, 4, IP_UDP, 1, 2);
	CHECK(!judge(a, ACL_IN, 0));
	packet(ACL_OUT, 4, IP_UDP, 1, 2);
	CHECK(!judge(a, ACL_OUT, 0));
	packet(ACL_IN, 4, IP_TCP, 1, 2);
	CHECK(judge(a, ACL_IN, 0));
	for (unsigned i = 0; i < 4; i++) {
		acl_counters(a, i, &frames, &bytes);
		CHECK_EQ(frames, want[i]);
		CHECK(bytes >= want[i] * 62);
	}
	acl_free(a);
}

static void state_opens_the_way_back_and_no_other(void **s)
{
	struct acl_rule r[] = {
		{ .action = ACL_ALLOW, .dirs = ACL_OUT, .what = ACL_IP, .stateful = true, .idle_s = 10, .weight = 5 },
		{ .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP, .weight = 1 },
	};
	struct acl *a = acl_of(r, 2);
	const uint64_t S = NS_PER_SEC;

	(void)s;
	for (unsigned family = 4; family <= 6; family += 2) {
		packet(ACL_IN, family, IP_TCP, 1000, 80);
		CHECK(!judge(a, ACL_IN, S));
		packet(ACL_OUT, family, IP_TCP, 1000, 80);
		CHECK(judge(a, ACL_OUT, S));
		packet(ACL_IN, family, IP_TCP, 1000, 80);
		CHECK(judge(a, ACL_IN, S));
		packet(ACL_IN, family, IP_TCP, 1000, 81);
		CHECK(!judge(a, ACL_IN, S));
		packet(ACL_IN, family, IP_TCP, 1001, 80);
		CHECK(!judge(a, ACL_IN, S));
		packet(ACL_IN, family, IP_UDP, 1000, 80);
		CHECK(!judge(a, ACL_IN, S));
		packet(ACL_IN, family, IP_TCP, 1000, 80);
		c.b[family == 4 ? 29 : 37] ^= 1;	/* from another address */
		CHECK(!judge(a, ACL_IN, S));
		/* Answers keep it open; silence closes it. */
		packet(ACL_IN, family, IP_TCP, 1000, 80);
		CHECK(judge(a, ACL_IN, 11 * S));
		CHECK(judge(a, ACL_IN, 21 * S));
		CHECK(!judge(a, ACL_IN, 31 * S + 1));
	}
	packet(ACL_OUT, 4, IP_ICMP, 0, 0);
	CHECK(judge(a, ACL_OUT, S));
	packet(ACL_IN, 4, IP_ICMP, 0, 0);
	CHECK(judge(a, ACL_IN, S));
	acl_free(a);
}

static void a_flood_of_connections_is_bounded(void **s)
{
	struct acl_rule r[] = {
		{ .action = ACL_ALLOW, .dirs = ACL_OUT, .what = ACL_IP, .stateful = true, .weight = 5 },
		{ .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP, .weight = 1 },
	};
	struct acl *a = acl_of(r, 2);
	unsigned open = 0;

	(void)s;
	for (uint32_t i = 1; i <= 50000; i++) {
		packet(ACL_OUT, 4, IP_UDP, (uint16_t)i, 53);
		CHECK(judge(a, ACL_OUT, i));
	}
	for (uint32_t i = 1; i <= 50000; i++) {
		packet(ACL_IN, 4, IP_UDP, (uint16_t)i, 53);
		open += judge(a, ACL_IN, 50000);
	}
	CHECK(open <= SETS * WAYS);
	CHECK(open >= SETS * WAYS / 2);
	acl_free(a);
}

static void later_fragments_pass_only_where_any_port_may(void **s)
{
	struct acl_rule allow[] = {
		{ .action = ACL_ALLOW, .dirs = BOTH, .what = ACL_IP4, .proto = IP_UDP,
		  .local_lo = 5, .local_hi = 5, .weight = 2 },
		{ .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP4, .weight = 1 },
	};
	struct acl_rule deny = { .action = ACL_DENY, .dirs = BOTH, .what = ACL_IP4, .proto = IP_UDP,
				 .local_lo = 5, .local_hi = 5 };
	struct acl *a = acl_of(allow, 2), *b = acl_of(&deny, 1);

	(void)s;
	packet(ACL_IN, 4, IP_UDP, 5, 2);
	CHECK(judge(a, ACL_IN, 0));
	CHECK(!judge(b, ACL_IN, 0));
	c.b[21] = 4;
	CHECK(!judge(a, ACL_IN, 0));
	CHECK(!judge(b, ACL_IN, 0));
	packet(ACL_IN, 4, IP_TCP, 5, 2);
	c.b[21] = 4;
	CHECK(judge(b, ACL_IN, 0));
	acl_free(a);
	acl_free(b);
}

static void nonsense_is_refused(void **s)
{
	static const struct acl_rule bad[] = {
		{ .dirs = 0 }, { .dirs = 4 }, { .dirs = 1, .action = 7 }, { .dirs = 1, .what = 9 },
		{ .dirs = 1, .proto = 6 }, { .dirs = 1, .remote_bits = 1 }, { .dirs = 1, .what = ACL_IP, .local_bits = 1 },
		{ .dirs = 1, .what = ACL_IP4, .local_bits = 33 }, { .dirs = 1, .what = ACL_IP6, .remote_bits = 129 },
		{ .dirs = 1, .what = ACL_IP, .local_lo = 1, .local_hi = 1 },
		{ .dirs = 1, .what = ACL_IP, .proto = 1, .local_lo = 1, .local_hi = 1 },
		{ .dirs = 1, .what = ACL_IP, .proto = 6, .local_lo = 2, .local_hi = 1 },
		{ .dirs = 1, .stateful = true }, { .dirs = 3, .what = ACL_IP, .stateful = true },
		{ .dirs = 1, .what = ACL_IP, .stateful = true, .action = ACL_DENY },
	};
	static struct acl_rule many[ACL_RULES + 1];
	struct acl *a = NULL;
	struct err err;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(acl_new(&bad[i], 1, &a, &err), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i].dirs = 1;
	CHECK_EQ(acl_new(many, ACL_RULES + 1, &a, &err), -E2BIG);
	for (size_t i = 0; i <= ACL_METERS; i++)
		many[i].action = ACL_METER;
	CHECK_EQ(acl_new(many, ACL_METERS + 1, &a, &err), -E2BIG);
	CHECK_EQ(acl_new(many, 0, &a, &err), 0);
	CHECK(a == NULL);
	a = acl_of(many, ACL_METERS);
	packet(ACL_OUT, 4, IP_TCP, 1, 2);
	CHECK(judge(a, ACL_OUT, 0));
	CHECK_EQ(hits.nr, ACL_METERS);
	acl_free(a);
	for (unsigned i = 1; i <= 2; i++) {
		struct acl_rule st = { .dirs = 1, .what = ACL_IP, .stateful = true };

		base_fail_alloc(i);
		CHECK_EQ(acl_new(&st, 1, &a, &err), -ENOMEM);
	}
	base_fail_alloc(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_dimension_stops_what_it_says),
		cmocka_unit_test(addresses_count_by_prefix_on_their_side),
		cmocka_unit_test(the_heaviest_decides),
		cmocka_unit_test(meters_count_and_look_on),
		cmocka_unit_test(state_opens_the_way_back_and_no_other),
		cmocka_unit_test(a_flood_of_connections_is_bounded),
		cmocka_unit_test(later_fragments_pass_only_where_any_port_may),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
