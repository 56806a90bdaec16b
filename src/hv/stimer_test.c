/* Synthetic timers against a clock that moves only when told. */
#include "hv/hv_fake.h"

#define SIMP UINT64_C(0x10000)
#define VP 1u
#define CONFIG(n) (HV_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n) (CONFIG(n) + 1)
#define MS 10000u			/* in reference time */
#define DIRECT (HV_STIMER_DIRECT | 0xed << 4)
#define SINT(n) ((uint64_t)(n) << 16)

static void step_us(struct fake *f, unsigned us)
{
	clock_step(f->clock, us * UINT64_C(1000));
}

static void one_shot_direct(void **state)
{
	struct fake *f = *state;
	struct fake_raise r;

	/* Linux: configure with auto-enable, then write the moment. */
	wrmsr(f, VP, CONFIG(0), DIRECT | HV_STIMER_AUTO_ENABLE | HV_STIMER_ENABLED);
	CHECK_EQ(rdmsr(f, VP, CONFIG(0)) & HV_STIMER_ENABLED, 0);	/* no count yet */
	wrmsr(f, VP, COUNT(0), rdmsr(f, VP, HV_MSR_REF_COUNT) + 5 * MS);
	CHECK_EQ(rdmsr(f, VP, CONFIG(0)) & HV_STIMER_ENABLED, 1);
	step_us(f, 4999);
	CHECK_EQ(f->nr_raises, 0);
	step_us(f, 2);
	r = one_raise(f);
	CHECK_EQ(r.vp, VP);
	CHECK_EQ(r.vector, 0xed);
	CHECK(!r.auto_eoi);
	CHECK_EQ(rdmsr(f, VP, CONFIG(0)) & HV_STIMER_ENABLED, 0);
	step_us(f, 100000);
	CHECK_EQ(f->nr_raises, 0);
	/* The next moment enables it again. */
	wrmsr(f, VP, COUNT(0), rdmsr(f, VP, HV_MSR_REF_COUNT) + MS);
	step_us(f, 1001);
	one_raise(f);
}

static void the_past_is_now(void **state)
{
	struct fake *f = *state;

	step_us(f, 1000000);
	wrmsr(f, VP, CONFIG(3), DIRECT | HV_STIMER_AUTO_ENABLE);
	wrmsr(f, VP, COUNT(3), 1);
	step_us(f, 0);
	one_raise(f);
}

static void never_before_its_time(void **state)
{
	struct fake *f = *state;
	uint64_t due = 3 * MS;

	/* A TSC that lags behind the clock: the clock's moment is too early. */
	wrmsr(f, VP, CONFIG(0), DIRECT | HV_STIMER_AUTO_ENABLE);
	wrmsr(f, VP, COUNT(0), due);
	f->tsc_jump -= FAKE_TSC_HZ / 1000;
	step_us(f, 3000);
	CHECK_EQ(f->nr_raises, 0);
	step_us(f, 1001);
	one_raise(f);
	CHECK(hv_ref_time(f->hv) >= due);
}

static void far_futures_do_not_wrap(void **state)
{
	struct fake *f = *state;

	wrmsr(f, VP, CONFIG(0), DIRECT | HV_STIMER_AUTO_ENABLE);
	wrmsr(f, VP, COUNT(0), UINT64_MAX);
	wrmsr(f, VP, CONFIG(1), DIRECT | HV_STIMER_AUTO_ENABLE | HV_STIMER_PERIODIC);
	wrmsr(f, VP, COUNT(1), UINT64_MAX);
	wrmsr(f, VP, CONFIG(2), DIRECT | HV_STIMER_AUTO_ENABLE);
	wrmsr(f, VP, COUNT(2), 300 * UINT64_C(10000000));	/* past where we look again */
	for (unsigned i = 0; i < 299; i++)
		step_us(f, 1000000);
	CHECK_EQ(f->nr_raises, 0);
	step_us(f, 1000001);
	one_raise(f);
}

static void periodic_direct(void **state)
{
	struct fake *f = *state;

	wrmsr(f, VP, COUNT(1), 10 * MS);
	CHECK_EQ(rdmsr(f, VP, CONFIG(1)), 0);
	wrmsr(f, VP, CONFIG(1), DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLED);
	for (unsigned i = 1; i <= 50; i++) {
		step_us(f, 10000 + (i == 1));
		CHECK_EQ(f->nr_raises, i);
	}
	CHECK_EQ(rdmsr(f, VP, COUNT(1)), 10 * MS);
	wrmsr(f, VP, COUNT(1), 0);
	CHECK_EQ(rdmsr(f, VP, CONFIG(1)) & HV_STIMER_ENABLED, 0);
	step_us(f, 100000);
	CHECK_EQ(f->nr_raises, 50);
}

