#include "base/test.h"

#include "dev/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct log {
	struct clock *c;
	uint64_t at[64];
	unsigned id[64];
	unsigned n;
};

struct probe {
	struct log *log;
	unsigned id;
	struct timer *t;
	uint64_t again;		/* re-arm this much later, 0 = not */
};

static void probe_fire(void *arg)
{
	struct probe *p = arg;
	struct log *l = p->log;

	if (l->n < ARRAY_LEN(l->at)) {
		l->at[l->n] = clock_now_ns(l->c);
		l->id[l->n++] = p->id;
	}
	if (p->again != 0)
		timer_arm(p->t, clock_now_ns(l->c) + p->again);
}

static void manual_timers_fire_in_order_and_see_their_moment(void **s)
{
	static const uint64_t at[] = { 70, 10, 50, 30, 60, 20, 40 };
	struct log l = { 0 };
	struct probe p[7];

	(void)s;
	CHECK_EQ(clock_new_manual(&l.c), 0);
	for (unsigned i = 0; i < 7; i++) {
		p[i] = (struct probe){ .log = &l, .id = i };
		CHECK_EQ(timer_new(l.c, probe_fire, &p[i], &p[i].t), 0);
		timer_arm(p[i].t, at[i]);
	}
	timer_arm(p[2].t, TIMER_NEVER);		/* 50 is taken back */
	timer_arm(p[0].t, 15);			/* 70 moves to 15 */
	clock_step(l.c, 15);
	CHECK_EQ(l.n, 2);
	CHECK_EQ(clock_now_ns(l.c), 15);
	timer_arm(p[2].t, 3);			/* in the past: at the next chance, at once */
	CHECK_EQ(l.n, 2);
	clock_step(l.c, 0);
	CHECK_EQ(l.n, 3);
	CHECK_EQ(l.at[2], 15);
	clock_step(l.c, 1000);
	CHECK_EQ(clock_now_ns(l.c), 1015);
	CHECK_EQ(l.n, 7);
	CHECK_EQ(l.id[0], 1);
	CHECK_EQ(l.id[1], 0);
	CHECK_EQ(l.at[1], 15);
	CHECK_EQ(l.id[3], 5);
	CHECK_EQ(l.id[6], 4);
	CHECK_EQ(l.at[6], 60);
	for (unsigned i = 0; i < 7; i++)
		timer_free(p[i].t);
	clock_free(l.c);
}

static void the_heap_keeps_order_under_random_arming(void **s)
{
	struct log l = { 0 };
	struct probe p[40];
	uint64_t at[40];

	(void)s;
	srand(1);
	CHECK_EQ(clock_new_manual(&l.c), 0);
	for (unsigned i = 0; i < 40; i++) {
		p[i] = (struct probe){ .log = &l, .id = i };
		CHECK_EQ(timer_new(l.c, probe_fire, &p[i], &p[i].t), 0);
		at[i] = TIMER_NEVER;
	}
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned k = 0; k < 60; k++) {
			unsigned i = (unsigned)rand() % 40;

			at[i] = rand() % 4 == 0 ? TIMER_NEVER :
				clock_now_ns(l.c) + (unsigned)rand() % 100 + 1;
			timer_arm(p[i].t, at[i]);
		}
		l.n = 0;
		clock_step(l.c, 100);
		for (unsigned k = 0; k < l.n; k++) {
			CHECK_EQ(l.at[k], at[l.id[k]]);
			CHECK(k == 0 || l.at[k - 1] <= l.at[k]);
			at[l.id[k]] = TIMER_NEVER;
		}
		for (unsigned i = 0; i < 40; i++)
			CHECK(at[i] == TIMER_NEVER);
	}
	for (unsigned i = 0; i < 40; i++)
		timer_free(p[i].t);
	clock_free(l.c);
}

static void a_callback_may_arm_its_own_timer(void **s)
{
	struct log l = { 0 };
	struct probe p = { .log = &l, .again = 10 };

	(void)s;
	CHECK_EQ(clock_new_manual(&l.c), 0);
	CHECK_EQ(timer_new(l.c, probe_fire, &p, &p.t), 0);
	timer_arm(p.t, 10);
	clock_step(l.c, 55);
	CHECK_EQ(l.n, 5);
	CHECK_EQ(l.at[4], 50);
	timer_free(p.t);
	clock_free(l.c);
}

