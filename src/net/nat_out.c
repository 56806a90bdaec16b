/*
 * nat_out.c - frames to the guests, gathered and sent together
 *
 * The library gives frames one by one while it looks at its sockets; they
 * are kept until it is done and go to the switch in one call, so that a guest
 * is interrupted once.  What the switch does not take stays here, and while
 * anything stays, no socket is read: the senders on the host wait, nothing
 * is lost.  Answers to what the guest sends meanwhile are kept as long as
 * there is room; TCP sends again what is dropped then.
 *
 * Lock     none, the NAT's thread
 */
#include "net/nat_priv.h"

#include <string.h>

#define BATCH 32u

void nat_out_put(struct nat *n, const void *frame, size_t len)
{
	struct nat_out *o = &n->out;

	if (len < ETH_HLEN || len > NET_LSO_MAX)
		return;
	if (!nat_fits(frame, (uint32_t)len)) {
		if (!nat_fragment(n, frame, (uint32_t)len))
			n->stats.tx_long++;
		return;
	}
	if ((o->nr == NAT_OUT_FRAMES || len > NAT_OUT_BYTES - o->used) && !o->blocked)
		nat_out_flush(n);
	if (o->nr == NAT_OUT_FRAMES || len > NAT_OUT_BYTES - o->used) {
		n->stats.tx_full++;
		return;
	}
	memcpy(o->buf + o->used, frame, len);
	o->f[o->nr].at = o->used;
	o->f[o->nr].len = (uint32_t)len;
	o->nr++;
	o->used += (uint32_t)len;
}

/* Every checksum was made by the library over what it holds itself; of a large send, they are void. */
static unsigned send_some(struct nat *n, unsigned nr)
{
	struct nat_out *o = &n->out;
	struct net_frame f[BATCH];
	struct iovec iov[BATCH];

	for (unsigned i = 0; i < nr; i++) {
		uint32_t len = o->f[o->first + i].len;
		uint8_t *b = o->buf + o->f[o->first + i].at;

		iov[i] = (struct iovec){ b, len };
		f[i] = (struct net_frame){ .iov = &iov[i], .nr_iov = 1, .len = len, .flags = FRAME_SUM_OK };
		(void)nat_large(&n->guests, b, len, &f[i]);
	}
	nr = port_send(n->port, f, nr);
	for (unsigned i = 0; i < nr; i++)
		n->stats.tx_bytes += f[i].len;
	n->stats.tx += nr;
	return nr;
}

/* What is left moves to the front, so that there is one piece of room behind it. */
static void close_gap(struct nat_out *o)
{
	uint32_t at = o->f[o->first].at;

	if (o->first == 0)
		return;
	o->nr -= o->first;
	o->used -= at;
	memmove(o->buf, o->buf + at, o->used);
	memmove(o->f, o->f + o->first, o->nr * sizeof(o->f[0]));
	for (uint32_t i = 0; i < o->nr; i++)
		o->f[i].at -= at;
	o->first = 0;
}

void nat_out_flush(struct nat *n)
{
	struct nat_out *o = &n->out;
	unsigned want, took;

	while (o->first < o->nr) {
		want = (unsigned)min_u64(o->nr - o->first, BATCH);
		took = send_some(n, want);
		o->first += took;
		if (took < want) {
			o->blocked = true;
			close_gap(o);
			return;
		}
	}
	o->blocked = false;
	o->first = o->nr = o->used = 0;
}
