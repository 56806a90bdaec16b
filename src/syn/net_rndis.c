/*
 * net_rndis.c - RNDIS control messages
 *
 * Each but HALT is answered with one message of ours, by way of a short
 * queue: a guest that takes no answers is told BUSY when it is full.
 *
 * Spec     Remote NDIS 1.0
 * Missing  connection-oriented miniports, which no Ethernet is
 * Lock     nic.lock
 */
#include "syn/net_priv.h"

static struct nic_reply *new_reply(struct nic *n)
{
	unsigned i = (n->first_reply + n->nr_replies++) % NIC_REPLIES;

	n->replies[i].len = 0;
	return &n->replies[i];
}

/* The shortest message of a type; 0 = none that we know. */
static uint32_t min_len(uint32_t type)
{
	switch (type) {
	case RNDIS_INITIALIZE:
		return sizeof(struct rndis_init);
	case RNDIS_HALT:
	case RNDIS_KEEPALIVE:
	case RNDIS_RESET:
		return sizeof(struct rndis_hdr) + 4;
	case RNDIS_QUERY:
	case RNDIS_SET:
		return sizeof(struct rndis_request);
	default:
		return 0;
	}
}

enum nvsp_status nic_control_check(struct nic *n, const uint8_t *m, uint32_t len)
{
	uint32_t min;

	if (n->version == 0 || len < sizeof(struct rndis_hdr))
		return NVSP_INVALID_RNDIS;
	min = min_len(ld32(m));
	if (min == 0 || ld32(m + 4) < min || ld32(m + 4) > len)
		return NVSP_INVALID_RNDIS;
	/* INITIALIZE comes first, and nothing after HALT. */
	if (!n->running && ld32(m) != RNDIS_INITIALIZE && ld32(m) != RNDIS_HALT)
		return NVSP_INVALID_RNDIS;
	if (ld32(m) == RNDIS_HALT)
		return NVSP_SUCCESS;	/* needs no answer */
	return n->nr_replies < NIC_REPLIES ? NVSP_SUCCESS : NVSP_BUSY;
}

static void on_initialize(struct nic *n, const uint8_t *m)
{
	struct nic_reply *r = new_reply(n);
	struct rndis_init_cmplt a = {
		.hdr = { le32_of(RNDIS_INITIALIZE | RNDIS_CMPLT), le32_of(sizeof(a)) },
		.status = le32_of(NDIS_SUCCESS),
		.major = le32_of(1),
		.flags = le32_of(1),
		.max_packets = le32_of(NIC_MAX_PACKETS),
		.max_transfer = le32_of(NIC_TX_MAX),
		.align = le32_of(NIC_TX_ALIGN),
	};
	struct rndis_init g;

	memcpy(&g, m, sizeof(g));
	a.id = g.id;
	if (le32_get(g.major) != 1)
		a.status = le32_of(NDIS_BAD_VERSION);
	else
		n->running = true;
	/* It is going to ask. */
	n->link_told = n->link_up;
	n->told_bps = n->link_bps;
	r->len = sizeof(a);
	memcpy(r->bytes, &a, sizeof(a));
}

/* The information buffer of a query or a set; false: it is not in the message. */
static bool info_of(const struct rndis_request *g, const uint8_t *m, const uint8_t **ret_in,
		    uint32_t *ret_len)
{
	uint32_t size = le32_get(g->hdr.len) - (uint32_t)sizeof(g->hdr);
	uint32_t off = le32_get(g->info_off), len = le32_get(g->info_len);

	*ret_in = m;
	*ret_len = 0;
	if (len == 0)
		return true;		/* some give an offset all the same */
	if (off > size || len > size - off)
		return false;
	*ret_in = m + sizeof(g->hdr) + off;
	*ret_len = len;
	return true;
}

static void on_query(struct nic *n, const uint8_t *m)
{
	struct nic_reply *r = new_reply(n);
	struct rndis_query_cmplt a = { .hdr.type = le32_of(RNDIS_QUERY | RNDIS_CMPLT) };
	uint32_t status = NDIS_INVALID_LENGTH, in_len, out_len = 0;
	struct rndis_request g;
	const uint8_t *in;

	memset(r->bytes, 0, sizeof(r->bytes));
	memcpy(&g, m, sizeof(g));
	if (info_of(&g, m, &in, &in_len))
		status = nic_query(n, le32_get(g.oid), in, in_len, r->bytes + sizeof(a), &out_len);
	if (status != NDIS_SUCCESS)
		out_len = 0;
	r->len = (uint32_t)sizeof(a) + out_len;
	a.hdr.len = le32_of(r->len);
	a.id = g.id;
	a.status = le32_of(status);
	a.info_len = le32_of(out_len);
	a.info_off = le32_of(sizeof(a) - sizeof(a.hdr));
	memcpy(r->bytes, &a, sizeof(a));
}

static void reply_short(struct nic *n, uint32_t type, le32 first, uint32_t second)
{
	struct nic_reply *r = new_reply(n);
	struct rndis_cmplt a = {
		.hdr = { le32_of(type | RNDIS_CMPLT), le32_of(sizeof(a)) },
		.id = first,
		.status = le32_of(second),
	};

	r->len = sizeof(a);
	memcpy(r->bytes, &a, sizeof(a));
}

static void on_set(struct nic *n, const uint8_t *m)
{
	uint32_t status = NDIS_INVALID_LENGTH, len;
	struct rndis_request g;
	const uint8_t *in;

	memcpy(&g, m, sizeof(g));
	if (info_of(&g, m, &in, &len))
		status = nic_set(n, le32_get(g.oid), in, len);
	reply_short(n, RNDIS_SET, g.id, status);
}

static void on_halt(struct nic *n)
{
	n->running = false;
	n->filter = 0;
	n->nr_multicast = 0;
	nic_rss_reset(n);
	nic_offload_all(n);
}

void nic_control(struct nic *n, const uint8_t *m)
{
	uint32_t type = ld32(m);

	pthread_mutex_lock(&n->lock);
	n->nr_control++;
	switch (type) {
	case RNDIS_INITIALIZE:
		on_initialize(n, m);
		break;
	case RNDIS_HALT:
		on_halt(n);
		break;
	case RNDIS_QUERY:
		on_query(n, m);
		break;
	case RNDIS_SET:
		on_set(n, m);
		break;
	case RNDIS_RESET:		/* status, and no: addresses and filters stayed */
		reply_short(n, RNDIS_RESET, le32_of(NDIS_SUCCESS), 0);
		break;
	case RNDIS_KEEPALIVE:
		reply_short(n, RNDIS_KEEPALIVE, (le32){ { m[8], m[9], m[10], m[11] } },
			    NDIS_SUCCESS);
		break;
	default:
		BUG_IF(true);		/* nic_control_check knows them all */
	}
	pthread_mutex_unlock(&n->lock);
	if (type == RNDIS_SET || type == RNDIS_HALT)
		nic_set_caps(n);	/* before the guest hears that it is so */
	pthread_mutex_lock(&n->lock);
	nic_rx_flush(n);
	pthread_mutex_unlock(&n->lock);
	nic_rx_room(n);
}
