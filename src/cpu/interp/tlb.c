/*
 * tlb.c - the software TLB
 *
 * Direct-mapped.  A flush costs what was filled since the last one, not the
 * size of the table: every fill is logged, and a flush undoes the log.  A
 * guest without PCID writes CR3 at each context switch, so this matters.
 *
 * Large pages are cached in pieces of 4 KiB.  INVLPG must drop every piece, so
 * the regions that pieces came from are remembered; INVLPG of such a region
 * flushes all.
 *
 * Pages with a data breakpoint are never cached: the slow path sees to them.
 *
 * Spec     [SDM 3] 4.10
 * Lock     none: a TLB belongs to its vCPU's thread
 */
#include "cpu/interp/debug.h"
#include "cpu/interp/engine.h"

#include <sched.h>
#include <stdlib.h>

/*
 * What an empty slot has for a tag: a page that lies in another slot, and not in
 * a neighbour's, so that no address which leads to this slot is near it.
 */
static uint64_t no_tag(const struct interp_tlb *t, const struct tlb_entry *e)
{
	return ((uint64_t)(e - &t->data[0][0]) % TLB_SLOTS ^ 2) << PAGE_SHIFT;
}

static void drop_data(const struct interp_tlb *t, struct tlb_entry *e)
{
	e->rtag = e->wtag = no_tag(t, e);
}

static void drop_all(struct interp_tlb *t)
{
	for (unsigned s = 0; s < NR_SETS * 2; s++)
		for (unsigned i = 0; i < TLB_SLOTS; i++)
			drop_data(t, &t->data[s][i]);
	for (unsigned s = 0; s < 2; s++)
		for (unsigned i = 0; i < TLB_CODE_SLOTS; i++)
			t->code[s][i].tag = TLB_NONE;
}

static void drop_site(struct interp_tlb *t, unsigned kind, unsigned at)
{
	t->site[kind][at].tag = kind < TLB_SITE_KINDS / 2 ? TLB_SITE_NONE : 0 - TLB_SITE_NONE;
	t->site[kind][at].add = 0;
}

/* ---- slots of places in translated code -------------------------------------------------- */

enum drop { DROP_ALL, DROP_SPACE, DROP_PAGE, DROP_WRITES };

/* Whether a slot stays; of DROP_PAGE and DROP_WRITES AT is the linear and the host page. */
static bool site_stands(const struct interp_tlb *t, unsigned kind, const struct tlb_site *site,
			enum drop how, uint64_t at)
{
	bool write = kind & 1;
	unsigned set = kind % (TLB_SITE_KINDS / 2) / 2;
	uint64_t tag = kind < TLB_SITE_KINDS / 2 ? site->tag : 0 - site->tag;
	const struct tlb_entry *e;

	switch (how) {
	case DROP_SPACE:	/* what is global has stayed in the table */
		e = &t->data[set + (write ? NR_SETS : 0)][(tag >> PAGE_SHIFT) % TLB_SLOTS];
		return set != SET_USER && (write ? e->wtag : e->rtag) == tag;
	case DROP_PAGE:
		return tag != at && tag != TLB_SITE_NONE;
	case DROP_WRITES:
		return tag != TLB_SITE_NONE && !(write && tag + site->add == at);
	default:
		return false;
	}
}

static void drop_eight(struct interp_tlb *t, unsigned kind, unsigned n, enum drop how, uint64_t at)
{
	uint8_t left = 0;

	for (unsigned s = n * TLB_SITES_DIRTY; s < (n + 1) * TLB_SITES_DIRTY; s++)
		if (site_stands(t, kind, &t->site[kind][s], how, at))
			left = 1;
		else
			drop_site(t, kind, s);
	t->site_dirty[kind][n] = left;
}

static void drop_many(struct interp_tlb *t, unsigned kind, unsigned n, enum drop how, uint64_t at)
{
	unsigned first = n * (TLB_SITES_ANY / TLB_SITES_DIRTY);
	uint8_t left = 0;

	for (unsigned i = first; i < first + TLB_SITES_ANY / TLB_SITES_DIRTY; i++) {
		if (likely(t->site_dirty[kind][i] == 0))
			continue;
		drop_eight(t, kind, i, how, at);
		left |= t->site_dirty[kind][i];
	}
	t->site_any[kind][n] = left;
}

static void drop_kind(struct interp_tlb *t, unsigned kind, enum drop how, uint64_t at)
{
	for (unsigned n = 0; n < ARRAY_LEN(t->site_any[kind]); n++)
		if (t->site_any[kind][n])
			drop_many(t, kind, n, how, at);
}

