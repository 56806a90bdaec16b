/*
 * netload.c - network load with a count at the receiving end
 *
 *	netload tx HOST PORT SECONDS		TCP, 256 KiB a write
 *	netload rx PORT				takes one of those
 *	netload utx HOST PORT SIZE SECONDS	UDP datagrams of SIZE bytes, as many as go
 *	netload urx PORT			counts datagrams from the first until a second is quiet
 *	netload rr HOST PORT SECONDS		one byte there and back over TCP
 *	netload echo PORT			the other side of it
 *
 * Prints one line: what, how many bytes, how many packets or rounds, in how many
 * seconds.  Built static, so that the same file runs on the host and in any guest.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256u << 10)
#define BATCH 64u

static char buf[CHUNK];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void result(const char *what, uint64_t bytes, uint64_t count, double seconds)
{
	printf("netload %s %llu bytes %llu count %.4f seconds\n", what, (unsigned long long)bytes,
	       (unsigned long long)count, seconds);
}

static struct sockaddr_in at(const char *host, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	if (host != NULL && inet_pton(AF_INET, host, &a.sin_addr) != 1) {
		fprintf(stderr, "netload: \"%s\" is no IPv4 address\n", host);
		exit(2);
	}
	return a;
}

static int sock(int type)
{
	int s = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	if (s < 0)
		die("socket");
	if (type == SOCK_STREAM) {
		(void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	}
	return s;
}

static int to(int type, const char *host, const char *port)
{
	struct sockaddr_in a = at(host, port);
	int s = sock(type);

	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	return s;
}

static int from(int type, const char *port)
{
	struct sockaddr_in a = at(NULL, port);
	int s = sock(type), c;

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("bind");
	if (type == SOCK_DGRAM)
		return s;
	if (listen(s, 1) < 0)
		die("listen");
	c = accept(s, NULL, NULL);
	if (c < 0)
		die("accept");
	close(s);
	return c;
}

/* What the other side has got counts, not what lies in a socket's buffer. */
static void tx(const char *host, const char *port, double seconds)
{
	int s = to(SOCK_STREAM, host, port);
	double start = now();
	uint64_t got;

	while (now() < start + seconds)
		if (write(s, buf, sizeof(buf)) < 0)
			die("write");
	(void)shutdown(s, SHUT_WR);
	if (recv(s, &got, sizeof(got), MSG_WAITALL) != sizeof(got))
		die("the count of the other side");
	result("tx", got, 0, now() - start);
}

static void rx(const char *port)
{
	int s = from(SOCK_STREAM, port);
	double start = now();
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = read(s, buf, sizeof(buf))) > 0)
		bytes += (uint64_t)n;
	result("rx", bytes, 0, now() - start);
	if (write(s, &bytes, sizeof(bytes)) != sizeof(bytes))
		die("write");
}

static void batch(struct mmsghdr *m, struct iovec *v, size_t size)
{
	for (unsigned i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){ buf + i * (CHUNK / BATCH), size };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &v[i], .msg_iovlen = 1 } };
	}
}

static void utx(const char *host, const char *port, size_t size, double seconds)
{
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	int s = to(SOCK_DGRAM, host, port), n;
	double start = now();
	uint64_t sent = 0;

	batch(m, v, size < CHUNK / BATCH ? size : CHUNK / BATCH);
	while (now() < start + seconds) {
		n = sendmmsg(s, m, BATCH, 0);
		if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("sendmmsg");
		sent += n > 0 ? (uint64_t)n : 0;
	}
	result("utx", sent * size, sent, now() - start);
}

static void urx(const char *port)
{
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	struct timeval quiet = { .tv_sec = 1 };
	int s = from(SOCK_DGRAM, port), n, room = 4 << 20;
	double first = 0, last = 0;
	uint64_t got = 0, bytes = 0;

	(void)setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	batch(m, v, CHUNK / BATCH);
	for (;;) {
		n = recvmmsg(s, m, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0)
			break;
		last = now();
		if (got == 0) {
			first = last;
			(void)setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet));
		}
		got += (uint64_t)n;
		for (int i = 0; i < n; i++)
			bytes += m[i].msg_len;
	}
	result("urx", bytes, got, last - first);
}

static void rr(const char *host, const char *port, double seconds)
{
	int s = to(SOCK_STREAM, host, port);
	double start = now();
	uint64_t rounds = 0;

	while (now() < start + seconds) {
		if (write(s, buf, 1) != 1 || read(s, buf, 1) != 1)
			die("round");
		rounds++;
	}
	result("rr", 2 * rounds, rounds, now() - start);
}

static void echo(const char *port)
{
	int s = from(SOCK_STREAM, port);

	while (read(s, buf, 1) == 1)
		if (write(s, buf, 1) != 1)
			die("write");
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "tx") == 0)
		tx(argv[2], argv[3], atof(argv[4]));
	else if (argc == 3 && strcmp(argv[1], "rx") == 0)
		rx(argv[2]);
	else if (argc == 6 && strcmp(argv[1], "utx") == 0)
		utx(argv[2], argv[3], (size_t)atoi(argv[4]), atof(argv[5]));
	else if (argc == 3 && strcmp(argv[1], "urx") == 0)
		urx(argv[2]);
	else if (argc == 5 && strcmp(argv[1], "rr") == 0)
		rr(argv[2], argv[3], atof(argv[4]));
	else if (argc == 3 && strcmp(argv[1], "echo") == 0)
		echo(argv[2]);
	else
		return fputs("usage: netload tx|rx|utx|urx|rr|echo ...; see netload.c\n", stderr), 2;
	return 0;
}
