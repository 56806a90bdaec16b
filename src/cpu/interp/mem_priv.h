/*
 * mem_priv.h - what walk.c, tlb.c, memory.c and block.c share
 */
#ifndef CPU_INTERP_MEM_PRIV_H
#define CPU_INTERP_MEM_PRIV_H

#include "cpu/interp/interp.h"

/* interp_walk with the rights of a tag set: SET_SUPER has AC clear. */
MUST_CHECK int interp_walk_set(struct interp *c, uint64_t lin, enum access a, unsigned set,
			       struct walk *ret_w, uint32_t *ret_code);

/* Where a linear address leads. */
struct xlat {
	uint8_t *hva;			/* NULL: not RAM */
	_Atomic uint32_t *state;
	uint64_t gpa;			/* [when hva is NULL] */
};

/* For data within one page.  0, or 1 and a page-fault code. */
MUST_CHECK int interp_translate(struct interp *c, uint64_t lin, enum access a, unsigned set,
				struct xlat *ret_x, uint32_t *ret_code);
/* After interp_translate for a store: the half of the table for stores has it too. */
void interp_tlb_fill_store(struct interp *c, uint64_t lin, unsigned set);
/* For instructions: the page of LIN; NULL and a page-fault code, or ~0 where there is no RAM. */
const struct tlb_code_entry *interp_tlb_code_fill(struct interp *c, uint64_t lin,
						  uint32_t *ret_code);

static inline struct tlb_code_entry *tlb_code_slot(const struct interp *c, uint64_t lin)
{
	return &c->tlb->code[c->cpl == 3][(lin >> PAGE_SHIFT) % TLB_CODE_SLOTS];
}

static inline const struct tlb_code_entry *interp_tlb_code(struct interp *c, uint64_t lin,
							   uint32_t *ret_code)
{
	const struct tlb_code_entry *e = tlb_code_slot(c, lin);

	if (likely(e->tag == (lin & ~PAGE_MASK)))
		return e;
	return interp_tlb_code_fill(c, lin, ret_code);
}

/* A site of the translator has LIN's page, and its slot may not. */
void interp_tlb_astray(struct interp_tlb *t, unsigned set, uint64_t lin);
struct interp_tlb *interp_tlb_new(void);
void interp_tlb_init(struct interp_tlb *t);	/* of zeroed memory */
void interp_tlb_free(struct interp_tlb *t);

/*
 * Before decoding the page of STATE, at HVA: gmem_page_decoding, and with
 * c->code_guard no processor keeps a right to write there without a look.
 */
uint32_t interp_guard_code(struct interp *c, _Atomic uint32_t *state, const uint8_t *hva);

/* Whether [lin, lin + n) meets an enabled data breakpoint; ORs c->watch_hit. */
void interp_watch(struct interp *c, uint64_t lin, unsigned n, enum access a);
/* After DR0..3 or DR7 changed: slow and watch follow, the TLB forgets. */
void interp_debug_changed(struct interp *c);

static inline bool lin_canonical(uint64_t lin)
{
	return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

#endif
