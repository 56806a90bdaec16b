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
#include "base/sock.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOW_MS 10000

struct gdb_server {
	struct sock_place place;	/* [const] */
	int wake;			/* [const] */
	const struct gdb_target *t;	/* [const] once the thread runs */
	pthread_t thread;
	bool started;
	_Atomic bool ending;
	/* The rest is the thread's. */
	int peer, refused;		/* -1: none */
	bool broken;			/* the peer's socket is of no use any more */
	struct gdb_session session;
};

int gdb_server_new(const char *where, struct gdb_server **ret_s, struct err *err)
{
	struct gdb_server *s = new0(struct gdb_server);
	int rc;

	if (s == NULL)
		return err_set(err, -ENOMEM, "no memory for a debugger");
	s->place.fd = s->peer = s->refused = -1;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		rc = err_set(err, -errno, "no event descriptor: %s", strerror(errno));
	else
		rc = sock_listen(where, &s->place, err);
	if (rc < 0) {
		gdb_server_free(s);
		return rc;
	}
	*ret_s = s;
	return 0;
}

const char *gdb_server_where(const struct gdb_server *s)
{
	return s->place.where;
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
	int fd = sock_accept(&s->place);

	if (fd < 0) {
		/* No descriptor left: the caller stays at the door, and we must not spin. */
		if (fd != -EAGAIN)
			poll(NULL, 0, 100);
		return;
	}
	if (s->peer >= 0) {
		refuse(s, fd);
		return;
	}
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
		{ .fd = s->wake, .events = POLLIN }, { .fd = s->place.fd, .events = POLLIN },
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
	sock_unlisten(&s->place);
	if (s->refused >= 0)
		close(s->refused);
	if (s->wake >= 0)
		close(s->wake);
	free(s);
}
