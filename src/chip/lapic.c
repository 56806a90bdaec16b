/*
 * lapic.c - registers and modes of the local APICs
 *
 * The same registers appear twice: in a page of memory, 16 bytes apart
 * (xAPIC), and as MSRs 0x800 and up (x2APIC).  The page forgives; the MSRs
 * raise #GP for every reserved bit, which the table below knows.  A register
 * has one meaning in both, except the destination fields, ICR and LDR.
 *
 * The mode is in IA32_APIC_BASE.  Off, xAPIC and x2APIC form a circle that
 * can be walked one way only: x2APIC is left through off, and off forgets
 * everything.
 *
 * Spec     [SDM 3] 11.4 local APIC, 11.12 x2APIC (figure 11-27: transitions,
 *          table 11-6: register map)
 * Missing  EOI-broadcast suppression (version bit 24 says so), CMCI
 * Lock     none: a vCPU's registers are its thread's; see lapic_priv.h
 */
#include "chip/lapic_priv.h"

#include <stdlib.h>

/* Version 0x14, six LVT entries. */
#define VERSION_VALUE 0x00050014u
#define APIC_PAGE_DEFAULT UINT64_C(0xfee00000)
#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC 0x800u

const uint32_t lapic_lvt_mask[NR_LVT] = {
	[LVT_TIMER] = 0x700ff,
	[LVT_THERMAL] = 0x107ff,
	[LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff,
	[LVT_LINT1] = 0x1a7ff,
	[LVT_ERROR] = 0x100ff,
};

enum { X2_R = 1, X2_W = 2 };

/* By offset / 16: access by MSR, and the bits a write may set. */
static const struct {
	uint8_t access;
	uint32_t bits;
} x2_reg[0x40] = {
	[0x02] = { X2_R, 0 },				/* ID */
	[0x03] = { X2_R, 0 },				/* version */
	[0x08] = { X2_R | X2_W, 0xff },			/* TPR */
	[0x0a] = { X2_R, 0 },				/* PPR */
	[0x0b] = { X2_W, 0 },				/* EOI */
	[0x0d] = { X2_R, 0 },				/* LDR */
	[0x0f] = { X2_R | X2_W, 0x3ff },		/* SVR */
	[0x10 ... 0x27] = { X2_R, 0 },			/* ISR, TMR, IRR */
	[0x28] = { X2_R | X2_W, 0 },			/* ESR */
	[0x30] = { X2_R | X2_W, 0xcdfff },		/* ICR; bit 12 is ignored */
	[0x32] = { X2_R | X2_W, 0x710ff },
	[0x33 ... 0x34] = { X2_R | X2_W, 0x117ff },
	[0x35 ... 0x36] = { X2_R | X2_W, 0x1f7ff },
	[0x37] = { X2_R | X2_W, 0x110ff },
	[0x38] = { X2_R | X2_W, UINT32_MAX },		/* initial count */
	[0x39] = { X2_R, 0 },				/* current count */
	[0x3e] = { X2_R | X2_W, 0xb },			/* divider */
	[0x3f] = { X2_W, 0xff },			/* self IPI */
};

struct lapic *lapic_of(struct lapic_set *s, unsigned vp)
{
	BUG_IF(vp >= s->conf.nr);
	return &s->apic[vp];
}

/* Of IA32_APIC_BASE and the x2APIC identity nothing here is lost. */
static void apic_reset(struct lapic *l)
{
	atomic_store(&l->tpr, 0);
	atomic_store(&l->dfr, UINT32_MAX);
	atomic_store(&l->svr, 0xff);
	atomic_store(&l->ldr, apic_is_x2(l) ? lapic_x2_ldr(l->vp) : 0);
	atomic_store(&l->esr_new, 0);
	l->esr = 0;
	l->icr = 0;
	l->icr2 = 0;
	for (unsigned i = 0; i < NR_LVT; i++)
		if (i != LVT_TIMER)
			atomic_store(&l->lvt[i], LVT_MASKED);
	for (unsigned i = 0; i < 8; i++) {
		atomic_store(&l->irr[i], 0);
		atomic_store(&l->isr[i], 0);
		atomic_store(&l->tmr[i], 0);
		atomic_store(&l->auto_eoi[i], 0);
	}
	lapic_timer_reset(l);
}

void lapic_reset(struct lapic_set *s, unsigned vp, bool init)
{
	struct lapic *l = lapic_of(s, vp);

	if (!init)
		atomic_store(&l->base, APIC_PAGE_DEFAULT | APIC_BASE_EN |
			     (vp == 0 ? APIC_BASE_BSP : 0));
	apic_reset(l);
}

void lapic_virtual_wire(struct lapic_set *s, unsigned vp)
{
	lapic_write(s, vp, LAPIC_SVR, 0x1ff);
	lapic_write(s, vp, LAPIC_LVT + 16 * LVT_LINT0, 0x700);
}

int lapic_new(const struct lapic_conf *conf, struct lapic_set **ret_s, struct err *err)
{
	struct lapic_set *s;
	size_t bytes = sizeof(*s) + conf->nr * sizeof(s->apic[0]);
	int rc = 0;

	BUG_IF(conf->timer_hz == 0 || conf->tsc_hz == 0);
	if (conf->nr == 0 || conf->nr > 4096)
		return err_set(err, -EINVAL, "local APICs: %u, expected 1 to 4096", conf->nr);
	s = base_new0(bytes);
	if (s == NULL)
		return err_set(err, -ENOMEM, "local APICs: out of memory");
	s->conf = *conf;
	for (unsigned i = 0; i < conf->nr && rc == 0; i++) {
		s->apic[i].set = s;
		s->apic[i].vp = i;
		rc = lapic_timer_init(&s->apic[i]);
		if (rc == 0)
			lapic_reset(s, i, false);
	}
	if (rc < 0) {
		lapic_free(s);
		return err_set(err, rc, "local APICs: no timer");
	}
	*ret_s = s;
	return 0;
}

void lapic_free(struct lapic_set *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->conf.nr; i++)
		lapic_timer_fini(&s->apic[i]);
	free(s);
}

