/*
 * state.c - walks a device's table of numbered fields
 *
 * A stranger wrote the stream.  Nothing in it is used before it matches a row
 * of the table in tag, type and length; booleans must be 0 or 1, or the C
 * compiler's idea of them breaks.
 *
 * Lock     the device's
 */
#include "dev/state.h"

#include "base/le.h"

#include <sys/types.h>

#define HDR_LEN 8u		/* u16 tag, u16 type, u32 length */
#define END_LEN 2u		/* u16 0 */
#define MAX_FIELDS 256u

static size_t put(uint8_t *buf, size_t cap, size_t at, const void *src, size_t n)
{
	if (at <= cap && n <= cap - at)
		memcpy(buf + at, src, n);
	return at + n;
}

size_t state_save(const struct state_field *fields, const void *self, void *buf, size_t cap)
{
	const struct state_field *f;
	uint8_t hdr[HDR_LEN] = { 0 };
	size_t at = 0;

	for (f = fields; f != NULL && f->tag != 0; f++) {
		st16(hdr, f->tag);
		st16(hdr + 2, f->type);
		st32(hdr + 4, f->size);
		at = put(buf, cap, at, hdr, HDR_LEN);
		at = put(buf, cap, at, (const uint8_t *)self + f->offset, f->size);
	}
	st16(hdr, 0);
	return put(buf, cap, at, hdr, END_LEN);
}

/* The row of TAG, or NULL. */
static const struct state_field *row_of(const struct state_field *fields, uint16_t tag)
{
	const struct state_field *f;

	for (f = fields; f != NULL && f->tag != 0; f++) {
		BUG_IF(f - fields >= (ptrdiff_t)MAX_FIELDS);
		if (f->tag == tag)
			return f;
	}
	return NULL;
}

/* One field at P, N bytes left.  Its length with header, or -EBADMSG. */
static ssize_t load_field(const struct state_field *fields, void *self, const uint8_t *p,
			  size_t n, uint64_t seen[MAX_FIELDS / 64], struct err *err)
{
	const struct state_field *f;
	uint64_t bit, *word;
	uint16_t tag;

	if (n < HDR_LEN)
		return err_set(err, -EBADMSG, "saved state ends inside a field's header");
	tag = ld16(p);
	f = row_of(fields, tag);
	if (f == NULL)
		return err_set(err, -EBADMSG, "saved state has an unknown field %u", tag);
	if (ld16(p + 2) != f->type || ld32(p + 4) != f->size)
		return err_set(err, -EBADMSG, "saved state's field %s has type %u and %u bytes, "
			       "expected %u and %u",
			       f->name, ld16(p + 2), ld32(p + 4), f->type, f->size);
	if (n - HDR_LEN < f->size)
		return err_set(err, -EBADMSG, "saved state ends inside field %s", f->name);
	word = &seen[(f - fields) / 64];
	bit = UINT64_C(1) << (f - fields) % 64;
	if ((*word & bit) != 0)
		return err_set(err, -EBADMSG, "saved state has field %s twice", f->name);
	*word |= bit;
	if (f->type == STATE_BOOL && p[HDR_LEN] > 1)
		return err_set(err, -EBADMSG, "saved state's field %s is neither yes nor no",
			       f->name);
	memcpy((uint8_t *)self + f->offset, p + HDR_LEN, f->size);
	return (ssize_t)(HDR_LEN + f->size);
}

int state_load(const struct state_field *fields, void *self,
	       const void *buf, size_t n, struct err *err)
{
	uint64_t seen[MAX_FIELDS / 64] = { 0 };
	const uint8_t *p = buf;

	for (;;) {
		ssize_t len;

		if (n < END_LEN)
			return err_set(err, -EBADMSG, "saved state has no end");
		if (ld16(p) == 0)
			break;
		len = load_field(fields, self, p, n, seen, err);
		if (len < 0)
			return (int)len;
		p += len;
		n -= (size_t)len;
	}
	if (n != END_LEN)
		return err_set(err, -EBADMSG, "saved state goes on after its end");
	return 0;
}
