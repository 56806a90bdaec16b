/*
 * memory.c - guest memory by segment or linear address: the slow paths
 *
 * Everything the inline fast paths give up on: limits and types of segments,
 * canonical form, page walks, page crossings, memory-mapped I/O, alignment
 * checks and data breakpoints.  Both pages of an access are translated before
 * a byte moves, so a fault leaves nothing half done.
 *
 * A LOCKed access that crosses pages or leaves RAM takes a lock of the whole
 * machine.  It is atomic against others of its kind only: no compiler and no
 * kernel makes such accesses, and the manual warns of them.
 *
 * Spec     [SDM 3] 5.3 limits, 5.5 types, 8.1.2 bus locking; [SDM 1] 3.3.7.1
 * Lock     cpu_shared.lock, held from interp_rmw_begin to interp_rmw_end
 */
#include "cpu/interp/engine.h"
#include "cpu/interp/mem_priv.h"

#include <string.h>

#ifdef INTERP_TSAN
/* Bytes and aligned words as relaxed atomics: a guest's races are its own. */
static bool aligned(const void *p, unsigned size)
{
	return ((uintptr_t)p & (size - 1)) == 0;
}

uint64_t host_load(const void *p, unsigned size)
{
	uint64_t v = 0;

	if (size == 8 && aligned(p, 8))
		return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
	if (size == 4 && aligned(p, 4))
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
	if (size == 2 && aligned(p, 2))
		return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
	host_copy_from(&v, p, size);
	return v;
}

void host_store(void *p, unsigned size, uint64_t v)
{
	if (size == 8 && aligned(p, 8))
		__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED);
	else if (size == 4 && aligned(p, 4))
		__atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELAXED);
	else if (size == 2 && aligned(p, 2))
		__atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELAXED);
	else
		host_copy_to(p, &v, size);
}

void host_copy_from(void *dst, const void *guest, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		((uint8_t *)dst)[i] = __atomic_load_n((const uint8_t *)guest + i, __ATOMIC_RELAXED);
}

void host_copy_to(void *guest, const void *src, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__atomic_store_n((uint8_t *)guest + i, ((const uint8_t *)src)[i], __ATOMIC_RELAXED);
}
#endif

/* ---- segments ------------------------------------------------------------------------ */

static NORETURN void seg_fault(struct interp *c, enum cpu_sreg s)
{
	interp_raise_code(c, s == CPU_SS ? X86_SS : X86_GP, 0);
}

static bool seg_type_ok(const struct cpu_seg *seg, enum access a)
{
	if (seg->attr & CPU_SEG_UNUSABLE)
		return false;
	if (seg->attr & 8)		/* code: never written, read when readable */
		return a == ACCESS_EXEC || (a == ACCESS_READ && (seg->attr & 2));
	return a == ACCESS_READ || (a == ACCESS_WRITE && (seg->attr & 2)) || a == ACCESS_EXEC;
}

static bool seg_limit_ok(const struct cpu_seg *seg, uint64_t off, unsigned n)
{
	uint64_t last = off + n - 1;

	if ((seg->attr & 0xc) == 4)	/* data, expand-down */
		return off > seg->limit && last <= (seg->attr & 0x4000 ? 0xffffffffu : 0xffffu);
	return last <= seg->limit;
}

/* The linear address, or false where the segment forbids the access. */
static bool linear_try(const struct interp *c, enum cpu_sreg s, uint64_t off, unsigned n,
		       enum access a, uint64_t *ret_lin)
{
	const struct cpu_seg *seg = &c->seg[s];

	if (n == 0)
		n = 1;
	if (c->code64) {
		*ret_lin = s >= CPU_FS ? off + seg->base : off;
		return lin_canonical(*ret_lin) && lin_canonical(*ret_lin + n - 1);
	}
	off = (uint32_t)off;
	*ret_lin = (uint32_t)(seg->base + off);
	if (interp_protected(c) && !interp_v86(c) && !seg_type_ok(seg, a))
		return false;
	return seg_limit_ok(seg, off, n);
}

uint64_t interp_linear(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned n, enum access a)
{
	uint64_t lin;

	if (!linear_try(c, s, off, n, a, &lin))
		seg_fault(c, s);
	return lin;
}

/* ---- linear addresses ---------------------------------------------------------------- */

/* One access of up to 4096 bytes, translated: at most two pages. */
struct span {
	struct xlat x[2];
	unsigned first;			/* bytes on the first page */
	unsigned n;
};

static void translate_or_fault(struct interp *c, uint64_t lin, enum access a, unsigned set,
			       struct xlat *x)
{
	uint32_t code;

	if (interp_translate(c, lin, a, set, x, &code) != 0)
		interp_page_fault(c, lin, code);
}

static void span_make(struct interp *c, uint64_t lin, unsigned n, enum access a, unsigned set,
		      struct span *sp)
{
	unsigned room = (unsigned)(PAGE_SIZE - (lin & PAGE_MASK));
	uint64_t next = lin + room;

