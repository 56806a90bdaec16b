/*
 * net_bench.c - an adapter, a switch of one port and a guest, for tests
 *
 * Lock     fake_port.lock for what the switch saw; else the test's thread
 */
#include "syn/net_bench.h"

#include <stdlib.h>
#include <unistd.h>

const uint8_t nb_mac[6] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0x03 };

/* The switch. */

static unsigned fp_send(struct port *port, const struct net_frame *f, unsigned nr)
{
	struct fake_port *p = CONTAINER_OF(port, struct fake_port, port);
	unsigned i;

	pthread_mutex_lock(&p->lock);
	p->calls++;
	for (i = 0; i < nr && p->take != 0; i++) {
		struct fp_frame *to = &p->f[p->nr++ % FP_FRAMES];
		uint8_t last;

		*to = (struct fp_frame){ .flags = f[i].flags, .len = f[i].len, .tci = f[i].tci,
					 .l4_at = f[i].l4_at, .mss = f[i].mss };
		BUG_IF(f[i].len < ETH_HLEN || f[i].len > NET_LSO_MAX);
		BUG_IF(!frame_copy(&f[i], 0, to->bytes,
				   (uint32_t)min_u64(f[i].len, sizeof(to->bytes))));
		BUG_IF(!frame_copy(&f[i], f[i].len - 1, &last, 1));
		BUG_IF(f[i].flags & FRAME_LSO && f[i].mss == 0);
		if (p->take != UINT32_MAX)
			p->take--;
	}
	pthread_mutex_unlock(&p->lock);
	return i;
}

static void fp_room(struct port *port)
{
	struct fake_port *p = CONTAINER_OF(port, struct fake_port, port);

	pthread_mutex_lock(&p->lock);
	p->rooms++;
	pthread_mutex_unlock(&p->lock);
}

static void fp_bind(struct port *port, const struct port_client *client, void *dev,
		    const struct port_caps *caps)
{
	struct fake_port *p = CONTAINER_OF(port, struct fake_port, port);

	p->client = client;
	p->dev = dev;
	if (client == NULL)
		return;
	p->caps = *caps;
	client->link(dev, true, 10 * NS_PER_SEC);
}

static void fp_set_caps(struct port *port, const struct port_caps *caps)
{
	struct fake_port *p = CONTAINER_OF(port, struct fake_port, port);

	pthread_mutex_lock(&p->lock);
	p->caps = *caps;
	pthread_mutex_unlock(&p->lock);
}

static bool fp_may_spoof(const struct port *port)
{
	return ((const struct fake_port *)port)->spoof;
}

static const struct port_ops fp_ops = {
	.send = fp_send, .room = fp_room, .bind = fp_bind, .set_caps = fp_set_caps, .may_spoof = fp_may_spoof,
};

void fp_init(struct fake_port *p)
{
	memset(p, 0, sizeof(*p));
	p->port.ops = &fp_ops;
	memcpy(p->port.mac, nb_mac, 6);
	p->take = UINT32_MAX;
	pthread_mutex_init(&p->lock, NULL);
}

bool fp_wait(struct fake_port *p, unsigned nr)
{
	for (int i = 0; i < 40000; i++) {
		unsigned have;

		pthread_mutex_lock(&p->lock);
		have = p->nr;
		pthread_mutex_unlock(&p->lock);
		if (have >= nr)
			return have == nr;
		usleep(100);
	}
	return false;
}

void fp_set_take(struct fake_port *p, unsigned take)
{
	pthread_mutex_lock(&p->lock);
	p->take = take;
	pthread_mutex_unlock(&p->lock);
	p->client->resume(p->dev);
}

unsigned fp_rooms(struct fake_port *p)
{
	unsigned nr;

	pthread_mutex_lock(&p->lock);
	nr = p->rooms;
	pthread_mutex_unlock(&p->lock);
	return nr;
}

int fp_deliver_more(struct fake_port *p, uint32_t flags, uint16_t tci, const void *frame, uint32_t len)
{
	uint8_t *b = (uint8_t *)(uintptr_t)frame;
	uint32_t cut = len / 3;		/* no piece holds a header */
	struct iovec iov[3] = { { b, cut }, { b + cut, 1 }, { b + cut + 1, len - cut - 1 } };
	struct net_frame f = { .iov = iov, .nr_iov = 3, .len = len, .flags = flags, .tci = tci };

	return p->client->deliver(p->dev, &f);
}

