/*
 * run.c - the translator's run loop, and what translated code asks for
 *
 * All of this runs with the guest's FPU state still in the registers: the file
 * is compiled without the use of them, as are most handlers, and parks them
 * before it calls anything that is not.
 *
 * What the translator cannot do is left to the interpreter, from one
 * instruction up to whole phases in other modes.
 *
 * Spec     as run.c of the interpreter
 * Lock     none; c.events is atomic
 */
#include "cpu/bt/bt.h"

#include "cpu/interp/debug.h"

#define GROUP_FAILS 32u
#define GROUP_FAILS_TSC (GROUP_FAILS * 600)	/* an unrolled loop still gains */

/* Whether something must be looked at before the next instruction runs. */
static bool attention(const struct bt *b)
{
	const struct interp *c = &b->c;

	return atomic_load_explicit(&c->events, memory_order_relaxed) || c->halted ||
	       (c->rflags & (X86_TF | X86_RF)) || c->shadow || c->slow || c->debugger != NULL ||
	       (c->irq_wait && (c->rflags & X86_IF)) || (c->nmi_wait && !c->nmi_masked) ||
	       c->watch_hit;
}

/*
 * The block at c.rip.  Raises what the fetch raises.  NULL: the interpreter's.
 */
static struct bt_block *block_at(struct bt *b)
{
	struct interp *c = &b->c;
	struct bt_block *k;
	struct bt_page *p;
	uint64_t seq;
	unsigned mode;

	if (!bt_mode(c, &mode) || !lin_canonical(c->rip))
		return NULL;
	if (!b->model_avx)
		mode &= ~(unsigned)BT_NO_AVX;
	p = bt_page_at(b, c->rip);
	if (p == NULL)
		return NULL;
	k = bt_lookup(b, c->rip, p, mode);
	if (k != NULL && likely(k->page2 == NULL))
		return k;
	if (k != NULL) {
		if (bt_page_at(b, (c->rip | PAGE_MASK) + 1) == k->page2)
			return k;
		bt_kill(b, k);
	}
	bt_park(b);
	if (bt_cache_full(b)) {
		bt_cache_flush(b);
		p = bt_page_at(b, c->rip);
		if (p == NULL)
			return NULL;
	}
	seq = c->flush_seq[0];
	k = bt_translate(b, c->rip, p, mode);
	/* While we waited for others they may have flushed us: look again. */
	if (atomic_load(&c->events) != 0 || seq != c->flush_seq[0])
		return NULL;
	return k;
}

static uint8_t *enter_at(struct bt *b, const struct bt_block *k)
{
	if (k->fp)
		bt_unpark(b);
	return k->body;
}

/* On to c.rip, from a LINK site or from nowhere. */
static uint8_t *go_on(struct bt *b, struct bt_site *s)
{
	struct bt_block *k;
	uint64_t epoch = b->stats.flushes;

	if (unlikely(attention(b) || b->lock != NULL))
		return NULL;
	k = block_at(b);
	if (k == NULL)
		return NULL;
	if (s != NULL && epoch == b->stats.flushes)
		bt_link(b, s, k);
	return enter_at(b, k);
}

static uint8_t *indirect(struct bt *b)
{
	struct bt_block *k;
	uint8_t **jumps;

	b->stats.indirect_misses++;
	if (unlikely(attention(b) || b->lock != NULL))
		return NULL;
	k = block_at(b);
	if (k == NULL)
		return NULL;
	jumps = bt_jumps(b, k->mode);
	if (jumps != NULL && !k->dead)
		jumps[k->lin % BT_JUMP_SLOTS] = k->ind;
	return enter_at(b, k);
}

static uint8_t *cut(struct bt *b)
{
	b->lock_cut = true;
	return go_on(b, NULL);
}

static bool same_mode(const struct bt *b, const struct bt_block *k)
{
	unsigned mode;

	return bt_mode(&b->c, &mode) &&
	       (mode & ~(b->model_avx ? 0u : BT_NO_AVX)) == (k->mode & ~(unsigned)BT_PLAIN);
}

