/*
 * vmbus.h - the bus between guest and synthetic devices
 *
 * Host side of the VMBus: version handshake, offers, GPADLs, channels.  Talks
 * to the guest through struct vmbus_port, which the board joins to the
 * hypervisor interface; knows nothing of hv/.
 *
 * Threads  vmbus_post, vmbus_signal: from vCPU threads.  Device callbacks run
 *          on the worker of their channel, one at a time per channel; open,
 *          close and GPADL changes of a channel run on its worker too.
 */
#ifndef VMBUS_VMBUS_H
#define VMBUS_VMBUS_H

#include "base/base.h"
#include "base/err.h"
#include "base/le.h"
#include "mem/gmem.h"

struct vmbus;
struct chan;			/* one channel, primary or sub */
struct vdev;			/* one offered device (interface + instance) */

struct vmbus_port {
	int (*message)(void *self, unsigned vp, unsigned sint, const void *msg, size_t n);
	void (*event)(void *self, unsigned vp, unsigned sint, unsigned flag);
};

struct vmbus_conf {
	struct gmem *mem;
	unsigned nr_vps;
	unsigned workers;		/* threads; 0 = 2 */
	uint32_t max_version;		/* 0 = newest we know */
	const struct vmbus_port *port;
	void *self;
};

MUST_CHECK int vmbus_new(const struct vmbus_conf *conf, struct vmbus **ret_b, struct err *err);
/* Taking a machine down: vmbus_reset, then the devices (vdev_remove), then this. */
void vmbus_free(struct vmbus *b);
/*
 * Machine reset: closes every channel, forgets the guest; offers stay for the
 * next boot.  Waits for I/O of devices to drain.  Like every function here
 * that waits, not from a device callback and not with a lock held that the
 * port's functions take.
 */
void vmbus_reset(struct vmbus *b);
/* HvPostMessage and HvSignalEvent; return a hypercall status. */
uint16_t vmbus_post(struct vmbus *b, unsigned vp, uint32_t conn, uint32_t type, const void *msg, size_t n);
uint16_t vmbus_signal(struct vmbus *b, uint32_t conn, uint16_t flag);

/* A received packet: header already checked, descriptor copied. */
struct pkt {
	uint16_t type;			/* VMPKT_* */
	uint16_t flags;			/* bit 0: completion requested */
	uint64_t id;			/* transaction id, echoed in the completion */
	const uint8_t *data;		/* payload, our copy */
	uint32_t len;			/* bytes, rounded up to 8 by the sender */
	/* VMPKT_GPA_DIRECT (checked) and VMPKT_XFER_PAGES */
	const struct pkt_range *ranges;
	uint32_t nr_ranges;
};

/* One guest buffer: bytes [offset, offset + len) of the pages pfns[]. */
struct pkt_range {
	uint32_t len, offset;		/* offset < 4096 for GPA direct */
	const uint64_t *pfns;		/* our copy; count = pages spanned */
	uint32_t nr_pfns;
};

enum { VMPKT_INBAND = 6, VMPKT_XFER_PAGES = 7, VMPKT_GPA_DIRECT = 9, VMPKT_CANCEL = 10, VMPKT_COMP = 11 };

struct chan_ops {			/* a synthetic device on VMBus */
	const char *name;
	struct guid type;
	uint16_t offer_flags;
	uint16_t mmio_mb;
	unsigned max_sub;		/* sub-channels, 0 = none */
	uint32_t max_packet;		/* largest packet accepted, bytes with header; 0 = 16 KiB */
	int (*open)(void *self, struct chan *c);	/* c is primary or sub-channel */
	void (*packet)(void *self, struct chan *c, const struct pkt *p);
	void (*room)(void *self, struct chan *c);	/* the guest drained our ring after chan_send said -EAGAIN */
	void (*go)(void *self, struct chan *c);		/* chan_go was called; comes before the next packet */
	/*
	 * The guest tears GPADL down: on return the device has no view of it left that it
	 * made with gview_sub.  Not on a worker, but while none runs; with the bus's lock
	 * held, so it calls nothing here, nor takes a lock under which something is called
	 * that takes the bus's (chan_gpadl, chan_offer_subs).
	 */
	void (*gpadl_gone)(void *self, uint32_t gpadl);
	/*
	 * On return nothing of the device touches the ring or guest memory of
	 * this channel any more.  Also called on reset and unload.
	 */
	void (*close)(void *self, struct chan *c);
};

/* Offers a device.  user (120 bytes or NULL) is the offer's user-defined part. */
MUST_CHECK int vdev_offer(struct vmbus *b, const struct chan_ops *ops, void *self,
			  const struct guid *instance, const uint8_t *user,
			  struct vdev **ret_d, struct err *err);
/*
 * Rescinds.  The device goes on answering until the guest has closed and released it,
 * or its session has ended, or PATIENCE_NS have passed: then its channels are closed
 * on our side, and all that stays of it is their numbers, until the guest releases
 * them.  Waits for that; afterwards none of the device's functions runs any more.
 * True: nothing stays, so the instance may be offered again.  NULL is fine.
 */
bool vdev_remove(struct vdev *d, uint64_t patience_ns);

/* Any thread while the channel is open (between open and the return of close). */
unsigned chan_index(const struct chan *c);		/* 0 = primary, 1.. sub-channel */
unsigned chan_target_vp(const struct chan *c);
struct gmem *chan_mem(const struct chan *c);
/*
 * Puts a packet in the host-to-guest ring and signals by the ring's rules.
 * Safe from any thread.  0; -EAGAIN no room (->room will be called); -EPIPE
 * the channel is closed.  Completions that do not fit are queued inside and
 * sent when there is room: chan_complete never says -EAGAIN.  -EMSGSIZE: the
 * guest's ring is too small for such a packet at any time.
 * A VMPKT_XFER_PAGES body begins with {u32 set, u32 count, {u32 bytes, u32
 * offset}[count]}, the payload after it.
 */
MUST_CHECK int chan_send(struct chan *c, uint16_t type, uint64_t id, bool want_comp,
			 const void *body, uint32_t n);
void chan_complete(struct chan *c, uint64_t id, const void *body, uint32_t n);
/*
 * The same from within packet or go, where nobody waits for it: the guest hears of
 * several at once, within some microseconds after the last of its packets.
 */
void chan_complete_soon(struct chan *c, uint64_t id, const void *body, uint32_t n);
/*
 * From within packet or go: the device gets no more packets of this channel, which
 * stay in the ring, until chan_go.  chan_go: any thread while the channel is open,
 * also when it is not paused.
 */
void chan_pause(struct chan *c);
void chan_go(struct chan *c);
/*
 * Offers N more sub-channels of this device (indices follow the existing).
 * -EINVAL more than max_sub; -ENOSPC, -ENOBUFS, -ENOMEM; -EPIPE closed meanwhile.
 */
MUST_CHECK int chan_offer_subs(struct chan *c, unsigned n);
/*
 * A GPADL the guest established on this device's channels, as a view; NULL if
 * there is none.  Look it up in every callback anew: it is borrowed until the
 * callback returns, for a guest may tear it down unannounced.
 */
const struct gview *chan_gpadl(struct chan *c, uint32_t gpadl);

#endif
