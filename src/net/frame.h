/*
 * frame.h - an Ethernet frame on its way, and what it says about itself
 *
 * The bytes go from the destination address on, without FCS, without
 * preamble.  The outermost 802.1Q tag does not lie in the bytes but beside
 * them; a switch moves a tag it finds in the bytes to its place.
 *
 * A frame is lent for the length of one call.  Its bytes may be a guest's
 * memory and change meanwhile: what is interpreted is copied once and never
 * looked at again.  The flags are a claim of the sender until a switch has
 * compared them with the headers; what a switch delivers is true.
 */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include "base/base.h"

#include <sys/uio.h>

#define ETH_HLEN 14		/* as <linux/if_ether.h> has it */
#define NET_MTU_MAX 9000u
#define NET_FRAME_MAX (ETH_HLEN + NET_MTU_MAX)
#define NET_LSO_MAX (ETH_HLEN + 65535u)		/* a large send: an IP packet of full length */
#define NET_IOV_MAX 40				/* pieces of a frame as a sender may give it */
#define NET_IOV_OUT (NET_IOV_MAX + 2)		/* as a receiver may get it: the switch adds headers */

enum {
	FRAME_TAGGED = 1 << 0,		/* tci is there */
	/*
	 * Still to be computed.  For TCP and UDP the checksum field holds the sum of the
	 * pseudo-header, length included (a sender need not: the switch writes it).
	 */
	FRAME_SUM_IP = 1 << 1,
	FRAME_SUM_TCP = 1 << 2,		/* its header begins at l4_at */
	FRAME_SUM_UDP = 1 << 3,
	/* Every checksum in it is right, or the frame never left this host.  Not with SUM_x. */
	FRAME_SUM_OK = 1 << 4,
	/*
	 * A large send: one TCP header for payload of any length, to be cut in segments of
	 * mss bytes.  Implies that IP and TCP checksums and lengths are to be computed for
	 * each, and comes with SUM_TCP (and for v4 SUM_IP).  The IP length field is that of
	 * the whole (a sender may leave it 0).
	 */
	FRAME_LSO4 = 1 << 5,
	FRAME_LSO6 = 1 << 6,
};
#define FRAME_LSO (FRAME_LSO4 | FRAME_LSO6)
#define FRAME_SUM_L4 (FRAME_SUM_TCP | FRAME_SUM_UDP)

struct net_frame {
	const struct iovec *iov;	/* [borrowed] at most NET_IOV_MAX or _OUT; no piece needs to hold a header */
	uint32_t nr_iov;
	uint32_t len;			/* == the sum of the pieces; at least ETH_HLEN */
	uint32_t flags;			/* FRAME_x */
	uint16_t tci;			/* 802.1Q: PCP 15:13, DEI 12, VLAN id 11:0 */
	uint16_t l4_at;			/* for SUM_TCP, SUM_UDP, LSO: offset of the TCP or UDP header */
	uint16_t mss;			/* for LSO: payload bytes of a segment, at least 1 */
};

/* Where the checksum field is that SUM_TCP or SUM_UDP speaks of. */
static inline uint32_t frame_sum_at(const struct net_frame *f)
{
	return f->l4_at + (f->flags & FRAME_SUM_UDP ? 6u : 16u);
}

/* Copies N bytes from OFF on; false (and nothing copied) when the frame is shorter. */
MUST_CHECK bool frame_copy(const struct net_frame *f, uint32_t off, void *dst, uint32_t n);

/* The same bytes from OFF on, as pieces; how many, at most f->nr_iov.  OFF <= f->len. */
uint32_t frame_slice(const struct net_frame *f, uint32_t off, struct iovec *ret_iov);

#endif
