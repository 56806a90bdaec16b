/*
 * nat_tftp.c - files of one directory for guests that boot from the network
 *
 * The library has a TFTP server, but it opens whatever a path leads to: a
 * symbolic link in the directory is a way to any file of the host, a FIFO
 * stops everything.  It also forgets transfers that are under way when it
 * ends.  So it never sees a request; they are answered here.
 *
 * A name is looked up by the kernel beneath the directory that was opened at
 * the start, with links followed only as far as they stay in it, and only
 * regular files are read.  Nothing is written, ever.
 *
 * One block is on its way at a time, and there is no timer: a client that
 * misses a block asks again, and gets it again, but not more often than every
 * RESEND_NS, so that a doubled packet does not double all that follow.  There
 * are as many transfers as places; the one that is idle longest gives its up.
 *
 * Spec     [RFC1350], [RFC2347] options, [RFC2348] blksize, [RFC2349] tsize
 * Missing  windows of several blocks, netascii
 * Lock     none, the NAT's thread
 */
#include "net/nat_priv.h"
#include "net/sum.h"
#include "net/words.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORT_TFTP 69u
#define IP_HLEN 20u
#define IP6_HLEN 40u
#define UDP_HLEN 8u
#define BLOCK 512u			/* without the option */
#define BLOCK_MIN 8u
#define BLOCK_MAX 1428u			/* with every header in 1500 bytes */
#define RESEND_NS (50 * NS_PER_SEC / 1000)

enum { OP_READ = 1, OP_WRITE, OP_DATA, OP_ACK, OP_ERROR, OP_OACK };
enum { ERR_NOT_FOUND = 1, ERR_ACCESS = 2, ERR_ILLEGAL = 4, ERR_OPTION = 8 };

/* A datagram from a client, checked; everything points into the frame. */
struct request {
	const uint8_t *mac, *addr;
	bool v6;
	uint16_t port;
	const uint8_t *m;		/* the message */
	uint32_t n;
};

/* Without links out of DIR, on a regular file. */
static int open_beneath(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	struct stat st;
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EACCES;
}

int nat_tftp_start(struct nat *n, const char *dir, struct err *err)
{
	int rc;

	n->tftp_dir = -1;
	for (unsigned i = 0; i < NAT_TRANSFERS; i++)
		n->transfers[i].fd = -1;
	if (dir[0] == '\0')
		return 0;
	n->tftp_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (n->tftp_dir < 0) {
		rc = -errno;
		return err_set(err, rc, "nat: tftp=%s: %s", dir, rc == -ENOTDIR ? "not a directory" : strerror(-rc));
	}
	/* A directory is no file: any other answer means that there is no such call. */
	rc = open_beneath(n->tftp_dir, ".");
	if (rc != -EACCES)
		return err_set(err, -ENOSYS, "nat: tftp=: the host has no openat2 (Linux 5.6 has): %s",
			       strerror(-rc));
	return 0;
}

static void close_transfer(struct nat_transfer *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->sent_ns = 0;
}

void nat_tftp_end(struct nat *n)
{
	for (unsigned i = 0; i < NAT_TRANSFERS; i++)
		close_transfer(&n->transfers[i]);
	if (n->tftp_dir >= 0)
		close(n->tftp_dir);
	n->tftp_dir = -1;
}

/* Answers. */

