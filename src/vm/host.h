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

struct host_model {
	const char *name;
	bool usable;		/* the host has the instructions it needs */
};

/* The NTH engine, best first, tried out; false past the last. */
bool host_engine(unsigned nth, struct host_engine *ret_e);
/* The NTH processor model, best first; false past the last. */
bool host_model(unsigned nth, struct host_model *ret_m);
bool host_has_uring(void);		/* io_uring can be set up here */
uint64_t host_tsc_hz(void);

#endif
