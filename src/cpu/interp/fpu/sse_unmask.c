/*
 * sse_unmask.c - vector floating point for a guest that unmasked exceptions
 *
 * The host always computes masked.  From its result and flags this file works
 * out which flags a processor would have left behind when it stopped.
 *
 * The odd truth: an unmasked invalid, denormal or divide error in one element
 * stops the instruction before any element is computed, so overflow, underflow
 * and precision of the others never show.  And underflow changes its meaning:
 * masked it needs a tiny and inexact result, unmasked a tiny one is enough,
 * while FZ only counts when it is masked.  The precision flag of a result that
 * overflows or underflows unmasked is that of a number with unbounded exponent;
 * the x87, whose exponents have four bits more, is asked for it.
 *
 * DPPS and DPPD are a multiplication and additions, each of which can stop.
 *
 * Spec     [SDM 1] 4.9.1 (masked and unmasked responses), 11.5.2, 11.5.3
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

#include <math.h>

static uint32_t unmasked(uint32_t mxcsr)
{
	return ~(mxcsr >> MXCSR_MASK_SHIFT) & FPU_FLAGS;
}

void fp_begin_unmasked(struct interp *c)
{
	uint32_t g = fx(c)->mxcsr, h = (g & MXCSR_CONTROL) | MXCSR_MASKS;

	if (unmasked(g) & FL_UE)
		h &= ~MXCSR_FZ;
	host_set_mxcsr(h);
}

/* ---- elements ---------------------------------------------------------------------------- */

static bool is_double(enum fp_kind k)
{
	return k == FP_PD || k == FP_SD;
}

static unsigned nr_elements(enum fp_kind k)
{
	switch (k) {
	case FP_PS:
		return 4;
	case FP_PS_LOW:
	case FP_PD:
		return 2;
	case FP_SS:
	case FP_SD:
		return 1;
	case FP_HALF:
		return 4;
	default:
		return 0;
	}
}

static double element(__m128i v, bool dbl, unsigned n)
{
	double d[2];
	float f[4];

	memcpy(d, &v, sizeof(v));
	memcpy(f, &v, sizeof(v));
	return dbl ? d[n] : (double)f[n];
}

static bool is_tiny(__m128i v, bool dbl, unsigned n)
{
	uint64_t d[2];
	uint32_t f[4];

	memcpy(d, &v, sizeof(v));
	memcpy(f, &v, sizeof(v));
	if (dbl)
		return !(d[n] >> 52 & 0x7ff) && d[n] << 12;
	return !(f[n] >> 23 & 0xff) && f[n] << 9;
}

static uint16_t half_of(__m128i v, unsigned n)
{
	uint16_t h[8];

	memcpy(h, &v, sizeof(v));
	return h[n];
}

static bool tiny_half(__m128i v, unsigned n)
{
	uint16_t h = half_of(v, n);

	return !(h & 0x7c00) && (h & 0x3ff);
}

static bool tiny(enum fp_kind kind, const struct fp_lanes *l)
{
	for (unsigned p = 0; p < l->n; p++)
		for (unsigned k = 0; k < nr_elements(kind); k++)
			if (kind == FP_HALF ? tiny_half(l->r[p], k) :
					      is_tiny(l->r[p], is_double(kind), k))
				return true;
	return false;
}

/* ---- precision with unbounded exponent ---------------------------------------------------- */

struct wide {
	long double value;
	bool inexact;
};

