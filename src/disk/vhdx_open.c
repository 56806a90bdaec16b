/*
 * vhdx_open.c - opens a VHDX: headers, then everything in the order of trust
 *
 * Nothing in the file is believed before it was checked, and a refused image
 * was not written to: even for a writable open the log is first replayed in
 * memory, the image is checked as it will be, and only then does the replay
 * reach the file.
 *
 * Every message names the file, what was found, and what was expected.
 *
 * Spec     [MS-VHDX] 2.2
 * Lock     none: one thread until vhdx_open returns
 */
#include "disk/vhdx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int vhdx_read_meta(struct vhdx *v, uint64_t off, void *buf, size_t len)
{
	struct iovec iov = { buf, len };
	size_t n = (size_t)(off >= v->file_size ? 0 : min_u64(len, v->file_size - off));
	int rc = aio_read_wait(v->aio, off, buf, n);

	memset((uint8_t *)buf + n, 0, len - n);
	vhdx_patch(&v->patches, off, len, &iov, 1, 0);
	return rc;
}

uint64_t vhdx_logical_size(const struct vhdx *v)
{
	return max_u64(v->file_size, v->patches.last);
}

/* Creator text is for people: what is not printable ASCII becomes '?'. */
static int load_file_id(struct vhdx *v, struct err *err)
{
	struct vhdx_file_id id;
	int rc = vhdx_read_meta(v, 0, &id, sizeof(id));

	if (rc < 0)
		return err_set(err, rc, "%s: cannot read: %s", v->name, strerror(-rc));
	if (memcmp(id.signature, "vhdxfile", 8) != 0)
		return err_set(err, -EBADMSG, "%s: file identifier: expected vhdxfile", v->name);
	for (size_t i = 0; i < sizeof(v->creator) - 1; i++) {
		uint16_t c = le16_get(id.creator[i]);

		if (c == 0)
			break;
		v->creator[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	return 0;
}

static bool header_valid(const struct vhdx_header *h)
{
	return memcmp(h->signature, "head", 4) == 0 &&
	       vhdx_sealed(h, sizeof(*h), offsetof(struct vhdx_header, checksum));
}

static int check_header(struct vhdx *v, struct err *err)
{
	const struct vhdx_header *h = &v->hdr;
	bool in_use = !guid_is_zero(&h->log);

	v->log_off = le64_get(h->log_offset);
	v->log_len = le32_get(h->log_length);
	if (le16_get(h->version) != 1)
		return err_set(err, -ENOTSUP, "%s: header: found version %u, expected 1", v->name,
			       le16_get(h->version));
	if (in_use && le16_get(h->log_version) != 0)
		return err_set(err, -ENOTSUP, "%s: header: found log version %u, expected 0",
			       v->name, le16_get(h->log_version));
	if (v->log_len == 0 && !in_use)
		return 0;
	if (v->log_len == 0)
		return err_set(err, -EBADMSG, "%s: header: found a log in use of length 0",
			       v->name);
	if (v->log_len % MIB != 0 || v->log_off % MIB != 0 || v->log_off < MIB)
		return err_set(err, -EBADMSG,
			       "%s: header: found a log of %u bytes at %llu, expected"
			       " multiples of 1 MiB after the first",
			       v->name, v->log_len, (unsigned long long)v->log_off);
	if (v->log_off > v->file_size || v->log_len > v->file_size - v->log_off)
		return err_set(err, -EBADMSG,
			       "%s: header: found a log that ends at %llu, past the %llu bytes"
			       " of the file",
			       v->name, (unsigned long long)v->log_off + v->log_len,
			       (unsigned long long)v->file_size);
	return 0;
}

/* Equal numbers happen (disk2vhd writes both headers alike): the first counts then. */
static int load_headers(struct vhdx *v, struct err *err)
{
	struct vhdx_header h[2];
	bool ok[2];

	for (unsigned i = 0; i < 2; i++) {
		int rc = vhdx_read_meta(v, i == 0 ? VHDX_HEADER_1 : VHDX_HEADER_2, &h[i],
					sizeof(h[i]));

		if (rc < 0)
			return err_set(err, rc, "%s: header %u: %s", v->name, i + 1, strerror(-rc));
		ok[i] = header_valid(&h[i]);
	}
	if (!ok[0] && !ok[1])
		return err_set(err, -EBADMSG,
			       "%s: headers: found both bad, expected one with a valid"
			       " signature and checksum",
			       v->name);
	v->slot = !ok[0] || (ok[1] && le64_get(h[1].sequence) > le64_get(h[0].sequence));
	v->hdr = h[v->slot];
	return check_header(v, err);
}

static int load_all(struct vhdx *v, unsigned flags, struct err *err)
{
	bool writable = !(flags & DISK_READ_ONLY);
	int rc = aio_size(v->aio, &v->file_size);

	if (rc < 0)
		return err_set(err, rc, "%s: %s", v->name, strerror(-rc));
	if (v->file_size < MIB)
		return err_set(err, -EBADMSG,
			       "%s: truncated: found %llu bytes, expected at least 1 MiB", v->name,
			       (unsigned long long)v->file_size);
	if (v->file_size > VHDX_MAX_FILE)
		return err_set(err, -EFBIG, "%s: found %llu bytes, more than any VHDX has", v->name,
			       (unsigned long long)v->file_size);
	rc = load_file_id(v, err);
	if (rc == 0)
		rc = load_headers(v, err);
	if (rc == 0)
		rc = vhdx_log_find(v, err);
	if (rc == 0)
		rc = vhdx_load_regions(v, err);
	if (rc == 0)
		rc = vhdx_load_metadata(v, err);
	if (rc == 0)
		rc = vhdx_load_bat(v, writable, err);
	if (rc == 0 && writable && v->log_len == 0)
		rc = err_set(err, -ENOTSUP, "%s: found no log, expected one to write safely",
			     v->name);
	return rc;
}

static int prepare_writing(struct vhdx *v, struct err *err)
{
	int rc = vhdx_log_replay(v, err);

	if (rc < 0)
		return rc;
	rc = vhdx_repair_regions(v);
	if (rc < 0)
		return err_set(err, rc, "%s: cannot repair a region table: %s", v->name,
			       strerror(-rc));
	rc = vhdx_worker_start(v);
	return rc < 0 ? err_set(err, rc, "%s: cannot start a thread: %s", v->name, strerror(-rc)) :
			0;
}

static struct vhdx *new_vhdx(struct aio *aio, const char *name)
{
	struct vhdx *v = new0(struct vhdx);
	pthread_condattr_t attr;

	if (v == NULL)
		return NULL;
	v->name = strdup(name);
	if (v->name == NULL) {
		free(v);
		return NULL;
	}
	v->aio = aio;
	flight_init(&v->flight, aio);
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->work, &attr);
	pthread_condattr_destroy(&attr);
	v->dirty_tail = &v->dirty;
	vreqs_init(&v->parked);
	vreqs_init(&v->flushers);
	return v;
}

/* Closes the file too. */
void vhdx_free(struct vhdx *v)
{
	aio_close(v->aio);
	blk_close(v->parent);
	vhdx_free_bits(v);
	vhdx_free_bat(v);
	vhdx_patches_free(&v->patches);
	runs_free(&v->regions);
	runs_free(&v->ready);
	runs_free(&v->holes);
	runs_free(&v->limbo);
	runs_free(&v->settling);
	pthread_cond_destroy(&v->work);
	pthread_mutex_destroy(&v->lock);
	flight_exit(&v->flight);
	free(v->name);
	free(v);
}

static int get_going(struct vhdx *v, unsigned flags, struct err *err)
{
	v->blk.ops = &vhdx_blk_ops;
	v->blk.read_only = flags & DISK_READ_ONLY;
	v->blk.can_unmap = !v->fixed;
	return v->blk.read_only ? 0 : prepare_writing(v, err);
}

/* INSPECT: no parent is looked for. */
static int open_any(struct aio *aio, const char *name, unsigned flags, bool inspect,
		    const struct descent *from, struct vhdx **ret_v, struct err *err)
{
	struct vhdx *v = new_vhdx(aio, name);
	int rc;

	if (v == NULL) {
		aio_close(aio);
		return err_set(err, -ENOMEM, "%s: no memory", name);
	}
	rc = load_all(v, flags, err);
	if (rc == 0 && v->has_parent && !inspect)
		rc = vhdx_find_parent(v, flags, from, err);
	if (rc == 0)
		rc = get_going(v, flags, err);
	if (rc < 0) {
		vhdx_free(v);
		return rc;
	}
	*ret_v = v;
	return 0;
}

int vhdx_open_on(struct aio *aio, const char *name, unsigned flags, struct blk *parent,
		 struct blk **ret_b, struct err *err)
{
	struct vhdx *v = new_vhdx(aio, name);
	int rc;

	if (v == NULL) {
		aio_close(aio);
		blk_close(parent);
		return err_set(err, -ENOMEM, "%s: no memory", name);
	}
	v->parent = parent;
	rc = load_all(v, flags, err);
	if (rc == 0 && v->has_parent != (parent != NULL))
		rc = err_set(err, -EINVAL, "%s: a parent is %s", name,
			     parent != NULL ? "given" : "missing");
	if (rc == 0 && parent != NULL)
		rc = vhdx_check_parent(v, parent, err);
	if (rc == 0)
		rc = get_going(v, flags, err);
	if (rc < 0)
		vhdx_free(v);
	else
		*ret_b = &v->blk;
	return rc;
}

int vhdx_open(struct aio *aio, const char *name, unsigned flags, const struct descent *from,
	      struct blk **ret_b, struct err *err)
{
	struct vhdx *v;
	int rc = open_any(aio, name, flags, false, from, &v, err);

	if (rc == 0)
		*ret_b = &v->blk;
	return rc;
}

int vhdx_inspect(struct aio *aio, const char *name, struct disk_info *ret_info, struct err *err)
{
	struct vhdx *v;
	int rc = open_any(aio, name, DISK_READ_ONLY, true, NULL, &v, err);

	if (rc < 0)
		return rc;
	*ret_info = (struct disk_info){
		.kind = DISK_VHDX,
		.size = v->blk.size,
		.file_size = v->file_size,
		.block_size = v->block_size,
		.logical = v->blk.logical,
		.physical = v->blk.physical,
		.fixed = v->fixed,
		.has_parent = v->has_parent,
		.log_dirty = v->log_dirty,
		.blocks = v->nr_blocks,
		.present = v->present,
		.disk_id = v->blk.disk_id,
		.data_write_guid = v->hdr.data_write,
		.log_length = v->log_len,
	};
	memcpy(ret_info->creator, v->creator, sizeof(ret_info->creator));
	if (v->has_parent)
		vhdx_parent_name(v, ret_info->parent, sizeof(ret_info->parent));
	vhdx_free(v);
	return 0;
}
