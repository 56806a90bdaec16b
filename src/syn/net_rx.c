/*
 * net_rx.c - to the guest: the receive buffer, answers, frames
 *
 * The buffer is cut into sections of one message each.  A section is lent to
 * the guest with a packet and comes back with that packet's completion; a
 * guest that keeps them all hears nothing more, and costs us nothing.  The
 * last few sections are for answers, so that a guest drowning in frames can
 * still turn them off.
 *
 * Frames come on whatever thread the switch has, and are written straight
 * into guest memory from there.
 *
 * Spec     NVSP 107 and 108; RNDIS packet and per-packet information
 * Missing  coalesced segments (RSC); several messages in one packet
 * Lock     nic.lock
 */
#include "syn/net_priv.h"

#define HEAD_BYTES 96u			/* of a frame: to the ports, behind any sane header */
#define MAX_HEADER (sizeof(struct rndis_packet) + 3 * (sizeof(struct rndis_ppi) + 4))

_Static_assert(MAX_HEADER + NIC_TAG <= NIC_RX_OVERHEAD, "fits a section beside the frame");
_Static_assert(NIC_MTU + NIC_RX_OVERHEAD <= NIC_RX_SECTION, "fits");

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
}

void nic_rx_reclaim(struct nic_chan *nc)
{
	struct nic_rx *rx = &nc->n->rx;

	for (uint32_t s = 0; s < rx->nr; s++) {
		if (rx->lent[s] != 1 + (nc - nc->n->chans))
			continue;
		rx->lent[s] = 0;
		rx->free[rx->nr_free++] = (uint16_t)s;
	}
}

/* Lends the section on top of the stack, LEN bytes of it, to the guest on C. */
static int lend(struct nic *n, struct nic_chan *nc, uint32_t len, uint32_t channel)
{
	struct nic_rx *rx = &n->rx;
	uint16_t s = rx->free[rx->nr_free - 1];
	struct {
		le32 set, count, len, off;
		struct nvsp_msg m;
	} b = {
		.set = le32_of(rx->id),
		.count = le32_of(1),
		.len = le32_of(len),
		.off = le32_of(s * rx->size),
		.m.type = le32_of(NVSP_RNDIS_PKT),
		.m.u.rndis.channel = le32_of(channel),
		.m.u.rndis.section = le32_of(NVSP_NO_SECTION),
	};
	uint32_t bytes = 16 + (n->version >= NVSP_V6_1 ? NVSP_MSG_MAX : 32);
	int rc = chan_send(nc->chan, VMPKT_XFER_PAGES, (uint64_t)rx->generation << 32 | (s + 1u),
			   true, &b, bytes);

	if (rc < 0)
		return rc;
	rx->nr_free--;
	rx->lent[s] = (uint8_t)(1 + (nc - n->chans));
	return 0;
}

static uint64_t section_at(const struct nic_rx *rx)
{
	return (uint64_t)rx->free[rx->nr_free - 1] * rx->size;
}

