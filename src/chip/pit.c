/*
 * pit.c - the 8254 interval timer, and the port that belongs to its third counter
 *
 * Three counters at 1.193182 MHz. The first is the PC's heartbeat (IRQ 0), the
 * second once refreshed memory, the third makes the speaker's tone and is
 * what a guest measures its other clocks with: it sets the gate by port 61,
 * and looks there for the output.
 *
 * Nothing counts here: where a counter stands follows from the time. The first
 * one's output pulses at the end of each period and rests high in between;
 * the low phase of mode 2 lasts one tick, which no interrupt controller needs.
 * Periods that passed while nobody could run bring one interrupt, not many.
 *
 * Spec     [8254] Intel 231164; port 61 of [PIIX4] 4.2.6
 * Missing  the speaker's sound; NMIs of port 61 (there is nothing to report)
 * Lock     chip
 */
#include "chip/chips.h"

#include <string.h>

#define PIT_HZ 1193182u
#define NR 3u
#define BEEPER 2u			/* the counter with a gate */

enum { CW_BCD = 1, RW_LATCH = 0, RW_LOW = 1, RW_HIGH = 2, RW_BOTH = 3 };
enum { READBACK_NO_COUNT = 0x20, READBACK_NO_STATUS = 0x10 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
enum { P61_GATE = 1, P61_SPEAKER = 2, P61_CHECKS = 0x0c, P61_REFRESH = 0x10, P61_OUT = 0x20 };

struct pit {
	struct pit_conf conf;		/* [const] */
	struct clock *clock;		/* [const] */
	pthread_mutex_t *lock;		/* [const] */
	struct timer *timer;		/* [owned] end of the first counter's period */
	/* A counter each; times in ticks since the machine began. */
	uint64_t start[NR];		/* when the present period, or the one shot, began */
	uint64_t switch_at[NR];		/* [pending] when the next count is loaded */
	uint64_t held[NR];		/* [gate low] ticks that had passed */
	uint32_t count[NR], next[NR];	/* 1 to 65536; 0: none loaded yet */
	uint8_t pending[NR];
	uint8_t mode[NR], bcd[NR], rw[NR];
	uint8_t gate[NR], triggered[NR];	/* triggered: of modes 1 and 5 */
	uint8_t write_high[NR], low[NR];	/* the next byte is the high one; the low one */
	uint8_t read_high[NR];
	uint8_t latched[NR];		/* bytes of the latch that are still to be read */
	uint16_t latch[NR];
	uint8_t status_latched[NR], status[NR];
	uint64_t fired;			/* tick up to which the first counter has interrupted */
	uint8_t level;			/* of its line */
	uint8_t port61;
};

static uint64_t now_ticks(const struct pit *p)
{
	return (uint64_t)((unsigned __int128)clock_now_ns(p->clock) * PIT_HZ / NS_PER_SEC);
}

/* The first nanosecond of tick T. */
static uint64_t ns_of(uint64_t t)
{
	return (uint64_t)(((unsigned __int128)t * NS_PER_SEC + PIT_HZ - 1) / PIT_HZ);
}

static bool periodic(const struct pit *p, unsigned n)
{
	return p->mode[n] == 2 || p->mode[n] == 3;
}

static bool by_trigger(const struct pit *p, unsigned n)
{
	return p->mode[n] == 1 || p->mode[n] == 5;
}

/* A count written while a period runs is loaded at its end. */
static void settle(struct pit *p, unsigned n, uint64_t now)
{
	if (p->pending[n] == 0 || now < p->switch_at[n])
		return;
	p->start[n] = p->switch_at[n];
	p->count[n] = p->next[n];
	p->pending[n] = 0;
}

/* Ticks since the count was loaded. */
static uint64_t elapsed(const struct pit *p, unsigned n, uint64_t now)
{
	if (p->gate[n] == 0 && !by_trigger(p, n))
		return p->held[n];
	return now - p->start[n];
}

static bool counting(const struct pit *p, unsigned n)
{
	return p->count[n] != 0 && (!by_trigger(p, n) || p->triggered[n] != 0);
}

static bool output(const struct pit *p, unsigned n, uint64_t now)
{
	uint64_t t, count = p->count[n];

	if (!counting(p, n))
		return p->mode[n] != 0;
	t = elapsed(p, n, now);
	switch (p->mode[n]) {
	case 0:
	case 1:
		return t >= count;
	case 2:
		return p->gate[n] == 0 || t % count != count - 1;
	case 3:
		return p->gate[n] == 0 || t % count < (count + 1) / 2;
	default:
		return t != count;
	}
}

/* What the counting element shows. */
static uint16_t value(const struct pit *p, unsigned n, uint64_t now)
{
	uint64_t t, count = p->count[n], wrap = p->bcd[n] ? 10000 : 0x10000;

	if (!counting(p, n))
		return (uint16_t)(count % wrap);
	t = elapsed(p, n, now);
	if (p->mode[n] == 2)
		t = count - t % count;
	else if (p->mode[n] == 3)		/* by two, twice a period */
		t = count - t % ((count + 1) / 2) * 2 % count;
	else
		t = count + wrap - t % wrap;
	t %= wrap;
	if (p->bcd[n])
		t = t / 1000 << 12 | t / 100 % 10 << 8 | t / 10 % 10 << 4 | t % 10;
	return (uint16_t)t;
}

/* ---- the first counter's interrupt ---------------------------------------------------- */

/* The next tick after AFTER at which the output rises; UINT64_MAX: never. */
static uint64_t next_rise(const struct pit *p, uint64_t after)
{
	uint64_t count = p->count[0], start = p->start[0], end;

	if (!counting(p, 0))
		return UINT64_MAX;
	if (!periodic(p, 0)) {
		end = start + count + (p->mode[0] >= 4);
		return end > after ? end : UINT64_MAX;
	}
	/* Before START: it is the end of a period too, with another count. */
	end = after < start ? start : start + ((after - start) / count + 1) * count;
	if (p->pending[0] != 0 && end > p->switch_at[0])	/* one of the new period */
		end = after < p->switch_at[0] ? p->switch_at[0] : p->switch_at[0] +
		      ((after - p->switch_at[0]) / p->next[0] + 1) * p->next[0];
	return end;
}

static void drive(struct pit *p, bool level)
{
	p->level = level;
	irq_set(&p->conf.irq, level);
}

static void arm(struct pit *p)
{
	uint64_t at = next_rise(p, p->fired);

	timer_arm(p->timer, at == UINT64_MAX ? TIMER_NEVER : ns_of(at));
}

static void pit_fire(void *arg)
{
	struct pit *p = arg;
	uint64_t now;

	pthread_mutex_lock(p->lock);
	now = now_ticks(p);
	if (next_rise(p, p->fired) <= now) {
		p->fired = now;
		drive(p, false);
		drive(p, true);
		settle(p, 0, now);
	}
	arm(p);
	pthread_mutex_unlock(p->lock);
}

/* The first counter begins anew: its line is as the mode says. */
static void restart(struct pit *p, uint64_t now)
{
	p->fired = now;
	drive(p, output(p, 0, now));
	arm(p);
}

/* ---- registers ------------------------------------------------------------------------ */

static void load(struct pit *p, unsigned n, uint16_t raw)
{
	uint64_t now = now_ticks(p);
	uint32_t count = raw;

	if (p->bcd[n])
		count = (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u +
			(raw & 15);
	if (count == 0)
		count = p->bcd[n] ? 10000 : 0x10000;
	if (periodic(p, n) && count == 1)	/* not allowed; the least that is */
		count = 2;
	settle(p, n, now);
	if (periodic(p, n) && p->count[n] != 0 && p->gate[n] != 0) {
		p->next[n] = count;
		p->switch_at[n] = p->start[n] +
				  ((now - p->start[n]) / p->count[n] + 1) * p->count[n];
		p->pending[n] = 1;
		if (n == 0)
			arm(p);
		return;
	}
	p->count[n] = count;
	p->start[n] = now;
	p->held[n] = 0;
	if (n == 0)
		restart(p, now);
}

static void counter_write(struct pit *p, unsigned n, uint8_t val)
{
	switch (p->rw[n]) {
	case RW_LOW:
		load(p, n, val);
		break;
	case RW_HIGH:
		load(p, n, (uint16_t)(val << 8));
		break;
	default:
		if (p->write_high[n])
			load(p, n, (uint16_t)(val << 8 | p->low[n]));
		else
			p->low[n] = val;
		p->write_high[n] ^= 1;
	}
}

static void latch_count(struct pit *p, unsigned n)
{
	uint64_t now = now_ticks(p);

	if (p->latched[n] != 0)		/* the first one counts */
		return;
	settle(p, n, now);
	p->latch[n] = value(p, n, now);
	p->latched[n] = p->rw[n] == RW_BOTH ? 2 : 1;
	p->read_high[n] = 0;
}

static void latch_status(struct pit *p, unsigned n)
{
	uint64_t now = now_ticks(p);

	if (p->status_latched[n] != 0)
		return;
	settle(p, n, now);
	p->status[n] = (uint8_t)((output(p, n, now) ? STATUS_OUT : 0) |
				 (p->count[n] == 0 || p->pending[n] != 0 ? STATUS_NULL : 0) |
				 p->rw[n] << 4 | p->mode[n] << 1 | p->bcd[n]);
	p->status_latched[n] = 1;
}

static uint8_t counter_read(struct pit *p, unsigned n)
{
	uint64_t now = now_ticks(p);
	bool high = p->rw[n] == RW_HIGH;
	uint16_t val;

	if (p->status_latched[n]) {
		p->status_latched[n] = 0;
		return p->status[n];
	}
	if (p->rw[n] == RW_BOTH) {
		high = p->read_high[n];
		p->read_high[n] ^= 1;
	}
	settle(p, n, now);
	val = p->latched[n] ? p->latch[n] : value(p, n, now);
	if (p->latched[n])
		p->latched[n]--;
	return (uint8_t)(high ? val >> 8 : val);
}

static void control_write(struct pit *p, uint8_t val)
{
	unsigned n = val >> 6, mode = val >> 1 & 7;

	if (n == 3) {			/* read back */
		for (unsigned i = 0; i < NR; i++) {
			if ((val >> (i + 1) & 1) == 0)
				continue;
			if ((val & READBACK_NO_COUNT) == 0)
				latch_count(p, i);
			if ((val & READBACK_NO_STATUS) == 0)
				latch_status(p, i);
		}
		return;
	}
	if ((val >> 4 & 3) == RW_LATCH) {
		latch_count(p, n);
		return;
	}
	p->rw[n] = val >> 4 & 3;
	p->mode[n] = (uint8_t)(mode >= 6 ? mode - 4 : mode);
	p->bcd[n] = val & CW_BCD;
	p->count[n] = 0;
	p->pending[n] = p->triggered[n] = 0;
	p->write_high[n] = p->read_high[n] = p->latched[n] = p->status_latched[n] = 0;
	if (n == 0)
		restart(p, now_ticks(p));
}

static void set_gate(struct pit *p, unsigned n, bool on)
{
	uint64_t now = now_ticks(p);

	if ((p->gate[n] != 0) == on)
		return;
	settle(p, n, now);
	if (!on) {
		p->held[n] = now - p->start[n];
	} else if (by_trigger(p, n)) {
		p->start[n] = now;
		p->triggered[n] = 1;
	} else {
		p->start[n] = periodic(p, n) ? now : now - p->held[n];
	}
	if (p->pending[n] != 0 && on) {
		p->count[n] = p->next[n];
		p->pending[n] = 0;
	}
	p->gate[n] = on;
}

static uint64_t pit_read(void *self, uint32_t off, unsigned width)
{
	(void)width;
	return off < NR ? counter_read(self, off) : 0xff;
}

static void pit_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct pit *p = self;

	(void)width;
	if (off < NR)
		counter_write(p, off, (uint8_t)val);
	else
		control_write(p, (uint8_t)val);
}

/* The refresh bit turns every 15 microseconds, whatever the second counter does. */
static uint64_t port61_read(void *self, uint32_t off, unsigned width)
{
	struct pit *p = self;
	uint64_t now = now_ticks(p);

	(void)off, (void)width;
	settle(p, BEEPER, now);
	return p->port61 | (now / 18 % 2 != 0 ? P61_REFRESH : 0) |
	       (output(p, BEEPER, now) ? P61_OUT : 0);
}

static void port61_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct pit *p = self;

