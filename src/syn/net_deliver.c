/*
 * net_deliver.c - frames of the switch, as RNDIS packets to the guest
 *
 * Frames come on whatever thread the switch has, and are written straight
 * into guest memory from there.
 *
 * A large send of TCP, for a guest that coalesces received segments (RSC),
 * arrives as one packet with one header, in as many messages as it needs
 * sections.  All of them are in one packet of the ring, marked first to last:
 * the guest puts them together and drops what is incomplete.
 *
 * Spec     RNDIS packet and per-packet information; NDIS RSC
 * Missing  what Windows's stack wants to know of a coalesced packet (how many
 *          segments and duplicate acknowledgements it was)
 * Lock     nic.lock
 */
#include "syn/net_priv.h"

#define HEAD_BYTES 96u			/* of a frame: to the ports, behind any sane header */

_Static_assert(NIC_RX_HEADER + NIC_TAG <= NIC_RX_OVERHEAD, "fits a section beside the frame");
_Static_assert((NIC_RX_SECTION - NIC_RX_HEADER) * NIC_BATCH >= NIC_RSC_MAX, "fits a batch");

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

struct about {				/* a frame: its first bytes, and their hash */
	uint8_t head[HEAD_BYTES];
	uint32_t len;
	bool hashed;
	uint32_t hash;
};

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

/* The RNDIS header of LEN bytes of F, and what is said about it with the first of them; its length. */
static uint32_t fill_header(const struct nic *n, const struct net_frame *f, uint32_t len,
			    const struct about *a, uint32_t piece, uint8_t *to)
{
	struct rndis_packet h = { .hdr.type = le32_of(RNDIS_PACKET) };
	bool first = piece == 0 || piece & PPI_PIECE_FIRST;
	uint32_t at = sizeof(h), sums = first && f->flags & FRAME_SUM_OK ? sums_ok(n, a->head, a->len) : 0;

	if (sums != 0)
		at += add_ppi(to + at, PPI_CHECKSUM, sums);
	if (first && f->flags & FRAME_TAGGED)
		at += add_ppi(to + at, PPI_VLAN, f->tci >> 13 | (f->tci >> 9 & 8) |
						 (f->tci & 0xfffu) << 4);
	if (first && a->hashed)
		at += add_ppi(to + at, PPI_HASH, a->hash);
	if (piece != 0)
		at += add_ppi(to + at, PPI_PIECE, piece);
	h.hdr.len = le32_of(at + len);
	h.data_off = le32_of(at - (uint32_t)sizeof(h.hdr));
	h.data_len = le32_of(len);
	if (at != sizeof(h)) {
		h.ppi_off = le32_of(sizeof(h) - sizeof(h.hdr));
		h.ppi_len = le32_of(at - (uint32_t)sizeof(h));
	}
	memcpy(to, &h, sizeof(h));
	return at;
}

/* LEN bytes of F from OFF on, as a message in the next section. */
static int write_message(struct nic *n, const uint8_t *hdr, uint32_t hdr_len,
			 const struct net_frame *f, uint32_t off, uint32_t len)
{
	uint64_t at = nic_rx_section(n);
	int rc = gview_write(n->rx.view, at, hdr, hdr_len);

	at += hdr_len;
	for (uint32_t i = 0; i < f->nr_iov && rc == 0 && len != 0; i++) {
		uint32_t has = (uint32_t)f->iov[i].iov_len, skip = (uint32_t)min_u64(off, has);
		uint32_t now = (uint32_t)min_u64(has - skip, len);

		if (now != 0)
			rc = gview_write(n->rx.view, at, (const uint8_t *)f->iov[i].iov_base + skip, now);
		off -= skip;
		len -= now;
		at += now;
	}
	return rc;
}

static int drop(struct nic *n, unsigned why)
{
	nic_count(n, why, 1);
	return 0;
}

/* The channel that the guest wants it on. */
static struct nic_chan *channel_for(struct nic *n, struct about *a)
{
	struct nic_chan *nc = &n->chans[0];

	a->hashed = nic_rss_hash(n, a->head, a->len, &a->hash);
	if (a->hashed)
		nc = &n->chans[n->rss.table[a->hash & (n->rss.nr_table - 1)]];
	return nc->chan != NULL ? nc : &n->chans[0];
}

/* F in NR messages of at most EACH bytes of it. */
static int write_pieces(struct nic *n, const struct net_frame *f, const struct about *a,
			unsigned nr, uint32_t each)
{
	uint8_t hdr[NIC_RX_HEADER];
	int rc = 0;

	for (unsigned i = 0; i < nr && rc == 0; i++) {
		uint32_t len = (uint32_t)min_u64(each, f->len - i * each), hdr_len, piece = 0;

		if (nr > 1)
			piece = PPI_PIECE_V1 | PPI_PIECE_IS | (i == 0 ? PPI_PIECE_FIRST : 0u) |
				(i + 1 == nr ? PPI_PIECE_LAST : 0u);
		hdr_len = fill_header(n, f, len, a, piece, hdr);
		rc = write_message(n, hdr, hdr_len, f, i * each, len);
		if (rc == 0)
			nic_rx_add(n, hdr_len + len);
	}
	return rc;
}

/* Under the lock. */
static int deliver_locked(struct nic *n, const struct net_frame *f)
{
	uint32_t each = f->len;
	struct nic_chan *nc;
	struct about a;
	unsigned nr, had;
	int rc;

	if (n->filter == 0 || n->rx.view == NULL || n->chans[0].chan == NULL)
		return drop(n, STAT_RX_FILTERED);
	a.len = (uint32_t)min_u64(f->len, sizeof(a.head));
	if (!frame_copy(f, 0, a.head, a.len) || a.len < ETH_HLEN || !wanted(n, a.head))
		return drop(n, STAT_RX_FILTERED);
	if (f->flags & FRAME_LSO)
		each = n->rx.size - NIC_RX_HEADER;
	else if (f->len > n->mtu + NIC_TAG)
		return drop(n, STAT_RX_TOO_LONG);
	nc = channel_for(n, &a);
	nr = (f->len + each - 1) / each;
	rc = nic_rx_batch(n, nc, nr);
	if (rc == -EAGAIN)
		return rc;
	had = n->rx.batch.nr;
	if (rc < 0 || write_pieces(n, f, &a, nr, each) < 0) {
		nic_rx_cut(n, had);
		return drop(n, STAT_RX_TOO_LONG);
	}
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

/* The guest hears of what came. */
static void nic_deliver_end(void *dev)
{
	struct nic *n = dev;

	pthread_mutex_lock(&n->lock);
	(void)!nic_rx_flush_batch(n);	/* or later, when there is room */
	pthread_mutex_unlock(&n->lock);
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
	.deliver_end = nic_deliver_end,
	.resume = nic_resume,
	.link = nic_link,
};
