/*
 * chip_test.c - what holds for every chip
 *
 * Random registers, widths, events and times never hurt; what is saved loads
 * and saves again as the same bytes; a truncated or damaged state is refused
 * or harmless.
 */
#include "base/test.h"

#include "chip/chip_zoo.h"

#define MAX_STATE (256 * 1024)

static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void stir(struct zoo_bench *b, const struct zoo_row *row, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t r = rnd();

		if (r % 64 == 0)
			clock_step(b->r.clock, rnd() % (r % 128 == 0 ? 3000000000 : 1000000));
		else if (r % 8 == 0)
			zoo_poke(b, (uint32_t)(r >> 32), (uint8_t)(r >> 8));
		else
			zoo_access(b, row, (uint32_t)(r >> 32), r >> 16 & 3, (r >> 18 & 1) != 0,
				   rnd());
	}
}

static int load_into(struct zoo_bench *b, const void *buf, size_t n)
{
	int rc = state_load(b->r.ops->state, b->r.dev, buf, n, NULL);

	if (rc == 0 && b->r.ops->loaded != NULL)
		rc = b->r.ops->loaded(b->r.dev, NULL);
	return rc;
}

static void random_accesses_never_hurt(void **s)
{
	struct zoo_bench b;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(zoo); i++)
		for (unsigned round = 1; round <= 4; round++) {
			seed = round * 0x9e3779b97f4a7c15 + i;
			zoo_open(&b, &zoo[i]);
			stir(&b, &zoo[i], 8000);
			if (b.r.ops->reset != NULL)
				b.r.ops->reset(b.r.dev);
			stir(&b, &zoo[i], 2000);
			zoo_close(&b);
		}
}

static void what_is_saved_loads_and_saves_the_same(void **s)
{
	uint8_t *one = malloc(MAX_STATE), *two = malloc(MAX_STATE);
	struct zoo_bench a, b;

	(void)s;
	CHECK(one != NULL && two != NULL);
	for (size_t i = 0; i < ARRAY_LEN(zoo); i++) {
		seed = 77 + i;
		zoo_open(&a, &zoo[i]);
		for (unsigned round = 0; round < 20; round++) {
			size_t n;

			stir(&a, &zoo[i], 500);
			n = state_save(a.r.ops->state, a.r.dev, one, MAX_STATE);
			CHECK(n <= MAX_STATE);
			zoo_open(&b, &zoo[i]);
			clock_step(b.r.clock, clock_now_ns(a.r.clock));
			CHECK_EQ(load_into(&b, one, n), 0);
			CHECK_EQ(state_save(b.r.ops->state, b.r.dev, two, MAX_STATE), n);
			CHECK_MEM(one, two, n);
			/* PCI's lines are driven by the functions behind them. */
			CHECK_EQ(b.r.level, zoo[i].ops == &testdev_dev ||
				 zoo[i].ops == &piix4_dev ? 0 : a.r.level);
			stir(&b, &zoo[i], 100);
			zoo_close(&b);
		}
		zoo_close(&a);
	}
	free(one);
	free(two);
}

static void chips_with_state_refuse_a_part_of_it(void **s)
{
	uint8_t *buf = malloc(MAX_STATE);
	struct zoo_bench b;

	(void)s;
	CHECK(buf != NULL);
	for (size_t i = 0; i < ARRAY_LEN(zoo); i++) {
		size_t n, step;

		zoo_open(&b, &zoo[i]);
		n = state_save(b.r.ops->state, b.r.dev, buf, MAX_STATE);
		CHECK(b.r.ops->state == NULL || n > 2);
		step = n > 4096 ? 251 : 1;
		for (size_t cut = 0; cut < n; cut += step)
			CHECK_EQ(state_load(b.r.ops->state, b.r.dev, buf, cut, NULL), -EBADMSG);
		zoo_close(&b);
	}
	free(buf);
}

