/*
 * nat_priv.h - the halves of the NAT: what the switch calls, what its thread does
 */
#ifndef NET_NAT_PRIV_H
#define NET_NAT_PRIV_H

#include "base/le.h"
#include "base/log.h"
#include "net/nat.h"
#include "net/pkt.h"

#include <poll.h>
#include <pthread.h>
#include <slirp/libslirp.h>

#if !SLIRP_CHECK_VERSION(4, 7, 0)
#error "libslirp 4.7 or later: IPv6 forwards, and faults of earlier ones"
#endif

#define NAT_IN_BYTES (1u << 20)		/* a power of two, many times the longest frame */
#define NAT_IN_MIN 60u			/* shorter frames are filled with zeros, as by a wire */
#define NAT_OUT_BYTES (512u << 10)
#define NAT_MTU 65521u			/* the library's, its largest */
#define NAT_GUESTS 64u
#define NAT_TRANSFERS 20u		/* files at a time */
#define NAT_ASKED 64u
#define NAT_OUT_FRAMES 256u
#define NAT_FRAME_BUDGET 256u		/* from the guests between two looks at the sockets */
#define NAT_TIMERS 4u			/* libslirp has one */
#define NAT_FD_MAX 16384u		/* file descriptors above it are not used */

/* Frames from the guests, one after the other: length, bytes, up to the next multiple of 8. */
struct nat_in {
	uint8_t *buf;			/* [const] NAT_IN_BYTES */
	uint32_t head, tail;		/* [lock] free-running; head is where the next goes */
	bool full;			/* [lock] somebody was told so */
	uint64_t waits;			/* [lock] how often */
	bool asleep;			/* [lock] the thread needs a wake-up */
	bool stop;			/* [lock] */
};

/* Frames to the guests that the switch has not taken yet.  All [thread]. */
struct nat_out {
	uint8_t buf[NAT_OUT_BYTES];
	struct {
		uint32_t at, len;
	} f[NAT_OUT_FRAMES];
	uint32_t first, nr;		/* of f */
	uint32_t used;			/* of buf */
	bool blocked;			/* the switch said no; it will call resume */
};

struct nat_timer {
	SlirpTimerCb fn;		/* NULL = free */
	void *arg;
	int64_t at_ms;			/* INT64_MAX = not armed */
};

/* Who uses which file descriptor: a bit each.  [thread] */
struct nat_fds {
	uint64_t used[NAT_FD_MAX / 64];
	uint32_t nr, max;
	uint32_t maybe;			/* frames since the last look that may have opened one */
};

struct nat_guest {
	uint8_t mac[6];
	uint16_t mss4, mss6;		/* the longest segments that it takes; 0 = no entry */
};

struct nat_guests {
	struct nat_guest g[NAT_GUESTS];
	unsigned next;
};

/* A process of this host that asked a guest by a forwarded UDP port, and from where. */
struct nat_asked {
	bool v6;
	uint16_t host, guest;		/* ports */
	uint64_t when_ns;		/* 0 = none */
};

/* A file on its way to a guest. */
struct nat_transfer {
	int fd;				/* -1 = free */
	bool v6, last;			/* last: the block on its way is the shorter one that ends it */
	uint8_t mac[6], addr[16];	/* the client's */
	uint16_t port;
	uint32_t block_len;
	uint64_t block;			/* on its way; 0 = the answer to options is */
	uint64_t sent_ns;		/* that; 0 = free */
};

