/*
 * Two taps of one switch in one bridge of the kernel: the network that teams are made for.
 * In a network namespace of its own; where that, the bridge or the taps are not to be had,
 * it says so and is skipped.
 */
#include "net/guest_rig.h"

#include "dev/clock.h"
#include "net/tap.h"
#include "net/vswitch_priv.h"

#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#define TAPS 2u

static bool alone;
static struct clock *clk;
static struct vswitch *sw;
static struct port *uplink[TAPS];
static struct tap *tap[TAPS];
static const char *const names[TAPS] = { "gvteam0", "gvteam1" };

static int ctl(unsigned long what, void *arg)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	CHECK(s >= 0);
	rc = ioctl(s, what, arg);
	close(s);
	return rc;
}

static int set_up(const char *name, bool up)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ctl(SIOCGIFFLAGS, &ifr) < 0)
		return -1;
	ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	return ctl(SIOCSIFFLAGS, &ifr);
}

/* As "ip link set NAME carrier on|off". */
static int set_carrier(const char *name, bool there)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg ifi;
		struct nlattr a;
		uint8_t val, pad[3];
	} msg = {
		.h = { .nlmsg_len = sizeof(msg), .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.ifi = { .ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(name) },
		.a = { .nla_len = sizeof(msg.a) + 1, .nla_type = IFLA_CARRIER }, .val = there,
	};
	struct { struct nlmsghdr h; struct nlmsgerr e; uint8_t rest[256]; } ack = { 0 };
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), rc = -1;

	if (send(s, &msg, sizeof(msg), 0) == sizeof(msg) && recv(s, &ack, sizeof(ack), 0) > 0 && ack.e.error == 0)
		rc = 0;
	close(s);
	return rc;
}

/* The bridge with 10.9.9.1/24 of the host on it. */
static int make_bridge(void)
{
	struct ifreq ifr = { .ifr_name = "gvbr" };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(0x0a090901) } };

	if (ctl(SIOCBRADDBR, ifr.ifr_name) < 0)
		return -1;
	memcpy(&ifr.ifr_addr, &a, sizeof(a));
	if (ctl(SIOCSIFADDR, &ifr) < 0)
		return -1;
	a.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&ifr.ifr_netmask, &a, sizeof(a));
	return ctl(SIOCSIFNETMASK, &ifr) < 0 ? -1 : set_up("gvbr", true);
}

static int into_bridge(const char *name)
{
	struct ifreq ifr = { .ifr_name = "gvbr" };

	ifr.ifr_ifindex = (int)if_nametoindex(name);
	return ctl(SIOCBRADDIF, &ifr);
}

static int setup(void **s)
{
	struct vswitch_conf conf = { .kind = VSWITCH_EXTERNAL };
	struct port_conf pc = { .role = PORT_UPLINK };
	struct err err = { 0 };
	uint8_t b[64];

	(void)s;
	if (!alone || make_bridge() < 0) {
		print_message("no network namespace or no bridge here: %s\n", strerror(errno));
		return 0;
	}
	CHECK_EQ(clock_new(&clk), 0);
	CHECK_EQ(vswitch_new(&conf, clk, &sw, NULL), 0);
	rig_init(&rig);
	rig.ip = 0x0a090902;
	rig.gw = 0x0a090901;
	rig.lossy = true;
	guest_plug_in(sw, &(struct port_caps){ 0 });
	for (unsigned i = 0; i < TAPS; i++) {
		pc.name = names[i];
		CHECK_EQ(vswitch_port(sw, &pc, &uplink[i], NULL), 0);
		if (tap_new(names[i], uplink[i], &tap[i], &err) < 0 || into_bridge(names[i]) < 0) {
			print_message("no tap here: %s\n", err.msg);
			return 0;
		}
	}
	rig_send(&rig, b, rig_arp(&rig, b, 1, (const uint8_t[]){ 255, 255, 255, 255, 255, 255 }, rig.gw));
	CHECK(rig_wait(&rig, want_arp, 2));
	memcpy(rig.gw_mac, rig.got + 22, 6);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	if (guest == NULL)
		return 0;
	for (unsigned i = 0; i < TAPS; i++) {
		if (tap[i] != NULL)
			tap_free(tap[i]);
		vswitch_port_free(uplink[i]);
	}
	port_bind(guest, NULL, NULL, NULL);
	vswitch_port_free(guest);
	vswitch_free(sw);
	clock_free(clk);
	rig_drop_all(&rig);
	return 0;
}

/* ARP requests for this address, whoever sends them. */
static bool want_question(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	(void)r;
	return len >= 42 && rig_be16(f + 12) == 0x0806 && rig_be16(f + 20) == 1 && rig_be32(f + 38) == arg;
}

static unsigned count_for(unsigned ms, rig_want want, unsigned arg)
{
	unsigned n = 0;

	while (rig_wait_ms(&rig, want, arg, ms))
		n++;
	return n;
}

