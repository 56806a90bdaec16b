/*
 * powercut_test.c - the power goes, at every moment of a busy session
 *
 * A mixed workload (writes of many sizes into few blocks, trims and reuse,
 * zeroes, flushes, forced writes, up to eight requests at once) runs on a
 * disk that remembers every write and sync.  Then, for many moments, the file
 * is rebuilt as a cut could have left it: all that was synced, and of the
 * rest nothing, everything, a torn prefix, or any subset torn by sector.
 * Whatever a flush had answered for must be there, and no sector may hold
 * anything the guest did not put there; a child's sectors that nobody wrote
 * must be its parent's.
 *
 * powercut_test [CUTS [SEED]]: `make test` runs a slice, 2000 or more for each
 * format is the whole.
 */
#include "base/test.h"
#include "disk/fake.h"
#include "disk/vhd.h"
#include "disk/vhdx.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define BLOCK MIB
/* Of each block the first and the last 128 KiB are used and checked. */
#define EDGE 256u
#define TRACKED (2 * EDGE)
#define CELL_SECTORS 64u
#define NR_OPS 1400u
#define DEPTH 8
#define MAX_VALS 16
#define OF_PARENT NR_OPS		/* as if a write after the last one */

/* Spread over three pages of the BAT, some side by side. */
static const uint32_t blocks[] = {
	0, 1, 2, 3, 100, 511, 512, 513, 700, 701, 1022, 1023, 1024, 1400, 1401, 1402,
};
#define NR_BLOCKS ARRAY_LEN(blocks)
#define NR_SECTORS (NR_BLOCKS * TRACKED)

enum { MARK_SUBMIT = 1, MARK_DONE = 2 };

struct op {
	enum blk_op op;
	bool fua, whole;		/* WHOLE: one block, all of it */
	uint64_t first, nr;		/* tracked sectors */
};

/* One format: how its images are made and opened. */
struct flavour {
	const char *name;
	void (*format)(struct aio *a);
	int (*open)(struct aio *a, unsigned flags, struct blk **ret_b, struct err *err);
	uint64_t tables;		/* writes below are of metadata */
	bool has_parent;
};

struct world {
	const struct flavour *fl;
	struct fake *disk;
	struct blk *b;
	uint64_t rng;
	struct op ops[NR_OPS];
	uint16_t busy[NR_SECTORS / CELL_SECTORS];
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned in_flight;
	int rc;
};

struct pending {
	struct world *w;
	uint32_t id;
	uint8_t *buf;
	struct iovec iov;
	struct blk_req req;
};

static uint64_t rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static uint64_t disk_off(uint64_t tracked)
{
	uint64_t in = tracked % TRACKED;

	if (in >= EDGE)
		in += BLOCK / SECTOR - TRACKED;
	return blocks[tracked / TRACKED] * BLOCK + in * SECTOR;
}

/* ---- the workload ------------------------------------------------------------ */

static void fill(uint8_t *buf, uint32_t id, uint64_t first, uint64_t nr)
{
	for (uint64_t s = 0; s < nr; s++)
		for (unsigned i = 0; i < SECTOR; i += 8)
			st64(buf + s * SECTOR + i, (uint64_t)(id + 1) << 32 | (first + s));
}

static void set_busy(struct world *w, const struct op *o, int by)
{
	for (uint64_t c = o->first / CELL_SECTORS;
	     o->nr > 0 && c <= (o->first + o->nr - 1) / CELL_SECTORS; c++)
		w->busy[c] = (uint16_t)(w->busy[c] + by);
}

static bool is_busy(const struct world *w, const struct op *o)
{
	for (uint64_t c = o->first / CELL_SECTORS;
	     o->nr > 0 && c <= (o->first + o->nr - 1) / CELL_SECTORS; c++)
		if (w->busy[c] > 0)
			return true;
	return false;
}

