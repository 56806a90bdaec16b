/*
 * netctl.c - who asks about the switches of this process, or plugs into them
 *
 * Who asks is the same user, and may still be slow, confused or hostile (a
 * machine whose guest broke out): everything has a limit of time or number,
 * and each connection holds up nobody but itself.
 *
 * Lock     netctl.look for reading while a request looks at switches, for
 *          writing when one goes; netctl.lock around the list of
 *          connections
 */
#include "net/netctl.h"
#include "base/log.h"
#include "net/link_priv.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNS_MAX (VSWITCH_PORTS + 32u)
#define DEAF_MS 100			/* when there is no descriptor left for another */

struct conn {
	struct conn *next;
	struct netctl *n;		/* [const] */
	int sock;			/* [lock] -1: closed */
	pthread_t thread;		/* [main] */
	bool done;			/* [lock] to be joined */
};

struct netctl {
	struct netctl_conf conf;	/* [const] */
	int wake;			/* [const] */
	atomic_bool stop;
	pthread_rwlock_t look;
	struct roster *rosters[NETCTL_ROSTERS];	/* [look], but one may come behind them */
	atomic_uint nr_rosters;		/* the same */
	pthread_mutex_t lock;
	struct conn *first;		/* [lock] */
	unsigned nr;			/* [lock] */
};

void netctl_refuse(int sock, const char *why)
{
	json_t *msg = json_pack("{s:s}", "error", why);

	if (msg != NULL)
		(void)!link_send(sock, msg, -1);
	json_decref(msg);
}

static void wake_main(struct netctl *n)
{
	uint64_t one = 1;

	(void)!write(n->wake, &one, sizeof(one));
}

/* ---- requests --------------------------------------------------------------- */

static int emit(void *arg, json_t *msg)
{
	int rc = msg == NULL ? -ENOMEM : link_send(*(int *)arg, msg, -1);

	json_decref(msg);
	return rc;
}

static void show(struct netctl *n, int sock)
{
	int rc = 0;

	for (unsigned i = 0; i < n->nr_rosters && rc >= 0; i++)
		rc = roster_show(n->rosters[i], emit, &sock);
	if (rc >= 0)
		(void)!emit(&sock, json_pack("{s:b}", "end", 1));
}

/* Everything from all switches (NAME) or one port into FILE; how many ports. */
static int begin_capture(struct netctl *n, const char *port, struct pcapng *file, struct err *err)
{
	int nr = 0, rc = 0;

	for (unsigned i = 0; i < n->nr_rosters; i++) {
		rc = roster_capture(n->rosters[i], *port != '\0' ? port : NULL, file, err);
		if (rc == -ENOENT)
			continue;
		if (rc < 0)
			return rc;
		nr += rc;
	}
	return nr > 0 || *port == '\0' ? nr : -ENOENT;
}

/* Until the asker says, or is gone. */
static void wait_for_end(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLIN | POLLRDHUP };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

static void capture(struct netctl *n, int sock, const json_t *ask, int fd)
{
	struct err err = { "" };
	struct pcapng_stats st;
	struct pcapng *file;
	struct stat s;
	json_t *msg;
	int nr;

	/* Writing must not be something that whoever holds the other end can stop. */
	if (fd < 0 || fstat(fd, &s) < 0 || !S_ISREG(s.st_mode)) {
		if (fd >= 0)
			close(fd);
		return netctl_refuse(sock, "a capture goes into a plain file");
	}
	if (pcapng_open_fd(fd, "file", &file, &err) < 0)
		return netctl_refuse(sock, err.msg);
	nr = begin_capture(n, link_text(ask, "port"), file, &err);
	if (nr < 0) {
		netctl_refuse(sock, err.msg);
	} else {
		(void)!emit(&sock, json_pack("{s:b, s:i}", "ok", 1, "ports", nr));
		wait_for_end(sock);
	}
	for (unsigned i = 0; i < n->nr_rosters; i++)
		roster_capture_end(n->rosters[i], file);
	pcapng_stats(file, &st);
	pcapng_close(file);
	if (nr < 0)
		return;
	msg = json_pack("{s:I, s:I, s:s}", "frames", (json_int_t)st.frames, "lost", (json_int_t)st.lost, "error",
			st.error < 0 ? strerror(-st.error) : "");
	(void)!emit(&sock, msg);
}

static void answer(struct netctl *n, int sock, const json_t *ask, int fd)
{
	const char *what = link_text(ask, "do");

	pthread_rwlock_rdlock(&n->look);
	if (strcmp(what, "capture") == 0) {
		capture(n, sock, ask, fd);
		fd = -1;
	} else if (strcmp(what, "show") == 0) {
		show(n, sock);
	} else {
		what = NULL;
	}
	pthread_rwlock_unlock(&n->look);
	if (fd >= 0)
		close(fd);
	if (what != NULL)
		return;
	if (n->conf.other == NULL || !n->conf.other(n->conf.arg, sock, ask))
		netctl_refuse(sock, "that request is not known here");
}

/* ---- switches that come and go ---------------------------------------------- */

int netctl_add(struct netctl *n, struct roster *r)
{
	unsigned nr = atomic_load(&n->nr_rosters);

	if (nr == NETCTL_ROSTERS)
		return -ENOSPC;
	n->rosters[nr] = r;
	atomic_store(&n->nr_rosters, nr + 1);	/* now it is there; a capture may go on for hours */
	return 0;
}

