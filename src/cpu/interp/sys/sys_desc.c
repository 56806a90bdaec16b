/*
 * sys_desc.c - descriptors in the GDT and LDT
 *
 * Descriptors are read with supervisor rights whatever CPL is, and the
 * processor writes to them behind the guest's back: the accessed bit of a
 * segment, the busy bit of a TSS.  Both writes are locked on hardware, so that
 * two processors that share a GDT do not undo each other's; here they are one
 * atomic operation on the byte.
 *
 * Spec     [SDM 3] 3.4.5, 3.5, 6.13 error code, 8.1.2.1 automatic locking
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

NORETURN void sys_fault(struct interp *c, unsigned vector, uint16_t sel)
{
	uint32_t ext = c->in_delivery && c->delivery_ext;

	interp_raise_code(c, vector, (sel & 0xfffcu) | ext);
}

/* Whether bytes AT .. AT + N - 1 of the selector's table exist; their linear address. */
static bool desc_where(const struct interp *c, uint16_t sel, unsigned n, uint64_t *ret_lin)
{
	uint32_t at = sel & 0xfff8u;

	if (sel & 4) {
		const struct cpu_seg *ldt = &c->seg[CPU_LDTR];

		if (ldt->attr & CPU_SEG_UNUSABLE || at + n - 1 > ldt->limit)
			return false;
		*ret_lin = ldt->base + at;
	} else {
		if (at + n - 1 > c->gdt.limit)
			return false;
		*ret_lin = c->gdt.base + at;
	}
	if (!interp_long(c))
		*ret_lin = (uint32_t)*ret_lin;
	return true;
}

bool desc_fetch(struct interp *c, uint16_t sel, struct desc *ret_d)
{
	uint64_t lin, g_desc;

	if (!desc_where(c, sel, 8, &lin))
		return false;
	g_desc = interp_sys_load(c, lin, 8);
	*ret_d = (struct desc){ lin, (uint32_t)g_desc, (uint32_t)(g_desc >> 32) };
	return true;
}

void desc_need(struct interp *c, uint16_t sel, unsigned vector, struct desc *ret_d)
{
	if (!desc_fetch(c, sel, ret_d))
		sys_fault(c, vector, sel);
}

uint64_t desc_base_high(struct interp *c, uint16_t sel, unsigned vector, const struct desc *d)
{
	uint64_t lin, g_high;

	if (!desc_where(c, sel, 16, &lin))
		sys_fault(c, vector, sel);
	g_high = interp_sys_load(c, d->lin + 8, 8);
	/* A type there would make the upper half a legacy descriptor of its own. */
	if (g_high >> 40 & 0x1f)
		sys_fault(c, vector, sel);
	return g_high << 32;
}

/* The type byte as a host byte, or NULL where it is not RAM.  Raises #PF. */
static uint8_t *type_byte(struct interp *c, const struct desc *d, _Atomic uint32_t **ret_state)
{
	uint64_t lin = d->lin + 5;
	struct gmem_page page;
	struct walk w;
	uint32_t code;

	if (interp_walk(c, lin, ACCESS_WRITE, false, &w, &code) != 0)
		interp_page_fault(c, lin, code);
	if (!gmem_page_of(c->conf.mem, w.gpa, &page) ||
	    (atomic_load(page.state) & GMEM_READ_ONLY))
		return NULL;
	*ret_state = page.state;
	return page.hva + (w.gpa & PAGE_MASK);
}

uint8_t desc_or_type(struct interp *c, const struct desc *d, uint8_t bits)
{
	_Atomic uint32_t *state;
	uint8_t *p = type_byte(c, d, &state), old;

	if (p) {
		old = __atomic_fetch_or(p, bits, __ATOMIC_SEQ_CST);
		gmem_page_written(c->conf.mem, state);
		return old;
	}
	old = (uint8_t)interp_sys_load(c, d->lin + 5, 1);
	interp_sys_store(c, d->lin + 5, 1, old | bits);
	return old;
}

uint8_t desc_and_type(struct interp *c, const struct desc *d, uint8_t bits)
{
	_Atomic uint32_t *state;
	uint8_t *p = type_byte(c, d, &state), old;

	if (p) {
		old = __atomic_fetch_and(p, bits, __ATOMIC_SEQ_CST);
		gmem_page_written(c->conf.mem, state);
		return old;
	}
	old = (uint8_t)interp_sys_load(c, d->lin + 5, 1);
	interp_sys_store(c, d->lin + 5, 1, old & bits);
	return old;
}

void desc_probe_type(struct interp *c, const struct desc *d)
{
	_Atomic uint32_t *state;

	(void)type_byte(c, d, &state);
}

void desc_mark_accessed(struct interp *c, struct desc *d)
{
	if (likely(d->hi & 0x100))
		return;
	(void)desc_or_type(c, d, 1);
	d->hi |= 0x100;
}
