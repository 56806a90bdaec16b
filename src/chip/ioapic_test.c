#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/ioapic.c"

#define BASE 0xfec00000u

struct board {
	struct rig r;
	struct lapic_set *lapics;
	unsigned nmi;
};

static void b_notify(void *self, unsigned vp) { (void)self, (void)vp; }
static void b_nmi(void *self, unsigned vp) { (void)vp; ((struct board *)self)->nmi++; }
static void b_init(void *self, unsigned vp) { (void)self, (void)vp; }
static void b_sipi(void *self, unsigned vp, uint8_t v) { (void)self, (void)vp, (void)v; }

static void b_eoi(void *self, unsigned vp, uint8_t vector, bool level)
{
	(void)vp;
	if (level)
		ioapic_eoi(((struct board *)self)->r.dev, vector);
}

static uint64_t b_tsc(void *self) { (void)self; return 0; }

static const struct lapic_client client = { b_notify, b_nmi, b_init, b_sipi, b_eoi, b_tsc, NULL };

static int setup(void **state)
{
	struct board *b = calloc(1, sizeof(*b));

	CHECK(b != NULL);
	rig_init(&b->r);
	CHECK_EQ(lapic_new(&(struct lapic_conf){ 2, b->r.clock, 1000, 1000, &client, b, 52 },
			   &b->lapics, NULL), 0);
	rig_put(&b->r, &ioapic_dev, &(struct ioapic_conf){ BASE, b->lapics });
	lapic_write(b->lapics, 0, 0xf0, 0x1ff);
	lapic_write(b->lapics, 1, 0xf0, 0x1ff);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct board *b = *state;

	lapic_free(b->lapics);
	rig_fini(&b->r);
	free(b);
	return 0;
}

static void put(struct board *b, uint8_t reg, uint32_t val)
{
	bus_write(b->r.mmio, BASE, 4, reg);
	bus_write(b->r.mmio, BASE + 0x10, 4, val);
}

static uint32_t get(struct board *b, uint8_t reg)
{
	bus_write(b->r.mmio, BASE, 1, reg);
	return (uint32_t)bus_read(b->r.mmio, BASE + 0x10, 4);
}

static void entry(struct board *b, unsigned pin, uint8_t dest, uint32_t low)
{
	put(b, (uint8_t)(0x11 + pin * 2), (uint32_t)dest << 24);
	put(b, (uint8_t)(0x10 + pin * 2), low);
}

static int take(struct board *b, unsigned vp)
{
	return lapic_take(b->lapics, vp);
}

static void eoi(struct board *b, unsigned vp)
{
	lapic_write(b->lapics, vp, 0xb0, 0);
}

static void registers_are_the_chips(void **state)
{
	struct board *b = *state;

	CHECK_EQ(get(b, 1), 0x170011);
	put(b, 0, 0xffffffff);
	CHECK_EQ(get(b, 0), 0x0f000000);
	CHECK_EQ(get(b, 2), 0x0f000000);
	CHECK_EQ(get(b, 0x10), RTE_MASKED);
	put(b, 0x3e, UINT32_MAX);	/* pin 23; read-only bits stay 0 */
	CHECK_EQ(get(b, 0x3e), 0x1afff);
	put(b, 0x40, UINT32_MAX);
	CHECK_EQ(get(b, 0x40), 0);
	CHECK_EQ(bus_read(b->r.mmio, BASE, 1), 0x40);
	bus_write(b->r.mmio, BASE, 4, 0x01);
	CHECK_EQ(bus_read(b->r.mmio, BASE + 0x12, 1), 0x17);
	CHECK_EQ(bus_read(b->r.mmio, BASE + 0x12, 2), 0x0017);
	bus_write(b->r.mmio, BASE, 4, 0x10);
	bus_write(b->r.mmio, BASE + 0x10, 1, 0x55);	/* narrow data writes do nothing */
	CHECK_EQ(get(b, 0x10), RTE_MASKED);
}

static void an_edge_is_one_message(void **state)
{
	struct board *b = *state;

	entry(b, 4, 1, 0x34);
	ioapic_pin(b->r.dev, 4, true);
	ioapic_pin(b->r.dev, 4, true);
	CHECK_EQ(take(b, 0), -1);
	CHECK_EQ(take(b, 1), 0x34);
	eoi(b, 1);
	CHECK_EQ(take(b, 1), -1);
	ioapic_pin(b->r.dev, 4, false);
	ioapic_pin(b->r.dev, 4, true);
	CHECK_EQ(take(b, 1), 0x34);
	eoi(b, 1);
	ioapic_pin(b->r.dev, 4, false);
	entry(b, 4, 1, 0x34 | RTE_MASKED);
	ioapic_pin(b->r.dev, 4, true);
	entry(b, 4, 1, 0x34);		/* an edge behind the mask is lost */
	CHECK_EQ(take(b, 1), -1);
}

