/*
 * fake_guest.c - a guest for tests
 *
 * Follows what drivers do, not what our host does: a write index, a barrier,
 * a look at the mask.  Message sequences are the callers'.
 *
 * Lock     fake_guest.lock for what the bus delivers; else one thread
 */
#include "vmbus/fake_guest.h"

#include "vmbus/ring.h"

#include <stdlib.h>
#include <unistd.h>

#define WAIT_NS (4 * NS_PER_SEC)
#define MEM_BYTES (64 * MIB)

static int on_message(void *self, unsigned vp, unsigned sint, const void *m, size_t n)
{
	struct fake_guest *g = self;
	int rc = 0;

	pthread_mutex_lock(&g->lock);
	if (g->refuse != 0) {
		g->refuse--;
		rc = -ENOBUFS;
	} else if (g->nr == FG_MAX_MSGS) {
		rc = -ENOBUFS;
	} else {
		struct fg_msg *slot = &g->msgs[(g->first + g->nr++) % FG_MAX_MSGS];

		*slot = (struct fg_msg){ .vp = vp, .sint = sint, .len = n };
		memcpy(slot->bytes, m, n);
	}
	pthread_mutex_unlock(&g->lock);
	return rc;
}

static void on_event(void *self, unsigned vp, unsigned sint, unsigned flag)
{
	struct fake_guest *g = self;

	(void)sint;
	BUG_IF(vp >= FG_VPS || flag >= VMBUS_MAX_RELID);
	pthread_mutex_lock(&g->lock);
	g->events[vp][flag]++;
	pthread_mutex_unlock(&g->lock);
}

static const struct vmbus_port fg_port = { .message = on_message, .event = on_event };

int fg_new(struct fake_guest *g, uint32_t max_version, unsigned workers)
{
	struct gmem_range range = { 0, MEM_BYTES };
	struct vmbus_conf conf = {
		.nr_vps = FG_VPS,
		.workers = workers,
		.max_version = max_version,
		.port = &fg_port,
		.self = g,
	};
	int rc;

	*g = (struct fake_guest){ .next_gpa = PAGE_SIZE * 16, .next_gpadl = 0xe1e10 };
	pthread_mutex_init(&g->lock, NULL);
	g->msgs = new_array(struct fg_msg, FG_MAX_MSGS);
	rc = g->msgs != NULL ? gmem_new(&range, 1, &g->mem, NULL) : -ENOMEM;
	if (rc < 0)
		return rc;
	conf.mem = g->mem;
	return vmbus_new(&conf, &g->bus, NULL);
}

void fg_free(struct fake_guest *g)
{
	vmbus_free(g->bus);
	gmem_free(g->mem);
	free(g->msgs);
	pthread_mutex_destroy(&g->lock);
}

uint64_t fg_alloc(struct fake_guest *g, size_t pages)
{
	uint64_t gpa = g->next_gpa;

	g->next_gpa += pages * PAGE_SIZE;
	BUG_IF(g->next_gpa > MEM_BYTES);
	return gpa;
}

uint16_t fg_post(struct fake_guest *g, const void *m, size_t n)
{
	uint16_t status;

	/* As drivers do: no room now is not an error. */
	while ((status = vmbus_post(g->bus, 0, g->conn, 1, m, n)) == 0x13)
		usleep(100);
	return status;
}

static bool take(struct fake_guest *g, struct fg_msg *ret_m)
{
	bool got;

	pthread_mutex_lock(&g->lock);
	got = g->nr != 0;
	if (got) {
		*ret_m = g->msgs[g->first];
		g->first = (g->first + 1) % FG_MAX_MSGS;
		g->nr--;
	}
	pthread_mutex_unlock(&g->lock);
	return got;
}

int fg_next(struct fake_guest *g, struct fg_msg *ret_m)
{
	uint64_t end = base_monotonic_ns() + WAIT_NS;

	while (!take(g, ret_m)) {
		if (base_monotonic_ns() > end)
			return -ETIMEDOUT;
		usleep(50);
	}
	return 0;
}

int fg_expect(struct fake_guest *g, uint32_t type, struct fg_msg *ret_m)
{
	int rc = fg_next(g, ret_m);

	if (rc == 0 && (ret_m->len < 8 || ld32(ret_m->bytes) != type ||
			ld32(ret_m->bytes + 4) != 0))
		rc = -EPROTO;
	return rc;
}

