#include "base/test.h"

#include "base/err.h"
#include "base/le.h"
#include "dev/clock.h"
#include "net/vswitch_rig.h"
#include "net/vswitch_priv.h"

static struct rig r;

static void udp(uint64_t dst, uint64_t src)
{
	craft_udp4(&r.c, dst, src, 100);
}

static void frames_go_where_their_address_is(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 4);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 4; k++) {
			udp(RIG_MAC(k), RIG_MAC(i));
			CHECK_EQ(rig_reach(&r, i), i == k ? 0 : 1 << k);
			if (i != k)
				CHECK_MEM(r.p[k].b[(r.p[k].nr - 1) % RIG_KEEP], r.c.b, r.c.n);
		}
	CHECK_EQ(rig_drops(&r, 0, DROP_NOWHERE), 1);
	udp(RIG_ALL, RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 0xd);
	udp(0x01005e000001, RIG_MAC(2));
	CHECK_EQ(rig_reach(&r, 2), 0xb);
	/* Nobody overhears what is for an unknown address. */
	udp(0x020000000001, RIG_MAC(2));
	CHECK_EQ(rig_reach(&r, 2), 0);
	rig_free(&r);
}

static void spoofing_is_off_by_default(void **s)
{
	struct port_policy spoof = { .mac_spoofing = true };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	udp(RIG_MAC(1), RIG_MAC(2));
	CHECK_EQ(rig_reach(&r, 0), 0);
	udp(RIG_ALL, 0x020000000001);
	CHECK_EQ(rig_reach(&r, 0), 0);
	CHECK_EQ(rig_drops(&r, 0, DROP_MAC_SPOOF), 2);
	rig_policy(&r, 0, &spoof);
	CHECK_EQ(rig_reach(&r, 0), 6);
	/* Learned, and now reachable; so is what it never sent from. */
	udp(0x020000000001, RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 1);
	udp(0x020000000002, RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 1);
	/* But it cannot take over the address of another port. */
	udp(RIG_ALL, RIG_MAC(2));
	rig_reach(&r, 0);
	udp(RIG_MAC(2), RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 4);
	/* Not even the one who may spoof sends from a group address. */
	udp(RIG_ALL, 0x030000000001);
	CHECK_EQ(rig_reach(&r, 0), 0);
	CHECK_EQ(rig_drops(&r, 0, DROP_BAD), 1);
	rig_free(&r);
}

static void each_kind_has_its_ports(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 1);
	CHECK_EQ(rig_add(&r, 1, PORT_HOST, NULL), -EINVAL);
	CHECK_EQ(rig_add(&r, 1, PORT_UPLINK, NULL), -EINVAL);
	rig_free(&r);
	rig_new(&r, VSWITCH_INTERNAL, 1);
	CHECK_EQ(rig_add(&r, 1, PORT_HOST, NULL), 0);
	CHECK_EQ(rig_add(&r, 2, PORT_HOST, NULL), -EINVAL);
	CHECK_EQ(rig_add(&r, 2, PORT_UPLINK, NULL), -EINVAL);
	udp(RIG_MAC(1), RIG_MAC(0));
	CHECK_EQ(rig_reach(&r, 0), 2);
	rig_free(&r);
	rig_new(&r, VSWITCH_NAT, 2);
	CHECK_EQ(rig_add(&r, 2, PORT_HOST, NULL), 0);
	CHECK_EQ(rig_add(&r, 3, PORT_UPLINK, NULL), -EINVAL);
	rig_free(&r);
}

