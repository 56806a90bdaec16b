/*
 * xlate.c - a block of guest code to host code
 *
 * Hot code is written front to back; what is rarely needed goes to another part
 * of the cache, so that hot code stays dense.
 *
 * Spec     [SDM 3] 8.1.3, 11.6 for what a processor may see of changed code
 * Lock     none
 */
#include "cpu/bt/xl.h"

#include <string.h>

struct bt_site *xl_site(struct xl *x, enum bt_kind kind, const struct scan_insn *i)
{
	struct bt_site *s = bt_alloc(x->b, sizeof(*s));

	*s = (struct bt_site){ .kind = (uint8_t)kind, .block = x->blk, .rip = x->blk->lin };
	if (i == NULL)
		return s;
	s->rip = x->blk->lin + i->off;
	s->len = i->len;
	if (kind == SITE_INTERP || kind == SITE_MEM) {
		struct insn *in = bt_alloc(x->b, sizeof(*in));

		*in = i->in;
		s->in = in;
		s->ends = i->in.ends != END_NO;
		s->fp = i->fp || i->fpu_handler;
	}
	return s;
}

void xl_stub(struct xl *x, uint8_t *patch, struct bt_site *site, const struct scan_mem *mem)
{
	struct xl_stub *t = &x->stub[x->nr_stubs++];

	BUG_IF(x->nr_stubs > XL_MAX_STUBS);
	t->patch = patch;
	t->site = site;
	if (mem != NULL)
		t->mem = *mem;
}

static void to_gate(struct em *e, const struct bt *b, const struct bt_site *s)
{
	e_imm(e, T1, (uint64_t)(uintptr_t)s);
	e_jmp_to(e, b->gate);
}

/* To its gate with the registers as they are between blocks. */
static bool comes_back(const struct bt_site *s)
{
	return s->kind == SITE_MEM || s->kind == SITE_GROUP || s->kind == SITE_INTERP ||
	       s->kind == SITE_HEAT;
}

/* The gate's way to *AT leads by here. */
static void come_back(struct xl *x, struct em *e, uint8_t **at)
{
	const uint8_t *to = *at;

	if (to == NULL)
		return;
	*at = em_rx(e);
	xl_swap_in(x, e);
	e_jmp_to(e, to);
}

/* The displacement that leads here may later lead straight into a block with the same swaps. */
static void leave_swapped(struct xl *x, struct em *e, struct bt_site *s)
{
	s->direct = s->patch;
	s->out = em_rx(e);
	xl_swap_out(x, e);
	s->patch = e_jmp(e);
	em_patch(s->patch, e->delta, em_rx(e));
}

static void write_stubs(struct xl *x)
{
	struct bt *b = x->b;
	uint8_t *base = b->code_rw + b->code_size / 2;
	struct em e = { base + b->cold_used, base + b->code_size / 2, b->code_delta, -1 };

	for (unsigned n = 0; n < x->nr_stubs; n++) {
		const struct xl_stub *t = &x->stub[n];

		if (t->site->stub != NULL) {		/* several jumps lead to one stub */
			em_patch(t->patch, b->code_delta, t->site->stub);
			continue;
		}
		em_patch(t->patch, b->code_delta, em_rx(&e));
		if (t->site->kind == SITE_LINK && x->blk->nr_swaps != 0)
			leave_swapped(x, &e, t->site);
		t->site->stub = em_rx(&e);
		if (t->site->kind == SITE_MEM || t->site->kind == SITE_GROUP) {
			xl_address(x, &e, &t->mem);
			e_store(&e, m_abs(&b->ea), T0);
			if (t->site->own != NULL)
				xl_refill(x, &e, t);
		}
		if (t->site->kind == SITE_POLL || comes_back(t->site))
			xl_swap_out(x, &e);
		to_gate(&e, b, t->site);
		if (x->blk->nr_swaps != 0 && comes_back(t->site)) {
			come_back(x, &e, &t->site->go);
			come_back(x, &e, &t->site->after);
		}
	}
	b->cold_used = (size_t)(e.p - base);
}

/* ---- entries ------------------------------------------------------------------------- */

