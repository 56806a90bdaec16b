/*
 * vhd_create.c - a new VHD, laid out as Windows lays it out
 *
 *	fixed		the disk, the footer
 *	dynamic		0 copy of the footer, 0x200 header, 0x600 BAT, then the footer
 *			where the first block's bitmap will be
 *	differencing	0 copy of the footer, 0x200 header, 0x1000 absolute path of the
 *			parent, 0x2000 BAT, behind it the relative path, then the footer
 *
 * The data of every block starts on 4 KiB, its bitmap right before it.
 *
 * The footer names Windows as its creator.  Programs decide by that field
 * whether the disk is as large as its size says or as its geometry multiplies
 * to: with any name they do not know QEMU and others would cut off its end.
 *
 * Spec     Virtual Hard Disk Image Format Specification 1.0
 * Lock     none
 */
#include "disk/fresh.h"
#include "disk/import.h"
#include "disk/parent.h"
#include "disk/utf16.h"
#include "disk/vhd.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIN_SIZE (3 * MIB)
#define HEADER_AT 0x200u
#define DYNAMIC_BAT_AT 0x600u
#define ABSOLUTE_AT 0x1000u
#define ABSOLUTE_SPACE 4096u
#define CHILD_BAT_AT 0x2000u
#define RELATIVE_SPACE 65536u
#define ULL(x) ((unsigned long long)(x))

/* ---- what goes where -------------------------------------------------------------- */

/* Entries of the BAT count sectors in 32 bits: small blocks reach their end before 2040 GiB. */
static bool fits(uint64_t size, uint64_t block_size)
{
	uint64_t nr = (size + block_size - 1) / block_size;

	return MIB + nr * (block_size + VHD_ALIGN) + nr * 4 < (uint64_t)VHD_NO_BLOCK * VHD_SECTOR;
}

static int check(const struct vhd_create *c, struct err *err)
{
	if (c->size < MIN_SIZE || c->size > VHD_MAX_SIZE || c->size % VHD_SECTOR != 0)
		return err_set(err, -EINVAL,
			       "size: found %llu, expected a multiple of 512 from 3 MiB to 2040 GiB",
			       ULL(c->size));
	if (c->kind != VHD_MAKE_FIXED && c->block_size != 0 && c->block_size != 512 * KIB &&
	    c->block_size != 2 * MIB)
		return err_set(err, -EINVAL, "block size: found %u, expected 512K or 2M of a VHD",
			       c->block_size);
	if (c->kind != VHD_MAKE_FIXED && c->block_size != 0 && !fits(c->size, c->block_size))
		return err_set(err, -EINVAL, "size: found %llu, too large for blocks of 512K, expected"
			       " blocks of 2M", ULL(c->size));
	return 0;
}

/*
 * Cylinders, heads and sectors as the specification computes them; they hold
 * at most 127 GiB, and rarely all of a disk.
 */
static void put_geometry(struct vhd_footer *f, uint64_t size)
{
	uint32_t total = (uint32_t)min_u64(size / VHD_SECTOR, 65535u * 16 * 255);
	uint32_t sectors = 17, heads, tracks = total / 17;

	if (total >= 65535u * 16 * 63) {
		sectors = 255;
		heads = 16;
		tracks = total / 255;
	} else {
		heads = (uint32_t)max_u64((tracks + 1023) / 1024, 4);
		if (tracks >= heads * 1024 || heads > 16) {
			sectors = 31;
			heads = 16;
			tracks = total / 31;
		}
		if (tracks >= heads * 1024) {
			sectors = 63;
			tracks = total / 63;
		}
	}
	f->cylinders = be16_of((uint16_t)(tracks / heads));
	f->heads = (uint8_t)heads;
	f->sectors = (uint8_t)sectors;
}

static struct vhd_footer make_footer(const struct vhd_create *c, uint64_t size)
{
	static const uint32_t types[] = {
		[VHD_MAKE_DYNAMIC] = VHD_DYNAMIC, [VHD_MAKE_FIXED] = VHD_FIXED,
		[VHD_MAKE_DIFFERENCING] = VHD_DIFFERENCING,
	};
	struct vhd_footer f = {
		.cookie = "conectix", .features = be32_of(2), .version = be32_of(VHD_VERSION),
		.header_offset = be64_of(c->kind == VHD_MAKE_FIXED ? VHD_NO_OFFSET : HEADER_AT),
		.time = be32_of((uint32_t)(time(NULL) - VHD_EPOCH)),
		.app = "win ", .app_version = be32_of(0x000a0000), .os = "Wi2k",
		.original_size = be64_of(size), .size = be64_of(size),
		.type = be32_of(types[c->kind]), .id = c->disk_id,
	};

