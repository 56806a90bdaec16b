/*
 * blk.h - the contract between a disk backend and a device that uses it
 *
 * Requests are asynchronous and many may be in flight; they may complete in
 * any order and on any thread.  A request that was completed with 0 by a
 * FLUSH (or written with fua) survives kill -9 and power loss.
 * Reads see every write that completed before they were submitted.
 */
#ifndef DEV_BLK_H
#define DEV_BLK_H

#include "base/base.h"
#include "base/le.h"

#include <sys/uio.h>

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,		/* everything completed before is durable when this completes */
	BLK_UNMAP,		/* contents become zeros or stay; space may be freed */
	BLK_WRITE_ZEROES,
};

struct blk_req {
	enum blk_op op;
	bool fua;
	uint64_t off, len;	/* bytes, multiples of the logical sector; checked by the backend */
	struct iovec *iov;	/* sum of iov_len == len for READ and WRITE; borrowed until done */
	int nr_iov;
	/* rc 0 or -errno: -EINVAL range, -EROFS, -EIO, -ENOSPC.  Called exactly once. */
	void (*done)(struct blk_req *req, int rc);
	void *ctx;		/* the submitter's */
	struct blk_req *next;	/* the backend's while in flight */
	uint64_t priv[4];	/* the backend's while in flight */
};

struct blk;

struct blk_ops {
	void (*submit)(struct blk *b, struct blk_req *req);
	/* Waits until nothing is in flight. */
	void (*drain)(struct blk *b);
	/* Drains, flushes, marks the image clean, frees B. */
	void (*close)(struct blk *b);
};

struct blk {
	const struct blk_ops *ops;
	uint64_t size;			/* bytes */
	uint32_t logical, physical;	/* sector bytes: 512 or 4096; 2048 for optical media */
	bool read_only, can_unmap, optical;
	struct guid disk_id;		/* SCSI page 83; zero = none */
	/* Set by the user; called on a host failure that stops the guest (ENOSPC, EIO); may be NULL. */
	void (*trouble)(void *arg, int rc, const char *what);
	void *trouble_arg;
};

static inline void blk_submit(struct blk *b, struct blk_req *req)
{
	b->ops->submit(b, req);
}

static inline void blk_drain(struct blk *b)
{
	b->ops->drain(b);
}

static inline void blk_close(struct blk *b)
{
	if (b != NULL)
		b->ops->close(b);
}

/* Submits and waits; for tools and tests.  0 or -errno. */
MUST_CHECK int blk_rw_wait(struct blk *b, enum blk_op op, uint64_t off, void *buf, uint64_t len);

#endif