/* One instruction by its handler; it may raise. */
static uint8_t *by_handler(struct bt *b, struct bt_site *s, uint8_t *behind)
{
	struct interp *c = &b->c;
	struct bt_block *k = s->block;
	const struct insn *in = s->in;
	uint64_t next = s->rip + s->len, to = c->gpr[CPU_RDI];

	if (s->fp)
		bt_park(b);
	c->rip = s->rip;
	if (unlikely(b->lock != NULL) && s->kind == SITE_INTERP) {
		b->lock_cut |= s->maybe;
		return NULL;
	}
	c->next_rip = next;
	c->stop = 0;
	c->code_state = k->page->state;
	in->fn(c, in);
	c->rip = c->next_rip;
	if (s->maybe && in->rep)		/* rep.c finds the page next time */
		interp_tlb_fill_store(c, to, interp_set(c));
	if (behind == NULL || (s->ends && !same_mode(b, k)) || c->stop || k->dead || c->rip != next || attention(b))
		return cut(b);
	if (k->fp)
		bt_unpark(b);
	return behind;
}

/* CPUID by its handler; what it says is kept for the next time. */
static uint8_t *cpuid(struct bt *b, struct bt_site *s)
{
	struct interp *c = &b->c;
	struct bt_cpuid *k = s->cpuid;
	uint32_t leaf = (uint32_t)c->gpr[CPU_RAX], sub = (uint32_t)c->gpr[CPU_RCX];
	uint64_t flushes = b->stats.flushes;
	uint8_t *go = by_handler(b, s, s->go);

	/* By_handler may have gone on to a translation that had to drop all others. */
	if (unlikely(go == NULL || go != s->go || flushes != b->stats.flushes) || leaf == 0x80000007)
		return go;
	*k = (struct bt_cpuid){
		.leaf = leaf, .sub = sub, .seq = c->cpuid_seq, .not_leaf = 0 - leaf,
		.not_sub = 0 - sub, .not_seq = 0 - c->cpuid_seq,
		.r = { (uint32_t)c->gpr[CPU_RAX], (uint32_t)c->gpr[CPU_RBX],
		       (uint32_t)c->gpr[CPU_RCX], (uint32_t)c->gpr[CPU_RDX] },
	};
	return go;
}

/*
 * Whether the TLB has the right to write at LIN.  Then whoever decodes the page waits
 * until we are at the next look for events, behind the store.  That the page holds no
 * code now is not enough: it may before the store is made.
 */
static bool may_store(struct bt *b, uint64_t lin)
{
	return tlb_slot(&b->c, interp_set(&b->c), lin)->wtag == (lin & ~PAGE_MASK);
}

/*
 * An access on two pages of RAM.  When they lie side by side in the host too,
 * nothing is special about it; a load may read from a copy.
 */
static bool across(struct bt *b, struct bt_site *s, uint64_t lin)
{
	struct interp *c = &b->c;
	uint64_t next = (lin | PAGE_MASK) + 1;
	unsigned first = (unsigned)(next - lin);
	struct xlat x[2];
	uint32_t code;

	if (c->watch || !lin_canonical(lin) || !lin_canonical(next) || s->size > sizeof(b->bounce) ||
	    interp_translate(c, lin, (enum access)s->access, interp_set(c), &x[0], &code) != 0 ||
	    interp_translate(c, next, (enum access)s->access, interp_set(c), &x[1], &code) != 0 ||
	    x[0].hva == NULL || x[1].hva == NULL)
		return false;
	if (x[1].hva == x[0].hva + first) {
		if (s->access == ACCESS_WRITE && !(may_store(b, lin) && may_store(b, next)))
			return false;
		b->delta = (uint64_t)(uintptr_t)x[0].hva - lin;
		return true;
	}
	if (s->access == ACCESS_WRITE)
		return false;
	for (unsigned i = 0; i < s->size; i++)
		b->bounce[i] = i < first ? ((const volatile uint8_t *)x[0].hva)[i] :
					   ((const volatile uint8_t *)x[1].hva)[i - first];
	b->delta = (uint64_t)(uintptr_t)b->bounce - lin;
	b->stats.bounces++;
	return true;
}