/* Kinds of a set: reads and writes, plain and negated. */
static void drop_sites(struct interp_tlb *t, unsigned set, enum drop how, uint64_t at)
{
	for (unsigned k = set * 2; k < TLB_SITE_KINDS; k += TLB_SITE_KINDS / 2) {
		drop_kind(t, k, how, at);
		drop_kind(t, k + 1, how, at);
	}
	if (how == DROP_PAGE)
		return;
	/* What is left is in its place in the table. */
	if (t->any_astray[set])
		__builtin_memset(t->astray[set], 0, sizeof(t->astray[set]));
	t->any_astray[set] = false;
}

/* After a flush of the table. */
static void flush_sites(struct interp_tlb *t, bool global_too)
{
	for (unsigned s = 0; s < TLB_SITE_SETS; s++) {
		if (global_too || t->local[s])
			drop_sites(t, s, global_too ? DROP_ALL : DROP_SPACE, 0);
		t->local[s] = false;
	}
}

static bool holds(const struct tlb_entry *e, uint64_t page)
{
	return e->rtag == page || e->wtag == page;
}

static bool maybe_in_site(const struct interp_tlb *t, unsigned set, uint64_t lin)
{
	unsigned at = (unsigned)((lin >> PAGE_SHIFT) % TLB_SLOTS);
	uint64_t page = lin & ~PAGE_MASK;

	return holds(&t->data[set][at], page) || holds(&t->data[NR_SETS + set][at], page) ||
	       t->astray[set][at];
}

void interp_tlb_astray(struct interp_tlb *t, unsigned set, uint64_t lin)
{
	t->astray[set][(lin >> PAGE_SHIFT) % TLB_SLOTS] = 1;
	t->any_astray[set] = true;
}

static void log_clear(struct interp_tlb *t)
{
	t->nr_log[0] = t->nr_log[1] = 0;
	t->nr_code_log[0] = t->nr_code_log[1] = 0;
	t->nr_large_1g = 0;
	if (t->any_large_2m)
		__builtin_memset(t->large_2m, 0, sizeof(t->large_2m));
	t->any_large_2m = false;
}

struct interp_tlb *interp_tlb_new(void)
{
	struct interp_tlb *t = new0(struct interp_tlb);

	if (t != NULL)
		interp_tlb_init(t);
	return t;
}

void interp_tlb_init(struct interp_tlb *t)
{
	for (unsigned i = 0; i < TLB_TABLES; i++)
		t->tables[i].gpa = TLB_NONE;
	for (unsigned k = 0; k < TLB_SITE_KINDS; k++)
		for (unsigned i = 0; i < TLB_SITES; i++)
			drop_site(t, k, i);
	drop_all(t);
}

void interp_tlb_free(struct interp_tlb *t)
{
	free(t);
}

/* Undoes the log of what is not global (which 0) or of everything (which 1). */
static void undo(struct interp_tlb *t, unsigned which)
{
	for (unsigned i = 0; i < t->nr_log[which]; i++)
		drop_data(t, &t->data[t->log[which][i] / TLB_SLOTS][t->log[which][i] % TLB_SLOTS]);
	for (unsigned i = 0; i < t->nr_code_log[which]; i++) {
		unsigned at = t->code_log[which][i];

		t->code[at / TLB_CODE_SLOTS][at % TLB_CODE_SLOTS].tag = TLB_NONE;
	}
	t->nr_log[which] = 0;
	t->nr_code_log[which] = 0;
}

void interp_tlb_flush(struct interp *c, bool global_too)
{
	struct interp_tlb *t = c->tlb;
	unsigned which = global_too ? 1 : 0;

	t->flushes++;
	t->changes++;
	c->stop = 1;
	c->flush_seq[0]++;
	if (global_too)
		c->flush_seq[1]++;
	if (t->nr_log[which] > TLB_LOG || t->nr_code_log[which] > TLB_LOG) {
		drop_all(t);
		flush_sites(t, true);
		log_clear(t);
		return;
	}
	undo(t, which);
	flush_sites(t, global_too);
	if (global_too)
		log_clear(t);
}

/* A full log stays full (TLB_LOG + 1) until a flush. */
static void log_one(uint16_t *log, unsigned *nr, unsigned at)
{
	if (*nr < TLB_LOG)
		log[*nr] = (uint16_t)at;
	if (*nr <= TLB_LOG)
		(*nr)++;
}

