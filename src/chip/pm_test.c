#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/pm.c"

static unsigned offs, resets;

static void note_off(void *arg) { (void)arg; offs++; }
static void note_reset(void *arg) { (void)arg; resets++; }

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	rig_init(r);
	rig_put(r, &pm_dev, &(struct pm_conf){ .base = 0x400, .sci = rig_irq(r), .acpi_on = true,
					       .power_off = note_off, .reset = note_reset });
	offs = resets = 0;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

static void the_timer_counts_at_the_acpi_rate_in_32_bits(void **state)
{
	struct rig *r = *state;

	CHECK_EQ(rig_in(r, 0x408, 4), 0);
	clock_step(r->clock, NS_PER_SEC);
	CHECK_EQ(rig_in(r, 0x408, 4), 3579545);
	clock_step(r->clock, 1199 * NS_PER_SEC);
	CHECK_EQ(rig_in(r, 0x408, 4), (uint32_t)(1200ull * 3579545));
	CHECK_EQ(rig_in(r, 0x40a, 2), (uint32_t)(1200ull * 3579545) >> 16);
	rig_out(r, 0x408, 4, 0);	/* read-only */
	CHECK_EQ(rig_in(r, 0x408, 4), (uint32_t)(1200ull * 3579545));
}

static void the_carry_raises_sci_when_enabled(void **state)
{
	struct rig *r = *state;

	rig_out(r, 0x402, 2, 0x0001);
	clock_step(r->clock, 599 * NS_PER_SEC);
	CHECK(!r->level);
	clock_step(r->clock, NS_PER_SEC);	/* 2^31 ticks are 599.9 s */
	CHECK(r->level);
	CHECK_EQ(rig_in(r, 0x400, 2), STS_TMR);
	rig_out(r, 0x400, 2, STS_TMR);
	CHECK(!r->level);
	clock_step(r->clock, 600 * NS_PER_SEC);
	CHECK(r->level);
	rig_out(r, 0x402, 2, 0);
	CHECK(!r->level);
	rig_out(r, 0x400, 2, 0xffff);
	clock_step(r->clock, 600 * NS_PER_SEC);	/* not enabled: only the status, when read */
	CHECK(!r->level);
	CHECK_EQ(rig_in(r, 0x400, 2), STS_TMR);
}

static void the_power_button_is_heard_when_enabled(void **state)
{
	struct rig *r = *state;

	pm_power_button(r->dev);
	CHECK(!r->level);
	CHECK_EQ(rig_in(r, 0x400, 2), 0);
	rig_out(r, 0x402, 2, 0xffff);
	CHECK_EQ(rig_in(r, 0x402, 2), EN_MASK);
	pm_power_button(r->dev);
	CHECK(r->level);
	CHECK_EQ(rig_in(r, 0x400, 4), (uint32_t)EN_MASK << 16 | STS_PWRBTN);
	rig_out(r, 0x400, 1, 0xff);	/* the other byte */
	CHECK(r->level);
	rig_out(r, 0x401, 1, 0x01);
	CHECK(!r->level);
	CHECK_EQ(rig_in(r, 0x400, 2), 0);
}

static void sleep_type_0_and_1_turn_it_off(void **state)
{
	struct rig *r = *state;

	CHECK_EQ(rig_in(r, 0x404, 2), 1);
	rig_out(r, 0x404, 2, 5 << 10 | 0x2000);
	CHECK_EQ(offs, 0);
	CHECK_EQ(rig_in(r, 0x404, 2), 5 << 10 | 1);	/* SLP_EN reads 0 */
	rig_out(r, 0x404, 2, 0);
	CHECK_EQ(offs, 0);
	CHECK_EQ(rig_in(r, 0x404, 2), 1);		/* ACPI mode cannot be left */
	rig_out(r, 0x404, 2, 0x2001);
	CHECK_EQ(offs, 1);
	rig_out(r, 0x405, 1, 0x20);	/* the sleep control register of ACPI 5 */
	CHECK_EQ(offs, 2);
	rig_out(r, 0x404, 2, 1 << 10 | 0x2000);
	CHECK_EQ(offs, 3);
}

static void the_reset_register_wants_a_one(void **state)
{
	struct rig *r = *state;

	rig_out(r, 0x433, 1, 2);
	CHECK_EQ(resets, 0);
	rig_out(r, 0x433, 1, 1);
	CHECK_EQ(resets, 1);
	CHECK_EQ(rig_in(r, 0x437, 1), 0xff);	/* past the block */
	CHECK_EQ(rig_in(r, 0x436, 1), 0);
}

static void general_events_raise_sci_when_enabled(void **state)
{
	struct rig *r = *state;

	pm_event(r->dev, 9);
	CHECK(!r->level);
	rig_out(r, 0x40e, 2, 0xffff);
	CHECK_EQ(rig_in(r, 0x40c, 4), GPE_MASK << 16 | 0x200);
	CHECK(r->level);
	rig_out(r, 0x40d, 1, 0x02);
	CHECK(!r->level);
	pm_event(r->dev, 0);
	CHECK(r->level);
	r->ops->reset(r->dev);
	CHECK(!r->level);
	CHECK_EQ(rig_in(r, 0x40c, 4), 0);
}

static void without_acpi_mode_there_is_no_sci(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_put(&r, &pm_dev, &(struct pm_conf){ .base = 0x400, .sci = rig_irq(&r) });
	rig_out(&r, 0x402, 2, STS_PWRBTN);
	pm_power_button(r.dev);
	CHECK_EQ(rig_in(&r, 0x400, 2), STS_PWRBTN);
	CHECK(!r.level);
	rig_out(&r, 0x404, 2, 0x2000);
	rig_out(&r, 0x433, 1, 1);	/* nobody to tell */
	rig_fini(&r);
}

static void impossible_states_are_refused(void **state)
{
	struct rig *r = *state;
	struct pm *p = r->dev;

	p->zero_ns = 1;
	CHECK_EQ(pm_dev.loaded(p, NULL), -EBADMSG);
	p->zero_ns = 0;
	p->flips = 1;
	CHECK_EQ(pm_dev.loaded(p, NULL), -EBADMSG);
	p->flips = 0;
	p->en = 2;
	CHECK_EQ(pm_dev.loaded(p, NULL), -EBADMSG);
	p->en = STS_PWRBTN;
	p->sts = STS_PWRBTN;
	CHECK_EQ(pm_dev.loaded(p, NULL), 0);
	CHECK(r->level);	/* the line is driven again */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_timer_counts_at_the_acpi_rate_in_32_bits),
		T(the_carry_raises_sci_when_enabled),
		T(the_power_button_is_heard_when_enabled),
		T(sleep_type_0_and_1_turn_it_off),
		T(the_reset_register_wants_a_one),
		T(general_events_raise_sci_when_enabled),
		T(without_acpi_mode_there_is_no_sci),
		T(impossible_states_are_refused),
	};

	return cmocka_run_group_tests_name("pm", tests, NULL, NULL);
}
