/*
 * netvsc_fuzz.c - NVSP and RNDIS from a hostile guest, frames from the network
 *
 * Input: one byte of shape (bit 0: the guest behaves until RNDIS is up), then
 * records {kind, length u16, bytes}.  Every packet that asks for a completion
 * must get exactly one, at the latest when the switch takes everything again;
 * what reaches the switch must be a possible frame, which the bench looks at.
 * The adapter may be taken away at any moment: nothing is owed any more then,
 * and another one comes.
 */
#include "base/log.h"
#include "syn/net_bench.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind { NVSP_MESSAGE, CONTROL, DATA, SECTION, NVSP_PAGES, COMPLETION, FRAME, RELIEF, NR_KINDS };

static void boot(struct net_bench *b, uint8_t shape)
{
	static uint64_t base;
	uint32_t mtu = shape & 2 ? 9014 : 1514;

	if (base == 0)
		base = b->g.next_gpa;
	vmbus_reset(b->g.bus);
	b->g.nr = 0;
	b->g.next_gpa = base;
	fp_set_take(&b->port, UINT32_MAX);
	b->port.nr = 0;
	if (shape & 1) {
		BUG_IF(nb_up(b, shape & 4 ? NVSP_V6_1 : NVSP_V5, mtu, NVSP_CAP_VLAN | NVSP_CAP_RSC) < 0);
		BUG_IF(nb_filter(b, shape & 8 ? 0xff : 0xf) < 0);
	} else {
		BUG_IF(nb_open(b) < 0);
	}
}

static unsigned owed;			/* completions */

/* Reads what there is, or until nothing is owed; sections are kept or given back. */
static void drain(struct net_bench *b, bool keep)
{
	bool all = b->port.take == UINT32_MAX;
	struct fg_pkt p;

	while ((all && owed != 0) || fg_has_packet(&b->g, &b->c)) {
		BUG_IF(fg_recv(&b->g, &b->c, &p) < 0);
		if (p.type == VMPKT_COMP) {
			BUG_IF(owed == 0 || p.id == 0 || p.id > b->xid);
			owed--;
		} else if (p.type == VMPKT_XFER_PAGES && !keep) {
			for (uint32_t i = 0; i < ld32(p.data + 4); i++)
				BUG_IF(ld32(p.data + 12 + 8 * i) > NB_RX_PAGES * PAGE_SIZE - ld32(p.data + 8 + 8 * i));
			if (nb_give_back(b, &b->c, p.id) < 0)
				return;
		}
	}
}

/* False: the ring is full, which only a channel that stands still makes. */
static bool sent(struct net_bench *b, int rc, bool want)
{
	BUG_IF(rc < 0 && rc != -EAGAIN);
	BUG_IF(rc == -EAGAIN && b->port.take == UINT32_MAX);
	owed += rc == 0 && want;
	return rc == 0;
}

static uint32_t flags_of(uint8_t kind)
{
	return (kind & 0x10 ? FRAME_TAGGED : 0u) | (kind & 0x20 ? FRAME_SUM_OK : 0u) |
	       (kind & 0x40 ? FRAME_LSO4 : 0u);
}

/* Taken away; the guest says something about it all the same, or not; a new one, set up anew. */
static void another(struct net_bench *b, uint8_t kind, const uint8_t *p, uint32_t len)
{
	struct vmbus_relid_msg released = { .hdr.type = le32_of(VMBUS_RELID_RELEASED),
					    .relid = le32_of(b->c.relid) };
	struct nic_conf conf = { .instance.b = { 1, kind }, .nr_vps = 1,
				 .port = &b->port.port };

	(void)nic_remove(b->n, 0);
	BUG_IF(b->port.client != NULL);
	owed = 0;
	(void)!fg_send(&b->g, &b->c, VMPKT_INBAND, 1, ++b->xid, p, len);
	fg_signal(&b->g, &b->c);
	if (kind & 0x40)
		fg_close(&b->g, &b->c);
	if (kind & 0x80)
		(void)fg_post(&b->g, &released, sizeof(released));
	BUG_IF(nic_new(b->g.bus, &conf, &b->n, NULL) < 0);
	boot(b, len != 0 ? p[0] : 0);
}

static void one(struct net_bench *b, uint8_t kind, const uint8_t *p, uint32_t len)
{
	struct nvsp_msg v = { 0 };
	bool want = true;
	int rc = 0;

	switch (kind % NR_KINDS) {
	case NVSP_MESSAGE:
		want = kind & 0x80;
		rc = fg_send(&b->g, &b->c, VMPKT_INBAND, want, ++b->xid, p, len);
		break;
	case CONTROL:
	case DATA:
	case SECTION:
		/* At most one page from the section, wherever it is said to end. */
		rc = nb_send(b, &b->c, kind % NR_KINDS == CONTROL, kind % NR_KINDS == SECTION, p, len);
		break;
	case NVSP_PAGES:
		memcpy(&v, p, min_u64(len, sizeof(v)));
		BUG_IF(gmem_write(b->g.mem, b->buf, p, len) < 0);
		rc = fg_send_gpa(&b->g, &b->c, ++b->xid, b->buf, len, &v, sizeof(v));
		break;
	case COMPLETION:
		want = false;
		rc = fg_send(&b->g, &b->c, VMPKT_COMP, 0, len >= 8 ? ld64(p) : 1, p, len);
		break;
	case FRAME:
		want = false;
		if (len >= ETH_HLEN)
			(void)!(kind & 0x80 ? fp_deliver_more : fp_deliver)(&b->port, flags_of(kind), (uint16_t)len,
									     p, len);
		break;
	case RELIEF:
		if (kind & 0x08)
			return another(b, kind, p, len);
		want = false;
		b->port.client->link(b->port.dev, kind & 0x80, len);
		fp_set_take(&b->port, kind & 0x20 ? len % 4 : UINT32_MAX);
		break;
	default:
		BUG_IF(true);
	}
	if (sent(b, rc, want))
		drain(b, kind & 0x40);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_bench *b;

	if (b == NULL) {
		b = new0(struct net_bench);
		BUG_IF(b == NULL);
		log_set_level(LOG_ERR);
		BUG_IF(nb_init(b, 1, true) < 0);
	}
	owed = 0;
	boot(b, size > 0 ? data[0] : 0);
	for (size_t at = 1; at + 3 <= size;) {
		uint32_t len = (uint32_t)min_u64(ld16(data + at + 1) % 4096, size - at - 3);

		one(b, data[at], data + at + 3, len);
		at += 3 + len;
	}
	fp_set_take(&b->port, UINT32_MAX);
	drain(b, true);
	return 0;
}
