#include "base/test.h"

#include "net/fdb.c"

#define AGE (300 * NS_PER_SEC)

static const uint8_t *mac(uint32_t i)
{
	static uint8_t m[6] = { 2 };

	m[2] = (uint8_t)(i >> 24);
	m[3] = (uint8_t)(i >> 16);
	m[4] = (uint8_t)(i >> 8);
	m[5] = (uint8_t)i;
	return m;
}

static void learns_moves_and_ages(void **s)
{
	struct fdb *f = NULL;

	(void)s;
	CHECK_EQ(fdb_new(64, 64, AGE, &f), 0);
	CHECK_EQ(fdb_find(f, mac(1), 0, 0), FDB_NONE);
	fdb_learn(f, mac(1), 0, 3, 0);
	CHECK_EQ(fdb_find(f, mac(1), 0, AGE), 3);
	CHECK_EQ(fdb_find(f, mac(1), 1, 0), FDB_NONE);	/* another VLAN */
	CHECK_EQ(fdb_find(f, mac(2), 0, 0), FDB_NONE);
	CHECK_EQ(fdb_find(f, mac(1), 0, AGE + 1), FDB_NONE);
	fdb_learn(f, mac(1), 0, 3, AGE);		/* seen again */
	CHECK_EQ(fdb_find(f, mac(1), 0, AGE + 1), 3);
	fdb_learn(f, mac(1), 0, 4, AGE);		/* moved */
	CHECK_EQ(fdb_find(f, mac(1), 0, AGE), 4);
	CHECK_EQ(fdb_count(f), 1);
	fdb_drop_port(f, 3);
	CHECK_EQ(fdb_find(f, mac(1), 0, AGE), 4);
	fdb_drop_port(f, 4);
	CHECK_EQ(fdb_find(f, mac(1), 0, AGE), FDB_NONE);
	CHECK_EQ(fdb_count(f), 0);
	fdb_free(f);
}

static void known_addresses_never_move(void **s)
{
	struct fdb *f = NULL;

	(void)s;
	CHECK_EQ(fdb_new(64, 64, AGE, &f), 0);
	fdb_learn(f, mac(1), 7, 5, 0);
	CHECK_EQ(fdb_add_known(f, mac(1), 7, 1), 0);
	CHECK_EQ(fdb_count(f), 0);
	fdb_learn(f, mac(1), 7, 5, 0);
	CHECK_EQ(fdb_count(f), 0);
	CHECK_EQ(fdb_find(f, mac(1), 7, 100 * AGE), 1);
	fdb_learn(f, mac(1), 8, 5, 0);			/* free there */
	CHECK_EQ(fdb_find(f, mac(1), 8, 0), 5);
	CHECK_EQ(fdb_add_known(f, mac(1), 7, 2), -EEXIST);
	CHECK_EQ(fdb_add_known(f, mac(1), FDB_ANY, 2), -EEXIST);
	CHECK_EQ(fdb_add_known(f, mac(1), 9, 2), 0);
	CHECK_EQ(fdb_add_known(f, mac(2), FDB_ANY, 2), 0);
	CHECK_EQ(fdb_add_known(f, mac(2), 0, 3), -EEXIST);
	CHECK_EQ(fdb_add_known(f, mac(2), 4094, 3), -EEXIST);
	for (uint16_t fid = 0; fid < 4096; fid++)
		CHECK_EQ(fdb_find(f, mac(2), fid, 0), 2);
	fdb_drop_port(f, 2);
	CHECK_EQ(fdb_find(f, mac(2), 0, 0), FDB_NONE);
	CHECK_EQ(fdb_find(f, mac(1), 7, 0), 1);
	fdb_free(f);
}

/* A port that shows a million addresses keeps its share and takes nobody's. */
static void a_flood_is_bounded_and_hurts_no_neighbour(void **s)
{
	struct fdb *f = NULL;

	(void)s;
	CHECK_EQ(fdb_new(1024, 256, AGE, &f), 0);
	for (uint32_t i = 0; i < 100; i++)
		fdb_learn(f, mac(i), 0, 1, 0);
	for (uint32_t i = 1000; i < 1001000; i++)
		fdb_learn(f, mac(i), 0, 2, i);
	CHECK(f->nr_of[2] <= 256);
	CHECK(f->nr_of[2] > 200);
	CHECK_EQ(fdb_count(f), f->nr_of[1] + f->nr_of[2]);
	CHECK(f->nr_of[1] >= 97);		/* sets may be full by chance before the port is */
	fdb_free(f);
}

static void in_a_full_set_a_port_replaces_its_own(void **s)
{
	struct fdb *f = NULL;

	(void)s;
	CHECK_EQ(fdb_new(4, 4, AGE, &f), 0);
	for (uint32_t i = 0; i < 4; i++)
		fdb_learn(f, mac(i), 0, i == 3 ? 2 : 1, i);
	for (uint32_t i = 10; i < 1000; i++)
		fdb_learn(f, mac(i), 0, 2, i);
	for (uint32_t i = 0; i < 3; i++)
		CHECK_EQ(fdb_find(f, mac(i), 0, 1000), 1);
	CHECK_EQ(fdb_find(f, mac(999), 0, 1000), 2);
	fdb_free(f);
}

static void room_runs_out(void **s)
{
	struct fdb *f = NULL;

	(void)s;
	CHECK_EQ(fdb_new(4, 4, AGE, &f), 0);
	for (uint32_t i = 0; i < 5; i++)
		fdb_learn(f, mac(i), 0, 2, i * 2 * REFRESH_NS);
	CHECK_EQ(fdb_count(f), 4);
	CHECK_EQ(fdb_find(f, mac(0), 0, 0), FDB_NONE);	/* the oldest went */
	CHECK_EQ(fdb_find(f, mac(4), 0, 8 * REFRESH_NS), 2);
	for (uint32_t i = 0; i < MAX_KNOWN; i++)
		CHECK_EQ(fdb_add_known(f, mac(~i), 1, 3), 0);
	CHECK_EQ(fdb_add_known(f, mac(99), 1, 3), -ENOSPC);
	fdb_free(f);
	CHECK_EQ(fdb_new(0, 4, AGE, &f), -EINVAL);
	base_fail_alloc(1);
	CHECK_EQ(fdb_new(4, 4, AGE, &f), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(learns_moves_and_ages),
		cmocka_unit_test(known_addresses_never_move),
		cmocka_unit_test(a_flood_is_bounded_and_hurts_no_neighbour),
		cmocka_unit_test(in_a_full_set_a_port_replaces_its_own),
		cmocka_unit_test(room_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
