/*
 * net_test.c - the adapter: NVSP, RNDIS control messages, OIDs
 */
#include "base/test.h"

#include "syn/net_bench.h"

#include <stdlib.h>
#include <unistd.h>

#define OK(x) CHECK_EQ((x), 0)

static struct net_bench *up(unsigned vps, uint32_t version, uint32_t mtu, uint64_t caps)
{
	struct net_bench *b = new0(struct net_bench);

	CHECK(b != NULL);
	OK(nb_init(b, vps, false));
	OK(nb_up(b, version, mtu, caps));
	return b;
}

static void down(struct net_bench *b)
{
	nb_fini(b);
	free(b);
}

static uint32_t init_status(struct net_bench *b, uint32_t min, uint32_t max)
{
	struct nvsp_msg m = { .type = le32_of(NVSP_INIT) };

	m.u.init.min = le32_of(min);
	m.u.init.max = le32_of(max);
	OK(nb_nvsp(b, &m));
	CHECK_EQ(le32_get(b->r.type), NVSP_INIT_COMPLETE);
	CHECK_EQ(b->r_len, NVSP_MSG_MAX);
	return le32_get(b->r.u.init_complete.status);
}

static void every_version_and_no_other(void **s)
{
	static const uint32_t good[] = { NVSP_V1, NVSP_V2, NVSP_V4, NVSP_V5, NVSP_V6, NVSP_V6_1 };
	struct net_bench *b = new0(struct net_bench);

	(void)s;
	CHECK(b != NULL);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		OK(nb_init(b, 1, false));
		OK(nb_open(b));
		CHECK(init_status(b, 0x70000, 0x70000) != NVSP_SUCCESS);
		CHECK(init_status(b, 0x30001, 0x30001) != NVSP_SUCCESS);
		CHECK(init_status(b, 0, 1) != NVSP_SUCCESS);
		CHECK_EQ(init_status(b, good[i], good[i]), NVSP_SUCCESS);
		CHECK_EQ(le32_get(b->r.u.init_complete.version), good[i]);
		CHECK(init_status(b, good[i], good[i]) != NVSP_SUCCESS);	/* once is enough */
		nb_fini(b);
	}
	OK(nb_init(b, 1, false));
	OK(nb_open(b));
	CHECK(guid_eq(&b->offer.type, &(struct guid)GUID_INIT(0xf8615163, 0xdf3e, 0x46c5, 0x91,
							       0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed,
							       0x0e)));
	CHECK_EQ(init_status(b, 0, UINT32_MAX), NVSP_SUCCESS);
	CHECK_EQ(le32_get(b->r.u.init_complete.version), NVSP_V6_1);
	nb_fini(b);
	free(b);
}

static void buffers_are_cut_by_the_mtu(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);

	(void)s;
	CHECK_EQ(b->rx_size, 1728);
	CHECK_EQ(b->rx_nr, NB_RX_PAGES * 4096 / 1728);
	CHECK_EQ(le32_get(b->r.type), NVSP_SEND_BUF_COMPLETE);
	CHECK_EQ(le32_get(b->r.u.send_complete.section_size), NB_TX_SECTION);
	CHECK_EQ(nb_recv_buf(b), -EIO);		/* one at a time */
	CHECK_EQ(nb_send_buf(b), -EIO);
	OK(nb_revoke_recv(b));
	OK(nb_recv_buf(b));
	down(b);
	b = up(1, NVSP_V6_1, 9014, 0);
	CHECK(b->rx_size >= 9014 + 44);
	CHECK_EQ(b->port.caps.max_frame, 9014);
	down(b);
}

