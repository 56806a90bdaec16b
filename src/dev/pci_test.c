#include "base/test.h"

#include "dev/pci.c"

/* One function with every kind of BAR, on a bus, with four lines. */
struct bench {
	pthread_mutex_t lock;
	struct bus *pio, *mmio;
	struct dev_env env;
	void *pci;
	struct pci_func f, g;
	bool line[NR_PIRQ];
	unsigned hits, moved, written;
	uint32_t last_off;
	unsigned last_bar, last_width;
	uint64_t last_base;
	bool last_on;
	uint8_t port;			/* of CF9 */
};

static uint64_t bar_read(void *self, uint32_t off, unsigned width)
{
	struct bench *b = self;

	(void)width;
	b->hits++;
	b->last_off = off;
	return 0xa5a5a5a5a5a5a5a5;
}

static void bar_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)val;
	(void)bar_read(self, off, width);
}

static const struct io_ops bar_io = { IO_W1 | IO_W2 | IO_W4, bar_read, bar_write };

static void note_written(void *self, unsigned off, unsigned width)
{
	struct bench *b = self;

	b->written++;
	b->last_off = off;
	b->last_width = width;
}

static void note_moved(void *self, unsigned bar, uint64_t base, bool on)
{
	struct bench *b = self;

	b->moved++;
	b->last_bar = bar;
	b->last_base = base;
	b->last_on = on;
}

static const struct pci_reg own[] = {
	{ .off = 0x40, .width = 4, .reset = 0x80000000, .writable = 0x0000fff0, .w1c = 0x80000000 },
	{ .off = 0xff, .width = 1, .reset = 7, .writable = 1 },
	{ 0 },
};

#define DESC_BARS { \
	[0] = { PCI_BAR_IO, 32, &bar_io }, [1] = { PCI_BAR_MEM, 4096, &bar_io }, \
	[2] = { PCI_BAR_PREFETCH, 1 << 26, NULL }, [PCI_BAR_ROM] = { PCI_BAR_MEM, 65536, &bar_io }, }

static const struct pci_desc desc = {
	.vendor = 0x1234, .device = 0x5678, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	.class = 0x030000, .revision = 9, .header_type = 0x80, .int_pin = 1,
	.command_mask = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			PCI_COMMAND_INTX_OFF,
	.status = 0x0280,
	.bar = DESC_BARS, .regs = own, .written = note_written, .moved = note_moved,
};

static const struct pci_desc other = {
	.vendor = 0x4321, .device = 0x8765, .command_mask = PCI_COMMAND_IO, .int_pin = 1,
	.bar = DESC_BARS, .regs = own,
};

static const struct pci_desc plain = { .vendor = 0x1111, .device = 0x2222, .int_pin = 2 };

static void set_line(void *self, unsigned pin, bool level)
{
	((struct bench *)self)->line[pin] = level;
}

#define SLOT 3u
#define DEVFN PCI_DEVFN(SLOT, 1)

static void setup(struct bench *b)
{
	struct pci_conf conf = { .port = 0xcf8 };

	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
	CHECK_EQ(bus_new("pio", &b->lock, &b->pio), 0);
	CHECK_EQ(bus_new("mmio", &b->lock, &b->mmio), 0);
	b->env = (struct dev_env){ .name = "dut", .pio = b->pio, .mmio = b->mmio,
				   .lock = &b->lock };
	for (unsigned i = 0; i < NR_PIRQ; i++)
		conf.pirq[i] = (struct irq){ set_line, b, i };
	CHECK_EQ(dev_new(&pci_dev, &b->env, &conf, &b->pci, NULL), 0);
	b->env.pci = b->pci;
	CHECK_EQ(pci_add(b->env.pci, DEVFN, &desc, &b->env, b, &b->f, NULL), 0);
	CHECK_EQ(pci_add(b->env.pci, PCI_DEVFN(2, 0), &plain, &b->env, b, &b->g, NULL), 0);
	pci_reset(&b->f);
	pci_reset(&b->g);
}

static void teardown(struct bench *b)
{
	dev_free(&pci_dev, b->pci);
	bus_free(b->pio);
	bus_free(b->mmio);
	pthread_mutex_destroy(&b->lock);
}

static void aim(struct bench *b, unsigned devfn, unsigned reg)
{
	bus_write(b->pio, 0xcf8, 4, CFG_ENABLE | devfn << 8 | (reg & 0xfc));
}

static uint32_t get(struct bench *b, unsigned reg, unsigned width)
{
	aim(b, DEVFN, reg);
	return (uint32_t)bus_read(b->pio, 0xcfc + (reg & 3), width);
}

