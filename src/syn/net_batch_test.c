/*
 * net_batch_test.c - the adapter: several messages in one packet, coalesced segments
 */
#include "base/test.h"

#include "syn/net_bench.h"

#include <stdlib.h>

#define OK(x) CHECK_EQ((x), 0)
#define ALL (NDIS_FILTER_DIRECTED | NDIS_FILTER_BROADCAST)

static struct net_bench *up(uint64_t caps)
{
	struct net_bench *b = new0(struct net_bench);

	CHECK(b != NULL);
	OK(nb_init(b, 1, false));
	OK(nb_up(b, NVSP_V6_1, 1514, caps));
	OK(nb_filter(b, ALL));
	OK(nb_settle(b));		/* it has its answer's section back */
	return b;
}

static void down(struct net_bench *b)
{
	nb_fini(b);
	free(b);
}

static uint8_t *frame(uint32_t len, uint32_t seed)
{
	static uint8_t f[NET_LSO_MAX];

	for (uint32_t i = 0; i < len; i++)
		f[i] = (uint8_t)(i * 7 + i / 256 + seed);
	memcpy(f, nb_mac, 6);
	f[12] = 0x88;
	f[13] = 0xb5;
	return f;
}

static void check_frame(struct net_bench *b, uint32_t len, uint32_t seed)
{
	uint32_t got;
	const uint8_t *f = nb_frame(b, &got);

	CHECK_EQ(got, len);
	CHECK_MEM(f, frame(len, seed), len);
}

/* The sections that the guest can still get before it must give one back. */
static unsigned free_sections(struct net_bench *b)
{
	uint64_t ids[512];
	unsigned n = 0;

	OK(nb_settle(b));
	while (fp_deliver(&b->port, 0, 0, frame(60, 0), 60) == 0) {
		OK(nb_recv(b, &b->c, true));
		CHECK(n < ARRAY_LEN(ids));
		ids[n++] = b->msg_id;
	}
	for (unsigned i = 0; i < n; i++)
		OK(nb_give_back(b, &b->c, ids[i]));
	OK(nb_settle(b));
	return n;
}

static void what_comes_together_is_one_packet(void **s)
{
	struct net_bench *b = up(0);
	unsigned all = free_sections(b);
	uint64_t id;

	(void)s;
	for (unsigned i = 0; i < 5; i++) {
		OK(fp_deliver_more(&b->port, 0, 0, frame(60 + 300 * i, i), 60 + 300 * i));
		CHECK(!fg_has_packet(&b->g, &b->c));
	}
	b->port.client->deliver_end(b->port.dev);
	for (unsigned i = 0; i < 5; i++) {
		OK(nb_recv(b, &b->c, true));
		CHECK_EQ(b->msg_of, 5);
		check_frame(b, 60 + 300 * i, i);
	}
	id = b->msg_id;
	CHECK_EQ(free_sections(b), all - 5);
	/* By the name of another of its sections, by its own, and twice. */
	for (unsigned i = 0; i < b->rx_nr; i++)
		if ((id & ~UINT64_C(0xffffffff)) + i + 1 != id)
			OK(nb_give_back(b, &b->c, (id & ~UINT64_C(0xffffffff)) + i + 1));
	CHECK_EQ(free_sections(b), all - 5);
	OK(nb_give_back(b, &b->c, id));
	OK(nb_give_back(b, &b->c, id));
	CHECK_EQ(free_sections(b), all);
	/* A second end says nothing new; a full batch does not wait for the end. */
	b->port.client->deliver_end(b->port.dev);
	CHECK(!fg_has_packet(&b->g, &b->c));
	for (unsigned i = 0; i < 65; i++)
		OK(fp_deliver_more(&b->port, 0, 0, frame(60, i), 60));
	for (unsigned i = 0; i < 64; i++) {
		OK(nb_recv(b, &b->c, false));
		check_frame(b, 60, i);
	}
	b->port.client->deliver_end(b->port.dev);
	OK(nb_recv(b, &b->c, false));
	CHECK_EQ(b->msg_of, 1);
	check_frame(b, 60, 64);
	down(b);
}

/* To a guest of old each frame comes alone, and at once when the next is there. */
static void old_guests_get_one_by_one(void **s)
{
	struct net_bench *b = new0(struct net_bench);

	(void)s;
	CHECK(b != NULL);
	OK(nb_init(b, 1, false));
	OK(nb_up(b, NVSP_V2, 1514, 0));
	OK(nb_filter(b, ALL));
	for (unsigned i = 0; i < 5; i++)
		OK(fp_deliver_more(&b->port, 0, 0, frame(60, i), 60));
	b->port.client->deliver_end(b->port.dev);
	for (unsigned i = 0; i < 5; i++) {
		OK(nb_recv(b, &b->c, false));
		CHECK_EQ(b->msg_of, 1);
		check_frame(b, 60, i);
	}
	down(b);
}