static void nothing_before_its_time(void **s)
{
	struct net_bench *b = new0(struct net_bench);
	struct nvsp_msg m = { .type = le32_of(NVSP_SEND_RECV_BUF) };
	uint8_t pkt[64] = { RNDIS_KEEPALIVE, 0, 0, 0, 12 };

	(void)s;
	CHECK(b != NULL);
	OK(nb_init(b, 1, false));
	OK(nb_open(b));
	CHECK_EQ(nb_recv_buf(b), -EIO);
	OK(nb_send(b, &b->c, NVSP_CHAN_CONTROL, false, pkt, 12));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);
	CHECK_EQ(init_status(b, NVSP_V6_1, NVSP_V6_1), NVSP_SUCCESS);
	OK(nb_nvsp(b, &m));			/* a GPADL that is not there */
	CHECK_EQ(le32_get(b->r.u.recv_complete.status), NVSP_FAIL);
	OK(nb_recv_buf(b));
	OK(nb_send(b, &b->c, NVSP_CHAN_CONTROL, false, pkt, 12));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);	/* not initialised */
	/* Sends neither complete nor break without the completion flag. */
	OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 0, 7, &m, sizeof(m)));
	usleep(20000);
	CHECK(!fg_has_packet(&b->g, &b->c));
	nb_fini(b);
	free(b);
}

static void answers_are_as_long_as_the_question(void **s)
{
	struct net_bench *b = up(1, NVSP_V5, 1514, 0);

	(void)s;
	for (uint32_t len = 8; len <= 64; len += 8) {
		uint8_t m[64] = { NVSP_SEND_NDIS_VER };
		struct fg_pkt p;

		OK(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, 99, m, len));
		OK(fg_recv(&b->g, &b->c, &p));
		CHECK_EQ(p.id, 99);
		CHECK_EQ(p.len, len < 32 ? 32 : len > 40 ? 40 : len);
	}
	down(b);
}

static void every_oid_of_the_list_answers(void **s)
{
	struct net_bench *b = up(4, NVSP_V6_1, 1514, 0);
	uint32_t list[128], n, len;

	(void)s;
	OK(nb_query(b, OID_SUPPORTED_LIST, NULL, 0, &len));
	CHECK(len % 4 == 0 && len / 4 > 30 && len <= sizeof(list));
	memcpy(list, b->msg + 24, len);
	n = len / 4;
	for (uint32_t i = 0; i < n; i++) {
		int64_t q = nb_query(b, list[i], NULL, 0, &len), w = nb_set(b, list[i], NULL, 0);

		CHECK(q == NDIS_SUCCESS || q == NDIS_NOT_SUPPORTED);
		CHECK(q == NDIS_SUCCESS || w != NDIS_NOT_SUPPORTED);
		CHECK(w == NDIS_SUCCESS || w == NDIS_NOT_SUPPORTED || w == NDIS_INVALID_LENGTH);
	}
	CHECK_EQ(nb_query(b, 0x12345678, NULL, 0, &len), NDIS_NOT_SUPPORTED);
	CHECK_EQ(len, 0);
	CHECK_EQ(nb_set(b, 0x12345678, NULL, 0), NDIS_NOT_SUPPORTED);
	down(b);
}

static uint32_t query32(struct net_bench *b, uint32_t oid)
{
	uint32_t len;

	OK(nb_query(b, oid, NULL, 0, &len));
	CHECK_EQ(len, 4);
	return ld32(b->msg + 24);
}

