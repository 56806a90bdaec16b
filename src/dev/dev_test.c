#include "base/test.h"

#include "dev/blk.h"
#include "dev/dev.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A window that writes down what reaches it; a read gives offset bytes. */
struct echo {
	char text[256];
	size_t n;
};

static uint64_t echo_read(void *self, uint32_t off, unsigned width)
{
	struct echo *e = self;
	uint64_t val = 0;

	e->n += (size_t)snprintf(e->text + e->n, sizeof(e->text) - e->n, "r%x.%u ", off, width);
	for (unsigned i = 0; i < 8; i++)	/* more than asked: the bus must cut */
		val |= (uint64_t)(off + i) << i * 8;
	return val;
}

static void echo_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct echo *e = self;

	e->n += (size_t)snprintf(e->text + e->n, sizeof(e->text) - e->n, "w%x.%u=%llx ",
				 off, width, (unsigned long long)val);
}

static const struct io_ops bytes_io = { IO_W1, echo_read, echo_write };
static const struct io_ops dwords_io = { IO_W4, echo_read, echo_write };
static const struct io_ops all_io = { IO_W1 | IO_W2 | IO_W4 | IO_W8, echo_read, echo_write };

struct fixture {
	pthread_mutex_t lock;
	struct bus *b;
	struct echo e;
};

static void setup(struct fixture *f)
{
	pthread_mutex_init(&f->lock, NULL);
	CHECK_EQ(bus_new("test", &f->lock, &f->b), 0);
	f->e = (struct echo){ 0 };
	CHECK_EQ(bus_add(f->b, "dwords", 0x200, 0x10, &dwords_io, &f->e, NULL), 0);
	CHECK_EQ(bus_add(f->b, "bytes", 0x100, 0x8, &bytes_io, &f->e, NULL), 0);
	CHECK_EQ(bus_add(f->b, "all", 0x108, 0x8, &all_io, &f->e, NULL), 0);
	CHECK_EQ(bus_add(f->b, "last", UINT64_MAX - 7, 8, &all_io, &f->e, NULL), 0);
}

static void teardown(struct fixture *f)
{
	bus_free(f->b);
	pthread_mutex_destroy(&f->lock);
}

static void expect(struct fixture *f, const char *text)
{
	CHECK_STR(f->e.text, text);
	f->e = (struct echo){ 0 };
}

static void accesses_are_split_extracted_and_dropped(void **s)
{
	struct fixture f;

	(void)s;
	setup(&f);
	CHECK_EQ(bus_read(f.b, 0x100, 1), 0x00);
	CHECK_EQ(bus_read(f.b, 0x102, 4), 0x05040302);
	expect(&f, "r0.1 r2.1 r3.1 r4.1 r5.1 ");
	CHECK_EQ(bus_read(f.b, 0x108, 8), UINT64_C(0x0706050403020100));
	expect(&f, "r0.8 ");
	/* Over the seam of two windows, and over the end of the last. */
	CHECK_EQ(bus_read(f.b, 0x106, 4), 0x01000706);
	expect(&f, "r6.1 r7.1 r0.2 ");
	CHECK_EQ(bus_read(f.b, 0x10e, 4), 0xffff0706);
	CHECK_EQ(bus_read(f.b, 0xfe, 4), 0x0100ffff);
	expect(&f, "r6.2 r0.1 r1.1 ");
	/* Too narrow: extracted from the register that holds it. */
	CHECK_EQ(bus_read(f.b, 0x205, 1), 0x05);
	CHECK_EQ(bus_read(f.b, 0x206, 2), 0x0706);
	CHECK_EQ(bus_read(f.b, 0x203, 2), 0x0403);
	CHECK_EQ(bus_read(f.b, 0x208, 8), UINT64_C(0x0f0e0d0c0b0a0908));
	expect(&f, "r4.4 r4.4 r0.4 r4.4 r8.4 rc.4 ");
	bus_write(f.b, 0x106, 4, 0x44332211);
	expect(&f, "w6.1=11 w7.1=22 w0.2=4433 ");
	bus_write(f.b, 0x108, 1, 0xfff);
	expect(&f, "w0.1=ff ");
	CHECK_EQ(bus_dropped(f.b), 0);
	bus_write(f.b, 0x204, 2, 0x1234);
	expect(&f, "");
	CHECK_EQ(bus_dropped(f.b), 1);
	bus_write(f.b, 0x208, 8, UINT64_C(0x1122334455667788));
	expect(&f, "w8.4=55667788 wc.4=11223344 ");
	teardown(&f);
}

