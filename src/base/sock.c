/*
 * sock.c - listening on Unix sockets and TCP ports
 *
 * Lock     none: each place is its owner's
 */
#include "base/sock.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int unix_address(const char *path, struct sockaddr_un *ret_a, struct err *err)
{
	*ret_a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path[0] == '\0' || strlen(path) >= sizeof(ret_a->sun_path))
		return err_set(err, -EINVAL, "%s: a socket's path has 1 to %zu characters", path,
			       sizeof(ret_a->sun_path) - 1);
	strcpy(ret_a->sun_path, path);
	return 0;
}

/* A socket that nobody listens at is left over from before. */
static bool is_stale(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	bool stale;

	if (fd < 0)
		return false;
	stale = lstat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* Somebody else may be faster, and what is there now be his: so it is looked at where nobody finds it. */
static void clear_stale(const struct sockaddr_un *a, const struct sockaddr_un *aside)
{
	if (!is_stale(a) || rename(a->sun_path, aside->sun_path) < 0)
		return;
	if (!is_stale(aside))
		(void)!link(aside->sun_path, a->sun_path);
	unlink(aside->sun_path);
}

/* A name beside PATH, of FD's alone, that is short enough; it counts while what this returns is open. */
static int beside(const char *path, int fd, struct sockaddr_un *ret_a)
{
	const char *slash = strrchr(path, '/');
	char folder[sizeof(ret_a->sun_path)] = ".";
	int dir;

	if (slash != NULL)
		snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	*ret_a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret_a->sun_path, sizeof(ret_a->sun_path), "/proc/self/fd/%d/.%d-%d", dir, (int)getpid(), fd);
	return dir;
}

/* FD, which is at TMP, listens before it has its name: a peer of its owner's alone finds it, at once or not at all. */
static int listen_as(int fd, const struct sockaddr_un *tmp, const struct sockaddr_un *a)
{
	struct sockaddr_un aside = *tmp;
	int rc = 0;

	strcat(aside.sun_path, "-");
	if (chmod(tmp->sun_path, 0600) < 0 || listen(fd, 8) < 0)
		return -errno;
	if (link(tmp->sun_path, a->sun_path) < 0) {
		clear_stale(a, &aside);
		rc = link(tmp->sun_path, a->sun_path) < 0 ? -errno : 0;
	}
	return rc == -EEXIST ? -EADDRINUSE : rc;
}

static int bind_and_listen(int fd, const struct sockaddr_un *a)
{
	struct sockaddr_un tmp;
	int folder = beside(a->sun_path, fd, &tmp), rc;

	if (folder < 0)
		return folder;
	unlink(tmp.sun_path);
	rc = bind(fd, (struct sockaddr *)&tmp, sizeof(tmp)) < 0 ? -errno : listen_as(fd, &tmp, a);
	unlink(tmp.sun_path);
	close(folder);
	return rc;
}

static int listen_unix(struct sock_place *p, const char *path, struct err *err)
{
	struct sockaddr_un a;
	int fd, rc = unix_address(path, &a, err);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	rc = bind_and_listen(fd, &a);
	if (rc < 0) {
		close(fd);
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	}
	strcpy(p->path, path);
	snprintf(p->where, sizeof(p->where), "%s", path);
	p->fd = fd;
	p->local = true;
	return 0;
}

static int bind_one(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 8) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void name_tcp(struct sock_place *p)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	char host[64] = "?", port[16] = "?";

	memset(&a, 0, sizeof(a));
	if (getsockname(p->fd, (struct sockaddr *)&a, &n) == 0)
		getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	p->local = is_loopback(&a);
	snprintf(p->where, sizeof(p->where), a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
		 port);
}

static int listen_tcp(struct sock_place *p, const char *where, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const char *colon = strrchr(where, ':'), *port = colon == NULL ? where : colon + 1;
	char host[80] = "127.0.0.1", *end;
	struct addrinfo *list;
	unsigned long n;
	int rc;

	n = strtoul(port, &end, 10);
	if (port[0] < '0' || port[0] > '9' || *end != '\0' || n > 65535 ||
	    (colon != NULL && (colon == where || (size_t)(colon - where) >= sizeof(host))))
		return err_set(err, -EINVAL, "\"%s\": expected PORT, HOST:PORT or unix:PATH", where);
	if (colon != NULL) {
		bool v6 = where[0] == '[' && colon[-1] == ']';

		snprintf(host, sizeof(host), "%.*s", (int)(colon - where) - (v6 ? 2 : 0),
			 where + v6);
	}
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0)
		return err_set(err, -EINVAL, "\"%s\": %s", where, gai_strerror(rc));
	rc = bind_one(list);
	freeaddrinfo(list);
	if (rc < 0)
		return err_set(err, rc, "%s: %s", where, strerror(-rc));
	p->fd = rc;
	name_tcp(p);
	return 0;
}

int sock_listen(const char *where, struct sock_place *ret_p, struct err *err)
{
	int rc;

	*ret_p = (struct sock_place){ .fd = -1 };
	if (strncmp(where, "unix:", 5) == 0)
		rc = listen_unix(ret_p, where + 5, err);
	else
		rc = listen_tcp(ret_p, where, err);
	if (rc < 0)
		sock_unlisten(ret_p);
	return rc;
}

void sock_unlisten(struct sock_place *p)
{
	if (p->fd < 0)
		return;
	close(p->fd);
	if (p->path[0] != '\0')
		unlink(p->path);
	*p = (struct sock_place){ .fd = -1 };
}

int sock_accept(const struct sock_place *p)
{
	int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED || errno == EWOULDBLOCK ? -EAGAIN :
		       -errno;
	if (p->path[0] == '\0')
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

int sock_connect(const char *where, struct err *err)
{
	struct sockaddr_un a;
	int fd, rc;

	if (strncmp(where, "unix:", 5) != 0)
		return err_set(err, -EINVAL, "\"%s\": expected unix:PATH", where);
	rc = unix_address(where + 5, &a, err);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	rc = err_set(err, -errno, "%s: %s", where + 5, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}
