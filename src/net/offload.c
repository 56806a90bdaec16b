/*
 * offload.c - completes in software what a receiver does not take
 *
 * Checksums that are still to be computed, large sends that are to be cut,
 * tags that must lie in the bytes.  The headers come from pkt's copy and go
 * out by another copy, so one frame can go to receivers of different taste;
 * payload is passed on where it lies.
 *
 * Spec     [RFC 9293] 3.1, [RFC 768], [802.1Q] 9
 * Lock     none
 */
#include "net/offload.h"
#include "base/le.h"
#include "net/sum.h"

#define TAG_LEN 4u

enum { TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80 };

/* One frame under construction: header bytes of its own, payload borrowed. */
struct out {
	const struct packet *p;
	const struct port_caps *caps;
	offload_emit *emit;
	void *arg;
	struct iovec iov[NET_IOV_OUT];
	uint8_t h[TAG_LEN + PKT_HDR_MAX];	/* header at h + TAG_LEN; a tag moves its beginning */
};

/* What comes behind the first N bytes of P. */
static uint32_t payload_of(const struct packet *p, uint32_t n, struct iovec *ret_iov)
{
	uint32_t nr = 0;

	if (n < p->n)
		ret_iov[nr++] = (struct iovec){ (uint8_t *)(uintptr_t)p->h + n, p->n - n };
	memcpy(ret_iov + nr, p->rest, p->nr_rest * sizeof(*p->rest));
	return nr + p->nr_rest;
}

/* Takes up to N bytes from the pieces at *AT, *OFF on; how many pieces. */
static uint32_t take(const struct iovec *from, uint32_t *at, size_t *off, size_t n,
		     struct iovec *ret_iov)
{
	uint32_t nr = 0;

	while (n > 0) {
		size_t m = min_u64(from[*at].iov_len - *off, n);

		if (m > 0)
			ret_iov[nr++] = (struct iovec){ (uint8_t *)from[*at].iov_base + *off, m };
		*off += m;
		n -= m;
		if (*off == from[*at].iov_len) {
			*off = 0;
			++*at;
		}
	}
	return nr;
}

/* The checksums of the packet in O->h, whose payload is in the pieces from 1 on. */
static void complete(struct out *o, uint32_t hdr, uint32_t nr_pay, uint32_t l4_len, uint32_t flags)
{
	const struct packet *p = o->p;
	uint8_t *h = o->h + TAG_LEN, *field;
	uint64_t acc;
	uint16_t sum;

	if (flags & FRAME_SUM_IP)
		sum_ip4_write(h + p->l3_at);
	if (!(flags & FRAME_SUM_L4))
		return;
	field = h + p->l4_at + (flags & FRAME_SUM_UDP ? 6 : 16);
	st16(field, 0);
	/* Header lengths are even, so the payload begins at an even byte: TCP, UDP. */
	acc = sum_bytes(sum_pseudo(p, l4_len), h + p->l4_at, hdr - p->l4_at, false);
	sum = (uint16_t)~sum_fold(sum_iov(acc, o->iov + 1, nr_pay));
	st16(field, sum == 0 && (flags & FRAME_SUM_UDP) ? UINT16_MAX : sum);
}

/* O->h holds HDR bytes, the pieces from 1 on NR_PAY of payload. */
static int send_out(struct out *o, uint32_t hdr, uint32_t nr_pay, struct net_frame *f)
{
	uint8_t *h = o->h + TAG_LEN;

	f->l4_at = o->p->l4_at;
	f->tci = o->p->tci;
	if ((f->flags & FRAME_TAGGED) && !(o->caps->flags & PORT_TAKES_TAG)) {
		be16 type = be16_of(ETH_TAG), tci = be16_of(f->tci);

		h = o->h;
		memmove(h, h + TAG_LEN, 12);
		memcpy(h + 12, type.b, 2);
		memcpy(h + 14, tci.b, 2);
		hdr += TAG_LEN;
		f->len += TAG_LEN;
		if (f->l4_at != 0)
			f->l4_at = (uint16_t)(f->l4_at + TAG_LEN);
		f->flags &= ~(uint32_t)FRAME_TAGGED;
		f->tci = 0;
	}
	o->iov[0] = (struct iovec){ h, hdr };
	f->iov = o->iov;
	f->nr_iov = 1 + nr_pay;
	return o->emit(o->arg, f);
}