static void everything_arrives_once(void **s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(77), .sin_addr = { htonl(0x0a090963) } };
	int h = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct port_stats st;
	uint64_t own = 0;
	uint8_t b[64];

	(void)s;
	if (tap[TAPS - 1] == NULL)
		skip();
	CHECK(pings(&rig));
	/* What we ask everybody the bridge hands back to the other tap: it ends there. */
	rig_drop_all(&rig);
	rig_send(&rig, b, rig_arp(&rig, b, 1, (const uint8_t[]){ 255, 255, 255, 255, 255, 255 }, 0x0a090977));
	CHECK_EQ(count_for(200, want_question, 0x0a090977), 0);
	for (unsigned i = 0; i < TAPS; i++) {
		vswitch_port_stats(uplink[i], &st);
		own += st.drops[DROP_OWN];
	}
	CHECK(own >= 1);
	/* What the host asks everybody comes by both, and once to the guest. */
	CHECK_EQ(sendto(h, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
	CHECK_EQ(count_for(300, want_question, 0x0a090963), 1);
	close(h);
}

/* Pings until one comes back; ms since FROM. */
static unsigned until_pong(uint64_t from)
{
	uint8_t b[128];

	for (unsigned i = 0; i < 500; i++) {
		uint32_t n = echo(b, 8, RIG_L4);

		rig_send(&rig, b, rig_ip4(&rig, b, 1, rig.gw, n));
		if (rig_wait_ms(&rig, want_pong, 1, 20))
			return (unsigned)((base_monotonic_ns() - from) / 1000000);
	}
	return UINT32_MAX;
}

/*
 * The guest's pings until it no longer uses LOST, and for half a second more, as the bridge
 * may go on with a tap for a while; the longest time without an answer, in ms.
 */
static unsigned longest_silence(unsigned lost, unsigned *ret_moved)
{
	uint64_t begun = base_monotonic_ns(), last = begun, moved = 0, now = begun;
	unsigned worst = 0;

	while (now - (moved != 0 ? moved : begun) < (moved != 0 ? NS_PER_SEC / 2 : 3 * NS_PER_SEC)) {
		uint8_t b[128];
		uint32_t n = echo(b, 8, RIG_L4);

		rig_send(&rig, b, rig_ip4(&rig, b, 1, rig.gw, n));
		if (rig_wait_ms(&rig, want_pong, 1, 20)) {
			last = base_monotonic_ns();
			usleep(1000);
		}
		now = base_monotonic_ns();
		worst = (unsigned)max_u64(worst, (now - last) / 1000000);
		if (moved == 0 && vport_of(guest)->member != lost)
			moved = now;
	}
	*ret_moved = moved != 0 ? (unsigned)((moved - begun) / 1000000) : UINT32_MAX;
	return worst;
}

/* Takes the tap that the guest uses away, and gives it back, by SET. */
static void lose_one_and_another(int (*set)(const char *name, bool there), const char *how)
{
	for (unsigned round = 0; round < 4; round++) {
		uint8_t lost = vport_of(guest)->member;
		struct port_stats before, after;
		unsigned ms, moved;

		CHECK(lost < TAPS);
		CHECK(pings(&rig));
		vswitch_port_stats(uplink[lost], &before);
		CHECK_EQ(set(names[lost], false), 0);
		ms = longest_silence(lost, &moved);
		print_message("%s %s: %u ms without an answer, replaced after %u ms\n", names[lost], how, ms, moved);
		CHECK(ms < 1000);
		CHECK(moved < 2500);
		CHECK(pings(&rig));
		CHECK_EQ(set(names[lost], true), 0);
		CHECK(until_pong(base_monotonic_ns()) < 1000);
		/* It goes home, if that is its home. */
		for (unsigned i = 0; i < 500 && vport_of(guest)->member != vport_of(guest)->home; i++)
			usleep(10000);
		CHECK_EQ(vport_of(guest)->member, vport_of(guest)->home);
		CHECK(until_pong(base_monotonic_ns()) < 1000);
		vswitch_port_stats(uplink[lost], &after);
		CHECK(after.received > before.received);
	}
}

static void a_tap_that_goes_down_is_replaced(void **s)
{
	(void)s;
	if (tap[TAPS - 1] == NULL)
		skip();
	lose_one_and_another(set_up, "down");
}

static void a_tap_without_carrier_is_replaced(void **s)
{
	(void)s;
	if (tap[TAPS - 1] == NULL || set_carrier(names[0], true) < 0)
		skip();
	lose_one_and_another(set_carrier, "without carrier");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_arrives_once),
		cmocka_unit_test(a_tap_that_goes_down_is_replaced),
		cmocka_unit_test(a_tap_without_carrier_is_replaced),
	};

	alone = rig_alone();
	return cmocka_run_group_tests(tests, setup, teardown);
}
