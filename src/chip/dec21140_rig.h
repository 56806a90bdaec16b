/*
 * dec21140_rig.h - the switch's side of an adapter under test
 */
#ifndef CHIP_DEC21140_RIG_H
#define CHIP_DEC21140_RIG_H

#include "chip/chip_rig.h"
#include "chip/dec21140_priv.h"

#define DR_FRAMES 64u

struct dr_port {
	struct port port;
	const struct port_client *client;
	void *dev;
	unsigned take;			/* so many more, then no room */
	unsigned nr, rooms;		/* frames that came, port_room said */
	void (*in_send)(void *arg);	/* called inside send; may be NULL */
	void *arg;
	uint32_t len[DR_FRAMES];	/* of the last ones */
	uint8_t frame[DR_FRAMES][DEC_FRAME_MAX];
};

static inline unsigned dr_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	struct dr_port *r = CONTAINER_OF(p, struct dr_port, port);
	unsigned i = 0;

	if (r->in_send != NULL)
		r->in_send(r->arg);
	for (; i < nr && r->take > 0; i++, r->take--, r->nr++) {
		BUG_IF(f[i].len < ETH_HLEN || f[i].len > DEC_FRAME_MAX);
		r->len[r->nr % DR_FRAMES] = f[i].len;
		BUG_IF(!frame_copy(&f[i], 0, r->frame[r->nr % DR_FRAMES], f[i].len));
	}
	return i;
}

static inline void dr_room(struct port *p)
{
	CONTAINER_OF(p, struct dr_port, port)->rooms++;
}

static inline void dr_bind(struct port *p, const struct port_client *client, void *dev,
			   const struct port_caps *caps)
{
	struct dr_port *r = CONTAINER_OF(p, struct dr_port, port);

	(void)caps;
	r->client = client;
	r->dev = dev;
	if (client != NULL)
		client->link(dev, true, 100000000);
}

static const struct port_ops dr_ops = { .send = dr_send, .room = dr_room, .bind = dr_bind };

static inline void dr_init(struct dr_port *r)
{
	memset(r, 0, sizeof(*r));
	r->port.ops = &dr_ops;
	r->take = UINT32_MAX;
	memcpy(r->port.mac, (const uint8_t[6]){ 0x00, 0x15, 0x5d, 0x12, 0x34, 0x56 }, 6);
}

/* In two pieces, as frames come. */
static inline int dr_deliver(struct dr_port *r, const uint8_t *frame, uint32_t len)
{
	const struct iovec iov[2] = { { (void *)(uintptr_t)frame, len / 3 },
				      { (void *)(uintptr_t)(frame + len / 3), len - len / 3 } };

	return r->client->deliver(r->dev, &(struct net_frame){ .iov = iov, .nr_iov = 2, .len = len });
}

#endif
