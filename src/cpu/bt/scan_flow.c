/*
 * scan_flow.c - control flow, the stack, strings and the kernel's own instructions
 *
 * What scan.c calls by a class of its own, for code of our own runs it instead of a
 * copy: see flow.c, rep.c, system.c.
 *
 * Spec     [SDM 2] 2.1 formats; each instruction's page
 * Missing  pushes and pops of other widths than 64 bits; far branches (the interpreter's)
 * Lock     none
 */
#include "cpu/bt/scan.h"

#include <string.h>

static struct scan_mem slot(int8_t base, int64_t disp, bool write)
{
	return (struct scan_mem){
		.on = 1, .size = 8, .write = write, .base = base, .index = H_NONE, .seg = -1,
		.disp = disp,
	};
}

bool scan_stack(const struct zin *z, struct scan_insn *s)
{
	const ZydisDecodedInstruction *i = &z->i;

	if (i->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || i->operand_width != 64)
		return false;
	if (i->opcode >= 0x50 && i->opcode <= 0x5f) {
		s->cls = i->opcode < 0x58 ? SCAN_PUSH : SCAN_POP;
		s->stk = s->cls == SCAN_PUSH ? slot(CPU_RSP, -8, true) : slot(CPU_RSP, 0, false);
		s->oreg = (struct scan_reg){
			.role = ROLE_GPR, .n = scan_gpr(z->op[0].reg.value), .in = true, .out = true,
		};
		return true;
	}
	if (i->opcode == 0x68 || i->opcode == 0x6a) {
		s->cls = SCAN_PUSH;
		s->stk = slot(CPU_RSP, -8, true);
		s->imm_val = (int64_t)s->in.imm;
		return true;
	}
	if (i->opcode == 0xff && i->raw.modrm.reg == 6 && z->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
		s->cls = SCAN_PUSH;
		s->stk = slot(CPU_RSP, -8, true);
		return scan_memory(z, &z->op[0], s);
	}
	if (i->opcode == 0xc9) {
		s->cls = SCAN_LEAVE;
		s->stk = slot(CPU_RBP, 0, false);
		return true;
	}
	return false;
}

bool scan_branch(const struct zin *z, struct scan_insn *s)
{
	const ZydisDecodedInstruction *i = &z->i;
	bool one = i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;

	s->target = s->next + s->in.imm;
	if (i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
	    (i->operand_width != 64 && i->meta.category != ZYDIS_CATEGORY_COND_BR))
		return false;
	if ((one && i->opcode >= 0x70 && i->opcode <= 0x7f) ||
	    (i->opcode_map == ZYDIS_OPCODE_MAP_0F && i->opcode >= 0x80 && i->opcode <= 0x8f)) {
		s->cls = SCAN_JCC;
		s->cond = i->opcode & 15;
		return lin_canonical(s->target);
	}
	if (!one)
		return false;
	switch (i->opcode) {
	case 0xe9:
	case 0xeb:
		s->cls = SCAN_JMP;
		return lin_canonical(s->target);
	case 0xe8:
		s->cls = SCAN_CALL;
		s->stk = slot(CPU_RSP, -8, true);
		return lin_canonical(s->target);
	case 0xc2:
	case 0xc3:
		s->cls = SCAN_RET;
		s->stk = slot(CPU_RSP, 0, false);
		s->imm_val = i->opcode == 0xc2 ? (int64_t)(uint16_t)s->in.imm : 0;
		return true;
	case 0xff:
		if (i->raw.modrm.reg != 2 && i->raw.modrm.reg != 4)
			return false;
		s->cls = i->raw.modrm.reg == 2 ? SCAN_CALL_IND : SCAN_JMP_IND;
		if (s->cls == SCAN_CALL_IND)
			s->stk = slot(CPU_RSP, -8, true);
		if (z->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return scan_memory(z, &z->op[0], s);
		s->rm = (struct scan_reg){
			.role = ROLE_GPR, .n = scan_gpr(z->op[0].reg.value), .in = true,
		};
		return true;
	default:
		return false;
	}
}

static struct scan_mem string(int8_t base, unsigned size, bool write)
{
	return (struct scan_mem){
		.on = 3, .size = (uint16_t)size, .write = write, .base = base, .index = H_NONE,
		.seg = -1, .group = -1,
	};
}

/* REP STOS, REP MOVS, upward: see rep.c. */
bool scan_rep(const struct zin *z, unsigned mode, struct scan_insn *s)
{
	const ZydisDecodedInstruction *i = &z->i;
	bool movs = (i->opcode & 0xfe) == 0xa4;

	if (i->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (!movs && (i->opcode & 0xfe) != 0xaa) ||
	    !(i->attributes & ZYDIS_ATTRIB_HAS_REP) || i->address_width != 64 || (mode & BT_DF) ||
	    (i->attributes & ZYDIS_ATTRIB_HAS_SEGMENT))
		return false;
	s->mem = string(CPU_RDI, i->opcode & 1 ? i->operand_width / 8 : 1, true);
	if (movs)
		s->stk = string(CPU_RSI, s->mem.size, false);
	s->cls = SCAN_REP;
	return true;
}

/* In the kernel's way all day: see system.c. */
bool scan_system(unsigned mode, struct scan_insn *s)
{
	switch (s->in.mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_SWAPGS:
	case ZYDIS_MNEMONIC_CLAC:
	case ZYDIS_MNEMONIC_STAC:
		return !(mode & BT_USER);
	case ZYDIS_MNEMONIC_PUSHFQ:
		s->stk = slot(CPU_RSP, -8, true);
		return s->in.osz == 8;
	case ZYDIS_MNEMONIC_CPUID:
		return true;
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
		return !(mode & BT_TSD);
	default:
		return false;
	}
}

bool scan_unroll(struct scan *s)
{
	unsigned round = s->nr, rounds = BT_UNROLLED_INSNS / round;
	bool memory = false;

	for (unsigned n = 0; n < round - 1; n++) {
		if (s->insn[n].cls != SCAN_COPY && s->insn[n].cls != SCAN_NOP)
			return false;
		memory |= s->insn[n].mem.on == 1;
	}
	if (rounds > BT_UNROLLED_ROUNDS)
		rounds = BT_UNROLLED_ROUNDS;
	if (rounds < 2 || !memory)
		return false;
	for (unsigned n = 1; n < rounds; n++)
		memcpy(&s->insn[n * round], s->insn, sizeof(*s->insn) * round);
	for (unsigned n = 0; n < rounds - 1; n++) {
		struct scan_insn *end = &s->insn[n * round + round - 1];

		end->cond ^= 1;
		end->target = end->next;
	}
	s->nr = rounds * round;
	s->unrolled = true;
	return true;
}
