/*
 * nat_rig.h - a guest behind a NAT, for tests: a port, and frames by hand
 *
 * The port keeps what the NAT sends; rig_wait gives the first frame that is
 * of the wanted kind, answers ARP and neighbour solicitations for the guest's
 * addresses on the way and forgets the rest.  Frames go to the NAT in pieces.
 *
 * Nothing here leaves the process: rig_alone moves it to a network of its own
 * with nothing but loopback.
 */
#ifndef NET_NAT_RIG_H
#define NET_NAT_RIG_H

#include "base/le.h"
#include "net/nat.h"

#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RIG_KEEP 512u
#define RIG_WAIT_S 10

struct rig_frame {
	uint32_t len, flags;
	uint16_t mss;
	uint8_t *b;
};

struct rig {
	struct port port;
	const struct port_client *client;
	void *dev;
	struct port_caps caps;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct rig_frame f[RIG_KEEP];
	unsigned first, nr;
	unsigned take;			/* frames the port takes before it says no; UINT_MAX = all */
	unsigned rooms;			/* calls of port_room */
	uint64_t lost;			/* the rig had no place for it */
	bool lossy;			/* which is no fault in this test */
	struct nat *nat;
	uint8_t mac[6], gw_mac[6];
	uint32_t ip, gw;		/* host order */
	uint8_t ip6[16];
	uint8_t got[65600];		/* the frame that rig_wait found */
	uint32_t got_len, got_flags;
	uint16_t got_mss;
};

/* Before any thread is there.  False: not permitted here. */
UNUSED static bool rig_alone(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int s;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
		return false;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return false;
	ifr.ifr_flags = IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &ifr) < 0) {
		close(s);
		return false;
	}
	close(s);
	return true;
}

UNUSED static unsigned rig_port_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	struct rig *r = CONTAINER_OF(p, struct rig, port);
	unsigned i;

	pthread_mutex_lock(&r->lock);
	for (i = 0; i < nr && r->take > 0; i++) {
		struct rig_frame *to = &r->f[(r->first + r->nr) % RIG_KEEP];

		if (r->take != UINT32_MAX)
			r->take--;
		if (r->nr == RIG_KEEP) {
			r->lost += !r->lossy;
			continue;
		}
		*to = (struct rig_frame){ .len = f[i].len, .flags = f[i].flags, .mss = f[i].mss };
		to->b = malloc(f[i].len);
		BUG_IF(to->b == NULL || !frame_copy(&f[i], 0, to->b, f[i].len));
		r->nr++;
	}
	pthread_cond_broadcast(&r->more);
	pthread_mutex_unlock(&r->lock);
	return i;
}

UNUSED static void rig_port_room(struct port *p)
{
	struct rig *r = CONTAINER_OF(p, struct rig, port);

	pthread_mutex_lock(&r->lock);
	r->rooms++;
	pthread_cond_broadcast(&r->more);
	pthread_mutex_unlock(&r->lock);
}

UNUSED static void rig_port_bind(struct port *p, const struct port_client *client, void *dev,
			  const struct port_caps *caps)
{
	struct rig *r = CONTAINER_OF(p, struct rig, port);

	r->client = client;
	r->dev = dev;
	if (caps != NULL)
		r->caps = *caps;
}

static const struct port_ops rig_ops = {
	.send = rig_port_send,
	.room = rig_port_room,
	.bind = rig_port_bind,
};

UNUSED static void rig_init(struct rig *r)
{
	*r = (struct rig){
		.port = { .ops = &rig_ops, .name = "rig" },
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.more = PTHREAD_COND_INITIALIZER,
		.take = UINT32_MAX,
		.mac = { 0x00, 0x15, 0x5d, 1, 2, 3 },
		.gw_mac = { 0x52, 0x55, 10, 0, 2, 2 },
		.ip = 0x0a00020f,
		.gw = 0x0a000202,
		.ip6 = { 0xfe, 0xc0, [15] = 9 },
	};
}

UNUSED static void rig_drop_all(struct rig *r)
{
	pthread_mutex_lock(&r->lock);
	for (; r->nr > 0; r->nr--, r->first = (r->first + 1) % RIG_KEEP)
		free(r->f[r->first].b);
	pthread_mutex_unlock(&r->lock);
}

