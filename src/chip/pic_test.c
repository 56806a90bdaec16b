/* pic_test.c - two 8259As: priorities, ends of interrupts, initialisation, polling */
#include "base/test.h"
#include "chip/chip_rig.h"

static void open_pic(struct rig *r)
{
	const struct pic_conf conf = { .intr = rig_irq(r), .base = { 0x08, 0x70 } };

	rig_init(r);
	rig_put(r, &pic_dev, &conf);
}

static void pin(struct rig *r, unsigned n, bool level)
{
	pthread_mutex_lock(&r->lock);
	pic_pin(r->dev, n, level);
	pthread_mutex_unlock(&r->lock);
}

static void pulse(struct rig *r, unsigned n)
{
	pin(r, n, true);
	pin(r, n, false);
}

static unsigned ack(struct rig *r)
{
	unsigned v;

	pthread_mutex_lock(&r->lock);
	v = pic_ack(r->dev);
	pthread_mutex_unlock(&r->lock);
	return v;
}

static void an_edge_is_kept_until_the_acknowledge(void **s)
{
	struct rig r;

	(void)s;
	open_pic(&r);
	CHECK(!r.level);
	pulse(&r, 11);
	CHECK(r.level);
	CHECK_EQ(rig_in(&r, 0xa0, 1), 0x08);		/* requests */
	CHECK_EQ(rig_in(&r, 0x20, 1), 0x04);		/* by the cascade */
	CHECK_EQ(ack(&r), 0x73);
	CHECK(!r.level);
	rig_out(&r, 0xa0, 1, 0x0b);
	CHECK_EQ(rig_in(&r, 0xa0, 1), 0x08);		/* in service */
	pin(&r, 11, true);				/* again, and held back */
	CHECK(!r.level);
	rig_out(&r, 0xa0, 1, 0x20);
	rig_out(&r, 0x20, 1, 0x20);
	CHECK(r.level);
	CHECK_EQ(ack(&r), 0x73);
	rig_out(&r, 0xa0, 1, 0x63);			/* by number */
	rig_out(&r, 0x20, 1, 0x62);
	CHECK(!r.level);				/* the line stands, but no edge */
	CHECK_EQ(ack(&r), 0x0f);			/* nothing there: spurious */
	rig_fini(&r);
}

static void priorities_nest(void **s)
{
	struct rig r;

	(void)s;
	open_pic(&r);
	pulse(&r, 5);
	CHECK_EQ(ack(&r), 0x0d);
	pulse(&r, 6);
	CHECK(!r.level);				/* less urgent than what runs */
	pulse(&r, 1);
	CHECK(r.level);
	CHECK_EQ(ack(&r), 0x09);
	rig_out(&r, 0x20, 1, 0x20);			/* ends the most urgent: 1 */
	CHECK(!r.level);
	rig_out(&r, 0x20, 1, 0xa0);			/* ends 5, which becomes the lowest */
	CHECK_EQ(ack(&r), 0x0e);
	pulse(&r, 5);
	CHECK(!r.level);
	pulse(&r, 7);
	CHECK(!r.level);
	rig_out(&r, 0x20, 1, 0x20);
	CHECK_EQ(ack(&r), 0x0f);			/* 7 before 5 now */
	rig_out(&r, 0x20, 1, 0xc7);			/* 7 the lowest again, without an end */
	pulse(&r, 6);
	CHECK_EQ(ack(&r), 0x0d);			/* 5 first */
	rig_fini(&r);
}

static void masks_hold_back_and_special_ones_let_pass(void **s)
{
	struct rig r;

	(void)s;
	open_pic(&r);
	rig_out(&r, 0x21, 1, 0x10);
	CHECK_EQ(rig_in(&r, 0x21, 1), 0x10);
	pulse(&r, 4);
	CHECK(!r.level);
	rig_out(&r, 0x21, 1, 0);
	CHECK(r.level);
	CHECK_EQ(ack(&r), 0x0c);
	pulse(&r, 6);
	CHECK(!r.level);
	rig_out(&r, 0x21, 1, 0x10);
	CHECK(!r.level);
	rig_out(&r, 0x20, 1, 0x68);			/* special mask on */
	CHECK(r.level);
	CHECK_EQ(ack(&r), 0x0e);
	rig_out(&r, 0x20, 1, 0x48);
	rig_out(&r, 0x20, 1, 0x20);			/* 4 is the most urgent again */
	rig_out(&r, 0x20, 1, 0x0b);
	CHECK_EQ(rig_in(&r, 0x20, 1), 0x40);
	rig_fini(&r);
}

