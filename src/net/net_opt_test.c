#include "base/test.h"

#include "net/acl_opt.h"
#include "net/net_opt.h"
#include "net/words.h"

#include <stdlib.h>
#include <string.h>

static struct err err;
static struct net_opt o;
static struct port_opt p;

/* WORDS as the policy of a port; 0 or an error. */
static int words(const char *text)
{
	int rc;

	port_opt_fini(&p);
	err.msg[0] = '\0';
	rc = port_opt_parse(&p, text, &err);
	return rc < 0 ? rc : port_opt_check(&p, &err);
}

static void rates_have_units(void **s)
{
	static const struct { const char *text; uint64_t bps; } good[] = {
		{ "0", 0 }, { "1500", 1500 }, { "64k", 64000 }, { "64kbit", 64000 }, { "100M", 100000000 },
		{ "1G", 1000000000 }, { "40Gbit", 40000000000 }, { "9bit", 9 },
		{ "999999999999999999", 999999999999999999 },
	};
	static const char *const bad[] = { "", "k", "1m", "1 M", "-1", "1.5G", "bit", "99999999999999999G", "1Gbits", "0x10",
					 "1000000000G", "1777777777777M", "9999999999999999999" };
	uint64_t bps;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK(words_rate(good[i].text, &bps));
		CHECK_EQ(bps, good[i].bps);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!words_rate(bad[i], &bps));
}

static void addresses_of_stations(void **s)
{
	uint8_t mac[6] = { 9 };

	(void)s;
	CHECK(words_mac("00:15:5D:01:02:fF", mac));
	CHECK_MEM(mac, "\x00\x15\x5d\x01\x02\xff", 6);
	CHECK(words_mac("02-00-00-00-00-01", mac));
	CHECK(!words_mac("01:00:5e:00:00:01", mac));		/* a group's */
	CHECK(!words_mac("00:00:00:00:00:00", mac));
	CHECK(!words_mac("00:15:5d:01:02:0g", mac));
	CHECK(!words_mac("00:15:5d:01:02", mac));
	CHECK(!words_mac("00:15:5d:01:02:03:", mac));
	CHECK(!words_mac("00155d010203", mac));
	CHECK_MEM(mac, "\x02\x00\x00\x00\x00\x01", 6);
}

static void commas_are_doubled_in_words(void **s)
{
	char text[] = "a,b,,c,,,d,";
	char *rest = text;

	(void)s;
	CHECK_STR(words_next(&rest), "a");
	CHECK_STR(words_next(&rest), "b,c,");
	CHECK_STR(words_next(&rest), "d");
	CHECK_STR(words_next(&rest), "");
	CHECK(words_next(&rest) == NULL);
}

static void every_word_of_a_port(void **s)
{
	const struct port_policy *c = &p.policy;

	(void)s;
	CHECK_EQ(words(""), 0);
	CHECK(!c->mac_spoofing && c->vlan.mode == VLAN_ACCESS && c->vlan.id == 0 && c->nr_acl == 0);
	CHECK_EQ(words("spoof=on,vlan=7,dhcp-guard,router-guard=on,addr-guard=10.0.0.7+fe80::/10,mirror=source,"
		       "storm=50,max-out=100M,max-in=1G,acl=deny in tcp local-port 22"), 0);
	CHECK(c->mac_spoofing);
	CHECK_EQ(c->vlan.mode, VLAN_ACCESS);
	CHECK_EQ(c->vlan.id, 7);
	CHECK(c->guard.dhcp && c->guard.router && c->guard.addr);
	CHECK_EQ(c->guard.nr_addr, 2);
	CHECK_EQ(c->guard.addrs[0].family, 4);
	CHECK_EQ(c->guard.addrs[0].prefix, 32);
	CHECK_MEM(c->guard.addrs[0].addr, "\x0a\x00\x00\x07", 4);
	CHECK_EQ(c->guard.addrs[1].family, 6);
	CHECK_EQ(c->guard.addrs[1].prefix, 10);
	CHECK_EQ(c->mirror, MIRROR_SOURCE);
	CHECK_EQ(c->storm_limit, 50);
	CHECK_EQ(c->max_out_bps, 100000000);
	CHECK_EQ(c->max_in_bps, 1000000000);
	CHECK_EQ(c->nr_acl, 1);
	CHECK(c->acl == p.rules);
	port_opt_fini(&p);
}

