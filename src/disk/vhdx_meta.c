/*
 * vhdx_meta.c - region tables and metadata items of a VHDX
 *
 * Two copies of the region table exist; the first good one counts, and a bad
 * one is remembered for repair.  A copy whose checksum is right but whose
 * content is wrong is not a torn write but somebody's bug: refused.
 *
 * QEMU does not set the "required" bit of its regions, and disk2vhd lists
 * them the other way round: order and that bit prove nothing.
 *
 * Spec     [MS-VHDX] 2.2.3, 2.6
 * Lock     none: opening is one thread
 */
#include "disk/vhdx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ULL(x) ((unsigned long long)(x))

static const struct guid bat_guid = VHDX_REGION_BAT_GUID;
static const struct guid metadata_guid = VHDX_REGION_METADATA_GUID;

struct range {
	uint64_t off, end;
};

static int by_off(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* Whether any two of the N ranges share a byte. */
static bool overlap(struct range *r, size_t n)
{
	qsort(r, n, sizeof(*r), by_off);
	for (size_t i = 1; i < n; i++)
		if (r[i].off < r[i - 1].end)
			return true;
	return false;
}

static int by_guid(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct guid));
}

static bool duplicate(struct guid *g, size_t n)
{
	qsort(g, n, sizeof(*g), by_guid);
	for (size_t i = 1; i < n; i++)
		if (guid_eq(&g[i], &g[i - 1]))
			return true;
	return false;
}

/* ---- regions --------------------------------------------------------------- */

static int one_region(struct vhdx *v, const struct vhdx_region *r, struct err *err)
{
	uint64_t off = le64_get(r->offset);
	uint32_t len = le32_get(r->length), flags = le32_get(r->flags);
	char text[GUID_TEXT_LEN + 1];

	guid_format(&r->id, text);
	if (off % MIB != 0 || len % MIB != 0 || off < MIB || len == 0)
		return err_set(err, -EBADMSG,
			       "%s: region %s: found %u bytes at %llu, expected multiples of"
			       " 1 MiB after the first",
			       v->name, text, len, ULL(off));
	if (off > vhdx_logical_size(v) || len > vhdx_logical_size(v) - off)
		return err_set(err, -EBADMSG,
			       "%s: region %s: found its end at %llu, past the %llu bytes of"
			       " the file",
			       v->name, text, ULL(off) + len, ULL(vhdx_logical_size(v)));
	if ((flags & ~1u) != 0)
		return err_set(err, -EBADMSG, "%s: region %s: found flags %#x, expected 0 or 1",
			       v->name, text, flags);
	if (guid_eq(&r->id, &bat_guid)) {
		v->bat_off = off;
		v->bat_len = len;
	} else if (guid_eq(&r->id, &metadata_guid)) {
		v->meta_off = off;
		v->meta_len = len;
	} else if (flags & 1) {
		return err_set(err, -ENOTSUP,
			       "%s: region %s: found an unknown one that is required", v->name,
			       text);
	}
	return runs_add(&v->regions, off, len, 0);
}

static int parse_regions(struct vhdx *v, const uint8_t *table, uint32_t count, struct range *ranges,
			 struct guid *guids, struct err *err)
{
	for (uint32_t i = 0; i < count; i++) {
		struct vhdx_region r;
		int rc;

		memcpy(&r, table + sizeof(struct vhdx_region_table) + i * sizeof(r), sizeof(r));
		rc = one_region(v, &r, err);
		if (rc < 0)
			return rc;
		ranges[i] = (struct range){ le64_get(r.offset),
					    le64_get(r.offset) + le32_get(r.length) };
		guids[i] = r.id;
	}
	if (duplicate(guids, count))
		return err_set(err, -EBADMSG, "%s: region table: found the same region twice",
			       v->name);
	if (v->bat_len == 0 || v->meta_len == 0)
		return err_set(err, -EBADMSG, "%s: region table: found no %s region", v->name,
			       v->bat_len == 0 ? "BAT" : "metadata");
	if (v->log_len != 0) {
		ranges[count++] = (struct range){ v->log_off, v->log_off + v->log_len };
		if (runs_add(&v->regions, v->log_off, v->log_len, 0) < 0)
			return -ENOMEM;
	}
	if (overlap(ranges, count))
		return err_set(err, -EBADMSG,
			       "%s: region table: found regions that overlap each other or the"
			       " log",
			       v->name);
	return 0;
}