static void op_done(struct blk_req *req, int rc)
{
	struct pending *p = req->ctx;
	struct world *w = p->w;

	fake_mark(w->disk, MARK_DONE, p->id);
	pthread_mutex_lock(&w->lock);
	set_busy(w, &w->ops[p->id], -1);
	if (rc < 0)
		w->rc = rc;
	w->in_flight--;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	free(p->buf);
	free(p);
}

static struct op choose(struct world *w)
{
	uint64_t dice = rnd(&w->rng) % 100, block = rnd(&w->rng) % NR_BLOCKS;
	struct op o = { .op = BLK_WRITE, .fua = dice < 4 };

	o.first = block * TRACKED + rnd(&w->rng) % TRACKED;
	o.nr = 1 + rnd(&w->rng) % (dice < 60 ? 16 : 300);
	if (dice >= 70 && dice < 80) {
		o = (struct op){ .op = BLK_FLUSH };
	} else if (dice >= 80 && dice < 96) {
		o.op = dice < 91 ? BLK_UNMAP : BLK_WRITE_ZEROES;
		o.first = block * TRACKED;
		o.nr = TRACKED;
		o.whole = true;
	} else if (dice >= 96) {
		o.op = dice < 98 ? BLK_UNMAP : BLK_WRITE_ZEROES;
	}
	/* Over the end of a block only where the next one follows on the disk. */
	while (!o.whole && o.nr > 1 &&
	       (o.first + o.nr > NR_SECTORS ||
		disk_off(o.first + o.nr - 1) != disk_off(o.first) + (o.nr - 1) * SECTOR))
		o.nr /= 2;
	return o;
}

static void submit(struct world *w, uint32_t id)
{
	const struct op *o = &w->ops[id];
	struct pending *p = new0(struct pending);

	CHECK(p != NULL);
	p->w = w;
	p->id = id;
	p->req = (struct blk_req){ .op = o->op, .fua = o->fua, .done = op_done, .ctx = p };
	if (o->op != BLK_FLUSH) {
		p->req.off = disk_off(o->first);
		p->req.len = o->whole ? BLOCK : o->nr * SECTOR;
	}
	if (o->op == BLK_WRITE) {
		p->buf = malloc(o->nr * SECTOR);
		CHECK(p->buf != NULL);
		fill(p->buf, id, o->first, o->nr);
		p->iov = (struct iovec){ p->buf, o->nr * SECTOR };
		p->req.iov = &p->iov;
		p->req.nr_iov = 1;
	}
	fake_mark(w->disk, MARK_SUBMIT, id);
	blk_submit(w->b, &p->req);
}

static void reopen(struct world *w)
{
	if (w->b != NULL)
		blk_close(w->b);
	CHECK_EQ(w->fl->open(fake_open(w->disk, true, rnd(&w->rng)), 0, &w->b, NULL), 0);
}

static void workload(struct world *w)
{
	for (uint32_t id = 0; id < NR_OPS; id++) {
		struct op o;

		if (id % 500 == 0)
			reopen(w);
		pthread_mutex_lock(&w->lock);
		while (w->in_flight >= DEPTH)
			pthread_cond_wait(&w->cond, &w->lock);
		do
			o = choose(w);
		while (is_busy(w, &o));
		w->ops[id] = o;
		set_busy(w, &o, 1);
		w->in_flight++;
		pthread_mutex_unlock(&w->lock);
		submit(w, id);
	}
	blk_close(w->b);
	w->b = NULL;
	CHECK_EQ(w->rc, 0);
}

/* ---- the judgement ------------------------------------------------------------ */

/* What a tracked sector may hold: 0 or the number of a write plus 1. */
struct allowed {
	uint32_t v[MAX_VALS];
	uint32_t nr;
};

static void allow(struct allowed *a, uint32_t val, bool only)
{
	if (only)
		a->nr = 0;
	for (uint32_t i = 0; i < a->nr; i++)
		if (a->v[i] == val)
			return;
	CHECK(a->nr < MAX_VALS);
	a->v[a->nr++] = val;
}

