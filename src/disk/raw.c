/*
 * raw.c - a file that is the disk, and ISO images
 *
 * An ISO is a raw disk with 2048-byte sectors that nobody may write.  A file
 * that ends inside a sector loses that end: no guest could address it.
 *
 * Lock     none of its own; struct flight has one
 */
#include "disk/disk_priv.h"

#include <stdlib.h>
#include <string.h>

struct raw {
	struct blk blk;
	struct flight flight;
	struct aio *aio;
};

struct raw_req {
	struct xfer x;
	struct raw *r;
	struct blk_req *req;
};

static void finish(struct raw_req *rr, int rc)
{
	struct blk_req *req = rr->req;
	struct raw *r = rr->r;

	free(rr);
	if (rc < 0)
		disk_trouble(&r->blk, rc,
			     req->op == BLK_READ ? "reading a raw disk" : "writing a raw disk");
	flight_done(&r->flight, req, rc);
}

static void xfer_done(struct xfer *x, int rc)
{
	struct raw_req *rr = CONTAINER_OF(x, struct raw_req, x);

	if (rc == 0 && rr->req->fua && rr->req->op != BLK_READ && x->kind != XFER_SYNC) {
		x->kind = XFER_SYNC;
		xfer_start(x, NULL, 0, 0);
		return;
	}
	finish(rr, rc);
}

static void raw_submit(struct blk *b, struct blk_req *req)
{
	static const enum xfer_kind kinds[] = {
		[BLK_READ] = XFER_READ, [BLK_WRITE] = XFER_WRITE, [BLK_FLUSH] = XFER_SYNC,
		[BLK_UNMAP] = XFER_DISCARD, [BLK_WRITE_ZEROES] = XFER_ZERO,
	};
	struct raw *r = CONTAINER_OF(b, struct raw, blk);
	struct raw_req *rr = NULL;
	int rc = disk_check(b, req);
	bool nothing = req->op == BLK_FLUSH ? b->read_only : req->len == 0;

	flight_start(&r->flight);
	if (rc == 0 && !nothing) {
		rr = new0(struct raw_req);
		rc = rr == NULL ? -ENOMEM : 0;
	}
	if (rr == NULL) {
		flight_later(&r->flight, req, rc);
		return;
	}
	rr->r = r;
	rr->req = req;
	rr->x = (struct xfer){
		.aio = r->aio,
		.kind = kinds[req->op],
		.off = req->off,
		.len = req->len,
		.done = xfer_done,
	};
	xfer_start(&rr->x, req->iov, req->nr_iov, 0);
}

static void raw_drain(struct blk *b)
{
	flight_drain(&CONTAINER_OF(b, struct raw, blk)->flight);
}

static void raw_close(struct blk *b)
{
	struct raw *r = CONTAINER_OF(b, struct raw, blk);

	flight_drain(&r->flight);
	if (!b->read_only) {
		int rc = aio_sync_wait(r->aio);

		if (rc < 0)
			disk_trouble(b, rc, "flushing a raw disk at its end");
	}
	aio_close(r->aio);
	flight_exit(&r->flight);
	free(r);
}

static const struct blk_ops raw_ops = {
	.submit = raw_submit,
	.drain = raw_drain,
	.close = raw_close,
};

int raw_open(struct aio *aio, const char *name, enum disk_kind kind, unsigned flags,
	     struct blk **ret_b, struct err *err)
{
	uint32_t sector = kind == DISK_ISO ? 2048 : 512;
	struct raw *r = NULL;
	uint64_t size;
	int rc = aio_size(aio, &size);

	if (rc == 0 && size < sector)
		rc = err_set(err, -EINVAL,
			     "%s: found %llu bytes, expected at least one sector of %u", name,
			     (unsigned long long)size, sector);
	else if (rc == 0 && (r = new0(struct raw)) == NULL)
		rc = err_set(err, -ENOMEM, "%s: no memory", name);
	else if (rc < 0)
		err_set(err, rc, "%s: %s", name, strerror(-rc));
	if (rc < 0) {
		aio_close(aio);
		return rc;
	}
	r->aio = aio;
	r->blk = (struct blk){
		.ops = &raw_ops,
		.size = align_down(size, sector),
		.logical = sector,
		.physical = kind == DISK_ISO ? 2048 : 4096,
		.optical = kind == DISK_ISO,
		.read_only = kind == DISK_ISO || (flags & DISK_READ_ONLY),
		.can_unmap = kind != DISK_ISO,
	};
	flight_init(&r->flight, aio);
	*ret_b = &r->blk;
	return 0;
}
