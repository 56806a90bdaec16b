#include "base/test.h"

#include "base/le.h"
#include "chip/lapic_priv.h"

#include <stdlib.h>

#define NR 4
#define TIMER_HZ UINT64_C(200000000)
#define TSC_HZ UINT64_C(2000000000)

/* What the APICs asked of the machine. */
struct world {
	struct clock *c;
	struct lapic_set *s;
	_Atomic unsigned acks[NR], notify[NR];
	unsigned nmi[NR], init[NR], sipi[NR], eoi;
	uint8_t sipi_vector, eoi_vector;
	bool eoi_level;
};

static void w_notify(void *self, unsigned vp) { ((struct world *)self)->notify[vp]++; }
static void w_nmi(void *self, unsigned vp) { ((struct world *)self)->nmi[vp]++; }
static void w_init(void *self, unsigned vp) { ((struct world *)self)->init[vp]++; }

static void w_sipi(void *self, unsigned vp, uint8_t vector)
{
	((struct world *)self)->sipi[vp]++;
	((struct world *)self)->sipi_vector = vector;
}

static uint8_t w_extint(void *self, unsigned vp)
{
	((struct world *)self)->acks[vp]++;
	return 0x73;
}

static void w_eoi(void *self, unsigned vp, uint8_t vector, bool level)
{
	struct world *w = self;

	(void)vp;
	w->eoi++;
	w->eoi_vector = vector;
	w->eoi_level = level;
}

/* The TSC runs with virtual time, from 1000. */
static uint64_t w_tsc(void *self)
{
	return 1000 + mul_div(clock_now_ns(((struct world *)self)->c), TSC_HZ, NS_PER_SEC);
}

static const struct lapic_client client = { w_notify, w_nmi, w_init, w_sipi, w_eoi, w_tsc, w_extint };

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	CHECK(w != NULL);
	CHECK_EQ(clock_new_manual(&w->c), 0);
	CHECK_EQ(lapic_new(&(struct lapic_conf){ NR, w->c, TIMER_HZ, TSC_HZ, &client, w, 52 },
			   &w->s, NULL), 0);
	for (unsigned i = 0; i < NR; i++)
		lapic_write(w->s, i, LAPIC_SVR, 0x1ff);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	lapic_free(w->s);
	clock_free(w->c);
	free(w);
	return 0;
}

static void go_x2(struct world *w, unsigned vp)
{
	uint64_t base;

	CHECK_EQ(lapic_msr_read(w->s, vp, 0x1b, &base), 0);
	CHECK_EQ(lapic_msr_write(w->s, vp, 0x1b, base | 0xc00), 0);
}

static uint64_t rdmsr(struct world *w, unsigned vp, uint32_t msr)
{
	uint64_t val;

	CHECK_EQ(lapic_msr_read(w->s, vp, msr, &val), 0);
	return val;
}

static void reset_values_are_intels(void **state)
{
	struct world *w = *state;

	lapic_reset(w->s, 2, false);
	CHECK_EQ(lapic_read(w->s, 2, LAPIC_ID), 2u << 24);
	CHECK_EQ(lapic_read(w->s, 2, LAPIC_VERSION), 0x50014);
	CHECK_EQ(lapic_read(w->s, 2, LAPIC_SVR), 0xff);
	CHECK_EQ(lapic_read(w->s, 2, LAPIC_DFR), 0xffffffff);
	for (unsigned i = 0; i < NR_LVT; i++)
		CHECK_EQ(lapic_read(w->s, 2, LAPIC_LVT + i * 16), LVT_MASKED);
	CHECK_EQ(rdmsr(w, 0, 0x1b), 0xfee00900);
	CHECK_EQ(rdmsr(w, 2, 0x1b), 0xfee00800);
	CHECK_EQ(lapic_page(w->s, 2), 0xfee00000);
	/* Software-disabled: LVT entries stay masked, fixed interrupts are lost. */
	lapic_write(w->s, 2, LAPIC_LVT, 0x30);
	CHECK_EQ(lapic_read(w->s, 2, LAPIC_LVT), 0x10030);
	lapic_post(w->s, 2, 0x50, false, false);
	CHECK(!lapic_ready(w->s, 2));
}

