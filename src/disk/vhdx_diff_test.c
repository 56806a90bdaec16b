/*
 * vhdx_diff_test.c - differencing VHDX: what is read and written through, and whose child it is
 */
#include "base/test.h"
#include "disk/fake.h"
#include "disk/vhdx.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEVELS 4

static uint8_t buf[2 * MIB], got[2 * MIB];
static char dir[64];

struct stack {
	struct fake *f[LEVELS];
	unsigned nr;
};

static struct blk *open_on(struct fake *f, unsigned flags, struct blk *parent)
{
	struct err err = { .msg = "" };
	struct blk *b = NULL;

	if (vhdx_open_on(fake_open(f, true, 1), "image", flags, parent, &b, &err) < 0)
		fail_msg("%s", err.msg);
	return b;
}

static struct blk *open_stack(struct stack *st, unsigned flags)
{
	struct blk *b = NULL;

	for (unsigned i = 0; i < st->nr; i++)
		b = open_on(st->f[i], i + 1 < st->nr ? DISK_READ_ONLY : flags, b);
	return b;
}

static struct vhdx *inside(struct blk *b)
{
	return CONTAINER_OF(b, struct vhdx, blk);
}

static void push_base(struct stack *st, const struct vhdx_create *conf)
{
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);

	CHECK_EQ(vhdx_format(a, conf, NULL), 0);
	aio_close(a);
	*st = (struct stack){ .f = { f }, .nr = 1 };
}

static void push_child(struct stack *st, uint32_t block_size)
{
	struct blk *b = open_stack(st, DISK_READ_ONLY);
	const struct vhdx_over over = {
		.size = b->size, .logical = b->logical, .disk_id = b->disk_id,
		.data_write = inside(b)->hdr.data_write, .absolute = "/d/p.vhdx",
		.relative = "./p.vhdx",
	};
	const struct vhdx_create conf = {
		.size = b->size, .logical = b->logical, .block_size = block_size,
	};
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);

	CHECK_EQ(vhdx_format_over(a, &conf, &over, NULL), 0);
	aio_close(a);
	blk_close(b);
	st->f[st->nr++] = f;
}

