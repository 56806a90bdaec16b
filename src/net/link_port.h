/*
 * link_port.h - a port of a switch that runs in another process
 *
 * To its owner it is a port like any other.  When the other process ends its
 * link goes down; it is looked for, or started anew, until it is there again.
 */
#ifndef NET_LINK_PORT_H
#define NET_LINK_PORT_H

#include "base/err.h"
#include "net/port.h"

struct link_port;

struct link_port_conf {
	const char *sw;			/* the switch's name */
	const char *port;		/* what the switch shall call it */
	const char *words;		/* what is said of it, as port_opt.h has it */
	uint8_t mac[6];
	/* A connected socket to it, which is started if it does not run; or -errno. */
	int (*reach)(const char *sw, struct err *err);
};

/* Strings are copied. */
MUST_CHECK int link_port_new(const struct link_port_conf *c, struct link_port **ret_l, struct err *err);
struct port *link_port_port(struct link_port *l);
void link_port_free(struct link_port *l);	/* its owner has let go of it */

#endif