static void priorities_nest_and_eoi_ends_the_highest(void **state)
{
	struct world *w = *state;

	CHECK_EQ(lapic_take(w->s, 0), -1);
	lapic_post(w->s, 0, 0x41, false, false);
	lapic_post(w->s, 0, 0x52, true, false);
	CHECK_EQ(w->notify[0], 2);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_IRR + 0x20), 0x40002);
	CHECK(lapic_ready(w->s, 0));
	CHECK_EQ(lapic_take(w->s, 0), 0x52);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_PPR), 0x50);
	CHECK_EQ(lapic_take(w->s, 0), -1);		/* 0x41 waits behind class 5 */
	lapic_post(w->s, 0, 0x5f, false, false);
	CHECK_EQ(lapic_take(w->s, 0), -1);		/* same class */
	lapic_post(w->s, 0, 0x60, false, false);
	CHECK_EQ(lapic_take(w->s, 0), 0x60);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	CHECK_EQ(w->eoi_vector, 0x60);
	CHECK(!w->eoi_level);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	CHECK_EQ(w->eoi_vector, 0x52);
	CHECK(w->eoi_level);
	CHECK_EQ(lapic_take(w->s, 0), 0x5f);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	CHECK_EQ(lapic_take(w->s, 0), 0x41);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	CHECK_EQ(w->eoi, 4);
	lapic_write(w->s, 0, LAPIC_EOI, 0);		/* of nothing */
	CHECK_EQ(w->eoi, 4);
}

static void the_task_priority_holds_back_and_lets_go(void **state)
{
	struct world *w = *state;
	unsigned before;

	lapic_set_cr8(w->s, 0, 5);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TPR), 0x50);
	lapic_post(w->s, 0, 0x5f, false, false);
	CHECK(!lapic_ready(w->s, 0));
	CHECK_EQ(lapic_take(w->s, 0), -1);
	before = w->notify[0];
	lapic_write(w->s, 0, LAPIC_TPR, 0x4f);
	CHECK_EQ(w->notify[0], before + 1);
	CHECK_EQ(lapic_cr8(w->s, 0), 4);
	CHECK_EQ(lapic_take(w->s, 0), 0x5f);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_PPR), 0x50);
}

static void auto_eoi_is_over_on_delivery(void **state)
{
	struct world *w = *state;

	lapic_post(w->s, 1, 0x75, false, true);
	CHECK_EQ(lapic_take(w->s, 1), 0x75);
	CHECK_EQ(lapic_read(w->s, 1, LAPIC_PPR), 0);
	lapic_post(w->s, 1, 0x75, false, false);	/* and the next one is not */
	CHECK_EQ(lapic_take(w->s, 1), 0x75);
	CHECK_EQ(lapic_read(w->s, 1, LAPIC_PPR), 0x70);
	CHECK_EQ(w->eoi, 0);
}

static void illegal_vectors_are_errors(void **state)
{
	struct world *w = *state;

	lapic_write(w->s, 0, LAPIC_LVT + LVT_ERROR * 16, 0xfe);
	lapic_post(w->s, 0, 15, false, false);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_ESR), 0);	/* not before it is written */
	lapic_write(w->s, 0, LAPIC_ESR, 0);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_ESR), ESR_RECV_VECTOR);
	CHECK_EQ(lapic_take(w->s, 0), 0xfe);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	lapic_write(w->s, 0, LAPIC_ICR, 0x00040005);	/* to self, vector 5 */
	(void)lapic_read(w->s, 0, 0x400);		/* no such register */
	lapic_write(w->s, 0, LAPIC_ESR, 0);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_ESR), ESR_SEND_VECTOR | ESR_REGISTER);
	lapic_write(w->s, 0, LAPIC_LVT + LVT_ERROR * 16, 0x03);	/* itself illegal: no recursion */
	lapic_post(w->s, 0, 1, false, false);
	lapic_write(w->s, 0, LAPIC_ESR, 0);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_ESR), ESR_RECV_VECTOR);
}

static unsigned took(struct world *w)	/* a bit per APIC that had something */
{
	unsigned who = 0;

	for (unsigned i = 0; i < NR; i++)
		while (lapic_take(w->s, i) >= 0) {
			lapic_write(w->s, i, LAPIC_EOI, 0);
			who |= 1u << i;
		}
	return who;
}