static void nobody_answers_with_ones(void **s)
{
	struct fixture f;

	(void)s;
	setup(&f);
	CHECK_EQ(bus_read(f.b, 0, 1), 0xff);
	CHECK_EQ(bus_read(f.b, 0x210, 8), UINT64_MAX);
	bus_write(f.b, 0x210, 8, 1);
	CHECK_EQ(bus_read(f.b, UINT64_MAX - 7, 8), UINT64_C(0x0706050403020100));
	CHECK_EQ(bus_read(f.b, UINT64_MAX, 2), 0xff07);	/* wraps to address 0 */
	expect(&f, "r0.8 r7.1 ");
	CHECK(bus_claims(f.b, 0x107));
	CHECK(bus_claims(f.b, UINT64_MAX));
	CHECK(!bus_claims(f.b, 0x110));
	CHECK(!bus_claims(f.b, 0));
	teardown(&f);
}

static void overlaps_are_refused_with_both_names(void **s)
{
	static const struct {
		uint64_t base, len;
	} bad[] = { { 0x107, 1 }, { 0xff, 2 }, { 0x0, 0x1000 }, { 0x20f, 4 }, { 0x100, 8 } };
	struct fixture f;
	struct err err;

	(void)s;
	setup(&f);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_EQ(bus_add(f.b, "new", bad[i].base, bad[i].len, &all_io, &f.e, &err), -EBUSY);
		CHECK(strstr(err.msg, "new") != NULL);
		CHECK(strstr(err.msg, i == 3 ? "dwords" : "bytes") != NULL);
	}
	CHECK_EQ(bus_add(f.b, "new", 0x300, 0, &all_io, &f.e, &err), -EINVAL);
	CHECK_EQ(bus_add(f.b, "new", UINT64_MAX, 2, &all_io, &f.e, &err), -EINVAL);
	CHECK_EQ(bus_add(f.b, "new", 0x300, GIB * 8, &all_io, &f.e, &err), -EINVAL);
	CHECK_EQ(bus_add(f.b, "new", 0x110, 1, &all_io, &f.e, &err), 0);
	teardown(&f);
}

static void many_windows_are_all_found(void **s)
{
	struct fixture f;

	(void)s;
	setup(&f);
	for (unsigned i = 0; i < 100; i++)	/* in a scattered order */
		CHECK_EQ(bus_add(f.b, "w", 0x1000 + i * 37 % 100 * 0x10, 8, &all_io, &f.e, NULL), 0);
	for (unsigned i = 0; i < 100; i++) {
		CHECK(bus_claims(f.b, 0x1000 + i * 0x10 + 7));
		CHECK(!bus_claims(f.b, 0x1000 + i * 0x10 + 8));
	}
	teardown(&f);
}

/* Where two would be, the fixed one is, then the older one. */
static void windows_move_and_give_way(void **s)
{
	struct bus_window *w[3];
	struct fixture f;
	struct err err;

	(void)s;
	setup(&f);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(bus_window_new(f.b, "movable", 16, i == 1 ? &dwords_io : &all_io, &f.e,
					&w[i], NULL), 0);
	CHECK(!bus_claims(f.b, 0));
	pthread_mutex_lock(&f.lock);
	bus_window_move(w[0], 0x300, true);
	bus_window_move(w[1], 0x308, true);	/* loses to the older */
	bus_window_move(w[2], 0x1f8, true);	/* loses to the fixed one at 200 */
	pthread_mutex_unlock(&f.lock);
	CHECK(bus_claims(f.b, 0x30f));
	CHECK(!bus_claims(f.b, 0x310));
	CHECK(!bus_claims(f.b, 0x1f8));
	(void)bus_read(f.b, 0x308, 4);
	expect(&f, "r8.4 ");
	pthread_mutex_lock(&f.lock);
	bus_window_move(w[0], 0x300, false);	/* the place is free */
	pthread_mutex_unlock(&f.lock);
	(void)bus_read(f.b, 0x309, 1);
	expect(&f, "r0.4 ");
	CHECK(!bus_claims(f.b, 0x300));
	pthread_mutex_lock(&f.lock);
	bus_window_move(w[0], 0x310, true);	/* and taken back by the older */
	bus_window_move(w[2], UINT64_MAX - 14, true);	/* would wrap: nowhere */
	pthread_mutex_unlock(&f.lock);
	CHECK(!bus_claims(f.b, 0x308));
	CHECK(!bus_claims(f.b, UINT64_MAX - 8));
	/* A fixed window pushes it out; many more of them still find room. */
	CHECK_EQ(bus_add(f.b, "late", 0x318, 1, &all_io, &f.e, NULL), 0);
	CHECK(bus_claims(f.b, 0x308));
	CHECK(bus_claims(f.b, 0x318));
	CHECK(!bus_claims(f.b, 0x319));
	CHECK_EQ(bus_add(f.b, "again", 0x318, 1, &all_io, &f.e, &err), -EBUSY);
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(bus_add(f.b, "w", 0x1000 + i * 0x10, 8, &all_io, &f.e, NULL), 0);
	CHECK(bus_claims(f.b, 0x308));
	CHECK(bus_claims(f.b, 0x1000 + 39 * 0x10));
	CHECK_EQ(bus_window_new(f.b, "movable", 0, &all_io, &f.e, &w[0], &err), -EINVAL);
	teardown(&f);
}

