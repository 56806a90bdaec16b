/*
 * A switch as its process has it, machines' ports of it, and what goes wrong
 * between them; all in one process, by the sockets of a folder of our own.
 */
#include "base/test.h"

#include "base/le.h"
#include "net/craft.h"
#include "net/link_port.h"
#include "net/link_priv.h"
#include "net/places.h"
#include "net/switchd.h"
#include "net/vswitch_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000

struct owner {				/* of a machine's port */
	struct link_port *link;
	_Atomic unsigned nr, resumes, links, full;
	_Atomic bool up;
	_Atomic unsigned room;
	_Atomic unsigned slow_us;	/* for each frame */
	struct net_frame last;
	uint8_t b[LANE_FRAME_MAX];
	pthread_mutex_t lock;
};

static char dir[64];
static struct switchd *sw;
static pthread_t sw_thread;
static struct owner own[4];
static struct craft craft;
static struct err err;
static _Atomic unsigned looks;		/* for the switch */

static int deliver(void *dev, const struct net_frame *f)
{
	struct owner *o = dev;

	if (atomic_load(&o->room) == 0) {
		atomic_fetch_add(&o->full, 1);
		return -EAGAIN;
	}
	atomic_fetch_sub(&o->room, 1);
	if (atomic_load(&o->slow_us) != 0)
		usleep(atomic_load(&o->slow_us));
	pthread_mutex_lock(&o->lock);
	o->last = *f;
	BUG_IF(!frame_copy(f, 0, o->b, f->len));
	pthread_mutex_unlock(&o->lock);
	atomic_fetch_add(&o->nr, 1);
	return 0;
}

static void resume(void *dev) { atomic_fetch_add(&((struct owner *)dev)->resumes, 1); }

static void set_link(void *dev, bool up, uint64_t bps)
{
	struct owner *o = dev;

	(void)bps;
	atomic_store(&o->up, up);
	atomic_fetch_add(&o->links, 1);
}

static const struct port_client client = { .deliver = deliver, .resume = resume, .link = set_link };

static bool until(bool (*good)(void *arg), void *arg)
{
	for (unsigned i = 0; i < WAIT_MS; i++) {
		if (good(arg))
			return true;
		usleep(1000);
	}
	return false;
}

static void *sw_run(void *idle_ns)
{
	switchd_run(sw, (uint64_t)(uintptr_t)idle_ns, -1);
	return NULL;
}

static void sw_begin(const char *text, uint64_t idle_ns)
{
	struct switch_def d;
	struct place p;
	int listen;

	CHECK_EQ(switch_def_read("lan", text, strlen(text), "it", &d, &err), 0);
	(void)!switch_def_save(&d, false, &err);
	CHECK_EQ(place_runtime(&p, &err), 0);
	listen = place_listen(&p, "lan", &err);
	place_close(&p);
	CHECK(listen >= 0);
	CHECK_EQ(switchd_new(&d, listen, &sw, &err), 0);
	CHECK_EQ(pthread_create(&sw_thread, NULL, sw_run, (void *)(uintptr_t)idle_ns), 0);
}

static void sw_end(void)
{
	switchd_stop(sw);
	pthread_join(sw_thread, NULL);
	switchd_free(sw);
}

static int reach(const char *name, struct err *e)
{
	int s = switch_connect(name, e);

	atomic_fetch_add(&looks, 1);
	return s == -ENOENT ? err_set(e, -ENOENT, "it does not run") : s;
}

static uint64_t mac_of(unsigned i)
{
	return RIG_MAC(i);
}

static int meet(unsigned i, const char *name, const char *words, struct link_port **ret_l)
{
	struct link_port_conf c = { .sw = "lan", .port = name, .words = words, .reach = reach };

	for (unsigned k = 0; k < 6; k++)
		c.mac[k] = (uint8_t)(mac_of(i) >> (40 - 8 * k));
	return link_port_new(&c, ret_l, &err);
}