	if (guid_is_zero(&f.id))
		guid_random(&f.id);
	put_geometry(&f, size);
	f.checksum = be32_of(vhd_checksum(&f, sizeof(f), offsetof(struct vhd_footer, checksum)));
	return f;
}

/* ---- writing ------------------------------------------------------------------------ */

static int put_bat(struct aio *a, uint64_t at, uint64_t len)
{
	uint8_t ones[4096];
	int rc = 0;

	memset(ones, 0xff, sizeof(ones));
	for (uint64_t n; len > 0 && rc == 0; at += n, len -= n) {
		n = min_u64(len, sizeof(ones));
		rc = aio_write_wait(a, at, ones, n);
	}
	return rc;
}

/* TEXT, with Windows's separators, as locator I. */
static int put_locator(struct aio *a, struct vhd_header *h, unsigned i, const char *code,
		       uint64_t at, uint32_t space, const char *path)
{
	uint8_t buf[ABSOLUTE_SPACE];
	char text[PATH_MAX];
	size_t len;
	int rc;

	snprintf(text, sizeof(text), "%s", path);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '/')
			*p = '\\';
	rc = utf16_write(text, false, buf, sizeof(buf), &len);
	if (rc < 0)
		return rc;
	memcpy(h->loc[i].code, code, 4);
	h->loc[i].space = be32_of(space);
	h->loc[i].length = be32_of((uint32_t)len);
	h->loc[i].offset = be64_of(at);
	return aio_write_wait(a, at, buf, len);
}

/* Both ways to the parent, and its name for people. */
static int put_parent(struct aio *a, struct vhd_header *h, const struct vhd_over *over,
		      uint64_t relative_at)
{
	const char *base = strrchr(over->absolute, '/');
	size_t len;
	int rc = put_locator(a, h, 0, "W2ku", ABSOLUTE_AT, ABSOLUTE_SPACE, over->absolute);

	if (rc == 0)
		rc = put_locator(a, h, 1, "W2ru", relative_at, RELATIVE_SPACE, over->relative);
	if (rc == 0)
		rc = utf16_write(base == NULL ? over->absolute : base + 1, true,
				 (uint8_t *)h->parent_name, sizeof(h->parent_name), &len);
	h->parent_id = over->id;
	return rc;
}

int vhd_format_over(struct aio *a, const struct vhd_create *c, const struct vhd_over *over,
		    struct err *err)
{
	bool child = c->kind == VHD_MAKE_DIFFERENCING;
	uint64_t size = child ? over->size : c->size;
	struct vhd_footer f = make_footer(c, size);
	uint32_t block_size = c->block_size != 0 ? c->block_size : (uint32_t)(2 * MIB);
	uint64_t entries = (size + block_size - 1) / block_size;
	uint64_t bat_at = child ? CHILD_BAT_AT : DYNAMIC_BAT_AT;
	uint64_t bat_len = align_up(entries * 4, VHD_SECTOR), end = bat_at + bat_len;
	struct vhd_header h = {
		.cookie = "cxsparse", .next = be64_of(VHD_NO_OFFSET), .bat_offset = be64_of(bat_at),
		.version = be32_of(VHD_VERSION), .nr_entries = be32_of((uint32_t)entries),
		.block_size = be32_of(block_size),
	};
	int rc = 0;

	if (child) {
		rc = put_parent(a, &h, over, align_up(end, VHD_ALIGN));
		end = align_up(end, VHD_ALIGN) + RELATIVE_SPACE;
	}
	h.checksum = be32_of(vhd_checksum(&h, sizeof(h), offsetof(struct vhd_header, checksum)));
	if (rc == 0)
		rc = aio_write_wait(a, 0, &f, sizeof(f));
	if (rc == 0)
		rc = aio_write_wait(a, HEADER_AT, &h, sizeof(h));
	if (rc == 0)
		rc = put_bat(a, bat_at, bat_len);
	if (rc == 0)
		rc = aio_write_wait(a, vhd_footer_place(end), &f, sizeof(f));
	return rc < 0 ? err_set(err, rc, "cannot write: %s", strerror(-rc)) : 0;
}

