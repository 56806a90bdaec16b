/*
 * vswitch_rig.c - a switch with recording owners on its ports, for tests
 *
 * Lock     none: manual clock, one thread
 */
#include "net/vswitch_rig.h"
#include "base/err.h"
#include "dev/clock.h"

#include <string.h>

static int rig_deliver(void *dev, const struct net_frame *f)
{
	struct rig_port *p = dev;
	unsigned k = p->nr % RIG_KEEP;

	if (p->room == 0) {
		p->refused++;
		return -EAGAIN;
	}
	p->room--;
	p->nr++;
	p->bytes += f->len;
	p->f[k] = *f;
	p->f[k].iov = NULL;
	BUG_IF(!frame_copy(f, 0, p->b[k], (uint32_t)min_u64(f->len, sizeof(p->b[k]))));
	return 0;
}

static void rig_deliver_end(void *dev)
{
	((struct rig_port *)dev)->ends++;
}

static void rig_resume(void *dev)
{
	((struct rig_port *)dev)->resumes++;
}

static void rig_link(void *dev, bool up, uint64_t bps)
{
	struct rig_port *p = dev;

	BUG_IF(bps == 0);
	p->links++;
	p->up = up;
}

static const struct port_client rig_client = {
	.deliver = rig_deliver,
	.deliver_end = rig_deliver_end,
	.resume = rig_resume,
	.link = rig_link,
};

int rig_add_conf(struct rig *r, unsigned i, const struct port_conf *conf)
{
	static const struct port_caps all = {
		.flags = PORT_TAKES_TAG | PORT_TAKES_SUM | PORT_TAKES_LSO4 | PORT_TAKES_LSO6,
		.max_frame = NET_FRAME_MAX,
	};
	int rc;

	memset(&r->p[i], 0, sizeof(r->p[i]));
	r->p[i].room = UINT32_MAX;
	rc = vswitch_port(r->sw, conf, &r->p[i].port, NULL);
	if (rc == 0)
		port_bind(r->p[i].port, &rig_client, &r->p[i], &all);
	return rc;
}

int rig_add(struct rig *r, unsigned i, enum port_role role, const struct port_policy *policy)
{
	struct port_conf conf = { .name = "test", .role = role };

	for (unsigned k = 0; k < 6 && role != PORT_UPLINK; k++)
		conf.mac[k] = (uint8_t)(RIG_MAC(i) >> (40 - 8 * k));
	if (policy != NULL)
		conf.policy = *policy;
	return rig_add_conf(r, i, &conf);
}

void rig_new(struct rig *r, enum vswitch_kind kind, unsigned nr)
{
	rig_new_conf(r, &(struct vswitch_conf){ .kind = kind }, nr);
}

void rig_new_conf(struct rig *r, const struct vswitch_conf *conf, unsigned nr)
{
	memset(r, 0, sizeof(*r));
	BUG_IF(clock_new_manual(&r->clock) < 0);
	clock_step(r->clock, NS_PER_SEC);
	BUG_IF(vswitch_new(conf, r->clock, &r->sw, NULL) < 0);
	for (unsigned i = 0; i < nr; i++)
		BUG_IF(rig_add(r, i, PORT_ADAPTER, NULL) < 0);
}

void rig_free(struct rig *r)
{
	for (unsigned i = 0; i < RIG_PORTS; i++)
		vswitch_port_free(r->p[i].port);
	vswitch_free(r->sw);
	clock_free(r->clock);
}

void rig_policy(struct rig *r, unsigned i, const struct port_policy *policy)
{
	BUG_IF(vswitch_set_policy(r->p[i].port, policy, NULL) < 0);
}

bool rig_send(struct rig *r, unsigned i, uint32_t flags)
{
	struct net_frame f = craft_frame(&r->c, flags);

	f.mss = 1000;
	return port_send(r->p[i].port, &f, 1) == 1;
}

bool rig_send_tagged(struct rig *r, unsigned i, uint16_t tci)
{
	struct net_frame f = craft_frame(&r->c, FRAME_TAGGED);

	f.tci = tci;
	return port_send(r->p[i].port, &f, 1) == 1;
}

unsigned rig_reach(struct rig *r, unsigned i)
{
	unsigned before[RIG_PORTS], got = 0;

	for (unsigned k = 0; k < RIG_PORTS; k++)
		before[k] = r->p[k].nr;
	BUG_IF(!rig_send(r, i, 0));
	for (unsigned k = 0; k < RIG_PORTS; k++)
		got |= (unsigned)(r->p[k].nr != before[k]) << k;
	return got;
}

uint64_t rig_drops(struct rig *r, unsigned i, enum drop why)
{
	struct port_stats st;

	vswitch_port_stats(r->p[i].port, &st);
	return st.drops[why];
}
