/*
 * meter.c - a token bucket
 *
 * Lock     the owner's
 */
#include "net/meter.h"

/* A debt beyond this is forgiven; no single cost comes near it. */
#define DEBT_MAX (INT64_MAX / 4)

void meter_init(struct meter *m, uint64_t rate, uint64_t burst, uint64_t now_ns)
{
	BUG_IF(rate > METER_RATE_MAX || burst > METER_BURST_MAX);
	*m = (struct meter){
		.rate = rate, .burst = burst, .tokens = (int64_t)(burst * NS_PER_SEC), .last_ns = now_ns,
	};
}

static void refill(struct meter *m, uint64_t now_ns)
{
	int64_t full = (int64_t)(m->burst * NS_PER_SEC);
	uint64_t dt;

	if (now_ns <= m->last_ns)
		return;
	dt = now_ns - m->last_ns;
	m->last_ns = now_ns;
	if (dt > (uint64_t)(full - m->tokens) / m->rate)
		m->tokens = full;
	else
		m->tokens += (int64_t)(dt * m->rate);
}

uint64_t meter_wait_ns(struct meter *m, uint64_t cost, uint64_t now_ns)
{
	int64_t want = (int64_t)(min_u64(cost, m->burst) * NS_PER_SEC);

	if (m->rate == 0)
		return 0;
	refill(m, now_ns);
	return m->tokens >= want ? 0 : ((uint64_t)(want - m->tokens) + m->rate - 1) / m->rate;
}

void meter_charge(struct meter *m, uint64_t cost)
{
	int64_t units = (int64_t)(min_u64(cost, METER_BURST_MAX / 4) * NS_PER_SEC);

	if (m->rate != 0)
		m->tokens = m->tokens - units < -DEBT_MAX ? -DEBT_MAX : m->tokens - units;
}

void meter_give_back(struct meter *m, uint64_t cost)
{
	int64_t full = (int64_t)(m->burst * NS_PER_SEC);

	if (m->rate != 0)
		m->tokens = (int64_t)min_u64((uint64_t)(m->tokens + DEBT_MAX) + cost * NS_PER_SEC,
					     (uint64_t)(full + DEBT_MAX)) - DEBT_MAX;
}
