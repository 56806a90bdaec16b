/*
 * netctl.h - who asks about the switches of this process, or plugs into them
 *
 * One connection, one thread, one request, in JSON (link_priv.h):
 *
 *	{"do": "show"}				roster_show of each switch, then {"end": true}
 *	{"do": "capture", "port"}		with a file, of one port or (without) of all: until
 *						the asker shuts its half down, then {"frames", "lost"}
 *
 * and what the process adds.  A request that cannot be done is answered with
 * {"error": SENTENCE}.
 */
#ifndef NET_NETCTL_H
#define NET_NETCTL_H

#include "net/roster.h"

struct netctl;

#define NETCTL_ROSTERS 32u

struct netctl_conf {
	int listen;			/* [taken] */
	struct roster *const *rosters;	/* borrowed, each until netctl_remove */
	unsigned nr;			/* at most NETCTL_ROSTERS */
	/* Another request; when it returns SOCK is closed.  False: it knows none of that name. */
	bool (*other)(void *arg, int sock, const json_t *ask);
	void *arg;
};

MUST_CHECK int netctl_new(const struct netctl_conf *conf, struct netctl **ret_n, struct err *err);
/*
 * Takes connections until netctl_stop, or QUIT (-1: none) can be read, or nobody was
 * connected for IDLE_NS (0: for ever).  When it returns nobody is connected any more.
 */
void netctl_run(struct netctl *n, uint64_t idle_ns, int quit);
void netctl_stop(struct netctl *n);	/* any thread */
void netctl_free(struct netctl *n);	/* NULL is fine */

/* One more switch; -ENOSPC.  This and netctl_remove: one at a time. */
MUST_CHECK int netctl_add(struct netctl *n, struct roster *r);
/* On return nobody looks at R any more; captures of this process end.  Not from one of its own threads. */
void netctl_remove(struct netctl *n, struct roster *r);

void netctl_refuse(int sock, const char *why);

#endif
