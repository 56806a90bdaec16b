/*
 * scsi_io.c - what a request does on the disk, step by step
 *
 * READ and WRITE are one step with the guest's own pages lent to the backend.
 * UNMAP, WRITE SAME and VERIFY are as many steps as they need, with bounded
 * memory; between two steps a closing channel may stop them.
 *
 * A backend may complete within submit or on any thread later.  Who comes
 * second - the submitter returning or the completion - goes on to the next
 * step, so a long chain does not nest.
 *
 * A step that failed because the host is in trouble (full, I/O error) can be
 * held: the machine pauses, the operator makes room, scsi_retry does the same
 * step again, and the guest never learns of it.
 *
 * Spec     blk.h
 * Lock     scsi.lock for the list of held requests
 */
#include "syn/scsi_priv.h"

#include <stdlib.h>

static bool io_is_trouble(int rc)
{
	return rc == -ENOSPC || rc == -EIO || rc == -EDQUOT;
}

static void io_fail(struct scsi_req *r, int rc)
{
	switch (rc) {
	case -EROFS:
		scsi_check(r, SENSE_WRITE_PROTECTED);
		break;
	case -ENOSPC:
	case -EDQUOT:
		scsi_check(r, SENSE_SPACE_FAILED);
		break;
	case -EFAULT:
		scsi_srb(r, SRB_INVALID_REQUEST);
		break;
	case -EINVAL:
		scsi_check(r, SENSE_LBA_RANGE);
		break;
	case -ENOMEM:
		scsi_srb(r, SRB_BUSY);
		break;
	default:
		scsi_check(r, r->act == ACT_READ || r->act == ACT_VERIFY ? SENSE_READ_ERROR :
									 SENSE_WRITE_ERROR);
		break;
	}
}

/* Keeps R for scsi_retry; false when failures are the guest's to see. */
static bool io_hold(struct scsi_req *r, int rc)
{
	struct scsi *s = r->s;
	void (*trouble)(void *arg, int rc) = NULL;
	void *arg = NULL;
	bool held;

	if (!io_is_trouble(rc))
		return false;
	pthread_mutex_lock(&s->lock);
	/* Nobody who waits for R to end may have to wait for the operator too. */
	held = s->hold && !r->sc->closing && r->lun->blk == r->blk && s->resets == NULL;
	if (held) {
		r->next = s->held;
		s->held = r;
		trouble = s->trouble;
		arg = s->trouble_arg;
	}
	pthread_mutex_unlock(&s->lock);
	if (trouble != NULL)		/* R may be gone already */
		trouble(arg, rc);
	return held;
}

static void io_done_all(struct scsi_req *r)
{
	switch (r->act) {
	case ACT_READ:
	case ACT_WRITE:
		scsi_good(r, (uint32_t)r->one.len);
		break;
	default:
		/* Parameter data, as far as the guest sent it. */
		scsi_good(r, r->data_len);
		break;
	}
}

/* The next step as a block request; false when there is none. */
static bool io_next(struct scsi_req *r)
{
	struct blk_req *b = &r->breq;
	struct scsi_extent *e = &r->ext[r->at_ext];
	uint64_t left;

	if (r->at_ext == r->nr_ext)
		return false;
	left = e->len - r->done_in_ext;
	r->step = left;
	*b = (struct blk_req){ .off = e->off + r->done_in_ext, .fua = r->fua, .iov = r->iov };
	switch (r->act) {
	case ACT_READ:
	case ACT_WRITE:
		b->op = r->act == ACT_READ ? BLK_READ : BLK_WRITE;
		b->nr_iov = r->nr_iov;
		break;
	case ACT_FLUSH:
		b->op = BLK_FLUSH;
		b->off = 0;
		break;
	case ACT_ZERO:
		b->op = BLK_WRITE_ZEROES;
		break;
	case ACT_UNMAP:
		b->op = BLK_UNMAP;
		break;
	case ACT_PATTERN:
	case ACT_VERIFY:
		/* One scratch buffer, seen as often as the step is long. */
		b->op = r->act == ACT_VERIFY ? BLK_READ : BLK_WRITE;
		r->step = min_u64(left, (uint64_t)SCSI_PATTERN * SCSI_STEP_IOV);
		for (uint64_t at = 0; at < r->step; at += SCSI_PATTERN)
			r->iov[b->nr_iov++] = (struct iovec){
				r->scratch, (size_t)min_u64(SCSI_PATTERN, r->step - at),
			};
		break;
	case ACT_NONE:
		return false;
	}
	b->len = r->act == ACT_FLUSH ? 0 : r->step;
	return true;
}

/* After a step: accounts it, answers on failure.  False when R is gone. */
static bool io_account(struct scsi_req *r)
{
	bool dropped;

	if (r->rc < 0) {
		if (!io_hold(r, r->rc))
			io_fail(r, r->rc);
		return false;
	}
	pthread_mutex_lock(&r->s->lock);
	dropped = r->sc->closing;
	pthread_mutex_unlock(&r->s->lock);
	r->done_in_ext += r->step;
	if (r->done_in_ext >= r->ext[r->at_ext].len) {
		r->at_ext++;
		r->done_in_ext = 0;
	}
	if (dropped && r->at_ext < r->nr_ext) {
		scsi_srb(r, SRB_ABORTED);
		return false;
	}
	return true;
}

static void io_step_done(struct blk_req *b, int rc);

static void io_run(struct scsi_req *r)
{
	while (io_next(r)) {
		r->breq.done = io_step_done;
		r->breq.ctx = r;
		atomic_store(&r->turn, false);
		blk_submit(r->blk, &r->breq);
		if (!atomic_exchange(&r->turn, true))
			return;		/* the completion goes on */
		if (!io_account(r))
			return;
	}
	io_done_all(r);
}

static void io_step_done(struct blk_req *b, int rc)
{
	struct scsi_req *r = b->ctx;

	r->rc = rc;
	if (!atomic_exchange(&r->turn, true))
		return;			/* still within submit: the submitter goes on */
	if (io_account(r))
		io_run(r);
}

/* Lends the guest's pages; the request was cut to the buffer before. */
static int io_pin(struct scsi_req *r)
{
	uint64_t left = r->one.len;

	for (unsigned i = 0; i < r->nr_segs && left > 0; i++) {
		uint32_t n = (uint32_t)min_u64(r->segs[i].len, left);
		int rc = gmem_pin(chan_mem(r->sc->chan), r->segs[i].gpa, n, r->act == ACT_READ,
				  r->iov, &r->nr_iov, (int)ARRAY_LEN(r->iov));

		if (rc < 0)
			return rc == -ENOSPC ? -EFAULT : rc;
		r->segs[i].len = n;	/* what the disk may write, for scsi_finish */
		left -= n;
		if (left == 0)
			r->nr_segs = i + 1;
	}
	return 0;
}

void scsi_io_start(struct scsi_req *r)
{
	int rc = 0;

	if (r->ext == NULL) {
		r->ext = &r->one;
		r->nr_ext = 1;
	}
	if (r->act == ACT_READ || r->act == ACT_WRITE)
		rc = io_pin(r);
	r->lent = rc == 0 && r->act == ACT_READ;
	if (rc < 0)
		io_fail(r, rc);
	else
		io_run(r);
}

void scsi_io_again(struct scsi_req *r)
{
	io_run(r);
}