static void what_linux_asks(void **s)
{
	struct net_bench *b = up(4, NVSP_V6_1, 1514, NVSP_CAP_VLAN);
	struct ndis_object in = { NDIS_OBJECT_OFFLOAD, 3, le16_of(156) };
	struct ndis_offload o;
	struct ndis_rss_caps rss;
	uint32_t len;

	(void)s;
	CHECK_EQ(query32(b, OID_MAXIMUM_FRAME_SIZE), 1500);
	OK(nb_query(b, OID_PERMANENT_ADDRESS, NULL, 0, &len));
	CHECK_EQ(len, 6);
	CHECK_MEM(b->msg + 24, nb_mac, 6);
	CHECK_EQ(query32(b, OID_MEDIA_CONNECT_STATUS), 0);
	CHECK_EQ(query32(b, OID_LINK_SPEED), 100000000);
	OK(nb_query(b, OID_OFFLOAD_CAPABILITIES, &in, sizeof(in), &len));
	CHECK_EQ(len, 156);
	memcpy(&o, b->msg + 24, sizeof(o));
	CHECK_EQ(o.obj.type, NDIS_OBJECT_OFFLOAD);
	CHECK_EQ(le16_get(o.obj.size), 156);
	CHECK_EQ(le32_get(o.sum.v4_tx), NDIS_SUM_V4_ALL);
	CHECK_EQ(le32_get(o.sum.v6_tx), NDIS_SUM_V6_ALL);
	CHECK_EQ(le32_get(o.lso.v4_encap), NDIS_ENCAP_8023);
	CHECK_EQ(le32_get(o.lso.v6_flags), NDIS_LSO_V6_ALL);
	CHECK_EQ(o.rsc_v4, 0);
	in.revision = 1;
	OK(nb_query(b, OID_OFFLOAD_CAPABILITIES, &in, sizeof(in), &len));
	CHECK_EQ(len, 112);
	OK(nb_query(b, OID_RSS_CAPABILITIES, NULL, 0, &len));
	CHECK_EQ(len, 18);
	memcpy(&rss, b->msg + 24, sizeof(rss));
	CHECK_EQ(le32_get(rss.nr_queues), 4);
	CHECK_EQ(le16_get(rss.nr_entries), 128);
	CHECK_EQ(b->port.caps.flags, PORT_TAKES_TAG);
	down(b);
}

static void offloads_turn_on_and_off(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	struct ndis_offload_params p = { .obj = { NDIS_OBJECT_DEFAULT, 3, le16_of(28) } };
	struct ndis_offload o;
	uint32_t len;

	(void)s;
	CHECK_EQ(nb_set(b, OID_OFFLOAD_PARAMETERS, &p, 19), NDIS_INVALID_LENGTH);
	p.tcp4 = NDIS_SUM_TX;
	p.udp4 = NDIS_SUM_OFF;
	p.lso6 = NDIS_OFF;
	p.tcp6 = 77;				/* nonsense is no change */
	OK(nb_set(b, OID_OFFLOAD_PARAMETERS, &p, sizeof(p)));
	OK(nb_query(b, OID_OFFLOAD_CURRENT_CONFIG, NULL, 0, &len));
	memcpy(&o, b->msg + 24, sizeof(o));
	CHECK_EQ(le32_get(o.sum.v4_tx), 0x115);
	CHECK_EQ(le32_get(o.sum.v4_rx), 0x101);
	CHECK_EQ(le32_get(o.sum.v6_tx), 0x55);
	CHECK_EQ(le32_get(o.lso.v4_encap), NDIS_ENCAP_8023);
	CHECK_EQ(le32_get(o.lso.v6_encap), 0);
	down(b);
}

static int64_t set_mac(struct net_bench *b, const char *mac)
{
	uint8_t m[20 + 28 + 24] = { 0 };
	const char *name = "NetworkAddress";

	st32(m, 20);
	st32(m + 4, 28);
	st32(m + 8, 2);
	st32(m + 12, 48);
	st32(m + 16, 24);
	for (int i = 0; i < 14; i++)
		m[20 + 2 * i] = (uint8_t)name[i];
	for (int i = 0; i < 12; i++)
		m[48 + 2 * i] = (uint8_t)mac[i];
	return nb_set(b, OID_RNDIS_CONFIG_PARAMETER, m, sizeof(m));
}

