/*
 * ide_test.c - disks on the IDE controller, through their registers
 */
#include "chip/ide_bench.h"

static uint8_t buf[128 * 1024];

static void fill(uint8_t seed)
{
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 256 + seed);
}

/* ---- who is there ---------------------------------------------------------- */

static void check_signature(struct ide_bench *b, bool dvd)
{
	CHECK_EQ(in(b, ATA_ERROR), 1);
	CHECK_EQ(in(b, ATA_NSECT), 1);
	CHECK_EQ(in(b, ATA_LBAL), 1);
	CHECK_EQ(in(b, ATA_LBAM), dvd ? 0x14 : 0);
	CHECK_EQ(in(b, ATA_LBAH), dvd ? 0xeb : 0);
	CHECK_EQ(in(b, ATA_STATUS), dvd ? 0 : 0x50);
}

static void resets_leave_signatures(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	check_signature(&b, false);
	b.ch = 1;
	check_signature(&b, true);
	b.ch = 0;
	CHECK_EQ(simple(&b, 1, ATA_CHECK_POWER, 0, 0x123456, 9), 0x50);
	control(&b, ATA_SRST);
	CHECK_EQ(alt(&b), 0x80);
	control(&b, ATA_SRST);
	CHECK_EQ(in(&b, ATA_STATUS), 0x80);
	control(&b, 0);
	CHECK_EQ(in(&b, ATA_DEVICE), 0xa0);	/* device 0 is meant again */
	check_signature(&b, false);
	out(&b, ATA_DEVICE, 0x10);
	check_signature(&b, false);
	CHECK(!irq(&b));
	/* The diagnostic command is for both, and device 0 answers. */
	CHECK_EQ(simple(&b, 1, ATA_CHECK_POWER, 0, 0, 0), 0x50);
	out(&b, ATA_COMMAND, ATA_DIAGNOSTIC);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, ATA_DEVICE), 0xa0);
	check_signature(&b, false);
	CHECK(!irq(&b));
	bench_fini(&b);
}

static void who_is_absent_is_answered_for(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_init(&b);
	b.conf.unit[0][1].blk = NULL;
	b.conf.unit[1][0] = (struct ide_unit){ false, NULL };
	rig_put(&b.r, &ide_dev, &b.conf);
	bench_enable(&b);
	/* A disk alone lends its registers, but not its status, and does nothing. */
	out(&b, ATA_DEVICE, 0x10);
	out(&b, ATA_NSECT, 0x55);
	out(&b, ATA_LBAL, 0xaa);
	CHECK_EQ(in(&b, ATA_NSECT), 0x55);
	CHECK_EQ(in(&b, ATA_LBAL), 0xaa);
	CHECK_EQ(in(&b, ATA_STATUS), 0);
	CHECK_EQ(alt(&b), 0);
	command(&b, 1, ATA_IDENTIFY, 0, 0);
	CHECK_EQ(in(&b, ATA_STATUS), 0);
	CHECK(!irq(&b));
	CHECK_EQ(rig_in(&b.r, 0x1f0, 2), 0xffff);
	out(&b, ATA_DEVICE, 0);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	/* Nobody at all: the pull-down of DD7. */
	b.ch = 1;
	for (unsigned i = 1; i < 8; i++)
		CHECK_EQ(in(&b, i), 0x7f);
	CHECK_EQ(alt(&b), 0x7f);
	command(&b, 0, ATA_IDENTIFY, 0, 0);
	CHECK_EQ(in(&b, ATA_STATUS), 0x7f);
	control(&b, ATA_SRST);
	control(&b, 0);
	CHECK_EQ(in(&b, ATA_STATUS), 0x7f);
	bench_fini(&b);

	/* A packet device alone gives zeros for the other one. */
	bench_start(&b);
	b.ch = 1;
	out(&b, ATA_DEVICE, 0x10);
	out(&b, ATA_LBAL, 0xaa);
	for (unsigned i = 1; i < 8; i++)
		CHECK_EQ(in(&b, i), 0);
	bench_fini(&b);
}

