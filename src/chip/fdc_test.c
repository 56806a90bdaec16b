#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/fdc.c"
#include "dev/fake_blk.h"

#define SIZE 1474560u
#define BUFFER 0x8000u			/* where DMA goes */

struct bench {
	struct rig r;
	void *dma;
	struct fake_blk disk;
};

static void setup(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	rig_pci(&b->r);
	CHECK_EQ(dev_new(&dma_dev, &b->r.env, NULL, &b->dma, NULL), 0);
	CHECK_EQ(fake_blk_init(&b->disk, SIZE, 512, false), 0);
	for (unsigned i = 0; i < SIZE; i++)
		b->disk.bytes[i] = (uint8_t)(i / 512 * 7 + i);
	rig_put(&b->r, &fdc_dev, &(struct fdc_conf){
		.port = 0x3f0, .irq = rig_irq(&b->r), .dma = b->dma, .media = { &b->disk.blk },
	});
}

static void teardown(struct bench *b)
{
	dev_free(&fdc_dev, b->r.dev);
	b->r.dev = NULL;
	dev_free(&dma_dev, b->dma);
	fake_blk_fini(&b->disk);
	rig_fini(&b->r);
}

static void wait_a_bit(struct bench *b)
{
	for (unsigned i = 0; i < 100; i++)
		clock_step(b->r.clock, SOON_NS);
}