/* A batch lost with its channel leaves nothing behind for the next session. */
static void a_batch_and_the_end_of_its_channel(void **s)
{
	struct net_bench *b = up(0);

	(void)s;
	OK(fp_deliver_more(&b->port, 0, 0, frame(60, 1), 60));
	fg_close(&b->g, &b->c);
	b->port.client->deliver_end(b->port.dev);
	OK(fg_gpadl_teardown(&b->g, b->c.relid, b->c.gpadl));
	nb_fini(b);
	OK(nb_init(b, 1, false));
	OK(nb_up(b, NVSP_V6_1, 1514, 0));
	OK(nb_filter(b, ALL));
	OK(fp_deliver(&b->port, 0, 0, frame(60, 2), 60));
	OK(nb_recv(b, &b->c, false));
	CHECK_EQ(b->msg_of, 1);
	check_frame(b, 60, 2);
	down(b);
}

static void set_rsc(struct net_bench *b, uint8_t v4, uint8_t v6, uint32_t len)
{
	struct {
		struct ndis_offload_params p;
		struct ndis_offload_params_rsc rsc;
	} p = { .p.obj = { NDIS_OBJECT_DEFAULT, 3, le16_of(28) }, .rsc = { .rsc4 = v4, .rsc6 = v6 } };

	OK(nb_set(b, OID_OFFLOAD_PARAMETERS, &p, len));
}

static void coalescing_is_asked_for(void **s)
{
	struct ndis_object in = { NDIS_OBJECT_OFFLOAD, 3, le16_of(156) };
	struct ndis_offload o;
	uint32_t len;

	(void)s;
	for (int can = 0; can < 2; can++) {
		struct net_bench *b = up(can ? NVSP_CAP_RSC : 0);

		OK(nb_query(b, OID_OFFLOAD_CAPABILITIES, &in, sizeof(in), &len));
		memcpy(&o, b->msg + 24, sizeof(o));
		CHECK_EQ(o.rsc_v4, can);
		CHECK_EQ(o.rsc_v6, can);
		CHECK_EQ(b->port.caps.flags, 0);
		set_rsc(b, NDIS_ON, NDIS_ON, 20);	/* older, without those bytes */
		CHECK_EQ(b->port.caps.flags, 0);
		set_rsc(b, NDIS_ON, NDIS_ON, 24);
		CHECK_EQ(b->port.caps.flags, can ? PORT_TAKES_LSO4 | PORT_TAKES_LSO6 : 0);
		set_rsc(b, NDIS_OFF, NDIS_SAME, 24);
		CHECK_EQ(b->port.caps.flags, can ? PORT_TAKES_LSO6 : 0);
		down(b);
	}
}

/* One packet of the switch's, LEN bytes, in pieces that make it again. */
static void check_coalesced(struct net_bench *b, uint32_t len)
{
	static uint8_t whole[NET_LSO_MAX];
	uint32_t at = 0, n, piece, first = 0;
	const uint8_t *f;
	unsigned i = 0;

	OK(fp_deliver(&b->port, FRAME_LSO4 | FRAME_SUM_OK | FRAME_TAGGED, 0x123, frame(len, 3), len));
	do {
		OK(nb_recv(b, &b->c, false));
		f = nb_frame(b, &n);
		CHECK(n <= sizeof(whole) - at);
		memcpy(whole + at, f, n);
		CHECK(nb_ppi(b, PPI_PIECE, &piece));
		CHECK_EQ(piece, 0x101u | (i == 0 ? 0x200u : 0) | (i + 1 == b->msg_of ? 0x400u : 0));
		CHECK_EQ(nb_ppi(b, PPI_VLAN, &first), i == 0);
		at += n;
	} while (++i < b->msg_of);
	CHECK_EQ(at, len);
	CHECK_MEM(whole, frame(len, 3), len);
}

