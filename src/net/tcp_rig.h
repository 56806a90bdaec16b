/*
 * tcp_rig.h - what a guest of the rig can do: ping, and talk TCP
 *
 * As little of TCP as will do: no window, no timer, nothing is sent again.
 */
#ifndef NET_TCP_RIG_H
#define NET_TCP_RIG_H

#include "base/test.h"
#include "net/nat_rig.h"

#include <arpa/inet.h>

/* A socket of the test on an address of the host, its port in *ret_port. */
UNUSED static int host_socket_at(int type, uint32_t addr, unsigned *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(addr) } };
	struct timeval t = { .tv_sec = RIG_WAIT_S };
	socklen_t n = sizeof(a);
	int s = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	CHECK(s >= 0);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	CHECK_EQ(bind(s, (struct sockaddr *)&a, n), 0);
	CHECK_EQ(getsockname(s, (struct sockaddr *)&a, &n), 0);
	if (type == SOCK_STREAM)
		CHECK_EQ(listen(s, 8), 0);
	*ret_port = ntohs(a.sin_port);
	return s;
}

UNUSED static int host_socket(int type, unsigned *ret_port)
{
	return host_socket_at(type, INADDR_LOOPBACK, ret_port);
}

/* A TCP or UDP port that nobody has right now. */
UNUSED static unsigned free_port(int type)
{
	unsigned port;

	close(host_socket(type, &port));
	return port;
}

static uint8_t bulk[1 << 20];

