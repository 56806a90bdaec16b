/*
 * mmc.c - what a DVD drive is asked besides reading
 *
 * The medium is one data track in one closed session, as long as the image.
 *
 * Spec     [MMC-6] READ TOC, GET CONFIGURATION, GET EVENT STATUS, READ DISC and TRACK
 *          INFORMATION, page 2A
 * Missing  audio, raw TOC (format 2), READ DVD STRUCTURE: refused
 * Lock     none
 */
#include "dev/mmc.h"

#include "base/le.h"

#include <string.h>

#define LEADOUT 0xaa

static void reply_init(struct mmc_reply *r, uint32_t n, uint32_t alloc)
{
	memset(r, 0, sizeof(*r));
	r->n = n;
	r->alloc = alloc;
}

/* An address as blocks, or as minute, second and frame. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	uint32_t f = (uint32_t)min_u64((uint64_t)lba + 150, 255 * 60 * 75 + 59 * 75 + 74);

	if (!msf) {
		stbe32(p, lba);
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

enum scsi_sense mmc_read_toc(const struct mmc_state *s, const uint8_t *cdb, struct mmc_reply *r)
{
	bool msf = cdb[1] & 2;
	uint8_t format = cdb[2] & 0xf, *p = r->b + 4;

	if (format == 0)
		format = cdb[9] >> 6;	/* where older drivers put it */
	if (format > 1 || (format == 0 && cdb[6] > 1 && cdb[6] != LEADOUT))
		return SENSE_BAD_CDB;
	reply_init(r, 0, ldbe16(cdb + 7));
	r->b[2] = r->b[3] = 1;		/* first and last track, or session */
	if (format == 1 || cdb[6] <= 1)
		p = put_track(p, 1, 0, msf);
	if (format == 0)
		p = put_track(p, LEADOUT, s->blocks, msf);
	r->n = (uint32_t)(p - r->b);
	stbe16(r->b, (uint16_t)(r->n - 2));
	return SENSE_NONE;
}

#define PROFILE_DVD_ROM 0x0010
#define PROFILE_CD_ROM 0x0008
#define FEATURE_CORE 0x0001

static const struct feature {
	uint16_t code;
	uint8_t version, len;		/* version: bits 5:2 version, 1 persistent, 0 current */
	uint8_t bytes[8];
} features[] = {
	{ 0x0000, 0x03, 8, { 0x00, PROFILE_DVD_ROM, 1, 0, 0x00, PROFILE_CD_ROM, 0, 0 } },
	{ FEATURE_CORE, 0x0b, 8, { 0, 0, 0, 1, 1, 0, 0, 0 } },	/* SCSI, DBE */
	{ 0x0003, 0x03, 4, { 0x29, 0, 0, 0 } },			/* removable: tray, eject, lock */
	{ 0x0010, 0x01, 8, { 0, 0, 8, 0, 0, 1, 0, 0 } },	/* random readable, 2048 */
	{ 0x001f, 0x09, 4, { 0, 0, 0, 0 } },			/* DVD read */
};

enum scsi_sense mmc_get_configuration(const struct mmc_state *s, const uint8_t *cdb,
				      struct mmc_reply *r)
{
	uint8_t rt = cdb[1] & 3;
	uint16_t start = ldbe16(cdb + 2);

	if (rt == 3)
		return SENSE_BAD_CDB;
	reply_init(r, 8, ldbe16(cdb + 7));
	if (s->medium)
		stbe16(r->b + 6, PROFILE_DVD_ROM);
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		const struct feature *f = &features[i];
		uint8_t current = s->medium || (f->version & 2) != 0;

		if (rt == 2 ? f->code != start : f->code < start)
			continue;
		if (rt == 1 && !current)
			continue;
		stbe16(r->b + r->n, f->code);
		r->b[r->n + 2] = (uint8_t)((f->version & ~1u) | current);
		r->b[r->n + 3] = f->len;
		memcpy(r->b + r->n + 4, f->bytes, f->len);
		if (f->code == FEATURE_CORE && s->atapi)
			r->b[r->n + 7] = 2;
		r->n += 4u + f->len;
	}
	stbe32(r->b, r->n - 4);
	return SENSE_NONE;
}

/* Polled, and only the media class. */
enum scsi_sense mmc_get_event_status(const struct mmc_state *s, const uint8_t *cdb,
				     struct mmc_reply *r)
{
	if (!(cdb[1] & 1))
		return SENSE_BAD_CDB;
	reply_init(r, 4, ldbe16(cdb + 7));
	r->b[3] = 0x10;				/* supported: media */
	if (!(cdb[4] & 0x10)) {
		stbe16(r->b, 2);
		r->b[2] = 0x80;			/* none of what was asked for */
		return SENSE_NONE;
	}
	r->n = 8;
	stbe16(r->b, 6);
	r->b[2] = 4;
	r->b[4] = (uint8_t)s->event;
	r->b[5] = (uint8_t)(s->tray_open | s->medium << 1);
	return SENSE_NONE;
}

enum scsi_sense mmc_read_disc_info(const struct mmc_state *s, const uint8_t *cdb,
				   struct mmc_reply *r)
{
	(void)s;
	if ((cdb[1] & 7) != 0)
		return SENSE_BAD_CDB;
	reply_init(r, 34, ldbe16(cdb + 7));
	stbe16(r->b, 32);
	r->b[2] = 0x0e;				/* last session complete, disc complete */
	r->b[3] = r->b[4] = r->b[5] = r->b[6] = 1;	/* one session, one track */
	r->b[7] = 0x20;				/* unrestricted use */
	memset(r->b + 16, 0xff, 8);		/* no further lead-in or lead-out */
	return SENSE_NONE;
}

/* Linux asks for it as soon as the disc information says that there is a track. */
enum scsi_sense mmc_read_track_info(const struct mmc_state *s, const uint8_t *cdb,
				    struct mmc_reply *r)
{
	uint32_t which = ldbe32(cdb + 2);
	uint8_t by = cdb[1] & 3;
	bool found = by == 0 ? which < s->blocks : by != 3 && which == 1;

	if (!found)
		return SENSE_BAD_CDB;
	reply_init(r, 36, ldbe16(cdb + 7));
	stbe16(r->b, 34);
	r->b[2] = r->b[3] = 1;			/* track, session */
	r->b[5] = 4;				/* data, no copy */
	r->b[6] = 1;				/* mode 1 */
	stbe32(r->b + 24, s->blocks);		/* starts at 0 */
	return SENSE_NONE;
}

/*
 * Reads CD-R, CD-RW, DVD-ROM, DVD-R, DVD-RAM; tray, lock, eject; 11080 kB/s at
 * most and now, which is DVD x8.
 */
const uint8_t mmc_page_2a[MMC_PAGE_2A_LEN] = {
	0x3b, 0, 0x70, 0, 0x29, 0, 0x2b, 0x48, 0, 0, 0, 0, 0x2b, 0x48,
};
