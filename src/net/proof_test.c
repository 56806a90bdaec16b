/*
 * Every policy against every disguise of a packet that we know of: what must pass does,
 * what must not does not, through a whole switch.  A disguise is a packet that a receiver
 * may take for the same although it lies otherwise in the frame.
 */
#include "base/test.h"

#include "base/le.h"
#include "dev/clock.h"
#include "net/vswitch_rig.h"

static struct rig r;

/* What a packet is, of the sender 0 for the receiver 1. */
struct what {
	unsigned family;		/* 4, 6; 0 = ARP */
	uint8_t proto;
	uint16_t sport, dport;		/* or type and code */
	uint8_t src, dst;		/* last bytes of the addresses */
};

enum disguise {
	PLAIN,
	PRIORITY_TAG,			/* one tag, of no VLAN */
	TWO_TAGS, PROVIDER_TAG,
	OPTIONS,			/* IPv4 options, IPv6 extension headers */
	MANY_OPTIONS,			/* more of them than we follow (IPv6) */
	FIRST_FRAGMENT, LATER_FRAGMENT, TINY_FRAGMENT,
	ATOMIC_FRAGMENT,		/* IPv6: a fragment header, and all is there */
	TRUNCATED,
	SNAP, TAGGED_SNAP, LLC_IP,
	PADDED,
	NR_DISGUISES
};

/* Makes room for N bytes at AT. */
static void insert(uint32_t at, const void *b, uint32_t n)
{
	memmove(r.c.b + at + n, r.c.b + at, r.c.n - at);
	memcpy(r.c.b + at, b, n);
	r.c.n += n;
}

