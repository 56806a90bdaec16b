/*
 * bt.h - inside the translator
 *
 * Guest instructions of 64-bit mode run as copies of themselves.  Guest
 * registers and flags stay in the host's; what is left of an instruction is
 * the way its memory operand takes through the software TLB of the
 * interpreter, on whose register file and handlers the translator stands.
 *
 * Registers: thirteen guest registers live in the host's of the same number, RSP
 * among them: there is no host stack in translated code, signals have one of
 * their own (fault.c).  RCX lives in R14, and R14 and R15 in memory, unless a block
 * lets them change places with others (swap.c).  Host RCX and R15 are scratch (T0, T1).
 * x87, MMX, SSE and AVX state is the host's own while it
 * is not parked in c.xsave.
 *
 * Everything the code touches lies below 2 GiB.
 *
 * Entries of a block, each falls into the next:
 *   ind    from anywhere by address: T0 is the guest address, compared
 *   far    from another page: is this page still mapped where it was?
 *   poll   from behind: events, and the FPU's state at home?
 *   body
 * A block with swaps is entered before poll, where they are made, by all but its like.
 *
 * Lock     none: a cache belongs to its vCPU's thread
 */
#ifndef CPU_BT_BT_H
#define CPU_BT_BT_H

#include "cpu/bt/emit.h"
#include "cpu/interp/block.h"
#include "cpu/interp/engine.h"

#include <signal.h>

#define T0 H_RCX
#define T1 H_R15

/* How a block was translated; another mode is another block. */
enum {
	BT_USER = 1,
	BT_AC = 2,		/* supervisor, EFLAGS.AC: may touch user pages under SMAP */
	BT_DF = 4,
	BT_NO_FP = 8,		/* FPU instructions raise */
	BT_NO_AVX = 16,
	BT_PLAIN = 32,		/* without groups of accesses: see group.c */
	BT_TSD = 64,		/* user, CR4.TSD: RDTSC raises */
	BT_MODES = 128,
};

#define BT_JUMP_TABLES 8u	/* jump caches: one for each of the modes in use */
#define BT_JUMP_SLOTS 65536u
#define BT_MAX_INSNS 128u	/* of a straight line */
#define BT_MAX_BYTES 800u
#define BT_BRANCHY_INSNS 48u	/* with branches: other blocks begin in it */
#define BT_UNROLLED_INSNS 64u
#define BT_UNROLLED_ROUNDS 8u
#define BT_MAX_GROUPS 16u
#define BT_REP_PAGES 16u	/* of one REP: more is the handler's, which looks up in between */
#define BT_MARKS 65536u
#define BT_ROAM_LOOK 256u	/* changes of page between two looks at the time */
#define BT_ROAM_TSC 1500000u	/* less than this between two looks is too often */
#define BT_ROAM_STRIKES 4u
#define BT_HEAT_SLOTS 16384u
#define BT_HEAT_RUNS 512u	/* of a block between two looks at the time */
#define BT_HEAT_TSC 2500000u	/* more than this between them is no hot block */
#define BT_EPOCH_NEVER UINT64_MAX
#define BT_SIGNAL_STACK (64 * KIB)
#define BT_FLAGS 0x8d5u		/* arithmetic flags */

/* A page of code at a linear address. */
struct bt_page {
	uint64_t lin, gpa;
	uint64_t epoch;			/* of c.flush_seq[global] when LIN was last seen to map to GPA */
	_Atomic uint32_t *state;
	const uint8_t *hva;
	bool global, user;
	struct bt_block *blocks;	/* by page_next */
	struct bt_block *blocks2;	/* by page2_next */
	struct bt_page *lin_next, *state_next;
};

struct bt_map {			/* a guest instruction's code begins here */
	uint32_t host;		/* offset from bt_block.code */
	uint16_t guest;		/* offset from bt_block.lin */
	uint16_t live;		/* flags that are right before it */
	bool by_handler;
};

