/*
 * hostile_test.c - images that lie
 *
 * One row is one lie: a field, a value, what must be recomputed so that
 * nothing but the lie is wrong, and words the refusal must contain.  Then
 * files cut off at many lengths, and thousands of random bytes.  Nothing may
 * crash, hang, ask for much memory, or write to a file it refuses.
 */
#include "base/test.h"
#include "disk/fake.h"
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Where our creator puts things. */
#define LOG MIB
#define NO_LOG "no valid sequence"
#define TABLE_STEP (VHDX_REGIONS_2 - VHDX_REGIONS_1)
#define META (2 * MIB)
#define BAT (3 * MIB)
#define DATA (4 * MIB)
#define ITEMS (META + 0x10000)
#define HDR(f) offsetof(struct vhdx_header, f)
#define REG(i, f) (16 + 32 * (i) + offsetof(struct vhdx_region, f))
#define ITEM(i, f) (META + 32 + 32 * (i) + offsetof(struct vhdx_item, f))
#define ENT(f) offsetof(struct vhdx_log_entry, f)
#define DESC(i, f) (64 + 32 * (i) + offsetof(struct vhdx_log_desc, f))

static struct fake *clean, *dirty;	/* set up once, never changed */
static uint64_t dirty_entry;		/* where in the file the newest log entry starts */

