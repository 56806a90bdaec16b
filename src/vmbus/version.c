/*
 * version.c - how a session begins and ends
 *
 * InitiateContact is answered whatever it asks for: Linux waits for ever for
 * a refusal.  It may come at any moment: iPXE hands over without a word, a
 * crash kernel starts in the middle of everything.  So it first ends the old
 * session silently, devices drained, and then starts anew.
 *
 * Spec     VMBus protocol 0.13 to 6.0
 * Missing  monitor pages are accepted and never looked at: no offer asks for them
 * Lock     control thread; the session is written under vmbus.lock
 */
#include "vmbus/vmbus_priv.h"

enum { STATE_OK = 0, STATE_FAILED = 2 };

static const uint32_t versions[] = {
	VMBUS_V0_13, VMBUS_V1_1, VMBUS_V2_4, VMBUS_V3_0, VMBUS_V4_0, VMBUS_V4_1,
	VMBUS_V5_0, VMBUS_V5_1, VMBUS_V5_2, VMBUS_V5_3, VMBUS_V6_0,
};

static bool version_is_known(const struct vmbus *b, uint32_t version)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (versions[i] == version)
			return version <= b->max_version;
	return false;
}

static void set_int_page(void *arg)
{
	struct vmbus *b = arg;

	b->workers[0].int_page = b->ses.int_page;
}

void version_end_session(struct vmbus *b)
{
	pthread_mutex_lock(&b->lock);
	b->ses.connected = false;	/* no new sub-channels from here on */
	pthread_mutex_unlock(&b->lock);
	for (uint32_t i = 1; i < NR_RELIDS; i++)
		if (b->chans[i] != NULL && b->chans[i]->index == 0)
			chan_close(b->chans[i]);
	gpadl_drop(b, 0);
	pthread_mutex_lock(&b->lock);
	offer_forget(b);
	b->ses = (struct session){ .sint = VMBUS_SINT };
	pthread_mutex_unlock(&b->lock);
	vworker_run(&b->workers[0], set_int_page, b);
	msgq_clear(b);
}

/* Where the answer goes, and what the session will be if it comes to one. */
static struct session session_of(const struct vmbus *b, const struct vmbus_contact *g, uint32_t n)
{
	struct session s = { .version = le32_get(g->version), .sint = VMBUS_SINT, .conn = b->conn };
	uint32_t vp = le32_get(g->target_vp);

	if (s.version >= VMBUS_V3_0)
		s.vp = vp;
	if (s.version >= VMBUS_V5_0 && s.conn == VMBUS_CONN_MSG_MULTI)
		s.sint = g->u.target.sint;
	if (s.version >= VMBUS_V6_0) {
		s.features = le32_get(g->u.target.features) & VMBUS_FEAT_CLIENT_ID;
		if (n < sizeof(*g) + sizeof(struct guid))
			s.features = 0;
	}
	if (s.version < VMBUS_V2_4)
		s.int_page = le64_get(g->u.interrupt_page);
	return s;
}

static bool session_is_possible(const struct vmbus *b, const struct session *s,
				const struct vmbus_contact *g)
{
	bool mon0 = le64_get(g->monitor_page[0]) != 0, mon1 = le64_get(g->monitor_page[1]) != 0;

	if (s->vp >= b->nr_vps || s->sint == 0 || s->sint > 15 || mon0 != mon1)
		return false;
	if (s->version >= VMBUS_V5_0 && s->conn == VMBUS_CONN_MSG_MULTI && g->u.target.vtl != 0)
		return false;
	if (s->version < VMBUS_V2_4)
		return s->int_page != 0 && s->int_page % PAGE_SIZE == 0 &&
		       gmem_is_ram(b->mem, s->int_page, PAGE_SIZE);
	return true;
}

void version_on_contact(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_version_response r = { .hdr.type = le32_of(VMBUS_VERSION_RESPONSE) };
	struct vmbus_contact g;
	struct session s;
	size_t len;

	memcpy(&g, m, sizeof(g));
	version_end_session(b);
	s = session_of(b, &g, n);
	if (version_is_known(b, s.version)) {
		r.supported = 1;
		s.connected = session_is_possible(b, &s, &g);
		if (s.connected) {
			r.state = STATE_OK;
			r.version_or_conn = le32_of(s.version >= VMBUS_V5_0 ? s.conn : s.version);
			r.features = le32_of(s.features);
			log_info("vmbus", "the guest speaks protocol %u.%u", s.version >> 16,
				 s.version & 0xffff);
		} else {
			r.state = STATE_FAILED;
			log_guest(&b->limit, "vmbus", "impossible InitiateContact refused");
		}
	}
	if (s.vp >= b->nr_vps)
		s.vp = 0;
	if (s.sint == 0 || s.sint > 15)
		s.sint = VMBUS_SINT;
	pthread_mutex_lock(&b->lock);
	b->ses = s;
	pthread_mutex_unlock(&b->lock);
	if (s.connected)
		vworker_run(&b->workers[0], set_int_page, b);
	len = s.version >= VMBUS_V6_0 ? sizeof(r) : VMBUS_VERSION_RESPONSE_OLD;
	control_send(b, &r, len);
}

void version_on_unload(struct vmbus *b, const uint8_t *m, uint32_t n)
{
	struct vmbus_hdr r = { .type = le32_of(VMBUS_UNLOAD_RESPONSE) };
	struct session old = b->ses;

	(void)m;
	(void)n;
	version_end_session(b);
	/* Older guests expect none. */
	if (old.version >= VMBUS_V3_0)
		BUG_IF(msgq_push(b, old.vp, old.sint, &r, sizeof(r), true) < 0);
}
