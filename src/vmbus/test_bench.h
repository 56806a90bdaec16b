/*
 * test_bench.h - a bus with two echo devices, for the tests of this room
 */
#ifndef VMBUS_TEST_BENCH_H
#define VMBUS_TEST_BENCH_H

#include "base/test.h"
#include "vmbus/fake_guest.h"
#include "vmbus/test_dev.h"

#include <stdlib.h>
#include <unistd.h>

struct bench {
	struct fake_guest g;
	struct test_dev dev[2];
	struct vdev *vd[2];
};

static inline struct bench *bench_new(uint32_t max_version)
{
	struct bench *b = new0(struct bench);

	CHECK(b != NULL);
	CHECK_EQ(fg_new(&b->g, max_version, 2), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(vdev_offer(b->g.bus, &test_dev_ops, &b->dev[i], &test_dev_instance[i],
				    NULL, &b->vd[i], NULL), 0);
	return b;
}

static inline void bench_free(struct bench *b)
{
	vmbus_reset(b->g.bus);
	for (int i = 0; i < 2; i++)	/* whatever was opened was closed */
		CHECK_EQ(b->dev[i].opens, b->dev[i].closes);
	fg_free(&b->g);
	free(b);
}

/* As far as two offers in hand. */
static inline void connect(struct bench *b, uint32_t version, uint32_t vp, struct vmbus_offer o[4])
{
	uint32_t conn = version >= VMBUS_V5_0 ? VMBUS_CONN_MSG_MULTI : VMBUS_CONN_MSG;

	CHECK_EQ(fg_contact(&b->g, conn, version, vp), 1);
	CHECK_EQ(fg_offers(&b->g, o, 4), 2);
}

static inline void wait_int(atomic_int *v, int want)
{
	for (int i = 0; i < 40000 && atomic_load(v) != want; i++)
		usleep(100);
	CHECK_EQ(atomic_load(v), want);
}

static inline void simple(struct bench *b, uint32_t type)
{
	struct vmbus_hdr m = { .type = le32_of(type) };

	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
}

static inline void relid_msg(struct bench *b, uint32_t type, uint32_t relid)
{
	struct vmbus_relid_msg m = { .hdr.type = le32_of(type), .relid = le32_of(relid) };

	CHECK_EQ(fg_post(&b->g, &m, sizeof(m)), 0);
}

static inline void ping(struct bench *b, struct fg_chan *c, uint64_t id)
{
	uint8_t body[20] = "Ping with some bytes";
	struct fg_pkt p;

	CHECK_EQ(fg_send(&b->g, c, VMPKT_INBAND, 1, id, body, sizeof(body)), 0);
	CHECK_EQ(fg_recv(&b->g, c, &p), 0);
	CHECK_EQ(p.type, VMPKT_COMP);
	CHECK_EQ(p.id, id);
	CHECK_EQ(p.len, 24);
	CHECK_MEM(p.data, body, sizeof(body));
}

#endif
