/*
 * fake_blk.h - a disk in memory, for tests: slow, out of order, failing
 */
#ifndef DEV_FAKE_BLK_H
#define DEV_FAKE_BLK_H

#include "dev/blk.h"

#include <pthread.h>
#include <stdatomic.h>

struct fake_blk {
	struct blk blk;
	uint8_t *bytes;			/* [owned] */
	bool async;			/* complete on a thread, in random order */
	bool manual;			/* complete only in fake_blk_finish, while not async */
	atomic_bool stuck;		/* the thread completes nothing meanwhile */
	atomic_int fail;		/* -errno of the next requests */
	atomic_uint nr_fail;		/* so many of them */
	atomic_uint reads, writes, fua, flushes, unmaps, zeroes, in_flight, most;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct blk_req *queue;
	bool stop;
};

MUST_CHECK int fake_blk_init(struct fake_blk *f, uint64_t size, uint32_t logical, bool async);
void fake_blk_fini(struct fake_blk *f);
/* Completes what was submitted in manual mode, oldest first; how many. */
unsigned fake_blk_finish(struct fake_blk *f);

#endif