static bool refused(unsigned i, const char *name, const char *words, const char *say)
{
	struct link_port *l;

	return meet(i, name, words, &l) == -EREMOTEIO && strstr(err.msg, say) != NULL;
}

static bool is_up(void *o) { return atomic_load(&((struct owner *)o)->up); }
static bool is_down(void *o) { return !atomic_load(&((struct owner *)o)->up); }

static void plug(unsigned i, const char *words)
{
	static const struct port_caps caps = {
		.flags = PORT_TAKES_TAG | PORT_TAKES_SUM | PORT_TAKES_LSO4, .max_frame = NET_FRAME_MAX,
	};
	struct owner *o = &own[i];
	char name[8];

	memset(o, 0, sizeof(*o));
	o->room = UINT32_MAX;
	pthread_mutex_init(&o->lock, NULL);
	snprintf(name, sizeof(name), "p%u", i);
	CHECK_EQ(meet(i, name, words, &o->link), 0);
	port_bind(link_port_port(o->link), &client, o, &caps);
	CHECK(until(is_up, o));
}

static void unplug(unsigned i)
{
	port_bind(link_port_port(own[i].link), NULL, NULL, NULL);
	link_port_free(own[i].link);
	own[i].link = NULL;
}

/* Sends what is in CRAFT; was it taken? */
static bool put(unsigned i, uint32_t flags)
{
	struct net_frame f = craft_frame(&craft, flags);

	f.mss = 1000;
	return port_send(link_port_port(own[i].link), &f, 1) == 1;
}

static bool got_one(void *arg)
{
	return atomic_load(&((struct owner *)arg)->nr) != 0;
}

/* Does a frame from A come to B?  C's come in order, so one that is allowed tells of one that is not. */
static bool reaches(unsigned a, unsigned b)
{
	atomic_store(&own[b].nr, 0);
	craft_udp4(&craft, mac_of(b), mac_of(a), 100);
	CHECK(put(a, 0));
	for (unsigned i = 0; i < 300 && !got_one(&own[b]); i++)
		usleep(1000);
	return got_one(&own[b]);
}

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

static void frames_pass_as_they_are(void **s)
{
	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	CHECK(reaches(0, 1));
	CHECK_EQ(own[1].last.len, craft.n);
	CHECK_MEM(own[1].b, craft.b, craft.n);
	/* A large send whose sums are missing stays one frame: this owner takes it so. */
	craft_eth(&craft, mac_of(0), mac_of(1), 0x0800);
	craft_ip4(&craft, 0x0a000001, 0x0a000002, 6);
	craft_tcp(&craft, 80, 4000, 0x10);
	craft_bytes(&craft, NULL, 60000);
	craft_done(&craft);
	/* What it takes is told on another way than frames, and may be behind them. */
	for (unsigned i = 0; i < 100 && own[0].last.len != craft.n; i++) {
		atomic_store(&own[0].nr, 0);
		CHECK(put(1, FRAME_LSO4 | FRAME_SUM_IP | FRAME_SUM_TCP));
		CHECK(until(got_one, &own[0]));
		usleep(10000);
	}
	CHECK_EQ(own[0].last.len, craft.n);
	CHECK_EQ(own[0].last.flags, FRAME_LSO4 | FRAME_SUM_IP | FRAME_SUM_TCP);
	CHECK_EQ(own[0].last.mss, 1000);
	CHECK_EQ(own[0].last.l4_at, 34);
	CHECK_MEM(own[0].b + 54, craft.b + 54, craft.n - 54);
	unplug(0);
	unplug(1);
	sw_end();
}

