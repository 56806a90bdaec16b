/*
 * server.c - the socket a debugger connects to
 *
 * One thread, one peer.  A second one is told so in a packet that gdb prints,
 * and its connection is closed.  Writing never waits for ever: a peer that
 * does not read for ten seconds is dropped, and the guest goes on.
 *
 * Lock     none: what other threads say is a count in an eventfd
 */
#include "gdb/session.h"

#include "base/log.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOW_MS 10000

struct gdb_server {
	int listener, wake;		/* [const] */
	char where[128];		/* [const] */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];	/* [const] to unlink, or "" */
	const struct gdb_target *t;	/* [const] once the thread runs */
	pthread_t thread;
	bool started;
	_Atomic bool ending;
	/* The rest is the thread's. */
	int peer, refused;		/* -1: none */
	bool broken;			/* the peer's socket is of no use any more */
	struct gdb_session session;
};

/* ---- listening --------------------------------------------------------------- */

static int listen_unix(struct gdb_server *s, const char *path, struct err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, rc;

	if (path[0] == '\0' || strlen(path) >= sizeof(a.sun_path))
		return err_set(err, -EINVAL, "a socket's path has 1 to %zu characters",
			       sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	/* A socket that nobody listens at is left over from before. */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	}
	strcpy(s->path, path);
	s->listener = fd;
	/* Before anybody can connect. */
	if (chmod(path, 0600) < 0 || listen(fd, 4) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int bind_one(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 4) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void name_tcp(struct gdb_server *s)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	char host[64] = "?", port[16] = "?";

	if (getsockname(s->listener, (struct sockaddr *)&a, &n) == 0)
		getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(s->where, sizeof(s->where), a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
		 port);
}

/* "PORT", "HOST:PORT", "[HOST]:PORT" */
static int listen_tcp(struct gdb_server *s, const char *where, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const char *colon = strrchr(where, ':'), *port = colon == NULL ? where : colon + 1;
	struct addrinfo *list;
	char host[80] = "127.0.0.1";
	unsigned long n;
	char *end;
	int rc;

	n = strtoul(port, &end, 10);
	if (port[0] < '0' || port[0] > '9' || *end != '\0' || n > 65535 ||
	    (colon != NULL && (colon == where || (size_t)(colon - where) >= sizeof(host))))
		return err_set(err, -EINVAL,
			       "\"%s\": expected PORT, HOST:PORT or unix:PATH", where);
	if (colon != NULL) {
		bool v6 = where[0] == '[' && colon[-1] == ']';

		snprintf(host, sizeof(host), "%.*s", (int)(colon - where) - (v6 ? 2 : 0),
			 where + v6);
	}
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0)
		return err_set(err, -EINVAL, "\"%s\": %s", where, gai_strerror(rc));
	s->listener = bind_one(list);
	freeaddrinfo(list);
	if (s->listener < 0)
		return err_set(err, s->listener, "%s: %s", where, strerror(-s->listener));
	name_tcp(s);
	return 0;
}

int gdb_server_new(const char *where, struct gdb_server **ret_s, struct err *err)
{
	struct gdb_server *s = new0(struct gdb_server);
	int rc;

	if (s == NULL)
		return err_set(err, -ENOMEM, "no memory for a debugger");
	s->listener = s->peer = s->refused = -1;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0) {
		rc = err_set(err, -errno, "no event descriptor: %s", strerror(errno));
	} else if (strncmp(where, "unix:", 5) == 0) {
		rc = listen_unix(s, where + 5, err);
		snprintf(s->where, sizeof(s->where), "%.120s", where + 5);
	} else {
		rc = listen_tcp(s, where, err);
	}
	if (rc < 0) {
		gdb_server_free(s);
		return rc;
	}
	*ret_s = s;
	return 0;
}

const char *gdb_server_where(const struct gdb_server *s)
{
	return s->where;
}

/* ---- the peer ---------------------------------------------------------------- */

static void send_all(void *arg, const void *buf, size_t n)
{
	struct gdb_server *s = arg;
	const char *p = buf;

	while (n > 0 && !s->broken) {
		struct pollfd pfd = { .fd = s->peer, .events = POLLOUT };
		ssize_t done = send(s->peer, p, n, MSG_NOSIGNAL);

		if (done >= 0) {
			p += done;
			n -= (size_t)done;
		} else if (errno != EINTR && errno != EAGAIN) {
			s->broken = true;
		} else if (errno == EAGAIN && poll(&pfd, 1, SLOW_MS) == 0) {
			s->broken = true;
		}
	}
}

