/*
 * ide_bench.h - an IDE controller on a bench, and a guest's hands on its registers
 *
 * Channel 0: two disks.  Channel 1: a DVD drive, and nobody.
 */
#ifndef CHIP_IDE_BENCH_H
#define CHIP_IDE_BENCH_H

#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/ide.h"
#include "dev/fake_blk.h"
#include "spec/ata.h"
#include "spec/scsi.h"

#define BENCH_SECTORS 1024u
#define BENCH_BM 0xc000
#define BENCH_IDE PCI_DEVFN(7, 1)
#define BENCH_TABLE 0x1000u		/* where tests put region lists */
#define BENCH_DATA 0x10000u		/* and data */

struct ide_wire {
	bool level;
	unsigned rises;
};

struct ide_bench {
	struct rig r;
	struct fake_blk hd[2], dvd;
	struct ide_wire wire[2];
	struct ide_conf conf;
	unsigned ch;			/* the channel that the hands are on */
	unsigned troubles;
	int trouble_rc;
};

static inline void bench_wire(void *self, unsigned pin, bool level)
{
	struct ide_wire *w = &((struct ide_bench *)self)->wire[pin];

	w->rises += level && !w->level;
	w->level = level;
}

static inline void bench_trouble(void *arg, int rc)
{
	struct ide_bench *b = arg;

	b->troubles++;
	b->trouble_rc = rc;
}

static inline void bench_enable(struct ide_bench *b)
{
	pci_cfg_write(b->r.pci, BENCH_IDE, 0x20, 4, BENCH_BM);
	pci_cfg_write(b->r.pci, BENCH_IDE, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
}

static inline void bench_init(struct ide_bench *b)
{
	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	rig_pci(&b->r);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(fake_blk_init(&b->hd[i], BENCH_SECTORS * 512, 512, false), 0);
		b->hd[i].manual = true;
		b->conf.irq[i] = (struct irq){ bench_wire, b, i };
		b->conf.unit[0][i].blk = &b->hd[i].blk;
	}
	for (unsigned i = 0; i < BENCH_SECTORS * 512; i++)
		b->hd[1].bytes[i] ^= 0xff;
	CHECK_EQ(fake_blk_init(&b->dvd, 512 * KIB, 2048, false), 0);
	b->dvd.manual = true;
	b->conf.unit[1][0] = (struct ide_unit){ true, &b->dvd.blk };
	b->conf.devfn = BENCH_IDE;
}

static inline void bench_start(struct ide_bench *b)
{
	bench_init(b);
	rig_put(&b->r, &ide_dev, &b->conf);
	bench_enable(b);
}

static inline void bench_fini(struct ide_bench *b)
{
	rig_fini(&b->r);
	fake_blk_fini(&b->hd[0]);
	fake_blk_fini(&b->hd[1]);
	fake_blk_fini(&b->dvd);
}

static inline uint16_t bench_port(const struct ide_bench *b, unsigned reg)
{
	return (uint16_t)((b->ch == 0 ? 0x1f0 : 0x170) + reg);
}

static inline void out(struct ide_bench *b, unsigned reg, uint8_t val)
{
	rig_out(&b->r, bench_port(b, reg), 1, val);
}

static inline uint8_t in(struct ide_bench *b, unsigned reg)
{
	return (uint8_t)rig_in(&b->r, bench_port(b, reg), 1);
}

static inline uint16_t bench_control(const struct ide_bench *b)
{
	return b->ch == 0 ? 0x3f6 : 0x376;
}

static inline uint8_t alt(struct ide_bench *b)
{
	return (uint8_t)rig_in(&b->r, bench_control(b), 1);
}

static inline void control(struct ide_bench *b, uint8_t val)
{
	rig_out(&b->r, bench_control(b), 1, val);
}

/* The host's disks answer, and the controller hears of it, until all is quiet. */
static inline void settle(struct ide_bench *b)
{
	unsigned n;

	do {
		n = fake_blk_finish(&b->hd[0]) + fake_blk_finish(&b->hd[1]) +
		    fake_blk_finish(&b->dvd);
		clock_step(b->r.clock, 1);
	} while (n != 0);
}

static inline bool irq(struct ide_bench *b)
{
	return b->wire[b->ch].level;
}

/* Loads the task file and gives the command; 28 bits of address. */
static inline void command(struct ide_bench *b, unsigned dev, uint8_t cmd, uint32_t lba, uint8_t n)
{
	out(b, ATA_DEVICE, (uint8_t)(0xe0 | dev << 4 | (lba >> 24 & 0xf)));
	out(b, ATA_NSECT, n);
	out(b, ATA_LBAL, (uint8_t)lba);
	out(b, ATA_LBAM, (uint8_t)(lba >> 8));
	out(b, ATA_LBAH, (uint8_t)(lba >> 16));
	out(b, ATA_COMMAND, cmd);
}