static void what_an_owner_takes_can_change(void **s)
{
	static const struct port_caps little = { 0 };

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	port_set_caps(link_port_port(own[0].link), &little);
	usleep(500000);
	atomic_store(&own[0].nr, 0);
	craft_eth(&craft, mac_of(0), mac_of(1), 0x0800);
	craft_ip4(&craft, 0x0a000001, 0x0a000002, 6);
	craft_tcp(&craft, 80, 4000, 0x10);
	craft_bytes(&craft, NULL, 5000);
	craft_done(&craft);
	CHECK(put(1, FRAME_LSO4 | FRAME_SUM_IP | FRAME_SUM_TCP));
	for (unsigned i = 0; i < WAIT_MS && atomic_load(&own[0].nr) < 5; i++)
		usleep(1000);
	CHECK_EQ(own[0].nr, 5);
	CHECK_EQ(own[0].last.len, 1054);
	CHECK(craft_sums_right(own[0].b, 1054));
	unplug(0);
	unplug(1);
	sw_end();
}

static void policies_hold(void **s)
{
	(void)s;
	sw_begin("{\"kind\": \"private\", \"policy\": \"vlan=5\", \"ports\": {\"p2\": \"vlan=6\"}}", 0);
	plug(0, "");
	plug(1, "acl=deny in udp remote-mac 00:15:5d:00:00:03");
	plug(2, "vlan=5");		/* its words do not count */
	plug(3, "");
	CHECK(reaches(0, 1));
	CHECK(!reaches(0, 2));
	CHECK(!reaches(3, 1));
	CHECK(reaches(3, 0));
	CHECK(refused(7, "p0", "", "port p0 is there already"));
	CHECK(refused(7, "p9", "vlan=9999", "'vlan=9999': expected"));
	CHECK(refused(0, "p8", "", "is another port's"));
	for (unsigned i = 0; i < 4; i++)
		unplug(i);
	sw_end();
}

static void a_switch_that_goes_comes_back(void **s)
{
	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	CHECK(reaches(0, 1));
	for (unsigned round = 0; round < 3; round++) {
		sw_end();
		CHECK(until(is_down, &own[0]));
		CHECK(until(is_down, &own[1]));
		craft_udp4(&craft, mac_of(1), mac_of(0), 100);
		CHECK(put(0, 0));		/* taken, and lost */
		sw_begin("{\"kind\": \"private\"}", 0);
		CHECK(until(is_up, &own[0]));
		CHECK(until(is_up, &own[1]));
		CHECK(reaches(0, 1));
		CHECK(reaches(1, 0));
	}
	unplug(0);
	unplug(1);
	sw_end();
}

/* A look may start a process: it is not for the guest to say how often. */
static void it_is_not_looked_for_without_end(void **s)
{
	uint64_t t0;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	sw_end();
	CHECK(until(is_down, &own[0]));
	atomic_store(&looks, 0);
	for (t0 = base_monotonic_ns(); base_monotonic_ns() - t0 < 3 * NS_PER_SEC / 2; usleep(1000))
		port_room(link_port_port(own[0].link));
	CHECK(atomic_load(&looks) >= 2);
	CHECK(atomic_load(&looks) <= 5);
	sw_begin("{\"kind\": \"private\"}", 0);
	CHECK(until(is_up, &own[0]));
	unplug(0);
	sw_end();
}

static bool resumed(void *o) { return atomic_load(&((struct owner *)o)->resumes) != 0; }

static void no_room_comes_back_to_the_sender(void **s)
{
	unsigned sent = 0;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "max-out=1M");		/* a burst, then slowly */
	plug(1, "");
	craft_udp4(&craft, mac_of(1), mac_of(0), 1400);
	while (put(0, 0))
		CHECK(++sent < 10000);
	CHECK(sent > LANE_BYTES / 1500);
	CHECK(until(resumed, &own[0]));
	CHECK(put(0, 0));
	unplug(0);
	unplug(1);
	sw_end();
}

static bool was_full(void *o) { return atomic_load(&((struct owner *)o)->full) != 0; }
static unsigned want_nr;
static bool has_all(void *o) { return atomic_load(&((struct owner *)o)->nr) >= want_nr; }

