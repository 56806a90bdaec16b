/*
 * net_data_test.c - the adapter: frames both ways, sub-channels, scaling
 */
#include "base/test.h"

#include "syn/net_bench.h"

#include <stdlib.h>
#include <unistd.h>

#define OK(x) CHECK_EQ((x), 0)
#define ALL (NDIS_FILTER_DIRECTED | NDIS_FILTER_BROADCAST | NDIS_FILTER_ALL_MULTICAST)

static struct net_bench *up(unsigned vps, uint32_t version, uint32_t mtu, uint64_t caps)
{
	struct net_bench *b = new0(struct net_bench);

	CHECK(b != NULL);
	OK(nb_init(b, vps, false));
	OK(nb_up(b, version, mtu, caps));
	OK(nb_filter(b, ALL));
	return b;
}

static void down(struct net_bench *b)
{
	nb_fini(b);
	free(b);
}

/* For our adapter, with bytes that tell where they belong. */
static uint8_t *frame(uint32_t len, uint8_t seed)
{
	static uint8_t f[70000];

	for (uint32_t i = 0; i < len; i++)
		f[i] = (uint8_t)(i * 7 + i / 256 + seed);
	memcpy(f, nb_mac, 6);
	f[12] = 0x88;
	f[13] = 0xb5;
	return f;
}

/* Sending. */

static uint32_t send_packet(struct net_bench *b, bool section, const void *f, uint32_t len,
			    const uint32_t *ppi, unsigned nr)
{
	static uint8_t m[70000];
	uint32_t n = nb_packet(m, f, len, ppi, nr);

	OK(nb_send(b, &b->c, NVSP_CHAN_DATA, section, m, n));
	return (uint32_t)nb_wait_sent(b, &b->c);
}

static void frames_go_out_as_they_are(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);

	(void)s;
	for (unsigned i = 0; i < 40; i++) {
		uint32_t len = 14 + (i * 397) % 1501;
		const uint8_t *f = frame(len, (uint8_t)i);
		const struct fp_frame *got = &b->port.f[i];

		CHECK_EQ(send_packet(b, i & 1, f, len, NULL, 0), NVSP_SUCCESS);
		CHECK(fp_wait(&b->port, i + 1));
		CHECK_EQ(got->len, len);
		CHECK_EQ(got->flags, 0);
		CHECK_MEM(got->bytes, f, len);
	}
	/* Too short, too long: gone, and the packet is completed all the same. */
	CHECK_EQ(send_packet(b, false, frame(13, 0), 13, NULL, 0), NVSP_SUCCESS);
	CHECK_EQ(send_packet(b, false, frame(1519, 0), 1519, NULL, 0), NVSP_SUCCESS);
	CHECK_EQ(send_packet(b, false, frame(1518, 0), 1518, NULL, 0), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 41));
	down(b);
}

