/*
 * link_priv.h - a machine's adapter and a switch in another process
 *
 * They meet at a Unix socket of whole messages (SOCK_SEQPACKET).  The first
 * message each way is JSON; the switch's carries the memory of two lanes.
 * From then on a message is one struct link_note: wake up, or news.
 *
 * Why the socket wakes and not an eventfd: whether a write to an eventfd may
 * block belongs to its open file, which the peer shares and can change, and a
 * thread that delivers for others must not be stopped.  A send says for
 * itself that it does not wait.
 */
#ifndef NET_LINK_PRIV_H
#define NET_LINK_PRIV_H

#include "base/err.h"
#include "net/lane.h"
#include "net/link_msg.h"
#include "net/port.h"

#include <pthread.h>

#define LINK_MEM (2u * LANE_SIZE)	/* to the switch, from the switch */

enum link_what {
	LINK_WAKE = 'W',		/* look at the lanes: frames, or room */
	LINK_STATE = 'L',		/* switch to machine: up, bps, spoof */
	LINK_CAPS = 'C',		/* machine to switch: caps */
};

struct link_note {
	uint8_t what;			/* LINK_x */
	uint8_t up;
	uint8_t spoof;			/* the owner may send from any address */
	uint8_t rsvd0[5];
	uint64_t bps;
	struct port_caps caps;
	uint32_t rsvd1;
};
_Static_assert(sizeof(struct link_note) == 32, "without holes");

/* One side of it.  Everybody may write; one thread reads. */
struct link_end {
	int fd;				/* the socket; -1: none */
	uint8_t *mem;			/* [owned] mapped, LINK_MEM; NULL: none */
	pthread_mutex_t lock;		/* the writing lane, and fd and mem for those who write */
	struct lane_tx tx;
	struct lane_rx rx;		/* [reader] */
	atomic_bool waiting;		/* a frame found no room: tell its sender when there is some */
	atomic_bool broken;		/* the peer does not keep to lane.h */
	struct link_note news;		/* [lock] the last of LINK_STATE or LINK_CAPS */
	atomic_bool unsaid;		/* the socket had no room for it */
};

void link_end_init(struct link_end *e);
void link_end_fini(struct link_end *e);
/* FD and MEM are E's from now on.  SERVER: which of the lanes is whose. */
void link_end_open(struct link_end *e, int fd, void *mem, bool server);
void link_end_close(struct link_end *e);
/* Takes NR frames (one that is longer than any, or with nobody there, is lost): how many; fewer: E is waiting. */
unsigned link_end_put(struct link_end *e, const struct net_frame *f, unsigned nr);
/* What was put is seen, and who sleeps over it wakes. */
void link_end_flush(struct link_end *e);
void link_end_wake(struct link_end *e);		/* the peer looks at its lanes */
/*
 * How things are now.  False: there is no room; it is said by link_end_read when there is some,
 * for which the thread that reads must wait with link_end_events.
 */
MUST_CHECK bool link_end_news(struct link_end *e, const struct link_note *n);
short link_end_events(const struct link_end *e);	/* for poll */
/* The next note, if there is one: 1; 0: none; -ECONNRESET: the peer is gone; -EPROTO. */
MUST_CHECK int link_end_read(struct link_end *e, struct link_note *ret_n);

#endif
