#include "base/test.h"

#include "net/tcp_rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define FILES 1024u

/* Set by main; without it nothing is sent that could leave the host. */
static bool alone;

static struct rig rig;
static char dir[] = "/tmp/nat_test_XXXXXX";

static int begin(void **s, const char *text)
{
	struct nat_conf c;
	struct err err = { 0 };

	rig_init(&rig);
	if (nat_parse(text, &c, &err) < 0 || nat_new(&c, &rig.port, &rig.nat, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	*s = &rig;
	return 0;
}

static int setup(void **s)
{
	char text[128];

	snprintf(text, sizeof(text), "nat,hostloopback=on,tftp=%s,bootfile=pxe/first.0", dir);
	return begin(s, text);
}

static int teardown(void **s)
{
	(void)s;
	nat_free(rig.nat);
	CHECK(rig.client == NULL);
	rig_drop_all(&rig);
	CHECK_EQ(rig.lost, 0);
	return 0;
}

static bool answers_arp(uint32_t who)
{
	uint8_t b[64];

	rig_send(&rig, b, rig_arp(&rig, b, 1, (const uint8_t[]){ 255, 255, 255, 255, 255, 255 }, who));
	return rig_wait_ms(&rig, want_arp, 2, who == rig.gw || who == rig.gw + 1 ? RIG_WAIT_S * 1000 : 150);
}

static void the_gateway_and_the_name_server_have_addresses(void **s)
{
	(void)s;
	CHECK(answers_arp(rig.gw));
	CHECK_MEM(rig.got + 22, rig.gw_mac, 6);
	CHECK_EQ(rig_be32(rig.got + 28), rig.gw);
	CHECK(rig.got_flags & FRAME_SUM_OK);
	CHECK(answers_arp(rig.gw + 1));
	CHECK(!answers_arp(rig.gw + 2));
}

/* Option CODE of the DHCP message in rig.got, or NULL. */
static const uint8_t *dhcp_option(unsigned code)
{
	uint32_t at = RIG_L4 + 8 + 240;

	while (at + 2 < rig.got_len && rig.got[at] != 255) {
		if (rig.got[at] == code)
			return rig.got + at + 2;
		at += rig.got[at] == 0 ? 1 : 2u + rig.got[at + 1];
	}
	return NULL;
}

static void dhcp_send(unsigned type, uint32_t wanted)
{
	uint8_t m[300] = { 1, 1, 6, 0, 0xaa, 0xbb, 0xcc, 0xdd, [10] = 0x80 }, b[400];
	uint32_t ip = rig.ip;

	memcpy(m + 28, rig.mac, 6);
	memcpy(m + 236, (const uint8_t[]){ 0x63, 0x82, 0x53, 0x63, 53, 1, (uint8_t)type }, 7);
	if (wanted != 0) {
		memcpy(m + 243, (const uint8_t[]){ 50, 4 }, 2);
		rig_put32(m + 245, wanted);
		memcpy(m + 249, (const uint8_t[]){ 54, 4 }, 2);
		rig_put32(m + 251, rig.gw);
		m[255] = 255;
	} else {
		m[243] = 255;
	}
	rig.ip = 0;
	rig_send(&rig, b, rig_udp(&rig, b, 68, UINT32_MAX, 67, m, sizeof(m)));
	rig.ip = ip;
}

static void dhcp_gives_an_address_and_the_boot_file(void **s)
{
	const uint8_t *m = rig.got + RIG_L4 + 8;

	(void)s;
	dhcp_send(1, 0);
	CHECK(rig_wait(&rig, want_udp, 68));
	CHECK_EQ(*dhcp_option(53), 2);			/* offer */
	CHECK_EQ(rig_be32(m + 16), rig.gw - NAT_GATEWAY + NAT_DHCP_FIRST);
	dhcp_send(3, rig_be32(m + 16));
	CHECK(rig_wait(&rig, want_udp, 68));
	CHECK_EQ(*dhcp_option(53), 5);			/* acknowledged */
	CHECK_EQ(rig_be32(m + 16), rig.gw - NAT_GATEWAY + NAT_DHCP_FIRST);
	CHECK_EQ(rig_be32(dhcp_option(1)), 0xffffff00);
	CHECK_EQ(rig_be32(dhcp_option(3)), rig.gw);
	CHECK_EQ(rig_be32(dhcp_option(6)), rig.gw + 1);
	CHECK_EQ(rig_be32(dhcp_option(54)), rig.gw);
	CHECK_EQ(rig_be32(m + 20), rig.gw);		/* where the file is */
	CHECK_STR((const char *)m + 108, "pxe/first.0");
}

static void the_gateway_answers_pings(void **s)
{
	(void)s;
	CHECK(pings(&rig));
	CHECK(pings(&rig));
}

static void ipv6_router_neighbour_and_ping(void **s)
{
	static const uint8_t gw6[16] = { 0xfe, 0xc0, [15] = 2 };
	static const uint8_t routers[16] = { 0xff, 2, [15] = 2 };
	static const uint8_t node[16] = { 0xff, 2, [11] = 1, 0xff, 0, 0, 2 };
	uint8_t b[128];
	uint32_t n;

	(void)s;
	memset(b + RIG_L4_6, 0, 8);
	b[RIG_L4_6] = 133;
	rig_send(&rig, b, rig_ip6(&rig, b, 58, routers, 8));
	CHECK(rig_wait(&rig, want_icmp6, 134));
	memset(b + RIG_L4_6, 0, 32);
	b[RIG_L4_6] = 135;
	memcpy(b + RIG_L4_6 + 8, gw6, 16);
	memcpy(b + RIG_L4_6 + 24, (const uint8_t[]){ 1, 1 }, 2);
	memcpy(b + RIG_L4_6 + 26, rig.mac, 6);
	rig_send(&rig, b, rig_ip6(&rig, b, 58, node, 32));
	CHECK(rig_wait(&rig, want_icmp6, 136));
	n = echo(b, 128, RIG_L4_6);
	rig_send(&rig, b, rig_ip6(&rig, b, 58, gw6, n));
	CHECK(rig_wait(&rig, want_icmp6, 129));
	CHECK_MEM(rig.got + RIG_L4_6 + 8, "are you there", 13);
}

static void udp_reaches_loopback_through_the_gateway(void **s)
{
	struct sockaddr_in from;
	socklen_t n = sizeof(from);
	unsigned port;
	int h = host_socket(SOCK_DGRAM, &port);
	uint8_t b[128];
	char got[64];

	(void)s;
	rig_send(&rig, b, rig_udp(&rig, b, 4000, rig.gw, port, "ping", 4));
	CHECK_EQ(recvfrom(h, got, sizeof(got), 0, (struct sockaddr *)&from, &n), 4);
	CHECK_MEM(got, "ping", 4);
	CHECK_EQ(sendto(h, "answer", 6, 0, (struct sockaddr *)&from, n), 6);
	CHECK(rig_wait(&rig, want_udp, 4000));
	CHECK_EQ(rig_be32(rig.got + 26), rig.gw);
	CHECK_EQ(rig_be16(rig.got + RIG_L4), port);
	CHECK_MEM(rig.got + RIG_L4 + 8, "answer", 6);
	close(h);
}

/* One datagram in fragments, in any order, some of them bad: the whole, or nothing. */
static void fragments_arrive_as_one_datagram(void **s)
{
	static uint8_t whole[4096], b[4096];
	static const struct {
		uint16_t at, n;
		bool last;
	} cut[] = { { 1480, 1480, false }, { 2960, 48, true }, { 0, 1480, false } };
	uint8_t *ip = b + ETH_HLEN, got[4096];
	unsigned port;
	int h = host_socket(SOCK_DGRAM, &port);

	(void)s;
	bulk_fill();
	rig_udp(&rig, whole, 4300, rig.gw, port, bulk, 3000);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ARRAY_LEN(cut); i++) {
			uint32_t len = RIG_L4 + cut[i].n;

			memcpy(b, whole, RIG_L4);
			memcpy(b + RIG_L4, whole + RIG_L4 + cut[i].at, cut[i].n);
			rig_put16(ip + 2, 20u + cut[i].n);
			rig_put16(ip + 4, 77);
			rig_put16(ip + 6, (cut[i].last ? 0 : 0x2000u) | cut[i].at / 8u);
			rig_put16(ip + 10, 0);
			rig_put16(ip + 10, rig_sum(ip, 20, 0));
			if (round == 1 && i == 2)	/* an overlap: both are gone */
				ip[7]++, ip[11]--;
			rig_send(&rig, b, len);
		}
		if (round != 1) {
			CHECK_EQ(recv(h, got, sizeof(got), 0), 3000);
			CHECK_MEM(got, bulk, 3000);
		}
	}
	close(h);
}

