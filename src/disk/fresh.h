/*
 * fresh.h - a file that appears whole or not at all
 */
#ifndef DISK_FRESH_H
#define DISK_FRESH_H

#include "base/err.h"

struct fresh {
	int fd;
	char dir[4096];
	char name[4096];		/* a temporary name, or empty: the file has none yet */
};

/* -EEXIST where PATH is taken already. */
MUST_CHECK int fresh_open(struct fresh *f, const char *path, struct err *err);
/* Syncs, names it PATH (-EEXIST if somebody took that meanwhile), syncs the folder; closes. */
MUST_CHECK int fresh_publish(struct fresh *f, const char *path, struct err *err);
void fresh_discard(struct fresh *f);

#endif