enum where {
	FILE_AT,		/* OFF is in the file */
	HEADERS,		/* in both headers, sealed again */
	ONE_HEADER,		/* in the current one, not sealed */
	REGIONS,		/* in both tables, sealed again */
	ONE_REGIONS,		/* in the first, not sealed */
	BOTH_REGIONS,		/* in both, not sealed */
	LOG_ENTRY,		/* in the newest log entry of the dirty image, sealed again */
	LOG_TORN,		/* the same, not sealed */
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
	{ "signature", FILE_AT, 0, 1, 'V', "file identifier" },
	{ "header signature", HEADERS, 0, 1, 'x', "headers" },
	{ "header version", HEADERS, HDR(version), 2, 2, "version 2" },
	{ "one bad header", ONE_HEADER, HDR(sequence), 8, 99, NULL },
	{ "log offset not MiB", HEADERS, HDR(log_offset), 8, MIB + 4096, "multiples of 1 MiB" },
	{ "log over the headers", HEADERS, HDR(log_offset), 8, 0, "multiples of 1 MiB" },
	{ "log past the end", HEADERS, HDR(log_offset), 8, 1000 * MIB, "past the" },
	{ "log offset that wraps", HEADERS, HDR(log_offset), 8, UINT64_MAX - MIB + 1, "past the" },
	{ "log length not MiB", HEADERS, HDR(log_length), 4, 4096, "multiples of 1 MiB" },
	{ "log of 4 GiB", HEADERS, HDR(log_length), 4, 0xfff00000u, "past the" },
	{ "log over the metadata", HEADERS, HDR(log_length), 4, 2 * MIB, "overlap" },
	{ "no log", HEADERS, HDR(log_length), 4, 0, "no log" },
	{ "log named, no entry", HEADERS, HDR(log), 8, 77, NO_LOG },
	{ "one bad region table", ONE_REGIONS, 8, 4, 99, NULL },
	{ "both region tables torn", BOTH_REGIONS, 8, 4, 99, "region tables" },
	{ "region signature", REGIONS, 0, 1, 'x', "region tables" },
	{ "region count", REGIONS, 8, 4, 2048, "2048 entries" },
	{ "region count huge", REGIONS, 8, 4, UINT32_MAX, "entries" },
	{ "no regions", REGIONS, 8, 4, 0, "no BAT" },
	{ "one region", REGIONS, 8, 4, 1, "no metadata" },
	{ "region reserved", REGIONS, 12, 4, 1, "entries" },
	{ "BAT offset not MiB", REGIONS, REG(0, offset), 8, BAT + 512, "multiples of 1 MiB" },
	{ "BAT over the headers", REGIONS, REG(0, offset), 8, 0, "multiples of 1 MiB" },
	{ "BAT past the end", REGIONS, REG(0, offset), 8, 1000 * MIB, "past the" },
	{ "BAT offset that wraps", REGIONS, REG(0, offset), 8, UINT64_MAX - MIB + 1, "past the" },
	{ "BAT over the metadata", REGIONS, REG(0, offset), 8, META, "overlap" },
	{ "BAT over the log", REGIONS, REG(0, offset), 8, LOG, "overlap" },
	{ "BAT length 0", REGIONS, REG(0, length), 4, 0, "multiples of 1 MiB" },
	{ "BAT length huge", REGIONS, REG(0, length), 4, 0xfff00000u, "past the" },
	{ "region flags", REGIONS, REG(0, flags), 4, 2, "flags" },
	{ "BAT not required", REGIONS, REG(0, flags), 4, 0, NULL },
	{ "unknown region, required", REGIONS, REG(1, id), 4, 1, "unknown one that is required" },
	{ "metadata signature", FILE_AT, META, 1, 'x', "metadata table" },
	{ "metadata reserved", FILE_AT, META + 8, 2, 1, "metadata table" },
	{ "metadata count", FILE_AT, META + 10, 2, 2048, "2048 entries" },
	{ "metadata count huge", FILE_AT, META + 10, 2, 65535, "entries" },
	{ "metadata count 4", FILE_AT, META + 10, 2, 4, "no virtual disk id" },
	{ "metadata count 0", FILE_AT, META + 10, 2, 0, "no file parameters" },
	{ "item in the table", FILE_AT, ITEM(0, offset), 4, 0x8000, "after its table" },
	{ "item past the region", FILE_AT, ITEM(0, offset), 4, MIB - 4, "inside" },
	{ "item offset huge", FILE_AT, ITEM(0, offset), 4, UINT32_MAX, "inside" },
	{ "item length huge", FILE_AT, ITEM(0, length), 4, UINT32_MAX, "inside" },
	{ "item length wrong", FILE_AT, ITEM(0, length), 4, 4, "4 bytes, expected 8" },
	{ "item empty but somewhere", FILE_AT, ITEM(0, length), 4, 0, "inside" },
	{ "item flags", FILE_AT, ITEM(0, flags), 4, 8, "flags" },
	{ "item of a user, required", FILE_AT, ITEM(0, flags), 4, 5, "flags" },
	{ "item of a user", FILE_AT, ITEM(0, flags), 4, 1, "no file parameters" },
	{ "items overlap", FILE_AT, ITEM(1, offset), 4, 0x10004, "overlap" },
	{ "unknown item, required", FILE_AT, ITEM(0, id), 4, 1, "unknown one that is required" },
	{ "block size 0", FILE_AT, ITEMS, 4, 0, "block size" },
	{ "block size odd", FILE_AT, ITEMS, 4, 3 * MIB, "block size" },
	{ "block size small", FILE_AT, ITEMS, 4, MIB / 2, "block size" },
	{ "block size large", FILE_AT, ITEMS, 4, 512 * MIB, "block size" },
	{ "file flags", FILE_AT, ITEMS + 4, 4, 4, "file flags" },
	{ "has a parent", FILE_AT, ITEMS + 4, 4, 2, "differencing" },
	{ "size 0", FILE_AT, ITEMS + 8, 8, 0, "virtual size" },
	{ "size not a sector", FILE_AT, ITEMS + 8, 8, 64 * MIB + 1, "virtual size" },
	{ "size over 64 TiB", FILE_AT, ITEMS + 8, 8, VHDX_MAX_SIZE + 512, "virtual size" },
	{ "size over the BAT", FILE_AT, ITEMS + 8, 8, VHDX_MAX_SIZE, "room for" },
	{ "logical sector 0", FILE_AT, ITEMS + 16, 4, 0, "sectors" },
	{ "logical sector 520", FILE_AT, ITEMS + 16, 4, 520, "sectors" },
	{ "physical sector 1024", FILE_AT, ITEMS + 20, 4, 1024, "sectors" },
	{ "block past the end", FILE_AT, BAT, 8, 1000 * MIB | 6, "past the" },
	{ "block offset huge", FILE_AT, BAT, 8, BAT_OFFSET_MASK | 6, "past the" },
	{ "block over the headers", FILE_AT, BAT, 8, 6, "overlaps" },
	{ "block over the log", FILE_AT, BAT, 8, LOG | 6, "overlaps" },
	{ "block over the metadata", FILE_AT, BAT, 8, META | 6, "overlaps" },
	{ "block over the BAT", FILE_AT, BAT, 8, BAT | 6, "overlaps" },
	{ "block over a block", FILE_AT, BAT + 8, 8, DATA | 6, "overlaps" },
	{ "state 4", FILE_AT, BAT + 16, 8, 4, "state 4" },
	{ "state 5", FILE_AT, BAT + 16, 8, 5, "state 5" },
	{ "reserved bits", FILE_AT, BAT + 16, 8, 8, "reserved" },
	{ "state 1", FILE_AT, BAT + 16, 8, 1, NULL },
	{ "state 7 without a parent", FILE_AT, BAT, 8, DATA | 7, NULL },
	{ "stale entry after the last", FILE_AT, BAT + 64 * 8, 8, DATA | 6, NULL },
	{ "log entry torn", LOG_TORN, ENT(sequence), 8, 99, NO_LOG },
	{ "log entry of length 0", LOG_ENTRY, ENT(length), 4, 0, NO_LOG },
	{ "log entry length odd", LOG_ENTRY, ENT(length), 4, 4100, NO_LOG },
	{ "log entry longer than the log", LOG_ENTRY, ENT(length), 4, 2 * MIB, NO_LOG },
	{ "log entry too short", LOG_ENTRY, ENT(length), 4, 4096, NO_LOG },
	{ "log tail nowhere", LOG_ENTRY, ENT(tail), 4, 512 * KIB, NO_LOG },
	{ "log tail odd", LOG_ENTRY, ENT(tail), 4, 100, NO_LOG },
	{ "log tail past the log", LOG_ENTRY, ENT(tail), 4, UINT32_MAX, NO_LOG },
	{ "log sequence 0", LOG_ENTRY, ENT(sequence), 8, 0, NO_LOG },
	{ "log descriptors, too many", LOG_ENTRY, ENT(count), 4, 2, NO_LOG },
	{ "log descriptors, a lot", LOG_ENTRY, ENT(count), 4, UINT32_MAX, NO_LOG },
	{ "log of another session", LOG_ENTRY, ENT(log), 8, 3, NO_LOG },
	{ "log wants a longer file", LOG_ENTRY, ENT(flushed_file), 8, 900 * MIB, "truncated" },
	{ "log wants a huge file", LOG_ENTRY, ENT(last_file), 8, UINT64_MAX, NO_LOG },
	{ "log writes the headers", LOG_ENTRY, DESC(0, offset), 8, VHDX_HEADER_1, NO_LOG },
	{ "log writes itself", LOG_ENTRY, DESC(0, offset), 8, LOG + 8192, NO_LOG },
	{ "log writes past the end", LOG_ENTRY, DESC(0, offset), 8, 900 * MIB, NO_LOG },
	{ "log target wraps", LOG_ENTRY, DESC(0, offset), 8, UINT64_MAX - 4095, NO_LOG },
	{ "log target odd", LOG_ENTRY, DESC(0, offset), 8, BAT + 8, NO_LOG },
	{ "log descriptor of another entry", LOG_ENTRY, DESC(0, sequence), 8, 7, NO_LOG },
	{ "log descriptor signature", LOG_ENTRY, DESC(0, signature), 1, 'x', NO_LOG },
	{ "log data signature", LOG_ENTRY, 4096, 1, 'x', NO_LOG },
	{ "log data sequence", LOG_ENTRY, 8188, 4, 99, NO_LOG },
	{ "log maps a block twice", LOG_ENTRY, DESC(0, leading), 8, (DATA + MIB) | 6, "overlaps" },
};