static void l4(const struct what *w)
{
	static const uint8_t nd[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

	if (w->proto == IP_TCP)
		craft_tcp(&r.c, w->sport, w->dport, 2);
	else if (w->proto == IP_UDP)
		craft_udp(&r.c, w->sport, w->dport);
	else
		craft_icmp(&r.c, (uint8_t)w->sport, (uint8_t)w->dport);
	craft_bytes(&r.c, w->proto == IP_ICMP6 ? nd : NULL, 16);
}

static void ip6_headers(const struct what *w, enum disguise d)
{
	unsigned exts = d == OPTIONS ? 3 : d == MANY_OPTIONS ? 9 : 0;
	bool frag = d == FIRST_FRAGMENT || d == LATER_FRAGMENT || d == TINY_FRAGMENT || d == ATOMIC_FRAGMENT;

	craft_ip6(&r.c, w->src, w->dst, exts != 0 ? 60 : frag ? 44 : w->proto);
	for (unsigned i = 0; i < exts; i++)
		craft_ip6_ext(&r.c, i + 1 < exts ? 60 : w->proto);
	if (frag) {
		craft_ip6_ext(&r.c, w->proto);
		memset(r.c.b + r.c.n - 6, 0, 6);
		r.c.b[r.c.n - 5] = d == LATER_FRAGMENT ? 16 : d == ATOMIC_FRAGMENT ? 0 : 1;
	}
}

static void make_ip(const struct what *w, enum disguise d)
{
	craft_eth(&r.c, RIG_MAC(1), RIG_MAC(0), w->family == 4 ? ETH_IP4 : ETH_IP6);
	if (w->family == 6)
		ip6_headers(w, d);
	else
		craft_ip4(&r.c, 0x0a000000u + w->src, 0x0a000000u + w->dst, w->proto);
	l4(w);
	craft_done(&r.c);
	if (w->family == 4 && (d == OPTIONS || d == MANY_OPTIONS)) {
		static const uint8_t nops[40] = { 1, 1, 1, 1, 1 };
		uint32_t n = d == OPTIONS ? 8 : 40;

		insert(34, nops, n);
		r.c.b[14] = (uint8_t)(0x40 | (5 + n / 4));
		stbe16(r.c.b + 16, r.c.n - 14);
	}
	if (w->family == 4 && (d == FIRST_FRAGMENT || d == TINY_FRAGMENT))
		r.c.b[20] = 0x20;
	if (w->family == 4 && d == LATER_FRAGMENT)
		r.c.b[21] = 2;
	if (d == TINY_FRAGMENT) {		/* not all of the transport header is in it */
		uint32_t at = w->family == 4 ? 34 : 62;

		r.c.n = at + (w->proto == IP_TCP ? 8 : 2);
		stbe16(r.c.b + (w->family == 4 ? 16 : 18), r.c.n - (w->family == 4 ? 14 : 54));
	}
}

/* W as D has it, in r.c; false: there is no such thing. */
static bool make(const struct what *w, enum disguise d)
{
	static const uint8_t snap[8] = { 0, 40, 0xaa, 0xaa, 3, 0, 0, 0 }, llc[5] = { 0, 40, 6, 6, 3 };

	if (w->family == 0) {
		if (d == OPTIONS || d == MANY_OPTIONS || (d >= FIRST_FRAGMENT && d <= ATOMIC_FRAGMENT) || d == LLC_IP)
			return false;
		craft_arp(&r.c, RIG_MAC(1), RIG_MAC(0), 2, 0x0a000000u + w->src, 0x0a000000u + w->dst);
	} else {
		if (d == ATOMIC_FRAGMENT && w->family == 4)
			return false;
		make_ip(w, d);
	}
	switch (d) {
	case PRIORITY_TAG: craft_tag(&r.c, ETH_TAG, 0xe000); break;
	case TWO_TAGS: craft_tag(&r.c, ETH_TAG, 5); craft_tag(&r.c, ETH_TAG, 0); break;
	case PROVIDER_TAG: craft_tag(&r.c, ETH_STAG, 5); break;
	case TRUNCATED: r.c.n = w->family == 6 ? 58 : 38; break;
	case SNAP: insert(12, snap, 8); break;
	case TAGGED_SNAP: insert(12, snap, 8); craft_tag(&r.c, ETH_TAG, 0); break;
	case LLC_IP: insert(12, llc, 5); break;
	case PADDED: craft_bytes(&r.c, NULL, 20); break;
	default: break;
	}
	return true;
}

static bool passes(const struct what *w, enum disguise d)
{
	return make(w, d) && rig_reach(&r, 0) == 2;
}

/* These say all that there is to be seen, in other words. */
static bool is_clear(enum disguise d)
{
	return d == PLAIN || d == PRIORITY_TAG || d == OPTIONS || d == PADDED || d == ATOMIC_FRAGMENT;
}

/* What P stops it stops in every disguise, and what differs in one thing passes as it is. */
static void stops(const struct port_policy *p, unsigned at, const struct what *w, const struct what *other)
{
	rig_policy(&r, 1 - at, &(struct port_policy){ 0 });
	rig_policy(&r, at, p);
	for (enum disguise d = PLAIN; d < NR_DISGUISES; d++)
		if (make(w, d) && rig_reach(&r, 0) != 0) {
			print_error("disguise %u got through\n", d);
			fail();
		}
	for (enum disguise d = PLAIN; d < NR_DISGUISES; d++)
		if (is_clear(d) && make(other, d) && !passes(other, d)) {
			print_error("disguise %u of the other was stopped\n", d);
			fail();
		}
}

/* Of all that P allows only W: it passes where it is clear, and the other in no disguise. */
static void allows_only(const struct port_policy *p, unsigned at, const struct what *w, const struct what *other)
{
	rig_policy(&r, 1 - at, &(struct port_policy){ 0 });
	rig_policy(&r, at, p);
	for (enum disguise d = PLAIN; d < NR_DISGUISES; d++) {
		if (is_clear(d) && make(w, d))
			CHECK(passes(w, d));
		if (make(other, d) && rig_reach(&r, 0) != 0) {
			print_error("disguise %u of the other got through\n", d);
			fail();
		}
	}
}

#define NET4 { 10, 0, 0 }
#define NET6 { 0x20, 0x01, 0x0d, 0xb8 }

/* A rule, from the sender's side, that knows WHAT and not OTHER. */
static const struct { struct acl_rule rule; struct what what, other; } dims[] = {
	/* family */
	{ { .what = ACL_IP4 }, { 4, IP_UDP, 5, 6, 1, 2 }, { 6, IP_UDP, 5, 6, 1, 2 } },
	{ { .what = ACL_IP6 }, { 6, IP_UDP, 5, 6, 1, 2 }, { 4, IP_UDP, 5, 6, 1, 2 } },
	{ { .what = ACL_IP }, { 4, IP_UDP, 5, 6, 1, 2 }, { 0, 0, 0, 0, 1, 2 } },
	{ { .what = ACL_IP }, { 6, IP_TCP, 5, 6, 1, 2 }, { 0, 0, 0, 0, 1, 2 } },
	/* addresses, whole and by prefix */
	{ { .what = ACL_IP4, .local = { 10, 0, 0, 1 }, .local_bits = 32 }, { 4, IP_TCP, 5, 6, 1, 2 }, { 4, IP_TCP, 5, 6, 3, 2 } },
	{ { .what = ACL_IP4, .remote = { 10, 0, 0, 2 }, .remote_bits = 32 }, { 4, IP_UDP, 5, 6, 1, 2 }, { 4, IP_UDP, 5, 6, 1, 3 } },
	{ { .what = ACL_IP4, .local = { 10, 0, 0, 64 }, .local_bits = 26 }, { 4, IP_TCP, 5, 6, 127, 2 }, { 4, IP_TCP, 5, 6, 128, 2 } },
	{ { .what = ACL_IP4, .remote = { 10, 0, 0, 64 }, .remote_bits = 26 }, { 4, IP_ICMP, 8, 0, 1, 64 }, { 4, IP_ICMP, 8, 0, 1, 63 } },
	{ { .what = ACL_IP6, .local = { 0x20, 1, 0x0d, 0xb8, [15] = 1 }, .local_bits = 128 },
	  { 6, IP_TCP, 5, 6, 1, 2 }, { 6, IP_TCP, 5, 6, 3, 2 } },
	{ { .what = ACL_IP6, .remote = { 0x20, 1, 0x0d, 0xb8, [15] = 64 }, .remote_bits = 122 },
	  { 6, IP_UDP, 5, 6, 1, 127 }, { 6, IP_UDP, 5, 6, 1, 128 } },
	/* protocol */
	{ { .what = ACL_IP, .proto = IP_UDP }, { 4, IP_UDP, 5, 6, 1, 2 }, { 4, IP_TCP, 5, 6, 1, 2 } },
	{ { .what = ACL_IP, .proto = IP_TCP }, { 6, IP_TCP, 5, 6, 1, 2 }, { 6, IP_UDP, 5, 6, 1, 2 } },
	{ { .what = ACL_IP, .proto = IP_ICMP }, { 4, IP_ICMP, 8, 0, 1, 2 }, { 4, IP_UDP, 8, 0, 1, 2 } },
	{ { .what = ACL_IP, .proto = IP_ICMP6 }, { 6, IP_ICMP6, 128, 0, 1, 2 }, { 6, IP_TCP, 128, 0, 1, 2 } },
	/* ports, either side, the ends of ranges */
	{ { .what = ACL_IP, .proto = IP_TCP, .local_lo = 80, .local_hi = 90 }, { 4, IP_TCP, 80, 6, 1, 2 }, { 4, IP_TCP, 79, 80, 1, 2 } },
	{ { .what = ACL_IP, .proto = IP_TCP, .local_lo = 80, .local_hi = 90 }, { 6, IP_TCP, 90, 6, 1, 2 }, { 6, IP_TCP, 91, 90, 1, 2 } },
	{ { .what = ACL_IP, .proto = IP_UDP, .remote_lo = 53, .remote_hi = 53 }, { 4, IP_UDP, 5, 53, 1, 2 }, { 4, IP_UDP, 53, 54, 1, 2 } },
	{ { .what = ACL_IP, .proto = IP_UDP, .remote_lo = 53, .remote_hi = 65535 }, { 6, IP_UDP, 5, 65535, 1, 2 }, { 6, IP_UDP, 53, 52, 1, 2 } },
};

/* The same rule as the receiver has it: what is local is remote. */
static struct acl_rule turned(struct acl_rule x, bool receiver)
{
	struct acl_rule y = x;

	y.dirs = receiver ? ACL_IN : ACL_OUT;
	if (!receiver)
		return y;
	memcpy(y.local, x.remote, 16);
	memcpy(y.remote, x.local, 16);
	y.local_bits = x.remote_bits;
	y.remote_bits = x.local_bits;
	y.local_lo = x.remote_lo;
	y.local_hi = x.remote_hi;
	y.remote_lo = x.local_lo;
	y.remote_hi = x.local_hi;
	return y;
}

/* Later fragments have no ports, so a rule that allows by port lets none of them through, and by nothing else all. */
static void every_dimension_of_a_list(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	for (size_t i = 0; i < ARRAY_LEN(dims); i++)
		for (unsigned at = 0; at < 2; at++) {
			struct acl_rule rules[2] = { turned(dims[i].rule, at), { 0 } };
			struct port_policy p = { .acl = rules, .nr_acl = 1 };

			rules[0].action = ACL_DENY;
			stops(&p, at, &dims[i].what, &dims[i].other);
			rules[0].action = ACL_ALLOW;
			rules[0].weight = 2;
			rules[1] = (struct acl_rule){ .action = ACL_DENY, .dirs = rules[0].dirs, .weight = 1 };
			p.nr_acl = 2;
			allows_only(&p, at, &dims[i].what, &dims[i].other);
		}
	rig_free(&r);
}

static void macs_and_directions_of_a_list(void **s)
{
	static const struct what w = { 4, IP_UDP, 5, 6, 1, 2 };
	struct acl_rule rule = { .action = ACL_DENY, .dirs = ACL_OUT, .by_mac = true, .remote_mac = { 0, 0x15, 0x5d, 0, 0, 1 } };
	struct port_policy p = { .acl = &rule, .nr_acl = 1 };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	rig_policy(&r, 0, &p);
	for (enum disguise d = PLAIN; d < NR_DISGUISES; d++)
		CHECK(!passes(&w, d));
	craft_udp4(&r.c, RIG_MAC(2), RIG_MAC(0), 5);
	CHECK_EQ(rig_reach(&r, 0), 4);
	craft_udp4(&r.c, RIG_MAC(0), RIG_MAC(1), 5);
	CHECK_EQ(rig_reach(&r, 1), 1);
	rule.dirs = ACL_IN;
	rig_policy(&r, 0, &p);
	CHECK(passes(&w, PLAIN));
	craft_udp4(&r.c, RIG_MAC(0), RIG_MAC(1), 5);
	CHECK_EQ(rig_reach(&r, 1), 0);
	craft_udp4(&r.c, RIG_MAC(0), RIG_MAC(2), 5);
	CHECK_EQ(rig_reach(&r, 2), 1);
	rig_free(&r);
}

static void the_guards(void **s)
{
	static const struct { struct guard_conf guard; struct what bad, good; } row[] = {
		{ { .dhcp = true }, { 4, IP_UDP, 67, 68, 1, 2 }, { 4, IP_UDP, 68, 67, 1, 2 } },
		{ { .dhcp = true }, { 4, IP_UDP, 67, 67, 1, 2 }, { 4, IP_TCP, 67, 68, 1, 2 } },
		{ { .dhcp = true }, { 4, IP_UDP, 999, 68, 1, 2 }, { 4, IP_UDP, 999, 67, 1, 2 } },
		{ { .dhcp = true }, { 6, IP_UDP, 547, 546, 1, 2 }, { 6, IP_UDP, 546, 547, 1, 2 } },
		{ { .dhcp = true }, { 6, IP_UDP, 999, 546, 1, 2 }, { 6, IP_UDP, 67, 68, 1, 2 } },
		{ { .router = true }, { 6, IP_ICMP6, 134, 0, 1, 2 }, { 6, IP_ICMP6, 133, 0, 1, 2 } },
		{ { .router = true }, { 6, IP_ICMP6, 137, 0, 1, 2 }, { 6, IP_ICMP6, 128, 0, 1, 2 } },
		{ { .router = true }, { 4, IP_ICMP, 9, 0, 1, 2 }, { 4, IP_ICMP, 8, 0, 1, 2 } },
		{ { .router = true }, { 4, IP_ICMP, 5, 1, 1, 2 }, { 4, IP_ICMP, 3, 1, 1, 2 } },
		{ { .addr = true, .nr_addr = 1, .addrs = { { 4, 32, { 10, 0, 0, 1 } } } }, { 0, 0, 0, 0, 3, 2 }, { 0, 0, 0, 0, 1, 2 } },
		{ { .addr = true, .nr_addr = 1, .addrs = { { 6, 128, { 0x20, 1, 0x0d, 0xb8, [15] = 1 } } } },
		  { 6, IP_ICMP6, 136, 0, 3, 2 }, { 6, IP_ICMP6, 136, 0, 1, 2 } },
		{ { .addr = true, .nr_addr = 1, .addrs = { { 6, 128, { 0x20, 1, 0x0d, 0xb8, [15] = 1 } } } },
		  { 6, IP_ICMP6, 135, 0, 3, 2 }, { 6, IP_ICMP6, 135, 0, 1, 2 } },
	};

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct port_policy p = { .guard = row[i].guard };

		rig_policy(&r, 0, &p);
		for (enum disguise d = PLAIN; d < NR_DISGUISES; d++) {
			/* What nobody can put together without a first piece may pass; a whole server's message not. */
			bool piece = d == LATER_FRAGMENT;

			if (make(&row[i].bad, d) && !piece && rig_reach(&r, 0) != 0) {
				print_error("row %u: disguise %u got through\n", (unsigned)i, d);
				fail();
			}
			/* Neighbour discovery in an atomic fragment is refused, as a receiver refuses it. */
			if (is_clear(d) && make(&row[i].good, d) && !passes(&row[i].good, d)) {
				print_error("row %u: disguise %u of the good one was stopped\n", (unsigned)i, d);
				fail();
			}
		}
	}
	rig_free(&r);
}

