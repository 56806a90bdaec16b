#include "base/test.h"

#include "base/err.h"
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
	/* What it cannot take at all is no question of room. */
	src.vlan.id = 0;
	rig_policy(&r, 0, &src);
	port_set_caps(r.p[4].port, &(struct port_caps){ .max_frame = 100 });
	udp(2, 0, 200);
	r.p[2].room = 1;
	CHECK_EQ(rig_reach(&r, 0), 4);
	CHECK_EQ(rig_drops(&r, 4, DROP_NO_ROOM), 1);
	CHECK_EQ(rig_drops(&r, 4, DROP_TOO_LONG), 1);
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

/*
 * Adapters 0 to NR - 1, each sending to TO as fast as it may, but at most so many frames in
 * 50 us, and asleep until resume; bytes that TO got of each.
 */
static void contend(unsigned nr, unsigned to, uint64_t dst, unsigned most, unsigned seconds, uint64_t got[RIG_PORTS])
{
	uint64_t end = clock_now_ns(r.clock) + seconds * NS_PER_SEC;
	unsigned slept[RIG_PORTS] = { 0 };
	bool asleep[RIG_PORTS] = { 0 };

	memset(got, 0, RIG_PORTS * sizeof(got[0]));
	while (clock_now_ns(r.clock) < end) {
		for (unsigned i = 0; i < nr; i++) {
			if (asleep[i] && r.p[i].resumes == slept[i])
				continue;
			asleep[i] = false;
			for (unsigned k = 0; k < most && !asleep[i]; k++) {
				unsigned before = r.p[to].bytes;

				craft_udp4(&r.c, dst, RIG_MAC(i), 1400);
				asleep[i] = !rig_send(&r, i, 0);
				slept[i] = r.p[i].resumes;
				got[i] += r.p[to].bytes - before;
			}
		}
		clock_step(r.clock, 50000);
	}
}

/* PARTS in a hundred of bps, within 10 of a hundred of that. */
static void in_parts(const uint64_t *got, const unsigned *parts, unsigned nr, uint64_t bps, unsigned seconds)
{
	for (unsigned i = 0; i < nr; i++) {
		uint64_t want = bps / 8 * seconds * parts[i] / 100;

		if (got[i] < want * 9 / 10 || got[i] > want * 11 / 10)
			print_error("%u: %llu instead of %llu\n", i, (unsigned long long)got[i],
				    (unsigned long long)want);
		CHECK(got[i] >= want * 9 / 10);
		CHECK(got[i] <= want * 11 / 10);
	}
}

#define STATION UINT64_C(0x020000000001)	/* behind the uplink */

static void uplink_of(uint64_t bps)
{
	struct port_conf conf = { .name = "uplink", .role = PORT_UPLINK, .bps = bps };

	CHECK_EQ(rig_add_conf(&r, 11, &conf), 0);
}

static void weights_divide_an_uplink(void **s)
{
	struct vswitch_conf conf = { .kind = VSWITCH_EXTERNAL, .default_weight = 20 };
	static const unsigned parts[] = { 10, 70, 10, 10 };
	struct port_policy p = { 0 };
	uint64_t got[RIG_PORTS], all = 0;

	(void)s;
	for (unsigned known = 0; known < 2; known++) {
		rig_new_conf(&r, &conf, 4);
		uplink_of(100000000);
		p.min_weight = 10;
		rig_policy(&r, 0, &p);
		p.min_weight = 70;
		rig_policy(&r, 1, &p);		/* 2 and 3 are the default flow */
		if (known) {
			craft_udp4(&r.c, RIG_ALL, STATION, 10);
			CHECK_EQ(rig_reach(&r, 11), 15);
		}
		contend(4, 11, STATION, 40, 2, got);
		in_parts(got, parts, 4, 100000000, 2);
		for (unsigned i = 0; i < 4; i++)
			all += got[i];
		CHECK_EQ(rig_drops(&r, 11, DROP_RATE_IN), 0);	/* who may not send waits, and loses nothing */
		/* Others that do not send leave theirs. */
		contend(1, 11, STATION, 40, 1, got);
		contend(1, 11, STATION, 40, 2, got);
		in_parts(got, (const unsigned[]){ 100 }, 1, 100000000, 2);
		/* Between adapters nobody waits for the uplink. */
		for (unsigned i = 0; i < 1000; i++) {
			udp(2, 0, 1400);
			CHECK_EQ(rig_reach(&r, 0), 4);
		}
		rig_free(&r);
	}
	CHECK(all >= 2 * 25000000 * UINT64_C(95) / 100);
	CHECK(all <= 2 * 25000000 * UINT64_C(105) / 100);
}