static void segments_are_coalesced(void **s)
{
	struct net_bench *b = up(NVSP_CAP_RSC | NVSP_CAP_VLAN);
	unsigned all = free_sections(b);
	uint32_t piece;

	(void)s;
	set_rsc(b, NDIS_ON, NDIS_ON, 24);
	check_coalesced(b, 3000);
	check_coalesced(b, 1700);
	check_coalesced(b, 62780);
	check_coalesced(b, NET_LSO_MAX);
	/* One that fits a message is like any other. */
	OK(fp_deliver(&b->port, FRAME_LSO4 | FRAME_SUM_OK, 0, frame(1000, 0), 1000));
	OK(nb_recv(b, &b->c, false));
	CHECK_EQ(b->msg_of, 1);
	CHECK(!nb_ppi(b, PPI_PIECE, &piece));
	check_frame(b, 1000, 0);
	OK(nb_settle(b));		/* what comes back says what waits at once */
	/* It does not fit beside what waits already: two packets, in their order. */
	for (unsigned i = 0; i < 30; i++)
		OK(fp_deliver_more(&b->port, 0, 0, frame(60, i), 60));
	OK(fp_deliver_more(&b->port, FRAME_LSO6 | FRAME_SUM_OK, 0, frame(62780, 9), 62780));
	b->port.client->deliver_end(b->port.dev);
	OK(nb_recv(b, &b->c, false));
	CHECK_EQ(b->msg_of, 30);
	for (unsigned i = 1; i < 30; i++)
		OK(nb_recv(b, &b->c, false));
	OK(nb_recv(b, &b->c, false));
	CHECK(b->msg_of > 36 && nb_ppi(b, PPI_PIECE, &piece) && piece == 0x301);
	while (b->more != 0)
		OK(nb_recv(b, &b->c, false));
	OK(nb_settle(b));
	CHECK_EQ(free_sections(b), all);
	down(b);
}

/* Too few sections are left for one: nothing of it is there, and a small one still passes. */
static void no_room_for_a_whole_one(void **s)
{
	struct net_bench *b = up(NVSP_CAP_RSC);
	unsigned all = free_sections(b);

	(void)s;
	set_rsc(b, NDIS_ON, NDIS_ON, 24);
	OK(nb_settle(b));
	for (unsigned i = 0; i < all - 10; i++) {
		OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
		OK(nb_recv(b, &b->c, true));
	}
	CHECK_EQ(fp_deliver(&b->port, FRAME_LSO4 | FRAME_SUM_OK, 0, frame(62780, 0), 62780), -EAGAIN);
	CHECK(!fg_has_packet(&b->g, &b->c));
	CHECK_EQ(free_sections(b), 10);
	down(b);
}

/* A buffer that never has room for a long one: it is said, and one that comes all the same waits for nothing. */
static void a_small_buffer(void **s)
{
	struct net_bench *b = up(NVSP_CAP_RSC);
	struct nvsp_msg m = { .type = le32_of(NVSP_SEND_RECV_BUF) };
	uint32_t gpadl = b->g.next_gpadl++;
	struct nic_stats st;

	(void)s;
	CHECK_EQ(b->port.caps.max_lso, NET_LSO_MAX);
	set_rsc(b, NDIS_ON, NDIS_ON, 24);
	OK(nb_revoke_recv(b));
	CHECK_EQ(fg_gpadl(&b->g, b->c.relid, gpadl, b->rx, 4), 0);
	m.u.buf.gpadl = le32_of(gpadl);
	m.u.buf.id = le16_of(NB_RX_ID);
	OK(nb_nvsp(b, &m));
	b->rx_nr = le32_get(b->r.u.recv_complete.section.count);
	CHECK_EQ(b->rx_nr, 9);			/* of which two are for answers */
	CHECK_EQ(b->port.caps.max_lso, 7 * (1728 - 108));
	check_coalesced(b, b->port.caps.max_lso);
	OK(fp_deliver(&b->port, FRAME_LSO4, 0, frame(b->port.caps.max_lso + 1, 0), b->port.caps.max_lso + 1));
	CHECK(!fg_has_packet(&b->g, &b->c));
	nic_get_stats(b->n, &st);
	CHECK_EQ(st.rx_too_long, 1);
	OK(nb_settle(b));
	check_coalesced(b, b->port.caps.max_lso);
	down(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_together_is_one_packet),
		cmocka_unit_test(old_guests_get_one_by_one),
		cmocka_unit_test(a_batch_and_the_end_of_its_channel),
		cmocka_unit_test(coalescing_is_asked_for),
		cmocka_unit_test(segments_are_coalesced),
		cmocka_unit_test(no_room_for_a_whole_one),
		cmocka_unit_test(a_small_buffer),
	};

	return cmocka_run_group_tests_name("net-batch", tests, NULL, NULL);
}