static void the_later_word_counts(void **s)
{
	(void)s;
	CHECK_EQ(words("spoof=on,spoof=off,trunk=1-10,native=3,vlan=5,addr-guard=10.0.0.1,addr-guard=off,"
		       "acl=deny,acl=none,acl=allow ip"), 0);
	CHECK(!p.policy.mac_spoofing);
	CHECK_EQ(p.policy.vlan.mode, VLAN_ACCESS);
	CHECK_EQ(p.policy.vlan.native, 0);
	CHECK(!p.policy.guard.addr);
	CHECK_EQ(p.policy.nr_acl, 1);
	CHECK_EQ(p.rules[0].action, ACL_ALLOW);
	port_opt_fini(&p);
}

static void vlans_of_every_mode(void **s)
{
	const struct vlan_conf *v = &p.policy.vlan;

	(void)s;
	CHECK_EQ(words("trunk=5+10-12,native=5"), 0);
	CHECK_EQ(v->mode, VLAN_TRUNK);
	CHECK(vlan_allows(v, 5) && vlan_allows(v, 10) && vlan_allows(v, 12) && !vlan_allows(v, 6) && !vlan_allows(v, 13));
	CHECK_EQ(v->native, 5);
	CHECK_EQ(words("trunk=1-4094"), 0);
	CHECK(vlan_allows(v, 1) && vlan_allows(v, 4094) && !vlan_allows(v, 4095) && !vlan_allows(v, 0));
	CHECK_EQ(words("pvlan=isolated:100:101"), 0);
	CHECK(v->mode == VLAN_ISOLATED && v->primary == 100 && v->id == 101);
	CHECK_EQ(words("pvlan=community:100:102"), 0);
	CHECK_EQ(v->mode, VLAN_COMMUNITY);
	CHECK_EQ(words("pvlan=promiscuous:100:101-102"), 0);
	CHECK(v->mode == VLAN_PROMISCUOUS && vlan_allows(v, 102));
	port_opt_fini(&p);
}

