/*
 * vhd_test.c - what requests do to a VHD, what they cost, and how they fail
 */
#include "base/test.h"
#include "disk/fake.h"
#include "disk/vhd_create.c"

#include <unistd.h>

#define BLOCK (512 * KIB)
#define LEVELS 3

static const struct vhd_create dynamic = { .size = 16 * MIB, .block_size = (uint32_t)BLOCK };
static const struct vhd_create fixed = { .kind = VHD_MAKE_FIXED, .size = 16 * MIB };
static const struct vhd_create child = {
	.kind = VHD_MAKE_DIFFERENCING, .block_size = (uint32_t)BLOCK,
};
static uint8_t buf[2 * MIB], got[2 * MIB];

static struct fake *new_image(const struct vhd_create *conf)
{
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);

	CHECK_EQ(vhd_format(a, conf, NULL), 0);
	aio_close(a);
	return f;
}

static struct vhd_footer footer_at(const struct fake *f, uint64_t off)
{
	struct vhd_footer foot;

	fake_get(f, off, &foot, sizeof(foot));
	return foot;
}

static struct fake *new_child(const struct vhd_create *conf, const struct fake *parent)
{
	const struct vhd_footer foot = footer_at(parent, fake_size(parent) - 512);
	const struct vhd_over over = {
		.size = be64_get(foot.size), .id = foot.id, .absolute = "/d/p.vhd",
		.relative = "./p.vhd",
	};
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);

	CHECK_EQ(vhd_format_over(a, conf, &over, NULL), 0);
	aio_close(a);
	return f;
}

static struct blk *open_on(struct fake *f, unsigned flags, struct blk *parent)
{
	struct err err = { .msg = "" };
	struct blk *b = NULL;

	if (vhd_open_on(fake_open(f, true, 1), "image", flags, parent, &b, &err) < 0)
		fail_msg("%s", err.msg);
	return b;
}

static struct blk *open_image(struct fake *f, unsigned flags)
{
	return open_on(f, flags, NULL);
}

