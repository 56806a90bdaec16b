/*
 * judge_rows.c - the families of instructions, as rows of opcodes
 *
 * A row is a range of opcodes of one map; what may stand before and in ModRM is
 * its columns.  The generator takes a random row of a family, so a family is
 * as thorough as its rows.  What the model lacks, what is privileged, and what
 * would change the host process under us (segments, FS base) has no row.
 *
 * Spec     [SDM 2] appendix A
 * Lock     none: const tables
 */
#include "cpu/judge/judge_rows.h"

const uint8_t box_kinds[BOX_PAGES] = {
	BOX_CODE, BOX_CODE, BOX_NONE, BOX_NONE, BOX_RW, BOX_RW, BOX_RO, BOX_NONE,
	BOX_RW, BOX_RW, BOX_NONE,
};

const struct family families[FAM_NR] = {
	[FAM_ALU] = { "alu", "ADD OR ADC SBB AND SUB XOR CMP TEST, all forms" },
	[FAM_UNARY] = { "unary", "INC DEC NEG NOT" },
	[FAM_SHIFT] = { "shift", "shifts, rotates, SHLD, SHRD" },
	[FAM_MULDIV] = { "muldiv", "MUL IMUL DIV IDIV" },
	[FAM_BIT] = { "bit", "BT BTS BTR BTC BSF BSR BSWAP" },
	[FAM_V2] = { "v2", "POPCNT, CRC32" },
	[FAM_ATOMIC] = { "atomic", "XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B" },
	[FAM_MOV] = { "mov", "MOV MOVZX MOVSX MOVSXD LEA XLAT MOVNTI conversions" },
	[FAM_COND] = { "cond", "CMOVcc SETcc" },
	[FAM_FLAG] = { "flag", "CLC STC CMC CLD STD LAHF SAHF" },
	[FAM_HINT] = { "hint", "NOP, prefetches, fences, PAUSE, CLFLUSH, CLWB, UD" },
	[FAM_STACK] = { "stack", "PUSH POP ENTER LEAVE" },
	[FAM_BRANCH] = { "branch", "JMP CALL RET Jcc LOOP JRCXZ" },
	[FAM_STRING] = { "string", "MOVS STOS LODS CMPS SCAS with and without REP" },
	[FAM_LEGACY] = { "legacy", "DAA DAS AAA AAS AAM AAD SALC BOUND ARPL: not in 64-bit mode" },
	[FAM_SEQ] = { "seq", "two to twelve instructions with branches, as blocks" },
	[FAM_X87] = { "x87", "D8 to DF, but for environments in memory" },
	[FAM_X87ENV] = { "x87env", "control and status words, FXSAVE's neighbours" },
	[FAM_MMX] = { "mmx", "MMX" },
	[FAM_SSE] = { "sse", "SSE and SSE2 arithmetic, moves, conversions" },
	[FAM_SSEINT] = { "sseint", "SSE2 integers" },
	[FAM_SSE3] = { "sse3", "SSE3 and SSSE3" },
	[FAM_SSE4] = { "sse4", "SSE4.1 and SSE4.2" },
	[FAM_CRYPTO] = { "crypto", "AES, PCLMULQDQ, SHA" },
	[FAM_AVX] = { "avx", "AVX arithmetic, moves, conversions, half precision" },
	[FAM_AVXINT] = { "avxint", "AVX and AVX2 integers, permutations, AES" },
	[FAM_FMA] = { "fma", "FMA" },
	[FAM_AVXMEM] = { "avxmem", "VMASKMOV, gathers, broadcasts" },
	[FAM_BMI] = { "bmi", "BMI1, BMI2, LZCNT, TZCNT, MOVBE, ADX" },
};
const unsigned nr_families = FAM_NR;

