/*
 * lockstep.c - every block twice: by the interpreter, then translated
 *
 * The interpreter goes first, on real memory, through a TLB of its own that
 * gives no right to write: so each store comes by interp_translate, which saves
 * the page before.  Then its changes are put back, the block runs
 * translated, and registers, flags, FPU state and the pages must be the same.
 *
 * A unit ends before whatever cannot be done twice: an instruction with a
 * handler of its own (I/O, time, system registers), a device's memory, an
 * exception; and after a jump.  A unit that stores to code ends there when
 * translated, not when interpreted: it is not compared.  One processor only:
 * with more, memory changes between the two.
 *
 * Lock     none
 */
#include "cpu/bt/bt.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LINE 64u
#define LOCK_PAGES 256u		/* pages one unit can write to; a block has 48 instructions */

struct lock_state {
	uint64_t gpr[16], rip, rflags;
	uint8_t xsave[CPU_XSAVE_BYTES];
};

struct lock_page {
	uint8_t *hva;
	uint8_t before[PAGE_SIZE], after[PAGE_SIZE];
};

struct bt_lock {
	struct interp_tlb tlb;
	uint64_t changes;		/* of the real TLB, when ours was last flushed */
	struct lock_state start, want, got;
	struct lock_page page[LOCK_PAGES];
	unsigned nr;
	unsigned at;			/* instruction that is running */
	uint16_t live;			/* flags that count at the end */
};

