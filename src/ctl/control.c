/*
 * control.c - the control socket's connections
 *
 * One thread for all.  It never waits for a peer: who does not take a short
 * answer at once is dropped.  A request to type is answered when the typist is
 * done; the connection's next line waits for that.
 *
 * Missing  requests that reset the machine or change media, and events
 * Lock     none: all is the thread's
 */
#include "ctl/control_priv.h"

#include "base/log.h"
#include "base/sock.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PEERS 16

struct peer {
	int fd;				/* -1: free */
	bool waits;			/* for the typist */
	bool broken;
	size_t n;
	char line[CONTROL_MAX_LINE];
};

struct control {
	struct control_conf conf;	/* [const] but where, which is gone */
	struct sock_place place;	/* [const] */
	int wake;			/* [const] */
	pthread_t thread;
	bool started;
	_Atomic bool ending;
	struct typist typist;		/* from here on the thread's */
	struct peer peer[MAX_PEERS];
};

/* ---- one peer ------------------------------------------------------------------ */

static void send_answer(struct peer *p, const char *text, size_t n, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)text, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = space;
		m.msg_controllen = sizeof(space);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(p->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
		p->broken = true;
}

/* Takes A. */
static void answer(struct peer *p, struct control_answer *a)
{
	char *text = a->json == NULL ? NULL : json_dumps(a->json, JSON_COMPACT);
	size_t n = text == NULL ? 0 : strlen(text);

	if (text == NULL) {
		p->broken = true;
	} else {
		text[n] = '\n';		/* instead of the end */
		send_answer(p, text, n + 1, a->fd);
	}
	free(text);
	json_decref(a->json);
	if (a->fd >= 0)
		close(a->fd);
}

/* The lines that are there, until one has to wait. */
static void peer_lines(struct control *c, struct peer *p)
{
	char *end;

	while (!p->waits && !p->broken && (end = memchr(p->line, '\n', p->n)) != NULL) {
		size_t n = (size_t)(end - p->line);
		struct control_answer a;

		control_do(&c->conf, &c->typist, p->line, n, &a);
		p->n -= n + 1;
		memmove(p->line, end + 1, p->n);
		if (a.json == NULL && typist_busy(&c->typist))
			p->waits = true;
		else
			answer(p, &a);
	}
	if (!p->waits && p->n == sizeof(p->line)) {
		struct control_answer a = { control_error("a line is too long"), -1 };

		answer(p, &a);
		p->broken = true;
	}
}

static void peer_read(struct control *c, struct peer *p)
{
	ssize_t n = recv(p->fd, p->line + p->n, sizeof(p->line) - p->n, MSG_DONTWAIT);

	if (n > 0) {
		p->n += (size_t)n;
		peer_lines(c, p);
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		p->broken = true;
	}
}

/* ---- the thread ---------------------------------------------------------------- */

static void take_caller(struct control *c)
{
	int fd = sock_accept(&c->place);

	if (fd < 0) {
		if (fd != -EAGAIN)
			poll(NULL, 0, 100);
		return;
	}
	for (unsigned i = 0; i < MAX_PEERS; i++)
		if (c->peer[i].fd < 0) {
			c->peer[i].fd = fd;
			c->peer[i].waits = c->peer[i].broken = false;
			c->peer[i].n = 0;
			return;
		}
	close(fd);
}

/* Types what is due; whoever waits for the end is told.  When to come again, 0: never. */
static uint64_t type_on(struct control *c, uint64_t now)
{
	int rc;
	uint64_t next = typist_step(&c->typist, now, &rc);

	for (unsigned i = 0; i < MAX_PEERS && next == 0; i++) {
		struct peer *p = &c->peer[i];
		struct control_answer a = { NULL, -1 };

		if (p->fd < 0 || !p->waits)
			continue;
		a.json = rc == 0 ? control_ok() :
			 control_error("the guest took no key for ten seconds");
		p->waits = false;
		answer(p, &a);
		peer_lines(c, p);
		if (typist_busy(&c->typist))	/* its next line began something */
			return now;
	}
	return next;
}

