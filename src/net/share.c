/*
 * share.c - who may send how much to one port that many want
 *
 * Credit is kept in billionths of a byte and made all the time, at the rate of
 * the way out.  A flow takes part from its first frame on and leaves when it
 * was silent for SILENT_NS; it begins with little, so that many who begin
 * together do not exceed the rate by much.  It holds as much as 20 ms make (5
 * without a rate) at most, so a wake-up that comes late costs nothing; when all
 * hold that, nobody competes, and no more is made.
 *
 * An owner without a rate has one all the same while it is full again and
 * again: what it takes.  MEASURE: that is counted, for MEASURE_NS and some turns
 * of full and not full.  HOLD: a little less is given out, so that it is
 * not full, and credit decides instead of who comes first; who wants less than
 * its part always finds room.  PROBE: once in a while a little more is, until it
 * is full again, or, if that does not happen, more and more.  When nobody
 * finds it full or has to wait for credit, there is no contention; nor where one
 * sends alone, who only has to fear that there is no room.
 *
 * Lock     the owner's; only share_is_idle needs none
 */
#include "net/share.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define UNIT ((int64_t)NS_PER_SEC)		/* a byte */
#define BEGIN_BYTES 18028u			/* two of the longest frames */
#define MEASURE_NS (10 * NS_PER_SEC / 1000)
#define MEASURE_MAX_NS (200 * NS_PER_SEC / 1000)
#define TURNS 3u
#define EASE_NS (5 * NS_PER_SEC / 1000)		/* of HOLD, for what it holds to become less */
#define HOLD_NS (200 * NS_PER_SEC / 1000)
#define PROBE_NS (10 * NS_PER_SEC / 1000)
#define BUSY_NS (50 * NS_PER_SEC / 1000)		/* contention is over after so long without */
#define SLOWEST UINT64_C(100000)		/* bytes a second; one that takes less takes nothing */
#define SILENT_NS (100 * NS_PER_SEC / 1000)
#define WAIT_MAX_NS (2 * NS_PER_SEC / 1000)	/* credit grows faster when others stop */
#define WAIT_MIN_NS (200 * NS_PER_SEC / 1000000)	/* wake-ups cost, and some frames at once do no harm */
#define ROUNDS 6u				/* of giving out what some cannot hold */
#define RATE_MAX UINT64_C(100000000000)

struct flow {
	int64_t credit;			/* below 0: it owes */
	uint64_t seen_ns;		/* when it last came */
	uint32_t weight;
	bool in;			/* it takes part, and is in members */
};

enum phase { MEASURE, HOLD, PROBE };

struct share {
	struct share_conf c;
	uint64_t rate;			/* at which credit is made; 0 = not known yet */
	int64_t cap;
	uint64_t last_ns;
	int64_t rest;			/* what rounding left over */
	_Atomic uint64_t busy_ns;	/* until when there is contention; UINT64_MAX: a rate */
	/* Without a rate: */
	enum phase phase;
	uint64_t since_ns;		/* that, and these are counted */
	uint64_t bytes, turns;
	bool was_full;			/* since the last frame that it took */
	unsigned step;			/* in a hundred: how much more the next PROBE gives */
	uint64_t measured;
	unsigned nr;
	uint16_t members[SHARE_FLOWS];
	struct flow f[SHARE_FLOWS];
};

int share_new(struct share **ret_s)
{
	struct share *s = new0(struct share);

	if (s == NULL)
		return -ENOMEM;
	*ret_s = s;
	return 0;
}

void share_free(struct share *s)
{
	free(s);
}

static void forget_all(struct share *s)
{
	for (unsigned k = 0; k < s->nr; k++)
		s->f[s->members[k]] = (struct flow){ 0 };
	s->nr = 0;
	s->rest = 0;
}

/* BURST: bytes that it takes at once. */
static void set_rate(struct share *s, uint64_t rate, uint64_t burst)
{
	s->rate = rate;
	s->cap = (int64_t)max_u64(max_u64(rate / (s->c.rate != 0 ? 50 : 200), burst), BEGIN_BYTES) * UNIT;
}

void share_start(struct share *s, const struct share_conf *c, uint64_t now_ns)
{
	forget_all(s);
	s->c = *c;
	s->c.rate = min_u64(c->rate, RATE_MAX);
	set_rate(s, s->c.rate, 0);
	s->last_ns = now_ns;
	atomic_store(&s->busy_ns, s->c.rate != 0 ? UINT64_MAX : 0);
}

