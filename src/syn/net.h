/*
 * net.h - a synthetic network adapter (netvsc) on VMBus
 */
#ifndef SYN_NET_H
#define SYN_NET_H

#include "net/port.h"
#include "vmbus/vmbus.h"

struct nic;

struct nic_conf {
	struct guid instance;
	unsigned nr_vps;		/* bounds the sub-channels */
	struct port *port;		/* [borrowed] its address is the adapter's own */
};

struct nic_stats {
	uint64_t rx_frames, rx_bytes;	/* to the guest */
	uint64_t rx_filtered;		/* not for it, or it does not listen */
	uint64_t rx_no_room;		/* answers of -EAGAIN: later, or lost by the switch */
	uint64_t rx_too_long;
	uint64_t tx_frames, tx_bytes;	/* from the guest */
	uint64_t tx_bad;		/* frames and packets that made no sense */
	uint64_t tx_held;		/* times that the switch had no room */
};

MUST_CHECK int nic_new(struct vmbus *bus, const struct nic_conf *conf, struct nic **ret_n, struct err *err);
/*
 * Takes it away from a guest that runs: see vdev_remove.  The port stays the caller's, and
 * nothing of it reaches the guest's memory any more where it was let go of before.  True: its
 * instance may be used again.  NULL is fine.
 */
bool nic_remove(struct nic *n, uint64_t patience_ns);
void nic_free(struct nic *n);		/* after vmbus_reset, when no guest has it; NULL is fine */
/*
 * Whether the guest has nothing under way: it does not use the adapter, or is through with its
 * setup and has sent nothing since *MARK was set by the last call.
 */
bool nic_rests(struct nic *n, uint64_t *mark);
bool nic_in_use(struct nic *n);		/* a driver is through with its setup */
void nic_get_stats(struct nic *n, struct nic_stats *ret_stats);

#endif