/* What is wrong is named. */
static void wrong_words_are_said(void **s)
{
	static const struct { const char *text, *say; } bad[] = {
		{ "vlan=4095", "'vlan=4095': expected a VLAN id" },
		{ "vlan=", "'vlan=': expected" },
		{ "vlan", "vlan: expected vlan=, then a VLAN id" },
		{ "vlan=5,native=5", "'native=5': expected a VLAN id, behind trunk=" },
		{ "trunk=5-4", "'trunk=5-4'" },
		{ "trunk=5+", "'trunk=5+'" },
		{ "trunk=0-5", "'trunk=0-5'" },
		{ "pvlan=isolated:100:100", "of different ids" },
		{ "pvlan=isolated:100", "'pvlan=isolated:100'" },
		{ "pvlan=other:1:2", "'pvlan=other:1:2'" },
		{ "spoof", "spoof: expected spoof=, then on or off" },
		{ "spoof=yes", "'spoof=yes': expected on or off" },
		{ "dhcp-guard=maybe", "'dhcp-guard=maybe'" },
		{ "addr-guard=10.0.0.1/33", "'addr-guard=10.0.0.1/33'" },
		{ "addr-guard=10.0.0", "'addr-guard=10.0.0'" },
		{ "mirror=both", "'mirror=both': expected source, destination or none" },
		{ "storm=many", "'storm=many': expected frames a second" },
		{ "max-out=fast", "'max-out=fast': expected bits a second" },
		{ "max-in=1T", "'max-in=1T'" },
		{ "min-weight=1,min-out=1M", "of different bandwidth modes" },
		{ "min-weight=101", "'min-weight=101': expected a weight from 1 to 100" },
		{ "min-out=much", "'min-out=much': expected bits a second" },
		{ "colour=red", "'colour=red': expected spoof=" },
		{ ",", "'': expected spoof=" },
		{ "acl=", "acl: '': a rule begins with allow, deny or meter" },
		{ "acl=permit", "acl: 'permit': a rule begins with allow" },
		{ "acl=deny from 10.0.0.1", "'from' is no word of a rule" },
		{ "acl=deny remote", "after 'remote': expected an address" },
		{ "acl=deny remote 10.0.0.300", "'remote 10.0.0.300'" },
		{ "acl=deny remote 10.0.0.1 local fe80::1", "'local fe80::1': expected an address" },
		{ "acl=deny ip6 remote 10.0.0.1", "'remote 10.0.0.1'" },
		{ "acl=deny ip6 icmp", "'icmp' contradicts what is said before it" },
		{ "acl=deny tcp udp", "'udp' contradicts" },
		{ "acl=deny in in", "'in' is there twice" },
		{ "acl=deny local-port 22", "ports need the word tcp or udp" },
		{ "acl=deny tcp local-port 0", "'local-port 0'" },
		{ "acl=deny tcp local-port 9-8", "'local-port 9-8'" },
		{ "acl=deny tcp local-port 65536", "'local-port 65536'" },
		{ "acl=allow tcp stateful", "'stateful' needs one direction" },
		{ "acl=deny in stateful", "'stateful' belongs to allow" },
		{ "acl=allow in idle 5", "'idle' belongs to stateful" },
		{ "acl=allow in ip stateful idle 0", "'idle 0'" },
		{ "acl=deny weight heavy", "'weight heavy'" },
		{ "acl=deny proto 256", "'proto 256'" },
		{ "acl=deny remote-mac 01:00:5e:00:00:01", "'remote-mac 01:00:5e:00:00:01'" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_EQ(words(bad[i].text), -EINVAL);
		if (strstr(err.msg, bad[i].say) == NULL)
			fail_msg("%s: says \"%s\"", bad[i].text, err.msg);
	}
	port_opt_fini(&p);
}

static void rules_say_what_they_mean(void **s)
{
	struct acl_rule r;
	char text[ACL_TEXT_MAX];

	(void)s;
	CHECK_EQ(acl_parse("allow out tcp remote 10.1.0.0/16 remote-port 80-90 local-port 1024 stateful idle 60 weight -5 "
			   "remote-mac 00:15:5d:01:02:03", &r, &err), 0);
	CHECK_EQ(r.action, ACL_ALLOW);
	CHECK_EQ(r.dirs, ACL_OUT);
	CHECK_EQ(r.what, ACL_IP4);
	CHECK_EQ(r.proto, 6);
	CHECK_EQ(r.remote_bits, 16);
	CHECK_MEM(r.remote, "\x0a\x01\x00\x00", 4);
	CHECK_EQ(r.remote_lo, 80);
	CHECK_EQ(r.remote_hi, 90);
	CHECK_EQ(r.local_lo, 1024);
	CHECK_EQ(r.local_hi, 1024);
	CHECK(r.stateful && r.by_mac);
	CHECK_EQ(r.idle_s, 60);
	CHECK_EQ(r.weight, -5);
	acl_format(&r, text);
	CHECK_STR(text, "allow out ip4 tcp local-port 1024 remote 10.1.0.0/16 remote-port 80-90 "
			"remote-mac 00:15:5d:01:02:03 weight -5 stateful idle 60");
	CHECK_EQ(acl_parse("  deny  ", &r, &err), 0);
	CHECK(r.dirs == (ACL_IN | ACL_OUT) && r.what == ACL_EVERY);
	CHECK_EQ(acl_parse("meter in icmp6", &r, &err), 0);
	CHECK(r.what == ACL_IP6 && r.proto == 58 && r.dirs == ACL_IN);
	CHECK_EQ(acl_parse("deny udp", &r, &err), 0);
	CHECK(r.what == ACL_IP && r.proto == 17);
}

static void too_many_rules(void **s)
{
	char *text = base_new0(20 * (ACL_RULES + 1));

	(void)s;
	CHECK(text != NULL);
	for (unsigned i = 0; i <= ACL_RULES; i++)
		strcat(text, i == 0 ? "acl=deny" : ",acl=deny");
	CHECK_EQ(words(text), -E2BIG);
	text[strlen(text) - 9] = '\0';
	CHECK_EQ(words(text), 0);
	CHECK_EQ(p.policy.nr_acl, ACL_RULES);
	free(text);
	port_opt_fini(&p);
}

static void what_an_adapter_is_plugged_into(void **s)
{
	(void)s;
	CHECK_EQ(net_opt_parse("private", &o, &err), 0);
	CHECK_EQ(o.kind, NET_PRIVATE);
	CHECK_EQ(o.adapter, NET_SYNTHETIC);
	CHECK_STR(o.words, "");
	net_opt_fini(&o);
	CHECK_EQ(net_opt_parse("switch=lan,mac=00:15:5d:00:00:09,vlan=5,port=web,capture=a,,b.pcapng,acl=deny in", &o, &err), 0);
	CHECK_EQ(o.kind, NET_SWITCH);
	CHECK_STR(o.sw, "lan");
	CHECK_STR(o.port, "web");
	CHECK_STR(o.capture, "a,b.pcapng");
	CHECK_STR(o.words, "vlan=5,acl=deny in");
	CHECK_EQ(o.mac[5], 9);
	CHECK_EQ(o.policy.policy.vlan.id, 5);
	net_opt_fini(&o);
	/* The port's words and the NAT's in any order. */
	CHECK_EQ(net_opt_parse("nat,max-out=10M,hostfwd=tcp::2222-:22,dhcp-guard,net=10.3.0.0/24", &o, &err), 0);
	CHECK_EQ(o.kind, NET_NAT);
	CHECK_EQ(o.nat.nr_fwd, 1);
	CHECK_EQ(o.nat.net, 0x0a030000);
	CHECK_STR(o.words, "max-out=10M,dhcp-guard");
	net_opt_fini(&o);
	CHECK_EQ(net_opt_parse("nat,adapter=legacy,vlan=3", &o, &err), 0);
	CHECK_EQ(o.adapter, NET_LEGACY);
	CHECK_STR(o.words, "vlan=3");
	net_opt_fini(&o);
	CHECK_EQ(net_opt_parse("private,adapter=legacy,adapter=synthetic", &o, &err), 0);
	CHECK_EQ(o.adapter, NET_SYNTHETIC);
	net_opt_fini(&o);
	CHECK_EQ(net_opt_parse("tap=tap0,spoof=on", &o, &err), 0);
	CHECK_STR(o.tap, "tap0");
	net_opt_fini(&o);
}

static void wrong_plugs_are_said(void **s)
{
	static const struct { const char *text, *say; } bad[] = {
		{ "", "network \"\": expected none, private" },
		{ "bridge", "network \"bridge\"" },
		{ "private,hostfwd=tcp::1-:1", "'hostfwd=tcp::1-:1': expected adapter=, mac=" },
		{ "nat,hostfwd=nothing", "hostfwd=nothing" },
		{ "nat,tftp=a,,b", "'tftp=a,b': a comma cannot be part of it" },
		{ "switch=", "switch '': expected a name" },
		{ "switch=../x", "switch '../x': expected a name" },
		{ "switch=.x", "switch '.x'" },
		{ "private,mac=00:15:5d", "mac=00:15:5d: expected the address of one station" },
		{ "private,mac=01:00:5e:00:00:01", "expected the address of one station" },
		{ "private,capture=", "capture=: nothing there" },
		{ "nat,adapter=e1000", "adapter=e1000: expected synthetic or legacy" },
		{ "private,port=a b", "port=a b: expected a name" },
		{ "private,vlan=x", "'vlan=x'" },
		{ "tap=", "tap=" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_EQ(net_opt_parse(bad[i].text, &o, &err), -EINVAL);
		if (strstr(err.msg, bad[i].say) == NULL)
			fail_msg("%s: says \"%s\"", bad[i].text, err.msg);
	}
}

static void a_policy_goes_to_words_and_back(void **s)
{
	static const char *const all[] = {
		"", "spoof=on", "vlan=5", "trunk=1+5-7+4094,native=5", "pvlan=isolated:5:6", "pvlan=promiscuous:5:6-9",
		"dhcp-guard=on,router-guard=on,addr-guard=on", "addr-guard=10.0.0.0/8+fe80::/10",
		"mirror=destination,storm=5,max-out=1000,max-in=999", "min-weight=30", "min-out=10000000",
	};
	char *text;

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		CHECK_EQ(words(all[i]), 0);
		text = port_policy_format(&p.policy);
		CHECK_STR(text, all[i]);
		free(text);
	}
	port_opt_fini(&p);
}

static void every_allocation_may_fail(void **s)
{
	int rc = -ENOMEM;

	(void)s;
	for (unsigned n = 1; rc < 0; n++) {
		base_fail_alloc(n);
		rc = net_opt_parse("switch=lan,vlan=5,acl=deny,acl=allow", &o, &err);
		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK(n < 20);
	}
	base_fail_alloc(0);
	net_opt_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_have_units),
		cmocka_unit_test(addresses_of_stations),
		cmocka_unit_test(commas_are_doubled_in_words),
		cmocka_unit_test(every_word_of_a_port),
		cmocka_unit_test(the_later_word_counts),
		cmocka_unit_test(vlans_of_every_mode),
		cmocka_unit_test(wrong_words_are_said),
		cmocka_unit_test(rules_say_what_they_mean),
		cmocka_unit_test(too_many_rules),
		cmocka_unit_test(what_an_adapter_is_plugged_into),
		cmocka_unit_test(wrong_plugs_are_said),
		cmocka_unit_test(a_policy_goes_to_words_and_back),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
