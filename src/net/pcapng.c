/*
 * pcapng.c - writes captured frames
 *
 * A section header, an interface description for each port, an enhanced
 * packet for each frame, and at the end the interface statistics that say how
 * many frames were left out.  All numbers are little-endian, times are in
 * nanoseconds.  A block:
 *
 *	0	type		 8	body, padded to a multiple of 4
 *	4	total length	 n	total length once more
 *
 * Blocks are put whole into a ring of bytes; a thread writes what is there.
 * A reader of an unfinished file finds a whole block or its beginning.
 *
 * A tag beside a frame goes where it is on a wire.  A large send is one packet,
 * and a checksum that was still to be made is not there yet.
 *
 * Spec     [PCAPNG] draft-ietf-opsawg-pcapng 4.1 to 4.3, 4.6
 * Missing  a limit of size, several files in turn, filters
 * Lock     pcapng.lock (leaf) around the ring; the file is the thread's
 */
#include "net/pcapng.h"
#include "base/le.h"
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RING (4u << 20)			/* a power of two */
#define TAG 4u

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,

	OPT_END = 0,
	OPT_IF_NAME = 2,
	OPT_IF_MAC = 6,
	OPT_IF_TSRESOL = 9,
	OPT_SHB_APPL = 4,
	OPT_EPB_FLAGS = 2,
	OPT_ISB_RECV = 4,
	OPT_ISB_DROP = 5,
	LINK_ETHERNET = 1,
};

/* What is small enough to be made on the stack. */
struct block {
	uint32_t n;
	uint8_t b[256];
};

struct pcapng {
	int fd;				/* [thread] */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	/* All [lock]. */
	uint8_t *ring;
	uint64_t head, tail;		/* bytes ever put and written */
	bool stop;
	int error;
	uint32_t nr_ifs;
	struct {
		uint64_t frames, lost;
	} ifs[PCAPNG_IFS];
};

static void put32(struct block *k, uint32_t v)
{
	st32(k->b + k->n, v);
	k->n += 4;
}

static void put64_option(struct block *k, uint16_t code, uint64_t v)
{
	put32(k, code | 8u << 16);
	st64(k->b + k->n, v);
	k->n += 8;
}

/* N is at most 32. */
static void put_option(struct block *k, uint16_t code, const void *v, uint16_t n)
{
	put32(k, code | (uint32_t)n << 16);
	memset(k->b + k->n, 0, align_up(n, 4));
	memcpy(k->b + k->n, v, n);
	k->n += (uint32_t)align_up(n, 4);
}

static void begin(struct block *k, uint32_t type)
{
	k->n = 0;
	put32(k, type);
	put32(k, 0);
}

static void end(struct block *k)
{
	uint32_t n = k->n + 4;

	put32(k, n);
	st32(k->b + 4, n);
}

/* [lock]; there is room. */
static void ring_put(struct pcapng *p, const void *src, size_t n)
{
	size_t at = p->head % RING, m = min_u64(n, RING - at);

	memcpy(p->ring + at, src, m);
	memcpy(p->ring, (const uint8_t *)src + m, n - m);
	p->head += n;
}

static bool ring_has(const struct pcapng *p, size_t n)
{
	return p->error == 0 && RING - (p->head - p->tail) >= n;
}

static void ring_wake(struct pcapng *p, uint64_t head)
{
	if (head == p->tail)		/* it sleeps, or will look again */
		pthread_cond_signal(&p->more);
}

uint64_t pcapng_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void packet_header(struct block *k, int interface, uint64_t when, uint32_t len, uint32_t total)
{
	k->n = 0;
	put32(k, BLOCK_PACKET);
	put32(k, total);
	put32(k, (uint32_t)interface);
	put32(k, (uint32_t)(when >> 32));
	put32(k, (uint32_t)when);
	put32(k, len);
	put32(k, len);
}

/* What comes after the bytes. */
static void packet_tail(struct block *k, uint32_t len, enum pcapng_dir dir, uint32_t total)
{
	uint32_t flags = dir;

	memset(k->b, 0, 4);
	k->n = (uint32_t)(align_up(len, 4) - len);
	put_option(k, OPT_EPB_FLAGS, &flags, 4);
	put32(k, OPT_END);
	put32(k, total);
}

/* [lock] The frame's bytes, with its tag in its place. */
static void ring_frame(struct pcapng *p, const struct net_frame *f)
{
	uint32_t skip = 0;

	if (f->flags & FRAME_TAGGED) {
		uint8_t h[16];
		be16 type = be16_of(0x8100), tci = be16_of(f->tci);

		skip = 12;
		if (!frame_copy(f, 0, h, skip))
			memset(h, 0, sizeof(h));
		memcpy(h + 12, type.b, 2);
		memcpy(h + 14, tci.b, 2);
		ring_put(p, h, sizeof(h));
	}
	for (uint32_t i = 0; i < f->nr_iov; i++) {
		size_t n = f->iov[i].iov_len, cut = min_u64(skip, n);

		ring_put(p, (const uint8_t *)f->iov[i].iov_base + cut, n - cut);
		skip -= (uint32_t)cut;
	}
}

void pcapng_put(struct pcapng *p, int interface, uint64_t when, enum pcapng_dir dir, const struct net_frame *f)
{
	uint32_t len = f->len + (f->flags & FRAME_TAGGED ? TAG : 0);
	uint32_t total = (uint32_t)align_up(len, 4) + 28 + 8 + 4 + 4;
	struct block head, tail;
	uint64_t old;

	BUG_IF(interface < 0 || (unsigned)interface >= PCAPNG_IFS);
	packet_header(&head, interface, when, len, total);
	packet_tail(&tail, len, dir, total);
	pthread_mutex_lock(&p->lock);
	if (f->len < ETH_HLEN || f->len > NET_LSO_MAX + TAG || !ring_has(p, total)) {
		p->ifs[interface].lost++;
	} else {
		old = p->head;
		ring_put(p, head.b, head.n);
		ring_frame(p, f);
		ring_put(p, tail.b, tail.n);
		BUG_IF(p->head - old != total);		/* pieces that do not add up */
		p->ifs[interface].frames++;
		ring_wake(p, old);
	}
	pthread_mutex_unlock(&p->lock);
}

