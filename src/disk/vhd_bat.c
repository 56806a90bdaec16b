/*
 * vhd_bat.c - the block allocation table of a VHD in memory
 *
 * Opening reads all of it once, because only all of it can tell whether two
 * blocks share space.  Entries past the last block mean nothing and may hold
 * anything (Virtual PC pads with zeros, Windows with ones): they are neither
 * checked nor changed.
 *
 * Blocks need not lie on any boundary but a sector's: QEMU and Virtual PC
 * pack them.  Ours lie as Windows has them, data on 4 KiB.
 *
 * Spec     Virtual Hard Disk Image Format Specification 1.0
 * Lock     v->lock, except for loading and freeing
 */
#include "disk/vhd.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (64u * 1024)
#define ULL(x) ((unsigned long long)(x))

/* ---- loading ----------------------------------------------------------------- */

/* The part of the block that the disk has must lie between the tables and the footer. */
static int check_entry(struct vhd *v, uint64_t block, uint32_t entry, struct err *err)
{
	uint64_t off = (uint64_t)entry * VHD_SECTOR;
	uint64_t used = min_u64(v->block_size, v->blk.size - (block << v->block_shift));

	if (off < VHD_SECTOR || off > v->limit || v->bitmap_len + used > v->limit - off)
		return err_set(err, -EBADMSG,
			       "%s: BAT entry %llu: found a block at %llu, expected it to end before"
			       " byte %llu", v->name, ULL(block), ULL(off), ULL(v->limit));
	return 0;
}

static int load_chunk(struct vhd *v, uint64_t first, const uint8_t *src, uint64_t n,
		      struct err *err)
{
	for (uint64_t i = 0; i < n; i++) {
		uint32_t entry = ldbe32(src + i * 4);
		int rc = 0;

		v->bat[first + i] = entry;
		if (entry != VHD_NO_BLOCK)
			rc = check_entry(v, first + i, entry, err);
		if (rc < 0)
			return rc;
		v->present += entry != VHD_NO_BLOCK;
	}
	return 0;
}

static int load_entries(struct vhd *v, struct err *err)
{
	uint8_t *buf = malloc(CHUNK_BYTES);
	int rc = buf == NULL ? -ENOMEM : 0;

	if (rc < 0)
		return err_set(err, rc, "%s: no memory for the BAT", v->name);
	for (uint64_t i = 0; i < v->nr_blocks && rc == 0; i += CHUNK_BYTES / 4) {
		uint64_t n = min_u64(CHUNK_BYTES / 4, v->nr_blocks - i);

		rc = aio_read_wait(v->aio, v->bat_off + i * 4, buf, n * 4);
		if (rc < 0)
			err_set(err, rc, "%s: BAT: %s", v->name, strerror(-rc));
		else
			rc = load_chunk(v, i, buf, n, err);
	}
	free(buf);
	return rc;
}

