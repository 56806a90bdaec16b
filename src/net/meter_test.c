#include "base/test.h"

#include "net/meter.c"

/* Offers COST as fast as it goes for SECONDS; units let through. */
static uint64_t run(struct meter *m, uint64_t cost, uint64_t seconds)
{
	uint64_t now = 0, sent = 0, wait;

	while (now < seconds * NS_PER_SEC) {
		wait = meter_wait_ns(m, cost, now);
		if (wait == 0) {
			meter_charge(m, cost);
			sent += cost;
			now += 10;
		}
		now += wait;
	}
	return sent;
}

static void the_rate_is_exact(void **s)
{
	static const struct { uint64_t rate, burst, cost; } row[] = {
		{ 1000, 100, 1 }, { 125000, 70000, 1514 }, { 12500000, 70000, 1514 },
		{ 125000000, 1000000, 65549 }, { 125000, 3000, 65549 }, { 7, 1, 1 }, { 999983, 2000, 997 },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct meter m;
		uint64_t sent;

		meter_init(&m, row[i].rate, row[i].burst, 0);
		sent = run(&m, row[i].cost, 10);
		CHECK(sent <= row[i].rate * 10 + row[i].burst + row[i].cost);
		CHECK(sent >= row[i].rate * 10);
	}
}

static void the_wait_is_the_first_moment(void **s)
{
	struct meter m;
	uint64_t w;

	(void)s;
	meter_init(&m, 3, 5, 0);
	CHECK_EQ(meter_wait_ns(&m, 5, 0), 0);
	meter_charge(&m, 5);
	w = meter_wait_ns(&m, 2, 0);
	CHECK_EQ(w, 666666667);
	CHECK_EQ(meter_wait_ns(&m, 2, w - 1), 1);
	CHECK_EQ(meter_wait_ns(&m, 2, w), 0);
}

static void extremes_do_not_wrap(void **s)
{
	struct meter m;

	(void)s;
	meter_init(&m, METER_RATE_MAX, METER_BURST_MAX, 0);
	for (unsigned i = 0; i < 100; i++)
		meter_charge(&m, UINT64_MAX);
	CHECK(m.tokens < 0);
	CHECK(meter_wait_ns(&m, METER_BURST_MAX, 1) > 0);
	CHECK_EQ(meter_wait_ns(&m, METER_BURST_MAX, UINT64_MAX), 0);
	CHECK_EQ(m.tokens, METER_BURST_MAX * NS_PER_SEC);
	CHECK_EQ(meter_wait_ns(&m, METER_BURST_MAX, 5), 0);	/* time went back: nothing gained or lost */
	meter_init(&m, 0, 0, 0);
	CHECK_EQ(meter_wait_ns(&m, UINT64_MAX, 0), 0);
}

static void more_than_the_burst_is_owed(void **s)
{
	struct meter m;

	(void)s;
	meter_init(&m, 1, 10, 0);
	CHECK_EQ(meter_wait_ns(&m, 100, 0), 0);
	meter_charge(&m, 100);
	CHECK_EQ(meter_wait_ns(&m, 100, 0), 100 * NS_PER_SEC);
	CHECK_EQ(meter_wait_ns(&m, 1, 0), 91 * NS_PER_SEC);
	meter_give_back(&m, 100);
	CHECK_EQ(meter_wait_ns(&m, 10, 0), 0);
	meter_give_back(&m, 100);				/* never more than the burst */
	meter_charge(&m, 10);
	CHECK_EQ(meter_wait_ns(&m, 1, 0), NS_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_is_exact),
		cmocka_unit_test(the_wait_is_the_first_moment),
		cmocka_unit_test(extremes_do_not_wrap),
		cmocka_unit_test(more_than_the_burst_is_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
