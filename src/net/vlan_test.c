#include "base/test.h"

#include "net/vlan.c"

static const struct vlan_conf untagged, access5 = { .id = 5 },
	isolated = { .mode = VLAN_ISOLATED, .primary = 10, .id = 101 },
	blue = { .mode = VLAN_COMMUNITY, .primary = 10, .id = 102 },
	red = { .mode = VLAN_COMMUNITY, .primary = 10, .id = 103 };

/* Does a frame from A (tagged T or, with -1, not) reach B, and with a tag of its own? */
static int hop(const struct vlan_conf *a, int t, const struct vlan_conf *b)
{
	uint16_t vid = vlan_in(a, t >= 0, t < 0 ? 0 : (uint16_t)t);
	bool tagged = false;

	if (vid == VLAN_DROP || !vlan_out(b, vid, &tagged))
		return -1;
	return tagged ? vid : 0;
}

static void access_ports_stay_in_their_vlan(void **s)
{
	(void)s;
	CHECK_EQ(hop(&untagged, -1, &untagged), 0);
	CHECK_EQ(hop(&untagged, 0xe000, &untagged), 0);		/* priority only */
	CHECK_EQ(hop(&access5, -1, &access5), 0);
	CHECK_EQ(hop(&access5, -1, &untagged), -1);
	CHECK_EQ(hop(&untagged, -1, &access5), -1);
	for (int vid = 1; vid < 4096; vid++) {
		CHECK_EQ(hop(&untagged, vid, &access5), -1);
		CHECK_EQ(hop(&access5, vid, &access5), -1);
	}
}

static void trunks_carry_what_they_allow(void **s)
{
	struct vlan_conf t = { .mode = VLAN_TRUNK, .native = 7 }, u = { .mode = VLAN_TRUNK };

	(void)s;
	vlan_allow(&t, 5);
	vlan_allow(&t, 4094);
	vlan_allow(&u, 5);
	CHECK_EQ(hop(&t, 0x6005, &access5), 0);
	CHECK_EQ(hop(&access5, -1, &t), 5);
	CHECK_EQ(hop(&t, 6, &t), -1);
	CHECK_EQ(hop(&t, 4094, &t), 4094);
	CHECK_EQ(hop(&t, 4095, &t), -1);
	CHECK_EQ(hop(&t, -1, &t), 0);			/* native */
	CHECK_EQ(hop(&t, 7, &t), 0);			/* by its number too */
	CHECK_EQ(hop(&t, -1, &u), -1);
	CHECK_EQ(hop(&u, -1, &untagged), 0);
	CHECK_EQ(hop(&u, -1, &t), -1);
	CHECK_EQ(hop(&u, 5, &t), 5);
}

static void private_vlans_keep_apart(void **s)
{
	struct vlan_conf all = { .mode = VLAN_PROMISCUOUS, .primary = 10 };
	struct vlan_conf some = { .mode = VLAN_PROMISCUOUS, .primary = 10 };
	const struct vlan_conf *port[] = { &isolated, &isolated, &blue, &blue, &red, &all, &some };
	static const char reach[7][8] = {	/* from row to column; never to the row itself */
		".....+.", ".....+.", "..++.++", "..++.++", "....++.", "+++++++", "+++++++",
	};

	(void)s;
	vlan_allow(&all, 101);
	vlan_allow(&all, 102);
	vlan_allow(&all, 103);
	vlan_allow(&some, 102);
	for (int a = 0; a < 7; a++)
		for (int b = 0; b < 7; b++) {
			CHECK_EQ(hop(port[a], -1, port[b]), reach[a][b] == '+' ? 0 : -1);
			CHECK_EQ(hop(port[a], 10, port[b]), -1);
			CHECK_EQ(hop(port[a], 102, port[b]), -1);
		}
}

static void nonsense_is_refused(void **s)
{
	struct vlan_conf c = { .id = 4095 };
	struct err err;

	(void)s;
	CHECK_EQ(vlan_check(&untagged, NULL), 0);
	CHECK_EQ(vlan_check(&blue, NULL), 0);
	CHECK_EQ(vlan_check(&c, &err), -EINVAL);
	c = (struct vlan_conf){ .mode = VLAN_TRUNK };
	CHECK_EQ(vlan_check(&c, NULL), 0);
	vlan_allow(&c, 4095);
	CHECK_EQ(vlan_check(&c, NULL), -EINVAL);
	c = (struct vlan_conf){ .mode = VLAN_ISOLATED, .primary = 10 };
	CHECK_EQ(vlan_check(&c, NULL), -EINVAL);
	c.id = 10;
	CHECK_EQ(vlan_check(&c, NULL), -EINVAL);
	c = (struct vlan_conf){ .mode = VLAN_PROMISCUOUS, .primary = 10 };
	CHECK_EQ(vlan_check(&c, NULL), 0);
	vlan_allow(&c, 10);
	CHECK_EQ(vlan_check(&c, NULL), -EINVAL);
	c = (struct vlan_conf){ .mode = 99 };
	CHECK_EQ(vlan_check(&c, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_ports_stay_in_their_vlan),
		cmocka_unit_test(trunks_carry_what_they_allow),
		cmocka_unit_test(private_vlans_keep_apart),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
