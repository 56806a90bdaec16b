/*
 * dec21140_test.c - the 21140 as its drivers see it
 */
#include "base/test.h"

#include "chip/dec21140_rig.h"

#define DEVFN PCI_DEVFN(10, 0)
#define IO 0xc000u
#define MMIO 0xe0000000u
#define TX 0x1000u
#define RX 0x2000u
#define BUF 0x10000u
#define SETUP 0x3000u

struct bench {
	struct rig r;
	struct dr_port port;
};

static const uint8_t mac[6] = { 0x00, 0x15, 0x5d, 0x12, 0x34, 0x56 };
static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t rom[] = { 0x55, 0xaa, 1, 0xcb };

static uint32_t in(struct bench *b, unsigned csr) { return rig_in(&b->r, (uint16_t)(IO + csr * 8), 4); }
static void out(struct bench *b, unsigned csr, uint32_t val) { rig_out(&b->r, (uint16_t)(IO + csr * 8), 4, val); }
static struct dec21140 *chip(struct bench *b) { return b->r.dev; }
static bool irq(struct bench *b) { return chip(b)->pci.intx; }
static void step(struct bench *b, uint64_t ns) { clock_step(b->r.clock, ns); }

static void start(struct bench *b)
{
	const struct dec21140_conf conf = { .devfn = DEVFN, .rom = rom, .rom_len = sizeof(rom) };

	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	rig_pci(&b->r);
	rig_put(&b->r, &dec21140_dev, &conf);
	dr_init(&b->port);
	dec21140_plug(b->r.dev, &b->port.port);
	pci_cfg_write(b->r.pci, DEVFN, PCI_BAR0, 4, IO);
	pci_cfg_write(b->r.pci, DEVFN, PCI_BAR0 + 4, 4, MMIO);
	pci_cfg_write(b->r.pci, DEVFN, PCI_COMMAND, 2,
		      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	step(b, 0);
}

static void fini(struct bench *b)
{
	rig_fini(&b->r);
	CHECK(b->port.client == NULL);		/* it let go of the port */
}

static uint32_t peek(struct bench *b, uint32_t gpa)
{
	uint8_t v[4];

	CHECK_EQ(gmem_read(b->r.mem, gpa, v, 4), 0);
	return ld32(v);
}

static void desc(struct bench *b, uint32_t at, uint32_t status, uint32_t control, uint32_t a1, uint32_t a2)
{
	uint8_t v[16];

	st32(v, status);
	st32(v + 4, control);
	st32(v + 8, a1);
	st32(v + 12, a2);
	CHECK_EQ(gmem_write(b->r.mem, at, v, sizeof(v)), 0);
}

static void fill(struct bench *b, uint32_t gpa, uint32_t len, uint8_t seed)
{
	uint8_t v[DEC_FRAME_MAX];

	CHECK(len <= sizeof(v));
	for (uint32_t i = 0; i < len; i++)
		v[i] = (uint8_t)(seed + i * 7);
	CHECK_EQ(gmem_write(b->r.mem, gpa, v, len), 0);
}

#define WHOLE (TDES1_FS | TDES1_LS)

static void tx_on(struct bench *b)
{
	out(b, 4, TX);
	out(b, 6, in(b, 6) | CSR6_ST);
	step(b, 0);
}

static void rx_on(struct bench *b)
{
	out(b, 3, RX);
	out(b, 6, in(b, 6) | CSR6_SR);
}

/* Four receive descriptors of SIZE bytes, in a ring. */
static void rx_ring(struct bench *b, uint32_t size)
{
	for (unsigned i = 0; i < 4; i++)
		desc(b, RX + i * 16, DES_OWN, size | (i == 3 ? DES1_END_OF_RING : 0u), BUF + i * 0x1000, 0);
	rx_on(b);
}

/* A setup frame through the transmitter, which is on; MODE of TDES1. */
static void set_filter(struct bench *b, const uint8_t setup[DEC_SETUP_LEN], uint32_t mode)
{
	CHECK_EQ(gmem_write(b->r.mem, SETUP, setup, DEC_SETUP_LEN), 0);
	out(b, 6, in(b, 6) & ~(uint32_t)(CSR6_ST | CSR6_PR));
	desc(b, TX, DES_OWN, TDES1_SET | mode | DEC_SETUP_LEN, SETUP, 0);
	desc(b, TX + 16, 0, 0, 0, 0);
	tx_on(b);
	CHECK_EQ(peek(b, TX), 0x7fffffff);
}

static void put_addr(uint8_t *setup, unsigned at, const uint8_t a[6])
{
	for (unsigned k = 0; k < 6; k++)
		setup[at + k / 2 * 4 + k % 2] = a[k];
}

static int deliver_to(struct bench *b, const uint8_t dst[6], uint32_t len)
{
	uint8_t f[DEC_FRAME_MAX] = { 0 };

	memcpy(f, dst, 6);
	f[12] = 8;
	for (uint32_t i = 14; i < len; i++)
		f[i] = (uint8_t)(i * 3);
	return dr_deliver(&b->port, f, len);
}

/* Whether a frame for DST reaches the guest; needs a fresh ring. */
static bool hears(struct bench *b, const uint8_t dst[6])
{
	bool heard;

	for (unsigned i = 0; i < 4; i++)
		desc(b, RX + i * 16, DES_OWN, 2047 | (i == 3 ? DES1_END_OF_RING : 0u), BUF + i * 0x1000, 0);
	out(b, 6, in(b, 6) & ~(uint32_t)CSR6_SR);
	rx_on(b);
	CHECK_EQ(deliver_to(b, dst, 100), 0);
	heard = (peek(b, RX) & DES_OWN) == 0;
	return heard;
}

/* CRC-32 of Ethernet, by bits, and of nobody else's making. */
static uint32_t crc32_bits(const uint8_t *p, size_t n)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc ^ p[i] >> bit) & 1 ? 0xedb88320 : 0);
	return ~crc;
}

