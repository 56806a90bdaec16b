/*
 * craft.h - frames made by hand, for tests
 *
 * Layer by layer from the outside: craft_eth, craft_ip4, craft_udp,
 * craft_bytes, craft_done, which fills lengths and checksums.  The checksum
 * here is the plain one of RFC 1071, so that it can judge ours.
 */
#ifndef NET_CRAFT_H
#define NET_CRAFT_H

#include "net/frame.h"

struct craft {
	uint8_t b[16 + NET_LSO_MAX];
	uint32_t n;
	uint32_t l3, l4;		/* 0 = none */
	uint8_t family, proto;
	struct iovec iov[4];
};

void craft_eth(struct craft *c, uint64_t dst, uint64_t src, uint16_t type);
void craft_tag(struct craft *c, uint16_t type, uint16_t tci);	/* before craft_eth's type */
void craft_ip4(struct craft *c, uint32_t src, uint32_t dst, uint8_t proto);
/* Addresses 2001:db8::SRC and ::DST; NEXT is the next header. */
void craft_ip6(struct craft *c, uint16_t src, uint16_t dst, uint8_t next);
void craft_ip6_ext(struct craft *c, uint8_t next);	/* 8 bytes of destination options */
void craft_tcp(struct craft *c, uint16_t sport, uint16_t dport, uint8_t flags);
void craft_udp(struct craft *c, uint16_t sport, uint16_t dport);
void craft_icmp(struct craft *c, uint8_t type, uint8_t code);	/* or ICMPv6, by the family */
void craft_bytes(struct craft *c, const void *buf, uint32_t n);	/* NULL: a pattern */
void craft_done(struct craft *c);
/* The lot: Ethernet, IPv4 10.0.0.x, UDP or TCP (SYN), N bytes of payload. */
void craft_udp4(struct craft *c, uint64_t dst, uint64_t src, uint32_t n);
void craft_arp(struct craft *c, uint64_t dst, uint64_t src, uint16_t op, uint32_t spa, uint32_t tpa);

/* In four pieces, cut at odd places. */
struct net_frame craft_frame(struct craft *c, uint32_t flags);

/* Are the IPv4 header's and the TCP, UDP or ICMPv6 checksum of these bytes right? */
bool craft_sums_right(const uint8_t *b, uint32_t n);

#endif
