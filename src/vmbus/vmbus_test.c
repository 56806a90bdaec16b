/*
 * vmbus_test.c - the message sequences of real guests, byte for byte
 */
#include "vmbus/test_bench.h"

/* Linux 6.1: newest first on connection 4, everything on the returned id. */
static void test_linux(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;

	(void)state;
	connect(b, VMBUS_V5_3, 1, o);
	CHECK_EQ(b->g.conn, VMBUS_CONN_MSG_MULTI);
	for (uint32_t i = 0; i < 2; i++) {
		CHECK(guid_eq(&o[i].type, &test_dev_ops.type));
		CHECK(guid_eq(&o[i].instance, &test_dev_instance[i]));
		CHECK_EQ(le32_get(o[i].relid), i + 1);
		CHECK_EQ(le32_get(o[i].connection_id), 0x2000 + i + 1);
		CHECK_EQ(o[i].monitor_id, 0xff);
		CHECK_EQ(o[i].monitor_allocated, 0);
		CHECK_EQ(le16_get(o[i].dedicated), 1);
		CHECK_EQ(le16_get(o[i].flags), 1);
		CHECK_EQ(le16_get(o[i].sub_index), 0);
	}
	CHECK_EQ(fg_open(&b->g, 1, 33, 2, &c), 0);
	for (uint64_t i = 0; i < 50; i++)
		ping(b, &c, UINT64_C(0xfedcba9800000000) + i);
	CHECK(fg_events(&b->g, 2, 1) >= 1);
	CHECK_EQ(fg_events(&b->g, 0, 1), 0);
	/* rmmod: close, teardown, unload */
	fg_close(&b->g, &c);
	CHECK_EQ(fg_gpadl_teardown(&b->g, 1, c.gpadl), 0);
	CHECK_EQ(b->dev[0].closes, 1);
	simple(b, VMBUS_UNLOAD);
	struct fg_msg r;

	CHECK_EQ(fg_expect(&b->g, VMBUS_UNLOAD_RESPONSE, &r), 0);
	CHECK_EQ(r.len, 8);
	CHECK_EQ(r.vp, 1);
	bench_free(b);
}

static void test_falls_back(void **state)
{
	struct bench *b = bench_new(VMBUS_V5_1);
	struct vmbus_offer o[4];

	(void)state;
	CHECK_EQ(fg_contact(&b->g, 4, VMBUS_V5_3, 0), 0);
	CHECK_EQ(fg_contact(&b->g, 4, VMBUS_V5_2, 0), 0);
	connect(b, VMBUS_V5_1, 0, o);
	bench_free(b);
	/* A host before 5.0 does not know connection 4: told at once. */
	b = bench_new(VMBUS_V4_0);
	CHECK_EQ(fg_contact(&b->g, 4, VMBUS_V5_0, 0), -ENOENT);
	CHECK_EQ(fg_contact(&b->g, 1, VMBUS_V4_1, 0), 0);
	connect(b, VMBUS_V4_0, 0, o);
	bench_free(b);
}

static void test_every_version(void **state)
{
	static const uint32_t v[] = { VMBUS_V0_13, VMBUS_V1_1, VMBUS_V2_4, VMBUS_V3_0, VMBUS_V4_0,
				      VMBUS_V4_1, VMBUS_V5_0, VMBUS_V5_1, VMBUS_V5_2, VMBUS_V5_3,
				      VMBUS_V6_0 };
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		connect(b, v[i], 0, o);
		CHECK_EQ(fg_open(&b->g, 2, 2, 0, &c), 0);
		if (v[i] >= VMBUS_V1_1)
			ping(b, &c, i);
	}
	/* Neither older, nor newer, nor between. */
	CHECK_EQ(fg_contact(&b->g, 1, VMBUS_VERSION(2, 3), 0), 0);
	CHECK_EQ(fg_contact(&b->g, 1, VMBUS_VERSION(7, 0), 0), 0);
	CHECK_EQ(fg_contact(&b->g, 1, 0, 0), 0);
	bench_free(b);
}