/* ---- registers ----------------------------------------------------------------------- */

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

/* ---- sending ------------------------------------------------------------------------- */

static void check_sent(struct bench *b, unsigned i, uint32_t gpa, uint32_t n, uint32_t len)
{
	uint8_t want[DEC_FRAME_MAX];

	CHECK(b->port.nr > i);
	CHECK_EQ(b->port.len[i], len);
	CHECK_EQ(gmem_read(b->r.mem, gpa, want, n), 0);
	CHECK_MEM(b->port.frame[i], want, n);
	for (uint32_t k = n; k < len; k++)
		CHECK_EQ(b->port.frame[i][k], 0);
}

static void frames_go_from_a_ring(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	fill(&b, BUF, 2000, 1);
	desc(&b, TX, DES_OWN, WHOLE | TDES1_IC | 1514, BUF, 0);
	desc(&b, TX + 16, DES_OWN, WHOLE | 42, BUF + 100, 0);		/* padded */
	desc(&b, TX + 32, DES_OWN, WHOLE | TDES1_DPD | DES1_END_OF_RING | 42, BUF + 200, 0);
	out(&b, 7, CSR5_NIS | CSR5_TI);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 3);
	check_sent(&b, 0, BUF, 1514, 1514);
	check_sent(&b, 1, BUF + 100, 42, 60);
	check_sent(&b, 2, BUF + 200, 42, 42);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(peek(&b, TX + i * 16), 0);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, 5) & 7u << 20, 6u << 20);	/* back at the first, which is not ours */
	desc(&b, TX, DES_OWN, WHOLE | TDES1_AC | 104, BUF + 7, 0);	/* with an FCS of its own */
	step(&b, 1000000);
	CHECK_EQ(b.port.nr, 3);		/* nobody has asked for it */
	out(&b, 1, 0);
	step(&b, 0);
	check_sent(&b, 3, BUF + 7, 100, 100);
	fini(&b);
}

static void frames_go_from_a_chain_and_in_pieces(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	fill(&b, BUF, 2000, 3);
	desc(&b, TX, DES_OWN, TDES1_FS | DES1_CHAINED | 100, BUF, 0x8000);
	desc(&b, 0x8000, DES_OWN, DES1_CHAINED | 0, 0, 0x9000);
	desc(&b, 0x9000, DES_OWN, TDES1_LS | 300 | 11 << 11, BUF + 100, BUF + 400);
	desc(&b, 0x9010, DES_OWN, WHOLE | DES1_END_OF_RING | 64, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 2);
	check_sent(&b, 0, BUF, 411, 411);
	CHECK_EQ(peek(&b, TX) | peek(&b, 0x8000) | peek(&b, 0x9000), 0);
	/* Descriptors with a gap, in the other byte order. */
	out(&b, 6, 0);
	out(&b, 0, CSR0_DBO | 4 << 2);
	fill(&b, BUF, 200, 9);
	desc(&b, TX, __builtin_bswap32(DES_OWN), __builtin_bswap32(TDES1_FS | 60), __builtin_bswap32(BUF), 0);
	desc(&b, TX + 32, __builtin_bswap32(DES_OWN), __builtin_bswap32(TDES1_LS | 60), __builtin_bswap32(BUF + 60), 0);
	desc(&b, TX + 64, 0, 0, 0, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 3);
	check_sent(&b, 2, BUF, 120, 120);
	fini(&b);
}

