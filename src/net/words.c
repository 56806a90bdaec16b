/*
 * words.c - the small words that options are made of
 *
 * Lock     none; usable from any thread
 */
#include "net/words.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define DIGITS_MAX 18u			/* cannot overflow */
#define RATE_MAX UINT64_C(999999999999999999)

char *words_next(char **rest)
{
	char *word = *rest, *out = word, *in = word;

	if (word == NULL)
		return NULL;
	for (; *in != '\0' && (*in != ',' || in[1] == ','); in++) {
		in += *in == ',';
		*out++ = *in;
	}
	*rest = *in == ',' ? in + 1 : NULL;
	*out = '\0';
	return word;
}

bool words_number(const char *s, uint64_t min, uint64_t max, uint64_t *ret_n)
{
	uint64_t n = 0;

	if (*s == '\0' || strlen(s) > DIGITS_MAX)
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	if (n < min || n > max)
		return false;
	*ret_n = n;
	return true;
}

bool words_on(const char *s, bool *ret_on)
{
	bool on = strcmp(s, "on") == 0;

	if (!on && strcmp(s, "off") != 0)
		return false;
	*ret_on = on;
	return true;
}

bool words_rate(const char *s, uint64_t *ret_bps)
{
	static const struct { const char *unit; uint64_t factor; } units[] = {
		{ "", 1 }, { "k", 1000 }, { "M", 1000000 }, { "G", 1000000000 },
	};
	size_t digits = strspn(s, "0123456789"), len = strlen(s);
	char number[DIGITS_MAX + 1];
	uint64_t n, bps;

	if (digits == 0 || digits >= sizeof(number))
		return false;
	memcpy(number, s, digits);
	number[digits] = '\0';
	if (!words_number(number, 0, UINT64_MAX, &n))
		return false;
	if (len - digits >= 3 && strcmp(s + len - 3, "bit") == 0)
		len -= 3;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strlen(units[i].unit) != len - digits ||
		    memcmp(s + digits, units[i].unit, len - digits) != 0)
			continue;
		/* It is written without a unit, and must be read again. */
		if (__builtin_mul_overflow(n, units[i].factor, &bps) || bps > RATE_MAX)
			return false;
		*ret_bps = bps;
		return true;
	}
	return false;
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));
	return at == NULL ? -1 : (int)(at - digits);
}

bool words_mac(const char *s, uint8_t mac[6])
{
	static const uint8_t none[6];
	uint8_t m[6];

	if (strlen(s) != 17)
		return false;
	for (unsigned i = 0; i < 6; i++, s += 3) {
		int hi = hex(s[0]), lo = hex(s[1]);

		if (hi < 0 || lo < 0 || (i < 5 && s[2] != ':' && s[2] != '-'))
			return false;
		m[i] = (uint8_t)(hi * 16 + lo);
	}
	if ((m[0] & 1) || memcmp(m, none, 6) == 0)
		return false;
	memcpy(mac, m, 6);
	return true;
}

bool words_prefix(const char *s, uint8_t *ret_family, uint8_t addr[16], uint8_t *ret_bits)
{
	const char *slash = strchr(s, '/');
	size_t n = slash != NULL ? (size_t)(slash - s) : strlen(s);
	char text[INET6_ADDRSTRLEN];
	uint8_t a[16] = { 0 };
	bool v6 = memchr(s, ':', n) != NULL;
	uint64_t bits = v6 ? 128 : 32;

	if (n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, a) != 1)
		return false;
	if (slash != NULL && !words_number(slash + 1, 0, bits, &bits))
		return false;
	memcpy(addr, a, 16);
	*ret_family = v6 ? 6 : 4;
	*ret_bits = (uint8_t)bits;
	return true;
}

bool words_name(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (n == 0 || n >= max || !isalnum((unsigned char)s[0]))
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)
			return false;
	return true;
}
