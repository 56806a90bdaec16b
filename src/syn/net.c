/*
 * net.c - the synthetic network adapter: its channel and the NVSP protocol
 *
 * The guest agrees on a version, lends us a buffer to receive into and one to
 * send from, and from then on everything is RNDIS messages that lie in them.
 * A packet that asks for a completion gets one, exactly once and as long as
 * it was itself; one that does not ask gets none.
 *
 * A guest that closes the primary channel begins again from nothing: that is
 * how drivers change the MTU or the rings.
 *
 * Spec     NVSP 1 to 6.1
 * Missing  VF association, OID_QUERY_EX, PD_API; the answer to them is the
 *          request itself, which no driver takes for a yes
 * Lock     nic.lock; see net_priv.h
 */
#include "syn/net_priv.h"

#include <stdlib.h>

static const struct guid net_type = GUID_INIT(0xf8615163, 0xdf3e, 0x46c5, 0x91, 0x3f, 0xf2, 0xd2,
					      0xf9, 0x65, 0xed, 0x0e);

static const uint32_t versions[] = { NVSP_V6_1, NVSP_V6, NVSP_V5, NVSP_V4, NVSP_V2, NVSP_V1 };

/* Under the lock: as a guest finds it that opens the channel. */
static void session_reset(struct nic *n)
{
	nic_rx_drop(n);
	n->version = n->ndis = 0;
	n->mtu = NIC_MTU;
	n->caps = 0;
	n->tx_gpadl = n->tx_sections = 0;
	n->running = false;
	n->filter = 0;
	n->nr_multicast = 0;
	n->nr_replies = 0;
	memcpy(n->mac, n->port->mac, sizeof(n->mac));
	nic_offload_all(n);
	nic_rss_reset(n);
}

void nic_set_caps(struct nic *n)
{
	struct port_caps caps;

	pthread_mutex_lock(&n->lock);
	caps = (struct port_caps){
		.flags = (n->caps & NVSP_CAP_VLAN ? PORT_TAKES_TAG : 0) |
			 (n->offload.rsc4 ? PORT_TAKES_LSO4 : 0) | (n->offload.rsc6 ? PORT_TAKES_LSO6 : 0),
		.max_frame = n->mtu,
		.max_lso = (uint32_t)min_u64((uint64_t)nic_rx_pieces(n) * (n->rx.size - NIC_RX_HEADER),
					     NIC_RSC_MAX),
	};
	pthread_mutex_unlock(&n->lock);
	port_set_caps(n->port, &caps);
}

/* The messages of the beginning; each fills in the answer's body.  On the primary. */

static void on_init(struct nic *n, const struct nvsp_msg *g, struct nvsp_msg *r)
{
	uint32_t min = le32_get(g->u.init.min), max = le32_get(g->u.init.max), found = 0;

	for (size_t i = 0; i < ARRAY_LEN(versions) && found == 0; i++)
		if (versions[i] >= min && versions[i] <= max)
			found = versions[i];
	r->type = le32_of(NVSP_INIT_COMPLETE);
	r->u.init_complete.version = le32_of(found != 0 ? found : UINT32_MAX);
	r->u.init_complete.max_mdl_chain = le32_of(34);
	r->u.init_complete.status = le32_of(NVSP_FAIL);
	pthread_mutex_lock(&n->lock);
	if (found != 0 && n->version == 0) {
		n->version = found;
		r->u.init_complete.status = le32_of(NVSP_SUCCESS);
		log_info("net", "the guest speaks NVSP %u.%u", found >> 16, found & 0xffff);
	}
	pthread_mutex_unlock(&n->lock);
}

static void on_config(struct nic *n, const struct nvsp_msg *g)
{
	uint32_t mtu = le32_get(g->u.config.mtu);

	pthread_mutex_lock(&n->lock);
	if (n->rx.view == NULL && mtu >= NIC_MTU_MIN)	/* sections are cut by it */
		n->mtu = (uint32_t)min_u64(mtu, NET_FRAME_MAX);
	n->caps = le64_get(g->u.config.caps);
	pthread_mutex_unlock(&n->lock);
	nic_set_caps(n);
}