static struct vhd *inside(struct blk *b)
{
	return CONTAINER_OF(b, struct vhd, blk);
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

/* ---- layout --------------------------------------------------------------------- */

/* Offsets of images that Windows made of the same size. */
static void the_layout_is_windows_own(void **s)
{
	const struct vhd_create conf = { .size = 4 * MIB };
	struct fake *f = new_image(&conf), *c;
	struct blk *b;
	struct vhd_header h;
	uint8_t e[4], bitmap[512];

	(void)s;
	CHECK_EQ(fake_size(f), 0x1e00 + 512);
	b = open_image(f, 0);
	CHECK_EQ(put(b, 512, 1, 512), 0);
	CHECK_EQ(put(b, 2 * MIB, 1, 512), 0);
	blk_close(b);
	fake_get(f, 0x600, e, 4);
	CHECK_EQ(ldbe32(e) * 512, 0x1e00);
	fake_get(f, 0x604, e, 4);
	CHECK_EQ(ldbe32(e) * 512, 0x202e00);
	CHECK_EQ(fake_size(f), 0x403e00 + 512);
	fake_get(f, 0x1e00, bitmap, 512);
	for (unsigned i = 0; i < 512; i++)
		CHECK_EQ(bitmap[i], 0xff);

	c = new_child(&(struct vhd_create){ .kind = VHD_MAKE_DIFFERENCING }, f);
	b = open_on(c, 0, open_image(f, DISK_READ_ONLY));
	CHECK_EQ(put(b, 512 * 9, 1, 512), 0);
	blk_close(b);
	fake_get(c, 0x200, &h, sizeof(h));
	CHECK_MEM(h.loc[0].code, "W2ku", 4);
	CHECK_EQ(be64_get(h.loc[0].offset), 0x1000);
	CHECK_MEM(h.loc[1].code, "W2ru", 4);
	CHECK_EQ(be64_get(h.loc[1].offset), 0x3000);
	CHECK_EQ(be64_get(h.bat_offset), 0x2000);
	CHECK_EQ(be32_get(h.parent_time), 0);
	fake_get(c, 0x2000, e, 4);
	CHECK_EQ(ldbe32(e) * 512, 0x13e00);
	fake_get(c, 0x13e00, bitmap, 512);
	CHECK_EQ(bitmap[0], 0);
	CHECK_EQ(bitmap[1], 0x40);		/* sector 9: the second bit from the top */
	CHECK_EQ(fake_size(c), 0x214e00 + 512);
	fake_free(c);
	fake_free(f);
}

/* Sizes and geometries that Windows and Virtual PC wrote. */
static void geometry_is_as_others_compute_it(void **s)
{
	static const struct { uint64_t size; unsigned c, h, s; } rows[] = {
		{ 4 * MIB, 120, 4, 17 },
		{ 10485760, 301, 4, 17 },
		{ 136365211648, 65278, 16, 255 },
		{ VHD_MAX_SIZE, 65535, 16, 255 },
		{ UINT64_C(65535) * 16 * 63 * 512 - 512, 65534, 16, 63 },
		{ UINT64_C(65535) * 16 * 63 * 512, 16191, 16, 255 },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vhd_footer f;

		put_geometry(&f, rows[i].size);
		CHECK_EQ(be16_get(f.cylinders), rows[i].c);
		CHECK_EQ(f.heads, rows[i].h);
		CHECK_EQ(f.sectors, rows[i].s);
	}
}

static void the_way_to_a_parent(void **s)
{
	static const struct { const char *folder, *path, *way; } rows[] = {
		{ "/a/b", "/a/b/p.vhd", "./p.vhd" },
		{ "/a/b", "/a/b/c/p.vhd", "./c/p.vhd" },
		{ "/a/b", "/a/p.vhd", "../p.vhd" },
		{ "/a/b", "/a/bc/p.vhd", "../bc/p.vhd" },
		{ "/a/bc", "/a/b/p.vhd", "../b/p.vhd" },
		{ "/", "/p.vhd", "./p.vhd" },
		{ "/a", "/p.vhd", "../p.vhd" },
		{ "/a/b/c", "/x/p.vhd", "../../../x/p.vhd" },
	};
	char out[64];

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK(parent_way_between(rows[i].folder, rows[i].path, out, sizeof(out)));
		CHECK_STR(out, rows[i].way);
	}
	CHECK(!parent_way_between("/a/b/c/d/e/f/g", "/x", out, 12));
}

/* ---- content ---------------------------------------------------------------------- */

struct stack {
	struct fake *f[LEVELS];
	unsigned nr;
};

static struct blk *open_stack(struct stack *st, unsigned flags)
{
	struct blk *b = NULL;

	for (unsigned i = 0; i < st->nr; i++)
		b = open_on(st->f[i], i + 1 < st->nr ? DISK_READ_ONLY : flags, b);
	return b;
}

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Random requests, the same ones to MODEL; what a trim leaves is asked for. */
static void scribble(struct blk *b, uint8_t *model, uint64_t *x, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		uint64_t dice = rnd(x) % 16, off = rnd(x) % (b->size / 512) * 512;
		uint64_t n = 512 * (1 + rnd(x) % (dice < 10 ? 40 : 2000));

		n = min_u64(min_u64(n, b->size - off), sizeof(buf));
		if (dice < 12) {
			CHECK_EQ(put(b, off, (int)(1 + rnd(x) % 255), n), 0);
			memcpy(model + off, buf, n);
		} else if (dice == 12) {
			CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, off, NULL, n), 0);
			memset(model + off, 0, n);
		} else if (dice == 13) {
			CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, off, NULL, n), 0);
			CHECK_EQ(blk_rw_wait(b, BLK_READ, off, got, n), 0);
			for (uint64_t k = 0; k < n; k++)
				CHECK(got[k] == 0 || got[k] == model[off + k]);
			memcpy(model + off, got, n);
		} else if (dice == 14) {
			CHECK_EQ(flush(b), 0);
		} else {
			CHECK_EQ(blk_rw_wait(b, BLK_READ, off, got, n), 0);
			CHECK_MEM(got, model + off, n);
		}
	}
}

