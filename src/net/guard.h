/*
 * guard.h - stations that claim to be what they are not
 *
 * What an adapter may not say: that it serves DHCP, that it is a router,
 * that it has addresses which are not its own.
 */
#ifndef NET_GUARD_H
#define NET_GUARD_H

#include "net/drop.h"
#include "net/pkt.h"

#define GUARD_ADDRS 16

struct guard_addr {
	uint8_t family;			/* 4, 6 */
	uint8_t prefix;			/* bits that count */
	uint8_t addr[16];
};

struct guard_conf {
	bool dhcp;			/* no messages of DHCP servers or relays, v4 and v6 */
	bool router;			/* no router advertisements, no redirects */
	/*
	 * ARP and ND: the hardware address inside is the frame's own and, where nr_addr is
	 * not 0, the protocol address is one of these (probes for none are always fine).
	 */
	bool addr;
	unsigned nr_addr;
	struct guard_addr addrs[GUARD_ADDRS];
};

struct err;

MUST_CHECK int guard_check(const struct guard_conf *g, struct err *err);
/* May a port with G send this?  DROP_NOT or a reason. */
enum drop guard_judge(const struct guard_conf *g, const struct packet *p);

/* Do the first PREFIX bits agree? */
bool addr_in_prefix(const uint8_t *addr, const uint8_t *net, unsigned prefix);

#endif
