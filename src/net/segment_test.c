/*
 * segment_test.c - large sends to an owner with room for a few frames
 */
#include "base/test.h"

#include "base/le.h"
#include "net/craft.h"
#include "net/segment.c"	/* the file under test, statics and all */

#define A 0x00155d000001
#define B 0x00155d000002
#define KEEP 128u

struct inner {				/* the switch */
	struct port port;
	const struct port_client *client;
	void *dev;
	struct port_caps caps;
	unsigned rooms, sent;
};

struct owner {
	unsigned nr, room;		/* frames taken; how many more it takes */
	unsigned ends, resumes, links;
	uint32_t len[KEEP];
	uint8_t b[KEEP][2048];
};

static struct craft c;
static struct inner in;
static struct owner own;
static struct segmenter *seg;

static unsigned in_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	(void)p, (void)f;
	in.sent += nr;
	return nr;
}

static void in_room(struct port *p)
{
	(void)p;
	in.rooms++;
}

static void in_bind(struct port *p, const struct port_client *client, void *dev, const struct port_caps *caps)
{
	(void)p;
	in.client = client;
	in.dev = dev;
	if (client == NULL)
		return;
	in.caps = *caps;
	client->link(dev, true, 1);
}

static void in_caps(struct port *p, const struct port_caps *caps)
{
	(void)p;
	in.caps = *caps;
}

static const struct port_ops in_ops = { .send = in_send, .room = in_room, .bind = in_bind, .set_caps = in_caps };

static int own_deliver(void *dev, const struct net_frame *f)
{
	(void)dev;
	CHECK_EQ(f->flags & ~(uint32_t)FRAME_SUM_OK, 0);
	if (own.room == 0)
		return -EAGAIN;
	own.room--;
	CHECK(f->len <= 1518 && frame_copy(f, 0, own.b[own.nr % KEEP], f->len));
	own.len[own.nr++ % KEEP] = f->len;
	return 0;
}

static void own_end(void *dev) { (void)dev; own.ends++; }
static void own_resume(void *dev) { (void)dev; own.resumes++; }
static void own_link(void *dev, bool up, uint64_t bps) { (void)dev, (void)bps; own.links += up; }

static const struct port_client own_client = { own_deliver, own_end, own_resume, own_link };

static void begin_test(void)
{
	const struct port_caps caps = { .max_frame = 1514 };

	memset(&in, 0, sizeof(in));
	memset(&own, 0, sizeof(own));
	in.port.ops = &in_ops;
	in.port.mac[5] = 7;
	CHECK_EQ(segmenter_new(&in.port, &seg, NULL), 0);
	CHECK_EQ(segmenter_port(seg)->mac[5], 7);
	port_bind(segmenter_port(seg), &own_client, &own, &caps);
	CHECK_EQ(own.links, 1);
	CHECK_EQ(in.caps.flags, PORT_TAKES_TAG | PORT_TAKES_SUM | PORT_TAKES_LSO4 | PORT_TAKES_LSO6);
	CHECK_EQ(in.caps.max_frame, 1514);
}

static void end_test(void)
{
	port_bind(segmenter_port(seg), NULL, NULL, NULL);
	CHECK(in.client == NULL);
	segmenter_free(seg);
}

/* A large send of N payload bytes, in segments of 1000. */
static int large(uint32_t n, uint32_t seq)
{
	struct net_frame f;

	craft_eth(&c, B, A, ETH_IP4);
	craft_ip4(&c, 0x0a000001, 0x0a000002, IP_TCP);
	craft_tcp(&c, 1000, 80, 0x18);
	craft_bytes(&c, NULL, n);
	craft_done(&c);
	for (unsigned i = 0; i < 4; i++)
		c.b[c.l4 + 4 + i] = (uint8_t)(seq >> (24 - 8 * i));
	f = craft_frame(&c, FRAME_LSO4 | FRAME_SUM_IP | FRAME_SUM_TCP);
	f.mss = 1000;
	return in.client->deliver(in.dev, &f);
}

static int small(uint32_t n)
{
	struct net_frame f;

	craft_udp4(&c, B, A, n);
	f = craft_frame(&c, FRAME_SUM_OK);
	return in.client->deliver(in.dev, &f);
}

/* The owner's frame AT is segment I of a send of N bytes from SEQ on. */
static void check_segment(unsigned at, unsigned i, uint32_t n, uint32_t seq)
{
	const uint8_t *b = own.b[at % KEEP];
	uint32_t part = i * 1000 + 1000 <= n ? 1000 : n - i * 1000, got = 0;

	CHECK_EQ(own.len[at % KEEP], 54 + part);
	CHECK(craft_sums_right(b, 54 + part));
	for (unsigned k = 0; k < 4; k++)
		got = got << 8 | b[34 + 4 + k];
	CHECK_EQ(got, seq + i * 1000);
	CHECK_EQ((b[47] & 8) != 0, i * 1000 + 1000 >= n);	/* PSH with the last */
	CHECK_MEM(b + 54, c.b + 54 + i * 1000, part);
}

