#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/pit.c"

#define TICKS(n) (((uint64_t)(n) * NS_PER_SEC + PIT_HZ - 1) / PIT_HZ)

static void setup(struct rig *r)
{
	rig_init(r);
	rig_put(r, &pit_dev, &(struct pit_conf){ 0x40, rig_irq(r) });
}

/* To the beginning of tick N of the machine. */
static void to_tick(struct rig *r, uint64_t n)
{
	uint64_t at = ns_of(n), now = clock_now_ns(r->clock);

	CHECK(at >= now);
	clock_step(r->clock, at - now);
}

static void set_counter(struct rig *r, unsigned n, unsigned mode, uint16_t count)
{
	rig_out(r, 0x43, 1, n << 6 | RW_BOTH << 4 | mode << 1);
	rig_out(r, (uint16_t)(0x40 + n), 1, count & 0xff);
	rig_out(r, (uint16_t)(0x40 + n), 1, count >> 8);
}

static uint16_t get_counter(struct rig *r, unsigned n)
{
	uint16_t low;

	rig_out(r, 0x43, 1, n << 6);		/* latch */
	low = (uint16_t)rig_in(r, (uint16_t)(0x40 + n), 1);
	return (uint16_t)(low | rig_in(r, (uint16_t)(0x40 + n), 1) << 8);
}

static void the_heartbeat_interrupts_once_a_period(void **s)
{
	struct rig r;

	(void)s;
	for (unsigned mode = 2; mode <= 3; mode++) {
		rig_init(&r);
		rig_put(&r, &pit_dev, &(struct pit_conf){ 0x40, rig_irq(&r) });
		set_counter(&r, 0, mode, 11932);	/* 100 Hz */
		CHECK(r.level);
		r.rises = 0;
		clock_step(r.clock, TICKS(11931));
		CHECK_EQ(r.rises, 0);
		clock_step(r.clock, TICKS(2));
		CHECK_EQ(r.rises, 1);
		for (unsigned i = 0; i < 99; i++)
			clock_step(r.clock, TICKS(11932));
		CHECK_EQ(r.rises, 100);
		rig_fini(&r);
	}
}

static void counters_count_down(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	set_counter(&r, 0, 2, 1000);
	CHECK_EQ(get_counter(&r, 0), 1000);
	to_tick(&r, 1);
	CHECK_EQ(get_counter(&r, 0), 999);
	to_tick(&r, 999);
	CHECK_EQ(get_counter(&r, 0), 1);
	to_tick(&r, 1000);
	CHECK_EQ(get_counter(&r, 0), 1000);
	set_counter(&r, 1, 0, 0);		/* 65536, past 0 and on */
	CHECK_EQ(get_counter(&r, 1), 0);
	to_tick(&r, 1001);
	CHECK_EQ(get_counter(&r, 1), 0xffff);
	to_tick(&r, 1000 + 65536 + 5);
	CHECK_EQ(get_counter(&r, 1), 0x10000 - 5);
	rig_fini(&r);
}

/* A latched count stays until it is read, and the low byte comes first. */
static void latches_hold(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	set_counter(&r, 0, 2, 0x1234);
	rig_out(&r, 0x43, 1, 0);
	to_tick(&r, 0x34);
	rig_out(&r, 0x43, 1, 0);		/* the first one counts */
	CHECK_EQ(rig_in(&r, 0x40, 1), 0x34);
	CHECK_EQ(rig_in(&r, 0x40, 1), 0x12);
	CHECK_EQ(rig_in(&r, 0x40, 1), 0x00);
	CHECK_EQ(rig_in(&r, 0x40, 1), 0x12);
	/* Read back of counts and states of all three at once. */
	rig_out(&r, 0x43, 1, 0xc2);		/* counter 0: both */
	CHECK_EQ(rig_in(&r, 0x40, 1), STATUS_OUT | RW_BOTH << 4 | 2 << 1);
	CHECK_EQ(rig_in(&r, 0x40, 1), 0x00);
	CHECK_EQ(rig_in(&r, 0x40, 1), 0x12);
	rig_out(&r, 0x43, 1, 2 << 6 | RW_LOW << 4 | 0 << 1 | 1);
	rig_out(&r, 0x43, 1, 0xe8);		/* counter 2: state only */
	CHECK_EQ(rig_in(&r, 0x42, 1), STATUS_NULL | RW_LOW << 4 | 1);
	CHECK_EQ(rig_in(&r, 0x43, 1), 0xff);
	rig_fini(&r);
}