static bool table_valid(const uint8_t *table)
{
	return memcmp(table, "regi", 4) == 0 &&
	       vhdx_sealed(table, VHDX_REGION_TABLE_LEN,
			   offsetof(struct vhdx_region_table, checksum));
}

static int choose_table(struct vhdx *v, const uint8_t *one, const uint8_t *two, struct err *err)
{
	bool ok[2] = { table_valid(one), table_valid(two) };
	const uint8_t *table = ok[0] ? one : two;
	struct vhdx_region_table head;
	struct range *ranges;
	struct guid *guids;
	uint32_t count;
	int rc = -ENOMEM;

	if (!ok[0] && !ok[1])
		return err_set(err, -EBADMSG,
			       "%s: region tables: found both bad, expected one with a valid"
			       " signature and checksum",
			       v->name);
	v->regions_bad[0] = !ok[0];
	v->regions_bad[1] = ok[0] && memcmp(one, two, VHDX_REGION_TABLE_LEN) != 0;
	memcpy(&head, table, sizeof(head));
	count = le32_get(head.count);
	if (count > VHDX_MAX_TABLE_ENTRIES || le32_get(head.reserved) != 0)
		return err_set(err, -EBADMSG,
			       "%s: region table: found %u entries, expected at most %u", v->name,
			       count, VHDX_MAX_TABLE_ENTRIES);
	ranges = new_array(struct range, count + 1);
	guids = new_array(struct guid, count + 1);
	if (ranges != NULL && guids != NULL)
		rc = parse_regions(v, table, count, ranges, guids, err);
	free(ranges);
	free(guids);
	return rc == -ENOMEM ? err_set(err, rc, "%s: no memory", v->name) : rc;
}

int vhdx_load_regions(struct vhdx *v, struct err *err)
{
	uint8_t *buf = malloc(2 * VHDX_REGION_TABLE_LEN);
	int rc;

	if (buf == NULL)
		return err_set(err, -ENOMEM, "%s: no memory", v->name);
	rc = vhdx_read_meta(v, VHDX_REGIONS_1, buf, 2 * VHDX_REGION_TABLE_LEN);
	if (rc < 0)
		err_set(err, rc, "%s: region tables: %s", v->name, strerror(-rc));
	else
		rc = choose_table(v, buf, buf + VHDX_REGION_TABLE_LEN, err);
	free(buf);
	return rc;
}

/* ---- metadata -------------------------------------------------------------- */

struct items {
	struct { le32 block_size, flags; } file;
	le64 size;
	struct guid disk_id;
	le32 logical, physical;
};

#define FIELD(f) offsetof(struct items, f), sizeof(((struct items *)0)->f)
static const struct item_row {
	struct guid id;
	size_t at, len;			/* where it goes; LEN 0: known, not read here */
	const char *name;
	bool needed;
} item_rows[] = {
	{ VHDX_ITEM_FILE_GUID, FIELD(file), "file parameters", true },
	{ VHDX_ITEM_SIZE_GUID, FIELD(size), "virtual disk size", true },
	{ VHDX_ITEM_DISK_ID_GUID, FIELD(disk_id), "virtual disk id", true },
	{ VHDX_ITEM_LOGICAL_GUID, FIELD(logical), "logical sector size", true },
	{ VHDX_ITEM_PHYSICAL_GUID, FIELD(physical), "physical sector size", true },
	{ VHDX_ITEM_PARENT_GUID, 0, 0, "parent locator", false },
};
#undef FIELD

static int read_item(struct vhdx *v, const struct item_row *row, uint32_t off,
		     struct items *ret_items, struct err *err)
{
	int rc = vhdx_read_meta(v, v->meta_off + off, (uint8_t *)ret_items + row->at, row->len);

