/*
 * vhdx_test.c - what requests do to a VHDX, what they cost, and how they fail
 */
#include "base/test.h"
#include "disk/fake.h"
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct vhdx_create dynamic = { .size = 64 * MIB, .block_size = (uint32_t)MIB };
static uint8_t buf[2 * MIB], got[2 * MIB];

static struct fake *new_image(const struct vhdx_create *conf)
{
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);

	CHECK_EQ(vhdx_format(a, conf, NULL), 0);
	aio_close(a);
	return f;
}

static struct blk *open_image(struct fake *f, unsigned flags)
{
	struct err err = { .msg = "" };
	struct blk *b = NULL;

	if (vhdx_open(fake_open(f, true, 1), "image", flags, NULL, &b, &err) < 0)
		fail_msg("%s", err.msg);
	return b;
}

static struct vhdx *inside(struct blk *b)
{
	return CONTAINER_OF(b, struct vhdx, blk);
}

static int put(struct blk *b, uint64_t off, int byte, size_t n)
{
	memset(buf, byte, n);
	return blk_rw_wait(b, BLK_WRITE, off, buf, n);
}

static int flush(struct blk *b)
{
	return blk_rw_wait(b, BLK_FLUSH, 0, NULL, 0);
}

static bool holds(struct blk *b, uint64_t off, int byte, size_t n)
{
	memset(buf, byte, n);
	memset(got, ~byte, n);
	CHECK_EQ(blk_rw_wait(b, BLK_READ, off, got, n), 0);
	return memcmp(buf, got, n) == 0;
}

/* The worker hands out what was given up after it answered the flush. */
static void wait_ready(struct blk *b, size_t nr)
{
	struct vhdx *v = inside(b);
	size_t now = 0;

	for (unsigned i = 0; i < 1000 && now < nr; i++) {
		pthread_mutex_lock(&v->lock);
		now = v->ready.nr;
		pthread_mutex_unlock(&v->lock);
		usleep(1000);
	}
	CHECK_EQ(now, nr);
}

static struct vhdx_header header(const struct fake *f, unsigned slot)
{
	struct vhdx_header h;

	fake_get(f, slot == 0 ? VHDX_HEADER_1 : VHDX_HEADER_2, &h, sizeof(h));
	return h;
}

/* BAT entry of a block in an image of ours: the BAT lies at 3 MiB. */
static uint64_t entry(const struct fake *f, uint64_t block)
{
	uint8_t e[8];

	fake_get(f, 3 * MIB + block * 8, e, 8);
	return ld64(e);
}

static void absent_blocks_read_as_zero_and_writes_stay(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);

	(void)s;
	CHECK(holds(b, 0, 0, 2 * MIB));
	CHECK_EQ(put(b, 5 * MIB - 4096, 0x11, 8192), 0);
	CHECK_EQ(put(b, 512, 0x22, 512), 0);
	CHECK(holds(b, 5 * MIB - 4096, 0x11, 8192));
	CHECK(holds(b, 5 * MIB + 4096, 0, 4096));
	blk_close(b);
	b = open_image(f, DISK_READ_ONLY);
	CHECK(holds(b, 5 * MIB - 4096, 0x11, 8192));
	CHECK(holds(b, 512, 0x22, 512));
	CHECK(holds(b, 0, 0, 512));
	CHECK_EQ(inside(b)->present, 3);
	CHECK(!inside(b)->log_dirty);
	blk_close(b);
	CHECK_EQ(fake_size(f), 7 * MIB);
	fake_free(f);
}

static void bad_requests_are_refused(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);

	(void)s;
	CHECK_EQ(put(b, 64 * MIB, 1, 512), -EINVAL);
	CHECK_EQ(put(b, 64 * MIB - 512, 1, 1024), -EINVAL);
	CHECK_EQ(put(b, UINT64_MAX - 511, 1, 1024), -EINVAL);
	CHECK_EQ(put(b, 100, 1, 512), -EINVAL);
	CHECK_EQ(put(b, 0, 1, 100), -EINVAL);
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 64 * MIB, NULL, 512), -EINVAL);
	CHECK_EQ(put(b, 0, 1, 0), 0);
	blk_close(b);
	b = open_image(f, DISK_READ_ONLY);
	CHECK_EQ(put(b, 0, 1, 512), -EROFS);
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 0, NULL, 512), -EROFS);
	CHECK_EQ(flush(b), 0);
	blk_close(b);
	fake_free(f);
}