static void a_new_count_waits_for_the_end_of_the_period(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	set_counter(&r, 0, 2, 1000);
	to_tick(&r, 600);
	rig_out(&r, 0x40, 1, 200);		/* no control word */
	rig_out(&r, 0x40, 1, 0);
	CHECK_EQ(get_counter(&r, 0), 400);
	r.rises = 0;
	to_tick(&r, 1001);
	CHECK_EQ(r.rises, 1);
	CHECK_EQ(get_counter(&r, 0), 199);
	to_tick(&r, 1201);
	CHECK_EQ(r.rises, 2);
	CHECK_EQ(get_counter(&r, 0), 199);
	rig_fini(&r);
}

static void one_shots_end_once(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	set_counter(&r, 0, 0, 500);
	CHECK(!r.level);
	r.rises = 0;
	to_tick(&r, 499);
	CHECK(!r.level);
	to_tick(&r, 501);
	CHECK(r.level);
	to_tick(&r, 200000);
	CHECK_EQ(r.rises, 1);
	set_counter(&r, 0, 4, 500);
	r.rises = 0;
	to_tick(&r, 200502);
	CHECK_EQ(r.rises, 1);
	set_counter(&r, 0, 1, 500);		/* waits for a trigger that cannot come */
	r.rises = 0;
	to_tick(&r, 300000);
	CHECK_EQ(r.rises, 0);
	rig_fini(&r);
}

/* How a guest measures its clocks: gate up, one shot, look for the output. */
static void port_61_gates_the_third_counter(void **s)
{
	struct rig r;
	uint8_t was;

	(void)s;
	setup(&r);
	rig_out(&r, 0x61, 1, 0);
	set_counter(&r, 2, 0, 100);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, 0);
	to_tick(&r, 1000);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, 0);	/* the gate is down */
	CHECK_EQ(get_counter(&r, 2), 100);
	rig_out(&r, 0x61, 1, P61_GATE);
	to_tick(&r, 1099);
	CHECK_EQ(rig_in(&r, 0x61, 1) & (P61_OUT | P61_GATE), P61_GATE);
	to_tick(&r, 1100);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, P61_OUT);
	/* A rising gate begins a one shot of mode 1, a square wave of mode 3. */
	rig_out(&r, 0x61, 1, 0);
	set_counter(&r, 2, 1, 10);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, P61_OUT);
	rig_out(&r, 0x61, 1, P61_GATE | P61_SPEAKER);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, 0);
	to_tick(&r, 1110);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, P61_OUT);
	set_counter(&r, 2, 3, 100);
	to_tick(&r, 1159);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, P61_OUT);
	to_tick(&r, 1160);
	CHECK_EQ(rig_in(&r, 0x61, 1) & P61_OUT, 0);
	/* The refresh bit never rests. */
	was = rig_in(&r, 0x61, 1) & P61_REFRESH;
	clock_step(r.clock, 15085);
	CHECK((rig_in(&r, 0x61, 1) & P61_REFRESH) != was);
	rig_out(&r, 0x61, 1, 0xff);
	CHECK_EQ(rig_in(&r, 0x61, 1) & 0xcf, 0x0f);
	rig_fini(&r);
}

static void binary_coded_decimal(void **s)
{
	struct rig r;

	(void)s;
	setup(&r);
	rig_out(&r, 0x43, 1, RW_BOTH << 4 | 2 << 1 | CW_BCD);
	rig_out(&r, 0x40, 1, 0x00);
	rig_out(&r, 0x40, 1, 0x10);		/* 1000 */
	to_tick(&r, 1);
	CHECK_EQ(get_counter(&r, 0), 0x0999);
	to_tick(&r, 1001);
	CHECK_EQ(get_counter(&r, 0), 0x0999);
	rig_fini(&r);
}

static void impossible_states_are_refused(void **s)
{
	struct rig r;
	struct pit *p;

	(void)s;
	setup(&r);
	p = r.dev;
	p->start[1] = 5;
	CHECK_EQ(pit_loaded(p, NULL), -EBADMSG);
	p->start[1] = 0;
	p->rw[2] = 0;
	CHECK_EQ(pit_loaded(p, NULL), -EBADMSG);
	p->rw[2] = 3;
	p->pending[0] = 1;			/* of a counter that does not count */
	CHECK_EQ(pit_loaded(p, NULL), -EBADMSG);
	p->pending[0] = 0;
	CHECK_EQ(pit_loaded(p, NULL), 0);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_heartbeat_interrupts_once_a_period),
		cmocka_unit_test(counters_count_down),
		cmocka_unit_test(latches_hold),
		cmocka_unit_test(a_new_count_waits_for_the_end_of_the_period),
		cmocka_unit_test(one_shots_end_once),
		cmocka_unit_test(port_61_gates_the_third_counter),
		cmocka_unit_test(binary_coded_decimal),
		cmocka_unit_test(impossible_states_are_refused),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
