/*
 * clock.c - virtual time, and the thread that fires timers on it
 *
 * Timers are a binary heap by moment.  The thread sleeps until the first one
 * is due; while nothing is armed, or the machine is stopped, it sleeps until
 * somebody calls.  A timer that is armed later than the thread's present
 * alarm wakes nobody: guests push their next tick out all the time.
 *
 * The kernel rounds sleeps up by a slack of 50 microseconds unless told
 * otherwise; a guest's high-resolution timers would inherit that.
 *
 * Lock     c->lock, a leaf: never held around a callback.  Reading the time
 *          takes no lock (a sequence count).
 */
#include "dev/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define NOT_QUEUED SIZE_MAX

struct timer {
	struct clock *clock;		/* [const] */
	void (*fn)(void *arg);		/* [const] */
	void *arg;
	uint64_t at;			/* [lock] meaningful while queued */
	size_t pos;			/* [lock] in the heap, or NOT_QUEUED */
};

struct clock {
	pthread_mutex_t lock;
	pthread_cond_t wake;		/* the thread: the first moment came nearer, or quit */
	pthread_cond_t idle;		/* others: a callback has returned */
	pthread_t thread;
	bool manual;			/* [const] */
	bool quit;			/* [lock] */
	bool watched;			/* [lock] another thread sleeps until the first moment too */

	_Atomic uint32_t seq;		/* odd while the three below change */
	_Atomic bool running;
	_Atomic uint64_t frozen;	/* the time, while not running or manual */
	_Atomic uint64_t offset;	/* host monotonic time at virtual 0, while running */

	struct timer **heap;		/* [lock] [owned] room for nr_timers */
	size_t nr_heap, nr_timers, cap;
	uint64_t alarm;			/* [lock] what the thread sleeps for */
	struct timer *firing;		/* [lock] whose callback runs now */
	pthread_t firer;		/* [lock] and on which thread, while firing */
};

static void heap_put(struct clock *c, size_t pos, struct timer *t)
{
	c->heap[pos] = t;
	t->pos = pos;
}