bool fg_silent(struct fake_guest *g)
{
	bool empty;

	usleep(20000);
	pthread_mutex_lock(&g->lock);
	empty = g->nr == 0;
	pthread_mutex_unlock(&g->lock);
	return empty;
}

int fg_contact(struct fake_guest *g, uint32_t conn, uint32_t version, uint32_t vp)
{
	struct vmbus_contact m = {
		.hdr.type = le32_of(VMBUS_INITIATE_CONTACT),
		.version = le32_of(version),
		.target_vp = le32_of(vp),
	};
	struct fg_msg r;
	int rc;

	if (version >= VMBUS_V5_0) {
		m.u.target.sint = VMBUS_SINT;
	} else {
		if (g->int_page == 0)
			g->int_page = (uint32_t)fg_alloc(g, 1);
		m.u.interrupt_page = le64_of(g->int_page);
		m.monitor_page[0] = le64_of(fg_alloc(g, 1));
		m.monitor_page[1] = le64_of(fg_alloc(g, 1));
	}
	g->conn = conn;
	if (fg_post(g, &m, sizeof(m)) != 0)
		return -ENOENT;
	rc = fg_expect(g, VMBUS_VERSION_RESPONSE, &r);
	if (rc < 0)
		return rc;
	if (r.len != (version >= VMBUS_V6_0 ? 20 : 16) || r.vp != (version >= VMBUS_V3_0 ? vp : 0))
		return -EPROTO;
	if (r.bytes[8] == 1 && r.bytes[9] == 0 && version >= VMBUS_V5_0)
		g->conn = ld32(r.bytes + 12);
	return r.bytes[8] == 1 && r.bytes[9] == 0;
}

int fg_offers(struct fake_guest *g, struct vmbus_offer *offers, int max)
{
	struct vmbus_hdr m = { .type = le32_of(VMBUS_REQUEST_OFFERS) };
	int nr = 0;

	if (fg_post(g, &m, sizeof(m)) != 0)
		return -EIO;
	for (;;) {
		struct fg_msg r;
		int rc = fg_next(g, &r);

		if (rc < 0)
			return rc;
		if (ld32(r.bytes) == VMBUS_ALL_OFFERS_DELIVERED)
			return nr;
		if (ld32(r.bytes) != VMBUS_OFFER_CHANNEL || r.len != sizeof(*offers) || nr == max)
			return -EPROTO;
		memcpy(&offers[nr++], r.bytes, sizeof(*offers));
	}
}

int64_t fg_gpadl(struct fake_guest *g, uint32_t relid, uint32_t id, uint64_t gpa, uint32_t pages)
{
	uint8_t m[VMBUS_MSG_MAX] = { 0 };
	uint32_t done = 0, n, at;
	struct fg_msg r;
	int rc;

	st32(m, VMBUS_GPADL_HEADER);
	st32(m + 8, relid);
	st32(m + 12, id);
	st16(m + 16, (uint16_t)(8 + 8 * pages));
	st16(m + 18, 1);
	st32(m + 20, (uint32_t)(pages * PAGE_SIZE));
	for (at = 28, n = 0; n < 26 && done < pages; n++, done++, at += 8)
		st64(m + at, (gpa >> PAGE_SHIFT) + done);
	if (fg_post(g, m, at) != 0)
		return -EIO;
	while (done < pages) {
		memset(m, 0, sizeof(m));
		st32(m, VMBUS_GPADL_BODY);
		st32(m + 12, id);
		for (at = 16, n = 0; n < 28 && done < pages; n++, done++, at += 8)
			st64(m + at, (gpa >> PAGE_SHIFT) + done);
		if (fg_post(g, m, at) != 0)
			return -EIO;
	}
	rc = fg_expect(g, VMBUS_GPADL_CREATED, &r);
	if (rc < 0)
		return rc;
	if (r.len != 20 || ld32(r.bytes + 8) != relid || ld32(r.bytes + 12) != id)
		return -EPROTO;
	return ld32(r.bytes + 16);
}

int fg_gpadl_teardown(struct fake_guest *g, uint32_t relid, uint32_t id)
{
	struct vmbus_gpadl_teardown m = {
		.hdr.type = le32_of(VMBUS_GPADL_TEARDOWN),
		.relid = le32_of(relid),
		.gpadl = le32_of(id),
	};
	struct fg_msg r;
	int rc;

	if (fg_post(g, &m, sizeof(m)) != 0)
		return -EIO;
	rc = fg_expect(g, VMBUS_GPADL_TORNDOWN, &r);
	if (rc < 0)
		return rc;
	return r.len == 12 && ld32(r.bytes + 8) == id ? 0 : -EPROTO;
}

