#include "base/test.h"

#include "dev/clock.h"
#include "net/vswitch_rig.h"
#include "net/vswitch_priv.h"

static struct rig r;

static void udp(unsigned to, unsigned from, uint32_t n)
{
	craft_udp4(&r.c, RIG_MAC(to), RIG_MAC(from), n);
}

static void lists_stop_on_both_ways_and_count(void **s)
{
	struct acl_rule rules[] = {
		{ .action = ACL_DENY, .dirs = ACL_OUT, .what = ACL_IP4, .proto = IP_UDP,
		  .remote_lo = 2000, .remote_hi = 2000 },
		{ .action = ACL_ALLOW, .dirs = ACL_IN, .what = ACL_IP4, .weight = 1 },
	};
	struct port_policy p = { .acl = rules, .nr_acl = 2 };
	uint64_t frames, bytes;

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	rig_policy(&r, 0, &p);
	udp(1, 0, 58);
	CHECK_EQ(rig_reach(&r, 0), 0);
	CHECK_EQ(rig_drops(&r, 0, DROP_ACL_OUT), 1);
	udp(0, 1, 58);
	CHECK_EQ(rig_reach(&r, 1), 1);
	vswitch_acl_counters(r.p[0].port, 0, &frames, &bytes);
	CHECK_EQ(frames, 1);
	CHECK_EQ(bytes, 100);
	/* A frame that comes again because there was no room counts once. */
	r.p[0].room = 0;
	CHECK(!rig_send(&r, 1, 0));
	CHECK(!rig_send(&r, 1, 0));
	r.p[0].room = 1;
	CHECK(rig_send(&r, 1, 0));
	vswitch_acl_counters(r.p[0].port, 1, &frames, &bytes);
	CHECK_EQ(frames, 2);
	vswitch_acl_counters(r.p[0].port, 2, &frames, &bytes);
	CHECK_EQ(frames, 0);
	rules[1].action = ACL_DENY;
	rig_policy(&r, 0, &p);
	CHECK_EQ(rig_reach(&r, 1), 0);
	CHECK_EQ(rig_drops(&r, 0, DROP_ACL_IN), 1);
	/* Headers that nobody can judge pass no list, in or out. */
	r.c.n = 30;
	r.p[0].room = 1;
	CHECK_EQ(rig_reach(&r, 1), 0);
	CHECK_EQ(rig_drops(&r, 0, DROP_OPAQUE), 1);
	craft_udp4(&r.c, RIG_ALL, RIG_MAC(0), 58);
	r.c.n = 30;
	CHECK_EQ(rig_reach(&r, 0), 0);
	CHECK_EQ(rig_drops(&r, 0, DROP_OPAQUE), 2);
	/* Rules that are refused change nothing. */
	rules[0].dirs = 0;
	CHECK_EQ(vswitch_set_policy(r.p[0].port, &p, NULL), -EINVAL);
	udp(0, 1, 58);
	CHECK_EQ(rig_reach(&r, 1), 0);
	rig_free(&r);
}

static void state_works_through_the_switch(void **s)
{
	struct acl_rule rules[] = {
		{ .action = ACL_ALLOW, .dirs = ACL_OUT, .what = ACL_IP, .stateful = true, .weight = 2 },
		{ .action = ACL_DENY, .dirs = ACL_IN, .what = ACL_IP, .weight = 1 },
	};
	struct port_policy p = { .acl = rules, .nr_acl = 2 };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	rig_policy(&r, 0, &p);
	for (unsigned i = 0; i < 2; i++) {
		craft_eth(&r.c, RIG_MAC(0), RIG_MAC(1), ETH_IP4);
		craft_ip4(&r.c, 2, 1, IP_TCP);
		craft_tcp(&r.c, 80, 1000, 0x12);
		craft_done(&r.c);
		CHECK_EQ(rig_reach(&r, 1), i);		/* the second time it is an answer */
		craft_eth(&r.c, RIG_MAC(1), RIG_MAC(0), ETH_IP4);
		craft_ip4(&r.c, 1, 2, IP_TCP);
		craft_tcp(&r.c, 1000, 80, 2);
		craft_done(&r.c);
		CHECK_EQ(rig_reach(&r, 0), 2);
	}
	rig_free(&r);
}

