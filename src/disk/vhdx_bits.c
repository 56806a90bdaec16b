/*
 * vhdx_bits.c - which sectors of a differencing VHDX are its own
 *
 * Each chunk of 2^23 sectors has a block of 1 MiB of bits in the file, once
 * one of its data blocks is PARTIALLY_PRESENT.  We hold it in pages of 4 KiB,
 * read when first looked at, and write them as the BAT is written: by the log.
 *
 *	B1  a bit is set only after its sector's data is there, and a commit copies
 *	    pages before the fdatasync that precedes the entry (I2)
 *	B2  an entry of the BAT that makes a block PARTIALLY_PRESENT is never durable
 *	    before its chunk's bits are: the worker commits those by themselves first
 *	B3  nor before the block's own bits are 0: where somebody left them set, the
 *	    worker clears and commits them first
 *	B4  of one commit the BAT goes first: a bit of a block that is absent in the
 *	    file would break B3 later
 *
 * A block that the child zeroed or gave up is ZERO, never NOT_PRESENT: its
 * bits mean nothing any more, and when it comes back it is whole.
 *
 * Spec     [MS-VHDX] 2.5.1
 * Lock     v->lock
 */
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>

static uint64_t chunk_of(const struct vhdx *v, uint64_t off)
{
	return off / v->blk.logical >> CHUNK_SHIFT;
}

static uint64_t bits_index(const struct vhdx *v, uint64_t chunk)
{
	return chunk * (v->chunk_ratio + UINT64_C(1)) + v->chunk_ratio;
}

static size_t page_of(const struct vhdx *v, uint64_t off)
{
	return (off / v->blk.logical >> PAGE_BIT_SHIFT) % CHUNK_PAGES;
}

struct bat_page *vhdx_bits(struct vhdx *v, uint64_t off)
{
	uint64_t chunk = chunk_of(v, off);

	return v->bits[chunk] == NULL ? NULL : v->bits[chunk][page_of(v, off)];
}

bool vhdx_bits_at(const struct vhdx *v, uint64_t off, uint64_t *ret_at)
{
	uint64_t entry = vhdx_bat_entry(v, bits_index(v, chunk_of(v, off)));

	if ((entry & BAT_STATE_MASK) != BAT_FULLY_PRESENT)
		return false;
	*ret_at = (entry & BAT_OFFSET_MASK) + page_of(v, off) * PAGE_SIZE;
	return true;
}

int vhdx_bits_keep(struct vhdx *v, uint64_t off, struct bat_page **page)
{
	uint64_t chunk = chunk_of(v, off);
	struct bat_page **at;

	if (v->bits[chunk] == NULL)
		v->bits[chunk] = new_array(struct bat_page *, CHUNK_PAGES);
	if (v->bits[chunk] == NULL)
		return -ENOMEM;
	at = &v->bits[chunk][page_of(v, off)];
	if (*at == NULL) {
		*at = *page;
		*page = NULL;
	}
	return 0;
}

/* Bit S of the page: the least significant of a byte first, unlike in a VHD. */
static bool bit(const struct bat_page *p, uint64_t s)
{
	return p->e[s / 64] >> (s % 64) & 1;
}

uint64_t vhdx_bits_run(const struct vhdx *v, const struct bat_page *p, uint64_t off, uint64_t n,
		       bool *ret_here)
{
	uint64_t first = off / v->blk.logical % PAGE_BITS, s = first;
	uint64_t last = min_u64(first + n / v->blk.logical, PAGE_BITS);

	*ret_here = bit(p, first);
	while (s < last && bit(p, s) == *ret_here)
		s++;
	return (s - first) * v->blk.logical;
}

void vhdx_bits_set(struct vhdx *v, uint64_t off, uint64_t n)
{
	struct bat_page *p = vhdx_bits(v, off);
	uint64_t first = off / v->blk.logical % PAGE_BITS;
	bool changed = false;

	for (uint64_t s = first; s < first + n / v->blk.logical; s++) {
		changed |= !bit(p, s);
		p->e[s / 64] |= UINT64_C(1) << s % 64;
	}
	if (changed)
		vhdx_bat_mark_dirty(v, p);
}

/* ---- before a block may become PARTIALLY_PRESENT ---------------------------------- */

