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
#include <time.h>
#include <unistd.h>

enum disk_type { TYPE_DYNAMIC, TYPE_FIXED, TYPE_DIFFERENCING };

struct disk_opts {
	struct vhdx_create conf;
	enum disk_type type;
	const char *from, *parent, *parents;
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
	((struct disk_opts *)into)->type = TYPE_FIXED;
	return 0;
}

static int set_type(void *into, const char *val, struct err *err)
{
	static const char *const types[] = {
		[TYPE_DYNAMIC] = "dynamic", [TYPE_FIXED] = "fixed",
		[TYPE_DIFFERENCING] = "differencing",
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(val, types[i]) == 0) {
			((struct disk_opts *)into)->type = (enum disk_type)i;
			return 0;
		}
	return err_set(err, -EINVAL, "--type: found \"%s\", expected fixed, dynamic or differencing",
		       val);
}

static int set_parent(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct disk_opts *)into)->parent = val;
	((struct disk_opts *)into)->type = TYPE_DIFFERENCING;
	return 0;
}

static int set_parents(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct disk_opts *)into)->parents = val;
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
	{ "size", "SIZE", "what the guest sees, e.g. 40G; 3M to 64T (VHD: 2040G)", set_size },
	{ "type", "TYPE", "dynamic (default), fixed: allocate everything now, or differencing:\n"
			  "what differs from --parent", set_type },
	{ "parent", "FILE", "of a differencing disk, in the same format; it must not change\n"
			    "any more", set_parent },
	{ "from", "FILE", "fill it with the content of this disk (raw, VHD or VHDX)", set_from },
	{ "parents", "DIR", "where the parents of --from may lie (default: beneath its folder)",
	  set_parents },
	{ "fixed", NULL, "as --type fixed", set_fixed },
	{ "block-size", "SIZE", "1M to 256M, a power of two (default 32M; 1M suits ext4);\n"
				"VHD: 512K or 2M (default)", set_block_size },
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

/* A name in .vhd or .avhd asks for a VHD. */
static bool is_vhd_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL && (strcasecmp(dot, ".vhd") == 0 || strcasecmp(dot, ".avhd") == 0);
}

/* What only one of the formats has. */
static int check_opts(const char *path, const struct disk_opts *o, struct err *err)
{
	bool vhd = is_vhd_name(path), child = o->type == TYPE_DIFFERENCING;

	if (vhd && (o->conf.logical != 0 || o->conf.physical != 0))
		return err_set(err, -EINVAL, "%s: a VHD has sectors of 512 bytes, for others name it"
			       " .vhdx", path);
	if (child && o->parent == NULL)
		return err_set(err, -EINVAL, "%s: a differencing disk needs --parent", path);
	if (!child && o->parent != NULL)
		return err_set(err, -EINVAL, "%s: only a differencing disk has a --parent", path);
	if (child && o->from != NULL)
		return err_set(err, -EINVAL, "%s: a differencing disk starts as its parent, not"
			       " --from another disk", path);
	if (!child && o->conf.size == 0 && o->from == NULL)
		return err_set(err, -EINVAL, "disk new: give --size or --from");
	return 0;
}

static struct vhd_create vhd_conf(const struct disk_opts *o)
{
	static const enum vhd_kind kinds[] = {
		[TYPE_DYNAMIC] = VHD_MAKE_DYNAMIC, [TYPE_FIXED] = VHD_MAKE_FIXED,
		[TYPE_DIFFERENCING] = VHD_MAKE_DIFFERENCING,
	};

	return (struct vhd_create){
		.kind = kinds[o->type], .size = o->conf.size, .block_size = o->conf.block_size,
		.parent = o->parent,
	};
}

static int import(const char *path, struct disk_opts *o, struct err *err)
{
	struct progress p = { .t0 = base_monotonic_ns(), .on = !o->quiet && isatty(STDERR_FILENO) };
	struct vhd_create vhd;
	struct blk *src;
	int rc = disk_open_under(o->from, DISK_READ_ONLY | DISK_RAW_OK, o->parents, &src, err);

	if (rc < 0)
		return rc;
	if (o->conf.size == 0)
		o->conf.size = src->size;
	vhd = vhd_conf(o);
	if (o->conf.size < src->size)
		rc = err_set(err, -EINVAL, "--size: %llu bytes are less than the %llu of %s",
			     (unsigned long long)o->conf.size, (unsigned long long)src->size,
			     o->from);
	else if (is_vhd_name(path))
		rc = vhd_import(path, &vhd, src, show_progress, &p, err);
	else
		rc = vhdx_import(path, &o->conf, src, show_progress, &p, err);
	if (p.shown)
		fputc('\n', stderr);
	blk_close(src);
	return rc;
}