static bool has_1g(const struct interp_tlb *t, uint64_t lin)
{
	for (unsigned i = 0; i < t->nr_large_1g && i < ARRAY_LEN(t->large_1g); i++)
		if (t->large_1g[i] == lin >> 30)
			return true;
	return t->nr_large_1g > ARRAY_LEN(t->large_1g);
}

/* 0: nothing came from there; linear address >> 21, plus 1; or ALL. */
static uint64_t *slot_2m(struct interp_tlb *t, uint64_t lin)
{
	return &t->large_2m[(lin >> 21) * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}
_Static_assert(TLB_LARGE == 1u << 12, "slot_2m shifts for this");

static void note_2m(struct interp_tlb *t, uint64_t lin)
{
	uint64_t *slot = slot_2m(t, lin), tag = (lin >> 21) + 1;

	*slot = *slot == 0 || *slot == tag ? tag : TLB_LARGE_ALL;
	t->any_large_2m = true;
}

static void note_large(struct interp_tlb *t, uint64_t lin, uint64_t size)
{
	if (size == PAGE_SIZE)
		return;
	if (size <= 4 * MIB) {		/* of 4 MiB pages both halves */
		uint64_t at = align_down(lin, size);

		for (uint64_t end = at + size; at != end; at += 2 * MIB)
			note_2m(t, at);
		return;
	}
	if (has_1g(t, lin))
		return;
	if (t->nr_large_1g < ARRAY_LEN(t->large_1g))
		t->large_1g[t->nr_large_1g] = lin >> 30;
	t->nr_large_1g++;
}

static bool maybe_large(struct interp_tlb *t, uint64_t lin)
{
	uint64_t tag = *slot_2m(t, lin);

	return tag == (lin >> 21) + 1 || tag == TLB_LARGE_ALL || has_1g(t, lin);
}

void interp_tlb_invlpg(struct interp *c, uint64_t lin)
{
	struct interp_tlb *t = c->tlb;

	t->changes++;
	c->stop = 1;
	if (c->page_gone != NULL)
		c->page_gone(c, lin);
	if (maybe_large(t, lin)) {
		interp_tlb_flush(c, true);
		return;
	}
	for (unsigned s = 0; s < TLB_SITE_SETS; s++)
		if (maybe_in_site(t, s, lin))
			drop_sites(t, s, DROP_PAGE, lin & ~PAGE_MASK);
	for (unsigned s = 0; s < NR_SETS * 2; s++) {
		struct tlb_entry *e = tlb_slot(c, s, lin);

		if (e->rtag == (lin & ~PAGE_MASK) || e->wtag == (lin & ~PAGE_MASK))
			drop_data(t, e);
	}
	for (unsigned s = 0; s < 2; s++) {
		struct tlb_code_entry *e = &t->code[s][(lin >> PAGE_SHIFT) % TLB_CODE_SLOTS];

		if (e->tag == (lin & ~PAGE_MASK))
			e->tag = TLB_NONE;
	}
}

static bool watched(const struct interp *c, uint64_t lin)
{
	for (unsigned i = 0; i < 4; i++)
		if ((c->watch >> i & 1) && (c->dr[i] & ~PAGE_MASK) == (lin & ~PAGE_MASK))
			return true;
	return (c->watch & WATCH_DEBUGGER) &&
	       interp_debug_on_page(c, lin, CPU_DEBUG_READ | CPU_DEBUG_WRITE);
}

/* Whether the page may be written without a look at its state: it holds no code. */
static bool write_guarded(const struct interp *c, _Atomic uint32_t *state)
{
	uint32_t old;

	if (!c->code_guard)
		return true;
	old = atomic_load(state);
	if (!(old & GMEM_HAS_CODE) && !(old & GMEM_WRITE_CACHED))
		old = atomic_fetch_or(state, GMEM_WRITE_CACHED);
	return !(old & GMEM_HAS_CODE);
}

static void fill(struct interp *c, uint64_t lin, unsigned set, const struct walk *w,
		 const struct gmem_page *page, bool writable)
{
	struct interp_tlb *t = c->tlb;
	struct tlb_entry *e = tlb_slot(c, set, lin);
	unsigned at = set * TLB_SLOTS + (unsigned)((lin >> PAGE_SHIFT) % TLB_SLOTS);

	if (e->rtag != (lin & ~PAGE_MASK) && e->rtag != no_tag(t, e) && set < TLB_SITE_SETS)
		interp_tlb_astray(t, set, lin);
	e->rtag = lin & ~PAGE_MASK;
	if (atomic_load(page->state) & GMEM_READ_ONLY)
		writable = false;
	e->wtag = writable && c->save_page == NULL && write_guarded(c, page->state) ? e->rtag : no_tag(t, e);
	e->add = (uint64_t)(uintptr_t)page->hva - e->rtag;
	e->state = page->state;
	t->guarded[set][(lin >> PAGE_SHIFT) % TLB_SLOTS] = writable && e->wtag != e->rtag;
	if (!w->global) {
		log_one(t->log[0], &t->nr_log[0], at);
		if (set < TLB_SITE_SETS)
			t->local[set] = true;
	}
	log_one(t->log[1], &t->nr_log[1], at);
	note_large(t, lin, w->page_size);
	t->fills++;
}

void interp_tlb_fill_store(struct interp *c, uint64_t lin, unsigned set)
{
	struct interp_tlb *t = c->tlb;
	const struct tlb_entry *from = tlb_slot(c, set, lin);
	struct tlb_entry *e = tlb_slot(c, NR_SETS + set, lin);

	if (from->wtag != (lin & ~PAGE_MASK))
		return;
	*e = *from;
	/* Whether the page is global is not known any more: it goes with the others. */
	log_one(t->log[0], &t->nr_log[0], (unsigned)(e - &t->data[0][0]));
	log_one(t->log[1], &t->nr_log[1], (unsigned)(e - &t->data[0][0]));
}

/* Whether a page walked for reading may be written without another walk. */
static bool write_free(const struct interp *c, const struct walk *w, unsigned set)
{
	if (!w->dirty)
		return false;
	return w->writable || (set != SET_USER && !(c->cr0 & X86_CR0_WP));
}

int interp_translate(struct interp *c, uint64_t lin, enum access a, unsigned set,
		     struct xlat *ret_x, uint32_t *ret_code)
{
	const struct tlb_entry *e = tlb_slot(c, set, lin);
	struct gmem_page page;
	struct walk w;

	if (likely((a == ACCESS_WRITE ? e->wtag : e->rtag) == (lin & ~PAGE_MASK))) {
		ret_x->hva = host_ptr(e->add, lin);
		ret_x->state = e->state;
		return 0;
	}
	if (a == ACCESS_WRITE && e->rtag == (lin & ~PAGE_MASK) &&
	    c->tlb->guarded[set][(lin >> PAGE_SHIFT) % TLB_SLOTS] && c->save_page == NULL &&
	    (atomic_load(e->state) & GMEM_HAS_CODE)) {
		ret_x->hva = host_ptr(e->add, lin);
		ret_x->state = e->state;
		return 0;
	}
	if (interp_walk_set(c, lin, a, set, &w, ret_code) != 0)
		return 1;
	ret_x->gpa = w.gpa;
	ret_x->hva = NULL;
	ret_x->state = NULL;
	if (!gmem_page_of(c->conf.mem, w.gpa, &page) ||
	    (a == ACCESS_WRITE && (atomic_load(page.state) & GMEM_READ_ONLY))) {
		if (unlikely(c->save_page != NULL))
			longjmp(*c->unwind, 2);
		return 0;
	}
	ret_x->hva = page.hva + (w.gpa & PAGE_MASK);
	ret_x->state = page.state;
	if (unlikely(c->save_page != NULL) && a == ACCESS_WRITE)
		c->save_page(c, ret_x->hva);
	if (set != SET_USER_AC && !(c->watch && watched(c, lin)))
		fill(c, lin, set, &w, &page, a == ACCESS_WRITE || write_free(c, &w, set));
	return 0;
}

const struct tlb_code_entry *interp_tlb_code_fill(struct interp *c, uint64_t lin,
						  uint32_t *ret_code)
{
	struct interp_tlb *t = c->tlb;
	struct tlb_code_entry *e = tlb_code_slot(c, lin);
	unsigned at = (unsigned)(e - &t->code[0][0]);
	bool keep = c->debugger == NULL || !interp_debug_on_page(c, lin, CPU_DEBUG_EXEC);
	struct gmem_page page;
	struct walk w;

	if (interp_walk_set(c, lin, ACCESS_EXEC, c->cpl == 3 ? SET_USER : SET_SUPER, &w,
			    ret_code) != 0)
		return NULL;
	if (!gmem_page_of(c->conf.mem, w.gpa, &page)) {
		*ret_code = UINT32_MAX;
		return NULL;
	}
	if (unlikely(!keep))
		e = &t->code_once[lin >> PAGE_SHIFT & 1];
	e->tag = lin & ~PAGE_MASK;
	e->gpa = w.gpa & ~PAGE_MASK;
	e->hva = page.hva;
	e->global = w.global;
	e->state = page.state;
	if (unlikely(!keep))
		return e;
	if (!w.global)
		log_one(t->code_log[0], &t->nr_code_log[0], at);
	log_one(t->code_log[1], &t->nr_code_log[1], at);
	note_large(t, lin, w.page_size);
	return e;
}

/* No right to write to the page at HVA is left in the table. */
static void drop_writes(struct interp_tlb *t, const uint8_t *hva)
{
	bool all = t->nr_log[1] > TLB_LOG;
	unsigned n = all ? NR_SETS * 2 * TLB_SLOTS : t->nr_log[1];

	for (unsigned k = 1; k < TLB_SITE_KINDS; k += 2)	/* those for writes */
		drop_kind(t, k, DROP_WRITES, (uint64_t)(uintptr_t)hva);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = all ? i : t->log[1][i];
		struct tlb_entry *e = &t->data[at / TLB_SLOTS][at % TLB_SLOTS];

		if (e->add + e->wtag != (uint64_t)(uintptr_t)hva)
			continue;
		if (at / TLB_SLOTS < NR_SETS)
			t->guarded[at / TLB_SLOTS][at % TLB_SLOTS] = e->rtag == e->wtag;
		e->wtag = no_tag(t, e);
	}
}

