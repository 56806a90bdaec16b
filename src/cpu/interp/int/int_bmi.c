/*
 * int_bmi.c - BMI1, BMI2, LZCNT, ADX, MOVBE, RDRAND and RDSEED
 *
 * In plain C, not by the host's instructions: PDEP is microcode on some hosts,
 * ADX and RDSEED are not there on others.
 *
 * Those with a VEX prefix are undefined in real and v8086 mode, but unlike
 * vectors do not care for XCR0.  Random numbers come from the host's kernel,
 * by a system call of our own: the C library's may use vector registers, which
 * can hold the guest's.
 *
 * Spec     [SDM 2] the instructions named; 2.4 exception class 13
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#include <sys/syscall.h>

/* op[0]: register of VEX.vvvv; reg: destination; rm: source, or memory. */
INLINE uint64_t source(struct interp *c, const struct insn *in)
{
	return in->mem ? mem_get(c, in, in->osz) : reg_get(c, in->rm, in->osz);
}

INLINE void vex_gate(struct interp *c)
{
	if (unlikely(!interp_protected(c) || interp_v86(c)))
		interp_ud(c);
}

INLINE uint64_t sign_bit(const struct insn *in)
{
	return UINT64_C(1) << (in->osz * 8 - 1);
}

/* SF and ZF by R, CF as given, the rest zero. */
INLINE void commit(struct interp *c, const struct insn *in, uint64_t r, bool cf)
{
	r &= size_mask(in->osz);
	reg_set(c, in->reg, in->osz, r);
	flags_put(c, X86_ARITH, (cf ? X86_CF : 0) | (r == 0 ? X86_ZF : 0) |
		  (r & sign_bit(in) ? X86_SF : 0));
}

/* ---- BMI1 ------------------------------------------------------------------------------- */

static void andn(struct interp *c, const struct insn *in)
{
	vex_gate(c);
	commit(c, in, ~c->gpr[in->op[0]] & source(c, in), false);
}

static void bextr(struct interp *c, const struct insn *in)
{
	unsigned start = c->gpr[in->op[0]] & 0xff, len = c->gpr[in->op[0]] >> 8 & 0xff;
	uint64_t v;

	vex_gate(c);
	v = source(c, in);
	v = start < 64 ? v >> start : 0;
	if (len < 64)
		v &= (UINT64_C(1) << len) - 1;
	reg_set(c, in->reg, in->osz, v);
	flags_put(c, X86_ARITH, v == 0 ? X86_ZF : 0);
}

static void blsi(struct interp *c, const struct insn *in)
{
	uint64_t v;

	vex_gate(c);
	v = source(c, in);
	commit(c, in, v & -v, v != 0);
}

static void blsmsk(struct interp *c, const struct insn *in)
{
	uint64_t v;

	vex_gate(c);
	v = source(c, in);
	commit(c, in, v ^ (v - 1), v == 0);
}

static void blsr(struct interp *c, const struct insn *in)
{
	uint64_t v;

	vex_gate(c);
	v = source(c, in);
	commit(c, in, v & (v - 1), v == 0);
}

INLINE void count(struct interp *c, const struct insn *in, uint64_t v, unsigned n)
{
	reg_set(c, in->reg, in->osz, n);
	flags_put(c, X86_CF | X86_ZF, (v == 0 ? X86_CF : 0) | (n == 0 ? X86_ZF : 0));
}

static void tzcnt(struct interp *c, const struct insn *in)
{
	uint64_t v = source(c, in);

	count(c, in, v, v ? (unsigned)__builtin_ctzll(v) : in->osz * 8u);
}

static void lzcnt(struct interp *c, const struct insn *in)
{
	uint64_t v = source(c, in);
	unsigned unused = 64 - in->osz * 8u;

	count(c, in, v, v ? (unsigned)__builtin_clzll(v) - unused : in->osz * 8u);
}

/* ---- BMI2 ------------------------------------------------------------------------------- */

static void bzhi(struct interp *c, const struct insn *in)
{
	unsigned n = c->gpr[in->op[0]] & 0xff, bits = in->osz * 8u;
	uint64_t v;

	vex_gate(c);
	v = source(c, in);
	commit(c, in, n < bits ? v & ((UINT64_C(1) << n) - 1) : v, n >= bits);
}

/* Where both halves go to one register it is the upper one. */
static void mulx(struct interp *c, const struct insn *in)
{
	unsigned __int128 p;

	vex_gate(c);
	p = (unsigned __int128)source(c, in) * reg_get(c, CPU_RDX, in->osz);
	reg_set(c, in->op[0], in->osz, (uint64_t)p);
	reg_set(c, in->reg, in->osz, (uint64_t)(p >> in->osz * 8));
}

static void pdep(struct interp *c, const struct insn *in)
{
	uint64_t v = c->gpr[in->op[0]], mask, r = 0;

	vex_gate(c);
	for (mask = source(c, in); mask; mask &= mask - 1, v >>= 1)
		if (v & 1)
			r |= mask & -mask;
	reg_set(c, in->reg, in->osz, r);
}

