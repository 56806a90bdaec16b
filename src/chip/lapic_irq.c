/*
 * lapic_irq.c - interrupts into and between local APICs
 *
 * Posting sets a bit of IRR and wakes the vCPU; that is all, so any thread
 * may do it without a lock.  Whether a vector waits with a level (TMR) or is
 * over on delivery (auto_eoi) is noted before its IRR bit, which publishes it.
 * ISR and priorities are the vCPU's own.
 *
 * Auto-EOI is Hyper-V's: a synthetic interrupt whose acknowledge is also its
 * end, so it never enters ISR and never blocks another.
 *
 * Spec     [SDM 3] 11.6 IPIs, 11.6.2 destinations, 11.8 handling;
 *          [TLFS] 11.8.2 AutoEOI
 * Missing  SMI (no machine of ours has SMM); ExtINT other than by LINT0
 * Lock     none
 */
#include "chip/lapic_priv.h"

static void set_bit(_Atomic uint32_t *words, uint8_t vector, bool on)
{
	uint32_t bit = 1u << vector % 32, have = atomic_load(&words[vector / 32]) & bit;

	if (on && !have)
		atomic_fetch_or(&words[vector / 32], bit);
	else if (!on && have)
		atomic_fetch_and(&words[vector / 32], ~bit);
}

static bool test_bit(const _Atomic uint32_t *words, uint8_t vector)
{
	return (atomic_load(&words[vector / 32]) >> vector % 32 & 1) != 0;
}

/* The highest vector, or -1. */
static int highest(const _Atomic uint32_t *words)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t w = atomic_load_explicit(&words[i], memory_order_acquire);

		if (w != 0)
			return i * 32 + 31 - __builtin_clz(w);
	}
	return -1;
}

uint32_t lapic_ppr(const struct lapic *l)
{
	uint32_t tpr = atomic_load(&l->tpr);
	int isr = highest(l->isr);
	uint32_t isrv = isr < 0 ? 0 : (uint32_t)isr;

	return (tpr & 0xf0) >= (isrv & 0xf0) ? tpr : isrv & 0xf0;
}

/* The vector that can be delivered now, or -1. */
static int deliverable(const struct lapic *l)
{
	int irr = highest(l->irr);

	if (irr < 0 || ((uint32_t)irr & 0xf0) <= (lapic_ppr(l) & 0xf0) || !apic_on(l))
		return -1;
	return irr;
}

/*
 * LINT0 as the wire of a PIC: an APIC that is off passes it straight on, and
 * the priorities of this one do not count.
 */
static bool extint_waits(const struct lapic *l)
{
	uint32_t lvt = atomic_load(&l->lvt[LVT_LINT0]);

	if (!atomic_load(&l->lint0) || l->set->conf.client->extint == NULL)
		return false;
	return !apic_on(l) || ((lvt & LVT_MASKED) == 0 && LVT_MODE(lvt) == MODE_EXTINT);
}

bool lapic_ready(struct lapic_set *s, unsigned vp)
{
	const struct lapic *l = lapic_of(s, vp);

	return extint_waits(l) || deliverable(l) >= 0;
}

int lapic_take(struct lapic_set *s, unsigned vp)
{
	struct lapic *l = lapic_of(s, vp);
	int vector;

	if (extint_waits(l))
		return s->conf.client->extint(s->conf.self, vp);
	vector = deliverable(l);
	if (vector < 0)
		return -1;
	set_bit(l->irr, (uint8_t)vector, false);
	if (!test_bit(l->auto_eoi, (uint8_t)vector))
		set_bit(l->isr, (uint8_t)vector, true);
	return vector;
}

void lapic_wake_if_ready(struct lapic *l)
{
	const struct lapic_conf *conf = &l->set->conf;

	if (extint_waits(l) || deliverable(l) >= 0)
		conf->client->notify(conf->self, l->vp);
}

void lapic_eoi(struct lapic *l)
{
	const struct lapic_conf *conf = &l->set->conf;
	int vector = highest(l->isr);

	if (vector < 0)
		return;
	set_bit(l->isr, (uint8_t)vector, false);
	conf->client->eoi(conf->self, l->vp, (uint8_t)vector, test_bit(l->tmr, (uint8_t)vector));
	lapic_wake_if_ready(l);
}

void lapic_error(struct lapic *l, uint32_t esr)
{
	/* An error vector that is itself illegal must not recurse. */
	uint32_t old = atomic_fetch_or(&l->esr_new, esr);

	if ((old & esr) != esr)
		lapic_local(l, LVT_ERROR);
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool level, bool auto_eoi)
{
	const struct lapic_conf *conf = &l->set->conf;

	if (!apic_on(l) || (atomic_load(&l->svr) & SVR_ENABLED) == 0)
		return false;
	if (vector < 16) {
		lapic_error(l, ESR_RECV_VECTOR);
		return false;
	}
	set_bit(l->tmr, vector, level);
	set_bit(l->auto_eoi, vector, auto_eoi);
	atomic_fetch_or(&l->irr[vector / 32], 1u << vector % 32);
	conf->client->notify(conf->self, l->vp);
	return true;
}

void lapic_local(struct lapic *l, enum lapic_lvt which)
{
	const struct lapic_conf *conf = &l->set->conf;
	uint32_t lvt = atomic_load(&l->lvt[which]);

	if ((lvt & LVT_MASKED) != 0)
		return;
	if (LVT_MODE(lvt) == MODE_NMI && which != LVT_TIMER && which != LVT_ERROR)
		conf->client->nmi(conf->self, l->vp);
	else if (LVT_MODE(lvt) == MODE_FIXED || which == LVT_TIMER || which == LVT_ERROR)
		lapic_accept(l, lvt & LVT_VECTOR, false, false);
}