static void a_frame_without_room_waits(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	b.port.take = 1;
	for (unsigned i = 0; i < 3; i++) {
		fill(&b, BUF + i * 0x100, 100, (uint8_t)(i * 50));
		desc(&b, TX + i * 16, DES_OWN, WHOLE | (i == 2 ? DES1_END_OF_RING : 0u) | 100, BUF + i * 0x100, 0);
	}
	tx_on(&b);
	CHECK_EQ(b.port.nr, 1);
	CHECK_EQ(peek(&b, TX + 16), DES_OWN);
	CHECK_EQ(in(&b, 5) & 7u << 20, 1u << 20);
	step(&b, NS_PER_SEC);
	out(&b, 1, 0);
	step(&b, NS_PER_SEC);
	CHECK_EQ(b.port.nr, 1);
	b.port.take = 1;
	b.port.client->resume(b.port.dev);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 2);
	check_sent(&b, 1, BUF + 0x100, 100, 100);
	CHECK_EQ(peek(&b, TX + 16), 0);
	/* The third is stopped in its wait: excessive collisions. */
	CHECK_EQ(peek(&b, TX + 32), DES_OWN);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_ST);
	CHECK_EQ(peek(&b, TX + 32), TDES0_ES | TDES0_EC);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TPS), CSR5_TPS);
	b.port.take = 10;
	b.port.client->resume(b.port.dev);
	step(&b, NS_PER_SEC);
	CHECK_EQ(b.port.nr, 2);
	fini(&b);
}

static void reset_inside(void *arg)
{
	struct bench *b = arg;

	b->port.in_send = NULL;
	out(b, 0, CSR0_SWR);		/* the lock is free: a vCPU's write */
	b->port.client->resume(b->port.dev);
}

static void stop_inside(void *arg)
{
	struct bench *b = arg;

	b->port.in_send = NULL;
	out(b, 6, in(b, 6) & ~(uint32_t)CSR6_ST);
}

static void the_guest_goes_on_while_the_switch_has_a_frame(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, WHOLE | 100, BUF, 0);
	desc(&b, TX + 16, DES_OWN, WHOLE | 100, BUF, 0);
	b.port.in_send = stop_inside;
	b.port.arg = &b;
	tx_on(&b);
	CHECK_EQ(b.port.nr, 1);		/* that one, and no more */
	CHECK_EQ(peek(&b, TX), 0);
	CHECK_EQ(peek(&b, TX + 16), DES_OWN);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TPS), CSR5_TPS);
	b.port.in_send = reset_inside;
	desc(&b, TX, DES_OWN, WHOLE | 100, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 2);
	CHECK_EQ(peek(&b, TX), DES_OWN);	/* it has forgotten whose it was */
	CHECK_EQ(in(&b, 5), 0xfc000000);
	fini(&b);
}

static void half_a_frame_is_an_underflow(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, TDES1_FS | 100, BUF, 0);
	desc(&b, TX + 16, 0, TDES1_LS | 100, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TU | CSR5_UNF), 6u << 20 | CSR5_TU | CSR5_UNF);
	/* Its end, too late, is an end of nothing. */
	desc(&b, TX + 16, DES_OWN, TDES1_LS | 100, BUF, 0);
	desc(&b, TX + 32, DES_OWN, WHOLE | DES1_END_OF_RING | 80, BUF, 0);
	out(&b, 1, 0);
	step(&b, 0);
	CHECK_EQ(peek(&b, TX + 16), TDES0_ES | TDES0_UF);
	CHECK_EQ(b.port.nr, 1);
	CHECK_EQ(b.port.len[0], 80);
	fini(&b);
}

