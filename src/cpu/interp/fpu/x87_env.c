/*
 * x87_env.c - x87 control: FNINIT, FNCLEX, control and status words,
 * environments, whole states in their 1980s layouts
 *
 * These do not compute, so they work on the image by hand.
 *
 * The odd truth: the environment has four layouts, by operand size and by
 * protection.  The tag word in them has two bits a register, zero, special
 * and valid told apart by looking at the number; the image has one.  FNSTENV
 * and FNSAVE mask everything afterwards, one of them gently.
 *
 * ES and B of the status word are never stored truth: they are what flags and
 * masks say, so every writer of either recomputes them.
 *
 * Spec     [SDM 1] 8.1.10, figures 8-9 to 8-12; [SDM 2] by name; 2.5 of [SDM 3] for MP
 * Missing  FCS and FDS read as zero (see x87.c)
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

#define FCW_INIT 0x037fu

void x87_summary(struct fxsave *f)
{
	f->fcw = (uint16_t)((f->fcw & FCW_WRITABLE) | FCW_ONE);
	f->fsw = (uint16_t)(f->fsw & ~(FSW_ES | FSW_B));
	if (f->fsw & ~f->fcw & FPU_FLAGS)
		f->fsw = (uint16_t)(f->fsw | FSW_ES | FSW_B);
}

/* The registers keep their contents, by physical number. */
void x87_init_state(struct fxsave *f)
{
	f->fcw = FCW_INIT;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = 0;
	f->fip = 0;
	f->fdp = 0;
}

/* ---- errors the old way: FERR#, IRQ 13, IGNNE# ----------------------------------------------- */

/*
 * With CR0.NE clear the error is a wire's affair (FERR#): the board makes IRQ 13 of
 * it, and the instruction that met it waits for that.  The handler answers at
 * port F0, whereupon IGNNE# lets instructions run in spite of the error, until
 * the error is gone.  Those must not see its flags (x87.c): they are put aside.
 */
void x87_report(struct interp *c)
{
	const struct cpu_client *client = interp_client(c);
	enum cpu_ferr what = CPU_FERR_RAISE;

	if (!(c->cr0 & X86_CR0_NE) && client->ferr != NULL)
		what = client->ferr(c->conf.self, true);
	if (what == CPU_FERR_RAISE)
		interp_raise(c, X86_MF);
	c->ferr = 1;
	if (what == CPU_FERR_WAIT)
		interp_raise(c, INTERP_FREEZE);
	c->stop = 1;
	c->fsw_kept = fx(c)->fsw & FPU_FLAGS;
	fx(c)->fsw &= (uint16_t)~(FPU_FLAGS | FSW_ES | FSW_B);
}

void interp_ferr_settle(struct interp *c)
{
	fx(c)->fsw |= c->fsw_kept;
	c->fsw_kept = 0;
	x87_summary(fx(c));
	if (x87_pending(c))
		return;
	c->ferr = 0;
	(void)interp_client(c)->ferr(c->conf.self, false);
}

/* ---- control --------------------------------------------------------------------------------- */

static void fninit(struct interp *c, const struct insn *in)
{
	(void)in;
	x87_gate(c);
	x87_rotate(c, 0);
	x87_init_state(fx(c));
}

static void fnclex(struct interp *c, const struct insn *in)
{
	(void)in;
	x87_gate(c);
	fx(c)->fsw &= 0x7f00;
}

/* FENI, FDISI and FSETPM of the 8087 and 287: nothing is left of them. */
static void fnop_8087(struct interp *c, const struct insn *in)
{
	(void)in;
	x87_gate(c);
}

static void fwait(struct interp *c, const struct insn *in)
{
	const uint64_t both = X86_CR0_MP | X86_CR0_TS;

	(void)in;
	if ((c->cr0 & both) == both)
		interp_raise(c, X86_NM);
	x87_wait(c);
}

static void fldcw(struct interp *c, const struct insn *in)
{
	uint16_t v;

	x87_gate(c);
	x87_wait(c);
	v = (uint16_t)interp_load(c, in->seg, insn_ea(c, in), 2);
	fx(c)->fcw = v;
	x87_summary(fx(c));
}