static void compare(struct blk *b, const uint8_t *model)
{
	for (uint64_t off = 0, n; off < b->size; off += n) {
		n = min_u64(sizeof(got), b->size - off);
		CHECK_EQ(blk_rw_wait(b, BLK_READ, off, got, n), 0);
		CHECK_MEM(got, model + off, n);
	}
}

/* Fixed and dynamic bases of even and odd sizes, and children on children of them. */
static void every_type_holds_what_was_written(void **s)
{
	static const struct vhd_create bases[] = {
		{ .size = 16 * MIB, .block_size = 512 * 1024 },
		{ .size = 9 * MIB + 512 },
		{ .kind = VHD_MAKE_FIXED, .size = 5 * MIB + 1536 },
	};
	uint64_t x = 99;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		uint8_t *model = calloc(1, bases[i].size);
		struct stack st = { .nr = 0 };

		while (st.nr < LEVELS) {
			struct blk *b;

			st.f[st.nr] = st.nr == 0 ? new_image(&bases[i]) :
						   new_child(&child, st.f[st.nr - 1]);
			st.nr++;
			for (unsigned round = 0; round < 3; round++) {
				b = open_stack(&st, 0);
				CHECK_EQ(b->size, bases[i].size);
				scribble(b, model, &x, 120);
				compare(b, model);
				blk_close(b);
				b = open_stack(&st, DISK_READ_ONLY);
				compare(b, model);
				blk_close(b);
			}
		}
		for (unsigned k = 0; k < LEVELS; k++)
			fake_free(st.f[k]);
		free(model);
	}
}

static void a_parent_never_shows_through_again(void **s)
{
	struct stack st = { .nr = 2 };
	struct fake *before;
	struct blk *b;

	(void)s;
	st.f[0] = new_image(&fixed);
	b = open_image(st.f[0], 0);
	for (uint64_t off = 0; off < 16 * MIB; off += 2 * MIB)
		CHECK_EQ(put(b, off, 0x77, 2 * MIB), 0);
	blk_close(b);
	before = fake_clone(st.f[0]);
	st.f[1] = new_child(&child, st.f[0]);
	b = open_stack(&st, 0);
	CHECK_EQ(put(b, 1024, 0x11, 512), 0);
	CHECK(holds(b, 1024, 0x11, 512));
	CHECK(holds(b, 0, 0x77, 1024));
	CHECK(holds(b, 1536, 0x77, MIB));
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 0, NULL, 2 * MIB), 0);
	CHECK(holds(b, 1024, 0, 512));
	CHECK(holds(b, 1536, 0x77, 512));
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, MIB, NULL, MIB), 0);
	CHECK(holds(b, MIB, 0, MIB));
	blk_close(b);
	b = open_stack(&st, DISK_READ_ONLY);
	CHECK(holds(b, 1024, 0, 512));
	CHECK(holds(b, MIB, 0, MIB));
	CHECK(holds(b, 2 * MIB, 0x77, MIB));
	blk_close(b);
	CHECK(fake_same(st.f[0], before));	/* nobody wrote to the parent */
	fake_free(before);
	fake_free(st.f[0]);
	fake_free(st.f[1]);
}

static void bad_requests_are_refused(void **s)
{
	const struct vhd_create *const confs[] = { &dynamic, &fixed };

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(confs); i++) {
		struct fake *f = new_image(confs[i]);
		struct blk *b = open_image(f, 0);

		CHECK_EQ(put(b, 16 * MIB, 1, 512), -EINVAL);
		CHECK_EQ(put(b, 16 * MIB - 512, 1, 1024), -EINVAL);
		CHECK_EQ(put(b, 100, 1, 512), -EINVAL);
		CHECK_EQ(put(b, 0, 1, 100), -EINVAL);
		CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, UINT64_MAX - 511, NULL, 512), -EINVAL);
		CHECK_EQ(put(b, 0, 1, 0), 0);
		blk_close(b);
		b = open_image(f, DISK_READ_ONLY);
		CHECK_EQ(put(b, 0, 1, 512), -EROFS);
		CHECK_EQ(flush(b), 0);
		blk_close(b);
		fake_free(f);
	}
}