/*
 * Two processors may do this at once and wait for each other, so each answers
 * the other's question while it waits for its own.
 */
static void shoot_down(struct interp *c, struct interp *other)
{
	atomic_fetch_or(&other->events, EVENT_FLUSH);
	while (atomic_load(&other->running) && (atomic_load(&other->events) & EVENT_FLUSH)) {
		if (atomic_load(&c->events) & EVENT_FLUSH) {
			atomic_fetch_and(&c->events, ~(uint32_t)EVENT_FLUSH);
			interp_tlb_flush(c, true);
		}
		sched_yield();
	}
}

uint32_t interp_guard_code(struct interp *c, _Atomic uint32_t *state, const uint8_t *hva)
{
	uint32_t word = gmem_page_decoding(state);
	struct cpu_shared *sh = c->conf.shared;

	if (!c->code_guard || !(word & GMEM_WRITE_CACHED))
		return word;
	drop_writes(c->tlb, (const uint8_t *)align_down((uintptr_t)hva, PAGE_SIZE));
	for (unsigned i = 0; i < sh->nr_cpus && i < SHARED_CPUS; i++)
		if (sh->cpu[i] != NULL && sh->cpu[i] != c)
			shoot_down(c, sh->cpu[i]);
	atomic_fetch_and(state, ~GMEM_WRITE_CACHED);
	return gmem_page_decoding(state);
}

