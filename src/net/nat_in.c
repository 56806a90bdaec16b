/*
 * nat_in.c - frames from the guests wait here for the NAT's thread
 *
 * The switch calls from any thread and must not wait, so a frame is copied
 * into a ring and the thread is woken once for all that come together.
 * A frame that finds no room is refused, and the one who was told so hears
 * again when half of the ring is free.
 *
 * What everybody looks at from then on is the copy.
 *
 * Lock     nat.lock around the ring's indices, not around what lies between them
 */
#include "net/nat_priv.h"

#include <string.h>
#include <unistd.h>

#define SKIP UINT32_MAX			/* instead of a length: go on at the ring's beginning */

static uint32_t record_size(uint32_t len)
{
	return (uint32_t)align_up(4 + len, 8);
}

/* Where a record of SIZE bytes goes, or NULL.  Records do not wrap. */
static uint8_t *in_room(struct nat_in *in, uint32_t size)
{
	uint32_t at = in->head % NAT_IN_BYTES, rest = NAT_IN_BYTES - at;
	uint32_t room = NAT_IN_BYTES - (in->head - in->tail);

	if (rest >= size)
		return room >= size ? in->buf + at : NULL;
	if (room < rest + size)
		return NULL;
	st32(in->buf + at, SKIP);
	in->head += rest;
	return in->buf;
}

static int nat_deliver(void *dev, const struct net_frame *f)
{
	struct nat *n = dev;
	uint32_t len = f->len < NAT_IN_MIN ? NAT_IN_MIN : f->len;
	uint8_t *p;

	if (f->len < ETH_HLEN || f->len > NET_LSO_MAX)
		return 0;
	pthread_mutex_lock(&n->lock);
	p = in_room(&n->in, record_size(len));
	if (p == NULL) {
		n->in.full = true;
		n->in.waits++;
		pthread_mutex_unlock(&n->lock);
		return -EAGAIN;
	}
	st32(p, len);
	if (frame_copy(f, 0, p + 4, f->len)) {
		memset(p + 4 + f->len, 0, len - f->len);
		n->in.head += record_size(len);
	}
	pthread_mutex_unlock(&n->lock);
	return 0;
}

void nat_wake(struct nat *n)
{
	uint64_t one = 1;

	(void)!write(n->wake, &one, sizeof(one));
}

static void nat_deliver_end(void *dev)
{
	struct nat *n = dev;
	bool wake;

	pthread_mutex_lock(&n->lock);
	wake = n->in.asleep;
	n->in.asleep = false;
	pthread_mutex_unlock(&n->lock);
	if (wake)
		nat_wake(n);
}

static void nat_resume(void *dev)
{
	nat_wake(dev);
}

const struct port_client nat_client = {
	.deliver = nat_deliver,
	.deliver_end = nat_deliver_end,
	.resume = nat_resume,
};

/*
 * Who the guest is on the wire: the library may have frames waiting for this, and sends
 * them at its next look at the sockets, if that comes within a second.
 */
static bool tells_address(unsigned type, const uint8_t *p)
{
	return type == ETH_ARP || (type == ETH_IP6 && p[ETH_HLEN + 6] == IP_ICMP6);
}

/* The one frame at P, which is in the ring's own memory: nobody else writes there. */
static void in_frame(struct nat *n, uint8_t *p, uint32_t len)
{
	unsigned type = (unsigned)p[12] << 8 | p[13];

	n->stats.rx++;
	n->stats.rx_bytes += len;
	if (tells_address(type, p))
		n->again = true;
	if (nat_is_frag(p, len)) {
		p = nat_frag(n->frags, p, &len, nat_now(n));
		if (p == NULL)
			return;
	}
	nat_mss_in(&n->guests, p, len);
	if (type != ETH_IP4 && type != ETH_ARP && type != ETH_IP6)
		n->stats.rx_other++;
	else if (!nat_dest_allowed(n, p, len))
		n->stats.rx_loopback++;
	else if (nat_tftp_in(n, p, len))
		return;
	else if (nat_fds_refuse(&n->fds, p, len))
		n->stats.rx_flows++;
	else
		slirp_input(n->slirp, p, (int)len);
}

bool nat_in_drain(struct nat *n)
{
	uint32_t head, tail, len;
	bool room;

	pthread_mutex_lock(&n->lock);
	head = n->in.head;
	tail = n->in.tail;
	pthread_mutex_unlock(&n->lock);
	for (unsigned i = 0; tail != head && i < NAT_FRAME_BUDGET; i++) {
		uint8_t *p = n->in.buf + tail % NAT_IN_BYTES;

		len = ld32(p);
		if (len == SKIP) {
			tail += NAT_IN_BYTES - tail % NAT_IN_BYTES;
			continue;
		}
		in_frame(n, p + 4, len);
		tail += record_size(len);
	}
	pthread_mutex_lock(&n->lock);
	n->in.tail = tail;
	room = n->in.full && n->in.head - tail <= NAT_IN_BYTES / 2;
	if (room)
		n->in.full = false;
	pthread_mutex_unlock(&n->lock);
	return room;
}

bool nat_in_sleep(struct nat *n, bool *ret_stop)
{
	bool sleep;

	pthread_mutex_lock(&n->lock);
	*ret_stop = n->in.stop;
	sleep = n->in.head == n->in.tail && !n->in.stop;
	n->in.asleep = sleep;
	n->shown = n->stats;
	n->shown.rx_wait = n->in.waits;
	pthread_mutex_unlock(&n->lock);
	return sleep;
}

void nat_in_awake(struct nat *n)
{
	pthread_mutex_lock(&n->lock);
	n->in.asleep = false;
	pthread_mutex_unlock(&n->lock);
}
