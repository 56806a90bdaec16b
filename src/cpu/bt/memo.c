/*
 * memo.c - instructions understood before
 *
 * To decode and classify an instruction takes most of the time of a translation,
 * and programs say the same things again and again: with other displacements,
 * immediates and targets, which nothing but a few fields depends on.  What an
 * encoding without those means is kept here.
 *
 * Only the usual forms of 64-bit mode have a shape; others are decoded each time.
 *
 * Spec     [SDM 2] 2.1 to 2.3 formats, A.2 opcode maps
 * Lock     none: a memo belongs to its vCPU's scan
 */
#include "cpu/bt/scan.h"

#include <string.h>

enum {
	S_NO = 0,		/* no shape */
	S_YES = 1,
	S_MODRM = 2,
	S_IMM8 = 4,		/* belongs to the key: it may be part of the meaning */
	S_IMM = 8,		/* 16 or 32 bits by operand size */
	S_IMM64 = 16,		/* 16, 32 or 64 */
	S_REL8 = 32,
	S_REL32 = 64,
	S_GROUP3 = 128,		/* an immediate for reg 0 and 1 only */
};

#define M (S_YES | S_MODRM)
#define MI (M | S_IMM8)
#define ALU M, M, M, M, S_YES | S_IMM8, S_YES | S_IMM, S_NO, S_NO
#define X4(x) x, x, x, x
#define X8(x) X4(x), X4(x)
#define X16(x) X8(x), X8(x)

static const uint8_t map_one[256] = {
	ALU, ALU, ALU, ALU, ALU, ALU, ALU, ALU,
	X16(S_NO),				/* 40: REX, taken before */
	X16(S_YES),				/* 50: PUSH, POP */
	S_NO, S_NO, S_NO, M, X4(S_NO),		/* 60: MOVSXD */
	S_YES | S_IMM, M | S_IMM, S_YES | S_IMM8, MI, X4(S_NO),
	X16(S_YES | S_REL8),			/* 70: Jcc */
	MI, M | S_IMM, S_NO, MI, X4(M),		/* 80 */
	X4(M), M, M, M, S_NO,			/* 8F: POP, XOP */
	X8(S_YES), S_YES, S_YES, S_NO, S_YES, X4(S_YES),	/* 90 */
	X4(S_NO), X4(S_YES), S_YES | S_IMM8, S_YES | S_IMM, S_YES, S_YES, X4(S_YES),	/* A0 */
	X8(S_YES | S_IMM8), X8(S_YES | S_IMM64),	/* B0 */
	MI, MI, S_NO, S_YES, S_NO, S_NO, MI, M | S_IMM,	/* C0: no VEX here */
	S_NO, S_YES, S_NO, S_NO, S_YES, S_NO, S_NO, S_NO,
	X4(M), X4(S_NO), X8(M),			/* D0: shifts, x87 */
	X4(S_NO), X4(S_NO),			/* E0 */
	S_YES | S_REL32, S_YES | S_REL32, S_NO, S_YES | S_REL8, X4(S_NO),
	X4(S_NO), S_NO, S_YES, M | S_IMM8 | S_GROUP3, M | S_IMM | S_GROUP3,	/* F0 */
	S_YES, S_YES, S_YES, S_YES, S_YES, S_YES, M, M,
};

static const uint8_t map_0f[256] = {
	X4(S_NO), X8(S_NO), S_NO, M, S_NO, S_NO,	/* 00 */
	X16(M),					/* 10 */
	X8(S_NO), X8(M),			/* 20 */
	X16(S_NO),				/* 30 */
	X16(M), X16(M), X16(M),			/* 40: CMOVcc; SSE */
	MI, MI, MI, MI, M, M, M, S_NO, S_NO, S_NO, S_NO, S_NO, X4(M),	/* 70 */
	X16(S_YES | S_REL32),			/* 80: Jcc */
	X16(M),					/* 90: SETcc */
	X4(S_NO), MI, M, S_NO, S_NO, X4(S_NO), MI, M, M, M,	/* A0 */
	X8(M), M, S_NO, MI, M, X4(M),		/* B0 */
	M, M, MI, M, MI, MI, MI, M, X8(S_YES),	/* C0 */
	X16(M), X16(M), X8(M), X4(M), M, M, M, S_NO,	/* D0 */
};

