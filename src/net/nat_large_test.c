#include "base/test.h"

#include "net/nat_large.c"	/* the file under test, statics and all */

#include "net/nat_rig.h"

static struct rig rig;
static struct nat_guests guests;
static uint8_t b[1600];

/* Stands for nat_out.c: where fragments go. */
static unsigned nr_put, put_bytes;
void nat_out_put(struct nat *n, const void *frame, size_t len)
{
	(void)n;
	CHECK_EQ(rig_sum((const uint8_t *)frame + ETH_HLEN, 20, 0), 0);
	CHECK(len <= 1514);
	nr_put++;
	put_bytes += (unsigned)len - RIG_L4;
}

/* A segment with these options, of either family; its length. */
static uint32_t segment(bool v6, const char *opt, uint32_t n, unsigned flags)
{
	static const uint8_t gw6[16] = { 0xfe, 0xc0, [15] = 2 };
	uint8_t *h = b + (v6 ? RIG_L4_6 : RIG_L4);

	rig_init(&rig);
	memset(b, 0, sizeof(b));
	rig_put32(h + 4, 0x12345678);
	h[12] = (uint8_t)((20 + n) / 4 << 4);
	h[13] = (uint8_t)flags;
	memcpy(h + 20, opt, n);
	return v6 ? rig_ip6(&rig, b, 6, gw6, 20 + n) : rig_ip4(&rig, b, 6, rig.gw, 20 + n);
}

/* Everything adds up to nothing with the pseudo-header. */
static bool sum_right(bool v6, uint32_t len)
{
	uint32_t at = v6 ? RIG_L4_6 : RIG_L4, sum = 6 + len - at;

	for (uint32_t i = v6 ? 22 : 26; i < at; i += 2)
		sum += rig_be16(b + i);
	return rig_sum(b + at, len - at, sum) == 0;
}

/* What the guest is known for after a SYN; the library gets the largest, the checksum stays right. */
static unsigned learned(bool v6, const char *opt, uint32_t n, int off, unsigned flags)
{
	uint32_t len = segment(v6, opt, n, flags);

	memset(&guests, 0, sizeof(guests));
	CHECK(sum_right(v6, len));
	nat_mss_in(&guests, b, len);
	CHECK(sum_right(v6, len));
	if (off >= 0)
		CHECK_EQ(rig_be16(b + (v6 ? RIG_L4_6 : RIG_L4) + 20 + off), NAT_MTU - (v6 ? 60 : 40));
	else
		CHECK_MEM(b + (v6 ? RIG_L4_6 : RIG_L4) + 20, opt, n);
	return v6 ? guests.g[0].mss6 : guests.g[0].mss4;
}

static void the_segment_size_of_a_guest_is_learned(void **s)
{
	(void)s;
	CHECK_EQ(learned(false, "\2\4\5\xb4", 4, 2, 2), 1460);
	CHECK_EQ(learned(false, "\2\4\5\xb4", 4, 2, 0x12), 1460);
	CHECK_EQ(learned(false, "\1\2\4\5\xb4\1\1\1", 8, 3, 2), 1460);	/* at an odd byte */
	CHECK_EQ(learned(false, "\4\2\1\1\2\4\x23\0", 8, 6, 2), 8960);
	CHECK_EQ(learned(false, "\2\4\xff\xff", 4, 2, 2), 8960);
	CHECK_EQ(learned(false, "\2\4\0\1", 4, 2, 2), MSS_MIN);
	CHECK_EQ(learned(true, "\2\4\5\xa0", 4, 2, 2), 1440);
}

static void a_syn_that_names_none_means_the_least(void **s)
{
	(void)s;
	CHECK_EQ(learned(false, "", 0, -1, 2), 536);
	CHECK_EQ(learned(true, "", 0, -1, 2), 1220);
	CHECK_EQ(learned(false, "\0\0\2\4\5\xb4\0\0", 8, -1, 2), 536);	/* the list ends before */
	CHECK_EQ(learned(false, "\3\1\2\4\5\xb4\0\0", 8, -1, 2), 536);	/* an option of length 1 */
	CHECK_EQ(learned(false, "\2\3\5\xb4", 4, -1, 2), 536);
	CHECK_EQ(learned(false, "\1\1\2\4", 4, -1, 2), 536);		/* cut off */
	CHECK_EQ(learned(false, "\2\4\5\xb4", 4, -1, 0x10), 0);	/* no SYN */
}

