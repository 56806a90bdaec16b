/*
 * gpadl.c - guest memory lent to a channel as a list of pages
 *
 * One header message and as many bodies as it takes; a body names only the
 * GPADL, and those of several GPADLs may interleave.  Some firmware pads its
 * bodies: what counts is the number of range bytes the header announced.
 *
 * The guest decides when, not how much: pages and GPADLs of a connection are
 * bounded by constants, counted from the header on.
 *
 * Spec     GpadlHeader, GpadlBody, GpadlTeardown
 * Missing  ranges that do not begin on a page: no guest makes them; refused
 * Lock     the table under vmbus.lock; a view dies while every worker is parked
 */
#include "vmbus/vmbus_priv.h"

#include <stdlib.h>

static struct gpadl **gpadl_slot(struct vmbus *b, uint32_t id)
{
	struct gpadl **at = &b->gpadls[id % GPADL_BUCKETS];

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void gpadl_free(struct gpadl *p)
{
	gview_free(p->view);
	free(p->buf);
	free(p);
}

/* Under b->lock. */
static struct gpadl *gpadl_unlink(struct vmbus *b, struct gpadl **at)
{
	struct gpadl *p = *at;

	*at = p->next;
	b->nr_gpadls--;
	b->nr_pages -= p->pages;
	return p;
}

static void gpadl_created(struct vmbus *b, uint32_t relid, uint32_t id, uint32_t status)
{
	struct vmbus_gpadl_created r = {
		.hdr.type = le32_of(VMBUS_GPADL_CREATED),
		.relid = le32_of(relid),
		.gpadl = le32_of(id),
		.status = le32_of(status),
	};

	if (status != NTSTATUS_SUCCESS)
		log_guest(&b->limit, "vmbus", "GPADL 0x%x of channel %u refused", id, relid);
	control_send(b, &r, sizeof(r));
}

/*
 * Turns the complete range buffer into a view.  The page numbers are moved
 * together in place: what is written lies never past what was read.
 */
static int gpadl_build(struct vmbus *b, struct gpadl *p)
{
	uint64_t *pfns = (uint64_t *)(void *)p->buf;
	uint32_t at = 0, nr = 0;
	bool ragged = false;

	for (uint32_t i = 0; i < p->nr_ranges; i++) {
		struct vmbus_range g;
		uint64_t pages;

		if (p->bytes - at < sizeof(g))
			return -EINVAL;
		memcpy(&g, p->buf + at, sizeof(g));
		at += (uint32_t)sizeof(g);
		pages = ((uint64_t)le32_get(g.len) + PAGE_MASK) >> PAGE_SHIFT;
		if (le32_get(g.offset) != 0 || pages == 0 || ragged)
			return -EINVAL;
		if (pages > (p->bytes - at) / sizeof(uint64_t))
			return -EINVAL;
		memmove(pfns + nr, p->buf + at, pages * sizeof(uint64_t));
		nr += (uint32_t)pages;
		at += (uint32_t)(pages * sizeof(uint64_t));
		ragged = le32_get(g.len) % PAGE_SIZE != 0;
	}
	return gview_new(b->mem, pfns, nr, &p->view);
}

/* Appends message bytes; answers when it is the last of them. */
static void gpadl_feed(struct vmbus *b, struct gpadl *p, const uint8_t *m, uint32_t n)
{
	uint32_t take = (uint32_t)min_u64(n, p->bytes - p->got);
	uint32_t relid = p->relid, id = p->id;
	int rc;

	memcpy(p->buf + p->got, m, take);
	p->got += take;
	if (p->got < p->bytes)
		return;
	pthread_mutex_lock(&b->lock);
	rc = gpadl_build(b, p);
	free(p->buf);
	p->buf = NULL;
	if (rc < 0)
		gpadl_free(gpadl_unlink(b, gpadl_slot(b, id)));
	pthread_mutex_unlock(&b->lock);
	gpadl_created(b, relid, id, rc < 0 ? NTSTATUS_INVALID_PARAMETER : NTSTATUS_SUCCESS);
}

/* Under b->lock.  NULL with a status when the header asks for too much. */
static struct gpadl *gpadl_begin(struct vmbus *b, const struct vmbus_gpadl_header *g,
				 uint32_t *ret_status)
{
	struct chan *c = offer_find(b, le32_get(g->relid));
	uint32_t bytes = le16_get(g->range_bytes), nr = le16_get(g->nr_ranges);
	struct gpadl **at = gpadl_slot(b, le32_get(g->gpadl)), *p;

	*ret_status = NTSTATUS_INVALID_PARAMETER;
	if (c == NULL || c->dev->gone || *at != NULL || nr == 0 || bytes % 8 != 0 || bytes / 16 < nr)
		return NULL;
	*ret_status = NTSTATUS_INSUFFICIENT_RESOURCES;
	if (bytes / 8 - nr > GPADL_MAX_PAGES || b->nr_gpadls >= GPADL_MAX_NR ||
	    bytes / 8 - nr > GPADL_MAX_TOTAL - b->nr_pages)
		return NULL;
	p = new0(struct gpadl);
	if (p == NULL)
		return NULL;
	p->buf = new_array(uint8_t, bytes);
	if (p->buf == NULL) {
		free(p);
		return NULL;
	}
	p->id = le32_get(g->gpadl);
	p->relid = c->relid;
	p->dev = c->dev;
	p->nr_ranges = nr;
	p->bytes = bytes;
	p->pages = bytes / 8 - nr;
	b->nr_gpadls++;
	b->nr_pages += p->pages;
	*at = p;
	return p;
}

void gpadl_on_header(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_gpadl_header g;
	struct gpadl *p;
	uint32_t status;

	memcpy(&g, m, sizeof(g));
	pthread_mutex_lock(&b->lock);
	p = gpadl_begin(b, &g, &status);
	pthread_mutex_unlock(&b->lock);
	if (p == NULL)
		gpadl_created(b, le32_get(g.relid), le32_get(g.gpadl), status);
	else
		gpadl_feed(b, p, m + sizeof(g), n - (uint32_t)sizeof(g));
}

void gpadl_on_body(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_gpadl_body g;
	struct gpadl *p;

	memcpy(&g, m, sizeof(g));
	pthread_mutex_lock(&b->lock);
	p = *gpadl_slot(b, le32_get(g.gpadl));
	pthread_mutex_unlock(&b->lock);
	if (p == NULL || p->buf == NULL) {
		log_guest(&b->limit, "vmbus", "body of GPADL 0x%x without a header",
			  le32_get(g.gpadl));
		return;
	}
	gpadl_feed(b, p, m + sizeof(g), n - (uint32_t)sizeof(g));
}

struct gpadl *gpadl_find_ready(struct vmbus *b, uint32_t id, uint32_t relid)
{
	struct gpadl *p = *gpadl_slot(b, id);

