/*
 * kill_test.c - kill -9 at random moments: what was flushed is there
 *
 * A child writes 4-KiB blocks of an image, each full of the write's own number,
 * flushes, and only then says through a pipe up to which number all is
 * durable.  The parent kills it, opens the disk (the log replays) and looks
 * at every block: it must hold a write meant for it, none older than the last
 * one acknowledged.  The same file goes from kill to kill.
 *
 *	disk_kill_test [KILLS [SEED]]
 */
#include "base/test.h"
#include "disk/disk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u
#define NR_BLOCKS 16384u		/* 64 MiB: 64 blocks of the VHDX */
#define GROUP 16u			/* writes to a flush */
#define ROUND 1000000u			/* numbers a child may use */

static unsigned kills = 12, seed = 1;

/* Where write number V goes; a fixed scatter, so that the parent knows without being told. */
static uint32_t target(uint64_t v)
{
	v *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(v >> 40) % NR_BLOCKS;
}

static void child(const char *path, int pipe_fd, uint64_t first)
{
	struct blk *b;
	uint64_t buf[BLOCK / 8];

	if (disk_open(path, 0, &b, NULL) < 0)
		_exit(2);
	for (uint64_t v = first; v < first + ROUND; v++) {
		for (unsigned i = 0; i < BLOCK / 8; i++)
			buf[i] = v;
		if (blk_rw_wait(b, BLK_WRITE, (uint64_t)target(v) * BLOCK, buf, BLOCK) < 0)
			_exit(3);
		if (v % GROUP != GROUP - 1)
			continue;
		if (blk_rw_wait(b, BLK_FLUSH, 0, NULL, 0) < 0 ||
		    write(pipe_fd, &v, sizeof(v)) != sizeof(v))
			_exit(4);
	}
	_exit(0);
}

/* Runs a child and kills it; the last number it acknowledged, or FIRST - 1. */
static uint64_t run_and_kill(const char *path, uint64_t first, unsigned ms)
{
	const struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };
	uint64_t v, last = first - 1;
	int fds[2], status;
	pid_t pid;

	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		child(path, fds[1], first);
	close(fds[1]);
	nanosleep(&ts, NULL);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	while (read(fds[0], &v, sizeof(v)) == sizeof(v))
		last = v;
	close(fds[0]);
	return last;
}

static void check_disk(const char *path, const uint64_t *durable, uint64_t limit)
{
	uint64_t *buf = malloc(MIB);
	struct err err = { "" };
	struct blk *b;
	int rc = disk_open(path, 0, &b, &err);

	if (rc < 0)
		fail_msg("it does not open: %s", err.msg);
	for (uint32_t n = 0; n < NR_BLOCKS; n++) {
		const uint64_t *p = buf + n % 256 * (BLOCK / 8);

		if (n % 256 == 0)
			CHECK_EQ(blk_rw_wait(b, BLK_READ, (uint64_t)n * BLOCK, buf, MIB), 0);
		for (unsigned i = 1; i < BLOCK / 8; i++)
			if (p[i] != p[0])
				fail_msg("block %u is torn: %llu, %llu", n,
					 (unsigned long long)p[0], (unsigned long long)p[i]);
		if (p[0] < durable[n] || p[0] >= limit || (p[0] != 0 && target(p[0]) != n))
			fail_msg("block %u holds write %llu, acknowledged was %llu", n,
				 (unsigned long long)p[0], (unsigned long long)durable[n]);
	}
	blk_close(b);
	free(buf);
}

/* PATH is a new image. */
static void survives(const char *path)
{
	uint64_t *durable = calloc(NR_BLOCKS, sizeof(*durable)), acknowledged = 0;

	srandom(seed);
	for (unsigned i = 0; i < kills; i++) {
		uint64_t first = (uint64_t)(i + 1) * ROUND;
		uint64_t last = run_and_kill(path, first, 3 + (unsigned)random() % 150);

		for (uint64_t v = first; v <= last && last >= first; v++)
			durable[target(v)] = v;
		acknowledged += last + 1 - first;
		check_disk(path, durable, first + ROUND);
	}
	printf("%u kills, %llu writes acknowledged\n", kills, (unsigned long long)acknowledged);
	CHECK(acknowledged > 0);
	unlink(path);
	free(durable);
}

static void what_was_flushed_survives_kill(void **state)
{
	const struct vhdx_create conf = { .size = (uint64_t)NR_BLOCKS * BLOCK, .block_size = MIB };
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/gvkill%d.vhdx", (int)getpid());
	CHECK_EQ(vhdx_create(path, &conf, NULL), 0);
	survives(path);
}

/* A dynamic disk, then one on an empty parent. */
static void so_it_does_in_a_vhd(void **state)
{
	const struct vhd_create conf = { .size = (uint64_t)NR_BLOCKS * BLOCK, .block_size = 512 * KIB };
	struct vhd_create diff = { .kind = VHD_MAKE_DIFFERENCING };
	char path[64], parent[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/gvkill%d.vhd", (int)getpid());
	snprintf(parent, sizeof(parent), "/tmp/gvkillp%d.vhd", (int)getpid());
	CHECK_EQ(vhd_create(path, &conf, NULL), 0);
	survives(path);
	CHECK_EQ(vhd_create(parent, &conf, NULL), 0);
	diff.parent = parent;
	CHECK_EQ(vhd_create(path, &diff, NULL), 0);
	survives(path);
	unlink(parent);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_flushed_survives_kill),
		cmocka_unit_test(so_it_does_in_a_vhd),
	};

	if (argc > 1)
		kills = (unsigned)atoi(argv[1]);
	if (argc > 2)
		seed = (unsigned)atoi(argv[2]);
	return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
