/*
 * int_bit.c - bit tests, bit scans, POPCNT, BSWAP, CRC32
 *
 * BT and its kin with a register offset address a string of bits: the word
 * they touch may lie up to 2^60 bytes away from the effective address, in
 * either direction.  Only CF is defined; the other flags stay.
 *
 * A scan of zero sets ZF and leaves the destination alone, which software has
 * relied on for thirty years.
 *
 * Spec     [SDM 2] BT, BTS, BTR, BTC, BSF, BSR, POPCNT, BSWAP, CRC32
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

INLINE void carry(struct interp *c, bool cf)
{
	flags_put(c, X86_CF, cf ? X86_CF : 0);
}

INLINE uint64_t bt_apply(unsigned op, uint64_t v, uint64_t bit)
{
	switch (op) {
	case BT_BTS: return v | bit;
	case BT_BTR: return v & ~bit;
	case BT_BTC: return v ^ bit;
	default: return v;
	}
}

INLINE uint64_t bt_offset(const struct interp *c, const struct insn *in)
{
	return in->op[1] ? in->imm : c->gpr[in->rm];
}

/* op[0]: which; op[1]: the offset is an immediate. */
INLINE void bt_reg(struct interp *c, const struct insn *in, unsigned op)
{
	unsigned sz = in->osz;
	uint64_t v = reg_get(c, in->reg, sz);
	uint64_t bit = UINT64_C(1) << (bt_offset(c, in) & (sz * 8 - 1));

	if (op != BT_BT)
		reg_set(c, in->reg, sz, bt_apply(op, v, bit));
	carry(c, v & bit);
}

/* Where the word with the bit is; *ret_n = the bit's number in it. */
INLINE uint64_t bt_ea(struct interp *c, const struct insn *in, unsigned *ret_n)
{
	unsigned sz = in->osz;
	uint64_t off = bt_offset(c, in), ea = insn_ea(c, in);

	*ret_n = (unsigned)off & (sz * 8 - 1);
	if (in->op[1])
		return ea;
	ea += (uint64_t)(sign_extend(off, sz) >> (3 + int_log2(sz))) * sz;
	return ea & size_mask(in->asz);
}

/* The host's LOCK BTx inside the word: with a register offset it would roam too. */
INLINE bool host_bt(unsigned op, void *p, unsigned n, bool lock)
{
	bool cf;

	/* One byte is enough, and never crosses what the caller has checked. */
	p = (uint8_t *)p + n / 8;
	n %= 8;
	if (!lock) {
		uint64_t v = host_load(p, 1), bit = UINT64_C(1) << n;

		host_store(p, 1, bt_apply(op, v, bit));
		return v & bit;
	}
	if (op == BT_BTS)
		cf = __atomic_fetch_or((uint8_t *)p, (uint8_t)(1u << n), __ATOMIC_SEQ_CST) >> n & 1;
	else if (op == BT_BTR)
		cf = __atomic_fetch_and((uint8_t *)p, (uint8_t)~(1u << n), __ATOMIC_SEQ_CST) >> n & 1;
	else
		cf = __atomic_fetch_xor((uint8_t *)p, (uint8_t)(1u << n), __ATOMIC_SEQ_CST) >> n & 1;
	return cf;
}

INLINE void bt_mem(struct interp *c, const struct insn *in, unsigned op)
{
	unsigned n;
	uint64_t ea = bt_ea(c, in, &n);
	struct rmw m;
	bool cf;

	if (op == BT_BT) {
		carry(c, interp_load(c, (enum cpu_sreg)in->seg, ea, in->osz) >> n & 1);
		return;
	}
	interp_rmw_begin(c, &m, (enum cpu_sreg)in->seg, ea, in->osz, in->lock);
	cf = host_bt(op, m.p, n, in->lock);
	interp_rmw_end(c, &m);
	carry(c, cf);
}

#define HANDLERS(op) \
	static void op##_r(struct interp *c, const struct insn *in) { bt_reg(c, in, op); } \
	static void op##_m(struct interp *c, const struct insn *in) { bt_mem(c, in, op); }