static void a_flush_costs_two_syncs_for_any_number_of_allocations(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	uint64_t before;

	(void)s;
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(f), 0);		/* nothing was ever written */
	CHECK_EQ(put(b, 0, 1, 4096), 0);
	CHECK_EQ(flush(b), 0);
	before = fake_nr_syncs(f);
	for (uint64_t i = 1; i < 40; i++)
		CHECK_EQ(put(b, i * MIB, 1, 4096), 0);
	CHECK_EQ(fake_nr_syncs(f), before);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(f), before + 2);
	CHECK_EQ(put(b, 3 * MIB, 2, 4096), 0);	/* present: data only */
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(f), before + 3);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(f), before + 4);
	blk_close(b);
	fake_free(f);
}

static void identities_change_with_the_first_write_only(void **s)
{
	struct fake *f = new_image(&dynamic), *before = fake_clone(f);
	struct vhdx_header old = header(f, 1), new[2];
	struct blk *b = open_image(f, 0);

	(void)s;
	CHECK(holds(b, 0, 0, 4096));
	CHECK_EQ(flush(b), 0);
	blk_close(b);
	CHECK(fake_same(f, before));
	b = open_image(f, 0);
	CHECK_EQ(put(b, 0, 1, 4096), 0);
	blk_close(b);
	new[0] = header(f, 0);
	new[1] = header(f, 1);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(!guid_eq(&new[i].file_write, &old.file_write));
		CHECK(!guid_eq(&new[i].data_write, &old.data_write));
		CHECK(guid_is_zero(&new[i].log));
	}
	CHECK(guid_eq(&new[0].data_write, &new[1].data_write));
	CHECK_EQ(le64_get(new[1].sequence) > le64_get(new[0].sequence) ?
		 le64_get(new[1].sequence) - le64_get(new[0].sequence) :
		 le64_get(new[0].sequence) - le64_get(new[1].sequence), 1);
	fake_free(before);
	fake_free(f);
}

static void trim_gives_space_back_and_it_is_used_again(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	uint64_t was;

	(void)s;
	for (uint64_t i = 0; i < 8; i++)
		CHECK_EQ(put(b, i * MIB, 0x33, MIB), 0);
	CHECK_EQ(flush(b), 0);
	was = inside(b)->end;
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 0, NULL, 3 * MIB), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, 3 * MIB, NULL, MIB), 0);
	CHECK(holds(b, 0, 0, 2 * MIB));
	CHECK(holds(b, 2 * MIB, 0, 2 * MIB));
	CHECK(holds(b, 4 * MIB, 0x33, 2 * MIB));
	CHECK_EQ(put(b, 20 * MIB, 0x44, 512), 0);	/* not durably free yet: must grow */
	CHECK_EQ(inside(b)->end, was + MIB);
	CHECK_EQ(flush(b), 0);
	wait_ready(b, 4);
	for (uint64_t i = 21; i < 25; i++)
		CHECK_EQ(put(b, i * MIB, 0x44, 512), 0);
	CHECK_EQ(inside(b)->end, was + MIB);
	CHECK(holds(b, 21 * MIB + 512, 0, MIB - 512));
	blk_close(b);
	CHECK_EQ(entry(f, 0) & 7, BAT_UNMAPPED);
	CHECK_EQ(entry(f, 3) & 7, BAT_ZERO);
	CHECK_EQ(entry(f, 0) >> 3, 0);
	fake_free(f);
}

/* Somebody looked the block up before it was trimmed and is still on the way. */
static void trimmed_space_waits_for_those_in_flight(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	struct vhdx *v = inside(b);
	struct vreq slow = { .seq = 1 };

	(void)s;
	CHECK_EQ(put(b, 0, 0x33, MIB), 0);
	CHECK_EQ(flush(b), 0);
	pthread_mutex_lock(&v->lock);
	CHECK(v->moving_first == NULL);
	v->moving_first = v->moving_last = &slow;
	pthread_mutex_unlock(&v->lock);
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 0, NULL, MIB), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(put(b, MIB, 0x44, 512), 0);
	CHECK_EQ(flush(b), 0);		/* the worker is past the first commit's end */
	pthread_mutex_lock(&v->lock);
	CHECK_EQ(v->ready.nr + v->holes.nr, 0);
	CHECK_EQ(v->settling.nr, 1);
	CHECK(v->moving_first == &slow && v->moving_last == &slow);
	v->moving_first = v->moving_last = NULL;
	pthread_mutex_unlock(&v->lock);
	CHECK_EQ(put(b, 2 * MIB, 0x44, 512), 0);
	CHECK_EQ(flush(b), 0);
	wait_ready(b, 1);
	blk_close(b);
	fake_free(f);
}