static void it_goes_on_where_it_was(void **s)
{
	(void)s;
	begin_test();
	own.room = 3;
	CHECK_EQ(large(9500, 77), 0);		/* taken, and three of ten have room */
	CHECK_EQ(own.nr, 3);
	CHECK_EQ(small(10), -EAGAIN);
	port_room(segmenter_port(seg));		/* without need */
	CHECK_EQ(own.nr, 3);
	CHECK_EQ(in.rooms, 0);
	own.room = 1;
	port_room(segmenter_port(seg));
	CHECK_EQ(own.nr, 4);
	own.room = 5;
	port_room(segmenter_port(seg));
	CHECK_EQ(own.nr, 9);
	CHECK_EQ(small(10), -EAGAIN);
	own.room = 9;
	craft_eth(&c, 0, 0, 0);			/* the switch's bytes are long gone */
	memset(c.b, 0xee, sizeof(c.b));
	port_room(segmenter_port(seg));
	CHECK_EQ(own.nr, 10);
	CHECK_EQ(in.rooms, 1);
	own.room = 0;
	CHECK_EQ(large(9500, 77), -EAGAIN);	/* only for its bytes */
	for (unsigned i = 0; i < 10; i++)
		check_segment(i, i, 9500, 77);
	own.room = 1;
	port_room(segmenter_port(seg));
	CHECK_EQ(in.rooms, 2);
	CHECK_EQ(small(10), 0);
	CHECK_EQ(own.nr, 11);
	end_test();
}

static void what_found_no_room_at_all_stays_with_the_switch(void **s)
{
	(void)s;
	begin_test();
	CHECK_EQ(large(5000, 1), -EAGAIN);
	CHECK_EQ(small(10), -EAGAIN);
	own.room = 100;
	port_room(segmenter_port(seg));
	CHECK_EQ(in.rooms, 1);
	port_room(segmenter_port(seg));
	CHECK_EQ(in.rooms, 1);
	CHECK_EQ(own.nr, 0);
	CHECK_EQ(large(5000, 1), 0);
	CHECK_EQ(own.nr, 5);
	for (unsigned i = 0; i < 5; i++)
		check_segment(i, i, 5000, 1);
	end_test();
}

static void the_longest_goes_through_four_buffers(void **s)
{
	const uint32_t n = 65535 - 40;
	unsigned turns = 0;

	(void)s;
	begin_test();
	for (own.room = 4; own.nr < 66; turns++, own.room = 4) {
		if (turns == 0)
			CHECK_EQ(large(n, 0), 0);
		else
			port_room(segmenter_port(seg));
	}
	CHECK_EQ(turns, 17);
	for (unsigned i = 0; i < 66; i++)
		check_segment(i, i, n, 0);
	end_test();
}

static void a_frame_of_too_many_pieces_is_put_together(void **s)
{
	struct iovec iov[NET_IOV_OUT];
	struct net_frame f;

	(void)s;
	begin_test();
	craft_udp4(&c, B, A, 100);
	f = craft_frame(&c, FRAME_SUM_OK);
	for (unsigned i = 0; i < NET_IOV_OUT; i++)
		iov[i] = (struct iovec){ c.b + 2 * i, i + 1 < NET_IOV_OUT ? 2 : f.len - 2 * i };
	f.iov = iov;
	f.nr_iov = NET_IOV_OUT;
	CHECK_EQ(in.client->deliver(in.dev, &f), -EAGAIN);
	own.room = 1;
	CHECK_EQ(in.client->deliver(in.dev, &f), 0);
	CHECK_EQ(own.len[0], f.len);
	CHECK_MEM(own.b[0], c.b, f.len);
	end_test();
}

static void the_rest_passes_through(void **s)
{
	struct net_frame f;

	(void)s;
	begin_test();
	craft_udp4(&c, B, A, 100);
	f = craft_frame(&c, 0);
	CHECK_EQ(port_send(segmenter_port(seg), &f, 1), 1);
	CHECK_EQ(in.sent, 1);
	in.client->deliver_end(in.dev);
	in.client->resume(in.dev);
	CHECK_EQ(own.ends, 1);
	CHECK_EQ(own.resumes, 1);
	CHECK(!port_may_spoof(segmenter_port(seg)));
	own.room = 1;
	CHECK_EQ(large(3000, 0), 0);
	end_test();			/* with a part of it still to go */
	base_fail_alloc(1);
	CHECK_EQ(segmenter_new(&in.port, &seg, NULL), -ENOMEM);
	base_fail_alloc(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_goes_on_where_it_was),
		cmocka_unit_test(what_found_no_room_at_all_stays_with_the_switch),
		cmocka_unit_test(the_longest_goes_through_four_buffers),
		cmocka_unit_test(a_frame_of_too_many_pieces_is_put_together),
		cmocka_unit_test(the_rest_passes_through),
	};

	return cmocka_run_group_tests_name("net-segment", tests, NULL, NULL);
}
