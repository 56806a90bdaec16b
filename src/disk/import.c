/*
 * import.c - another disk's content as a new image
 *
 * A few pieces of 1 MiB are on their way at once: read, looked through in
 * steps of 64 KiB, and what is not zero written.  The target gets its name
 * when all of it is durable.
 *
 * Missing  holes of the source are read as zeros instead of skipped: blk.h
 *          has no way to ask for them
 * Lock     im->lock guards the slots' states and the result
 */
#include "disk/import.h"

#include "disk/fresh.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE MIB
#define STEP ((uint64_t)AIO_ZEROS_LEN)
#define SLOTS 8

struct import;

struct slot {
	struct import *im;
	struct blk_req req;
	struct iovec iov;
	uint8_t *buf;
	uint64_t off, len, pos;
	bool busy;
};

struct import {
	struct blk *src, *dst;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t done;
	int rc;
	struct slot slots[SLOTS];
};

static void slot_end(struct slot *s, int rc)
{
	struct import *im = s->im;

	pthread_mutex_lock(&im->lock);
	if (rc < 0 && im->rc == 0)
		im->rc = rc;
	s->busy = false;
	im->done += s->len;
	pthread_cond_signal(&im->cond);
	pthread_mutex_unlock(&im->lock);
}

/* The length of what is zero (or is not) from POS on, in whole steps. */
static uint64_t same(const struct slot *s, uint64_t pos, bool *ret_zero)
{
	uint64_t at = pos, n;

	for (; at < s->len; at += n) {
		bool zero;

		n = min_u64(STEP, s->len - at);
		zero = memcmp(s->buf + at, aio_zeros, n) == 0;
		if (at == pos)
			*ret_zero = zero;
		else if (zero != *ret_zero)
			break;
	}
	return at - pos;
}

static void piece_done(struct blk_req *req, int rc)
{
	struct slot *s = req->ctx;
	bool zero = false;
	uint64_t n;

	if (rc == 0 && req->op == BLK_WRITE)
		s->pos += req->len;
	while (rc == 0 && s->pos < s->len) {
		n = same(s, s->pos, &zero);
		if (zero) {
			s->pos += n;
			continue;
		}
		s->iov = (struct iovec){ s->buf + s->pos, n };
		s->req = (struct blk_req){
			.op = BLK_WRITE,
			.off = s->off + s->pos,
			.len = n,
			.iov = &s->iov,
			.nr_iov = 1,
			.done = piece_done,
			.ctx = s,
		};
		blk_submit(s->im->dst, &s->req);
		return;
	}
	slot_end(s, rc);
}

static void start_read(struct slot *s, uint64_t off)
{
	struct import *im = s->im;

	s->off = off;
	s->pos = 0;
	s->len = min_u64(PIECE, im->src->size - off);
	s->iov = (struct iovec){ s->buf, s->len };
	s->req = (struct blk_req){
		.op = BLK_READ, .off = off, .len = s->len, .iov = &s->iov, .nr_iov = 1,
		.done = piece_done, .ctx = s,
	};
	blk_submit(im->src, &s->req);
}

/* A free slot, or NULL when something failed.  Lock held. */
static struct slot *wait_slot(struct import *im)
{
	for (;;) {
		for (unsigned i = 0; i < SLOTS && im->rc == 0; i++)
			if (!im->slots[i].busy)
				return &im->slots[i];
		if (im->rc < 0)
			return NULL;
		pthread_cond_wait(&im->cond, &im->lock);
	}
}

static void wait_all(struct import *im)
{
	for (unsigned i = 0; i < SLOTS; i++)
		while (im->slots[i].busy)
			pthread_cond_wait(&im->cond, &im->lock);
}