/* The host's resolv.conf becomes one that names a server of the test. */
static void dns_goes_to_the_hosts_name_server(void **s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr = { htonl(0x7f000035) } };
	static const uint8_t query[] = { 0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1 };
	struct timeval t = { .tv_sec = RIG_WAIT_S };
	socklen_t n = sizeof(a);
	char path[64];
	uint8_t b[256], got[256];
	FILE *f;
	int h;

	(void)s;
	if (!alone)
		skip();
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	f = fopen(path, "w");
	CHECK(f != NULL);
	fprintf(f, "nameserver 127.0.0.53\n");
	fclose(f);
	if (mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0)
		skip();
	h = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(h, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	CHECK_EQ(bind(h, (struct sockaddr *)&a, n), 0);
	rig_send(&rig, b, rig_udp(&rig, b, 5300, rig.gw + 1, 53, query, sizeof(query)));
	CHECK_EQ(recvfrom(h, got, sizeof(got), 0, (struct sockaddr *)&a, &n), sizeof(query));
	CHECK_MEM(got, query, sizeof(query));
	got[2] |= 0x80;
	CHECK_EQ(sendto(h, got, sizeof(query), 0, (struct sockaddr *)&a, n), sizeof(query));
	CHECK(rig_wait(&rig, want_udp, 5300));
	CHECK_EQ(rig_be32(rig.got + 26), rig.gw + 1);
	CHECK_EQ(rig_be16(rig.got + RIG_L4), 53);
	CHECK_EQ(rig.got[RIG_L4 + 8 + 2], 0x81);
	close(h);
	umount("/etc/resolv.conf");
}

static void tcp_reaches_loopback_through_the_gateway(void **s)
{
	unsigned port;
	int l = host_socket(SOCK_STREAM, &port), h;
	struct tcp t = { 0 };
	char got[64];

	(void)s;
	tcp_open(&rig, &t, 5000, rig.gw, port);
	h = accept(l, NULL, NULL);
	CHECK(h >= 0);
	tcp_send(&rig, &t, PSH | ACK, "hello", 5);
	CHECK_EQ(recv(h, got, 5, MSG_WAITALL), 5);
	CHECK_MEM(got, "hello", 5);
	CHECK_EQ(send(h, "hi there", 8, 0), 8);
	CHECK(tcp_next(&rig, &t));
	CHECK_EQ(t.n, 8);
	CHECK_MEM(t.data, "hi there", 8);
	shutdown(h, SHUT_WR);
	CHECK(tcp_next(&rig, &t));
	CHECK(t.flags & FIN);
	tcp_send(&rig, &t, FIN | ACK, NULL, 0);
	CHECK_EQ(recv(h, got, 1, 0), 0);
	close(h);
	close(l);
	t = (struct tcp){ .sport = 5001, .dport = port, .dst = rig.gw, .seq = 7 };
	tcp_send(&rig, &t, SYN, NULL, 0);		/* nobody listens any more */
	CHECK(tcp_next(&rig, &t));
	CHECK(t.flags & RST);
}

