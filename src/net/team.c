/*
 * team.c - several uplinks that are one (switch embedded teaming)
 *
 * Up to TEAM_MAX uplinks, called members, lead to the same network by wires of
 * their own, and the network knows nothing of it: it has learned each of our
 * addresses at one of its ports, sends what is for everybody to all of them,
 * and what one of them hears from us to the others.  So
 *
 *  - every port has a member of its own, and what comes from the network for
 *    everybody reaches it by that member only: once, of several copies;
 *  - a frame from the network whose source is an address of ours is one that we
 *    sent by another member, and ends here;
 *  - what a member hears never leaves by another.
 *
 * By port, everything goes by the sender's member.  Dynamic, each flow of IP
 * goes by the member that its addresses and ports choose; where a member has an
 * address it lends that to such frames, so that the network does not see ours
 * wander.  Without one the network learns us wherever we sent last, so what
 * is for us alone is taken from each member by which we sent lately.
 *
 * When a link is lost, the ports of that member (and no others) get other
 * members, the least burdened first, and say so to the network, each with one
 * frame, from which it learns where to send from now on.  When the link is
 * back they go back.
 *
 * Spec     [802.1Q] 8.7 learning; [RFC903] for the frame that says so
 * Missing  moving flows by load; addresses that were learned behind a port are
 *          not announced, nor a trunk's other VLANs; LACP, which needs the
 *          network's help
 * Lock     the switch's: for writing in team_update, for reading elsewhere
 */
#include "base/le.h"
#include "net/vswitch_priv.h"

#define OWN_NS (3 * NS_PER_SEC)		/* learned addresses: seen on our side so lately, it is ours */
/* After we sent somewhere the network may bring what is for us there for so long. */
#define LATELY_PORT_NS NS_PER_SEC	/* when we have moved since and said so */
#define LATELY_DYNAMIC_NS (300 * NS_PER_SEC)

bool team_is_alive(const struct vswitch *sw, unsigned slot)
{
	const struct vport *p = sw->team[slot];

	return p != NULL && p->client != NULL && p->up && p->carrier;
}

/* The slot with the fewest ports, of those that are there (or alive); TEAM_NONE: there is none. */
static uint8_t emptiest(const struct vswitch *sw, const unsigned count[TEAM_MAX], bool alive)
{
	uint8_t best = TEAM_NONE;

	for (uint8_t i = 0; i < TEAM_MAX; i++)
		if (sw->team[i] != NULL && (!alive || team_is_alive(sw, i)) &&
		    (best == TEAM_NONE || count[i] < count[best]))
			best = i;
	return best;
}

static bool has_member(const struct vport *p)
{
	return p != NULL && p->role != PORT_UPLINK;
}

/* Every port has a home, and no slot has two more than another. */
static void find_homes(struct vswitch *sw)
{
	unsigned count[TEAM_MAX] = { 0 };

	for (unsigned i = 0; i < sw->nr; i++) {
		struct vport *p = sw->ports[i];

		if (has_member(p) && p->home != TEAM_NONE && sw->team[p->home] == NULL)
			p->home = TEAM_NONE;
		if (has_member(p) && p->home != TEAM_NONE)
			count[p->home]++;
	}
	for (unsigned i = 0; i < sw->nr; i++) {
		struct vport *p = sw->ports[i];
		uint8_t to = emptiest(sw, count, false);

		if (!has_member(p) || to == TEAM_NONE ||
		    (p->home != TEAM_NONE && count[p->home] <= count[to] + 1))
			continue;
		if (p->home != TEAM_NONE)
			count[p->home]--;
		p->home = to;
		count[to]++;
	}
}

void team_update(struct vswitch *sw, struct port_set *ret_moved)
{
	unsigned count[TEAM_MAX] = { 0 };

	find_homes(sw);
	for (unsigned i = 0; i < sw->nr; i++) {
		struct vport *p = sw->ports[i];
		uint8_t now;

		if (!has_member(p))
			continue;
		now = p->member;
		if (p->home != TEAM_NONE && team_is_alive(sw, p->home))
			now = p->home;
		else if (now != TEAM_NONE && !team_is_alive(sw, now))
			now = TEAM_NONE;
		if (now != TEAM_NONE)
			count[now]++;
		p->next = now;
	}
	for (unsigned i = 0; i < sw->nr; i++) {
		struct vport *p = sw->ports[i];

		if (!has_member(p))
			continue;
		if (p->next == TEAM_NONE) {
			p->next = emptiest(sw, count, true);
			if (p->next != TEAM_NONE)
				count[p->next]++;
		}
		/* Its first one it need not announce: nobody knows it yet. */
		if (p->next != p->member && p->next != TEAM_NONE && p->member != TEAM_NONE)
			port_set_add(ret_moved, p->index);
		p->member = p->next;
	}
}