static void what_is_asked_for_a_frame(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, NVSP_CAP_VLAN);
	uint32_t ppi[6] = { PPI_HASH, 0x1234, PPI_VLAN, 5 | 8 | 0x123 << 4,
			    PPI_CHECKSUM, PPI_TX_IPV4 | PPI_TX_TCP | PPI_TX_IP_HEADER | 34 << 16 };
	const struct fp_frame *f = &b->port.f[0];
	uint32_t lso[4] = { PPI_CHECKSUM, PPI_TX_IPV4 | PPI_TX_UDP, PPI_LSO,
			    1448 | 54u << 20 | PPI_LSO_V2 | PPI_LSO_IPV6 };
	uint8_t *v4 = frame(100, 0);

	(void)s;
	CHECK_EQ(send_packet(b, true, v4, 100, ppi, 3), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 1));
	CHECK_EQ(f->flags, FRAME_TAGGED | FRAME_SUM_TCP | FRAME_SUM_IP);
	CHECK_EQ(f->tci, 5 << 13 | 1 << 12 | 0x123);
	CHECK_EQ(f->l4_at, 34);
	/* UDP without a place: found behind the header. */
	ppi[5] = PPI_TX_IPV4 | PPI_TX_UDP;
	v4[12] = 8;
	v4[13] = 0;
	v4[14] = 0x46;
	CHECK_EQ(send_packet(b, true, v4, 100, ppi + 4, 1), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 2));
	CHECK_EQ(b->port.f[1].flags, FRAME_SUM_UDP);
	CHECK_EQ(b->port.f[1].l4_at, 38);
	/* A large send is nothing else beside. */
	CHECK_EQ(send_packet(b, false, frame(60000, 3), 60000, lso, 2), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 3));
	CHECK_EQ(b->port.f[2].flags, FRAME_LSO6 | FRAME_SUM_TCP);
	CHECK_EQ(b->port.f[2].mss, 1448);
	CHECK_EQ(b->port.f[2].l4_at, 54);
	CHECK_EQ(b->port.f[2].len, 60000);
	CHECK_MEM(b->port.f[2].bytes, frame(60000, 3), 2048);
	lso[3] = 1460 | 34u << 20 | PPI_LSO_V2;
	CHECK_EQ(send_packet(b, false, frame(60000, 3), 60000, lso + 2, 1), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 4));
	CHECK_EQ(b->port.f[3].flags, FRAME_LSO4 | FRAME_SUM_IP | FRAME_SUM_TCP);
	lso[3] = 34u << 20 | PPI_LSO_V2;		/* segments of nothing */
	CHECK_EQ(send_packet(b, false, frame(60000, 3), 60000, lso + 2, 1), NVSP_INVALID_RNDIS);
	CHECK(fp_wait(&b->port, 4));
	down(b);
}

/* Several in one section, padded to 8; and one that begins there and goes on in pages. */
static void packets_in_every_shape(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	struct nvsp_msg v = { .type = le32_of(NVSP_RNDIS_PKT) };
	uint8_t m[8192] = { 0 };
	uint32_t at = 0, n;

	(void)s;
	for (unsigned i = 0; i < 30; i++) {
		n = nb_packet(m + at, frame(90 + i, (uint8_t)i), 90 + i, NULL, 0);
		n = (uint32_t)align_up(n, 8);
		st32(m + at + 4, n);
		at += n;
	}
	OK(nb_send(b, &b->c, NVSP_CHAN_DATA, true, m, at));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 30));
	for (unsigned i = 0; i < 30; i++) {
		CHECK_EQ(b->port.f[i].len, 90 + i);
		CHECK_MEM(b->port.f[i].bytes, frame(90 + i, (uint8_t)i), 90 + i);
	}
	n = nb_packet(m, frame(1000, 9), 1000, NULL, 0);
	OK(gmem_write(b->g.mem, b->tx + 2 * NB_TX_SECTION, m, 44));
	OK(gmem_write(b->g.mem, b->buf + 4000, m + 44, n - 44));
	v.u.rndis.section = le32_of(2);
	v.u.rndis.section_len = le32_of(44);
	OK(fg_send_gpa(&b->g, &b->c, ++b->xid, b->buf + 4000, n - 44, &v, sizeof(v)));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 31));
	CHECK_EQ(b->port.f[30].len, 1000);
	CHECK_MEM(b->port.f[30].bytes, frame(1000, 9), 1000);
	down(b);
}

static void packets_of_no_sense(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	struct nvsp_msg v = { .type = le32_of(NVSP_RNDIS_PKT) };
	uint8_t m[512];
	uint32_t n;

	(void)s;
	/* Every word of the header in turn, and of the PPI. */
	for (uint32_t at = 0; at < 60; at += 4) {
		uint32_t ppi[2] = { PPI_VLAN, 0 };

		n = nb_packet(m, frame(100, 0), 100, ppi, 1);
		st32(m + at, 0xfffffff0);
		OK(nb_send(b, &b->c, NVSP_CHAN_DATA, true, m, n));
		CHECK(nb_wait_sent(b, &b->c) > 0);
	}
	/* Sections and pages that are not there. */
	v.u.rndis.section = le32_of(NB_TX_PAGES * 4096 / NB_TX_SECTION);
	v.u.rndis.section_len = le32_of(44);
	OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, ++b->xid, &v, sizeof(v)));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);
	v.u.rndis.section = le32_of(0);
	v.u.rndis.section_len = le32_of(NB_TX_SECTION + 1);
	OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, ++b->xid, &v, sizeof(v)));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);
	v.u.rndis.section = le32_of(NVSP_NO_SECTION);
	OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, ++b->xid, &v, sizeof(v)));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);
	OK(fg_send_gpa(&b->g, &b->c, ++b->xid, UINT64_C(1) << 40, 100, &v, sizeof(v)));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);
	OK(fg_send_gpa(&b->g, &b->c, ++b->xid, b->buf, 82000, &v, sizeof(v)));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);
	/* It goes on. */
	CHECK_EQ(send_packet(b, true, frame(100, 1), 100, NULL, 0), NVSP_SUCCESS);
	down(b);
}