static void free_self(void *arg)
{
	timer_free(*(struct timer **)arg);
	*(struct timer **)arg = NULL;
}

static void a_callback_may_free_its_own_timer(void **s)
{
	struct clock *c;
	struct timer *t;

	(void)s;
	CHECK_EQ(clock_new_manual(&c), 0);
	CHECK_EQ(timer_new(c, free_self, &t, &t), 0);
	timer_arm(t, 1);
	clock_step(c, 2);
	CHECK(t == NULL);
	clock_free(c);
}

static void wait_for(const _Atomic uint64_t *word)
{
	for (unsigned i = 0; i < 20000 && atomic_load(word) == 0; i++)
		usleep(100);
}

struct stamp {
	struct clock *c;
	_Atomic uint64_t when;
};

static void stamp_fire(void *arg)
{
	struct stamp *st = arg;

	atomic_store(&st->when, clock_now_ns(st->c));
}

/* Never early; and the median of many is far below the default slack. */
static void real_timers_are_never_early_and_seldom_late(void **s)
{
	struct stamp st = { 0 };
	struct timer *t;
	uint64_t best = UINT64_MAX;

	(void)s;
	CHECK_EQ(clock_new(&st.c), 0);
	CHECK_EQ(timer_new(st.c, stamp_fire, &st, &t), 0);
	for (unsigned i = 0; i < 50; i++) {
		uint64_t at = clock_now_ns(st.c) + 1000000;

		atomic_store(&st.when, 0);
		timer_arm(t, at);
		wait_for(&st.when);
		CHECK(atomic_load(&st.when) >= at);
		best = min_u64(best, atomic_load(&st.when) - at);
	}
	CHECK(best < 1000000);
	timer_free(t);
	clock_free(st.c);
}

static void a_nearer_moment_replaces_a_farther_one(void **s)
{
	struct stamp a = { 0 }, b = { 0 };
	struct timer *ta, *tb;

	(void)s;
	CHECK_EQ(clock_new(&a.c), 0);
	b.c = a.c;
	CHECK_EQ(timer_new(a.c, stamp_fire, &a, &ta), 0);
	CHECK_EQ(timer_new(a.c, stamp_fire, &b, &tb), 0);
	timer_arm(ta, clock_now_ns(a.c) + 3600 * NS_PER_SEC);
	usleep(2000);		/* the thread sleeps for the hour now */
	timer_arm(tb, clock_now_ns(a.c) + 1000);
	wait_for(&b.when);
	CHECK(atomic_load(&b.when) != 0);
	CHECK(atomic_load(&a.when) == 0);
	timer_arm(ta, 0);	/* long past */
	wait_for(&a.when);
	CHECK(atomic_load(&a.when) != 0);
	timer_free(ta);
	timer_free(tb);
	clock_free(a.c);
}

static void stopped_time_stands_still_and_fires_nothing(void **s)
{
	struct stamp st = { 0 };
	struct timer *t;
	uint64_t t0, at;

	(void)s;
	CHECK_EQ(clock_new(&st.c), 0);
	CHECK_EQ(timer_new(st.c, stamp_fire, &st, &t), 0);
	clock_stop(st.c);
	clock_stop(st.c);
	t0 = clock_now_ns(st.c);
	at = t0 + 2000000;
	timer_arm(t, at);
	usleep(10000);
	CHECK_EQ(clock_now_ns(st.c), t0);
	CHECK_EQ(atomic_load(&st.when), 0);
	clock_start(st.c);
	CHECK(clock_now_ns(st.c) < t0 + 9000000);	/* the 10 ms did not happen */
	wait_for(&st.when);
	CHECK(atomic_load(&st.when) >= at);
	timer_free(t);
	clock_free(st.c);
}