/* The N bytes at B + headers, as a datagram to T's client; B has room for the headers before them. */
static void put_datagram(struct nat *n, const struct nat_transfer *t, uint8_t *b, uint32_t len)
{
	static const uint8_t ip6_mac[6] = { 0x52, 0x56, 0, 0, 0, NAT_GATEWAY };
	uint32_t hlen = t->v6 ? IP6_HLEN : IP_HLEN, addrs = t->v6 ? 32 : 8;
	uint8_t *ip = b + ETH_HLEN, *udp = ip + hlen;
	uint64_t sum;

	len += UDP_HLEN;
	memset(b, 0, ETH_HLEN + hlen + UDP_HLEN);
	memcpy(b, t->mac, 6);
	if (t->v6) {
		memcpy(b + 6, ip6_mac, 6);
		stbe16(b + 12, ETH_IP6);
		ip[0] = 0x60;
		stbe16(ip + 4, len);
		ip[6] = IP_UDP;
		ip[7] = 64;
		memcpy(ip + 8, n->gateway6, 16);
		memcpy(ip + 24, t->addr, 16);
	} else {
		memcpy(b + 6, (const uint8_t[]){ 0x52, 0x55 }, 2);
		memcpy(b + 8, n->gateway4, 4);
		stbe16(b + 12, ETH_IP4);
		ip[0] = 0x45;
		stbe16(ip + 2, IP_HLEN + len);
		ip[8] = 64;
		ip[9] = IP_UDP;
		memcpy(ip + 12, n->gateway4, 4);
		memcpy(ip + 16, t->addr, 4);
		sum_ip4_write(ip);
	}
	stbe16(udp, PORT_TFTP);
	stbe16(udp + 2, t->port);
	stbe16(udp + 4, len);
	/* The pseudo-header: addresses, which end where UDP begins, length, protocol. */
	sum = sum_bytes(__builtin_bswap16((uint16_t)len) + (uint64_t)(IP_UDP << 8), udp - addrs, addrs + len, false);
	st16(udp + 6, ~sum_fold(sum) & UINT16_MAX);
	if (ldbe16(udp + 6) == 0)
		stbe16(udp + 6, UINT16_MAX);
	nat_out_put(n, b, ETH_HLEN + hlen + len);
}

#define HEADERS(t) (ETH_HLEN + ((t)->v6 ? IP6_HLEN : IP_HLEN) + UDP_HLEN)
#define FRAME_LONGEST (ETH_HLEN + IP6_HLEN + UDP_HLEN + 4 + BLOCK_MAX)

static void put_error(struct nat *n, const struct nat_transfer *t, unsigned code, const char *text)
{
	uint8_t b[ETH_HLEN + IP6_HLEN + UDP_HLEN + 64], *m = b + HEADERS(t);
	uint32_t len = (uint32_t)strlen(text) + 1;

	BUG_IF(4 + len > 64);
	stbe16(m, OP_ERROR);
	stbe16(m + 2, code);
	memcpy(m + 4, text, len);
	put_datagram(n, t, b, 4 + len);
}

/* The block that is T's turn, read from the file each time. */
static void put_block(struct nat *n, struct nat_transfer *t)
{
	uint8_t b[FRAME_LONGEST], *m = b + HEADERS(t);
	ssize_t got = pread(t->fd, m + 4, t->block_len, (off_t)(t->block - 1) * t->block_len);

	if (got < 0) {
		put_error(n, t, 0, "the file cannot be read");
		close_transfer(t);
		return;
	}
	stbe16(m, OP_DATA);
	stbe16(m + 2, (uint32_t)t->block & UINT16_MAX);
	t->last = got < t->block_len;
	t->sent_ns = nat_now(n);
	put_datagram(n, t, b, 4 + (uint32_t)got);
}

/* Requests. */

/* The string at *M, of at most *N bytes with its end; what is behind it is next.  NULL: it has no end. */
static const char *next_string(const uint8_t **m, uint32_t *n)
{
	const char *s = (const char *)*m;
	size_t len = strnlen(s, *n);

	if (len == *n)
		return NULL;
	*m += len + 1;
	*n -= (uint32_t)len + 1;
	return s;
}

