/*
 * nat_tftp.c - ends file transfers that the library would forget
 *
 * libslirp 4.7 lets the transfers that are under way when it ends leak, with
 * their open files, and never ends one that its client has left until a new
 * one needs the place.  So every request is remembered here by its headers,
 * as many as the library has places, and one that is to end gets an error
 * message in the name of its client, which is what ends it.
 *
 * Spec     [RFC1350] 5 ERROR
 * Lock     none, the NAT's thread
 */
#include "net/nat_priv.h"
#include "net/sum.h"

#include <string.h>

#define PORT_TFTP 69u
#define OP_READ 1u
#define UDP_HLEN 8u
#define ERROR_LEN 5u			/* op, code, an empty text */

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Where UDP begins in a frame to the TFTP port, with two bytes behind its header; 0 = it is none. */
static uint32_t tftp_at(const uint8_t *f, uint32_t len)
{
	uint32_t at = 0;

	if (get16(f + 12) == ETH_IP4 && f[ETH_HLEN + 9] == IP_UDP)
		at = ETH_HLEN + (f[ETH_HLEN] & 15) * 4u;
	if (get16(f + 12) == ETH_IP6 && f[ETH_HLEN + 6] == IP_UDP)
		at = ETH_HLEN + 40;
	if (at < ETH_HLEN + 20 || at + UDP_HLEN + 2 > len || get16(f + at + 2) != PORT_TFTP)
		return 0;
	return at;
}

/* An error message from the client of T. */
static void end_transfer(struct nat *n, struct nat_transfer *t)
{
	uint8_t *f = t->frame, *udp = f + t->at, *ip = f + ETH_HLEN;
	uint32_t dgram = UDP_HLEN + ERROR_LEN, addrs = t->at == ETH_HLEN + 40 ? 32 : 8;
	uint64_t sum;

	if (t->at == 0)
		return;
	memset(udp + UDP_HLEN, 0, ERROR_LEN);
	udp[UDP_HLEN + 1] = 5;
	put16(udp + 4, dgram);
	put16(udp + 6, 0);
	if (addrs == 32) {
		put16(ip + 4, dgram);
	} else {
		put16(ip + 2, t->at - ETH_HLEN + dgram);
		sum_ip4_write(ip);
	}
	/* The pseudo-header: addresses, which end where UDP begins, length, protocol. */
	sum = sum_bytes((uint64_t)(dgram + IP_UDP) << 8, udp - addrs, addrs + dgram, false);
	st16(udp + 6, ~sum_fold(sum) & 0xffff);
	if (get16(udp + 6) == 0)
		put16(udp + 6, UINT16_MAX);
	t->at = 0;
	slirp_input(n->slirp, f, (int)(udp + dgram - f));
}

/* The same client: address and port. */
static bool same(const struct nat_transfer *t, const uint8_t *f, uint32_t at)
{
	uint32_t addrs = at == ETH_HLEN + 40 ? 32 : 8;

	return t->at == at && memcmp(t->frame + at - addrs, f + at - addrs, addrs / 2) == 0 &&
	       memcmp(t->frame + at, f + at, 2) == 0;
}

bool nat_tftp_in(struct nat *n, const uint8_t *frame, uint32_t len)
{
	uint32_t at = tftp_at(frame, len);
	struct nat_transfer *t;

	if (at == 0 || get16(frame + at + UDP_HLEN) != OP_READ)
		return true;
	if (at != ETH_HLEN + 20 && at != ETH_HLEN + 40)
		return false;			/* header options: addresses are not where same looks */
	if (get16(frame + 12) == ETH_IP4 && at != ETH_HLEN + 20)
		return false;
	for (unsigned i = 0; i < NAT_TRANSFERS; i++)
		if (same(&n->transfers[i], frame, at))
			return true;
	t = &n->transfers[n->next_transfer++ % NAT_TRANSFERS];
	end_transfer(n, t);
	memcpy(t->frame, frame, at + UDP_HLEN);
	t->at = at;
	return true;
}

void nat_tftp_end(struct nat *n)
{
	for (unsigned i = 0; i < NAT_TRANSFERS; i++)
		end_transfer(n, &n->transfers[i]);
}
