/*
 * port.h - where an adapter, or a way out of the host, meets a switch
 *
 * Two halves.  The switch's half (struct port_ops) takes frames; the owner's
 * half (struct port_client) gets them.  Whoever builds the machine makes the
 * port (switch_port), hands it to the owner, who binds itself to it, and
 * removes it when the owner is gone.
 *
 *	owner --- port_send -------> switch      owner <-- deliver, deliver_end -- switch
 *	owner --- port_room -------> switch      owner <-- resume ---------------- switch
 *	owner --- port_set_caps ---> switch      owner <-- link ------------------ switch
 *	owner --- port_carrier ----> switch
 *
 * Nobody waits for anybody.  Where there is no room, the answer says so, and
 * the one who said it calls when that has changed.  The switch keeps no
 * frame: one that a receiver has no room for stays with its sender, whose
 * thread goes on, but whose later frames are behind it.  So that is for 5 ms
 * at most, and for 10 ms in any 100, for each receiver and for each sender,
 * however many receivers there are; after that it is dropped, and so are later
 * ones for that receiver until it calls port_room.  So receivers that never
 * drain their rings cost their neighbours a tenth at most.  Where two ports
 * have the switch for themselves there are no neighbours.  A machine and its
 * way out wait as long as it takes: a slow guest slows its NAT, and loses
 * nothing.  Two machines wait for a second, as an adapter whose frames wait does
 * not hear for ever that its guest has room again: each could wait for the other.
 * Broadcasts never wait.  What is above the sender's own maximum, or its part of an uplink with
 * a speed, stays with the sender as long as it takes.
 *
 * Lock     any function of a port may be called from any thread, several at
 *          once, but without a lock that some owner's deliver, resume or link
 *          takes, and not from inside deliver, deliver_end or link (a backend
 *          that answers at once queues its answer for its own thread).  From
 *          inside resume only by waking another thread.  deliver may run on
 *          several threads at once; the owner takes its own lock.
 */
#ifndef NET_PORT_H
#define NET_PORT_H

#include "net/frame.h"

struct port;

/* What an owner takes; the switch completes in software what it does not. */
struct port_caps {
	uint32_t flags;			/* PORT_TAKES_x */
	uint32_t max_frame;		/* bytes with Ethernet header, without tag; 0 = 1514 */
	uint32_t max_lso;		/* the same for large sends; 0 = NET_LSO_MAX */
};

enum {
	PORT_TAKES_TAG = 1 << 0,	/* FRAME_TAGGED; without: the tag is put into the bytes */
	PORT_TAKES_SUM = 1 << 1,	/* FRAME_SUM_IP, _TCP, _UDP */
	PORT_TAKES_LSO4 = 1 << 2,	/* a large send as one frame; with TAKES_SUM its sums are missing, */
	PORT_TAKES_LSO6 = 1 << 3,	/* without they are as of one long packet, and FRAME_SUM_OK is set */
};

struct port_client {
	/*
	 * A frame for the owner.  0: taken (or dropped for the owner's own reasons).  -EAGAIN:
	 * no room; nothing was taken, and the owner calls port_room when there is some.
	 * Must return at once; the frame is gone when it returns.
	 */
	int (*deliver)(void *dev, const struct net_frame *f);
	/* After one or more deliver on this thread: no more for now, tell the guest.  May be NULL. */
	void (*deliver_end)(void *dev);
	/* What port_send refused may be taken now.  Only wakes who sends; may come without need. */
	void (*resume)(void *dev);
	/* The cable: up or not, bits a second.  Also called by port_bind, and without change.  May be NULL. */
	void (*link)(void *dev, bool up, uint64_t bps);
};

struct port_ops {
	unsigned (*send)(struct port *p, const struct net_frame *f, unsigned nr);
	void (*room)(struct port *p);
	void (*bind)(struct port *p, const struct port_client *client, void *dev,
		     const struct port_caps *caps);
	void (*set_caps)(struct port *p, const struct port_caps *caps);
	void (*carrier)(struct port *p, bool there);	/* NULL: it makes no difference */
	bool (*may_spoof)(const struct port *p);	/* NULL: no */
};

struct port {
	const struct port_ops *ops;	/* [const] */
	uint8_t mac[6];			/* [const] the owner's address as the switch's policy knows it */
	char name[32];			/* [const] for logs, counters, captures */
};

/*
 * Sends NR frames in order; how many the switch took (whatever becomes of them: a
 * frame that policy drops is taken).  Fewer than NR: the rest stays with the owner,
 * who tries again after resume, or drops it.
 */
MUST_CHECK static inline unsigned port_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	return p->ops->send(p, f, nr);
}

/* There is room again after a deliver that answered -EAGAIN. */
static inline void port_room(struct port *p)
{
	p->ops->room(p);
}

/*
 * From now on DEV gets this port's frames.  CLIENT NULL: it gets no more, and when
 * this returns none of its functions is running.  Calls link at once.
 */
static inline void port_bind(struct port *p, const struct port_client *client, void *dev,
			     const struct port_caps *caps)
{
	p->ops->bind(p, client, dev, caps);
}

/* A guest turned an offload on or off, or set its MTU; from the next frame on. */
static inline void port_set_caps(struct port *p, const struct port_caps *caps)
{
	p->ops->set_caps(p, caps);
}

/* May the owner send from other addresses than the port's?  Under any lock; it may change at any time. */
static inline bool port_may_spoof(const struct port *p)
{
	return p->ops->may_spoof != NULL && p->ops->may_spoof(p);
}

/* The owner's own wire was cut, or is whole again.  It is whole when the owner binds. */
static inline void port_carrier(struct port *p, bool there)
{
	if (p->ops->carrier != NULL)
		p->ops->carrier(p, there);
}

#endif
