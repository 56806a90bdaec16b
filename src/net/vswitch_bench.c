/*
 * vswitch_bench.c - what a guest that does not behave costs its neighbours
 *
 * One thread sends from A to B, which takes everything, frame after frame in batches as an
 * adapter does; another does what its line says.  Prints how many frames A sent in its own
 * processor time, which is what a neighbour sees when there are processors enough.  On a
 * machine that is busy otherwise the figures of one run wander; it takes the best of several.
 *
 *	build/src/net/vswitch_bench [SECONDS]
 */
#include "dev/clock.h"
#include "net/craft.h"
#include "net/vswitch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH 16u
#define ROUNDS 8u

enum { A, B, HOSTILE, DEAF, NR };

struct station {
	struct port *port;
	pthread_mutex_t lock;		/* as an adapter's */
	uint8_t b[2048];		/* its receive buffer */
	bool deaf;
};

static struct station st[NR];
static atomic_bool stop;

static int deliver(void *dev, const struct net_frame *f)
{
	struct station *t = dev;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (t->deaf || !frame_copy(f, 0, t->b, f->len))
		rc = -EAGAIN;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static void resume(void *dev)
{
	(void)dev;
}

static const struct port_client client = { .deliver = deliver, .resume = resume };

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void send_batch(unsigned from, uint64_t to)
{
	static struct craft craft[NR];
	struct net_frame f[BATCH];

	craft_udp4(&craft[from], to, 0x00155d000000u + from, 1400);
	for (unsigned i = 0; i < BATCH; i++)
		f[i] = craft_frame(&craft[from], 0);
	for (unsigned i = 0; i < 500; i++)
		if (port_send(st[from].port, f, BATCH) == 0)
			port_room(st[DEAF].port);
}

static void broadcasts(void)
{
	send_batch(HOSTILE, 0xffffffffffff);
}

static void unknown(void)
{
	send_batch(HOSTILE, 0x020000000000u + (unsigned)rand());
}

static void to_the_deaf(void)
{
	send_batch(HOSTILE, 0x00155d000000u + DEAF);
}

static void to_the_same(void)
{
	send_batch(HOSTILE, 0x00155d000000u + B);
}

static void caps(void)
{
	struct port_caps c = { .flags = PORT_TAKES_SUM };

	for (unsigned i = 0; i < 1000; i++)
		port_set_caps(st[HOSTILE].port, &c);
}

static void rooms(void)
{
	for (unsigned i = 0; i < 1000; i++)
		port_room(st[HOSTILE].port);
}

static void *hostile(void *arg)
{
	void (*const *fn)(void) = arg;

	while (!atomic_load(&stop))
		(*fn)();
	return NULL;
}

/* Millions of frames that A sends in a second of its own processor time; BEST, if it is not more. */
static double mpps(void (*fn)(void), double seconds, double best)
{
	uint64_t from, end, now;
	unsigned n = 0;
	pthread_t t;
	double v;

	atomic_store(&stop, fn == NULL);
	BUG_IF(fn != NULL && pthread_create(&t, NULL, hostile, &fn) != 0);
	from = now = cpu_ns();
	end = from + (uint64_t)(seconds * 1e9);
	for (; now < end; n++, now = cpu_ns())
		send_batch(A, 0x00155d000000u + B);
	atomic_store(&stop, true);
	if (fn != NULL)
		pthread_join(t, NULL);
	v = n * 500.0 * BATCH * 1e3 / (double)(now - from);
	return v > best ? v : best;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*fn)(void); } row[] = {
		{ "broadcasts without end", broadcasts },
		{ "unknown addresses without end", unknown }, { "to one that takes nothing", to_the_deaf },
		{ "to the same receiver", to_the_same }, { "changes its offloads without end", caps },
		{ "says that it has room without end", rooms },
	};
	double seconds = argc > 1 ? atof(argv[1]) : 1.0;
	struct vswitch_conf conf = { .kind = VSWITCH_PRIVATE };
	struct vswitch *sw;
	struct clock *clock;

	BUG_IF(clock_new(&clock) < 0 || vswitch_new(&conf, clock, &sw, NULL) < 0);
	for (unsigned i = 0; i < NR; i++) {
		struct port_conf pc = { .name = "x", .mac = { 0, 0x15, 0x5d, 0, 0, (uint8_t)i } };

		pthread_mutex_init(&st[i].lock, NULL);
		st[i].deaf = i == DEAF;
		BUG_IF(vswitch_port(sw, &pc, &st[i].port, NULL) < 0);
		port_bind(st[i].port, &client, &st[i], NULL);
	}
	printf("A to B, 1442 bytes, million frames a second of A's processor time\n"
	       "another one:                           alone   beside it\n");
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		double alone = 0, beside = 0;

		/* In turns, so that the rest of the machine disturbs both alike. */
		for (unsigned k = 0; k < ROUNDS; k++) {
			alone = mpps(NULL, seconds / ROUNDS, alone);
			beside = mpps(row[i].fn, seconds / ROUNDS, beside);
		}
		printf("%-36s %7.2f   %7.2f   %3.0f %%\n", row[i].name, alone, beside, beside / alone * 100);
	}
	for (unsigned i = 0; i < NR; i++)
		vswitch_port_free(st[i].port);
	vswitch_free(sw);
	clock_free(clock);
	return 0;
}
