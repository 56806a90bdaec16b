/*
 * switch_link.c - a port of a switch whose owner is another process
 *
 * The thread of the connection reads what the owner sends and gives it to the
 * switch; other ports' threads write what it gets.  The owner may be hostile:
 * a lane it does not read is full and costs its neighbours what port.h says,
 * a lane it writes nonsense to is closed, and it may change what it takes
 * (which stops the whole switch for a moment) a hundred times a second.
 *
 * Lock     link_end.lock (leaf) around writing
 */
#include "net/switch_link.h"
#include "base/log.h"
#include "net/link_priv.h"
#include "net/netctl.h"
#include "net/words.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define CAPS_NS (NS_PER_SEC / 100)	/* between two changes of what it takes */
#define NOTES_EACH 64u			/* read in one turn */

struct swlink {
	struct port *port;
	struct link_end end;
	int wake;			/* [const] an eventfd of our own */
	bool blocked;			/* [thread] the switch does not take the next frame */
	bool new_caps;			/* [thread] to be told */
	struct port_caps caps;		/* [thread] */
	uint64_t caps_ns;		/* [thread] when they were told last */
};

static int swlink_deliver(void *dev, const struct net_frame *f)
{
	struct swlink *l = dev;

	return link_end_put(&l->end, f, 1) == 1 ? 0 : -EAGAIN;
}

static void swlink_deliver_end(void *dev)
{
	struct swlink *l = dev;

	link_end_flush(&l->end);
}

static void swlink_resume(void *dev)
{
	const struct swlink *l = dev;
	uint64_t one = 1;

	(void)!write(l->wake, &one, sizeof(one));
}

static void swlink_link(void *dev, bool up, uint64_t bps)
{
	const struct link_note n = { .what = LINK_STATE, .up = up, .bps = bps };
	struct swlink *l = dev;

	link_end_note(&l->end, &n);
}

static const struct port_client swlink_client = {
	.deliver = swlink_deliver,
	.deliver_end = swlink_deliver_end,
	.resume = swlink_resume,
	.link = swlink_link,
};

/* Frames of the owner.  How many there were, or -errno. */
static int receive(struct swlink *l)
{
	static const struct link_note wake = { .what = LINK_WAKE };
	struct net_frame f[LANE_BATCH];
	struct iovec iov[LANE_BATCH];
	int nr = lane_peek(&l->end.rx, f, iov);
	unsigned done;

	if (nr <= 0)
		return nr;
	done = port_send(l->port, f, (unsigned)nr);
	if (lane_done(&l->end.rx, done))
		link_end_note(&l->end, &wake);
	l->blocked = done < (unsigned)nr;
	return nr;
}

static int listen_to(struct swlink *l)
{
	struct link_note g;
	int rc = 0;

	for (unsigned i = 0; i < NOTES_EACH && (rc = link_end_read(&l->end, &g)) > 0; i++) {
		if (g.what == LINK_CAPS) {
			l->caps = g.caps;
			l->new_caps = true;
		} else if (g.what != LINK_WAKE) {
			return -EPROTO;
		}
	}
	if (rc < 0)
		return rc;
	if (atomic_exchange(&l->end.waiting, false))
		port_room(l->port);
	return 0;
}

/* Milliseconds until it may be told, -1: nothing to tell. */
static int tell_caps(struct swlink *l)
{
	uint64_t now;

	if (!l->new_caps)
		return -1;
	now = base_monotonic_ns();
	if (now - l->caps_ns < CAPS_NS)
		return (int)((CAPS_NS - (now - l->caps_ns)) / 1000000) + 1;
	l->new_caps = false;
	l->caps_ns = now;
	port_set_caps(l->port, &l->caps);
	return -1;
}

static void swlink_sleep(struct swlink *l, int timeout_ms)
{
	struct pollfd p[2] = { { .fd = l->wake, .events = POLLIN }, { .fd = l->end.fd, .events = POLLIN } };
	uint64_t count;

	if (poll(p, 2, timeout_ms) > 0 && p[0].revents) {
		(void)!read(l->wake, &count, sizeof(count));
		l->blocked = false;
	}
}

static void swlink_run(struct swlink *l)
{
	int rc = 0;

	while (rc >= 0) {
		int timeout = tell_caps(l);

		rc = l->blocked ? 0 : receive(l);
		if (rc == 0 && (l->blocked || lane_sleep(&l->end.rx))) {
			swlink_sleep(l, timeout);
			lane_awake(&l->end.rx);
		}
		if (rc >= 0)
			rc = listen_to(l);
	}
	if (rc == -EPROTO)
		log_warn("switch", "port %s: its owner does not keep to the protocol", l->port->name);
}

/* Memory that nobody can make shorter; a descriptor of it. */
static int make_memory(void **ret_mem)
{
	int fd = memfd_create("genvisor-link", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;
	void *mem;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, LINK_MEM) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	mem = mmap(NULL, LINK_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*ret_mem = mem;
	return fd;
}

/* The port that ASK wants, or a sentence. */
static int make_port(struct roster *r, const json_t *ask, struct port **ret_p, struct err *err)
{
	struct roster_port conf = {
		.name = link_text(ask, "name"), .role = PORT_ADAPTER, .words = link_text(ask, "words"),
	};

	if (!words_name(conf.name, PORT_NAME_MAX))
		return err_set(err, -EINVAL, "port '%.60s': expected a name of letters, digits, '.', '_' and '-', "
			       "at most %u", conf.name, PORT_NAME_MAX - 1);
	if (!words_mac(link_text(ask, "mac"), conf.mac))
		return err_set(err, -EINVAL, "mac=%.60s: expected the address of one station", link_text(ask, "mac"));
	return roster_port(r, &conf, ret_p, err);
}

static int open_end(struct swlink *l, int sock, struct err *err)
{
	static const struct port_caps caps;
	json_t *msg = json_pack("{s:b}", "ok", 1);
	void *mem = NULL;
	int fd = make_memory(&mem), rc;

	if (fd < 0 || msg == NULL) {
		if (fd >= 0)
			close(fd);
		json_decref(msg);
		return err_set(err, fd < 0 ? fd : -ENOMEM, "no memory for a port");
	}
	/* The end closes its own; the connection's is netctl's. */
	link_end_open(&l->end, dup(sock), mem, true);
	rc = link_send(sock, msg, fd);
	json_decref(msg);
	close(fd);
	if (rc < 0)
		return err_set(err, rc, "the owner is gone");
	port_bind(l->port, &swlink_client, l, &caps);
	return 0;
}

void switch_link_serve(struct roster *r, int sock, const json_t *ask)
{
	struct swlink *l = new0(struct swlink);
	struct err err = { "no memory for a port" };
	int rc;

	if (l == NULL)
		return netctl_refuse(sock, err.msg);
	link_end_init(&l->end);
	l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = l->wake < 0 ? -ENOMEM : make_port(r, ask, &l->port, &err);
	if (rc == 0)
		rc = open_end(l, sock, &err);
	if (rc < 0)
		netctl_refuse(sock, err.msg);
	else
		swlink_run(l);
	if (l->port != NULL)
		port_bind(l->port, NULL, NULL, NULL);
	roster_port_free(r, l->port);
	link_end_fini(&l->end);
	if (l->wake >= 0)
		close(l->wake);
	free(l);
}
