/*
 * synic.c - the synthetic interrupt controller: messages and event flags
 *
 * How the host speaks to a guest: a 256-byte slot per interrupt source for
 * messages, one at a time, and a field of 2048 flags per source for "look at
 * this channel".  A guest loses a message or an edge only if we do, and then
 * waits for ever: so whatever it cannot take yet (a processor that is not up,
 * a masked source, a full slot) is kept and offered again at every sign that
 * something has changed.
 *
 * SCONTROL is on after reset.  [TLFS] says off; Hyper-V starts with it on,
 * and some guests never set it.
 *
 * Spec     [TLFS] 11
 * Missing  intercept and proxy sources (SINT bits 19, 20 are stored only)
 * Lock     VP
 */
#include "hv/hv_priv.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_SIZE 256u
#define SLOT_WORD1 4u			/* size, flags, reserved */
#define SLOT_PENDING (HV_MSG_PENDING << 8)

static bool takes(const struct hv_vp *vp, unsigned sint, uint64_t page)
{
	return (vp->synic.scontrol & HV_PAGE_ENABLE) != 0 && (page & HV_PAGE_ENABLE) != 0 &&
	       (vp->synic.sint[sint] & HV_SINT_MASKED) == 0;
}

static void want_raise(struct hv_vp *vp, unsigned sint, struct hv_raise *raise)
{
	if ((vp->synic.sint[sint] & HV_SINT_POLLING) != 0)
		return;
	raise->sints |= 1u << sint;
	raise->sint[sint] = vp->synic.sint[sint];
}

void hv_raise_all(struct hv_vp *vp, const struct hv_raise *raise)
{
	const struct hv_conf *conf = &vp->hv->conf;

	for (unsigned i = 0; raise->sints >> i != 0; i++)
		if ((raise->sints >> i & 1) != 0)
			conf->client->raise(conf->self, vp->index, HV_SINT_VECTOR(raise->sint[i]),
					    (raise->sint[i] & HV_SINT_AUTO_EOI) != 0);
}

/*
 * Whether the slot is ours to write.  If not, the guest now owes us an EOM:
 * it clears the type first and looks at the flag after, so we set the flag
 * first and look at the type after.
 */
static bool slot_free(struct gmem *mem, uint64_t slot)
{
	uint32_t g_type, old;

	if (gmem_load32(mem, slot, &g_type) < 0)
		return false;
	if (g_type == 0)
		return true;
	if (gmem_or32(mem, slot + SLOT_WORD1, SLOT_PENDING, &old) < 0 ||
	    gmem_load32(mem, slot, &g_type) < 0)
		return false;
	return g_type == 0;
}

static bool slot_write(struct gmem *mem, uint64_t slot, const struct hv_msg *msg)
{
	const uint8_t *bytes = (const uint8_t *)msg;

	if (gmem_write(mem, slot + SLOT_WORD1, bytes + SLOT_WORD1,
		       offsetof(struct hv_msg, payload) - SLOT_WORD1 + msg->size) < 0)
		return false;
	return gmem_store32(mem, slot, le32_get(msg->type)) == 0;	/* release: type is last */
}

/* Offers the oldest thing that waits for SINT, a timer's message before others. */
void synic_pump(struct hv_vp *vp, unsigned sint, struct hv_raise *raise)
{
	uint64_t slot = HV_PAGE_GPA(vp->synic.simp) + sint * SLOT_SIZE;
	struct hv_queue *q = &vp->synic.queue[sint];
	struct gmem *mem = vp->hv->conf.mem;
	struct hv_queued *first = q->head;
	bool is_timer = stimer_msg_waits(vp, sint);
	struct hv_msg msg;

	if ((first == NULL && !is_timer) || !takes(vp, sint, vp->synic.simp))
		return;
	if (!slot_free(mem, slot))
		return;
	if (is_timer) {
		stimer_take_msg(vp, sint, &msg);
		if (first != NULL || stimer_msg_waits(vp, sint))
			msg.flags = HV_MSG_PENDING;
		if (slot_write(mem, slot, &msg))
			want_raise(vp, sint, raise);
		return;
	}
	if (first->next != NULL)
		first->msg.flags = HV_MSG_PENDING;
	if (!slot_write(mem, slot, &first->msg))
		return;
	q->head = first->next;
	q->nr--;
	if (q->head == NULL)
		q->tail = NULL;
	free(first);
	want_raise(vp, sint, raise);
}