/* Where in the list of events each request was submitted and done. */
struct times {
	size_t submit[NR_OPS], done[NR_OPS];
};

static void read_marks(const struct event *ev, size_t nr, struct times *t)
{
	for (size_t i = 0; i < NR_OPS; i++)
		t->submit[i] = t->done[i] = SIZE_MAX;
	for (size_t i = 0; i < nr; i++)
		if (ev[i].kind == EV_MARK)
			(ev[i].off == MARK_SUBMIT ? t->submit : t->done)[ev[i].len] = i;
}

/*
 * A request is durable when it was done before the submission of a flush that
 * was answered before the cut.  Requests on one sector never overlap in time,
 * so their numbers are their order.
 */
static void judge(const struct world *w, const struct times *t, size_t cut, struct allowed *a)
{
	size_t floor = 0;

	for (uint32_t id = 0; id < NR_OPS; id++)
		if (w->ops[id].op == BLK_FLUSH && t->done[id] < cut && t->submit[id] > floor)
			floor = t->submit[id];
	for (size_t s = 0; s < NR_SECTORS; s++)
		a[s] = (struct allowed){ .v = { w->fl->has_parent ? OF_PARENT + 1 : 0 }, .nr = 1 };
	for (uint32_t id = 0; id < NR_OPS && t->submit[id] < cut; id++) {
		const struct op *o = &w->ops[id];
		bool durable = t->done[id] < floor || (o->fua && t->done[id] < cut);

		for (uint64_t s = o->first; s < o->first + o->nr && o->op != BLK_FLUSH; s++)
			allow(&a[s], o->op == BLK_WRITE ? id + 1 : 0,
			      durable && o->op != BLK_UNMAP);
	}
}

static uint32_t sector_val(const uint8_t *p, uint64_t s)
{
	uint64_t first = ld64(p);

	for (unsigned i = 8; i < SECTOR; i += 8)
		if (ld64(p + i) != first)
			return UINT32_MAX;
	if (first == 0)
		return 0;
	return (uint32_t)first == s ? (uint32_t)(first >> 32) : UINT32_MAX;
}

/* Every tracked sector, and a block nobody ever wrote. */
static bool check_content(struct blk *b, const struct allowed *a, uint8_t *buf)
{
	CHECK_EQ(blk_rw_wait(b, BLK_READ, 600 * BLOCK, buf, BLOCK), 0);
	for (uint64_t i = 0; i < BLOCK; i += AIO_ZEROS_LEN)
		CHECK_MEM(buf + i, aio_zeros, AIO_ZEROS_LEN);
	for (uint64_t s = 0; s < NR_SECTORS; s++) {
		uint64_t in = s % EDGE;
		bool ok = false;
		uint32_t val;

		if (in == 0)
			CHECK_EQ(blk_rw_wait(b, BLK_READ, disk_off(s), buf, EDGE * SECTOR), 0);
		val = sector_val(buf + in * SECTOR, s);
		for (uint32_t i = 0; i < a[s].nr; i++)
			ok |= a[s].v[i] == val;
		if (ok)
			continue;
		print_error("sector %llu of block %u holds %u, allowed:",
			    (unsigned long long)(s % TRACKED), blocks[s / TRACKED], val);
		for (uint32_t i = 0; i < a[s].nr; i++)
			print_error(" %u", a[s].v[i]);
		print_error("\n");
		return false;
	}
	return true;
}

static void open_or_die(const struct flavour *fl, struct fake *f, unsigned flags,
			struct blk **ret_b)
{
	struct err err = { .msg = "" };

	if (fl->open(fake_open(f, false, 0), flags, ret_b, &err) < 0)
		fail_msg("%s", err.msg);
}

