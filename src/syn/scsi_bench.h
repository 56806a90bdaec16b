/*
 * scsi_bench.h - a controller, its disks and a guest that drives it, for tests
 */
#ifndef SYN_SCSI_BENCH_H
#define SYN_SCSI_BENCH_H

#include "base/test.h"
#include "spec/scsi.h"
#include "spec/storvsc.h"
#include "dev/fake_blk.h"
#include "syn/scsi.h"
#include "vmbus/fake_guest.h"

#define BENCH_DISK (4 * MIB)
#define BENCH_BUF (256 * KIB + 8192)

struct scsi_bench {
	struct fake_guest g;
	struct scsi *s;
	struct fake_blk disk, dvd;	/* LUN 0 and 5 */
	struct vmbus_offer offer;
	struct fg_chan c;
	uint64_t buf;			/* GPA of BENCH_BUF bytes */
	uint32_t packet;		/* bytes of ours: 64 or 48 */
	uint64_t xid;
	struct stor_packet r;		/* the last answer */
	uint8_t data[65536];		/* what it brought */
	uint8_t lun, target;
};

/* Without a session; ASYNC disks complete on their own threads. */
void bench_init(struct scsi_bench *b, bool async, unsigned nr_vps);
void bench_fini(struct scsi_bench *b);
/* Offers, open, the whole initialisation as Linux does it. */
void bench_up(struct scsi_bench *b, uint16_t version);
/* Contact, offers and open only. */
void bench_open(struct scsi_bench *b);
/* One init message with a 16-bit argument; its status. */
uint32_t bench_init_msg(struct scsi_bench *b, uint32_t op, uint16_t arg);

/* Sends an SRB: LEN bytes at b->buf.  Does not wait. */
void bench_srb_send(struct scsi_bench *b, struct fg_chan *c, uint64_t xid, const uint8_t *cdb,
		    size_t cdb_len, uint64_t gpa, uint32_t len, bool in);
/* The next completion into b->r; its transaction id. */
uint64_t bench_srb_wait(struct scsi_bench *b, struct fg_chan *c);
/* Both; srb_status.  Data-in lands in b->data. */
uint8_t bench_in(struct scsi_bench *b, const uint8_t *cdb, size_t cdb_len, uint32_t len);
uint8_t bench_out(struct scsi_bench *b, const uint8_t *cdb, size_t cdb_len, const void *data,
		  uint32_t len);
/* Sense of the last answer as key << 16 | asc << 8 | ascq; 0 = none. */
uint32_t bench_sense(const struct scsi_bench *b);
uint32_t bench_len(const struct scsi_bench *b);

#define CDB(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
#define IN(b, len, ...) bench_in(b, CDB(__VA_ARGS__), len)
#define OUT(b, data, len, ...) bench_out(b, CDB(__VA_ARGS__), data, len)

#endif
