/*
 * interp_mem.h - the fast paths of guest memory, inlined into every handler
 *
 * A software TLB maps a page of linear addresses to host memory.  One compare
 * settles tag, right and page crossing: the last byte's page must be the tag
 * of the first byte's slot, and neighbouring pages never share a slot.  All
 * that is not plain RAM on one page, with the right at hand, goes to memory.c.
 */
#ifndef CPU_INTERP_INTERP_MEM_H
#define CPU_INTERP_INTERP_MEM_H

#include "cpu/interp/interp.h"

#define TLB_SLOTS 4096u
#define TLB_NONE UINT64_C(1)		/* no page has this tag */

/*
 * Four tag sets, so that neither a change of privilege nor STAC flushes.
 * SET_USER_AC is never filled: alignment checks are made in the slow path.
 */
enum { SET_SUPER, SET_USER, SET_SUPER_AC, SET_USER_AC, NR_SETS };

struct tlb_entry {
	uint64_t rtag, wtag;		/* linear page readable, writable; or one of another slot */
	uint64_t add;			/* host address - linear address */
	_Atomic uint32_t *state;	/* gmem page state */
};

#define TLB_LOG 4096u

struct tlb_code_entry {
	uint64_t tag;
	uint64_t gpa;
	uint8_t *hva;
	_Atomic uint32_t *state;
	bool global;
};

#define TLB_CODE_SLOTS 1024u

struct tlb_table {
	uint64_t gpa;			/* of the page; TLB_NONE */
	struct gmem_page page;
};

#define TLB_TABLES 256u
#define TLB_LARGE 4096u
#define TLB_LARGE_ALL UINT64_MAX

/*
 * What one place in translated code found last: beside the table, so that the place
 * needs no look into it while it stays on one page.  It outlives the slot it was
 * copied from, and goes with the next flush, INVLPG or loss of a right.
 */
struct tlb_site {
	uint64_t tag, add;
};

#define TLB_SITES 2048u
#define TLB_SITE_SETS 3u
#define TLB_SITE_KINDS 12u		/* by set, right, and form of the tag */
#define TLB_SITES_DIRTY 8u		/* slots that one byte of SITE_DIRTY speaks for */
#define TLB_SITES_ANY 512u		/* and one of SITE_ANY */
/* Canonical nowhere: who finds himself on this page has ADD = 0, and faults on the host. */
#define TLB_SITE_NONE UINT64_C(0x5a5a000000000000)

struct interp_tlb {
	/*
	 * The second half is the translator's, for stores: a copy from one page to
	 * another shall not need one slot for both.
	 */
	struct tlb_entry data[NR_SETS * 2][TLB_SLOTS];
	/* By slot: the page may be written, but holds code (interp.h: code_guard). */
	uint8_t guarded[NR_SETS][TLB_SLOTS];
	struct tlb_code_entry code[2][TLB_CODE_SLOTS];	/* supervisor, user */
	/* For pages with a debugger's breakpoints, found by nobody: even and odd pages. */
	struct tlb_code_entry code_once[2];
	/*
	 * Slots filled since the last flush, so that a flush costs what was
	 * filled: [0] not global, [1] all.  Too long a log means all slots.
	 */
	unsigned nr_log[2];
	uint16_t log[2][TLB_LOG];
	unsigned nr_code_log[2];
	uint16_t code_log[2][TLB_LOG];
	/*
	 * Where pieces of large pages came from: 2 and 4 MiB by linear address >> 21, each
	 * in its slot or in one that stands for all that belong there; 1 GiB exactly.
	 */
	uint64_t large_2m[TLB_LARGE];
	bool any_large_2m;
	uint64_t large_1g[8];		/* linear address >> 30 */
	unsigned nr_large_1g;		/* above the array's length: anywhere */
	/* Host addresses of pages that hold page tables; RAM never moves, so no flush. */
	struct tlb_table tables[TLB_TABLES];
	uint64_t flushes, fills, changes;	/* changes: flushes and INVLPGs */
	/* [translator] the upper half of the kinds keep the tag negated */
	struct tlb_site site[TLB_SITE_KINDS][TLB_SITES];
	/* Not zero: some may be filled. */
	uint8_t site_any[TLB_SITE_KINDS][TLB_SITES / TLB_SITES_ANY];
	uint8_t site_dirty[TLB_SITE_KINDS][TLB_SITES / TLB_SITES_DIRTY];
	/*
	 * By slot: a page that lay here once may still be in some site.  Else what is in a
	 * site is in its slot too, so that INVLPG need not look at the sites.
	 */
	uint8_t astray[TLB_SITE_SETS][TLB_SLOTS];
	bool any_astray[TLB_SITE_SETS];
	bool local[TLB_SITE_SETS];	/* pages that are not global were filled in */
};

