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
 * for any number of allocations (more only when they dirtied more BAT pages
 * than one log entry holds).  Unflushed changes are committed after a second
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
	for (; r != NULL; r = next) {
		next = r->wait_next;
		if (rc < 0)
			vhdx_finish(r, rc);
		else
			vhdx_step(r);
	}
}

/* ---- commits ------------------------------------------------------------------- */

struct commit {
	struct bat_page **pages;
	uint8_t **copies;
	struct log_page *log;
	uint32_t nr, max;
};

static int commit_init(struct commit *c, const struct vhdx *v)
{
	c->max = vhdx_log_max_pages(v);
	c->pages = new_array(struct bat_page *, c->max);
	c->copies = new_array(uint8_t *, c->max);
	c->log = new_array(struct log_page, c->max);
	return c->pages == NULL || c->copies == NULL || c->log == NULL ? -ENOMEM : 0;
}

static void commit_exit(struct commit *c)
{
	free(c->pages);
	free(c->copies);
	free(c->log);
}

/* Copies up to MOST dirty pages as they are now; they count as clean from here on. */
static int snapshot(struct vhdx *v, struct commit *c, uint64_t most)
{
	int rc = 0;

	c->nr = 0;
	pthread_mutex_lock(&v->lock);
	while (c->nr < c->max && c->nr < most && v->dirty != NULL) {
		struct bat_page *p = v->dirty;
		uint8_t *copy = malloc(PAGE_BYTES);

		if (copy == NULL) {
			rc = -ENOMEM;
			break;
		}
		memcpy(copy, p->e, PAGE_BYTES);
		v->dirty = p->next_dirty;
		if (v->dirty == NULL)
			v->dirty_tail = &v->dirty;
		v->nr_dirty--;
		p->dirty = false;
		c->pages[c->nr] = p;
		c->copies[c->nr] = copy;
		c->log[c->nr++] = (struct log_page){ v->bat_off + p->index * PAGE_BYTES, copy };
	}
	pthread_mutex_unlock(&v->lock);
	return rc;
}

/* The entry is durable: its copies wait to be put in place. */
static void keep_logged(struct vhdx *v, struct commit *c)
{
	for (uint32_t i = 0; i < c->nr; i++) {
		struct bat_page *p = c->pages[i];

		if (p->logged == NULL) {
			p->next_logged = v->logged;
			v->logged = p;
		}
		free(p->logged);
		p->logged = c->copies[i];
	}
}

static void back_to_dirty(struct vhdx *v, struct commit *c)
{
	pthread_mutex_lock(&v->lock);
	for (uint32_t i = 0; i < c->nr; i++) {
		vhdx_bat_mark_dirty(v, c->pages[i]);
		free(c->copies[i]);
	}
	v->dirty_since = base_monotonic_ns();
	pthread_mutex_unlock(&v->lock);
}

/*
 * The order is the argument: copy, then the data's fdatasync, then the entry
 * and its fdatasync (I2).
 */
static int commit_some(struct vhdx *v, struct commit *c, uint64_t most)
{
	int rc = snapshot(v, c, most);

	if (rc == 0)
		rc = aio_sync_wait(v->aio);
	if (rc == 0 && c->nr > 0)
		rc = vhdx_log_append(v, c->log, c->nr);
	if (rc < 0) {
		back_to_dirty(v, c);
		return rc;
	}
	keep_logged(v, c);
	return vhdx_log_name(v);
}

/* All pages that are dirty now; those that become so meanwhile queue behind them. */
static int commit_pages(struct vhdx *v, uint64_t nr)
{
	struct commit c = { 0 };
	int rc = commit_init(&c, v);

	if (rc == 0)
		rc = commit_some(v, &c, nr);
	while (rc == 0 && nr > c.nr) {
		nr -= c.nr;
		rc = commit_some(v, &c, nr);
	}
	commit_exit(&c);
	return rc;
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
	struct vreq *r, *next;
	struct runs limbo;
	uint64_t nr;
	int rc;

	pthread_mutex_lock(&v->lock);
	r = v->flushers.head;
	vreqs_init(&v->flushers);
	limbo = v->limbo;
	v->limbo = (struct runs){ 0 };
	nr = v->nr_dirty;
	v->committing = true;
	pthread_mutex_unlock(&v->lock);

	rc = commit_pages(v, nr);

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
