/*
 * rep.c - REP STOS and REP MOVS, page by page, by the host's own
 *
 * A kernel clears and copies small things all day, and a handler costs more than
 * most of that.  Each piece ends where one of the pages does; both are looked up
 * in the TLB.  Where one is not there, and where an element lies on two pages, the
 * handler does the rest.
 *
 * Flags that somebody may use are put aside meanwhile: a copying function returns
 * right behind its REP, and nobody knows what its caller wants of them.
 *
 * Nothing can stop it on the way: there are not many pages, and what is in the
 * TLB is memory.
 *
 * Spec     [SDM 2] REP, STOS, MOVS
 * Lock     none
 */
#include "cpu/bt/xl.h"

#define MISSES 6u

/* One of them on its way. */
struct rep {
	struct xl *x;
	struct bt_site *site;
	bool movs, flags;		/* FLAGS are put aside */
	unsigned shift;			/* of an element's size */
	unsigned nr;
	uint8_t *miss[MISSES];		/* jumps to the handler */
};

static void missed(struct rep *r, uint8_t *jump)
{
	BUG_IF(r->nr == MISSES);
	r->miss[r->nr++] = jump;
}

static void put_flags_aside(struct xl *x)
{
	struct em *e = &x->e;

	e_store(e, m_abs(&x->b->tmp_rax), H_RAX);
	e8(e, 0x9f);				/* lahf */
	e8(e, 0x0f);				/* seto al */
	e8(e, 0x90);
	e8(e, 0xc0);
	e_store(e, m_abs(&x->b->tmp_flags), H_RAX);
	e_load(e, H_RAX, m_abs(&x->b->tmp_rax));
}

static void bring_flags_back(struct xl *x)
{
	struct em *e = &x->e;

	e_load(e, H_RAX, m_abs(&x->b->tmp_flags));
	e8(e, 0x04);				/* add al, 7f: OF when it was 1 */
	e8(e, 0x7f);
	e8(e, 0x9e);				/* sahf */
	e_load(e, H_RAX, m_abs(&x->b->tmp_rax));
}

static void offset_in_page(struct em *e, int to, int reg)
{
	e_mov(e, to, reg);
	e_alu_imm(e, false, 4, to, (int32_t)PAGE_MASK);
}

/* b->tmp_rep = how many elements the next piece has. */
static void measure(struct rep *r)
{
	struct xl *x = r->x;
	struct em *e = &x->e;

	offset_in_page(e, T0, H_RDI);
	if (r->movs) {
		offset_in_page(e, T1, H_RSI);
		e_rr(e, false, 0x39, T1, T0);		/* cmp T0, T1 */
		e_cmov(e, CC_C, T0, T1);
	}
	e_not(e, T0);
	e_lea32(e, T0, m_at(T0, (int32_t)PAGE_SIZE + 1));
	if (r->shift != 0) {
		e_shr(e, T0, r->shift);
		missed(r, e_jcc(e, CC_Z));
	}
	e_rr(e, true, 0x39, xl_host(x, CPU_RCX), T0);
	e_cmov(e, CC_A, T0, xl_host(x, CPU_RCX));
	e_store(e, m_abs(&x->b->tmp_rep), T0);
}

/* The page M begins on; T1 = host - linear. */
static void find_page(struct rep *r, const struct scan_mem *m)
{
	struct xl *x = r->x;
	uint8_t *jump;

	e_mov(&x->e, T0, xl_host(x, (unsigned)m->base));
	xl_probe(x, m, &jump);
	missed(r, jump);
	xl_probed(x, m);
}

/* REG -= the value in T1, which is destroyed. */
static void subtract_t1(struct em *e, int reg)
{
	e_not(e, T1);
	e_lea(e, reg, m_sum(reg, T1, 1));
}

static void run(struct em *e, const struct scan_insn *i)
{
	if (i->mem.size == 2)
		e8(e, 0x66);
	e8(e, 0xf3);
	if (i->mem.size == 8)
		e8(e, 0x48);
	e8(e, (i->stk.on ? 0xa4u : 0xaau) | (i->mem.size != 1));
}

/* A piece; the flags are of what is left. */
static void piece(struct rep *r, const struct scan_insn *i)
{
	struct xl *x = r->x;
	struct em *e = &x->e;

	measure(r);
	if (r->movs) {
		find_page(r, &i->stk);
		e_store(e, m_abs(&x->b->tmp), T1);
	}
	find_page(r, &i->mem);
	if (r->movs) {
		e_store(e, m_abs(&x->b->tmp2), T1);
		e_load(e, T0, m_abs(&x->b->tmp));
		e_lea(e, H_RSI, m_sum(H_RSI, T0, 0));
	}
	e_lea(e, H_RDI, m_sum(H_RDI, T1, 0));
	e_load(e, H_RCX, m_abs(&x->b->tmp_rep));
	run(e, i);
	if (r->movs) {
		e_load(e, T1, m_abs(&x->b->tmp));
		subtract_t1(e, H_RSI);
		e_load(e, T1, m_abs(&x->b->tmp2));
	}
	subtract_t1(e, H_RDI);
	e_load(e, T0, m_abs(&x->b->tmp_rep));
	e_rr(e, true, 0x29, T0, xl_host(x, CPU_RCX));	/* sub */
}

/* Where the jumps to the handler lead. */
static void put_misses(struct rep *r)
{
	struct em *e = &r->x->e;
	uint8_t *done;

	if (!r->flags) {
		for (unsigned i = 0; i < r->nr; i++)
			xl_stub(r->x, r->miss[i], r->site, NULL);
		return;
	}
	bring_flags_back(r->x);
	done = e_jmp(e);
	for (unsigned i = 0; i < r->nr; i++)
		em_patch(r->miss[i], e->delta, em_rx(e));
	bring_flags_back(r->x);
	xl_stub(r->x, e_jmp(e), r->site, NULL);
	em_patch(done, e->delta, em_rx(e));
}

void xl_rep(struct xl *x, const struct scan_insn *i)
{
	struct rep r = {
		.x = x, .site = xl_site(x, SITE_INTERP, i), .movs = i->stk.on, .flags = i->live != 0,
		.shift = (unsigned)__builtin_ctz(i->mem.size),
	};
	struct em *e = &x->e;
	const uint8_t *again;

	r.site->ends = false;
	r.site->maybe = true;
	if (r.flags)
		put_flags_aside(x);
	e_alu_imm(e, true, 7, xl_host(x, CPU_RCX), (int32_t)(BT_REP_PAGES * PAGE_SIZE >> r.shift));
	missed(&r, e_jcc(e, CC_A));
	again = em_rx(e);
	piece(&r, i);
	em_patch(e_jcc(e, CC_NZ), e->delta, again);
	put_misses(&r);
	r.site->go = em_rx(e);
}
