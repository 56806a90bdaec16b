/*
 * int_stack.c - PUSH, POP, PUSHA, POPA, ENTER, LEAVE
 *
 * The stack pointer moves last, so that a fault leaves it as it was.  PUSH of
 * the stack pointer stores the old value; POP to memory addressed by it uses
 * the new one.  Segment registers and flags are sys/'s.
 *
 * Spec     [SDM 2] PUSH, POP, PUSHA, POPA, ENTER, LEAVE; [SDM 1] 6.2.5 stack sizes
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#define HANDLER(name, body) \
	static void name(struct interp *c, const struct insn *in) { body; }

/* 64-bit mode, where compilers use little else. */
static void push_r64(struct interp *c, const struct insn *in)
{
	uint64_t sp = c->gpr[CPU_RSP] - 8;

	interp_store(c, CPU_SS, sp, 8, c->gpr[in->reg]);
	c->gpr[CPU_RSP] = sp;
}

static void pop_r64(struct interp *c, const struct insn *in)
{
	uint64_t v = interp_load(c, CPU_SS, c->gpr[CPU_RSP], 8);

	c->gpr[CPU_RSP] += 8;
	c->gpr[in->reg] = v;
}

HANDLER(push_r, interp_push(c, in->osz, reg_get(c, in->reg, in->osz)))
HANDLER(push_i, interp_push(c, in->osz, in->imm))
HANDLER(push_m, interp_push(c, in->osz, mem_get(c, in, in->osz)))

static void pop_r(struct interp *c, const struct insn *in)
{
	uint64_t v = interp_pop(c, in->osz);

	reg_set(c, in->reg, in->osz, v);
}

static void pop_m(struct interp *c, const struct insn *in)
{
	uint64_t old = c->gpr[CPU_RSP], ea;
	uint64_t v = interp_load(c, CPU_SS, sp_add(c, 0), in->osz);

	sp_set(c, sp_add(c, in->osz));
	ea = insn_ea(c, in);
	c->gpr[CPU_RSP] = old;
	interp_store(c, (enum cpu_sreg)in->seg, ea, in->osz, v);
	sp_set(c, sp_add(c, in->osz));
}

/* Eight stores in order, as far as they get; nothing below the stack pointer is anybody's. */
static void pusha(struct interp *c, const struct insn *in)
{
	unsigned sz = in->osz;

	for (unsigned i = 0; i < 8; i++)
		interp_probe_write(c, CPU_SS, sp_add(c, -(uint64_t)sz * (i + 1)), sz);
	for (unsigned i = 0; i < 8; i++)
		interp_store(c, CPU_SS, sp_add(c, -(uint64_t)sz * (i + 1)), sz,
			     reg_get(c, i, sz));
	sp_set(c, sp_add(c, -(uint64_t)sz * 8));
}

static void popa(struct interp *c, const struct insn *in)
{
	unsigned sz = in->osz;
	uint64_t v[8];

	for (unsigned i = 0; i < 8; i++)
		v[i] = interp_load(c, CPU_SS, sp_add(c, (uint64_t)sz * i), sz);
	sp_set(c, sp_add(c, (uint64_t)sz * 8));
	for (unsigned i = 0; i < 8; i++)
		if (7 - i != CPU_RSP)
			reg_set(c, 7 - i, sz, v[i]);
}

/*
 * imm: bytes of locals; op[0]: nesting level.  Each level's frame pointer is
 * read only when its turn has come: frames may overlap.
 */
static void enter(struct interp *c, const struct insn *in)
{
	unsigned sz = in->osz, level = in->op[0] & 31;
	uint64_t mask = interp_sp_mask(c), sp = c->gpr[CPU_RSP], bp = c->gpr[CPU_RBP], frame;

	sp = (sp - sz) & mask;
	interp_store(c, CPU_SS, sp, sz, bp);
	frame = (c->gpr[CPU_RSP] & ~mask) | sp;	/* all of ESP, also where the stack is one of 16 bits */
	for (unsigned i = 1; i < level; i++) {
		uint64_t v;

		bp = (bp - sz) & mask;
		v = interp_load(c, CPU_SS, bp, sz);
		sp = (sp - sz) & mask;
		interp_store(c, CPU_SS, sp, sz, v);
	}
	if (level > 0) {
		sp = (sp - sz) & mask;
		interp_store(c, CPU_SS, sp, sz, frame);
	}
	sp = (sp - in->imm) & mask;
	interp_probe_write(c, CPU_SS, sp, sz);
	reg_set(c, CPU_RBP, c->stack_size, frame);
	sp_set(c, sp);
}

static void leave(struct interp *c, const struct insn *in)
{
	uint64_t mask = interp_sp_mask(c), sp = c->gpr[CPU_RBP] & mask;
	uint64_t v = interp_load(c, CPU_SS, sp, in->osz);

	sp_set(c, (sp + in->osz) & mask);
	reg_set(c, CPU_RBP, in->osz, v);
}

static bool bind_push(struct insn *out, enum form form, bool long64)
{
	switch (form) {
	case FORM_R:
		out->fn = long64 && out->osz == 8 ? push_r64 : push_r;
		return true;
	case FORM_M:
		out->fn = push_m;
		return true;
	case FORM_I:
		out->fn = push_i;
		return true;
	default:
		return false;
	}
}

static bool bind_pop(struct insn *out, enum form form, bool long64)
{
	if (form != FORM_R && form != FORM_M)
		return false;
	out->fn = form == FORM_M ? pop_m : long64 && out->osz == 8 ? pop_r64 : pop_r;
	return true;
}

bool int_bind_stack(const struct zin *z, struct insn *out, unsigned op)
{
	bool long64 = z->i.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
	enum form form = int_form(z, out);

	out->osz = z->i.operand_width / 8;
	switch (op) {
	case ST_PUSH:
		return bind_push(out, form, long64);
	case ST_POP:
		return bind_pop(out, form, long64);
	case ST_PUSHA:
		out->fn = pusha;
		return true;
	case ST_POPA:
		out->fn = popa;
		return true;
	case ST_ENTER:
		out->imm = (uint16_t)z->op[0].imm.value.u;
		out->op[0] = (uint8_t)z->op[1].imm.value.u;
		out->fn = enter;
		return true;
	default:
		out->fn = leave;
		return true;
	}
}