/*
 * A store to a page with code.  True: it may be made as if there were none, for
 * nothing translated is changed by it any more.  With other processors never:
 * one of them might read the old bytes between our look and the store.
 */
static bool beside_code(struct bt *b, const struct bt_site *s, const struct xlat *x, uint64_t lin)
{
	struct gmem *m = b->c.conf.mem;
	unsigned off = (unsigned)(lin & PAGE_MASK);

	if (b->lock != NULL || gmem_code_listeners(m) != 1 || !(atomic_load(x->state) & GMEM_HAS_CODE))
		return false;
	if (!(atomic_load(gmem_code_pieces(m, x->state)) & gmem_pieces_mask(off, s->size))) {
		/* The interpreter's blocks look at the word, whatever the bits say. */
		atomic_fetch_add(x->state, GMEM_GEN_STEP);
		return true;
	}
	b->stats.code_writes++;
	return bt_code_store(b, x->state, off, s->size, s->block);
}

/*
 * An access with a slot of its own has changed its page once more.  The way back is
 * a branch nobody foresees and a dozen instructions: too often is worse than a look
 * into the TLB each time.  Who goes on to the next page does it once in many accesses.
 */
static void look_at_pages(struct bt *b, struct bt_site *s)
{
	uint64_t now = cpu_host_tsc(), page = s->quiet ? 0 - s->own->tag : s->own->tag;
	uint64_t step = (b->ea & ~PAGE_MASK) - page + PAGE_SIZE;

	s->left = BT_ROAM_LOOK;
	if (step > 2 * PAGE_SIZE)
		s->strikes = now - s->looked < BT_ROAM_TSC ? s->strikes + 1 : 0;
	if (s->strikes == BT_ROAM_STRIKES && !s->block->dead) {
		b->stats.roaming++;
		bt_mark(&b->roams, s->rip);
		bt_kill(b, s->block);
	}
	s->looked = now;
}

/* The page at b->ea is memory; KEEP: there is more to come by this answer. */
static uint8_t *found(struct bt *b, struct bt_site *s, const uint8_t *hva, bool keep)
{
	uint64_t lin = b->ea, page = lin & ~PAGE_MASK;
	const struct tlb_entry *e = tlb_slot(&b->c, interp_set(&b->c), lin);

	if (s->access == ACCESS_WRITE)
		interp_tlb_fill_store(&b->c, lin, interp_set(&b->c));
	keep |= (s->access == ACCESS_WRITE ? e->wtag : e->rtag) == page;
	b->delta = (uint64_t)(uintptr_t)hva - lin;
	if (s->own != NULL && keep) {
		if (e->rtag != page)
			interp_tlb_astray(&b->tlb, interp_set(&b->c), lin);
		s->own->tag = s->quiet ? 0 - page : page;
		s->own->add = b->delta;
		*s->dirty[0] = *s->dirty[1] = 1;
	}
	return s->go;
}

static uint8_t *memory(struct bt *b, struct bt_site *s)
{
	struct interp *c = &b->c;
	uint64_t lin = b->ea;
	struct xlat x;
	uint32_t code;

	b->stats.mem_misses++;
	if (unlikely(s->left == 0))
		look_at_pages(b, s);
	if (unlikely((lin & PAGE_MASK) + s->size > PAGE_SIZE || !lin_canonical(lin) || c->watch)) {
		if (across(b, s, lin))
			return s->go;
		b->stats.mem_slow++;
		return by_handler(b, s, s->after);
	}
	if (interp_translate(c, lin, (enum access)s->access, interp_set(c), &x, &code) != 0) {
		c->rip = s->rip;
		if (unlikely(b->lock != NULL))
			return NULL;
		return by_handler(b, s, s->after);	/* which knows what is raised first */
	}
	if (x.hva == NULL) {
		c->rip = s->rip;
		if (unlikely(b->lock != NULL))
			return NULL;
		return by_handler(b, s, s->after);
	}
	if (s->access == ACCESS_WRITE && !may_store(b, lin) && !beside_code(b, s, &x, lin))
		return by_handler(b, s, s->after);
	return found(b, s, x.hva, false);
}

