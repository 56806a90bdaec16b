/*
 * scsi_cmd.c - from the CDB to the function that knows it
 *
 * One row per opcode; no row is an honest "no such command", which is how
 * LOG SENSE, PERSISTENT RESERVE and the rest are refused.
 *
 * Spec     [SPC-3], [SBC-3], [MMC-6]
 * Missing  unit attentions: the guest is told of changes by ENUMERATE_BUS
 * Lock     scsi.lock for the tray and the list of units
 */
#include "syn/scsi_priv.h"

static void cmd_test_unit_ready(struct scsi_req *r)
{
	scsi_good(r, 0);
}

/* Sense goes out with each failure; there is never any left. */
static void cmd_request_sense(struct scsi_req *r)
{
	uint8_t b[SCSI_SENSE_LEN];

	scsi_sense_fill(b, r->no_medium ? SENSE_NOT_PRESENT : SENSE_NONE);
	scsi_reply(r, b, sizeof(b), r->cdb[4]);
}

static void cmd_start_stop(struct scsi_req *r)
{
	bool loej = r->cdb[4] & 2, start = r->cdb[4] & 1, locked;

	if ((r->cdb[4] >> 4) != 0 || !r->blk->optical || !loej) {
		scsi_good(r, 0);
		return;
	}
	pthread_mutex_lock(&r->s->lock);
	locked = r->lun->locked && !start;
	if (!locked)
		r->lun->ejected = !start;
	pthread_mutex_unlock(&r->s->lock);
	if (locked)
		scsi_check(r, SENSE_REMOVAL_PREVENTED);
	else
		scsi_good(r, 0);
}

static void cmd_prevent_allow(struct scsi_req *r)
{
	pthread_mutex_lock(&r->s->lock);
	r->lun->locked = r->cdb[4] & 1;
	pthread_mutex_unlock(&r->s->lock);
	scsi_good(r, 0);
}

static void cmd_read_capacity_10(struct scsi_req *r)
{
	uint64_t last = r->blk->size / r->blk->logical - 1;
	uint8_t b[8];

	if (cdb32(r, 2) != 0 || (r->cdb[8] & 1)) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	put_be32(b, (uint32_t)min_u64(last, UINT32_MAX));
	put_be32(b + 4, r->blk->logical);
	scsi_reply(r, b, sizeof(b), sizeof(b));
}

static void cmd_service_action_in(struct scsi_req *r)
{
	uint8_t b[32] = { 0 };

	if ((r->cdb[1] & 0x1f) != SCSI_SAI_READ_CAPACITY_16) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	put_be64(b, r->blk->size / r->blk->logical - 1);
	put_be32(b + 8, r->blk->logical);
	b[13] = (uint8_t)__builtin_ctz(r->blk->physical / r->blk->logical);
	if (r->blk->can_unmap)
		b[14] = 0x80;			/* LBPME */
	scsi_reply(r, b, sizeof(b), cdb32(r, 10));
}

static const struct cmd_row {
	bool disk, optical;
	bool medium;			/* needs one in the tray */
	void (*run)(struct scsi_req *r);
} cmd_rows[256] = {
	[SCSI_TEST_UNIT_READY] = { true, true, true, cmd_test_unit_ready },
	[SCSI_REQUEST_SENSE] = { true, true, false, cmd_request_sense },
	[SCSI_READ_6] = { true, false, true, scsi_read },
	[SCSI_WRITE_6] = { true, false, true, scsi_write },
	[SCSI_INQUIRY] = { true, true, false, scsi_inquiry },
	[SCSI_MODE_SELECT_6] = { true, true, false, scsi_mode_select },
	[SCSI_MODE_SENSE_6] = { true, true, false, scsi_mode_sense },
	[SCSI_START_STOP_UNIT] = { true, true, false, cmd_start_stop },
	[SCSI_PREVENT_ALLOW] = { true, true, false, cmd_prevent_allow },
	[SCSI_READ_CAPACITY_10] = { true, true, true, cmd_read_capacity_10 },
	[SCSI_READ_10] = { true, true, true, scsi_read },
	[SCSI_WRITE_10] = { true, false, true, scsi_write },
	[SCSI_VERIFY_10] = { true, true, true, scsi_verify },
	[SCSI_SYNC_CACHE_10] = { true, true, true, scsi_sync_cache },
	[SCSI_WRITE_SAME_10] = { true, false, true, scsi_write_same },
	[SCSI_UNMAP] = { true, false, true, scsi_unmap },
	[SCSI_READ_TOC] = { false, true, true, scsi_read_toc },
	[SCSI_GET_CONFIGURATION] = { false, true, false, scsi_get_configuration },
	[SCSI_GET_EVENT_STATUS] = { false, true, false, scsi_get_event_status },
	[SCSI_READ_DISC_INFO] = { false, true, true, scsi_read_disc_info },
	[SCSI_READ_TRACK_INFO] = { false, true, true, scsi_read_track_info },
	[SCSI_MODE_SELECT_10] = { true, true, false, scsi_mode_select },
	[SCSI_MODE_SENSE_10] = { true, true, false, scsi_mode_sense },
	[SCSI_READ_16] = { true, false, true, scsi_read },
	[SCSI_WRITE_16] = { true, false, true, scsi_write },
	[SCSI_VERIFY_16] = { true, false, true, scsi_verify },
	[SCSI_SYNC_CACHE_16] = { true, false, true, scsi_sync_cache },
	[SCSI_WRITE_SAME_16] = { true, false, true, scsi_write_same },
	[SCSI_SERVICE_ACTION_IN_16] = { true, false, true, cmd_service_action_in },
	[SCSI_READ_12] = { true, true, true, scsi_read },
	[SCSI_WRITE_12] = { true, false, true, scsi_write },
	[SCSI_VERIFY_12] = { true, false, true, scsi_verify },
};

/* The controller's, for every path and target: some firmware dies of a "no". */
static void cmd_report_luns(struct scsi_req *r)
{
	const struct stor_srb *srb = &r->pkt.u.srb;
	uint8_t b[8 + 8 * SCSI_MAX_LUNS] = { 0 };
	uint32_t alloc = cdb32(r, 6), n = 0;

	if (r->cdb[2] > 2 || alloc < 16) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	pthread_mutex_lock(&r->s->lock);
	for (uint8_t i = 0; i < SCSI_MAX_LUNS; i++) {
		if (r->s->luns[i].blk == NULL || !scsi_has_target(r->s, srb) ||
		    r->cdb[2] == 1)	/* well-known units only: none */
			continue;
		b[8 + 8 * n + 1] = i;
		n++;
	}
	pthread_mutex_unlock(&r->s->lock);
	put_be32(b, 8 * n);
	scsi_reply(r, b, 8 + 8 * n, alloc);
}

void scsi_execute(struct scsi_req *r)
{
	const struct cmd_row *row = &cmd_rows[r->cdb[0]];

	if (r->cdb[0] == SCSI_REPORT_LUNS)
		cmd_report_luns(r);
	else if (r->lun == NULL && r->cdb[0] == SCSI_INQUIRY)
		scsi_inquiry_absent(r);
	else if (r->lun == NULL)
		scsi_srb(r, SRB_INVALID_LUN);
	else if (row->run == NULL || !(r->blk->optical ? row->optical : row->disk))
		scsi_check(r, SENSE_BAD_OPCODE);
	else if (row->medium && r->no_medium)
		scsi_check(r, SENSE_NOT_PRESENT);
	else
		row->run(r);
}
