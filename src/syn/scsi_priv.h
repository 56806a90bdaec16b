/*
 * scsi_priv.h - what the files of the SCSI controller share
 *
 * [const]   set before sharing
 * [lock]    under scsi.lock
 * [worker]  the primary channel's worker
 * A request belongs to whoever runs it: the worker that read it, then the
 * thread its block request completes on.
 *
 * Locks: scsi.lock, inside it the bus's own.  Never held over blk_submit,
 * chan_complete or the trouble callback.
 */
#ifndef SYN_SCSI_PRIV_H
#define SYN_SCSI_PRIV_H

#include "base/log.h"
#include "spec/scsi.h"
#include "spec/storvsc.h"
#include "syn/scsi.h"

#include <pthread.h>
#include <stdatomic.h>

#define SCSI_MAX_CHANS 64u
#define SCSI_MAX_INFLIGHT 1024u		/* requests of one channel */
#define SCSI_MAX_TRANSFER 0x40000u	/* bytes; what the guest is told */
#define SCSI_MAX_ACTIVE 4096u		/* of one controller */
#define SCSI_MAX_PAGES 68u		/* runs of memory of one request: 64, ragged, and some */
#define SCSI_PATTERN (64u * 1024)	/* bytes of scratch for VERIFY and WRITE SAME */
#define SCSI_STEP_IOV 64u
#define SCSI_MAX_WRITE_SAME (64u << 20)	/* bytes */
#define SCSI_MAX_UNMAP 256u		/* descriptors */

struct scsi_lun {			/* [lock] */
	struct blk *blk;		/* borrowed; NULL = absent */
	unsigned active;		/* requests that use BLK */
	bool ejected, locked;		/* DVD: tray; PREVENT MEDIUM REMOVAL */
};

struct scsi_extent {
	uint64_t off, len;
};

struct scsi_seg {			/* a run of guest memory */
	uint64_t gpa;
	uint32_t len;
};

enum scsi_action {
	ACT_NONE, ACT_READ, ACT_WRITE, ACT_FLUSH, ACT_ZERO, ACT_PATTERN, ACT_UNMAP, ACT_VERIFY,
};

struct scsi_req {
	struct scsi_req *next;
	struct scsi *s;
	struct scsi_chan *sc;
	uint64_t xid;
	bool want_comp;
	bool no_medium;			/* the tray was open when it began */
	bool lent;			/* the disk may have written the guest's buffer */
	uint32_t len;			/* of the packet, and of the completion */
	struct stor_packet pkt;		/* in: request; out: completion */
	uint8_t cdb[16];
	struct scsi_lun *lun;		/* NULL when absent */
	struct blk *blk;

	struct scsi_seg segs[SCSI_MAX_PAGES];	/* the guest's buffer */
	unsigned nr_segs;
	uint32_t data_len;		/* bytes of it that may be used */

	/* What is to be done on the disk, in steps. */
	enum scsi_action act;
	bool fua;
	struct scsi_extent *ext;	/* [owned] UNMAP's list, or &one */
	struct scsi_extent one;
	unsigned nr_ext, at_ext;
	uint64_t done_in_ext, step;
	uint8_t *scratch;		/* [owned] SCSI_PATTERN bytes */
	atomic_bool turn;		/* of submitter and completion, who comes second goes on */
	int rc;				/* of the last step */
	struct iovec iov[SCSI_MAX_PAGES];
	int nr_iov;
	struct blk_req breq;
};

struct scsi_chan {
	struct scsi *s;			/* [const] */
	struct chan *chan;		/* [lock] NULL = closed */
	unsigned active;		/* [lock] requests, resets too */
	bool closing;			/* [lock] */
	struct log_limit limit;		/* the channel's worker */
};

enum scsi_init { INIT_NONE, INIT_BEGUN, INIT_VERSION, INIT_PROPERTIES, INIT_READY };

