/*
 * png.c - writes PNG
 *
 * Signature, then chunks: length (big-endian), type, data, CRC-32 of type and
 * data.  IHDR says the size, IDAT holds the rows, each with a filter byte
 * before it, as one zlib stream; IEND ends.  Screens are flat: "Up" makes
 * zeros of what repeats, and zlib does the rest.
 *
 * Spec     [PNG] W3C, second edition: 5, 9.2, 11.2
 * Lock     none
 */
#include "view/png.h"

#include "base/le.h"
#include "dev/disp.h"

#include <stdlib.h>
#include <zlib.h>

enum { FILTER_UP = 2, COLOR_RGB = 2 };
#define CHUNK_EXTRA 12u			/* length, type, CRC */

static void put_be32(uint8_t *p, uint32_t val)
{
	be32 v = be32_of(val);

	memcpy(p, v.b, 4);
}

/* A chunk whose N bytes of data are at P + 8 already; returns where the next one goes. */
static uint8_t *chunk(uint8_t *p, const char *type, size_t n)
{
	put_be32(p, (uint32_t)n);
	memcpy(p + 4, type, 4);
	put_be32(p + 8 + n, (uint32_t)crc32(0, p + 4, (uInt)(n + 4)));
	return p + CHUNK_EXTRA + n;
}

static void filter_row(uint8_t *out, const uint32_t *row, const uint32_t *above, uint32_t width)
{
	*out++ = FILTER_UP;
	for (uint32_t x = 0; x < width; x++) {
		uint32_t a = row[x], b = above == NULL ? 0 : above[x];

		*out++ = (uint8_t)((a >> 16) - (b >> 16));
		*out++ = (uint8_t)((a >> 8) - (b >> 8));
		*out++ = (uint8_t)(a - b);
	}
}

static int compress_rows(z_stream *z, const uint32_t *pixels, uint32_t width, uint32_t height,
			 uint32_t stride)
{
	uint8_t *line = new_array(uint8_t, width * 3u + 1);
	int rc = line == NULL ? Z_MEM_ERROR : Z_OK;

	for (uint32_t y = 0; y < height && rc == Z_OK; y++) {
		const uint32_t *row = pixels + (size_t)y * stride;

		filter_row(line, row, y == 0 ? NULL : row - stride, width);
		z->next_in = line;
		z->avail_in = width * 3 + 1;
		rc = deflate(z, Z_NO_FLUSH);
	}
	free(line);
	if (rc == Z_OK)
		rc = deflate(z, Z_FINISH);
	return rc == Z_STREAM_END ? 0 : -ENOMEM;
}

int png_encode(const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride,
	       uint8_t **ret_png, size_t *ret_n)
{
	static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	z_stream z = { .next_in = NULL };
	uint8_t *png, *p;
	size_t room;
	int rc;

	if (width == 0 || height == 0 || width > DISP_MAX_WIDTH || height > DISP_MAX_HEIGHT)
		return -EINVAL;
	if (deflateInit(&z, 6) != Z_OK)
		return -ENOMEM;
	room = deflateBound(&z, (uLong)(width * 3 + 1) * height);
	png = new_array(uint8_t, sizeof(signature) + 13 + room + 3 * CHUNK_EXTRA);
	if (png == NULL) {
		deflateEnd(&z);
		return -ENOMEM;
	}
	memcpy(png, signature, sizeof(signature));
	p = png + sizeof(signature);
	put_be32(p + 8, width);
	put_be32(p + 12, height);
	p[16] = 8;			/* bits of each color */
	p[17] = COLOR_RGB;
	p = chunk(p, "IHDR", 13);
	z.next_out = p + 8;
	z.avail_out = (uInt)room;
	rc = compress_rows(&z, pixels, width, height, stride);
	p = chunk(p, "IDAT", z.total_out);
	p = chunk(p, "IEND", 0);
	deflateEnd(&z);
	if (rc < 0) {
		free(png);
		return rc;
	}
	*ret_png = png;
	*ret_n = (size_t)(p - png);
	return 0;
}
