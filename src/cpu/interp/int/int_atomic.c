/*
 * int_atomic.c - XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B
 *
 * XCHG with memory is locked whether it says so or not.  CMPXCHG writes its
 * destination in either case, so a failed compare on a read-only page faults
 * too.  All of them run the host's own instruction on the guest's RAM.
 *
 * Spec     [SDM 2] the five instructions; [SDM 3] 8.1.2.2 software-controlled bus locking
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

/* ---- XCHG ------------------------------------------------------------------------------- */

INLINE uint64_t host_xchg(void *p, unsigned sz, uint64_t v)
{
	switch (sz) {
	case 1:
		__asm__ volatile("xchgb %b0, (%1)" : "+r" (v) : "r" (p) : "memory");
		break;
	case 2:
		__asm__ volatile("xchgw %w0, (%1)" : "+r" (v) : "r" (p) : "memory");
		break;
	case 4:
		__asm__ volatile("xchgl %k0, (%1)" : "+r" (v) : "r" (p) : "memory");
		break;
	default:
		__asm__ volatile("xchgq %q0, (%1)" : "+r" (v) : "r" (p) : "memory");
	}
	return v;
}

static void xchg_r(struct interp *c, const struct insn *in)
{
	uint64_t a = reg_get(c, in->reg, in->osz), b = reg_get(c, in->rm, in->osz);

	reg_set(c, in->reg, in->osz, b);
	reg_set(c, in->rm, in->osz, a);
}

INLINE void xchg_mem(struct interp *c, const struct insn *in, unsigned sz)
{
	struct rmw m;
	uint64_t v;

	mem_begin(c, in, &m, sz, true);
	v = host_xchg(m.p, sz, reg_get(c, in->rm, sz));
	interp_rmw_end(c, &m);
	reg_set(c, in->rm, sz, v);
}

/* ---- XADD ------------------------------------------------------------------------------- */

#define XADD(pre, sfx, mod) \
	__asm__ volatile(pre "xadd" sfx " %" mod "[v_], (%[p_])\n\t" HOST_FLAGS \
		: [v_] "+r" (v), "=a" (ax) : [p_] "r" (p) : "cc", "memory")

INLINE uint64_t host_xadd(void *p, unsigned sz, bool lock, uint64_t v, uint32_t *ret_ax)
{
	uint32_t ax;

	switch (sz | (lock ? 16u : 0)) {
	case 1: XADD("", "b", "b"); break;
	case 2: XADD("", "w", "w"); break;
	case 4: XADD("", "l", "k"); break;
	case 8: XADD("", "q", "q"); break;
	case 17: XADD("lock ", "b", "b"); break;
	case 18: XADD("lock ", "w", "w"); break;
	case 20: XADD("lock ", "l", "k"); break;
	default: XADD("lock ", "q", "q"); break;
	}
	*ret_ax = ax;
	return v;
}

static void xadd_r(struct interp *c, const struct insn *in)
{
	uint64_t d = reg_get(c, in->reg, in->osz), old;
	uint32_t ax;

	old = host_xadd(&d, in->osz, false, reg_get(c, in->rm, in->osz), &ax);
	reg_set(c, in->rm, in->osz, old);
	reg_set(c, in->reg, in->osz, d);
	flags_arith(c, ax);
}

INLINE void xadd_mem(struct interp *c, const struct insn *in, unsigned sz)
{
	struct rmw m;
	uint64_t old;
	uint32_t ax;

	mem_begin(c, in, &m, sz, in->lock);
	old = host_xadd(m.p, sz, in->lock, reg_get(c, in->rm, sz), &ax);
	interp_rmw_end(c, &m);
	reg_set(c, in->rm, sz, old);
	flags_arith(c, ax);
}

/* ---- CMPXCHG ----------------------------------------------------------------------------- */

#define CMPXCHG_MEM(pre, sfx, mod) \
	__asm__ volatile(pre "cmpxchg" sfx " %" mod "[s_], (%[p_])\n\t" \
		"movq %%rax, %[acc_]\n\t" HOST_FLAGS \
		: [acc_] "=&r" (after), "+a" (acc) : [p_] "r" (p), [s_] "r" (s) : "cc", "memory")

/*
 * ACC is all of RAX; it comes back as the host leaves it, merged or extended.
 * *ret_ax carries the flags.
 */
INLINE uint64_t host_cmpxchg(void *p, unsigned sz, bool lock, uint64_t acc, uint64_t s,
			     uint32_t *ret_ax)
{
	uint64_t after;

	switch (sz | (lock ? 16u : 0)) {
	case 1: CMPXCHG_MEM("", "b", "b"); break;
	case 2: CMPXCHG_MEM("", "w", "w"); break;
	case 4: CMPXCHG_MEM("", "l", "k"); break;
	case 8: CMPXCHG_MEM("", "q", "q"); break;
	case 17: CMPXCHG_MEM("lock ", "b", "b"); break;
	case 18: CMPXCHG_MEM("lock ", "w", "w"); break;
	case 20: CMPXCHG_MEM("lock ", "l", "k"); break;
	default: CMPXCHG_MEM("lock ", "q", "q"); break;
	}
	*ret_ax = (uint32_t)acc;
	return after;
}