static uint32_t read_banks(const struct lapic *l, uint32_t off)
{
	unsigned i = off >> 4 & 7;

	if (off < LAPIC_TMR)
		return atomic_load(&l->isr[i]);
	if (off < LAPIC_IRR)
		return atomic_load(&l->tmr[i]);
	return atomic_load(&l->irr[i]);
}

static uint32_t reg_read(struct lapic *l, uint32_t off)
{
	if (off >= LAPIC_ISR && off < LAPIC_ESR)
		return read_banks(l, off);
	if (off >= LAPIC_LVT && off < LAPIC_LVT + NR_LVT * 16)
		return atomic_load(&l->lvt[(off - LAPIC_LVT) >> 4]);
	switch (off) {
	case LAPIC_ID:
		return apic_is_x2(l) ? l->vp : l->vp << 24;
	case LAPIC_VERSION:
		return VERSION_VALUE;
	case LAPIC_TPR:
		return atomic_load(&l->tpr);
	case LAPIC_APR:
	case LAPIC_PPR:
		return lapic_ppr(l);
	case LAPIC_LDR:
		return atomic_load(&l->ldr);
	case LAPIC_DFR:
		return atomic_load(&l->dfr);
	case LAPIC_SVR:
		return atomic_load(&l->svr);
	case LAPIC_ESR:
		return l->esr;
	case LAPIC_ICR:
		return l->icr;
	case LAPIC_ICR2:
		return l->icr2;
	case LAPIC_TMICT:
		return lapic_timer_initial(l);
	case LAPIC_TMCCT:
		return lapic_timer_current(l);
	case LAPIC_TDCR:
		return lapic_timer_divide(l);
	case LAPIC_EOI:		/* write-only and remote read: nothing there, no error */
	case LAPIC_RRD:
	case LAPIC_SELF_IPI:
		return 0;
	}
	lapic_error(l, ESR_REGISTER);
	return 0;
}