/* No room in the switch: the guest's packets wait in its ring, and none is lost. */
static void a_full_switch_holds_the_channel(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	uint8_t m[8192] = { 0 };
	struct fg_pkt p;
	uint32_t at = 0;

	(void)s;
	for (unsigned i = 0; i < 20; i++)
		at += nb_packet(m + at, frame(100, (uint8_t)i), 100, NULL, 0);
	fp_set_take(&b->port, 18);
	OK(nb_send(b, &b->c, NVSP_CHAN_DATA, true, m, at));
	CHECK(fp_wait(&b->port, 18));
	usleep(20000);
	CHECK(!fg_has_packet(&b->g, &b->c));	/* not completed */
	/* What comes after waits too. */
	at = nb_packet(m, frame(100, 99), 100, NULL, 0);
	OK(nb_send(b, &b->c, NVSP_CHAN_DATA, false, m, at));
	usleep(20000);
	CHECK(!fg_has_packet(&b->g, &b->c));
	fp_set_take(&b->port, 1);
	CHECK(fp_wait(&b->port, 19));
	usleep(10000);
	CHECK(!fg_has_packet(&b->g, &b->c));
	fp_set_take(&b->port, UINT32_MAX);
	CHECK(fp_wait(&b->port, 21));
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(b->port.f[i].bytes[20], frame(100, (uint8_t)i)[20]);
	CHECK_EQ(b->port.f[20].bytes[20], frame(100, 99)[20]);
	for (unsigned i = 0; i < 2; i++) {
		OK(fg_recv(&b->g, &b->c, &p));
		CHECK_EQ(ld32(p.data + 4), NVSP_SUCCESS);
	}
	/* Closed with a packet held: forgotten. */
	fp_set_take(&b->port, 0);
	OK(nb_send(b, &b->c, NVSP_CHAN_DATA, false, m, at));
	usleep(10000);
	fg_close(&b->g, &b->c);
	OK(fg_gpadl_teardown(&b->g, b->c.relid, b->c.gpadl));
	fp_set_take(&b->port, UINT32_MAX);
	usleep(10000);
	CHECK(fp_wait(&b->port, 21));
	down(b);
}

static bool all_read(struct net_bench *b)
{
	for (int i = 0; i < 1000; i++) {
		if (fg_ring_load(&b->g, &b->c, false, RING_OUT) == b->c.in)
			return true;
		usleep(20);
	}
	return false;
}

/*
 * While the switch has no room, completions are still heard: else two adapters wait
 * for each other.  Order is kept, however many wait.
 */
