/*
 * lookup.c - a page walk for those who only look
 *
 * A debugger's view of linear memory, the same for every engine: by a register
 * file instead of a running processor, without rights, TLB, faults, A and D
 * bits.  An entry with a reserved bit set is followed as if it were not.
 *
 * Spec     [SDM 3] 4.3 32-bit, 4.4 PAE, 4.5 4-level paging
 * Missing  5-level paging: no model has it
 * Lock     none: the processor stands; tables may change under us and are read entry by entry
 */
#include "base/le.h"
#include "cpu/cpu.h"
#include "spec/x86.h"

#define ADDR_MASK UINT64_C(0x000ffffffffff000)

/* A paging mode as the shifts of its levels, top first. */
struct mode {
	unsigned levels, shift[4], idx_bits, entry;
};

static const struct mode mode_32 = { 2, { 22, 12 }, 10, 4 };
static const struct mode mode_pae = { 3, { 30, 21, 12 }, 9, 8 };
static const struct mode mode_4l = { 4, { 39, 30, 21, 12 }, 9, 8 };

static int entry_at(struct gmem *m, uint64_t gpa, unsigned size, uint64_t *ret_val)
{
	uint8_t g[8] = { 0 };
	int rc = gmem_read(m, gpa, g, size);

	*ret_val = ld64(g);
	return rc;
}

/* Whether entry V of a level above the last maps a large page. */
static bool is_large(const struct cpu_regs *r, const struct mode *p, unsigned level, uint64_t v)
{
	if (!(v & X86_PTE_PS))
		return false;
	if (p == &mode_32)
		return (r->cr4 & X86_CR4_PSE) != 0;
	return p->shift[level] == 21 || (p->shift[level] == 30 && p != &mode_pae);
}

static uint64_t leaf(const struct mode *p, unsigned shift, uint64_t v, uint64_t lin)
{
	uint64_t in_page = (UINT64_C(1) << shift) - 1;

	if (p->entry == 4 && shift == 22)	/* bits 20:13 are address bits 39:32 */
		return (v & 0xffc00000) | (v >> 13 & 0xff) << 32 | (lin & in_page);
	return ((p->entry == 4 ? (uint32_t)v : v) & ADDR_MASK & ~in_page) | (lin & in_page);
}

static int walk(const struct cpu_regs *r, struct gmem *m, const struct mode *p, uint64_t lin,
		uint64_t *ret_gpa)
{
	uint64_t table = p == &mode_pae ? r->cr3 & 0xffffffe0 :
			 p == &mode_32 ? r->cr3 & 0xfffff000 : r->cr3 & ADDR_MASK;

	for (unsigned i = 0; i < p->levels; i++) {
		unsigned bits = p == &mode_pae && i == 0 ? 2 : p->idx_bits;
		uint64_t idx = lin >> p->shift[i] & ((1u << bits) - 1), v;
		int rc = entry_at(m, table + idx * p->entry, p->entry, &v);

		if (rc < 0 || !(v & X86_PTE_P))
			return -EFAULT;
		if (i == p->levels - 1 || is_large(r, p, i, v)) {
			*ret_gpa = leaf(p, p->shift[i], v, lin);
			return 0;
		}
		table = (p->entry == 4 ? (uint32_t)v : v) & ADDR_MASK;
	}
	return -EFAULT;
}

int cpu_lookup(const struct cpu_regs *r, struct gmem *m, uint64_t lin, uint64_t *ret_gpa)
{
	if (!(r->efer & X86_EFER_LMA))
		lin = (uint32_t)lin;
	if (!(r->cr0 & X86_CR0_PG)) {
		*ret_gpa = lin;
		return 0;
	}
	if (!(r->cr4 & X86_CR4_PAE))
		return walk(r, m, &mode_32, lin, ret_gpa);
	if (!(r->efer & X86_EFER_LMA))
		return walk(r, m, &mode_pae, lin, ret_gpa);
	if ((uint64_t)((int64_t)(lin << 16) >> 16) != lin)
		return -EFAULT;
	return walk(r, m, &mode_4l, lin, ret_gpa);
}
