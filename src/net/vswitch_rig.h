/*
 * vswitch_rig.h - a switch with recording owners on its ports, for tests
 */
#ifndef NET_VSWITCH_RIG_H
#define NET_VSWITCH_RIG_H

#include "net/craft.h"
#include "net/vswitch.h"

#define RIG_PORTS 12
#define RIG_KEEP 64

/* The address of the adapter on port I. */
#define RIG_MAC(i) (UINT64_C(0x00155d000000) + (i))
#define RIG_ALL UINT64_C(0xffffffffffff)

struct rig_port {
	struct port *port;
	unsigned nr, bytes;		/* frames taken so far */
	unsigned room;			/* it takes that many more */
	unsigned refused, ends, resumes, links;
	bool up;
	struct net_frame f[RIG_KEEP];	/* the last ones; without pieces */
	uint8_t b[RIG_KEEP][2048];
};

struct rig {
	struct clock *clock;
	struct vswitch *sw;
	struct rig_port p[RIG_PORTS];
	struct craft c;
};

/* A switch of KIND with NR adapters; all default policy. */
void rig_new(struct rig *r, enum vswitch_kind kind, unsigned nr);
void rig_new_conf(struct rig *r, const struct vswitch_conf *conf, unsigned nr);
void rig_free(struct rig *r);
/* One more at place I, bound; caps: everything taken as it is. */
int rig_add(struct rig *r, unsigned i, enum port_role role, const struct port_policy *policy);
int rig_add_conf(struct rig *r, unsigned i, const struct port_conf *conf);
void rig_policy(struct rig *r, unsigned i, const struct port_policy *policy);

/* Sends r->c from port I; was it taken? */
bool rig_send(struct rig *r, unsigned i, uint32_t flags);
/* The same, tagged with TCI. */
bool rig_send_tagged(struct rig *r, unsigned i, uint16_t tci);
/* Sends r->c from I and says which ports got it, a bit for each. */
unsigned rig_reach(struct rig *r, unsigned i);
uint64_t rig_drops(struct rig *r, unsigned i, enum drop why);

#endif
