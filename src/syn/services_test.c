/* services_test.c - shutdown, heartbeat and time, against a guest that answers as Linux does */
#include "base/test.h"

#include "syn/ic.c"
#include "syn/services.c"

#include "vmbus/fake_guest.h"

#define HDR 28u			/* pipe and IC header */

struct rig {
	struct fake_guest g;
	struct clock *clock;
	struct services *s;
	struct vmbus_offer offer[3];
	struct fg_chan chan;
};

static uint64_t fake_ref_time(void *self)
{
	(void)self;
	return 0x1122334455667788;
}

static void rig_open(struct rig *r)
{
	const struct services_conf conf = { .ref_time = fake_ref_time };
	struct services_conf c = conf;

	CHECK_EQ(fg_new(&r->g, 0, 1), 0);
	CHECK_EQ(clock_new_manual(&r->clock), 0);
	c.clock = r->clock;
	CHECK_EQ(services_new(r->g.bus, &c, &r->s, NULL), 0);
	CHECK_EQ(fg_contact(&r->g, VMBUS_CONN_MSG_MULTI, VMBUS_V5_3, 0), 1);
	CHECK_EQ(fg_offers(&r->g, r->offer, 3), 3);
}

static void rig_close(struct rig *r)
{
	vmbus_reset(r->g.bus);
	services_free(r->s);
	clock_free(r->clock);
	fg_free(&r->g);
}

/* Opens service NTH in the order of offers and returns its negotiation packet. */
static void open_service(struct rig *r, unsigned nth, struct fg_pkt *p)
{
	CHECK_EQ(fg_open(&r->g, le32_get(r->offer[nth].relid), 4, 0, &r->chan), 0);
	CHECK_EQ(fg_recv(&r->g, &r->chan, p), 0);
	CHECK_EQ(p->type, VMPKT_INBAND);
}

/* Answers a request in its own packet, as the drivers do. */
static void answer(struct rig *r, struct fg_pkt *p)
{
	p->data[25] = FLAG_TRANSACTION | FLAG_RESPONSE;
	CHECK_EQ(fg_send(&r->g, &r->chan, VMPKT_INBAND, 0, p->id, p->data, p->len), 0);
}

static void agree(struct rig *r, struct fg_pkt *p, uint16_t major, uint16_t minor)
{
	st16(p->data + HDR, 1);
	st16(p->data + HDR + 2, 1);
	st16(p->data + HDR + 8, 3);
	st16(p->data + HDR + 10, 0);
	st16(p->data + HDR + 12, major);
	st16(p->data + HDR + 14, minor);
	st16(p->data + 18, 16);
	answer(r, p);
}

