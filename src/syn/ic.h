/*
 * ic.h - the framework under the integration services
 *
 * Each service is a VMBus channel on which the host asks and the guest
 * answers with the same packet.  The framework offers the channel, negotiates
 * versions when the guest opens it, and keeps one request outstanding.
 *
 * Threads  ic_send: any.  Client calls come on the channel's worker, with no
 *          lock held.
 */
#ifndef SYN_IC_H
#define SYN_IC_H

#include "vmbus/vmbus.h"

#define IC_MAX_BODY 8192u

struct ic;

struct ic_version {
	uint16_t major, minor;
};

struct ic_service {			/* one row of knowledge; const */
	const char *name;
	struct guid type, instance;
	uint16_t message;		/* ICMSGTYPE_* */
	const struct ic_version *versions;	/* ascending */
	unsigned nr_versions;
};

struct ic_client {			/* members may be NULL */
	void (*ready)(void *self);	/* versions are agreed: ic_send works */
	void (*answer)(void *self, const uint8_t *body, size_t n, uint32_t status);
	void (*closed)(void *self);
};

enum { IC_HEARTBEAT = 1, IC_SHUTDOWN = 3, IC_TIMESYNC = 4 };

MUST_CHECK int ic_new(struct vmbus *bus, const struct ic_service *service,
		      const struct ic_client *client,
		      void *self, struct ic **ret_ic, struct err *err);
void ic_free(struct ic *ic);
/* -ENOTCONN while no guest driver is ready, -EBUSY while an answer is awaited. */
MUST_CHECK int ic_send(struct ic *ic, const void *body, size_t n);
/* The agreed message version; {0, 0} before. */
struct ic_version ic_agreed(struct ic *ic);

#endif
