/*
 * int_bcd.c - DAA, DAS, AAA, AAS, AAM, AAD
 *
 * Not in 64-bit mode.  Flags that the manual leaves undefined keep their value,
 * except those a later adjust would read.
 *
 * Spec     [SDM 2] the six instructions
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

static uint64_t szp(uint8_t v)
{
	return (v & 0x80 ? X86_SF : 0) | (v == 0 ? X86_ZF : 0) |
	       (__builtin_parity(v) ? 0 : X86_PF);
}

#define SZP (X86_SF | X86_ZF | X86_PF)

/* DAA adds, DAS subtracts. */
INLINE void decimal(struct interp *c, bool sub)
{
	uint8_t al = (uint8_t)c->gpr[CPU_RAX], old = al;
	bool cf = c->rflags & X86_CF, af = c->rflags & X86_AF;
	bool low = (old & 15) > 9 || af, high = old > 0x99 || cf, carry = high;

	if (low) {
		/* DAS: a borrow out of the low digit's correction is a carry too. */
		if (sub && old < 6)
			carry = true;
		al = (uint8_t)(sub ? al - 6 : al + 6);
	}
	if (high)
		al = (uint8_t)(sub ? al - 0x60 : al + 0x60);
	reg_set(c, CPU_RAX, 1, al);
	flags_put(c, SZP | X86_CF | X86_AF,
		  szp(al) | (carry ? X86_CF : 0) | (low ? X86_AF : 0));
}

static void daa(struct interp *c, const struct insn *in) { (void)in; decimal(c, false); }
static void das(struct interp *c, const struct insn *in) { (void)in; decimal(c, true); }

INLINE void ascii(struct interp *c, bool sub)
{
	uint16_t ax = (uint16_t)c->gpr[CPU_RAX];
	bool adjust = (ax & 15) > 9 || (c->rflags & X86_AF);

	if (adjust)
		ax = (uint16_t)(sub ? ax - 0x106 : ax + 0x106);
	reg_set(c, CPU_RAX, 2, ax & 0xff0f);
	flags_put(c, X86_CF | X86_AF, adjust ? X86_CF | X86_AF : 0);
}

static void aaa(struct interp *c, const struct insn *in) { (void)in; ascii(c, false); }
static void aas(struct interp *c, const struct insn *in) { (void)in; ascii(c, true); }

static void aam(struct interp *c, const struct insn *in)
{
	uint8_t al = (uint8_t)c->gpr[CPU_RAX], base = (uint8_t)in->imm;

	if (base == 0)
		interp_raise(c, X86_DE);
	reg_set(c, CPU_RAX, 2, (uint64_t)(al / base) << 8 | al % base);
	flags_put(c, SZP, szp((uint8_t)(al % base)));
}

static void aad(struct interp *c, const struct insn *in)
{
	uint16_t ax = (uint16_t)c->gpr[CPU_RAX];
	uint8_t al = (uint8_t)(ax + (ax >> 8) * (uint8_t)in->imm);

	reg_set(c, CPU_RAX, 2, al);
	flags_put(c, SZP, szp(al));
}

bool int_bind_bcd(const struct zin *z, struct insn *out, unsigned op)
{
	static insn_fn *const fns[] = {
		[BCD_DAA] = daa, [BCD_DAS] = das, [BCD_AAA] = aaa, [BCD_AAS] = aas,
		[BCD_AAM] = aam, [BCD_AAD] = aad,
	};

	int_form(z, out);
	out->fn = fns[op];
	return true;
}