static void set(struct bench *b, unsigned reg, unsigned width, uint32_t val)
{
	aim(b, DEVFN, reg);
	bus_write(b->pio, 0xcfc + (reg & 3), width, val);
}

static void a_guest_finds_what_is_there(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	CHECK_EQ(get(&b, 0, 4), 0x56781234);
	CHECK_EQ(get(&b, 0, 2), 0x1234);
	CHECK_EQ(get(&b, 1, 2), 0x7812);	/* within the dword, unaligned */
	CHECK_EQ(get(&b, 2, 2), 0x5678);
	CHECK_EQ(get(&b, 3, 1), 0x56);
	CHECK_EQ(get(&b, 3, 2), 0xff56);	/* its second byte is port D00 */
	CHECK_EQ(get(&b, PCI_REVISION, 4), 0x03000009);
	CHECK_EQ(get(&b, PCI_HEADER_TYPE, 1), 0x80);
	CHECK_EQ(get(&b, PCI_SUBSYSTEM_VENDOR, 4), 0x11001af4);
	CHECK_EQ(get(&b, PCI_STATUS, 2), 0x0280);
	CHECK_EQ(get(&b, PCI_INT_PIN, 1), 1);
	CHECK_EQ(get(&b, 0x34, 4), 0);
	/* The address reads back; disabled, or of another bus or slot, nobody answers. */
	CHECK_EQ(bus_read(b.pio, 0xcf8, 4), CFG_ENABLE | DEVFN << 8 | 0x34);
	bus_write(b.pio, 0xcf8, 4, DEVFN << 8);
	CHECK_EQ(bus_read(b.pio, 0xcfc, 4), 0xffffffff);
	bus_write(b.pio, 0xcf8, 4, CFG_ENABLE | 1 << 16 | DEVFN << 8);
	CHECK_EQ(bus_read(b.pio, 0xcfc, 4), 0xffffffff);
	bus_write(b.pio, 0xcfc, 4, 0xffffffff);
	aim(&b, PCI_DEVFN(31, 7), 0);
	CHECK_EQ(bus_read(b.pio, 0xcfc, 2), 0xffff);
	bus_write(b.pio, 0xcfc, 4, 0);
	CHECK_EQ(b.written, 0);
	teardown(&b);
}

static uint64_t port_read(void *self, uint32_t off, unsigned width)
{
	CHECK_EQ(width, 1);
	return off == 1 ? ((struct bench *)self)->port : 0xff;
}

static void port_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	CHECK_EQ(width, 1);
	if (off == 1)
		((struct bench *)self)->port = (uint8_t)val;
}

static void bytes_at_the_address_are_of_the_reset_control(void **s)
{
	static const struct io_ops io = { IO_W1, port_read, port_write };
	struct bench b;

	(void)s;
	setup(&b);
	CHECK_EQ(bus_read(b.pio, 0xcf9, 1), 0xff);
	bus_write(b.pio, 0xcf9, 1, 6);
	pci_byte_port(b.pci, &io, &b);
	aim(&b, DEVFN, 0);
	bus_write(b.pio, 0xcf9, 1, 6);
	CHECK_EQ(b.port, 6);
	CHECK_EQ(bus_read(b.pio, 0xcf9, 1), 6);
	CHECK_EQ(bus_read(b.pio, 0xcf8, 2), 0x06ff);
	CHECK_EQ(bus_read(b.pio, 0xcf8, 4), CFG_ENABLE | DEVFN << 8);
	/* Across both: bytes here, register 0 there. */
	CHECK_EQ(bus_read(b.pio, 0xcfa, 4), 0x1234ffff);
	bus_write(b.pio, 0xcf9, 4, 0x44332211);
	CHECK_EQ(b.port, 0x11);
	CHECK_EQ(get(&b, 0, 4), 0x56781234);
	teardown(&b);
}

