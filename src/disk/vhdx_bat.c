/*
 * vhdx_bat.c - the block allocation table in memory
 *
 * Opening reads all of it once, because only all of it can tell whether two
 * blocks share space and which space is free.  Pages whose used entries are
 * all zero are not kept, so memory follows what the image holds, not what its
 * header claims.
 *
 * Entries past the last used one and the sector bitmap slots of a disk
 * without a parent mean nothing and may hold anything (QEMU leaves stale
 * values): they are neither checked nor changed.
 *
 * An absent block may still name the space it had ("anchor").  That space is
 * ours to reuse only after the entry is gone from the file (I3): the entry is
 * cleared in memory, its page is dirty from the start, and all free space
 * waits for the first commit.
 *
 * Spec     [MS-VHDX] 2.5
 * Lock     v->lock for entries and the dirty list; opening is one thread
 */
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES (BAT_PAGE_ENTRIES * 8u)
#define CHUNK_BYTES (1024u * 1024u)
#define ULL(x) ((unsigned long long)(x))

uint64_t vhdx_bat_entry(const struct vhdx *v, uint64_t index)
{
	const struct bat_page *p = v->page[index / BAT_PAGE_ENTRIES];

	return p == NULL ? 0 : p->e[index % BAT_PAGE_ENTRIES];
}

uint64_t vhdx_bat_get(const struct vhdx *v, uint64_t block)
{
	return vhdx_bat_entry(v, vhdx_bat_index(v, block));
}

void vhdx_bat_mark_dirty(struct vhdx *v, struct bat_page *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	p->next_dirty = NULL;
	*v->dirty_tail = p;
	v->dirty_tail = &p->next_dirty;
	if (v->nr_dirty++ == 0)
		v->dirty_since = base_monotonic_ns();
}

int vhdx_bat_set_entry(struct vhdx *v, uint64_t index, uint64_t entry)
{
	struct bat_page **slot = &v->page[index / BAT_PAGE_ENTRIES], *p = *slot;

	if (p == NULL) {
		p = new0(struct bat_page);
		if (p == NULL)
			return -ENOMEM;
		p->off = v->bat_off + index / BAT_PAGE_ENTRIES * PAGE_BYTES;
		*slot = p;
	}
	p->e[index % BAT_PAGE_ENTRIES] = entry;
	vhdx_bat_mark_dirty(v, p);
	return 0;
}

int vhdx_bat_set(struct vhdx *v, uint64_t block, uint64_t entry)
{
	uint64_t before = vhdx_bat_get(v, block);
	int rc = vhdx_bat_set_entry(v, vhdx_bat_index(v, block), entry);

	if (rc < 0)
		return rc;
	v->present += bat_has_space(entry);
	v->present -= bat_has_space(before);
	return 0;
}

/* ---- loading --------------------------------------------------------------- */

struct load {
	struct vhdx *v;
	uint64_t *used;			/* one bit per MiB of the file */
	uint64_t nr_mib, top;		/* TOP: the MiB after the last used one */
	bool anchors;
};

/* Marks a range; -EEXIST where it was taken. */
static int take(struct load *l, uint64_t off, uint64_t len)
{
	uint64_t first = off / MIB, end = (off + len) / MIB;

	for (uint64_t i = first; i < end; i++) {
		uint64_t bit = UINT64_C(1) << (i % 64);

		if (l->used[i / 64] & bit)
			return -EEXIST;
		l->used[i / 64] |= bit;
	}
	l->top = max_u64(l->top, end);
	return 0;
}

static int load_present(struct load *l, uint64_t index, uint64_t off, uint64_t len, struct err *err)
{
	struct vhdx *v = l->v;

	if (off > vhdx_logical_size(v) || len > vhdx_logical_size(v) - off)
		return err_set(err, -EBADMSG,
			       "%s: BAT entry %llu: found a block at %llu that ends past the"
			       " %llu bytes of the file",
			       v->name, ULL(index), ULL(off), ULL(vhdx_logical_size(v)));
	if (take(l, off, len) < 0)
		return err_set(err, -EBADMSG,
			       "%s: BAT entry %llu: found a block at %llu that overlaps the"
			       " headers, a region or another block",
			       v->name, ULL(index), ULL(off));
	return 0;
}

/* One entry; *E is changed where it names space it no longer has. */
static int load_entry(struct load *l, uint64_t index, uint64_t *e, struct err *err)
{
	struct vhdx *v = l->v;
	uint64_t chunk = v->chunk_ratio + UINT64_C(1);
	bool bitmap = index % chunk == v->chunk_ratio;
	unsigned state = (unsigned)(*e & BAT_STATE_MASK);

	if (bitmap && !v->has_parent)
		return 0;
	if (*e & BAT_RESERVED)
		return err_set(err, -EBADMSG, "%s: BAT entry %llu: found reserved bits set (%#llx)",
			       v->name, ULL(index), ULL(*e));
	if (state == 4 || state == 5 ||
	    (bitmap && state != BAT_NOT_PRESENT && state != BAT_FULLY_PRESENT))
		return err_set(err, -EBADMSG,
			       "%s: BAT entry %llu: found state %u, which does not exist", v->name,
			       ULL(index), state);
	/* A differencing disk rounds its blocks up to whole chunks. */
	if (!bitmap && index - index / chunk >= v->nr_blocks)
		return 0;
	if (bat_has_space(*e)) {
		v->present += !bitmap;
		return load_present(l, index, *e & BAT_OFFSET_MASK, bitmap ? MIB : v->block_size,
				    err);
	}
	if (*e & BAT_OFFSET_MASK) {
		l->anchors = true;
		*e &= BAT_STATE_MASK;
		return 1;
	}
	return 0;
}

