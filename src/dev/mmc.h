/*
 * mmc.h - what a DVD drive is asked besides reading
 *
 * Whoever carries the command - storvsc's SRBs or ATAPI's packets - the drive
 * behind it gives the same answers, so they are made here, from the CDB and
 * what is known of the medium, and from nothing else.
 */
#ifndef DEV_MMC_H
#define DEV_MMC_H

#include "base/base.h"
#include "spec/scsi.h"

#define MMC_MAX_REPLY 128u

enum mmc_event { MMC_NO_CHANGE = 0, MMC_EJECT_REQUEST = 1, MMC_NEW_MEDIA = 2, MMC_MEDIA_GONE = 3 };

struct mmc_state {
	bool medium;			/* in a closed tray */
	bool tray_open;
	bool atapi;			/* the wire is ATAPI, not SCSI */
	enum mmc_event event;		/* the last one that was not told yet */
	uint32_t blocks;		/* of 2048 bytes; 0 without a medium */
};

struct mmc_reply {
	uint8_t b[MMC_MAX_REPLY];
	uint32_t n, alloc;		/* bytes there are, and bytes asked for */
};

/*
 * CDB has 12 bytes or more.  SENSE_NONE: *R is the answer.  Whether a command
 * needs a medium is the caller's to know (and to check first).
 */
MUST_CHECK enum scsi_sense mmc_read_toc(const struct mmc_state *s, const uint8_t *cdb,
					struct mmc_reply *r);
MUST_CHECK enum scsi_sense mmc_get_configuration(const struct mmc_state *s, const uint8_t *cdb,
						 struct mmc_reply *r);
MUST_CHECK enum scsi_sense mmc_get_event_status(const struct mmc_state *s, const uint8_t *cdb,
						struct mmc_reply *r);
MUST_CHECK enum scsi_sense mmc_read_disc_info(const struct mmc_state *s, const uint8_t *cdb,
					      struct mmc_reply *r);
MUST_CHECK enum scsi_sense mmc_read_track_info(const struct mmc_state *s, const uint8_t *cdb,
					       struct mmc_reply *r);

/* The bytes of mode page 2A, capabilities, after its two of head. */
#define MMC_PAGE_2A_LEN 24u
extern const uint8_t mmc_page_2a[MMC_PAGE_2A_LEN];

#endif