static void on_ndis_version(struct nic *n, const struct nvsp_msg *g)
{
	pthread_mutex_lock(&n->lock);
	n->ndis = (le32_get(g->u.ndis.major) & 0xffff) << 16 | (le32_get(g->u.ndis.minor) & 0xffff);
	pthread_mutex_unlock(&n->lock);
}

static void on_recv_buf(struct nic *n, struct chan *c, const struct nvsp_msg *g,
			struct nvsp_msg *r)
{
	uint32_t gpadl = le32_get(g->u.buf.gpadl);
	const struct gview *v = chan_gpadl(c, gpadl);
	struct gview *own = NULL;
	int rc = -EINVAL;

	if (v != NULL)
		rc = gview_sub(v, 0, gview_size(v) / PAGE_SIZE, &own);
	pthread_mutex_lock(&n->lock);
	if (rc == 0)
		rc = nic_rx_set(n, own, gpadl, le16_get(g->u.buf.id));
	r->type = le32_of(NVSP_RECV_BUF_COMPLETE);
	r->u.recv_complete.status = le32_of(rc == 0 ? NVSP_SUCCESS : NVSP_FAIL);
	if (rc == 0) {
		r->u.recv_complete.nr_sections = le32_of(1);
		r->u.recv_complete.section = (struct nvsp_recv_section){
			.size = le32_of(n->rx.size),
			.count = le32_of(n->rx.nr),
			.end = le32_of(n->rx.size * n->rx.nr),
		};
	}
	pthread_mutex_unlock(&n->lock);
	nic_set_caps(n);
	nic_rx_room(n);
}

static void on_send_buf(struct nic *n, struct chan *c, const struct nvsp_msg *g,
			struct nvsp_msg *r)
{
	uint32_t gpadl = le32_get(g->u.buf.gpadl);
	const struct gview *v = chan_gpadl(c, gpadl);
	size_t nr = v != NULL ? gview_size(v) / NIC_TX_SECTION : 0;

	r->type = le32_of(NVSP_SEND_BUF_COMPLETE);
	r->u.send_complete.status = le32_of(NVSP_FAIL);
	pthread_mutex_lock(&n->lock);
	if (nr != 0 && nr < UINT32_MAX && n->tx_sections == 0) {
		n->tx_gpadl = gpadl;
		n->tx_id = le16_get(g->u.buf.id);
		n->tx_sections = (uint32_t)nr;
		r->u.send_complete.status = le32_of(NVSP_SUCCESS);
		r->u.send_complete.section_size = le32_of(NIC_TX_SECTION);
	}
	pthread_mutex_unlock(&n->lock);
}

static void on_revoke(struct nic *n, const struct nvsp_msg *g)
{
	uint16_t id = le16_get(g->u.revoke_id);

	pthread_mutex_lock(&n->lock);
	if (le32_get(g->type) == NVSP_REVOKE_RECV_BUF && n->rx.view != NULL && n->rx.id == id)
		nic_rx_drop(n);
	if (le32_get(g->type) == NVSP_REVOKE_SEND_BUF && n->tx_id == id)
		n->tx_sections = 0;
	pthread_mutex_unlock(&n->lock);
}

static void on_subchannel(struct nic *n, struct chan *c, const struct nvsp_msg *g,
			  struct nvsp_msg *r, unsigned *ret_granted)
{
	uint32_t want = (uint32_t)min_u64(le32_get(g->u.sub.nr), n->max_sub);

	r->u.sub.op = le32_of(NVSP_FAIL);	/* the status */
	r->u.sub.nr = le32_of(0);
	if (le32_get(g->u.sub.op) != 1 || want == 0 || chan_offer_subs(c, want) < 0)
		return;
	r->u.sub.op = le32_of(NVSP_SUCCESS);
	r->u.sub.nr = le32_of(want);
	*ret_granted = want;
}

/*
 * Which channel the guest sends on, by its own hash.  Where the table lies is
 * said from the message's beginning since 6.1, and from the second word before.
 */