int hv_synic_post(struct hv *hv, unsigned vp_index, unsigned sint, uint32_t type,
		  const void *payload, size_t n)
{
	struct hv_raise raise = { .sints = 0 };
	struct hv_queued *e;
	struct hv_queue *q;
	struct hv_vp *vp;

	if (vp_index >= hv->conf.nr_vps || sint >= HV_NR_SINTS || n > HV_MSG_PAYLOAD || type == 0)
		return -EINVAL;
	e = new0(struct hv_queued);
	if (e == NULL)
		return -ENOMEM;
	e->msg.type = le32_of(type);
	e->msg.size = (uint8_t)n;
	memcpy(e->msg.payload, payload, n);

	vp = &hv->vps[vp_index];
	q = &vp->synic.queue[sint];
	pthread_mutex_lock(&vp->lock);
	if (q->nr >= HV_QUEUE_MAX) {
		pthread_mutex_unlock(&vp->lock);
		free(e);
		return -ENOBUFS;
	}
	if (q->tail != NULL)
		q->tail->next = e;
	else
		q->head = e;
	q->tail = e;
	q->nr++;
	synic_pump(vp, sint, &raise);
	pthread_mutex_unlock(&vp->lock);
	hv_raise_all(vp, &raise);
	return 0;
}

/* Sets BITS of word W of SINT's flags; an interrupt only for those that were clear. */
static void set_flags(struct hv_vp *vp, unsigned sint, unsigned w, uint32_t bits,
		      struct hv_raise *raise)
{
	uint64_t gpa = HV_PAGE_GPA(vp->synic.siefp) + sint * SLOT_SIZE + w * 4;
	uint32_t g_old;

	if (gmem_or32(vp->hv->conf.mem, gpa, bits, &g_old) == 0 && (bits & ~g_old) != 0)
		want_raise(vp, sint, raise);
}

void hv_synic_signal(struct hv *hv, unsigned vp_index, unsigned sint, unsigned flag)
{
	struct hv_raise raise = { .sints = 0 };
	struct hv_vp *vp;

	if (vp_index >= hv->conf.nr_vps || sint >= HV_NR_SINTS || flag >= HV_NR_FLAGS)
		return;
	vp = &hv->vps[vp_index];
	pthread_mutex_lock(&vp->lock);
	if (takes(vp, sint, vp->synic.siefp)) {
		set_flags(vp, sint, flag / 32, 1u << flag % 32, &raise);
	} else {
		vp->synic.held[sint][flag / 32] |= 1u << flag % 32;
		vp->synic.held_sints |= (uint16_t)(1u << sint);
	}
	pthread_mutex_unlock(&vp->lock);
	hv_raise_all(vp, &raise);
}

void hv_synic_raise(struct hv *hv, unsigned vp_index, unsigned sint)
{
	struct hv_raise raise = { .sints = 0 };
	struct hv_vp *vp;

	if (vp_index >= hv->conf.nr_vps || sint >= HV_NR_SINTS)
		return;
	vp = &hv->vps[vp_index];
	pthread_mutex_lock(&vp->lock);
	if ((vp->synic.sint[sint] & HV_SINT_MASKED) == 0)
		want_raise(vp, sint, &raise);
	pthread_mutex_unlock(&vp->lock);
	hv_raise_all(vp, &raise);
}

static void release_held(struct hv_vp *vp, unsigned sint, struct hv_raise *raise)
{
	uint32_t *held = vp->synic.held[sint];

	if ((vp->synic.held_sints >> sint & 1) == 0 || !takes(vp, sint, vp->synic.siefp))
		return;
	for (unsigned w = 0; w < HV_NR_FLAGS / 32; w++)
		if (held[w] != 0)
			set_flags(vp, sint, w, held[w], raise);
	memset(held, 0, sizeof(vp->synic.held[sint]));
	vp->synic.held_sints &= (uint16_t)~(1u << sint);
}

