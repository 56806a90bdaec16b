/*
 * channel_test.c - GPADLs, rings and signalling, also from a hostile guest
 */
#include "vmbus/test_bench.h"

static void test_gpadls(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	uint64_t gpa;
	uint8_t h[2][44], body[VMBUS_MSG_MAX];
	struct fg_msg r;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	gpa = fg_alloc(&b->g, 4200);
	CHECK_EQ(fg_gpadl(&b->g, 1, 1, gpa, 1), 0);
	CHECK_EQ(fg_gpadl(&b->g, 1, 2, gpa, 26), 0);
	CHECK_EQ(fg_gpadl(&b->g, 1, 3, gpa, 27), 0);
	CHECK_EQ(fg_gpadl(&b->g, 2, 4, gpa, 4097), 0);	/* Linux's 16 MB and a bit */
	CHECK(fg_gpadl(&b->g, 1, 2, gpa, 2) != 0);	/* in use */
	CHECK(fg_gpadl(&b->g, 9, 5, gpa, 2) != 0);	/* no such channel */
	CHECK(fg_gpadl(&b->g, 1, 5, UINT64_C(1) << 40, 2) != 0);	/* not RAM */
	CHECK_EQ(fg_gpadl_teardown(&b->g, 1, 3), 0);
	CHECK_EQ(fg_gpadl(&b->g, 1, 3, gpa, 27), 0);
	CHECK_EQ(fg_gpadl_teardown(&b->g, 1, 12345), 0);	/* unknown: answered */
	/* Two at once, bodies in the other order and padded. */
	for (uint32_t i = 0; i < 2; i++) {
		memset(h[i], 0, sizeof(h[i]));
		st32(h[i], VMBUS_GPADL_HEADER);
		st32(h[i] + 8, 1);
		st32(h[i] + 12, 50 + i);
		st16(h[i] + 16, 8 + 3 * 8);
		st16(h[i] + 18, 1);
		st32(h[i] + 20, 3 * 4096);
		st64(h[i] + 28, 20);
		CHECK_EQ(fg_post(&b->g, h[i], 36), 0);
	}
	CHECK(fg_silent(&b->g));
	for (uint32_t i = 2; i-- > 0;) {
		memset(body, 0xff, sizeof(body));
		st32(body, VMBUS_GPADL_BODY);
		st32(body + 4, 0);
		st32(body + 12, 50 + i);
		st64(body + 16, 21);
		st64(body + 24, 22);
		CHECK_EQ(fg_post(&b->g, body, sizeof(body)), 0);
		CHECK_EQ(fg_expect(&b->g, VMBUS_GPADL_CREATED, &r), 0);
		CHECK_EQ(ld32(r.bytes + 12), 50 + i);
		CHECK_EQ(ld32(r.bytes + 16), 0);
	}
	/* In the middle of one, the guest starts over. */
	st32(h[0] + 12, 60);
	CHECK_EQ(fg_post(&b->g, h[0], 36), 0);
	connect(b, VMBUS_V4_1, 0, o);
	CHECK_EQ(fg_gpadl(&b->g, 1, 60, gpa, 3), 0);
	bench_free(b);
}

static void gpadl_raw(struct bench *b, uint32_t id, uint16_t bytes, uint16_t nr, uint32_t len,
		      uint32_t off)
{
	uint8_t h[VMBUS_MSG_MAX] = { 0 };
	struct fg_msg r;

	st32(h, VMBUS_GPADL_HEADER);
	st32(h + 8, 1);
	st32(h + 12, id);
	st16(h + 16, bytes);
	st16(h + 18, nr);
	st32(h + 20, len);
	st32(h + 24, off);
	for (int i = 28; i + 8 <= 240; i += 8)
		st64(h + i, 30);
	CHECK_EQ(fg_post(&b->g, h, sizeof(h)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_GPADL_CREATED, &r), 0);
	CHECK_EQ(ld32(r.bytes + 12), id);
	CHECK(ld32(r.bytes + 16) != 0);
}

