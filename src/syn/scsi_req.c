/*
 * scsi_req.c - one request: its buffer, its answer, its end
 *
 * A completion goes out before the request stops counting, so that a reset or
 * a close that waits for the count sees every answer sent.
 *
 * Spec     storvsc completion: same size, same transaction id, operation 1
 * Lock     scsi.lock for lists and counts
 */
#include "syn/scsi_priv.h"

#include <stdlib.h>

struct scsi_req *scsi_req_get(struct scsi_chan *sc)
{
	struct scsi *s = sc->s;
	struct scsi_req *r = NULL;

	pthread_mutex_lock(&s->lock);
	if (sc->active < SCSI_MAX_INFLIGHT) {
		r = s->free;
		if (r != NULL)
			s->free = r->next;
		else
			r = new0(struct scsi_req);
	}
	if (r != NULL)
		sc->active++;
	pthread_mutex_unlock(&s->lock);
	if (r == NULL)
		return NULL;
	*r = (struct scsi_req){ .s = s, .sc = sc };
	return r;
}

static void req_complete(struct scsi_req *r)
{
	r->pkt.op = le32_of(STOR_COMPLETE_IO);
	if (r->want_comp)
		chan_complete(r->sc->chan, r->xid, &r->pkt, r->len);
}

/* Under scsi.lock. */
static void req_put(struct scsi_req *r)
{
	struct scsi *s = r->s;

	if (--r->sc->active == 0)
		pthread_cond_broadcast(&s->idle);
	r->next = s->free;
	s->free = r;
}

/* Resets wait for every request that was in flight; the last one answers them. */
static void req_finish_resets(struct scsi_req *r)
{
	while (r != NULL) {
		struct scsi_req *next = r->next;
		struct scsi *s = r->s;

		req_complete(r);
		pthread_mutex_lock(&s->lock);
		req_put(r);
		pthread_mutex_unlock(&s->lock);
		r = next;
	}
}

void scsi_finish(struct scsi_req *r)
{
	struct scsi *s = r->s;
	struct scsi_req *resets = NULL;

	if (r->ext != &r->one)
		free(r->ext);
	free(r->scratch);
	/* Also after a failure: some of it may have been read. */
	for (unsigned i = 0; r->lent && i < r->nr_segs; i++)
		gmem_unpin_written(chan_mem(r->sc->chan), r->segs[i].gpa, r->segs[i].len);
	req_complete(r);
	pthread_mutex_lock(&s->lock);
	if (r->lun != NULL && --r->lun->active == 0)
		pthread_cond_broadcast(&s->idle);
	if (--s->active == 0) {
		resets = s->resets;
		s->resets = NULL;
	}
	req_put(r);
	pthread_mutex_unlock(&s->lock);
	req_finish_resets(resets);
}

void scsi_reset_add(struct scsi_req *r)
{
	struct scsi *s = r->s;
	bool now;

	pthread_mutex_lock(&s->lock);
	now = s->active == 0;
	r->next = now ? NULL : s->resets;
	if (!now)
		s->resets = r;
	pthread_mutex_unlock(&s->lock);
	if (now)
		req_finish_resets(r);
	else
		scsi_abort_held(s, NULL, NULL);	/* after the reset is on the list: none is added */
}

void scsi_good(struct scsi_req *r, uint32_t transferred)
{
	struct stor_srb *b = &r->pkt.u.srb;

	b->scsi_status = SCSI_GOOD;
	b->srb_status = SRB_SUCCESS;
	b->transfer_len = le32_of(transferred);
	b->sense_len = 0;
	scsi_finish(r);
}

void scsi_srb(struct scsi_req *r, uint8_t srb_status)
{
	struct stor_srb *b = &r->pkt.u.srb;

	b->scsi_status = srb_status == SRB_BUSY ? SCSI_BUSY : SCSI_GOOD;
	b->srb_status = srb_status;
	b->transfer_len = le32_of(0);
	b->sense_len = 0;
	scsi_finish(r);
}