static void test_refuses_the_impossible(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_contact m = {
		.hdr.type = le32_of(VMBUS_INITIATE_CONTACT),
		.version = le32_of(VMBUS_V3_0),
		.target_vp = le32_of(FG_VPS),
	};
	struct fg_msg r;

	(void)state;
	b->g.conn = 1;
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
		CHECK_EQ(fg_expect(&b->g, VMBUS_VERSION_RESPONSE, &r), 0);
		CHECK_EQ(r.vp, 0);
		CHECK_EQ(r.bytes[8], 1);
		CHECK_EQ(r.bytes[9], 2);
		m.target_vp = le32_of(0);
		if (i == 0)		/* one monitor page alone */
			m.monitor_page[0] = le64_of(0x1000);
		if (i == 1)		/* an interrupt page outside RAM */
			m.version = le32_of(VMBUS_V1_1), m.monitor_page[0] = le64_of(0),
			m.u.interrupt_page = le64_of(UINT64_C(1) << 50);
		if (i == 2)
			m.u.interrupt_page = le64_of(0x1234);
	}
	/* No session came of it. */
	simple(b, VMBUS_REQUEST_OFFERS);
	CHECK(fg_silent(&b->g));
	CHECK_EQ(vmbus_post(b->g.bus, 0, 3, 1, &m, sizeof(m)), 0x12);
	CHECK_EQ(vmbus_post(b->g.bus, 0, 1, 2, &m, sizeof(m)), 0x05);
	CHECK_EQ(vmbus_post(b->g.bus, 0, 1, 1, &m, 241), 0x05);
	CHECK_EQ(vmbus_signal(b->g.bus, 0x2001, 0), 0);
	CHECK_EQ(vmbus_signal(b->g.bus, 0x2001, 1), 0x05);
	CHECK_EQ(vmbus_signal(b->g.bus, 0x2003, 0), 0x12);
	CHECK_EQ(vmbus_signal(b->g.bus, 0x2000, 0), 0x12);
	CHECK_EQ(vmbus_signal(b->g.bus, 7, 0), 0x12);
	bench_free(b);
}

/* iPXE: 3.0, unload, then 0.13 with the interrupt page; open, close, open. */
static void test_ipxe(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_msg r;
	struct fg_chan c;
	uint32_t old;

	(void)state;
	CHECK_EQ(fg_contact(&b->g, 1, VMBUS_V3_0, 0), 1);
	simple(b, VMBUS_UNLOAD);
	CHECK_EQ(fg_expect(&b->g, VMBUS_UNLOAD_RESPONSE, &r), 0);
	connect(b, VMBUS_V0_13, 0, o);
	CHECK_EQ(le16_get(o[0].dedicated), 0);
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(fg_open(&b->g, 2, 2, 0, &c), 0);
		c.conn = VMBUS_CONN_EVENT;
		for (uint64_t i = 1; i < 20; i++) {
			uint8_t body[8] = "iPXE";
			struct fg_pkt p;

			/* The bit, then the shared event. */
			CHECK_EQ(gmem_or32(b->g.mem, b->g.int_page + 2048, 1u << 2, &old), 0);
			CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, i, body, 8), 0);
			CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
			CHECK_EQ(p.id, i);
		}
		CHECK(fg_events(&b->g, 0, 0) >= 1);
		CHECK_EQ(fg_events(&b->g, 0, 2), 0);
		CHECK_EQ(gmem_load32(b->g.mem, b->g.int_page, &old), 0);
		CHECK(old & (1u << 2));
		fg_close(&b->g, &c);
		CHECK_EQ(fg_gpadl_teardown(&b->g, 2, c.gpadl), 0);
	}
	/* Hands over without a word; the next guest begins. */
	CHECK_EQ(fg_open(&b->g, 2, 2, 0, &c), 0);
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(b->dev[1].opens, b->dev[1].closes);
	bench_free(b);
}

