/*
 * base.h - the C that every room stands on
 *
 * Knows nothing of machines.  Everything here is usable from any thread.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define PAGE_SHIFT 12
#define PAGE_SIZE UINT64_C(4096)
#define PAGE_MASK (PAGE_SIZE - 1)
#define NS_PER_SEC UINT64_C(1000000000)

/*
 * We are wrong: a promise between our own functions was broken.  Always
 * compiled in; prints and aborts.  Never on anything that came from outside.
 */
#define BUG_IF(cond) \
	do { \
		if (unlikely(cond)) \
			base_bug(__FILE__, __LINE__, #cond); \
	} while (0)
NORETURN void base_bug(const char *file, int line, const char *what);

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t align_up(uint64_t v, uint64_t a)
{
	return (v + a - 1) & ~(a - 1);
}

static inline uint64_t align_down(uint64_t v, uint64_t a)
{
	return v & ~(a - 1);
}

/* A * B / C with a 128-bit product; C is not 0 and the result fits. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

/* Zeroed memory or NULL.  The caller frees with free(). */
void *base_new0(size_t size);
void *base_new_array(size_t nr, size_t size);	/* NULL too when nr * size wraps */
#define new0(type) ((type *)base_new0(sizeof(type)))
#define new_array(type, nr) ((type *)base_new_array((nr), sizeof(type)))

/*
 * Makes the N-th allocation from now (1 = the next) fail once; 0 = none.
 * For tests of the error paths of every _new and _open.
 */
void base_fail_alloc(unsigned n);

/* Nanoseconds of the host's monotonic clock. */
uint64_t base_monotonic_ns(void);

/* N bytes of the kernel's randomness; never fails once the system is up. */
void base_random(void *dst, size_t n);

/* CRC-32C (Castagnoli), init and xor-out all ones: the value of "123456789" is 0xe3069283. */
uint32_t base_crc32c(uint32_t crc, const void *buf, size_t n);

#endif