/* New writes find room that belongs to nobody. */
static void write_on(struct blk *b, uint8_t *buf)
{
	static const uint32_t fresh[] = { 50, 51, 800, 1500 };

	memset(buf, 0xee, BLOCK);
	for (size_t i = 0; i < ARRAY_LEN(fresh); i++)
		CHECK_EQ(blk_rw_wait(b, BLK_WRITE, fresh[i] * BLOCK, buf, 64 * KIB), 0);
	CHECK_EQ(blk_rw_wait(b, BLK_FLUSH, 0, NULL, 0), 0);
}

/*
 * Read-only first: it must agree and write nothing.  Then a writable open,
 * cut itself in the middle of its recovery; then new writes on what it made.
 */
static bool check_cut(const struct flavour *fl, struct fake *f, const struct allowed *a,
		      uint8_t *buf, uint64_t seed)
{
	struct fake *before = fake_clone(f), *again;
	const struct event *ev;
	struct blk *b;
	bool ok;
	size_t nr, cut, durable;

	open_or_die(fl, f, DISK_READ_ONLY, &b);
	ok = check_content(b, a, buf);
	blk_close(b);
	CHECK(fake_same(f, before));

	fake_record(f, true);
	open_or_die(fl, f, 0, &b);
	write_on(b, buf);
	ok = ok && check_content(b, a, buf);
	blk_close(b);
	fake_record(f, false);

	ev = fake_events(f, &nr);
	cut = seed % (nr + 1);
	durable = fake_durable(ev, cut);
	fake_apply(before, ev, 0, durable);
	again = fake_cut(before, ev, durable, cut, (enum cut_mode)(seed / 7 % NR_CUT_MODES), seed);
	open_or_die(fl, again, 0, &b);
	ok = ok && check_content(b, a, buf);
	blk_close(b);
	fake_free(again);
	fake_free(before);
	return ok;
}

/* ---- the formats ---------------------------------------------------------------- */

static struct fake *parent;

static void vhdx_make(struct aio *a)
{
	const struct vhdx_create conf = { .size = 1536 * BLOCK, .block_size = (uint32_t)BLOCK };

	CHECK_EQ(vhdx_format(a, &conf, NULL), 0);
}

static int vhdx_take(struct aio *a, unsigned flags, struct blk **ret_b, struct err *err)
{
	return vhdx_open(a, "disk", flags, NULL, ret_b, err);
}

static void vhd_make(struct aio *a)
{
	const struct vhd_create conf = { .size = 1536 * BLOCK, .block_size = 512 * 1024 };

	CHECK_EQ(vhd_format(a, &conf, NULL), 0);
}

/* A file that grows and shrinks often. */
static int vhd_take_on(struct aio *a, unsigned flags, struct blk *on, struct blk **ret_b,
		       struct err *err)
{
	int rc = vhd_open_on(a, "disk", flags, on, ret_b, err);

	if (rc == 0)
		CONTAINER_OF(*ret_b, struct vhd, blk)->grow_step = BLOCK;
	return rc;
}

static int vhd_take(struct aio *a, unsigned flags, struct blk **ret_b, struct err *err)
{
	return vhd_take_on(a, flags, NULL, ret_b, err);
}

/* The parent's sectors say whose they are; made once. */
static void make_parent(void)
{
	struct aio *a;
	struct blk *b;
	uint8_t *buf = malloc(EDGE * SECTOR);

	CHECK(buf != NULL);
	parent = fake_new();
	a = fake_open(parent, false, 0);
	vhd_make(a);
	aio_close(a);
	CHECK_EQ(vhd_take(fake_open(parent, false, 0), 0, &b, NULL), 0);
	for (uint64_t s = 0; s < NR_SECTORS; s += EDGE) {
		fill(buf, OF_PARENT, s, EDGE);
		CHECK_EQ(blk_rw_wait(b, BLK_WRITE, disk_off(s), buf, EDGE * SECTOR), 0);
	}
	blk_close(b);
	free(buf);
}