static void ports_follow_the_configuration(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	CHECK_EQ(pci_cfg_read(b.r.pci, BENCH_IDE, 0, 4), 0x71118086);
	CHECK_EQ(pci_cfg_read(b.r.pci, BENCH_IDE, 8, 4), 0x01018001);
	CHECK_EQ(pci_cfg_read(b.r.pci, BENCH_IDE, 0x20, 4), BENCH_BM | 1);
	CHECK_EQ(pci_cfg_read(b.r.pci, BENCH_IDE, 0x40, 4), 0x80008000);
	pci_cfg_write(b.r.pci, BENCH_IDE, 0x42, 2, 0x3307);	/* the second channel off */
	CHECK_EQ(rig_in(&b.r, 0x177, 1), 0xff);
	CHECK_EQ(rig_in(&b.r, 0x376, 1), 0xff);
	CHECK_EQ(rig_in(&b.r, 0x1f7, 1), 0x50);
	pci_cfg_write(b.r.pci, BENCH_IDE, 0x42, 2, 0xb307);
	CHECK_EQ(rig_in(&b.r, 0x177, 1), 0);
	CHECK_EQ(pci_cfg_read(b.r.pci, BENCH_IDE, 0x40, 4), 0xb3078000);
	pci_cfg_write(b.r.pci, BENCH_IDE, PCI_COMMAND, 2, 0);
	CHECK_EQ(rig_in(&b.r, 0x1f7, 1), 0xff);
	b.r.ops->reset(b.r.dev);
	CHECK_EQ(pci_cfg_read(b.r.pci, BENCH_IDE, PCI_COMMAND, 4), 0x02800000);
	bench_fini(&b);
}

static uint16_t word(unsigned i)
{
	return ld16(buf + 2 * i);
}

static void a_disk_says_what_it_is(void **s)
{
	struct ide_bench b;
	char text[41] = "";

	(void)s;
	bench_start(&b);
	command(&b, 0, ATA_IDENTIFY, 0, 0);
	take_blocks(&b, buf, 512, 512);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	CHECK(!irq(&b));
	CHECK_EQ(word(0), 0x045a);
	for (unsigned i = 0; i < 40; i++)
		text[i] = (char)buf[(54 + i) ^ 1];
	CHECK_STR(text, "Virtual HD                              ");
	CHECK_MEM(buf + 46, ".1.1 0  ", 8);
	CHECK_EQ(word(1), 15);			/* 15 * 4 * 17 = 1020 */
	CHECK_EQ(word(3), 4);
	CHECK_EQ(word(6), 17);
	CHECK_EQ(word(47), 0x8080);
	CHECK_EQ(word(49), 0x0f00);
	CHECK_EQ(word(53), 7);
	CHECK_EQ(ld32(buf + 114), 1020);
	CHECK_EQ(word(59), 0x0180);
	CHECK_EQ(ld32(buf + 120), BENCH_SECTORS);
	CHECK_EQ(word(63), 0x0407);
	CHECK_EQ(word(80), 0x01f0);
	CHECK_EQ(word(82), 0x7069);
	CHECK_EQ(word(85), 0x7069);
	CHECK_EQ(word(83), 0x7400);
	CHECK_EQ(word(88), 0x0007);
	CHECK_EQ(word(128), 0);			/* no security */
	CHECK_EQ(ld64(buf + 200), BENCH_SECTORS);
	CHECK_EQ(word(106), 0x6003);		/* physical sectors of 4096 */
	/* What is changed shows. */
	CHECK_EQ(simple(&b, 0, ATA_SET_FEATURES, ATA_SF_MODE, 0, 0x42), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SET_FEATURES, ATA_SF_LOOK_OFF, 0, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SET_MULTIPLE, 0, 0, 16), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_INIT_PARAMS, 0, 0xf << 24, 63), 0x50);
	command(&b, 0, ATA_IDENTIFY, 0, 0);
	take_blocks(&b, buf, 512, 512);
	CHECK_EQ(word(63), 0x0007);
	CHECK_EQ(word(88), 0x0407);
	CHECK_EQ(word(85), 0x7029);
	CHECK_EQ(word(59), 0x0110);
	CHECK_EQ(word(54), 1);
	CHECK_EQ(word(55), 16);
	CHECK_EQ(word(56), 63);
	/* The size of a big disk: 16383/16/63, and 48 bits. */
	b.hd[0].blk.size = UINT64_C(300) << 30;
	b.r.ops->reset(b.r.dev);
	bench_enable(&b);
	command(&b, 0, ATA_IDENTIFY, 0, 0);
	take_blocks(&b, buf, 512, 512);
	CHECK_EQ(word(1), 16383);
	CHECK_EQ(word(3), 16);
	CHECK_EQ(word(6), 63);
	CHECK_EQ(ld32(buf + 120), 0x0fffffff);
	CHECK_EQ(ld64(buf + 200), UINT64_C(600) << 20);
	b.hd[0].blk.size = BENCH_SECTORS * 512;
	bench_fini(&b);
}

