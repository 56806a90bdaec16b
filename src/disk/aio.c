/*
 * aio.c - what every backend shares: pieces of a request, waiting, zeroing
 *
 * A request names a slice of the caller's iovecs without copying them: the
 * slice may begin and end inside an element.  Such an end goes out alone,
 * through io->frag; everything between goes out as the caller's own array.
 * So a slice costs at most three system calls and no memory, and a short
 * transfer is just a slice that begins later.
 *
 * Lock     none here; a waiter has a private one
 */
#include "disk/aio.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_IOV 1024			/* IOV_MAX */
#define CHUNK_BYTES (UINT64_C(1) << 30)	/* a result must fit an int */

const uint8_t aio_zeros[AIO_ZEROS_LEN];

int aio_chunk(struct aio_io *io, const struct iovec **ret_iov)
{
	uint64_t left = io->len, bytes = 0;
	int n = 0;

	while (io->nr_iov > 0 && io->iov->iov_len <= io->skip) {
		io->skip -= io->iov->iov_len;
		io->iov++;
		io->nr_iov--;
	}
	BUG_IF(io->nr_iov == 0);
	while (io->skip == 0 && n < io->nr_iov && n < CHUNK_IOV &&
	       io->iov[n].iov_len <= left - bytes && bytes + io->iov[n].iov_len <= CHUNK_BYTES)
		bytes += io->iov[n++].iov_len;
	if (bytes > 0) {
		*ret_iov = io->iov;
		return n;
	}
	io->frag.iov_base = (uint8_t *)io->iov->iov_base + io->skip;
	io->frag.iov_len = (size_t)min_u64(min_u64(io->iov->iov_len - io->skip, left), CHUNK_BYTES);
	*ret_iov = &io->frag;
	return 1;
}

/* The rest of a READ past the end of the file. */
static void zero_rest(struct aio_io *io)
{
	while (io->len > 0) {
		const struct iovec *iov;
		int n = aio_chunk(io, &iov);

		for (int i = 0; i < n; i++) {
			memset(iov[i].iov_base, 0, iov[i].iov_len);
			io->skip += iov[i].iov_len;
			io->len -= iov[i].iov_len;
		}
	}
}

bool aio_advance(struct aio_io *io, int64_t res, int *ret_rc)
{
	*ret_rc = 0;
	if (res == -EINTR || res == -EAGAIN)
		return false;
	if (res < 0) {
		*ret_rc = (int)res;
		return true;
	}
	if (io->op != AIO_READ && io->op != AIO_WRITE)
		return true;
	if (res == 0) {
		if (io->op == AIO_READ && io->eof_zero)
			zero_rest(io);
		else
			*ret_rc = -EIO;
		return true;
	}
	io->off += (uint64_t)res;
	io->len -= (uint64_t)res;
	io->skip += (size_t)res;
	return io->len == 0;
}

int aio_file_truncate(struct aio *a, uint64_t size)
{
	int rc;

	if (size > INT64_MAX)
		return -EFBIG;
	do
		rc = ftruncate(a->fd, (off_t)size);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

int aio_file_size(struct aio *a, uint64_t *ret_size)
{
	struct stat st;

	if (fstat(a->fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		off_t end = lseek(a->fd, 0, SEEK_END);

		if (end < 0)
			return -errno;
		st.st_size = end;
	}
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int aio_open(int fd, bool no_uring, struct aio **ret_a)
{
	int keep, rc;

	if (no_uring)
		return aio_pool_open(fd, ret_a);
	keep = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (keep < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	if (aio_uring_open(fd, ret_a) == 0) {
		close(keep);
		return 0;
	}
	return aio_pool_open(keep, ret_a);
}

void aio_close(struct aio *a)
{
	if (a != NULL)
		a->ops->close(a);
}

int aio_truncate(struct aio *a, uint64_t size)
{
	return a->ops->truncate(a, size);
}

int aio_size(struct aio *a, uint64_t *ret_size)
{
	return a->ops->size(a, ret_size);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int rc;
};

/* Signalled under the lock: the waiter's stack goes away right after. */
static void wait_done(struct aio_io *io, int rc)
{
	struct waiter *w = io->ctx;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->rc = rc;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int aio_wait(struct aio *a, struct aio_io *io)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

	io->done = wait_done;
	io->ctx = &w;
	aio_submit(a, io);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return w.rc;
}

int aio_read_wait(struct aio *a, uint64_t off, void *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct aio_io io = { .op = AIO_READ, .off = off, .len = len, .iov = &iov, .nr_iov = 1 };

	return len == 0 ? 0 : aio_wait(a, &io);
}

int aio_write_wait(struct aio *a, uint64_t off, const void *buf, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct aio_io io = { .op = AIO_WRITE, .off = off, .len = len, .iov = &iov, .nr_iov = 1 };

	return len == 0 ? 0 : aio_wait(a, &io);
}

int aio_sync_wait(struct aio *a)
{
	struct aio_io io = { .op = AIO_SYNC };

	return aio_wait(a, &io);
}

int aio_allocate_wait(struct aio *a, int mode, uint64_t off, uint64_t len)
{
	struct aio_io io = { .op = AIO_ALLOCATE, .mode = mode, .off = off, .len = len };

	return aio_wait(a, &io);
}

static bool unsupported(int rc)
{
	return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EINVAL || rc == -ENOTTY;
}

int aio_zero_wait(struct aio *a, uint64_t off, uint64_t len, bool keep)
{
	int rc = -EOPNOTSUPP;

	if (len == 0)
		return 0;
	if (!keep)
		rc = aio_allocate_wait(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
	if (unsupported(rc))
		rc = aio_allocate_wait(a, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);
	if (!unsupported(rc))
		return rc;
	for (uint64_t n; len > 0; off += n, len -= n) {
		n = min_u64(len, AIO_ZEROS_LEN);
		rc = aio_write_wait(a, off, aio_zeros, (size_t)n);
		if (rc < 0)
			return rc;
	}
	return 0;
}