static void pext(struct interp *c, const struct insn *in)
{
	uint64_t v = c->gpr[in->op[0]], mask, r = 0, bit = 1;

	vex_gate(c);
	for (mask = source(c, in); mask; mask &= mask - 1, bit <<= 1)
		if (v & mask & -mask)
			r |= bit;
	reg_set(c, in->reg, in->osz, r);
}

static void rorx(struct interp *c, const struct insn *in)
{
	unsigned bits = in->osz * 8u, n = (unsigned)in->imm & (bits - 1);
	uint64_t v;

	vex_gate(c);
	v = source(c, in);
	reg_set(c, in->reg, in->osz, n ? v >> n | v << (bits - n) : v);
}

INLINE unsigned shift_count(struct interp *c, const struct insn *in)
{
	return (unsigned)c->gpr[in->op[0]] & (in->osz * 8u - 1);
}

static void shlx(struct interp *c, const struct insn *in)
{
	vex_gate(c);
	reg_set(c, in->reg, in->osz, source(c, in) << shift_count(c, in));
}

static void shrx(struct interp *c, const struct insn *in)
{
	vex_gate(c);
	reg_set(c, in->reg, in->osz, source(c, in) >> shift_count(c, in));
}

static void sarx(struct interp *c, const struct insn *in)
{
	vex_gate(c);
	reg_set(c, in->reg, in->osz,
		(uint64_t)(sign_extend(source(c, in), in->osz) >> shift_count(c, in)));
}

/* ---- ADX, MOVBE, random numbers ----------------------------------------------------------- */

/* Adds with carry from and to FLAG alone. */
INLINE void add_by(struct interp *c, const struct insn *in, uint64_t flag)
{
	uint64_t a = source(c, in), b = reg_get(c, in->reg, in->osz);
	unsigned __int128 sum = (unsigned __int128)a + b + (c->rflags & flag ? 1 : 0);

	reg_set(c, in->reg, in->osz, (uint64_t)sum);
	flags_put(c, flag, (uint64_t)(sum >> in->osz * 8) & 1 ? flag : 0);
}

static void adcx(struct interp *c, const struct insn *in)
{
	add_by(c, in, X86_CF);
}

static void adox(struct interp *c, const struct insn *in)
{
	add_by(c, in, X86_OF);
}

INLINE uint64_t swapped(uint64_t v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - size * 8);
}

static void movbe_load(struct interp *c, const struct insn *in)
{
	reg_set(c, in->reg, in->osz, swapped(mem_get(c, in, in->osz), in->osz));
}

static void movbe_store(struct interp *c, const struct insn *in)
{
	mem_set(c, in, in->osz, swapped(reg_get(c, in->rm, in->osz), in->osz));
}

/* A failure is the instruction's own: CF clear and zero, and the guest tries again. */
static void rdrand(struct interp *c, const struct insn *in)
{
	uint64_t v = 0;
	long n = SYS_getrandom;

	__asm__ volatile("syscall"
		: "+a" (n) : "D" (&v), "S" (sizeof(v)), "d" (0L) : "rcx", "r11", "memory");
	if (n != (long)sizeof(v))
		v = 0;
	reg_set(c, in->reg, in->osz, v);
	flags_put(c, X86_ARITH, n == (long)sizeof(v) ? X86_CF : 0);
}

/* ---- binding ---------------------------------------------------------------------------- */

static void vex_operands(const struct zin *z, struct insn *out)
{
	out->osz = (uint8_t)(z->op[0].size / 8);
	for (unsigned k = 0; k < z->i.operand_count_visible; k++) {
		const ZydisDecodedOperand *o = &z->op[k];
		int n = int_gpr(o);

		if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			out->imm = o->imm.value.u;
		if (n < 0)
			continue;
		if (k == 0)
			out->reg = (uint8_t)n;
		else if (o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
			out->op[0] = (uint8_t)n;
		else
			out->rm = (uint8_t)n;
	}
}

static insn_fn *const fns[] = {
	[BMI_ANDN] = andn, [BMI_BEXTR] = bextr, [BMI_BLSI] = blsi, [BMI_BLSMSK] = blsmsk,
	[BMI_BLSR] = blsr, [BMI_BZHI] = bzhi, [BMI_MULX] = mulx, [BMI_PDEP] = pdep,
	[BMI_PEXT] = pext, [BMI_RORX] = rorx, [BMI_SHLX] = shlx, [BMI_SHRX] = shrx,
	[BMI_SARX] = sarx,
	[BMI_TZCNT] = tzcnt, [BMI_LZCNT] = lzcnt, [BMI_ADCX] = adcx, [BMI_ADOX] = adox,
	[BMI_RDRAND] = rdrand,
};

bool int_bind_bmi(const struct zin *z, struct insn *out, unsigned op)
{
	enum form form;

	if (op <= BMI_SARX) {
		vex_operands(z, out);
		out->fn = fns[op];
		return true;
	}
	form = int_form(z, out);
	if (op == BMI_MOVBE) {
		out->fn = form == FORM_RM ? movbe_load : movbe_store;
		return form == FORM_RM || form == FORM_MR;
	}
	out->fn = fns[op];
	return op == BMI_RDRAND ? form == FORM_R : form == FORM_RR || form == FORM_RM;
}
