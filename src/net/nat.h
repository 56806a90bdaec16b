/*
 * nat.h - a way out of the host that needs no rights: user-mode NAT
 *
 * The guests behind it see one more machine on their wire, the gateway, which
 * answers DHCP, DNS, TFTP and pings and opens a socket of this process for
 * every TCP connection and UDP flow.  With net=10.0.2.0/24:
 *
 *	10.0.2.2	the gateway; with hostloopback=on it is, as a destination, this host's
 *			loopback, for TCP and UDP
 *	10.0.2.3	the name server, which is the host's
 *	10.0.2.15-.30	by DHCP
 *	fec0::/64	by router advertisement; gateway fec0::2, name server fec0::3
 *
 * It sends from an address of its own for each of these, 52:55 followed by the
 * four bytes of the IPv4 address (52:56:00:00:00:02 for IPv6): a switch lets its
 * port send from any address.
 *
 * What listens on this host's loopback only was never meant for a guest, so no way
 * leads there unless it is asked for: not the gateway's address, and never a loopback
 * address itself.  What the host offers on its other addresses is open to guests as
 * it is to its network.
 */
#ifndef NET_NAT_H
#define NET_NAT_H

#include "base/err.h"
#include "net/port.h"

#include <netinet/in.h>

#define NAT_FWD_MAX 32u
#define NAT_GATEWAY 2u			/* host numbers in the network */
#define NAT_NAMESERVER 3u
#define NAT_DHCP_FIRST 15u
#define NAT_DHCP_LAST 30u

struct nat_end {
	bool v6;
	uint16_t port;
	struct in_addr v4;		/* of a guest: 0 = the first that DHCP gives */
	struct in6_addr v6_addr;
};

struct nat_fwd {
	bool udp;
	struct nat_end host, guest;	/* of one family */
};

struct nat_conf {
	uint32_t net;			/* host order */
	unsigned prefix;		/* 8 to 27 */
	bool host_loopback;		/* guests reach it at the gateway's address */
	char tftp[1024];		/* a directory; "" = no TFTP */
	char bootfile[128];		/* what DHCP names as the file to boot; "" = none */
	unsigned nr_fwd;
	struct nat_fwd fwd[NAT_FWD_MAX];
};

/*
 * nat[,hostfwd=PROTO:[HOSTADDR]:PORT-[GUESTADDR]:PORT]...[,tftp=DIR][,bootfile=NAME][,net=CIDR]
 * [,hostloopback=on|off]
 *
 * PROTO is tcp or udp.  An empty HOSTADDR is 127.0.0.1, an empty GUESTADDR the first
 * that DHCP gives; IPv6 addresses are in brackets.  A comma cannot be part of DIR or NAME.
 */
MUST_CHECK int nat_parse(const char *text, struct nat_conf *ret_conf, struct err *err);
void nat_conf_init(struct nat_conf *c);	/* what "nat" alone means */

struct nat;

struct nat_stats {
	uint64_t rx, rx_bytes;		/* from the guests */
	uint64_t rx_other;		/* neither ARP nor IP: dropped */
	uint64_t rx_flows;		/* would have opened one socket too many: dropped */
	uint64_t rx_loopback;		/* for where the host's loopback is: dropped or refused */
	uint64_t rx_wait;		/* times that there was no room */
	uint64_t tx, tx_bytes;		/* to the guests */
	uint64_t tx_long;		/* dropped, longer than 1514 bytes and neither TCP nor IPv4 */
	uint64_t tx_full;		/* dropped, the switch did not take the ones before */
	uint32_t flows;			/* sockets now */
};

/* Binds itself to P, which stays until nat_free has returned.  C may be gone after. */
MUST_CHECK int nat_new(const struct nat_conf *c, struct port *p, struct nat **ret_nat,
		       struct err *err);
void nat_free(struct nat *n);
void nat_stats(struct nat *n, struct nat_stats *ret_stats);

#endif