static void drop_stack(struct stack *st)
{
	for (unsigned i = 0; i < st->nr; i++)
		fake_free(st->f[i]);
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

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* ---- content ---------------------------------------------------------------------- */

/* Random requests, the same ones to MODEL; what a trim leaves is asked for. */
static void scribble(struct blk *b, uint8_t *model, uint64_t *x, unsigned nr)
{
	uint32_t unit = b->logical;

	for (unsigned i = 0; i < nr; i++) {
		uint64_t dice = rnd(x) % 16, off = rnd(x) % (b->size / unit) * unit;
		uint64_t n = unit * (1 + rnd(x) % (dice < 10 ? 20 : 3000));

		n = min_u64(min_u64(n, b->size - off), sizeof(buf));
		if (dice < 11) {
			CHECK_EQ(put(b, off, (int)(1 + rnd(x) % 255), n), 0);
			memcpy(model + off, buf, n);
		} else if (dice < 13) {
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

/* Bases of both types and sector sizes, an odd size; each child has blocks of its own size. */
static void chains_hold_what_was_written(void **s)
{
	static const struct vhdx_create bases[] = {
		{ .size = 40 * MIB, .block_size = 1 << 20 },
		{ .size = 33 * MIB + 4096, .block_size = 8 << 20, .logical = 4096 },
		{ .size = 21 * MIB + 512, .fixed = true },
	};
	static const uint32_t blocks[] = { 0, 2 << 20, 32 << 20, 1 << 20 };
	uint64_t x = 4711;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		uint8_t *model = calloc(1, bases[i].size);
		struct stack st;

		push_base(&st, &bases[i]);
		for (;;) {
			for (unsigned round = 0; round < 3; round++) {
				struct blk *b = open_stack(&st, 0);

				CHECK_EQ(b->size, bases[i].size);
				scribble(b, model, &x, 100);
				compare(b, model);
				blk_close(b);
				b = open_stack(&st, DISK_READ_ONLY);
				CHECK(!inside(b)->log_dirty);
				compare(b, model);
				blk_close(b);
			}
			if (st.nr == LEVELS)
				break;
			push_child(&st, blocks[st.nr]);
		}
		drop_stack(&st);
		free(model);
	}
}

/* Nothing the child gave up or zeroed shows the parent again; the parent is not written to. */
static void a_parent_never_shows_through_again(void **s)
{
	const struct vhdx_create base = { .size = 16 * MIB, .block_size = 1 << 20 };
	struct fake *before;
	struct stack st;
	struct blk *b;

	(void)s;
	push_base(&st, &base);
	b = open_stack(&st, 0);
	for (uint64_t off = 0; off < 16 * MIB; off += 2 * MIB)
		CHECK_EQ(put(b, off, 0x77, 2 * MIB), 0);
	blk_close(b);
	before = fake_clone(st.f[0]);
	push_child(&st, 1 << 20);
	b = open_stack(&st, 0);
	CHECK_EQ(put(b, 1024, 0x11, 512), 0);
	CHECK(holds(b, 0, 0x77, 1024));
	CHECK(holds(b, 1024, 0x11, 512));
	CHECK(holds(b, 1536, 0x77, 2 * MIB - 1536));
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 0, NULL, MIB), 0);		/* it was partly here */
	CHECK(holds(b, 0, 0, MIB));
	CHECK_EQ(blk_rw_wait(b, BLK_UNMAP, 2 * MIB, NULL, MIB), 0);	/* it was not: it stays */
	CHECK(holds(b, 2 * MIB, 0x77, MIB));
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, 3 * MIB, NULL, MIB), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, 4 * MIB + 512, NULL, 512), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(put(b, 512, 0x12, 512), 0);				/* whole again, the rest zero */
	blk_close(b);
	for (unsigned i = 0; i < 2; i++) {
		b = open_stack(&st, i == 0 ? DISK_READ_ONLY : 0);
		CHECK(holds(b, 512, 0x12, 512));
		CHECK(holds(b, 1024, 0, MIB - 1024));
		CHECK(holds(b, 3 * MIB, 0, MIB));
		CHECK(holds(b, 4 * MIB, 0x77, 512));
		CHECK(holds(b, 4 * MIB + 512, 0, 512));
		CHECK(holds(b, 4 * MIB + 1024, 0x77, MIB - 1024));
		CHECK(holds(b, 5 * MIB, 0x77, MIB));
		blk_close(b);
	}
	CHECK(fake_same(st.f[0], before));
	fake_free(before);
	drop_stack(&st);
}

/* Offsets in an image of ours, whose BAT is at 3 MiB and whose one chunk ends it. */
static uint64_t bits_entry_at(uint32_t block_size)
{
	return 3 * MIB + (UINT64_C(1) << 23) * 512 / block_size * 8;
}

/* Bits that somebody left set for a block that is not present mean nothing. */
static void stale_bits_are_cleared_first(void **s)
{
	const struct vhdx_create base = { .size = 16 * MIB, .block_size = 1 << 20 };
	uint8_t e[8], ones[256];
	struct stack st;
	struct blk *b;
	uint64_t at;

	(void)s;
	push_base(&st, &base);
	b = open_stack(&st, 0);
	CHECK_EQ(put(b, 5 * MIB, 0x77, MIB), 0);
	blk_close(b);
	push_child(&st, 1 << 20);
	b = open_stack(&st, 0);
	CHECK_EQ(put(b, 0, 0x11, 512), 0);
	blk_close(b);
	fake_get(st.f[1], bits_entry_at(1 << 20), e, 8);
	CHECK_EQ(ld64(e) & BAT_STATE_MASK, BAT_FULLY_PRESENT);
	at = ld64(e) & BAT_OFFSET_MASK;
	memset(ones, 0xff, sizeof(ones));
	fake_put(st.f[1], at + 5 * 256, ones, sizeof(ones));
	b = open_stack(&st, 0);
	CHECK(holds(b, 5 * MIB, 0x77, MIB));
	CHECK_EQ(put(b, 5 * MIB + 512, 0x22, 512), 0);
	CHECK(holds(b, 5 * MIB, 0x77, 512));
	CHECK(holds(b, 5 * MIB + 512, 0x22, 512));
	CHECK(holds(b, 5 * MIB + 1024, 0x77, MIB - 1024));
	blk_close(b);
	b = open_stack(&st, DISK_READ_ONLY);
	CHECK(holds(b, 5 * MIB + 1024, 0x77, MIB - 1024));
	blk_close(b);
	/* Least significant bit first. */
	fake_get(st.f[1], at + 5 * 256, ones, 2);
	CHECK_EQ(ones[0], 2);
	CHECK_EQ(ones[1], 0);
	drop_stack(&st);
}