struct shape {
	uint8_t key[SCAN_KEY];
	uint8_t len, disp_at, disp_len, imm_at, imm_len;	/* an immediate beside the key */
	bool relative;
};

struct prefixes {
	bool p66, rexw;
	uint8_t map;			/* as scan_insn.map */
	bool vex;
};

/* Prefixes up to the opcode; its place, or 0. */
static unsigned take_prefixes(const uint8_t *b, unsigned room, struct prefixes *ret_p)
{
	unsigned n = 0;

	*ret_p = (struct prefixes){ 0 };
	for (; n < 4 && n < room; n++) {
		if (b[n] == 0x66)
			ret_p->p66 = true;
		else if (b[n] != 0xf0 && b[n] != 0xf2 && b[n] != 0xf3 && b[n] != 0x64 && b[n] != 0x65)
			break;
	}
	if (room - n < 4)
		return 0;
	if (b[n] == 0xc5) {
		ret_p->vex = true;
		ret_p->map = 1;
		return n + 2;
	}
	if (b[n] == 0xc4) {
		ret_p->vex = true;
		ret_p->map = b[n + 1] & 31;
		return ret_p->map >= 1 && ret_p->map <= 3 ? n + 3 : 0;
	}
	if ((b[n] & 0xf0) == 0x40)
		ret_p->rexw = b[n++] & 8;
	if (b[n] != 0x0f)
		return n + 1;
	ret_p->map = b[n + 1] == 0x38 ? 2 : b[n + 1] == 0x3a ? 3 : 1;
	return ret_p->map == 1 ? n + 2 : n + 3;
}

static unsigned class_of(const struct prefixes *p, unsigned opcode)
{
	static const uint8_t by_map[4] = { 0, 0, M, MI };

	if (p->map == 0)
		return map_one[opcode];
	if (p->map > 1)
		return by_map[p->map];
	if (p->vex)			/* VZEROUPPER; never a branch */
		return opcode == 0x77 ? S_YES : map_0f[opcode] & S_REL32 ? S_NO : map_0f[opcode];
	return map_0f[opcode];
}

/* Bytes of ModRM, SIB and displacement; *ret_disp of them the last. */
static unsigned modrm_len(const uint8_t *b, unsigned *ret_disp)
{
	unsigned mod = b[0] >> 6, rm = b[0] & 7, n = 1;

	*ret_disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	if (mod == 3)
		return 1;
	if (rm == 4)
		n = 2;
	if (mod == 0 && (rm == 5 || (rm == 4 && (b[1] & 7) == 5)))
		*ret_disp = 4;
	return n + *ret_disp;
}

/* False: none.  At least 15 bytes lie at B, though only ROOM count. */
static bool shape_of(const uint8_t *b, unsigned room, struct shape *ret_s)
{
	struct prefixes p;
	unsigned at = take_prefixes(b, room, &p), cls, disp = 0, head;

	if (at == 0 || at >= room)
		return false;
	cls = class_of(&p, b[at - 1]);
	if (cls == S_NO || at > 7)
		return false;
	head = at;
	if (cls & S_MODRM) {
		if ((cls & S_GROUP3) && (b[at] >> 3 & 6) != 0)
			cls = M;
		at += modrm_len(b + at, &disp);
		head = at - disp;
	}
	*ret_s = (struct shape){ .disp_at = (uint8_t)head, .disp_len = (uint8_t)disp, .imm_at = (uint8_t)at };
	memcpy(ret_s->key, b, head);
	if (cls & S_IMM8)
		ret_s->key[head] = b[at++];
	else if (cls & (S_REL8 | S_REL32))
		ret_s->imm_len = cls & S_REL8 ? 1 : 4;
	else if (cls & (S_IMM | S_IMM64))
		ret_s->imm_len = p.rexw ? (cls & S_IMM64 ? 8 : 4) : p.p66 ? 2 : 4;
	if ((cls & (S_REL8 | S_REL32)) && p.p66)
		return false;
	ret_s->relative = cls & (S_REL8 | S_REL32);
	ret_s->len = (uint8_t)(at + ret_s->imm_len);
	return ret_s->len <= room && ret_s->len <= INSN_MAX_BYTES;
}

