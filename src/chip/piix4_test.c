/* The host bridge and both functions of the PIIX4, on one bus. */
#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/i440bx.c"

#define BIOS_GPA 0xfffc0000u
#define HOST PCI_DEVFN(0, 0)
#define ISA PCI_DEVFN(7, 0)
#define PM PCI_DEVFN(7, 3)

struct bench {
	struct rig r;
	void *isa, *pm;
	unsigned changes, resets, inits, applied;
	uint16_t pm_base;
	bool pm_on, a20;
	bool irq[16];
	uint8_t last, val;
};

static void on_changed(void *arg) { ((struct bench *)arg)->changes++; }
static void on_reset(void *arg) { ((struct bench *)arg)->resets++; }
static void on_init(void *arg) { ((struct bench *)arg)->inits++; }
static void on_a20(void *arg, bool on) { ((struct bench *)arg)->a20 = on; }

static void on_apm(void *arg, uint8_t last, uint8_t val)
{
	struct bench *b = arg;

	b->applied++;
	b->last = last;
	b->val = val;
}

static void on_move(void *arg, uint16_t base, bool on)
{
	struct bench *b = arg;

	b->pm_base = base;
	b->pm_on = on;
}

static void on_irq(void *self, unsigned pin, bool level)
{
	((struct bench *)self)->irq[pin] = level;
}

static void setup(struct bench *b)
{
	static const struct gmem_range ranges[] = {
		{ 0, 0xa0000 }, { 0xc0000, 0x140000 }, { BIOS_GPA, 0x40000 },
	};
	struct piix4_conf isa = { .devfn = ISA, .reset = on_reset, .init = on_init, .a20 = on_a20, .apm = on_apm,
				  .arg = b };
	const struct piix4_pm_conf pm = { PM, on_move, b };
	uint8_t rom[16] = "BIOS";

	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	CHECK_EQ(gmem_new(ranges, ARRAY_LEN(ranges), &b->r.mem, NULL), 0);
	gmem_rom_new(b->r.mem, BIOS_GPA);
	CHECK_EQ(gmem_rom_fill(b->r.mem, 0xfffffff0, rom, sizeof(rom)), 0);
	CHECK_EQ(gmem_rom_fill(b->r.mem, 0xfffe0000, rom, sizeof(rom)), 0);
	CHECK_EQ(gmem_shadow_new(b->r.mem, SHADOW, 0x40000, NULL), 0);
	b->r.env.mem = b->r.mem;
	CHECK_EQ(dev_new(&pci_dev, &b->r.env, &(struct pci_conf){ .port = 0xcf8 }, &b->r.pci,
			 NULL), 0);
	b->r.env.pci = b->r.pci;
	rig_put(&b->r, &i440bx_dev, &(struct i440bx_conf){ 4 * GIB, 0x40000, on_changed, b });
	for (unsigned i = 0; i < 16; i++)
		isa.isa[i] = (struct irq){ on_irq, b, i };
	CHECK_EQ(dev_new(&piix4_dev, &b->r.env, &isa, &b->isa, NULL), 0);
	CHECK_EQ(dev_new(&piix4_pm_dev, &b->r.env, &pm, &b->pm, NULL), 0);
}

static void teardown(struct bench *b)
{
	dev_free(&piix4_dev, b->isa);
	dev_free(&piix4_pm_dev, b->pm);
	rig_fini(&b->r);
}

static uint32_t get(struct bench *b, uint8_t devfn, unsigned reg, unsigned width)
{
	return pci_cfg_read(b->r.pci, devfn, reg, width);
}

static void set(struct bench *b, uint8_t devfn, unsigned reg, unsigned width, uint32_t val)
{
	pci_cfg_write(b->r.pci, devfn, reg, width, val);
}

static uint8_t byte(struct bench *b, uint64_t gpa)
{
	uint8_t val;

	CHECK_EQ(gmem_read(b->r.mem, gpa, &val, 1), 0);
	return val;
}

static void the_bios_shows_below_1_mib(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	CHECK_EQ(byte(&b, 0xffff0), 'B');
	CHECK_EQ(byte(&b, 0xe0001), 'I');
	CHECK_EQ(byte(&b, 0xdffff), 0xff);
	/* What engines leave to the bus answers the same. */
	CHECK_EQ(bus_read(b.r.mmio, 0xffff0, 4), 0x534f4942);
	CHECK_EQ(bus_read(b.r.mmio, 0xfffffff0, 4), 0x534f4942);
	bus_write(b.r.mmio, 0xfffffff0, 4, 0);
	bus_write(b.r.mmio, 0xffff0, 4, 0);
	CHECK_EQ(byte(&b, 0xffff0), 'B');
	CHECK_EQ(byte(&b, 0xfffffff0), 'B');
	teardown(&b);
}