static void send(struct bench *b, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(rig_in(&b->r, 0x3f4, 1) & (MSR_RQM | MSR_TO_HOST), MSR_RQM);
		rig_out(&b->r, 0x3f5, 1, bytes[i]);
	}
}
#define SEND(b, ...) \
	send((b), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void result_is(struct bench *b, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(rig_in(&b->r, 0x3f4, 1), MSR_RQM | MSR_TO_HOST | MSR_BUSY);
		CHECK_EQ(rig_in(&b->r, 0x3f5, 1), bytes[i]);
	}
	CHECK_EQ(rig_in(&b->r, 0x3f4, 1), MSR_RQM);
}
#define RESULT(b, ...) \
	result_is((b), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* As a BIOS: out of reset, motor on, 500 kbit/s, DMA. */
static void start(struct bench *b)
{
	rig_out(&b->r, 0x3f2, 1, 0);
	rig_out(&b->r, 0x3f2, 1, 0x1c);
	wait_a_bit(b);
	CHECK(b->r.level);
	for (unsigned i = 0; i < 4; i++) {
		SEND(b, 0x08);
		RESULT(b, (uint8_t)(0xc0 | i), 0);
		CHECK(!b->r.level);
	}
	SEND(b, 0x08);
	RESULT(b, 0x80);
	rig_out(&b->r, 0x3f7, 1, 0);
	SEND(b, 0x03, 0xaf, 0x02);
}

static void seek(struct bench *b, uint8_t cylinder)
{
	SEND(b, 0x0f, 0, cylinder);
	wait_a_bit(b);
	CHECK(b->r.level);
	SEND(b, 0x08);
	RESULT(b, 0x20, cylinder);
}

static void program_dma(struct bench *b, uint8_t mode, uint16_t n)
{
	rig_out(&b->r, 0x0a, 1, 6);
	rig_out(&b->r, 0x0c, 1, 0);
	rig_out(&b->r, 0x04, 1, BUFFER & 0xff);
	rig_out(&b->r, 0x04, 1, BUFFER >> 8);
	rig_out(&b->r, 0x81, 1, 0);
	rig_out(&b->r, 0x05, 1, (n - 1) & 0xff);
	rig_out(&b->r, 0x05, 1, (n - 1) >> 8);
	rig_out(&b->r, 0x0b, 1, mode | 2);
	rig_out(&b->r, 0x0a, 1, 2);
}

static const uint8_t *memory(struct bench *b, size_t n)
{
	static uint8_t buf[40 * 512];

	CHECK_EQ(gmem_read(b->r.mem, BUFFER, buf, n), 0);
	return buf;
}

static size_t where_is(unsigned c, unsigned h, unsigned r)
{
	return ((c * 2 + h) * 18 + r - 1) * 512;
}

static void it_starts_and_tells_what_it_is(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	SEND(&b, 0x10);
	RESULT(&b, 0x90);
	SEND(&b, 0x1f);			/* no such command */
	RESULT(&b, 0x80);
	SEND(&b, 0x13, 0, 0x57, 0);
	SEND(&b, 0x94);
	RESULT(&b, 0x10);
	SEND(&b, 0x0e);
	RESULT(&b, 0, 0, 0, 0, 0xaf, 0x02, 0, 0x80, 0x57, 0);
	SEND(&b, 0x04, 0);
	RESULT(&b, 0x38);
	SEND(&b, 0x18);
	RESULT(&b, 0x41);
	rig_out(&b.r, 0x3f4, 1, 0x80);	/* a soft reset leaves what is locked */
	wait_a_bit(&b);
	CHECK_EQ(((struct fdc *)b.r.dev)->config[0], 0x57);
	teardown(&b);
}

static void sectors_come_by_dma(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	seek(&b, 3);
	program_dma(&b, 0x44, 1024);
	SEND(&b, 0x46, 4, 3, 1, 5, 2, 18, 0x1b, 0xff);
	CHECK_EQ(rig_in(&b.r, 0x3f4, 1), MSR_BUSY);
	wait_a_bit(&b);
	CHECK(b.r.level);
	RESULT(&b, 4, 0, 0, 3, 1, 7, 2);
	CHECK_MEM(memory(&b, 1024), b.disk.bytes + where_is(3, 1, 5), 1024);
	/* Over to the other side with MT, to the end of the cylinder. */
	program_dma(&b, 0x44, 3 * 512);
	SEND(&b, 0xc6, 0, 3, 0, 17, 2, 18, 0x1b, 0xff);
	wait_a_bit(&b);
	RESULT(&b, 4, 0, 0, 3, 1, 2, 2);
	CHECK_MEM(memory(&b, 3 * 512), b.disk.bytes + where_is(3, 0, 17), 3 * 512);
	/* No terminal count: the end of the track is an error. */
	program_dma(&b, 0x44, 4096);
	SEND(&b, 0x46, 0, 3, 0, 18, 2, 18, 0x1b, 0xff);
	wait_a_bit(&b);
	RESULT(&b, 0x40, ST1_END, 0, 4, 0, 1, 2);
	teardown(&b);
}

static void sectors_go_and_tracks_are_formatted(void **s)
{
	uint8_t ids[18 * 4];
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	seek(&b, 1);
	memset(ids, 0x42, sizeof(ids));
	CHECK_EQ(gmem_zero(b.r.mem, BUFFER, 1024), 0);
	CHECK_EQ(gmem_write(b.r.mem, BUFFER, "written", 7), 0);
	program_dma(&b, 0x48, 1024);
	SEND(&b, 0x45, 0, 1, 0, 2, 2, 18, 0x1b, 0xff);
	wait_a_bit(&b);
	RESULT(&b, 0, 0, 0, 1, 0, 4, 2);
	CHECK_MEM(b.disk.bytes + where_is(1, 0, 2), "written\0", 8);
	CHECK_EQ(b.disk.fua, 2);
	for (unsigned i = 0; i < 18; i++)
		memcpy(ids + 4 * i, (const uint8_t[]){ 1, 1, (uint8_t)(i + 1), 2 }, 4);
	CHECK_EQ(gmem_write(b.r.mem, BUFFER, ids, sizeof(ids)), 0);
	program_dma(&b, 0x48, sizeof(ids));
	SEND(&b, 0x4d, 4, 2, 18, 0x6c, 0xf6);
	wait_a_bit(&b);
	RESULT(&b, 4, 0, 0, 1, 1, 18, 2);
	for (unsigned i = 0; i < 18 * 512; i++)
		CHECK_EQ(b.disk.bytes[where_is(1, 1, 1) + i], 0xf6);
	CHECK(b.disk.bytes[where_is(2, 0, 1)] != 0xf6 || b.disk.bytes[where_is(2, 0, 1) + 1] != 0xf6);
	b.disk.blk.read_only = true;
	program_dma(&b, 0x48, 512);
	SEND(&b, 0x45, 0, 1, 0, 1, 2, 18, 0x1b, 0xff);
	RESULT(&b, 0x40, ST1_READ_ONLY, 0, 1, 0, 1, 2);
	SEND(&b, 0x04, 0);
	RESULT(&b, 0x68);
	teardown(&b);
}

static void sectors_come_through_the_port(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	SEND(&b, 0x03, 0xaf, 0x03);		/* no DMA */
	SEND(&b, 0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	for (unsigned sector = 17; sector <= 18; sector++) {
		wait_a_bit(&b);
		CHECK(b.r.level);
		for (unsigned i = 0; i < 512; i++) {
			CHECK_EQ(rig_in(&b.r, 0x3f4, 1), 0xf0);
			CHECK_EQ(rig_in(&b.r, 0x3f5, 1), b.disk.bytes[where_is(0, 0, sector) + i]);
		}
	}
	RESULT(&b, 0x40, ST1_END, 0, 1, 0, 1, 2);
	SEND(&b, 0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	for (unsigned i = 0; i < 512; i++) {
		CHECK_EQ(rig_in(&b.r, 0x3f4, 1), 0xb0);
		rig_out(&b.r, 0x3f5, 1, 0x5a);
	}
	wait_a_bit(&b);
	RESULT(&b, 0x40, ST1_END, 0, 1, 0, 1, 2);
	CHECK_EQ(b.disk.bytes[where_is(0, 0, 18) + 511], 0x5a);
	teardown(&b);
}

/* A seek that ends while another command is under way, or being given, says so after it. */
static void a_seek_waits_for_its_turn(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	SEND(&b, 0x0f, 1, 5);
	SEND(&b, 0x0a, 0);
	CHECK(b.r.level);
	wait_a_bit(&b);
	RESULT(&b, 0, 0, 0, 0, 0, 1, 2);
	CHECK(!b.r.level);
	wait_a_bit(&b);
	CHECK(b.r.level);
	SEND(&b, 0x08);
	RESULT(&b, 0x21, 5);
	CHECK(!b.r.level);
	SEND(&b, 0x0f, 0, 7);
	SEND(&b, 0x03);
	wait_a_bit(&b);
	CHECK(!b.r.level);
	SEND(&b, 0xaf, 0x02);
	wait_a_bit(&b);
	CHECK(b.r.level);
	SEND(&b, 0x08);
	RESULT(&b, 0x20, 7);
	wait_a_bit(&b);
	CHECK(!b.r.level);
	teardown(&b);
}

static void what_is_not_there_is_not_found(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	SEND(&b, 0x4a, 4);
	RESULT(&b, 4, 0, 0, 0, 1, 1, 2);
	rig_out(&b.r, 0x3f7, 1, 2);		/* at another density */
	SEND(&b, 0x4a, 0);
	RESULT(&b, 0x40, ST1_MISSING, 0, 0, 0, 1, 2);
	rig_out(&b.r, 0x3f7, 1, 0);
	program_dma(&b, 0x44, 512);
	SEND(&b, 0x46, 0, 0, 0, 19, 2, 19, 0x1b, 0xff);
	RESULT(&b, 0x40, ST1_NO_DATA, 0, 0, 0, 19, 2);
	SEND(&b, 0x46, 0, 5, 0, 1, 2, 18, 0x1b, 0xff);	/* not where the head is */
	RESULT(&b, 0x40, ST1_NO_DATA, ST2_WRONG_CYLINDER, 5, 0, 1, 2);
	SEND(&b, 0x46, 1, 0, 0, 1, 2, 18, 0x1b, 0xff);	/* drive B is empty */
	RESULT(&b, 0x41, ST1_MISSING, 0, 0, 0, 1, 2);
	b.disk.fail = -EIO;
	b.disk.nr_fail = 1;
	SEND(&b, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	wait_a_bit(&b);
	RESULT(&b, 0x40, ST1_CRC, 0, 0, 0, 1, 2);
	teardown(&b);
}

static void the_drive_tells_of_another_disk(void **s)
{
	struct fake_blk other, odd;
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	CHECK_EQ(rig_in(&b.r, 0x3f7, 1), 0x80);
	seek(&b, 1);
	CHECK_EQ(rig_in(&b.r, 0x3f7, 1), 0);
	CHECK_EQ(fake_blk_init(&other, 737280, 512, false), 0);
	CHECK_EQ(fake_blk_init(&odd, 1 * MIB, 512, false), 0);
	CHECK_EQ(fdc_change(b.r.dev, 0, &odd.blk), -EINVAL);
	CHECK_EQ(fdc_change(b.r.dev, 2, &other.blk), -ENODEV);
	CHECK_EQ(fdc_change(b.r.dev, 0, &other.blk), 0);
	CHECK_EQ(rig_in(&b.r, 0x3f7, 1), 0x80);
	SEND(&b, 0x4a, 0);
	RESULT(&b, 0x40, ST1_MISSING, 0, 1, 0, 1, 2);
	rig_out(&b.r, 0x3f7, 1, 2);		/* 720 KiB at 250 kbit/s */
	SEND(&b, 0x4a, 0);
	RESULT(&b, 0, 0, 0, 1, 0, 1, 2);
	CHECK_EQ(fdc_change(b.r.dev, 0, NULL), 0);
	seek(&b, 0);
	CHECK_EQ(rig_in(&b.r, 0x3f7, 1), 0x80);	/* a step does not help an empty drive */
	fake_blk_fini(&other);
	fake_blk_fini(&odd);
	CHECK_EQ(fdc_drive_of(1474560), 4);
	CHECK_EQ(fdc_drive_of(1228800), 2);
	CHECK_EQ(fdc_drive_of(1474561), 0);
	teardown(&b);
}

/* A reset with a request under way: it is forgotten, and the next command waits for it. */
static void a_reset_forgets_what_was_asked(void **s)
{
	struct bench b;

	(void)s;
	setup(&b);
	start(&b);
	b.disk.manual = true;
	program_dma(&b, 0x44, 512);
	SEND(&b, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	start(&b);
	program_dma(&b, 0x44, 512);
	SEND(&b, 0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	wait_a_bit(&b);
	CHECK_EQ(rig_in(&b.r, 0x3f4, 1), MSR_BUSY);
	CHECK_EQ(fdc_change(b.r.dev, 0, NULL), -EBUSY);
	CHECK_EQ(fake_blk_finish(&b.disk), 1);
	wait_a_bit(&b);
	CHECK_EQ(fake_blk_finish(&b.disk), 1);
	wait_a_bit(&b);
	RESULT(&b, 0, 0, 0, 0, 0, 3, 2);
	CHECK_MEM(memory(&b, 512), b.disk.bytes + where_is(0, 0, 2), 512);
	teardown(&b);
}

/* In the middle of a write: what the guest gave is in the state, and arrives. */
static void a_write_survives_a_saved_state(void **s)
{
	uint8_t state[1024];
	struct bench a, b;
	size_t n;

	(void)s;
	setup(&a);
	setup(&b);
	start(&a);
	a.disk.manual = true;
	CHECK_EQ(gmem_write(a.r.mem, BUFFER, "precious", 8), 0);
	program_dma(&a, 0x48, 512);
	SEND(&a, 0x45, 0, 0, 0, 9, 2, 18, 0x1b, 0xff);
	n = state_save(fdc_dev.state, a.r.dev, state, sizeof(state));
	CHECK(n <= sizeof(state));
	clock_step(b.r.clock, clock_now_ns(a.r.clock));
	CHECK_EQ(state_load(fdc_dev.state, b.r.dev, state, n, NULL), 0);
	CHECK_EQ(fdc_loaded(b.r.dev, NULL), 0);
	wait_a_bit(&b);
	CHECK(b.r.level);
	RESULT(&b, 0, 0, 0, 0, 0, 10, 2);
	CHECK_MEM(b.disk.bytes + where_is(0, 0, 9), "precious", 8);
	(void)fake_blk_finish(&a.disk);
	teardown(&a);
	((struct fdc *)b.r.dev)->phase = PHASE_FIFO;
	CHECK_EQ(fdc_loaded(b.r.dev, NULL), -EBADMSG);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_starts_and_tells_what_it_is),
		cmocka_unit_test(sectors_come_by_dma),
		cmocka_unit_test(sectors_go_and_tracks_are_formatted),
		cmocka_unit_test(sectors_come_through_the_port),
		cmocka_unit_test(a_seek_waits_for_its_turn),
		cmocka_unit_test(what_is_not_there_is_not_found),
		cmocka_unit_test(the_drive_tells_of_another_disk),
		cmocka_unit_test(a_reset_forgets_what_was_asked),
		cmocka_unit_test(a_write_survives_a_saved_state),
	};

	return cmocka_run_group_tests_name("fdc", tests, NULL, NULL);
}
