/*
 * jack_test.c - a cable that goes in and out, under load too
 */
#include "base/test.h"

#include "net/jack.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const uint8_t mac[6] = { 0x00, 0x15, 0x5d, 1, 2, 3 };

/* A switch with one port. */
struct end {
	struct port port;
	atomic_uint sent, rooms, binds;
	unsigned take;			/* of one call */
	const struct port_client *client;
	void *dev;
	struct port_caps caps;
	atomic_bool gone;		/* nobody may call any more */
};

static unsigned end_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	struct end *e = CONTAINER_OF(p, struct end, port);

	(void)f;
	CHECK(!atomic_load(&e->gone));
	nr = nr < e->take ? nr : e->take;
	atomic_fetch_add(&e->sent, nr);
	return nr;
}

static void end_room(struct port *p)
{
	atomic_fetch_add(&CONTAINER_OF(p, struct end, port)->rooms, 1);
}

static void end_bind(struct port *p, const struct port_client *client, void *dev, const struct port_caps *caps)
{
	struct end *e = CONTAINER_OF(p, struct end, port);

	atomic_fetch_add(&e->binds, 1);
	e->client = client;
	e->dev = dev;
	if (client == NULL)
		return;
	e->caps = *caps;
	client->link(dev, true, 1000);
}

static void end_set_caps(struct port *p, const struct port_caps *caps)
{
	CONTAINER_OF(p, struct end, port)->caps = *caps;
}

static bool end_may_spoof(const struct port *p)
{
	return ((const struct end *)p)->take == 1;
}

static const struct port_ops end_ops = {
	.send = end_send, .room = end_room, .bind = end_bind, .set_caps = end_set_caps,
	.may_spoof = end_may_spoof,
};

struct owner {
	unsigned delivered, ends, downs, ups;
	atomic_uint resumes;
	bool up;
};

static int own_deliver(void *dev, const struct net_frame *f)
{
	(void)f;
	((struct owner *)dev)->delivered++;
	return 0;
}

static void own_deliver_end(void *dev)
{
	((struct owner *)dev)->ends++;
}

static void own_resume(void *dev)
{
	atomic_fetch_add(&((struct owner *)dev)->resumes, 1);
}

static void own_link(void *dev, bool up, uint64_t bps)
{
	struct owner *o = dev;

	CHECK_EQ(bps, up ? 1000 : 0);
	o->up = up;
	o->ups += up;
	o->downs += !up;
}

static const struct port_client own = {
	.deliver = own_deliver, .deliver_end = own_deliver_end, .resume = own_resume, .link = own_link,
};

static const struct net_frame frames[4];

static void goes_where_it_is_plugged_in(void **s)
{
	struct end a = { .port.ops = &end_ops, .take = 4 }, b = { .port.ops = &end_ops, .take = 1 };
	const struct port_caps caps = { .max_frame = 1514 }, more = { .max_frame = 9014 };
	struct owner o = { 0 };
	struct port *p;
	struct jack *j;
	unsigned resumes;

	(void)s;
	CHECK_EQ(jack_new(mac, "net0", &j), 0);
	p = jack_port(j);
	CHECK_MEM(p->mac, mac, 6);
	port_bind(p, &own, &o, &caps);
	CHECK(!o.up && !jack_is_up(j));
	CHECK_EQ(port_send(p, frames, 4), 4);	/* into the air */
	CHECK(!port_may_spoof(p));
	port_set_caps(p, &more);
	jack_plug(j, &a.port);
	CHECK(o.up && jack_is_up(j));
	CHECK_EQ(a.caps.max_frame, 9014);
	CHECK_EQ(port_send(p, frames, 4), 4);
	CHECK_EQ(atomic_load(&a.sent), 4);
	CHECK_EQ(a.client->deliver(a.dev, frames), 0);
	a.client->deliver_end(a.dev);
	CHECK_EQ(o.delivered, 1);
	CHECK_EQ(o.ends, 1);

	/* Another switch: down and up between, and who waited for the one does not wait for ever. */
	resumes = atomic_load(&o.resumes);
	o.downs = 0;
	jack_plug(j, &b.port);
	CHECK_EQ(o.downs, 1);
	CHECK(o.up);
	CHECK(a.client == NULL);
	CHECK(atomic_load(&o.resumes) > resumes);
	CHECK_EQ(port_send(p, frames, 4), 1);
	CHECK(port_may_spoof(p));
	port_room(p);
	CHECK_EQ(atomic_load(&b.rooms), 1);

	/* Pulled, twice; a plug that comes meanwhile stays out. */
	jack_cable(j, false);
	jack_cable(j, false);
	CHECK_EQ(o.downs, 2);
	CHECK(b.client == NULL && !jack_is_up(j));
	CHECK_EQ(port_send(p, frames, 4), 4);
	jack_plug(j, &a.port);
	CHECK(a.client == NULL && !o.up);
	jack_cable(j, true);
	CHECK(a.client != NULL && o.up);

	/* The link as the switch has it. */
	a.client->link(a.dev, false, 0);
	CHECK(!o.up && !jack_is_up(j));
	a.client->link(a.dev, true, 1000);

	port_bind(p, NULL, NULL, NULL);
	CHECK(a.client == NULL);
	jack_plug(j, NULL);
	jack_free(j);
}

struct load {
	struct port *p;
	atomic_bool stop;
};

static void *load_main(void *arg)
{
	struct load *l = arg;

	while (!atomic_load(&l->stop)) {
		CHECK_EQ(port_send(l->p, frames, 4), 4);
		port_room(l->p);
	}
	return NULL;
}

/* Senders on every processor; a switch is gone the moment that it was unplugged. */
static void what_is_unplugged_is_not_called(void **s)
{
	static struct end e[200];
	struct owner o = { 0 };
	const struct port_caps caps = { 0 };
	struct load l = { 0 };
	pthread_t t[4];
	struct jack *j;
	uint64_t sent = 0;

	(void)s;
	CHECK_EQ(jack_new(mac, "net0", &j), 0);
	l.p = jack_port(j);
	port_bind(l.p, &own, &o, &caps);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, load_main, &l), 0);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++) {
		e[i] = (struct end){ .port.ops = &end_ops, .take = 4 };
		jack_plug(j, &e[i].port);
		usleep(500);
		if (i % 3 == 0) {
			jack_cable(j, false);
			jack_cable(j, true);
		}
		jack_plug(j, NULL);
		atomic_store(&e[i].gone, true);
	}
	atomic_store(&l.stop, true);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++)
		sent += atomic_load(&e[i].sent);
	CHECK(sent > 0);
	port_bind(l.p, NULL, NULL, NULL);
	jack_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_where_it_is_plugged_in),
		cmocka_unit_test(what_is_unplugged_is_not_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
