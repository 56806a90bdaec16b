#include "base/test.h"

#include "mem/gmem_cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Two ranges that touch (64K + 64K), a hole, and one at 4 GiB. */
static const struct gmem_range ranges[] = {
	{ 0, 0x10000 }, { 0x10000, 0x10000 }, { 4 * GIB, 3 * MIB },
};

static struct gmem *new_ram(void)
{
	struct gmem *m;
	struct err err;

	CHECK_EQ(gmem_new(ranges, ARRAY_LEN(ranges), &m, &err), 0);
	return m;
}

static void ranges_are_checked(void **s)
{
	static const struct {
		struct gmem_range r[2];
		size_t nr;
	} bad[] = {
		{ { { 0, 0 } }, 1 },				/* empty */
		{ { { 0, 4095 } }, 1 },
		{ { { 1, 4096 } }, 1 },
		{ { { 0, 8192 }, { 4096, 4096 } }, 2 },		/* overlap */
		{ { { 8192, 4096 }, { 0, 4096 } }, 2 },		/* order */
		{ { { UINT64_MAX - 4095, 4096 } }, 1 },		/* wraps to 0 */
		{ { { UINT64_C(1) << 52, 4096 } }, 1 },
		{ { { 0, 4096 } }, 0 },
		{ { { 0, 4096 } }, GMEM_MAX_RANGES + 1 },
	};
	struct gmem *m = NULL;
	struct err err;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err.msg[0] = '\0';
		CHECK_EQ(gmem_new(bad[i].r, bad[i].nr, &m, &err), -EINVAL);
		CHECK(err.msg[0] != '\0');
	}
	CHECK(m == NULL);
}

static void every_failed_allocation_is_reported(void **s)
{
	struct gmem *m = NULL;
	struct gview *v = NULL;
	uint64_t pfn = 0;

	(void)s;
	base_fail_alloc(1);
	CHECK_EQ(gmem_new(ranges, 3, &m, NULL), -ENOMEM);
	base_fail_alloc(0);
	/* More than any address space holds. */
	CHECK_EQ(gmem_new(&(struct gmem_range){ 0, UINT64_C(1) << 51 }, 1, &m, NULL), -ENOMEM);
	m = new_ram();
	base_fail_alloc(1);
	CHECK_EQ(gview_new(m, &pfn, 1, &v), -ENOMEM);
	base_fail_alloc(0);
	CHECK_EQ(gview_new(m, &pfn, SIZE_MAX / 8, &v), -ENOMEM);
	gmem_free(m);
	gmem_free(NULL);
}

static void the_whole_range_is_checked_first(void **s)
{
	struct gmem *m = new_ram();
	uint8_t buf[32], keep[32];
	uint32_t w = 5;

	(void)s;
	memset(buf, 0xaa, sizeof(buf));
	memset(keep, 0xaa, sizeof(keep));
	CHECK_EQ(gmem_size(m), 0x20000 + 3 * MIB);
	CHECK(gmem_is_ram(m, 0, 0x20000));
	CHECK(!gmem_is_ram(m, 0, 0x20001));
	CHECK(!gmem_is_ram(m, UINT64_MAX, 2));
	CHECK(!gmem_is_ram(m, 4 * GIB, UINT64_MAX));
	CHECK(!gmem_is_ram(m, 4 * GIB - 1, 2));
	CHECK(gmem_is_ram(m, 4 * GIB + 3 * MIB - 1, 1));

	CHECK_EQ(gmem_read(m, 0x1fff0, buf, 17), -EFAULT);
	CHECK_MEM(buf, keep, sizeof(buf));
	CHECK_EQ(gmem_write(m, 0x1fff0, buf, 17), -EFAULT);
	CHECK_EQ(gmem_read(m, 0x1fff0, buf, 16), 0);	/* nothing of it was written */
	CHECK_EQ(buf[0], 0);
	CHECK_EQ(gmem_zero(m, UINT64_MAX - 1, 4), -EFAULT);
	CHECK_EQ(gmem_read(m, 0x1000, buf, SIZE_MAX), -EFAULT);
	CHECK_EQ(gmem_read(m, 0xdead0000, buf, 0), 0);
	CHECK_EQ(gmem_load32(m, 2, &w), -EFAULT);
	CHECK_EQ(gmem_load32(m, 0x20000, &w), -EFAULT);
	CHECK_EQ(gmem_store32(m, 0x1ffff, 1), -EFAULT);
	CHECK_EQ(gmem_or32(m, UINT64_MAX - 3, 1, &w), -EFAULT);
	CHECK_EQ(w, 5);
	gmem_free(m);
}

