/*
 * vhd_hostile_test.c - VHDs that lie
 *
 * One row is one lie: a field, a value, and words the refusal must contain;
 * checksums are mended, so that nothing but the lie is wrong.  Then files cut
 * off at many lengths, and thousands of random bytes.  Nothing may crash,
 * hang, ask for much memory, or write to a file it refuses.
 */
#include "base/test.h"
#include "disk/fake.h"
#include "disk/vhd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FOOT(f) offsetof(struct vhd_footer, f)
#define HEAD(f) offsetof(struct vhd_header, f)
#define BAT 0x600

static struct fake *clean, *fixed;	/* set up once, never changed */

enum where {
	FOOTERS,		/* in both, sealed again */
	TAIL,			/* in the last, not sealed */
	COPY,			/* in the first, not sealed */
	BOTH,			/* in both, not sealed */
	FIXED,			/* in the footer of a fixed disk, sealed again */
	HEADER,			/* sealed again */
	TORN_HEADER,
	FILE_AT,
};

struct lie {
	const char *what;
	enum where where;
	uint64_t off;
	unsigned width;
	uint64_t val;
	const char *says;	/* NULL: harmless, must open */
};

static const struct lie lies[] = {
	{ "tail torn", TAIL, FOOT(id), 4, 99, NULL },
	{ "copy torn", COPY, FOOT(id), 4, 99, NULL },
	{ "both torn", BOTH, FOOT(id), 4, 99, "checksum" },
	{ "no cookies", BOTH, 0, 8, 0, "no copy at the start" },
	{ "version 2", FOOTERS, FOOT(version), 4, 0x20000, "version 0x20000" },
	{ "version 1.1", FOOTERS, FOOT(version), 4, 0x10001, NULL },
	{ "type 0", FOOTERS, FOOT(type), 4, 0, "type 0" },
	{ "type 5", FOOTERS, FOOT(type), 4, 5, "type 5" },
	{ "type huge", FOOTERS, FOOT(type), 4, UINT32_MAX, "expected 2" },
	{ "a child without a parent", FOOTERS, FOOT(type), 4, 4, "missing" },
	{ "size 0", FOOTERS, FOOT(size), 8, 0, "size of 0" },
	{ "size odd", FOOTERS, FOOT(size), 8, 16 * MIB + 1, "multiple of 512" },
	{ "size over 2040 GiB", FOOTERS, FOOT(size), 8, VHD_MAX_SIZE + 512, "2040 GiB" },
	{ "size huge", FOOTERS, FOOT(size), 8, UINT64_MAX & ~UINT64_C(511), "2040 GiB" },
	{ "size over the BAT", FOOTERS, FOOT(size), 8, 17 * MIB, "32 entries" },
	{ "size largest", FOOTERS, FOOT(size), 8, VHD_MAX_SIZE, "32 entries" },
	{ "geometry of nonsense", FOOTERS, FOOT(cylinders), 4, 0, NULL },
	{ "features unknown", FOOTERS, FOOT(features), 4, 0xffff, NULL },
	{ "header odd", FOOTERS, FOOT(header_offset), 8, 513, "multiple of 512" },
	{ "header nowhere", FOOTERS, FOOT(header_offset), 8, UINT64_MAX, "header at" },
	{ "header over the footer", FOOTERS, FOOT(header_offset), 8, 0, "header at 0" },
	{ "header past the end", FOOTERS, FOOT(header_offset), 8, GIB, "header at" },
	{ "header offset that wraps", FOOTERS, FOOT(header_offset), 8, UINT64_MAX - 511, "header at" },
	{ "header elsewhere", FOOTERS, FOOT(header_offset), 8, 1024, "cxsparse" },
	{ "fixed, larger than the file", FIXED, FOOT(size), 8, 9 * MIB, "truncated" },
	{ "fixed, smaller than the file", FIXED, FOOT(size), 8, 7 * MIB, NULL },
	{ "fixed, type dynamic", FIXED, FOOT(type), 4, 3, "header at" },
	{ "header cookie", HEADER, 0, 1, 'x', "cxsparse" },
	{ "header torn", TORN_HEADER, HEAD(parent_id), 4, 1, "checksum" },
	{ "header version", HEADER, HEAD(version), 4, 0x20000, "version 0x20000" },
	{ "block size 0", HEADER, HEAD(block_size), 4, 0, "blocks of 0" },
	{ "block size odd", HEADER, HEAD(block_size), 4, 3 * 1024 * 1024, "power of two" },
	{ "block size 512", HEADER, HEAD(block_size), 4, 512, "power of two" },
	{ "block size 2 GiB", HEADER, HEAD(block_size), 4, 0x80000000u, "power of two" },
	{ "block size small", HEADER, HEAD(block_size), 4, 64 * 1024, "32 entries" },
	{ "entries 0", HEADER, HEAD(nr_entries), 4, 0, "0 entries" },
	{ "entries a lot", HEADER, HEAD(nr_entries), 4, UINT32_MAX, NULL },
	{ "BAT odd", HEADER, HEAD(bat_offset), 8, 0x601, "multiple of 512" },
	{ "BAT over the footer", HEADER, HEAD(bat_offset), 8, 0, "BAT of" },
	{ "BAT over the header", HEADER, HEAD(bat_offset), 8, 512, "over the header" },
	{ "BAT past the end", HEADER, HEAD(bat_offset), 8, GIB, "BAT of" },
	{ "BAT that wraps", HEADER, HEAD(bat_offset), 8, UINT64_MAX - 511, "BAT of" },
	{ "block at 0", FILE_AT, BAT + 4, 4, 0, "block at 0" },
	{ "block over the header", FILE_AT, BAT + 4, 4, 1, "overlaps" },
	{ "block over the BAT", FILE_AT, BAT + 4, 4, 3, "overlaps" },
	{ "block over a block", FILE_AT, BAT + 4, 4, 0x10, "overlaps" },
	{ "block past the end", FILE_AT, BAT + 4, 4, 0xfffffffe, "before byte" },
	{ "block over the tail", FILE_AT, BAT + 4, 4, 0x1800, "before byte" },
	{ "entries past the last", FILE_AT, BAT + 32 * 4, 4, 0, NULL },
};