void hv_eoi(struct hv *hv, unsigned vp_index, uint8_t vector)
{
	struct hv_vp *vp = &hv->vps[vp_index];
	struct hv_raise raise = { .sints = 0 };

	pthread_mutex_lock(&vp->lock);
	for (unsigned i = 0; i < HV_NR_SINTS; i++)
		if (HV_SINT_VECTOR(vp->synic.sint[i]) == vector)
			synic_pump(vp, i, &raise);
	pthread_mutex_unlock(&vp->lock);
	hv_raise_all(vp, &raise);
}

uint64_t synic_read(struct hv_vp *vp, uint32_t msr)
{
	const struct synic *s = &vp->synic;
	uint64_t val = 0;			/* EOM reads so */

	pthread_mutex_lock(&vp->lock);
	if (msr == HV_MSR_SCONTROL)
		val = s->scontrol;
	else if (msr == HV_MSR_SVERSION)
		val = 1;
	else if (msr == HV_MSR_SIEFP)
		val = s->siefp;
	else if (msr == HV_MSR_SIMP)
		val = s->simp;
	else if (msr >= HV_MSR_SINT0 && msr < HV_MSR_SINT0 + HV_NR_SINTS)
		val = s->sint[msr - HV_MSR_SINT0];
	pthread_mutex_unlock(&vp->lock);
	return val;
}

/* What the guest wrote may be no page of RAM, or a vector no interrupt can have. */
static bool acceptable(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	if (msr == HV_MSR_SIEFP || msr == HV_MSR_SIMP)
		return (val & HV_PAGE_ENABLE) == 0 ||
		       gmem_is_ram(vp->hv->conf.mem, HV_PAGE_GPA(val), PAGE_SIZE);
	if (msr >= HV_MSR_SINT0)
		return (val & HV_SINT_MASKED) != 0 || HV_SINT_VECTOR(val) >= HV_MIN_VECTOR;
	return true;
}

int synic_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	struct hv_raise raise = { .sints = 0 };
	struct synic *s = &vp->synic;

	if (!acceptable(vp, msr, val))
		return -ENOENT;
	pthread_mutex_lock(&vp->lock);
	if (msr == HV_MSR_SCONTROL)
		s->scontrol = val;
	else if (msr == HV_MSR_SIEFP)
		s->siefp = val;
	else if (msr == HV_MSR_SIMP)
		s->simp = val;
	else if (msr >= HV_MSR_SINT0 && msr < HV_MSR_SINT0 + HV_NR_SINTS)
		s->sint[msr - HV_MSR_SINT0] = val;
	/* EOM, or any change, may be what something waits for. */
	for (unsigned i = 0; i < HV_NR_SINTS; i++) {
		synic_pump(vp, i, &raise);
		release_held(vp, i, &raise);
	}
	pthread_mutex_unlock(&vp->lock);
	hv_raise_all(vp, &raise);
	return 0;
}

void synic_forget(struct hv_vp *vp)
{
	struct synic *s = &vp->synic;

	pthread_mutex_lock(&vp->lock);
	for (unsigned i = 0; i < HV_NR_SINTS; i++) {
		while (s->queue[i].head != NULL) {
			struct hv_queued *e = s->queue[i].head;

			s->queue[i].head = e->next;
			free(e);
		}
		s->queue[i] = (struct hv_queue){ .nr = 0 };
	}
	memset(s->held, 0, sizeof(s->held));
	s->held_sints = 0;
	pthread_mutex_unlock(&vp->lock);
}

void synic_reset(struct hv_vp *vp)
{
	struct synic *s = &vp->synic;

	synic_forget(vp);
	pthread_mutex_lock(&vp->lock);
	s->scontrol = HV_PAGE_ENABLE;
	s->siefp = 0;
	s->simp = 0;
	for (unsigned i = 0; i < HV_NR_SINTS; i++)
		s->sint[i] = HV_SINT_MASKED;
	pthread_mutex_unlock(&vp->lock);
}
