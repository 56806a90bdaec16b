/*
 * debug.h - what the run loop and memory ask about the debugger
 *
 * All but interp_debug_set only while c->debugger is not NULL.
 */
#ifndef CPU_INTERP_DEBUG_H
#define CPU_INTERP_DEBUG_H

#include "cpu/interp/mem_priv.h"

struct interp_debug {
	struct cpu_debug d;
	struct cpu_debug_stop stop;	/* the last one, or the one that is due */
	bool pending;			/* ...that is due */
	bool begun;			/* something ran since the step was asked for */
	bool woken;			/* was in HLT when interrupts were looked at */
	bool exec, data;		/* kinds among the points */
};

/* struct cpu_engine's debug and debug_stop; -EINVAL for what no caller may ask. */
MUST_CHECK int interp_debug_set(struct interp *c, const struct cpu_debug *d);
void interp_debug_stop(struct interp *c, struct cpu_debug_stop *ret_s);

/* At a boundary, first: whether to leave with CPU_EXIT_DEBUG. */
bool interp_debug_due(struct interp *c);
/* Then, whether interrupts are held back. */
bool interp_debug_holds(struct interp *c);
/* Then, with an instruction about to run at c->rip: whether to leave instead. */
bool interp_debug_at(struct interp *c);
/* Whether the next instruction must be alone. */
bool interp_debug_steps(const struct interp *c);
/* The instruction that ran was undone by an exception. */
void interp_debug_raised(struct interp *c);

/* Whether the page of LIN has a point for one of ON. */
bool interp_debug_on_page(const struct interp *c, uint64_t lin, uint32_t on);
/* [lin, lin + n) is being accessed. */
void interp_debug_touched(struct interp *c, uint64_t lin, unsigned n, enum access a);

#endif