static void who_has_no_room_gets_the_rest_later(void **s)
{
	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	atomic_store(&own[1].room, 10);
	craft_udp4(&craft, mac_of(1), mac_of(0), 100);
	for (unsigned i = 0; i < 100; i++)
		CHECK(put(0, 0));
	CHECK(until(was_full, &own[1]));
	CHECK_EQ(own[1].nr, 10);
	atomic_store(&own[1].room, UINT32_MAX);
	port_room(link_port_port(own[1].link));
	want_nr = 100;
	CHECK(until(has_all, &own[1]));
	unplug(0);
	unplug(1);
	sw_end();
}

/* Frames without end do not keep an owner from hearing what else there is. */
static void news_do_not_wait_for_the_last_frame(void **s)
{
	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	atomic_store(&own[1].slow_us, 1000);
	craft_udp4(&craft, mac_of(1), mac_of(0), 100);
	for (unsigned i = 0; i < 4000; i++)
		CHECK(put(0, 0));
	CHECK(until(got_one, &own[1]));
	sw_end();
	CHECK(until(is_down, &own[1]));
	CHECK(atomic_load(&own[1].nr) < 1000);
	unplug(0);
	unplug(1);
}

static void who_never_drains_costs_nobody_else(void **s)
{
	unsigned taken = 0;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	plug(2, "");
	atomic_store(&own[1].room, 0);
	craft_udp4(&craft, mac_of(1), mac_of(0), 1400);
	for (unsigned i = 0; i < 200000 && taken < 3000; i++)
		if (put(0, 0))
			taken++;
		else
			usleep(1000);
	CHECK_EQ(taken, 3000);		/* four times what its lane holds */
	CHECK(reaches(0, 2));
	CHECK(reaches(2, 0));
	unplug(1);
	CHECK(reaches(2, 0));
	unplug(0);
	unplug(2);
	sw_end();
}

/* ---- strangers -------------------------------------------------------------- */

static int stranger(void)
{
	int sock = switch_connect("lan", &err);

	CHECK(sock >= 0);
	CHECK_EQ(link_limits(sock), 0);
	return sock;
}

static bool refuses(const char *text)
{
	json_t *msg = NULL;
	int sock = stranger();
	bool good;

	CHECK(send(sock, text, strlen(text), 0) >= 0);
	good = link_recv(sock, &msg, NULL) < 0 || *link_text(msg, "error") != '\0';
	json_decref(msg);
	close(sock);
	return good;
}

