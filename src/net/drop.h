/*
 * drop.h - why a frame went no further
 */
#ifndef NET_DROP_H
#define NET_DROP_H

enum drop {
	DROP_NOT,			/* it passes */
	/* Counted at the port that it came from. */
	DROP_BAD,			/* lengths or offload flags that do not fit; a group address as source */
	DROP_LINK,			/* its link is down */
	DROP_RESERVED,			/* to an address that bridges do not forward */
	DROP_VLAN,
	DROP_MAC_SPOOF,
	DROP_OPAQUE,			/* headers that cannot be judged, where a policy must */
	DROP_DHCP_GUARD,
	DROP_ROUTER_GUARD,
	DROP_ADDR_SPOOF,		/* ARP or ND for an address that is not the port's */
	DROP_STORM,
	DROP_ACL_OUT,
	DROP_NOWHERE,			/* no port has the destination */
	DROP_OWN,			/* a team's own frame, back by another member */
	DROP_MEMBER,			/* a copy of what another member of the team brings */
	/* Counted at the port that it should have gone to. */
	DROP_ACL_IN,
	DROP_RATE_IN,			/* above the bandwidth maximum towards the owner, or its share of it */
	DROP_NO_ROOM,
	DROP_TOO_LONG,
	DROP_NR,
};

#endif