static void a_level_comes_again_until_it_falls(void **state)
{
	struct board *b = *state;

	entry(b, 9, 0, 0x39 | RTE_LEVEL);
	ioapic_pin(b->r.dev, 9, true);
	CHECK_EQ(get(b, 0x22), 0x39 | RTE_LEVEL | RTE_REMOTE_IRR);
	CHECK_EQ(take(b, 0), 0x39);
	CHECK_EQ(take(b, 0), -1);
	eoi(b, 0);			/* still high */
	CHECK_EQ(take(b, 0), 0x39);
	ioapic_pin(b->r.dev, 9, false);
	eoi(b, 0);
	CHECK_EQ(take(b, 0), -1);
	CHECK_EQ(get(b, 0x22), 0x39 | RTE_LEVEL);
	/* Masked while high: sent when the mask is lifted. */
	entry(b, 9, 0, 0x39 | RTE_LEVEL | RTE_MASKED);
	ioapic_pin(b->r.dev, 9, true);
	CHECK_EQ(take(b, 0), -1);
	entry(b, 9, 0, 0x39 | RTE_LEVEL);
	CHECK_EQ(take(b, 0), 0x39);
	/* Masked at its end: not sent, but not stuck either. */
	entry(b, 9, 0, 0x39 | RTE_LEVEL | RTE_MASKED);
	CHECK((get(b, 0x22) & RTE_REMOTE_IRR) != 0);
	eoi(b, 0);
	CHECK_EQ(take(b, 0), -1);
	entry(b, 9, 0, 0x39 | RTE_LEVEL);
	CHECK_EQ(take(b, 0), 0x39);
}

static void turning_to_edge_and_back_clears_remote_irr(void **state)
{
	struct board *b = *state;

	entry(b, 9, 0, 0x39 | RTE_LEVEL);
	ioapic_pin(b->r.dev, 9, true);
	CHECK_EQ(take(b, 0), 0x39);
	put(b, 0x22, 0x39 | RTE_MASKED);
	CHECK_EQ(get(b, 0x22), 0x39 | RTE_MASKED);
	put(b, 0x22, 0x39 | RTE_LEVEL | RTE_MASKED);
	CHECK_EQ(get(b, 0x22), 0x39 | RTE_LEVEL | RTE_MASKED);
}

static void a_level_nobody_accepts_is_not_stuck(void **state)
{
	struct board *b = *state;

	entry(b, 9, 7, 0x39 | RTE_LEVEL);	/* no such processor */
	ioapic_pin(b->r.dev, 9, true);
	CHECK_EQ(get(b, 0x22), 0x39 | RTE_LEVEL);
	entry(b, 9, 1, 0x39 | RTE_LEVEL);
	CHECK_EQ(take(b, 1), 0x39);
}

static void modes_and_wide_destinations_pass(void **state)
{
	struct board *b = *state;

	entry(b, 0, 1, 0x400);		/* NMI */
	ioapic_pin(b->r.dev, 0, true);
	CHECK_EQ(b->nmi, 1);
	lapic_write(b->lapics, 1, 0xd0, 0x02000000);
	entry(b, 1, 2, 0x40 | RTE_LOGICAL | 0x100);	/* lowest priority, logical */
	ioapic_pin(b->r.dev, 1, true);
	CHECK_EQ(take(b, 1), 0x40);
	put(b, 0x15, 0x01020000);	/* destination 0x101: bits 55:49 count */
	put(b, 0x14, 0x41);
	ioapic_pin(b->r.dev, 2, true);
	CHECK_EQ(take(b, 0), -1);
	eoi(b, 1);
	CHECK_EQ(take(b, 1), -1);
	CHECK_EQ(get(b, 0x15), 0x01020000);
}

static void impossible_states_are_refused(void **state)
{
	struct board *b = *state;
	struct ioapic *io = b->r.dev, keep = *io;

	CHECK_EQ(ioapic_dev.loaded(io, NULL), 0);
	io->rte[3] = 1 << 12;
	CHECK_EQ(ioapic_dev.loaded(io, NULL), -EBADMSG);
	io->rte[3] = RTE_REMOTE_IRR;
	CHECK_EQ(ioapic_dev.loaded(io, NULL), -EBADMSG);
	*io = keep;
	io->lines = 1 << 24;
	CHECK_EQ(ioapic_dev.loaded(io, NULL), -EBADMSG);
	*io = keep;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_are_the_chips),
		T(an_edge_is_one_message),
		T(a_level_comes_again_until_it_falls),
		T(turning_to_edge_and_back_clears_remote_irr),
		T(a_level_nobody_accepts_is_not_stuck),
		T(modes_and_wide_destinations_pass),
		T(impossible_states_are_refused),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
