/* Several uplinks into one network, which is a switch of the test that has learned nothing of teams. */
#include "base/test.h"

#include "dev/clock.h"
#include "net/vswitch_rig.h"
#include "net/vswitch_priv.h"

#define UP 4u			/* ports from here on are uplinks */
#define OUT UINT64_C(0x020000000001)	/* a station of the network */

static struct rig r;

static void begin(enum vswitch_team mode, unsigned adapters, unsigned uplinks)
{
	struct vswitch_conf conf = { .kind = VSWITCH_EXTERNAL, .team = mode };

	rig_new_conf(&r, &conf, adapters);
	for (unsigned i = 0; i < uplinks; i++)
		CHECK_EQ(rig_add(&r, UP + i, PORT_UPLINK, NULL), 0);
	for (unsigned i = 0; i < uplinks; i++)
		r.p[UP + i].nr = 0;		/* ports have moved while they came, and said so */
}

static void udp(uint64_t dst, uint64_t src)
{
	craft_udp4(&r.c, dst, src, 100);
}

static void flow(uint64_t dst, uint64_t src, uint16_t sport)
{
	craft_eth(&r.c, dst, src, ETH_IP4);
	craft_ip4(&r.c, 1, 2, IP_TCP);
	craft_tcp(&r.c, sport, 80, 2);
	craft_done(&r.c);
}

/* The network: where it learned stations, ports being ours from UP on, and one for OUT. */
struct lan {
	struct { uint64_t mac; int at; } e[64];
	unsigned nr;
	unsigned seen[RIG_PORTS];	/* of each uplink's frames */
	unsigned out;			/* frames that reached the station */
};

#define AT_OUT (-1)

static struct lan lan;

static uint64_t mac_at(const uint8_t *p)
{
	uint64_t m = 0;

	for (unsigned i = 0; i < 6; i++)
		m = m << 8 | p[i];
	return m;
}

static void lan_learn(uint64_t mac, int at)
{
	unsigned i = 0;

	while (i < lan.nr && lan.e[i].mac != mac)
		i++;
	CHECK(i < ARRAY_LEN(lan.e));
	lan.nr = i == lan.nr ? i + 1 : lan.nr;
	lan.e[i].mac = mac;
	lan.e[i].at = at;
}

/* A link that is gone takes what was learned there with it. */
static void lan_unplug(int at)
{
	for (unsigned i = 0; i < lan.nr; i++)
		if (lan.e[i].at == at)
			lan.e[i--] = lan.e[--lan.nr];
}

static bool lan_goes(uint64_t dst, int from, int to)
{
	for (unsigned i = 0; i < lan.nr && !(dst >> 40 & 1); i++)
		if (lan.e[i].mac == dst)
			return lan.e[i].at == to && to != from;
	return to != from;
}

/* One frame that came into the network at FROM goes where it belongs. */
static void lan_switch(const uint8_t *b, uint32_t n, int from)
{
	uint64_t dst = mac_at(b);
	struct iovec iov = { (void *)(uintptr_t)b, n };
	struct net_frame f = { .iov = &iov, .nr_iov = 1, .len = n };

	lan_learn(mac_at(b + 6), from);
	lan.out += lan_goes(dst, from, AT_OUT);
	for (unsigned i = UP; i < RIG_PORTS; i++)
		if (r.p[i].port != NULL && r.p[i].up && lan_goes(dst, from, (int)i))
			CHECK_EQ(port_send(r.p[i].port, &f, 1), 1);
}

/* All that the uplinks have been given since goes into the network. */
static void lan_pump(void)
{
	static uint8_t b[2048];

	for (bool any = true; any;) {
		any = false;
		for (unsigned i = UP; i < RIG_PORTS; i++)
			for (; r.p[i].port != NULL && lan.seen[i] < r.p[i].nr; lan.seen[i]++) {
				unsigned k = lan.seen[i] % RIG_KEEP;

				memcpy(b, r.p[i].b[k], r.p[i].f[k].len);
				lan_switch(b, r.p[i].f[k].len, (int)i);
				any = true;
			}
	}
}

