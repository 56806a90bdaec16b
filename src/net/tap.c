/*
 * tap.c - frames to and from a tap interface of the host
 *
 * The kernel takes a header before each frame that says the same as the flags
 * of ours: a checksum to be made, a large send to be cut.  So frames pass
 * unchanged both ways; only the checksum of an IPv4 header has no flag there
 * and is made here, and lengths of a large send are written, in a copy of the
 * headers.  Writing happens on the switch's thread, as it is a copy into the
 * kernel that does not sleep; reading has a thread of its own.  The same thread
 * hears from the kernel when the interface goes down or up, or loses its carrier, and
 * tells the switch, which then uses another way if it has one.
 *
 * Spec     Linux Documentation/networking/tuntap.rst; [VIRTIO 1.2] 5.1.6
 * Missing  several queues, macvtap, passing the host's MTU to the switch; that a
 *          bridge behind it has lost its own way out is not seen
 * Lock     tap.lock (leaf) around "full" and "stop"; counters are atomic
 */
#include "net/tap.h"
#include "base/le.h"
#include "base/log.h"
#include "net/sum.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 16u
#define RETRY_MS 20			/* with frames that the switch did not take */
#define HDR_MAX 256u
#define RX_MAX (sizeof(struct virtio_net_hdr) + NET_LSO_MAX + 4)

struct tap {
	struct port *port;		/* [const, borrowed] */
	int fd, wake;			/* [const] */
	int news;			/* [const] of the host's interfaces; -1 = none is to be had */
	char name[TAP_NAME_MAX + 1];	/* [const] */
	pthread_t thread;
	pthread_mutex_t lock;
	bool full, stop;		/* [lock] */
	_Atomic uint64_t tx, tx_bytes, tx_lost, rx, rx_bytes, rx_bad;
	/* All [thread]: what was read and not taken yet. */
	uint8_t *buf;			/* BATCH frames of RX_MAX */
	struct net_frame f[BATCH];
	struct iovec iov[BATCH];
	unsigned first, nr;
	bool carrier;
};

/* Makes the N header bytes in H those of a packet that is whole but for its L4 sum. */
static void complete_ip(uint8_t *h, uint32_t n, const struct net_frame *f)
{
	uint32_t at = ldbe16(h + 12) == ETH_TAG ? ETH_HLEN + 4 : ETH_HLEN;

	if (n < at + 20)
		return;
	if (f->flags & FRAME_LSO4)
		stbe16(h + at + 2, f->len - at);
	if (f->flags & FRAME_LSO6)
		stbe16(h + at + 4, f->len - at - 40);
	if (f->flags & FRAME_SUM_IP && h[at] >> 4 == 4 && (h[at] & 15) >= 5 && at + (h[at] & 15) * 4u <= n)
		sum_ip4_write(h + at);
}

static struct virtio_net_hdr header_of(const struct net_frame *f, const uint8_t *h, uint32_t n)
{
	struct virtio_net_hdr v = { 0 };

	if (f->flags & FRAME_SUM_L4) {
		v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		v.csum_start = f->l4_at;
		v.csum_offset = (uint16_t)(frame_sum_at(f) - f->l4_at);
	}
	if (f->flags & FRAME_LSO) {
		v.gso_type = f->flags & FRAME_LSO4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
		v.gso_size = f->mss;
		v.hdr_len = (uint16_t)(f->l4_at + (f->l4_at + 12u < n ? (h[f->l4_at + 12] >> 4) * 4u : 20u));
	}
	return v;
}

static void tap_wake(struct tap *t)
{
	uint64_t one = 1;

	(void)!write(t->wake, &one, sizeof(one));
}

static int tap_deliver(void *dev, const struct net_frame *f)
{
	struct tap *t = dev;
	uint32_t n = (uint32_t)min_u64(f->len, HDR_MAX);
	struct iovec iov[NET_IOV_MAX + 2];
	struct virtio_net_hdr v;
	uint8_t h[HDR_MAX];
	ssize_t done;

	if (f->len < ETH_HLEN || f->nr_iov > NET_IOV_MAX || !frame_copy(f, 0, h, n))
		return 0;
	complete_ip(h, n, f);
	v = header_of(f, h, n);
	iov[0] = (struct iovec){ &v, sizeof(v) };
	iov[1] = (struct iovec){ h, n };
	done = writev(t->fd, iov, 2 + (int)frame_slice(f, n, iov + 2));
	if (done < 0 && errno == EAGAIN) {
		pthread_mutex_lock(&t->lock);
		t->full = true;
		pthread_mutex_unlock(&t->lock);
		tap_wake(t);
		return -EAGAIN;
	}
	if (done < 0) {
		t->tx_lost++;
		return 0;
	}
	t->tx++;
	t->tx_bytes += f->len;
	return 0;
}

static void tap_resume(void *dev)
{
	tap_wake(dev);
}

