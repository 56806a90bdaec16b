/*
 * rndis.h - Remote NDIS, as the synthetic network adapter speaks it
 *
 * A message is a type, its whole length and a body.  Offsets in a body count
 * from the body's first byte, that is 8 bytes into the message.  What a query
 * or a set carries is an NDIS structure, named by an OID.
 */
#ifndef SPEC_RNDIS_H
#define SPEC_RNDIS_H

#include "base/le.h"

enum rndis_type {
	RNDIS_PACKET = 1,
	RNDIS_INITIALIZE = 2,
	RNDIS_HALT = 3,
	RNDIS_QUERY = 4,
	RNDIS_SET = 5,
	RNDIS_RESET = 6,
	RNDIS_INDICATE_STATUS = 7,
	RNDIS_KEEPALIVE = 8,
};
#define RNDIS_CMPLT 0x80000000u		/* the answer to a request of that type */

enum {				/* NDIS_STATUS */
	NDIS_SUCCESS = 0,
	NDIS_NOT_SUPPORTED = 0xc00000bbu,
	NDIS_INVALID_LENGTH = 0xc0010014u,
	NDIS_INVALID_DATA = 0xc0010015u,
	NDIS_BAD_VERSION = 0xc0010004u,
	NDIS_NOT_ACCEPTED = 0xc0010003u,
	NDIS_MEDIA_CONNECT = 0x4001000bu,	/* of RNDIS_INDICATE_STATUS */
	NDIS_MEDIA_DISCONNECT = 0x4001000cu,
	NDIS_LINK_SPEED_CHANGE = 0x40010013u,
};

struct rndis_hdr {
	le32 type, len;
};
_Static_assert(sizeof(struct rndis_hdr) == 8, "as on the wire");

struct rndis_packet {
	struct rndis_hdr hdr;
	le32 data_off, data_len;
	le32 oob_off, oob_len, nr_oob;
	le32 ppi_off, ppi_len;
	le32 vc, zero;
};
_Static_assert(sizeof(struct rndis_packet) == 44, "as on the wire");

struct rndis_init {
	struct rndis_hdr hdr;
	le32 id, major, minor, max_transfer;
};
_Static_assert(sizeof(struct rndis_init) == 24, "as on the wire");

struct rndis_init_cmplt {
	struct rndis_hdr hdr;
	le32 id, status, major, minor;
	le32 flags;			/* 1: connectionless */
	le32 medium;			/* 0: 802.3 */
	le32 max_packets, max_transfer;
	le32 align;			/* packets of one message: to 1 << align */
	le32 af_off, af_len;
};
_Static_assert(sizeof(struct rndis_init_cmplt) == 52, "as on the wire");

struct rndis_request {			/* query and set */
	struct rndis_hdr hdr;
	le32 id, oid, info_len, info_off, vc;
};
_Static_assert(sizeof(struct rndis_request) == 28, "as on the wire");

struct rndis_query_cmplt {
	struct rndis_hdr hdr;
	le32 id, status, info_len, info_off;
};
_Static_assert(sizeof(struct rndis_query_cmplt) == 24, "as on the wire");

struct rndis_cmplt {			/* set, keepalive; reset: status, addressing reset */
	struct rndis_hdr hdr;
	le32 id, status;
};
_Static_assert(sizeof(struct rndis_cmplt) == 16, "as on the wire");

struct rndis_indicate {
	struct rndis_hdr hdr;
	le32 status, len, off;
};
_Static_assert(sizeof(struct rndis_indicate) == 20, "as on the wire");

/* Per-packet information. */

struct rndis_ppi {
	le32 size;			/* with this header */
	le32 type;
	le32 off;			/* of the data, from the first byte of this header */
};
_Static_assert(sizeof(struct rndis_ppi) == 12, "as on the wire");

enum {
	PPI_CHECKSUM = 0,
	PPI_LSO = 2,
	PPI_VLAN = 6,
	PPI_HASH = 8,
};
#define PPI_PIECE 0x80000001u		/* one message of several with one packet (RSC) */

enum {				/* PPI_PIECE */
	PPI_PIECE_V1 = 1,
	PPI_PIECE_IS = 1 << 8,
	PPI_PIECE_FIRST = 1 << 9,
	PPI_PIECE_LAST = 1 << 10,
};

enum {				/* PPI_CHECKSUM of the guest; the TCP or UDP header's offset in 25:16 */
	PPI_TX_IPV4 = 1 << 0,
	PPI_TX_IPV6 = 1 << 1,
	PPI_TX_TCP = 1 << 2,
	PPI_TX_UDP = 1 << 3,
	PPI_TX_IP_HEADER = 1 << 4,
};

