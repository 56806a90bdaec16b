/*
 * places.h - where definitions of switches are, and where running ones meet
 *
 * Definitions: $XDG_CONFIG_HOME/genvisor/switches, else for root
 * /etc/genvisor/switches, else $HOME/.config/genvisor/switches.
 * Meeting place: $XDG_RUNTIME_DIR/genvisor, else for root /run/genvisor, else
 * /tmp/genvisor-UID; nobody else may look into it.
 */
#ifndef NET_PLACES_H
#define NET_PLACES_H

#include "base/err.h"

struct place {
	int fd;				/* of the folder */
	char path[512];			/* for sentences */
};

/* MAKE: if it is not there it is made; else -ENOENT without a message. */
MUST_CHECK int place_config(bool make, struct place *ret_p, struct err *err);
MUST_CHECK int place_runtime(struct place *ret_p, struct err *err);
void place_close(struct place *p);

/* Sockets NAME.sock of whole messages.  Connected, or -ENOENT without a message: nobody listens. */
MUST_CHECK int place_connect(const struct place *p, const char *name, struct err *err);
/* In place of one that was left behind; without waiting in accept. */
MUST_CHECK int place_listen(const struct place *p, const char *name, struct err *err);
void place_unlisten(const struct place *p, const char *name);
/* FN for each NAME.sock, by name; what it returns below 0 ends that. */
MUST_CHECK int place_each(const struct place *p, int (*fn)(void *arg, const char *name), void *arg, struct err *err);

#endif