/* Sends r.c from adapter I; which adapters got it how often (a decimal digit each), through the network too. */
static unsigned spread(unsigned i)
{
	unsigned before[UP], got = 0;

	for (unsigned k = 0; k < UP; k++)
		before[k] = r.p[k].nr;
	CHECK(rig_send(&r, i, 0));
	lan_pump();
	for (unsigned k = UP; k-- > 0;)
		got = got * 10 + (r.p[k].port != NULL ? r.p[k].nr - before[k] : 0);
	return got;
}

/* The same for a frame of the station in the network. */
static unsigned spread_out(void)
{
	unsigned before[UP], got = 0;

	for (unsigned k = 0; k < UP; k++)
		before[k] = r.p[k].nr;
	lan_switch(r.c.b, r.c.n, AT_OUT);
	lan_pump();
	for (unsigned k = UP; k-- > 0;)
		got = got * 10 + (r.p[k].port != NULL ? r.p[k].nr - before[k] : 0);
	return got;
}

static unsigned uplink_frames(unsigned i)
{
	return r.p[UP + i].nr;
}

static void by_port_each_has_one_uplink(void **s)
{
	(void)s;
	begin(TEAM_PORT, 4, 4);
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < 4; i++) {
			udp(OUT, RIG_MAC(i));
			CHECK(rig_send(&r, i, 0));
			flow(OUT, RIG_MAC(i), (uint16_t)round);
			CHECK(rig_send(&r, i, 0));
		}
		for (unsigned k = 0; k < 4; k++)
			CHECK_EQ(uplink_frames(k), 2 * round);
	}
	rig_free(&r);
}

static void eight_uplinks_and_no_more(void **s)
{
	struct port_stats st, first[8];

	(void)s;
	begin(TEAM_PORT, 3, 8);
	for (unsigned k = 0; k < 8; k++)
		vswitch_port_stats(r.p[UP + k].port, &first[k]);
	vswitch_port_free(r.p[2].port);
	r.p[2].port = NULL;
	CHECK_EQ(rig_add(&r, 2, PORT_UPLINK, NULL), -EINVAL);
	/* Each counts for itself. */
	udp(RIG_ALL, RIG_MAC(0));
	CHECK(rig_send(&r, 0, 0));
	udp(RIG_ALL, RIG_MAC(1));
	CHECK(rig_send(&r, 1, 0));
	for (unsigned k = 0, sum = 0; k < 8; k++) {
		vswitch_port_stats(r.p[UP + k].port, &st);
		CHECK(st.received - first[k].received <= 1);
		sum += (unsigned)(st.received - first[k].received);
		CHECK(k < 7 || sum == 2);
	}
	rig_free(&r);
}

static void everybody_hears_once(enum vswitch_team mode, unsigned uplinks)
{
	static const unsigned all_but[] = { 1110, 1101, 1011, 111 };

	memset(&lan, 0, sizeof(lan));
	begin(mode, 4, uplinks);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4; i++) {
			udp(RIG_ALL, RIG_MAC(i));
			CHECK_EQ(spread(i), all_but[i]);
			udp(0x01005e000001, RIG_MAC(i));
			CHECK_EQ(spread(i), all_but[i]);
			udp(OUT, RIG_MAC(i));
			CHECK_EQ(spread(i), 0);
		}
		udp(RIG_ALL, OUT);
		CHECK_EQ(spread_out(), 1111);
		for (unsigned i = 0; i < 4; i++) {
			udp(RIG_MAC(i), OUT);
			CHECK_EQ(spread_out(), i == 0 ? 1 : i == 1 ? 10 : i == 2 ? 100 : 1000);
		}
		udp(0x020000000077, OUT);	/* nobody's */
		CHECK_EQ(spread_out(), 0);
	}
	CHECK_EQ(lan.out, 3 * 4 * 3);
	rig_free(&r);
}

static void broadcasts_arrive_once(void **s)
{
	(void)s;
	for (unsigned n = 1; n <= 8; n++) {
		everybody_hears_once(TEAM_PORT, n);
		everybody_hears_once(TEAM_DYNAMIC, n);
	}
}

