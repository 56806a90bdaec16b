/*
 * fake.c - a disk for tests that remembers everything and fails on demand
 *
 * A write counts for a sync only if its done callback was about to be called
 * when the sync was submitted: no caller can rely on more.
 *
 * Lock     f->lock guards everything; callbacks run without it
 */
#include "disk/fake.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (4 * GIB)
#define SECTOR 512u

struct fake {
	struct aio a;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	bool threaded, stop, record;
	uint64_t rng;
	struct aio_io *queue;
	size_t nr_queue;

	uint8_t **page;
	uint64_t top_page, cap_page;	/* no page at or after TOP; room for CAP */
	uint64_t size;

	struct event *ev;
	size_t nr_ev, cap_ev, completed;
	uint64_t nr_syncs;

	unsigned fail_ops;
	uint64_t fail_in, fail_count, failed;
	int fail_rc;
};

static uint64_t next_random(uint64_t *s)
{
	*s += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = *s;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* ---- the file ---------------------------------------------------------------- */

struct fake *fake_new(void)
{
	struct fake *f = new0(struct fake);

	BUG_IF(f == NULL);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	return f;
}

void fake_free(struct fake *f)
{
	for (uint64_t i = 0; i < f->top_page; i++)
		free(f->page[i]);
	for (size_t i = 0; i < f->nr_ev; i++)
		free(f->ev[i].data);
	free(f->ev);
	free(f->page);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Room for page I. */
static void need_page(struct fake *f, uint64_t i)
{
	uint64_t cap = max_u64(i + 1, f->cap_page * 2);

	if (i < f->cap_page)
		return;
	f->page = realloc(f->page, cap * sizeof(*f->page));
	BUG_IF(f->page == NULL);
	memset(f->page + f->cap_page, 0, (cap - f->cap_page) * sizeof(*f->page));
	f->cap_page = cap;
}

struct fake *fake_clone(struct fake *f)
{
	struct fake *n = fake_new();

	pthread_mutex_lock(&f->lock);
	n->size = f->size;
	n->top_page = f->top_page;
	if (f->top_page > 0)
		need_page(n, f->top_page - 1);
	for (uint64_t i = 0; i < f->top_page; i++) {
		if (f->page[i] == NULL)
			continue;
		n->page[i] = malloc(PAGE_SIZE);
		BUG_IF(n->page[i] == NULL);
		memcpy(n->page[i], f->page[i], PAGE_SIZE);
	}
	pthread_mutex_unlock(&f->lock);
	return n;
}

uint64_t fake_size(const struct fake *f)
{
	return f->size;
}

void fake_get(const struct fake *f, uint64_t off, void *buf, size_t len)
{
	uint8_t *to = buf;

	while (len > 0) {
		uint64_t in = off % PAGE_SIZE, n = min_u64(len, PAGE_SIZE - in);
		const uint8_t *p = off / PAGE_SIZE < f->top_page ? f->page[off / PAGE_SIZE] : NULL;

		if (p != NULL)
			memcpy(to, p + in, n);
		else
			memset(to, 0, n);
		to += n;
		off += n;
		len -= n;
	}
}

/* BUF NULL: zeros, and whole pages go.  Does not change the size. */
static void store(struct fake *f, uint64_t off, const uint8_t *buf, uint64_t len)
{
	while (len > 0) {
		uint64_t in = off % PAGE_SIZE, i = off / PAGE_SIZE;
		uint64_t n = min_u64(len, PAGE_SIZE - in);

		if (buf == NULL && i >= f->top_page)
			return;
		if (buf != NULL)
			need_page(f, i);
		if (buf == NULL && n == PAGE_SIZE) {
			free(f->page[i]);
			f->page[i] = NULL;
		} else if (buf != NULL || f->page[i] != NULL) {
			if (f->page[i] == NULL)
				f->page[i] = calloc(1, PAGE_SIZE);
			BUG_IF(f->page[i] == NULL);
			if (buf != NULL)
				memcpy(f->page[i] + in, buf, n);
			else
				memset(f->page[i] + in, 0, n);
			f->top_page = max_u64(f->top_page, i + 1);
		}
		buf = buf == NULL ? NULL : buf + n;
		off += n;
		len -= n;
	}
}

void fake_resize(struct fake *f, uint64_t size)
{
	if (size < f->size)
		store(f, size, NULL, f->size - size);
	f->size = size;
}

void fake_put(struct fake *f, uint64_t off, const void *buf, size_t len)
{
	BUG_IF(off > MAX_FILE || len > MAX_FILE - off);
	store(f, off, buf, len);
	f->size = max_u64(f->size, off + len);
}

bool fake_same(const struct fake *a, const struct fake *b)
{
	uint64_t n = max_u64(a->top_page, b->top_page);
	uint8_t x[PAGE_SIZE], y[PAGE_SIZE];

	if (a->size != b->size)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		fake_get(a, i * PAGE_SIZE, x, sizeof(x));
		fake_get(b, i * PAGE_SIZE, y, sizeof(y));
		if (memcmp(x, y, sizeof(x)) != 0)
			return false;
	}
	return true;
}

/* ---- events -------------------------------------------------------------------- */

static void add_event(struct fake *f, struct event e)
{
	if (!f->record) {
		free(e.data);
		return;
	}
	if (f->nr_ev == f->cap_ev) {
		f->cap_ev = f->cap_ev * 2 + 256;
		f->ev = realloc(f->ev, f->cap_ev * sizeof(*f->ev));
		BUG_IF(f->ev == NULL);
	}
	f->ev[f->nr_ev++] = e;
}

void fake_record(struct fake *f, bool on)
{
	pthread_mutex_lock(&f->lock);
	f->record = on;
	pthread_mutex_unlock(&f->lock);
}

void fake_mark(struct fake *f, uint64_t a, uint64_t b)
{
	pthread_mutex_lock(&f->lock);
	add_event(f, (struct event){ .kind = EV_MARK, .off = a, .len = b });
	pthread_mutex_unlock(&f->lock);
}

const struct event *fake_events(const struct fake *f, size_t *ret_nr)
{
	*ret_nr = f->nr_ev;
	return f->ev;
}

uint64_t fake_nr_syncs(struct fake *f)
{
	uint64_t n;

	pthread_mutex_lock(&f->lock);
	n = f->nr_syncs;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void replay_whole(struct fake *f, const struct event *e)
{
	if (e->kind == EV_WRITE)
		fake_put(f, e->off, e->data, e->len);
	else if (e->kind == EV_ZERO)
		store(f, e->off, NULL, e->len);
	else if (e->kind == EV_TRUNCATE)
		fake_resize(f, e->off);
}

/* Each sector of a write reached the disk or did not. */
static void replay_torn(struct fake *f, const struct event *e, uint64_t *rng)
{
	uint64_t piece = next_random(rng) % 2 == 0 ? SECTOR : PAGE_SIZE;

	if (e->kind != EV_WRITE)
		return;
	for (uint64_t at = 0; at < e->len; at += piece)
		if (next_random(rng) % 2 == 0)
			fake_put(f, e->off + at, e->data + at, min_u64(piece, e->len - at));
}

size_t fake_durable(const struct event *ev, size_t nr)
{
	size_t durable = 0;

	for (size_t i = 0; i < nr; i++)
		if (ev[i].kind == EV_SYNC && ev[i].covers > durable)
			durable = ev[i].covers;
	return durable;
}

void fake_apply(struct fake *f, const struct event *ev, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		replay_whole(f, &ev[i]);
}

struct fake *fake_cut(struct fake *base, const struct event *ev, size_t from, size_t to,
		      enum cut_mode mode, uint64_t seed)
{
	struct fake *f = fake_clone(base);
	size_t stop = mode == CUT_NONE ? from : to;

	if (mode == CUT_PREFIX)
		stop = from + next_random(&seed) % (to - from + 1);
	for (size_t i = from; i < stop; i++) {
		uint64_t r = next_random(&seed) % 4;

		if (mode != CUT_SUBSET || r == 0)
			replay_whole(f, &ev[i]);
		else if (r == 1)
			replay_torn(f, &ev[i], &seed);
	}
	if (mode == CUT_PREFIX && stop < to)
		replay_torn(f, &ev[stop], &seed);
	return f;
}

/* ---- the backend ----------------------------------------------------------------- */

void fake_fail(struct fake *f, unsigned ops, uint64_t nth, uint64_t count, int rc)
{
	pthread_mutex_lock(&f->lock);
	f->fail_ops = ops;
	f->fail_in = nth;
	f->fail_count = count;
	f->fail_rc = rc;
	f->failed = 0;
	pthread_mutex_unlock(&f->lock);
}

uint64_t fake_failed(struct fake *f)
{
	uint64_t n;

	pthread_mutex_lock(&f->lock);
	n = f->failed;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static bool must_fail(struct fake *f, unsigned op)
{
	if (!(f->fail_ops & 1u << op) || f->fail_in == 0)
		return false;
	if (f->fail_in > 1) {
		f->fail_in--;
		return false;
	}
	if (f->fail_count == 0)
		return false;
	f->fail_count--;
	f->failed++;
	return true;
}

static void gather(const struct aio_io *io, uint8_t *buf, bool to_iov)
{
	uint64_t skip = io->skip, left = io->len;

	for (int i = 0; i < io->nr_iov && left > 0; i++) {
		uint8_t *p = io->iov[i].iov_base;
		uint64_t n;

		if (skip >= io->iov[i].iov_len) {
			skip -= io->iov[i].iov_len;
			continue;
		}
		n = min_u64(left, io->iov[i].iov_len - skip);
		if (to_iov)
			memcpy(p + skip, buf, n);
		else
			memcpy(buf, p + skip, n);
		buf += n;
		left -= n;
		skip = 0;
	}
	BUG_IF(left != 0);
}

static int run_rw(struct fake *f, struct aio_io *io)
{
	uint8_t *buf = malloc(io->len);

	BUG_IF(buf == NULL);
	if (io->op == AIO_READ) {
		bool past = io->off + io->len > f->size && !io->eof_zero;

		fake_get(f, io->off, buf, io->len);
		gather(io, buf, true);
		free(buf);
		return past ? -EIO : 0;
	}
	if (io->off + io->len > MAX_FILE) {
		free(buf);
		return -ENOSPC;
	}
	gather(io, buf, false);
	fake_put(f, io->off, buf, io->len);
	add_event(f,
		  (struct event){ .kind = EV_WRITE, .off = io->off, .len = io->len, .data = buf });
	return 0;
}

static int run(struct fake *f, struct aio_io *io)
{
	struct event e;

	if (must_fail(f, io->op))
		return f->fail_rc;
	switch (io->op) {
	case AIO_READ:
	case AIO_WRITE:
		return run_rw(f, io);
	case AIO_SYNC:
		f->nr_syncs++;
		add_event(f, (struct event){ .kind = EV_SYNC, .covers = io->len });
		return 0;
	case AIO_ALLOCATE:
		if (!(io->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
			return 0;
		if (io->off < f->size)
			store(f, io->off, NULL, min_u64(io->len, f->size - io->off));
		e = (struct event){ .kind = EV_ZERO, .off = io->off, .len = io->len };
		add_event(f, e);
		return 0;
	case AIO_NOP:
		break;
	}
	return 0;
}

/* Lock held; let go for the callback. */
static void run_one(struct fake *f, struct aio_io *io)
{
	int rc = run(f, io);

	f->completed = f->nr_ev;
	pthread_mutex_unlock(&f->lock);
	io->done(io, rc);
	pthread_mutex_lock(&f->lock);
}

static struct aio_io *take_any(struct fake *f)
{
	struct aio_io **at = &f->queue, *io;

	for (uint64_t n = next_random(&f->rng) % f->nr_queue; n > 0; n--)
		at = &(*at)->next;
	io = *at;
	*at = io->next;
	f->nr_queue--;
	return io;
}

static void *fake_thread(void *arg)
{
	struct fake *f = arg;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		if (f->nr_queue > 0)
			run_one(f, take_any(f));
		else if (f->stop)
			break;
		else
			pthread_cond_wait(&f->cond, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void fake_submit(struct aio *a, struct aio_io *io)
{
	struct fake *f = CONTAINER_OF(a, struct fake, a);

	pthread_mutex_lock(&f->lock);
	if (io->op == AIO_SYNC)
		io->len = f->completed;
	if (f->threaded) {
		io->next = f->queue;
		f->queue = io;
		f->nr_queue++;
		pthread_cond_signal(&f->cond);
	} else {
		run_one(f, io);
	}
	pthread_mutex_unlock(&f->lock);
}

static int fake_truncate(struct aio *a, uint64_t size)
{
	struct fake *f = CONTAINER_OF(a, struct fake, a);

	int rc = 0;

	pthread_mutex_lock(&f->lock);
	if (must_fail(f, FAKE_TRUNCATE)) {
		rc = f->fail_rc;
	} else {
		fake_resize(f, size);
		add_event(f, (struct event){ .kind = EV_TRUNCATE, .off = size });
		f->completed = f->nr_ev;
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static int fake_aio_size(struct aio *a, uint64_t *ret_size)
{
	*ret_size = CONTAINER_OF(a, struct fake, a)->size;
	return 0;
}

static void fake_aio_close(struct aio *a)
{
	struct fake *f = CONTAINER_OF(a, struct fake, a);

	if (!f->threaded)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
}

static const struct aio_ops fake_ops = {
	.submit = fake_submit,
	.truncate = fake_truncate,
	.size = fake_aio_size,
	.close = fake_aio_close,
};

struct aio *fake_open(struct fake *f, bool threaded, uint64_t seed)
{
	f->a = (struct aio){ .ops = &fake_ops, .fd = -1 };
	f->threaded = threaded;
	f->stop = false;
	f->rng = seed;
	f->completed = f->nr_ev;
	BUG_IF(threaded && pthread_create(&f->thread, NULL, fake_thread, f) != 0);
	return &f->a;
}
