/*
 * net_oid.c - what a guest asks of the adapter, and what it sets
 *
 * One table; an OID that is not in it is not supported, which every driver
 * takes for an answer.
 *
 * Spec     NDIS 6.x OIDs, as far as Linux, FreeBSD, iPXE and Windows use them
 * Missing  keywords of OID_RNDIS_CONFIG_PARAMETER other than NetworkAddress:
 *          taken, and without effect
 * Lock     nic.lock
 */
#include "syn/net_priv.h"

#define OUT_MAX (NIC_REPLY_MAX - sizeof(struct rndis_query_cmplt))

/* What a row of the table answers with. */
enum kind { K_U32, K_U64, K_FN };

struct oid {
	uint32_t oid;
	enum kind kind;
	uint32_t val;			/* K_U32: the answer; K_U64: index of a counter */
	uint32_t (*query)(struct nic *n, const uint8_t *in, uint32_t in_len, uint8_t *out,
			  uint32_t *ret_len);
	uint32_t (*set)(struct nic *n, const uint8_t *in, uint32_t len);
};

static uint32_t answer(uint8_t *out, uint32_t *ret_len, const void *src, uint32_t n)
{
	memcpy(out, src, n);
	*ret_len = n;
	return NDIS_SUCCESS;
}

static uint32_t answer32(uint8_t *out, uint32_t *ret_len, uint64_t v)
{
	le32 w = le32_of((uint32_t)min_u64(v, UINT32_MAX));

	return answer(out, ret_len, &w, sizeof(w));
}

/* The same parameters for all. */
#define QUERY(name) static uint32_t name(struct nic *n UNUSED, const uint8_t *in UNUSED, \
					 uint32_t in_len UNUSED, uint8_t *out, uint32_t *ret_len)
#define SET(name) static uint32_t name(struct nic *n UNUSED, const uint8_t *in UNUSED, \
				       uint32_t len UNUSED)

QUERY(q_list);

QUERY(q_frame_size) { return answer32(out, ret_len, n->mtu - ETH_HLEN); }
QUERY(q_total_size) { return answer32(out, ret_len, n->mtu); }
QUERY(q_link_speed) { return answer32(out, ret_len, n->link_bps / 100); }
QUERY(q_filter) { return answer32(out, ret_len, n->filter); }
QUERY(q_connect) { return answer32(out, ret_len, !n->link_up); }
QUERY(q_permanent) { return answer(out, ret_len, n->port->mac, 6); }
QUERY(q_current) { return answer(out, ret_len, n->mac, 6); }

QUERY(q_vendor)
{
	static const char name[] = "Microsoft Corporation";

	return answer(out, ret_len, name, sizeof(name));
}

QUERY(q_driver_version)
{
	le16 v = le16_of(0x0100);

	return answer(out, ret_len, &v, sizeof(v));
}

QUERY(q_max_speed)
{
	le64 v[2] = { le64_of(n->link_bps), le64_of(n->link_bps) };

	return answer(out, ret_len, v, sizeof(v));
}

QUERY(q_link_state)
{
	struct ndis_link_state s = {
		.obj = { NDIS_OBJECT_DEFAULT, 1, le16_of(sizeof(s)) },
		.connect = le32_of(n->link_up ? 1 : 2),
		.duplex = le32_of(2),
		.tx_bps = le64_of(n->link_bps),
		.rx_bps = le64_of(n->link_bps),
	};

	return answer(out, ret_len, &s, sizeof(s));
}

QUERY(q_friendly_name)
{
	static const char name[] = "Network Adapter";

	for (uint32_t i = 0; i < sizeof(name); i++)
		st16(out + 2 * i, (uint8_t)name[i]);
	*ret_len = 2 * sizeof(name);
	return NDIS_SUCCESS;
}

QUERY(q_multicast) { return answer(out, ret_len, n->multicast, n->nr_multicast * 6); }

/* Offloads. */

void nic_offload_all(struct nic *n)
{
	n->offload = (struct nic_offload){
		NDIS_SUM_BOTH, NDIS_SUM_BOTH, NDIS_SUM_BOTH, NDIS_SUM_BOTH, NDIS_SUM_BOTH,
		true, true, false, false,
	};
}

/* Bits of the sums that are done in one direction. */
static uint32_t sum_bits(const struct nic_offload *o, bool v6, bool rx)
{
	unsigned on = rx ? NDIS_SUM_RX : NDIS_SUM_TX;
	uint8_t tcp = v6 ? o->tcp6 : o->tcp4, udp = v6 ? o->udp6 : o->udp4;
	uint32_t bits = 0;

	if (tcp == on || tcp == NDIS_SUM_BOTH)
		bits |= 0x14;		/* TCP, with options */
	if (udp == on || udp == NDIS_SUM_BOTH)
		bits |= 0x40;
	if (!v6 && (o->sum4 == on || o->sum4 == NDIS_SUM_BOTH))
		bits |= 0x100;
	return bits != 0 ? bits | 1 : 0;	/* IP options, extension headers */
}

