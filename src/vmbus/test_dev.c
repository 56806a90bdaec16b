/*
 * test_dev.c - a device that echoes, for tests of the bus
 */
#include "vmbus/test_dev.h"

#include <unistd.h>

static int dev_open(void *self, struct chan *c)
{
	struct test_dev *d = self;
	int rc = atomic_load(&d->open_rc);

	if (rc < 0)
		return rc;
	atomic_fetch_add(&d->opens, 1);
	if (chan_index(c) < 8)
		atomic_store(&d->chan[chan_index(c)], c);
	return 0;
}

/* An in-band packet of 8 bytes that starts with 'S' asks for sub-channels, with 'P' for a pause. */
static void dev_packet(void *self, struct chan *c, const struct pkt *p)
{
	struct test_dev *d = self;

	atomic_fetch_add(&d->packets, 1);
	if (p->nr_ranges == 1 && p->type == VMPKT_GPA_DIRECT && p->ranges[0].nr_pfns > 0) {
		atomic_store(&d->last_gpa,
			     (p->ranges[0].pfns[0] << PAGE_SHIFT) + p->ranges[0].offset);
		atomic_store(&d->last_len, p->ranges[0].len);
	}
	if (p->type == VMPKT_INBAND && p->len == 8 && p->data[0] == 'S')
		atomic_store(&d->subs_rc, chan_offer_subs(c, p->data[1]));
	if (p->type == VMPKT_INBAND && p->len == 8 && p->data[0] == 'P')
		chan_pause(c);
	if ((p->flags & 1) && atomic_load(&d->soon)) {
		usleep(500);
		chan_complete_soon(c, p->id, p->data, p->len);
	} else if ((p->flags & 1) && !atomic_load(&d->hold)) {
		chan_complete(c, p->id, p->data, p->len);
	}
}

static void dev_room(void *self, struct chan *c)
{
	struct test_dev *d = self;

	(void)c;
	atomic_fetch_add(&d->rooms, 1);
}

static void dev_close(void *self, struct chan *c)
{
	struct test_dev *d = self;

	(void)c;
	atomic_fetch_add(&d->closes, 1);
}

const struct chan_ops test_dev_ops = {
	.name = "echo",
	.type = GUID_INIT(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc,
			  0x7f),
	.offer_flags = 1,
	.max_sub = 4,
	.open = dev_open,
	.packet = dev_packet,
	.room = dev_room,
	.close = dev_close,
};

const struct guid test_dev_instance[3] = {
	GUID_INIT(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
	GUID_INIT(2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
	GUID_INIT(3, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
};