int pcapng_interface(struct pcapng *p, const char *name, const uint8_t mac[6])
{
	uint8_t resolution = 9;			/* 10^-9 s */
	struct block k;
	int nr = -ENOSPC;

	begin(&k, BLOCK_INTERFACE);
	put32(&k, LINK_ETHERNET);
	put32(&k, 0);				/* no limit of length */
	put_option(&k, OPT_IF_NAME, name, (uint16_t)strnlen(name, 31));
	put_option(&k, OPT_IF_MAC, mac, 6);
	put_option(&k, OPT_IF_TSRESOL, &resolution, 1);
	put32(&k, OPT_END);
	end(&k);
	pthread_mutex_lock(&p->lock);
	if (p->nr_ifs < PCAPNG_IFS && ring_has(p, k.n)) {
		uint64_t old = p->head;

		ring_put(p, k.b, k.n);
		ring_wake(p, old);
		nr = (int)p->nr_ifs++;
	}
	pthread_mutex_unlock(&p->lock);
	return nr;
}

/* All N bytes, or a negative errno. */
static int write_all(int fd, const uint8_t *b, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, b, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		b += done;
		n -= (size_t)done;
	}
	return 0;
}

/* How many frames each interface had, and how many are not here. */
static int write_statistics(struct pcapng *p)
{
	uint64_t now = pcapng_now();
	int rc = 0;

	for (uint32_t i = 0; i < p->nr_ifs && rc == 0; i++) {
		struct block k;

		begin(&k, BLOCK_STATISTICS);
		put32(&k, i);
		put32(&k, (uint32_t)(now >> 32));
		put32(&k, (uint32_t)now);
		put64_option(&k, OPT_ISB_RECV, p->ifs[i].frames + p->ifs[i].lost);
		put64_option(&k, OPT_ISB_DROP, p->ifs[i].lost);
		put32(&k, OPT_END);
		end(&k);
		rc = write_all(p->fd, k.b, k.n);
	}
	return rc;
}

static void *pcapng_run(void *arg)
{
	struct pcapng *p = arg;
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		size_t at = p->tail % RING, n;

		while (p->head == p->tail && !p->stop)
			pthread_cond_wait(&p->more, &p->lock);
		if (p->head == p->tail)
			break;
		n = min_u64(p->head - p->tail, RING - at);
		pthread_mutex_unlock(&p->lock);
		if (rc == 0) {
			rc = write_all(p->fd, p->ring + at, n);
			if (rc < 0)
				log_warn("capture", "the file takes no more: %s", strerror(-rc));
		}
		pthread_mutex_lock(&p->lock);
		p->error = rc;
		p->tail += n;
	}
	pthread_mutex_unlock(&p->lock);
	if (rc == 0)
		(void)!write_statistics(p);
	return NULL;
}

static int pcapng_start(struct pcapng *p, const char *path, struct err *err)
{
	struct block k;
	int rc;

	p->ring = base_new0(RING);
	if (p->ring == NULL)
		return err_set(err, -ENOMEM, "capture: no memory");
	begin(&k, BLOCK_SECTION);
	put32(&k, 0x1a2b3c4d);			/* tells the byte order */
	put32(&k, 1);				/* version 1.0 */
	put32(&k, UINT32_MAX);			/* the section's length: unknown */
	put32(&k, UINT32_MAX);
	put_option(&k, OPT_SHB_APPL, "genvisor", 8);
	put32(&k, OPT_END);
	end(&k);
	rc = write_all(p->fd, k.b, k.n);
	if (rc < 0)
		return err_set(err, rc, "capture %s: %s", path, strerror(-rc));
	rc = -pthread_create(&p->thread, NULL, pcapng_run, p);
	return rc == 0 ? 0 : err_set(err, rc, "capture: thread: %s", strerror(-rc));
}

static void pcapng_destroy(struct pcapng *p)
{
	if (p->fd >= 0)
		close(p->fd);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p->ring);
	free(p);
}

int pcapng_open(const char *path, struct pcapng **ret_p, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(err, -errno, "capture %s: %s", path, strerror(errno));
	return pcapng_open_fd(fd, path, ret_p, err);
}

int pcapng_open_fd(int fd, const char *name, struct pcapng **ret_p, struct err *err)
{
	struct pcapng *p = new0(struct pcapng);
	int rc;

	if (p == NULL) {
		close(fd);
		return err_set(err, -ENOMEM, "capture: no memory");
	}
	p->fd = fd;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	rc = pcapng_start(p, name, err);
	if (rc < 0) {
		pcapng_destroy(p);
		return rc;
	}
	*ret_p = p;
	return 0;
}

void pcapng_close(struct pcapng *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pcapng_destroy(p);
}

void pcapng_stats(struct pcapng *p, struct pcapng_stats *ret_stats)
{
	struct pcapng_stats s = { 0 };

	pthread_mutex_lock(&p->lock);
	s.error = p->error;
	for (uint32_t i = 0; i < p->nr_ifs; i++) {
		s.frames += p->ifs[i].frames;
		s.lost += p->ifs[i].lost;
	}
	pthread_mutex_unlock(&p->lock);
	*ret_stats = s;
}