static const struct port_client tap_client = {
	.deliver = tap_deliver,
	.resume = tap_resume,
};

/* The LEN bytes at P with their header V as a frame; false when they contradict each other. */
static bool frame_of(const struct virtio_net_hdr *v, uint8_t *p, size_t len, struct iovec *iov,
		     struct net_frame *ret_f)
{
	struct net_frame f = { .iov = iov, .nr_iov = 1, .len = (uint32_t)len };

	*iov = (struct iovec){ p, len };
	if (len < ETH_HLEN)
		return false;
	if (v->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		f.flags = v->csum_offset == 16 ? FRAME_SUM_TCP : v->csum_offset == 6 ? FRAME_SUM_UDP : 0;
		f.l4_at = v->csum_start;
		if (f.flags == 0 || (size_t)v->csum_start + v->csum_offset + 2 > len)
			return false;
	} else if (v->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		f.flags = FRAME_SUM_OK;
	}
	switch (v->gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE:
		break;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		f.flags |= FRAME_LSO4 | FRAME_SUM_IP;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		f.flags |= FRAME_LSO6;
		break;
	default:
		return false;
	}
	if (f.flags & FRAME_LSO && (!(f.flags & FRAME_SUM_TCP) || v->gso_size == 0))
		return false;
	f.mss = f.flags & FRAME_LSO ? v->gso_size : 0;
	*ret_f = f;
	return true;
}

/* Reads what is there, a batch at most.  False: the interface is gone. */
static bool fill(struct tap *t)
{
	t->first = t->nr = 0;
	while (t->nr < BATCH) {
		uint8_t *b = t->buf + t->nr * RX_MAX;
		struct virtio_net_hdr v;
		ssize_t n = read(t->fd, b, RX_MAX);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR || errno == EIO;
		if ((size_t)n >= sizeof(v)) {
			memcpy(&v, b, sizeof(v));
			if (frame_of(&v, b + sizeof(v), (size_t)n - sizeof(v), &t->iov[t->nr], &t->f[t->nr])) {
				t->rx_bytes += t->f[t->nr].len;
				t->rx++;
				t->nr++;
				continue;
			}
		}
		t->rx_bad++;
	}
	return true;
}

static bool tap_stopped(struct tap *t, bool *ret_full)
{
	bool stop;

	pthread_mutex_lock(&t->lock);
	stop = t->stop;
	*ret_full = t->full;
	pthread_mutex_unlock(&t->lock);
	return stop;
}

static void tap_room(struct tap *t)
{
	pthread_mutex_lock(&t->lock);
	t->full = false;
	pthread_mutex_unlock(&t->lock);
	port_room(t->port);
}

/* Is the interface up, with a carrier?  If the kernel does not say, it is as it was. */
static bool is_up(const struct tap *t)
{
	/* IFF_RUNNING may come a second later. */
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, t->name, sizeof(t->name));
	if (ioctl(t->news, SIOCGIFFLAGS, &ifr) < 0)
		return errno == ENODEV ? false : t->carrier;
	if (!(ifr.ifr_flags & IFF_UP))
		return false;
	ifr.ifr_data = (void *)&link;
	return ioctl(t->news, SIOCETHTOOL, &ifr) < 0 || link.data != 0;
}

/* Whatever the news are, only the state matters that they lead to. */
static void tap_news(struct tap *t)
{
	char b[4096];
	bool up;

	while (recv(t->news, b, sizeof(b), 0) > 0 || errno == ENOBUFS)
		;
	up = is_up(t);
	if (up == t->carrier)
		return;
	t->carrier = up;
	port_carrier(t->port, up);
}

static void *tap_run(void *arg)
{
	struct tap *t = arg;
	struct pollfd p[3] = { { .fd = t->wake, .events = POLLIN }, { .fd = t->fd },
			       { .fd = t->news, .events = POLLIN } };
	uint64_t count;
	bool full, held;

	if (t->news >= 0)
		tap_news(t);			/* it may be down already */
	while (!tap_stopped(t, &full)) {
		held = t->first < t->nr;
		p[1].events = (short)((held ? 0 : POLLIN) | (full ? POLLOUT : 0));
		if (poll(p, 3, held ? RETRY_MS : -1) < 0)
			continue;
		if (p[2].revents)
			tap_news(t);
		if (p[0].revents)
			(void)!read(t->wake, &count, sizeof(count));
		if (full && p[1].revents & (POLLOUT | POLLERR))
			tap_room(t);
		if (!held && p[1].revents & (POLLIN | POLLERR) && !fill(t)) {
			log_warn("tap", "%s: the interface is gone: %s", t->port->name, strerror(errno));
			port_carrier(t->port, false);
			break;
		}
		if (t->first < t->nr)
			t->first += port_send(t->port, t->f + t->first, t->nr - t->first);
	}
	return NULL;
}