static void only_what_is_writable_changes(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	for (unsigned reg = 0; reg < PCI_CFG_LEN; reg += 4)
		set(&b, reg, 4, 0xffffffff);
	CHECK_EQ(get(&b, 0, 4), 0x56781234);
	CHECK_EQ(get(&b, PCI_COMMAND, 4), 0x02800407);
	CHECK_EQ(get(&b, PCI_REVISION, 4), 0x03000009);
	CHECK_EQ(get(&b, 0x10, 4), 0xffffffe1);
	CHECK_EQ(get(&b, 0x14, 4), 0xfffff000);
	CHECK_EQ(get(&b, 0x18, 4), 0xfc000008);
	CHECK_EQ(get(&b, 0x1c, 4), 0);
	CHECK_EQ(get(&b, PCI_ROM, 4), 0xffff0001);
	CHECK_EQ(get(&b, PCI_INT_LINE, 4), 0x01ff);
	CHECK_EQ(get(&b, 0x40, 4), 0x0000fff0);	/* bit 31: one clears */
	CHECK_EQ(get(&b, 0xfc, 4), 0x07000000);
	pci_reset(&b.f);
	CHECK_EQ(get(&b, 0x40, 4), 0x80000000);
	CHECK_EQ(get(&b, PCI_COMMAND, 4), 0x02800000);
	/* The device hears of each write, with the place as the guest named it. */
	b.written = 0;
	set(&b, 0x42, 2, 0x8000);
	CHECK_EQ(b.written, 1);
	CHECK_EQ(b.last_off, 0x42);
	CHECK_EQ(b.last_width, 2);
	CHECK_EQ(get(&b, 0x40, 4), 0);
	pci_cfg_write(b.pci, DEVFN, 0xfe, 4, 0xffffffff);	/* cut at the end */
	CHECK_EQ(b.last_width, 2);
	CHECK_EQ(pci_cfg_read(b.pci, DEVFN, 0xff, 4), 0xffffff07);
	teardown(&b);
}