static void trim_of_a_part_keeps_the_block(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);

	(void)s;
	CHECK_EQ(put(b, 0, 0x55, MIB), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, 4096, NULL, 8192), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 64 * KIB, NULL, 4096), 0);
	CHECK(holds(b, 0, 0x55, 4096));
	CHECK(holds(b, 4096, 0, 8192));
	CHECK(holds(b, 12288, 0x55, 4096));
	CHECK_EQ(inside(b)->present, 1);
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 0, NULL, 64 * MIB), 0);
	CHECK_EQ(inside(b)->present, 0);
	blk_close(b);
	CHECK_EQ(fake_size(f), 4 * MIB);
	fake_free(f);
}

static void a_fixed_disk_keeps_its_blocks(void **s)
{
	struct vhdx_create conf = { .size = 16 * MIB, .block_size = (uint32_t)MIB, .fixed = true };
	struct fake *f = new_image(&conf);
	struct blk *b = open_image(f, 0);

	(void)s;
	CHECK(!b->can_unmap);
	CHECK_EQ(fake_size(f), 20 * MIB);
	CHECK_EQ(put(b, 2 * MIB, 0x66, 2 * MIB), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 2 * MIB, NULL, MIB), 0);
	CHECK(holds(b, 2 * MIB, 0x66, MIB));
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, 2 * MIB, NULL, MIB), 0);
	CHECK(holds(b, 2 * MIB, 0, MIB));
	CHECK_EQ(inside(b)->present, 16);
	blk_close(b);
	CHECK_EQ(fake_size(f), 20 * MIB);
	CHECK_EQ(entry(f, 2), 6 * MIB | BAT_FULLY_PRESENT);
	fake_free(f);
}

static void disks_with_4096_byte_sectors(void **s)
{
	struct vhdx_create conf = { .size = 40 * MIB, .logical = 4096, .block_size = 2 << 20 };
	struct fake *f = new_image(&conf);
	struct blk *b = open_image(f, 0);

	(void)s;
	CHECK_EQ(b->logical, 4096);
	CHECK_EQ(put(b, 512, 1, 4096), -EINVAL);
	CHECK_EQ(put(b, 38 * MIB, 0x77, 2 * MIB), 0);
	blk_close(b);
	b = open_image(f, DISK_READ_ONLY);
	CHECK(holds(b, 38 * MIB, 0x77, 2 * MIB));
	blk_close(b);
	fake_free(f);
}

/* What lies behind the last block may be anything; new blocks must not show it. */
static void garbage_past_the_end_never_shows(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b;

	(void)s;
	memset(buf, 0xba, MIB);
	for (uint64_t i = 4; i < 12; i++)
		fake_put(f, i * MIB, buf, MIB);
	b = open_image(f, 0);
	CHECK_EQ(put(b, 7 * MIB, 0x11, 512), 0);
	CHECK(holds(b, 7 * MIB + 512, 0, MIB - 512));
	blk_close(b);
	CHECK_EQ(fake_size(f), 5 * MIB);
	fake_free(f);
}

/* An absent block that still names space: free, but not before the name is gone from the file. */
static void anchored_space_waits_for_a_commit(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	uint8_t e[8];

	(void)s;
	CHECK_EQ(put(b, 0, 0x11, MIB), 0);
	CHECK_EQ(put(b, MIB, 0x22, MIB), 0);
	blk_close(b);
	st64(e, (entry(f, 0) & ~UINT64_C(7)) | BAT_UNMAPPED);
	fake_put(f, 3 * MIB, e, 8);
	b = open_image(f, 0);
	CHECK(holds(b, 0, 0, MIB));
	CHECK_EQ(put(b, 2 * MIB, 0x33, 512), 0);
	CHECK_EQ(inside(b)->end, 7 * MIB);
	CHECK_EQ(flush(b), 0);
	wait_ready(b, 1);
	CHECK_EQ(put(b, 3 * MIB, 0x44, 512), 0);
	CHECK_EQ(inside(b)->end, 7 * MIB);
	CHECK(holds(b, 3 * MIB + 512, 0, MIB - 512));
	blk_close(b);
	CHECK_EQ(entry(f, 0), BAT_UNMAPPED);
	fake_free(f);
}

