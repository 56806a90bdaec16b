/*
 * ide_atapi_test.c - the DVD drive on the IDE controller, packet by packet
 */
#include "chip/ide_bench.h"

static uint8_t buf[256 * 1024];

#define DVD_BLOCKS (512u * 1024 / 2048)

static void start(struct ide_bench *b)
{
	bench_start(b);
	b->ch = 1;
}

/* Gives the packet; its data may go LIMIT bytes at a time. */
static void send_packet(struct ide_bench *b, const uint8_t cdb[12], uint16_t limit, uint8_t feature)
{
	out(b, ATA_DEVICE, 0);
	out(b, ATA_FEATURE, feature);
	out(b, ATA_LBAM, (uint8_t)limit);
	out(b, ATA_LBAH, (uint8_t)(limit >> 8));
	out(b, ATA_COMMAND, ATA_PACKET);
	CHECK_EQ(alt(b), 0x58);
	CHECK(!irq(b));
	CHECK_EQ(in(b, ATA_NSECT), ATAPI_COD);
	give(b, cdb, 12);
	settle(b);
}

static unsigned byte_count(struct ide_bench *b)
{
	return in(b, ATA_LBAM) | (unsigned)in(b, ATA_LBAH) << 8;
}

/* Takes data until the command's end; bytes, or the error register negated. */
static int run_limit(struct ide_bench *b, const uint8_t cdb[12], uint16_t limit)
{
	unsigned n = 0;
	uint8_t st;

	send_packet(b, cdb, limit, 0);
	for (;;) {
		unsigned len;

		settle(b);
		CHECK(irq(b));
		st = in(b, ATA_STATUS);
		CHECK(!irq(b));
		if (st != 0x58)
			break;
		CHECK_EQ(in(b, ATA_NSECT), ATAPI_IO);
		len = byte_count(b);
		CHECK(len > 0 && len <= (limit < 2 ? 0xfffeu : limit));
		take(b, buf + n, (len + 1) & ~1u);
		n += len;
	}
	CHECK_EQ(in(b, ATA_NSECT), ATAPI_IO | ATAPI_COD);
	if (st == 0x50)
		return (int)n;
	CHECK_EQ(st, 0x51);
	return -in(b, ATA_ERROR);
}

#define RUN(b, ...) run_limit(b, (const uint8_t[12]){ __VA_ARGS__ }, 0xfffe)

static uint32_t read_be32(const uint8_t *p)
{
	return __builtin_bswap32(ld32(p));
}

/* What REQUEST SENSE says, as one number. */
static uint32_t sense(struct ide_bench *b)
{
	CHECK_EQ(RUN(b, SCSI_REQUEST_SENSE, 0, 0, 0, 18), 18);
	CHECK_EQ(buf[0], 0x70);
	return (uint32_t)buf[2] << 16 | (uint32_t)buf[12] << 8 | buf[13];
}

/* Past the unit attention of the reset. */
static void ready(struct ide_bench *b)
{
	CHECK_EQ(RUN(b, SCSI_TEST_UNIT_READY), -0x60);
	CHECK_EQ(sense(b), SENSE_POWER_ON);
	CHECK_EQ(RUN(b, SCSI_TEST_UNIT_READY), 0);
}

