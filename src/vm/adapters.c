/*
 * adapters.c - the machine's network adapters; synthetic ones come and go
 *
 * An adapter without a given address gets one from Hyper-V's range that is
 * made of where the machine's first disk lies and of its number, so that it
 * stays the same from run to run and differs between machines; a machine
 * without a disk gets another one each time.
 *
 * Who takes an adapter away from a guest that runs pulls the cable first, and
 * then waits for a moment of rest: Linux looks at no interrupt of a channel
 * once it has heard that it is rescinded, but waits for completions all the
 * same, for ever; so it must have none to wait for.  With the link down it
 * sends nothing more, which it may take two seconds and more to hear of.  What it sends after all is answered for ten seconds.
 * All of the host's side (port, switch, NAT, files) is gone before that.
 *
 * A number, and so the instance and the address made of it, is given again
 * only after the guest has released every channel of the adapter before.
 *
 * Lock     network.lock; farewells drop it while they wait for the guest
 */
#include "vm/network.h"

#include "base/log.h"
#include "net/counters.h"
#include "net/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (10 * (uint64_t)NS_PER_SEC)	/* for a guest to let go */
#define REST_NS (10 * (uint64_t)NS_PER_SEC)	/* for it to come to rest before it is asked to */
#define REST_LOOK_US 100000u
#define REST_LOOKS 10u			/* in a row: a guest that gets no processor rests for a moment too */

static void make_mac(const struct vm *vm, unsigned id, uint8_t mac[6])
{
	char host[64] = { 0 }, *path = vm->conf.nr_disks != 0 ? realpath(vm->conf.disks[0].path, NULL)
							      : NULL;
	uint32_t sum;

	if (path != NULL) {
		gethostname(host, sizeof(host) - 1);
		sum = base_crc32c(base_crc32c(0, host, strlen(host)), path, strlen(path));
		sum = base_crc32c(sum, &id, sizeof(id));
	} else {
		base_random(&sum, sizeof(sum));
	}
	free(path);
	memcpy(mac, (const uint8_t[]){ 0x00, 0x15, 0x5d, (uint8_t)(sum >> 16), (uint8_t)(sum >> 8),
				       (uint8_t)sum }, 6);
}

/* Stable, so that a guest's settings for an adapter find it again. */
static struct guid instance_of(unsigned id)
{
	const struct guid g = GUID_INIT(0xb2a9f6a0 + id, 0x6e1d, 0x4c5b,
					0x8f, 0x3a, 0x52, 0x1c, 0x90, 0x77, 0x4d, 0xe1);

	return g;
}

static bool id_is_free(const struct network *n, unsigned id)
{
	if (n->burned[id / 64] >> (id % 64) & 1)
		return false;
	for (const struct adapter *a = n->first; a != NULL; a = a->next)
		if (a->id == id)
			return false;
	return true;
}

static unsigned count(const struct network *n, bool leaving)
{
	unsigned nr = 0;

	for (const struct adapter *a = n->first; a != NULL; a = a->next)
		nr += a->leaving == leaving;
	return nr;
}

/* ---- making one ------------------------------------------------------------- */

static int write_down(struct adapter *a, const char *path, struct err *err)
{
	int rc;

	if (path == NULL)
		return 0;
	rc = pcapng_open(path, &a->file, err);
	return rc < 0 ? rc : capture_new(jack_port(a->jack), a->file, &a->capture, err);
}

/* The nic is gone, or was never there. */
static void adapter_free(struct network *n, struct adapter *a)
{
	if (a->plug.port != NULL) {
		jack_plug(a->jack, NULL);
		plug_free(n, &a->plug);
	}
	if (a->legacy != NULL)
		dec21140_plug(a->legacy, NULL);
	segmenter_free(a->segmenter);
	capture_free(a->capture);
	pcapng_close(a->file);
	jack_free(a->jack);
	free(a);
}

/* Its lists may be short, so large sends are cut for it with patience. */
static int build_legacy(struct network *n, struct adapter *a, struct port *p, struct err *err)
{
	int rc = segmenter_new(p, &a->segmenter, err);

	if (rc < 0)
		return rc;
	a->legacy = n->vm->legacy[n->nr_legacy++];
	dec21140_plug(a->legacy, segmenter_port(a->segmenter));
	return 0;
}

