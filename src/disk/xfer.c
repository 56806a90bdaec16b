/*
 * xfer.c - one range of a host file, moved or made zero
 *
 * Zeroing is a ladder: a hole, else zeros without a hole, else writing them.
 * File systems differ in what they refuse, so each rung is tried.
 *
 * Lock     none; one request at a time owns a struct xfer
 */
#include "disk/disk_priv.h"

#include <fcntl.h>

#define Z { (void *)(uintptr_t)aio_zeros, AIO_ZEROS_LEN }
static const struct iovec zeros_iov[] = { Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z };
#undef Z

static void xfer_aio_done(struct aio_io *io, int rc);

static void write_zeros(struct xfer *x)
{
	uint64_t n = min_u64(x->len, ARRAY_LEN(zeros_iov) * (uint64_t)AIO_ZEROS_LEN);

	x->io = (struct aio_io){
		.op = AIO_WRITE, .off = x->off, .len = n, .done = xfer_aio_done, .ctx = x,
		.iov = zeros_iov, .nr_iov = ARRAY_LEN(zeros_iov),
	};
	x->off += n;
	x->len -= n;
	aio_submit(x->aio, &x->io);
}

static void allocate(struct xfer *x, int mode)
{
	x->io = (struct aio_io){
		.op = AIO_ALLOCATE,
		.mode = mode | FALLOC_FL_KEEP_SIZE,
		.off = x->off,
		.len = x->len,
		.done = xfer_aio_done,
		.ctx = x,
	};
	aio_submit(x->aio, &x->io);
}

static bool unsupported(int rc)
{
	return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EINVAL || rc == -ENOTTY;
}

static void xfer_aio_done(struct aio_io *io, int rc)
{
	struct xfer *x = io->ctx;
	bool zeroing = x->kind == XFER_ZERO || x->kind == XFER_ZERO_KEEP;

	if (io->op == AIO_ALLOCATE && x->kind == XFER_DISCARD) {
		x->done(x, unsupported(rc) ? 0 : rc);
	} else if (io->op == AIO_ALLOCATE && unsupported(rc)) {
		if (io->mode & FALLOC_FL_PUNCH_HOLE)
			allocate(x, FALLOC_FL_ZERO_RANGE);
		else
			write_zeros(x);
	} else if (io->op == AIO_WRITE && zeroing && rc == 0 && x->len > 0) {
		write_zeros(x);
	} else {
		x->done(x, rc);
	}
}

void xfer_start(struct xfer *x, const struct iovec *iov, int nr_iov, uint64_t skip)
{
	switch (x->kind) {
	case XFER_READ:
	case XFER_WRITE:
		x->io = (struct aio_io){
			.op = x->kind == XFER_READ ? AIO_READ : AIO_WRITE,
			.off = x->off,
			.len = x->len,
			.iov = iov,
			.nr_iov = nr_iov,
			.skip = (size_t)skip,
			.eof_zero = x->eof_zero,
			.done = xfer_aio_done,
			.ctx = x,
		};
		aio_submit(x->aio, &x->io);
		break;
	case XFER_SYNC:
		x->io = (struct aio_io){ .op = AIO_SYNC, .done = xfer_aio_done, .ctx = x };
		aio_submit(x->aio, &x->io);
		break;
	case XFER_ZERO_KEEP:
		allocate(x, FALLOC_FL_ZERO_RANGE);
		break;
	case XFER_ZERO:
	case XFER_DISCARD:
		allocate(x, FALLOC_FL_PUNCH_HOLE);
		break;
	}
}
