/*
 * disk.c - opens an image for what its bytes say it is
 *
 * A name proves nothing; the first sectors do.  An image that is open for
 * writing is locked against every other open, a read-only one against
 * writers, with open-file-description locks on the whole file: they belong to
 * the descriptor, so they hold between threads of one process too, and the
 * kernel drops them when we are killed.  QEMU takes the same kind.
 *
 * A raw disk whose first sector nobody knows must be asked for by name
 * (DISK_RAW_OK): else a guest could write another format's signature there
 * and have us believe it at the next start.
 *
 * Lock     struct flight: its own, never held across done or submit
 */
#include "disk/disk_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ISO_MAGIC_OFF 0x8001u
#define PROBE_LEN (ISO_MAGIC_OFF + 5)

/* ---- requests in flight ---------------------------------------------------- */

void flight_init(struct flight *f, struct aio *aio)
{
	*f = (struct flight){ .aio = aio };
	f->later_tail = &f->later;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->idle, NULL);
}

void flight_exit(struct flight *f)
{
	BUG_IF(f->nr != 0);
	pthread_cond_destroy(&f->idle);
	pthread_mutex_destroy(&f->lock);
}

void flight_start(struct flight *f)
{
	pthread_mutex_lock(&f->lock);
	f->nr++;
	pthread_mutex_unlock(&f->lock);
}

void flight_done(struct flight *f, struct blk_req *req, int rc)
{
	req->done(req, rc);
	pthread_mutex_lock(&f->lock);
	if (--f->nr == 0)
		pthread_cond_broadcast(&f->idle);
	pthread_mutex_unlock(&f->lock);
}

/* The kick counts as in flight itself, so that nobody frees F under it. */
static void kick_done(struct aio_io *io, int rc)
{
	struct flight *f = io->ctx;

	(void)rc;
	for (;;) {
		struct blk_req *req, *next;

		pthread_mutex_lock(&f->lock);
		req = f->later;
		f->later = NULL;
		f->later_tail = &f->later;
		if (req == NULL) {
			f->kicked = false;
			if (--f->nr == 0)
				pthread_cond_broadcast(&f->idle);
			pthread_mutex_unlock(&f->lock);
			return;
		}
		pthread_mutex_unlock(&f->lock);
		for (; req != NULL; req = next) {
			next = req->next;
			flight_done(f, req, (int)(int64_t)req->priv[0]);
		}
	}
}

void flight_later(struct flight *f, struct blk_req *req, int rc)
{
	bool kick;

	req->priv[0] = (uint64_t)(int64_t)rc;
	req->next = NULL;
	pthread_mutex_lock(&f->lock);
	*f->later_tail = req;
	f->later_tail = &req->next;
	kick = !f->kicked;
	f->kicked = true;
	f->nr += kick;
	pthread_mutex_unlock(&f->lock);
	if (kick) {
		f->kick = (struct aio_io){ .op = AIO_NOP, .done = kick_done, .ctx = f };
		aio_submit(f->aio, &f->kick);
	}
}

