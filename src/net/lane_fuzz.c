/*
 * lane_fuzz.c - the other process, hostile, between any two steps of ours
 *
 * Input: steps of {what, a, b u16, c u32}: it writes anywhere in the memory, or
 * we send, read, sleep.  What we read lies in the memory, whole; what we say
 * we have written or read never goes back.
 */
#include "base/le.h"
#include "net/lane.h"

#include <stdlib.h>
#include <string.h>

#define STEP 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(4096) uint8_t mem[LANE_SIZE];
static uint8_t bytes[LANE_FRAME_MAX];

static void hostile(const uint8_t *s)
{
	struct lane_shared *m = (struct lane_shared *)(void *)mem;
	uint32_t v = ld32(s + 4), at = ld16(s + 2);

	switch (s[1] % 4) {
	case 0: atomic_store(&m->head, v); break;
	case 1: atomic_store(&m->tail, v); break;
	case 2: memcpy(m->data + at * 16, &v, 4); break;		/* a length */
	default: memcpy(m->data + at * 16 + 4, &v, 4); break;	/* flags */
	}
}

static void check_frames(const struct net_frame *f, int n)
{
	for (int i = 0; i < n; i++) {
		const uint8_t *at = f[i].iov->iov_base;

		BUG_IF(f[i].nr_iov != 1 || f[i].iov->iov_len != f[i].len);
		BUG_IF(f[i].len < ETH_HLEN || f[i].len > LANE_FRAME_MAX);
		BUG_IF(at < mem + 4096 || f[i].len > (size_t)(mem + LANE_SIZE - at));
	}
}

/* False: we would close the link. */
static bool step(struct lane_tx *tx, struct lane_rx *rx, const uint8_t *s)
{
	uint32_t len = ld16(s + 2) + (s[1] & 1 ? 60000u : 0);
	struct iovec in = { bytes, len }, iov[LANE_BATCH];
	struct net_frame out = { .iov = &in, .nr_iov = 1, .len = len }, f[LANE_BATCH];
	int n;

	switch (s[0] % 5) {
	case 0:
		if (len <= LANE_FRAME_MAX)
			return lane_put(tx, &out) != -EPROTO;
		return true;
	case 1:
		(void)!lane_publish(tx);
		return true;
	case 2:
		n = lane_peek(rx, f, iov);
		check_frames(f, n);
		if (n > 0)
			(void)!lane_done(rx, (unsigned)(s[1] % (n + 1)));
		return n >= 0;
	case 3:
		if (lane_sleep(rx))
			lane_awake(rx);
		return true;
	default:
		hostile(s);
		return true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lane_tx tx;
	struct lane_rx rx;

	memset(mem, 0, 4096 + 65536);
	lane_tx_init(&tx, mem);
	lane_rx_init(&rx, mem);
	/* Two ends of one lane here; a peer of its own has the hostile steps. */
	for (size_t at = 0; size - at >= STEP; at += STEP)
		if (!step(&tx, &rx, data + at))
			break;
	return 0;
}
