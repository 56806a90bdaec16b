/*
 * net_bench.h - an adapter, a switch of one port and a guest, for tests
 */
#ifndef SYN_NET_BENCH_H
#define SYN_NET_BENCH_H

#include "base/base.h"
#include "spec/nvsp.h"
#include "spec/rndis.h"
#include "syn/net.h"
#include "vmbus/fake_guest.h"

#define FP_FRAMES 64u

struct fp_frame {
	uint32_t flags, len;
	uint16_t tci, l4_at, mss;
	uint8_t bytes[2048];		/* the first of them */
};

struct fake_port {
	struct port port;
	pthread_mutex_t lock;
	const struct port_client *client;
	void *dev;
	struct port_caps caps;
	struct fp_frame f[FP_FRAMES];	/* what was sent, the last ones */
	unsigned nr, calls, rooms;
	unsigned take;			/* so many more, then none; UINT_MAX: all */
	bool spoof;			/* any address may send */
};

void fp_init(struct fake_port *p);
/* Waits until NR frames were sent in all; false: it took too long. */
MUST_CHECK bool fp_wait(struct fake_port *p, unsigned nr);
void fp_set_take(struct fake_port *p, unsigned take);	/* and resume */
unsigned fp_rooms(struct fake_port *p);
/* As a switch does: MORE without deliver_end behind it. */
MUST_CHECK int fp_deliver_more(struct fake_port *p, uint32_t flags, uint16_t tci, const void *frame,
			       uint32_t len);
MUST_CHECK int fp_deliver(struct fake_port *p, uint32_t flags, uint16_t tci, const void *frame,
			  uint32_t len);

#define NB_RX_PAGES 64u
#define NB_TX_PAGES 32u
#define NB_TX_SECTION 6144u
#define NB_RX_ID 0xcafeu

struct net_bench {
	struct fake_guest g;
	struct fake_port port;
	struct nic *n;
	struct vmbus_offer offer;
	struct fg_chan c;
	uint32_t version;		/* negotiated */
	uint64_t rx, tx, buf;		/* GPAs; buf: 32 pages of scratch */
	uint32_t rx_size, rx_nr;	/* of sections */
	uint64_t xid;
	uint32_t rid;
	struct nvsp_msg r;		/* the last answer */
	uint32_t r_len;
	uint8_t msg[4096];		/* the last RNDIS message received */
	uint32_t msg_len, msg_channel;
	uint64_t msg_id;
	uint32_t msg_of;		/* messages of its packet */
	/* Of that packet: messages not read yet, and where they lie. */
	uint32_t more;
	struct fg_chan *more_on;
	uint8_t ranges[64][8];
};

/* All of these are 0 or -errno. */
MUST_CHECK int nb_init(struct net_bench *b, unsigned nr_vps, bool mac_changes);
void nb_fini(struct net_bench *b);
MUST_CHECK int nb_open(struct net_bench *b);
/* As far as RNDIS INITIALIZE; MTU with the Ethernet header. */
MUST_CHECK int nb_up(struct net_bench *b, uint32_t version, uint32_t mtu, uint64_t caps);

/* One NVSP message of 40 bytes; the answer in b->r. */
MUST_CHECK int nb_nvsp(struct net_bench *b, const struct nvsp_msg *m);
/* Until the host has read everything that the guest sent before. */
MUST_CHECK int nb_settle(struct net_bench *b);
MUST_CHECK int nb_recv_buf(struct net_bench *b);	/* both of them: GPADL and message */
MUST_CHECK int nb_send_buf(struct net_bench *b);
MUST_CHECK int nb_revoke_recv(struct net_bench *b);

/* An RNDIS message by pages, without waiting; NB_SECTION: by section 0 of the send buffer. */
MUST_CHECK int nb_send(struct net_bench *b, struct fg_chan *c, uint32_t channel, bool section,
		       const void *m, uint32_t len);
/* The status of its completion. */
MUST_CHECK int nb_wait_sent(struct net_bench *b, struct fg_chan *c);
/* The next message from the host into b->msg; the last of a packet gives it back, unless KEEP. */
MUST_CHECK int nb_recv(struct net_bench *b, struct fg_chan *c, bool keep);
MUST_CHECK int nb_give_back(struct net_bench *b, struct fg_chan *c, uint64_t id);
/* A control message and its answer in b->msg. */
MUST_CHECK int nb_control(struct net_bench *b, const void *m, uint32_t len);
/* The NDIS status; the answer's information at b->msg + 24, its length in *ret_len. */
MUST_CHECK int64_t nb_query(struct net_bench *b, uint32_t oid, const void *in, uint32_t len,
			    uint32_t *ret_len);
MUST_CHECK int64_t nb_set(struct net_bench *b, uint32_t oid, const void *in, uint32_t len);
MUST_CHECK int64_t nb_filter(struct net_bench *b, uint32_t filter);

/* An RNDIS packet around FRAME; PPIs as {type, value} pairs.  Its length. */
uint32_t nb_packet(uint8_t *to, const void *frame, uint32_t len, const uint32_t *ppi, unsigned nr);
/* A PPI of the last message received; false: it has none. */
bool nb_ppi(const struct net_bench *b, uint32_t type, uint32_t *ret_val);
const uint8_t *nb_frame(const struct net_bench *b, uint32_t *ret_len);

extern const uint8_t nb_mac[6];

#endif