enum {				/* PPI_CHECKSUM for the guest */
	PPI_RX_TCP_OK = 1 << 3,
	PPI_RX_UDP_OK = 1 << 4,
	PPI_RX_IP_OK = 1 << 5,
};

/* PPI_LSO: MSS in 19:0, the TCP header's offset in 29:20. */
#define PPI_LSO_V2 (1u << 30)
#define PPI_LSO_IPV6 (1u << 31)

/* OIDs. */

enum {
	OID_SUPPORTED_LIST = 0x00010101,
	OID_HARDWARE_STATUS = 0x00010102,
	OID_MEDIA_SUPPORTED = 0x00010103,
	OID_MEDIA_IN_USE = 0x00010104,
	OID_MAXIMUM_LOOKAHEAD = 0x00010105,
	OID_MAXIMUM_FRAME_SIZE = 0x00010106,
	OID_LINK_SPEED = 0x00010107,
	OID_TRANSMIT_BUFFER_SPACE = 0x00010108,
	OID_RECEIVE_BUFFER_SPACE = 0x00010109,
	OID_TRANSMIT_BLOCK_SIZE = 0x0001010a,
	OID_RECEIVE_BLOCK_SIZE = 0x0001010b,
	OID_VENDOR_ID = 0x0001010c,
	OID_VENDOR_DESCRIPTION = 0x0001010d,
	OID_CURRENT_PACKET_FILTER = 0x0001010e,
	OID_CURRENT_LOOKAHEAD = 0x0001010f,
	OID_DRIVER_VERSION = 0x00010110,
	OID_MAXIMUM_TOTAL_SIZE = 0x00010111,
	OID_MAC_OPTIONS = 0x00010113,
	OID_MEDIA_CONNECT_STATUS = 0x00010114,
	OID_MAXIMUM_SEND_PACKETS = 0x00010115,
	OID_VENDOR_DRIVER_VERSION = 0x00010116,
	OID_NETWORK_LAYER_ADDRESSES = 0x00010118,
	OID_RSS_CAPABILITIES = 0x00010203,
	OID_RSS_PARAMETERS = 0x00010204,
	OID_MAX_LINK_SPEED = 0x00010206,
	OID_LINK_STATE = 0x00010207,
	OID_RNDIS_CONFIG_PARAMETER = 0x0001021b,
	OID_XMIT_OK = 0x00020101,
	OID_RCV_OK = 0x00020102,
	OID_XMIT_ERROR = 0x00020103,
	OID_RCV_ERROR = 0x00020104,
	OID_RCV_NO_BUFFER = 0x00020105,
	OID_FRIENDLY_NAME = 0x00020216,
	OID_PERMANENT_ADDRESS = 0x01010101,
	OID_CURRENT_ADDRESS = 0x01010102,
	OID_MULTICAST_LIST = 0x01010103,
	OID_MAXIMUM_LIST_SIZE = 0x01010104,
	OID_OFFLOAD_ENCAPSULATION = 0x0101010a,
	OID_RCV_ERROR_ALIGNMENT = 0x01020101,
	OID_XMIT_ONE_COLLISION = 0x01020102,
	OID_XMIT_MORE_COLLISIONS = 0x01020103,
};
/* Not an int: */
#define OID_OFFLOAD_CURRENT_CONFIG 0xfc01020bu
#define OID_OFFLOAD_PARAMETERS 0xfc01020cu
#define OID_OFFLOAD_CAPABILITIES 0xfc01020du

enum {				/* OID_CURRENT_PACKET_FILTER */
	NDIS_FILTER_DIRECTED = 0x01,
	NDIS_FILTER_MULTICAST = 0x02,
	NDIS_FILTER_ALL_MULTICAST = 0x04,
	NDIS_FILTER_BROADCAST = 0x08,
	NDIS_FILTER_PROMISCUOUS = 0x20,
};

struct ndis_object {
	uint8_t type, revision;
	le16 size;
};

enum {
	NDIS_OBJECT_DEFAULT = 0x80,
	NDIS_OBJECT_RSS_CAPABILITIES = 0x88,
	NDIS_OBJECT_RSS_PARAMETERS = 0x89,
	NDIS_OBJECT_OFFLOAD = 0xa7,
	NDIS_OBJECT_ENCAPSULATION = 0xa8,
};

struct ndis_link_state {
	struct ndis_object obj;		/* DEFAULT, 1 */
	le32 connect;			/* 1 connected, 2 not */
	le32 duplex;			/* 2 full */
	le32 zero;
	le64 tx_bps, rx_bps;
	le32 pause, auto_flags;
};
_Static_assert(sizeof(struct ndis_link_state) == 40, "as on the wire");

