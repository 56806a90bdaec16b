/*
 * control.c - the guest's control messages, in order, one at a time
 *
 * HvPostMessage runs on a vCPU and only copies the message; this thread does
 * the work, may wait for devices to drain, and answers later.  When the guest
 * posts faster than that, it is told to try again: every driver does.
 *
 * Spec     one row per message: shortest length, protocol that has it, handler
 * Missing  ModifyConnection, Pause and Resume: optional in 6.0, not offered
 * Lock     control.lock for the queue; handlers run without it
 */
#include "vmbus/vmbus_priv.h"

#include <stdlib.h>
#include <time.h>

#define RETRY_NS 1000000u

static void control_on_tl_connect(struct vmbus *b, const uint8_t *m, uint32_t n);

struct msg_row {
	uint16_t min;			/* bytes */
	uint32_t version;		/* 0: any session; UINT32_MAX: also without one */
	void (*handle)(struct vmbus *b, const uint8_t *m, uint32_t n);
};

#define ALWAYS UINT32_MAX

static const struct msg_row msg_rows[] = {
	[VMBUS_REQUEST_OFFERS] = { 8, 0, offer_on_request },
	[VMBUS_OPEN_CHANNEL] = { sizeof(struct vmbus_open), 0, chan_on_open },
	[VMBUS_CLOSE_CHANNEL] = { sizeof(struct vmbus_relid_msg), 0, chan_on_close },
	[VMBUS_GPADL_HEADER] = { sizeof(struct vmbus_gpadl_header), 0, gpadl_on_header },
	[VMBUS_GPADL_BODY] = { sizeof(struct vmbus_gpadl_body), 0, gpadl_on_body },
	[VMBUS_GPADL_TEARDOWN] = { sizeof(struct vmbus_gpadl_teardown), 0, gpadl_on_teardown },
	[VMBUS_RELID_RELEASED] = { sizeof(struct vmbus_relid_msg), 0, offer_on_released },
	[VMBUS_INITIATE_CONTACT] = { sizeof(struct vmbus_contact), ALWAYS, version_on_contact },
	[VMBUS_UNLOAD] = { 8, 0, version_on_unload },
	[VMBUS_OPEN_RESERVED] = { sizeof(struct vmbus_open_reserved), VMBUS_V3_0,
				  chan_on_open_reserved },
	[VMBUS_CLOSE_RESERVED] = { sizeof(struct vmbus_close_reserved), VMBUS_V3_0,
				   chan_on_close_reserved },
	[VMBUS_TL_CONNECT_REQUEST] = { sizeof(struct vmbus_tl_connect), VMBUS_V4_0,
				       control_on_tl_connect },
	[VMBUS_MODIFY_CHANNEL] = { sizeof(struct vmbus_modify), VMBUS_V4_1, chan_on_modify },
};

void control_send(struct vmbus *b, const void *m, size_t n)
{
	/* There was room before the message that we answer was taken. */
	BUG_IF(msgq_push(b, b->ses.vp, b->ses.sint, m, n, true) < 0);
}

/* Nothing listens on any hvsocket service of ours. */
static void control_on_tl_connect(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_tl_result r = {
		.hdr.type = le32_of(VMBUS_TL_CONNECT_RESULT),
		.status = le32_of(NTSTATUS_CONNECTION_REFUSED),
	};
	struct vmbus_tl_connect g;

	(void)n;
	if (!session_at_least(b, VMBUS_V4_1))
		return;			/* 4.0 has no way to say no */
	memcpy(&g, m, sizeof(g));
	r.endpoint = g.endpoint;
	r.service = g.service;
	control_send(b, &r, sizeof(r));
}

static void control_handle(struct vmbus *b, const struct inmsg *m)
{
	uint32_t type = m->len >= 4 ? ld32(m->bytes) : 0;
	const struct msg_row *row = type < ARRAY_LEN(msg_rows) ? &msg_rows[type] : NULL;

	if (row == NULL || row->handle == NULL || m->len < row->min) {
		log_guest(&b->limit, "vmbus", "message %u of %u bytes ignored", type, m->len);
		return;
	}
	if (row->version != ALWAYS && !session_at_least(b, row->version)) {
		log_guest(&b->limit, "vmbus", "message %u has no place in this session", type);
		return;
	}
	b->conn = m->conn;
	row->handle(b, m->bytes, m->len);
}

uint16_t control_post(struct vmbus *b, uint32_t conn, const void *m, size_t n)
{
	struct control *ctl = &b->ctl;
	uint16_t status = HV_STATUS_INSUFFICIENT_BUFFERS;

	pthread_mutex_lock(&ctl->lock);
	if (ctl->nr < INQ_LEN) {
		struct inmsg *slot = &ctl->ring[(ctl->first + ctl->nr++) % INQ_LEN];

		slot->conn = conn;
		slot->len = (uint8_t)n;
		memcpy(slot->bytes, m, n);
		pthread_cond_signal(&ctl->wake);
		status = HV_STATUS_SUCCESS;
	}
	pthread_mutex_unlock(&ctl->lock);
	return status;
}