	return rc < 0 ?
		       err_set(err, rc, "%s: metadata: %s: %s", v->name, row->name, strerror(-rc)) :
		       0;
}

static int one_item(struct vhdx *v, const struct vhdx_item *it, struct items *ret_items,
		    unsigned *found, struct err *err)
{
	static const struct guid incomplete = VHDX_ITEM_INCOMPLETE_GUID;
	uint32_t off = le32_get(it->offset), len = le32_get(it->length),
		 flags = le32_get(it->flags);
	char text[GUID_TEXT_LEN + 1];

	guid_format(&it->id, text);
	if ((flags & ~7u) != 0 || ((flags & ITEM_USER) && (flags & ITEM_REQUIRED)))
		return err_set(err, -EBADMSG, "%s: metadata item %s: found flags %#x", v->name,
			       text, flags);
	if (len > MIB || (len == 0 ? off != 0 : off < VHDX_ITEMS_OFF) || off > v->meta_len ||
	    len > v->meta_len - off)
		return err_set(err, -EBADMSG,
			       "%s: metadata item %s: found %u bytes at %u, expected them inside"
			       " the %llu of the region and after its table",
			       v->name, text, len, off, ULL(v->meta_len));
	if (flags & ITEM_USER)
		return 0;
	if (guid_eq(&it->id, &incomplete))
		return err_set(err, -EBADMSG,
			       "%s: found the mark of a file whose creation never ended", v->name);
	for (size_t i = 0; i < ARRAY_LEN(item_rows); i++) {
		const struct item_row *row = &item_rows[i];

		if (!guid_eq(&it->id, &row->id))
			continue;
		if (row->len != 0 && len != row->len)
			return err_set(err, -EBADMSG,
				       "%s: metadata: found a %s of %u bytes, expected %zu",
				       v->name, row->name, len, row->len);
		*found |= 1u << i;
		if (row->len == 0) {		/* the parent locator: by itself, later */
			v->locator_off = off;
			v->locator_len = len;
		}
		return row->len == 0 ? 0 : read_item(v, row, off, ret_items, err);
	}
	if (flags & ITEM_REQUIRED)
		return err_set(err, -ENOTSUP,
			       "%s: metadata item %s: found an unknown one that is required",
			       v->name, text);
	return 0;
}

struct lists {
	struct range ranges[VHDX_MAX_TABLE_ENTRIES];
	struct guid system[VHDX_MAX_TABLE_ENTRIES], user[VHDX_MAX_TABLE_ENTRIES];
	size_t nr_ranges, nr_system, nr_user;
};

static int parse_items(struct vhdx *v, const uint8_t *table, struct lists *l,
		       struct items *ret_items, struct err *err)
{
	struct vhdx_metadata_table head;
	unsigned found = 0;

	memcpy(&head, table, sizeof(head));
	if (memcmp(head.signature, "metadata", 8) != 0 || le16_get(head.reserved) != 0)
		return err_set(err, -EBADMSG, "%s: metadata table: expected the signature metadata",
			       v->name);
	if (le16_get(head.count) > VHDX_MAX_TABLE_ENTRIES)
		return err_set(err, -EBADMSG,
			       "%s: metadata table: found %u entries, expected at most %u", v->name,
			       le16_get(head.count), VHDX_MAX_TABLE_ENTRIES);
	for (unsigned i = 0; i < le16_get(head.count); i++) {
		struct vhdx_item it;
		uint64_t off;
		int rc;

		memcpy(&it, table + sizeof(head) + i * sizeof(it), sizeof(it));
		rc = one_item(v, &it, ret_items, &found, err);
		if (rc < 0)
			return rc;
		off = le32_get(it.offset);
		if (le32_get(it.length) != 0)
			l->ranges[l->nr_ranges++] =
				(struct range){ off, off + le32_get(it.length) };
		if (le32_get(it.flags) & ITEM_USER)
			l->user[l->nr_user++] = it.id;
		else
			l->system[l->nr_system++] = it.id;
	}
	if (duplicate(l->system, l->nr_system) || duplicate(l->user, l->nr_user))
		return err_set(err, -EBADMSG, "%s: metadata table: found the same item twice",
			       v->name);
	if (overlap(l->ranges, l->nr_ranges))
		return err_set(err, -EBADMSG, "%s: metadata table: found items that overlap",
			       v->name);
	for (size_t i = 0; i < ARRAY_LEN(item_rows); i++)
		if (item_rows[i].needed && !(found & 1u << i))
			return err_set(err, -EBADMSG, "%s: metadata: found no %s", v->name,
				       item_rows[i].name);
	return 0;
}