/* The right that accesses of the present instruction have. */
static inline unsigned interp_set(const struct interp *c)
{
	return (c->cpl == 3) + ((unsigned)(c->rflags >> 17) & 2u);
}

static inline struct tlb_entry *tlb_slot(const struct interp *c, unsigned set, uint64_t lin)
{
	return &c->tlb->data[set][(lin >> PAGE_SHIFT) % TLB_SLOTS];
}

/* ---- guest bytes on the host: any alignment, one access, races are the guest's ------- */

struct host_u16 { uint16_t v; } __attribute__((packed, may_alias));
struct host_u32 { uint32_t v; } __attribute__((packed, may_alias));
struct host_u64 { uint64_t v; } __attribute__((packed, may_alias));

#if defined(__SANITIZE_THREAD__)
#define INTERP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define INTERP_TSAN 1
#endif
#endif

/*
 * Bytes forward, without vector registers: these may be the guest's while a
 * handler runs (interp_client).
 */
static inline void host_move(void *dst, const void *src, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

#ifdef INTERP_TSAN
/* The sanitizer must see atomics where guest threads race, as they may. */
uint64_t host_load(const void *p, unsigned size);
void host_store(void *p, unsigned size, uint64_t v);
void host_copy_from(void *dst, const void *guest, unsigned n);
void host_copy_to(void *guest, const void *src, unsigned n);
#else
static inline uint64_t host_load(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)p;
	case 2:
		return ((const volatile struct host_u16 *)p)->v;
	case 4:
		return ((const volatile struct host_u32 *)p)->v;
	default:
		return ((const volatile struct host_u64 *)p)->v;
	}
}

static inline void host_store(void *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)p = (uint8_t)v;
		break;
	case 2:
		((volatile struct host_u16 *)p)->v = (uint16_t)v;
		break;
	case 4:
		((volatile struct host_u32 *)p)->v = (uint32_t)v;
		break;
	default:
		((volatile struct host_u64 *)p)->v = v;
	}
}

static inline void host_copy_from(void *dst, const void *guest, unsigned n)
{
	if (__builtin_constant_p(n))
		__builtin_memcpy(dst, guest, n);
	else
		host_move(dst, guest, n);
}

static inline void host_copy_to(void *guest, const void *src, unsigned n)
{
	if (__builtin_constant_p(n))
		__builtin_memcpy(guest, src, n);
	else
		host_move(guest, src, n);
}
#endif

static inline void *host_ptr(uint64_t add, uint64_t lin)
{
	return (void *)(uintptr_t)(add + lin);
}

/* ---- the slow halves (memory.c) ------------------------------------------------------ */

uint64_t interp_load_slow(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size);
void interp_store_slow(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size,
		       uint64_t val);
void interp_load_n_slow(struct interp *c, enum cpu_sreg s, uint64_t off, void *dst, unsigned n);
void interp_store_n_slow(struct interp *c, enum cpu_sreg s, uint64_t off, const void *src,
			 unsigned n);
void interp_rmw_begin_slow(struct interp *c, struct rmw *m, enum cpu_sreg s, uint64_t off,
			   unsigned size, bool lock);
void interp_rmw_end_slow(struct interp *c, struct rmw *m);
/* A store went to a page with code, maybe the running one: leave the block (block.c). */
void interp_code_hit(struct interp *c, _Atomic uint32_t *state);

/* ---- fast halves --------------------------------------------------------------------- */

/* Whether segment S needs no check here; then *ret_lin. */
static inline bool interp_flat_lin(const struct interp *c, enum cpu_sreg s, uint64_t off,
				   uint64_t *ret_lin)
{
	if (likely(c->code64)) {
		*ret_lin = s >= CPU_FS ? off + c->seg[s].base : off;
		return true;
	}
	*ret_lin = off;
	return c->flat && s < CPU_FS;
}

/* The same for a store: a code segment is never writable. */
static inline bool interp_flat_lin_w(const struct interp *c, enum cpu_sreg s, uint64_t off,
				     uint64_t *ret_lin)
{
	return interp_flat_lin(c, s, off, ret_lin) && (likely(c->code64) || s != CPU_CS);
}