static void test_hostile_gpadls(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	unsigned made = 0;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	gpadl_raw(b, 1, 0, 1, 4096, 0);
	gpadl_raw(b, 1, 16, 0, 4096, 0);
	gpadl_raw(b, 1, 16, 2, 4096, 0);
	gpadl_raw(b, 1, 17, 1, 4096, 0);
	gpadl_raw(b, 1, 16, 1, 8192, 0);	/* says two pages, brings one */
	gpadl_raw(b, 1, 16, 1, 0xffffffff, 0);
	gpadl_raw(b, 1, 16, 1, 0, 0);
	gpadl_raw(b, 1, 16, 1, 4096, 8);
	gpadl_raw(b, 1, 16, 1, 4096, 0xffffffff);
	gpadl_raw(b, 1, 65535, 65535, 4096, 0);
	/* However many are begun, it ends: each of the largest size. */
	for (uint32_t i = 0; i < 200; i++) {
		uint8_t h[28] = { 0 };
		struct fg_msg r;

		st32(h, VMBUS_GPADL_HEADER);
		st32(h + 8, 1);
		st32(h + 12, 100 + i);
		st16(h + 16, 8 + 8190 * 8 > 65535 ? 65528 : 8 + 8190 * 8);
		st16(h + 18, 1);
		CHECK_EQ(fg_post(&b->g, h, sizeof(h)), 0);
		if (!fg_silent(&b->g)) {
			CHECK_EQ(fg_expect(&b->g, VMBUS_GPADL_CREATED, &r), 0);
			CHECK(ld32(r.bytes + 16) != 0);
			break;
		}
		made++;
	}
	CHECK(made >= 30 && made < 40);
	CHECK_EQ(fg_gpadl_teardown(&b->g, 1, 100), 0);
	bench_free(b);
}

static void test_open_errors(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c, twice;
	struct vmbus_open m = { .hdr.type = le32_of(VMBUS_OPEN_CHANNEL), .relid = le32_of(1),
				.gpadl = le32_of(7), .open_id = le32_of(99) };
	static const struct { uint32_t relid, gpadl, vp, down; } bad[] = {
		{ 1, 8, 0, 2 }, { 1, 7, FG_VPS, 2 }, { 1, 7, 0, 0 }, { 1, 7, 0, 1 },
		{ 1, 7, 0, 5 }, { 1, 7, 0, 6 }, { 1, 7, 0, 0xffffffff }, { 2, 7, 0, 2 },
		{ 3, 7, 0, 2 }, { 0xffffffff, 7, 0, 2 }, { 0, 7, 0, 2 },
	};
	struct fg_msg r;
	uint64_t gpa;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	gpa = fg_alloc(&b->g, 6);
	CHECK_EQ(fg_gpadl(&b->g, 1, 7, gpa, 6), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		m.relid = le32_of(bad[i].relid);
		m.gpadl = le32_of(bad[i].gpadl);
		m.target_vp = le32_of(bad[i].vp);
		m.downstream_page = le32_of(bad[i].down);
		CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
		CHECK_EQ(fg_expect(&b->g, VMBUS_OPEN_RESULT, &r), 0);
		CHECK_EQ(ld32(r.bytes + 8), bad[i].relid);
		CHECK_EQ(ld32(r.bytes + 12), 99);
		CHECK(ld32(r.bytes + 16) != 0);
	}
	CHECK_EQ(b->dev[0].opens, 0);
	/* An index of ours that makes no sense. */
	CHECK_EQ(gmem_store32(b->g.mem, gpa + RING_OUT, 4), 0);
	m.relid = le32_of(1);
	m.gpadl = le32_of(7);
	m.target_vp = le32_of(0);
	m.downstream_page = le32_of(3);
	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
	CHECK_EQ(fg_expect(&b->g, VMBUS_OPEN_RESULT, &r), 0);
	CHECK(ld32(r.bytes + 16) != 0);
	/* The device says no, then yes; a second open fails, the first lives. */
	b->dev[0].open_rc = -EBUSY;
	CHECK(fg_open(&b->g, 1, 2, 0, &c) > 0);
	b->dev[0].open_rc = 0;
	CHECK_EQ(fg_open(&b->g, 1, 2, 0, &c), 0);
	CHECK(fg_open(&b->g, 1, 2, 0, &twice) > 0);
	ping(b, &c, 3);
	/* The rings are torn away under an open channel: dead, but no harm. */
	CHECK_EQ(fg_gpadl_teardown(&b->g, 1, c.gpadl), 0);
	CHECK_EQ(b->dev[0].closes, 1);
	fg_signal(&b->g, &c);
	fg_close(&b->g, &c);
	CHECK_EQ(fg_open(&b->g, 1, 2, 0, &c), 0);
	ping(b, &c, 4);
	bench_free(b);
}