/* A port of our own, whose memory we have. */
static int plug_hostile(uint8_t **ret_mem)
{
	json_t *ask = json_pack("{s:s, s:s, s:s}", "do", "port", "name", "bad", "mac", "00:15:5d:00:00:0f"), *msg;
	int sock = stranger(), fd;

	CHECK_EQ(link_send(sock, ask, -1), 0);
	CHECK_EQ(link_recv(sock, &msg, &fd), 0);
	CHECK(json_is_true(json_object_get(msg, "ok")));
	*ret_mem = mmap(NULL, LINK_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(*ret_mem != MAP_FAILED);
	CHECK(ftruncate(fd, 0) < 0);	/* it would kill the switch */
	close(fd);
	json_decref(ask);
	json_decref(msg);
	return sock;
}

static bool is_closed(int sock)
{
	char buf[256];
	ssize_t n;

	while ((n = recv(sock, buf, sizeof(buf), 0)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

static void strangers_are_refused(void **s)
{
	static const char *const bad[] = {
		"", "x", "[]", "{}", "{\"do\": 5}", "{\"do\": \"fly\"}", "{\"do\": \"port\"}",
		"{\"do\": \"port\", \"name\": \"../x\", \"mac\": \"00:15:5d:00:00:0f\"}",
		"{\"do\": \"port\", \"name\": \"x\", \"mac\": \"ff:ff:ff:ff:ff:ff\"}",
		"{\"do\": \"port\", \"name\": \"x\", \"mac\": 1}",
		"{\"do\": \"port\", \"name\": \"x\", \"mac\": \"00:15:5d:00:00:0f\", \"words\": \"acl=fly\"}",
		"{\"do\": \"capture\"}",
	};

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(refuses(bad[i]));
	CHECK(reaches(0, 1));
	unplug(0);
	unplug(1);
	sw_end();
}

static void hostile_machines_are_cut_off(void **s)
{
	static const struct { uint32_t off, val; } bad[] = {
		{ 0, 8 },			/* a head that is none */
		{ 0, LANE_BYTES },		/* records of zeros */
		{ 0, UINT32_MAX - 15 },
		{ 4096, UINT32_MAX },		/* a length, once a head says so */
	};
	static const struct link_note wake = { .what = LINK_WAKE }, odd = { .what = 'X' };
	uint8_t *mem;
	int sock;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		sock = plug_hostile(&mem);
		st32(mem + bad[i].off, bad[i].val);
		if (bad[i].off != 0)
			st32(mem, 96);
		CHECK_EQ(send(sock, &wake, sizeof(wake), 0), sizeof(wake));
		CHECK(is_closed(sock));
		close(sock);
		munmap(mem, LINK_MEM);
		CHECK(reaches(0, 1));
	}
	sock = plug_hostile(&mem);
	CHECK_EQ(send(sock, &odd, sizeof(odd), 0), sizeof(odd));
	CHECK(is_closed(sock));
	close(sock);
	munmap(mem, LINK_MEM);
	/* One that lies about what it has read, when somebody writes to it. */
	sock = plug_hostile(&mem);
	st32(mem + LANE_SIZE + 64, 8);
	st32(mem + LANE_SIZE + 68, 1);		/* and says that it sleeps, always */
	craft_udp4(&craft, RIG_MAC(0xf), mac_of(0), 1400);
	for (unsigned i = 0; i < 2000; i++)
		if (!put(0, 0))
			usleep(100);
	CHECK(is_closed(sock));
	close(sock);
	munmap(mem, LINK_MEM);
	CHECK(reaches(0, 1));
	unplug(0);
	unplug(1);
	sw_end();
}

/* Notes without end, changes of what it takes among them, and nobody reads the answers. */
static void floods_of_notes_harm_nobody(void **s)
{
	struct link_note caps = { .what = LINK_CAPS };
	uint8_t *mem;
	int sock;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	sock = plug_hostile(&mem);
	for (unsigned i = 0; i < 20000; i++) {
		caps.caps.flags = i;
		(void)!send(sock, &caps, sizeof(caps), MSG_DONTWAIT);
	}
	CHECK(reaches(0, 1));
	close(sock);
	munmap(mem, LINK_MEM);
	unplug(0);
	unplug(1);
	sw_end();
}

static bool may_spoof(void *o) { return port_may_spoof(link_port_port(((struct owner *)o)->link)); }
static bool may_not_spoof(void *o) { return !may_spoof(o); }

static void say_of_port(const char *port, const char *words)
{
	struct switch_def d;
	json_t *msg = json_pack("{s:s}", "do", "reload"), *got;
	int sock = stranger();

	CHECK_EQ(switch_def_load("lan", &d, &err), 0);
	CHECK_EQ(switch_def_port(&d, port, words, &err), 0);
	CHECK_EQ(switch_def_save(&d, false, &err), 0);
	switch_def_fini(&d);
	CHECK_EQ(link_send(sock, msg, -1), 0);
	CHECK_EQ(link_recv(sock, &got, NULL), 0);
	CHECK(json_is_true(json_object_get(got, "ok")));
	json_decref(msg);
	json_decref(got);
	close(sock);
}

static void an_owner_knows_whether_it_may_spoof(void **s)
{
	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "spoof=on");
	plug(1, "");
	CHECK(until(may_spoof, &own[0]));
	CHECK(!may_spoof(&own[1]));
	say_of_port("p1", "spoof=on");
	CHECK(until(may_spoof, &own[1]));
	say_of_port("p1", "spoof=off");
	CHECK(until(may_not_spoof, &own[1]));
	unplug(0);
	unplug(1);
	sw_end();
}

/* Reads until it hears that the link is up and whether it may SPOOF; how many notes that took, 0: it does not. */
static unsigned read_until(int sock, bool spoof)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct link_note n;
	unsigned nr = 0;

	while (poll(&p, 1, WAIT_MS / 2) > 0 && recv(sock, &n, sizeof(n), 0) == sizeof(n)) {
		nr++;
		if (n.what == LINK_STATE && n.up && (n.spoof != 0) == spoof)
			return nr;
	}
	return 0;
}

/* Who does not read for a while learns how things are when it does. */
static void news_outlive_a_full_socket(void **s)
{
	uint8_t *mem;
	int sock;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	sock = plug_hostile(&mem);
	CHECK(read_until(sock, false) >= 1);
	craft_udp4(&craft, RIG_MAC(0xf), mac_of(0), 20);
	for (unsigned i = 0; i < 2000; i++) {
		st32(mem + LANE_SIZE + 68, 1);		/* it sleeps, and is woken */
		CHECK(put(0, 0));
		usleep(100);
	}
	say_of_port("bad", "spoof=on");
	CHECK(read_until(sock, true) > 50);
	close(sock);
	munmap(mem, LINK_MEM);
	unplug(0);
	sw_end();
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void without_descriptors_it_waits(void **s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct rlimit before, few;
	json_t *msg = json_pack("{s:s}", "do", "show"), *got;
	int sock, first, last;
	uint64_t cpu;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/genvisor/lan.sock", dir);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = (rlim_t)sock + 4;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	first = last = dup(sock);
	for (int fd = first; fd >= 0; fd = dup(sock))
		last = fd;
	CHECK_EQ(connect(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	cpu = cpu_ns();
	usleep(400000);
	CHECK(cpu_ns() - cpu < NS_PER_SEC / 10);
	for (int fd = first; fd <= last; fd++)
		close(fd);
	CHECK_EQ(link_limits(sock), 0);
	CHECK_EQ(link_send(sock, msg, -1), 0);
	CHECK_EQ(link_recv(sock, &got, NULL), 0);
	CHECK_STR(link_text(json_object_get(got, "switch"), "name"), "lan");
	json_decref(msg);
	json_decref(got);
	close(sock);
	setrlimit(RLIMIT_NOFILE, &before);
	sw_end();
}

/* A switch or a machine starts programs. */
static void no_socket_is_inherited(void **s)
{
	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	for (int fd = 3; fd < 256; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
			CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	unplug(0);
	sw_end();
}

/* ---- looking in ------------------------------------------------------------- */

static json_t *ask(const char *what, int *ret_sock)
{
	json_t *msg = json_pack("{s:s}", "do", what), *first = NULL;
	int sock = stranger();

	CHECK_EQ(link_send(sock, msg, -1), 0);
	json_decref(msg);
	CHECK_EQ(link_recv(sock, &first, NULL), 0);
	*ret_sock = sock;
	return first;
}

static void what_happens_can_be_seen(void **s)
{
	json_t *msg, *port, *rule = NULL;
	unsigned ports = 0;
	int sock;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "acl=deny in udp,vlan=0");
	CHECK(!reaches(0, 1));
	CHECK(reaches(1, 0));
	msg = ask("show", &sock);
	CHECK_STR(link_text(json_object_get(msg, "switch"), "name"), "lan");
	while (json_object_get(msg, "end") == NULL) {
		json_decref(msg);
		CHECK_EQ(link_recv(sock, &msg, NULL), 0);
		port = json_object_get(msg, "port");
		ports += port != NULL;
		if (port != NULL && strcmp(link_text(port, "name"), "p1") == 0) {
			CHECK_EQ(json_integer_value(json_object_get(json_object_get(port, "drops"), "acl-in")), 1);
			CHECK_EQ(json_integer_value(json_object_get(port, "sent")), 1);
		}
		if (json_object_get(msg, "rule") != NULL)
			rule = json_incref(json_object_get(msg, "rule"));
	}
	json_decref(msg);
	close(sock);
	CHECK_EQ(ports, 2);
	CHECK_STR(link_text(rule, "rule"), "deny in ip udp");
	CHECK_EQ(json_integer_value(json_object_get(rule, "frames")), 1);
	json_decref(rule);
	unplug(0);
	unplug(1);
	sw_end();
}

/* What the owner of PORT counts as NAME; -1: nothing. */
static json_int_t owner_counts(const char *port, const char *kind, const char *name)
{
	json_int_t n = -1;
	int sock;

	for (json_t *msg = ask("show", &sock);; CHECK_EQ(link_recv(sock, &msg, NULL), 0)) {
		json_t *p = json_object_get(msg, "port"), *owner = json_object_get(p, "owner");
		bool end = json_object_get(msg, "end") != NULL;

		if (owner != NULL && strcmp(link_text(p, "name"), port) == 0 && strcmp(link_text(owner, "kind"), kind) == 0)
			n = json_integer_value(json_object_get(owner, name));
		json_decref(msg);
		if (end)
			break;
	}
	close(sock);
	return n;
}

static void a_way_out_counts(void **s)
{
	json_int_t before, now = 0;

	(void)s;
	sw_begin("{\"kind\": \"nat\"}", 0);
	plug(0, "");
	before = owner_counts("nat", "nat", "from-guests");
	CHECK(before >= 0);
	CHECK_EQ(owner_counts("p0", "nat", "from-guests"), -1);
	craft_udp4(&craft, UINT64_C(0xffffffffffff), mac_of(0), 100);
	CHECK(put(0, 0));
	for (unsigned i = 0; i < WAIT_MS && now <= before; i++, usleep(1000))
		now = owner_counts("nat", "nat", "from-guests");
	CHECK_EQ(now, before + 1);
	unplug(0);
	sw_end();
}

static void a_capture_comes_and_goes(void **s)
{
	char path[96];
	json_t *msg = json_pack("{s:s, s:s}", "do", "capture", "port", "p0"), *got;
	int sock, fd, pipes[2];
	struct stat st;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	snprintf(path, sizeof(path), "%s/x.pcapng", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	sock = stranger();
	CHECK_EQ(link_send(sock, msg, fd), 0);
	CHECK_EQ(link_recv(sock, &got, NULL), 0);
	CHECK_EQ(json_integer_value(json_object_get(got, "ports")), 1);
	json_decref(got);
	CHECK(reaches(0, 1));
	CHECK(reaches(1, 0));
	shutdown(sock, SHUT_WR);
	CHECK_EQ(link_recv(sock, &got, NULL), 0);
	CHECK_EQ(json_integer_value(json_object_get(got, "frames")), 2);
	json_decref(got);
	close(sock);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK(st.st_size > 2 * 142);
	CHECK(reaches(0, 1));
	/* A pipe that nobody empties is no place for a capture. */
	CHECK_EQ(pipe(pipes), 0);
	sock = stranger();
	CHECK_EQ(link_send(sock, msg, pipes[1]), 0);
	CHECK_EQ(link_recv(sock, &got, NULL), 0);
	CHECK(*link_text(got, "error") != '\0');
	json_decref(got);
	json_decref(msg);
	close(sock);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
	unplug(0);
	unplug(1);
	sw_end();
}

static void a_new_definition_counts_at_once(void **s)
{
	struct switch_def d;
	json_t *msg;
	int sock;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", 0);
	plug(0, "");
	plug(1, "");
	CHECK(reaches(0, 1));
	CHECK_EQ(switch_def_load("lan", &d, &err), 0);
	CHECK_EQ(switch_def_port(&d, "p1", "vlan=9", &err), 0);
	CHECK_EQ(switch_def_save(&d, false, &err), 0);
	msg = ask("reload", &sock);
	CHECK(json_is_true(json_object_get(msg, "ok")));
	CHECK_STR(link_text(msg, "later"), "");
	json_decref(msg);
	close(sock);
	CHECK(!reaches(0, 1));
	CHECK_EQ(switch_def_port(&d, "p1", NULL, &err), 0);
	d.kind = VSWITCH_NAT;
	CHECK_EQ(switch_def_check(&d, &err), 0);
	CHECK_EQ(switch_def_save(&d, false, &err), 0);
	switch_def_fini(&d);
	msg = ask("reload", &sock);
	CHECK(strstr(link_text(msg, "later"), "starts the next time") != NULL);
	json_decref(msg);
	close(sock);
	msg = ask("reload", &sock);	/* it is still not so */
	CHECK(strstr(link_text(msg, "later"), "starts the next time") != NULL);
	json_decref(msg);
	close(sock);
	CHECK(reaches(0, 1));
	msg = ask("stop", &sock);
	CHECK(strstr(link_text(msg, "error"), "in use by 2 adapters") != NULL);
	json_decref(msg);
	close(sock);
	unplug(0);
	unplug(1);
	sw_end();
}

static void it_ends_when_nobody_is_left(void **s)
{
	uint64_t t0;

	(void)s;
	sw_begin("{\"kind\": \"private\"}", NS_PER_SEC / 5);
	plug(0, "");
	usleep(400000);
	CHECK(own[0].up);
	t0 = base_monotonic_ns();
	unplug(0);
	pthread_join(sw_thread, NULL);
	CHECK(base_monotonic_ns() - t0 >= NS_PER_SEC / 5);
	switchd_free(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_pass_as_they_are, begin, end),
		cmocka_unit_test_setup_teardown(what_an_owner_takes_can_change, begin, end),
		cmocka_unit_test_setup_teardown(policies_hold, begin, end),
		cmocka_unit_test_setup_teardown(a_switch_that_goes_comes_back, begin, end),
		cmocka_unit_test_setup_teardown(it_is_not_looked_for_without_end, begin, end),
		cmocka_unit_test_setup_teardown(no_room_comes_back_to_the_sender, begin, end),
		cmocka_unit_test_setup_teardown(who_has_no_room_gets_the_rest_later, begin, end),
		cmocka_unit_test_setup_teardown(news_do_not_wait_for_the_last_frame, begin, end),
		cmocka_unit_test_setup_teardown(who_never_drains_costs_nobody_else, begin, end),
		cmocka_unit_test_setup_teardown(strangers_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(hostile_machines_are_cut_off, begin, end),
		cmocka_unit_test_setup_teardown(floods_of_notes_harm_nobody, begin, end),
		cmocka_unit_test_setup_teardown(an_owner_knows_whether_it_may_spoof, begin, end),
		cmocka_unit_test_setup_teardown(news_outlive_a_full_socket, begin, end),
		cmocka_unit_test_setup_teardown(without_descriptors_it_waits, begin, end),
		cmocka_unit_test_setup_teardown(no_socket_is_inherited, begin, end),
		cmocka_unit_test_setup_teardown(what_happens_can_be_seen, begin, end),
		cmocka_unit_test_setup_teardown(a_way_out_counts, begin, end),
		cmocka_unit_test_setup_teardown(a_capture_comes_and_goes, begin, end),
		cmocka_unit_test_setup_teardown(a_new_definition_counts_at_once, begin, end),
		cmocka_unit_test_setup_teardown(it_ends_when_nobody_is_left, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
