/*
 * aio_pool.c - aio by a few threads and plain system calls
 *
 * For hosts that deny io_uring (containers, older kernels), and for tests.
 *
 * Lock     p->lock guards the list; no system call and no done callback
 *          under it
 */
#include "disk/aio.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4

struct aio_pool {
	struct aio a;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct aio_io *head, **tail;
	bool stop;
	unsigned nr_threads;
	pthread_t thread[THREADS];
};

static int64_t call(struct aio_pool *p, struct aio_io *io)
{
	const struct iovec *iov;
	ssize_t res = 0;
	int n;

	switch (io->op) {
	case AIO_READ:
		n = aio_chunk(io, &iov);
		res = preadv(p->a.fd, iov, n, (off_t)io->off);
		break;
	case AIO_WRITE:
		n = aio_chunk(io, &iov);
		res = pwritev(p->a.fd, iov, n, (off_t)io->off);
		break;
	case AIO_SYNC:
		res = fdatasync(p->a.fd);
		break;
	case AIO_ALLOCATE:
		res = fallocate(p->a.fd, io->mode, (off_t)io->off, (off_t)io->len);
		break;
	case AIO_NOP:
		break;
	}
	return res < 0 ? -errno : res;
}

static void *pool_thread(void *arg)
{
	struct aio_pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct aio_io *io = p->head;
		int rc;

		if (io == NULL && p->stop)
			break;
		if (io == NULL) {
			pthread_cond_wait(&p->cond, &p->lock);
			continue;
		}
		p->head = io->next;
		if (p->head == NULL)
			p->tail = &p->head;
		pthread_mutex_unlock(&p->lock);
		while (!aio_advance(io, call(p, io), &rc))
			;
		io->done(io, rc);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void pool_submit(struct aio *a, struct aio_io *io)
{
	struct aio_pool *p = CONTAINER_OF(a, struct aio_pool, a);

	io->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->tail = io;
	p->tail = &io->next;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

static void pool_close(struct aio *a)
{
	struct aio_pool *p = CONTAINER_OF(a, struct aio_pool, a);

	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nr_threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->lock);
	close(a->fd);
	free(p);
}

static const struct aio_ops pool_ops = {
	.submit = pool_submit,
	.truncate = aio_file_truncate,
	.size = aio_file_size,
	.close = pool_close,
};

int aio_pool_open(int fd, struct aio **ret_a)
{
	struct aio_pool *p = new0(struct aio_pool);
	int rc = 0;

	if (p == NULL) {
		close(fd);
		return -ENOMEM;
	}
	p->a.ops = &pool_ops;
	p->a.fd = fd;
	p->tail = &p->head;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	while (p->nr_threads < THREADS && rc == 0) {
		rc = -pthread_create(&p->thread[p->nr_threads], NULL, pool_thread, p);
		if (rc == 0)
			p->nr_threads++;
	}
	/* One thread is enough; none is not. */
	if (p->nr_threads == 0) {
		pool_close(&p->a);
		return rc;
	}
	*ret_a = &p->a;
	return 0;
}
