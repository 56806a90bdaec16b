/*
 * ide_dma_test.c - the bus master of the IDE controller, with good lists and bad ones
 */
#include "chip/ide_bench.h"

static uint8_t buf[128 * 1024];

static void fill(uint8_t seed)
{
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 5 + i / 256 + seed);
}

static void check_ram(struct ide_bench *b, uint32_t gpa, const uint8_t *want, size_t n)
{
	static uint8_t got[128 * 1024];

	CHECK_EQ(gmem_read(b->r.mem, gpa, got, n), 0);
	CHECK_MEM(got, want, n);
}

/* The command, then the engine; until all is quiet. */
static void dma(struct ide_bench *b, unsigned dev, uint8_t cmd, uint32_t lba, uint8_t n)
{
	bool read = cmd == ATA_READ_DMA || cmd == ATA_READ_DMA_NO_RETRY;

	command(b, dev, cmd, lba, n);
	bm_start(b, BENCH_TABLE, read);
	settle(b);
}

static void check_done(struct ide_bench *b)
{
	CHECK_EQ(bm_status(b) & 7, BM_INT);
	CHECK(irq(b));
	CHECK_EQ(in(b, ATA_STATUS), 0x50);
	CHECK(!irq(b));
	bm_stop(b);
}

static void sectors_are_carried(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	/* In three ragged pieces, and 64 KiB said as 0. */
	prd(&b, 0, BENCH_DATA, 2, false);
	prd(&b, 1, BENCH_DATA + 2, 510, false);
	prd(&b, 2, 0x50000, 1024, true);
	dma(&b, 0, ATA_READ_DMA, 5, 3);
	check_done(&b);
	check_ram(&b, BENCH_DATA, b.hd[0].bytes + 5 * 512, 512);
	check_ram(&b, 0x50000, b.hd[0].bytes + 6 * 512, 1024);
	prd(&b, 0, BENCH_DATA, 0, false);
	prd(&b, 1, BENCH_DATA + 0x10000, 0, true);
	dma(&b, 1, ATA_READ_DMA, 100, 0);
	check_done(&b);
	check_ram(&b, BENCH_DATA, b.hd[1].bytes + 100 * 512, 128 * 1024);
	/* And the other way; first the engine, then the command. */
	fill(1);
	CHECK_EQ(gmem_write(b.r.mem, BENCH_DATA, buf, 128 * 1024), 0);
	bm_start(&b, BENCH_TABLE, false);
	CHECK_EQ(bm_status(&b), BM_ACTIVE);
	command48(&b, 0, ATA_WRITE_DMA_EXT, 300, 256);
	settle(&b);
	check_done(&b);
	CHECK_MEM(b.hd[0].bytes + 300 * 512, buf, 128 * 1024);
	CHECK_EQ(atomic_load(&b.hd[0].fua), 0);
	command48(&b, 0, ATA_WRITE_DMA_FUA_EXT, 10, 256);
	bm_start(&b, BENCH_TABLE, false);
	settle(&b);
	check_done(&b);
	CHECK_EQ(atomic_load(&b.hd[0].fua), 2);
	command48(&b, 0, ATA_READ_DMA_EXT, 10, 256);
	bm_start(&b, BENCH_TABLE, true);
	settle(&b);
	check_done(&b);
	check_ram(&b, BENCH_DATA, buf, 128 * 1024);
	bench_fini(&b);
}

static void registers_keep_what_they_can(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	rig_out(&b.r, BENCH_BM + 8 + BM_TABLE, 4, 0x12345677);
	CHECK_EQ(rig_in(&b.r, BENCH_BM + 8 + BM_TABLE, 4), 0x12345674);
	rig_out(&b.r, BENCH_BM + 8 + BM_TABLE + 2, 2, 0xabcd);
	CHECK_EQ(rig_in(&b.r, BENCH_BM + 8 + BM_TABLE, 4), 0xabcd5674);
	CHECK_EQ(rig_in(&b.r, BENCH_BM + BM_TABLE, 4), 0);
	rig_out(&b.r, BENCH_BM + BM_STATUS, 1, 0xff);
	CHECK_EQ(bm_status(&b), 0x60);
	rig_out(&b.r, BENCH_BM + BM_COMMAND, 1, 0xfe);
	CHECK_EQ(rig_in(&b.r, BENCH_BM + BM_COMMAND, 1), BM_TO_MEMORY);
	rig_out(&b.r, BENCH_BM + BM_COMMAND, 1, BM_TO_MEMORY | BM_START);
	rig_out(&b.r, BENCH_BM + BM_COMMAND, 1, BM_START);	/* no turning round */
	CHECK_EQ(rig_in(&b.r, BENCH_BM + BM_COMMAND, 4), 0x00610009);
	rig_out(&b.r, BENCH_BM + BM_COMMAND, 1, 0);
	CHECK_EQ(bm_status(&b), 0x60);
	bench_fini(&b);
}

