/*
 * ring.h - the two rings of an open channel
 *
 * The index of our own side is kept here and never read back from guest
 * memory.  The guest's index is read once per operation and bounded; a packet
 * is copied out whole before a byte of it is believed.
 *
 * -EPROTO anywhere: the guest broke the ring; the channel is to be failed.
 */
#ifndef VMBUS_RING_H
#define VMBUS_RING_H

#include "mem/gmem.h"
#include "vmbus/vmbus.h"

#define RING_MAX_RANGES 512u

/*
 * Between publishing an index and reading the peer's word.  A locked
 * instruction, because thread sanitizers do not know stand-alone fences.
 */
static inline void ring_barrier(void)
{
	__asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
}

struct ring_in {			/* guest to host */
	struct gview *view;		/* [owned] */
	uint32_t size;			/* bytes of data area */
	uint32_t out;			/* our read index */
};

struct ring_out {			/* host to guest */
	struct gview *view;		/* [owned] */
	uint32_t size;
	uint32_t in;			/* our write index */
};

struct pkt_buf {			/* where a received packet is copied to */
	uint8_t *bytes;			/* [owned] cap bytes, 8-aligned */
	uint32_t cap;
	struct pkt_range *ranges;	/* [owned] RING_MAX_RANGES */
};

MUST_CHECK int pkt_buf_init(struct pkt_buf *b, uint32_t cap);
void pkt_buf_fini(struct pkt_buf *b);

/* Takes VIEW on success.  Starts at the indices found in memory. */
MUST_CHECK int ring_in_init(struct ring_in *r, struct gview *view);
void ring_in_fini(struct ring_in *r);
/*
 * The next packet, copied into B, its space given back to the guest; *ret_pkt
 * points into B.  *ret_signal: the guest waits for the room.  -EAGAIN: empty.
 */
MUST_CHECK int ring_in_next(struct ring_in *r, struct pkt_buf *b, struct pkt *ret_pkt,
			    bool *ret_signal);
/* Asks the guest to signal (or not) when it writes. */
MUST_CHECK int ring_in_mask(struct ring_in *r, bool mask);
/* 1 when a packet waits, 0 when none does. */
MUST_CHECK int ring_in_ready(const struct ring_in *r);

MUST_CHECK int ring_out_init(struct ring_out *r, struct gview *view);
void ring_out_fini(struct ring_out *r);
/* Whether a packet of BODY bytes ever fits: some guests have one data page. */
bool ring_out_can_hold(const struct ring_out *r, uint32_t body);
/*
 * Writes one packet.  -EAGAIN: no room now.  *ret_signal: the guest was asleep.
 */
MUST_CHECK int ring_out_put(struct ring_out *r, const struct pkt *p, bool *ret_signal);
/* Tells the guest how much room a packet of BODY bytes waits for; or that none does. */
MUST_CHECK int ring_out_want(struct ring_out *r, uint32_t body);
MUST_CHECK int ring_out_unwant(struct ring_out *r);
/* 1 when a packet of BODY bytes would fit now. */
MUST_CHECK int ring_out_has_room(const struct ring_out *r, uint32_t body);
/* 1 when the guest has not read everything. */
MUST_CHECK int ring_out_pending(const struct ring_out *r);

#endif