/* ---- sectors through the data port ----------------------------------------- */

static void sectors_are_read(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	command(&b, 0, ATA_READ, 5, 1);
	CHECK_EQ(alt(&b), 0xd0);
	CHECK(!irq(&b));
	take_blocks(&b, buf, 512, 512);
	CHECK_MEM(buf, b.hd[0].bytes + 5 * 512, 512);
	CHECK_EQ(alt(&b), 0x50);
	CHECK(!irq(&b));			/* none after the last block */
	CHECK_EQ(in(&b, ATA_NSECT), 0);
	CHECK_EQ(in(&b, ATA_LBAL), 5);
	/* A count of 0 is 256 sectors, which is more than one piece. */
	command(&b, 1, ATA_READ, 7, 0);
	b.wire[0].rises = 0;
	take_blocks(&b, buf, 256 * 512, 512);
	CHECK_MEM(buf, b.hd[1].bytes + 7 * 512, 256 * 512);
	CHECK_EQ(b.wire[0].rises, 256);
	CHECK_EQ(atomic_load(&b.hd[1].reads), 2);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	/* Blocks of READ MULTIPLE; the last one is short. */
	CHECK_EQ(simple(&b, 0, ATA_SET_MULTIPLE, 0, 0, 8), 0x50);
	command(&b, 0, ATA_READ_MULTIPLE, 100, 30);
	b.wire[0].rises = 0;
	take_blocks(&b, buf, 30 * 512, 8 * 512);
	CHECK_MEM(buf, b.hd[0].bytes + 100 * 512, 30 * 512);
	CHECK_EQ(b.wire[0].rises, 4);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	/* 48 bits: more than 256 at once; and a block of 128. */
	command48(&b, 1, ATA_READ_MULTIPLE_EXT, 600, 200);
	take_blocks(&b, buf, 200 * 512, 128 * 512);
	CHECK_MEM(buf, b.hd[1].bytes + 600 * 512, 200 * 512);
	command48(&b, 0, ATA_READ_EXT, 1023, 1);
	take_blocks(&b, buf, 512, 512);
	CHECK_MEM(buf, b.hd[0].bytes + 1023 * 512, 512);
	/* Cylinder 3, head 2, sector 11, by the geometry of 4 heads of 17. */
	out(&b, ATA_DEVICE, 0xa2);
	out(&b, ATA_NSECT, 2);
	out(&b, ATA_LBAL, 11);
	out(&b, ATA_LBAM, 3);
	out(&b, ATA_LBAH, 0);
	out(&b, ATA_COMMAND, ATA_READ_NO_RETRY);
	take_blocks(&b, buf, 1024, 512);
	CHECK_MEM(buf, b.hd[0].bytes + ((3 * 4 + 2) * 17 + 10) * 512, 1024);
	CHECK_EQ(in(&b, ATA_LBAL), 12);
	/* Byte by byte, every byte costs a word. */
	command(&b, 0, ATA_READ, 9, 1);
	settle(&b);
	for (unsigned i = 0; i < 256; i++)
		CHECK_EQ(in(&b, 0), b.hd[0].bytes[9 * 512 + 2 * i]);
	CHECK_EQ(alt(&b), 0x50);
	bench_fini(&b);
}

