/*
 * vhdx_create.c - a new VHDX, laid out as Windows lays it out
 *
 *	0	file identifier, headers, region tables
 *	1 MiB	log, 1 MiB
 *	2 MiB	metadata, 1 MiB
 *	3 MiB	BAT, as many MiB as it takes
 *	...	fixed: all blocks in order, allocated on the host
 *
 * A differencing disk starts with nothing of its own, and says in its metadata
 * where its parent is and which it is.
 *
 * Both regions are marked required, as Windows does: some readers insist.
 *
 * Spec     [MS-VHDX] 2
 * Lock     none
 */
#include "disk/fresh.h"
#include "disk/import.h"
#include "disk/parent.h"
#include "disk/utf16.h"
#include "disk/vhdx.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_AT (1 * MIB)
#define METADATA_AT (2 * MIB)
#define BAT_AT (3 * MIB)
#define MIN_SIZE (3 * MIB)
#define CREATOR "Genvisor"
#define ULL(x) ((unsigned long long)(x))

struct plan {
	uint64_t size, nr_blocks, nr_entries, chunk_ratio, bat_len, data_at;
	uint32_t block_size, logical, physical;
	bool fixed;
	struct guid disk_id;
	const struct vhdx_over *over;	/* or NULL */
};

static int make_plan(const struct vhdx_create *c, const struct vhdx_over *over, struct plan *p,
		     struct err *err)
{
	*p = (struct plan){
		.size = c->size,
		.fixed = c->fixed,
		.disk_id = c->disk_id,
		.block_size = c->block_size,
		.logical = c->logical != 0 ? c->logical : 512,
		.physical = c->physical != 0 ? c->physical : 4096,
		.over = over,
	};
	if (p->block_size == 0)
		p->block_size = (uint32_t)((c->fixed || over != NULL ? 2 : 32) * MIB);
	if ((p->logical != 512 && p->logical != 4096) ||
	    (p->physical != 512 && p->physical != 4096))
		return err_set(err, -EINVAL,
			       "sector sizes: found %u logical, %u physical, expected 512 or 4096",
			       p->logical, p->physical);
	if (p->block_size < VHDX_MIN_BLOCK || p->block_size > VHDX_MAX_BLOCK ||
	    (p->block_size & (p->block_size - 1)) != 0)
		return err_set(err, -EINVAL,
			       "block size: found %u, expected a power of two from 1 to 256 MiB",
			       p->block_size);
	if (p->size < MIN_SIZE || p->size > VHDX_MAX_SIZE || p->size % p->logical != 0)
		return err_set(err, -EINVAL,
			       "size: found %llu, expected a multiple of %u from 3 MiB to 64 TiB",
			       ULL(p->size), p->logical);
	if (guid_is_zero(&p->disk_id))
		guid_random(&p->disk_id);
	p->chunk_ratio = (UINT64_C(1) << 23) * p->logical / p->block_size;
	p->nr_blocks = (p->size + p->block_size - 1) / p->block_size;
	p->nr_entries = p->nr_blocks + (p->nr_blocks - 1) / p->chunk_ratio;
	if (over != NULL)		/* whole chunks, each with its bits */
		p->nr_entries = (p->nr_blocks + p->chunk_ratio - 1) / p->chunk_ratio *
				(p->chunk_ratio + 1);
	p->bat_len = align_up(p->nr_entries * 8, MIB);
	p->data_at = BAT_AT + p->bat_len;
	return 0;
}

static int put_file_id(struct aio *a)
{
	static const char creator[] = CREATOR;
	struct vhdx_file_id id = { .signature = "vhdxfile" };

	for (size_t i = 0; i < sizeof(creator) - 1; i++)
		id.creator[i] = le16_of((uint8_t)creator[i]);
	return aio_write_wait(a, 0, &id, sizeof(id));
}

static int put_headers(struct aio *a)
{
	struct vhdx_header h = {
		.signature = "head", .version = le16_of(1),
		.log_length = le32_of((uint32_t)MIB), .log_offset = le64_of(LOG_AT),
	};
	int rc = 0;

	guid_random(&h.file_write);
	guid_random(&h.data_write);
	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		h.sequence = le64_of(i + 1);
		vhdx_seal(&h, sizeof(h), offsetof(struct vhdx_header, checksum));
		rc = aio_write_wait(a, i == 0 ? VHDX_HEADER_1 : VHDX_HEADER_2, &h, sizeof(h));
	}
	return rc;
}

