/*
 * stress.c - works a kernel and its processors hard, and checks the results
 *
 * stress SECONDS [WORKER...]: all workers, or those named, at once.  Status 0 when
 * the time was over before anything was wrong.  It runs in a guest, and on any
 * x86-64 Linux: what is wrong there is wrong here.
 *
 * cc -O2 -static -pthread -o stress stress*.c
 */
#define _GNU_SOURCE
#include "stress.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_WORKERS 32
#define LONGEST 120		/* seconds of a round, on the slowest engine */

static const char *name = "stress";
static _Atomic uint64_t seed;

void die(const char *format, ...)
{
	char text[512];
	va_list ap;
	int n = snprintf(text, sizeof(text), "stress: WRONG: %s: ", name);

	va_start(ap, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n - 1, format, ap);
	va_end(ap);
	strcat(text, "\n");
	(void)!write(1, text, strlen(text));
	_exit(1);
}

uint64_t rnd(void)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void threads(unsigned n, void *(*fn)(void *))
{
	pthread_t t[64];

	CHECK(n <= 64);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&t[i], NULL, fn, (void *)(uintptr_t)i) != 0)
			die("no thread");
	for (unsigned i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work(const struct worker *w, double end, _Atomic uint64_t *rounds)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	name = w->name;
	seed = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(now() * 1e9);
	while (now() < end) {
		alarm(LONGEST);		/* a round that hangs ends in SIGALRM */
		w->round();
		alarm(0);
		++*rounds;
	}
	_exit(0);
}

static bool wanted(const struct worker *w, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], w->name) == 0)
			return true;
	return argc <= 2;
}

static unsigned collect(const struct worker *all[MAX_WORKERS], int argc, char **argv)
{
	static const struct worker *const lists[] = { system_workers, code_workers, trap_workers };
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++)
		for (const struct worker *w = lists[i]; w->name != NULL && n < MAX_WORKERS; w++)
			if (wanted(w, argc, argv))
				all[n++] = w;
	return n;
}

int main(int argc, char **argv)
{
	const struct worker *all[MAX_WORKERS];
	_Atomic uint64_t *rounds;
	pid_t pid[MAX_WORKERS];
	double end;
	unsigned n;
	int bad = 0;

	if (argc == 3 && strcmp(argv[1], "exec") == 0)
		return atoi(argv[2]);
	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	n = collect(all, argc, argv);
	end = now() + atof(argv[1]);
	rounds = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < n; i++)
		if ((pid[i] = fork()) == 0)
			work(all[i], end, &rounds[i]);
	for (unsigned left = n; left > 0;) {
		int status;
		pid_t p = wait(&status);

		for (unsigned i = 0; i < n; i++) {
			if (pid[i] != p)
				continue;
			left--;
			if (status == 0)
				continue;
			printf("stress: WRONG: %s ended with status 0x%x\n", all[i]->name, status);
			for (unsigned k = 0; !bad && k < n; k++)
				if (k != i)
					kill(pid[k], SIGKILL);
			bad = 1;
		}
	}
	for (unsigned i = 0; i < n; i++)
		printf("stress: %-8s %8llu rounds\n", all[i]->name, (unsigned long long)rounds[i]);
	for (unsigned i = 0; i < n; i++)
		if (rounds[i] == 0)
			bad = 1;
	printf("stress: %s\n", bad ? "failed" : "all right");
	return bad || n == 0;
}
