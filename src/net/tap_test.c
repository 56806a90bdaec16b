#include "base/test.h"

#include "net/tap.c"		/* the file under test, statics and all */

#include "net/tcp_rig.h"

#define NAME "gvtap0"

static struct rig rig;
static struct tap *tap;

/* 10.9.9.1/24 for the host's end. */
static void give_address(void)
{
	struct ifreq ifr = { .ifr_name = NAME };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(0x0a090901) } };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(s >= 0);
	memcpy(&ifr.ifr_addr, &a, sizeof(a));
	CHECK_EQ(ioctl(s, SIOCSIFADDR, &ifr), 0);
	a.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&ifr.ifr_netmask, &a, sizeof(a));
	CHECK_EQ(ioctl(s, SIOCSIFNETMASK, &ifr), 0);
	close(s);
}

static int setup(void **s)
{
	struct err err = { 0 };
	uint8_t b[64];

	(void)s;
	rig_init(&rig);
	rig.ip = 0x0a090902;
	rig.gw = 0x0a090901;
	rig.lossy = true;
	if (tap_new(NAME, &rig.port, &tap, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	give_address();
	rig_send(&rig, b, rig_arp(&rig, b, 1, (const uint8_t[]){ 255, 255, 255, 255, 255, 255 }, rig.gw));
	CHECK(rig_wait(&rig, want_arp, 2));
	memcpy(rig.gw_mac, rig.got + 22, 6);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	tap_free(tap);
	CHECK(rig.client == NULL);
	rig_drop_all(&rig);
	return 0;
}

static void the_host_answers_pings(void **s)
{
	struct tap_stats st;

	(void)s;
	CHECK(pings(&rig));
	tap_stats(tap, &st);
	CHECK(st.tx >= 2 && st.rx >= 2);
	CHECK_EQ(st.tx_lost + st.rx_bad, 0);
}

/* The sum of the pseudo-header where the checksum will be, and none in the IPv4 header. */
static void sums_missing(uint8_t *b, uint32_t n)
{
	uint32_t sum = b[23] + n, at = RIG_L4 + rig_sum_at(b[23]);

	for (unsigned i = 26; i < 34; i += 2)
		sum += rig_be16(b + i);
	rig_put16(b + at, ~rig_sum(b, 0, sum) & 0xffff);
	rig_put16(b + 24, 0);
}

static void missing_checksums_are_made(void **s)
{
	struct net_frame as = { .flags = FRAME_SUM_UDP | FRAME_SUM_IP, .l4_at = RIG_L4 };
	unsigned port;
	int h = host_socket_at(SOCK_DGRAM, rig.gw, &port);
	uint8_t b[128], got[64];
	uint32_t len = rig_udp(&rig, b, 4000, rig.gw, port, "no sum", 6);

	(void)s;
	sums_missing(b, 14);
	rig_send_as(&rig, b, len, &as);
	CHECK_EQ(recv(h, got, sizeof(got), 0), 6);
	CHECK_MEM(got, "no sum", 6);
	close(h);
}

/* Both ways: one frame of 60000 bytes in, frames longer than 1514 bytes out. */
static void large_sends_pass_whole(void **s)
{
	static uint8_t b[65600], got[60000];
	struct net_frame as = { .flags = FRAME_SUM_TCP | FRAME_SUM_IP | FRAME_LSO4, .l4_at = RIG_L4, .mss = 1460 };
	unsigned port;
	int l = host_socket_at(SOCK_STREAM, rig.gw, &port), h;
	uint32_t len, at = 0, most = 0;
	struct tcp t;
	int room = 200000;

	(void)s;
	bulk_fill();
	tcp_open(&rig, &t, 5000, rig.gw, port);
	h = accept(l, NULL, NULL);
	CHECK(h >= 0);
	len = tcp_large(&rig, &t, b, sizeof(got));
	sums_missing(b, 20 + sizeof(got));
	rig_put16(b + 16, 0);				/* the length, too, is ours to write */
	rig_send_as(&rig, b, len, &as);
	CHECK_EQ(recv(h, got, sizeof(got), MSG_WAITALL), (ssize_t)sizeof(got));
	CHECK_MEM(got, bulk, sizeof(got));
	t.seq += (uint32_t)sizeof(got);
	CHECK_EQ(setsockopt(h, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	CHECK(send(h, bulk, 150000, MSG_DONTWAIT) > 100000);
	while (at < 100000) {
		CHECK(tcp_next(&rig, &t));
		CHECK_MEM(t.data, bulk + at, t.n);
		at += t.n;
		if (rig.got_len > 1514) {
			CHECK_EQ(rig.got_flags & (FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP),
				 FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP);
			CHECK_EQ(rig.got_mss, 1460);
		}
		most = rig.got_len > most ? rig.got_len : most;
	}
	CHECK(most > 1514);
	close(h);
	close(l);
}

/* What the switch does not take is kept and given again. */
static void frames_wait_for_room(void **s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(77), .sin_addr = { htonl(0x0a090902) } };
	int h = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)s;
	CHECK(pings(&rig));				/* it knows our address */
	pthread_mutex_lock(&rig.lock);
	rig.take = 0;
	pthread_mutex_unlock(&rig.lock);
	for (uint8_t i = 0; i < 100; i++)
		CHECK_EQ(sendto(h, &i, 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
	for (unsigned i = 0; i < 100; i++) {
		pthread_mutex_lock(&rig.lock);
		rig.take = i % 3 ? UINT32_MAX : 0;
		pthread_mutex_unlock(&rig.lock);
		rig.client->resume(rig.dev);
		while (!rig_wait_ms(&rig, want_udp, 77, 50)) {
			pthread_mutex_lock(&rig.lock);
			rig.take = 5;
			pthread_mutex_unlock(&rig.lock);
			rig.client->resume(rig.dev);
		}
		CHECK_EQ(rig.got[RIG_L4 + 8], i);
	}
	close(h);
}

static void hostile_frames_do_no_harm(void **s)
{
	static uint8_t b[NET_LSO_MAX];
	uint32_t seed = 3;

	(void)s;
	for (unsigned i = 0; i < 20000; i++) {
		struct net_frame as = { 0 };
		uint32_t n = i % 100 ? 14 + i % 300 : 14 + i * 3 % (NET_LSO_MAX - 14);

		for (unsigned j = 0; j < 64; j++)
			b[j] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
		rig_put16(b + 12, i & 1 ? 0x0800 : i & 2 ? 0x86dd : 0x8100);
		as.flags = seed >> 8;
		as.l4_at = (uint16_t)(seed >> (i & 16));
		as.mss = (uint16_t)(seed >> 7);
		rig_send_as(&rig, b, n, &as);
	}
	CHECK(pings(&rig));
}

/* What the kernel could say before a frame, and what it could not. */
static void contradictions_are_refused(void **s)
{
	static uint8_t b[2000];
	struct virtio_net_hdr v = { 0 };
	struct net_frame f;
	struct iovec iov;

	(void)s;
	CHECK(!frame_of(&v, b, 13, &iov, &f));
	CHECK(frame_of(&v, b, 14, &iov, &f));
	CHECK_EQ(f.flags, 0);
	v = (struct virtio_net_hdr){ .flags = 1, .csum_start = 34, .csum_offset = 16 };
	CHECK(!frame_of(&v, b, 51, &iov, &f));
	CHECK(frame_of(&v, b, 52, &iov, &f));
	CHECK_EQ(f.flags, FRAME_SUM_TCP);
	v.csum_offset = 5;
	CHECK(!frame_of(&v, b, 2000, &iov, &f));
	v = (struct virtio_net_hdr){ .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 1 };
	CHECK(!frame_of(&v, b, 2000, &iov, &f));
	v.flags = 1;
	v.csum_offset = 16;
	CHECK(frame_of(&v, b, 2000, &iov, &f));
	v.gso_size = 0;
	CHECK(!frame_of(&v, b, 2000, &iov, &f));
	v.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	CHECK(!frame_of(&v, b, 2000, &iov, &f));
}

static void names_and_refusals(void **s)
{
	char name[TAP_NAME_MAX + 1] = "same";
	struct err err;
	struct tap *other = NULL;

	(void)s;
	CHECK_EQ(tap_parse("tap=br0.tap-1", name, &err), 0);
	CHECK_STR(name, "br0.tap-1");
	CHECK_EQ(tap_parse("tap=", name, &err), -EINVAL);
	CHECK_EQ(tap_parse("tap=a23456789012345", name, &err), 0);
	CHECK_EQ(tap_parse("tap=a234567890123456", name, &err), -EINVAL);
	CHECK_STR(err.msg, "tap=a234567890123456: a name has 1 to 15 letters");
	CHECK_EQ(tap_parse("tap=a%d", name, &err), -EINVAL);
	CHECK_STR(err.msg, "tap=a%d: '%' cannot be in an interface's name");
	CHECK_EQ(tap_parse("nat", name, &err), -EINVAL);
	CHECK_EQ(tap_new("lo", &rig.port, &other, &err), -EINVAL);
	CHECK_STR(err.msg, "tap=lo: not a tap interface, or one of several queues");
	CHECK_EQ(tap_new(NAME, &rig.port, &other, &err), -EBUSY);
	for (unsigned i = 1; i <= 2; i++) {
		base_fail_alloc(i);
		CHECK_EQ(tap_new("gvtap1", &rig.port, &other, &err), -ENOMEM);
	}
	base_fail_alloc(0);
	CHECK(other == NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(the_host_answers_pings),
		T(missing_checksums_are_made),
		T(large_sends_pass_whole),
		T(frames_wait_for_room),
		T(hostile_frames_do_no_harm),
		cmocka_unit_test(contradictions_are_refused),
		T(names_and_refusals),
	};
	int fd;

	if (!rig_alone() || (fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC)) < 0) {
		printf("no network namespace of our own, or no /dev/net/tun\n");
		return 77;
	}
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
