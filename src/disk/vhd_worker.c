/*
 * vhd_worker.c - the thread that makes changes of a VHD durable
 *
 * One thread per writable dynamic or differencing disk does, one after the
 * other, what needs several steps in order: where the file ends, space,
 * commits.  Requests wait for it only at a flush, and at a write that found
 * no prepared space.
 *
 * A commit serves every flush that was there when it began, with two
 * fdatasyncs for any number of new blocks.  Unflushed changes are committed
 * after a second on their own.  After a failed step nothing is forgotten:
 * what was not written is dirty again, and the next flush tries anew.
 *
 * Lock     v->lock, let go around every step
 */
#include "base/log.h"
#include "disk/vhd.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMIT_AFTER (1 * NS_PER_SEC)
#define GROW_STEP (64 * MIB)

/* ---- where the file ends ------------------------------------------------------ */

static int put_footer(struct vhd *v, uint64_t at)
{
	int rc = aio_write_wait(v->aio, at, &v->foot, sizeof(v->foot));

	return rc == 0 ? aio_sync_wait(v->aio) : rc;
}

/*
 * The footer at PLACE and nothing behind it.  Only what nobody names is
 * overwritten and cut off (V4).
 */
static int end_file_at(struct vhd *v, uint64_t place)
{
	uint64_t size;
	int rc = put_footer(v, place);

	if (rc == 0)
		rc = aio_size(v->aio, &size);
	if (rc == 0 && size > place + VHD_SECTOR)
		rc = aio_truncate(v->aio, place + VHD_SECTOR);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	v->limit = place;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

/*
 * What lies behind the last block may be what a cut left there.  Where the
 * next block's data would begin before the footer ends, the file is cut.
 */
static int begin_session(struct vhd *v)
{
	int rc = 0;

	if (v->head_bad)
		rc = put_footer(v, 0);
	if (rc == 0 && (v->tail_bad || v->limit + VHD_SECTOR > vhd_data_place(v, v->end)))
		rc = end_file_at(v, vhd_footer_place(v->end));
	if (rc < 0)
		return rc;
	v->head_bad = v->tail_bad = false;
	pthread_mutex_lock(&v->lock);
	v->session = true;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

/*
 * Room for whole blocks only: the footer then lies where the next one's bitmap
 * will, and never under its data.
 */
static int grow(struct vhd *v)
{
	uint64_t end = v->end, place;
	int rc;

	do
		end = vhd_data_place(v, end) + v->block_size;
	while (end - v->end < v->grow_step && end / VHD_SECTOR < VHD_NO_BLOCK);
	place = vhd_footer_place(end);
	if (place / VHD_SECTOR >= VHD_NO_BLOCK)
		return -EFBIG;
	rc = put_footer(v, place);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	v->limit = place;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

/* Called without the lock. */
static void serve_parked(struct vhd *v)
{
	struct vhd_req *r, *next;
	int rc = v->session ? 0 : begin_session(v);
	bool low;

	pthread_mutex_lock(&v->lock);
	low = vhd_space_low(v);
	pthread_mutex_unlock(&v->lock);
	if (rc == 0 && low)
		rc = grow(v);
	pthread_mutex_lock(&v->lock);
	r = v->parked.head;
	vhd_reqs_init(&v->parked);
	pthread_mutex_unlock(&v->lock);
	for (; r != NULL; r = next) {
		next = r->wait_next;
		if (rc < 0)
			vhd_finish(r, rc);
		else
			vhd_step(r);
	}
}

/* ---- commits ------------------------------------------------------------------- */

/* A copy of what goes into the file, taken when the commit began. */
struct put {
	uint64_t off;
	const uint8_t *data;
	struct vhd_map *map;		/* whose bitmap it is, or NULL */
	uint64_t sector;		/* of the BAT, when MAP is NULL and it is LATE */
	bool late;			/* only after the fdatasync */
};

struct commit {
	struct put *puts;
	uint8_t *copies;
	size_t nr, nr_fresh;		/* NR_FRESH: the first ones of v->fresh */
};

static void copy_map(struct vhd *v, struct commit *c, uint8_t **at, struct vhd_map *m)
{
	memcpy(*at, m->bits, v->bitmap_len);
	c->puts[c->nr++] = (struct put){
		.off = (uint64_t)v->bat[m->block] * VHD_SECTOR, .data = *at, .map = m,
		.late = m->seeded,
	};
	*at += v->bitmap_len;
	m->dirty = false;
}

static void copy_bat(struct vhd *v, struct commit *c, uint8_t **at, uint64_t sector)
{
	uint64_t first = sector * BAT_SECTOR_ENTRIES;

	for (unsigned i = 0; i < BAT_SECTOR_ENTRIES; i++)
		stbe32(*at + i * 4, first + i < v->nr_blocks ? v->bat[first + i] : VHD_NO_BLOCK);
	c->puts[c->nr++] = (struct put){
		.off = v->bat_off + sector * VHD_SECTOR, .data = *at, .sector = sector,
		.late = true,
	};
	*at += VHD_SECTOR;
	v->bat_dirty[sector] = 0;
}

/*
 * Everything that is dirty, as it is now; it counts as clean from here on.
 * Lock held.
 */
static int snapshot(struct vhd *v, struct commit *c)
{
	uint64_t maps = v->nr_map_dirty, bats = v->nr_bat_dirty;
	uint8_t *at;

	c->puts = new_array(struct put, maps + bats + v->nr_fresh + 1);
	c->copies = at = malloc(maps * v->bitmap_len + bats * VHD_SECTOR + 1);
	if (c->puts == NULL || c->copies == NULL) {
		v->dirty_since = base_monotonic_ns();
		return -ENOMEM;
	}
	for (size_t i = 0; i < v->nr_fresh; i++)
		c->puts[c->nr++] = (struct put){
			.off = (uint64_t)v->bat[v->fresh[i]] * VHD_SECTOR, .data = v->ones,
		};
	for (struct vhd_map *m = v->maps; m != NULL; m = m->next_dirty)
		copy_map(v, c, &at, m);
	for (uint64_t s = 0; s < v->bat_len / VHD_SECTOR && bats > 0; s++)
		if (v->bat_dirty[s]) {
			copy_bat(v, c, &at, s);
			bats--;
		}
	c->nr_fresh = v->nr_fresh;
	v->maps = NULL;
	v->maps_tail = &v->maps;
	v->nr_map_dirty = v->nr_bat_dirty = 0;
	return 0;
}

/* In flight together; the last one to end wakes us. */
struct batch {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t left;
	int rc;
};

struct put_io {
	struct aio_io io;
	struct iovec iov;
};

static void put_done(struct aio_io *io, int rc)
{
	struct batch *b = io->ctx;

	pthread_mutex_lock(&b->lock);
	if (rc < 0)
		b->rc = rc;
	if (--b->left == 0)
		pthread_cond_signal(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

/* Writes the early or the late ones, then makes everything before durable. */
static int write_puts(struct vhd *v, const struct commit *c, bool late)
{
	struct batch b = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct put_io *ios = new_array(struct put_io, c->nr + 1);

	if (ios == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->nr; i++)
		b.left += c->puts[i].late == late;
	for (size_t i = 0; i < c->nr; i++) {
		const struct put *p = &c->puts[i];
		bool bat = p->late && p->map == NULL;

		if (p->late != late)
			continue;
		ios[i].iov = (struct iovec){ (void *)(uintptr_t)p->data,
					     bat ? VHD_SECTOR : v->bitmap_len };
		ios[i].io = (struct aio_io){
			.op = AIO_WRITE, .off = p->off, .len = ios[i].iov.iov_len,
			.iov = &ios[i].iov, .nr_iov = 1, .done = put_done, .ctx = &b,
		};
		aio_submit(v->aio, &ios[i].io);
	}
	pthread_mutex_lock(&b.lock);
	while (b.left > 0)
		pthread_cond_wait(&b.cond, &b.lock);
	pthread_mutex_unlock(&b.lock);
	pthread_cond_destroy(&b.cond);
	pthread_mutex_destroy(&b.lock);
	free(ios);
	return b.rc == 0 ? aio_sync_wait(v->aio) : b.rc;
}

/* Bitmaps of new blocks are in the file now: from here on they follow their data. */
static void mark_seeded(struct vhd *v, const struct commit *c)
{
	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < c->nr; i++)
		if (c->puts[i].map != NULL)
			c->puts[i].map->seeded = true;
	v->nr_fresh -= c->nr_fresh;
	if (c->nr_fresh > 0)
		memmove(v->fresh, v->fresh + c->nr_fresh, v->nr_fresh * sizeof(*v->fresh));
	pthread_mutex_unlock(&v->lock);
}

static void back_to_dirty(struct vhd *v, struct commit *c)
{
	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < c->nr; i++) {
		const struct put *p = &c->puts[i];

		if (p->map != NULL)
			vhd_mark_map(v, p->map);
		else if (p->late)
			vhd_mark_bat(v, p->sector);
	}
	v->dirty_since = base_monotonic_ns();
	pthread_mutex_unlock(&v->lock);
}

/* The order is the argument: V1, V2. */
static int write_commit(struct vhd *v, struct commit *c)
{
	int rc = write_puts(v, c, false);

	if (rc < 0)
		return rc;
	mark_seeded(v, c);
	return c->nr > 0 ? write_puts(v, c, true) : 0;
}

/* Called without the lock. */
static int commit(struct vhd *v)
{
	struct commit c = { 0 };
	struct vhd_req *r, *next;
	int rc;

	pthread_mutex_lock(&v->lock);
	r = v->flushers.head;
	vhd_reqs_init(&v->flushers);
	rc = snapshot(v, &c);
	v->committing = true;
	pthread_mutex_unlock(&v->lock);
	if (rc == 0) {
		rc = write_commit(v, &c);
		if (rc < 0)
			back_to_dirty(v, &c);
	}
	pthread_mutex_lock(&v->lock);
	v->committing = false;
	pthread_mutex_unlock(&v->lock);
	free(c.puts);
	free(c.copies);
	for (; r != NULL; r = next) {
		next = r->wait_next;
		vhd_finish(r, rc);
	}
	return rc;
}

/* ---- the thread ------------------------------------------------------------------ */

/* Once for each trouble: it is tried again every second. */
static void complain(struct vhd *v, int rc, const char *what)
{
	bool told = rc == v->told;

	v->told = rc;
	if (rc == 0 || told)
		return;
	log_err("disk", "%s: %s: %s", v->name, what, strerror(-rc));
	disk_trouble(&v->blk, rc, what);
}

/* With the lock held, nothing asked for: what is due by itself, or sleep. */
static void idle(struct vhd *v)
{
	uint64_t due = v->dirty_since + v->commit_after;
	struct timespec ts = {
		.tv_sec = (time_t)(due / NS_PER_SEC), .tv_nsec = (long)(due % NS_PER_SEC),
	};

	if (!vhd_is_dirty(v)) {
		pthread_cond_wait(&v->work, &v->lock);
	} else if (base_monotonic_ns() < due) {
		pthread_cond_timedwait(&v->work, &v->lock, &ts);
	} else {
		pthread_mutex_unlock(&v->lock);
		complain(v, commit(v), "writing the block table");
		pthread_mutex_lock(&v->lock);
	}
}

/* The end: everything durable, the file cut to what it holds. */
static void wind_up(struct vhd *v)
{
	uint64_t place = vhd_footer_place(v->end), size;
	int rc;

	if (!v->session)
		return;
	rc = vhd_is_dirty(v) ? commit(v) : 0;
	if (rc == 0)
		rc = aio_size(v->aio, &size);
	/* A footer that could not be written may have left the file longer. */
	if (rc == 0 && (v->limit > place || size != v->limit + VHD_SECTOR))
		rc = end_file_at(v, place);
	if (rc == 0)
		rc = aio_sync_wait(v->aio);
	complain(v, rc, "closing a VHD");
}

static void *worker(void *arg)
{
	struct vhd *v = arg;

	pthread_mutex_lock(&v->lock);
	while (!v->stop || v->parked.head != NULL || v->flushers.head != NULL) {
		if (v->parked.head != NULL) {
			pthread_mutex_unlock(&v->lock);
			serve_parked(v);
			pthread_mutex_lock(&v->lock);
		} else if (v->flushers.head != NULL) {
			pthread_mutex_unlock(&v->lock);
			(void)!commit(v);	/* those who flushed were told */
			pthread_mutex_lock(&v->lock);
		} else {
			idle(v);
		}
	}
	pthread_mutex_unlock(&v->lock);
	wind_up(v);
	return NULL;
}

int vhd_worker_start(struct vhd *v)
{
	int rc;

	v->commit_after = COMMIT_AFTER;
	v->grow_step = GROW_STEP;
	rc = -pthread_create(&v->worker, NULL, worker, v);
	v->worker_runs = rc == 0;
	return rc;
}

void vhd_worker_stop(struct vhd *v)
{
	pthread_mutex_lock(&v->lock);
	v->stop = true;
	pthread_cond_signal(&v->work);
	pthread_mutex_unlock(&v->lock);
	pthread_join(v->worker, NULL);
}
