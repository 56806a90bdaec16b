/*
 * decode.c - bytes to struct insn
 *
 * Zydis knows every instruction ever made; a processor knows those of its
 * CPUID model.  What the model lacks is an undefined opcode or, where the
 * manuals reserve the encoding as a hint, a NOP: Zydis is told to see BSF and
 * NOPs where TZCNT (not of every model), MPX and CET reuse them.
 *
 * Zydis also refuses LOCK where it is not allowed and registers that do not
 * exist: #UD as on the processor.
 *
 * Spec     [SDM 2] 2.1, 2.2; 2.3.11 the 15-byte limit
 * Lock     none: a decoder is constant after decoder_init
 */
#include "cpu/interp/decode.h"

#include <string.h>

/* ---- operands ------------------------------------------------------------------------ */

/* 0..15 and REG_NONE; high bytes 0x14..0x17; vector, segment, control registers: their number. */
static uint8_t reg_number(ZydisRegister r)
{
	int id = ZydisRegisterGetId(r);

	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return (uint8_t)(0x14 + (r - ZYDIS_REGISTER_AH));
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return (uint8_t)(4 + (r - ZYDIS_REGISTER_SPL));
	return id < 0 ? 0 : (uint8_t)id;
}

static uint8_t base_number(ZydisRegister r)
{
	if (r == ZYDIS_REGISTER_NONE)
		return REG_NONE;
	if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP || r == ZYDIS_REGISTER_IP)
		return REG_NEXT_RIP;
	return reg_number(r);
}

static uint8_t scale_shift(unsigned scale)
{
	return scale >= 8 ? 3 : scale >= 4 ? 2 : scale >= 2 ? 1 : 0;
}

static void common_mem(const ZydisDecodedOperand *op, struct insn *out)
{
	out->mem = 1;
	out->base = base_number(op->mem.base);
	out->index = base_number(op->mem.index);
	out->scale = scale_shift(op->mem.scale);
	out->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	if (op->mem.segment != ZYDIS_REGISTER_NONE)
		out->seg = reg_number(op->mem.segment);
}

/*
 * Strings, XLAT, MASKMOVDQU: only the segment that a prefix can change is wanted.
 * A string's destination is in ES whatever the prefix, so ES counts only as one.
 */
static void common_implicit(const struct zin *z, const ZydisDecodedOperand *op, struct insn *out)
{
	bool es = (z->i.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES) != 0;

	if (op->mem.segment != ZYDIS_REGISTER_NONE &&
	    (op->mem.segment != ZYDIS_REGISTER_ES || es))
		out->seg = reg_number(op->mem.segment);
}

static void common_operand(const struct zin *z, const ZydisDecodedOperand *op, struct insn *out,
			   bool explicit_mem)
{
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
		    op->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64)
			common_mem(op, out);
		else if (!explicit_mem)
			common_implicit(z, op, out);
		return;
	}
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return;
	if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
		out->reg = reg_number(op->reg.value);
	else if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
		 op->encoding == ZYDIS_OPERAND_ENCODING_OPCODE)
		out->rm = reg_number(op->reg.value);
}

static uint64_t sign_extended(const struct ZydisDecodedInstructionRawImm_ *imm)
{
	unsigned sh = 64u - imm->size;

	return (uint64_t)((int64_t)(imm->value.u << sh) >> sh);
}

