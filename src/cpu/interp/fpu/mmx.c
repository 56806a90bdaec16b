/*
 * mmx.c - vector instructions on the eight MMX registers
 *
 * The odd truth: MM0..MM7 are the mantissas of the x87's physical registers.
 * Every MMX instruction, even one that only reads, sets TOP to 0 and marks all
 * eight as in use; a write fills the exponent with ones.  EMMS empties them.
 * The saved image has the x87 registers by stack number, so a TOP other than 0
 * means turning the image once; after that MMX costs nothing extra.
 *
 * Spec     [SDM 3] 12.2 (table 12-1, 12-2), [SDM 2] by name
 * Missing  3DNow!: no model shows it
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

/* Physical register p is at index (p - TOP) of the image. */
void x87_rotate(struct interp *c, unsigned new_top)
{
	struct fxsave *f = fx(c);
	unsigned old = (f->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
	uint8_t st[8][16];

	memcpy(st, f->st, sizeof(st));
	for (unsigned p = 0; p < 8; p++)
		memcpy(f->st[(p - new_top) & 7], st[(p - old) & 7], 16);
	f->fsw = (uint16_t)((f->fsw & ~FSW_TOP) | new_top << FSW_TOP_SHIFT);
}

static void mop_rr(struct interp *c, const struct insn *in)
{
	mmx_gate(c);
	mmx_enter(c);
	mm_set(c, in->reg, MOP(in)(mm_get(c, in->reg), mm_get(c, in->rm)));
}

static void mop_m8(struct interp *c, const struct insn *in)
{
	uint64_t s;

	mmx_gate(c);
	s = interp_load(c, in->seg, insn_ea(c, in), 8);
	mmx_enter(c);
	mm_set(c, in->reg, MOP(in)(mm_get(c, in->reg), s));
}

/* The low unpacks read only what they use. */
static void mop_m4(struct interp *c, const struct insn *in)
{
	uint64_t s;

	mmx_gate(c);
	s = interp_load(c, in->seg, insn_ea(c, in), 4);
	mmx_enter(c);
	mm_set(c, in->reg, MOP(in)(mm_get(c, in->reg), s));
}

static void mop_imm(struct interp *c, const struct insn *in)
{
	mmx_gate(c);
	mmx_enter(c);
	mm_set(c, in->reg, MOP(in)(mm_get(c, in->reg), in->op[0]));
}

static void emms(struct interp *c, const struct insn *in)
{
	(void)in;
	mmx_gate(c);
	mmx_enter(c);
	fx(c)->ftw = 0;
}

#define OPS_MM(X) \
	X(PADDB, mop_m8) X(PADDW, mop_m8) X(PADDD, mop_m8) X(PADDQ, mop_m8) X(PSUBB, mop_m8) \
	X(PSUBW, mop_m8) X(PSUBD, mop_m8) X(PSUBQ, mop_m8) X(PADDSB, mop_m8) X(PADDSW, mop_m8) \
	X(PADDUSB, mop_m8) X(PADDUSW, mop_m8) X(PSUBSB, mop_m8) X(PSUBSW, mop_m8) \
	X(PSUBUSB, mop_m8) X(PSUBUSW, mop_m8) X(PMULLW, mop_m8) X(PMULHW, mop_m8) \
	X(PMULHUW, mop_m8) X(PMULUDQ, mop_m8) X(PMADDWD, mop_m8) X(PAVGB, mop_m8) \
	X(PAVGW, mop_m8) X(PMINUB, mop_m8) X(PMINSW, mop_m8) X(PMAXUB, mop_m8) \
	X(PMAXSW, mop_m8) X(PSADBW, mop_m8) X(PAND, mop_m8) X(PANDN, mop_m8) X(POR, mop_m8) \
	X(PXOR, mop_m8) X(PCMPEQB, mop_m8) X(PCMPEQW, mop_m8) X(PCMPEQD, mop_m8) \
	X(PCMPGTB, mop_m8) X(PCMPGTW, mop_m8) X(PCMPGTD, mop_m8) X(PACKSSWB, mop_m8) \
	X(PACKSSDW, mop_m8) X(PACKUSWB, mop_m8) X(PUNPCKHBW, mop_m8) X(PUNPCKHWD, mop_m8) \
	X(PUNPCKHDQ, mop_m8) X(PUNPCKLBW, mop_m4) X(PUNPCKLWD, mop_m4) X(PUNPCKLDQ, mop_m4) \
	X(PSLLW, mop_m8) X(PSLLD, mop_m8) X(PSLLQ, mop_m8) X(PSRLW, mop_m8) X(PSRLD, mop_m8) \
	X(PSRLQ, mop_m8) X(PSRAW, mop_m8) X(PSRAD, mop_m8) \
	X(PHADDW, mop_m8) X(PHADDD, mop_m8) X(PHADDSW, mop_m8) X(PHSUBW, mop_m8) \
	X(PHSUBD, mop_m8) X(PHSUBSW, mop_m8) X(PMADDUBSW, mop_m8) X(PMULHRSW, mop_m8) \
	X(PSHUFB, mop_m8) X(PSIGNB, mop_m8) X(PSIGNW, mop_m8) X(PSIGND, mop_m8) \
	X(PABSB, mop_m8) X(PABSW, mop_m8) X(PABSD, mop_m8)

#define ROW(INS, MEM) THUNK_M(INS);
OPS_MM(ROW)
#undef ROW
THUNK_MI(PSHUFW, 256);
THUNK_MI(PALIGNR, 256);

bool bind_mmx(const struct zin *z, const struct forms *f, struct insn *out)
{
	if (z->i.mnemonic == ZYDIS_MNEMONIC_EMMS) {
		out->fn = emms;
		return true;
	}
	if (f->op[0] != OP_M)
		return false;
	switch (z->i.mnemonic) {
#define CASE(INS, MEM) \
	case ZYDIS_MNEMONIC_##INS: \
		set_thunk(out, th_m_##INS); \
		out->fn = out->mem ? MEM : mop_rr; \
		break;
	OPS_MM(CASE)
#undef CASE
	case ZYDIS_MNEMONIC_PSHUFW:
		set_thunk(out, th_mi_PSHUFW + 32 * f->imm);
		out->fn = out->mem ? mop_m8 : mop_rr;
		break;
	case ZYDIS_MNEMONIC_PALIGNR:
		set_thunk(out, th_mi_PALIGNR + 32 * f->imm);
		out->fn = out->mem ? mop_m8 : mop_rr;
		break;
	default:
		return false;
	}
	if (f->op[1] == OP_IMM) {
		out->op[0] = f->imm;
		out->fn = mop_imm;
	}
	return true;
}