static void ipi(struct world *w, unsigned from, uint32_t dest, uint32_t low)
{
	lapic_write(w->s, from, LAPIC_ICR2, dest << 24);
	lapic_write(w->s, from, LAPIC_ICR, low);
}

static void ipis_reach_who_they_name(void **state)
{
	struct world *w = *state;

	ipi(w, 0, 2, 0x40f0);
	CHECK_EQ(took(w), 1 << 2);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_ICR), 0x40f0);
	ipi(w, 0, 9, 0x40f0);
	CHECK_EQ(took(w), 0);
	ipi(w, 0, 0xff, 0x40f0);
	CHECK_EQ(took(w), 15);
	ipi(w, 1, 0, 0x440f0);		/* self */
	CHECK_EQ(took(w), 1 << 1);
	ipi(w, 1, 0, 0x840f0);		/* all */
	CHECK_EQ(took(w), 15);
	ipi(w, 1, 0, 0xc40f0);		/* others */
	CHECK_EQ(took(w), 13);
	/* Logical, flat: one bit each; then clusters. */
	for (unsigned i = 0; i < NR; i++)
		lapic_write(w->s, i, LAPIC_LDR, 1u << (24 + i));
	ipi(w, 0, 0xa, 0x48f0);
	CHECK_EQ(took(w), 10);
	for (unsigned i = 0; i < NR; i++) {
		lapic_write(w->s, i, LAPIC_DFR, 0x0fffffff);
		lapic_write(w->s, i, LAPIC_LDR, (i / 2 << 4 | 1u << i % 2) << 24);
	}
	ipi(w, 0, 0x13, 0x48f0);
	CHECK_EQ(took(w), 12);
	ipi(w, 0, 0x02, 0x48f0);
	CHECK_EQ(took(w), 2);
}

static void lowest_priority_takes_turns_among_the_least_busy(void **state)
{
	struct world *w = *state;
	unsigned seen = 0;

	lapic_write(w->s, 1, LAPIC_TPR, 0x20);
	for (unsigned i = 0; i < 12; i++) {
		unsigned who;

		ipi(w, 0, 0xff, 0x41f0);
		who = took(w);
		CHECK(who != 0 && (who & (who - 1)) == 0);	/* one of them */
		seen |= who;
	}
	CHECK_EQ(seen, 13);
}

static void start_up_messages_are_passed_on(void **state)
{
	struct world *w = *state;

	ipi(w, 0, 1, 0x4500);		/* INIT */
	ipi(w, 0, 1, 0x8500);		/* INIT de-assert: nothing */
	ipi(w, 0, 1, 0x469a);
	CHECK_EQ(w->init[1], 1);
	CHECK_EQ(w->sipi[1], 1);
	CHECK_EQ(w->sipi_vector, 0x9a);
	ipi(w, 0, 0, 0xc4400);		/* NMI to all others */
	CHECK_EQ(w->nmi[0], 0);
	CHECK_EQ(w->nmi[1] + w->nmi[2] + w->nmi[3], 3);
	lapic_write(w->s, 0, LAPIC_LVT + LVT_LINT1 * 16, 0x400);
	lapic_local(lapic_of(w->s, 0), LVT_LINT1);
	CHECK_EQ(w->nmi[0], 1);
	/* INIT resets the registers but not the mode. */
	go_x2(w, 1);
	lapic_reset(w->s, 1, true);
	CHECK(lapic_x2apic(w->s, 1));
	CHECK_EQ(rdmsr(w, 1, 0x80f), 0xff);
	CHECK_EQ(rdmsr(w, 1, 0x80d), 2);
}