static int create(const char *path, const struct disk_opts *o, struct err *err)
{
	const struct vhd_create vhd = vhd_conf(o);

	return is_vhd_name(path) ? vhd_create(path, &vhd, err) : vhdx_create(path, &o->conf, err);
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
	if (nr != 1) {
		err_fill(&err, "disk new: which file?");
		return opt_fail(EXIT_USAGE, &err);
	}
	rc = check_opts(rest[0], &o, &err);
	if (rc < 0)
		return opt_fail(EXIT_USAGE, &err);
	o.conf.fixed = o.type == TYPE_FIXED;
	o.conf.parent = o.parent;
	rc = o.from == NULL ? create(rest[0], &o, &err) : import(rest[0], &o, &err);
	return rc < 0 ? opt_fail(status_of(rc), &err) : EXIT_OK;
}

const struct verb verb_disk_new = {
	.name = "disk new", .args = "FILE", .summary = "make a VHDX, or a VHD (by its name)",
	.text = "FILE.vhd and FILE.avhd become a VHD, other names a VHDX.  An existing file is\n"
		"never overwritten.\n",
	.opts = new_opts, .run = new_run,
};

static void print_bytes(const char *what, uint64_t n)
{
	printf("%-16s %llu (%.1f %s)\n", what, (unsigned long long)n,
	       (double)n / (double)(n >= GIB ? GIB : MIB), n >= GIB ? "GiB" : "MiB");
}

static void print_guid(const char *what, const struct guid *g)
{
	char text[GUID_TEXT_LEN + 1];

	guid_format(g, text);
	printf("%-16s %s\n", what, text);
}

static void print_vhdx(const struct disk_info *d)
{
	print_guid("data write id", &d->data_write_guid);
	printf("%-16s %llu KiB, %s\n", "log", (unsigned long long)(d->log_length / KIB),
	       d->log_dirty ? "dirty: it will be replayed" : "clean");
}

static void print_vhd(const struct disk_info *d)
{
	time_t made = (time_t)d->vhd.made;
	char text[32] = "";
	struct tm tm;

	if (gmtime_r(&made, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	printf("%-16s %u cylinders, %u heads, %u sectors\n", "geometry", d->vhd.cylinders,
	       d->vhd.heads, d->vhd.sectors);
	printf("%-16s %s\n", "made", text);
	if (d->vhd.saved_state)
		printf("%-16s of a machine in saved state: not to be written to\n", "state");
	if (d->vhd.footer_bad || d->vhd.copy_bad)
		printf("%-16s %s is damaged: it will be mended\n", "footer",
		       d->vhd.footer_bad ? "the one at the end" : "the copy at the start");
}

static void print_info(const struct disk_info *d)
{
	static const char *const kinds[] = { "raw", "ISO 9660", "VHDX", "VHD" };
	bool raw = d->kind != DISK_VHDX && d->kind != DISK_VHD;

	printf("%-16s %s%s\n", "format", kinds[d->kind],
	       raw ? "" : d->has_parent ? ", differencing" : d->fixed ? ", fixed" : ", dynamic");
	print_bytes("virtual size", d->size);
	print_bytes("file size", d->file_size);
	printf("%-16s %u logical, %u physical\n", "sector bytes", d->logical, d->physical);
	if (raw)
		return;
	if (d->blocks > 0) {
		print_bytes("block size", d->block_size);
		printf("%-16s %llu of %llu in the file\n", "blocks", (unsigned long long)d->present,
		       (unsigned long long)d->blocks);
	}
	print_guid("disk id", &d->disk_id);
	if (d->has_parent)
		printf("%-16s %s\n", "parent", d->parent);
	if (d->has_parent && d->kind == DISK_VHD)
		print_guid("parent id", &d->parent_id);
	(d->kind == DISK_VHD ? print_vhd : print_vhdx)(d);
	printf("%-16s %s\n", "creator", d->creator);
}

static int info_run(int argc, char **argv)
{
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
	print_info(&d);
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
	{ "parents", "DIR", "where parents of FILE may lie (default: beneath its folder)",
	  set_parents },
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

static int export(const char *from, const char *parents, const char *to, struct progress *p,
		  struct err *err)
{
	struct fresh f;
	struct blk *b;
	int rc = disk_open_under(from, DISK_READ_ONLY | DISK_RAW_OK, parents, &b, err);

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
	rc = export(rest[0], o.parents, rest[1], &p, &err);
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
