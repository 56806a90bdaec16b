/*
 * lane.h - frames from one process to another, through memory that both can write
 *
 * One writes, one reads; neither believes what the other may have changed.
 * The memory:
 *
 *	0	what the writer says: bytes ever written (head), "I wait for room"
 *	64	what the reader says: bytes ever read (tail), "I sleep"
 *	4096	LANE_BYTES of records, each aligned to 16 and in one piece
 *
 * A record is 16 bytes about a frame, then its bytes.  One that would not fit
 * before the end is preceded by a record that says "go on at the beginning".
 *
 * Nobody is woken who does not sleep: while both are busy, frames pass without
 * a system call.  Waking is the caller's, where a function here says so.
 */
#ifndef NET_LANE_H
#define NET_LANE_H

#include "net/frame.h"

#include <stdatomic.h>

#define LANE_BYTES (1u << 20)
#define LANE_SIZE (4096u + LANE_BYTES)	/* of the memory, which begins as zeros */
#define LANE_BATCH 32u
#define LANE_FRAME_MAX (NET_LSO_MAX + 4)

struct lane_shared {
	_Atomic uint32_t head, wants_room;
	uint8_t pad0[56];
	_Atomic uint32_t tail, sleeps;
	uint8_t pad1[4096 - 72];
	uint8_t data[];
};
_Static_assert(offsetof(struct lane_shared, tail) == 64 && offsetof(struct lane_shared, data) == 4096, "as above");

struct lane_tx {
	struct lane_shared *m;		/* [borrowed] */
	uint32_t head;			/* ours: what lies in the memory is a copy */
	uint32_t tail;			/* the reader's, as last seen and found possible */
};

struct lane_rx {
	struct lane_shared *m;		/* [borrowed] */
	uint32_t tail, head;		/* ours, and the writer's as last seen */
	unsigned nr;			/* frames peeked */
	uint32_t end[LANE_BATCH];	/* where each of them ends */
};

void lane_tx_init(struct lane_tx *l, void *mem);
void lane_rx_init(struct lane_rx *l, void *mem);

/*
 * 0: it is there, and will be seen after lane_publish; -EAGAIN: no room, and the
 * reader wakes us when there is some; -EPROTO: the reader lies; -EMSGSIZE.
 */
MUST_CHECK int lane_put(struct lane_tx *l, const struct net_frame *f);
/* True: the reader sleeps, and is to be woken. */
MUST_CHECK bool lane_publish(struct lane_tx *l);

/*
 * The frames that are there, LANE_BATCH at most, each in one piece that the writer can
 * still change; or -EPROTO: the writer lies.
 */
MUST_CHECK int lane_peek(struct lane_rx *l, struct net_frame *f, struct iovec *iov);
/* The first NR of them are done with.  True: the writer waits for room, and is to be woken. */
MUST_CHECK bool lane_done(struct lane_rx *l, unsigned nr);
/* We are about to sleep.  False: something has come; do not. */
MUST_CHECK bool lane_sleep(struct lane_rx *l);
void lane_awake(struct lane_rx *l);

#endif