static void guests_initialise_it(void **s)
{
	struct rig r;

	(void)s;
	open_pic(&r);
	pulse(&r, 3);
	rig_out(&r, 0x20, 1, 0x11);			/* forgets requests and masks */
	CHECK(!r.level);
	rig_out(&r, 0x21, 1, 0x35);			/* low bits of a vector are the line's */
	rig_out(&r, 0x21, 1, 0x04);
	rig_out(&r, 0x21, 1, 0x03);			/* ends by itself */
	rig_out(&r, 0x21, 1, 0x02);			/* a mask again */
	CHECK_EQ(rig_in(&r, 0x21, 1), 0x02);
	pulse(&r, 3);
	CHECK_EQ(ack(&r), 0x33);
	pulse(&r, 3);
	CHECK(r.level);
	CHECK_EQ(ack(&r), 0x33);
	rig_out(&r, 0x20, 1, 0x80);			/* rotate on each */
	pulse(&r, 3);
	CHECK_EQ(ack(&r), 0x33);
	pulse(&r, 3);
	pulse(&r, 4);
	CHECK_EQ(ack(&r), 0x34);
	rig_out(&r, 0xa0, 1, 0x12);			/* alone, without ICW4 */
	rig_out(&r, 0xa1, 1, 0x40);
	rig_out(&r, 0xa1, 1, 0xff);
	CHECK_EQ(rig_in(&r, 0xa1, 1), 0xff);
	rig_fini(&r);
}

static void polling_acknowledges(void **s)
{
	struct rig r;

	(void)s;
	open_pic(&r);
	rig_out(&r, 0x20, 1, 0x0c);
	CHECK_EQ(rig_in(&r, 0x20, 1), 0);
	pulse(&r, 6);
	rig_out(&r, 0x20, 1, 0x0c);
	CHECK_EQ(rig_in(&r, 0x20, 1), 0x86);
	CHECK(!r.level);
	CHECK_EQ(rig_in(&r, 0x20, 1), 0);		/* once only; nothing requests */
	rig_out(&r, 0x20, 1, 0x0b);
	CHECK_EQ(rig_in(&r, 0x20, 1), 0x40);
	rig_fini(&r);
}

static void a_level_asks_while_it_stands(void **s)
{
	struct rig r;

	(void)s;
	open_pic(&r);
	rig_out(&r, 0x4d0, 1, 0xff);
	rig_out(&r, 0x4d1, 1, 0xff);
	CHECK_EQ(rig_in(&r, 0x4d0, 1), 0xf8);
	CHECK_EQ(rig_in(&r, 0x4d1, 1), 0xde);
	pulse(&r, 10);
	CHECK(!r.level);
	pin(&r, 10, true);
	CHECK_EQ(ack(&r), 0x72);
	rig_out(&r, 0xa0, 1, 0x20);
	rig_out(&r, 0x20, 1, 0x20);
	CHECK(r.level);
	pin(&r, 10, false);
	CHECK(!r.level);
	pin(&r, 2, true);				/* where the cascade is, nothing is wired */
	CHECK(!r.level);
	rig_fini(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edge_is_kept_until_the_acknowledge),
		cmocka_unit_test(priorities_nest),
		cmocka_unit_test(masks_hold_back_and_special_ones_let_pass),
		cmocka_unit_test(guests_initialise_it),
		cmocka_unit_test(polling_acknowledges),
		cmocka_unit_test(a_level_asks_while_it_stands),
	};

	return cmocka_run_group_tests_name("pic", tests, NULL, NULL);
}
