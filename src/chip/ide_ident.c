/*
 * ide_ident.c - what a drive says it is
 *
 * Hyper-V's disk calls itself "Virtual HD", revision 1.1.0 on the first channel
 * and 1.1.1 on the second, without a serial number; its DVD drive "Virtual CD".
 * Both say multiword DMA 2.  We add Ultra DMA 0 to 2, which the 82371AB can do,
 * and SMART, look-ahead and the buffer commands.
 *
 * The geometry is the one that the VHD format fixes for a size, so that a disk
 * boots here that was partitioned there; from 8 GB on it is 16383/16/63.
 *
 * Spec     [ATA-8] 7.16 IDENTIFY DEVICE, 7.17 IDENTIFY PACKET DEVICE; [VHD] CHS calculation
 * Missing  a security feature set, host protected area, power-up in standby: said so here
 * Lock     chip
 */
#include "chip/ide_priv.h"

#define CHS_MAX 16514064u		/* 16383 * 16 * 63 */

uint64_t ide_sectors(const struct ide_drive *d)
{
	return d->blk == NULL ? 0 : d->blk->size / IDE_SECTOR;
}

static void geometry(uint64_t sectors, uint32_t *ret_cylinders, uint8_t *ret_heads,
		     uint8_t *ret_spt)
{
	uint32_t n = (uint32_t)min_u64(sectors, CHS_MAX), spt = 17, heads, tracks = n / spt;

	heads = (tracks + 1023) / 1024;
	heads = heads < 4 ? 4 : heads;
	if (tracks >= heads * 1024 || heads > 16) {
		spt = 31;
		heads = 16;
		tracks = n / spt;
	}
	if (tracks >= heads * 1024) {
		spt = 63;
		heads = 16;
		tracks = n / spt;
	}
	*ret_cylinders = (uint32_t)min_u64(tracks / heads, 16383);
	*ret_heads = (uint8_t)heads;
	*ret_spt = (uint8_t)spt;
}

uint32_t ide_cylinders(const struct ide_drive *d)
{
	uint32_t cylinders;
	uint8_t heads, spt;

	geometry(ide_sectors(d), &cylinders, &heads, &spt);
	if (d->heads == heads && d->spt == spt)
		return cylinders;
	return (uint32_t)min_u64((uint64_t)cylinders * heads * spt / (d->heads * d->spt), 65535);
}

void ide_ata_modes(struct ide_drive *d)
{
	uint32_t cylinders;

	geometry(ide_sectors(d), &cylinders, &d->heads, &d->spt);
	d->multi = IDE_MULTI;
	d->mode = 0x22;
	d->wcache = d->look_ahead = d->smart = true;
}

/* Spaces behind; the two letters of a word are swapped. */
static void put_text(uint8_t *b, unsigned word, unsigned words, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < words * 2; i++)
		b[(word * 2 + i) ^ 1] = (uint8_t)(i < n ? text[i] : ' ');
}

static void put_word(uint8_t *b, unsigned word, uint32_t val)
{
	st16(b + word * 2, (uint16_t)val);
}

static void put_words(uint8_t *b, unsigned word, uint64_t val, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		put_word(b, word + i, (uint16_t)(val >> 16 * i));
}

static uint32_t mode_bits(const struct ide_drive *d, uint8_t family)
{
	uint32_t bits = 0x07;		/* modes 0 to 2 of each */

	if ((d->mode & 0xf8) == family)
		bits |= 0x100u << (d->mode & 7);
	return bits;
}

static void put_modes(const struct ide_drive *d, uint8_t *b)
{
	put_word(b, 49, 0x0f00);	/* DMA, LBA, IORDY */
	put_word(b, 51, 0x0200);
	put_word(b, 52, 0x0200);
	put_word(b, 53, 0x0007);	/* 54 to 58, 64 to 70, 88 are valid */
	put_word(b, 62, mode_bits(d, 0x10));
	put_word(b, 63, mode_bits(d, 0x20));
	put_word(b, 64, 0x0003);	/* PIO 3 and 4 */
	put_word(b, 65, 0x0078);	/* nanoseconds */
	put_word(b, 66, 0x0078);
	put_word(b, 67, d->dvd ? 0x01fc : 0x014d);
	put_word(b, 68, d->dvd ? 0x00b4 : 0x0078);
	put_word(b, 80, 0x01f0);	/* ATA-4 to ATA-8 */
	put_word(b, 88, mode_bits(d, 0x40));
	put_word(b, 93, d->unit == 0 ? 0x400b : 0x4300);	/* 40-wire cable */
}