static void a_drive_says_what_it_is(void **s)
{
	struct ide_bench b;
	char text[41] = "";

	(void)s;
	start(&b);
	CHECK_EQ(simple(&b, 0, ATA_IDENTIFY, 0, 0, 0), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_ABRT);
	CHECK_EQ(in(&b, ATA_LBAM), 0x14);
	CHECK_EQ(in(&b, ATA_LBAH), 0xeb);
	CHECK_EQ(simple(&b, 0, ATA_READ, 0, 0x112233, 0), 0x51);
	CHECK_EQ(in(&b, ATA_LBAM), 0x14);
	command(&b, 0, ATA_IDENTIFY_PACKET, 0, 0);
	take_blocks(&b, buf, 512, 512);
	CHECK(irq(&b));				/* a packet device says when it is done */
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	CHECK_EQ(ld16(buf), 0x85c0);
	for (unsigned i = 0; i < 40; i++)
		text[i] = (char)buf[(54 + i) ^ 1];
	CHECK_STR(text, "Virtual CD                              ");
	CHECK_EQ(ld16(buf + 2 * 62), 0);
	CHECK_EQ(ld16(buf + 2 * 63), 0x0407);
	CHECK_EQ(RUN(&b, SCSI_INQUIRY, 0, 0, 0, 255), 36);
	CHECK_EQ(buf[0], 5);
	CHECK_EQ(buf[1], 0x80);
	CHECK_MEM(buf + 8, "Msft    Virtual CD/ROM  1.0 ", 28);
	CHECK_EQ(RUN(&b, SCSI_INQUIRY, 1, 0x80, 0, 255), -0x54);
	/* Other ATA commands. */
	CHECK_EQ(simple(&b, 0, ATA_CHECK_POWER, 0, 0, 0), 0x50);
	CHECK_EQ(in(&b, ATA_NSECT), 0xff);
	CHECK_EQ(simple(&b, 0, ATA_STANDBY_NOW, 0, 0, 0), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SET_FEATURES, ATA_SF_MODE, 0, 0x42), 0x50);
	CHECK_EQ(simple(&b, 0, ATA_SET_FEATURES, ATA_SF_MODE, 0, 0x77), 0x51);
	CHECK_EQ(simple(&b, 0, ATA_SET_FEATURES, ATA_SF_WCACHE_ON, 0, 0), 0x51);
	CHECK_EQ(simple(&b, 0, ATA_PACKET, 2, 0, 0), 0x51);	/* overlap */
	for (unsigned c = 0; c < 256; c++) {
		command(&b, 0, (uint8_t)c, 3, 2);
		settle(&b);
		out(&b, ATA_COMMAND, ATA_DEVICE_RESET);
		settle(&b);
		CHECK_EQ(in(&b, ATA_STATUS), 0);
		CHECK_EQ(in(&b, ATA_LBAM), 0x14);
	}
	bench_fini(&b);
}

static void sense_and_attention_are_told_once(void **s)
{
	struct ide_bench b;

	(void)s;
	start(&b);
	ready(&b);
	CHECK_EQ(sense(&b), SENSE_NONE);
	CHECK_EQ(RUN(&b, 0xff), -0x54);
	CHECK_EQ(sense(&b), SENSE_BAD_OPCODE);
	CHECK_EQ(sense(&b), SENSE_NONE);
	CHECK_EQ(RUN(&b, 0xff), -0x54);
	CHECK_EQ(RUN(&b, SCSI_TEST_UNIT_READY), 0);	/* which forgets it */
	CHECK_EQ(sense(&b), SENSE_NONE);
	/* A software reset is one too; INQUIRY does not use it up. */
	control(&b, ATA_SRST);
	control(&b, 0);
	CHECK_EQ(RUN(&b, SCSI_INQUIRY, 0, 0, 0, 36), 36);
	CHECK_EQ(sense(&b), SENSE_POWER_ON);
	CHECK_EQ(RUN(&b, SCSI_TEST_UNIT_READY), 0);
	/* DEVICE RESET is none. */
	out(&b, ATA_COMMAND, ATA_DEVICE_RESET);
	CHECK_EQ(RUN(&b, SCSI_TEST_UNIT_READY), 0);
	bench_fini(&b);
}

static void blocks_are_read_by_the_port(void **s)
{
	static const uint16_t limits[] = { 2048, 0xfffe, 0xffff, 0, 1, 2, 3, 2047, 4096, 30000 };
	struct ide_bench b;

	(void)s;
	start(&b);
	ready(&b);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		memset(buf, 0, sizeof(buf));
		CHECK_EQ(run_limit(&b, (const uint8_t[12]){ SCSI_READ_10, 0, 0, 0, 0, 7, 0, 0, 3 },
				   limits[i]), 3 * 2048);
		CHECK_MEM(buf, b.dvd.bytes + 7 * 2048, 3 * 2048);
	}
	CHECK_EQ(RUN(&b, SCSI_READ_12, 0, 0, 0, 0, 1, 0, 0, 0, 100), 100 * 2048);
	CHECK_MEM(buf, b.dvd.bytes + 2048, 100 * 2048);
	CHECK_EQ(RUN(&b, SCSI_READ_CD, 0, 0, 0, 0, 9, 0, 0, 2, 0x10), 2 * 2048);
	CHECK_MEM(buf, b.dvd.bytes + 9 * 2048, 2 * 2048);
	CHECK_EQ(RUN(&b, SCSI_READ_CD, 0, 0, 0, 0, 9, 0, 0, 2, 0xf8), -0x54);
	CHECK_EQ(RUN(&b, SCSI_READ_10, 0, 0, 0, 0, 7, 0, 0, 0), 0);
	CHECK_EQ(RUN(&b, SCSI_SEEK_10, 0, 0, 0, 0, 255), 0);
	CHECK_EQ(RUN(&b, SCSI_SEEK_10, 0, 0, 0, 1, 0), -0x54);
	CHECK_EQ(RUN(&b, SCSI_READ_10, 0, 0, 0, 0, 255, 0, 0, 2), -0x54);
	CHECK_EQ(sense(&b), SENSE_LBA_RANGE);
	CHECK_EQ(RUN(&b, SCSI_READ_12, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), -0x54);
	/* A bad block among good ones: they come, and then the error. */
	atomic_store(&b.dvd.fail, -ENODATA);
	atomic_store(&b.dvd.nr_fail, 2);
	CHECK_EQ(RUN(&b, SCSI_READ_10, 0, 0, 0, 0, 7, 0, 0, 3), -0x30);
	CHECK_EQ(sense(&b), SENSE_READ_ERROR);
	atomic_store(&b.dvd.nr_fail, 1);
	CHECK_EQ(RUN(&b, SCSI_READ_10, 0, 0, 0, 0, 7, 0, 0, 3), 3 * 2048);
	bench_fini(&b);
}

