/*
 * walk.c - the page walk of every paging mode
 *
 * Accessed and dirty bits are set as the processor sets them: by a locked
 * compare-exchange on the entry that was read, after all rights were checked,
 * so that two processors and a guest that edits its tables never lose a bit.
 * When an entry changed meanwhile the walk begins again.
 *
 * PAE reads its four top entries from memory at each walk, as AMD documents;
 * Intel keeps them in registers from the last CR3 write.
 *
 * Spec     [SDM 3] 4.3 to 4.7; 4.6.2 protection keys
 * Missing  5-level paging: the models do not offer it
 * Lock     none; the tables are guest memory, read and changed by atomics
 */
#include "cpu/interp/mem_priv.h"

#define ADDR_MASK UINT64_C(0x000ffffffffff000)
#define MAX_LEVELS 4

/* A paging mode: what differs between the three. */
struct paging {
	unsigned levels;
	unsigned shift[MAX_LEVELS];
	unsigned idx_bits;		/* of all but the PAE top level */
	unsigned entry;			/* bytes */
	bool pae_top;			/* level 0 has no rights and no A bit */
};

static const struct paging paging_32 = { 2, { 22, 12 }, 10, 4, false };
static const struct paging paging_pae = { 3, { 30, 21, 12 }, 9, 8, true };
static const struct paging paging_4l = { 4, { 39, 30, 21, 12 }, 9, 8, false };

struct step {
	uint8_t *pte;			/* host address of the entry */
	_Atomic uint32_t *state;
	uint64_t val;
};

struct walking {
	const struct paging *p;
	struct step step[MAX_LEVELS];
	unsigned leaf;			/* index of the entry that maps the page */
	uint64_t rights;		/* AND of W and U */
	bool nx;
};

/* Of the switches of A20 only these addresses know; the TLB is flushed when one moves. */
static uint64_t a20_mask(const struct interp *c)
{
	return ~atomic_load_explicit(&c->gpa_off, memory_order_relaxed);
}

/* The page that holds the entry at GPA; NULL where there is no RAM. */
static const struct gmem_page *table_page(struct interp *c, uint64_t gpa)
{
	struct tlb_table *t = &c->tlb->tables[(gpa >> PAGE_SHIFT) % TLB_TABLES];

	if (likely(t->gpa == (gpa & ~PAGE_MASK)))
		return &t->page;
	t->gpa = TLB_NONE;
	if (!gmem_page_of(c->conf.mem, gpa, &t->page))
		return NULL;
	t->gpa = gpa & ~PAGE_MASK;
	return &t->page;
}

static bool step_read(struct interp *c, const struct paging *p, uint64_t gpa, struct step *s)
{
	const struct gmem_page *page = table_page(c, gpa & a20_mask(c));

	if (page == NULL)
		return false;
	s->pte = page->hva + (gpa & PAGE_MASK);
	s->state = page->state;
	s->val = p->entry == 4 ? atomic_load_explicit((_Atomic uint32_t *)(void *)s->pte,
						      memory_order_relaxed)
			       : atomic_load_explicit((_Atomic uint64_t *)(void *)s->pte,
						      memory_order_relaxed);
	return true;
}

/* Sets BITS in the entry; false when it is not what was read any more. */
static bool step_set(struct interp *c, const struct paging *p, struct step *s, uint64_t bits)
{
	bool ok;

	if ((s->val & bits) == bits)
		return true;
	if (unlikely(atomic_load(s->state) & GMEM_READ_ONLY))
		return true;		/* a table in ROM: the store is lost */
	if (p->entry == 4) {
		uint32_t old = (uint32_t)s->val;

		ok = atomic_compare_exchange_strong((_Atomic uint32_t *)(void *)s->pte, &old,
						    old | (uint32_t)bits);
	} else {
		uint64_t old = s->val;

		ok = atomic_compare_exchange_strong((_Atomic uint64_t *)(void *)s->pte, &old,
						    old | bits);
	}
	if (ok)
		gmem_page_written(c->conf.mem, s->state);
	return ok;
}