static void waiting_packets_do_not_block_completions(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	struct nvsp_msg v = { .type = le32_of(NVSP_RNDIS_PKT) };
	uint32_t keepalive[3] = { RNDIS_KEEPALIVE, 12, 77 };
	uint8_t m[256];
	struct fg_pkt p;

	(void)s;
	fp_set_take(&b->port, 0);
	v.u.rndis.section_len = le32_of(nb_packet(m, frame(60, 0), 60, NULL, 0));
	for (uint32_t i = 0; i < 20; i++) {
		OK(gmem_write(b->g.mem, b->tx + i * NB_TX_SECTION, m, 44));
		OK(gmem_write(b->g.mem, b->tx + i * NB_TX_SECTION + 44, frame(60, (uint8_t)i), 60));
	}
	for (uint32_t i = 0; i < 20; i++) {
		v.u.rndis.section = le32_of(i);
		OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, 1000 + i, &v, sizeof(v)));
	}
	CHECK(all_read(b));
	for (unsigned i = 0; i < 2 * b->rx_nr; i++) {
		OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
		OK(nb_recv(b, &b->c, false));
		CHECK(all_read(b));
		usleep(100);
	}
	OK(nb_control(b, keepalive, 12));
	CHECK_EQ(ld32(b->msg + 8), 77);
	/* One is in hand and 64 wait; then the channel stands still. */
	for (uint32_t i = 20; i < 65; i++) {
		v.u.rndis.section = le32_of(i % 20);
		OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, 1000 + i, &v, sizeof(v)));
	}
	CHECK(all_read(b));
	for (uint32_t i = 65; i < 100; i++) {
		v.u.rndis.section = le32_of(i % 20);
		OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, 1000 + i, &v, sizeof(v)));
	}
	CHECK(!all_read(b));
	fp_set_take(&b->port, 50);
	CHECK(fp_wait(&b->port, 50));
	fp_set_take(&b->port, UINT32_MAX);
	CHECK(fp_wait(&b->port, 100));
	for (uint32_t i = 0; i < 100; i++) {
		OK(fg_recv(&b->g, &b->c, &p));
		CHECK_EQ(p.id, 1000 + i);
		CHECK_EQ(ld32(p.data + 4), NVSP_SUCCESS);
		if (i >= 100 - FP_FRAMES)
			CHECK_EQ(b->port.f[i % FP_FRAMES].bytes[20], frame(60, (uint8_t)(i % 20))[20]);
	}
	down(b);
}

/* Receiving. */

static void frames_come_in(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, NVSP_CAP_VLAN);
	uint32_t len, v;

	(void)s;
	for (unsigned i = 0; i < 300; i++) {	/* more than there are sections */
		uint32_t n = 14 + (i * 397) % 1505;
		const uint8_t *f = frame(n, (uint8_t)i);

		OK(fp_deliver(&b->port, i & 1 ? FRAME_TAGGED : 0, 0xb123, f, n));
		OK(nb_recv(b, &b->c, false));
		CHECK_EQ(b->msg_channel, NVSP_CHAN_DATA);
		CHECK_EQ(ld32(b->msg), RNDIS_PACKET);
		CHECK_MEM(nb_frame(b, &len), f, n);
		CHECK_EQ(len, n);
		CHECK_EQ(nb_ppi(b, PPI_VLAN, &v), i & 1);
		if (i & 1)
			CHECK_EQ(v, 5 | 8 | 0x123 << 4);
		while (fg_ring_load(&b->g, &b->c, false, RING_OUT) !=
		       fg_ring_load(&b->g, &b->c, false, RING_IN))
			usleep(10);
	}
	OK(fp_deliver(&b->port, 0, 0, frame(1519, 0), 1519));	/* too long */
	usleep(10000);
	CHECK(!fg_has_packet(&b->g, &b->c));
	down(b);
}