static void blocks_are_read_by_the_bus_master(void **s)
{
	static const uint8_t read3[12] = { SCSI_READ_10, 0, 0, 0, 0, 7, 0, 0, 40 };
	static const uint8_t inquiry[12] = { SCSI_INQUIRY, 0, 0, 0, 35 };
	struct ide_bench b;

	(void)s;
	start(&b);
	ready(&b);
	prd(&b, 0, BENCH_DATA, 0, false);
	prd(&b, 1, BENCH_DATA + 0x10000, 40 * 2048 - 0x10000, true);
	send_packet(&b, read3, 0, 1);
	bm_start(&b, BENCH_TABLE, true);
	settle(&b);
	CHECK_EQ(bm_status(&b) & 7, BM_INT);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	CHECK_EQ(in(&b, ATA_NSECT), 3);
	CHECK_EQ(gmem_read(b.r.mem, BENCH_DATA, buf, 40 * 2048), 0);
	CHECK_MEM(buf, b.dvd.bytes + 7 * 2048, 40 * 2048);
	bm_stop(&b);
	/* An odd number of bytes, and a list for more. */
	bm_start(&b, BENCH_TABLE, true);
	CHECK_EQ(gmem_zero(b.r.mem, BENCH_DATA, 64), 0);
	send_packet(&b, inquiry, 0, 1);
	CHECK_EQ(bm_status(&b) & 7, BM_INT | BM_ACTIVE);
	CHECK_EQ(gmem_read(b.r.mem, BENCH_DATA, buf, 36), 0);
	CHECK_MEM(buf + 8, "Msft    Virtual CD/ROM  1.0", 27);
	CHECK_EQ(buf[35], 0);
	bm_stop(&b);
	bench_fini(&b);
}

static void the_medium_is_described(void **s)
{
	struct ide_bench b;

	(void)s;
	start(&b);
	ready(&b);
	CHECK_EQ(RUN(&b, SCSI_READ_CAPACITY_10), 8);
	CHECK_EQ(read_be32(buf), DVD_BLOCKS - 1);
	CHECK_EQ(read_be32(buf + 4), 2048);
	CHECK_EQ(RUN(&b, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64), 20);
	CHECK_EQ(buf[1], 18);
	CHECK_EQ(buf[14], 0xaa);
	CHECK_EQ(read_be32(buf + 16), DVD_BLOCKS);
	CHECK_EQ(RUN(&b, SCSI_READ_TOC, 2, 0, 0, 0, 0, 0xaa, 0, 64), 12);
	CHECK_EQ(buf[10], (DVD_BLOCKS + 150) / 75);
	CHECK_EQ(RUN(&b, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 4), 4);
	CHECK_EQ(RUN(&b, SCSI_READ_DISC_INFO, 0, 0, 0, 0, 0, 0, 0, 34), 34);
	CHECK_EQ(RUN(&b, SCSI_READ_TRACK_INFO, 1, 0, 0, 0, 1, 0, 0, 36), 36);
	CHECK_EQ(read_be32(buf + 24), DVD_BLOCKS);
	CHECK(RUN(&b, SCSI_GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 1, 0) > 8);
	CHECK_EQ(buf[7], 0x10);			/* DVD-ROM */
	CHECK_EQ(RUN(&b, SCSI_GET_CONFIGURATION, 2, 0, 1, 0, 0, 0, 1, 0), 20);
	CHECK_EQ(read_be32(buf + 12), 2);		/* on ATAPI */
	CHECK_EQ(RUN(&b, SCSI_MECHANISM_STATUS, 0, 0, 0, 0, 0, 0, 0, 0, 8), 8);
	CHECK_EQ(RUN(&b, SCSI_SET_CD_SPEED, 0, 0xff, 0xff), 0);
	bench_fini(&b);
}