/* ---- footers -------------------------------------------------------------------------- */

static void break_at(struct fake *f, uint64_t off)
{
	uint8_t byte;

	fake_get(f, off, &byte, 1);
	byte ^= 0x5a;
	fake_put(f, off, &byte, 1);
}

static struct fake *written(void)
{
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);

	CHECK_EQ(put(b, 3 * MIB, 0x42, 4096), 0);
	blk_close(b);
	return f;
}

/* Open, read, write, close; both footers are there again. */
static void goes_on(struct fake *f)
{
	struct fake *before = fake_clone(f);
	struct vhd_footer tail, copy;
	struct blk *b = open_image(f, DISK_READ_ONLY);

	CHECK(holds(b, 3 * MIB, 0x42, 4096));
	CHECK(holds(b, 3 * MIB + 4096, 0, 4096));
	blk_close(b);
	CHECK(fake_same(f, before));
	fake_free(before);
	b = open_image(f, 0);
	CHECK_EQ(put(b, 5 * MIB, 0x43, 512), 0);
	CHECK(holds(b, 5 * MIB + 512, 0, BLOCK - 512));
	CHECK(holds(b, 3 * MIB, 0x42, 4096));
	blk_close(b);
	tail = footer_at(f, fake_size(f) - 512);
	copy = footer_at(f, 0);
	CHECK_MEM(&tail, &copy, 512);
	CHECK_MEM(&tail, "conectix", 8);
	b = open_image(f, DISK_READ_ONLY);
	CHECK(!inside(b)->tail_bad && !inside(b)->head_bad);
	CHECK(holds(b, 5 * MIB, 0x43, 512));
	blk_close(b);
}

static void either_footer_will_do(void **s)
{
	uint8_t junk[4096];
	struct err err;
	struct fake *f;
	struct blk *b;
	uint64_t size;

	(void)s;
	memset(junk, 0xa5, sizeof(junk));
	f = written();			/* the end is torn */
	break_at(f, fake_size(f) - 300);
	goes_on(f);
	fake_free(f);
	f = written();			/* the copy is torn */
	break_at(f, 100);
	goes_on(f);
	fake_free(f);
	f = written();			/* the end is gone */
	fake_resize(f, fake_size(f) - 512);
	goes_on(f);
	fake_free(f);
	f = written();			/* the file grew, and what is there is anything */
	for (unsigned i = 0; i < 400; i++)
		fake_put(f, fake_size(f), junk, sizeof(junk));
	goes_on(f);
	fake_free(f);
	f = written();			/* as very old programs wrote it */
	size = fake_size(f);
	fake_get(f, 0, junk, 512);
	fake_put(f, size - 512, junk, 511);
	fake_resize(f, size - 1);
	goes_on(f);
	fake_free(f);
	f = written();			/* none is left */
	break_at(f, fake_size(f) - 300);
	break_at(f, 100);
	CHECK_EQ(vhd_open_on(fake_open(f, false, 0), "image", 0, NULL, &b, &err), -EBADMSG);
	CHECK(strstr(err.msg, "checksum") != NULL);
	fake_free(f);
	f = new_image(&fixed);		/* what starts a fixed disk is the guest's */
	fake_get(f, fake_size(f) - 512, junk, 512);
	fake_put(f, 0, junk, 512);
	break_at(f, fake_size(f) - 300);
	CHECK_EQ(vhd_open_on(fake_open(f, false, 0), "image", 0, NULL, &b, &err), -EBADMSG);
	fake_free(f);
}

static void a_short_footer_of_a_fixed_disk_stays(void **s)
{
	struct fake *f = new_image(&fixed);
	struct blk *b;

	(void)s;
	fake_resize(f, fake_size(f) - 1);
	b = open_image(f, 0);
	CHECK_EQ(b->size, 16 * MIB);
	CHECK_EQ(put(b, 16 * MIB - 512, 0x31, 512), 0);
	blk_close(b);
	CHECK_EQ(fake_size(f), 16 * MIB + 511);
	b = open_image(f, DISK_READ_ONLY);
	CHECK(holds(b, 16 * MIB - 512, 0x31, 512));
	blk_close(b);
	fake_free(f);
}

