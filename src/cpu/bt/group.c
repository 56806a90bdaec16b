/*
 * group.c - accesses that one look into the TLB can answer for
 *
 * Compiled code reads and writes many fields by one register: the stack by RSP,
 * a structure by its address.  Accesses whose distance is known and small form a
 * group.  The first of them checks the range of all; the difference between host
 * and linear address is kept for the others.
 *
 * When the range crosses a page or the page forbids one of them, the block goes
 * on in a translation without groups, from that instruction on.
 *
 * Lock     none
 */
#include "cpu/bt/scan.h"

#define RANGE_MAX 256
#define MAX_ENTRIES (BT_MAX_INSNS * 2)
#define FIXED 1			/* base of an address without registers */
#define FIRST_VERSION 2
#define FAR (INT64_C(1) << 29)	/* of what is followed: differences must fit a displacement */

/* What a register is known to be: some value nobody knows, plus OFF. */
struct sym {
	uint32_t version;
	int64_t off;
};

struct entry {
	struct scan_mem *m;
	uint64_t page;			/* FIXED */
	uint32_t version, index;	/* of the registers; INDEX times SCALE */
	uint8_t scale;
	int64_t off;
	unsigned at;			/* instruction */
};

struct group {
	uint64_t page;
	uint32_t version, index;
	uint8_t scale;
	int64_t min, max;		/* bytes [min, max) */
	bool write;
	unsigned members;
	struct entry *first;
};

struct grouping {
	struct sym reg[16], seg[2];
	struct sym before[BT_MAX_INSNS][16];	/* reg[] before each instruction */
	uint32_t next;
	struct entry entry[MAX_ENTRIES];
	unsigned nr;
	struct group group[BT_MAX_GROUPS];
	unsigned nr_groups;
};

static void fresh(struct grouping *g, unsigned reg)
{
	g->reg[reg] = (struct sym){ g->next++, 0 };
}

static void all_fresh(struct grouping *g)
{
	for (unsigned i = 0; i < 16; i++)
		fresh(g, i);
	for (unsigned i = 0; i < 2; i++)
		g->seg[i] = (struct sym){ g->next++, 0 };
}

static bool too_far(int64_t off)
{
	return off < -FAR || off > FAR;
}

static void add_access(struct grouping *g, unsigned at, struct scan_mem *m)
{
	struct entry e = { .m = m, .at = at };

	m->group = -1;
	if (m->on != 1 || m->a32 || (m->index != H_NONE && (m->seg >= 0 || m->base == H_NONE)))
		return;
	if (m->fixed) {
		if (((uint64_t)m->disp & PAGE_MASK) + m->size > PAGE_SIZE)
			return;
		e.version = FIXED;
		e.page = (uint64_t)m->disp & ~PAGE_MASK;
	} else if (m->seg >= 0) {
		if (m->base != H_NONE)
			return;
		e.version = g->seg[m->seg - CPU_FS].version;
		e.off = m->disp;
	} else {
		e.version = g->reg[m->base].version;
		e.off = g->reg[m->base].off + m->disp;
		if (m->index != H_NONE) {
			e.index = g->reg[m->index].version;
			e.scale = m->scale;
			e.off += g->reg[m->index].off * (1 << m->scale);
		}
		if (too_far(e.off))
			return;
	}
	g->entry[g->nr++] = e;
}

/* ---- what instructions do to registers ----------------------------------------------- */

