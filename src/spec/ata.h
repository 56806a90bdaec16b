/*
 * ata.h - the ATA task file, its commands, and the bus master beside it
 *
 * [ATA-8] registers, commands, IDENTIFY; [SFF-8038i] bus master; [SFF-8020i] packets.
 */
#ifndef SPEC_ATA_H
#define SPEC_ATA_H

/* The command block; what is read, what is written. */
enum ata_reg {
	ATA_DATA = 0,
	ATA_ERROR = 1, ATA_FEATURE = 1,
	ATA_NSECT = 2,			/* ATAPI: interrupt reason */
	ATA_LBAL = 3,
	ATA_LBAM = 4,			/* ATAPI: byte count, low */
	ATA_LBAH = 5,			/* ATAPI: byte count, high */
	ATA_DEVICE = 6,
	ATA_STATUS = 7, ATA_COMMAND = 7,
};

enum ata_status { ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DF = 0x20, ATA_DRDY = 0x40,
		  ATA_BSY = 0x80 };
enum ata_error { ATA_DIAG_OK = 0x01, ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40 };
enum ata_device { ATA_DEV_1 = 0x10, ATA_DEV_LBA = 0x40, ATA_DEV_ONES = 0xa0 };
enum ata_control { ATA_NIEN = 0x02, ATA_SRST = 0x04, ATA_HOB = 0x80 };
enum atapi_reason { ATAPI_COD = 0x01, ATAPI_IO = 0x02 };

enum ata_command {
	ATA_NOP = 0x00,
	ATA_DEVICE_RESET = 0x08,
	ATA_RECALIBRATE = 0x10,			/* to 1F */
	ATA_READ = 0x20, ATA_READ_NO_RETRY = 0x21,
	ATA_READ_EXT = 0x24,
	ATA_READ_DMA_EXT = 0x25,
	ATA_READ_MULTIPLE_EXT = 0x29,
	ATA_WRITE = 0x30, ATA_WRITE_NO_RETRY = 0x31,
	ATA_WRITE_EXT = 0x34,
	ATA_WRITE_DMA_EXT = 0x35,
	ATA_WRITE_MULTIPLE_EXT = 0x39,
	ATA_WRITE_DMA_FUA_EXT = 0x3d,
	ATA_VERIFY = 0x40, ATA_VERIFY_NO_RETRY = 0x41,
	ATA_VERIFY_EXT = 0x42,
	ATA_SEEK = 0x70,			/* to 7F */
	ATA_DIAGNOSTIC = 0x90,
	ATA_INIT_PARAMS = 0x91,
	ATA_STANDBY_NOW_OLD = 0x94,		/* to 99, as E0 to E6 */
	ATA_PACKET = 0xa0,
	ATA_IDENTIFY_PACKET = 0xa1,
	ATA_SMART = 0xb0,
	ATA_READ_MULTIPLE = 0xc4,
	ATA_WRITE_MULTIPLE = 0xc5,
	ATA_SET_MULTIPLE = 0xc6,
	ATA_READ_DMA = 0xc8, ATA_READ_DMA_NO_RETRY = 0xc9,
	ATA_WRITE_DMA = 0xca, ATA_WRITE_DMA_NO_RETRY = 0xcb,
	ATA_WRITE_MULTIPLE_FUA_EXT = 0xce,
	ATA_STANDBY_NOW = 0xe0,
	ATA_IDLE_NOW = 0xe1,
	ATA_STANDBY = 0xe2,
	ATA_IDLE = 0xe3,
	ATA_READ_BUFFER = 0xe4,
	ATA_CHECK_POWER = 0xe5,
	ATA_SLEEP = 0xe6,
	ATA_FLUSH = 0xe7,
	ATA_WRITE_BUFFER = 0xe8,
	ATA_FLUSH_EXT = 0xea,
	ATA_IDENTIFY = 0xec,
	ATA_SET_FEATURES = 0xef,
};

enum ata_feature {			/* SET FEATURES, by the feature register */
	ATA_SF_WCACHE_ON = 0x02, ATA_SF_MODE = 0x03, ATA_SF_KEEP = 0x66, ATA_SF_LOOK_OFF = 0x55,
	ATA_SF_WCACHE_OFF = 0x82, ATA_SF_LOOK_ON = 0xaa, ATA_SF_REVERT = 0xcc,
};

enum ata_smart {			/* SMART, by the feature register */
	SMART_READ_DATA = 0xd0, SMART_READ_THRESHOLDS = 0xd1, SMART_AUTOSAVE = 0xd2,
	SMART_OFFLINE = 0xd4, SMART_READ_LOG = 0xd5, SMART_ENABLE = 0xd8, SMART_DISABLE = 0xd9,
	SMART_STATUS = 0xda,
};

/* The bus master's registers, for each channel. */
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4 };
enum bm_command { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum bm_status { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INT = 0x04, BM_CAPABLE = 0x60 };

/* A region of memory: le32 address, le16 bytes (0 = 64 KiB), le16 flags. */
#define PRD_LEN 8u
#define PRD_END 0x80000000u		/* of the second word */

#endif
