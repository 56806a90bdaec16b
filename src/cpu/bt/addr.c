/*
 * addr.c - the way of a memory operand through the TLB
 *
 * One compare settles tag, right and page crossing: the address XOR the tag of
 * its slot is the offset in the page, or something large.  Where flags are in
 * use the same is done by moves, LEA, NOT and PEXT, which leave them alone.
 *
 * What T1 holds at the end, host minus linear address, is good for any address
 * of that page.
 *
 * Lock     none
 */
#include "cpu/bt/xl.h"

#define ENTRY_SHIFT 5u		/* of struct tlb_entry */
_Static_assert(sizeof(struct tlb_entry) == 1u << ENTRY_SHIFT, "slots are found by shifting");

static const struct tlb_entry *table(const struct xl *x, const struct scan_mem *m)
{
	return x->b->tlb.data[x->set + (m->write ? NR_SETS : 0)];
}

static struct mop set_field(const struct xl *x, const struct scan_mem *m, size_t field)
{
	return (struct mop){ T1, H_NONE, 0,
			     (int32_t)((intptr_t)table(x, m) + (intptr_t)field) };
}

static size_t tag_field(const struct scan_mem *m)
{
	return m->write ? offsetof(struct tlb_entry, wtag) : offsetof(struct tlb_entry, rtag);
}

static int reg_or_load(struct xl *x, struct em *e, int g, int scratch)
{
	int h;

	if (g == H_NONE)
		return H_NONE;
	h = xl_host(x, (unsigned)g);
	if (h != H_NONE)
		return h;
	e_load(e, scratch, xl_slot(x, (unsigned)g));
	return scratch;
}

void xl_address(struct xl *x, struct em *e, const struct scan_mem *m)
{
	int base, index;

	if (m->fixed) {
		e_imm(e, T0, (uint64_t)m->disp);
		return;
	}
	base = reg_or_load(x, e, m->base, T0);
	index = reg_or_load(x, e, m->index, T1);
	if (m->a32)
		e_lea32(e, T0, (struct mop){ base, index, m->scale, (int32_t)m->disp });
	else if (base == H_NONE && index == H_NONE)
		e_imm(e, T0, (uint64_t)m->disp);
	else
		e_lea(e, T0, (struct mop){ base, index, m->scale, (int32_t)m->disp });
	if (m->seg >= 0) {
		e_load(e, T1, m_abs(&x->b->c.seg[m->seg].base));
		e_lea(e, T0, m_sum(T0, T1, 0));
	}
}

/* A sum that can be an operand as it is, beside T1. */
static bool plain(const struct xl *x, const struct scan_mem *m)
{
	return !m->fixed && !m->a32 && m->seg < 0 && m->base != H_NONE && m->index == H_NONE &&
	       xl_host(x, (unsigned)m->base) != H_NONE;
}

/* Cannot be computed again while T1 is in use: kept in memory. */
static bool must_keep(const struct xl *x, const struct scan_mem *m)
{
	bool index_far = m->index != H_NONE && xl_host(x, (unsigned)m->index) == H_NONE;

	return m->seg >= 0 || index_far;
}

/* T0 is the address, and is destroyed; T1 = the slot's place in the table. */
static void probe_plain(struct xl *x, struct em *e, const struct scan_mem *m, uint8_t **ret_jump)
{
	e_rorx(e, T1, T0, PAGE_SHIFT - ENTRY_SHIFT);
	e_alu_imm(e, false, 4, T1, (int32_t)((TLB_SLOTS - 1) << ENTRY_SHIFT));
	e_rm(e, true, 0x33, T0, set_field(x, m, tag_field(m)));	/* xor */
	e_alu_imm(e, true, 7, T0, (int32_t)(PAGE_SIZE - m->size));
	*ret_jump = e_jcc(e, CC_A);
}

void xl_probe(struct xl *x, const struct scan_mem *m, uint8_t **ret_jump)
{
	struct scan_mem first = *m;

	first.size = 1;
	probe_plain(x, &x->e, &first, ret_jump);
}

void xl_probed(struct xl *x, const struct scan_mem *m)
{
	e_load(&x->e, T1, set_field(x, m, offsetof(struct tlb_entry, add)));
}

static void check_plain(struct xl *x, const struct scan_mem *m, uint8_t **ret_jump)
{
	probe_plain(x, &x->e, m, ret_jump);
	xl_probed(x, m);
}