static void reservations_divide_an_uplink(void **s)
{
	struct vswitch_conf conf = { .kind = VSWITCH_EXTERNAL, .bandwidth = BANDWIDTH_ABSOLUTE, .default_bps = 10000000 };
	static const unsigned parts[] = { 50, 30, 20 };	/* 40 + 10, 20 + 10, 10 + 10 Mbit/s */
	struct port_policy p = { .min_bps = 40000000 };
	uint64_t got[RIG_PORTS];
	struct err err;

	(void)s;
	rig_new_conf(&r, &conf, 3);
	uplink_of(100000000);
	rig_policy(&r, 0, &p);
	p.min_bps = 20000000;
	rig_policy(&r, 1, &p);
	contend(3, 11, STATION, 40, 2, got);
	in_parts(got, parts, 3, 100000000, 2);
	/* More than there is cannot be promised. */
	p.min_bps = 60000000;
	CHECK_EQ(vswitch_set_policy(r.p[1].port, &p, &err), -ERANGE);
	CHECK_STR(err.msg, "port test: 110000000 bits a second would be reserved, the uplinks have 100000000");
	CHECK_EQ(vport_of(r.p[1].port)->policy.min_bps, 20000000);
	p.min_bps = 50000000;
	CHECK_EQ(vswitch_set_policy(r.p[1].port, &p, &err), 0);
	rig_free(&r);
}

#define RING 256u			/* frames that the receiver holds */

/*
 * A receiver that takes so many frames a ms from its ring; the others offer so many each
 * in 100 us.  Frames that it got of each.
 */
static void busy(unsigned nr, const unsigned *offer, unsigned drain, unsigned ms, uint64_t got[RIG_PORTS])
{
	static struct craft c[3];
	struct rig_port *to = &r.p[11];

	memset(got, 0, RIG_PORTS * sizeof(got[0]));
	for (unsigned i = 0; i < nr; i++)
		craft_udp4(&c[i], RIG_MAC(11), RIG_MAC(i), 1000);
	to->room = RING;
	for (unsigned t = 0; t < ms * 10; t++) {
		if (t % 10 == 0 && to->room < RING) {
			to->room = (unsigned)min_u64(RING, to->room + drain);
			port_room(to->port);
		}
		for (unsigned k = 0; k < 40; k++)
			for (unsigned i = 0; i < nr; i++) {
				struct net_frame f = craft_frame(&c[i], 0);
				unsigned before = to->nr;

				if (k < offer[i] && port_send(r.p[i].port, &f, 1) == 1)
					got[i] += to->nr - before;
			}
		clock_step(r.clock, 100000);
	}
}

static void a_busy_receiver_hears_all(void **s)
{
	static const unsigned flood[] = { 40, 8, 8 };
	static const unsigned polite[] = { 40, 1, 8 };
	struct port_policy p = { 0 };
	uint64_t got[RIG_PORTS];

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	CHECK_EQ(rig_add(&r, 11, PORT_ADAPTER, NULL), 0);
	/* 30 frames a ms of 400, 80 and 80 that are offered: a third each, by default. */
	busy(3, flood, 30, 100, got);
	busy(3, flood, 30, 1000, got);
	in_parts(got, (const unsigned[]){ 33, 33, 33 }, 3, 8 * 30 * 1000, 1);
	/* One that wants 10 of them has nearly all of those, and the others share what is left. */
	busy(3, polite, 60, 300, got);
	busy(3, polite, 60, 1000, got);
	CHECK(got[1] >= 10000 * 9 / 10);
	CHECK(got[0] + got[1] + got[2] >= 60 * 1000 * 95 / 100);
	CHECK(got[2] >= got[0] * 9 / 10);
	/* By weight. */
	p.min_weight = 50;
	rig_policy(&r, 0, &p);
	p.min_weight = 40;
	rig_policy(&r, 1, &p);
	p.min_weight = 10;
	rig_policy(&r, 2, &p);
	busy(3, (const unsigned[]){ 40, 40, 40 }, 100, 300, got);
	busy(3, (const unsigned[]){ 40, 40, 40 }, 100, 1000, got);
	in_parts(got, (const unsigned[]){ 50, 40, 10 }, 3, 8 * 100 * 1000, 1);
	rig_free(&r);
}

