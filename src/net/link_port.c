/*
 * link_port.c - a port of a switch that runs in another process
 *
 * A thread reads what the switch sends and gives it to the owner; what the
 * owner has no room for stays in the lane, so a slow guest fills its own lane
 * and nobody else's.  Sending is done by whoever sends.
 *
 * The switch may be gone at any moment.  Frames are taken and lost then, as
 * with a cable that is out, and the guest is told that it is out.
 *
 * Lock     link_end.lock (leaf) around sending; bind around calls to the
 *          owner, so that none is running when it lets go; both never together
 */
#include "net/link_port.h"
#include "base/log.h"
#include "net/link_priv.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_MS 200u			/* between two looks for the switch, which may start it; doubled each time */
#define RETRY_MAX_MS 5000u
#define STEADY_NS (10 * NS_PER_SEC)	/* one that lasted so long is looked for at once */
#define SAY_MAX 20			/* times that it is said to have gone */

struct link_port {
	struct port port;		/* [const] */
	char *sw, *words;		/* [const] owned */
	int (*reach)(const char *sw, struct err *err);	/* [const] */
	int wake;			/* [const] an eventfd of our own */
	pthread_t thread;
	atomic_bool stop;
	struct link_end end;
	atomic_bool spoof;		/* as the switch said last */
	uint64_t met_ns;		/* [thread] when the switch was found */
	unsigned pause_ms;		/* [thread] before the next look */
	unsigned reconnects;		/* [thread] */
	struct log_limit limit;

	pthread_mutex_t bind;
	const struct port_client *client;	/* [bind] */
	void *dev;			/* [bind] */
	struct port_caps caps;		/* [bind] */
	bool up;			/* [bind] */
	uint64_t bps;			/* [bind] */
	bool full;			/* [thread] the owner has no room for the next frame */
	atomic_bool room;		/* it has since said that there is some */
};

static struct link_port *link_of(struct port *p)
{
	return CONTAINER_OF(p, struct link_port, port);
}

static void wake_thread(struct link_port *l)
{
	uint64_t one = 1;

	(void)!write(l->wake, &one, sizeof(one));
}

/* ---- the owner's side ------------------------------------------------------- */

static unsigned link_port_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	struct link_port *l = link_of(p);
	unsigned done = link_end_put(&l->end, f, nr);

	link_end_flush(&l->end);
	return done;
}

static void link_port_room(struct port *p)
{
	struct link_port *l = link_of(p);

	atomic_store(&l->room, true);
	wake_thread(l);
}

static void tell_caps(struct link_port *l)
{
	const struct link_note n = { .what = LINK_CAPS, .caps = l->caps };

	if (!link_end_news(&l->end, &n))
		wake_thread(l);
}

static void link_port_bind(struct port *p, const struct port_client *client, void *dev,
			   const struct port_caps *caps)
{
	struct link_port *l = link_of(p);

	pthread_mutex_lock(&l->bind);
	l->client = client;
	l->dev = dev;
	l->caps = caps != NULL ? *caps : (struct port_caps){ 0 };
	tell_caps(l);
	if (client != NULL && client->link != NULL)
		client->link(dev, l->up, l->bps);
	pthread_mutex_unlock(&l->bind);
	link_port_room(p);
}

static void link_port_caps(struct port *p, const struct port_caps *caps)
{
	struct link_port *l = link_of(p);

	pthread_mutex_lock(&l->bind);
	l->caps = *caps;
	tell_caps(l);
	pthread_mutex_unlock(&l->bind);
}

static bool link_port_may_spoof(const struct port *p)
{
	return atomic_load(&((const struct link_port *)p)->spoof);
}

static const struct port_ops link_port_ops = {
	.may_spoof = link_port_may_spoof,
	.send = link_port_send,
	.room = link_port_room,
	.bind = link_port_bind,
	.set_caps = link_port_caps,
};

/* ---- meeting the switch ----------------------------------------------------- */