static void index_quiet(struct xl *x, struct em *e)
{
	e_pext(e, T1, T0, m_abs(&x->b->mask_index));
	e_lea(e, T1, (struct mop){ H_NONE, T1, 3, 0 });
}

static struct mop quiet_field(const struct xl *x, const struct scan_mem *m, size_t field)
{
	return (struct mop){ H_NONE, T1, 2,
			     (int32_t)((intptr_t)table(x, m) + (intptr_t)field) };
}

/* An address that can be added to a register without another: all of it at hand, 64 bits. */
static bool can_add(const struct xl *x, const struct scan_mem *m)
{
	return m->seg < 0 && !m->a32 && m->base != H_NONE && xl_host(x, (unsigned)m->base) != H_NONE &&
	       (m->index == H_NONE || xl_host(x, (unsigned)m->index) != H_NONE) &&
	       m->disp + m->size == (int32_t)(m->disp + m->size);
}

/* Without touching flags: T0 = offset in the page + size - 1, and T1 is read meanwhile. */
static void check_quick_quiet(struct xl *x, const struct scan_mem *m, uint8_t **ret_jump)
{
	int base = xl_host(x, (unsigned)m->base);
	int32_t disp = (int32_t)m->disp + m->size;
	struct em *e = &x->e;

	index_quiet(x, e);
	e_load(e, T0, quiet_field(x, m, tag_field(m)));
	e_load(e, T1, quiet_field(x, m, offsetof(struct tlb_entry, add)));
	e_not(e, T0);
	if (m->index != H_NONE) {
		e_lea(e, T0, m_sum(base, T0, 0));
		e_lea(e, T0, (struct mop){ T0, xl_host(x, (unsigned)m->index), m->scale, disp });
	} else {
		e_lea(e, T0, m_sum(base, T0, disp));
	}
	e_pext(e, T0, T0, m_abs(&x->b->mask_page));
	*ret_jump = e_jmp_unless_rcx_zero(e);
}

/* T0 is the address, and is destroyed; T1 is the slot's place, and becomes the inverted tag. */
static void probe_quiet(struct xl *x, struct em *e, const struct scan_mem *m, uint8_t **ret_jump)
{
	e_load(e, T1, quiet_field(x, m, tag_field(m)));
	e_not(e, T1);
	e_lea(e, T0, m_sum(T0, T1, m->size));	/* offset + size - 1 */
	e_pext(e, T0, T0, m_abs(&x->b->mask_page));
	*ret_jump = e_jmp_unless_rcx_zero(e);
}

/* The same for any address. */
static void check_quiet(struct xl *x, const struct scan_mem *m, uint8_t **ret_jump)
{
	struct em *e = &x->e;

	if (!must_keep(x, m))
		e_store(e, m_abs(&x->b->tmp2), T0);
	index_quiet(x, e);
	probe_quiet(x, e, m, ret_jump);
	e_load(e, T0, m_abs(&x->b->tmp2));
	index_quiet(x, e);
	e_load(e, T1, quiet_field(x, m, offsetof(struct tlb_entry, add)));
}

/* An address known now: its slot is too. */
static void check_fixed(struct xl *x, const struct scan_mem *m, bool flags_live, uint8_t **ret_jump)
{
	uint64_t lin = (uint64_t)m->disp, page = lin & ~PAGE_MASK;
	const struct tlb_entry *t = &table(x, m)[(lin >> PAGE_SHIFT) % TLB_SLOTS];
	struct mop tag = m_abs((const uint8_t *)t + tag_field(m));
	struct em *e = &x->e;

	if ((lin & PAGE_MASK) + m->size > PAGE_SIZE) {
		*ret_jump = e_jmp(e);
	} else if (flags_live) {
		e_load(e, T0, tag);
		e_imm(e, T1, (uint64_t)0 - page);
		e_lea(e, T0, m_sum(T0, T1, 0));
		*ret_jump = e_jmp_unless_rcx_zero(e);
	} else if (page == (uint64_t)(int64_t)(int32_t)page) {
		e_cmp_mem_imm(e, true, tag, (int32_t)page);
		*ret_jump = e_jcc(e, CC_NZ);
	} else {
		e_imm(e, T0, page);
		e_rm(e, true, 0x3b, T0, tag);
		*ret_jump = e_jcc(e, CC_NZ);
	}
	e_load(e, T1, m_abs(&t->add));
}

