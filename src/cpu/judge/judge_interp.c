/*
 * judge_interp.c - the same instruction in the interpreter
 *
 * The test machine of itest.h, at CPL 3 in 64-bit or compatibility mode, with no
 * page of it mapped but the sandbox: rights as on the host's side, NX on what is not code.
 *
 * Lock     none: one thread
 */
#include "cpu/interp/block.h"
#include "cpu/interp/itest.h"
#include "cpu/judge/judge.h"

#include <stdlib.h>
#include <string.h>

#define REP_STEPS 100000u

struct judge_interp {
	struct itest t;
	uint8_t *ram;
};

static void map_box(struct judge_interp *j)
{
	static const uint64_t rights[] = {
		[BOX_NONE] = 0, [BOX_CODE] = X86_PTE_P | X86_PTE_U,
		[BOX_RW] = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_NX,
		[BOX_RO] = X86_PTE_P | X86_PTE_U | X86_PTE_NX,
	};

	for (uint64_t lin = 0; lin < 2 * ITEST_RAM; lin += PAGE_SIZE)
		itest_put64(&j->t, itest_pte(lin), 0);
	for (unsigned i = 0; i < BOX_PAGES; i++) {
		uint64_t r = rights[box_kinds[i]];
		uint8_t page[PAGE_SIZE];

		itest_put64(&j->t, itest_pte(box_page(i)), r ? box_page(i) | r : 0);
		memset(page, box_kinds[i] == BOX_CODE ? 0xcc : 0, sizeof(page));
		itest_put(&j->t, box_page(i), page, sizeof(page));
	}
	interp_tlb_flush(j->t.c, true);
}

struct judge_interp *interp_open(void)
{
	struct judge_interp *j = new0(struct judge_interp);

	if (!j)
		return NULL;
	itest_open_as(&j->t, ITEST_64, &cpu_engine_interpret, cpu_model_best());
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

void interp_close(struct judge_interp *j)
{
	itest_close(&j->t);
	free(j);
}

uint8_t *interp_at(struct judge_interp *j, uint64_t lin)
{
	return j->ram + lin;
}

const struct decoder *interp_decoder(struct judge_interp *j)
{
	return interp_cache_decoder(j->t.c->cache);
}

void interp_put_code(struct judge_interp *j, uint64_t lin, const void *src, unsigned n)
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
static int after_branch(struct judge_interp *j)
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

/* Blocks until the way out has been taken. */
static int run_sequence(struct judge_interp *j, const struct gcase *g)
{
	struct interp *c = j->t.c;

	for (unsigned i = 0; i < 2 * SEQ_INSNS; i++) {
		if (itest_go(&j->t, 1) != CPU_EXIT_KICK)
			return X86_DFLT;
		if (c->rip == native_way_out_at(g)) {
			c->rip = g->at + g->len;
			return ITEST_HLT;
		}
	}
	return X86_DFLT;
}

static int run_one(struct judge_interp *j, const struct gcase *g)
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

void interp_case(struct judge_interp *j, const struct gcase *g, const struct state *in,
		 struct outcome *ret_o)
{
	struct interp *c = j->t.c;
	int rc;

	set_mode(c, g->mode);
	memcpy(c->gpr, in->gpr, sizeof(in->gpr));
	c->rip = in->rip;
	c->rflags = in->rflags;
	memcpy(c->xsave, in->fx, LEGACY_BYTES);
	memcpy(c->xsave + FX_YMM, in->fx + FX_YMM, FX_BYTES - FX_YMM);
	rc = g->seq ? run_sequence(j, g) : run_one(j, g);
	memcpy(ret_o->s.gpr, c->gpr, sizeof(in->gpr));
	ret_o->s.rip = c->rip;
	ret_o->s.rflags = c->rflags;
	memcpy(ret_o->s.fx, c->xsave, FX_BYTES);
	ret_o->vector = rc == ITEST_HLT ? NO_FAULT : rc;
	ret_o->code = has_code(rc) ? c->exc_code : 0;
	ret_o->cr2 = rc == X86_PAGE ? c->cr2 : 0;
}
