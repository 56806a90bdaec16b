/*
 * switch_file.c - the files that definitions of switches are in
 *
 * A file is looked at through its descriptor before it is read: a link, a
 * pipe, a file of somebody else's or one that others may write to is refused.
 * A new one is written beside the old one and takes its place when it is on
 * the disk.
 *
 * Lock     the folder, by flock, around reading, changing and writing
 */
#include "net/places.h"
#include "net/switch_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (UINT64_C(1) << 20)
#define ENDING ".json"

static void file_name(const char *name, char ret_file[SWITCH_NAME_MAX + 8])
{
	snprintf(ret_file, SWITCH_NAME_MAX + 8, "%s" ENDING, name);
}

static int not_there(const char *name, struct err *err)
{
	return err_set(err, -ENOENT, "no switch \"%s\": \"genvisor switch new %s\" makes it", name, name);
}

/* The whole file, or a sentence that begins with WHERE.  *RET_TEXT is the caller's. */
static int read_file(int fd, const char *where, char **ret_text, size_t *ret_n, struct err *err)
{
	struct stat st;
	char *text;
	size_t n = 0;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s: %s", where, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s: not a plain file", where);
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022))
		return err_set(err, -EPERM, "%s: others may write to it (user %u, mode %04o)", where, st.st_uid,
			       st.st_mode & 07777);
	if (st.st_size < 0 || (uint64_t)st.st_size > FILE_MAX)
		return err_set(err, -EFBIG, "%s: %lld bytes, at most %llu", where, (long long)st.st_size,
			       (unsigned long long)FILE_MAX);
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return err_set(err, -ENOMEM, "%s: no memory", where);
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, text + n, (size_t)st.st_size - n);

		if (got <= 0)
			break;			/* shorter than it was a moment ago: JSON will tell */
		n += (size_t)got;
	}
	*ret_text = text;
	*ret_n = n;
	return 0;
}

int switch_def_load(const char *name, struct switch_def *ret_d, struct err *err)
{
	char file[SWITCH_NAME_MAX + 8], where[640], safe[SWITCH_NAME_MAX], *text = NULL;
	struct place p;
	int fd, rc = switch_name_take(name, safe, err);
	size_t n = 0;

	if (rc < 0)
		return rc;
	rc = place_config(false, &p, err);
	if (rc < 0)
		return rc == -ENOENT ? not_there(name, err) : rc;
	file_name(name, file);
	snprintf(where, sizeof(where), "%s/%s", p.path, file);
	fd = openat(p.fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	rc = fd < 0 ? -errno : 0;
	place_close(&p);
	if (rc < 0)
		return rc == -ENOENT ? not_there(name, err) :
		       err_set(err, rc, "%s: %s", where, rc == -ELOOP ? "is a link" : strerror(-rc));
	rc = read_file(fd, where, &text, &n, err);
	close(fd);
	if (rc < 0)
		return rc;
	rc = switch_def_read(name, text, n, where, ret_d, err);
	free(text);
	return rc;
}

static int write_all(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		text += done;
		n -= (size_t)done;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int replace(const struct place *p, const char *tmp, const char *file, bool fresh)
{
	int rc = fresh ? linkat(p->fd, tmp, p->fd, file, 0) : renameat(p->fd, tmp, p->fd, file);

	rc = rc < 0 ? -errno : 0;
	if (fresh || rc < 0)
		unlinkat(p->fd, tmp, 0);
	if (rc == 0)
		(void)!fsync(p->fd);
	return rc;
}

static int save_text(const struct place *p, const struct switch_def *d, const char *text, bool fresh, struct err *err)
{
	char file[SWITCH_NAME_MAX + 8], tmp[64];
	int fd, rc;

	file_name(d->name, file);
	snprintf(tmp, sizeof(tmp), ".new-%d", (int)getpid());
	fd = openat(p->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "%s/%s: %s", p->path, tmp, strerror(errno));
	rc = write_all(fd, text, strlen(text));
	close(fd);
	if (rc < 0)
		unlinkat(p->fd, tmp, 0);
	else
		rc = replace(p, tmp, file, fresh);
	if (rc == -EEXIST)
		return err_set(err, rc, "switch \"%s\" is there already (%s/%s)", d->name, p->path, file);
	return rc < 0 ? err_set(err, rc, "%s/%s: %s", p->path, file, strerror(-rc)) : 0;
}

int switch_def_save(const struct switch_def *d, bool fresh, struct err *err)
{
	json_t *root = switch_def_json(d);
	char *text = root != NULL ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
	struct place p;
	int rc;

	json_decref(root);
	if (text == NULL)
		return err_set(err, -EINVAL, "switch %s: cannot be written as JSON (is everything in it UTF-8?)", d->name);
	rc = place_config(true, &p, err);
	if (rc == 0) {
		rc = save_text(&p, d, text, fresh, err);
		place_close(&p);
	}
	free(text);
	return rc;
}

int switch_def_remove(const char *name, struct err *err)
{
	char file[SWITCH_NAME_MAX + 8], safe[SWITCH_NAME_MAX];
	struct place p;
	int rc = switch_name_take(name, safe, err);

	if (rc < 0)
		return rc;
	rc = place_config(false, &p, err);
	if (rc < 0)
		return rc == -ENOENT ? not_there(name, err) : rc;
	file_name(name, file);
	rc = unlinkat(p.fd, file, 0) < 0 ? -errno : 0;
	if (rc < 0 && rc != -ENOENT)
		err_fill(err, "%s/%s: %s", p.path, file, strerror(-rc));
	place_close(&p);
	return rc == -ENOENT ? not_there(name, err) : rc;
}

static int is_definition(const struct dirent *e)
{
	char name[SWITCH_NAME_MAX];
	size_t n = strlen(e->d_name), end = strlen(ENDING);

	if (n <= end || n - end >= sizeof(name) || strcmp(e->d_name + n - end, ENDING) != 0)
		return 0;
	memcpy(name, e->d_name, n - end);
	name[n - end] = '\0';
	return switch_name_take(name, (char[SWITCH_NAME_MAX]){ 0 }, NULL) == 0;
}

int switch_def_each(int (*fn)(void *arg, const char *name), void *arg, struct err *err)
{
	struct dirent **list;
	struct place p;
	int rc = place_config(false, &p, err), nr;

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	nr = scandirat(p.fd, ".", &list, is_definition, alphasort);
	rc = nr < 0 ? err_set(err, -errno, "%s: %s", p.path, strerror(errno)) : 0;
	place_close(&p);
	for (int i = 0; i < nr; i++) {
		char *name = list[i]->d_name;

		name[strlen(name) - strlen(ENDING)] = '\0';
		if (rc >= 0)
			rc = fn(arg, name);
		free(list[i]);
	}
	if (nr >= 0)
		free(list);
	return rc;
}

int switch_def_lock(int *ret_fd, struct err *err)
{
	struct place p;
	int rc = place_config(true, &p, err);

	if (rc < 0)
		return rc;
	if (flock(p.fd, LOCK_EX) < 0) {
		rc = err_set(err, -errno, "%s: %s", p.path, strerror(errno));
		place_close(&p);
		return rc;
	}
	*ret_fd = p.fd;
	return 0;
}