bool share_has_rate(const struct share *s)
{
	return s->c.rate != 0;
}

bool share_is_idle(const struct share *s, uint64_t now_ns)
{
	return now_ns >= atomic_load_explicit(&s->busy_ns, memory_order_relaxed);
}

/* What a round of giving out goes by: those that have room for more. */
struct parts {
	uint64_t sum;			/* of the weights; the default flow's once */
	uint64_t extra;			/* that each gets besides, of what nobody has reserved */
	unsigned nr, nr_default;
};

static void count_parts(const struct share *s, struct parts *p)
{
	*p = (struct parts){ 0 };
	for (unsigned k = 0; k < s->nr; k++) {
		const struct flow *f = &s->f[s->members[k]];

		if (f->credit >= s->cap)
			continue;
		p->nr++;
		p->nr_default += f->weight == 0;
		p->sum += f->weight;
	}
	if (p->nr_default != 0)
		p->sum += s->c.default_weight;
	if (s->c.absolute && p->nr != 0) {
		uint64_t all = s->rate * 8 / 1000;

		/* At least a hundredth of it all: nobody gets nothing. */
		p->extra = (all > p->sum ? all - p->sum : 0) / p->nr;
		p->extra = max_u64(p->extra, p->sum / 100 / p->nr + 1);
		p->sum += p->extra * p->nr;
	}
	p->sum = max_u64(p->sum, 1);
}

/* The part of F, in 65536ths of all; never nothing. */
static int64_t part_of(const struct share *s, const struct flow *f, const struct parts *p)
{
	uint64_t w = f->weight != 0 ? (uint64_t)f->weight << 16
				    : ((uint64_t)s->c.default_weight << 16) / max_u64(p->nr_default, 1);

	return (int64_t)max_u64((w + (p->extra << 16)) / p->sum, 1);
}

/* Gives AMOUNT out; what all cannot hold is gone. */
static void give_out(struct share *s, int64_t amount)
{
	amount += s->rest;
	for (unsigned round = 0; round < ROUNDS && amount >> 16 != 0; round++) {
		int64_t slice = amount >> 16;
		struct parts p;

		count_parts(s, &p);
		if (p.nr == 0) {
			amount = 0;
			break;
		}
		for (unsigned k = 0; k < s->nr; k++) {
			struct flow *f = &s->f[s->members[k]];
			int64_t got = slice * part_of(s, f, &p), room = s->cap - f->credit;

			if (room <= 0)
				continue;
			got = got < room ? got : room;
			got = got < amount ? got : amount;
			f->credit += got;
			amount -= got;
		}
	}
	s->rest = amount < UNIT ? amount : 0;
}

/* Those that are silent leave. */
static void leave(struct share *s, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned k = 0; k < s->nr; k++) {
		struct flow *f = &s->f[s->members[k]];

		if (now_ns >= f->seen_ns + SILENT_NS)
			*f = (struct flow){ 0 };
		else
			s->members[n++] = s->members[k];
	}
	s->nr = n;
}

static void make_credit(struct share *s, uint64_t now_ns)
{
	uint64_t dt;

	if (s->rate == 0 || now_ns <= s->last_ns)
		return;
	dt = min_u64(now_ns - s->last_ns, NS_PER_SEC / 50);
	s->last_ns = now_ns;
	give_out(s, (int64_t)(dt * s->rate));
	leave(s, now_ns);
}

static struct flow *take_part(struct share *s, unsigned i, uint32_t weight, uint64_t now_ns)
{
	struct flow *f = &s->f[i];

	BUG_IF(i >= SHARE_FLOWS);
	if (!f->in) {
		f->in = true;
		f->credit = BEGIN_BYTES * UNIT;
		s->members[s->nr++] = (uint16_t)i;
	}
	f->weight = weight;
	f->seen_ns = now_ns;
	return f;
}

/* How long F waits for WANT if nothing changes. */
static uint64_t until(const struct share *s, const struct flow *f, int64_t want)
{
	struct parts p;
	uint64_t mine;

	count_parts(s, &p);
	mine = max_u64(s->rate * (uint64_t)part_of(s, f, &p) >> 16, 1);
	return max_u64(min_u64((uint64_t)(want - f->credit) / mine, WAIT_MAX_NS), WAIT_MIN_NS);
}

