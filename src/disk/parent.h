/*
 * parent.h - finds the disk that a differencing disk was made on
 */
#ifndef DISK_PARENT_H
#define DISK_PARENT_H

#include "disk/disk_priv.h"

#define PARENT_MAX_NAMES 8
#define PARENT_MAX_NAME 8192u

struct parent_search {
	const char *child;		/* its path */
	const struct descent *from;
	enum disk_kind kind;		/* of the child, and so of the parent */
	unsigned flags;
	/* What the child calls it, in the order to try; paths, or only their last parts, of any system. */
	char *names[PARENT_MAX_NAMES];	/* [owned] */
	unsigned nr_names;
	/* Is PARENT the one?  0 or -errno with a sentence that begins with the parent's name. */
	int (*check)(const void *arg, const struct blk *parent, struct err *err);
	const void *arg;
};

/* A copy of NAME joins the search; more than there is room for are ignored.  -ENOMEM. */
MUST_CHECK int parent_add_name(struct parent_search *s, const char *name);
void parent_free_names(struct parent_search *s);
MUST_CHECK int parent_open(struct parent_search *s, struct blk **ret_b, struct err *err);

/* The way from FOLDER to PATH, both real: ./x, or ../../y/x.  False: too long. */
bool parent_way_between(const char *folder, const char *path, char *out, size_t cap);
/* From CHILD's folder to the real path PARENT; neither is CAP bytes or longer. */
MUST_CHECK int parent_way(const char *child, const char *parent, char *relative, size_t cap,
			  struct err *err);

#endif