int64_t fg_open(struct fake_guest *g, uint32_t relid, uint32_t pages, uint32_t vp,
		struct fg_chan *ret_c)
{
	struct fg_chan c = {
		.relid = relid,
		.gpadl = g->next_gpadl++,
		.conn = VMBUS_CONN_CHANNEL + relid,
		.pages = 2 * pages,
		.down = pages,
	};
	struct vmbus_open m = {
		.hdr.type = le32_of(VMBUS_OPEN_CHANNEL),
		.relid = le32_of(relid),
		.open_id = le32_of(relid + 77),
		.target_vp = le32_of(vp),
		.downstream_page = le32_of(pages),
	};
	struct fg_msg r;
	int64_t rc;

	c.gpa = fg_alloc(g, c.pages);
	BUG_IF(gmem_zero(g->mem, c.gpa, c.pages * PAGE_SIZE) < 0);
	fg_ring_store(g, &c, false, RING_FEATURES, 1);
	fg_ring_store(g, &c, true, RING_FEATURES, 1);
	rc = fg_gpadl(g, relid, c.gpadl, c.gpa, c.pages);
	if (rc != 0)
		return rc;
	m.gpadl = le32_of(c.gpadl);
	if (fg_post(g, &m, sizeof(m)) != 0)
		return -EIO;
	rc = fg_expect(g, VMBUS_OPEN_RESULT, &r);
	if (rc < 0)
		return rc;
	if (r.len != 20 || ld32(r.bytes + 8) != relid || ld32(r.bytes + 12) != relid + 77)
		return -EPROTO;
	*ret_c = c;
	return ld32(r.bytes + 16);
}

void fg_close(struct fake_guest *g, struct fg_chan *c)
{
	struct vmbus_relid_msg m = {
		.hdr.type = le32_of(VMBUS_CLOSE_CHANNEL),
		.relid = le32_of(c->relid),
	};

	BUG_IF(fg_post(g, &m, sizeof(m)) != 0);
}

static uint64_t ring_gpa(const struct fg_chan *c, bool host_ring)
{
	return c->gpa + (host_ring ? c->down * PAGE_SIZE : 0);
}

uint32_t fg_ring_load(struct fake_guest *g, struct fg_chan *c, bool host_ring, uint32_t word)
{
	uint32_t v;

	BUG_IF(gmem_load32(g->mem, ring_gpa(c, host_ring) + word, &v) < 0);
	return v;
}

void fg_ring_store(struct fake_guest *g, struct fg_chan *c, bool host_ring, uint32_t word,
		   uint32_t val)
{
	BUG_IF(gmem_store32(g->mem, ring_gpa(c, host_ring) + word, val) < 0);
}

static uint32_t ring_bytes(const struct fg_chan *c, bool host_ring)
{
	return (uint32_t)(((host_ring ? c->pages - c->down : c->down) - 1) * PAGE_SIZE);
}

static uint32_t put(struct fake_guest *g, struct fg_chan *c, uint32_t at, const void *src, size_t n)
{
	const uint8_t *p = src;

	for (size_t i = 0; i < n; i++, at = (at + 1) % ring_bytes(c, false))
		BUG_IF(gmem_write(g->mem, ring_gpa(c, false) + RING_DATA + at, p + i, 1) < 0);
	return at;
}

static uint32_t get(struct fake_guest *g, struct fg_chan *c, uint32_t at, void *dst, size_t n)
{
	uint8_t *p = dst;

	for (size_t i = 0; i < n; i++, at = (at + 1) % ring_bytes(c, true))
		BUG_IF(gmem_read(g->mem, ring_gpa(c, true) + RING_DATA + at, p + i, 1) < 0);
	return at;
}

void fg_signal(struct fake_guest *g, struct fg_chan *c)
{
	BUG_IF(vmbus_signal(g->bus, c->conn, 0) != 0);
}

