/*
 * vnc_test.c - the server's sockets
 */
#include "base/test.h"
#include "view/vnc.c"

#include <signal.h>

struct bench {
	struct disp *disp;
	struct input *input;
	struct vnc *vnc;
	char path[64], file[64];
};

static void bench_open(struct bench *b)
{
	snprintf(b->path, sizeof(b->path), "unix:/tmp/vnc_test.%d", getpid());
	snprintf(b->file, sizeof(b->file), "/tmp/vnc_test.%d.pw", getpid());
	BUG_IF(disp_new(&b->disp) < 0 || input_new(&b->input) < 0);
}

static void bench_close(struct bench *b)
{
	vnc_free(b->vnc);
	b->vnc = NULL;
	disp_free(b->disp);
	input_free(b->input);
	unlink(b->file);
}

static int serve_at(struct bench *b, const char *where, const char *password_file, struct err *err)
{
	const struct vnc_conf c = { where, password_file, "test", b->disp, b->input };

	return vnc_new(&c, &b->vnc, err);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	BUG_IF(f == NULL);
	fputs(text, f);
	fclose(f);
}

static void read_n(int fd, void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n > 0) {
		ssize_t got = read(fd, p, n);

		CHECK(got > 0);
		p += got;
		n -= (size_t)got;
	}
}

static int enter(const char *where)
{
	int fd = sock_connect(where, NULL);
	uint8_t buf[64];

	CHECK(fd >= 0);
	read_n(fd, buf, 12);
	CHECK_EQ(write(fd, "RFB 003.008\n", 12), 12);
	read_n(fd, buf, 2);
	CHECK_EQ(write(fd, "\1\1", 2), 2);
	read_n(fd, buf, 4 + 24 + 4);
	return fd;
}

static void viewers_come_and_go(void **state)
{
	struct bench b = { .vnc = NULL };
	int fd[MAX_VIEWERS], more;
	uint8_t buf[16];

	(void)state;
	bench_open(&b);
	CHECK_EQ(serve_at(&b, b.path, NULL, NULL), 0);
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		fd[i] = enter(b.path);
	more = sock_connect(b.path, NULL);
	CHECK(more >= 0);
	CHECK_EQ(read(more, buf, 1), 0);	/* refused */
	close(more);
	/* each gets its picture, 640x480 raw */
	for (unsigned i = 0; i < MAX_VIEWERS; i++) {
		static uint8_t picture[16 + 640 * 480 * 4];

		CHECK_EQ(write(fd[i], "\3\0\0\0\0\0\2\x80\1\xe0", 10), 10);
		read_n(fd[i], picture, sizeof(picture));
		CHECK_MEM(picture, "\0\0\0\1\0\0\0\0\2\x80\1\xe0\0\0\0\0", 16);
	}
	close(fd[3]);
	fd[3] = enter(b.path);
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		close(fd[i]);
	bench_close(&b);
}

/* A viewer that never reads holds up neither the others nor the end. */
static void one_that_does_not_read(void **state)
{
	struct bench b = { .vnc = NULL };
	static uint8_t picture[16 + 640 * 480 * 4];
	int deaf, fd;

	(void)state;
	bench_open(&b);
	CHECK_EQ(serve_at(&b, b.path, NULL, NULL), 0);
	deaf = enter(b.path);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(write(deaf, "\3\0\0\0\0\0\2\x80\1\xe0", 10), 10);
	fd = enter(b.path);
	CHECK_EQ(write(fd, "\3\0\0\0\0\0\2\x80\1\xe0", 10), 10);
	read_n(fd, picture, sizeof(picture));
	bench_close(&b);
	close(fd);
	close(deaf);
}

static void who_is_late(void **state)
{
	struct viewer w = { .fd = 0, .since_ns = 1000 };
	struct rfb_conf conf = { .name = "" };

	(void)state;
	rfb_open(&w.s, &conf);
	CHECK(!viewer_late(&w, 1000 + PATIENCE_NS));
	CHECK(viewer_late(&w, 1001 + PATIENCE_NS));	/* still at the door */
	w.s.state = RFB_RUN;
	CHECK(viewer_late(&w, 1001 + PATIENCE_NS));	/* something waits for it */
	rfb_sent(&w.s, 12);
	CHECK(!viewer_late(&w, 1001 + PATIENCE_NS));
	rfb_close(&w.s);
}

static void where_no_password_is_needed(void **state)
{
	struct bench b = { .vnc = NULL };
	struct err err;

	(void)state;
	bench_open(&b);
	CHECK_EQ(serve_at(&b, "0.0.0.0:0", NULL, &err), -EPERM);
	CHECK(strstr(err.msg, "--vnc-password") != NULL);
	CHECK_EQ(serve_at(&b, "127.0.0.1:0", NULL, &err), 0);
	CHECK(strncmp(vnc_where(b.vnc), "127.0.0.1:", 10) == 0);
	vnc_free(b.vnc);
	write_file(b.file, "hush\nhush\n");
	CHECK_EQ(serve_at(&b, "0.0.0.0:0", b.file, &err), 0);
	CHECK_STR(b.vnc->password, "hush");
	vnc_free(b.vnc);
	b.vnc = NULL;
	write_file(b.file, "\n");
	CHECK_EQ(serve_at(&b, "127.0.0.1:0", b.file, &err), -EINVAL);
	CHECK_EQ(serve_at(&b, "127.0.0.1:0", "/nonexistent", &err), -ENOENT);
	CHECK_EQ(serve_at(&b, "nowhere", NULL, &err), -EINVAL);
	CHECK_EQ(serve_at(&b, "unix:", NULL, &err), -EINVAL);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(viewers_come_and_go),
		cmocka_unit_test(one_that_does_not_read),
		cmocka_unit_test(who_is_late),
		cmocka_unit_test(where_no_password_is_needed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