static void a_torn_region_table_is_repaired_by_writers_only(void **s)
{
	(void)s;
	for (unsigned i = 0; i < 2; i++) {
		struct fake *f = new_image(&dynamic), *good = fake_clone(f), *before;
		uint8_t table[2][VHDX_REGION_TABLE_LEN];
		struct blk *b;

		memset(buf, 0xff, 512);
		fake_put(f, (i == 0 ? VHDX_REGIONS_1 : VHDX_REGIONS_2) + 512, buf, 512);
		before = fake_clone(f);
		b = open_image(f, DISK_READ_ONLY);
		blk_close(b);
		CHECK(fake_same(f, before));
		b = open_image(f, 0);
		blk_close(b);
		fake_get(f, VHDX_REGIONS_1, table[0], sizeof(table[0]));
		fake_get(f, VHDX_REGIONS_2, table[1], sizeof(table[1]));
		CHECK_MEM(table[0], table[1], sizeof(table[0]));
		fake_get(good, VHDX_REGIONS_1, table[1], sizeof(table[1]));
		CHECK_MEM(table[0], table[1], sizeof(table[0]));
		b = open_image(f, DISK_READ_ONLY);
		CHECK(!inside(b)->log_dirty);
		blk_close(b);
		fake_free(before);
		fake_free(good);
		fake_free(f);
	}
}

/* The image as a kill -9 leaves it is dirty; a reader replays it in memory. */
static void a_dirty_log_is_replayed_in_memory_for_readers(void **s)
{
	struct fake *f = new_image(&dynamic), *killed, *before;
	struct blk *b = open_image(f, 0);

	(void)s;
	CHECK_EQ(put(b, 9 * MIB, 0x88, MIB), 0);
	CHECK_EQ(flush(b), 0);
	killed = fake_clone(f);
	blk_close(b);
	CHECK_EQ(entry(killed, 9), 0);
	before = fake_clone(killed);
	b = open_image(killed, DISK_READ_ONLY);
	CHECK(inside(b)->log_dirty);
	CHECK(holds(b, 9 * MIB, 0x88, MIB));
	blk_close(b);
	CHECK(fake_same(killed, before));
	b = open_image(killed, 0);
	CHECK(holds(b, 9 * MIB, 0x88, MIB));
	blk_close(b);
	CHECK_EQ(entry(killed, 9) & 7, BAT_FULLY_PRESENT);
	fake_free(before);
	fake_free(killed);
	fake_free(f);
}

static void left_alone_it_commits_and_becomes_clean(void **s)
{
	struct fake *f = new_image(&dynamic), *now;
	struct vhdx_header h;
	struct blk *b = open_image(f, 0);
	unsigned waits = 0;

	(void)s;
	inside(b)->commit_after = inside(b)->close_log_after = NS_PER_SEC / 100;
	CHECK_EQ(put(b, 0, 0x99, 4096), 0);
	do {
		usleep(20000);
		now = fake_clone(f);
		h = header(now, 0);
		if (le64_get(header(now, 1).sequence) > le64_get(h.sequence))
			h = header(now, 1);
		if (entry(now, 0) != 0 && guid_is_zero(&h.log))
			break;
		fake_free(now);
	} while (++waits < 200);
	CHECK(waits < 200);
	fake_free(now);
	CHECK_EQ(put(b, MIB, 0x99, 4096), 0);	/* and the log starts again */
	CHECK_EQ(flush(b), 0);
	blk_close(b);
	fake_free(f);
}

/* ---- failures ------------------------------------------------------------------ */

static void count_trouble(void *arg, int rc, const char *what)
{
	CHECK(rc < 0 && what != NULL);
	++*(unsigned *)arg;
}

