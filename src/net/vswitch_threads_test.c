/* Several senders, receivers that run full, and changes meanwhile; most useful under TSan. */
#include "base/test.h"

#include "dev/clock.h"
#include "net/craft.h"
#include "net/vswitch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define SENDERS 4
#define UPLINKS 2
#define FRAMES 20000

struct station {
	struct port *port;
	unsigned i;
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool resumed, owes;
	unsigned room;			/* [lock] */
	uint64_t got;			/* [lock] */
	atomic_bool bound;
};

static struct clock *the_clock;
static struct vswitch *sw;
static struct station st[SENDERS + 1], up[UPLINKS];
static atomic_bool stop;

static int deliver(void *dev, const struct net_frame *f)
{
	struct station *t = dev;
	uint8_t b[64];
	int rc = -EAGAIN;

	BUG_IF(!atomic_load(&t->bound) || !frame_copy(f, 0, b, (uint32_t)min_u64(f->len, sizeof(b))));
	pthread_mutex_lock(&t->lock);
	if (t->room > 0) {
		t->room--;
		t->got++;
		rc = 0;
	} else {
		t->owes = true;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static void resume(void *dev)
{
	struct station *t = dev;

	pthread_mutex_lock(&t->lock);
	t->resumed = true;
	pthread_cond_signal(&t->more);
	pthread_mutex_unlock(&t->lock);
}

static const struct port_client client = { .deliver = deliver, .resume = resume };

static void *sender(void *arg)
{
	struct station *t = arg;
	static struct craft craft[SENDERS];
	struct craft *c = &craft[t->i];

	for (unsigned n = 0; n < FRAMES; n++) {
		struct net_frame f;

		craft_udp4(c, n % 50 == 0 ? 0xffffffffffff : n % 7 == 0 ? 0x020000000001 :
			   0x00155d000000u + (n + t->i) % SENDERS, 0x00155d000000u + t->i, 100);
		f = craft_frame(c, FRAME_SUM_UDP);
		while (port_send(t->port, &f, 1) == 0) {
			pthread_mutex_lock(&t->lock);
			while (!t->resumed)
				pthread_cond_wait(&t->more, &t->lock);
			t->resumed = false;
			pthread_mutex_unlock(&t->lock);
		}
	}
	return NULL;
}

/* The guests' side: drains now and then. */
static void *drain(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		for (unsigned i = 0; i < SENDERS + UPLINKS; i++) {
			struct station *t = i < SENDERS ? &st[i] : &up[i - SENDERS];
			bool owes;

			pthread_mutex_lock(&t->lock);
			t->room = 30;
			owes = t->owes;
			t->owes = false;
			pthread_mutex_unlock(&t->lock);
			if (owes)
				port_room(t->port);
		}
		usleep(100);
	}
	return NULL;
}

static void *change(void *arg)
{
	static const struct acl_rule rule = { .dirs = ACL_OUT | ACL_IN, .action = ACL_METER };
	struct port_policy p = { .acl = &rule, .nr_acl = 1, .max_in_bps = 1000000000, .storm_limit = 100000,
				 .guard.dhcp = true };
	struct port_conf conf = { .name = "late", .mac = { 2 } };
	struct station *t = &st[SENDERS];
	struct port_stats s;

	(void)arg;
	for (unsigned n = 0; !atomic_load(&stop); n++) {
		BUG_IF(vswitch_set_policy(st[n % SENDERS].port, &p, NULL) < 0);
		vswitch_port_stats(st[n % SENDERS].port, &s);
		BUG_IF(vswitch_port(sw, &conf, &t->port, NULL) < 0);
		atomic_store(&t->bound, true);
		t->room = 5;
		port_bind(t->port, &client, t, NULL);
		usleep(500);
		if (n & 1) {
			port_bind(t->port, NULL, NULL, NULL);
			atomic_store(&t->bound, false);
		}
		vswitch_port_free(t->port);
		atomic_store(&t->bound, false);
		port_carrier(up[n % UPLINKS].port, n % 3 != 0);
		port_set_caps(st[n % SENDERS].port, &(struct port_caps){ .flags = n % 2 ? PORT_TAKES_SUM : 0 });
		p.min_weight = n % 100;
		p.max_out_bps = n % 3 == 0 ? 200000000 : 0;
	}
	return NULL;
}

static void traffic_goes_on_while_ports_and_policies_change(void **s)
{
	struct vswitch_conf conf = { .kind = VSWITCH_EXTERNAL, .team = TEAM_DYNAMIC };
	pthread_t thr[SENDERS + 2];
	uint64_t sent = 0;

	(void)s;
	CHECK_EQ(clock_new(&the_clock), 0);
	CHECK_EQ(vswitch_new(&conf, the_clock, &sw, NULL), 0);
	for (unsigned i = 0; i <= SENDERS; i++) {
		struct port_conf pc = { .name = "x", .mac = { 0, 0x15, 0x5d, 0, 0, (uint8_t)i } };

		st[i].i = i;
		pthread_mutex_init(&st[i].lock, NULL);
		pthread_cond_init(&st[i].more, NULL);
		if (i == SENDERS)
			break;
		CHECK_EQ(vswitch_port(sw, &pc, &st[i].port, NULL), 0);
		atomic_store(&st[i].bound, true);
		port_bind(st[i].port, &client, &st[i], NULL);
	}
	for (unsigned i = 0; i < UPLINKS; i++) {
		struct port_conf pc = { .name = "up", .role = PORT_UPLINK, .bps = 10000000000 };

		pthread_mutex_init(&up[i].lock, NULL);
		pthread_cond_init(&up[i].more, NULL);
		CHECK_EQ(vswitch_port(sw, &pc, &up[i].port, NULL), 0);
		atomic_store(&up[i].bound, true);
		port_bind(up[i].port, &client, &up[i], NULL);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		CHECK_EQ(pthread_create(&thr[i], NULL, sender, &st[i]), 0);
	CHECK_EQ(pthread_create(&thr[SENDERS], NULL, drain, NULL), 0);
	CHECK_EQ(pthread_create(&thr[SENDERS + 1], NULL, change, NULL), 0);
	for (unsigned i = 0; i < SENDERS + 2; i++) {
		if (i == SENDERS)
			atomic_store(&stop, true);
		pthread_join(thr[i], NULL);
	}
	for (unsigned i = 0; i < SENDERS; i++) {
		struct port_stats p;

		vswitch_port_stats(st[i].port, &p);
		sent += p.sent + p.drops[DROP_NOWHERE];
		CHECK_EQ(p.received, st[i].got);
		vswitch_port_free(st[i].port);
	}
	for (unsigned i = 0; i < UPLINKS; i++)
		vswitch_port_free(up[i].port);
	CHECK_EQ(sent, SENDERS * FRAMES);
	vswitch_free(sw);
	clock_free(the_clock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(traffic_goes_on_while_ports_and_policies_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
