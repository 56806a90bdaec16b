/*
 * meter.c - a token bucket
 *
 * Lock     the owner's
 */
#include "net/meter.h"

void meter_init(struct meter *m, uint64_t rate, uint64_t burst, uint64_t now_ns)
{
	BUG_IF(rate > METER_RATE_MAX || burst > METER_BURST_MAX);
	*m = (struct meter){ .rate = rate, .burst = burst, .tokens = burst * NS_PER_SEC, .last_ns = now_ns };
}

static void refill(struct meter *m, uint64_t now_ns)
{
	uint64_t full = m->burst * NS_PER_SEC, dt;

	if (now_ns <= m->last_ns)
		return;
	dt = now_ns - m->last_ns;
	m->last_ns = now_ns;
	if (dt > (full - m->tokens) / m->rate)
		m->tokens = full;
	else
		m->tokens += dt * m->rate;
}

uint64_t meter_wait_ns(struct meter *m, uint64_t cost, uint64_t now_ns)
{
	uint64_t want = min_u64(cost, m->burst) * NS_PER_SEC;

	if (m->rate == 0)
		return 0;
	refill(m, now_ns);
	return m->tokens >= want ? 0 : (want - m->tokens + m->rate - 1) / m->rate;
}

void meter_charge(struct meter *m, uint64_t cost)
{
	if (m->rate != 0)
		m->tokens -= min_u64(m->tokens, min_u64(cost, m->burst) * NS_PER_SEC);
}