/* Like *AS, cut in three; waits for room. */
UNUSED static void rig_send_as(struct rig *r, const void *frame, uint32_t len, const struct net_frame *as)
{
	uint8_t *b = (uint8_t *)(uintptr_t)frame;
	uint32_t cut = len / 3;
	struct iovec iov[] = { { b, cut }, { b + cut, cut }, { b + 2 * cut, len - 2 * cut } };
	struct net_frame f = *as;

	f.iov = iov;
	f.nr_iov = 3;
	f.len = len;
	while (r->client->deliver(r->dev, &f) == -EAGAIN) {
		if (r->client->deliver_end != NULL)
			r->client->deliver_end(r->dev);
		usleep(200);
	}
	if (r->client->deliver_end != NULL)
		r->client->deliver_end(r->dev);
}

UNUSED static void rig_send(struct rig *r, const void *frame, uint32_t len)
{
	rig_send_as(r, frame, len, &(struct net_frame){ .flags = FRAME_SUM_OK });
}

UNUSED static unsigned rig_be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

UNUSED static uint32_t rig_be32(const uint8_t *p)
{
	return (uint32_t)rig_be16(p) << 16 | rig_be16(p + 2);
}

UNUSED static void rig_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

UNUSED static void rig_put32(uint8_t *p, uint32_t v)
{
	rig_put16(p, v >> 16);
	rig_put16(p + 2, v & 0xffff);
}

/* The Internet checksum over N bytes, with SUM already in it. */
UNUSED static unsigned rig_sum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (; n >= 2; p += 2, n -= 2)
		sum += rig_be16(p);
	if (n != 0)
		sum += (uint32_t)*p << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

UNUSED static void rig_eth(const struct rig *r, uint8_t *b, const uint8_t *dst, unsigned type)
{
	memcpy(b, dst, 6);
	memcpy(b + 6, r->mac, 6);
	rig_put16(b + 12, type);
}

/* Where the checksum field of a protocol is; the same for v4 and v6. */
UNUSED static unsigned rig_sum_at(unsigned proto)
{
	return proto == 6 ? 16 : proto == 17 ? 6 : 2;
}

#define RIG_L4 34u			/* where the transport header of a v4 frame begins */
#define RIG_L4_6 54u