static void checksums_that_are_known(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	struct ndis_offload_params off = { .obj = { NDIS_OBJECT_DEFAULT, 1, le16_of(20) },
					   .tcp4 = NDIS_SUM_TX };
	uint8_t *f = frame(100, 0);
	uint32_t v;

	(void)s;
	memset(f + 12, 0, 60);
	f[12] = 8;
	f[14] = 0x45;
	f[23] = 6;
	OK(fp_deliver(&b->port, 0, 0, f, 100));
	OK(nb_recv(b, &b->c, false));
	CHECK(!nb_ppi(b, PPI_CHECKSUM, &v));
	OK(fp_deliver(&b->port, FRAME_SUM_OK, 0, f, 100));
	OK(nb_recv(b, &b->c, false));
	CHECK(nb_ppi(b, PPI_CHECKSUM, &v));
	CHECK_EQ(v, PPI_RX_IP_OK | PPI_RX_TCP_OK);
	f[20] = 0x20;				/* a fragment */
	OK(fp_deliver(&b->port, FRAME_SUM_OK, 0, f, 100));
	OK(nb_recv(b, &b->c, false));
	CHECK(nb_ppi(b, PPI_CHECKSUM, &v));
	CHECK_EQ(v, PPI_RX_IP_OK);
	f[20] = 0;
	OK(nb_set(b, OID_OFFLOAD_PARAMETERS, &off, sizeof(off)));
	OK(fp_deliver(&b->port, FRAME_SUM_OK, 0, f, 100));
	OK(nb_recv(b, &b->c, false));
	CHECK(nb_ppi(b, PPI_CHECKSUM, &v));
	CHECK_EQ(v, PPI_RX_IP_OK);
	f[12] = 0x86;
	f[13] = 0xdd;
	f[20] = 17;
	OK(fp_deliver(&b->port, FRAME_SUM_OK, 0, f, 100));
	OK(nb_recv(b, &b->c, false));
	CHECK(nb_ppi(b, PPI_CHECKSUM, &v));
	CHECK_EQ(v, PPI_RX_UDP_OK);
	down(b);
}

static bool comes_in(struct net_bench *b, const uint8_t dst[6])
{
	struct nic_stats old, new;
	uint8_t *f = frame(60, 0);

	memcpy(f, dst, 6);
	nic_get_stats(b->n, &old);
	OK(fp_deliver(&b->port, 0, 0, f, 60));
	nic_get_stats(b->n, &new);
	CHECK_EQ(new.rx_frames + new.rx_filtered, old.rx_frames + old.rx_filtered + 1);
	if (new.rx_frames == old.rx_frames)
		return false;
	OK(nb_recv(b, &b->c, false));
	return true;
}

static void filters(void **s)
{
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 1 }, other[6] = { 2, 0, 0, 0, 0, 1 };
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);

	(void)s;
	for (uint32_t f = 0; f < 0x40; f++) {
		OK(nb_filter(b, f));
		CHECK_EQ(comes_in(b, nb_mac), (f & 0x21) != 0);
		CHECK_EQ(comes_in(b, all), (f & 0x28) != 0);
		CHECK_EQ(comes_in(b, group), (f & 0x24) != 0);
		CHECK_EQ(comes_in(b, other), (f & 0x20) != 0);
	}
	OK(nb_filter(b, NDIS_FILTER_MULTICAST));
	CHECK(!comes_in(b, group));
	OK(nb_set(b, OID_MULTICAST_LIST, group, 6));
	CHECK(comes_in(b, group));
	CHECK_EQ(nb_set(b, OID_MULTICAST_LIST, group, 5), NDIS_INVALID_LENGTH);
	OK(nb_set(b, OID_MULTICAST_LIST, NULL, 0));
	CHECK(!comes_in(b, group));
	down(b);
}

/* The host has read all that was sent on the primary. */
/* A guest that gives nothing back gets no more; it still hears answers, and recovers. */
static void a_guest_that_keeps_everything(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	uint64_t ids[512];
	unsigned n = 0, rooms;

	(void)s;
	OK(nb_settle(b));
	while (fp_deliver(&b->port, 0, 0, frame(60, 0), 60) == 0) {
		OK(nb_recv(b, &b->c, true));
		CHECK(n < ARRAY_LEN(ids));
		ids[n++] = b->msg_id;
	}
	CHECK_EQ(n, b->rx_nr - 8);
	CHECK_EQ(fp_deliver(&b->port, 0, 0, frame(60, 0), 60), -EAGAIN);
	OK(nb_filter(b, ALL));			/* in the reserve */
	OK(nb_settle(b));
	rooms = fp_rooms(&b->port);		/* the answer's section came back */
	CHECK_EQ(fp_deliver(&b->port, 0, 0, frame(60, 0), 60), -EAGAIN);
	OK(nb_give_back(b, &b->c, ids[3]));
	for (int i = 0; i < 10000 && fp_rooms(&b->port) == rooms; i++)
		usleep(100);
	CHECK_EQ(fp_rooms(&b->port), rooms + 1);
	OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
	OK(nb_recv(b, &b->c, true));
	CHECK_EQ(b->msg_id, ids[3]);
	/* Twice, of nothing, of another buffer: no section appears. */
	OK(nb_give_back(b, &b->c, ids[3]));
	OK(nb_give_back(b, &b->c, ids[3]));
	OK(nb_give_back(b, &b->c, 0));
	OK(nb_give_back(b, &b->c, UINT64_MAX));
	OK(nb_give_back(b, &b->c, ids[3] + (UINT64_C(1) << 32)));
	OK(nb_settle(b));
	OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
	CHECK_EQ(fp_deliver(&b->port, 0, 0, frame(60, 0), 60), -EAGAIN);
	down(b);
}

