/*
 * scsi.c - the synthetic SCSI controller (storvsc)
 *
 * The guest's boot disk.  A primary channel with a small state machine at the
 * start, then SRBs; sub-channels carry SRBs only.  A request is answered on
 * the channel it came on, exactly once, with as many bytes as it had.
 *
 * The IDE accelerator is the same thing for one disk.
 *
 * Spec     storvsc protocol 2.0 to 6.2
 * Missing  fibre channel
 * Lock     scsi.lock; the state machine belongs to the primary's worker
 */
#include "syn/scsi_priv.h"

#include <stdlib.h>

static const struct guid scsi_type = GUID_INIT(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2,
					       0xff, 0xb1, 0xdc, 0x7f);

static const struct guid ide_type = GUID_INIT(0x32412632, 0x86cb, 0x44a2, 0x9b, 0x5c, 0x50, 0xd1,
					      0x41, 0x73, 0x54, 0xf5);

static uint32_t packet_bytes(const struct scsi *s)
{
	return atomic_load(&s->version) >= STOR_V5_1 ? STOR_PACKET : STOR_PACKET_OLD;
}

/* The initialisation, one message at a time. */

static uint32_t init_version(struct scsi *s, const struct stor_packet *g)
{
	uint16_t v = le16_get(g->u.ver.version);

	switch (v) {
	case STOR_V2_0:
	case STOR_V4_2:
	case STOR_V5_1:
	case STOR_V6_0:
	case STOR_V6_2:
		atomic_store(&s->version, v);
		atomic_store(&s->init, INIT_VERSION);
		return STOR_STATUS_SUCCESS;
	default:
		return STOR_STATUS_REVISION_MISMATCH;	/* the guest asks for an older one */
	}
}

static uint32_t init_properties(struct scsi *s, struct stor_packet *reply)
{
	reply->u.prop = (struct stor_properties){
		.max_sub_channels = le16_of((uint16_t)s->max_sub),
		.flags = le32_of(s->max_sub != 0),
		.max_transfer = le32_of(SCSI_MAX_TRANSFER),
	};
	atomic_store(&s->init, INIT_PROPERTIES);
	return STOR_STATUS_SUCCESS;
}

static uint32_t init_sub_channels(struct scsi *s, struct chan *c, const struct stor_packet *g)
{
	uint16_t n = le16_get(g->u.nr_sub);

	if (n > s->max_sub || chan_offer_subs(c, n) < 0)
		return STOR_STATUS_INVALID_PARAMETER;
	return STOR_STATUS_SUCCESS;
}

static uint32_t scsi_control(struct scsi *s, struct chan *c, const struct stor_packet *g,
			     struct stor_packet *reply)
{
	int state = atomic_load(&s->init);

	switch (le32_get(g->op)) {
	case STOR_BEGIN_INITIALIZATION:
		if (state != INIT_NONE)
			return STOR_STATUS_INVALID_DEVICE_STATE;
		atomic_store(&s->init, INIT_BEGUN);
		return STOR_STATUS_SUCCESS;
	case STOR_QUERY_PROTOCOL_VERSION:
		if (state != INIT_BEGUN)
			return STOR_STATUS_INVALID_DEVICE_STATE;
		return init_version(s, g);
	case STOR_QUERY_PROPERTIES:
		if (state != INIT_VERSION)
			return STOR_STATUS_INVALID_DEVICE_STATE;
		return init_properties(s, reply);
	case STOR_END_INITIALIZATION:
		if (state != INIT_PROPERTIES)
			return STOR_STATUS_INVALID_DEVICE_STATE;
		atomic_store(&s->init, INIT_READY);
		return STOR_STATUS_SUCCESS;
	case STOR_CREATE_SUB_CHANNELS:
		if (state != INIT_READY)
			return STOR_STATUS_INVALID_DEVICE_STATE;
		return init_sub_channels(s, c, g);
	default:
		return STOR_STATUS_INVALID_DEVICE_REQUEST;
	}
}

