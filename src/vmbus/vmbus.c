/*
 * vmbus.c - the bus between guest and synthetic devices
 *
 * Where vCPUs come in (post, signal) and where the machine makes, resets and
 * frees the bus.  Everything a vCPU does here is short: a message is copied
 * for the control thread, a signal sets one bit for a worker.
 *
 * Spec     [TLFS] HvPostMessage, HvSignalEvent; VMBus connection ids
 * Lock     none here
 */
#include "vmbus/vmbus_priv.h"

#include <stdlib.h>

#define DEFAULT_WORKERS 2u

static int bus_start(struct vmbus *b)
{
	int rc = msgq_init(b);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < b->nr_workers; i++) {
		rc = vworker_start(&b->workers[i], b, i);
		if (rc < 0)
			return rc;
	}
	return control_start(b);
}

static void bus_stop(struct vmbus *b)
{
	control_stop(b);
	for (unsigned i = 0; i < b->nr_workers; i++)
		vworker_stop(&b->workers[i]);
	msgq_fini(b);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->released);
	pthread_mutex_destroy(&b->park.lock);
	pthread_cond_destroy(&b->park.cond);
	free(b->workers);
	free(b);
}

int vmbus_new(const struct vmbus_conf *conf, struct vmbus **ret_b, struct err *err)
{
	pthread_condattr_t attr;
	struct vmbus *b;
	int rc;

	if (conf->nr_vps == 0 || conf->workers > MAX_WORKERS)
		return err_set(err, -EINVAL, "vmbus: %u processors and %u workers (1 to %u)",
			       conf->nr_vps, conf->workers, MAX_WORKERS);
	b = new0(struct vmbus);
	if (b == NULL)
		return err_set(err, -ENOMEM, "vmbus: no memory");
	b->mem = conf->mem;
	b->nr_vps = conf->nr_vps;
	b->max_version = conf->max_version != 0 ? conf->max_version : VMBUS_V6_0;
	b->port = conf->port;
	b->self = conf->self;
	b->ses.sint = VMBUS_SINT;
	b->nr_workers = conf->workers != 0 ? conf->workers : DEFAULT_WORKERS;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->released, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&b->park.lock, NULL);
	pthread_cond_init(&b->park.cond, NULL);
	b->workers = new_array(struct vworker, b->nr_workers);
	if (b->workers == NULL) {
		b->nr_workers = 0;
		rc = -ENOMEM;
	} else {
		rc = bus_start(b);
	}
	if (rc < 0) {
		bus_stop(b);
		return err_set(err, rc, "vmbus: the bus could not be started");
	}
	*ret_b = b;
	return 0;
}

void vmbus_reset(struct vmbus *b)
{
	control_reset(b);
}

void vmbus_free(struct vmbus *b)
{
	if (b == NULL)
		return;
	control_reset(b);
	for (uint32_t i = 1; i < NR_RELIDS; i++) {
		struct chan *c = b->chans[i];

		if (c == NULL)
			continue;
		/* The session is over: only primaries are left, one per device. */
		free(c->dev);
		chan_free(c);
	}
	bus_stop(b);
}

uint16_t vmbus_post(struct vmbus *b, unsigned vp, uint32_t conn, uint32_t type, const void *msg,
		    size_t n)
{
	(void)vp;
	/* Unknown to hosts before 5.0: the guest then asks for less at once. */
	if (conn != VMBUS_CONN_MSG &&
	    (conn != VMBUS_CONN_MSG_MULTI || b->max_version < VMBUS_V5_0))
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (type != VMBUS_MESSAGE_TYPE || n > VMBUS_MSG_MAX)
		return HV_STATUS_INVALID_PARAMETER;
	return control_post(b, conn, msg, n);
}

uint16_t vmbus_signal(struct vmbus *b, uint32_t conn, uint16_t flag)
{
	uint32_t relid = conn - VMBUS_CONN_CHANNEL;
	uint8_t owner;

	if (conn == VMBUS_CONN_EVENT) {
		if (flag != 0)
			return HV_STATUS_INVALID_PARAMETER;
		vworker_scan(&b->workers[0]);
		return HV_STATUS_SUCCESS;
	}
	owner = relid < NR_RELIDS ? atomic_load(&b->owner[relid]) : 0;
	if (owner == 0)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (flag != 0)
		return HV_STATUS_INVALID_PARAMETER;
	vworker_kick(&b->workers[owner - 1], relid);
	return HV_STATUS_SUCCESS;
}