static int put_regions(struct aio *a, const struct plan *p)
{
	struct vhdx_region_table head = { .signature = "regi", .count = le32_of(2) };
	const uint32_t bat_len = (uint32_t)p->bat_len;
	const struct vhdx_region regions[] = {
		{ VHDX_REGION_BAT_GUID, le64_of(BAT_AT), le32_of(bat_len), le32_of(1) },
		{ VHDX_REGION_METADATA_GUID, le64_of(METADATA_AT), le32_of(MIB), le32_of(1) },
	};
	uint8_t *table = calloc(1, VHDX_REGION_TABLE_LEN);
	int rc;

	if (table == NULL)
		return -ENOMEM;
	memcpy(table, &head, sizeof(head));
	memcpy(table + sizeof(head), regions, sizeof(regions));
	vhdx_seal(table, VHDX_REGION_TABLE_LEN, offsetof(struct vhdx_region_table, checksum));
	rc = aio_write_wait(a, VHDX_REGIONS_1, table, VHDX_REGION_TABLE_LEN);
	if (rc == 0)
		rc = aio_write_wait(a, VHDX_REGIONS_2, table, VHDX_REGION_TABLE_LEN);
	free(table);
	return rc;
}

#define ITEM(id, at, len, flags) \
	{ id, le32_of(VHDX_ITEMS_OFF + (at)), le32_of(len), le32_of(flags), { { 0 } } }

/* ---- the parent locator ------------------------------------------------------ */

#define LOCATOR_AT 0x28u
#define LOCATOR_MAX 32768u
#define MAX_PATH_TEXT 4096u
#define NR_KEYS 4u

struct writer {
	uint8_t *buf;
	uint32_t len, nr;
};

/* One entry of the table, its key and its value; Windows packs them without gaps. */
static int put_key(struct writer *w, const char *key, const char *value)
{
	uint8_t *e = w->buf + 20 + w->nr * 12;
	size_t key_len, value_len;
	int rc = utf16_write(key, false, w->buf + w->len, LOCATOR_MAX - w->len, &key_len);

	if (rc < 0)
		return rc;
	st32(e, w->len);
	st16(e + 8, (uint16_t)key_len);
	w->len += (uint32_t)key_len;
	rc = utf16_write(value, false, w->buf + w->len, LOCATOR_MAX - w->len, &value_len);
	if (rc < 0)
		return rc;
	st32(e + 4, w->len);
	st16(e + 10, (uint16_t)value_len);
	w->len += (uint32_t)value_len;
	w->nr++;
	return 0;
}

static int put_path(struct writer *w, const char *key, const char *path)
{
	char text[MAX_PATH_TEXT];

	snprintf(text, sizeof(text), "%s", path);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '/')
			*p = '\\';
	return put_key(w, key, text);
}

static int put_linkage(struct writer *w, const char *key, const struct guid *g)
{
	char guid[GUID_TEXT_LEN + 1], text[GUID_TEXT_LEN + 3];

	guid_format(g, guid);
	snprintf(text, sizeof(text), "{%s}", guid);
	return put_key(w, key, text);
}

/* In Windows's order; *RET_LEN bytes are in BUF, which is all zero. */
static int fill_locator(uint8_t *buf, const struct vhdx_over *over, uint32_t *ret_len)
{
	static const struct guid type = VHDX_LOCATOR_TYPE_GUID, none;
	struct writer w = { .buf = buf, .len = 20 + NR_KEYS * 12 };
	int rc = put_linkage(&w, "parent_linkage", &over->data_write);

	if (rc == 0)
		rc = put_path(&w, "absolute_win32_path", over->absolute);
	if (rc == 0)
		rc = put_path(&w, "relative_path", over->relative);
	if (rc == 0)
		rc = put_linkage(&w, "parent_linkage2", &none);
	memcpy(buf, &type, sizeof(type));
	st16(buf + 18, (uint16_t)w.nr);
	*ret_len = w.len;
	return rc;
}