static void the_address_changes_only_where_allowed(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	uint32_t len;

	(void)s;
	CHECK_EQ(set_mac(b, "02AabbCCddee"), NDIS_NOT_ACCEPTED);
	OK(set_mac(b, "00155d010203"));		/* its own */
	CHECK_EQ(set_mac(b, "zz155d010203"), NDIS_INVALID_DATA);
	nb_fini(b);
	OK(nb_init(b, 1, true));
	OK(nb_up(b, NVSP_V6_1, 1514, 0));
	CHECK_EQ(set_mac(b, "01aabbccddee"), NDIS_INVALID_DATA);
	CHECK_EQ(set_mac(b, "000000000000"), NDIS_INVALID_DATA);
	OK(set_mac(b, "02AabbCCddee"));
	b->port.spoof = false;			/* the policy follows while the guest runs */
	CHECK_EQ(set_mac(b, "02AabbCCddef"), NDIS_NOT_ACCEPTED);
	OK(nb_query(b, OID_CURRENT_ADDRESS, NULL, 0, &len));
	CHECK_MEM(b->msg + 24, ((uint8_t[]){ 2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee }), 6);
	OK(nb_query(b, OID_PERMANENT_ADDRESS, NULL, 0, &len));
	CHECK_MEM(b->msg + 24, nb_mac, 6);
	/* Offsets that lead out of the message. */
	for (uint32_t at = 0; at < 20; at += 4) {
		uint32_t m[10] = { 20, 4, 2, 24, 4 };

		m[at / 4] = 0xfffffffc;
		(void)!nb_set(b, OID_RNDIS_CONFIG_PARAMETER, m, sizeof(m));
		CHECK(at == 8 || ld32(b->msg + 12) == NDIS_INVALID_DATA);
	}
	down(b);
}

static void keepalive_reset_halt(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	uint32_t m[4] = { RNDIS_KEEPALIVE, 12, 0x77 };

	(void)s;
	OK(nb_control(b, m, 12));
	CHECK_EQ(ld32(b->msg), RNDIS_KEEPALIVE | RNDIS_CMPLT);
	CHECK_EQ(ld32(b->msg + 8), 0x77);
	CHECK_EQ(ld32(b->msg + 12), 0);
	m[0] = RNDIS_RESET;
	OK(nb_control(b, m, 12));
	CHECK_EQ(ld32(b->msg), RNDIS_RESET | RNDIS_CMPLT);
	CHECK_EQ(ld32(b->msg + 8), 0);
	m[0] = RNDIS_HALT;
	OK(nb_send(b, &b->c, NVSP_CHAN_CONTROL, true, m, 12));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_SUCCESS);
	m[0] = RNDIS_KEEPALIVE;
	OK(nb_send(b, &b->c, NVSP_CHAN_CONTROL, true, m, 12));
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_INVALID_RNDIS);
	/* Closed and opened again, it begins at the beginning. */
	fg_close(&b->g, &b->c);
	OK(fg_gpadl_teardown(&b->g, b->c.relid, b->c.gpadl));
	OK(fg_open(&b->g, b->c.relid, 17, 0, &b->c));
	CHECK_EQ(nb_recv_buf(b), -EIO);
	CHECK_EQ(init_status(b, NVSP_V2, NVSP_V2), NVSP_SUCCESS);
	OK(nb_recv_buf(b));
	down(b);
}

static void malformed_control_messages(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	uint32_t m[16] = { 0 };

	(void)s;
	for (uint32_t type = 0; type < 12; type++) {
		for (uint32_t len = 0; len <= 32; len += 4) {
			m[0] = type == RNDIS_HALT ? 99 : type;
			m[1] = len;
			/* 28 bytes there are; a longer message is none. */
			OK(nb_send(b, &b->c, NVSP_CHAN_CONTROL, false, m, 28));
			if (nb_wait_sent(b, &b->c) == NVSP_SUCCESS)
				OK(nb_recv(b, &b->c, false));
		}
	}
	/* Information that lies outside. */
	m[0] = RNDIS_SET;
	m[1] = 32;
	m[3] = OID_CURRENT_PACKET_FILTER;
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t bad[4][2] = { { 4, 21 }, { 5, 20 }, { 4, UINT32_MAX },
						    { UINT32_MAX, 20 } };

		m[4] = bad[i][0];
		m[5] = bad[i][1];
		OK(nb_control(b, m, 32));
		CHECK_EQ(ld32(b->msg + 12), NDIS_INVALID_LENGTH);
	}
	m[4] = 0;				/* nothing, anywhere: fine */
	OK(nb_control(b, m, 32));
	CHECK_EQ(ld32(b->msg + 12), NDIS_INVALID_LENGTH);	/* but a filter has four bytes */
	down(b);
}