	BUG_IF(n == 0 || n > PAGE_SIZE);
	sp->n = n;
	sp->first = n < room ? n : room;
	if (set == SET_USER_AC && (c->cr0 & X86_CR0_AM) && n <= 8 && (n & (n - 1)) == 0 &&
	    (lin & (n - 1)))
		interp_raise_code(c, X86_ALIGN, 0);
	translate_or_fault(c, lin, a, set, &sp->x[0]);
	if (sp->first < n)
		translate_or_fault(c, interp_long(c) ? next : (uint32_t)next, a, set, &sp->x[1]);
	if (unlikely(c->watch))
		interp_watch(c, lin, n, a);
}

/* Device registers: naturally aligned pieces of the largest size that fits. */
static unsigned mmio_width(uint64_t gpa, unsigned n)
{
	unsigned w = 8;

	while (w > n || (gpa & (w - 1)))
		w /= 2;
	return w;
}

static void mmio_load(struct interp *c, uint64_t gpa, uint8_t *dst, unsigned n)
{
	for (unsigned w; n > 0; n -= w, gpa += w, dst += w) {
		uint64_t v;

		w = mmio_width(gpa, n);
		v = interp_client(c)->mmio_read(c->conf.self, gpa, w);
		host_move(dst, &v, w);
	}
}

static void mmio_store(struct interp *c, uint64_t gpa, const uint8_t *src, unsigned n)
{
	for (unsigned w; n > 0; n -= w, gpa += w, src += w) {
		uint64_t v = 0;

		w = mmio_width(gpa, n);
		host_move(&v, src, w);
		interp_client(c)->mmio_write(c->conf.self, gpa, w, v);
	}
}

static void piece_load(struct interp *c, const struct xlat *x, uint8_t *dst, unsigned n)
{
	if (x->hva != NULL)
		host_copy_from(dst, x->hva, n);
	else
		mmio_load(c, x->gpa, dst, n);
}

static void piece_store(struct interp *c, const struct xlat *x, const uint8_t *src, unsigned n)
{
	if (x->hva != NULL) {
		host_copy_to(x->hva, src, n);
		interp_stored(c, x->state);
	} else {
		mmio_store(c, x->gpa, src, n);
	}
}

static void span_load(struct interp *c, const struct span *sp, void *dst)
{
	piece_load(c, &sp->x[0], dst, sp->first);
	if (sp->first < sp->n)
		piece_load(c, &sp->x[1], (uint8_t *)dst + sp->first, sp->n - sp->first);
}

static void span_store(struct interp *c, const struct span *sp, const void *src)
{
	piece_store(c, &sp->x[0], src, sp->first);
	if (sp->first < sp->n)
		piece_store(c, &sp->x[1], (const uint8_t *)src + sp->first, sp->n - sp->first);
}

static uint64_t lin_load(struct interp *c, uint64_t lin, unsigned size, unsigned set)
{
	struct span sp;
	uint64_t v = 0;

	span_make(c, lin, size, ACCESS_READ, set, &sp);
	if (likely(sp.first == size)) {
		if (likely(sp.x[0].hva != NULL))
			return host_load(sp.x[0].hva, size);
		return interp_client(c)->mmio_read(c->conf.self, sp.x[0].gpa, size);
	}
	span_load(c, &sp, &v);
	return v;
}

static void lin_store(struct interp *c, uint64_t lin, unsigned size, uint64_t val, unsigned set)
{
	struct span sp;

	span_make(c, lin, size, ACCESS_WRITE, set, &sp);
	if (unlikely(sp.first != size)) {
		span_store(c, &sp, &val);
	} else if (likely(sp.x[0].hva != NULL)) {
		host_store(sp.x[0].hva, size, val);
		interp_stored(c, sp.x[0].state);
	} else {
		if (size < 8)
			val &= (UINT64_C(1) << size * 8) - 1;
		interp_client(c)->mmio_write(c->conf.self, sp.x[0].gpa, size, val);
	}
}

/* Tables may lie at non-canonical addresses, if the guest says so: #GP. */
static void check_lin(struct interp *c, uint64_t lin, unsigned n)
{
	if (interp_long(c) && (!lin_canonical(lin) || !lin_canonical(lin + n - 1)))
		interp_gp(c);
}

static unsigned set_of_pl(const struct interp *c, unsigned pl)
{
	return (pl == 3 ? SET_USER : SET_SUPER) + ((unsigned)(c->rflags >> 17) & 2u);
}

/* What is in the TLB is canonical, and nobody watches it. */
static uint64_t quick_load(struct interp *c, uint64_t lin, unsigned size, unsigned set)
{
	const struct tlb_entry *e = tlb_slot(c, set, lin);

	if (likely(e->rtag == ((lin + size - 1) & ~PAGE_MASK)))
		return host_load(host_ptr(e->add, lin), size);
	check_lin(c, lin, size);
	return lin_load(c, lin, size, set);
}