/*
 * ---- slots beside the table --------------------------------------------------------------
 *
 * A hot block has one for each access.  Others share: the stack is one page for a
 * while, whoever looks, and so is what FS or GS leads to at a known place.
 */

#define SHARED 16u
#define SHARED_GS 8u		/* and seven behind it */

/* The slot that M shares, or -1. */
static int shared_slot(const struct scan_mem *m)
{
	if (m->fixed || m->a32 || m->index != H_NONE)
		return -1;
	if (m->seg >= 0)
		return m->base != H_NONE ? -1 : (int)(SHARED_GS + ((uint64_t)m->disp >> PAGE_SHIFT) % 8);
	return m->base == CPU_RSP ? 0 : -1;
}

/* ---- slots of their own ----------------------------------------------------------------- */

static struct tlb_site *take(struct xl *x, const struct scan_mem *m, bool quiet, int shared,
			     uint8_t **ret_dirty)
{
	unsigned kind = (quiet ? TLB_SITE_KINDS / 2 : 0) + x->set * 2 + m->write;
	unsigned at = shared >= 0 ? (unsigned)shared :
				    SHARED + x->next_own[kind]++ % (TLB_SITES - SHARED);

	ret_dirty[0] = &x->b->tlb.site_dirty[kind][at / TLB_SITES_DIRTY];
	ret_dirty[1] = &x->b->tlb.site_any[kind][at / TLB_SITES_ANY];
	return &x->b->tlb.site[kind][at];
}

static void check_own(struct xl *x, const struct scan_mem *m, const struct tlb_site *t,
		      uint8_t **ret_jump)
{
	struct em *e = &x->e;

	e_rm(e, true, 0x33, T0, m_abs(&t->tag));		/* xor */
	e_alu_imm(e, true, 7, T0, (int32_t)(PAGE_SIZE - m->size));
	*ret_jump = e_jcc(e, CC_A);
	e_load(e, T1, m_abs(&t->add));
}

static bool aligned_only(const struct scan_mem *m)
{
	return m->size == 1 || m->size == 2 || m->size == 4 || m->size == 8;
}

/*
 * T0 = offset in the page: zero when it is good.  Its end alone would not do, for what
 * begins just below the page ends on it.  Small operands are aligned, or take the way
 * of those who change their page.
 */
static void test_offset(struct xl *x, const struct scan_mem *m)
{
	struct em *e = &x->e;

	if (aligned_only(m)) {
		e_pext(e, T0, T0, m_abs(&x->b->mask_aligned[m->size - 1]));
		return;
	}
	e_pext(e, T1, T0, m_abs(&x->b->mask_page));
	e_lea(e, T0, m_at(T0, m->size - 1));
	e_pext(e, T0, T0, m_abs(&x->b->mask_page));
	e_lea(e, T0, m_sum(T0, T1, 0));
}

/* The tag is negated. */
static void check_own_quiet(struct xl *x, const struct scan_mem *m, const struct tlb_site *t,
			    uint8_t **ret_jump)
{
	struct em *e = &x->e;

	if (can_add(x, m)) {
		int base = xl_host(x, (unsigned)m->base);
		int32_t disp = (int32_t)m->disp;

		e_load(e, T0, m_abs(&t->tag));
		if (m->index != H_NONE) {
			e_lea(e, T0, m_sum(base, T0, 0));
			e_lea(e, T0, (struct mop){ T0, xl_host(x, (unsigned)m->index), m->scale, disp });
		} else {
			e_lea(e, T0, m_sum(base, T0, disp));
		}
	} else {
		e_load(e, T1, m_abs(&t->tag));
		e_lea(e, T0, m_sum(T0, T1, 0));
	}
	test_offset(x, m);
	*ret_jump = e_jmp_unless_rcx_zero(e);
	e_load(e, T1, m_abs(&t->add));
}

/* T1 is the answer, the tag is there already.  MISS and LOOK lead behind this, to the gate. */
static void refilled(struct em *e, const struct bt_site *s, uint8_t *miss, uint8_t *look)
{
	e_store(e, m_abs(&s->own->add), T1);
	for (unsigned n = 0; n < ARRAY_LEN(s->dirty); n++) {
		e_rm(e, false, 0xc6, 0, m_abs(s->dirty[n]));	/* mov byte, 1 */
		e8(e, 1);
	}
	e_jmp_to(e, s->go);
	em_patch(miss, e->delta, em_rx(e));
	em_patch(look, e->delta, em_rx(e));
}

