#include "base/test.h"

#include "net/lane.c"	/* the file under test, statics and all */

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static struct lane_tx tx;
static struct lane_rx rx;
static uint8_t *mem;
static struct net_frame f[LANE_BATCH];
static struct iovec iov[LANE_BATCH];

static void begin(void)
{
	mem = aligned_alloc(4096, LANE_SIZE);
	CHECK(mem != NULL);
	memset(mem, 0, LANE_SIZE);
	lane_tx_init(&tx, mem);
	lane_rx_init(&rx, mem);
}

static int put(uint32_t len, uint8_t fill, uint32_t flags)
{
	static uint8_t b[LANE_FRAME_MAX + 1];
	struct iovec in[3] = { { b, 5 }, { b + 5, 0 }, { b + 5, len - 5 } };
	struct net_frame n = { .iov = in, .nr_iov = 3, .len = len, .flags = flags, .tci = 0x2005, .l4_at = 34, .mss = 1448 };

	memset(b, fill, len);
	return lane_put(&tx, &n);
}

static void frames_come_as_they_were(void **s)
{
	(void)s;
	begin();
	CHECK_EQ(lane_peek(&rx, f, iov), 0);
	CHECK_EQ(put(60, 1, FRAME_TAGGED), 0);
	CHECK_EQ(put(LANE_FRAME_MAX, 2, FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP | 0xff00), 0);
	CHECK_EQ(lane_peek(&rx, f, iov), 0);		/* not published */
	CHECK(!lane_publish(&tx));
	CHECK_EQ(lane_peek(&rx, f, iov), 2);
	CHECK_EQ(f[0].len, 60);
	CHECK_EQ(f[0].flags, FRAME_TAGGED);
	CHECK_EQ(f[0].tci, 0x2005);
	CHECK_EQ(f[0].l4_at, 34);
	CHECK_EQ(f[0].mss, 1448);
	CHECK_EQ(((uint8_t *)f[0].iov->iov_base)[59], 1);
	CHECK_EQ(f[1].len, LANE_FRAME_MAX);
	CHECK_EQ(f[1].flags, FRAME_LSO4 | FRAME_SUM_TCP | FRAME_SUM_IP);	/* flags nobody knows are gone */
	CHECK_EQ(((uint8_t *)f[1].iov->iov_base)[LANE_FRAME_MAX - 1], 2);
	/* What is not done with is there again. */
	CHECK(!lane_done(&rx, 1));
	CHECK_EQ(lane_peek(&rx, f, iov), 1);
	CHECK_EQ(f[0].len, LANE_FRAME_MAX);
	CHECK(!lane_done(&rx, 1));
	CHECK_EQ(lane_peek(&rx, f, iov), 0);
	CHECK_EQ(put(LANE_FRAME_MAX + 1, 0, 0), -EMSGSIZE);
	CHECK_EQ(put(13, 0, 0), -EMSGSIZE);
	free(mem);
}

static void many_rounds_of_every_length(void **s)
{
	uint32_t len = 14, sent = 0, seen = 0;

	(void)s;
	begin();
	while (seen < 20000) {
		int n;

		while (put(14 + len, (uint8_t)sent, 0) == 0) {
			sent++;
			len = (len * 7 + 3) % 5000;
		}
		(void)!lane_publish(&tx);
		while ((n = lane_peek(&rx, f, iov)) > 0) {
			for (int i = 0; i < n; i++, seen++) {
				CHECK_EQ(((uint8_t *)f[i].iov->iov_base)[0], (uint8_t)seen);
				CHECK_EQ(((uint8_t *)f[i].iov->iov_base)[f[i].len - 1], (uint8_t)seen);
			}
			(void)!lane_done(&rx, (unsigned)n);
		}
		CHECK_EQ(n, 0);
	}
	CHECK_EQ(sent, seen);
	free(mem);
}

static void nobody_is_woken_who_does_not_sleep(void **s)
{
	(void)s;
	begin();
	CHECK_EQ(put(60, 0, 0), 0);
	CHECK(!lane_publish(&tx));
	CHECK(!lane_sleep(&rx));		/* something is there */
	CHECK_EQ(put(60, 0, 0), 0);
	CHECK(!lane_publish(&tx));
	CHECK_EQ(lane_peek(&rx, f, iov), 2);
	CHECK(!lane_done(&rx, 2));
	CHECK(lane_sleep(&rx));
	CHECK_EQ(put(60, 0, 0), 0);
	CHECK(lane_publish(&tx));
	CHECK_EQ(put(60, 0, 0), 0);
	CHECK(!lane_publish(&tx));		/* once is enough */
	free(mem);
}

static void who_waits_for_room_is_woken_at_half(void **s)
{
	unsigned nr = 0;
	bool woken = false;

	(void)s;
	begin();
	while (put(60000, 0, 0) == 0)
		nr++;
	CHECK_EQ(nr, LANE_BYTES / 60016);
	(void)!lane_publish(&tx);
	for (unsigned left = nr; left > 0 && !woken; left--) {
		CHECK(lane_peek(&rx, f, iov) > 0);
		woken = lane_done(&rx, 1);
		CHECK(!woken || left - 1 <= nr / 2);
	}
	CHECK(woken);
	CHECK_EQ(put(60000, 0, 0), 0);
	free(mem);
}