/* As one frame each: what an adapter with large sends gives. */
static void large_sends_from_the_guest_arrive(void **s)
{
	static uint8_t got[sizeof(bulk)];
	unsigned port;
	int l = host_socket(SOCK_STREAM, &port), h;
	struct tcp t = { 0 };

	(void)s;
	bulk_fill();
	tcp_open(&rig, &t, 5002, rig.gw, port);
	h = accept(l, NULL, NULL);
	for (uint32_t at = 0; at < 4 * 60000; at += 60000) {
		tcp_send(&rig, &t, PSH | ACK, bulk + at, 60000);
		CHECK_EQ(recv(h, got + at, 60000, MSG_WAITALL), 60000);
	}
	CHECK_MEM(got, bulk, 240000);
	close(h);
	close(l);
}

/* A megabyte to a guest that names this segment size; how many bytes the longest frame has. */
static uint32_t longest_frame(unsigned sport, unsigned mss)
{
	struct tcp t = { .mss = mss };
	struct sender x;
	unsigned port;
	int l = host_socket(SOCK_STREAM, &port);
	uint32_t most = 0, at = 0;

	bulk_fill();
	tcp_open(&rig, &t, sport, rig.gw, port);
	x.fd = accept(l, NULL, NULL);
	CHECK_EQ(pthread_create(&x.thread, NULL, send_bulk, &x), 0);
	while (at < sizeof(bulk)) {
		CHECK(tcp_next(&rig, &t));
		CHECK_MEM(t.data, bulk + at, t.n);
		at += t.n;
		if (t.n > mss) {
			CHECK_EQ(rig.got_flags, FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP);
			CHECK_EQ(rig.got_mss, mss);
		} else {
			CHECK_EQ(rig.got_flags, FRAME_SUM_OK);
		}
		most = rig.got_len > most ? rig.got_len : most;
	}
	pthread_join(x.thread, NULL);
	close(x.fd);
	close(l);
	return most;
}

static void tcp_comes_in_large_pieces(void **s)
{
	(void)s;
	CHECK(longest_frame(5200, 1460) > 10000);
	CHECK(longest_frame(5201, 8960) > 10000);
	CHECK(longest_frame(5202, 536) > 10000);
}

static void long_datagrams_come_in_fragments(void **s)
{
	static uint8_t got[9000];
	struct sockaddr_in from;
	socklen_t n = sizeof(from);
	unsigned port, sum = 0;
	int h = host_socket(SOCK_DGRAM, &port);
	uint8_t b[128];
	bool more;

	(void)s;
	bulk_fill();
	rig_send(&rig, b, rig_udp(&rig, b, 4400, rig.gw, port, "ping", 4));
	CHECK_EQ(recvfrom(h, got, sizeof(got), 0, (struct sockaddr *)&from, &n), 4);
	CHECK_EQ(sendto(h, bulk, 8000, 0, (struct sockaddr *)&from, n), 8000);
	do {
		uint32_t at, len;

		CHECK(rig_wait(&rig, want_ip4, 17));
		CHECK(rig.got_len <= 1514);
		CHECK_EQ(rig_sum(rig.got + ETH_HLEN, 20, 0), 0);
		at = (rig_be16(rig.got + 20) & 0x1fff) * 8;
		len = rig_be16(rig.got + 16) - 20u;
		CHECK_EQ(at, sum);
		memcpy(got + at, rig.got + RIG_L4, len);
		sum += len;
		more = rig.got[20] & 0x20;
	} while (more);
	CHECK_EQ(sum, 8008);
	CHECK_EQ(rig_be16(got + 4), 8008);
	CHECK_MEM(got + 8, bulk, 8000);
	close(h);
}

/* A port that takes frames only now and then: everything arrives, in order, without a gap. */
static void nothing_is_lost_on_a_port_without_room(void **s)
{
	static uint8_t got[sizeof(bulk)];
	unsigned port, turn = 0;
	struct sender x;
	int l = host_socket(SOCK_STREAM, &port);
	struct nat_stats st;
	struct tcp t = { 0 };
	size_t at = 0;

	(void)s;
	bulk_fill();
	tcp_open(&rig, &t, 5003, rig.gw, port);
	x.fd = accept(l, NULL, NULL);
	CHECK_EQ(pthread_create(&x.thread, NULL, send_bulk, &x), 0);
	do {
		pthread_mutex_lock(&rig.lock);
		rig.take = turn++ % 5;
		pthread_mutex_unlock(&rig.lock);
		rig.client->resume(rig.dev);
		if (rig_wait_ms(&rig, want_tcp, t.sport, 1)) {
			const uint8_t *h = rig.got + RIG_L4;

			t.n = rig_be16(rig.got + 16) - 40u;
			CHECK_EQ(h[12] >> 4, 5);
			CHECK(rig_be32(h + 4) - t.ack <= 0);	/* a gap would be above */
			if (rig_be32(h + 4) != t.ack)
				continue;
			CHECK(at + t.n <= sizeof(got));
			memcpy(got + at, h + 20, t.n);
			at += t.n;
			t.ack += t.n + (h[13] & FIN);
			if (t.n != 0)
				tcp_send(&rig, &t, ACK, NULL, 0);
			t.flags = h[13];
		}
	} while (!(t.flags & FIN));
	pthread_join(x.thread, NULL);
	CHECK_EQ(at, sizeof(bulk));
	CHECK_MEM(got, bulk, sizeof(bulk));
	nat_stats(rig.nat, &st);
	CHECK_EQ(st.tx_full, 0);
	close(x.fd);
	close(l);
}

static void tftp_send(unsigned sport, unsigned op, const void *data, uint32_t n)
{
	uint8_t b[1024], m[600];

	rig_put16(m, op);
	memcpy(m + 2, data, n);
	rig_send(&rig, b, rig_udp(&rig, b, sport, rig.gw, 69, m, n + 2));
}