static void a_failed_write_is_reported_and_can_be_repeated(void **s)
{
	static const int rcs[] = { -ENOSPC, -EIO };
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	unsigned trouble = 0;

	(void)s;
	b->trouble = count_trouble;
	b->trouble_arg = &trouble;
	CHECK_EQ(put(b, 0, 1, 4096), 0);
	CHECK_EQ(flush(b), 0);
	for (size_t i = 0; i < ARRAY_LEN(rcs); i++) {
		fake_fail(f, 1u << AIO_WRITE, 1, 1, rcs[i]);
		CHECK_EQ(put(b, (i + 1) * MIB, 2, 4096), rcs[i]);
		CHECK_EQ(trouble, i + 1);
		CHECK(holds(b, 0, 1, 4096));
		CHECK_EQ(put(b, (i + 1) * MIB, 3, 4096), 0);
		CHECK_EQ(flush(b), 0);
		CHECK(holds(b, (i + 1) * MIB, 3, 4096));
	}
	fake_fail(f, 1u << AIO_READ, 1, 1, -EIO);
	memset(got, 0, 512);
	CHECK_EQ(blk_rw_wait(b, BLK_READ, 0, got, 512), -EIO);
	CHECK(holds(b, 0, 1, 512));
	blk_close(b);
	fake_free(f);
}

/*
 * A session in which operation N fails, for every N: what was told to have
 * failed is repeated, and after a flush that was answered with success a
 * power cut that loses everything unsynced loses nothing.
 */
static bool one_fault(unsigned ops, uint64_t nth, uint64_t count, int rc)
{
	struct fake *f = new_image(&dynamic), *base = fake_clone(f), *cut;
	struct blk *b = open_image(f, 0);
	const struct event *ev;
	bool hit;
	size_t nr;

	fake_record(f, true);
	fake_fail(f, ops, nth, count, rc);
	for (uint64_t round = 0; round < 4; round++) {
		unsigned tries = 0;

		for (uint64_t i = 0; i < 4; i++)
			while (put(b, (round * 4 + i) * MIB, (int)(round + 1), 4096) < 0)
				CHECK(++tries < 50);
		while (round > 0 && blk_rw_wait(b, BLK_UNMAP, (round * 4 - 1) * MIB, NULL, MIB) < 0)
			CHECK(++tries < 50);
		while (flush(b) < 0)
			CHECK(++tries < 50);
	}
	fake_record(f, false);		/* the worker may still be punching holes */
	ev = fake_events(f, &nr);
	nr = fake_durable(ev, nr);
	cut = fake_clone(base);
	fake_apply(cut, ev, 0, nr);
	hit = fake_failed(f) > 0;
	fake_fail(f, 0, 0, 0, 0);
	blk_close(b);

	b = open_image(cut, 0);
	for (uint64_t i = 0; i < 16; i++)
		CHECK(holds(b, i * MIB, i % 4 == 3 && i < 15 ? 0 : (int)(i / 4 + 1), 4096));
	blk_close(b);
	b = open_image(f, DISK_READ_ONLY);
	CHECK(!inside(b)->log_dirty);
	for (uint64_t i = 0; i < 16; i++)
		CHECK(holds(b, i * MIB, i % 4 == 3 && i < 15 ? 0 : (int)(i / 4 + 1), 4096));
	blk_close(b);
	fake_free(cut);
	fake_free(base);
	fake_free(f);
	return hit;
}

static void any_operation_may_fail_and_nothing_is_lost(void **s)
{
	unsigned all = 1u << AIO_WRITE | 1u << AIO_SYNC | 1u << AIO_ALLOCATE | 1u << FAKE_TRUNCATE;
	uint64_t n, hits = 0;

	(void)s;
	for (n = 1; n < 60; n++)
		hits += one_fault(all, n, 1, n % 2 == 0 ? -EIO : -ENOSPC);
	CHECK(hits > 30); /* some operations come in the background, or after the end */
	CHECK(hits < 59);		/* or there are more operations than we tried */
	for (n = 1; n < 30; n += 3)
		CHECK(one_fault(all, n, 5, -EIO));
}

static void no_memory_is_an_error_not_a_crash(void **s)
{
	struct fake *f = new_image(&dynamic);
	unsigned ok = 0;

	(void)s;
	for (unsigned n = 1; n < 40 && ok < 2; n++) {
		struct blk *b = NULL;
		int rc;

		base_fail_alloc(n);
		rc = vhdx_open(fake_open(f, false, 0), "image", 0, NULL, &b, NULL);
		base_fail_alloc(0);
		CHECK(rc == 0 || rc == -ENOMEM);
		ok += rc == 0;
		if (rc == 0)
			blk_close(b);
	}
	CHECK(ok >= 1);
	fake_free(f);
}