#define ONE(f, pre, lo, hi) { FAM_##f, MAP_ONE, PRE_##pre, lo, hi, 0xff, 0 }
#define ONER(f, pre, lo, hi, regs) \
	{ FAM_##f, MAP_ONE, PRE_##pre, lo, hi, regs, ROW_MODRM }
#define ONEL(f, pre, lo, hi, regs) \
	{ FAM_##f, MAP_ONE, PRE_##pre, lo, hi, regs, ROW_MODRM | ROW_LOCK }
#define TWO(f, pre, lo, hi) { FAM_##f, MAP_0F, PRE_##pre, lo, hi, 0xff, 0 }
#define TWOR(f, pre, lo, hi, regs) \
	{ FAM_##f, MAP_0F, PRE_##pre, lo, hi, regs, ROW_MODRM }
#define TWOL(f, pre, lo, hi, regs) \
	{ FAM_##f, MAP_0F, PRE_##pre, lo, hi, regs, ROW_MODRM | ROW_LOCK }
#define M38(f, pre, lo, hi) { FAM_##f, MAP_0F38, PRE_##pre, lo, hi, 0xff, ROW_MODRM }
#define M3A(f, pre, lo, hi) { FAM_##f, MAP_0F3A, PRE_##pre, lo, hi, 0xff, ROW_MODRM }

#define VEX1(f, pre, lo, hi) { FAM_##f, MAP_VEX_0F, PRE_##pre, lo, hi, 0xff, ROW_MODRM }
#define VEX1R(f, pre, lo, hi, regs) { FAM_##f, MAP_VEX_0F, PRE_##pre, lo, hi, regs, ROW_MODRM }
#define VEX2(f, pre, lo, hi) { FAM_##f, MAP_VEX_0F38, PRE_##pre, lo, hi, 0xff, ROW_MODRM }
#define VEX2R(f, pre, lo, hi, regs) { FAM_##f, MAP_VEX_0F38, PRE_##pre, lo, hi, regs, ROW_MODRM }
#define VEX2M(f, pre, lo, hi) \
	{ FAM_##f, MAP_VEX_0F38, PRE_##pre, lo, hi, 0xff, ROW_MODRM | ROW_MEM_ONLY }
#define VEX3(f, pre, lo, hi) { FAM_##f, MAP_VEX_0F3A, PRE_##pre, lo, hi, 0xff, ROW_MODRM }

#define ALL 0xff
#define DIGIT(n) (1u << (n))

const struct row rows[] = {
	ONEL(ALU, ANY, 0x00, 0x03, ALL), ONE(ALU, ANY, 0x04, 0x05),
	ONEL(ALU, ANY, 0x08, 0x0b, ALL), ONE(ALU, ANY, 0x0c, 0x0d),
	ONEL(ALU, ANY, 0x10, 0x13, ALL), ONE(ALU, ANY, 0x14, 0x15),
	ONEL(ALU, ANY, 0x18, 0x1b, ALL), ONE(ALU, ANY, 0x1c, 0x1d),
	ONEL(ALU, ANY, 0x20, 0x23, ALL), ONE(ALU, ANY, 0x24, 0x25),
	ONEL(ALU, ANY, 0x28, 0x2b, ALL), ONE(ALU, ANY, 0x2c, 0x2d),
	ONEL(ALU, ANY, 0x30, 0x33, ALL), ONE(ALU, ANY, 0x34, 0x35),
	ONER(ALU, ANY, 0x38, 0x3b, ALL), ONE(ALU, ANY, 0x3c, 0x3d),
	ONEL(ALU, ANY, 0x80, 0x81, ALL), ONEL(ALU, ANY, 0x83, 0x83, ALL),
	ONER(ALU, ANY, 0x84, 0x85, ALL), ONE(ALU, ANY, 0xa8, 0xa9),
	ONER(ALU, ANY, 0xf6, 0xf7, DIGIT(0) | DIGIT(1)),

	ONEL(UNARY, ANY, 0xfe, 0xff, DIGIT(0) | DIGIT(1)),
	ONEL(UNARY, ANY, 0xf6, 0xf7, DIGIT(2) | DIGIT(3)),

	ONER(SHIFT, ANY, 0xc0, 0xc1, ALL), ONER(SHIFT, ANY, 0xd0, 0xd3, ALL),
	TWOR(SHIFT, ANY, 0xa4, 0xa5, ALL), TWOR(SHIFT, ANY, 0xac, 0xad, ALL),

	ONER(MULDIV, ANY, 0xf6, 0xf7, DIGIT(4) | DIGIT(5)),
	ONER(MULDIV, ANY, 0xf6, 0xf7, DIGIT(6) | DIGIT(7)),
	ONER(MULDIV, ANY, 0x69, 0x69, ALL), ONER(MULDIV, ANY, 0x6b, 0x6b, ALL),
	TWOR(MULDIV, ANY, 0xaf, 0xaf, ALL),

	TWOR(BIT, ANY, 0xa3, 0xa3, ALL), TWOL(BIT, ANY, 0xab, 0xab, ALL),
	TWOL(BIT, ANY, 0xb3, 0xb3, ALL), TWOL(BIT, ANY, 0xbb, 0xbb, ALL),
	TWOL(BIT, ANY, 0xba, 0xba, 0xf0), TWOR(BIT, ANY, 0xbc, 0xbd, ALL),
	TWO(BIT, ANY, 0xc8, 0xcf),

	TWOR(V2, F3, 0xb8, 0xb8, ALL), M38(V2, F2, 0xf0, 0xf1),

	ONEL(ATOMIC, ANY, 0x86, 0x87, ALL), ONE(ATOMIC, ANY, 0x90, 0x97),
	TWOL(ATOMIC, ANY, 0xb0, 0xb1, ALL), TWOL(ATOMIC, ANY, 0xc0, 0xc1, ALL),
	TWOL(ATOMIC, ANY, 0xc7, 0xc7, DIGIT(1)),

	ONER(MOV, ANY, 0x88, 0x8b, ALL), ONER(MOV, ANY, 0x8d, 0x8d, ALL),
	ONER(MOV, ANY, 0x63, 0x63, ALL), ONE(MOV, ANY, 0xa0, 0xa3),
	ONE(MOV, ANY, 0xb0, 0xbf), ONER(MOV, ANY, 0xc6, 0xc7, DIGIT(0)),
	ONE(MOV, ANY, 0xd7, 0xd7), ONE(MOV, ANY, 0x98, 0x99),
	TWOR(MOV, ANY, 0xb6, 0xb7, ALL), TWOR(MOV, ANY, 0xbe, 0xbf, ALL),
	TWOR(MOV, NONE, 0xc3, 0xc3, ALL),

	TWOR(COND, ANY, 0x40, 0x4f, ALL), TWOR(COND, ANY, 0x90, 0x9f, ALL),

	ONE(FLAG, ANY, 0xf5, 0xf5), ONE(FLAG, ANY, 0xf8, 0xf9), ONE(FLAG, ANY, 0xfc, 0xfd),
	ONE(FLAG, ANY, 0x9e, 0x9f),

	TWOR(HINT, ANY, 0x18, 0x19, ALL), TWOR(HINT, ANY, 0x1c, 0x1d, ALL),
	TWOR(HINT, ANY, 0x1f, 0x1f, ALL), TWOR(HINT, ANY, 0x0d, 0x0d, DIGIT(0) | DIGIT(1)),
	ONE(HINT, ANY, 0x90, 0x90), TWO(HINT, ANY, 0x0b, 0x0b), TWOR(HINT, ANY, 0xb9, 0xb9, ALL),
	{ FAM_HINT, MAP_0F, PRE_NONE, 0xae, 0xae, DIGIT(5) | DIGIT(6), ROW_MODRM | ROW_REG_ONLY },
	TWOR(HINT, NONE, 0xae, 0xae, DIGIT(7)), TWOR(HINT, 66, 0xae, 0xae, DIGIT(6) | DIGIT(7)),

	ONE(STACK, ANY, 0x50, 0x5f), ONE(STACK, ANY, 0x68, 0x68), ONE(STACK, ANY, 0x6a, 0x6a),
	ONER(STACK, ANY, 0x8f, 0x8f, DIGIT(0)), ONER(STACK, ANY, 0xff, 0xff, DIGIT(6)),
	ONE(STACK, ANY, 0xc8, 0xc9),

	ONE(BRANCH, ANY, 0x70, 0x7f), ONE(BRANCH, ANY, 0xe0, 0xe3), ONE(BRANCH, ANY, 0xe8, 0xe9),
	ONE(BRANCH, ANY, 0xeb, 0xeb), ONE(BRANCH, ANY, 0xc2, 0xc3),
	ONER(BRANCH, ANY, 0xff, 0xff, DIGIT(2) | DIGIT(4)), TWO(BRANCH, ANY, 0x80, 0x8f),

	ONE(STRING, REP, 0xa4, 0xa7), ONE(STRING, REP, 0xaa, 0xaf),

	{ FAM_UNARY, MAP_ONE, PRE_ANY, 0x40, 0x4f, ALL, ROW_32 },
	{ FAM_STACK, MAP_ONE, PRE_ANY, 0x60, 0x61, ALL, ROW_32 },
	{ FAM_LEGACY, MAP_ONE, PRE_ANY, 0x27, 0x27, ALL, ROW_32 },
	{ FAM_LEGACY, MAP_ONE, PRE_ANY, 0x2f, 0x2f, ALL, ROW_32 },
	{ FAM_LEGACY, MAP_ONE, PRE_ANY, 0x37, 0x37, ALL, ROW_32 },
	{ FAM_LEGACY, MAP_ONE, PRE_ANY, 0x3f, 0x3f, ALL, ROW_32 },
	{ FAM_LEGACY, MAP_ONE, PRE_ANY, 0xd4, 0xd6, ALL, ROW_32 },
	{ FAM_LEGACY, MAP_ONE, PRE_ANY, 0x62, 0x63, ALL, ROW_32 | ROW_MODRM },

	ONER(X87, ANY, 0xd8, 0xd8, ALL), ONER(X87, ANY, 0xd9, 0xd9, 0x2f),
	ONER(X87, ANY, 0xda, 0xdc, ALL), ONER(X87, ANY, 0xdd, 0xdd, 0x8f),
	ONER(X87, ANY, 0xde, 0xdf, ALL),
	{ FAM_X87, MAP_ONE, PRE_ANY, 0xd9, 0xdf, ALL, ROW_MODRM | ROW_REG_ONLY },

	ONER(X87ENV, ANY, 0xd9, 0xd9, DIGIT(5) | DIGIT(7)),
	ONER(X87ENV, ANY, 0xdd, 0xdd, DIGIT(7)), ONE(X87ENV, ANY, 0x9b, 0x9b),
	{ FAM_X87ENV, MAP_ONE, PRE_ANY, 0xdb, 0xdb, DIGIT(4), ROW_MODRM | ROW_REG_ONLY },
	TWOR(X87ENV, NONE, 0xae, 0xae, DIGIT(2) | DIGIT(3)), TWO(X87ENV, NONE, 0x77, 0x77),

	TWOR(MMX, NONE, 0x60, 0x6b, ALL), TWOR(MMX, NONE, 0x6e, 0x70, ALL),
	TWOR(MMX, NONE, 0x71, 0x73, 0x54), TWOR(MMX, NONE, 0x74, 0x76, ALL),
	TWOR(MMX, NONE, 0x7e, 0x7f, ALL), TWOR(MMX, NONE, 0xc4, 0xc5, ALL),
	TWOR(MMX, NONE, 0xd1, 0xd5, ALL), TWOR(MMX, NONE, 0xd7, 0xe5, ALL),
	TWOR(MMX, NONE, 0xe7, 0xef, ALL), TWOR(MMX, NONE, 0xf1, 0xfe, ALL),
	M38(MMX, NONE, 0x00, 0x0b), M38(MMX, NONE, 0x1c, 0x1e), M3A(MMX, NONE, 0x0f, 0x0f),

	TWOR(SSE, SSE, 0x10, 0x17, ALL), TWOR(SSE, SSE, 0x28, 0x2f, ALL),
	TWOR(SSE, SSE, 0x50, 0x5f, ALL), TWOR(SSE, SSE, 0xc2, 0xc2, ALL),
	TWOR(SSE, SSE, 0xc6, 0xc6, ALL), TWOR(SSE, SSE, 0xe6, 0xe6, ALL),
	TWOR(SSE, SSE, 0x5b, 0x5b, ALL), TWOR(SSE, SSE, 0x2a, 0x2d, ALL),

	TWOR(SSEINT, 66, 0x60, 0x6f, ALL), TWOR(SSEINT, SSE, 0x6f, 0x70, ALL),
	TWOR(SSEINT, 66, 0x71, 0x71, 0x54), TWOR(SSEINT, 66, 0x72, 0x72, 0x54),
	TWOR(SSEINT, 66, 0x73, 0x73, 0xcc), TWOR(SSEINT, 66, 0x74, 0x76, ALL),
	TWOR(SSEINT, SSE, 0x7e, 0x7f, ALL), TWOR(SSEINT, 66, 0xc4, 0xc5, ALL),
	TWOR(SSEINT, 66, 0xd1, 0xfe, ALL), TWOR(SSEINT, SSE, 0xd6, 0xd6, ALL),

	TWOR(SSE3, SSE, 0x12, 0x12, ALL), TWOR(SSE3, SSE, 0x16, 0x16, ALL),
	TWOR(SSE3, SSE, 0x7c, 0x7d, ALL), TWOR(SSE3, SSE, 0xd0, 0xd0, ALL),
	TWOR(SSE3, F2, 0xf0, 0xf0, ALL), ONER(SSE3, ANY, 0xdb, 0xdb, DIGIT(1)),
	M38(SSE3, 66, 0x00, 0x0b), M38(SSE3, 66, 0x1c, 0x1e), M3A(SSE3, 66, 0x0f, 0x0f),

	M38(SSE4, 66, 0x10, 0x17), M38(SSE4, 66, 0x20, 0x25), M38(SSE4, 66, 0x28, 0x2b),
	M38(CRYPTO, 66, 0xdb, 0xdf), M38(CRYPTO, NONE, 0xc8, 0xcd), M3A(CRYPTO, NONE, 0xcc, 0xcc),
	M3A(CRYPTO, 66, 0xdf, 0xdf), M3A(CRYPTO, 66, 0x44, 0x44),

	VEX1(AVX, SSE, 0x10, 0x17), VEX1(AVX, SSE, 0x28, 0x2f), VEX1(AVX, SSE, 0x50, 0x5f),
	VEX1(AVX, SSE, 0xc2, 0xc2), VEX1(AVX, SSE, 0xc6, 0xc6), VEX1(AVX, SSE, 0xe6, 0xe6),
	VEX1(AVX, SSE, 0x77, 0x77), VEX1R(AVX, NONE, 0xae, 0xae, DIGIT(2) | DIGIT(3)),
	VEX1(AVX, SSE, 0x7c, 0x7d), VEX1(AVX, SSE, 0xd0, 0xd0), VEX1(AVX, F2, 0xf0, 0xf0),
	VEX2(AVX, 66, 0x0c, 0x0f), VEX2(AVX, 66, 0x13, 0x13), VEX2(AVX, 66, 0x16, 0x17),
	VEX3(AVX, 66, 0x00, 0x0f), VEX3(AVX, 66, 0x17, 0x1d), VEX3(AVX, 66, 0x40, 0x41),
	VEX3(AVX, 66, 0x4a, 0x4b),

	VEX1(AVXINT, 66, 0x60, 0x6f), VEX1(AVXINT, SSE, 0x6f, 0x70),
	VEX1R(AVXINT, 66, 0x71, 0x71, 0x54), VEX1R(AVXINT, 66, 0x72, 0x72, 0x54),
	VEX1R(AVXINT, 66, 0x73, 0x73, 0xcc), VEX1(AVXINT, 66, 0x74, 0x76),
	VEX1(AVXINT, SSE, 0x7e, 0x7f), VEX1(AVXINT, 66, 0xc4, 0xc5), VEX1(AVXINT, 66, 0xd1, 0xfe),
	VEX1(AVXINT, SSE, 0xd6, 0xd6), VEX2(AVXINT, 66, 0x00, 0x0b), VEX2(AVXINT, 66, 0x1c, 0x1e),
	VEX2(AVXINT, 66, 0x20, 0x2b), VEX2(AVXINT, 66, 0x30, 0x41), VEX2(AVXINT, 66, 0x36, 0x36),
	VEX2(AVXINT, 66, 0x45, 0x47), VEX2(AVXINT, 66, 0xdb, 0xdf), VEX3(AVXINT, 66, 0x00, 0x02),
	VEX3(AVXINT, 66, 0x0e, 0x0f), VEX3(AVXINT, 66, 0x14, 0x16), VEX3(AVXINT, 66, 0x20, 0x22),
	VEX3(AVXINT, 66, 0x38, 0x39), VEX3(AVXINT, 66, 0x42, 0x46), VEX3(AVXINT, 66, 0x4c, 0x4c),
	VEX3(AVXINT, 66, 0x60, 0x63), VEX3(AVXINT, 66, 0xdf, 0xdf),

	VEX2(FMA, 66, 0x96, 0x9f), VEX2(FMA, 66, 0xa6, 0xaf), VEX2(FMA, 66, 0xb6, 0xbf),

	VEX2M(AVXMEM, 66, 0x2c, 0x2f), VEX2M(AVXMEM, 66, 0x8c, 0x8c), VEX2M(AVXMEM, 66, 0x8e, 0x8e),
	VEX2M(AVXMEM, 66, 0x90, 0x93), VEX2(AVXMEM, 66, 0x18, 0x1a), VEX2(AVXMEM, 66, 0x58, 0x5a),
	VEX2(AVXMEM, 66, 0x78, 0x79),

	VEX2(BMI, NONE, 0xf2, 0xf2), VEX2R(BMI, NONE, 0xf3, 0xf3, DIGIT(1) | DIGIT(2) | DIGIT(3)),
	VEX2(BMI, SSE, 0xf5, 0xf7), VEX3(BMI, F2, 0xf0, 0xf0), TWOR(BMI, F3, 0xbc, 0xbd, ALL),
	M38(BMI, NONE, 0xf0, 0xf1), M38(BMI, 66, 0xf0, 0xf1), M38(BMI, 66, 0xf6, 0xf6),
	M38(BMI, F3, 0xf6, 0xf6),

	M38(SSE4, 66, 0x30, 0x41), M3A(SSE4, 66, 0x08, 0x0e), M3A(SSE4, 66, 0x14, 0x17),
	M3A(SSE4, 66, 0x20, 0x22), M3A(SSE4, 66, 0x40, 0x42), M3A(SSE4, 66, 0x60, 0x63),
};
const unsigned nr_rows = ARRAY_LEN(rows);
