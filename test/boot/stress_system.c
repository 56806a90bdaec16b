/*
 * stress_system.c - fork, mmap, futexes, signals: what several processors share
 */
#define _GNU_SOURCE
#include "stress.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u

/* ---- fork ---------------------------------------------------------------------------- */

#define COW_PAGES 64u

static void fill(uint64_t *p, uint64_t v)
{
	for (unsigned i = 0; i < PAGE / 8; i++)
		p[i] = v + i;
}

static bool filled(const uint64_t *p, uint64_t v)
{
	for (unsigned i = 0; i < PAGE / 8; i++)
		if (p[i] != v + i)
			return false;
	return true;
}

/* Writes every third page, and sees its own there and the parent's elsewhere. */
static int child(uint64_t *mem, uint64_t v, unsigned me)
{
	for (unsigned k = me % 3; k < COW_PAGES; k += 3)
		fill(mem + k * PAGE / 8, v * 7 + me);
	for (unsigned k = 0; k < COW_PAGES; k++)
		if (!filled(mem + k * PAGE / 8, k % 3 == me % 3 ? v * 7 + me : v + k))
			return 1;
	return 40 + (int)me;
}

static void fork_round(void)
{
	uint64_t *mem = mmap(NULL, COW_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t v = rnd();
	char number[8];
	pid_t pid[8];
	int status;

	CHECK(mem != MAP_FAILED);
	for (unsigned k = 0; k < COW_PAGES; k++)
		fill(mem + k * PAGE / 8, v + k);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(number, sizeof(number), "%u", 40 + i);
		pid[i] = i < 6 ? fork() : vfork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0 && i < 6)
			_exit(child(mem, v, i));
		if (pid[i] == 0) {
			execl("/proc/self/exe", "stress", "exec", number, (char *)NULL);
			_exit(2);
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		CHECK(waitpid(pid[i], &status, 0) == pid[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 40 + (int)i);
	}
	for (unsigned k = 0; k < COW_PAGES; k++)
		CHECK(filled(mem + k * PAGE / 8, v + k));
	munmap(mem, COW_PAGES * PAGE);
}

/* ---- mmap ---------------------------------------------------------------------------- */

#define VIEWS 64u

/* Private mappings come, move, shrink and go; a shared one is seen at two addresses. */
static void mmap_some(void)
{
	size_t n = (1 + below(64)) * PAGE, m = (1 + below(64)) * PAGE;
	uint64_t v = rnd();
	int fd = memfd_create("stress", 0);
	uint64_t *a, *b;

	CHECK(fd >= 0 && ftruncate(fd, (off_t)n) == 0);
	a = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(a != MAP_FAILED && b != MAP_FAILED && a != b);
	for (size_t at = 0; at < n; at += PAGE) {
		fill(a + at / 8, v + at);
		CHECK(filled(b + at / 8, v + at));
	}
	munmap(a, n);
	munmap(b, n);
	close(fd);
	a = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(a != MAP_FAILED);
	for (size_t at = 0; at < n; at += PAGE)
		fill(a + at / 8, v - at);
	a = mremap(a, n, m, MREMAP_MAYMOVE);
	CHECK(a != MAP_FAILED);
	CHECK(mprotect(a, m, PROT_READ) == 0);
	for (size_t at = 0; at < m; at += PAGE)
		CHECK(at < n ? filled(a + at / 8, v - at) : a[at / 8] == 0);
	CHECK(madvise(a, m, MADV_DONTNEED) == 0);
	for (size_t at = 0; at < m; at += PAGE)
		CHECK(a[at / 8 + below(PAGE / 8)] == 0);
	munmap(a, m);
}

static struct {
	_Atomic uint64_t seq;		/* the view that is there for certain */
	volatile uint64_t *page;
	_Atomic bool over;
} view;

/* What is seen lies between what was there before and what is there after. */
static void *look(void *index)
{
	(void)index;
	while (!view.over) {
		uint64_t before = view.seq, v = *view.page, after = view.seq;

		if (v < before || v > after + 1)
			die("a page of before: %llu, between %llu and %llu", (unsigned long long)v,
			    (unsigned long long)before, (unsigned long long)after + 1);
	}
	return NULL;
}

/* One page shows another of a file again and again while others look at it. */
static void *turn(void *index)
{
	int fd;

	if (index != NULL)
		return look(index);
	fd = memfd_create("stress", 0);
	CHECK(fd >= 0 && ftruncate(fd, VIEWS * PAGE) == 0);
	for (uint64_t i = 1; i <= VIEWS * 20; i++) {
		off_t at = (off_t)(i % VIEWS * PAGE);

		CHECK(pwrite(fd, &i, sizeof(i), at) == sizeof(i));
		CHECK(mmap((void *)(uintptr_t)view.page, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, at) != MAP_FAILED);
		view.seq = i;
	}
	view.over = true;
	close(fd);
	return NULL;
}

static void mmap_round(void)
{
	for (unsigned i = 0; i < 10; i++)
		mmap_some();
	view.page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	view.seq = 0;
	view.over = false;
	threads(3, turn);
	munmap((void *)(uintptr_t)view.page, PAGE);
}

/* ---- futex --------------------------------------------------------------------------- */

#define RING 16u
#define ITEMS 2000u

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	pthread_barrier_t barrier;
	uint64_t counter, ring[RING], in, out, sum;
	_Atomic uint64_t added, swapped;
	_Alignas(16) unsigned __int128 wide;
} f;