static void external_messages_find_their_apic(void **state)
{
	struct world *w = *state;

	CHECK(lapic_deliver(w->s, 3, false, MODE_FIXED, 0x61, true));
	CHECK_EQ(lapic_take(w->s, 3), 0x61);
	lapic_write(w->s, 3, LAPIC_EOI, 0);
	CHECK(w->eoi_level);
	CHECK(!lapic_deliver(w->s, 77, false, MODE_FIXED, 0x61, true));
	CHECK(!lapic_deliver(w->s, 3, false, MODE_EXTINT, 0x61, false));
	CHECK(!lapic_deliver(w->s, 3, false, 3, 0x61, false));
	go_x2(w, 3);
	CHECK(lapic_deliver(w->s, 0xff, false, MODE_FIXED, 0x61, false));
	CHECK_EQ(took(w), 15);
	lapic_write(w->s, 0, LAPIC_SVR, 0xff);
	CHECK(!lapic_deliver(w->s, 0, false, MODE_FIXED, 0x61, false));
	CHECK(lapic_deliver(w->s, 0, false, MODE_NMI, 0, false));
}

static void apic_base_is_a_one_way_circle(void **state)
{
	static const struct {
		uint64_t from, to;
		bool ok;
	} moves[] = {
		{ 0x800, 0x800, 1 }, { 0x800, 0xc00, 1 }, { 0x800, 0x400, 0 },
		{ 0xc00, 0xc00, 1 }, { 0xc00, 0x800, 0 }, { 0xc00, 0x400, 0 }, { 0xc00, 0x000, 1 },
		{ 0x000, 0xc00, 0 }, { 0x000, 0x400, 0 }, { 0x000, 0x000, 1 }, { 0x000, 0x800, 1 },
	};
	static const uint64_t bad[] = { 1, 0x80, 0x200, UINT64_C(1) << 52, UINT64_C(1) << 63 };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		lapic_reset(w->s, 1, false);
		if (moves[i].from != 0x800)
			CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00000 | moves[i].from), 0);
		CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00000 | moves[i].to),
			 moves[i].ok ? 0 : -ENOENT);
	}
	lapic_reset(w->s, 1, false);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00800 | bad[i]), -ENOENT);
	CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00800 | UINT64_C(1) << 51), 0);
	w->s->conf.phys_bits = 46;
	CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00800 | UINT64_C(1) << 46), -ENOENT);
	CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfed00800), 0);
	CHECK_EQ(lapic_page(w->s, 1), 0xfed00000);
	CHECK(lapic_enabled(w->s, 1));
	lapic_write(w->s, 1, LAPIC_TPR, 0x30);
	CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00000), 0);
	CHECK_EQ(lapic_page(w->s, 1), 0);
	CHECK(!lapic_enabled(w->s, 1));
	CHECK_EQ(lapic_read(w->s, 1, LAPIC_VERSION), 0);
	lapic_post(w->s, 1, 0x40, false, false);
	CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00800), 0);
	CHECK_EQ(lapic_read(w->s, 1, LAPIC_TPR), 0);	/* off forgets everything */
	CHECK_EQ(lapic_take(w->s, 1), -1);
}

static void x2apic_msrs_refuse_reserved_bits(void **state)
{
	static const uint32_t read_bad[] = { 0x800, 0x801, 0x80b, 0x80e, 0x80c, 0x82f, 0x831, 0x83a,
					     0x83f, 0x840, 0x8ff, 0x900, 0x7ff };
	static const struct {
		uint32_t msr;
		uint64_t val;
	} write_bad[] = {
		{ 0x802, 0 }, { 0x803, 0 }, { 0x80d, 0 }, { 0x80a, 0 }, { 0x810, 0 }, { 0x827, 0 },
		{ 0x839, 0 }, { 0x808, 0x100 }, { 0x80b, 1 }, { 0x828, 1 }, { 0x830, 0x2000 },
		{ 0x830, 0x100000 }, { 0x832, 0x80000 }, { 0x83e, 4 }, { 0x83f, 0x100 },
		{ 0x808, UINT64_C(1) << 32 }, { 0x838, UINT64_C(1) << 32 },
	};
	struct world *w = *state;
	uint64_t val;

	CHECK_EQ(lapic_msr_read(w->s, 0, 0x802, &val), -ENOENT);	/* xAPIC mode */
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x808, 0), -ENOENT);
	go_x2(w, 0);
	CHECK_EQ(lapic_page(w->s, 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(read_bad); i++)
		CHECK_EQ(lapic_msr_read(w->s, 0, read_bad[i], &val), -ENOENT);
	for (size_t i = 0; i < ARRAY_LEN(write_bad); i++)
		CHECK_EQ(lapic_msr_write(w->s, 0, write_bad[i].msr, write_bad[i].val), -ENOENT);
	for (uint32_t i = 0; i < NR_LVT; i++) {		/* what was read may be written back */
		val = rdmsr(w, 0, 0x832 + i);
		CHECK_EQ(lapic_msr_write(w->s, 0, 0x832 + i, val), 0);
	}
	CHECK_EQ(rdmsr(w, 0, 0x802), 0);
	CHECK_EQ(rdmsr(w, 0, 0x80d), 1);
}

