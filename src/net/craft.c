/*
 * craft.c - frames made by hand, for tests
 *
 * Lock     none
 */
#include "net/craft.h"
#include "base/le.h"
#include "net/pkt.h"

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint8_t *more(struct craft *c, uint32_t n)
{
	uint8_t *p = c->b + c->n;

	BUG_IF(n > sizeof(c->b) - c->n);
	memset(p, 0, n);
	c->n += n;
	return p;
}

static void put_mac(uint8_t *p, uint64_t mac)
{
	put16(p, mac >> 32 & 0xffff);
	put32(p + 2, (uint32_t)mac);
}

void craft_eth(struct craft *c, uint64_t dst, uint64_t src, uint16_t type)
{
	uint8_t *p;

	c->n = c->l3 = c->l4 = 0;
	c->family = c->proto = 0;
	p = more(c, ETH_HLEN);
	put_mac(p, dst);
	put_mac(p + 6, src);
	put16(p + 12, type);
}

void craft_tag(struct craft *c, uint16_t type, uint16_t tci)
{
	more(c, 4);
	memmove(c->b + 16, c->b + 12, c->n - 16);
	put16(c->b + 12, type);
	put16(c->b + 14, tci);
}

void craft_ip4(struct craft *c, uint32_t src, uint32_t dst, uint8_t proto)
{
	uint8_t *p;

	c->l3 = c->n;
	p = more(c, 20);
	p[0] = 0x45;
	put16(p + 4, 0x1234);
	p[8] = 64;
	p[9] = proto;
	put32(p + 12, src);
	put32(p + 16, dst);
	c->l4 = c->n;
	c->family = 4;
	c->proto = proto;
}

void craft_ip6(struct craft *c, uint16_t src, uint16_t dst, uint8_t next)
{
	static const uint8_t prefix[4] = { 0x20, 0x01, 0x0d, 0xb8 };
	uint8_t *p;

	c->l3 = c->n;
	p = more(c, 40);
	p[0] = 0x60;
	p[6] = next;
	p[7] = 64;
	memcpy(p + 8, prefix, 4);
	put16(p + 22, src);
	memcpy(p + 24, prefix, 4);
	put16(p + 38, dst);
	c->l4 = c->n;
	c->family = 6;
	c->proto = next;
}

void craft_ip6_ext(struct craft *c, uint8_t next)
{
	uint8_t *p = more(c, 8);

	p[0] = next;
	p[2] = 1;		/* PadN */
	p[3] = 4;
	c->l4 = c->n;
	c->proto = next;
}

void craft_tcp(struct craft *c, uint16_t sport, uint16_t dport, uint8_t flags)
{
	uint8_t *p = more(c, 20);

	put16(p, sport);
	put16(p + 2, dport);
	put32(p + 4, 0xfffff000);	/* wraps in a large send */
	p[12] = 0x50;
	p[13] = flags;
}

void craft_udp(struct craft *c, uint16_t sport, uint16_t dport)
{
	uint8_t *p = more(c, 8);

	put16(p, sport);
	put16(p + 2, dport);
}

void craft_icmp(struct craft *c, uint8_t type, uint8_t code)
{
	uint8_t *p = more(c, 8);

	p[0] = type;
	p[1] = code;
}

void craft_bytes(struct craft *c, const void *buf, uint32_t n)
{
	uint8_t *p = more(c, n);

	if (buf != NULL)
		memcpy(p, buf, n);
	for (uint32_t i = 0; buf == NULL && i < n; i++)
		p[i] = (uint8_t)(i * 7 + i / 251);
}

