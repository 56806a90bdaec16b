/*
 * import.h - another disk's content as a new image of any format
 */
#ifndef DISK_IMPORT_H
#define DISK_IMPORT_H

#include "disk/disk_priv.h"

struct import_to {
	uint64_t size;
	uint32_t logical;
	const void *conf;		/* for FORMAT */
	/* Writes an empty image onto an empty file. */
	int (*format)(struct aio *a, const void *conf, struct err *err);
	/* Opens it for writing; takes A over, also on failure. */
	int (*open)(struct aio *a, const char *name, struct blk **ret_b, struct err *err);
};

/* PATH appears when all of it is durable; -EEXIST rather than overwriting. */
MUST_CHECK int import_disk(const char *path, const struct import_to *to, struct blk *src,
			   void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
			   struct err *err);

#endif
