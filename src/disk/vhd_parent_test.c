/*
 * vhd_parent_test.c - children and their parents as files: who is found, who is refused
 */
#include "base/test.h"
#include "disk/disk.h"
#include "disk/utf16.h"
#include "disk/vhd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static uint8_t buf[64 * KIB];

static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", dir, name);
	return paths[next];
}

/* A base, or a child of PARENT, with BYTE in the first sector unless that is 0. */
static void make(const char *name, const char *parent, int byte)
{
	struct vhd_create conf = { .size = 8 * MIB };
	struct err err = { .msg = "" };
	struct blk *b;

	if (parent != NULL)
		conf = (struct vhd_create){ .kind = VHD_MAKE_DIFFERENCING, .parent = at(parent) };
	if (vhd_create(at(name), &conf, &err) < 0)
		fail_msg("%s", err.msg);
	if (byte == 0)
		return;
	CHECK_EQ(disk_open_under(at(name), 0, "/", &b, NULL), 0);
	memset(buf, byte, 512);
	CHECK_EQ(blk_rw_wait(b, BLK_WRITE, 0, buf, 512), 0);
	blk_close(b);
}

static void reads(const char *name, const char *parents, int byte)
{
	struct err err = { .msg = "" };
	struct blk *b;

	if (disk_open_under(at(name), DISK_READ_ONLY, parents, &b, &err) < 0)
		fail_msg("%s", err.msg);
	CHECK_EQ(blk_rw_wait(b, BLK_READ, 0, buf, 512), 0);
	for (unsigned i = 0; i < 512; i++)
		CHECK_EQ(buf[i], byte);
	blk_close(b);
}

static void refused(const char *name, const char *parents, int rc, const char *says)
{
	struct err err = { .msg = "" };
	struct blk *b;

	CHECK_EQ(disk_open_under(at(name), 0, parents, &b, &err), rc);
	if (strstr(err.msg, says) == NULL || strncmp(err.msg, at(name), strlen(at(name))) != 0)
		fail_msg("says \"%s\", expected \"%s\"", err.msg, says);
}

static void move(const char *from, const char *to)
{
	CHECK_EQ(rename(at(from), at(to)), 0);
}

/* ---- the header, changed and sealed again ------------------------------------------ */

static void change_header(const char *name, void (*change)(struct vhd_header *h))
{
	int fd = open(at(name), O_RDWR | O_CLOEXEC);
	struct vhd_header h;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &h, sizeof(h), 512), sizeof(h));
	change(&h);
	h.checksum = be32_of(vhd_checksum(&h, sizeof(h), offsetof(struct vhd_header, checksum)));
	CHECK_EQ(pwrite(fd, &h, sizeof(h), 512), sizeof(h));
	close(fd);
}

/* What locator I says. */
static void say(const char *name, unsigned i, const char *text, bool wide)
{
	int fd = open(at(name), O_RDWR | O_CLOEXEC);
	uint8_t out[512];
	size_t len = strlen(text);
	struct vhd_header h;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &h, sizeof(h), 512), sizeof(h));
	memcpy(out, text, len);
	if (wide)
		CHECK_EQ(utf16_write(text, false, out, sizeof(out), &len), 0);
	h.loc[i].length = be32_of((uint32_t)len);
	h.checksum = be32_of(vhd_checksum(&h, sizeof(h), offsetof(struct vhd_header, checksum)));
	CHECK_EQ(pwrite(fd, out, len, (off_t)be64_get(h.loc[i].offset)), len);
	CHECK_EQ(pwrite(fd, &h, sizeof(h), 512), sizeof(h));
	close(fd);
}

static void no_relative(struct vhd_header *h)
{
	memset(&h->loc[1], 0, sizeof(h->loc[1]));
}

static void no_locators(struct vhd_header *h)
{
	memset(h->loc, 0, sizeof(h->loc));
}

static void as_mac(struct vhd_header *h)
{
	memcpy(h->loc[0].code, "MacX", 4);
	memset(&h->loc[1], 0, sizeof(h->loc[1]));
	memset(h->parent_name, 0, sizeof(h->parent_name));
}