static int by_sector(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool meets(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* Sorted, each block must end before the next begins and be clear of the tables. */
static int check_overlaps(struct vhd *v, uint32_t *sorted, struct err *err)
{
	uint64_t whole = (uint64_t)v->bitmap_len + v->block_size;
	uint64_t head = be64_get(v->foot.header_offset), n = 0;

	for (uint64_t i = 0; i < v->nr_blocks; i++)
		if (v->bat[i] != VHD_NO_BLOCK)
			sorted[n++] = v->bat[i];
	qsort(sorted, n, sizeof(*sorted), by_sector);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t off = (uint64_t)sorted[i] * VHD_SECTOR;

		if (meets(off, whole, v->bat_off, v->bat_len) ||
		    meets(off, whole, head, sizeof(v->head)) ||
		    (i + 1 < n && off + whole > (uint64_t)sorted[i + 1] * VHD_SECTOR))
			return err_set(err, -EBADMSG,
				       "%s: BAT: found a block at %llu that overlaps the header, the"
				       " BAT or another block", v->name, ULL(off));
		v->end = max_u64(v->end, off + whole);
	}
	return 0;
}

int vhd_load_bat(struct vhd *v, struct err *err)
{
	uint32_t *sorted;
	int rc;

	v->bat = new_array(uint32_t, v->nr_blocks);
	v->bat_dirty = new_array(uint8_t, v->bat_len / VHD_SECTOR);
	v->ones = malloc(v->bitmap_len);
	if (v->type == VHD_DIFFERENCING)
		v->map = new_array(struct vhd_map *, v->nr_blocks);
	else
		v->full = new_array(uint8_t, v->nr_blocks);
	if (v->bat == NULL || v->bat_dirty == NULL || v->ones == NULL ||
	    (v->map == NULL && v->full == NULL))
		return err_set(err, -ENOMEM, "%s: no memory for the BAT", v->name);
	memset(v->ones, 0xff, v->bitmap_len);
	rc = load_entries(v, err);
	if (rc < 0 || v->present == 0)
		return rc;
	sorted = new_array(uint32_t, v->present);
	if (sorted == NULL)
		return err_set(err, -ENOMEM, "%s: no memory for the BAT", v->name);
	rc = check_overlaps(v, sorted, err);
	free(sorted);
	return rc;
}

void vhd_free_bat(struct vhd *v)
{
	for (uint64_t i = 0; v->map != NULL && i < v->nr_blocks; i++)
		free(v->map[i]);
	free(v->map);
	free(v->bat);
	free(v->bat_dirty);
	free(v->ones);
	free(v->fresh);
	free(v->full);
}

/* ---- changes: lock held -------------------------------------------------------- */

static void note_dirty(struct vhd *v)
{
	if (!vhd_is_dirty(v))
		v->dirty_since = base_monotonic_ns();
}

void vhd_mark_bat(struct vhd *v, uint64_t sector)
{
	if (v->bat_dirty[sector])
		return;
	note_dirty(v);
	v->bat_dirty[sector] = 1;
	v->nr_bat_dirty++;
}

void vhd_mark_map(struct vhd *v, struct vhd_map *m)
{
	if (m->dirty)
		return;
	note_dirty(v);
	m->dirty = true;
	m->next_dirty = NULL;
	*v->maps_tail = m;
	v->maps_tail = &m->next_dirty;
	v->nr_map_dirty++;
}

struct vhd_map *vhd_new_map(const struct vhd *v, uint64_t block)
{
	struct vhd_map *m = calloc(1, sizeof(*m) + v->bitmap_len);

	if (m != NULL)
		m->block = block;
	return m;
}

uint64_t vhd_place(const struct vhd *v, uint64_t off)
{
	if (v->type == VHD_FIXED)
		return off;
	return (uint64_t)v->bat[off >> v->block_shift] * VHD_SECTOR + v->bitmap_len +
	       (off & (v->block_size - 1));
}

bool vhd_space_low(const struct vhd *v)
{
	return vhd_data_place(v, v->end) + v->block_size > v->limit;
}

int vhd_fill_map(struct vhd *v, uint64_t block)
{
	if (v->nr_fresh == v->cap_fresh) {
		size_t cap = v->cap_fresh * 2 + 16;
		uint64_t *n = realloc(v->fresh, cap * sizeof(*n));

		if (n == NULL)
			return -ENOMEM;
		v->fresh = n;
		v->cap_fresh = cap;
	}
	note_dirty(v);
	v->fresh[v->nr_fresh++] = block;
	v->full[block] = 1;
	return 0;
}

/* What the new block's bitmap will be: nothing of a differencing disk is here yet. */
static int add_map(struct vhd *v, uint64_t block)
{
	if (v->type == VHD_DYNAMIC)
		return vhd_fill_map(v, block);
	v->map[block] = vhd_new_map(v, block);
	if (v->map[block] == NULL)
		return -ENOMEM;
	vhd_mark_map(v, v->map[block]);
	return 0;
}

int vhd_take_block(struct vhd *v, uint64_t block)
{
	uint64_t data = vhd_data_place(v, v->end);
	int rc;

	if (vhd_space_low(v))
		return -EAGAIN;
	rc = add_map(v, block);
	if (rc < 0)
		return rc;
	v->bat[block] = (uint32_t)((data - v->bitmap_len) / VHD_SECTOR);
	v->end = data + v->block_size;
	v->present++;
	vhd_mark_bat(v, block / BAT_SECTOR_ENTRIES);
	return 0;
}
