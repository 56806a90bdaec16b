/*
 * net_plug_test.c - adapters that come and go while the guest runs
 */
#include "base/test.h"

#include "syn/net_bench.h"

#include <stdlib.h>
#include <unistd.h>

#define OK(x) CHECK_EQ((x), 0)
#define SHORT (20 * 1000000u)
#define LONG (10 * (uint64_t)NS_PER_SEC)

static const uint8_t frame[60] = { 0x02, 0, 0, 0, 0, 9, 0x00, 0x15, 0x5d, 1, 2, 3, 0x08, 0x06 };

static void add(struct net_bench *b, uint8_t instance)
{
	struct nic_conf conf = { .instance.b = { instance }, .nr_vps = 4, .port = &b->port.port };

	OK(nic_new(b->g.bus, &conf, &b->n, NULL));
}

static struct net_bench *fresh(void)
{
	struct net_bench *b = new0(struct net_bench);

	CHECK(b != NULL);
	OK(nb_init(b, 4, false));
	return b;
}

static void done(struct net_bench *b)
{
	nb_fini(b);
	free(b);
}

static void one_frame(struct net_bench *b, struct fg_chan *c)
{
	uint8_t m[256];
	uint32_t len = nb_packet(m, frame, sizeof(frame), NULL, 0);

	OK(nb_send(b, c, NVSP_CHAN_DATA, false, m, len));
}

static void ask_subs(struct net_bench *b, struct fg_chan *sub)
{
	struct nvsp_msg m = { .type = le32_of(NVSP_SUBCHANNEL) };
	struct fg_msg r;
	struct fg_pkt p;

	m.u.sub.op = le32_of(1);
	m.u.sub.nr = le32_of(2);
	OK(nb_nvsp(b, &m));
	OK(fg_recv(&b->g, &b->c, &p));		/* the table */
	for (unsigned i = 0; i < 2; i++)
		OK(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r));
	OK(fg_open(&b->g, ld32(r.bytes + 184), 17, 1, sub));
}

/* Brings a guest as far as STEP says; false: there are no more. */
static bool reach(struct net_bench *b, unsigned step)
{
	static struct fg_chan sub;
	struct nvsp_msg m = { .type = le32_of(NVSP_INIT) };

	switch (step) {
	case 0:				/* no guest */
		return true;
	case 1:				/* it knows of it */
		CHECK_EQ(fg_contact(&b->g, VMBUS_CONN_MSG_MULTI, VMBUS_V5_3, 0), 1);
		CHECK_EQ(fg_offers(&b->g, &b->offer, 1), 1);
		return true;
	case 2:
		OK(nb_open(b));
		return true;
	case 3:				/* in the middle of its setup */
		OK(nb_open(b));
		m.u.init.min = m.u.init.max = le32_of(NVSP_V6_1);
		OK(nb_nvsp(b, &m));
		OK(nb_recv_buf(b));
		return true;
	case 4:
		OK(nb_up(b, NVSP_V6_1, 1514, 0));
		return true;
	case 5:				/* frames both ways: held by the switch, kept by the guest */
	case 6:				/* ...and more of them than the ring holds */
		OK(nb_up(b, NVSP_V6_1, 1514, 0));
		OK(nb_filter(b, 0xff));
		fp_set_take(&b->port, 0);
		for (unsigned i = 0; i < (step == 5 ? 1 : 200); i++) {
			one_frame(b, &b->c);
			(void)!fp_deliver(&b->port, 0, 0, frame, sizeof(frame));
		}
		return true;
	case 7:				/* sub-channels: one open, one not */
		OK(nb_up(b, NVSP_V6_1, 1514, 0));
		ask_subs(b, &sub);
		one_frame(b, &sub);
		return true;
	case 8:				/* closing: the sub-channel's turn has not come */
		OK(nb_up(b, NVSP_V6_1, 1514, 0));
		ask_subs(b, &sub);
		fg_close(&b->g, &b->c);
		return true;
	default:
		return false;
	}
}

