/*
 * offload.h - completes in software what a receiver does not take
 */
#ifndef NET_OFFLOAD_H
#define NET_OFFLOAD_H

#include "net/pkt.h"
#include "net/port.h"

/* 0, or -EAGAIN: no room. */
typedef int offload_emit(void *arg, const struct net_frame *f);

/*
 * Gives P to EMIT in the form that CAPS allow, as one frame or, for a large send that
 * they do not, as its segments; with P's tag when flags has FRAME_TAGGED.
 *	0		all of it was taken
 *	-EAGAIN		no room, nothing was taken
 *	-ENOBUFS	no room after some segments; the rest is lost
 *	-EMSGSIZE	longer than the receiver takes; nothing was given to it
 */
MUST_CHECK int offload_fit(const struct packet *p, const struct port_caps *caps, offload_emit *emit,
			   void *arg);

#endif
