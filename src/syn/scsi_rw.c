/*
 * scsi_rw.c - commands that touch the medium
 *
 * Each checks what the CDB says against the medium and the buffer, and then
 * describes the work for scsi_io.c.  A count of 0 means 256 in the 6-byte
 * forms and nothing at all in the others.
 *
 * Spec     [SBC-3] READ, WRITE, VERIFY, SYNCHRONIZE CACHE, UNMAP, WRITE SAME
 * Missing  protection information; VERIFY with comparison (BYTCHK)
 * Lock     none
 */
#include "syn/scsi_priv.h"

#include <stdlib.h>

struct rw_cdb {
	uint64_t lba;
	uint32_t nr;
	uint8_t protect;		/* RDPROTECT, WRPROTECT, VRPROTECT */
	bool fua;
};

/* By the group of the opcode: it says how long the CDB is. */
static struct rw_cdb rw_parse(const struct scsi_req *r)
{
	struct rw_cdb c = { .protect = r->cdb[1] >> 5, .fua = r->cdb[1] & 8 };

	switch (r->cdb[0] >> 5) {
	case 0:
		c.lba = cdb32(r, 0) & 0x1fffff;
		c.nr = r->cdb[4] != 0 ? r->cdb[4] : 256;
		c.protect = 0;		/* those are address bits here */
		c.fua = false;
		break;
	case 4:
		c.lba = cdb64(r, 2);
		c.nr = cdb32(r, 10);
		break;
	case 5:
		c.lba = cdb32(r, 2);
		c.nr = cdb32(r, 6);
		break;
	default:
		c.lba = cdb32(r, 2);
		c.nr = cdb16(r, 7);
		break;
	}
	return c;
}

/* Sets r->one; false when the answer was given already. */
static bool rw_range(struct scsi_req *r, const struct rw_cdb *c)
{
	uint64_t blocks = r->blk->size / r->blk->logical;

	if (c->protect != 0) {
		scsi_check(r, SENSE_BAD_CDB);
		return false;
	}
	if (c->lba > blocks || c->nr > blocks - c->lba) {
		scsi_check(r, SENSE_LBA_RANGE);
		return false;
	}
	r->one.off = c->lba * r->blk->logical;
	r->one.len = (uint64_t)c->nr * r->blk->logical;
	r->fua = c->fua;
	return true;
}

static bool rw_writable(struct scsi_req *r)
{
	if (!r->blk->read_only && !r->blk->optical)
		return true;
	scsi_check(r, SENSE_WRITE_PROTECTED);
	return false;
}

static void rw_transfer(struct scsi_req *r)
{
	struct rw_cdb c = rw_parse(r);

	if (!rw_range(r, &c))
		return;
	if (r->one.len > r->data_len) {
		scsi_srb(r, SRB_DATA_OVERRUN);
		return;
	}
	if (r->one.len == 0)
		scsi_good(r, 0);
	else
		scsi_io_start(r);
}

void scsi_read(struct scsi_req *r)
{
	r->act = ACT_READ;
	rw_transfer(r);
}

void scsi_write(struct scsi_req *r)
{
	r->act = ACT_WRITE;
	if (rw_writable(r))
		rw_transfer(r);
}

static bool rw_scratch(struct scsi_req *r)
{
	r->scratch = new_array(uint8_t, SCSI_PATTERN);
	if (r->scratch != NULL)
		return true;
	scsi_srb(r, SRB_BUSY);
	return false;
}

/* Reads the medium, and throws the bytes away. */
void scsi_verify(struct scsi_req *r)
{
	struct rw_cdb c = rw_parse(r);

	if (r->cdb[1] & 6) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	c.fua = false;
	r->data_len = 0;
	if (!rw_range(r, &c))
		return;
	if (r->one.len == 0) {
		scsi_good(r, 0);
		return;
	}
	r->act = ACT_VERIFY;
	if (rw_scratch(r))
		scsi_io_start(r);
}