static void seal(struct fake *f, uint64_t off, size_t len, size_t at)
{
	uint8_t buf[1024];

	fake_get(f, off, buf, len);
	stbe32(buf + at, vhd_checksum(buf, len, at));
	fake_put(f, off, buf, len);
}

static void tell(struct fake *f, const struct lie *l)
{
	uint64_t tail = fake_size(f) - 512, big = __builtin_bswap64(l->val << (64 - 8 * l->width));
	uint64_t val = big;
	bool footer = l->where <= FIXED;

	if (l->where == HEADER || l->where == TORN_HEADER)
		fake_put(f, 512 + l->off, &val, l->width);
	if (l->where == HEADER)
		seal(f, 512, sizeof(struct vhd_header), HEAD(checksum));
	if (l->where == FILE_AT)
		fake_put(f, l->off, &val, l->width);
	if (footer && l->where != COPY)
		fake_put(f, tail + l->off, &val, l->width);
	if (footer && l->where != TAIL && l->where != FIXED)
		fake_put(f, l->off, &val, l->width);
	if (l->where == FOOTERS || l->where == FIXED)
		seal(f, tail, 512, FOOT(checksum));
	if (l->where == FOOTERS)
		seal(f, 0, 512, FOOT(checksum));
}

/* Opens with FLAGS; a refusal has words and leaves the file alone. */
static int try_open(struct fake *f, unsigned flags, struct err *err)
{
	struct fake *before = fake_clone(f);
	struct blk *b = NULL;
	int rc;

	err->msg[0] = '\0';
	rc = vhd_open_on(fake_open(f, false, 0), "liar", flags, NULL, &b, err);
	if (rc == 0)
		blk_close(b);
	else
		CHECK(strncmp(err->msg, "liar: ", 6) == 0);
	if (rc < 0 || (flags & DISK_READ_ONLY))
		CHECK(fake_same(f, before));
	fake_free(before);
	return rc;
}

static void every_lie_is_refused_in_words(void **s)
{
	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		const struct lie *l = &lies[i];
		struct fake *f = fake_clone(l->where == FIXED ? fixed : clean);
		struct err err;
		int rc;

		tell(f, l);
		rc = try_open(f, DISK_READ_ONLY, &err);
		if ((rc == 0) != (l->says == NULL))
			fail_msg("%s: %s", l->what, rc == 0 ? "opened" : err.msg);
		if (l->says != NULL && strstr(err.msg, l->says) == NULL)
			fail_msg("%s: says \"%s\", expected \"%s\"", l->what, err.msg, l->says);
		CHECK_EQ(try_open(f, 0, &err) == 0, l->says == NULL);
		fake_free(f);
	}
}

