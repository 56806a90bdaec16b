/*
 * policy.c - what each port lets in and out
 *
 * Lock     the switch's, for reading
 */
#include "net/vswitch_priv.h"

static bool may_spoof(const struct vport *p)
{
	return p->role == PORT_UPLINK || p->policy.mac_spoofing;
}

enum drop policy_in(struct hop *h)
{
	static const uint8_t reserved[5] = { 0x01, 0x80, 0xc2, 0x00, 0x00 };
	const struct vport *from = h->from;
	const struct pkt *p = &h->p;

	if (mac_is_group(pkt_mac_src(p)))
		return DROP_BAD;
	/* [802.1Q] table 8-1: pause, spanning tree, LLDP; they end at the next bridge. */
	if (memcmp(pkt_mac_dst(p), reserved, 5) == 0 && pkt_mac_dst(p)[5] < 16)
		return DROP_RESERVED;
	h->vid = vlan_in(&from->policy.vlan, p->flags & FRAME_TAGGED, p->tci);
	if (h->vid == VLAN_DROP)
		return DROP_VLAN;
	h->fid = h->sw->fid[h->vid];
	if (!may_spoof(from) && !mac_eq(pkt_mac_src(p), from->port.mac))
		return DROP_MAC_SPOOF;
	return guard_judge(&from->policy.guard, p);
}

enum drop policy_out(struct hop *h, struct vport *to, bool *ret_tagged)
{
	if (!vlan_out(&to->policy.vlan, h->vid, ret_tagged))
		return DROP_VLAN;
	return DROP_NOT;
}
