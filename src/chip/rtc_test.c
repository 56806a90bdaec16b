#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/rtc.c"

#define T0 INT64_C(1700000000)		/* Tuesday, 14 November 2023, 22:13:20 UTC */

struct bench {
	struct rig r;
	int64_t skew;			/* of the host's clock against virtual time */
};

static int64_t host_time(void *arg)
{
	struct bench *b = arg;

	return T0 + b->skew + (int64_t)(clock_now_ns(b->r.clock) / NS_PER_SEC);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	CHECK(b != NULL);
	rig_init(&b->r);
	rig_put(&b->r, &rtc_dev, &(struct rtc_conf){ .port = 0x70, .irq = rig_irq(&b->r),
						     .unix_time = host_time, .arg = b });
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&((struct bench *)*state)->r);
	free(*state);
	return 0;
}

static uint8_t in(struct bench *b, uint8_t reg)
{
	rig_out(&b->r, 0x70, 1, reg);
	return (uint8_t)rig_in(&b->r, 0x71, 1);
}

static void out(struct bench *b, uint8_t reg, uint8_t val)
{
	rig_out(&b->r, 0x70, 1, reg);
	rig_out(&b->r, 0x71, 1, val);
}

static void check_time(struct bench *b, uint8_t h, uint8_t m, uint8_t s)
{
	CHECK_EQ(in(b, R_HOUR), h);
	CHECK_EQ(in(b, R_MIN), m);
	CHECK_EQ(in(b, R_SEC), s);
}

static void it_shows_the_host_s_time(void **state)
{
	struct bench *b = *state;

	check_time(b, 0x22, 0x13, 0x20);
	CHECK_EQ(in(b, R_WDAY), 3);
	CHECK_EQ(in(b, R_MDAY), 0x14);
	CHECK_EQ(in(b, R_MONTH), 0x11);
	CHECK_EQ(in(b, R_YEAR), 0x23);
	CHECK_EQ(in(b, R_CENTURY), 0x20);
	CHECK_EQ(in(b, R_D), 0x80);
	clock_step(b->r.clock, 99 * NS_PER_SEC);
	check_time(b, 0x22, 0x14, 0x59);
	clock_step(b->r.clock, NS_PER_SEC);
	check_time(b, 0x22, 0x15, 0x00);
	b->skew = 3600;		/* the host was set, or we were paused */
	clock_step(b->r.clock, NS_PER_SEC);
	check_time(b, 0x23, 0x15, 0x01);
	CHECK_EQ(rig_in(&b->r, 0x70, 1), 0xff);
}

static void formats_are_the_guest_s_choice(void **state)
{
	struct bench *b = *state;

	out(b, R_B, B_BINARY | B_24H);
	clock_step(b->r.clock, NS_PER_SEC);
	check_time(b, 22, 13, 21);
	CHECK_EQ(in(b, R_CENTURY), 20);
	out(b, R_B, 0);
	clock_step(b->r.clock, NS_PER_SEC);
	check_time(b, 0x80 | 0x10, 0x13, 0x22);
	clock_step(b->r.clock, 7200 * NS_PER_SEC);	/* past midnight: 12 am */
	check_time(b, 0x12, 0x13, 0x22);
	CHECK_EQ(in(b, R_MDAY), 0x15);
	out(b, R_B, B_BINARY);
	clock_step(b->r.clock, 12 * 3600 * NS_PER_SEC);
	check_time(b, 0x80 | 12, 13, 22);
}

static void uip_warns_before_every_update(void **state)
{
	struct bench *b = *state;

	clock_step(b->r.clock, 500000000);
	CHECK_EQ(in(b, R_A), 0x26);
	clock_step(b->r.clock, 499000000);
	CHECK_EQ(in(b, R_A), 0x26);
	clock_step(b->r.clock, 800000);
	CHECK_EQ(in(b, R_A), 0xa6);
	CHECK_EQ(in(b, R_SEC), 0x20);
	clock_step(b->r.clock, 200000);
	CHECK_EQ(in(b, R_A), 0x26);
	CHECK_EQ(in(b, R_SEC), 0x21);
}

