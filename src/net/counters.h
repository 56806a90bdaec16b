/*
 * counters.h - what an adapter or a way out counts, for "genvisor net show"
 */
#ifndef NET_COUNTERS_H
#define NET_COUNTERS_H

#include "base/base.h"

#include <jansson.h>

struct counter {
	const char *name;
	size_t at;			/* of an uint64_t in the struct of all */
};

/* NAME: VALUE of each of LIST, which ends with a name of NULL; NULL: no memory. */
json_t *counters_json(const struct counter *list, const void *stats);

/* roster_counters of a struct nat, a struct tap. */
json_t *counters_nat(void *nat);
json_t *counters_tap(void *tap);

#endif