static void an_external_switch_learns_from_its_uplink(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_EXTERNAL, 2);
	CHECK_EQ(rig_add(&r, 2, PORT_UPLINK, NULL), 0);
	CHECK_EQ(rig_add(&r, 3, PORT_HOST, NULL), 0);
	CHECK_EQ(rig_add(&r, 4, PORT_HOST, NULL), -EINVAL);
	udp(0x020000000001, RIG_MAC(0));
	CHECK_EQ(rig_reach(&r, 0), 4);		/* unknown: out, and to nobody else */
	udp(RIG_MAC(1), 0x020000000001);
	CHECK_EQ(rig_reach(&r, 2), 2);
	udp(0x020000000009, 0x020000000001);	/* not for us */
	CHECK_EQ(rig_reach(&r, 2), 0);
	udp(RIG_ALL, 0x020000000001);
	CHECK_EQ(rig_reach(&r, 2), 0xb);
	/* An adapter's address from outside changes nothing. */
	udp(RIG_ALL, RIG_MAC(1));
	rig_reach(&r, 2);
	udp(RIG_MAC(1), RIG_MAC(0));
	CHECK_EQ(rig_reach(&r, 0), 2);
	/* Tags pass an uplink, but not to who is in no VLAN. */
	udp(RIG_ALL, 0x020000000001);
	CHECK(rig_send_tagged(&r, 2, 5));
	CHECK_EQ(r.p[0].nr + r.p[1].nr + r.p[3].nr, 8);
	rig_free(&r);
}

static void learned_addresses_age(void **s)
{
	struct port_policy spoof = { .mac_spoofing = true };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	rig_policy(&r, 0, &spoof);
	rig_policy(&r, 1, &spoof);
	udp(RIG_MAC(2), 0x020000000001);
	rig_reach(&r, 0);
	udp(0x020000000001, RIG_MAC(2));
	CHECK_EQ(rig_reach(&r, 2), 1);
	clock_step(r.clock, 300 * NS_PER_SEC);
	CHECK_EQ(rig_reach(&r, 2), 1);
	clock_step(r.clock, 1);
	CHECK_EQ(rig_reach(&r, 2), 3);		/* unknown again: to both that may have it */
	rig_free(&r);
}

static void addresses_are_one_ports_only(void **s)
{
	struct port_conf c = { .name = "x", .mac = { 0, 0x15, 0x5d, 0, 0, 1 } };
	struct port_policy vlan5 = { .vlan.id = 5 };
	struct port *p = NULL;
	struct err err;

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	CHECK_EQ(vswitch_port(r.sw, &c, &p, &err), -EEXIST);
	CHECK(strstr(err.msg, "00-15-5d-00-00-01") != NULL);
	c.policy = vlan5;
	CHECK_EQ(vswitch_port(r.sw, &c, &p, &err), 0);
	/* It cannot come into the other's VLAN later, and keeps what it had. */
	CHECK_EQ(vswitch_set_policy(p, &(struct port_policy){ 0 }, &err), -EEXIST);
	CHECK_EQ(vport_of(p)->policy.vlan.id, 5);
	vswitch_port_free(p);
	c.mac[0] = 1;
	CHECK_EQ(vswitch_port(r.sw, &c, &p, &err), -EINVAL);
	memset(c.mac, 0, 6);
	CHECK_EQ(vswitch_port(r.sw, &c, &p, &err), -EINVAL);
	rig_free(&r);
}

static void vlans_do_not_meet(void **s)
{
	struct port_policy a = { .vlan.id = 5 }, t = { .vlan.mode = VLAN_TRUNK };

	(void)s;
	vlan_allow(&t.vlan, 5);
	vlan_allow(&t.vlan, 6);
	rig_new(&r, VSWITCH_PRIVATE, 5);
	rig_policy(&r, 1, &a);
	rig_policy(&r, 2, &a);
	rig_policy(&r, 3, &t);
	udp(RIG_ALL, RIG_MAC(0));
	CHECK_EQ(rig_reach(&r, 0), 0x18);	/* the trunk's native VLAN is the untagged one */
	udp(RIG_ALL, RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 0xc);
	CHECK_EQ(r.p[3].f[1].flags, FRAME_TAGGED);
	CHECK_EQ(r.p[3].f[1].tci, 5);
	CHECK_EQ(r.p[2].f[0].flags, 0);
	udp(RIG_MAC(0), RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 0);
	CHECK_EQ(rig_drops(&r, 1, DROP_NOWHERE), 1);
	udp(RIG_MAC(3), RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 8);
	/* Priority survives, the tag does not. */
	udp(RIG_MAC(1), RIG_MAC(3));
	CHECK(rig_send_tagged(&r, 3, 0xa005));
	CHECK_EQ(r.p[1].nr, 1);
	CHECK_EQ(r.p[1].f[0].flags, 0);
	CHECK(rig_send_tagged(&r, 3, 7));
	CHECK_EQ(rig_drops(&r, 3, DROP_VLAN), 1);
	/* In the bytes it counts the same. */
	craft_tag(&r.c, 0x8100, 6);
	CHECK_EQ(rig_reach(&r, 3), 0);
	udp(RIG_MAC(1), RIG_MAC(3));
	craft_tag(&r.c, 0x8100, 5);
	CHECK_EQ(rig_reach(&r, 3), 2);
	udp(RIG_MAC(1), RIG_MAC(2));
	craft_tag(&r.c, 0x8100, 5);
	CHECK_EQ(rig_reach(&r, 2), 0);
	CHECK_EQ(rig_drops(&r, 2, DROP_VLAN), 1);
	rig_free(&r);
}

