/*
 * ide_io.c - a channel's one request of the host's disk
 *
 * The disk answers on any thread, or at once within the call, while we hold
 * the chip lock; so its answer only sets a mark and arms the channel's timer
 * for "now".  The timer's callback comes without locks, takes the chip lock as
 * every timer here, and goes on with the command.
 *
 * A request cannot be called back.  One that nobody wants any more (a reset)
 * is stale: the channel stays busy until it has come in, and forgets it.
 *
 * When the host's disk is full or broken and the board wants to know, the
 * request is held: the machine pauses, somebody makes room, and ide_retry does
 * it again; the guest only saw a slow disk.
 *
 * Spec     dev/blk.h
 * Lock     chip; struct ide_io: rc, done
 */
#include "chip/ide_priv.h"

static void answered(struct blk_req *req, int rc)
{
	struct ide_chan *c = req->ctx;

	c->io.rc = rc;
	atomic_store_explicit(&c->io.done, true, memory_order_release);
	timer_arm(c->timer, 0);
}

static void submit(struct ide_chan *c)
{
	struct ide_io *io = &c->io;

	atomic_store_explicit(&io->done, false, memory_order_relaxed);
	io->busy = true;
	io->held = io->stale = false;
	blk_submit(ide_active(c)->blk, &io->req);
}

void ide_io_start(struct ide_chan *c, enum blk_op op, uint64_t off, uint32_t len, bool fua)
{
	struct ide_io *io = &c->io;

	BUG_IF(io->busy || len > IDE_BUF);
	io->iov = (struct iovec){ c->buf, len };
	io->req = (struct blk_req){
		.op = op, .fua = fua, .off = off, .len = len, .iov = &io->iov,
		.nr_iov = op == BLK_READ || op == BLK_WRITE, .done = answered, .ctx = c,
	};
	c->phase = PHASE_IO;
	submit(c);
}

void ide_io_drop(struct ide_chan *c)
{
	c->io.held = false;
	c->io.stale = c->io.busy;
}

void ide_io_resume(struct ide_chan *c)
{
	ide_io_drop(c);
	if (c->phase == PHASE_RESET)
		timer_arm(c->timer, 0);
	else if (c->phase == PHASE_IO && !c->io.busy)
		ide_piece_again(c);
}

static bool is_trouble(int rc)
{
	return rc == -ENOSPC || rc == -EIO || rc == -EDQUOT;
}

static void came_in(struct ide_chan *c)
{
	const struct ide_conf *conf = &c->ide->conf;
	struct ide_io *io = &c->io;

	io->busy = false;
	if (io->stale) {
		io->stale = false;
		if (c->phase == PHASE_IO)	/* of a state that was loaded meanwhile */
			ide_piece_again(c);
		return;
	}
	if (is_trouble(io->rc) && conf->trouble != NULL) {
		io->held = true;
		conf->trouble(conf->arg, io->rc);
		return;
	}
	ide_io_ended(c, io->rc);
}

void ide_io_fire(void *chan)
{
	struct ide_chan *c = chan;

	pthread_mutex_lock(c->ide->lock);
	if (c->io.busy && atomic_load_explicit(&c->io.done, memory_order_acquire))
		came_in(c);
	if (c->phase == PHASE_RESET && !c->io.busy)
		ide_reset_ended(c);
	pthread_mutex_unlock(c->ide->lock);
}

void ide_retry(void *self)
{
	struct ide *d = self;

	for (unsigned i = 0; i < 2; i++) {
		struct ide_chan *c = &d->chan[i];

		if (c->io.held && c->phase == PHASE_IO) {
			c->io.held = false;
			ide_piece_again(c);
		}
	}
}