static void bars_follow_the_registers(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	set(&b, 0x10, 4, 0xc000);
	set(&b, 0x14, 4, 0xf8001000);
	CHECK(!bus_claims(b.pio, 0xc000));	/* decoding is off */
	set(&b, PCI_COMMAND, 2, PCI_COMMAND_IO);
	CHECK(bus_claims(b.pio, 0xc000));
	CHECK(bus_claims(b.pio, 0xc01f));
	CHECK(!bus_claims(b.pio, 0xc020));
	CHECK(!bus_claims(b.mmio, 0xf8001000));
	CHECK_EQ(bus_read(b.pio, 0xc004, 2), 0xa5a5);
	CHECK_EQ(b.last_off, 4);
	set(&b, 0x10, 4, 0x1c000);		/* beyond what a port can be */
	CHECK(!bus_claims(b.pio, 0xc000));
	CHECK(!bus_claims(b.pio, 0x1c000));
	set(&b, 0x10, 4, 0xc000);
	set(&b, 0x11, 1, 0xd0);			/* by bytes, too */
	CHECK(!bus_claims(b.pio, 0xc000));
	CHECK(bus_claims(b.pio, 0xd000));
	set(&b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(!bus_claims(b.pio, 0xd000));
	CHECK(bus_claims(b.mmio, 0xf8001fff));
	set(&b, PCI_ROM, 4, 0xf8010000);	/* enabled by a bit of its own */
	CHECK(!bus_claims(b.mmio, 0xf8010000));
	set(&b, PCI_ROM, 4, 0xf8010001);
	CHECK(bus_claims(b.mmio, 0xf801ffff));
	/* The one without ops is the device's business. */
	b.moved = 0;
	set(&b, 0x18, 4, 0xe0000000);
	CHECK_EQ(b.moved, 1);
	CHECK_EQ(b.last_bar, 2);
	CHECK_EQ(b.last_base, 0xe0000000);
	CHECK(b.last_on);
	CHECK(!bus_claims(b.mmio, 0xe0000000));
	set(&b, 0x18, 4, 0);			/* nowhere */
	CHECK_EQ(b.moved, 2);
	CHECK(!b.last_on);
	pci_reset(&b.f);
	CHECK(!bus_claims(b.mmio, 0xf8001000));
	CHECK(!bus_claims(b.mmio, 0xf8010000));
	teardown(&b);
}

static void interrupts_share_lines(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	/* Slot 3 pin A and slot 2 pin B meet. */
	pci_irq(&b.f, true);
	CHECK(b.line[2]);
	pci_irq(&b.g, true);
	pci_irq(&b.f, false);
	CHECK(b.line[2]);
	pci_irq(&b.g, false);
	CHECK(!b.line[2]);
	pci_irq(&b.f, true);
	pci_irq(&b.f, true);
	CHECK_EQ(get(&b, PCI_STATUS, 2), 0x0288);
	set(&b, PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
	CHECK(!b.line[2]);
	CHECK_EQ(get(&b, PCI_STATUS, 2), 0x0288);
	set(&b, PCI_COMMAND, 2, 0);
	CHECK(b.line[2]);
	pci_reset(&b.f);
	CHECK(!b.line[0] && !b.line[1] && !b.line[2] && !b.line[3]);
	teardown(&b);
}

static void a_second_face_keeps_what_the_guest_wrote(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	set(&b, 0x10, 4, 0xc000);
	set(&b, 0x40, 4, 0x1230);
	set(&b, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	pci_become(&b.f, &other);
	CHECK_EQ(get(&b, 0, 4), 0x87654321);
	CHECK_EQ(get(&b, PCI_SUBSYSTEM_VENDOR, 4), 0);
	CHECK_EQ(get(&b, PCI_COMMAND, 2), PCI_COMMAND_IO);
	CHECK_EQ(get(&b, 0x40, 4), 0x80001230);
	CHECK(bus_claims(b.pio, 0xc000));
	pci_become(&b.f, &desc);
	pci_reset(&b.f);
	CHECK_EQ(get(&b, 0, 4), 0x56781234);
	teardown(&b);
}

static void two_in_one_place_are_refused(void **s)
{
	struct pci_func again = { 0 };
	struct err err;
	struct bench b;

	(void)s;
	setup(&b);
	CHECK_EQ(pci_add(b.pci, DEVFN, &plain, &b.env, &b, &again, &err), -EBUSY);
	CHECK(strstr(err.msg, "03.1") != NULL);
	teardown(&b);
}

struct holder {
	struct pci_func pci;
};
static const struct state_field holder_state[] = { PCI_STATE(4, struct holder, pci), { 0 } };

static void a_saved_function_comes_back(void **s)
{
	uint8_t buf[400], keep;
	struct bench a, b;
	struct holder h;
	struct err err;
	size_t n;

	(void)s;
	setup(&a);
	setup(&b);
	set(&a, 0x10, 4, 0xc000);
	set(&a, PCI_COMMAND, 2, PCI_COMMAND_IO);
	pci_irq(&a.f, true);
	h.pci = a.f;
	n = state_save(holder_state, &h, buf, sizeof(buf));
	CHECK(n < sizeof(buf));
	h.pci = b.f;
	CHECK_EQ(state_load(holder_state, &h, buf, n, NULL), 0);
	b.f = h.pci;
	CHECK_EQ(pci_loaded(&b.f, NULL), 0);
	CHECK(bus_claims(b.pio, 0xc000));
	CHECK(b.line[2]);
	keep = b.f.cfg[PCI_DEVICE];
	b.f.cfg[PCI_DEVICE] = 0;
	CHECK_EQ(pci_loaded(&b.f, &err), -EBADMSG);
	CHECK(strstr(err.msg, "register 02 is 00") != NULL);
	b.f.cfg[PCI_DEVICE] = keep;
	b.f.cfg[0x10] = 2;		/* below the BAR's size */
	CHECK_EQ(pci_loaded(&b.f, &err), -EBADMSG);
	((struct pci_bus *)b.pci)->address = 3;
	CHECK_EQ(pci_bus_loaded(b.pci, &err), -EBADMSG);
	teardown(&a);
	teardown(&b);
}

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A guest that writes anything anywhere: fixed bits stay, windows are where registers say. */
static void a_hostile_guest_moves_nothing_else(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t r = rnd();
		unsigned width = 1u << (r >> 8) % 3;

		if (r % 8 == 0)
			bus_write(b.pio, 0xcf8, 4, r % 16 == 0 ? rnd() : CFG_ENABLE |
				  (r >> 16 & 1 ? DEVFN : PCI_DEVFN(2, 0)) << 8 | (r >> 24 & 0xfc));
		else if (r % 8 < 5)
			bus_write(b.pio, 0xcf6 + (r >> 16) % 12, width, rnd());
		else if (r % 8 < 7)
			(void)bus_read(b.pio, 0xcf6 + (r >> 16) % 12, width);
		else
			pci_irq(r & 1 << 20 ? &b.f : &b.g, (r & 1 << 21) != 0);
		CHECK_EQ(ld32(b.f.cfg), 0x56781234);
		for (unsigned k = 0; k < PCI_NR_BARS; k++) {
			uint32_t val = ld32(b.f.cfg + bar_reg(k));

			if (b.f.on[k])
				CHECK_EQ(b.f.base[k], val & ~(desc.bar[k].len - 1));
			CHECK(k != 0 || (val & 0x1f) == 1);
		}
		CHECK_EQ(b.line[2], b.f.driven + b.g.driven > 0);
	}
	CHECK(b.written > 1000);
	CHECK(b.moved > 300);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_finds_what_is_there),
		cmocka_unit_test(bytes_at_the_address_are_of_the_reset_control),
		cmocka_unit_test(only_what_is_writable_changes),
		cmocka_unit_test(bars_follow_the_registers),
		cmocka_unit_test(interrupts_share_lines),
		cmocka_unit_test(a_second_face_keeps_what_the_guest_wrote),
		cmocka_unit_test(two_in_one_place_are_refused),
		cmocka_unit_test(a_saved_function_comes_back),
		cmocka_unit_test(a_hostile_guest_moves_nothing_else),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