/* Microsoft's firmware: 6.0 with a client id, on connection 1 for ever. */
static void test_mu_msvm(void **state)
{
	struct bench *b = bench_new(0);
	uint8_t m[56] = { 0 };
	struct vmbus_offer o[4];
	struct fg_msg r;
	struct fg_chan c;

	(void)state;
	st32(m, VMBUS_INITIATE_CONTACT);
	st32(m + 8, VMBUS_V6_0);
	st32(m + 20, VMBUS_FEAT_CLIENT_ID | 1 | 0x40);
	m[16] = 9;			/* ignored on connection 1 */
	m[17] = 2;
	b->g.conn = 1;
	CHECK_EQ(fg_post(&b->g, m, sizeof(m)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_VERSION_RESPONSE, &r), 0);
	CHECK_EQ(r.len, 20);
	CHECK_EQ(r.sint, 2);
	CHECK_EQ(r.bytes[8], 1);
	CHECK_EQ(r.bytes[9], 0);
	CHECK_EQ(ld32(r.bytes + 12), 1);
	CHECK_EQ(ld32(r.bytes + 16), VMBUS_FEAT_CLIENT_ID);
	CHECK_EQ(fg_offers(&b->g, o, 4), 2);
	CHECK_EQ(fg_open(&b->g, 1, 10, 0, &c), 0);
	ping(b, &c, 5);
	/* ExitBootServices: everything stays open, the unload ends it. */
	simple(b, VMBUS_UNLOAD);
	CHECK_EQ(fg_expect(&b->g, VMBUS_UNLOAD_RESPONSE, &r), 0);
	CHECK_EQ(r.len, 8);
	CHECK_EQ(b->dev[0].closes, 1);
	/* On connection 4 the guest chooses the SINT. */
	m[16] = 5;
	m[17] = 0;
	b->g.conn = 4;
	CHECK_EQ(fg_post(&b->g, m, sizeof(m)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_VERSION_RESPONSE, &r), 0);
	CHECK_EQ(r.sint, 5);
	CHECK_EQ(ld32(r.bytes + 12), 4);
	bench_free(b);
}

/* FreeBSD 3.0: no feature bits, no unload at reboot, then a reset. */
static void test_freebsd(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;

	(void)state;
	connect(b, VMBUS_V3_0, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 3, 3, &c), 0);
	fg_ring_store(&b->g, &c, false, RING_FEATURES, 0);
	ping(b, &c, 0);
	vmbus_reset(b->g.bus);
	CHECK_EQ(b->dev[0].closes, 1);
	connect(b, VMBUS_V3_0, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 3, 3, &c), 0);
	ping(b, &c, 1);
	bench_free(b);
}

static void test_subchannels(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4], sub[2];
	struct fg_chan c, s[2];
	struct fg_msg r;
	struct fg_pkt p;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(fg_open(&b->g, 1, 4, 0, &c), 0);
		CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, 1, "S\x02", 2), 0);
		CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r), 0);
			memcpy(&sub[i], r.bytes, sizeof(sub[i]));
			CHECK_EQ(le16_get(sub[i].sub_index), i + 1);
			CHECK(guid_eq(&sub[i].instance, &test_dev_instance[0]));
		}
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(fg_open(&b->g, le32_get(sub[i].relid), 4, i + 1, &s[i]), 0);
			ping(b, &s[i], i);
			CHECK_EQ(chan_index(b->dev[0].chan[i + 1]), i + 1);
			CHECK_EQ(chan_target_vp(b->dev[0].chan[i + 1]), i + 1);
		}
		/* Too many: none. */
		CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, 1, "S\x03", 2), 0);
		CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
		CHECK_EQ(b->dev[0].subs_rc, -EINVAL);
		if (round == 2)
			break;		/* the reset takes them all */
		fg_close(&b->g, &s[0]);	/* the other is left to the host */
		fg_close(&b->g, &c);
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(fg_expect(&b->g, VMBUS_RESCIND_OFFER, &r), 0);
			CHECK_EQ(ld32(r.bytes + 8), s[i].relid);
		}
		for (unsigned i = 0; i < 2; i++) {
			struct vmbus_open late = { .hdr.type = le32_of(VMBUS_OPEN_CHANNEL),
						   .relid = le32_of(s[i].relid) };

			/* An open that crosses the rescind is dropped; a teardown is not. */
			CHECK_EQ(fg_post(&b->g, &late, sizeof(late)), 0);
			CHECK_EQ(fg_gpadl_teardown(&b->g, s[i].relid, s[i].gpadl), 0);
			relid_msg(b, VMBUS_RELID_RELEASED, s[i].relid);
		}
		CHECK_EQ(fg_gpadl_teardown(&b->g, 1, c.gpadl), 0);
		CHECK_EQ(b->dev[0].opens, b->dev[0].closes);
	}
	vmbus_reset(b->g.bus);
	connect(b, VMBUS_V5_3, 0, o);
	bench_free(b);
}