static void private_vlans_share_addresses_but_not_frames(void **s)
{
	struct port_policy all = { .vlan = { .mode = VLAN_PROMISCUOUS, .primary = 10 } };
	struct port_policy iso = { .vlan = { .mode = VLAN_ISOLATED, .primary = 10, .id = 11 } };
	struct port_policy com = { .vlan = { .mode = VLAN_COMMUNITY, .primary = 10, .id = 12 } };

	(void)s;
	vlan_allow(&all.vlan, 11);
	vlan_allow(&all.vlan, 12);
	rig_new(&r, VSWITCH_PRIVATE, 5);
	rig_policy(&r, 0, &all);
	rig_policy(&r, 1, &iso);
	rig_policy(&r, 2, &iso);
	rig_policy(&r, 3, &com);
	rig_policy(&r, 4, &com);
	for (unsigned i = 0; i < 5; i++) {
		static const unsigned reach[] = { 0x1e, 0x01, 0x01, 0x11, 0x09 };

		udp(RIG_ALL, RIG_MAC(i));
		CHECK_EQ(rig_reach(&r, i), reach[i]);
		for (unsigned k = 0; k < 5; k++) {
			udp(RIG_MAC(k), RIG_MAC(i));
			CHECK_EQ(rig_reach(&r, i), reach[i] & 1 << k);
		}
	}
	rig_free(&r);
}

static void guards_stop_at_the_port_that_has_them(void **s)
{
	struct port_policy g = { .guard = { .dhcp = true, .router = true, .addr = true } };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	rig_policy(&r, 0, &g);
	for (unsigned i = 0; i < 2; i++) {
		craft_eth(&r.c, RIG_ALL, RIG_MAC(i), ETH_IP4);
		craft_ip4(&r.c, 1, 2, IP_UDP);
		craft_udp(&r.c, 67, 68);
		craft_done(&r.c);
		CHECK_EQ(rig_reach(&r, i), i == 0 ? 0 : 5);
		craft_arp(&r.c, RIG_ALL, RIG_MAC(i), 2, 1, 2);
		r.c.b[27] ^= 1;
		CHECK_EQ(rig_reach(&r, i), i == 0 ? 0 : 5);
		craft_eth(&r.c, RIG_ALL, RIG_MAC(i), ETH_IP6);
		craft_ip6(&r.c, 1, 2, IP_ICMP6);
		craft_icmp(&r.c, 134, 0);
		craft_done(&r.c);
		CHECK_EQ(rig_reach(&r, i), i == 0 ? 0 : 5);
	}
	CHECK_EQ(rig_drops(&r, 0, DROP_DHCP_GUARD), 1);
	CHECK_EQ(rig_drops(&r, 0, DROP_ADDR_SPOOF), 1);
	CHECK_EQ(rig_drops(&r, 0, DROP_ROUTER_GUARD), 1);
	rig_free(&r);
}