struct scsi {
	struct vmbus *bus;		/* [const] */
	struct vdev *vdev;		/* [const] */
	struct chan_ops ops;		/* [const] */
	unsigned max_sub;		/* [const] */
	bool ide;			/* [const] */
	uint8_t target;			/* [const] the one that has units; 0 but for IDE */
	pthread_mutex_t lock;
	pthread_cond_t idle;		/* some active count fell to zero */
	struct scsi_lun luns[SCSI_MAX_LUNS];
	struct scsi_chan chans[SCSI_MAX_CHANS];
	struct scsi_req *free;		/* [lock] */
	struct scsi_req *held;		/* [lock] failed, waiting for scsi_retry */
	struct scsi_req *resets;	/* [lock] waiting for active == 0 */
	unsigned active;		/* [lock] SRBs in flight, all channels */
	bool hold;			/* [lock] */
	void (*trouble)(void *arg, int rc);	/* [lock] */
	void *trouble_arg;
	bool enumerate;			/* [lock] the guest is to be told of changed LUNs */
	atomic_int init;		/* enum scsi_init; written by [worker] */
	atomic_uint version;
};

/* Requests: scsi_req.c */
struct scsi_req *scsi_req_get(struct scsi_chan *sc);	/* NULL: too many, or no memory */
/* Gives up what is held; of one channel or unit, where not NULL. */
void scsi_abort_held(struct scsi *s, const struct scsi_chan *sc, const struct scsi_lun *lun);
/* Answers a reset when nothing is in flight any more. */
void scsi_reset_add(struct scsi_req *r);
/* Answers R as it stands and gives it back. */
void scsi_finish(struct scsi_req *r);
/* R's SCSI outcome, and finish. */
void scsi_good(struct scsi_req *r, uint32_t transferred);
void scsi_check(struct scsi_req *r, enum scsi_sense sense);
void scsi_srb(struct scsi_req *r, uint8_t srb_status);	/* no SCSI status at all */
void scsi_sense_fill(uint8_t sense[SCSI_SENSE_LEN], enum scsi_sense code);
/* The guest's buffer from the packet's ranges; false: impossible. */
bool scsi_map(struct scsi_req *r, const struct pkt *p);
/* Answers with N bytes cut to ALLOC and to the buffer. */
void scsi_reply(struct scsi_req *r, const void *buf, uint32_t n, uint32_t alloc);
/* Copies parameter data from the guest; the number of bytes, or -EFAULT. */
MUST_CHECK int scsi_fetch(struct scsi_req *r, void *buf, uint32_t n);

/* Runs R->act over R->ext (scsi_io.c); finishes R. */
void scsi_io_start(struct scsi_req *r);
void scsi_io_again(struct scsi_req *r);		/* a step that failed and was held */

/* Whether SRB's address has units at all.  Linux always says path 0, also to the second channel. */
static inline bool scsi_has_target(const struct scsi *s, const struct stor_srb *srb)
{
	return (srb->path == 0 || s->ide) && srb->target == s->target;
}

/* Commands. */
void scsi_execute(struct scsi_req *r);		/* scsi_cmd.c: by the CDB */
void scsi_inquiry(struct scsi_req *r);
void scsi_inquiry_absent(struct scsi_req *r);
void scsi_mode_sense(struct scsi_req *r);
void scsi_mode_select(struct scsi_req *r);
void scsi_read(struct scsi_req *r);
void scsi_write(struct scsi_req *r);
void scsi_verify(struct scsi_req *r);
void scsi_sync_cache(struct scsi_req *r);
void scsi_unmap(struct scsi_req *r);
void scsi_write_same(struct scsi_req *r);
void scsi_read_toc(struct scsi_req *r);
void scsi_get_configuration(struct scsi_req *r);
void scsi_get_event_status(struct scsi_req *r);
void scsi_read_disc_info(struct scsi_req *r);
void scsi_read_track_info(struct scsi_req *r);

static inline uint16_t cdb16(const struct scsi_req *r, unsigned at)
{
	return (uint16_t)(r->cdb[at] << 8 | r->cdb[at + 1]);
}

static inline uint32_t cdb32(const struct scsi_req *r, unsigned at)
{
	return (uint32_t)cdb16(r, at) << 16 | cdb16(r, at + 2);
}

static inline uint64_t cdb64(const struct scsi_req *r, unsigned at)
{
	return (uint64_t)cdb32(r, at) << 32 | cdb32(r, at + 4);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	st16(p, __builtin_bswap16(v));
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	st32(p, __builtin_bswap32(v));
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	st64(p, __builtin_bswap64(v));
}

#endif
