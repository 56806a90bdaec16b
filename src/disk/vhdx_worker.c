/*
 * vhdx_worker.c - the thread that makes changes durable
 *
 * One thread per writable image does, one after the other, everything that
 * needs several steps in order: the session's first header, space, commits,
 * the log.  Requests never wait for it but at a guest flush (or a write that
 * found no prepared space), so the steps can be plain waiting calls that read
 * like the argument in vhdx.h.
 *
 * A commit serves every flush that was there when it began: two fdatasyncs
 * for any number of allocations (more only when they dirtied more pages than
 * one log entry holds).  Unflushed changes are committed after a second
 * on their own, and a log that rests is closed, so that a file left alone is
 * a clean file.
 *
 * After a failed step nothing is forgotten: the pages are dirty again, the
 * log stays named, and the next flush tries anew.
 *
 * Lock     v->lock, let go around every step
 */
#include "base/log.h"
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMIT_AFTER (1 * NS_PER_SEC)
#define CLOSE_LOG_AFTER (2 * NS_PER_SEC)
#define PAGE_BYTES (BAT_PAGE_ENTRIES * 8u)

/* ---- the session ------------------------------------------------------------- */

/*
 * Before the first change of this open both identities change, durably:
 * FileWriteGuid because the file will, DataWriteGuid because the guest will
 * see other bytes and a differencing child must notice.
 */
static int begin_session(struct vhdx *v)
{
	struct vhdx_header h = v->hdr;
	int rc;

	guid_random(&h.file_write);
	guid_random(&h.data_write);
	rc = vhdx_header_update(v, &h);
	if (rc == 0)
		rc = vhdx_fresh_end(v);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	v->session = true;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

/* ---- commits ------------------------------------------------------------------- */

struct commit {
	struct bat_page **pages;
	uint8_t **copies;		/* [owned] until they are logged */
	struct log_page *log;
	uint64_t nr, max, logged;
};

static int commit_init(struct commit *c, uint64_t max)
{
	c->max = max;
	c->pages = new_array(struct bat_page *, max);
	c->copies = new_array(uint8_t *, max);
	c->log = new_array(struct log_page, max);
	return c->pages == NULL || c->copies == NULL || c->log == NULL ? -ENOMEM : 0;
}

static void commit_exit(struct commit *c)
{
	free(c->pages);
	free(c->copies);
	free(c->log);
}

/* Copies dirty pages of the BAT, or of bits; lock held. */
static int copy_pages(struct vhdx *v, struct commit *c, bool bits)
{
	for (struct bat_page *p = v->dirty; p != NULL && c->nr < c->max; p = p->next_dirty) {
		uint8_t *copy;

		if (p->bits != bits)
			continue;
		copy = malloc(PAGE_BYTES);
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, p->e, PAGE_BYTES);
		c->pages[c->nr] = p;
		c->copies[c->nr] = copy;
		c->log[c->nr++] = (struct log_page){ p->off, copy };
	}
	return 0;
}

/*
 * All dirty pages as they are now, the BAT's first (B4); they count as clean
 * from here on.  Lock held.
 */
static int snapshot(struct vhdx *v, struct commit *c)
{
	int rc = commit_init(c, v->nr_dirty + 1);

	if (rc == 0)
		rc = copy_pages(v, c, false);
	if (rc == 0)
		rc = copy_pages(v, c, true);
	if (rc < 0) {
		for (uint64_t i = 0; i < c->nr; i++)
			free(c->copies[i]);
		c->nr = 0;
		v->dirty_since = base_monotonic_ns();
		return rc;
	}
	for (uint64_t i = 0; i < c->nr; i++)
		c->pages[i]->dirty = false;
	v->dirty = NULL;
	v->dirty_tail = &v->dirty;
	v->nr_dirty = 0;
	return 0;
}

/* An entry is durable: its N copies wait to be put in place. */
static void keep_logged(struct vhdx *v, struct commit *c, uint64_t n)
{
	for (; n > 0; n--, c->logged++) {
		struct bat_page *p = c->pages[c->logged];

		if (p->logged == NULL) {
			p->next_logged = v->logged;
			v->logged = p;
		}
		free(p->logged);
		p->logged = c->copies[c->logged];
	}
}

static void back_to_dirty(struct vhdx *v, struct commit *c)
{
	pthread_mutex_lock(&v->lock);
	for (uint64_t i = c->logged; i < c->nr; i++) {
		vhdx_bat_mark_dirty(v, c->pages[i]);
		free(c->copies[i]);
	}
	v->dirty_since = base_monotonic_ns();
	pthread_mutex_unlock(&v->lock);
}

/*
 * The order is the argument: copied already, then the data's fdatasync, then
 * the entries and theirs (I2).
 */
static int commit_pages(struct vhdx *v, struct commit *c)
{
	int rc = aio_sync_wait(v->aio);

	while (rc == 0 && c->logged < c->nr) {
		uint64_t n = min_u64(vhdx_log_max_pages(v), c->nr - c->logged);

		rc = vhdx_log_append(v, c->log + c->logged, (uint32_t)n);
		if (rc == 0)
			keep_logged(v, c, n);
	}
	if (rc < 0) {
		back_to_dirty(v, c);
		return rc;
	}
	return vhdx_log_name(v);
}

