/*
 * vmbus_msg_fuzz.c - sequences of control messages from a hostile guest
 *
 * Input: records of {kind, n, n bytes}.  kind below 64 is a message of that
 * type whose bytes from offset 8 on are given; 64 and up are events, resets,
 * packets in the ring, and devices that are taken away and come back.  Nothing may crash or hang; the sanitizers and the
 * bounds on what a guest can make us keep are the judges.
 */
#include "vmbus/test_dev.h"
#include "vmbus/vmbus_priv.h"

#include <stdlib.h>

#define MEM (1 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_message(void *self, unsigned vp, unsigned sint, const void *m, size_t n)
{
	unsigned *count = self;

	(void)m;
	BUG_IF(vp >= 2 || sint == 0 || sint > 15 || n < 8 || n > VMBUS_MSG_MAX);
	/* Sometimes full. */
	return ++*count % 7 == 0 ? -ENOBUFS : 0;
}

static void on_event(void *self, unsigned vp, unsigned sint, unsigned flag)
{
	(void)self;
	BUG_IF(vp >= 2 || sint == 0 || sint > 15 || flag >= NR_RELIDS);
}

static const struct vmbus_port port = { .message = on_message, .event = on_event };

static void nothing(void *arg)
{
	(void)arg;
}

static unsigned waiting(struct vmbus *b)
{
	unsigned nr;

	pthread_mutex_lock(&b->ctl.lock);
	nr = b->ctl.nr;
	pthread_mutex_unlock(&b->ctl.lock);
	return nr;
}

/* Until every message posted so far was handled. */
static void settle(struct vmbus *b)
{
	while (waiting(b) != 0)
		control_run(b, nothing, NULL);
	control_run(b, nothing, NULL);
	for (unsigned i = 0; i < b->nr_workers; i++)
		vworker_run(&b->workers[i], nothing, NULL);
	pthread_mutex_lock(&b->lock);
	BUG_IF(b->nr_pages > GPADL_MAX_TOTAL || b->nr_gpadls > GPADL_MAX_NR);
	pthread_mutex_unlock(&b->lock);
}

static void post(struct vmbus *b, uint8_t kind, const uint8_t *p, size_t n)
{
	uint8_t m[VMBUS_MSG_MAX] = { kind };
	size_t len = min_u64(n, sizeof(m) - 8);

	memcpy(m + 8, p, len);
	while (vmbus_post(b, 0, kind == VMBUS_INITIATE_CONTACT && n % 2 ? 4 : 1, 1, m, 8 + len) ==
	       HV_STATUS_INSUFFICIENT_BUFFERS)
		settle(b);
}

struct fuzzed {
	struct test_dev dev;
	struct vdev *vd;		/* NULL: it is away */
};

static void away_or_back(struct vmbus *b, struct fuzzed *f, const struct guid *instance)
{
	if (f->vd != NULL) {
		(void)vdev_remove(f->vd, 0);
		f->vd = NULL;
		BUG_IF(atomic_load(&f->dev.opens) != atomic_load(&f->dev.closes));
	} else if (vdev_offer(b, &test_dev_ops, &f->dev, instance, NULL, &f->vd, NULL) < 0) {
		f->vd = NULL;		/* no channel left */
	}
}

static void step(struct vmbus *b, struct gmem *mem, struct fuzzed dev[2], uint8_t kind, const uint8_t *p, size_t n)
{
	if (kind < 64) {
		post(b, kind, p, n);
	} else if (kind < 96) {
		(void)vmbus_signal(b, n > 0 ? 0x2000u + p[0] : VMBUS_CONN_EVENT, 0);
	} else if (kind < 112) {
		/* Any page of memory, which may be a ring. */
		uint64_t gpa = (uint64_t)kind % 16 * PAGE_SIZE + (n > 0 ? p[0] : 0) * 8;

		(void)!gmem_write(mem, gpa, p, n);
	} else if (kind < 116) {
		settle(b);
	} else if (kind < 120) {
		away_or_back(b, &dev[kind % 2], &test_dev_instance[kind % 2]);
	} else {
		vmbus_reset(b);
	}
}

/* A guest that got as far as an open channel with GPADL 1 on pages 0 to 5. */
static void prologue(struct vmbus *b)
{
	uint8_t m[152] = { 0 };

	st32(m, VMBUS_V5_3);
	m[8] = 2;
	post(b, VMBUS_INITIATE_CONTACT, m, 33);
	post(b, VMBUS_REQUEST_OFFERS, m, 0);
	memset(m, 0, sizeof(m));
	st32(m, 1);
	st32(m + 4, 1);
	st16(m + 8, 8 + 6 * 8);
	st16(m + 10, 1);
	st32(m + 12, 6 * 4096);
	for (unsigned i = 0; i < 6; i++)
		st64(m + 20 + 8 * i, i);
	post(b, VMBUS_GPADL_HEADER, m, 20 + 48);
	memset(m, 0, sizeof(m));
	st32(m, 1);
	st32(m + 8, 1);
	st32(m + 16, 3);
	post(b, VMBUS_OPEN_CHANNEL, m, 140);
	settle(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gmem_range range = { 0, MEM };
	struct fuzzed dev[2] = { 0 };
	struct gmem *mem;
	struct vmbus *b;
	unsigned count = 0;
	struct vmbus_conf conf = { .nr_vps = 2, .workers = 1, .port = &port, .self = &count };

	log_set_level(LOG_ERR);
	BUG_IF(gmem_new(&range, 1, &mem, NULL) < 0);
	conf.mem = mem;
	BUG_IF(vmbus_new(&conf, &b, NULL) < 0);
	for (int i = 0; i < 2; i++)
		away_or_back(b, &dev[i], &test_dev_instance[i]);
	if (size > 0 && data[0] & 1)
		prologue(b);
	for (size_t at = 1; at + 2 <= size;) {
		uint8_t kind = data[at], n = data[at + 1];

		at += 2;
		n = (uint8_t)min_u64(n, size - at);
		step(b, mem, dev, kind & 127, data + at, n);
		at += n;
	}
	settle(b);
	vmbus_reset(b);
	for (int i = 0; i < 2; i++) {
		BUG_IF(atomic_load(&dev[i].dev.opens) != atomic_load(&dev[i].dev.closes));
		BUG_IF(!vdev_remove(dev[i].vd, 0));
	}
	vmbus_free(b);
	gmem_free(mem);
	return 0;
}