static void put_geometry(const struct ide_drive *d, uint8_t *b)
{
	uint64_t sectors = ide_sectors(d);
	uint32_t cylinders, now = ide_cylinders(d);
	uint8_t heads, spt;

	geometry(sectors, &cylinders, &heads, &spt);
	put_word(b, 1, cylinders);
	put_word(b, 3, heads);
	put_word(b, 4, spt * IDE_SECTOR);
	put_word(b, 5, IDE_SECTOR);
	put_word(b, 6, spt);
	put_word(b, 54, now);
	put_word(b, 55, d->heads);
	put_word(b, 56, d->spt);
	put_words(b, 57, (uint64_t)now * d->heads * d->spt, 2);
	put_words(b, 60, min_u64(sectors, IDE_LBA28), 2);
	put_words(b, 100, sectors, 4);
}

/* 82 to 87: what there is, and what of it is on. */
static void put_features(const struct ide_drive *d, uint8_t *b)
{
	uint32_t on = 0x7008;		/* NOP, READ BUFFER, WRITE BUFFER, power management */

	on |= d->wcache ? 0x20 : 0;
	on |= d->look_ahead ? 0x40 : 0;
	on |= d->smart ? 0x01 : 0;
	put_word(b, 82, 0x7069);
	put_word(b, 83, 0x7400);	/* FLUSH CACHE, FLUSH CACHE EXT, LBA48 */
	put_word(b, 84, 0x4040);	/* FUA */
	put_word(b, 85, on);
	put_word(b, 86, 0x3400);
	put_word(b, 87, 0x4040);
}

static void identify_disk(const struct ide_drive *d, uint8_t *b)
{
	uint32_t physical = d->blk->physical / IDE_SECTOR;

	put_word(b, 0, 0x045a);
	put_geometry(d, b);
	put_word(b, 20, 3);		/* a buffer with a cache, of 64 KiB */
	put_word(b, 21, 0x0080);
	put_text(b, 10, 10, "");
	put_text(b, 23, 4, d->chan == 0 ? "1.1.0" : "1.1.1");
	put_text(b, 27, 20, "Virtual HD");
	put_word(b, 47, 0x8000 | IDE_MULTI);
	put_word(b, 59, d->multi != 0 ? 0x0100u | d->multi : 0);
	put_modes(d, b);
	put_features(d, b);
	put_word(b, 106, physical > 1 ? 0x6000u | (uint32_t)__builtin_ctz(physical) : 0x4000);
	put_word(b, 209, 0x4000);
}

static void identify_dvd(const struct ide_drive *d, uint8_t *b)
{
	put_word(b, 0, 0x85c0);		/* CD type, removable, quick DRQ, packets of 12 bytes */
	put_text(b, 10, 10, "");
	put_word(b, 21, 0x0080);
	put_text(b, 23, 4, "");
	put_text(b, 27, 20, "Virtual CD");
	put_modes(d, b);
	put_word(b, 53, 0x0006);
	put_word(b, 62, 0);		/* of ATA-7 on: packets need no DMADIR */
	put_word(b, 82, 0x0218);	/* DEVICE RESET, PACKET, power management */
	put_word(b, 83, 0x4000);
	put_word(b, 84, 0x4000);
	put_word(b, 85, 0x0218);
	put_word(b, 87, 0x4000);
}

void ide_identify(const struct ide_drive *d, uint8_t b[IDE_SECTOR])
{
	memset(b, 0, IDE_SECTOR);
	if (d->dvd)
		identify_dvd(d, b);
	else
		identify_disk(d, b);
}

/* What SET FEATURES 03 gets in the count register. */
bool ide_set_transfer_mode(struct ide_drive *d, uint8_t mode)
{
	switch (mode) {
	case 0x00: case 0x01:					/* PIO, as it likes */
	case 0x08: case 0x09: case 0x0a: case 0x0b: case 0x0c:	/* PIO 0 to 4 */
		return true;
	case 0x10: case 0x11: case 0x12:			/* single word DMA */
	case 0x20: case 0x21: case 0x22:			/* multiword DMA */
	case 0x40: case 0x41: case 0x42:			/* Ultra DMA */
		d->mode = mode;
		return true;
	}
	return false;
}
