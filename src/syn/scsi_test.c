/*
 * scsi_test.c - the controller: initialisation, resets, hot plug, trouble
 */
#include "syn/scsi_bench.h"

#include <stdlib.h>
#include <unistd.h>

static void test_init(void **state)
{
	static const uint16_t good[] = { STOR_V2_0, STOR_V4_2, STOR_V5_1, STOR_V6_0, STOR_V6_2 };
	struct scsi_bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		bench_init(&b, false, 1);
		bench_up(&b, good[i]);
		CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_SUCCESS);
		/* Sub-channels were not offered: one processor. */
		CHECK(bench_init_msg(&b, STOR_CREATE_SUB_CHANNELS, 1) != 0);
		/* Closed and opened again, it begins at the beginning. */
		fg_close(&b.g, &b.c);
		CHECK_EQ(fg_gpadl_teardown(&b.g, b.c.relid, b.c.gpadl), 0);
		CHECK_EQ(fg_open(&b.g, b.c.relid, 3, 0, &b.c), 0);
		CHECK_EQ(bench_init_msg(&b, STOR_END_INITIALIZATION, 0), 0xc0000184);
		CHECK_EQ(bench_init_msg(&b, STOR_BEGIN_INITIALIZATION, 0), 0);
		bench_fini(&b);
	}
}

static void test_init_order(void **state)
{
	struct scsi_bench b;

	(void)state;
	bench_init(&b, false, 3);
	bench_open(&b);
	CHECK(guid_eq(&b.offer.type, &(struct guid)GUID_INIT(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 5,
							     0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f)));
	for (uint32_t op = 0; op < 16; op++)
		if (op != STOR_BEGIN_INITIALIZATION && op != STOR_FCHBA_DATA &&
		    op != STOR_EVENT_NOTIFICATION && op != STOR_ENUMERATE_BUS)
			CHECK(bench_init_msg(&b, op, 0) != 0);
	CHECK_EQ(bench_init_msg(&b, STOR_BEGIN_INITIALIZATION, 0), 0);
	CHECK_EQ(bench_init_msg(&b, STOR_BEGIN_INITIALIZATION, 0), 0xc0000184);
	CHECK_EQ(bench_init_msg(&b, STOR_QUERY_PROPERTIES, 0), 0xc0000184);
	CHECK_EQ(bench_init_msg(&b, STOR_QUERY_PROTOCOL_VERSION, 0x0700), 0xc0000059);
	CHECK_EQ(bench_init_msg(&b, STOR_QUERY_PROTOCOL_VERSION, STOR_V6_2), 0);
	CHECK_EQ(le16_get(b.r.u.ver.version), STOR_V6_2);
	CHECK_EQ(bench_init_msg(&b, STOR_END_INITIALIZATION, 0), 0xc0000184);
	CHECK_EQ(bench_init_msg(&b, STOR_QUERY_PROPERTIES, 0), 0);
	CHECK_EQ(le16_get(b.r.u.prop.max_sub_channels), 2);
	CHECK_EQ(le32_get(b.r.u.prop.flags), 1);
	CHECK_EQ(le32_get(b.r.u.prop.max_transfer), 0x40000);
	CHECK_EQ(bench_init_msg(&b, STOR_END_INITIALIZATION, 0), 0);
	CHECK_EQ(bench_init_msg(&b, STOR_FCHBA_DATA, 0), 0xc0000010);
	bench_fini(&b);
}

static void test_subchannels(void **state)
{
	struct scsi_bench b;
	struct fg_chan sub[2];
	struct fg_msg r;
	uint32_t relid[2];

	(void)state;
	bench_init(&b, true, FG_VPS);
	bench_up(&b, STOR_V6_2);
	CHECK(bench_init_msg(&b, STOR_CREATE_SUB_CHANNELS, 4) != 0);
	CHECK_EQ(bench_init_msg(&b, STOR_CREATE_SUB_CHANNELS, 2), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(fg_expect(&b.g, VMBUS_OFFER_CHANNEL, &r), 0);
		relid[i] = ld32(r.bytes + 184);
	}
	for (uint32_t i = 0; i < 2; i++)
		CHECK_EQ(fg_open(&b.g, relid[i], 9, i + 1, &sub[i]), 0);
	/* Answers come back on the channel of the question; three at once. */
	for (int round = 0; round < 50; round++) {
		uint8_t cdb[10] = { SCSI_READ_10, 0, 0, 0, 0, (uint8_t)round, 0, 0, 8 };

		for (uint64_t i = 0; i < 3; i++)
			bench_srb_send(&b, i == 2 ? &b.c : &sub[i], 100 + i, cdb, 10,
				       b.buf + i * 4096, 4096, true);
		for (uint64_t i = 0; i < 3; i++) {
			CHECK_EQ(bench_srb_wait(&b, i == 2 ? &b.c : &sub[i]), 100 + i);
			CHECK_EQ(b.r.u.srb.srb_status, SRB_SUCCESS);
			CHECK_EQ(gmem_read(b.g.mem, b.buf + i * 4096, b.data, 4096), 0);
			CHECK_MEM(b.data, b.disk.bytes + round * 512, 4096);
		}
	}
	/* Nothing but SRBs there. */
	struct stor_packet m = { .op = le32_of(STOR_QUERY_PROPERTIES) };

	CHECK_EQ(fg_send(&b.g, &sub[0], VMPKT_INBAND, 1, 7, &m, 64), 0);
	CHECK_EQ(bench_srb_wait(&b, &sub[0]), 7);
	CHECK_EQ(le32_get(b.r.status), 0xc0000184);
	bench_fini(&b);
}

