/*
 * vhdx_io.c - requests on an open VHDX
 *
 * A request walks its range in extents: as much as lies together in the file
 * goes out as one transfer with the caller's own iovecs.  Absent blocks read
 * as zero at once.  A write that needs what only the worker can do (the
 * session's first header, space) parks, and the worker steps it again.
 *
 * A request is in v->moving, in order of SEQ, from the moment it looked a
 * place up until it is done with it: space is not reused before all older
 * requests are gone.
 *
 * A partial trim becomes a hole in the host's file; the block stays.  A fixed
 * disk ignores trim and writes zeros.
 *
 * Lock     v->lock around lookups; not across transfers and callbacks
 */
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS_PER_LOCK 4096u	/* a trim of a whole disk lets others in between */

static void step_done(struct xfer *x, int rc);

void vreqs_init(struct vreqs *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

void vreqs_add(struct vreqs *l, struct vreq *r)
{
	r->wait_next = NULL;
	*l->tail = r;
	l->tail = &r->wait_next;
}

/* ---- who is looking at the file: lock held ---------------------------------- */

static void moving_remove(struct vreq *r)
{
	struct vhdx *v = r->v;

	if (r->seq == 0)
		return;
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		v->moving_first = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	else
		v->moving_last = r->prev;
	r->prev = r->next = NULL;
	r->seq = 0;
}

static void moving_add(struct vreq *r)
{
	struct vhdx *v = r->v;

	moving_remove(r);
	r->seq = ++v->next_seq;
	r->prev = v->moving_last;
	if (r->prev != NULL)
		r->prev->next = r;
	else
		v->moving_first = r;
	v->moving_last = r;
}

/* ---- ends ------------------------------------------------------------------- */

/* Who is told: the host failed, not the request. */
static bool is_trouble(int rc)
{
	return rc < 0 && rc != -EINVAL && rc != -EROFS;
}

void vhdx_finish(struct vreq *r, int rc)
{
	struct blk_req *req = r->req;
	struct vhdx *v = r->v;

	pthread_mutex_lock(&v->lock);
	moving_remove(r);
	pthread_mutex_unlock(&v->lock);
	free(r);
	if (is_trouble(rc))
		disk_trouble(&v->blk, rc, req->op == BLK_READ ? "reading a VHDX" :
			     req->op == BLK_FLUSH ? "flushing a VHDX" : "writing a VHDX");
	flight_done(&v->flight, req, rc);
}

/* For use inside submit: completes on the backend's thread. */
static void finish_later(struct vreq *r, int rc)
{
	struct blk_req *req = r->req;
	struct vhdx *v = r->v;

	pthread_mutex_lock(&v->lock);
	moving_remove(r);
	pthread_mutex_unlock(&v->lock);
	free(r);
	flight_later(&v->flight, req, rc);
}

/* With the lock held: is a plain fdatasync all that a flush needs? */
static bool only_data(const struct vhdx *v)
{
	return !v->committing && v->nr_dirty == 0 && (!v->log_live || v->log_named);
}

static void flush(struct vreq *r)
{
	struct vhdx *v = r->v;
	bool direct, nothing;

	pthread_mutex_lock(&v->lock);
	moving_remove(r);
	nothing = !v->session;		/* not a byte was written */
	direct = only_data(v);
	if (!nothing && !direct) {
		vreqs_add(&v->flushers, r);
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
static void end(struct vreq *r)
{
	if (r->req->fua && r->req->op != BLK_READ)
		flush(r);
	else
		finish_later(r, 0);
}

/* With the lock held. */
static void park(struct vreq *r)
{
	moving_remove(r);
	vreqs_add(&r->v->parked, r);
	pthread_cond_signal(&r->v->work);
}

/* ---- lookups: lock held ------------------------------------------------------ */

/* File offset of guest offset OFF, which is in a present block with ENTRY. */
static uint64_t place(const struct vhdx *v, uint64_t entry, uint64_t off)
{
	return (entry & BAT_OFFSET_MASK) + (off & (v->block_size - 1));
}

/* Bytes from OFF, at most LEFT, that lie together in the file (or are absent together). */
static uint64_t extent(const struct vhdx *v, uint64_t off, uint64_t left)
{
	uint64_t block = off >> v->block_shift, entry = vhdx_bat_get(v, block);
	uint64_t n = v->block_size - (off & (v->block_size - 1));

	while (n < left) {
		uint64_t next = vhdx_bat_get(v, ++block);

		if (bat_has_space(next) != bat_has_space(entry))
			break;
		if (bat_has_space(entry) &&
		    (next & BAT_OFFSET_MASK) != (entry & BAT_OFFSET_MASK) + v->block_size)
			break;
		n += v->block_size;
		entry = next;
	}
	return min_u64(n, left);
}

/* Space for all absent blocks of [off, off + len); -EAGAIN when it ran out on the way. */
static int fill_absent(struct vhdx *v, uint64_t off, uint64_t len)
{
	for (uint64_t b = off >> v->block_shift; b << v->block_shift < off + len; b++) {
		uint64_t at;
		int rc;

		if (bat_has_space(vhdx_bat_get(v, b)))
			continue;
		rc = vhdx_take_block(v, &at);
		if (rc == 0) {
			rc = vhdx_bat_set(v, b, at | BAT_FULLY_PRESENT);
			if (rc < 0 && runs_add(&v->ready, at, v->block_size, 0) < 0)
				return rc;	/* that space is lost until the next open */
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- read and write ---------------------------------------------------------- */

static void zero_slice(const struct blk_req *req, uint64_t skip, uint64_t n)
{
	for (int i = 0; i < req->nr_iov && n > 0; i++) {
		uint64_t len = req->iov[i].iov_len, part;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		part = min_u64(n, len - skip);
		memset((uint8_t *)req->iov[i].iov_base + skip, 0, (size_t)part);
		n -= part;
		skip = 0;
	}
}

static void transfer(struct vreq *r, enum xfer_kind kind, uint64_t file_off, uint64_t len)
{
	r->chunk = len;
	r->x.kind = kind;
	/* A replay in memory may have made the file longer than it is. */
	r->x.eof_zero = r->v->patches.nr > 0;
	r->x.off = file_off;
	r->x.len = len;
	xfer_start(&r->x, r->req->iov, r->req->nr_iov, r->pos);
}

static void step_read(struct vreq *r)
{
	const struct blk_req *req = r->req;
	struct vhdx *v = r->v;

	while (r->pos < req->len) {
		uint64_t off = req->off + r->pos, entry, n;

		pthread_mutex_lock(&v->lock);
		entry = vhdx_bat_get(v, off >> v->block_shift);
		n = extent(v, off, req->len - r->pos);
		if (bat_has_space(entry))
			moving_add(r);
		pthread_mutex_unlock(&v->lock);
		if (bat_has_space(entry)) {
			transfer(r, XFER_READ, place(v, entry, off), n);
			return;
		}
		zero_slice(req, r->pos, n);
		r->pos += n;
	}
	end(r);
}

static void step_write(struct vreq *r)
{
	const struct blk_req *req = r->req;
	struct vhdx *v = r->v;
	uint64_t off = req->off + r->pos, left = req->len - r->pos, entry, n;
	int rc;

	if (left == 0) {
		end(r);
		return;
	}
	pthread_mutex_lock(&v->lock);
	rc = v->session ? fill_absent(v, off, left) : -EAGAIN;
	entry = vhdx_bat_get(v, off >> v->block_shift);
	if (rc == -EAGAIN && (!v->session || !bat_has_space(entry))) {
		park(r);
		pthread_mutex_unlock(&v->lock);
		return;
	}
	n = extent(v, off, left);
	if (bat_has_space(entry))
		moving_add(r);
	pthread_mutex_unlock(&v->lock);
	if (!bat_has_space(entry))
		finish_later(r, rc);
	else
		transfer(r, XFER_WRITE, place(v, entry, off), n);
}

/* ---- trim and zeroes ---------------------------------------------------------- */

/* With the lock held: gives up all of BLOCK.  -ENOMEM changes nothing. */
static int drop_block(struct vhdx *v, uint64_t block, uint64_t entry, bool zero)
{
	int rc = runs_add(&v->limbo, entry & BAT_OFFSET_MASK, v->block_size, v->next_seq);

	if (rc < 0)
		return rc;
	/* Its page exists: the entry came from there. */
	rc = vhdx_bat_set(v, block, zero ? BAT_ZERO : BAT_UNMAPPED);
	BUG_IF(rc < 0);
	return 0;
}

enum trim_step { TRIM_GO_ON, TRIM_PARK, TRIM_TRANSFER, TRIM_FAIL };

/* One block, or its part in the range; lock held. */
static enum trim_step trim_block(struct vreq *r, uint64_t off, uint64_t n, uint64_t *ret_place,
				 int *ret_rc)
{
	bool zero = r->req->op == BLK_WRITE_ZEROES;
	struct vhdx *v = r->v;
	uint64_t block = off >> v->block_shift, entry = vhdx_bat_get(v, block);
	unsigned state = (unsigned)(entry & BAT_STATE_MASK);
	bool whole =
		(off & (v->block_size - 1)) == 0 && (n == v->block_size || off + n == v->blk.size);

	if (!bat_has_space(entry) && (!zero || state == BAT_NOT_PRESENT || state == BAT_ZERO))
		return TRIM_GO_ON;
	if (v->fixed && !zero)
		return TRIM_GO_ON;
	if (!v->session)
		return TRIM_PARK;
	*ret_rc = 0;
	if (!bat_has_space(entry))
		*ret_rc = vhdx_bat_set(v, block, BAT_ZERO);
	else if (whole && !v->fixed)
		*ret_rc = drop_block(v, block, entry, zero);
	else
		*ret_place = place(v, entry, off);
	if (*ret_rc < 0)
		return TRIM_FAIL;
	return bat_has_space(entry) && (!whole || v->fixed) ? TRIM_TRANSFER : TRIM_GO_ON;
}

/* With the lock held: how far nothing can be trimmed because a whole page of the BAT is empty. */
static uint64_t empty_page(const struct vhdx *v, uint64_t off, uint64_t left)
{
	uint64_t block = off >> v->block_shift, index = vhdx_bat_index(v, block), blocks;

	if (v->page[index / BAT_PAGE_ENTRIES] != NULL)
		return 0;
	/* The rest of the page, less the bitmap slots that may be in it: never too far. */
	blocks = BAT_PAGE_ENTRIES - index % BAT_PAGE_ENTRIES;
	blocks -= min_u64(blocks, blocks / v->chunk_ratio + 1);
	if (blocks == 0)
		return 0;
	return min_u64(left, ((block + blocks) << v->block_shift) - off);
}

static void step_trim(struct vreq *r)
{
	const struct blk_req *req = r->req;
	struct vhdx *v = r->v;

	while (r->pos < req->len) {
		enum trim_step s = TRIM_GO_ON;
		uint64_t at = 0, n = 0;
		int rc = 0;

		pthread_mutex_lock(&v->lock);
		for (unsigned i = 0; i < BLOCKS_PER_LOCK && r->pos < req->len; i++, r->pos += n) {
			uint64_t off = req->off + r->pos, left = req->len - r->pos;

			n = empty_page(v, off, left);
			if (n > 0)
				continue;
			n = min_u64(left, v->block_size - (off & (v->block_size - 1)));
			s = trim_block(r, off, n, &at, &rc);
			if (s != TRIM_GO_ON)
				break;
		}
		if (s == TRIM_PARK)
			park(r);
		else if (s == TRIM_TRANSFER)
			moving_add(r);
		pthread_mutex_unlock(&v->lock);
		if (s == TRIM_PARK)
			return;
		if (s == TRIM_FAIL) {
			finish_later(r, rc);
			return;
		}
		if (s == TRIM_TRANSFER) {
			transfer(r, req->op == BLK_UNMAP ? XFER_DISCARD :
				 v->fixed ? XFER_ZERO_KEEP : XFER_ZERO, at, n);
			return;
		}
	}
	end(r);
}

/* ---- the walk ------------------------------------------------------------------ */

void vhdx_step(struct vreq *r)
{
	switch (r->req->op) {
	case BLK_READ:
		step_read(r);
		break;
	case BLK_WRITE:
		step_write(r);
		break;
	case BLK_UNMAP:
	case BLK_WRITE_ZEROES:
		step_trim(r);
		break;
	case BLK_FLUSH:
		flush(r);
		break;
	}
}

static void step_done(struct xfer *x, int rc)
{
	struct vreq *r = CONTAINER_OF(x, struct vreq, x);
	const struct blk_req *req = r->req;
	struct vhdx *v = r->v;

	if (rc < 0 || x->kind == XFER_SYNC) {
		vhdx_finish(r, rc);
		return;
	}
	if (x->kind == XFER_READ)
		vhdx_patch(&v->patches, x->off, r->chunk, req->iov, req->nr_iov, r->pos);
	r->pos += r->chunk;
	/* The usual end, without a detour over the backend's queue. */
	if (r->pos == req->len && (req->op == BLK_READ || !req->fua)) {
		vhdx_finish(r, 0);
		return;
	}
	vhdx_step(r);
}

static void vhdx_submit(struct blk *b, struct blk_req *req)
{
	struct vhdx *v = CONTAINER_OF(b, struct vhdx, blk);
	int rc = disk_check(b, req);
	struct vreq *r;

	flight_start(&v->flight);
	if (rc < 0 || (req->op != BLK_FLUSH && req->len == 0)) {
		flight_later(&v->flight, req, rc);
		return;
	}
	r = new0(struct vreq);
	if (r == NULL) {
		flight_later(&v->flight, req, -ENOMEM);
		return;
	}
	r->v = v;
	r->req = req;
	r->x.aio = v->aio;
	r->x.done = step_done;
	vhdx_step(r);
}

static void vhdx_drain(struct blk *b)
{
	flight_drain(&CONTAINER_OF(b, struct vhdx, blk)->flight);
}

static void vhdx_close(struct blk *b)
{
	struct vhdx *v = CONTAINER_OF(b, struct vhdx, blk);

	flight_drain(&v->flight);
	if (v->worker_runs)
		vhdx_worker_stop(v);
	vhdx_free(v);
}

const struct blk_ops vhdx_blk_ops = {
	.submit = vhdx_submit,
	.drain = vhdx_drain,
	.close = vhdx_close,
};