/* Whether entry V maps a page at LEVEL; the last level always does. */
static bool is_leaf(const struct interp *c, const struct paging *p, unsigned level, uint64_t v)
{
	if (level == p->levels - 1)
		return true;
	if (!(v & X86_PTE_PS))
		return false;
	switch (p->shift[level]) {
	case 22:
		return c->cr4 & X86_CR4_PSE;
	case 21:
		return true;
	case 30:
		return !p->pae_top;
	default:
		return false;
	}
}

/* Bits that must be zero in an entry. */
static uint64_t reserved(const struct interp *c, const struct paging *p, unsigned level,
			 uint64_t v, bool leaf)
{
	unsigned shift = p->shift[level], phys = cpu_model_phys_bits(c->model);
	uint64_t r;

	if (p->entry == 4)
		return leaf && shift == 22 ? UINT64_C(1) << 21 : 0;
	r = ADDR_MASK & ~((UINT64_C(1) << phys) - 1);
	if (!(c->efer & X86_EFER_NXE))
		r |= X86_PTE_NX;
	if (p == &paging_pae)
		r |= UINT64_C(0x7ff) << 52;
	if (p->pae_top && level == 0)
		return r | X86_PTE_NX | 0x1e6;
	if (leaf && shift > PAGE_SHIFT)
		r |= ((UINT64_C(1) << shift) - 1) & ~UINT64_C(0x1fff);
	if (!leaf && shift == 39)
		r |= v & X86_PTE_PS;
	return r;
}

/* Follows the tables; 0 or the fault bits P and RSVD; -1 = not present. */
static int descend(struct interp *c, uint64_t lin, struct walking *w)
{
	const struct paging *p = w->p;
	uint64_t table = c->cr3 & (p->pae_top ? UINT64_C(0xffffffe0) :
				   p->entry == 4 ? UINT64_C(0xfffff000) : ADDR_MASK);

	w->rights = X86_PTE_W | X86_PTE_U;
	w->nx = false;
	w->leaf = 0;
	for (unsigned i = 0; i < p->levels; i++) {
		unsigned bits = p->pae_top && i == 0 ? 2 : p->idx_bits;
		uint64_t idx = lin >> p->shift[i] & ((1u << bits) - 1);
		struct step *s = &w->step[i];
		bool leaf;

		if (!step_read(c, p, table + idx * p->entry, s) || !(s->val & X86_PTE_P))
			return -1;
		leaf = is_leaf(c, p, i, s->val);
		if (s->val & reserved(c, p, i, s->val, leaf))
			return X86_PF_P | X86_PF_RSVD;
		if (!(p->pae_top && i == 0)) {
			w->rights &= s->val;
			w->nx |= p->entry == 8 && (s->val & X86_PTE_NX);
		}
		w->leaf = i;
		if (leaf)
			return 0;
		table = s->val & (p->entry == 4 ? UINT64_C(0xfffff000) : ADDR_MASK);
	}
	return 0;
}

static uint64_t leaf_gpa(const struct walking *w, uint64_t lin, uint64_t *ret_size)
{
	unsigned shift = w->p->shift[w->leaf];
	uint64_t v = w->step[w->leaf].val, size = UINT64_C(1) << shift, base;

	if (w->p->entry == 4)		/* PSE-36: bits 20:13 are address bits 39:32 */
		base = shift == 22 ? (v & 0xffc00000) | (v >> 13 & 0xff) << 32 : v & 0xfffff000;
	else
		base = v & ADDR_MASK & ~(size - 1);
	*ret_size = size;
	return base | (lin & (size - 1));
}

/* 0, or 1 when the rights of the walked page forbid the access. */
static bool forbidden(const struct interp *c, const struct walking *w, enum access a,
		      unsigned set, bool fetch)
{
	bool user_page = w->rights & X86_PTE_U, writable = w->rights & X86_PTE_W;

	if (fetch && w->nx)
		return true;
	if (set == SET_USER || set == SET_USER_AC)
		return !user_page || (a == ACCESS_WRITE && !writable);
	if (fetch)
		return user_page && (c->cr4 & X86_CR4_SMEP);
	if (user_page && (c->cr4 & X86_CR4_SMAP) && set == SET_SUPER)
		return true;
	return a == ACCESS_WRITE && !writable && (c->cr0 & X86_CR0_WP);
}