static void sectors_are_written(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	fill(1);
	command(&b, 0, ATA_WRITE, 33, 3);
	CHECK_EQ(alt(&b), 0x58);
	CHECK(!irq(&b));			/* none for the first block */
	give_blocks(&b, buf, 3 * 512, 512);
	CHECK_EQ(alt(&b), 0xd0);
	settle(&b);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	CHECK(!irq(&b));
	CHECK_MEM(b.hd[0].bytes + 33 * 512, buf, 3 * 512);
	CHECK_EQ(in(&b, ATA_NSECT), 0);
	CHECK_EQ(in(&b, ATA_LBAL), 35);
	fill(2);
	command(&b, 1, ATA_WRITE_MULTIPLE, 200, 0);
	give_blocks(&b, buf, 256 * 512, 128 * 512);
	settle(&b);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	CHECK_MEM(b.hd[1].bytes + 200 * 512, buf, 256 * 512);
	CHECK_EQ(atomic_load(&b.hd[1].fua), 0);
	fill(3);
	command48(&b, 1, ATA_WRITE_MULTIPLE_FUA_EXT, 900, 5);
	give_blocks(&b, buf, 5 * 512, 128 * 512);
	settle(&b);
	CHECK_MEM(b.hd[1].bytes + 900 * 512, buf, 5 * 512);
	CHECK_EQ(atomic_load(&b.hd[1].fua), 1);
	/* Without the write cache every write is durable; switching it off flushes. */
	CHECK_EQ(simple(&b, 1, ATA_SET_FEATURES, ATA_SF_WCACHE_OFF, 0, 0), 0x50);
	CHECK_EQ(atomic_load(&b.hd[1].flushes), 1);
	command48(&b, 1, ATA_WRITE_EXT, 901, 1);
	give_blocks(&b, buf, 512, 512);
	settle(&b);
	CHECK_EQ(atomic_load(&b.hd[1].fua), 2);
	CHECK_EQ(simple(&b, 1, ATA_SET_FEATURES, ATA_SF_WCACHE_ON, 0, 0), 0x50);
	CHECK_EQ(simple(&b, 1, ATA_FLUSH, 0, 0, 0), 0x50);
	CHECK_EQ(simple(&b, 1, ATA_FLUSH_EXT, 0, 0, 0), 0x50);
	CHECK_EQ(atomic_load(&b.hd[1].flushes), 3);
	bench_fini(&b);
}

/* ---- everything else a disk is asked --------------------------------------- */

static void other_commands_do_what_they_say(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	CHECK_EQ(simple(&b, 0, ATA_VERIFY, 0, 1000, 24), 0x50);
	CHECK_EQ(atomic_load(&b.hd[0].reads), 1);
	CHECK_EQ(simple(&b, 0, ATA_RECALIBRATE + 3, 0, 0x112233, 0), 0x50);
	CHECK_EQ(in(&b, ATA_LBAH), 0);
	CHECK_EQ(simple(&b, 0, ATA_SEEK, 0, 1023, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SEEK, 0, 1024, 0), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_IDNF);
	CHECK_EQ(simple(&b, 0, ATA_CHECK_POWER, 0, 0, 0), 0x50);
	CHECK_EQ(in(&b, ATA_NSECT), 0xff);
	CHECK_EQ(simple(&b, 0, ATA_STANDBY_NOW, 0, 0, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_STANDBY_NOW_OLD + 4, 0, 0, 0), 0x50);
	CHECK_EQ(in(&b, ATA_NSECT), 0);
	CHECK_EQ(simple(&b, 0, ATA_IDLE_NOW, 0, 0, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_CHECK_POWER, 0, 0, 0), 0x50);
	CHECK_EQ(in(&b, ATA_NSECT), 0xff);
	/* The buffer holds what was put there. */
	fill(9);
	command(&b, 0, ATA_WRITE_BUFFER, 0, 0);
	give_blocks(&b, buf, 512, 512);
	CHECK(irq(&b));
	command(&b, 0, ATA_READ_BUFFER, 0, 0);
	take_blocks(&b, buf + 512, 512, 512);
	CHECK_MEM(buf, buf + 512, 512);
	/* SMART wants its two letters. */
	CHECK_EQ(simple(&b, 0, ATA_SMART, SMART_STATUS, 0xc24f00, 0), 0x50);
	CHECK_EQ(in(&b, ATA_LBAM), 0x4f);
	CHECK_EQ(in(&b, ATA_LBAH), 0xc2);
	CHECK_EQ(simple(&b, 0, ATA_SMART, SMART_STATUS, 0xc24e00, 0), 0x51);
	out(&b, ATA_FEATURE, SMART_READ_DATA);
	command(&b, 0, ATA_SMART, 0xc24f00, 0);
	take_blocks(&b, buf, 512, 512);
	for (unsigned i = 1; i < 512; i++)
		buf[0] = (uint8_t)(buf[0] + buf[i]);
	CHECK_EQ(buf[0], 0);
	CHECK_EQ(simple(&b, 0, ATA_SMART, SMART_DISABLE, 0xc24f00, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SMART, SMART_STATUS, 0xc24f00, 0), 0x51);
	CHECK_EQ(simple(&b, 0, ATA_SMART, SMART_ENABLE, 0xc24f00, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SMART, SMART_STATUS, 0xc24f00, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SMART, 0xd6, 0xc24f00, 0), 0x51);
	bench_fini(&b);
}