static void fnstcw(struct interp *c, const struct insn *in)
{
	x87_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), 2, fx(c)->fcw);
}

static void fnstsw_mem(struct interp *c, const struct insn *in)
{
	x87_gate(c);
	interp_store(c, in->seg, insn_ea(c, in), 2, fx(c)->fsw);
}

static void fnstsw_ax(struct interp *c, const struct insn *in)
{
	(void)in;
	x87_gate(c);
	reg_set(c, CPU_RAX, 2, fx(c)->fsw);
}

/* ---- tag word ------------------------------------------------------------------------------ */

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const uint8_t st[16])
{
	uint64_t mantissa;
	uint16_t exponent;

	memcpy(&mantissa, st, 8);
	memcpy(&exponent, st + 8, 2);
	exponent &= 0x7fff;
	if (exponent == 0)
		return mantissa == 0 ? TAG_ZERO : TAG_SPECIAL;
	if (exponent == 0x7fff || !(mantissa >> 63))
		return TAG_SPECIAL;
	return TAG_VALID;
}

static uint16_t full_tags(const struct fxsave *f)
{
	unsigned top = (f->fsw & FSW_TOP) >> FSW_TOP_SHIFT, r = 0;

	for (unsigned p = 0; p < 8; p++) {
		unsigned tag = f->ftw >> p & 1 ? tag_of(f->st[(p - top) & 7]) : TAG_EMPTY;

		r |= tag << (2 * p);
	}
	return (uint16_t)r;
}

static uint8_t short_tags(uint16_t full)
{
	unsigned r = 0;

	for (unsigned p = 0; p < 8; p++)
		if ((full >> (2 * p) & 3) != TAG_EMPTY)
			r |= 1u << p;
	return (uint8_t)r;
}

/* ---- environments: osz 2 or 4, protected or real ------------------------------------------- */

static unsigned env_size(const struct insn *in)
{
	return in->osz == 2 ? 14 : 28;
}

static bool env_real(const struct interp *c)
{
	return interp_real(c) || interp_v86(c);
}

/*
 * Seven fields.  In the 32-bit layout each is a doubleword and what the
 * manual reserves is stored as ones, as processors do.
 */
static void env_put(const struct interp *c, const struct fxsave *f, unsigned osz, uint8_t *buf)
{
	uint32_t fip = (uint32_t)f->fip, fdp = (uint32_t)f->fdp;
	uint32_t v[7] = { f->fcw, f->fsw, full_tags(f), fip, 0, fdp, 0 };

	if (env_real(c)) {
		v[4] = (fip >> 16) << 12 | f->fop;
		v[6] = (fdp >> 16) << 12;
	} else if (osz == 4) {
		v[4] = (uint32_t)f->fop << 16;
	}
	for (unsigned k = 0; k < 7; k++) {
		if (osz == 2) {
			memcpy(buf + 2 * k, &v[k], 2);
			continue;
		}
		if (k < 3 || k == 6 || (env_real(c) && (k == 3 || k == 5)))
			v[k] = k == 6 && env_real(c) ? v[k] : (v[k] & 0xffff) | 0xffff0000u;
		memcpy(buf + 4 * k, &v[k], 4);
	}
}

static void env_get(const struct interp *c, struct fxsave *f, unsigned osz, const uint8_t *buf)
{
	uint32_t v[7] = { 0 };

	for (unsigned k = 0; k < 7; k++)
		memcpy(&v[k], buf + osz * k, osz);
	f->fcw = (uint16_t)v[0];
	f->fsw = (uint16_t)v[1];
	f->ftw = short_tags((uint16_t)v[2]);
	f->fip = v[3];
	f->fdp = v[5];
	if (env_real(c)) {
		/* In 16 bits bits 12..15 of the high part, in 32 bits bits 12..27. */
		f->fip = (v[3] & 0xffff) | (uint64_t)(v[4] >> 12 & 0xffff) << 16;
		f->fdp = (v[5] & 0xffff) | (uint64_t)(v[6] >> 12 & 0xffff) << 16;
		f->fop = v[4] & 0x7ff;
	} else if (osz == 4) {
		f->fop = v[4] >> 16 & 0x7ff;
	} else {
		f->fop = 0;
	}
	x87_summary(f);
}