/* Damaged bytes: refused, or a state in which nothing can go wrong either. */
static void damaged_states_are_refused_or_harmless(void **s)
{
	uint8_t *buf = malloc(MAX_STATE);
	struct zoo_bench b;

	(void)s;
	CHECK(buf != NULL);
	for (size_t i = 0; i < ARRAY_LEN(zoo); i++)
		for (unsigned round = 0; round < 300; round++) {
			size_t n;

			seed = 1000 * (i + 1) + round;
			zoo_open(&b, &zoo[i]);
			clock_step(b.r.clock, rnd() % 100000000000);
			n = state_save(b.r.ops->state, b.r.dev, buf, MAX_STATE);
			for (unsigned k = 0; k <= round % 3; k++)
				buf[rnd() % min_u64(n, 400)] = (uint8_t)rnd();
			if (load_into(&b, buf, n) == 0)
				stir(&b, &zoo[i], 200);
			zoo_close(&b);
		}
	free(buf);
}

static void a_window_in_use_is_an_error_of_every_chip(void **s)
{
	static const struct io_ops io = { .widths = IO_W1 };
	struct zoo_bench b;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(zoo); i++) {
		struct rig *r = &b.r;
		void *second = NULL;
		struct err err;
		struct absorb_range range = { 0x20, 1 };
		union {
			struct ioapic_conf ioapic;
			struct rtc_conf rtc;
			struct pm_conf pm;
			struct uart_conf uart;
			struct absorb_conf absorb;
			struct testdev_conf testdev;
			struct vga_conf vga;
			struct ide_conf ide;
			struct pit_conf pit;
			struct i8042_conf i8042;
			struct fdc_conf fdc;
			struct superio_conf superio;
			struct i440bx_conf i440bx;
			struct piix4_conf piix4;
			struct piix4_pm_conf piix4_pm;
			struct fwcfg_conf fwcfg;
			struct dec21140_conf dec21140;
		} conf;
		const char *taken = NULL;

		zoo_open(&b, &zoo[i]);
		memset(&conf, 0, sizeof(conf));
		if (zoo[i].ops == &ioapic_dev)
			conf.ioapic.base = 0xfec00000;
		else if (zoo[i].ops == &rtc_dev)
			conf.rtc.port = 0x70;
		else if (zoo[i].ops == &pm_dev)
			conf.pm.base = 0x400;
		else if (zoo[i].ops == &uart_dev)
			conf.uart.port = 0x3f8;
		else if (zoo[i].ops == &absorb_dev)
			conf.absorb = (struct absorb_conf){ &range, 1 };
		else if (zoo[i].ops == &vga_dev)
			conf.vga.vram_len = 1 << 20;
		else if (zoo[i].ops == &ide_dev)
			conf.ide.devfn = PCI_DEVFN(7, 1), taken = "00:07.1 is taken";
		else if (zoo[i].ops == &pit_dev)
			conf.pit.port = 0x40;
		else if (zoo[i].ops == &fdc_dev)
			conf.fdc.port = 0x3f0;
		else if (zoo[i].ops == &i8042_dev)
			conf.i8042.port = 0x60;
		else if (zoo[i].ops == &superio_dev)
			conf.superio.port[0] = 0x3f0;
		else if (zoo[i].ops == &i440bx_dev)
			conf.i440bx = (struct i440bx_conf){ .bios_end = GIB, .bios_len = KIB };
		else if (zoo[i].ops == &piix4_pm_dev)
			conf.piix4_pm.devfn = PCI_DEVFN(7, 3), taken = "00:07.3 is taken";
		else if (zoo[i].ops == &dec21140_dev)
			conf.dec21140.devfn = PCI_DEVFN(10, 0), taken = "00:0a.0 is taken";
		CHECK_EQ(dev_new(zoo[i].ops, &r->env, &conf, &second, &err), -EBUSY);
		CHECK(strstr(err.msg, taken != NULL ? taken : "overlaps dut") != NULL);
		CHECK(second == NULL);
		CHECK_EQ(bus_add(r->pio, "free", 0x9000, 1, &io, NULL, NULL), 0);
		zoo_close(&b);
	}
}

static uint32_t exit_val;
static void note_exit(void *arg, uint32_t val) { (void)arg; exit_val = val; }

static unsigned synic_val[4];
static void note_synic(void *arg, enum testdev_synic what, uint8_t vp, uint8_t sint, uint8_t conn)
{
	(void)arg;
	synic_val[0] = what;
	synic_val[1] = vp;
	synic_val[2] = sint;
	synic_val[3] = conn;
}

