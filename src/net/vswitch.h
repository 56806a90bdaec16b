/*
 * vswitch.h - a virtual Ethernet switch
 *
 * Adapters, the host and uplinks are ports of it, alike but for their role;
 * what may be on a switch is its kind.  Policy belongs to ports and is
 * enforced here, in both directions.
 *
 * Forwarding is by known addresses first (those of adapters), then learned
 * ones.  A unicast frame for an address nobody knows goes to uplinks and to
 * adapters that may have other addresses behind them, to no others.
 */
#ifndef NET_VSWITCH_H
#define NET_VSWITCH_H

#include "net/acl.h"
#include "net/drop.h"
#include "net/guard.h"
#include "net/port.h"
#include "net/vlan.h"

struct clock;
struct err;
struct vswitch;

#define VSWITCH_PORTS 256
#define TEAM_MAX 8u			/* uplinks of one switch */

enum vswitch_kind {
	VSWITCH_PRIVATE,		/* adapters only */
	VSWITCH_INTERNAL,		/* and the host */
	VSWITCH_EXTERNAL,		/* and uplinks, which are a team when there are several */
	VSWITCH_NAT,			/* like internal; the host's port is the gateway */
};

enum port_role { PORT_ADAPTER, PORT_HOST, PORT_UPLINK };

/* By what senders share a port that several send to: an uplink with a speed, a receiver that is full. */
enum vswitch_bandwidth {
	BANDWIDTH_DEFAULT,		/* weight */
	BANDWIDTH_NONE,			/* who comes first */
	BANDWIDTH_WEIGHT,
	BANDWIDTH_ABSOLUTE,		/* bits a second that are reserved */
};

enum vswitch_team {			/* see team.c */
	TEAM_PORT,			/* all that a port sends goes by one uplink */
	TEAM_DYNAMIC,			/* each flow by one */
};

struct vswitch_conf {
	enum vswitch_kind kind;
	enum vswitch_bandwidth bandwidth;
	uint32_t default_weight;	/* of all ports together that have none; 1 to 100, 0 = 1 */
	uint64_t default_bps;		/* reserved for all ports together that have none */
	enum vswitch_team team;
	uint32_t max_macs;		/* learned addresses; 0 = 4096, a quarter of them for each port */
	uint64_t age_ns;		/* 0 = 300 s */
};

enum port_mirror {
	MIRROR_NONE,
	MIRROR_SOURCE,			/* what it sends and gets goes also to every destination */
	MIRROR_DESTINATION,		/* gets those, tagged with their VLAN, besides its own */
};

/* Zeroed: what Hyper-V gives a new adapter (and an uplink, whose zero means every VLAN). */
struct port_policy {
	struct vlan_conf vlan;
	bool mac_spoofing;		/* may send from any address, and gets unknown unicast */
	struct guard_conf guard;	/* on what it sends */
	enum port_mirror mirror;
	uint32_t storm_limit;		/* broadcast, multicast, unknown unicast: frames a second; 0 = none */
	uint64_t max_out_bps;		/* bits a second that it may send: more waits; 0 = no limit */
	uint64_t max_in_bps;		/* that it gets: more is dropped (at an uplink: waits) */
	uint32_t min_weight;		/* what it sends, where others send too: 1 to 100; 0 = of the default flow */
	uint64_t min_bps;		/* the same on a switch with reservations */
	const struct acl_rule *acl;	/* [borrowed for the call] */
	unsigned nr_acl;
};

struct port_conf {
	const char *name;
	enum port_role role;
	uint8_t mac[6];			/* of an uplink only for a dynamic team, else 0 */
	uint64_t bps;			/* link speed as shown; 0 = 10 Gbit/s.  An uplink's is what it takes, too */
	struct port_policy policy;
};

struct port_stats {
	uint64_t sent, sent_bytes;		/* by the owner, taken and not dropped at its port */
	uint64_t received, received_bytes;	/* given to the owner */
	uint64_t drops[DROP_NR];
};

/* Time is C's; it outlives the switch. */
MUST_CHECK int vswitch_new(const struct vswitch_conf *conf, struct clock *c, struct vswitch **ret_sw,
			   struct err *err);
void vswitch_free(struct vswitch *sw);	/* all ports are gone before */

MUST_CHECK int vswitch_port(struct vswitch *sw, const struct port_conf *conf, struct port **ret_p,
			    struct err *err);
void vswitch_port_free(struct port *p);	/* when it returns nothing of it is running; NULL is fine */
/* Takes effect between two frames, whole or (on an error) not at all. */
MUST_CHECK int vswitch_set_policy(struct port *p, const struct port_policy *policy, struct err *err);
void vswitch_set_link(struct port *p, bool up);
void vswitch_port_stats(struct port *p, struct port_stats *ret_st);
/* Frames and bytes that met rule I of its policy since that was set. */
void vswitch_acl_counters(struct port *p, unsigned i, uint64_t *ret_frames, uint64_t *ret_bytes);
const char *vswitch_drop_name(enum drop why);

struct vswitch_addr {
	uint8_t mac[6];
	uint16_t vlan;			/* the primary one of a private VLAN; VLAN_DROP: of every VLAN */
	bool known;			/* an adapter's own; else learned */
	uint64_t age_ns;
	char port[32];
};
/* Up to MAX addresses and where they are; how many. */
uint32_t vswitch_addresses(struct vswitch *sw, struct vswitch_addr *ret_list, uint32_t max);

#endif