static void what_a_disk_does_not_do_is_aborted(void **s)
{
	static const uint8_t no[] = {
		ATA_NOP, ATA_DEVICE_RESET, 0x22, 0x26, 0x27, 0x2f, 0x37, 0x45, 0x50, 0x60, 0x92,
		ATA_PACKET, ATA_IDENTIFY_PACKET, 0xb1, 0xc7, 0xda, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5,
		0xf6, 0xf8, 0xf9, 0xff, 0x06, 0x80,
	};
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		command(&b, 0, no[i], 0, 1);
		CHECK(irq(&b));
		CHECK_EQ(in(&b, ATA_STATUS), 0x51);
		CHECK_EQ(in(&b, ATA_ERROR), ATA_ABRT);
	}
	CHECK_EQ(simple(&b, 0, ATA_SET_FEATURES, ATA_SF_MODE, 0, 0x46), 0x51);
	CHECK_EQ(simple(&b, 0, ATA_SET_FEATURES, 0x05, 0, 0), 0x51);
	CHECK_EQ(simple(&b, 0, ATA_SET_MULTIPLE, 0, 0, 3), 0x51);
	CHECK_EQ(simple(&b, 0, ATA_READ_MULTIPLE, 0, 0, 1), 0x51);	/* it is off now */
	CHECK_EQ(simple(&b, 0, ATA_INIT_PARAMS, 0, 0, 0), 0x51);
	/* Every command of all can come at any time, and the next one is as good as ever. */
	for (unsigned c = 0; c < 256; c++) {
		command(&b, 0, (uint8_t)c, 3, 2);
		settle(&b);
		control(&b, ATA_SRST);
		control(&b, 0);
		settle(&b);
		CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	}
	bench_fini(&b);
}

static void errors_name_the_sector(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	CHECK_EQ(simple(&b, 0, ATA_READ, 0, 1024, 1), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_IDNF);
	CHECK_EQ(simple(&b, 0, ATA_READ, 0, 1023, 2), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_IDNF);
	command48(&b, 0, ATA_READ_EXT, UINT64_C(0xffffffffffff), 0);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_IDNF);
	/* 48 bits and no LBA bit; and sector 0 of a track. */
	out(&b, ATA_DEVICE, 0);
	out(&b, ATA_COMMAND, ATA_READ_EXT);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	out(&b, ATA_LBAL, 0);
	out(&b, ATA_COMMAND, ATA_READ);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_IDNF);
	/* The first try of the whole fails, then sector 10 of 8 to 15 does. */
	command(&b, 0, ATA_READ, 8, 8);
	atomic_store(&b.hd[0].fail, -ENODATA);
	atomic_store(&b.hd[0].nr_fail, 1);
	settle(&b);
	take_blocks(&b, buf, 512, 512);
	take_blocks(&b, buf, 512, 512);
	atomic_store(&b.hd[0].nr_fail, 1);
	settle(&b);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_UNC);
	CHECK_EQ(in(&b, ATA_LBAL), 10);
	CHECK_EQ(in(&b, ATA_NSECT), 6);
	/* A write that fails, and one that may not be. */
	command(&b, 0, ATA_WRITE, 20, 1);
	atomic_store(&b.hd[0].nr_fail, 1);
	give(&b, buf, 512);
	settle(&b);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_ABRT);
	CHECK_EQ(in(&b, ATA_LBAL), 20);
	atomic_store(&b.hd[0].nr_fail, 1);
	CHECK_EQ(simple(&b, 0, ATA_FLUSH, 0, 0, 0), 0x51);
	b.hd[0].blk.read_only = true;
	CHECK_EQ(simple(&b, 0, ATA_WRITE, 0, 20, 1), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_ABRT);
	CHECK_EQ(simple(&b, 0, ATA_CHECK_POWER, 0, 0, 0), 0x50);
	CHECK_EQ(in(&b, ATA_ERROR), 0);
	bench_fini(&b);
}

/* ---- the task file's own rules --------------------------------------------- */

