/*
 * le.h - integers as they lie on the wire
 *
 * Wire structures are made of these and of uint8_t only: alignment 1, no
 * padding, and a forgotten swap does not compile.
 */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <stdint.h>
#include <string.h>

typedef struct { uint8_t b[2]; } le16;
typedef struct { uint8_t b[4]; } le32;
typedef struct { uint8_t b[8]; } le64;
typedef struct { uint8_t b[2]; } be16;
typedef struct { uint8_t b[4]; } be32;
typedef struct { uint8_t b[8]; } be64;

/* A GUID as Microsoft stores it: data1..3 little-endian, 8 raw bytes. */
struct guid {
	uint8_t b[16];
};

#define GUID_INIT(d1, d2, d3, a, b_, c, d, e, f, g, h) \
	{ { (uint8_t)(d1), (uint8_t)((d1) >> 8), (uint8_t)((d1) >> 16), (uint8_t)((d1) >> 24), \
	    (uint8_t)(d2), (uint8_t)((d2) >> 8), (uint8_t)(d3), (uint8_t)((d3) >> 8), \
	    a, b_, c, d, e, f, g, h } }

static inline uint16_t ld16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t ld32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t ld64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void st16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void st32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void st64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* The same, most significant byte first. */
static inline uint16_t ldbe16(const void *p) { return __builtin_bswap16(ld16(p)); }
static inline uint32_t ldbe32(const void *p) { return __builtin_bswap32(ld32(p)); }
static inline void stbe16(void *p, uint32_t v) { st16(p, __builtin_bswap16((uint16_t)v)); }
static inline void stbe32(void *p, uint32_t v) { st32(p, __builtin_bswap32(v)); }

static inline uint16_t le16_get(le16 v) { return ld16(v.b); }
static inline uint32_t le32_get(le32 v) { return ld32(v.b); }
static inline uint64_t le64_get(le64 v) { return ld64(v.b); }
static inline uint16_t be16_get(be16 v) { return __builtin_bswap16(ld16(v.b)); }
static inline uint32_t be32_get(be32 v) { return __builtin_bswap32(ld32(v.b)); }
static inline uint64_t be64_get(be64 v) { return __builtin_bswap64(ld64(v.b)); }

static inline le16 le16_of(uint16_t x) { le16 v; st16(v.b, x); return v; }
static inline le32 le32_of(uint32_t x) { le32 v; st32(v.b, x); return v; }
static inline le64 le64_of(uint64_t x) { le64 v; st64(v.b, x); return v; }
static inline be16 be16_of(uint16_t x) { be16 v; st16(v.b, __builtin_bswap16(x)); return v; }
static inline be32 be32_of(uint32_t x) { be32 v; st32(v.b, __builtin_bswap32(x)); return v; }
static inline be64 be64_of(uint64_t x) { be64 v; st64(v.b, __builtin_bswap64(x)); return v; }

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "x86-64 hosts only");

static inline int guid_eq(const struct guid *a, const struct guid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline int guid_is_zero(const struct guid *g)
{
	static const struct guid zero;

	return guid_eq(g, &zero);
}

#define GUID_TEXT_LEN 36
/* "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f"; BUF holds GUID_TEXT_LEN + 1. */
void guid_format(const struct guid *g, char buf[GUID_TEXT_LEN + 1]);
void guid_random(struct guid *ret_g);	/* version 4 */

#endif
