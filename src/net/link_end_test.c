/*
 * link_end_test.c - one end of a link: who waits for room is told
 */
#include "base/test.h"

#include "net/link_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRAMES 600000u

struct rig {
	struct link_end e;
	struct lane_rx rx;
	atomic_uint told;		/* how often the sender was told of room */
	atomic_bool stop;
};

/* The peer, and the thread that hears of its wakes at once. */
static void *reader(void *arg)
{
	struct rig *r = arg;
	struct net_frame f[LANE_BATCH];
	struct iovec iov[LANE_BATCH];

	while (!atomic_load(&r->stop)) {
		int nr = lane_peek(&r->rx, f, iov);

		if (nr > 0 && lane_done(&r->rx, (unsigned)nr) && atomic_exchange(&r->e.waiting, false))
			atomic_fetch_add(&r->told, 1);
	}
	return NULL;
}

static bool told_since(struct rig *r, unsigned before)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		if (atomic_load(&r->told) != before)
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < 3);
	return false;
}

static void who_waits_is_told(void **s)
{
	struct rig *r = new0(struct rig);
	void *mem = aligned_alloc(PAGE_SIZE, LINK_MEM);
	uint8_t bytes[15000] = { 0 };
	struct iovec iov = { bytes, sizeof(bytes) };
	struct net_frame f = { .iov = &iov, .nr_iov = 1, .len = sizeof(bytes) };
	unsigned waits = 0;
	pthread_t t;

	(void)s;
	CHECK(r != NULL && mem != NULL);
	memset(mem, 0, LINK_MEM);
	link_end_init(&r->e);
	link_end_open(&r->e, -1, mem, false);
	lane_rx_init(&r->rx, mem);
	CHECK_EQ(pthread_create(&t, NULL, reader, r), 0);
	for (unsigned i = 0; i < FRAMES;) {
		unsigned before = atomic_load(&r->told);

		if (link_end_put(&r->e, &f, 1) == 1) {
			link_end_flush(&r->e);
			i++;
			continue;
		}
		waits++;
		CHECK(told_since(r, before));
	}
	CHECK(waits > 0);
	atomic_store(&r->stop, true);
	CHECK_EQ(pthread_join(t, NULL), 0);
	r->e.mem = NULL;		/* not mapped */
	free(mem);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(who_waits_is_told) };

	return cmocka_run_group_tests_name("net-link-end", tests, NULL, NULL);
}