static void x2apic_ipis_use_all_of_the_destination(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < NR; i++)
		go_x2(w, i);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x830, UINT64_C(2) << 32 | 0x40f1), 0);
	CHECK_EQ(rdmsr(w, 0, 0x830), UINT64_C(2) << 32 | 0x40f1);
	CHECK_EQ(took(w), 4);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x830, UINT64_C(0xff) << 32 | 0x40f1), 0);
	CHECK_EQ(took(w), 0);		/* 255 is a processor like any other */
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x830, UINT64_C(0xffffffff) << 32 | 0x40f1), 0);
	CHECK_EQ(took(w), 15);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x830, UINT64_C(0x0000000a) << 32 | 0x48f1), 0);
	CHECK_EQ(took(w), 10);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x830, UINT64_C(0x0001000a) << 32 | 0x48f1), 0);
	CHECK_EQ(took(w), 0);
	CHECK_EQ(lapic_msr_write(w->s, 3, 0x83f, 0x77), 0);
	CHECK_EQ(took(w), 8);
}

static void the_count_runs_once_or_again(void **state)
{
	struct world *w = *state;

	lapic_write(w->s, 0, LAPIC_TDCR, 0xb);		/* by 1: 5 ns a tick */
	lapic_write(w->s, 0, LAPIC_LVT, 0x30);
	lapic_write(w->s, 0, LAPIC_TMICT, 200000);	/* 1 ms */
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 200000);
	clock_step(w->c, 250000);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 150000);
	clock_step(w->c, 749999);
	CHECK(!lapic_ready(w->s, 0));
	clock_step(w->c, 1);
	CHECK_EQ(lapic_take(w->s, 0), 0x30);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	clock_step(w->c, 10000000);
	CHECK(!lapic_ready(w->s, 0));
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 0);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMICT), 200000);

	lapic_write(w->s, 0, LAPIC_LVT, 0x20031);	/* periodic, by 2: 2 ms */
	lapic_write(w->s, 0, LAPIC_TDCR, 0);
	lapic_write(w->s, 0, LAPIC_TMICT, 200000);
	for (unsigned i = 0; i < 5; i++) {
		clock_step(w->c, 1999999);
		CHECK(!lapic_ready(w->s, 0));
		clock_step(w->c, 1);
		CHECK_EQ(lapic_take(w->s, 0), 0x31);
		lapic_write(w->s, 0, LAPIC_EOI, 0);
	}
	clock_step(w->c, 500000);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 150000);
	lapic_write(w->s, 0, LAPIC_TDCR, 0xb);		/* faster from here: 0.75 ms left */
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 150000);
	clock_step(w->c, 749999);
	CHECK(!lapic_ready(w->s, 0));
	clock_step(w->c, 1);
	CHECK_EQ(lapic_take(w->s, 0), 0x31);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	lapic_write(w->s, 0, LAPIC_LVT, 0x30031);	/* masked: counts, says nothing */
	clock_step(w->c, 5250000);
	CHECK(!lapic_ready(w->s, 0));
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 150000);
	lapic_write(w->s, 0, LAPIC_LVT, 0x20031);
	clock_step(w->c, 750000);
	CHECK_EQ(lapic_take(w->s, 0), 0x31);
	lapic_write(w->s, 0, LAPIC_TMICT, 0);		/* stop */
	clock_step(w->c, 5000000);
	CHECK_EQ(lapic_take(w->s, 0), -1);
}

