/*
 * utf16.c - names of files as Windows stores them
 *
 * What becomes a path or a line on a terminal has no control characters.
 *
 * Lock     none
 */
#include "disk/utf16.h"

#include "base/le.h"

#include <string.h>

static uint32_t unit(const uint8_t *p, bool big)
{
	return big ? ldbe16(p) : ld16(p);
}

/* The number of bytes of C in UTF-8, written to P. */
static size_t put_utf8(uint8_t p[4], uint32_t c)
{
	if (c < 0x80) {
		p[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (uint8_t)(0xc0 | c >> 6);
		p[1] = (uint8_t)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (uint8_t)(0xe0 | c >> 12);
		p[1] = (uint8_t)(0x80 | (c >> 6 & 63));
		p[2] = (uint8_t)(0x80 | (c & 63));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | c >> 18);
	p[1] = (uint8_t)(0x80 | (c >> 12 & 63));
	p[2] = (uint8_t)(0x80 | (c >> 6 & 63));
	p[3] = (uint8_t)(0x80 | (c & 63));
	return 4;
}

int utf16_read(const uint8_t *src, size_t len, bool big, char *dst, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i + 2 <= len; i += 2) {
		uint32_t c = unit(src + i, big);
		uint8_t out[4];
		size_t k;

		if (c == 0)
			break;
		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xdc00 && c < 0xe000))
			return -EINVAL;
		if (c >= 0xd800 && c < 0xdc00) {
			uint32_t low = i + 4 <= len ? unit(src + i + 2, big) : 0;

			if (low < 0xdc00 || low >= 0xe000)
				return -EINVAL;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		k = put_utf8(out, c);
		if (n + k >= cap)
			return -ENAMETOOLONG;
		memcpy(dst + n, out, k);
		n += k;
	}
	if (n >= cap)
		return -ENAMETOOLONG;
	dst[n] = '\0';
	return 0;
}

/* The character at P, whose length goes to *ret_n; 0: not UTF-8. */
static uint32_t get_utf8(const uint8_t *p, size_t *ret_n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	uint32_t c;

	if (n == 0)
		return 0;
	c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 63);
	}
	*ret_n = n;
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : c;
}

int utf16_write(const char *text, bool big, uint8_t *dst, size_t cap, size_t *ret_len)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t n = 0, k;

	for (; *p != 0; p += k) {
		uint32_t c = get_utf8(p, &k);
		uint32_t u[2] = { c, 0 };
		unsigned nr = 1;

		if (c == 0)
			return -EINVAL;
		if (c >= 0x10000) {
			u[0] = 0xd800 + ((c - 0x10000) >> 10);
			u[1] = 0xdc00 + ((c - 0x10000) & 0x3ff);
			nr = 2;
		}
		if (n + 2 * nr > cap)
			return -ENAMETOOLONG;
		for (unsigned i = 0; i < nr; i++, n += 2) {
			if (big)
				stbe16(dst + n, u[i]);
			else
				st16(dst + n, (uint16_t)u[i]);
		}
	}
	*ret_len = n;
	return 0;
}
