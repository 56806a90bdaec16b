/*
 * sse_test.c - every vector instruction against the host
 *
 * All opcodes of the three maps with all mandatory prefixes are tried, so a
 * forgotten instruction fails the test as a wrong one does.
 */
#include "cpu/interp/fpu/fpu_host.h"

/* Those of the SSE sets that belong to other families. */
static bool of_others(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
	case ZYDIS_MNEMONIC_MONITOR:
	case ZYDIS_MNEMONIC_MWAIT:
		return true;
	default:
		return false;
	}
}

static bool ours(ZydisISASet s)
{
	switch (s) {
	case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSEMXCSR:
	case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE2MMX:
	case ZYDIS_ISA_SET_SSE3:
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSSE3MMX:
	case ZYDIS_ISA_SET_SSE4:
	case ZYDIS_ISA_SET_SSE42:
	case ZYDIS_ISA_SET_PENTIUMMMX:
		return true;
	default:
		return false;
	}
}

struct shape {
	uint8_t prefix, map, opcode, rex;
};

/* Registers at random, or memory at [RDI]. */
static unsigned encode(const struct shape *s, bool mem, uint8_t *b)
{
	uint8_t rex = (uint8_t)(0x40 | s->rex | (rnd() & (mem ? 4 : 5)));
	unsigned n = 0;

	if (s->prefix)
		b[n++] = s->prefix;
	if (rex != 0x40 || chance(2))
		b[n++] = rex;
	b[n++] = 0x0f;
	if (s->map)
		b[n++] = s->map;
	b[n++] = s->opcode;
	b[n++] = (uint8_t)(mem ? (rnd() & 0x38) | 7 : rnd() | 0xc0);
	b[n++] = (uint8_t)rnd();
	return n;
}

enum { MXCSR_MASKED, MXCSR_UNMASKED, X87_PENDING };

static void trouble(struct world *w, int kind)
{
	if (kind == MXCSR_UNMASKED) {
		w->fx.mxcsr = (uint32_t)(rnd() & 0xffff & ~(chance(2) ? MXCSR_CONTROL : 0));
		if (chance(2))
			w->fx.mxcsr |= 0x1000;	/* precision hides the others */
	} else if (kind == X87_PENDING) {
		w->fx.fcw = (uint16_t)(w->fx.fcw & ~(1u << rnd() % 6));
		x87_summary(&w->fx);
	}
}

/* The host's stack pointer is its own. */
static bool uses_rsp(const struct zin *z)
{
	for (unsigned k = 0; k < z->i.operand_count_visible; k++)
		if (z->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (z->op[k].reg.value == ZYDIS_REGISTER_ESP ||
		     z->op[k].reg.value == ZYDIS_REGISTER_RSP))
			return true;
	return false;
}

/* CVTPI2PS from memory: a choice of our own, see sse_cvt.c. */
static bool leave_out(const struct zin *z, const struct insn *in, const struct world *w)
{
	return in->mem && z->i.mnemonic == ZYDIS_MNEMONIC_CVTPI2PS &&
	       ((w->fx.fsw & FSW_TOP) || w->fx.ftw != 0xff || x87_pending(host.c));
}

static bool try_one(const struct shape *s, int kind, bool mem, unsigned *nr_faults)
{
	uint8_t b[16] = { 0 };
	struct world before, h, i;
	const char *diff;
	struct insn in;
	struct zin z;
	unsigned n = encode(s, mem, b);

	if (!host_bind(b, n, &in, &z)) {
		n = z.i.length;
		return true;
	}
	if (!ours(z.i.meta.isa_set) || uses_rsp(&z))
		return true;
	rnd_world(&before);
	trouble(&before, kind);
	before.gpr[CPU_RDI] = (uint64_t)(uintptr_t)host.mem;
	if (chance(8))		/* the page's last bytes: nothing may reach beyond */
		before.gpr[CPU_RDI] += PAGE_SIZE - (1u << rnd() % 5);
	else
		before.gpr[CPU_RDI] += 64 * (rnd() & 7) + (chance(4) ? rnd() % 16 : 0);
	memcpy(host.c->xsave, &before.fx, sizeof(before.fx));
	if (leave_out(&z, &in, &before))
		return true;
	h = i = before;
	host_native_run(&h, b, z.i.length);
	if (h.fault == X86_PAGE)
		return true;	/* there is no page table here to fault by */
	host_interp_run(&i, &in);
	*nr_faults += h.fault != NO_FAULT;
	diff = world_differs(&h, &i);
	if (diff)
		host_print(diff, b, z.i.length, &z);
	return diff == NULL;
}

