/*
 * scsi_inquiry.c - who am I
 *
 * Linux believes every INQUIRY to have succeeded, whatever we answer.  So an
 * absent unit must say "absent" in the data, and an unknown page must leave
 * the buffer alone.  Linux sees WRITE SAME only on a disk whose vendor begins
 * with "Msft"; Windows wants the vendor pages CE and CF.
 *
 * Spec     [SPC-3] 6.4, 7.6; [SBC-3] 6.6
 * Missing  page 8F (ODX); no serial number, so no page 80
 * Lock     none
 */
#include "syn/scsi_priv.h"

#define STD_LEN 104u

static void inquiry_strings(uint8_t *b, const char *product)
{
	memset(b + 8, ' ', 28);
	memcpy(b + 8, "Msft    ", 8);
	memcpy(b + 16, product, strlen(product));
	memcpy(b + 32, "1.0 ", 4);
}

void scsi_inquiry_absent(struct scsi_req *r)
{
	uint8_t b[STD_LEN] = { SCSI_TYPE_ABSENT, 0, 5, 2, STD_LEN - 5 };

	if (r->cdb[1] & 1) {
		scsi_srb(r, SRB_INVALID_LUN);
		return;
	}
	inquiry_strings(b, "Virtual Disk    ");
	scsi_reply(r, b, sizeof(b), cdb16(r, 3));
}

static void inquiry_standard(struct scsi_req *r)
{
	uint8_t b[STD_LEN] = { SCSI_TYPE_DISK, 0, 5, 2, STD_LEN - 5, 0, 0, 2 };

	if (r->blk->optical) {
		b[0] = SCSI_TYPE_DVD;
		b[1] = 0x80;			/* removable */
	}
	inquiry_strings(b, r->blk->optical ? "Virtual DVD-ROM " : "Virtual Disk    ");
	scsi_reply(r, b, sizeof(b), cdb16(r, 3));
}

/* Each fills the bytes after the 4-byte header and returns their number. */

static unsigned page_83(const struct blk *d, uint8_t *p)
{
	if (guid_is_zero(&d->disk_id))
		return 0;
	p[0] = 1;			/* binary, T10 vendor id */
	p[1] = 1;
	p[3] = 24;
	memcpy(p + 4, "Msft    ", 8);
	memcpy(p + 12, d->disk_id.b, 16);
	p += 28;
	p[0] = 1;			/* binary, NAA 6 */
	p[1] = 3;
	p[3] = 16;
	p[4] = 0x60;
	p[5] = 0x02;
	p[6] = 0x24;
	p[7] = 0x80;
	memcpy(p + 8, d->disk_id.b, 6);
	memcpy(p + 14, d->disk_id.b + 10, 6);
	return 48;
}

static unsigned page_b0(const struct blk *d, uint8_t *p)
{
	p[0] = 1;			/* WSNZ: WRITE SAME of "the rest" is refused */
	put_be16(p + 2, (uint16_t)(d->physical / d->logical));
	put_be32(p + 4, SCSI_MAX_TRANSFER / d->logical);
	if (d->can_unmap) {
		put_be32(p + 16, 0xffffffff);
		put_be32(p + 20, SCSI_MAX_UNMAP);
		put_be32(p + 24, d->physical / d->logical);
		put_be32(p + 28, 0x80000000);
	}
	put_be64(p + 32, SCSI_MAX_WRITE_SAME / d->logical);
	return 60;
}

static unsigned page_b1(const struct blk *d, uint8_t *p)
{
	(void)d;
	put_be16(p, 1);			/* does not rotate */
	return 60;
}

static unsigned page_b2(const struct blk *d, uint8_t *p)
{
	p[0] = 1;
	p[1] = d->can_unmap ? 0x80 : 0;
	p[2] = d->can_unmap ? 2 : 0;	/* thin */
	return 4;
}

static unsigned page_ce(const struct blk *d, uint8_t *p)
{
	(void)d;
	p[0] = 1;
	p[1] = 1;
	return 4;
}

static unsigned page_cf(const struct blk *d, uint8_t *p)
{
	static const struct guid id = GUID_INIT(0x89a98f15, 0xc928, 0x4d8b, 0x94, 0xcd, 0xef, 0x51,
						0xfa, 0xa9, 0x9d, 0x33);

	(void)d;
	p[0] = 1;
	memcpy(p + 4, id.b, 16);
	return 20;
}

static const struct vpd_row {
	uint8_t page;
	bool disk, optical;
	unsigned (*fill)(const struct blk *d, uint8_t *p);
} vpd_rows[] = {
	{ 0x83, true, true, page_83 },
	{ 0xb0, true, false, page_b0 },
	{ 0xb1, true, false, page_b1 },
	{ 0xb2, true, false, page_b2 },
	{ 0xce, true, false, page_ce },
	{ 0xcf, true, false, page_cf },
};

static bool vpd_has(const struct vpd_row *row, const struct blk *d)
{
	return d->optical ? row->optical : row->disk;
}

static void inquiry_vpd(struct scsi_req *r)
{
	const struct blk *d = r->blk;
	uint8_t b[4 + 64] = { d->optical ? SCSI_TYPE_DVD : SCSI_TYPE_DISK, r->cdb[2] };
	unsigned n = 0;

	if (r->cdb[2] == 0) {
		b[4 + n++] = 0x00;
		for (size_t i = 0; i < ARRAY_LEN(vpd_rows); i++)
			if (vpd_has(&vpd_rows[i], d))
				b[4 + n++] = vpd_rows[i].page;
		b[3] = (uint8_t)n;
		scsi_reply(r, b, 4 + n, cdb16(r, 3));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(vpd_rows); i++) {
		if (vpd_rows[i].page != r->cdb[2] || !vpd_has(&vpd_rows[i], d))
			continue;
		n = vpd_rows[i].fill(d, b + 4);
		b[3] = (uint8_t)n;
		scsi_reply(r, b, 4 + n, cdb16(r, 3));
		return;
	}
	scsi_check(r, SENSE_BAD_CDB);
}

void scsi_inquiry(struct scsi_req *r)
{
	if (r->cdb[1] & 1)
		inquiry_vpd(r);
	else if (r->cdb[2] != 0)
		scsi_check(r, SENSE_BAD_CDB);
	else
		inquiry_standard(r);
}
