/*
 * ring.c - the two rings of an open channel
 *
 * A ring is a control page with two indices and a circular byte area that
 * the guest can rewrite at any moment.  Whoever publishes an index must not
 * lose a wakeup: publish, full barrier, then look at what the other side
 * wants.  The classic hang is a missing barrier there, and it needs a busy
 * machine to show.
 *
 * An empty ring and a full one would look the same, so the last 8 bytes are
 * never filled.
 *
 * Spec     Hyper-V virtual machine bus rings; indices are multiples of 8
 * Lock     none: a ring_in is its worker's, a ring_out is under its channel's lock
 */
#include "vmbus/ring.h"

#include "spec/vmbus.h"

#include <stdlib.h>

#define TRAILER ((uint32_t)sizeof(struct vmbus_pkt_trailer))
#define HDR ((uint32_t)sizeof(struct vmbus_pkt_hdr))
#define EXT ((uint32_t)sizeof(struct vmbus_pkt_ranges))

int pkt_buf_init(struct pkt_buf *b, uint32_t cap)
{
	b->cap = cap;
	b->bytes = new_array(uint8_t, cap);
	b->ranges = new_array(struct pkt_range, RING_MAX_RANGES);
	if (b->bytes == NULL || b->ranges == NULL) {
		pkt_buf_fini(b);
		return -ENOMEM;
	}
	return 0;
}

void pkt_buf_fini(struct pkt_buf *b)
{
	free(b->bytes);
	free(b->ranges);
	*b = (struct pkt_buf){ 0 };
}

/* The data area of a view, or 0 when it cannot be a ring. */
static uint32_t data_size(const struct gview *view)
{
	size_t n = gview_size(view);

	if (n < 2 * PAGE_SIZE || n > UINT32_MAX / 2)
		return 0;
	return (uint32_t)(n - PAGE_SIZE);
}

static int load_index(const struct gview *view, size_t at, uint32_t size, uint32_t *ret_index)
{
	uint32_t g;
	int rc = gview_load32(view, at, &g);

	if (rc < 0)
		return rc;
	if (g >= size || g % 8 != 0)
		return -EPROTO;
	*ret_index = g;
	return 0;
}

static int ring_copy_out(const struct gview *view, uint32_t size, uint32_t at, void *dst,
			 uint32_t n)
{
	uint32_t first = (uint32_t)min_u64(n, size - at);
	int rc = gview_read(view, RING_DATA + (size_t)at, dst, first);

	if (rc < 0 || first == n)
		return rc;
	return gview_read(view, RING_DATA, (uint8_t *)dst + first, n - first);
}

static int ring_copy_in(const struct gview *view, uint32_t size, uint32_t at, const void *src,
			uint32_t n)
{
	uint32_t first = (uint32_t)min_u64(n, size - at);
	int rc = gview_write(view, RING_DATA + (size_t)at, src, first);

	if (rc < 0 || first == n)
		return rc;
	return gview_write(view, RING_DATA, (const uint8_t *)src + first, n - first);
}

static uint32_t used_bytes(uint32_t in, uint32_t out, uint32_t size)
{
	return in >= out ? in - out : size - out + in;
}

/* Guest to host. */

int ring_in_init(struct ring_in *r, struct gview *view)
{
	uint32_t size = data_size(view), out;
	int rc;

	if (size == 0)
		return -EINVAL;
	rc = load_index(view, RING_OUT, size, &out);
	if (rc < 0)
		return rc;
	*r = (struct ring_in){ .view = view, .size = size, .out = out };
	return 0;
}

void ring_in_fini(struct ring_in *r)
{
	gview_free(r->view);
	*r = (struct ring_in){ 0 };
}

int ring_in_mask(struct ring_in *r, bool mask)
{
	return gview_store32(r->view, RING_MASK, mask);
}

int ring_in_ready(const struct ring_in *r)
{
	uint32_t in;
	int rc;

	/* After our store to the mask, before our look at the index. */
	ring_barrier();
	rc = load_index(r->view, RING_IN, r->size, &in);
	if (rc < 0)
		return rc;
	return in != r->out;
}

/*
 * Publishes the read index.  A guest that found the ring full has left the
 * number of bytes it waits for; it is told once, when its wish comes true.
 * The write index is read again: an older look could hide the crossing.
 */
static int ring_in_release(struct ring_in *r, uint32_t n, bool *ret_signal)
{
	uint32_t g_pending, in, free_now, pending;
	int rc;

	r->out = (r->out + n) % r->size;
	rc = gview_store32(r->view, RING_OUT, r->out);
	if (rc < 0)
		return rc;
	*ret_signal = false;
	ring_barrier();
	rc = gview_load32(r->view, RING_PENDING_SEND, &g_pending);
	if (rc < 0)
		return rc;
	pending = g_pending & ~7u;
	if (pending == 0)
		return 0;
	rc = load_index(r->view, RING_IN, r->size, &in);
	if (rc < 0)
		return rc;
	free_now = r->size - used_bytes(in, r->out, r->size);
	*ret_signal = free_now >= pending && free_now - n <= pending;
	return 0;
}