static void send_table(struct nic *n, struct chan *c, unsigned subs, uint32_t version)
{
	struct nvsp_table_msg m = {
		.type = le32_of(NVSP_SEND_INDIRECTION_TABLE),
		.count = le32_of(NVSP_TABLE_ENTRIES),
		.offset = le32_of(NVSP_MSG_MAX - (version >= NVSP_V6_1 ? 0 : 4)),
	};

	for (unsigned i = 0; i < NVSP_TABLE_ENTRIES; i++)
		m.entry[i] = le32_of(i % (subs + 1));
	/* Without it the guest sends everything here, which is no harm. */
	if (chan_send(c, VMPKT_INBAND, 0, false, &m, sizeof(m)) < 0)
		log_guest(&n->chans[0].limit, "net", "no room for the table of channels");
}

static void control_message(struct nic_chan *nc, struct chan *c, const struct pkt *p,
			    const struct nvsp_msg *g, uint32_t len, uint32_t version)
{
	struct nic *n = nc->n;
	struct nvsp_msg r = *g;
	unsigned granted = 0;

	pthread_mutex_lock(&n->lock);
	n->nr_control++;
	pthread_mutex_unlock(&n->lock);
	switch (le32_get(g->type)) {
	case NVSP_INIT:
		memset(&r.u, 0, sizeof(r.u));
		on_init(n, g, &r);
		break;
	case NVSP_SEND_NDIS_CONFIG:
		if (version >= NVSP_V2)
			on_config(n, g);
		break;
	case NVSP_SEND_NDIS_VER:
		on_ndis_version(n, g);
		break;
	case NVSP_SEND_RECV_BUF:
		memset(&r.u, 0, sizeof(r.u));
		on_recv_buf(n, c, g, &r);
		break;
	case NVSP_SEND_SEND_BUF:
		memset(&r.u, 0, sizeof(r.u));
		on_send_buf(n, c, g, &r);
		break;
	case NVSP_REVOKE_RECV_BUF:
	case NVSP_REVOKE_SEND_BUF:
		on_revoke(n, g);
		break;
	case NVSP_SUBCHANNEL:
		if (version >= NVSP_V5)
			on_subchannel(n, c, g, &r, &granted);
		break;
	case NVSP_SWITCH_DATA_PATH:
		break;			/* there is only ours */
	default:
		log_guest(&nc->limit, "net", "message %u is unknown", le32_get(g->type));
		break;
	}
	if (p->flags & 1)
		chan_complete(c, p->id, &r, len);
	if (granted != 0)
		send_table(n, c, granted, version);
}

static void nic_packet(void *self, struct chan *c, const struct pkt *p)
{
	struct nic *n = self;
	struct nic_chan *nc = &n->chans[chan_index(c)];
	uint32_t len = (uint32_t)max_u64(min_u64(p->len, NVSP_MSG_MAX), NVSP_MSG_MIN), version;
	struct nvsp_msg g = { 0 };

	if (p->type == VMPKT_COMP) {
		nic_rx_complete(nc, p);
		return;
	}
	if (p->type != VMPKT_INBAND && p->type != VMPKT_GPA_DIRECT)
		return;
	memcpy(&g, p->data, min_u64(p->len, sizeof(g)));
	pthread_mutex_lock(&n->lock);
	version = n->version;
	pthread_mutex_unlock(&n->lock);
	if (le32_get(g.type) == NVSP_RNDIS_PKT)
		nic_tx_packet(nc, c, p, &g, len);
	else if (chan_index(c) == 0 && (version != 0 || le32_get(g.type) == NVSP_INIT))
		control_message(nc, c, p, &g, len, version);
	else if (p->flags & 1)
		chan_complete(c, p->id, &g, len);
}

static void nic_go(void *self, struct chan *c)
{
	struct nic *n = self;

	nic_tx_go(&n->chans[chan_index(c)], c);
}

static void nic_ring_room(void *self, struct chan *c)
{
	struct nic *n = self;

	(void)c;
	pthread_mutex_lock(&n->lock);
	nic_rx_flush(n);
	pthread_mutex_unlock(&n->lock);
	nic_rx_room(n);
}

static int nic_open(void *self, struct chan *c)
{
	struct nic *n = self;
	struct nic_chan *nc = &n->chans[chan_index(c)];

	nc->tx = new0(struct nic_sender);
	if (nc->tx == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&n->lock);
	nc->chan = c;
	if (chan_index(c) == 0)
		session_reset(n);
	pthread_mutex_unlock(&n->lock);
	if (chan_index(c) == 0)
		nic_set_caps(n);
	return 0;
}