static void interrupts_are_gated_and_cleared(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	control(&b, ATA_NIEN);
	command(&b, 0, ATA_NOP, 0, 0);
	CHECK(!irq(&b));
	control(&b, 0);
	CHECK(irq(&b));				/* it was only hidden */
	CHECK_EQ(alt(&b), 0x51);
	CHECK(irq(&b));				/* the other status leaves it */
	out(&b, ATA_DEVICE, 0x10);
	CHECK(!irq(&b));			/* the other drive drives the line */
	out(&b, ATA_DEVICE, 0x00);
	CHECK(irq(&b));
	out(&b, ATA_COMMAND, ATA_IDENTIFY);
	CHECK(irq(&b));
	CHECK_EQ(b.wire[0].rises, 3);
	CHECK_EQ(in(&b, ATA_STATUS), 0x58);
	CHECK(!irq(&b));
	b.r.ops->reset(b.r.dev);
	CHECK(!irq(&b));
	bench_fini(&b);
}

static void high_order_bytes_are_remembered(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	out(&b, ATA_LBAL, 0x11);
	out(&b, ATA_LBAL, 0x22);
	control(&b, ATA_HOB);
	CHECK_EQ(in(&b, ATA_LBAL), 0x11);
	out(&b, ATA_LBAL, 0x33);		/* any write ends it */
	CHECK_EQ(in(&b, ATA_LBAL), 0x33);
	control(&b, ATA_HOB);
	CHECK_EQ(in(&b, ATA_LBAL), 0x22);
	/* After an error with 48 bits the address is in both halves. */
	b.hd[0].blk.size = UINT64_C(1) << 47;
	command48(&b, 0, ATA_READ_EXT, UINT64_C(0x1234567890), 1);
	CHECK_EQ(alt(&b), 0xd0);
	control(&b, ATA_SRST);
	b.hd[0].blk.size = BENCH_SECTORS * 512;
	b.hd[0].queue->off = 0;
	settle(&b);
	control(&b, 0);
	command48(&b, 0, ATA_READ_EXT, UINT64_C(0x1234567890), 0x201);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(in(&b, ATA_LBAM), 0x78);
	control(&b, ATA_HOB);
	CHECK_EQ(in(&b, ATA_LBAL), 0x34);
	CHECK_EQ(in(&b, ATA_LBAM), 0x12);
	CHECK_EQ(in(&b, ATA_NSECT), 2);
	bench_fini(&b);
}

static void a_busy_drive_hears_only_resets(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	command(&b, 0, ATA_READ, 40, 1);
	out(&b, ATA_LBAL, 99);
	out(&b, ATA_DEVICE, 0x10);
	out(&b, ATA_COMMAND, ATA_NOP);
	CHECK_EQ(in(&b, ATA_LBAL), 40);
	CHECK_EQ(in(&b, ATA_DEVICE), 0xe0);
	CHECK_EQ(rig_in(&b.r, 0x1f0, 2), 0xffff);
	take_blocks(&b, buf, 256, 512);		/* half of it */
	out(&b, ATA_COMMAND, ATA_NOP);
	CHECK_EQ(alt(&b), 0x58);
	give(&b, buf, 512);			/* the wrong way */
	take(&b, buf + 256, 256);
	CHECK_MEM(buf, b.hd[0].bytes + 40 * 512, 512);
	CHECK_EQ(alt(&b), 0x50);
	/* A reset while the host's disk works: busy until that is over, and its data is nobody's. */
	command(&b, 0, ATA_READ, 41, 1);
	control(&b, ATA_SRST);
	control(&b, 0);
	CHECK_EQ(alt(&b), 0x80);
	command(&b, 0, ATA_READ, 42, 1);
	CHECK_EQ(alt(&b), 0x80);
	settle(&b);
	CHECK_EQ(alt(&b), 0x50);
	CHECK(!irq(&b));
	check_signature(&b, false);
	/* The same with the machine's reset, and with the end of the disk before the line's. */
	command(&b, 0, ATA_WRITE, 41, 1);
	give(&b, buf, 512);
	b.r.ops->reset(b.r.dev);
	bench_enable(&b);
	CHECK_EQ(alt(&b), 0x80);
	settle(&b);
	check_signature(&b, false);
	command(&b, 0, ATA_READ, 41, 1);
	control(&b, ATA_SRST);
	settle(&b);
	CHECK_EQ(alt(&b), 0x80);
	control(&b, 0);
	check_signature(&b, false);
	bench_fini(&b);
}