void decode_common(const struct zin *z, struct insn *out)
{
	const ZydisDecodedInstruction *i = &z->i;
	bool explicit_mem = false;

	out->len = i->length;
	out->osz = i->operand_width / 8;
	out->asz = i->address_width / 8;
	out->mnemonic = (uint16_t)i->mnemonic;
	out->base = out->index = REG_NONE;
	out->seg = CPU_DS;
	out->lock = (i->attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
	if (i->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		out->rep = 0xf3;
	else if (i->attributes & ZYDIS_ATTRIB_HAS_REPNE)
		out->rep = 0xf2;
	if (i->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		out->reg = i->raw.modrm.reg;
		out->rm = i->raw.modrm.rm;
	}
	if (i->raw.imm[0].size != 0)
		out->imm = sign_extended(&i->raw.imm[0]);
	for (unsigned n = 0; n < i->operand_count; n++)
		explicit_mem |= z->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
				z->op[n].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
	for (unsigned n = 0; n < i->operand_count; n++)
		common_operand(z, &z->op[n], out, explicit_mem);
}

/* ---- what decodes to an exception ---------------------------------------------------- */

static void run_ud(struct interp *c, const struct insn *in)
{
	(void)in;
	interp_ud(c);
}

static void run_too_long(struct interp *c, const struct insn *in)
{
	(void)in;
	interp_gp(c);
}

static int no_insn(struct insn *out, insn_fn *fn)
{
	*out = (struct insn){ .fn = fn, .len = 1, .ends = END_SPECIAL };
	return 0;
}

/* ---- ends ---------------------------------------------------------------------------- */

static bool far_branch(const ZydisDecodedInstruction *i)
{
	return i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || i->mnemonic == ZYDIS_MNEMONIC_IRET ||
	       i->mnemonic == ZYDIS_MNEMONIC_IRETD || i->mnemonic == ZYDIS_MNEMONIC_IRETQ ||
	       i->opcode == 0xca || i->opcode == 0xcb;
}

/* Loads of SS hold interrupts back for one instruction. */
static bool loads_ss(const struct zin *z)
{
	for (unsigned n = 0; n < z->i.operand_count; n++) {
		const ZydisDecodedOperand *op = &z->op[n];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == ZYDIS_REGISTER_SS &&
		    (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return true;
	}
	return false;
}

static bool special(const struct zin *z)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_VMCALL:
	case ZYDIS_MNEMONIC_VMMCALL:
	case ZYDIS_MNEMONIC_LMSW:
	case ZYDIS_MNEMONIC_CLTS:
	case ZYDIS_MNEMONIC_INVLPG:
	case ZYDIS_MNEMONIC_WRMSR:
	case ZYDIS_MNEMONIC_XSETBV:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		return true;
	case ZYDIS_MNEMONIC_MOV:	/* control and debug registers */
		return z->i.opcode_map == ZYDIS_OPCODE_MAP_0F &&
		       z->i.opcode >= 0x20 && z->i.opcode <= 0x23;
	default:
		return false;
	}
}

static uint8_t end_of(const struct zin *z, const struct insn *in)
{
	const ZydisDecodedInstruction *i = &z->i;

	switch (i->meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		return END_DIRECT;
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_CALL:
		if (far_branch(i))
			return END_SPECIAL;
		return i->raw.imm[0].is_relative ? END_DIRECT : END_INDIRECT;
	case ZYDIS_CATEGORY_RET:
		return far_branch(i) ? END_SPECIAL : END_INDIRECT;
	case ZYDIS_CATEGORY_STRINGOP:
		return in->rep ? END_DIRECT : in->ends ? END_SPECIAL : END_NO;
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
		return END_SPECIAL;
	default:
		return in->ends || special(z) || loads_ss(z) ? END_SPECIAL : END_NO;
	}
}

/* ---- one instruction ----------------------------------------------------------------- */

void decoder_init(struct decoder *d, const struct cpu_model *model)
{
	static const struct { ZydisMachineMode mode; ZydisStackWidth stack; } modes[DECODE_NR] = {
		[DECODE_64] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
		[DECODE_32] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		[DECODE_16] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
	};
	const struct { ZydisDecoderMode mode; bool on; } kinds[] = {
		{ ZYDIS_DECODER_MODE_MPX, false }, { ZYDIS_DECODER_MODE_CET, false },
		{ ZYDIS_DECODER_MODE_CLDEMOTE, false },
		{ ZYDIS_DECODER_MODE_LZCNT, cpu_model_isa(model, ZYDIS_ISA_SET_LZCNT) },
		{ ZYDIS_DECODER_MODE_TZCNT, cpu_model_isa(model, ZYDIS_ISA_SET_BMI1) },
	};

	d->model = model;
	for (unsigned m = 0; m < DECODE_NR; m++) {
		BUG_IF(!ZYAN_SUCCESS(ZydisDecoderInit(&d->z[m], modes[m].mode, modes[m].stack)));
		for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
			BUG_IF(!ZYAN_SUCCESS(ZydisDecoderEnableMode(&d->z[m], kinds[i].mode,
								    kinds[i].on)));
	}
}

/*
 * Zydis 4.0 takes base 5 without a displacement byte for R13 when REX.B is set
 * and addresses have 32 bits; the processor looks at the three bits only: no
 * base, a displacement of 32 bits.
 */
static void amend_base(struct zin *z)
{
	const struct ZydisDecodedInstructionRaw_ *raw = &z->i.raw;

	if (!(z->i.attributes & ZYDIS_ATTRIB_HAS_SIB) || raw->modrm.mod != 0 || raw->sib.base != 5)
		return;
	for (unsigned n = 0; n < z->i.operand_count; n++) {
		ZydisDecodedOperand *op = &z->op[n];

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
			continue;
		op->mem.base = ZYDIS_REGISTER_NONE;
		op->mem.disp.has_displacement = true;
		op->mem.disp.value = raw->disp.value;
	}
}

ZyanStatus decode_zydis(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes,
			unsigned n, struct zin *ret_z)
{
	ZyanStatus st = ZydisDecoderDecodeFull(&d->z[mode], bytes, n, &ret_z->i, ret_z->op);

	if (ZYAN_SUCCESS(st))
		amend_base(ret_z);
	return st;
}

int decode_insn(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes, unsigned n,
		struct insn *out)
{
	struct zin z;

	return decode_both(d, mode, bytes, n, out, &z);
}

int decode_both(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes, unsigned n,
		struct insn *out, struct zin *ret_z)
{
	ZyanStatus st;

	if (n > INSN_MAX_BYTES)
		n = INSN_MAX_BYTES;
	st = decode_zydis(d, mode, bytes, n, ret_z);
	if (st == ZYDIS_STATUS_NO_MORE_DATA && n < INSN_MAX_BYTES)
		return -ENODATA;
	if (st == ZYDIS_STATUS_NO_MORE_DATA || st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return no_insn(out, run_too_long);
	if (!ZYAN_SUCCESS(st) || !cpu_model_isa(d->model, ret_z->i.meta.isa_set))
		return no_insn(out, run_ud);
	*out = (struct insn){ 0 };
	decode_common(ret_z, out);
	if (!bind_int(ret_z, out) && !bind_sys(ret_z, out) && !bind_fpu(ret_z, out))
		return no_insn(out, run_ud);
	out->len = ret_z->i.length;
	out->mnemonic = (uint16_t)ret_z->i.mnemonic;
	out->ends = end_of(ret_z, out);
	return 0;
}

void decode_text(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes, unsigned n,
		 uint64_t rip, char *buf, size_t size)
{
	ZydisFormatter f;
	struct zin z;

	if (!ZYAN_SUCCESS(ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d->z[mode], bytes, n, &z.i, z.op)) ||
	    !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&f, &z.i, z.op,
							  z.i.operand_count_visible, buf, size, rip,
							  NULL)))
		memcpy(buf, "?", size < 2 ? size : 2);
}
