/*
 * frame.c - the bytes of a frame that lies in pieces
 *
 * Lock     none; usable from any thread
 */
#include "net/frame.h"

#include <string.h>

bool frame_copy(const struct net_frame *f, uint32_t off, void *dst, uint32_t n)
{
	uint8_t *to = dst;

	if (off > f->len || n > f->len - off)
		return false;
	for (uint32_t i = 0; i < f->nr_iov && n > 0; i++) {
		size_t piece = f->iov[i].iov_len, m;

		if (off >= piece) {
			off -= (uint32_t)piece;
			continue;
		}
		m = min_u64(piece - off, n);
		memcpy(to, (const uint8_t *)f->iov[i].iov_base + off, m);
		to += m;
		n -= (uint32_t)m;
		off = 0;
	}
	BUG_IF(n != 0);			/* len is more than the pieces have */
	return true;
}

uint32_t frame_slice(const struct net_frame *f, uint32_t off, struct iovec *ret_iov)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < f->nr_iov; i++) {
		size_t piece = f->iov[i].iov_len;

		if (off >= piece) {
			off -= (uint32_t)piece;
			continue;
		}
		ret_iov[nr++] = (struct iovec){ (uint8_t *)f->iov[i].iov_base + off, piece - off };
		off = 0;
	}
	return nr;
}