/* Many in flight, completed in any order, with the right bytes. */
static void test_many(void **state)
{
	struct scsi_bench b;
	bool seen[33] = { false };

	(void)state;
	bench_init(&b, true, 1);
	bench_up(&b, STOR_V6_2);
	atomic_store(&b.disk.stuck, true);
	for (uint64_t i = 1; i <= 32; i++) {
		uint8_t cdb[10] = { SCSI_READ_10, 0, 0, 0, (uint8_t)(i - 1), 0, 0, 0, 8 };

		bench_srb_send(&b, &b.c, i, cdb, 10, b.buf + (i - 1) * 4096, 4096, true);
	}
	for (int i = 0; i < 20000 && atomic_load(&b.disk.most) < 32; i++)
		usleep(100);
	CHECK_EQ(atomic_load(&b.disk.most), 32);
	CHECK(!fg_has_packet(&b.g, &b.c));
	atomic_store(&b.disk.stuck, false);
	for (int i = 0; i < 32; i++) {
		uint64_t id = bench_srb_wait(&b, &b.c);

		CHECK(id >= 1 && id <= 32 && !seen[id]);
		seen[id] = true;
		CHECK_EQ(b.r.u.srb.srb_status, SRB_SUCCESS);
		CHECK_EQ(bench_len(&b), 4096);
		CHECK_EQ(gmem_read(b.g.mem, b.buf + (id - 1) * 4096, b.data, 4096), 0);
		CHECK_MEM(b.data, b.disk.bytes + (id - 1) * 256 * 512, 4096);
	}
	bench_fini(&b);
}

/* However many a guest sends, each is answered: done, or busy. */
static void test_too_many(void **state)
{
	struct scsi_bench b;
	uint8_t cdb[10] = { SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1 };
	unsigned sent = 0, busy = 0, good = 0;

	(void)state;
	bench_init(&b, true, 1);
	bench_up(&b, STOR_V6_2);
	atomic_store(&b.disk.stuck, true);
	for (; sent < 1100; sent++) {
		bench_srb_send(&b, &b.c, sent, cdb, 10, b.buf, 512, true);
		while (fg_ring_load(&b.g, &b.c, false, RING_OUT) !=
		       fg_ring_load(&b.g, &b.c, false, RING_IN))
			usleep(10);
	}
	while (busy + good < sent) {
		(void)bench_srb_wait(&b, &b.c);
		if (b.r.u.srb.srb_status == SRB_BUSY && b.r.u.srb.scsi_status == SCSI_BUSY)
			busy++;
		else if (b.r.u.srb.srb_status == SRB_SUCCESS)
			good++;
		if (busy + good == 1100 - 1024)
			atomic_store(&b.disk.stuck, false);
	}
	CHECK_EQ(busy, 1100 - 1024);
	CHECK_EQ(good, 1024);
	bench_fini(&b);
}

static void test_reset_waits(void **state)
{
	struct scsi_bench b;
	struct stor_packet m = { .op = le32_of(STOR_RESET_BUS), .flags = le32_of(1) };
	uint8_t cdb[10] = { SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1 };

	(void)state;
	bench_init(&b, true, 1);
	bench_up(&b, STOR_V6_2);
	/* With nothing in flight: at once. */
	CHECK_EQ(bench_init_msg(&b, STOR_RESET_LUN, 0), 0);
	CHECK_EQ(bench_init_msg(&b, STOR_RESET_ADAPTER, 0), 0);
	atomic_store(&b.disk.stuck, true);
	for (uint64_t i = 1; i <= 3; i++)
		bench_srb_send(&b, &b.c, i, cdb, 10, b.buf, 512, false);
	CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_INBAND, 1, 99, &m, 64), 0);
	usleep(20000);
	CHECK(!fg_has_packet(&b.g, &b.c));
	atomic_store(&b.disk.stuck, false);
	for (int i = 0; i < 3; i++)
		CHECK(bench_srb_wait(&b, &b.c) <= 3);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 99);
	CHECK_EQ(le32_get(b.r.status), 0);
	bench_fini(&b);
}