static void no_room_keeps_the_frame_with_its_sender(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	r.p[1].room = 1;
	udp(RIG_MAC(1), RIG_MAC(0));
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[1].ends, 1);
	CHECK(!rig_send(&r, 0, 0));
	CHECK_EQ(r.p[1].ends, 1);
	CHECK_EQ(r.p[0].resumes, 0);
	r.p[1].room = UINT32_MAX;
	port_room(r.p[1].port);
	CHECK_EQ(r.p[0].resumes, 1);
	CHECK_EQ(r.p[2].resumes, 0);
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[1].nr, 2);
	CHECK_EQ(rig_drops(&r, 1, DROP_NO_ROOM), 0);
	/* A broadcast waits for nobody. */
	r.p[1].room = 0;
	udp(RIG_ALL, RIG_MAC(0));
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[2].nr, 1);
	CHECK_EQ(rig_drops(&r, 1, DROP_NO_ROOM), 1);
	rig_free(&r);
}

static void who_never_drains_is_given_up(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	r.p[1].room = 0;
	udp(RIG_MAC(1), RIG_MAC(0));
	CHECK(!rig_send(&r, 0, 0));
	clock_step(r.clock, HOLD_ONE_NS - 1);
	CHECK_EQ(r.p[0].resumes, 0);
	CHECK(!rig_send(&r, 0, 0));
	clock_step(r.clock, 1);
	CHECK_EQ(r.p[0].resumes, 1);		/* by the clock: the receiver is silent */
	for (unsigned i = 0; i < 1000; i++)
		CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(rig_drops(&r, 1, DROP_NO_ROOM), 1000);
	r.p[1].room = UINT32_MAX;
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[1].nr, 1);
	rig_free(&r);
}

/* Two alone have no neighbours: nothing is lost, however long it takes. */
static void two_alone_wait(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	r.p[1].room = 0;
	for (unsigned ms = 0; ms < 1000; ms++) {
		udp(RIG_MAC(1), RIG_MAC(0));
		CHECK(!rig_send(&r, 0, 0));
		clock_step(r.clock, 1000000);
	}
	CHECK(r.p[0].resumes >= 150);		/* who forgets to call port_room is asked again */
	CHECK_EQ(rig_drops(&r, 1, DROP_NO_ROOM), 0);
	r.p[1].room = UINT32_MAX;
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[1].nr, 1);
	rig_free(&r);
}

/* Two machines that have no room for each other do not stand still for good. */
static void two_machines_do_not_wait_for_ever(void **s)
{
	unsigned taken[2] = { 0 };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	r.p[0].room = r.p[1].room = 0;
	for (unsigned ms = 0; ms < 1100; ms++) {
		for (unsigned i = 0; i < 2; i++) {
			udp(RIG_MAC(1 - i), RIG_MAC(i));
			taken[i] += rig_send(&r, i, 0);
		}
		clock_step(r.clock, 1000000);
	}
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(taken[i], 100);		/* and lost, so that what is behind it can be read */
		CHECK_EQ(rig_drops(&r, i, DROP_NO_ROOM), 100);
	}
	rig_free(&r);
}

static void a_machine_and_its_way_out_do(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_INTERNAL, 1);
	CHECK_EQ(rig_add(&r, 1, PORT_HOST, NULL), 0);
	r.p[0].room = 0;
	for (unsigned ms = 0; ms < 3000; ms++) {
		udp(RIG_MAC(0), RIG_MAC(1));
		CHECK(!rig_send(&r, 1, 0));
		clock_step(r.clock, 1000000);
	}
	r.p[0].room = UINT32_MAX;
	CHECK(rig_send(&r, 1, 0));
	CHECK_EQ(r.p[0].nr, 1);
	rig_free(&r);
}

/* One that drains a frame every 4 ms could hold its senders for ever; it may a tenth of the time. */
static void who_drains_a_little_holds_a_tenth_of_the_time(void **s)
{
	uint64_t held = 0;

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	r.p[1].room = 0;
	for (unsigned ms = 0; ms < 1000; ms++) {
		udp(RIG_MAC(1), RIG_MAC(0));
		if (!rig_send(&r, 0, 0))
			held++;
		clock_step(r.clock, 1000000);
		if (ms % 4 == 3) {
			r.p[1].room = 0;
			port_room(r.p[1].port);
		}
	}
	CHECK(held >= 40);
	CHECK(held <= 130);
	rig_free(&r);
}

