/*
 * disk.c - genvisor disk new, disk info, disk export
 *
 * Lock     none, one thread
 */
#include "ctl/verbs.h"

#include "disk/disk.h"
#include "disk/fresh.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct disk_opts {
	struct vhdx_create conf;
	const char *from;
	bool quiet;
};

static int set_size(void *into, const char *val, struct err *err)
{
	return opt_size(val, &((struct disk_opts *)into)->conf.size, err);
}

static int set_u32(const char *what, const char *val, uint32_t *ret_val, struct err *err)
{
	uint64_t n;
	int rc = opt_size(val, &n, err);

	if (rc == 0 && n > UINT32_MAX)
		rc = err_set(err, -ERANGE, "%s: too large", val);
	if (rc < 0)
		return err_prefix(err, rc, what);
	*ret_val = (uint32_t)n;
	return 0;
}

static int set_block_size(void *into, const char *val, struct err *err)
{
	return set_u32("--block-size", val, &((struct disk_opts *)into)->conf.block_size, err);
}

static int set_logical(void *into, const char *val, struct err *err)
{
	return set_u32("--logical-sector", val, &((struct disk_opts *)into)->conf.logical, err);
}

static int set_physical(void *into, const char *val, struct err *err)
{
	return set_u32("--physical-sector", val, &((struct disk_opts *)into)->conf.physical, err);
}

static int set_fixed(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct disk_opts *)into)->conf.fixed = true;
	return 0;
}

static int set_from(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct disk_opts *)into)->from = val;
	return 0;
}

static int set_quiet(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct disk_opts *)into)->quiet = true;
	return 0;
}

static const struct opt new_opts[] = {
	{ "size", "SIZE", "what the guest sees, e.g. 40G; 3M to 64T", set_size },
	{ "from", "FILE", "fill it with the content of this disk (raw or VHDX)", set_from },
	{ "fixed", NULL, "allocate everything now (default: dynamic)", set_fixed },
	{ "block-size", "SIZE", "1M to 256M, a power of two (default 32M; 1M suits ext4)",
	  set_block_size },
	{ "logical-sector", "512|4096", "sector size the guest addresses (default 512)",
	  set_logical },
	{ "physical-sector", "512|4096", "sector size the guest is told to align to (default 4096)",
	  set_physical },
	{ "quiet", NULL, "no progress", set_quiet },
	{ 0 },
};

static const struct opt info_opts[] = { { 0 } };

/* A line that moves, on a terminal only, and not before two seconds. */
struct progress {
	uint64_t t0;
	bool on, shown;
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct progress *p = arg;

	if (!p->on || total == 0 || base_monotonic_ns() - p->t0 < 2 * NS_PER_SEC)
		return;
	p->shown = true;
	fprintf(stderr, "\r%3llu%% of %llu MiB", (unsigned long long)(done * 100 / total),
		(unsigned long long)(total / MIB));
}

static int import(const char *path, struct disk_opts *o, struct err *err)
{
	struct progress p = { .t0 = base_monotonic_ns(), .on = !o->quiet && isatty(STDERR_FILENO) };
	struct blk *src;
	int rc = disk_open(o->from, DISK_READ_ONLY | DISK_RAW_OK, &src, err);

	if (rc < 0)
		return rc;
	if (o->conf.size == 0)
		o->conf.size = src->size;
	if (o->conf.size < src->size)
		rc = err_set(err, -EINVAL, "--size: %llu bytes are less than the %llu of %s",
			     (unsigned long long)o->conf.size, (unsigned long long)src->size,
			     o->from);
	else
		rc = vhdx_import(path, &o->conf, src, show_progress, &p, err);
	if (p.shown)
		fputc('\n', stderr);
	blk_close(src);
	return rc;
}

/* Did the work fail, or was it impossible from the beginning? */
static int status_of(int rc)
{
	switch (rc) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
	case -EIO:
	case -ENOMEM:
		return EXIT_FAILED;
	default:
		return EXIT_USAGE;
	}
}

static int new_run(int argc, char **argv)
{
	struct disk_opts o = { 0 };
	const char *rest[1];
	struct err err;
	int nr, rc = opt_parse(&verb_disk_new, &o, argc, argv, rest, 1, &nr, &err);

	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	if (nr != 1 || (o.conf.size == 0 && o.from == NULL)) {
		err_fill(&err,
			 nr != 1 ? "disk new: which file?" : "disk new: give --size or --from");
		return opt_fail(EXIT_USAGE, &err);
	}
	rc = o.from == NULL ? vhdx_create(rest[0], &o.conf, &err) : import(rest[0], &o, &err);
	return rc < 0 ? opt_fail(status_of(rc), &err) : EXIT_OK;
}

const struct verb verb_disk_new = {
	.name = "disk new", .args = "FILE.vhdx", .summary = "make a VHDX",
	.text = "An existing file is never overwritten.\n",
	.opts = new_opts, .run = new_run,
};