static void wait_agreed(struct ic *ic)
{
	for (int i = 0; i < 2000 && ic_agreed(ic).major == 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	CHECK(ic_agreed(ic).major != 0);
}

static void shutdown_is_asked_once_versions_are_agreed(void **s)
{
	struct rig r;
	struct fg_pkt p;

	(void)s;
	rig_open(&r);
	CHECK_EQ(services_shutdown(r.s), -ENOTCONN);
	open_service(&r, 0, &p);
	CHECK_EQ(ld16(p.data + 12), NEGOTIATE);
	CHECK_EQ(ld16(p.data + HDR), 2);	/* frameworks 1.0 and 3.0 */
	CHECK_EQ(ld16(p.data + HDR + 2), 4);	/* up to 3.2 */
	CHECK_EQ(services_shutdown(r.s), -ENOTCONN);
	agree(&r, &p, 3, 2);
	wait_agreed(r.s->shutdown);
	CHECK_EQ(services_shutdown(r.s), 0);
	CHECK_EQ(services_shutdown(r.s), -EBUSY);
	CHECK_EQ(fg_recv(&r.g, &r.chan, &p), 0);
	CHECK_EQ(ld16(p.data + 12), IC_SHUTDOWN);
	CHECK_EQ(ld16(p.data + 14), 3);
	CHECK_EQ(ld16(p.data + 16), 2);
	CHECK_EQ(ld16(p.data + 18), SHUTDOWN_BODY);
	CHECK(p.len >= HDR + SHUTDOWN_BODY);
	CHECK_EQ(p.data[25], FLAG_TRANSACTION | FLAG_REQUEST);
	rig_close(&r);
}

static void versions_nobody_offered_are_not_taken(void **s)
{
	struct rig r;
	struct fg_pkt p;

	(void)s;
	rig_open(&r);
	open_service(&r, 0, &p);
	agree(&r, &p, 9, 9);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	CHECK_EQ(services_shutdown(r.s), -ENOTCONN);
	rig_close(&r);
}

static void hostile_answers_change_nothing(void **s)
{
	struct rig r;
	struct fg_pkt p, q;

	(void)s;
	rig_open(&r);
	open_service(&r, 0, &p);
	q = p;
	st16(q.data + 18, 0xffff);		/* a body longer than its packet */
	answer(&r, &q);
	/* no header at all */
	CHECK_EQ(fg_send(&r.g, &r.chan, VMPKT_INBAND, 0, 0, q.data, 8), 0);
	q = p;
	q.data[24] = (uint8_t)(p.data[24] + 1);	/* an answer to nothing we asked */
	agree(&r, &q, 3, 2);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	CHECK_EQ(ic_agreed(r.s->shutdown).major, 0);
	agree(&r, &p, 3, 0);			/* the real one still counts */
	wait_agreed(r.s->shutdown);
	rig_close(&r);
}

static void heartbeats_go_every_two_seconds_and_are_counted(void **s)
{
	struct rig r;
	struct fg_pkt p;
	uint64_t first;

	(void)s;
	rig_open(&r);
	open_service(&r, 1, &p);
	agree(&r, &p, 3, 0);
	wait_agreed(r.s->heartbeat);
	for (int i = 0; i < 2000 && !atomic_load(&r.s->beating); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	clock_step(r.clock, 1);
	CHECK_EQ(fg_recv(&r.g, &r.chan, &p), 0);
	CHECK_EQ(ld16(p.data + 12), IC_HEARTBEAT);
	first = ld64(p.data + HDR);
	answer(&r, &p);
	for (int i = 0; i < 2000 && services_heartbeats(r.s) == 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	CHECK_EQ(services_heartbeats(r.s), 1);
	clock_step(r.clock, HEARTBEAT_NS);
	CHECK_EQ(fg_recv(&r.g, &r.chan, &p), 0);
	CHECK(ld64(p.data + HDR) > first);
	rig_close(&r);
}

static void the_clock_is_set_first_and_sampled_after(void **s)
{
	struct rig r;
	struct fg_pkt p;
	uint64_t unix_100ns;

	(void)s;
	rig_open(&r);
	open_service(&r, 2, &p);
	agree(&r, &p, 4, 0);
	for (int i = 0; i < 2000 && !atomic_load(&r.s->sampling); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	clock_step(r.clock, 1);
	CHECK_EQ(fg_recv(&r.g, &r.chan, &p), 0);
	unix_100ns = (uint64_t)time(NULL) * 10000000;
	CHECK(ld64(p.data + HDR) - EPOCH_1601 + 50000000 > unix_100ns);
	CHECK(ld64(p.data + HDR) - EPOCH_1601 < unix_100ns + 50000000);
	CHECK_EQ(ld64(p.data + HDR + 8), 0x1122334455667788);
	CHECK_EQ(p.data[HDR + 16], TIME_SYNC);
	answer(&r, &p);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	clock_step(r.clock, SAMPLE_NS);
	CHECK_EQ(fg_recv(&r.g, &r.chan, &p), 0);
	CHECK_EQ(p.data[HDR + 16], TIME_SAMPLE);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shutdown_is_asked_once_versions_are_agreed),
		cmocka_unit_test(versions_nobody_offered_are_not_taken),
		cmocka_unit_test(hostile_answers_change_nothing),
		cmocka_unit_test(heartbeats_go_every_two_seconds_and_are_counted),
		cmocka_unit_test(the_clock_is_set_first_and_sampled_after),
	};

	return cmocka_run_group_tests_name("services", tests, NULL, NULL);
}