void nic_rx_complete(struct nic_chan *nc, const struct pkt *p)
{
	struct nic *n = nc->n;
	struct nic_rx *rx = &n->rx;
	uint32_t s = (uint32_t)p->id - 1;
	bool ours;

	pthread_mutex_lock(&n->lock);
	ours = p->id >> 32 == rx->generation && s < rx->nr && rx->lent[s] != 0;
	if (ours) {
		rx->lent[s] = 0;
		rx->free[rx->nr_free++] = (uint16_t)s;
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
	struct nic_rx *rx = &n->rx;
	int rc;

	if (rx->view == NULL || n->chans[0].chan == NULL)
		return -EPIPE;
	if (rx->nr_free == 0)
		return -EAGAIN;
	if (len > rx->size)
		return -EMSGSIZE;
	rc = gview_write(rx->view, section_at(rx), m, len);
	return rc < 0 ? rc : lend(n, &n->chans[0], len, NVSP_CHAN_CONTROL);
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

/* Frames. */

static bool wanted(const struct nic *n, const uint8_t *dst)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (n->filter & NDIS_FILTER_PROMISCUOUS)
		return true;
	if (!(dst[0] & 1))
		return n->filter & NDIS_FILTER_DIRECTED && memcmp(dst, n->mac, 6) == 0;
	if (memcmp(dst, broadcast, 6) == 0)
		return n->filter & NDIS_FILTER_BROADCAST;
	if (n->filter & NDIS_FILTER_ALL_MULTICAST)
		return true;
	for (unsigned i = 0; i < n->nr_multicast && n->filter & NDIS_FILTER_MULTICAST; i++)
		if (memcmp(dst, n->multicast[i], 6) == 0)
			return true;
	return false;
}

/* What the guest asked to hear of checksums; 0 = nothing. */
static uint32_t sums_ok(const struct nic *n, const uint8_t *hdr, uint32_t len)
{
	const struct nic_offload *o = &n->offload;
	bool v4 = len >= 34 && hdr[12] == 0x08 && hdr[13] == 0x00;
	bool v6 = len >= 54 && hdr[12] == 0x86 && hdr[13] == 0xdd;
	uint8_t proto = v4 ? hdr[23] : v6 ? hdr[20] : 0;
	uint8_t ip = v4 ? o->sum4 : 0, tcp = v4 ? o->tcp4 : o->tcp6, udp = v4 ? o->udp4 : o->udp6;
	uint32_t bits = ip >= NDIS_SUM_RX ? PPI_RX_IP_OK : 0;

	if (v4 && ((hdr[20] & 0x3f) | hdr[21]) != 0)
		return bits;		/* a fragment: nobody has summed the whole */
	if (proto == 6 && tcp >= NDIS_SUM_RX)
		bits |= PPI_RX_TCP_OK;
	if (proto == 17 && udp >= NDIS_SUM_RX)
		bits |= PPI_RX_UDP_OK;
	return bits;
}

static uint32_t add_ppi(uint8_t *at, uint32_t type, uint32_t val)
{
	struct rndis_ppi h = { le32_of(sizeof(h) + 4), le32_of(type), le32_of(sizeof(h)) };

	memcpy(at, &h, sizeof(h));
	st32(at + sizeof(h), val);
	return sizeof(h) + 4;
}

/* The RNDIS header of a frame with all that is said about it; its length. */
static uint32_t fill_header(const struct nic *n, const struct net_frame *f, const uint8_t *head,
			    uint32_t head_len, const uint32_t *hash, uint8_t *to)
{
	struct rndis_packet h = { .hdr.type = le32_of(RNDIS_PACKET) };
	uint32_t at = sizeof(h), sums = f->flags & FRAME_SUM_OK ? sums_ok(n, head, head_len) : 0;

	if (sums != 0)
		at += add_ppi(to + at, PPI_CHECKSUM, sums);
	if (f->flags & FRAME_TAGGED)
		at += add_ppi(to + at, PPI_VLAN, f->tci >> 13 | (f->tci >> 9 & 8) |
						 (f->tci & 0xfffu) << 4);
	if (hash != NULL)
		at += add_ppi(to + at, PPI_HASH, *hash);
	h.hdr.len = le32_of(at + f->len);
	h.data_off = le32_of(at - (uint32_t)sizeof(h.hdr));
	h.data_len = le32_of(f->len);
	if (at != sizeof(h)) {
		h.ppi_off = le32_of(sizeof(h) - sizeof(h.hdr));
		h.ppi_len = le32_of(at - (uint32_t)sizeof(h));
	}
	memcpy(to, &h, sizeof(h));
	return at;
}

static int write_frame(struct nic *n, const uint8_t *hdr, uint32_t hdr_len,
		       const struct net_frame *f)
{
	uint64_t at = section_at(&n->rx);
	int rc = gview_write(n->rx.view, at, hdr, hdr_len);

	at += hdr_len;
	for (uint32_t i = 0; i < f->nr_iov && rc == 0; i++) {
		rc = gview_write(n->rx.view, at, f->iov[i].iov_base, f->iov[i].iov_len);
		at += f->iov[i].iov_len;
	}
	return rc;
}

static int drop(struct nic *n, unsigned why)
{
	nic_count(n, why, 1);
	return 0;
}

/* Under the lock. */
static int deliver_locked(struct nic *n, const struct net_frame *f)
{
	uint8_t head[HEAD_BYTES], hdr[MAX_HEADER];
	uint32_t head_len = (uint32_t)min_u64(f->len, sizeof(head)), hdr_len, hash;
	struct nic_chan *nc = &n->chans[0];
	bool hashed;

	if (n->filter == 0 || n->rx.view == NULL || nc->chan == NULL)
		return drop(n, STAT_RX_FILTERED);
	if (!frame_copy(f, 0, head, head_len) || head_len < ETH_HLEN || !wanted(n, head))
		return drop(n, STAT_RX_FILTERED);
	if (f->len > n->mtu + NIC_TAG)
		return drop(n, STAT_RX_TOO_LONG);
	if (n->rx.nr_free <= min_u64(NIC_RX_RESERVE, n->rx.nr / 4))
		return -EAGAIN;
	hashed = nic_rss_hash(n, head, head_len, &hash);
	if (hashed) {
		nc = &n->chans[n->rss.table[hash & (n->rss.nr_table - 1)]];
		if (nc->chan == NULL)
			nc = &n->chans[0];
	}
	hdr_len = fill_header(n, f, head, head_len, hashed ? &hash : NULL, hdr);
	if (write_frame(n, hdr, hdr_len, f) < 0)
		return drop(n, STAT_RX_TOO_LONG);
	if (lend(n, nc, hdr_len + f->len, NVSP_CHAN_DATA) == -EAGAIN)
		return -EAGAIN;
	nic_count(n, STAT_RX_FRAMES, 1);
	nic_count(n, STAT_RX_BYTES, f->len);
	return 0;
}

static int nic_deliver(void *dev, const struct net_frame *f)
{
	struct nic *n = dev;
	int rc;

	pthread_mutex_lock(&n->lock);
	rc = deliver_locked(n, f);
	if (rc == -EAGAIN) {
		/* Under the lock: who gives a section back comes after, and sees it. */
		atomic_store(&n->starved, true);
		nic_count(n, STAT_RX_NO_ROOM, 1);
	}
	pthread_mutex_unlock(&n->lock);
	return rc;
}

static void nic_resume(void *dev)
{
	struct nic *n = dev;

	pthread_mutex_lock(&n->lock);
	for (unsigned i = 0; i <= n->max_sub; i++)
		if (n->chans[i].chan != NULL)
			chan_go(n->chans[i].chan);
	pthread_mutex_unlock(&n->lock);
}

static void nic_link(void *dev, bool up, uint64_t bps)
{
	struct nic *n = dev;

	pthread_mutex_lock(&n->lock);
	n->link_up = up;
	n->link_bps = bps;
	nic_rx_flush(n);
	pthread_mutex_unlock(&n->lock);
}

const struct port_client nic_port_client = {
	.deliver = nic_deliver,
	.resume = nic_resume,
	.link = nic_link,
};