struct bt_block {
	uint64_t lin;
	struct bt_page *page;
	struct bt_page *page2;		/* the first instruction begins in page and ends here; or NULL */
	uint8_t mode;
	uint16_t undef;			/* flags that some instruction leaves undefined */
	bool fp;			/* uses x87, MMX, SSE or AVX */
	bool dead;
	bool hot;			/* its accesses have slots of their own */
	bool unrolled;
	uint8_t group_fails;
	uint64_t looked;		/* [unrolled] time stamp when group_fails was 0 */
	uint16_t len;			/* bytes of its instructions */
	uint16_t bytes, nr;		/* bytes of src that mattered; instructions */
	uint8_t *src;
	uint8_t *ind, *far, *poll, *body;	/* RX */
	uint8_t *code, *code_end;	/* RX, [code, code_end) */
	struct bt_map *map;
	/* The register GIVES goes to memory while the block runs, IN takes its place. */
	struct bt_swap { uint8_t in, gives; bool changes; } swap[2];
	uint8_t nr_swaps;
	uint8_t *poll_swapped, *body_swapped;	/* RX: entries for one with the same swaps */
	struct insn *insn;		/* [lock step] */
	struct bt_block *hash_next, *page_next, *page2_next;
	struct bt_site *in;		/* sites linked to us, by in_next */
	struct bt_site *out;		/* our own sites, by next */
};

enum bt_kind { SITE_LINK, SITE_INDIRECT, SITE_FAR, SITE_POLL, SITE_INTERP, SITE_MEM, SITE_GROUP,
	       SITE_STEP, SITE_HEAT };

/* What CPUID said last at one place. */
struct bt_cpuid {
	uint32_t leaf, sub, seq;		/* seq: of c.cpuid_seq */
	uint32_t not_leaf, not_sub, not_seq;	/* 0 minus those */
	uint32_t r[4];
};

/* A place where translated code calls for help; T1 holds its address. */
struct bt_site {
	uint8_t kind, access;
	uint16_t size;
	uint8_t len;			/* of the instruction; LINK: leads forward */
	uint8_t to_mode;		/* LINK */
	bool ends;			/* INTERP: never goes on behind it */
	bool fp;			/* INTERP, MEM: the handler uses c.xsave */
	bool maybe;			/* INTERP: only when the code itself cannot */
	struct bt_block *block;
	uint64_t rip;			/* of the instruction; LINK: the target */
	const struct insn *in;		/* INTERP, MEM */
	uint8_t *go;			/* RX: MEM, with T1 = host - linear; INTERP: the next one */
	uint8_t *after;			/* RX: MEM, behind the instruction */
	uint8_t *patch;			/* writable: displacement of the jump, LINK */
	uint8_t *stub;			/* RX: where it led at first */
	/* LINK of a block with swaps: a jump to OUT, which undoes them and goes on to PATCH's. */
	uint8_t *direct, *out;		/* writable; RX */
	struct tlb_site *own;		/* MEM, GROUP: filled from the TLB; or NULL */
	uint8_t *dirty[2];
	bool shared;			/* OWN is not only ours */
	bool quiet;			/* flags are in use; OWN has its tag negated */
	uint32_t left;			/* MEM, GROUP: changes of page until we look how often */
	uint32_t *heat;			/* HEAT: runs of the block until we do */
	uint64_t looked;		/* time stamp of that */
	uint8_t strikes;
	struct bt_cpuid *cpuid;		/* INTERP of CPUID: what to keep */
	struct bt_block *to;		/* LINK: linked */
	struct bt_site *in_next, *next;
};

struct bt_stats {
	uint64_t blocks, insns, links, gates, mem_misses, mem_slow, interp, steps, polls, far_checks,
		indirect_misses, invalidated, flushes, code_pages, faults, parks, code_writes, locked, lock_cuts, group_fails, bounces, roaming, heated;
};

struct bt_arena {
	uint8_t *base;			/* below 2 GiB */
	size_t size, used;
};

/* Where the registers, the TLB, the code and its descriptions of all processors are. */
#define BT_LOW_BEGIN UINT64_C(0x10000000)
#define BT_LOW_END UINT64_C(0x7f000000)

#define BT_HASH 131072u
#define BT_PAGE_HASH 4096u

/* A bit for each address; they share. */
struct bt_marks {
	uint64_t bits[BT_MARKS / 64];
};