static void put_and_get(unsigned me)
{
	for (uint64_t i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&f.lock);
		if (me & 1) {
			while (f.in == f.out)
				pthread_cond_wait(&f.more, &f.lock);
			f.sum += f.ring[f.out++ % RING];
			pthread_cond_signal(&f.less);
		} else {
			while (f.in - f.out == RING)
				pthread_cond_wait(&f.less, &f.lock);
			f.ring[f.in++ % RING] = i;
			pthread_cond_signal(&f.more);
		}
		pthread_mutex_unlock(&f.lock);
	}
}

static void add_wide(void)
{
	uint64_t lo = (uint64_t)f.wide, hi = (uint64_t)(f.wide >> 64);
	bool done;

	do {
		uint64_t new_lo = lo + 1, new_hi = hi + 3;

		__asm__ volatile("lock cmpxchg16b %[m]"
			: "=@ccz" (done), [m] "+m" (f.wide), "+a" (lo), "+d" (hi)
			: "b" (new_lo), "c" (new_hi) : "memory");
	} while (!done);
}

static void *share(void *index)
{
	unsigned me = (unsigned)(uintptr_t)index;

	pthread_barrier_wait(&f.barrier);
	put_and_get(me);
	pthread_barrier_wait(&f.barrier);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t v;

		f.added += i & 3;
		v = f.swapped;
		while (!__atomic_compare_exchange_n((uint64_t *)&f.swapped, &v, v + 2, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		add_wide();
		if (i % 4 == 0) {
			pthread_mutex_lock(&f.lock);
			f.counter++;
			pthread_mutex_unlock(&f.lock);
		}
	}
	return NULL;
}

static void futex_round(void)
{
	memset(&f, 0, sizeof(f));
	pthread_mutex_init(&f.lock, NULL);
	pthread_cond_init(&f.more, NULL);
	pthread_cond_init(&f.less, NULL);
	pthread_barrier_init(&f.barrier, NULL, 4);
	threads(4, share);
	CHECK(f.sum == (uint64_t)ITEMS * (ITEMS - 1));
	CHECK(f.added == 4 * 30000);
	CHECK(f.swapped == 4 * 40000);
	CHECK((uint64_t)f.wide == 80000 && (uint64_t)(f.wide >> 64) == 240000);
	CHECK(f.counter == 4 * 5000);
}

/* ---- signals ------------------------------------------------------------------------- */

#define SIGNALS 300u

static _Atomic uint64_t came, alarms, wrong_value;
static _Atomic bool enough;
static pthread_barrier_t there;
static pthread_t catcher[3];

static void trash(void)
{
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovaps %%xmm0, %%xmm1\n\tmovaps %%xmm0, %%xmm7\n\t"
			 "movaps %%xmm0, %%xmm15\n\tfld1\n\tfstp %%st(0)\n\tstd\n\tcld"
			 : : : "xmm0", "xmm1", "xmm7", "xmm15", "memory");
}

