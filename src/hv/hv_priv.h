/*
 * hv_priv.h - one partition, from inside
 *
 * Locks  partition (hv.lock): the partition-wide registers and the pages that
 *        hang on them.  VP (hv_vp.lock): SynIC and synthetic timers of one VP;
 *        a timer's callback and a poster on any thread take it.  Never both,
 *        never two VPs.  Under either, the time lock (reftime.lock) may be
 *        taken, and the clock's own.  No callback of the board is made under
 *        a partition or VP lock: interrupts are collected in struct hv_raise
 *        and raised after.  Only client->tsc is called under the time lock.
 */
#ifndef HV_HV_PRIV_H
#define HV_HV_PRIV_H

#include "hv/hv.h"
#include "hv/tlfs.h"

#include <pthread.h>
#include <stdatomic.h>

#define HV_QUEUE_MAX 1024u	/* messages waiting for one SINT */

struct reftime {
	pthread_mutex_t lock;
	uint64_t scale;			/* [const] */
	uint64_t offset;		/* ref = tsc * scale / 2^64 + offset */
	uint32_t sequence;		/* of the page; 0 and all ones never */
	bool stopped;
	uint64_t frozen;		/* the time while stopped */
};

/* A page of ours over a page of the guest's RAM, which comes back. */
struct overlay {
	bool on;
	uint64_t gpa;
	uint8_t under[PAGE_SIZE];
};

struct hv_queued {
	struct hv_queued *next;
	struct hv_msg msg;
};

struct hv_queue {
	struct hv_queued *head, *tail;
	unsigned nr;
};

struct synic {
	uint64_t scontrol, siefp, simp, sint[HV_NR_SINTS];
	struct hv_queue queue[HV_NR_SINTS];
	/* Event flags set while the guest could not take them. */
	uint32_t held[HV_NR_SINTS][HV_NR_FLAGS / 32];
	uint16_t held_sints;		/* SINTs with anything in held */
};

struct stimer {
	struct hv_vp *vp;		/* [const] */
	unsigned index;			/* [const] */
	struct timer *timer;		/* [const] */
	uint64_t config, count;		/* as the guest wrote them */
	bool armed;
	uint64_t due;			/* reference time of the next expiration */
	bool msg_pending;		/* expired, and the message waits for its slot */
	uint64_t msg_due;		/* the expiration that message tells of */
};

struct hv_vp {
	struct hv *hv;			/* [const] */
	unsigned index;			/* [const] */
	pthread_mutex_t lock;
	struct synic synic;
	struct stimer stimer[HV_NR_STIMERS];
	uint64_t assist;		/* VP's own thread */
};

struct hv {
	struct hv_conf conf;		/* [const] */
	struct hv_vp *vps;		/* [const] nr_vps of them */
	struct reftime time;
	_Atomic uint64_t os_id;		/* written under lock */
	pthread_mutex_t lock;
	uint64_t hypercall, ref_tsc, tsc_invariant;
	uint64_t crash[HV_NR_CRASH_PARAMS];
	struct overlay hypercall_page, tsc_page;
};

/* SINTs to interrupt once the VP's lock is dropped. */
struct hv_raise {
	uint32_t sints;
	uint64_t sint[HV_NR_SINTS];	/* the register then */
};

/* hv.c */
/* -EFAULT where GPA is not RAM; nothing has changed then. */
MUST_CHECK int overlay_show(struct hv *hv, struct overlay *o, uint64_t gpa, const void *page);
void overlay_hide(struct hv *hv, struct overlay *o);

/* reftime.c */
void reftime_init(struct hv *hv);
/* The page of HV_MSR_REF_TSC as it should read now. */
void reftime_page(struct hv *hv, struct hv_tsc_page *ret_page);

/* synic.c; those with a RAISE want the VP's lock held */
void synic_reset(struct hv_vp *vp);
void synic_forget(struct hv_vp *vp);	/* everything queued or held for the guest */
void synic_pump(struct hv_vp *vp, unsigned sint, struct hv_raise *raise);
void hv_raise_all(struct hv_vp *vp, const struct hv_raise *raise);
uint64_t synic_read(struct hv_vp *vp, uint32_t msr);
MUST_CHECK int synic_write(struct hv_vp *vp, uint32_t msr, uint64_t val);

/* stimer.c */
MUST_CHECK int stimer_init(struct hv_vp *vp);
void stimer_fini(struct hv_vp *vp);
void stimer_reset(struct hv_vp *vp);
uint64_t stimer_read(struct hv_vp *vp, uint32_t msr);
void stimer_write(struct hv_vp *vp, uint32_t msr, uint64_t val);
/* With the VP's lock: whether a timer's message waits for SINT; then take it. */
bool stimer_msg_waits(struct hv_vp *vp, unsigned sint);
void stimer_take_msg(struct hv_vp *vp, unsigned sint, struct hv_msg *ret_msg);

/* A decoded hypercall; handlers are in calls.c. */
struct hv_ctx {
	struct hv *hv;
	struct hv_vp *vp;
	size_t in_len, var_len;		/* bytes of input; of its variable header */
	unsigned rep_start, reps;	/* handlers of rep calls do [rep_start, reps) ... */
	unsigned done;			/* ... and say how far they came */
	_Alignas(16) uint8_t in[PAGE_SIZE];
	_Alignas(16) uint8_t out[PAGE_SIZE];
};

struct hv_call_row {
	uint16_t code;
	uint8_t flags;			/* CALL_* */
	uint16_t in, rep_in, rep_out;	/* bytes: fixed header, per element */
	uint16_t (*fn)(struct hv_ctx *c);	/* NULL: known, and not for this partition */
};

enum { CALL_REP = 1, CALL_VAR = 2, CALL_SLOW = 4 /* memory form only */ };

const struct hv_call_row *hv_call_find(uint16_t code);

#endif
