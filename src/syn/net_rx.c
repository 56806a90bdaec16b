/*
 * net_rx.c - to the guest: the receive buffer, and answers through it
 *
 * The buffer is cut into sections of one message each.  Sections are lent to
 * the guest with a packet, a chain of them, and come back with that packet's
 * completion; a guest that keeps them all hears nothing more, and costs us
 * nothing.  The last few sections are for answers, so that a guest drowning in
 * frames can still turn them off.
 *
 * Messages with frames are put together, up to NIC_BATCH of them in one
 * packet, as long as the switch has more: then net_deliver.c says flush.  Not
 * for old guests: iPXE, which speaks version 1, reads such a packet from its
 * end, and TCP takes every frame for a lost one.
 *
 * Spec     NVSP 107 and 108
 * Lock     nic.lock
 */
#include "syn/net_priv.h"

#define NO_SECTION 0xffffu		/* end of a chain */
#define LENT_INSIDE 0xffu		/* lent, and not the first of its chain */

_Static_assert(NIC_MTU + NIC_RX_OVERHEAD <= NIC_RX_SECTION, "fits");
_Static_assert(NIC_MAX_CHANS < LENT_INSIDE && NIC_MAX_SECTIONS < NO_SECTION, "are something else");

/* The buffer. */

int nic_rx_set(struct nic *n, struct gview *view, uint32_t gpadl, uint16_t id)
{
	struct nic_rx *rx = &n->rx;
	uint32_t size = NIC_RX_SECTION, nr;

	if (n->mtu > NIC_MTU)
		size = (uint32_t)align_up(n->mtu + NIC_RX_OVERHEAD, 64);
	nr = (uint32_t)min_u64(gview_size(view) / size, NIC_MAX_SECTIONS);
	if (rx->view != NULL || nr == 0) {
		gview_free(view);
		return -EINVAL;
	}
	rx->view = view;
	rx->gpadl = gpadl;
	rx->id = id;
	rx->size = size;
	rx->nr = rx->nr_free = nr;
	rx->generation++;
	for (uint32_t i = 0; i < nr; i++) {
		rx->free[i] = (uint16_t)(nr - 1 - i);	/* the first one on top */
		rx->lent[i] = 0;
	}
	return 0;
}

void nic_rx_drop(struct nic *n)
{
	gview_free(n->rx.view);
	n->rx.view = NULL;
	n->rx.nr = n->rx.nr_free = 0;
	n->rx.batch.nr = 0;
}

/* The chain that begins at S is ours again. */
static void take_back(struct nic_rx *rx, uint32_t s)
{
	while (s != NO_SECTION) {
		uint32_t next = rx->next[s];

		rx->lent[s] = 0;
		rx->free[rx->nr_free++] = (uint16_t)s;
		s = next;
	}
}

/* Forgets the batch: its messages are lost. */
static void batch_drop(struct nic *n)
{
	if (n->rx.batch.nr != 0)
		take_back(&n->rx, n->rx.batch.first);
	n->rx.batch.nr = 0;
}

void nic_rx_reclaim(struct nic_chan *nc)
{
	struct nic_rx *rx = &nc->n->rx;

	if (rx->batch.nc == nc)
		batch_drop(nc->n);
	for (uint32_t s = 0; s < rx->nr; s++)
		if (rx->lent[s] == 1 + (nc - nc->n->chans))
			take_back(rx, s);
}

/* Lends the sections of B on its channel. */
static int lend(struct nic *n, const struct nic_batch *b, uint32_t channel)
{
	const struct nvsp_msg m = {
		.type = le32_of(NVSP_RNDIS_PKT),
		.u.rndis.channel = le32_of(channel),
		.u.rndis.section = le32_of(NVSP_NO_SECTION),
	};
	uint32_t ranges = b->nr * (uint32_t)sizeof(b->range[0]);
	uint8_t body[8 + sizeof(b->range) + sizeof(m)];
	int rc;

	st32(body, n->rx.id);
	st32(body + 4, b->nr);
	memcpy(body + 8, b->range, ranges);
	memcpy(body + 8 + ranges, &m, sizeof(m));
	rc = chan_send(b->nc->chan, VMPKT_XFER_PAGES,
		       (uint64_t)n->rx.generation << 32 | (b->first + 1u), true, body,
		       8 + ranges + (n->version >= NVSP_V6_1 ? NVSP_MSG_MAX : 32u));
	if (rc == 0)
		n->rx.lent[b->first] = (uint8_t)(1 + (b->nc - n->chans));
	return rc;
}

/* The next free section, LEN bytes of it, is B's. */
static void batch_add(struct nic_rx *rx, struct nic_batch *b, uint32_t len)
{
	uint16_t s = rx->free[--rx->nr_free];

	rx->lent[s] = LENT_INSIDE;
	rx->next[s] = NO_SECTION;
	if (b->nr == 0)
		b->first = s;
	else
		rx->next[b->last] = s;
	b->last = s;
	b->range[b->nr].len = le32_of(len);
	b->range[b->nr++].off = le32_of(s * rx->size);
}

int nic_rx_flush_batch(struct nic *n)
{
	struct nic_batch *b = &n->rx.batch;
	int rc;

	if (b->nr == 0)
		return 0;
	rc = lend(n, b, NVSP_CHAN_DATA);
	if (rc == -EAGAIN)
		return rc;
	if (rc < 0)
		batch_drop(n);		/* the channel is broken, or its ring holds next to nothing */
	b->nr = 0;
	return 0;
}

