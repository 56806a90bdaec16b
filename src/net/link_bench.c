/*
 * link_bench.c - how fast frames get from one machine to another through a shared switch
 *
 * Three processes, as there are: two machines and the switch.  The first sends
 * as fast as it is let, the second counts.  Lines: bytes of a frame, frames and
 * MiB a second, and for each process processor time in ns and context switches
 * (in thousandths) for a frame.
 *
 *	link_bench [SECONDS]
 *
 * Lock     none; one thread of ours in each process besides those of the link
 */
#include "base/err.h"
#include "net/link_port.h"
#include "net/places.h"
#include "net/switchd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 16u			/* as the adapter sends them */

struct shared {				/* by all processes */
	_Atomic uint64_t got;
	_Atomic bool stop;
	struct rusage use[3];		/* sender, receiver, switch */
};

static struct shared *sh;
static _Atomic unsigned resumed;

static int deliver(void *dev, const struct net_frame *f)
{
	(void)dev, (void)f;
	atomic_fetch_add_explicit(&sh->got, 1, memory_order_relaxed);
	return 0;
}

static void resume(void *dev)
{
	(void)dev;
	atomic_fetch_add(&resumed, 1);
}

static const struct port_client client = { .deliver = deliver, .resume = resume };

static struct link_port *plug(unsigned i)
{
	static const struct port_caps caps = {
		.flags = PORT_TAKES_TAG | PORT_TAKES_SUM | PORT_TAKES_LSO4, .max_frame = NET_FRAME_MAX,
	};
	struct link_port_conf c = { .sw = "bench", .port = i == 0 ? "a" : "b", .words = "", .reach = switch_connect };
	struct err err;
	struct link_port *l;

	memcpy(c.mac, (const uint8_t[]){ 0, 0x15, 0x5d, 0, 0, (uint8_t)i }, 6);
	if (link_port_new(&c, &l, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	port_bind(link_port_port(l), &client, l, &caps);
	return l;
}

static void use(unsigned i)
{
	getrusage(RUSAGE_SELF, &sh->use[i]);
}

/* A frame of TCP that is, above the MTU, a large send. */
static void make_frame(uint8_t *b, uint32_t len)
{
	static const uint8_t head[] = {
		0, 0x15, 0x5d, 0, 0, 1, 0, 0x15, 0x5d, 0, 0, 0, 8, 0,
		0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0, 80, 0, 90, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
	};

	memset(b, 0x5a, len);
	memcpy(b, head, sizeof(head));
	b[16] = (uint8_t)((len - 14) >> 8);
	b[17] = (uint8_t)(len - 14);
}

static void sender(uint32_t len)
{
	static uint8_t b[NET_LSO_MAX];
	struct iovec iov = { b, len };
	struct link_port *l = plug(0);
	struct net_frame f[BATCH];
	unsigned seen;

	make_frame(b, len);
	for (unsigned i = 0; i < BATCH; i++)
		f[i] = (struct net_frame){
			.iov = &iov, .nr_iov = 1, .len = len, .l4_at = 34, .mss = len > 1514 ? 1448 : 0,
			.flags = FRAME_SUM_TCP | (len > 1514 ? FRAME_LSO4 | FRAME_SUM_IP : 0),
		};
	while (!atomic_load(&sh->stop)) {
		seen = atomic_load(&resumed);
		for (unsigned at = 0; at < BATCH && !atomic_load(&sh->stop);) {
			at += port_send(link_port_port(l), f + at, BATCH - at);
			for (unsigned i = 0; at < BATCH && seen == atomic_load(&resumed) && i < 1000; i++)
				usleep(10);
			seen = atomic_load(&resumed);
		}
	}
	use(0);
	_exit(0);
}

static void receiver(void)
{
	plug(1);
	while (!atomic_load(&sh->stop))
		usleep(10000);
	use(1);
	_exit(0);
}

static void *run_switch(void *d)
{
	switchd_run(d, 0, -1);
	return NULL;
}

static void print(uint32_t len, uint64_t frames, uint64_t ns)
{
	printf("%5u %9.0f/s %7.1f MiB/s", len, (double)frames * 1e9 / (double)ns,
	       (double)frames * len * 1e9 / (double)ns / (1 << 20));
	for (unsigned i = 0; i < 3; i++) {
		const struct rusage *u = &sh->use[i];
		double cpu = (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e9 +
			     (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1e3;

		printf("  %s %6.0f ns %5.0f", (const char *[]){ "from", "to", "switch" }[i], cpu / (double)frames,
		       (double)(u->ru_nvcsw + u->ru_nivcsw) * 1e3 / (double)frames);
	}
	putchar('\n');
	fflush(stdout);
}

/* In a process of its own, so that each length begins anew. */
static void one_length(uint32_t len, unsigned seconds)
{
	static const char text[] = "{\"kind\": \"private\"}";
	struct switch_def def;
	struct switchd *d;
	struct place p;
	struct err err;
	pthread_t t;
	uint64_t t0, first;
	int listen;
	pid_t a, b;

	BUG_IF(switch_def_read("bench", text, strlen(text), "it", &def, &err) < 0 || place_runtime(&p, &err) < 0);
	listen = place_listen(&p, "bench", &err);
	BUG_IF(listen < 0);
	/* The children connect when the switch listens; threads come after the forks. */
	b = fork();
	if (b == 0)
		receiver();
	a = fork();
	if (a == 0) {
		usleep(300000);
		sender(len);
	}
	BUG_IF(a < 0 || b < 0 || switchd_new(&def, listen, &d, &err) < 0 || pthread_create(&t, NULL, run_switch, d) != 0);
	usleep(500000);
	t0 = base_monotonic_ns();
	first = atomic_load(&sh->got);
	sleep(seconds);
	first = atomic_load(&sh->got) - first;
	t0 = base_monotonic_ns() - t0;
	atomic_store(&sh->stop, true);
	use(2);
	waitpid(a, NULL, 0);
	waitpid(b, NULL, 0);
	print(len, first, t0);
	_exit(0);
}

int main(int argc, char **argv)
{
	static const uint32_t lengths[] = { 60, 1514, 62780 };
	char dir[] = "/tmp/genvisor-bench.XXXXXX", sub[64];
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;

	BUG_IF(mkdtemp(dir) == NULL);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	BUG_IF(sh == MAP_FAILED);
	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		memset(sh, 0, sizeof(*sh));
		if (fork() == 0)
			one_length(lengths[i], seconds);
		wait(NULL);
	}
	snprintf(sub, sizeof(sub), "%s/genvisor/bench.sock", dir);
	unlink(sub);
	snprintf(sub, sizeof(sub), "%s/genvisor", dir);
	rmdir(sub);
	rmdir(dir);
	return 0;
}