struct bt {
	struct interp c;		/* first */
	/* read and written by translated code; fp_parked lies right behind c.events' copy */
	uint64_t ea;			/* linear address of a SITE_MEM */
	uint64_t delta;			/* for T1 on the way back */
	uint64_t tmp, tmp2, tmp_refill, tmp_rep, tmp_rax, tmp_flags;
	uint64_t group[BT_MAX_GROUPS];	/* host - linear of the present block's groups */
	_Alignas(64) uint8_t bounce[64];	/* what a load across pages reads */
	uint64_t host_rsp;
	uint64_t mask_index, mask_page;	/* for PEXT and PDEP */
	uint64_t mask_words[2];		/* of a number of a bit: which word, of 32 bits or 64 */
	uint64_t mask_aligned[8];	/* by size - 1: the page and what must be zero below it */
	uint64_t mask_not_if, mask_not_ac, mask_arith, mask_pushed;
	void *fn_gate, *fn_fault;	/* called by the gates */
	uint64_t fault_pc;
	void *signal_stack;		/* [owned] */
	stack_t signal_before;		/* the thread's own */
	uint8_t *gate, *gate_fault, *enter;	/* RX */
	uint8_t *gate_resume;		/* to fault_pc, with RSP from c.gpr */
	uint8_t *gate_miss;		/* T0 is a target nobody knows */
	uint8_t *gate_miss_rip;		/* c.rip is */
	struct xl *xl;			/* [owned] work space of a translation */
	struct scan *scan;		/* [owned] */
	uint8_t *code_rw;		/* the writable view */
	intptr_t code_delta;		/* RX - RW */
	size_t code_size, hot_used, cold_used;
	size_t hot_ready, cold_ready;	/* bytes of each half that are mapped already */
	struct bt_arena meta;
	size_t map_len;
	bool has_avx, model_avx;
	uint64_t code_seq;		/* of gmem's log */
	struct bt_lock *lock;		/* [owned] lock step, or NULL */
	uint64_t lock_left;		/* units until CPU_EXIT_KICK; UINT64_MAX = no end */
	struct bt_block *lock_next;	/* the next unit, when not the block at c.rip */
	bool lock_cut;			/* the unit ended where the interpreter went on */
	struct bt_site miss_site;
	struct bt_stats stats;
	struct bt_marks plain;		/* blocks whose groups failed too often */
	struct bt_marks roams;		/* accesses that change their page too often for a slot of their own */
	struct bt_marks hot;		/* blocks that run often */
	uint32_t heat[BT_HEAT_SLOTS];
	unsigned next_heat;
	struct bt_block *hash[BT_HASH];
	struct bt_page *by_lin[BT_PAGE_HASH], *by_state[BT_PAGE_HASH];
	struct bt_block **sorted;	/* by code address, for faults */
	size_t nr_sorted, max_sorted;
	struct { _Atomic uint32_t *state; uint32_t hits; } busy[64];
	uint8_t jump_of[BT_MODES];	/* the table of a mode + 1; 0: none */
	unsigned nr_jumps;
	uint8_t *jump[BT_JUMP_TABLES][BT_JUMP_SLOTS];
	struct interp_tlb tlb;
};

#define BT_OF(interp_ptr) CONTAINER_OF(interp_ptr, struct bt, c)

/* ---- mode ---------------------------------------------------------------------------- */

/* Whether the present mode can be translated at all; then *ret_mode. */
static inline bool bt_mode(const struct interp *c, unsigned *ret_mode)
{
	unsigned m = 0;

	if (unlikely(!c->code64 || (c->cpl != 0 && c->cpl != 3)))
		return false;
	if (c->cpl == 3) {
		m |= BT_USER;
		if (unlikely((c->rflags & X86_AC) && (c->cr0 & X86_CR0_AM)))
			return false;
		if (unlikely(c->cr4 & X86_CR4_TSD))
			m |= BT_TSD;
	} else if (c->rflags & X86_AC) {
		m |= BT_AC;
	}
	if (unlikely(c->rflags & X86_DF))
		m |= BT_DF;
	if (unlikely((c->cr0 & (X86_CR0_EM | X86_CR0_TS)) || !(c->cr4 & X86_CR4_OSFXSR)))
		m |= BT_NO_FP;
	if (unlikely((c->xcr0 & 6) != 6 || !(c->cr4 & X86_CR4_OSXSAVE)))
		m |= BT_NO_AVX;
	*ret_mode = m;
	return true;
}

