/*
 * pcapng.h - a file of captured frames, as Wireshark and tcpdump read it
 *
 * Many ports may write to one file; each is an interface of it.  Writing a
 * frame is a copy into memory: a thread of the file's own brings it to the
 * disk, and where that is too slow frames are left out and counted, never
 * waited for.  Safe from any thread.
 */
#ifndef NET_PCAPNG_H
#define NET_PCAPNG_H

#include "base/err.h"
#include "net/frame.h"

#define PCAPNG_IFS 64u

struct pcapng;

enum pcapng_dir { PCAPNG_IN = 1, PCAPNG_OUT = 2 };	/* as seen by the port's owner */

struct pcapng_stats {
	uint64_t frames, lost;
	int error;			/* of the file, -errno; nothing is written after it */
};

/* Makes or empties PATH. */
MUST_CHECK int pcapng_open(const char *path, struct pcapng **ret_p, struct err *err);
/* The same with an open file, which belongs to it from now on, even on failure; NAME is for sentences. */
MUST_CHECK int pcapng_open_fd(int fd, const char *name, struct pcapng **ret_p, struct err *err);
void pcapng_close(struct pcapng *p);		/* what was captured is in the file */
/* A number for pcapng_put, or -ENOSPC. */
MUST_CHECK int pcapng_interface(struct pcapng *p, const char *name, const uint8_t mac[6]);
/* WHEN: nanoseconds since 1970, pcapng_now. */
void pcapng_put(struct pcapng *p, int interface, uint64_t when, enum pcapng_dir dir, const struct net_frame *f);
uint64_t pcapng_now(void);
void pcapng_stats(struct pcapng *p, struct pcapng_stats *ret_stats);

#endif