/* OID_OFFLOAD_CAPABILITIES and _CURRENT_CONFIG. */
#define NDIS_ENCAP_8023 2u
#define NDIS_SUM_V4_ALL 0x155u		/* IP options, TCP options, TCP, UDP, IP header */
#define NDIS_SUM_V6_ALL 0x55u		/* extension headers, TCP options, TCP, UDP */
#define NDIS_LSO_V6_ALL 0x5u		/* extension headers, TCP options */

struct ndis_offload {
	struct ndis_object obj;		/* OFFLOAD, 1 to 3 */
	struct {
		le32 v4_tx_encap, v4_tx, v4_rx_encap, v4_rx;
		le32 v6_tx_encap, v6_tx, v6_rx_encap, v6_rx;
	} sum;
	le32 lso_v1[4], ipsec_v1[7];
	struct {
		le32 v4_encap, v4_max, v4_min_segs, v6_encap, v6_max, v6_min_segs, v6_flags;
	} lso;
	le32 flags;
	uint8_t ipsec_v2[32];		/* from revision 2 on */
	uint8_t rsc_v4, rsc_v6;		/* from revision 3 on */
	uint8_t pad[2];
	le32 encap_flags, encap_max_header;
};
_Static_assert(sizeof(struct ndis_offload) == 156, "as on the wire");
#define NDIS_OFFLOAD_SIZE_1 112u
#define NDIS_OFFLOAD_SIZE_2 144u
#define NDIS_OFFLOAD_SIZE_3 156u

struct ndis_offload_params {		/* OID_OFFLOAD_PARAMETERS; at least the first 20 bytes */
	struct ndis_object obj;
	uint8_t ip4, tcp4, udp4, tcp6, udp6;	/* NDIS_SUM_x */
	uint8_t lso_v1, ipsec_v1, lso4, lso6;	/* NDIS_OFF, NDIS_ON */
	uint8_t tcp_conn4, tcp_conn6, pad;
	le32 flags;
};
_Static_assert(sizeof(struct ndis_offload_params) == 20, "as on the wire");
struct ndis_offload_params_rsc {	/* behind it, from revision 3 on */
	uint8_t ipsec_v2, ipsec_v2_v4;
	uint8_t rsc4, rsc6;		/* NDIS_OFF, NDIS_ON */
};

enum { NDIS_SAME = 0, NDIS_OFF = 1, NDIS_ON = 2 };
enum { NDIS_SUM_OFF = 1, NDIS_SUM_TX = 2, NDIS_SUM_RX = 3, NDIS_SUM_BOTH = 4 };

/* Receive side scaling. */
#define NDIS_RSS_TABLE 128u		/* entries */
#define NDIS_RSS_KEY 40u

enum {				/* what hash, over what */
	NDIS_HASH_TOEPLITZ = 0x01,
	NDIS_HASH_IPV4 = 0x100,
	NDIS_HASH_TCP_IPV4 = 0x200,
	NDIS_HASH_IPV6 = 0x400,
	NDIS_HASH_TCP_IPV6 = 0x1000,
};

enum {				/* NDIS_RSS_CAPABILITIES: hash types */
	NDIS_RSS_CAP_TCP_IPV4 = 0x100,
	NDIS_RSS_CAP_TCP_IPV6 = 0x200,
};

struct ndis_rss_caps {
	struct ndis_object obj;		/* RSS_CAPABILITIES, 2, 18 */
	le32 flags, nr_vectors, nr_queues;
	le16 nr_entries;
};
_Static_assert(sizeof(struct ndis_rss_caps) == 18, "as on the wire");

enum {
	NDIS_RSS_SAME_HASH = 2,
	NDIS_RSS_SAME_TABLE = 4,
	NDIS_RSS_SAME_KEY = 8,
	NDIS_RSS_DISABLE = 16,
};

struct ndis_rss_params {
	struct ndis_object obj;
	le16 flags, base_cpu;
	le32 hash;
	le16 table_len, pad;		/* bytes; entries of 4 */
	le32 table_off;			/* from the beginning of this structure */
	le16 key_len, pad2;
	le32 key_off;
	le32 masks[3];
};
_Static_assert(sizeof(struct ndis_rss_params) == 40, "as on the wire");

struct rndis_config_param {		/* OID_RNDIS_CONFIG_PARAMETER */
	le32 name_off, name_len;	/* UTF-16, from the beginning of this structure */
	le32 type;			/* 0 number, 2 text */
	le32 value_off, value_len;
};
_Static_assert(sizeof(struct rndis_config_param) == 20, "as on the wire");

#endif