static void drop_peer(struct gdb_server *s)
{
	gdb_session_close(&s->session);
	close(s->peer);
	s->peer = -1;
}

static void read_peer(struct gdb_server *s)
{
	char buf[4096];
	ssize_t n = recv(s->peer, buf, min_u64(sizeof(buf), gdb_session_room(&s->session)), 0);

	if (n > 0)
		gdb_session_input(&s->session, buf, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		s->broken = true;
}

/* gdb answers its first packet's error with a warning that shows these words. */
static void refuse(struct gdb_server *s, int fd)
{
	struct gdb_out *o = &(struct gdb_out){ .n = 0 };

	gdb_out_begin(o);
	gdb_out_text(o, "E.another debugger is attached to this machine");
	gdb_out_end(o);
	if (send(fd, "+", 1, MSG_NOSIGNAL) < 0 || send(fd, o->buf, o->n, MSG_NOSIGNAL) < 0)
		log_debug("gdb", "a second debugger went before it was refused");
	shutdown(fd, SHUT_WR);
	/* Closing with its bytes unread would take ours away: until it closes, or another comes. */
	if (s->refused >= 0)
		close(s->refused);
	s->refused = fd;
}

static void take_caller(struct gdb_server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	if (fd < 0) {
		/* No descriptor left: the caller stays at the door, and we must not spin. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			poll(NULL, 0, 100);
		return;
	}
	if (s->peer >= 0) {
		refuse(s, fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->peer = fd;
	s->broken = false;
	gdb_session_open(&s->session, s->t, send_all, s);
}

static void drain_refused(struct gdb_server *s)
{
	char buf[4096];
	ssize_t n = recv(s->refused, buf, sizeof(buf), 0);

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
		close(s->refused);
		s->refused = -1;
	}
}

/* ---- the thread -------------------------------------------------------------- */

static void wait_once(struct gdb_server *s)
{
	bool room = s->peer >= 0 && gdb_session_room(&s->session) > 0;
	struct pollfd p[] = {
		{ .fd = s->wake, .events = POLLIN }, { .fd = s->listener, .events = POLLIN },
		{ .fd = s->peer, .events = room ? POLLIN : 0 },
		{ .fd = s->refused, .events = POLLIN },
	};
	uint64_t count;

	if (poll(p, ARRAY_LEN(p), -1) < 0)
		return;
	if (p[0].revents != 0 && read(s->wake, &count, sizeof(count)) < 0)
		return;
	if (p[3].revents != 0)
		drain_refused(s);
	if (s->peer >= 0)
		gdb_session_poll(&s->session);
	if (s->peer >= 0 && room && p[2].revents != 0)
		read_peer(s);
	else if (p[2].revents & (POLLHUP | POLLERR | POLLNVAL))
		s->broken = true;
	if (s->peer >= 0 && (s->broken || s->session.over))
		drop_peer(s);
	if (p[1].revents != 0)
		take_caller(s);
}

static void *server_thread(void *arg)
{
	struct gdb_server *s = arg;

	pthread_setname_np(pthread_self(), "gdb");
	while (!atomic_load(&s->ending))
		wait_once(s);
	if (s->peer >= 0) {
		gdb_session_poll(&s->session);
		drop_peer(s);
	}
	return NULL;
}

int gdb_server_start(struct gdb_server *s, const struct gdb_target *t, struct err *err)
{
	int rc;

	s->t = t;
	rc = pthread_create(&s->thread, NULL, server_thread, s);
	if (rc != 0)
		return err_set(err, -rc, "no thread for a debugger: %s", strerror(rc));
	s->started = true;
	return 0;
}

void gdb_server_notify(struct gdb_server *s)
{
	const uint64_t one = 1;

	while (write(s->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void gdb_server_free(struct gdb_server *s)
{
	if (s == NULL)
		return;
	atomic_store(&s->ending, true);
	if (s->started) {
		gdb_server_notify(s);
		pthread_join(s->thread, NULL);
	}
	if (s->listener >= 0)
		close(s->listener);
	if (s->path[0] != '\0')
		unlink(s->path);
	if (s->refused >= 0)
		close(s->refused);
	if (s->wake >= 0)
		close(s->wake);
	free(s);
}
