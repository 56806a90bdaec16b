/*
 * vhdx_log.c - finds the log's active sequence and replays it
 *
 * The log is a ring of 4 KiB sectors.  After a crash it holds the entries of
 * this session, of sessions long gone, and perhaps half of one entry.  What
 * counts is the chain of valid entries with consecutive sequence numbers that
 * ends highest, from the entry its last one names as its tail.
 *
 * An entry counts only if every sector in it has the signature its place
 * demands, so two valid entries never overlap and a hostile log costs no more
 * than one reading: a sector is a header, descriptors, or data, never two.
 *
 * A read-only open keeps the result as patches over the file; a writable one
 * writes them, and only after the rest of the image proved sound.
 *
 * Spec     [MS-VHDX] 2.3
 * Lock     none: opening is one thread, patches are constant afterwards
 */
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 4096u
#define WINDOW (256u * 1024u)

struct entry {
	uint32_t pos, len, tail, count;
	uint64_t seq, flushed, last;
	bool has_prev;
};

struct scan {
	struct vhdx *v;
	uint8_t *window;
	uint64_t window_at;		/* offset in the log, or UINT64_MAX */
	struct entry *e;
	size_t nr, cap;
	int rc;				/* of the last failed read */
};

/* The log sector at POS, or NULL and s->rc. */
static const uint8_t *sector(struct scan *s, uint64_t pos)
{
	uint64_t at = align_down(pos, WINDOW), n = min_u64(WINDOW, s->v->log_len - at);

	if (at != s->window_at) {
		s->window_at = UINT64_MAX;
		s->rc = aio_read_wait(s->v->aio, s->v->log_off + at, s->window, (size_t)n);
		if (s->rc < 0)
			return NULL;
		s->window_at = at;
	}
	return s->window + (pos - at);
}

static bool target_ok(const struct vhdx *v, uint64_t off, uint64_t len, uint64_t limit)
{
	uint64_t end;

	if (off % SECTOR != 0 || len % SECTOR != 0 || off < VHDX_REGIONS_1)
		return false;
	if (__builtin_add_overflow(off, len, &end) || end > limit)
		return false;
	return end <= v->log_off || off >= v->log_off + v->log_len;
}

/* One descriptor; counts its data sector. */
static bool desc_ok(const struct vhdx *v, const struct vhdx_log_desc *d, const struct entry *e,
		    uint64_t limit, uint32_t *nr_data)
{
	uint64_t off = le64_get(d->offset);

	if (le64_get(d->sequence) != e->seq)
		return false;
	if (memcmp(d->signature, "zero", 4) == 0)
		return target_ok(v, off, le64_get(d->leading), limit);
	if (memcmp(d->signature, "desc", 4) != 0)
		return false;
	++*nr_data;
	return target_ok(v, off, SECTOR, limit);
}

static bool data_ok(const uint8_t *p, uint64_t seq)
{
	struct vhdx_log_data d;

	memcpy(&d, p, sizeof(d));
	return memcmp(d.signature, "data", 4) == 0 && le32_get(d.sequence_high) == seq >> 32 &&
	       le32_get(d.sequence_low) == (uint32_t)seq;
}

static uint32_t desc_bytes(uint32_t count)
{
	return (uint32_t)align_up(sizeof(struct vhdx_log_entry) +
				  (uint64_t)count * sizeof(struct vhdx_log_desc), SECTOR);
}

/* The fields of an entry header that make sense alone. */
static bool header_ok(const struct vhdx *v, const struct vhdx_log_entry *g, uint32_t pos,
		      struct entry *e)
{
	if (memcmp(g->signature, "loge", 4) != 0 || !guid_eq(&g->log, &v->hdr.log))
		return false;
	*e = (struct entry){
		.pos = pos, .len = le32_get(g->length), .tail = le32_get(g->tail),
		.count = le32_get(g->count), .seq = le64_get(g->sequence),
		.flushed = le64_get(g->flushed_file), .last = le64_get(g->last_file),
	};
	if (e->len == 0 || e->len % SECTOR != 0 || e->len > v->log_len)
		return false;
	if (e->tail % SECTOR != 0 || e->tail >= v->log_len || e->seq == 0)
		return false;
	if (e->count > e->len / sizeof(struct vhdx_log_desc) || desc_bytes(e->count) > e->len)
		return false;
	return e->flushed <= VHDX_MAX_FILE && e->last <= VHDX_MAX_FILE;
}

