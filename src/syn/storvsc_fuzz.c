/*
 * storvsc_fuzz.c - packets and CDBs from a hostile guest
 *
 * Input: one byte of shape, then records of {control, buffer length u16,
 * buffer offset u16, 64 bytes of packet}.  Every request that asks for a
 * completion must get one, of the right size; the disks check that what
 * reaches them is in range.
 */
#include "base/log.h"
#include "spec/storvsc.h"
#include "dev/fake_blk.h"
#include "syn/scsi.h"
#include "vmbus/fake_guest.h"

#include <stdlib.h>

#define RECORD (5 + STOR_PACKET)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
	struct fake_guest g;
	struct scsi *s;
	struct fake_blk disk, dvd;
	struct fg_chan c;
	uint64_t base, buf;
};

static void rig_new(struct rig *r)
{
	struct scsi_conf conf = { .instance.b = { 1 }, .nr_vps = 3 };

	log_set_level(LOG_ERR);
	BUG_IF(fg_new(&r->g, 0, 1) < 0);
	BUG_IF(fake_blk_init(&r->disk, 1 * MIB, 512, false) < 0);
	BUG_IF(fake_blk_init(&r->dvd, 1 * MIB, 2048, true) < 0);
	BUG_IF(scsi_new(r->g.bus, &conf, &r->s, NULL) < 0);
	BUG_IF(scsi_attach(r->s, 0, &r->disk.blk, NULL) < 0);
	BUG_IF(scsi_attach(r->s, 1, &r->dvd.blk, NULL) < 0);
	r->buf = fg_alloc(&r->g, 80);
	r->base = r->g.next_gpa;
}

/* A new guest each time: what one input did is forgotten. */
static void rig_boot(struct rig *r)
{
	struct vmbus_offer o;

	vmbus_reset(r->g.bus);
	r->g.nr = 0;
	r->g.next_gpa = r->base;
	BUG_IF(fg_contact(&r->g, VMBUS_CONN_MSG_MULTI, VMBUS_V5_3, 0) != 1);
	BUG_IF(fg_offers(&r->g, &o, 1) != 1);
	BUG_IF(fg_open(&r->g, le32_get(o.relid), 17, 0, &r->c) != 0);
}

static bool rig_send(struct rig *r, uint8_t control, const uint8_t *pkt, uint32_t len, uint32_t off)
{
	size_t n = control & 2 ? STOR_PACKET_OLD : STOR_PACKET;
	struct fg_pkt p;
	bool want = true;
	int rc;

	if (control & 4)
		n = control >> 3;
	if (control & 1) {
		rc = fg_send_gpa(&r->g, &r->c, 1, r->buf + off, len, pkt, n);
	} else {
		want = len & 1;
		rc = fg_send(&r->g, &r->c, VMPKT_INBAND, want, 1, pkt, n);
	}
	BUG_IF(rc < 0);
	while (want) {
		BUG_IF(fg_recv(&r->g, &r->c, &p) < 0);
		if (p.type == VMPKT_COMP)
			break;
	}
	if (want) {
		BUG_IF(p.len > align_up(n, 8) || p.id != 1);
		BUG_IF(n >= STOR_PACKET_OLD && ld32(p.data) != STOR_COMPLETE_IO);
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig *r;
	uint8_t shape = size > 0 ? data[0] : 0;

	if (r == NULL) {
		r = new0(struct rig);
		BUG_IF(r == NULL);
		rig_new(r);
	}
	rig_boot(r);
	if (shape & 1) {
		static const uint32_t ops[] = {
			STOR_BEGIN_INITIALIZATION, STOR_QUERY_PROTOCOL_VERSION,
			STOR_QUERY_PROPERTIES, STOR_END_INITIALIZATION,
		};

		for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
			uint8_t m[STOR_PACKET] = { 0 };

			st32(m, ops[i]);
			st16(m + 12, STOR_V6_2);
			rig_send(r, 0, m, 1, 0);
		}
	}
	for (size_t at = 1; at + RECORD <= size; at += RECORD)
		rig_send(r, data[at], data + at + 5, ld16(data + at + 1) * 4u,
			 ld16(data + at + 3) % 8192u);
	return 0;
}