/* The memory that came with the answer, if it is what it should be. */
static int map_memory(int fd, void **ret_mem)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *mem;

	/* Sealed: nobody can make it shorter, so that touching it can kill nobody. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || st.st_size < (off_t)LINK_MEM)
		return -EPROTO;
	mem = mmap(NULL, LINK_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	*ret_mem = mem;
	return 0;
}

static int refused(const struct link_port *l, const json_t *answer, struct err *err)
{
	const char *why = link_text(answer, "error");

	return err_set(err, -EREMOTEIO, "switch %s: %.400s", l->sw, *why != '\0' ? why : "its answer makes no sense");
}

/* The first words on SOCK; then it belongs to the link. */
static int shake_hands(struct link_port *l, int sock, struct err *err)
{
	const uint8_t *m = l->port.mac;
	char mac[18];
	json_t *ask, *answer = NULL;
	void *mem = NULL;
	int rc, fd = -1;

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	ask = json_pack("{s:s, s:s, s:s, s:s}", "do", "port", "name", l->port.name, "mac", mac, "words", l->words);
	rc = ask == NULL ? -ENOMEM : link_send(sock, ask, -1);
	json_decref(ask);
	if (rc == 0)
		rc = link_recv(sock, &answer, &fd);
	if (rc < 0)
		return err_set(err, rc, "switch %s: %s", l->sw, strerror(-rc));
	if (json_is_true(json_object_get(answer, "ok")) && fd >= 0)
		rc = map_memory(fd, &mem);
	else
		rc = refused(l, answer, err);
	json_decref(answer);
	if (fd >= 0)
		close(fd);
	if (rc == -EREMOTEIO)
		return rc;
	if (rc < 0)
		return err_set(err, rc, "switch %s: its memory cannot be used: %s", l->sw, strerror(-rc));
	link_end_open(&l->end, sock, mem, false);
	return 0;
}

static void set_link(struct link_port *l, bool up, uint64_t bps)
{
	pthread_mutex_lock(&l->bind);
	if (l->client != NULL && l->client->link != NULL && (up != l->up || bps != l->bps))
		l->client->link(l->dev, up, bps);
	l->up = up;
	l->bps = bps;
	pthread_mutex_unlock(&l->bind);
}

static int meet(struct link_port *l, struct err *err)
{
	int sock = l->reach(l->sw, err), rc;

	if (sock < 0)
		return sock;
	rc = link_limits(sock);
	if (rc == 0)
		rc = link_same_user(sock);
	if (rc < 0)
		err_fill(err, "switch %s: %s", l->sw, strerror(-rc));
	else
		rc = shake_hands(l, sock, err);
	if (rc < 0) {
		close(sock);
		return rc;
	}
	l->met_ns = base_monotonic_ns();
	pthread_mutex_lock(&l->bind);
	tell_caps(l);
	pthread_mutex_unlock(&l->bind);
	return 0;
}

/* ---- the thread ------------------------------------------------------------- */

/* Gives NR frames to the owner; how many it took. */
static unsigned give(struct link_port *l, const struct net_frame *f, unsigned nr)
{
	unsigned done = 0;

	pthread_mutex_lock(&l->bind);
	if (l->client == NULL)
		done = nr;
	else
		while (done < nr && l->client->deliver(l->dev, &f[done]) == 0)
			done++;
	if (done > 0 && l->client != NULL && l->client->deliver_end != NULL)
		l->client->deliver_end(l->dev);
	pthread_mutex_unlock(&l->bind);
	return done;
}

/* Frames from the switch.  How many there were, or -errno: no more of this switch. */
static int receive(struct link_port *l)
{
	struct net_frame f[LANE_BATCH];
	struct iovec iov[LANE_BATCH];
	int nr = lane_peek(&l->end.rx, f, iov);
	unsigned done;

	if (nr <= 0)
		return nr;
	atomic_store(&l->room, false);
	done = give(l, f, (unsigned)nr);
	if (lane_done(&l->end.rx, done))
		link_end_wake(&l->end);
	/* It may have said that there is room before we noted that there is none. */
	l->full = done < (unsigned)nr && !atomic_load(&l->room);
	return nr;
}

/* What the switch says; -errno: it is gone. */
static int listen_to(struct link_port *l)
{
	struct link_note g;
	int rc;

	while ((rc = link_end_read(&l->end, &g)) > 0) {
		if (g.what != LINK_STATE && g.what != LINK_WAKE)
			return -EPROTO;
		if (g.what == LINK_WAKE)
			continue;
		atomic_store(&l->spoof, g.spoof != 0);
		set_link(l, g.up != 0, g.bps);
	}
	if (rc == 0 && atomic_exchange(&l->end.waiting, false)) {
		pthread_mutex_lock(&l->bind);
		if (l->client != NULL)
			l->client->resume(l->dev);
		pthread_mutex_unlock(&l->bind);
	}
	return rc;
}

static void sleep_on(struct link_port *l, int fd, int timeout_ms)
{
	struct pollfd p[2] = {
		{ .fd = l->wake, .events = POLLIN }, { .fd = fd, .events = link_end_events(&l->end) },
	};
	uint64_t count;

	if (poll(p, fd >= 0 ? 2 : 1, timeout_ms) > 0 && p[0].revents)
		(void)!read(l->wake, &count, sizeof(count));
	if (atomic_exchange(&l->room, false))
		l->full = false;
}