/* The ring is full before the buffer is. */
static void a_guest_that_reads_nothing(void **s)
{
	struct net_bench *b = new0(struct net_bench);
	unsigned n = 0;

	(void)s;
	CHECK(b != NULL);
	OK(nb_init(b, 1, false));
	OK(nb_up(b, NVSP_V6_1, 1514, 0));
	OK(nb_filter(b, ALL));
	fg_close(&b->g, &b->c);
	OK(fg_gpadl_teardown(&b->g, b->c.relid, b->c.gpadl));
	nb_fini(b);
	OK(nb_init(b, 1, false));
	CHECK_EQ(fg_contact(&b->g, VMBUS_CONN_MSG_MULTI, VMBUS_V5_3, 0), 1);
	CHECK_EQ(fg_offers(&b->g, &b->offer, 1), 1);
	OK(fg_open(&b->g, le32_get(b->offer.relid), 2, 0, &b->c));	/* 4 KiB each way */
	OK(nb_nvsp(b, &(struct nvsp_msg){ .type = le32_of(NVSP_INIT),
					  .u.init = { le32_of(NVSP_V2), le32_of(NVSP_V2) } }));
	OK(nb_recv_buf(b));
	OK(nb_control(b, &(struct rndis_init){ { le32_of(RNDIS_INITIALIZE), le32_of(24) },
					       .major = le32_of(1) }, 24));
	OK(nb_filter(b, ALL));
	while (fp_deliver(&b->port, 0, 0, frame(60, 0), 60) == 0)
		n++;
	CHECK(n > 40 && n < b->rx_nr - 8);
	CHECK_EQ(fp_rooms(&b->port), 0);
	for (unsigned i = 0; i < n; i++)
		OK(nb_recv(b, &b->c, true));
	for (int i = 0; i < 10000 && fp_rooms(&b->port) == 0; i++)
		usleep(100);
	CHECK_EQ(fp_rooms(&b->port), 1);
	OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
	down(b);
}

/* Revoked, torn down, closed: not a byte is written to it any more. */
static void a_buffer_that_was_taken_back(void **s)
{
	(void)s;
	for (int how = 0; how < 4; how++) {
		struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
		uint8_t was[4096], is[4096];
		struct nic_stats st;

		OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
		OK(nb_recv(b, &b->c, true));
		memset(was, 0xa5, sizeof(was));
		switch (how) {
		case 0:
			OK(nb_revoke_recv(b));
			break;
		case 1:			/* the second GPADL after the rings' */
			OK(fg_gpadl_teardown(&b->g, b->c.relid, b->c.gpadl + 1));
			break;
		case 2:
			fg_close(&b->g, &b->c);
			OK(fg_gpadl_teardown(&b->g, b->c.relid, b->c.gpadl));
			break;
		default:
			vmbus_reset(b->g.bus);
			break;
		}
		OK(gmem_write(b->g.mem, b->rx, was, sizeof(was)));
		for (int i = 0; i < 10; i++)
			OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
		OK(gmem_read(b->g.mem, b->rx, is, sizeof(is)));
		CHECK_MEM(is, was, sizeof(is));
		nic_get_stats(b->n, &st);
		CHECK_EQ(st.rx_filtered, 10);
		if (how == 0) {		/* a late completion means nothing to the next buffer */
			OK(nb_recv_buf(b));
			OK(nb_give_back(b, &b->c, b->msg_id));
			OK(fp_deliver(&b->port, 0, 0, frame(60, 0), 60));
			OK(nb_recv(b, &b->c, false));
		}
		down(b);
	}
}