static void tftp_gives_files_of_its_directory(void **s)
{
	const uint8_t *m = rig.got + RIG_L4 + 8;
	uint32_t at = 0, n;
	char path[64];
	FILE *f;

	(void)s;
	bulk_fill();
	snprintf(path, sizeof(path), "%s/pxe", dir);
	CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/pxe/first.0", dir);
	f = fopen(path, "w");
	CHECK(f != NULL);
	CHECK_EQ(fwrite(bulk, 1, 1500, f), 1500);
	fclose(f);
	tftp_send(6900, 1, "pxe/first.0\0octet", 18);
	do {
		uint8_t block[2];

		CHECK(rig_wait(&rig, want_udp, 6900));
		n = rig_be16(rig.got + RIG_L4 + 4) - 12u;
		CHECK_EQ(rig_be16(m), 3);
		CHECK_EQ(rig_be16(m + 2), at / 512 + 1);
		CHECK_MEM(m + 4, bulk + at, n);
		at += n;
		memcpy(block, m + 2, 2);
		tftp_send(6900, 4, block, 2);
	} while (n == 512);
	CHECK_EQ(at, 1500);
	tftp_send(6901, 1, "pxe/none\0octet", 15);
	CHECK(rig_wait(&rig, want_udp, 6901));
	CHECK_EQ(rig_be16(m), 5);
	tftp_send(6902, 1, "../../../../etc/passwd\0octet", 29);
	CHECK(rig_wait(&rig, want_udp, 6902));
	CHECK_EQ(rig_be16(m), 5);
	unlink(path);
}

/* Reads FILE as one who asks for blocks of SIZE (0: no option); how many bytes came, or the error's code below 0. */
static int tftp_fetch(unsigned sport, const char *file, unsigned size)
{
	const uint8_t *m = rig.got + RIG_L4 + 8;
	char req[128];
	int len = snprintf(req, sizeof(req), "%s%coctet%cblksize%c%u%ctsize%c0", file, 0, 0, 0, size, 0, 0) + 1;
	unsigned n, at = 0, block = size ? size : 512;

	if (size == 0)
		len = snprintf(req, sizeof(req), "%s%coctet", file, 0) + 1;
	tftp_send(sport, 1, req, (uint32_t)len);
	if (size != 0) {
		CHECK(rig_wait(&rig, want_udp, sport));
		if (rig_be16(m) == 5)
			return -(int)rig_be16(m + 2);
		CHECK_EQ(rig_be16(m), 6);
		tftp_send(sport, 4, "\0", 2);
	}
	do {
		uint8_t ack[2];

		CHECK(rig_wait(&rig, want_udp, sport));
		if (rig_be16(m) == 5)
			return -(int)rig_be16(m + 2);
		CHECK_EQ(rig_be16(m), 3);
		CHECK_EQ(rig_be16(m + 2), at / block + 1);
		n = rig_be16(rig.got + RIG_L4 + 4) - 12u;
		CHECK(n <= block);
		CHECK_MEM(m + 4, bulk + at, n);
		at += n;
		memcpy(ack, m + 2, 2);
		tftp_send(sport, 4, ack, 2);
	} while (n == block);
	return (int)at;
}

static void make_file(const char *name, size_t n)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	CHECK(f != NULL && fwrite(bulk, 1, n, f) == n);
	fclose(f);
}

/* A link to TO at NAME in the directory. */
static void make_link(const char *name, const char *to)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	CHECK(symlink(to, path) == 0 || errno == EEXIST);
}

static void tftp_never_leaves_its_directory(void **s)
{
	static const char *const out[] = {
		"passwd", "up/passwd", "sub/up2/etc/passwd", "proc/self/environ", "../../../etc/passwd", "sub/../../../etc/passwd",
		"loop", "pipe", "sub", "", ".", "..", "dev/null", "self/status",
	};
	char path[128], abs[64];

	(void)s;
	bulk_fill();
	snprintf(path, sizeof(path), "%s/sub", dir);
	CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
	make_file("sub/file", 1500);
	make_link("inside", "sub/file");
	make_link("sub/back", "../sub/file");
	make_link("passwd", "/etc/passwd");
	make_link("up", "/etc");
	make_link("sub/up2", "../../..");
	make_link("proc", "/proc");
	make_link("self", "/proc/self");
	make_link("dev", "/dev");
	make_link("loop", "loop");
	snprintf(abs, sizeof(abs), "%s/sub/file", dir);
	make_link("absolute", abs);
	snprintf(path, sizeof(path), "%s/pipe", dir);
	CHECK(mkfifo(path, 0644) == 0 || errno == EEXIST);
	CHECK_EQ(tftp_fetch(7100, "sub/file", 0), 1500);
	CHECK_EQ(tftp_fetch(7101, "/sub/file", 0), 1500);
	CHECK_EQ(tftp_fetch(7102, "inside", 0), 1500);
	CHECK_EQ(tftp_fetch(7103, "sub/back", 0), 1500);
	CHECK_EQ(tftp_fetch(7104, "sub/../sub/file", 0), 1500);
	for (unsigned i = 0; i < ARRAY_LEN(out); i++)
		CHECK_EQ(tftp_fetch(7200 + i, out[i], i & 1 ? 600 : 0), -1);
	CHECK_EQ(tftp_fetch(7105, "absolute", 0), -1);	/* also where it leads back in */
	CHECK(pings(&rig));				/* and nothing stands still */
}

static void tftp_says_no_in_its_own_words(void **s)
{
	static const struct { unsigned op; const char *m; uint32_t n; unsigned code; } row[] = {
		{ 2, "sub/file\0octet", 15, 2 }, { 1, "sub/file\0netascii", 18, 4 }, { 1, "sub/file\0octet", 14, 4 },
		{ 1, "sub/file", 9, 4 }, { 1, "sub/file", 8, 4 }, { 1, "none\0OCTET", 11, 1 },
	};
	const uint8_t *m = rig.got + RIG_L4 + 8;

	(void)s;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		tftp_send(7300 + i, row[i].op, row[i].m, row[i].n);
		CHECK(rig_wait(&rig, want_udp, 7300 + i));
		CHECK_EQ(rig_be16(m), 5);
		CHECK_EQ(rig_be16(m + 2), row[i].code);
	}
	/* What is no request, and what is nobody's, gets no answer. */
	tftp_send(7310, 4, "\0\1", 2);
	tftp_send(7310, 3, "\0\1x", 3);
	tftp_send(7310, 5, "\0\1x", 4);
	CHECK(!rig_wait_ms(&rig, want_udp, 7310, 100));
}