/* As long as this switch is there. */
static int serve(struct link_port *l)
{
	int rc = 0;

	while (rc >= 0 && !atomic_load(&l->stop)) {
		rc = l->full ? 0 : receive(l);
		/* Nothing to read, or nobody to take it: then frames need not wake us. */
		if (rc == 0 && (l->full || lane_sleep(&l->end.rx))) {
			sleep_on(l, l->end.fd, -1);
			lane_awake(&l->end.rx);
		}
		if (rc >= 0)
			rc = listen_to(l);
	}
	return rc;
}

/* A switch that dies again and again is not worth a line each time. */
static void say(struct link_port *l, const char *what)
{
	if (l->reconnects < SAY_MAX)
		log_warn("net", "%s: switch %s is %s", l->port.name, l->sw, what);
}

/* The owner may wake us as often as it likes. */
static void pause_between(struct link_port *l)
{
	uint64_t until = base_monotonic_ns() + l->pause_ms * (NS_PER_SEC / 1000), now;

	while (!atomic_load(&l->stop) && (now = base_monotonic_ns()) < until)
		sleep_on(l, -1, (int)((until - now) / 1000000) + 1);
	l->pause_ms = (unsigned)min_u64(max_u64(l->pause_ms * 2, RETRY_MS), RETRY_MAX_MS);
}

/*
 * Looks for the switch until it is there, or we shall end.  A look may start its process, and
 * one that ends again and again must not be started as fast as it can end.
 */
static void find_again(struct link_port *l)
{
	struct err err = { "" };

	set_link(l, false, l->bps);
	say(l, "gone; looking for it");
	if (base_monotonic_ns() - l->met_ns >= STEADY_NS)
		l->pause_ms = 0;
	while (!atomic_load(&l->stop)) {
		pause_between(l);
		if (atomic_load(&l->stop))
			return;
		if (meet(l, &err) == 0) {
			l->reconnects++;
			say(l, "there again");
			return;
		}
		log_guest(&l->limit, "net", "%s: %s", l->port.name, err.msg);
	}
}

/* Whoever waited for room finds that there is nobody to wait for. */
static void let_go(struct link_port *l)
{
	link_end_close(&l->end);
	l->full = false;
	pthread_mutex_lock(&l->bind);
	if (l->client != NULL && atomic_exchange(&l->end.waiting, false))
		l->client->resume(l->dev);
	pthread_mutex_unlock(&l->bind);
}

static void *link_port_run(void *arg)
{
	struct link_port *l = arg;

	while (!atomic_load(&l->stop)) {
		int rc = serve(l);

		if (rc == -EPROTO)
			log_warn("net", "%s: switch %s does not keep to the protocol", l->port.name, l->sw);
		let_go(l);
		if (!atomic_load(&l->stop))
			find_again(l);
	}
	return NULL;
}

static void destroy(struct link_port *l)
{
	link_end_fini(&l->end);
	if (l->wake >= 0)
		close(l->wake);
	pthread_mutex_destroy(&l->bind);
	free(l->sw);
	free(l->words);
	free(l);
}

int link_port_new(const struct link_port_conf *c, struct link_port **ret_l, struct err *err)
{
	struct link_port *l = new0(struct link_port);
	int rc;

	if (l == NULL)
		return err_set(err, -ENOMEM, "switch %s: no memory", c->sw);
	link_end_init(&l->end);
	pthread_mutex_init(&l->bind, NULL);
	l->port.ops = &link_port_ops;
	memcpy(l->port.mac, c->mac, 6);
	snprintf(l->port.name, sizeof(l->port.name), "%s", c->port);
	l->sw = strdup(c->sw);
	l->words = strdup(c->words);
	l->reach = c->reach;
	l->bps = UINT64_C(10000000000);
	l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = l->sw == NULL || l->words == NULL || l->wake < 0 ? err_set(err, -ENOMEM, "switch %s: no memory", c->sw) :
	     meet(l, err);
	if (rc == 0) {
		rc = -pthread_create(&l->thread, NULL, link_port_run, l);
		if (rc < 0)
			err_fill(err, "switch %s: thread: %s", c->sw, strerror(-rc));
	}
	if (rc < 0) {
		destroy(l);
		return rc;
	}
	*ret_l = l;
	return 0;
}

struct port *link_port_port(struct link_port *l)
{
	return &l->port;
}

void link_port_free(struct link_port *l)
{
	if (l == NULL)
		return;
	atomic_store(&l->stop, true);
	wake_thread(l);
	pthread_join(l->thread, NULL);
	destroy(l);
}
