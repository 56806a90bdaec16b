/*
 * share.h - who may send how much to one port that many want
 *
 * Each flow (what one port sends) has credit in bytes, and credit is what the
 * way out makes: so many bytes a second where it has a rate, else as many as
 * it was seen to take while it is full again and again.  Credit is given out by
 * weight, and what a flow cannot hold is given to the others, so
 * whoever wants less than its share leaves the rest to those who want more.
 *
 * By weight: a flow's part is its weight to the sum of those that compete.  By
 * reservation: a flow has its bytes a second, and what is not reserved is
 * shared by all alike.  Flows without either are the default flow, which
 * counts as one, and share its part alike.
 */
#ifndef NET_SHARE_H
#define NET_SHARE_H

#include "base/base.h"

#define SHARE_FLOWS 256u

struct share;

struct share_conf {
	uint64_t rate;			/* bytes a second; 0 = what the owner has room for */
	bool absolute;			/* weights are reservations, in kbit/s */
	uint32_t default_weight;	/* of the default flow */
};

MUST_CHECK int share_new(struct share **ret_s);
void share_free(struct share *s);
/* From now on so; nobody has credit or owes. */
void share_start(struct share *s, const struct share_conf *c, uint64_t now_ns);
bool share_has_rate(const struct share *s);

/*
 * 0: COST bytes of flow I may go; else the ns after which to ask again.  WEIGHT 0: it
 * belongs to the default flow.
 */
uint64_t share_wait_ns(struct share *s, unsigned i, uint32_t weight, uint64_t cost, uint64_t now_ns);
void share_charge(struct share *s, unsigned i, uint32_t weight, uint64_t cost, uint64_t now_ns);
void share_full(struct share *s, uint64_t now_ns);	/* there was no room for somebody */
/* Without a lock: is there nobody that has to be asked, or charged? */
bool share_is_idle(const struct share *s, uint64_t now_ns);

#endif
