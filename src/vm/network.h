/*
 * network.h - the machine's adapters and what they are plugged into
 *
 * Lock     network.lock around all of it; threads that say farewell to an
 *          adapter have that one for themselves
 */
#ifndef VM_NETWORK_H
#define VM_NETWORK_H

#include "net/capture.h"
#include "net/jack.h"
#include "net/link_port.h"
#include "net/nat.h"
#include "net/net_opt.h"
#include "net/netctl.h"
#include "net/places.h"
#include "net/roster.h"
#include "net/segment.h"
#include "net/tap.h"
#include "syn/net.h"
#include "vm/vm_priv.h"

#define NET_IDS 2048u			/* as many channels as a guest may keep */
#define NET_MAX_LEAVING 16u

struct plug {				/* the other end of a cable */
	struct port *port;		/* one of these two: */
	struct port *plugged;		/* into roster */
	struct link_port *link;		/* to another process */
	struct roster *roster;		/* a switch of its own, or the private one */
	struct port *way;		/* out of it; with one of the two: */
	struct nat *nat;
	struct tap *tap;
	char net[64];			/* struct vm_adapter */
};

struct adapter {
	struct adapter *next;
	struct network *network;	/* [const] */
	unsigned id;			/* [const] */
	char name[16];			/* [const] */
	uint8_t mac[6];			/* [const] */
	struct plug plug;
	struct jack *jack;
	struct capture *capture;	/* with file; then in front of the jack */
	struct pcapng *file;
	struct nic *nic;		/* NULL: its farewell has it */
	void *legacy;			/* instead of it: one of vm->legacy */
	struct segmenter *segmenter;	/* with legacy; then in front of all others */
	bool cable;
	bool leaving;
};

struct network {
	struct vm *vm;			/* [const] */
	pthread_mutex_t lock;
	struct net_opt asked[VM_MAX_NICS];	/* with the machine; until network_open ends */
	unsigned nr_asked;
	unsigned nr_legacy;		/* that are made */
	struct adapter *first;		/* those that are leaving too */
	uint64_t burned[NET_IDS / 64];	/* ids that some guest has not released */
	unsigned nr_leaving;
	bool closing;
	pthread_cond_t left;
	struct roster *private_switch;	/* NULL: no adapter wants one */
	unsigned nr_private;		/* plugs in it */
	struct roster *shown[NETCTL_ROSTERS];	/* our own switches */
	unsigned nr_shown;
	struct place place;		/* with ctl */
	char name[24];
	struct netctl *ctl;		/* NULL: nobody can ask */
	pthread_t thread;
};

/* network.c; under network.lock */

/* Makes what O says for an adapter; on an error there is nothing left of it. */
MUST_CHECK int plug_make(struct network *n, const struct adapter *a, const struct net_opt *o,
			 struct plug *ret_p, struct err *err);
void plug_free(struct network *n, struct plug *p);	/* nobody is bound to its port */
void network_answer_end(struct network *n);

#endif