/* The guest leaves in the middle: the disk is through before it hears so. */
static void test_close_drains(void **state)
{
	struct scsi_bench b;
	uint8_t cdb[10] = { SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 8 };
	struct stor_packet m = { .op = le32_of(STOR_RESET_BUS), .flags = le32_of(1) };

	(void)state;
	for (int how = 0; how < 4; how++) {
		struct vmbus_hdr unload = { .type = le32_of(VMBUS_UNLOAD) };
		struct fg_msg r;

		bench_init(&b, true, 1);
		bench_up(&b, STOR_V6_2);
		atomic_store(&b.disk.stuck, true);
		for (uint64_t i = 1; i <= 8; i++)
			bench_srb_send(&b, &b.c, i, cdb, 10, b.buf, 4096, true);
		CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_INBAND, 1, 99, &m, 64), 0);
		for (int i = 0; i < 20000 && atomic_load(&b.disk.in_flight) < 8; i++)
			usleep(100);
		if (how == 0)
			fg_close(&b.g, &b.c);
		else if (how == 1)
			CHECK_EQ(fg_post(&b.g, &unload, sizeof(unload)), 0);
		CHECK(fg_silent(&b.g));
		atomic_store(&b.disk.stuck, false);
		if (how == 0)
			CHECK_EQ(fg_gpadl_teardown(&b.g, b.c.relid, b.c.gpadl), 0);
		else if (how == 1)
			CHECK_EQ(fg_expect(&b.g, VMBUS_UNLOAD_RESPONSE, &r), 0);
		else if (how == 2)
			CHECK_EQ(fg_contact(&b.g, 1, VMBUS_V3_0, 0), 1);
		else
			vmbus_reset(b.g.bus);
		CHECK_EQ(atomic_load(&b.disk.in_flight), 0);
		bench_fini(&b);
	}
}

static atomic_int troubles;

static void on_trouble(void *arg, int rc)
{
	(void)arg;
	atomic_store(&troubles, rc);
}

static void test_trouble(void **state)
{
	struct scsi_bench b;
	uint8_t cdb[10] = { SCSI_WRITE_10, 0, 0, 0, 0, 3, 0, 0, 1 };
	uint8_t data[512] = "precious";
	struct stor_packet m = { .op = le32_of(STOR_RESET_BUS), .flags = le32_of(1) };

	(void)state;
	for (int how = 0; how < 4; how++) {
		bench_init(&b, how % 2, 1);
		bench_up(&b, STOR_V6_2);
		atomic_store(&troubles, 0);
		scsi_hold_on_trouble(b.s, true, on_trouble, NULL);
		CHECK_EQ(gmem_write(b.g.mem, b.buf, data, sizeof(data)), 0);
		atomic_store(&b.disk.fail, -ENOSPC);
		atomic_store(&b.disk.nr_fail, 2);
		bench_srb_send(&b, &b.c, 1, cdb, 10, b.buf, 512, false);
		for (int i = 0; i < 20000 && atomic_load(&troubles) == 0; i++)
			usleep(100);
		CHECK_EQ(atomic_load(&troubles), -ENOSPC);
		usleep(5000);
		CHECK(!fg_has_packet(&b.g, &b.c));
		switch (how) {
		case 0:
		case 1:
			/* Still full, then room. */
			atomic_store(&troubles, 0);
			scsi_retry(b.s);
			for (int i = 0; i < 20000 && atomic_load(&troubles) == 0; i++)
				usleep(100);
			CHECK_EQ(atomic_load(&troubles), -ENOSPC);
			usleep(1000);
			scsi_retry(b.s);
			CHECK_EQ(bench_srb_wait(&b, &b.c), 1);
			CHECK_EQ(b.r.u.srb.srb_status, SRB_SUCCESS);
			CHECK_MEM(b.disk.bytes + 3 * 512, data, 512);
			break;
		case 2:
			/* A reset does not wait for the operator. */
			CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_INBAND, 1, 99, &m, 64), 0);
			CHECK_EQ(bench_srb_wait(&b, &b.c), 1);
			CHECK_EQ(b.r.u.srb.srb_status, SRB_ABORTED);
			CHECK_EQ(bench_srb_wait(&b, &b.c), 99);
			break;
		default:
			/* Nor does a close (bench_fini), nor a detach. */
			CHECK_EQ(scsi_detach(b.s, 0), 0);
			CHECK_EQ(bench_srb_wait(&b, &b.c), 1);
			CHECK_EQ(b.r.u.srb.srb_status, SRB_ABORTED);
			break;
		}
		bench_fini(&b);
	}
	/* Held when the machine is reset. */
	bench_init(&b, true, 1);
	bench_up(&b, STOR_V6_2);
	scsi_hold_on_trouble(b.s, true, on_trouble, NULL);
	atomic_store(&b.disk.fail, -EIO);
	atomic_store(&b.disk.nr_fail, 1);
	bench_srb_send(&b, &b.c, 1, cdb, 10, b.buf, 512, false);
	usleep(5000);
	vmbus_reset(b.g.bus);
	bench_fini(&b);
}