/* Answers the options that we know, in TO of SIZE bytes; how many bytes. */
static uint32_t take_options(struct nat_transfer *t, const uint8_t *m, uint32_t n, char *to, size_t size)
{
	bool block = false, tsize = false;
	const char *name, *value;
	struct stat st;
	size_t at = 0;
	uint64_t v;

	while ((name = next_string(&m, &n)) != NULL && (value = next_string(&m, &n)) != NULL) {
		if (!words_number(value, 0, UINT32_MAX, &v))
			continue;
		if (strcasecmp(name, "blksize") == 0 && !block && v >= BLOCK_MIN && v <= 65464) {
			t->block_len = (uint32_t)min_u64(v, BLOCK_MAX);
			at += (size_t)snprintf(to + at, size - at, "blksize%c%u", 0, t->block_len) + 1;
			block = true;
		}
		if (strcasecmp(name, "tsize") == 0 && !tsize && fstat(t->fd, &st) == 0) {
			at += (size_t)snprintf(to + at, size - at, "tsize%c%llu", 0,
					       (unsigned long long)st.st_size) + 1;
			tsize = true;
		}
	}
	BUG_IF(at > size);
	return (uint32_t)at;
}

static void read_request(struct nat *n, struct nat_transfer *t, const struct request *q)
{
	const uint8_t *m = q->m + 2;
	uint32_t len = q->n - 2, options;
	const char *name = next_string(&m, &len), *mode = name ? next_string(&m, &len) : NULL;
	uint8_t b[ETH_HLEN + IP6_HLEN + UDP_HLEN + 64];
	uint8_t *answer = b + HEADERS(t);

	if (mode == NULL)
		return put_error(n, t, ERR_ILLEGAL, "the request has no end");
	if (strcasecmp(mode, "octet") != 0)
		return put_error(n, t, ERR_ILLEGAL, "octet mode only");
	while (*name == '/')
		name++;
	if (n->tftp_dir < 0)
		return put_error(n, t, ERR_ACCESS, "there are no files here");
	t->fd = open_beneath(n->tftp_dir, name);
	if (t->fd < 0) {
		t->fd = -1;
		return put_error(n, t, ERR_NOT_FOUND, "file not found");
	}
	t->block_len = BLOCK;
	t->block = 0;
	t->last = false;
	t->sent_ns = nat_now(n);
	options = take_options(t, m, len, (char *)answer + 2, 62);
	if (options == 0) {
		t->block = 1;
		return put_block(n, t);
	}
	stbe16(answer, OP_OACK);
	put_datagram(n, t, b, 2 + options);
}

static void acknowledged(struct nat *n, struct nat_transfer *t, uint16_t block)
{
	if (block == (t->block & UINT16_MAX)) {
		if (t->last)
			return close_transfer(t);
		t->block++;
		put_block(n, t);
	} else if (t->block != 0 && block == ((t->block - 1) & UINT16_MAX) &&
		   nat_now(n) - t->sent_ns >= RESEND_NS) {
		put_block(n, t);
	}
}

static bool same_client(const struct nat_transfer *t, const struct request *q)
{
	return t->v6 == q->v6 && t->port == q->port && memcmp(t->addr, q->addr, q->v6 ? 16 : 4) == 0;
}

/* The client's transfer; NULL: it has none. */
static struct nat_transfer *find_transfer(struct nat *n, const struct request *q)
{
	for (unsigned i = 0; i < NAT_TRANSFERS; i++)
		if (n->transfers[i].fd >= 0 && same_client(&n->transfers[i], q))
			return &n->transfers[i];
	return NULL;
}

/* A place for a new one: the client's own, a free one, else the one that is idle longest. */
static struct nat_transfer *new_transfer(struct nat *n, const struct request *q)
{
	struct nat_transfer *t = find_transfer(n, q), *old = &n->transfers[0];

	for (unsigned i = 1; i < NAT_TRANSFERS; i++)
		if (n->transfers[i].sent_ns < old->sent_ns)
			old = &n->transfers[i];
	if (t == NULL)
		t = old;
	close_transfer(t);
	*t = (struct nat_transfer){ .fd = -1, .v6 = q->v6, .port = q->port };
	memcpy(t->mac, q->mac, 6);
	memcpy(t->addr, q->addr, q->v6 ? 16 : 4);
	return t;
}