static void test_ports_do_what_test_programs_expect(void **s)
{
	struct testdev_conf conf = { .exit = note_exit };
	struct rig r;

	(void)s;
	rig_init(&r);
	conf.lines[5] = rig_irq(&r);
	rig_put(&r, &testdev_dev, &conf);
	rig_out(&r, 0xf4, 4, 0x1234);
	CHECK_EQ(exit_val, 0x1234);
	rig_out(&r, 0xe0, 4, 0x11223344);
	rig_out(&r, 0xe1, 1, 0xff);
	CHECK_EQ(rig_in(&r, 0xe0, 4), 0x1122ff44);
	CHECK_EQ(rig_in(&r, 0xe2, 2), 0x1122);
	rig_out(&r, 0xe4, 4, 0x1000);
	rig_out(&r, 0x2005, 1, 1);
	CHECK(r.level);
	rig_out(&r, 0x2006, 1, 1);	/* a line nobody connected */
	rig_out(&r, 0x2005, 1, 0);
	CHECK(!r.level);
	bus_write(r.mmio, 0xff00fff8, 8, UINT64_C(0x1122334455667788));
	CHECK_EQ(bus_read(r.mmio, 0xff00fffc, 4), 0x11223344);
	CHECK_EQ(bus_read(r.mmio, 0xff00ffff, 2), 0xff11);
	rig_fini(&r);
}

/* KEY's bytes, lowest first. */
static uint64_t cfg_bytes(struct rig *r, uint16_t key, unsigned n)
{
	uint64_t val = 0;

	rig_out(r, 0x510, 2, key);
	for (unsigned i = 0; i < n; i++)
		val |= (uint64_t)rig_in(r, 0x511, 1) << 8 * i;
	return val;
}

static void test_ports_tell_the_size_of_the_machine(void **s)
{
	struct testdev_conf conf = { .memory = UINT64_C(0x123456000), .cpus = 0x105 };
	struct rig r;

	(void)s;
	rig_init(&r);
	rig_put(&r, &testdev_dev, &conf);
	CHECK_EQ(cfg_bytes(&r, 5, 2), 0x105);
	CHECK_EQ(cfg_bytes(&r, 15, 2), 0x105);
	CHECK_EQ(cfg_bytes(&r, 3, 8), conf.memory);
	CHECK_EQ(rig_in(&r, 0x511, 1), 0);	/* past the end */
	CHECK_EQ(cfg_bytes(&r, 0x4000, 8), 0);
	CHECK_EQ(rig_in(&r, 0x510, 2), 0xffff);
	rig_fini(&r);
}

static void test_port_passes_synthetic_interrupts_on(void **s)
{
	struct testdev_conf conf = { .synic = note_synic };
	struct rig r;

	(void)s;
	rig_init(&r);
	rig_put(&r, &testdev_dev, &conf);
	rig_out(&r, 0x3000, 4, 0x11030208);
	CHECK_EQ(synic_val[0], TESTDEV_SINT_RAISE);
	CHECK_EQ(synic_val[1], 2);
	CHECK_EQ(synic_val[2], 8);
	CHECK_EQ(synic_val[3], 0x11);
	rig_fini(&r);
}

static void absorbed_ports_read_ones(void **s)
{
	static const struct absorb_range ranges[] = { { 0x20, 2 }, { 0x80, 1 } };
	struct rig r;

	(void)s;
	rig_init(&r);
	rig_put(&r, &absorb_dev, &(struct absorb_conf){ ranges, 2 });
	rig_out(&r, 0x21, 1, 0xfb);
	CHECK_EQ(rig_in(&r, 0x21, 1), 0xff);
	CHECK_EQ(rig_in(&r, 0x20, 2), 0xffff);
	CHECK(bus_claims(r.pio, 0x80));
	CHECK(!bus_claims(r.pio, 0x81));
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_accesses_never_hurt),
		cmocka_unit_test(what_is_saved_loads_and_saves_the_same),
		cmocka_unit_test(chips_with_state_refuse_a_part_of_it),
		cmocka_unit_test(damaged_states_are_refused_or_harmless),
		cmocka_unit_test(a_window_in_use_is_an_error_of_every_chip),
		cmocka_unit_test(test_ports_do_what_test_programs_expect),
		cmocka_unit_test(test_ports_tell_the_size_of_the_machine),
		cmocka_unit_test(test_port_passes_synthetic_interrupts_on),
		cmocka_unit_test(absorbed_ports_read_ones),
	};

	return cmocka_run_group_tests_name("chip", tests, NULL, NULL);
}
