/*
 * judge_guest.c - the same case on one of our engines
 *
 * The test machine of itest.h, at CPL 3 in 64-bit or compatibility mode.  Of
 * its pages user code has the sandbox alone: rights as on the host's side, NX on
 * what is not code.
 *
 * An engine runs until something is raised, if only because the way out is not
 * mapped: the handler is a HLT, and its stack has what is to be known.  The
 * interpreter can also step, and tells then without delivering.
 *
 * Lock     none: one thread
 */
#include "cpu/interp/block.h"
#include "cpu/interp/itest.h"
#include "cpu/judge/judge.h"

#include <stdlib.h>
#include <string.h>

#define REP_STEPS 100000u

const struct candidate candidates[] = {
	{ "interpret", "the interpreter; steps single instructions", &cpu_engine_interpret, true, false },
	{ "blocks", "the interpreter as a machine runs it", &cpu_engine_interpret, false,
	  false },
	{ "translate", "the translator", &cpu_engine_translate, false, true },
};
const unsigned nr_candidates = ARRAY_LEN(candidates);

struct guest {
	const struct candidate *who;
	struct itest t;
	uint8_t *ram;
};

static void map_box(struct guest *j)
{
	static const uint64_t rights[] = {
		[BOX_NONE] = 0, [BOX_CODE] = X86_PTE_P | X86_PTE_U,
		[BOX_RW] = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_NX,
		[BOX_RO] = X86_PTE_P | X86_PTE_U | X86_PTE_NX,
	};
	/* What delivery needs: the supervisor's. */
	static const uint64_t system[] = {
		ITEST_GDT, ITEST_IDT, ITEST_TSS, ITEST_HANDLERS, ITEST_STACK0 - PAGE_SIZE,
	};

	for (uint64_t lin = 0; lin < 2 * ITEST_RAM; lin += PAGE_SIZE)
		itest_put64(&j->t, itest_pte(lin), 0);
	for (unsigned i = 0; i < ARRAY_LEN(system); i++)
		itest_put64(&j->t, itest_pte(system[i]), system[i] | X86_PTE_P | X86_PTE_W);
	for (unsigned i = 0; i < BOX_PAGES; i++) {
		uint64_t r = rights[box_kinds[i]];
		uint8_t page[PAGE_SIZE];

		itest_put64(&j->t, itest_pte(box_page(i)), r ? box_page(i) | r : 0);
		memset(page, box_kinds[i] == BOX_CODE ? 0xcc : 0, sizeof(page));
		itest_put(&j->t, box_page(i), page, sizeof(page));
	}
	interp_tlb_flush(j->t.c, true);
}

struct guest *guest_open(const struct candidate *c)
{
	struct guest *j = new0(struct guest);

	if (!j)
		return NULL;
	j->who = c;
	itest_open_as(&j->t, ITEST_64, c->engine, cpu_model_best());
	itest_user(&j->t);
	j->t.c->xcr0 = cpu_model_xcr0(j->t.c->model);
	/* As Linux runs the other side. */
	j->t.c->cr0 |= X86_CR0_AM;
	j->t.c->seg[CPU_GS].base = native_gs_base();
	interp_mode_changed(j->t.c);
	j->ram = gmem_range_hva(j->t.mem, 0);
	map_box(j);
	return j;
}

void guest_close(struct guest *j)
{
	itest_close(&j->t);
	free(j);
}

uint8_t *guest_at(struct guest *j, uint64_t lin)
{
	return j->ram + lin;
}

const struct decoder *guest_decoder(struct guest *j)
{
	return interp_cache_decoder(j->t.c->cache);
}

void guest_put_code(struct guest *j, uint64_t lin, const void *src, unsigned n)
{
	itest_put(&j->t, lin, src, n);
}

/* Code segment of the case; the data segments are the same for both modes. */
static void set_mode(struct interp *c, enum decode_mode mode)
{
	struct cpu_seg *cs = &c->seg[CPU_CS];
	uint16_t sel = mode == DECODE_32 ? ITEST_USER32 : ITEST_USER64;

	if (cs->sel == sel)
		return;
	cs->sel = sel;
	cs->attr = mode == DECODE_32 ? 0xc0fb : 0xa0fb;
	interp_mode_changed(c);
}

