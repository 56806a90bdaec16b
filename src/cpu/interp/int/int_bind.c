/*
 * int_bind.c - which handler runs a general-purpose instruction
 *
 * One table by mnemonic.  An empty row means that the instruction is not of
 * this family, so a forgotten row is an undefined opcode, never a wrong answer.
 * Several mnemonics are shared with other families (MOV with control registers,
 * CALL through gates, MOVSD of the SSE kind): the binder of the row refuses
 * what is not its own.
 *
 * A processor without TZCNT and LZCNT ignores their F3 prefix and runs BSF and
 * BSR: decode.c asks the model and tells Zydis.  The hint space 0F 18 to 0F 1F is
 * NOP whatever later extension Zydis names it.
 *
 * Spec     [SDM 2] appendix A opcode maps; 4.1.1.1 hint NOPs
 * Lock     none: const tables
 */
#include "cpu/interp/int/int.h"

struct int_row {
	int_bind_fn *bind;
	uint8_t arg;
};

#define ROW(m, binder, arg) [ZYDIS_MNEMONIC_##m] = { binder, arg }
/* The sixteen conditions, which the opcode's low nibble tells apart. */
#define ROWS_CC(p, b, a) \
	ROW(p##O, b, a), ROW(p##NO, b, a), ROW(p##B, b, a), ROW(p##NB, b, a), \
	ROW(p##Z, b, a), ROW(p##NZ, b, a), ROW(p##BE, b, a), ROW(p##NBE, b, a), \
	ROW(p##S, b, a), ROW(p##NS, b, a), ROW(p##P, b, a), ROW(p##NP, b, a), \
	ROW(p##L, b, a), ROW(p##NL, b, a), ROW(p##LE, b, a), ROW(p##NLE, b, a)
#define ROWS_STRING(p, a) \
	ROW(p##B, int_bind_string, a), ROW(p##W, int_bind_string, a), \
	ROW(p##D, int_bind_string, a), ROW(p##Q, int_bind_string, a)

static const struct int_row rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	ROW(ADD, int_bind_alu, ALU_ADD),
	ROW(OR, int_bind_alu, ALU_OR),
	ROW(ADC, int_bind_alu, ALU_ADC),
	ROW(SBB, int_bind_alu, ALU_SBB),
	ROW(AND, int_bind_alu, ALU_AND),
	ROW(SUB, int_bind_alu, ALU_SUB),
	ROW(XOR, int_bind_alu, ALU_XOR),
	ROW(CMP, int_bind_alu, ALU_CMP),
	ROW(TEST, int_bind_alu, ALU_TEST),
	ROW(INC, int_bind_unary, UN_INC),
	ROW(DEC, int_bind_unary, UN_DEC),
	ROW(NEG, int_bind_unary, UN_NEG),
	ROW(NOT, int_bind_unary, UN_NOT),
	ROW(ROL, int_bind_shift, SH_ROL),
	ROW(ROR, int_bind_shift, SH_ROR),
	ROW(RCL, int_bind_shift, SH_RCL),
	ROW(RCR, int_bind_shift, SH_RCR),
	ROW(SHL, int_bind_shift, SH_SHL),
	ROW(SHR, int_bind_shift, SH_SHR),
	ROW(SAR, int_bind_shift, SH_SAR),
	ROW(SHLD, int_bind_shiftd, SHD_SHLD),
	ROW(SHRD, int_bind_shiftd, SHD_SHRD),
	ROW(MUL, int_bind_muldiv, MD_MUL),
	ROW(IMUL, int_bind_muldiv, MD_IMUL),
	ROW(DIV, int_bind_muldiv, MD_DIV),
	ROW(IDIV, int_bind_muldiv, MD_IDIV),
	ROW(BT, int_bind_bt, BT_BT),
	ROW(BTS, int_bind_bt, BT_BTS),
	ROW(BTR, int_bind_bt, BT_BTR),
	ROW(BTC, int_bind_bt, BT_BTC),
	ROW(BSF, int_bind_scan, SCAN_BSF),
	ROW(BSR, int_bind_scan, SCAN_BSR),
	ROW(POPCNT, int_bind_scan, SCAN_POPCNT),
	ROW(BSWAP, int_bind_scan, SCAN_BSWAP),
	ROW(CRC32, int_bind_scan, SCAN_CRC32),
	ROW(TZCNT, int_bind_bmi, BMI_TZCNT),
	ROW(LZCNT, int_bind_bmi, BMI_LZCNT),
	ROW(ANDN, int_bind_bmi, BMI_ANDN),
	ROW(BEXTR, int_bind_bmi, BMI_BEXTR),
	ROW(BLSI, int_bind_bmi, BMI_BLSI),
	ROW(BLSMSK, int_bind_bmi, BMI_BLSMSK),
	ROW(BLSR, int_bind_bmi, BMI_BLSR),
	ROW(BZHI, int_bind_bmi, BMI_BZHI),
	ROW(MULX, int_bind_bmi, BMI_MULX),
	ROW(PDEP, int_bind_bmi, BMI_PDEP),
	ROW(PEXT, int_bind_bmi, BMI_PEXT),
	ROW(RORX, int_bind_bmi, BMI_RORX),
	ROW(SHLX, int_bind_bmi, BMI_SHLX),
	ROW(SHRX, int_bind_bmi, BMI_SHRX),
	ROW(SARX, int_bind_bmi, BMI_SARX),
	ROW(ADCX, int_bind_bmi, BMI_ADCX),
	ROW(ADOX, int_bind_bmi, BMI_ADOX),
	ROW(MOVBE, int_bind_bmi, BMI_MOVBE),
	ROW(RDRAND, int_bind_bmi, BMI_RDRAND),
	ROW(RDSEED, int_bind_bmi, BMI_RDRAND),
	ROW(XCHG, int_bind_atomic, AT_XCHG),
	ROW(XADD, int_bind_atomic, AT_XADD),
	ROW(CMPXCHG, int_bind_atomic, AT_CMPXCHG),
	ROW(CMPXCHG8B, int_bind_atomic, AT_CMPXCHG8B),
	ROW(CMPXCHG16B, int_bind_atomic, AT_CMPXCHG16B),
	ROW(MOV, int_bind_mov, MV_MOV),
	ROW(MOVZX, int_bind_mov, MV_MOVZX),
	ROW(MOVSX, int_bind_mov, MV_MOVSX),
	ROW(MOVSXD, int_bind_mov, MV_MOVSX),
	ROW(LEA, int_bind_mov, MV_LEA),
	ROW(XLAT, int_bind_mov, MV_XLAT),
	ROW(MOVNTI, int_bind_mov, MV_MOVNTI),
	ROWS_CC(CMOV, int_bind_mov, MV_CMOV),
	ROWS_CC(SET, int_bind_mov, MV_SETCC),
	ROW(CBW, int_bind_misc, CV_CBW),
	ROW(CWDE, int_bind_misc, CV_CWDE),
	ROW(CDQE, int_bind_misc, CV_CDQE),
	ROW(CWD, int_bind_misc, CV_CWD),
	ROW(CDQ, int_bind_misc, CV_CDQ),
	ROW(CQO, int_bind_misc, CV_CQO),
	ROW(LAHF, int_bind_misc, CV_LAHF),
	ROW(SAHF, int_bind_misc, CV_SAHF),
	ROW(CLC, int_bind_misc, CV_CLC),
	ROW(STC, int_bind_misc, CV_STC),
	ROW(CMC, int_bind_misc, CV_CMC),
	ROW(CLD, int_bind_misc, CV_CLD),
	ROW(STD, int_bind_misc, CV_STD),
	ROW(SALC, int_bind_misc, CV_SALC),
	ROW(PAUSE, int_bind_misc, CV_PAUSE),
	ROW(MFENCE, int_bind_misc, CV_MFENCE),
	ROW(LFENCE, int_bind_misc, CV_LFENCE),
	ROW(SFENCE, int_bind_misc, CV_SFENCE),
	ROW(CLFLUSH, int_bind_misc, CV_CLFLUSH),
	ROW(CLFLUSHOPT, int_bind_misc, CV_CLFLUSH),
	ROW(CLWB, int_bind_misc, CV_CLFLUSH),
	ROW(UD0, int_bind_misc, CV_UD),
	ROW(UD1, int_bind_misc, CV_UD),
	ROW(UD2, int_bind_misc, CV_UD),
	ROW(BOUND, int_bind_misc, CV_BOUND),
	ROW(NOP, int_bind_misc, CV_NOP),
	ROW(ENDBR32, int_bind_misc, CV_NOP),
	ROW(ENDBR64, int_bind_misc, CV_NOP),
	ROW(PREFETCH, int_bind_misc, CV_NOP),
	ROW(PREFETCHNTA, int_bind_misc, CV_NOP),
	ROW(PREFETCHT0, int_bind_misc, CV_NOP),
	ROW(PREFETCHT1, int_bind_misc, CV_NOP),
	ROW(PREFETCHT2, int_bind_misc, CV_NOP),
	ROW(PREFETCHW, int_bind_misc, CV_NOP),
	ROW(PREFETCHWT1, int_bind_misc, CV_NOP),
	ROW(CLDEMOTE, int_bind_misc, CV_NOP),
	ROW(RDSSPD, int_bind_misc, CV_NOP),
	ROW(RDSSPQ, int_bind_misc, CV_NOP),
	ROW(BNDCL, int_bind_misc, CV_NOP),
	ROW(BNDCN, int_bind_misc, CV_NOP),
	ROW(BNDCU, int_bind_misc, CV_NOP),
	ROW(BNDLDX, int_bind_misc, CV_NOP),
	ROW(BNDMK, int_bind_misc, CV_NOP),
	ROW(BNDMOV, int_bind_misc, CV_NOP),
	ROW(BNDSTX, int_bind_misc, CV_NOP),
	ROW(PUSH, int_bind_stack, ST_PUSH),
	ROW(POP, int_bind_stack, ST_POP),
	ROW(PUSHA, int_bind_stack, ST_PUSHA),
	ROW(PUSHAD, int_bind_stack, ST_PUSHA),
	ROW(POPA, int_bind_stack, ST_POPA),
	ROW(POPAD, int_bind_stack, ST_POPA),
	ROW(ENTER, int_bind_stack, ST_ENTER),
	ROW(LEAVE, int_bind_stack, ST_LEAVE),
	ROW(JMP, int_bind_branch, BR_JMP),
	ROW(CALL, int_bind_branch, BR_CALL),
	ROW(RET, int_bind_branch, BR_RET),
	ROWS_CC(J, int_bind_branch, BR_JCC),
	ROW(LOOPNE, int_bind_branch, BR_LOOPNE),
	ROW(LOOPE, int_bind_branch, BR_LOOPE),
	ROW(LOOP, int_bind_branch, BR_LOOP),
	ROW(JCXZ, int_bind_branch, BR_JCXZ),
	ROW(JECXZ, int_bind_branch, BR_JCXZ),
	ROW(JRCXZ, int_bind_branch, BR_JCXZ),
	ROWS_STRING(MOVS, STR_MOVS),
	ROWS_STRING(STOS, STR_STOS),
	ROWS_STRING(LODS, STR_LODS),
	ROWS_STRING(CMPS, STR_CMPS),
	ROWS_STRING(SCAS, STR_SCAS),
	ROW(DAA, int_bind_bcd, BCD_DAA),
	ROW(DAS, int_bind_bcd, BCD_DAS),
	ROW(AAA, int_bind_bcd, BCD_AAA),
	ROW(AAS, int_bind_bcd, BCD_AAS),
	ROW(AAM, int_bind_bcd, BCD_AAM),
	ROW(AAD, int_bind_bcd, BCD_AAD),
};

unsigned int_log2(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

uint8_t int_rep(const struct zin *z)
{
	uint8_t rep = 0;

	for (unsigned i = 0; i < z->i.raw.prefix_count; i++)
		if (z->i.raw.prefixes[i].value == 0xf2 || z->i.raw.prefixes[i].value == 0xf3)
			rep = z->i.raw.prefixes[i].value;
	return rep;
}

int int_gpr(const ZydisDecodedOperand *op)
{
	ZydisRegister r = op->reg.value;

	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return -1;
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return (int)(r - ZYDIS_REGISTER_AL);
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return (int)(0x14 + (r - ZYDIS_REGISTER_AH));
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return (int)(CPU_RSP + (r - ZYDIS_REGISTER_SPL));
	if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
		return (int)(r - ZYDIS_REGISTER_AX);
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return (int)(r - ZYDIS_REGISTER_EAX);
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return (int)(r - ZYDIS_REGISTER_RAX);
	return -1;
}

_Static_assert(ZYDIS_REGISTER_R15 - ZYDIS_REGISTER_RAX == 15, "in encoding order");
_Static_assert(ZYDIS_REGISTER_R15B - ZYDIS_REGISTER_SPL == 11, "in encoding order");

enum { OPERAND_REG, OPERAND_MEM, OPERAND_IMM, OPERAND_NONE, OPERAND_OTHER };

static int operand_kind(const struct zin *z, unsigned n)
{
	const ZydisDecodedOperand *op = &z->op[n];

	if (n >= z->i.operand_count_visible)
		return OPERAND_NONE;
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return int_gpr(op) >= 0 ? OPERAND_REG : OPERAND_OTHER;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return OPERAND_MEM;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return OPERAND_IMM;
	default:
		return OPERAND_OTHER;
	}
}

enum form int_form(const struct zin *z, struct insn *out)
{
	static const uint8_t forms[5][5] = {
		[OPERAND_REG] = { FORM_RR, FORM_RM, FORM_RI, FORM_R, FORM_OTHER },
		[OPERAND_MEM] = { FORM_MR, FORM_OTHER, FORM_MI, FORM_M, FORM_OTHER },
		[OPERAND_IMM] = { FORM_OTHER, FORM_OTHER, FORM_OTHER, FORM_I, FORM_OTHER },
		[OPERAND_NONE] = { FORM_OTHER, FORM_OTHER, FORM_OTHER, FORM_NONE, FORM_OTHER },
		[OPERAND_OTHER] = { FORM_OTHER, FORM_OTHER, FORM_OTHER, FORM_OTHER, FORM_OTHER },
	};
	int a = operand_kind(z, 0), b = operand_kind(z, 1);

	if (a == OPERAND_REG)
		out->reg = (uint8_t)int_gpr(&z->op[0]);
	if (b == OPERAND_REG)
		out->rm = (uint8_t)int_gpr(&z->op[1]);
	if (a == OPERAND_IMM)
		out->imm = z->op[0].imm.value.u;
	if (b == OPERAND_IMM)
		out->imm = z->op[1].imm.value.u;
	out->osz = a == OPERAND_NONE ? z->i.operand_width / 8 : (uint8_t)(z->op[0].size / 8);
	return (enum form)forms[a][b];
}

bool bind_int(const struct zin *z, struct insn *out)
{
	const struct int_row *row;
	struct insn bound = *out;

	if (z->i.mnemonic > ZYDIS_MNEMONIC_MAX_VALUE ||
	    (z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	     z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX))
		return false;
	row = &rows[z->i.mnemonic];
	/* What is not ours goes on to the next family as we found it. */
	if (!row->bind || !row->bind(z, &bound, row->arg))
		return false;
	*out = bound;
	return true;
}
