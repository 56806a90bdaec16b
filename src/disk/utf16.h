/*
 * utf16.h - names of files as Windows stores them
 */
#ifndef DISK_UTF16_H
#define DISK_UTF16_H

#include "base/base.h"

/*
 * LEN bytes of UTF-16 at SRC, up to a NUL or the end, as UTF-8 with a NUL.
 * -EINVAL: no text (half a pair, a control character); -ENAMETOOLONG.
 */
MUST_CHECK int utf16_read(const uint8_t *src, size_t len, bool big, char *dst, size_t cap);

/* TEXT without its NUL; *ret_len bytes.  -EINVAL: not UTF-8; -ENAMETOOLONG. */
MUST_CHECK int utf16_write(const char *text, bool big, uint8_t *dst, size_t cap, size_t *ret_len);

#endif
