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
 * What a differencing disk does not have is asked of its parent.  Which
 * sectors of a block those are say pages of bits, read when they are first
 * looked at; of two requests that do so at once, the second drops its own.
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

static struct blk_req *let_go(struct vreq *r)
{
	struct blk_req *req = r->req;

	pthread_mutex_lock(&r->v->lock);
	moving_remove(r);
	pthread_mutex_unlock(&r->v->lock);
	free(r->loading);
	free(r->ask_iov);
	free(r);
	return req;
}

void vhdx_finish(struct vreq *r, int rc)
{
	struct vhdx *v = r->v;
	struct blk_req *req = let_go(r);

	if (is_trouble(rc))
		disk_trouble(&v->blk, rc, req->op == BLK_READ ? "reading a VHDX" :
			     req->op == BLK_FLUSH ? "flushing a VHDX" : "writing a VHDX");
	flight_done(&v->flight, req, rc);
}

/* For use inside submit: completes on the backend's thread. */
static void finish_later(struct vreq *r, int rc)
{
	struct vhdx *v = r->v;

	flight_later(&v->flight, let_go(r), rc);
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

static void parent_done(struct blk_req *ask, int rc)
{
	struct vreq *r = ask->ctx;

	if (rc < 0) {
		vhdx_finish(r, rc);
		return;
	}
	r->pos += r->chunk;
	vhdx_step(r);
}

/* The N bytes at R's position, read from the parent into the caller's iovecs. */
static void ask_parent(struct vreq *r, uint64_t n)
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

/* The page of bits at AT in the file. */
static void load_bits(struct vreq *r, uint64_t at)
{
	r->loading = new0(struct bat_page);
	if (r->loading == NULL) {
		finish_later(r, -ENOMEM);
		return;
	}
	r->loading->off = at;
	r->loading->bits = true;
	r->iov = (struct iovec){ r->loading->e, sizeof(r->loading->e) };
	r->x.kind = XFER_READ;
	r->x.eof_zero = r->v->patches.nr > 0;
	r->x.off = at;
	r->x.len = sizeof(r->loading->e);
	xfer_start(&r->x, &r->iov, 1, 0);
}

static void bits_loaded(struct vreq *r)
{
	struct vhdx *v = r->v;
	int rc;

	vhdx_patch(&v->patches, r->x.off, sizeof(r->loading->e), &r->iov, 1, 0);
	pthread_mutex_lock(&v->lock);
	rc = vhdx_bits_keep(v, r->req->off + r->pos, &r->loading);
	pthread_mutex_unlock(&v->lock);
	free(r->loading);
	r->loading = NULL;
	if (rc < 0)
		finish_later(r, rc);
	else
		vhdx_step(r);
}

enum source { FROM_NOWHERE, FROM_FILE, FROM_PARENT, FROM_BITS };

/*
 * Where the bytes from OFF on come from, *RET_N of at most LEFT; their place,
 * or that of the bits that must be read first.  Only what was never present is
 * the parent's: what the child zeroed or trimmed never shows it again.
 */
static enum source source_of(struct vhdx *v, uint64_t off, uint64_t left, uint64_t *ret_n,
			     uint64_t *ret_at)
{
	uint64_t entry = vhdx_bat_get(v, off >> v->block_shift);
	unsigned state = (unsigned)(entry & BAT_STATE_MASK);
	const struct bat_page *bits;
	bool here = true;

	if (!v->has_parent) {
		*ret_n = extent(v, off, left);
	} else {
		*ret_n = min_u64(left, v->block_size - (off & (v->block_size - 1)));
		if (state == BAT_NOT_PRESENT)
			return FROM_PARENT;
	}
	if (!bat_has_space(entry))
		return FROM_NOWHERE;
	if (v->has_parent && state == BAT_PARTIALLY_PRESENT) {
		bits = vhdx_bits(v, off);
		if (bits == NULL)
			return vhdx_bits_at(v, off, ret_at) ? FROM_BITS : FROM_PARENT;
		*ret_n = vhdx_bits_run(v, bits, off, *ret_n, &here);
	}
	if (!here)
		return FROM_PARENT;
	*ret_at = place(v, entry, off);
	return FROM_FILE;
}

static void step_read(struct vreq *r)
{
	const struct blk_req *req = r->req;
	struct vhdx *v = r->v;

	while (r->pos < req->len) {
		uint64_t n = 0, at = 0;
		enum source from;

		pthread_mutex_lock(&v->lock);
		from = source_of(v, req->off + r->pos, req->len - r->pos, &n, &at);
		if (from == FROM_FILE)
			moving_add(r);
		pthread_mutex_unlock(&v->lock);
		switch (from) {
		case FROM_FILE:
			transfer(r, XFER_READ, at, n);
			return;
		case FROM_PARENT:
			ask_parent(r, n);
			return;
		case FROM_BITS:
			load_bits(r, at);
			return;
		case FROM_NOWHERE:
			disk_zero_slice(req, r->pos, n);
			r->pos += n;
			break;
		}
	}
	end(r);
}

/* ---- writes to a differencing disk: lock held ---------------------------------- */

enum child_step { CHILD_MOVE, CHILD_LOAD, CHILD_PARK, CHILD_FAIL };

/* Space for a block that was the parent's or zeros; then it is looked at again. */
static int child_take(struct vreq *r, uint64_t block, unsigned state)
{
	struct vhdx *v = r->v;
	uint64_t at;
	int rc;

	if (state == BAT_NOT_PRESENT && !vhdx_bits_ready(v, block)) {
		r->prepare = true;
		r->block = block;
		return -EAGAIN;
	}
	rc = vhdx_take_block(v, &at);
	if (rc < 0)
		return rc;
	rc = vhdx_bat_set(v, block, at | (state == BAT_NOT_PRESENT ? BAT_PARTIALLY_PRESENT :
					  BAT_FULLY_PRESENT));
	if (rc < 0 && runs_add(&v->ready, at, v->block_size, 0) < 0)
		return rc;	/* that space is lost until the next open */
	return rc;
}

/* What a write of *RET_N of at most LEFT bytes at OFF needs. */
static enum child_step child_look(struct vreq *r, uint64_t off, uint64_t left, uint64_t *ret_n,
				  uint64_t *ret_at, int *ret_rc)
{
	struct vhdx *v = r->v;
	uint64_t block = off >> v->block_shift, entry = vhdx_bat_get(v, block);
	uint64_t page = PAGE_BITS * v->blk.logical;

	if (!v->session)
		return CHILD_PARK;
	if (!bat_has_space(entry)) {
		*ret_rc = child_take(r, block, (unsigned)(entry & BAT_STATE_MASK));
		if (*ret_rc < 0)
			return *ret_rc == -EAGAIN ? CHILD_PARK : CHILD_FAIL;
		entry = vhdx_bat_get(v, block);
	}
	*ret_n = min_u64(left, v->block_size - (off & (v->block_size - 1)));
	r->child = (entry & BAT_STATE_MASK) == BAT_PARTIALLY_PRESENT;
	if (r->child) {
		*ret_n = min_u64(*ret_n, page - off % page);
		if (vhdx_bits(v, off) == NULL) {
			if (vhdx_bits_at(v, off, ret_at))
				return CHILD_LOAD;
			*ret_rc = -EIO;		/* opening had checked that there are some */
			return CHILD_FAIL;
		}
	}
	*ret_at = place(v, entry, off);
	return CHILD_MOVE;
}

static void step_child(struct vreq *r, enum xfer_kind kind, uint64_t left)
{
	struct vhdx *v = r->v;
	uint64_t n = 0, at = 0;
	enum child_step s;
	int rc = 0;

	pthread_mutex_lock(&v->lock);
	s = child_look(r, r->req->off + r->pos, left, &n, &at, &rc);
	if (s == CHILD_MOVE)
		moving_add(r);
	else if (s == CHILD_PARK)
		park(r);
	pthread_mutex_unlock(&v->lock);
	if (s == CHILD_MOVE)
		transfer(r, kind, at, n);
	else if (s == CHILD_LOAD)
		load_bits(r, at);
	else if (s == CHILD_FAIL)
		finish_later(r, rc);
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
	if (v->has_parent) {
		step_child(r, XFER_WRITE, left);
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

enum trim_step { TRIM_GO_ON, TRIM_PARK, TRIM_TRANSFER, TRIM_FAIL, TRIM_CHILD };

/*
 * The same of a differencing disk.  A part of a block is zeroed as it is
 * written, and trimmed not at all: it may stay as it is, but not become the
 * parent's.
 */
static enum trim_step trim_child(struct vreq *r, uint64_t off, uint64_t n, int *ret_rc)
{
	bool zero = r->req->op == BLK_WRITE_ZEROES;
	struct vhdx *v = r->v;
	uint64_t block = off >> v->block_shift, entry = vhdx_bat_get(v, block);
	bool whole =
		(off & (v->block_size - 1)) == 0 && (n == v->block_size || off + n == v->blk.size);

	if (!bat_has_space(entry) && (!zero || (entry & BAT_STATE_MASK) != BAT_NOT_PRESENT))
		return TRIM_GO_ON;
	if (!whole)
		return zero ? TRIM_CHILD : TRIM_GO_ON;
	if (!v->session)
		return TRIM_PARK;
	*ret_rc = bat_has_space(entry) ? drop_block(v, block, entry, true) :
					 vhdx_bat_set(v, block, BAT_ZERO);
	return *ret_rc < 0 ? TRIM_FAIL : TRIM_GO_ON;
}

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

	if (v->page[index / BAT_PAGE_ENTRIES] != NULL || v->has_parent)
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
			s = v->has_parent ? trim_child(r, off, n, &rc) :
					    trim_block(r, off, n, &at, &rc);
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
		if (s == TRIM_CHILD) {
			step_child(r, XFER_ZERO, n);
			return;
		}
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
	if (r->loading != NULL) {
		bits_loaded(r);
		return;
	}
	if (r->child) {
		pthread_mutex_lock(&v->lock);
		vhdx_bits_set(v, req->off + r->pos, r->chunk);
		pthread_mutex_unlock(&v->lock);
		r->child = false;
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