static void bytes_come_back_across_ranges(void **s)
{
	struct gmem *m = new_ram();
	uint8_t out[300], in[300];

	(void)s;
	for (size_t n = 1; n < sizeof(out); n++) {
		for (size_t i = 0; i < n; i++)
			out[i] = (uint8_t)(i * 7 + n);
		CHECK_EQ(gmem_write(m, 0x10000 - n / 2, out, n), 0);
		memset(in, 0, sizeof(in));
		CHECK_EQ(gmem_read(m, 0x10000 - n / 2, in, n), 0);
		CHECK_MEM(in, out, n);
	}
	CHECK_EQ(gmem_zero(m, 0x10000 - 100, 150), 0);
	CHECK_EQ(gmem_read(m, 0x10000 - 101, in, 152), 0);
	CHECK(in[0] != 0 && in[1] == 0 && in[150] == 0);
	gmem_free(m);
}

static void words_are_little_endian_and_atomic_ops_return_the_old(void **s)
{
	struct gmem *m = new_ram();
	uint8_t b[4];
	uint32_t w;

	(void)s;
	CHECK_EQ(gmem_store32(m, 4 * GIB + 8, 0x11223344), 0);
	CHECK_EQ(gmem_read(m, 4 * GIB + 8, b, 4), 0);
	CHECK_EQ(b[0], 0x44);
	CHECK_EQ(gmem_or32(m, 4 * GIB + 8, 0x0f, &w), 0);
	CHECK_EQ(w, 0x11223344);
	CHECK_EQ(gmem_and32(m, 4 * GIB + 8, 0xff, &w), 0);
	CHECK_EQ(w, 0x1122334f);
	CHECK_EQ(gmem_load32(m, 4 * GIB + 8, &w), 0);
	CHECK_EQ(w, 0x4f);
	gmem_free(m);
}

static void every_kind_of_write_makes_code_stale(void **s)
{
	struct gmem *m = new_ram();
	struct gmem_page pg[3];
	struct gview *v;
	uint64_t pfns[] = { 1, 0 };
	uint32_t gen, old;
	struct iovec iov[4];
	int nr = 0;

	(void)s;
	for (unsigned i = 0; i < 3; i++)
		CHECK(gmem_page_of(m, i * 0x1000 + 5, &pg[i]));
	CHECK(!gmem_page_of(m, 0x20000, &pg[0]));
	CHECK_EQ(gmem_write(m, 0x1000, "x", 1), 0);
	CHECK_EQ(*pg[1].state, 0);	/* no code: writes are not counted */
	gen = gmem_page_decoding(pg[1].state);
	CHECK_EQ(gen, GMEM_HAS_CODE);
	CHECK_EQ(gview_new(m, pfns, 2, &v), 0);

#define STALE(expr) \
	do { \
		CHECK_EQ((expr), 0); \
		gen += GMEM_GEN_STEP; \
		CHECK_EQ(*pg[1].state, gen); \
	} while (0)
	STALE(gmem_write(m, 0xfff, "ab", 2));
	STALE(gmem_write(m, 0x1fff, "ab", 2));
	STALE(gmem_zero(m, 0x1800, 4));
	STALE(gmem_store32(m, 0x1000, 1));
	STALE(gmem_or32(m, 0x1000, 1, &old));
	STALE(gmem_and32(m, 0x1000, 1, &old));
	STALE(gview_write(v, 0xfff, "ab", 2));
	STALE(gview_store32(v, 8, 1));
#undef STALE
	CHECK_EQ(gmem_pin(m, 0x1000, 0x1000, true, iov, &nr, 4), 0);
	gmem_unpin_written(m, 0x1000, 0x1000);
	gmem_clear(m);
	CHECK_EQ(*pg[1].state, gen + 2 * GMEM_GEN_STEP);
	CHECK_EQ(*pg[0].state, 0);
	CHECK_EQ(*pg[2].state, 0);
	CHECK_EQ(gmem_write(m, 0x800, "ab", 2), 0);
	CHECK_EQ(gmem_read(m, 0x1000, &old, 4), 0);
	CHECK_EQ(*pg[1].state, gen + 2 * GMEM_GEN_STEP);
	gview_free(v);
	gmem_free(m);
}