static void trouble_is_held_until_it_is_over(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_init(&b);
	b.conf.trouble = bench_trouble;
	b.conf.arg = &b;
	rig_put(&b.r, &ide_dev, &b.conf);
	bench_enable(&b);
	fill(4);
	atomic_store(&b.hd[0].fail, -ENOSPC);
	atomic_store(&b.hd[0].nr_fail, 2);
	command(&b, 0, ATA_WRITE, 50, 2);
	give_blocks(&b, buf, 1024, 512);
	settle(&b);
	CHECK_EQ(b.troubles, 1);
	CHECK_EQ(b.trouble_rc, -ENOSPC);
	CHECK_EQ(alt(&b), 0xd0);
	ide_retry(b.r.dev);
	settle(&b);
	CHECK_EQ(b.troubles, 2);
	ide_retry(b.r.dev);
	settle(&b);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	CHECK_MEM(b.hd[0].bytes + 50 * 512, buf, 1024);
	ide_retry(b.r.dev);			/* nothing to do */
	/* A reset does not wait for the operator. */
	atomic_store(&b.hd[0].nr_fail, 1);
	command(&b, 0, ATA_READ, 50, 2);
	settle(&b);
	control(&b, ATA_SRST);
	control(&b, 0);
	check_signature(&b, false);
	bench_fini(&b);
}

static void impossible_disks_are_refused(void **s)
{
	struct ide_bench b;
	struct err err;
	void *dev = NULL;

	(void)s;
	bench_init(&b);
	b.conf.unit[0][1].blk = &b.dvd.blk;
	CHECK_EQ(dev_new(&ide_dev, &b.r.env, &b.conf, &dev, &err), -EINVAL);
	CHECK_STR(err.msg, "dut: IDE 0:1: the image has sectors of 2048 bytes, expected 512");
	b.conf.unit[0][1] = (struct ide_unit){ true, &b.hd[0].blk };
	CHECK_EQ(dev_new(&ide_dev, &b.r.env, &b.conf, &dev, &err), -EINVAL);
	b.conf.unit[0][1] = (struct ide_unit){ false, &b.hd[0].blk };
	b.hd[0].blk.size = 511;
	CHECK_EQ(dev_new(&ide_dev, &b.r.env, &b.conf, &dev, &err), -EINVAL);
	CHECK(dev == NULL);
	b.hd[0].blk.size = BENCH_SECTORS * 512;
	bench_fini(&b);
}

/* Saved in the middle of a block, and while the disk works; the other machine goes on. */
static void a_command_survives_a_save(void **s)
{
	static uint8_t state[256 * 1024];
	struct ide_bench a, b;
	size_t n;

	(void)s;
	for (unsigned when = 0; when < 3; when++) {
		bench_start(&a);
		command(&a, 1, ATA_READ, 60, 4);
		if (when > 0)
			take_blocks(&a, buf, when == 1 ? 256 : 512, 512);
		n = state_save(ide_dev.state, a.r.dev, state, sizeof(state));
		CHECK(n <= sizeof(state));
		bench_init(&b);
		rig_put(&b.r, &ide_dev, &b.conf);
		CHECK_EQ(state_load(ide_dev.state, b.r.dev, state, n, NULL), 0);
		CHECK_EQ(ide_dev.loaded(b.r.dev, NULL), 0);
		settle(&b);
		if (when == 1)
			take(&b, buf + 256, 256);
		take_blocks(&b, buf + (when == 0 ? 0 : 512), when == 0 ? 2048 : 1536, 512);
		CHECK_MEM(buf, b.hd[1].bytes + 60 * 512, 2048);
		CHECK_EQ(alt(&b), 0x50);
		bench_fini(&a);
		bench_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resets_leave_signatures),
		cmocka_unit_test(who_is_absent_is_answered_for),
		cmocka_unit_test(ports_follow_the_configuration),
		cmocka_unit_test(a_disk_says_what_it_is),
		cmocka_unit_test(sectors_are_read),
		cmocka_unit_test(sectors_are_written),
		cmocka_unit_test(other_commands_do_what_they_say),
		cmocka_unit_test(what_a_disk_does_not_do_is_aborted),
		cmocka_unit_test(errors_name_the_sector),
		cmocka_unit_test(interrupts_are_gated_and_cleared),
		cmocka_unit_test(high_order_bytes_are_remembered),
		cmocka_unit_test(a_busy_drive_hears_only_resets),
		cmocka_unit_test(trouble_is_held_until_it_is_over),
		cmocka_unit_test(impossible_disks_are_refused),
		cmocka_unit_test(a_command_survives_a_save),
	};

	return cmocka_run_group_tests_name("ide", tests, NULL, NULL);
}
