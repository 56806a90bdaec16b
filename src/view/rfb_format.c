/*
 * rfb_format.c - pixels as a client wants them
 *
 * Lock     none
 */
#include "view/rfb_priv.h"

#include "base/le.h"

static uint16_t in16(const uint8_t *p) { return __builtin_bswap16(ld16(p)); }

void rfb_format_default(struct rfb_format *f)
{
	static const uint8_t p[16] = { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 };

	BUG_IF(!rfb_format_set(f, p));
}

/* A CPIXEL has 3 bytes when all colors lie in the lower or the upper three of four. */
static unsigned cpixel_start(const struct rfb_format *f, uint8_t depth)
{
	uint32_t all = rfb_pixel(f, 0xffffff);

	if (f->bytes != 4 || depth > 24)
		return 4;
	if ((all & 0xff000000) == 0)
		return f->big ? 1 : 0;
	if ((all & 0x000000ff) == 0)
		return f->big ? 0 : 1;
	return 4;
}

bool rfb_format_set(struct rfb_format *f, const uint8_t p[16])
{
	uint8_t bits = p[0];

	if ((bits != 8 && bits != 16 && bits != 32) || p[3] == 0)
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (p[10 + i] >= bits)
			return false;
	f->bytes = bits / 8;
	f->big = p[2] != 0;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t max = in16(p + 4 + 2 * i);

		for (uint32_t c = 0; c < 256; c++)
			f->part[i][c] = ((c * max + 127) / 255) << p[10 + i];
	}
	f->packed = cpixel_start(f, p[1]);
	return true;
}

unsigned rfb_store(const struct rfb_format *f, uint8_t *p, uint32_t val, bool compact)
{
	uint8_t b[4];

	switch (f->bytes) {
	case 1:
		p[0] = (uint8_t)val;
		return 1;
	case 2:
		st16(p, f->big ? __builtin_bswap16((uint16_t)val) : (uint16_t)val);
		return 2;
	}
	st32(b, f->big ? __builtin_bswap32(val) : val);
	if (compact && f->packed < 4) {
		memcpy(p, b + f->packed, 3);
		return 3;
	}
	memcpy(p, b, 4);
	return 4;
}