static int format_fixed(struct aio *a, const struct vhd_create *c, struct err *err)
{
	struct vhd_footer f = make_footer(c, c->size);
	int rc = aio_truncate(a, c->size + sizeof(f));

	if (rc == 0) {
		rc = aio_allocate_wait(a, 0, 0, c->size + sizeof(f));
		/* Where the host cannot allocate ahead, it will as the guest writes. */
		if (rc == -EOPNOTSUPP || rc == -ENOSYS)
			rc = 0;
	}
	if (rc == 0)
		rc = aio_write_wait(a, c->size, &f, sizeof(f));
	return rc < 0 ? err_set(err, rc, "cannot write: %s", strerror(-rc)) : 0;
}

int vhd_format(struct aio *a, const struct vhd_create *c, struct err *err)
{
	int rc = check(c, err);

	if (rc < 0)
		return rc;
	return c->kind == VHD_MAKE_FIXED ? format_fixed(a, c, err) :
	       vhd_format_over(a, c, NULL, err);
}

/* ---- a child -------------------------------------------------------------------------- */

/* The parent is opened as a reader would, so that a child of it can be read. */
static int look_at_parent(const char *path, const char *parent, struct vhd_over *ret_over,
			  struct err *err)
{
	struct blk *b;
	int rc = disk_open_under(parent, DISK_READ_ONLY | DISK_NO_URING, "/", &b, err);

	if (rc < 0)
		return rc;
	if (b->ops != &vhd_blk_ops)
		rc = err_set(err, -EINVAL, "%s: found no VHD, expected one as the parent of %s",
			     parent, path);
	ret_over->size = b->size;
	ret_over->id = b->disk_id;
	blk_close(b);
	return rc;
}

static int format_child(struct aio *a, const char *path, const struct vhd_create *c,
			struct err *err)
{
	struct vhd_create conf = *c;
	struct vhd_over over;
	char relative[ABSOLUTE_SPACE], *parent;
	int rc;

	if (c->parent == NULL)
		return err_set(err, -EINVAL, "%s: a differencing disk needs a parent", path);
	parent = realpath(c->parent, NULL);
	if (parent == NULL)
		return err_set(err, -errno, "%s: %s", c->parent, strerror(errno));
	rc = look_at_parent(path, parent, &over, err);
	if (rc == 0 && c->size != 0 && c->size != over.size)
		rc = err_set(err, -EINVAL, "%s: found a size of %llu, expected the %llu of its parent",
			     path, ULL(c->size), ULL(over.size));
	conf.size = rc == 0 ? over.size : 0;
	if (rc == 0 && (rc = check(&conf, err)) < 0)
		err_prefix(err, rc, path);
	if (rc == 0)
		rc = parent_way(path, parent, relative, sizeof(relative) / 2, err);
	over.absolute = parent;
	over.relative = relative;
	if (rc == 0 && (rc = vhd_format_over(a, &conf, &over, err)) < 0)
		err_prefix(err, rc, path);
	free(parent);
	return rc;
}

/* ---- files ------------------------------------------------------------------------------- */

int vhd_create(const char *path, const struct vhd_create *conf, struct err *err)
{
	struct fresh f;
	struct aio *a;
	int fd, rc = fresh_open(&f, path, err);

	if (rc < 0)
		return rc;
	fd = dup(f.fd);
	rc = fd < 0 ? -errno : aio_pool_open(fd, &a);
	if (rc < 0) {
		fresh_discard(&f);
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	}
	if (conf->kind == VHD_MAKE_DIFFERENCING)
		rc = format_child(a, path, conf, err);
	else if ((rc = vhd_format(a, conf, err)) < 0)
		err_prefix(err, rc, path);
	aio_close(a);
	if (rc < 0) {
		fresh_discard(&f);
		return rc;
	}
	return fresh_publish(&f, path, err);
}

static int import_format(struct aio *a, const void *conf, struct err *err)
{
	return vhd_format(a, conf, err);
}

static int import_open(struct aio *a, const char *name, struct blk **ret_b, struct err *err)
{
	return vhd_open_on(a, name, 0, NULL, ret_b, err);
}

int vhd_import(const char *path, const struct vhd_create *conf, struct blk *src,
	       void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
	       struct err *err)
{
	struct vhd_create c = *conf;
	struct import_to to = {
		.conf = &c, .format = import_format, .open = import_open, .logical = VHD_SECTOR,
	};

	if (c.kind == VHD_MAKE_DIFFERENCING)
		return err_set(err, -EINVAL, "%s: a differencing disk starts as its parent: it takes"
			       " no content from elsewhere", path);
	if (c.size == 0)
		c.size = src->size;
	to.size = c.size;
	return import_disk(path, &to, src, progress, arg, err);
}