/* Who waits for the end of his capture takes it for that. */
static void end_captures(struct netctl *n)
{
	pthread_mutex_lock(&n->lock);
	for (struct conn *c = n->first; c != NULL; c = c->next)
		if (c->sock >= 0)
			shutdown(c->sock, SHUT_RD);
	pthread_mutex_unlock(&n->lock);
}

void netctl_remove(struct netctl *n, struct roster *r)
{
	/* Again and again: one may have begun since. */
	while (pthread_rwlock_trywrlock(&n->look) != 0) {
		end_captures(n);
		usleep(1000);
	}
	for (unsigned i = 0; i < n->nr_rosters; i++)
		if (n->rosters[i] == r)
			n->rosters[i--] = n->rosters[--n->nr_rosters];
	pthread_rwlock_unlock(&n->look);
}

/* ---- connections ------------------------------------------------------------ */

static void *conn_run(void *arg)
{
	struct conn *c = arg;
	struct netctl *n = c->n;
	json_t *ask;
	int fd, rc;

	rc = link_limits(c->sock);
	if (rc == 0)
		rc = link_same_user(c->sock);
	if (rc == 0)
		rc = link_recv(c->sock, &ask, &fd);
	if (rc == 0) {
		answer(n, c->sock, ask, fd);
		json_decref(ask);
	}
	pthread_mutex_lock(&n->lock);
	close(c->sock);
	c->sock = -1;
	c->done = true;
	pthread_mutex_unlock(&n->lock);
	wake_main(n);
	return NULL;
}

/* Takes out of the list one that is done, or with ALL any; NULL: none. */
static struct conn *take(struct netctl *n, bool all)
{
	struct conn **at, *c;

	pthread_mutex_lock(&n->lock);
	for (at = &n->first; *at != NULL && !all && !(*at)->done;)
		at = &(*at)->next;
	c = *at;
	if (c != NULL) {
		*at = c->next;
		n->nr--;
	}
	pthread_mutex_unlock(&n->lock);
	return c;
}

static void join(struct netctl *n, bool all)
{
	struct conn *c;

	while ((c = take(n, all)) != NULL) {
		pthread_mutex_lock(&n->lock);
		if (c->sock >= 0)
			shutdown(c->sock, SHUT_RDWR);
		pthread_mutex_unlock(&n->lock);
		pthread_join(c->thread, NULL);
		free(c);
	}
}

/* False: there is one, and it cannot be taken now. */
static bool take_connection(struct netctl *n)
{
	int sock = accept4(n->conf.listen, NULL, NULL, SOCK_CLOEXEC);
	struct conn *c;

	if (sock < 0)
		return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
	c = n->nr < CONNS_MAX ? new0(struct conn) : NULL;
	if (c == NULL) {
		close(sock);
		return true;
	}
	*c = (struct conn){ .n = n, .sock = sock };
	pthread_mutex_lock(&n->lock);
	if (pthread_create(&c->thread, NULL, conn_run, c) == 0) {
		c->next = n->first;
		n->first = c;
		n->nr++;
		c = NULL;
	}
	pthread_mutex_unlock(&n->lock);
	if (c != NULL) {
		close(sock);
		free(c);
	}
	return true;
}

void netctl_run(struct netctl *n, uint64_t idle_ns, int quit)
{
	struct pollfd p[3] = {
		{ .fd = n->wake, .events = POLLIN }, { .fd = n->conf.listen, .events = POLLIN },
		{ .fd = quit, .events = POLLIN },
	};
	uint64_t idle_since = base_monotonic_ns(), count;
	bool deaf = false;

	while (!atomic_load(&n->stop)) {
		uint64_t now = base_monotonic_ns();
		bool busy = n->nr != 0;
		int timeout = -1;

		if (!busy && idle_ns != 0 && now - idle_since >= idle_ns)
			break;
		if (!busy && idle_ns != 0)
			timeout = (int)((idle_since + idle_ns - now) / 1000000) + 1;
		p[1].fd = deaf ? -1 : n->conf.listen;
		if (poll(p, 3, deaf ? DEAF_MS : timeout) < 0)
			continue;
		if (p[2].revents)
			break;
		if (p[0].revents)
			(void)!read(n->wake, &count, sizeof(count));
		deaf = p[1].revents && !take_connection(n);
		join(n, false);
		if (busy)
			idle_since = base_monotonic_ns();
	}
	join(n, true);
}

void netctl_stop(struct netctl *n)
{
	atomic_store(&n->stop, true);
	wake_main(n);
}

int netctl_new(const struct netctl_conf *conf, struct netctl **ret_n, struct err *err)
{
	struct netctl *n = new0(struct netctl);

	if (n != NULL) {
		n->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		n->conf = *conf;
		BUG_IF(conf->nr > NETCTL_ROSTERS);
		if (conf->nr != 0)
			memcpy(n->rosters, conf->rosters, conf->nr * sizeof(n->rosters[0]));
		atomic_init(&n->nr_rosters, conf->nr);
		pthread_rwlock_init(&n->look, NULL);
		pthread_mutex_init(&n->lock, NULL);
		if (n->wake >= 0) {
			*ret_n = n;
			return 0;
		}
		pthread_rwlock_destroy(&n->look);
		pthread_mutex_destroy(&n->lock);
		free(n);
	}
	close(conf->listen);
	return err_set(err, -ENOMEM, "no memory to listen with");
}

void netctl_free(struct netctl *n)
{
	if (n == NULL)
		return;
	BUG_IF(n->first != NULL);
	close(n->conf.listen);
	close(n->wake);
	pthread_rwlock_destroy(&n->look);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
