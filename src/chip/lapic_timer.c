/*
 * lapic_timer.c - the timer of a local APIC
 *
 * Counts down from the initial count at the input rate over the divider, once
 * or again and again; or waits for a value of the TSC.  Nothing counts here:
 * the current count is worked out from virtual time when somebody reads it,
 * and the clock is armed for the next expiry while its interrupt is unmasked.
 *
 * A guest may ask for a period of one tick.  Interrupts come no closer than
 * MIN_PERIOD_NS; periods missed meanwhile are gone, as on an APIC whose IRR
 * bit was still set.
 *
 * Spec     [SDM 3] 11.5.4 APIC timer, 11.5.4.1 TSC-deadline mode
 * Lock     t->lock: the vCPU's thread and the clock's
 */
#include "chip/lapic_priv.h"

#define MIN_PERIOD_NS UINT64_C(50000)

/* Divider register bits 3, 1, 0: 0 = by 2, 1 = by 4 ... 6 = by 128, 7 = by 1. */
static unsigned divide_shift(uint32_t divide)
{
	return (((divide & 3) | (divide >> 1 & 4)) + 1) & 7;
}

static uint64_t now_ns(const struct lapic *l)
{
	return clock_now_ns(l->set->conf.clock);
}

static uint32_t timer_mode(const struct lapic *l)
{
	uint32_t mode = atomic_load(&l->lvt[LVT_TIMER]) & LVT_TIMER_MODE;

	/* The fourth encoding is reserved; take it for one-shot. */
	return mode == LVT_TIMER_MODE ? LVT_TIMER_ONE_SHOT : mode;
}

static uint64_t ticks_since(const struct lapic *l, uint64_t now)
{
	const struct lapic_timer *t = &l->t;

	return mul_div(now - t->start_ns, l->set->conf.timer_hz, NS_PER_SEC) >>
	       divide_shift(t->divide);
}

/* The first moment at which TICKS have passed since start_ns. */
static uint64_t moment_of(const struct lapic *l, uint64_t ticks)
{
	const struct lapic_timer *t = &l->t;
	uint64_t hz = l->set->conf.timer_hz;
	unsigned __int128 n = (unsigned __int128)ticks << divide_shift(t->divide);

	n = (n * NS_PER_SEC + hz - 1) / hz + t->start_ns;
	return n < TIMER_NEVER ? (uint64_t)n : TIMER_NEVER;
}

static uint32_t current_at(const struct lapic *l, uint64_t now)
{
	const struct lapic_timer *t = &l->t;
	uint64_t ticks;

	if (t->count == 0 || timer_mode(l) == LVT_TIMER_DEADLINE)
		return 0;
	ticks = ticks_since(l, now);
	if (ticks < t->count)
		return t->count - (uint32_t)ticks;
	if (timer_mode(l) == LVT_TIMER_ONE_SHOT)
		return 0;
	return t->initial - (uint32_t)((ticks - t->count) % t->initial);
}

/* The next expiry of the count after NOW, or never. */
static uint64_t next_expiry(const struct lapic *l, uint64_t now)
{
	const struct lapic_timer *t = &l->t;
	uint64_t ticks, periods;

	if (t->count == 0)
		return TIMER_NEVER;
	ticks = ticks_since(l, now);
	if (ticks < t->count)
		return moment_of(l, t->count);
	if (timer_mode(l) == LVT_TIMER_ONE_SHOT)
		return TIMER_NEVER;
	periods = (ticks - t->count) / t->initial + 1;
	return moment_of(l, t->count + periods * t->initial);
}

/* When the TSC will be at the deadline: now or later. */
static uint64_t deadline_moment(const struct lapic *l, uint64_t now)
{
	const struct lapic_conf *conf = &l->set->conf;
	uint64_t tsc = conf->client->tsc(conf->self), left;
	unsigned __int128 n;

	if (l->t.deadline == 0)
		return TIMER_NEVER;
	if (l->t.deadline <= tsc)
		return now;
	left = l->t.deadline - tsc;
	n = ((unsigned __int128)left * NS_PER_SEC + conf->tsc_hz - 1) / conf->tsc_hz + now;
	return n < TIMER_NEVER ? (uint64_t)n : TIMER_NEVER;
}

/* Lock held: arms the clock for what the registers say. */
static void timer_rearm(struct lapic *l, uint64_t now, uint64_t not_before)
{
	struct lapic_timer *t = &l->t;
	uint64_t due = TIMER_NEVER;

	if ((atomic_load(&l->lvt[LVT_TIMER]) & LVT_MASKED) == 0)
		due = timer_mode(l) == LVT_TIMER_DEADLINE ?
		      deadline_moment(l, now) : next_expiry(l, now);
	if (due != TIMER_NEVER)
		due = max_u64(due, not_before);
	if (due == t->due)
		return;
	t->due = due;
	timer_arm(t->timer, due);
}

/*
 * Lock held: what expired by NOW happens before the registers change.  A
 * deadline is judged by the TSC itself, not by our idea of when it comes; it
 * passes behind a mask too.  True when the timer expired.
 */
static bool timer_expire(struct lapic *l, uint64_t now)
{
	struct lapic_timer *t = &l->t;
	bool due = t->due <= now;

	if (due)
		t->due = TIMER_NEVER;
	if (timer_mode(l) == LVT_TIMER_DEADLINE) {
		if (t->deadline == 0 || deadline_moment(l, now) > now)
			return false;
		t->deadline = 0;
	} else if (!due) {
		return false;
	}
	lapic_local(l, LVT_TIMER);
	return true;
}