static void partly_present_without_bits_is_refused(void **s)
{
	const struct vhdx_create base = { .size = 16 * MIB, .block_size = 1 << 20 };
	struct stack st;
	struct err err;
	struct blk *b;

	(void)s;
	push_base(&st, &base);
	push_child(&st, 1 << 20);
	b = open_stack(&st, 0);
	CHECK_EQ(put(b, 0, 0x11, 512), 0);
	blk_close(b);
	fake_put(st.f[1], bits_entry_at(1 << 20), aio_zeros, 8);
	CHECK_EQ(vhdx_open_on(fake_open(st.f[1], true, 1), "image", DISK_READ_ONLY,
			      open_on(st.f[0], DISK_READ_ONLY, NULL), &b, &err), -EBADMSG);
	CHECK(strstr(err.msg, "partly present") != NULL);
	drop_stack(&st);
}

static void a_flush_costs_two_syncs(void **s)
{
	const struct vhdx_create base = { .size = 64 * MIB, .block_size = 1 << 20 };
	struct stack st;
	struct blk *b;
	uint64_t before;

	(void)s;
	push_base(&st, &base);
	push_child(&st, 1 << 20);
	b = open_stack(&st, 0);
	CHECK_EQ(put(b, 0, 1, 512), 0);		/* the session, room, the chunk's bits */
	CHECK_EQ(flush(b), 0);
	before = fake_nr_syncs(st.f[1]);
	for (uint64_t i = 1; i < 32; i++)
		CHECK_EQ(put(b, i * MIB + 512, 1, 512), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(st.f[1]) - before, 2);
	for (uint64_t i = 1; i < 32; i++)
		CHECK_EQ(put(b, i * MIB + 512, 2, 512), 0);
	CHECK_EQ(flush(b), 0);
	CHECK_EQ(fake_nr_syncs(st.f[1]) - before, 3);	/* nothing but data */
	blk_close(b);
	drop_stack(&st);
}

/* The NTH operation fails once; what was answered for holds all the same. */
static void failures_are_told_and_lose_nothing(void **s)
{
	static const unsigned ops[] = { 1u << AIO_WRITE, 1u << AIO_SYNC, 1u << AIO_READ,
					1u << FAKE_TRUNCATE };
	const struct vhdx_create base = { .size = 16 * MIB, .block_size = 1 << 20 };

	(void)s;
	for (size_t k = 0; k < ARRAY_LEN(ops); k++)
		for (uint64_t nth = 1; nth < 40; nth++) {
			uint8_t sure[12] = { 0 };
			struct stack st;
			struct blk *b;

			push_base(&st, &base);
			push_child(&st, 1 << 20);
			b = open_stack(&st, 0);
			fake_fail(st.f[1], ops[k], nth, 1, -EIO);
			for (unsigned i = 0; i < 24; i++) {
				uint64_t off = i % 12 * MIB + 512;
				bool ok = put(b, off, 1 + (int)i, 4096) == 0;

				ok = (i % 3 != 2 || flush(b) == 0) && ok;
				if (!ok)	/* again, as the guest would */
					CHECK_EQ(put(b, off, 1 + (int)i, 4096), 0);
				sure[i % 12] = (uint8_t)(1 + i);
			}
			if (flush(b) < 0)
				CHECK_EQ(flush(b), 0);
			blk_close(b);
			fake_fail(st.f[1], 0, 0, 0, 0);
			b = open_stack(&st, DISK_READ_ONLY);
			for (unsigned i = 0; i < 12; i++) {
				CHECK(holds(b, i * MIB + 512, sure[i], 4096));
				CHECK(holds(b, i * MIB, 0, 512));
			}
			blk_close(b);
			drop_stack(&st);
		}
}