static struct lane_shared *shared(void)
{
	return (struct lane_shared *)(void *)mem;
}

static void a_writer_who_lies_is_found_out(void **s)
{
	static const struct { uint32_t head; struct record r; } bad[] = {
		{ 8, { .len = 60 } },				/* no record begins there */
		{ LANE_BYTES + 16, { .len = 60 } },
		{ UINT32_MAX - 15, { .len = 60 } },
		{ 32, { .len = 60 } },				/* reaches past what is written */
		{ 96, { .len = 13 } },
		{ 96, { .len = UINT32_MAX } },
		{ LANE_BYTES, { .len = LANE_FRAME_MAX + 1 } },
		{ LANE_BYTES, { .flags = SKIP } },		/* nothing follows */
		{ 32, { .flags = SKIP } },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin();
		memcpy(shared()->data, &bad[i].r, sizeof(bad[i].r));
		shared()->head = bad[i].head;
		CHECK_EQ(lane_peek(&rx, f, iov), -EPROTO);
		free(mem);
	}
	/* One that goes back. */
	begin();
	CHECK_EQ(put(60, 0, 0), 0);
	(void)!lane_publish(&tx);
	CHECK_EQ(lane_peek(&rx, f, iov), 1);
	shared()->head = 0;
	CHECK_EQ(lane_peek(&rx, f, iov), -EPROTO);
	free(mem);
}

static void a_reader_who_lies_is_found_out(void **s)
{
	static const uint32_t bad[] = { 8, LANE_BYTES * 2, UINT32_MAX - 15 };

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin();
		while (put(60000, 0, 0) == 0)
			;
		shared()->tail = bad[i];
		CHECK_EQ(put(60000, 0, 0), -EPROTO);
		free(mem);
	}
}

/* What is in the memory of ours does not matter to us. */
static void own_words_are_not_read_back(void **s)
{
	(void)s;
	begin();
	CHECK_EQ(put(60, 7, 0), 0);
	(void)!lane_publish(&tx);
	shared()->tail = 0x1000;
	CHECK_EQ(lane_peek(&rx, f, iov), 1);
	CHECK_EQ(((uint8_t *)f[0].iov->iov_base)[0], 7);
	(void)!lane_done(&rx, 1);
	CHECK_EQ(shared()->tail, 80);
	shared()->head = 0xfff0;
	CHECK_EQ(put(60, 8, 0), 0);
	(void)!lane_publish(&tx);
	CHECK_EQ(shared()->head, 160);
	free(mem);
}

#define TURNS 300000u

struct bell {				/* what a socket is between processes */
	pthread_mutex_t lock;
	pthread_cond_t ring;
	bool rung;
};
static struct bell to_reader, to_writer;

static void ring(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	b->rung = true;
	pthread_cond_signal(&b->ring);
	pthread_mutex_unlock(&b->lock);
}

static void wait_for(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	while (!b->rung)
		pthread_cond_wait(&b->ring, &b->lock);
	b->rung = false;
	pthread_mutex_unlock(&b->lock);
}

static void *writer(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < TURNS;) {
		uint32_t len = 60 + i % 9000;
		int rc = put(len, (uint8_t)i, 0);

		if (rc == 0)
			i++;
		if ((rc < 0 || i % 7 == 0 || i == TURNS) && lane_publish(&tx))
			ring(&to_reader);
		if (rc < 0)
			wait_for(&to_writer);
	}
	return NULL;
}

/* A lost wake-up would stop this for ever. */
static void two_threads_that_sleep(void **s)
{
	pthread_t t;
	uint32_t seen = 0;

	(void)s;
	begin();
	pthread_mutex_init(&to_reader.lock, NULL);
	pthread_mutex_init(&to_writer.lock, NULL);
	pthread_cond_init(&to_reader.ring, NULL);
	pthread_cond_init(&to_writer.ring, NULL);
	CHECK_EQ(pthread_create(&t, NULL, writer, NULL), 0);
	while (seen < TURNS) {
		int n = lane_peek(&rx, f, iov);

		CHECK(n >= 0);
		for (int i = 0; i < n; i++, seen++) {
			CHECK_EQ(f[i].len, 60 + seen % 9000);
			CHECK_EQ(((uint8_t *)f[i].iov->iov_base)[f[i].len - 1], (uint8_t)seen);
		}
		if (lane_done(&rx, (unsigned)n))
			ring(&to_writer);
		if (n == 0 && lane_sleep(&rx)) {
			wait_for(&to_reader);
			lane_awake(&rx);
		}
	}
	pthread_join(t, NULL);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_as_they_were),
		cmocka_unit_test(many_rounds_of_every_length),
		cmocka_unit_test(nobody_is_woken_who_does_not_sleep),
		cmocka_unit_test(who_waits_for_room_is_woken_at_half),
		cmocka_unit_test(a_writer_who_lies_is_found_out),
		cmocka_unit_test(a_reader_who_lies_is_found_out),
		cmocka_unit_test(own_words_are_not_read_back),
		cmocka_unit_test(two_threads_that_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
