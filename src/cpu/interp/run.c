/*
 * run.c - the run loop
 *
 * Blocks run one after the other for as long as nothing asks for attention: one
 * word of events is looked at between two blocks.  Everything else is done at
 * boundaries: delivery of interrupts with the shadow of STI and MOV SS, halt,
 * single steps and breakpoints.  A block ends where one of these could begin to
 * matter (END_SPECIAL), so a boundary is never missed.
 *
 * Exceptions jump here out of any depth of a handler, before it changed
 * anything, and are delivered with c->rip at the instruction.
 *
 * Spec     [SDM 3] 6.7 NMI, 6.8 masking, 6.9 priorities, 17.2, 17.3 debug
 * Lock     none; c->events is atomic
 */
#include "base/log.h"
#include "cpu/interp/block.h"
#include "cpu/interp/debug.h"
#include "cpu/interp/engine.h"

/* Blocks between two looks at the outer loop, so that it is never starved. */
#define BURST 1000000u

#define DR6_BS (1u << 14)

/* ---- blocks -------------------------------------------------------------------------- */

/* Runs B; true when it ran to its end and nothing asked to stop. */
static inline bool run_block(struct interp *c, struct interp_block *b)
{
	const struct insn *in = b->insn, *last = in + b->nr - 1;
	uint64_t rip = c->rip;

	c->block = b;
	c->code_state = b->src.state;
	for (; in != last; in++) {
		c->rip = rip;
		rip += in->len;
		c->next_rip = rip;
		in->fn(c, in);
		if (unlikely(c->stop)) {
			c->rip = rip;
			c->retired += (uint64_t)(in + 1 - b->insn);
			return false;
		}
	}
	c->rip = rip;
	c->next_rip = rip + in->len;
	in->fn(c, in);
	c->rip = c->next_rip;
	c->retired += b->nr;
	return !c->stop;
}

/* The key of c->rip when that is known without a walk: same page, or code TLB. */
static inline bool next_key(struct interp *c, const struct interp_block *b, uint64_t page,
			    uint64_t *ret_lin, uint64_t *ret_key)
{
	const struct tlb_code_entry *te;
	uint64_t lin = c->rip;

	if (unlikely(!c->code64))
		lin = (uint32_t)(c->seg[CPU_CS].base + lin);
	*ret_lin = lin;
	if ((lin & ~PAGE_MASK) == page) {
		*ret_key = (b->key & ~(PAGE_MASK << 2)) | (lin & PAGE_MASK) << 2;
		return true;
	}
	te = tlb_code_slot(c, lin);
	*ret_key = block_key(te->gpa | (lin & PAGE_MASK), (enum decode_mode)(b->key & 3));
	return te->tag == (lin & ~PAGE_MASK);
}

static inline struct interp_block *link_of(struct interp_block *b, uint64_t key)
{
	if (b->link[0] != NULL && b->link[0]->key == key)
		return b->link[0];
	if (b->link[1] != NULL && b->link[1]->key == key)
		return b->link[1];
	return NULL;
}

/* The block after B without any slow work, or NULL. */
static inline struct interp_block *next_block(struct interp *c, struct interp_block *b,
					      uint64_t page, uint64_t *ret_lin)
{
	struct interp_block *n;
	uint64_t key;

	if (unlikely(b->crossing) || !next_key(c, b, page, ret_lin, &key))
		return NULL;
	n = link_of(b, key);
	if (n == NULL || !block_fresh(n)) {
		n = interp_block_cached(c, key);
		if (n == NULL)
			return NULL;
		b->link[b->next_link++ & 1] = n;
	}
	if (unlikely(!c->code64) &&
	    (c->rip > c->seg[CPU_CS].limit || n->bytes > c->seg[CPU_CS].limit - c->rip + 1))
		return NULL;
	return n;
}

/* Runs blocks from B on until a boundary must be looked at. */
static void run_blocks(struct interp *c, struct interp_block *b, uint64_t burst)
{
	uint64_t lin = c->code64 ? c->rip : (uint32_t)(c->seg[CPU_CS].base + c->rip);

	for (;;) {
		uint64_t page = lin & ~PAGE_MASK;

		if (!run_block(c, b) || b->end == END_SPECIAL || --burst == 0)
			return;
		if (unlikely(atomic_load_explicit(&c->events, memory_order_relaxed)))
			return;
		b = next_block(c, b, page, &lin);
		if (b == NULL)
			return;
	}
}

/* Exactly the first instruction of the block at c->rip. */
unsigned interp_step(struct interp *c)
{
	struct interp_block *b;
	unsigned mnemonic;

	c->stop = 0;
	b = interp_block_at(c);
	c->block = b;
	c->code_state = b->src.state;
	c->next_rip = c->rip + b->insn[0].len;
	mnemonic = b->insn[0].mnemonic;
	b->insn[0].fn(c, &b->insn[0]);
	c->rip = c->next_rip;
	c->retired++;
	c->block = NULL;
	return mnemonic;
}

/* ---- exceptions ---------------------------------------------------------------------- */

