/*
 * engine.h - what engine.c offers to the other files directly in cpu/interp
 */
#ifndef CPU_INTERP_ENGINE_H
#define CPU_INTERP_ENGINE_H

#include "cpu/interp/interp.h"

#include <pthread.h>

struct cpu_shared {
	pthread_mutex_t lock;	/* LOCKed accesses that no host instruction can make */
};

static inline void interp_shared_lock(struct interp *c)
{
	pthread_mutex_lock(&c->conf.shared->lock);
	c->shared_locked = true;
}

static inline void interp_shared_unlock(struct interp *c)
{
	c->shared_locked = false;
	pthread_mutex_unlock(&c->conf.shared->lock);
}

/*
 * One instruction at c->rip, without any event, breakpoint or trap.  Raises
 * to c->unwind.  Returns its ZydisMnemonic.  For the run loop's slow path and
 * for tests.
 */
unsigned interp_step(struct interp *c);

enum cpu_exit interp_run(struct interp *c);
/* As interp_run, but CPU_EXIT_KICK after about N blocks; for tests and fuzzing. */
enum cpu_exit interp_run_bounded(struct interp *c, uint64_t n);

#endif