/* Addresses, and ports where all fragments of a packet have them or none. */
static uint32_t flow_hash(const struct packet *p)
{
	unsigned n = p->what & PKT_IP6 ? 16 : 4;
	uint64_t h = p->proto;

	for (unsigned i = 0; i < n; i += 4)
		h = (h ^ ld32(p->src + i) ^ (uint64_t)ld32(p->dst + i) << 32) * UINT64_C(0x9e3779b97f4a7c15);
	if ((p->what & (PKT_L4 | PKT_FRAG)) == PKT_L4 && (p->proto == IP_TCP || p->proto == IP_UDP))
		h = (h ^ p->sport ^ (uint64_t)p->dport << 16) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 40);
}

/* What may go by any member: one station's traffic that does not say where anybody is. */
static bool is_flow(const struct packet *p)
{
	return (p->what & PKT_IP) && !(p->what & PKT_OPAQUE) && !mac_is_group(pkt_mac_dst(p)) &&
	       p->proto != IP_ICMP6;
}

static struct vport *member_of_hash(const struct vswitch *sw, uint32_t hash)
{
	uint8_t alive[TEAM_MAX];
	unsigned there = 0, nr = 0;

	for (uint8_t i = 0; i < TEAM_MAX; i++) {
		there += sw->team[i] != NULL;
		if (team_is_alive(sw, i))
			alive[nr++] = i;
	}
	if (nr == 0)
		return NULL;
	/* By all that are there first, so that only the flows of a lost one move. */
	for (uint8_t i = 0, k = (uint8_t)(hash % there); i < TEAM_MAX; i++)
		if (sw->team[i] != NULL && k-- == 0 && team_is_alive(sw, i))
			return sw->team[i];
	return sw->team[alive[(hash >> 8) % nr]];
}

struct vport *team_out(const struct hop *h)
{
	const struct vswitch *sw = h->sw;

	if (h->from->role == PORT_UPLINK)
		return NULL;
	if (sw->team_mode == TEAM_DYNAMIC && sw->nr_team > 1 && is_flow(&h->p))
		return member_of_hash(sw, flow_hash(&h->p));
	return h->from->member != TEAM_NONE ? sw->team[h->from->member] : NULL;
}

const uint8_t *team_lent_mac(const struct hop *h, const struct vport *to)
{
	static const uint8_t zero[6];

	return to->role == PORT_UPLINK && h->from->role != PORT_UPLINK && to->slot != h->from->member &&
	       !mac_eq(to->port.mac, zero) ? to->port.mac : NULL;
}

void team_sent(struct hop *h, const struct vport *to)
{
	if (to->role == PORT_UPLINK && h->from->role != PORT_UPLINK)
		atomic_store_explicit(&h->from->sent_by[to->slot], h->now, memory_order_relaxed);
}

enum drop team_in(const struct hop *h)
{
	const struct vswitch *sw = h->sw;
	uint16_t at;

	if (h->from->role != PORT_UPLINK || sw->nr_team < 2)
		return DROP_NOT;
	at = fdb_find_recent(sw->fdb, pkt_mac_src(&h->p), h->fid, OWN_NS, h->now);
	if (at == FDB_NONE || sw->ports[at] == NULL || sw->ports[at]->role == PORT_UPLINK)
		return DROP_NOT;
	return DROP_OWN;
}

bool team_reaches(const struct hop *h, const struct vport *to)
{
	uint64_t sent, lately = h->sw->team_mode == TEAM_DYNAMIC ? LATELY_DYNAMIC_NS : LATELY_PORT_NS;

	if (h->from->role != PORT_UPLINK)
		return true;
	if (to->role == PORT_UPLINK)
		return false;
	if (h->sw->nr_team < 2 || to->member == h->from->slot)
		return true;
	sent = atomic_load_explicit(&to->sent_by[h->from->slot], memory_order_relaxed);
	return sent != 0 && h->now < sent + lately && !mac_is_group(pkt_mac_dst(&h->p));
}

uint16_t team_learn_as(const struct vport *from)
{
	for (unsigned i = 0; from->role == PORT_UPLINK && i < TEAM_MAX; i++)
		if (from->sw->team[i] != NULL)
			return from->sw->team[i]->index;
	return from->index;
}

/* [RFC903]: who asks for its own address with this says where it is, and needs no IP address for it. */
uint32_t team_announcement(const struct vport *p, uint8_t b[60])
{
	static const uint8_t reverse[8] = { 0, 1, 8, 0, 6, 4, 0, 3 };

	memset(b, 0, 60);
	memset(b, 0xff, 6);
	memcpy(b + 6, p->port.mac, 6);
	stbe16(b + 12, 0x8035);
	memcpy(b + 14, reverse, sizeof(reverse));
	memcpy(b + 22, p->port.mac, 6);
	memcpy(b + 32, p->port.mac, 6);
	return 60;
}