static void a_disk_in_saved_state_is_only_read(void **s)
{
	struct fake *f = written();
	struct vhd_footer foot = footer_at(f, 0);
	struct err err;
	struct blk *b;

	(void)s;
	foot.saved_state = 1;
	foot.checksum = be32_of(vhd_checksum(&foot, 512, offsetof(struct vhd_footer, checksum)));
	fake_put(f, 0, &foot, 512);
	fake_put(f, fake_size(f) - 512, &foot, 512);
	CHECK_EQ(vhd_open_on(fake_open(f, false, 0), "image", 0, NULL, &b, &err), -EBUSY);
	CHECK(strstr(err.msg, "saved state") != NULL);
	b = open_image(f, DISK_READ_ONLY);
	CHECK(holds(b, 3 * MIB, 0x42, 4096));
	blk_close(b);
	fake_free(f);
}

/* VirtualBox marks only what was written; we read all, and leave a full bitmap behind. */
static void a_block_of_a_dynamic_disk_becomes_full(void **s)
{
	struct fake *f = written();
	uint8_t bits[512] = { 0xff }, e[4];
	struct blk *b;
	uint64_t at;

	(void)s;
	fake_get(f, 0x600 + 6 * 4, e, 4);
	at = (uint64_t)ldbe32(e) * 512;
	fake_put(f, at, bits, 128);
	b = open_image(f, 0);
	CHECK(holds(b, 3 * MIB, 0x42, 4096));
	CHECK(holds(b, 3 * MIB + 4096, 0, 4096));
	CHECK_EQ(put(b, 3 * MIB + 300 * 512, 0x43, 512), 0);
	CHECK_EQ(flush(b), 0);
	fake_get(f, at, bits, 128);
	for (unsigned i = 0; i < 128; i++)
		CHECK_EQ(bits[i], 0xff);
	blk_close(b);
	fake_free(f);
}

/* ---- cost -------------------------------------------------------------------------------- */

static void a_flush_costs_two_syncs_for_any_number_of_blocks(void **s)
{
	struct stack st = { .nr = 2 };
	struct fake *f = new_image(&dynamic);
	struct blk *b = open_image(f, 0);
	uint64_t before;

	(void)s;
	CHECK_EQ(put(b, 0, 1, 512), 0);		/* the session, and room for all */
	CHECK_EQ(flush(b), 0);
	before = fake_nr_syncs(f);
	for (uint64_t i = 1; i < 32; i++)
		CHECK_EQ(put(b, i * BLOCK, 1, 512), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(f) - before, 2);
	for (uint64_t i = 0; i < 32; i++)
		CHECK_EQ(put(b, i * BLOCK, 2, 512), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(f) - before, 3);	/* nothing but data */
	blk_close(b);
	st.f[0] = f;
	st.f[1] = new_child(&child, f);
	b = open_stack(&st, 0);
	CHECK_EQ(put(b, 0, 1, 512), 0);
	CHECK_EQ(flush(b), 0);
	before = fake_nr_syncs(st.f[1]);
	for (uint64_t i = 0; i < 32; i++)
		CHECK_EQ(put(b, i * BLOCK + 512, 1, 512), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(st.f[1]) - before, 2);
	for (uint64_t i = 0; i < 32; i++)
		CHECK_EQ(put(b, i * BLOCK + 512, 2, 512), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(st.f[1]) - before, 3);
	blk_close(b);
	fake_free(st.f[0]);
	fake_free(st.f[1]);
}

/* ---- failures ------------------------------------------------------------------------------ */

