/*
 * vhd_parent.c - finds the disk that a differencing VHD was made on
 *
 * A child names its parent several times: up to eight locators (relative and
 * absolute paths as Windows writes them, URLs as Mac OS does) and a name in
 * the header.  They are tried in the order of what survives a move: relative
 * paths first, absolute ones, then the bare name beside the child.  Whatever
 * was found must have the unique id that the child remembers and its size.
 *
 * A name in an image is a stranger's: it is followed only to files beneath
 * the folder that the user allowed, links resolved.
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
#include "disk/utf16.h"
#include "disk/vhd.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_TEXT 8192u

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
	uint8_t buf[MAX_TEXT];
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

void vhd_parent_name(struct vhd *v, char *buf, size_t cap)
{
	char *text = malloc(MAX_TEXT);
	bool found = false;

	for (unsigned i = 0; text != NULL && i < ARRAY_LEN(codes) && !found; i++) {
		const struct vhd_locator *l = locator(v, codes[i].code);

		found = l != NULL && read_text(v, l, codes[i].form, text, MAX_TEXT) == 0;
	}
	if (text != NULL && !found)
		found = utf16_read((const uint8_t *)v->head.parent_name,
				   sizeof(v->head.parent_name), true, text, MAX_TEXT) == 0 &&
			text[0] != '\0';
	snprintf(buf, cap, "%s", found ? text : "(no name)");
	free(text);
}

/* Separators as ours, no drive letter; in place. */
static void to_path(char *s)
{
	for (char *p = s; *p != '\0'; p++)
		if (*p == '\\')
			*p = '/';
	if (((s[0] | 32) >= 'a' && (s[0] | 32) <= 'z') && s[1] == ':')
		memmove(s, s + 2, strlen(s + 2) + 1);
}

/* ---- files -------------------------------------------------------------------- */

struct search {
	struct vhd *v;
	unsigned flags;
	const struct descent *from;
	char folder[PATH_MAX];		/* the child's */
	char outside[PATH_MAX];		/* there is a file, but not where it may be */
	char text[MAX_TEXT];
	struct err found;		/* what was wrong with the first file that was found */
	int rc;
};

static bool beneath(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	return strcmp(folder, "/") == 0 || (strncmp(path, folder, n) == 0 && path[n] == '/');
}

/* 0: it is v->parent now.  Else the next name is to be tried. */
static int try_path(struct search *s, const char *path)
{
	char *real = realpath(path, NULL);
	struct blk *b;
	struct err err;
	int rc;

	if (real == NULL)
		return -ENOENT;
	if (!beneath(s->from->folder, real)) {
		snprintf(s->outside, sizeof(s->outside), "%s", real);
		free(real);
		return -EACCES;
	}
	rc = disk_open_parent(real, s->flags, s->from, &b, &err);
	if (rc == 0) {
		rc = vhd_check_parent(s->v, b, &err);
		if (rc < 0)
			blk_close(b);
		else
			s->v->parent = b;
	}
	if (rc < 0 && s->rc == 0) {
		s->rc = rc;
		s->found = err;
	}
	free(real);
	return rc;
}

/* NAME is relative to the child's folder, or absolute. */
static int try_name(struct search *s, char *name)
{
	char *path;
	int rc;

	to_path(name);
	if (name[0] == '\0')
		return -ENOENT;
	if (name[0] == '/')
		return try_path(s, name);
	if (asprintf(&path, "%s/%s", s->folder, name) < 0)
		return -ENOMEM;
	rc = try_path(s, path);
	free(path);
	return rc;
}

/* The last part of NAME beside the child, then in any case of letters. */
static int try_beside(struct search *s, char *name)
{
	struct dirent *e;
	char *base;
	DIR *d;
	int rc;

	to_path(name);
	base = strrchr(name, '/');
	base = base == NULL ? name : base + 1;
	if (base[0] == '\0' || strcmp(base, "..") == 0 || strcmp(base, ".") == 0)
		return -ENOENT;
	rc = try_name(s, base);
	d = rc == 0 ? NULL : opendir(s->folder);
	while (d != NULL && rc < 0 && (e = readdir(d)) != NULL)
		if (strcasecmp(e->d_name, base) == 0 && strcmp(e->d_name, base) != 0)
			rc = try_name(s, e->d_name);
	if (d != NULL)
		closedir(d);
	return rc;
}

static int try_all(struct search *s)
{
	struct vhd *v = s->v;

	for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
		const struct vhd_locator *l = locator(v, codes[i].code);

		if (l != NULL && read_text(v, l, codes[i].form, s->text, MAX_TEXT) == 0 &&
		    try_name(s, s->text) == 0)
			return 0;
	}
	if (utf16_read((const uint8_t *)v->head.parent_name, sizeof(v->head.parent_name), true,
		       s->text, MAX_TEXT) == 0 && try_beside(s, s->text) == 0)
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
		const struct vhd_locator *l = locator(v, codes[i].code);

		if (l != NULL && read_text(v, l, codes[i].form, s->text, MAX_TEXT) == 0 &&
		    try_beside(s, s->text) == 0)
			return 0;
	}
	return -ENOENT;
}

static int not_found(struct search *s, struct err *err)
{
	struct vhd *v = s->v;
	char name[256];

	if (s->rc < 0)
		return err_set(err, s->rc, "%s: its parent %s", v->name, s->found.msg);
	if (s->outside[0] != '\0')
		return err_set(err, -EACCES, "%s: found its parent %s outside of %s, expected it in"
			       " there or another folder to be allowed", v->name, s->outside,
			       s->from->folder);
	vhd_parent_name(v, name, sizeof(name));
	return err_set(err, -ENOENT, "%s: its parent \"%s\" was not found beneath %s", v->name,
		       name, s->from->folder);
}

int vhd_find_parent(struct vhd *v, unsigned flags, const struct descent *from, struct err *err)
{
	struct search *s = new0(struct search);
	char *real, *slash;
	int rc;

	if (s == NULL)
		return err_set(err, -ENOMEM, "%s: no memory", v->name);
	s->v = v;
	s->flags = flags & DISK_NO_URING;
	s->from = from;
	real = realpath(v->name, NULL);
	if (real == NULL) {
		rc = err_set(err, -errno, "%s: %s", v->name, strerror(errno));
	} else {
		slash = strrchr(real, '/');
		*slash = '\0';
		snprintf(s->folder, sizeof(s->folder), "%s", real);
		rc = try_all(s);
		if (rc < 0)
			rc = not_found(s, err);
	}
	free(real);
	free(s);
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
