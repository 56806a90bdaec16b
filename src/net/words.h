/*
 * words.h - the small words that options are made of
 *
 * Each takes the whole of S or says false, and then leaves its results alone.
 */
#ifndef NET_WORDS_H
#define NET_WORDS_H

#include "base/base.h"

/* The next word of a list with commas, in place; a comma in a word is written twice.  NULL: no more. */
char *words_next(char **rest);

MUST_CHECK bool words_number(const char *s, uint64_t min, uint64_t max, uint64_t *ret_n);
/* "on" or "off". */
MUST_CHECK bool words_on(const char *s, bool *ret_on);
/* "100M", "1G", "64k", "1500", each perhaps with "bit" behind it: bits a second, k = 1000. */
MUST_CHECK bool words_rate(const char *s, uint64_t *ret_bps);
/* "00:15:5d:01:02:03", or with dashes; one station's. */
MUST_CHECK bool words_mac(const char *s, uint8_t mac[6]);
/* "10.0.0.0/8", "fe80::/10", or without length: family 4 or 6, 4 or 16 bytes, bits that count. */
MUST_CHECK bool words_prefix(const char *s, uint8_t *ret_family, uint8_t addr[16], uint8_t *ret_bits);
/* A name of a switch or a port: a letter or digit, then those and . _ -; shorter than MAX. */
MUST_CHECK bool words_name(const char *s, size_t max);

#endif
