/*
 * aio_test.c - pieces of requests, and both backends on real files
 */
#include "base/test.h"
#include "disk/aio.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- aio_chunk, aio_advance: a host that transfers what it likes ---------------- */

/* Moves up to MOST bytes of the chunk between the iovecs and FLAT, as a short system call would. */
static int64_t short_call(struct aio_io *io, uint8_t *flat, size_t most)
{
	const struct iovec *iov;
	int n = aio_chunk(io, &iov);
	size_t moved = 0;

	CHECK(n >= 1 && n <= 1024);
	for (int i = 0; i < n && moved < most; i++) {
		size_t part = min_u64(iov[i].iov_len, most - moved);

		memcpy(flat + io->off + moved, iov[i].iov_base, part);
		moved += part;
	}
	return (int64_t)moved;
}

static void any_slice_survives_any_short_transfers(void **s)
{
	static uint8_t src[5000], flat[5000];
	struct iovec iov[9];
	size_t at = 0;
	int rc;

	(void)s;
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 31 + i / 256);
	for (int i = 0; i < 9; i++) {
		size_t n = i == 8 ? sizeof(src) - at : i == 3 ? 0 : (size_t)(100 + i * 97);

		iov[i] = (struct iovec){ src + at, n };
		at += n;
	}
	for (size_t skip = 0; skip < 1500; skip += 37) {
		for (size_t most = 1; most < 3000; most = most * 3 + 1) {
			size_t len = 2500;
			struct aio_io io = {
				.op = AIO_WRITE,
				.off = skip,
				.len = len,
				.iov = iov,
				.nr_iov = 9,
				.skip = skip,
			};
			unsigned calls = 0;

			memset(flat, 0, sizeof(flat));
			while (!aio_advance(&io, short_call(&io, flat, most), &rc))
				CHECK(++calls < 6000);
			CHECK_EQ(rc, 0);
			CHECK_MEM(flat + skip, src + skip, len);
			CHECK(skip + len == sizeof(flat) || flat[skip + len] == 0);
		}
	}
}

static void results_are_judged(void **s)
{
	uint8_t buf[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct iovec iov = { buf, sizeof(buf) };
	struct aio_io rd = { .op = AIO_READ, .len = 8, .iov = &iov, .nr_iov = 1 }, io = rd;
	int rc;

	(void)s;
	CHECK(!aio_advance(&io, -EINTR, &rc));
	CHECK(!aio_advance(&io, -EAGAIN, &rc));
	CHECK(aio_advance(&io, -ENOSPC, &rc));
	CHECK_EQ(rc, -ENOSPC);
	CHECK(!aio_advance(&io, 3, &rc));
	CHECK_EQ(io.off, 3);
	CHECK(aio_advance(&io, 0, &rc));
	CHECK_EQ(rc, -EIO);		/* the file ended */
	io.eof_zero = true;
	CHECK(aio_advance(&io, 0, &rc));
	CHECK_EQ(rc, 0);
	CHECK_EQ(buf[2], 3);
	CHECK_EQ(buf[3], 0);
	CHECK_EQ(buf[7], 0);
	io = (struct aio_io){ .op = AIO_SYNC };
	CHECK(aio_advance(&io, 0, &rc));
	CHECK_EQ(rc, 0);
}

/* ---- backends -------------------------------------------------------------------- */

typedef int open_fn(int fd, struct aio **ret_a);

static int temp_file(void)
{
	const char *dir = getenv("TMPDIR");
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%.100s/aio-XXXXXX", dir != NULL ? dir : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	CHECK(fd >= 0);
	unlink(path);
	return fd;
}

static void read_write_zero(struct aio *a)
{
	static uint8_t buf[300000], got[300000];
	static struct iovec iov[3000];
	struct aio_io io = {
		.op = AIO_WRITE, .off = 12345, .iov = iov, .nr_iov = 3000, .len = sizeof(buf)
	};
	uint64_t size;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 4096);
	for (size_t i = 0; i < 3000; i++)
		iov[i] = (struct iovec){ buf + i * 100, 100 };
	CHECK_EQ(aio_wait(a, &io), 0);
	CHECK_EQ(aio_read_wait(a, 12345, got, sizeof(got)), 0);
	CHECK_MEM(got, buf, sizeof(got));
	CHECK_EQ(aio_size(a, &size), 0);
	CHECK_EQ(size, 12345 + sizeof(buf));
	CHECK_EQ(aio_sync_wait(a), 0);
	CHECK_EQ(aio_read_wait(a, size - 10, got, 20), -EIO);
	CHECK_EQ(aio_zero_wait(a, 20000, 100000, false), 0);
	CHECK_EQ(aio_zero_wait(a, 150000, 1000, true), 0);
	CHECK_EQ(aio_read_wait(a, 12345, got, sizeof(got)), 0);
	memset(buf + 20000 - 12345, 0, 100000);
	memset(buf + 150000 - 12345, 0, 1000);
	CHECK_MEM(got, buf, sizeof(got));
	CHECK_EQ(aio_truncate(a, 20000), 0);
	CHECK_EQ(aio_size(a, &size), 0);
	CHECK_EQ(size, 20000);
}