/* The clock comes late: ticks are made up for, a lazy timer's are not. */
static void late_ticks(void **state)
{
	struct fake *f = *state;

	for (unsigned lazy = 0; lazy < 2; lazy++) {
		f->nr_raises = 0;
		wrmsr(f, VP, COUNT(0), 10 * MS);
		wrmsr(f, VP, CONFIG(0), DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLED |
		      (lazy != 0 ? HV_STIMER_LAZY : 0));
		f->tsc_jump += FAKE_TSC_HZ / 10;	/* reference time runs ahead 100 ms */
		for (unsigned i = 0; i < 150; i++)
			step_us(f, 100);
		CHECK_EQ(f->nr_raises, lazy != 0 ? 1 : 11);
		wrmsr(f, VP, CONFIG(0), 0);
	}
}

static void tiny_periods_are_bounded(void **state)
{
	struct fake *f = *state;

	wrmsr(f, VP, COUNT(0), 1);
	wrmsr(f, VP, CONFIG(0), DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLED);
	step_us(f, 1000000);
	for (unsigned i = 0; i < 1000; i++)
		step_us(f, 10);			/* 10 ms: 200 at most, and many */
	CHECK(f->nr_raises > 20);
	CHECK(f->nr_raises <= 20000 + 202);
}

static void bad_configurations_stay_off(void **state)
{
	static const uint64_t bad[] = {
		HV_STIMER_DIRECT | 0xf << 4,	/* no vector an APIC takes */
		HV_STIMER_DIRECT,
		SINT(0),			/* message mode needs another */
	};
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		wrmsr(f, VP, COUNT(0), 1);
		wrmsr(f, VP, CONFIG(0), bad[i] | HV_STIMER_ENABLED);
		CHECK_EQ(rdmsr(f, VP, CONFIG(0)), bad[i]);
		step_us(f, 1000);
		CHECK_EQ(f->nr_raises, 0);
	}
	wrmsr(f, VP, CONFIG(0), UINT64_MAX);
	CHECK_EQ(rdmsr(f, VP, CONFIG(0)), HV_STIMER_KNOWN);
}

static struct hv_msg read_slot(struct fake *f, unsigned sint)
{
	struct hv_msg m;

	CHECK_EQ(gmem_read(f->mem, SIMP + sint * 256, &m, sizeof(m)), 0);
	return m;
}

static void check_timer_msg(const struct hv_msg *m, unsigned index, uint64_t due, uint64_t now)
{
	struct hv_timer_payload p;

	CHECK_EQ(le32_get(m->type), HV_MSG_TIMER);
	CHECK_EQ(m->size, sizeof(p));
	memcpy(&p, m->payload, sizeof(p));
	CHECK_EQ(le32_get(p.index), index);
	CHECK_EQ(le64_get(p.expiration), due);
	CHECK(le64_get(p.delivery) >= due && le64_get(p.delivery) <= now);
}

/* FreeBSD: SINT 4, one-shot. */
static void message_mode(void **state)
{
	struct fake *f = *state;
	struct hv_msg m;

	wrmsr(f, VP, HV_MSR_SIMP, SIMP | 1);
	wrmsr(f, VP, HV_MSR_SINT0 + 4, 0x30 | HV_SINT_AUTO_EOI);
	wrmsr(f, VP, CONFIG(0), SINT(4) | HV_STIMER_AUTO_ENABLE);
	wrmsr(f, VP, COUNT(0), 2 * MS);
	step_us(f, 2001);
	CHECK_EQ(one_raise(f).vector, 0x30);
	m = read_slot(f, 4);
	check_timer_msg(&m, 0, 2 * MS, hv_ref_time(f->hv));
	CHECK_EQ(m.flags, 0);
	/* The slot is full: the next one waits, and the guest is told so. */
	wrmsr(f, VP, COUNT(0), 3 * MS);
	step_us(f, 1000);
	CHECK_EQ(f->nr_raises, 0);
	CHECK_EQ(read_slot(f, 4).flags, HV_MSG_PENDING);
	CHECK_EQ(gmem_store32(f->mem, SIMP + 4 * 256, 0), 0);
	wrmsr(f, VP, HV_MSR_EOM, 0);
	CHECK_EQ(one_raise(f).vector, 0x30);
	m = read_slot(f, 4);
	check_timer_msg(&m, 0, 3 * MS, hv_ref_time(f->hv));
}