static void test_modify(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct vmbus_modify m = { .hdr.type = le32_of(VMBUS_MODIFY_CHANNEL), .relid = le32_of(1),
				  .target_vp = le32_of(3) };
	struct fg_chan c;
	struct fg_msg r;
	struct fg_pkt p;
	unsigned old;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 2, 1, &c), 0);
	CHECK_EQ(chan_send(b->dev[0].chan[0], VMPKT_INBAND, 0, false, "abc", 3), 0);
	old = fg_events(&b->g, 1, 1);
	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_MODIFY_CHANNEL_RESPONSE, &r), 0);
	CHECK_EQ(r.len, 16);
	CHECK_EQ(ld32(r.bytes + 8), 1);
	CHECK_EQ(ld32(r.bytes + 12), 0);
	CHECK_EQ(fg_events(&b->g, 3, 1), 1);	/* the ring was not empty */
	CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
	ping(b, &c, 1);
	CHECK_EQ(fg_events(&b->g, 1, 1), old);
	m.target_vp = le32_of(FG_VPS);
	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_MODIFY_CHANNEL_RESPONSE, &r), 0);
	CHECK(ld32(r.bytes + 12) != 0);
	/* 4.1 moves without an answer; 4.0 does not know it. */
	connect(b, VMBUS_V4_1, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 2, 1, &c), 0);
	m.target_vp = le32_of(2);
	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
	CHECK(fg_silent(&b->g));
	CHECK_EQ(chan_target_vp(b->dev[0].chan[0]), 2);
	connect(b, VMBUS_V4_0, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 2, 1, &c), 0);
	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
	CHECK(fg_silent(&b->g));
	CHECK_EQ(chan_target_vp(b->dev[0].chan[0]), 1);
	bench_free(b);
}

static void *remove_main(void *arg)
{
	return vdev_remove(arg, 10 * (uint64_t)NS_PER_SEC) ? arg : NULL;
}

static void test_hot_plug(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct test_dev extra = { 0 };
	struct fg_chan c;
	struct fg_msg r;
	struct vdev *vd;
	void *result;
	pthread_t t;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &extra, &test_dev_instance[2], NULL, &vd,
			    NULL), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r), 0);
	CHECK_EQ(ld32(r.bytes + 184), 3);
	CHECK_EQ(fg_open(&b->g, 3, 2, 0, &c), 0);
	ping(b, &c, 1);
	CHECK_EQ(pthread_create(&t, NULL, remove_main, vd), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_RESCIND_OFFER, &r), 0);
	CHECK_EQ(ld32(r.bytes + 8), 3);
	ping(b, &c, 2);			/* still serves until the guest closes */
	CHECK_EQ(extra.closes, 0);
	fg_close(&b->g, &c);
	CHECK_EQ(fg_gpadl_teardown(&b->g, 3, c.gpadl), 0);
	relid_msg(b, VMBUS_RELID_RELEASED, 3);
	pthread_join(t, &result);
	CHECK(result != NULL);		/* nothing stays */
	CHECK_EQ(extra.closes, 1);
	/* Removed while no guest knows it, and by a guest that leaves instead. */
	CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &extra, &test_dev_instance[2], NULL, &vd,
			    NULL), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r), 0);
	CHECK_EQ(pthread_create(&t, NULL, remove_main, vd), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_RESCIND_OFFER, &r), 0);
	relid_msg(b, VMBUS_RELID_RELEASED, 1);	/* not rescinded: nothing happens */
	simple(b, VMBUS_UNLOAD);
	CHECK_EQ(fg_expect(&b->g, VMBUS_UNLOAD_RESPONSE, &r), 0);
	pthread_join(t, NULL);
	CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &extra, &test_dev_instance[2], NULL, &vd,
			    NULL), 0);
	CHECK(vdev_remove(vd, 0));
	connect(b, VMBUS_V5_3, 0, o);
	bench_free(b);
}