enum { KEY_AD = 1, KEY_WD = 2 };	/* no access; no writes */

/* What the key of the walked page takes away: of a user's page PKRU says it, else PKRS. */
static unsigned key_rights(const struct interp *c, const struct walking *w)
{
	bool user_page = w->rights & X86_PTE_U;

	if (w->p != &paging_4l || !(c->cr4 & (user_page ? X86_CR4_PKE : X86_CR4_PKS)))
		return 0;
	return (user_page ? c->pkru : c->pkrs) >> (w->step[w->leaf].val >> 59 & 15) * 2 & 3;
}

/* Whether KEY forbids it; the system may write against it where CR0.WP lets it. */
static bool key_forbids(const struct interp *c, unsigned key, enum access a, unsigned set)
{
	if (a == ACCESS_EXEC)
		return false;
	return (key & KEY_AD) || ((key & KEY_WD) && a == ACCESS_WRITE &&
				  (set == SET_USER || set == SET_USER_AC || (c->cr0 & X86_CR0_WP)));
}

static bool set_ad(struct interp *c, struct walking *w, enum access a)
{
	for (unsigned i = w->p->pae_top ? 1 : 0; i <= w->leaf; i++) {
		uint64_t bits = X86_PTE_A;

		if (i == w->leaf && a == ACCESS_WRITE)
			bits |= X86_PTE_D;
		if (!step_set(c, w->p, &w->step[i], bits))
			return false;
	}
	return true;
}

static int walk_unpaged(const struct interp *c, uint64_t lin, struct walk *ret_w)
{
	*ret_w = (struct walk){
		.gpa = lin & 0xffffffff & a20_mask(c), .page_size = PAGE_SIZE,
		.writable = true, .user = true, .dirty = true,
	};
	return 0;
}

int interp_walk_set(struct interp *c, uint64_t lin, enum access a, unsigned set,
		    struct walk *ret_w, uint32_t *ret_code)
{
	struct walking w;
	uint32_t code = (a == ACCESS_WRITE ? X86_PF_W : 0) |
			(set == SET_USER || set == SET_USER_AC ? X86_PF_U : 0);
	unsigned key;
	int rc;

	*ret_code = 0;
	if (!(c->cr0 & X86_CR0_PG))
		return walk_unpaged(c, lin, ret_w);
	w.p = !(c->cr4 & X86_CR4_PAE) ? &paging_32 : interp_long(c) ? &paging_4l : &paging_pae;
	if (a == ACCESS_EXEC && ((c->cr4 & X86_CR4_SMEP) ||
				 (w.p->entry == 8 && (c->efer & X86_EFER_NXE))))
		code |= X86_PF_I;
	do {
		rc = descend(c, lin, &w);
		if (rc != 0) {
			*ret_code = code | (rc < 0 ? 0 : (uint32_t)rc);
			return 1;
		}
		key = key_rights(c, &w);
		if (unlikely(key != 0) && key_forbids(c, key, a, set))
			code |= X86_PF_PK;
		if ((code & X86_PF_PK) || forbidden(c, &w, a, set, a == ACCESS_EXEC)) {
			*ret_code = code | X86_PF_P;
			return 1;
		}
	} while (!set_ad(c, &w, a));
	*ret_w = (struct walk){
		.writable = (w.rights & X86_PTE_W) && !(key & KEY_WD),
		.user = w.rights & X86_PTE_U,
		.global = (w.step[w.leaf].val & X86_PTE_G) && (c->cr4 & X86_CR4_PGE),
		.nx = w.nx,
		.dirty = a == ACCESS_WRITE || (w.step[w.leaf].val & X86_PTE_D),
	};
	ret_w->gpa = leaf_gpa(&w, lin, &ret_w->page_size) & a20_mask(c);
	return 0;
}

int interp_walk(struct interp *c, uint64_t lin, enum access a, bool user, struct walk *ret_w,
		uint32_t *ret_code)
{
	unsigned set = user ? SET_USER : c->rflags & X86_AC ? SET_SUPER_AC : SET_SUPER;

	return interp_walk_set(c, lin, a, set, ret_w, ret_code);
}