static void no_name(struct vhd_header *h)
{
	memset(h->parent_name, 0, sizeof(h->parent_name));
}

static void yesterday(struct vhd_header *h)
{
	h->parent_time = be32_of(1000);
}

/* ---- tests --------------------------------------------------------------------------- */

static void a_chain_reads_through(void **s)
{
	char name[32], parent[32] = "p.vhd";

	(void)s;
	make("p.vhd", NULL, 0x50);
	for (unsigned i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "c%u.avhd", i);
		make(name, parent, i == 5 ? 0x55 : 0);
		snprintf(parent, sizeof(parent), "c%u.avhd", i);
	}
	reads("p.vhd", NULL, 0x50);
	reads("c4.avhd", NULL, 0x50);
	reads("c11.avhd", NULL, 0x55);
	for (unsigned i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "c%u.avhd", i);
		unlink(at(name));
	}
	unlink(at("p.vhd"));
}

static void every_name_of_the_parent_is_tried(void **s)
{
	(void)s;
	make("p.vhd", NULL, 0x11);
	make("c.vhd", "p.vhd", 0);
	reads("c.vhd", NULL, 0x11);
	change_header("c.vhd", no_relative);	/* the absolute one is left */
	reads("c.vhd", NULL, 0x11);
	say("c.vhd", 0, "C:\\somewhere\\else\\P.VHD", true);	/* only its last part fits */
	reads("c.vhd", NULL, 0x11);
	change_header("c.vhd", no_locators);	/* the name in the header is */
	reads("c.vhd", NULL, 0x11);
	move("p.vhd", "P.Vhd");
	reads("c.vhd", NULL, 0x11);
	move("P.Vhd", "other.vhd");
	refused("c.vhd", NULL, -ENOENT, "p.vhd\" was not found");
	move("other.vhd", "p q.vhd");
	unlink(at("c.vhd"));
	make("c.vhd", "p q.vhd", 0);
	change_header("c.vhd", as_mac);
	say("c.vhd", 0, "file://localhost/nowhere/p%20q.vhd", false);
	reads("c.vhd", NULL, 0x11);
	say("c.vhd", 0, "file://./p%20q.vhd", false);
	reads("c.vhd", NULL, 0x11);
	say("c.vhd", 0, "ftp://./p%20q.vhd", false);
	refused("c.vhd", NULL, -ENOENT, "(no name)");
	unlink(at("c.vhd"));
	unlink(at("p q.vhd"));
}

/* Together they may go anywhere; one alone is missed. */
static void a_family_moves(void **s)
{
	(void)s;
	CHECK_EQ(mkdir(at("a"), 0700), 0);
	make("a/p.vhd", NULL, 0x21);
	make("a/c.vhd", "a/p.vhd", 0);
	move("a", "b");
	reads("b/c.vhd", NULL, 0x21);
	move("b/p.vhd", "p.vhd");
	refused("b/c.vhd", NULL, -ENOENT, "not found");
	unlink(at("b/c.vhd"));
	rmdir(at("b"));
	unlink(at("p.vhd"));
}

static void parents_outside_are_refused_unless_allowed(void **s)
{
	(void)s;
	CHECK_EQ(mkdir(at("in"), 0700), 0);
	make("p.vhd", NULL, 0x31);
	make("in/c.vhd", "p.vhd", 0);
	refused("in/c.vhd", NULL, -EACCES, "outside of");
	reads("in/c.vhd", dir, 0x31);
	reads("in/c.vhd", "/", 0x31);
	refused("in/c.vhd", "/nowhere/at/all", -ENOENT, "the folder for its parents");
	/* A link in the folder leads out of it. */
	CHECK_EQ(symlink("../p.vhd", at("in/p.vhd")), 0);
	say("in/c.vhd", 1, ".\\p.vhd", true);
	refused("in/c.vhd", NULL, -EACCES, "outside of");
	unlink(at("in/p.vhd"));
	/* A folder whose name only begins alike. */
	CHECK_EQ(mkdir(at("inner"), 0700), 0);
	move("p.vhd", "inner/p.vhd");
	say("in/c.vhd", 1, "..\\inner\\p.vhd", true);
	refused("in/c.vhd", NULL, -EACCES, "outside of");
	/* The grandparent too. */
	move("inner/p.vhd", "p.vhd");
	say("in/c.vhd", 1, "..\\p.vhd", true);
	make("in/d.vhd", "in/c.vhd", 0);
	refused("in/d.vhd", NULL, -EACCES, "outside of");
	reads("in/d.vhd", dir, 0x31);
	unlink(at("in/d.vhd"));
	unlink(at("in/c.vhd"));
	rmdir(at("inner"));
	rmdir(at("in"));
	unlink(at("p.vhd"));
}