static uint32_t plain_sum(uint32_t sum, const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static uint32_t plain_pseudo(const uint8_t *ip, uint8_t proto, uint32_t n)
{
	uint32_t sum = ip[0] >> 4 == 4 ? plain_sum(0, ip + 12, 8) : plain_sum(0, ip + 8, 32);
	uint8_t tail[4] = { 0, proto };

	put16(tail + 2, n & 0xffff);
	return plain_sum(sum, tail, 4) + (n >> 16);
}

void craft_done(struct craft *c)
{
	uint8_t *ip = c->b + c->l3, *l4 = c->b + c->l4;
	uint32_t n = c->n - c->l4, sum, at;

	if (c->family == 0)
		return;
	if (c->family == 4) {
		put16(ip + 2, c->n - c->l3);
		put16(ip + 10, 0);
		put16(ip + 10, ~plain_sum(0, ip, c->l4 - c->l3) & 0xffff);
	} else {
		put16(ip + 4, c->n - c->l3 - 40);
	}
	switch (c->proto) {
	case IP_TCP: at = 16; break;
	case IP_UDP: at = 6; put16(l4 + 4, n); break;
	case IP_ICMP: case IP_ICMP6: at = 2; break;
	default: return;
	}
	put16(l4 + at, 0);
	sum = plain_sum(c->proto == IP_ICMP ? 0 : plain_pseudo(ip, c->proto, n), l4, n);
	sum = ~sum & 0xffff;
	put16(l4 + at, sum == 0 && c->proto == IP_UDP ? 0xffff : sum);
}

void craft_udp4(struct craft *c, uint64_t dst, uint64_t src, uint32_t n)
{
	craft_eth(c, dst, src, ETH_IP4);
	craft_ip4(c, 0x0a000001, 0x0a000002, IP_UDP);
	craft_udp(c, 1000, 2000);
	craft_bytes(c, NULL, n);
	craft_done(c);
}

void craft_arp(struct craft *c, uint64_t dst, uint64_t src, uint16_t op, uint32_t spa, uint32_t tpa)
{
	static const uint8_t ether_ip4[6] = { 0, 1, 8, 0, 6, 4 };
	uint8_t *p;

	craft_eth(c, dst, src, ETH_ARP);
	p = more(c, 46);
	memcpy(p, ether_ip4, 6);
	put16(p + 6, op);
	put_mac(p + 8, src);
	put32(p + 14, spa);
	put32(p + 24, tpa);
}

struct net_frame craft_frame(struct craft *c, uint32_t flags)
{
	uint32_t a = (uint32_t)min_u64(7, c->n), b = (uint32_t)min_u64(33, c->n);
	uint32_t d = (uint32_t)min_u64(301, c->n);
	struct net_frame f = { .iov = c->iov, .nr_iov = 4, .len = c->n, .flags = flags };

	c->iov[0] = (struct iovec){ c->b, a };
	c->iov[1] = (struct iovec){ c->b + a, b - a };
	c->iov[2] = (struct iovec){ c->b + b, d - b };
	c->iov[3] = (struct iovec){ c->b + d, c->n - d };
	f.l4_at = (uint16_t)c->l4;
	return f;
}

bool craft_sums_right(const uint8_t *b, uint32_t n)
{
	const uint8_t *ip = b + ETH_HLEN;
	uint32_t type = get16(b + 12), l4_len;
	const uint8_t *l4;
	uint8_t proto;

	if (type == ETH_TAG) {
		type = get16(b + 16);
		ip += 4;
	}
	if (type == ETH_IP4) {
		if (plain_sum(0, ip, (ip[0] & 15) * 4u) != 0xffff)
			return false;
		l4 = ip + (ip[0] & 15) * 4;
		l4_len = get16(ip + 2) - (ip[0] & 15) * 4u;
		proto = ip[9];
	} else {
		l4 = ip + 40;
		l4_len = get16(ip + 4);
		proto = ip[6];
		while (proto == 60) {
			uint32_t len = (l4[1] + 1u) * 8;

			proto = l4[0];
			l4 += len;
			l4_len -= len;
		}
	}
	if (l4 + l4_len > b + n)
		return false;
	return plain_sum(proto == IP_ICMP ? 0 : plain_pseudo(ip, proto, l4_len), l4, l4_len) == 0xffff;
}
