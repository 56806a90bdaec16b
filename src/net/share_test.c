#include "base/test.h"

#include "net/share.c"		/* the file under test, statics and all */

#define MBIT UINT64_C(1000000)

static struct share *s;
static uint64_t now;

static void begin(uint64_t bps, bool absolute, uint32_t default_weight)
{
	const struct share_conf c = { .rate = bps / 8, .absolute = absolute, .default_weight = default_weight };

	now = NS_PER_SEC;
	CHECK_EQ(share_new(&s), 0);
	share_start(s, &c, now);
}

struct sender {
	uint32_t weight;
	uint32_t frame;
	uint64_t bps;			/* that it wants; 0 = as much as it gets */
	uint64_t sent, wake_ns;
	bool off;
};

/* All send for SECONDS, each as soon as it may and no sooner than it was told. */
static void run(struct sender *x, unsigned nr, unsigned seconds)
{
	uint64_t first = now, end = now + seconds * NS_PER_SEC;

	for (unsigned i = 0; i < nr; i++)
		x[i].sent = 0;
	for (; now < end; now += 10000)
		for (unsigned i = 0; i < nr; i++)
			while (!x[i].off && now >= x[i].wake_ns &&
			       (x[i].bps == 0 || x[i].sent * 8 < (now - first) / 1000 * (x[i].bps / 1000) / 1000)) {
				uint64_t wait = share_wait_ns(s, i, x[i].weight, x[i].frame, now);

				x[i].wake_ns = now + wait;
				if (wait != 0)
					break;
				share_charge(s, i, x[i].weight, x[i].frame, now);
				x[i].sent += x[i].frame;
			}
}

/* Within so much of a hundred of that, for SECONDS. */
static void within(const struct sender *x, uint64_t bps, unsigned seconds, unsigned percent)
{
	uint64_t want = bps / 8 * seconds;

	if (x->sent < want - want * percent / 100 || x->sent > want + want * percent / 100)
		print_error("%llu instead of %llu\n", (unsigned long long)x->sent, (unsigned long long)want);
	CHECK(x->sent >= want - want * percent / 100);
	CHECK(x->sent <= want + want * percent / 100);
}

static void sent(const struct sender *x, uint64_t bps, unsigned seconds)
{
	within(x, bps, seconds, 2);
}

static void one_alone_has_all_of_it(void **state)
{
	static const uint64_t rates[] = { MBIT, 10 * MBIT, 1000 * MBIT, 40000 * MBIT };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
		struct sender x = { .weight = 1, .frame = 1514 };

		begin(rates[i], false, 1);
		run(&x, 1, 10);
		sent(&x, rates[i], 10);
		share_free(s);
	}
}

static void weights_divide_what_there_is(void **state)
{
	struct sender x[] = { { .weight = 10, .frame = 1514 }, { .weight = 30, .frame = 64 },
			      { .weight = 60, .frame = 65000 } };

	(void)state;
	begin(100 * MBIT, false, 1);
	run(x, 3, 10);
	sent(&x[0], 10 * MBIT, 10);
	sent(&x[1], 30 * MBIT, 10);
	sent(&x[2], 60 * MBIT, 10);
	x[2].off = true;			/* what it leaves goes to the others by weight */
	run(x, 3, 1);
	run(x, 3, 10);
	sent(&x[0], 25 * MBIT, 10);
	sent(&x[1], 75 * MBIT, 10);
	x[2].off = false;
	run(x, 3, 1);
	run(x, 3, 10);
	sent(&x[2], 60 * MBIT, 10);
	share_free(s);
}

static void who_wants_less_leaves_the_rest(void **state)
{
	struct sender x[] = { { .weight = 50, .frame = 1000, .bps = 5 * MBIT }, { .weight = 25, .frame = 1000 },
			      { .weight = 25, .frame = 1000 } };

	(void)state;
	begin(100 * MBIT, false, 1);
	run(x, 3, 10);
	sent(&x[0], 5 * MBIT, 10);
	sent(&x[1], 47500000, 10);
	sent(&x[2], 47500000, 10);
	share_free(s);
}

static void those_without_a_weight_are_one_together(void **state)
{
	struct sender x[] = { { .weight = 30, .frame = 1514 }, { .frame = 1514 }, { .frame = 700 }, { .frame = 1514 } };

	(void)state;
	begin(100 * MBIT, false, 30);
	run(x, 4, 10);
	sent(&x[0], 50 * MBIT, 10);
	for (unsigned i = 1; i < 4; i++)
		sent(&x[i], 50 * MBIT / 3, 10);
	x[2].bps = MBIT;
	run(x, 4, 10);
	sent(&x[0], 50 * MBIT, 10);
	sent(&x[1], 24500000, 10);
	sent(&x[3], 24500000, 10);
	share_free(s);
}