static void child_make(struct aio *a)
{
	const struct vhd_create conf = { .kind = VHD_MAKE_DIFFERENCING, .block_size = 512 * 1024 };
	struct vhd_over over = { .size = 1536 * BLOCK, .absolute = "/p", .relative = "./p" };
	struct vhd_footer foot;

	if (parent == NULL)
		make_parent();
	fake_get(parent, 0, &foot, sizeof(foot));
	over.id = foot.id;
	CHECK_EQ(vhd_format_over(a, &conf, &over, NULL), 0);
}

static int child_take(struct aio *a, unsigned flags, struct blk **ret_b, struct err *err)
{
	struct blk *on;

	CHECK_EQ(vhd_take(fake_open(parent, false, 0), DISK_READ_ONLY, &on, NULL), 0);
	return vhd_take_on(a, flags, on, ret_b, err);
}

static struct fake *vhdx_parent;

static void make_vhdx_parent(void)
{
	struct blk *b;
	struct aio *a;
	uint8_t *buf = malloc(EDGE * SECTOR);

	CHECK(buf != NULL);
	vhdx_parent = fake_new();
	a = fake_open(vhdx_parent, false, 0);
	vhdx_make(a);
	aio_close(a);
	CHECK_EQ(vhdx_take(fake_open(vhdx_parent, false, 0), 0, &b, NULL), 0);
	for (uint64_t s = 0; s < NR_SECTORS; s += EDGE) {
		fill(buf, OF_PARENT, s, EDGE);
		CHECK_EQ(blk_rw_wait(b, BLK_WRITE, disk_off(s), buf, EDGE * SECTOR), 0);
	}
	blk_close(b);
	free(buf);
}

static void vhdx_child_make(struct aio *a)
{
	struct vhdx_create conf = { .size = 1536 * BLOCK, .block_size = (uint32_t)BLOCK };
	struct vhdx_over over = {
		.size = 1536 * BLOCK, .logical = SECTOR, .absolute = "/p", .relative = "./p",
	};
	struct blk *b;

	if (vhdx_parent == NULL)
		make_vhdx_parent();
	CHECK_EQ(vhdx_take(fake_open(vhdx_parent, false, 0), DISK_READ_ONLY, &b, NULL), 0);
	over.data_write = CONTAINER_OF(b, struct vhdx, blk)->hdr.data_write;
	blk_close(b);
	CHECK_EQ(vhdx_format_over(a, &conf, &over, NULL), 0);
}

static int vhdx_child_take(struct aio *a, unsigned flags, struct blk **ret_b, struct err *err)
{
	struct blk *on;

	CHECK_EQ(vhdx_take(fake_open(vhdx_parent, false, 0), DISK_READ_ONLY, &on, NULL), 0);
	return vhdx_open_on(a, "disk", flags, on, ret_b, err);
}

static const struct flavour vhdx_child_flavour = {
	"vhdx on a vhdx", vhdx_child_make, vhdx_child_take, 4 * MIB, true,
};
static const struct flavour vhdx_flavour = { "vhdx", vhdx_make, vhdx_take, 4 * MIB, false };
static const struct flavour vhd_flavour = { "vhd", vhd_make, vhd_take, 64 * KIB, false };
static const struct flavour child_flavour = { "vhd on a vhd", child_make, child_take, 128 * KIB,
					      true };

static unsigned nr_cuts = 160;
static uint64_t seed = 1;

