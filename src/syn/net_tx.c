/*
 * net_tx.c - from the guest: packets, frames, what is asked for each
 *
 * What the guest sends lies in a section of the send buffer, in pages named
 * by the packet, or begins in the one and goes on in the other.  It is copied
 * once, and everything is read from the copy.  The packet is completed when
 * the switch has taken every frame of it.
 *
 * Where the switch has no room, the packet waits, and a number of those after
 * it, uncompleted and in the guest's memory, so the guest's own stack slows
 * down.  The ring is read on meanwhile, because in it come the completions of
 * what the guest received, and two adapters could wait for each other's.
 * Only when the queue is full the channel stands still.
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
 * Reads frames from the data into B, until it is full or all are read.  *at is where
 * the next message begins; false: the rest makes no sense.
 */
static bool fill_batch(struct nic_chan *nc, uint32_t mtu, struct batch *b, uint32_t *at)
{
	const struct nic_sender *t = nc->tx;

	b->nr = 0;
	while (b->nr < NIC_TX_BATCH && t->len - *at >= sizeof(struct rndis_packet)) {
		const uint8_t *m = t->data + *at;
		uint32_t type = ld32(m), len = ld32(m + 4), left = t->len - *at;
		int rc;

		if (type == 0 && *at != 0) {
			*at = t->len;	/* padding */
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

/* Frames of several packets are answered at once: only memory waits for that. */
static void complete(struct nic_chan *nc, struct chan *c, const struct nic_tx *p,
		     enum nvsp_status status)
{
	struct nvsp_msg r = {
		.type = le32_of(NVSP_RNDIS_PKT_COMPLETE),
		.u.status = le32_of((uint32_t)status),
	};

	if (status != NVSP_SUCCESS)
		nic_count(nc->n, STAT_TX_BAD, 1);
	if (p->reply != 0)
		chan_complete_soon(c, p->id, &r, p->reply);
}

/* Sends what is left of the data; false: the switch has no room for all of it. */
static bool send_rest(struct nic_chan *nc, struct chan *c)
{
	struct nic_sender *t = nc->tx;
	struct nic *n = nc->n;
	struct batch b;
	uint32_t mtu;
	bool good;

	pthread_mutex_lock(&n->lock);
	mtu = n->mtu;
	pthread_mutex_unlock(&n->lock);
	do {
		uint32_t at = t->at;
		unsigned sent;

		good = fill_batch(nc, mtu, &b, &at);
		sent = send_batch(n, &b);
		if (sent < b.nr) {
			if (sent != 0)
				t->at = b.end[sent - 1];
			t->held = true;
			nic_count(n, STAT_TX_HELD, 1);
			return false;
		}
		t->at = at;
	} while (good && t->len - t->at >= sizeof(struct rndis_packet));
	t->held = false;
	complete(nc, c, &t->now, good ? NVSP_SUCCESS : NVSP_INVALID_RNDIS);
	return true;
}

/* Gathering. */

static bool read_section(struct nic_chan *nc, struct chan *c, const struct nic_tx *p, uint8_t *to,
			 uint32_t max)
{
	struct nic *n = nc->n;
	const struct gview *v;
	uint32_t gpadl, nr;

	pthread_mutex_lock(&n->lock);
	gpadl = n->tx_gpadl;
	nr = n->tx_sections;
	pthread_mutex_unlock(&n->lock);
	if (p->section >= nr || p->section_len > NIC_TX_SECTION || p->section_len > max)
		return false;
	v = chan_gpadl(c, gpadl);
	return v != NULL &&
	       gview_read(v, (size_t)p->section * NIC_TX_SECTION, to, p->section_len) == 0;
}

/* All the bytes of P, at most MAX; false: they are nowhere, or too many. */
static bool gather(struct nic_chan *nc, struct chan *c, const struct nic_tx *p, uint8_t *to,
		   uint32_t max, uint32_t *ret_len)
{
	uint32_t len = 0;

	if (p->section != NVSP_NO_SECTION) {
		if (!read_section(nc, c, p, to, max))
			return false;
		len = p->section_len;
	}
	for (unsigned i = 0; i < p->nr_segs; i++) {
		const struct nic_seg *s = &p->segs[i];

		if (s->len > max - len || gmem_read(chan_mem(c), s->gpa, to + len, s->len) < 0)
			return false;
		len += s->len;
	}
	*ret_len = len;
	return true;
}

static bool add_seg(struct nic_tx *p, uint64_t gpa, uint32_t len)
{
	struct nic_seg *last = p->nr_segs != 0 ? &p->segs[p->nr_segs - 1] : NULL;

	if (last != NULL && last->gpa + last->len == gpa && last->len + len > len) {
		last->len += len;
		return true;
	}
	if (p->nr_segs == NIC_TX_SEGS)
		return false;
	p->segs[p->nr_segs++] = (struct nic_seg){ gpa, len };
	return true;
}

static bool add_range(struct nic_tx *p, const struct pkt_range *r)
{
	uint32_t left = r->len, off = r->offset;

	if (left > NIC_TX_MAX)
		return false;
	for (uint32_t i = 0; i < r->nr_pfns && left != 0; i++) {
		uint32_t n = (uint32_t)min_u64(left, PAGE_SIZE - off);

		if (r->pfns[i] > UINT64_MAX >> PAGE_SHIFT ||
		    !add_seg(p, (r->pfns[i] << PAGE_SHIFT) + off, n))
			return false;
		left -= n;
		off = 0;
	}
	return left == 0;
}

static bool describe(struct nic_tx *p, const struct pkt *g, const struct nvsp_msg *m, uint32_t reply)
{
	p->id = g->id;
	p->reply = g->flags & 1 ? reply : 0;
	p->section = le32_get(m->u.rndis.section);
	p->section_len = le32_get(m->u.rndis.section_len);
	p->nr_segs = 0;
	for (uint32_t i = 0; i < g->nr_ranges; i++)
		if (!add_range(p, &g->ranges[i]))
			return false;
	return true;
}

/* The packet in t->now, from its beginning; false: it waits. */
static bool start(struct nic_chan *nc, struct chan *c)
{
	struct nic_sender *t = nc->tx;
	bool running;

	pthread_mutex_lock(&nc->n->lock);
	running = nc->n->running;
	pthread_mutex_unlock(&nc->n->lock);
	t->at = 0;
	if (running && gather(nc, c, &t->now, t->data, sizeof(t->data), &t->len) &&
	    t->len >= sizeof(struct rndis_packet))
		return send_rest(nc, c);
	log_guest(&nc->limit, "net", "a packet whose data is nowhere, too long or too short");
	complete(nc, c, &t->now, NVSP_INVALID_RNDIS);
	return true;
}

void nic_tx_go(struct nic_chan *nc, struct chan *c)
{
	struct nic_sender *t = nc->tx;

	if (t->held && !send_rest(nc, c)) {
		if (t->nr == NIC_TX_QUEUE)
			chan_pause(c);
		return;
	}
	while (t->nr != 0) {
		t->now = t->queue[t->first];
		t->first = (t->first + 1) % NIC_TX_QUEUE;
		t->nr--;
		if (!start(nc, c))
			return;
	}
}

static void on_control(struct nic_chan *nc, struct chan *c, const struct nic_tx *p)
{
	enum nvsp_status s = NVSP_INVALID_RNDIS;
	struct nic *n = nc->n;
	uint8_t *m = nc->tx->control;
	uint32_t len;

	/* The completion before the answer: some drivers reuse the request. */
	if (chan_index(c) == 0 && gather(nc, c, p, m, NIC_CONTROL_MAX, &len)) {
		pthread_mutex_lock(&n->lock);
		s = nic_control_check(n, m, len);
		pthread_mutex_unlock(&n->lock);
	}
	complete(nc, c, p, s);
	if (s == NVSP_SUCCESS)
		nic_control(n, m);
}

void nic_tx_packet(struct nic_chan *nc, struct chan *c, const struct pkt *g,
		   const struct nvsp_msg *m, uint32_t reply)
{
	struct nic_sender *t = nc->tx;
	/* Never called with a full queue: the channel stands still then. */
	struct nic_tx *p = t->held ? &t->queue[(t->first + t->nr) % NIC_TX_QUEUE] : &t->now;

	if (!describe(p, g, m, reply)) {
		log_guest(&nc->limit, "net", "a packet too long, or in too many pieces");
		complete(nc, c, p, NVSP_INVALID_RNDIS);
	} else if (le32_get(m->u.rndis.channel) == NVSP_CHAN_CONTROL) {
		on_control(nc, c, p);
	} else if (!t->held) {
		(void)start(nc, c);
	} else if (++t->nr == NIC_TX_QUEUE) {
		chan_pause(c);
	}
}