/* Sub-channels. */

static uint32_t subs(struct net_bench *b, uint32_t n, uint32_t *relids)
{
	struct nvsp_msg m = { .type = le32_of(NVSP_SUBCHANNEL), .u.sub = { le32_of(1), le32_of(n) } };
	struct fg_msg r;
	uint32_t granted;

	OK(nb_nvsp(b, &m));
	CHECK_EQ(le32_get(b->r.type), NVSP_SUBCHANNEL);
	if (le32_get(b->r.u.sub.op) != NVSP_SUCCESS)
		return 0;
	granted = le32_get(b->r.u.sub.nr);
	for (uint32_t i = 0; i < granted; i++) {
		OK(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r));
		relids[i] = ld32(r.bytes + 184);
	}
	return granted;
}

static void check_table(struct net_bench *b, uint32_t nr)
{
	struct fg_pkt p;

	OK(fg_recv(&b->g, &b->c, &p));
	CHECK_EQ(p.type, VMPKT_INBAND);
	CHECK_EQ(p.len, 104);
	CHECK_EQ(ld32(p.data), NVSP_SEND_INDIRECTION_TABLE);
	CHECK_EQ(ld32(p.data + 4), 16);
	CHECK_EQ(ld32(p.data + 8), b->version >= NVSP_V6_1 ? 40 : 36);
	for (uint32_t i = 0; i < 16; i++)
		CHECK_EQ(ld32(p.data + 40 + 4 * i), i % nr);
}

/* The key of NDIS's own examples. */
static const uint8_t key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static int64_t set_rss(struct net_bench *b, uint16_t flags, uint32_t hash, uint32_t chans)
{
	uint8_t m[40 + 512 + 40] = { NDIS_OBJECT_RSS_PARAMETERS, 2, 40 };

	st16(m + 4, flags);
	st32(m + 8, hash);
	st16(m + 12, 512);
	st32(m + 16, 40);
	st16(m + 20, 40);
	st32(m + 24, 552);
	for (uint32_t i = 0; i < 128; i++)
		st32(m + 40 + 4 * i, i % chans);
	memcpy(m + 552, key, 40);
	return nb_set(b, OID_RSS_PARAMETERS, m, sizeof(m));
}