/* SRBs. */

/* Counts R in, and finds its unit. */
static bool srb_begin(struct scsi_req *r)
{
	const struct stor_srb *srb = &r->pkt.u.srb;
	struct scsi *s = r->s;
	bool ok;

	pthread_mutex_lock(&s->lock);
	ok = s->active < SCSI_MAX_ACTIVE;
	s->active++;			/* scsi_finish takes it back either way */
	if (scsi_has_target(s, srb) && srb->lun < SCSI_MAX_LUNS &&
	    s->luns[srb->lun].blk != NULL) {
		r->lun = &s->luns[srb->lun];
		r->blk = r->lun->blk;
		r->no_medium = r->lun->ejected;
		r->lun->active++;
	}
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static void srb_run(struct scsi_req *r, const struct pkt *p)
{
	if (!srb_begin(r)) {
		scsi_srb(r, SRB_BUSY);
		return;
	}
	memcpy(r->cdb, r->pkt.u.srb.u.cdb, sizeof(r->cdb));
	if (r->pkt.u.srb.cdb_len > sizeof(r->cdb) || !scsi_map(r, p))
		scsi_srb(r, SRB_INVALID_REQUEST);
	else
		scsi_execute(r);
}

/* What was held is over: a reset, a close or a lost unit does not wait for space. */
void scsi_abort_held(struct scsi *s, const struct scsi_chan *sc, const struct scsi_lun *lun)
{
	struct scsi_req *out = NULL, **at, *r;

	pthread_mutex_lock(&s->lock);
	for (at = &s->held; *at != NULL;) {
		r = *at;
		if ((sc != NULL && r->sc != sc) || (lun != NULL && r->lun != lun)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = out;
		out = r;
	}
	pthread_mutex_unlock(&s->lock);
	while (out != NULL) {
		r = out;
		out = r->next;
		scsi_srb(r, SRB_ABORTED);
	}
}

static void scsi_request(struct scsi_chan *sc, const struct pkt *p, const struct stor_packet *g,
			 uint32_t len)
{
	struct scsi_req *r = scsi_req_get(sc);
	struct stor_packet busy = *g;

	if (r == NULL) {
		busy.op = le32_of(STOR_COMPLETE_IO);
		busy.status = le32_of(0);
		busy.u.srb.srb_status = SRB_BUSY;
		busy.u.srb.scsi_status = SCSI_BUSY;
		busy.u.srb.sense_len = 0;
		busy.u.srb.transfer_len = le32_of(0);
		if (p->flags & 1)
			chan_complete(sc->chan, p->id, &busy, len);
		return;
	}
	r->xid = p->id;
	r->want_comp = p->flags & 1;
	r->len = len;
	r->pkt = *g;
	r->pkt.status = le32_of(STOR_STATUS_SUCCESS);
	if (le32_get(g->op) == STOR_EXECUTE_SRB) {
		srb_run(r, p);
		return;
	}
	scsi_reset_add(r);
}

static void scsi_packet(void *self, struct chan *c, const struct pkt *p)
{
	struct scsi *s = self;
	struct scsi_chan *sc = &s->chans[chan_index(c)];
	uint32_t len = p->len >= STOR_PACKET ? STOR_PACKET : STOR_PACKET_OLD, op;
	struct stor_packet g = { 0 }, reply;

	if (p->type != VMPKT_INBAND && p->type != VMPKT_GPA_DIRECT)
		return;
	if (p->len < STOR_PACKET_OLD) {
		log_guest(&sc->limit, "scsi", "request of %u bytes", p->len);
		if (p->flags & 1) {
			g.op = le32_of(STOR_COMPLETE_IO);
			g.status = le32_of(STOR_STATUS_INVALID_PARAMETER);
			chan_complete(c, p->id, &g, p->len);
		}
		return;
	}
	memcpy(&g, p->data, len);
	op = le32_get(g.op);
	if ((op == STOR_EXECUTE_SRB || (op >= STOR_RESET_LUN && op <= STOR_RESET_BUS)) &&
	    atomic_load(&s->init) == INIT_READY) {
		scsi_request(sc, p, &g, len);
		return;
	}
	reply = g;
	reply.op = le32_of(STOR_COMPLETE_IO);
	reply.status = le32_of(STOR_STATUS_INVALID_DEVICE_STATE);
	if (chan_index(c) == 0 && op > STOR_RESET_BUS)
		reply.status = le32_of(scsi_control(s, c, &g, &reply));
	if (p->flags & 1)
		chan_complete(c, p->id, &reply, len);
}

/* Tells the guest that its list of units is old.  Under scsi.lock. */
static void scsi_enumerate(struct scsi *s)
{
	struct stor_packet m = { .op = le32_of(STOR_ENUMERATE_BUS) };
	struct scsi_chan *sc = &s->chans[0];

	if (!s->enumerate || sc->chan == NULL || sc->closing ||
	    atomic_load(&s->init) != INIT_READY)
		return;
	if (chan_send(sc->chan, VMPKT_INBAND, 0, false, &m, packet_bytes(s)) != -EAGAIN)
		s->enumerate = false;
}

static void scsi_room(void *self, struct chan *c)
{
	struct scsi *s = self;

	(void)c;
	pthread_mutex_lock(&s->lock);
	scsi_enumerate(s);
	pthread_mutex_unlock(&s->lock);
}

static int scsi_open(void *self, struct chan *c)
{
	struct scsi *s = self;
	struct scsi_chan *sc = &s->chans[chan_index(c)];

	pthread_mutex_lock(&s->lock);
	sc->chan = c;
	sc->closing = false;
	if (chan_index(c) == 0) {
		atomic_store(&s->init, INIT_NONE);
		atomic_store(&s->version, 0);
		s->enumerate = false;	/* it will look by itself */
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* Resets that wait on this channel need no answer any more. */
static void scsi_drop_resets(struct scsi_chan *sc)
{
	struct scsi *s = sc->s;

	for (struct scsi_req **at = &s->resets; *at != NULL;) {
		struct scsi_req *r = *at;

		if (r->sc != sc) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		sc->active--;
		r->next = s->free;
		s->free = r;
	}
}

static void scsi_close(void *self, struct chan *c)
{
	struct scsi *s = self;
	struct scsi_chan *sc = &s->chans[chan_index(c)];

	pthread_mutex_lock(&s->lock);
	sc->closing = true;		/* from here on nothing is held */
	scsi_drop_resets(sc);
	pthread_mutex_unlock(&s->lock);
	scsi_abort_held(s, sc, NULL);
	pthread_mutex_lock(&s->lock);
	while (sc->active != 0)
		pthread_cond_wait(&s->idle, &s->lock);
	sc->chan = NULL;
	if (chan_index(c) == 0) {
		atomic_store(&s->init, INIT_NONE);
		/* The next guest finds the tray closed and unlocked. */
		for (unsigned i = 0; i < SCSI_MAX_LUNS; i++)
			s->luns[i].ejected = s->luns[i].locked = false;
	}
	pthread_mutex_unlock(&s->lock);
}

static const struct chan_ops scsi_ops = {
	.name = "scsi",
	.offer_flags = 1,		/* enumerate device interface */
	.open = scsi_open,
	.packet = scsi_packet,
	.room = scsi_room,
	.close = scsi_close,
};

/* The host's side. */

struct guid scsi_ide_instance(uint8_t path, uint8_t target)
{
	const struct guid g = GUID_INIT(path, target, 0x8899, 0, 0, 0, 0, 0, 0, 0, 0);

	return g;
}

int scsi_new(struct vmbus *bus, const struct scsi_conf *conf, struct scsi **ret_s, struct err *err)
{
	struct scsi *s = new0(struct scsi);
	uint8_t user[STOR_OFFER_USER] = { 0 };
	int rc;

	if (s == NULL)
		return err_set(err, -ENOMEM, "scsi: no memory");
	s->bus = bus;
	s->ops = scsi_ops;
	s->ops.type = conf->ide ? ide_type : scsi_type;
	s->ide = conf->ide;
	if (conf->ide) {
		s->target = conf->target;
		user[STOR_OFFER_PATH] = conf->path;
		user[STOR_OFFER_TARGET] = conf->target;
		st32(user + STOR_OFFER_FLAGS, STOR_OFFER_IDE);
	} else if (conf->nr_vps > 1)
		s->max_sub = (unsigned)min_u64(conf->nr_vps - 1, SCSI_MAX_CHANS - 1);
	s->ops.max_sub = s->max_sub;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	for (unsigned i = 0; i < SCSI_MAX_CHANS; i++)
		s->chans[i].s = s;
	rc = vdev_offer(bus, &s->ops, s, &conf->instance, user, &s->vdev, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret_s = s;
	return 0;
}

void scsi_free(struct scsi *s)
{
	if (s == NULL)
		return;
	(void)vdev_remove(s->vdev, 0);
	while (s->free != NULL) {
		struct scsi_req *r = s->free;

		s->free = r->next;
		free(r);
	}
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->idle);
	free(s);
}

int scsi_attach(struct scsi *s, unsigned lun, struct blk *b, struct err *err)
{
	int rc = 0;

	if (lun >= (s->ide ? 1 : SCSI_MAX_LUNS))
		return err_set(err, -EINVAL, "LUN %u: a controller has 0 to %u", lun,
			       s->ide ? 0 : SCSI_MAX_LUNS - 1);
	if (b->logical == 0 || b->size < b->logical || SCSI_PATTERN % b->logical != 0 ||
	    b->physical < b->logical || b->physical % b->logical != 0)
		return err_set(err, -EINVAL, "LUN %u: %u-byte sectors on %u cannot be SCSI", lun,
			       b->logical, b->physical);
	pthread_mutex_lock(&s->lock);
	if (s->luns[lun].blk != NULL || s->luns[lun].active != 0) {
		rc = -EBUSY;
	} else {
		s->luns[lun] = (struct scsi_lun){ .blk = b };
		s->enumerate = true;
		scsi_enumerate(s);
	}
	pthread_mutex_unlock(&s->lock);
	return rc < 0 ? err_set(err, rc, "LUN %u is taken", lun) : 0;
}

int scsi_detach(struct scsi *s, unsigned lun)
{
	struct scsi_lun *l;

	if (lun >= SCSI_MAX_LUNS)
		return -EINVAL;
	l = &s->luns[lun];
	pthread_mutex_lock(&s->lock);
	if (l->blk == NULL) {
		pthread_mutex_unlock(&s->lock);
		return -ENOENT;
	}
	l->blk = NULL;			/* no new request finds it, none is held */
	pthread_mutex_unlock(&s->lock);
	scsi_abort_held(s, NULL, l);
	pthread_mutex_lock(&s->lock);
	while (l->active != 0)
		pthread_cond_wait(&s->idle, &s->lock);
	s->enumerate = true;
	scsi_enumerate(s);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

void scsi_hold_on_trouble(struct scsi *s, bool hold, void (*trouble)(void *arg, int rc), void *arg)
{
	pthread_mutex_lock(&s->lock);
	s->hold = hold;
	s->trouble = trouble;
	s->trouble_arg = arg;
	pthread_mutex_unlock(&s->lock);
}

void scsi_retry(struct scsi *s)
{
	struct scsi_req *r;

	pthread_mutex_lock(&s->lock);
	r = s->held;
	s->held = NULL;
	pthread_mutex_unlock(&s->lock);
	while (r != NULL) {
		struct scsi_req *next = r->next;

		scsi_io_again(r);
		r = next;
	}
}