static void a_frame_without_end_is_jabber(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, TDES1_FS | 2047 | 2047 << 11, BUF, BUF);
	desc(&b, TX + 16, DES_OWN, TDES1_LS | 10, BUF, 0);
	desc(&b, TX + 32, DES_OWN, WHOLE | 80, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(peek(&b, TX + 16), TDES0_ES | TDES0_TO);
	CHECK_EQ(peek(&b, TX + 32), DES_OWN);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TPS | CSR5_TJT), CSR5_TPS | CSR5_TJT);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_ST);
	out(&b, 6, in(&b, 6) | CSR6_ST);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 1);
	fini(&b);
}

static void a_ring_without_end_lets_others_run(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	/* One descriptor, a setup frame that is never not ours: its own buffer is its status. */
	desc(&b, TX, DES_OWN, TDES1_FS | DES1_END_OF_RING, 0, 0);
	tx_on(&b);
	CHECK_EQ(in(&b, 5) & 7u << 20, 6u << 20);
	/* A chain through all of RAM: each kick walks a part of it. */
	out(&b, 6, 0);
	for (unsigned i = 0; i < 1000; i++)
		desc(&b, 0x20000 + i * 16, DES_OWN, TDES1_FS, 0, 0);
	out(&b, 4, 0x20000);
	out(&b, 6, CSR6_ST);
	pthread_mutex_lock(&b.r.lock);
	for (unsigned i = 0; i < 128; i++)
		CHECK(dec_tx_work(chip(&b)));
	pthread_mutex_unlock(&b.r.lock);
	CHECK_EQ(peek(&b, 0x20000 + 127 * 16), 0);
	CHECK_EQ(peek(&b, 0x20000 + 128 * 16), DES_OWN);
	step(&b, 0);
	CHECK_EQ(peek(&b, 0x20000 + 999 * 16), 0);
	fini(&b);
}

static void memory_that_is_none_stops_the_chip(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, WHOLE | 100, 0xfffffff0, 0);
	desc(&b, TX + 16, DES_OWN, WHOLE | 100, BUF, 0);
	rx_ring(&b, 1536);
	out(&b, 7, CSR5_AIS | CSR5_FBE);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, 5) & (7u << 23 | CSR5_FBE), 1u << 23 | CSR5_FBE);
	out(&b, 5, CSR5_FBE);
	out(&b, 1, 0);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);
	CHECK_EQ(peek(&b, RX), DES_OWN);
	out(&b, 0, CSR0_SWR);
	desc(&b, TX, DES_OWN, WHOLE | 100, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 2);
	out(&b, 3, 0xfffffffc);
	out(&b, 6, CSR6_PR | CSR6_SR);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);
	CHECK_EQ(in(&b, 5) & CSR5_FBE, CSR5_FBE);
	fini(&b);
}

static void only_a_bus_master_touches_memory(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, WHOLE | DES1_END_OF_RING | 100, BUF, 0);
	rx_ring(&b, 1536);
	pci_cfg_write(b.r.pci, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);
	CHECK_EQ(peek(&b, RX), DES_OWN);
	pci_cfg_write(b.r.pci, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 1);
	fini(&b);
}

/* ---- receiving ----------------------------------------------------------------------- */

static void check_received(struct bench *b, uint32_t gpa, uint32_t len, uint32_t bytes)
{
	uint8_t f[DEC_FRAME_MAX];

	CHECK_EQ(gmem_read(b->r.mem, gpa, f, len), 0);
	for (uint32_t i = 14; i < len - 4; i++)
		CHECK_EQ(f[i], i < bytes ? (uint8_t)(i * 3) : 0);
	CHECK_EQ(ld32(f + len - 4), crc32_bits(f, len - 4));
}

static void frames_come_with_length_and_fcs(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	rx_ring(&b, 1536);
	out(&b, 7, CSR5_NIS | CSR5_RI);
	CHECK_EQ(deliver_to(&b, broadcast, 1514), 0);
	CHECK(irq(&b));
	CHECK_EQ(peek(&b, RX), 1518u << 16 | RDES0_FS | RDES0_LS | RDES0_MF | RDES0_FT);
	check_received(&b, BUF, 1518, 1514);
	CHECK_EQ(deliver_to(&b, mac, 42), 0);
	CHECK_EQ(peek(&b, RX + 16), 64u << 16 | RDES0_FS | RDES0_LS | RDES0_FT);
	check_received(&b, BUF + 0x1000, 64, 42);
	CHECK_EQ(deliver_to(&b, mac, 1518), 0);		/* with a tag */
	CHECK_EQ(peek(&b, RX + 32), 1522u << 16 | RDES0_FS | RDES0_LS | RDES0_FT | RDES0_TL);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_SR);
	CHECK_EQ(in(&b, 5) & (7u << 17 | CSR5_RPS), CSR5_RPS);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);		/* nobody listens */
	CHECK_EQ(peek(&b, RX + 48), DES_OWN);
	fini(&b);
}

