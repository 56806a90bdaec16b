/*
 * scsi_bench.c - a controller, its disks and a guest that drives it, for tests
 */
#include "syn/scsi_bench.h"

void bench_init(struct scsi_bench *b, bool async, unsigned nr_vps)
{
	struct scsi_conf conf = {
		.instance = GUID_INIT(0xf8b3781a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), .nr_vps = nr_vps,
	};

	memset(b, 0, sizeof(*b));
	CHECK_EQ(fg_new(&b->g, 0, 2), 0);
	CHECK_EQ(fake_blk_init(&b->disk, BENCH_DISK, 512, async), 0);
	CHECK_EQ(fake_blk_init(&b->dvd, BENCH_DISK, 2048, async), 0);
	CHECK_EQ(scsi_new(b->g.bus, &conf, &b->s, NULL), 0);
	CHECK_EQ(scsi_attach(b->s, 0, &b->disk.blk, NULL), 0);
	CHECK_EQ(scsi_attach(b->s, 5, &b->dvd.blk, NULL), 0);
	b->buf = fg_alloc(&b->g, BENCH_BUF / PAGE_SIZE);
	b->packet = STOR_PACKET;
}

void bench_fini(struct scsi_bench *b)
{
	vmbus_reset(b->g.bus);
	scsi_free(b->s);
	fg_free(&b->g);
	fake_blk_fini(&b->disk);
	fake_blk_fini(&b->dvd);
}

void bench_open(struct scsi_bench *b)
{
	CHECK_EQ(fg_contact(&b->g, VMBUS_CONN_MSG_MULTI, VMBUS_V5_3, 0), 1);
	CHECK_EQ(fg_offers(&b->g, &b->offer, 1), 1);
	CHECK_EQ(fg_open(&b->g, le32_get(b->offer.relid), 33, 0, &b->c), 0);
}

uint32_t bench_init_msg(struct scsi_bench *b, uint32_t op, uint16_t arg)
{
	struct stor_packet m = { .op = le32_of(op), .flags = le32_of(1) };

	m.u.nr_sub = le16_of(arg);
	b->xid++;
	CHECK_EQ(fg_send(&b->g, &b->c, VMPKT_INBAND, 1, b->xid, &m, b->packet), 0);
	CHECK_EQ(bench_srb_wait(b, &b->c), b->xid);
	return le32_get(b->r.status);
}

void bench_up(struct scsi_bench *b, uint16_t version)
{
	if (version < STOR_V5_1)
		b->packet = STOR_PACKET_OLD;
	bench_open(b);
	CHECK_EQ(bench_init_msg(b, STOR_BEGIN_INITIALIZATION, 0), 0);
	CHECK_EQ(bench_init_msg(b, STOR_QUERY_PROTOCOL_VERSION, version), 0);
	CHECK_EQ(bench_init_msg(b, STOR_QUERY_PROPERTIES, 0), 0);
	CHECK_EQ(bench_init_msg(b, STOR_END_INITIALIZATION, 0), 0);
}

void bench_srb_send(struct scsi_bench *b, struct fg_chan *c, uint64_t xid, const uint8_t *cdb,
		    size_t cdb_len, uint64_t gpa, uint32_t len, bool in)
{
	struct stor_packet m = { .op = le32_of(STOR_EXECUTE_SRB), .flags = le32_of(1) };

	m.u.srb.length = le16_of((uint16_t)(b->packet - 12));
	m.u.srb.target = b->target;
	m.u.srb.lun = b->lun;
	m.u.srb.cdb_len = (uint8_t)cdb_len;
	m.u.srb.sense_len = STOR_SENSE_MAX;
	m.u.srb.data_in = len == 0 ? 2 : in;
	m.u.srb.transfer_len = le32_of(len);
	memcpy(m.u.srb.u.cdb, cdb, cdb_len);
	if (len == 0)
		CHECK_EQ(fg_send(&b->g, c, VMPKT_INBAND, 1, xid, &m, b->packet), 0);
	else
		CHECK_EQ(fg_send_gpa(&b->g, c, xid, gpa, len, &m, b->packet), 0);
}

uint64_t bench_srb_wait(struct scsi_bench *b, struct fg_chan *c)
{
	struct fg_pkt p;

	CHECK_EQ(fg_recv(&b->g, c, &p), 0);
	CHECK_EQ(p.type, VMPKT_COMP);
	CHECK_EQ(p.flags, 0);
	CHECK_EQ(p.len, b->packet);		/* Linux and FreeBSD insist */
	memset(&b->r, 0, sizeof(b->r));
	memcpy(&b->r, p.data, p.len);
	CHECK_EQ(le32_get(b->r.op), STOR_COMPLETE_IO);
	return p.id;
}

static uint8_t bench_srb(struct scsi_bench *b, const uint8_t *cdb, size_t cdb_len, uint32_t len,
			 bool in)
{
	b->xid++;
	bench_srb_send(b, &b->c, b->xid, cdb, cdb_len, b->buf, len, in);
	CHECK_EQ(bench_srb_wait(b, &b->c), b->xid);
	CHECK_EQ(le32_get(b->r.status), 0);
	CHECK(le32_get(b->r.u.srb.transfer_len) <= len);
	return b->r.u.srb.srb_status;
}

uint8_t bench_in(struct scsi_bench *b, const uint8_t *cdb, size_t cdb_len, uint32_t len)
{
	uint8_t status;

	memset(b->data, 0xee, sizeof(b->data));
	CHECK_EQ(gmem_write(b->g.mem, b->buf, b->data, sizeof(b->data)), 0);
	status = bench_srb(b, cdb, cdb_len, len, true);
	CHECK_EQ(gmem_read(b->g.mem, b->buf, b->data, sizeof(b->data)), 0);
	return status;
}

uint8_t bench_out(struct scsi_bench *b, const uint8_t *cdb, size_t cdb_len, const void *data,
		  uint32_t len)
{
	CHECK_EQ(gmem_write(b->g.mem, b->buf, data, len), 0);
	return bench_srb(b, cdb, cdb_len, len, false);
}

uint32_t bench_sense(const struct scsi_bench *b)
{
	const struct stor_srb *s = &b->r.u.srb;

	if (!(s->srb_status & SRB_AUTOSENSE_VALID))
		return 0;
	CHECK_EQ(s->scsi_status, SCSI_CHECK_CONDITION);
	CHECK_EQ(s->sense_len, 18);
	CHECK_EQ(s->u.sense[0], 0x70);
	CHECK_EQ(le32_get(s->transfer_len), 0);
	return (uint32_t)(s->u.sense[2] << 16 | s->u.sense[12] << 8 | s->u.sense[13]);
}

uint32_t bench_len(const struct scsi_bench *b)
{
	return le32_get(b->r.u.srb.transfer_len);
}