void flight_drain(struct flight *f)
{
	pthread_mutex_lock(&f->lock);
	while (f->nr > 0)
		pthread_cond_wait(&f->idle, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

/* ---- requests -------------------------------------------------------------- */

int disk_check(const struct blk *b, const struct blk_req *req)
{
	uint64_t sum = 0;

	if (req->op == BLK_FLUSH)
		return 0;
	if (req->op != BLK_READ && b->read_only)
		return -EROFS;
	if (req->off > b->size || req->len > b->size - req->off)
		return -EINVAL;
	if (req->off % b->logical != 0 || req->len % b->logical != 0)
		return -EINVAL;
	if (req->op != BLK_READ && req->op != BLK_WRITE)
		return req->op == BLK_UNMAP || req->op == BLK_WRITE_ZEROES ? 0 : -EINVAL;
	for (int i = 0; i < req->nr_iov; i++)
		if (__builtin_add_overflow(sum, req->iov[i].iov_len, &sum))
			return -EINVAL;
	return sum == req->len ? 0 : -EINVAL;
}

int disk_slice(const struct blk_req *req, uint64_t skip, uint64_t n, struct iovec *out)
{
	int nr = 0;

	for (int i = 0; i < req->nr_iov && n > 0; i++) {
		uint64_t len = req->iov[i].iov_len, part;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		part = min_u64(n, len - skip);
		out[nr++] = (struct iovec){
			(uint8_t *)req->iov[i].iov_base + skip, (size_t)part,
		};
		n -= part;
		skip = 0;
	}
	return nr;
}

void disk_zero_slice(const struct blk_req *req, uint64_t skip, uint64_t n)
{
	for (int i = 0; i < req->nr_iov && n > 0; i++) {
		uint64_t len = req->iov[i].iov_len, part;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		part = min_u64(n, len - skip);
		memset((uint8_t *)req->iov[i].iov_base + skip, 0, (size_t)part);
		n -= part;
		skip = 0;
	}
}

void disk_trouble(struct blk *b, int rc, const char *what)
{
	if (b->trouble != NULL)
		b->trouble(b->trouble_arg, rc, what);
}

/* ---- opening --------------------------------------------------------------- */

#define A_VHD "a VHD, which a Generation 2 machine cannot use: convert it to VHDX"
#define OTHER(what) what " image, expected VHDX, VHD, ISO or raw: convert it to VHDX"

static const struct magic {
	uint32_t off;
	const char *bytes;
	uint32_t len;
	const char *what;	/* NULL: ours, see KIND */
	enum disk_kind kind;
} magics[] = {
	{ 0, "vhdxfile", 8, NULL, DISK_VHDX },
	{ ISO_MAGIC_OFF, "CD001", 5, NULL, DISK_ISO },
	{ 0, "conectix", 8, NULL, DISK_VHD },
	{ 0, "vhdsetv1", 8, "a VHD Set, expected the VHDX it names", 0 },
	{ 0, "QFI\xfb", 4, OTHER("a QCOW"), 0 },
	{ 0, "KDMV", 4, OTHER("a VMDK"), 0 },
	{ 0x40, "\x7f\x10\xda\xbe", 4, OTHER("a VDI"), 0 },
	{ 510, "\x55\xaa", 2, NULL, DISK_RAW },
};

static int refuse(const char *path, const char *what, struct err *err)
{
	return err_set(err, -ENOTSUP, "%s: found %s", path, what);
}

/* A fixed VHD has its signature only at the end; old ones are one byte short. */
static int ends_as_vhd(struct aio *a, uint64_t size, bool *ret_vhd)
{
	uint8_t foot[512];
	int rc;

	*ret_vhd = false;
	if (size < sizeof(foot))
		return 0;
	rc = aio_read_wait(a, size - sizeof(foot), foot, sizeof(foot));
	*ret_vhd = rc == 0 &&
		   (memcmp(foot, "conectix", 8) == 0 || memcmp(foot + 1, "conectix", 8) == 0);
	return rc;
}

static bool ends_with(const char *path, const char *what)
{
	size_t n = strlen(path), k = strlen(what);

	return n >= k && strcasecmp(path + n - k, what) == 0;
}

/*
 * A guest writes what it likes to the first sector of a fixed VHD, and to the
 * last bytes of a VHDX: where a file is both, its name decides.
 */
static int both(const char *path, enum disk_kind *ret_kind, struct err *err)
{
	if (ends_with(path, ".vhd") || ends_with(path, ".avhd"))
		*ret_kind = DISK_VHD;
	else if (ends_with(path, ".vhdx") || ends_with(path, ".avhdx"))
		*ret_kind = DISK_VHDX;
	else
		return refuse(path, "a VHDX's beginning and a VHD's end, expected a name in .vhd or"
			      " .vhdx to tell which it is", err);
	return 0;
}

static int kind_of(const uint8_t *head, bool vhd, const char *path, unsigned flags,
		   enum disk_kind *ret_kind, struct err *err)
{
	if (vhd && memcmp(head, "vhdxfile", 8) == 0)
		return both(path, ret_kind, err);
	*ret_kind = DISK_VHD;
	if (vhd)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
		const struct magic *m = &magics[i];

		if (memcmp(head + m->off, m->bytes, m->len) != 0)
			continue;
		if (m->what != NULL)
			return refuse(path, m->what, err);
		*ret_kind = m->kind;
		return 0;
	}
	*ret_kind = DISK_RAW;
	if (flags & DISK_RAW_OK)
		return 0;
	return err_set(err, -ENOTSUP, "%s: found an unknown first sector, expected VHDX, VHD, ISO or"
		       " a partitioned disk, or to be told that it is a raw disk", path);
}

static int probe(struct aio *a, const char *path, unsigned flags, enum disk_kind *ret_kind,
		 struct err *err)
{
	uint8_t head[PROBE_LEN] = { 0 };
	uint64_t size;
	bool vhd;
	int rc = aio_size(a, &size);

	if (rc == 0)
		rc = aio_read_wait(a, 0, head, (size_t)min_u64(size, sizeof(head)));
	if (rc == 0)
		rc = ends_as_vhd(a, size, &vhd);
	if (rc < 0)
		return err_set(err, rc, "%s: cannot read: %s", path, strerror(-rc));
	rc = kind_of(head, vhd, path, flags, ret_kind, err);
	if (rc == 0 && *ret_kind == DISK_VHD && (flags & DISK_NO_VHD))
		return refuse(path, A_VHD, err);
	return rc;
}

#define LOCK_TRIES 100			/* of 5 ms each */

/*
 * The lock of a process that was killed goes only when the kernel has let go
 * of its io_uring, a moment after its death: hence more than one try.
 */
static int lock_file(int fd, const char *path, bool read_only, struct err *err)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	struct flock fl = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			break;
		nanosleep(&moment, NULL);
	}
	if (errno == EAGAIN || errno == EACCES)
		return err_set(err, -EBUSY, read_only ?
			       "%s: in use: another program has it open for writing" :
			       "%s: in use: another program has it open", path);
	return err_set(err, -errno, "%s: cannot lock: %s", path, strerror(errno));
}