/* Behind a first tag that is taken off there is another: it must not become the VLAN of anybody. */
static void no_second_tag_leads_to_another_vlan(void **s)
{
	struct port_policy access[] = { { .vlan.id = 0 }, { .vlan.id = 7 } }, trunk = { .vlan.mode = VLAN_TRUNK, .vlan.native = 7 };
	static const uint16_t types[] = { ETH_TAG, ETH_STAG };

	(void)s;
	for (uint16_t vid = 1; vid <= VLAN_MAX; vid++)
		if (vid != 7)
			vlan_allow(&trunk.vlan, vid);
	rig_new(&r, VSWITCH_EXTERNAL, 2);
	CHECK_EQ(rig_add(&r, 2, PORT_UPLINK, NULL), 0);
	rig_policy(&r, 1, &trunk);
	for (unsigned a = 0; a < 2; a++) {
		rig_policy(&r, 0, &access[a]);
		for (unsigned t = 0; t < 2; t++)
			for (unsigned outer = 0; outer < 4; outer++) {
				craft_udp4(&r.c, RIG_ALL, RIG_MAC(0), 10);
				craft_tag(&r.c, types[t], 5);
				if (outer == 1 || outer == 3)
					craft_tag(&r.c, ETH_TAG, 0);
				if (outer >= 2) {
					struct net_frame f = craft_frame(&r.c, FRAME_TAGGED);
					unsigned before = r.p[1].nr + r.p[2].nr;

					CHECK_EQ(port_send(r.p[0].port, &f, 1), 1);
					CHECK_EQ(r.p[1].nr + r.p[2].nr, before);
				} else {
					CHECK_EQ(rig_reach(&r, 0), 0);
				}
			}
		/* And one that is no tag yet passes. */
		craft_udp4(&r.c, RIG_ALL, RIG_MAC(0), 10);
		craft_tag(&r.c, ETH_TAG, 0);
		CHECK_EQ(rig_reach(&r, 0), a == 0 ? 4 : 6);
	}
	/* A trunk may nest tags, as long as the outer one stays on. */
	craft_udp4(&r.c, RIG_ALL, RIG_MAC(1), 10);
	craft_tag(&r.c, ETH_TAG, 9);
	craft_tag(&r.c, ETH_TAG, 5);
	CHECK_EQ(rig_reach(&r, 1), 4);
	CHECK_EQ(r.p[2].f[(r.p[2].nr - 1) % RIG_KEEP].tci, 5);
	craft_udp4(&r.c, RIG_ALL, RIG_MAC(1), 10);
	craft_tag(&r.c, ETH_TAG, 9);
	craft_tag(&r.c, ETH_TAG, 7);		/* the native one: it would come off at the access port */
	CHECK_EQ(rig_reach(&r, 1) & 1, 0);
	rig_free(&r);
}