static void pam_registers_switch_piece_by_piece(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	b.changes = 0;
	set(&b, HOST, 0x5a, 1, 0x30);		/* C4000: RAM; C0000 not */
	CHECK_EQ(b.changes, 1);
	CHECK_EQ(byte(&b, 0xc4000), 0);
	CHECK_EQ(byte(&b, 0xc0000), 0xff);
	CHECK_EQ(byte(&b, 0xc8000), 0xff);
	CHECK_EQ(gmem_write(b.r.mem, 0xc4000, "x", 1), 0);
	set(&b, HOST, 0x5a, 1, 0x10);		/* read only */
	CHECK_EQ(byte(&b, 0xc4000), 'x');
	CHECK_EQ(gmem_write(b.r.mem, 0xc4000, "y", 1), -EFAULT);
	set(&b, HOST, 0x5f, 1, 0x22);		/* E8000: RAM takes writes, ROM answers */
	bus_write(b.r.mmio, 0xec000, 2, 0x6261);
	CHECK_EQ(byte(&b, 0xec000), 0);		/* the BIOS has zeros there */
	set(&b, HOST, 0x5f, 1, 0x33);
	CHECK_EQ(byte(&b, 0xec000), 'a');
	CHECK_EQ(byte(&b, 0xec001), 'b');
	b.changes = 0;
	set(&b, HOST, 0x5f, 1, 0x33);		/* nothing new */
	set(&b, HOST, 0x50, 4, 0xffffffff);
	CHECK_EQ(b.changes, 0);
	i440bx_reset(b.r.dev);
	CHECK_EQ(byte(&b, 0xc4000), 0xff);
	CHECK_EQ(byte(&b, 0xffff0), 'B');
	teardown(&b);
}

/* SeaBIOS's own sequence: unlock everything, work, lock by two dwords. */
static void the_bridge_has_two_faces(void **s)
{
	uint8_t state[512];
	struct bench b;
	size_t n;

	(void)s;
	setup(&b);
	CHECK_EQ(get(&b, HOST, 0, 4), 0x12378086);
	CHECK_EQ(get(&b, HOST, 0x2c, 4), 0x11001af4);
	set(&b, HOST, 0x58, 4, 0x11111000);	/* locked, but never unlocked: not yet */
	CHECK_EQ(get(&b, HOST, 0, 4), 0x12378086);
	set(&b, HOST, 0x58, 4, 0x33333000);
	set(&b, HOST, 0x5c, 4, 0x33333333);
	CHECK_EQ(get(&b, HOST, 0, 4), 0x12378086);
	CHECK_EQ(gmem_write(b.r.mem, 0xf0000, "S", 1), 0);
	set(&b, HOST, 0x58, 4, 0x33111000);
	CHECK_EQ(get(&b, HOST, 0, 4), 0x71928086);
	CHECK_EQ(get(&b, HOST, 0x2c, 4), 0);
	CHECK_EQ(get(&b, HOST, 8, 4), 0x06000003);
	CHECK_EQ(get(&b, HOST, 4, 4), 0x02000006);
	set(&b, HOST, 0x5c, 4, 0x33333331);	/* the second dword still counts */
	CHECK_EQ(get(&b, HOST, 0x5c, 4), 0x33333331);
	CHECK_EQ(byte(&b, 0xf0000), 'S');
	CHECK_EQ(gmem_write(b.r.mem, 0xf0000, "T", 1), -EFAULT);
	set(&b, HOST, 0x59, 1, 0x30);		/* a guest's own doing changes no face */
	CHECK_EQ(get(&b, HOST, 0, 4), 0x71928086);
	/* It is saved as what it is. */
	n = state_save(i440bx_dev.state, b.r.dev, state, sizeof(state));
	CHECK(n <= sizeof(state));
	i440bx_reset(b.r.dev);
	CHECK_EQ(get(&b, HOST, 0, 4), 0x12378086);
	CHECK_EQ(state_load(i440bx_dev.state, b.r.dev, state, n, NULL), 0);
	CHECK_EQ(i440bx_loaded(b.r.dev, NULL), 0);
	CHECK_EQ(get(&b, HOST, 0, 4), 0x71928086);
	((struct i440bx *)b.r.dev)->handed_over = false;
	CHECK_EQ(i440bx_loaded(b.r.dev, NULL), -EBADMSG);
	teardown(&b);
}

static void pci_lines_go_where_they_are_routed(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	CHECK_EQ(get(&b, ISA, 0, 4), 0x71108086);
	CHECK_EQ(get(&b, ISA, 4, 4), 0x02000007);
	CHECK_EQ(get(&b, ISA, 0x0e, 1), 0x80);
	CHECK_EQ(get(&b, ISA, 0x60, 4), 0x80808080);
	piix4_pirq(b.isa, 1, true);		/* goes nowhere */
	for (unsigned i = 0; i < 16; i++)
		CHECK(!b.irq[i]);
	set(&b, ISA, 0x61, 1, 10);
	CHECK(b.irq[10]);
	piix4_pirq(b.isa, 0, true);
	set(&b, ISA, 0x60, 1, 10);		/* two share it */
	piix4_pirq(b.isa, 1, false);
	CHECK(b.irq[10]);
	set(&b, ISA, 0x60, 1, 11);
	CHECK(!b.irq[10]);
	CHECK(b.irq[11]);
	set(&b, ISA, 0x60, 1, 8);		/* of the clock: not for PCI */
	CHECK(!b.irq[11]);
	CHECK(!b.irq[8]);
	teardown(&b);
}