/* As Linux does it: SET, divider reset, values, then both back. */
static void set_time(struct bench *b, uint8_t h, uint8_t m, uint8_t s, uint8_t mday,
		     uint8_t month, uint8_t year)
{
	uint8_t control = in(b, R_B), rate = in(b, R_A);

	out(b, R_B, control | B_SET);
	out(b, R_A, rate | A_DV);
	out(b, R_YEAR, year);
	out(b, R_MONTH, month);
	out(b, R_MDAY, mday);
	out(b, R_HOUR, h);
	out(b, R_MIN, m);
	out(b, R_SEC, s);
	CHECK_EQ(in(b, R_A) & A_UIP, 0);
	out(b, R_B, control);
	out(b, R_A, rate);
}

static void a_set_time_counts_on_and_stays(void **state)
{
	struct bench *b = *state;

	set_time(b, 0x23, 0x59, 0x58, 0x28, 0x02, 0x24);
	check_time(b, 0x23, 0x59, 0x58);
	clock_step(b->r.clock, 499999999);	/* the divider starts half a second in */
	check_time(b, 0x23, 0x59, 0x58);
	clock_step(b->r.clock, 1);
	check_time(b, 0x23, 0x59, 0x59);
	clock_step(b->r.clock, NS_PER_SEC);
	check_time(b, 0, 0, 0);
	CHECK_EQ(in(b, R_MDAY), 0x29);		/* a leap year */
	CHECK_EQ(in(b, R_MONTH), 0x02);
	CHECK_EQ(in(b, R_WDAY), 5);
	b->r.ops->reset(b->r.dev);		/* the battery keeps it */
	b->skew += 86400;			/* and the distance to the host's clock */
	clock_step(b->r.clock, NS_PER_SEC);
	CHECK_EQ(in(b, R_MDAY), 0x01);
	CHECK_EQ(in(b, R_MONTH), 0x03);
	/* Nonsense is normalised, not believed. */
	set_time(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
	clock_step(b->r.clock, 3 * NS_PER_SEC);
	CHECK((in(b, R_MONTH) & 0xf) <= 9 && in(b, R_MONTH) <= 0x12);
	out(b, R_CENTURY, 0);
	out(b, R_YEAR, 0);
	out(b, R_MONTH, 0);
	out(b, R_MDAY, 0);
	clock_step(b->r.clock, 3 * NS_PER_SEC);
	CHECK_EQ(in(b, R_CENTURY), 0);
}

static void set_stops_the_updates(void **state)
{
	struct bench *b = *state;

	out(b, R_B, B_SET | B_24H | B_UIE);
	CHECK_EQ(in(b, R_B), B_SET | B_24H);
	clock_step(b->r.clock, 5 * NS_PER_SEC);
	CHECK_EQ(in(b, R_SEC), 0x20);
	CHECK_EQ(in(b, R_C), C_PF);
}

static void the_alarm_rings_when_all_fields_match(void **state)
{
	struct bench *b = *state;

	(void)in(b, R_C);
	out(b, R_SEC_ALARM, 0x25);
	out(b, R_MIN_ALARM, 0x13);
	out(b, R_HOUR_ALARM, 0xff);		/* any hour */
	out(b, R_B, B_24H | B_AIE);
	clock_step(b->r.clock, 4 * NS_PER_SEC);
	CHECK(!b->r.level);
	clock_step(b->r.clock, NS_PER_SEC);
	CHECK(b->r.level);
	CHECK_EQ(in(b, R_C) & (C_IRQF | C_AF), C_IRQF | C_AF);
	CHECK(!b->r.level);
	CHECK_EQ(in(b, R_C), 0);
	clock_step(b->r.clock, 3599 * NS_PER_SEC);
	CHECK_EQ(b->r.rises, 1);
	clock_step(b->r.clock, NS_PER_SEC);	/* an hour later */
	CHECK_EQ(b->r.rises, 2);
	(void)in(b, R_C);
	out(b, R_D, 0x16);			/* only on the 16th */
	CHECK_EQ(in(b, R_D), 0x96);
	clock_step(b->r.clock, 24 * 3600 * NS_PER_SEC);
	CHECK_EQ(b->r.rises, 2);
	clock_step(b->r.clock, 3600 * NS_PER_SEC);
	CHECK_EQ(b->r.rises, 3);
}

static void the_update_interrupt_comes_every_second(void **state)
{
	struct bench *b = *state;

	out(b, R_B, B_24H | B_UIE);
	for (unsigned i = 1; i <= 5; i++) {
		clock_step(b->r.clock, NS_PER_SEC);
		CHECK_EQ(b->r.rises, i);
		CHECK_EQ(in(b, R_C) & (C_IRQF | C_UF), C_IRQF | C_UF);
	}
	out(b, R_B, B_24H);
	clock_step(b->r.clock, 5 * NS_PER_SEC);
	CHECK_EQ(b->r.rises, 5);
	CHECK_EQ(in(b, R_C) & (C_IRQF | C_UF), C_UF);
}

static void the_periodic_interrupt_keeps_its_rate(void **state)
{
	static const struct {
		uint8_t rate;
		unsigned hz;
	} rates[] = { { 6, 1024 }, { 15, 2 }, { 3, 8192 }, { 1, 256 }, { 2, 128 } };
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		unsigned n = 0;

		out(b, R_A, (uint8_t)(A_DV_RUN | rates[i].rate));
		(void)in(b, R_C);
		out(b, R_B, B_24H | B_PIE);
		for (unsigned us = 0; us < 1000000; us += 50) {
			clock_step(b->r.clock, 50000);
			if (b->r.level) {
				CHECK((in(b, R_C) & C_PF) != 0);
				n++;
			}
		}
		CHECK(n + 1 >= rates[i].hz && n <= rates[i].hz + 1);
	}
	out(b, R_A, A_DV_RUN);		/* rate 0: none */
	(void)in(b, R_C);
	b->r.rises = 0;
	clock_step(b->r.clock, NS_PER_SEC);
	CHECK_EQ(b->r.rises, 0);
}