/* What is reserved is there; the rest is everybody's alike. */
static void reservations_are_kept(void **state)
{
	struct sender x[] = { { .weight = 60000, .frame = 1514 }, { .weight = 10000, .frame = 1514 }, { .frame = 1514 } };

	(void)state;
	begin(100 * MBIT, true, 0);
	run(x, 3, 10);
	sent(&x[0], 70 * MBIT, 10);
	sent(&x[1], 20 * MBIT, 10);
	sent(&x[2], 10 * MBIT, 10);
	x[0].bps = 30 * MBIT;
	run(x, 3, 10);
	sent(&x[0], 30 * MBIT, 10);
	sent(&x[1], 40 * MBIT, 10);
	sent(&x[2], 30 * MBIT, 10);
	share_free(s);
}

static void everybody_at_once(void **state)
{
	static struct sender x[SHARE_FLOWS];
	uint64_t all = 0;

	(void)state;
	for (unsigned i = 0; i < SHARE_FLOWS; i++)
		x[i] = (struct sender){ .frame = 1514 };
	begin(1000 * MBIT, false, 1);
	run(x, SHARE_FLOWS, 5);
	for (unsigned i = 0; i < SHARE_FLOWS; i++) {
		CHECK(x[i].sent >= 5 * 125 * MBIT / SHARE_FLOWS * 9 / 10);
		CHECK(x[i].sent <= 5 * 125 * MBIT / SHARE_FLOWS * 11 / 10);
		all += x[i].sent;
	}
	CHECK(all <= 5 * 125 * MBIT * 102 / 100);
	share_free(s);
}

/* Without a rate: a receiver that takes so many bytes a ms, holds four times that, and says no to all others. */
static void run_full(struct sender *x, unsigned nr, uint32_t per_ms, unsigned seconds)
{
	uint32_t room = 0;

	for (unsigned i = 0; i < nr; i++)
		x[i].sent = 0;
	for (unsigned ms = 0; ms < seconds * 1000; ms++, now += 1000000) {
		unsigned quiet = 0;

		room = (uint32_t)min_u64(room + per_ms, 4 * per_ms);

		/* All try, one after the other, until nobody can. */
		for (unsigned i = 0; quiet < nr; i = (i + 1) % nr) {
			quiet++;
			if (x[i].off || share_wait_ns(s, i, x[i].weight, x[i].frame, now) != 0)
				continue;
			if (room < x[i].frame) {
				share_full(s, now);
				continue;
			}
			room -= x[i].frame;
			x[i].sent += x[i].frame;
			share_charge(s, i, x[i].weight, x[i].frame, now);
			quiet = 0;
		}
	}
}

static void a_full_receiver_is_divided_too(void **state)
{
	struct sender x[] = { { .weight = 10, .frame = 1500 }, { .weight = 30, .frame = 1000 },
			      { .weight = 60, .frame = 500 } };
	uint64_t all;

	(void)state;
	begin(0, false, 1);
	CHECK(share_is_idle(s, now));
	run_full(x, 3, 30000, 10);
	CHECK(!share_is_idle(s, now));
	all = (x[0].sent + x[1].sent + x[2].sent) * 8;
	CHECK(all >= 85 * 24 * MBIT);		/* 85 in a hundred of what it could */
	within(&x[0], all / 10, 1, 10);
	within(&x[1], all / 10 * 3, 1, 10);
	within(&x[2], all / 10 * 6, 1, 10);
	x[2].off = true;			/* and nothing is kept free for who is not there */
	run_full(x, 3, 30000, 1);
	run_full(x, 3, 30000, 10);
	all = (x[0].sent + x[1].sent) * 8;
	CHECK(all >= 85 * 24 * MBIT);
	within(&x[0], all / 4, 1, 10);
	within(&x[1], all / 4 * 3, 1, 10);
	now += NS_PER_SEC;
	CHECK(share_is_idle(s, now));
	CHECK_EQ(share_wait_ns(s, 0, 10, 1500, now), 0);
	share_free(s);
}

/* With nobody to share with, one has all that a receiver takes, and is never told to wait. */
static void one_alone_fills_a_receiver(void **state)
{
	struct sender x[] = { { .weight = 1, .frame = 1500 }, { .weight = 1, .frame = 1500, .off = true } };

	(void)state;
	begin(0, false, 1);
	run_full(x, 2, 30000, 5);
	CHECK_EQ(x[0].sent, 5 * 1000 * 30000);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(share_wait_ns(s, 0, 1, 1500, now), 0);
	/* What it had alone it does not owe when another comes, nor when that goes again. */
	x[1].off = false;
	run_full(x, 2, 30000, 1);
	run_full(x, 2, 30000, 5);
	CHECK(x[0].sent >= x[1].sent * 9 / 10);
	CHECK(x[1].sent >= x[0].sent * 9 / 10);
	x[1].off = true;
	run_full(x, 2, 30000, 1);
	run_full(x, 2, 30000, 5);
	CHECK_EQ(x[0].sent, 5 * 1000 * 30000);
	share_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alone_has_all_of_it),
		cmocka_unit_test(weights_divide_what_there_is),
		cmocka_unit_test(who_wants_less_leaves_the_rest),
		cmocka_unit_test(those_without_a_weight_are_one_together),
		cmocka_unit_test(reservations_are_kept),
		cmocka_unit_test(everybody_at_once),
		cmocka_unit_test(a_full_receiver_is_divided_too),
		cmocka_unit_test(one_alone_fills_a_receiver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