static void seal(struct fake *f, uint64_t off, size_t len, size_t at)
{
	uint8_t *p = malloc(len);

	CHECK(p != NULL);
	fake_get(f, off, p, len);
	vhdx_seal(p, len, at);
	fake_put(f, off, p, len);
	free(p);
}

static uint64_t current_header(const struct fake *f)
{
	uint8_t a[8], b[8];

	fake_get(f, VHDX_HEADER_1 + HDR(sequence), a, 8);
	fake_get(f, VHDX_HEADER_2 + HDR(sequence), b, 8);
	return ld64(b) > ld64(a) ? VHDX_HEADER_2 : VHDX_HEADER_1;
}

static void tell(struct fake *f, const struct lie *l)
{
	uint8_t val[8];
	uint32_t len;

	st64(val, l->val);
	switch (l->where) {
	case FILE_AT:
		fake_put(f, l->off, val, l->width);
		break;
	case HEADERS:
		for (uint64_t at = VHDX_HEADER_1; at <= VHDX_HEADER_2; at += VHDX_HEADER_1) {
			fake_put(f, at + l->off, val, l->width);
			seal(f, at, sizeof(struct vhdx_header), HDR(checksum));
		}
		break;
	case ONE_HEADER:
		fake_put(f, current_header(f) + l->off, val, l->width);
		break;
	case REGIONS:
	case BOTH_REGIONS:
		for (uint64_t at = VHDX_REGIONS_1; at <= VHDX_REGIONS_2; at += TABLE_STEP) {
			fake_put(f, at + l->off, val, l->width);
			if (l->where == REGIONS)
				seal(f, at, VHDX_REGION_TABLE_LEN, 4);
		}
		break;
	case ONE_REGIONS:
		fake_put(f, VHDX_REGIONS_1 + l->off, val, l->width);
		break;
	case LOG_ENTRY:
	case LOG_TORN:
		fake_get(f, dirty_entry + ENT(length), &len, 4);
		fake_put(f, dirty_entry + l->off, val, l->width);
		if (l->where == LOG_ENTRY)
			seal(f, dirty_entry, len, ENT(checksum));
		break;
	}
}

