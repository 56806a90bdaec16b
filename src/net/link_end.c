/*
 * link_end.c - one side of a link between a machine and a switch
 *
 * Lock     link_end.lock (leaf) around writing
 */
#include "net/link_priv.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void link_end_init(struct link_end *e)
{
	memset(e, 0, sizeof(*e));
	e->fd = -1;
	pthread_mutex_init(&e->lock, NULL);
}

void link_end_fini(struct link_end *e)
{
	link_end_close(e);
	pthread_mutex_destroy(&e->lock);
}

void link_end_open(struct link_end *e, int fd, void *mem, bool server)
{
	uint8_t *to_switch = mem, *from_switch = to_switch + LANE_SIZE;

	pthread_mutex_lock(&e->lock);
	lane_tx_init(&e->tx, server ? from_switch : to_switch);
	lane_rx_init(&e->rx, server ? to_switch : from_switch);
	atomic_store(&e->waiting, false);
	atomic_store(&e->broken, false);
	atomic_store(&e->unsaid, false);
	e->fd = fd;
	e->mem = mem;
	pthread_mutex_unlock(&e->lock);
}

void link_end_close(struct link_end *e)
{
	pthread_mutex_lock(&e->lock);
	if (e->fd >= 0)
		close(e->fd);
	if (e->mem != NULL)
		munmap(e->mem, LINK_MEM);
	e->fd = -1;
	e->mem = NULL;
	pthread_mutex_unlock(&e->lock);
}

/* [lock] False: there is no room. */
static bool note_locked(struct link_end *e, const struct link_note *n)
{
	if (e->fd < 0 || send(e->fd, n, sizeof(*n), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	return errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM;
}

/* [lock] A peer that has not read the last hundred of these will wake anyway. */
static void wake_locked(struct link_end *e)
{
	static const struct link_note wake = { .what = LINK_WAKE };

	(void)!note_locked(e, &wake);
}

void link_end_wake(struct link_end *e)
{
	pthread_mutex_lock(&e->lock);
	wake_locked(e);
	pthread_mutex_unlock(&e->lock);
}

bool link_end_news(struct link_end *e, const struct link_note *n)
{
	bool said;

	pthread_mutex_lock(&e->lock);
	e->news = *n;
	said = note_locked(e, n);
	atomic_store(&e->unsaid, !said);
	pthread_mutex_unlock(&e->lock);
	return said;
}

/* What changed again meanwhile is said as it is now. */
static void say_again(struct link_end *e)
{
	pthread_mutex_lock(&e->lock);
	if (atomic_load(&e->unsaid))
		atomic_store(&e->unsaid, !note_locked(e, &e->news));
	pthread_mutex_unlock(&e->lock);
}

short link_end_events(const struct link_end *e)
{
	return atomic_load(&e->unsaid) ? POLLIN | POLLOUT : POLLIN;
}

/* Nobody reads any more: the thread that reads shall see to it. */
static void broken(struct link_end *e)
{
	atomic_store(&e->broken, true);
	if (e->fd >= 0)
		shutdown(e->fd, SHUT_RDWR);
}

/* [lock] The reader may have made room, and said so, before it could know that we wait: look again. */
static int put_or_wait(struct link_end *e, const struct net_frame *f)
{
	int rc = lane_put(&e->tx, f);

	if (rc != -EAGAIN)
		return rc;
	atomic_store(&e->waiting, true);
	return lane_put(&e->tx, f);
}

unsigned link_end_put(struct link_end *e, const struct net_frame *f, unsigned nr)
{
	unsigned done = 0;

	pthread_mutex_lock(&e->lock);
	for (; done < nr; done++) {
		int rc = e->mem == NULL || atomic_load(&e->broken) ? -ECONNRESET : put_or_wait(e, &f[done]);

		if (rc == -EAGAIN)
			break;
		if (rc == -EPROTO)
			broken(e);
	}
	pthread_mutex_unlock(&e->lock);
	return done;
}

void link_end_flush(struct link_end *e)
{
	pthread_mutex_lock(&e->lock);
	if (e->mem != NULL && lane_publish(&e->tx))
		wake_locked(e);
	pthread_mutex_unlock(&e->lock);
}

int link_end_read(struct link_end *e, struct link_note *ret_n)
{
	ssize_t n;

	if (atomic_load(&e->unsaid))
		say_again(e);
	n = recv(e->fd, ret_n, sizeof(*ret_n), MSG_DONTWAIT | MSG_TRUNC);
	if (n == (ssize_t)sizeof(*ret_n))
		return 1;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n <= 0 ? -ECONNRESET : -EPROTO;
}
