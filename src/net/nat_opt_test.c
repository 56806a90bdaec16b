#include "base/test.h"

#include "net/nat_opt.c"	/* the file under test, statics and all */

static struct nat_conf c;
static struct err err;

static void nat_alone_is_the_usual_network(void **s)
{
	(void)s;
	CHECK_EQ(nat_parse("nat", &c, &err), 0);
	CHECK_EQ(c.net, 0x0a000200);
	CHECK_EQ(c.prefix, 24);
	CHECK_EQ(c.nr_fwd, 0);
	CHECK_STR(c.tftp, "");
	CHECK_STR(c.bootfile, "");
	CHECK(!c.host_loopback);
	CHECK_EQ(nat_parse("nat,hostloopback=on", &c, &err), 0);
	CHECK(c.host_loopback);
	CHECK_EQ(nat_parse("nat,hostloopback=on,hostloopback=off", &c, &err), 0);
	CHECK(!c.host_loopback);
}

static void every_word_in_any_order(void **s)
{
	static const struct in6_addr one = IN6ADDR_LOOPBACK_INIT;

	(void)s;
	CHECK_EQ(nat_parse("nat,hostfwd=tcp:0.0.0.0:2222-192.168.7.20:22,tftp=/srv/boot:x=y,bootfile=pxe/l.0,"
			   "net=192.168.7.0/27,hostfwd=udp::53-:5353,hostfwd=tcp:[::1]:80-[fec0::9]:8080",
			   &c, &err), 0);
	CHECK_EQ(c.net, 0xc0a80700);
	CHECK_EQ(c.prefix, 27);
	CHECK_STR(c.tftp, "/srv/boot:x=y");
	CHECK_STR(c.bootfile, "pxe/l.0");
	CHECK_EQ(c.nr_fwd, 3);
	CHECK(!c.fwd[0].udp && !c.fwd[0].host.v6);
	CHECK_EQ(c.fwd[0].host.v4.s_addr, 0);
	CHECK_EQ(c.fwd[0].host.port, 2222);
	CHECK_EQ(ntohl(c.fwd[0].guest.v4.s_addr), 0xc0a80714);
	CHECK_EQ(c.fwd[0].guest.port, 22);
	CHECK(c.fwd[1].udp);
	CHECK_EQ(ntohl(c.fwd[1].host.v4.s_addr), INADDR_LOOPBACK);
	CHECK_EQ(c.fwd[1].guest.v4.s_addr, 0);
	CHECK_EQ(c.fwd[1].guest.port, 5353);
	CHECK(c.fwd[2].host.v6 && c.fwd[2].guest.v6);
	CHECK_MEM(&c.fwd[2].host.v6_addr, &one, 16);
	CHECK_EQ(c.fwd[2].guest.port, 8080);
}