static void a_list_longer_than_the_transfer_stays_active(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	prd(&b, 0, BENCH_DATA, 4096, true);
	dma(&b, 0, ATA_READ_DMA, 5, 1);
	CHECK_EQ(bm_status(&b) & 7, BM_INT | BM_ACTIVE);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	bm_stop(&b);
	CHECK_EQ(bm_status(&b) & 7, BM_INT);
	bench_fini(&b);
}

static void a_list_shorter_than_the_transfer_leaves_the_drive_waiting(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	prd(&b, 0, BENCH_DATA, 512, true);
	dma(&b, 0, ATA_READ_DMA, 5, 2);
	CHECK_EQ(bm_status(&b) & 7, 0);
	CHECK_EQ(alt(&b), 0x58);
	CHECK(!irq(&b));
	/* A new list goes on where the drive is. */
	bm_stop(&b);
	prd(&b, 0, 0x40000, 512, true);
	bm_start(&b, BENCH_TABLE, true);
	check_done(&b);
	check_ram(&b, 0x40000, b.hd[0].bytes + 6 * 512, 512);
	bench_fini(&b);
}

/* The drive waits for ever; a reset frees it, and the channel is as good as before. */
static void check_stuck(struct ide_bench *b, uint8_t bm)
{
	settle(b);
	CHECK_EQ(bm_status(b) & 7, bm);
	CHECK_EQ(alt(b), 0x58);
	CHECK(!irq(b));
	control(b, ATA_SRST);
	control(b, 0);
	bm_stop(b);
	CHECK_EQ(in(b, ATA_STATUS), 0x50);
	prd(b, 0, BENCH_DATA, 512, true);
	dma(b, 0, ATA_READ_DMA, 5, 1);
	check_done(b);
	check_ram(b, BENCH_DATA, b->hd[0].bytes + 5 * 512, 512);
}

static void bad_lists_are_errors_of_the_bus(void **s)
{
	static const uint32_t nowhere[] = { RIG_RAM, 0xfffffffc, 0xfffffff8, 0xf0000000 };
	static const uint32_t bad[] = { RIG_RAM - 2, RIG_RAM, 0xfffffffe, 0xffffff00, 0xe0000000 };
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	for (size_t i = 0; i < ARRAY_LEN(nowhere); i++) {
		command(&b, 0, ATA_READ_DMA, 5, 1);
		bm_start(&b, nowhere[i], true);
		check_stuck(&b, BM_ERROR);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		prd(&b, 0, bad[i], 0, true);
		dma(&b, 0, ATA_READ_DMA, 5, 1);
		check_stuck(&b, BM_ERROR);
		prd(&b, 0, bad[i], 512, true);
		dma(&b, 0, ATA_WRITE_DMA, 5, 1);
		check_stuck(&b, BM_ERROR);
	}
	CHECK_EQ(atomic_load(&b.hd[0].writes), 0);
	/* The wrong way round: nothing moves. */
	prd(&b, 0, BENCH_DATA, 512, true);
	command(&b, 0, ATA_READ_DMA, 5, 1);
	bm_start(&b, BENCH_TABLE, false);
	check_stuck(&b, BM_ACTIVE);
	/* A list without end: it ends with the data. */
	for (unsigned i = 0; i < 300; i++)
		prd(&b, i, BENCH_DATA, 2, false);
	dma(&b, 0, ATA_READ_DMA, 5, 1);
	CHECK_EQ(bm_status(&b) & 7, BM_INT | BM_ACTIVE);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	bm_stop(&b);
	/* A list that its own data overwrites: the engine reads what is there when it comes. */
	prd(&b, 0, BENCH_TABLE, 512, false);
	dma(&b, 0, ATA_READ_DMA, 0, 2);
	settle(&b);
	control(&b, ATA_SRST);
	control(&b, 0);
	bm_stop(&b);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	/* Right below 64 KiB the next entry is the first of them. */
	CHECK_EQ(gmem_write(b.r.mem, 0x2fff8, "\0\0\4\0\0\1\0\0", 8), 0);
	CHECK_EQ(gmem_write(b.r.mem, 0x20000, "\0\0\5\0\0\1\0\x80", 8), 0);
	command(&b, 0, ATA_READ_DMA, 5, 1);
	bm_start(&b, 0x2fff8, true);
	settle(&b);
	check_done(&b);
	check_ram(&b, 0x50000, b.hd[0].bytes + 5 * 512 + 256, 256);
	/* An entry may lie on both ends. */
	CHECK_EQ(gmem_write(b.r.mem, 0x2fffc, "\0\0\6\0" "\0\1\0\x80", 8), 0);
	CHECK_EQ(gmem_write(b.r.mem, 0x20000, "\0\2\0\x80", 4), 0);
	command(&b, 0, ATA_READ_DMA, 5, 1);
	bm_start(&b, 0x2fffc, true);
	settle(&b);
	check_done(&b);
	check_ram(&b, 0x60000, b.hd[0].bytes + 5 * 512, 512);
	bench_fini(&b);
}

