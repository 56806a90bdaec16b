/*
 * disk_priv.h - what the formats share behind disk.h
 */
#ifndef DISK_DISK_PRIV_H
#define DISK_DISK_PRIV_H

#include "disk/aio.h"
#include "disk/disk.h"

#include <pthread.h>

/*
 * The requests of one disk that are between submit and done.  Counts them for
 * drain, and completes on the backend's thread what could be answered at once,
 * because a device may hold its lock across blk_submit.
 */
struct flight {
	struct aio *aio;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	uint64_t nr;
	struct blk_req *later, **later_tail;	/* answered, rc in priv[0] */
	bool kicked;
	struct aio_io kick;
};

void flight_init(struct flight *f, struct aio *aio);
void flight_exit(struct flight *f);
void flight_start(struct flight *f);
/* From a backend's thread. */
void flight_done(struct flight *f, struct blk_req *req, int rc);
/* From anywhere. */
void flight_later(struct flight *f, struct blk_req *req, int rc);
void flight_drain(struct flight *f);

/* 0, or why REQ cannot be: range, alignment, iovecs, a write to what is read-only. */
MUST_CHECK int disk_check(const struct blk *b, const struct blk_req *req);

/* The N bytes from SKIP on in REQ's iovecs: as iovecs in OUT (at least as many); their number. */
int disk_slice(const struct blk_req *req, uint64_t skip, uint64_t n, struct iovec *out);
/* Zeros there. */
void disk_zero_slice(const struct blk_req *req, uint64_t skip, uint64_t n);

/* Tells the user of B about a failure of the host. */
void disk_trouble(struct blk *b, int rc, const char *what);

enum xfer_kind {
	XFER_READ,
	XFER_WRITE,
	XFER_ZERO,		/* a hole where the host can, else zeros */
	XFER_ZERO_KEEP,		/* zeros, space stays allocated */
	XFER_DISCARD,		/* a hole where the host can, else nothing */
	XFER_SYNC,
};

/* One range of a host file moved, with the detours zeroing needs. */
struct xfer {
	struct aio_io io;
	struct aio *aio;
	enum xfer_kind kind;
	bool eof_zero;		/* READ: as in struct aio_io */
	uint64_t off, len;	/* ZERO: what is left */
	void (*done)(struct xfer *x, int rc);
};

/* The slice that starts SKIP bytes into IOV (READ and WRITE only). */
void xfer_start(struct xfer *x, const struct iovec *iov, int nr_iov, uint64_t skip);

/* A disk that is being opened, and above it those it is the parent of. */
struct descent {
	const char *folder;		/* a real path; all parents lie beneath it */
	const struct descent *child;
	uint64_t dev, ino;
	unsigned depth;
};

/* Take AIO over, also on failure.  B is the disk in it; NAME is for messages. */
MUST_CHECK int raw_open(struct aio *aio, const char *name, enum disk_kind kind, unsigned flags,
			struct blk **ret_b, struct err *err);
/* FROM says where parents may lie, and is not kept; NULL: nowhere. */
MUST_CHECK int vhdx_open(struct aio *aio, const char *name, unsigned flags,
			 const struct descent *from, struct blk **ret_b, struct err *err);
/* The same checks on an image opened read-only, a parent being no obstacle. */
MUST_CHECK int vhdx_inspect(struct aio *aio, const char *name, struct disk_info *ret_info,
			    struct err *err);

MUST_CHECK int vhd_open(struct aio *aio, const char *name, unsigned flags,
			const struct descent *from, struct blk **ret_b, struct err *err);
/* Looks for no parent. */
MUST_CHECK int vhd_inspect(struct aio *aio, const char *name, struct disk_info *ret_info,
			   struct err *err);
/* PATH, read-only, as the parent of CHILD, which is of KIND. */
MUST_CHECK int disk_open_parent(const char *path, enum disk_kind kind, unsigned flags,
				const struct descent *child, struct blk **ret_b, struct err *err);

/* Writes an empty image onto an empty file, not yet synced. */
MUST_CHECK int vhd_format(struct aio *aio, const struct vhd_create *conf, struct err *err);
MUST_CHECK int vhdx_format(struct aio *aio, const struct vhdx_create *conf, struct err *err);

#endif
