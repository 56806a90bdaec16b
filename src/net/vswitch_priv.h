/*
 * vswitch_priv.h - a switch from the inside
 */
#ifndef NET_VSWITCH_PRIV_H
#define NET_VSWITCH_PRIV_H

#include "net/fdb.h"
#include "net/meter.h"
#include "net/pkt.h"
#include "net/share.h"
#include "net/vswitch.h"

#include <pthread.h>
#include <stdatomic.h>

struct timer;

/*
 * Who may wait for a receiver without room, and for how long: one that stays full is
 * given up after HOLD_ONE_NS; one that is full again and again may cost its senders
 * HOLD_SHARE_NS in each HOLD_WINDOW_NS.  Two machines that have the switch for themselves
 * wait for HOLD_PAIR_NS.
 */
#define HOLD_ONE_NS (5 * NS_PER_SEC / 1000)
#define HOLD_SHARE_NS (10 * NS_PER_SEC / 1000)
#define HOLD_WINDOW_NS (100 * NS_PER_SEC / 1000)
#define HOLD_PAIR_NS NS_PER_SEC

#define TEAM_NONE UINT8_MAX

struct port_set {
	uint64_t bits[VSWITCH_PORTS / 64];
};

static inline void port_set_add(struct port_set *s, unsigned i)
{
	s->bits[i / 64] |= UINT64_C(1) << i % 64;
}

/* The next member from *I on, in *I; false: there is none. */
static inline bool port_set_next(const struct port_set *s, unsigned *i)
{
	for (; *i < VSWITCH_PORTS; ++*i)
		if (s->bits[*i / 64] >> *i % 64 & 1)
			return true;
	return false;
}

/* How long somebody was waited for, or waited, in the window that began then. */
struct held {
	uint64_t window_ns, ns;
};

struct vport {
	struct port port;		/* [const] */
	struct vswitch *sw;		/* [const] */
	uint16_t index;			/* [const] in sw->ports */
	enum port_role role;		/* [const] */
	uint64_t bps;			/* [const] */
	uint64_t capacity_bps;		/* [const] an uplink's, where it was said; else 0 */
	uint8_t slot;			/* [const] an uplink's in the team */

	struct port_policy policy;	/* [sw->lock] without its rules */
	struct acl *acl;		/* [sw->lock] owned; locks itself */
	const struct port_client *client;	/* [sw->lock] */
	void *dev;			/* [sw->lock] */
	_Atomic uint32_t takes, max_frame, max_lso;	/* struct port_caps */
	bool up, carrier;		/* [sw->lock] */
	atomic_bool spoof;		/* of the policy, for who cannot take the lock */
	uint8_t home, member, next;	/* [sw->lock] slots: where it belongs, where it is, scratch */

	pthread_mutex_t lock;		/* a leaf */
	struct meter out, in, storm;	/* [lock] bytes, bytes, frames */
	struct share *share;		/* [const, owned], what is in it [lock]; NULL: who comes first */
	struct held was_full, has_waited;	/* [lock] as a receiver, as a sender */
	_Atomic uint64_t full_since;	/* 0 = has room, as far as we know */
	_Atomic uint64_t waits_since;	/* for a receiver; 0 = it does not */
	_Atomic uint64_t sent_by[TEAM_MAX];	/* when it last sent by that member */
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
	enum vswitch_bandwidth bandwidth;	/* [const] not DEFAULT */
	uint32_t default_weight;	/* [const] or kbit/s */
	enum vswitch_team team_mode;	/* [const] */
	struct vport *ports[VSWITCH_PORTS];	/* [lock] */
	unsigned nr;			/* [lock] all ports are below */
	struct vport *team[TEAM_MAX];	/* [lock] the uplinks, with gaps */
	unsigned nr_team;		/* [lock] */
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
	struct port_set touched;	/* ports that got something in this batch */
	uint16_t vid, fid;
	bool mirror;			/* it met a port that is mirrored */
	bool dropped;			/* and counted, at its own port */
	bool delivered;			/* to somebody */
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
void forward_announce(struct vswitch *sw, const struct port_set *moved);	/* without any lock */

/* policy.c: what of a port's policy needs a place to live. */
void policy_start(struct vport *p, uint64_t now);
/* May the frame of H enter, and (with which tag) leave by TO? */
enum drop policy_in(struct hop *h);
enum drop policy_out(struct hop *h, struct vport *to, bool *ret_tagged);
/*
 * Is it H's turn to send to TO?  Else it may ask again after *ret_wait: DROP_RATE_IN where TO has
 * a rate, DROP_NO_ROOM where it is only full again and again.
 */
enum drop policy_turn(struct hop *h, struct vport *to, uint64_t *ret_wait);
void policy_full(struct hop *h, struct vport *to);	/* TO had no room for it */
/* One more of those that go to many. */
enum drop policy_storm(struct hop *h);
void policy_storm_back(struct hop *h);	/* it comes again */
/* 0: it may be sent now, and is charged; else how long to wait. */
uint64_t policy_rate(struct hop *h);
void policy_rate_back(struct hop *h);
/* It has gone from H's port, or to TO as BYTES. */
void policy_sent(struct hop *h);
void policy_received(struct hop *h, struct vport *to, uint64_t bytes);

/* team.c */
/* After any change of ports, owners or links: who has which member; *RET_MOVED gets those with another. */
void team_update(struct vswitch *sw, struct port_set *ret_moved);
bool team_is_alive(const struct vswitch *sw, unsigned slot);
/* The uplink that H's frame leaves by, if it leaves; NULL: there is none. */
struct vport *team_out(const struct hop *h);
/* The source address for H's frame by TO, if not its own; NULL: its own. */
const uint8_t *team_lent_mac(const struct hop *h, const struct vport *to);
void team_sent(struct hop *h, const struct vport *to);	/* it went so, with its own */
/* May H's frame come in at all; is it by H's port that TO gets it? */
enum drop team_in(const struct hop *h);
bool team_reaches(const struct hop *h, const struct vport *to);
uint16_t team_learn_as(const struct vport *from);
/* A frame that tells where P is; its length. */
uint32_t team_announcement(const struct vport *p, uint8_t b[60]);

#endif