/* ---- files -------------------------------------------------------------------------- */

static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", dir, name);
	return paths[next];
}

static void make(const char *name, const char *parent, int byte)
{
	struct vhdx_create conf = { .size = 8 * MIB, .block_size = 1 << 20 };
	struct err err = { .msg = "" };
	struct blk *b;

	if (parent != NULL)
		conf = (struct vhdx_create){ .parent = at(parent) };
	if (vhdx_create(at(name), &conf, &err) < 0)
		fail_msg("%s", err.msg);
	if (byte == 0)
		return;
	CHECK_EQ(disk_open(at(name), 0, &b, NULL), 0);
	CHECK_EQ(put(b, 0, byte, 512), 0);
	blk_close(b);
}

static void reads(const char *name, const char *parents, int byte)
{
	struct err err = { .msg = "" };
	struct blk *b;

	if (disk_open_under(at(name), DISK_READ_ONLY, parents, &b, &err) < 0)
		fail_msg("%s", err.msg);
	CHECK(holds(b, 0, byte, 512));
	blk_close(b);
}

static void refused(const char *name, int rc, const char *says)
{
	struct err err = { .msg = "" };
	struct blk *b;

	CHECK_EQ(disk_open(at(name), DISK_READ_ONLY, &b, &err), rc);
	if (strstr(err.msg, says) == NULL || strncmp(err.msg, at(name), strlen(at(name))) != 0)
		fail_msg("says \"%s\", expected \"%s\"", err.msg, says);
}

static void parents_are_found_and_known(void **s)
{
	const struct vhdx_create other = { .size = 8 * MIB };
	struct vhdx_create wrong = { .parent = NULL, .size = 9 * MIB };
	struct disk_info p, c;
	struct err err;
	struct blk *b;

	(void)s;
	make("p.vhdx", NULL, 0x41);
	make("a.avhdx", "p.vhdx", 0);
	make("b.avhdx", "a.avhdx", 0);
	reads("b.avhdx", NULL, 0x41);
	CHECK_EQ(disk_inspect(at("p.vhdx"), &p, NULL), 0);
	CHECK_EQ(disk_inspect(at("b.avhdx"), &c, NULL), 0);
	CHECK(c.has_parent && guid_eq(&c.disk_id, &p.disk_id));
	CHECK_STR(c.parent, ".\\a.avhdx");
	CHECK_EQ(rename(at("p.vhdx"), at("q.vhdx")), 0);
	refused("b.avhdx", -ENOENT, "p.vhdx\" was not found");
	CHECK_EQ(vhdx_create(at("p.vhdx"), &other, NULL), 0);
	refused("a.avhdx", -ESTALE, "another disk");
	unlink(at("p.vhdx"));
	CHECK_EQ(rename(at("q.vhdx"), at("P.vhdx")), 0);	/* as Windows would find it */
	reads("b.avhdx", NULL, 0x41);
	wrong.parent = at("P.vhdx");
	CHECK_EQ(vhdx_create(at("w.vhdx"), &wrong, &err), -EINVAL);
	CHECK(strstr(err.msg, "of its parent") != NULL);
	/* Written to, it is not the parent any more. */
	CHECK_EQ(disk_open(at("P.vhdx"), 0, &b, NULL), 0);
	CHECK_EQ(put(b, 0, 0x42, 512), 0);
	blk_close(b);
	refused("a.avhdx", -ESTALE, "was written to");
	unlink(at("a.avhdx"));
	unlink(at("b.avhdx"));
	unlink(at("P.vhdx"));
}

