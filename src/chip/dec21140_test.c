/*
 * dec21140_test.c - the 21140's registers, serial ROM and PHY as its drivers see them
 */
#include "chip/dec21140_bench.h"

static void it_is_hyperv_s_adapter(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	CHECK_EQ(pci_cfg_read(b.r.pci, DEVFN, 0, 4), 0x00091011);
	CHECK_EQ(pci_cfg_read(b.r.pci, DEVFN, 8, 4), 0x02000020);
	CHECK_EQ(pci_cfg_read(b.r.pci, DEVFN, 0x2c, 4), 0x21140a00);
	CHECK_EQ(pci_cfg_read(b.r.pci, DEVFN, 0x3c, 4), 0x28140100);
	pci_cfg_write(b.r.pci, DEVFN, 0x30, 4, 0xffffffff);
	CHECK_EQ(pci_cfg_read(b.r.pci, DEVFN, 0x30, 4), 0xfffc0001);
	pci_cfg_write(b.r.pci, DEVFN, 0x30, 4, 0xe0100001);
	CHECK_EQ(bus_read(b.r.mmio, 0xe0100000, 4), 0xcb01aa55);
	CHECK_EQ(bus_read(b.r.mmio, 0xe0100004, 4), 0xffffffff);
	CHECK_EQ(in(&b, 0), 0xfe000000);
	CHECK_EQ(in(&b, 5), 0xfc000000);
	CHECK_EQ(in(&b, 6), 0x32000040);
	CHECK_EQ(in(&b, 7), 0xfffe0000);
	CHECK_EQ(in(&b, 8), 0xe0000000);
	out(&b, 3, 0x12345677);
	CHECK_EQ(bus_read(b.r.mmio, MMIO + 3 * 8, 4), 0x12345674);
	CHECK_EQ(bus_read(b.r.mmio, MMIO + 3 * 8 + 4, 4), 0);
	out(&b, 12, 0x10f);		/* four pins are outputs */
	out(&b, 12, 0x05);
	CHECK_EQ(in(&b, 12), 0xfffffef5);
	out(&b, 0, CSR0_SWR);
	CHECK_EQ(in(&b, 12), 0xfffffeff);
	fini(&b);
}

static uint16_t srom_bits(struct bench *b, uint32_t command, unsigned nr, uint32_t *ret_seen)
{
	uint32_t seen = 0;

	out(b, 9, 0x4800);
	out(b, 9, 0x4801);
	for (unsigned i = nr; i-- > 0;) {
		uint32_t di = command >> i & 1 ? 4 : 0;

		out(b, 9, 0x4801 | di);
		out(b, 9, 0x4803 | di);
		seen = seen << 1 | (in(b, 9) >> 3 & 1);
	}
	out(b, 9, 0x4801);
	for (unsigned i = 0; i < 16; i++) {
		out(b, 9, 0x4803);
		seen = seen << 1 | (in(b, 9) >> 3 & 1);
		out(b, 9, 0x4801);
	}
	out(b, 9, 0x4800);
	*ret_seen = seen;
	return (uint16_t)seen;
}

static void read_srom(struct bench *b, uint8_t rom_bytes[128])
{
	uint32_t seen;

	for (unsigned i = 0; i < 64; i++)
		st16(rom_bytes + 2 * i, srom_bits(b, 6u << 6 | i, 11, &seen));
}

static void the_serial_rom_tells_the_address(void **s)
{
	uint8_t e[128];
	struct bench b;
	uint32_t seen;

	(void)s;
	start(&b);
	/* How Linux finds out how many address bits there are: the ninth bit. */
	srom_bits(&b, 6u << 8 | 0xff, 13, &seen);
	CHECK_EQ(seen & 0x40000, 0);
	CHECK_EQ(seen & 0x80000, 0x80000);
	read_srom(&b, e);
	CHECK_EQ(ld32(e), 0x21140a00);
	CHECK_EQ(e[18], 3);
	CHECK_EQ(e[19], 1);
	CHECK_MEM(e + 20, mac, 6);
	CHECK_EQ(ld16(e + 126), crc32_bits(e, 126) & 0xffff);
	/* The block that it points to: MII, and so long that a reader ends behind it. */
	CHECK_EQ(ld16(e + e[27]), 0x0800);
	CHECK_EQ(e[e[27] + 3], 1);
	CHECK_EQ(e[e[27] + 4], 0x8c);
	CHECK_EQ(e[e[27] + 5], 1);
	CHECK_EQ(ld16(e + e[27] + 11), 0x01e0);
	CHECK_EQ(e[e[27] + 4 + 13], 0);
	fini(&b);
}

