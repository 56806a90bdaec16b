/*
 * control_test.c - a peer of the control socket
 */
#include "base/test.h"
#include "ctl/control.c"

#include "ctl/vm_fake.h"
#include "dev/disp.h"
#include "dev/input.h"

struct bench {
	struct disp *disp;
	struct input *input;
	struct control *c;
	char where[64];
	unsigned keys;
};

static void on_key(void *self, unsigned key, bool down)
{
	(void)key, (void)down;
	((struct bench *)self)->keys++;
}

static struct input_sink sink = { .key = on_key };

static void bench_open(struct bench *b, bool with)
{
	struct control_conf conf = { .where = b->where };

	*b = (struct bench){ .keys = 0 };
	snprintf(b->where, sizeof(b->where), "unix:/tmp/control_test.%d", getpid());
	if (with) {
		BUG_IF(disp_new(&b->disp) < 0 || input_new(&b->input) < 0);
		sink.dev = b;
		BUG_IF(input_attach(b->input, &sink) < 0);
		conf.disp = b->disp;
		conf.input = b->input;
		conf.vm = (struct vm *)(void *)b;
	}
	CHECK_EQ(control_new(&conf, &b->c, NULL), 0);
}

static void bench_close(struct bench *b)
{
	control_free(b->c);
	disp_free(b->disp);
	input_free(b->input);
	CHECK_EQ(access(b->where + 5, F_OK), -1);
}

/* Sends TEXT, reads a line; the descriptor that came with it, or -1. */
static int ask(int fd, const char *text, char *ret_line, size_t max)
{
	char space[CMSG_SPACE(sizeof(int))];
	size_t n = 0;
	int got = -1;

	if (text[0] != '\0')		/* else it was sent already */
		CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	while (n == 0 || ret_line[n - 1] != '\n') {
		struct iovec iov = { ret_line + n, 1 };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
				    .msg_controllen = sizeof(space) };

		CHECK(n + 1 < max);
		CHECK_EQ(recvmsg(fd, &m, 0), 1);
		if (CMSG_FIRSTHDR(&m) != NULL)
			memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
		n++;
	}
	ret_line[n] = '\0';
	return got;
}

static void questions_and_answers(void **state)
{
	static const struct { const char *text, *part; } row[] = {
		{ "{\"do\":\"info\"}\n", "\"width\":640" },
		{ "{\"do\":\"info\"}\n", "\"keyboard\":true" },
		{ "nonsense\n", "\"error\":\"no JSON" },
		{ "\n", "no JSON" },
		{ "[1]\n", "expected an object with a string" },
		{ "{\"do\":7}\n", "expected an object with a string" },
		{ "{\"do\":\"fly\"}\n", "\\\"fly\\\": expected info" },
		{ "{\"do\":\"type\"}\n", "expected a string \\\"text\\\"" },
		{ "{\"do\":\"type\",\"text\":\"\xc3\xbc\"}\n", "is not on a US keyboard" },
		{ "{\"do\":\"key\",\"keys\":\"nokey\"}\n", "no key" },
		{ "{\"do\":\"type\",\"text\":\"\"}\n", "{\"ok\":true}" },
		{ "{\"do\":\"type\",\"text\":\"ab\"}\n", "{\"ok\":true}" },
		{ "{\"do\":\"dvd\",\"path\":\"/a.iso\"}\n", "\"ok\":true" },
		{ "{\"do\":\"dvd\",\"eject\":true}\n", "holds it" },
		{ "{\"do\":\"dvd\",\"eject\":true,\"force\":true}\n", "\"ok\":true" },
		{ "{\"do\":\"dvd\",\"eject\":true,\"drive\":1}\n", "no drive 1" },
		{ "{\"do\":\"dvd\",\"eject\":true,\"drive\":-1}\n", "expected 0 to 3" },
		{ "{\"do\":\"dvd\",\"eject\":true,\"drive\":\"a\"}\n", "expected 0 to 3" },
		{ "{\"do\":\"dvd\"}\n", "expected a string" },
		{ "{\"do\":\"dvd\",\"path\":\"/a\",\"eject\":true}\n", "expected a string" },
		{ "{\"do\":\"dvd\",\"path\":5}\n", "expected a string" },
		{ "{\"do\":\"floppy\",\"drive\":1,\"path\":\"/f\",\"readonly\":true}\n", "\"ok\":true" },
		{ "{\"do\":\"net-list\"}\n", "\"adapters\":[]" },
		{ "{\"do\":\"net-add\"}\n", "expected a string \\\"net\\\"" },
		{ "{\"do\":\"net-add\",\"net\":\"nat\"}\n", "\"name\":\"net0\"" },
		{ "{\"do\":\"net-set\",\"adapter\":\"net0\"}\n", "not both" },
		{ "{\"do\":\"net-set\",\"adapter\":\"net0\",\"link\":\"sideways\"}\n", "expected up or down" },
		{ "{\"do\":\"net-set\",\"adapter\":\"net0\",\"link\":\"down\"}\n", "{\"ok\":true}" },
		{ "{\"do\":\"net-set\",\"adapter\":\"net0\",\"net\":\"switch=lan\"}\n", "{\"ok\":true}" },
		{ "{\"do\":\"net-list\"}\n", "\"net\":\"switch=lan\",\"legacy\":false,\"cable\":false" },
		{ "{\"do\":\"net-remove\",\"adapter\":\"net1\"}\n", "no adapter" },
		{ "{\"do\":\"net-remove\",\"adapter\":\"net0\"}\n", "{\"ok\":true}" },
		{ "{\"do\":\"net-list\"}\n", "\"adapters\":[]" },
	};
	char line[512];
	struct bench b;
	int fd;

	(void)state;
	bench_open(&b, true);
	fd = sock_connect(b.where, NULL);
	CHECK(fd >= 0);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		CHECK_EQ(ask(fd, row[i].text, line, sizeof(line)), -1);
		if (strstr(line, row[i].part) == NULL)
			fail_msg("%s gives %s", row[i].text, line);
	}
	CHECK_EQ(b.keys, 4);		/* both were up again before the answer came */
	/* two lines at once, in pieces */
	CHECK_EQ(write(fd, "{\"do\":\"key\",\"keys\":\"a\"}\n{\"do\":", 30), 30);
	CHECK_EQ(ask(fd, "", line, sizeof(line)), -1);
	CHECK_STR(line, "{\"ok\":true}\n");
	CHECK_EQ(ask(fd, "\"fly\"}\n", line, sizeof(line)), -1);
	CHECK(strstr(line, "fly") != NULL);
	close(fd);
	bench_close(&b);
}

