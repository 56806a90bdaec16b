/*
 * net_opt_fuzz.c - words of users, and of machines that a switch does not trust
 *
 * Input: one byte that says what, then text.  What was understood goes to
 * words and back without loss, and a switch takes it.
 */
#include "dev/clock.h"
#include "net/acl_opt.h"
#include "net/net_opt.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rule(const char *text)
{
	char again[ACL_TEXT_MAX], third[ACL_TEXT_MAX];
	struct acl_rule a, b;

	if (acl_parse(text, &a, NULL) < 0)
		return;
	acl_format(&a, again);
	BUG_IF(acl_parse(again, &b, NULL) < 0);
	acl_format(&b, third);
	BUG_IF(strcmp(again, third) != 0);
	BUG_IF(a.dirs != b.dirs || a.what != b.what || a.proto != b.proto || a.weight != b.weight ||
	       a.stateful != b.stateful || a.idle_s != b.idle_s || a.by_mac != b.by_mac);
}

static void check_policy(const struct port_opt *o)
{
	char *text = port_policy_format(&o->policy);
	struct port_opt again = { 0 };

	BUG_IF(text == NULL || port_opt_parse(&again, text, NULL) < 0);
	/* Without addresses it guards the same with on; lists of VLANs only count in their mode. */
	BUG_IF(again.policy.vlan.mode != o->policy.vlan.mode || again.policy.vlan.id != o->policy.vlan.id ||
	       memcmp(again.policy.vlan.allowed, o->policy.vlan.allowed, sizeof(o->policy.vlan.allowed)) != 0 ||
	       again.policy.guard.addr != o->policy.guard.addr || again.policy.mirror != o->policy.mirror ||
	       again.policy.max_in_bps != o->policy.max_in_bps || again.policy.storm_limit != o->policy.storm_limit);
	port_opt_fini(&again);
	free(text);
}

static void plug_in(const struct port_opt *o)
{
	struct port_conf conf = { .name = "fuzz", .mac = { 0, 0x15, 0x5d, 1, 2, 3 }, .policy = o->policy };
	struct vswitch_conf kind = { .kind = VSWITCH_PRIVATE, .max_macs = 16 };
	static struct clock *clock;
	struct vswitch *sw;
	struct port *p;

	if (clock == NULL)
		BUG_IF(clock_new_manual(&clock) < 0);
	if (o->policy.min_bps != 0)
		kind.bandwidth = BANDWIDTH_ABSOLUTE;
	BUG_IF(vswitch_new(&kind, clock, &sw, NULL) < 0);
	BUG_IF(vswitch_port(sw, &conf, &p, NULL) < 0);
	vswitch_port_free(p);
	vswitch_free(sw);
}

static void port(const char *text)
{
	struct port_opt o = { 0 };

	if (port_opt_parse(&o, text, NULL) == 0 && port_opt_check(&o, NULL) == 0) {
		check_policy(&o);
		plug_in(&o);
	}
	port_opt_fini(&o);
}

static void net(const char *text)
{
	static struct net_opt o;
	struct port_opt again = { 0 };

	if (net_opt_parse(text, &o, NULL) < 0)
		return;
	/* What the machine hands on to a switch means the same there. */
	BUG_IF(port_opt_parse(&again, o.words, NULL) < 0);
	BUG_IF(again.policy.nr_acl != o.policy.policy.nr_acl ||
	       again.policy.mac_spoofing != o.policy.policy.mac_spoofing ||
	       memcmp(&again.policy.vlan, &o.policy.policy.vlan, sizeof(again.policy.vlan)) != 0);
	port_opt_fini(&again);
	net_opt_fini(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const what[])(const char *text) = { rule, port, net };
	char *text;

	if (size == 0)
		return 0;
	text = base_new0(size);
	BUG_IF(text == NULL);
	memcpy(text, data + 1, size - 1);
	what[data[0] % ARRAY_LEN(what)](text);
	free(text);
	return 0;
}
