/*
 * test_dev.h - a device that echoes, for tests of the bus
 */
#ifndef VMBUS_TEST_DEV_H
#define VMBUS_TEST_DEV_H

#include "vmbus/vmbus.h"

#include <stdatomic.h>

struct test_dev {
	atomic_int opens, closes, packets, rooms;
	atomic_int open_rc;		/* what the next open says */
	atomic_bool hold;		/* keep the requests unanswered */
	atomic_bool soon;		/* answer them slowly, by chan_complete_soon */
	_Atomic uint64_t last_gpa, last_len;
	_Atomic(struct chan *) chan[8];	/* by index */
	atomic_uint subs;		/* offer so many when opened */
	atomic_int subs_rc;
};

extern const struct chan_ops test_dev_ops;
extern const struct guid test_dev_instance[3];

#endif