/* The TLB set of a mode's accesses. */
static inline unsigned bt_set(unsigned mode)
{
	return mode & BT_USER ? SET_USER : mode & BT_AC ? SET_SUPER_AC : SET_SUPER;
}

/* Where blocks of MODE are by the low bits of their address, or NULL. */
static inline uint8_t **bt_jumps(struct bt *b, unsigned mode)
{
	unsigned n = b->jump_of[mode & ~(unsigned)BT_PLAIN];

	return n == 0 ? NULL : b->jump[n - 1];
}

/* ---- fpu.c: the guest's FPU state in the host's registers, or in c.xsave -------------- */

void bt_park(struct bt *b);
void bt_unpark(struct bt *b);
bool bt_host_avx(void);

/* ---- gates.c ------------------------------------------------------------------------- */

void bt_gates_make(struct bt *b);
/* Runs from TARGET (RX) until the gate's function answers NULL. */
void bt_enter(struct bt *b, uint8_t *target);

/* ---- cache.c ------------------------------------------------------------------------- */

MUST_CHECK int bt_cache_init(struct bt *b, size_t code_size, size_t meta_size);
void bt_cache_fini(struct bt *b);
/* Memory below 2 GiB, or NULL. */
void *bt_low_map(size_t n, int prot, int flags, int fd);
/* Everything goes. Not while translated code is on the stack below the caller. */
void bt_cache_flush(struct bt *b);
/* Before a translation. */
void bt_cache_ready(struct bt *b);
void *bt_alloc(struct bt *b, size_t n);
bool bt_cache_full(const struct bt *b);
struct bt_block *bt_lookup(struct bt *b, uint64_t lin, const struct bt_page *p, unsigned mode);
/* Page record for c->rip's page; raises a page fault; NULL where it is not RAM. */
struct bt_page *bt_page_at(struct bt *b, uint64_t lin);
/* INVLPG of LIN. */
void bt_page_gone(struct interp *c, uint64_t lin);
void bt_insert(struct bt *b, struct bt_block *blk);
/* Before a translation in MODE: it gets a table of jumps, while there is one. */
void bt_jumps_for(struct bt *b, unsigned mode);
void bt_link(struct bt *b, struct bt_site *s, struct bt_block *to);
void bt_kill(struct bt *b, struct bt_block *blk);
/*
 * Before a store to [off, off + size) of a page with code, with no other processor:
 * forgets what is changed.  False: RUNNING is, and must end after the store.
 */
MUST_CHECK bool bt_code_store(struct bt *b, _Atomic uint32_t *state, unsigned off, unsigned size,
			      const struct bt_block *running);
/* Reads the log of writes to code, after EVENT_CODE. */
void bt_code_events(struct bt *b);
/* The block whose code holds PC (RX), and the address of the instruction. */
struct bt_block *bt_find_pc(struct bt *b, const uint8_t *pc, uint64_t *ret_rip);

/* ---- xlate.c ------------------------------------------------------------------------- */

static inline bool bt_marked(const struct bt_marks *m, uint64_t at)
{
	return m->bits[at % BT_MARKS / 64] >> (at & 63) & 1;
}

static inline void bt_mark(struct bt_marks *m, uint64_t at)
{
	m->bits[at % BT_MARKS / 64] |= UINT64_C(1) << (at & 63);
}

/* Translates at LIN; NULL: only the interpreter can. */
struct bt_block *bt_translate(struct bt *b, uint64_t lin, struct bt_page *p, unsigned mode);

/* ---- run.c --------------------------------------------------------------------------- */

enum cpu_exit bt_run(struct bt *b);
/* Called by the gates. */
uint8_t *bt_gate(struct bt *b, struct bt_site *s);
uint8_t *bt_fault(struct bt *b, struct bt_site *unused);

/* ---- lockstep.c ----------------------------------------------------------------------- */

MUST_CHECK int bt_lock_init(struct bt *b);
void bt_lock_fini(struct bt *b);
/* Runs K both ways.  False: c.error says where they differ. */
MUST_CHECK bool bt_lock_block(struct bt *b, struct bt_block *k);

/* ---- fault.c: host exceptions in translated code --------------------------------------- */

void bt_signals_install(void);
/* Around all translated code: the thread's signals get a stack that is not the guest's. */
void bt_signals_enter(struct bt *b);
void bt_signals_leave(struct bt *b);

#endif
