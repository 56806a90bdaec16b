/*
 * int_string.c - MOVS, STOS, LODS, CMPS, SCAS and their REP forms
 *
 * A kernel copies and clears its pages with REP MOVS and REP STOS, so these go
 * page by page with the host's string instructions where that gives the same bytes: forward,
 * RAM on both sides, no overlap that would repeat bytes.  All else goes element
 * by element.
 *
 * A REP that has run for a while, or sees an event, leaves c->next_rip at itself with
 * the registers as far as they got: the interrupt is taken and the instruction
 * goes on afterwards, as on real hardware.  A fault inside does the same by
 * construction, since the registers are written after each step.  With TF set one
 * element is one instruction.
 *
 * Spec     [SDM 2] the instructions, REP; [SDM 1] 7.3.9.1 fast strings
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#include <string.h>

#define SLICE_ELEMENTS 4096u	/* by single elements before we look at events */
#define SLICE_BYTES (256 * KIB)	/* by pages */
#define FAST_BYTES 32u		/* below this a span costs more than it saves */

enum { SRC = CPU_RSI, DST = CPU_RDI };

/* What stays the same while a string instruction runs. */
struct str {
	unsigned size, asz;
	uint64_t mask;			/* of an address */
	uint64_t step;			/* size or -size */
	enum cpu_sreg seg;		/* of the source */
};

INLINE struct str str_of(const struct interp *c, const struct insn *in)
{
	return (struct str) {
		.size = in->osz,
		.asz = in->asz,
		.mask = size_mask(in->asz),
		.step = c->rflags & X86_DF ? -(uint64_t)in->osz : in->osz,
		.seg = (enum cpu_sreg)in->seg,
	};
}

/* Bytes from OFF to the end of its page in linear space, where segments are flat. */
INLINE uint64_t page_left(const struct interp *c, enum cpu_sreg s, uint64_t off)
{
	uint64_t base = s >= CPU_FS ? c->seg[s].base : 0;

	return PAGE_SIZE - ((base + off) & PAGE_MASK);
}

INLINE void advance(struct interp *c, const struct str *s, unsigned reg, uint64_t by)
{
	reg_set(c, reg, s->asz, (c->gpr[reg] + by) & s->mask);
}

/* ---- one element ------------------------------------------------------------------------- */

INLINE void movs1(struct interp *c, const struct str *s)
{
	uint64_t v = interp_load(c, s->seg, c->gpr[SRC] & s->mask, s->size);

	interp_store(c, CPU_ES, c->gpr[DST] & s->mask, s->size, v);
	advance(c, s, SRC, s->step);
	advance(c, s, DST, s->step);
}

INLINE void stos1(struct interp *c, const struct str *s)
{
	interp_store(c, CPU_ES, c->gpr[DST] & s->mask, s->size, c->gpr[CPU_RAX]);
	advance(c, s, DST, s->step);
}

INLINE void lods1(struct interp *c, const struct str *s)
{
	reg_set(c, CPU_RAX, s->size, interp_load(c, s->seg, c->gpr[SRC] & s->mask, s->size));
	advance(c, s, SRC, s->step);
}

/* The flags of A - B. */
INLINE uint64_t compare(unsigned size, uint64_t a, uint64_t b)
{
	unsigned sh = 64 - size * 8;
	uint32_t ax;

	/* AF comes from bits 3 and 4, which the shift moves away: it is put back. */
	uint64_t af = (a ^ b ^ (a - b)) & X86_AF;
	uint8_t low = (uint8_t)(a - b);

	a <<= sh;
	b <<= sh;
	__asm__("cmpq %[b_], %[a_]\n\t" HOST_FLAGS
		: "=a" (ax) : [a_] "r" (a), [b_] "r" (b) : "cc");
	return (flags_of_host(ax) & ~(uint64_t)(X86_AF | X86_PF)) | af |
	       (__builtin_parity(low) ? 0 : X86_PF);
}

INLINE uint64_t cmps1(struct interp *c, const struct str *s)
{
	uint64_t a = interp_load(c, s->seg, c->gpr[SRC] & s->mask, s->size);
	uint64_t b = interp_load(c, CPU_ES, c->gpr[DST] & s->mask, s->size);

	advance(c, s, SRC, s->step);
	advance(c, s, DST, s->step);
	return compare(s->size, a, b);
}

INLINE uint64_t scas1(struct interp *c, const struct str *s)
{
	uint64_t b = interp_load(c, CPU_ES, c->gpr[DST] & s->mask, s->size);

	advance(c, s, DST, s->step);
	return compare(s->size, c->gpr[CPU_RAX] & size_mask(s->size), b);
}