	(void)off, (void)width;
	p->port61 = val & (P61_GATE | P61_SPEAKER | P61_CHECKS);
	set_gate(p, BEEPER, (val & P61_GATE) != 0);
}

static const struct io_ops pit_io = { IO_W1, pit_read, pit_write };
static const struct io_ops port61_io = { IO_W1, port61_read, port61_write };

static void pit_reset(void *self)
{
	struct pit *p = self;

	for (unsigned n = 0; n < NR; n++) {
		p->rw[n] = RW_BOTH;
		p->mode[n] = n == 1 ? 2 : 3;
		p->bcd[n] = p->triggered[n] = p->pending[n] = 0;
		p->write_high[n] = p->read_high[n] = p->latched[n] = p->status_latched[n] = 0;
		p->count[n] = 0;
		p->held[n] = 0;
		p->gate[n] = n != BEEPER;
	}
	p->port61 = 0;
	p->fired = now_ticks(p);
	drive(p, false);
	arm(p);
}

static int pit_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct pit *p = self;
	int rc;

	p->conf = *(const struct pit_conf *)conf;
	p->clock = env->clock;
	p->lock = env->lock;
	rc = timer_new(p->clock, pit_fire, p, &p->timer);
	if (rc < 0)
		return err_set(err, rc, "no timer");
	rc = bus_add(env->pio, env->name, p->conf.port, 4, &pit_io, p, err);
	if (rc == 0)
		rc = bus_add(env->pio, env->name, 0x61, 1, &port61_io, p, err);
	if (rc < 0)
		timer_free(p->timer);
	return rc;
}