void scsi_sense_fill(uint8_t sense[SCSI_SENSE_LEN], enum scsi_sense code)
{
	memset(sense, 0, SCSI_SENSE_LEN);
	sense[0] = 0x70;
	sense[2] = (uint8_t)(code >> 16);
	sense[7] = SCSI_SENSE_LEN - 8;
	sense[12] = (uint8_t)(code >> 8);
	sense[13] = (uint8_t)code;
}

void scsi_check(struct scsi_req *r, enum scsi_sense code)
{
	struct stor_srb *b = &r->pkt.u.srb;
	uint8_t sense[SCSI_SENSE_LEN];
	uint8_t n = (uint8_t)min_u64(b->sense_len, SCSI_SENSE_LEN);
	bool quiet = r->len == STOR_PACKET && (le32_get(b->flags) & SRB_FLAG_DISABLE_AUTOSENSE);

	b->scsi_status = SCSI_CHECK_CONDITION;
	b->srb_status = SRB_ERROR;
	b->transfer_len = le32_of(0);
	b->sense_len = 0;
	if (n != 0 && !quiet) {
		scsi_sense_fill(sense, code);
		memset(b->u.sense, 0, sizeof(b->u.sense));
		memcpy(b->u.sense, sense, n);
		b->sense_len = n;
		b->srb_status |= SRB_AUTOSENSE_VALID;
	}
	scsi_finish(r);
}

/* Adds a run of guest memory, joined to the last one where they touch. */
static bool seg_add(struct scsi_req *r, uint64_t gpa, uint32_t len)
{
	struct scsi_seg *last = r->nr_segs != 0 ? &r->segs[r->nr_segs - 1] : NULL;

	if (last != NULL && last->gpa + last->len == gpa) {
		last->len += len;
		return true;
	}
	if (r->nr_segs == SCSI_MAX_PAGES)
		return false;
	r->segs[r->nr_segs++] = (struct scsi_seg){ gpa, len };
	return true;
}

/* The smaller of what the ranges hold and what the request says counts. */
bool scsi_map(struct scsi_req *r, const struct pkt *p)
{
	uint32_t left = le32_get(r->pkt.u.srb.transfer_len);

	for (uint32_t i = 0; i < p->nr_ranges; i++) {
		const struct pkt_range *g = &p->ranges[i];
		uint32_t len = (uint32_t)min_u64(g->len, left), off = g->offset;

		for (uint32_t k = 0; k < g->nr_pfns && len > 0; k++) {
			uint32_t n = (uint32_t)min_u64(len, PAGE_SIZE - off);

			if (g->pfns[k] > UINT64_MAX >> PAGE_SHIFT ||
			    !seg_add(r, (g->pfns[k] << PAGE_SHIFT) + off, n))
				return false;
			r->data_len += n;
			left -= n;
			len -= n;
			off = 0;
		}
	}
	return true;
}

void scsi_reply(struct scsi_req *r, const void *buf, uint32_t n, uint32_t alloc)
{
	const uint8_t *src = buf;
	uint32_t done = 0;

	n = (uint32_t)min_u64(min_u64(n, alloc), r->data_len);
	for (unsigned i = 0; i < r->nr_segs && done < n; i++) {
		uint32_t len = (uint32_t)min_u64(r->segs[i].len, n - done);

		if (gmem_write(chan_mem(r->sc->chan), r->segs[i].gpa, src + done, len) < 0) {
			scsi_srb(r, SRB_INVALID_REQUEST);
			return;
		}
		done += len;
	}
	scsi_good(r, n);
}

int scsi_fetch(struct scsi_req *r, void *buf, uint32_t n)
{
	uint8_t *dst = buf;
	uint32_t done = 0;

	n = (uint32_t)min_u64(n, r->data_len);
	for (unsigned i = 0; i < r->nr_segs && done < n; i++) {
		uint32_t len = (uint32_t)min_u64(r->segs[i].len, n - done);
		int rc = gmem_read(chan_mem(r->sc->chan), r->segs[i].gpa, dst + done, len);

		if (rc < 0)
			return rc;
		done += len;
	}
	return (int)n;
}