UNUSED static void bulk_fill(void)
{
	for (size_t i = 0; i < sizeof(bulk); i++)
		bulk[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

/* Sends the megabyte, and ends. */
struct sender {
	int fd;
	pthread_t thread;
};

UNUSED static void *send_bulk(void *arg)
{
	const struct sender *x = arg;
	size_t at = 0;
	ssize_t n;

	while (at < sizeof(bulk) && (n = send(x->fd, bulk + at, sizeof(bulk) - at, MSG_NOSIGNAL)) > 0)
		at += (size_t)n;
	shutdown(x->fd, SHUT_WR);
	return NULL;
}

UNUSED static bool want_arp(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	return len >= 42 && rig_be16(f + 12) == 0x0806 && rig_be16(f + 20) == arg && memcmp(f, r->mac, 6) == 0;
}

/* IPv4, this protocol. */
UNUSED static bool want_ip4(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	(void)r;
	return len >= RIG_L4 + 8 && rig_be16(f + 12) == 0x0800 && f[23] == arg;
}

/* UDP or TCP to this port of the guest. */
UNUSED static bool want_udp(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	return want_ip4(r, f, len, 17) && rig_be16(f + RIG_L4 + 2) == arg;
}

UNUSED static bool want_tcp(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	return want_ip4(r, f, len, 6) && len >= RIG_L4 + 20 && rig_be16(f + RIG_L4 + 2) == arg;
}

/* ICMPv6 of this type. */
UNUSED static bool want_icmp6(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	(void)r;
	return len >= RIG_L4_6 + 8 && rig_be16(f + 12) == 0x86dd && f[20] == 58 && f[RIG_L4_6] == arg;
}

UNUSED static uint32_t echo(uint8_t *b, unsigned type, unsigned l4)
{
	memset(b + l4, 0, 8);
	b[l4] = (uint8_t)type;
	rig_put16(b + l4 + 4, 0x1234);
	memcpy(b + l4 + 8, "are you there", 13);
	return 8 + 13;
}

UNUSED static bool want_pong(const struct rig *r, const uint8_t *f, uint32_t len, unsigned arg)
{
	return want_ip4(r, f, len, arg) && f[RIG_L4] == 0;
}

UNUSED static bool pings(struct rig *r)
{
	uint8_t b[128];
	uint32_t n = echo(b, 8, RIG_L4);

	rig_send(r, b, rig_ip4(r, b, 1, r->gw, n));
	if (!rig_wait(r, want_pong, 1))
		return false;
	return rig_be16(r->got + RIG_L4 + 4) == 0x1234 &&
	       memcmp(r->got + RIG_L4 + 8, "are you there", 13) == 0;
}

/* One end of a TCP connection, as little of it as will do. */
struct tcp {
	unsigned sport, dport;
	uint32_t dst, seq, ack;
	unsigned mss;			/* as named in the SYN; 0 = 1460 */
	unsigned flags;			/* of what came last */
	const uint8_t *data;		/* in r->got */
	uint32_t n;
};

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

UNUSED static void tcp_send(struct rig *r, struct tcp *t, unsigned flags, const void *data, uint32_t n)
{
	static uint8_t b[70000];
	uint8_t *h = b + RIG_L4;
	uint32_t hlen = flags & SYN ? 24 : 20;
	unsigned mss = t->mss ? t->mss : 1460;

	rig_put16(h, t->sport);
	rig_put16(h + 2, t->dport);
	rig_put32(h + 4, t->seq);
	rig_put32(h + 8, t->ack);
	h[12] = (uint8_t)(hlen / 4 << 4);
	h[13] = (uint8_t)flags;
	rig_put16(h + 14, 65535);
	rig_put16(h + 18, 0);
	if (flags & SYN)
		memcpy(h + 20, (const uint8_t[]){ 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss }, 4);
	if (n > 0)
		memcpy(h + hlen, data, n);
	rig_send(r, b, rig_ip4(r, b, 6, t->dst, hlen + n));
	t->seq += n + !!(flags & (SYN | FIN));
}

/* In B, one segment of the first N bytes of the megabyte, however many; its length with sums and headers. */
UNUSED static uint32_t tcp_large(struct rig *r, const struct tcp *t, uint8_t *b, uint32_t n)
{
	memset(b, 0, RIG_L4 + 20);
	rig_put16(b + RIG_L4, t->sport);
	rig_put16(b + RIG_L4 + 2, t->dport);
	rig_put32(b + RIG_L4 + 4, t->seq);
	rig_put32(b + RIG_L4 + 8, t->ack);
	b[RIG_L4 + 12] = 0x50;
	b[RIG_L4 + 13] = PSH | ACK;
	rig_put16(b + RIG_L4 + 14, 65535);
	memcpy(b + RIG_L4 + 20, bulk, n);
	return rig_ip4(r, b, 6, r->gw, 20 + n);
}

/* The next segment that moves the connection on; answers it when it has data. */
UNUSED static bool tcp_next(struct rig *r, struct tcp *t)
{
	const uint8_t *h = r->got + RIG_L4;

	do {
		if (!rig_wait(r, want_tcp, t->sport))
			return false;
		t->flags = h[13];
		t->data = h + (h[12] >> 4) * 4;
		t->n = rig_be16(r->got + 16) - 20u - (h[12] >> 4) * 4u;
		if (t->flags & SYN)
			t->ack = rig_be32(h + 4);
		/* Sums as they must be: with the pseudo-header everything adds up to nothing. */
		if (!(r->got_flags & FRAME_SUM_TCP) &&
		    rig_sum(h, rig_be16(r->got + 16) - 20u,
			    6 + rig_be16(r->got + 16) - 20u + rig_be16(r->got + 26) + rig_be16(r->got + 28) +
			    rig_be16(r->got + 30) + rig_be16(r->got + 32)) != 0)
			return false;
	} while (rig_be32(h + 4) != t->ack || (t->n == 0 && !(t->flags & (SYN | FIN | RST))));
	t->ack += t->n + !!(t->flags & (SYN | FIN));
	if (!(t->flags & RST))
		tcp_send(r, t, ACK, NULL, 0);
	return true;
}

UNUSED static void tcp_open(struct rig *r, struct tcp *t, unsigned sport, uint32_t dst, unsigned dport)
{
	*t = (struct tcp){ .sport = sport, .dport = dport, .dst = dst, .seq = 1000, .mss = t->mss };
	tcp_send(r, t, SYN, NULL, 0);
	CHECK(tcp_next(r, t));
	CHECK_EQ(t->flags & (SYN | ACK | RST), SYN | ACK);
}

#endif
