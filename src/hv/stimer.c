/*
 * stimer.c - synthetic timers, four to a virtual processor
 *
 * The guest programs a moment in reference time and gets an interrupt on its
 * local APIC (direct mode) or a message through the SynIC.  Never early: the
 * machine's clock and the TSC part company by millionths, so an expiration
 * counts only once reference time says so too.
 *
 * A period of 100 ns is legal to ask for.  Nobody could serve it: a timer
 * rests MIN_GAP between expirations and makes up for a backlog of at most
 * MAX_BEHIND periods, a lazy one for none.
 *
 * Spec     [TLFS] 12.3
 * Lock     VP
 */
#include "hv/hv_priv.h"

#include <string.h>

#define MIN_GAP 500u			/* 50 us */
#define MAX_BEHIND 64u
#define LOOK_AGAIN UINT64_C(600000000)	/* a minute: then look what time it is */

/* Caller holds the VP's lock, as for all statics here. */
static void arm(struct stimer *t, uint64_t now)
{
	struct clock *clock = t->vp->hv->conf.clock;
	uint64_t wait = t->due > now ? min_u64(t->due - now, LOOK_AGAIN) : 0;

	t->armed = true;
	timer_arm(t->timer, clock_now_ns(clock) + wait * 100);
}

static void disarm(struct stimer *t)
{
	t->armed = false;
	t->msg_pending = false;
	timer_arm(t->timer, TIMER_NEVER);
}

static uint64_t add_sat(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

/* After a write: what CONFIG and COUNT together ask for. */
static void restart(struct stimer *t)
{
	uint64_t now = hv_ref_time(t->vp->hv);

	disarm(t);
	if (t->count == 0 ||
	    ((t->config & HV_STIMER_DIRECT) != 0 ?
	     HV_STIMER_VECTOR(t->config) < HV_MIN_VECTOR : HV_STIMER_SINT(t->config) == 0))
		t->config &= ~HV_STIMER_ENABLED;
	if ((t->config & HV_STIMER_ENABLED) == 0)
		return;
	t->due = (t->config & HV_STIMER_PERIODIC) != 0 ? add_sat(now, t->count) : t->count;
	arm(t, now);
}

/* The expiration after the one that was DUE; now >= due. */
static void next_period(struct stimer *t, uint64_t now)
{
	uint64_t behind = (now - t->due) / t->count;	/* whole periods missed */
	uint64_t grace = (t->config & HV_STIMER_LAZY) != 0 ? 0 : MAX_BEHIND;

	if (behind > grace)
		t->due += (behind - grace) * t->count;
	t->due = add_sat(t->due, t->count);
	arm(t, now);
	if (t->due < now + MIN_GAP)
		timer_arm(t->timer, clock_now_ns(t->vp->hv->conf.clock) + MIN_GAP * 100);
}

/* The clock's thread. */
static void expired(void *arg)
{
	struct hv_raise raise = { .sints = 0 };
	struct stimer *t = arg;
	struct hv_vp *vp = t->vp;
	const struct hv_conf *conf = &vp->hv->conf;
	uint8_t vector = 0;
	uint64_t now;

	pthread_mutex_lock(&vp->lock);
	now = hv_ref_time(vp->hv);
	if (t->armed && now < t->due) {
		arm(t, now);
	} else if (t->armed) {
		t->armed = false;
		if ((t->config & HV_STIMER_DIRECT) != 0) {
			vector = HV_STIMER_VECTOR(t->config);
		} else if (!t->msg_pending) {
			t->msg_pending = true;
			t->msg_due = t->due;
		}
		if ((t->config & HV_STIMER_PERIODIC) != 0)
			next_period(t, now);
		else
			t->config &= ~HV_STIMER_ENABLED;
		if (t->msg_pending)
			synic_pump(vp, HV_STIMER_SINT(t->config), &raise);
	}
	pthread_mutex_unlock(&vp->lock);

	if (vector != 0)
		conf->client->raise(conf->self, vp->index, vector, false);
	hv_raise_all(vp, &raise);
}

static struct stimer *waiting(struct hv_vp *vp, unsigned sint)
{
	for (unsigned i = 0; i < HV_NR_STIMERS; i++)
		if (vp->stimer[i].msg_pending && HV_STIMER_SINT(vp->stimer[i].config) == sint)
			return &vp->stimer[i];
	return NULL;
}

bool stimer_msg_waits(struct hv_vp *vp, unsigned sint)
{
	return waiting(vp, sint) != NULL;
}

void stimer_take_msg(struct hv_vp *vp, unsigned sint, struct hv_msg *ret_msg)
{
	struct stimer *t = waiting(vp, sint);
	struct hv_timer_payload p;

	BUG_IF(t == NULL);
	t->msg_pending = false;
	p = (struct hv_timer_payload){
		.index = le32_of(t->index),
		.expiration = le64_of(t->msg_due),
		.delivery = le64_of(hv_ref_time(vp->hv)),
	};
	*ret_msg = (struct hv_msg){ .type = le32_of(HV_MSG_TIMER), .size = sizeof(p) };
	memcpy(ret_msg->payload, &p, sizeof(p));
}

uint64_t stimer_read(struct hv_vp *vp, uint32_t msr)
{
	unsigned n = msr - HV_MSR_STIMER0_CONFIG;
	const struct stimer *t = &vp->stimer[n / 2];
	uint64_t val;

	pthread_mutex_lock(&vp->lock);
	val = n % 2 == 0 ? t->config : t->count;
	pthread_mutex_unlock(&vp->lock);
	return val;
}

void stimer_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	unsigned n = msr - HV_MSR_STIMER0_CONFIG;
	struct stimer *t = &vp->stimer[n / 2];

	pthread_mutex_lock(&vp->lock);
	if (n % 2 == 0) {
		t->config = val & HV_STIMER_KNOWN;
	} else {
		t->count = val;
		if (val != 0 && (t->config & HV_STIMER_AUTO_ENABLE) != 0)
			t->config |= HV_STIMER_ENABLED;
	}
	restart(t);
	pthread_mutex_unlock(&vp->lock);
}

int stimer_init(struct hv_vp *vp)
{
	for (unsigned i = 0; i < HV_NR_STIMERS; i++) {
		struct stimer *t = &vp->stimer[i];
		int rc;

		t->vp = vp;
		t->index = i;
		rc = timer_new(vp->hv->conf.clock, expired, t, &t->timer);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void stimer_fini(struct hv_vp *vp)
{
	for (unsigned i = 0; i < HV_NR_STIMERS; i++) {
		if (vp->stimer[i].timer != NULL)
			timer_free(vp->stimer[i].timer);
		vp->stimer[i].timer = NULL;
	}
}

void stimer_reset(struct hv_vp *vp)
{
	pthread_mutex_lock(&vp->lock);
	for (unsigned i = 0; i < HV_NR_STIMERS; i++) {
		disarm(&vp->stimer[i]);
		vp->stimer[i].config = 0;
		vp->stimer[i].count = 0;
	}
	pthread_mutex_unlock(&vp->lock);
}