static bool in_code(uint64_t rip)
{
	uint64_t n = (rip - BOX_BASE) / PAGE_SIZE;

	return rip >= BOX_BASE && n < BOX_PAGES && box_kinds[n] == BOX_CODE;
}

/* The fault after a branch belongs to the instruction fetched at its target. */
static int after_branch(struct guest *j)
{
	if (!in_code(j->t.c->rip))
		return itest_step(&j->t);
	j->t.c->rip++;			/* the INT3 there */
	return X86_BP;
}

static bool has_code(int vector)
{
	return vector == X86_PAGE || vector == X86_GP || vector == X86_SS || vector == X86_ALIGN;
}

/* ---- as a machine -------------------------------------------------------------------------- */

/* Back from a handler: user mode, not halted. */
static void set_user(struct interp *c)
{
	c->halted = 0;
	c->seg[CPU_SS] = (struct cpu_seg){ ITEST_USER_DATA, 0xc0f3, 0xffffffff, 0 };
	interp_mode_changed(c);
}

/* What delivery pushed, from the error code on. */
struct frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

static void run_engine(struct guest *j, const struct gcase *g, struct outcome *o)
{
	struct interp *c = j->t.c;
	uint64_t sp;
	struct frame f;

	o->vector = X86_DFLT;
	o->code = 0;
	if (cpu_run(j->t.cpu) != CPU_EXIT_HLT || itest_caught(&j->t) < 0)
		return;
	o->vector = itest_caught(&j->t);
	sp = c->gpr[CPU_RSP];
	if (has_code(o->vector) || o->vector == X86_DFLT) {
		o->code = (uint32_t)itest_get64(&j->t, sp);
		sp += 8;
	}
	itest_get(&j->t, sp, &f, sizeof(f));
	c->rip = f.rip;
	c->rflags = f.rflags;
	c->gpr[CPU_RSP] = f.rsp;
	o->cr2 = o->vector == X86_PAGE ? c->cr2 : 0;
	if (o->vector != X86_PAGE || f.rip != native_way_out_at(g))
		return;
	c->rip = g->at + g->len;
	o->vector = NO_FAULT;
	o->code = 0;
	o->cr2 = 0;
}

/* ---- step by step -------------------------------------------------------------------------- */

static int run_one(struct guest *j, const struct gcase *g)
{
	struct interp *c = j->t.c;
	int rc = ITEST_HLT;

	for (unsigned i = 0; i < REP_STEPS; i++) {
		rc = itest_step(&j->t);
		if (rc != ITEST_HLT || !g->rep || c->rip != g->at)
			break;
	}
	if (rc == ITEST_HLT && c->rip != g->at + g->len)
		return after_branch(j);
	/* The way out does not fit where the next page is missing. */
	if (rc == ITEST_HLT && c->rip + WAY_OUT > box_page(2))
		return itest_step(&j->t);
	return rc;
}

static void run_steps(struct guest *j, const struct gcase *g, struct outcome *o)
{
	int rc = run_one(j, g);

	o->vector = rc == ITEST_HLT ? NO_FAULT : rc;
	o->code = has_code(rc) ? j->t.c->exc_code : 0;
	o->cr2 = rc == X86_PAGE ? j->t.c->cr2 : 0;
}

void guest_run(struct guest *j, const struct gcase *g, const struct state *in,
	       struct outcome *ret_o)
{
	struct interp *c = j->t.c;

	set_mode(c, g->mode);
	set_user(c);
	memcpy(c->gpr, in->gpr, sizeof(in->gpr));
	c->rip = in->rip;
	c->rflags = in->rflags;
	memcpy(c->xsave, in->fx, LEGACY_BYTES);
	memcpy(c->xsave + FX_YMM, in->fx + FX_YMM, FX_BYTES - FX_YMM);
	if (j->who->steps && !g->seq)
		run_steps(j, g, ret_o);
	else
		run_engine(j, g, ret_o);
	memcpy(ret_o->s.gpr, c->gpr, sizeof(in->gpr));
	ret_o->s.rip = c->rip;
	ret_o->s.rflags = c->rflags;
	memset(ret_o->s.fx, 0, FX_BYTES);
	memcpy(ret_o->s.fx, c->xsave, LEGACY_BYTES);
	memcpy(ret_o->s.fx + FX_YMM, c->xsave + FX_YMM, FX_BYTES - FX_YMM);
}