static void what_is_wrong_is_said(void **s)
{
	static const struct { const char *text, *msg; } t[] = {
		{ "", "nat: '' is not nat" },
		{ "natter", "nat: 'natter' is not nat" },
		{ "nat,", "nat: '': expected hostfwd=, tftp=, bootfile=, net= or hostloopback=" },
		{ "nat,smb=/x", "nat: 'smb=': expected hostfwd=, tftp=, bootfile=, net= or hostloopback=" },
		{ "nat,hostloopback", "nat: 'hostloopback': expected hostfwd=, tftp=, bootfile=, net= or hostloopback=" },
		{ "nat,hostloopback=yes", "nat: hostloopback=yes: expected on or off" },
		{ "nat,net=10.0.2.0", "nat: net=10.0.2.0: a length is missing, as in 10.0.2.0/24" },
		{ "nat,net=10.0.2/24", "nat: net=10.0.2/24: '10.0.2' is no IPv4 address" },
		{ "nat,net=10.0.2.0/28", "nat: net=10.0.2.0/28: the length is from 8 to 27" },
		{ "nat,net=10.0.2.0/+9", "nat: net=10.0.2.0/+9: the length is from 8 to 27" },
		{ "nat,net=10.0.2.1/24", "nat: net=10.0.2.1/24: the address has bits set after the first 24" },
		{ "nat,net=127.0.0.0/8", "nat: net=127.0.0.0/8: no network of hosts" },
		{ "nat,net=224.0.0.0/8", "nat: net=224.0.0.0/8: no network of hosts" },
		{ "nat,tftp=", "nat: tftp=: nothing there" },
		{ "nat,hostfwd=", "nat: hostfwd=: expected PROTO:[HOSTADDR]:PORT-[GUESTADDR]:PORT" },
		{ "nat,hostfwd=tcp::22", "nat: hostfwd=tcp::22: a '-' and the guest's end are missing" },
		{ "nat,hostfwd=sctp::22-:22", "nat: hostfwd=sctp::22-:22: 'sctp' is neither tcp nor udp" },
		{ "nat,hostfwd=tcp:22-:22",
		  "nat: hostfwd=tcp:22-:22: '22' is no host end, expected [ADDRESS]:PORT" },
		{ "nat,hostfwd=tcp::0-:22", "nat: hostfwd=tcp::0-:22: host port '0' is not from 1 to 65535" },
		{ "nat,hostfwd=tcp::22-:65536",
		  "nat: hostfwd=tcp::22-:65536: guest port '65536' is not from 1 to 65535" },
		{ "nat,hostfwd=tcp:lo:22-:22",
		  "nat: hostfwd=tcp:lo:22-:22: host address 'lo' is no IPv4 address (IPv6 goes in brackets)" },
		{ "nat,hostfwd=tcp:[::x]:22-:22",
		  "nat: hostfwd=tcp:[::x]:22-:22: host address '::x' is no IPv6 address" },
		{ "nat,hostfwd=tcp:[::1]:22-:22",
		  "nat: hostfwd=tcp:[::1]:22-:22: one end is IPv6, the other is not" },
		{ "nat,hostfwd=tcp::22-10.0.3.15:22",
		  "nat: hostfwd=: guest address 10.0.3.15 is not in the network" },
		{ "nat,hostfwd=tcp::22-10.0.2.2:22", "nat: hostfwd=: 10.0.2.2 can be no guest's address" },
		{ "nat,hostfwd=tcp::22-10.0.2.255:22", "nat: hostfwd=: 10.0.2.255 can be no guest's address" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		c.prefix = 99;
		CHECK_EQ(nat_parse(t[i].text, &c, &err), -EINVAL);
		CHECK_STR(err.msg, t[i].msg);
		CHECK_EQ(c.prefix, 99);			/* untouched */
		CHECK_EQ(nat_parse(t[i].text, &c, NULL), -EINVAL);
	}
}

static void what_is_too_long_is_refused(void **s)
{
	static char text[4096] = "nat";

	(void)s;
	for (unsigned i = 0; i < NAT_FWD_MAX; i++)
		strcat(text, ",hostfwd=tcp::1-:1");
	CHECK_EQ(nat_parse(text, &c, &err), 0);
	CHECK_EQ(c.nr_fwd, NAT_FWD_MAX);
	strcat(text, ",hostfwd=tcp::1-:1");
	CHECK_EQ(nat_parse(text, &c, &err), -E2BIG);
	for (size_t n = 0; n < 2000; n += 37) {
		memset(text, 'x', sizeof(text) - 1);
		text[13 + n] = '\0';
		memcpy(text, "nat,bootfile=", 13);
		CHECK_EQ(nat_parse(text, &c, &err), n > 0 && n < 128 ? 0 : -EINVAL);
		memcpy(text, "nat,hostfwd=x", 13);
		CHECK_EQ(nat_parse(text, &c, &err), -EINVAL);
	}
}

/* Every prefix of a good text, and every byte of it replaced: an answer, and memory in order. */
static void damaged_words_are_answered(void **s)
{
	static const char good[] = "nat,hostfwd=tcp:[::1]:80-[fec0::9]:8080,net=10.0.2.0/24,tftp=a,bootfile=b";
	char text[sizeof(good)];

	(void)s;
	for (size_t n = 0; n < sizeof(good); n++) {
		memcpy(text, good, sizeof(good));
		text[n] = '\0';
		(void)!nat_parse(text, &c, &err);
		for (unsigned b = 1; n + 1 < sizeof(good) && b < 256; b++) {
			memcpy(text, good, sizeof(good));
			text[n] = (char)b;
			(void)!nat_parse(text, &c, &err);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nat_alone_is_the_usual_network),
		cmocka_unit_test(every_word_in_any_order),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(damaged_words_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