/* The network has not learned the adapter yet, and asks everywhere. */
static void what_the_network_floods_arrives_once(void **s)
{
	(void)s;
	for (unsigned mode = TEAM_PORT; mode <= TEAM_DYNAMIC; mode++) {
		memset(&lan, 0, sizeof(lan));
		begin((enum vswitch_team)mode, 4, 3);
		clock_step(r.clock, 301 * NS_PER_SEC);	/* nobody has sent for longer than a network remembers */
		for (unsigned i = 0; i < 4; i++) {
			udp(RIG_MAC(i), OUT);
			CHECK_EQ(spread_out(), i == 0 ? 1 : i == 1 ? 10 : i == 2 ? 100 : 1000);
		}
		CHECK_EQ(rig_drops(&r, UP, DROP_MEMBER) + rig_drops(&r, UP + 1, DROP_MEMBER) +
			 rig_drops(&r, UP + 2, DROP_MEMBER), 8);
		rig_free(&r);
	}
}

static void own_frames_do_not_come_back(void **s)
{
	struct port_policy spoof = { .mac_spoofing = true };
	uint64_t own = 0;

	(void)s;
	memset(&lan, 0, sizeof(lan));
	begin(TEAM_PORT, 4, 2);
	rig_policy(&r, 3, &spoof);
	udp(RIG_ALL, RIG_MAC(0));
	CHECK_EQ(spread(0), 1110);
	/* A station behind an adapter: learned, and still ours. */
	udp(RIG_ALL, 0x020000000055);
	CHECK_EQ(spread(3), 111);
	for (unsigned k = 0; k < 2; k++)
		own += rig_drops(&r, UP + k, DROP_OWN);
	CHECK_EQ(own, 2);
	udp(0x020000000055, RIG_MAC(1));	/* and still where it was */
	CHECK_EQ(spread(1), 1000);
	/* When it has been silent here for a while and speaks there, it has moved. */
	clock_step(r.clock, 5 * NS_PER_SEC);
	udp(RIG_ALL, 0x020000000055);
	CHECK_EQ(spread_out(), 1111);
	udp(0x020000000055, RIG_MAC(1));
	CHECK_EQ(spread(1), 0);
	rig_free(&r);
}

static void flows_spread_and_stay(void **s)
{
	unsigned first[64], used = 0;

	(void)s;
	begin(TEAM_DYNAMIC, 2, 4);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 64; i++) {
			unsigned got;

			flow(OUT, RIG_MAC(0), (uint16_t)(1000 + i));
			got = rig_reach(&r, 0);
			CHECK(got != 0 && (got & (got - 1)) == 0);
			if (round == 0)
				first[i] = got;
			CHECK_EQ(got, first[i]);
			used |= got;
		}
	CHECK_EQ(used, 0xfu << UP);
	for (unsigned k = 0; k < 4; k++)
		CHECK(uplink_frames(k) >= 2 * 64 / 4 / 2);
	/* Fragments of one packet stay together; what says where somebody is goes by the port's own. */
	for (unsigned i = 0; i < 8; i++) {
		unsigned a, b;

		craft_eth(&r.c, OUT, RIG_MAC(0), ETH_IP4);
		craft_ip4(&r.c, 1 + i, 2, IP_UDP);
		craft_udp(&r.c, 5, 6);
		craft_bytes(&r.c, NULL, 32);
		craft_done(&r.c);
		r.c.b[20] = 0x20;
		a = rig_reach(&r, 0);
		r.c.b[20] = 0;
		r.c.b[21] = 5;
		b = rig_reach(&r, 0);
		CHECK_EQ(a, b);
		craft_arp(&r.c, RIG_ALL, RIG_MAC(0), 1, 1, i);
		CHECK_EQ(rig_reach(&r, 0) & 0xfu << UP, 1u << (UP + vport_of(r.p[0].port)->member));
		craft_arp(&r.c, OUT, RIG_MAC(0), 2, 1, i);
		CHECK_EQ(rig_reach(&r, 0), 1u << (UP + vport_of(r.p[0].port)->member));
	}
	rig_free(&r);
}

