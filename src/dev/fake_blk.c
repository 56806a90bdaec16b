/*
 * fake_blk.c - a disk in memory, for tests
 *
 * Checks the contract from the backend's side: ranges, sums of iovecs.
 */
#include "dev/fake_blk.h"

#include <stdlib.h>
#include <unistd.h>

static int check(const struct fake_blk *f, const struct blk_req *q)
{
	uint64_t sum = 0;

	for (int i = 0; i < q->nr_iov; i++)
		sum += q->iov[i].iov_len;
	BUG_IF(q->off > f->blk.size || q->len > f->blk.size - q->off);
	BUG_IF(q->off % f->blk.logical != 0 || q->len % f->blk.logical != 0);
	BUG_IF((q->op == BLK_READ || q->op == BLK_WRITE) && sum != q->len);
	BUG_IF((q->op == BLK_READ || q->op == BLK_WRITE) && q->len == 0);
	BUG_IF(f->blk.read_only && q->op != BLK_READ && q->op != BLK_FLUSH);
	return 0;
}

static void move(struct fake_blk *f, struct blk_req *q)
{
	uint64_t at = q->off;

	for (int i = 0; i < q->nr_iov; at += q->iov[i++].iov_len) {
		if (q->op == BLK_READ)
			memcpy(q->iov[i].iov_base, f->bytes + at, q->iov[i].iov_len);
		else
			memcpy(f->bytes + at, q->iov[i].iov_base, q->iov[i].iov_len);
	}
}

static int perform(struct fake_blk *f, struct blk_req *q)
{
	unsigned n = atomic_load(&f->nr_fail);

	if (n > 0) {
		atomic_store(&f->nr_fail, n - 1);
		return atomic_load(&f->fail);
	}
	atomic_fetch_add(&f->fua, q->fua);
	switch (q->op) {
	case BLK_READ:
		atomic_fetch_add(&f->reads, 1);
		move(f, q);
		break;
	case BLK_WRITE:
		atomic_fetch_add(&f->writes, 1);
		move(f, q);
		break;
	case BLK_FLUSH:
		atomic_fetch_add(&f->flushes, 1);
		break;
	case BLK_UNMAP:
		atomic_fetch_add(&f->unmaps, 1);
		memset(f->bytes + q->off, 0, q->len);
		break;
	case BLK_WRITE_ZEROES:
		atomic_fetch_add(&f->zeroes, 1);
		memset(f->bytes + q->off, 0, q->len);
		break;
	}
	return 0;
}

static void submit(struct blk *b, struct blk_req *q)
{
	struct fake_blk *f = CONTAINER_OF(b, struct fake_blk, blk);
	unsigned now;
	int rc = check(f, q);

	if (!f->async && f->manual) {
		struct blk_req **at = &f->queue;

		while (*at != NULL)
			at = &(*at)->next;
		q->next = NULL;
		*at = q;
		return;
	}
	if (!f->async) {
		if (rc == 0)
			rc = perform(f, q);
		q->done(q, rc);
		return;
	}
	now = atomic_fetch_add(&f->in_flight, 1) + 1;
	if (now > atomic_load(&f->most))
		atomic_store(&f->most, now);
	pthread_mutex_lock(&f->lock);
	q->next = f->queue;
	f->queue = q;
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

unsigned fake_blk_finish(struct fake_blk *f)
{
	unsigned n = 0;

	while (f->queue != NULL) {
		struct blk_req *q = f->queue;

		f->queue = q->next;
		q->done(q, perform(f, q));
		n++;
	}
	return n;
}

/* One from anywhere in the queue. */
static struct blk_req *pick(struct fake_blk *f, unsigned *seed)
{
	struct blk_req **at = &f->queue, *q;

	while ((*at)->next != NULL && rand_r(seed) % 3 != 0)
		at = &(*at)->next;
	q = *at;
	*at = q->next;
	return q;
}

static void *run(void *arg)
{
	struct fake_blk *f = arg;
	unsigned seed = 1;

	pthread_mutex_lock(&f->lock);
	while (!f->stop || f->queue != NULL) {
		struct blk_req *q;
		int rc;

		if (atomic_load(&f->stuck) || f->queue == NULL) {
			pthread_mutex_unlock(&f->lock);
			usleep(100);
			pthread_mutex_lock(&f->lock);
			continue;
		}
		q = pick(f, &seed);
		pthread_mutex_unlock(&f->lock);
		rc = perform(f, q);
		atomic_fetch_sub(&f->in_flight, 1);
		q->done(q, rc);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void drain(struct blk *b)
{
	struct fake_blk *f = CONTAINER_OF(b, struct fake_blk, blk);

	(void)(f->manual && fake_blk_finish(f));
	while (atomic_load(&f->in_flight) != 0)
		usleep(100);
}

static const struct blk_ops fake_ops = { .submit = submit, .drain = drain };

int fake_blk_init(struct fake_blk *f, uint64_t size, uint32_t logical, bool async)
{
	static const struct guid id = GUID_INIT(0x11223344, 0x5566, 0x7788, 1, 2, 3, 4, 5, 6, 7, 8);

	memset(f, 0, sizeof(*f));
	f->blk = (struct blk){
		.ops = &fake_ops, .size = size, .logical = logical, .physical = 4096,
		.can_unmap = true, .disk_id = id,
	};
	if (logical == 2048) {
		f->blk.physical = 2048;
		f->blk.optical = f->blk.read_only = true;
		f->blk.can_unmap = false;
	}
	f->async = async;
	f->bytes = new_array(uint8_t, size);
	if (f->bytes == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < size; i += 8)
		st64(f->bytes + i, i * UINT64_C(0x9e3779b97f4a7c15));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	return async ? -pthread_create(&f->thread, NULL, run, f) : 0;
}

void fake_blk_fini(struct fake_blk *f)
{
	if (f->async) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->thread, NULL);
	}
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->cond);
	free(f->bytes);
}
