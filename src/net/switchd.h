/*
 * switchd.h - a switch that several machines share, as it lives in its process
 */
#ifndef NET_SWITCHD_H
#define NET_SWITCHD_H

#include "net/switch_def.h"

#define SWITCHD_IDLE_NS (5 * NS_PER_SEC)	/* it ends so long after its last connection */

struct switchd;

/* Opens its uplinks and its way to the host, and listens on LISTEN.  Both belong to it, on failure too. */
MUST_CHECK int switchd_new(struct switch_def *take, int listen, struct switchd **ret_d, struct err *err);
/* As netctl_run. */
void switchd_run(struct switchd *d, uint64_t idle_ns, int quit);
void switchd_stop(struct switchd *d);		/* any thread */
void switchd_free(struct switchd *d);		/* NULL is fine */

/* A connected socket to the switch NAME, which is started if it does not run; or -errno. */
MUST_CHECK int switch_reach(const char *name, struct err *err);
/* The same, but -ENOENT without a message if it does not run. */
MUST_CHECK int switch_connect(const char *name, struct err *err);
/*
 * This process becomes the switch NAME until it is told to end: when it returns that is
 * over.  DETACH: another process does, until it is idle, and it returns as soon as that
 * one listens.  1: it runs already.
 */
MUST_CHECK int switch_become(const char *name, bool detach, struct err *err);

#endif