/*
 * The range list of a GPA-direct packet.  Its page numbers stay where they
 * are: BYTES is our copy already, and everything in it is 8-aligned.
 */
static int parse_gpa_ranges(struct pkt_buf *b, uint32_t at, uint32_t end, uint32_t g_nr)
{
	if (g_nr > RING_MAX_RANGES)
		return -EPROTO;
	for (uint32_t i = 0; i < g_nr; i++) {
		struct vmbus_range g;
		uint64_t pages;
		uint32_t len, off;

		if (end - at < sizeof(g))
			return -EPROTO;
		memcpy(&g, b->bytes + at, sizeof(g));
		at += (uint32_t)sizeof(g);
		len = le32_get(g.len);
		off = le32_get(g.offset);
		if (off >= PAGE_SIZE)
			return -EPROTO;
		pages = ((uint64_t)off + len + PAGE_MASK) >> PAGE_SHIFT;
		if (pages > (end - at) / sizeof(uint64_t))
			return -EPROTO;
		b->ranges[i] = (struct pkt_range){
			.len = len,
			.offset = off,
			.pfns = (const uint64_t *)(const void *)(b->bytes + at),
			.nr_pfns = (uint32_t)pages,
		};
		at += (uint32_t)(pages * sizeof(uint64_t));
	}
	return 0;
}

static int parse_xfer_ranges(struct pkt_buf *b, uint32_t at, uint32_t end, uint32_t g_nr)
{
	if (g_nr > RING_MAX_RANGES || (end - at) / sizeof(struct vmbus_range) < g_nr)
		return -EPROTO;
	for (uint32_t i = 0; i < g_nr; i++) {
		struct vmbus_range g;

		memcpy(&g, b->bytes + at + i * sizeof(g), sizeof(g));
		b->ranges[i] = (struct pkt_range){
			.len = le32_get(g.len),
			.offset = le32_get(g.offset),
		};
	}
	return 0;
}

/* B holds LEN bytes of packet; HDR was checked, its copy is at the start of B. */
static int ring_in_parse(struct pkt_buf *b, const struct vmbus_pkt_hdr *h, struct pkt *ret_pkt)
{
	uint32_t off = le16_get(h->offset8) * 8u, len = le16_get(h->len8) * 8u;
	uint16_t type = le16_get(h->type);
	struct vmbus_pkt_ranges g;
	uint32_t nr = 0;
	int rc = 0;

	if (type == VMPKT_GPA_DIRECT || type == VMPKT_XFER_PAGES) {
		if (off < HDR + EXT)
			return -EPROTO;
		memcpy(&g, b->bytes + HDR, sizeof(g));
		nr = le32_get(g.nr);
		rc = type == VMPKT_GPA_DIRECT ? parse_gpa_ranges(b, HDR + EXT, off, nr) :
						parse_xfer_ranges(b, HDR + EXT, off, nr);
	}
	if (rc < 0)
		return rc;
	*ret_pkt = (struct pkt){
		.type = type,
		.flags = le16_get(h->flags),
		.id = le64_get(h->id),
		.data = b->bytes + off,
		.len = len - off,
		.ranges = nr != 0 ? b->ranges : NULL,
		.nr_ranges = nr,
	};
	return 0;
}

int ring_in_next(struct ring_in *r, struct pkt_buf *b, struct pkt *ret_pkt, bool *ret_signal)
{
	struct vmbus_pkt_hdr g;
	uint32_t in, avail, len, off;
	struct pkt p;
	int rc;

	rc = load_index(r->view, RING_IN, r->size, &in);	/* the only look */
	if (rc < 0)
		return rc;
	avail = used_bytes(in, r->out, r->size);
	if (avail == 0)
		return -EAGAIN;
	if (avail < HDR + TRAILER)
		return -EPROTO;
	rc = ring_copy_out(r->view, r->size, r->out, &g, sizeof(g));
	if (rc < 0)
		return rc;
	len = le16_get(g.len8) * 8u;
	off = le16_get(g.offset8) * 8u;
	if (off < HDR || len < off || len > avail - TRAILER || len > b->cap)
		return -EPROTO;
	/* The copied header, not a second reading of it, opens our copy. */
	memcpy(b->bytes, &g, sizeof(g));
	rc = ring_copy_out(r->view, r->size, (r->out + HDR) % r->size, b->bytes + HDR, len - HDR);
	if (rc < 0)
		return rc;
	rc = ring_in_parse(b, &g, &p);
	if (rc < 0)
		return rc;
	rc = ring_in_release(r, len + TRAILER, ret_signal);
	if (rc < 0)
		return rc;
	*ret_pkt = p;
	return 0;
}

/* Host to guest. */

