/*
 * Meeting places: who comes while a switch begins is let in or finds nobody, and
 * what is written of a switch at that moment counts.
 */
#include "base/test.h"

#include "net/link_msg.h"
#include "net/places.h"

static int listen_later(const struct place *p, const char *name, struct err *err);

#define place_listen listen_later
#include "net/switch_process.c"
#undef place_listen

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

static char dir[64];
static struct err err;
static bool rewrite;

static int begin(void **s)
{
	(void)s;
	strcpy(dir, "/tmp/genvisor-test.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	setenv("XDG_CONFIG_HOME", dir, 1);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	return 0;
}

static int end(void **s)
{
	char cmd[96];

	(void)s;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void define(enum vswitch_kind kind)
{
	struct switch_def d;

	CHECK_EQ(switch_def_init(&d, "lan", &err), 0);
	d.kind = kind;
	CHECK_EQ(switch_def_check(&d, &err), 0);
	CHECK_EQ(switch_def_save(&d, false, &err), 0);
	switch_def_fini(&d);
}

/* The definition changes just before somebody could be told of it. */
static int listen_later(const struct place *p, const char *name, struct err *e)
{
	if (rewrite)
		define(VSWITCH_NAT);
	return place_listen(p, name, e);
}

static void *become(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)switch_become("lan", false, &err);
}

/* The first message of the answer. */
static json_t *ask(const char *what)
{
	json_t *msg = json_pack("{s:s}", "do", what), *got = NULL;
	int sock = -ENOENT;

	for (unsigned i = 0; i < 5000 && sock == -ENOENT; i++, usleep(1000))
		sock = switch_connect("lan", &err);
	CHECK(sock >= 0);
	CHECK_EQ(link_limits(sock), 0);
	CHECK_EQ(link_send(sock, msg, -1), 0);
	CHECK_EQ(link_recv(sock, &got, NULL), 0);
	json_decref(msg);
	close(sock);
	return got;
}

static void the_last_definition_counts(void **s)
{
	void *rc;
	pthread_t t;
	json_t *msg;

	(void)s;
	define(VSWITCH_PRIVATE);
	rewrite = true;
	CHECK_EQ(pthread_create(&t, NULL, become, NULL), 0);
	msg = ask("show");
	CHECK_STR(link_text(json_object_get(msg, "switch"), "kind"), "nat");
	json_decref(msg);
	json_decref(ask("stop"));
	pthread_join(t, &rc);
	CHECK_EQ((intptr_t)rc, 0);
}

static void nothing_is_left_of_a_switch_that_is_not_there(void **s)
{
	struct place p;

	(void)s;
	rewrite = false;
	CHECK_EQ(switch_become("lan", false, &err), -ENOENT);
	CHECK_EQ(switch_become("../lan", false, &err), -EINVAL);
	CHECK_EQ(place_runtime(&p, &err), 0);
	CHECK(faccessat(p.fd, "lan.lock", F_OK, 0) < 0);
	CHECK_EQ(place_connect(&p, "lan", &err), -ENOENT);
	place_close(&p);
}

static atomic_bool stop;
static atomic_uint refused, reached;

static void *knock(void *arg)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)arg;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/genvisor/lan.sock", dir);
	while (!atomic_load(&stop)) {
		int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (connect(s, (struct sockaddr *)&a, sizeof(a)) == 0)
			atomic_fetch_add(&reached, 1);
		else
			atomic_fetch_add(&refused, errno == ECONNREFUSED || errno == ENOENT);
		close(s);
	}
	return NULL;
}

/* One takes another's place without a moment in which nobody is there. */
static void nobody_is_refused_while_one_begins(void **s)
{
	int kept[4] = { -1, -1, -1, -1 };
	struct place p;
	pthread_t t;

	(void)s;
	atomic_store(&stop, false);
	CHECK_EQ(place_runtime(&p, &err), 0);
	kept[0] = place_listen(&p, "lan", &err);
	CHECK(kept[0] >= 0);
	CHECK_EQ(pthread_create(&t, NULL, knock, NULL), 0);
	for (unsigned i = 1; i < 2000 || (atomic_load(&reached) < 100 && i < 1000000); i++) {
		if (kept[i % 4] >= 0)
			close(kept[i % 4]);
		kept[i % 4] = place_listen(&p, "lan", &err);
		CHECK(kept[i % 4] >= 0);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	CHECK_EQ(refused, 0);
	for (unsigned i = 0; i < 4; i++)
		close(kept[i]);
	place_unlisten(&p, "lan");
	place_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_definition_counts, begin, end),
		cmocka_unit_test_setup_teardown(nothing_is_left_of_a_switch_that_is_not_there, begin, end),
		cmocka_unit_test_setup_teardown(nobody_is_refused_while_one_begins, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
