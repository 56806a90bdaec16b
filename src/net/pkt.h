/*
 * pkt.h - the headers of one frame, copied once and understood
 *
 * Every policy judges what is in here, and what is in here is what receivers
 * get: h replaces the first n bytes of the frame, whatever the sender does to
 * its memory meanwhile.
 */
#ifndef NET_PKT_H
#define NET_PKT_H

#include "net/frame.h"

#include <string.h>

#define PKT_HDR_MAX 256u
#define PKT_MSS_MIN 32u		/* bounds how many segments a large send may become */

enum {
	ETH_IP4 = 0x0800,
	ETH_ARP = 0x0806,
	ETH_TAG = 0x8100,
	ETH_STAG = 0x88a8,
	ETH_IP6 = 0x86dd,
};

enum {
	IP_ICMP = 1,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_ICMP6 = 58,
};

enum {
	PKT_IP4 = 1 << 0,
	PKT_IP6 = 1 << 1,
	PKT_ARP = 1 << 2,	/* for IPv4 over Ethernet, whole */
	PKT_FRAG = 1 << 3,	/* a fragment, first or later */
	PKT_LATER = 1 << 4,	/* a later fragment: no ports */
	PKT_L4 = 1 << 5,	/* the whole header of TCP, UDP or ICMP is in h */
	/*
	 * Cannot be judged: cut off, contradicts itself, or more headers than we follow.
	 * A receiver may read in it what we do not see.
	 */
	PKT_OPAQUE = 1 << 6,
	PKT_TAGS = 1 << 7,	/* its bytes begin with another tag, which the next bridge may go by */
};
#define PKT_IP (PKT_IP4 | PKT_IP6)

struct packet {
	uint32_t flags;			/* FRAME_x, checked */
	uint32_t len;			/* of the frame, its tag out of it */
	uint16_t tci;
	uint16_t mss;
	uint16_t what;			/* PKT_x */
	uint16_t type;			/* EtherType behind all tags */
	uint16_t l3_at, l4_at;		/* where they are known, else 0 */
	uint16_t hdr_len;		/* with PKT_L4: Ethernet to the end of the TCP, UDP or ICMP header */
	uint16_t sport, dport;		/* ICMP: type and code */
	uint8_t proto;			/* IP's, behind extension headers */
	uint8_t ttl;
	uint32_t ip_end;		/* where the IP packet ends; padding may follow */
	const uint8_t *src, *dst;	/* IP: addresses in h, 4 or 16 bytes */
	uint32_t n;			/* bytes in h */
	uint8_t h[PKT_HDR_MAX];
	uint32_t nr_rest;		/* behind them */
	struct iovec rest[NET_IOV_MAX];	/* [borrowed] */
};

static inline const uint8_t *pkt_mac_dst(const struct packet *p) { return p->h; }
static inline const uint8_t *pkt_mac_src(const struct packet *p) { return p->h + 6; }
static inline bool mac_is_group(const uint8_t *mac) { return mac[0] & 1; }
static inline bool mac_eq(const uint8_t *a, const uint8_t *b) { return memcmp(a, b, 6) == 0; }

/*
 * Fills *P from a frame.  False: nobody may have this (too short or long, too many
 * pieces, or its offload flags do not fit its headers).  The pieces' lengths are the
 * caller's word.  Of SUM_OK only a TRUSTED sender is believed.
 */
MUST_CHECK bool pkt_parse(struct packet *p, const struct net_frame *f, bool trusted);

/* Bytes it takes on a wire: of a large send, with the headers of all its segments. */
uint64_t pkt_wire_len(const struct packet *p);

#endif