static void resets_and_switches(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	rig_out(&b.r, 0xcf9, 1, 2);
	CHECK_EQ(b.resets, 0);
	rig_out(&b.r, 0xcf9, 1, 6);
	CHECK_EQ(b.resets, 1);
	CHECK_EQ(rig_in(&b.r, 0xcf9, 1), 6);
	rig_out(&b.r, 0xcf9, 1, 0xe);		/* it rises only once */
	CHECK_EQ(b.resets, 1);
	rig_out(&b.r, 0xcf9, 1, 0);
	rig_out(&b.r, 0xcf9, 1, 4);		/* of the processors only */
	CHECK_EQ(b.resets, 1);
	CHECK_EQ(b.inits, 1);
	CHECK_EQ(rig_in(&b.r, 0x92, 1), 2);	/* a reset opens A20 */
	rig_out(&b.r, 0x92, 1, 0);
	CHECK(!b.a20);
	CHECK_EQ(rig_in(&b.r, 0x92, 1), 0);
	piix4_set_a20(b.isa, true);		/* the keyboard controller's switch */
	CHECK(b.a20);
	CHECK_EQ(rig_in(&b.r, 0x92, 1), 2);
	rig_out(&b.r, 0x92, 1, 0);
	CHECK(!piix4_a20(b.isa));
	rig_out(&b.r, 0x92, 1, 1);
	CHECK_EQ(b.inits, 2);
	CHECK(b.a20);
	rig_out(&b.r, 0x92, 1, 1);
	CHECK_EQ(b.inits, 2);
	CHECK_EQ(b.resets, 1);
	rig_out(&b.r, 0xb3, 1, 0x55);
	CHECK_EQ(b.applied, 0);
	rig_out(&b.r, 0xb2, 1, 'E');
	rig_out(&b.r, 0xb2, 1, 'T');
	CHECK_EQ(b.applied, 2);
	CHECK_EQ(b.last, 'E');
	CHECK_EQ(b.val, 'T');
	CHECK_EQ(rig_in(&b.r, 0xb2, 2), 0x5500 | 'T');
	teardown(&b);
}

static void x87_errors_are_interrupt_13(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	rig_out(&b.r, 0xf0, 1, 0);		/* no error: nothing to ignore */
	CHECK(!piix4_ferr(b.isa, true));
	CHECK(b.irq[13]);
	rig_out(&b.r, 0xf1, 1, 0);
	CHECK(b.irq[13]);
	rig_out(&b.r, 0xf0, 1, 0);
	CHECK(!b.irq[13]);
	CHECK(piix4_ferr(b.isa, true));		/* the same error still: ignored, no interrupt */
	CHECK(!b.irq[13]);
	CHECK(!piix4_ferr(b.isa, false));
	CHECK(!piix4_ferr(b.isa, true));	/* the next one */
	CHECK(b.irq[13]);
	teardown(&b);
}

static void power_management_is_where_firmware_puts_it(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	CHECK_EQ(get(&b, PM, 0, 4), 0x71138086);
	CHECK_EQ(get(&b, PM, 4, 4), 0x02800000);
	CHECK_EQ(get(&b, PM, 0x58, 4) >> 25, 1);	/* SeaBIOS leaves SMM alone */
	CHECK(!b.pm_on);
	set(&b, PM, 0x40, 4, 0x601);
	CHECK(!b.pm_on);
	set(&b, PM, 0x80, 1, 1);
	CHECK(b.pm_on);
	CHECK_EQ(b.pm_base, 0x600);
	set(&b, PM, 0x40, 4, 0);
	CHECK(!b.pm_on);
	/* SMBus: nobody is there. */
	CHECK(!bus_claims(b.r.pio, 0x700));
	set(&b, PM, 0x90, 4, 0x701);
	set(&b, PM, 0xd2, 1, 9);
	CHECK(bus_claims(b.r.pio, 0x70f));
	rig_out(&b.r, 0x704, 1, 0xa1);
	CHECK_EQ(rig_in(&b.r, 0x704, 1), 0xa1);
	rig_out(&b.r, 0x702, 1, 0x48);
	CHECK_EQ(rig_in(&b.r, 0x700, 1), 4);
	CHECK_EQ(rig_in(&b.r, 0x702, 1), 0x08);
	rig_out(&b.r, 0x700, 1, 4);
	CHECK_EQ(rig_in(&b.r, 0x700, 1), 0);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bios_shows_below_1_mib),
		cmocka_unit_test(pam_registers_switch_piece_by_piece),
		cmocka_unit_test(the_bridge_has_two_faces),
		cmocka_unit_test(pci_lines_go_where_they_are_routed),
		cmocka_unit_test(resets_and_switches),
		cmocka_unit_test(x87_errors_are_interrupt_13),
		cmocka_unit_test(power_management_is_where_firmware_puts_it),
	};

	return cmocka_run_group_tests_name("piix4", tests, NULL, NULL);
}