/* Disabling by software masks every LVT entry, and keeps it masked. */
static void write_svr(struct lapic *l, uint32_t val)
{
	atomic_store(&l->svr, val & 0x3ff);
	if ((val & SVR_ENABLED) != 0)
		return;
	for (unsigned i = 0; i < NR_LVT; i++)
		if (i == LVT_TIMER)
			lapic_timer_set_lvt(l, atomic_load(&l->lvt[i]) | LVT_MASKED);
		else
			atomic_fetch_or(&l->lvt[i], LVT_MASKED);
}

static void write_lvt(struct lapic *l, unsigned which, uint32_t val)
{
	val &= lapic_lvt_mask[which];
	if ((atomic_load(&l->svr) & SVR_ENABLED) == 0)
		val |= LVT_MASKED;
	if (which == LVT_TIMER)
		lapic_timer_set_lvt(l, val);
	else
		atomic_store(&l->lvt[which], val);
	if (which == LVT_LINT0)
		lapic_wake_if_ready(l);
}

static void write_tpr(struct lapic *l, uint32_t val)
{
	uint32_t old = atomic_exchange(&l->tpr, val & 0xff);

	if ((val & 0xf0) < (old & 0xf0))
		lapic_wake_if_ready(l);
}

static void reg_write(struct lapic *l, uint32_t off, uint32_t val)
{
	if (off >= LAPIC_LVT && off < LAPIC_LVT + NR_LVT * 16) {
		write_lvt(l, (off - LAPIC_LVT) >> 4, val);
		return;
	}
	switch (off) {
	case LAPIC_TPR:
		write_tpr(l, val);
		break;
	case LAPIC_EOI:
		lapic_eoi(l);
		break;
	case LAPIC_LDR:
		if (!apic_is_x2(l))
			atomic_store(&l->ldr, val & 0xff000000);
		break;
	case LAPIC_DFR:
		if (!apic_is_x2(l))
			atomic_store(&l->dfr, val | 0x0fffffff);
		break;
	case LAPIC_SVR:
		write_svr(l, val);
		break;
	case LAPIC_ESR:
		l->esr = atomic_exchange(&l->esr_new, 0);
		break;
	case LAPIC_ICR:
		l->icr = val & 0xccfff;		/* bit 12 is always idle */
		lapic_send(l);
		break;
	case LAPIC_ICR2:
		l->icr2 = apic_is_x2(l) ? val : val & 0xff000000;
		break;
	case LAPIC_TMICT:
		lapic_timer_set_initial(l, val);
		break;
	case LAPIC_TDCR:
		lapic_timer_set_divide(l, val);
		break;
	case LAPIC_SELF_IPI:
		if (apic_is_x2(l)) {
			l->icr = (val & 0xff) | 1u << 18;
			lapic_send(l);
		}
		break;
	default:
		if (off < LAPIC_ISR || off >= LAPIC_ESR)
			if (off != LAPIC_ID && off != LAPIC_VERSION && off != LAPIC_APR &&
			    off != LAPIC_PPR && off != LAPIC_RRD && off != LAPIC_TMCCT)
				lapic_error(l, ESR_REGISTER);
	}
}

uint32_t lapic_read(struct lapic_set *s, unsigned vp, uint32_t off)
{
	struct lapic *l = lapic_of(s, vp);

	/* Only the first four of sixteen bytes hold a register. */
	if (!apic_on(l) || (off & 0xf) != 0 || off >= PAGE_SIZE)
		return 0;
	return reg_read(l, off);
}

void lapic_write(struct lapic_set *s, unsigned vp, uint32_t off, uint32_t val)
{
	struct lapic *l = lapic_of(s, vp);

	if (apic_on(l) && (off & 0xf) == 0 && off < PAGE_SIZE)
		reg_write(l, off, val);
}

