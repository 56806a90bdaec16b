/*
 * swap.c - guest R14 and R15 in host registers, where a block has others to spare
 *
 * Two guest registers live in memory, for two of the host's are scratch.  A block
 * that uses them, and has no use for another, lets them change places: that one goes
 * to its place in memory at the beginning and comes back at every end.  Loops,
 * whose blocks have the same swaps, go round without.
 *
 * A register that gives way is one that the block does not name at all, nor any of
 * its handlers: before these everything is put back.
 *
 * Lock     none
 */
#include "cpu/bt/xl.h"

#define ENTRY_COST 3u		/* uses that pay for coming and going */
#define HANDLER_COST 4u

struct uses {
	unsigned nr[16];
	bool out[16];
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

static void count(const struct xl *x, struct uses *u)
{
	for (unsigned n = 0; n < x->s->nr; n++) {
		const struct scan_insn *i = &x->s->insn[n];

		if (i->cls == SCAN_INTERP || (i->cls == SCAN_SYS && x->b->lock != NULL)) {
			u->handlers++;
			continue;
		}
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

/* RBX to RDX have uses that no field tells; RSP as anything but a stack is not for every host. */
static int who_gives(const struct uses *u)
{
	static const uint8_t may[] = {
		CPU_RSI, CPU_RDI, CPU_RBP, CPU_R8, CPU_R9, CPU_R10, CPU_R11, CPU_R12, CPU_R13,
	};

	for (unsigned n = ARRAY_LEN(may); n-- > 0;)
		if (u->nr[may[n]] == 0)
			return may[n];
	return -1;
}

void xl_swaps_choose(struct xl *x)
{
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
		int gives = who_gives(&u);

		if (u.nr[g] * (u.loop ? 4 : 1) <= cost || gives < 0)
			continue;
		x->host[g] = (int8_t)xl_home((unsigned)gives);
		x->host[gives] = H_NONE;
		u.nr[gives] = 1;
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
