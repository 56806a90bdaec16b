/*
 * fpu_state.c - MXCSR, FXSAVE, XSAVE: how a guest switches tasks
 *
 * The state lives in the very layout these instructions store, so most of the
 * work is what they do not store: FXSAVE leaves bytes 416 to 511 and, outside
 * 64-bit mode, XMM8 to XMM15 as they are in memory; XSAVE touches only the
 * components asked for and of the header only XSTATE_BV.
 *
 * The odd truth: XRSTOR loads MXCSR whenever SSE is asked for, even when the
 * header says SSE is in its initial state, and checks it before that.
 * Components that are in their initial state are reported so (XINUSE) by
 * looking at them, which is what the guest's lazy schemes want to hear.
 *
 * In the compacted form of XSAVEC, MXCSR belongs to SSE and nothing else, and
 * another value than 0x1f80 counts as SSE in use.
 *
 * Spec     [SDM 1] 10.5 (FXSAVE), 13.7 (XSAVE), 13.8 (XRSTOR), 13.9 (XSAVEOPT),
 *          13.10 (XSAVEC); [SDM 2] LDMXCSR, STMXCSR
 * Missing  XSAVEOPT's modified optimisation (it is allowed, not demanded); XSAVES: no
 *          model shows it
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

#define XSTATE_X87 UINT64_C(1)
#define XSTATE_SSE UINT64_C(2)
#define XSTATE_AVX UINT64_C(4)
#define XSTATE_PKRU UINT64_C(0x200)
#define XCOMP_COMPACTED (UINT64_C(1) << 63)
#define XSAVE_HEADER 512u
#define XSAVE_ALIGN 64u
#define XSAVE_PKRU 2688u	/* in the standard form, as on all processors */

/* Pieces of the legacy area. */
#define FX_POINTERS 8u		/* FCW, FSW, FTW, FOP before it */
#define FX_MXCSR 24u
#define FX_ST 32u
#define FX_XMM 160u

static void mxcsr_check(struct interp *c, uint32_t v)
{
	if (v & ~MXCSR_WRITABLE)
		interp_gp(c);
}

static void ldmxcsr(struct interp *c, const struct insn *in)
{
	uint32_t v;

	sse_gate(c);
	v = (uint32_t)interp_load(c, in->seg, insn_ea(c, in), 4);
	mxcsr_check(c, v);
	fx(c)->mxcsr = v;
}

static void stmxcsr(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), 4, fx(c)->mxcsr);
}

/* ---- the x87 part, 64-bit pointers or 32-bit ones with selectors --------------------------- */

static unsigned nr_xmm(const struct interp *c)
{
	return c->code64 ? 16 : 8;
}

/* osz 8: FXSAVE64 and kin. */
static void pointers_put(const struct insn *in, struct fxsave *f)
{
	if (in->osz == 8)
		return;
	f->fip = (uint32_t)f->fip;
	f->fdp = (uint32_t)f->fdp;
}

static void x87_restore(struct interp *c, const struct insn *in, struct fxsave *g)
{
	struct fxsave *f = fx(c);

	f->fcw = g->fcw;
	f->fsw = g->fsw;
	f->ftw = g->ftw;
	f->fop = g->fop & 0x7ff;
	pointers_put(in, g);
	f->fip = g->fip;
	f->fdp = g->fdp;
	for (unsigned k = 0; k < 8; k++) {
		memcpy(f->st[k], g->st[k], 10);
		memset(f->st[k] + 10, 0, 6);
	}
	x87_summary(f);
}

/* ---- FXSAVE -------------------------------------------------------------------------------- */

static void fx_gate(struct interp *c)
{
	if (c->cr0 & (X86_CR0_EM | X86_CR0_TS))
		interp_raise(c, X86_NM);
}

static void fxsave(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	struct fxsave out;

	fx_gate(c);
	fpu_align(c, in, ea, 16);
	interp_probe_write(c, in->seg, ea, sizeof(out));
	out = *fx(c);
	pointers_put(in, &out);
	out.reserved1 = 0;
	out.mxcsr_mask = MXCSR_WRITABLE;
	interp_store_n(c, in->seg, ea, &out, FX_XMM + 16 * nr_xmm(c));
}

