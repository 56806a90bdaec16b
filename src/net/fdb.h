/*
 * fdb.h - which address is behind which port
 *
 * Two tables.  The addresses of adapters are known from their definition and
 * never move or leave; others are learned, age, and make room for one
 * another.  Addresses are kept per filtering database (fid, one for each VLAN
 * or primary VLAN).
 *
 * Lock     fdb_add_known and fdb_drop_port while nobody else calls; the others from
 *          any thread
 */
#ifndef NET_FDB_H
#define NET_FDB_H

#include "base/base.h"

struct fdb;

#define FDB_NONE UINT16_MAX		/* no port */
#define FDB_ANY UINT16_MAX		/* fid of a known address: in every VLAN */

/* MAX learned addresses in all (rounded up to a power of two of sets of 4), PER_PORT for each. */
MUST_CHECK int fdb_new(uint32_t max, uint32_t per_port, uint64_t age_ns, struct fdb **ret_f);
void fdb_free(struct fdb *f);

/* 0; -EEXIST: another port has it in a VLAN of these; -ENOSPC. */
MUST_CHECK int fdb_add_known(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint16_t port);
void fdb_drop_port(struct fdb *f, uint16_t port);	/* known and learned */

/* MAC was seen as a source.  Known addresses stay where they are. */
void fdb_learn(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint16_t port, uint64_t now_ns);
/* The port, or FDB_NONE. */
uint16_t fdb_find(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint64_t now_ns);
/* The same, if it is known or was seen in the last WITHIN_NS (a second more or less). */
uint16_t fdb_find_recent(struct fdb *f, const uint8_t mac[6], uint16_t fid, uint64_t within_ns, uint64_t now_ns);
struct fdb_seen {
	uint8_t mac[6];
	uint16_t fid, port;
	bool known;			/* from a definition; fid may be FDB_ANY */
	uint64_t age_ns;		/* since it was last noted as a source, to the second */
};
/* Up to MAX addresses, known ones first; how many. */
uint32_t fdb_list(struct fdb *f, uint64_t now_ns, struct fdb_seen *ret_list, uint32_t max);
uint32_t fdb_count(struct fdb *f);	/* learned and not yet reused; some may be too old */

#endif
