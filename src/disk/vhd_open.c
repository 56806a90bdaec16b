/*
 * vhd_open.c - opens a VHD: a footer that can be believed, then the header
 *
 * The footer is the last 512 bytes of the file (the last 511 of very old
 * ones); a dynamic or differencing disk has a copy of it at the start.  The
 * one at the end counts while it is whole.  Where it is not (the power went
 * while the file grew) the copy does, and the next write session mends the
 * other.  A fixed disk has no copy: what lies at its start is the guest's.
 *
 * The size of the disk is the footer's current size, never the product of its
 * geometry: programs round that, and disk2vhd writes a constant.
 *
 * Every message names the file, what was found, and what was expected.
 *
 * Spec     Virtual Hard Disk Image Format Specification 1.0
 * Lock     none: one thread until opening returns
 */
#include "disk/vhd.h"

#include <stdlib.h>
#include <string.h>

#define ULL(x) ((unsigned long long)(x))
#define FOOT_SUM offsetof(struct vhd_footer, checksum)
#define HEAD_SUM offsetof(struct vhd_header, checksum)

/* The one's complement of the sum of all bytes but the field's own. */
uint32_t vhd_checksum(const void *structure, size_t len, size_t checksum_off)
{
	const uint8_t *p = structure;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i < checksum_off || i >= checksum_off + 4)
			sum += p[i];
	return ~sum;
}

/* ---- footers ----------------------------------------------------------------- */

static bool has_cookie(const struct vhd_footer *f)
{
	return memcmp(f->cookie, "conectix", 8) == 0;
}

static bool is_whole(const struct vhd_footer *f)
{
	return has_cookie(f) && vhd_checksum(f, sizeof(*f), FOOT_SUM) == be32_get(f->checksum);
}

static bool has_copy(const struct vhd_footer *f)
{
	uint32_t type = be32_get(f->type);

	return type == VHD_DYNAMIC || type == VHD_DIFFERENCING;
}

/* *RET_TAIL is what the file ends with, a short footer made long. */
static int read_footers(struct vhd *v, struct vhd_footer *ret_tail, struct vhd_footer *ret_copy,
			bool *ret_short)
{
	int rc = aio_read_wait(v->aio, v->file_size - VHD_SECTOR, ret_tail, VHD_SECTOR);

	*ret_short = false;
	if (rc == 0 && !has_cookie(ret_tail) &&
	    memcmp((uint8_t *)ret_tail + 1, "conectix", 8) == 0) {
		memmove(ret_tail, (uint8_t *)ret_tail + 1, VHD_SECTOR - 1);
		((uint8_t *)ret_tail)[VHD_SECTOR - 1] = 0;
		*ret_short = true;
	}
	return rc < 0 ? rc : aio_read_wait(v->aio, 0, ret_copy, VHD_SECTOR);
}

static int no_footer(const struct vhd *v, const struct vhd_footer *tail,
		     const struct vhd_footer *copy, struct err *err)
{
	const struct vhd_footer *f = has_cookie(tail) ? tail : copy;

	if (!has_cookie(f))
		return err_set(err, -EBADMSG,
			       "%s: footer: found none at the end and no copy at the start, expected"
			       " conectix", v->name);
	return err_set(err, -EBADMSG, "%s: footer: found checksum %#x, expected %#x", v->name,
		       be32_get(f->checksum), vhd_checksum(f, sizeof(*f), FOOT_SUM));
}

static int choose_footer(struct vhd *v, struct err *err)
{
	struct vhd_footer tail, copy;
	bool is_short;
	int rc;

	if (v->file_size < VHD_SECTOR)
		return err_set(err, -EBADMSG, "%s: truncated: found %llu bytes, expected a footer"
			       " of 512", v->name, ULL(v->file_size));
	rc = read_footers(v, &tail, &copy, &is_short);
	if (rc < 0)
		return err_set(err, rc, "%s: footer: %s", v->name, strerror(-rc));
	if (is_whole(&tail)) {
		v->foot = tail;
		v->limit = v->file_size - VHD_SECTOR + is_short;
		v->tail_bad = is_short;
		v->head_bad = has_copy(&tail) && memcmp(&copy, &tail, sizeof(tail)) != 0;
	} else if (is_whole(&copy) && has_copy(&copy)) {
		v->foot = copy;
		v->limit = v->file_size;
		v->tail_bad = true;
	} else {
		return no_footer(v, &tail, &copy, err);
	}
	return 0;
}

