/*
 * fpu_bind.c - which instructions are floating point or vectors, and gates
 *
 * What the guest sees of it: the order in which a switched-off unit refuses.
 * An SSE instruction is #UD with CR0.EM set or CR4.OSFXSR clear and only then
 * #NM with CR0.TS; MMX adds the x87's pending error after these; x87 itself
 * says #NM for EM too, because a software emulator was to take over.
 *
 * MOVSD and CMPSD are two instructions each: names collide, opcode maps do
 * not, so the map is asked first.
 *
 * Spec     [SDM 3] table 2-2 and 13.1, [SDM 2] 2.4 exception classes
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

NORETURN void sse_refuse(struct interp *c)
{
	if ((c->cr0 & X86_CR0_EM) || !(c->cr4 & X86_CR4_OSFXSR))
		interp_ud(c);
	interp_raise(c, X86_NM);
}

void mmx_refuse(struct interp *c)
{
	if (c->cr0 & X86_CR0_EM)
		interp_ud(c);
	if (c->cr0 & X86_CR0_TS)
		interp_raise(c, X86_NM);
	x87_report(c);
}

static enum opnd kind_of(const ZydisDecodedOperand *o)
{
	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return OP_MEM;
	if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return OP_IMM;
	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return OP_NONE;
	switch (ZydisRegisterGetClass(o->reg.value)) {
	case ZYDIS_REGCLASS_XMM:
		return OP_X;
	case ZYDIS_REGCLASS_MMX:
		return OP_M;
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return OP_G;
	default:
		return OP_NONE;
	}
}

static bool is_register(enum opnd k)
{
	return k == OP_X || k == OP_M || k == OP_G;
}

static uint8_t number_of(const ZydisDecodedOperand *o)
{
	return (uint8_t)(ZydisRegisterGetId(o->reg.value) & 15);
}

/*
 * Whatever ModRM said, from here reg is the destination and rm the source; of
 * a form with memory, reg is the register.
 */
static void find_operands(const struct zin *z, struct forms *f, struct insn *out)
{
	unsigned n = z->i.operand_count_visible;

	for (unsigned k = 0; k < 3 && k < n; k++) {
		f->op[k] = kind_of(&z->op[k]);
		if (f->op[k] == OP_IMM)
			f->imm = (uint8_t)z->op[k].imm.value.u;
	}
	f->pair = PAIR(f->op[0], f->op[1]);
	f->wide = z->i.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && z->i.raw.rex.W;
	if (is_register(f->op[0]))
		out->reg = number_of(&z->op[0]);
	if (is_register(f->op[1])) {
		if (f->op[0] == OP_MEM)
			out->reg = number_of(&z->op[1]);
		else
			out->rm = number_of(&z->op[1]);
	}
	out->mem = f->op[0] == OP_MEM || f->op[1] == OP_MEM;
}

static bool bind_vector(const struct zin *z, const struct forms *f, struct insn *out)
{
	return bind_move(z, f, out) || bind_int_x(z, f, out) || bind_imm_x(z, f, out) ||
	       bind_fp(z, f, out) || bind_cvt(z, f, out) || bind_elem(z, f, out) ||
	       bind_mmx(z, f, out) || bind_str(z, f, out) || bind_sha(z, f, out) ||
	       bind_state(z, f, out);
}

/* Each binder may scribble before it says no. */
static bool bind_avx(const struct zin *z, struct insn *out)
{
	static bool (*const binders[])(const struct zin *z, struct insn *out) = {
		bind_avx_move, bind_avx_int, bind_avx_fp, bind_avx_cvt, bind_avx_mem, bind_avx_elem,
		bind_avx_str,
	};

	for (size_t k = 0; k < ARRAY_LEN(binders); k++) {
		struct insn try = *out;

		if (!binders[k](z, &try))
			continue;
		*out = try;
		return true;
	}
	return false;
}

bool bind_fpu(const struct zin *z, struct insn *out)
{
	struct forms f = { 0 };
	struct insn try = *out;

	if (z->i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		return bind_avx(z, out);
	if (z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	if (z->i.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {
		if (z->i.opcode < 0xd8 || z->i.opcode > 0xdf)
			return z->i.opcode == 0x9b && bind_x87_env(z, out);
		return bind_x87_env(z, out) || bind_x87(z, out);
	}
	find_operands(z, &f, &try);
	if (!bind_vector(z, &f, &try))
		return false;
	*out = try;
	return true;
}