static int base_write(struct lapic *l, uint64_t val)
{
	uint64_t old = atomic_load(&l->base);
	uint32_t from = old & (APIC_BASE_EN | APIC_BASE_EXTD);
	uint32_t to = val & (APIC_BASE_EN | APIC_BASE_EXTD);
	unsigned phys_bits = l->set->conf.phys_bits;

	if ((val & APIC_BASE_RSVD) != 0 || val >> (phys_bits == 0 ? 52 : phys_bits) != 0 ||
	    to == APIC_BASE_EXTD)
		return -ENOENT;
	if (from == 0 && (to & APIC_BASE_EXTD) != 0)
		return -ENOENT;
	if ((from & APIC_BASE_EXTD) != 0 && to == APIC_BASE_EN)
		return -ENOENT;
	atomic_store(&l->base, val);
	if (from != to && to == 0)
		apic_reset(l);
	if (from != to && (to & APIC_BASE_EXTD) != 0) {
		atomic_store(&l->ldr, lapic_x2_ldr(l->vp));
		l->icr2 = 0;
	}
	return 0;
}

int lapic_msr_read(struct lapic_set *s, unsigned vp, uint32_t msr, uint64_t *ret_val)
{
	struct lapic *l = lapic_of(s, vp);
	uint32_t reg = msr - MSR_X2APIC;

	if (msr == MSR_APIC_BASE) {
		*ret_val = atomic_load(&l->base);
		return 0;
	}
	if (msr == MSR_TSC_DEADLINE) {
		*ret_val = lapic_timer_deadline(l);
		return 0;
	}
	if (reg >= ARRAY_LEN(x2_reg) || (x2_reg[reg].access & X2_R) == 0 || !apic_is_x2(l))
		return -ENOENT;
	*ret_val = reg_read(l, reg << 4);
	if (reg << 4 == LAPIC_ICR)
		*ret_val |= (uint64_t)l->icr2 << 32;
	return 0;
}

int lapic_msr_write(struct lapic_set *s, unsigned vp, uint32_t msr, uint64_t val)
{
	struct lapic *l = lapic_of(s, vp);
	uint32_t reg = msr - MSR_X2APIC, high = (uint32_t)(val >> 32);

	if (msr == MSR_APIC_BASE)
		return base_write(l, val);
	if (msr == MSR_TSC_DEADLINE) {
		lapic_timer_set_deadline(l, val);
		return 0;
	}
	if (reg >= ARRAY_LEN(x2_reg) || (x2_reg[reg].access & X2_W) == 0 || !apic_is_x2(l) ||
	    ((uint32_t)val & ~x2_reg[reg].bits) != 0)
		return -ENOENT;
	if (reg << 4 == LAPIC_ICR)
		l->icr2 = high;
	else if (high != 0)
		return -ENOENT;
	reg_write(l, reg << 4, (uint32_t)val);
	return 0;
}

uint64_t lapic_page(struct lapic_set *s, unsigned vp)
{
	uint64_t base = atomic_load(&lapic_of(s, vp)->base);

	if ((base & (APIC_BASE_EN | APIC_BASE_EXTD)) != APIC_BASE_EN)
		return 0;
	return base & ~PAGE_MASK;
}

bool lapic_x2apic(struct lapic_set *s, unsigned vp)
{
	return apic_is_x2(lapic_of(s, vp));
}

bool lapic_enabled(struct lapic_set *s, unsigned vp)
{
	return apic_on(lapic_of(s, vp));
}

uint8_t lapic_cr8(struct lapic_set *s, unsigned vp)
{
	return (uint8_t)(atomic_load(&lapic_of(s, vp)->tpr) >> 4 & 0xf);
}

void lapic_set_cr8(struct lapic_set *s, unsigned vp, uint8_t cr8)
{
	write_tpr(lapic_of(s, vp), (cr8 & 0xfu) << 4);
}
