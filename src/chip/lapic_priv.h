/*
 * lapic_priv.h - one local APIC, as lapic.c, lapic_irq.c and lapic_timer.c see it
 *
 * Registers that only the vCPU's own thread writes are atomic too: senders
 * look at the destination registers, the clock's thread at the timer's LVT.
 */
#ifndef CHIP_LAPIC_PRIV_H
#define CHIP_LAPIC_PRIV_H

#include "chip/lapic.h"

#include <pthread.h>
#include <stdatomic.h>

enum {		/* byte offsets on the xAPIC page; an MSR is 0x800 + offset / 16 */
	LAPIC_ID = 0x20, LAPIC_VERSION = 0x30, LAPIC_TPR = 0x80, LAPIC_APR = 0x90,
	LAPIC_PPR = 0xa0, LAPIC_EOI = 0xb0, LAPIC_RRD = 0xc0, LAPIC_LDR = 0xd0,
	LAPIC_DFR = 0xe0, LAPIC_SVR = 0xf0, LAPIC_ISR = 0x100, LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200, LAPIC_ESR = 0x280, LAPIC_ICR = 0x300, LAPIC_ICR2 = 0x310,
	LAPIC_LVT = 0x320, LAPIC_TMICT = 0x380, LAPIC_TMCCT = 0x390, LAPIC_TDCR = 0x3e0,
	LAPIC_SELF_IPI = 0x3f0,
};

enum lapic_lvt {	/* in the order of their registers */
	LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, NR_LVT,
};

#define LVT_MASKED 0x10000u
#define LVT_VECTOR 0xffu
#define LVT_MODE(lvt) ((lvt) >> 8 & 7)
#define LVT_TIMER_MODE 0x60000u
#define LVT_TIMER_ONE_SHOT 0u
#define LVT_TIMER_PERIODIC 0x20000u
#define LVT_TIMER_DEADLINE 0x40000u

#define SVR_ENABLED 0x100u

#define APIC_BASE_RSVD UINT64_C(0x2ff)	/* and all above the physical address */
#define APIC_BASE_BSP 0x100u
#define APIC_BASE_EXTD 0x400u
#define APIC_BASE_EN 0x800u

enum { MODE_FIXED = 0, MODE_LOWEST = 1, MODE_SMI = 2, MODE_NMI = 4, MODE_INIT = 5, MODE_SIPI = 6,
       MODE_EXTINT = 7 };

#define ESR_SEND_VECTOR 0x20u
#define ESR_RECV_VECTOR 0x40u
#define ESR_REGISTER 0x80u

#define LAPIC_BROADCAST UINT32_MAX

struct lapic_timer {
	pthread_mutex_t lock;		/* a leaf but for the clock's own lock */
	struct timer *timer;		/* [owned] */
	/* [lock] all below */
	uint64_t start_ns;		/* when the count was COUNT */
	uint32_t count, initial;	/* count 0: it stands still until INITIAL is written */
	uint32_t divide;		/* the register */
	uint64_t deadline;		/* TSC; 0 = none */
	uint64_t due;			/* what the clock's timer is armed for */
};

struct lapic {
	struct lapic_set *set;		/* [const] */
	unsigned vp;			/* [const] */
	_Atomic uint64_t base;		/* IA32_APIC_BASE */
	_Atomic uint32_t tpr, ldr, dfr, svr;
	_Atomic uint32_t esr_new;	/* errors since the last write of ESR */
	uint32_t esr;			/* [own thread], as icr */
	uint32_t icr, icr2;
	_Atomic uint32_t lvt[NR_LVT];
	_Atomic uint32_t irr[8];
	_Atomic uint32_t isr[8], tmr[8];
	_Atomic uint32_t auto_eoi[8];	/* of those in irr: over on delivery */
	_Atomic bool lint0;		/* the pin; who drives it saves it */
	struct lapic_timer t;
};

struct lapic_set {
	struct lapic_conf conf;
	_Atomic unsigned rotor;		/* fairness of lowest priority */
	struct lapic apic[];
};

static inline bool apic_on(const struct lapic *l)
{
	return (atomic_load(&l->base) & APIC_BASE_EN) != 0;
}

static inline bool apic_is_x2(const struct lapic *l)
{
	return (atomic_load(&l->base) & APIC_BASE_EXTD) != 0;
}

extern const uint32_t lapic_lvt_mask[NR_LVT];	/* what can be written */
struct lapic *lapic_of(struct lapic_set *s, unsigned vp);

/* The logical address an APIC has in x2APIC mode: cluster and bit. */
static inline uint32_t lapic_x2_ldr(unsigned vp)
{
	return (vp >> 4) << 16 | 1u << (vp & 15);
}

/* lapic_irq.c */
uint32_t lapic_ppr(const struct lapic *l);
void lapic_eoi(struct lapic *l);
void lapic_wake_if_ready(struct lapic *l);
/* The registers ICR and ICR2 as just written. */
void lapic_send(struct lapic *l);
void lapic_error(struct lapic *l, uint32_t esr);
void lapic_local(struct lapic *l, enum lapic_lvt which);
bool lapic_accept(struct lapic *l, uint8_t vector, bool level, bool auto_eoi);

/* lapic_timer.c */
MUST_CHECK int lapic_timer_init(struct lapic *l);
void lapic_timer_fini(struct lapic *l);
void lapic_timer_reset(struct lapic *l);
void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt);
void lapic_timer_set_initial(struct lapic *l, uint32_t count);
void lapic_timer_set_divide(struct lapic *l, uint32_t divide);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
uint32_t lapic_timer_initial(struct lapic *l);
uint32_t lapic_timer_current(struct lapic *l);
uint32_t lapic_timer_divide(struct lapic *l);
uint64_t lapic_timer_deadline(struct lapic *l);
void lapic_timer_save(struct lapic *l, uint32_t *ret_count, uint32_t *ret_initial,
		      uint32_t *ret_divide, uint64_t *ret_deadline);
void lapic_timer_load(struct lapic *l, uint32_t lvt, uint32_t count, uint32_t initial,
		      uint32_t divide, uint64_t deadline);

#endif