/* Uplinks with addresses lend them, so that the network learns each of ours at one place only. */
static void our_addresses_do_not_wander(void **s)
{
	const uint8_t own[6] = { 0, 0x15, 0x5d, 0, 0, 0 };

	(void)s;
	memset(&lan, 0, sizeof(lan));
	begin(TEAM_DYNAMIC, 1, 0);
	for (unsigned k = 0; k < 3; k++) {
		struct port_conf conf = { .name = "up", .role = PORT_UPLINK, .mac = { 2, 9, 9, 9, 9, (uint8_t)k } };

		CHECK_EQ(rig_add_conf(&r, UP + k, &conf), 0);
	}
	for (unsigned i = 0; i < 60; i++) {
		flow(OUT, RIG_MAC(0), (uint16_t)i);
		CHECK_EQ(spread(0), 0);
	}
	for (unsigned k = 0; k < 3; k++) {
		const uint8_t lent[6] = { 2, 9, 9, 9, 9, (uint8_t)k };

		CHECK(uplink_frames(k) > 5);
		CHECK_MEM(r.p[UP + k].b[0] + 6, k == vport_of(r.p[0].port)->member ? own : lent, 6);
		CHECK(craft_sums_right(r.p[UP + k].b[0], r.p[UP + k].f[0].len));
	}
	udp(RIG_MAC(0), OUT);
	CHECK_EQ(spread_out(), 1);
	rig_free(&r);
}

/* The link of an uplink goes: what it had goes by another at once, and the network is told by one frame each. */
static void a_lost_link_costs_nothing_more(void (*cut)(unsigned k, bool there))
{
	unsigned lost, frames[3], moved = 0;

	memset(&lan, 0, sizeof(lan));
	begin(TEAM_PORT, 4, 3);
	for (unsigned i = 0; i < 4; i++) {
		udp(RIG_ALL, RIG_MAC(i));
		(void)spread(i);
	}
	lost = vport_of(r.p[0].port)->member;
	for (unsigned i = 0; i < 4; i++)
		moved += vport_of(r.p[i].port)->member == lost;
	for (unsigned k = 0; k < 3; k++)
		frames[k] = uplink_frames(k);
	cut(lost, false);
	lan_unplug((int)(UP + lost));
	CHECK_EQ(uplink_frames(0) + uplink_frames(1) + uplink_frames(2), frames[0] + frames[1] + frames[2] + moved);
	lan_pump();
	CHECK(vport_of(r.p[0].port)->member != lost);
	/* Already before it speaks it is found. */
	udp(RIG_MAC(0), OUT);
	CHECK_EQ(spread_out(), 1);
	udp(OUT, RIG_MAC(0));
	CHECK_EQ(spread(0), 0);
	udp(RIG_ALL, OUT);
	CHECK_EQ(spread_out(), 1111);
	udp(RIG_ALL, RIG_MAC(0));
	CHECK_EQ(spread(0), 1110);
	CHECK_EQ(uplink_frames(lost), frames[lost]);
	/* And back. */
	cut(lost, true);
	lan_pump();
	CHECK_EQ(vport_of(r.p[0].port)->member, lost);
	CHECK(uplink_frames(lost) > frames[lost]);
	udp(RIG_MAC(0), OUT);
	CHECK_EQ(spread_out(), 1);
	udp(RIG_ALL, OUT);
	CHECK_EQ(spread_out(), 1111);
	/* Without any there is no way, and others do not suffer. */
	for (unsigned k = 0; k < 3; k++)
		cut(k, false);
	udp(RIG_ALL, RIG_MAC(0));
	CHECK_EQ(spread(0), 1110);
	udp(OUT, RIG_MAC(0));
	CHECK_EQ(spread(0), 0);
	CHECK(rig_drops(&r, 0, DROP_NOWHERE) > 0);
	rig_free(&r);
}

static void cut_by_carrier(unsigned k, bool there)
{
	port_carrier(r.p[UP + k].port, there);
	r.p[UP + k].up = there;			/* what the test's network goes by */
}

static void cut_by_link(unsigned k, bool there)
{
	vswitch_set_link(r.p[UP + k].port, there);
}