/* What each gets towards it of a maximum goes by weight, too. */
static void a_maximum_towards_it_is_divided(void **s)
{
	struct port_policy in = { .max_in_bps = 80000000 }, p = { 0 };
	uint64_t got[RIG_PORTS];

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	CHECK_EQ(rig_add(&r, 11, PORT_ADAPTER, &in), 0);
	p.min_weight = 75;
	rig_policy(&r, 0, &p);
	p.min_weight = 25;
	rig_policy(&r, 1, &p);
	contend(2, 11, RIG_MAC(11), 2, 2, got);
	in_parts(got, (const unsigned[]){ 75, 25 }, 2, 80000000, 2);
	rig_free(&r);
}

static void minima_fit_their_switch(void **s)
{
	static const struct { enum vswitch_bandwidth mode; struct port_policy p; int rc; const char *msg; } row[] = {
		{ BANDWIDTH_DEFAULT, { .min_weight = 100 }, 0, NULL },
		{ BANDWIDTH_WEIGHT, { .min_weight = 101 }, -EINVAL, "a minimum weight of 101: from 1 to 100 is expected" },
		{ BANDWIDTH_WEIGHT, { .min_bps = 1 }, -EINVAL, "a minimum by reservation: the switch has weights" },
		{ BANDWIDTH_ABSOLUTE, { .min_weight = 1 }, -EINVAL, "a minimum by weight: the switch has reservations" },
		{ BANDWIDTH_ABSOLUTE, { .min_bps = UINT64_C(1) << 60 }, 0, NULL },	/* no uplink says what it has */
		{ BANDWIDTH_NONE, { .min_weight = 1 }, -EINVAL, "a minimum by weight: the switch has none" },
		{ BANDWIDTH_NONE, { .max_in_bps = 1 }, 0, NULL },
	};
	static const struct vswitch_conf bad[] = {
		{ .default_weight = 101 }, { .bandwidth = BANDWIDTH_NONE, .default_weight = 1 },
		{ .bandwidth = BANDWIDTH_WEIGHT, .default_bps = 1 }, { .bandwidth = (enum vswitch_bandwidth)9 },
		{ .team = (enum vswitch_team)9 },
	};
	struct vswitch *sw = NULL;
	struct err err;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		rig_new_conf(&r, &(struct vswitch_conf){ .bandwidth = row[i].mode }, 1);
		CHECK_EQ(vswitch_set_policy(r.p[0].port, &row[i].p, &err), row[i].rc);
		if (row[i].msg != NULL)
			CHECK_STR(err.msg, row[i].msg);
		rig_free(&r);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(vswitch_new(&bad[i], NULL, &sw, &err), -EINVAL);
}

/*
 * A sends to B and, in between, to four that do not behave: never take anything, or one
 * frame now and then.  B gets nine tenths of what it gets when they take everything.
 */
static unsigned frames_to_b(unsigned every_us, unsigned ms)
{
	unsigned got, sent = 0;

	rig_new(&r, VSWITCH_PRIVATE, 6);
	for (unsigned k = 2; k < 6 && every_us != 0; k++)
		r.p[k].room = 0;
	for (unsigned us = 0; us < ms * 1000; us += 100) {
		for (unsigned k = 2; k < 6 && every_us != 0 && us % every_us == k * 100; k++) {
			r.p[k].room = 1;
			port_room(r.p[k].port);
		}
		/* Ten in 100 us, in order: the one that waits stops those behind it. */
		for (unsigned n = 0; n < 10; n++, sent++) {
			udp(sent % 5 == 0 ? 2 + sent / 5 % 4 : 1, 0, 100);
			if (!rig_send(&r, 0, 0))
				break;
		}
		clock_step(r.clock, 100000);
	}
	got = r.p[1].nr;
	rig_free(&r);
	return got;
}

static void neighbours_of_who_never_drains_lose_little(void **s)
{
	unsigned best = frames_to_b(0, 2000);
	static const unsigned every_us[] = { UINT32_MAX, 100000, 10000, 5000, 4000, 1000, 700 };

	(void)s;
	CHECK_EQ(best, 2000 * 10 * 8);
	for (unsigned i = 0; i < ARRAY_LEN(every_us); i++) {
		unsigned got = frames_to_b(every_us[i], 2000);

		if (got < best * 9 / 10)
			print_error("every %u us: %u of %u\n", every_us[i], got, best);
		CHECK(got >= best * 9 / 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weights_divide_an_uplink),
		cmocka_unit_test(reservations_divide_an_uplink),
		cmocka_unit_test(a_busy_receiver_hears_all),
		cmocka_unit_test(a_maximum_towards_it_is_divided),
		cmocka_unit_test(minima_fit_their_switch),
		cmocka_unit_test(neighbours_of_who_never_drains_lose_little),
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
