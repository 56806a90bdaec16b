/*
 * net_tx.c - from the guest: packets, frames, what is asked for each
 *
 * What the guest sends lies in a section of the send buffer, in pages named
 * by the packet, or begins in the one and goes on in the other.  It is copied
 * once, and everything is read from the copy.  The packet is completed when
 * the switch has taken every frame of it; where the switch has no room, the
 * channel stands still until it has.
 *
 * Spec     NVSP 107; RNDIS packet; NDIS checksum, large send and 802.1Q information
 * Missing  frames by reference: each is copied
 * Lock     none but for a look at the send buffer: the channel's worker
 */
#include "syn/net_priv.h"

struct batch {
	struct net_frame f[NIC_TX_BATCH];
	struct iovec iov[NIC_TX_BATCH];
	uint32_t end[NIC_TX_BATCH];	/* where the message of each ends */
	unsigned nr;
};

void nic_tx_complete(struct chan *c, uint64_t id, uint32_t reply, enum nvsp_status status)
{
	struct nvsp_msg r = {
		.type = le32_of(NVSP_RNDIS_PKT_COMPLETE),
		.u.status = le32_of((uint32_t)status),
	};

	chan_complete(c, id, &r, reply);
}

/* Where the TCP or UDP header is, when the guest does not say; 0 = nowhere. */
static uint16_t find_l4(const uint8_t *frame, uint32_t len)
{
	uint32_t at = ETH_HLEN;

	if (len < ETH_HLEN + NIC_TAG + 20)
		return 0;
	if (frame[12] == 0x81 && frame[13] == 0x00)
		at += NIC_TAG;
	if (frame[at - 2] == 0x08 && frame[at - 1] == 0x00)
		return (uint16_t)(at + (frame[at] & 15u) * 4);
	if (frame[at - 2] == 0x86 && frame[at - 1] == 0xdd)
		return (uint16_t)(at + 40);
	return 0;
}

static void want_sums(struct net_frame *f, uint32_t v)
{
	if (v & PPI_TX_IPV4 && v & PPI_TX_IP_HEADER)
		f->flags |= FRAME_SUM_IP;
	if (v & PPI_TX_TCP)
		f->flags |= FRAME_SUM_TCP;
	else if (v & PPI_TX_UDP)
		f->flags |= FRAME_SUM_UDP;
	if (v & (PPI_TX_TCP | PPI_TX_UDP))
		f->l4_at = v >> 16 & 0x3ff;
}

static bool want_lso(struct net_frame *f, uint32_t v)
{
	uint32_t mss = v & 0xfffff;

	if (mss == 0 || mss > UINT16_MAX)
		return false;
	if (v & PPI_LSO_V2 && v & PPI_LSO_IPV6)
		f->flags |= FRAME_LSO6 | FRAME_SUM_TCP;
	else
		f->flags |= FRAME_LSO4 | FRAME_SUM_IP | FRAME_SUM_TCP;
	f->mss = (uint16_t)mss;
	f->l4_at = v >> 20 & 0x3ff;
	return true;
}

static bool read_ppi(struct net_frame *f, uint32_t type, uint32_t v)
{
	switch (type) {
	case PPI_CHECKSUM:
		if (!(f->flags & FRAME_LSO))
			want_sums(f, v);
		return true;
	case PPI_LSO:
		f->flags &= ~(uint32_t)(FRAME_SUM_IP | FRAME_SUM_L4);
		return want_lso(f, v);
	case PPI_VLAN:
		f->flags |= FRAME_TAGGED;
		f->tci = (uint16_t)((v & 7) << 13 | (v & 8) << 9 | (v >> 4 & 0xfff));
		return true;
	default:
		return true;
	}
}

static bool read_ppis(struct net_frame *f, const uint8_t *at, uint32_t len)
{
	for (unsigned i = 0; len != 0; i++) {
		struct rndis_ppi h;
		uint32_t size, off;

		if (i == NIC_MAX_PPIS || len < sizeof(h))
			return false;
		memcpy(&h, at, sizeof(h));
		size = le32_get(h.size);
		off = le32_get(h.off);
		if (size < sizeof(h) || size > len || off > size)
			return false;
		if (size - off >= 4 && !read_ppi(f, le32_get(h.type), ld32(at + off)))
			return false;
		at += size;
		len -= size;
	}
	return true;
}

