/*
 * sse_sha.c - SHA-1 and SHA-256 rounds
 *
 * In plain C, since many hosts of the model's level have no such instructions.
 * The first named word of the manual (A, or W0) is the highest element.
 *
 * Spec     [SDM 2] SHA1RNDS4 ... SHA256MSG2; FIPS 180-4 for what they are for
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

struct words {
	uint32_t w[4];
};

static struct words words_of(__m128i v)
{
	struct words r;

	memcpy(&r, &v, sizeof(r));
	return r;
}

static uint32_t rol(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static uint32_t ror(uint32_t v, unsigned n)
{
	return rol(v, 32 - n);
}

static __m128i sha_source(struct interp *c, const struct insn *in)
{
	sse_gate(c);
	return in->mem ? load_x16(c, in) : fx(c)->xmm[in->rm];
}

static void put(struct interp *c, const struct insn *in, uint32_t w3, uint32_t w2, uint32_t w1,
		uint32_t w0)
{
	fx(c)->xmm[in->reg] = _mm_set_epi32((int)w3, (int)w2, (int)w1, (int)w0);
}

/* ---- SHA-1 ------------------------------------------------------------------------------ */

static uint32_t sha1_f(unsigned step, uint32_t b, uint32_t c, uint32_t d)
{
	switch (step) {
	case 0:
		return (b & c) ^ (~b & d);
	case 2:
		return (b & c) ^ (b & d) ^ (c & d);
	default:
		return b ^ c ^ d;
	}
}

static void sha1rnds4(struct interp *cpu, const struct insn *in)
{
	static const uint32_t k[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
	struct words s = words_of(sha_source(cpu, in)), v = words_of(fx(cpu)->xmm[in->reg]);
	uint32_t a = v.w[3], b = v.w[2], c = v.w[1], d = v.w[0], e = 0;

	for (unsigned n = 0; n < 4; n++) {
		uint32_t t = sha1_f(in->op[0], b, c, d) + rol(a, 5) + s.w[3 - n] + e + k[in->op[0]];

		e = d;
		d = c;
		c = rol(b, 30);
		b = a;
		a = t;
	}
	put(cpu, in, a, b, c, d);
}

static void sha1nexte(struct interp *c, const struct insn *in)
{
	struct words s = words_of(sha_source(c, in)), v = words_of(fx(c)->xmm[in->reg]);

	put(c, in, s.w[3] + rol(v.w[3], 30), s.w[2], s.w[1], s.w[0]);
}

static void sha1msg1(struct interp *c, const struct insn *in)
{
	struct words s = words_of(sha_source(c, in)), v = words_of(fx(c)->xmm[in->reg]);

	put(c, in, v.w[1] ^ v.w[3], v.w[0] ^ v.w[2], s.w[3] ^ v.w[1], s.w[2] ^ v.w[0]);
}

static void sha1msg2(struct interp *c, const struct insn *in)
{
	struct words s = words_of(sha_source(c, in)), v = words_of(fx(c)->xmm[in->reg]);
	uint32_t w16 = rol(v.w[3] ^ s.w[2], 1), w17 = rol(v.w[2] ^ s.w[1], 1);
	uint32_t w18 = rol(v.w[1] ^ s.w[0], 1);

	put(c, in, w16, w17, w18, rol(v.w[0] ^ w16, 1));
}

/* ---- SHA-256 ---------------------------------------------------------------------------- */

/* The destination has C, D, G, H, the source A, B, E, F; K + W are in XMM0. */
static void sha256rnds2(struct interp *cpu, const struct insn *in)
{
	struct words s = words_of(sha_source(cpu, in)), v = words_of(fx(cpu)->xmm[in->reg]);
	struct words wk = words_of(fx(cpu)->xmm[0]);
	uint32_t a = s.w[3], b = s.w[2], c = v.w[3], d = v.w[2], e = s.w[1], f = s.w[0], g = v.w[1],
		 h = v.w[0];

	for (unsigned n = 0; n < 2; n++) {
		uint32_t t = ((e & f) ^ (~e & g)) + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) +
			     wk.w[n] + h;
		uint32_t u = ((a & b) ^ (a & c) ^ (b & c)) + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22));

		h = g;
		g = f;
		f = e;
		e = d + t;
		d = c;
		c = b;
		b = a;
		a = t + u;
	}
	put(cpu, in, a, b, e, f);
}

static uint32_t sigma0(uint32_t w)
{
	return ror(w, 7) ^ ror(w, 18) ^ w >> 3;
}

static uint32_t sigma1(uint32_t w)
{
	return ror(w, 17) ^ ror(w, 19) ^ w >> 10;
}

static void sha256msg1(struct interp *c, const struct insn *in)
{
	struct words s = words_of(sha_source(c, in)), v = words_of(fx(c)->xmm[in->reg]);

	put(c, in, v.w[3] + sigma0(s.w[0]), v.w[2] + sigma0(v.w[3]), v.w[1] + sigma0(v.w[2]),
	    v.w[0] + sigma0(v.w[1]));
}

static void sha256msg2(struct interp *c, const struct insn *in)
{
	struct words s = words_of(sha_source(c, in)), v = words_of(fx(c)->xmm[in->reg]);
	uint32_t w16 = v.w[0] + sigma1(s.w[2]), w17 = v.w[1] + sigma1(s.w[3]);

	put(c, in, v.w[3] + sigma1(w17), v.w[2] + sigma1(w16), w17, w16);
}

bool bind_sha(const struct zin *z, const struct forms *f, struct insn *out)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_SHA1RNDS4:
		out->op[0] = f->imm & 3;
		out->fn = sha1rnds4;
		return true;
	case ZYDIS_MNEMONIC_SHA1NEXTE:
		out->fn = sha1nexte;
		return true;
	case ZYDIS_MNEMONIC_SHA1MSG1:
		out->fn = sha1msg1;
		return true;
	case ZYDIS_MNEMONIC_SHA1MSG2:
		out->fn = sha1msg2;
		return true;
	case ZYDIS_MNEMONIC_SHA256RNDS2:
		out->fn = sha256rnds2;
		return true;
	case ZYDIS_MNEMONIC_SHA256MSG1:
		out->fn = sha256msg1;
		return true;
	case ZYDIS_MNEMONIC_SHA256MSG2:
		out->fn = sha256msg2;
		return true;
	default:
		return false;
	}
}