static bool counter_possible(const struct pit *p, unsigned n, uint64_t now)
{
	uint8_t flags = p->pending[n] | p->bcd[n] | p->gate[n] | p->triggered[n] |
			p->write_high[n] | p->read_high[n] | p->status_latched[n];

	return p->mode[n] <= 5 && p->rw[n] >= RW_LOW && p->rw[n] <= RW_BOTH && flags <= 1 &&
	       p->latched[n] <= 2 && p->count[n] <= 0x10000 && p->next[n] <= 0x10000 &&
	       p->start[n] <= now && p->held[n] <= now &&
	       (p->pending[n] == 0 || (p->next[n] != 0 && p->count[n] != 0 && periodic(p, n) &&
				       p->switch_at[n] >= p->start[n] &&
				       p->switch_at[n] - p->start[n] <= now + 0x10000)) &&
	       (!periodic(p, n) || p->count[n] != 1);
}

static int pit_loaded(void *self, struct err *err)
{
	struct pit *p = self;
	uint64_t now = now_ticks(p);

	for (unsigned n = 0; n < NR; n++)
		if (!counter_possible(p, n, now))
			return err_set(err, -EBADMSG, "pit: counter %u cannot be so", n);
	if (p->fired > now || p->level > 1 || (p->port61 & ~(P61_GATE | P61_SPEAKER | P61_CHECKS)) != 0)
		return err_set(err, -EBADMSG, "pit: registers that cannot be");
	drive(p, p->level != 0);
	arm(p);
	return 0;
}

static void pit_fini(void *self)
{
	timer_free(((struct pit *)self)->timer);
}

#define FIELD(tag, member) STATE(tag, struct pit, member)
static const struct state_field pit_state[] = {
	FIELD(1, start), FIELD(2, switch_at), FIELD(3, held), FIELD(4, count), FIELD(5, next),
	FIELD(6, pending), FIELD(7, mode), FIELD(8, bcd), FIELD(9, rw), FIELD(10, gate),
	FIELD(11, triggered), FIELD(12, write_high), FIELD(13, low), FIELD(14, read_high),
	FIELD(15, latched), FIELD(16, latch), FIELD(17, status_latched), FIELD(18, status),
	FIELD(19, fired), FIELD(20, port61), FIELD(21, level),
	{ 0 },
};

const struct dev_ops pit_dev = {
	.name = "pit",
	.size = sizeof(struct pit),
	.state = pit_state,
	.init = pit_init,
	.reset = pit_reset,
	.loaded = pit_loaded,
	.fini = pit_fini,
};