#define SINGLE(name, body) \
	static void name(struct interp *c, const struct insn *in) \
	{ \
		const struct str s = str_of(c, in); \
		body; \
	}
SINGLE(movs, movs1(c, &s))
SINGLE(stos, stos1(c, &s))
SINGLE(lods, lods1(c, &s))
SINGLE(cmps, flags_put(c, X86_ARITH, cmps1(c, &s)))
SINGLE(scas, flags_put(c, X86_ARITH, scas1(c, &s)))

/* ---- pages ------------------------------------------------------------------------------- */

/*
 * How many elements the next span at OFF may have: inside one page, the count,
 * and the address space of the address size.
 */
INLINE uint64_t span_elements(const struct interp *c, const struct str *s, enum cpu_sreg seg,
			      uint64_t off, uint64_t count)
{
	uint64_t n = page_left(c, seg, off) / s->size;

	if (s->asz != 8)
		n = min_u64(n, (s->mask - off + 1) / s->size);
	return min_u64(n, count);
}

/*
 * Whether a span can be tried at all; limits of segments are checked by the
 * element.  Guest threads may race on memory: the thread sanitizer accepts that
 * of the elements, which it sees as atomics, not of string instructions.
 */
INLINE bool may_span(const struct interp *c, const struct str *s)
{
#ifdef INTERP_TSAN
	(void)c, (void)s;
	return false;
#else
	return !(c->rflags & (X86_DF | X86_TF)) && (c->code64 || c->flat) && s->asz != 2;
#endif
}

/* The elements done, 0 when it has to be done one by one. */
static uint64_t movs_span(struct interp *c, const struct str *s, uint64_t count)
{
	uint64_t src = c->gpr[SRC] & s->mask, dst = c->gpr[DST] & s->mask;
	uint64_t n = span_elements(c, s, CPU_ES, dst, span_elements(c, s, s->seg, src, count));
	_Atomic uint32_t *src_state, *state;
	const uint8_t *from;
	uint64_t ahead;
	uint8_t *to;

	if (n * s->size < FAST_BYTES)
		return 0;
	from = interp_span(c, s->seg, src, (unsigned)(n * s->size), ACCESS_READ, &src_state);
	if (!from)
		return 0;
	to = interp_span(c, CPU_ES, dst, (unsigned)(n * s->size), ACCESS_WRITE, &state);
	if (!to)
		return 0;
	/*
	 * A destination just ahead of its source repeats what it has written;
	 * up to that distance the bytes are still the old ones.
	 */
	ahead = (uint64_t)to - (uint64_t)from;
	if (ahead != 0 && ahead < n * s->size) {
		n = ahead / s->size;
		if (n * s->size < FAST_BYTES)
			return 0;
	}
	host_move(to, from, n * s->size);
	interp_span_written(c, state);
	advance(c, s, SRC, n * s->size);
	advance(c, s, DST, n * s->size);
	return n;
}

INLINE void fill(void *to, unsigned size, uint64_t n, uint64_t v)
{
	switch (size) {
	case 1:
		__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(v) : "memory");
		break;
	case 2:
		__asm__ volatile("rep stosw" : "+D"(to), "+c"(n) : "a"(v) : "memory");
		break;
	case 4:
		__asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(v) : "memory");
		break;
	default:
		__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(v) : "memory");
	}
}

static uint64_t stos_span(struct interp *c, const struct str *s, uint64_t count)
{
	uint64_t dst = c->gpr[DST] & s->mask, v = c->gpr[CPU_RAX];
	uint64_t n = span_elements(c, s, CPU_ES, dst, count);
	_Atomic uint32_t *state;
	void *to;

	if (n * s->size < FAST_BYTES)
		return 0;
	to = interp_span(c, CPU_ES, dst, (unsigned)(n * s->size), ACCESS_WRITE, &state);
	if (!to)
		return 0;
	fill(to, s->size, n, v);
	interp_span_written(c, state);
	advance(c, s, DST, n * s->size);
	return n;
}

/* ---- REP --------------------------------------------------------------------------------- */

INLINE bool interrupted(const struct interp *c)
{
	return c->stop || atomic_load_explicit(&c->events, memory_order_relaxed) != 0;
}

/* The instruction is not done: it runs again, after whatever is pending. */
INLINE void again(struct interp *c)
{
	c->next_rip = c->rip;
	c->stop = 1;
}

