/*
 * vswitch_priv.h - a switch from the inside
 */
#ifndef NET_VSWITCH_PRIV_H
#define NET_VSWITCH_PRIV_H

#include "net/fdb.h"
#include "net/meter.h"
#include "net/pkt.h"
#include "net/vswitch.h"

#include <pthread.h>
#include <stdatomic.h>

struct timer;

/*
 * Who may wait for a receiver without room, and for how long: one that stays full is
 * given up after HOLD_ONE_NS; one that is full again and again may cost its senders
 * HOLD_SHARE_NS in each HOLD_WINDOW_NS.
 */
#define HOLD_ONE_NS (5 * NS_PER_SEC / 1000)
#define HOLD_SHARE_NS (10 * NS_PER_SEC / 1000)
#define HOLD_WINDOW_NS (100 * NS_PER_SEC / 1000)

struct vport {
	struct port port;		/* [const] */
	struct vswitch *sw;		/* [const] */
	uint16_t index;			/* [const] in sw->ports */
	enum port_role role;		/* [const] */
	uint64_t bps;			/* [const] */

	struct port_policy policy;	/* [sw->lock] without its rules */
	struct acl *acl;		/* [sw->lock] owned; locks itself */
	const struct port_client *client;	/* [sw->lock] */
	void *dev;			/* [sw->lock] */
	struct port_caps caps;		/* [sw->lock] */
	bool up;			/* [sw->lock] */

	pthread_mutex_t lock;		/* a leaf */
	struct meter out, in, storm;	/* [lock] bytes, bytes, frames */
	uint64_t held_ns, window_ns;	/* [lock] time full in the window that began then */
	_Atomic uint64_t full_since;	/* 0 = has room, as far as we know */
	_Atomic uint32_t room_seq;	/* counts port_room */
	atomic_bool waiting;		/* the owner waits for resume */

	_Atomic uint64_t sent, sent_bytes, received, received_bytes, drops[DROP_NR];
};

struct vswitch {
	/* Readers forward; writers change ports and policies, and thereby wait for all readers. */
	pthread_rwlock_t lock;
	enum vswitch_kind kind;		/* [const] */
	struct clock *clock;		/* [const] borrowed */
	struct fdb *fdb;		/* [const] owned; locks itself */
	struct vport *ports[VSWITCH_PORTS];	/* [lock] */
	unsigned nr;			/* [lock] all ports are below */
	uint16_t fid[VLAN_MAX + 1];	/* [lock] VLAN -> filtering database */

	pthread_mutex_t wake_lock;	/* a leaf but for the clock's own */
	struct timer *timer;		/* [const] owned */
	uint64_t wake_ns;		/* [wake_lock] when it is armed for */
};

/* A frame on its way from one port. */
struct hop {
	struct vswitch *sw;
	struct vport *from;
	uint64_t now;
	uint64_t touched[VSWITCH_PORTS / 64];	/* ports that got something in this batch */
	uint16_t vid, fid;
	bool mirror;			/* it met a port that is mirrored */
	bool dropped;			/* and counted, at its own port */
	struct acl_hits hits_out, hits_in;	/* met on the way, to be counted when it has gone */
	struct packet p;
};

static inline struct vport *vport_of(struct port *p)
{
	return CONTAINER_OF(p, struct vport, port);
}

static inline void vport_drop(struct vport *p, enum drop why)
{
	atomic_fetch_add_explicit(&p->drops[why], 1, memory_order_relaxed);
}

/* forward.c */
unsigned forward_send(struct port *p, const struct net_frame *f, unsigned nr);
void forward_room(struct port *p);
void forward_wake(void *sw);		/* the timer's */

/* policy.c: what of a port's policy needs a place to live. */
void policy_start(struct vport *p, uint64_t now);
/* May the frame of H enter, and (with which tag) leave by TO? */
enum drop policy_in(struct hop *h);
enum drop policy_out(struct hop *h, struct vport *to, bool *ret_tagged);
/* One more of those that go to many. */
enum drop policy_storm(struct hop *h);
/* 0: it may be sent now, and is charged; else how long to wait. */
uint64_t policy_rate(struct hop *h);
void policy_rate_back(struct hop *h);
/* It has gone from H's port, or to TO as BYTES. */
void policy_sent(struct hop *h);
void policy_received(struct hop *h, struct vport *to, uint64_t bytes);

#endif
