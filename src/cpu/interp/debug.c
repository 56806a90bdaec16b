/*
 * debug.c - a debugger's points and steps, which the guest does not see
 *
 * Nothing of it is in the guest: no INT3 in its code, no DR0..7, no TF.  Pages
 * with an execution point are never in the code TLB, and pages with a data
 * point never in the data TLB, so all others run at full speed and the run
 * loop comes here for the rest.  With a step everything goes one by one.
 *
 * Breakpoints are looked at before the instruction, at the boundary where
 * interrupts have been taken already; what was touched and a finished step at
 * the next boundary, before anything else happens there.
 *
 * Spec     cpu.h, struct cpu_debug
 * Lock     none: the vCPU's thread, or any while it does not run
 */
#include "cpu/interp/debug.h"

#include <stdlib.h>

static uint64_t rip_lin(const struct interp *c)
{
	return c->code64 ? c->rip : (uint32_t)(c->seg[CPU_CS].base + c->rip);
}

static bool valid(const struct cpu_debug *d)
{
	if (d->nr > CPU_DEBUG_MAX)
		return false;
	for (unsigned i = 0; i < d->nr; i++)
		if (d->point[i].len < 1 || d->point[i].len > CPU_DEBUG_LEN ||
		    d->point[i].on == 0 || d->point[i].on > 7)
			return false;
	return true;
}

int interp_debug_set(struct interp *c, const struct cpu_debug *d)
{
	struct interp_debug *g = c->debugger;

	if (d != NULL && !valid(d))
		return -EINVAL;
	if (d == NULL || (d->nr == 0 && !d->step)) {
		free(g);
		c->debugger = NULL;
		interp_debug_changed(c);
		return 0;
	}
	if (g == NULL)
		g = new0(struct interp_debug);
	if (g == NULL)
		return -ENOMEM;
	*g = (struct interp_debug){ .d = *d };
	for (unsigned i = 0; i < d->nr; i++) {
		g->exec |= (d->point[i].on & CPU_DEBUG_EXEC) != 0;
		g->data |= (d->point[i].on & (CPU_DEBUG_READ | CPU_DEBUG_WRITE)) != 0;
	}
	c->debugger = g;
	interp_debug_changed(c);
	return 0;
}

void interp_debug_stop(struct interp *c, struct cpu_debug_stop *ret_s)
{
	*ret_s = c->debugger != NULL ? c->debugger->stop : (struct cpu_debug_stop){ 0 };
}

/* ---- where ----------------------------------------------------------------------------- */

/* Whether the page of LIN has a point for any of ON; without overflow at the top of memory. */
static bool page_has(const struct interp_debug *g, uint64_t lin, uint32_t on)
{
	uint64_t page = lin & ~PAGE_MASK;

	for (unsigned i = 0; i < g->d.nr; i++) {
		const struct cpu_debug_point *p = &g->d.point[i];

		if ((p->on & on) && ((p->lin & ~PAGE_MASK) == page ||
				     ((p->lin + p->len - 1) & ~PAGE_MASK) == page))
			return true;
	}
	return false;
}

bool interp_debug_on_page(const struct interp *c, uint64_t lin, uint32_t on)
{
	return page_has(c->debugger, lin, on);
}

void interp_debug_touched(struct interp *c, uint64_t lin, unsigned n, enum access a)
{
	uint32_t on = a == ACCESS_WRITE ? CPU_DEBUG_WRITE : CPU_DEBUG_READ;
	struct interp_debug *g = c->debugger;

	for (unsigned i = 0; i < g->d.nr && !g->pending; i++) {
		const struct cpu_debug_point *p = &g->d.point[i];

		if (!(p->on & on) || (lin - p->lin >= p->len && p->lin - lin >= n))
			continue;
		g->stop = (struct cpu_debug_stop){ CPU_STOP_WATCH, p->on, p->lin };
		g->pending = true;
		c->stop = 1;
	}
}

/* ---- when ------------------------------------------------------------------------------ */

bool interp_debug_due(struct interp *c)
{
	struct interp_debug *g = c->debugger;

	if (!g->pending && !(g->d.step && g->begun))
		return false;
	if (!g->pending)
		g->stop = (struct cpu_debug_stop){ CPU_STOP_STEP, 0, 0 };
	g->pending = g->begun = false;
	if (g->d.step) {
		g->d.step = false;
		interp_debug_changed(c);
	}
	return true;
}

bool interp_debug_holds(struct interp *c)
{
	c->debugger->woken = c->halted;
	return c->debugger->d.step && !c->halted;
}

bool interp_debug_at(struct interp *c)
{
	struct interp_debug *g = c->debugger;
	uint64_t lin = rip_lin(c);

	for (unsigned i = 0; g->exec && i < g->d.nr && !g->pending; i++) {
		const struct cpu_debug_point *p = &g->d.point[i];

		if (!(p->on & CPU_DEBUG_EXEC) || p->lin != lin)
			continue;
		g->stop = (struct cpu_debug_stop){ CPU_STOP_BREAK, p->on, lin };
		g->pending = true;
	}
	/* An interrupt that ended HLT was the step. */
	g->begun = g->woken;
	if (interp_debug_due(c))
		return true;
	g->begun = true;
	return false;
}

void interp_debug_raised(struct interp *c)
{
	c->debugger->pending = false;
}

bool interp_debug_steps(const struct interp *c)
{
	const struct interp_debug *g = c->debugger;

	return g->d.step || (g->exec && page_has(g, rip_lin(c), CPU_DEBUG_EXEC));
}