struct nat {
	struct port *port;		/* [const, borrowed] */
	Slirp *slirp;			/* [thread] */
	pthread_t thread;
	pthread_mutex_t lock;		/* leaf: nothing is called with it */
	int wake;			/* [const] eventfd */
	struct nat_in in;
	struct nat_out out;
	struct nat_timer timers[NAT_TIMERS];	/* [thread] */
	struct nat_fds fds;
	struct nat_guests guests;	/* [thread] */
	struct nat_transfer transfers[NAT_TRANSFERS];	/* [thread] */
	int tftp_dir;			/* [const] O_PATH; -1 = no files */
	uint8_t gateway4[4], gateway6[16];	/* [const] */
	uint32_t mask;			/* [const] of the IPv4 network */
	bool host_loopback;		/* [const] */
	unsigned nr_udp_fwd;		/* [const] */
	uint16_t udp_fwd[NAT_FWD_MAX];	/* [const] ports of guests that are forwarded to */
	struct nat_asked asked[NAT_ASKED];	/* [thread] */
	struct nat_frags *frags;	/* [thread] */
	bool again;			/* [thread] no sleep: see nat_in.c */
	struct pollfd *pfd;		/* [thread] */
	uint32_t nr_pfd, max_pfd;
	uint64_t skew_ns;		/* [const] added to the clock, by tests */
	struct log_limit limit;
	struct nat_stats stats;		/* [thread] */
	struct nat_stats shown;		/* [lock] the same once a turn */
};

/* nat_in.c: what the switch calls, and how the thread gets at it */
extern const struct port_client nat_client;
void nat_wake(struct nat *n);
/* Hands at most NAT_FRAME_BUDGET frames on; true when somebody waits for the room made. */
bool nat_in_drain(struct nat *n);
/* False: there is something to do, or the end (*ret_stop). */
bool nat_in_sleep(struct nat *n, bool *ret_stop);
void nat_in_awake(struct nat *n);

/* nat_run.c */
extern const SlirpCb nat_slirp_cb;
void *nat_run(void *nat);

/* nat_out.c */
void nat_out_put(struct nat *n, const void *frame, size_t len);
void nat_out_flush(struct nat *n);

/* nat_fds.c: how many sockets the guests have us keep open */
void nat_fds_init(struct nat_fds *s);
void nat_fds_set(struct nat_fds *s, int fd);
void nat_fds_clear(struct nat_fds *s, int fd);
/* True when this frame could open a socket although there are as many as may be. */
bool nat_fds_refuse(struct nat_fds *s, const uint8_t *frame, uint32_t len);

/* nat_frag.c: IPv4 fragments become whole datagrams */
struct nat_frags *nat_frags_new(void);
void nat_frags_free(struct nat_frags *fs);
bool nat_is_frag(const uint8_t *frame, uint32_t len);
/* The whole, valid until the next call, its length in *len; NULL: more is to come, or it is lost. */
uint8_t *nat_frag(struct nat_frags *fs, const uint8_t *frame, uint32_t *len, uint64_t now);

/* nat_large.c: TCP in large pieces to the guests */
/* Learns the segment size that a guest's SYN names, and raises it for the library. */
void nat_mss_in(struct nat_guests *gs, uint8_t *frame, uint32_t len);
/* Marks a frame whose segment is longer than its guest takes as a large send; false: it is not. */
bool nat_large(struct nat_guests *gs, const uint8_t *frame, uint32_t len, struct net_frame *f);
/* False: neither TCP nor short enough. */
bool nat_fits(const uint8_t *frame, uint32_t len);
/* Puts out an IPv4 datagram in fragments; false: this is none. */
bool nat_fragment(struct nat *n, const uint8_t *frame, uint32_t len);

/* nat_tftp.c: files for the guests */
/* DIR "": there are none. */
MUST_CHECK int nat_tftp_start(struct nat *n, const char *dir, struct err *err);
/* Was this for the server of files?  Then it has had its answer. */
MUST_CHECK bool nat_tftp_in(struct nat *n, const uint8_t *frame, uint32_t len);
void nat_tftp_end(struct nat *n);

/* nat_dest.c: may a guest reach where this is for?  No: it may have been told so. */
MUST_CHECK bool nat_dest_allowed(struct nat *n, const uint8_t *frame, uint32_t len);
void nat_dest_out(struct nat *n, const uint8_t *frame, uint32_t len);	/* this goes to a guest */

static inline uint64_t nat_now(const struct nat *n)
{
	return base_monotonic_ns() + n->skew_ns;
}

#endif