HANDLERS(BT_BT)
HANDLERS(BT_BTS)
HANDLERS(BT_BTR)
HANDLERS(BT_BTC)

static insn_fn *const bt_fns[BT_NR][2] = {
	[BT_BT] = { BT_BT_r, BT_BT_m },
	[BT_BTS] = { BT_BTS_r, BT_BTS_m },
	[BT_BTR] = { BT_BTR_r, BT_BTR_m },
	[BT_BTC] = { BT_BTC_r, BT_BTC_m },
};

bool int_bind_bt(const struct zin *z, struct insn *out, unsigned op)
{
	enum form form = int_form(z, out);

	if (form > FORM_MI || form == FORM_RM)
		return false;
	out->op[0] = (uint8_t)op;
	out->op[1] = form == FORM_RI || form == FORM_MI;
	out->fn = bt_fns[op][out->mem];
	return true;
}

/* ---- scans and the like ------------------------------------------------------------------ */

INLINE uint64_t source(struct interp *c, const struct insn *in, unsigned sz)
{
	return in->mem ? mem_get(c, in, sz) : reg_get(c, in->rm, sz);
}

static void bsf(struct interp *c, const struct insn *in)
{
	uint64_t v = source(c, in, in->osz);

	if (v != 0)
		reg_set(c, in->reg, in->osz, (uint64_t)__builtin_ctzll(v));
	flags_put(c, X86_ZF, v == 0 ? X86_ZF : 0);
}

static void bsr(struct interp *c, const struct insn *in)
{
	uint64_t v = source(c, in, in->osz);

	if (v != 0)
		reg_set(c, in->reg, in->osz, (uint64_t)(63 - __builtin_clzll(v)));
	flags_put(c, X86_ZF, v == 0 ? X86_ZF : 0);
}

static void popcnt(struct interp *c, const struct insn *in)
{
	uint64_t v = source(c, in, in->osz);

	reg_set(c, in->reg, in->osz, (uint64_t)__builtin_popcountll(v));
	flags_put(c, X86_ARITH, v == 0 ? X86_ZF : 0);
}

/* Of 16 bits it is undefined; processors give zero. */
static void bswap(struct interp *c, const struct insn *in)
{
	uint64_t v = c->gpr[in->reg];

	if (in->osz == 8)
		c->gpr[in->reg] = __builtin_bswap64(v);
	else if (in->osz == 4)
		c->gpr[in->reg] = __builtin_bswap32((uint32_t)v);
	else
		reg_set(c, in->reg, 2, 0);
}

/* op[0]: bytes of the source. */
static void crc32(struct interp *c, const struct insn *in)
{
	uint64_t v = source(c, in, in->op[0]), crc = (uint32_t)c->gpr[in->reg];

	switch (in->op[0]) {
	case 1:
		__asm__("crc32b %b[v_], %k[d_]" : [d_] "+r" (crc) : [v_] "r" (v));
		break;
	case 2:
		__asm__("crc32w %w[v_], %k[d_]" : [d_] "+r" (crc) : [v_] "r" (v));
		break;
	case 4:
		__asm__("crc32l %k[v_], %k[d_]" : [d_] "+r" (crc) : [v_] "r" (v));
		break;
	default:
		__asm__("crc32q %q[v_], %q[d_]" : [d_] "+r" (crc) : [v_] "r" (v));
		break;
	}
	c->gpr[in->reg] = (uint32_t)crc;
}

bool int_bind_scan(const struct zin *z, struct insn *out, unsigned op)
{
	static insn_fn *const fns[] = {
		[SCAN_BSF] = bsf, [SCAN_BSR] = bsr, [SCAN_POPCNT] = popcnt,
		[SCAN_BSWAP] = bswap, [SCAN_CRC32] = crc32,
	};
	enum form form = int_form(z, out);

	if (form != (op == SCAN_BSWAP ? FORM_R : FORM_RR) && form != FORM_RM)
		return false;
	if (op == SCAN_CRC32)
		out->op[0] = (uint8_t)(z->op[1].size / 8);
	out->fn = fns[op];
	return true;
}