/*
 * A compare that fails leaves the register alone, its upper half too; one that
 * succeeds leaves the upper half of RAX alone.
 */
static void cmpxchg_r(struct interp *c, const struct insn *in)
{
	uint64_t d = reg_get(c, in->reg, in->osz), s = reg_get(c, in->rm, in->osz), acc;
	uint32_t ax;

	acc = host_cmpxchg(&d, in->osz, false, c->gpr[CPU_RAX], s, &ax);
	if (flags_of_host(ax) & X86_ZF)
		reg_set(c, in->reg, in->osz, d);
	else
		c->gpr[CPU_RAX] = acc;
	flags_arith(c, ax);
}

INLINE void cmpxchg_mem(struct interp *c, const struct insn *in, unsigned sz)
{
	uint64_t s = reg_get(c, in->rm, sz), acc;
	struct rmw m;
	uint32_t ax;

	mem_begin(c, in, &m, sz, in->lock);
	acc = host_cmpxchg(m.p, sz, in->lock, c->gpr[CPU_RAX], s, &ax);
	interp_rmw_end(c, &m);
	c->gpr[CPU_RAX] = acc;
	flags_arith(c, ax);
}

#define HANDLERS(op) \
	static void op##_1(struct interp *c, const struct insn *in) { op(c, in, 1); } \
	static void op##_2(struct interp *c, const struct insn *in) { op(c, in, 2); } \
	static void op##_4(struct interp *c, const struct insn *in) { op(c, in, 4); } \
	static void op##_8(struct interp *c, const struct insn *in) { op(c, in, 8); } \
	static insn_fn *const op##_fns[4] = { op##_1, op##_2, op##_4, op##_8 };
HANDLERS(xchg_mem)
HANDLERS(xadd_mem)
HANDLERS(cmpxchg_mem)

/* ---- CMPXCHG8B, CMPXCHG16B --------------------------------------------------------------- */

static void cmpxchg8b(struct interp *c, const struct insn *in)
{
	uint64_t want = c->gpr[CPU_RDX] << 32 | (uint32_t)c->gpr[CPU_RAX], old, zf;
	uint64_t val = c->gpr[CPU_RCX] << 32 | (uint32_t)c->gpr[CPU_RBX];
	struct rmw m;
	uint32_t ax;

	mem_begin(c, in, &m, 8, in->lock);
	old = host_cmpxchg(m.p, 8, in->lock, want, val, &ax);
	interp_rmw_end(c, &m);
	zf = flags_of_host(ax) & X86_ZF;
	if (!zf) {
		c->gpr[CPU_RAX] = (uint32_t)old;
		c->gpr[CPU_RDX] = old >> 32;
	}
	flags_put(c, X86_ZF, zf);
}

/* REX.W, so 64-bit mode.  Alignment is checked before anything else of the address. */
static void cmpxchg16b(struct interp *c, const struct insn *in)
{
	uint64_t lo = c->gpr[CPU_RAX], hi = c->gpr[CPU_RDX], off = insn_ea(c, in);
	uint64_t base = in->seg >= CPU_FS ? c->seg[in->seg].base : 0;
	struct rmw m;
	bool zf;

	if ((base + off) & 15)
		interp_gp(c);
	interp_rmw_begin(c, &m, (enum cpu_sreg)in->seg, off, 16, in->lock);
	/* Without LOCK too: one instruction on the host is one for other vCPUs at no loss. */
	__asm__ volatile("lock cmpxchg16b (%[p_])"
		: "=@ccz" (zf), "+a" (lo), "+d" (hi)
		: [p_] "r" (m.p), "b" (c->gpr[CPU_RBX]), "c" (c->gpr[CPU_RCX])
		: "memory");
	interp_rmw_end(c, &m);
	c->gpr[CPU_RAX] = lo;
	c->gpr[CPU_RDX] = hi;
	flags_put(c, X86_ZF, zf ? X86_ZF : 0);
}

void int_bind_xchg_r8(const struct zin *z, struct insn *out)
{
	out->osz = z->i.operand_width / 8;
	out->reg = CPU_RAX;
	out->rm = CPU_R8;
	out->fn = xchg_r;
}

bool int_bind_atomic(const struct zin *z, struct insn *out, unsigned op)
{
	enum form form = int_form(z, out);
	unsigned n = 0;

	if (op == AT_CMPXCHG8B || op == AT_CMPXCHG16B) {
		out->fn = op == AT_CMPXCHG8B ? cmpxchg8b : cmpxchg16b;
		return out->mem;
	}
	/* XCHG is symmetric, and the decoder may name the register first. */
	if (form == FORM_RM && op == AT_XCHG) {
		out->rm = out->reg;
		form = FORM_MR;
	}
	if (form != FORM_RR && form != FORM_MR)
		return false;
	n = int_log2(out->osz);
	switch (op) {
	case AT_XCHG:
		out->fn = form == FORM_RR ? xchg_r : xchg_mem_fns[n];
		return true;
	case AT_XADD:
		out->fn = form == FORM_RR ? xadd_r : xadd_mem_fns[n];
		return true;
	default:
		out->fn = form == FORM_RR ? cmpxchg_r : cmpxchg_mem_fns[n];
		return true;
	}
}