/* port_room comes after the owner said no and before the sender is noted as waiting. */
static int racing_deliver(void *dev, const struct net_frame *f)
{
	struct vport *p = vport_of(r.p[1].port);

	(void)f;
	(void)dev;
	if (r.p[1].refused++ > 0)
		return 0;
	atomic_fetch_add(&p->room_seq, 1);	/* what port_room does, as far as a sender sees */
	return -EAGAIN;
}

static void a_wakeup_that_comes_too_early_is_not_lost(void **s)
{
	static const struct port_client c = { .deliver = racing_deliver };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	port_bind(r.p[1].port, &c, NULL, NULL);
	udp(RIG_MAC(1), RIG_MAC(0));
	CHECK(rig_send(&r, 0, 0));
	CHECK_EQ(r.p[1].refused, 2);
	rig_free(&r);
}

static void links_and_owners_come_and_go(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	CHECK_EQ(r.p[1].links, 1);
	CHECK(r.p[1].up);
	vswitch_set_link(r.p[1].port, false);
	CHECK(!r.p[1].up);
	udp(RIG_MAC(1), RIG_MAC(0));
	CHECK_EQ(rig_reach(&r, 0), 0);
	udp(RIG_MAC(0), RIG_MAC(1));
	CHECK_EQ(rig_reach(&r, 1), 0);
	CHECK_EQ(rig_drops(&r, 1, DROP_LINK), 1);
	vswitch_set_link(r.p[1].port, true);
	CHECK_EQ(r.p[1].links, 3);
	CHECK_EQ(rig_reach(&r, 1), 1);
	port_bind(r.p[0].port, NULL, NULL, NULL);
	CHECK_EQ(rig_reach(&r, 1), 0);
	vswitch_port_free(r.p[0].port);
	r.p[0].port = NULL;
	CHECK_EQ(rig_reach(&r, 1), 0);
	CHECK_EQ(rig_add(&r, 0, PORT_ADAPTER, NULL), 0);
	CHECK_EQ(rig_reach(&r, 1), 1);
	rig_free(&r);
}

static void offloads_are_completed_for_each_receiver(void **s)
{
	struct port_caps plain = { 0 };

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	port_set_caps(r.p[2].port, &plain);
	craft_eth(&r.c, RIG_ALL, RIG_MAC(0), ETH_IP4);
	craft_ip4(&r.c, 1, 2, IP_TCP);
	craft_tcp(&r.c, 1, 2, 0);
	craft_bytes(&r.c, NULL, 5000);
	craft_done(&r.c);
	CHECK(rig_send(&r, 0, FRAME_LSO4));
	CHECK_EQ(r.p[1].nr, 1);
	CHECK_EQ(r.p[1].f[0].flags, FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP);
	CHECK_EQ(r.p[2].nr, 5);
	CHECK_EQ(r.p[2].ends, 1);
	for (unsigned i = 0; i < 5; i++)
		CHECK(craft_sums_right(r.p[2].b[i], r.p[2].f[i].len));
	/* In the middle of the segments there is no room: the rest is lost, not sent twice. */
	craft_eth(&r.c, RIG_MAC(2), RIG_MAC(0), ETH_IP4);
	craft_ip4(&r.c, 1, 2, IP_TCP);
	craft_tcp(&r.c, 1, 2, 0);
	craft_bytes(&r.c, NULL, 5000);
	r.p[2].room = 3;
	CHECK(rig_send(&r, 0, FRAME_LSO4));
	CHECK_EQ(r.p[2].nr, 8);
	CHECK_EQ(rig_drops(&r, 2, DROP_NO_ROOM), 1);
	/* A guest's word that does not fit its frame. */
	CHECK(rig_send(&r, 0, FRAME_LSO6));
	CHECK_EQ(rig_drops(&r, 0, DROP_BAD), 1);
	rig_free(&r);
}

