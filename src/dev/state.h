/*
 * state.h - saved state as a table of numbered fields
 *
 * One table saves, loads and inspects a device.  Tags are never reused.
 * Stream of one device: for each field u16 tag, u16 type, u32 length, bytes
 * (little-endian); ended by tag 0.
 */
#ifndef DEV_STATE_H
#define DEV_STATE_H

#include "base/base.h"
#include "base/err.h"

enum state_type { STATE_U8 = 1, STATE_U16, STATE_U32, STATE_U64, STATE_BOOL, STATE_BYTES };

struct state_field {
	uint16_t tag;
	uint16_t type;			/* enum state_type */
	uint32_t offset, size;		/* in the device's struct, bytes */
	const char *name;
};

#define STATE(tag_, stype, member) \
	{ .tag = (tag_), .offset = (uint32_t)offsetof(stype, member), \
	  .size = (uint32_t)sizeof(((stype *)0)->member), .name = #member, \
	  .type = _Generic(((stype *)0)->member, \
		bool: STATE_BOOL, uint8_t: STATE_U8, uint16_t: STATE_U16, \
		uint32_t: STATE_U32, uint64_t: STATE_U64, default: STATE_BYTES) }

/* Bytes needed, whether or not they fit in CAP. */
size_t state_save(const struct state_field *fields, const void *self, void *buf, size_t cap);
/*
 * A saved state is a stranger's file: -EBADMSG on a truncated stream, an
 * unknown or doubled tag, a wrong type or length.  A missing tag keeps the
 * value already in SELF.  SELF is unspecified after a failure.
 */
MUST_CHECK int state_load(const struct state_field *fields, void *self,
			  const void *buf, size_t n, struct err *err);

#endif
