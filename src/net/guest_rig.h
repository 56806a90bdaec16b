/*
 * guest_rig.h - the guest of the rig on a port of a real switch, for tests
 *
 * What the switch delivers goes into the rig's queue; what the rig sends goes to the
 * switch.  The rig's own port is not used.
 */
#ifndef NET_GUEST_RIG_H
#define NET_GUEST_RIG_H

#include "net/tcp_rig.h"
#include "net/vswitch.h"

static struct rig rig;
static struct port *guest;

static int guest_deliver(void *dev, const struct net_frame *f)
{
	(void)dev;
	return rig_port_send(&rig.port, f, 1) == 1 ? 0 : -EAGAIN;
}

static void guest_resume(void *dev)
{
	(void)dev;
}

static int guest_to_switch(void *dev, const struct net_frame *f)
{
	(void)dev;
	return port_send(guest, f, 1) == 1 ? 0 : -EAGAIN;
}

/* On SW, with CAPS; rig_init comes first. */
static void guest_plug_in(struct vswitch *sw, const struct port_caps *caps)
{
	static const struct port_client on_switch = { .deliver = guest_deliver, .resume = guest_resume };
	static const struct port_client for_rig = { .deliver = guest_to_switch };
	struct port_conf conf = { .name = "guest", .role = PORT_ADAPTER };

	memcpy(conf.mac, rig.mac, 6);
	CHECK_EQ(vswitch_port(sw, &conf, &guest, NULL), 0);
	rig.client = &for_rig;
	port_bind(guest, &on_switch, &rig, caps);
}

#endif
