/*
 * vhdx_fmt.h - VHDX as it lies in the file
 *
 *	0	64 KiB	file identifier
 *	64 K	 4 KiB	header 1	the valid one with the larger sequence
 *	128 K	 4 KiB	header 2	number is current
 *	192 K	64 KiB	region table 1
 *	256 K	64 KiB	region table 2
 *	1 M	...	log, metadata, BAT and blocks, each at a multiple of 1 MiB,
 *			in any order: Windows puts log, metadata, BAT, blocks
 *
 * Everything is little-endian; checksums are CRC-32C over the whole structure
 * with the checksum field zero.
 *
 * Spec     [MS-VHDX] 2
 */
#ifndef DISK_VHDX_FMT_H
#define DISK_VHDX_FMT_H

#include "base/le.h"

#define VHDX_HEADER_1 0x10000u
#define VHDX_HEADER_2 0x20000u
#define VHDX_REGIONS_1 0x30000u
#define VHDX_REGIONS_2 0x40000u
#define VHDX_REGION_TABLE_LEN 0x10000u
#define VHDX_MAX_TABLE_ENTRIES 2047u
#define VHDX_MAX_SIZE (UINT64_C(64) << 40)
#define VHDX_MIN_BLOCK (UINT32_C(1) << 20)
#define VHDX_MAX_BLOCK (UINT32_C(256) << 20)
#define VHDX_MAX_METADATA (UINT32_C(128) << 20)
#define VHDX_ITEMS_OFF 0x10000u		/* items start this far into the metadata region */
#define VHDX_MAX_FILE (UINT64_C(128) << 40)	/* no image we accept needs more */

struct vhdx_file_id {
	uint8_t signature[8];		/* "vhdxfile" */
	le16 creator[256];		/* UTF-16 */
};
_Static_assert(sizeof(struct vhdx_file_id) == 520, "as in the file");

struct vhdx_header {
	uint8_t signature[4];		/* "head" */
	le32 checksum;
	le64 sequence;
	struct guid file_write, data_write, log;
	le16 log_version, version;
	le32 log_length;
	le64 log_offset;
	uint8_t reserved[4016];
};
_Static_assert(sizeof(struct vhdx_header) == 4096, "as in the file");

struct vhdx_region_table {
	uint8_t signature[4];		/* "regi" */
	le32 checksum;
	le32 count;
	le32 reserved;
};
_Static_assert(sizeof(struct vhdx_region_table) == 16, "as in the file");

struct vhdx_region {
	struct guid id;
	le64 offset;
	le32 length;
	le32 flags;			/* bit 0: required */
};
_Static_assert(sizeof(struct vhdx_region) == 32, "as in the file");

struct vhdx_metadata_table {
	uint8_t signature[8];		/* "metadata" */
	le16 reserved;
	le16 count;
	uint8_t reserved2[20];
};
_Static_assert(sizeof(struct vhdx_metadata_table) == 32, "as in the file");

enum { ITEM_USER = 1, ITEM_VIRTUAL_DISK = 2, ITEM_REQUIRED = 4 };

struct vhdx_item {
	struct guid id;
	le32 offset, length;
	le32 flags;			/* ITEM_* */
	le32 reserved;
};
_Static_assert(sizeof(struct vhdx_item) == 32, "as in the file");

enum { FILE_LEAVE_ALLOCATED = 1, FILE_HAS_PARENT = 2 };

struct vhdx_log_entry {
	uint8_t signature[4];		/* "loge" */
	le32 checksum;
	le32 length;			/* of the whole entry; 4 KiB multiple */
	le32 tail;			/* where in the log the oldest entry still needed starts */
	le64 sequence;
	le32 count;
	le32 reserved;
	struct guid log;
	le64 flushed_file, last_file;
};
_Static_assert(sizeof(struct vhdx_log_entry) == 64, "as in the file");

struct vhdx_log_desc {
	uint8_t signature[4];		/* "desc" or "zero" */
	le32 trailing;			/* desc: last 4 bytes of the page */
	le64 leading;			/* desc: first 8 bytes; zero: the length */
	le64 offset;
	le64 sequence;
};
_Static_assert(sizeof(struct vhdx_log_desc) == 32, "as in the file");

struct vhdx_log_data {
	uint8_t signature[4];		/* "data" */
	le32 sequence_high;
	uint8_t bytes[4084];
	le32 sequence_low;
};
_Static_assert(sizeof(struct vhdx_log_data) == 4096, "as in the file");

/* A BAT entry is a le64: 3 bits of state, 17 zero, 44 of file offset in MiB. */
enum bat_state {
	BAT_NOT_PRESENT, BAT_UNDEFINED, BAT_ZERO, BAT_UNMAPPED,
	BAT_FULLY_PRESENT = 6, BAT_PARTIALLY_PRESENT = 7,
};
#define BAT_STATE_MASK UINT64_C(7)
#define BAT_RESERVED UINT64_C(0xffff8)
#define BAT_OFFSET_MASK (~UINT64_C(0xfffff))

#define VHDX_REGION_BAT_GUID \
	GUID_INIT(0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08)
#define VHDX_REGION_METADATA_GUID \
	GUID_INIT(0x8b7ca206, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e)
#define VHDX_ITEM_FILE_GUID \
	GUID_INIT(0xcaa16737, 0xfa36, 0x4d43, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b)
#define VHDX_ITEM_SIZE_GUID \
	GUID_INIT(0x2fa54224, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8)
#define VHDX_ITEM_DISK_ID_GUID \
	GUID_INIT(0xbeca12ab, 0xb2e6, 0x4523, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46)
#define VHDX_ITEM_LOGICAL_GUID \
	GUID_INIT(0x8141bf1d, 0xa96f, 0x4709, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f)
#define VHDX_ITEM_PHYSICAL_GUID \
	GUID_INIT(0xcda348c7, 0x445d, 0x4471, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56)
#define VHDX_ITEM_PARENT_GUID \
	GUID_INIT(0xa8d35f2d, 0xb30b, 0x454d, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c)
#define VHDX_LOCATOR_TYPE_GUID \
	GUID_INIT(0xb04aefb7, 0xd19e, 0x4a81, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13)
#define VHDX_ITEM_INCOMPLETE_GUID \
	GUID_INIT(0x71cc85f0, 0x1b69, 0x4e28, 0x95, 0x58, 0xc3, 0xbf, 0x83, 0xae, 0x75, 0xd3)

#endif