void interp_watch(struct interp *c, uint64_t lin, unsigned n, enum access a)
{
	static const uint8_t bytes[4] = { 1, 2, 8, 4 };

	for (unsigned i = 0; i < 4; i++) {
		unsigned rw = (unsigned)(c->dr7 >> (16 + i * 4)) & 3;
		uint64_t len = bytes[c->dr7 >> (18 + i * 4) & 3];
		uint64_t at = c->dr[i] & ~(len - 1);

		if (!(c->watch >> i & 1) || (rw == 1 && a != ACCESS_WRITE))
			continue;
		if (lin < at + len && at < lin + n) {
			c->watch_hit |= (uint8_t)(1u << i);
			c->stop = 1;
		}
	}
	if (c->watch & WATCH_DEBUGGER)
		interp_debug_touched(c, lin, n, a);
}

void interp_debug_changed(struct interp *c)
{
	bool exec = false;

	c->watch = 0;
	for (unsigned i = 0; i < 4; i++) {
		unsigned rw = (unsigned)(c->dr7 >> (16 + i * 4)) & 3;

		if (!(c->dr7 >> (i * 2) & 3))
			continue;
		if (rw == 0)
			exec = true;
		else if (rw != 2)	/* 2 is I/O: the instruction's handler */
			c->watch |= (uint8_t)(1u << i);
	}
	for (unsigned i = 0; i < 4; i++)
		c->debug_seen[1 + i] = c->dr[i];
	c->debug_seen[0] = c->dr7;
	if (c->debugger != NULL && c->debugger->data)
		c->watch |= WATCH_DEBUGGER;
	c->slow = exec || (c->debugger != NULL && c->debugger->d.step);
	interp_tlb_flush(c, true);
}