static void lint0_is_the_wire_of_a_pic(void **state)
{
	struct world *w = *state;
	unsigned woken;

	lapic_lint0(w->s, 1, true);
	CHECK(!lapic_ready(w->s, 1));			/* masked after reset */
	woken = w->notify[1];
	lapic_write(w->s, 1, 0x350, 0x700);		/* ExtINT */
	CHECK_EQ(w->notify[1], woken + 1);
	CHECK(lapic_ready(w->s, 1));
	lapic_write(w->s, 1, LAPIC_TPR, 0xf0);
	CHECK_EQ(lapic_take(w->s, 1), 0x73);
	CHECK_EQ(w->acks[1], 1);
	CHECK(lapic_ready(w->s, 1));			/* the PIC lets go, not we */
	lapic_lint0(w->s, 1, false);
	CHECK(!lapic_ready(w->s, 1));
	CHECK_EQ(lapic_take(w->s, 1), -1);
	lapic_write(w->s, 1, 0x350, 0x400);		/* NMI: an edge each */
	lapic_lint0(w->s, 1, true);
	lapic_lint0(w->s, 1, true);
	CHECK_EQ(w->nmi[1], 1);
	CHECK(!lapic_ready(w->s, 1));
	lapic_lint0(w->s, 1, false);
	lapic_write(w->s, 1, 0x350, 0x10700);
	CHECK_EQ(lapic_msr_write(w->s, 1, 0x1b, 0xfee00000), 0);
	woken = w->notify[1];
	lapic_lint0(w->s, 1, true);			/* off: straight through */
	CHECK_EQ(w->notify[1], woken + 1);
	CHECK_EQ(lapic_take(w->s, 1), 0x73);
	CHECK_EQ(w->acks[1], 2);
}

/* [SDM 3] 11.5.4: between one-shot and periodic the count neither restarts nor revives. */
static void the_count_goes_on_when_the_mode_changes(void **state)
{
	struct world *w = *state;

	lapic_write(w->s, 0, LAPIC_TDCR, 0xb);		/* 5 ns a tick */
	lapic_write(w->s, 0, LAPIC_LVT, 0x30);
	lapic_write(w->s, 0, LAPIC_TMICT, 200000);
	clock_step(w->c, 750000);
	lapic_write(w->s, 0, LAPIC_LVT, 0x20030);	/* periodic from here */
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 50000);
	clock_step(w->c, 500000);
	CHECK_EQ(lapic_take(w->s, 0), 0x30);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 150000);
	lapic_write(w->s, 0, LAPIC_LVT, 0x30);		/* once more only */
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 150000);
	clock_step(w->c, 750000);
	CHECK_EQ(lapic_take(w->s, 0), 0x30);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	lapic_write(w->s, 0, LAPIC_LVT, 0x20030);	/* too late */
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 0);
	clock_step(w->c, 5000000);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 0);
	CHECK_EQ(lapic_take(w->s, 0), -1);
	lapic_write(w->s, 0, LAPIC_TMICT, 1000);
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMCCT), 1000);
}

/* A rate that does not divide a second: never early, so never twice. */
static void an_odd_rate_fires_once(void **state)
{
	struct world w = { 0 };

	(void)state;
	CHECK_EQ(clock_new_manual(&w.c), 0);
	CHECK_EQ(lapic_new(&(struct lapic_conf){ 1, w.c, 333333331, TSC_HZ, &client, &w, 52 },
			   &w.s, NULL), 0);
	lapic_write(w.s, 0, LAPIC_SVR, 0x1ff);
	lapic_write(w.s, 0, LAPIC_TDCR, 0xb);
	lapic_write(w.s, 0, LAPIC_LVT, 0x30);
	for (uint32_t count = 1; count < 2000; count += 7) {
		unsigned before = w.notify[0];

		lapic_write(w.s, 0, LAPIC_TMICT, count);
		for (unsigned i = 0; i < 10; i++)
			clock_step(w.c, 10000);
		CHECK_EQ(w.notify[0] - before, 1);
	}
	lapic_free(w.s);
	clock_free(w.c);
}

static void a_period_of_one_tick_is_no_flood(void **state)
{
	struct world *w = *state;
	unsigned before;

	lapic_write(w->s, 0, LAPIC_TDCR, 0xb);
	lapic_write(w->s, 0, LAPIC_LVT, 0x20031);
	lapic_write(w->s, 0, LAPIC_TMICT, 1);
	before = w->notify[0];
	clock_step(w->c, 10 * 1000 * 1000);
	CHECK(w->notify[0] - before > 150);
	CHECK(w->notify[0] - before <= 201);
}