static void print_bytes(const char *what, uint64_t n)
{
	printf("%-16s %llu (%.1f %s)\n", what, (unsigned long long)n,
	       (double)n / (double)(n >= GIB ? GIB : MIB), n >= GIB ? "GiB" : "MiB");
}

static int info_run(int argc, char **argv)
{
	static const char *const kinds[] = { "raw", "ISO 9660", "VHDX" };
	char guid[GUID_TEXT_LEN + 1];
	struct disk_info d;
	const char *rest[1];
	struct err err;
	int nr, rc = opt_parse(&verb_disk_info, NULL, argc, argv, rest, 1, &nr, &err);

	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	if (nr != 1) {
		err_fill(&err, "disk info: which file?");
		return opt_fail(EXIT_USAGE, &err);
	}
	rc = disk_inspect(rest[0], &d, &err);
	if (rc < 0)
		return opt_fail(EXIT_USAGE, &err);
	printf("%-16s %s%s\n", "format", kinds[d.kind],
	       d.kind != DISK_VHDX ? "" : d.has_parent ? ", differencing" :
	       d.fixed ? ", fixed" : ", dynamic");
	print_bytes("virtual size", d.size);
	print_bytes("file size", d.file_size);
	printf("%-16s %u logical, %u physical\n", "sector bytes", d.logical, d.physical);
	if (d.kind != DISK_VHDX)
		return EXIT_OK;
	print_bytes("block size", d.block_size);
	printf("%-16s %llu of %llu in the file\n", "blocks", (unsigned long long)d.present,
	       (unsigned long long)d.blocks);
	guid_format(&d.disk_id, guid);
	printf("%-16s %s\n", "disk id", guid);
	guid_format(&d.data_write_guid, guid);
	printf("%-16s %s\n", "data write id", guid);
	printf("%-16s %llu KiB, %s\n", "log", (unsigned long long)(d.log_length / KIB),
	       d.log_dirty ? "dirty: it will be replayed" : "clean");
	printf("%-16s %s\n", "creator", d.creator);
	return EXIT_OK;
}

const struct verb verb_disk_info = {
	.name = "disk info", .args = "FILE", .summary = "say what a disk image is",
	.text = "Never writes to the file; a dirty log is replayed in memory.\n",
	.opts = info_opts, .run = info_run,
};

/* ---- export ---------------------------------------------------------------- */

#define EXPORT_STEP MIB

static const struct opt export_opts[] = {
	{ "quiet", NULL, "no progress", set_quiet },
	{ 0 },
};

static bool is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int put_all(int fd, const uint8_t *buf, size_t n, uint64_t off)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, buf, n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		buf += done;
		off += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

/* All of B into FD, zeros as holes. */
static int copy_out(struct blk *b, int fd, struct progress *p, struct err *err)
{
	uint8_t *buf = new_array(uint8_t, EXPORT_STEP);
	int rc = buf == NULL ? -ENOMEM : 0;

	for (uint64_t off = 0; off < b->size && rc == 0; off += EXPORT_STEP) {
		size_t n = (size_t)min_u64(EXPORT_STEP, b->size - off);

		rc = blk_rw_wait(b, BLK_READ, off, buf, n);
		if (rc == 0 && !is_zero(buf, n))
			rc = put_all(fd, buf, n, off);
		show_progress(p, off + n, b->size);
	}
	free(buf);
	if (rc == 0 && ftruncate(fd, (off_t)b->size) < 0)
		rc = -errno;
	return rc < 0 ? err_set(err, rc, "%s", strerror(-rc)) : 0;
}

static int export(const char *from, const char *to, struct progress *p, struct err *err)
{
	struct fresh f;
	struct blk *b;
	int rc = disk_open(from, DISK_READ_ONLY | DISK_RAW_OK, &b, err);

	if (rc < 0)
		return rc;
	rc = fresh_open(&f, to, err);
	if (rc == 0) {
		rc = copy_out(b, f.fd, p, err);
		if (rc == 0) {
			rc = fresh_publish(&f, to, err);
		} else {
			fresh_discard(&f);
			err_prefix(err, rc, to);
		}
	}
	blk_close(b);
	return rc;
}

static int export_run(int argc, char **argv)
{
	struct disk_opts o = { 0 };
	struct progress p = { .t0 = base_monotonic_ns() };
	const char *rest[2];
	struct err err;
	int nr, rc = opt_parse(&verb_disk_export, &o, argc, argv, rest, 2, &nr, &err);

	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	if (nr != 2) {
		err_fill(&err, "disk export: which disk, and into which file?");
		return opt_fail(EXIT_USAGE, &err);
	}
	p.on = !o.quiet && isatty(STDERR_FILENO);
	rc = export(rest[0], rest[1], &p, &err);
	if (p.shown)
		fputc('\n', stderr);
	return rc < 0 ? opt_fail(status_of(rc), &err) : EXIT_OK;
}

const struct verb verb_disk_export = {
	.name = "disk export", .args = "FILE OUT.raw",
	.summary = "write a disk's content as a raw image",
	.text = "Zeros become holes. An existing file is never overwritten; "
		"FILE is not written to.\n",
	.opts = export_opts, .run = export_run,
};