static void a_long_frame_takes_several_buffers(void **s)
{
	uint8_t f[1518], part[500];
	struct bench b;

	(void)s;
	start(&b);
	for (unsigned i = 0; i < 4; i++)
		desc(&b, RX + i * 16, DES_OWN, 200 | 200 << 11 | (i == 3 ? DES1_END_OF_RING : 0u), BUF + i * 0x1000,
		     BUF + i * 0x1000 + 0x800);
	rx_on(&b);
	CHECK_EQ(deliver_to(&b, mac, 1000), 0);
	CHECK_EQ(peek(&b, RX), RDES0_FS);
	CHECK_EQ(peek(&b, RX + 16), 0);
	CHECK_EQ(peek(&b, RX + 32), 1004u << 16 | RDES0_LS | RDES0_FT);
	CHECK_EQ(peek(&b, RX + 48), DES_OWN);
	for (unsigned i = 0; i < 6; i++) {
		CHECK_EQ(gmem_read(b.r.mem, BUF + i / 2 * 0x1000 + i % 2 * 0x800, part, 200), 0);
		memcpy(f + i * 200, part, 200);
	}
	CHECK_EQ(ld32(f + 1000), crc32_bits(f, 1000));
	/* The next one needs three, and there is one: it waits whole. */
	CHECK_EQ(deliver_to(&b, mac, 1000), -EAGAIN);
	CHECK_EQ(peek(&b, RX + 48), DES_OWN);
	/* A ring that cannot hold it at all: cut, and so it says. */
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_SR);
	desc(&b, RX, DES_OWN, 100 | DES1_END_OF_RING, BUF, 0);
	rx_on(&b);
	CHECK_EQ(deliver_to(&b, mac, 1000), 0);
	CHECK_EQ(peek(&b, RX), 1004u << 16 | RDES0_FS | RDES0_LS | RDES0_FT | RDES0_ES | RDES0_DE);
	fini(&b);
}

static void without_a_descriptor_frames_wait_and_then_are_missed(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, RX, 0, 1536, BUF, 0);
	rx_on(&b);
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	CHECK_EQ(in(&b, 5) & (7u << 17 | CSR5_RU), 4u << 17 | CSR5_RU);
	out(&b, 5, CSR5_RU);
	step(&b, 10000000);
	CHECK_EQ(b.port.rooms, 0);
	desc(&b, RX, DES_OWN, 1536 | DES1_END_OF_RING, BUF, 0);		/* without a word */
	step(&b, 250000);
	CHECK_EQ(b.port.rooms, 1);
	CHECK_EQ(in(&b, 8), 0xe0000000);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(in(&b, 5) & 7u << 17, 3u << 17);
	/* With a poll demand it is told at once. */
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	desc(&b, RX, DES_OWN, 1536 | DES1_END_OF_RING, BUF, 0);
	out(&b, 2, 0);
	CHECK_EQ(in(&b, 5) & 7u << 17, 3u << 17);
	step(&b, 0);
	CHECK_EQ(b.port.rooms, 2);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	/* Half a second is enough for everybody. */
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	step(&b, 499000000);
	CHECK_EQ(b.port.rooms, 2);
	step(&b, 2000000);
	CHECK_EQ(b.port.rooms, 3);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(in(&b, 8), 0xe0000002);
	CHECK_EQ(in(&b, 8), 0xe0000000);
	desc(&b, RX, DES_OWN, 1536 | DES1_END_OF_RING, BUF, 0);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(peek(&b, RX) & DES_OWN, 0);
	CHECK_EQ(in(&b, 8), 0xe0000000);
	/* Who waits when the receiver is switched off hears of it too. */
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	out(&b, 6, 0);
	step(&b, 0);
	CHECK_EQ(b.port.rooms, 4);
	fini(&b);
}

