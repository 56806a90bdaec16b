/*
 * meter.h - a token bucket
 *
 * A rate and a burst, in units a second and units (bytes, frames).  What
 * costs more than there is may pass when the bucket is full, and is owed: so
 * a burst smaller than a large send works, and over any time the units let
 * through are at most rate * time + burst + one cost, and if enough is
 * offered, no less than rate * time.  Exact integers.  The owner holds a lock.
 */
#ifndef NET_METER_H
#define NET_METER_H

#include "base/base.h"

struct meter {
	uint64_t rate;			/* units a second; 0 = no limit */
	uint64_t burst;			/* units, at least 1 */
	int64_t tokens;			/* billionths of a unit; below 0 = owed */
	uint64_t last_ns;
};

#define METER_RATE_MAX (UINT64_C(100) * 1000 * 1000 * 1000)
#define METER_BURST_MAX (UINT64_C(1) << 32)

/* Full at NOW.  RATE and BURST are at most the maxima above. */
void meter_init(struct meter *m, uint64_t rate, uint64_t burst, uint64_t now_ns);
/* 0: COST is there; else how many ns until it will be, if nobody else takes. */
uint64_t meter_wait_ns(struct meter *m, uint64_t cost, uint64_t now_ns);
void meter_charge(struct meter *m, uint64_t cost);
void meter_give_back(struct meter *m, uint64_t cost);	/* it was charged and not used */

#endif
