/*
 * host.h - questions about the host that ctl/ may ask
 */
#ifndef VM_HOST_H
#define VM_HOST_H

#include "base/err.h"

struct host_engine {
	const char *name;
	bool usable;
	const char *words;	/* what it is, or in err why it cannot be used */
	struct err err;
};

/* The NTH engine, best first, tried out; false past the last. */
bool host_engine(unsigned nth, struct host_engine *ret_e);
bool host_has_uring(void);		/* io_uring can be set up here */
uint64_t host_tsc_hz(void);

#endif
