/*
 * counters.c - what an adapter or a way out counts, for "genvisor net show"
 *
 * Names are seen from the port: "to-host" is what the switch sent out.
 *
 * Lock     none
 */
#include "net/counters.h"
#include "net/nat.h"
#include "net/tap.h"

#include <string.h>

json_t *counters_json(const struct counter *list, const void *stats)
{
	json_t *all = json_object();
	uint64_t n;

	for (; all != NULL && list->name != NULL; list++) {
		memcpy(&n, (const uint8_t *)stats + list->at, sizeof(n));
		if (json_object_set_new(all, list->name, json_integer((json_int_t)n)) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

json_t *counters_nat(void *nat)
{
	static const struct counter list[] = {
		{ "from-guests", offsetof(struct nat_stats, rx) },
		{ "from-guests-bytes", offsetof(struct nat_stats, rx_bytes) },
		{ "to-guests", offsetof(struct nat_stats, tx) },
		{ "to-guests-bytes", offsetof(struct nat_stats, tx_bytes) },
		{ "waits", offsetof(struct nat_stats, rx_wait) },
		{ "not-ip", offsetof(struct nat_stats, rx_other) },
		{ "too-many-flows", offsetof(struct nat_stats, rx_flows) },
		{ "host-loopback", offsetof(struct nat_stats, rx_loopback) },
		{ "too-long", offsetof(struct nat_stats, tx_long) },
		{ "no-room", offsetof(struct nat_stats, tx_full) },
		{ 0 },
	};
	struct nat_stats st;
	json_t *all;

	nat_stats(nat, &st);
	all = counters_json(list, &st);
	if (all != NULL)
		json_object_set_new(all, "flows", json_integer(st.flows));
	return all;
}

json_t *counters_tap(void *tap)
{
	static const struct counter list[] = {
		{ "to-host", offsetof(struct tap_stats, tx) },
		{ "to-host-bytes", offsetof(struct tap_stats, tx_bytes) },
		{ "from-host", offsetof(struct tap_stats, rx) },
		{ "from-host-bytes", offsetof(struct tap_stats, rx_bytes) },
		{ "lost", offsetof(struct tap_stats, tx_lost) },
		{ "malformed", offsetof(struct tap_stats, rx_bad) },
		{ 0 },
	};
	struct tap_stats st;

	tap_stats(tap, &st);
	return counters_json(list, &st);
}