static void the_serial_rom_is_written_after_it_was_unlocked(void **s)
{
	struct bench b;
	uint32_t seen;

	(void)s;
	start(&b);
	srom_bits(&b, (5u << 6 | 40) << 16 | 0xbeef, 25, &seen);
	CHECK_EQ(srom_bits(&b, 6u << 6 | 40, 11, &seen), 0);
	srom_bits(&b, 4u << 6 | 0x30, 9, &seen);		/* EWEN */
	srom_bits(&b, (5u << 6 | 40) << 16 | 0xbeef, 25, &seen);
	CHECK_EQ(srom_bits(&b, 6u << 6 | 40, 11, &seen), 0xbeef);
	srom_bits(&b, 7u << 6 | 40, 9, &seen);			/* ERASE */
	CHECK_EQ(srom_bits(&b, 6u << 6 | 40, 11, &seen), 0xffff);
	srom_bits(&b, 4u << 6, 9, &seen);			/* EWDS */
	srom_bits(&b, (5u << 6 | 40) << 16 | 0x1234, 25, &seen);
	CHECK_EQ(srom_bits(&b, 6u << 6 | 40, 11, &seen), 0xffff);
	b.r.ops->reset(b.r.dev);		/* power does not matter to it */
	pci_cfg_write(b.r.pci, DEVFN, PCI_BAR0, 4, IO);
	pci_cfg_write(b.r.pci, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO);
	CHECK_EQ(srom_bits(&b, 6u << 6 | 40, 11, &seen), 0xffff);
	CHECK_EQ(srom_bits(&b, 6u << 6 | 10, 11, &seen), ld16(mac));
	fini(&b);
}

static void mii_bit(struct bench *b, bool one)
{
	uint32_t v = one ? CSR9_MDO : 0;

	out(b, 9, v);
	out(b, 9, v | CSR9_MDC);
}

static uint16_t mii_read(struct bench *b, unsigned phy, unsigned reg)
{
	uint32_t cmd = 0xf6u << 10 | phy << 5 | reg, val = 0;

	for (unsigned i = 0; i < 33; i++)
		mii_bit(b, true);
	for (unsigned i = 16; i-- > 0;)
		mii_bit(b, cmd >> i & 1);
	for (unsigned i = 0; i < 19; i++) {
		out(b, 9, CSR9_MII);
		val = val << 1 | (in(b, 9) >> 19 & 1);
		out(b, 9, CSR9_MII | CSR9_MDC);
	}
	return (uint16_t)(val >> 1);
}

static void mii_write(struct bench *b, unsigned phy, unsigned reg, uint16_t val)
{
	uint32_t cmd = 0x5002u << 16 | phy << 23 | reg << 18 | val;

	for (unsigned i = 0; i < 33; i++)
		mii_bit(b, true);
	for (unsigned i = 32; i-- > 0;)
		mii_bit(b, cmd >> i & 1);
	for (unsigned i = 0; i < 2; i++) {
		out(b, 9, CSR9_MII);
		out(b, 9, CSR9_MII | CSR9_MDC);
	}
}

static void the_phy_speaks_for_the_cable(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	CHECK_EQ(mii_read(&b, 0, 1), 0xffff);
	CHECK_EQ(mii_read(&b, 2, 1), 0xffff);
	CHECK_EQ(mii_read(&b, 1, 1), 0x782d);
	CHECK_EQ(mii_read(&b, 1, 2), 0x2000);
	CHECK_EQ(mii_read(&b, 1, 5), 0x41e1);
	mii_write(&b, 2, 4, 0x55aa);
	CHECK_EQ(mii_read(&b, 1, 4), 0x01e1);
	mii_write(&b, 1, 4, 0x0061);
	CHECK_EQ(mii_read(&b, 1, 4), 0x0061);
	mii_write(&b, 1, 0, 0x8000);
	CHECK_EQ(mii_read(&b, 1, 0), 0x3100);
	CHECK_EQ(mii_read(&b, 1, 4), 0x01e1);
	b.port.client->link(b.port.dev, false, 0);
	b.port.client->link(b.port.dev, true, 0);
	CHECK_EQ(mii_read(&b, 1, 1), 0x7809);	/* it was gone: told once */
	CHECK_EQ(mii_read(&b, 1, 1), 0x782d);
	b.port.client->link(b.port.dev, false, 0);
	CHECK_EQ(mii_read(&b, 1, 1), 0x7809);
	CHECK_EQ(mii_read(&b, 1, 1), 0x7809);
	CHECK_EQ(mii_read(&b, 1, 5), 0);
	fini(&b);
}