/* ADD, SUB, INC, DEC, LEA, MOV of whole registers by known amounts. */
static bool known_change(struct grouping *g, const struct scan_insn *i)
{
	struct sym *dst;

	if (!i->rexw || i->vex || i->p66)
		return false;
	switch (i->in.mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
		if (i->mem.on || i->rm.role != ROLE_GPR || i->reg.role == ROLE_GPR ||
		    (i->opcode != 0x81 && i->opcode != 0x83))
			return false;
		dst = &g->reg[i->rm.n];
		dst->off += i->in.mnemonic == ZYDIS_MNEMONIC_ADD ? (int64_t)i->in.imm :
								   -(int64_t)i->in.imm;
		return true;
	case ZYDIS_MNEMONIC_LEA:
		if (i->mem.fixed || i->mem.a32 || i->mem.index != H_NONE || i->mem.base == H_NONE)
			return false;
		g->reg[i->reg.n] = (struct sym){ g->reg[i->mem.base].version,
						 g->reg[i->mem.base].off + i->mem.disp };
		return true;
	case ZYDIS_MNEMONIC_MOV:
		if (i->mem.on || i->reg.role != ROLE_GPR || i->rm.role != ROLE_GPR)
			return false;
		if (i->opcode == 0x89)
			g->reg[i->rm.n] = g->reg[i->reg.n];
		else if (i->opcode == 0x8b)
			g->reg[i->reg.n] = g->reg[i->rm.n];
		else
			return false;
		return true;
	default:
		return false;
	}
}

static void system_effects(struct grouping *g, const struct scan_insn *i)
{
	switch (i->in.mnemonic) {
	case ZYDIS_MNEMONIC_PUSHFQ:
		g->reg[CPU_RSP].off -= 8;
		break;
	case ZYDIS_MNEMONIC_SWAPGS:
		g->seg[1] = (struct sym){ g->next++, 0 };
		break;
	case ZYDIS_MNEMONIC_CPUID:
		fresh(g, CPU_RBX);
		/* fall through */
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
		fresh(g, CPU_RAX);
		fresh(g, CPU_RCX);
		fresh(g, CPU_RDX);
		break;
	default:
		break;
	}
}

static void effects(struct grouping *g, const struct scan_insn *i)
{
	bool known;

	switch (i->cls) {
	case SCAN_PUSH:
		g->reg[CPU_RSP].off -= 8;
		return;
	case SCAN_POP:
		g->reg[CPU_RSP].off += 8;
		fresh(g, i->oreg.n);
		return;
	case SCAN_LEAVE:
		g->reg[CPU_RSP] = g->reg[CPU_RBP];
		g->reg[CPU_RSP].off += 8;
		fresh(g, CPU_RBP);
		return;
	case SCAN_COPY:
		break;
	case SCAN_SYS:
		system_effects(g, i);
		return;
	case SCAN_INTERP:
		all_fresh(g);
		return;
	case SCAN_REP:
		fresh(g, CPU_RCX);
		fresh(g, CPU_RSI);
		fresh(g, CPU_RDI);
		return;
	default:
		return;
	}
	known = known_change(g, i);
	for (unsigned r = 0; r < 16; r++)
		if ((i->gpr_out >> r & 1) && (!known || too_far(g->reg[r].off)))
			fresh(g, r);
}

/* ---- groups -------------------------------------------------------------------------- */

static bool join(struct group *q, const struct entry *e)
{
	int64_t end = e->off + e->m->size;
	int64_t min = e->off < q->min ? e->off : q->min, max = end > q->max ? end : q->max;

	if (q->version != e->version || q->index != e->index || q->scale != e->scale ||
	    q->page != e->page || max - min > RANGE_MAX)
		return false;
	q->min = min;
	q->max = max;
	q->write |= e->m->write;
	q->members++;
	return true;
}

static int group_of(struct grouping *g, struct entry *e)
{
	for (unsigned n = 0; n < g->nr_groups; n++)
		if (join(&g->group[n], e))
			return (int)n;
	if (g->nr_groups == BT_MAX_GROUPS)
		return -1;
	g->group[g->nr_groups] = (struct group){
		.page = e->page, .version = e->version, .index = e->index, .scale = e->scale, .min = e->off, .max = e->off + e->m->size,
		.write = e->m->write, .members = 1, .first = e,
	};
	return (int)g->nr_groups++;
}

/* A register that holds VERSION before instruction AT: H_NONE, or it and its offset. */
static int holder(const struct grouping *g, unsigned at, uint32_t version, int64_t *ret_off)
{
	for (int r = 0; r < 16; r++)
		if (g->before[at][r].version == version) {
			*ret_off = g->before[at][r].off;
			return r;
		}
	return H_NONE;
}

