/*
 * sse_str.c - PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM
 *
 * The odd truth: their memory operand need not be aligned, unlike that of every other SSE
 * instruction of its size; and the explicit lengths are in RAX and RDX, signed,
 * saturated to the 16 or 8 elements of a vector.  So lengths are clamped here
 * and one 32-bit thunk serves the 64-bit form too.
 *
 * Spec     [SDM 2] 4.1 (the immediate), PCMPESTRI ...
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

struct str_result {
	uint64_t flags, index;
	__m128i mask;
};

/* Lengths arrive where the C convention has them: ESI and EDX. */
typedef void str_fn(struct str_result *ret_r, int32_t len_a, int32_t len_b, __m128i a, __m128i b);

/* The common end of all string thunks. */
__asm__(THUNK_SECTION
	"th_str_end: pushfq\n\tpopq (%rdi)\n\tmovl %ecx, %ecx\n\tmovq %rcx, 8(%rdi)\n\t"
	"movdqu %xmm0, 16(%rdi)\n\tret\n\t.popsection");

#define THUNK_STR(INS) \
	__asm__(THUNK_SECTION "th_str_" #INS ":\n\t.set fpu_imm, 0\n\t.rept 256\n\t.balign 16\n\t" \
		"movl %esi, %eax\n\t" #INS " $fpu_imm, %xmm1, %xmm0\n\tjmp th_str_end\n\t" \
		".set fpu_imm, fpu_imm + 1\n\t.endr\n\t.popsection"); \
	THUNK_HIDDEN extern const char th_str_##INS[]

THUNK_STR(PCMPESTRI);
THUNK_STR(PCMPESTRM);
THUNK_STR(PCMPISTRI);
THUNK_STR(PCMPISTRM);

static int32_t clamp(uint64_t v, unsigned size)
{
	int64_t n = size == 8 ? (int64_t)v : (int32_t)v;

	return n > 16 ? 16 : n < -16 ? -16 : (int32_t)n;
}

/* osz: of the lengths; op[0]: the result is an index, not a mask. */
static inline void run(struct interp *c, const struct insn *in)
{
	str_fn *fn = (str_fn *)(uintptr_t)in->imm;
	struct str_result r;
	__m128i s;

	s = in->mem ? load_x16u(c, in) : fx(c)->xmm[in->rm];
	fn(&r, clamp(c->gpr[CPU_RAX], in->osz), clamp(c->gpr[CPU_RDX], in->osz),
	   fx(c)->xmm[in->reg], s);
	c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) | (r.flags & X86_ARITH);
	if (in->op[0])
		c->gpr[CPU_RCX] = r.index;
	else
		fx(c)->xmm[0] = r.mask;
}

static void pcmpstr(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	run(c, in);
}

static void vpcmpstr(struct interp *c, const struct insn *in)
{
	avx_gate(c);
	run(c, in);
	if (!in->op[0])
		ymmh(c)[0] = _mm_setzero_si128();
}

static bool bind_any(const struct zin *z, const struct forms *f, struct insn *out)
{
	const char *table;
	bool index = false;

	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_VPCMPESTRI:
		table = th_str_PCMPESTRI;
		index = true;
		break;
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_VPCMPESTRM:
		table = th_str_PCMPESTRM;
		break;
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_VPCMPISTRI:
		table = th_str_PCMPISTRI;
		index = true;
		break;
	case ZYDIS_MNEMONIC_PCMPISTRM:
	case ZYDIS_MNEMONIC_VPCMPISTRM:
		table = th_str_PCMPISTRM;
		break;
	default:
		return false;
	}
	set_thunk(out, table + 16 * f->imm);
	out->osz = f->wide ? 8 : 4;
	out->op[0] = index;
	return true;
}

bool bind_str(const struct zin *z, const struct forms *f, struct insn *out)
{
	out->fn = pcmpstr;
	return bind_any(z, f, out);
}

bool bind_avx_str(const struct zin *z, struct insn *out)
{
	struct forms f = { 0 };
	bool has_imm;

	f.imm = avx_imm(z, &has_imm);
	f.wide = z->i.raw.vex.W && z->i.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
	out->fn = vpcmpstr;
	out->reg = (uint8_t)(ZydisRegisterGetId(z->op[0].reg.value) & 15);
	if (!out->mem)
		out->rm = (uint8_t)(ZydisRegisterGetId(z->op[1].reg.value) & 15);
	return bind_any(z, &f, out);
}