static bool sector_ok(uint32_t n)
{
	return n == 512 || n == 4096;
}

static int take_geometry(struct vhdx *v, const struct items *it, struct err *err)
{
	uint32_t bs = le32_get(it->file.block_size), flags = le32_get(it->file.flags);
	uint32_t logical = le32_get(it->logical), physical = le32_get(it->physical);
	uint64_t size = le64_get(it->size);

	if (bs < VHDX_MIN_BLOCK || bs > VHDX_MAX_BLOCK || (bs & (bs - 1)) != 0)
		return err_set(err, -EBADMSG,
			       "%s: metadata: found a block size of %u, expected a power of two"
			       " from 1 to 256 MiB",
			       v->name, bs);
	if ((flags & ~3u) != 0)
		return err_set(err, -EBADMSG,
			       "%s: metadata: found file flags %#x, expected at most 3", v->name,
			       flags);
	if (!sector_ok(logical) || !sector_ok(physical))
		return err_set(err, -EBADMSG,
			       "%s: metadata: found sectors of %u and %u bytes, expected 512 or"
			       " 4096",
			       v->name, logical, physical);
	if (size == 0 || size > VHDX_MAX_SIZE || size % logical != 0)
		return err_set(err, -EBADMSG,
			       "%s: metadata: found a virtual size of %llu, expected a multiple"
			       " of %u up to 64 TiB",
			       v->name, ULL(size), logical);
	v->block_size = bs;
	v->block_shift = (uint32_t)__builtin_ctz(bs);
	v->chunk_ratio = (uint32_t)((UINT64_C(1) << 23) * logical / bs);
	v->nr_blocks = (size + bs - 1) / bs;
	v->has_parent = flags & FILE_HAS_PARENT;
	v->fixed = (flags & FILE_LEAVE_ALLOCATED) && !v->has_parent;
	v->blk.size = size;
	v->blk.logical = logical;
	v->blk.physical = physical;
	v->blk.disk_id = it->disk_id;
	v->nr_entries = v->nr_blocks + (v->nr_blocks - 1) / v->chunk_ratio;
	if (v->has_parent)
		v->nr_entries = (v->nr_blocks + v->chunk_ratio - 1) / v->chunk_ratio *
				(v->chunk_ratio + UINT64_C(1));
	if (v->nr_entries > v->bat_len / 8)
		return err_set(err, -EBADMSG, "%s: BAT: found room for %llu entries, expected %llu",
			       v->name, ULL(v->bat_len / 8), ULL(v->nr_entries));
	return 0;
}

int vhdx_load_metadata(struct vhdx *v, struct err *err)
{
	uint8_t *table = malloc(VHDX_ITEMS_OFF);
	struct lists *l = new0(struct lists);
	struct items items = { 0 };
	int rc = -ENOMEM;

	if (v->meta_len > VHDX_MAX_METADATA)
		rc = err_set(err, -EBADMSG,
			     "%s: metadata: found a region of %llu bytes, expected at most"
			     " 128 MiB",
			     v->name, ULL(v->meta_len));
	else if (table == NULL || l == NULL)
		err_set(err, rc, "%s: no memory", v->name);
	else if ((rc = vhdx_read_meta(v, v->meta_off, table, VHDX_ITEMS_OFF)) < 0)
		err_set(err, rc, "%s: metadata: %s", v->name, strerror(-rc));
	else if ((rc = parse_items(v, table, l, &items, err)) == 0)
		rc = take_geometry(v, &items, err);
	free(table);
	free(l);
	return rc;
}