static void messages_wait_for_their_sint(void **state)
{
	struct fake *f = *state;
	struct hv_msg m;
	uint32_t n = 5;

	wrmsr(f, VP, HV_MSR_SIMP, SIMP | 1);
	for (unsigned i = 0; i < 2; i++) {
		wrmsr(f, VP, CONFIG(i), SINT(2) | HV_STIMER_AUTO_ENABLE);
		wrmsr(f, VP, COUNT(i), MS);
	}
	CHECK_EQ(hv_synic_post(f->hv, VP, 2, 1, &n, 4), 0);
	step_us(f, 1001);
	CHECK_EQ(f->nr_raises, 0);
	wrmsr(f, VP, HV_MSR_SINT0 + 2, 0xf3);
	for (unsigned i = 0; i < 2; i++) {
		one_raise(f);
		m = read_slot(f, 2);
		check_timer_msg(&m, i, MS, hv_ref_time(f->hv));
		CHECK_EQ(m.flags, HV_MSG_PENDING);
		CHECK_EQ(gmem_store32(f->mem, SIMP + 2 * 256, 0), 0);
		wrmsr(f, VP, HV_MSR_EOM, 0);
	}
	one_raise(f);
	m = read_slot(f, 2);
	CHECK_EQ(le32_get(m.type), 1);
	CHECK_EQ(m.flags, 0);
}

static void a_new_count_takes_back_what_waits(void **state)
{
	struct fake *f = *state;

	wrmsr(f, VP, HV_MSR_SIMP, SIMP | 1);
	wrmsr(f, VP, CONFIG(0), SINT(2) | HV_STIMER_AUTO_ENABLE);
	wrmsr(f, VP, COUNT(0), MS);
	step_us(f, 1001);
	wrmsr(f, VP, COUNT(0), 10 * MS);
	wrmsr(f, VP, HV_MSR_SINT0 + 2, 0xf3);
	CHECK_EQ(f->nr_raises, 0);
	step_us(f, 9000);
	one_raise(f);
}

static void reset_stops_them(void **state)
{
	struct fake *f = *state;

	for (unsigned i = 0; i < 4; i++) {
		wrmsr(f, VP, CONFIG(i), DIRECT | HV_STIMER_AUTO_ENABLE | HV_STIMER_PERIODIC);
		wrmsr(f, VP, COUNT(i), MS);
	}
	hv_reset(f->hv);
	step_us(f, 100000);
	CHECK_EQ(f->nr_raises, 0);
	CHECK_EQ(rdmsr(f, VP, COUNT(2)), 0);
}

/* The clock's own thread against the VP's, for the sanitizers' eyes. */
static void real_clock(void **state)
{
	unsigned got = 0;
	struct fake *f = NULL;

	(void)state;
	CHECK_EQ(fake_new(&f, false), 0);
	wrmsr(f, VP, CONFIG(0), DIRECT | HV_STIMER_AUTO_ENABLE | HV_STIMER_PERIODIC);
	wrmsr(f, VP, COUNT(0), MS);
	wrmsr(f, VP, CONFIG(1), DIRECT | HV_STIMER_AUTO_ENABLE);
	while (got < 50) {
		wrmsr(f, VP, COUNT(1), hv_ref_time(f->hv) + 1000);
		pthread_mutex_lock(&f->lock);
		got = f->nr_raises;
		pthread_mutex_unlock(&f->lock);
	}
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(one_shot_direct),
		FAKE_TEST(the_past_is_now),
		FAKE_TEST(never_before_its_time),
		FAKE_TEST(far_futures_do_not_wrap),
		FAKE_TEST(periodic_direct),
		FAKE_TEST(late_ticks),
		FAKE_TEST(tiny_periods_are_bounded),
		FAKE_TEST(bad_configurations_stay_off),
		FAKE_TEST(message_mode),
		FAKE_TEST(messages_wait_for_their_sint),
		FAKE_TEST(a_new_count_takes_back_what_waits),
		FAKE_TEST(reset_stops_them),
		cmocka_unit_test(real_clock),
	};

	return cmocka_run_group_tests_name("hv-stimer", tests, NULL, NULL);
}