static bool may_pass(const struct scan_insn *i)
{
	return i->cls == SCAN_COPY || i->cls == SCAN_NOP || i->cls == SCAN_PUSH ||
	       i->cls == SCAN_POP || i->cls == SCAN_LEAVE;
}

/* Whether the address of Q can be told before instruction AT. */
static bool known(const struct grouping *g, const struct group *q, unsigned at)
{
	int64_t off;

	return q->version == FIXED || q->first->m->seg >= 0 ||
	       (holder(g, at, q->version, &off) != H_NONE &&
		(q->index == 0 || holder(g, at, q->index, &off) != H_NONE));
}

/*
 * Where the check is cheap: at the first member, or before, where nobody uses
 * the flags and the address is known already.  Not before a branch: there it might
 * be an address the program has yet to test.  With several rounds in one, as early
 * as can be: who fails there goes on with as many rounds.
 */
static unsigned place(const struct grouping *g, const struct scan *s, const struct group *q)
{
	unsigned at = q->first->at;

	while (at > 0 && (s->unrolled || s->insn[at].live != 0)) {
		if (!may_pass(&s->insn[at - 1]) || !known(g, q, at - 1))
			return s->unrolled ? at : q->first->at;
		at--;
	}
	return s->unrolled || s->insn[at].live == 0 ? at : q->first->at;
}

/* False: the address is too far from what there is. */
static bool describe(const struct grouping *g, const struct group *q, unsigned at,
		     struct scan_mem *ret_m)
{
	struct scan_mem m = *q->first->m;
	int64_t off = 0, index = 0;

	m.write = q->write;
	m.group = -1;
	m.size = (uint16_t)(q->max - q->min);
	if (m.fixed) {			/* the page is what matters */
		m.disp = (int64_t)q->page;
		m.size = (uint16_t)PAGE_SIZE;
	} else if (m.seg >= 0) {
		m.disp = q->min;
	} else {
		m.base = (int8_t)holder(g, at, q->version, &off);
		if (q->index != 0)
			m.index = (int8_t)holder(g, at, q->index, &index);
		m.disp = q->min - off - index * (1 << q->scale);
	}
	*ret_m = m;
	return m.fixed || (m.disp >= -2 * FAR && m.disp <= 2 * FAR);
}

static bool worth_it(const struct scan *s, const struct group *q, unsigned at)
{
	return q->members > 1 || (at != q->first->at && s->insn[q->first->at].live != 0);
}

static void settle(struct grouping *g, struct scan *s)
{
	int8_t number[BT_MAX_GROUPS];

	s->nr_groups = 0;
	for (unsigned n = 0; n < g->nr_groups; n++) {
		unsigned at = place(g, s, &g->group[n]);

		number[n] = -1;
		if (!worth_it(s, &g->group[n], at) ||
		    !describe(g, &g->group[n], at, &s->group[s->nr_groups].all))
			continue;
		number[n] = (int8_t)s->nr_groups;
		s->group[s->nr_groups++].at = (uint8_t)at;
	}
	for (unsigned n = 0; n < g->nr; n++) {
		struct entry *e = &g->entry[n];

		if (e->m->group < 0)
			continue;
		e->m->from = (int16_t)(e->off - g->group[e->m->group].min);
		e->m->group = number[e->m->group];
	}
}

void scan_groups(struct scan *s)
{
	struct grouping work, *g = &work;

	/* The rest is large, and written before it is read. */
	g->next = FIRST_VERSION;
	g->nr = g->nr_groups = 0;
	all_fresh(g);
	for (unsigned n = 0; n < s->nr; n++) {
		for (unsigned r = 0; r < 16; r++)
			g->before[n][r] = g->reg[r];
		add_access(g, n, &s->insn[n].mem);
		add_access(g, n, &s->insn[n].stk);
		effects(g, &s->insn[n]);
	}
	for (unsigned n = 0; n < g->nr; n++)
		g->entry[n].m->group = (int8_t)group_of(g, &g->entry[n]);
	settle(g, s);
}

void scan_no_groups(struct scan *s)
{
	s->nr_groups = 0;
	for (unsigned n = 0; n < s->nr; n++)
		s->insn[n].mem.group = s->insn[n].stk.group = -1;
}