static void quick_store(struct interp *c, uint64_t lin, unsigned size, uint64_t val, unsigned set)
{
	const struct tlb_entry *e = tlb_slot(c, set, lin);

	if (likely(e->wtag == ((lin + size - 1) & ~PAGE_MASK))) {
		host_store(host_ptr(e->add, lin), size, val);
		interp_stored(c, e->state);
		return;
	}
	check_lin(c, lin, size);
	lin_store(c, lin, size, val, set);
}

uint64_t interp_sys_load(struct interp *c, uint64_t lin, unsigned size)
{
	return quick_load(c, lin, size, SET_SUPER);
}

void interp_sys_store(struct interp *c, uint64_t lin, unsigned size, uint64_t val)
{
	quick_store(c, lin, size, val, SET_SUPER);
}

uint64_t interp_lin_load(struct interp *c, uint64_t lin, unsigned size, unsigned pl)
{
	return quick_load(c, lin, size, set_of_pl(c, pl));
}

void interp_lin_store(struct interp *c, uint64_t lin, unsigned size, uint64_t val, unsigned pl)
{
	quick_store(c, lin, size, val, set_of_pl(c, pl));
}

/* ---- by segment ---------------------------------------------------------------------- */

uint64_t interp_load_slow(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size)
{
	return lin_load(c, interp_linear(c, s, off, size, ACCESS_READ), size, interp_set(c));
}

void interp_store_slow(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned size, uint64_t val)
{
	lin_store(c, interp_linear(c, s, off, size, ACCESS_WRITE), size, val, interp_set(c));
}

void interp_load_n_slow(struct interp *c, enum cpu_sreg s, uint64_t off, void *dst, unsigned n)
{
	struct span sp;

	if (n == 0)
		return;
	span_make(c, interp_linear(c, s, off, n, ACCESS_READ), n, ACCESS_READ, interp_set(c), &sp);
	span_load(c, &sp, dst);
}

void interp_store_n_slow(struct interp *c, enum cpu_sreg s, uint64_t off, const void *src,
			 unsigned n)
{
	struct span sp;
	uint64_t lin;

	if (n == 0)
		return;
	lin = interp_linear(c, s, off, n, ACCESS_WRITE);
	span_make(c, lin, n, ACCESS_WRITE, interp_set(c), &sp);
	span_store(c, &sp, src);
}

void interp_probe_write(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned n)
{
	struct span sp;
	uint64_t lin;

	if (n == 0)
		return;
	lin = interp_linear(c, s, off, n, ACCESS_WRITE);
	span_make(c, lin, n, ACCESS_WRITE, interp_set(c), &sp);
}

void *interp_span(struct interp *c, enum cpu_sreg s, uint64_t off, unsigned n, enum access a,
		  _Atomic uint32_t **ret_state)
{
	unsigned set = interp_set(c);
	struct xlat x;
	uint32_t code;
	uint64_t lin;

	if (set == SET_USER_AC || c->watch || n == 0 || !linear_try(c, s, off, n, a, &lin))
		return NULL;
	if (((lin + n - 1) & ~PAGE_MASK) != (lin & ~PAGE_MASK))
		return NULL;
	if (interp_translate(c, lin, a, set, &x, &code) != 0)
		return NULL;
	*ret_state = x.state;
	return x.hva;
}

/* ---- read, modify, write ------------------------------------------------------------- */

static void rmw_of_span(struct rmw *m, const struct span *sp)
{
	m->size = sp->n;
	m->first = sp->first;
	for (unsigned i = 0; i < 2; i++) {
		m->gpa[i] = sp->x[i].gpa;
		m->state[i] = sp->x[i].state;
		m->hva[i] = sp->x[i].hva;
	}
}

void interp_rmw_begin_slow(struct interp *c, struct rmw *m, enum cpu_sreg s, uint64_t off,
			   unsigned size, bool lock)
{
	uint64_t lin = interp_linear(c, s, off, size, ACCESS_WRITE);
	struct span sp = { 0 };

	span_make(c, lin, size, ACCESS_WRITE, interp_set(c), &sp);
	if (unlikely(c->watch))
		interp_watch(c, lin, size, ACCESS_READ);
	m->lin = lin;
	m->locked = false;
	m->copied = sp.first != size || sp.x[0].hva == NULL;
	rmw_of_span(m, &sp);
	if (!m->copied) {
		m->p = sp.x[0].hva;
		return;
	}
	if (lock) {
		interp_shared_lock(c);
		m->locked = true;
	}
	span_load(c, &sp, m->buf);
	m->p = m->buf;
}

void interp_rmw_end_slow(struct interp *c, struct rmw *m)
{
	struct span sp = { .n = m->size, .first = m->first };

	for (unsigned i = 0; i < 2; i++)
		sp.x[i] = (struct xlat){ m->hva[i], m->state[i], m->gpa[i] };
	span_store(c, &sp, m->buf);
	if (m->locked)
		interp_shared_unlock(c);
}
