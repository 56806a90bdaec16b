/*
 * disk_test.c - opening by content, locks, raw disks, and files that appear whole
 */
#include "base/test.h"
#include "disk/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128], other[128];
static uint8_t buf[MIB], got[MIB];

/* A file of SIZE bytes at PATH with BYTES at OFF. */
static void make(uint64_t size, uint64_t off, const void *bytes, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	CHECK_EQ(pwrite(fd, bytes, n, (off_t)off), n);
	close(fd);
}

static int try_open(unsigned flags, struct blk **ret_b, const char *says)
{
	struct err err = { .msg = "" };
	int rc = disk_open(path, flags, ret_b, &err);

	if (rc < 0) {
		CHECK(strncmp(err.msg, path, strlen(path)) == 0);
		if (strstr(err.msg, says) == NULL)
			fail_msg("says \"%s\", expected \"%s\"", err.msg, says);
	}
	return rc;
}

static void what_it_is_its_bytes_say(void **s)
{
	static const struct {
		uint64_t size, off;
		const char *bytes;
		size_t n;
		unsigned flags;
		int rc;
		const char *says;
	} rows[] = {
		{ MIB, 510, "\x55\xaa", 2, 0, 0, "" },
		{ MIB, 0, "hello", 5, 0, -ENOTSUP, "unknown first sector" },
		{ MIB, 0, "hello", 5, DISK_RAW_OK, 0, "" },
		{ MIB, 0x8001, "CD001", 5, DISK_READ_ONLY, 0, "" },
		{ MIB, 0, "conectix", 8, DISK_RAW_OK, -EBADMSG, "checksum" },
		{ MIB, MIB - 512, "conectix", 8, DISK_RAW_OK, -EBADMSG, "checksum" },
		{ MIB, MIB - 511, "conectix", 8, DISK_RAW_OK, -EBADMSG, "checksum" },
		{ MIB, MIB - 511, "conectix", 8, DISK_NO_VHD, -ENOTSUP, "convert it to VHDX" },
		{ MIB, 0, "vhdsetv1", 8, DISK_RAW_OK, -ENOTSUP, "VHD Set" },
		{ MIB, 0, "QFI\xfb", 4, DISK_RAW_OK, -ENOTSUP, "QCOW" },
		{ MIB, 0, "KDMV", 4, DISK_RAW_OK, -ENOTSUP, "VMDK" },
		{ MIB, 0, "vhdxfile", 8, DISK_RAW_OK, -EBADMSG, "headers" },
		{ 100, 0, "vhdxfile", 8, 0, -EBADMSG, "truncated" },
		{ 100, 0, "x", 1, DISK_RAW_OK, -EINVAL, "at least one sector" },
		{ 0, 0, "", 0, DISK_RAW_OK, -EINVAL, "at least one sector" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct blk *b = NULL;

		make(rows[i].size, rows[i].off, rows[i].bytes, rows[i].n);
		CHECK_EQ(try_open(rows[i].flags, &b, rows[i].says), rows[i].rc);
		CHECK_EQ(b != NULL && b->optical, rows[i].rc == 0 && rows[i].off == 0x8001);
		blk_close(b);
	}
	unlink(path);
	CHECK_EQ(try_open(0, &(struct blk *){ NULL }, "No such file"), -ENOENT);
	CHECK_EQ(mkdir(path, 0700), 0);
	CHECK_EQ(try_open(DISK_READ_ONLY, &(struct blk *){ NULL }, "a directory"), -EINVAL);
	rmdir(path);
	CHECK_EQ(mkfifo(path, 0600), 0);
	CHECK_EQ(try_open(DISK_READ_ONLY, &(struct blk *){ NULL }, "a special file"), -EINVAL);
	unlink(path);
}

/* A guest may write one format's signature where another's is: the name decides. */
static void a_file_that_is_both_is_what_its_name_says(void **s)
{
	const struct vhd_create conf = { .kind = VHD_MAKE_FIXED, .size = 4 * MIB };
	char vhd[160], any[160];
	struct err err;
	struct blk *b;

	(void)s;
	snprintf(vhd, sizeof(vhd), "%s/guest.VHD", dir);
	snprintf(any, sizeof(any), "%s/guest.img", dir);
	CHECK_EQ(vhd_create(vhd, &conf, NULL), 0);
	CHECK_EQ(disk_open(vhd, 0, &b, NULL), 0);
	memset(buf, 0, sizeof(buf));
	memcpy(buf, "vhdxfile", 8);
	memcpy(buf + 0x8001, "CD001", 5);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE, 0, buf, sizeof(buf)), 0);
	blk_close(b);
	CHECK_EQ(disk_open(vhd, 0, &b, NULL), 0);
	CHECK_EQ(b->size, 4 * MIB);
	blk_close(b);
	CHECK_EQ(rename(vhd, any), 0);
	CHECK_EQ(disk_open(any, 0, &b, &err), -ENOTSUP);
	CHECK(strstr(err.msg, "expected a name in .vhd or .vhdx") != NULL);
	unlink(any);
}

