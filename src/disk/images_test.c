/*
 * images_test.c - images other programs made, and other programs on ours
 *
 * images_test DIR: DIR holds images written by Windows, Virtual PC, disk2vhd and QEMU and
 * a MANIFEST.md that says what each must read as.  Each is read read-only, by
 * both backends, and again after a writable open of a copy; all must agree.
 * Then QEMU and an independent reader judge images we made and wrote.
 * What is not there (DIR, a program) is skipped, and says so.
 */
#include "base/test.h"
#include "disk/vhdx.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (64 * KIB)

static const char *images;
static char tmp[64];
static uint8_t buf[MIB];

PRINTF(1, 2) static int run(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static bool have(const char *program)
{
	return run("command -v %s >/dev/null 2>&1", program) == 0;
}

/* First line of what CMD prints. */
PRINTF(2, 3) static void ask(char line[512], const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	FILE *p;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	line[0] = '\0';
	p = popen(cmd, "r");
	CHECK(p != NULL);
	if (fgets(line, 512, p) == NULL)
		line[0] = '\0';
	pclose(p);
	line[strcspn(line, "\n")] = '\0';
}

static struct blk *open_file(const char *path, unsigned flags)
{
	struct err err = { .msg = "" };
	struct blk *b = NULL;

	if (disk_open(path, flags, &b, &err) < 0)
		fail_msg("%s", err.msg);
	return b;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/*
 * FULL: all bytes.  Else, for each 64 KiB that is not zero, its offset and its
 * bytes: the manifest's sparse hash.  Absent blocks are not even read then.
 */
static void feed(struct blk *b, bool full, void (*eat)(void *arg, const void *p, size_t n),
		 void *arg)
{
	const struct vhdx *v = CONTAINER_OF(b, struct vhdx, blk);
	bool map = b->ops == &vhdx_blk_ops && !v->has_parent;
	uint64_t step = full ? sizeof(buf) : CHUNK;

	for (uint64_t off = 0; off < b->size; off += step) {
		size_t n = (size_t)min_u64(step, b->size - off);

		if (!full && map && !bat_has_space(vhdx_bat_get(v, off >> v->block_shift)))
			continue;
		CHECK_EQ(blk_rw_wait(b, BLK_READ, off, buf, n), 0);
		if (!full && is_zero(buf, n))
			continue;
		if (!full)
			eat(arg, &off, sizeof(off));
		eat(arg, buf, n);
	}
}

static void eat_file(void *arg, const void *p, size_t n)
{
	CHECK_EQ(fwrite(p, 1, n, arg), n);
}

static void eat_crc(void *arg, const void *p, size_t n)
{
	*(uint32_t *)arg = base_crc32c(*(uint32_t *)arg, p, n);
}

static uint32_t fingerprint(const char *path, unsigned flags)
{
	struct blk *b = open_file(path, flags);
	uint32_t crc = 0;

	feed(b, false, eat_crc, &crc);
	blk_close(b);
	return crc;
}

static void check_hash(const char *path, bool full, const char *expected)
{
	struct blk *b = open_file(path, DISK_READ_ONLY);
	char cmd[256], line[512] = "";
	FILE *p, *r;

	snprintf(cmd, sizeof(cmd), "sha256sum >%s/sum", tmp);
	p = popen(cmd, "w");
	CHECK(p != NULL);
	feed(b, full, eat_file, p);
	CHECK_EQ(pclose(p), 0);
	blk_close(b);
	snprintf(cmd, sizeof(cmd), "%s/sum", tmp);
	r = fopen(cmd, "r");
	CHECK(r != NULL && fgets(line, sizeof(line), r) != NULL);
	fclose(r);
	line[strcspn(line, " ")] = '\0';
	if (strcmp(line, expected) != 0)
		fail_msg("%s: content %s, expected %s", path, line, expected);
}

/* Of the file itself. */
static uint32_t file_crc(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint32_t crc = 0;
	size_t n;

	CHECK(f != NULL);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		crc = base_crc32c(crc, buf, n);
	fclose(f);
	return crc;
}

/* NAME of the manifest, unpacked into our folder; *ret_path is where. */
static void unpack(const char *name, char ret_path[256])
{
	const char *base = strrchr(name, '/') == NULL ? name : strrchr(name, '/') + 1;

	snprintf(ret_path, 256, "%s/%.*s", tmp, (int)(strrchr(base, '.') - base), base);
	CHECK_EQ(run("%s '%s/%s' | dd of=%s conv=sparse bs=64K iflag=fullblock status=none",
		     strstr(name, ".bz2") != NULL ? "bzcat" : "zcat", images, name, ret_path), 0);
}

/* A child needs its parent beside it. */
static void unpack_parent(const char *name, char ret_path[256])
{
	char parent[128];
	char *at;

	snprintf(parent, sizeof(parent), "%s", name);
	at = strstr(parent, "differential");
	CHECK(at != NULL);
	memmove(at + 6, at + 12, strlen(at + 12) + 1);
	memcpy(at, "parent", 6);
	unpack(parent, ret_path);
}

/* One line of the manifest's table: its first cell, and "sha256 H" or "sparse H" in its last. */
static void one_image(const char *name, bool full, const char *hash)
{
	char path[256], parent[256] = "";
	uint32_t before, content;

	unpack(name, path);
	if (strstr(name, "differential") != NULL)
		unpack_parent(name, parent);
	before = file_crc(path);
	check_hash(path, full, hash);
	content = fingerprint(path, DISK_READ_ONLY);
	CHECK_EQ(fingerprint(path, DISK_READ_ONLY | DISK_NO_URING), content);
	CHECK_EQ(file_crc(path), before);		/* a reader writes nothing */
	CHECK_EQ(fingerprint(path, 0), content);	/* replays, where the log is dirty */
	CHECK_EQ(fingerprint(path, DISK_READ_ONLY), content);
	print_message("%s: ok\n", name);
	unlink(path);
	if (parent[0] != '\0')
		unlink(parent);
}

/* Somebody edited it by hand and left the checksums. */
static void one_bad_image(const char *name)
{
	struct err err = { .msg = "" };
	struct blk *b;
	char path[256];

	unpack(name, path);
	CHECK(disk_open(path, DISK_READ_ONLY, &b, &err) < 0);
	if (strstr(err.msg, "checksum") == NULL)
		fail_msg("%s: says \"%s\"", name, err.msg);
	print_message("%s: refused\n", name);
	unlink(path);
}

static void images_of_others_read_as_they_must(void **s)
{
	char line[2048], path[512];
	unsigned done = 0;
	FILE *f;

	(void)s;
	snprintf(path, sizeof(path), "%s/MANIFEST.md", images == NULL ? "" : images);
	f = fopen(path, "r");
	if (f == NULL) {
		print_message("skipped: no sample images (%s)\n", path);
		skip();
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		char name[128], *end, *hash;
		bool full;

		if (sscanf(line, "| %127[^ ] ", name) != 1 || (strstr(name, ".vhd.") == NULL && strstr(name, ".vhdx.") == NULL))
			continue;
		done++;
		if (strstr(line, "(negative test)") != NULL) {
			one_bad_image(name);
			continue;
		}
		end = strrchr(line, '|');
		*end = '\0';
		end = strrchr(line, '|');
		full = (hash = strstr(end, "sha256 ")) != NULL;
		if (!full && (hash = strstr(end, "sparse ")) == NULL)
			continue;
		hash += 7;
		hash[64] = '\0';
		one_image(name, full, hash);
	}
	fclose(f);
	CHECK(done >= 19);
}

/* ---- others on ours ---------------------------------------------------------- */

/* Writes here and there, keeps RAW the same; trims some of it again. */
static void scribble(struct blk *b, int raw)
{
	uint64_t rng = 88172645463325252u;

	for (unsigned i = 0; i < 300; i++) {
		uint64_t len, off;

		rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
		len = 512 * (1 + rng % 200);
		off = rng / 512 % (b->size / 512 - 200) * 512;
		if (i % 5 == 4) {
			len = min_u64(4 * MIB, b->size - off);
			CHECK_EQ(blk_rw_wait(b, BLK_WRITE_ZEROES, off, NULL, len), 0);
			memset(buf, 0, sizeof(buf));
			for (uint64_t n, at = 0; at < len; at += n) {
				n = min_u64(sizeof(buf), len - at);
				CHECK_EQ(pwrite(raw, buf, n, (off_t)(off + at)), n);
			}
			continue;
		}
		for (size_t k = 0; k < len; k++)
			buf[k] = (uint8_t)(k * 13 + i + k / 251);
		CHECK_EQ(blk_rw_wait(b, BLK_WRITE, off, buf, len), 0);
		CHECK_EQ(pwrite(raw, buf, len, (off_t)off), len);
		if (i % 20 == 0)
			CHECK_EQ(blk_rw_wait(b, BLK_FLUSH, 0, NULL, 0), 0);
	}
}

static void judge_by_qemu(void)
{
	if (!have("qemu-img")) {
		print_message("skipped: no qemu-img\n");
		return;
	}
	CHECK_EQ(run("qemu-img check -q %s/ours.vhdx", tmp), 0);
	CHECK_EQ(run("qemu-img compare -q -f vhdx -F raw %s/ours.vhdx %s/ours.raw", tmp, tmp), 0);
	/* And it can go on writing where we stopped. */
	CHECK_EQ(run("qemu-io -f vhdx -c 'write -P 0x5a 1M 3M' %s/ours.vhdx >/dev/null", tmp), 0);
	CHECK_EQ(run("qemu-io -f raw -c 'write -P 0x5a 1M 3M' %s/ours.raw >/dev/null", tmp), 0);
	CHECK_EQ(run("qemu-img check -q %s/ours.vhdx", tmp), 0);
}

/* NAMES: ours.EXT, and its parents behind it. */
static void judge_by_reader(const char *names)
{
	char a[512], b[512];

	if (images == NULL || !have("python3") || run("test -f %s/tools/vhxread.py", images) != 0) {
		print_message("skipped: no independent reader\n");
		return;
	}
	ask(a, "sha256sum <%s/ours.raw | cut -c1-64", tmp);
	ask(b,
	    "cd %s && python3 %s/tools/vhxread.py %s |"
	    " sed -n 's/.*full_sha256=\\([0-9a-f]*\\).*/\\1/p'",
	    tmp, images, names);
	CHECK_EQ(strlen(a), 64);
	CHECK_STR(a, b);
}

static void judge_ourselves(const char *name)
{
	char path[128];
	struct blk *v, *r;
	uint8_t *other = malloc(MIB);

	snprintf(path, sizeof(path), "%s/%s", tmp, name);
	v = open_file(path, DISK_READ_ONLY);
	snprintf(path, sizeof(path), "%s/ours.raw", tmp);
	r = open_file(path, DISK_READ_ONLY | DISK_RAW_OK);
	CHECK_EQ(v->size, r->size);
	for (uint64_t off = 0; off < v->size; off += MIB) {
		size_t n = (size_t)min_u64(MIB, v->size - off);

		CHECK_EQ(blk_rw_wait(v, BLK_READ, off, buf, n), 0);
		CHECK_EQ(blk_rw_wait(r, BLK_READ, off, other, n), 0);
		CHECK_MEM(buf, other, n);
	}
	blk_close(v);
	blk_close(r);
	free(other);
}

static void others_read_what_we_wrote(void **s)
{
	static const struct vhdx_create confs[] = {
		{ .size = 100 * MIB, .block_size = 1 << 20 },
		{ .size = 64 * MIB, .block_size = 8 << 20 },
		{ .size = 48 * MIB, .fixed = true },
		{ .size = 70 * MIB },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(confs); i++) {
		char path[128], raw_path[128];
		struct blk *b;
		int raw;

		snprintf(path, sizeof(path), "%s/ours.vhdx", tmp);
		snprintf(raw_path, sizeof(raw_path), "%s/ours.raw", tmp);
		CHECK_EQ(vhdx_create(path, &confs[i], NULL), 0);
		raw = open(raw_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(raw >= 0 && ftruncate(raw, (off_t)confs[i].size) == 0);
		b = open_file(path, i % 2 == 0 ? 0 : DISK_NO_URING);
		scribble(b, raw);
		blk_close(b);
		close(raw);
		judge_ourselves("ours.vhdx");
		judge_by_qemu();
		if (i == 0)
			judge_by_reader("ours.vhdx");
		judge_ourselves("ours.vhdx");
		unlink(path);
		unlink(raw_path);
	}
}

/* QEMU knows no parents; libvhdi's mount reads, and is of no use where FUSE is denied. */
static void judge_vhd(const char *name, bool child)
{
	if (child) {
		print_message("%s: by the independent reader alone\n", name);
	} else if (have("qemu-img")) {
		CHECK_EQ(run("qemu-img compare -q -f vpc -F raw %s/%s %s/ours.raw", tmp, name, tmp), 0);
		CHECK_EQ(run("qemu-io -f vpc -c 'write -P 0x5a 1M 3M' %s/%s >/dev/null", tmp, name), 0);
		CHECK_EQ(run("qemu-io -f raw -c 'write -P 0x5a 1M 3M' %s/ours.raw >/dev/null", tmp), 0);
	} else {
		print_message("skipped: no qemu-img\n");
	}
	if (!child && have("vhdimount") && run("test -w /dev/fuse && mkdir %s/mnt", tmp) == 0) {
		CHECK_EQ(run("vhdimount %s/%s %s/mnt >/dev/null", tmp, name, tmp), 0);
		CHECK_EQ(run("cmp %s/mnt/vhdi1 %s/ours.raw", tmp, tmp), 0);
		CHECK_EQ(run("umount %s/mnt 2>/dev/null || fusermount -u %s/mnt; rmdir %s/mnt", tmp, tmp, tmp), 0);
	} else if (!child) {
		print_message("skipped: no vhdimount\n");
	}
}

/* Each on what the one before holds: a base, a child, a child's child. */
static void others_read_our_vhds(void **s)
{
	static const struct {
		struct vhd_create conf;
		const char *name, *parent, *all;
	} rows[] = {
		{ { .size = 24 * MIB, .block_size = 512 * 1024 }, "a.vhd", NULL, "a.vhd" },
		{ { .kind = VHD_MAKE_FIXED, .size = 12 * MIB + 512 }, "f.vhd", NULL, "f.vhd" },
		{ { .size = 18 * MIB + 1024 }, "b.vhd", NULL, "b.vhd" },
		{ { .kind = VHD_MAKE_DIFFERENCING }, "c.avhd", "b.vhd", "c.avhd b.vhd" },
		{ { .kind = VHD_MAKE_DIFFERENCING, .block_size = 512 * 1024 }, "d.avhd", "c.avhd",
		  "d.avhd c.avhd b.vhd" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vhd_create conf = rows[i].conf;
		char path[128], raw_path[128], parent[128];
		struct err err = { .msg = "" };
		struct blk *b;
		int raw;

		snprintf(path, sizeof(path), "%s/%s", tmp, rows[i].name);
		snprintf(raw_path, sizeof(raw_path), "%s/ours.raw", tmp);
		if (rows[i].parent != NULL) {
			snprintf(parent, sizeof(parent), "%s/%s", tmp, rows[i].parent);
			conf.parent = parent;
		}
		if (vhd_create(path, &conf, &err) < 0)
			fail_msg("%s", err.msg);
		b = open_file(path, i % 2 == 0 ? 0 : DISK_NO_URING);
		raw = open(raw_path, O_RDWR | O_CREAT | O_CLOEXEC |
			   (rows[i].parent == NULL ? O_TRUNC : 0), 0600);
		CHECK(raw >= 0 && ftruncate(raw, (off_t)b->size) == 0);
		scribble(b, raw);
		blk_close(b);
		close(raw);
		judge_ourselves(rows[i].name);
		judge_by_reader(rows[i].all);
		judge_vhd(rows[i].name, rows[i].parent != NULL);
		judge_ourselves(rows[i].name);
	}
}

/* The same of VHDX, whose children no other program here writes. */
static void others_read_our_vhdx_children(void **s)
{
	static const struct {
		struct vhdx_create conf;
		const char *name, *parent, *all;
	} rows[] = {
		{ { .size = 21 * MIB, .block_size = 8 << 20 }, "b.vhdx", NULL, "b.vhdx" },
		{ { .block_size = 1 << 20 }, "c.avhdx", "b.vhdx", "c.avhdx b.vhdx" },
		{ { .block_size = 32 << 20 }, "d.avhdx", "c.avhdx", "d.avhdx c.avhdx b.vhdx" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vhdx_create conf = rows[i].conf;
		char path[128], raw_path[128], parent[128];
		struct err err = { .msg = "" };
		struct blk *b;
		int raw;

		snprintf(path, sizeof(path), "%s/%s", tmp, rows[i].name);
		snprintf(raw_path, sizeof(raw_path), "%s/ours.raw", tmp);
		if (rows[i].parent != NULL) {
			snprintf(parent, sizeof(parent), "%s/%s", tmp, rows[i].parent);
			conf.parent = parent;
		}
		if (vhdx_create(path, &conf, &err) < 0)
			fail_msg("%s", err.msg);
		b = open_file(path, i % 2 == 0 ? 0 : DISK_NO_URING);
		raw = open(raw_path, O_RDWR | O_CREAT | O_CLOEXEC |
			   (rows[i].parent == NULL ? O_TRUNC : 0), 0600);
		CHECK(raw >= 0 && ftruncate(raw, (off_t)b->size) == 0);
		scribble(b, raw);
		blk_close(b);
		close(raw);
		judge_ourselves(rows[i].name);
		judge_by_reader(rows[i].all);
	}
}

static int setup(void **s)
{
	const char *dir = getenv("TMPDIR");

	(void)s;
	snprintf(tmp, sizeof(tmp), "%.40s/vhdx-XXXXXX", dir != NULL ? dir : "/tmp");
	return mkdtemp(tmp) == NULL ? -1 : 0;
}

static int teardown(void **s)
{
	(void)s;
	return run("rm -rf '%s'", tmp);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_of_others_read_as_they_must),
		cmocka_unit_test(others_read_what_we_wrote),
		cmocka_unit_test(others_read_our_vhds),
		cmocka_unit_test(others_read_our_vhdx_children),
	};

	images = argc > 1 ? argv[1] : NULL;
	return cmocka_run_group_tests_name("images", tests, setup, teardown);
}