static void timer_fire(void *arg)
{
	struct lapic *l = arg;
	uint64_t now;

	pthread_mutex_lock(&l->t.lock);
	now = now_ns(l);
	if (timer_expire(l, now))
		timer_rearm(l, now, now + MIN_PERIOD_NS);
	else if (l->t.due == TIMER_NEVER)
		timer_rearm(l, now, now);
	pthread_mutex_unlock(&l->t.lock);
}

int lapic_timer_init(struct lapic *l)
{
	int rc = timer_new(l->set->conf.clock, timer_fire, l, &l->t.timer);

	if (rc < 0)
		return rc;
	pthread_mutex_init(&l->t.lock, NULL);
	l->t.due = TIMER_NEVER;
	return 0;
}

void lapic_timer_fini(struct lapic *l)
{
	if (l->t.timer == NULL)
		return;
	timer_free(l->t.timer);
	pthread_mutex_destroy(&l->t.lock);
}

void lapic_timer_reset(struct lapic *l)
{
	struct lapic_timer *t = &l->t;

	pthread_mutex_lock(&t->lock);
	atomic_store(&l->lvt[LVT_TIMER], LVT_MASKED);
	t->count = 0;
	t->initial = 0;
	t->divide = 0;
	t->deadline = 0;
	t->due = TIMER_NEVER;
	timer_arm(t->timer, TIMER_NEVER);
	pthread_mutex_unlock(&t->lock);
}

void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt)
{
	struct lapic_timer *t = &l->t;
	uint32_t old, left;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	now = now_ns(l);
	timer_expire(l, now);
	old = timer_mode(l);
	left = current_at(l, now);
	atomic_store(&l->lvt[LVT_TIMER], lvt);
	if ((old == LVT_TIMER_DEADLINE) != (timer_mode(l) == LVT_TIMER_DEADLINE)) {
		/* Between counting and the TSC the timer is disarmed. */
		t->initial = 0;
		t->count = 0;
		t->deadline = 0;
	} else if (old != timer_mode(l)) {
		/* Once or again: the count goes on from where it is, and zero stays zero. */
		t->count = left;
		t->start_ns = now;
	}
	timer_rearm(l, now, now);
	pthread_mutex_unlock(&t->lock);
}

void lapic_timer_set_initial(struct lapic *l, uint32_t count)
{
	struct lapic_timer *t = &l->t;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	if (timer_mode(l) != LVT_TIMER_DEADLINE) {
		now = now_ns(l);
		timer_expire(l, now);
		t->start_ns = now;
		t->count = count;
		t->initial = count;
		timer_rearm(l, now, now);
	}
	pthread_mutex_unlock(&t->lock);
}

/* The count goes on from where it is, at the new pace. */
void lapic_timer_set_divide(struct lapic *l, uint32_t divide)
{
	struct lapic_timer *t = &l->t;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	now = now_ns(l);
	timer_expire(l, now);
	t->count = current_at(l, now);
	t->start_ns = now;
	t->divide = divide & 0xb;
	timer_rearm(l, now, now);
	pthread_mutex_unlock(&t->lock);
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
	struct lapic_timer *t = &l->t;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	if (timer_mode(l) == LVT_TIMER_DEADLINE) {
		now = now_ns(l);
		t->deadline = tsc;
		timer_expire(l, now);	/* already past: at once */
		t->due = 0;		/* whatever it was, arm anew */
		timer_rearm(l, now, now);
	}
	pthread_mutex_unlock(&t->lock);
}

uint32_t lapic_timer_initial(struct lapic *l)
{
	uint32_t v;

	pthread_mutex_lock(&l->t.lock);
	v = l->t.initial;
	pthread_mutex_unlock(&l->t.lock);
	return v;
}

uint32_t lapic_timer_current(struct lapic *l)
{
	uint32_t v;

	pthread_mutex_lock(&l->t.lock);
	v = current_at(l, now_ns(l));
	pthread_mutex_unlock(&l->t.lock);
	return v;
}

uint32_t lapic_timer_divide(struct lapic *l)
{
	uint32_t v;

	pthread_mutex_lock(&l->t.lock);
	v = l->t.divide;
	pthread_mutex_unlock(&l->t.lock);
	return v;
}

uint64_t lapic_timer_deadline(struct lapic *l)
{
	uint64_t v;

	pthread_mutex_lock(&l->t.lock);
	timer_expire(l, now_ns(l));
	v = l->t.deadline;
	pthread_mutex_unlock(&l->t.lock);
	return v;
}

void lapic_timer_save(struct lapic *l, uint32_t *ret_count, uint32_t *ret_initial,
		      uint32_t *ret_divide, uint64_t *ret_deadline)
{
	pthread_mutex_lock(&l->t.lock);
	*ret_count = current_at(l, now_ns(l));
	*ret_initial = l->t.initial;
	*ret_divide = l->t.divide;
	*ret_deadline = l->t.deadline;
	pthread_mutex_unlock(&l->t.lock);
}

/* Nothing expires here: what is due fires on the clock's thread once it runs. */
void lapic_timer_load(struct lapic *l, uint32_t lvt, uint32_t count, uint32_t initial,
		      uint32_t divide, uint64_t deadline)
{
	struct lapic_timer *t = &l->t;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	now = now_ns(l);
	atomic_store(&l->lvt[LVT_TIMER], lvt);
	t->start_ns = now;
	t->count = count;
	t->initial = initial;
	t->divide = divide;
	t->deadline = timer_mode(l) == LVT_TIMER_DEADLINE ? deadline : 0;
	t->due = 0;
	timer_rearm(l, now, now);
	pthread_mutex_unlock(&t->lock);
}
