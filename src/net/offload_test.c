#include "base/test.h"

#include "base/le.h"
#include "net/craft.h"
#include "net/offload.c"

#define A 0x00155d000001
#define B 0x00155d000002

static struct craft c, want;
static struct packet p;

struct sink {
	unsigned nr, room;		/* frames taken; how many it takes */
	struct net_frame f[64];
	uint8_t b[64][2048];
	uint8_t big[NET_LSO_MAX + 4];	/* the last one, whole */
};

static struct sink sink;

static int sink_emit(void *arg, const struct net_frame *f)
{
	struct sink *k = arg;

	if (k->nr == k->room)
		return -EAGAIN;
	CHECK(f->nr_iov <= NET_IOV_OUT);
	CHECK(frame_copy(f, 0, k->big, f->len));
	CHECK(!frame_copy(f, 0, k->big, f->len + 1));
	k->f[k->nr] = *f;
	memcpy(k->b[k->nr], k->big, min_u64(f->len, 2048));
	k->nr++;
	return 0;
}

static int fit(uint32_t flags, uint16_t mss, uint32_t takes)
{
	struct port_caps caps = { .flags = takes };
	struct net_frame f = craft_frame(&c, flags);

	f.mss = mss;
	f.tci = 0x3005;
	CHECK(pkt_parse(&p, &f, false));
	sink.nr = 0;
	sink.room = 64;
	return offload_fit(&p, &caps, sink_emit, &sink);
}

static void tcp(unsigned family, uint8_t flags, uint32_t n)
{
	craft_eth(&c, B, A, family == 4 ? ETH_IP4 : ETH_IP6);
	if (family == 4) {
		craft_ip4(&c, 0x0a000001, 0x0a000002, IP_TCP);
	} else {
		craft_ip6(&c, 1, 2, 60);
		craft_ip6_ext(&c, IP_TCP);
	}
	craft_tcp(&c, 1000, 80, flags);
	craft_bytes(&c, NULL, n);
	craft_done(&c);
}

static void sums_of_any_cut_are_the_plain_ones(void **s)
{
	(void)s;
	for (uint32_t n = 0; n < 400; n++)
		for (unsigned family = 4; family <= 6; family += 2) {
			tcp(family, 16, n);
			want = c;
			memset(c.b + c.l4 + 16, 0xaa, 2);
			if (family == 4)
				memset(c.b + 24, 0x55, 2);
			CHECK_EQ(fit(FRAME_SUM_TCP | (family == 4 ? FRAME_SUM_IP : 0), 0, 0), 0);
			CHECK_EQ(sink.nr, 1);
			CHECK_EQ(sink.f[0].flags, FRAME_SUM_OK);
			CHECK_EQ(sink.f[0].len, want.n);
			CHECK_MEM(sink.b[0], want.b, want.n);
		}
}

static void udp_sums_leave_padding_alone_and_are_never_zero(void **s)
{
	uint8_t zero_sum[2];
	uint32_t n;

	(void)s;
	craft_udp4(&c, B, A, 3);
	n = c.n;
	craft_bytes(&c, "\xff\xff\xff\xff\xff", 5);
	want = c;
	memset(c.b + 40, 0, 2);
	CHECK_EQ(fit(FRAME_SUM_UDP, 0, 0), 0);
	CHECK_EQ(sink.f[0].len, n + 5);
	CHECK_MEM(sink.b[0], want.b, n + 5);
	/* Payload that makes the sum 0: it is sent as ffff. */
	craft_udp4(&c, B, A, 2);
	memset(c.b + 42, 0, 2);
	craft_done(&c);
	memcpy(zero_sum, c.b + 40, 2);
	memcpy(c.b + 42, zero_sum, 2);
	craft_done(&c);
	CHECK_EQ(ld16(c.b + 40), 0xffff);
	CHECK_EQ(fit(FRAME_SUM_UDP, 0, 0), 0);
	CHECK_EQ(ld16(sink.b[0] + 40), 0xffff);
}

static void a_receiver_that_takes_missing_sums_gets_the_seed(void **s)
{
	uint16_t seed;

	(void)s;
	tcp(4, 16, 100);
	CHECK_EQ(fit(FRAME_SUM_TCP, 0, PORT_TAKES_SUM), 0);
	CHECK_EQ(sink.f[0].flags, FRAME_SUM_TCP);
	CHECK_EQ(sink.f[0].l4_at, 34);
	CHECK_EQ(frame_sum_at(&sink.f[0]), 50);
	/* What hardware does: sum from l4_at on, the seed in its place. */
	seed = (uint16_t)~sum_fold(sum_bytes(0, sink.b[0] + 34, sink.f[0].len - 34, false));
	st16(sink.b[0] + 50, seed);
	CHECK(craft_sums_right(sink.b[0], sink.f[0].len));
}

static void large_sends_are_cut_exactly(void **s)
{
	(void)s;
	for (unsigned family = 4; family <= 6; family += 2)
		for (uint32_t n = 3000; n < 3010; n++) {
			uint32_t at = 0, hdr = family == 4 ? 54 : 82;

			tcp(family, TCP_CWR | TCP_FIN | TCP_PSH | 16, n);
			CHECK_EQ(fit(family == 4 ? FRAME_LSO4 : FRAME_LSO6, 1001, 0), 0);
			CHECK_EQ(sink.nr, (n + 1000) / 1001);
			for (unsigned i = 0; i < sink.nr; i++) {
				const uint8_t *b = sink.b[i];
				uint32_t len = sink.f[i].len - hdr;
				bool last = i + 1 == sink.nr;

				CHECK_EQ(sink.f[i].flags, FRAME_SUM_OK);
				CHECK(len == 1001 || last);
				CHECK(craft_sums_right(b, sink.f[i].len));
				CHECK_MEM(b + hdr, c.b + hdr + at, len);
				CHECK_EQ(__builtin_bswap32(ld32(b + hdr - 16)), 0xfffff000 + at);
				CHECK_EQ(b[hdr - 7], 16 | (i == 0 ? TCP_CWR : 0) | (last ? TCP_FIN | TCP_PSH : 0));
				if (family == 4)
					CHECK_EQ(__builtin_bswap16(ld16(b + 18)), 0x1234 + i);
				at += len;
			}
			CHECK_EQ(at, n);
		}
}