/* The NTH write, sync or truncation fails once; what was answered for holds all the same. */
static void failures_are_told_and_lose_nothing(void **s)
{
	static const unsigned ops[] = { 1u << AIO_WRITE, 1u << AIO_SYNC, 1u << AIO_READ,
					1u << FAKE_TRUNCATE };
	struct fake *base = new_image(&fixed);

	(void)s;
	for (size_t k = 0; k < ARRAY_LEN(ops) * 2; k++)
		for (uint64_t nth = 1; nth < 40; nth++) {
			bool diff = k >= ARRAY_LEN(ops);
			struct stack st = { .f = { base }, .nr = 1 + diff };
			struct fake *f = diff ? new_child(&child, base) : new_image(&dynamic);
			uint8_t sure[12] = { 0 };
			struct blk *b;

			st.f[st.nr - 1] = f;
			b = open_stack(&st, 0);
			fake_fail(f, ops[k % ARRAY_LEN(ops)], nth, 1, -EIO);
			for (unsigned i = 0; i < 24; i++) {
				uint64_t off = (uint64_t)(i % 12) * BLOCK + 512;
				bool ok = put(b, off, 1 + (int)i, 4096) == 0;

				ok = (i % 3 != 2 || flush(b) == 0) && ok;
				if (!ok)	/* again, as the guest would */
					CHECK_EQ(put(b, off, 1 + (int)i, 4096), 0);
				sure[i % 12] = (uint8_t)(1 + i);
			}
			if (flush(b) < 0)
				CHECK_EQ(flush(b), 0);
			blk_close(b);
			fake_fail(f, 0, 0, 0, 0);
			b = open_stack(&st, DISK_READ_ONLY);
			for (unsigned i = 0; i < 12; i++) {
				CHECK(holds(b, (uint64_t)i * BLOCK + 512, sure[i], 4096));
				CHECK(holds(b, (uint64_t)i * BLOCK, 0, 512));
			}
			blk_close(b);
			fake_free(f);
		}
	fake_free(base);
}

static void without_memory_it_does_not_open(void **s)
{
	struct fake *f = written();
	struct blk *b = NULL;
	unsigned n = 0;
	int rc;

	(void)s;
	do {
		base_fail_alloc(++n);
		rc = vhd_open_on(fake_open(f, false, 0), "image", 0, NULL, &b, NULL);
		base_fail_alloc(0);
		CHECK(rc == 0 || rc == -ENOMEM);
	} while (rc < 0);
	CHECK(n > 3);
	blk_close(b);
	fake_free(f);
}

static void wrong_wishes_are_refused(void **s)
{
	static const struct { struct vhd_create c; const char *says; } rows[] = {
		{ { .size = 2 * MIB }, "3 MiB to 2040 GiB" },
		{ { .size = VHD_MAX_SIZE + 512 }, "3 MiB to 2040 GiB" },
		{ { .size = 4 * MIB + 100 }, "multiple of 512" },
		{ { .size = 4 * MIB, .block_size = 1 << 20 }, "512K or 2M" },
		{ { .size = VHD_MAX_SIZE, .block_size = 512 * 1024 }, "expected blocks of 2M" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake *f = fake_new();
		struct aio *a = fake_open(f, false, 0);
		struct err err;

		CHECK_EQ(vhd_format(a, &rows[i].c, &err), -EINVAL);
		CHECK(strstr(err.msg, rows[i].says) != NULL);
		CHECK_EQ(fake_size(f), 0);
		aio_close(a);
		fake_free(f);
	}
	CHECK(fits(VHD_MAX_SIZE, 2 * MIB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_layout_is_windows_own),
		cmocka_unit_test(geometry_is_as_others_compute_it),
		cmocka_unit_test(the_way_to_a_parent),
		cmocka_unit_test(every_type_holds_what_was_written),
		cmocka_unit_test(a_parent_never_shows_through_again),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(either_footer_will_do),
		cmocka_unit_test(a_short_footer_of_a_fixed_disk_stays),
		cmocka_unit_test(a_disk_in_saved_state_is_only_read),
		cmocka_unit_test(a_block_of_a_dynamic_disk_becomes_full),
		cmocka_unit_test(a_flush_costs_two_syncs_for_any_number_of_blocks),
		cmocka_unit_test(failures_are_told_and_lose_nothing),
		cmocka_unit_test(without_memory_it_does_not_open),
		cmocka_unit_test(wrong_wishes_are_refused),
	};

	return cmocka_run_group_tests_name("vhd", tests, NULL, NULL);
}