/* Walks all sectors of the entry: structure first, checksum along with it. */
static bool entry_ok(struct scan *s, uint32_t pos, struct entry *e)
{
	const struct vhdx *v = s->v;
	uint32_t descs, nr_data = 0, done = 0, crc = 0;
	struct vhdx_log_entry head;
	uint64_t limit;

	for (uint32_t at = 0; at == 0 || at < e->len; at += SECTOR) {
		const uint8_t *p = sector(s, ((uint64_t)pos + at) % v->log_len);
		uint8_t copy[SECTOR];
		size_t i = 0;

		if (p == NULL)
			return false;
		memcpy(copy, p, SECTOR);
		if (at == 0) {
			memcpy(&head, copy, sizeof(head));
			if (!header_ok(v, &head, pos, e))
				return false;
			st32(copy + offsetof(struct vhdx_log_entry, checksum), 0);
			i = sizeof(head);
			descs = desc_bytes(e->count);
			limit = max_u64(e->last, v->file_size);
		}
		for (; at < descs && i < SECTOR && done < e->count;
		     i += sizeof(struct vhdx_log_desc), done++) {
			struct vhdx_log_desc d;

			memcpy(&d, copy + i, sizeof(d));
			if (!desc_ok(v, &d, e, limit, &nr_data))
				return false;
		}
		if (at >= descs && !data_ok(copy, e->seq))
			return false;
		crc = base_crc32c(crc, copy, SECTOR);
	}
	return crc == le32_get(head.checksum) && descs + (uint64_t)nr_data * SECTOR == e->len;
}

static int scan_all(struct scan *s)
{
	for (uint64_t pos = 0; pos < s->v->log_len; pos += SECTOR) {
		struct entry e;

		if (!entry_ok(s, (uint32_t)pos, &e)) {
			if (s->rc < 0)
				return s->rc;
			continue;
		}
		if (s->nr == s->cap) {
			size_t cap = s->cap * 2 + 16;
			struct entry *n = realloc(s->e, cap * sizeof(*n));

			if (n == NULL)
				return -ENOMEM;
			s->e = n;
			s->cap = cap;
		}
		s->e[s->nr++] = e;
	}
	return 0;
}

/* The entry that starts where E ends and carries the next number, or NULL. */
static struct entry *follower(const struct scan *s, const struct entry *e)
{
	uint32_t pos = (uint32_t)(((uint64_t)e->pos + e->len) % s->v->log_len);
	size_t lo = 0, hi = s->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->e[mid].pos < pos)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->nr || s->e[lo].pos != pos || s->e[lo].seq != e->seq + 1)
		return NULL;
	return &s->e[lo];
}

/* Chains do not meet (a follower has one predecessor), so this is linear. */
static const struct entry *best_tail(const struct scan *s)
{
	const struct entry *best = NULL;
	uint64_t best_seq = 0;

	for (size_t i = 0; i < s->nr; i++) {
		struct entry *n = follower(s, &s->e[i]);

		if (n != NULL)
			n->has_prev = true;
	}
	for (size_t i = 0; i < s->nr; i++) {
		const struct entry *head = &s->e[i], *n;

		if (head->has_prev)
			continue;
		while ((n = follower(s, head)) != NULL)
			head = n;
		for (n = &s->e[i]; n != NULL && n->pos != head->tail; n = follower(s, n))
			;
		if (n != NULL && head->seq > best_seq) {
			best = n;
			best_seq = head->seq;
		}
	}
	return best;
}

static int patch_add(struct patches *p, uint64_t off, uint64_t len, const struct vhdx_log_desc *d,
		     const uint8_t *data_sector)
{
	struct patch one = { .off = off, .len = len };

	if (len == 0)
		return 0;
	if (p->nr == p->cap) {
		size_t cap = p->cap * 2 + 16;
		struct patch *n = realloc(p->v, cap * sizeof(*n));

		if (n == NULL)
			return -ENOMEM;
		p->v = n;
		p->cap = cap;
	}
	if (d != NULL) {
		one.data = malloc(SECTOR);
		if (one.data == NULL)
			return -ENOMEM;
		memcpy(one.data, data_sector, SECTOR);
		memcpy(one.data, d->leading.b, 8);
		memcpy(one.data + SECTOR - 4, d->trailing.b, 4);
	}
	p->lo = p->nr == 0 ? off : min_u64(p->lo, off);
	p->hi = max_u64(p->hi, off + len);
	p->v[p->nr++] = one;
	return 0;
}