/* Whatever is wrong in a ring, the channel dies alone and can be reopened. */
static void test_broken_ring(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c, other;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(fg_open(&b->g, 2, 2, 0, &other), 0);
	for (int i = 0; i < 8; i++) {
		uint8_t pkt[64] = { 0 };

		CHECK_EQ(fg_open(&b->g, 1, 2, 0, &c), 0);
		st16(pkt, VMPKT_INBAND);
		st16(pkt + 2, 2);
		st16(pkt + 4, 3);
		switch (i) {
		case 0: st16(pkt + 2, 1); break;
		case 1: st16(pkt + 2, 4); break;
		case 2: st16(pkt + 4, 100); break;
		case 3: st16(pkt, VMPKT_GPA_DIRECT); break;		/* no range list */
		case 4: st16(pkt, VMPKT_GPA_DIRECT); st16(pkt + 2, 3); st32(pkt + 20, 1000); break;
		default: break;
		}
		CHECK_EQ(gmem_write(b->g.mem, c.gpa + RING_DATA, pkt, sizeof(pkt)), 0);
		fg_ring_store(&b->g, &c, false, RING_IN,
			      i == 5 ? 12 : i == 6 ? 4096 : i == 7 ? 8 : 32);
		fg_signal(&b->g, &c);
		wait_int(&b->dev[0].closes, i + 1);
		CHECK_EQ(b->dev[0].packets, 0);
		ping(b, &other, 1);
		fg_close(&b->g, &c);
		CHECK_EQ(fg_gpadl_teardown(&b->g, 1, c.gpadl), 0);
	}
	/* The guest's read index of our ring: found by whoever sends. */
	CHECK_EQ(fg_open(&b->g, 1, 2, 0, &c), 0);
	fg_ring_store(&b->g, &c, true, RING_OUT, 0xfffffff8);
	CHECK_EQ(chan_send(b->dev[0].chan[0], VMPKT_INBAND, 1, false, "x", 1), -EPIPE);
	wait_int(&b->dev[0].closes, 9);
	bench_free(b);
}

static void test_gpa_direct(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;
	struct fg_pkt p;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 5, 0, &c), 0);
	/* Many, of sizes that do not divide the ring: headers wrap too. */
	for (uint64_t i = 1; i < 400; i++) {
		uint64_t gpa = PAGE_SIZE * (i % 50) + 8 * i % 4096;
		uint32_t len = (uint32_t)(i * 97 % 60000);

		CHECK_EQ(fg_send_gpa(&b->g, &c, i, gpa, len, "gpadirect", 9), 0);
		CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
		CHECK_EQ(p.id, i);
		CHECK_MEM(p.data, "gpadirect", 9);
		CHECK_EQ(b->dev[0].last_gpa, gpa);
		CHECK_EQ(b->dev[0].last_len, len);
	}
	bench_free(b);
}

/* The guest does not read: completions wait inside, none is lost or doubled. */
static void test_backlog(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;
	struct fg_pkt p;
	uint64_t sent = 0, got = 0;

	(void)state;
	for (int feature = 0; feature < 2; feature++) {
		connect(b, VMBUS_V5_3, 0, o);
		CHECK_EQ(fg_open(&b->g, 1, 2, 0, &c), 0);
		if (feature == 0)	/* this guest will not tell us of room */
			fg_ring_store(&b->g, &c, true, RING_FEATURES, 0);
		sent = got = 0;
		for (int i = 0; i < 100000 && sent < 500; i++) {
			uint8_t body[100] = { 0 };

			st64(body, sent);
			if (fg_send(&b->g, &c, VMPKT_INBAND, 1, sent, body, sizeof(body)) == 0)
				sent++;
			else if (fg_recv(&b->g, &c, &p) == 0)
				CHECK_EQ(p.id, got++);
		}
		CHECK_EQ(sent, 500);
		while (got < sent) {
			CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
			CHECK_EQ(p.id, got);
			CHECK_EQ(ld64(p.data), got++);
		}
	}
	bench_free(b);
}

static void test_room(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;
	struct fg_pkt p;
	uint8_t body[1000] = { 0 };
	int n = 0, rc = 0;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 2, 0, &c), 0);
	while (n < 10 && rc == 0) {
		rc = chan_send(b->dev[0].chan[0], VMPKT_INBAND, 0, false, body, sizeof(body));
		n += rc == 0;
	}
	CHECK_EQ(rc, -EAGAIN);
	CHECK_EQ(n, 3);			/* 3 * 1024 < 4096 - 8 */
	CHECK_EQ(fg_ring_load(&b->g, &c, true, RING_PENDING_SEND), 1024);
	CHECK_EQ(b->dev[0].rooms, 0);
	CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
	wait_int(&b->dev[0].rooms, 1);
	CHECK_EQ(fg_ring_load(&b->g, &c, true, RING_PENDING_SEND), 0);
	CHECK_EQ(chan_send(b->dev[0].chan[0], VMPKT_INBAND, 0, false, body, sizeof(body)), 0);
	CHECK_EQ(chan_send(b->dev[0].chan[0], VMPKT_INBAND, 0, false, body, 4096), -EMSGSIZE);
	bench_free(b);
}