/* P as one frame. */
static int fit_whole(struct out *o)
{
	const struct packet *p = o->p;
	uint32_t sums = p->flags & (FRAME_SUM_IP | FRAME_SUM_L4);
	struct net_frame f = { .flags = p->flags, .len = p->len, .mss = p->mss };
	bool compute = sums != 0 && !(o->caps->flags & PORT_TAKES_SUM);
	uint32_t hdr = compute && (sums & FRAME_SUM_L4) ? p->hdr_len : p->n, nr_pay;

	memcpy(o->h + TAG_LEN, p->h, hdr);
	nr_pay = payload_of(p, hdr, o->iov + 1);
	if (compute) {
		uint32_t at = 0, nr, l4_len = p->ip_end - p->l4_at;
		struct iovec all[NET_IOV_OUT];
		size_t off = 0;

		if (sums & FRAME_SUM_L4) {		/* padding is no part of it */
			memcpy(all, o->iov, sizeof(all));
			nr = take(all + 1, &at, &off, p->ip_end - hdr, o->iov + 1);
			complete(o, hdr, nr, l4_len, sums);
			memcpy(o->iov, all, sizeof(all));
			f.flags |= FRAME_SUM_OK;
		} else {
			complete(o, hdr, nr_pay, 0, sums);
		}
		f.flags &= ~sums;
	}
	return send_out(o, hdr, nr_pay, &f);
}

/* The header of the segment that begins at AT of DATA payload bytes and has N. */
static void segment_header(struct out *o, uint32_t at, uint32_t n, uint32_t data)
{
	const struct packet *p = o->p;
	uint8_t *h = o->h + TAG_LEN, *ip = h + p->l3_at, *tcp = h + p->l4_at;
	uint32_t l3_len = p->hdr_len - p->l3_at + n;
	be16 len = be16_of((uint16_t)(p->what & PKT_IP4 ? l3_len : l3_len - 40));
	be32 seq;

	memcpy(h, p->h, p->hdr_len);
	memcpy(ip + (p->what & PKT_IP4 ? 2 : 4), len.b, 2);
	if (p->what & PKT_IP4) {
		be16 id;

		memcpy(id.b, ip + 4, 2);
		id = be16_of((uint16_t)(be16_get(id) + at / p->mss));
		memcpy(ip + 4, id.b, 2);
	}
	memcpy(seq.b, tcp + 4, 4);
	seq = be32_of(be32_get(seq) + at);
	memcpy(tcp + 4, seq.b, 4);
	if (at > 0)
		tcp[13] &= (uint8_t)~TCP_CWR;
	if (at + n < data)
		tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	st16(tcp + 16, sum_fold(sum_pseudo(p, p->hdr_len - p->l4_at + n)));
}

static int fit_segments(struct out *o)
{
	const struct packet *p = o->p;
	uint32_t data = p->len - p->hdr_len, sums = p->flags & (FRAME_SUM_IP | FRAME_SUM_L4), i = 0;
	struct iovec pay[NET_IOV_OUT];
	size_t off = 0;
	int rc;

	payload_of(p, p->hdr_len, pay);
	for (uint32_t at = 0, n; at < data; at += n) {
		struct net_frame f = { .flags = p->flags & ~(uint32_t)FRAME_LSO };
		uint32_t nr;

		n = (uint32_t)min_u64(p->mss, data - at);
		nr = take(pay, &i, &off, n, o->iov + 1);
		f.len = p->hdr_len + n;
		segment_header(o, at, n, data);
		if (!(o->caps->flags & PORT_TAKES_SUM)) {
			complete(o, p->hdr_len, nr, p->hdr_len - p->l4_at + n, sums);
			f.flags = (f.flags & ~sums) | FRAME_SUM_OK;
		}
		rc = send_out(o, p->hdr_len, nr, &f);
		if (rc < 0)
			return rc == -EAGAIN && at > 0 ? -ENOBUFS : rc;
	}
	return 0;
}

int offload_fit(const struct packet *p, const struct port_caps *caps, offload_emit *emit, void *arg)
{
	uint32_t max = caps->max_frame ? caps->max_frame : ETH_HLEN + 1500;
	uint32_t max_lso = caps->max_lso ? caps->max_lso : NET_LSO_MAX;
	uint32_t want = p->flags & FRAME_LSO4 ? PORT_TAKES_LSO4 : PORT_TAKES_LSO6;
	struct out o;

	o.p = p;
	o.caps = caps;
	o.emit = emit;
	o.arg = arg;
	if (!(p->flags & FRAME_LSO))
		return p->len > max ? -EMSGSIZE : fit_whole(&o);
	if ((caps->flags & want) && p->len <= max_lso)
		return fit_whole(&o);
	return (uint64_t)p->hdr_len + p->mss > max ? -EMSGSIZE : fit_segments(&o);
}