static void answer_request(struct nat *n, const struct request *q)
{
	unsigned op = ldbe16(q->m);
	struct nat_transfer *t;

	switch (op) {
	case OP_READ:
		return read_request(n, new_transfer(n, q), q);
	case OP_WRITE:
		return put_error(n, new_transfer(n, q), ERR_ACCESS, "nothing is written here");
	case OP_ACK:
		t = find_transfer(n, q);
		if (t != NULL && q->n >= 4)
			acknowledged(n, t, ldbe16(q->m + 2));
		return;
	case OP_ERROR:
		t = find_transfer(n, q);
		if (t != NULL)
			close_transfer(t);
		return;
	default:
		return;				/* nothing that a client says */
	}
}

/* A datagram for our port at our address?  *UDP is where it begins. */
static bool is_for_us(const struct nat *n, const uint8_t *f, uint32_t len, struct request *q, uint32_t *ret_at)
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };
	const uint8_t *ip = f + ETH_HLEN;
	unsigned type = ldbe16(f + 12);
	uint32_t at = ETH_HLEN + IP6_HLEN;

	if (len < ETH_HLEN + IP_HLEN + UDP_HLEN || (type != ETH_IP4 && type != ETH_IP6))
		return false;
	q->v6 = type == ETH_IP6;
	q->mac = f + 6;
	if (q->v6) {
		if (len < at + UDP_HLEN || ip[0] >> 4 != 6 || ip[6] != IP_UDP ||
		    memcmp(ip + 24, n->gateway6, 16) != 0)
			return false;
		q->addr = ip + 8;
	} else {
		at = ETH_HLEN + (ip[0] & 15) * 4u;
		if (ip[0] >> 4 != 4 || at < ETH_HLEN + IP_HLEN || at + UDP_HLEN > len || ip[9] != IP_UDP ||
		    (memcmp(ip + 16, n->gateway4, 4) != 0 && memcmp(ip + 16, broadcast, 4) != 0))
			return false;
		q->addr = ip + 12;
	}
	*ret_at = at;
	return ldbe16(f + at + 2) == PORT_TFTP;
}

/* Lengths and checksums of what is for us; only then it is looked at. */
static bool read_datagram(const uint8_t *f, uint32_t len, uint32_t at, struct request *q)
{
	const uint8_t *ip = f + ETH_HLEN, *udp = f + at;
	uint32_t n = ldbe16(udp + 4), addrs = q->v6 ? 32 : 8;
	uint32_t end = ETH_HLEN + (q->v6 ? IP6_HLEN + ldbe16(ip + 4) : ldbe16(ip + 2));
	uint64_t sum;

	if (end > len || n < UDP_HLEN + 2 || at + n > end)
		return false;
	if (!q->v6 && sum_fold(sum_bytes(0, ip, at - ETH_HLEN, false)) != UINT16_MAX)
		return false;
	sum = sum_bytes(__builtin_bswap16((uint16_t)n) + (uint64_t)(IP_UDP << 8), q->v6 ? ip + 8 : ip + 12,
			addrs, false);
	if ((q->v6 || ldbe16(udp + 6) != 0) && sum_fold(sum_bytes(sum, udp, n, false)) != UINT16_MAX)
		return false;
	q->port = ldbe16(udp);
	q->m = udp + UDP_HLEN;
	q->n = n - UDP_HLEN;
	return true;
}

bool nat_tftp_in(struct nat *n, const uint8_t *frame, uint32_t len)
{
	struct request q;
	uint32_t at;

	if (!is_for_us(n, frame, len, &q, &at))
		return false;
	/* A group's address as the client would make an amplifier of us. */
	if (read_datagram(frame, len, at, &q) && !(frame[6] & 1) && q.addr[0] != 0 &&
	    q.addr[0] < (q.v6 ? 0xff : 0xe0))
		answer_request(n, &q);
	return true;
}