static void heap_up(struct clock *c, size_t pos, struct timer *t)
{
	while (pos > 0 && c->heap[(pos - 1) / 2]->at > t->at) {
		heap_put(c, pos, c->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	heap_put(c, pos, t);
}

static void heap_down(struct clock *c, size_t pos, struct timer *t)
{
	for (;;) {
		size_t kid = 2 * pos + 1;

		if (kid + 1 < c->nr_heap && c->heap[kid + 1]->at < c->heap[kid]->at)
			kid++;
		if (kid >= c->nr_heap || c->heap[kid]->at >= t->at)
			break;
		heap_put(c, pos, c->heap[kid]);
		pos = kid;
	}
	heap_put(c, pos, t);
}

static void heap_remove(struct clock *c, struct timer *t)
{
	size_t pos = t->pos;
	struct timer *last;

	if (pos == NOT_QUEUED)
		return;
	t->pos = NOT_QUEUED;
	last = c->heap[--c->nr_heap];
	if (last == t)
		return;
	if (pos > 0 && c->heap[(pos - 1) / 2]->at > last->at)
		heap_up(c, pos, last);
	else
		heap_down(c, pos, last);
}

static uint64_t first_moment(const struct clock *c)
{
	return c->nr_heap > 0 ? c->heap[0]->at : TIMER_NEVER;
}

uint64_t clock_now_ns(struct clock *c)
{
	for (;;) {
		uint32_t seq = atomic_load_explicit(&c->seq, memory_order_acquire);
		uint64_t now;

		if (atomic_load_explicit(&c->running, memory_order_acquire))
			now = base_monotonic_ns() -
			      atomic_load_explicit(&c->offset, memory_order_acquire);
		else
			now = atomic_load_explicit(&c->frozen, memory_order_acquire);
		if ((seq & 1) == 0 &&
		    atomic_load_explicit(&c->seq, memory_order_relaxed) == seq)
			return now;
	}
}

/* Runs the first timer's callback with the lock dropped. */
static void fire_first(struct clock *c)
{
	struct timer *t = c->heap[0];
	void (*fn)(void *arg) = t->fn;
	void *arg = t->arg;

	heap_remove(c, t);
	c->firing = t;
	c->firer = pthread_self();
	pthread_mutex_unlock(&c->lock);
	fn(arg);	/* may free T */
	pthread_mutex_lock(&c->lock);
	c->firing = NULL;
	pthread_cond_broadcast(&c->idle);
}

static void sleep_until(struct clock *c, uint64_t at)
{
	uint64_t host;
	struct timespec ts;

	c->alarm = at;
	if (at == TIMER_NEVER ||
	    __builtin_add_overflow(at, atomic_load(&c->offset), &host)) {
		pthread_cond_wait(&c->wake, &c->lock);
	} else {
		ts.tv_sec = (time_t)(host / NS_PER_SEC);
		ts.tv_nsec = (long)(host % NS_PER_SEC);
		pthread_cond_timedwait(&c->wake, &c->lock, &ts);
	}
	c->alarm = 0;
}

/* The first timer, when it is due and no other thread is at it. */
static bool is_due(struct clock *c)
{
	return c->nr_heap > 0 && c->firing == NULL && atomic_load(&c->running) &&
	       first_moment(c) <= clock_now_ns(c);
}

static void *clock_thread(void *arg)
{
	struct clock *c = arg;

	prctl(PR_SET_NAME, "clock");
	prctl(PR_SET_TIMERSLACK, 1);
	pthread_mutex_lock(&c->lock);
	while (!c->quit) {
		if (c->firing != NULL)
			pthread_cond_wait(&c->idle, &c->lock);
		else if (is_due(c))
			fire_first(c);
		else
			sleep_until(c, atomic_load(&c->running) ? first_moment(c) : TIMER_NEVER);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

uint64_t clock_watch(struct clock *c)
{
	uint64_t host = TIMER_NEVER;

	pthread_mutex_lock(&c->lock);
	if (!c->manual && !c->watched && c->nr_heap > 0 && atomic_load(&c->running)) {
		if (__builtin_add_overflow(first_moment(c), atomic_load(&c->offset), &host))
			host = TIMER_NEVER;
		c->watched = host != TIMER_NEVER;
	}
	pthread_mutex_unlock(&c->lock);
	return host;
}

void clock_fire_due(struct clock *c)
{
	pthread_mutex_lock(&c->lock);
	while (is_due(c))
		fire_first(c);
	c->watched = false;
	pthread_mutex_unlock(&c->lock);
}

static struct clock *clock_alloc(void)
{
	struct clock *c = new0(struct clock);
	pthread_condattr_t attr;

	if (c == NULL)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&c->idle, NULL);
	return c;
}

static void clock_destroy(struct clock *c)
{
	pthread_cond_destroy(&c->idle);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c->heap);
	free(c);
}

/* Signals are for the threads that wait for them; this one has none of its own. */
static int start_thread(struct clock *c)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&c->thread, NULL, clock_thread, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int clock_new(struct clock **ret_c)
{
	struct clock *c = clock_alloc();
	int rc;

	if (c == NULL)
		return -ENOMEM;
	atomic_store(&c->offset, base_monotonic_ns());
	atomic_store(&c->running, true);
	rc = start_thread(c);
	if (rc < 0) {
		clock_destroy(c);
		return rc;
	}
	*ret_c = c;
	return 0;
}

int clock_new_manual(struct clock **ret_c)
{
	struct clock *c = clock_alloc();

	if (c == NULL)
		return -ENOMEM;
	c->manual = true;
	*ret_c = c;
	return 0;
}

void clock_free(struct clock *c)
{
	if (c == NULL)
		return;
	BUG_IF(c->nr_timers != 0);
	if (!c->manual) {
		pthread_mutex_lock(&c->lock);
		c->quit = true;
		pthread_cond_signal(&c->wake);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	clock_destroy(c);
}

void clock_step(struct clock *c, uint64_t ns)
{
	uint64_t end;

	BUG_IF(!c->manual);
	pthread_mutex_lock(&c->lock);
	end = atomic_load(&c->frozen) + ns;
	while (first_moment(c) <= end && c->nr_heap > 0) {
		if (first_moment(c) > atomic_load(&c->frozen))
			atomic_store(&c->frozen, first_moment(c));
		fire_first(c);
	}
	atomic_store(&c->frozen, end);
	pthread_mutex_unlock(&c->lock);
}

/* Waits for a callback of T (NULL: of any timer), unless this is inside it. */
static void wait_idle(struct clock *c, const struct timer *t)
{
	while (c->firing != NULL && (t == NULL || c->firing == t) &&
	       !pthread_equal(c->firer, pthread_self()))
		pthread_cond_wait(&c->idle, &c->lock);
}

void clock_stop(struct clock *c)
{
	pthread_mutex_lock(&c->lock);
	if (atomic_load(&c->running)) {
		atomic_fetch_add(&c->seq, 1);
		atomic_store(&c->frozen, base_monotonic_ns() - atomic_load(&c->offset));
		atomic_store(&c->running, false);
		atomic_fetch_add(&c->seq, 1);
	}
	wait_idle(c, NULL);
	pthread_mutex_unlock(&c->lock);
}

void clock_start(struct clock *c)
{
	pthread_mutex_lock(&c->lock);
	if (!c->manual && !atomic_load(&c->running)) {
		atomic_fetch_add(&c->seq, 1);
		atomic_store(&c->offset, base_monotonic_ns() - atomic_load(&c->frozen));
		atomic_store(&c->running, true);
		atomic_fetch_add(&c->seq, 1);
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
}

/* Room in the heap for one more timer, so that arming never allocates. */
static bool heap_reserve(struct clock *c)
{
	size_t cap = c->cap ? c->cap * 2 : 16;
	struct timer **heap;

	if (c->nr_timers < c->cap)
		return true;
	heap = new_array(struct timer *, cap);
	if (heap == NULL)
		return false;
	if (c->nr_heap > 0)
		memcpy(heap, c->heap, c->nr_heap * sizeof(*heap));
	free(c->heap);
	c->heap = heap;
	c->cap = cap;
	return true;
}

int timer_new(struct clock *c, void (*fn)(void *arg), void *arg, struct timer **ret_t)
{
	struct timer *t = new0(struct timer);
	bool ok;

	if (t == NULL)
		return -ENOMEM;
	*t = (struct timer){ .clock = c, .fn = fn, .arg = arg, .pos = NOT_QUEUED };
	pthread_mutex_lock(&c->lock);
	ok = heap_reserve(c);
	if (ok)
		c->nr_timers++;
	pthread_mutex_unlock(&c->lock);
	if (!ok) {
		free(t);
		return -ENOMEM;
	}
	*ret_t = t;
	return 0;
}

void timer_arm(struct timer *t, uint64_t at_ns)
{
	struct clock *c = t->clock;

	pthread_mutex_lock(&c->lock);
	heap_remove(c, t);
	if (at_ns != TIMER_NEVER) {
		t->at = at_ns;
		heap_up(c, c->nr_heap++, t);
		if (at_ns < c->alarm && !c->manual && atomic_load(&c->running))
			pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
}

void timer_free(struct timer *t)
{
	struct clock *c;

	if (t == NULL)
		return;
	c = t->clock;
	pthread_mutex_lock(&c->lock);
	heap_remove(c, t);
	wait_idle(c, t);
	heap_remove(c, t);	/* its callback may have armed it once more */
	c->nr_timers--;
	pthread_mutex_unlock(&c->lock);
	free(t);
}