static void a_function_that_may_not_master_waits(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	prd(&b, 0, BENCH_DATA, 512, true);
	pci_cfg_write(b.r.pci, BENCH_IDE, PCI_COMMAND, 2, PCI_COMMAND_IO);
	dma(&b, 0, ATA_READ_DMA, 5, 1);
	CHECK_EQ(bm_status(&b) & 7, BM_ACTIVE);
	CHECK_EQ(alt(&b), 0x58);
	pci_cfg_write(b.r.pci, BENCH_IDE, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	check_done(&b);
	check_ram(&b, BENCH_DATA, b.hd[0].bytes + 5 * 512, 512);
	bench_fini(&b);
}

static void the_engine_can_be_stopped_at_any_time(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	prd(&b, 0, BENCH_DATA, 512, true);
	command(&b, 0, ATA_READ_DMA, 5, 1);
	bm_start(&b, BENCH_TABLE, true);
	bm_stop(&b);				/* while the disk works */
	settle(&b);
	CHECK_EQ(bm_status(&b) & 7, 0);
	CHECK_EQ(alt(&b), 0x58);
	bm_start(&b, BENCH_TABLE, true);
	check_done(&b);
	/* Nothing to carry: active, and no harm. */
	bm_start(&b, BENCH_TABLE, true);
	settle(&b);
	CHECK_EQ(bm_status(&b) & 7, BM_ACTIVE);
	command(&b, 0, ATA_READ, 5, 1);		/* this one is not for the engine */
	take_blocks(&b, buf, 512, 512);
	CHECK_MEM(buf, b.hd[0].bytes + 5 * 512, 512);
	bm_stop(&b);
	/* A reset with the transfer half way: what the disk brings later goes nowhere. */
	CHECK_EQ(gmem_zero(b.r.mem, BENCH_DATA, 512), 0);
	command(&b, 0, ATA_READ_DMA, 5, 1);
	bm_start(&b, BENCH_TABLE, true);
	control(&b, ATA_SRST);
	control(&b, 0);
	settle(&b);
	memset(buf, 0, 512);
	check_ram(&b, BENCH_DATA, buf, 512);
	CHECK_EQ(in(&b, ATA_STATUS), 0x50);
	bench_fini(&b);
}

static void errors_end_a_transfer(void **s)
{
	struct ide_bench b;

	(void)s;
	bench_start(&b);
	prd(&b, 0, BENCH_DATA, 4096, true);
	atomic_store(&b.hd[0].fail, -ENODATA);
	atomic_store(&b.hd[0].nr_fail, 1);
	dma(&b, 0, ATA_READ_DMA, 5, 8);		/* the second try is good */
	check_done(&b);
	check_ram(&b, BENCH_DATA, b.hd[0].bytes + 5 * 512, 4096);
	atomic_store(&b.hd[0].nr_fail, 2);
	dma(&b, 0, ATA_READ_DMA, 5, 8);
	CHECK_EQ(bm_status(&b) & 7, BM_INT | BM_ACTIVE);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_UNC);
	CHECK_EQ(in(&b, ATA_LBAL), 5);
	bm_stop(&b);
	atomic_store(&b.hd[0].nr_fail, 1);
	dma(&b, 0, ATA_WRITE_DMA, 5, 8);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	bm_stop(&b);
	dma(&b, 0, ATA_READ_DMA, 1020, 8);
	CHECK_EQ(in(&b, ATA_STATUS), 0x51);
	CHECK_EQ(in(&b, ATA_ERROR), ATA_IDNF);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sectors_are_carried),
		cmocka_unit_test(registers_keep_what_they_can),
		cmocka_unit_test(a_list_longer_than_the_transfer_stays_active),
		cmocka_unit_test(a_list_shorter_than_the_transfer_leaves_the_drive_waiting),
		cmocka_unit_test(bad_lists_are_errors_of_the_bus),
		cmocka_unit_test(a_function_that_may_not_master_waits),
		cmocka_unit_test(the_engine_can_be_stopped_at_any_time),
		cmocka_unit_test(errors_end_a_transfer),
	};

	return cmocka_run_group_tests_name("ide_dma", tests, NULL, NULL);
}