static inline void command48(struct ide_bench *b, unsigned dev, uint8_t cmd, uint64_t lba,
			     uint16_t n)
{
	out(b, ATA_DEVICE, (uint8_t)(0x40 | dev << 4));
	out(b, ATA_NSECT, (uint8_t)(n >> 8));
	out(b, ATA_LBAL, (uint8_t)(lba >> 24));
	out(b, ATA_LBAM, (uint8_t)(lba >> 32));
	out(b, ATA_LBAH, (uint8_t)(lba >> 40));
	out(b, ATA_NSECT, (uint8_t)n);
	out(b, ATA_LBAL, (uint8_t)lba);
	out(b, ATA_LBAM, (uint8_t)(lba >> 8));
	out(b, ATA_LBAH, (uint8_t)(lba >> 16));
	out(b, ATA_COMMAND, cmd);
}

/* With a feature, and no data: its status. */
static inline uint8_t simple(struct ide_bench *b, unsigned dev, uint8_t cmd, uint8_t feature,
			     uint32_t lba, uint8_t n)
{
	out(b, ATA_DEVICE, (uint8_t)(0xe0 | dev << 4));
	out(b, ATA_FEATURE, feature);
	command(b, dev, cmd, lba, n);
	settle(b);
	return in(b, ATA_STATUS);
}

/* N bytes at the data port, as the guest takes them; a word or two at a time. */
static inline void take(struct ide_bench *b, void *buf, unsigned n)
{
	uint8_t *p = buf;

	for (unsigned i = 0; i + 4 <= n; i += 4)
		st32(p + i, rig_in(&b->r, bench_port(b, 0), 4));
	if ((n & 2) != 0)
		st16(p + (n & ~3u), (uint16_t)rig_in(&b->r, bench_port(b, 0), 2));
}

static inline void give(struct ide_bench *b, const void *buf, unsigned n)
{
	const uint8_t *p = buf;

	for (unsigned i = 0; i < n; i += 2)
		rig_out(&b->r, bench_port(b, 0), 2, ld16(p + i));
}

/* Waits for a block and takes it, BLOCK bytes at a time. */
static inline void take_blocks(struct ide_bench *b, uint8_t *buf, unsigned n, unsigned block)
{
	for (unsigned at = 0; at < n; at += block) {
		settle(b);
		CHECK(irq(b));
		CHECK_EQ(in(b, ATA_STATUS), 0x58);
		CHECK(!irq(b));
		take(b, buf + at, (unsigned)min_u64(block, n - at));
	}
}

static inline void give_blocks(struct ide_bench *b, const uint8_t *buf, unsigned n, unsigned block)
{
	for (unsigned at = 0; at < n; at += block) {
		settle(b);
		CHECK_EQ(irq(b), at != 0);
		CHECK_EQ(in(b, ATA_STATUS), 0x58);
		give(b, buf + at, (unsigned)min_u64(block, n - at));
	}
}

/* One entry of the region list. */
static inline void prd(struct ide_bench *b, unsigned i, uint32_t addr, uint16_t n, bool last)
{
	uint8_t e[8];

	st32(e, addr);
	st32(e + 4, n | (last ? PRD_END : 0));
	CHECK_EQ(gmem_write(b->r.mem, BENCH_TABLE + 8 * i, e, sizeof(e)), 0);
}

static inline uint16_t bm_port(const struct ide_bench *b, unsigned reg)
{
	return (uint16_t)(BENCH_BM + 8 * b->ch + reg);
}

static inline uint8_t bm_status(struct ide_bench *b)
{
	return (uint8_t)rig_in(&b->r, bm_port(b, BM_STATUS), 1);
}

static inline void bm_start(struct ide_bench *b, uint32_t table, bool to_memory)
{
	uint8_t way = to_memory ? BM_TO_MEMORY : 0;

	rig_out(&b->r, bm_port(b, BM_COMMAND), 1, way);
	rig_out(&b->r, bm_port(b, BM_TABLE), 4, table);
	rig_out(&b->r, bm_port(b, BM_STATUS), 1, BM_INT | BM_ERROR);
	rig_out(&b->r, bm_port(b, BM_COMMAND), 1, way | BM_START);
}

static inline void bm_stop(struct ide_bench *b)
{
	rig_out(&b->r, bm_port(b, BM_COMMAND), 1, 0);
}

#endif