/*
 * The linear address of c->rip.  A fetch may raise before it is ever masked.
 */
static uint64_t rip_lin(const struct interp *c)
{
	return c->code64 ? c->rip : (uint32_t)(c->seg[CPU_CS].base + c->rip);
}

/* Counts the instructions of the running block that were done when one raised. */
static void account(struct interp *c)
{
	const struct interp_block *b = c->block;
	uint64_t done;

	c->block = NULL;
	if (b == NULL || b->key == BLOCK_DEAD)
		return;
	done = (rip_lin(c) - (b->key >> 2)) & PAGE_MASK;
	for (unsigned i = 0; i < b->nr && done >= b->insn[i].len; i++) {
		done -= b->insn[i].len;
		c->retired++;
	}
}

bool interp_deliver_raised(struct interp *c)
{
	if (c->shared_locked)
		interp_shared_unlock(c);
	account(c);
	c->in_delivery = 0;
	c->watch_hit = 0;
	if (unlikely(c->ferr)) {
		(void)interp_client(c);		/* the FPU's state is in c.xsave */
		interp_ferr_settle(c);
	}
	if (unlikely(c->exc_vector == INTERP_FREEZE)) {
		c->halted = 1;
		return true;
	}
	if (c->debugger != NULL)
		interp_debug_raised(c);
	return interp_deliver(c, c->exc_vector, DELIVER_EXC, c->exc_has_code, c->exc_code) == 0;
}

/* ---- boundaries ---------------------------------------------------------------------- */

static bool debug_moved(const struct interp *c)
{
	if (likely(c->dr7 == c->debug_seen[0] && (c->dr7 & 0xff) == 0))
		return false;
	return c->dr7 != c->debug_seen[0] || c->dr[0] != c->debug_seen[1] ||
	       c->dr[1] != c->debug_seen[2] || c->dr[2] != c->debug_seen[3] ||
	       c->dr[3] != c->debug_seen[4];
}

static void take_events(struct interp *c)
{
	const uint32_t ours = EVENT_IRQ | EVENT_NMI | EVENT_NMI_2ND | EVENT_FLUSH;
	uint32_t ev = atomic_fetch_and(&c->events, ~ours);
	unsigned nmis = c->nmi_wait + !!(ev & EVENT_NMI) + !!(ev & EVENT_NMI_2ND);

	if (ev & EVENT_FLUSH)
		interp_tlb_flush(c, true);
	if (ev & EVENT_IRQ)
		c->irq_wait = 1;
	/* Hardware would have begun the first of two that we meet at one boundary. */
	c->nmi_wait = (uint8_t)min_u64(nmis, c->nmi_masked ? 1 : 2);
}

/* NMI, then interrupts.  False = shutdown. */
static bool take_interrupts(struct interp *c)
{
	bool held = c->debugger != NULL && interp_debug_holds(c);

	while (!c->shadow && !held) {
		int v;

		if (c->nmi_wait && !c->nmi_masked) {
			c->nmi_wait--;
			if (interp_deliver(c, X86_NMI, DELIVER_NMI, false, 0) != 0)
				return false;
			continue;
		}
		if (!c->irq_wait || !(c->rflags & X86_IF))
			break;
		v = interp_client(c)->irq_take(c->conf.self);
		if (v < 0) {
			c->irq_wait = 0;
			break;
		}
		if (interp_deliver(c, (unsigned)v, DELIVER_EXTERNAL, false, 0) != 0)
			return false;
	}
	return true;
}

/* Between instructions.  False = leave the run loop, with *ret_exit. */
bool interp_boundary(struct interp *c, enum cpu_exit *ret_exit)
{
	uint32_t ev = atomic_load(&c->events);

	if (unlikely(c->debugger != NULL) && interp_debug_due(c)) {
		*ret_exit = CPU_EXIT_DEBUG;
		return false;
	}
	if (unlikely(ev)) {
		take_events(c);
		if (ev & EVENT_KICK) {
			atomic_fetch_and(&c->events, ~(uint32_t)EVENT_KICK);
			*ret_exit = CPU_EXIT_KICK;
			return false;
		}
	}
	if (unlikely(debug_moved(c)))
		interp_debug_changed(c);
	if (!take_interrupts(c)) {
		*ret_exit = CPU_EXIT_SHUTDOWN;
		return false;
	}
	if (unlikely(c->halted)) {
		*ret_exit = CPU_EXIT_HLT;
		return false;
	}
	if (unlikely(c->debugger != NULL) && interp_debug_at(c)) {
		*ret_exit = CPU_EXIT_DEBUG;
		return false;
	}
	return true;
}

/* ---- one instruction at a time ------------------------------------------------------- */

bool interp_must_step(const struct interp *c)
{
	return c->shadow || c->slow || c->ferr || (c->rflags & (X86_TF | X86_RF)) ||
	       (c->debugger != NULL && interp_debug_steps(c)) ||
	       (c->conf.trace != NULL && c->conf.trace->insns) ||
	       (atomic_load_explicit(&c->events, memory_order_relaxed) & EVENT_TRACE);
}