int fg_send_ext(struct fake_guest *g, struct fg_chan *c, uint16_t type, uint16_t flags, uint64_t id,
		const void *ext, size_t ext_len, const void *body, size_t len)
{
	uint32_t size = ring_bytes(c, false), out = fg_ring_load(g, c, false, RING_OUT);
	uint32_t used = c->in >= out ? c->in - out : size - out + c->in, at;
	size_t padded = align_up(len, 8);
	static const uint8_t zeros[8];
	struct vmbus_pkt_hdr h = {
		.type = le16_of(type),
		.offset8 = le16_of((uint16_t)((16 + ext_len) / 8)),
		.len8 = le16_of((uint16_t)((16 + ext_len + padded) / 8)),
		.flags = le16_of(flags),
		.id = le64_of(id),
	};
	struct vmbus_pkt_trailer t = { .start = le32_of(c->in) };

	if (size - used <= 16 + ext_len + padded + 8)
		return -EAGAIN;
	at = put(g, c, c->in, &h, sizeof(h));
	at = put(g, c, at, ext, ext_len);
	at = put(g, c, at, body, len);
	at = put(g, c, at, zeros, padded - len);
	c->in = put(g, c, at, &t, sizeof(t));
	fg_ring_store(g, c, false, RING_IN, c->in);
	ring_barrier();
	if (fg_ring_load(g, c, false, RING_MASK) == 0)
		fg_signal(g, c);
	return 0;
}

int fg_send(struct fake_guest *g, struct fg_chan *c, uint16_t type, uint16_t flags, uint64_t id,
	    const void *body, size_t len)
{
	return fg_send_ext(g, c, type, flags, id, NULL, 0, body, len);
}

int fg_send_gpa(struct fake_guest *g, struct fg_chan *c, uint64_t id, uint64_t gpa, uint32_t bytes,
		const void *body, size_t len)
{
	uint8_t ext[16 + 8 * 512] = { 0 };
	uint32_t off = (uint32_t)(gpa & PAGE_MASK);
	uint32_t pages = (uint32_t)((off + bytes + PAGE_MASK) >> PAGE_SHIFT);

	BUG_IF(pages > 512);
	st32(ext, 0xdeadbeef);		/* Linux leaves garbage here */
	st32(ext + 4, 1);
	st32(ext + 8, bytes);
	st32(ext + 12, off);
	for (uint32_t i = 0; i < pages; i++)
		st64(ext + 16 + 8 * i, (gpa >> PAGE_SHIFT) + i);
	return fg_send_ext(g, c, VMPKT_GPA_DIRECT, 1, id, ext, 16 + 8 * pages, body, len);
}

bool fg_has_packet(struct fake_guest *g, struct fg_chan *c)
{
	return fg_ring_load(g, c, true, RING_IN) != c->out;
}

/* Reads like Linux: gives the space back, then looks whether the host waits. */
int fg_recv(struct fake_guest *g, struct fg_chan *c, struct fg_pkt *ret_p)
{
	uint64_t end = base_monotonic_ns() + WAIT_NS;
	uint32_t size = ring_bytes(c, true), start = c->out, at, len, off, pending, in, free_now;
	struct vmbus_pkt_trailer t;
	struct vmbus_pkt_hdr h;

	while (!fg_has_packet(g, c)) {
		if (base_monotonic_ns() > end)
			return -ETIMEDOUT;
		usleep(50);
	}
	at = get(g, c, c->out, &h, sizeof(h));
	len = le16_get(h.len8) * 8u;
	off = le16_get(h.offset8) * 8u;
	if (off < 16 || len < off || len - 16 > sizeof(ret_p->data))
		return -EPROTO;
	*ret_p = (struct fg_pkt){ .type = le16_get(h.type), .flags = le16_get(h.flags),
				  .id = le64_get(h.id), .len = len - 16 };
	at = get(g, c, at, ret_p->data, len - 16);
	c->out = get(g, c, at, &t, sizeof(t));
	if (le32_get(t.zero) != 0 || le32_get(t.start) != start)
		return -EPROTO;
	fg_ring_store(g, c, true, RING_OUT, c->out);
	ring_barrier();
	pending = fg_ring_load(g, c, true, RING_PENDING_SEND);
	if (pending == 0 || fg_ring_load(g, c, true, RING_FEATURES) == 0)
		return 0;
	in = fg_ring_load(g, c, true, RING_IN);
	free_now = in >= c->out ? size - (in - c->out) : c->out - in;
	if (free_now > pending && free_now - (len + 8) <= pending)
		fg_signal(g, c);
	return 0;
}

unsigned fg_events(struct fake_guest *g, unsigned vp, unsigned flag)
{
	unsigned nr;

	pthread_mutex_lock(&g->lock);
	nr = g->events[vp][flag];
	pthread_mutex_unlock(&g->lock);
	return nr;
}
