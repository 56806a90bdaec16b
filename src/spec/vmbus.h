/*
 * vmbus.h - VMBus as it lies on the wire
 *
 * Control messages (at most 240 bytes, in a SynIC message) and ring packets.
 * Everything is little-endian; a page is 4096 bytes whatever the guest uses.
 */
#ifndef SPEC_VMBUS_H
#define SPEC_VMBUS_H

#include "base/le.h"

#define VMBUS_MSG_MAX 240u
#define VMBUS_MESSAGE_TYPE 1u		/* the SynIC message type of every control message */
#define VMBUS_SINT 2u
#define VMBUS_MAX_RELID 2048u		/* event flags of one SINT; 0 is never a channel */

/* Connection ids of HvPostMessage and HvSignalEvent. */
enum vmbus_conn {
	VMBUS_CONN_MSG = 1,		/* messages, protocol <= 4.1; some firmware: always */
	VMBUS_CONN_EVENT = 2,		/* the shared event of protocol 0.13 */
	VMBUS_CONN_MSG_MULTI = 4,	/* InitiateContact of protocol >= 5.0 */
	VMBUS_CONN_CHANNEL = 0x2000,	/* + relid: the event of one channel */
};

#define VMBUS_VERSION(major, minor) ((uint32_t)(major) << 16 | (minor))
#define VMBUS_V0_13 VMBUS_VERSION(0, 13)
#define VMBUS_V1_1 VMBUS_VERSION(1, 1)
#define VMBUS_V2_4 VMBUS_VERSION(2, 4)
#define VMBUS_V3_0 VMBUS_VERSION(3, 0)
#define VMBUS_V4_0 VMBUS_VERSION(4, 0)
#define VMBUS_V4_1 VMBUS_VERSION(4, 1)
#define VMBUS_V5_0 VMBUS_VERSION(5, 0)
#define VMBUS_V5_1 VMBUS_VERSION(5, 1)
#define VMBUS_V5_2 VMBUS_VERSION(5, 2)
#define VMBUS_V5_3 VMBUS_VERSION(5, 3)
#define VMBUS_V6_0 VMBUS_VERSION(6, 0)

/* Feature flags of protocol >= 6.0. */
#define VMBUS_FEAT_CLIENT_ID 8u

enum vmbus_msg_type {
	VMBUS_OFFER_CHANNEL = 1,
	VMBUS_RESCIND_OFFER = 2,
	VMBUS_REQUEST_OFFERS = 3,
	VMBUS_ALL_OFFERS_DELIVERED = 4,
	VMBUS_OPEN_CHANNEL = 5,
	VMBUS_OPEN_RESULT = 6,
	VMBUS_CLOSE_CHANNEL = 7,
	VMBUS_GPADL_HEADER = 8,
	VMBUS_GPADL_BODY = 9,
	VMBUS_GPADL_CREATED = 10,
	VMBUS_GPADL_TEARDOWN = 11,
	VMBUS_GPADL_TORNDOWN = 12,
	VMBUS_RELID_RELEASED = 13,
	VMBUS_INITIATE_CONTACT = 14,
	VMBUS_VERSION_RESPONSE = 15,
	VMBUS_UNLOAD = 16,
	VMBUS_UNLOAD_RESPONSE = 17,
	VMBUS_OPEN_RESERVED = 18,
	VMBUS_CLOSE_RESERVED = 19,
	VMBUS_CLOSE_RESERVED_RESPONSE = 20,
	VMBUS_TL_CONNECT_REQUEST = 21,
	VMBUS_MODIFY_CHANNEL = 22,
	VMBUS_TL_CONNECT_RESULT = 23,
	VMBUS_MODIFY_CHANNEL_RESPONSE = 24,
};

enum {				/* NTSTATUS values that we answer */
	NTSTATUS_SUCCESS = 0,
	NTSTATUS_UNSUCCESSFUL = 0xc0000001u,
	NTSTATUS_INVALID_PARAMETER = 0xc000000du,
	NTSTATUS_INSUFFICIENT_RESOURCES = 0xc000009au,
	NTSTATUS_CONNECTION_REFUSED = 0xc0000236u,
};

#define VMBUS_NO_VP 0xffffffffu		/* OpenChannel: no interrupts wanted */

struct vmbus_hdr {
	le32 type, zero;
};

struct vmbus_offer {
	struct vmbus_hdr hdr;
	struct guid type, instance;
	uint8_t reserved[16];
	le16 flags;
	le16 mmio_mb;
	uint8_t user[120];
	le16 sub_index;
	le16 mmio_mb_optional;
	le32 relid;
	uint8_t monitor_id;
	uint8_t monitor_allocated;
	le16 dedicated;			/* bit 0: leave the interrupt page alone */
	le32 connection_id;
};
_Static_assert(sizeof(struct vmbus_offer) == 196, "as on the wire");

struct vmbus_relid_msg {		/* rescind, close, released, reserved-close response */
	struct vmbus_hdr hdr;
	le32 relid;
};
_Static_assert(sizeof(struct vmbus_relid_msg) == 12, "as on the wire");