static struct scan_memo *slot_of(struct scan *s, const uint8_t key[SCAN_KEY])
{
	uint64_t k[2];

	memcpy(k, key, sizeof(k));
	k[0] = (k[0] ^ k[1] * UINT64_C(0xff51afd7ed558ccd)) * UINT64_C(0x9e3779b97f4a7c15);
	return &s->memo[k[0] >> 51 & (SCAN_MEMOS - 1)];
}

/* N bytes, sign-extended. */
static int64_t value(const uint8_t *b, unsigned n)
{
	int64_t v;

	memcpy(&v, b, sizeof(v));
	return n == 0 ? 0 : (int64_t)((uint64_t)v << (64 - n * 8)) >> (64 - n * 8);
}

static uint64_t immediate(const struct shape *h, const uint8_t *b)
{
	return (uint64_t)value(b + h->imm_at, h->imm_len);
}

/* Puts in what the template leaves out. */
static void fill_in(const struct shape *h, const uint8_t *b, uint64_t next, struct scan_insn *s)
{
	s->next = next;
	if (h->disp_len != 0) {
		s->in.disp = value(b + h->disp_at, h->disp_len);
		if (s->mem.on)
			s->mem.disp = s->in.disp +
				      (s->in.base == REG_NEXT_RIP ? (int64_t)next : 0);
	}
	if (h->imm_len != 0)
		s->in.imm = immediate(h, b);
	if (s->imm_len != 0)
		s->imm = b + h->len - s->imm_len;
	if (s->cls == SCAN_PUSH)
		s->imm_val = (int64_t)s->in.imm;
	if (s->cls != SCAN_NOP)
		s->target = next + s->in.imm;
}

static bool target_ok(const struct scan_insn *s)
{
	return s->target != s->next && lin_canonical(s->target);
}

bool scan_recall(struct scan *s, const uint8_t *b, unsigned room, uint64_t lin, unsigned mode,
		 struct scan_insn *ret_i)
{
	const struct scan_memo *m;
	struct shape h;

	if (!shape_of(b, room, &h))
		return false;
	h.key[SCAN_KEY - 1] = (uint8_t)((mode & ~(unsigned)BT_PLAIN) + 1);
	m = slot_of(s, h.key);
	if (memcmp(m->key, h.key, SCAN_KEY) != 0)
		return false;
	*ret_i = m->insn;
	fill_in(&h, b, lin + h.len, ret_i);
	return !h.relative || target_ok(ret_i);
}

/* Whether the shape is what the decoder found, and nothing else depends on the values. */
static bool confirmed(const struct shape *h, const uint8_t *b, const struct zin *z,
		      const struct scan_insn *i)
{
	const struct ZydisDecodedInstructionRaw_ *raw = &z->i.raw;

	if (i->in.mnemonic == 0 || z->i.length != h->len || raw->disp.size != h->disp_len * 8 ||
	    raw->imm[1].size != 0)
		return false;
	if (h->disp_len != 0 && (raw->disp.offset != h->disp_at ||
				 i->in.disp != value(b + h->disp_at, h->disp_len)))
		return false;
	if (h->imm_len != 0 && (raw->imm[0].offset != h->imm_at || raw->imm[0].size != h->imm_len * 8 ||
				i->in.imm != immediate(h, b)))
		return false;
	if (h->relative && i->cls != SCAN_JCC && i->cls != SCAN_JMP && i->cls != SCAN_CALL)
		return false;
	return !i->mem.on || !i->mem.a32;
}

void scan_remember(struct scan *s, const uint8_t *b, unsigned room, unsigned mode,
		   const struct zin *z, const struct scan_insn *i)
{
	struct scan_memo *m;
	struct shape h;

	if (!shape_of(b, room, &h) || !confirmed(&h, b, z, i))
		return;
	h.key[SCAN_KEY - 1] = (uint8_t)((mode & ~(unsigned)BT_PLAIN) + 1);
	m = slot_of(s, h.key);
	memcpy(m->key, h.key, SCAN_KEY);
	m->insn = *i;
}
