/*
 * ring_fuzz.c - a ring whose every byte is the guest's
 *
 * Input: page counts, the four index words of both rings, then what is put in
 * the data area of the ring that we read.  Between two packets the next input
 * bytes rewrite something, as a guest on another processor would.
 */
#include "vmbus/ring.h"

#include "base/log.h"
#include "spec/vmbus.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feed {
	const uint8_t *at;
	size_t left;
};

static uint32_t feed32(struct feed *f)
{
	uint32_t v = 0;

	memcpy(&v, f->at, min_u64(f->left, 4));
	f->at += min_u64(f->left, 4);
	f->left -= min_u64(f->left, 4);
	return v;
}

static struct gview *view_of(struct gmem *m, uint64_t first, size_t nr)
{
	uint64_t pfns[8];
	struct gview *v;

	for (size_t i = 0; i < nr; i++)
		pfns[i] = first + i;
	BUG_IF(gview_new(m, pfns, nr, &v) < 0);
	return v;
}

static volatile uint8_t sink;

/* Everything a device may look at is ours and in bounds. */
static void use(const struct pkt_buf *b, const struct pkt *p)
{
	const uint8_t *end = b->bytes + b->cap;

	BUG_IF(p->data < b->bytes || p->data > end || p->len > (size_t)(end - p->data));
	BUG_IF(p->nr_ranges > RING_MAX_RANGES);
	for (uint32_t i = 0; i < p->len; i++)
		sink = p->data[i];
	for (uint32_t i = 0; i < p->nr_ranges; i++) {
		const struct pkt_range *r = &p->ranges[i];
		uint64_t sum = 0;

		if (p->type != VMPKT_GPA_DIRECT)
			continue;
		BUG_IF(r->offset >= PAGE_SIZE);
		BUG_IF(r->nr_pfns != (r->offset + (uint64_t)r->len + PAGE_MASK) >> PAGE_SHIFT);
		for (uint32_t k = 0; k < r->nr_pfns; k++)
			sum += r->pfns[k];
		sink = (uint8_t)sum;
	}
}

static void read_side(struct gmem *m, struct feed *f, size_t pages, struct pkt_buf *b)
{
	struct gview *v = view_of(m, 0, pages);
	struct ring_in r;
	struct pkt p;
	bool signal;

	if (ring_in_init(&r, v) < 0) {
		gview_free(v);
		return;
	}
	for (int i = 0; i < 64; i++) {
		if (ring_in_next(&r, b, &p, &signal) < 0)
			break;
		BUG_IF(r.out >= r.size || r.out % 8 != 0);
		use(b, &p);
		if (f->left >= 8) {
			uint32_t where = feed32(f) % (uint32_t)(pages * PAGE_SIZE / 4) * 4;

			BUG_IF(gmem_store32(m, where, feed32(f)) < 0);
		}
	}
	(void)!ring_in_ready(&r);
	ring_in_fini(&r);
}

static void write_side(struct gmem *m, struct feed *f, size_t pages)
{
	static const uint8_t body[512];
	struct gview *v = view_of(m, 16, pages);
	struct ring_out r;
	bool signal;

	if (ring_out_init(&r, v) < 0) {
		gview_free(v);
		return;
	}
	for (int i = 0; i < 64 && f->left > 0; i++) {
		uint32_t g = feed32(f);
		struct pkt p = { .type = VMPKT_COMP, .data = body, .len = g % sizeof(body) };

		BUG_IF(gmem_store32(m, 16 * PAGE_SIZE + RING_OUT, g >> 9) < 0);
		if (!ring_out_can_hold(&r, p.len))
			continue;
		(void)!ring_out_put(&r, &p, &signal);
		(void)!ring_out_want(&r, p.len);
		BUG_IF(r.in >= r.size || r.in % 8 != 0);
	}
	ring_out_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gmem_range range = { 0, 32 * PAGE_SIZE };
	struct feed f = { data, size };
	struct pkt_buf b;
	struct gmem *m;
	uint32_t shape = feed32(&f);
	size_t in_pages = 1 + shape % 5, out_pages = 1 + (shape >> 8) % 5, n;

	BUG_IF(gmem_new(&range, 1, &m, NULL) < 0);
	BUG_IF(pkt_buf_init(&b, 4096) < 0);
	for (uint64_t at = 0; at < 16; at += 4) {
		BUG_IF(gmem_store32(m, at, feed32(&f)) < 0);
		BUG_IF(gmem_store32(m, 16 * PAGE_SIZE + at, feed32(&f)) < 0);
	}
	n = min_u64(f.left / 2, 4 * PAGE_SIZE);
	BUG_IF(gmem_write(m, PAGE_SIZE, f.at, n) < 0);
	f.at += n;
	f.left -= n;
	read_side(m, &f, in_pages, &b);
	write_side(m, &f, out_pages);
	pkt_buf_fini(&b);
	gmem_free(m);
	return 0;
}
