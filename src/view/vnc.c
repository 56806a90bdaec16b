/*
 * vnc.c - the sockets of the VNC server
 *
 * One thread serves all viewers: it carries bytes between their sockets and
 * their sessions (rfb.h), and thirty times a second gives those that wait for
 * one an update.  Nobody can hold it up: sockets never block, a session has at
 * most one update waiting, and who takes nothing of it for half a minute, or
 * does not come through the handshake in that time, is dropped.
 *
 * A wrong password is answered after a second.
 *
 * Missing  TLS: over a network use ssh to a Unix socket
 * Lock     none: all is the thread's
 */
#include "view/vnc.h"

#include "base/log.h"
#include "base/sock.h"
#include "view/rfb.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_VIEWERS 8
#define FRAME_NS (NS_PER_SEC / 30)
#define PATIENCE_NS (30 * NS_PER_SEC)
#define DENIED_NS NS_PER_SEC

struct viewer {
	int fd;				/* -1: free */
	bool broken;			/* the socket is of no use any more */
	uint64_t since_ns;		/* that it came, or that something went out */
	uint64_t hold_ns;		/* nothing goes out before */
	struct rfb s;
};

struct vnc {
	struct sock_place place;	/* [const] */
	int wake;			/* [const] */
	struct rfb_conf conf;		/* [const] */
	char name[64], password[RFB_PASSWORD + 1];	/* [const] */
	pthread_t thread;
	bool started;
	_Atomic bool ending;
	/* The rest is the thread's. */
	struct viewer viewer[MAX_VIEWERS];
	uint64_t frame_ns;		/* when updates were made last */
};

/* ---- one viewer ---------------------------------------------------------------- */

static void viewer_end(struct viewer *w)
{
	if (w->s.over)
		log_info("vnc", "a viewer was turned away: %s", w->s.why);
	rfb_close(&w->s);
	close(w->fd);
	w->fd = -1;
}

