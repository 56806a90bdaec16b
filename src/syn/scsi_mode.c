/*
 * scsi_mode.c - mode pages
 *
 * What a guest learns here: whether it may write, whether FUA is understood,
 * and that there is a write cache which has to be flushed.  Nothing can be
 * changed; MODE SELECT accepts what already is, and refuses the rest.
 *
 * Spec     [SPC-3] 6.9, 7.4; [SBC-3] 6.4; [MMC-6] 7
 * Lock     none
 */
#include "syn/scsi_priv.h"

#include "dev/mmc.h"

#define MODE_MAX 128u

struct mode_page {
	uint8_t code, len;		/* of the bytes that follow the two */
	bool disk, optical;
	uint8_t bytes[32];
};

static const struct mode_page mode_pages[] = {
	/* caching: WCE */
	{ 0x08, 18, true, false, { 0x04 } },
	/* control: unrestricted reordering */
	{ 0x0a, 10, true, true, { 0, 0x10 } },
	/* CD and DVD capabilities: mmc_page_2a */
	{ 0x2a, MMC_PAGE_2A_LEN, false, true, { 0 } },
};

static bool page_wanted(const struct mode_page *p, const struct blk *d, uint8_t code)
{
	if (!(d->optical ? p->optical : p->disk))
		return false;
	return code == 0x3f || code == p->code;
}

/* CHANGEABLE: the mask of what can be changed, which is nothing. */
static unsigned mode_build(const struct blk *d, uint8_t code, bool changeable, uint8_t *b)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(mode_pages); i++) {
		const struct mode_page *p = &mode_pages[i];

		if (!page_wanted(p, d, code))
			continue;
		b[n] = p->code;
		b[n + 1] = p->len;
		if (!changeable)
			memcpy(b + n + 2, p->code == 0x2a ? mmc_page_2a : p->bytes, p->len);
		n += 2u + p->len;
	}
	return n;
}

void scsi_mode_sense(struct scsi_req *r)
{
	bool six = r->cdb[0] == SCSI_MODE_SENSE_6;
	unsigned head = six ? 4 : 8, n;
	uint8_t b[MODE_MAX] = { 0 }, pc = r->cdb[2] >> 6, code = r->cdb[2] & 0x3f;
	uint8_t specific = r->blk->optical ? 0 : 0x10;	/* FUA is understood */

	if (r->blk->read_only && !r->blk->optical)
		specific |= 0x80;
	if (r->cdb[3] != 0 && !(code == 0x3f && r->cdb[3] == 0xff)) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	if (pc == 3) {
		scsi_check(r, SENSE_NO_SAVED);
		return;
	}
	n = mode_build(r->blk, code, pc == 1, b + head);
	if (n == 0) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	n += head;
	if (six) {
		b[0] = (uint8_t)(n - 1);
		b[2] = specific;
	} else {
		put_be16(b, (uint16_t)(n - 2));
		b[3] = specific;
	}
	scsi_reply(r, b, n, six ? r->cdb[4] : cdb16(r, 7));
}

/* The pages in B must be ours, as they are. */
static enum scsi_sense mode_compare(const struct blk *d, const uint8_t *b, unsigned n)
{
	while (n > 0) {
		uint8_t page[MODE_MAX] = { 0 }, code = b[0] & 0x3f;
		unsigned len;

		if (n < 2)
			return SENSE_PARAM_LIST_LENGTH;
		len = code == 0x3f ? 0 : mode_build(d, code, false, page);
		if (len == 0 || b[1] != page[1] || (b[0] & 0x40))
			return SENSE_BAD_PARAM;
		if (len > n)
			return SENSE_PARAM_LIST_LENGTH;
		if (memcmp(b + 2, page + 2, len - 2) != 0)
			return SENSE_BAD_PARAM;
		b += len;
		n -= len;
	}
	return SENSE_NONE;
}

void scsi_mode_select(struct scsi_req *r)
{
	bool six = r->cdb[0] == SCSI_MODE_SELECT_6;
	unsigned head = six ? 4 : 8, n = six ? r->cdb[4] : cdb16(r, 7), blocks;
	uint8_t b[MODE_MAX] = { 0 };
	enum scsi_sense bad;
	int got;

	if (r->cdb[1] & 1) {			/* there is nowhere to save pages */
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	if (n == 0) {
		scsi_good(r, 0);
		return;
	}
	got = scsi_fetch(r, b, (uint32_t)min_u64(n, sizeof(b)));
	if (n > sizeof(b) || got < (int)n || n < head) {
		scsi_check(r, SENSE_PARAM_LIST_LENGTH);
		return;
	}
	blocks = six ? b[3] : (unsigned)(b[6] << 8 | b[7]);
	if (blocks != 0)
		bad = SENSE_BAD_PARAM;		/* no block descriptor is changeable either */
	else
		bad = mode_compare(r->blk, b + head, n - head);
	if (bad != SENSE_NONE)
		scsi_check(r, bad);
	else
		scsi_good(r, n);
}