static void a_large_send_stays_whole_for_who_takes_it(void **s)
{
	(void)s;
	tcp(4, 16, 60000);
	memset(c.b + 16, 0, 2);			/* a sender may leave the length out */
	CHECK_EQ(fit(FRAME_LSO4, 1448, PORT_TAKES_LSO4 | PORT_TAKES_SUM), 0);
	CHECK_EQ(sink.nr, 1);
	CHECK_EQ(sink.f[0].flags, FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP);
	CHECK_EQ(sink.f[0].mss, 1448);
	CHECK_EQ(fit(FRAME_LSO4, 1448, PORT_TAKES_LSO4), 0);
	CHECK_EQ(sink.f[0].flags, FRAME_LSO4 | FRAME_SUM_OK);
	CHECK(craft_sums_right(sink.big, sink.f[0].len));
	CHECK_EQ(fit(FRAME_LSO4, 1448, PORT_TAKES_LSO6), 0);
	CHECK_EQ(sink.nr, 42);
}

static void no_room_before_and_in_the_middle(void **s)
{
	struct port_caps caps = { 0 };

	(void)s;
	tcp(4, 16, 5000);
	CHECK_EQ(fit(FRAME_LSO4, 1000, 0), 0);
	sink.nr = 0;
	sink.room = 0;
	CHECK_EQ(offload_fit(&p, &caps, sink_emit, &sink), -EAGAIN);
	sink.room = 2;
	CHECK_EQ(offload_fit(&p, &caps, sink_emit, &sink), -ENOBUFS);
	CHECK_EQ(sink.nr, 2);
}

static void a_frame_longer_than_the_receiver_takes_is_refused(void **s)
{
	struct port_caps caps = { .max_frame = 600 };

	(void)s;
	tcp(4, 16, 1460);
	CHECK_EQ(fit(0, 0, 0), 0);
	tcp(4, 16, 1461);
	CHECK_EQ(fit(0, 0, 0), -EMSGSIZE);
	CHECK_EQ(fit(FRAME_LSO4, 500, 0), 0);
	CHECK_EQ(offload_fit(&p, &caps, sink_emit, &sink), 0);
	CHECK_EQ(fit(FRAME_LSO4, 547, 0), 0);
	CHECK_EQ(offload_fit(&p, &caps, sink_emit, &sink), -EMSGSIZE);
}

static void a_tag_goes_where_the_receiver_wants_it(void **s)
{
	(void)s;
	tcp(6, 16, 300);
	want = c;
	craft_tag(&want, ETH_TAG, 0x3005);
	CHECK_EQ(fit(FRAME_TAGGED, 0, PORT_TAKES_TAG), 0);
	CHECK_EQ(sink.f[0].flags, FRAME_TAGGED);
	CHECK_EQ(sink.f[0].tci, 0x3005);
	CHECK_MEM(sink.b[0], c.b, c.n);
	CHECK_EQ(fit(FRAME_TAGGED | FRAME_SUM_TCP, 0, PORT_TAKES_SUM), 0);
	CHECK_EQ(sink.f[0].flags, FRAME_SUM_TCP);
	CHECK_EQ(sink.f[0].l4_at, 14 + 40 + 8 + 4);
	CHECK_EQ(fit(FRAME_TAGGED, 0, 0), 0);
	CHECK_EQ(sink.f[0].len, want.n);
	CHECK_MEM(sink.b[0], want.b, want.n);
	CHECK_EQ(fit(FRAME_TAGGED | FRAME_LSO6, 100, 0), 0);
	CHECK_EQ(sink.nr, 3);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(sink.f[i].len, 82 + 4 + 100);
		CHECK(craft_sums_right(sink.b[i], sink.f[i].len));
		CHECK_MEM(sink.b[i], want.b, 18);
	}
	/* And from the bytes to its place, with what the sender said of offsets. */
	c = want;
	c.l4 += 4;
	CHECK_EQ(fit(FRAME_SUM_TCP, 0, PORT_TAKES_TAG | PORT_TAKES_SUM), 0);
	CHECK_EQ(sink.f[0].flags, FRAME_TAGGED | FRAME_SUM_TCP);
	CHECK_EQ(sink.f[0].tci, 0x3005);
	CHECK_EQ(sink.f[0].l4_at, 14 + 40 + 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_of_any_cut_are_the_plain_ones),
		cmocka_unit_test(udp_sums_leave_padding_alone_and_are_never_zero),
		cmocka_unit_test(a_receiver_that_takes_missing_sums_gets_the_seed),
		cmocka_unit_test(large_sends_are_cut_exactly),
		cmocka_unit_test(a_large_send_stays_whole_for_who_takes_it),
		cmocka_unit_test(no_room_before_and_in_the_middle),
		cmocka_unit_test(a_frame_longer_than_the_receiver_takes_is_refused),
		cmocka_unit_test(a_tag_goes_where_the_receiver_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
