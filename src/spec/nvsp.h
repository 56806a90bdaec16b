/*
 * nvsp.h - the synthetic network adapter's packets
 *
 * The payload of a ring packet, in both directions.  What it carries is RNDIS
 * (rndis.h), which lies in a buffer beside the ring.
 */
#ifndef SPEC_NVSP_H
#define SPEC_NVSP_H

#include "base/le.h"

#define NVSP_MSG_MAX 40u		/* before 6.1: 32 */
#define NVSP_MSG_MIN 28u		/* of an answer, but for NVSP_RNDIS_PKT_COMPLETE */

enum {
	NVSP_V1 = 0x00002,
	NVSP_V2 = 0x30002,
	NVSP_V4 = 0x40000,
	NVSP_V5 = 0x50000,
	NVSP_V6 = 0x60000,
	NVSP_V6_1 = 0x60001,
};

enum nvsp_type {
	NVSP_INIT = 1,
	NVSP_INIT_COMPLETE = 2,
	NVSP_SEND_NDIS_VER = 100,
	NVSP_SEND_RECV_BUF = 101,
	NVSP_RECV_BUF_COMPLETE = 102,
	NVSP_REVOKE_RECV_BUF = 103,
	NVSP_SEND_SEND_BUF = 104,
	NVSP_SEND_BUF_COMPLETE = 105,
	NVSP_REVOKE_SEND_BUF = 106,
	NVSP_RNDIS_PKT = 107,
	NVSP_RNDIS_PKT_COMPLETE = 108,
	NVSP_SEND_NDIS_CONFIG = 125,		/* from 2 on */
	NVSP_VF_ASSOCIATION = 128,		/* from 4 on */
	NVSP_SWITCH_DATA_PATH = 129,
	NVSP_OID_QUERY_EX = 131,		/* from 5 on */
	NVSP_SUBCHANNEL = 133,			/* also its answer */
	NVSP_SEND_INDIRECTION_TABLE = 134,
	NVSP_PD_API = 135,			/* from 6 on */
	NVSP_PD_POST_BATCH = 136,
};

enum nvsp_status {
	NVSP_NONE = 0,
	NVSP_SUCCESS = 1,
	NVSP_FAIL = 2,
	NVSP_TOO_NEW = 3,
	NVSP_TOO_OLD = 4,
	NVSP_INVALID_RNDIS = 5,
	NVSP_BUSY = 6,
	NVSP_UNSUPPORTED = 7,
};

/* NVSP_SEND_NDIS_CONFIG: what the guest can do. */
#define NVSP_CAP_VLAN (1u << 3)
#define NVSP_CAP_RSC (1u << 7)

#define NVSP_CHAN_DATA 0u
#define NVSP_CHAN_CONTROL 1u
#define NVSP_NO_SECTION 0xffffffffu

#define NVSP_TABLE_ENTRIES 16u		/* of the table that spreads what the guest sends */

struct nvsp_recv_section {
	le32 offset, size, count, end;
};

struct nvsp_msg {
	le32 type;
	union {
		struct {
			le32 min, max;
		} init;
		struct {
			le32 version, max_mdl_chain, status;
		} init_complete;
		struct {
			le32 major, minor;
		} ndis;
		struct {
			le32 gpadl;
			le16 id;
		} buf;			/* SEND_x_BUF */
		struct {
			le32 status, nr_sections;
			struct nvsp_recv_section section;
		} recv_complete;
		struct {
			le32 status, section_size;
		} send_complete;
		le16 revoke_id;
		struct {
			le32 channel, section, section_len;
		} rndis;
		le32 status;		/* NVSP_RNDIS_PKT_COMPLETE */
		struct {
			le32 mtu, zero;	/* mtu: with the Ethernet header */
			le64 caps;
		} config;
		struct {
			le32 op, nr;	/* answer: status, nr */
		} sub;
		uint8_t raw[NVSP_MSG_MAX - 4];
	} u;
};
_Static_assert(sizeof(struct nvsp_msg) == NVSP_MSG_MAX, "as on the wire");

struct nvsp_table_msg {
	le32 type, count;
	le32 offset;			/* of the table; from where on depends on the version */
	uint8_t pad[NVSP_MSG_MAX - 12];
	le32 entry[NVSP_TABLE_ENTRIES];
};
_Static_assert(sizeof(struct nvsp_table_msg) == 104, "as on the wire");

#endif