/* An instruction breakpoint is a fault, before the instruction; RF in the image holds it off. */
static void check_breakpoints(struct interp *c)
{
	uint64_t lin = rip_lin(c), hit = 0;

	for (unsigned i = 0; i < 4; i++)
		if ((c->dr7 >> (i * 2) & 3) && (c->dr7 >> (16 + i * 4) & 3) == 0 && c->dr[i] == lin)
			hit |= 1u << i;
	if (hit == 0)
		return;
	c->rflags |= X86_RF;
	interp_debug_trap(c, hit);
}

/* Switched on from a debugger: EVENT_TRACE in c->events, and the log at debug level. */
static void trace(struct interp *c)
{
	const struct interp_block *b = interp_block_at(c);
	char text[96];

	decode_text(interp_cache_decoder(c->cache), block_mode(c), b->copy, b->insn[0].len, c->rip,
		    text, sizeof(text));
	log_debug("cpu", "%u %04x:%016llx %-32s ax %llx cx %llx dx %llx bx %llx sp %llx fl %llx",
		  c->conf.index, c->seg[CPU_CS].sel, (unsigned long long)c->rip, text,
		  (unsigned long long)c->gpr[CPU_RAX], (unsigned long long)c->gpr[CPU_RCX],
		  (unsigned long long)c->gpr[CPU_RDX], (unsigned long long)c->gpr[CPU_RBX],
		  (unsigned long long)c->gpr[CPU_RSP], (unsigned long long)c->rflags);
}

/* Whether TF after the instruction counts, not TF before it. */
static bool tf_replaced(unsigned mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_SYSCALL || mnemonic == ZYDIS_MNEMONIC_SYSENTER ||
	       mnemonic == ZYDIS_MNEMONIC_INT || mnemonic == ZYDIS_MNEMONIC_INT1 ||
	       mnemonic == ZYDIS_MNEMONIC_INT3 || mnemonic == ZYDIS_MNEMONIC_INTO;
}

static bool sets_rf(unsigned mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_IRET || mnemonic == ZYDIS_MNEMONIC_IRETD ||
	       mnemonic == ZYDIS_MNEMONIC_IRETQ;
}

void interp_step_slow(struct interp *c)
{
	uint64_t before = c->rflags, bits = 0;
	uint8_t shadow = c->shadow;
	unsigned mnemonic;

	if (c->slow && !(before & X86_RF) && !(shadow & SHADOW_MOV_SS))
		check_breakpoints(c);
	if (atomic_load_explicit(&c->events, memory_order_relaxed) & EVENT_TRACE)
		trace(c);
	if (unlikely(c->conf.trace != NULL))
		interp_trace_insn(c);
	c->shadow = 0;
	mnemonic = interp_step(c);
	if (unlikely(c->ferr)) {
		(void)interp_client(c);		/* the FPU's state is in c.xsave */
		interp_ferr_settle(c);
	}
	if ((before & X86_RF) && !sets_rf(mnemonic))
		c->rflags &= ~(uint64_t)X86_RF;
	/* MOV SS and POP SS hold back the debug traps of the instruction before, and their own. */
	if (c->shadow & SHADOW_MOV_SS)
		return;
	if ((tf_replaced(mnemonic) ? c->rflags : before) & X86_TF)
		bits |= DR6_BS;
	bits |= c->watch_hit;
	c->watch_hit = 0;
	if (bits)
		interp_debug_trap(c, bits);
}

void interp_run_fast(struct interp *c, uint64_t burst)
{
	struct interp_block *b;

	c->stop = 0;
	b = interp_block_at(c);
	if (unlikely(c->conf.trace != NULL)) {
		interp_trace_block(c, b);
		burst = 1;
	}
	run_blocks(c, b, burst);
	c->block = NULL;
	if (unlikely(c->watch_hit) && !(c->shadow & SHADOW_MOV_SS)) {
		uint64_t bits = c->watch_hit;

		c->watch_hit = 0;
		interp_debug_trap(c, bits);
	}
}

/* ---- the loop ------------------------------------------------------------------------ */

enum cpu_exit interp_run_bounded(struct interp *c, uint64_t n)
{
	uint64_t end = n < UINT64_MAX - c->retired ? c->retired + n : UINT64_MAX;
	volatile uint64_t raises_left = n;
	enum cpu_exit exit;
	jmp_buf env;

	c->unwind = &env;
	if (setjmp(env) != 0) {
		if (!interp_deliver_raised(c))
			return CPU_EXIT_SHUTDOWN;
		if (--raises_left == 0)
			return CPU_EXIT_KICK;
	}
	while (interp_boundary(c, &exit)) {
		if (unlikely(c->retired >= end))
			return CPU_EXIT_KICK;
		if (unlikely(interp_must_step(c)))
			interp_step_slow(c);
		else
			interp_run_fast(c, min_u64(BURST, end - c->retired));
	}
	return exit;
}

enum cpu_exit interp_run(struct interp *c)
{
	return interp_run_bounded(c, UINT64_MAX);
}
