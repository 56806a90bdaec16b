/*
 * vmbus_priv.h - what the files of this room share
 *
 * Who may touch what:
 *   [const]    set before the thing is shared
 *   [control]  the control thread: the session, and which channels are open
 *   [table]    under vmbus.lock: relids, devices, GPADLs
 *   [worker]   the channel's worker: reading side, device callbacks
 *   [out]      under chan.out.lock: writing side, signalling
 *
 * Locks, outer first: vmbus.lock, then one of msgq.lock, worker.lock, out.lock;
 * the port's functions are called with msgq.lock or out.lock held and must
 * not call back into the bus.  The control thread waits for workers with no
 * lock held; a worker never waits for the control thread.
 */
#ifndef VMBUS_VMBUS_PRIV_H
#define VMBUS_VMBUS_PRIV_H

#include "base/log.h"
#include "spec/vmbus.h"
#include "vmbus/ring.h"
#include "vmbus/vmbus.h"

#include <pthread.h>
#include <stdatomic.h>

#define NR_RELIDS VMBUS_MAX_RELID
#define MAX_WORKERS 64u

/* What one guest may make us keep. */
#define GPADL_MAX_PAGES 8190u		/* of one GPADL: the protocol's own limit */
#define GPADL_MAX_TOTAL (1u << 18)	/* pages of a connection: 1 GiB */
#define GPADL_MAX_NR 4096u
#define GPADL_BUCKETS 256u
#define DEFAULT_MAX_PACKET (16u * 1024)
#define INQ_LEN 256u			/* messages from the guest not yet handled */
#define MSGQ_LEN 8192u			/* messages for the guest not yet taken */
#define MSGQ_RESERVE 4096u		/* free before another guest message is handled */
#define MSGQ_HOST 128u			/* free before the host's side says something unasked */

#define HV_STATUS_SUCCESS 0x00u
#define HV_STATUS_INVALID_PARAMETER 0x05u
#define HV_STATUS_INVALID_CONNECTION_ID 0x12u
#define HV_STATUS_INSUFFICIENT_BUFFERS 0x13u

/* Worker: a thread that polls its channels. */

struct task {				/* something a worker does once */
	void (*fn)(void *arg);
	void *arg;
	struct task *next;
	bool done;
};

struct vworker {
	struct vmbus *bus;		/* [const] */
	unsigned index;			/* [const] */
	pthread_t thread;
	bool started;			/* [const] */
	_Atomic uint64_t pending[NR_RELIDS / 64];	/* channels to poll */
	atomic_bool scan;		/* worker 0: look through the interrupt page */
	atomic_bool idle;		/* asleep, or about to be */
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	struct task *first, **last;	/* under lock */
	bool stop;			/* under lock */
	struct chan *chans[NR_RELIDS];	/* [worker] running channels by relid */
	uint64_t int_page;		/* [worker] of worker 0: GPA, 0 = none */
	unsigned nr_blocked;		/* [worker] channels that wait for ring room */
};

MUST_CHECK int vworker_start(struct vworker *w, struct vmbus *b, unsigned index);
void vworker_stop(struct vworker *w);
/* Runs FN(ARG) on W and returns when it is done.  Not from a worker. */
void vworker_run(struct vworker *w, void (*fn)(void *arg), void *arg);
/* Marks channel RELID for a poll; any thread, cheap. */
void vworker_kick(struct vworker *w, uint32_t relid);
void vworker_scan(struct vworker *w);
bool vworker_has_signal(struct vworker *w);	/* of any channel of its */
/* Runs FN(ARG) here while every worker stands still. */
void vworker_run_parked(struct vmbus *b, void (*fn)(void *arg), void *arg);

/* Messages for the guest. */

struct msg {
	uint32_t vp;
	uint8_t sint, len;
	bool sent;
	uint8_t bytes[VMBUS_MSG_MAX];
};

struct msgq {
	pthread_mutex_t lock;
	struct msg *ring;		/* [owned] MSGQ_LEN */
	unsigned first;
	atomic_uint nr;			/* written under lock, read without */
	uint64_t *blocked;		/* [owned] a bit per VP that said -ENOBUFS in this pass */
};

