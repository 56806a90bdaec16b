/*
 * blk.c - one request, waited for
 *
 * Lock     a private one per call
 */
#include "dev/blk.h"

#include <pthread.h>

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int rc;
};

/* The signal is given under the lock: the waiter's stack goes away after it. */
static void waiter_done(struct blk_req *req, int rc)
{
	struct waiter *w = req->ctx;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->rc = rc;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int blk_rw_wait(struct blk *b, enum blk_op op, uint64_t off, void *buf, uint64_t len)
{
	struct waiter w = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct blk_req req = {
		.op = op,
		.off = off,
		.len = len,
		.done = waiter_done,
		.ctx = &w,
	};

	if (op == BLK_READ || op == BLK_WRITE) {
		req.iov = &iov;
		req.nr_iov = 1;
	}
	blk_submit(b, &req);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return w.rc;
}