static void fxrstor(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	struct fxsave g;

	fx_gate(c);
	fpu_align(c, in, ea, 16);
	interp_load_n(c, in->seg, ea, &g, sizeof(g));
	mxcsr_check(c, g.mxcsr);
	x87_restore(c, in, &g);
	fx(c)->mxcsr = g.mxcsr;
	memcpy(fx(c)->xmm, g.xmm, 16 * nr_xmm(c));
}

/* ---- XSAVE --------------------------------------------------------------------------------- */

struct xsave_header {
	uint64_t xstate_bv, xcomp_bv;
	uint64_t reserved[6];
};

_Static_assert(sizeof(struct xsave_header) == 64, "[SDM 1] 13.4.2");

static void xsave_gate(struct interp *c, const struct insn *in, uint64_t ea)
{
	if (!(c->cr4 & X86_CR4_OSXSAVE))
		interp_ud(c);
	if (c->cr0 & X86_CR0_TS)
		interp_raise(c, X86_NM);
	fpu_align(c, in, ea, XSAVE_ALIGN);
}

/* Requested-feature bitmap: EDX:EAX and XCR0. */
static uint64_t rfbm(const struct interp *c)
{
	return (c->gpr[CPU_RDX] << 32 | (uint32_t)c->gpr[CPU_RAX]) & c->xcr0;
}

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}

/* XMM8..XMM15 count only where they exist. */
static uint64_t xinuse(struct interp *c)
{
	const struct fxsave *f = fx(c);
	uint64_t r = 0;

	if (f->fcw != 0x37f || f->fsw || f->ftw || f->fop || f->fip || f->fdp ||
	    !all_zero(f->st, sizeof(f->st)))
		r |= XSTATE_X87;
	if (!all_zero(f->xmm, 16 * nr_xmm(c)))
		r |= XSTATE_SSE;
	if (!all_zero(ymmh(c), 16 * nr_xmm(c)))
		r |= XSTATE_AVX;
	if (c->pkru != 0)
		r |= XSTATE_PKRU;
	return r;
}

/* Where PKRU lies: in the compacted form, which has the components PACKED, behind AVX. */
static unsigned pkru_at(bool compacted, uint64_t packed)
{
	return !compacted ? XSAVE_PKRU : XSAVE_YMM + (packed & XSTATE_AVX ? 256u : 0);
}

static void pkru_probe(struct interp *c, const struct insn *in, uint64_t ea, uint64_t want,
		       bool compacted)
{
	if (want & XSTATE_PKRU)
		interp_probe_write(c, in->seg, ea + pkru_at(compacted, want), 8);
}

/* Both forms have AVX's component in the same place. */
static unsigned area_size(uint64_t want)
{
	return XSAVE_HEADER + sizeof(struct xsave_header) + (want & XSTATE_AVX ? 256 : 0);
}

/* Stores the components of SAVE, and MXCSR where asked.  The whole area has been probed. */
static void xsave_store(struct interp *c, const struct insn *in, uint64_t ea, uint64_t save,
			bool mxcsr)
{
	struct fxsave out = *fx(c);

	pointers_put(in, &out);
	out.reserved1 = 0;
	out.mxcsr_mask = MXCSR_WRITABLE;
	if (save & XSTATE_X87) {
		interp_store_n(c, in->seg, ea, &out, FX_MXCSR);
		interp_store_n(c, in->seg, ea + FX_ST, out.st, sizeof(out.st));
	}
	if (mxcsr)
		interp_store_n(c, in->seg, ea + FX_MXCSR, &out.mxcsr, 8);
	if (save & XSTATE_SSE)
		interp_store_n(c, in->seg, ea + FX_XMM, out.xmm, 16 * nr_xmm(c));
	if (save & XSTATE_AVX)
		interp_store_n(c, in->seg, ea + XSAVE_YMM, ymmh(c), 16 * nr_xmm(c));
}