/* A guest that does not let go: the device ends, and nothing but the number stays. */
static void test_surprise_removal(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4], sub;
	struct test_dev extra = { 0 }, next = { 0 };
	struct fg_chan c, s;
	struct fg_msg r;
	struct fg_pkt p;
	struct vdev *vd;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &extra, &test_dev_instance[2], NULL, &vd, NULL), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r), 0);
	CHECK_EQ(fg_open(&b->g, 3, 4, 0, &c), 0);
	CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, 1, "S\x01", 2), 0);
	CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r), 0);
	memcpy(&sub, r.bytes, sizeof(sub));
	CHECK_EQ(le32_get(sub.relid), 4);
	CHECK_EQ(fg_open(&b->g, 4, 4, 0, &s), 0);
	atomic_store(&extra.hold, true);	/* in the middle of something */
	CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, 2, "abc", 3), 0);

	CHECK(!vdev_remove(vd, 50 * 1000000));
	CHECK_EQ(extra.opens, extra.closes);
	memset(&extra, 0xee, sizeof(extra));	/* nobody looks at it any more */
	for (uint32_t relid = 4; relid >= 3; relid--) {
		CHECK_EQ(fg_expect(&b->g, VMBUS_RESCIND_OFFER, &r), 0);
		CHECK_EQ(ld32(r.bytes + 8), relid);
	}
	/* Its memory is given back, and no more is taken; whatever it says is heard without harm. */
	CHECK(fg_gpadl(&b->g, 3, 900, fg_alloc(&b->g, 1), 1) != 0);
	fg_signal(&b->g, &c);
	fg_close(&b->g, &s);
	fg_close(&b->g, &c);
	CHECK_EQ(fg_gpadl_teardown(&b->g, 3, c.gpadl), 0);
	/* The numbers are not given again... */
	CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &next, &test_dev_instance[2], NULL, &vd, NULL), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r), 0);
	CHECK_EQ(ld32(r.bytes + 184), 5);
	CHECK_EQ(fg_open(&b->g, 5, 4, 0, &c), 0);
	ping(b, &c, 3);
	/* ...until they are released. */
	relid_msg(b, VMBUS_RELID_RELEASED, 3);
	CHECK_EQ(fg_gpadl_teardown(&b->g, 5, 12345), 0);	/* answered after it */
	relid_msg(b, VMBUS_RELID_RELEASED, 4);
	CHECK_EQ(fg_gpadl_teardown(&b->g, 5, 12345), 0);
	CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &extra, &test_dev_instance[2], NULL, &vd, NULL), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r), 0);
	CHECK_EQ(ld32(r.bytes + 184), 3);
	vmbus_reset(b->g.bus);
	CHECK(vdev_remove(vd, 0));
	bench_free(b);
}

/* The host's side waits for nothing when the guest takes no messages and asks for more and more. */
static void test_removal_from_a_deaf_guest(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_gpadl_teardown m = { .hdr.type = le32_of(VMBUS_GPADL_TEARDOWN), .relid = le32_of(1) };
	struct vmbus_offer o[4];
	struct test_dev extra = { 0 };
	struct vdev *vd;
	unsigned full = 0, rounds = 0;
	int rc = 0;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	pthread_mutex_lock(&b->g.lock);
	b->g.refuse = UINT32_MAX;
	pthread_mutex_unlock(&b->g.lock);
	while (full < 100) {
		full = vmbus_post(b->g.bus, 0, b->g.conn, VMBUS_MESSAGE_TYPE, &m, sizeof(m)) == 0 ? 0 : full + 1;
		if (full != 0)
			usleep(1000);
	}
	while (rc == 0 && ++rounds < 3000) {
		rc = vdev_offer(b->g.bus, &test_dev_ops, &extra, &test_dev_instance[2], NULL, &vd, NULL);
		if (rc == 0)
			CHECK(!vdev_remove(vd, 0));
	}
	CHECK(rc == -EBUSY || rc == -ENOSPC);
	CHECK(rounds > 1000);
	vmbus_reset(b->g.bus);
	pthread_mutex_lock(&b->g.lock);
	b->g.refuse = 0;
	pthread_mutex_unlock(&b->g.lock);
	CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &extra, &test_dev_instance[2], NULL, &vd, NULL), 0);
	CHECK(vdev_remove(vd, 0));
	connect(b, VMBUS_V5_3, 0, o);
	bench_free(b);
}

static void test_reserved(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct vmbus_open_reserved m = {
		.hdr.type = le32_of(VMBUS_OPEN_RESERVED), .relid = le32_of(1),
		.target_vp = le32_of(2), .target_sint = le32_of(7), .gpadl = le32_of(70),
		.downstream_page = le32_of(2),
	};
	struct vmbus_close_reserved close = {
		.hdr.type = le32_of(VMBUS_CLOSE_RESERVED), .relid = le32_of(1),
		.target_vp = le32_of(2), .target_sint = le32_of(7),
	};
	struct fg_chan c, dump = { .relid = 1, .conn = 0x2001, .pages = 4, .down = 2 };
	struct fg_msg r;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	dump.gpa = fg_alloc(&b->g, 4);
	CHECK_EQ(fg_gpadl(&b->g, 1, 70, dump.gpa, 4), 0);
	CHECK_EQ(fg_open(&b->g, 1, 2, 1, &c), 0);
	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
	wait_int(&b->dev[0].opens, 2);
	CHECK_EQ(b->dev[0].closes, 1);
	ping(b, &dump, 9);
	CHECK(fg_events(&b->g, 2, 1) >= 1);
	CHECK_EQ(fg_post(&b->g, &close, sizeof(close)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_CLOSE_RESERVED_RESPONSE, &r), 0);
	CHECK_EQ(r.vp, 2);
	CHECK_EQ(r.sint, 7);
	CHECK_EQ(r.len, 12);
	CHECK_EQ(ld32(r.bytes + 8), 1);
	CHECK_EQ(b->dev[0].closes, 2);
	bench_free(b);
}