static void fnstenv(struct interp *c, const struct insn *in)
{
	uint8_t buf[28];

	x87_gate(c);
	env_put(c, fx(c), in->osz, buf);
	interp_store_n(c, in->seg, insn_ea(c, in), buf, env_size(in));
	fx(c)->fcw |= FPU_FLAGS;
	x87_summary(fx(c));
}

static void fldenv(struct interp *c, const struct insn *in)
{
	uint16_t sw;
	uint8_t buf[28];

	x87_gate(c);
	x87_wait(c);
	interp_load_n(c, in->seg, insn_ea(c, in), buf, env_size(in));
	memcpy(&sw, buf + in->osz, 2);
	x87_rotate(c, (sw & FSW_TOP) >> FSW_TOP_SHIFT);
	env_get(c, fx(c), in->osz, buf);
	c->fsw_kept = 0;
}

static void fnsave(struct interp *c, const struct insn *in)
{
	unsigned n = env_size(in);
	uint8_t buf[28 + 80];

	x87_gate(c);
	env_put(c, fx(c), in->osz, buf);
	for (unsigned k = 0; k < 8; k++)
		memcpy(buf + n + 10 * k, fx(c)->st[k], 10);
	interp_store_n(c, in->seg, insn_ea(c, in), buf, n + 80);
	x87_rotate(c, 0);
	x87_init_state(fx(c));
}

static void frstor(struct interp *c, const struct insn *in)
{
	unsigned n = env_size(in);
	uint8_t buf[28 + 80];

	x87_gate(c);
	x87_wait(c);
	interp_load_n(c, in->seg, insn_ea(c, in), buf, n + 80);
	env_get(c, fx(c), in->osz, buf);
	for (unsigned k = 0; k < 8; k++)
		memcpy(fx(c)->st[k], buf + n + 10 * k, 10);
	c->fsw_kept = 0;
}

/* ---- binding ------------------------------------------------------------------------------- */

static const struct {
	ZydisMnemonic mnemonic;
	insn_fn *mem, *reg;
} controls[] = {
	{ ZYDIS_MNEMONIC_FWAIT, NULL, fwait },
	{ ZYDIS_MNEMONIC_FNINIT, NULL, fninit },
	{ ZYDIS_MNEMONIC_FNCLEX, NULL, fnclex },
	{ ZYDIS_MNEMONIC_FENI8087_NOP, NULL, fnop_8087 },
	{ ZYDIS_MNEMONIC_FDISI8087_NOP, NULL, fnop_8087 },
	{ ZYDIS_MNEMONIC_FSETPM287_NOP, NULL, fnop_8087 },
	{ ZYDIS_MNEMONIC_FLDCW, fldcw, NULL },
	{ ZYDIS_MNEMONIC_FNSTCW, fnstcw, NULL },
	{ ZYDIS_MNEMONIC_FNSTSW, fnstsw_mem, fnstsw_ax },
	{ ZYDIS_MNEMONIC_FLDENV, fldenv, NULL },
	{ ZYDIS_MNEMONIC_FNSTENV, fnstenv, NULL },
	{ ZYDIS_MNEMONIC_FNSAVE, fnsave, NULL },
	{ ZYDIS_MNEMONIC_FRSTOR, frstor, NULL },
};

/* The operand size of an environment is the mode's, or the other by prefix 66. */
static uint8_t env_osz(const struct zin *z)
{
	bool code16 = z->i.machine_mode == ZYDIS_MACHINE_MODE_LEGACY_16 ||
		      z->i.machine_mode == ZYDIS_MACHINE_MODE_LONG_COMPAT_16 ||
		      z->i.machine_mode == ZYDIS_MACHINE_MODE_REAL_16;
	bool prefix = z->i.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE;

	return code16 != prefix ? 2 : 4;
}

bool bind_x87_env(const struct zin *z, struct insn *out)
{
	for (size_t k = 0; k < ARRAY_LEN(controls); k++) {
		if (controls[k].mnemonic != z->i.mnemonic)
			continue;
		out->fn = out->mem ? controls[k].mem : controls[k].reg;
		out->osz = env_osz(z);
		return out->fn != NULL;
	}
	return false;
}