/* A guest that found its ring full waits for our word. */
static void test_pending_send(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;
	unsigned before;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 2, 1, &c), 0);
	before = fg_events(&b->g, 1, 1);
	/* Queue three without a signal, ask for a nearly empty ring, then signal. */
	fg_ring_store(&b->g, &c, false, RING_MASK, 1);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 0, 0, "12345678", 8), 0);
	fg_ring_store(&b->g, &c, false, RING_PENDING_SEND, 4096 - 32 + 3);
	fg_signal(&b->g, &c);
	wait_int(&b->dev[0].packets, 3);
	for (int i = 0; i < 10000 && fg_events(&b->g, 1, 1) == before; i++)
		usleep(100);
	CHECK(fg_events(&b->g, 1, 1) > before);
	bench_free(b);
}

static void test_signals_only_when_asleep(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;
	struct chan *h;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 2, 1, &c), 0);
	h = b->dev[0].chan[0];
	for (int i = 0; i < 3; i++)
		CHECK_EQ(chan_send(h, VMPKT_INBAND, 0, true, "abc", 3), 0);
	CHECK_EQ(fg_events(&b->g, 1, 1), 1);	/* only empty to nonempty */
	for (int i = 0; i < 3; i++) {
		struct fg_pkt p;

		CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
		CHECK_EQ(p.flags, 1);
	}
	fg_ring_store(&b->g, &c, true, RING_MASK, 1);
	CHECK_EQ(chan_send(h, VMPKT_INBAND, 0, false, "abc", 3), 0);
	CHECK_EQ(fg_events(&b->g, 1, 1), 1);
	bench_free(b);
}

static void wait_event(struct bench *b, unsigned want)
{
	for (int i = 0; i < 20000 && fg_events(&b->g, 1, 1) != want; i++)
		usleep(100);
	CHECK_EQ(fg_events(&b->g, 1, 1), want);
}

/* The signal for what is answered soon comes once, and after the last; it comes for a single one. */
static void test_answered_soon(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;
	struct fg_pkt p;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	CHECK_EQ(fg_open(&b->g, 1, 2, 1, &c), 0);
	atomic_store(&b->dev[0].soon, true);
	CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 0, 1, "P-------", 8), 0);
	wait_int(&b->dev[0].packets, 1);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, 2 + i, "--------", 8), 0);
	chan_go(b->dev[0].chan[0]);
	wait_event(b, 1);
	CHECK_EQ(b->dev[0].packets, 21);
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
		CHECK_EQ(p.id, 2 + i);
	}
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, 100 + i, "--------", 8), 0);
		wait_event(b, 2 + i);
		CHECK_EQ(fg_recv(&b->g, &c, &p), 0);
		CHECK_EQ(p.id, 100 + i);
	}
	CHECK_EQ(fg_send(&b->g, &c, VMPKT_INBAND, 1, 200, "--------", 8), 0);
	bench_free(b);				/* closed with one owed, perhaps */
}

/* Whichever allocation fails, the guest gets an answer and may try again. */
static void test_open_without_memory(void **state)
{
	struct bench *b = bench_new(0);
	struct vmbus_offer o[4];
	struct fg_chan c;
	unsigned failed = 0;

	(void)state;
	connect(b, VMBUS_V5_3, 0, o);
	for (unsigned n = 1; n < 12; n++) {
		int64_t rc;

		base_fail_alloc(n);
		rc = fg_open(&b->g, 1, 2, 0, &c);
		base_fail_alloc(0);
		CHECK(rc >= 0);
		if (rc == 0) {
			ping(b, &c, n);
			fg_close(&b->g, &c);
			CHECK_EQ(fg_gpadl_teardown(&b->g, 1, c.gpadl), 0);
		}
		failed += rc != 0;
	}
	CHECK(failed >= 5);
	CHECK_EQ(fg_open(&b->g, 1, 2, 0, &c), 0);
	ping(b, &c, 99);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gpadls),
		cmocka_unit_test(test_hostile_gpadls),
		cmocka_unit_test(test_open_errors),
		cmocka_unit_test(test_broken_ring),
		cmocka_unit_test(test_gpa_direct),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_pending_send),
		cmocka_unit_test(test_signals_only_when_asleep),
		cmocka_unit_test(test_answered_soon),
		cmocka_unit_test(test_open_without_memory),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