INLINE uint64_t count_get(const struct interp *c, const struct str *s)
{
	return c->gpr[CPU_RCX] & s->mask;
}

INLINE uint64_t count_down(struct interp *c, const struct str *s, uint64_t n)
{
	reg_set(c, CPU_RCX, s->asz, (c->gpr[CPU_RCX] - n) & s->mask);
	return count_get(c, s);
}

/* Elements at most before the loop looks up. */
INLINE unsigned slice(const struct interp *c)
{
	return c->rflags & X86_TF || c->slow ? 1 : SLICE_ELEMENTS;
}

/*
 * MOVS and STOS.  Single elements are only as many as it takes to the next page, or
 * to where both lie inside one, when spans can be used.
 */
INLINE void rep_store(struct interp *c, const struct insn *in, bool is_movs)
{
	const struct str s = str_of(c, in);
	uint64_t n = count_get(c, &s), bytes = 0;
	unsigned left = slice(c);
	bool spans = may_span(c, &s) && !c->slow;

	while (n != 0) {
		uint64_t done = 0;

		if (spans && n * s.size >= FAST_BYTES)
			done = is_movs ? movs_span(c, &s, n) : stos_span(c, &s, n);
		if (done == 0) {
			if (is_movs)
				movs1(c, &s);
			else
				stos1(c, &s);
			done = 1;
			left--;
		}
		n = count_down(c, &s, done);
		bytes += done * s.size;
		if (n != 0 && (left == 0 || bytes >= SLICE_BYTES || interrupted(c))) {
			again(c);
			return;
		}
	}
}

static void rep_movs(struct interp *c, const struct insn *in) { rep_store(c, in, true); }
static void rep_stos(struct interp *c, const struct insn *in) { rep_store(c, in, false); }

static void rep_lods(struct interp *c, const struct insn *in)
{
	const struct str s = str_of(c, in);
	uint64_t n = count_get(c, &s);
	unsigned left = slice(c);

	while (n != 0) {
		lods1(c, &s);
		n = count_down(c, &s, 1);
		if (n != 0 && (--left == 0 || interrupted(c))) {
			again(c);
			return;
		}
	}
}

/* CMPS and SCAS: on while the count lasts and ZF is as the prefix asks. */
INLINE void rep_compare(struct interp *c, const struct insn *in, bool is_cmps)
{
	const struct str s = str_of(c, in);
	uint64_t n = count_get(c, &s), f, want = in->rep == 0xf3 ? X86_ZF : 0;
	unsigned left = slice(c);

	while (n != 0) {
		f = is_cmps ? cmps1(c, &s) : scas1(c, &s);
		n = count_down(c, &s, 1);
		if (n == 0 || (f & X86_ZF) != want || --left == 0 || interrupted(c)) {
			flags_put(c, X86_ARITH, f);
			if (n != 0 && (f & X86_ZF) == want)
				again(c);
			return;
		}
	}
}

static void rep_cmps(struct interp *c, const struct insn *in) { rep_compare(c, in, true); }
static void rep_scas(struct interp *c, const struct insn *in) { rep_compare(c, in, false); }

/* The source's segment is the one memory operand that a prefix can change. */
static uint8_t source_seg(const struct zin *z)
{
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *op = &z->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    op->mem.segment >= ZYDIS_REGISTER_ES && op->mem.segment <= ZYDIS_REGISTER_GS &&
		    (op->mem.base == ZYDIS_REGISTER_SI || op->mem.base == ZYDIS_REGISTER_ESI ||
		     op->mem.base == ZYDIS_REGISTER_RSI))
			return (uint8_t)(op->mem.segment - ZYDIS_REGISTER_ES);
	}
	return CPU_DS;
}

bool int_bind_string(const struct zin *z, struct insn *out, unsigned op)
{
	static insn_fn *const fns[][2] = {
		[STR_MOVS] = { movs, rep_movs }, [STR_STOS] = { stos, rep_stos },
		[STR_LODS] = { lods, rep_lods }, [STR_CMPS] = { cmps, rep_cmps },
		[STR_SCAS] = { scas, rep_scas },
	};

	/* MOVSD and CMPSD are names of SSE instructions too. */
	if (z->i.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return false;
	out->osz = z->i.opcode & 1 ? z->i.operand_width / 8 : 1;
	out->asz = z->i.address_width / 8;
	out->rep = int_rep(z);	/* on MOVS, STOS and LODS both mean the same */
	out->seg = source_seg(z);
	out->ends = out->rep != 0;
	out->fn = fns[op][out->rep != 0];
	return true;
}
