/*
 * switch_link.c - a port of a switch whose owner is another process
 *
 * The thread of the connection reads what the owner sends and gives it to the
 * switch; other ports' threads write what it gets.  The owner may be hostile:
 * a lane it does not read is full and costs its neighbours what port.h says,
 * and a lane it writes nonsense to is closed.
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

#define NOTES_EACH 64u			/* read in one turn */

struct swlink {
	struct port *port;
	struct link_end end;
	int wake;			/* [const] an eventfd of our own */
	bool blocked;			/* [thread] the switch does not take the next frame */
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

static void wake_thread(const struct swlink *l)
{
	uint64_t one = 1;

	(void)!write(l->wake, &one, sizeof(one));
}

static void swlink_resume(void *dev)
{
	wake_thread(dev);
}

static void swlink_link(void *dev, bool up, uint64_t bps)
{
	struct link_note n = { .what = LINK_STATE, .up = up, .bps = bps };
	struct swlink *l = dev;

	/* Another thread may have said something newer meanwhile. */
	do {
		n.spoof = port_may_spoof(l->port);
		if (!link_end_news(&l->end, &n))
			wake_thread(l);
	} while (n.spoof != port_may_spoof(l->port));
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
	struct net_frame f[LANE_BATCH];
	struct iovec iov[LANE_BATCH];
	int nr = lane_peek(&l->end.rx, f, iov);
	unsigned done;

	if (nr <= 0)
		return nr;
	done = port_send(l->port, f, (unsigned)nr);
	if (lane_done(&l->end.rx, done))
		link_end_wake(&l->end);
	l->blocked = done < (unsigned)nr;
	return nr;
}

static int listen_to(struct swlink *l)
{
	struct link_note g;
	int rc = 0;

	for (unsigned i = 0; i < NOTES_EACH && (rc = link_end_read(&l->end, &g)) > 0; i++) {
		if (g.what == LINK_CAPS)
			port_set_caps(l->port, &g.caps);
		else if (g.what != LINK_WAKE)
			return -EPROTO;
	}
	if (rc < 0)
		return rc;
	if (atomic_exchange(&l->end.waiting, false))
		port_room(l->port);
	return 0;
}

static void swlink_sleep(struct swlink *l)
{
	struct pollfd p[2] = {
		{ .fd = l->wake, .events = POLLIN }, { .fd = l->end.fd, .events = link_end_events(&l->end) },
	};
	uint64_t count;

	if (poll(p, 2, -1) > 0 && p[0].revents) {
		(void)!read(l->wake, &count, sizeof(count));
		l->blocked = false;
	}
}

static void swlink_run(struct swlink *l)
{
	int rc = 0;

	while (rc >= 0) {
		rc = l->blocked ? 0 : receive(l);
		if (rc == 0 && (l->blocked || lane_sleep(&l->end.rx))) {
			swlink_sleep(l);
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
	/* The end closes its own; the connection's is netctl's. */
	int own = fcntl(sock, F_DUPFD_CLOEXEC, 0), fd = own >= 0 ? make_memory(&mem) : -errno, rc = -ENOMEM;

	if (fd >= 0) {
		link_end_open(&l->end, own, mem, true);
		rc = msg != NULL ? link_send(sock, msg, fd) : -ENOMEM;
		close(fd);
	} else if (own >= 0) {
		close(own);
	}
	json_decref(msg);
	if (rc == -ENOMEM)
		return err_set(err, rc, "no memory for a port");
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