static void refill_plain(struct xl *x, struct em *e, const struct xl_stub *t)
{
	const struct scan_mem *m = &t->mem;
	uint8_t *miss, *look;

	probe_plain(x, e, m, &miss);
	look = e_count_down(e, m_abs(&t->site->left), false);
	e_load(e, T0, set_field(x, m, tag_field(m)));
	e_store(e, m_abs(&t->site->own->tag), T0);
	e_load(e, T1, set_field(x, m, offsetof(struct tlb_entry, add)));
	refilled(e, t->site, miss, look);
}

static void refill_quiet(struct xl *x, struct em *e, const struct xl_stub *t)
{
	const struct scan_mem *m = &t->mem;
	uint8_t *miss, *look;

	index_quiet(x, e);
	e_store(e, m_abs(&x->b->tmp_refill), T1);
	probe_quiet(x, e, m, &miss);
	look = e_count_down(e, m_abs(&t->site->left), true);
	e_lea(e, T1, m_at(T1, 1));			/* -tag */
	e_store(e, m_abs(&t->site->own->tag), T1);
	e_load(e, T1, m_abs(&x->b->tmp_refill));
	e_load(e, T1, quiet_field(x, m, offsetof(struct tlb_entry, add)));
	refilled(e, t->site, miss, look);
}

void xl_refill(struct xl *x, struct em *e, const struct xl_stub *t)
{
	if (t->site->quiet)
		refill_quiet(x, e, t);
	else
		refill_plain(x, e, t);
}

/*
 * A kernel's code runs for somebody else each time, and after every change of the
 * address space all slots are empty: only its stack and its processor's own data stay.
 */
static bool pays(const struct xl *x, const struct scan_mem *m)
{
	return x->set == SET_USER || m->base == CPU_RSP || m->seg == CPU_GS;
}

/* A slot for the access of SITE, if there shall be one. */
static void choose_slot(struct xl *x, struct bt_site *site, const struct scan_mem *m, bool quiet)
{
	int shared = shared_slot(m);

	if (m->fixed || bt_marked(&x->b->roams, site->rip))
		return;
	if (x->blk->hot ? !pays(x, m) : shared < 0)
		return;
	site->shared = !x->blk->hot;
	site->own = take(x, m, quiet, site->shared ? shared : -1, site->dirty);
}

static struct bt_site *check(struct xl *x, enum bt_kind kind, const struct scan_insn *i,
			     const struct scan_mem *m, bool flags_live)
{
	struct bt_site *site = xl_site(x, kind, i);
	const struct tlb_site *own;
	uint8_t *jump;

	site->size = m->size;
	site->access = m->write ? ACCESS_WRITE : ACCESS_READ;
	site->left = BT_ROAM_LOOK;
	site->quiet = flags_live;
	choose_slot(x, site, m, flags_live);
	own = site->own;
	if (m->fixed) {
		check_fixed(x, m, flags_live, &jump);
	} else {
		if (own == NULL || !flags_live || must_keep(x, m) || !can_add(x, m))
			xl_address(x, &x->e, m);
		if (must_keep(x, m))
			e_store(&x->e, m_abs(&x->b->tmp2), T0);
		if (own != NULL && flags_live)
			check_own_quiet(x, m, own, &jump);
		else if (own != NULL)
			check_own(x, m, own, &jump);
		else if (flags_live && can_add(x, m))
			check_quick_quiet(x, m, &jump);
		else if (flags_live)
			check_quiet(x, m, &jump);
		else
			check_plain(x, m, &jump);
	}
	site->go = em_rx(&x->e);
	xl_stub(x, jump, site, m);
	return site;
}

static bool uses(const struct scan_insn *i, int group)
{
	return (i->mem.on == 1 && i->mem.group == group) || (i->stk.on && i->stk.group == group);
}

static bool keeps_t1(const struct xl *x, const struct scan_insn *i, int group)
{
	switch (i->cls) {
	case SCAN_COPY:
		return xl_copy_keeps_t1(x, i, group);
	case SCAN_PUSH:
		return i->mem.on == 0 && i->stk.group == group;
	case SCAN_POP:
	case SCAN_LEAVE:
		return i->stk.group == group;
	default:
		return i->cls == SCAN_NOP || i->cls == SCAN_JCC;
	}
}

