/*
 * debug_test.c - a debugger at a machine that runs, by its socket
 *
 * What gdb itself cannot be made to do at the right moment: interrupt, vanish,
 * come twice, talk nonsense.  test/cli/gdb.sh has the real gdb.
 */
#include "base/test.h"

#include "vm/vm_priv.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CODE 0x100010u
#define COUNT 0x100f00u		/* vCPU 0 counts here, and vCPU 1 beside it */

struct rig {
	struct vm_conf conf;
	struct vm *vm;
	pthread_t thread;
	enum vm_end end;
	struct err err;
	char kernel[40], path[40], where[50];
};

/*
 * vCPU 0 copies vCPU 1's program to 0x7000, sends INIT and SIPI, then counts
 * without end; so does vCPU 1, in real mode through ES = 0xFFFF.
 */
static const uint8_t program[] = {
	0xbe, 0x51, 0x00, 0x10, 0x00,				/* mov esi, ap */
	0xbf, 0x00, 0x70, 0x00, 0x00,				/* mov edi, 0x7000 */
	0xb9, 0x20, 0x00, 0x00, 0x00, 0xf3, 0xa4,		/* rep movsb 32 */
	0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00,	/* SVR: on */
	0xc7, 0x05, 0x10, 0x03, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x01,	/* to APIC 1 */
	0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x00, 0x00,	/* INIT */
	0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x07, 0x46, 0x00, 0x00,	/* SIPI */
	0xff, 0x05, 0x00, 0x0f, 0x10, 0x00,			/* 0x100049: inc dword [COUNT] */
	0xeb, 0xf8,						/* 0x10004f: jmp back */
	/* 0x100051 ap: mov ax, 0xffff; mov es, ax; 1: inc dword es:[0xf14]; jmp 1b */
	0xb8, 0xff, 0xff, 0x8e, 0xc0, 0x26, 0x66, 0xff, 0x06, 0x14, 0x0f, 0xeb, 0xf8,
};
#define LOOP 0x100049u
#define AP_LOOP 0x7005u

static void write_kernel(struct rig *r)
{
	uint8_t b[512] = "\x7f" "ELF\x01\x01\x01";
	int fd;

	st16(b + 16, 2);
	st16(b + 18, 3);
	st32(b + 24, CODE);
	st32(b + 28, 52);
	st16(b + 42, 32);
	st16(b + 44, 1);
	st32(b + 52, 1);
	st32(b + 56, 0x60);
	st32(b + 64, 0x100000);
	st32(b + 68, 0x10 + sizeof(program));
	st32(b + 72, 0x1000);
	st32(b + 0x60, 0x1badb002);
	st32(b + 0x68, (uint32_t)-0x1badb002);
	memcpy(b + 0x70, program, sizeof(program));
	strcpy(r->kernel, "/tmp/gvdbgXXXXXX");
	fd = mkstemp(r->kernel);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, b, sizeof(b)), (ssize_t)sizeof(b));
	close(fd);
}

static void *runner(void *arg)
{
	struct rig *r = arg;

	r->end = vm_run(r->vm, &r->err);
	return NULL;
}

static void start(struct rig *r, bool wait)
{
	memset(r, 0, sizeof(*r));
	write_kernel(r);
	snprintf(r->path, sizeof(r->path), "%.20s.sock", r->kernel);
	snprintf(r->where, sizeof(r->where), "unix:%s", r->path);
	r->conf = (struct vm_conf){
		.generation = 2, .memory = 32 * MIB, .cpus = 2, .engine = "interpret",
		.kernel = r->kernel, .no_uring = true, .gdb = r->where, .gdb_wait = wait,
	};
	CHECK_EQ(vm_new(&r->conf, &r->vm, &r->err), 0);
	CHECK_EQ(pthread_create(&r->thread, NULL, runner, r), 0);
}

static void end(struct rig *r)
{
	vm_quit(r->vm);
	pthread_join(r->thread, NULL);
	CHECK_EQ(r->end, VM_END_QUIT);
	vm_free(r->vm);
	CHECK(access(r->path, F_OK) < 0);
	unlink(r->kernel);
}

static uint32_t count(struct rig *r, unsigned cpu)
{
	uint32_t n = 0;

	CHECK_EQ(gmem_load32(r->vm->mem, COUNT + 4 * cpu, &n), 0);
	return n;
}

static void wait_for_progress(struct rig *r, unsigned cpu)
{
	uint32_t n = count(r, cpu);

	for (unsigned i = 0; count(r, cpu) == n; i++) {
		CHECK(i < 10000);
		usleep(1000);
	}
}

static void check_stands(struct rig *r, unsigned cpu)
{
	uint32_t n = count(r, cpu);

	usleep(30000);
	CHECK_EQ(count(r, cpu), n);
}

/* ---- a peer ------------------------------------------------------------------------ */