static void modes_can_be_read_and_said_again(void **s)
{
	struct ide_bench b;
	uint8_t again[64];
	const uint8_t select[12] = { SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 34 };

	(void)s;
	start(&b);
	ready(&b);
	CHECK_EQ(RUN(&b, SCSI_MODE_SENSE_10, 0, 0x3f, 0, 0, 0, 0, 0, 255), 8 + 8 + 26);
	CHECK_EQ(buf[2], 0x01);
	CHECK_EQ(RUN(&b, SCSI_MODE_SENSE_10, 0, 0x2a, 0, 0, 0, 0, 0, 255), 8 + 26);
	CHECK_EQ(buf[8], 0x2a);
	CHECK_EQ(buf[10], 0x3b);
	memcpy(again, buf, 34);
	CHECK_EQ(RUN(&b, SCSI_MODE_SENSE_10, 0, 0x6a, 0, 0, 0, 0, 0, 255), 8 + 26);
	CHECK_EQ(buf[10], 0);			/* nothing of it can be changed */
	CHECK_EQ(RUN(&b, SCSI_MODE_SENSE_10, 0, 0xea, 0, 0, 0, 0, 0, 255), -0x54);
	CHECK_EQ(sense(&b), SENSE_NO_SAVED);
	CHECK_EQ(RUN(&b, SCSI_MODE_SENSE_10, 0, 0x0e, 0, 0, 0, 0, 0, 255), -0x54);
	send_packet(&b, select, 20, 0);		/* in two blocks */
	for (unsigned at = 0; at < 34; at += 20) {
		CHECK(irq(&b));
		CHECK_EQ(in(&b, ATA_STATUS), 0x58);
		CHECK_EQ(in(&b, ATA_NSECT), 0);
		CHECK_EQ(byte_count(&b), at == 0 ? 20 : 14);
		give(&b, again + at, byte_count(&b));
	}
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	again[10] ^= 1;
	send_packet(&b, select, 0xfffe, 0);
	give(&b, again, 34);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(sense(&b), SENSE_BAD_PARAM);
	CHECK_EQ(RUN(&b, SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 4), -0x54);
	CHECK_EQ(RUN(&b, SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0xff, 4), -0x54);
	CHECK_EQ(RUN(&b, SCSI_MODE_SELECT_10, 0x11), -0x54);
	CHECK_EQ(RUN(&b, SCSI_MODE_SELECT_10, 0x10), 0);
	bench_fini(&b);
}

