/*
 * storvsc.h - the synthetic SCSI controller's packets
 *
 * The payload of a ring packet, in both directions.  Protocols before 5.1
 * leave the last 16 bytes away.
 */
#ifndef SPEC_STORVSC_H
#define SPEC_STORVSC_H

#include "base/le.h"

#define STOR_PACKET 64u
#define STOR_PACKET_OLD 48u
#define STOR_SENSE_MAX 20u

enum stor_op {
	STOR_COMPLETE_IO = 1,
	STOR_REMOVE_DEVICE = 2,
	STOR_EXECUTE_SRB = 3,
	STOR_RESET_LUN = 4,
	STOR_RESET_ADAPTER = 5,
	STOR_RESET_BUS = 6,
	STOR_BEGIN_INITIALIZATION = 7,
	STOR_END_INITIALIZATION = 8,
	STOR_QUERY_PROTOCOL_VERSION = 9,
	STOR_QUERY_PROPERTIES = 10,
	STOR_ENUMERATE_BUS = 11,
	STOR_FCHBA_DATA = 12,
	STOR_CREATE_SUB_CHANNELS = 13,
	STOR_EVENT_NOTIFICATION = 14,
};

enum {				/* NTSTATUS in a completion */
	STOR_STATUS_SUCCESS = 0,
	STOR_STATUS_INVALID_PARAMETER = 0xc000000du,
	STOR_STATUS_REVISION_MISMATCH = 0xc0000059u,
	STOR_STATUS_INVALID_DEVICE_STATE = 0xc0000184u,
	STOR_STATUS_INVALID_DEVICE_REQUEST = 0xc0000010u,
};

enum {				/* major << 8 | minor */
	STOR_V2_0 = 0x0200,	/* Windows Server 2008 */
	STOR_V4_2 = 0x0402,	/* 2008 R2 */
	STOR_V5_1 = 0x0501,	/* 2012 */
	STOR_V6_0 = 0x0600,	/* 2012 R2 */
	STOR_V6_2 = 0x0602,	/* 2016 and later */
};

enum srb_status {
	SRB_SUCCESS = 0x01,
	SRB_ABORTED = 0x02,
	SRB_ERROR = 0x04,
	SRB_BUSY = 0x05,
	SRB_INVALID_REQUEST = 0x06,
	SRB_NO_DEVICE = 0x08,
	SRB_DATA_OVERRUN = 0x12,
	SRB_INVALID_LUN = 0x20,
	SRB_AUTOSENSE_VALID = 0x80,
};

enum { SRB_FLAG_DISABLE_AUTOSENSE = 0x20 };

struct stor_srb {
	le16 length;
	uint8_t srb_status, scsi_status;
	uint8_t port, path, target, lun;
	uint8_t cdb_len, sense_len;
	uint8_t data_in;		/* 0 to the device, 1 from it, 2 none */
	uint8_t zero;
	le32 transfer_len;
	union {
		uint8_t cdb[16];
		uint8_t sense[STOR_SENSE_MAX];
	} u;
	/* from 5.1 on */
	le16 reserved;
	uint8_t queue_tag, queue_action;
	le32 flags, timeout, sort_key;
};
_Static_assert(sizeof(struct stor_srb) == 52, "as on the wire");

struct stor_properties {
	le32 zero;
	le16 max_sub_channels;
	le16 zero2;
	le32 flags;			/* bit 0: sub-channels may be asked for */
	le32 max_transfer;		/* bytes, a multiple of 4096 */
	le64 zero3;
};
_Static_assert(sizeof(struct stor_properties) == 24, "as on the wire");

struct stor_packet {
	le32 op, flags, status;
	union {
		struct stor_srb srb;
		struct stor_properties prop;
		struct {
			le16 version, revision;
		} ver;
		le16 nr_sub;
		uint8_t raw[52];
	} u;
};
_Static_assert(sizeof(struct stor_packet) == STOR_PACKET, "as on the wire");

/* The user-defined part of an IDE accelerator's offer. */
enum { STOR_OFFER_PATH = 2, STOR_OFFER_TARGET = 3, STOR_OFFER_FLAGS = 8, STOR_OFFER_USER = 120 };
enum { STOR_OFFER_IDE = 2 };

#endif