/* Fixed and NMI modes act on the edge; a level there would need remote IRR, and no board asks. */
void lapic_lint0(struct lapic_set *s, unsigned vp, bool level)
{
	struct lapic *l = lapic_of(s, vp);

	if (!atomic_exchange(&l->lint0, level) && level && apic_on(l))
		lapic_local(l, LVT_LINT0);
	lapic_wake_if_ready(l);
}

void lapic_post(struct lapic_set *s, unsigned vp, uint8_t vector, bool level, bool auto_eoi)
{
	(void)lapic_accept(lapic_of(s, vp), vector, level, auto_eoi);
}

/* Whether L is among the receivers; each APIC reads DEST in its own mode. */
static bool dest_matches(const struct lapic *l, uint32_t dest, bool logical)
{
	uint32_t ldr;

	if (!apic_on(l))
		return false;
	if (dest == LAPIC_BROADCAST)
		return true;
	if (!logical)
		return dest == (apic_is_x2(l) ? l->vp : l->vp & 0xff);
	ldr = atomic_load(&l->ldr);
	if (apic_is_x2(l))
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff) != 0;
	ldr >>= 24;
	if (dest > 0xff)
		return false;
	if (atomic_load(&l->dfr) >> 28 == 0xf)		/* flat */
		return (dest & ldr) != 0;
	return dest >> 4 == ldr >> 4 && (dest & ldr & 0xf) != 0;
}

static bool deliver_one(struct lapic *l, unsigned mode, uint8_t vector, bool level)
{
	const struct lapic_conf *conf = &l->set->conf;

	switch (mode) {
	case MODE_FIXED:
	case MODE_LOWEST:
		return lapic_accept(l, vector, level, false);
	case MODE_NMI:
		conf->client->nmi(conf->self, l->vp);
		return true;
	case MODE_INIT:
		conf->client->init(conf->self, l->vp);
		return true;
	case MODE_SIPI:
		conf->client->sipi(conf->self, l->vp, vector);
		return true;
	}
	return false;
}

/* One of the receivers: the least busy; among equals they take turns. */
static bool deliver_lowest(struct lapic_set *s, uint32_t dest, bool logical, uint8_t vector,
			   bool level)
{
	unsigned first = atomic_fetch_add(&s->rotor, 1) % s->conf.nr;
	struct lapic *best = NULL;

	for (unsigned i = 0; i < s->conf.nr; i++) {
		struct lapic *l = &s->apic[(first + i) % s->conf.nr];

		if (!dest_matches(l, dest, logical) ||
		    (atomic_load(&l->svr) & SVR_ENABLED) == 0)
			continue;
		if (best == NULL || lapic_ppr(l) < lapic_ppr(best))
			best = l;
	}
	return best != NULL && lapic_accept(best, vector, level, false);
}

/* EXCEPT: the sender of "all but self", or NULL. */
static bool deliver_all(struct lapic_set *s, uint32_t dest, bool logical, unsigned mode,
			uint8_t vector, bool level, const struct lapic *except)
{
	bool accepted = false;

	if (mode == MODE_LOWEST && except == NULL)
		return deliver_lowest(s, dest, logical, vector, level);
	if (!logical && dest < s->conf.nr && except == NULL)
		return dest_matches(&s->apic[dest], dest, false) &&
		       deliver_one(&s->apic[dest], mode, vector, level);
	for (unsigned i = 0; i < s->conf.nr; i++) {
		struct lapic *l = &s->apic[i];

		if (l != except && dest_matches(l, dest, logical))
			accepted |= deliver_one(l, mode, vector, level);
	}
	return accepted;
}

bool lapic_deliver(struct lapic_set *s, uint32_t dest, bool logical, unsigned mode,
		   uint8_t vector, bool level)
{
	/* An 8-bit field's "all", as long as no APIC has that number. */
	if (dest == 0xff && s->conf.nr <= 0xff)
		dest = LAPIC_BROADCAST;
	return deliver_all(s, dest, logical, mode, vector, level, NULL);
}

enum { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };	/* ICR bits 19:18 */

void lapic_send(struct lapic *l)
{
	unsigned mode = l->icr >> 8 & 7, to = l->icr >> 18 & 3;
	uint32_t dest = apic_is_x2(l) ? l->icr2 : l->icr2 >> 24;
	bool logical = (l->icr & 0x800) != 0, assert = (l->icr & 0x4000) != 0;
	uint8_t vector = l->icr & 0xff;
	bool fixed = mode == MODE_FIXED || mode == MODE_LOWEST;

	if (fixed && vector < 16) {
		lapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	if (mode == MODE_INIT && !assert)	/* only ever synchronised arbitration */
		return;
	if (!apic_is_x2(l) && dest == 0xff)
		dest = LAPIC_BROADCAST;
	switch (to) {
	case TO_DEST:
		deliver_all(l->set, dest, logical, mode, vector, false, NULL);
		break;
	case TO_SELF:		/* with other modes invalid, says the SDM's table */
		if (mode == MODE_FIXED)
			deliver_one(l, mode, vector, false);
		break;
	case TO_ALL:
		if (mode == MODE_FIXED)
			deliver_all(l->set, LAPIC_BROADCAST, false, mode, vector, false, NULL);
		break;
	case TO_OTHERS:
		deliver_all(l->set, LAPIC_BROADCAST, false, mode, vector, false, l);
		break;
	}
}