static void test_hot_plug(void **state)
{
	struct scsi_bench b;
	struct fake_blk extra;
	struct fg_pkt p;
	struct err err;

	(void)state;
	bench_init(&b, false, 1);
	CHECK_EQ(fake_blk_init(&extra, 1 * MIB, 512, false), 0);
	bench_up(&b, STOR_V6_2);
	CHECK(!fg_has_packet(&b.g, &b.c));	/* the first units are found, not announced */
	CHECK_EQ(scsi_attach(b.s, 0, &extra.blk, &err), -EBUSY);
	CHECK_EQ(scsi_attach(b.s, 64, &extra.blk, &err), -EINVAL);
	CHECK_EQ(scsi_attach(b.s, 63, &extra.blk, &err), 0);
	CHECK_EQ(fg_recv(&b.g, &b.c, &p), 0);
	CHECK_EQ(p.type, VMPKT_INBAND);
	CHECK_EQ(p.flags, 0);
	CHECK_EQ(p.id, 0);
	CHECK_EQ(p.len, 64);
	CHECK_EQ(ld32(p.data), STOR_ENUMERATE_BUS);
	CHECK_EQ(IN(&b, 520, SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 2, 8, 0, 0), SRB_SUCCESS);
	CHECK_EQ(b.data[3], 24);
	CHECK_EQ(b.data[8 + 1], 0);
	CHECK_EQ(b.data[16 + 1], 5);
	CHECK_EQ(b.data[24 + 1], 63);
	CHECK_EQ(bench_len(&b), 32);
	b.lun = 63;
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK_EQ(scsi_detach(b.s, 63), 0);
	CHECK_EQ(scsi_detach(b.s, 63), -ENOENT);
	CHECK_EQ(fg_recv(&b.g, &b.c, &p), 0);
	CHECK_EQ(ld32(p.data), STOR_ENUMERATE_BUS);
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_INVALID_LUN);
	bench_fini(&b);
	fake_blk_fini(&extra);
}

/* The accelerator of an IDE disk: the second on the second channel. */
static void test_ide(void **state)
{
	static const uint8_t user[12] = { 0, 0, 1, 1, 0, 0, 0, 0, 2, 0, 0, 0 };
	struct scsi_conf conf = { .instance = scsi_ide_instance(1, 1), .nr_vps = 4, .ide = true,
				  .path = 1, .target = 1 };
	struct scsi_bench b;
	struct err err;

	(void)state;
	bench_init(&b, false, 4);
	scsi_free(b.s);
	CHECK_EQ(scsi_new(b.g.bus, &conf, &b.s, NULL), 0);
	CHECK_EQ(scsi_attach(b.s, 0, &b.disk.blk, NULL), 0);
	CHECK_EQ(scsi_attach(b.s, 1, &b.dvd.blk, &err), -EINVAL);
	bench_up(&b, STOR_V6_2);
	CHECK(guid_eq(&b.offer.type, &(struct guid)GUID_INIT(0x32412632, 0x86cb, 0x44a2, 0x9b, 0x5c,
							     0x50, 0xd1, 0x41, 0x73, 0x54, 0xf5)));
	CHECK(guid_eq(&b.offer.instance, &(struct guid)GUID_INIT(1, 1, 0x8899, 0, 0, 0, 0, 0, 0,
								 0, 0)));
	CHECK_MEM(b.offer.user, user, sizeof(user));
	CHECK(bench_init_msg(&b, STOR_CREATE_SUB_CHANNELS, 1) != 0);
	/* Its target is the one of the disk, on whatever path. */
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_INVALID_LUN);
	b.target = 1;
	CHECK_EQ(IN(&b, 1024, SCSI_READ_10, 0, 0, 0, 0, 3, 0, 0, 2, 0), SRB_SUCCESS);
	CHECK_MEM(b.data, b.disk.bytes + 3 * 512, 1024);
	CHECK_EQ(IN(&b, 520, SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 2, 8, 0, 0), SRB_SUCCESS);
	CHECK_EQ(bench_len(&b), 16);
	b.lun = 1;
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_INVALID_LUN);
	bench_fini(&b);
}