static void begin_phase(struct share *s, enum phase phase, uint64_t now_ns)
{
	s->phase = phase;
	s->since_ns = now_ns;
	s->bytes = s->turns = 0;
	s->was_full = false;
}

/* In a hundred of what was measured. */
static uint64_t percent(const struct share *s, unsigned n)
{
	return max_u64(min_u64(s->measured / 100 * n, RATE_MAX), SLOWEST);
}

static void measured(struct share *s, uint64_t now_ns)
{
	uint64_t dt = now_ns - s->since_ns;

	if (s->bytes == 0 || dt < MEASURE_NS || (s->turns < TURNS && dt < MEASURE_MAX_NS))
		return;
	s->measured = (uint64_t)((double)s->bytes * 1e9 / (double)dt);
	set_rate(s, percent(s, 80), s->bytes / (s->turns + 1));
	s->step = 6;
	/* What was saved up meanwhile would fill it at once. */
	for (unsigned k = 0; k < s->nr; k++)
		if (s->f[s->members[k]].credit > BEGIN_BYTES * UNIT)
			s->f[s->members[k]].credit = BEGIN_BYTES * UNIT;
	begin_phase(s, HOLD, now_ns);
}

/* Without a rate: is it time for something else? */
static void next_phase(struct share *s, uint64_t now_ns)
{
	uint64_t dt = now_ns > s->since_ns ? now_ns - s->since_ns : 0;

	switch (s->phase) {
	case MEASURE:
		measured(s, now_ns);
		break;
	case HOLD:
		if (dt >= EASE_NS)
			s->rate = percent(s, 97);
		if (dt >= HOLD_NS) {
			s->rate = percent(s, 97 + s->step);
			begin_phase(s, PROBE, now_ns);
		}
		break;
	case PROBE:
		if (dt < PROBE_NS)
			break;
		/* It took all that, and was not full. */
		s->measured = s->rate;
		s->step = (unsigned)min_u64(s->step * 2, 50);
		set_rate(s, percent(s, 100 + s->step), 0);
		begin_phase(s, PROBE, now_ns);
		break;
	}
}

static void is_busy(struct share *s, uint64_t now_ns)
{
	atomic_store_explicit(&s->busy_ns, now_ns + BUSY_NS, memory_order_relaxed);
}

/* Without a rate, nobody else sends: who waits then leaves nothing to anybody. */
static bool is_alone(const struct share *s)
{
	return s->c.rate == 0 && s->nr <= 1;
}

uint64_t share_wait_ns(struct share *s, unsigned i, uint32_t weight, uint64_t cost, uint64_t now_ns)
{
	struct flow *f;
	int64_t want;

	if (share_is_idle(s, now_ns))
		return 0;
	if (s->c.rate == 0)
		next_phase(s, now_ns);
	f = take_part(s, i, weight, now_ns);
	want = (int64_t)min_u64(cost, (uint64_t)(s->cap / UNIT)) * UNIT;
	if (s->rate == 0 || is_alone(s))
		return 0;
	if (f->credit < want)
		make_credit(s, now_ns);
	if (f->credit >= want)
		return 0;
	if (s->c.rate == 0)
		is_busy(s, now_ns);
	return until(s, f, want);
}

void share_charge(struct share *s, unsigned i, uint32_t weight, uint64_t cost, uint64_t now_ns)
{
	if (share_is_idle(s, now_ns))
		return;
	s->bytes += cost;
	s->turns += s->was_full;
	s->was_full = false;
	if (s->rate != 0 && !is_alone(s))
		take_part(s, i, weight, now_ns)->credit -= (int64_t)min_u64(cost, UINT64_C(1) << 20) * UNIT;
}

void share_full(struct share *s, uint64_t now_ns)
{
	if (s->c.rate != 0)
		return;
	if (share_is_idle(s, now_ns)) {		/* it begins */
		forget_all(s);
		set_rate(s, 0, 0);
		s->last_ns = now_ns;
		begin_phase(s, MEASURE, now_ns);
	}
	/* Slower than it was, or as fast as we thought: what is so is measured. */
	if (s->phase == PROBE || (s->phase == HOLD && now_ns >= s->since_ns + 4 * EASE_NS))
		begin_phase(s, MEASURE, now_ns);
	s->was_full = true;
	is_busy(s, now_ns);
}