static void a_tsc_deadline_fires_once_and_reads_zero(void **state)
{
	struct world *w = *state;

	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, 5000), 0);	/* not in that mode: ignored */
	CHECK_EQ(rdmsr(w, 0, 0x6e0), 0);
	lapic_write(w->s, 0, LAPIC_LVT, 0x40032);
	lapic_write(w->s, 0, LAPIC_TMICT, 100);			/* ignored in this mode */
	CHECK_EQ(lapic_read(w->s, 0, LAPIC_TMICT), 0);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, 1000 + 2001), 0);
	CHECK_EQ(rdmsr(w, 0, 0x6e0), 3001);
	clock_step(w->c, 1000);
	CHECK(!lapic_ready(w->s, 0));
	clock_step(w->c, 1);
	CHECK_EQ(lapic_take(w->s, 0), 0x32);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	CHECK_EQ(rdmsr(w, 0, 0x6e0), 0);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, 2), 0);	/* long past: at once */
	CHECK_EQ(lapic_take(w->s, 0), 0x32);
	lapic_write(w->s, 0, LAPIC_EOI, 0);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, UINT64_MAX), 0);
	clock_step(w->c, NS_PER_SEC);
	CHECK(!lapic_ready(w->s, 0));
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, w_tsc(w) + 100), 0);
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, 0), 0);	/* disarmed */
	clock_step(w->c, NS_PER_SEC);
	CHECK(!lapic_ready(w->s, 0));
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, w_tsc(w) + 100), 0);
	lapic_write(w->s, 0, LAPIC_LVT, 0x30);			/* leaving the mode disarms */
	CHECK_EQ(rdmsr(w, 0, 0x6e0), 0);
	clock_step(w->c, NS_PER_SEC);
	CHECK(!lapic_ready(w->s, 0));
	lapic_write(w->s, 0, LAPIC_LVT, 0x50032);		/* passes behind a mask */
	CHECK_EQ(lapic_msr_write(w->s, 0, 0x6e0, w_tsc(w) + 100), 0);
	clock_step(w->c, NS_PER_SEC);
	lapic_write(w->s, 0, LAPIC_LVT, 0x40032);
	CHECK(!lapic_ready(w->s, 0));
}

static void what_is_saved_loads_and_saves_the_same(void **state)
{
	struct world *w = *state, other = { 0 };
	uint8_t one[1024], two[1024];
	struct err err;
	size_t n;

	lapic_write(w->s, 0, LAPIC_TDCR, 0xb);
	lapic_write(w->s, 0, LAPIC_LVT, 0x20030);
	lapic_write(w->s, 0, LAPIC_TMICT, 200000);
	lapic_post(w->s, 0, 0x52, true, false);
	lapic_post(w->s, 0, 0x41, false, true);
	CHECK_EQ(lapic_take(w->s, 0), 0x52);
	clock_step(w->c, 250000);
	n = lapic_save(w->s, 0, one, sizeof(one));
	CHECK(n <= sizeof(one));

	CHECK_EQ(clock_new_manual(&other.c), 0);
	CHECK_EQ(lapic_new(&(struct lapic_conf){ NR, other.c, TIMER_HZ, TSC_HZ, &client, &other, 52 },
			   &other.s, NULL), 0);
	for (size_t cut = 0; cut < n; cut++)
		CHECK_EQ(lapic_load(other.s, 0, one, cut, &err), -EBADMSG);
	CHECK_EQ(lapic_read(other.s, 0, LAPIC_SVR), 0xff);	/* untouched so far */
	CHECK_EQ(lapic_load(other.s, 0, one, n, &err), 0);
	CHECK_EQ(lapic_save(other.s, 0, two, sizeof(two)), n);
	CHECK_MEM(one, two, n);
	lapic_write(other.s, 0, LAPIC_EOI, 0);
	CHECK(other.eoi_level);
	CHECK_EQ(lapic_take(other.s, 0), 0x41);
	CHECK_EQ(lapic_read(other.s, 0, LAPIC_PPR), 0);		/* it was an auto-EOI one */
	clock_step(other.c, 749999);
	CHECK(!lapic_ready(other.s, 0));
	clock_step(other.c, 1);
	CHECK_EQ(lapic_take(other.s, 0), 0x30);
	/* A stranger's: base (the first field) with EXTD alone; an x2APIC's LDR that is not its own. */
	st64(one + 8, 0xfee00400);
	CHECK_EQ(lapic_load(other.s, 0, one, n, &err), -EBADMSG);
	st64(one + 8, 0xfee00c00);
	CHECK_EQ(lapic_load(other.s, 0, one, n, &err), -EBADMSG);
	lapic_free(other.s);
	clock_free(other.c);
}