static void append_runs(struct vhdx *v, struct runs *to, struct runs *from)
{
	if (to->nr == 0) {
		runs_free(to);
		*to = *from;
		return;
	}
	for (size_t i = 0; i < from->nr; i++)
		if (runs_add(to, from->v[i].off, from->v[i].len, from->v[i].seq) < 0)
			log_warn("disk", "%s: no memory to remember free space", v->name);
	runs_free(from);
}

/* Called without the lock. */
static int commit(struct vhdx *v)
{
	struct commit c = { 0 };
	struct vreq *r, *next;
	struct runs limbo;
	int rc;

	pthread_mutex_lock(&v->lock);
	r = v->flushers.head;
	vreqs_init(&v->flushers);
	limbo = v->limbo;
	v->limbo = (struct runs){ 0 };
	rc = snapshot(v, &c);
	v->committing = true;
	pthread_mutex_unlock(&v->lock);

	if (rc == 0)
		rc = commit_pages(v, &c);
	commit_exit(&c);

	pthread_mutex_lock(&v->lock);
	v->committing = false;
	append_runs(v, rc == 0 ? &v->settling : &v->limbo, &limbo);
	pthread_mutex_unlock(&v->lock);
	v->last_commit = base_monotonic_ns();
	for (; r != NULL; r = next) {
		next = r->wait_next;
		vhdx_finish(r, rc);
	}
	vhdx_settle(v);
	return rc;
}

/* ---- what waited for the worker ------------------------------------------------- */

/* For those of LIST that want to write where a differencing disk has nothing (B2, B3). */
static int prepare_bits(struct vhdx *v, struct vreq *list)
{
	bool doubt;
	int rc = 0;

	for (struct vreq *r = list; r != NULL && rc == 0; r = r->wait_next)
		if (r->prepare) {
			r->prepare = false;
			rc = vhdx_bits_prepare(v, r->block);
		}
	pthread_mutex_lock(&v->lock);
	doubt = v->bits_in_doubt;
	pthread_mutex_unlock(&v->lock);
	if (rc < 0 || !doubt)
		return rc;
	rc = commit(v);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	v->bits_in_doubt = false;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

/* Called without the lock. */
static void serve_parked(struct vhdx *v)
{
	struct vreq *r, *next;
	int rc = v->session ? 0 : begin_session(v);

	if (rc == 0)
		rc = vhdx_make_space(v);
	pthread_mutex_lock(&v->lock);
	r = v->parked.head;
	vreqs_init(&v->parked);
	pthread_mutex_unlock(&v->lock);
	if (rc == 0)
		rc = prepare_bits(v, r);
	for (; r != NULL; r = next) {
		next = r->wait_next;
		if (rc < 0)
			vhdx_finish(r, rc);
		else
			vhdx_step(r);
	}
}

/* ---- the thread ------------------------------------------------------------------ */

/* Once for each trouble: it is tried again every second. */
static void complain(struct vhdx *v, int rc, const char *what)
{
	bool told = rc == v->told;

	v->told = rc;
	if (rc == 0 || told)
		return;
	log_err("disk", "%s: %s: %s", v->name, what, strerror(-rc));
	disk_trouble(&v->blk, rc, what);
}

/* With the lock held: sleeps until there is work or DEADLINE (0: none). */
static void rest(struct vhdx *v, uint64_t deadline)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline / NS_PER_SEC), .tv_nsec = (long)(deadline % NS_PER_SEC),
	};

	if (deadline == 0)
		pthread_cond_wait(&v->work, &v->lock);
	else
		pthread_cond_timedwait(&v->work, &v->lock, &ts);
}

/* With the lock held, nothing asked for: what is due by itself, or sleep. */
static void idle(struct vhdx *v)
{
	uint64_t now = base_monotonic_ns(), deadline = 0;
	bool dirty = v->session && v->nr_dirty > 0;

	if (dirty)
		deadline = v->dirty_since + v->commit_after;
	else if (v->log_live)
		deadline = v->last_commit + v->close_log_after;
	if (deadline == 0 || now < deadline) {
		rest(v, deadline);
		return;
	}
	pthread_mutex_unlock(&v->lock);
	if (dirty) {
		complain(v, commit(v), "writing the block table");
	} else {
		v->last_commit = now;	/* after a failure, again in a while */
		complain(v, vhdx_log_close(v), "closing the log");
	}
	pthread_mutex_lock(&v->lock);
}

/*
 * The end: everything durable, the log closed, the file cut to size.  Where
 * that fails, the log stays named and the next open replays it.
 */
static void wind_up(struct vhdx *v)
{
	int rc;

	if (!v->session)
		return;
	rc = v->nr_dirty > 0 ? commit(v) : 0;
	if (rc == 0)
		rc = vhdx_log_close(v);
	if (rc == 0)
		rc = vhdx_trim_file(v);
	if (rc == 0)
		rc = aio_sync_wait(v->aio);
	complain(v, rc, "closing a VHDX");
}

static void *worker(void *arg)
{
	struct vhdx *v = arg;

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

int vhdx_worker_start(struct vhdx *v)
{
	int rc;

	v->commit_after = COMMIT_AFTER;
	v->close_log_after = CLOSE_LOG_AFTER;
	rc = -pthread_create(&v->worker, NULL, worker, v);
	v->worker_runs = rc == 0;
	return rc;
}

void vhdx_worker_stop(struct vhdx *v)
{
	pthread_mutex_lock(&v->lock);
	v->stop = true;
	pthread_cond_signal(&v->work);
	pthread_mutex_unlock(&v->lock);
	pthread_join(v->worker, NULL);
}
