/*
 * places.c - where definitions of switches are, and where running ones meet
 *
 * A folder that others may write to would let them say what our switches do;
 * one that others may enter would let them connect.  So each is looked at
 * through its descriptor before it is used, and refused with its name.
 *
 * Lock     none, the file system's
 */
#include "net/places.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void place_close(struct place *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* Makes PATH and what leads to it. */
static int make_path(const char *path, struct err *err)
{
	char part[512];

	for (const char *at = strchr(path + 1, '/');; at = strchr(at + 1, '/')) {
		size_t n = at != NULL ? (size_t)(at - path) : strlen(path);

		memcpy(part, path, n);
		part[n] = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return err_set(err, -errno, "%s: %s", part, strerror(errno));
		if (at == NULL)
			return 0;
	}
}

/* FORBIDDEN: mode bits that others must not have. */
static int open_folder(struct place *p, mode_t forbidden, struct err *err)
{
	struct stat st;

	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (p->fd < 0)
		return err_set(err, -errno, "%s: %s", p->path, strerror(errno));
	if (fstat(p->fd, &st) < 0)
		return err_set(err, -errno, "%s: %s", p->path, strerror(errno));
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(err, -EPERM, "%s: belongs to user %u, expected %u", p->path, st.st_uid, geteuid());
	if (st.st_mode & forbidden)
		return err_set(err, -EPERM, "%s: others have rights there (mode %04o), expected at most %04o", p->path,
			       st.st_mode & 07777, 0777 & ~forbidden);
	return 0;
}

static int name_folder(struct place *p, struct err *err, const char *base, const char *rest)
{
	int n;

	if (base[0] != '/')
		return err_set(err, -EINVAL, "%s: expected a path from the root", base);
	n = snprintf(p->path, sizeof(p->path), "%s%s", base, rest);
	if (n < 0 || (size_t)n >= sizeof(p->path))
		return err_set(err, -ENAMETOOLONG, "%.60s...: too long a path", base);
	return 0;
}

static const char *variable(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

static int finish(struct place *p, int rc, struct place *ret_p)
{
	if (rc < 0)
		place_close(p);
	else
		*ret_p = *p;
	return rc;
}

int place_config(bool make, struct place *ret_p, struct err *err)
{
	const char *xdg = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
	struct place p = { .fd = -1 };
	int rc;

	if (xdg != NULL)
		rc = name_folder(&p, err, xdg, "/genvisor/switches");
	else if (geteuid() == 0)
		rc = name_folder(&p, err, "/etc", "/genvisor/switches");
	else if (home != NULL)
		rc = name_folder(&p, err, home, "/.config/genvisor/switches");
	else
		rc = err_set(err, -ENOENT, "neither XDG_CONFIG_HOME nor HOME says where definitions are");
	if (rc < 0)
		return rc;
	if (!make && access(p.path, F_OK) < 0 && errno == ENOENT)
		return -ENOENT;
	if (make)
		rc = make_path(p.path, err);
	if (rc == 0)
		rc = open_folder(&p, 022, err);
	return finish(&p, rc, ret_p);
}

int place_runtime(struct place *ret_p, struct err *err)
{
	const char *xdg = variable("XDG_RUNTIME_DIR");
	struct place p = { .fd = -1 };
	char own[64];
	int rc;

	snprintf(own, sizeof(own), "/tmp/genvisor-%u", geteuid());
	if (xdg != NULL)
		rc = name_folder(&p, err, xdg, "/genvisor");
	else
		rc = name_folder(&p, err, geteuid() == 0 ? "/run/genvisor" : own, "");
	if (rc == 0 && mkdir(p.path, 0700) < 0 && errno != EEXIST)
		rc = err_set(err, -errno, "%s: %s", p.path, strerror(errno));
	if (rc == 0)
		rc = open_folder(&p, 077, err);
	return finish(&p, rc, ret_p);
}

/* The file BEFORE NAME AFTER in P, by a path that is short whatever P's is. */
static struct sockaddr_un address(const struct place *p, const char *before, const char *name, const char *after)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s%.64s%s", p->fd, before, name, after);
	return a;
}

static struct sockaddr_un address_of(const struct place *p, const char *name)
{
	return address(p, "", name, ".sock");
}

int place_connect(const struct place *p, const char *name, struct err *err)
{
	struct sockaddr_un a = address_of(p, name);
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), rc;

	if (s < 0)
		return err_set(err, -errno, "%s: %s", name, strerror(errno));
	if (connect(s, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return s;
	rc = -errno;
	close(s);
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return -ENOENT;
	return err_set(err, rc, "%s/%s.sock: %s", p->path, name, strerror(-rc));
}

/*
 * A socket between bind and listen refuses as one that was left behind does, so it gets its
 * name when it listens.
 */
int place_listen(const struct place *p, const char *name, struct err *err)
{
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;
	struct sockaddr_un a = address_of(p, name), tmp;
	char before[24];

	snprintf(before, sizeof(before), ".%d-", (int)getpid());
	tmp = address(p, before, name, "");
	(void)!unlink(tmp.sun_path);
	if (s >= 0 && bind(s, (const struct sockaddr *)&tmp, sizeof(tmp)) == 0) {
		if (listen(s, 64) == 0 && rename(tmp.sun_path, a.sun_path) == 0)
			return s;
		rc = -errno;
		(void)!unlink(tmp.sun_path);
	} else {
		rc = -errno;
	}
	if (s >= 0)
		close(s);
	return err_set(err, rc, "%s/%s.sock: %s", p->path, name, strerror(-rc));
}

void place_unlisten(const struct place *p, const char *name)
{
	struct sockaddr_un a = address_of(p, name);

	(void)!unlink(a.sun_path);
}

static int is_socket(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && n < 70 && strcmp(e->d_name + n - 5, ".sock") == 0;
}

int place_each(const struct place *p, int (*fn)(void *arg, const char *name), void *arg, struct err *err)
{
	struct dirent **list;
	int nr = scandirat(p->fd, ".", &list, is_socket, alphasort), rc = 0;

	if (nr < 0)
		return err_set(err, -errno, "%s: %s", p->path, strerror(errno));
	for (int i = 0; i < nr; i++) {
		list[i]->d_name[strlen(list[i]->d_name) - 5] = '\0';
		if (rc >= 0)
			rc = fn(arg, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return rc;
}