static int by_size(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * The moments: half of them spread evenly, half where a write of a header, log,
 * table, bitmap or footer is on its way, because there the order matters most.
 */
static size_t *choose_cuts(const struct flavour *fl, const struct event *ev, size_t nr,
			   uint64_t *rng)
{
	size_t *hot = new_array(size_t, nr), *cuts = new_array(size_t, nr_cuts);
	size_t nr_hot = 0, durable = 0;

	CHECK(hot != NULL && cuts != NULL);
	for (size_t i = 0; i < nr; i++) {
		bool meta = false;

		if (ev[i].kind == EV_SYNC)
			durable = max_u64(durable, ev[i].covers);
		for (size_t k = durable; k < i && !meta; k++)
			meta = ev[k].kind == EV_TRUNCATE ||
			       (ev[k].kind == EV_WRITE &&
				(ev[k].off < fl->tables ||
				 (ev[k].len == SECTOR && ev[k].off % VHD_ALIGN == VHD_ALIGN - SECTOR)));
		if (meta)
			hot[nr_hot++] = i;
	}
	CHECK(nr_hot > 0);
	for (size_t i = 0; i < nr_cuts; i++)
		cuts[i] = i % 2 == 0 ? nr * (i + 1) / nr_cuts : hot[rnd(rng) % nr_hot];
	qsort(cuts, nr_cuts, sizeof(*cuts), by_size);
	free(hot);
	return cuts;
}

static void everything_flushed_survives(const struct flavour *fl)
{
	struct world *w = new0(struct world);
	struct allowed *a = new_array(struct allowed, NR_SECTORS);
	struct times *t = new0(struct times);
	uint8_t *buf = malloc(BLOCK);
	const struct event *ev;
	size_t nr, applied = 0, *cuts;
	struct fake *base;
	struct aio *aio;
	uint64_t rng;

	CHECK(w != NULL && a != NULL && t != NULL && buf != NULL);
	w->fl = fl;
	w->disk = fake_new();
	w->rng = seed;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	aio = fake_open(w->disk, false, 0);
	fl->format(aio);
	aio_close(aio);
	base = fake_clone(w->disk);
	fake_record(w->disk, true);
	workload(w);
	ev = fake_events(w->disk, &nr);
	read_marks(ev, nr, t);
	print_message("%s, seed %llu: %zu events, %u cuts\n", fl->name, (unsigned long long)seed, nr,
		      nr_cuts);
	rng = seed * 77 + 5;
	cuts = choose_cuts(fl, ev, nr, &rng);
	for (unsigned i = 0; i < nr_cuts; i++) {
		size_t cut = cuts[i], durable = fake_durable(ev, cut);
		uint64_t r = rnd(&rng);
		enum cut_mode mode =
			r % 2 == 0 ? CUT_SUBSET : (enum cut_mode)(r / 2 % NR_CUT_MODES);
		struct fake *f;

		fake_apply(base, ev, applied, durable);
		applied = durable;
		f = fake_cut(base, ev, durable, cut, mode, r);
		judge(w, t, cut, a);
		if (!check_cut(fl, f, a, buf, r))
			fail_msg("after event %zu of %zu, mode %d, seed %llu", cut, nr, mode,
				 (unsigned long long)seed);
		fake_free(f);
	}
	fake_free(base);
	fake_free(w->disk);
	free(cuts);
	free(buf);
	free(t);
	free(a);
	free(w);
}

static void vhdx_survives(void **s)
{
	(void)s;
	everything_flushed_survives(&vhdx_flavour);
}

static void vhd_survives(void **s)
{
	(void)s;
	everything_flushed_survives(&vhd_flavour);
}

static void child_vhd_survives(void **s)
{
	(void)s;
	everything_flushed_survives(&child_flavour);
	fake_free(parent);
}

static void child_vhdx_survives(void **s)
{
	(void)s;
	everything_flushed_survives(&vhdx_child_flavour);
	fake_free(vhdx_parent);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vhdx_survives),
		cmocka_unit_test(vhd_survives),
		cmocka_unit_test(child_vhd_survives),
		cmocka_unit_test(child_vhdx_survives),
	};

	/* Thousands of small files in memory: do not give pages back between them. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	if (argc > 1)
		nr_cuts = (unsigned)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests_name("powercut", tests, NULL, NULL);
}
