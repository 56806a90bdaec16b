/*
 * engine.h - what engine.c offers to the other files directly in cpu/interp
 */
#ifndef CPU_INTERP_ENGINE_H
#define CPU_INTERP_ENGINE_H

#include "cpu/interp/interp.h"

#include <pthread.h>

#define SHARED_CPUS 2048u

struct cpu_shared {
	pthread_mutex_t lock;	/* LOCKed accesses that no host instruction can make; cpu[] */
	unsigned nr_cpus;
	struct interp *cpu[SHARED_CPUS];	/* by index; NULL: not there */
};

/* What an engine that stands on the interpreter shares with it; c is zeroed, TLB of INIT kept. */
MUST_CHECK int interp_init(struct interp *c, const struct cpu_conf *conf, struct interp_tlb *tlb,
			   struct err *err);
void interp_fini(struct interp *c);
int interp_engine_shared_new(struct gmem *m, unsigned nr_cpus, struct cpu_shared **ret_s,
			     struct err *err);
void interp_engine_shared_free(struct cpu_shared *s);
void interp_engine_kick(struct cpu *cpu);
void interp_engine_notify(struct cpu *cpu);
void interp_engine_nmi(struct cpu *cpu);
void interp_engine_tlb_flush(struct cpu *cpu);
void interp_engine_tlb_flush_soon(struct cpu *cpu);
void interp_engine_a20(struct cpu *cpu, bool on);
void interp_engine_reset(struct cpu *cpu, bool init);
void interp_engine_get_regs(struct cpu *cpu, struct cpu_regs *r);
int interp_engine_set_regs(struct cpu *cpu, const struct cpu_regs *r, struct err *err);
uint64_t interp_engine_retired(struct cpu *cpu);
const char *interp_engine_error(struct cpu *cpu);

int interp_engine_debug(struct cpu *cpu, const struct cpu_debug *d);
void interp_engine_debug_stop(struct cpu *cpu, struct cpu_debug_stop *ret_s);

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

/* trace.c, where c->conf.trace is not NULL: the block or the instruction at c->rip comes now. */
struct interp_block;
void interp_trace_block(struct interp *c, const struct interp_block *b);
void interp_trace_insn(struct interp *c);

/* ---- pieces of the run loop, for an engine with a loop of its own --------------------- */

/* Between instructions: events, interrupts, halt.  False = leave the loop, with *ret_exit. */
bool interp_boundary(struct interp *c, enum cpu_exit *ret_exit);
/* Whether the next instruction must be run alone, by interp_step_slow. */
bool interp_must_step(const struct interp *c);
void interp_step_slow(struct interp *c);
/* Blocks from c->rip on until a boundary must be looked at, at most BURST. */
void interp_run_fast(struct interp *c, uint64_t burst);
/* After interp_raise came back to c->unwind: delivers.  False = shutdown. */
bool interp_deliver_raised(struct interp *c);

enum cpu_exit interp_run(struct interp *c);
/* As interp_run, but CPU_EXIT_KICK after about N blocks; for tests and fuzzing. */
enum cpu_exit interp_run_bounded(struct interp *c, uint64_t n);

#endif