static json_t *counters_nic(void *nic)
{
	static const struct counter list[] = {
		{ "to-guest", offsetof(struct nic_stats, rx_frames) },
		{ "to-guest-bytes", offsetof(struct nic_stats, rx_bytes) },
		{ "from-guest", offsetof(struct nic_stats, tx_frames) },
		{ "from-guest-bytes", offsetof(struct nic_stats, tx_bytes) },
		{ "filtered", offsetof(struct nic_stats, rx_filtered) },
		{ "no-room", offsetof(struct nic_stats, rx_no_room) },
		{ "too-long", offsetof(struct nic_stats, rx_too_long) },
		{ "malformed", offsetof(struct nic_stats, tx_bad) },
		{ "waits", offsetof(struct nic_stats, tx_held) },
		{ 0 },
	};
	struct nic_stats st;

	nic_get_stats(nic, &st);
	return counters_json(list, &st);
}

/* As long as it is plugged in there: the nic always outlives that. */
static void show_counters(const struct adapter *a)
{
	if (a->nic != NULL && a->plug.plugged != NULL)
		roster_count(a->plug.roster, a->plug.plugged, "netvsc", counters_nic, a->nic);
}

static int adapter_build(struct network *n, struct adapter *a, const struct net_opt *o, struct err *err)
{
	struct nic_conf conf = { .instance = instance_of(a->id), .nr_vps = n->vm->conf.cpus };
	int rc = jack_new(a->mac, a->name, &a->jack);

	if (rc < 0)
		return err_set(err, rc, "no memory for an adapter");
	rc = write_down(a, o->capture, err);
	if (rc == 0)
		rc = plug_make(n, a, o, &a->plug, err);
	if (rc < 0)
		return rc;
	jack_plug(a->jack, a->plug.port);
	conf.port = a->capture != NULL ? capture_port(a->capture) : jack_port(a->jack);
	if (o->adapter == NET_LEGACY)
		return build_legacy(n, a, conf.port, err);
	rc = nic_new(n->vm->vmbus, &conf, &a->nic, err);
	if (rc == 0)
		show_counters(a);
	return rc;
}

/* Its number and its address. */
static int adapter_name(struct network *n, struct adapter *a, const struct net_opt *o, struct err *err)
{
	static const uint8_t none[6];

	while (a->id < NET_IDS && !id_is_free(n, a->id))
		a->id++;
	if (a->id == NET_IDS)
		return err_set(err, -ENOSPC, "the guest has let go of none of the last %u adapters", NET_IDS);
	snprintf(a->name, sizeof(a->name), "net%u", a->id);
	memcpy(a->mac, o->mac, 6);
	if (memcmp(a->mac, none, 6) == 0)
		make_mac(n->vm, a->id, a->mac);
	for (const struct adapter *b = n->first; b != NULL; b = b->next)
		if (memcmp(a->mac, b->mac, 6) == 0)
			return err_set(err, -EEXIST, "two adapters with the same address%s", b->leaving ?
				       ": the guest has not let go of the one before" : "");
	return 0;
}

static int adapter_new(struct network *n, const struct net_opt *o, struct adapter **ret_a, struct err *err)
{
	struct adapter *a = new0(struct adapter), **at = &n->first;
	int rc;

	if (a == NULL)
		return err_set(err, -ENOMEM, "no memory for an adapter");
	a->network = n;
	a->cable = true;
	rc = adapter_name(n, a, o, err);
	if (rc == 0)
		rc = adapter_build(n, a, o, err);
	if (rc < 0) {
		adapter_free(n, a);
		return rc;
	}
	while (*at != NULL && (*at)->id < a->id)
		at = &(*at)->next;
	a->next = *at;
	*at = a;
	*ret_a = a;
	return 0;
}

static void adapter_unlink(struct network *n, struct adapter *a)
{
	struct adapter **at = &n->first;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
}

/* ---- taking one away -------------------------------------------------------- */

static bool is_closing(struct network *n)
{
	bool closing;

	pthread_mutex_lock(&n->lock);
	closing = n->closing;
	pthread_mutex_unlock(&n->lock);
	return closing;
}

static void wait_for_rest(struct network *n, struct nic *nic)
{
	uint64_t mark = UINT64_MAX, end = base_monotonic_ns() + REST_NS;
	unsigned looks = 0;

	/* One that does not use the adapter has nothing to come to rest from. */
	while (looks < (nic_in_use(nic) ? REST_LOOKS : 2) && base_monotonic_ns() < end && !is_closing(n)) {
		looks = nic_rests(nic, &mark) ? looks + 1 : 0;
		usleep(REST_LOOK_US);
	}
}