struct thing {
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	bool e;
	uint8_t f[5];
	int not_saved;
};

static const struct state_field thing_state[] = {
	STATE(1, struct thing, a), STATE(2, struct thing, b), STATE(3, struct thing, c),
	STATE(5, struct thing, d), STATE(6, struct thing, e), STATE(7, struct thing, f),
	{ 0 },
};

static const struct thing sample = { 1, 2, 3, 4, true, { 5, 6, 7, 8, 9 }, 77 };

static void state_comes_back_and_nothing_else_changes(void **s)
{
	struct thing t = { .not_saved = 5 };
	uint8_t buf[128], again[128];
	size_t n;

	(void)s;
	n = state_save(thing_state, &sample, buf, sizeof(buf));
	CHECK_EQ(n, 6 * 8 + 1 + 2 + 4 + 8 + 1 + 5 + 2);
	CHECK_EQ(state_save(thing_state, &sample, NULL, 0), n);
	CHECK_EQ(state_load(thing_state, &t, buf, n, NULL), 0);
	CHECK_EQ(state_save(thing_state, &t, again, sizeof(again)), n);
	CHECK_MEM(buf, again, n);
	CHECK_EQ(t.d, 4);
	CHECK_EQ(t.e, true);
	CHECK_EQ(t.not_saved, 5);
	/* A field's header, as documented. */
	CHECK_EQ(ld16(buf), 1);
	CHECK_EQ(ld16(buf + 2), STATE_U8);
	CHECK_EQ(ld32(buf + 4), 1);
	CHECK_EQ(buf[8], 1);
	CHECK_EQ(state_save(NULL, NULL, buf, sizeof(buf)), 2);
	CHECK_EQ(state_load(NULL, NULL, buf, 2, NULL), 0);
}

static void truncated_state_is_refused_at_every_byte(void **s)
{
	uint8_t buf[128], *exact;
	size_t n = state_save(thing_state, &sample, buf, sizeof(buf));

	(void)s;
	for (size_t cut = 0; cut < n; cut++) {
		struct thing t = { 0 };

		exact = malloc(cut + !cut);	/* so that ASan sees one byte too far */
		CHECK(exact != NULL);
		memcpy(exact, buf, cut);
		CHECK_EQ(state_load(thing_state, &t, exact, cut, NULL), -EBADMSG);
		free(exact);
	}
}

static void a_stranger_s_state_is_checked(void **s)
{
	static const struct {
		unsigned at;
		uint8_t val;
	} bad[] = {
		{ 0, 99 },	/* unknown tag */
		{ 2, STATE_U16 },
		{ 4, 2 },	/* length */
		{ 7, 0xff },
		{ 9, 1 },	/* second field is a double of the first, wrong type too */
	};
	struct thing t;
	uint8_t buf[128];
	struct err err;
	size_t n = state_save(thing_state, &sample, buf, sizeof(buf));

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t keep = buf[bad[i].at];

		buf[bad[i].at] = bad[i].val;
		CHECK_EQ(state_load(thing_state, &t, buf, n, &err), -EBADMSG);
		buf[bad[i].at] = keep;
	}
	CHECK_EQ(state_load(thing_state, &t, buf, n + 1, &err), -EBADMSG);
	/* The same field twice. */
	memmove(buf + 9, buf, n);
	CHECK_EQ(state_load(thing_state, &t, buf, n + 9, &err), -EBADMSG);
	CHECK(strstr(err.msg, "twice") != NULL);
	/* A missing field keeps its value. */
	n = state_save(thing_state, &sample, buf, sizeof(buf));
	t = (struct thing){ .a = 42 };
	CHECK_EQ(state_load(thing_state, &t, buf + 9, n - 9, &err), 0);
	CHECK_EQ(t.a, 42);
	CHECK_EQ(t.b, 2);
	/* A boolean that is neither. */
	for (size_t i = 0; i + 9 <= n; i++)
		if (ld16(buf + i) == 6 && ld16(buf + i + 2) == STATE_BOOL)
			buf[i + 8] = 2;
	CHECK_EQ(state_load(thing_state, &t, buf, n, &err), -EBADMSG);
}

