/*
 * swap.c - guest R14 and R15 in host registers, where a block has others to spare
 *
 * Two guest registers live in memory, for two of the host's are scratch.  A block
 * that uses them, and has no use for another, lets them change places: that one goes
 * to its place in memory at the beginning and comes back at every end.  Loops,
 * whose blocks have the same swaps, go round without.
 *
 * A register that gives way is one that the block names much less, best not at all.
 * Before handlers everything is put back.
 *
 * Lock     none
 */
#include "cpu/bt/xl.h"

#define ENTRY_COST 3u		/* uses that pay for coming and going */
#define HANDLER_COST 4u

struct uses {
	unsigned nr[16];
	bool out[16];
	uint16_t fixed;			/* cannot be anywhere else */
	unsigned handlers;
	bool loop;
};

static void use_reg(struct uses *u, const struct scan_reg *r)
{
	if (r->role != ROLE_GPR)
		return;
	u->nr[r->n]++;
	u->out[r->n] |= r->out;
}

static void use_mem(struct uses *u, const struct scan_mem *m)
{
	if (!m->on)
		return;
	if (m->base != H_NONE)
		u->nr[m->base & 15]++;
	if (m->index != H_NONE)
		u->nr[m->index & 15]++;
}

static uint16_t named(const struct scan_insn *i)
{
	const struct scan_reg *r[] = { &i->reg, &i->rm, &i->vvvv, &i->oreg };
	uint16_t bits = 0;

	for (unsigned n = 0; n < ARRAY_LEN(r); n++)
		if (r[n]->role == ROLE_GPR)
			bits |= (uint16_t)(1u << r[n]->n);
	return bits;
}

static void count(const struct xl *x, struct uses *u)
{
	for (unsigned n = 0; n < x->s->nr; n++) {
		const struct scan_insn *i = &x->s->insn[n];

		if (i->cls == SCAN_INTERP || (i->cls == SCAN_SYS && x->b->lock != NULL)) {
			u->handlers++;
			continue;
		}
		if (i->hi8)
			u->fixed |= named(i);
		if (i->cls == SCAN_LEAVE)
			u->fixed |= 1u << CPU_RBP;
		if (i->cls == SCAN_REP)
			u->fixed |= 1u << CPU_RSI | 1u << CPU_RDI;
		use_reg(u, &i->reg);
		use_reg(u, &i->rm);
		use_reg(u, &i->vvvv);
		use_reg(u, &i->oreg);
		use_mem(u, &i->mem);
		use_mem(u, &i->stk);
		for (unsigned r = 0; r < 16; r++)
			if (i->gpr_out >> r & 1) {
				u->nr[r] += u->nr[r] == 0;
				u->out[r] = true;
			}
		if ((i->cls == SCAN_JCC || i->cls == SCAN_JMP) && i->target == x->blk->lin)
			u->loop = true;
	}
}

static bool all_fit(const struct scan *s, unsigned in_memory)
{
	for (unsigned n = 0; n < s->nr; n++)
		if (s->insn[n].cls == SCAN_COPY && !scan_fits(&s->insn[n], in_memory))
			return false;
	return true;
}

/* RBX to RDX have uses that no field tells; RSP as anything but a stack is not for every host. */
static int who_gives(const struct xl *x, const struct uses *u, unsigned in_memory)
{
	static const uint8_t may[] = {
		CPU_RSI, CPU_RDI, CPU_RBP, CPU_R8, CPU_R9, CPU_R10, CPU_R11, CPU_R12, CPU_R13,
	};
	int best = -1;

	for (unsigned n = ARRAY_LEN(may); n-- > 0;) {
		unsigned g = may[n];

		if ((u->fixed >> g & 1) || (best >= 0 && u->nr[g] >= u->nr[best]))
			continue;
		if (u->nr[g] == 0 || all_fit(x->s, in_memory | 1u << g))
			best = (int)g;
	}
	return best;
}

void xl_swaps_choose(struct xl *x)
{
	unsigned in_memory = 1u << CPU_R14 | 1u << CPU_R15;
	struct bt_block *k = x->blk;
	struct uses u = { 0 };

	for (unsigned g = 0; g < 16; g++)
		x->host[g] = (int8_t)xl_home(g);
	k->nr_swaps = 0;
	if (x->s->nr == 0)
		return;
	count(x, &u);
	for (unsigned g = CPU_R14; g <= CPU_R15; g++) {
		unsigned cost = ENTRY_COST + u.handlers * HANDLER_COST;
		int gives;

		if (u.nr[g] * (u.loop ? 4 : 1) <= cost)
			continue;
		gives = who_gives(x, &u, in_memory & ~(1u << g));
		if (gives < 0 || u.nr[g] <= u.nr[gives] ||
		    (u.nr[g] - u.nr[gives]) * (u.loop ? 4 : 1) <= cost)
			continue;
		in_memory = (in_memory & ~(1u << g)) | 1u << gives;
		x->host[g] = (int8_t)xl_home((unsigned)gives);
		x->host[gives] = H_NONE;
		u.fixed |= (uint16_t)(1u << gives);
		k->swap[k->nr_swaps++] = (struct bt_swap){ (uint8_t)g, (uint8_t)gives, u.out[g] };
	}
}

void xl_swap_in(struct xl *x, struct em *e)
{
	for (unsigned n = 0; n < x->blk->nr_swaps; n++) {
		struct bt_swap s = x->blk->swap[n];

		e_store(e, xl_slot(x, s.gives), xl_home(s.gives));
		e_load(e, xl_home(s.gives), xl_slot(x, s.in));
	}
}

void xl_swap_out(struct xl *x, struct em *e)
{
	for (unsigned n = 0; n < x->blk->nr_swaps; n++) {
		struct bt_swap s = x->blk->swap[n];

		if (s.changes)
			e_store(e, xl_slot(x, s.in), xl_home(s.gives));
		e_load(e, xl_home(s.gives), xl_slot(x, s.gives));
	}
}