/* Rounded to 24 or 53 bits; the exponent has room for any product or quotient. */
static struct wide wide_of(enum fp_op op, bool dbl, uint32_t mxcsr, double a, double b)
{
	uint16_t cw = (uint16_t)(0x7f | (dbl ? 0x200 : 0) | (mxcsr >> 3 & 0xc00)), sw;
	struct wide w;

#define WIDE(INS) \
	__asm__ volatile("fninit\n\tfldcw %2\n\tfldl %3\n\tfldl %4\n\t" INS \
			 " %%st, %%st(1)\n\tfnstsw %1\n\tfstpt %0\n\tfninit" \
			 : "=m"(w.value), "=m"(sw) \
			 : "m"(cw), "m"(a), "m"(b) \
			 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")
	switch (op) {
	case FP_MUL:
	case FP_NARROW:
		WIDE("fmulp");
		break;
	case FP_DIV:	/* in AT&T syntax the names of the reversed forms are exchanged */
		WIDE("fdivrp");
		break;
	default:
		WIDE("faddp");
	}
#undef WIDE
	w.inexact = sw & FL_PE;
	return w;
}

/* The operands of element N, subtraction turned into addition. */
static void lane(enum fp_op op, bool dbl, __m128i d, __m128i s, unsigned n, double *ret_a,
		 double *ret_b)
{
	unsigned half = dbl ? 1 : 2;
	__m128i from = n < half ? d : s;

	*ret_a = element(d, dbl, n);
	*ret_b = element(s, dbl, n);
	if (op == FP_HADD || op == FP_HSUB) {
		*ret_a = element(from, dbl, n % half * 2);
		*ret_b = element(from, dbl, n % half * 2 + 1);
	} else if (op == FP_NARROW) {
		*ret_a = element(s, true, n);
		*ret_b = 1.0;
	}
	if (op == FP_SUB || op == FP_HSUB || (op == FP_ADDSUB && n % 2 == 0))
		*ret_b = -*ret_b;
}

static double no_denormal(double v, bool dbl)
{
	double least = dbl ? 0x1p-1022 : 0x1p-126;

	return v < least && v > -least ? __builtin_copysign(0, v) : v;
}

/* ---- FMA: one rounding, which the x87 has not ---------------------------------------------- */

/* D * S + T of element N, all signs in the operands. */
struct fma {
	double a, b, c;
};

static struct fma fma_lane(enum fp_op op, bool dbl, const struct fp_lanes *l, unsigned piece,
			   unsigned n)
{
	struct fma f = { element(l->d[piece], dbl, n), element(l->s[piece], dbl, n),
			 element(l->t[piece], dbl, n) };

	if (op == FP_FNMADD || op == FP_FNMSUB)
		f.a = -f.a;
	if (op == FP_FMSUB || op == FP_FNMSUB || (op == FP_FMADDSUB && n % 2 == 0) ||
	    (op == FP_FMSUBADD && n % 2 == 1))
		f.c = -f.c;
	return f;
}

/* The host's FMA by MXCSR; *ret_inexact: it had to round. */
static double host_fma(bool dbl, uint32_t mxcsr, const struct fma *f, bool *ret_inexact)
{
	float a = (float)f->a, b = (float)f->b, c = (float)f->c;
	double r = f->a;
	uint32_t was = host_mxcsr();

	host_set_mxcsr((mxcsr & 0x6000) | MXCSR_MASKS);
	if (dbl) {
		__asm__ volatile("vfmadd213sd %2, %1, %0" : "+x"(r) : "x"(f->b), "x"(f->c));
	} else {
		__asm__ volatile("vfmadd213ss %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
		r = (double)a;
	}
	*ret_inexact = host_mxcsr() & FL_PE;
	host_set_mxcsr(was);
	return r;
}

/*
 * With the exponents taken out of the operands nothing overflows or
 * underflows; a term that far below the other only says "more" or "less".
 */
static struct wide wide_fma(bool dbl, uint32_t mxcsr, const struct fma *f)
{
	int far = dbl ? 300 : 60, ea, eb, ec, apart;
	struct fma m = { frexp(f->a, &ea), frexp(f->b, &eb), frexp(f->c, &ec) };
	struct wide w;
	double r;

	if (m.a == 0 || m.b == 0)
		ea = ec, eb = 0;
	if (m.c == 0)
		ec = ea + eb;
	apart = ec - ea - eb;
	ec = apart > far ? far : apart < -far ? -far : apart;
	m.c = ldexp(m.c, ec);
	r = host_fma(dbl, mxcsr, &m, &w.inexact);
	w.value = ldexpl((long double)r, ea + eb + (apart > far ? apart - far : 0));
	return w;
}

/* ---- was anything lost? -------------------------------------------------------------------- */

/*
 * What the wide result and the stored one RES disagree in was lost to the
 * exponent, and counts as lost only where the response was masked.
 */
static bool lost(uint32_t g, struct wide x, double res)
{
	uint32_t fl = x.value > 1 || x.value < -1 ? FL_OE : FL_UE;

	return x.inexact || (x.value != (long double)res && !(unmasked(g) & fl));
}

static bool is_fma(enum fp_op op)
{
	return op >= FP_FMADD && op <= FP_FMSUBADD;
}

static bool inexact_fma(uint32_t g, struct fp_what w, const struct fp_lanes *l, unsigned piece,
			unsigned k)
{
	bool dbl = is_double(w.kind);
	double res = element(l->r[piece], dbl, k);
	struct fma f = fma_lane(w.op, dbl, l, piece, k);

	if (g & 0x40) {
		f.a = no_denormal(f.a, dbl);
		f.b = no_denormal(f.b, dbl);
		f.c = no_denormal(f.c, dbl);
	}
	if (!__builtin_isfinite(f.a) || !__builtin_isfinite(f.b) || !__builtin_isfinite(f.c) ||
	    __builtin_isnan(res))
		return false;
	return lost(g, wide_fma(dbl, g, &f), res);
}

static bool inexact_two(uint32_t g, struct fp_what w, const struct fp_lanes *l, unsigned piece,
			unsigned k)
{
	bool dbl = is_double(w.kind);
	double a, b, res = element(l->r[piece], dbl, k);

	lane(w.op, dbl, l->d[piece], l->s[piece], k, &a, &b);
	if (g & 0x40) {
		a = no_denormal(a, dbl || w.op == FP_NARROW);
		b = no_denormal(b, dbl || w.op == FP_NARROW);
	}
	if (__builtin_isnan(a) || __builtin_isnan(b) || __builtin_isnan(res))
		return false;
	return lost(g, wide_of(w.op, dbl, g, a, b), res);
}

/* 11 bits are kept of the source's 24. */
static bool inexact_half(uint32_t g, const struct fp_lanes *l, unsigned piece, unsigned k)
{
	double v = element(l->s[piece], false, k), res, m;
	uint16_t h = half_of(l->r[piece], k);
	int e, exponent = h >> 10 & 31;
	struct wide x = { .value = (long double)v };

	if (g & 0x40)
		x.value = v = no_denormal(v, false);
	if (!__builtin_isfinite(v))
		return false;
	m = ldexp(frexp(v, &e), 11);
	x.inexact = m != (double)(int)m;
	res = ldexp((h & 0x3ff) | (exponent ? 0x400 : 0), (exponent ? exponent : 1) - 25);
	if (exponent == 31)
		res = __builtin_inf();
	return lost(g, x, h & 0x8000 ? -res : res);
}

static bool inexact(uint32_t g, struct fp_what w, const struct fp_lanes *l)
{
	for (unsigned p = 0; p < l->n; p++)
		for (unsigned k = 0; k < nr_elements(w.kind); k++)
			if (w.kind == FP_HALF ? inexact_half(g, l, p, k) :
			    is_fma(w.op) ? inexact_fma(g, w, l, p, k) :
					   inexact_two(g, w, l, p, k))
				return true;
	return false;
}

/* ---- the end of an instruction ------------------------------------------------------------- */

void fp_end_unmasked(struct interp *c, struct fp_what w, const struct fp_lanes *l)
{
	const uint32_t before = FL_IE | FL_DE | FL_ZE;
	uint32_t g = fx(c)->mxcsr, um = unmasked(g), f = host_mxcsr() & FPU_FLAGS;

	host_set_mxcsr(MXCSR_DEFAULT);
	if ((um & FL_UE) && tiny(w.kind, l))
		f |= FL_UE;
	if (f & um & before)
		f &= before;
	else if ((f & um & (FL_OE | FL_UE)) && !inexact(g, w, l))
		f &= ~(uint32_t)FL_PE;
	fx(c)->mxcsr = g | f;
	if (!(f & um))
		return;
	if (!(c->cr4 & X86_CR4_OSXMMEXCPT))
		interp_ud(c);
	interp_raise(c, X86_XM);
}

THUNK_X(MULPS);
THUNK_X(MULPD);
THUNK_X(HADDPS);
THUNK_X(HADDPD);

/* One step of all pieces: D = FN(D, S). */
static void stage(struct interp *c, xop_fn *fn, struct fp_what w, unsigned n, __m128i *d,
		  const __m128i *s)
{
	__m128i r[2];

	fp_begin(c);
	for (unsigned p = 0; p < n; p++)
		r[p] = fn(d[p], s[p]);
	fp_end(c, w, &(struct fp_lanes){ n, d, s, NULL, r });
	memcpy(d, r, n * sizeof(*r));
}

/* Elements the upper half of IMM leaves out are zeros from the start. */
void fp_dot_unmasked(struct interp *c, bool dbl, uint8_t imm, unsigned n, const __m128i *d,
		     const __m128i *s)
{
	struct fp_what mul = { dbl ? FP_PD : FP_PS, FP_MUL }, add = { mul.kind, FP_HADD };
	__m128i m, a[2], b[2];
	uint32_t take[4];

	for (unsigned k = 0; k < 4; k++)
		take[k] = imm >> (4 + (dbl ? k / 2 : k)) & 1 ? UINT32_MAX : 0;
	memcpy(&m, take, sizeof(m));
	for (unsigned p = 0; p < n; p++) {
		a[p] = _mm_and_si128(d[p], m);
		b[p] = _mm_and_si128(s[p], m);
	}
	stage(c, dbl ? th_x_MULPD : th_x_MULPS, mul, n, a, b);
	stage(c, dbl ? th_x_HADDPD : th_x_HADDPS, add, n, a, a);
	if (!dbl)
		stage(c, th_x_HADDPS, add, n, a, a);
}
