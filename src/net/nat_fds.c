/*
 * nat_fds.c - how many sockets a guest may have this process keep open
 *
 * Every TCP connection and every UDP flow of a guest is a socket of this
 * process, and disks, too, need file descriptors.  The library below has no
 * bound, so there is one here: half of what the process may have.  When that
 * many are open, frames that could open another are dropped until some are
 * closed: the guest sees lost packets, which it knows how to handle.
 *
 * The library tells of TCP sockets as they come and go, of the others only
 * when it wants them polled; so a frame counts as a socket until the next
 * look at what is polled.
 *
 * Missing  at the bound, UDP of flows that have a socket already is dropped too
 * Lock     none, the NAT's thread
 */
#include "net/nat_priv.h"

#include <sys/resource.h>

#define FDS_LEAST 32u

void nat_fds_init(struct nat_fds *s)
{
	struct rlimit r = { 0 };

	(void)getrlimit(RLIMIT_NOFILE, &r);
	s->max = (uint32_t)max_u64(min_u64(r.rlim_cur / 2, NAT_FD_MAX / 2), FDS_LEAST);
}

void nat_fds_set(struct nat_fds *s, int fd)
{
	uint64_t bit = UINT64_C(1) << (fd % 64);

	if (fd < 0 || (unsigned)fd >= NAT_FD_MAX || s->used[fd / 64] & bit)
		return;
	s->used[fd / 64] |= bit;
	s->nr++;
}

void nat_fds_clear(struct nat_fds *s, int fd)
{
	uint64_t bit = UINT64_C(1) << (fd % 64);

	if (fd < 0 || (unsigned)fd >= NAT_FD_MAX || !(s->used[fd / 64] & bit))
		return;
	s->used[fd / 64] &= ~bit;
	s->nr--;
}

/* The transport header is at P and has N bytes; what is too short may open anything. */
static bool transport_opens(unsigned proto, const uint8_t *p, uint32_t n)
{
	switch (proto) {
	case IP_TCP:
		return n < 14 || (p[13] & 0x12) == 0x02;	/* SYN without ACK */
	case IP_UDP:
		/* DHCP, TFTP and DHCPv6 are answered in the house. */
		return n < 4 || (ldbe16(p + 2) != 67 && ldbe16(p + 2) != 69 && ldbe16(p + 2) != 547);
	case IP_ICMP6:
		return false;
	default:
		return true;
	}
}

static bool may_open(const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + ETH_HLEN;
	unsigned type = ldbe16(frame + 12), hlen;

	len -= ETH_HLEN;
	if (type == ETH_IP4) {
		hlen = (ip[0] & 15) * 4u;
		if (hlen < 20 || hlen > len)
			return true;
		return transport_opens(ip[9], ip + hlen, len - hlen);
	}
	return type == ETH_IP6 && transport_opens(ip[6], ip + 40, len < 40 ? 0 : len - 40);
}

bool nat_fds_refuse(struct nat_fds *s, const uint8_t *frame, uint32_t len)
{
	if (!may_open(frame, len))
		return false;
	if (s->nr + s->maybe >= s->max)
		return true;
	s->maybe++;
	return false;
}
