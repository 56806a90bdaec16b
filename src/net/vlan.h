/*
 * vlan.h - which VLAN a port's frames belong to
 *
 * Inside a switch every frame has one VLAN id, 0 being the untagged network.
 * Private VLANs put several secondary ids under a primary one: an isolated
 * port talks to promiscuous ports only, a community port also to its own
 * community, a promiscuous port to all of the primary.
 */
#ifndef NET_VLAN_H
#define NET_VLAN_H

#include "base/base.h"

enum vlan_mode {
	VLAN_ACCESS,			/* id; 0 = the untagged network */
	VLAN_TRUNK,			/* allowed ids come tagged, native untagged */
	VLAN_ISOLATED,			/* primary, id = the secondary */
	VLAN_COMMUNITY,			/* the same */
	VLAN_PROMISCUOUS,		/* primary, allowed = the secondaries */
};

#define VLAN_MAX 4094u
#define VLAN_DROP UINT16_MAX

struct vlan_conf {
	enum vlan_mode mode;
	uint16_t id, primary, native;
	uint64_t allowed[64];		/* bit of each id */
};

static inline bool vlan_allows(const struct vlan_conf *c, uint16_t vid)
{
	return c->allowed[vid / 64] >> vid % 64 & 1;
}

static inline void vlan_allow(struct vlan_conf *c, uint16_t vid)
{
	c->allowed[vid / 64] |= UINT64_C(1) << vid % 64;
}

struct err;

/* 0, or -EINVAL with a sentence. */
MUST_CHECK int vlan_check(const struct vlan_conf *c, struct err *err);

/* The VLAN of a frame from a port with C, or VLAN_DROP. */
uint16_t vlan_in(const struct vlan_conf *c, bool tagged, uint16_t tci);
/* May a frame of VLAN VID leave by a port with C?  *RET_TAGGED: with its id as tag. */
bool vlan_out(const struct vlan_conf *c, uint16_t vid, bool *ret_tagged);

#endif