static void *farewell(void *arg)
{
	struct adapter *a = arg;
	struct network *n = a->network;
	struct nic *nic;
	bool nothing_stays;

	pthread_mutex_lock(&n->lock);
	nic = a->nic;
	a->nic = NULL;
	pthread_mutex_unlock(&n->lock);
	wait_for_rest(n, nic);
	nothing_stays = nic_remove(nic, PATIENCE_NS);
	pthread_mutex_lock(&n->lock);
	if (!nothing_stays) {
		log_info("net", "the guest does not let go of %s", a->name);
		n->burned[a->id / 64] |= UINT64_C(1) << (a->id % 64);
	}
	adapter_unlink(n, a);
	adapter_free(n, a);
	n->nr_leaving--;
	pthread_cond_broadcast(&n->left);
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

static int take_away(struct network *n, struct adapter *a, struct err *err)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (a->leaving)
		return 0;
	if (a->legacy != NULL)
		return err_set(err, -ENOTSUP, "%s is a legacy adapter, which is part of the machine: \"net set %s "
			       "link=down\" pulls its cable", a->name, a->name);
	if (n->nr_leaving >= NET_MAX_LEAVING)
		return err_set(err, -EBUSY, "%u adapters are still leaving: try again in some seconds", n->nr_leaving);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	a->leaving = true;
	n->nr_leaving++;
	rc = -pthread_create(&thread, &attr, farewell, a);	/* it waits for the lock */
	pthread_attr_destroy(&attr);
	if (rc < 0) {
		a->leaving = false;
		n->nr_leaving--;
		return err_set(err, rc, "no thread to take an adapter away with");
	}
	jack_plug(a->jack, NULL);
	plug_free(n, &a->plug);
	if (a->capture != NULL)
		(void)!capture_set(a->capture, NULL, NULL);
	pcapng_close(a->file);
	a->file = NULL;
	return 0;
}

/* ---- from outside ----------------------------------------------------------- */

static struct adapter *find(struct network *n, const char *name, struct err *err)
{
	uint8_t mac[6];
	bool by_mac = words_mac(name, mac);
	char have[128] = "";

	for (struct adapter *a = n->first; a != NULL; a = a->next) {
		if (by_mac ? memcmp(a->mac, mac, 6) == 0 : strcmp(a->name, name) == 0)
			return a;
		if (!a->leaving && strlen(have) + sizeof(a->name) + 2 < sizeof(have))
			strcat(strcat(have, have[0] == '\0' ? "" : ", "), a->name);
	}
	err_fill(err, "no adapter \"%.40s\": this machine has %s", name, have[0] == '\0' ? "none" : have);
	return NULL;
}

static void row_of(const struct adapter *a, struct vm_adapter *ret_row)
{
	const uint8_t *m = a->mac;

	*ret_row = (struct vm_adapter){ .cable = a->cable, .leaving = a->leaving, .legacy = a->legacy != NULL };
	ret_row->link = a->jack != NULL && jack_is_up(a->jack);
	ret_row->in_use = a->nic != NULL && nic_in_use(a->nic);
	strcpy(ret_row->name, a->name);
	strcpy(ret_row->net, a->plug.net);
	snprintf(ret_row->mac, sizeof(ret_row->mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		 m[4], m[5]);
}

size_t vm_net_list(struct vm *vm, struct vm_adapter *ret_rows, size_t max)
{
	struct network *n = vm->network;
	size_t nr = 0;

	pthread_mutex_lock(&n->lock);
	for (const struct adapter *a = n->first; a != NULL && nr < max; a = a->next)
		row_of(a, &ret_rows[nr++]);
	pthread_mutex_unlock(&n->lock);
	return nr;
}

int vm_net_add(struct vm *vm, const char *net, struct vm_adapter *ret_a, struct err *err)
{
	struct network *n = vm->network;
	struct adapter *a;
	struct net_opt o;
	int rc = net_opt_parse(net, &o, err);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&n->lock);
	if (o.adapter == NET_LEGACY)
		rc = err_set(err, -ENOTSUP, "a legacy adapter is part of the machine from its start: leave out "
			     "adapter=legacy");
	else if (count(n, false) >= VM_MAX_NICS)
		rc = err_set(err, -ENOSPC, "the machine has %u network adapters: that is the most", VM_MAX_NICS);
	else
		rc = adapter_new(n, &o, &a, err);
	if (rc == 0)
		row_of(a, ret_a);
	pthread_mutex_unlock(&n->lock);
	net_opt_fini(&o);
	return rc;
}

int vm_net_remove(struct vm *vm, const char *adapter, struct err *err)
{
	struct network *n = vm->network;
	struct adapter *a;
	int rc;

	pthread_mutex_lock(&n->lock);
	a = find(n, adapter, err);
	rc = a == NULL ? -ENOENT : take_away(n, a, err);
	pthread_mutex_unlock(&n->lock);
	return rc;
}

static struct adapter *find_staying(struct network *n, const char *name, struct err *err)
{
	struct adapter *a = find(n, name, err);

	if (a == NULL || !a->leaving)
		return a;
	err_fill(err, "%s is leaving", a->name);
	return NULL;
}

