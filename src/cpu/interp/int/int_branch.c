/*
 * int_branch.c - near JMP, CALL, RET, Jcc, LOOP, JrCXZ
 *
 * The target is checked (canonical, or inside the limit of CS) before anything
 * is pushed or counted, so the fault belongs to the branch.  In 64-bit mode an
 * operand-size prefix on a near branch is ignored, as the model's vendor does.
 * Far transfers share mnemonics with these and are sys/'s.
 *
 * Spec     [SDM 2] JMP, CALL, RET, Jcc, LOOP
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

INLINE bool canonical(const struct interp *c, uint64_t v)
{
	unsigned sh = unlikely(c->cr4 & X86_CR4_LA57) ? 7 : 16;

	return (uint64_t)((int64_t)(v << sh) >> sh) == v;
}

/* Raises #GP(0) unless TARGET can be executed; the offset as wide as SZ. */
INLINE uint64_t check_target(struct interp *c, uint64_t target, unsigned sz)
{
	if (likely(c->code64)) {
		if (unlikely(!canonical(c, target)))
			interp_gp(c);
		return target;
	}
	target &= size_mask(sz);
	if (unlikely(target > c->seg[CPU_CS].limit))
		interp_gp(c);
	return target;
}

INLINE uint64_t rel_target(struct interp *c, const struct insn *in)
{
	return check_target(c, c->next_rip + in->imm, in->osz);
}

static void jmp_rel64(struct interp *c, const struct insn *in)
{
	uint64_t t = c->next_rip + in->imm;

	if (unlikely(!canonical(c, t)))
		interp_gp(c);
	c->next_rip = t;
}

static void jmp_rel(struct interp *c, const struct insn *in)
{
	c->next_rip = rel_target(c, in);
}

static void jmp_r(struct interp *c, const struct insn *in)
{
	c->next_rip = check_target(c, reg_get(c, in->reg, in->osz), in->osz);
}

static void jmp_m(struct interp *c, const struct insn *in)
{
	c->next_rip = check_target(c, mem_get(c, in, in->osz), in->osz);
}

INLINE void call(struct interp *c, unsigned sz, uint64_t target)
{
	interp_push(c, sz, c->next_rip);
	c->next_rip = target;
}

static void call_rel64(struct interp *c, const struct insn *in)
{
	uint64_t t = c->next_rip + in->imm, sp = c->gpr[CPU_RSP] - 8;

	if (unlikely(!canonical(c, t)))
		interp_gp(c);
	interp_store(c, CPU_SS, sp, 8, c->next_rip);
	c->gpr[CPU_RSP] = sp;
	c->next_rip = t;
}

static void call_rel(struct interp *c, const struct insn *in)
{
	call(c, in->osz, rel_target(c, in));
}

static void call_r(struct interp *c, const struct insn *in)
{
	call(c, in->osz, check_target(c, reg_get(c, in->reg, in->osz), in->osz));
}

static void call_m(struct interp *c, const struct insn *in)
{
	call(c, in->osz, check_target(c, mem_get(c, in, in->osz), in->osz));
}

static void ret64(struct interp *c, const struct insn *in)
{
	uint64_t t = interp_load(c, CPU_SS, c->gpr[CPU_RSP], 8);

	if (unlikely(!canonical(c, t)))
		interp_gp(c);
	c->gpr[CPU_RSP] += 8 + in->imm;
	c->next_rip = t;
}

static void ret(struct interp *c, const struct insn *in)
{
	uint64_t t = interp_load(c, CPU_SS, sp_add(c, 0), in->osz);

	t = check_target(c, t, in->osz);
	sp_set(c, sp_add(c, in->osz + in->imm));
	c->next_rip = t;
}

/* ---- conditions -------------------------------------------------------------------------- */

#define JCC(cc) \
	static void jcc64_##cc(struct interp *c, const struct insn *in) \
	{ \
		if (flags_cond(c->rflags, cc)) \
			jmp_rel64(c, in); \
	}
JCC(0) JCC(1) JCC(2) JCC(3) JCC(4) JCC(5) JCC(6) JCC(7)
JCC(8) JCC(9) JCC(10) JCC(11) JCC(12) JCC(13) JCC(14) JCC(15)

static insn_fn *const jcc64[16] = {
	jcc64_0, jcc64_1, jcc64_2, jcc64_3, jcc64_4, jcc64_5, jcc64_6, jcc64_7,
	jcc64_8, jcc64_9, jcc64_10, jcc64_11, jcc64_12, jcc64_13, jcc64_14, jcc64_15,
};

static void jcc(struct interp *c, const struct insn *in)
{
	if (flags_cond(c->rflags, in->cond))
		c->next_rip = rel_target(c, in);
}

/* The counter is as wide as an address, the target as an operand. */
INLINE void loop(struct interp *c, const struct insn *in, bool want, bool any)
{
	uint64_t n = (reg_get(c, CPU_RCX, in->asz) - 1) & size_mask(in->asz);
	bool zf = c->rflags & X86_ZF;

	if (n != 0 && (any || zf == want))
		c->next_rip = rel_target(c, in);
	reg_set(c, CPU_RCX, in->asz, n);
}

static void loopne(struct interp *c, const struct insn *in) { loop(c, in, false, false); }
static void loope(struct interp *c, const struct insn *in) { loop(c, in, true, false); }
static void loop_any(struct interp *c, const struct insn *in) { loop(c, in, false, true); }

static void jcxz(struct interp *c, const struct insn *in)
{
	if (reg_get(c, CPU_RCX, in->asz) == 0)
		c->next_rip = rel_target(c, in);
}

/*
 * Processors let F3 and F2 choose between LOOPE and LOOPNE, whatever the opcode
 * says; no manual mentions it.
 */
static unsigned loop_of(const struct zin *z, unsigned op)
{
	if (op != BR_LOOPNE && op != BR_LOOPE)
		return op;
	switch (int_rep(z)) {
	case 0xf2: return BR_LOOPNE;
	case 0xf3: return BR_LOOPE;
	default: return op;
	}
}

static bool bind_jump(struct insn *out, enum form form, bool long64, bool is_call)
{
	switch (form) {
	case FORM_I:
		if (is_call)
			out->fn = long64 ? call_rel64 : call_rel;
		else
			out->fn = long64 ? jmp_rel64 : jmp_rel;
		return true;
	case FORM_R:
		out->fn = is_call ? call_r : jmp_r;
		return true;
	case FORM_M:
		out->fn = is_call ? call_m : jmp_m;
		return true;
	default:
		return false;
	}
}

bool int_bind_branch(const struct zin *z, struct insn *out, unsigned op)
{
	static insn_fn *const counted[] = {
		[BR_LOOPNE] = loopne, [BR_LOOPE] = loope, [BR_LOOP] = loop_any, [BR_JCXZ] = jcxz,
	};
	bool long64 = z->i.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
	enum form form = int_form(z, out);

	if (z->i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	out->osz = long64 ? 8 : z->i.operand_width / 8;
	out->ends = 1;
	switch (op) {
	case BR_JMP:
	case BR_CALL:
		return bind_jump(out, form, long64, op == BR_CALL);
	case BR_RET:
		out->imm = form == FORM_I ? (uint16_t)out->imm : 0;
		out->fn = long64 ? ret64 : ret;
		return true;
	case BR_JCC:
		out->cond = z->i.opcode & 15;
		out->fn = long64 ? jcc64[out->cond] : jcc;
		return form == FORM_I;
	default:
		out->fn = counted[loop_of(z, op)];
		return form == FORM_I;
	}
}