static int call(struct rig *r)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, r->path);
	CHECK(fd >= 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* The body of the next frame; "" at the end of the connection. */
static const char *hear(int fd)
{
	static char buf[20000];
	size_t n = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char c;

		CHECK_EQ(poll(&p, 1, 10000), 1);
		if (read(fd, &c, 1) <= 0)
			return "";
		if (c == '$')
			n = 0;
		else if (c == '#')
			break;
		else
			buf[n++] = c;
		CHECK(n < sizeof(buf));
	}
	buf[n] = '\0';
	CHECK_EQ(read(fd, (char[2]){ 0 }, 2), 2);
	return buf;
}

static void say(int fd, const char *body)
{
	uint8_t sum = 0;
	char frame[300];

	for (const char *p = body; *p != '\0'; p++)
		sum = (uint8_t)(sum + (uint8_t)*p);
	snprintf(frame, sizeof(frame), "$%s#%02x", body, sum);
	CHECK_EQ(write(fd, frame, strlen(frame)), (ssize_t)strlen(frame));
}

static const char *ask(int fd, const char *body)
{
	say(fd, body);
	return hear(fd);
}

static void interrupt(int fd)
{
	CHECK_EQ(write(fd, "\x03", 1), 1);
}

/* ---- tests ------------------------------------------------------------------------- */

static void a_waiting_machine_runs_nothing_until_told(void **state)
{
	struct rig r;
	int fd;

	(void)state;
	start(&r, true);
	usleep(30000);
	CHECK_EQ(count(&r, 0), 0);
	fd = call(&r);
	CHECK(strncmp(ask(fd, "?"), "T02", 3) == 0);
	CHECK_STR(ask(fd, "p10"), "1000100000000000");	/* RIP = CODE */
	say(fd, "vCont;c");
	wait_for_progress(&r, 0);
	wait_for_progress(&r, 1);
	interrupt(fd);
	CHECK(strncmp(hear(fd), "T02", 3) == 0);
	check_stands(&r, 0);
	check_stands(&r, 1);
	CHECK_STR(ask(fd, "D"), "OK");
	wait_for_progress(&r, 0);
	wait_for_progress(&r, 1);
	close(fd);
	end(&r);
}

static void two_processors_stop_and_step_one_by_one(void **state)
{
	struct rig r;
	uint32_t n;
	int fd;

	(void)state;
	start(&r, false);
	wait_for_progress(&r, 1);
	fd = call(&r);
	CHECK(strncmp(ask(fd, "?"), "T02", 3) == 0);
	check_stands(&r, 1);
	/* vCPU 1 meets its point while vCPU 0 runs on. */
	CHECK_STR(ask(fd, "Z0,7005,1"), "OK");
	CHECK(strstr(ask(fd, "vCont;c"), "thread:2;") != NULL);
	CHECK_STR(ask(fd, "p10"), "0500000000000000");
	CHECK_STR(ask(fd, "z0,7005,1"), "OK");
	/* A step of it alone moves the other not at all. */
	n = count(&r, 0);
	CHECK(strncmp(ask(fd, "vCont;s:2"), "T05", 3) == 0);
	CHECK_STR(ask(fd, "p10"), "0b00000000000000");
	CHECK_EQ(count(&r, 0), n);
	/* And vCPU 0 goes for itself. */
	CHECK_STR(ask(fd, "Z2,100f00,4"), "OK");
	n = count(&r, 1);
	CHECK(strstr(ask(fd, "vCont;c:1"), "watch:100f00;") != NULL);
	CHECK_EQ(count(&r, 1), n);
	CHECK(strstr(ask(fd, "vCont;c"), "thread:1;") != NULL);
	/* Both at once: each is told. */
	CHECK_STR(ask(fd, "Z2,100f04,4"), "OK");
	for (unsigned i = 0, seen = 0; seen != 3; i++) {
		CHECK(i < 1000);
		seen |= strstr(ask(fd, "vCont;c"), "thread:1;") != NULL ? 1 : 2;
	}
	close(fd);			/* without a word: points go, the guest stays */
	wait_for_progress(&r, 0);
	wait_for_progress(&r, 1);
	fd = call(&r);
	CHECK(strncmp(ask(fd, "?"), "T02", 3) == 0);
	close(fd);
	end(&r);
}

static void a_second_debugger_is_refused_in_words(void **state)
{
	struct rig r;
	int first, second;

	(void)state;
	start(&r, false);
	first = call(&r);
	CHECK(strncmp(ask(first, "?"), "T02", 3) == 0);
	for (unsigned i = 0; i < 3; i++) {
		second = call(&r);
		CHECK(strstr(hear(second), "E.another debugger") != NULL);
		CHECK_STR(hear(second), "");
		close(second);
	}
	CHECK_STR(ask(first, "qC"), "QC1");
	close(first);
	end(&r);
}