static void tftp_has_options_and_repeats(void **s)
{
	static const unsigned sizes[] = { 8, 512, 1024, 1428, 1500, 3000 };
	const uint8_t *m = rig.got + RIG_L4 + 8;
	uint8_t first[600];

	(void)s;
	bulk_fill();
	make_file("sizes", 3000);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		tftp_send(7400 + i, 1, "sizes\0octet\0tsize\0" "0\0blksize\0" "8\0unknown\0" "9", 40);
		CHECK(rig_wait(&rig, want_udp, 7400 + i));
		CHECK_EQ(rig_be16(m), 6);
		CHECK_MEM(m + 2, "tsize\0" "3000\0blksize\0" "8", 21);
		if (sizes[i] <= 1428)
			CHECK_EQ(tftp_fetch(7450 + i, "sizes", sizes[i]), 3000);
	}
	/* A larger block than fits a frame becomes one that does. */
	tftp_send(7420, 1, "sizes\0octet\0BLKSIZE\0" "65464", 26);
	CHECK(rig_wait(&rig, want_udp, 7420));
	CHECK_MEM(m, "\0\6blksize\0" "1428", 15);
	/* The request again, the block before again after a while: the same comes again. */
	for (unsigned i = 0; i < 2; i++) {
		tftp_send(7421, 1, "sizes\0octet", 12);
		CHECK(rig_wait(&rig, want_udp, 7421));
		CHECK_EQ(rig_be16(m + 2), 1);
	}
	tftp_send(7421, 4, "\0\1", 2);
	CHECK(rig_wait(&rig, want_udp, 7421));
	CHECK_EQ(rig_be16(m + 2), 2);
	memcpy(first, m, 516);
	usleep(60000);
	tftp_send(7421, 4, "\0\1", 2);
	CHECK(rig_wait(&rig, want_udp, 7421));
	CHECK_MEM(m, first, 516);
	tftp_send(7421, 4, "\0\1", 2);			/* doubled: not doubled once more */
	tftp_send(7421, 4, "\0\7", 2);			/* and no block is skipped */
	CHECK(!rig_wait_ms(&rig, want_udp, 7421, 30));
	tftp_send(7421, 5, "\0\0", 2);
	tftp_send(7421, 4, "\0\2", 2);
	CHECK(!rig_wait_ms(&rig, want_udp, 7421, 100));
}

static bool want_udp6(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	(void)r;
	return len >= RIG_L4_6 + 8 && rig_be16(f + 12) == 0x86dd && f[20] == 17 && rig_be16(f + RIG_L4_6 + 2) == arg;
}

static void tftp_speaks_ipv6(void **s)
{
	static const uint8_t gw6[16] = { 0xfe, 0xc0, [15] = 2 };
	const uint8_t *h = rig.got + RIG_L4_6;
	uint8_t b[128];

	(void)s;
	bulk_fill();
	make_file("six", 100);
	rig_put16(b + RIG_L4_6, 7500);
	rig_put16(b + RIG_L4_6 + 2, 69);
	rig_put16(b + RIG_L4_6 + 4, 8 + 12);
	memcpy(b + RIG_L4_6 + 8, "\0\1six\0octet", 12);
	rig_send(&rig, b, rig_ip6(&rig, b, 17, gw6, 20));
	CHECK(rig_wait(&rig, want_udp6, 7500));
	CHECK_EQ(rig_be16(h + 8), 3);
	CHECK_MEM(h + 12, bulk, 100);
	CHECK_MEM(rig.got + 22, gw6, 16);
	CHECK_EQ(rig_sum(rig.got + 22, 32 + 112, 17 + 112), 0);
}

/* Nothing of a guest's may arrive at a listener on loopback: no connection, no datagram. */
static void no_way_to(uint32_t dst, unsigned sport, int l, unsigned tport, int h, unsigned uport)
{
	struct tcp t = { .sport = sport, .dport = tport, .dst = dst, .seq = 7 };
	uint8_t b[128], got[16];

	tcp_send(&rig, &t, SYN, NULL, 0);
	rig_send(&rig, b, rig_udp(&rig, b, sport, dst, uport, "ping", 4));
	CHECK(pings(&rig));			/* all before it has been looked at */
	CHECK_EQ(accept4(l, NULL, NULL, SOCK_NONBLOCK), -1);
	CHECK_EQ(recv(h, got, sizeof(got), MSG_DONTWAIT), -1);
}

static void listeners(int *l, unsigned *tport, int *h, unsigned *uport)
{
	*l = host_socket(SOCK_STREAM, tport);
	*h = host_socket(SOCK_DGRAM, uport);
	CHECK_EQ(fcntl(*l, F_SETFL, O_NONBLOCK), 0);
}

/* A datagram to this address by IPv6: does it reach ::1? */
static bool reaches6(const uint8_t *dst)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int h = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(a);
	uint8_t b[128], got[16];
	bool came;

	CHECK(h >= 0);
	CHECK_EQ(bind(h, (struct sockaddr *)&a, n), 0);
	CHECK_EQ(getsockname(h, (struct sockaddr *)&a, &n), 0);
	rig_put16(b + RIG_L4_6, 7800);
	rig_put16(b + RIG_L4_6 + 2, ntohs(a.sin6_port));
	rig_put16(b + RIG_L4_6 + 4, 12);
	memcpy(b + RIG_L4_6 + 8, "ping", 4);
	rig_send(&rig, b, rig_ip6(&rig, b, 17, dst, 12));
	CHECK(pings(&rig));
	came = recv(h, got, sizeof(got), MSG_DONTWAIT) == 4;
	close(h);
	return came;
}

