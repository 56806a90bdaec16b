/*
 * disk.h - image files as block devices
 *
 * Opens raw, ISO, VHD and VHDX images (by content, not by name) behind
 * dev/blk.h.  I/O is asynchronous by io_uring, or by a thread pool where the
 * host denies it.  An image open for writing is locked against every other
 * open, and so is every parent of one that is open against writers.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include "base/err.h"
#include "dev/blk.h"

enum disk_kind { DISK_RAW, DISK_ISO, DISK_VHDX, DISK_VHD };

enum {
	DISK_READ_ONLY = 1,	/* never writes a byte; a dirty log is replayed in memory */
	DISK_NO_URING = 2,	/* thread pool, for tests and denied hosts */
	DISK_RAW_OK = 4,	/* an unknown first sector is a raw disk, not an error */
	DISK_NO_VHD = 8,	/* for a Generation 2 machine: it takes no VHD */
};

struct disk_info {
	enum disk_kind kind;
	uint64_t size, file_size;	/* bytes */
	uint32_t block_size, logical, physical;
	bool fixed, has_parent, log_dirty;
	uint64_t blocks, present;
	struct guid disk_id, data_write_guid;
	char creator[128];
	uint64_t log_length;
	struct guid parent_id;
	char parent[512];		/* the best of the names that the image has for it */
	struct {
		unsigned cylinders, heads, sectors;
		uint64_t made;		/* seconds since 1970 */
		bool saved_state, footer_bad, copy_bad;
	} vhd;
};

/* One sentence in *err that names file, finding and expectation.  -EBUSY when locked. */
MUST_CHECK int disk_open(const char *path, unsigned flags, struct blk **ret_b, struct err *err);
/* Parents of a differencing disk may lie beneath the folder PARENTS; NULL: beneath its own. */
MUST_CHECK int disk_open_under(const char *path, unsigned flags, const char *parents,
			       struct blk **ret_b, struct err *err);
MUST_CHECK int disk_inspect(const char *path, struct disk_info *ret_info, struct err *err);

struct vhdx_create {
	uint64_t size;			/* bytes; 3 MiB .. 64 TiB */
	uint32_t block_size;		/* 0 = 32 MiB dynamic, 2 MiB fixed and differencing */
	uint32_t logical, physical;	/* 0 = 512, 4096 */
	bool fixed;
	/* Of a differencing disk: a VHDX, which says what size and sectors are, and the id. */
	const char *parent;
	struct guid disk_id;		/* zero = random */
};

/* A new file; -EEXIST rather than overwriting.  No half-made file is left behind. */
MUST_CHECK int vhdx_create(const char *path, const struct vhdx_create *conf, struct err *err);

enum vhd_kind { VHD_MAKE_DYNAMIC, VHD_MAKE_FIXED, VHD_MAKE_DIFFERENCING };

struct vhd_create {
	enum vhd_kind kind;
	uint64_t size;			/* bytes; 3 MiB .. 2040 GiB; 0 for differencing: the parent's */
	uint32_t block_size;		/* 0 = 2 MiB; or 512 KiB */
	const char *parent;		/* of a differencing disk: a VHD */
	struct guid disk_id;		/* zero = random */
};

MUST_CHECK int vhd_create(const char *path, const struct vhd_create *conf, struct err *err);
MUST_CHECK int vhd_import(const char *path, const struct vhd_create *conf, struct blk *src,
			  void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
			  struct err *err);

/* Copies all nonzero content of SRC into a new VHDX; progress (may be NULL) gets bytes done. */
MUST_CHECK int vhdx_import(const char *path, const struct vhdx_create *conf, struct blk *src,
			   void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
			   struct err *err);

#endif