/* Opens with FLAGS; a refusal has words and leaves the file alone. */
static int try_open(struct fake *f, unsigned flags, struct err *err)
{
	struct fake *before = fake_clone(f);
	struct blk *b = NULL;
	int rc;

	err->msg[0] = '\0';
	rc = vhdx_open(fake_open(f, false, 0), "liar", flags, NULL, &b, err);
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
		struct fake *f = fake_clone(l->where >= LOG_ENTRY ? dirty : clean);
		struct err err;
		int rc;

		tell(f, l);
		/* Without a log it can still be read. */
		rc = try_open(f, strcmp(l->what, "no log") == 0 ? 0 : DISK_READ_ONLY, &err);
		if ((rc == 0) != (l->says == NULL))
			fail_msg("%s: %s", l->what, rc == 0 ? "opened" : err.msg);
		if (l->says != NULL && strstr(err.msg, l->says) == NULL)
			fail_msg("%s: says \"%s\", expected \"%s\"", l->what, err.msg, l->says);
		CHECK_EQ(try_open(f, 0, &err) == 0, l->says == NULL);
		fake_free(f);
	}
}

/* The same GUID in two places takes more than one field. */
static void nothing_may_be_there_twice(void **s)
{
	struct fake *f = fake_clone(clean);
	uint8_t raw[32];
	struct err err;

	(void)s;
	for (uint64_t at = VHDX_REGIONS_1; at <= VHDX_REGIONS_2; at += TABLE_STEP) {
		fake_get(f, at + 16, raw, 16);
		fake_put(f, at + 48, raw, 16);
		seal(f, at, VHDX_REGION_TABLE_LEN, 4);
	}
	CHECK(try_open(f, DISK_READ_ONLY, &err) < 0);
	CHECK(strstr(err.msg, "twice") != NULL);
	fake_free(f);

	f = fake_clone(clean);
	fake_get(f, META + 32, raw, sizeof(raw));
	st32(raw + 16, 0x20000);
	fake_put(f, META + 32 + 5 * 32, raw, sizeof(raw));
	st16(raw, 6);
	fake_put(f, META + 10, raw, 2);
	CHECK(try_open(f, DISK_READ_ONLY, &err) < 0);
	CHECK(strstr(err.msg, "twice") != NULL);
	fake_free(f);
}

static void an_unfinished_file_is_refused(void **s)
{
	struct vhdx_item it = {
		.id = VHDX_ITEM_INCOMPLETE_GUID, .offset = le32_of(0), .length = le32_of(0),
		.flags = le32_of(ITEM_REQUIRED),
	};
	struct fake *f = fake_clone(clean);
	uint8_t six[2] = { 6, 0 };
	struct err err;

	(void)s;
	fake_put(f, META + 32 + 5 * 32, &it, sizeof(it));
	fake_put(f, META + 10, six, 2);
	CHECK(try_open(f, DISK_READ_ONLY, &err) < 0);
	CHECK(strstr(err.msg, "creation never ended") != NULL);
	fake_free(f);
}

