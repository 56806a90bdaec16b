/*
 * vhdx_create.c - a new VHDX, laid out as Windows lays it out
 *
 *	0	file identifier, headers, region tables
 *	1 MiB	log, 1 MiB
 *	2 MiB	metadata, 1 MiB
 *	3 MiB	BAT, as many MiB as it takes
 *	...	fixed: all blocks in order, allocated on the host
 *
 * Both regions are marked required, as Windows does: some readers insist.
 *
 * Spec     [MS-VHDX] 2
 * Lock     none
 */
#include "disk/fresh.h"
#include "disk/import.h"
#include "disk/vhdx.h"

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
};

static int make_plan(const struct vhdx_create *c, struct plan *p, struct err *err)
{
	*p = (struct plan){
		.size = c->size,
		.fixed = c->fixed,
		.disk_id = c->disk_id,
		.block_size = c->block_size,
		.logical = c->logical != 0 ? c->logical : 512,
		.physical = c->physical != 0 ? c->physical : 4096,
	};
	if (p->block_size == 0)
		p->block_size = (uint32_t)((c->fixed ? 2 : 32) * MIB);
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
		.flags = le32_of(p->fixed ? FILE_LEAVE_ALLOCATED : 0),
		.size = le64_of(p->size),
		.logical = le32_of(p->logical),
		.physical = le32_of(p->physical),
		.disk_id = p->disk_id,
	};
	const uint32_t disk_item = ITEM_REQUIRED | ITEM_VIRTUAL_DISK;
	const struct vhdx_metadata_table head = { .signature = "metadata", .count = le16_of(5) };
	const struct vhdx_item table[] = {
		ITEM(VHDX_ITEM_FILE_GUID, 0x00, 8, ITEM_REQUIRED),
		ITEM(VHDX_ITEM_SIZE_GUID, 0x08, 8, disk_item),
		ITEM(VHDX_ITEM_LOGICAL_GUID, 0x10, 4, disk_item),
		ITEM(VHDX_ITEM_PHYSICAL_GUID, 0x14, 4, disk_item),
		ITEM(VHDX_ITEM_DISK_ID_GUID, 0x18, 16, disk_item),
	};
	int rc = aio_write_wait(a, METADATA_AT, &head, sizeof(head));

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

int vhdx_format(struct aio *a, const struct vhdx_create *conf, struct err *err)
{
	struct plan p;
	int rc = make_plan(conf, &p, err);

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
	rc = vhdx_format(a, conf, err);
	aio_close(a);
	if (rc < 0) {
		fresh_discard(&f);
		return err_prefix(err, rc, path);
	}
	return fresh_publish(&f, path, err);
}

static int import_format(struct aio *a, const void *conf, struct err *err)
{
	return vhdx_format(a, conf, err);
}

static int import_open(struct aio *a, const char *name, struct blk **ret_b, struct err *err)
{
	return vhdx_open(a, name, 0, ret_b, err);
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