#define MANY 2000

struct many {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct aio *a;
	unsigned left;
	int rc;
	struct one {
		struct many *m;
		struct aio_io io;
		struct iovec iov;
		uint64_t val;
		bool reading;
	} one[MANY];
};

/* What was written is read back, from within the callback. */
static void one_done(struct aio_io *io, int rc)
{
	struct one *o = io->ctx;
	struct many *m = o->m;

	if (rc == 0 && !o->reading) {
		o->reading = true;
		o->val = 0;
		o->io = (struct aio_io){
			.op = AIO_READ,
			.off = (uint64_t)(o - m->one) * 8,
			.len = 8,
			.iov = &o->iov,
			.nr_iov = 1,
			.done = one_done,
			.ctx = o,
		};
		aio_submit(m->a, &o->io);
		return;
	}
	pthread_mutex_lock(&m->lock);
	if (rc < 0 || o->val != (uint64_t)(o - m->one) + 1)
		m->rc = -1;
	if (--m->left == 0)
		pthread_cond_signal(&m->cond);
	pthread_mutex_unlock(&m->lock);
}

static void *submitter(void *arg)
{
	struct many *m = ((struct one *)arg)->m;
	size_t first = (size_t)((struct one *)arg - m->one);

	for (size_t i = first; i < MANY; i += 4) {
		struct one *o = &m->one[i];

		*o = (struct one){ .m = m, .val = i + 1 };
		o->iov = (struct iovec){ &o->val, 8 };
		o->io = (struct aio_io){
			.op = AIO_WRITE, .off = i * 8, .len = 8, .iov = &o->iov, .nr_iov = 1,
			.done = one_done, .ctx = o,
		};
		aio_submit(m->a, &o->io);
	}
	return NULL;
}

/* More than the ring holds, from four threads and from callbacks. */
static void many_at_once(struct aio *a)
{
	struct many *m = new0(struct many);
	pthread_t t[4];

	CHECK(m != NULL);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->cond, NULL);
	m->a = a;
	m->left = MANY;
	for (unsigned i = 0; i < 4; i++) {
		m->one[i].m = m;
		CHECK_EQ(pthread_create(&t[i], NULL, submitter, &m->one[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pthread_mutex_lock(&m->lock);
	while (m->left > 0)
		pthread_cond_wait(&m->cond, &m->lock);
	pthread_mutex_unlock(&m->lock);
	CHECK_EQ(m->rc, 0);
	pthread_cond_destroy(&m->cond);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static void full_disk(open_fn *open_aio)
{
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct aio *a;

	CHECK(fd >= 0);
	CHECK_EQ(open_aio(fd, &a), 0);
	CHECK_EQ(aio_write_wait(a, 0, "x", 1), -ENOSPC);
	aio_close(a);
}

static void backend(open_fn *open_aio)
{
	struct aio *a;

	CHECK_EQ(open_aio(temp_file(), &a), 0);
	read_write_zero(a);
	many_at_once(a);
	aio_close(a);
	full_disk(open_aio);
}

static void the_pool_works(void **s)
{
	(void)s;
	backend(aio_pool_open);
}

static void io_uring_works(void **s)
{
	struct aio *a;
	int rc = aio_uring_open(temp_file(), &a);

	(void)s;
	if (rc < 0) {
		print_message("skipped: the host denies io_uring: %s\n", strerror(-rc));
		skip();
	}
	aio_close(a);
	backend(aio_uring_open);
}

static void opening_takes_what_the_host_has(void **s)
{
	struct aio *a;

	(void)s;
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(aio_open(temp_file(), i == 1, &a), 0);
		CHECK_EQ(aio_write_wait(a, 0, "abc", 3), 0);
		aio_close(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_slice_survives_any_short_transfers),
		cmocka_unit_test(results_are_judged),
		cmocka_unit_test(the_pool_works),
		cmocka_unit_test(io_uring_works),
		cmocka_unit_test(opening_takes_what_the_host_has),
	};

	return cmocka_run_group_tests_name("aio", tests, NULL, NULL);
}