static void clear_gives_zeros_in_every_range(void **s)
{
	static const uint64_t at[] = { 0, 0xffff, 0x1ffff, 4 * GIB, 4 * GIB + 3 * MIB - 1 };
	struct gmem *m = new_ram();
	uint8_t b = 0x5a;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		CHECK_EQ(gmem_write(m, at[i], &b, 1), 0);
	gmem_clear(m);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		b = 1;
		CHECK_EQ(gmem_read(m, at[i], &b, 1), 0);
		CHECK_EQ(b, 0);
	}
	gmem_free(m);
}

static void mappings_keep_the_address_modulo_2_mib(void **s)
{
	static const struct gmem_range odd[] = { { 0x3000, 0x5000 }, { GIB + 0x1ff000, 4 * MIB } };
	const struct gmem_range *r;
	struct gmem *m;

	(void)s;
	CHECK_EQ(gmem_new(odd, 2, &m, NULL), 0);
	CHECK_EQ(gmem_ranges(m, &r), 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK_EQ(r[i].gpa, odd[i].gpa);
		CHECK_EQ(((uintptr_t)gmem_range_hva(m, i) - odd[i].gpa) % (2 * MIB), 0);
		memset(gmem_range_hva(m, i), (int)i + 1, r[i].len);
	}
	CHECK_EQ(gmem_range_hva(m, 0)[0], 1);
	gmem_free(m);
}

static void pins_merge_and_leave_nothing_behind_on_failure(void **s)
{
	struct gmem *m = new_ram();
	struct iovec iov[2];
	int nr = 0;

	(void)s;
	CHECK_EQ(gmem_pin(m, 0x1000, 0x800, false, iov, &nr, 2), 0);
	CHECK_EQ(gmem_pin(m, 0x1800, 0x800, false, iov, &nr, 2), 0);
	CHECK_EQ(nr, 1);
	CHECK_EQ(iov[0].iov_len, 0x1000);
	CHECK(iov[0].iov_base == gmem_range_hva(m, 0) + 0x1000);
	CHECK_EQ(gmem_pin(m, 0x20000 - 1, 2, false, iov, &nr, 2), -EFAULT);
	CHECK_EQ(gmem_pin(m, 4 * GIB, 0x1000, true, iov, &nr, 2), 0);
	CHECK_EQ(nr, 2);
	/* The first piece would fit by merging, the second would not. */
	nr = 1;
	iov[0] = (struct iovec){ gmem_range_hva(m, 0) + 0xe000, 0x1000 };
	CHECK_EQ(gmem_pin(m, 0xf000, 0x2000, false, iov, &nr, 1), -ENOSPC);
	CHECK_EQ(nr, 1);
	CHECK_EQ(iov[0].iov_len, 0x1000);
	nr = 0;
	CHECK_EQ(gmem_pin(m, 0, 1, false, iov, &nr, 0), -ENOSPC);
	CHECK_EQ(nr, 0);
	gmem_free(m);
}