/* Who broke by an answer will not be heard of again: nothing to wait for. */
static void close_broken(struct control *c)
{
	for (unsigned i = 0; i < MAX_PEERS; i++)
		if (c->peer[i].fd >= 0 && c->peer[i].broken) {
			close(c->peer[i].fd);
			c->peer[i].fd = -1;
		}
}

static void wait_once(struct control *c)
{
	struct pollfd p[MAX_PEERS + 2];
	uint64_t now = base_monotonic_ns(), next = type_on(c, now);
	int ms = next == 0 ? -1 : next <= now ? 0 : (int)((next - now) / 1000000) + 1;

	close_broken(c);
	for (unsigned i = 0; i < MAX_PEERS; i++)
		p[i] = (struct pollfd){ .fd = c->peer[i].fd,
					.events = c->peer[i].waits ? 0 : POLLIN };
	p[MAX_PEERS] = (struct pollfd){ .fd = c->place.fd, .events = POLLIN };
	p[MAX_PEERS + 1] = (struct pollfd){ .fd = c->wake, .events = POLLIN };
	if (poll(p, ARRAY_LEN(p), ms) < 0)
		return;
	for (unsigned i = 0; i < MAX_PEERS; i++) {
		struct peer *peer = &c->peer[i];

		if (peer->fd >= 0 && (p[i].revents & POLLIN) != 0)
			peer_read(c, peer);
		else if (peer->fd >= 0 && (p[i].revents & (POLLHUP | POLLERR)) != 0)
			peer->broken = true;
	}
	close_broken(c);
	if (p[MAX_PEERS].revents != 0)
		take_caller(c);
}

static void *control_thread(void *arg)
{
	struct control *c = arg;

	pthread_setname_np(pthread_self(), "control");
	while (!atomic_load(&c->ending))
		wait_once(c);
	for (unsigned i = 0; i < MAX_PEERS; i++)
		if (c->peer[i].fd >= 0)
			close(c->peer[i].fd);
	return NULL;
}

/* ---- from outside -------------------------------------------------------------- */

int control_new(const struct control_conf *conf, struct control **ret_c, struct err *err)
{
	struct control *c = new0(struct control);
	int rc;

	if (c == NULL)
		return err_set(err, -ENOMEM, "no memory for the control socket");
	c->conf = *conf;
	c->typist.input = conf->input;
	c->place.fd = c->wake = -1;
	for (unsigned i = 0; i < MAX_PEERS; i++)
		c->peer[i].fd = -1;
	if (strncmp(conf->where, "unix:", 5) != 0)
		rc = err_set(err, -EINVAL, "\"%s\": expected unix:PATH", conf->where);
	else
		rc = sock_listen(conf->where, &c->place, err);
	if (rc == 0) {
		c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		rc = c->wake < 0 ? -errno : -pthread_create(&c->thread, NULL, control_thread, c);
		if (rc < 0)
			err_fill(err, "no thread for the control socket: %s", strerror(-rc));
	}
	if (rc < 0) {
		control_free(c);
		return rc;
	}
	c->started = true;
	*ret_c = c;
	return 0;
}

const char *control_where(const struct control *c)
{
	return c->place.where;
}

void control_free(struct control *c)
{
	const uint64_t one = 1;

	if (c == NULL)
		return;
	atomic_store(&c->ending, true);
	if (c->started) {
		while (write(c->wake, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(c->thread, NULL);
	}
	sock_unlisten(&c->place);
	if (c->wake >= 0)
		close(c->wake);
	free(c);
}

int control_default(const char *first_disk, char *ret_where, size_t n)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char dir[200];

	if (run != NULL && run[0] == '/') {
		int len = snprintf(dir, sizeof(dir), "%s/genvisor", run);

		if (len > 0 && (size_t)len < sizeof(dir) &&
		    (mkdir(dir, 0700) == 0 || errno == EEXIST)) {
			snprintf(ret_where, n, "unix:%s/%d", dir, (int)getpid());
			return 0;
		}
	}
	if (first_disk == NULL)
		return -ENOENT;
	snprintf(ret_where, n, "unix:%s.control", first_disk);
	return 0;
}