static void addresses_are_filtered(void **s)
{
	const uint8_t other[6] = { 0x00, 0x15, 0x5d, 1, 2, 3 }, multi[6] = { 0x01, 0, 0x5e, 0, 0, 0xfb };
	const uint8_t multi2[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	uint8_t setup[DEC_SETUP_LEN];
	struct bench b;
	uint32_t bit;

	(void)s;
	start(&b);
	CHECK(hears(&b, other));			/* promiscuous from reset */
	memset(setup, 0xff, sizeof(setup));
	put_addr(setup, 0, mac);
	set_filter(&b, setup, 0);
	CHECK(hears(&b, mac) && hears(&b, broadcast));
	CHECK(!hears(&b, other) && !hears(&b, multi));
	out(&b, 6, in(&b, 6) | CSR6_PM);
	CHECK(hears(&b, multi) && !hears(&b, other));
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_PM);
	/* All of them come, and what should not have says so. */
	out(&b, 6, in(&b, 6) | CSR6_RA);
	CHECK(hears(&b, other));
	CHECK_EQ(peek(&b, RX) & RDES0_FF, RDES0_FF);
	CHECK(hears(&b, mac));
	CHECK_EQ(peek(&b, RX) & RDES0_FF, 0);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_RA);
	set_filter(&b, setup, TDES1_FT1);		/* inverse */
	CHECK_EQ(in(&b, 6) & (CSR6_IF | CSR6_HP | CSR6_HO), CSR6_IF);
	CHECK(!hears(&b, mac) && !hears(&b, broadcast) && hears(&b, other));
	/* A hash table for groups, one address for us. */
	memset(setup, 0, sizeof(setup));
	bit = ~crc32_bits(multi, 6) & 0x1ff;
	setup[bit / 16 * 4 + bit % 16 / 8] = (uint8_t)(1 << bit % 8);
	put_addr(setup, 156, mac);
	set_filter(&b, setup, TDES1_FT0);
	CHECK(hears(&b, mac) && hears(&b, multi));
	CHECK(!hears(&b, other) && !hears(&b, multi2) && !hears(&b, broadcast));
	/* Linux knows that broadcasts are bit 255. */
	setup[255 / 16 * 4 + 1] |= 0x80;
	set_filter(&b, setup, TDES1_FT0);
	CHECK(hears(&b, broadcast));
	bit = ~crc32_bits(other, 6) & 0x1ff;
	setup[bit / 16 * 4 + bit % 16 / 8] |= (uint8_t)(1 << bit % 8);
	set_filter(&b, setup, TDES1_FT0 | TDES1_FT1);	/* hash only */
	CHECK(hears(&b, other) && hears(&b, multi) && !hears(&b, mac));
	out(&b, 6, in(&b, 6) | CSR6_PR);
	CHECK(hears(&b, mac));
	fini(&b);
}

static void a_loop_leads_back(void **s)
{
	uint8_t f[64];
	struct bench b;

	(void)s;
	start(&b);
	rx_ring(&b, 1536);
	fill(&b, BUF + 0x8000, 60, 5);
	out(&b, 6, in(&b, 6) | 1 << 10);
	desc(&b, TX, DES_OWN, WHOLE | DES1_END_OF_RING | 60, BUF + 0x8000, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(peek(&b, TX), 0);
	CHECK_EQ(peek(&b, RX) & (DES_OWN | 3 << 12 | 0x3fff0000), 1 << 12 | 64 << 16);
	CHECK_EQ(gmem_read(b.r.mem, BUF, f, 60), 0);
	CHECK_EQ(f[1], 12);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);	/* the wire is not heard */
	CHECK_EQ(peek(&b, RX + 16), DES_OWN);
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
		cmocka_unit_test(frames_go_from_a_ring),
		cmocka_unit_test(frames_go_from_a_chain_and_in_pieces),
		cmocka_unit_test(a_frame_without_room_waits),
		cmocka_unit_test(the_guest_goes_on_while_the_switch_has_a_frame),
		cmocka_unit_test(half_a_frame_is_an_underflow),
		cmocka_unit_test(a_frame_without_end_is_jabber),
		cmocka_unit_test(a_ring_without_end_lets_others_run),
		cmocka_unit_test(memory_that_is_none_stops_the_chip),
		cmocka_unit_test(only_a_bus_master_touches_memory),
		cmocka_unit_test(frames_come_with_length_and_fcs),
		cmocka_unit_test(a_long_frame_takes_several_buffers),
		cmocka_unit_test(without_a_descriptor_frames_wait_and_then_are_missed),
		cmocka_unit_test(addresses_are_filtered),
		cmocka_unit_test(a_loop_leads_back),
		cmocka_unit_test(no_allocation_is_needed_that_can_fail_badly),
	};

	return cmocka_run_group_tests_name("dec21140", tests, NULL, NULL);
}
