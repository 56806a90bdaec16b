/*
 * lapic_state.c - the registers of one local APIC as saved state
 *
 * The device itself is made of atomics and of moments in virtual time; what
 * is saved is a plain copy with the timer as a guest sees it: how much of the
 * count is left.  The machine stands still around both calls.
 *
 * Lock     none: no vCPU runs, the clock is stopped
 */
#include "chip/lapic_priv.h"

#include "dev/state.h"

struct saved {
	uint64_t base, deadline;
	uint32_t tpr, ldr, dfr, svr, esr_new, esr, icr, icr2;
	uint32_t lvt[NR_LVT], irr[8], isr[8], tmr[8], auto_eoi[8];
	uint32_t count, initial, divide;
};

static const struct state_field saved_fields[] = {
	STATE(1, struct saved, base), STATE(2, struct saved, deadline),
	STATE(3, struct saved, tpr), STATE(4, struct saved, ldr),
	STATE(5, struct saved, dfr), STATE(6, struct saved, svr),
	STATE(7, struct saved, esr_new), STATE(8, struct saved, esr),
	STATE(9, struct saved, icr), STATE(10, struct saved, icr2),
	STATE(11, struct saved, lvt), STATE(12, struct saved, irr),
	STATE(13, struct saved, isr), STATE(14, struct saved, tmr),
	STATE(15, struct saved, auto_eoi), STATE(16, struct saved, count),
	STATE(17, struct saved, initial), STATE(18, struct saved, divide),
	{ 0 },
};

static void copy_out(struct lapic *l, struct saved *s)
{
	*s = (struct saved){
		.base = atomic_load(&l->base),
		.tpr = atomic_load(&l->tpr), .ldr = atomic_load(&l->ldr),
		.dfr = atomic_load(&l->dfr), .svr = atomic_load(&l->svr),
		.esr_new = atomic_load(&l->esr_new), .esr = l->esr,
		.icr = l->icr, .icr2 = l->icr2,
	};
	for (unsigned i = 0; i < NR_LVT; i++)
		s->lvt[i] = atomic_load(&l->lvt[i]);
	for (unsigned i = 0; i < 8; i++) {
		s->irr[i] = atomic_load(&l->irr[i]);
		s->isr[i] = atomic_load(&l->isr[i]);
		s->tmr[i] = atomic_load(&l->tmr[i]);
		s->auto_eoi[i] = atomic_load(&l->auto_eoi[i]);
	}
	lapic_timer_save(l, &s->count, &s->initial, &s->divide, &s->deadline);
}

static int check(const struct lapic *l, const struct saved *s, struct err *err)
{
	unsigned mode = s->base & (APIC_BASE_EN | APIC_BASE_EXTD);
	bool ok = mode != APIC_BASE_EXTD && (s->base & APIC_BASE_RSVD) == 0;

	ok = ok && (s->tpr | s->divide) <= 0xff && (s->divide & ~0xbu) == 0 && s->svr <= 0x3ff;
	ok = ok && ((s->irr[0] | s->isr[0]) & 0xffff) == 0;	/* vectors below 16 */
	ok = ok && (s->icr & ~0xccfffu) == 0 && s->count <= s->initial;
	if ((s->base & APIC_BASE_EXTD) != 0)
		ok = ok && s->ldr == lapic_x2_ldr(l->vp);
	for (unsigned i = 0; i < NR_LVT; i++) {
		ok = ok && (s->lvt[i] & ~(lapic_lvt_mask[i] | LVT_MASKED)) == 0;
		ok = ok && ((s->svr & SVR_ENABLED) != 0 || (s->lvt[i] & LVT_MASKED) != 0);
	}
	return ok ? 0 : err_set(err, -EBADMSG, "local APIC %u: registers are impossible", l->vp);
}

static void copy_in(struct lapic *l, const struct saved *s)
{
	atomic_store(&l->base, s->base);
	atomic_store(&l->tpr, s->tpr);
	atomic_store(&l->ldr, s->ldr);
	atomic_store(&l->dfr, s->dfr);
	atomic_store(&l->svr, s->svr);
	atomic_store(&l->esr_new, s->esr_new);
	l->esr = s->esr;
	l->icr = s->icr;
	l->icr2 = s->icr2;
	for (unsigned i = 0; i < NR_LVT; i++)
		if (i != LVT_TIMER)
			atomic_store(&l->lvt[i], s->lvt[i]);
	for (unsigned i = 0; i < 8; i++) {
		atomic_store(&l->irr[i], s->irr[i]);
		atomic_store(&l->isr[i], s->isr[i]);
		atomic_store(&l->tmr[i], s->tmr[i]);
		atomic_store(&l->auto_eoi[i], s->auto_eoi[i]);
	}
	lapic_timer_load(l, s->lvt[LVT_TIMER], s->count, s->initial, s->divide, s->deadline);
}

size_t lapic_save(struct lapic_set *set, unsigned vp, void *buf, size_t cap)
{
	struct saved s;

	copy_out(lapic_of(set, vp), &s);
	return state_save(saved_fields, &s, buf, cap);
}

int lapic_load(struct lapic_set *set, unsigned vp, const void *buf, size_t n, struct err *err)
{
	struct lapic *l = lapic_of(set, vp);
	struct saved s;
	int rc;

	copy_out(l, &s);	/* what is missing keeps its value */
	rc = state_load(saved_fields, &s, buf, n, err);
	if (rc == 0)
		rc = check(l, &s, err);
	if (rc == 0)
		copy_in(l, &s);
	return rc;
}