static void views_follow_their_list(void **s)
{
	static const uint64_t pfns[] = { 0x100000, 3, 3, 0x1f };	/* a page may repeat */
	static const uint64_t bad[] = {
		0x20, 0xfffff, UINT64_MAX, UINT64_MAX >> 12, UINT64_C(1) << 52,
	};
	struct gmem *m = new_ram();
	struct gview *v, *sub, *none = NULL;
	uint8_t buf[0x2000];
	uint32_t w;

	(void)s;
	CHECK_EQ(gview_new(m, pfns, 4, &v), 0);
	CHECK_EQ(gview_size(v), 0x4000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(gview_new(m, &bad[i], 1, &none), -EFAULT);
	CHECK_EQ(gview_write(v, 0xffe, "abcd", 4), 0);
	CHECK_EQ(gmem_read(m, 4 * GIB + 0xffe, buf, 2), 0);
	CHECK_MEM(buf, "ab", 2);
	CHECK_EQ(gmem_read(m, 0x3000, buf, 2), 0);
	CHECK_MEM(buf, "cd", 2);
	CHECK_EQ(gview_read(v, 0x2000, buf, 2), 0);
	CHECK_MEM(buf, "cd", 2);
	CHECK_EQ(gview_read(v, 0x3fff, buf, 2), -EFAULT);
	CHECK_EQ(gview_read(v, SIZE_MAX, buf, 2), -EFAULT);
	CHECK_EQ(gview_write(v, 1, buf, SIZE_MAX), -EFAULT);
	CHECK_EQ(gview_store32(v, 0x3ffc, 77), 0);
	CHECK_EQ(gview_store32(v, 0x4000, 77), -EFAULT);
	CHECK_EQ(gview_load32(v, 2, &w), -EFAULT);

	CHECK_EQ(gview_sub(v, 3, 2, &none), -EFAULT);
	CHECK_EQ(gview_sub(v, 5, 0, &none), -EFAULT);
	CHECK_EQ(gview_sub(v, SIZE_MAX, 2, &none), -EFAULT);
	CHECK_EQ(gview_sub(v, 3, 1, &sub), 0);
	gview_free(v);
	CHECK_EQ(gview_size(sub), 0x1000);
	CHECK_EQ(gview_load32(sub, 0xffc, &w), 0);
	CHECK_EQ(w, 77);
	CHECK(none == NULL);
	gview_free(sub);
	gmem_free(m);
}

struct race {
	struct gmem *m;
	_Atomic bool stop;
};

/* Writes the word AAAAAAAA or 55555555 and an odd-sized record, for ever. */
static void *racing_writer(void *arg)
{
	struct race *r = arg;
	uint8_t rec[13];

	for (unsigned i = 0; !atomic_load(&r->stop); i++) {
		uint64_t v = i & 1 ? UINT64_MAX : 0;

		memset(rec, (int)i, sizeof(rec));
		BUG_IF(gmem_write(r->m, 0x2000, &v, 8) < 0);
		BUG_IF(gmem_write(r->m, 0x3ff9, rec, sizeof(rec)) < 0);
		BUG_IF(gmem_or32(r->m, 0x2010, 1, &(uint32_t){ 0 }) < 0);
	}
	return NULL;
}

/* Run it under TSan too: a guest that races with us is not a bug of ours. */
static void words_are_never_torn_by_a_concurrent_writer(void **s)
{
	struct race r = { .m = new_ram() };
	pthread_t t;
	uint8_t rec[13];
	uint64_t v = 0;
	uint32_t w;

	(void)s;
	CHECK_EQ(pthread_create(&t, NULL, racing_writer, &r), 0);
	for (unsigned i = 0; i < 200000; i++) {
		CHECK_EQ(gmem_read(r.m, 0x2000, &v, 8), 0);
		if (v != 0 && v != UINT64_MAX)
			fail_msg("torn: %016lx", (unsigned long)v);
		CHECK_EQ(gmem_read(r.m, 0x3ff9, rec, sizeof(rec)), 0);
		CHECK_EQ(gmem_and32(r.m, 0x2010, ~2u, &w), 0);
	}
	atomic_store(&r.stop, true);
	pthread_join(t, NULL);
	gmem_free(r.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(every_failed_allocation_is_reported),
		cmocka_unit_test(the_whole_range_is_checked_first),
		cmocka_unit_test(bytes_come_back_across_ranges),
		cmocka_unit_test(words_are_little_endian_and_atomic_ops_return_the_old),
		cmocka_unit_test(every_kind_of_write_makes_code_stale),
		cmocka_unit_test(clear_gives_zeros_in_every_range),
		cmocka_unit_test(mappings_keep_the_address_modulo_2_mib),
		cmocka_unit_test(pins_merge_and_leave_nothing_behind_on_failure),
		cmocka_unit_test(views_follow_their_list),
		cmocka_unit_test(words_are_never_torn_by_a_concurrent_writer),
	};

	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