/* One thread at a time watches; it fires what is due, unless the clock's has done so. */
static void who_watches_fires(void **s)
{
	struct stamp st = { 0 };
	struct timer *t;
	uint64_t until;

	(void)s;
	CHECK_EQ(clock_new(&st.c), 0);
	CHECK_EQ(timer_new(st.c, stamp_fire, &st, &t), 0);
	CHECK_EQ(clock_watch(st.c), TIMER_NEVER);	/* nothing is armed */
	for (unsigned i = 0; i < 100; i++) {
		uint64_t at = clock_now_ns(st.c) + 100000, before = base_monotonic_ns();

		atomic_store(&st.when, 0);
		timer_arm(t, at);
		until = clock_watch(st.c);
		if (until == TIMER_NEVER)		/* fired already */
			continue;
		CHECK(until > before && until <= before + 1000000000);
		CHECK_EQ(clock_watch(st.c), TIMER_NEVER);
		while (base_monotonic_ns() < until)
			;
		clock_fire_due(st.c);
		wait_for(&st.when);
		CHECK(atomic_load(&st.when) >= at);
	}
	timer_arm(t, clock_now_ns(st.c) + 3600 * NS_PER_SEC);
	clock_stop(st.c);
	CHECK_EQ(clock_watch(st.c), TIMER_NEVER);
	timer_free(t);
	clock_free(st.c);
}

static void slow_fire(void *arg)
{
	struct stamp *st = arg;

	atomic_store(&st->when, 1);
	usleep(20000);
	atomic_store(&st->when, 2);
}

static void free_and_stop_wait_for_a_running_callback(void **s)
{
	struct stamp st = { 0 };
	struct timer *t;

	(void)s;
	CHECK_EQ(clock_new(&st.c), 0);
	for (unsigned stop = 0; stop < 2; stop++) {
		CHECK_EQ(timer_new(st.c, slow_fire, &st, &t), 0);
		atomic_store(&st.when, 0);
		timer_arm(t, 0);
		wait_for(&st.when);
		if (stop)
			clock_stop(st.c);
		else
			timer_free(t);
		CHECK_EQ(atomic_load(&st.when), 2);
	}
	timer_free(t);
	clock_free(st.c);
}

static void *stop_and_start(void *arg)
{
	for (unsigned i = 0; i < 2000; i++) {
		clock_stop(arg);
		clock_start(arg);
	}
	return NULL;
}

static void time_never_goes_back(void **s)
{
	struct clock *c;
	pthread_t th;
	uint64_t last = 0;

	(void)s;
	CHECK_EQ(clock_new(&c), 0);
	CHECK_EQ(pthread_create(&th, NULL, stop_and_start, c), 0);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t now = clock_now_ns(c);

		CHECK(now >= last);
		last = now;
	}
	pthread_join(th, NULL);
	clock_free(c);
}

static long switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_nvcsw;
}

static void nobody_wakes_while_nothing_is_armed(void **s)
{
	struct clock *c;
	long before;

	(void)s;
	CHECK_EQ(clock_new(&c), 0);
	usleep(20000);
	before = switches();
	usleep(100000);
	CHECK(switches() - before <= 2);	/* our own sleep */
	clock_free(c);
}

static void failed_allocations_are_reported(void **s)
{
	struct clock *c = NULL;
	struct timer *t = NULL;

	(void)s;
	base_fail_alloc(1);
	CHECK_EQ(clock_new(&c), -ENOMEM);
	base_fail_alloc(1);
	CHECK_EQ(clock_new_manual(&c), -ENOMEM);
	CHECK_EQ(clock_new_manual(&c), 0);
	for (unsigned n = 1; n <= 2; n++) {
		base_fail_alloc(n);
		CHECK_EQ(timer_new(c, free_self, NULL, &t), -ENOMEM);
	}
	base_fail_alloc(0);
	CHECK(t == NULL);
	clock_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manual_timers_fire_in_order_and_see_their_moment),
		cmocka_unit_test(the_heap_keeps_order_under_random_arming),
		cmocka_unit_test(a_callback_may_arm_its_own_timer),
		cmocka_unit_test(a_callback_may_free_its_own_timer),
		cmocka_unit_test(real_timers_are_never_early_and_seldom_late),
		cmocka_unit_test(a_nearer_moment_replaces_a_farther_one),
		cmocka_unit_test(stopped_time_stands_still_and_fires_nothing),
		cmocka_unit_test(who_watches_fires),
		cmocka_unit_test(free_and_stop_wait_for_a_running_callback),
		cmocka_unit_test(time_never_goes_back),
		cmocka_unit_test(nobody_wakes_while_nothing_is_armed),
		cmocka_unit_test(failed_allocations_are_reported),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