/* After every store to RAM. */
static inline void interp_stored(struct interp *c, _Atomic uint32_t *state)
{
	if (unlikely((atomic_load_explicit(state, memory_order_relaxed) & GMEM_HAS_CODE) ||
		     state == c->code_state))
		interp_code_hit(c, state);
}

static inline uint64_t interp_load(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size)
{
	uint64_t lin;

	if (likely(interp_flat_lin(c, s, off, &lin))) {
		const struct tlb_entry *e = tlb_slot(c, interp_set(c), lin);

		if (likely(e->rtag == ((lin + size - 1) & ~PAGE_MASK)))
			return host_load(host_ptr(e->add, lin), size);
	}
	return interp_load_slow(c, s, off, size);
}

static inline void interp_store(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size,
				uint64_t val)
{
	uint64_t lin;

	if (likely(interp_flat_lin_w(c, s, off, &lin))) {
		const struct tlb_entry *e = tlb_slot(c, interp_set(c), lin);

		if (likely(e->wtag == ((lin + size - 1) & ~PAGE_MASK))) {
			host_store(host_ptr(e->add, lin), size, val);
			interp_stored(c, e->state);
			return;
		}
	}
	interp_store_slow(c, s, off, size, val);
}

static inline void interp_load_n(struct interp *c, enum cpu_sreg s, uint64_t off, void *dst,
				 unsigned n)
{
	uint64_t lin;

	if (likely(interp_flat_lin(c, s, off, &lin))) {
		const struct tlb_entry *e = tlb_slot(c, interp_set(c), lin);

		if (likely(n != 0 && e->rtag == ((lin + n - 1) & ~PAGE_MASK))) {
			host_copy_from(dst, host_ptr(e->add, lin), n);
			return;
		}
	}
	interp_load_n_slow(c, s, off, dst, n);
}

static inline void interp_store_n(struct interp *c, enum cpu_sreg s, uint64_t off, const void *src,
				  unsigned n)
{
	uint64_t lin;

	if (likely(interp_flat_lin_w(c, s, off, &lin))) {
		const struct tlb_entry *e = tlb_slot(c, interp_set(c), lin);

		if (likely(n != 0 && e->wtag == ((lin + n - 1) & ~PAGE_MASK))) {
			host_copy_to(host_ptr(e->add, lin), src, n);
			interp_stored(c, e->state);
			return;
		}
	}
	interp_store_n_slow(c, s, off, src, n);
}

static inline void interp_span_written(struct interp *c, _Atomic uint32_t *state)
{
	interp_stored(c, state);
}

static inline void interp_rmw_begin(struct interp *c, struct rmw *m, enum cpu_sreg s, uint64_t off,
				    unsigned size, bool lock)
{
	uint64_t lin;

	if (likely(interp_flat_lin_w(c, s, off, &lin))) {
		const struct tlb_entry *e = tlb_slot(c, interp_set(c), lin);

		if (likely(e->wtag == ((lin + size - 1) & ~PAGE_MASK))) {
			m->p = host_ptr(e->add, lin);
			m->state[0] = e->state;
			m->copied = false;
			return;
		}
	}
	interp_rmw_begin_slow(c, m, s, off, size, lock);
}

static inline void interp_rmw_end(struct interp *c, struct rmw *m)
{
	if (unlikely(m->copied))
		interp_rmw_end_slow(c, m);
	else
		interp_stored(c, m->state[0]);
}

static inline uint64_t interp_sp_mask(const struct interp *c)
{
	return c->stack_size == 8 ? UINT64_MAX : c->stack_size == 4 ? 0xffffffffu : 0xffffu;
}

static inline void interp_push(struct interp *c, unsigned size, uint64_t v)
{
	uint64_t mask = interp_sp_mask(c), sp = (c->gpr[CPU_RSP] - size) & mask;

	interp_store(c, CPU_SS, sp, size, v);
	c->gpr[CPU_RSP] = (c->gpr[CPU_RSP] & ~mask) | sp;
}

static inline uint64_t interp_pop(struct interp *c, unsigned size)
{
	uint64_t mask = interp_sp_mask(c), sp = c->gpr[CPU_RSP] & mask;
	uint64_t v = interp_load(c, CPU_SS, sp, size);

	c->gpr[CPU_RSP] = (c->gpr[CPU_RSP] & ~mask) | ((sp + size) & mask);
	return v;
}

#endif