static int check_footer(struct vhd *v, struct err *err)
{
	const struct vhd_footer *f = &v->foot;
	uint64_t size = be64_get(f->size);
	uint32_t type = be32_get(f->type);

	if (be32_get(f->version) >> 16 != VHD_VERSION >> 16)
		return err_set(err, -ENOTSUP, "%s: footer: found version %#x, expected %#x",
			       v->name, be32_get(f->version), VHD_VERSION);
	if (type != VHD_FIXED && type != VHD_DYNAMIC && type != VHD_DIFFERENCING)
		return err_set(err, -ENOTSUP, "%s: footer: found type %u, expected 2 (fixed), 3"
			       " (dynamic) or 4 (differencing)", v->name, type);
	if (size == 0 || size > VHD_MAX_SIZE || size % VHD_SECTOR != 0)
		return err_set(err, -EBADMSG,
			       "%s: footer: found a size of %llu, expected a multiple of 512 up to"
			       " 2040 GiB", v->name, ULL(size));
	if (type == VHD_FIXED && size > v->limit)
		return err_set(err, -EBADMSG,
			       "%s: truncated: found %llu bytes before the footer, expected the"
			       " %llu of a fixed disk", v->name, ULL(v->limit), ULL(size));
	v->type = (enum vhd_type)type;
	v->blk.size = size;
	return 0;
}

/* ---- the header ---------------------------------------------------------------- */

static int read_header(struct vhd *v, uint64_t at, struct err *err)
{
	struct vhd_header *h = &v->head;
	int rc;

	if (at % VHD_SECTOR != 0 || at < VHD_SECTOR || at > v->limit ||
	    sizeof(*h) > v->limit - at)
		return err_set(err, -EBADMSG,
			       "%s: footer: found the header at %llu, expected a multiple of 512"
			       " before byte %llu", v->name, ULL(at), ULL(v->limit));
	rc = aio_read_wait(v->aio, at, h, sizeof(*h));
	if (rc < 0)
		return err_set(err, rc, "%s: header: %s", v->name, strerror(-rc));
	if (memcmp(h->cookie, "cxsparse", 8) != 0)
		return err_set(err, -EBADMSG, "%s: header: expected cxsparse at %llu", v->name,
			       ULL(at));
	if (vhd_checksum(h, sizeof(*h), HEAD_SUM) != be32_get(h->checksum))
		return err_set(err, -EBADMSG, "%s: header: found checksum %#x, expected %#x",
			       v->name, be32_get(h->checksum),
			       vhd_checksum(h, sizeof(*h), HEAD_SUM));
	if (be32_get(h->version) >> 16 != VHD_VERSION >> 16)
		return err_set(err, -ENOTSUP, "%s: header: found version %#x, expected %#x",
			       v->name, be32_get(h->version), VHD_VERSION);
	return 0;
}

static int take_geometry(struct vhd *v, struct err *err)
{
	uint32_t size = be32_get(v->head.block_size), entries = be32_get(v->head.nr_entries);

	if (size < VHD_MIN_BLOCK || size > VHD_MAX_BLOCK || (size & (size - 1)) != 0)
		return err_set(err, -EBADMSG,
			       "%s: header: found blocks of %u bytes, expected a power of two from"
			       " 64 KiB to 256 MiB", v->name, size);
	v->block_size = size;
	v->block_shift = (uint32_t)__builtin_ctz(size);
	v->bitmap_len = (uint32_t)align_up(size / VHD_SECTOR / 8, VHD_SECTOR);
	v->nr_blocks = (v->blk.size + size - 1) >> v->block_shift;
	v->bat_off = be64_get(v->head.bat_offset);
	v->bat_len = align_up(v->nr_blocks * 4, VHD_SECTOR);
	if (entries < v->nr_blocks)
		return err_set(err, -EBADMSG,
			       "%s: header: found a BAT of %u entries, expected the %llu of"
			       " a disk of %llu bytes", v->name, entries, ULL(v->nr_blocks),
			       ULL(v->blk.size));
	if (v->bat_off % VHD_SECTOR != 0 || v->bat_off < VHD_SECTOR || v->bat_off > v->limit ||
	    v->bat_len > v->limit - v->bat_off)
		return err_set(err, -EBADMSG,
			       "%s: header: found a BAT of %llu bytes at %llu, expected it at a"
			       " multiple of 512 before byte %llu", v->name, ULL(v->bat_len),
			       ULL(v->bat_off), ULL(v->limit));
	return 0;
}

