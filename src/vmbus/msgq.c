/*
 * msgq.c - control messages on their way to the guest
 *
 * Linux waits for most of our answers without a timeout: a lost message is a
 * hung boot.  So what the SynIC cannot take now stays here and is tried again.
 * Order is kept per VP; a VP that takes nothing does not hold up another.
 *
 * The queue is allocated once.  It cannot overflow: the control thread takes
 * no message from the guest while the answers might not fit.
 *
 * Lock     msgq.lock, held over port->message so that order survives
 */
#include "vmbus/vmbus_priv.h"

#include <stdlib.h>

int msgq_init(struct vmbus *b)
{
	b->q.ring = new_array(struct msg, MSGQ_LEN);
	b->q.blocked = new_array(uint64_t, b->nr_vps / 64 + 1);
	if (b->q.ring == NULL || b->q.blocked == NULL)
		return -ENOMEM;
	pthread_mutex_init(&b->q.lock, NULL);
	return 0;
}

void msgq_fini(struct vmbus *b)
{
	free(b->q.ring);
	free(b->q.blocked);
}

static void msgq_pass(struct vmbus *b)
{
	struct msgq *q = &b->q;

	memset(q->blocked, 0, (b->nr_vps / 64 + 1) * sizeof(*q->blocked));
	for (unsigned i = 0; i < q->nr; i++) {
		struct msg *m = &q->ring[(q->first + i) % MSGQ_LEN];
		uint64_t bit = UINT64_C(1) << (m->vp % 64);

		if (m->sent || (q->blocked[m->vp / 64] & bit))
			continue;
		if (b->port->message(b->self, m->vp, m->sint, m->bytes, m->len) == -ENOBUFS)
			q->blocked[m->vp / 64] |= bit;
		else
			m->sent = true;
	}
	while (q->nr != 0 && q->ring[q->first].sent) {
		q->first = (q->first + 1) % MSGQ_LEN;
		q->nr--;
	}
}

bool msgq_flush(struct vmbus *b)
{
	bool more;

	pthread_mutex_lock(&b->q.lock);
	msgq_pass(b);
	more = b->q.nr != 0;
	pthread_mutex_unlock(&b->q.lock);
	return more;
}

int msgq_push(struct vmbus *b, unsigned vp, unsigned sint, const void *m, size_t n, bool ours)
{
	struct msgq *q = &b->q;
	bool more;

	BUG_IF(n > VMBUS_MSG_MAX || vp >= b->nr_vps);
	pthread_mutex_lock(&q->lock);
	if (q->nr >= MSGQ_LEN - (ours ? 0 : MSGQ_RESERVE)) {
		pthread_mutex_unlock(&q->lock);
		return -ENOBUFS;
	}
	struct msg *slot = &q->ring[(q->first + q->nr++) % MSGQ_LEN];

	slot->vp = vp;
	slot->sint = (uint8_t)sint;
	slot->len = (uint8_t)n;
	slot->sent = false;
	memcpy(slot->bytes, m, n);
	if (q->nr == 1)
		msgq_pass(b);
	more = q->nr != 0;
	pthread_mutex_unlock(&q->lock);
	if (more)
		control_retry_later(b);
	return 0;
}

void msgq_clear(struct vmbus *b)
{
	pthread_mutex_lock(&b->q.lock);
	b->q.nr = 0;
	pthread_mutex_unlock(&b->q.lock);
}

/* Without the lock: whoever holds it may be waiting for the SynIC. */
unsigned msgq_free_slots(struct vmbus *b)
{
	return MSGQ_LEN - atomic_load(&b->q.nr);
}
