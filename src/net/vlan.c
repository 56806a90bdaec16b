/*
 * vlan.c - which VLAN a port's frames belong to
 *
 * A tag with id 0 carries a priority only: such a frame counts as untagged.
 * An access port refuses other tags even when they name its own VLAN, as an
 * adapter in access mode has no business with tags.
 *
 * Spec     [802.1Q] 6.9, 9.6; [RFC 5517] private VLANs
 * Lock     none
 */
#include "net/vlan.h"
#include "base/err.h"

int vlan_check(const struct vlan_conf *c, struct err *err)
{
	if (c->id > VLAN_MAX || c->primary > VLAN_MAX || c->native > VLAN_MAX)
		return err_set(err, -EINVAL, "VLAN ids go from 1 to %u", VLAN_MAX);
	if (c->allowed[63] >> 63)
		return err_set(err, -EINVAL, "VLAN id 4095 is reserved");
	switch (c->mode) {
	case VLAN_ACCESS:
	case VLAN_TRUNK:
		return 0;
	case VLAN_ISOLATED:
	case VLAN_COMMUNITY:
		if (c->primary == 0 || c->id == 0 || c->id == c->primary)
			return err_set(err, -EINVAL, "a private VLAN needs a primary id and another, secondary one");
		return 0;
	case VLAN_PROMISCUOUS:
		if (c->primary == 0 || vlan_allows(c, c->primary) || vlan_allows(c, 0))
			return err_set(err, -EINVAL,
				       "a promiscuous port needs a primary id and other ids as its secondaries");
		return 0;
	}
	return err_set(err, -EINVAL, "VLAN mode %u is not known", c->mode);
}

uint16_t vlan_in(const struct vlan_conf *c, bool tagged, uint16_t tci)
{
	uint16_t vid = tagged ? tci & 0xfff : 0;

	if (vid > VLAN_MAX)
		return VLAN_DROP;
	if (c->mode == VLAN_TRUNK) {
		if (vid == 0 || vid == c->native)
			return vid == 0 || c->native != 0 ? c->native : VLAN_DROP;
		return vlan_allows(c, vid) ? vid : VLAN_DROP;
	}
	if (vid != 0)
		return VLAN_DROP;
	return c->mode == VLAN_PROMISCUOUS ? c->primary : c->id;
}

bool vlan_out(const struct vlan_conf *c, uint16_t vid, bool *ret_tagged)
{
	*ret_tagged = false;
	switch (c->mode) {
	case VLAN_ACCESS:
		return vid == c->id;
	case VLAN_TRUNK:
		*ret_tagged = vid != c->native;
		return vid == c->native || (vid != 0 && vlan_allows(c, vid));
	case VLAN_ISOLATED:
		return vid == c->primary;
	case VLAN_COMMUNITY:
		return vid == c->primary || vid == c->id;
	case VLAN_PROMISCUOUS:
		return vid == c->primary || vlan_allows(c, vid);
	}
	return false;
}
