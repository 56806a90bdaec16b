/*
 * fake.h - a disk for tests that remembers everything and fails on demand
 *
 * An aio backend over memory.  Every write, hole, truncation and sync is an
 * event in one list, so that a test can rebuild the file as a power cut at
 * any moment may have left it.  Threaded, it takes requests out of their
 * queue in random order, as a disk does.
 */
#ifndef DISK_FAKE_H
#define DISK_FAKE_H

#include "disk/aio.h"

enum event_kind {
	EV_WRITE,
	EV_ZERO,
	EV_TRUNCATE,
	EV_SYNC,		/* everything before COVERS is durable from here on */
	EV_MARK,		/* the test's own, see fake_mark */
};

struct event {
	enum event_kind kind;
	uint64_t off, len;	/* MARK: what the test said */
	uint8_t *data;
	size_t covers;
};

enum cut_mode {
	CUT_NONE,		/* nothing that was not synced */
	CUT_ALL,		/* all of it: kill -9 */
	CUT_PREFIX,		/* in order up to somewhere, the last one torn */
	CUT_SUBSET,		/* any of it, some of them torn by sector */
	NR_CUT_MODES,
};

struct fake;

struct fake *fake_new(void);			/* an empty file; never NULL in tests that go on */
void fake_free(struct fake *f);
/* The file's content; events and faults start afresh. */
struct fake *fake_clone(struct fake *f);
/* How many of the first NR events are durable for certain. */
size_t fake_durable(const struct event *ev, size_t nr);
void fake_apply(struct fake *f, const struct event *ev, size_t from, size_t to);
/*
 * The file as a cut after TO events may have left it.  BASE holds the durable
 * ones, which are the first FROM.
 */
struct fake *fake_cut(struct fake *base, const struct event *ev, size_t from, size_t to,
		      enum cut_mode mode, uint64_t seed);

/* Closing the aio leaves the file.  Not THREADED: done is called from within submit. */
struct aio *fake_open(struct fake *f, bool threaded, uint64_t seed);

uint64_t fake_size(const struct fake *f);
void fake_resize(struct fake *f, uint64_t size);
void fake_get(const struct fake *f, uint64_t off, void *buf, size_t len);
void fake_put(struct fake *f, uint64_t off, const void *buf, size_t len);
bool fake_same(const struct fake *a, const struct fake *b);

#define FAKE_TRUNCATE 31u		/* stands in OPS for truncation */
/* Of the operations in OPS (1 << aio_op) the NTH from now and COUNT - 1 after it fail. */
void fake_fail(struct fake *f, unsigned ops, uint64_t nth, uint64_t count, int rc);
uint64_t fake_failed(struct fake *f);		/* how many did */

void fake_record(struct fake *f, bool on);
void fake_mark(struct fake *f, uint64_t a, uint64_t b);
/* No more I/O may be going on. */
const struct event *fake_events(const struct fake *f, size_t *ret_nr);
uint64_t fake_nr_syncs(struct fake *f);

#endif