static uint32_t offload_answer(const struct nic *n, const struct nic_offload *o, const uint8_t *in,
			       uint32_t in_len, uint8_t *out, uint32_t *ret_len)
{
	static const uint16_t sizes[] = { 0, NDIS_OFFLOAD_SIZE_1, NDIS_OFFLOAD_SIZE_2,
					  NDIS_OFFLOAD_SIZE_3 };
	uint8_t rev = n->ndis >= (6u << 16 | 30) ? 3 : n->ndis >= (6u << 16 | 1) ? 2 : 1;
	const le32 encap = le32_of(NDIS_ENCAP_8023);
	struct ndis_offload a = {
		.sum = {
			encap, le32_of(sum_bits(o, false, false)),
			encap, le32_of(sum_bits(o, false, true)),
			encap, le32_of(sum_bits(o, true, false)),
			encap, le32_of(sum_bits(o, true, true)),
		},
	};

	if (in_len >= sizeof(a.obj) && in[1] >= 1 && in[1] < rev)
		rev = in[1];		/* the guest knows no more */
	if (o->lso4) {
		a.lso.v4_encap = encap;
		a.lso.v4_max = le32_of(NIC_LSO_MAX);
		a.lso.v4_min_segs = le32_of(NIC_LSO_SEGS);
	}
	if (o->lso6) {
		a.lso.v6_encap = encap;
		a.lso.v6_max = le32_of(NIC_LSO_MAX);
		a.lso.v6_min_segs = le32_of(NIC_LSO_SEGS);
		a.lso.v6_flags = le32_of(NDIS_LSO_V6_ALL);
	}
	a.rsc_v4 = o->rsc4;
	a.rsc_v6 = o->rsc6;
	a.obj = (struct ndis_object){ NDIS_OBJECT_OFFLOAD, rev, le16_of(sizes[rev]) };
	return answer(out, ret_len, &a, sizes[rev]);
}

QUERY(q_offload_caps)
{
	bool rsc = n->caps & NVSP_CAP_RSC;
	const struct nic_offload all = { 4, 4, 4, 4, 4, true, true, rsc, rsc };

	return offload_answer(n, &all, in, in_len, out, ret_len);
}

QUERY(q_offload_config) { return offload_answer(n, &n->offload, in, in_len, out, ret_len); }

static void take_sum(uint8_t *to, uint8_t g)
{
	if (g >= NDIS_SUM_OFF && g <= NDIS_SUM_BOTH)
		*to = g;
}

static void take_switch(bool *to, uint8_t g)
{
	if (g == NDIS_OFF || g == NDIS_ON)
		*to = g == NDIS_ON;
}

/* Old guests send less than new ones; what is not there does not change. */
SET(s_offload)
{
	struct ndis_offload_params_rsc rsc = { 0 };
	struct ndis_offload_params g;

	if (len < sizeof(g))
		return NDIS_INVALID_LENGTH;
	memcpy(&g, in, sizeof(g));
	if (len >= sizeof(g) + sizeof(rsc) && n->caps & NVSP_CAP_RSC)
		memcpy(&rsc, in + sizeof(g), sizeof(rsc));
	take_switch(&n->offload.rsc4, rsc.rsc4);
	take_switch(&n->offload.rsc6, rsc.rsc6);
	take_sum(&n->offload.sum4, g.ip4);
	take_sum(&n->offload.tcp4, g.tcp4);
	take_sum(&n->offload.udp4, g.udp4);
	take_sum(&n->offload.tcp6, g.tcp6);
	take_sum(&n->offload.udp6, g.udp6);
	take_switch(&n->offload.lso4, g.lso4);
	take_switch(&n->offload.lso6, g.lso6);
	return NDIS_SUCCESS;
}

QUERY(q_encapsulation)
{
	const uint8_t a[28] = { NDIS_OBJECT_ENCAPSULATION, 1, 28, 0, 2, 0, 0, 0,
				NDIS_ENCAP_8023, 0, 0, 0, ETH_HLEN, 0, 0, 0, 2, 0, 0, 0,
				NDIS_ENCAP_8023, 0, 0, 0, ETH_HLEN };

	return answer(out, ret_len, a, sizeof(a));
}

SET(s_ignored) { return NDIS_SUCCESS; }

/* Receive side scaling. */

QUERY(q_rss_caps)
{
	struct ndis_rss_caps a = {
		.obj = { NDIS_OBJECT_RSS_CAPABILITIES, 2, le16_of(sizeof(a)) },
		.flags = le32_of(NDIS_HASH_TOEPLITZ | NDIS_RSS_CAP_TCP_IPV4 | NDIS_RSS_CAP_TCP_IPV6),
		.nr_vectors = le32_of(1),
		.nr_queues = le32_of(n->max_sub + 1),
		.nr_entries = le16_of(NDIS_RSS_TABLE),
	};

	return answer(out, ret_len, &a, sizeof(a));
}

