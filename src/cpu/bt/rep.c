/*
 * rep.c - REP STOS and REP MOVS within one page, by the host's own
 *
 * A kernel clears and copies small things all day, and a handler costs more than
 * most of that.  Both pages are looked up in the TLB, and the whole range must lie
 * on them; else, and where flags are in use, the handler does it.
 *
 * Nothing can stop it on the way: a page is 4096 steps at most, and what is in the
 * TLB is memory.
 *
 * Spec     [SDM 2] REP, STOS, MOVS
 * Lock     none
 */
#include "cpu/bt/xl.h"

/* T0 is the offset in the page: the last byte must lie there too. */
static void all_on_page(struct xl *x, unsigned shift, struct bt_site *site)
{
	struct em *e = &x->e;

	e_lea(e, T0, (struct mop){ T0, xl_host(x, CPU_RCX), (uint8_t)shift, 0 });
	e_alu_imm(e, true, 7, T0, (int32_t)PAGE_SIZE);
	xl_stub(x, e_jcc(e, CC_A), site, NULL);
}

/* The page M begins on; T1 = host - linear. */
static void find_page(struct xl *x, const struct scan_mem *m, unsigned shift, struct bt_site *site)
{
	uint8_t *jump;

	e_mov(&x->e, T0, xl_host(x, (unsigned)m->base));
	xl_probe(x, m, &jump);
	xl_stub(x, jump, site, NULL);
	all_on_page(x, shift, site);
	xl_probed(x, m);
}

/* REG -= the value in T1, which is destroyed. */
static void subtract_t1(struct em *e, int reg)
{
	e_not(e, T1);
	e_lea(e, reg, m_sum(reg, T1, 1));
}

void xl_rep(struct xl *x, const struct scan_insn *i)
{
	struct bt_site *site = xl_site(x, SITE_INTERP, i);
	unsigned shift = (unsigned)__builtin_ctz(i->mem.size);
	bool movs = i->stk.on;
	struct em *e = &x->e;

	site->ends = false;
	site->maybe = true;
	e_alu_imm(e, true, 7, xl_host(x, CPU_RCX), (int32_t)(PAGE_SIZE >> shift));
	xl_stub(x, e_jcc(e, CC_A), site, NULL);
	if (movs) {
		find_page(x, &i->stk, shift, site);
		e_store(e, m_abs(&x->b->tmp), T1);
	}
	find_page(x, &i->mem, shift, site);
	if (movs) {
		e_store(e, m_abs(&x->b->tmp2), T1);
		e_load(e, T0, m_abs(&x->b->tmp));
		e_lea(e, H_RSI, m_sum(H_RSI, T0, 0));
	}
	e_lea(e, H_RDI, m_sum(H_RDI, T1, 0));
	e_mov(e, H_RCX, xl_host(x, CPU_RCX));
	if (i->mem.size == 2)
		e8(e, 0x66);
	e8(e, 0xf3);
	if (i->mem.size == 8)
		e8(e, 0x48);
	e8(e, (movs ? 0xa4u : 0xaau) | (i->mem.size != 1));
	e_mov(e, xl_host(x, CPU_RCX), H_RCX);
	if (movs) {
		e_load(e, T1, m_abs(&x->b->tmp));
		subtract_t1(e, H_RSI);
		e_load(e, T1, m_abs(&x->b->tmp2));
	}
	subtract_t1(e, H_RDI);
	site->go = em_rx(e);
}