static int put_locator(struct aio *a, const struct vhdx_over *over, uint32_t *ret_len)
{
	uint8_t *buf = new_array(uint8_t, LOCATOR_MAX);
	int rc = buf == NULL ? -ENOMEM : fill_locator(buf, over, ret_len);

	if (rc == 0)
		rc = aio_write_wait(a, METADATA_AT + VHDX_ITEMS_OFF + LOCATOR_AT, buf, *ret_len);
	free(buf);
	return rc;
}

/* ---- metadata and BAT ---------------------------------------------------------- */

/* The items lie where Windows puts them, in its order. */
static int put_metadata(struct aio *a, const struct plan *p)
{
	const struct {
		le32 block_size, flags;
		le64 size;
		le32 logical, physical;
		struct guid disk_id;
	} items = {
		.block_size = le32_of(p->block_size),
		.flags = le32_of(p->fixed ? FILE_LEAVE_ALLOCATED : p->over != NULL ?
				 FILE_HAS_PARENT : 0),
		.size = le64_of(p->size),
		.logical = le32_of(p->logical),
		.physical = le32_of(p->physical),
		.disk_id = p->disk_id,
	};
	const uint32_t disk_item = ITEM_REQUIRED | ITEM_VIRTUAL_DISK;
	uint32_t locator_len = 0;
	struct vhdx_metadata_table head = { .signature = "metadata", .count = le16_of(5) };
	struct vhdx_item table[] = {
		ITEM(VHDX_ITEM_FILE_GUID, 0x00, 8, ITEM_REQUIRED),
		ITEM(VHDX_ITEM_SIZE_GUID, 0x08, 8, disk_item),
		ITEM(VHDX_ITEM_LOGICAL_GUID, 0x10, 4, disk_item),
		ITEM(VHDX_ITEM_PHYSICAL_GUID, 0x14, 4, disk_item),
		ITEM(VHDX_ITEM_DISK_ID_GUID, 0x18, 16, disk_item),
		ITEM(VHDX_ITEM_PARENT_GUID, LOCATOR_AT, 0, ITEM_REQUIRED),
	};
	int rc = 0;

	if (p->over != NULL) {
		rc = put_locator(a, p->over, &locator_len);
		head.count = le16_of(6);
		table[5].length = le32_of(locator_len);
	} else {
		table[5] = (struct vhdx_item){ .length = le32_of(0) };
	}
	if (rc == 0)
		rc = aio_write_wait(a, METADATA_AT, &head, sizeof(head));
	if (rc == 0)
		rc = aio_write_wait(a, METADATA_AT + sizeof(head), table, sizeof(table));
	if (rc == 0)
		rc = aio_write_wait(a, METADATA_AT + VHDX_ITEMS_OFF, &items, sizeof(items));
	return rc;
}

/* A fixed disk: entry I maps its block; a dynamic one: all zero already. */
static int put_bat(struct aio *a, const struct plan *p)
{
	uint64_t in_buf = MIB / 8, block = 0;
	le64 *buf = new_array(le64, in_buf);
	int rc = buf == NULL ? -ENOMEM : 0;

	for (uint64_t i = 0; i < p->nr_entries && rc == 0; i += in_buf) {
		uint64_t n = min_u64(in_buf, p->nr_entries - i);

		for (uint64_t k = 0; k < n; k++) {
			bool bitmap = (i + k) % (p->chunk_ratio + 1) == p->chunk_ratio;

			uint64_t at = p->data_at + block * p->block_size;

			buf[k] = le64_of(bitmap ? 0 : at | BAT_FULLY_PRESENT);
			block += !bitmap;
		}
		rc = aio_write_wait(a, BAT_AT + i * 8, buf, n * 8);
	}
	free(buf);
	return rc;
}

int vhdx_format_over(struct aio *a, const struct vhdx_create *conf, const struct vhdx_over *over,
		     struct err *err)
{
	struct plan p;
	int rc = make_plan(conf, over, &p, err);

	if (rc < 0)
		return rc;
	rc = aio_truncate(a, p.data_at + (p.fixed ? p.nr_blocks * p.block_size : 0));
	if (rc == 0 && p.fixed) {
		rc = aio_allocate_wait(a, 0, 0, p.data_at + p.nr_blocks * p.block_size);
		/* Where the host cannot allocate ahead, it will as the guest writes. */
		if (rc == -EOPNOTSUPP || rc == -ENOSYS)
			rc = 0;
	}
	if (rc == 0)
		rc = put_file_id(a);
	if (rc == 0)
		rc = put_headers(a);
	if (rc == 0)
		rc = put_regions(a, &p);
	if (rc == 0)
		rc = put_metadata(a, &p);
	if (rc == 0 && p.fixed)
		rc = put_bat(a, &p);
	return rc < 0 ? err_set(err, rc, "cannot write: %s", strerror(-rc)) : 0;
}

