/*
 * gmem_code.c - who holds translated code of which page, and who wrote there
 *
 * A processor that wrote to code of another must not go on to publish the
 * change before that other can see it.  So the log entry and the listeners'
 * bits are set here, on the writer's own thread, before it takes its next step;
 * listeners look at their word before every indirect jump and loop.
 *
 * Spec     [SDM 3] 8.1.3 self- and cross-modifying code
 * Lock     listen_lock for the listeners; the log is atomic words
 */
#include "mem/gmem_priv.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t gmem_page_decoding(_Atomic uint32_t *state)
{
	uint32_t old;

	/* First this, so that nobody takes the other bit away after we have set it. */
	if (unlikely(atomic_load(state) & GMEM_COOLING))
		atomic_fetch_and(state, ~GMEM_COOLING);
	old = atomic_fetch_or(state, GMEM_HAS_CODE);
	if ((old & GMEM_HAS_CODE) == 0)
		(void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	return atomic_load(state) | GMEM_HAS_CODE;
}

int gmem_code_listen(struct gmem *m, _Atomic uint32_t *word, uint32_t bits)
{
	int rc = -ENOSPC;

	pthread_mutex_lock(&m->listen_lock);
	for (size_t i = 0; rc != 0 && i < GMEM_LISTENERS; i++) {
		if (m->listener[i] != NULL)
			continue;
		m->listener[i] = word;
		m->listener_bits = bits;
		if (m->nr_listeners < i + 1)
			m->nr_listeners = i + 1;
		rc = 0;
	}
	pthread_mutex_unlock(&m->listen_lock);
	return rc;
}

void gmem_code_unlisten(struct gmem *m, const _Atomic uint32_t *word)
{
	pthread_mutex_lock(&m->listen_lock);
	for (size_t i = 0; i < m->nr_listeners; i++)
		if (m->listener[i] == word)
			m->listener[i] = NULL;
	pthread_mutex_unlock(&m->listen_lock);
}

unsigned gmem_code_listeners(const struct gmem *m)
{
	return (unsigned)m->nr_listeners;
}

uint64_t gmem_code_seq(const struct gmem *m)
{
	return atomic_load(&m->code_seq);
}

_Atomic uint32_t *gmem_code_log(struct gmem *m, uint64_t seq)
{
	uint64_t e = atomic_load(&m->code_log[seq % GMEM_CODE_LOG]);

	if (e >> 32 != (uint32_t)(seq + 1))
		return NULL;
	return &m->state[(uint32_t)e];
}

void gmem_code_written(struct gmem *m, _Atomic uint32_t *state)
{
	atomic_fetch_add(state, GMEM_GEN_STEP);
	gmem_code_notify(m, state);
}

/* Under listen_lock.  The number of the log's next entry. */
static uint64_t notify(struct gmem *m, const _Atomic uint32_t *state)
{
	uint64_t page = (uint64_t)(state - m->state), seq = atomic_load(&m->code_seq);

	atomic_store(&m->code_log[seq % GMEM_CODE_LOG], (uint64_t)(uint32_t)(seq + 1) << 32 | page);
	atomic_store(&m->code_seq, seq + 1);
	for (size_t i = 0; i < m->nr_listeners; i++)
		if (m->listener[i] != NULL)
			atomic_fetch_or(m->listener[i], m->listener_bits);
	return seq + 1;
}

void gmem_code_notify(struct gmem *m, _Atomic uint32_t *state)
{
	if (m->nr_listeners == 0)
		return;
	pthread_mutex_lock(&m->listen_lock);
	(void)notify(m, state);
	pthread_mutex_unlock(&m->listen_lock);
}

/*
 * The bit is set under the lock alone, together with the number that must have been
 * seen: so whoever finds both knows that they belong together.
 */
void gmem_code_cool(struct gmem *m, _Atomic uint32_t *state,
		    bool (*have_seen)(void *self, uint64_t seq), void *self)
{
	struct gmem_cooling *k = &m->cooling[(size_t)(state - m->state) % GMEM_COOLING_PAGES];
	uint32_t old;

	pthread_mutex_lock(&m->listen_lock);
	old = atomic_load(state);
	if (k->state != state || !(old & GMEM_COOLING)) {
		k->state = state;
		atomic_fetch_or(state, GMEM_COOLING);
		k->seq = notify(m, state);
	} else if (have_seen(self, k->seq)) {
		while ((old & GMEM_COOLING) &&
		       !atomic_compare_exchange_weak(state, &old,
						     old & ~(GMEM_HAS_CODE | GMEM_COOLING)))
			;
	}
	pthread_mutex_unlock(&m->listen_lock);
}

_Atomic uint64_t *gmem_code_pieces(struct gmem *m, const _Atomic uint32_t *state)
{
	return &m->pieces[state - m->state];
}