static void entry_ind(struct xl *x, bool quiet)
{
	struct em *e = &x->e;
	uint64_t lin = x->blk->lin;

	x->blk->ind = em_rx(e);
	if (quiet) {
		e_store(e, m_abs(&x->b->c.rip), T0);
		e_imm(e, T1, (uint64_t)0 - lin);
		e_lea(e, T0, m_sum(T0, T1, 0));
		em_patch(e_jmp_unless_rcx_zero(e), e->delta, x->b->gate_miss_rip);
		return;
	}
	if (lin == (uint64_t)(int64_t)(int32_t)lin) {
		e_alu_imm(e, true, 7, T0, (int32_t)lin);
	} else {
		e_imm(e, T1, lin);
		e_rr(e, true, 0x39, T1, T0);
	}
	em_patch(e_jcc(e, CC_NZ), e->delta, x->b->gate_miss);
}

static void far_check(struct xl *x, const struct bt_page *p, bool quiet)
{
	struct em *e = &x->e;
	struct mop now = m_abs(&x->b->c.flush_seq[p->global]);
	uint8_t *jump;

	e_load(e, T1, m_abs(&p->epoch));
	if (quiet) {
		e_not(e, T1);
		e_load(e, T0, now);
		e_lea(e, T0, m_sum(T0, T1, 1));
		jump = e_jmp_unless_rcx_zero(e);
	} else {
		e_rm(e, true, 0x3b, T1, now);
		jump = e_jcc(e, CC_NZ);
	}
	xl_stub(x, jump, xl_site(x, SITE_FAR, NULL), NULL);
}

static void entry_far(struct xl *x, bool quiet)
{
	x->blk->far = em_rx(&x->e);
	far_check(x, x->blk->page, quiet);
	if (x->blk->page2 != NULL)
		far_check(x, x->blk->page2, quiet);
}

static void entry_poll(struct xl *x, bool quiet)
{
	struct em *e = &x->e;
	struct mop events = m_abs(&x->b->c.events);
	uint8_t *jump;

	x->blk->poll = em_rx(e);
	if (quiet) {
		e_rm(e, x->blk->fp, 0x8b, T0, events);
		jump = e_jmp_unless_rcx_zero(e);
	} else {
		e_cmp_mem_imm(e, x->blk->fp, events, 0);
		jump = e_jcc(e, CC_NZ);
	}
	xl_stub(x, jump, xl_site(x, SITE_POLL, NULL), NULL);
}

/*
 * A block counts its runs until it is known to be hot: slots of their own are for
 * accesses that are made often, and a large program has far more than fit.
 */
static void count_runs(struct xl *x, bool quiet)
{
	struct bt *b = x->b;
	struct bt_site *s = xl_site(x, SITE_HEAT, NULL);

	s->heat = &b->heat[b->next_heat++ % BT_HEAT_SLOTS];
	*s->heat = BT_HEAT_RUNS;
	s->looked = cpu_host_tsc();
	xl_stub(x, e_count_down(&x->e, m_abs(s->heat), quiet), s, NULL);
	s->go = em_rx(&x->e);
}

/* ---- the body ------------------------------------------------------------------------ */

/* An instruction that ends its block, but mostly goes on behind itself. */
static bool falls_through(const struct scan_insn *i)
{
	switch (i->in.mnemonic) {
	case 0:				/* none */
	case ZYDIS_MNEMONIC_SYSCALL: case ZYDIS_MNEMONIC_SYSRET: case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_SYSEXIT: case ZYDIS_MNEMONIC_IRETQ: case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRET: case ZYDIS_MNEMONIC_INT: case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_INT1: case ZYDIS_MNEMONIC_HLT: case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_JMP: case ZYDIS_MNEMONIC_CALL: case ZYDIS_MNEMONIC_RET:
		return false;
	default:
		return true;
	}
}

/* An instruction that its handler runs. */
static void body_handler(struct xl *x, const struct scan_insn *i)
{
	struct bt_site *site = xl_site(x, SITE_INTERP, i);

	site->ends &= i->cls != SCAN_REP;
	xl_swap_out(x, &x->e);
	to_gate(&x->e, x->b, site);
	if (i->in.ends != END_NO && !falls_through(i))
		return;
	site->go = em_rx(&x->e);
	xl_swap_in(x, &x->e);
	if (site->ends)
		xl_exit(x, e_jmp(&x->e), i->next, i);
}

