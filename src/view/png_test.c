#include "base/test.h"
#include "view/png.c"

#include <string.h>

static uint32_t in32(const uint8_t *p) { return __builtin_bswap32(ld32(p)); }

/* The data of a chunk at *p, which is moved on. */
static const uint8_t *take(const uint8_t **p, const char *type, uint32_t *ret_n)
{
	const uint8_t *data = *p + 8;

	*ret_n = in32(*p);
	CHECK_MEM(*p + 4, type, 4);
	CHECK_EQ(in32(data + *ret_n), crc32(crc32(0, NULL, 0), *p + 4, *ret_n + 4));
	*p = data + *ret_n + 4;
	return data;
}

static void what_is_written_reads_back(void **state)
{
	enum { W = 37, H = 11, STRIDE = 50 };
	static uint32_t px[H * STRIDE];
	uint8_t rows[H * (W * 3 + 1)], *png = NULL, last[W * 3] = { 0 };
	const uint8_t *p, *data;
	uLongf got = sizeof(rows);
	uint32_t n;
	size_t len;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(px); i++)
		px[i] = i * 0x9e3779b1u;	/* the upper byte is not of the picture */
	CHECK_EQ(png_encode(px, W, H, STRIDE, &png, &len), 0);
	CHECK_MEM(png, "\x89PNG\r\n\x1a\n", 8);
	p = png + 8;
	data = take(&p, "IHDR", &n);
	CHECK_EQ(n, 13);
	CHECK_EQ(in32(data), W);
	CHECK_EQ(in32(data + 4), H);
	CHECK_MEM(data + 8, "\x08\x02\0\0\0", 5);
	data = take(&p, "IDAT", &n);
	CHECK_EQ(uncompress(rows, &got, data, n), Z_OK);
	CHECK_EQ(got, sizeof(rows));
	for (uint32_t y = 0; y < H; y++) {
		const uint8_t *row = rows + y * (W * 3 + 1);

		CHECK_EQ(row[0], 2);
		for (uint32_t i = 0; i < W * 3; i++) {
			last[i] = (uint8_t)(last[i] + row[1 + i]);
			CHECK_EQ(last[i], px[y * STRIDE + i / 3] >> (16 - i % 3 * 8) & 0xff);
		}
	}
	take(&p, "IEND", &n);
	CHECK_EQ(n, 0);
	CHECK_EQ(p - png, len);
	free(png);
}

static void no_picture_and_no_memory(void **state)
{
	uint32_t px[4] = { 0 };
	uint8_t *png = NULL;
	size_t n;
	int rc = -ENOMEM;

	(void)state;
	CHECK_EQ(png_encode(px, 0, 1, 1, &png, &n), -EINVAL);
	CHECK_EQ(png_encode(px, 1, 0, 1, &png, &n), -EINVAL);
	CHECK_EQ(png_encode(px, DISP_MAX_WIDTH + 1, 1, 1, &png, &n), -EINVAL);
	for (unsigned i = 1; rc == -ENOMEM; i++) {
		CHECK(i < 10);
		base_fail_alloc(i);
		rc = png_encode(px, 2, 2, 2, &png, &n);
	}
	base_fail_alloc(0);
	CHECK_EQ(rc, 0);
	free(png);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(no_picture_and_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
