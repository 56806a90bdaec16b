/*
 * vhdx_space.c - where new blocks go
 *
 * A block that is handed out reads as zero already, so a first write needs to
 * bring only its own bytes and a second writer of the same block needs to
 * wait for nobody.  Space comes from three places, in this order: blocks that
 * were given up and made zero (ready), free space of unknown content, which
 * the worker makes zero (holes), and the end of the file, which grows in
 * large steps and reads as zero because it never held anything.
 *
 * What a trim gives up walks limbo -> settling -> holes -> ready: the commit
 * makes the change durable, and then nobody may still be reading or writing
 * there who looked the place up before (I3).
 *
 * Lock     v->lock for all lists; vhdx_make_space and vhdx_trim_file are the
 *          worker's and hold it around list work only
 */
#include "base/log.h"
#include "disk/vhdx.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define GROW_STEP (64 * MIB)
#define ZERO_AHEAD (64 * MIB)	/* made zero in one go */

int runs_add(struct runs *r, uint64_t off, uint64_t len, uint64_t seq)
{
	if (r->nr == r->cap) {
		size_t cap = r->cap * 2 + 16;
		struct run *n = realloc(r->v, cap * sizeof(*n));

		if (n == NULL)
			return -ENOMEM;
		r->v = n;
		r->cap = cap;
	}
	r->v[r->nr++] = (struct run){ off, len, seq };
	return 0;
}

void runs_free(struct runs *r)
{
	free(r->v);
	*r = (struct runs){ 0 };
}

int vhdx_take_block(struct vhdx *v, uint64_t *ret_off)
{
	if (v->ready.nr > 0) {
		*ret_off = v->ready.v[--v->ready.nr].off;
		return 0;
	}
	if (v->holes.nr > 0 || v->end + v->block_size > v->file_size)
		return -EAGAIN;
	*ret_off = v->end;
	v->end += v->block_size;
	return 0;
}

bool vhdx_space_low(const struct vhdx *v)
{
	return v->ready.nr == 0 && (v->holes.nr > 0 || v->end + v->block_size > v->file_size);
}

/* Takes a piece of the last hole; false when there is none. */
static bool pop_hole(struct vhdx *v, struct run *ret_r)
{
	uint64_t most = max_u64(ZERO_AHEAD, v->block_size);
	struct run *r;

	pthread_mutex_lock(&v->lock);
	if (v->holes.nr == 0) {
		pthread_mutex_unlock(&v->lock);
		return false;
	}
	r = &v->holes.v[v->holes.nr - 1];
	*ret_r = *r;
	if (r->len > most) {
		ret_r->len = most;
		r->off += most;
		r->len -= most;
	} else {
		v->holes.nr--;
	}
	pthread_mutex_unlock(&v->lock);
	return true;
}

/* Highest first into the list, so that the lowest block is taken first. */
static void push_ready(struct vhdx *v, const struct run *r)
{
	pthread_mutex_lock(&v->lock);
	for (uint64_t at = r->len; at >= v->block_size; at -= v->block_size)
		if (runs_add(&v->ready, r->off + at - v->block_size, v->block_size, 0) < 0)
			break;
	pthread_mutex_unlock(&v->lock);
}

/* Without memory the space is lost until the next open. */
static void push_hole(struct vhdx *v, const struct run *r)
{
	int rc;

	pthread_mutex_lock(&v->lock);
	rc = runs_add(&v->holes, r->off, r->len, 0);
	pthread_mutex_unlock(&v->lock);
	if (rc < 0)
		log_warn("disk", "%s: no memory to remember %llu free bytes", v->name,
			 (unsigned long long)r->len);
}

/* Moves to TO what nobody can still be looking at; what finds no memory waits. */
static void take_settled(struct vhdx *v, struct runs *to)
{
	size_t kept = 0;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < v->settling.nr; i++) {
		struct run r = v->settling.v[i];

		if ((v->moving_first != NULL && v->moving_first->seq <= r.seq) ||
		    runs_add(to, r.off, r.len, 0) < 0)
			v->settling.v[kept++] = r;
	}
	v->settling.nr = kept;
	pthread_mutex_unlock(&v->lock);
}

/*
 * The host gets the space back at once where it can punch holes, and the
 * block is ready to be used again; else it is a hole to be zeroed in need.
 */
void vhdx_settle(struct vhdx *v)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct runs free_now = { 0 };

	take_settled(v, &free_now);
	for (size_t i = 0; i < free_now.nr; i++) {
		struct run r = free_now.v[i];

		if (!v->fixed && aio_allocate_wait(v->aio, punch, r.off, r.len) == 0)
			push_ready(v, &r);
		else
			push_hole(v, &r);
	}
	runs_free(&free_now);
}

static int grow(struct vhdx *v)
{
	uint64_t size = align_up(v->end + max_u64(GROW_STEP, UINT64_C(2) * v->block_size), MIB);
	int rc;

	if (size > VHDX_MAX_FILE)
		return -EFBIG;
	rc = aio_truncate(v->aio, size);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	v->file_size = size;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

int vhdx_fresh_end(struct vhdx *v)
{
	int rc = v->file_size > v->end ? aio_truncate(v->aio, v->end) : 0;

	return rc < 0 ? rc : grow(v);
}

int vhdx_make_space(struct vhdx *v)
{
	struct run r;
	bool low;
	int rc;

	vhdx_settle(v);
	pthread_mutex_lock(&v->lock);
	low = vhdx_space_low(v);
	pthread_mutex_unlock(&v->lock);
	if (!low)
		return 0;
	if (!pop_hole(v, &r))
		return grow(v);
	rc = aio_zero_wait(v->aio, r.off, r.len, v->fixed);
	if (rc < 0)
		push_hole(v, &r);
	else
		push_ready(v, &r);
	return rc;
}

static int highest_first(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->off > y->off ? -1 : x->off < y->off;
}

/* All free runs, adjoining ones not merged. */
static int all_free(struct vhdx *v, struct runs *to)
{
	const struct runs *from[] = { &v->ready, &v->holes, &v->settling };

	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		for (size_t k = 0; k < from[i]->nr; k++)
			if (runs_add(to, from[i]->v[k].off, from[i]->v[k].len, 0) < 0)
				return -ENOMEM;
	return 0;
}

/* Only at the end: the log is closed, nothing is in flight. */
int vhdx_trim_file(struct vhdx *v)
{
	struct runs all = { 0 };

	if (all_free(v, &all) == 0 && all.nr > 0) {
		qsort(all.v, all.nr, sizeof(*all.v), highest_first);
		for (size_t i = 0; i < all.nr && all.v[i].off + all.v[i].len == v->end; i++)
			v->end = all.v[i].off;
	}
	runs_free(&all);
	if (v->file_size == v->end)
		return 0;
	v->file_size = v->end;
	return aio_truncate(v->aio, v->end);
}
