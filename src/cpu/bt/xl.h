/*
 * xl.h - a block on its way from guest to host code
 */
#ifndef CPU_BT_XL_H
#define CPU_BT_XL_H

#include "cpu/bt/scan.h"

#define XL_MAX_STUBS (BT_MAX_INSNS * 3 + BT_MAX_GROUPS + 8)

/* Cold code that is written when the block is done. */
struct xl_stub {
	uint8_t *patch;		/* displacement that shall lead there */
	struct bt_site *site;
	struct scan_mem mem;	/* MEM, GROUP: its address is computed again */
};

struct xl {
	struct bt *b;
	struct bt_block *blk;
	struct scan *s;
	struct em e;			/* hot code */
	struct xl_stub stub[XL_MAX_STUBS];
	unsigned nr_stubs;
	unsigned mode, set;
	struct bt_site no_site;		/* of accesses that need none */
	/* Where the answers of groups are found: in the site's own slot, or bt.group. */
	uint64_t *group_add[BT_MAX_GROUPS];
	unsigned next_own[TLB_SITE_KINDS];
	int8_t host[16];		/* of guest registers */
};

/* The host register of a guest register between blocks; H_NONE: in memory. */
static inline int xl_home(unsigned g)
{
	static const int8_t host[16] = {
		H_RAX, H_R14, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI,
		H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_NONE, H_NONE,
	};

	return host[g & 15];
}

/* The same within the present block. */
static inline int xl_host(const struct xl *x, unsigned g)
{
	return x->host[g & 15];
}

static inline struct mop xl_slot(const struct xl *x, unsigned g)
{
	return m_abs(&x->b->c.gpr[g]);
}

struct bt_site *xl_site(struct xl *x, enum bt_kind kind, const struct scan_insn *i);
void xl_stub(struct xl *x, uint8_t *patch, struct bt_site *site, const struct scan_mem *mem);

/* addr.c */

/* The linear address of M to T0; may use T1.  Flags stay. */
void xl_address(struct xl *x, struct em *e, const struct scan_mem *m);
/* Checks the access and leaves host - linear in T1.  T0 is destroyed. */
struct bt_site *xl_check(struct xl *x, const struct scan_insn *i, const struct scan_mem *m,
			 bool flags_live);
/* T0 is the address of a site with a slot of its own: from the TLB, or on to the gate. */
void xl_refill(struct xl *x, struct em *e, const struct xl_stub *t);
/* Before instruction I: the check of group N. */
void xl_group(struct xl *x, const struct scan_insn *i, unsigned n);
/* After xl_check: the host operand; T0 may be part of it. */
struct mop xl_operand(struct xl *x, const struct scan_mem *m);
/* Makes T0 free: the operand is T1 alone. */
struct mop xl_collapse(struct xl *x, struct mop m);

/* T0, an address, becomes the offset in the page that the TLB has for M's first byte; T1 its slot. */
void xl_probe(struct xl *x, const struct scan_mem *m, uint8_t **ret_jump);
/* After it: T1 = host - linear. */
void xl_probed(struct xl *x, const struct scan_mem *m);

/* rep.c */
void xl_rep(struct xl *x, const struct scan_insn *i);

/* copy.c */
void xl_copy(struct xl *x, const struct scan_insn *i);
/* Whether T1 is after xl_copy what it was before, when that was the answer of GROUP. */
bool xl_copy_keeps_t1(const struct xl *x, const struct scan_insn *i, int group);

/* swap.c */
/* Which registers the block shall have: sets x->host and the block's swaps. */
void xl_swaps_choose(struct xl *x);
/* From the registers that hold between blocks to the block's, and back.  Flags, T0 and T1 stay. */
void xl_swap_in(struct xl *x, struct em *e);
void xl_swap_out(struct xl *x, struct em *e);

/* flow.c */
/* A jump to TARGET; the mode stays, unless the caller changes it in the site. */
struct bt_site *xl_exit(struct xl *x, uint8_t *patch, uint64_t target, const struct scan_insn *i);
void xl_flow(struct xl *x, const struct scan_insn *i);

/* system.c */
void xl_system(struct xl *x, const struct scan_insn *i);

#endif
