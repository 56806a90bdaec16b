/*
 * host.h - questions about the host that ctl/ may ask
 */
#ifndef VM_HOST_H
#define VM_HOST_H

#include <stdbool.h>

bool host_has_uring(void);		/* io_uring can be set up here */

#endif