static uint32_t make_v4(uint8_t *f, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
	memset(f, 0, 60);
	memcpy(f, nb_mac, 6);
	f[12] = 8;
	f[14] = 0x45;
	f[23] = 6;
	st32(f + 26, __builtin_bswap32(src));
	st32(f + 30, __builtin_bswap32(dst));
	st16(f + 34, __builtin_bswap16(sport));
	st16(f + 36, __builtin_bswap16(dport));
	return 60;
}

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static void scaling_over_sub_channels(void **s)
{
	static const struct {
		uint32_t dst, src;
		uint16_t dport, sport;
		uint32_t tcp, ip;
	} row[] = {		/* as published with the NDIS specification */
		{ V4(161, 142, 100, 80), V4(66, 9, 149, 187), 1766, 2794, 0x51ccc178, 0x323e8fc2 },
		{ V4(65, 69, 140, 83), V4(199, 92, 111, 2), 4739, 14230, 0xc626b0ea, 0xd718262a },
		{ V4(12, 22, 207, 184), V4(24, 19, 198, 95), 38024, 12898, 0x5c2b394a, 0xd2d0a5de },
	};
	struct net_bench *b = up(4, NVSP_V6_1, 1514, 0);
	uint32_t relid[3], v;
	struct fg_chan c[4];
	uint8_t f[64];

	(void)s;
	CHECK_EQ(subs(b, 3, relid), 3);
	check_table(b, 4);
	CHECK_EQ(subs(b, 3, relid), 0);		/* there are no more */
	for (uint32_t i = 0; i < 3; i++)
		OK(fg_open(&b->g, relid[i], 9, i + 1, &c[i + 1]));
	c[0] = b->c;
	OK(set_rss(b, NDIS_RSS_DISABLE, 0x1701, 4));
	OK(fp_deliver(&b->port, 0, 0, f, make_v4(f, row[0].src, row[0].dst, 2794, 1766)));
	c[0] = b->c;
	OK(nb_recv(b, &c[0], false));
	b->c = c[0];
	CHECK(!nb_ppi(b, PPI_HASH, &v));
	CHECK_EQ(set_rss(b, 0, 0x1700, 4), NDIS_INVALID_DATA);	/* which hash? */
	CHECK_EQ(set_rss(b, 0, 0x1701, 5), NDIS_INVALID_DATA);	/* channels 0 to 3 */
	for (int ports = 0; ports < 2; ports++) {
		OK(set_rss(b, 0, ports ? 0x1701 : 0x501, 4));
		c[0] = b->c;
		for (size_t i = 0; i < ARRAY_LEN(row); i++) {
			uint32_t want = ports ? row[i].tcp : row[i].ip;

			OK(fp_deliver(&b->port, 0, 0, f,
				      make_v4(f, row[i].src, row[i].dst, row[i].sport,
					      row[i].dport)));
			OK(nb_recv(b, &c[want % 128 % 4], false));
			CHECK(nb_ppi(b, PPI_HASH, &v));
			CHECK_EQ(v, want);
		}
		b->c = c[0];
	}
	/* Sending from a sub-channel; nothing but data there. */
	v = nb_packet(b->msg, f, 60, NULL, 0);
	OK(nb_send(b, &c[2], NVSP_CHAN_DATA, false, b->msg, v));
	CHECK_EQ(nb_wait_sent(b, &c[2]), NVSP_SUCCESS);
	CHECK(fp_wait(&b->port, 1));
	OK(nb_send(b, &c[2], NVSP_CHAN_CONTROL, false, (uint32_t[3]){ RNDIS_KEEPALIVE, 12 }, 12));
	CHECK_EQ(nb_wait_sent(b, &c[2]), NVSP_INVALID_RNDIS);
	/* A closed one's share comes by the primary. */
	for (uint32_t i = 0; i < 3; i++) {
		fg_close(&b->g, &c[i + 1]);
		OK(fg_gpadl_teardown(&b->g, relid[i], c[i + 1].gpadl));
	}
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		OK(fp_deliver(&b->port, 0, 0, f, make_v4(f, row[i].src, row[i].dst, 1, 2)));
		OK(nb_recv(b, &b->c, false));
	}
	down(b);
}

static void sub_channels_before_5_or_alone(void **s)
{
	struct net_bench *b = up(4, NVSP_V4, 1514, 0);
	struct nvsp_msg m = { .type = le32_of(NVSP_SUBCHANNEL), .u.sub = { le32_of(1), le32_of(3) } };
	uint32_t relid[3];

	(void)s;
	OK(nb_nvsp(b, &m));
	CHECK(fg_silent(&b->g));
	down(b);
	b = up(1, NVSP_V5, 1514, 0);
	CHECK_EQ(subs(b, 1, relid), 0);
	down(b);
	b = up(3, NVSP_V5, 1514, 0);
	CHECK_EQ(subs(b, 100, relid), 2);
	check_table(b, 3);
	down(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_out_as_they_are),
		cmocka_unit_test(what_is_asked_for_a_frame),
		cmocka_unit_test(packets_in_every_shape),
		cmocka_unit_test(packets_of_no_sense),
		cmocka_unit_test(a_full_switch_holds_the_channel),
		cmocka_unit_test(waiting_packets_do_not_block_completions),
		cmocka_unit_test(frames_come_in),
		cmocka_unit_test(checksums_that_are_known),
		cmocka_unit_test(filters),
		cmocka_unit_test(a_guest_that_keeps_everything),
		cmocka_unit_test(a_guest_that_reads_nothing),
		cmocka_unit_test(a_buffer_that_was_taken_back),
		cmocka_unit_test(scaling_over_sub_channels),
		cmocka_unit_test(sub_channels_before_5_or_alone),
	};

	return cmocka_run_group_tests_name("net-data", tests, NULL, NULL);
}