/* Lock step goes on behind the handler with a unit of its own, which must get on. */
static bool maybe_here(const struct xl *x, unsigned n)
{
	return x->b->lock == NULL || n != 0;
}

static void body(struct xl *x)
{
	struct scan *s = x->s;

	for (unsigned n = 0; n < s->nr; n++) {
		const struct scan_insn *i = &s->insn[n];
		struct bt_map *map = &x->blk->map[n];

		map->host = (uint32_t)(em_rx(&x->e) - x->blk->code);
		map->guest = i->off;
		map->live = i->live;
		map->by_handler = false;
		x->blk->undef |= i->f_undef;
		for (unsigned g = 0; g < s->nr_groups; g++)
			if (s->group[g].at == n)
				xl_group(x, i, g);
		if (i->cls == SCAN_COPY && (!i->bits || maybe_here(x, n))) {
			xl_copy(x, i);
		} else if (i->cls == SCAN_REP && maybe_here(x, n)) {
			xl_rep(x, i);
		} else if (i->cls == SCAN_INTERP || i->cls == SCAN_REP || i->cls == SCAN_COPY) {
			map->by_handler = true;
			body_handler(x, i);
		} else if (i->cls == SCAN_SYS) {
			/* Neither time nor the way of an interrupt is the same twice. */
			map->by_handler = true;
			if (x->b->lock != NULL) {
				xl_swap_out(x, &x->e);
				to_gate(&x->e, x->b, xl_site(x, SITE_INTERP, i));
			} else {
				xl_system(x, i);
			}
		} else if (i->cls != SCAN_NOP) {
			xl_flow(x, i);
		}
	}
}

static bool goes_on(const struct scan_insn *i)
{
	switch (i->cls) {
	case SCAN_JMP: case SCAN_CALL: case SCAN_JMP_IND: case SCAN_CALL_IND: case SCAN_RET:
		return false;
	case SCAN_SYS:
		return i->in.mnemonic != ZYDIS_MNEMONIC_CLAC && i->in.mnemonic != ZYDIS_MNEMONIC_STAC;
	case SCAN_INTERP:
		return i->in.ends == END_NO;
	default:
		return true;
	}
}

/* Of an instruction that crosses pages: the interpreter fetches and runs it. */
static void body_step(struct xl *x)
{
	to_gate(&x->e, x->b, xl_site(x, SITE_STEP, NULL));
}

static void translate_into(struct xl *x)
{
	struct bt *b = x->b;
	struct bt_block *blk = x->blk;
	struct scan *s = x->s;
	bool quiet = s->nr != 0 && s->insn[0].live != 0;

	blk->map = bt_alloc(b, sizeof(*blk->map) * s->nr);
	x->e = (struct em){ b->code_rw + b->hot_used, b->code_rw + b->code_size / 2,
			    b->code_delta, -1 };
	blk->code = em_rx(&x->e);
	blk->fp = s->fp;
	blk->nr = (uint16_t)s->nr;
	/* What is no instruction was judged by more bytes than it has. */
	blk->len = s->nr == 0 || s->insn[s->nr - 1].in.mnemonic == 0 ? blk->bytes :
								       (uint16_t)s->bytes;
	xl_swaps_choose(x);
	entry_ind(x, quiet);
	entry_far(x, quiet);
	if (blk->nr_swaps != 0) {
		blk->body = em_rx(&x->e);
		xl_swap_in(x, &x->e);
	}
	/* In lock step a block that begins runs. */
	if (blk->nr_swaps == 0 || b->lock == NULL)
		entry_poll(x, quiet);
	if (blk->nr_swaps != 0) {
		blk->poll_swapped = blk->poll;
		blk->poll = blk->body;
		blk->body_swapped = em_rx(&x->e);
	} else {
		blk->body = em_rx(&x->e);
	}
	if (s->nr != 0 && !blk->hot)
		count_runs(x, quiet);
	if (s->nr == 0) {
		body_step(x);
	} else {
		body(x);
		if (goes_on(&s->insn[s->nr - 1]))
			xl_exit(x, e_jmp(&x->e), s->insn[s->nr - 1].next, &s->insn[s->nr - 1]);
	}
	blk->code_end = em_rx(&x->e);
	BUG_IF(x->e.p > x->e.end);
	b->hot_used = (size_t)(x->e.p - b->code_rw);
	write_stubs(x);
}