/* A guest that takes no answers is told to come again, and costs nothing. */
static void answers_are_bounded(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);
	uint32_t m[3] = { RNDIS_KEEPALIVE, 12, 5 };
	unsigned busy = 0, taken = 0;

	(void)s;
	for (unsigned i = 0; i < b->rx_nr + 100; i++) {
		struct fg_pkt p;
		bool done = false;

		OK(nb_send(b, &b->c, NVSP_CHAN_CONTROL, false, m, 12));
		while (!done) {
			OK(fg_recv(&b->g, &b->c, &p));
			done = p.type == VMPKT_COMP;
			if (!done)
				taken++;	/* and kept */
		}
		busy += ld32(p.data + 4) == NVSP_BUSY;
	}
	while (fg_has_packet(&b->g, &b->c)) {
		struct fg_pkt p;

		OK(fg_recv(&b->g, &b->c, &p));
		taken++;
	}
	CHECK_EQ(taken, b->rx_nr);
	CHECK_EQ(busy, 100 - 32);
	down(b);
}

static void the_cable(void **s)
{
	struct net_bench *b = up(1, NVSP_V6_1, 1514, 0);

	(void)s;
	b->port.client->link(b->port.dev, true, 10 * NS_PER_SEC);
	usleep(10000);
	CHECK(!fg_has_packet(&b->g, &b->c));	/* no news */
	b->port.client->link(b->port.dev, false, 10 * NS_PER_SEC);
	OK(nb_recv(b, &b->c, false));
	CHECK_EQ(ld32(b->msg), RNDIS_INDICATE_STATUS);
	CHECK_EQ(ld32(b->msg + 8), NDIS_MEDIA_DISCONNECT);
	CHECK_EQ(query32(b, OID_MEDIA_CONNECT_STATUS), 1);
	b->port.client->link(b->port.dev, true, NS_PER_SEC);
	OK(nb_recv(b, &b->c, false));
	CHECK_EQ(ld32(b->msg + 8), NDIS_MEDIA_CONNECT);
	OK(nb_recv(b, &b->c, false));
	CHECK_EQ(ld32(b->msg + 8), NDIS_LINK_SPEED_CHANGE);
	CHECK_EQ(ld32(b->msg + 20), 10000000);
	down(b);
}

static void no_memory(void **s)
{
	struct fake_guest g;
	struct fake_port port;
	struct nic_conf conf = { .instance.b = { 1 }, .nr_vps = 1, .port = &port.port };
	struct nic *n = NULL;
	int rc = -1;

	(void)s;
	fp_init(&port);
	CHECK_EQ(fg_new(&g, 0, 1), 0);
	for (unsigned i = 1; i < 10 && rc < 0; i++) {
		base_fail_alloc(i);
		rc = nic_new(g.bus, &conf, &n, NULL);
		base_fail_alloc(0);
		CHECK(i > 3 || rc == -ENOMEM);
	}
	CHECK_EQ(rc, 0);
	nic_free(n);
	fg_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_version_and_no_other),
		cmocka_unit_test(buffers_are_cut_by_the_mtu),
		cmocka_unit_test(nothing_before_its_time),
		cmocka_unit_test(answers_are_as_long_as_the_question),
		cmocka_unit_test(every_oid_of_the_list_answers),
		cmocka_unit_test(what_linux_asks),
		cmocka_unit_test(offloads_turn_on_and_off),
		cmocka_unit_test(the_address_changes_only_where_allowed),
		cmocka_unit_test(keepalive_reset_halt),
		cmocka_unit_test(malformed_control_messages),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(the_cable),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