static unsigned sweep(int kind, unsigned tries, unsigned *nr_faults)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 }, maps[] = { 0, 0x38, 0x3a };
	unsigned bad = 0;

	for (unsigned k = 0; k < 2 * 3072; k++) {
		struct shape s = {
			.prefix = prefixes[k & 3], .opcode = (uint8_t)(k >> 2),
			.map = maps[k % 3072 >> 10], .rex = k >= 3072 ? 8 : 0,
		};
		bool same = true;

		if (s.map == 0 && (s.opcode == 0x38 || s.opcode == 0x3a))
			continue;	/* the other maps */
		for (unsigned t = 0; t < tries && same; t++)
			same = try_one(&s, kind, t & 1, nr_faults);
		bad += !same;
	}
	return bad;
}

static void test_same_as_host(void **state)
{
	unsigned nr_faults = 0;

	(void)state;
	host_reset_interp();
	CHECK_EQ(sweep(MXCSR_MASKED, 60, &nr_faults), 0);
	CHECK(nr_faults > 100);		/* alignment */
}

static void test_unmasked(void **state)
{
	unsigned nr_faults = 0;

	(void)state;
	host_reset_interp();
	CHECK_EQ(sweep(MXCSR_UNMASKED, 40, &nr_faults), 0);
	CHECK(nr_faults > 1000);
}

static void test_x87_pending(void **state)
{
	unsigned nr_faults = 0;

	(void)state;
	host_reset_interp();
	CHECK_EQ(sweep(X87_PENDING, 10, &nr_faults), 0);
	CHECK(nr_faults > 100);
}

/* Whatever Zydis calls SSE and the host runs, is bound. */
static void test_complete(void **state)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 }, maps[] = { 0, 0x38, 0x3a };
	unsigned bound = 0, missing = 0;

	(void)state;
	for (unsigned k = 0; k < 2 * 3072; k++) {
		struct shape s = {
			.prefix = prefixes[k & 3], .opcode = (uint8_t)(k >> 2),
			.map = maps[k % 3072 >> 10], .rex = k >= 3072 ? 8 : 0,
		};

		for (unsigned t = 0; t < 16; t++) {
			uint8_t b[16] = { 0 };
			unsigned n = encode(&s, t & 1, b);
			struct insn in;
			struct zin z = { .i = { .meta = { .isa_set = ZYDIS_ISA_SET_INVALID } } };

			if (host_bind(b, n, &in, &z)) {
				bound++;
			} else if (ours(z.i.meta.isa_set) && !of_others(z.i.mnemonic)) {
				host_print("not bound", b, z.i.length, &z);
				missing++;
			}
		}
	}
	CHECK_EQ(missing, 0);
	CHECK(bound > 3000);
}

