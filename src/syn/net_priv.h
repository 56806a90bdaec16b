/*
 * net_priv.h - what the files of the network adapter share
 *
 * [const]   set before sharing
 * [lock]    under nic.lock
 * [worker]  the channel's worker
 * [primary] the primary channel's worker
 *
 * Locks: the bus's table, inside it nic.lock, inside that the writing side of
 * a channel (chan_send, chan_complete).  So under nic.lock neither chan_gpadl
 * nor chan_offer_subs, and no function of the port at all: a switch goes from
 * one adapter's port straight into another adapter's deliver.
 */
#ifndef SYN_NET_PRIV_H
#define SYN_NET_PRIV_H

#include "base/log.h"
#include "spec/nvsp.h"
#include "spec/rndis.h"
#include "syn/net.h"

#include <pthread.h>
#include <stdatomic.h>

#define NIC_MAX_CHANS 64u
#define NIC_MTU 1514u			/* with the Ethernet header, when the guest says nothing */
#define NIC_MTU_MIN (68u + ETH_HLEN)
#define NIC_TAG 4u

/* Receiving. */
#define NIC_RX_SECTION 1728u		/* bytes, for frames to 1514 */
#define NIC_RX_OVERHEAD 128u		/* of a section: RNDIS header, per-packet information, tag */
#define NIC_RX_HEADER ((uint32_t)(sizeof(struct rndis_packet) + 4 * (sizeof(struct rndis_ppi) + 4)))
#define NIC_MAX_SECTIONS 20480u		/* of the largest buffer the bus lets through */
#define NIC_RX_RESERVE 8u		/* sections that data leaves to answers */
#define NIC_BATCH 64u			/* messages of one packet */
#define NIC_RSC_MAX (ETH_HLEN + 65535u)	/* a coalesced packet */
#define NIC_REPLIES 32u			/* answers not yet taken by the guest */
#define NIC_REPLY_MAX 640u
#define NIC_MAX_MULTICAST 32u

/* Sending. */
#define NIC_TX_SECTION 6144u
#define NIC_TX_MAX (80u * 1024)		/* one packet with all its RNDIS messages */
#define NIC_TX_BATCH 16u		/* frames for the switch at once */
#define NIC_MAX_PACKETS 8u		/* RNDIS packets of one message, as announced */
#define NIC_TX_ALIGN 3u
#define NIC_LSO_MAX 62780u		/* what a guest is told */
#define NIC_LSO_SEGS 2u
#define NIC_MAX_PPIS 16u
#define NIC_CONTROL_MAX 4096u		/* one control message */
#define NIC_TX_QUEUE 64u		/* packets of a channel that wait for the switch */
#define NIC_TX_SEGS 64u			/* runs of memory of one packet */

struct nic_reply {
	uint32_t len;
	uint8_t bytes[NIC_REPLY_MAX];
};

struct nic_seg {			/* a run of guest memory */
	uint64_t gpa;
	uint32_t len;
};

struct nic_tx {				/* a packet of the guest's, and where its data is */
	uint64_t id;
	uint32_t reply;			/* bytes of the completion; 0 = none is wanted */
	uint32_t section, section_len;	/* NVSP_NO_SECTION: nothing in the send buffer */
	unsigned nr_segs;		/* behind it */
	struct nic_seg segs[NIC_TX_SEGS];
};

struct nic_sender {			/* [worker] what a channel needs while it is open */
	uint8_t data[NIC_TX_MAX];	/* of the packet being sent */
	uint32_t len, at;		/* what is left of it begins at AT */
	bool held;			/* the switch did not take all of it */
	struct nic_tx now;
	struct nic_tx queue[NIC_TX_QUEUE];	/* a ring: those after it */
	unsigned first, nr;
	uint8_t control[NIC_CONTROL_MAX];
};

struct nic_chan {
	struct nic *n;			/* [const] */
	struct chan *chan;		/* [lock] NULL = closed */
	struct log_limit limit;		/* [worker] */
	struct nic_sender *tx;		/* [owned] [worker] NULL = closed */
};

/* [lock] Messages that lie in the receive buffer and that the guest does not know of yet. */
struct nic_batch {
	struct nic_chan *nc;
	unsigned nr;			/* 0: there are none, and the rest says nothing */
	uint16_t first, last;		/* their sections, a chain by nic_rx.next */
	struct {
		le32 len, off;
	} range[NIC_BATCH];
};

struct nic_rx {				/* [lock] the receive buffer */
	struct gview *view;		/* [owned] NULL = none */
	uint32_t gpadl;
	uint16_t id;
	uint32_t size;			/* bytes of a section */
	uint32_t nr, nr_free;
	uint32_t generation;		/* of transaction ids: those of an older buffer are void */
	uint16_t free[NIC_MAX_SECTIONS];	/* a stack */
	/* 1 + index of the channel whose guest side has the chain that begins here */
	uint8_t lent[NIC_MAX_SECTIONS];
	uint16_t next[NIC_MAX_SECTIONS];	/* of its chain, where it is lent */
	struct nic_batch batch;
};

struct nic_rss {			/* [lock] */
	bool on;
	uint32_t hash;			/* NDIS_HASH_x */
	uint8_t key[NDIS_RSS_KEY];
	uint8_t table[NDIS_RSS_TABLE];	/* channel indices */
	uint32_t nr_table;		/* entries used, a power of two */
	uint32_t lut[36][256];		/* the key's share of each byte of input */
};

struct nic_offload {			/* [lock] what the guest turned on; all at first */
	uint8_t sum4, tcp4, udp4, tcp6, udp6;	/* NDIS_SUM_x */
	bool lso4, lso6;
	bool rsc4, rsc6;		/* only when it asked */
};

