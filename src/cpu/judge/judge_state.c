/*
 * judge_state.c - registers and memory for a case
 *
 * Values crowd at edges: zero, signs, carries out of every width, powers of
 * two, floating-point zeros, infinities, NaNs and denormals.  Then every memory
 * operand the decoder names, hidden ones too, gets an address in the sandbox by
 * solving for its base or index; so wild accesses, which would hit the judge's
 * own memory on the host, do not happen.
 *
 * Lock     none
 */
#include "cpu/judge/judge_rows.h"

#include "base/le.h"

#include <string.h>

static uint64_t edge(struct rng *r)
{
	static const uint64_t edges[] = {
		0, 1, 2, UINT64_MAX, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(0x100000000), INT64_MAX,
		UINT64_C(1) << 63, UINT64_C(0x7fffffffffff), UINT64_C(0x800000000000),
		UINT64_C(0x5555555555555555), UINT64_C(0xffffffff80000000),
	};

	switch (rng_below(r, 8)) {
	case 0:
	case 1:
		return edges[rng_below(r, ARRAY_LEN(edges))];
	case 2:
		return rng_below(r, 256) - 128;
	case 3:
		return (UINT64_C(1) << rng_below(r, 64)) + rng_below(r, 3) - 1;
	case 4:
		return rng_next(r) & 0xffffffff;
	default:
		return rng_next(r) >> rng_below(r, 2) * rng_below(r, 64);
	}
}

/* A float or double of an interesting class, or a small exact number. */
static uint64_t edge_double(struct rng *r)
{
	static const uint64_t edges[] = {
		0, UINT64_C(1) << 63, UINT64_C(0x3ff0000000000000), UINT64_C(0xbff0000000000000),
		UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000),
		UINT64_C(0x7ff8000000000000), UINT64_C(0x7ff0000000000001), 1,
		UINT64_C(0x000fffffffffffff), UINT64_C(0x0010000000000000),
		UINT64_C(0x7fefffffffffffff), UINT64_C(0x43e0000000000000),
		UINT64_C(0xc1e0000000000000), UINT64_C(0x41dfffffffc00000),
	};
	double v;

	if (rng_chance(r, 50))
		return edges[rng_below(r, ARRAY_LEN(edges))];
	if (rng_chance(r, 40))
		return (rng_next(r) & ~(UINT64_C(0x7ff) << 52)) | (0x3f0 + rng_below(r, 32)) << 52;
	v = (double)(int64_t)(rng_below(r, 4096) - 2048) / (double)(1 << rng_below(r, 5));
	return ld64(&v);
}

static uint32_t edge_float(struct rng *r)
{
	static const uint32_t edges[] = {
		0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0x7f800001, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000,
	};
	float v;

	if (rng_chance(r, 50))
		return edges[rng_below(r, ARRAY_LEN(edges))];
	if (rng_chance(r, 40))
		return ((uint32_t)rng_next(r) & 0x807fffff) |
		       (uint32_t)(0x70 + rng_below(r, 32)) << 23;
	v = (float)(int64_t)(rng_below(r, 4096) - 2048) / (float)(1 << rng_below(r, 5));
	return ld32(&v);
}

static void edge_extended(struct rng *r, uint8_t *dst)
{
	static const uint16_t exps[] = { 0, 1, 0x3fff, 0x7ffe, 0x7fff, 0x403e, 0x3c00, 0x43fe };
	uint64_t m = rng_chance(r, 30) ? 0 : rng_chance(r, 30) ? UINT64_MAX : rng_next(r);
	uint16_t e = rng_chance(r, 40) ? exps[rng_below(r, ARRAY_LEN(exps))] :
		     (uint16_t)(0x3ff0 + rng_below(r, 32));

	/* The integer bit is wrong in one of ten: pseudo-denormals, unnormals. */
	if ((e != 0) != rng_chance(r, 5))
		m |= UINT64_C(1) << 63;
	if (m == 0 && e != 0 && rng_chance(r, 90))
		m = UINT64_C(1) << 63;
	if (rng_chance(r, 10))
		m = e = 0;
	st64(dst, m);
	st16(dst + 8, (uint16_t)(e | (rng_next(r) & 0x8000)));
}