static void cut_frames_are_not_read_beyond(void **s)
{
	uint32_t len = segment(false, "\1\1\1\1\2\4\5\xb4", 8, 2);
	struct net_frame f;

	(void)s;
	for (uint32_t n = 0; n < len; n++) {
		uint8_t *exact = malloc(n + 1);

		memcpy(exact, b, n);
		nat_mss_in(&guests, exact, n);
		CHECK_MEM(exact, b, n);
		nat_large(&guests, exact, n, &f);
		nat_fragment(NULL, exact, n);
		free(exact);
	}
	for (unsigned doff = 0; doff < 16; doff++) {
		len = segment(false, "\2\4\5\xb4", 4, 2);
		b[RIG_L4 + 12] = (uint8_t)(doff << 4);
		nat_mss_in(&guests, b, len);
	}
}

/* To the guest that sent what is in b. */
static void turn_round(void)
{
	uint8_t mac[6];

	memcpy(mac, b, 6);
	memcpy(b, b + 6, 6);
	memcpy(b + 6, mac, 6);
}

static void longer_segments_become_large_sends(void **s)
{
	struct net_frame f = { 0 };

	(void)s;
	learned(false, "\2\4\4\0", 4, 2, 2);			/* 1024 */
	segment(false, "", 0, 0x10);
	turn_round();
	CHECK(!nat_large(&guests, b, RIG_L4 + 20 + 1024, &f));
	CHECK(nat_large(&guests, b, RIG_L4 + 20 + 1025, &f));
	CHECK_EQ(f.flags, FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP);
	CHECK_EQ(f.l4_at, RIG_L4);
	CHECK_EQ(f.mss, 1024);
	b[0] ^= 2;					/* a guest nobody knows */
	CHECK(!nat_large(&guests, b, 1514, &f));
	CHECK(nat_large(&guests, b, 1515, &f));
	CHECK_EQ(f.mss, 1460);
	segment(true, "\1\1\1\1", 4, 0x10);
	turn_round();
	CHECK(nat_large(&guests, b, 1600, &f));
	CHECK_EQ(f.flags, FRAME_LSO6 | FRAME_SUM_TCP);
	CHECK_EQ(f.l4_at, RIG_L4_6);
	CHECK_EQ(f.mss, 1440);
	CHECK(nat_fits(b, 1600));
	b[20] = 17;
	CHECK(!nat_large(&guests, b, 1600, &f));
	CHECK(!nat_fits(b, 1515));
	CHECK(nat_fits(b, 1514));
	CHECK(!nat_fragment(NULL, b, 1600));
}

static void many_guests_have_a_place_each(void **s)
{
	(void)s;
	memset(&guests, 0, sizeof(guests));
	for (unsigned i = 0; i < 3 * NAT_GUESTS; i++) {
		uint32_t len = segment(false, "\2\4\5\xb4", 4, 2);

		rig_put16(b + 6, i);
		rig_put16(b + RIG_L4 + 22, 1000 + i);
		nat_mss_in(&guests, b, len);
		CHECK_EQ(guest_of(&guests, b + 6, false)->mss4, 1000 + i);
		rig_put16(b + 6, i >= NAT_GUESTS ? i - NAT_GUESTS + 1 : 0);
		CHECK(guest_of(&guests, b + 6, false) != NULL);
	}
}

static void what_is_not_is_cut_to_fragments(void **s)
{
	static uint8_t big[65600], data[65507];

	(void)s;
	rig_init(&rig);
	for (uint32_t n = 1480; n <= sizeof(data); n += 977) {
		nr_put = put_bytes = 0;
		CHECK(nat_fragment(NULL, big, rig_udp(&rig, big, 1, rig.gw, 2, data, n)));
		CHECK_EQ(put_bytes, n + 8);
		CHECK_EQ(nr_put, (n + 8 + 1479) / 1480);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_segment_size_of_a_guest_is_learned),
		cmocka_unit_test(a_syn_that_names_none_means_the_least),
		cmocka_unit_test(cut_frames_are_not_read_beyond),
		cmocka_unit_test(longer_segments_become_large_sends),
		cmocka_unit_test(many_guests_have_a_place_each),
		cmocka_unit_test(what_is_not_is_cut_to_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