SET(s_rss) { return nic_rss_set(n, in, len); }

/* What the guest listens to, and its address. */

SET(s_filter)
{
	if (len < 4)
		return NDIS_INVALID_LENGTH;
	n->filter = ld32(in) & (NDIS_FILTER_DIRECTED | NDIS_FILTER_MULTICAST |
				NDIS_FILTER_ALL_MULTICAST | NDIS_FILTER_BROADCAST |
				NDIS_FILTER_PROMISCUOUS);
	return NDIS_SUCCESS;
}

SET(s_multicast)
{
	if (len % 6 != 0 || len > sizeof(n->multicast))
		return NDIS_INVALID_LENGTH;
	memcpy(n->multicast, in, len);
	n->nr_multicast = len / 6;
	return NDIS_SUCCESS;
}

/* N characters of UTF-16 are the ASCII of TEXT. */
static bool is_text(const uint8_t *utf16, uint32_t bytes, const char *text)
{
	if (bytes != 2 * strlen(text))
		return false;
	for (uint32_t i = 0; i < bytes / 2; i++)
		if (ld16(utf16 + 2 * i) != (uint8_t)text[i])
			return false;
	return true;
}

static int hex_digit(uint16_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t set_mac(struct nic *n, const uint8_t *utf16, uint32_t bytes)
{
	uint8_t mac[6] = { 0 };
	uint8_t any = 0;

	if (bytes != 24)
		return NDIS_INVALID_DATA;
	for (unsigned i = 0; i < 12; i++) {
		int d = hex_digit(ld16(utf16 + 2 * i));

		if (d < 0)
			return NDIS_INVALID_DATA;
		mac[i / 2] = (uint8_t)(mac[i / 2] << 4 | d);
		any |= (uint8_t)d;
	}
	if (any == 0 || mac[0] & 1)
		return NDIS_INVALID_DATA;
	if (memcmp(mac, n->port->mac, 6) != 0 && !port_may_spoof(n->port))
		return NDIS_NOT_ACCEPTED;
	memcpy(n->mac, mac, 6);
	return NDIS_SUCCESS;
}

SET(s_config)
{
	struct rndis_config_param g;
	uint32_t name, name_len, val, val_len;

	if (len < sizeof(g))
		return NDIS_INVALID_LENGTH;
	memcpy(&g, in, sizeof(g));
	name = le32_get(g.name_off);
	name_len = le32_get(g.name_len);
	val = le32_get(g.value_off);
	val_len = le32_get(g.value_len);
	if (name > len || name_len > len - name || val > len || val_len > len - val)
		return NDIS_INVALID_DATA;
	if (!is_text(in + name, name_len, "NetworkAddress"))
		return NDIS_SUCCESS;
	return le32_get(g.type) == 2 ? set_mac(n, in + val, val_len) : NDIS_INVALID_DATA;
}

static const struct oid oids[] = {
	/* OID				answer				set */
	{ OID_SUPPORTED_LIST,		K_FN, 0, q_list,		NULL },
	{ OID_HARDWARE_STATUS,		K_U32, 0, NULL,			NULL },	/* ready */
	{ OID_MEDIA_SUPPORTED,		K_U32, 0, NULL,			NULL },	/* 802.3 */
	{ OID_MEDIA_IN_USE,		K_U32, 0, NULL,			NULL },
	{ OID_MAXIMUM_LOOKAHEAD,	K_FN, 0, q_frame_size,		NULL },
	{ OID_MAXIMUM_FRAME_SIZE,	K_FN, 0, q_frame_size,		NULL },
	{ OID_LINK_SPEED,		K_FN, 0, q_link_speed,		NULL },
	{ OID_TRANSMIT_BUFFER_SPACE,	K_U32, 0x40000, NULL,		NULL },
	{ OID_RECEIVE_BUFFER_SPACE,	K_U32, 0x40000, NULL,		NULL },
	{ OID_TRANSMIT_BLOCK_SIZE,	K_FN, 0, q_total_size,		NULL },
	{ OID_RECEIVE_BLOCK_SIZE,	K_FN, 0, q_total_size,		NULL },
	{ OID_VENDOR_ID,		K_U32, 0x0000155d, NULL,	NULL },
	{ OID_VENDOR_DESCRIPTION,	K_FN, 0, q_vendor,		NULL },
	{ OID_CURRENT_PACKET_FILTER,	K_FN, 0, q_filter,		s_filter },
	{ OID_CURRENT_LOOKAHEAD,	K_FN, 0, q_frame_size,		s_ignored },
	{ OID_DRIVER_VERSION,		K_FN, 0, q_driver_version,	NULL },
	{ OID_MAXIMUM_TOTAL_SIZE,	K_FN, 0, q_total_size,		NULL },
	{ OID_MAC_OPTIONS,		K_U32, 0x24d, NULL,		NULL },
	{ OID_MEDIA_CONNECT_STATUS,	K_FN, 0, q_connect,		NULL },
	{ OID_MAXIMUM_SEND_PACKETS,	K_U32, UINT32_MAX, NULL,	NULL },
	{ OID_VENDOR_DRIVER_VERSION,	K_FN, 0, q_driver_version,	NULL },
	{ OID_NETWORK_LAYER_ADDRESSES,	K_FN, 0, NULL,			s_ignored },
	{ OID_RSS_CAPABILITIES,		K_FN, 0, q_rss_caps,		NULL },
	{ OID_RSS_PARAMETERS,		K_FN, 0, NULL,			s_rss },
	{ OID_MAX_LINK_SPEED,		K_FN, 0, q_max_speed,		NULL },
	{ OID_LINK_STATE,		K_FN, 0, q_link_state,		NULL },
	{ OID_RNDIS_CONFIG_PARAMETER,	K_FN, 0, NULL,			s_config },
	{ OID_XMIT_OK,			K_U64, STAT_TX_FRAMES, NULL,	NULL },
	{ OID_RCV_OK,			K_U64, STAT_RX_FRAMES, NULL,	NULL },
	{ OID_XMIT_ERROR,		K_U64, STAT_TX_BAD, NULL,	NULL },
	{ OID_RCV_ERROR,		K_U64, STAT_RX_TOO_LONG, NULL,	NULL },
	{ OID_RCV_NO_BUFFER,		K_U64, STAT_RX_NO_ROOM, NULL,	NULL },
	{ OID_FRIENDLY_NAME,		K_FN, 0, q_friendly_name,	NULL },
	{ OID_PERMANENT_ADDRESS,	K_FN, 0, q_permanent,		NULL },
	{ OID_CURRENT_ADDRESS,		K_FN, 0, q_current,		NULL },
	{ OID_MULTICAST_LIST,		K_FN, 0, q_multicast,		s_multicast },
	{ OID_MAXIMUM_LIST_SIZE,	K_U32, NIC_MAX_MULTICAST, NULL,	NULL },
	{ OID_OFFLOAD_ENCAPSULATION,	K_FN, 0, q_encapsulation,	s_ignored },
	{ OID_RCV_ERROR_ALIGNMENT,	K_U32, 0, NULL,			NULL },
	{ OID_XMIT_ONE_COLLISION,	K_U32, 0, NULL,			NULL },
	{ OID_XMIT_MORE_COLLISIONS,	K_U32, 0, NULL,			NULL },
	{ OID_OFFLOAD_CURRENT_CONFIG,	K_FN, 0, q_offload_config,	NULL },
	{ OID_OFFLOAD_PARAMETERS,	K_FN, 0, NULL,			s_offload },
	{ OID_OFFLOAD_CAPABILITIES,	K_FN, 0, q_offload_caps,	NULL },
};

_Static_assert(ARRAY_LEN(oids) * 4 <= OUT_MAX, "fits an answer");
_Static_assert(NIC_MAX_MULTICAST * 6 <= OUT_MAX, "fits an answer");

QUERY(q_list)
{
	for (uint32_t i = 0; i < ARRAY_LEN(oids); i++)
		st32(out + 4 * i, oids[i].oid);
	*ret_len = 4 * ARRAY_LEN(oids);
	return NDIS_SUCCESS;
}

static const struct oid *find(uint32_t oid)
{
	for (size_t i = 0; i < ARRAY_LEN(oids); i++)
		if (oids[i].oid == oid)
			return &oids[i];
	return NULL;
}

uint32_t nic_query(struct nic *n, uint32_t oid, const uint8_t *in, uint32_t in_len, uint8_t *out,
		   uint32_t *ret_len)
{
	const struct oid *o = find(oid);
	le64 count;

	if (o == NULL || (o->kind == K_FN && o->query == NULL))
		return NDIS_NOT_SUPPORTED;
	if (o->kind == K_FN)
		return o->query(n, in, in_len, out, ret_len);
	if (o->kind == K_U32)
		return answer32(out, ret_len, o->val);
	count = le64_of(atomic_load_explicit(&n->stat[o->val], memory_order_relaxed));
	return answer(out, ret_len, &count, sizeof(count));
}

uint32_t nic_set(struct nic *n, uint32_t oid, const uint8_t *in, uint32_t len)
{
	const struct oid *o = find(oid);

	return o != NULL && o->set != NULL ? o->set(n, in, len) : NDIS_NOT_SUPPORTED;
}