int vhdx_format(struct aio *a, const struct vhdx_create *conf, struct err *err)
{
	return vhdx_format_over(a, conf, NULL, err);
}

/* ---- a child ------------------------------------------------------------------- */

/* The parent is opened as a reader would, so that a child of it can be read. */
static int look_at_parent(const char *path, const char *parent, struct vhdx_over *ret_over,
			  struct err *err)
{
	struct blk *b;
	int rc = disk_open_under(parent, DISK_READ_ONLY | DISK_NO_URING, "/", &b, err);

	if (rc < 0)
		return rc;
	if (b->ops != &vhdx_blk_ops)
		rc = err_set(err, -EINVAL, "%s: found no VHDX, expected one as the parent of %s",
			     parent, path);
	else
		*ret_over = (struct vhdx_over){
			.size = b->size, .logical = b->logical, .disk_id = b->disk_id,
			.data_write = CONTAINER_OF(b, struct vhdx, blk)->hdr.data_write,
		};
	blk_close(b);
	if (rc == 0 && guid_is_zero(&ret_over->data_write))
		rc = err_set(err, -EINVAL, "%s: found no data write id, which a child needs",
			     parent);
	return rc;
}

static int check_child(const char *path, const struct vhdx_create *c, const struct vhdx_over *over,
		       struct err *err)
{
	if (c->size != 0 && c->size != over->size)
		return err_set(err, -EINVAL, "%s: found a size of %llu, expected the %llu of its parent",
			       path, ULL(c->size), ULL(over->size));
	if (c->logical != 0 && c->logical != over->logical)
		return err_set(err, -EINVAL, "%s: found sectors of %u bytes, expected the %u of its"
			       " parent", path, c->logical, over->logical);
	if (c->fixed)
		return err_set(err, -EINVAL, "%s: a differencing disk cannot be fixed", path);
	return 0;
}

static int format_child(struct aio *a, const char *path, const struct vhdx_create *c,
			struct err *err)
{
	struct vhdx_create conf = *c;
	char relative[MAX_PATH_TEXT], *parent = realpath(c->parent, NULL);
	struct vhdx_over over;
	int rc;

	if (parent == NULL)
		return err_set(err, -errno, "%s: %s", c->parent, strerror(errno));
	rc = look_at_parent(path, parent, &over, err);
	if (rc == 0)
		rc = check_child(path, c, &over, err);
	if (rc == 0)
		rc = parent_way(path, parent, relative, sizeof(relative), err);
	if (rc == 0) {
		over.absolute = parent;
		over.relative = relative;
		conf.size = over.size;
		conf.logical = over.logical;
		conf.disk_id = over.disk_id;
		rc = vhdx_format_over(a, &conf, &over, err);
		if (rc < 0)
			err_prefix(err, rc, path);
	}
	free(parent);
	return rc;
}

/* ---- files --------------------------------------------------------------------- */

int vhdx_create(const char *path, const struct vhdx_create *conf, struct err *err)
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
	if (conf->parent != NULL)
		rc = format_child(a, path, conf, err);
	else if ((rc = vhdx_format(a, conf, err)) < 0)
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
	return vhdx_format(a, conf, err);
}

static int import_open(struct aio *a, const char *name, struct blk **ret_b, struct err *err)
{
	return vhdx_open(a, name, 0, NULL, ret_b, err);
}

int vhdx_import(const char *path, const struct vhdx_create *conf, struct blk *src,
		void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
		struct err *err)
{
	struct vhdx_create c = *conf;
	struct import_to to = { .conf = &c, .format = import_format, .open = import_open };

	if (c.size == 0)
		c.size = src->size;
	if (c.logical == 0)
		c.logical = src->logical == 4096 ? 4096 : 512;
	to.size = c.size;
	to.logical = c.logical;
	return import_disk(path, &to, src, progress, arg, err);
}
