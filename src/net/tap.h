/*
 * tap.h - a way out through an interface of the host
 *
 * The other end is a tap interface: root's, or one made for a user by
 * "ip tuntap add NAME mode tap user USER".  Put into a bridge it is the way to
 * the host's network; alone, a wire to the host.  An interface that is not
 * there yet is made by root and goes when the last one lets go of it.
 */
#ifndef NET_TAP_H
#define NET_TAP_H

#include "base/err.h"
#include "net/port.h"

#define TAP_NAME_MAX 15u

struct tap;

struct tap_stats {
	uint64_t tx, tx_bytes;		/* from the switch to the host */
	uint64_t tx_lost;		/* the interface is down, or did not want it */
	uint64_t rx, rx_bytes;
	uint64_t rx_bad;		/* made no sense */
};

/* tap=NAME; RET_NAME holds TAP_NAME_MAX + 1. */
MUST_CHECK int tap_parse(const char *text, char *ret_name, struct err *err);
/* Binds itself to P, which stays until tap_free has returned. */
MUST_CHECK int tap_new(const char *name, struct port *p, struct tap **ret_tap, struct err *err);
void tap_free(struct tap *t);
void tap_stats(struct tap *t, struct tap_stats *ret_stats);

#endif