static void a_screenshot_is_a_file(void **state)
{
	uint8_t head[24];
	char line[512];
	struct bench b;
	int fd, png;

	(void)state;
	bench_open(&b, true);
	fd = sock_connect(b.where, NULL);
	png = ask(fd, "{\"do\":\"screenshot\"}\n", line, sizeof(line));
	CHECK(png >= 0);
	CHECK_EQ(read(png, head, sizeof(head)), sizeof(head));
	CHECK_MEM(head + 1, "PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\x80\0\0\1\xe0", 23);
	CHECK(strstr(line, "\"width\":640") != NULL);
	close(png);
	close(fd);
	bench_close(&b);
}

static void a_machine_without_anything(void **state)
{
	char line[512];
	struct bench b;
	int fd;

	(void)state;
	bench_open(&b, false);
	fd = sock_connect(b.where, NULL);
	CHECK_EQ(ask(fd, "{\"do\":\"screenshot\"}\n", line, sizeof(line)), -1);
	CHECK(strstr(line, "no display") != NULL);
	CHECK_EQ(ask(fd, "{\"do\":\"type\",\"text\":\"a\"}\n", line, sizeof(line)), -1);
	CHECK(strstr(line, "no keyboard") != NULL);
	close(fd);
	bench_close(&b);
}

static void peers_that_behave_badly(void **state)
{
	static char lots[CONTROL_MAX_LINE];
	char line[512];
	struct bench b;
	struct pollfd many[MAX_PEERS + 1];
	int fd;

	(void)state;
	bench_open(&b, true);
	memset(lots, 'x', sizeof(lots));
	fd = sock_connect(b.where, NULL);
	CHECK_EQ(write(fd, lots, sizeof(lots)), sizeof(lots));
	CHECK_EQ(ask(fd, "", line, sizeof(line)), -1);
	CHECK(strstr(line, "too long") != NULL);
	CHECK_EQ(read(fd, line, 1), 0);
	close(fd);
	/* one that asks and goes, while typing */
	fd = sock_connect(b.where, NULL);
	CHECK_EQ(write(fd, "{\"do\":\"type\",\"text\":\"abcdef\"}\n", 30), 30);
	close(fd);
	/* one too many: one is turned away, whichever */
	for (unsigned i = 0; i <= MAX_PEERS; i++) {
		many[i] = (struct pollfd){ .fd = sock_connect(b.where, NULL), .events = POLLIN };
		CHECK(many[i].fd >= 0);
	}
	CHECK(poll(many, ARRAY_LEN(many), 10000) >= 1);
	for (unsigned i = 0; i <= MAX_PEERS; i++) {
		if (many[i].revents != 0)
			CHECK_EQ(read(many[i].fd, line, 1), 0);
		close(many[i].fd);
	}
	bench_close(&b);
}

static void where_it_listens(void **state)
{
	char where[256], want[256];

	(void)state;
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	CHECK_EQ(control_default(NULL, where, sizeof(where)), -ENOENT);
	CHECK_EQ(control_default("/d/a.vhdx", where, sizeof(where)), 0);
	CHECK_STR(where, "unix:/d/a.vhdx.control");
	setenv("XDG_RUNTIME_DIR", "/tmp", 1);
	CHECK_EQ(control_default("/d/a.vhdx", where, sizeof(where)), 0);
	snprintf(want, sizeof(want), "unix:/tmp/genvisor/%d", getpid());
	CHECK_STR(where, want);
	rmdir("/tmp/genvisor");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_and_answers),
		cmocka_unit_test(a_screenshot_is_a_file),
		cmocka_unit_test(a_machine_without_anything),
		cmocka_unit_test(peers_that_behave_badly),
		cmocka_unit_test(where_it_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