/* One page of the block's bits after the other, from its first byte on. */
static uint64_t page_bytes(const struct vhdx *v)
{
	return min_u64(PAGE_BITS * v->blk.logical, v->block_size);
}

bool vhdx_bits_ready(struct vhdx *v, uint64_t block)
{
	uint64_t first = block << v->block_shift, end = first + v->block_size;

	if (v->bits_in_doubt || (vhdx_bat_entry(v, bits_index(v, chunk_of(v, first))) &
				 BAT_STATE_MASK) != BAT_FULLY_PRESENT)
		return false;
	for (uint64_t off = first; off < end; off += page_bytes(v)) {
		const struct bat_page *p = vhdx_bits(v, off);
		bool here;

		if (p == NULL || vhdx_bits_run(v, p, off, page_bytes(v), &here) != page_bytes(v) ||
		    here)
			return false;
	}
	return true;
}

static int load_page(struct vhdx *v, uint64_t off)
{
	struct bat_page *p;
	uint64_t at;
	int rc;

	pthread_mutex_lock(&v->lock);
	p = vhdx_bits(v, off);
	BUG_IF(!vhdx_bits_at(v, off, &at));
	pthread_mutex_unlock(&v->lock);
	if (p != NULL)
		return 0;
	p = new0(struct bat_page);
	if (p == NULL)
		return -ENOMEM;
	p->off = at;
	p->bits = true;
	rc = aio_read_wait(v->aio, at, p->e, sizeof(p->e));
	pthread_mutex_lock(&v->lock);
	if (rc == 0)
		rc = vhdx_bits_keep(v, off, &p);
	pthread_mutex_unlock(&v->lock);
	free(p);
	return rc;
}

/* Lock held. */
static void clear_page(struct vhdx *v, uint64_t off)
{
	struct bat_page *p = vhdx_bits(v, off);
	uint64_t first = off / v->blk.logical % PAGE_BITS;
	bool changed = false;

	for (uint64_t s = first; s < first + page_bytes(v) / v->blk.logical; s++) {
		changed |= bit(p, s);
		p->e[s / 64] &= ~(UINT64_C(1) << s % 64);
	}
	if (!changed)
		return;
	vhdx_bat_mark_dirty(v, p);
	v->bits_in_doubt = true;
}

/* A block of bits, zero like all space that is handed out.  It takes a data block's room. */
static int add_bits(struct vhdx *v, uint64_t chunk)
{
	uint64_t index = bits_index(v, chunk), at;
	int rc = 0;

	pthread_mutex_lock(&v->lock);
	if ((vhdx_bat_entry(v, index) & BAT_STATE_MASK) != BAT_FULLY_PRESENT) {
		rc = vhdx_take_block(v, &at);
		if (rc == 0)
			rc = vhdx_bat_set_entry(v, index, at | BAT_FULLY_PRESENT);
		if (rc == 0)
			v->bits_in_doubt = true;
	}
	pthread_mutex_unlock(&v->lock);
	return rc;
}

int vhdx_bits_prepare(struct vhdx *v, uint64_t block)
{
	uint64_t first = block << v->block_shift, end = first + v->block_size;
	int rc = add_bits(v, chunk_of(v, first));

	if (rc == -EAGAIN)
		rc = vhdx_make_space(v);
	if (rc == 0)
		rc = add_bits(v, chunk_of(v, first));
	for (uint64_t off = first; off < end && rc == 0; off += page_bytes(v))
		rc = load_page(v, off);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&v->lock);
	/* Somebody else's write may have made it present meanwhile: then they count. */
	for (uint64_t off = first; off < end; off += page_bytes(v))
		if ((vhdx_bat_get(v, block) & BAT_STATE_MASK) == BAT_NOT_PRESENT)
			clear_page(v, off);
	pthread_mutex_unlock(&v->lock);
	return 0;
}

void vhdx_free_bits(struct vhdx *v)
{
	for (uint64_t c = 0; v->bits != NULL && c < v->nr_chunks; c++) {
		for (unsigned i = 0; v->bits[c] != NULL && i < CHUNK_PAGES; i++) {
			if (v->bits[c][i] != NULL)
				free(v->bits[c][i]->logged);
			free(v->bits[c][i]);
		}
		free(v->bits[c]);
	}
	free(v->bits);
}
