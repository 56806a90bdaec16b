/*
 * nat_run.c - the NAT's thread: frames in, sockets, timers, frames out
 *
 * All of libslirp runs here.  One turn: take what the guests have sent, give
 * the switch what came of it, ask the library which sockets it wants looked
 * at, sleep until one of them or a guest or a timer has something, let the
 * library read and write.
 *
 * libslirp keeps three things for the whole process: its clock in
 * milliseconds and the addresses of the host's name servers.  Several NATs
 * write the same values there.
 *
 * Lock     none of its own; nat_in.c says which it takes for the ring
 */
#include "net/nat_priv.h"

#include <limits.h>
#include <unistd.h>

#define RETRY_MS 20u			/* with frames that the switch did not take */

static ssize_t cb_send(const void *buf, size_t len, void *opaque)
{
	if (len >= ETH_HLEN && len <= NET_LSO_MAX)
		nat_dest_out(opaque, buf, (uint32_t)len);
	nat_out_put(opaque, buf, len);
	return (ssize_t)len;
}

static void cb_guest_error(const char *msg, void *opaque)
{
	struct nat *n = opaque;

	log_guest(&n->limit, "nat", "%s", msg);
}

static int64_t cb_clock(void *opaque)
{
	const struct nat *n = opaque;

	return (int64_t)nat_now(n);
}

static void *cb_timer_new(SlirpTimerCb fn, void *arg, void *opaque)
{
	struct nat *n = opaque;

	for (unsigned i = 0; i < NAT_TIMERS; i++) {
		struct nat_timer *t = &n->timers[i];

		if (t->fn != NULL)
			continue;
		*t = (struct nat_timer){ .fn = fn, .arg = arg, .at_ms = INT64_MAX };
		return t;
	}
	return NULL;
}

static void cb_timer_free(void *timer, void *opaque)
{
	struct nat_timer *t = timer;

	(void)opaque;
	if (t != NULL)
		t->fn = NULL;
}

static void cb_timer_mod(void *timer, int64_t at_ms, void *opaque)
{
	struct nat_timer *t = timer;

	(void)opaque;
	if (t != NULL)
		t->at_ms = at_ms;
}

static void cb_register(int fd, void *opaque)
{
	struct nat *n = opaque;

	nat_fds_set(&n->fds, fd);
}

static void cb_unregister(int fd, void *opaque)
{
	struct nat *n = opaque;

	nat_fds_clear(&n->fds, fd);
}

static void cb_notify(void *opaque)
{
	(void)opaque;			/* asks for a look at the sockets: this thread's next step */
}

const SlirpCb nat_slirp_cb = {
	.send_packet = cb_send,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock,
	.timer_new = cb_timer_new,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = cb_register,
	.unregister_poll_fd = cb_unregister,
	.notify = cb_notify,
};

/* Milliseconds until the first timer; UINT32_MAX without one. */
static uint32_t timers_left(struct nat *n)
{
	int64_t now = cb_clock(n) / 1000000, left = UINT32_MAX;

	for (unsigned i = 0; i < NAT_TIMERS; i++) {
		const struct nat_timer *t = &n->timers[i];

		if (t->fn == NULL)
			continue;
		if (t->at_ms <= now)
			return 0;
		if (t->at_ms - now < left)
			left = t->at_ms - now;
	}
	return (uint32_t)left;
}

static void timers_fire(struct nat *n)
{
	int64_t now = cb_clock(n) / 1000000;

	for (unsigned i = 0; i < NAT_TIMERS; i++) {
		struct nat_timer *t = &n->timers[i];

		if (t->fn == NULL || t->at_ms > now)
			continue;
		t->at_ms = INT64_MAX;
		t->fn(t->arg);
	}
}

static const struct {
	int slirp;
	short poll;
} events[] = {
	{ SLIRP_POLL_IN, POLLIN },
	{ SLIRP_POLL_OUT, POLLOUT },
	{ SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR },
	{ SLIRP_POLL_HUP, POLLHUP },
};

static int cb_add_poll(int fd, int want, void *opaque)
{
	struct nat *n = opaque;
	struct pollfd *p;

	if (n->nr_pfd == n->max_pfd)
		return -1;		/* not looked at this time */
	nat_fds_set(&n->fds, fd);
	p = &n->pfd[n->nr_pfd];
	*p = (struct pollfd){ .fd = fd };
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (want & events[i].slirp)
			p->events = (short)(p->events | events[i].poll);
	return (int)n->nr_pfd++;
}

static int cb_revents(int idx, void *opaque)
{
	struct nat *n = opaque;
	int got = 0;

	if (idx < 1 || (uint32_t)idx >= n->nr_pfd)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (n->pfd[idx].revents & events[i].poll)
			got |= events[i].slirp;
	return got;
}

/* Sleeps until something happens, then reads and writes sockets.  False: the end. */
static bool turn(struct nat *n)
{
	bool sockets = !n->out.blocked, stop;
	uint32_t left = UINT32_MAX;
	uint64_t count;
	int rc;

	n->nr_pfd = 1;
	if (sockets) {
		slirp_pollfds_fill(n->slirp, &left, cb_add_poll, n);
		n->fds.maybe = 0;
		n->stats.flows = n->fds.nr;
	}
	left = (uint32_t)min_u64(left, timers_left(n));
	if (!sockets)
		left = (uint32_t)min_u64(left, RETRY_MS);
	if (!nat_in_sleep(n, &stop) || n->again)
		left = 0;
	n->again = false;
	if (stop)
		return false;
	rc = poll(n->pfd, n->nr_pfd, left > INT_MAX ? -1 : (int)left);
	nat_in_awake(n);
	if (rc > 0 && n->pfd[0].revents)
		(void)!read(n->wake, &count, sizeof(count));
	if (sockets)
		slirp_pollfds_poll(n->slirp, rc < 0, cb_revents, n);
	return true;
}

void *nat_run(void *nat)
{
	struct nat *n = nat;

	n->pfd[0] = (struct pollfd){ .fd = n->wake, .events = POLLIN };
	do {
		timers_fire(n);
		if (nat_in_drain(n))
			port_room(n->port);
		nat_out_flush(n);
	} while (turn(n));
	return NULL;
}