static void test_odd_messages(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct vmbus_tl_connect tl = { .hdr.type = le32_of(VMBUS_TL_CONNECT_REQUEST),
				       .endpoint.b = { 1, 2 }, .service.b = { 3, 4 } };
	uint8_t junk[VMBUS_MSG_MAX];
	struct fg_msg r;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	simple(b, VMBUS_REQUEST_OFFERS);	/* once is enough */
	CHECK(fg_silent(&b->g));
	CHECK_EQ(fg_post(&b->g, &tl, sizeof(tl)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_TL_CONNECT_RESULT, &r), 0);
	CHECK_EQ(r.len, 44);
	CHECK_MEM(r.bytes + 8, tl.endpoint.b, 32);
	CHECK_EQ(ld32(r.bytes + 40), 0xc0000236);
	for (uint32_t type = 0; type < 64; type++) {
		if (type == VMBUS_INITIATE_CONTACT || type == VMBUS_UNLOAD)
			continue;
		memset(junk, 0, sizeof(junk));
		st32(junk, type);
		for (size_t n = 0; n < 8; n++)
			CHECK_EQ(fg_post(&b->g, junk, n), 0);
	}
	CHECK(fg_silent(&b->g));
	connect(b, VMBUS_V5_3, 0, o);
	bench_free(b);
}

/* The SynIC takes nothing for a while: nothing is lost, the order stays. */
static void test_full_synic(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	uint64_t gpa = 0;

	(void)state;
	b->g.refuse = 5;
	connect(b, VMBUS_V5_3, 0, o);
	gpa = fg_alloc(&b->g, 2);
	for (uint32_t i = 0; i < 20; i++) {
		b->g.refuse = i % 4;
		CHECK_EQ(fg_gpadl(&b->g, 1, i + 1, gpa, 2), 0);
	}
	bench_free(b);
}

/* Contacts, opens and resets as fast as they come. */
static void test_storm(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;

	(void)state;
	for (int i = 0; i < 60; i++) {
		connect(b, i % 2 ? VMBUS_V5_3 : VMBUS_V3_0, (uint32_t)i % FG_VPS, o);
		CHECK_EQ(fg_open(&b->g, 1 + (uint32_t)i % 2, 2, 0, &c), 0);
		for (int k = 0; k < 20; k++)
			(void)!fg_send(&b->g, &c, VMPKT_INBAND, 1, 1, "12345678", 8);
		if (i % 3 == 0)
			vmbus_reset(b->g.bus);
	}
	bench_free(b);
}

static void test_no_memory(void **state)
{
	struct fake_guest g;
	struct vmbus_conf conf = { .nr_vps = 1 };
	struct vmbus *bus = NULL;
	unsigned n;
	int rc = -1;

	(void)state;
	CHECK_EQ(fg_new(&g, 0, 1), 0);
	conf.mem = g.mem;
	conf.workers = 1;
	for (n = 1; n < 20 && rc < 0; n++) {
		base_fail_alloc(n);
		rc = vmbus_new(&conf, &bus, NULL);
		base_fail_alloc(0);
		CHECK(rc == 0 || rc == -ENOMEM);
	}
	CHECK_EQ(rc, 0);
	CHECK(n > 4);
	vmbus_free(bus);
	fg_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_falls_back),
		cmocka_unit_test(test_every_version),
		cmocka_unit_test(test_refuses_the_impossible),
		cmocka_unit_test(test_ipxe),
		cmocka_unit_test(test_mu_msvm),
		cmocka_unit_test(test_freebsd),
		cmocka_unit_test(test_subchannels),
		cmocka_unit_test(test_modify),
		cmocka_unit_test(test_hot_plug),
		cmocka_unit_test(test_surprise_removal),
		cmocka_unit_test(test_removal_from_a_deaf_guest),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_odd_messages),
		cmocka_unit_test(test_full_synic),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("vmbus", tests, NULL, NULL);
}