static void families_do_not_mix(void **s)
{
	const struct vhd_create vhd = { .size = 8 * MIB };
	struct vhd_create vhd_child = { .kind = VHD_MAKE_DIFFERENCING };
	struct vhdx_create child = { .size = 0 };
	struct err err;

	(void)s;
	make("p.vhdx", NULL, 0);
	CHECK_EQ(vhd_create(at("p.vhd"), &vhd, NULL), 0);
	child.parent = at("p.vhd");
	CHECK_EQ(vhdx_create(at("c.vhdx"), &child, &err), -EINVAL);
	CHECK(strstr(err.msg, "found no VHDX") != NULL);
	vhd_child.parent = at("p.vhdx");
	CHECK_EQ(vhd_create(at("c.vhd"), &vhd_child, &err), -EINVAL);
	unlink(at("p.vhdx"));
	unlink(at("p.vhd"));
}

static void parents_are_locked_against_writers(void **s)
{
	struct blk *a, *b;

	(void)s;
	make("p.vhdx", NULL, 0x61);
	make("a.vhdx", "p.vhdx", 0);
	CHECK_EQ(disk_open(at("a.vhdx"), 0, &a, NULL), 0);
	CHECK_EQ(disk_open(at("p.vhdx"), 0, &b, NULL), -EBUSY);
	blk_close(a);
	CHECK_EQ(disk_open(at("p.vhdx"), 0, &b, NULL), 0);
	blk_close(b);
	unlink(at("a.vhdx"));
	unlink(at("p.vhdx"));
}

/* The locator of an image of ours. */
#define LOCATOR (2 * MIB + VHDX_ITEMS_OFF + 0x28)

static void locators_that_lie(void **s)
{
	static const struct { uint64_t off; unsigned width; uint64_t val; int rc; const char *says; } rows[] = {
		{ 0, 4, 1, -ENOTSUP, "unknown type" },
		{ 18, 2, 65535, -EBADMSG, "65535 entries" },
		{ 18, 2, 0, -EBADMSG, "no parent_linkage" },
		{ 20, 4, UINT32_MAX, -EBADMSG, "no parent_linkage" },
		{ 20 + 4, 4, 0xfffffff0, -EBADMSG, "no parent_linkage" },
		{ 20 + 8, 2, 0, -EBADMSG, "no parent_linkage" },
		{ 20 + 10, 2, 65535, -EBADMSG, "no parent_linkage" },
		{ 20 + 10, 2, 4, -ESTALE, "another disk" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t val[8];
		int fd;

		make("p.vhdx", NULL, 0x61);
		make("a.vhdx", "p.vhdx", 0);
		fd = open(at("a.vhdx"), O_RDWR | O_CLOEXEC);
		st64(val, rows[i].val);
		CHECK_EQ(pwrite(fd, val, rows[i].width, (off_t)(LOCATOR + rows[i].off)),
			 rows[i].width);
		close(fd);
		refused("a.vhdx", rows[i].rc, rows[i].says);
		unlink(at("a.vhdx"));
		unlink(at("p.vhdx"));
	}
}

static int setup(void **s)
{
	(void)s;
	snprintf(dir, sizeof(dir), "/tmp/gvdiff-XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int teardown(void **s)
{
	(void)s;
	return rmdir(dir);	/* every test cleans up */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_hold_what_was_written),
		cmocka_unit_test(a_parent_never_shows_through_again),
		cmocka_unit_test(stale_bits_are_cleared_first),
		cmocka_unit_test(partly_present_without_bits_is_refused),
		cmocka_unit_test(a_flush_costs_two_syncs),
		cmocka_unit_test(failures_are_told_and_lose_nothing),
		cmocka_unit_test(parents_are_found_and_known),
		cmocka_unit_test(families_do_not_mix),
		cmocka_unit_test(parents_are_locked_against_writers),
		cmocka_unit_test(locators_that_lie),
	};

	return cmocka_run_group_tests_name("vhdx_diff", tests, setup, teardown);
}
