/*
 * judge.c - random instructions: our engines against the host's processor
 *
 * judge [--engine NAME] [--seed N] [--cases N] [--family F] [--print N] [--list]
 *
 * Every case runs on the host and on one engine; registers, flags that are defined, x87 and SSE
 * state, memory, and a fault's vector, error code and address must agree.  The
 * same seed makes the same cases on every host of one vendor.
 *
 * Lock     none: one thread
 */
#include "base/err.h"
#include "cpu/judge/judge.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATES_PER_INSN 6u
#define REFILL_EVERY 4096u

struct count {
	uint64_t cases, faults, wrong;
};

struct judge {
	const struct candidate *who;
	struct guest *guest;
	struct rng rng;
	struct gen gen;
	uint64_t gs_base;
	struct count counts[64];		/* by family */
	uint8_t shown[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	unsigned print;			/* mismatches shown of a mnemonic */
};

struct verdict {
	bool regs, flags, fx, memory, fault;
	uint64_t at;			/* first byte of memory that differs */
};

/* ---- memory ------------------------------------------------------------------------------ */

static bool is_data(uint64_t addr)
{
	uint64_t n = (addr - BOX_BASE) / PAGE_SIZE;

	return addr >= BOX_BASE && n < BOX_PAGES && box_kinds[n] == BOX_RW;
}

/* Both sides' memory, where it is writable. */
static void poke(struct judge *j, uint64_t addr, const void *src, size_t n)
{
	const uint8_t *p = src;

	for (size_t i = 0; i < n; i++) {
		if (!is_data(addr + i))
			continue;
		*(uint8_t *)(addr + i) = p[i];
		*guest_at(j->guest, addr + i) = p[i];
	}
}

static void refill(struct judge *j)
{
	uint8_t page[PAGE_SIZE];

	for (unsigned n = 0; n < BOX_PAGES; n++) {
		gen_bytes(&j->rng, page, sizeof(page));
		if (box_kinds[n] == BOX_RW)
			poke(j, box_page(n), page, sizeof(page));
	}
}

/* Often one that is allowed; never with bit 17, which AMD has and Intel has not. */
static void poke_mxcsr(struct judge *j, uint64_t addr)
{
	uint32_t v = (uint32_t)rng_next(&j->rng) & ~UINT32_C(0x20000);

	if (rng_chance(&j->rng, 85))
		v &= 0xffff;
	poke(j, addr, &v, sizeof(v));
}

/* News where the operands are. */
static void refill_operands(struct judge *j, const struct gcase *g, const struct state *s,
			    uint64_t target)
{
	uint8_t fresh[32];

	if (g->seq)
		return;
	for (unsigned i = 0; i < g->z.i.operand_count; i++) {
		uint64_t a;

		if (g->z.op[i].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		a = case_address(g, s, i, j->gs_base);
		gen_bytes(&j->rng, fresh, sizeof(fresh));
		/* Strings compare equal for a while, or there would be nothing to repeat. */
		if (!g->rep || rng_chance(&j->rng, 30))
			poke(j, a, fresh, sizeof(fresh));
		if (g->branch)
			poke(j, a, &target, sizeof(target));
		if (g->z.i.mnemonic == ZYDIS_MNEMONIC_LDMXCSR ||
		    g->z.i.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR)
			poke_mxcsr(j, a);
	}
}

static bool memory_same(struct judge *j, uint64_t *ret_at)
{
	for (unsigned n = 0; n < BOX_PAGES; n++) {
		const uint8_t *a = (const uint8_t *)box_page(n), *b;

		if (box_kinds[n] != BOX_RW)
			continue;
		b = guest_at(j->guest, box_page(n));
		if (memcmp(a, b, PAGE_SIZE) == 0)
			continue;
		for (unsigned i = 0; i < PAGE_SIZE; i++) {
			if (a[i] != b[i]) {
				*ret_at = box_page(n) + i;
				return false;
			}
		}
	}
	return true;
}

/* After a difference both go on from the host's bytes. */
static void memory_sync(struct judge *j)
{
	for (unsigned n = 0; n < BOX_PAGES; n++)
		if (box_kinds[n] == BOX_RW)
			memcpy(guest_at(j->guest, box_page(n)), (const void *)box_page(n),
			       PAGE_SIZE);
}

/* ---- code -------------------------------------------------------------------------------- */

/* Bytes that can be written from AT on, up to the page that is missing. */
static unsigned room(uint64_t at, unsigned n)
{
	return (unsigned)min_u64(n, box_page(2) - at);
}

static void put_code(struct judge *j, uint64_t at, const uint8_t *src, unsigned n)
{
	native_put_code(at, src, room(at, n));
	guest_put_code(j->guest, at, src, room(at, n));
}

static void place(struct judge *j, const struct gcase *g)
{
	uint8_t buf[CASE_BYTES + WAY_OUT];

	memcpy(buf, g->bytes, g->len);
	native_way_out(g, buf + g->len);
	put_code(j, g->at, buf, g->len + WAY_OUT);
}

static void unplace(struct judge *j, const struct gcase *g)
{
	uint8_t buf[CASE_BYTES + WAY_OUT];

	memset(buf, 0xcc, sizeof(buf));
	put_code(j, g->at, buf, g->len + WAY_OUT);
}

/* ---- comparison -------------------------------------------------------------------------- */

/*
 * Whether a page outside of the sandbox is there is the affair of either side: the host
 * has the judge itself there, and an engine's memory, the candidate has its tables.
 */
static bool fault_same(const struct outcome *host, const struct outcome *ours)
{
	bool inside = host->cr2 - BOX_BASE < BOX_PAGES * PAGE_SIZE;
	uint32_t mask = inside ? UINT32_MAX : ~X86_PF_P;

	return host->vector == ours->vector && host->cr2 == ours->cr2 &&
	       (host->code & mask) == (ours->code & mask);
}

/* Compatibility mode says nothing about the upper halves, nor about R8 to R15. */
static bool regs_same(const struct gcase *g, const struct state *a, const struct state *b)
{
	if (g->mode == DECODE_64)
		return memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0 && a->rip == b->rip;
	for (unsigned i = 0; i < 8; i++)
		if ((uint32_t)a->gpr[i] != (uint32_t)b->gpr[i])
			return false;
	return a->rip == b->rip;
}

static bool compare(struct judge *j, const struct gcase *g, const struct state *in,
		    struct outcome *host, struct outcome *ours, struct verdict *v)
{
	bool faulted = host->vector != NO_FAULT && host->s.rip == g->at;
	uint64_t mask = mask_flags(g, in, faulted);

	if (j->who->translates && host->vector != NO_FAULT)
		mask &= ~mask_dead_flags(guest_decoder(j->guest), g, host->s.rip);
	mask_fx(g, host->s.fx);
	mask_fx(g, ours->s.fx);
	v->regs = regs_same(g, &host->s, &ours->s);
	v->flags = ((host->s.rflags ^ ours->s.rflags) & mask) == 0;
	v->fx = (faulted && mask_fault_fx(g)) ||
		memcmp(host->s.fx, ours->s.fx, FX_BYTES) == 0;
	v->fault = fault_same(host, ours);
	v->memory = memory_same(j, &v->at);
	return v->regs && v->flags && v->fx && v->fault && v->memory;
}

/*
 * A near branch to an address that is not canonical: the translator finds out at the
 * target, where it no longer knows the branch.
 */
static bool known_fault(struct judge *j, const struct gcase *g, const struct outcome *host,
			const struct outcome *ours)
{
	uint64_t high = ours->s.rip >> 47;

	return j->who->translates && g->branch && host->vector == X86_GP &&
	       host->s.rip == g->at && ours->vector == X86_GP && high != 0 && high != 0x1ffff;
}

/* ---- words ------------------------------------------------------------------------------- */

static void print_fault(const char *who, const struct outcome *o)
{
	if (o->vector == NO_FAULT)
		printf("  %-5s no fault\n", who);
	else
		printf("  %-5s vector %d code 0x%x cr2 0x%llx\n", who, o->vector, o->code,
		       (unsigned long long)o->cr2);
}

static void print_line(const char *name, uint64_t in, uint64_t host, uint64_t ours, bool force)
{
	if (!force && host == ours)
		return;
	printf("  %-8s in %016llx host %016llx ours %016llx%s\n", name, (unsigned long long)in,
	       (unsigned long long)host, (unsigned long long)ours, host == ours ? "" : "  <--");
}

static void print_fx(const struct state *in, const struct outcome *host, const struct outcome *ours)
{
	for (unsigned i = 0; i < FX_BYTES; i += 8) {
		uint64_t a, b, x;
		char name[16];

		if (i == 416)
			i = FX_YMM;
		memcpy(&x, in->fx + i, 8);
		memcpy(&a, host->s.fx + i, 8);
		memcpy(&b, ours->s.fx + i, 8);
		snprintf(name, sizeof(name), "fx+%u", i);
		print_line(name, x, a, b, i == 0);
	}
}

/* The words of all instructions, then the bytes. */
static void print_code(struct judge *j, const struct gcase *g)
{
	char text[128];
	struct zin z;

	for (unsigned at = 0; at < g->len; at += z.i.length) {
		if (!ZYAN_SUCCESS(decode_zydis(guest_decoder(j->guest), g->mode, g->bytes + at,
					       g->len - at, &z)))
			break;
		decode_text(guest_decoder(j->guest), g->mode, g->bytes + at, g->len - at,
			    g->at + at, text, sizeof(text));
		printf("%s%s", at ? "; " : "", text);
	}
	printf("  [");
	for (unsigned i = 0; i < g->len; i++)
		printf("%s%02x", i ? " " : "", g->bytes[i]);
}

static void print_case(struct judge *j, const struct gcase *g, const struct state *in,
		       const struct outcome *host, const struct outcome *ours,
		       const struct verdict *v)
{
	static const char *const names[16] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	printf("%s: %s", g->family->name, g->mode == DECODE_32 ? "32-bit " : "");
	print_code(j, g);
	printf("] at 0x%llx%s%s%s%s%s\n", (unsigned long long)g->at, v->regs ? "" : " REGISTERS",
	       v->flags ? "" : " FLAGS", v->fx ? "" : " FX", v->fault ? "" : " FAULT",
	       v->memory ? "" : " MEMORY");
	print_fault("host", host);
	print_fault("ours", ours);
	for (unsigned i = 0; i < 16; i++)
		print_line(names[i], in->gpr[i], host->s.gpr[i], ours->s.gpr[i], true);
	print_line("rip", in->rip, host->s.rip, ours->s.rip, false);
	print_line("rflags", in->rflags, host->s.rflags, ours->s.rflags, true);
	if (!v->fx)
		print_fx(in, host, ours);
	if (!v->memory)
		printf("  memory at 0x%llx: host %02x ours %02x\n", (unsigned long long)v->at,
		       *(const uint8_t *)v->at, *guest_at(j->guest, v->at));
}

/* ---- one case ---------------------------------------------------------------------------- */

static void run_case(struct judge *j, const struct gcase *g, struct state *s)
{
	struct count *n = &j->counts[g->family - families];
	struct outcome host, ours;
	struct verdict v = { .regs = false };
	uint64_t target = 0;

	gen_state(&j->rng, g, j->gs_base, s, &target);
	if (mask_case(g, s))
		return;
	refill_operands(j, g, s, target);
	native_run(g, s, &host);
	guest_run(j->guest, g, s, &ours);
	if (known_fault(j, g, &host, &ours)) {
		memory_sync(j);
		return;
	}
	n->cases++;
	n->faults += host.vector != NO_FAULT;
	if (compare(j, g, s, &host, &ours, &v))
		return;
	n->wrong++;
	if (j->shown[g->z.i.mnemonic] < j->print) {
		j->shown[g->z.i.mnemonic]++;
		print_case(j, g, s, &host, &ours, &v);
	}
	if (!v.memory)
		memory_sync(j);
}

static void run(struct judge *j, uint64_t cases, const struct family *f)
{
	/* What families that do not look at it find in the x87 and SSE registers. */
	struct state s = { .fx = { 0x7f, 0x03 } };
	struct gcase g;

	s.fx[24] = 0x80;
	s.fx[25] = 0x1f;
	memset(&g, 0, sizeof(g));
	for (uint64_t i = 0; i < cases; i += STATES_PER_INSN) {
		if (i % (REFILL_EVERY * STATES_PER_INSN) == 0)
			refill(j);
		gen_insn(&j->rng, &j->gen, f, &g);
		place(j, &g);
		for (unsigned k = 0; k < STATES_PER_INSN; k++)
			run_case(j, &g, &s);
		unplace(j, &g);
	}
}

static int summary(const struct judge *j)
{
	struct count sum = { 0, 0, 0 };

	printf("%-8s %12s %12s %12s\n", "family", "cases", "faults", "differ");
	for (unsigned i = 0; i < nr_families; i++) {
		const struct count *n = &j->counts[i];

		if (n->cases == 0)
			continue;
		printf("%-8s %12llu %12llu %12llu\n", families[i].name,
		       (unsigned long long)n->cases, (unsigned long long)n->faults,
		       (unsigned long long)n->wrong);
		sum.cases += n->cases;
		sum.faults += n->faults;
		sum.wrong += n->wrong;
	}
	printf("%-8s %12llu %12llu %12llu\n", "all", (unsigned long long)sum.cases,
	       (unsigned long long)sum.faults, (unsigned long long)sum.wrong);
	return sum.wrong != 0 || sum.cases == 0;
}

/* ---- command line ------------------------------------------------------------------------ */

static const struct family *find_family(const char *name)
{
	for (unsigned i = 0; i < nr_families; i++)
		if (strcmp(families[i].name, name) == 0)
			return &families[i];
	fprintf(stderr, "judge: no family \"%s\"; --list shows them\n", name);
	exit(2);
}

static const struct candidate *find_candidate(const char *name)
{
	for (unsigned i = 0; i < nr_candidates; i++)
		if (strcmp(candidates[i].name, name) == 0)
			return &candidates[i];
	fprintf(stderr, "judge: no engine \"%s\"; --list shows them\n", name);
	exit(2);
}

static int list(void)
{
	for (unsigned i = 0; i < nr_candidates; i++)
		printf("%-10s %s\n", candidates[i].name, candidates[i].what);
	for (unsigned i = 0; i < nr_families; i++)
		printf("%-8s %s\n", families[i].name, families[i].what);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: judge [--engine NAME] [--seed N] [--cases N] [--family F]\n"
		"             [--print N] [--list]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' },
		{ "seed", required_argument, NULL, 's' },
		{ "cases", required_argument, NULL, 'n' },
		{ "family", required_argument, NULL, 'f' },
		{ "print", required_argument, NULL, 'p' },
		{ "list", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	const struct candidate *who = &candidates[0];
	const struct family *f = NULL;
	uint64_t cases = 200000;
	struct judge *j = new0(struct judge);
	struct err err;
	int opt, rc;

	if (!j)
		return 1;
	j->rng.s = 1;
	j->print = 2;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'e': who = find_candidate(optarg); break;
		case 's': j->rng.s = strtoull(optarg, NULL, 0); break;
		case 'n': cases = strtoull(optarg, NULL, 0); break;
		case 'f': f = find_family(optarg); break;
		case 'p': j->print = (unsigned)min_u64(strtoull(optarg, NULL, 0), 255); break;
		case 'l': return list();
		default: return usage();
		}
	}
	if (native_open(&err) < 0) {
		fprintf(stderr, "judge: %s\n", err.msg);
		return 1;
	}
	if (!native_has_32())
		printf("this kernel runs no 32-bit code: 64-bit mode only\n");
	j->who = who;
	j->gs_base = native_gs_base();
	j->guest = guest_open(who);
	if (!j->guest)
		return 1;
	if (native_catch(&err) < 0) {
		fprintf(stderr, "judge: %s\n", err.msg);
		return 1;
	}
	gen_open(&j->gen, guest_decoder(j->guest));
	run(j, cases, f);
	rc = summary(j);
	guest_close(j->guest);
	free(j);
	return rc;
}
