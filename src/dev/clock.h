/*
 * clock.h - the machine's time, and timers on it
 *
 * Virtual nanoseconds since the machine was created; stands still while the
 * machine is stopped.  Callbacks run on the clock's own thread, or on one that
 * waits for them (clock_watch), with no lock held; they must return at once.
 */
#ifndef DEV_CLOCK_H
#define DEV_CLOCK_H

#include "base/base.h"

struct clock;
struct timer;

#define TIMER_NEVER UINT64_MAX

MUST_CHECK int clock_new(struct clock **ret_c);	/* it runs from the beginning */
/* A clock without a thread, for tests: time moves only by clock_step. */
MUST_CHECK int clock_new_manual(struct clock **ret_c);
void clock_step(struct clock *c, uint64_t ns);	/* manual clocks: advance, fire what is due */
void clock_free(struct clock *c);		/* all timers are gone before */
uint64_t clock_now_ns(struct clock *c);
/*
 * Time stands still; when it returns no callback is running, so call it
 * without any lock that callbacks take.  Timers may be armed meanwhile.
 */
void clock_stop(struct clock *c);
void clock_start(struct clock *c);

/*
 * For a thread that is about to sleep until a callback wakes it: the host's monotonic
 * time, in nanoseconds, of the first one.  When that has come it calls clock_fire_due
 * and runs what is due itself, without a wait for another thread to run first.  The
 * clock's thread does not rely on it.  TIMER_NEVER: nothing is armed, or another watches.
 */
uint64_t clock_watch(struct clock *c);
/* Ends the watch that clock_watch began; without any lock that callbacks take. */
void clock_fire_due(struct clock *c);

/*
 * FN(ARG) once when virtual time reaches the armed moment.  Arming again
 * replaces the moment; a moment in the past fires at once (on the clock's
 * thread).  FN may arm its own timer.
 */
MUST_CHECK int timer_new(struct clock *c, void (*fn)(void *arg), void *arg, struct timer **ret_t);
void timer_arm(struct timer *t, uint64_t at_ns);	/* TIMER_NEVER disarms */
/*
 * When it returns FN is not running and never will.  Waits for it, so call
 * it without any lock that FN takes; inside FN itself it does not wait.
 */
void timer_free(struct timer *t);

#endif
