/*
 * base.c - allocation, clock, randomness, checksums, GUIDs, errors
 *
 * Spec     CRC-32C: RFC 3720 appendix B.4
 * Lock     none; the allocation fault counter is atomic
 */
#include "base/base.h"

#include "base/err.h"
#include "base/le.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static _Atomic unsigned fail_alloc;

void base_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "\r\ngenvisor: BUG at %s:%d: %s\r\n", file, line, what);
	abort();
}

void base_fail_alloc(unsigned n)
{
	atomic_store(&fail_alloc, n);
}

static bool alloc_must_fail(void)
{
	unsigned n = atomic_load(&fail_alloc);

	/* Never below 0, whatever other threads allocate meanwhile. */
	while (n > 0 && !atomic_compare_exchange_weak(&fail_alloc, &n, n - 1))
		;
	return n == 1;
}

void *base_new0(size_t size)
{
	return alloc_must_fail() ? NULL : calloc(1, size);
}

void *base_new_array(size_t nr, size_t size)
{
	return alloc_must_fail() ? NULL : calloc(nr ? nr : 1, size);
}

uint64_t base_monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

void base_random(void *dst, size_t n)
{
	uint8_t *p = dst;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		BUG_IF(got < 0 && errno != EINTR);
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}

__attribute__((target("sse4.2")))
static uint32_t crc32c_sse(uint32_t crc, const uint8_t *p, size_t n)
{
	uint64_t c = crc;

	for (; n >= 8; p += 8, n -= 8)
		c = __builtin_ia32_crc32di(c, ld64(p));
	for (; n > 0; p++, n--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p);
	return (uint32_t)c;
}

static uint32_t crc32c_bits(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n > 0; p++, n--) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

uint32_t base_crc32c(uint32_t crc, const void *buf, size_t n)
{
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse(~crc, buf, n);
	return ~crc32c_bits(~crc, buf, n);
}

void guid_format(const struct guid *g, char buf[GUID_TEXT_LEN + 1])
{
	const uint8_t *b = g->b;

	snprintf(buf, GUID_TEXT_LEN + 1,
		 "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 ld32(b), ld16(b + 4), ld16(b + 6), b[8], b[9],
		 b[10], b[11], b[12], b[13], b[14], b[15]);
}

void guid_random(struct guid *ret_g)
{
	base_random(ret_g->b, sizeof(ret_g->b));
	ret_g->b[7] = (uint8_t)((ret_g->b[7] & 0x0f) | 0x40);
	ret_g->b[8] = (uint8_t)((ret_g->b[8] & 0x3f) | 0x80);
}

void err_fill(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
}

int err_prefix(struct err *err, int rc, const char *prefix)
{
	char old[sizeof(err->msg)];

	if (err == NULL)
		return rc;
	memcpy(old, err->msg, sizeof(old));
	old[sizeof(old) - 1] = '\0';
	return err_set(err, rc, "%.200s: %.300s", prefix, old);
}