static void nic_close(void *self, struct chan *c)
{
	struct nic *n = self;
	struct nic_chan *nc = &n->chans[chan_index(c)];

	pthread_mutex_lock(&n->lock);
	nc->chan = NULL;
	if (chan_index(c) == 0)
		session_reset(n);
	else
		nic_rx_reclaim(nc);
	pthread_mutex_unlock(&n->lock);
	free(nc->tx);			/* with what was held */
	nc->tx = NULL;
	nic_rx_room(n);			/* what it waits for is dropped now */
}

/* On the control thread, with the bus's lock held. */
static void nic_gpadl_gone(void *self, uint32_t gpadl)
{
	struct nic *n = self;

	pthread_mutex_lock(&n->lock);
	if (n->rx.view != NULL && n->rx.gpadl == gpadl)
		nic_rx_drop(n);
	if (n->tx_gpadl == gpadl)
		n->tx_sections = 0;
	pthread_mutex_unlock(&n->lock);
}

static const struct chan_ops nic_ops = {
	.name = "net",
	.offer_flags = 1,		/* enumerate device interface */
	.open = nic_open,
	.packet = nic_packet,
	.room = nic_ring_room,
	.go = nic_go,
	.gpadl_gone = nic_gpadl_gone,
	.close = nic_close,
};

/* The host's side. */

int nic_new(struct vmbus *bus, const struct nic_conf *conf, struct nic **ret_n, struct err *err)
{
	const struct port_caps caps = { .max_frame = NIC_MTU };
	struct nic *n = new0(struct nic);
	int rc;

	if (n == NULL)
		return err_set(err, -ENOMEM, "net: no memory");
	n->bus = bus;
	n->port = conf->port;
	n->ops = nic_ops;
	n->ops.type = net_type;
	if (conf->nr_vps > 1)
		n->max_sub = (unsigned)min_u64(conf->nr_vps - 1, NIC_MAX_CHANS - 1);
	n->ops.max_sub = n->max_sub;
	pthread_mutex_init(&n->lock, NULL);
	for (unsigned i = 0; i < NIC_MAX_CHANS; i++)
		n->chans[i].n = n;
	session_reset(n);
	port_bind(n->port, &nic_port_client, n, &caps);	/* a guest that runs opens it at once */
	rc = vdev_offer(bus, &n->ops, n, &conf->instance, NULL, &n->vdev, err);
	if (rc < 0) {
		port_bind(n->port, NULL, NULL, NULL);
		pthread_mutex_destroy(&n->lock);
		free(n);
		return rc;
	}
	*ret_n = n;
	return 0;
}

bool nic_remove(struct nic *n, uint64_t patience_ns)
{
	bool nothing_stays;

	if (n == NULL)
		return true;
	nothing_stays = vdev_remove(n->vdev, patience_ns);
	port_bind(n->port, NULL, NULL, NULL);
	pthread_mutex_destroy(&n->lock);
	free(n);
	return nothing_stays;
}

void nic_free(struct nic *n)
{
	(void)nic_remove(n, 0);
}

bool nic_rests(struct nic *n, uint64_t *mark)
{
	bool rests, closed;
	uint64_t now = atomic_load_explicit(&n->stat[STAT_TX_FRAMES], memory_order_relaxed);

	pthread_mutex_lock(&n->lock);
	now += n->nr_control;
	closed = n->chans[0].chan == NULL;
	rests = closed || (n->running && now == *mark);
	pthread_mutex_unlock(&n->lock);
	*mark = now;
	return rests;
}

bool nic_in_use(struct nic *n)
{
	bool running;

	pthread_mutex_lock(&n->lock);
	running = n->running;
	pthread_mutex_unlock(&n->lock);
	return running;
}

void nic_get_stats(struct nic *n, struct nic_stats *ret_stats)
{
	uint64_t v[NIC_NR_STATS];

	_Static_assert(sizeof(v) == sizeof(*ret_stats), "a counter each, in order");
	_Static_assert(sizeof(v) == sizeof(n->stat), "a counter each, in order");
	for (unsigned i = 0; i < NIC_NR_STATS; i++)
		v[i] = atomic_load_explicit(&n->stat[i], memory_order_relaxed);
	memcpy(ret_stats, v, sizeof(v));
}