static const uint8_t house6[][16] = {
	{ 0xfe, 0xc0, [15] = 2 }, { 0xfe, 0xc0, [15] = 3 }, { 0xfe, 0xc0, [15] = 99 }, { 0xff, 2, [15] = 1 },
	{ 0xfe, 0x80, [15] = 2 },
};

static void the_hosts_loopback_is_closed(void **s)
{
	static const uint32_t never[] = { 0x7f000001, 0x7f123456, 0, 0x00000001 };
	unsigned tport, uport, sport = 7600;
	struct nat_stats st;
	struct tcp t = { .seq = 7 };
	int l, h;

	listeners(&l, &tport, &h, &uport);
	CHECK_EQ(begin(s, "nat"), 0);
	no_way_to(rig.gw, sport++, l, tport, h, uport);
	no_way_to(UINT32_MAX, sport++, l, tport, h, uport);
	no_way_to(rig.gw + 1, sport++, l, tport, h, uport);
	no_way_to(rig.gw + 5, sport++, l, tport, h, uport);
	no_way_to(rig.gw | 255, sport++, l, tport, h, uport);
	for (unsigned i = 0; i < ARRAY_LEN(never); i++)
		no_way_to(never[i], sport++, l, tport, h, uport);
	for (unsigned i = 0; i < ARRAY_LEN(house6); i++)
		CHECK(!reaches6(house6[i]));
	nat_stats(rig.nat, &st);
	CHECK_EQ(st.rx_loopback, 2 * (ARRAY_LEN(never) + 5) + ARRAY_LEN(house6));
	/* A guest that tries hears so at once. */
	t = (struct tcp){ .sport = sport, .dport = tport, .dst = rig.gw, .seq = 7 };
	tcp_send(&rig, &t, SYN, NULL, 0);
	CHECK(rig_wait(&rig, want_tcp, sport));
	CHECK_EQ(rig.got[RIG_L4 + 13], RST | ACK);
	CHECK_EQ(rig_be32(rig.got + RIG_L4 + 8), 8);
	CHECK_EQ(rig_sum(rig.got + RIG_L4, 20, 6 + 20 + rig_be16(rig.got + 26) + rig_be16(rig.got + 28) +
			 rig_be16(rig.got + 30) + rig_be16(rig.got + 32)), 0);
	close(l);
	close(h);
}

/* Asked for, it is the gateway's address that leads there; loopback's own still do not. */
static void the_hosts_loopback_opens_at_the_gateway_only(void **s)
{
	static const uint32_t never[] = { 0x7f000001, 0 };
	static const uint8_t never6[][16] = {
		{ [15] = 1 }, { 0 }, { [10] = 0xff, 0xff, 127, 0, 0, 1 }, { [12] = 127, 0, 0, 1 },
	};
	unsigned tport, uport;
	int l, h;

	listeners(&l, &tport, &h, &uport);
	CHECK_EQ(begin(s, "nat,hostloopback=on"), 0);
	for (unsigned i = 0; i < ARRAY_LEN(never); i++)
		no_way_to(never[i], 7700 + i, l, tport, h, uport);
	for (unsigned i = 0; i < ARRAY_LEN(never6); i++)
		CHECK(!reaches6(never6[i]));
	CHECK(reaches6(house6[0]));
	udp_reaches_loopback_through_the_gateway(s);
	tcp_reaches_loopback_through_the_gateway(s);
	close(l);
	close(h);
}

static unsigned open_fds(void);

/* A client that goes away in the middle: its file is closed when others want to read, and at the end. */
static void left_transfers_are_ended(void **s)
{
	unsigned before = open_fds();
	char path[64];
	FILE *f;

	(void)s;
	bulk_fill();
	snprintf(path, sizeof(path), "%s/left", dir);
	f = fopen(path, "w");
	CHECK(f != NULL && fwrite(bulk, 1, 2000, f) == 2000);
	fclose(f);
	CHECK_EQ(setup(s), 0);
	for (unsigned i = 0; i < 50; i++) {
		tftp_send(7000 + i, 1, "left\0octet", 11);
		CHECK(rig_wait(&rig, want_udp, 7000 + i));
		CHECK_EQ(rig_be16(rig.got + RIG_L4 + 8), 3);
	}
	CHECK_EQ(teardown(s), 0);
	CHECK_EQ(open_fds(), before);
	unlink(path);
}

static int connect_to(int type, unsigned port, const char *addr)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct timeval t = { .tv_sec = RIG_WAIT_S };
	bool v6 = strchr(addr, ':') != NULL;
	int s = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);

	CHECK_EQ(inet_pton(v6 ? AF_INET6 : AF_INET, addr, v6 ? (void *)&a6.sin6_addr : (void *)&a.sin_addr), 1);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	CHECK_EQ(connect(s, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a,
			 v6 ? sizeof(a6) : sizeof(a)), 0);
	return s;
}

static void a_forwarded_tcp_port_reaches_the_guest(void **s)
{
	unsigned port = free_port(SOCK_STREAM);
	char text[96], got[16];
	struct tcp t = { .sport = 22, .seq = 5000 };
	int h;

	snprintf(text, sizeof(text), "nat,hostfwd=tcp::%u-:22", port);
	CHECK_EQ(begin(s, text), 0);
	h = connect_to(SOCK_STREAM, port, "127.0.0.1");
	CHECK(rig_wait(&rig, want_tcp, 22));
	CHECK_EQ(rig.got[RIG_L4 + 13] & (SYN | ACK), SYN);
	CHECK_EQ(rig_be32(rig.got + 30), rig.ip);
	t.dst = rig_be32(rig.got + 26);
	t.dport = rig_be16(rig.got + RIG_L4);
	t.ack = rig_be32(rig.got + RIG_L4 + 4) + 1;
	tcp_send(&rig, &t, SYN | ACK, NULL, 0);
	CHECK_EQ(send(h, "SSH-2.0", 7, 0), 7);
	CHECK(tcp_next(&rig, &t));
	CHECK_MEM(t.data, "SSH-2.0", 7);
	tcp_send(&rig, &t, PSH | ACK, "welcome", 7);
	CHECK_EQ(recv(h, got, 7, MSG_WAITALL), 7);
	CHECK_MEM(got, "welcome", 7);
	close(h);
}

