/*
 * acl.h - extended access control lists of a port
 *
 * Rules by weight, the heaviest first; the first that allows or denies
 * decides, and what no rule knows passes.  A meter rule only counts what
 * comes as far as it.  "Local" is the port's side, "remote" everybody else,
 * in both directions.
 */
#ifndef NET_ACL_H
#define NET_ACL_H

#include "net/pkt.h"

#define ACL_RULES 1024
#define ACL_METERS 16

enum acl_action { ACL_ALLOW, ACL_DENY, ACL_METER };

enum {					/* directions, as the port's owner sees them */
	ACL_OUT = 1,
	ACL_IN = 2,
};

enum acl_what { ACL_EVERY, ACL_IP, ACL_IP4, ACL_IP6 };

struct acl_rule {
	enum acl_action action;
	unsigned dirs;			/* ACL_OUT | ACL_IN */
	int weight;
	enum acl_what what;		/* EVERY: other protocols too; only with no field of IP below */
	uint8_t local[16], remote[16];	/* with IP4 or IP6 */
	uint8_t local_bits, remote_bits;	/* prefixes that count; 0 = any */
	uint8_t proto;			/* 0 = any */
	uint16_t local_lo, local_hi;	/* ports, TCP and UDP only; 0 and 0 = any */
	uint16_t remote_lo, remote_hi;
	bool by_mac;			/* remote_mac counts */
	uint8_t remote_mac[6];
	/*
	 * ALLOW in one direction: what it allows opens a way back for the same addresses, ports
	 * and protocol, until idle for so many seconds (0 = 300), whatever denies the other direction.
	 */
	bool stateful;
	uint32_t idle_s;
};

struct acl;
struct err;

/* NR 0 gives NULL, which allows everything. */
MUST_CHECK int acl_new(const struct acl_rule *rules, unsigned nr, struct acl **ret_a, struct err *err);
void acl_free(struct acl *a);

struct acl_hits {
	unsigned nr;
	uint16_t rule[ACL_METERS + 1];
};

/* May P pass in direction DIR?  *RET_HITS: the rules it met, for acl_count. */
bool acl_judge(struct acl *a, unsigned dir, const struct packet *p, uint64_t now_ns,
	       struct acl_hits *ret_hits);
void acl_count(struct acl *a, const struct acl_hits *hits, uint64_t bytes);
/* What met rule I, as numbered at acl_new. */
void acl_counters(const struct acl *a, unsigned i, uint64_t *ret_frames, uint64_t *ret_bytes);

#endif