/* Headers and sums around the N bytes at b + RIG_L4; the frame's length. */
UNUSED static uint32_t rig_ip4(const struct rig *r, uint8_t *b, unsigned proto, uint32_t dst, uint32_t n)
{
	uint8_t *ip = b + ETH_HLEN, *l4 = b + RIG_L4;
	uint32_t sum;

	rig_eth(r, b, r->gw_mac, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	rig_put16(ip + 2, 20 + n);
	ip[8] = 64;
	ip[9] = (uint8_t)proto;
	rig_put32(ip + 12, r->ip);
	rig_put32(ip + 16, dst);
	rig_put16(ip + 10, rig_sum(ip, 20, 0));
	rig_put16(l4 + rig_sum_at(proto), 0);
	sum = proto == 1 ? 0 : proto + n + (r->ip >> 16) + (r->ip & 0xffff) + (dst >> 16) + (dst & 0xffff);
	rig_put16(l4 + rig_sum_at(proto), rig_sum(l4, n, sum));
	return RIG_L4 + n;
}

UNUSED static uint32_t rig_ip6(const struct rig *r, uint8_t *b, unsigned proto, const uint8_t *dst, uint32_t n)
{
	uint8_t *ip = b + ETH_HLEN, *l4 = b + RIG_L4_6;
	uint32_t sum = proto + n;

	rig_eth(r, b, (const uint8_t[]){ 0x33, 0x33, 0, 0, 0, 2 }, 0x86dd);
	memset(ip, 0, 8);
	ip[0] = 0x60;
	rig_put16(ip + 4, n);
	ip[6] = (uint8_t)proto;
	ip[7] = 255;
	memcpy(ip + 8, r->ip6, 16);
	memcpy(ip + 24, dst, 16);
	for (unsigned i = 8; i < 40; i += 2)
		sum += rig_be16(ip + i);
	rig_put16(l4 + rig_sum_at(proto), 0);
	rig_put16(l4 + rig_sum_at(proto), rig_sum(l4, n, sum));
	return RIG_L4_6 + n;
}

UNUSED static uint32_t rig_udp(const struct rig *r, uint8_t *b, unsigned sport, uint32_t dst, unsigned dport,
			const void *data, uint32_t n)
{
	rig_put16(b + RIG_L4, sport);
	rig_put16(b + RIG_L4 + 2, dport);
	rig_put16(b + RIG_L4 + 4, 8 + n);
	memmove(b + RIG_L4 + 8, data, n);
	return rig_ip4(r, b, 17, dst, 8 + n);
}

UNUSED static uint32_t rig_arp(const struct rig *r, uint8_t *b, unsigned op, const uint8_t *dst, uint32_t who)
{
	rig_eth(r, b, dst, 0x0806);
	memcpy(b + 14, (const uint8_t[]){ 0, 1, 8, 0, 6, 4 }, 6);
	rig_put16(b + 20, op);
	memcpy(b + 22, r->mac, 6);
	rig_put32(b + 28, r->ip);
	memcpy(b + 32, dst, 6);
	rig_put32(b + 38, who);
	return 42;
}

/* Answers what asks where the guest is; true when F was such a question. */
UNUSED static bool rig_neighbour(struct rig *r, const uint8_t *f, uint32_t len)
{
	uint8_t b[128];

	if (len >= 42 && rig_be16(f + 12) == 0x0806 && f[21] == 1 && rig_be32(f + 38) == r->ip) {
		rig_send(r, b, rig_arp(r, b, 2, f + 6, rig_be32(f + 28)));
		return true;
	}
	if (len >= 78 && rig_be16(f + 12) == 0x86dd && f[20] == 58 && f[54] == 135 &&
	    memcmp(f + 62, r->ip6, 16) == 0) {
		memset(b + RIG_L4_6, 0, 32);
		b[RIG_L4_6] = 136;
		b[RIG_L4_6 + 4] = 0x60;
		memcpy(b + RIG_L4_6 + 8, r->ip6, 16);
		memcpy(b + RIG_L4_6 + 24, (const uint8_t[]){ 2, 1 }, 2);
		memcpy(b + RIG_L4_6 + 26, r->mac, 6);
		rig_send(r, b, rig_ip6(r, b, 58, f + 22, 32));
		return true;
	}
	return false;
}

typedef bool (*rig_want)(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg);

/* The next frame of the kind is in r->got; false after MS milliseconds without one. */
UNUSED static bool rig_wait_ms(struct rig *r, rig_want want, unsigned arg, unsigned ms)
{
	uint64_t end = base_monotonic_ns() + ms * UINT64_C(1000000);

	for (;;) {
		struct rig_frame f;
		struct timespec t;

		pthread_mutex_lock(&r->lock);
		while (r->nr == 0 && base_monotonic_ns() < end) {
			clock_gettime(CLOCK_REALTIME, &t);
			t.tv_nsec += 20000000;
			t.tv_sec += t.tv_nsec / 1000000000;
			t.tv_nsec %= 1000000000;
			pthread_cond_timedwait(&r->more, &r->lock, &t);
		}
		if (r->nr == 0) {
			pthread_mutex_unlock(&r->lock);
			return false;
		}
		f = r->f[r->first];
		r->first = (r->first + 1) % RIG_KEEP;
		r->nr--;
		pthread_mutex_unlock(&r->lock);
		memcpy(r->got, f.b, f.len);
		free(f.b);
		r->got_len = f.len;
		r->got_flags = f.flags;
		r->got_mss = f.mss;
		if (!rig_neighbour(r, r->got, f.len) && want(r, r->got, f.len, arg))
			return true;
	}
}

UNUSED static bool rig_wait(struct rig *r, rig_want want, unsigned arg)
{
	return rig_wait_ms(r, want, arg, RIG_WAIT_S * 1000);
}

#endif
