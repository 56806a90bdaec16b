/*
 * frames.c - frames from a test out of a guest, and what comes in
 *
 *	frames send IF {COUNT HEX}...	each COUNT times, as they are
 *	frames hear IF...		a line for each that has a mark at its end: "IF MARK VLAN BYTES"
 *
 * A mark is the last eight bytes of a frame, "gvpf" and a number; so what a
 * guest says by itself is not heard.  Built static, for a guest that has no tools.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IFS_MAX 8

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int bind_to(const char *name, int protocol)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol) };
	int s = socket(AF_PACKET, SOCK_RAW, 0);

	a.sll_ifindex = (int)if_nametoindex(name);
	if (s < 0 || a.sll_ifindex == 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(name);
	return s;
}

static int send_all(char **v)
{
	int s = bind_to(*v++, 0);

	for (; v[0] != NULL && v[1] != NULL; v += 2) {
		uint8_t b[1514];
		size_t n = 0;
		unsigned byte;

		for (const char *h = v[1]; n < sizeof(b) && sscanf(h, "%2x", &byte) == 1; h += 2)
			b[n++] = (uint8_t)byte;
		for (long k = atol(v[0]); k > 0; k--)
			if (send(s, b, n, 0) != (ssize_t)n)
				die("send");
	}
	return 0;
}

/* Every frame that the adapter gets, with the tags that were taken off it. */
static int open_ears(const char *name)
{
	struct packet_mreq m = { .mr_type = PACKET_MR_PROMISC, .mr_ifindex = (int)if_nametoindex(name) };
	int s = bind_to(name, ETH_P_ALL), on = 1, room = 4 << 20;

	if (setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof(m)) < 0 ||
	    setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) < 0 ||
	    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		die(name);
	return s;
}

static void hear_one(int s, const char *name)
{
	union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(struct tpacket_auxdata))]; } c;
	uint8_t b[2048];
	struct iovec iov = { b, sizeof(b) };
	struct sockaddr_ll from = { 0 };
	struct msghdr m = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &c, .msg_controllen = sizeof(c),
	};
	ssize_t n = recvmsg(s, &m, 0);
	struct tpacket_auxdata aux = { 0 };
	unsigned vlan = 0;
	uint32_t mark;

	if (n < 60 || from.sll_pkttype == PACKET_OUTGOING || memcmp(b + n - 8, "gvpf", 4) != 0)
		return;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL; h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_level == SOL_PACKET && h->cmsg_type == PACKET_AUXDATA)
			memcpy(&aux, CMSG_DATA(h), sizeof(aux));
	if (aux.tp_status & TP_STATUS_VLAN_VALID)
		vlan = aux.tp_vlan_tci & 0xfff;
	memcpy(&mark, b + n - 4, 4);
	printf("%s %u %u %zd\n", name, ntohl(mark), vlan, n);
	fflush(stdout);
}

_Noreturn static void hear(char **names)
{
	struct pollfd p[IFS_MAX];
	unsigned nr = 0;

	for (; names[nr] != NULL && nr < IFS_MAX; nr++)
		p[nr] = (struct pollfd){ .fd = open_ears(names[nr]), .events = POLLIN };
	for (;;) {
		poll(p, nr, -1);
		for (unsigned i = 0; i < nr; i++)
			if (p[i].revents)
				hear_one(p[i].fd, names[i]);
	}
}

int main(int argc, char **argv)
{
	if (argc > 4 && strcmp(argv[1], "send") == 0)
		return send_all(argv + 2);
	if (argc > 2 && strcmp(argv[1], "hear") == 0)
		hear(argv + 2);
	fprintf(stderr, "usage: frames send IF {COUNT HEX}... | hear IF...\n");
	return 2;
}