/* No disguise is a way around what counts frames, or around who is who. */
static void mirrors_storms_and_addresses_do_not_look_inside(void **s)
{
	static const struct what w = { 6, IP_UDP, 5, 6, 1, 2 };
	struct port_policy src = { .mirror = MIRROR_SOURCE }, dst = { .mirror = MIRROR_DESTINATION };
	struct port_policy storm = { .storm_limit = 8 };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	rig_policy(&r, 0, &src);
	rig_policy(&r, 2, &dst);
	for (enum disguise d = PLAIN; d < NR_DISGUISES; d++) {
		unsigned both = make(&w, d) ? rig_reach(&r, 0) : 0;

		/* Nested tags end at an access port; the rest is seen by both. */
		CHECK_EQ(both, d == TWO_TAGS || d == PROVIDER_TAG ? 0 : 6);
		CHECK(make(&w, d));
		r.c.b[11] ^= 9;			/* from another station */
		CHECK_EQ(rig_reach(&r, 0), 0);
	}
	rig_policy(&r, 2, &(struct port_policy){ 0 });
	rig_policy(&r, 0, &storm);
	for (unsigned i = 0, got = 0; i < 100; i++) {
		enum disguise d = (enum disguise)(i % NR_DISGUISES);

		CHECK(make(&w, d));
		memset(r.c.b, i & 1 ? 0xff : 0x33, 6);
		got += rig_reach(&r, 0) != 0;
		CHECK(got <= 2);
	}
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_dimension_of_a_list),
		cmocka_unit_test(macs_and_directions_of_a_list),
		cmocka_unit_test(the_guards),
		cmocka_unit_test(no_second_tag_leads_to_another_vlan),
		cmocka_unit_test(mirrors_storms_and_addresses_do_not_look_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