/* The whole disk, whatever range is given: allowed, and what backends can do. */
void scsi_sync_cache(struct scsi_req *r)
{
	struct rw_cdb c = rw_parse(r);

	c.protect = 0;
	c.fua = false;
	r->data_len = 0;
	if (!rw_range(r, &c))
		return;
	r->act = ACT_FLUSH;
	r->one.len = 0;
	scsi_io_start(r);
}

static bool unmap_parse(struct scsi_req *r, const uint8_t *list, unsigned nr)
{
	uint64_t blocks = r->blk->size / r->blk->logical;

	for (unsigned i = 0; i < nr; i++) {
		uint64_t lba = __builtin_bswap64(ld64(list + 16 * i));
		uint32_t n = __builtin_bswap32(ld32(list + 16 * i + 8));

		if (lba > blocks || n > blocks - lba)
			return false;
		if (n == 0)
			continue;
		r->ext[r->nr_ext++] = (struct scsi_extent){
			lba * r->blk->logical, (uint64_t)n * r->blk->logical,
		};
	}
	return true;
}

void scsi_unmap(struct scsi_req *r)
{
	uint8_t list[8 + 16 * SCSI_MAX_UNMAP] = { 0 };
	uint32_t want = cdb16(r, 7), bytes;
	int got;

	if (!r->blk->can_unmap) {
		scsi_check(r, SENSE_BAD_OPCODE);
		return;
	}
	if (!rw_writable(r))
		return;
	if (r->cdb[1] & 1) {		/* ANCHOR */
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	if (want == 0) {
		scsi_good(r, 0);
		return;
	}
	got = want < 8 ? 0 : scsi_fetch(r, list, (uint32_t)min_u64(want, sizeof(list)));
	if (got < 8) {
		scsi_check(r, SENSE_PARAM_LIST_LENGTH);
		return;
	}
	bytes = __builtin_bswap16(ld16(list + 2));
	bytes -= bytes % 16;
	if (bytes / 16 > SCSI_MAX_UNMAP) {
		scsi_check(r, SENSE_BAD_PARAM);
		return;
	}
	if (bytes > (uint32_t)got - 8) {
		scsi_check(r, SENSE_PARAM_LIST_LENGTH);
		return;
	}
	r->ext = new_array(struct scsi_extent, SCSI_MAX_UNMAP);
	if (r->ext == NULL) {
		scsi_srb(r, SRB_BUSY);
		return;
	}
	r->data_len = (uint32_t)got;
	if (!unmap_parse(r, list + 8, bytes / 16)) {
		scsi_check(r, SENSE_LBA_RANGE);
		return;
	}
	r->act = ACT_UNMAP;
	scsi_io_start(r);
}

static bool all_zero(const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/*
 * Zeros go to the backend as zeros, whether or not the guest allows them to
 * be unmapped: it may free the space itself, and must read back zeros.
 */
void scsi_write_same(struct scsi_req *r)
{
	struct rw_cdb c = rw_parse(r);
	bool ndob = r->cdb[0] == SCSI_WRITE_SAME_16 && (r->cdb[1] & 1);
	uint32_t block = r->blk->logical;

	c.fua = false;
	if (!rw_writable(r))
		return;
	/* ANCHOR; and a count of 0 would mean "to the end", which B0 denies. */
	if ((r->cdb[1] & 0x10) || c.nr == 0) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	if (!rw_range(r, &c))
		return;
	if (r->one.len > SCSI_MAX_WRITE_SAME) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	r->act = ACT_ZERO;
	if (ndob) {
		r->data_len = 0;
		scsi_io_start(r);
		return;
	}
	if (r->data_len < block) {
		scsi_srb(r, SRB_DATA_OVERRUN);
		return;
	}
	if (!rw_scratch(r))
		return;
	if (scsi_fetch(r, r->scratch, block) < 0) {
		scsi_srb(r, SRB_INVALID_REQUEST);
		return;
	}
	r->data_len = block;
	if (!all_zero(r->scratch, block)) {
		r->act = ACT_PATTERN;
		for (uint32_t at = block; at < SCSI_PATTERN; at += block)
			memcpy(r->scratch + at, r->scratch, block);
	}
	scsi_io_start(r);
}