/* On in a translation without groups, from the same instruction. */
static uint8_t *without_groups(struct bt *b, struct bt_site *s)
{
	struct interp *c = &b->c;
	struct bt_block *old = s->block, *k;
	unsigned mode = old->mode | BT_PLAIN;
	struct bt_page *p = (s->rip ^ old->lin) & ~PAGE_MASK ? old->page2 : old->page;

	b->stats.group_fails++;
	c->rip = s->rip;
	k = bt_lookup(b, s->rip, p, mode);
	if (k == NULL) {
		bt_park(b);
		/* The cache full: block_at makes room and comes here again. */
		if (!bt_cache_full(b))
			k = bt_translate(b, s->rip, p, mode);
		if (k == NULL || atomic_load(&c->events) != 0) {
			b->lock_cut = true;
			return NULL;
		}
	}
	if (++old->group_fails == GROUP_FAILS && old->unrolled &&
	    cpu_host_tsc() - old->looked > GROUP_FAILS_TSC) {	/* at the ends of pages */
		old->group_fails = 0;
		old->looked = cpu_host_tsc();
	}
	if (old->group_fails == GROUP_FAILS) {
		bt_mark(&b->plain, old->lin);
		bt_kill(b, old);
	}
	if (unlikely(b->lock != NULL)) {
		b->lock_cut = true;
		b->lock_next = k;
		return NULL;
	}
	return enter_at(b, k);
}

static uint8_t *group(struct bt *b, struct bt_site *s)
{
	struct interp *c = &b->c;
	uint64_t lin = b->ea;
	struct xlat x;
	uint32_t code;

	b->stats.mem_misses++;
	if (unlikely(s->left == 0))
		look_at_pages(b, s);
	if ((lin & PAGE_MASK) + s->size > PAGE_SIZE || !lin_canonical(lin) || c->watch ||
	    interp_translate(c, lin, (enum access)s->access, interp_set(c), &x, &code) != 0 ||
	    x.hva == NULL ||
	    (s->access == ACCESS_WRITE && !may_store(b, lin)))
		return without_groups(b, s);
	return found(b, s, x.hva, true);
}

static uint8_t *poll(struct bt *b, struct bt_site *s)
{
	b->stats.polls++;
	b->c.rip = s->rip;
	if (unlikely(attention(b) || b->lock != NULL))
		return NULL;
	return enter_at(b, s->block);
}

/* Its page was not seen since something changed; mostly it is where it was. */
static uint8_t *far_check(struct bt *b, struct bt_site *s)
{
	struct bt_block *k = s->block;

	b->stats.far_checks++;
	b->c.rip = s->rip;
	if (unlikely(attention(b) || b->lock != NULL))
		return NULL;
	if (unlikely(k->dead) || bt_page_at(b, k->lin) != k->page ||
	    (k->page2 != NULL && bt_page_at(b, (k->lin | PAGE_MASK) + 1) != k->page2))
		return go_on(b, NULL);
	return enter_at(b, k);
}

static uint8_t *step(struct bt *b, struct bt_site *s)
{
	b->stats.steps++;
	bt_park(b);
	b->c.rip = s->rip;
	if (unlikely(b->lock != NULL))
		return NULL;
	(void)interp_step(&b->c);
	return go_on(b, NULL);
}

/* A block has run often.  When it did not take long it is translated again, as a hot one. */
static uint8_t *heat(struct bt *b, struct bt_site *s)
{
	struct bt_block *k = s->block;
	uint64_t now = cpu_host_tsc(), took = now - s->looked;

	b->c.rip = s->rip;
	*s->heat = BT_HEAT_RUNS;
	s->looked = now;
	if (k->dead || (took > BT_HEAT_TSC && b->lock == NULL))
		return s->go;
	b->stats.heated++;
	bt_mark(&b->hot, k->lin);
	bt_kill(b, k);
	return cut(b);
}