static int calls;
static int dev_init_ok(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	(void)env, (void)err;
	*(int *)self = *(const int *)conf;
	return 0;
}

static int dev_init_bad(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	(void)self, (void)env, (void)conf;
	return err_set(err, -ENODEV, "no such thing");
}

static void dev_reset(void *self)
{
	calls = calls * 10 + *(int *)self;
}

static void dev_fini(void *self)
{
	(void)self;
	calls = calls * 10 + 9;
}

static void devices_are_inited_reset_and_freed(void **s)
{
	static const struct dev_ops ok = { .name = "ok", .size = 8, .init = dev_init_ok,
					   .reset = dev_reset, .fini = dev_fini };
	static const struct dev_ops bad = { .name = "bad", .size = 8, .init = dev_init_bad,
					    .reset = dev_reset, .fini = dev_fini };
	static const struct dev_ops bare = { .name = "bare", .size = 8 };
	struct dev_env env = { .name = "com1" };
	struct err err;
	void *self = NULL;

	(void)s;
	CHECK_EQ(dev_new(&bad, &env, NULL, &self, &err), -ENODEV);
	CHECK_STR(err.msg, "com1: no such thing");
	base_fail_alloc(1);
	CHECK_EQ(dev_new(&ok, &env, &(int){ 4 }, &self, &err), -ENOMEM);
	CHECK(self == NULL);
	CHECK_EQ(calls, 0);
	CHECK_EQ(dev_new(&ok, &env, &(int){ 4 }, &self, &err), 0);
	dev_free(&ok, self);
	CHECK_EQ(calls, 49);
	CHECK_EQ(dev_new(&bare, &env, NULL, &self, &err), 0);
	dev_free(&bare, self);
	dev_free(&ok, NULL);
	CHECK_EQ(calls, 49);
}

static void *complete_later(void *arg)
{
	struct blk_req *req = arg;

	usleep(2000);
	req->done(req, req->op == BLK_FLUSH ? -EIO : 0);
	return NULL;
}

static struct blk_req last_req;
static void fake_submit(struct blk *b, struct blk_req *req)
{
	pthread_t t;

	(void)b;
	last_req = *req;
	if (req->op == BLK_WRITE) {	/* at once, on the submitter's thread */
		req->done(req, -EROFS);
		return;
	}
	CHECK_EQ(pthread_create(&t, NULL, complete_later, req), 0);
	pthread_detach(t);
}

static void a_request_is_waited_for(void **s)
{
	static const struct blk_ops ops = { .submit = fake_submit };
	struct blk b = { .ops = &ops };
	uint8_t buf[512];

	(void)s;
	CHECK_EQ(blk_rw_wait(&b, BLK_READ, 1024, buf, 512), 0);
	CHECK_EQ(last_req.off, 1024);
	CHECK_EQ(last_req.len, 512);
	CHECK_EQ(last_req.nr_iov, 1);
	CHECK_EQ(blk_rw_wait(&b, BLK_WRITE, 0, buf, 512), -EROFS);
	CHECK_EQ(blk_rw_wait(&b, BLK_FLUSH, 0, NULL, 0), -EIO);
	CHECK_EQ(last_req.nr_iov, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accesses_are_split_extracted_and_dropped),
		cmocka_unit_test(nobody_answers_with_ones),
		cmocka_unit_test(overlaps_are_refused_with_both_names),
		cmocka_unit_test(many_windows_are_all_found),
		cmocka_unit_test(windows_move_and_give_way),
		cmocka_unit_test(state_comes_back_and_nothing_else_changes),
		cmocka_unit_test(truncated_state_is_refused_at_every_byte),
		cmocka_unit_test(a_stranger_s_state_is_checked),
		cmocka_unit_test(devices_are_inited_reset_and_freed),
		cmocka_unit_test(a_request_is_waited_for),
	};

	return cmocka_run_group_tests_name("dev", tests, NULL, NULL);
}