/* Readers share, a writer is alone; the lock goes with the disk. */
static void one_writer_or_many_readers(void **s)
{
	struct vhdx_create conf = { .size = 16 * MIB };
	struct blk *a, *b, *c = NULL;
	struct disk_info info;

	(void)s;
	CHECK_EQ(vhdx_create(path, &conf, NULL), 0);
	CHECK_EQ(try_open(0, &a, ""), 0);
	CHECK_EQ(try_open(0, &c, "in use"), -EBUSY);
	CHECK_EQ(try_open(DISK_READ_ONLY, &c, "open for writing"), -EBUSY);
	blk_close(a);
	CHECK_EQ(try_open(DISK_READ_ONLY, &a, ""), 0);
	CHECK_EQ(try_open(DISK_READ_ONLY, &b, ""), 0);
	CHECK_EQ(disk_inspect(path, &info, NULL), 0);
	CHECK_EQ(try_open(0, &c, "in use"), -EBUSY);
	blk_close(a);
	blk_close(b);
	CHECK_EQ(try_open(0, &a, ""), 0);
	blk_close(a);
	unlink(path);
}

static int put(struct blk *b, enum blk_op op, uint64_t off, int byte, uint64_t n)
{
	memset(buf, byte, n);
	return blk_rw_wait(b, op, off, buf, n);
}

static bool holds(struct blk *b, uint64_t off, int byte, size_t n)
{
	memset(buf, byte, n);
	memset(got, ~byte, n);
	CHECK_EQ(blk_rw_wait(b, BLK_READ, off, got, n), 0);
	return memcmp(buf, got, n) == 0;
}

static void a_raw_disk(void **s)
{
	(void)s;
	for (unsigned i = 0; i < 2; i++) {
		unsigned flags = DISK_RAW_OK | (i == 1 ? DISK_NO_URING : 0);
		struct blk *b;

		make(MIB + 100, 0, "", 0);
		CHECK_EQ(try_open(flags, &b, ""), 0);
		CHECK_EQ(b->size, MIB);
		CHECK_EQ(put(b, BLK_WRITE, 4096, 0x31, 64 * KIB), 0);
		CHECK_EQ(put(b, BLK_FLUSH, 0, 0, 0), 0);
		CHECK_EQ(put(b, BLK_WRITE_ZEROES, 8192, 0, 4096), 0);
		CHECK_EQ(put(b, BLK_UNMAP, 16384, 0, 4096), 0);
		CHECK(holds(b, 4096, 0x31, 4096));
		CHECK(holds(b, 8192, 0, 4096));
		CHECK(holds(b, 20480, 0x31, 4096));
		CHECK_EQ(put(b, BLK_WRITE, MIB, 1, 512), -EINVAL);
		CHECK_EQ(put(b, BLK_WRITE, 100, 1, 512), -EINVAL);
		blk_close(b);
		CHECK_EQ(try_open(flags | DISK_READ_ONLY, &b, ""), 0);
		CHECK(holds(b, 4096, 0x31, 4096));
		CHECK_EQ(put(b, BLK_WRITE, 0, 1, 512), -EROFS);
		blk_close(b);
		unlink(path);
	}
}

static void an_iso_is_optical_and_read_only(void **s)
{
	struct disk_info info;
	struct blk *b;

	(void)s;
	make(MIB + 512, 0x8001, "CD001", 5);
	CHECK_EQ(try_open(DISK_READ_ONLY, &b, ""), 0);
	CHECK(b->optical && b->read_only && !b->can_unmap);
	CHECK_EQ(b->logical, 2048);
	CHECK_EQ(b->size, MIB);
	CHECK(!holds(b, 0x8000, 0, 2048));
	CHECK_EQ(put(b, BLK_WRITE, 0, 1, 2048), -EROFS);
	CHECK_EQ(blk_rw_wait(b, BLK_READ, 512, got, 512), -EINVAL);
	blk_close(b);
	CHECK_EQ(disk_inspect(path, &info, NULL), 0);
	CHECK_EQ(info.kind, DISK_ISO);
	unlink(path);
}

/* ---- files that appear whole ---------------------------------------------------- */