/* Which refusal comes first, for each class. */
static void test_gates(void **state)
{
	static const struct {
		uint8_t bytes[4], len;
		unsigned em, ts, both, no_osfxsr;
	} rows[] = {
		{ { 0x0f, 0x58, 0xc1 }, 3, X86_UD, X86_NM, X86_UD, X86_UD },		/* ADDPS */
		{ { 0x66, 0x0f, 0xef, 0xc1 }, 4, X86_UD, X86_NM, X86_UD, X86_UD },	/* PXOR xmm */
		{ { 0x0f, 0xef, 0xc1 }, 3, X86_UD, X86_NM, X86_UD, NO_FAULT },		/* PXOR mm */
		{ { 0x0f, 0x77 }, 2, X86_UD, X86_NM, X86_UD, NO_FAULT },		/* EMMS */
		{ { 0x0f, 0xae, 0x17 }, 3, X86_UD, X86_NM, X86_UD, X86_UD },		/* LDMXCSR */
		{ { 0x0f, 0xae, 0x07 }, 3, X86_NM, X86_NM, X86_NM, NO_FAULT },		/* FXSAVE */
		{ { 0x0f, 0xae, 0x27 }, 3, NO_FAULT, X86_NM, X86_NM, NO_FAULT },	/* XSAVE */
		{ { 0x0f, 0xc3, 0x07 }, 3, NO_FAULT, NO_FAULT, NO_FAULT, NO_FAULT },	/* MOVNTI */
		{ { 0xd9, 0xe8 }, 2, X86_NM, X86_NM, X86_NM, NO_FAULT },		/* FLD1 */
		{ { 0xdb, 0xe3 }, 2, X86_NM, X86_NM, X86_NM, NO_FAULT },		/* FNINIT */
		{ { 0x9b }, 1, NO_FAULT, X86_NM, X86_NM, NO_FAULT },			/* FWAIT */
		{ { 0xf3, 0x0f, 0x2a, 0xc0 }, 4, X86_UD, X86_NM, X86_UD, X86_UD },	/* CVTSI2SS */
		{ { 0x0f, 0x2a, 0xc0 }, 3, X86_UD, X86_NM, X86_UD, X86_UD },		/* CVTPI2PS */
	};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		static const uint64_t cr0[4] = { X86_CR0_EM, X86_CR0_TS, X86_CR0_EM | X86_CR0_TS, 0 };
		const unsigned want[4] = { rows[k].em, rows[k].ts, rows[k].both, rows[k].no_osfxsr };
		struct world before, w;
		struct insn in;
		struct zin z;

		CHECK(host_bind(rows[k].bytes, rows[k].len, &in, &z));
		rnd_world(&before);
		before.gpr[CPU_RDI] = (uint64_t)(uintptr_t)host.mem;
		memset(before.mem, 0, 4);
		for (unsigned v = 0; v < 4; v++) {
			host_reset_interp();
			host.c->cr0 |= cr0[v];
			if (v == 3)
				host.c->cr4 &= ~X86_CR4_OSFXSR;
			w = before;
			host_interp_run(&w, &in);
			CHECK_EQ(w.fault, want[v]);
			if (w.fault != NO_FAULT) {
				w.fault = NO_FAULT;
				CHECK(world_differs(&before, &w) == NULL);
			}
		}
	}
}

/* Without OSXMMEXCPT an unmasked error is an undefined opcode. */
static void test_osxmmexcpt(void **state)
{
	static const uint8_t divps[] = { 0x0f, 0x5e, 0xc1 };
	struct world w;
	struct insn in;
	struct zin z;

	(void)state;
	CHECK(host_bind(divps, sizeof(divps), &in, &z));
	for (unsigned on = 0; on < 2; on++) {
		host_reset_interp();
		if (!on)
			host.c->cr4 &= ~X86_CR4_OSXMMEXCPT;
		rnd_world(&w);
		w.fx.mxcsr = MXCSR_DEFAULT & ~(FL_ZE << MXCSR_MASK_SHIFT);
		w.fx.xmm[0] = _mm_set1_epi32(0x3f800000);
		w.fx.xmm[1] = _mm_setzero_si128();
		host_interp_run(&w, &in);
		CHECK_EQ(w.fault, on ? X86_XM : X86_UD);
		CHECK_EQ(w.fx.mxcsr & FPU_FLAGS, FL_ZE);
		CHECK_EQ(_mm_cvtsi128_si32(w.fx.xmm[0]), 0x3f800000);
		CHECK_EQ(host_mxcsr() & ~FPU_FLAGS, MXCSR_DEFAULT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_same_as_host),
		cmocka_unit_test(test_unmasked),
		cmocka_unit_test(test_x87_pending),
		cmocka_unit_test(test_gates),
		cmocka_unit_test(test_osxmmexcpt),
	};
	int r;

	host_open();
	r = cmocka_run_group_tests_name("sse", tests, NULL, NULL);
	host_close();
	return r;
}