static void mirrors_show_both_ways_once(void **s)
{
	struct port_policy src = { .mirror = MIRROR_SOURCE }, dst = { .mirror = MIRROR_DESTINATION };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 5);
	rig_policy(&r, 0, &src);
	rig_policy(&r, 1, &src);
	rig_policy(&r, 4, &dst);
	udp(2, 0, 10);
	CHECK_EQ(rig_reach(&r, 0), 0x14);
	CHECK_MEM(r.p[4].b[0], r.c.b, r.c.n);
	udp(0, 2, 10);
	CHECK_EQ(rig_reach(&r, 2), 0x11);
	CHECK_EQ(r.p[4].nr, 2);
	udp(1, 0, 10);				/* between two sources: one copy */
	CHECK_EQ(rig_reach(&r, 0), 0x12);
	CHECK_EQ(r.p[4].nr, 3);
	udp(3, 2, 10);				/* between two others: none */
	CHECK_EQ(rig_reach(&r, 2), 8);
	r.p[4].room = 0;			/* who listens slows nobody down */
	udp(2, 0, 10);
	CHECK_EQ(rig_reach(&r, 0), 4);
	CHECK_EQ(rig_drops(&r, 4, DROP_NO_ROOM), 1);
	/* A frame that waits for room is shown when it goes, not each time it is tried. */
	r.p[4].room = 9;
	r.p[2].room = 0;
	CHECK(!rig_send(&r, 0, 0));
	CHECK_EQ(r.p[4].nr, 3);
	r.p[2].room = 1;
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[4].nr, 4);
	/* Another VLAN is seen with its tag, what policy stops not at all. */
	src.vlan.id = 7;
	rig_policy(&r, 0, &src);
	craft_udp4(&r.c, RIG_ALL, RIG_MAC(0), 10);
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[4].nr, 5);
	CHECK_EQ(r.p[4].f[4].tci, 7);
	craft_udp4(&r.c, RIG_ALL, RIG_MAC(3), 10);
	CHECK_EQ(rig_reach(&r, 0), 0);
	rig_free(&r);
}

static void storms_are_limited_and_ordinary_traffic_is_not(void **s)
{
	struct port_policy p = { .storm_limit = 100, .mac_spoofing = true };
	static const uint64_t many[] = { RIG_ALL, 0x01005e000001, 0x020000000001 };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	rig_policy(&r, 0, &p);
	p.storm_limit = 0;
	rig_policy(&r, 2, &p);			/* takes what is unknown */
	for (unsigned k = 0; k < 3; k++) {
		unsigned before = r.p[2].nr, got;

		clock_step(r.clock, NS_PER_SEC);
		for (unsigned ms = 0; ms < 10000; ms++) {
			craft_udp4(&r.c, many[k], RIG_MAC(0), 10);
			CHECK(rig_send(&r, 0, 0));
			clock_step(r.clock, 1000000);
		}
		got = r.p[2].nr - before;
		CHECK(got >= 1000);
		CHECK(got <= 1000 + 13);
	}
	CHECK(rig_drops(&r, 0, DROP_STORM) > 26900);
	for (unsigned i = 0; i < 1000; i++) {
		udp(1, 0, 10);
		CHECK_EQ(rig_reach(&r, 0), 2);
		craft_udp4(&r.c, RIG_ALL, RIG_MAC(1), 10);	/* others have no limit */
		CHECK_EQ(rig_reach(&r, 1), 5);
	}
	rig_free(&r);
}

