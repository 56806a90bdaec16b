/*
 * fresh.c - a file that appears whole or not at all
 *
 * O_TMPFILE makes a file without a name; linkat gives it one when it is
 * whole, and fails rather than replace what is there.  Killed in between, we
 * leave nothing.  Where a file system has no O_TMPFILE, a temporary name
 * beside the target stands in for it.
 *
 * Lock     none
 */
#include "disk/fresh.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, const char *what, struct err *err)
{
	int rc = -errno;

	return err_set(err, rc, "%s: cannot %s: %s", path, what, strerror(-rc));
}

static int exists(const char *path, struct err *err)
{
	return err_set(err, -EEXIST, "%s: exists already, expected a new name", path);
}

int fresh_open(struct fresh *f, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == NULL ? 0 : (size_t)(slash - path);
	struct stat st;

	f->fd = -1;
	f->name[0] = '\0';
	if (strlen(path) + 32 > sizeof(f->name) || path[0] == '\0')
		return err_set(err, -EINVAL, "%.100s: not a name for a file", path);
	if (lstat(path, &st) == 0)
		return exists(path, err);
	snprintf(f->dir, sizeof(f->dir), "%.*s", slash == NULL ? 1 : n == 0 ? 1 : (int)n,
		 slash == NULL ? "." : path);
	f->fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (f->fd < 0 &&
	    (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL)) {
		snprintf(f->name, sizeof(f->name), "%s.part-%d", path, (int)getpid());
		f->fd = open(f->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (f->fd < 0)
			f->name[0] = '\0';
	}
	return f->fd < 0 ? fail(path, "create", err) : 0;
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	/* Some network file systems cannot sync a folder. */
	return rc < 0 && errno == EINVAL ? 0 : rc;
}

static int give_name(struct fresh *f, const char *path)
{
	char proc[64];

	if (f->name[0] != '\0')
		return link(f->name, path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

int fresh_publish(struct fresh *f, const char *path, struct err *err)
{
	int rc = 0;

	if (fsync(f->fd) < 0)
		rc = fail(path, "write", err);
	else if (give_name(f, path) < 0)
		rc = errno == EEXIST ? exists(path, err) : fail(path, "name", err);
	else if (sync_dir(f->dir) < 0)
		rc = fail(path, "sync the folder of", err);
	fresh_discard(f);
	return rc;
}

void fresh_discard(struct fresh *f)
{
	if (f->name[0] != '\0')
		unlink(f->name);
	f->name[0] = '\0';
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
