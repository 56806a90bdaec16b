/*
 * parent.c - finds the disk that a differencing disk was made on
 *
 * A child names its parent several times, as paths of the system it was made
 * on.  They are tried as they are, from the child's folder, and then each
 * one's last part beside the child, in any case of letters: so a family that
 * moved together is found, from Windows too.
 *
 * A name in an image is a stranger's: it is followed only to files beneath
 * the folder that the user allowed, links resolved.  What was found must be
 * the one that the child was made on.
 *
 * Lock     none: opening is one thread
 */
#include "disk/parent.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hunt {
	struct parent_search *s;
	struct blk *b;			/* found */
	char folder[PATH_MAX];		/* the child's */
	char outside[PATH_MAX];		/* there is a file, but not where it may be */
	char name[PARENT_MAX_NAME];
	struct err found;		/* what was wrong with the first file that was found */
	int rc;
};

int parent_add_name(struct parent_search *s, const char *name)
{
	if (s->nr_names == PARENT_MAX_NAMES || name[0] == '\0')
		return 0;
	s->names[s->nr_names] = strdup(name);
	if (s->names[s->nr_names] == NULL)
		return -ENOMEM;
	s->nr_names++;
	return 0;
}

void parent_free_names(struct parent_search *s)
{
	while (s->nr_names > 0)
		free(s->names[--s->nr_names]);
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

static bool beneath(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	return strcmp(folder, "/") == 0 || (strncmp(path, folder, n) == 0 && path[n] == '/');
}

/* 0: it is h->b now.  Else the next name is to be tried. */
static int try_path(struct hunt *h, const char *path)
{
	char *real = realpath(path, NULL);
	struct blk *b;
	struct err err;
	int rc;

	if (real == NULL)
		return -ENOENT;
	if (!beneath(h->s->from->folder, real)) {
		snprintf(h->outside, sizeof(h->outside), "%s", real);
		free(real);
		return -EACCES;
	}
	rc = disk_open_parent(real, h->s->kind, h->s->flags, h->s->from, &b, &err);
	if (rc == 0) {
		rc = h->s->check(h->s->arg, b, &err);
		if (rc < 0)
			blk_close(b);
		else
			h->b = b;
	}
	if (rc < 0 && h->rc == 0) {
		h->rc = rc;
		h->found = err;
	}
	free(real);
	return rc;
}

/* NAME is relative to the child's folder, or absolute. */
static int try_name(struct hunt *h, char *name)
{
	char *path;
	int rc;

	to_path(name);
	if (name[0] == '\0')
		return -ENOENT;
	if (name[0] == '/')
		return try_path(h, name);
	if (asprintf(&path, "%s/%s", h->folder, name) < 0)
		return -ENOMEM;
	rc = try_path(h, path);
	free(path);
	return rc;
}

/* The last part of NAME beside the child, then in any case of letters. */
static int try_beside(struct hunt *h, char *name)
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
	rc = try_name(h, base);
	d = rc == 0 ? NULL : opendir(h->folder);
	while (d != NULL && rc < 0 && (e = readdir(d)) != NULL)
		if (strcasecmp(e->d_name, base) == 0 && strcmp(e->d_name, base) != 0)
			rc = try_name(h, e->d_name);
	if (d != NULL)
		closedir(d);
	return rc;
}

static int try_all(struct hunt *h)
{
	const struct parent_search *s = h->s;

	for (unsigned i = 0; i < s->nr_names; i++) {
		snprintf(h->name, sizeof(h->name), "%s", s->names[i]);
		if (try_name(h, h->name) == 0)
			return 0;
	}
	for (unsigned i = 0; i < s->nr_names; i++) {
		snprintf(h->name, sizeof(h->name), "%s", s->names[i]);
		if (try_beside(h, h->name) == 0)
			return 0;
	}
	return -ENOENT;
}

static int not_found(struct hunt *h, struct err *err)
{
	const struct parent_search *s = h->s;

	if (h->rc < 0)
		return err_set(err, h->rc, "%s: its parent %s", s->child, h->found.msg);
	if (h->outside[0] != '\0')
		return err_set(err, -EACCES, "%s: found its parent %s outside of %s, expected it in"
			       " there or another folder to be allowed", s->child, h->outside,
			       s->from->folder);
	return err_set(err, -ENOENT, "%s: its parent \"%.200s\" was not found beneath %s", s->child,
		       s->nr_names == 0 ? "(no name)" : s->names[0], s->from->folder);
}

int parent_open(struct parent_search *s, struct blk **ret_b, struct err *err)
{
	struct hunt *h = new0(struct hunt);
	char *real, *slash;
	int rc;

	if (h == NULL)
		return err_set(err, -ENOMEM, "%s: no memory", s->child);
	h->s = s;
	real = realpath(s->child, NULL);
	if (real == NULL) {
		rc = err_set(err, -errno, "%s: %s", s->child, strerror(errno));
	} else {
		slash = strrchr(real, '/');
		*slash = '\0';
		snprintf(h->folder, sizeof(h->folder), "%s", real);
		rc = try_all(h);
		if (rc < 0)
			rc = not_found(h, err);
		else
			*ret_b = h->b;
	}
	free(real);
	free(h);
	return rc;
}

/* ---- for those who make children ---------------------------------------------------- */

bool parent_way_between(const char *folder, const char *path, char *out, size_t cap)
{
	size_t same = 0, n = 0;

	/* What both have in common, up to a separator. */
	for (size_t i = 0;; i++) {
		bool end = folder[i] == '\0' || folder[i] == '/';

		if (end && path[i] == '/')
			same = i;
		if (folder[i] == '\0' || folder[i] != path[i])
			break;
	}
	for (const char *p = folder + same; *p != '\0'; p++) {
		if (*p != '/' || p[1] == '\0')
			continue;
		if (n + 3 >= cap)
			return false;
		memcpy(out + n, "../", 3);
		n += 3;
	}
	return snprintf(out + n, cap - n, "%s%s", n == 0 ? "./" : "", path + same + 1) <
	       (int)(cap - n);
}

int parent_way(const char *child, const char *parent, char *relative, size_t cap, struct err *err)
{
	const char *slash = strrchr(child, '/');
	char folder[PATH_MAX], real[PATH_MAX];

	snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : slash == child ? 1 :
		 (int)(slash - child), slash == NULL ? "." : child);
	if (realpath(folder, real) == NULL)
		return err_set(err, -errno, "%s: %s", folder, strerror(errno));
	if (!parent_way_between(real, parent, relative, cap) || strlen(parent) >= cap)
		return err_set(err, -ENAMETOOLONG, "%s: too long a path for a parent", parent);
	return 0;
}
