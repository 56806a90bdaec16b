/*
 * worker.c - the threads that read the guest's rings
 *
 * A channel belongs to one worker for its whole life, so the reading side of
 * a ring and the device behind it need no lock.  HvSignalEvent sets one bit
 * and, only if the worker sleeps, wakes it.
 *
 * Whoever sleeps says so first and looks at the bits afterwards; whoever sets
 * a bit looks at the sleeper afterwards.  One of the two sees the other.
 *
 * Lock     worker.lock for tasks and sleeping; the rest is [worker]
 */
#include "vmbus/vmbus_priv.h"

#include <stdlib.h>
#include <time.h>

/* A guest that does not honour the pending send size never tells us of room. */
#define BLOCKED_POLL_NS 2000000u

static void worker_wake(struct vworker *w)
{
	if (!atomic_load(&w->idle))
		return;
	pthread_mutex_lock(&w->lock);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void vworker_kick(struct vworker *w, uint32_t relid)
{
	uint64_t bit = UINT64_C(1) << (relid % 64);

	if (atomic_fetch_or(&w->pending[relid / 64], bit) & bit)
		return;			/* whoever set it woke the worker */
	worker_wake(w);
}

void vworker_scan(struct vworker *w)
{
	if (!atomic_exchange(&w->scan, true))
		worker_wake(w);
}

static void worker_submit(struct vworker *w, struct task *t)
{
	t->next = NULL;
	t->done = false;
	pthread_mutex_lock(&w->lock);
	*w->last = t;
	w->last = &t->next;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static void worker_wait(struct vworker *w, struct task *t)
{
	pthread_mutex_lock(&w->lock);
	while (!t->done)
		pthread_cond_wait(&w->done, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void vworker_run(struct vworker *w, void (*fn)(void *arg), void *arg)
{
	struct task t = { .fn = fn, .arg = arg };

	worker_submit(w, &t);
	worker_wait(w, &t);
}

static void worker_park(void *arg)
{
	struct vmbus *b = arg;

	pthread_mutex_lock(&b->park.lock);
	b->park.parked++;
	pthread_cond_broadcast(&b->park.cond);
	while (b->park.hold)
		pthread_cond_wait(&b->park.cond, &b->park.lock);
	pthread_mutex_unlock(&b->park.lock);
}

void vworker_run_parked(struct vmbus *b, void (*fn)(void *arg), void *arg)
{
	struct task tasks[MAX_WORKERS];

	b->park.parked = 0;
	b->park.hold = true;
	for (unsigned i = 0; i < b->nr_workers; i++) {
		tasks[i] = (struct task){ .fn = worker_park, .arg = b };
		worker_submit(&b->workers[i], &tasks[i]);
	}
	pthread_mutex_lock(&b->park.lock);
	while (b->park.parked < b->nr_workers)
		pthread_cond_wait(&b->park.cond, &b->park.lock);
	pthread_mutex_unlock(&b->park.lock);
	fn(arg);
	pthread_mutex_lock(&b->park.lock);
	b->park.hold = false;
	pthread_cond_broadcast(&b->park.cond);
	pthread_mutex_unlock(&b->park.lock);
	for (unsigned i = 0; i < b->nr_workers; i++)
		worker_wait(&b->workers[i], &tasks[i]);
}

/* Protocol 0.13: the guest set bits in the upper half of its interrupt page. */
static void worker_scan_page(struct vworker *w)
{
	if (w->int_page == 0)
		return;
	for (uint32_t i = 0; i < NR_RELIDS / 32; i++) {
		uint64_t gpa = w->int_page + PAGE_SIZE / 2 + 4 * i;
		uint32_t bits;

		if (gmem_load32(w->bus->mem, gpa, &bits) < 0 || bits == 0 ||
		    gmem_and32(w->bus->mem, gpa, 0, &bits) < 0)
			continue;
		for (; bits != 0; bits &= bits - 1) {
			uint32_t relid = i * 32 + (uint32_t)__builtin_ctz(bits);
			uint8_t owner = atomic_load(&w->bus->owner[relid]);

			if (owner != 0)
				vworker_kick(&w->bus->workers[owner - 1], relid);
		}
	}
}

bool vworker_has_signal(struct vworker *w)
{
	if (atomic_load(&w->scan))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(w->pending); i++)
		if (atomic_load(&w->pending[i]) != 0)
			return true;
	return false;
}

static bool worker_has_work(struct vworker *w)
{
	return w->first != NULL || w->stop || vworker_has_signal(w);
}

static void worker_sleep(struct vworker *w)
{
	struct timespec at;

	if (w->nr_blocked == 0) {
		pthread_cond_wait(&w->wake, &w->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += BLOCKED_POLL_NS;
	if (at.tv_nsec >= (long)NS_PER_SEC) {
		at.tv_nsec -= (long)NS_PER_SEC;
		at.tv_sec++;
	}
	if (pthread_cond_timedwait(&w->wake, &w->lock, &at) != ETIMEDOUT)
		return;
	for (uint32_t i = 0; i < NR_RELIDS; i++)
		if (w->chans[i] != NULL && w->chans[i]->blocked)
			atomic_fetch_or(&w->pending[i / 64], UINT64_C(1) << (i % 64));
}

/* The next task, if any; sleeps while there is nothing at all to do. */
static struct task *worker_next(struct vworker *w, bool *ret_stop)
{
	struct task *t;

	pthread_mutex_lock(&w->lock);
	atomic_store(&w->idle, true);
	while (!worker_has_work(w))
		worker_sleep(w);
	atomic_store(&w->idle, false);
	t = w->first;
	if (t != NULL) {
		w->first = t->next;
		if (w->first == NULL)
			w->last = &w->first;
	}
	*ret_stop = w->stop && t == NULL;
	pthread_mutex_unlock(&w->lock);
	return t;
}

static void worker_poll(struct vworker *w)
{
	if (atomic_exchange(&w->scan, false))
		worker_scan_page(w);
	for (uint32_t i = 0; i < ARRAY_LEN(w->pending); i++) {
		uint64_t bits;

		if (atomic_load_explicit(&w->pending[i], memory_order_relaxed) == 0)
			continue;
		bits = atomic_exchange(&w->pending[i], 0);
		for (; bits != 0; bits &= bits - 1) {
			struct chan *c = w->chans[i * 64 + (unsigned)__builtin_ctzll(bits)];

			if (c != NULL)
				chan_poll(c);
		}
	}
}

static void *worker_main(void *arg)
{
	struct vworker *w = arg;
	bool stop = false;

	while (!stop) {
		struct task *t = worker_next(w, &stop);

		if (t != NULL) {
			t->fn(t->arg);
			pthread_mutex_lock(&w->lock);
			t->done = true;
			pthread_cond_broadcast(&w->done);
			pthread_mutex_unlock(&w->lock);
		}
		worker_poll(w);
	}
	return NULL;
}

int vworker_start(struct vworker *w, struct vmbus *b, unsigned index)
{
	pthread_condattr_t attr;
	int rc;

	w->bus = b;
	w->index = index;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_cond_init(&w->done, NULL);
	pthread_condattr_destroy(&attr);
	rc = -pthread_create(&w->thread, NULL, worker_main, w);
	w->started = rc == 0;
	return rc;
}

void vworker_stop(struct vworker *w)
{
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
		pthread_cond_destroy(&w->wake);
		pthread_cond_destroy(&w->done);
		pthread_mutex_destroy(&w->lock);
		w->started = false;
	}
}
