/*
 * scsi_dvd.c - what a DVD drive is asked besides reading
 *
 * The medium is one data track in one closed session, as long as the image.
 *
 * Spec     [MMC-6] READ TOC, GET CONFIGURATION, GET EVENT STATUS, READ DISC and TRACK
 *          INFORMATION
 * Missing  audio, raw TOC (format 2), READ DVD STRUCTURE: refused
 * Lock     none
 */
#include "syn/scsi_priv.h"

#define LEADOUT 0xaa

static uint32_t dvd_blocks(const struct scsi_req *r)
{
	return (uint32_t)min_u64(r->blk->size / r->blk->logical, UINT32_MAX);
}

/* An address as blocks, or as minute, second and frame. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	uint32_t f = (uint32_t)min_u64((uint64_t)lba + 150, 255 * 60 * 75 + 59 * 75 + 74);

	if (!msf) {
		put_be32(p, lba);
		return;
	}
	p[0] = 0;
	p[1] = (uint8_t)(f / 75 / 60);
	p[2] = (uint8_t)(f / 75 % 60);
	p[3] = (uint8_t)(f % 75);
}

static uint8_t *put_track(uint8_t *p, uint8_t track, uint32_t lba, bool msf)
{
	p[1] = 0x14;			/* data, no copy */
	p[2] = track;
	put_address(p + 4, lba, msf);
	return p + 8;
}

void scsi_read_toc(struct scsi_req *r)
{
	bool msf = r->cdb[1] & 2;
	uint8_t format = r->cdb[2] & 0xf, b[4 + 16] = { 0 }, *p = b + 4;

	if (format == 0)
		format = r->cdb[9] >> 6;	/* where older drivers put it */
	if (format > 1 || (format == 0 && r->cdb[6] > 1 && r->cdb[6] != LEADOUT)) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	b[2] = b[3] = 1;			/* first and last track, or session */
	if (format == 1 || r->cdb[6] <= 1)
		p = put_track(p, 1, 0, msf);
	if (format == 0)
		p = put_track(p, LEADOUT, dvd_blocks(r), msf);
	put_be16(b, (uint16_t)(p - b - 2));
	scsi_reply(r, b, (uint32_t)(p - b), cdb16(r, 7));
}

#define PROFILE_DVD_ROM 0x0010
#define PROFILE_CD_ROM 0x0008

static const struct feature {
	uint16_t code;
	uint8_t version, len;		/* version: bits 5:2 version, 1 persistent, 0 current */
	uint8_t bytes[8];
} features[] = {
	{ 0x0000, 0x03, 8, { 0x00, PROFILE_DVD_ROM, 1, 0, 0x00, PROFILE_CD_ROM, 0, 0 } },
	{ 0x0001, 0x0b, 8, { 0, 0, 0, 1, 1, 0, 0, 0 } },	/* core: SCSI, DBE */
	{ 0x0003, 0x03, 4, { 0x29, 0, 0, 0 } },			/* removable: tray, eject, lock */
	{ 0x0010, 0x01, 8, { 0, 0, 8, 0, 0, 1, 0, 0 } },	/* random readable, 2048 */
	{ 0x001f, 0x09, 4, { 0, 0, 0, 0 } },			/* DVD read */
};

void scsi_get_configuration(struct scsi_req *r)
{
	uint8_t b[128] = { 0 }, rt = r->cdb[1] & 3;
	uint16_t start = cdb16(r, 2);
	unsigned n = 8;

	if (rt == 3) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	if (!r->no_medium)
		put_be16(b + 6, PROFILE_DVD_ROM);
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		const struct feature *f = &features[i];
		bool persistent = f->version & 2;
		uint8_t current = !r->no_medium || persistent;

		if (rt == 2 ? f->code != start : f->code < start)
			continue;
		if (rt == 1 && !current)
			continue;
		put_be16(b + n, f->code);
		b[n + 2] = (uint8_t)((f->version & ~1u) | current);
		b[n + 3] = f->len;
		memcpy(b + n + 4, f->bytes, f->len);
		n += 4u + f->len;
	}
	put_be32(b, n - 4);
	scsi_reply(r, b, n, cdb16(r, 7));
}

/* Polled, and only the media class: nothing happens to our medium by itself. */
void scsi_get_event_status(struct scsi_req *r)
{
	uint8_t b[8] = { 0 };

	if (!(r->cdb[1] & 1)) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	b[3] = 0x10;				/* supported: media */
	if (!(r->cdb[4] & 0x10)) {
		put_be16(b, 2);
		b[2] = 0x80;			/* none of what was asked for */
		scsi_reply(r, b, 4, cdb16(r, 7));
		return;
	}
	put_be16(b, 6);
	b[2] = 4;
	b[5] = r->no_medium ? 1 : 2;		/* tray open; medium present */
	scsi_reply(r, b, 8, cdb16(r, 7));
}

void scsi_read_disc_info(struct scsi_req *r)
{
	uint8_t b[34] = { 0 };

	if ((r->cdb[1] & 7) != 0) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	put_be16(b, sizeof(b) - 2);
	b[2] = 0x0e;				/* last session complete, disc complete */
	b[3] = b[4] = b[5] = b[6] = 1;		/* one session, one track */
	b[7] = 0x20;				/* unrestricted use */
	memset(b + 16, 0xff, 8);		/* no further lead-in or lead-out */
	scsi_reply(r, b, sizeof(b), cdb16(r, 7));
}

/* Linux asks for it as soon as the disc information says that there is a track. */
void scsi_read_track_info(struct scsi_req *r)
{
	uint32_t which = cdb32(r, 2);
	uint8_t b[36] = { 0 }, by = r->cdb[1] & 3;
	bool found = by == 0 ? which < dvd_blocks(r) : by != 3 && which == 1;

	if (!found) {
		scsi_check(r, SENSE_BAD_CDB);
		return;
	}
	put_be16(b, sizeof(b) - 2);
	b[2] = b[3] = 1;			/* track, session */
	b[5] = 4;				/* data, no copy */
	b[6] = 1;				/* mode 1 */
	put_be32(b + 24, dvd_blocks(r));	/* starts at 0 */
	scsi_reply(r, b, sizeof(b), cdb16(r, 7));
}