static void viewer_read(struct viewer *w, uint64_t now)
{
	bool was_denied = w->s.denied;
	uint8_t buf[4096];
	ssize_t n = recv(w->fd, buf, sizeof(buf), 0);

	if (n > 0)
		rfb_input(&w->s, buf, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		w->broken = true;
	if (w->s.denied && !was_denied)
		w->hold_ns = now + DENIED_NS;
}

static void viewer_write(struct viewer *w, uint64_t now)
{
	const uint8_t *buf;
	size_t n = rfb_pending(&w->s, &buf);
	ssize_t done;

	if (n == 0 || now < w->hold_ns)
		return;
	done = send(w->fd, buf, n, MSG_NOSIGNAL);
	if (done > 0) {
		rfb_sent(&w->s, (size_t)done);
		w->since_ns = now;
	} else if (done < 0 && errno != EINTR && errno != EAGAIN) {
		w->broken = true;
	}
}

/* Whether it has had its time; one that runs and has all it asked for may take any. */
static bool viewer_late(const struct viewer *w, uint64_t now)
{
	const uint8_t *buf;

	if (w->s.state == RFB_RUN && rfb_pending(&w->s, &buf) == 0)
		return false;
	return now - w->since_ns > PATIENCE_NS;
}

static void viewer_settle(struct viewer *w, uint64_t now)
{
	const uint8_t *buf;

	if (viewer_late(w, now)) {
		log_info("vnc", "a viewer took nothing for %u seconds and was dropped",
			 (unsigned)(PATIENCE_NS / NS_PER_SEC));
		w->broken = true;
	}
	if (w->broken || (w->s.over && rfb_pending(&w->s, &buf) == 0))
		viewer_end(w);
}

/* ---- the thread ---------------------------------------------------------------- */

static void take_caller(struct vnc *v, uint64_t now)
{
	int fd = sock_accept(&v->place);

	if (fd < 0) {
		if (fd != -EAGAIN)	/* it stays at the door, and we must not spin */
			poll(NULL, 0, 100);
		return;
	}
	for (unsigned i = 0; i < MAX_VIEWERS; i++) {
		struct viewer *w = &v->viewer[i];

		if (w->fd >= 0)
			continue;
		*w = (struct viewer){ .fd = fd, .since_ns = now };
		rfb_open(&w->s, &v->conf);
		return;
	}
	log_warn("vnc", "a viewer more than the %u that can watch was refused", MAX_VIEWERS);
	close(fd);
}

/* Milliseconds until something is to be done by the clock, -1: nothing is. */
static int next_ms(const struct vnc *v, uint64_t now)
{
	int ms = -1;

	for (unsigned i = 0; i < MAX_VIEWERS; i++) {
		const struct viewer *w = &v->viewer[i];

		if (w->fd < 0)
			continue;
		if (rfb_asks(&w->s)) {
			uint64_t left = v->frame_ns + FRAME_NS > now ? v->frame_ns + FRAME_NS - now : 0;

			return (int)(left / 1000000) + 1;
		}
		ms = 1000;
	}
	return ms;
}

static void serve(struct vnc *v, const struct pollfd *p, uint64_t now)
{
	bool frame = now - v->frame_ns >= FRAME_NS;

	for (unsigned i = 0; i < MAX_VIEWERS; i++) {
		struct viewer *w = &v->viewer[i];

		if (w->fd < 0 || p[i].fd != w->fd)	/* nobody, or just arrived */
			continue;
		if ((p[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			viewer_read(w, now);
		if (frame && rfb_asks(&w->s))
			rfb_update(&w->s);
		viewer_write(w, now);
		viewer_settle(w, now);
	}
	if (frame)
		v->frame_ns = now;
}

static void wait_once(struct vnc *v)
{
	struct pollfd p[MAX_VIEWERS + 2];
	uint64_t now = base_monotonic_ns();
	const uint8_t *buf;

	for (unsigned i = 0; i < MAX_VIEWERS; i++) {
		struct viewer *w = &v->viewer[i];
		bool out = w->fd >= 0 && rfb_pending(&w->s, &buf) > 0 && now >= w->hold_ns;

		p[i] = (struct pollfd){ .fd = w->fd, .events = (short)(POLLIN | (out ? POLLOUT : 0)) };
		if (w->fd >= 0 && w->s.over)	/* what it still says is not read */
			p[i].events = out ? POLLOUT : 0;
	}
	p[MAX_VIEWERS] = (struct pollfd){ .fd = v->place.fd, .events = POLLIN };
	p[MAX_VIEWERS + 1] = (struct pollfd){ .fd = v->wake, .events = POLLIN };
	if (poll(p, ARRAY_LEN(p), next_ms(v, now)) < 0)
		return;
	now = base_monotonic_ns();
	serve(v, p, now);
	if (p[MAX_VIEWERS].revents != 0)
		take_caller(v, now);
}

static void *vnc_thread(void *arg)
{
	struct vnc *v = arg;

	pthread_setname_np(pthread_self(), "vnc");
	while (!atomic_load(&v->ending))
		wait_once(v);
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		if (v->viewer[i].fd >= 0)
			viewer_end(&v->viewer[i]);
	return NULL;
}

/* ---- from outside -------------------------------------------------------------- */

static int read_password(struct vnc *v, const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	char line[64] = "";

	if (f == NULL)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '\0')
		return err_set(err, -EINVAL, "%s: expected a password of 1 to %u characters in its "
			       "first line", path, RFB_PASSWORD);
	if (strlen(line) > RFB_PASSWORD)
		log_warn("vnc", "%s: only the first %u characters of the password count", path,
			 RFB_PASSWORD);
	snprintf(v->password, sizeof(v->password), "%.*s", (int)RFB_PASSWORD, line);
	explicit_bzero(line, sizeof(line));
	v->conf.password = v->password;
	return 0;
}

static int open_all(struct vnc *v, const struct vnc_conf *conf, struct err *err)
{
	int rc = 0;

	if (conf->password_file != NULL)
		rc = read_password(v, conf->password_file, err);
	if (rc == 0)
		rc = sock_listen(conf->where, &v->place, err);
	if (rc < 0)
		return rc;
	if (!v->place.local && v->conf.password == NULL)
		return err_set(err, -EPERM, "%s: other hosts could connect without a password; give "
			       "--vnc-password FILE, or listen at 127.0.0.1 or unix:PATH",
			       v->place.where);
	v->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->wake < 0)
		return err_set(err, -errno, "no event descriptor: %s", strerror(errno));
	rc = pthread_create(&v->thread, NULL, vnc_thread, v);
	if (rc != 0)
		return err_set(err, -rc, "no thread for VNC: %s", strerror(rc));
	v->started = true;
	return 0;
}

int vnc_new(const struct vnc_conf *conf, struct vnc **ret_v, struct err *err)
{
	struct vnc *v = new0(struct vnc);
	int rc;

	if (v == NULL)
		return err_set(err, -ENOMEM, "no memory for VNC");
	v->place.fd = v->wake = -1;
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		v->viewer[i].fd = -1;
	snprintf(v->name, sizeof(v->name), "%s", conf->name);
	v->conf = (struct rfb_conf){ .disp = conf->disp, .input = conf->input, .name = v->name };
	rc = open_all(v, conf, err);
	if (rc < 0) {
		vnc_free(v);
		return rc;
	}
	*ret_v = v;
	return 0;
}

const char *vnc_where(const struct vnc *v)
{
	return v->place.where;
}

void vnc_free(struct vnc *v)
{
	const uint64_t one = 1;

	if (v == NULL)
		return;
	atomic_store(&v->ending, true);
	if (v->started) {
		while (write(v->wake, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(v->thread, NULL);
	}
	sock_unlisten(&v->place);
	if (v->wake >= 0)
		close(v->wake);
	explicit_bzero(v->password, sizeof(v->password));
	free(v);
}