/* The entry is valid: only memory and the disk can still fail. */
static int entry_to_patches(struct scan *s, const struct entry *e)
{
	struct patches *p = &s->v->patches;
	uint32_t data_at = desc_bytes(e->count);

	p->flushed = max_u64(p->flushed, e->flushed);
	p->last = max_u64(p->last, e->last);
	for (uint32_t i = 0; i < e->count; i++) {
		uint64_t at = sizeof(struct vhdx_log_entry) + i * sizeof(struct vhdx_log_desc);
		const uint8_t *q = sector(s, (e->pos + align_down(at, SECTOR)) % s->v->log_len);
		struct vhdx_log_desc d;
		int rc;

		if (q == NULL)
			return s->rc;
		memcpy(&d, q + at % SECTOR, sizeof(d));
		if (memcmp(d.signature, "zero", 4) == 0) {
			rc = patch_add(p, le64_get(d.offset), le64_get(d.leading), NULL, NULL);
		} else {
			q = sector(s, ((uint64_t)e->pos + data_at) % s->v->log_len);
			data_at += SECTOR;
			if (q == NULL)
				return s->rc;
			rc = patch_add(p, le64_get(d.offset), SECTOR, &d, q);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int find(struct scan *s, struct err *err)
{
	const struct entry *e;
	int rc = scan_all(s);

	if (rc < 0)
		return err_set(err, rc, "%s: log: %s", s->v->name, strerror(-rc));
	e = best_tail(s);
	if (e == NULL)
		return err_set(err, -EBADMSG,
			       "%s: log: found no valid sequence of entries, expected one"
			       " because the header says that the log is in use",
			       s->v->name);
	for (; e != NULL && rc == 0; e = follower(s, e))
		rc = entry_to_patches(s, e);
	if (rc < 0)
		return err_set(err, rc, "%s: log: %s", s->v->name, strerror(-rc));
	if (s->v->file_size < s->v->patches.flushed)
		return err_set(err, -EBADMSG,
			       "%s: truncated: found %llu bytes, expected at least the %llu its"
			       " log vouches for",
			       s->v->name, (unsigned long long)s->v->file_size,
			       (unsigned long long)s->v->patches.flushed);
	s->v->log_dirty = true;
	return 0;
}

int vhdx_log_find(struct vhdx *v, struct err *err)
{
	struct scan s = { .v = v, .window_at = UINT64_MAX };
	int rc;

	if (guid_is_zero(&v->hdr.log))
		return 0;
	s.window = malloc(WINDOW);
	if (s.window == NULL)
		return err_set(err, -ENOMEM, "%s: no memory", v->name);
	rc = find(&s, err);
	free(s.window);
	free(s.e);
	return rc;
}

void vhdx_patches_free(struct patches *p)
{
	for (size_t i = 0; i < p->nr; i++)
		free(p->v[i].data);
	free(p->v);
	*p = (struct patches){ 0 };
}

/* Copies N bytes of SRC (or zeros) into the iovecs, SKIP bytes in. */
static void put(const struct iovec *iov, int nr_iov, uint64_t skip, const uint8_t *src, uint64_t n)
{
	for (int i = 0; i < nr_iov && n > 0; i++) {
		uint64_t part;

		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		part = min_u64(n, iov[i].iov_len - skip);
		if (src != NULL) {
			memcpy((uint8_t *)iov[i].iov_base + skip, src, (size_t)part);
			src += part;
		} else {
			memset((uint8_t *)iov[i].iov_base + skip, 0, (size_t)part);
		}
		n -= part;
		skip = 0;
	}
}

void vhdx_patch(const struct patches *p, uint64_t off, uint64_t len, const struct iovec *iov,
		int nr_iov, uint64_t skip)
{
	if (p->nr == 0 || off >= p->hi || off + len <= p->lo)
		return;
	for (size_t i = 0; i < p->nr; i++) {
		uint64_t a = max_u64(off, p->v[i].off);
		uint64_t b = min_u64(off + len, p->v[i].off + p->v[i].len);

		if (a < b)
			put(iov, nr_iov, skip + (a - off),
			    p->v[i].data == NULL ? NULL : p->v[i].data + (a - p->v[i].off), b - a);
	}
}

static int replay(struct vhdx *v)
{
	const struct patches *p = &v->patches;
	struct vhdx_header h = v->hdr;
	int rc = 0;

	if (v->file_size < p->last)
		rc = aio_truncate(v->aio, p->last);
	for (size_t i = 0; i < p->nr && rc == 0; i++)
		rc = p->v[i].data != NULL ?
			     aio_write_wait(v->aio, p->v[i].off, p->v[i].data, SECTOR) :
			     aio_zero_wait(v->aio, p->v[i].off, p->v[i].len, false);
	if (rc == 0)
		rc = aio_sync_wait(v->aio);
	if (rc < 0)
		return rc;
	/* Replay changes nothing the guest sees: DataWriteGuid stays, for the children's sake. */
	guid_random(&h.file_write);
	h.log = (struct guid){ { 0 } };
	rc = vhdx_header_update(v, &h);
	if (rc == 0) {
		v->file_size = max_u64(v->file_size, p->last);
		vhdx_patches_free(&v->patches);
	}
	return rc;
}

int vhdx_log_replay(struct vhdx *v, struct err *err)
{
	int rc = v->log_dirty ? replay(v) : 0;

	if (rc < 0)
		return err_set(err, rc, "%s: cannot replay the log: %s", v->name, strerror(-rc));
	return 0;
}