	return p != NULL && p->view != NULL && p->relid == relid ? p : NULL;
}

const struct gview *chan_gpadl(struct chan *c, uint32_t gpadl)
{
	struct vmbus *b = c->bus;
	const struct gview *v = NULL;
	struct gpadl *p;

	pthread_mutex_lock(&b->lock);
	p = *gpadl_slot(b, gpadl);
	if (p != NULL && p->dev == c->dev)
		v = p->view;
	pthread_mutex_unlock(&b->lock);
	return v;
}

struct gpadl_sweep {
	struct vmbus *bus;
	bool by_id;
	uint32_t id, relid;		/* relid 0: all */
};

static void gpadl_end(struct gpadl *p)
{
	const struct chan_ops *ops = p->dev->ops;

	if (p->view != NULL && ops->gpadl_gone != NULL)
		ops->gpadl_gone(p->dev->self, p->id);
	gpadl_free(p);
}

/* No worker runs: no device callback holds a view. */
static void gpadl_sweep(void *arg)
{
	struct gpadl_sweep *s = arg;
	struct vmbus *b = s->bus;

	pthread_mutex_lock(&b->lock);
	for (unsigned i = 0; i < GPADL_BUCKETS; i++) {
		struct gpadl **at = &b->gpadls[i];

		while (*at != NULL) {
			bool hit = s->by_id ? (*at)->id == s->id :
					      s->relid == 0 || (*at)->relid == s->relid;

			if (hit)
				gpadl_end(gpadl_unlink(b, at));
			else
				at = &(*at)->next;
		}
	}
	pthread_mutex_unlock(&b->lock);
}

void gpadl_drop(struct vmbus *b, uint32_t relid)
{
	struct gpadl_sweep s = { .bus = b, .relid = relid };

	vworker_run_parked(b, gpadl_sweep, &s);
}

void gpadl_on_teardown(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_gpadl_torndown r = { .hdr.type = le32_of(VMBUS_GPADL_TORNDOWN) };
	struct vmbus_gpadl_teardown g;
	struct gpadl_sweep s = { .bus = b, .by_id = true };
	struct chan *c;

	(void)n;
	memcpy(&g, m, sizeof(g));
	s.id = le32_get(g.gpadl);
	pthread_mutex_lock(&b->lock);
	c = offer_find(b, le32_get(g.relid));
	pthread_mutex_unlock(&b->lock);
	/* Tearing the rings away under an open channel: nobody does it by accident. */
	if (c != NULL && c->open && c->gpadl == s.id)
		chan_fail_now(c);
	vworker_run_parked(b, gpadl_sweep, &s);
	r.gpadl = g.gpadl;
	control_send(b, &r, sizeof(r));
}