struct nic {
	struct vmbus *bus;		/* [const] */
	struct vdev *vdev;		/* [const] */
	struct chan_ops ops;		/* [const] */
	struct port *port;		/* [const] */
	unsigned max_sub;		/* [const] */
	pthread_mutex_t lock;
	struct nic_chan chans[NIC_MAX_CHANS];

	/* The session: from the opening of the primary channel to its close. */
	uint32_t version;		/* [lock] 0: not negotiated */
	uint32_t ndis;			/* [lock] major << 16 | minor */
	uint32_t mtu;			/* [lock] with the Ethernet header */
	uint64_t caps;			/* [lock] NVSP_CAP_x */
	uint32_t tx_gpadl;		/* [lock] of the send buffer */
	uint16_t tx_id;			/* [lock] */
	uint32_t tx_sections;		/* [lock] 0 = none */
	bool running;			/* [lock] RNDIS is initialised */
	uint64_t nr_control;		/* [lock] messages of the guest that are no frames */
	uint32_t filter;		/* [lock] NDIS_FILTER_x */
	uint8_t mac[6];			/* [lock] */
	uint8_t multicast[NIC_MAX_MULTICAST][6];	/* [lock] */
	unsigned nr_multicast;		/* [lock] */
	struct nic_offload offload;
	struct nic_rss rss;
	struct nic_rx rx;
	struct nic_reply replies[NIC_REPLIES];	/* [lock] a ring */
	unsigned first_reply, nr_replies;
	bool link_up, link_told;	/* [lock] as it is; as the guest knows it */
	uint64_t link_bps, told_bps;	/* [lock] */

	atomic_bool starved;		/* deliver said -EAGAIN: port_room is owed */
	_Atomic uint64_t stat[9];	/* in the order of struct nic_stats */
};

enum { STAT_RX_FRAMES, STAT_RX_BYTES, STAT_RX_FILTERED, STAT_RX_NO_ROOM, STAT_RX_TOO_LONG,
       STAT_TX_FRAMES, STAT_TX_BYTES, STAT_TX_BAD, STAT_TX_HELD, NIC_NR_STATS };

static inline void nic_count(struct nic *n, unsigned stat, uint64_t by)
{
	atomic_fetch_add_explicit(&n->stat[stat], by, memory_order_relaxed);
}

/* net.c */
void nic_set_caps(struct nic *n);	/* tells the port what the guest takes; no lock held */

/* net_deliver.c */
extern const struct port_client nic_port_client;

/* net_rx.c; under nic.lock unless said otherwise */
MUST_CHECK int nic_rx_set(struct nic *n, struct gview *view, uint32_t gpadl, uint16_t id);	/* takes VIEW */
void nic_rx_drop(struct nic *n);
uint32_t nic_rx_pieces(const struct nic *n);	/* the most messages that one frame may have */
void nic_rx_reclaim(struct nic_chan *nc);	/* what was lent on a channel that is closed */
void nic_rx_complete(struct nic_chan *nc, const struct pkt *p);	/* takes the lock */
/* Sends what waits: frames, answers, then news of the link. */
void nic_rx_flush(struct nic *n);
/*
 * Frames: room in a batch for NR messages on NC, or -EAGAIN, or -EMSGSIZE for good.  Then
 * each is written to the section at nic_rx_section and added; cut takes all but NR
 * messages of the batch back.  Flush_batch: the guest hears of them; -EAGAIN: not yet.
 */
MUST_CHECK int nic_rx_batch(struct nic *n, struct nic_chan *nc, unsigned nr);
uint64_t nic_rx_section(const struct nic *n);
void nic_rx_add(struct nic *n, uint32_t len);
void nic_rx_cut(struct nic *n, unsigned nr);
MUST_CHECK int nic_rx_flush_batch(struct nic *n);
void nic_rx_room(struct nic *n);	/* no lock held: calls port_room if it is owed */

/* net_tx.c; on the worker, no lock held */
void nic_tx_packet(struct nic_chan *nc, struct chan *c, const struct pkt *g,
		   const struct nvsp_msg *m, uint32_t reply);
void nic_tx_go(struct nic_chan *nc, struct chan *c);

/* net_rndis.c: one control message; on the primary, no lock held */
/* Whether there is such a message, and room for its answer: the status of its packet. */
MUST_CHECK enum nvsp_status nic_control_check(struct nic *n, const uint8_t *m, uint32_t len);	/* under nic.lock */
void nic_control(struct nic *n, const uint8_t *m);	/* one that was checked */

/* net_oid.c; under nic.lock; an NDIS status */
MUST_CHECK uint32_t nic_query(struct nic *n, uint32_t oid, const uint8_t *in, uint32_t in_len,
			      uint8_t *out, uint32_t *ret_len);	/* OUT: NIC_REPLY_MAX - 24 bytes */
MUST_CHECK uint32_t nic_set(struct nic *n, uint32_t oid, const uint8_t *in, uint32_t len);
void nic_offload_all(struct nic *n);

/* net_rss.c; under nic.lock */
void nic_rss_reset(struct nic *n);
MUST_CHECK uint32_t nic_rss_set(struct nic *n, const uint8_t *in, uint32_t len);
/*
 * The hash of a frame whose first N bytes are HDR; 0 and false: no such traffic, or
 * scaling is off.
 */
MUST_CHECK bool nic_rss_hash(const struct nic *n, const uint8_t *hdr, uint32_t len, uint32_t *ret_hash);

#endif
