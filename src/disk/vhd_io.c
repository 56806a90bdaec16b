/*
 * vhd_io.c - requests on an open VHD
 *
 * A request walks its range in extents: what lies together in the file goes
 * out as one transfer with the caller's own iovecs, what is the parent's as
 * one request to it.  What is nowhere reads as zero at once.  A write that
 * needs what only the worker can do (the session's end of the file, space)
 * parks, and the worker steps it again.
 *
 * A bitmap of a differencing disk is read when its block is first looked at,
 * one of a dynamic disk when its block is first written to; of two that do so
 * at once, the second finds the first one's and drops its own.
 *
 * Trim makes holes in the host's file; blocks stay, and in a differencing
 * disk so do their bits, so that the parent never shows through.  A fixed
 * disk ignores trim and writes zeros.
 *
 * Lock     v->lock around lookups; not across transfers and callbacks
 */
#include "disk/vhd.h"

#include <stdlib.h>
#include <string.h>

#define EXTENTS_PER_LOCK 4096u	/* a trim of a whole disk lets others in between */

void vhd_reqs_init(struct vhd_reqs *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

void vhd_reqs_add(struct vhd_reqs *l, struct vhd_req *r)
{
	r->wait_next = NULL;
	*l->tail = r;
	l->tail = &r->wait_next;
}

/* ---- ends ------------------------------------------------------------------- */

/* Who is told: the host failed, not the request. */
static bool is_trouble(int rc)
{
	return rc < 0 && rc != -EINVAL && rc != -EROFS;
}

static struct blk_req *let_go(struct vhd_req *r)
{
	struct blk_req *req = r->req;

	free(r->loading);
	free(r->ask_iov);
	free(r);
	return req;
}

void vhd_finish(struct vhd_req *r, int rc)
{
	struct vhd *v = r->v;
	struct blk_req *req = let_go(r);

	if (is_trouble(rc))
		disk_trouble(&v->blk, rc, req->op == BLK_READ ? "reading a VHD" :
			     req->op == BLK_FLUSH ? "flushing a VHD" : "writing a VHD");
	flight_done(&v->flight, req, rc);
}

/* For use inside submit: completes on the backend's thread. */
static void finish_later(struct vhd_req *r, int rc)
{
	struct vhd *v = r->v;

	flight_later(&v->flight, let_go(r), rc);
}

static void flush(struct vhd_req *r)
{
	struct vhd *v = r->v;
	bool direct, nothing;

	pthread_mutex_lock(&v->lock);
	nothing = !v->session || v->blk.read_only;	/* not a byte was written */
	direct = !v->committing && !vhd_is_dirty(v);
	if (!nothing && !direct) {
		vhd_reqs_add(&v->flushers, r);
		pthread_cond_signal(&v->work);
	}
	pthread_mutex_unlock(&v->lock);
	if (nothing) {
		finish_later(r, 0);
	} else if (direct) {
		r->x.kind = XFER_SYNC;
		xfer_start(&r->x, NULL, 0, 0);
	}
}

/* The range is done. */
static void end(struct vhd_req *r)
{
	if (r->req->fua && r->req->op != BLK_READ)
		flush(r);
	else
		finish_later(r, 0);
}

/* ---- lookups: lock held ------------------------------------------------------ */

enum step {
	STEP_SKIP,		/* nothing is there (a read: zeros), or nothing to do */
	STEP_MOVE,		/* to or from the file */
	STEP_PARENT,
	STEP_LOAD,		/* the block's bitmap first */
	STEP_PARK,
	STEP_FAIL,
};

static void park(struct vhd_req *r)
{
	vhd_reqs_add(&r->v->parked, r);
	pthread_cond_signal(&r->v->work);
}

/* Bytes from OFF, at most LEFT, in blocks that are absent. */
static uint64_t absent_run(const struct vhd *v, uint64_t off, uint64_t left)
{
	uint64_t block = off >> v->block_shift;
	uint64_t n = v->block_size - (off & (v->block_size - 1));

	while (n < left && v->bat[++block] == VHD_NO_BLOCK)
		n += v->block_size;
	return min_u64(n, left);
}

/* Bytes from OFF, at most N, whose bits are all as the first one's. */
static uint64_t bit_run(const struct vhd *v, const struct vhd_map *m, uint64_t off, uint64_t n,
			bool *ret_here)
{
	uint64_t first = (off & (v->block_size - 1)) / VHD_SECTOR, sector = first;
	uint64_t last = first + n / VHD_SECTOR;

	*ret_here = vhd_bit(m, first);
	while (sector < last && vhd_bit(m, sector) == *ret_here)
		sector++;
	return (sector - first) * VHD_SECTOR;
}

static enum step step_absent(struct vhd_req *r, uint64_t off, uint64_t left, uint64_t *ret_n,
			     int *ret_rc)
{
	enum blk_op op = r->req->op;
	struct vhd *v = r->v;

	*ret_n = absent_run(v, off, left);
	if (op == BLK_READ)
		return v->parent != NULL ? STEP_PARENT : STEP_SKIP;
	if (op == BLK_UNMAP || (op == BLK_WRITE_ZEROES && v->parent == NULL))
		return STEP_SKIP;
	if (!v->session)
		return STEP_PARK;
	*ret_rc = vhd_take_block(v, off >> v->block_shift);
	if (*ret_rc < 0)
		return *ret_rc == -EAGAIN ? STEP_PARK : STEP_FAIL;
	*ret_n = min_u64(left, v->block_size - (off & (v->block_size - 1)));
	return STEP_MOVE;
}

static enum step step_present(struct vhd_req *r, uint64_t off, uint64_t left, uint64_t *ret_n)
{
	enum blk_op op = r->req->op;
	struct vhd *v = r->v;
	const struct vhd_map *m;
	bool here = true;

	*ret_n = min_u64(left, v->block_size - (off & (v->block_size - 1)));
	if (op != BLK_READ && !v->session)
		return STEP_PARK;
	if (v->type != VHD_DIFFERENCING)
		return op == BLK_WRITE && !v->full[off >> v->block_shift] ? STEP_LOAD : STEP_MOVE;
	m = v->map[off >> v->block_shift];
	if (m == NULL)
		return STEP_LOAD;
	if (op == BLK_READ || op == BLK_UNMAP)
		*ret_n = bit_run(v, m, off, *ret_n, &here);
	if (here)
		return STEP_MOVE;
	return op == BLK_READ ? STEP_PARENT : STEP_SKIP;
}

/* What the next piece of R needs, and how long it is. */
static enum step look(struct vhd_req *r, uint64_t *ret_n, uint64_t *ret_place, int *ret_rc)
{
	uint64_t off = r->req->off + r->pos, left = r->req->len - r->pos;
	struct vhd *v = r->v;
	enum step s;

	if (v->type == VHD_FIXED) {
		*ret_n = left;
		s = r->req->op == BLK_UNMAP ? STEP_SKIP : STEP_MOVE;
	} else if (v->bat[off >> v->block_shift] == VHD_NO_BLOCK) {
		s = step_absent(r, off, left, ret_n, ret_rc);
	} else {
		s = step_present(r, off, left, ret_n);
	}
	if (s == STEP_MOVE)
		*ret_place = vhd_place(v, off);
	return s;
}

/* A write to sectors of a differencing disk has ended: they are here now. */
static void set_bits(struct vhd *v, uint64_t off, uint64_t n)
{
	struct vhd_map *m = v->map[off >> v->block_shift];
	uint64_t first = (off & (v->block_size - 1)) / VHD_SECTOR;
	bool changed = false;

	for (uint64_t s = first; s < first + n / VHD_SECTOR; s++) {
		changed |= !vhd_bit(m, s);
		m->bits[s / 8] |= (uint8_t)(0x80 >> s % 8);
	}
	if (changed)
		vhd_mark_map(v, m);
}

/* ---- transfers ----------------------------------------------------------------- */

static void move(struct vhd_req *r, uint64_t at, uint64_t n)
{
	static const enum xfer_kind kinds[] = {
		[BLK_READ] = XFER_READ, [BLK_WRITE] = XFER_WRITE,
		[BLK_UNMAP] = XFER_DISCARD, [BLK_WRITE_ZEROES] = XFER_ZERO,
	};
	struct vhd *v = r->v;

	r->chunk = n;
	r->x.kind = kinds[r->req->op];
	if (v->type == VHD_FIXED && r->x.kind == XFER_ZERO)
		r->x.kind = XFER_ZERO_KEEP;
	r->x.off = at;
	r->x.len = n;
	xfer_start(&r->x, r->req->iov, r->req->nr_iov, r->pos);
}

static void parent_done(struct blk_req *ask, int rc)
{
	struct vhd_req *r = ask->ctx;

	if (rc < 0) {
		vhd_finish(r, rc);
		return;
	}
	r->pos += r->chunk;
	vhd_step(r);
}

/* The N bytes at R's position, read from the parent into the caller's iovecs. */
static void ask_parent(struct vhd_req *r, uint64_t n)
{
	const struct blk_req *req = r->req;
	int nr;

	if (r->ask_iov == NULL)
		r->ask_iov = new_array(struct iovec, (size_t)req->nr_iov);
	if (r->ask_iov == NULL) {
		finish_later(r, -ENOMEM);
		return;
	}
	nr = disk_slice(req, r->pos, n, r->ask_iov);
	r->chunk = n;
	r->ask = (struct blk_req){
		.op = BLK_READ, .off = req->off + r->pos, .len = n, .iov = r->ask_iov,
		.nr_iov = nr, .done = parent_done, .ctx = r,
	};
	blk_submit(r->v->parent, &r->ask);
}

static void load_map(struct vhd_req *r)
{
	uint64_t off = r->req->off + r->pos;
	struct vhd *v = r->v;

	r->loading = vhd_new_map(v, off >> v->block_shift);
	if (r->loading == NULL) {
		finish_later(r, -ENOMEM);
		return;
	}
	r->loading->seeded = true;
	r->iov = (struct iovec){ r->loading->bits, v->bitmap_len };
	r->x.kind = XFER_READ;
	r->x.off = (uint64_t)v->bat[off >> v->block_shift] * VHD_SECTOR;
	r->x.len = v->bitmap_len;
	xfer_start(&r->x, &r->iov, 1, 0);
}

/*
 * VirtualBox marks sectors of a dynamic disk as they are written, and it and
 * others read those not marked as zeros: a block we write to must be full.
 */
static int map_of_dynamic(struct vhd *v, const struct vhd_map *m)
{
	if (v->full[m->block])
		return 0;
	if (memcmp(m->bits, v->ones, v->bitmap_len) != 0)
		return vhd_fill_map(v, m->block);
	v->full[m->block] = 1;
	return 0;
}

static void map_loaded(struct vhd_req *r)
{
	struct vhd_map *m = r->loading;
	struct vhd *v = r->v;
	int rc = 0;

	pthread_mutex_lock(&v->lock);
	if (v->type == VHD_DYNAMIC) {
		rc = map_of_dynamic(v, m);
	} else if (v->map[m->block] == NULL) {
		v->map[m->block] = m;
		r->loading = NULL;
	}
	pthread_mutex_unlock(&v->lock);
	free(r->loading);
	r->loading = NULL;
	if (rc < 0)
		finish_later(r, rc);
	else
		vhd_step(r);
}

/* ---- the walk ------------------------------------------------------------------ */

/* Goes over what needs nothing; what the piece after it needs. */
static enum step advance(struct vhd_req *r, uint64_t *ret_n, uint64_t *ret_place, int *ret_rc)
{
	struct vhd *v = r->v;
	enum step s = STEP_SKIP;

	pthread_mutex_lock(&v->lock);
	for (unsigned i = 0; i < EXTENTS_PER_LOCK && r->pos < r->req->len; i++) {
		s = look(r, ret_n, ret_place, ret_rc);
		if (s != STEP_SKIP || r->req->op == BLK_READ)
			break;
		r->pos += *ret_n;
	}
	if (s == STEP_PARK)
		park(r);
	pthread_mutex_unlock(&v->lock);
	return s;
}

static void walk(struct vhd_req *r)
{
	while (r->pos < r->req->len) {
		uint64_t n = 0, at = 0;
		int rc = 0;

		switch (advance(r, &n, &at, &rc)) {
		case STEP_SKIP:
			if (r->req->op == BLK_READ) {
				disk_zero_slice(r->req, r->pos, n);
				r->pos += n;
			}
			break;
		case STEP_MOVE:
			move(r, at, n);
			return;
		case STEP_PARENT:
			ask_parent(r, n);
			return;
		case STEP_LOAD:
			load_map(r);
			return;
		case STEP_PARK:
			return;
		case STEP_FAIL:
			finish_later(r, rc);
			return;
		}
	}
	end(r);
}

void vhd_step(struct vhd_req *r)
{
	if (r->req->op == BLK_FLUSH)
		flush(r);
	else
		walk(r);
}

static void step_done(struct xfer *x, int rc)
{
	struct vhd_req *r = CONTAINER_OF(x, struct vhd_req, x);
	const struct blk_req *req = r->req;
	struct vhd *v = r->v;

	if (rc < 0 || x->kind == XFER_SYNC) {
		vhd_finish(r, rc);
		return;
	}
	if (r->loading != NULL) {
		map_loaded(r);
		return;
	}
	if (v->type == VHD_DIFFERENCING && (req->op == BLK_WRITE || req->op == BLK_WRITE_ZEROES)) {
		pthread_mutex_lock(&v->lock);
		set_bits(v, req->off + r->pos, r->chunk);
		pthread_mutex_unlock(&v->lock);
	}
	r->pos += r->chunk;
	/* The usual end, without a detour over the backend's queue. */
	if (r->pos == req->len && (req->op == BLK_READ || !req->fua)) {
		vhd_finish(r, 0);
		return;
	}
	vhd_step(r);
}

static void vhd_submit(struct blk *b, struct blk_req *req)
{
	struct vhd *v = CONTAINER_OF(b, struct vhd, blk);
	int rc = disk_check(b, req);
	struct vhd_req *r;

	flight_start(&v->flight);
	if (rc < 0 || (req->op != BLK_FLUSH && req->len == 0)) {
		flight_later(&v->flight, req, rc);
		return;
	}
	r = new0(struct vhd_req);
	if (r == NULL) {
		flight_later(&v->flight, req, -ENOMEM);
		return;
	}
	r->v = v;
	r->req = req;
	r->x.aio = v->aio;
	r->x.done = step_done;
	vhd_step(r);
}

static void vhd_drain(struct blk *b)
{
	flight_drain(&CONTAINER_OF(b, struct vhd, blk)->flight);
}

static void vhd_close(struct blk *b)
{
	struct vhd *v = CONTAINER_OF(b, struct vhd, blk);

	flight_drain(&v->flight);
	if (v->worker_runs) {
		vhd_worker_stop(v);
	} else if (!b->read_only) {
		int rc = aio_sync_wait(v->aio);

		if (rc < 0)
			disk_trouble(b, rc, "flushing a VHD at its end");
	}
	vhd_free(v);
}

const struct blk_ops vhd_blk_ops = {
	.submit = vhd_submit,
	.drain = vhd_drain,
	.close = vhd_close,
};