/* Posters against the owner, on a real clock: nothing is lost.  For TSan. */
static void *poster(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; i < 20000; i++) {
		lapic_post(w->s, 0, (uint8_t)(0x20 + i % 200), i & 1, (i & 2) != 0);
		lapic_deliver(w->s, 0xff, i & 1, MODE_LOWEST, 0xf0, false);
	}
	return NULL;
}

static void posting_needs_no_lock(void **state)
{
	struct world w = { 0 };
	pthread_t th[2];

	(void)state;
	CHECK_EQ(clock_new(&w.c), 0);
	CHECK_EQ(lapic_new(&(struct lapic_conf){ NR, w.c, TIMER_HZ, TSC_HZ, &client, &w, 52 },
			   &w.s, NULL), 0);
	lapic_write(w.s, 0, LAPIC_SVR, 0x1ff);
	lapic_write(w.s, 0, LAPIC_LVT, 0x20031);
	lapic_write(w.s, 0, LAPIC_TMICT, 1);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&th[i], NULL, poster, &w), 0);
	for (unsigned i = 0; i < 50000; i++) {
		lapic_write(w.s, 0, LAPIC_LDR, i << 24);
		if (i % 50 == 0)
			lapic_write(w.s, 0, LAPIC_LVT, i % 100 ? 0x20031 : 0x40031);
		if (i % 50 == 0)
			lapic_write(w.s, 0, LAPIC_TMICT, 10);
		if (lapic_take(w.s, 0) >= 0)
			lapic_write(w.s, 0, LAPIC_EOI, 0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	lapic_write(w.s, 0, LAPIC_LVT, LVT_MASKED);
	lapic_post(w.s, 0, 0xff, false, false);
	lapic_write(w.s, 0, LAPIC_EOI, 0);
	CHECK_EQ(lapic_take(w.s, 0), 0xff);
	lapic_free(w.s);
	clock_free(w.c);
}

static void failed_allocations_are_reported(void **state)
{
	struct world *w = *state;
	struct lapic_set *s = NULL;
	struct lapic_conf conf = { NR, w->c, TIMER_HZ, TSC_HZ, &client, w, 52 };

	for (unsigned n = 1; n <= 1 + NR; n++) {
		base_fail_alloc(n);
		CHECK_EQ(lapic_new(&conf, &s, NULL), -ENOMEM);
		base_fail_alloc(0);
	}
	conf.nr = 0;
	CHECK_EQ(lapic_new(&conf, &s, NULL), -EINVAL);
	CHECK(s == NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_values_are_intels),
		T(priorities_nest_and_eoi_ends_the_highest),
		T(the_task_priority_holds_back_and_lets_go),
		T(auto_eoi_is_over_on_delivery),
		T(illegal_vectors_are_errors),
		T(ipis_reach_who_they_name),
		T(lowest_priority_takes_turns_among_the_least_busy),
		T(start_up_messages_are_passed_on),
		T(external_messages_find_their_apic),
		T(apic_base_is_a_one_way_circle),
		T(x2apic_msrs_refuse_reserved_bits),
		T(x2apic_ipis_use_all_of_the_destination),
		T(the_count_runs_once_or_again),
		T(the_count_goes_on_when_the_mode_changes),
		T(lint0_is_the_wire_of_a_pic),
		cmocka_unit_test(an_odd_rate_fires_once),
		T(a_period_of_one_tick_is_no_flood),
		T(a_tsc_deadline_fires_once_and_reads_zero),
		T(what_is_saved_loads_and_saves_the_same),
		cmocka_unit_test(posting_needs_no_lock),
		T(failed_allocations_are_reported),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