/* A ring full of entries, each the follower of the one before: no loop. */
static void a_log_that_chases_its_tail(void **s)
{
	struct fake *f = fake_clone(dirty);
	struct vhdx_log_entry e;
	uint8_t sector[4096] = { 0 };
	struct err err;

	(void)s;
	fake_get(f, dirty_entry, &e, sizeof(e));
	e.length = le32_of(4096);
	e.count = le32_of(0);
	for (unsigned i = 0; i < 256; i++) {
		e.sequence = le64_of(1000 + i);
		e.tail = le32_of(0);
		memcpy(sector, &e, sizeof(e));
		vhdx_seal(sector, sizeof(sector), ENT(checksum));
		fake_put(f, LOG + i * 4096, sector, sizeof(sector));
	}
	CHECK_EQ(try_open(f, DISK_READ_ONLY, &err), 0);
	e.sequence = le64_of(1000);	/* all the same number: nobody follows anybody */
	memcpy(sector, &e, sizeof(e));
	vhdx_seal(sector, sizeof(sector), ENT(checksum));
	for (unsigned i = 0; i < 256; i++)
		fake_put(f, LOG + i * 4096, sector, sizeof(sector));
	CHECK_EQ(try_open(f, DISK_READ_ONLY, &err), 0);
	e.tail = le32_of(4096);
	memcpy(sector, &e, sizeof(e));
	vhdx_seal(sector, sizeof(sector), ENT(checksum));
	for (unsigned i = 0; i < 256; i++)
		if (i != 1)
			fake_put(f, LOG + i * 4096, sector, sizeof(sector));
	fake_put(f, LOG + 4096, aio_zeros, 4096);
	CHECK(try_open(f, DISK_READ_ONLY, &err) < 0);
	fake_free(f);
}

static void cut_off_at_any_length(void **s)
{
	struct fake *const from[] = { clean, dirty };
	struct err err;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		uint64_t size = fake_size(from[i]);

		for (uint64_t len = 0; len < size; len += len < 0x51000 ? 0x1000 : 0x3b200) {
			struct fake *f = fake_clone(from[i]);

			fake_resize(f, len);
			/* What only the slack behind the last block lost is whole. */
			if (try_open(f, DISK_READ_ONLY, &err) == 0 && len < 6 * MIB)
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
		{ VHDX_HEADER_1, 80 }, { VHDX_HEADER_2, 80 },
		{ VHDX_REGIONS_1, 80 }, { VHDX_REGIONS_2, 80 },
		{ META, 192 }, { ITEMS, 40 }, { BAT, 32 }, { LOG, 128 }, { LOG + 4096, 4096 },
	};
	uint64_t x = 42;
	unsigned opened = 0;

	(void)s;
	for (unsigned i = 0; i < 1500; i++) {
		struct fake *f = fake_clone(i % 2 == 0 ? clean : dirty);
		struct err err;

		for (unsigned n = 1 + (unsigned)(rnd(&x) % 4); n > 0; n--) {
			uint64_t a = rnd(&x) % ARRAY_LEN(areas);
			uint8_t byte = (uint8_t)(rnd(&x) % 2 == 0 ? rnd(&x) : rnd(&x) % 2 * 255);

			fake_put(f, areas[a].at + rnd(&x) % areas[a].len, &byte, 1);
		}
		seal(f, VHDX_HEADER_1, 4096, 4);
		seal(f, VHDX_HEADER_2, 4096, 4);
		seal(f, VHDX_REGIONS_1, VHDX_REGION_TABLE_LEN, 4);
		seal(f, VHDX_REGIONS_2, VHDX_REGION_TABLE_LEN, 4);
		seal(f, LOG, 8192, 4);
		opened += try_open(f, DISK_READ_ONLY, &err) == 0;
		(void)!try_open(f, 0, &err);
		fake_free(f);
	}
	CHECK(opened > 0);
}

static int setup(void **s)
{
	static const struct vhdx_create conf = { .size = 64 * MIB, .block_size = 1 << 20 };
	struct aio *a;
	struct blk *b;
	uint8_t data[4096];

	(void)s;
	clean = fake_new();
	a = fake_open(clean, false, 0);
	CHECK_EQ(vhdx_format(a, &conf, NULL), 0);
	aio_close(a);
	memset(data, 0xd1, sizeof(data));
	CHECK_EQ(vhdx_open(fake_open(clean, false, 0), "clean", 0, NULL, &b, NULL), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE, 0, data, sizeof(data)), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE, MIB, data, sizeof(data)), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_FLUSH, 0, NULL, 0), 0);
	dirty = fake_clone(clean);		/* one entry, at the start of the log */
	dirty_entry = LOG;
	blk_close(b);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	fake_free(clean);
	fake_free(dirty);
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
		cmocka_unit_test(nothing_may_be_there_twice),
		cmocka_unit_test(an_unfinished_file_is_refused),
		cmocka_unit_test(a_log_that_chases_its_tail),
		cmocka_unit_test(cut_off_at_any_length),
		cmocka_unit_test(random_bytes_do_no_harm),
	};
#ifndef SANITIZED
	/* A count somebody believed would not fit in here. */
	const struct rlimit little = { 512 * MIB, 512 * MIB };

	if (setrlimit(RLIMIT_AS, &little) < 0)
		return 1;
#endif
	return cmocka_run_group_tests_name("hostile", tests, setup, teardown);
}
