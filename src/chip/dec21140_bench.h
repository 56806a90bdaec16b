/*
 * dec21140_bench.h - a machine with nothing but a 21140, a guest's hands and a switch
 */
#ifndef CHIP_DEC21140_BENCH_H
#define CHIP_DEC21140_BENCH_H

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

static inline uint32_t in(struct bench *b, unsigned csr) { return rig_in(&b->r, (uint16_t)(IO + csr * 8), 4); }
static inline void out(struct bench *b, unsigned csr, uint32_t val) { rig_out(&b->r, (uint16_t)(IO + csr * 8), 4, val); }
static inline struct dec21140 *chip(struct bench *b) { return b->r.dev; }
static inline bool irq(struct bench *b) { return chip(b)->pci.intx; }
static inline void step(struct bench *b, uint64_t ns) { clock_step(b->r.clock, ns); }

static inline void start(struct bench *b)
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

static inline void fini(struct bench *b)
{
	rig_fini(&b->r);
	CHECK(b->port.client == NULL);		/* it let go of the port */
}

static inline uint32_t peek(struct bench *b, uint32_t gpa)
{
	uint8_t v[4];

	CHECK_EQ(gmem_read(b->r.mem, gpa, v, 4), 0);
	return ld32(v);
}

static inline void desc(struct bench *b, uint32_t at, uint32_t status, uint32_t control, uint32_t a1, uint32_t a2)
{
	uint8_t v[16];

	st32(v, status);
	st32(v + 4, control);
	st32(v + 8, a1);
	st32(v + 12, a2);
	CHECK_EQ(gmem_write(b->r.mem, at, v, sizeof(v)), 0);
}

static inline void fill(struct bench *b, uint32_t gpa, uint32_t len, uint8_t seed)
{
	uint8_t v[DEC_FRAME_MAX];

	CHECK(len <= sizeof(v));
	for (uint32_t i = 0; i < len; i++)
		v[i] = (uint8_t)(seed + i * 7);
	CHECK_EQ(gmem_write(b->r.mem, gpa, v, len), 0);
}

#define WHOLE (TDES1_FS | TDES1_LS)

static inline void tx_on(struct bench *b)
{
	out(b, 4, TX);
	out(b, 6, in(b, 6) | CSR6_ST);
	step(b, 0);
}

static inline void rx_on(struct bench *b)
{
	out(b, 3, RX);
	out(b, 6, in(b, 6) | CSR6_SR);
}

/* Four receive descriptors of SIZE bytes, in a ring. */
static inline void rx_ring(struct bench *b, uint32_t size)
{
	for (unsigned i = 0; i < 4; i++)
		desc(b, RX + i * 16, DES_OWN, size | (i == 3 ? DES1_END_OF_RING : 0u), BUF + i * 0x1000, 0);
	rx_on(b);
}

/* A setup frame through the transmitter, which is on; MODE of TDES1. */
static inline void set_filter(struct bench *b, const uint8_t setup[DEC_SETUP_LEN], uint32_t mode)
{
	CHECK_EQ(gmem_write(b->r.mem, SETUP, setup, DEC_SETUP_LEN), 0);
	out(b, 6, in(b, 6) & ~(uint32_t)(CSR6_ST | CSR6_PR));
	desc(b, TX, DES_OWN, TDES1_SET | mode | DEC_SETUP_LEN, SETUP, 0);
	desc(b, TX + 16, 0, 0, 0, 0);
	tx_on(b);
	CHECK_EQ(peek(b, TX), 0x7fffffff);
}

static inline void put_addr(uint8_t *setup, unsigned at, const uint8_t a[6])
{
	for (unsigned k = 0; k < 6; k++)
		setup[at + k / 2 * 4 + k % 2] = a[k];
}

static inline int deliver_to(struct bench *b, const uint8_t dst[6], uint32_t len)
{
	uint8_t f[DEC_FRAME_MAX] = { 0 };

	memcpy(f, dst, 6);
	f[12] = 8;
	for (uint32_t i = 14; i < len; i++)
		f[i] = (uint8_t)(i * 3);
	return dr_deliver(&b->port, f, len);
}

/* Whether a frame for DST reaches the guest; needs a fresh ring. */
static inline bool hears(struct bench *b, const uint8_t dst[6])
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
static inline uint32_t crc32_bits(const uint8_t *p, size_t n)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc ^ p[i] >> bit) & 1 ? 0xedb88320 : 0);
	return ~crc;
}

#endif