int fp_deliver(struct fake_port *p, uint32_t flags, uint16_t tci, const void *frame, uint32_t len)
{
	int rc = fp_deliver_more(p, flags, tci, frame, len);

	p->client->deliver_end(p->dev);
	return rc;
}

/* The guest. */

int nb_init(struct net_bench *b, unsigned nr_vps, bool mac_changes)
{
	struct nic_conf conf = {
		.instance = GUID_INIT(0x11223344, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
		.nr_vps = nr_vps, .port = &b->port.port,
	};
	int rc;

	memset(b, 0, sizeof(*b));
	fp_init(&b->port);
	b->port.spoof = mac_changes;
	rc = fg_new(&b->g, 0, 2);
	if (rc < 0)
		return rc;
	b->rx = fg_alloc(&b->g, NB_RX_PAGES);
	b->tx = fg_alloc(&b->g, NB_TX_PAGES);
	b->buf = fg_alloc(&b->g, 32);
	return nic_new(b->g.bus, &conf, &b->n, NULL);
}

void nb_fini(struct net_bench *b)
{
	vmbus_reset(b->g.bus);
	nic_free(b->n);
	fg_free(&b->g);
	pthread_mutex_destroy(&b->port.lock);
}

int nb_open(struct net_bench *b)
{
	if (fg_contact(&b->g, VMBUS_CONN_MSG_MULTI, VMBUS_V5_3, 0) != 1)
		return -EPROTO;
	if (fg_offers(&b->g, &b->offer, 1) != 1)
		return -ENODEV;
	return (int)fg_open(&b->g, le32_get(b->offer.relid), 17, 0, &b->c);
}

int nb_nvsp(struct net_bench *b, const struct nvsp_msg *m)
{
	struct fg_pkt p;
	int rc = fg_send(&b->g, &b->c, VMPKT_INBAND, 1, ++b->xid, m, sizeof(*m));

	if (rc == 0)
		rc = fg_recv(&b->g, &b->c, &p);
	if (rc < 0)
		return rc;
	if (p.type != VMPKT_COMP || p.id != b->xid || p.flags != 0)
		return -EPROTO;
	memset(&b->r, 0, sizeof(b->r));
	memcpy(&b->r, p.data, min_u64(p.len, sizeof(b->r)));
	b->r_len = p.len;
	return 0;
}

int nb_settle(struct net_bench *b)
{
	return nb_nvsp(b, &(struct nvsp_msg){ .type = le32_of(NVSP_SWITCH_DATA_PATH) });
}

static int lend_buffer(struct net_bench *b, uint32_t type, uint64_t gpa, uint32_t pages, uint16_t id)
{
	struct nvsp_msg m = { .type = le32_of(type) };
	uint32_t gpadl = b->g.next_gpadl++;

	if (fg_gpadl(&b->g, b->c.relid, gpadl, gpa, pages) != 0)
		return -EIO;
	m.u.buf.gpadl = le32_of(gpadl);
	m.u.buf.id = le16_of(id);
	return nb_nvsp(b, &m);
}

int nb_recv_buf(struct net_bench *b)
{
	int rc = lend_buffer(b, NVSP_SEND_RECV_BUF, b->rx, NB_RX_PAGES, NB_RX_ID);

	if (rc < 0)
		return rc;
	if (le32_get(b->r.type) != NVSP_RECV_BUF_COMPLETE ||
	    le32_get(b->r.u.recv_complete.status) != NVSP_SUCCESS)
		return -EIO;
	b->rx_size = le32_get(b->r.u.recv_complete.section.size);
	b->rx_nr = le32_get(b->r.u.recv_complete.section.count);
	return 0;
}

int nb_send_buf(struct net_bench *b)
{
	int rc = lend_buffer(b, NVSP_SEND_SEND_BUF, b->tx, NB_TX_PAGES, 0);

	if (rc < 0)
		return rc;
	return le32_get(b->r.type) == NVSP_SEND_BUF_COMPLETE &&
			       le32_get(b->r.u.send_complete.status) == NVSP_SUCCESS ? 0 : -EIO;
}

int nb_revoke_recv(struct net_bench *b)
{
	struct nvsp_msg m = { .type = le32_of(NVSP_REVOKE_RECV_BUF),
			      .u.revoke_id = le16_of(NB_RX_ID) };

	return nb_nvsp(b, &m);
}

int nb_up(struct net_bench *b, uint32_t version, uint32_t mtu, uint64_t caps)
{
	struct nvsp_msg m = { .type = le32_of(NVSP_INIT) };
	struct rndis_init ri = {
		.hdr = { le32_of(RNDIS_INITIALIZE), le32_of(sizeof(ri)) },
		.major = le32_of(1), .max_transfer = le32_of(0x4000),
	};
	int rc = nb_open(b);

	b->version = version;
	m.u.init.min = m.u.init.max = le32_of(version);
	if (rc == 0)
		rc = nb_nvsp(b, &m);
	if (rc == 0 && le32_get(b->r.u.init_complete.status) != NVSP_SUCCESS)
		rc = -EPROTO;
	m = (struct nvsp_msg){ .type = le32_of(NVSP_SEND_NDIS_CONFIG) };
	m.u.config.mtu = le32_of(mtu);
	m.u.config.caps = le64_of(caps);
	if (rc == 0 && version >= NVSP_V2)
		rc = fg_send(&b->g, &b->c, VMPKT_INBAND, 0, 0, &m, sizeof(m));
	m = (struct nvsp_msg){ .type = le32_of(NVSP_SEND_NDIS_VER) };
	m.u.ndis.major = le32_of(6);
	m.u.ndis.minor = le32_of(version >= NVSP_V5 ? 30 : 1);
	if (rc == 0)
		rc = fg_send(&b->g, &b->c, VMPKT_INBAND, 0, 0, &m, sizeof(m));
	if (rc == 0)
		rc = nb_recv_buf(b);
	if (rc == 0)
		rc = nb_send_buf(b);
	if (rc == 0)
		rc = nb_control(b, &ri, sizeof(ri));
	return rc;
}

int nb_send(struct net_bench *b, struct fg_chan *c, uint32_t channel, bool section, const void *m,
	    uint32_t len)
{
	struct nvsp_msg v = { .type = le32_of(NVSP_RNDIS_PKT) };
	uint64_t at = section ? b->tx : b->buf + 100;
	int rc = gmem_write(b->g.mem, at, m, len);

	if (rc < 0)
		return rc;
	v.u.rndis.channel = le32_of(channel);
	v.u.rndis.section = le32_of(section ? 0 : NVSP_NO_SECTION);
	v.u.rndis.section_len = le32_of(section ? len : 0);
	if (section)
		return fg_send(&b->g, c, VMPKT_INBAND, 1, ++b->xid, &v, sizeof(v));
	return fg_send_gpa(&b->g, c, ++b->xid, at, len, &v, sizeof(v));
}

int nb_wait_sent(struct net_bench *b, struct fg_chan *c)
{
	struct fg_pkt p;
	int rc = fg_recv(&b->g, c, &p);

	if (rc < 0)
		return rc;
	if (p.type != VMPKT_COMP || p.id != b->xid || p.len != NVSP_MSG_MAX ||
	    ld32(p.data) != NVSP_RNDIS_PKT_COMPLETE)
		return -EPROTO;
	return (int)ld32(p.data + 4);
}

int nb_give_back(struct net_bench *b, struct fg_chan *c, uint64_t id)
{
	uint32_t m[2] = { NVSP_RNDIS_PKT_COMPLETE, NVSP_SUCCESS };

	return fg_send(&b->g, c, VMPKT_COMP, 0, id, m, sizeof(m));
}

/* The message of range I of a packet. */
static int read_range(struct net_bench *b, const uint8_t *range)
{
	uint32_t len = ld32(range), off = ld32(range + 4);
	int rc;

	if (len > b->rx_size || len > sizeof(b->msg) || off > b->rx_size * b->rx_nr - len ||
	    off % b->rx_size != 0)
		return -EPROTO;
	b->msg_len = len;
	rc = gmem_read(b->g.mem, b->rx + off, b->msg, len);
	return rc == 0 && (len < 8 || ld32(b->msg + 4) != len) ? -EPROTO : rc;
}

int nb_recv(struct net_bench *b, struct fg_chan *c, bool keep)
{
	struct fg_pkt p;
	uint32_t nr;
	int rc;

	if (b->more == 0 || b->more_on != c) {
		rc = fg_recv(&b->g, c, &p);
		if (rc < 0)
			return rc;
		nr = ld32(p.data + 4);
		if (p.type != VMPKT_XFER_PAGES || p.flags != 1 || p.len < 48 ||
		    ld16(p.data) != NB_RX_ID || nr == 0 || nr > ARRAY_LEN(b->ranges) || p.len < 8 + 8 * nr + 32 ||
		    ld32(p.data + 8 + 8 * nr) != NVSP_RNDIS_PKT)
			return -EPROTO;
		b->msg_channel = ld32(p.data + 12 + 8 * nr);
		b->msg_id = p.id;
		b->msg_of = nr;
		memcpy(b->ranges, p.data + 8, 8 * nr);
		b->more = nr;
		b->more_on = c;
	}
	rc = read_range(b, b->ranges[b->msg_of - b->more--]);
	return rc < 0 || keep || b->more != 0 ? rc : nb_give_back(b, c, b->msg_id);
}

int nb_control(struct net_bench *b, const void *m, uint32_t len)
{
	int rc = nb_send(b, &b->c, NVSP_CHAN_CONTROL, false, m, len);

	if (rc == 0)
		rc = nb_wait_sent(b, &b->c);
	if (rc != NVSP_SUCCESS)
		return rc < 0 ? rc : -EIO;
	rc = nb_recv(b, &b->c, false);
	return rc == 0 && b->msg_channel != NVSP_CHAN_CONTROL ? -EPROTO : rc;
}

static int64_t request(struct net_bench *b, uint32_t type, uint32_t oid, const void *in,
		       uint32_t len)
{
	uint8_t m[2048] = { 0 };
	struct rndis_request q = {
		.hdr = { le32_of(type), le32_of((uint32_t)sizeof(q) + len) },
		.id = le32_of(++b->rid), .oid = le32_of(oid), .info_len = le32_of(len),
		.info_off = le32_of(20),
	};
	int rc;

	BUG_IF(len > sizeof(m) - sizeof(q));
	memcpy(m, &q, sizeof(q));
	if (len != 0)
		memcpy(m + sizeof(q), in, len);
	rc = nb_control(b, m, (uint32_t)sizeof(q) + len);
	if (rc < 0)
		return rc;
	if (ld32(b->msg) != (type | RNDIS_CMPLT) || ld32(b->msg + 8) != b->rid)
		return -EPROTO;
	return ld32(b->msg + 12);
}

int64_t nb_query(struct net_bench *b, uint32_t oid, const void *in, uint32_t len, uint32_t *ret_len)
{
	int64_t rc = request(b, RNDIS_QUERY, oid, in, len);

	if (rc < 0)
		return rc;
	*ret_len = ld32(b->msg + 16);
	if (b->msg_len != 24 + *ret_len || ld32(b->msg + 20) != 16)
		return -EPROTO;
	return rc;
}

int64_t nb_set(struct net_bench *b, uint32_t oid, const void *in, uint32_t len)
{
	return request(b, RNDIS_SET, oid, in, len);
}

int64_t nb_filter(struct net_bench *b, uint32_t filter)
{
	le32 f = le32_of(filter);

	return nb_set(b, OID_CURRENT_PACKET_FILTER, &f, sizeof(f));
}

uint32_t nb_packet(uint8_t *to, const void *frame, uint32_t len, const uint32_t *ppi, unsigned nr)
{
	uint32_t ppis = nr * 16, all = 44 + ppis + len;
	struct rndis_packet h = {
		.hdr = { le32_of(RNDIS_PACKET), le32_of(all) },
		.data_off = le32_of(36 + ppis), .data_len = le32_of(len),
		.ppi_off = le32_of(nr != 0 ? 36 : 0), .ppi_len = le32_of(ppis),
	};

	memcpy(to, &h, sizeof(h));
	for (unsigned i = 0; i < nr; i++) {
		st32(to + 44 + 16 * i, 16);
		st32(to + 48 + 16 * i, ppi[2 * i]);
		st32(to + 52 + 16 * i, 12);
		st32(to + 56 + 16 * i, ppi[2 * i + 1]);
	}
	memcpy(to + 44 + ppis, frame, len);
	return all;
}

bool nb_ppi(const struct net_bench *b, uint32_t type, uint32_t *ret_val)
{
	uint32_t at = 8 + ld32(b->msg + 28), end = at + ld32(b->msg + 32);

	for (; at + 16 <= end && end <= b->msg_len; at += ld32(b->msg + at)) {
		if (ld32(b->msg + at + 4) != type)
			continue;
		*ret_val = ld32(b->msg + at + ld32(b->msg + at + 8));
		return true;
	}
	return false;
}

const uint8_t *nb_frame(const struct net_bench *b, uint32_t *ret_len)
{
	uint32_t off = 8 + ld32(b->msg + 8);

	*ret_len = ld32(b->msg + 12);
	BUG_IF(off > b->msg_len || *ret_len > b->msg_len - off);
	return b->msg + off;
}