MUST_CHECK int msgq_init(struct vmbus *b);
void msgq_fini(struct vmbus *b);
/*
 * Queues for VP and tries to deliver.  -ENOBUFS: the queue is full.  The last
 * MSGQ_RESERVE places are the control thread's, who says so with OURS.
 */
MUST_CHECK int msgq_push(struct vmbus *b, unsigned vp, unsigned sint, const void *m, size_t n,
			 bool ours);
bool msgq_flush(struct vmbus *b);	/* true when some message still waits */
void msgq_clear(struct vmbus *b);
unsigned msgq_free_slots(struct vmbus *b);

/* GPADLs. */

struct gpadl {
	uint32_t id, relid;
	struct vdev *dev;		/* [table] whose channel it was made on */
	uint32_t nr_ranges;
	uint32_t bytes, got;		/* of range buffer: in all, so far */
	uint8_t *buf;			/* [owned] until complete */
	uint32_t pages;			/* charged to the connection */
	struct gview *view;		/* [owned] when complete */
	struct gpadl *next;
};

void gpadl_on_header(struct vmbus *b, const uint8_t *m, uint32_t n);
void gpadl_on_body(struct vmbus *b, const uint8_t *m, uint32_t n);
void gpadl_on_teardown(struct vmbus *b, const uint8_t *m, uint32_t n);
/* A complete GPADL of channel RELID; under b->lock. */
struct gpadl *gpadl_find_ready(struct vmbus *b, uint32_t id, uint32_t relid);
/* Those of one channel; all with relid 0, when no device is open any more. */
void gpadl_drop(struct vmbus *b, uint32_t relid);

/* Channels. */

struct comp {				/* a completion that waits for room */
	struct comp *next;
	uint64_t id;
	uint32_t len;
	uint8_t body[];
};

struct chan_out {			/* [out] */
	pthread_mutex_t lock;
	bool shut;			/* nothing is written any more */
	bool muted;			/* no signals: the guest does not know it is open */
	bool legacy;			/* by interrupt page and flag 0, not by event flags */
	bool want_room;			/* a chan_send said -EAGAIN */
	uint32_t want_len;
	bool soon;			/* what is put now may be told later */
	bool owed;			/* and was: the signal for it */
	bool wanting;			/* the guest was told that we wait for room */
	uint32_t vp, sint;
	uint64_t int_page;
	struct ring_out ring;
	struct comp *first, **last;
};

struct chan {
	struct vdev *dev;		/* [const] */
	struct vmbus *bus;		/* [const] */
	struct vworker *worker;		/* [const] */
	uint32_t relid;			/* [const] */
	unsigned index;			/* [const] 0 = primary */
	bool known;			/* [table] this session's guest was sent the offer */
	bool rescinded;			/* [table] */
	bool open;			/* [table] from OpenChannel to CloseChannel */
	bool reserved;			/* [control] opened by OpenReservedChannel */
	uint32_t gpadl;			/* [control] of the rings, while open */
	bool running;			/* [worker] the device has it open */
	bool blocked;			/* [worker] counted in worker.nr_blocked */
	bool paused;			/* [worker] the device takes no packets */
	atomic_bool go;			/* chan_go: it takes them again */
	atomic_bool broken;		/* any thread found the rings malformed */
	atomic_uint target_vp;
	struct ring_in in;		/* [worker] */
	struct pkt_buf buf;		/* [worker] */
	struct chan_out out;
	struct log_limit limit;		/* [worker] */
};

struct chan_open {			/* how a channel is to be opened */
	struct chan *chan;
	struct gview *in, *out;		/* NULL once the channel has taken them */
	uint32_t vp, sint, open_id;
	uint64_t int_page;		/* 0 = event flags */
	bool reply;
	int rc;
};

void chan_on_open(struct vmbus *b, const uint8_t *m, uint32_t n);
void chan_on_close(struct vmbus *b, const uint8_t *m, uint32_t n);
void chan_on_modify(struct vmbus *b, const uint8_t *m, uint32_t n);
void chan_on_open_reserved(struct vmbus *b, const uint8_t *m, uint32_t n);
void chan_on_close_reserved(struct vmbus *b, const uint8_t *m, uint32_t n);
/* From the control thread.  Closing a primary closes its sub-channels before. */
void chan_close(struct chan *c);
/* From the control thread: dead to us until the guest closes it. */
void chan_fail_now(struct chan *c);
void chan_poll(struct chan *c);		/* on the worker */
MUST_CHECK int chan_new(struct vdev *d, uint32_t relid, unsigned index, struct chan **ret_c);
void chan_free(struct chan *c);