/* A disk of 2040 GiB in a sparse file of a few bytes: only what is there costs memory. */
static void a_large_table_costs_what_it_holds(void **s)
{
	const struct vhd_create conf = { .size = VHD_MAX_SIZE };
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);
	struct err err;

	(void)s;
	CHECK_EQ(vhd_format(a, &conf, NULL), 0);
	aio_close(a);
	CHECK_EQ(try_open(f, 0, &err), 0);
	fake_free(f);
}

static void cut_off_at_any_length(void **s)
{
	struct err err;
	uint64_t size;

	(void)s;
	for (unsigned i = 0; i < 2; i++) {
		size = fake_size(i == 0 ? clean : fixed);
		for (uint64_t len = 0; len < size; len += len < 0x4000 ? 0x100 : 0x3b200) {
			struct fake *f = fake_clone(i == 0 ? clean : fixed);

			fake_resize(f, len);
			/* By the copy, once both blocks are there whole. */
			if (try_open(f, DISK_READ_ONLY, &err) == 0 && (i == 1 || len < MIB))
				fail_msg("opened at %llu of %llu bytes", (unsigned long long)len,
					 (unsigned long long)size);
			(void)!try_open(f, 0, &err);
			fake_free(f);
		}
	}
}

static uint64_t rnd(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Random bytes where the structures are, sealed again so that they are looked at. */
static void random_bytes_do_no_harm(void **s)
{
	static const struct { uint64_t at, len; } areas[] = {
		{ 0, 88 }, { 512, 64 }, { 512 + 576, 192 }, { BAT, 64 }, { 0x1e00, 128 },
	};
	uint64_t x = 42;
	unsigned opened = 0;

	(void)s;
	for (unsigned i = 0; i < 1500; i++) {
		struct fake *f = fake_clone(clean);
		struct err err;

		for (unsigned n = 1 + (unsigned)(rnd(&x) % 4); n > 0; n--) {
			uint64_t a = rnd(&x) % ARRAY_LEN(areas), in = rnd(&x) % areas[a].len;
			uint8_t byte = (uint8_t)(rnd(&x) % 2 == 0 ? rnd(&x) : rnd(&x) % 2 * 255);

			fake_put(f, areas[a].at + in, &byte, 1);
			if (a == 0)
				fake_put(f, fake_size(f) - 512 + in, &byte, 1);
		}
		seal(f, 0, 512, FOOT(checksum));
		seal(f, fake_size(f) - 512, 512, FOOT(checksum));
		seal(f, 512, sizeof(struct vhd_header), HEAD(checksum));
		opened += try_open(f, DISK_READ_ONLY, &err) == 0;
		(void)!try_open(f, 0, &err);
		fake_free(f);
	}
	CHECK(opened > 0);
}

static int setup(void **s)
{
	const struct vhd_create conf = { .size = 16 * MIB, .block_size = 512 * 1024 };
	const struct vhd_create conf2 = { .kind = VHD_MAKE_FIXED, .size = 8 * MIB };
	uint8_t data[4096];
	struct aio *a;
	struct blk *b;

	(void)s;
	clean = fake_new();
	a = fake_open(clean, false, 0);
	CHECK_EQ(vhd_format(a, &conf, NULL), 0);
	aio_close(a);
	memset(data, 0xd1, sizeof(data));
	CHECK_EQ(vhd_open_on(fake_open(clean, false, 0), "clean", 0, NULL, &b, NULL), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE, 0, data, sizeof(data)), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE, MIB, data, sizeof(data)), 0);
	blk_close(b);
	fixed = fake_new();
	a = fake_open(fixed, false, 0);
	CHECK_EQ(vhd_format(a, &conf2, NULL), 0);
	aio_close(a);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	fake_free(clean);
	fake_free(fixed);
	return 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_lie_is_refused_in_words),
		cmocka_unit_test(a_large_table_costs_what_it_holds),
		cmocka_unit_test(cut_off_at_any_length),
		cmocka_unit_test(random_bytes_do_no_harm),
	};
#ifndef SANITIZED
	/* A count somebody believed would not fit in here. */
	const struct rlimit little = { 512 * MIB, 512 * MIB };

	if (setrlimit(RLIMIT_AS, &little) < 0)
		return 1;
#endif
	return cmocka_run_group_tests_name("vhd_hostile", tests, setup, teardown);
}