static unsigned files_in_dir(void)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	CHECK(d != NULL);
	for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void creating_leaves_a_whole_file_or_none(void **s)
{
	static const struct {
		struct vhdx_create conf;
		const char *says;
	} bad[] = {
		{ { .size = 0 }, "size" },
		{ { .size = 3 * MIB - 512 }, "size" },
		{ { .size = (UINT64_C(64) << 40) + 512 }, "size" },
		{ { .size = 16 * MIB + 1 }, "multiple of 512" },
		{ { .size = 16 * MIB + 512, .logical = 4096 }, "multiple of 4096" },
		{ { .size = 16 * MIB, .logical = 1024 }, "sector" },
		{ { .size = 16 * MIB, .block_size = 3 << 20 }, "block size" },
		{ { .size = 16 * MIB, .block_size = 512 << 20 }, "block size" },
	};
	const struct vhdx_create good = { .size = UINT64_C(64) << 40, .block_size = 1 << 20 };
	struct disk_info info;
	struct err err;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_EQ(vhdx_create(path, &bad[i].conf, &err), -EINVAL);
		CHECK(strncmp(err.msg, path, strlen(path)) == 0 &&
		      strstr(err.msg, bad[i].says) != NULL);
		CHECK_EQ(files_in_dir(), 0);
	}
	CHECK_EQ(vhdx_create(path, &good, NULL), 0);
	CHECK_EQ(vhdx_create(path, &good, &err), -EEXIST);
	CHECK(strstr(err.msg, "exists") != NULL);
	CHECK_EQ(disk_inspect(path, &info, NULL), 0);
	CHECK_EQ(info.kind, DISK_VHDX);
	CHECK_EQ(info.size, good.size);
	CHECK_EQ(info.present, 0);
	CHECK_STR(info.creator, "Genvisor");
	CHECK_EQ(files_in_dir(), 1);
	unlink(path);
	CHECK_EQ(vhdx_create("/nowhere/at/all.vhdx", &good, NULL), -ENOENT);
}

static void count_progress(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *last = arg;

	CHECK(done >= *last && done <= total);
	*last = done;
}

static void importing_copies_what_is_not_zero(void **s)
{
	const struct vhdx_create conf = { .block_size = 1 << 20 }, small = { .size = 4 * MIB };
	struct disk_info info;
	struct blk *src, *b;
	uint64_t last = 0;

	(void)s;
	make(40 * MIB + 512 * 3, 0, "", 0);
	CHECK_EQ(try_open(DISK_RAW_OK, &src, ""), 0);
	CHECK_EQ(put(src, BLK_WRITE, 5 * MIB + 512, 0x41, 3 * 512), 0);
	CHECK_EQ(put(src, BLK_WRITE, 17 * MIB - 64 * KIB, 0x42, 128 * KIB), 0);
	CHECK_EQ(put(src, BLK_WRITE, 40 * MIB + 512, 0x43, 1024), 0);
	CHECK_EQ(vhdx_import(other, &small, src, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(files_in_dir(), 1);
	CHECK_EQ(vhdx_import(other, &conf, src, count_progress, &last, NULL), 0);
	CHECK_EQ(last, src->size);
	CHECK_EQ(vhdx_import(other, &conf, src, NULL, NULL, NULL), -EEXIST);
	CHECK_EQ(files_in_dir(), 2);
	CHECK_EQ(disk_inspect(other, &info, NULL), 0);
	CHECK_EQ(info.size, src->size);
	CHECK_EQ(info.present, 4);
	CHECK(!info.log_dirty);
	CHECK_EQ(disk_open(other, DISK_READ_ONLY, &b, NULL), 0);
	for (uint64_t off = 0; off < src->size; off += sizeof(buf)) {
		uint64_t n = min_u64(sizeof(buf), src->size - off);

		CHECK_EQ(blk_rw_wait(src, BLK_READ, off, buf, n), 0);
		CHECK_EQ(blk_rw_wait(b, BLK_READ, off, got, n), 0);
		CHECK_MEM(buf, got, n);
	}
	blk_close(b);
	blk_close(src);
	unlink(other);
	unlink(path);
}

static void a_source_that_fails_leaves_nothing(void **s)
{
	const struct vhdx_create conf = { .size = 0 };
	struct blk *src;
	struct err err;

	(void)s;
	make(8 * MIB, 0, "", 0);
	CHECK_EQ(try_open(DISK_RAW_OK, &src, ""), 0);
	CHECK_EQ(truncate(path, 4 * MIB), 0);	/* somebody cuts it under us */
	CHECK_EQ(vhdx_import(other, &conf, src, NULL, NULL, &err), -EIO);
	CHECK(strstr(err.msg, "cannot copy") != NULL);
	CHECK_EQ(files_in_dir(), 1);
	blk_close(src);
	unlink(path);
}

static int setup(void **s)
{
	const char *tmp = getenv("TMPDIR");

	(void)s;
	snprintf(dir, sizeof(dir), "%.40s/disk-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/a.img", dir);
	snprintf(other, sizeof(other), "%s/b.vhdx", dir);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	unlink(path);
	unlink(other);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_is_its_bytes_say),
		cmocka_unit_test(a_file_that_is_both_is_what_its_name_says),
		cmocka_unit_test(one_writer_or_many_readers),
		cmocka_unit_test(a_raw_disk),
		cmocka_unit_test(an_iso_is_optical_and_read_only),
		cmocka_unit_test(creating_leaves_a_whole_file_or_none),
		cmocka_unit_test(importing_copies_what_is_not_zero),
		cmocka_unit_test(a_source_that_fails_leaves_nothing),
	};

	return cmocka_run_group_tests_name("disk", tests, setup, teardown);
}
