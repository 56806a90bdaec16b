/*
 * aio.h - asynchronous I/O on one host file
 *
 * The only way the image formats touch a file, so that a test can stand
 * between them and the disk: an aio is a table of functions, and a test
 * brings its own (struct aio_ops).  Requests may complete in any order and on
 * any thread.  A SYNC covers what completed before it was submitted.
 *
 * The io_uring and thread-pool backends never call done from within
 * aio_submit.  A test backend may: callers hold no lock across aio_submit.
 */
#ifndef DISK_AIO_H
#define DISK_AIO_H

#include "base/base.h"

#include <sys/uio.h>

enum aio_op {
	AIO_NOP,		/* completes on the backend's thread with 0 */
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC,		/* fdatasync */
	AIO_ALLOCATE,		/* fallocate with MODE */
};

struct aio_io {
	enum aio_op op;
	bool eof_zero;		/* READ: bytes past the end of the file are zeros, not -EIO */
	int mode;		/* ALLOCATE: FALLOC_FL_* */
	uint64_t off, len;	/* bytes; any alignment */
	/* The LEN bytes that start SKIP bytes into IOV; borrowed and never changed. */
	const struct iovec *iov;
	int nr_iov;
	size_t skip;
	void (*done)(struct aio_io *io, int rc);	/* 0 or -errno, exactly once */
	void *ctx;
	/* The backend's while in flight. */
	struct aio_io *next;
	struct iovec frag;
};

struct aio;

struct aio_ops {
	void (*submit)(struct aio *a, struct aio_io *io);
	MUST_CHECK int (*truncate)(struct aio *a, uint64_t size);
	MUST_CHECK int (*size)(struct aio *a, uint64_t *ret_size);
	/* Nothing is in flight.  Closes the file, frees A. */
	void (*close)(struct aio *a);
};

struct aio {
	const struct aio_ops *ops;
	int fd;			/* -1 in a backend without a file */
};

/* Takes FD over, also on failure.  A pool where NO_URING or where the host denies io_uring. */
MUST_CHECK int aio_open(int fd, bool no_uring, struct aio **ret_a);
/* Exactly one of them; the first fails with -errno where io_uring is missing or denied. */
MUST_CHECK int aio_uring_open(int fd, struct aio **ret_a);
MUST_CHECK int aio_pool_open(int fd, struct aio **ret_a);

static inline void aio_submit(struct aio *a, struct aio_io *io)
{
	a->ops->submit(a, io);
}

void aio_close(struct aio *a);
MUST_CHECK int aio_truncate(struct aio *a, uint64_t size);
MUST_CHECK int aio_size(struct aio *a, uint64_t *ret_size);

/* Submit and wait; 0 or -errno.  Not from a done callback. */
MUST_CHECK int aio_wait(struct aio *a, struct aio_io *io);
MUST_CHECK int aio_read_wait(struct aio *a, uint64_t off, void *buf, size_t len);
MUST_CHECK int aio_write_wait(struct aio *a, uint64_t off, const void *buf, size_t len);
MUST_CHECK int aio_sync_wait(struct aio *a);
MUST_CHECK int aio_allocate_wait(struct aio *a, int mode, uint64_t off, uint64_t len);
/* Zeros, by punching a hole, else by ZERO_RANGE, else by writing them.  KEEP: never a hole. */
MUST_CHECK int aio_zero_wait(struct aio *a, uint64_t off, uint64_t len, bool keep);

#define AIO_ZEROS_LEN 65536
extern const uint8_t aio_zeros[AIO_ZEROS_LEN];	/* never written, whatever an iovec's type says */

/* ---- for backends ---------------------------------------------------------- */

/*
 * The next piece of READ or WRITE as one system call can take it: fills
 * *ret_iov (an array of the caller's own iovecs, or io->frag) and returns
 * their number, 1 .. 1024.
 */
int aio_chunk(struct aio_io *io, const struct iovec **ret_iov);

/*
 * What a system call returned (bytes or -errno) for the last chunk.
 * True when IO is finished, with *ret_rc to hand to done; false: go on.
 */
MUST_CHECK bool aio_advance(struct aio_io *io, int64_t res, int *ret_rc);

int aio_file_truncate(struct aio *a, uint64_t size);
int aio_file_size(struct aio *a, uint64_t *ret_size);

#endif