static void memory_is_kept(void **state)
{
	struct bench *b = *state;

	for (uint8_t i = R_D + 1; i < NR_CMOS; i++)
		out(b, i, (uint8_t)(i ^ 0x5a));
	b->r.ops->reset(b->r.dev);
	for (uint8_t i = R_D + 1; i < NR_CMOS; i++)
		if (i != R_CENTURY)
			CHECK_EQ(in(b, i | 0x80), (uint8_t)(i ^ 0x5a));	/* bit 7 masks NMI */
}

static void impossible_states_are_refused(void **state)
{
	struct bench *b = *state;
	struct rtc *r = b->r.dev;

	CHECK_EQ(rtc_dev.loaded(r, NULL), 0);
	r->index = 128;
	CHECK_EQ(rtc_dev.loaded(r, NULL), -EBADMSG);
	r->index = 0;
	r->seconds = INT64_MAX;
	CHECK_EQ(rtc_dev.loaded(r, NULL), -EBADMSG);
	r->seconds = 0;
	r->next_ns = 2 * NS_PER_SEC;
	CHECK_EQ(rtc_dev.loaded(r, NULL), -EBADMSG);
	r->next_ns = NS_PER_SEC;
	r->cmos[R_C] = C_IRQF;
	CHECK_EQ(rtc_dev.loaded(r, NULL), 0);
	CHECK(b->r.level);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_shows_the_host_s_time),
		T(formats_are_the_guest_s_choice),
		T(uip_warns_before_every_update),
		T(a_set_time_counts_on_and_stays),
		T(set_stops_the_updates),
		T(the_alarm_rings_when_all_fields_match),
		T(the_update_interrupt_comes_every_second),
		T(the_periodic_interrupt_keeps_its_rate),
		T(memory_is_kept),
		T(impossible_states_are_refused),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