int ring_out_init(struct ring_out *r, struct gview *view)
{
	uint32_t size = data_size(view), in, g_features;
	int rc;

	if (size == 0)
		return -EINVAL;
	rc = load_index(view, RING_IN, size, &in);
	if (rc < 0)
		return rc;
	rc = gview_load32(view, RING_FEATURES, &g_features);
	if (rc < 0)
		return rc;
	/* We do use the pending send size: without the bit Linux would not look. */
	rc = gview_store32(view, RING_FEATURES, g_features | 1);
	if (rc < 0)
		return rc;
	*r = (struct ring_out){ .view = view, .size = size, .in = in };
	return 0;
}

void ring_out_fini(struct ring_out *r)
{
	gview_free(r->view);
	*r = (struct ring_out){ 0 };
}

/* Bytes of ring that a packet with BODY bytes after its header takes. */
static uint64_t packet_bytes(uint32_t body)
{
	return HDR + align_up(body, 8) + TRAILER;
}

bool ring_out_can_hold(const struct ring_out *r, uint32_t body)
{
	return packet_bytes(body) < r->size && (HDR + align_up(body, 8)) / 8 <= UINT16_MAX;
}

int ring_out_has_room(const struct ring_out *r, uint32_t body)
{
	uint32_t out;
	int rc;

	/* After a store to the pending send size, before the look at the index. */
	ring_barrier();
	rc = load_index(r->view, RING_OUT, r->size, &out);
	if (rc < 0)
		return rc;
	return r->size - used_bytes(r->in, out, r->size) > packet_bytes(body);
}

int ring_out_pending(const struct ring_out *r)
{
	uint32_t out;
	int rc = load_index(r->view, RING_OUT, r->size, &out);

	return rc < 0 ? rc : out != r->in;
}

int ring_out_want(struct ring_out *r, uint32_t body)
{
	return gview_store32(r->view, RING_PENDING_SEND, (uint32_t)packet_bytes(body));
}

int ring_out_unwant(struct ring_out *r)
{
	return gview_store32(r->view, RING_PENDING_SEND, 0);
}

/*
 * The guest is signalled only when it may have gone to sleep: it had read
 * everything before this packet, and it did not ask for silence.
 */
static int ring_out_publish(struct ring_out *r, uint32_t old_in, bool *ret_signal)
{
	uint32_t g_mask, g_out;
	int rc = gview_store32(r->view, RING_IN, r->in);

	if (rc < 0)
		return rc;
	ring_barrier();
	rc = gview_load32(r->view, RING_MASK, &g_mask);
	if (rc < 0)
		return rc;
	rc = gview_load32(r->view, RING_OUT, &g_out);
	if (rc < 0)
		return rc;
	*ret_signal = g_mask == 0 && g_out == old_in;
	return 0;
}

/* Offset of the payload: after the range list that opens a transfer-page body. */
static uint32_t payload_offset(const struct pkt *p)
{
	struct vmbus_pkt_ranges ext;
	uint64_t off;

	if (p->type != VMPKT_XFER_PAGES)
		return HDR;
	BUG_IF(p->len < sizeof(ext));
	memcpy(&ext, p->data, sizeof(ext));
	off = HDR + EXT + (uint64_t)le32_get(ext.nr) * sizeof(struct vmbus_range);
	BUG_IF(off > HDR + p->len);
	return (uint32_t)off;
}

int ring_out_put(struct ring_out *r, const struct pkt *p, bool *ret_signal)
{
	uint32_t padded = (uint32_t)align_up(p->len, 8), at = r->in, old_in = r->in;
	struct vmbus_pkt_hdr h = {
		.type = le16_of(p->type),
		.offset8 = le16_of((uint16_t)(payload_offset(p) / 8)),
		.len8 = le16_of((uint16_t)((HDR + padded) / 8)),
		.flags = le16_of(p->flags),
		.id = le64_of(p->id),
	};
	uint8_t tail[8 + sizeof(struct vmbus_pkt_trailer)] = { 0 };
	uint32_t pad = padded - p->len;
	int rc;

	BUG_IF(!ring_out_can_hold(r, p->len));
	rc = ring_out_has_room(r, p->len);
	if (rc <= 0)
		return rc < 0 ? rc : -EAGAIN;
	rc = ring_copy_in(r->view, r->size, at, &h, sizeof(h));
	if (rc < 0)
		return rc;
	at = (at + HDR) % r->size;
	rc = ring_copy_in(r->view, r->size, at, p->data, p->len);
	if (rc < 0)
		return rc;
	at = (at + p->len) % r->size;
	st32(tail + pad + offsetof(struct vmbus_pkt_trailer, start), old_in);
	rc = ring_copy_in(r->view, r->size, at, tail, pad + TRAILER);
	if (rc < 0)
		return rc;
	r->in = (at + pad + TRAILER) % r->size;
	return ring_out_publish(r, old_in, ret_signal);
}
