/*
 * vhd_fmt.h - a VHD as it lies in the file: big-endian, sectors of 512 bytes
 *
 *	fixed		the disk, then the footer
 *	the others	a copy of the footer, the header, the block allocation table (BAT),
 *			blocks in any order, the footer
 *	a block		one bit per sector (first sector: top bit of byte 0), padded to a
 *			sector, then the sectors
 *
 * A BAT entry is the number of the sector where a block's bits start.  In a
 * differencing disk a sector whose bit is 0 is the parent's; in a dynamic one
 * the bits say nothing that a reader needs.
 *
 * Spec     Virtual Hard Disk Image Format Specification 1.0
 */
#ifndef DISK_VHD_FMT_H
#define DISK_VHD_FMT_H

#include "base/le.h"

#define VHD_SECTOR 512u
#define VHD_MAX_SIZE (UINT64_C(0xff000000) * VHD_SECTOR)	/* 2040 GiB */
#define VHD_MIN_BLOCK (64u * 1024)
#define VHD_MAX_BLOCK (256u * 1024 * 1024)
#define VHD_NO_BLOCK UINT32_MAX
#define VHD_NO_OFFSET UINT64_MAX
#define VHD_EPOCH 946684800u		/* 2000-01-01 as Unix counts */
#define VHD_VERSION 0x00010000u

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

struct vhd_footer {
	uint8_t cookie[8];		/* conectix */
	be32 features, version;
	be64 header_offset;
	be32 time;			/* seconds since 2000 */
	uint8_t app[4];
	be32 app_version;
	uint8_t os[4];
	be64 original_size, size;
	be16 cylinders;
	uint8_t heads, sectors;
	be32 type, checksum;
	struct guid id;
	uint8_t saved_state;
	uint8_t zero[427];
};

struct vhd_locator {
	uint8_t code[4];
	be32 space;			/* bytes by Windows, sectors by the specification */
	be32 length;			/* bytes */
	be32 zero;
	be64 offset;
};

#define VHD_LOCATORS 8
#define VHD_NAME_UNITS 256

struct vhd_header {
	uint8_t cookie[8];		/* cxsparse */
	be64 next;			/* all ones */
	be64 bat_offset;
	be32 version, nr_entries, block_size, checksum;
	struct guid parent_id;
	be32 parent_time, zero;
	be16 parent_name[VHD_NAME_UNITS];
	struct vhd_locator loc[VHD_LOCATORS];
	uint8_t zero2[256];
};

_Static_assert(sizeof(struct vhd_footer) == 512, "footer");
_Static_assert(sizeof(struct vhd_locator) == 24, "locator");
_Static_assert(sizeof(struct vhd_header) == 1024, "header");

#endif
