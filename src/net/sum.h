/*
 * sum.h - the Internet checksum
 *
 * Sums are kept in memory order (no byte swaps): sum_fold gives the 16 bits
 * as they are stored.
 */
#ifndef NET_SUM_H
#define NET_SUM_H

#include "net/pkt.h"

/* Adds N bytes to ACC; ODD: they begin at the second byte of a word. */
uint64_t sum_bytes(uint64_t acc, const void *buf, size_t n, bool odd);

/* The same for pieces, which begin at an even byte. */
uint64_t sum_iov(uint64_t acc, const struct iovec *iov, uint32_t nr);

/* The one's complement sum in 16 bits, not complemented. */
static inline uint16_t sum_fold(uint64_t acc)
{
	acc = (acc >> 32) + (acc & UINT32_MAX);
	acc = (acc >> 32) + (acc & UINT32_MAX);
	acc = (acc >> 16) + (acc & UINT16_MAX);
	acc = (acc >> 16) + (acc & UINT16_MAX);
	return (uint16_t)((acc >> 16) + (acc & UINT16_MAX));
}

/* Of the pseudo-header for L4_LEN bytes of P's TCP or UDP. */
uint64_t sum_pseudo(const struct packet *p, uint32_t l4_len);

/* Writes the checksum of the IPv4 header at IP. */
void sum_ip4_write(uint8_t *ip);

#endif
