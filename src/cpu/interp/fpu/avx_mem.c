/*
 * avx_mem.c - vectors whose elements are loaded or stored one by one: VMASKMOV, gathers
 *
 * What the mask leaves out is not touched, so it cannot fault.  A gather that
 * faults keeps what it has: the elements so far are in the destination and
 * their masks are clear, and when the guest has mended the page it goes on
 * with the others.
 *
 * Spec     [SDM 2] VMASKMOV, VPMASKMOV, VGATHERDPS ..., 2.3.12 (VSIB)
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/avx.h"

/* Bit N: the top bit of element N of SIZE bytes. */
static bool selected(const __m128i mask[2], unsigned size, unsigned n)
{
	return ((const uint8_t *)mask)[size * n + size - 1] & 0x80;
}

static uint64_t element_ea(const struct insn *in, uint64_t ea)
{
	return in->asz == 8 ? ea : in->asz == 4 ? (uint32_t)ea : (uint16_t)ea;
}

/* ---- VMASKMOV: osz bytes of vector, elements of op[1] bytes, mask in op[0] ------------------- */

static void maskmov_load(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	unsigned size = in->op[1];
	__m128i mask[2], v[2] = { _mm_setzero_si128(), _mm_setzero_si128() };

	avx_gate(c);
	avx_get(c, in->op[0], mask);
	for (unsigned n = 0; n < in->osz / size; n++) {
		uint64_t e;

		if (!selected(mask, size, n))
			continue;
		e = interp_load(c, in->seg, element_ea(in, ea + size * n), size);
		memcpy((char *)v + size * n, &e, size);
	}
	avx_put(c, in->reg, v);
}

static void maskmov_store(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	unsigned size = in->op[1];
	__m128i mask[2], v[2];

	avx_gate(c);
	avx_get(c, in->op[0], mask);
	avx_get(c, in->reg, v);
	for (unsigned n = 0; n < in->osz / size; n++)
		if (selected(mask, size, n))
			interp_probe_write(c, in->seg, element_ea(in, ea + size * n), size);
	for (unsigned n = 0; n < in->osz / size; n++) {
		uint64_t e = 0;

		if (!selected(mask, size, n))
			continue;
		memcpy(&e, (const char *)v + size * n, size);
		interp_store(c, in->seg, element_ea(in, ea + size * n), size, e);
	}
}

/* ---- gathers --------------------------------------------------------------------------------- */

/*
 * op[0]: mask; rm: vector of indices; op[1] and op[2]: bytes of an element and
 * of an index; op[3]: their number.
 */
static uint64_t gather_ea(struct interp *c, const struct insn *in, const __m128i index[2],
			  unsigned n)
{
	uint64_t i = 0, base = c->gpr[in->base];

	memcpy(&i, (const char *)index + in->op[2] * n, in->op[2]);
	if (in->op[2] == 4)
		i = (uint64_t)(int32_t)i;
	return element_ea(in, base + (i << in->scale) + (uint64_t)in->disp);
}

/* Byte N of vector register R. */
static char *piece(struct interp *c, unsigned r, unsigned n)
{
	return (char *)(n < 16 ? &fx(c)->xmm[r] : &ymmh(c)[r]) + n % 16;
}

static void gather(struct interp *c, const struct insn *in)
{
	unsigned size = in->op[1], nr = in->op[3];
	__m128i mask[2], index[2], v[2];

	avx_gate(c);
	avx_get(c, in->op[0], mask);
	avx_get(c, in->rm, index);
	avx_get(c, in->reg, v);
	for (unsigned n = 0; n < nr; n++) {
		uint64_t e;

		if (selected(mask, size, n)) {
			e = interp_load(c, in->seg, gather_ea(c, in, index, n), size);
			memcpy((char *)v + size * n, &e, size);
			memcpy(piece(c, in->reg, size * n), &e, size);
		}
		memset(piece(c, in->op[0], size * n), 0, size);
	}
	memset((char *)v + size * nr, 0, 32 - size * nr);
	memset(mask, 0, sizeof(mask));
	avx_put(c, in->reg, v);
	avx_put(c, in->op[0], mask);
}

/* ---- binding ---------------------------------------------------------------------------- */

static uint8_t vector(const ZydisDecodedOperand *o)
{
	return (uint8_t)(ZydisRegisterGetId(o->reg.value) & 15);
}

static bool bind_maskmov(const struct zin *z, unsigned size, struct insn *out)
{
	bool store = z->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;

	out->fn = store ? maskmov_store : maskmov_load;
	out->reg = vector(&z->op[store ? 2 : 0]);
	out->op[0] = vector(&z->op[1]);
	out->op[1] = (uint8_t)size;
	out->osz = z->i.raw.vex.L ? 32 : 16;
	return true;
}

static bool bind_gather(const struct zin *z, unsigned size, unsigned index, struct insn *out)
{
	unsigned bytes = z->i.raw.vex.L ? 32 : 16, wider = size > index ? size : index;

	out->fn = gather;
	out->reg = vector(&z->op[0]);
	out->op[0] = vector(&z->op[2]);
	out->rm = (uint8_t)(ZydisRegisterGetId(z->op[1].mem.index) & 15);
	out->index = REG_NONE;
	out->op[1] = (uint8_t)size;
	out->op[2] = (uint8_t)index;
	out->op[3] = (uint8_t)(bytes / wider);
	return out->reg != out->op[0] && out->reg != out->rm && out->op[0] != out->rm;
}

bool bind_avx_mem(const struct zin *z, struct insn *out)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
		return bind_maskmov(z, 4, out);
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return bind_maskmov(z, 8, out);
	case ZYDIS_MNEMONIC_VGATHERDPS:
	case ZYDIS_MNEMONIC_VPGATHERDD:
		return bind_gather(z, 4, 4, out);
	case ZYDIS_MNEMONIC_VGATHERQPS:
	case ZYDIS_MNEMONIC_VPGATHERQD:
		return bind_gather(z, 4, 8, out);
	case ZYDIS_MNEMONIC_VGATHERDPD:
	case ZYDIS_MNEMONIC_VPGATHERDQ:
		return bind_gather(z, 8, 4, out);
	case ZYDIS_MNEMONIC_VGATHERQPD:
	case ZYDIS_MNEMONIC_VPGATHERQQ:
		return bind_gather(z, 8, 8, out);
	default:
		return false;
	}
}
