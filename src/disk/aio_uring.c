/*
 * aio_uring.c - aio by io_uring, with one completion thread per file
 *
 * Submission combines: whoever finds nobody submitting takes everything that
 * is waiting, fills the ring and makes one system call; the others leave
 * their request in the list and go.  The completion thread does the same for
 * what was submitted from done callbacks, so a burst of completions answered
 * by a burst of new requests costs one system call.
 *
 * The kernel's io_uring refuses in many sandboxes (-EPERM, -ENOSYS); the
 * caller then takes the pool.
 *
 * Lock     u->lock guards the list, the counters and the flags.  The
 *          submission ring belongs to whoever set u->submitting; the
 *          completion ring to the completion thread.  No system call and no
 *          done callback under the lock.
 */
#include "disk/aio.h"

#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 256u		/* requests with the kernel at once; the rest wait in the list */

struct aio_uring {
	struct aio a;
	struct io_uring ring;
	pthread_t thread;
	pthread_mutex_t lock;
	struct aio_io *head, **tail;	/* not yet with the kernel */
	unsigned in_flight;
	bool submitting;
	struct aio_io stop;		/* its completion ends the thread */
	bool stopped;			/* the completion thread's own */
};

static void prep(struct aio_uring *u, struct io_uring_sqe *sqe, struct aio_io *io)
{
	const struct iovec *iov;
	int n;

	switch (io->op) {
	case AIO_READ:
		n = aio_chunk(io, &iov);
		io_uring_prep_readv(sqe, u->a.fd, iov, (unsigned)n, io->off);
		break;
	case AIO_WRITE:
		n = aio_chunk(io, &iov);
		io_uring_prep_writev(sqe, u->a.fd, iov, (unsigned)n, io->off);
		break;
	case AIO_SYNC:
		io_uring_prep_fsync(sqe, u->a.fd, IORING_FSYNC_DATASYNC);
		break;
	case AIO_ALLOCATE:
		io_uring_prep_fallocate(sqe, u->a.fd, io->mode, (off_t)io->off, (off_t)io->len);
		break;
	case AIO_NOP:
		io_uring_prep_nop(sqe);
		break;
	}
	io_uring_sqe_set_data(sqe, io);
}

/* Everything prepared goes to the kernel; it never refuses for good what was well formed. */
static void enter(struct aio_uring *u, unsigned n)
{
	while (n > 0) {
		int rc = io_uring_submit(&u->ring);

		BUG_IF(rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY && rc != -ENOMEM);
		if (rc > 0)
			n -= (unsigned)rc;
		else
			usleep(100);
	}
}

/* Called with the lock, returns with it; lets it go around the system call. */
static void pump(struct aio_uring *u)
{
	if (u->submitting)
		return;
	u->submitting = true;
	while (u->head != NULL && u->in_flight < DEPTH) {
		unsigned n = 0;

		while (u->head != NULL && u->in_flight < DEPTH) {
			struct aio_io *io = u->head;

			u->head = io->next;
			if (u->head == NULL)
				u->tail = &u->head;
			prep(u, io_uring_get_sqe(&u->ring), io);
			u->in_flight++;
			n++;
		}
		pthread_mutex_unlock(&u->lock);
		enter(u, n);
		pthread_mutex_lock(&u->lock);
	}
	u->submitting = false;
}

static void append(struct aio_uring *u, struct aio_io *io)
{
	io->next = NULL;
	*u->tail = io;
	u->tail = &io->next;
}

static void uring_submit(struct aio *a, struct aio_io *io)
{
	struct aio_uring *u = CONTAINER_OF(a, struct aio_uring, a);

	pthread_mutex_lock(&u->lock);
	append(u, io);
	/* Our own thread collects what the callbacks submit and pumps after the last of them. */
	if (!pthread_equal(pthread_self(), u->thread))
		pump(u);
	pthread_mutex_unlock(&u->lock);
}

/* One result; the request is done, or goes back into the list for its rest. */
static void complete(struct aio_uring *u, struct aio_io *io, int res)
{
	int rc;

	pthread_mutex_lock(&u->lock);
	u->in_flight--;
	if (!aio_advance(io, res, &rc)) {
		append(u, io);
		io = NULL;
	}
	pthread_mutex_unlock(&u->lock);
	if (io != NULL)
		io->done(io, rc);
}

static void stop_done(struct aio_io *io, int rc)
{
	(void)rc;
	((struct aio_uring *)io->ctx)->stopped = true;
}

static void *completion_thread(void *arg)
{
	struct aio_uring *u = arg;
	struct io_uring_cqe *cqe;

	while (!u->stopped) {
		if (io_uring_wait_cqe(&u->ring, &cqe) < 0)
			continue;
		do {
			struct aio_io *io = io_uring_cqe_get_data(cqe);
			int res = cqe->res;

			io_uring_cqe_seen(&u->ring, cqe);
			complete(u, io, res);
		} while (io_uring_peek_cqe(&u->ring, &cqe) == 0);
		pthread_mutex_lock(&u->lock);
		pump(u);
		pthread_mutex_unlock(&u->lock);
	}
	return NULL;
}

static void uring_close(struct aio *a)
{
	struct aio_uring *u = CONTAINER_OF(a, struct aio_uring, a);

	u->stop.op = AIO_NOP;
	u->stop.done = stop_done;
	u->stop.ctx = u;
	uring_submit(a, &u->stop);
	pthread_join(u->thread, NULL);
	io_uring_queue_exit(&u->ring);
	pthread_mutex_destroy(&u->lock);
	close(a->fd);
	free(u);
}

static const struct aio_ops uring_ops = {
	.submit = uring_submit,
	.truncate = aio_file_truncate,
	.size = aio_file_size,
	.close = uring_close,
};

static bool has_all_ops(struct io_uring *ring)
{
	static const int needed[] = {
		IORING_OP_NOP, IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
		IORING_OP_FALLOCATE,
	};
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	bool all = p != NULL;

	for (size_t i = 0; all && i < ARRAY_LEN(needed); i++)
		all = io_uring_opcode_supported(p, needed[i]);
	io_uring_free_probe(p);
	return all;
}

int aio_uring_open(int fd, struct aio **ret_a)
{
	struct aio_uring *u = new0(struct aio_uring);
	int rc = -ENOMEM;

	if (u == NULL)
		goto fail;
	u->a.ops = &uring_ops;
	u->a.fd = fd;
	u->tail = &u->head;
	rc = io_uring_queue_init(DEPTH, &u->ring, 0);
	if (rc < 0)
		goto fail;
	pthread_mutex_init(&u->lock, NULL);
	rc = has_all_ops(&u->ring) ? 0 : -EOPNOTSUPP;
	/* The thread is created under the lock, so that u->thread is set before anyone compares. */
	pthread_mutex_lock(&u->lock);
	if (rc == 0)
		rc = -pthread_create(&u->thread, NULL, completion_thread, u);
	pthread_mutex_unlock(&u->lock);
	if (rc == 0) {
		*ret_a = &u->a;
		return 0;
	}
	io_uring_queue_exit(&u->ring);
	pthread_mutex_destroy(&u->lock);
fail:
	free(u);
	close(fd);
	return rc;
}