static void a_forwarded_udp_port_reaches_the_guest(void **s)
{
	unsigned port = free_port(SOCK_DGRAM);
	struct sockaddr_in me;
	socklen_t n = sizeof(me);
	struct nat_stats st;
	uint8_t b[128];
	char text[96], got[16];
	int h;

	snprintf(text, sizeof(text), "nat,hostfwd=udp:127.0.0.1:%u-10.0.2.15:53", port);
	CHECK_EQ(begin(s, text), 0);
	h = connect_to(SOCK_DGRAM, port, "127.0.0.1");
	CHECK_EQ(getsockname(h, (struct sockaddr *)&me, &n), 0);
	/* Before it was asked, it has nothing to say to the host's loopback. */
	rig_send(&rig, b, rig_udp(&rig, b, 53, rig.gw, ntohs(me.sin_port), "me", 2));
	CHECK(pings(&rig));
	CHECK_EQ(send(h, "who", 3, 0), 3);
	CHECK(rig_wait(&rig, want_udp, 53));
	nat_stats(rig.nat, &st);
	CHECK_EQ(st.rx_loopback, 1);
	CHECK_MEM(rig.got + RIG_L4 + 8, "who", 3);
	rig_send(&rig, b, rig_udp(&rig, b, 53, rig_be32(rig.got + 26), rig_be16(rig.got + RIG_L4), "me", 2));
	CHECK_EQ(recv(h, got, sizeof(got), 0), 2);
	/* Nor from another port, nor to another. */
	rig_send(&rig, b, rig_udp(&rig, b, 54, rig_be32(rig.got + 26), ntohs(me.sin_port), "me", 2));
	rig_send(&rig, b, rig_udp(&rig, b, 53, rig.gw, ntohs(me.sin_port) ^ 1u, "me", 2));
	CHECK(pings(&rig));
	CHECK_EQ(recv(h, got, sizeof(got), MSG_DONTWAIT), -1);
	CHECK(pings(&rig));
	nat_stats(rig.nat, &st);
	CHECK_EQ(st.rx_loopback, 3);
	close(h);
}

static bool want_syn6(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	return len >= RIG_L4_6 + 20 && rig_be16(f + 12) == 0x86dd && f[20] == 6 &&
	       rig_be16(f + RIG_L4_6 + 2) == arg && f[RIG_L4_6 + 13] == SYN && memcmp(f + 38, r->ip6, 16) == 0;
}

static void an_ipv6_port_is_forwarded_too(void **s)
{
	unsigned port = free_port(SOCK_STREAM);
	char text[96];
	int h;

	snprintf(text, sizeof(text), "nat,hostfwd=tcp:[::1]:%u-[fec0::9]:80", port);
	if (begin(s, text) < 0)
		skip();				/* a host without IPv6 */
	h = connect_to(SOCK_STREAM, port, "::1");
	CHECK(rig_wait(&rig, want_syn6, 80));
	close(h);
}

