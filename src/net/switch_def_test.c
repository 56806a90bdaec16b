#include "base/test.h"

#include "net/places.h"
#include "net/switch_def.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], file[128];
static struct switch_def d;
static struct err err;

static int begin(void **s)
{
	(void)s;
	strcpy(dir, "/tmp/genvisor-test.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	setenv("XDG_CONFIG_HOME", dir, 1);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	snprintf(file, sizeof(file), "%s/genvisor/switches/lan.json", dir);
	return 0;
}

static int end(void **s)
{
	char cmd[96];

	(void)s;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void make(const char *text)
{
	FILE *f;
	struct place p;

	CHECK_EQ(place_config(true, &p, &err), 0);
	place_close(&p);
	f = fopen(file, "w");
	CHECK(f != NULL);
	fputs(text, f);
	fclose(f);
	chmod(file, 0600);
}

static int parse(const char *text)
{
	return switch_def_read("lan", text, strlen(text), "it", &d, &err);
}

static void what_is_written_is_read(void **s)
{
	(void)s;
	CHECK_EQ(switch_def_init(&d, "lan", &err), 0);
	d.kind = VSWITCH_EXTERNAL;
	strcpy(d.host, "gv-host");
	strcpy(d.uplinks[0], "gv-up");
	d.nr_uplinks = 1;
	free(d.policy);
	d.policy = strdup("vlan=5,dhcp-guard");
	CHECK_EQ(switch_def_port(&d, "web", "acl=deny in tcp local-port 22,max-out=100M", &err), 0);
	CHECK_EQ(switch_def_port(&d, "db", "vlan=6", &err), 0);
	CHECK_EQ(switch_def_check(&d, &err), 0);
	CHECK_EQ(switch_def_save(&d, true, &err), 0);
	CHECK_EQ(switch_def_save(&d, true, &err), -EEXIST);
	CHECK_EQ(switch_def_save(&d, false, &err), 0);
	switch_def_fini(&d);
	CHECK_EQ(switch_def_load("lan", &d, &err), 0);
	CHECK_STR(d.name, "lan");
	CHECK_EQ(d.kind, VSWITCH_EXTERNAL);
	CHECK_STR(d.host, "gv-host");
	CHECK_EQ(d.nr_uplinks, 1);
	CHECK_STR(d.uplinks[0], "gv-up");
	CHECK_STR(d.policy, "vlan=5,dhcp-guard");
	CHECK_EQ(d.nr_ports, 2);
	CHECK_STR(d.ports[0].words, "acl=deny in tcp local-port 22,max-out=100M");
	CHECK_EQ(switch_def_port(&d, "web", NULL, &err), 0);
	CHECK_EQ(switch_def_port(&d, "web", NULL, &err), -ENOENT);
	CHECK_EQ(d.nr_ports, 1);
	CHECK_STR(d.ports[0].name, "db");
	switch_def_fini(&d);
	CHECK_EQ(switch_def_remove("lan", &err), 0);
	CHECK_EQ(switch_def_remove("lan", &err), -ENOENT);
	CHECK_EQ(switch_def_load("lan", &d, &err), -ENOENT);
}

static void how_ports_share_goes_to_text_and_back(void **s)
{
	static const struct { const char *text; enum vswitch_bandwidth mode; uint32_t weight; uint64_t bps; } row[] = {
		{ "weight", BANDWIDTH_WEIGHT, 0, 0 }, { "weight,default=30", BANDWIDTH_WEIGHT, 30, 0 },
		{ "absolute", BANDWIDTH_ABSOLUTE, 0, 0 }, { "absolute,default=10000000", BANDWIDTH_ABSOLUTE, 0, 10000000 },
		{ "none", BANDWIDTH_NONE, 0, 0 },
	};
	static const char *const bad[] = {
		"", "heavy", "weight,", "weight,default=", "weight,default=0", "weight,default=101", "weight,default=1M",
		"absolute,default=much", "none,default=1", "weight,other=1",
	};
	char text[SWITCH_BANDWIDTH_MAX];
	struct vswitch_conf conf;

	(void)s;
	CHECK_EQ(switch_def_init(&d, "lan", &err), 0);
	switch_def_bandwidth_text(&d, text);
	CHECK_STR(text, "");
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		CHECK_EQ(switch_def_bandwidth(&d, row[i].text, &err), 0);
		conf = switch_def_conf(&d);
		CHECK_EQ(conf.bandwidth, row[i].mode);
		CHECK_EQ(conf.default_weight, row[i].weight);
		CHECK_EQ(conf.default_bps, row[i].bps);
		switch_def_bandwidth_text(&d, text);
		CHECK_STR(text, row[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(switch_def_bandwidth(&d, bad[i], &err), -EINVAL);
	CHECK_EQ(switch_def_conf(&d).bandwidth, BANDWIDTH_NONE);	/* as it was */
	d.kind = VSWITCH_EXTERNAL;
	strcpy(d.uplinks[0], "gv-up");
	d.nr_uplinks = 1;
	CHECK_EQ(switch_def_bandwidth(&d, "absolute,default=1M", &err), 0);
	CHECK_EQ(switch_def_team(&d, "dynamic", &err), 0);
	CHECK_EQ(switch_def_speed(&d, "2500M", &err), 0);
	CHECK_EQ(switch_def_save(&d, true, &err), 0);
	switch_def_fini(&d);
	CHECK_EQ(switch_def_load("lan", &d, &err), 0);
	CHECK_EQ(d.bandwidth, BANDWIDTH_ABSOLUTE);
	CHECK_EQ(d.default_bps, 1000000);
	CHECK_EQ(d.team, TEAM_DYNAMIC);
	CHECK_EQ(d.uplink_bps, UINT64_C(2500000000));
	switch_def_fini(&d);
	CHECK_EQ(switch_def_remove("lan", &err), 0);
}

static void who_has_the_last_word(void **s)
{
	struct port_opt o;

	(void)s;
	CHECK_EQ(parse("{\"kind\": \"private\", \"policy\": \"vlan=5,spoof=on\", \"ports\": {\"web\": \"spoof=off,max-out=1M\"}}"), 0);
	CHECK_EQ(switch_def_policy(&d, "other", "", &o, &err), 0);
	CHECK(o.policy.vlan.id == 5 && o.policy.mac_spoofing);
	port_opt_fini(&o);
	CHECK_EQ(switch_def_policy(&d, "other", "vlan=6", &o, &err), 0);
	CHECK(o.policy.vlan.id == 6 && o.policy.mac_spoofing);
	port_opt_fini(&o);
	CHECK_EQ(switch_def_policy(&d, "web", "vlan=6,spoof=on,max-out=0", &o, &err), 0);
	CHECK(o.policy.vlan.id == 6 && !o.policy.mac_spoofing && o.policy.max_out_bps == 1000000);
	port_opt_fini(&o);
	CHECK_EQ(switch_def_policy(&d, "web", "vlan=x", &o, &err), -EINVAL);
	/* What is meant for adapters does not bind the host and uplinks. */
	CHECK_EQ(switch_def_policy(&d, "uplink0", NULL, &o, &err), 0);
	CHECK(o.policy.vlan.id == 0 && !o.policy.mac_spoofing);
	CHECK_EQ(switch_def_policy(&d, "web", NULL, &o, &err), 0);
	CHECK_EQ(o.policy.max_out_bps, 1000000);
	port_opt_fini(&o);
	switch_def_fini(&d);
}

static void kinds_have_what_they_need(void **s)
{
	static const struct { const char *text, *say; } bad[] = {
		{ "", "it: line" },
		{ "[]", "it: expected an object" },
		{ "{}", "it: \"kind\": expected to be there" },
		{ "{\"kind\": \"bridge\"}", "kind 'bridge'" },
		{ "{\"kind\": 1}", "\"kind\": expected a string" },
		{ "{\"kind\": \"private\", \"kind\": \"nat\"}", "it: line" },
		{ "{\"kind\": \"private\", \"vlan\": 5}", "\"vlan\" is not known" },
		{ "{\"kind\": \"private\", \"host\": \"tap0\"}", "a port of the host belongs to kinds" },
		{ "{\"kind\": \"private\", \"uplinks\": [\"tap0\"]}", "uplinks belong to kind external" },
		{ "{\"kind\": \"private\", \"nat\": \"\"}", "NAT belongs to kind nat" },
		{ "{\"kind\": \"private\", \"team\": \"port\", \"uplink-speed\": \"1G\"}", "speed of uplinks belong to kind" },
		{ "{\"kind\": \"private\", \"team\": \"dynamic\"}", "a team and" },
		{ "{\"kind\": \"private\", \"team\": \"lacp\"}", "team 'lacp': expected port or dynamic" },
		{ "{\"kind\": \"private\", \"team\": 1}", "\"team\": expected a string" },
		{ "{\"kind\": \"private\", \"bandwidth\": \"most\"}", "bandwidth 'most': expected weight" },
		{ "{\"kind\": \"private\", \"uplink-speed\": \"fast\"}", "uplink-speed 'fast': expected bits" },
		{ "{\"kind\": \"internal\"}", "needs a tap interface as the host's port" },
		{ "{\"kind\": \"external\"}", "needs an uplink" },
		{ "{\"kind\": \"external\", \"uplinks\": [1]}", "\"uplinks\": expected" },
		{ "{\"kind\": \"external\", \"uplinks\": [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}",
		  "at most 8" },
		{ "{\"kind\": \"external\", \"uplinks\": [\"a/b\"]}", "cannot be in an interface's name" },
		{ "{\"kind\": \"internal\", \"host\": \"0123456789abcdef\"}", "\"host\": expected" },
		{ "{\"kind\": \"nat\", \"nat\": \"net=1.2.3.4\"}", "net=1.2.3.4" },
		{ "{\"kind\": \"private\", \"policy\": \"vlan=9999\"}", "policy: 'vlan=9999'" },
		{ "{\"kind\": \"private\", \"ports\": {\"web\": \"vlan=9999\"}}", "web: 'vlan=9999'" },
		{ "{\"kind\": \"private\", \"ports\": {\"a b\": \"\"}}", "port 'a b'" },
		{ "{\"kind\": \"private\", \"ports\": []}", "\"ports\": expected an object" },
		{ "{\"kind\": \"private\"} x", "it: line" },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_EQ(parse(bad[i].text), -EINVAL);
		if (strstr(err.msg, bad[i].say) == NULL)
			fail_msg("%s: says \"%s\"", bad[i].text, err.msg);
	}
	CHECK_EQ(parse("{\"kind\": \"nat\", \"nat\": \"net=10.9.0.0/24\"}"), 0);
	CHECK_STR(d.nat, "nat,net=10.9.0.0/24");
	switch_def_fini(&d);
	CHECK_EQ(parse("{\"kind\": \"nat\"}"), 0);
	CHECK_STR(d.nat, "nat");
	switch_def_fini(&d);
}

static void loads(int rc, const char *say)
{
	CHECK_EQ(switch_def_load("lan", &d, &err), rc);
	if (rc < 0 && strstr(err.msg, say) == NULL)
		fail_msg("says \"%s\", not \"%s\"", err.msg, say);
	if (rc == 0)
		switch_def_fini(&d);
}

static void files_of_strangers_are_refused(void **s)
{
	char other[160];

	(void)s;
	loads(-ENOENT, "genvisor switch new lan");
	make("{\"kind\": \"private\"}");
	loads(0, "");
	chmod(file, 0622);
	loads(-EPERM, "others may write to it");
	snprintf(other, sizeof(other), "%s.real", file);
	chmod(file, 0600);
	CHECK_EQ(rename(file, other), 0);
	CHECK_EQ(symlink(other, file), 0);
	loads(-ELOOP, "is a link");
	unlink(file);
	CHECK_EQ(mkfifo(file, 0600), 0);
	loads(-EINVAL, "not a plain file");
	unlink(file);
	CHECK_EQ(mkdir(file, 0700), 0);
	loads(-EINVAL, "not a plain file");
	rmdir(file);
	make("");
	CHECK_EQ(truncate(file, 2 << 20), 0);
	loads(-EFBIG, "at most 1048576");
	make("{\"kind\": \"private\"}");
	snprintf(other, sizeof(other), "%s/genvisor/switches", dir);
	chmod(other, 0777);
	loads(-EPERM, "others have rights there");
	chmod(other, 0700);
	CHECK_EQ(switch_def_load("../lan", &d, &err), -EINVAL);
	CHECK_EQ(switch_def_load("", &d, &err), -EINVAL);
}

static void the_meeting_place_is_nobody_elses(void **s)
{
	char path[96];
	struct place p;

	(void)s;
	CHECK_EQ(place_runtime(&p, &err), 0);
	place_close(&p);
	snprintf(path, sizeof(path), "%s/genvisor", dir);
	chmod(path, 0755);
	CHECK_EQ(place_runtime(&p, &err), -EPERM);
	CHECK(strstr(err.msg, "others have rights there (mode 0755), expected at most 0700") != NULL);
	chmod(path, 0700);
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	CHECK_EQ(place_runtime(&p, &err), -EINVAL);
}

static int count(void *arg, const char *name)
{
	strcat(arg, name);
	strcat(arg, " ");
	return 0;
}

static void only_definitions_are_listed(void **s)
{
	static const char *const names[] = { "b", "a", ".hidden", "x y" };
	char text[256] = "", path[160];

	(void)s;
	CHECK_EQ(switch_def_each(count, text, &err), 0);
	make("{}");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/genvisor/switches/%s.json", dir, names[i]);
		CHECK_EQ(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	}
	CHECK_EQ(switch_def_each(count, text, &err), 0);
	CHECK_STR(text, "a b lan ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read, begin, end),
		cmocka_unit_test_setup_teardown(how_ports_share_goes_to_text_and_back, begin, end),
		cmocka_unit_test_setup_teardown(who_has_the_last_word, begin, end),
		cmocka_unit_test_setup_teardown(kinds_have_what_they_need, begin, end),
		cmocka_unit_test_setup_teardown(files_of_strangers_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(the_meeting_place_is_nobody_elses, begin, end),
		cmocka_unit_test_setup_teardown(only_definitions_are_listed, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
