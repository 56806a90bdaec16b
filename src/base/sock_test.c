#include "base/test.h"

#include "base/sock.c"

#include <pthread.h>
#include <stdatomic.h>

static char dir[64], at[96], file[96];
static struct err err;

static int begin(void **s)
{
	(void)s;
	strcpy(dir, "/tmp/genvisor-sock.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	snprintf(at, sizeof(at), "unix:%s/s", dir);
	snprintf(file, sizeof(file), "%s/s", dir);
	return 0;
}

/* Nothing else may be left there. */
static int end(void **s)
{
	(void)s;
	unlink(file);
	CHECK_EQ(rmdir(dir), 0);
	return 0;
}

static int reach(void)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	BUG_IF(unix_address(file, &a, NULL) < 0);
	rc = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static void one_that_was_left_behind_is_taken_over(void **s)
{
	struct sock_place a, b, c;
	struct stat st;

	(void)s;
	CHECK_EQ(sock_listen(at, &a, &err), 0);
	CHECK_EQ(stat(file, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_EQ(sock_listen(at, &b, &err), -EADDRINUSE);
	CHECK_EQ(reach(), 0);
	close(a.fd);			/* its process was killed */
	CHECK_EQ(reach(), -ECONNREFUSED);
	CHECK_EQ(sock_listen(at, &c, &err), 0);
	CHECK_EQ(reach(), 0);
	sock_unlisten(&c);
	CHECK_EQ(reach(), -ENOENT);
}

static void another_file_is_not(void **s)
{
	struct sock_place p;
	struct stat st;
	int fd;

	(void)s;
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(write(fd, "x", 1) == 1);
	close(fd);
	CHECK_EQ(sock_listen(at, &p, &err), -EADDRINUSE);
	CHECK_EQ(stat(file, &st), 0);
	CHECK_EQ(st.st_size, 1);
}

/* The path itself may be as long as a socket's can be. */
static void the_longest_path_works(void **s)
{
	struct sock_place p;
	char path[128];
	size_t n, max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	(void)s;
	n = (size_t)snprintf(path, sizeof(path), "unix:%s/", dir);
	memset(path + n, 'a', 5 + max - n);
	path[5 + max] = '\0';
	CHECK_EQ(sock_listen(path, &p, &err), 0);
	sock_unlisten(&p);
	path[5 + max] = 'a';
	path[6 + max] = '\0';
	CHECK_EQ(sock_listen(path, &p, &err), -EINVAL);
}

static atomic_bool stop;

/* How often somebody was refused. */
static void *knock(void *arg)
{
	unsigned *refused = arg;

	while (!atomic_load(&stop))
		*refused += reach() == -ECONNREFUSED;
	return NULL;
}

/* Who is refused may take it for one that was left behind, and clear it away. */
static void nobody_is_refused_by_one_that_begins(void **s)
{
	unsigned refused = 0;
	pthread_t t;

	(void)s;
	atomic_store(&stop, false);
	CHECK_EQ(pthread_create(&t, NULL, knock, &refused), 0);
	for (unsigned i = 0; i < 3000; i++) {
		struct sock_place p;

		CHECK_EQ(sock_listen(at, &p, &err), 0);
		unlink(file);
		sock_unlisten(&p);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	CHECK_EQ(refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_was_left_behind_is_taken_over, begin, end),
		cmocka_unit_test_setup_teardown(another_file_is_not, begin, end),
		cmocka_unit_test_setup_teardown(the_longest_path_works, begin, end),
		cmocka_unit_test_setup_teardown(nobody_is_refused_by_one_that_begins, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