static void a_reset_keeps_points_and_a_kill_ends(void **state)
{
	struct rig r;
	int fd;

	(void)state;
	start(&r, false);
	wait_for_progress(&r, 1);
	fd = call(&r);
	CHECK(strncmp(ask(fd, "?"), "T02", 3) == 0);
	CHECK_STR(ask(fd, "Z0,100010,1"), "OK");	/* the first instruction */
	say(fd, "vCont;c");
	wait_for_progress(&r, 0);
	vm_reset(r.vm);
	CHECK(strstr(hear(fd), "thread:1;") != NULL);
	CHECK_STR(ask(fd, "p10"), "1000100000000000");
	vm_reset(r.vm);				/* while it stands: stays so */
	usleep(50000);
	CHECK_STR(ask(fd, "p10"), "1000100000000000");
	CHECK_EQ(count(&r, 0), 0);
	say(fd, "k");
	pthread_join(r.thread, NULL);
	CHECK_EQ(r.end, VM_END_QUIT);
	vm_free(r.vm);
	unlink(r.kernel);
	close(fd);
}

/* Memory that is none, or a device's, is not touched; read-only pages are no matter. */
static void memory_is_looked_at_without_effects(void **state)
{
	struct rig r;
	int fd;

	(void)state;
	start(&r, true);
	fd = call(&r);
	CHECK_STR(ask(fd, "m100010,5"), "be51001000");
	CHECK_STR(ask(fd, "mfee00300,4"), "E0e");
	CHECK_STR(ask(fd, "m1fffffe,8"), "0000");	/* to the end of RAM */
	CHECK_STR(ask(fd, "M1fffffe,4:01020304"), "E0e");
	CHECK_STR(ask(fd, "M100f00,4:01000080"), "OK");
	CHECK_EQ(count(&r, 0), 0x80000001);
	/* A changed instruction is the one that runs: jmp to itself at the loop. */
	CHECK_STR(ask(fd, "Z0,100049,1"), "OK");
	CHECK(strncmp(ask(fd, "vCont;c"), "T05", 3) == 0);
	CHECK_STR(ask(fd, "M100049,2:ebfe"), "OK");
	CHECK_STR(ask(fd, "z0,100049,1"), "OK");
	say(fd, "vCont;c");
	wait_for_progress(&r, 1);
	check_stands(&r, 0);
	vm_quit(r.vm);				/* the peer hears of the end */
	CHECK_EQ(pthread_join(r.thread, NULL), 0);
	CHECK_STR(hear(fd), "W00");
	vm_free(r.vm);
	unlink(r.kernel);
	close(fd);
}

static void nonsense_and_haste_do_no_harm(void **state)
{
	struct rig r;
	char junk[4096];

	(void)state;
	start(&r, false);
	srand(7);
	for (unsigned i = 0; i < 60; i++) {
		int fd = call(&r);

		for (size_t j = 0; j < sizeof(junk); j++)
			junk[j] = (char)(rand() % 3 ? "$#+-\x03}cgs?"[rand() % 10] : rand());
		CHECK(send(fd, junk, sizeof(junk), MSG_NOSIGNAL) > 0);
		if (i % 4 == 0)
			usleep(2000);
		close(fd);
	}
	wait_for_progress(&r, 0);
	wait_for_progress(&r, 1);
	end(&r);
}

static void addresses_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *where, *words;
	} rows[] = {
		{ "", "expected PORT" }, { "gdb", "expected PORT" }, { "65536", "expected PORT" },
		{ "-1", "expected PORT" }, { ":1234", "expected PORT" }, { "unix:", "1 to" },
		{ "unix:/nonexistent/sock", "No such file" }, { "127.0.0.1:", "expected PORT" },
		{ "192.0.2.1:9", "Cannot assign" },
	};
	struct gdb_server *s;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		e.msg[0] = '\0';
		CHECK(gdb_server_new(rows[i].where, &s, &e) < 0);
		if (strstr(e.msg, rows[i].words) == NULL)
			fail_msg("\"%s\": \"%s\"", rows[i].where, e.msg);
	}
	CHECK_EQ(gdb_server_new("0", &s, &e), 0);
	CHECK(strncmp(gdb_server_where(s), "127.0.0.1:", 10) == 0);
	gdb_server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_waiting_machine_runs_nothing_until_told),
		cmocka_unit_test(two_processors_stop_and_step_one_by_one),
		cmocka_unit_test(a_second_debugger_is_refused_in_words),
		cmocka_unit_test(a_reset_keeps_points_and_a_kill_ends),
		cmocka_unit_test(memory_is_looked_at_without_effects),
		cmocka_unit_test(nonsense_and_haste_do_no_harm),
		cmocka_unit_test(addresses_that_are_none_are_refused),
	};

	return cmocka_run_group_tests_name("vm_debug", tests, NULL, NULL);
}