static void only_the_right_parent_will_do(void **s)
{
	const struct vhdx_create vhdx = { .size = 8 * MIB };
	struct vhd_create large = { .size = 9 * MIB };
	struct vhd_create orphan = { .kind = VHD_MAKE_DIFFERENCING };
	struct disk_info info;
	struct err err;

	(void)s;
	make("p.vhd", NULL, 0x41);
	make("c.vhd", "p.vhd", 0x42);
	CHECK_EQ(disk_inspect(at("p.vhd"), &info, NULL), 0);
	move("p.vhd", "real.vhd");
	make("p.vhd", NULL, 0x43);
	refused("c.vhd", NULL, -ESTALE, "it is another disk");
	unlink(at("p.vhd"));
	large.disk_id = info.disk_id;
	CHECK_EQ(vhd_create(at("p.vhd"), &large, NULL), 0);
	refused("c.vhd", NULL, -EINVAL, "of its child");
	unlink(at("p.vhd"));
	CHECK_EQ(vhdx_create(at("p.vhd"), &vhdx, NULL), 0);
	refused("c.vhd", NULL, -EINVAL, "found no VHD");
	unlink(at("p.vhd"));
	CHECK_EQ(mkfifo(at("p.vhd"), 0600), 0);
	refused("c.vhd", NULL, -EINVAL, "a special file");
	unlink(at("p.vhd"));
	move("real.vhd", "p.vhd");
	reads("c.vhd", NULL, 0x42);
	change_header("c.vhd", yesterday);	/* a warning, no refusal */
	reads("c.vhd", NULL, 0x42);
	/* Information needs no parent. */
	unlink(at("p.vhd"));
	CHECK_EQ(disk_inspect(at("c.vhd"), &info, NULL), 0);
	CHECK(info.has_parent);
	CHECK_STR(info.parent, ".\\p.vhd");

	CHECK_EQ(vhd_create(at("d.vhd"), &orphan, &err), -EINVAL);
	orphan.parent = at("absent.vhd");
	CHECK_EQ(vhd_create(at("d.vhd"), &orphan, &err), -ENOENT);
	CHECK_EQ(vhdx_create(at("x.vhdx"), &vhdx, NULL), 0);
	orphan.parent = at("x.vhdx");
	CHECK_EQ(vhd_create(at("d.vhd"), &orphan, &err), -EINVAL);
	CHECK(strstr(err.msg, "found no VHD") != NULL);
	CHECK(access(at("d.vhd"), F_OK) < 0);
	unlink(at("x.vhdx"));
	unlink(at("c.vhd"));
}

static struct guid wanted;

static void want(struct vhd_header *h)
{
	h->parent_id = wanted;
}

static struct guid id_of(const char *name)
{
	int fd = open(at(name), O_RDONLY | O_CLOEXEC);
	struct vhd_footer f;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &f, sizeof(f), 0), sizeof(f));
	close(fd);
	return f.id;
}