void control_retry_later(struct vmbus *b)
{
	pthread_mutex_lock(&b->ctl.lock);
	b->ctl.retry = true;
	pthread_cond_signal(&b->ctl.wake);
	pthread_mutex_unlock(&b->ctl.lock);
}

void control_run(struct vmbus *b, void (*fn)(void *arg), void *arg)
{
	struct control *ctl = &b->ctl;
	struct task t = { .fn = fn, .arg = arg };

	pthread_mutex_lock(&ctl->lock);
	*ctl->last = &t;
	ctl->last = &t.next;
	pthread_cond_signal(&ctl->wake);
	while (!t.done)
		pthread_cond_wait(&ctl->done, &ctl->lock);
	pthread_mutex_unlock(&ctl->lock);
}

void control_reset(struct vmbus *b)
{
	struct control *ctl = &b->ctl;

	pthread_mutex_lock(&ctl->lock);
	ctl->reset = true;
	pthread_cond_signal(&ctl->wake);
	while (ctl->reset)
		pthread_cond_wait(&ctl->done, &ctl->lock);
	pthread_mutex_unlock(&ctl->lock);
}

static void control_wait(struct control *ctl)
{
	struct timespec at;

	if (!ctl->retry) {
		pthread_cond_wait(&ctl->wake, &ctl->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += RETRY_NS;
	if (at.tv_nsec >= (long)NS_PER_SEC) {
		at.tv_nsec -= (long)NS_PER_SEC;
		at.tv_sec++;
	}
	/* Whether woken or timed out, the caller looks at everything again. */
	(void)pthread_cond_timedwait(&ctl->wake, &ctl->lock, &at);
}

/* Takes control.lock, drops it around the work, and takes it again. */
static bool control_step(struct vmbus *b)
{
	struct control *ctl = &b->ctl;
	struct inmsg m;

	if (ctl->reset) {
		pthread_mutex_unlock(&ctl->lock);
		version_end_session(b);
		pthread_mutex_lock(&ctl->lock);
		ctl->nr = 0;
		ctl->reset = false;
		pthread_cond_broadcast(&ctl->done);
		return true;
	}
	if (ctl->task != NULL) {	/* also when the guest takes nothing: the host does not wait for it */
		struct task *t = ctl->task;

		ctl->task = t->next;
		if (ctl->task == NULL)
			ctl->last = &ctl->task;
		pthread_mutex_unlock(&ctl->lock);
		t->fn(t->arg);
		pthread_mutex_lock(&ctl->lock);
		t->done = true;
		pthread_cond_broadcast(&ctl->done);
		return true;
	}
	if (ctl->nr == 0 || msgq_free_slots(b) < MSGQ_RESERVE)
		return false;
	m = ctl->ring[ctl->first];
	ctl->first = (ctl->first + 1) % INQ_LEN;
	ctl->nr--;
	pthread_mutex_unlock(&ctl->lock);
	control_handle(b, &m);
	pthread_mutex_lock(&ctl->lock);
	return true;
}

static void *control_main(void *arg)
{
	struct vmbus *b = arg;
	struct control *ctl = &b->ctl;

	pthread_mutex_lock(&ctl->lock);
	while (!ctl->stop) {
		if (ctl->retry) {
			ctl->retry = false;
			pthread_mutex_unlock(&ctl->lock);
			bool more = msgq_flush(b);

			pthread_mutex_lock(&ctl->lock);
			ctl->retry |= more;
		}
		if (!control_step(b) && !ctl->stop && !ctl->reset)
			control_wait(ctl);
	}
	pthread_mutex_unlock(&ctl->lock);
	return NULL;
}

int control_start(struct vmbus *b)
{
	struct control *ctl = &b->ctl;
	pthread_condattr_t attr;
	int rc;

	ctl->last = &ctl->task;
	ctl->ring = new_array(struct inmsg, INQ_LEN);
	if (ctl->ring == NULL)
		return -ENOMEM;
	pthread_mutex_init(&ctl->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ctl->wake, &attr);
	pthread_cond_init(&ctl->done, NULL);
	pthread_condattr_destroy(&attr);
	rc = -pthread_create(&ctl->thread, NULL, control_main, b);
	ctl->started = rc == 0;
	return rc;
}

void control_stop(struct vmbus *b)
{
	struct control *ctl = &b->ctl;

	if (ctl->started) {
		pthread_mutex_lock(&ctl->lock);
		ctl->stop = true;
		pthread_cond_signal(&ctl->wake);
		pthread_mutex_unlock(&ctl->lock);
		pthread_join(ctl->thread, NULL);
		ctl->started = false;
	}
	free(ctl->ring);
	ctl->ring = NULL;
}