uint8_t *bt_gate(struct bt *b, struct bt_site *s)
{
	b->stats.gates++;
	switch (s->kind) {
	case SITE_MEM:
		return memory(b, s);
	case SITE_GROUP:
		return group(b, s);
	case SITE_LINK:
		b->c.rip = s->rip;
		return go_on(b, s);
	case SITE_INDIRECT:
		return indirect(b);
	case SITE_INTERP:
		b->stats.interp++;
		return s->cpuid != NULL ? cpuid(b, s) : by_handler(b, s, s->go);
	case SITE_POLL:
		return poll(b, s);
	case SITE_FAR:
		return far_check(b, s);
	case SITE_HEAT:
		return heat(b, s);
	default:
		return step(b, s);
	}
}

/* The host raised an exception in a copied instruction: its handler says what the guest gets. */
uint8_t *bt_fault(struct bt *b, struct bt_site *unused)
{
	struct interp *c = &b->c;
	uint64_t rip;

	(void)unused;
	b->stats.faults++;
	bt_park(b);
	BUG_IF(bt_find_pc(b, (const uint8_t *)(uintptr_t)b->fault_pc, &rip) == NULL);
	c->rip = rip;
	if (unlikely(b->lock != NULL))
		return NULL;
	c->stop = 0;
	(void)interp_step(c);
	return go_on(b, NULL);
}

/* ---- the loop ------------------------------------------------------------------------ */

/* By the interpreter: one instruction where something watches, else until the mode changes. */
static void interpret(struct bt *b)
{
	struct interp *c = &b->c;

	bt_park(b);
	if (interp_must_step(c))
		interp_step_slow(c);
	else
		interp_run_fast(c, b->lock == NULL ? 100000 : 1);
}

static void watch_trap(struct interp *c)
{
	uint64_t bits = c->watch_hit;

	if (likely(bits == 0) || (c->shadow & SHADOW_MOV_SS))
		return;
	c->watch_hit = 0;
	interp_debug_trap(c, bits);
}

/* False: the translator itself failed. */
static bool run_once(struct bt *b)
{
	struct interp *c = &b->c;
	struct bt_block *k = NULL;

	if (likely(!interp_must_step(c) && c->debugger == NULL))
		k = block_at(b);
	if (unlikely(b->lock_next != NULL)) {
		if (k != NULL && k->lin == b->lock_next->lin)
			k = b->lock_next;
		b->lock_next = NULL;
	}
	if (k == NULL) {
		/* A page that was doubtful for a moment is no reason to interpret. */
		if (atomic_load(&c->events) == 0 || interp_must_step(c) || c->debugger != NULL)
			interpret(b);
		return true;
	}
	if (unlikely(b->lock != NULL)) {
		if (!bt_lock_block(b, k))
			return false;
	} else {
		bt_enter(b, enter_at(b, k));
	}
	watch_trap(c);
	return true;
}

enum cpu_exit bt_run(struct bt *b)
{
	struct interp *c = &b->c;
	enum cpu_exit exit;
	jmp_buf env;

	c->unwind = &env;
	if (setjmp(env) != 0 && !interp_deliver_raised(c)) {
		bt_park(b);
		return CPU_EXIT_SHUTDOWN;
	}
	for (;;) {
		if (atomic_load(&c->events) & EVENT_CODE) {
			bt_park(b);
			bt_code_events(b);
		}
		if (!interp_boundary(c, &exit))
			break;
		if (unlikely(b->lock_left-- == 0)) {
			exit = CPU_EXIT_KICK;
			break;
		}
		if (!run_once(b)) {
			exit = CPU_EXIT_ERROR;
			break;
		}
	}
	bt_park(b);
	return exit;
}