static int load_page(struct load *l, uint64_t page, const uint8_t *src, struct err *err)
{
	struct vhdx *v = l->v;
	uint64_t first = page * BAT_PAGE_ENTRIES;
	uint64_t n = min_u64(BAT_PAGE_ENTRIES, v->nr_entries - first);
	bool changed = false;
	struct bat_page *p;
	uint64_t any = 0;

	for (uint64_t i = 0; i < n; i++)
		any |= ld64(src + i * 8);
	if (any == 0)
		return 0;
	p = new0(struct bat_page);
	if (p == NULL)
		return err_set(err, -ENOMEM, "%s: no memory for the BAT", v->name);
	v->page[page] = p;
	p->off = v->bat_off + page * PAGE_BYTES;
	memcpy(p->e, src, PAGE_BYTES);
	for (uint64_t i = 0; i < n; i++) {
		int rc = load_entry(l, first + i, &p->e[i], err);

		if (rc < 0)
			return rc;
		changed |= rc > 0;
	}
	if (changed)
		vhdx_bat_mark_dirty(v, p);
	return 0;
}

static int load_pages(struct load *l, uint8_t *buf, struct err *err)
{
	struct vhdx *v = l->v;

	for (uint64_t page = 0; page < v->nr_pages; page++) {
		uint64_t in_chunk = page * PAGE_BYTES % CHUNK_BYTES;
		int rc = 0;

		/* The region is a multiple of the chunk. */
		if (in_chunk == 0)
			rc = vhdx_read_meta(
				v, v->bat_off + page * PAGE_BYTES, buf,
				(size_t)min_u64(CHUNK_BYTES, (v->nr_pages - page) * PAGE_BYTES));
		if (rc < 0)
			return err_set(err, rc, "%s: BAT: %s", v->name, strerror(-rc));
		rc = load_page(l, page, buf + in_chunk, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What nobody uses below the last used MiB, in runs that hold whole blocks. */
static int find_holes(struct load *l)
{
	struct vhdx *v = l->v;
	struct runs *to = l->anchors ? &v->limbo : &v->holes;
	uint64_t free_from = 0;

	v->end = l->top * MIB;
	for (uint64_t i = 0; i <= l->top; i++) {
		bool used = i == l->top || l->used[i / 64] >> (i % 64) & 1;
		uint64_t len = align_down((i - free_from) * MIB, v->block_size);

		if (used && len > 0) {
			int rc = runs_add(to, free_from * MIB, len, 0);

			if (rc < 0)
				return rc;
		}
		if (used)
			free_from = i + 1;
	}
	return 0;
}

/* Blocks of which a differencing disk has some sectors need bits that say which. */
static int check_bits(struct vhdx *v, struct err *err)
{
	uint64_t chunk = v->chunk_ratio + UINT64_C(1);

	for (uint64_t i = 0; v->has_parent && i < v->nr_entries; i++) {
		uint64_t block = i - i / chunk;

		if (v->page[i / BAT_PAGE_ENTRIES] == NULL) {
			i |= BAT_PAGE_ENTRIES - 1;
			continue;
		}
		if (i % chunk == v->chunk_ratio || block >= v->nr_blocks ||
		    (vhdx_bat_entry(v, i) & BAT_STATE_MASK) != BAT_PARTIALLY_PRESENT)
			continue;
		if ((vhdx_bat_entry(v, i / chunk * chunk + v->chunk_ratio) & BAT_STATE_MASK) !=
		    BAT_FULLY_PRESENT)
			return err_set(err, -EBADMSG, "%s: BAT entry %llu: found a block that is partly"
				       " present, expected bits that say which sectors", v->name, ULL(i));
	}
	return 0;
}

static int load(struct load *l, uint8_t *buf, bool writable, struct err *err)
{
	struct vhdx *v = l->v;
	int rc = take(l, 0, MIB);

	for (size_t i = 0; i < v->regions.nr && rc == 0; i++)
		rc = take(l, v->regions.v[i].off, v->regions.v[i].len);
	BUG_IF(rc < 0);			/* the region table was checked for overlaps */
	rc = load_pages(l, buf, err);
	if (rc == 0)
		rc = check_bits(v, err);
	if (rc == 0 && writable && find_holes(l) < 0)
		rc = err_set(err, -ENOMEM, "%s: no memory", v->name);
	return rc;
}

int vhdx_load_bat(struct vhdx *v, bool writable, struct err *err)
{
	struct load l = { .v = v, .nr_mib = align_up(vhdx_logical_size(v), MIB) / MIB };
	uint8_t *buf = malloc(CHUNK_BYTES);
	int rc;

	v->nr_pages = (v->nr_entries + BAT_PAGE_ENTRIES - 1) / BAT_PAGE_ENTRIES;
	v->page = new_array(struct bat_page *, v->nr_pages);
	l.used = new_array(uint64_t, l.nr_mib / 64 + 1);
	if (v->has_parent) {
		v->nr_chunks = (v->nr_blocks + v->chunk_ratio - 1) / v->chunk_ratio;
		v->bits = new_array(struct bat_page **, v->nr_chunks);
	}
	if (buf == NULL || v->page == NULL || l.used == NULL || (v->has_parent && v->bits == NULL))
		rc = err_set(err, -ENOMEM, "%s: no memory for the BAT", v->name);
	else
		rc = load(&l, buf, writable, err);
	free(l.used);
	free(buf);
	return rc;
}

void vhdx_free_bat(struct vhdx *v)
{
	for (uint64_t i = 0; v->page != NULL && i < v->nr_pages; i++) {
		if (v->page[i] != NULL)
			free(v->page[i]->logged);
		free(v->page[i]);
	}
	free(v->page);
}