static void a_batch_stops_at_the_first_that_has_no_room(void **s)
{
	struct craft other;
	struct net_frame f[4];

	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 3);
	r.p[1].room = 1;
	udp(RIG_MAC(1), RIG_MAC(0));
	craft_udp4(&other, RIG_MAC(2), RIG_MAC(0), 5);
	f[0] = f[2] = craft_frame(&r.c, 0);
	f[1] = f[3] = craft_frame(&other, 0);
	CHECK_EQ(port_send(r.p[0].port, f, 4), 2);
	CHECK_EQ(r.p[1].nr, 1);
	CHECK_EQ(r.p[2].nr, 1);
	CHECK_EQ(r.p[2].ends, 1);
	CHECK_EQ(port_send(r.p[0].port, f, 0), 0);
	rig_free(&r);
}

static void what_ends_at_a_bridge_ends_here(void **s)
{
	(void)s;
	rig_new(&r, VSWITCH_PRIVATE, 2);
	for (unsigned i = 0; i < 17; i++) {
		udp(UINT64_C(0x0180c2000000) + i, RIG_MAC(0));
		CHECK_EQ(rig_reach(&r, 0), i < 16 ? 0 : 2);
	}
	CHECK_EQ(rig_drops(&r, 0, DROP_RESERVED), 16);
	rig_free(&r);
}

static void every_allocation_may_fail(void **s)
{
	struct vswitch_conf conf = { 0 };
	struct port_conf pc = { .name = "x", .mac = { 2 } };
	struct vswitch *sw = NULL;
	struct port *p = NULL;
	struct clock *c;
	int rc = -ENOMEM;

	(void)s;
	CHECK_EQ(clock_new_manual(&c), 0);
	for (unsigned i = 1; rc != 0; i++) {
		CHECK(i < 10);
		base_fail_alloc(i);
		rc = vswitch_new(&conf, c, &sw, NULL);
		CHECK(rc == 0 || rc == -ENOMEM);
	}
	base_fail_alloc(1);
	CHECK_EQ(vswitch_port(sw, &pc, &p, NULL), -ENOMEM);
	base_fail_alloc(0);
	CHECK_EQ(vswitch_port(sw, &pc, &p, NULL), 0);
	vswitch_port_free(p);
	vswitch_free(sw);
	clock_free(c);
}

static void every_drop_has_a_name(void **s)
{
	(void)s;
	for (int i = 0; i < DROP_NR; i++)
		CHECK(vswitch_drop_name((enum drop)i) != NULL);
	CHECK_STR(vswitch_drop_name(DROP_NR), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_where_their_address_is),
		cmocka_unit_test(spoofing_is_off_by_default),
		cmocka_unit_test(each_kind_has_its_ports),
		cmocka_unit_test(an_external_switch_learns_from_its_uplink),
		cmocka_unit_test(learned_addresses_age),
		cmocka_unit_test(addresses_are_one_ports_only),
		cmocka_unit_test(vlans_do_not_meet),
		cmocka_unit_test(private_vlans_share_addresses_but_not_frames),
		cmocka_unit_test(guards_stop_at_the_port_that_has_them),
		cmocka_unit_test(no_room_keeps_the_frame_with_its_sender),
		cmocka_unit_test(who_never_drains_is_given_up),
		cmocka_unit_test(two_alone_wait),
		cmocka_unit_test(two_machines_do_not_wait_for_ever),
		cmocka_unit_test(a_machine_and_its_way_out_do),
		cmocka_unit_test(who_drains_a_little_holds_a_tenth_of_the_time),
		cmocka_unit_test(a_wakeup_that_comes_too_early_is_not_lost),
		cmocka_unit_test(links_and_owners_come_and_go),
		cmocka_unit_test(offloads_are_completed_for_each_receiver),
		cmocka_unit_test(a_batch_stops_at_the_first_that_has_no_room),
		cmocka_unit_test(what_ends_at_a_bridge_ends_here),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(every_drop_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