/* Of the header only XSTATE_BV, and of that only what was asked for. */
static void xsave_standard(struct interp *c, const struct insn *in, bool all)
{
	uint64_t ea = insn_ea(c, in), want = rfbm(c), used, bv;

	xsave_gate(c, in, ea);
	interp_probe_write(c, in->seg, ea, area_size(want));
	pkru_probe(c, in, ea, want, false);
	used = xinuse(c);
	bv = interp_load(c, in->seg, ea + XSAVE_HEADER, 8);
	xsave_store(c, in, ea, all ? want : want & used, want & (XSTATE_SSE | XSTATE_AVX));
	if ((all ? want : want & used) & XSTATE_PKRU)
		interp_store(c, in->seg, ea + XSAVE_PKRU, 8, c->pkru);
	interp_store(c, in->seg, ea + XSAVE_HEADER, 8, (bv & ~want) | (used & want));
}

static void xsave(struct interp *c, const struct insn *in)
{
	xsave_standard(c, in, true);
}

static void xsaveopt(struct interp *c, const struct insn *in)
{
	xsave_standard(c, in, false);
}

static void xsavec(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in), want = rfbm(c), save, bv[2];

	xsave_gate(c, in, ea);
	interp_probe_write(c, in->seg, ea, area_size(want));
	pkru_probe(c, in, ea, want, true);
	save = xinuse(c) | (fx(c)->mxcsr != MXCSR_DEFAULT ? XSTATE_SSE : 0);
	save &= want;
	xsave_store(c, in, ea, save, save & XSTATE_SSE);
	if (save & XSTATE_PKRU)
		interp_store(c, in->seg, ea + pkru_at(true, want), 8, c->pkru);
	bv[0] = save;
	bv[1] = want | XCOMP_COMPACTED;
	interp_store_n(c, in->seg, ea + XSAVE_HEADER, bv, sizeof(bv));
}

/* What XRSTOR loads: its area, and which components come from it. */
struct xarea {
	struct fxsave fx;
	struct xsave_header h;
	__m128i ymmh[16];
};

_Static_assert(offsetof(struct xarea, ymmh) == XSAVE_YMM, "[SDM 1] 13.5.3");

static void sse_restore(struct interp *c, const struct fxsave *g, bool load)
{
	unsigned n = 16 * nr_xmm(c);

	if (load)
		memcpy(fx(c)->xmm, g->xmm, n);
	else
		memset(fx(c)->xmm, 0, n);
}

static void avx_restore(struct interp *c, const struct xarea *g)
{
	unsigned n = 16 * nr_xmm(c);

	if (g->h.xstate_bv & XSTATE_AVX)
		memcpy(ymmh(c), g->ymmh, n);
	else
		memset(ymmh(c), 0, n);
}

/* [SDM 1] 13.8: what the header must not say.  Whether it is the compacted form. */
static bool xrstor_check(struct interp *c, const struct xarea *g)
{
	bool compacted = g->h.xcomp_bv & XCOMP_COMPACTED;
	uint64_t known = compacted ? g->h.xcomp_bv & ~XCOMP_COMPACTED : c->xcr0;

	/* Without XSAVEC there is no compacted form, and the bit is as wrong as any other. */
	if (compacted && !cpu_model_isa(c->model, ZYDIS_ISA_SET_XSAVEC))
		interp_gp(c);
	if ((known & ~c->xcr0) || (g->h.xstate_bv & ~known))
		interp_gp(c);
	if (compacted ? !all_zero(g->h.reserved, sizeof(g->h.reserved)) :
			g->h.xcomp_bv || g->h.reserved[0])
		interp_gp(c);
	return compacted;
}