static void the_timer_counts_once_or_again_and_again(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	out(&b, 7, CSR5_NIS | CSR5_GTE);
	out(&b, 6, CSR6_PS);
	out(&b, 11, 10);		/* of 81.92 microseconds */
	step(&b, 819199);
	CHECK_EQ(in(&b, 11), 0xfffe0001);
	CHECK(!irq(&b));
	step(&b, 1);
	CHECK_EQ(in(&b, 5) & (CSR5_GTE | CSR5_NIS), CSR5_GTE | CSR5_NIS);
	CHECK(irq(&b));
	out(&b, 5, CSR5_GTE);
	CHECK(!irq(&b));
	step(&b, 10000000);
	CHECK(!irq(&b));
	out(&b, 11, CSR11_CON | 10);
	for (unsigned i = 0; i < 3; i++) {
		step(&b, 819200);
		CHECK(irq(&b));
		out(&b, 5, CSR5_GTE);
		CHECK(!irq(&b));
	}
	out(&b, 11, 0);
	step(&b, 10000000);
	CHECK(!irq(&b));
	fini(&b);
}

static void a_summary_is_of_what_is_enabled(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, 0, 0, 0, 0);
	tx_on(&b);			/* nothing there: TU */
	CHECK_EQ(in(&b, 5), 0xfc000000 | 6u << 20 | CSR5_TU);
	out(&b, 7, CSR5_TU);
	CHECK_EQ(in(&b, 5) & CSR5_NIS, CSR5_NIS);
	CHECK(!irq(&b));		/* the summary itself is not enabled */
	out(&b, 7, CSR5_TU | CSR5_NIS);
	CHECK(irq(&b));
	out(&b, 5, CSR5_NIS);		/* its cause is still there */
	CHECK(irq(&b));
	out(&b, 7, CSR5_NIS | CSR5_AIS);
	CHECK(!irq(&b));
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_ST);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TPS), CSR5_TPS);
	out(&b, 7, CSR5_AIS | CSR5_TPS);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, 5) & (CSR5_AIS | CSR5_NIS), CSR5_AIS);
	out(&b, 0, CSR0_SWR);
	CHECK(!irq(&b));
	fini(&b);
}

static void no_allocation_is_needed_that_can_fail_badly(void **s)
{
	const struct dec21140_conf big = { .devfn = DEVFN, .rom = rom, .rom_len = DEC21140_ROM_MAX + 1 };
	struct err err;
	struct rig r;
	void *dev = NULL;

	(void)s;
	rig_init(&r);
	rig_pci(&r);
	CHECK_EQ(dev_new(&dec21140_dev, &r.env, &big, &dev, &err), -EFBIG);
	for (unsigned n = 1;; n++) {
		int rc;

		base_fail_alloc(n);
		rc = dev_new(&dec21140_dev, &r.env, &(struct dec21140_conf){ .devfn = DEVFN }, &dev, &err);
		base_fail_alloc(0);
		if (rc == 0)
			break;
		CHECK_EQ(rc, -ENOMEM);
		CHECK(dev == NULL && n < 20);
	}
	dev_free(&dec21140_dev, dev);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_hyperv_s_adapter),
		cmocka_unit_test(the_serial_rom_tells_the_address),
		cmocka_unit_test(the_serial_rom_is_written_after_it_was_unlocked),
		cmocka_unit_test(the_phy_speaks_for_the_cable),
		cmocka_unit_test(the_timer_counts_once_or_again_and_again),
		cmocka_unit_test(a_summary_is_of_what_is_enabled),
		cmocka_unit_test(no_allocation_is_needed_that_can_fail_badly),
	};

	return cmocka_run_group_tests_name("dec21140", tests, NULL, NULL);
}