/* The event and the state of GET EVENT STATUS, media class. */
static unsigned event(struct ide_bench *b)
{
	CHECK_EQ(RUN(b, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
	return (unsigned)buf[4] << 8 | buf[5];
}

static void the_tray_opens_and_closes(void **s)
{
	struct ide_bench b;

	(void)s;
	start(&b);
	ready(&b);
	CHECK_EQ(event(&b), 2);
	CHECK_EQ(RUN(&b, SCSI_PREVENT_ALLOW, 0, 0, 0, 1), 0);
	CHECK_EQ(RUN(&b, SCSI_START_STOP_UNIT, 0, 0, 0, 2), -0x54);
	CHECK_EQ(sense(&b), SENSE_REMOVAL_PREVENTED);
	CHECK_EQ(ide_eject(b.r.dev, 1, 0, false), -EBUSY);
	CHECK_EQ(event(&b), 0x102);		/* somebody pressed the button */
	CHECK_EQ(event(&b), 2);
	CHECK_EQ(RUN(&b, SCSI_PREVENT_ALLOW, 0, 0, 0, 0), 0);
	CHECK_EQ(RUN(&b, SCSI_START_STOP_UNIT, 0, 0, 0, 2), 0);
	CHECK_EQ(event(&b), 0x301);
	CHECK_EQ(RUN(&b, SCSI_TEST_UNIT_READY), -0x20);
	CHECK_EQ(sense(&b), SENSE_NOT_PRESENT);
	CHECK_EQ(RUN(&b, SCSI_MECHANISM_STATUS, 0, 0, 0, 0, 0, 0, 0, 0, 8), 8);
	CHECK_EQ(buf[1], 0x10);
	CHECK_EQ(RUN(&b, SCSI_START_STOP_UNIT, 0, 0, 0, 3), 0);
	CHECK_EQ(RUN(&b, SCSI_TEST_UNIT_READY), -0x60);
	CHECK_EQ(sense(&b), SENSE_MEDIUM_CHANGED);
	CHECK_EQ(event(&b), 0x202);
	/* From outside: gone, and another. */
	CHECK_EQ(ide_insert(b.r.dev, 1, 0, &b.dvd.blk), -EBUSY);
	CHECK_EQ(ide_eject(b.r.dev, 1, 0, false), 0);
	CHECK_EQ(event(&b), 0x300);
	CHECK_EQ(RUN(&b, SCSI_READ_CAPACITY_10), -0x20);
	CHECK_EQ(RUN(&b, SCSI_GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 0, 8), 8);
	CHECK_EQ(buf[7], 0);
	CHECK_EQ(ide_insert(b.r.dev, 1, 0, &b.hd[0].blk), -EINVAL);
	CHECK_EQ(ide_insert(b.r.dev, 0, 0, &b.dvd.blk), -ENODEV);
	CHECK_EQ(ide_eject(b.r.dev, 0, 1, true), -ENODEV);
	CHECK_EQ(ide_insert(b.r.dev, 1, 0, &b.dvd.blk), 0);
	CHECK_EQ(RUN(&b, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1), -0x60);
	CHECK_EQ(event(&b), 0x202);
	CHECK_EQ(RUN(&b, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1), 2048);
	bench_fini(&b);
}

static void a_disc_may_vanish_while_it_is_read(void **s)
{
	static const uint8_t read[12] = { SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 64 };
	struct ide_bench b;

	(void)s;
	start(&b);
	ready(&b);
	/* Between two pieces. */
	send_packet(&b, read, 2048, 0);
	CHECK_EQ(ide_eject(b.r.dev, 1, 0, true), 0);
	for (unsigned i = 0; i < 32; i++) {	/* what is in the buffer still comes */
		CHECK_EQ(in(&b, ATA_STATUS), 0x58);
		take(&b, buf, 2048);
		settle(&b);
	}
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(sense(&b), SENSE_NOT_PRESENT);
	/* While the host's disk works on it. */
	CHECK_EQ(ide_insert(b.r.dev, 1, 0, &b.dvd.blk), 0);
	CHECK_EQ(RUN(&b, SCSI_TEST_UNIT_READY), -0x60);
	out(&b, ATA_FEATURE, 0);
	out(&b, ATA_COMMAND, ATA_PACKET);
	give(&b, read, 12);
	CHECK_EQ(alt(&b), 0xd0);
	CHECK_EQ(ide_eject(b.r.dev, 1, 0, true), 0);
	/* DEVICE RESET is heard even now, and waits for the disk. */
	out(&b, ATA_COMMAND, ATA_DEVICE_RESET);
	CHECK_EQ(alt(&b), 0x80);
	settle(&b);
	CHECK_EQ(in(&b, ATA_STATUS), 0);
	CHECK_EQ(RUN(&b, SCSI_TEST_UNIT_READY), -0x20);
	bench_fini(&b);
}

static void a_held_read_ends_with_its_disc(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_init(&b);
	b.conf.trouble = bench_trouble;
	b.conf.arg = &b;
	rig_put(&b.r, &ide_dev, &b.conf);
	bench_enable(&b);
	b.ch = 1;
	ready(&b);
	atomic_store(&b.dvd.fail, -EIO);
	atomic_store(&b.dvd.nr_fail, 1);
	send_packet(&b, (const uint8_t[12]){ SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1 }, 2048, 0);
	CHECK_EQ(b.troubles, 1);
	CHECK_EQ(alt(&b), 0xd0);
	CHECK_EQ(ide_eject(b.r.dev, 1, 0, true), 0);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	ide_retry(b.r.dev);
	CHECK_EQ(sense(&b), SENSE_NOT_PRESENT);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drive_says_what_it_is),
		cmocka_unit_test(sense_and_attention_are_told_once),
		cmocka_unit_test(blocks_are_read_by_the_port),
		cmocka_unit_test(blocks_are_read_by_the_bus_master),
		cmocka_unit_test(the_medium_is_described),
		cmocka_unit_test(modes_can_be_read_and_said_again),
		cmocka_unit_test(the_tray_opens_and_closes),
		cmocka_unit_test(a_disc_may_vanish_while_it_is_read),
		cmocka_unit_test(a_held_read_ends_with_its_disc),
	};

	return cmocka_run_group_tests_name("ide_atapi", tests, NULL, NULL);
}