/* Whose parent is itself, and two that are each other's. */
static void loops_end(void **s)
{
	(void)s;
	make("p.vhd", NULL, 0x51);
	make("a.vhd", "p.vhd", 0);
	make("b.vhd", "a.vhd", 0);
	wanted = id_of("a.vhd");
	change_header("a.vhd", want);
	change_header("a.vhd", no_name);
	say("a.vhd", 1, ".\\a.vhd", true);
	say("a.vhd", 0, ".\\a.vhd", true);
	refused("a.vhd", NULL, -EBUSY, "");	/* it is locked: by us */
	CHECK_EQ(disk_open(at("a.vhd"), DISK_READ_ONLY, &(struct blk *){ NULL }, NULL), -ELOOP);
	wanted = id_of("b.vhd");
	change_header("a.vhd", want);
	say("a.vhd", 1, ".\\b.vhd", true);
	say("a.vhd", 0, ".\\b.vhd", true);
	CHECK_EQ(disk_open(at("a.vhd"), DISK_READ_ONLY, &(struct blk *){ NULL }, NULL), -ELOOP);
	CHECK_EQ(disk_open(at("b.vhd"), DISK_READ_ONLY, &(struct blk *){ NULL }, NULL), -ELOOP);
	unlink(at("a.vhd"));
	unlink(at("b.vhd"));
	unlink(at("p.vhd"));
}

/* While a child is open nobody writes to what it stands on; siblings share it. */
static void parents_are_locked_against_writers(void **s)
{
	struct blk *a, *b, *c = NULL;
	struct err err;

	(void)s;
	make("p.vhd", NULL, 0x61);
	make("a.vhd", "p.vhd", 0);
	make("b.vhd", "p.vhd", 0);
	CHECK_EQ(disk_open(at("a.vhd"), 0, &a, NULL), 0);
	CHECK_EQ(disk_open(at("b.vhd"), 0, &b, NULL), 0);
	CHECK_EQ(disk_open(at("p.vhd"), 0, &c, &err), -EBUSY);
	blk_close(a);
	CHECK_EQ(disk_open(at("p.vhd"), 0, &c, &err), -EBUSY);
	blk_close(b);
	CHECK_EQ(disk_open(at("p.vhd"), 0, &c, &err), 0);
	CHECK_EQ(disk_open(at("a.vhd"), 0, &a, &err), -EBUSY);
	CHECK(strstr(err.msg, "p.vhd") != NULL);
	blk_close(c);
	unlink(at("a.vhd"));
	unlink(at("b.vhd"));
	unlink(at("p.vhd"));
}

static void texts_survive_both_ways(void **s)
{
	static const char *const texts[] = { "p.vhd", "\xc3\xa4\xe2\x82\xac.vhd", "\xf0\x9f\x92\xbe", "" };
	static const char *const bad[] = { "\xff", "\xc3", "\xed\xa0\x80", "\xc0\xaf", "\xf5\x80\x80\x80" };
	uint8_t wide[64];
	char text[64];
	size_t len;

	(void)s;
	for (unsigned big = 0; big < 2; big++)
		for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
			CHECK_EQ(utf16_write(texts[i], big, wide, sizeof(wide), &len), 0);
			CHECK_EQ(utf16_read(wide, len, big, text, sizeof(text)), 0);
			CHECK_STR(text, texts[i]);
		}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(utf16_write(bad[i], false, wide, sizeof(wide), &len), -EINVAL);
	CHECK_EQ(utf16_write("abc", false, wide, 4, &len), -ENAMETOOLONG);
	CHECK_EQ(utf16_read((const uint8_t *)"a\0b\0c\0", 6, false, text, 3), -ENAMETOOLONG);
	CHECK_EQ(utf16_read((const uint8_t *)"\0\xd8", 2, false, text, 9), -EINVAL);
	CHECK_EQ(utf16_read((const uint8_t *)"\0\xdc", 2, false, text, 9), -EINVAL);
	CHECK_EQ(utf16_read((const uint8_t *)"\n\0", 2, false, text, 9), -EINVAL);
}

static int setup(void **s)
{
	(void)s;
	snprintf(dir, sizeof(dir), "/tmp/gvparent-XXXXXX");
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
		cmocka_unit_test(a_chain_reads_through),
		cmocka_unit_test(every_name_of_the_parent_is_tried),
		cmocka_unit_test(a_family_moves),
		cmocka_unit_test(parents_outside_are_refused_unless_allowed),
		cmocka_unit_test(only_the_right_parent_will_do),
		cmocka_unit_test(loops_end),
		cmocka_unit_test(parents_are_locked_against_writers),
		cmocka_unit_test(texts_survive_both_ways),
	};

	return cmocka_run_group_tests_name("vhd_parent", tests, setup, teardown);
}