static void test_odd_packets(void **state)
{
	struct scsi_bench b;
	uint8_t m[64] = { STOR_EXECUTE_SRB };
	struct fg_pkt p;

	(void)state;
	bench_init(&b, false, 1);
	bench_up(&b, STOR_V6_2);
	CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_INBAND, 1, 5, m, 16), 0);
	CHECK_EQ(fg_recv(&b.g, &b.c, &p), 0);
	CHECK_EQ(p.len, 16);
	CHECK_EQ(ld32(p.data + 8), 0xc000000d);
	/* No completion asked for: none given. */
	m[20] = 6;
	CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_INBAND, 0, 6, m, 64), 0);
	CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_CANCEL, 1, 7, m, 64), 0);
	CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_COMP, 0, 8, m, 64), 0);
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_SUCCESS);
	CHECK(!fg_has_packet(&b.g, &b.c));
	/* A CDB longer than there is; a page outside RAM; too many ranges. */
	m[20] = 17;
	CHECK_EQ(fg_send(&b.g, &b.c, VMPKT_INBAND, 1, 9, m, 64), 0);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 9);
	CHECK_EQ(b.r.u.srb.srb_status, SRB_INVALID_REQUEST);
	bench_srb_send(&b, &b.c, 10, CDB(SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0),
		       UINT64_C(1) << 45, 512, true);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 10);
	CHECK_EQ(b.r.u.srb.srb_status, SRB_INVALID_REQUEST);
	bench_srb_send(&b, &b.c, 11, CDB(SCSI_INQUIRY, 0, 0, 0, 36, 0), UINT64_C(1) << 45, 36,
		       true);
	CHECK_EQ(bench_srb_wait(&b, &b.c), 11);
	CHECK_EQ(b.r.u.srb.srb_status, SRB_INVALID_REQUEST);
	bench_fini(&b);
}

static void test_no_memory(void **state)
{
	struct scsi_conf conf = { .instance.b = { 9 }, .nr_vps = 2 };
	struct scsi *s = NULL;
	struct fake_guest g;
	int rc = -1;

	(void)state;
	CHECK_EQ(fg_new(&g, 0, 1), 0);
	for (unsigned n = 1; n < 10 && rc < 0; n++) {
		base_fail_alloc(n);
		rc = scsi_new(g.bus, &conf, &s, NULL);
		base_fail_alloc(0);
		CHECK(n > 3 || rc == -ENOMEM);
	}
	CHECK_EQ(rc, 0);
	scsi_free(s);
	fg_free(&g);
}

/* A request that finds no memory is told to come again. */
static void test_busy_without_memory(void **state)
{
	struct scsi_bench b;

	(void)state;
	bench_init(&b, false, 1);
	bench_up(&b, STOR_V6_2);
	base_fail_alloc(1);
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_BUSY);
	base_fail_alloc(0);
	CHECK_EQ(IN(&b, 0, SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SRB_SUCCESS);
	base_fail_alloc(1);
	CHECK_EQ(IN(&b, 0, SCSI_VERIFY_10, 0, 0, 0, 0, 0, 0, 0, 1, 0), SRB_BUSY);
	base_fail_alloc(0);
	CHECK_EQ(IN(&b, 0, SCSI_VERIFY_10, 0, 0, 0, 0, 0, 0, 0, 1, 0), SRB_SUCCESS);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),	     cmocka_unit_test(test_init_order),
		cmocka_unit_test(test_subchannels),  cmocka_unit_test(test_many),
		cmocka_unit_test(test_too_many),     cmocka_unit_test(test_reset_waits),
		cmocka_unit_test(test_close_drains), cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_hot_plug),     cmocka_unit_test(test_odd_packets),
		cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_busy_without_memory),
		cmocka_unit_test(test_ide),
	};

	return cmocka_run_group_tests_name("scsi", tests, NULL, NULL);
}
