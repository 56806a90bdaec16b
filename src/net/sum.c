/*
 * sum.c - the Internet checksum
 *
 * Spec     [RFC 1071], [RFC 8200] 8.1
 * Lock     none; usable from any thread
 */
#include "net/sum.h"
#include "base/le.h"

uint64_t sum_bytes(uint64_t acc, const void *buf, size_t n, bool odd)
{
	const uint8_t *p = buf;
	uint64_t sum = 0;
	size_t i = 0;

	/* 32-bit words into 64 bits: no carry is lost below 16 GiB, and it vectorises. */
	for (; i + 32 <= n; i += 32)
		for (unsigned k = 0; k < 8; k++)
			sum += ld32(p + i + 4 * k);
	for (; i + 2 <= n; i += 2)
		sum += ld16(p + i);
	if (i < n)
		sum += p[i];
	if (odd)
		sum = __builtin_bswap16(sum_fold(sum));
	return acc + sum_fold(sum);
}

uint64_t sum_iov(uint64_t acc, const struct iovec *iov, uint32_t nr)
{
	bool odd = false;

	for (uint32_t i = 0; i < nr; i++) {
		acc = sum_bytes(acc, iov[i].iov_base, iov[i].iov_len, odd);
		odd ^= iov[i].iov_len & 1;
	}
	return acc;
}

uint64_t sum_pseudo(const struct packet *p, uint32_t l4_len)
{
	size_t n = p->what & PKT_IP4 ? 4 : 16;
	uint8_t tail[8] = { 0, 0, 0, 0, 0, 0, 0, p->proto };
	uint64_t acc = sum_bytes(0, p->src, n, false);
	be32 len = be32_of(l4_len);

	memcpy(tail, len.b, 4);
	acc = sum_bytes(acc, p->dst, n, false);
	return sum_bytes(acc, tail, sizeof(tail), false);
}

void sum_ip4_write(uint8_t *ip)
{
	st16(ip + 10, 0);
	st16(ip + 10, (uint16_t)~sum_fold(sum_bytes(0, ip, (ip[0] & 15u) * 4, false)));
}