/* The end of what is not a block.  What lies there is not overwritten by ours. */
static void find_end(struct vhd *v, uint64_t header_at)
{
	uint64_t entries = be32_get(v->head.nr_entries);

	v->end = max_u64(header_at + sizeof(v->head), v->bat_off + v->bat_len);
	/* Room for more entries than the disk has blocks. */
	if (v->bat_off + entries * 4 <= v->limit)
		v->end = max_u64(v->end, v->bat_off + align_up(entries * 4, VHD_SECTOR));
	for (unsigned i = 0; v->type == VHD_DIFFERENCING && i < VHD_LOCATORS; i++) {
		const struct vhd_locator *l = &v->head.loc[i];
		uint64_t at = be64_get(l->offset), n = be32_get(l->length);

		/* Windows counts the room for it in bytes, others in sectors. */
		if (be32_get(l->space) >= n)
			n = min_u64(be32_get(l->space), 64 * KIB);
		if (be32_get(l->length) != 0 && at <= v->limit && n <= v->limit - at)
			v->end = max_u64(v->end, at + n);
	}
	v->end = min_u64(v->end, v->limit);
}

static int load_header(struct vhd *v, struct err *err)
{
	uint64_t at = be64_get(v->foot.header_offset);
	int rc = read_header(v, at, err);

	if (rc == 0)
		rc = take_geometry(v, err);
	if (rc < 0)
		return rc;
	if (v->bat_off < at + sizeof(v->head) && at < v->bat_off + v->bat_len)
		return err_set(err, -EBADMSG, "%s: header: found the BAT at %llu, over the header",
			       v->name, ULL(v->bat_off));
	find_end(v, at);
	return vhd_load_bat(v, err);
}

/* ---- all of it ------------------------------------------------------------------- */

static int load(struct vhd *v, unsigned flags, struct err *err)
{
	int rc = aio_size(v->aio, &v->file_size);

	if (rc < 0)
		return err_set(err, rc, "%s: %s", v->name, strerror(-rc));
	rc = choose_footer(v, err);
	if (rc == 0)
		rc = check_footer(v, err);
	if (rc == 0 && v->foot.saved_state != 0 && !(flags & DISK_READ_ONLY))
		rc = err_set(err, -EBUSY,
			     "%s: found the disk of a machine in saved state, expected that state to"
			     " be resumed or dropped first, or the disk to be opened read-only",
			     v->name);
	if (rc == 0 && v->type != VHD_FIXED)
		rc = load_header(v, err);
	return rc;
}

static struct vhd *new_vhd(struct aio *aio, const char *name, unsigned flags)
{
	struct vhd *v = new0(struct vhd);
	pthread_condattr_t attr;

	if (v == NULL)
		return NULL;
	v->name = strdup(name);
	if (v->name == NULL) {
		free(v);
		return NULL;
	}
	v->aio = aio;
	v->blk = (struct blk){
		.ops = &vhd_blk_ops, .logical = VHD_SECTOR, .physical = VHD_SECTOR,
		.read_only = flags & DISK_READ_ONLY,
	};
	flight_init(&v->flight, aio);
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->work, &attr);
	pthread_condattr_destroy(&attr);
	v->maps_tail = &v->maps;
	vhd_reqs_init(&v->parked);
	vhd_reqs_init(&v->flushers);
	return v;
}

/* Closes the file too, and the parents. */
void vhd_free(struct vhd *v)
{
	aio_close(v->aio);
	blk_close(v->parent);
	vhd_free_bat(v);
	pthread_cond_destroy(&v->work);
	pthread_mutex_destroy(&v->lock);
	flight_exit(&v->flight);
	free(v->name);
	free(v);
}

static int start(struct vhd *v, struct err *err)
{
	int rc = 0;

	v->blk.can_unmap = v->type != VHD_FIXED;
	v->blk.disk_id = v->foot.id;
	v->session = v->type == VHD_FIXED;
	if (!v->blk.read_only && v->type != VHD_FIXED)
		rc = vhd_worker_start(v);
	return rc < 0 ? err_set(err, rc, "%s: cannot start a thread: %s", v->name, strerror(-rc)) :
			0;
}