static int copy(struct import *im, void (*progress)(void *, uint64_t, uint64_t), void *arg)
{
	uint64_t done = 0;

	pthread_mutex_lock(&im->lock);
	for (uint64_t off = 0; off < im->src->size; off += PIECE) {
		struct slot *s = wait_slot(im);

		if (s == NULL)
			break;
		s->busy = true;
		done = im->done;
		pthread_mutex_unlock(&im->lock);
		start_read(s, off);
		if (progress != NULL)
			progress(arg, done, im->src->size);
		pthread_mutex_lock(&im->lock);
	}
	wait_all(im);
	pthread_mutex_unlock(&im->lock);
	if (im->rc == 0 && progress != NULL)
		progress(arg, im->done, im->src->size);
	return im->rc;
}

/* What closing the target could not do. */
static void target_trouble(void *arg, int rc, const char *what)
{
	struct import *im = arg;

	(void)what;
	pthread_mutex_lock(&im->lock);
	if (im->rc == 0)
		im->rc = rc;
	pthread_mutex_unlock(&im->lock);
}

static int fill(struct import *im, void (*progress)(void *, uint64_t, uint64_t), void *arg)
{
	int rc = 0;

	im->dst->trouble = target_trouble;
	im->dst->trouble_arg = im;
	for (unsigned i = 0; i < SLOTS; i++) {
		im->slots[i].im = im;
		im->slots[i].buf = malloc(PIECE);
		if (im->slots[i].buf == NULL)
			rc = -ENOMEM;
	}
	if (rc == 0)
		rc = copy(im, progress, arg);
	if (rc == 0)
		rc = blk_rw_wait(im->dst, BLK_FLUSH, 0, NULL, 0);
	blk_close(im->dst);
	for (unsigned i = 0; i < SLOTS; i++)
		free(im->slots[i].buf);
	return rc == 0 ? im->rc : rc;
}

/* Opens F's file for I/O; F keeps its own descriptor to give it a name later. */
static int open_target(const struct fresh *f, const char *path, const struct import_to *to,
		       struct blk **ret_b, struct err *err)
{
	struct aio *a;
	int fd = dup(f->fd), rc;

	rc = fd < 0 ? -errno : aio_open(fd, false, &a);
	if (rc < 0)
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	rc = to->format(a, to->conf, err);
	if (rc < 0) {
		aio_close(a);
		return err_prefix(err, rc, path);
	}
	return to->open(a, path, ret_b, err);
}

static int check_conf(const char *path, const struct import_to *to, const struct blk *src,
		      struct err *err)
{
	if (to->size < src->size)
		return err_set(err, -EINVAL,
			       "%s: found a size of %llu, expected at least the %llu of the"
			       " source",
			       path, (unsigned long long)to->size, (unsigned long long)src->size);
	/* A partition table counts in sectors. */
	if (!src->optical && to->logical != src->logical)
		return err_set(err, -EINVAL,
			       "%s: found sectors of %u bytes, expected %u as in the source:"
			       " its partition table counts in them",
			       path, to->logical, src->logical);
	return 0;
}

int import_disk(const char *path, const struct import_to *to, struct blk *src,
		void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
		struct err *err)
{
	struct import *im;
	struct fresh f;
	int rc = check_conf(path, to, src, err);

	if (rc == 0)
		rc = fresh_open(&f, path, err);
	if (rc < 0)
		return rc;
	im = new0(struct import);
	if (im == NULL) {
		fresh_discard(&f);
		return err_set(err, -ENOMEM, "%s: no memory", path);
	}
	im->src = src;
	pthread_mutex_init(&im->lock, NULL);
	pthread_cond_init(&im->cond, NULL);
	rc = open_target(&f, path, to, &im->dst, err);
	if (rc == 0 && (rc = fill(im, progress, arg)) < 0)
		err_set(err, rc, "%s: cannot copy: %s", path, strerror(-rc));
	pthread_cond_destroy(&im->cond);
	pthread_mutex_destroy(&im->lock);
	free(im);
	if (rc == 0)
		return fresh_publish(&f, path, err);
	fresh_discard(&f);
	return rc;
}