/* Whatever the guest was doing, and it does nothing more: the next adapter works. */
static void taken_away_in_the_middle_of_anything(void **s)
{
	struct net_bench *b = fresh();
	uint64_t base = b->g.next_gpa;

	(void)s;
	for (unsigned step = 0; reach(b, step); step++) {
		bool nothing_stays = nic_remove(b->n, SHORT);

		CHECK_EQ(nothing_stays, step == 0);
		CHECK(b->port.client == NULL);	/* the port is nobody's */
		if (step >= 2) {
			fg_signal(&b->g, &b->c);
			fg_close(&b->g, &b->c);
		}
		/* The same guest finds another one. */
		b->g.nr = 0;
		add(b, (uint8_t)(2 + step));
		if (step > 0) {
			struct fg_msg r;
			struct fg_chan c;

			do
				OK(fg_next(&b->g, &r));
			while (ld32(r.bytes) != VMBUS_OFFER_CHANNEL);
			CHECK_EQ(fg_open(&b->g, ld32(r.bytes + 184), 17, 0, &c), 0);
			fg_close(&b->g, &c);
		}
		fp_set_take(&b->port, UINT32_MAX);
		vmbus_reset(b->g.bus);
		b->g.nr = 0;
		b->g.next_gpa = base;
		OK(nb_up(b, NVSP_V6_1, 1514, 0));
		vmbus_reset(b->g.bus);
		b->g.nr = 0;
		b->g.next_gpa = base;
	}
	done(b);
}

static void *remove_main(void *arg)
{
	return nic_remove(arg, LONG) ? arg : NULL;
}

/* Linux waits for what it sent and asked: it gets it until it closes. */
static void answers_until_the_guest_lets_go(void **s)
{
	struct net_bench *b = fresh();
	struct vmbus_relid_msg released = { .hdr.type = le32_of(VMBUS_RELID_RELEASED) };
	struct nvsp_msg m = { .type = le32_of(NVSP_SUBCHANNEL) };
	uint32_t len;
	pthread_t t;
	void *nothing_stays;
	struct fg_msg r;

	(void)s;
	OK(nb_up(b, NVSP_V6_1, 1514, 0));
	OK(pthread_create(&t, NULL, remove_main, b->n));
	OK(fg_expect(&b->g, VMBUS_RESCIND_OFFER, &r));
	CHECK_EQ(ld32(r.bytes + 8), b->c.relid);
	for (unsigned i = 0; i < 10; i++) {
		one_frame(b, &b->c);
		CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_SUCCESS);
	}
	CHECK_EQ(nb_query(b, OID_MEDIA_CONNECT_STATUS, NULL, 0, &len), 0);
	m.u.sub.op = le32_of(1);
	m.u.sub.nr = le32_of(2);
	OK(nb_nvsp(b, &m));
	CHECK_EQ(le32_get(b->r.u.sub.op), NVSP_FAIL);	/* no new channels */
	fg_close(&b->g, &b->c);
	released.relid = le32_of(b->c.relid);
	OK(fg_post(&b->g, &released, sizeof(released)));
	OK(pthread_join(t, &nothing_stays));
	CHECK(nothing_stays != NULL);
	b->n = NULL;
	/* The same instance may come back, on the same channel. */
	add(b, 0x44);
	OK(fg_expect(&b->g, VMBUS_OFFER_CHANNEL, &r));
	CHECK_EQ(ld32(r.bytes + 184), b->c.relid);
	done(b);
}

/* When to ask a guest to let go: when it waits for nothing. */
static void knows_when_the_guest_rests(void **s)
{
	struct net_bench *b = fresh();
	uint64_t mark = UINT64_MAX;

	(void)s;
	CHECK(nic_rests(b->n, &mark));		/* nobody uses it */
	CHECK(!nic_in_use(b->n));
	OK(nb_open(b));
	CHECK(!nic_rests(b->n, &mark));		/* its setup has begun */
	CHECK(!nic_rests(b->n, &mark));
	vmbus_reset(b->g.bus);
	b->g.nr = 0;
	OK(nb_up(b, NVSP_V6_1, 1514, 0));
	CHECK(nic_in_use(b->n));
	mark = UINT64_MAX;
	CHECK(!nic_rests(b->n, &mark));
	CHECK(nic_rests(b->n, &mark));
	one_frame(b, &b->c);
	CHECK_EQ(nb_wait_sent(b, &b->c), NVSP_SUCCESS);
	CHECK(!nic_rests(b->n, &mark));
	CHECK(nic_rests(b->n, &mark));
	OK(nb_filter(b, 0xf));
	CHECK(!nic_rests(b->n, &mark));
	CHECK(nic_rests(b->n, &mark));
	done(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_away_in_the_middle_of_anything),
		cmocka_unit_test(answers_until_the_guest_lets_go),
		cmocka_unit_test(knows_when_the_guest_rests),
	};

	return cmocka_run_group_tests_name("net_plug", tests, NULL, NULL);
}