static void on_queued(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	trash();
	if ((info->si_value.sival_int & 0xff) != 0x5a)
		wrong_value++;
	came++;
}

static void on_alarm(int sig)
{
	(void)sig;
	trash();
	alarms++;
}

/* Registers of all kinds are the same after signals as before. */
static void *keep(void *unused)
{
	static const uint64_t pattern[2] __attribute__((aligned(16))) = { 0x0123456789abcdef, 0xfedcba9876543210 };
	uint64_t seen[4] __attribute__((aligned(16)));
	char stack[65536] __attribute__((aligned(16)));
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };

	(void)unused;
	sigaltstack(&alt, NULL);
	pthread_barrier_wait(&there);
	while (!enough) {
		uint64_t n = 20000, sum = 0;

		__asm__ volatile("movaps %[p], %%xmm0\n\tmovaps %%xmm0, %%xmm15\n\tmovaps %%xmm0, %%xmm7\n\t"
				 "1: addq %[n], %[sum]\n\tadcq $0, %[sum]\n\tdecq %[n]\n\tjnz 1b\n\t"
				 "pxor %%xmm7, %%xmm0\n\tmovaps %%xmm0, %[a]\n\tmovaps %%xmm15, %[b]"
				 : [n] "+r" (n), [sum] "+r" (sum), [a] "=m" (*(uint64_t (*)[2])seen),
				   [b] "=m" (*(uint64_t (*)[2])(seen + 2))
				 : [p] "m" (pattern) : "xmm0", "xmm7", "xmm15", "cc");
		CHECK(sum == UINT64_C(20000) * 20001 / 2);
		CHECK(seen[0] == 0 && seen[1] == 0 && seen[2] == pattern[0] && seen[3] == pattern[1]);
	}
	alt.ss_flags = SS_DISABLE;
	sigaltstack(&alt, NULL);
	return NULL;
}

static void signal_round(void)
{
	struct sigaction sa = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	struct sigaction tick = { .sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };

	sigaction(SIGRTMIN, &sa, NULL);
	sigaction(SIGVTALRM, &tick, NULL);
	came = alarms = 0;
	enough = false;
	pthread_barrier_init(&there, NULL, 4);
	for (unsigned i = 0; i < 3; i++)
		CHECK(pthread_create(&catcher[i], NULL, keep, NULL) == 0);
	pthread_barrier_wait(&there);
	setitimer(ITIMER_VIRTUAL, &every, NULL);
	for (unsigned i = 0; i < SIGNALS; i++) {
		union sigval v = { .sival_int = (int)(i << 8 | 0x5a) };

		while (pthread_sigqueue(catcher[i % 3], SIGRTMIN, v) != 0)
			usleep(1000);		/* too many wait */
		if (below(8) == 0)
			usleep(1000);
	}
	while (came < SIGNALS)
		usleep(1000);
	setitimer(ITIMER_VIRTUAL, &off, NULL);
	enough = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(catcher[i], NULL);
	CHECK(came == SIGNALS && wrong_value == 0);
}

const struct worker system_workers[] = {
	{ "fork", fork_round }, { "mmap", mmap_round }, { "futex", futex_round },
	{ "signal", signal_round }, { NULL, NULL },
};