struct vmbus_open {
	struct vmbus_hdr hdr;
	le32 relid, open_id, gpadl, target_vp;
	le32 downstream_page;		/* first page of the host-to-guest ring */
	uint8_t user[120];
};
_Static_assert(sizeof(struct vmbus_open) == 148, "as on the wire");

struct vmbus_open_result {
	struct vmbus_hdr hdr;
	le32 relid, open_id, status;
};
_Static_assert(sizeof(struct vmbus_open_result) == 20, "as on the wire");

struct vmbus_gpadl_header {
	struct vmbus_hdr hdr;
	le32 relid, gpadl;
	le16 range_bytes;		/* of all ranges, over header and bodies */
	le16 nr_ranges;
	/* ranges: {le32 byte count, le32 byte offset, le64 pfn[]} */
};
_Static_assert(sizeof(struct vmbus_gpadl_header) == 20, "as on the wire");

struct vmbus_gpadl_body {
	struct vmbus_hdr hdr;
	le32 number, gpadl;
	/* more of the same range bytes */
};
_Static_assert(sizeof(struct vmbus_gpadl_body) == 16, "as on the wire");

struct vmbus_gpadl_created {
	struct vmbus_hdr hdr;
	le32 relid, gpadl, status;
};
_Static_assert(sizeof(struct vmbus_gpadl_created) == 20, "as on the wire");

struct vmbus_gpadl_teardown {
	struct vmbus_hdr hdr;
	le32 relid, gpadl;
};
_Static_assert(sizeof(struct vmbus_gpadl_teardown) == 16, "as on the wire");

struct vmbus_gpadl_torndown {
	struct vmbus_hdr hdr;
	le32 gpadl;
};
_Static_assert(sizeof(struct vmbus_gpadl_torndown) == 12, "as on the wire");

struct vmbus_contact {
	struct vmbus_hdr hdr;
	le32 version, target_vp;
	union {
		le64 interrupt_page;	/* <= 4.1 */
		struct {		/* >= 5.0 on connection 4 */
			uint8_t sint, vtl;
			le16 zero;
			le32 features;	/* >= 6.0 */
		} target;
	} u;
	le64 monitor_page[2];
};
_Static_assert(sizeof(struct vmbus_contact) == 40, "as on the wire");

struct vmbus_version_response {
	struct vmbus_hdr hdr;
	uint8_t supported, state;
	le16 zero;
	le32 version_or_conn;
	le32 features;			/* sent for >= 6.0 only */
};
_Static_assert(sizeof(struct vmbus_version_response) == 20, "as on the wire");
#define VMBUS_VERSION_RESPONSE_OLD 16u

struct vmbus_open_reserved {
	struct vmbus_hdr hdr;
	le32 relid, target_vp, target_sint, gpadl, downstream_page;
};
_Static_assert(sizeof(struct vmbus_open_reserved) == 28, "as on the wire");

struct vmbus_close_reserved {
	struct vmbus_hdr hdr;
	le32 relid, target_vp, target_sint;
};
_Static_assert(sizeof(struct vmbus_close_reserved) == 20, "as on the wire");

struct vmbus_tl_connect {
	struct vmbus_hdr hdr;
	struct guid endpoint, service;
};
_Static_assert(sizeof(struct vmbus_tl_connect) == 40, "as on the wire");

struct vmbus_tl_result {
	struct vmbus_hdr hdr;
	struct guid endpoint, service;
	le32 status;
};
_Static_assert(sizeof(struct vmbus_tl_result) == 44, "as on the wire");

struct vmbus_modify {
	struct vmbus_hdr hdr;
	le32 relid, target_vp;
};
_Static_assert(sizeof(struct vmbus_modify) == 16, "as on the wire");

struct vmbus_modify_response {
	struct vmbus_hdr hdr;
	le32 relid, status;
};
_Static_assert(sizeof(struct vmbus_modify_response) == 16, "as on the wire");

/* The control page of a ring; byte offsets. */
enum vmbus_ring_word {
	RING_IN = 0,			/* write index, the producer's */
	RING_OUT = 4,			/* read index, the consumer's */
	RING_MASK = 8,			/* nonzero: the consumer wants no signals */
	RING_PENDING_SEND = 12,		/* bytes the producer waits for; bits 2:0 are noise */
	RING_FEATURES = 64,		/* bit 0: the pending send size is honoured */
	RING_DATA = 4096,
};

struct vmbus_pkt_hdr {
	le16 type;
	le16 offset8, len8;		/* units of 8 bytes, from the packet's start */
	le16 flags;			/* bit 0: completion requested */
	le64 id;
};
_Static_assert(sizeof(struct vmbus_pkt_hdr) == 16, "as on the wire");

/* What follows the header of types 7 and 9. */
struct vmbus_pkt_ranges {
	le32 set;			/* type 7: page set id, owner; type 9: garbage */
	le32 nr;
};
_Static_assert(sizeof(struct vmbus_pkt_ranges) == 8, "as on the wire");

struct vmbus_range {
	le32 len, offset;
	/* type 9: le64 pfn[pages spanned] */
};
_Static_assert(sizeof(struct vmbus_range) == 8, "as on the wire");

struct vmbus_pkt_trailer {
	le32 zero, start;		/* the write index before the packet */
};
_Static_assert(sizeof(struct vmbus_pkt_trailer) == 8, "as on the wire");

#endif