int tap_parse(const char *text, char *ret_name, struct err *err)
{
	const char *name = text + 4;
	size_t n;

	if (strncmp(text, "tap=", 4) != 0)
		return err_set(err, -EINVAL, "'%s' is not tap=NAME", text);
	n = strlen(name);
	if (n == 0 || n > TAP_NAME_MAX)
		return err_set(err, -EINVAL, "%s: a name has 1 to %u letters", text, TAP_NAME_MAX);
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || strchr("/:%,", name[i]) != NULL)
			return err_set(err, -EINVAL, "%s: '%c' cannot be in an interface's name", text, name[i]);
	memcpy(ret_name, name, n + 1);
	return 0;
}

static int tap_open(struct tap *t, const char *name, struct err *err)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int rc, hdr = sizeof(struct virtio_net_hdr);

	if (strlen(name) > TAP_NAME_MAX)
		return err_set(err, -EINVAL, "tap=%s: a name has at most %u letters", name, TAP_NAME_MAX);

	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return err_set(err, -errno, "tap=%s: /dev/net/tun: %s", name, strerror(errno));
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(t->fd, TUNSETIFF, &ifr) < 0) {
		rc = -errno;
		if (rc == -EPERM)
			return err_set(err, rc, "tap=%s: not permitted; root makes one for you with"
				       " 'ip tuntap add %s mode tap user USER'", name, name);
		if (rc == -EBUSY)
			return err_set(err, rc, "tap=%s: somebody else has it", name);
		if (rc == -EINVAL)
			return err_set(err, rc, "tap=%s: not a tap interface, or one of several queues", name);
		return err_set(err, rc, "tap=%s: %s", name, strerror(-rc));
	}
	/* An earlier user may have left another length with the interface. */
	if (ioctl(t->fd, TUNSETVNETHDRSZ, &hdr) < 0)
		return err_set(err, -errno, "tap=%s: header length: %s", name, strerror(errno));
	if (ioctl(t->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return err_set(err, -errno, "tap=%s: offloads: %s", name, strerror(errno));
	return 0;
}

/* Without it the interface is taken for up always. */
static void tap_listen(struct tap *t)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

	t->news = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (t->news >= 0 && bind(t->news, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(t->news);
		t->news = -1;
	}
}

/* Up, if we may; a user's tap may be brought up by its administrator at any time. */
static void tap_up(const char *name)
{
	struct ifreq ifr = { 0 };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return;
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(s, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP)) {
		ifr.ifr_flags |= IFF_UP;
		if (ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
			log_warn("tap", "%s is down; nothing passes until it is up", name);
	}
	close(s);
}

static void tap_destroy(struct tap *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->wake >= 0)
		close(t->wake);
	if (t->news >= 0)
		close(t->news);
	pthread_mutex_destroy(&t->lock);
	free(t->buf);
	free(t);
}

int tap_new(const char *name, struct port *p, struct tap **ret_tap, struct err *err)
{
	static const struct port_caps caps = {
		.flags = PORT_TAKES_SUM | PORT_TAKES_LSO4 | PORT_TAKES_LSO6,
		.max_frame = NET_FRAME_MAX,
	};
	struct tap *t = new0(struct tap);
	int rc;

	if (t == NULL)
		return err_set(err, -ENOMEM, "tap: no memory");
	t->port = p;
	t->fd = t->news = -1;
	t->carrier = true;
	snprintf(t->name, sizeof(t->name), "%s", name);
	pthread_mutex_init(&t->lock, NULL);
	t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	t->buf = new_array(uint8_t, BATCH * RX_MAX);
	rc = t->wake < 0 || t->buf == NULL ? err_set(err, -ENOMEM, "tap: no memory") : tap_open(t, name, err);
	if (rc < 0)
		goto out;
	tap_up(name);
	tap_listen(t);
	port_bind(p, &tap_client, t, &caps);
	rc = -pthread_create(&t->thread, NULL, tap_run, t);
	if (rc == 0) {
		*ret_tap = t;
		return 0;
	}
	err_fill(err, "tap: thread: %s", strerror(-rc));
	port_bind(p, NULL, NULL, NULL);
out:
	tap_destroy(t);
	return rc;
}

void tap_free(struct tap *t)
{
	if (t == NULL)
		return;
	port_bind(t->port, NULL, NULL, NULL);
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_mutex_unlock(&t->lock);
	tap_wake(t);
	pthread_join(t->thread, NULL);
	tap_destroy(t);
}

void tap_stats(struct tap *t, struct tap_stats *ret_stats)
{
	*ret_stats = (struct tap_stats){
		.tx = t->tx, .tx_bytes = t->tx_bytes, .tx_lost = t->tx_lost,
		.rx = t->rx, .rx_bytes = t->rx_bytes, .rx_bad = t->rx_bad,
	};
}