/* Offers. */

struct vdev {
	struct vmbus *bus;		/* [const] */
	const struct chan_ops *ops;	/* [const] until it is gone */
	void *self;			/* the same */
	struct guid instance;		/* [const] */
	uint8_t user[120];		/* [const] */
	unsigned nr_chans;		/* [table] primary and sub-channels, also rescinded ones */
	bool removing;			/* [table] */
	bool gone;			/* [table] nobody is behind it: freed with its last channel */
};

void offer_on_request(struct vmbus *b, const uint8_t *m, uint32_t n);
void offer_on_released(struct vmbus *b, const uint8_t *m, uint32_t n);
/* Under b->lock: rescinds C if the guest knows it, else forgets it. */
void offer_rescind(struct chan *c);
/* Rescinds the sub-channels of a device, whose primary was closed. */
void offer_rescind_subs(struct vmbus *b, struct vdev *d);
/* The channel the guest calls RELID, if it was ever told of it; under b->lock. */
struct chan *offer_find(struct vmbus *b, uint32_t relid);
/* Under b->lock, at the end of a session: everything back to never offered. */
void offer_forget(struct vmbus *b);

/* Session. */

struct session {
	bool connected, offered;
	uint32_t version, vp, sint, conn, features;
	uint64_t int_page;		/* protocol < 2.4 */
};

void version_on_contact(struct vmbus *b, const uint8_t *m, uint32_t n);
void version_on_unload(struct vmbus *b, const uint8_t *m, uint32_t n);
/* On return no device touches guest memory, and nothing of the guest is left. */
void version_end_session(struct vmbus *b);

/* Control: one thread that handles the guest's messages in order. */

struct inmsg {
	uint32_t conn;
	uint8_t len;
	uint8_t bytes[VMBUS_MSG_MAX];
};

struct control {
	pthread_t thread;
	bool started;			/* [const] */
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	struct inmsg *ring;		/* [owned] INQ_LEN; under lock */
	unsigned first, nr;
	bool stop, reset;
	bool retry;			/* the message queue holds something */
	struct task *task, **last;	/* from the host's side; under lock */
};

MUST_CHECK int control_start(struct vmbus *b);
void control_stop(struct vmbus *b);
void control_reset(struct vmbus *b);
uint16_t control_post(struct vmbus *b, uint32_t conn, const void *m, size_t n);
/* Runs FN(ARG) on the control thread, between two messages of the guest. */
void control_run(struct vmbus *b, void (*fn)(void *arg), void *arg);
void control_retry_later(struct vmbus *b);
/* A message to the session's own VP, from the control thread or for it. */
void control_send(struct vmbus *b, const void *m, size_t n);

struct vmbus {
	struct gmem *mem;		/* [const] */
	unsigned nr_vps;		/* [const] */
	uint32_t max_version;		/* [const] */
	const struct vmbus_port *port;	/* [const] */
	void *self;			/* [const] the port's */
	struct control ctl;
	struct msgq q;
	unsigned nr_workers;		/* [const] */
	struct vworker *workers;	/* [owned] */
	_Atomic uint8_t owner[NR_RELIDS];	/* worker + 1; 0 = no such connection */

	pthread_mutex_t lock;
	pthread_cond_t released;	/* some device lost its last channel */
	struct chan *chans[NR_RELIDS];	/* [table] */
	uint32_t conn;			/* of the message being handled [control] */
	struct gpadl *gpadls[GPADL_BUCKETS];	/* [table] */
	unsigned nr_gpadls, nr_pages;	/* [table] */
	struct session ses;		/* [control] writes, under lock; [table] reads */

	struct {			/* vworker_run_parked */
		pthread_mutex_t lock;
		pthread_cond_t cond;
		unsigned parked;
		bool hold;
	} park;
	struct log_limit limit;		/* [control] */
};

static inline bool session_at_least(const struct vmbus *b, uint32_t version)
{
	return b->ses.connected && b->ses.version >= version;
}

#endif