static bool within(uint32_t off, uint32_t len, uint32_t size)
{
	return off <= size && len <= size - off;
}

/*
 * One message of LEN bytes as a frame.  0, or -EINVAL: no such message; -ENOMSG: a
 * message, but no frame that any Ethernet would carry.
 */
static int read_frame(const uint8_t *m, uint32_t len, uint32_t mtu, struct net_frame *f,
		      struct iovec *iov)
{
	const uint8_t *body = m + sizeof(struct rndis_hdr);
	uint32_t size = len - (uint32_t)sizeof(struct rndis_hdr), off, n;
	struct rndis_packet h;

	memcpy(&h, m, sizeof(h));
	off = le32_get(h.data_off);
	n = le32_get(h.data_len);
	if (!within(off, n, size))
		return -EINVAL;
	*iov = (struct iovec){ (void *)(uintptr_t)(body + off), n };
	*f = (struct net_frame){ .iov = iov, .nr_iov = 1, .len = n };
	off = le32_get(h.ppi_off);
	n = le32_get(h.ppi_len);
	if (n != 0 && (!within(off, n, size) || !read_ppis(f, body + off, n)))
		return -EINVAL;
	if (f->len < ETH_HLEN || f->len > (f->flags & FRAME_LSO ? NET_LSO_MAX : mtu + NIC_TAG))
		return -ENOMSG;
	if (f->flags & FRAME_SUM_L4 && f->l4_at == 0) {
		f->l4_at = find_l4(iov->iov_base, f->len);
		if (f->l4_at == 0)
			return -ENOMSG;
	}
	return 0;
}

/*
 * Reads frames from nc->tx into B, until it is full or all are read.  *at is where
 * the next message begins; false: the rest makes no sense.
 */
static bool fill_batch(struct nic_chan *nc, uint32_t mtu, struct batch *b, uint32_t *at)
{
	b->nr = 0;
	while (b->nr < NIC_TX_BATCH && nc->tx_len - *at >= sizeof(struct rndis_packet)) {
		const uint8_t *m = nc->tx + *at;
		uint32_t type = ld32(m), len = ld32(m + 4), left = nc->tx_len - *at;
		int rc;

		if (type == 0 && *at != 0) {
			*at = nc->tx_len;	/* padding */
			break;
		}
		if (type != RNDIS_PACKET || len < sizeof(struct rndis_packet) || len > left)
			return false;
		rc = read_frame(m, len, mtu, &b->f[b->nr], &b->iov[b->nr]);
		if (rc == -EINVAL)
			return false;
		*at += len;
		if (rc < 0) {
			nic_count(nc->n, STAT_TX_BAD, 1);
			continue;
		}
		b->end[b->nr++] = *at;
	}
	return true;
}

/* How many the switch took, counted. */
static unsigned send_batch(struct nic *n, const struct batch *b)
{
	unsigned sent = b->nr != 0 ? port_send(n->port, b->f, b->nr) : 0;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < sent; i++)
		bytes += b->f[i].len;
	nic_count(n, STAT_TX_FRAMES, sent);
	nic_count(n, STAT_TX_BYTES, bytes);
	return sent;
}

static void finish(struct nic_chan *nc, struct chan *c, enum nvsp_status status)
{
	nc->tx_held = false;
	if (status != NVSP_SUCCESS)
		nic_count(nc->n, STAT_TX_BAD, 1);
	if (nc->tx_want)
		nic_tx_complete(c, nc->tx_id, nc->tx_reply, status);
}

/* Sends what is left of nc->tx, or holds it. */
static void send_rest(struct nic_chan *nc, struct chan *c)
{
	struct nic *n = nc->n;
	struct batch b;
	uint32_t mtu;
	bool good;

	pthread_mutex_lock(&n->lock);
	mtu = n->mtu;
	pthread_mutex_unlock(&n->lock);
	do {
		uint32_t at = nc->tx_at;
		unsigned sent;

		good = fill_batch(nc, mtu, &b, &at);
		sent = send_batch(n, &b);
		if (sent < b.nr) {
			if (sent != 0)
				nc->tx_at = b.end[sent - 1];
			nc->tx_held = true;
			nic_count(n, STAT_TX_HELD, 1);
			chan_pause(c);
			return;
		}
		nc->tx_at = at;
	} while (good && nc->tx_len - nc->tx_at >= sizeof(struct rndis_packet));
	finish(nc, c, good ? NVSP_SUCCESS : NVSP_INVALID_RNDIS);
}