/* Sections that are never data's. */
static uint32_t reserved(const struct nic_rx *rx)
{
	return (uint32_t)min_u64(NIC_RX_RESERVE, rx->nr / 4);
}

uint32_t nic_rx_pieces(const struct nic *n)
{
	return (uint32_t)min_u64(n->rx.nr - reserved(&n->rx), n->version >= NVSP_V4 ? NIC_BATCH : 1);
}

int nic_rx_batch(struct nic *n, struct nic_chan *nc, unsigned nr)
{
	struct nic_batch *b = &n->rx.batch;
	uint32_t keep = reserved(&n->rx), max = nic_rx_pieces(n);
	int rc = 0;

	if (nr > max)
		return -EMSGSIZE;
	if (b->nr != 0 && (b->nc != nc || b->nr + nr > max || n->rx.nr_free < keep + nr))
		rc = nic_rx_flush_batch(n);
	if (rc < 0 || n->rx.nr_free < keep + nr)
		return -EAGAIN;
	b->nc = nc;
	return 0;
}

uint64_t nic_rx_section(const struct nic *n)
{
	const struct nic_rx *rx = &n->rx;

	return (uint64_t)rx->free[rx->nr_free - 1] * rx->size;
}

void nic_rx_add(struct nic *n, uint32_t len)
{
	batch_add(&n->rx, &n->rx.batch, len);
}

void nic_rx_cut(struct nic *n, unsigned nr)
{
	struct nic_batch *b = &n->rx.batch;
	uint16_t s = b->first;

	if (nr == 0) {
		batch_drop(n);
		return;
	}
	for (unsigned i = 1; i < nr; i++)
		s = n->rx.next[s];
	take_back(&n->rx, n->rx.next[s]);
	n->rx.next[s] = NO_SECTION;
	b->last = s;
	b->nr = nr;
}

void nic_rx_complete(struct nic_chan *nc, const struct pkt *p)
{
	struct nic *n = nc->n;
	struct nic_rx *rx = &n->rx;
	uint32_t s = (uint32_t)p->id - 1;
	bool ours;

	pthread_mutex_lock(&n->lock);
	ours = p->id >> 32 == rx->generation && s < rx->nr && rx->lent[s] != 0 &&
	       rx->lent[s] != LENT_INSIDE;
	if (ours) {
		take_back(rx, s);
		nic_rx_flush(n);
	}
	pthread_mutex_unlock(&n->lock);
	/* An older buffer's are late, no more. */
	if (!ours && p->id >> 32 >= rx->generation)
		log_guest(&nc->limit, "net", "completion of what was never sent");
	nic_rx_room(n);
}

void nic_rx_room(struct nic *n)
{
	if (atomic_load(&n->starved) && atomic_exchange(&n->starved, false))
		port_room(n->port);
}

/* Answers and indications: channel type 1, always on the primary. */

static int send_control(struct nic *n, const void *m, uint32_t len)
{
	struct nic_batch b = { .nc = &n->chans[0] };
	struct nic_rx *rx = &n->rx;
	int rc;

	if (rx->view == NULL || b.nc->chan == NULL)
		return -EPIPE;
	if (rx->nr_free == 0)
		return -EAGAIN;
	if (len > rx->size)
		return -EMSGSIZE;
	rc = gview_write(rx->view, nic_rx_section(n), m, len);
	if (rc < 0)
		return rc;
	batch_add(rx, &b, len);
	rc = lend(n, &b, NVSP_CHAN_CONTROL);
	if (rc < 0)
		take_back(rx, b.first);
	return rc;
}

static int tell_link(struct nic *n)
{
	struct rndis_indicate m = {
		.hdr = { le32_of(RNDIS_INDICATE_STATUS), le32_of(sizeof(m)) },
		.status = le32_of(n->link_up ? NDIS_MEDIA_CONNECT : NDIS_MEDIA_DISCONNECT),
	};

	return send_control(n, &m, sizeof(m));
}

static int tell_speed(struct nic *n)
{
	struct {
		struct rndis_indicate m;
		le32 speed;		/* in 100 bits a second */
	} m = {
		.m = {
			.hdr = { le32_of(RNDIS_INDICATE_STATUS), le32_of(sizeof(m)) },
			.status = le32_of(NDIS_LINK_SPEED_CHANGE),
			.len = le32_of(4),
			.off = le32_of(sizeof(m.m) - sizeof(struct rndis_hdr)),
		},
		.speed = le32_of((uint32_t)min_u64(n->link_bps / 100, UINT32_MAX)),
	};

	return send_control(n, &m, sizeof(m));
}

void nic_rx_flush(struct nic *n)
{
	(void)!nic_rx_flush_batch(n);	/* when there was no room for it */
	while (n->nr_replies != 0) {
		const struct nic_reply *r = &n->replies[n->first_reply];

		if (send_control(n, r->bytes, r->len) == -EAGAIN)
			return;
		n->first_reply = (n->first_reply + 1) % NIC_REPLIES;
		n->nr_replies--;
	}
	if (!n->running)
		return;
	if (n->link_up != n->link_told && tell_link(n) == 0)
		n->link_told = n->link_up;
	if (n->link_bps != n->told_bps && tell_speed(n) == 0)
		n->told_bps = n->link_bps;
}