/* Sends as fast as it may for 10 s, asleep until resume where it must; bytes that arrived. */
static uint64_t run_10s(uint32_t n, uint32_t flags)
{
	uint64_t end = clock_now_ns(r.clock) + 10 * NS_PER_SEC, got = r.p[1].bytes;

	while (clock_now_ns(r.clock) < end) {
		craft_eth(&r.c, RIG_MAC(1), RIG_MAC(0), ETH_IP4);
		craft_ip4(&r.c, 1, 2, IP_TCP);
		craft_tcp(&r.c, 1, 2, 16);
		craft_bytes(&r.c, NULL, n);
		while (!rig_send(&r, 0, flags)) {
			unsigned before = r.p[0].resumes;

			while (r.p[0].resumes == before)
				clock_step(r.clock, 50000);
		}
		clock_step(r.clock, 1000);
	}
	return r.p[1].bytes - got;
}

static void the_maximum_is_kept_within_5_percent(void **s)
{
	static const struct { uint64_t bps; uint32_t n, flags; } row[] = {
		{ 1000000, 1400, 0 }, { 10000000, 40, 0 }, { 100000000, 1400, 0 },
		{ 10000000, 60000, FRAME_LSO4 }, { 1000000000, 60000, FRAME_LSO4 },
	};

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct port_policy p = { .max_out_bps = row[i].bps };
		uint64_t want = row[i].bps / 8 * 10, got;

		rig_policy(&r, 0, &p);
		got = run_10s(row[i].n, row[i].flags);
		if (row[i].flags)		/* headers of the segments that a wire would see */
			got += got / 60054 * (59 * 54);
		CHECK(got >= want - want / 100);
		CHECK(got <= want + want / 20);
	}
	CHECK_EQ(rig_drops(&r, 1, DROP_NO_ROOM), 0);
	/* Its neighbours are not slowed. */
	for (unsigned i = 0; i < 1000; i++) {
		udp(1, 2, 1000);
		CHECK_EQ(rig_reach(&r, 2), 2);
	}
	rig_free(&r);
}

static void above_the_maximum_towards_it_is_dropped(void **s)
{
	struct port_policy p = { .max_in_bps = 8000000 };
	uint64_t before;

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	rig_policy(&r, 1, &p);
	before = r.p[1].bytes;
	for (unsigned i = 0; i < 100000; i++) {		/* 10 MB/s for 10 s, 1 MB/s may pass */
		udp(1, 0, 958);
		CHECK(rig_send(&r, 0, 0));
		clock_step(r.clock, 100000);
	}
	CHECK(r.p[1].bytes - before >= 9950000);
	CHECK(r.p[1].bytes - before <= 10050000);
	CHECK(rig_drops(&r, 1, DROP_RATE_IN) > 89000);
	udp(2, 0, 958);
	CHECK_EQ(rig_reach(&r, 0), 4);
	rig_free(&r);
}

/* What is refused for lack of room at the receiver costs no bandwidth. */
static void a_frame_that_waits_for_room_is_charged_once(void **s)
{
	struct port_policy p = { .max_out_bps = 8000 };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	rig_policy(&r, 0, &p);
	r.p[1].room = 0;
	udp(1, 0, 958);
	for (unsigned i = 0; i < 100; i++)
		CHECK(!rig_send(&r, 0, 0));
	r.p[1].room = 100;
	for (unsigned i = 0; i < 18; i++)		/* the burst: 18028 bytes */
		CHECK(rig_send(&r, 0, 0));
	CHECK(!rig_send(&r, 0, 0));
	CHECK_EQ(r.p[1].nr, 18);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_stop_on_both_ways_and_count),
		cmocka_unit_test(state_works_through_the_switch),
		cmocka_unit_test(mirrors_show_both_ways_once),
		cmocka_unit_test(storms_are_limited_and_ordinary_traffic_is_not),
		cmocka_unit_test(the_maximum_is_kept_within_5_percent),
		cmocka_unit_test(above_the_maximum_towards_it_is_dropped),
		cmocka_unit_test(a_frame_that_waits_for_room_is_charged_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
