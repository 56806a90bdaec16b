/*
 * vhdx_parent.c - what a differencing VHDX says of its parent
 *
 * The parent locator is a list of keys and values in UTF-16.  The parent is
 * known by its DataWriteGuid, which changes with the first write to it: a
 * child of a disk that was written to since is refused, because it would read
 * as a mixture.  parent_linkage2 is a second value that is as good.
 *
 *	header		type GUID, 2 bytes of zero, the number of entries
 *	entry		u32 key offset, u32 value offset, u16 key length, u16 value length
 *	offsets		from the locator's start; lengths in bytes
 *
 * Spec     [MS-VHDX] 2.6.2.6
 * Lock     none: opening is one thread
 */
#include "disk/parent.h"
#include "disk/utf16.h"
#include "disk/vhdx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 20u
#define ENTRY 12u
#define MAX_ENTRIES 64u
#define ULL(x) ((unsigned long long)(x))

struct locator {
	const uint8_t *p;
	uint32_t len, count;
};

static int read_locator(struct vhdx *v, uint8_t **ret_buf, struct locator *ret_l, struct err *err)
{
	static const struct guid type = VHDX_LOCATOR_TYPE_GUID;
	uint8_t *buf;
	int rc;

	if (v->locator_len < HEADER)
		return err_set(err, -EBADMSG, "%s: parent locator: found %u bytes, expected one of a"
			       " disk that has a parent", v->name, v->locator_len);
	buf = malloc(v->locator_len);
	if (buf == NULL)
		return err_set(err, -ENOMEM, "%s: no memory", v->name);
	rc = vhdx_read_meta(v, v->meta_off + v->locator_off, buf, v->locator_len);
	if (rc < 0)
		err_set(err, rc, "%s: parent locator: %s", v->name, strerror(-rc));
	else if (memcmp(buf, &type, sizeof(type)) != 0)
		rc = err_set(err, -ENOTSUP, "%s: parent locator: found one of an unknown type",
			     v->name);
	*ret_l = (struct locator){ buf, v->locator_len, ld16(buf + 18) };
	if (rc == 0 && (ret_l->count > MAX_ENTRIES ||
			HEADER + ret_l->count * ENTRY > v->locator_len))
		rc = err_set(err, -EBADMSG, "%s: parent locator: found %u entries in %u bytes",
			     v->name, ret_l->count, v->locator_len);
	if (rc < 0)
		free(buf);
	else
		*ret_buf = buf;
	return rc;
}

static bool read_text(const struct locator *l, uint32_t off, uint32_t len, char *text, size_t cap)
{
	return len != 0 && off <= l->len && len <= l->len - off &&
	       utf16_read(l->p + off, len, false, text, cap) == 0;
}

/* The value of KEY; false: there is none that is text. */
static bool find(const struct locator *l, const char *key, char *text, size_t cap)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const uint8_t *e = l->p + HEADER + i * ENTRY;
		char name[64];

		if (read_text(l, ld32(e), ld16(e + 8), name, sizeof(name)) &&
		    strcmp(name, key) == 0)
			return read_text(l, ld32(e + 4), ld16(e + 10), text, cap);
	}
	return false;
}

static int gather(const struct locator *l, struct parent_search *s)
{
	static const char *const keys[] = {
		"relative_path", "absolute_win32_path", "volume_path",
	};
	char *text = malloc(PARENT_MAX_NAME);
	int rc = text == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < ARRAY_LEN(keys) && rc == 0; i++)
		if (find(l, keys[i], text, PARENT_MAX_NAME))
			rc = parent_add_name(s, text);
	free(text);
	return rc;
}

/* ---- is it the one? -------------------------------------------------------------- */

struct wanted {
	const struct vhdx *v;
	char linkage[2][GUID_TEXT_LEN + 3];	/* {GUID} as the locator has it; or empty */
};

static int read_linkage(struct vhdx *v, const struct locator *l, struct wanted *w,
			struct err *err)
{
	*w = (struct wanted){ .v = v };
	if (!find(l, "parent_linkage", w->linkage[0], sizeof(w->linkage[0])))
		return err_set(err, -EBADMSG, "%s: parent locator: found no parent_linkage",
			       v->name);
	if (!find(l, "parent_linkage2", w->linkage[1], sizeof(w->linkage[1])))
		w->linkage[1][0] = '\0';
	return 0;
}

static bool links(const char *linkage, const char *guid)
{
	return linkage[0] == '{' && strlen(linkage) == GUID_TEXT_LEN + 2 &&
	       strncasecmp(linkage + 1, guid, GUID_TEXT_LEN) == 0;
}

static int check_found(const void *arg, const struct blk *parent, struct err *err)
{
	const struct vhdx *p = CONTAINER_OF(parent, const struct vhdx, blk);
	const struct wanted *w = arg;
	char guid[GUID_TEXT_LEN + 1];

	BUG_IF(parent->ops != &vhdx_blk_ops);
	guid_format(&p->hdr.data_write, guid);
	/* The second one is all zeros where it means nothing; no disk has that. */
	if (guid_is_zero(&p->hdr.data_write) ||
	    (!links(w->linkage[0], guid) && !links(w->linkage[1], guid)))
		return err_set(err, -ESTALE, "%s: found data write id %s, expected %.38s: it is another"
			       " disk, or was written to after its child was made", p->name, guid,
			       w->linkage[0]);
	if (parent->logical != w->v->blk.logical)
		return err_set(err, -EINVAL, "%s: found sectors of %u bytes, expected the %u of its"
			       " child", p->name, parent->logical, w->v->blk.logical);
	if (parent->size != w->v->blk.size)
		return err_set(err, -EINVAL, "%s: found a size of %llu, expected the %llu of its"
			       " child", p->name, ULL(parent->size), ULL(w->v->blk.size));
	return 0;
}

int vhdx_check_parent(struct vhdx *v, const struct blk *parent, struct err *err)
{
	struct wanted w;
	struct locator l;
	uint8_t *buf;
	int rc = read_locator(v, &buf, &l, err);

	if (rc < 0)
		return rc;
	rc = read_linkage(v, &l, &w, err);
	free(buf);
	return rc < 0 ? rc : check_found(&w, parent, err);
}

int vhdx_find_parent(struct vhdx *v, unsigned flags, const struct descent *from, struct err *err)
{
	struct wanted w;
	struct parent_search s = {
		.child = v->name, .from = from, .kind = DISK_VHDX,
		.flags = flags & DISK_NO_URING, .check = check_found, .arg = &w,
	};
	struct locator l;
	uint8_t *buf;
	int rc;

	if (from == NULL)
		return err_set(err, -ENOTSUP, "%s: found a differencing disk (it has a parent),"
			       " expected one without", v->name);
	rc = read_locator(v, &buf, &l, err);
	if (rc < 0)
		return rc;
	rc = read_linkage(v, &l, &w, err);
	if (rc == 0 && (rc = gather(&l, &s)) < 0)
		err_set(err, rc, "%s: no memory", v->name);
	if (rc == 0)
		rc = parent_open(&s, &v->parent, err);
	parent_free_names(&s);
	free(buf);
	return rc;
}

void vhdx_parent_name(struct vhdx *v, char *buf, size_t cap)
{
	struct parent_search s = { .nr_names = 0 };
	struct locator l;
	uint8_t *raw = NULL;

	snprintf(buf, cap, "(no name)");
	if (read_locator(v, &raw, &l, NULL) < 0)
		return;
	if (gather(&l, &s) == 0 && s.nr_names > 0)
		snprintf(buf, cap, "%s", s.names[0]);
	parent_free_names(&s);
	free(raw);
}