static void what_cannot_be_had_is_said(void **s)
{
	struct nat_conf c;
	struct err err;
	struct nat *n = NULL;
	unsigned port;
	int h = host_socket(SOCK_STREAM, &port);
	char text[96], want[160];

	(void)s;
	rig_init(&rig);
	snprintf(text, sizeof(text), "nat,hostfwd=tcp::%u-:22", port);
	CHECK_EQ(nat_parse(text, &c, &err), 0);
	CHECK_EQ(nat_new(&c, &rig.port, &n, &err), -EADDRINUSE);
	snprintf(want, sizeof(want), "nat: hostfwd: TCP port %u of 127.0.0.1: Address already in use", port);
	CHECK_STR(err.msg, want);
	CHECK_EQ(nat_parse("nat,tftp=/nowhere/at/all", &c, &err), 0);
	CHECK_EQ(nat_new(&c, &rig.port, &n, &err), -ENOENT);
	CHECK_STR(err.msg, "nat: tftp=/nowhere/at/all: No such file or directory");
	CHECK_EQ(nat_parse("nat,tftp=/dev/null", &c, &err), 0);
	CHECK_EQ(nat_new(&c, &rig.port, &n, &err), -ENOTDIR);
	nat_conf_init(&c);
	for (unsigned i = 1; i <= 4; i++) {
		base_fail_alloc(i);
		CHECK_EQ(nat_new(&c, &rig.port, &n, &err), -ENOMEM);
	}
	base_fail_alloc(0);
	CHECK(n == NULL && rig.client == NULL);
	close(h);
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	CHECK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void it_leaves_nothing_behind(void **s)
{
	unsigned before = open_fds(), port;
	int l = host_socket(SOCK_STREAM, &port);
	struct tcp t = { 0 };
	uint8_t b[64];

	for (unsigned i = 0; i < 20; i++) {
		char text[96];

		snprintf(text, sizeof(text), "nat,hostloopback=on,net=10.0.2.0/27,hostfwd=udp::%u-:9", free_port(SOCK_DGRAM));
		CHECK_EQ(begin(s, text), 0);
		tcp_open(&rig, &t, 5100, rig.gw, port);
		close(accept(l, NULL, NULL));
		rig_send(&rig, b, rig_udp(&rig, b, 4100, rig.gw, 9, "x", 1));
		CHECK_EQ(teardown(s), 0);
	}
	close(l);
	CHECK_EQ(open_fds(), before);
}

/* What a guest can send: good frames of each kind, cut at every length, and with bytes changed. */
static unsigned good_frames(uint8_t b[8][600], uint32_t len[8])
{
	static const uint8_t gw6[16] = { 0xfe, 0xc0, [15] = 2 };
	uint8_t m[300] = { 1, 1, 6, 0, 0xaa, [236] = 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255 };

	memset(b, 0, 8 * 600);
	len[0] = rig_arp(&rig, b[0], 1, rig.gw_mac, rig.gw);
	len[1] = rig_udp(&rig, b[1], 68, UINT32_MAX, 67, m, sizeof(m));
	len[2] = rig_udp(&rig, b[2], 6903, rig.gw, 69, "\0\1pxe/none\0octet\0blksize\0001428\0tsize\0000", 38);
	len[3] = rig_ip4(&rig, b[3], 1, rig.gw, echo(b[3], 8, RIG_L4));
	len[4] = rig_ip6(&rig, b[4], 58, gw6, echo(b[4], 128, RIG_L4_6));
	memcpy(b[5] + RIG_L4, "\x20\0\0\x09\0\0\0\1\0\0\0\0\x70\2\xff\xff\0\0\0\0\2\4\5\xb4\1\1\1\0", 28);
	len[5] = rig_ip4(&rig, b[5], 6, rig.gw, 28);
	memcpy(b[6] + RIG_L4_6, "\x02\x22\x02\x23\0\x24\0\0\x0b\1\2\3\0\6\0\4\0\x17\0\x3b\0\1\0\x0a", 24);
	len[6] = rig_ip6(&rig, b[6], 17, (const uint8_t[16]){ 0xff, 2, [13] = 1, 0, 2 }, 36);
	len[7] = rig_udp(&rig, b[7], 4200, rig.gw, 9, "fragment", 8);
	b[7][ETH_HLEN + 6] = 0x20;			/* more fragments, which never come */
	return 8;
}

static void hostile_frames_do_no_harm(void **s)
{
	static uint8_t b[8][600];
	uint32_t len[8], seed = 1;
	unsigned nr = good_frames(b, len);
	struct nat_stats st;
	uint8_t x[600];

	(void)s;
	if (!alone)
		skip();				/* a changed byte may be part of an address out there */
	rig.lossy = true;
	for (unsigned k = 0; k < nr; k++)
		for (uint32_t n = 1; n <= len[k]; n++)
			rig_send(&rig, b[k], n);
	for (unsigned i = 0; i < 40000; i++) {
		unsigned k = i % nr;

		memcpy(x, b[k], sizeof(x));
		for (unsigned j = 0; j <= i % 3; j++) {
			seed = seed * 1664525 + 1013904223;
			x[(i % 7 ? 14 : 0) + (seed >> 8) % (len[k] - 14)] = (uint8_t)(seed >> 24);
		}
		rig_send(&rig, x, len[k]);
		if (i % 64 == 0)
			rig_drop_all(&rig);
	}
	for (unsigned i = 0; i < 20000; i++) {
		for (unsigned j = 0; j < sizeof(x); j++)
			x[j] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
		rig_put16(x + 12, i & 1 ? 0x0800 : 0x86dd);
		if (i & 2)
			x[14] = i & 1 ? 0x45 : 0x60;
		rig_send(&rig, x, 14 + (seed >> 8) % 586);
		if (i % 64 == 0)
			rig_drop_all(&rig);
	}
	rig_drop_all(&rig);
	CHECK(pings(&rig));
	nat_stats(rig.nat, &st);
	CHECK(st.rx > 60000);
	CHECK(st.rx_other > 0);
}

static void a_guest_opens_only_so_many_sockets(void **s)
{
	unsigned port, before = open_fds(), most = 0, now;
	int h = host_socket(SOCK_DGRAM, &port);
	struct nat_stats st;
	uint8_t b[64];

	(void)s;
	for (unsigned i = 0; i < 3000; i++) {
		rig_send(&rig, b, rig_udp(&rig, b, 10000 + i, rig.gw, port, "x", 1));
		if (i % 100 != 0)
			continue;
		now = open_fds();
		most = now > most ? now : most;
	}
	dhcp_send(1, 0);			/* what needs no socket goes on */
	CHECK(rig_wait(&rig, want_udp, 68));
	nat_stats(rig.nat, &st);
	now = open_fds();
	most = now > most ? now : most;
	CHECK(st.rx_flows > 0);
	CHECK(st.flows > 32);
	CHECK(most - before <= FILES / 2 + 1);
	close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(the_gateway_and_the_name_server_have_addresses),
		T(dhcp_gives_an_address_and_the_boot_file),
		T(the_gateway_answers_pings),
		T(ipv6_router_neighbour_and_ping),
		T(udp_reaches_loopback_through_the_gateway),
		T(fragments_arrive_as_one_datagram),
		T(dns_goes_to_the_hosts_name_server),
		T(tcp_reaches_loopback_through_the_gateway),
		T(large_sends_from_the_guest_arrive),
		T(tcp_comes_in_large_pieces),
		T(long_datagrams_come_in_fragments),
		T(nothing_is_lost_on_a_port_without_room),
		T(tftp_gives_files_of_its_directory),
		T(tftp_never_leaves_its_directory),
		T(tftp_says_no_in_its_own_words),
		T(tftp_has_options_and_repeats),
		T(tftp_speaks_ipv6),
		cmocka_unit_test_teardown(the_hosts_loopback_is_closed, teardown),
		cmocka_unit_test_teardown(the_hosts_loopback_opens_at_the_gateway_only, teardown),
		cmocka_unit_test_teardown(a_forwarded_tcp_port_reaches_the_guest, teardown),
		cmocka_unit_test_teardown(a_forwarded_udp_port_reaches_the_guest, teardown),
		cmocka_unit_test_teardown(an_ipv6_port_is_forwarded_too, teardown),
		cmocka_unit_test(left_transfers_are_ended),
		cmocka_unit_test(what_cannot_be_had_is_said),
		cmocka_unit_test(it_leaves_nothing_behind),
		T(a_guest_opens_only_so_many_sockets),
		T(hostile_frames_do_no_harm),
	};
	struct rlimit files;
	int rc;

	/* What a shell gives: the bound on sockets is half of it. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > FILES) {
		files.rlim_cur = FILES;
		(void)!setrlimit(RLIMIT_NOFILE, &files);
	}
	alone = rig_alone();
	if (mkdtemp(dir) == NULL)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	if (fork() == 0)
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
	return rc;
}