static void xrstor(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in), want = rfbm(c);
	struct xarea g;
	bool mxcsr, compacted;
	uint32_t pkru = 0;

	xsave_gate(c, in, ea);
	memset(&g, 0, sizeof(g));
	interp_load_n(c, in->seg, ea, &g, area_size(want));
	compacted = xrstor_check(c, &g);
	mxcsr = want & (compacted ? XSTATE_SSE : XSTATE_SSE | XSTATE_AVX);
	if (compacted && !(g.h.xstate_bv & XSTATE_SSE))
		g.fx.mxcsr = MXCSR_DEFAULT;
	if (mxcsr)
		mxcsr_check(c, g.fx.mxcsr);
	if (want & g.h.xstate_bv & XSTATE_PKRU)
		pkru = (uint32_t)interp_load(c, in->seg, ea + pkru_at(compacted, g.h.xcomp_bv), 4);
	if (want & XSTATE_X87) {
		if (!(g.h.xstate_bv & XSTATE_X87)) {
			memset(&g.fx, 0, FX_MXCSR);
			memset(g.fx.st, 0, sizeof(g.fx.st));
			x87_init_state(&g.fx);
		}
		x87_restore(c, in, &g.fx);
	}
	if (mxcsr)
		fx(c)->mxcsr = g.fx.mxcsr;
	if (want & XSTATE_SSE)
		sse_restore(c, &g.fx, g.h.xstate_bv & XSTATE_SSE);
	if (want & XSTATE_AVX)
		avx_restore(c, &g);
	if (want & XSTATE_PKRU)
		interp_set_keys(c, true, pkru);
}

/* ---- registers set from outside -------------------------------------------------------------- */

void interp_xsave_loaded(struct interp *c)
{
	struct xarea *g = (struct xarea *)(void *)c->xsave;

	if (!(g->h.xstate_bv & XSTATE_X87)) {
		memset(&g->fx, 0, FX_MXCSR);
		memset(g->fx.st, 0, sizeof(g->fx.st));
		x87_init_state(&g->fx);
	}
	if (!(g->h.xstate_bv & (XSTATE_SSE | XSTATE_AVX)))
		g->fx.mxcsr = MXCSR_DEFAULT;
	if (!(g->h.xstate_bv & XSTATE_SSE))
		memset(g->fx.xmm, 0, sizeof(g->fx.xmm));
	if (!(g->h.xstate_bv & XSTATE_AVX))
		memset(g->ymmh, 0, sizeof(g->ymmh));
	memset(&g->h, 0, sizeof(g->h));
	g->h.xstate_bv = cpu_model_xcr0(c->model) & (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX);
}

/* ---- binding ------------------------------------------------------------------------------- */

static const struct {
	ZydisMnemonic mnemonic;
	uint8_t osz;
	insn_fn *fn;
} states[] = {
	{ ZYDIS_MNEMONIC_LDMXCSR, 4, ldmxcsr },
	{ ZYDIS_MNEMONIC_STMXCSR, 4, stmxcsr },
	{ ZYDIS_MNEMONIC_FXSAVE, 4, fxsave },
	{ ZYDIS_MNEMONIC_FXSAVE64, 8, fxsave },
	{ ZYDIS_MNEMONIC_FXRSTOR, 4, fxrstor },
	{ ZYDIS_MNEMONIC_FXRSTOR64, 8, fxrstor },
	{ ZYDIS_MNEMONIC_XSAVE, 4, xsave },
	{ ZYDIS_MNEMONIC_XSAVE64, 8, xsave },
	{ ZYDIS_MNEMONIC_XSAVEOPT, 4, xsaveopt },
	{ ZYDIS_MNEMONIC_XSAVEOPT64, 8, xsaveopt },
	{ ZYDIS_MNEMONIC_XSAVEC, 4, xsavec },
	{ ZYDIS_MNEMONIC_XSAVEC64, 8, xsavec },
	{ ZYDIS_MNEMONIC_XRSTOR, 4, xrstor },
	{ ZYDIS_MNEMONIC_XRSTOR64, 8, xrstor },
};

bool bind_state(const struct zin *z, const struct forms *f, struct insn *out)
{
	(void)f;
	for (size_t k = 0; k < ARRAY_LEN(states); k++) {
		if (states[k].mnemonic != z->i.mnemonic)
			continue;
		if (!out->mem)
			return false;
		out->osz = states[k].osz;
		out->fn = states[k].fn;
		/* PKRU may change what the next instructions may touch. */
		if (states[k].fn == xrstor)
			out->ends = 1;
		return true;
	}
	return false;
}