static void a_lost_link_is_replaced(void **s)
{
	(void)s;
	a_lost_link_costs_nothing_more(cut_by_carrier);
	a_lost_link_costs_nothing_more(cut_by_link);
}

static void only_flows_of_the_lost_link_move(void **s)
{
	unsigned before[64], moved = 0;

	(void)s;
	begin(TEAM_DYNAMIC, 1, 4);
	for (unsigned i = 0; i < 64; i++) {
		flow(OUT, RIG_MAC(0), (uint16_t)i);
		before[i] = rig_reach(&r, 0);
	}
	port_carrier(r.p[UP + 2].port, false);
	for (unsigned i = 0; i < 64; i++) {
		unsigned now;

		flow(OUT, RIG_MAC(0), (uint16_t)i);
		now = rig_reach(&r, 0);
		CHECK(now != 0 && now != 1u << (UP + 2));
		if (before[i] == 1u << (UP + 2))
			moved++;
		else
			CHECK_EQ(now, before[i]);
	}
	CHECK(moved > 5);
	rig_free(&r);
}

/* An uplink is added and one taken away under way. */
static void uplinks_come_and_go(void **s)
{
	unsigned count[TEAM_MAX] = { 0 };

	(void)s;
	memset(&lan, 0, sizeof(lan));
	begin(TEAM_PORT, 4, 1);
	udp(RIG_ALL, RIG_MAC(1));
	CHECK_EQ(spread(1), 1101);
	CHECK_EQ(rig_add(&r, UP + 1, PORT_UPLINK, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		count[vport_of(r.p[i].port)->member]++;
	CHECK_EQ(count[0], 2);
	CHECK_EQ(count[1], 2);
	lan_pump();
	udp(RIG_ALL, OUT);
	CHECK_EQ(spread_out(), 1111);
	vswitch_port_free(r.p[UP].port);
	r.p[UP].port = NULL;
	lan_unplug((int)UP);
	lan_pump();
	for (unsigned i = 0; i < 4; i++) {
		udp(RIG_MAC(i), OUT);
		CHECK_EQ(spread_out(), i == 0 ? 1 : i == 1 ? 10 : i == 2 ? 100 : 1000);
		udp(OUT, RIG_MAC(i));
		CHECK_EQ(spread(i), 0);
	}
	udp(RIG_ALL, RIG_MAC(0));
	CHECK_EQ(spread(0), 1110);
	rig_free(&r);
}

/* In its VLAN, by an uplink that has it; and not from a port that may not send at all. */
static void what_tells_the_network_is_in_the_ports_vlan(void **s)
{
	struct port_policy p = { .vlan.id = 7 };
	const struct net_frame *f;
	unsigned k;

	(void)s;
	begin(TEAM_PORT, 1, 2);
	rig_policy(&r, 0, &p);
	k = vport_of(r.p[0].port)->member;
	port_carrier(r.p[UP + k].port, false);
	CHECK_EQ(uplink_frames(k), 0);
	CHECK_EQ(uplink_frames(1 - k), 1);
	CHECK_EQ(r.p[UP + 1 - k].ends, 1);
	f = &r.p[UP + 1 - k].f[0];
	CHECK_EQ(f->flags & FRAME_TAGGED, FRAME_TAGGED);
	CHECK_EQ(f->tci, 7);
	CHECK_EQ(f->len, 60);
	CHECK_MEM(r.p[UP + 1 - k].b[0], "\xff\xff\xff\xff\xff\xff\x00\x15\x5d\x00\x00\x00\x80\x35", 14);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_port_each_has_one_uplink),
		cmocka_unit_test(eight_uplinks_and_no_more),
		cmocka_unit_test(broadcasts_arrive_once),
		cmocka_unit_test(what_the_network_floods_arrives_once),
		cmocka_unit_test(own_frames_do_not_come_back),
		cmocka_unit_test(flows_spread_and_stay),
		cmocka_unit_test(our_addresses_do_not_wander),
		cmocka_unit_test(a_lost_link_is_replaced),
		cmocka_unit_test(only_flows_of_the_lost_link_move),
		cmocka_unit_test(uplinks_come_and_go),
		cmocka_unit_test(what_tells_the_network_is_in_the_ports_vlan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