/* Whether T1 is still what it was when instruction I, the last user of GROUP, uses it. */
static bool finds_t1(const struct scan_insn *i, int group)
{
	switch (i->cls) {
	case SCAN_PUSH:
	case SCAN_CALL_IND:
		return i->mem.on == 0 || i->mem.group == group;
	case SCAN_SYS:
		return false;
	default:
		return true;
	}
}

/* Whether T1 holds the answer of group N until its last user. */
static bool stays(const struct xl *x, unsigned n)
{
	const struct scan *s = x->s;
	unsigned at = s->group[n].at, last = at;

	for (unsigned k = at; k < s->nr; k++)
		if (uses(&s->insn[k], (int)n))
			last = k;
	for (unsigned g = 0; g < s->nr_groups; g++)
		if (g != n && s->group[g].at <= last &&
		    (s->group[g].at > at || (s->group[g].at == at && g > n)))
			return false;
	for (unsigned k = at; k < last; k++)
		if (!keeps_t1(x, &s->insn[k], (int)n))
			return false;
	return finds_t1(&s->insn[last], (int)n);
}

/* T1 = the host address of M, which was checked. */
static void add_address(struct xl *x, const struct scan_mem *m)
{
	struct em *e = &x->e;

	if (must_keep(x, m))
		e_load(e, T0, m_abs(&x->b->tmp2));
	else
		xl_address(x, e, m);
	e_lea(e, T1, m_sum(T0, T1, 0));
}

/* A group with an index is answered for by the host address of its first byte. */
static bool by_address(const struct scan_mem *m)
{
	return m->index != H_NONE;
}

void xl_group(struct xl *x, const struct scan_insn *i, unsigned n)
{
	const struct scan_mem *all = &x->s->group[n].all;
	struct bt_site *site = check(x, SITE_GROUP, i, all, i->live != 0);
	bool own = site->own != NULL && !site->shared && !by_address(all);

	if (by_address(all))
		add_address(x, all);

	x->group_add[n] = own ? &site->own->add : &x->b->group[n];
	if (!own && !stays(x, n))
		e_store(&x->e, m_abs(&x->b->group[n]), T1);
	x->e.r15_holds = (int)n;
}

struct bt_site *xl_check(struct xl *x, const struct scan_insn *i, const struct scan_mem *m,
			 bool flags_live)
{
	if (m->group < 0)
		return check(x, SITE_MEM, i, m, flags_live);
	if (x->e.r15_holds != m->group) {
		e_load(&x->e, T1, m_abs(x->group_add[(unsigned)m->group]));
		x->e.r15_holds = m->group;
	}
	return &x->no_site;
}

struct mop xl_operand(struct xl *x, const struct scan_mem *m)
{
	struct em *e = &x->e;
	int base;

	if (m->group >= 0 && by_address(m))
		return m_at(T1, m->from);
	if (plain(x, m))
		return m_sum(xl_host(x, (unsigned)m->base), T1, (int32_t)m->disp);
	if (m->group >= 0 && m->seg >= 0) {
		e_load(e, T0, m_abs(&x->b->c.seg[m->seg].base));
		return m_sum(T0, T1, (int32_t)m->disp);
	}
	if (m->fixed) {
		if (m->disp == (int32_t)m->disp)
			return m_at(T1, (int32_t)m->disp);
		e_imm(e, T0, (uint64_t)m->disp);
	} else if (must_keep(x, m)) {
		e_load(e, T0, m_abs(&x->b->tmp2));
	} else {
		base = reg_or_load(x, e, m->base, T0);
		if (m->a32) {
			e_lea32(e, T0, (struct mop){ base, m->index == H_NONE ? H_NONE :
						     xl_host(x, (unsigned)m->index), m->scale,
						     (int32_t)m->disp });
		} else if (m->index != H_NONE || base == H_NONE) {
			e_lea(e, T0, (struct mop){ base, m->index == H_NONE ? H_NONE :
						   xl_host(x, (unsigned)m->index), m->scale,
						   (int32_t)m->disp });
		} else {
			return m_sum(T0, T1, (int32_t)m->disp);	/* base from memory */
		}
	}
	return m_sum(T0, T1, 0);
}

struct mop xl_collapse(struct xl *x, struct mop m)
{
	if (m.base == T1 && m.index == H_NONE)
		return m;
	e_lea(&x->e, T1, m);
	return m_at(T1, 0);
}