/* ---- many at once ---------------------------------------------------------------- */

struct many {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned left;
	int rc;
};

static void many_done(struct blk_req *req, int rc)
{
	struct many *m = req->ctx;

	pthread_mutex_lock(&m->lock);
	if (rc < 0)
		m->rc = rc;
	if (--m->left == 0)
		pthread_cond_signal(&m->cond);
	pthread_mutex_unlock(&m->lock);
}

/* Every other sector of one new block, all in flight together. */
static void writers_of_one_new_block_share_it(void **s)
{
	enum { N = 256 };
	struct many m = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N, 0 };
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	struct blk_req *reqs = new_array(struct blk_req, N);
	struct iovec iov[N];

	(void)s;
	for (unsigned i = 0; i < N; i++) {
		memset(buf + i * 512, (int)(i | 1), 512);
		iov[i] = (struct iovec){ buf + i * 512, 512 };
		reqs[i] = (struct blk_req){
			.op = BLK_WRITE, .off = 10 * MIB + i * 1024, .len = 512, .iov = &iov[i],
			.nr_iov = 1, .done = many_done, .ctx = &m,
		};
		blk_submit(b, &reqs[i]);
	}
	blk_drain(b);
	CHECK_EQ(m.left, 0);
	CHECK_EQ(m.rc, 0);
	CHECK_EQ(inside(b)->present, 1);
	CHECK_EQ(blk_rw_wait(b, BLK_READ, 10 * MIB, got, N * 1024), 0);
	for (unsigned i = 0; i < N; i++) {
		CHECK_MEM(got + i * 1024, buf + i * 512, 512);
		CHECK_MEM(got + i * 1024 + 512, aio_zeros, 512);
	}
	blk_close(b);
	free(reqs);
	fake_free(f);
}

/* A request in odd pieces over blocks that lie scattered in the file. */
static void a_long_request_in_odd_pieces(void **s)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	struct many m = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0 };
	static struct iovec iov[3000];
	struct blk_req req = { .done = many_done, .ctx = &m, .iov = iov };
	size_t at = 0;

	(void)s;
	CHECK_EQ(put(b, 4 * MIB, 1, 512), 0);
	CHECK_EQ(put(b, 3 * MIB, 1, 512), 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 512);
	while (at < sizeof(buf)) {
		size_t n = min_u64(1 + (at * 2654435761u) % 1500, sizeof(buf) - at);

		iov[req.nr_iov++] = (struct iovec){ buf + at, n };
		at += n;
	}
	req.op = BLK_WRITE;
	req.off = 3 * MIB - 512 * 77;
	req.len = sizeof(buf);
	blk_submit(b, &req);
	blk_drain(b);
	CHECK_EQ(m.rc, 0);
	CHECK_EQ(blk_rw_wait(b, BLK_READ, req.off, got, sizeof(got)), 0);
	CHECK_MEM(got, buf, sizeof(got));
	blk_close(b);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_blocks_read_as_zero_and_writes_stay),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(a_flush_costs_two_syncs_for_any_number_of_allocations),
		cmocka_unit_test(identities_change_with_the_first_write_only),
		cmocka_unit_test(trim_gives_space_back_and_it_is_used_again),
		cmocka_unit_test(trimmed_space_waits_for_those_in_flight),
		cmocka_unit_test(trim_of_a_part_keeps_the_block),
		cmocka_unit_test(a_fixed_disk_keeps_its_blocks),
		cmocka_unit_test(disks_with_4096_byte_sectors),
		cmocka_unit_test(garbage_past_the_end_never_shows),
		cmocka_unit_test(anchored_space_waits_for_a_commit),
		cmocka_unit_test(a_torn_region_table_is_repaired_by_writers_only),
		cmocka_unit_test(a_dirty_log_is_replayed_in_memory_for_readers),
		cmocka_unit_test(left_alone_it_commits_and_becomes_clean),
		cmocka_unit_test(a_failed_write_is_reported_and_can_be_repeated),
		cmocka_unit_test(any_operation_may_fail_and_nothing_is_lost),
		cmocka_unit_test(no_memory_is_an_error_not_a_crash),
		cmocka_unit_test(writers_of_one_new_block_share_it),
		cmocka_unit_test(a_long_request_in_odd_pieces),
	};

	return cmocka_run_group_tests_name("vhdx", tests, NULL, NULL);
}
