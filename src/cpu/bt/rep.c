/*
 * rep.c - REP STOS and REP MOVS, page by page, by the host's own
 *
 * A kernel clears and copies small things all day, and a handler costs more than
 * most of that.  Each piece ends where one of the pages does; both are looked up
 * in the TLB.  Where one is not there, where an element lies on two pages, and
 * where flags are in use, the handler does the rest.
 *
 * Nothing can stop it on the way: there are not many pages, and what is in the
 * TLB is memory.
 *
 * Spec     [SDM 2] REP, STOS, MOVS
 * Lock     none
 */
#include "cpu/bt/xl.h"

#define REP_PAGES 16u			/* more than that is the handler's, which looks up in between */

static void offset_in_page(struct em *e, int to, int reg)
{
	e_mov(e, to, reg);
	e_alu_imm(e, false, 4, to, (int32_t)PAGE_MASK);
}

/* b->tmp_rep = how many elements the next piece has. */
static void measure(struct xl *x, bool movs, unsigned shift, struct bt_site *site)
{
	struct em *e = &x->e;

	offset_in_page(e, T0, H_RDI);
	if (movs) {
		offset_in_page(e, T1, H_RSI);
		e_rr(e, false, 0x39, T1, T0);		/* cmp T0, T1 */
		e_cmov(e, CC_C, T0, T1);
	}
	e_not(e, T0);
	e_lea32(e, T0, m_at(T0, (int32_t)PAGE_SIZE + 1));
	if (shift != 0) {
		e_shr(e, T0, shift);
		xl_stub(x, e_jcc(e, CC_Z), site, NULL);
	}
	e_rr(e, true, 0x39, xl_host(x, CPU_RCX), T0);
	e_cmov(e, CC_A, T0, xl_host(x, CPU_RCX));
	e_store(e, m_abs(&x->b->tmp_rep), T0);
}

/* The page M begins on; T1 = host - linear. */
static void find_page(struct xl *x, const struct scan_mem *m, struct bt_site *site)
{
	uint8_t *jump;

	e_mov(&x->e, T0, xl_host(x, (unsigned)m->base));
	xl_probe(x, m, &jump);
	xl_stub(x, jump, site, NULL);
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

void xl_rep(struct xl *x, const struct scan_insn *i)
{
	struct bt_site *site = xl_site(x, SITE_INTERP, i);
	unsigned shift = (unsigned)__builtin_ctz(i->mem.size);
	bool movs = i->stk.on;
	struct em *e = &x->e;
	const uint8_t *again;

	site->ends = false;
	site->maybe = true;
	e_alu_imm(e, true, 7, xl_host(x, CPU_RCX), (int32_t)(REP_PAGES * PAGE_SIZE >> shift));
	xl_stub(x, e_jcc(e, CC_A), site, NULL);
	again = em_rx(e);
	measure(x, movs, shift, site);
	if (movs) {
		find_page(x, &i->stk, site);
		e_store(e, m_abs(&x->b->tmp), T1);
	}
	find_page(x, &i->mem, site);
	if (movs) {
		e_store(e, m_abs(&x->b->tmp2), T1);
		e_load(e, T0, m_abs(&x->b->tmp));
		e_lea(e, H_RSI, m_sum(H_RSI, T0, 0));
	}
	e_lea(e, H_RDI, m_sum(H_RDI, T1, 0));
	e_load(e, H_RCX, m_abs(&x->b->tmp_rep));
	run(e, i);
	if (movs) {
		e_load(e, T1, m_abs(&x->b->tmp));
		subtract_t1(e, H_RSI);
		e_load(e, T1, m_abs(&x->b->tmp2));
	}
	subtract_t1(e, H_RDI);
	e_load(e, T0, m_abs(&x->b->tmp_rep));
	e_rr(e, true, 0x29, T0, xl_host(x, CPU_RCX));	/* sub */
	em_patch(e_jcc(e, CC_NZ), e->delta, again);
	site->go = em_rx(e);
}
