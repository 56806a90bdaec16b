/*
 * scsi_dvd.c - what a DVD drive is asked besides reading, over storvsc
 *
 * The answers are dev/mmc.c's; a request knows whether the tray was open when
 * it began.
 *
 * Spec     [MMC-6]
 * Missing  media events: the guest is told of changes by ENUMERATE_BUS
 * Lock     none
 */
#include "syn/scsi_priv.h"

#include "dev/mmc.h"

typedef enum scsi_sense mmc_fn(const struct mmc_state *s, const uint8_t *cdb, struct mmc_reply *r);

static void dvd_answer(struct scsi_req *r, mmc_fn *fn)
{
	const struct mmc_state s = {
		.medium = !r->no_medium, .tray_open = r->no_medium,
		.blocks = (uint32_t)min_u64(r->blk->size / r->blk->logical, UINT32_MAX),
	};
	struct mmc_reply reply;
	enum scsi_sense sense = fn(&s, r->cdb, &reply);

	if (sense != SENSE_NONE)
		scsi_check(r, sense);
	else
		scsi_reply(r, reply.b, reply.n, reply.alloc);
}

void scsi_read_toc(struct scsi_req *r)
{
	dvd_answer(r, mmc_read_toc);
}

void scsi_get_configuration(struct scsi_req *r)
{
	dvd_answer(r, mmc_get_configuration);
}

void scsi_get_event_status(struct scsi_req *r)
{
	dvd_answer(r, mmc_get_event_status);
}

void scsi_read_disc_info(struct scsi_req *r)
{
	dvd_answer(r, mmc_read_disc_info);
}

void scsi_read_track_info(struct scsi_req *r)
{
	dvd_answer(r, mmc_read_track_info);
}
