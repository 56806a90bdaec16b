/*
 * services.h - shutdown, heartbeat and time synchronisation
 *
 * What Hyper-V's management tools expect of every guest that has the drivers.
 */
#ifndef SYN_SERVICES_H
#define SYN_SERVICES_H

#include "dev/clock.h"
#include "syn/ic.h"

struct services;

struct services_conf {
	struct clock *clock;
	uint64_t (*ref_time)(void *self);	/* 100 ns, as the guest reads it */
	void *self;
};

MUST_CHECK int services_new(struct vmbus *bus, const struct services_conf *conf,
			    struct services **ret_s, struct err *err);
void services_free(struct services *s);	/* the bus was reset before: no channel is open */

/*
 * Asks the guest to turn itself off; -ENOTCONN while its driver is not there,
 * -EBUSY when asked already.
 */
MUST_CHECK int services_shutdown(struct services *s);
/* The guest's clock was stopped for a while: tell it the time again. */
void services_time_jumped(struct services *s);
/* Answers to heartbeats so far. */
uint64_t services_heartbeats(struct services *s);

#endif
