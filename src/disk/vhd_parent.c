/*
 * vhd_parent.c - finds the disk that a differencing VHD was made on
 *
 * A child names its parent several times: up to eight locators (relative and
 * absolute paths as Windows writes them, URLs as Mac OS does) and a name in
 * the header.  Relative paths come first: they survive a move.  Whatever is
 * found must have the unique id that the child remembers and its size.
 *
 * The child also remembers when its parent was last changed.  Windows writes
 * 0 there now, and copying a file changes it: a difference is worth a
 * warning, no refusal.
 *
 * Spec     Virtual Hard Disk Image Format Specification 1.0
 * Missing  the alias records of Mac OS (code "Mac ")
 * Lock     none: opening is one thread
 */
#include "base/log.h"
#include "disk/parent.h"
#include "disk/utf16.h"
#include "disk/vhd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum form { WIDE, ANSI, URL };

/* In the order in which they are tried. */
static const struct code {
	char code[5];
	enum form form;
} codes[] = {
	{ "W2ru", WIDE }, { "Wi2r", ANSI }, { "MacX", URL }, { "W2ku", WIDE }, { "Wi2k", ANSI },
};

/* ---- names -------------------------------------------------------------------- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* file://host/path or file://./path, %20 and all; in place. */
static int from_url(char *s)
{
	char *in = s, *out = s;

	if (strncmp(s, "file://", 7) != 0)
		return -EINVAL;
	in += 7;
	if (strncmp(in, "localhost/", 10) == 0)
		in += 9;
	while (*in != '\0') {
		int c = (uint8_t)*in++;

		if (c == '%' && hex(in[0]) >= 0 && hex(in[1]) >= 0) {
			c = hex(in[0]) << 4 | hex(in[1]);
			in += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return -EINVAL;
		*out++ = (char)c;
	}
	*out = '\0';
	return 0;
}

/* The text of a locator in UTF-8, still with its backslashes. */
static int read_text(struct vhd *v, const struct vhd_locator *l, enum form form, char *text,
		     size_t cap)
{
	uint64_t at = be64_get(l->offset), len = be32_get(l->length);
	uint8_t buf[PARENT_MAX_NAME];
	int rc;

	if (len == 0 || len > sizeof(buf) || len >= cap || at > v->file_size ||
	    len > v->file_size - at)
		return -EINVAL;
	rc = aio_read_wait(v->aio, at, buf, len);
	if (rc < 0)
		return rc;
	if (form == WIDE)
		return utf16_read(buf, len, false, text, cap);
	for (size_t i = 0; i < len && buf[i] != 0; i++)
		if (buf[i] < 0x20 || buf[i] >= 0x7f)
			return -EINVAL;
	memcpy(text, buf, len);
	text[len] = '\0';
	return form == URL ? from_url(text) : 0;
}

static const struct vhd_locator *locator(const struct vhd *v, const char *code)
{
	for (unsigned i = 0; i < VHD_LOCATORS; i++)
		if (memcmp(v->head.loc[i].code, code, 4) == 0)
			return &v->head.loc[i];
	return NULL;
}

/* All names; what cannot be read is no name. */
static int gather(struct vhd *v, struct parent_search *s)
{
	char *text = malloc(PARENT_MAX_NAME);
	int rc = text == NULL ? -ENOMEM : 0;

	for (unsigned i = 0; i < ARRAY_LEN(codes) && rc == 0; i++) {
		const struct vhd_locator *l = locator(v, codes[i].code);

		if (l != NULL && read_text(v, l, codes[i].form, text, PARENT_MAX_NAME) == 0)
			rc = parent_add_name(s, text);
	}
	if (rc == 0 && utf16_read((const uint8_t *)v->head.parent_name,
				  sizeof(v->head.parent_name), true, text, PARENT_MAX_NAME) == 0)
		rc = parent_add_name(s, text);
	free(text);
	return rc;
}

void vhd_parent_name(struct vhd *v, char *buf, size_t cap)
{
	struct parent_search s = { .nr_names = 0 };
	int rc = gather(v, &s);

	snprintf(buf, cap, "%s", rc < 0 || s.nr_names == 0 ? "(no name)" : s.names[0]);
	parent_free_names(&s);
}

static int check_found(const void *arg, const struct blk *parent, struct err *err)
{
	return vhd_check_parent(arg, parent, err);
}

int vhd_find_parent(struct vhd *v, unsigned flags, const struct descent *from, struct err *err)
{
	struct parent_search s = {
		.child = v->name, .from = from, .kind = DISK_VHD, .flags = flags & DISK_NO_URING,
		.check = check_found, .arg = v,
	};
	int rc = gather(v, &s);

	if (rc < 0)
		err_set(err, rc, "%s: no memory", v->name);
	else
		rc = parent_open(&s, &v->parent, err);
	parent_free_names(&s);
	return rc;
}

/* ---- is it the one? -------------------------------------------------------------- */

static void compare_times(const struct vhd *v, const struct vhd *p)
{
	uint32_t then = be32_get(v->head.parent_time);
	struct stat st;

	if (then == 0 || p->aio->fd < 0 || fstat(p->aio->fd, &st) < 0 ||
	    (uint64_t)st.st_mtime == (uint64_t)then + VHD_EPOCH)
		return;
	log_warn("disk", "%s: its parent %s was changed or copied after it was made: if it was"
		 " written to, this disk is damaged", v->name, p->name);
}

int vhd_check_parent(const struct vhd *v, const struct blk *parent, struct err *err)
{
	const struct vhd *p = CONTAINER_OF(parent, const struct vhd, blk);
	char found[GUID_TEXT_LEN + 1], expected[GUID_TEXT_LEN + 1];

	BUG_IF(parent->ops != &vhd_blk_ops);
	if (!guid_eq(&p->foot.id, &v->head.parent_id)) {
		guid_format(&p->foot.id, found);
		guid_format(&v->head.parent_id, expected);
		return err_set(err, -ESTALE, "%s: found id %s, expected %s: it is another disk",
			       p->name, found, expected);
	}
	if (parent->size != v->blk.size)
		return err_set(err, -EINVAL, "%s: found a size of %llu, expected the %llu of its"
			       " child", p->name, (unsigned long long)parent->size,
			       (unsigned long long)v->blk.size);
	compare_times(v, p);
	return 0;
}
