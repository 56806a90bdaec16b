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

static bool tiny(enum fp_kind kind, __m128i r)
{
	for (unsigned k = 0; k < nr_elements(kind); k++)
		if (is_tiny(r, is_double(kind), k))
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

/*
 * What the wide result and the stored one R disagree in was lost to the
 * exponent, and counts as lost only where the response was masked.
 */
static bool inexact(uint32_t g, struct fp_what w, __m128i d, __m128i s, __m128i r)
{
	bool dbl = is_double(w.kind), daz = g & 0x40;

	for (unsigned k = 0; k < nr_elements(w.kind); k++) {
		double a, b, res = element(r, dbl, k);
		struct wide x;
		uint32_t fl;

		lane(w.op, dbl, d, s, k, &a, &b);
		if (daz) {
			a = no_denormal(a, dbl || w.op == FP_NARROW);
			b = no_denormal(b, dbl || w.op == FP_NARROW);
		}
		if (__builtin_isnan(a) || __builtin_isnan(b) || __builtin_isnan(res))
			continue;
		x = wide_of(w.op, dbl, g, a, b);
		fl = x.value > 1 || x.value < -1 ? FL_OE : FL_UE;
		if (x.inexact || (x.value != (long double)res && !(unmasked(g) & fl)))
			return true;
	}
	return false;
}

/* ---- the end of an instruction ------------------------------------------------------------- */

void fp_end_unmasked(struct interp *c, struct fp_what w, __m128i d, __m128i s, __m128i r)
{
	const uint32_t before = FL_IE | FL_DE | FL_ZE;
	uint32_t g = fx(c)->mxcsr, um = unmasked(g), f = host_mxcsr() & FPU_FLAGS;

	host_set_mxcsr(MXCSR_DEFAULT);
	if ((um & FL_UE) && tiny(w.kind, r))
		f |= FL_UE;
	if (f & um & before)
		f &= before;
	else if ((f & um & (FL_OE | FL_UE)) && !inexact(g, w, d, s, r))
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

static __m128i stage(struct interp *c, xop_fn *fn, struct fp_what w, __m128i d, __m128i s)
{
	__m128i r;

	fp_begin(c);
	r = fn(d, s);
	fp_end(c, w, d, s, r);
	return r;
}

/* Elements the upper half of IMM leaves out are zeros from the start. */
void fp_dot_unmasked(struct interp *c, bool dbl, uint8_t imm, __m128i d, __m128i s)
{
	struct fp_what mul = { dbl ? FP_PD : FP_PS, FP_MUL }, add = { mul.kind, FP_HADD };
	uint32_t take[4];
	__m128i m;

	for (unsigned k = 0; k < 4; k++)
		take[k] = imm >> (4 + (dbl ? k / 2 : k)) & 1 ? UINT32_MAX : 0;
	memcpy(&m, take, sizeof(m));
	m = stage(c, dbl ? th_x_MULPD : th_x_MULPS, mul, _mm_and_si128(d, m), _mm_and_si128(s, m));
	m = stage(c, dbl ? th_x_HADDPD : th_x_HADDPS, add, m, m);
	if (!dbl)
		stage(c, th_x_HADDPS, add, m, m);
}
