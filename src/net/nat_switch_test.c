/* A guest and a NAT on one switch: what each says of its frames is what the other gets. */
#include "net/guest_rig.h"

#include "dev/clock.h"

static struct clock *clk;
static struct vswitch *sw;
static struct port *gateway;

static void begin(uint32_t takes)
{
	struct vswitch_conf conf = { .kind = VSWITCH_NAT };
	struct port_conf pc = { .name = "nat", .role = PORT_HOST, .mac = { 0x52, 0x55, 10, 0, 2, 2 },
				.policy.mac_spoofing = true };
	struct port_caps caps = { .flags = takes };
	struct nat_conf nc;

	CHECK_EQ(clock_new(&clk), 0);
	CHECK_EQ(vswitch_new(&conf, clk, &sw, NULL), 0);
	CHECK_EQ(vswitch_port(sw, &pc, &gateway, NULL), 0);
	rig_init(&rig);
	guest_plug_in(sw, &caps);
	nat_conf_init(&nc);
	nc.host_loopback = true;
	CHECK_EQ(nat_new(&nc, gateway, &rig.nat, NULL), 0);
}

static void end(void)
{
	nat_free(rig.nat);
	port_bind(guest, NULL, NULL, NULL);
	vswitch_port_free(gateway);
	vswitch_port_free(guest);
	vswitch_free(sw);
	clock_free(clk);
	rig_drop_all(&rig);
	CHECK_EQ(rig.lost, 0);
}

/* A megabyte to the guest; the longest frame. */
static uint32_t megabyte(void)
{
	struct tcp t = { 0 };
	struct sender x;
	unsigned port;
	int l = host_socket(SOCK_STREAM, &port);
	uint32_t most = 0;

	bulk_fill();
	tcp_open(&rig, &t, 5000, rig.gw, port);
	x.fd = accept(l, NULL, NULL);
	CHECK(x.fd >= 0);
	CHECK_EQ(pthread_create(&x.thread, NULL, send_bulk, &x), 0);
	for (size_t at = 0; at < sizeof(bulk); at += t.n) {
		CHECK(tcp_next(&rig, &t));
		CHECK(at + t.n <= sizeof(bulk));
		CHECK_MEM(t.data, bulk + at, t.n);
		most = rig.got_len > most ? rig.got_len : most;
	}
	pthread_join(x.thread, NULL);
	close(x.fd);
	close(l);
	return most;
}

static void a_guest_that_takes_nothing_gets_common_frames(void **s)
{
	(void)s;
	begin(0);
	CHECK(pings(&rig));
	CHECK_EQ(megabyte(), 1514);
	end();
}

static void a_guest_that_takes_large_sends_gets_them(void **s)
{
	(void)s;
	begin(PORT_TAKES_SUM | PORT_TAKES_LSO4);
	CHECK(pings(&rig));
	CHECK(megabyte() > 10000);
	end();
}

/* As an adapter gives it: sums and lengths missing, 60000 bytes at once. */
static void a_large_send_of_a_guest_reaches_the_host(void **s)
{
	static uint8_t b[65600], got[60000];
	struct net_frame as = { .flags = FRAME_SUM_TCP | FRAME_SUM_IP | FRAME_LSO4, .l4_at = RIG_L4, .mss = 1460 };
	struct tcp t = { 0 };
	unsigned port;
	int l = host_socket(SOCK_STREAM, &port), h;
	uint32_t len;

	(void)s;
	begin(0);
	bulk_fill();
	tcp_open(&rig, &t, 5001, rig.gw, port);
	h = accept(l, NULL, NULL);
	CHECK(h >= 0);
	len = tcp_large(&rig, &t, b, sizeof(got));
	rig_put16(b + 16, 0);
	rig_put16(b + 24, 0);
	rig_put16(b + RIG_L4 + 16, 0);
	rig_send_as(&rig, b, len, &as);
	CHECK_EQ(recv(h, got, sizeof(got), MSG_WAITALL), (ssize_t)sizeof(got));
	CHECK_MEM(got, bulk, sizeof(got));
	close(h);
	close(l);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_that_takes_nothing_gets_common_frames),
		cmocka_unit_test(a_guest_that_takes_large_sends_gets_them),
		cmocka_unit_test(a_large_send_of_a_guest_reaches_the_host),
	};

	rig_alone();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