static int open_and_load(struct aio *aio, const char *name, unsigned flags, struct vhd **ret_v,
			 struct err *err)
{
	struct vhd *v = new_vhd(aio, name, flags);
	int rc;

	if (v == NULL) {
		aio_close(aio);
		return err_set(err, -ENOMEM, "%s: no memory", name);
	}
	rc = load(v, flags, err);
	if (rc < 0) {
		vhd_free(v);
		return rc;
	}
	*ret_v = v;
	return 0;
}

int vhd_open(struct aio *aio, const char *name, unsigned flags, const struct descent *from,
	     struct blk **ret_b, struct err *err)
{
	struct vhd *v;
	int rc = open_and_load(aio, name, flags, &v, err);

	if (rc < 0)
		return rc;
	if (v->type == VHD_DIFFERENCING)
		rc = vhd_find_parent(v, flags, from, err);
	if (rc == 0)
		rc = start(v, err);
	if (rc < 0)
		vhd_free(v);
	else
		*ret_b = &v->blk;
	return rc;
}

int vhd_open_on(struct aio *aio, const char *name, unsigned flags, struct blk *parent,
		struct blk **ret_b, struct err *err)
{
	struct vhd *v;
	int rc = open_and_load(aio, name, flags, &v, err);

	if (rc < 0) {
		blk_close(parent);
		return rc;
	}
	v->parent = parent;
	if ((v->type == VHD_DIFFERENCING) != (parent != NULL))
		rc = err_set(err, -EINVAL, "%s: found type %u, a parent is %s", name, v->type,
			     parent != NULL ? "given" : "missing");
	else if (parent != NULL)
		rc = vhd_check_parent(v, parent, err);
	if (rc == 0)
		rc = start(v, err);
	if (rc < 0)
		vhd_free(v);
	else
		*ret_b = &v->blk;
	return rc;
}

/* ---- for people -------------------------------------------------------------------- */

/* Windows keeps a GUID as its memory has it, the others in the order of its text. */
static struct guid readable(const struct vhd *v, const struct guid *raw)
{
	struct guid g = *raw;

	if (memcmp(v->foot.app, "win ", 4) == 0)
		return g;
	st32(g.b, ldbe32(raw->b));
	st16(g.b + 4, ldbe16(raw->b + 4));
	st16(g.b + 6, ldbe16(raw->b + 6));
	return g;
}

static void put_creator(const struct vhd *v, char *buf, size_t cap)
{
	size_t n = 0;

	for (unsigned i = 0; i < 4 && n + 1 < cap; i++)
		if (v->foot.app[i] > 0x20 && v->foot.app[i] < 0x7f)
			buf[n++] = (char)v->foot.app[i];
	buf[n] = '\0';
}

int vhd_inspect(struct aio *aio, const char *name, struct disk_info *ret_info, struct err *err)
{
	struct vhd *v;
	int rc = open_and_load(aio, name, DISK_READ_ONLY, &v, err);

	if (rc < 0)
		return rc;
	*ret_info = (struct disk_info){
		.kind = DISK_VHD,
		.size = v->blk.size,
		.file_size = v->file_size,
		.block_size = v->block_size,
		.logical = VHD_SECTOR,
		.physical = VHD_SECTOR,
		.fixed = v->type == VHD_FIXED,
		.has_parent = v->type == VHD_DIFFERENCING,
		.blocks = v->nr_blocks,
		.present = v->present,
		.disk_id = readable(v, &v->foot.id),
		.vhd = {
			.cylinders = be16_get(v->foot.cylinders),
			.heads = v->foot.heads,
			.sectors = v->foot.sectors,
			.made = (uint64_t)be32_get(v->foot.time) + VHD_EPOCH,
			.saved_state = v->foot.saved_state != 0,
			.footer_bad = v->tail_bad,
			.copy_bad = v->head_bad,
		},
	};
	put_creator(v, ret_info->creator, sizeof(ret_info->creator));
	if (v->type == VHD_DIFFERENCING) {
		ret_info->parent_id = readable(v, &v->head.parent_id);
		vhd_parent_name(v, ret_info->parent, sizeof(ret_info->parent));
	}
	vhd_free(v);
	return 0;
}
