/*
 * fake_guest.h - a guest for tests: it posts messages and plays the rings
 *
 * Speaks the guest's side of VMBus from a test's thread.  Guest memory is
 * handed out page by page and never returned.  Every wait gives up after
 * some seconds, so a lost message is a failed test, not a hang.
 */
#ifndef VMBUS_FAKE_GUEST_H
#define VMBUS_FAKE_GUEST_H

#include "spec/vmbus.h"
#include "vmbus/vmbus.h"

#include <pthread.h>

#define FG_MAX_MSGS 4096u
#define FG_VPS 4u

struct fg_msg {
	unsigned vp, sint;
	size_t len;
	uint8_t bytes[VMBUS_MSG_MAX];
};

struct fg_chan {
	uint32_t relid, gpadl, conn;
	uint64_t gpa;			/* of the first ring page; pages are contiguous */
	uint32_t pages, down;		/* all; of the guest-to-host ring */
	uint32_t in, out;		/* our write index, our read index */
};

struct fg_pkt {
	uint16_t type, flags;
	uint64_t id;
	uint32_t len;
	uint8_t data[4096];
};

struct fake_guest {
	struct gmem *mem;
	struct vmbus *bus;
	pthread_mutex_t lock;
	struct fg_msg *msgs;		/* [owned] in order of arrival */
	unsigned first, nr;
	unsigned refuse;		/* say -ENOBUFS so many times */
	unsigned events[FG_VPS][VMBUS_MAX_RELID];
	uint64_t next_gpa;
	uint32_t next_gpadl, conn;
	uint32_t int_page;		/* GPA, when the version wants one */
};

MUST_CHECK int fg_new(struct fake_guest *g, uint32_t max_version, unsigned workers);
void fg_free(struct fake_guest *g);

uint64_t fg_alloc(struct fake_guest *g, size_t pages);
uint16_t fg_post(struct fake_guest *g, const void *m, size_t n);
/* The next message, whatever it is: 0 or -ETIMEDOUT. */
MUST_CHECK int fg_next(struct fake_guest *g, struct fg_msg *ret_m);
/* The next message must be of TYPE (else -EPROTO). */
MUST_CHECK int fg_expect(struct fake_guest *g, uint32_t type, struct fg_msg *ret_m);
/* Nothing arrives for a little while. */
bool fg_silent(struct fake_guest *g);

/* InitiateContact on CONN for VP; 1 supported, 0 refused, or -errno. */
MUST_CHECK int fg_contact(struct fake_guest *g, uint32_t conn, uint32_t version, uint32_t vp);
/* RequestOffers, collects them up to AllOffersDelivered: count or -errno. */
MUST_CHECK int fg_offers(struct fake_guest *g, struct vmbus_offer *offers, int max);
/* Establishes PAGES contiguous pages; the status of GpadlCreated, or -errno. */
MUST_CHECK int64_t fg_gpadl(struct fake_guest *g, uint32_t relid, uint32_t id, uint64_t gpa,
			    uint32_t pages);
MUST_CHECK int fg_gpadl_teardown(struct fake_guest *g, uint32_t relid, uint32_t id);
/* Rings of PAGES pages each way, GPADL and OpenChannel: status or -errno. */
MUST_CHECK int64_t fg_open(struct fake_guest *g, uint32_t relid, uint32_t pages, uint32_t vp,
			   struct fg_chan *ret_c);
void fg_close(struct fake_guest *g, struct fg_chan *c);

/* Writes one packet and signals.  EXT (may be NULL) follows the header. */
MUST_CHECK int fg_send_ext(struct fake_guest *g, struct fg_chan *c, uint16_t type, uint16_t flags,
			   uint64_t id, const void *ext, size_t ext_len, const void *body,
			   size_t len);
MUST_CHECK int fg_send(struct fake_guest *g, struct fg_chan *c, uint16_t type, uint16_t flags,
		       uint64_t id, const void *body, size_t len);
/* GPA direct with one range of contiguous pages. */
MUST_CHECK int fg_send_gpa(struct fake_guest *g, struct fg_chan *c, uint64_t id, uint64_t gpa,
			   uint32_t bytes, const void *body, size_t len);
/* Reads one packet, waiting for it: 0, -ETIMEDOUT, -EPROTO. */
MUST_CHECK int fg_recv(struct fake_guest *g, struct fg_chan *c, struct fg_pkt *ret_p);
bool fg_has_packet(struct fake_guest *g, struct fg_chan *c);
uint32_t fg_ring_load(struct fake_guest *g, struct fg_chan *c, bool host_ring, uint32_t word);
void fg_ring_store(struct fake_guest *g, struct fg_chan *c, bool host_ring, uint32_t word,
		   uint32_t val);
unsigned fg_events(struct fake_guest *g, unsigned vp, unsigned flag);
void fg_signal(struct fake_guest *g, struct fg_chan *c);

#endif
