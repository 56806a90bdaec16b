/*
 * lane.c - frames from one process to another, through memory that both can write
 *
 * Going to sleep: the reader says so, then looks once more; the writer writes,
 * then looks whether the reader sleeps.  All four steps are sequentially
 * consistent, so one of them sees the other.  Room is asked for in the same
 * way.
 *
 * Lock     the caller's, one for each side
 */
#include "net/lane.h"

#include <string.h>

#define ALIGN 16u
#define SKIP (UINT32_C(1) << 31)	/* in flags: the rest until the end is nothing */
#define FLAGS_ALL (FRAME_TAGGED | FRAME_SUM_IP | FRAME_SUM_L4 | FRAME_SUM_OK | FRAME_LSO)

struct record {
	uint32_t len, flags;
	uint16_t tci, l4_at, mss, rsvd0;
};
_Static_assert(sizeof(struct record) == ALIGN, "fits wherever a record may begin");

static uint32_t record_size(uint32_t len)
{
	return (uint32_t)align_up(sizeof(struct record) + len, ALIGN);
}

void lane_tx_init(struct lane_tx *l, void *mem)
{
	*l = (struct lane_tx){ .m = mem };
}

void lane_rx_init(struct lane_rx *l, void *mem)
{
	*l = (struct lane_rx){ .m = mem };
}

/* Looks how far the reader is; false: it cannot be there. */
static bool see_tail(struct lane_tx *l)
{
	uint32_t g_tail = atomic_load(&l->m->tail);

	/* Behind what we saw before, or ahead of what we wrote. */
	if (l->head - g_tail > l->head - l->tail || g_tail % ALIGN != 0)
		return false;
	l->tail = g_tail;
	return true;
}

/* Is there room for SIZE bytes in one piece?  *RET_SKIP: those to leave out before it. */
static bool has_room(const struct lane_tx *l, uint32_t size, uint32_t *ret_skip)
{
	uint32_t rest = LANE_BYTES - l->head % LANE_BYTES, room = LANE_BYTES - (l->head - l->tail);

	*ret_skip = rest < size ? rest : 0;
	return room >= size + *ret_skip;
}

static int find_room(struct lane_tx *l, uint32_t size, uint32_t *ret_skip)
{
	if (has_room(l, size, ret_skip))
		return 0;
	if (!see_tail(l))
		return -EPROTO;
	if (has_room(l, size, ret_skip))
		return 0;
	/* What was put before must be seen, or nobody will make room. */
	atomic_store_explicit(&l->m->head, l->head, memory_order_release);
	atomic_store(&l->m->wants_room, 1);
	if (!see_tail(l))
		return -EPROTO;
	return has_room(l, size, ret_skip) ? 0 : -EAGAIN;
}

int lane_put(struct lane_tx *l, const struct net_frame *f)
{
	struct record r = { .len = f->len, .flags = f->flags & FLAGS_ALL, .tci = f->tci, .l4_at = f->l4_at,
			    .mss = f->mss };
	uint32_t size = record_size(f->len), skip, done = 0;
	uint8_t *at;
	int rc;

	if (f->len > LANE_FRAME_MAX || f->len < ETH_HLEN)
		return -EMSGSIZE;
	rc = find_room(l, size, &skip);
	if (rc < 0)
		return rc;
	if (skip != 0) {
		const struct record s = { .flags = SKIP };

		memcpy(l->m->data + l->head % LANE_BYTES, &s, sizeof(s));
		l->head += skip;
	}
	at = l->m->data + l->head % LANE_BYTES;
	memcpy(at, &r, sizeof(r));
	for (uint32_t i = 0; i < f->nr_iov; i++) {
		BUG_IF(f->iov[i].iov_len > f->len - done);	/* pieces that do not add up */
		memcpy(at + sizeof(r) + done, f->iov[i].iov_base, f->iov[i].iov_len);
		done += (uint32_t)f->iov[i].iov_len;
	}
	BUG_IF(done != f->len);
	l->head += size;
	return 0;
}

bool lane_publish(struct lane_tx *l)
{
	atomic_store(&l->m->head, l->head);
	return atomic_load(&l->m->sleeps) != 0 && atomic_exchange(&l->m->sleeps, 0) != 0;
}

static bool see_head(struct lane_rx *l)
{
	uint32_t g_head = atomic_load_explicit(&l->m->head, memory_order_acquire);

	if (g_head - l->tail > LANE_BYTES || g_head - l->tail < l->head - l->tail || g_head % ALIGN != 0)
		return false;
	l->head = g_head;
	return true;
}

/* The one look at a record. */
static struct record fetch(const uint8_t *at)
{
	const _Atomic uint64_t *g = (const _Atomic uint64_t *)(const void *)at;
	uint64_t both[2];
	struct record r;

	both[0] = atomic_load_explicit(&g[0], memory_order_relaxed);
	both[1] = atomic_load_explicit(&g[1], memory_order_relaxed);
	memcpy(&r, both, sizeof(r));
	return r;
}

int lane_peek(struct lane_rx *l, struct net_frame *f, struct iovec *iov)
{
	uint32_t pos = l->tail;

	l->nr = 0;
	if (!see_head(l))
		return -EPROTO;
	while (l->nr < LANE_BATCH && pos != l->head) {
		uint32_t at = pos % LANE_BYTES, rest = LANE_BYTES - at, avail = l->head - pos, size;
		struct record g = fetch(l->m->data + at);

		if (g.flags & SKIP) {
			if (rest >= avail)	/* a frame follows */
				return -EPROTO;
			pos += rest;
			continue;
		}
		if (g.len < ETH_HLEN || g.len > LANE_FRAME_MAX)
			return -EPROTO;
		size = record_size(g.len);
		if (size > avail || size > rest)
			return -EPROTO;
		iov[l->nr] = (struct iovec){ l->m->data + at + sizeof(g), g.len };
		f[l->nr] = (struct net_frame){
			.iov = &iov[l->nr], .nr_iov = 1, .len = g.len, .flags = g.flags & FLAGS_ALL,
			.tci = g.tci, .l4_at = g.l4_at, .mss = g.mss,
		};
		pos += size;
		l->end[l->nr++] = pos;
	}
	return (int)l->nr;
}

bool lane_done(struct lane_rx *l, unsigned nr)
{
	BUG_IF(nr > l->nr);
	if (nr == 0)
		return false;
	l->tail = l->end[nr - 1];
	l->nr = 0;
	atomic_store(&l->m->tail, l->tail);
	/* Half of it, so that the writer is not woken for every frame. */
	return l->head - l->tail <= LANE_BYTES / 2 && atomic_load(&l->m->wants_room) != 0 &&
	       atomic_exchange(&l->m->wants_room, 0) != 0;
}

bool lane_sleep(struct lane_rx *l)
{
	atomic_store(&l->m->sleeps, 1);
	if (atomic_load(&l->m->head) == l->tail)
		return true;
	lane_awake(l);
	return false;
}

void lane_awake(struct lane_rx *l)
{
	atomic_store_explicit(&l->m->sleeps, 0, memory_order_relaxed);
}