int vm_net_cable(struct vm *vm, const char *adapter, bool in, struct err *err)
{
	struct network *n = vm->network;
	struct adapter *a;

	pthread_mutex_lock(&n->lock);
	a = find_staying(n, adapter, err);
	if (a != NULL) {
		a->cable = in;
		jack_cable(a->jack, in);
	}
	pthread_mutex_unlock(&n->lock);
	return a == NULL ? -ENOENT : 0;
}

static int move(struct network *n, struct adapter *a, const char *net, struct err *err)
{
	struct net_opt o;
	struct plug new, old = a->plug;
	static const uint8_t none[6];
	int rc = net_opt_parse(net, &o, err);

	if (rc < 0)
		return rc;
	if (memcmp(o.mac, none, 6) != 0 || o.capture != NULL || o.adapter != NET_SYNTHETIC)
		rc = err_set(err, -EINVAL, "adapter=, mac= and capture= stay as they were when %s was added", a->name);
	else if (o.kind == NET_SWITCH && a->plug.link != NULL && strcmp(o.sw, a->plug.net + strlen("switch=")) == 0)
		rc = err_set(err, -EEXIST, "%s is on switch %s; \"genvisor switch port\" changes what is said of it",
			     a->name, o.sw);
	else
		rc = plug_make(n, a, &o, &new, err);
	net_opt_fini(&o);
	if (rc < 0)
		return rc;
	jack_plug(a->jack, new.port);
	a->plug = new;
	show_counters(a);
	plug_free(n, &old);
	return 0;
}

int vm_net_move(struct vm *vm, const char *adapter, const char *net, struct err *err)
{
	struct network *n = vm->network;
	struct adapter *a;
	int rc;

	pthread_mutex_lock(&n->lock);
	a = find_staying(n, adapter, err);
	rc = a == NULL ? -ENOENT : move(n, a, net, err);
	pthread_mutex_unlock(&n->lock);
	return rc;
}

/* ---- with the machine ------------------------------------------------------- */

static int read_one(struct network *n, const char *net, struct err *err)
{
	struct net_opt *o = &n->asked[n->nr_asked];
	struct vm *vm = n->vm;
	int rc = net_opt_parse(net, o, err);

	if (rc < 0)
		return rc;
	n->nr_asked++;
	if (o->adapter != NET_LEGACY)
		return 0;
	if (vm->board->generation != 1)
		return err_set(err, -ENOTSUP, "generation 2 has no legacy network adapter: leave out "
			       "adapter=legacy");
	if (vm->nr_legacy == VM_MAX_LEGACY)
		return err_set(err, -E2BIG, "more than %u legacy network adapters: leave out "
			       "adapter=legacy for the others", VM_MAX_LEGACY);
	vm->nr_legacy++;
	return 0;
}

static void forget_asked(struct network *n)
{
	while (n->nr_asked > 0)
		net_opt_fini(&n->asked[--n->nr_asked]);
}

int network_read(struct vm *vm, struct err *err)
{
	struct network *n;
	int rc = 0;

	if (vm->conf.nr_nics > VM_MAX_NICS)
		return err_set(err, -EINVAL, "%u network adapters: at most %u", vm->conf.nr_nics, VM_MAX_NICS);
	n = new0(struct network);
	if (n == NULL)
		return err_set(err, -ENOMEM, "no memory for networks");
	n->vm = vm;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->left, NULL);
	vm->network = n;
	for (unsigned i = 0; i < vm->conf.nr_nics && rc == 0; i++)
		rc = read_one(n, vm->conf.nics[i].net, err);
	return rc < 0 ? err_prefix(err, rc, "--net") : 0;
}

int network_open(struct vm *vm, struct err *err)
{
	struct network *n = vm->network;
	struct adapter *a;
	int rc = 0;

	pthread_mutex_lock(&n->lock);
	for (unsigned i = 0; i < n->nr_asked && rc == 0; i++)
		rc = adapter_new(n, &n->asked[i], &a, err);
	forget_asked(n);
	pthread_mutex_unlock(&n->lock);
	return rc < 0 ? err_prefix(err, rc, "--net") : 0;
}

/* After vmbus_reset: no guest has any of them. */
void network_close(struct vm *vm)
{
	struct network *n = vm->network;
	struct adapter *a;

	if (n == NULL)
		return;
	pthread_mutex_lock(&n->lock);
	n->closing = true;
	while (n->nr_leaving != 0)
		pthread_cond_wait(&n->left, &n->lock);
	network_answer_end(n);
	forget_asked(n);
	while ((a = n->first) != NULL) {
		n->first = a->next;
		nic_free(a->nic);
		adapter_free(n, a);
	}
	pthread_mutex_unlock(&n->lock);
	pthread_cond_destroy(&n->left);
	pthread_mutex_destroy(&n->lock);
	free(n);
	vm->network = NULL;
}