void nic_tx_go(struct nic_chan *nc, struct chan *c)
{
	if (nc->tx_held)
		send_rest(nc, c);
}

/* Gathering. */

static bool add_section(struct nic_chan *nc, struct chan *c, const struct nvsp_msg *m)
{
	uint32_t s = le32_get(m->u.rndis.section), len = le32_get(m->u.rndis.section_len);
	struct nic *n = nc->n;
	const struct gview *v;
	uint32_t gpadl, nr;

	pthread_mutex_lock(&n->lock);
	gpadl = n->tx_gpadl;
	nr = n->tx_sections;
	pthread_mutex_unlock(&n->lock);
	if (s >= nr || len > NIC_TX_SECTION)
		return false;
	v = chan_gpadl(c, gpadl);
	if (v == NULL || gview_read(v, (size_t)s * NIC_TX_SECTION, nc->tx, len) < 0)
		return false;
	nc->tx_len = len;
	return true;
}

static bool add_range(struct nic_chan *nc, struct chan *c, const struct pkt_range *r)
{
	uint32_t left = r->len, off = r->offset;

	if (left > NIC_TX_MAX - nc->tx_len)
		return false;
	for (uint32_t i = 0; i < r->nr_pfns && left != 0; i++) {
		uint32_t n = (uint32_t)min_u64(left, PAGE_SIZE - off);

		if (r->pfns[i] > UINT64_MAX >> PAGE_SHIFT ||
		    gmem_read(chan_mem(c), (r->pfns[i] << PAGE_SHIFT) + off, nc->tx + nc->tx_len,
			      n) < 0)
			return false;
		nc->tx_len += n;
		left -= n;
		off = 0;
	}
	return left == 0;
}

static bool gather(struct nic_chan *nc, struct chan *c, const struct pkt *p,
		   const struct nvsp_msg *m)
{
	nc->tx_len = nc->tx_at = 0;
	if (le32_get(m->u.rndis.section) != NVSP_NO_SECTION && !add_section(nc, c, m))
		return false;
	for (uint32_t i = 0; i < p->nr_ranges; i++)
		if (!add_range(nc, c, &p->ranges[i]))
			return false;
	return nc->tx_len >= sizeof(struct rndis_hdr);
}

void nic_tx_packet(struct nic_chan *nc, struct chan *c, const struct pkt *p,
		   const struct nvsp_msg *m, uint32_t reply)
{
	struct nic *n = nc->n;
	bool control = le32_get(m->u.rndis.channel) == NVSP_CHAN_CONTROL, running;

	nc->tx_id = p->id;
	nc->tx_want = p->flags & 1;
	nc->tx_reply = reply;
	if (!gather(nc, c, p, m)) {
		log_guest(&nc->limit, "net", "a packet whose data is nowhere, or too long");
		finish(nc, c, NVSP_INVALID_RNDIS);
		return;
	}
	if (control) {
		enum nvsp_status s = NVSP_INVALID_RNDIS;

		/* The completion before the answer: some drivers reuse the request. */
		pthread_mutex_lock(&n->lock);
		if (chan_index(c) == 0)
			s = nic_control_check(n, nc->tx, nc->tx_len);
		pthread_mutex_unlock(&n->lock);
		finish(nc, c, s);
		if (s == NVSP_SUCCESS)
			nic_control(n, nc->tx, nc->tx_len);
		return;
	}
	pthread_mutex_lock(&n->lock);
	running = n->running;
	pthread_mutex_unlock(&n->lock);
	if (running && nc->tx_len >= sizeof(struct rndis_packet))
		send_rest(nc, c);
	else
		finish(nc, c, NVSP_INVALID_RNDIS);
}