/* What made bytes no instruction may lie behind the last. */
static unsigned seen_bytes(uint64_t lin, unsigned bytes, bool two)
{
	unsigned room = (unsigned)(PAGE_SIZE - (lin & PAGE_MASK)), n = bytes + INSN_MAX_BYTES;

	return n < room || two ? n : room;
}

static void mark(struct bt *b, const struct bt_page *p, uint64_t off, unsigned n)
{
	if (n != 0)
		atomic_fetch_or(gmem_code_pieces(b->c.conf.mem, p->state),
				gmem_pieces_mask(off, n));
}

/*
 * The bytes are read twice: a store between is seen by the second reading, one
 * after it by the bits that were set before.
 */
static bool scan_stable(struct bt *b, uint64_t lin, struct bt_page *p, struct bt_page *p2,
			unsigned mode, bool unroll, unsigned *ret_n)
{
	unsigned off = (unsigned)(lin & PAGE_MASK), room = (unsigned)PAGE_SIZE - off;
	uint8_t again[sizeof(b->scan->copy)];

	(void)interp_guard_code(&b->c, p->state, p->hva);
	if (p2 != NULL)
		(void)interp_guard_code(&b->c, p2->state, p2->hva);
	for (unsigned tries = 0; tries < 4; tries++) {
		unsigned n, first;

		scan_block(interp_cache_decoder(b->c.cache), lin, p->hva,
			   p2 == NULL ? NULL : p2->hva, mode, unroll, b->scan);
		n = seen_bytes(lin, b->scan->bytes, p2 != NULL);
		first = n < room ? n : room;
		mark(b, p, off, first);
		host_copy_from(again, p->hva + off, first);
		if (p2 != NULL) {
			mark(b, p2, 0, n - first);
			host_copy_from(again + first, p2->hva, n - first);
		}
		*ret_n = n;
		if (memcmp(again, b->scan->copy, n) == 0)
			return true;
	}
	return false;
}

struct bt_block *bt_translate(struct bt *b, uint64_t lin, struct bt_page *p, unsigned mode)
{
	struct xl *x = b->xl;
	struct bt_page *p2 = NULL;
	bool hot = bt_marked(&b->hot, lin), unroll;
	unsigned n;

	/* In lock step nothing becomes hot: time is another. */
	unroll = (hot || b->lock != NULL) && !bt_marked(&b->plain, lin);
	bt_cache_ready(b);
	bt_jumps_for(b, mode);
	x->b = b, x->s = b->scan;
	x->nr_stubs = 0;
	x->mode = mode & ~(unsigned)BT_PLAIN;
	x->set = bt_set(mode);
	if (!scan_stable(b, lin, p, NULL, mode, unroll, &n))
		return NULL;
	if (b->scan->nr == 0 && lin_canonical((lin | PAGE_MASK) + 1)) {
		p2 = bt_page_at(b, (lin | PAGE_MASK) + 1);
		if (p2 != NULL && !scan_stable(b, lin, p, p2, mode, unroll, &n))
			return NULL;
	}
	if (b->lock != NULL)
		scan_undefined(b->scan);
	if ((mode & BT_PLAIN) || bt_marked(&b->plain, lin))
		scan_no_groups(b->scan);
	else
		scan_groups(b->scan);
	x->blk = bt_alloc(b, sizeof(*x->blk));
	*x->blk = (struct bt_block){
		.lin = lin, .page = p, .page2 = p2, .mode = (uint8_t)mode, .bytes = (uint16_t)n,
		.hot = hot, .unrolled = b->scan->unrolled, .looked = cpu_host_tsc(),
	};
	x->blk->src = bt_alloc(b, n);
	memcpy(x->blk->src, b->scan->copy, n);
	if (b->lock != NULL) {
		x->blk->insn = bt_alloc(b, sizeof(struct insn) * b->scan->nr);
		for (unsigned i = 0; i < b->scan->nr; i++)
			x->blk->insn[i] = b->scan->insn[i].in;
	}
	translate_into(x);
	bt_insert(b, x->blk);
	b->stats.blocks++;
	b->stats.insns += x->s->nr;
	return x->blk;
}