int bt_lock_init(struct bt *b)
{
	void *p = mmap(NULL, sizeof(struct bt_lock), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	b->lock = p;
	interp_tlb_init(&b->lock->tlb);
	return 0;
}

void bt_lock_fini(struct bt *b)
{
	if (b->lock != NULL)
		munmap(b->lock, sizeof(*b->lock));
}

static void save(const struct interp *c, struct lock_state *s)
{
	memcpy(s->gpr, c->gpr, sizeof(s->gpr));
	s->rip = c->rip;
	s->rflags = c->rflags;
	memcpy(s->xsave, c->xsave, sizeof(s->xsave));
}

static void restore(struct interp *c, const struct lock_state *s)
{
	memcpy(c->gpr, s->gpr, sizeof(s->gpr));
	c->rip = s->rip;
	c->rflags = s->rflags;
	memcpy(c->xsave, s->xsave, sizeof(s->xsave));
}

/* ---- the interpreter's turn ---------------------------------------------------------- */

static void save_page(struct interp *c, uint8_t *hva)
{
	struct bt_lock *l = BT_OF(c)->lock;

	hva = (uint8_t *)align_down((uintptr_t)hva, PAGE_SIZE);
	for (unsigned i = 0; i < l->nr; i++)
		if (l->page[i].hva == hva)
			return;
	BUG_IF(l->nr == LOCK_PAGES);
	l->page[l->nr].hva = hva;
	memcpy(l->page[l->nr++].before, hva, PAGE_SIZE);
}

static void put_back(struct lock_page *p)
{
	memcpy(p->after, p->hva, PAGE_SIZE);
	for (unsigned at = 0; at < PAGE_SIZE; at += LINE) {
		if (memcmp(p->after + at, p->before + at, LINE) == 0)
			continue;
		for (unsigned i = at; i < at + LINE; i++)
			if (p->after[i] != p->before[i])
				p->hva[i] = p->before[i];
	}
}

/* Instructions of K in a row; where it stops, the translated code must stop too. */
static void shadow_insns(struct interp *c, const struct bt_block *k)
{
	struct bt_lock *l = BT_OF(c)->lock;
	bool again;

	for (unsigned n = 0; n < k->nr; n++) {
		if (c->rip != k->lin + k->map[n].guest)
			return;
		if (k->map[n].by_handler) {
			l->live = k->map[n].live;
			return;
		}
		l->at = n;
		/* More than so many pages are the handler's: see rep.c. */
		again = k->insn[n].rep && c->gpr[CPU_RCX] <= BT_REP_PAGES * PAGE_SIZE;
		do {
			c->next_rip = c->rip + k->insn[n].len;
			k->insn[n].fn(c, &k->insn[n]);
			c->rip = c->next_rip;
		} while (again && c->rip == k->lin + k->map[n].guest);
	}
}

static void shadow(struct bt *b, const struct bt_block *k)
{
	struct interp *c = &b->c;
	uint64_t seq[2] = { c->flush_seq[0], c->flush_seq[1] };
	uint64_t retired = c->retired;
	jmp_buf *unwind = c->unwind, env;
	struct bt_lock *l = b->lock;

	l->nr = 0;
	c->tlb = &l->tlb;
	if (l->changes != b->tlb.changes)
		interp_tlb_flush(c, true);
	l->changes = b->tlb.changes;
	c->code_state = k->page->state;
	c->save_page = save_page;
	c->unwind = &env;
	l->live = BT_FLAGS;
	if (setjmp(env) == 0) {
		shadow_insns(c, k);
	} else {			/* stopped by a fault: what is overwritten next may be wrong */
		l->live = k->map[l->at].live;
		if (c->shared_locked)
			interp_shared_unlock(c);
	}
	c->unwind = unwind;
	c->save_page = NULL;
	c->tlb = &b->tlb;
	c->flush_seq[0] = seq[0];
	c->flush_seq[1] = seq[1];
	c->retired = retired;
	c->block = NULL;
	for (unsigned i = 0; i < l->nr; i++)
		put_back(&l->page[i]);
}

/* ---- comparison ---------------------------------------------------------------------- */

static bool same_xsave(const uint8_t *a, const uint8_t *b)
{
	/* FCW, FSW, FTW; MXCSR; ST and XMM; YMM.  Not FOP, FIP, FDP: see fpu.c. */
	return memcmp(a, b, 5) == 0 && memcmp(a + 24, b + 24, 4) == 0 &&
	       memcmp(a + 32, b + 32, 384) == 0 && memcmp(a + 576, b + 576, 256) == 0;
}

static bool same(const struct lock_state *a, const struct lock_state *b, uint64_t undef)
{
	return memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0 && a->rip == b->rip &&
	       ((a->rflags ^ b->rflags) & ~undef) == 0 && same_xsave(a->xsave, b->xsave);
}

/* Only what the interpreter changed counts: devices write to the same pages. */
static bool same_line(const struct lock_page *p, unsigned at)
{
	if (memcmp(p->hva + at, p->after + at, LINE) == 0)
		return true;
	for (unsigned i = at; i < at + LINE; i++)
		if (p->after[i] != p->before[i] && p->hva[i] != p->after[i])
			return false;
	return true;
}

static bool same_pages(const struct bt_lock *l)
{
	for (unsigned i = 0; i < l->nr; i++)
		for (unsigned at = 0; at < PAGE_SIZE; at += LINE)
			if (!same_line(&l->page[i], at))
				return false;
	return true;
}

static void report_insns(struct bt *b, const struct bt_block *k)
{
	for (unsigned n = 0; n < k->nr; n++) {
		unsigned at = k->map[n].guest;
		char text[96];

		decode_text(interp_cache_decoder(b->c.cache), DECODE_64, k->src + at,
			    k->bytes - at, k->lin + at, text, sizeof(text));
		fprintf(stderr, "  %#llx  %s%s\n", (unsigned long long)(k->lin + at), text,
			k->map[n].by_handler ? "  (handler)" : "");
	}
}

static void report(struct bt *b, const struct bt_block *k)
{
	static const char *const name[16] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	const struct bt_lock *l = b->lock;

	fprintf(stderr, "lock step: a difference in the block at %#llx\n",
		(unsigned long long)k->lin);
	report_insns(b, k);
	for (unsigned i = 0; i < 16; i++)
		fprintf(stderr, "  %-3s before %016llx  interpreted %016llx  translated %016llx%s\n",
			name[i], (unsigned long long)l->start.gpr[i],
			(unsigned long long)l->want.gpr[i], (unsigned long long)l->got.gpr[i],
			l->want.gpr[i] == l->got.gpr[i] ? "" : "  <--");
	fprintf(stderr, "  rip interpreted %#llx  translated %#llx\n  rflags before %#llx interpreted %#llx  translated %#llx\n",
		(unsigned long long)l->want.rip, (unsigned long long)l->got.rip,
		(unsigned long long)l->start.rflags,
		(unsigned long long)l->want.rflags, (unsigned long long)l->got.rflags);
	if (!same_xsave(l->want.xsave, l->got.xsave))
		for (unsigned i = 0; i < 832; i++)
			if (l->want.xsave[i] != l->got.xsave[i])
				fprintf(stderr, "  xsave[%u] before %02x interpreted %02x translated %02x\n",
					i, l->start.xsave[i], l->want.xsave[i], l->got.xsave[i]);
	for (unsigned i = 0; i < l->nr; i++)
		for (unsigned n = 0; n < PAGE_SIZE; n++)
			if (l->page[i].after[n] != l->page[i].before[n] &&
			    l->page[i].hva[n] != l->page[i].after[n])
				fprintf(stderr, "  page %p+%#x interpreted %02x translated %02x\n",
					(void *)l->page[i].hva, n, l->page[i].after[n],
					l->page[i].hva[n]);
}

/*
 * A store to a page table may be seen by the next walk or, as long as nobody
 * flushes, not: both are right.  From here on both see it.
 */
static bool wrote_tables(struct bt *b)
{
	const struct bt_lock *l = b->lock;

	for (unsigned i = 0; i < l->nr; i++)
		for (unsigned n = 0; n < TLB_TABLES; n++)
			if (l->tlb.tables[n].gpa != TLB_NONE &&
			    l->tlb.tables[n].page.hva == l->page[i].hva) {
				interp_tlb_flush(&b->c, true);
				return true;
			}
	return false;
}

bool bt_lock_block(struct bt *b, struct bt_block *k)
{
	struct interp *c = &b->c;
	struct bt_lock *l = b->lock;

	bt_park(b);
	if (c->watch) {			/* a breakpoint on data hits once, not twice */
		interp_run_fast(c, 1);
		return true;
	}
	save(c, &l->start);
	shadow(b, k);
	save(c, &l->want);
	restore(c, &l->start);
	if (l->want.rip == l->start.rip && l->nr == 0) {	/* nothing of it can be compared */
		interp_run_fast(c, 1);
		return true;
	}
	b->lock_cut = false;
	bt_unpark(b);
	bt_enter(b, k->body);
	bt_park(b);
	save(c, &l->got);
	if (wrote_tables(b) || b->lock_cut) {
		b->stats.lock_cuts++;
		return true;
	}
	b->stats.locked++;
	if (same(&l->want, &l->got, k->undef | (BT_FLAGS & ~l->live)) && same_pages(l))
		return true;
	report(b, k);
	snprintf(c->error, sizeof(c->error), "lock step: a difference at %#llx",
		 (unsigned long long)k->lin);
	return false;
}