static int open_file(const char *path, bool read_only, int *ret_fd, struct err *err)
{
	/* O_NONBLOCK: the name of a FIFO must not hang us. */
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return err_set(err, -errno, "%s: cannot open%s: %s", path,
			       read_only ? "" : " for writing", strerror(errno));
	if (fstat(fd, &st) < 0)
		rc = err_set(err, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		rc = err_set(err, -EINVAL, "%s: found %s, expected a file or a block device", path,
			     S_ISDIR(st.st_mode) ? "a directory" : "a special file");
	else
		rc = lock_file(fd, path, read_only, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

static int open_probed(const char *path, unsigned flags, struct aio **ret_a,
		       enum disk_kind *ret_kind, struct err *err)
{
	int fd = -1, rc = open_file(path, flags & DISK_READ_ONLY, &fd, err);

	if (rc < 0)
		return rc;
	rc = aio_open(fd, flags & DISK_NO_URING, ret_a);
	if (rc < 0)
		return err_set(err, rc, "%s: cannot start I/O: %s", path, strerror(-rc));
	rc = probe(*ret_a, path, flags, ret_kind, err);
	if (rc < 0)
		aio_close(*ret_a);
	return rc;
}

/* ---- disks with parents ------------------------------------------------------ */

#define MAX_DEPTH 256

/* The file behind A goes into *D; -ELOOP where it is its own ancestor. */
static int enter(struct aio *a, const char *path, struct descent *d, struct err *err)
{
	struct stat st;

	if (fstat(a->fd, &st) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	d->dev = st.st_dev;
	d->ino = st.st_ino;
	d->depth = d->child == NULL ? 0 : d->child->depth + 1;
	for (const struct descent *c = d->child; c != NULL; c = c->child)
		if (c->dev == d->dev && c->ino == d->ino)
			return err_set(err, -ELOOP, "%s: found a loop: it is its own ancestor", path);
	if (d->depth > MAX_DEPTH)
		return err_set(err, -ELOOP, "%s: found more than %u parents", path, MAX_DEPTH);
	return 0;
}

static int open_kin(struct aio *a, const char *path, enum disk_kind kind, unsigned flags,
		    struct descent *d, struct blk **ret_b, struct err *err)
{
	int rc = enter(a, path, d, err);

	if (rc < 0) {
		aio_close(a);
		return rc;
	}
	return (kind == DISK_VHD ? vhd_open : vhdx_open)(a, path, flags, d, ret_b, err);
}

/* The folder that holds PATH; the caller frees it. */
static char *folder_of(const char *path)
{
	char *real = realpath(path, NULL), *slash;

	if (real == NULL)
		return NULL;
	slash = strrchr(real, '/');
	slash[slash == real] = '\0';
	return real;
}

int disk_open_parent(const char *path, enum disk_kind kind, unsigned flags,
		     const struct descent *child, struct blk **ret_b, struct err *err)
{
	struct descent d = { .folder = child->folder, .child = child };
	enum disk_kind found;
	struct aio *a;
	int rc = open_probed(path, flags | DISK_READ_ONLY | DISK_RAW_OK, &a, &found, err);

	if (rc < 0)
		return rc;
	if (found != kind) {
		aio_close(a);
		return err_set(err, -EINVAL, "%s: found no %s, expected one as its child is", path,
			       kind == DISK_VHD ? "VHD" : "VHDX");
	}
	return open_kin(a, path, kind, flags | DISK_READ_ONLY, &d, ret_b, err);
}

int disk_open_under(const char *path, unsigned flags, const char *parents, struct blk **ret_b,
		    struct err *err)
{
	struct descent d = { 0 };
	enum disk_kind kind;
	struct aio *a;
	char *folder;
	int rc = open_probed(path, flags, &a, &kind, err);

	if (rc < 0)
		return rc;
	if (kind != DISK_VHD && kind != DISK_VHDX)
		return raw_open(a, path, kind, flags, ret_b, err);
	folder = parents != NULL ? realpath(parents, NULL) : folder_of(path);
	if (folder == NULL) {
		rc = err_set(err, -errno, "%s: the folder for its parents, %s: %s", path,
			     parents != NULL ? parents : "its own", strerror(errno));
		aio_close(a);
		return rc;
	}
	d.folder = folder;
	rc = open_kin(a, path, kind, flags, &d, ret_b, err);
	free(folder);
	return rc;
}

int disk_open(const char *path, unsigned flags, struct blk **ret_b, struct err *err)
{
	return disk_open_under(path, flags, NULL, ret_b, err);
}

int disk_inspect(const char *path, struct disk_info *ret_info, struct err *err)
{
	enum disk_kind kind;
	struct blk *b;
	struct aio *a;
	int rc = open_probed(path, DISK_READ_ONLY | DISK_NO_URING | DISK_RAW_OK, &a, &kind, err);

	if (rc < 0)
		return rc;
	if (kind == DISK_VHDX)
		return vhdx_inspect(a, path, ret_info, err);
	if (kind == DISK_VHD)
		return vhd_inspect(a, path, ret_info, err);
	*ret_info = (struct disk_info){ .kind = kind };
	rc = aio_size(a, &ret_info->file_size);
	if (rc < 0) {
		aio_close(a);
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	}
	rc = raw_open(a, path, kind, DISK_READ_ONLY, &b, err);
	if (rc < 0)
		return rc;
	ret_info->size = b->size;
	ret_info->logical = b->logical;
	ret_info->physical = b->physical;
	blk_close(b);
	return 0;
}