void gen_bytes(struct rng *r, void *dst, size_t n)
{
	uint8_t *p = dst;

	for (size_t i = 0; i + 16 <= n; i += 16, p += 16) {
		switch (rng_below(r, 6)) {
		case 0:
			st64(p, edge_double(r));
			st64(p + 8, edge_double(r));
			break;
		case 1:
			for (unsigned k = 0; k < 16; k += 4)
				st32(p + k, edge_float(r));
			break;
		case 2:
			edge_extended(r, p);
			memset(p + 10, 0, 6);
			break;
		case 3:
			st64(p, edge(r));
			st64(p + 8, edge(r));
			break;
		case 4:
			memset(p, (int)rng_next(r), 16);
			break;
		default:
			st64(p, rng_next(r));
			st64(p + 8, rng_next(r));
		}
	}
}

/* ---- x87 and SSE registers ---------------------------------------------------------------- */

static void gen_fx(struct rng *r, const struct gcase *g, struct state *s)
{
	ptrdiff_t fam = g->family - families;
	uint16_t cw = 0x37f, sw = 0;
	uint32_t mxcsr = 0x1f80;
	uint8_t tags = 0xff;

	if (fam < FAM_X87 && !g->seq)
		return;		/* as they were: the integer side must not touch them */
	if (rng_chance(r, 50))
		cw = (uint16_t)((cw & ~0xf00u) | (rng_next(r) & 0xf00));
	if (rng_chance(r, 6))
		cw &= (uint16_t)(~0x3fu | rng_next(r));
	sw = (uint16_t)(rng_next(r) & 0x4700) | (uint16_t)(rng_below(r, 8) << 11);
	if (rng_chance(r, 10))
		sw |= (uint16_t)(rng_next(r) & 0x3f);
	if (sw & ~cw & 0x3f)		/* an unmasked exception is pending */
		sw |= 0x8080;
	if (rng_chance(r, 25))
		tags = (uint8_t)rng_next(r);
	if (rng_chance(r, 40))
		mxcsr = (mxcsr & ~0xe040u) | ((uint32_t)rng_next(r) & 0xe040);
	if (rng_chance(r, 6))
		mxcsr &= ~0x1f80u | (uint32_t)rng_next(r);
	if (rng_chance(r, 10))
		mxcsr |= (uint32_t)rng_next(r) & 0x3f;
	st16(s->fx, cw);
	st16(s->fx + 2, sw);
	s->fx[4] = tags;
	st32(s->fx + 24, mxcsr);
	for (unsigned i = 0; i < 8; i++)
		edge_extended(r, s->fx + 32 + i * 16);
	gen_bytes(r, s->fx + 160, 256);
	gen_bytes(r, s->fx + FX_YMM, 256);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static uint64_t data_address(struct rng *r, unsigned size)
{
	static const uint8_t borders[] = { 4, 5, 5, 6, 7, 8, 9, 9, 10 };
	unsigned page = rng_chance(r, 50) ? 4 : 8;
	uint64_t align = size >= 32 ? 31 : size >= 16 || rng_chance(r, 60) ? 15 : 0;

	if (rng_chance(r, 9))
		return box_page(borders[rng_below(r, sizeof(borders))]) - rng_below(r, size + 8u);
	return box_page(page) +
	       ((1024 + rng_below(r, 2 * PAGE_SIZE - 2048)) & ~align) +
	       (align && rng_chance(r, 8) ? rng_below(r, align + 1) : 0);
}

static int gpr_of(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return (int)(r - ZYDIS_REGISTER_RAX);
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return (int)(r - ZYDIS_REGISTER_EAX);
	return -1;
}

static void set_address(struct rng *r, struct state *s, int reg, uint64_t v, bool low)
{
	s->gpr[reg] = low ? (v & 0xffffffff) | (rng_next(r) & ~UINT64_C(0xffffffff)) : v;
}

static bool masks_bytes(const struct gcase *g)
{
	return g->z.i.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ||
	       g->z.i.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
	       g->z.i.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
}

/* Solves base + index * scale + disp = an address of ours. */
static void solve(struct rng *r, const struct gcase *g, const ZydisDecodedOperand *op,
		  uint64_t gs_base, struct state *s)
{
	const ZydisDecodedOperandMem *m = &op->mem;
	unsigned size = op->size / 8u, scale = m->scale ? m->scale : 1;
	int base = gpr_of(m->base), index = gpr_of(m->index);
	uint64_t t = data_address(r, size ? size : 1) - (uint64_t)m->disp.value;
	bool low = g->z.i.address_width == 32;

	/* Whether bytes that are masked out are looked at is each processor's affair. */
	if (masks_bytes(g))
		t = box_page(4) + 64 + rng_below(r, PAGE_SIZE);
	if (m->segment == ZYDIS_REGISTER_GS)
		t -= gs_base;
	if (base >= 0 && index >= 0 && base != index) {
		/* The stack follows its pointer: that must stay in the low 4 GiB. */
		s->gpr[index] = base == CPU_RSP || rng_chance(r, 60) ? rng_below(r, 4096) : edge(r);
		set_address(r, s, base, t - s->gpr[index] * scale, low);
	} else if (base >= 0 && index >= 0) {
		set_address(r, s, base, t / (1 + scale), low);
	} else if (base >= 0) {
		set_address(r, s, base, t, low);
	} else if (index >= 0) {
		set_address(r, s, index, (low ? t & 0xffffffff : t) / scale, low);
	}
}

/* Elements of a vector of indices, each so that base + index * scale + disp is ours. */
static void solve_indices(struct rng *r, const struct gcase *g, struct state *s, uint64_t gs_base)
{
	const ZydisDecodedOperandMem *m = &g->z.op[1].mem;
	unsigned n = (unsigned)ZydisRegisterGetId(m->index) & 15, size, base = 16;
	uint64_t at = (uint64_t)m->disp.value;

	if (m->type != ZYDIS_MEMOP_TYPE_VSIB)
		return;
	/* The letter after GATHER says how wide indices are. */
	size = strstr(ZydisMnemonicGetString(g->z.i.mnemonic), "gatherq") ? 8 : 4;
	if (gpr_of(m->base) >= 0)
		base = (unsigned)gpr_of(m->base);
	at += base < 16 ? s->gpr[base] : 0;
	if (m->segment == ZYDIS_REGISTER_GS)
		at += gs_base;
	for (unsigned k = 0; k < 32 / size; k++) {
		uint64_t v = data_address(r, 8) - at;

		if (g->z.i.address_width == 32)
			v = (uint64_t)(int64_t)(int32_t)v;
		v = (uint64_t)((int64_t)v / m->scale);
		memcpy(s->fx + (k * size < 16 ? 160 : FX_YMM) + n * 16 + k * size % 16, &v, size);
	}
}

/* Not canonical, in all ways: no process has anything there. */
static uint64_t wild(struct rng *r)
{
	return UINT64_C(0x00ff000000000000) + (rng_next(r) >> 20);
}

static void solve_all(struct rng *r, const struct gcase *g, uint64_t gs_base, struct state *s)
{
	for (unsigned i = 0; i < g->z.i.operand_count; i++)
		if (g->z.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    g->z.op[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN)
			solve(r, g, &g->z.op[i], gs_base, s);
	/* One in fifty goes where #GP or #SS comes from. */
	if (rng_chance(r, 2) && g->z.i.address_width == 64 && !masks_bytes(g))
		for (unsigned i = 0; i < g->z.i.operand_count; i++)
			if (g->z.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
			    gpr_of(g->z.op[i].mem.base) >= 0)
				s->gpr[gpr_of(g->z.op[i].mem.base)] = wild(r);
}

static bool uses_memory(const struct gcase *g)
{
	return g->z.op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

/* Registers that are addresses or counts without the decoder's saying so. */
static void special(struct rng *r, const struct gcase *g, struct state *s)
{
	switch (g->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		if (uses_memory(g) && gpr_of(g->z.op[1].reg.value) >= 0)
			s->gpr[gpr_of(g->z.op[1].reg.value)] = rng_below(r, 16384) - 8192;
		break;
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_LEAVE:
		s->gpr[CPU_RBP] = data_address(r, 8);
		break;
	default:
		break;
	}
	if (g->rep)
		s->gpr[CPU_RCX] = rng_chance(r, 90) ? rng_below(r, 24) :
				  rng_chance(r, 60) ? rng_below(r, 3000) : edge(r);
}

/* RET and indirect branches: what they load, or jump to, must be harmless. */
static uint64_t branch_operand(struct rng *r, const struct gcase *g, struct state *s)
{
	uint64_t t;

	do {
		t = rng_chance(r, 85) ? BOX_BASE + rng_below(r, 2 * PAGE_SIZE) :
		    rng_chance(r, 50) ? wild(r) : box_page(4) + rng_below(r, 5 * PAGE_SIZE);
	} while (t >= g->at && t < g->at + g->len + 16);
	/* A bad target and a bad stack at once: processors differ in what is first. */
	if (g->z.i.mnemonic == ZYDIS_MNEMONIC_CALL)
		s->gpr[CPU_RSP] = box_page(4) + PAGE_SIZE / 2;
	if (g->z.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && gpr_of(g->z.op[0].reg.value) >= 0)
		s->gpr[gpr_of(g->z.op[0].reg.value)] = t;
	return t;
}

uint64_t case_address(const struct gcase *g, const struct state *s, unsigned n, uint64_t gs_base)
{
	const ZydisDecodedOperandMem *m = &g->z.op[n].mem;
	int base = gpr_of(m->base), index = gpr_of(m->index);
	uint64_t a = (uint64_t)m->disp.value;

	if (m->base == ZYDIS_REGISTER_RIP || m->base == ZYDIS_REGISTER_EIP)
		a += g->at + g->len;
	if (base >= 0)
		a += s->gpr[base];
	if (index >= 0)
		a += s->gpr[index] * m->scale;
	if (g->z.i.address_width == 32)
		a = (uint32_t)a;
	return m->segment == ZYDIS_REGISTER_GS ? a + gs_base : a;
}

void gen_state(struct rng *r, const struct gcase *g, uint64_t gs_base, struct state *s,
	       uint64_t *ret_target)
{
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = edge(r);
	s->rflags = 0x202 | (rng_next(r) & X86_ARITH);
	if (rng_chance(r, 10))
		s->rflags |= X86_DF;
	/* Whether AC covers 10 and 16 bytes is each processor's own affair. */
	if (g->family - families < FAM_X87 && !g->seq && rng_chance(r, 2))
		s->rflags |= X86_AC;
	s->gpr[CPU_RSP] = data_address(r, 8);
	if (rng_chance(r, 75))
		s->gpr[CPU_RSP] &= ~UINT64_C(7);
	if (g->seq) {
		seq_state(r, g, s);
	} else {
		special(r, g, s);
		solve_all(r, g, gs_base, s);
	}
	if (g->mode == DECODE_32)
		for (unsigned i = 0; i < 8; i++)
			s->gpr[i] = (uint32_t)s->gpr[i];
	gen_fx(r, g, s);
	if (!g->seq && g->z.op[1].type == ZYDIS_OPERAND_TYPE_MEMORY)
		solve_indices(r, g, s, gs_base);
	s->rip = g->at;
	if (g->branch)
		*ret_target = branch_operand(r, g, s);
}
