/*
 * scsi_cmd_test.c - every command, as guests send them, and as they should not
 */
#include "syn/scsi_bench.h"

#include <stdlib.h>

static void start(struct scsi_bench *b)
{
	bench_init(b, false, 1);
	bench_up(b, STOR_V6_2);
}

static void test_inquiry(void **state)
{
	struct scsi_bench b;

	(void)state;
	start(&b);
	CHECK_EQ(IN(&b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 36);
	CHECK_EQ(b.data[0], 0);
	CHECK_EQ(b.data[1], 0);
	CHECK_EQ(b.data[2], 5);
	CHECK_EQ(b.data[3], 2);
	CHECK_EQ(b.data[4], 99);
	CHECK_EQ(b.data[7], 2);
	CHECK_MEM(b.data + 8, "Msft    Virtual Disk    1.0 ", 28);
	CHECK_EQ(b.data[36], 0xee);		/* not a byte more than asked for */
	CHECK_EQ(IN(&b, 255, SCSI_INQUIRY, 0, 0, 0, 255, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 104);
	/* The allocation length and the buffer both bound it. */
	CHECK_EQ(IN(&b, 20, SCSI_INQUIRY, 0, 0, 0, 255, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 20);
	CHECK_EQ(b.data[20], 0xee);
	CHECK(IN(&b, 36, SCSI_INQUIRY, 0, 0x83, 0, 36, 0) != SRB_SUCCESS);
	b.lun = 5;
	CHECK_EQ(IN(&b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[0], 5);
	CHECK_EQ(b.data[1], 0x80);
	CHECK_MEM(b.data + 16, "Virtual DVD-ROM ", 16);
	/* Absent units and targets succeed with a type that is none. */
	b.lun = 1;
	CHECK_EQ(IN(&b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[0], 0x7f);
	CHECK_MEM(b.data + 8, "Msft    ", 8);
	b.lun = 0;
	b.target = 1;
	CHECK_EQ(IN(&b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[0], 0x7f);
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_INVALID_LUN);
	CHECK_EQ(b.r.u.srb.scsi_status, 0);
	CHECK_EQ(IN(&b, 512, SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(ld32(b.data), 0);
	CHECK_EQ(bench_len(&b), 8);
	bench_fini(&b);
}

static void test_vpd(void **state)
{
	static const uint8_t list[] = { 0, 0, 0, 7, 0, 0x83, 0xb0, 0xb1, 0xb2, 0xce, 0xcf };
	static const uint8_t id83[] = {
		0, 0x83, 0, 48, 1, 1, 0, 24, 'M', 's', 'f', 't', ' ', ' ', ' ', ' ',
		0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 1, 2, 3, 4, 5, 6, 7, 8,
		1, 3, 0, 16, 0x60, 2, 0x24, 0x80,
		0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 3, 4, 5, 6, 7, 8,
	};
	struct scsi_bench b;

	(void)state;
	start(&b);
	CHECK_EQ(IN(&b, 255, SCSI_INQUIRY, 1, 0, 0, 255, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), sizeof(list));
	CHECK_MEM(b.data, list, sizeof(list));
	CHECK_EQ(IN(&b, 255, SCSI_INQUIRY, 1, 0x83, 0, 255, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), sizeof(id83));
	CHECK_MEM(b.data, id83, sizeof(id83));
	CHECK_EQ(IN(&b, 64, SCSI_INQUIRY, 1, 0xb0, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 64);
	CHECK_EQ(b.data[3], 60);
	CHECK_EQ(b.data[4], 1);
	CHECK_EQ(b.data[7], 8);			/* granularity: 4096 of 512 */
	CHECK_EQ(__builtin_bswap32(ld32(b.data + 8)), 512);
	CHECK_EQ(ld32(b.data + 20), 0xffffffff);
	CHECK_EQ(__builtin_bswap64(ld64(b.data + 36)), (64 << 20) / 512);
	CHECK_EQ(IN(&b, 64, SCSI_INQUIRY, 1, 0xb1, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[5], 1);
	CHECK_EQ(IN(&b, 64, SCSI_INQUIRY, 1, 0xb2, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 8);
	CHECK_EQ(b.data[5], 0x80);
	CHECK_EQ(b.data[6], 2);
	CHECK_EQ(IN(&b, 64, SCSI_INQUIRY, 1, 0xcf, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 24);
	CHECK_EQ(ld32(b.data + 8), 0x89a98f15);
	/* An unknown page leaves the buffer alone: Linux looks into it all the same. */
	CHECK_EQ(IN(&b, 64, SCSI_INQUIRY, 1, 0x80, 0, 64, 0), SRB_ERROR | SRB_AUTOSENSE_VALID);
	CHECK_EQ(bench_sense(&b), SENSE_BAD_CDB);
	CHECK_EQ(b.data[0], 0xee);
	b.lun = 5;
	CHECK_EQ(IN(&b, 64, SCSI_INQUIRY, 1, 0, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 6);
	CHECK_EQ(b.data[0], 5);
	bench_fini(&b);
}

static void test_capacity(void **state)
{
	struct scsi_bench b;

	(void)state;
	start(&b);
	CHECK_EQ(IN(&b, 8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(__builtin_bswap32(ld32(b.data)), 8191);
	CHECK_EQ(__builtin_bswap32(ld32(b.data + 4)), 512);
	CHECK_EQ(IN(&b, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 32);
	CHECK_EQ(__builtin_bswap64(ld64(b.data)), 8191);
	CHECK_EQ(__builtin_bswap32(ld32(b.data + 8)), 512);
	CHECK_EQ(b.data[13], 3);
	CHECK_EQ(b.data[14], 0x80);
	CHECK_EQ(IN(&b, 32, 0x9e, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), 0x84);
	b.disk.blk.size = UINT64_C(3) << 42;
	CHECK_EQ(IN(&b, 8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(ld32(b.data), 0xffffffff);
	b.disk.blk.size = BENCH_DISK;
	b.lun = 5;
	CHECK_EQ(IN(&b, 8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(__builtin_bswap32(ld32(b.data)), BENCH_DISK / 2048 - 1);
	CHECK_EQ(__builtin_bswap32(ld32(b.data + 4)), 2048);
	bench_fini(&b);
}

static void test_mode(void **state)
{
	struct scsi_bench b;
	uint8_t p[32] = { 0 };

	(void)state;
	start(&b);
	CHECK_EQ(IN(&b, 192, SCSI_MODE_SENSE_6, 0, 0x3f, 0, 192, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 4 + 20 + 12);
	CHECK_EQ(b.data[0], 4 + 20 + 12 - 1);
	CHECK_EQ(b.data[2], 0x10);
	CHECK_EQ(b.data[3], 0);
	CHECK_EQ(IN(&b, 4, SCSI_MODE_SENSE_6, 8, 8, 0, 4, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 4);
	CHECK_EQ(IN(&b, 64, SCSI_MODE_SENSE_10, 0, 8, 0, 0, 0, 0, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 28);
	CHECK_EQ(b.data[1], 26);
	CHECK_EQ(b.data[3], 0x10);
	CHECK_EQ(b.data[8], 8);
	CHECK_EQ(b.data[9], 18);
	CHECK_EQ(b.data[10], 4);			/* WCE */
	/* Given back as it is: fine.  With the cache off: no. */
	memcpy(p, b.data, 28);
	p[1] = p[3] = 0;
	CHECK_EQ(OUT(&b, p, 28, SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 28, 0), SRB_SUCCESS);
	p[10] = 0;
	CHECK_EQ(OUT(&b, p, 28, SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 28, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_BAD_PARAM);
	p[10] = 4;
	CHECK_EQ(OUT(&b, p, 20, SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 28, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_PARAM_LIST_LENGTH);
	CHECK_EQ(OUT(&b, p, 28, SCSI_MODE_SELECT_10, 0x11, 0, 0, 0, 0, 0, 0, 28, 0), 0x84);
	CHECK_EQ(OUT(&b, p + 4, 24, SCSI_MODE_SELECT_6, 0x10, 0, 0, 24, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 64, SCSI_MODE_SENSE_6, 0, 0x48, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[6], 0);				/* nothing is changeable */
	CHECK_EQ(IN(&b, 64, SCSI_MODE_SENSE_6, 0, 0xc8, 0, 64, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_NO_SAVED);
	CHECK_EQ(IN(&b, 64, SCSI_MODE_SENSE_6, 0, 0x1c, 0, 64, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_BAD_CDB);
	b.disk.blk.read_only = true;
	CHECK_EQ(IN(&b, 64, SCSI_MODE_SENSE_6, 0, 0x3f, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[2], 0x90);
	b.lun = 5;
	CHECK_EQ(IN(&b, 64, SCSI_MODE_SENSE_10, 0, 0x2a, 0, 0, 0, 0, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[8], 0x2a);
	bench_fini(&b);
}

static void test_read(void **state)
{
	struct scsi_bench b;

	(void)state;
	start(&b);
	CHECK_EQ(IN(&b, 1024, SCSI_READ_6, 0, 1, 2, 2, 0), SRB_SUCCESS);
	CHECK_MEM(b.data, b.disk.bytes + 0x102 * 512, 1024);
	CHECK_EQ(IN(&b, 512, SCSI_READ_10, 0, 0, 0, 0x1f, 0xff, 0, 0, 1, 0), SRB_SUCCESS);
	CHECK_MEM(b.data, b.disk.bytes + 8191 * 512, 512);
	CHECK_EQ(bench_len(&b), 512);
	CHECK_EQ(b.data[512], 0xee);
	CHECK_EQ(IN(&b, 1024, SCSI_READ_12, 8, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0), SRB_SUCCESS);
	CHECK_MEM(b.data, b.disk.bytes + 9 * 512, 1024);
	CHECK_EQ(IN(&b, 32768, SCSI_READ_16, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 64, 0, 0),
		 SRB_SUCCESS);
	CHECK_MEM(b.data, b.disk.bytes + 0x102 * 512, 32768);
	/* A bigger buffer than asked for: an underrun, told by the length. */
	CHECK_EQ(IN(&b, 4096, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 512);
	CHECK_EQ(b.data[512], 0xee);
	/* A smaller one: refused whole. */
	CHECK_EQ(IN(&b, 512, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 2, 0), SRB_DATA_OVERRUN);
	CHECK_EQ(IN(&b, 0, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 2, 0), SRB_DATA_OVERRUN);
	CHECK_EQ(b.data[0], 0xee);
	CHECK_EQ(IN(&b, 0, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), SRB_SUCCESS);
	/* Past the end, also where it wraps. */
	CHECK_EQ(IN(&b, 1024, SCSI_READ_10, 0, 0, 0, 0x1f, 0xff, 0, 0, 2, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_LBA_RANGE);
	CHECK_EQ(IN(&b, 512, SCSI_READ_16, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1,
		    0, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_LBA_RANGE);
	CHECK_EQ(IN(&b, 512, SCSI_READ_10, 0x20, 0, 0, 0, 0, 0, 0, 1, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_BAD_CDB);
	/* A ragged buffer: across pages, at an odd address. */
	bench_srb_send(&b, &b.c, 777, CDB(SCSI_READ_10, 0, 0, 0, 0, 4, 0, 0, 32, 0), b.buf + 1027,
		       32 * 512, true);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 777);
	CHECK_EQ(gmem_read(b.g.mem, b.buf + 1027, b.data, 32 * 512), 0);
	CHECK_MEM(b.data, b.disk.bytes + 4 * 512, 32 * 512);
	/* As much as the guest was promised. */
	bench_srb_send(&b, &b.c, 778, CDB(SCSI_READ_10, 0, 0, 0, 0, 0, 0, 2, 0, 0), b.buf + 8,
		       256 * 1024, true);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 778);
	CHECK_EQ(b.r.u.srb.srb_status, SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 256 * 1024);
	b.lun = 5;
	CHECK_EQ(IN(&b, 4096, SCSI_READ_10, 0, 0, 0, 0, 3, 0, 0, 2, 0), SRB_SUCCESS);
	CHECK_MEM(b.data, b.dvd.bytes + 3 * 2048, 4096);
	bench_fini(&b);
}

/* One range per page, as Linux does without an IOMMU; scattered. */
static void test_ranges(void **state)
{
	struct scsi_bench b;
	struct stor_packet m = { .op = le32_of(STOR_EXECUTE_SRB), .flags = le32_of(1) };
	uint8_t ext[8 + 16 * 8] = { 0 }, got[512];

	(void)state;
	start(&b);
	st32(ext + 4, 8);
	for (uint32_t i = 0; i < 8; i++) {
		st32(ext + 8 + 16 * i, 512);
		st32(ext + 12 + 16 * i, 256 * i);
		st64(ext + 16 + 16 * i, (b.buf >> 12) + 20 - 2 * i);
	}
	m.u.srb.length = le16_of(52);
	m.u.srb.cdb_len = 10;
	m.u.srb.data_in = 1;
	m.u.srb.transfer_len = le32_of(4096);
	m.u.srb.u.cdb[0] = SCSI_READ_10;
	m.u.srb.u.cdb[8] = 8;
	CHECK_EQ(fg_send_ext(&b.g, &b.c, VMPKT_GPA_DIRECT, 1, 9, ext, sizeof(ext), &m, 64), 0);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 9);
	CHECK_EQ(b.r.u.srb.srb_status, SRB_SUCCESS);
	for (uint32_t i = 0; i < 8; i++) {
		CHECK_EQ(gmem_read(b.g.mem, b.buf + (20 - 2 * i) * 4096 + 256 * i, got, 512), 0);
		CHECK_MEM(got, b.disk.bytes + 512 * i, 512);
	}
	/* The range is longer than the transfer: the smaller counts. */
	m.u.srb.transfer_len = le32_of(512);
	CHECK_EQ(fg_send_ext(&b.g, &b.c, VMPKT_GPA_DIRECT, 1, 9, ext, sizeof(ext), &m, 64), 0);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 9);
	CHECK_EQ(b.r.u.srb.srb_status, SRB_DATA_OVERRUN);
	bench_fini(&b);
}

static void test_write(void **state)
{
	struct scsi_bench b;
	uint8_t d[4096];

	(void)state;
	start(&b);
	for (int i = 0; i < 4096; i++)
		d[i] = (uint8_t)(i * 7);
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_6, 0, 0, 1, 1, 0), SRB_SUCCESS);
	CHECK_MEM(b.disk.bytes + 512, d, 512);
	CHECK_EQ(OUT(&b, d, 1024, SCSI_WRITE_10, 0, 0, 0, 0, 4, 0, 0, 2, 0), SRB_SUCCESS);
	CHECK_MEM(b.disk.bytes + 4 * 512, d, 1024);
	CHECK_EQ(bench_len(&b), 1024);
	CHECK_EQ(b.disk.fua, 0);
	CHECK_EQ(OUT(&b, d, 4096, SCSI_WRITE_16, 8, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0),
		 SRB_SUCCESS);
	CHECK_MEM(b.disk.bytes + 16 * 512, d, 4096);
	CHECK_EQ(b.disk.fua, 1);
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_12, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 0, SCSI_SYNC_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 0, SCSI_SYNC_CACHE_16, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		 SRB_SUCCESS);
	CHECK_EQ(b.disk.flushes, 2);
	b.disk.blk.read_only = true;
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_10, 0, 0, 0, 0, 4, 0, 0, 1, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_WRITE_PROTECTED);
	b.lun = 5;
	CHECK_EQ(OUT(&b, d, 2048, SCSI_WRITE_10, 0, 0, 0, 0, 4, 0, 0, 1, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_BAD_OPCODE);
	bench_fini(&b);
}

static void test_errors(void **state)
{
	static const struct { int rc; uint8_t cmd; uint32_t sense; } rows[] = {
		{ -EIO, SCSI_READ_10, 0x031100 },
		{ -EIO, SCSI_WRITE_10, 0x030c00 },
		{ -ENOSPC, SCSI_WRITE_10, 0x072707 },
		{ -EROFS, SCSI_WRITE_10, 0x072700 },
		{ -EIO, SCSI_SYNC_CACHE_10, 0x030c00 },
		{ -EIO, SCSI_VERIFY_10, 0x031100 },
	};
	static const uint8_t none[] = { 0x4d, 0x5e, 0x5f, 0x16, 0x17, 0xa3, 0x7f, 0xff };
	struct scsi_bench b;

	(void)state;
	start(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		b.disk.fail = rows[i].rc;
		b.disk.nr_fail = 1;
		CHECK_EQ(IN(&b, 512, rows[i].cmd, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x84);
		CHECK_EQ(bench_sense(&b), rows[i].sense);
	}
	/* Refused as unknown, not answered with zeros: LOG SENSE, PERSISTENT RESERVE... */
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		CHECK_EQ(IN(&b, 64, none[i], 0, 0, 0, 0, 0, 0, 0, 64, 0), 0x84);
		CHECK_EQ(bench_sense(&b), SENSE_BAD_OPCODE);
		CHECK_EQ(b.data[0], 0xee);
	}
	CHECK_EQ(IN(&b, 18, SCSI_REQUEST_SENSE, 0, 0, 0, 18, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[0], 0x70);
	CHECK_EQ(b.data[2], 0);
	bench_fini(&b);
}

static void test_unmap(void **state)
{
	struct scsi_bench b;
	uint8_t d[8 + 32] = { 0, 38, 0, 32 };
	static const uint8_t zero[4096];

	(void)state;
	start(&b);
	d[8 + 7] = 2;			/* LBA 2, 4 blocks */
	d[8 + 11] = 4;
	d[24 + 7] = 16;			/* LBA 16, 1 block */
	d[24 + 11] = 1;
	CHECK_EQ(OUT(&b, d, 40, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0), SRB_SUCCESS);
	CHECK_EQ(b.disk.unmaps, 2);
	CHECK_MEM(b.disk.bytes + 2 * 512, zero, 4 * 512);
	CHECK(memcmp(b.disk.bytes + 6 * 512, zero, 512) != 0);
	CHECK_MEM(b.disk.bytes + 16 * 512, zero, 512);
	CHECK_EQ(OUT(&b, d, 40, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(OUT(&b, d, 39, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_PARAM_LIST_LENGTH);
	d[24 + 5] = 0x20;		/* past the end: nothing at all is done */
	CHECK_EQ(OUT(&b, d, 40, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_LBA_RANGE);
	CHECK_EQ(b.disk.unmaps, 2);
	st16(d + 2, 0xffff);
	CHECK_EQ(OUT(&b, d, 40, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0), 0x84);
	b.disk.blk.can_unmap = false;
	CHECK_EQ(OUT(&b, d, 40, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_BAD_OPCODE);
	bench_fini(&b);
}

static void test_write_same(void **state)
{
	struct scsi_bench b;
	uint8_t d[512] = { 0 };
	static const uint8_t zero[4096];

	(void)state;
	start(&b);
	/* Zeros, also with UNMAP, become zeros. */
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_SAME_16, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0),
		 SRB_SUCCESS);
	CHECK_EQ(b.disk.zeroes, 1);
	CHECK_MEM(b.disk.bytes + 8 * 512, zero, 4096);
	CHECK_EQ(IN(&b, 0, SCSI_WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 8, 0, 0),
		 SRB_SUCCESS);
	CHECK_EQ(b.disk.zeroes, 2);
	CHECK_MEM(b.disk.bytes + 32 * 512, zero, 4096);
	/* A pattern, longer than one step is. */
	memset(d, 0xa5, sizeof(d));
	d[511] = 1;
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 1, 0, 0x1f, 0xfe, 0), SRB_SUCCESS);
	CHECK(b.disk.writes >= 1);
	for (int i = 1; i < 8191; i++)
		CHECK_MEM(b.disk.bytes + 512 * i, d, 512);
	CHECK(memcmp(b.disk.bytes + 8191 * 512, d, 512) != 0);
	CHECK(memcmp(b.disk.bytes, d, 512) != 0);
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 1, 0, 0, 0, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_BAD_CDB);
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_SAME_10, 0x10, 0, 0, 0, 1, 0, 0, 1, 0), 0x84);
	CHECK_EQ(OUT(&b, d, 511, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 1, 0, 0, 1, 0), SRB_DATA_OVERRUN);
	bench_fini(&b);
	bench_init(&b, true, 1);	/* the same in steps on another thread */
	bench_up(&b, STOR_V6_2);
	CHECK_EQ(OUT(&b, d, 512, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 1, 0, 0x1f, 0xfe, 0), SRB_SUCCESS);
	CHECK_MEM(b.disk.bytes + 512 * 4000, d, 512);
	CHECK_EQ(IN(&b, 0, SCSI_VERIFY_16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0),
		 SRB_SUCCESS);
	CHECK(b.disk.reads >= 1);
	CHECK_EQ(IN(&b, 0, SCSI_VERIFY_10, 2, 0, 0, 0, 0, 0, 0, 1, 0), 0x84);
	bench_fini(&b);
}

static void test_dvd(void **state)
{
	struct scsi_bench b;

	(void)state;
	start(&b);
	CHECK_EQ(IN(&b, 64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64, 0), 0x84);	/* a disk */
	b.lun = 5;
	CHECK_EQ(IN(&b, 64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 20);
	CHECK_EQ(b.data[1], 18);
	CHECK_EQ(b.data[6], 1);
	CHECK_EQ(b.data[14], 0xaa);
	CHECK_EQ(__builtin_bswap32(ld32(b.data + 16)), 2048);
	CHECK_EQ(IN(&b, 64, SCSI_READ_TOC, 2, 0, 0, 0, 0, 0xaa, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 12);
	CHECK_EQ(b.data[9], 0);			/* 2048 + 150 = 0:29:23 */
	CHECK_EQ(b.data[10], 29);
	CHECK_EQ(b.data[11], 23);
	CHECK_EQ(IN(&b, 64, SCSI_READ_TOC, 0, 1, 0, 0, 0, 0, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 12);
	CHECK_EQ(IN(&b, 64, SCSI_READ_TOC, 0, 2, 0, 0, 0, 0, 0, 64, 0), 0x84);
	CHECK_EQ(IN(&b, 64, SCSI_GET_CONFIGURATION, 2, 0, 0, 0, 0, 0, 0, 64, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[7], 0x10);
	CHECK_EQ(bench_len(&b), 8 + 12);
	CHECK_EQ(IN(&b, 200, SCSI_GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 0, 200, 0), SRB_SUCCESS);
	CHECK_EQ(__builtin_bswap32(ld32(b.data)) + 4, bench_len(&b));
	CHECK_EQ(IN(&b, 8, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[2], 4);
	CHECK_EQ(b.data[5], 2);
	CHECK_EQ(IN(&b, 34, SCSI_READ_DISC_INFO, 0, 0, 0, 0, 0, 0, 0, 34, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 34);
	CHECK_EQ(IN(&b, 36, SCSI_READ_TRACK_INFO, 1, 0, 0, 0, 1, 0, 0, 36, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 36);
	CHECK_EQ(b.data[2], 1);
	CHECK_EQ(__builtin_bswap32(ld32(b.data + 24)), 2048);
	CHECK_EQ(IN(&b, 36, SCSI_READ_TRACK_INFO, 1, 0, 0, 0, 2, 0, 0, 36, 0), 0x84);
	CHECK_EQ(IN(&b, 36, SCSI_READ_TRACK_INFO, 0, 0, 0, 8, 0, 0, 0, 36, 0), 0x84);
	/* Locked, it stays; unlocked, it comes out; and goes in again. */
	CHECK_EQ(IN(&b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_REMOVAL_PREVENTED);
	CHECK_EQ(IN(&b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), 0x84);
	CHECK_EQ(bench_sense(&b), SENSE_NOT_PRESENT);
	CHECK_EQ(IN(&b, 2048, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x84);
	CHECK_EQ(IN(&b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 3, 0), SRB_SUCCESS);
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_SUCCESS);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inquiry),	 cmocka_unit_test(test_vpd),
		cmocka_unit_test(test_capacity), cmocka_unit_test(test_mode),
		cmocka_unit_test(test_read),	 cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_write),	 cmocka_unit_test(test_errors),
		cmocka_unit_test(test_unmap),	 cmocka_unit_test(test_write_same),
		cmocka_unit_test(test_dvd),
	};

	return cmocka_run_group_tests_name("scsi-cmd", tests, NULL, NULL);
}
