/*
 * host.c - questions about the host that ctl/ may ask
 *
 * Lock     none
 */
#include "vm/host.h"

#include <liburing.h>

bool host_has_uring(void)
{
	struct io_uring ring;

	if (io_uring_queue_init(8, &ring, 0) < 0)
		return false;
	io_uring_queue_exit(&ring);
	return true;
}
